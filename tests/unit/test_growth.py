"""The work that patterns and folding do grows with the text, whatever the text: calls are counted, not time."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from benchmarks.growth import LINES
from privacy import detection
from privacy.folding import View
from privacy.mention import Mention
from privacy.patterns import default_recognisers, find_patterns

RECOGNISERS = default_recognisers()
SMALL = 1_500


def calls(do: Callable[[], object]) -> int:
    """How many functions `do` calls, Python's own included."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("kind", LINES)
def test_four_times_the_text_is_four_times_the_calls(kind: str) -> None:
    def find(size: int) -> object:
        text = (LINES[kind] * size)[:size]
        return find_patterns(View.of(text).text, RECOGNISERS)

    find(SMALL)  # what is read once a process is read
    small, large = calls(lambda: find(SMALL)), calls(lambda: find(4 * SMALL))
    assert large < 5 * small


def test_what_was_found_is_compared_with_its_neighbours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    uncovered = detection._uncovered

    def counting(mention: Mention, others: list[Mention], text: str) -> list[Mention]:
        nonlocal compared
        compared += len(others)
        return uncovered(mention, others, text)

    monkeypatch.setattr(detection, "_uncovered", counting)
    text = "Ann Lee, " * 200
    mentions = [Mention(at, at + 7, "PERSON", 0.8, "spacy") for at in range(0, len(text), 9)]
    parts = [Mention(at + 4, at + 7, "PERSON", 0.8, "known") for at in range(0, len(text), 9)]
    assert detection._settle([*parts, *mentions], text) == mentions
    assert compared == len(parts)
