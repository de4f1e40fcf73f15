"""Addresses over several lines: what belongs to one that a street, a unit or a box has already shown.

Theory of operation. Neither a pattern nor a recogniser that reads a few words at once sees where an address ends: its
town is any word, its postcode any number. Here the text around an address is read as a grammar of addresses, piece by
piece: a unit, a postcode, a state or a country proves all that lies between it and the street; a town alone proves
nothing. Before the street stand numbers that another system has put there.

Rules:

1. Only a text in which an address was found is read; each is grown once, by a bounded number of pieces.
2. Nothing lies between pieces but commas, spaces, quotation marks of mails and one line's end; before a country two.
3. A word that is an ordinary one is no town, and neither is the name of the next field ("Phone: ...").
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Final

from attrs import evolve

from privacy._lists import lines_of
from privacy._shapes import WORD, Shapes
from privacy.mention import Mention
from privacy.patterns import PLACE, POSTCODE, STATE_NAMES, STATES, UNITS

__all__ = ["grown_addresses"]

_MAX_PIECES: Final = 8
_NO_QUANTITY: Final = re.compile(
    r"(?![ \t]*[^\W\d_]|[ \t]*[%€$£°])"
    r"|[ \t]+(?:in|and|or|to|for|by|on|as|at|with|from|is|was|has|if|when|while|where)\b"
)
"""What does not make a number before it one of things ("Texas 12000 people")."""
_CODE_BEHIND: Final = re.compile(r",? (?P<code>\d{5}|\d{3} \d{2}|\d{2}-\d{3}|\d{4}-\d{3})(?![\w%]|[-.,:/]\d)")
_BEFORE_CHARS: Final = 64
_GAP_CHARS: Final = 32
_MARGIN: Final = r"[ \t>?|*]*"
"""What stands at the beginning of a quoted line."""
_BETWEEN: Final = re.compile(rf"(?:\.(?=\n)|\)?[ \t]*,?)[ \t]*(?:\n{_MARGIN}(?:,[ \t]*)?)?")
_BETWEEN_LINES: Final = re.compile(rf"[ \t]*,?[ \t]*\n{_MARGIN}\n{_MARGIN}")
_UNIT: Final = re.compile(rf"(?:(?:{UNITS})\b\.?[ \t]*#?|#[ \t]?)(?:\d\w{{0,5}}|[A-Z]\d{{0,4}})(?!\w)", re.IGNORECASE)
_MAY_END_IN_TOWN: Final = re.compile(
    rf"(?:(?<!\w)(?:{UNITS})\b\.?[ \t]*#?\d{{1,5}}|\n{_MARGIN}{PLACE})\Z", re.IGNORECASE
)
"""A unit, or the first word of a town on a line of its own."""
_POSTCODE: Final = re.compile(rf"(?:{POSTCODE}|\d{{5}}(?!\w))(?![-./:]\d)")
_STATE: Final = re.compile(rf"(?:{STATE_NAMES}|(?:{STATES})|[A-Z]{{2}}(?=[ \t,]+\d|[ \t]*\n))(?!\w)")
_TOWN: Final = re.compile(
    rf"{PLACE}(?:[ \t-]+(?:{PLACE}|\d{{1,2}}(?!\w)|am|an der|de|do|da|del|di|la|sur|en|upon|of|nad|the)){{0,4}}"
)
_REGION: Final = re.compile(rf"(?:[^\W\d_]{{1,3}}|\d{{1,2}})(?={_MARGIN}\n|[ \t]*,|[ \t]+\d)")
"""The code of some country's region: it proves nothing, and may stand before what does."""
_NOTE: Final = re.compile(r"[ \t]*\([^\W\d_][\w '’-]{1,30}\)")
"""Another name of a place, in brackets."""
_TOWN_ENDS: Final = re.compile(rf"{_MARGIN}(?:,|\n|\d|$|[^\W\d_]{{1,3}}[ \t]+\d)")
_LAST_ENDS: Final = re.compile(r"[ \t]*(?:[,.;?!]?\s*\n|[.;?!]?\Z|[.;?!]\s)")
"""What follows a town that ends an address by itself, behind a unit."""
_NUMBERS_BEFORE: Final = re.compile(r"(?<![\w.,/$€£#:-])(?:\d{1,6} ){1,2}\Z")
_STREET_BEFORE: Final = re.compile(
    rf"(?<!\w)(?:\d{{1,6}}[ \t]+)?[^\W\d_][\w'’.-]{{0,30}}(?:[ \t]+[^\W\d_][\w'’.-]{{0,30}}){{0,4}}"
    rf"(?:[ \t]+\d{{1,5}}[A-Za-z]?\.?(?:[ \t]+[^\W\d_][\w'’.-]{{0,30}}){{0,2}})?[ \t]*,?[ \t]*(?:\n{_MARGIN})?\Z"
)
_STREET_START: Final = re.compile(r"\d|[^\W\d_a-z]")
_DIGIT: Final = re.compile(r"\d")
_GAP: Final = re.compile(r"[^;:?!\n]{0,32}(?:\n[^;:?!\n]{0,32})?")
_TWO_ENDS: Final = re.compile(r"\.\s+[^\W\d_a-z]")


