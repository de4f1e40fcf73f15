"""Identifiers written so that a reader sees them and a program does not: spaced out, spelled out, lettered.

Theory of operation. Cheap expressions find stretches that look respelled. For each one a window is made, in which the
stretch is written as usual, with the text around it for context, and only recognisers whose finds are proven read it.
What they find there is told in the offsets of the text. A text without such stretches costs the expressions alone.

Rules: a window is made only where it can hold an identifier (an `@`, or seven digits); its recognisers are those of
`RESPELLED`; every character of the window knows its place.
"""

import re
import unicodedata
from collections.abc import Iterator, Set
from typing import Final

from attrs import define, evolve, field, frozen

from privacy.exposure import word_set
from privacy.folding import View
from privacy.patterns._recogniser import DIGIT, Page, words_before

RESPELLED: Final = frozenset({"email", "credit_card", "iban", "phone", "national_id", "ip_address"})
"""Names of the recognisers that read respelled windows."""

_BEFORE: Final = 48
_AFTER: Final = 16
_LEAST_DIGITS: Final = 7

_SPACED: Final = re.compile(r"(?<![^\s(\"'<:])\S(?:(?:[ \t]{1,3}|[ \t]?\r?\n[ \t]?)\S(?![^\s.,;:!?)\"'>])){6,}")
_GAP: Final = re.compile(r"\s+")
_MARKED: Final = re.compile(
    r"(?<![^\W_])[^\W_](?P<mark>[ \t]?(?:[^\w\s]|_){1,2}[ \t]?)[^\W_](?:(?P=mark)[^\W_]){6,}(?![^\W_])"
)
_NEXT_TO_DIGIT: Final = re.compile(r"\d[ -]?[OoIl|SBZ]|[OoIl|SBZ][ -]?\d")
_LETTERED: Final = re.compile(
    r"(?<![\w|])(?:(?<=\+)|(?![Il][ .-]))[\dOoIlSBZ](?:[ .-]?[\dOoIl|SBZ]){6,33}(?<!\|)(?<![ .-][Il])(?!\w)"
)
_ACCENT_BY_DIGIT: Final = re.compile("[À-ɏ][0-9]|[0-9][À-ɏ]")
_ACCENTED: Final = re.compile(
    r"(?<![^\W_])(?=[0-9A-Za-z]{0,3}[À-ɏ])[0-9A-Za-zÀ-ɏ]{2,8}(?:[ -]?[0-9A-Za-zÀ-ɏ]{1,8}){1,10}(?![^\W_])"
)
_LETTER_GROUP_END: Final = re.compile("[ .-]")
_DIGIT_OF: Final = str.maketrans("OoIl|SBZ", "00111582")
_CARD_DIGITS: Final = range(13, 20)
_LETTERED_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}(?=[0-9 -]{0,40}[OoIl])[\dOoIl]{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])"
)
_DIGITS_JOINED: Final = re.compile(r"[\dOoIl]+(?:[ -][\dOoIl]+)*")
_DIGITS_APART: Final = re.compile(r"[\dOoIl]+")

_OPEN, _CLOSE = r"\s{0,2}[\[({<]\s{0,2}", r"\s{0,2}[\])}>]\s{0,2}"
_AT_WORDS: Final = "at|@|arobase|arroba|chiocciola|aapenstaart|snabel-a"
_DOT_WORDS: Final = r"dot|punkt|point|punto|punt|ponto|kropka|\."
_AT: Final = rf"(?:{_OPEN}(?:{_AT_WORDS}){_CLOSE}|\s{{1,3}}(?:{_AT_WORDS})\s{{1,3}}|_at_|@)"
_DOT: Final = rf"(?:{_OPEN}(?:{_DOT_WORDS}){_CLOSE}|\s{{1,3}}(?:{_DOT_WORDS})\s{{1,3}}|_dot_|\.)"
_SPELLED: Final = re.compile(
    rf"(?<![\w.+-])[^\W_][\w+-]{{0,40}}(?:{_DOT}[^\W_][\w+-]{{0,40}}?){{0,4}}?(?P<at>{_AT})"
    rf"[^\W_][\w-]{{0,40}}?(?:{_DOT}[^\W_][\w-]{{0,40}}?){{0,3}}(?P<dot>{_DOT})[A-Za-z]{{2,12}}(?!\w)",
    re.IGNORECASE,
)
_SPELLED_MARK: Final = re.compile(rf"(?P<at>{_AT})|{_DOT}", re.IGNORECASE)
_SPELLING: Final = word_set("at arobase arroba chiocciola aapenstaart snabel")
_NAMING: Final = word_set("email e mail mails emails contact reach write address adresse courriel correo gmail")
_NOT_LOCAL: Final = word_set(
    "look looking looked available work works working me us visit is only and find shop buy online hosted located "
    "over just arrive arrived here there meet stay been be was are live lives new it that this now not"
)


@define
class _Window:
    """A window as it is written, each character with its place in the text."""

    text: list[str] = field(factory=list)
    starts: list[int] = field(factory=list)
    ends: list[int] = field(factory=list)

    def copy(self, text: str, start: int, end: int) -> None:
        self.text.append(text[start:end])
        self.starts.extend(range(start, end))
        self.ends.extend(range(start + 1, end + 1))

    def put(self, character: str, start: int, end: int) -> None:
        self.text.append(character)
        self.starts.append(start)
        self.ends.append(end)


