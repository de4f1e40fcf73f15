"""Telephone numbers, by their form, a number plan, or the words before them.

Rules: a number written with `+` counts when it is possible at all; a national one when a plan of the regions given
knows it and it is grouped as a number, or begins with a zero; any other only behind "call", "tel" and the like. Words
that name another kind of number ("invoice") are against it. To ask a plan costs a millisecond: of a list
of thousands of numbers, those beyond a bound count unasked.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import phonenumbers
from attrs import define, frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import GROUP_END, Page, digits_in, group_ends, mention_of, words_before

DEFAULT_PHONE_REGIONS: Final = ("US", "GB", "DE", "FR", "ES", "IT", "PL", "NL")
_COUNTING: Final = "01234567890123456789"
_MAX_ASKED: Final = 2_000


@define
class _Questions:
    """How often the plans may still be asked about numbers of a text."""

    left: int = _MAX_ASKED

    def take(self) -> bool:
        """Whether one may be asked."""
        self.left -= 1
        return self.left >= 0


@frozen
class PhoneRecogniser:
    """Telephone numbers of `regions` (ISO 3166 codes, tried in order) and international ones from anywhere.

    A candidate counts when it is written with `+`, when the number plan of a region knows it and it is grouped as a
    number, or when words before it say that it is a telephone number and its length is possible.
    """

    regions: Sequence[str] = DEFAULT_PHONE_REGIONS
    name = "phone"
    _candidate = re.compile(
        r"(?<![\w.,:/=$€£-])(?:\+|00)?(?:\(|(?!\d{1,2}[.)] ))\d[\d ().\-/\u00a0\u2011]{5,24}\d"
        r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w)"
    )
    """Without the number of an item in a list ("1) 212-555-0143")."""
    _international = re.compile(
        r"(?<!\w)\+\s?\(?\d[\d ().\-/\u00a0\u2011]{5,24}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w)"
    )
    _us_form = re.compile(
        r"(?:\([2-9]\d\d\)\s?|[2-9]\d\d(?P<mark>[-. ]))[2-9]\d\d(?(mark)(?P=mark)|[-. ])\d{4}"
        r"(?:\s?(?:x|ext\.?)\s?\d+)?"
    )
    _separators = frozenset(" -.()/\u00a0\u2011")
    _extension = re.compile(r"\s?(?:x|ext\.?)\s?\d+$")
    _date = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
    _thousands = re.compile(r"\d{1,3}(?: \d{3})+|\d{1,3}(?:\.\d{3})+|\d{4}\s?-\s?\d{4}")
    _row_before = re.compile(r"\d[ \t]\Z")
    _row_after = re.compile(r"[ \t]\d")
    _no_group = re.compile(r"(?<!\d)\d\.|(?<!\d)(?<!\d{3}\D)\d\Z")
    _kind_behind = re.compile(
        r"[ \t]?[-–(]?[ \t]?\(?(?:office|fax|mobile|cell|home|work|direct|landline)\b", re.IGNORECASE
    )
    _context = word_set(
        "messages answering texting texted phoned phoning dialled dialed voicemail "
        "phone phones tel telephone telefon téléphone teléfono telefono mobile mobil handy cell cellphone fax "
        "call calls called calling whatsapp desk contact sms dial ring text reach landline hotline callback"
    )
    _other_context = word_set(
        "card iban account acct invoice order isbn issn ticket case claim passport ssn policy routing "
        "tracking serial version mrn npi vin imei"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        if page.digits < 7:
            return
        text, taken, questions = page.text, 0, _Questions()
        spans = {match.span() for match in self._candidate.finditer(text)}
        spans |= {match.span() for match in self._international.finditer(text)}
        for start, stop in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start < taken:
                continue
            # Another number may follow ("... 0132. 1) Draft"): the longest run of groups that is one, counts.
            ends = [end for end in group_ends(text, start, stop) if self._has_shape(text[start:end])]
            end = next((end for end in ends if self._is_proven(text[start:end], text, start, questions)), None)
            if end is None and ends:
                told = self._is_told(text, start)
                likely = (end for end in ends if told or self._kind_behind.match(text, end))
                end = next((end for end in likely if self._is_as_long(text[start:end])), None)
            if end is not None:
                taken = end
                yield mention_of(start, taken, "PHONE", self.name)

    def _has_shape(self, candidate: str) -> bool:
        number = self._extension.sub("", candidate)
        digits, groups = len(digits_in(number)), len(GROUP_END.findall(number))
        if not 7 <= digits <= 15 or digits < 1.6 * groups or number.count(")") > number.count("("):
            return False
        if ". " in number or "  " in number or " / " in number or self._date.match(number):
            return False
        return number.count(".") != 3 or not _is_ip(number)

    def _is_proven(self, candidate: str, text: str, start: int, questions: _Questions) -> bool:
        """Whether the form or a number plan says that it is one."""
        if candidate.startswith("+"):
            return _is_possible(digits_in(self._extension.sub("", candidate)))
        if self._us_form.fullmatch(candidate):
            return self._other_context.isdisjoint(words_before(text, start)[-3:])
        # Numbers in a table are in a row, end in single digits, and mix points with hyphens; so do versions.
        end = start + len(candidate)
        if self._row_before.search(text, max(0, start - 2), start) or self._row_after.match(text, end):
            return False
        if self._no_group.search(candidate) or ("." in candidate and "-" in candidate):
            return False
        if self._thousands.fullmatch(candidate) or not self._other_context.isdisjoint(words_before(text, start)[-3:]):
            return False
        digits = digits_in(self._extension.sub("", candidate))
        regions = [region for region in self.regions if _plan(region).knows(digits)]
        if self._separators.isdisjoint(candidate):
            # No quantity begins with a zero; a national number of ten digits and more does.
            national = candidate.startswith("0") and 10 <= len(candidate) <= 11
            return (
                national
                and digits not in _COUNTING
                and any(not questions.take() or _is_valid(candidate, region) for region in regions)
            )
        return any(not questions.take() or self._matches_plan(candidate, region) for region in regions)

    def _is_told(self, text: str, start: int) -> bool:
        """Whether the words before it say that it is one."""
        return not self._context.isdisjoint(words_before(text, start)[-6:])

    def _is_as_long(self, candidate: str) -> bool:
        """Whether it is as long as one: plans of other countries than the regions differ."""
        digits = digits_in(self._extension.sub("", candidate))
        return 7 <= len(digits) <= (15 if digits.startswith("00") else 12)

    def _matches_plan(self, candidate: str, region: str) -> bool:
        # The matcher validates, and asks for the grouping and marks of a number; it costs as much as all else here.
        matcher = phonenumbers.PhoneNumberMatcher(candidate, region, phonenumbers.Leniency.VALID, max_tries=2)
        return any(match.end - match.start == len(candidate) for match in matcher)


@frozen
class _Plan:
    """As much of a region's numbering plan as says quickly that a number is none of its."""

    numbers: re.Pattern[str]
    trunk_prefix: str

    def knows(self, digits: str) -> bool:
        """Whether `digits`, with or without the trunk prefix, can be a number of this region."""
        if self.numbers.fullmatch(digits):
            return True
        prefix = self.trunk_prefix
        return bool(prefix and digits.startswith(prefix) and self.numbers.fullmatch(digits, len(prefix)))


