"""Records of several lines with no empty line between: where each begins.

Theory of operation. Whoever pastes reviews or a form's fields repeats a form: stars and a name, the same first key, a
number, or a short line that is a heading. The first line shows the form; where it comes back, a record begins.

Rules:

1. There are three records or more, and at least every other line on the average is no beginning: else it is a list.
2. A heading is short, ends without a stop, and stands above something that ends with one.
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

MIN_RECORDS: Final = 3
MAX_HEADING_CHARS: Final = 60
_SHOWN_CHARS: Final = 120
_STARS: Final = re.compile(r"[ \t>]*(?:[★☆⭐✩✪✭*]{1,6}(?:[ \t]+\S|[ \t]*$)|\d(?:[.,]\d)?[ \t]?(?:/[ \t]?\d|stars?\b))")
_MARK: Final = re.compile(r"[ \t>]*(?:\(?\d{1,4}[.):]|\[\d{1,4}\]|#\d{1,4}\b|\(?[a-zA-Z][.)]|[-•–▪◦●→➤])[ \t]+\S")
_KEY: Final = re.compile(r"[ \t>]*(?P<key>[^\W\d_][\w .'’/-]{0,24}):(?:[ \t]|$)")
_STOPS: Final = re.compile(r"[.!?…;:,][\"'”’»)\]]{0,2}$")


@frozen
class Line:
    """A line that is not empty, or a closed block of several."""

    start: int
    end: int
    gap: int
    """What stands before it: 0 nothing but the end of a line, 1 an empty line, 2 a rule."""
    closed: bool = False
    """Whether it is a fenced block."""


def record_starts(text: str, lines: Sequence[Line]) -> tuple[int, ...]:
    """The numbers of the lines at which records begin, the first of them 0; empty where there are none."""
    if len(lines) < 2 * MIN_RECORDS:
        return ()
    form = _form(text, lines, 0)
    starts = tuple(number for number in range(len(lines)) if form and _form(text, lines, number) == form)
    return starts if len(starts) >= MIN_RECORDS and 2 * len(starts) <= len(lines) else ()


def is_heading(text: str, lines: Sequence[Line], number: int) -> bool:
    """Whether a line is a short one without a stop, above something that ends with one."""
    if number + 1 >= len(lines):
        return False
    line, following = lines[number], lines[number + 1]
    if line.end - line.start > MAX_HEADING_CHARS or _STOPS.search(text[max(line.start, line.end - 4) : line.end]):
        return False
    is_set_off = number == 0 or line.gap > 0 or _STOPS.search(text[lines[number - 1].end - 3 : lines[number - 1].end])
    return (
        bool(is_set_off) and _STOPS.search(text[max(following.start, following.end - 4) : following.end]) is not None
    )


def _form(text: str, lines: Sequence[Line], number: int) -> str:
    line = lines[number]
    shown = text[line.start : min(line.end, line.start + _SHOWN_CHARS)]
    if _STARS.match(shown):
        return "stars"
    if _MARK.match(shown):
        return "mark"
    key = _KEY.match(shown)
    if key is not None:
        return f"key {key['key'].casefold()}"
    return "heading" if is_heading(text, lines, number) else ""