@frozen
class Respelling:
    """A window in the usual spelling, and the stretch of the text that was respelled in it."""

    view: View
    start: int
    end: int
    readers: Set[str] = RESPELLED
    """Names of the recognisers that read it."""


def respellings(page: Page) -> Iterator[Respelling]:
    """The windows of the text that are worth a second look."""
    text = page.text
    for match in _SPACED.finditer(text):
        if _is_worth(match.group()):
            yield _window(text, match.start(), match.end(), _closed_up(text, match))
    for match in _MARKED.finditer(text):
        if _is_worth(match.group()):
            yield _window(text, match.start(), match.end(), _without_marks(text, match))
    if page.digits and _NEXT_TO_DIGIT.search(text):
        for match in _LETTERED.finditer(text):
            digits = sum(map(str.isdigit, match.group()))
            letters = sum(map(str.isalpha, match.group())) + match.group().count("|")
            in_first = any(map(str.isdigit, _LETTER_GROUP_END.split(match.group(), maxsplit=1)[0]))  # "ISO-8859-1"
            in_first = in_first or text[match.start() - 1 : match.start()] == "+"
            if not letters or not in_first or digits + letters < _LEAST_DIGITS:
                continue
            window = _window(text, match.start(), match.end(), _written(match, match.group().translate(_DIGIT_OF)))
            if digits * 2 >= letters:
                yield window
            elif digits + letters in _CARD_DIGITS:  # so many letters must prove that they are digits
                yield evolve(window, readers=frozenset({"credit_card"}))
        yield from _lettered_accounts(text)
    if page.digits >= _LEAST_DIGITS and not text.isascii() and _ACCENT_BY_DIGIT.search(text):
        for match in _ACCENTED.finditer(text):
            bare = "".join(unicodedata.normalize("NFD", character)[0] for character in match.group())
            yield _window(text, match.start(), match.end(), _written(match, bare))
    if page.vocabulary & _SPELLING or "@" in text:
        for match in _SPELLED.finditer(text):
            if _is_address(text, match):
                yield _window(text, match.start(), match.end(), _written_address(text, match))


def _lettered_accounts(text: str) -> Iterator[Respelling]:
    """Bank accounts with letters for digits; they have letters of their own, so that the check digits decide."""
    for match in _LETTERED_IBAN.finditer(text):
        tries = {
            match.group()[:2]
            + digits.sub(
                lambda run: run.group().translate(_DIGIT_OF) if DIGIT.search(run.group()) else run.group(),
                match.group()[2:],
            )
            for digits in (_DIGITS_JOINED, _DIGITS_APART)
        }
        for written in sorted(tries):
            window = _window(text, match.start(), match.end(), _written(match, written))
            yield evolve(window, readers=frozenset({"iban"}))


def _is_worth(stretch: str) -> bool:
    return "@" in stretch or sum(map(str.isdigit, stretch)) >= _LEAST_DIGITS


def _window(text: str, start: int, end: int, middle: _Window) -> Respelling:
    window = _Window()
    window.copy(text, max(0, start - _BEFORE), start)
    window.text += middle.text
    window.starts += middle.starts
    window.ends += middle.ends
    window.copy(text, end, min(len(text), end + _AFTER))
    return Respelling(View("".join(window.text), window.starts, window.ends), start, end)


def _written(match: re.Match[str], characters: str) -> _Window:
    """`characters` in the place of those of `match`, one for one."""
    window = _Window()
    for place, character in enumerate(characters, start=match.start()):
        window.put(character, place, place + 1)
    return window


def _closed_up(text: str, match: re.Match[str]) -> _Window:
    """Without the narrowest gaps; a wider one is a space."""
    gaps = list(_GAP.finditer(text, match.start(), match.end()))
    narrow = min(gap.end() - gap.start() for gap in gaps)
    window, position = _Window(), match.start()
    for gap in gaps:
        window.copy(text, position, gap.start())
        if gap.end() - gap.start() > narrow:
            window.put(" ", *gap.span())
        position = gap.end()
    window.copy(text, position, match.end())
    return window


def _without_marks(text: str, match: re.Match[str]) -> _Window:
    window = _Window()
    step = len(match["mark"]) + 1
    for place in range(match.start(), match.end(), step):
        window.copy(text, place, place + 1)
    return window


def _is_address(text: str, match: re.Match[str]) -> bool:
    """Whether a spelled-out address is meant: "look at amazon dot com" is none."""
    at, dot = match["at"].casefold(), match["dot"]
    if at.strip() == "@":
        return at != "@" or dot != "."  # else it is written as usual
    local = text[match.start() : match.start("at")]
    if not at.strip().isalpha():
        return True  # "(at)"
    if local.casefold() in _NOT_LOCAL or (at.strip() == "at" and dot.strip().casefold() == "point"):
        return False  # "at some point"
    marked = not local.isalpha()
    return (marked and dot.strip() != ".") or not _NAMING.isdisjoint(words_before(text, match.start())[-4:])


def _written_address(text: str, match: re.Match[str]) -> _Window:
    window, position = _Window(), match.start()
    for mark in _SPELLED_MARK.finditer(text, match.start(), match.end()):
        window.copy(text, position, mark.start())
        window.put("@" if mark.start() == match.start("at") else ".", *mark.span())
        position = mark.end()
    window.copy(text, position, match.end())
    return window