@cache
def _plan(region: str) -> _Plan:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        raise ValueError(f"{region!r} is no region with telephone numbers: use ISO 3166 codes such as 'DE'")
    pattern = metadata.general_desc.national_number_pattern
    return _Plan(re.compile(pattern or "(?!)"), metadata.national_prefix or "")


def _is_possible(digits: str) -> bool:
    """Whether `digits` are a country's code and as many as its numbers have, with their trunk prefix or not."""
    for size in (1, 2, 3):
        prefix, lengths = _lengths(digits[:size])
        rest = digits[size:]
        if len(rest) in lengths or (prefix and rest.startswith(prefix) and len(rest) - len(prefix) in lengths):
            return True
    return False


@cache
def _lengths(country_code: str) -> tuple[str, frozenset[int]]:
    """The trunk prefix behind a country's code, and how many digits its numbers have; none for what is no code."""
    region = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(country_code), ("",))[0]
    metadata = (
        phonenumbers.PhoneMetadata.metadata_for_nongeo_region(int(country_code))
        if region == "001"
        else phonenumbers.PhoneMetadata.metadata_for_region(region)
        if region
        else None
    )
    if metadata is None or metadata.general_desc is None:
        return "", frozenset()
    return metadata.national_prefix or "", frozenset(metadata.general_desc.possible_length or ())


def _is_valid(candidate: str, region: str) -> bool:
    try:
        number = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def _is_ip(candidate: str) -> bool:
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return True
