"""Rows of records: `name|phone|card|account`, where what names nobody by its form does so by its place.

Theory of operation. A line of several fields between the same marks, some of which hold identifiers already, is a
person's record. A field of it that is a number or a code, and that nothing has found, is one of that person's numbers.

Rules: two fields at least are identifiers of a person, so that tables of figures are left alone; a field counts when
it is one number or code of six digits and letters or more, three of them digits; dates, sums and shares do not.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from privacy.mention import Mention

__all__ = ["record_numbers"]

RECORD_SCORE: Final = 0.6
_LEAST_FIELDS: Final = 4
_LEAST_PERSONAL: Final = 2
_LONGEST_LINE: Final = 4_000
_MARKS: Final = "|\t;,"
_CODE: Final = re.compile(r"(?=(?:[^\d]*\d){3})(?=(?:[^A-Z\d]*[A-Z\d]){6})[A-Z\d]+(?:[ .-]?[A-Z\d]+){0,7}")
_NO_CODE: Final = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ][\d:.]+Z?)?|[+-]?\d{1,3}(?:[ .]\d{3})*(?:\.\d+)?|\d+\.\d+"
    r"|\d{1,2} [a-z]+ \d{4}",
    re.IGNORECASE,
)
"""Dates, sums and measures."""
_PERSONAL: Final = frozenset({"PERSON", "EMAIL", "PHONE", "ADDRESS", "NATIONAL_ID", "CREDIT_CARD", "IBAN", "ID"})


def record_numbers(text: str, mentions: Sequence[Mention]) -> Iterator[Mention]:
    """The numbers of persons' records in `text`; `mentions` (sorted) are what was found otherwise."""
    if len(mentions) < _LEAST_PERSONAL:
        return
    place = start = 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        here: list[Mention] = []
        while place < len(mentions) and mentions[place].start < end:
            here.append(mentions[place])
            place += 1
        if len(here) >= _LEAST_PERSONAL and len(line) <= _LONGEST_LINE:
            mark = max(_MARKS, key=line.count)
            if line.count(mark) >= _LEAST_FIELDS - 1:
                yield from _numbers(text, start, line, mark, here)
        start = end


def _numbers(text: str, start: int, line: str, mark: str, mentions: Sequence[Mention]) -> Iterator[Mention]:
    fields: list[tuple[int, int]] = []
    place = start
    for field in line.split(mark):
        fields.append((place, place + len(field)))
        place += len(field) + 1
    personal = 0
    unknown: list[tuple[int, int]] = []
    for low, high in fields:
        inside = [mention for mention in mentions if mention.start < high and low < mention.end]
        personal += any(mention.label in _PERSONAL for mention in inside)
        shown = text[low:high].strip(" \t\r\n\"'")
        if not inside and _CODE.fullmatch(shown) and not _NO_CODE.fullmatch(shown):
            begin = text.index(shown, low, high)
            unknown.append((begin, begin + len(shown)))
    if personal >= _LEAST_PERSONAL:
        yield from (Mention(low, high, "ID", RECORD_SCORE, "pattern:record") for low, high in unknown)
