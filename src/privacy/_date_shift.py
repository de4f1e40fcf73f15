"""Dates moved by whole weeks: their order, their distances, their weekdays and their format stay.

Rules:

1. A date of day, month and year moves by the same number of days as every other one of its host; ages and durations
   that the text tells, or that follow from two dates, stay true.
2. A month of a year moves by the whole months that are nearest to that, so that two never become one.
3. Anything else (a year alone, a day of no year, an unknown format) is not moved: it would come back wrong.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH: Final = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_DAY: Final = r"(?P<day>\d{1,2})(?P<th>st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>\d{4})"
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d){_YEAR}(?P<joint>[-/.])(?P<number>\d{{2}})(?P=joint)(?P<day>\d{{2}})(?!\d)",
        rf"(?<!\d)(?P<first>\d{{1,2}})(?P<joint>[-/.])(?P<second>\d{{1,2}})(?P=joint){_YEAR}(?!\d)",
        rf"(?<!\w){_DAY}(?P<joint>\s+(?:of\s+)?|-){_MONTH}(?P<mark>\.?,?\s+|-){_YEAR}(?!\d)",
        rf"(?<!\w){_MONTH}(?P<joint>\.?\s+){_DAY}(?P<mark>,?\s+){_YEAR}(?!\d)",
        rf"(?<!\w){_MONTH}(?P<joint>\.?,?\s+){_YEAR}(?!\d)",
    )
)
_BEFORE: Final = re.compile(
    r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?", re.IGNORECASE
)
_AFTER: Final = re.compile(r"(?:(?:,?\s+(?:at\s+)?|T)\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]m|Z)?)?", re.IGNORECASE)


@frozen
class Moved:
    """A date as it was moved."""

    text: str
    others: tuple[tuple[str, str], ...]
    """Other ways to write the moved date, each with the original written so."""


def moved(form: str, weeks: int) -> Moved | None:
    """The date `form` moved by `weeks`; None where that cannot be done."""
    for pattern in _PATTERNS:
        match = pattern.search(form)
        if match is None:
            continue
        if not _BEFORE.fullmatch(form[: match.start()]) or not _AFTER.fullmatch(form[match.end() :]):
            return None
        try:
            put = _put(match, weeks)
        except (ValueError, OverflowError):
            return None  # no date of the calendar, or moved out of it
        text, others = put
        return Moved(form[: match.start()] + text + form[match.end() :], others)
    return None


def _put(match: re.Match[str], weeks: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    parts = match.groupdict()
    year = int(parts["year"])
    if "first" in parts:
        return _put_numbers(match, year, weeks)
    month = int(parts["number"]) if "number" in parts else _month_number(parts["month"])
    if "day" not in parts:
        months = year * 12 + month - 1 + round(weeks * 12 * 7 / 365.25)
        new_year, index = divmod(months, 12)
        dt.date(new_year, index + 1, 1)
        return f"{_named(index + 1, parts['month'])}{parts['joint']}{new_year:04}", ()
    day = dt.date(year, month, int(parts["day"]))
    new = day + dt.timedelta(weeks=weeks)
    if "number" in parts:
        joint = parts["joint"]
        text = f"{new.year:04}{joint}{new.month:02}{joint}{new.day:02}"
    else:
        width = 2 if parts["day"].startswith("0") else 1
        number = f"{new.day:0{width}}{_ordinal(new.day) if parts['th'] else ''}"
        name = _named(new.month, parts["month"])
        first, second = (name, number) if match.start("month") < match.start("day") else (number, name)
        text = f"{first}{parts['joint']}{second}{parts['mark']}{new.year:04}"
    return text, tuple(zip(_ways(new), _ways(day), strict=True))


def _put_numbers(match: re.Match[str], year: int, weeks: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    first, second = int(match["first"]), int(match["second"])
    month_first = second > 12 or (first <= 12 and match["joint"] == "/")
    day = dt.date(year, first, second) if month_first else dt.date(year, second, first)
    new = day + dt.timedelta(weeks=weeks)
    numbers = (new.month, new.day) if month_first else (new.day, new.month)
    # A date that could be read in one way only must not become one that is read in the other.
    width = 2 if "0" in {match["first"][0], match["second"][0]} or len(match["first"] + match["second"]) == 4 else 1
    text = match["joint"].join([*(f"{number:0{width}}" for number in numbers), f"{new.year:04}"])
    return text, tuple(zip(_ways(new), _ways(day), strict=True))


def _ways(day: dt.date) -> Iterator[str]:
    name = _MONTHS[day.month - 1]
    yield day.isoformat()
    yield f"{day.day} {name} {day.year:04}"
    yield f"{name} {day.day}, {day.year:04}"
    yield f"{name} {day.day} {day.year:04}"
    yield f"{day.day}{_ordinal(day.day)} {name} {day.year:04}"
    yield f"{day.day} {name}"
    yield f"{name} {day.day}"


def _month_number(name: str) -> int:
    return next(number for number, full in enumerate(_MONTHS, 1) if full.casefold().startswith(name.casefold()[:3]))


def _named(month: int, like: str) -> str:
    # `May` is short and long; it is written out where it is not clear.
    name = _MONTHS[month - 1]
    name = name[:3] if len(like) <= 4 and like.casefold() not in {"may", "june", "july"} else name
    return name.upper() if like.isupper() else name.lower() if like.islower() else name


def _ordinal(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
