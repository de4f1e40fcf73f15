"""Recognisers for identifiers that have a form: addresses, numbers, dates.

Theory of operation. A recogniser is two steps: a cheap gate and candidate expression, then a validation that a
chance string does not pass: a checksum, a number plan, a calendar, or a context word that stands as a whole token
just before. A weak shape (nine digits, a capitalised word and a number) is never taken on its own.

Rules:

1. `find(text)` yields mentions in order of their start; mentions of one recogniser do not overlap.
2. Expressions are linear: every repetition is bounded or delimited by what it repeats.
3. A false candidate costs little, a missed identifier is disclosed: where the checksum fails but the sentence says
   what the number is ("my card number is ..."), the words decide.

Sources: E.164 and national plans (`phonenumbers`), ISO/IEC 7812 and ISO 13616 (`stdnum`), RFC 4291 and RFC 791
(`ipaddress`), RFC 3986 for URLs, design section 6.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

import phonenumbers
from attrs import frozen
from stdnum import iban, luhn
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.us import itin, ssn

from privacy.mention import Mention

__all__ = [
    "DEFAULT_PHONE_REGIONS",
    "AddressRecogniser",
    "ContextIdRecogniser",
    "CreditCardRecogniser",
    "DateRecogniser",
    "EmailRecogniser",
    "IbanRecogniser",
    "IpAddressRecogniser",
    "NationalIdRecogniser",
    "PhoneRecogniser",
    "Recogniser",
    "SecretRecogniser",
    "UrlRecogniser",
    "default_recognisers",
    "find_patterns",
]

DEFAULT_PHONE_REGIONS: Final = ("US", "GB", "DE", "FR", "ES", "IT", "PL", "NL")
CONTEXT_CHARS: Final = 48
"""How far before a candidate its context words may stand."""

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
_GROUP_END = re.compile(r"\d(?!\w)")
_MAX_GROUPS: Final = 8
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n\s*\n")


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


class Recogniser(Protocol):
    """Finds one kind of identifier."""

    @property
    def name(self) -> str:
        """A short word; mentions carry it in `source` as `pattern:<name>`."""
        ...

    def find(self, text: str) -> Iterator[Mention]:
        """The mentions in `text`, by start, not overlapping."""
        ...


def _mention(start: int, end: int, label: str, name: str, score: float = 1.0) -> Mention:
    return Mention(start=start, end=end, label=label, score=score, source=f"pattern:{name}")


def _words_before(text: str, start: int) -> list[str]:
    """The whole tokens, folded, of the same sentence that stand within `CONTEXT_CHARS` before `start`."""
    low = max(0, start - CONTEXT_CHARS)
    before = text[low:start]
    for end in _SENTENCE_END.finditer(before):
        before = text[low + end.end() : start]
    words = [match.group().casefold() for match in _WORD.finditer(before)]
    cut_off = low > 0 and words and not text[low - 1].isspace() and before == text[low:start]
    return words[1:] if cut_off else words


def _digits(text: str) -> str:
    return "".join(_DIGIT.findall(text))


@frozen
class EmailRecogniser:
    """E-mail addresses, by their `@` (also `%40` as in URLs) and a domain with a letter-only last label.

    Source: RFC 5321 section 4.1.2 without quoted local parts; international letters as in RFC 6531.
    """

    name = "email"
    _at = re.compile(r"@|%40|\s?[\[(]\s?at\s?[\])]\s?", re.IGNORECASE)
    _domain = re.compile(
        r"[^\W_](?:[\w-]{0,62})(?:(?:\.|\s?[\[(]\s?dot\s?[\])]\s?)[^\W_][\w-]{0,62}){0,8}"
        r"(?:\.|\s?[\[(]\s?dot\s?[\])]\s?)[^\W\d_]{2,24}(?![\w@])",
        re.IGNORECASE,
    )
    _local_marks = frozenset(".!#$%&'*+/=?^_`{|}~-")
    _program_accounts = frozenset({"git"})
    """`git@github.com:...` names a repository, not a person."""

    def find(self, text: str) -> Iterator[Mention]:
        taken = 0
        for at in self._at.finditer(text):
            start = at.start()
            while start > taken and (text[start - 1].isalnum() or text[start - 1] in self._local_marks):
                start -= 1
            # Query strings and quotes put marks of the local part's alphabet before it; `key=value` is the usual one.
            local = text[start : at.start()]
            start += max(local.rfind(mark) for mark in "=/'`{}|&?") + 1
            while start < at.start() and not text[start].isalnum():
                start += 1
            domain = self._domain.match(text, at.end())
            if start == at.start() or domain is None or text[start : at.start()] in self._program_accounts:
                continue
            taken = domain.end()
            yield _mention(start, domain.end(), "EMAIL", self.name)


@frozen
class PhoneRecogniser:
    """Telephone numbers of `regions` (ISO 3166 codes, tried in order) and international ones from anywhere.

    A candidate counts when it is written with `+`, when the number plan of a region knows it and it is grouped as a
    number, or when words before it say that it is a telephone number and its length is possible.
    """

    regions: Sequence[str] = DEFAULT_PHONE_REGIONS
    name = "phone"
    _candidate = re.compile(
        r"(?<![\w.,:/=$€£-])(?:\+|00)?\(?\d[\d ().\-/\u00a0\u2011]{5,24}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w)"
    )
    _international = re.compile(
        r"(?<!\w)\+\s?\(?\d[\d ().\-/\u00a0\u2011]{5,24}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?!\w)"
    )
    _us_form = re.compile(
        r"(?:\([2-9]\d\d\)\s?|[2-9]\d\d(?P<mark>[-. ]))[2-9]\d\d(?(mark)(?P=mark)|[-. ])\d{4}"
        r"(?:\s?(?:x|ext\.?)\s?\d+)?"
    )
    _extension = re.compile(r"\s?(?:x|ext\.?)\s?\d+$")
    _date = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
    _thousands = re.compile(r"\d{1,3}(?: \d{3})+|\d{1,3}(?:\.\d{3})+|\d{4}\s?-\s?\d{4}")
    _context = _words(
        "phone phones tel telephone telefon téléphone teléfono telefono mobile mobil handy cell cellphone fax "
        "call calls called calling whatsapp desk contact sms dial ring text reach landline hotline callback"
    )
    _other_context = _words(
        "card iban account acct invoice order isbn issn ticket case claim passport ssn policy routing "
        "tracking serial version mrn npi vin imei"
    )

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 7):
            return
        taken = 0
        spans = {match.span() for match in self._candidate.finditer(text)}
        spans |= {match.span() for match in self._international.finditer(text)}
        for start, stop in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start < taken:
                continue
            # Another number may follow ("... 0132. 1) Draft"): the longest run of groups that is one, counts.
            ends = [end for end in _group_ends(text, start, stop) if self._has_shape(text[start:end])]
            proven = [end for end in ends if self._is_proven(text[start:end], text, start)]
            told = proven or [end for end in ends if self._is_told(text[start:end], text, start)]
            if told:
                taken = told[0]
                yield _mention(start, taken, "PHONE", self.name)

    def _has_shape(self, candidate: str) -> bool:
        number = self._extension.sub("", candidate)
        digits, groups = len(_digits(number)), len(_GROUP_END.findall(number))
        if not 7 <= digits <= 15 or digits < 1.6 * groups or number.count(")") > number.count("("):
            return False
        return ". " not in number and "  " not in number and not self._date.match(number) and not _is_ip(number)

    def _is_proven(self, candidate: str, text: str, start: int) -> bool:
        """Whether the form or a number plan says that it is one."""
        if candidate.startswith("+"):
            return _is_possible(candidate, None)
        if self._us_form.fullmatch(candidate):
            return self._other_context.isdisjoint(_words_before(text, start)[-3:])
        grouped = any(mark in candidate for mark in " -.()/\u00a0\u2011")
        if not grouped or self._thousands.fullmatch(candidate):
            return False
        if not self._other_context.isdisjoint(_words_before(text, start)[-3:]):
            return False
        return any(self._matches_plan(candidate, region) for region in self.regions)

    def _is_told(self, candidate: str, text: str, start: int) -> bool:
        """Whether the words before it say that it is one; plans of other countries differ, so lengths suffice."""
        words = _words_before(text, start)[-6:]
        return not self._context.isdisjoint(words) and 7 <= len(_digits(self._extension.sub("", candidate))) <= 12

    def _matches_plan(self, candidate: str, region: str) -> bool:
        if not _is_valid(candidate, region):
            return False
        # The matcher also asks for the grouping and marks of a number; it costs ten times as much.
        matcher = phonenumbers.PhoneNumberMatcher(candidate, region, phonenumbers.Leniency.VALID, max_tries=2)
        return any(match.end - match.start == len(candidate) for match in matcher)


def _has_digits(text: str, count: int) -> bool:
    return any(found >= count for found, _ in enumerate(_DIGIT.finditer(text), start=1))


def _group_ends(text: str, start: int, stop: int) -> list[int]:
    """Where a run of digit groups from `start` may end, longest first, `stop` included; at most `_MAX_GROUPS`."""
    ends = [match.end() for match in _GROUP_END.finditer(text, start, stop)]
    return sorted({stop, *ends}, reverse=True)[:_MAX_GROUPS]


def _is_possible(candidate: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(candidate, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number)


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


@frozen
class CreditCardRecogniser:
    """Payment cards: 13 to 19 digits with single separators, a known issuer prefix and the Luhn check digit.

    After the word "card" a wrong check digit is a typing error, and twelve digits (old Maestro) are enough.
    Source: ISO/IEC 7812-1.
    """

    name = "credit_card"
    _candidate = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){11,18}(?!\w|[.-]\d)")
    _issuer = re.compile(
        r"1800|2131|3(?:0[0-5]|[4-9])|4|5[0-9]|6(?:011|04|3[0-9]|4[4-9]|5|2|7|9|0)|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"
    )
    _context = _words("card cards visa mastercard amex maestro discover kreditkarte karte carte tarjeta carta cc")

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 12):
            return
        position = 0
        while match := self._candidate.search(text, position):
            end = self._end(text, match)
            position = end or match.end()
            if end:
                yield _mention(match.start(), end, "CREDIT_CARD", self.name)

    def _end(self, text: str, match: re.Match[str]) -> int | None:
        """The end of the longest run of groups that is a card; an expiry date may follow the number."""
        start = match.start()
        if not self._issuer.match(_digits(match.group())):
            return None
        ends = _group_ends(text, start, match.end())
        for end in ends:
            digits = _digits(text[start:end])
            if len(digits) >= 13 and luhn.is_valid(digits) and len(set(digits)) > 1:
                return end
        said = not self._context.isdisjoint(_words_before(text, start)[-3:])
        return match.end() if said else None


@frozen
class IbanRecogniser:
    """International bank account numbers, by length and modulo-97 check; after the word IBAN by country and shape.

    Source: ISO 13616.
    """

    name = "iban"
    _candidate = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
    _group_end = re.compile(r"[A-Za-z0-9](?![A-Za-z0-9])")

    def find(self, text: str) -> Iterator[Mention]:
        position = 0
        while candidate := self._candidate.search(text, position):
            end = self._end(text, candidate.start(), candidate.end())
            if end is None:
                position = candidate.start() + 2
                continue
            position = end
            yield _mention(candidate.start(), end, "IBAN", self.name)

    def _end(self, text: str, start: int, stop: int) -> int | None:
        ends = [match.end() for match in self._group_end.finditer(text, start, stop)]
        if ends and ends[-1] == stop and text[stop : stop + 1].isalnum():
            ends.pop()
        for end in reversed(ends):
            if iban.is_valid(text[start:end], check_country=False):
                return end
        said = "iban" in _words_before(text, start)[-3:]
        if not said:
            return None
        # The words say what it is: every group up to the first one without a digit belongs to it.
        last = start
        for end in ends:
            if not _DIGIT.search(text, last, end):
                break
            last = end
        return last if len(_digits(text[start:last])) >= 10 else None


@frozen
class IpAddressRecogniser:
    """IPv4 and IPv6 addresses that can point to somebody: not loopback, netmasks or version numbers."""

    name = "ip_address"
    _v4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
    _v6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,39}(?:\.\d{1,3}){0,3}(?![\w:])")
    _not_before = _words(
        "version versions v ver release build firmware section chapter clause article paragraph rule update "
        "upgrade netmask mask subnetmask oid"
    )

    def find(self, text: str) -> Iterator[Mention]:
        found = [match.span() for match in self._v4.finditer(text) if self._is_v4(text, match)] if "." in text else []
        if text.count(":") >= 2:
            found += [match.span() for match in self._v6.finditer(text) if self._is_v6(match.group())]
        for start, end in sorted(found):
            yield _mention(start, end, "IP_ADDRESS", self.name)

    def _is_v4(self, text: str, match: re.Match[str]) -> bool:
        try:
            address = ipaddress.IPv4Address(match.group())
        except ValueError:
            return False
        if address.is_loopback or address.is_unspecified or match.group().startswith("255."):
            return False
        # `Chrome/120.0.0.0` is a version, `//10.0.0.1` a host.
        product = re.search(r"[A-Za-z]/$", text[max(0, match.start() - 2) : match.start()])
        return product is None and self._not_before.isdisjoint(_words_before(text, match.start())[-2:])

    def _is_v6(self, candidate: str) -> bool:
        if candidate.count(":") < 2 or not _DIGIT.search(candidate):
            return False
        try:
            address = ipaddress.IPv6Address(candidate)
        except ValueError:
            return False
        return not (address.is_loopback or address.is_unspecified)


@frozen
class UrlRecogniser:
    """URLs that name a person: credentials or personal keys in them, a profile page, or "my website".

    Links to documentation or news stay readable. Source: RFC 3986.
    """

    name = "url"
    _candidate = re.compile(
        r"(?<!\w)(?:https?|ftp|wss?)://[^\s<>\"'`\]}|\\]{3,2000}|(?<![\w@.])www\.[^\s<>\"'`\]}|\\]{3,500}",
        re.IGNORECASE,
    )
    _personal_key = re.compile(
        r"[?&;](?:user|username|user_?id|uid|email|e-?mail|mail|name|first_?name|last_?name|phone|tel|mobile|ssn|dob|"
        r"id|account|acct|customer|token|access_token|session|sid|key|api_?key|auth|password|pwd|code)=[^&\s]",
        re.IGNORECASE,
    )
    _profile = re.compile(
        r"(?:linkedin\.com/(?:in|pub)|facebook\.com|instagram\.com|twitter\.com|x\.com|tiktok\.com|t\.me|"
        r"medium\.com|reddit\.com/u(?:ser)?|youtube\.com/(?:user|c))/@?[\w.-]{2,}|/(?:~|users?/|profiles?/|"
        r"members?/|people/)[\w.-]{2,}",
        re.IGNORECASE,
    )
    _context = _words("website homepage webpage blog portfolio site domain")
    _owner = _words("my our his her their website homepage")

    def find(self, text: str) -> Iterator[Mention]:
        lowered = text.lower()
        if "://" not in lowered and "www." not in lowered:
            return
        for match in self._candidate.finditer(text):
            end = match.end()
            while text[end - 1] in ".,;:!?)":
                end -= 1
            if self._is_personal(text[match.start() : end], text, match.start()):
                yield _mention(match.start(), end, "URL", self.name)

    def _is_personal(self, url: str, text: str, start: int) -> bool:
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
        except ValueError:
            return True
        if "@" in parts.netloc or "@" in parts.query or "%40" in parts.query:
            return True
        if self._personal_key.search(f"?{parts.query}" if parts.query else "") or self._profile.search(url):
            return True
        words = set(_words_before(text, start)[-5:])
        return not self._context.isdisjoint(words) and not self._owner.isdisjoint(words)


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
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))


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
        rf"({_MONTH})\b\.?(?:,?[\s-](?:de )?(\d{{4}})(?!\w))?",
        re.IGNORECASE,
    )
    _month_day = re.compile(
        rf"(?<!\w)({_MONTH})\b\.?\s(\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%$.]\w|\w)(?:,?\s(\d{{4}})(?!\w))?", re.IGNORECASE
    )
    _month_year = re.compile(rf"(?<!\w)({_MONTH})\b\.?,?\s(?:of )?((?:19|20)\d{{2}})(?!\w)", re.IGNORECASE)
    _birth_year = re.compile(r"(?<!\w)(?:19|20)\d{2}(?!\w)")
    _birth = _words("born dob birth birthday birthdate birthyear geboren née né nacido nacida")

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 1):
            return
        taken = 0
        for start, end in sorted(self._spans(text), key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                yield _mention(start, end, "DATE_TIME", self.name)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self._iso.finditer(text):
            if _is_date(match[1], match[3], match[4]):
                yield match.span()
        for match in self._numeric.finditer(text):
            first, second, year = match[1], match[3], match[4]
            # Two-digit years are as good as fractions and versions unless the words say "born".
            told = len(year) == 4 or not self._birth.isdisjoint(_words_before(text, match.start())) or match[2] == "/"
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
            if not self._birth.isdisjoint(_words_before(text, match.start())[-3:]):
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


_CAP: Final = r"[^\W\d_a-zà-öø-ÿ][\w'’.-]*"
"""A word with a capital, or one in a script without them."""
_PLACE: Final = r"(?:(?:St|Ste|Mt|Ft)\.|[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-]){1,40}(?!\w))"
"""A capitalised word without digits or full stop, as places are called."""
_US_STATES: Final = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|AA|AE|AP|"
    "ON|QC|BC|AB|MB|SK|NS|NB|NL|PE|NSW|VIC|QLD|TAS"
)
_UK_POSTCODE: Final = r"(?:GIR 0AA|[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2})"
_CANADA_POSTCODE: Final = r"[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d"
_POSTCODE: Final = (
    rf"(?:{_UK_POSTCODE}|{_CANADA_POSTCODE}|"
    r"(?:[A-Z]{1,2}-)?\d{4,6}(?:-\d{3,4})?(?:\s?[A-Z]{2}(?!\w))?|\d{2}-\d{3}|\d{3} \d{2})(?!\w)"
)


# What streets are called, and the small words of their names.
_ENGLISH_STREETS: Final = (
    "Street|St|Str|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Circle|Cir|Place|Pl|"
    "Square|Sq|Terrace|"
    "Ter|Parkway|Pkwy|Highway|Hwy|Way|Trail|Trl|Close|Crescent|Cres|Gardens|Gdns|Grove|Mews|Row|Alley|Plaza|Loop|"
    "Turnpike|Tpke|Esplanade|Quay|Wharf|Walk|Broadway|Hill|Rise|Green|Park"
)
_GERMANIC_ENDINGS: Final = (
    "stra(?:ß|ss)e|str\\.|gasse|weg|platz|allee|damm|ufer|ring|straat|laan|plein|gracht|kade|dijk|gatan|gata|gade|"
    "vägen|vej|veien|katu|tie|kuja|polku|stræti|utca"
)
_GERMANIC_WORDS: Final = "Stra(?:ß|ss)e|Str\\.|Allee|Platz|Weg|Damm|Ring|Ufer|vej|väg|gate|gade|baan|utca|u\\."
_ROMANCE_STREETS: Final = (
    "rue|avenue|av\\.|boulevard|bd|place|chemin|allée|impasse|quai|cours|route|square|faubourg|calle|c/|avenida|"
    "avda\\.?|paseo|plaza|carrer|via|viale|piazza|corso|vicolo|largo|rua|travessa|ulica|ul\\.|al\\.|aleja|plac|pl\\."
)
_ROMANCE_PARTICLES: Final = (
    "de la|de l['’]|del|della|delle|dei|des|de|du|da|do|dos|d['’]|la|le|les|l['’]|los|las|el|san|santa|saint"
)
_COMPASS: Final = "N|S|E|W|NE|NW|SE|SW|North|South|East|West"
_UNITS: Final = "Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Bldg|Building|Piso|Wohnung|Whg"
_POSTCODE_NAMES: Final = "zip(?:[ -]?code)?|post ?code|postal code|plz|code postal|código postal"


@frozen
class AddressRecogniser:
    """Postal addresses: a street with its number, and the unit, city, region, postcode and country after it.

    Heads that count: number + words + English street type; Germanic street word + number; Romance or Slavic street
    word with name and number; any capitalised words + number when postcode and city follow; a post-office box; a
    postcode with its city, or after its own name; what follows the words "address is" and holds a number.
    """

    name = "address"
    _english = re.compile(
        rf"(?<![\w.,/$€£#-])\d{{1,6}}[A-Za-z]?(?:-\d{{1,5}})?,?[ \t]+"
        rf"(?:(?:{_CAP}|\d{{1,3}}(?:st|nd|rd|th)|\d{{1,5}}|the|of)[ \t]+){{1,5}}?"
        rf"(?:{_ENGLISH_STREETS})\b(?!['’])\.?(?:[ \t](?:{_COMPASS})\b\.?)?"
    )
    _english_short = re.compile(
        r"(?<![\w.,/$€£#-])\d{1,6}[A-Za-z]?[ \t](?:Broadway|The (?:Mall|Strand|Green)|Strand|Piccadilly)\b"
    )
    _germanic = re.compile(
        rf"(?<!\w)(?:\d{{1,5}}[ \t]+)?"
        rf"(?:[^\W\d_][\w.-]{{0,40}}(?:{_GERMANIC_ENDINGS})|{_CAP}[ \t-](?:{_GERMANIC_WORDS}))"
        r"[ \t]\d{1,4}(?:[ -]?[a-z](?!\w))?(?!\w|[.,]\d)"
    )
    _romance = re.compile(
        r"(?<![\w.,/])(?:\d{1,6},?[ \t]+){0,2}(?:(?i:bis|ter|quater)\b,?[ \t]+)?"
        rf"(?i:{_ROMANCE_STREETS})[ \t]+(?:(?i:{_ROMANCE_PARTICLES})[ \t]?){{0,3}}"
        rf"{_CAP}(?:[ \t](?:{_CAP}|de|du|la|le|des|del|da|do)){{0,4}}"
        r"(?:,?[ \t](?:n[º°o]\.?[ \t]?)?\d{1,4}[A-Za-z]?(?!\w))?"
    )
    _any_street = re.compile(
        rf"(?<!\w){_CAP}(?:[ \t]{_CAP}){{0,3}}[ \t]\d{{1,4}}[A-Za-z]?(?:/\d{{1,4}})?,?[ \t\n]+"
        rf"(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{2}}-\d{{3}})[ \t]+{_PLACE}"
    )
    _box = re.compile(
        r"(?<!\w)(?:P\.?\s?O\.?\s?Box|Postfach|Post Office Box|Apartado|PSC)[ \t]+\d{1,7}"
        r"(?:,?[ \t]+Box[ \t]+\d{1,6})?",
        re.IGNORECASE,
    )
    _city_state_zip = re.compile(
        rf"(?<!\w){_PLACE}(?:[ \t]{_PLACE}){{0,3}},?\s+(?:{_US_STATES})\.?\s+\d{{5}}(?:-\d{{4}})?(?!\w)"
    )
    _uk_postcode = re.compile(rf"(?<!\w){_UK_POSTCODE}(?!\w)")
    _named_postcode = re.compile(
        rf"(?<!\w)(?i:{_POSTCODE_NAMES})(?:['’]s)?(?:[ \t]+(?:is|was|of|to|number)|[ \t]*[:=#])?[ \t]*[\"']?"
        rf"(?P<code>[A-Z]{{0,2}}-?\d{{3,6}}(?:-\d{{3,4}})?(?: \d[A-Z]{{2}})?|{_UK_POSTCODE}|{_CANADA_POSTCODE})(?!\w)"
    )
    _named_address = re.compile(
        r"(?<!\w)(?i:address)(?:[ \t]+(?:is|to|was)(?:[ \t]+now)?|[ \t]*:)[ \t]*\n?[ \t]*"
        r"(?P<place>(?:\d{1,6}[A-Za-z]?[ \t]+[^\W\d_]|[^\W\d_a-z])[^\n;?!@\"]{4,90}"
        r"(?:\n[ \t]*[^\n;?!@\":]{2,60}){0,4})"
    )
    _unit_alone = re.compile(r"(?<!\w)(?:Apt|Apartment|Suite|Ste|Flat)\b\.?[ \t]*#?\d{1,5}[A-Za-z]?(?!\w)")
    _lives_at = re.compile(
        r"(?<!\w)(?i:lives?|living|located|resid(?:es?|ing)|staying|taxi|delivered|ship(?:ped)?|"
        r"sent)[ \t]+(?:at|to)[ \t]+"
        r"(?P<place>\d{1,6}[A-Za-z]?,?[ \t]+[^\W\da-z_][^\n;?!@\"]{4,90})"
    )
    _unit = re.compile(rf"\s*,?\s+(?:(?i:{_UNITS})\b\.?[ \t]*#?|#[ \t]?)(?:\d\w{{0,5}}|[A-Z]\d{{0,4}})(?!\w)")
    _tail = re.compile(
        rf"\s*,\s*(?:{_POSTCODE}[ \t]+)?{_PLACE}(?:[ \t]+(?:{_PLACE}|am|an der|sur|en|de|upon|of|the)){{0,3}}"
        rf"(?:\s*,?\s+(?:{_US_STATES})(?!\w))?(?:\s*,?\s+{_POSTCODE})?"
        rf"|\s*,?\s+{_POSTCODE}(?:[ \t]+{_PLACE}(?:[ \t]{_PLACE}){{0,2}})?"
        rf"|\s*,?\s+(?:{_PLACE}[ \t]){{1,3}}(?:{_US_STATES})[ \t]+\d{{5}}(?:-\d{{4}})?(?!\w)"
    )
    _max_tails = 4
    _month = re.compile(rf"\b(?:{_MONTH})\b", re.IGNORECASE)
    _not_street = _words(
        "chapter section page figure table version article step question item python level part windows iphone"
    )
    _place_end = re.compile(
        r"(?<![A-Z])(?<!\bSt)(?<!\bDr)(?<!\bRd)(?<!\bApt)(?<!\bAve)(?<!\bSte)(?<!\bStr)\.(?=\s|$)|\n\s*\n"
        r"|\b(?:and|but|so|my|please|tel|phone|email|since|with|for|from|until|where|who|which|because|if|"
        r"then|when|she|he|they|we)\b"
    )

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 1):
            return
        taken = 0
        for start, end in sorted(set(self._spans(text)), key=lambda span: (span[0], -span[1])):
            low = max(start, taken)
            if end > low:
                taken = end
                yield _mention(low, end, "ADDRESS", self.name)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for head in (self._english, self._english_short, self._germanic, self._romance, self._any_street, self._box):
            for match in head.finditer(text):
                if self._is_street(match.group(), numbered_by_form=head is self._box):
                    yield match.start(), self._with_tail(text, match.end())
        for match in self._city_state_zip.finditer(text):
            yield match.span()
        yield from (match.span() for match in self._uk_postcode.finditer(text))
        for match in self._named_postcode.finditer(text):
            yield match.span("code")
        yield from (match.span() for match in self._unit_alone.finditer(text))
        for match in (*self._named_address.finditer(text), *self._lives_at.finditer(text)):
            place = self._place(match["place"])
            if place:
                yield match.start("place"), match.start("place") + len(place)

    def _is_street(self, head: str, *, numbered_by_form: bool) -> bool:
        if not (numbered_by_form or _DIGIT.search(head)):
            return False
        words = {match.group().casefold() for match in _WORD.finditer(head)}
        return self._month.search(head) is None and self._not_street.isdisjoint(words)

    def _with_tail(self, text: str, end: int) -> int:
        if unit := self._unit.match(text, end):
            end = unit.end()
        for _ in range(self._max_tails):
            tail = self._tail.match(text, end)
            if tail is None:
                break
            end = tail.end()
            # A comma and a capital also begin other things: without a number one place name is all that is taken.
            if not _DIGIT.search(tail.group()):
                closing = self._tail.match(text, end)
                return closing.end() if closing and _DIGIT.search(closing.group()) else end
        return end

    def _place(self, place: str) -> str:
        """`place` up to the sentence's end, or "" when no number stands in it."""
        stop = self._place_end.search(place)
        place = (place[: stop.start()] if stop else place).rstrip(" \t\n,")
        return place if _DIGIT.search(place) and sum(map(str.isalpha, place)) >= 3 else ""


