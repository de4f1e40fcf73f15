"""What people do to text when they type: no capitals, only capitals, typos, lost or doubled marks.

Each step keeps the labels where they were.
"""

import random
from collections.abc import Callable
from typing import Final

from training.detector.blocks import LABELS, Example, Span

__all__ = ["roughened"]

_KEYS: Final = "abcdefghijklmnopqrstuvwxyz"


def roughened(example: Example, rng: random.Random) -> Example:
    """`example` as a hurried person would have typed it; mostly as it is."""
    roll = rng.random()
    if roll < 0.09:
        example = _mapped(example, str.lower)
    elif roll < 0.11:
        example = _mapped(example, str.upper)
    elif roll < 0.13:
        example = _names_lower(example)
    elif roll < 0.15:
        example = _names_upper(example)
    elif roll < 0.20:
        example = _places_upper(example)
    if rng.random() < 0.05:
        example = _typos(example, rng)
    if rng.random() < 0.04:
        example = _without(example, ".,;!?'")
    return example


def _mapped(example: Example, change: Callable[[str], str]) -> Example:
    text = change(example.text)
    return example if len(text) != len(example.text) else Example(text, example.spans, example.source)


def _names_lower(example: Example) -> Example:
    return _names(example, str.lower)


def _names_upper(example: Example) -> Example:
    return _names(example, str.upper)


def _places_upper(example: Example) -> Example:
    return _names(example, str.upper, frozenset({"LOCATION"}))


def _names(example: Example, change: Callable[[str], str], labels: frozenset[str] = frozenset(LABELS)) -> Example:
    text = example.text
    for span in example.spans:
        if span.label not in labels:
            continue
        shown = change(text[span.start : span.end])
        if len(shown) == span.end - span.start:
            text = text[: span.start] + shown + text[span.end :]
    return Example(text, example.spans, example.source)


def _typos(example: Example, rng: random.Random) -> Example:
    """A few letters struck wrongly or swapped."""
    letters = list(example.text)
    for _ in range(max(1, len(letters) // 80)):
        at = rng.randrange(len(letters))
        if not letters[at].isalpha() or not letters[at].isascii():
            continue
        if at + 1 < len(letters) and letters[at + 1].isalpha() and rng.random() < 0.5:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = rng.choice(_KEYS)
    return Example("".join(letters), example.spans, example.source)


def _without(example: Example, marks: str) -> Example:
    """The text without `marks` outside of names."""
    inside = {place for span in example.spans for place in range(span.start, span.end)}
    kept = [place for place, char in enumerate(example.text) if place in inside or char not in marks]
    moved = {place: index for index, place in enumerate(kept)}
    spans = tuple(Span(moved[span.start], moved[span.end - 1] + 1, span.label) for span in example.spans)
    return Example("".join(example.text[place] for place in kept), spans, example.source)
