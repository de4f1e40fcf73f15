"""Calendar dates, validated by the calendar.

Rules: durations, weekdays, "tomorrow" and times of day identify nobody; a bare year does where somebody was born in
it; months are known in English, German, French, Spanish and Italian.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import has_digits, mention_of, words_before

_MONTHS: Final = {
    word: number
    for number, words in enumerate(
        (
            "january jan januar janvier enero gennaio", "february feb februar février febrero febbraio",
            "march mar märz mars marzo", "april apr avril abril aprile", "may mai mayo maggio",
            "june jun juni juin junio giugno", "july jul juli juillet julio luglio",
            "august aug août agosto", "september sep sept septembre septiembre settembre",
            "october oct oktober okt octobre octubre ottobre", "november nov novembre noviembre",
            "december dec dezember dez décembre diciembre dicembre",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip
MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))


@frozen
class DateRecogniser:
    """Absolute calendar dates; a bare year only where the words before it say that somebody was born.

    Durations, weekdays, "tomorrow" and times of day are not identifiers. Validated by the calendar.
    """

    name = "date"
    _iso = re.compile(
        r"(?<![\w-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})"
        r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?(?![\w-])"
    )
    _numeric = re.compile(r"(?<![\w./-])(\d{1,2})([-/.])(\d{1,2})\2((?:19|20)\d{2}|\d{2})(?![\w/-])")
    _day_month = re.compile(
        rf"(?<!\w)(\d{{1,2}})(?:st|nd|rd|th|er|º|\.)?[\s-](?:of |de )?"
        rf"({MONTH})\b\.?(?:,?[\s-](?:de )?(\d{{4}})(?!\w))?",
        re.IGNORECASE,
    )
    _month_day = re.compile(
        rf"(?<!\w)({MONTH})\b\.?\s(\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%$.]\w|\w)(?:,?\s(\d{{4}})(?!\w))?", re.IGNORECASE
    )
    _month_year = re.compile(rf"(?<!\w)({MONTH})\b\.?,?\s(?:of )?((?:19|20)\d{{2}})(?!\w)", re.IGNORECASE)
    _birth_year = re.compile(r"(?<!\w)(?:19|20)\d{2}(?!\w)")
    _birth = word_set("born dob birth birthday birthdate birthyear geboren née né nacido nacida")

    def find(self, text: str) -> Iterator[Mention]:
        if not has_digits(text, 1):
            return
        taken = 0
        for start, end in sorted(self._spans(text), key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                # "1 May." ends its sentence; the stop of "1 Jan." is no loss.
                yield mention_of(start, end - (text[end - 1] == "."), "DATE_TIME", self.name)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self._iso.finditer(text):
            if _is_date(match[1], match[3], match[4]):
                yield match.span()
        for match in self._numeric.finditer(text):
            first, second, year = match[1], match[3], match[4]
            # Two-digit years are as good as fractions and versions unless the words say "born".
            told = len(year) == 4 or not self._birth.isdisjoint(words_before(text, match.start())) or match[2] == "/"
            if told and (_is_date(year, second, first) or _is_date(year, first, second)):
                yield match.span()
        for match in self._day_month.finditer(text):
            if _is_date(match[3] or "2024", match[2], match[1]) and _is_month_name(match[2]):
                yield match.span()
        for match in self._month_day.finditer(text):
            if _is_date(match[3] or "2024", match[1], match[2]) and _is_month_name(match[1]):
                yield match.span()
        for match in self._month_year.finditer(text):
            if _is_month_name(match[1]):
                yield match.span()
        for match in self._birth_year.finditer(text):
            if not self._birth.isdisjoint(words_before(text, match.start())[-3:]):
                yield match.span()


def _is_month_name(word: str) -> bool:
    """False for "may 3" and "mar 10", which are verbs and words of other languages in lower case."""
    return not (word.islower() and word in {"may", "mar", "mars", "jan", "dec", "sep", "mai"})


def _is_date(year: str, month: str, day: str) -> bool:
    number = _MONTHS.get(month.casefold()) or (int(month) if month.isdigit() else 0)
    full_year = int(year) + 1900 if len(year) == 2 else int(year)
    try:
        dt.date(full_year, number, int(day))
    except ValueError:
        return False
    return 1800 <= full_year <= 2200
