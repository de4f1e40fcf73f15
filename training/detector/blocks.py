"""Texts of ours: blocks with slots and labelled literals.

Format: blocks are separated by a line `---`. `{person}` is a slot: a value of that kind comes in its place, with the
kind's label, if it has one; `{person1}` twice in a block is the same value twice. `[[Marie Curie|PERSON]]` is a
literal with its label. Everything else is as it stands, and identifies nobody.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["LABELS", "UNLABELLED", "Example", "Span", "blocks_in", "fill"]

LABELS: Final = ("PERSON", "LOCATION", "ADDRESS", "ORGANIZATION", "DATE_TIME", "ID")
_MARK: Final = re.compile(r"\[\[(?P<literal>[^\[\]|]+)\|(?P<label>[A-Z_]+)\]\]|\{(?P<kind>[a-z_]+)(?P<number>\d*)\}")


@frozen
class Span:
    """A labelled stretch of a text; code points, `end` excluded."""

    start: int
    end: int
    label: str


@frozen
class Example:
    """A text and everything in it that identifies somebody; spans sorted and disjoint."""

    text: str
    spans: tuple[Span, ...] = ()
    source: str = ""


UNLABELLED: Final = "\x1f"
"""Ends what stands before the labelled part of a value: a title before a name."""
Value = tuple[str, str | None]
"""What fills a slot, and the label it has there."""


def blocks_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Each block of the text files in `folder`, with its file's name; in the order of the names."""
    for path in sorted(folder.glob("*.txt")):
        for block in re.split(r"(?m)^---[ \t]*$", path.read_text(encoding="utf-8")):
            if block.strip():
                yield path.stem, block.strip("\n")


def fill(block: str, value: Callable[[str, str], Value], source: str = "") -> Example:
    """The example that `block` makes; `value` is asked for a slot's kind and number.

    Raises `ValueError` for a label that there is not.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    place = size = 0
    for mark in _MARK.finditer(block):
        if mark["literal"] is not None:
            shown, label = mark["literal"], mark["label"]
        else:
            shown, label = value(mark["kind"], mark["number"])
        if label is not None and label not in LABELS:
            raise ValueError(f"a label {label!r} in a text of {source or 'ours'}: there are {', '.join(LABELS)}")
        before, _, shown = shown.rpartition(UNLABELLED)
        pieces += [block[place : mark.start()], before, shown]
        size += mark.start() - place + len(before)
        if label is not None:
            spans.append(Span(size, size + len(shown), label))
        size += len(shown)
        place = mark.end()
    pieces.append(block[place:])
    return Example("".join(pieces), tuple(spans), source)
