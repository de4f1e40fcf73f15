"""Blocks of an address: the line above a street is who lives or works there.

Rules: a short line without marks of a sentence, right above a line that begins with an address (an empty one may lie
between), is a name when something in it is no ordinary word; below a person's line it is one in any case, and may then
stand above that person's line again. Headings ("Billing Address") are none.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from privacy._shapes import WORD, Shapes
from privacy.exposure import word_set
from privacy.mention import Mention

__all__ = ["letterhead_names"]

LETTERHEAD_SCORE: Final = 0.5
_LINE: Final = re.compile(r"^[ \t>?|*]*(?P<line>[^\n]*?)[ \t]*$", re.MULTILINE)
_SHORT: Final = re.compile(r"[^\W\d_][\w'’.,&/ -]{2,48}[\w.)]")
_MAX_WORDS: Final = 6
_HEADINGS: Final = word_set(
    "address addresses details contact location office site venue shipping billing delivery mailing home work to from "
    "ship send deliver return street city website phone email fax name company customer here is are at the my our "
    "your where live lives hi hello dear thanks regards sincerely best cheers"
)


@frozen
class _Line:
    start: int
    end: int
    is_person: bool
    is_address: bool
    is_known: bool


def letterhead_names(text: str, mentions: Sequence[Mention], shapes: Shapes) -> Iterator[Mention]:
    """The names above the addresses among `mentions` (sorted) that are none of these yet."""
    if "\n" not in text or not any(mention.label == "ADDRESS" for mention in mentions):
        return
    lines = [line for line in _lines(text, mentions) if line.start < line.end]
    for place, line in enumerate(lines[:-1]):
        before, following = lines[place - 1] if place else None, lines[place + 1]
        if line.is_known or text.count("\n", line.end, following.start) > 2:
            continue
        below_person = before is not None and before.is_person and text.count("\n", before.end, line.start) == 1
        if not following.is_address and not (below_person and following.is_person):
            continue
        if _is_name(text[line.start : line.end], shapes, in_any_case=below_person):
            yield Mention(line.start, line.end, "ORGANIZATION", LETTERHEAD_SCORE, "pattern:letterhead")


def _lines(text: str, mentions: Sequence[Mention]) -> Iterator[_Line]:
    """The lines of the text without margins, and what is known of each."""
    place = 0
    for match in _LINE.finditer(text):
        start, end = match.span("line")
        while place < len(mentions) and mentions[place].end <= start:
            place += 1
        first = mentions[place] if place < len(mentions) and mentions[place].start < end else None
        begins = first is not None and first.start <= start
        yield _Line(
            start,
            end,
            is_person=first is not None and begins and first.label == "PERSON" and first.end >= end,
            is_address=first is not None and begins and first.label == "ADDRESS" and first.start == start,
            is_known=first is not None,
        )


def _is_name(shown: str, shapes: Shapes, *, in_any_case: bool) -> bool:
    words = WORD.findall(shown)
    if not _SHORT.fullmatch(shown) or not 1 <= len(words) <= _MAX_WORDS or shown[-1] in ".,":
        return False
    if not _HEADINGS.isdisjoint(word.rstrip(".").casefold() for word in words):
        return False
    return in_any_case or any(not shapes.is_common(word) for word in words)
