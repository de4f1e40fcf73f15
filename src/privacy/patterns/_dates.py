"""Calendar dates, validated by the calendar, and years where the words show that they are years.

Rules: durations, weekdays, "tomorrow" and times of day identify nobody; a number is a year behind a preposition of
time, in a range or in a life span, and not before what is counted; months are known in English, German, French,
Spanish, Italian, Portuguese, Dutch, Danish, Swedish and Polish.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, last_word, mention_of, words_before

MONTHS: Final = {
    word: number
    for number, words in enumerate(
        (
            "january jan januar janvier janv enero gennaio janeiro januari stycznia",
            "february feb febr februar février fevrier févr febrero febbraio fevereiro februari lutego",
            "march mar märz mars marzo março maart marts marca",
            "april apr avril avr abril aprile kwietnia",
            "may mai mayo maggio maio mei maj maja",
            "june jun juni juin junio giugno junho czerwca",
            "july jul juli juillet juil julio luglio julho lipca",
            "august aug août aout agosto augusti augustus sierpnia",
            "september sep sept septembre septiembre settembre setembro września",
            "october oct oktober okt octobre octubre ottobre outubro października",
            "november nov novembre noviembre novembro listopada",
            "december dec dezember dez décembre decembre déc diciembre dicembre dezembro grudnia",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip
_AND: Final = r"(?:and|or|to|till|until|und|bis|et|au|y|al|e|og|til|en|i)"


@frozen
class DateRecogniser:
    """Absolute dates: numeric and ISO ones, and days and years around the name of a month."""

    name = "date"
    _iso = re.compile(
        r"\d{4}([-/.])(\d{1,2})\1(\d{1,2})"
        r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?(?![\w-])"
    )
    _numeric = re.compile(r"(\d{1,2})(\s?[-/.]\s?)(\d{1,2})\2((?:1[89]|20)\d{2}|\d{2})(?![\w/-])")
    _german_day = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.(?![\d\w])")
    _east_asian = re.compile(r"\d{4}\s?[年년]\s?\d{1,2}\s?[月월](?:\s?\d{1,2}\s?[日일])?")
    _days_before = re.compile(
        rf"(?<![\w./:-])(?:(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th|er|[.º°ª])?(?:,\s?|\s?[-–/&]\s?|\s{_AND}\s(?:the\s)?)){{0,4}}"
        r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|[.º°ª])?[\s./-]{0,2}"
        r"(?:of\sthe\s|(?:day\s)?of\s|de\s|d['’]|di\s)?\Z"
    )
    _year_after = re.compile(r"\.?(?:,?[\s/-]|)(?:of\s|del?\s)?['’]?(?P<year>\d{4})(?!\w)")
    _days_after = re.compile(
        r"\.?\s(?:the\s)?(?P<day>\d{1,2})(?:st|nd|rd|th)?"
        rf"(?:(?:\s?[-–&]\s?|,\s|\s{_AND}\s(?:the\s)?)\d{{1,2}}(?:st|nd|rd|th)?(?![\w:%]|[.]\d)){{0,4}}"
        r"(?![\w:%$]|[.]\w)(?:,?\s(?P<year>\d{4})(?!\w))?"
    )
    _month_after = re.compile(
        rf"\.?(?:\s?[-–/]\s?|,\s|\s{_AND}\s)([^\W\d_]{{3,12}})\.?,?\s(?:of\s|del?\s)?\d{{4}}(?!\w)"
    )
    _birth = word_set("born dob birth birthday birthdate geboren geb né née nacido nacida nato nata født fødselsdato")
    _dated = word_set("am vom den dem bis seit zum date dated datum le du del il el al dal pr per dato on since until")
    _verbs = word_set("may mar jan dec sep")
    """Written small they are verbs or words of other languages more often than months."""
    _ordinal = re.compile(r"\d(?:st|nd|rd|th)?\s(?:of\s)?\Z")

    def find(self, page: Page) -> Iterator[Mention]:
        if not page.numbers and not page.digits:
            return
        for start, end in apart(self._spans(page)):
            # "1 May." ends its sentence; the stop of "1 Jan." is no loss.
            yield mention_of(start, end - (page.text[end - 1] == "."), "DATE_TIME", self.name)

    def _spans(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        for start, end in page.numbers:
            if end - start == 4:
                match = self._iso.match(text, start)
                if match and _is_date(text[start:end], match[2], match[3]) and text[start - 1 : start] != "-":
                    yield match.span()
            elif end - start <= 2:
                yield from self._numeric_at(text, start)
        if "年" in text or "년" in text:
            yield from (match.span() for match in self._east_asian.finditer(text))
        for start in page.places(MONTHS.keys()):
            if span := self._around_month(text, start):
                yield span

    def _numeric_at(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        if text[start - 1 : start] in {".", "/", "-"} and start:
            return
        if match := self._numeric.match(text, start):
            first, mark, second, year = match.groups()
            full = len(year) == 4
            words = () if full or mark == "/" else words_before(text, start)[-2:]
            # Two-digit years are as good as versions, and spaced ones as fractions, unless the words tell.
            told = full or mark == "/" or not (self._birth | self._dated).isdisjoint(words)
            if told and (full or " " not in mark) and (_is_date(year, second, first) or _is_date(year, first, second)):
                yield match.span()
            return
        match = self._german_day.match(text, start)
        if match and last_word(text, start) in self._dated and _is_date("2024", match[2], match[1]):
            yield match.start(), match.end() - 1

    def _around_month(self, text: str, start: int) -> tuple[int, int] | None:
        """The date whose month begins at `start`."""
        end = start
        while text[end : end + 1].isalpha():
            end += 1
        word = text[start:end]
        if text[start - 1 : start] == "_" or text[end : end + 1] == "_":
            return None
        month = str(MONTHS[word.casefold()])
        low = max(0, start - 44)
        before = self._days_before.search(text, low, start)
        if before is not None and _is_date("2024", month, before["day"]):
            year = self._year_after.match(text, end)
            if not self._is_month(word, told=year is not None or before["day"] + "th" in before.group()):
                return None
            return before.start(), year.end() if year else end + (text[end : end + 1] == "." and len(word) < 5)
        if start and (text[start - 1].isalnum() or text[start - 1] in "_@#"):
            return None
        if (year := self._year_after.match(text, end)) is not None and 1500 <= int(year["year"]) <= 2200:
            return (start, year.end()) if self._is_month(word, told=False) else None
        if (days := self._days_after.match(text, end)) is not None and _is_date("2024", month, days["day"]):
            return (start, days.end()) if self._is_month(word, told=days["year"] is not None) else None
        if (follows := self._month_after.match(text, end)) is not None and follows[1].casefold() in MONTHS:
            return (start, end) if self._is_month(word, told=False) else None
        return None

    def _is_month(self, word: str, *, told: bool) -> bool:
        """False for "may 3" and "mar 10", which are verbs and words of other languages in lower case."""
        return told or not (word.islower() and word in self._verbs)


def _is_date(year: str, month: str, day: str) -> bool:
    full_year = int(year) + 1900 if len(year) == 2 else int(year)
    try:
        dt.date(full_year, int(month), int(day))
    except ValueError:
        return False
    return 1500 <= full_year <= 2200


@frozen
class YearRecogniser:
    """Years that stand alone: behind a preposition of time ("in 1974"), in a range, in a life span, after "born"."""

    name = "year"
    _prepositions = word_set(
        "in since until till from between before after during circa born class seit bis ab jahr jahre jahren geboren "
        "en depuis année année desde hasta año nel dal dopo anno né née sinds jaar siden fra år sedan från roku"
    )
    _range = re.compile(
        r"\s?(?:[-–—/]|to|and|until|till|bis|und|et|à|y|a|al|e|og|til|en|t/m)\s?((?:1[5-9]|20)\d{2})(?![\w%])"
    )
    _opens_span = re.compile(r"\((?:born|b\.|geb\.?|\*|c\.|né|née)?\s?\Z")
    _counted = re.compile(
        r"(?:[.,]\d|[%$€£°]|\s?(?:people|persons|users|met(?:re|er)s|words|characters|tokens|lines|rows|km|mi|miles|ml|mg|"
        r"kg|g|lbs?|dollars|euros|eur|usd|gbp|pln|years|days|hours|minutes|seconds|ms|steps|points|pages|items|cases|"
        r"times|calories|kcal|mb|gb|hz|rpm|volts|watts|units|pieces|copies|bits|bytes|samples|examples|others)\b)",
        re.IGNORECASE,
    )

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        reached = 0
        for start, end in page.numbers:
            if end - start != 4 or not 1500 <= int(text[start:end]) <= 2099 or start < reached:
                continue
            after = text[end : end + 2]
            range_ = self._range.match(text, end)
            if after[:1].isalnum() or (after[:1] in "-/_:.,’'–" and after[1:].isalnum() and range_ is None):
                continue
            reached = end
            if self._is_year(text, start, end, range_):
                yield mention_of(start, end, "DATE_TIME", self.name, 0.8)
                if range_ is not None and not self._counted.match(text, range_.end()):
                    reached = range_.end()
                    yield mention_of(range_.start(1), range_.end(1), "DATE_TIME", self.name, 0.8)

    def _is_year(self, text: str, start: int, end: int, range_: re.Match[str] | None) -> bool:
        if self._counted.match(text, end if range_ is None else range_.end()):
            return False
        if self._opens_span.search(text, max(0, start - 8), start):
            return text[end : end + 1] in "),–-"
        word = last_word(text, start).casefold()
        return word in self._prepositions and text[start - 1].isspace()