@frozen
class NationalIdRecogniser:
    """National numbers that carry their own proof: US SSN and ITIN, Spanish DNI and NIE, French NIR, Italian code.

    The dashed form of an SSN counts when its area is assigned, or after its name.
    """

    name = "national_id"
    _us = re.compile(r"(?<![\w-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])")
    _us_bare = re.compile(r"(?<![\w-])\d{9}(?![\w-])")
    _spanish = re.compile(r"(?<![\w-])(?:\d{8}|[XYZ]\d{7})-?[A-Z](?![\w-])")
    _french = re.compile(r"(?<![\w-])[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?![\w-])")
    _italian = re.compile(r"(?<![\w-])[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?![\w-])", re.IGNORECASE)
    _context = _words("ssn social security itin taxpayer")

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 7):
            return
        spans = [match.span() for match in self._us.finditer(text) if self._is_us(text, match)]
        spans += [m.span() for m in self._us_bare.finditer(text) if self._is_named(text, m.start())]
        spans += [m.span() for m in self._spanish.finditer(text) if dni.is_valid(m.group()) or nie.is_valid(m.group())]
        spans += [match.span() for match in self._french.finditer(text) if nir.is_valid(match.group())]
        spans += [match.span() for match in self._italian.finditer(text) if codicefiscale.is_valid(match.group())]
        taken = 0
        for start, end in sorted(spans):
            if start >= taken:
                taken = end
                yield _mention(start, end, "ID", self.name)

    def _is_named(self, text: str, start: int) -> bool:
        return not self._context.isdisjoint(_words_before(text, start)[-5:])

    def _is_us(self, text: str, match: re.Match[str]) -> bool:
        number = _digits(match.group())
        if self._is_named(text, match.start()):
            return True
        return match[1] == "-" and (bool(ssn.is_valid(number)) or bool(itin.is_valid(number)))