@cache
def _country() -> re.Pattern[str]:
    """The names of countries, also those that are words: behind a street they are none."""
    names = sorted(lines_of("countries"), key=len, reverse=True)
    return re.compile(rf"(?:the )?(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)


def grown_addresses(text: str, mentions: Sequence[Mention], shapes: Shapes) -> Iterator[Mention]:
    """Longer mentions for those addresses in `mentions` (sorted) that go on before or behind; by start."""
    reached = 0
    for place, mention in enumerate(mentions):
        if mention.label == "LOCATION" and mention.end > reached:
            code = _CODE_BEHIND.match(text, mention.end)
            if code and _NO_QUANTITY.match(text, code.end()):
                reached = code.end()
                yield evolve(mention, end=reached, label="ADDRESS")
            elif (note := _NOTE.match(text, mention.end)) and _country().fullmatch(text, mention.start, mention.end):
                yield evolve(mention, end=note.end())
        if mention.label != "ADDRESS" or mention.end <= reached:
            continue
        start = _start_of(text, mention.start, shapes)
        if start < reached:  # what stands before belongs to another address
            start = max(reached, mention.start)
        end = _end_of(text, mention.end, shapes)
        for other in islice(mentions, place + 1, place + 1 + _MAX_PIECES):
            if other.label == "ADDRESS" and _is_gap(text, end, other.start, shapes):
                end = _end_of(text, max(end, other.end), shapes)
            elif other.start >= end:
                break
        if (start, end) != (mention.start, mention.end):
            yield evolve(mention, start=start, end=end)
        reached = end


def _start_of(text: str, start: int, shapes: Shapes) -> int:
    low = max(0, start - _BEFORE_CHARS)
    if _UNIT.match(text, start) and (street := _STREET_BEFORE.search(text, low, start)):
        begin = _STREET_START.search(text, street.start(), start)
        words = [word.group() for word in WORD.finditer(text, begin.start(), start)] if begin else []
        while words and shapes.is_common(words[0]):
            del words[0]
        ordinary = sum(map(shapes.is_common, words))
        if words and _DIGIT.search(" ".join(words)) and 2 * ordinary < len(words):
            return text.index(words[0], begin.start() if begin else start, start)
    before = _NUMBERS_BEFORE.search(text, low, start)
    return before.start() if before and not text[start].isspace() else start


def _end_of(text: str, end: int, shapes: Shapes) -> int:
    """Where the address that is known up to `end` ends."""
    place, codes = end, 0
    for _ in range(_MAX_PIECES):
        piece = _proof(text, place, codes)
        if piece is not None:
            codes += _POSTCODE.fullmatch(text, *piece) is not None
            end = place = piece[1]
            continue
        if place == end and _MAY_END_IN_TOWN.search(text, max(0, end - _BEFORE_CHARS), end):
            last = _last_town(text, end, shapes)
            if last > end:
                end = place = last
                continue
        town = _town(text, place, shapes)
        if town is None:
            break
        place = town
    return end


def _last_town(text: str, end: int, shapes: Shapes) -> int:
    """The end of a town, or of the rest of one, that follows on the same line ("Apt. 417 Csipkerek"); else `end`."""
    match = _TOWN.match(text, end + 1) if text[end : end + 1] == " " else None
    if match and _LAST_ENDS.match(text, match.end()) and not any(map(shapes.is_common, match.group().split())):
        return match.end()
    return end


def _proof(text: str, place: int, codes: int) -> tuple[int, int] | None:
    """The next piece if it is one that only addresses have."""
    gap = _BETWEEN.match(text, place)
    start = gap.end() if gap else place
    if start == place:
        return None
    if match := _UNIT.match(text, start) or _STATE.match(text, start):
        return match.span()
    if codes < 2 and (match := _POSTCODE.match(text, start)):
        return match.span()
    lines = _BETWEEN_LINES.match(text, place)
    for begin in (start, lines.end() if lines else start):
        if match := _country().match(text, begin):
            note = _NOTE.match(text, match.end())
            return match.start(), note.end() if note else match.end()
    return None


def _town(text: str, place: int, shapes: Shapes) -> int | None:
    """Where the town ends that follows, on a line of its own or between commas; None if there is none."""
    gap = _BETWEEN.match(text, place)
    if gap is None or not gap.group():
        return None
    if not set(gap.group()) & {",", "\n"}:
        region = _REGION.match(text, gap.end())
        return region.end() if region else None
    if region := _REGION.match(text, gap.end()):
        return region.end()
    match = _TOWN.match(text, gap.end())
    if match is None:
        return None
    end = match.end()
    if note := _NOTE.match(text, end):
        end = note.end()
    if not _TOWN_ENDS.match(text, end) or all(shapes.is_common(word) for word in match.group().split()):
        return None
    return end


def _is_gap(text: str, end: int, start: int, shapes: Shapes) -> bool:
    """Whether what lies between two addresses can be a part of one: names and numbers, and no sentence's end."""
    if not 0 <= start - end <= _GAP_CHARS or not _GAP.fullmatch(text, end, start):
        return False
    gap = text[end:start]
    if _TWO_ENDS.search(gap):
        return False
    return not any(shapes.is_common(word) for word in WORD.findall(gap))