@frozen
class ContextIdRecogniser:
    """Numbers of records, accounts, documents and devices: the name of the number, then something of its shape.

    Strong names ("passport", "MRN") need no more than a following token with digits; weak ones ("case", "account")
    also need "number", "no", "id" or a colon. Prefixed forms (`MRN-123456`) and hardware addresses name themselves.
    """

    name = "context_id"
    _strong = (
        r"passport|driver['’]?s?[ -]licen[cs]e|driving licen[cs]e|licen[cs]e plate|number plate|mrn|medical record|"
        r"patient id|health insurance|npi|dea|vin|vehicle identification|ssn|social security|national id|tax id|"
        r"taxpayer id|employer identification|ein|nhs|sort code|routing|swift|bic|aadhaa?r|pan card|voter id|visa|"
        r"nino|national insurance|steuer-?id|personalausweis|pesel|dni|nie|bsn|imei|iccid|student id|employee id|"
        r"badge|prescription|policyholder id|customer id|member id|user ?id|username|user name|login|"
        r"screen name|twitter|"
        r"instagram|handle|pnr|crypto address|bitcoin address|biometric id|insurance id|account id|"
        r"device id|uuid|reference id"
    )
    _weak = (
        r"account|acct|a/c|case|claim|policy|member|membership|order|invoice|ticket|booking|reservation|"
        r"reference|ref|file|"
        r"docket|application|customer|client|patient|employee|insurance|licen[cs]e|permit|certificate|"
        r"registration|contract|"
        r"identification|id|record|serial|tracking|bank account|konto|dossier|matricule|card"
    )
    _qualifier = r"(?:number|numbers|num|no|nr|nº|n°|#|code|id|card|details?|information)"
    _filler = r"(?:[ \t]*(?:is|was|are|of|to|ending(?: in| with)?|:|=|#|[\"'(*]|-(?=[ \t]))[ \t]*){0,4}"
    _shape = r"(?P<id>[A-Za-z0-9@](?:[A-Za-z0-9._:/-]|[ ](?=\d)){2,40})"
    _expressions = (
        re.compile(
            rf"(?<![^\W_])(?:{_strong})(?:['’]s)?(?:[ \t_-]*{_qualifier}\b\.?){{0,3}}[ \t]*{_filler}[ \t]*{_shape}",
            re.IGNORECASE,
        ),
        re.compile(
            rf"(?<![^\W_])(?:{_weak})[ \t_-]*(?:{_qualifier}(?!\w)\.?|(?=[:#][ \t]*[\"']?\w))"
            rf"(?:[ \t]*{_qualifier}(?!\w)\.?)?[ \t]*{_filler}[ \t]*{_shape}",
            re.IGNORECASE,
        ),
        re.compile(
            r"(?<![\w-])(?P<id>(?:MRN|NHS|SSN|PAT|PID|INS|POL|EMP|NID|CLM|ACC|ACCT|CUST|CASE|PASS|DL|RX|"
            r"BIO|ENC|CASE)[-_#][A-Za-z0-9-]{4,30})(?!\w)"
        ),
        re.compile(r"(?<![\w:.-])(?P<id>(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?![\w:-])"),
    )
    _prefixed = frozenset(_expressions[2:])
    _year = re.compile(r"(?:19|20)\d{2}")
    _date = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")

    def find(self, text: str) -> Iterator[Mention]:
        if not _has_digits(text, 3):
            return
        spans: set[tuple[int, int]] = set()
        for expression in self._expressions:
            for match in expression.finditer(text):
                start, end = match.span("id")
                while end > start and text[end - 1] in ".:/-_ ":
                    end -= 1
                if self._has_shape(text[start:end]):
                    spans.add((start, end))
        taken = 0
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                yield _mention(start, end, "ID", self.name)

    def _has_shape(self, token: str) -> bool:
        digits = len(_digits(token))
        if self._year.fullmatch(token) or self._date.fullmatch(token) or "//" in token:
            return False
        letters = sum(map(str.isalpha, token))
        return digits >= 3 or (digits >= 2 and letters >= 4)


@frozen
class SecretRecogniser:
    """Passwords and keys: what follows "password", and the published prefixes of providers' keys and tokens."""

    name = "secret"
    _named = re.compile(
        r"(?<![^\W_])(?:password|passwd|passcode|passphrase|pwd|pin(?: code)?|api[ _-]?key|secret key|"
        r"access[ _-]?token)"
        r"(?:[ \t]+(?:is|was|of|to)|[ \t]*[:=])?[ \t]*[\"'“‘(]?"
        r"(?P<id>[^\s\"'”’<>]{4,128})",
        re.IGNORECASE,
    )
    _prefixed = re.compile(
        r"(?<!\w)(?:sk_(?:live|test)_\w{8,}|sk-[\w-]{20,}|gh[pousr]_\w{20,}|xox[abpr]-[\w-]{10,}|"
        r"AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}(?:\.[\w-]{4,}){1,2})"
    )

    def find(self, text: str) -> Iterator[Mention]:
        spans = {match.span() for match in self._prefixed.finditer(text)}
        for match in self._named.finditer(text):
            token = match["id"].rstrip(".,;:!?)")
            if self._is_secret(token):
                spans.add((match.start("id"), match.start("id") + len(token)))
        taken = 0
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                yield _mention(start, end, "ID", self.name)

    def _is_secret(self, token: str) -> bool:
        has_digit = any(map(str.isdigit, token))
        if token.isdigit():
            return 4 <= len(token) <= 12
        code = any(mark in token for mark in "()[]{}")
        return not code and has_digit and any(map(str.isalpha, token))


def default_recognisers(regions: Sequence[str] = DEFAULT_PHONE_REGIONS) -> tuple[Recogniser, ...]:
    """One of each; `regions` are the ISO 3166 codes whose national telephone numbers are looked for."""
    return (
        EmailRecogniser(),
        UrlRecogniser(),
        CreditCardRecogniser(),
        IbanRecogniser(),
        IpAddressRecogniser(),
        PhoneRecogniser(tuple(regions)),
        NationalIdRecogniser(),
        ContextIdRecogniser(),
        SecretRecogniser(),
        AddressRecogniser(),
        DateRecogniser(),
    )


def find_patterns(text: str, recognisers: Iterable[Recogniser]) -> list[Mention]:
    """Everything that `recognisers` find, by start; mentions of different recognisers may overlap."""
    return sorted(mention for recogniser in recognisers for mention in recogniser.find(text))
