"""A text as it looks to a reader, with the way back to the original's offsets.

Theory of operation. What hides an identifier from a program mostly leaves it plain to a reader: marks of no width in
the middle of a word, letters of another alphabet that look the same, wide or styled forms, accents stacked on letters.
`View` undoes these character by character and remembers where each one stood, so that a mention found in the view is
told in the offsets of the original. A text of plain ASCII is its own view.

Rules:

1. Invisible characters and marks of direction are left out. Combining marks of no alphabet in particular make one
   character with their letter where Unicode has it, and are dropped where it has not. Tag characters, which a model
   reads as the letters that they stand for, are also read by themselves, behind the text; those of flags are not.
2. Compatibility forms become what they stand for, also where that is several letters; digits of any script become
   ASCII digits; hyphens become one hyphen.
3. Letters that look Latin become Latin in a word that has Latin letters or digits beside them, and in a text that has
   Latin letters and no Cyrillic, Greek or Armenian letter that looks like none. A Russian word stays Russian.
4. A lone surrogate becomes U+FFFD, which everything can encode. No text grows beyond four times its length.

Sources: Unicode Standard Annex 15 (normalisation) and Technical Standard 39 (confusables), of which the table below
has the ones that fonts in use draw alike.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from attrs import evolve, frozen

from privacy.mention import Mention

__all__ = ["View"]

_MAX_EXPANSION: Final = 4
_ODD: Final = re.compile("[^\t-\r\x1c-~]+")
"""Whatever is not printable ASCII or ASCII white space."""
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]+")
_TAG_BASE: Final = 0xE0000
_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_APART: Final = 3
"""How many characters between tags part what they spell."""
_MARK: Final = re.compile("[\u0300-\u034e\u0350-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
"""Combining marks of no script in particular; those of Arabic or Hindi are part of their words."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HYPHENS: Final = dict.fromkeys("\u2010\u2011\u2012\u2212\u02d7\u2043", "-")

_SMALL_CAPITALS: Final = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡ", "abcdefghijklmnoprstuvwyzag", strict=True))
_NEGATIVE: Final = {
    chr(base + place): chr(ord("A") + place) for base in (0x1F150, 0x1F170) for place in range(26)
}  # white letters on black circles and squares
_ALWAYS: Final = {**_HYPHENS, **_SMALL_CAPITALS, **_NEGATIVE}

_ALIKE: Final = {
    # Cyrillic, Greek, Armenian.
    **dict(zip("аеорсухіјѕԁһԛԝѵӏАВЕКМНОРСТУХІЈЅҮԚԜѴӀ", "aeopcyxijsdhqwvlABEKMHOPCTYXIJSYQWVI", strict=True)),
    **dict(zip("ονρικυχτϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹ", "ovpikuxtcjABEZHIKMNOPTYXC", strict=True)),
    **dict(zip("օսոհցզՕՍԼՏ", "ounhgqOULS", strict=True)),
}
_NEARLY_ALIKE: Final = dict(zip("квмтнгпьαεγηωσ", "kbmthrnbaeynwo", strict=True))
"""Letters that pass for Latin beside Latin ones only."""
_MIXED: Final = str.maketrans({**_NEARLY_ALIKE, **_ALIKE})
_OTHER_ALPHABET: Final = re.compile("[\u0370-\u03ff\u0400-\u058f]")
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f]")
_WORD: Final = re.compile(r"[^\W_]+")
_BETWEEN: Final = re.compile("(?<=[0-9])–(?=[0-9])|(?<=[A-Za-z0-9])[。｡](?=[A-Za-z0-9])")


@frozen
class View:
    """A text as it looks to a reader, and where each of its characters stood in the original."""

    text: str
    starts: Sequence[int] | None
    """Where each character of the view begins in the original; None where the two texts are the same."""
    ends: Sequence[int] | None
    """Where each ends, its combining marks included."""
    tagged: int | None = None
    """Where in `text` that begins which tag characters spell."""

    @classmethod
    def of(cls, text: str) -> "View":
        """The view of `text`."""
        if _ODD.search(text) is None:
            return cls(text, None, None)
        folding = _Folding(text)
        shown = _latin_again("".join(folding.shown))
        shown = _BETWEEN.sub(lambda match: "-" if match.group() == "–" else ".", shown)
        spelled = _spelled_by_tags(text)
        if not spelled:
            return cls(shown, folding.starts, folding.ends)
        end = len(text)
        letters = "".join(letter for letter, _ in spelled)
        places = [place for _, place in spelled]
        return cls(
            f"{shown}\n\n{letters}",
            [*folding.starts, end, end, *places],
            [*folding.ends, end, end, *(place + 1 for place in places)],
            len(shown) + 2,
        )

    def originals(self, mentions: Iterable[Mention]) -> list[Mention]:
        """`mentions` of the view with the offsets of the original text."""
        if self.starts is None or self.ends is None:
            return list(mentions)
        if self.tagged is not None:
            mentions = _split(mentions, self.tagged)
        # The end is the last character's, not the next one's start: invisible ones between belong to neither.
        originals = [
            evolve(mention, start=self.starts[mention.start], end=self.ends[mention.end - 1]) for mention in mentions
        ]
        return originals if self.tagged is None else list(_merged(originals))


def _spelled_by_tags(text: str) -> list[tuple[str, int]]:
    """What the tag characters of `text` spell, each letter with its place."""
    if _TAGS.search(text) is None:
        return []
    spelled: list[tuple[str, int]] = []
    for run in _TAGS.finditer(_FLAG.sub(lambda flag: " " * len(flag.group()), text)):
        if spelled and run.start() - spelled[-1][1] > _APART:
            spelled.append((" ", run.start()))
        spelled.extend((chr(ord(text[place]) - _TAG_BASE), place) for place in range(*run.span()))
    return spelled


def _split(mentions: Iterable[Mention], tagged: int) -> Iterator[Mention]:
    """`mentions`, none of which is both of the text and of what its tags spell."""
    for mention in mentions:
        if mention.start < tagged - 2 and mention.end > tagged - 2:
            yield evolve(mention, end=tagged - 2)
            if mention.end > tagged:
                yield evolve(mention, start=tagged)
        else:
            yield mention


def _merged(mentions: Iterable[Mention]) -> Iterator[Mention]:
    """`mentions` of a text and of its tags in one order; what lies in an earlier one is covered by it."""
    reached = 0
    for mention in sorted(mentions, key=lambda each: (each.start, -each.end)):
        if mention.end > reached:
            yield evolve(mention, start=max(mention.start, reached))
            reached = mention.end


class _Folding:
    """The characters of a view as they are made, each with its place."""

    def __init__(self, text: str) -> None:
        self.shown: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        position = 0
        for odd in _ODD.finditer(text):
            self._take(text[position : odd.start()], position)
            for offset in range(*odd.span()):
                self._fold(text[offset], offset)
            position = odd.end()
        self._take(text[position:], position)

    def _take(self, plain: str, offset: int) -> None:
        """Characters that stand for themselves."""
        if plain:
            self.shown.append(plain)
            self.starts.extend(range(offset, offset + len(plain)))
            self.ends.extend(range(offset + 1, offset + len(plain) + 1))

    def _fold(self, character: str, offset: int) -> None:
        if _MARK.match(character):
            self._mark(character, offset)
            return
        plain = _plain(character)
        if plain:
            self.shown.append(plain)
            self.starts.extend([offset] * len(plain))
            self.ends.extend([offset + 1] * len(plain))

    def _mark(self, mark: str, offset: int) -> None:
        """A combining mark: one character with the letter before it, or nothing; it is the letter's either way."""
        if not self.shown or self.shown[-1][-1].isspace():
            return
        last = self.shown.pop()
        letter = unicodedata.normalize("NFC", last[-1] + mark)
        self.shown += [last[:-1], letter] if len(last) > 1 else [letter]
        if len(letter) > 1:
            self.shown[-1] = letter[0]
        self.ends[-1] = offset + 1


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """What one character stands for; "" for an invisible one."""
    if _INVISIBLE.match(character):
        return ""
    if _SURROGATE.match(character):
        return "\ufffd"
    if (plain := _ALWAYS.get(character)) is not None:
        return plain
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", character)
    fits = len(plain) == 1 or (plain.isalnum() and len(plain) <= _MAX_EXPANSION)
    return plain if fits else character


def _latin_again(text: str) -> str:
    """`text` with letters that look Latin made Latin, as rule 3 has it; of the same length."""
    others = set(_OTHER_ALPHABET.findall(text))
    if not others:
        return text
    everywhere = others <= _ALIKE.keys() and _LATIN.search(text) is not None

    def latin(match: re.Match[str]) -> str:
        word = match.group()
        strange = {letter for letter in word if _OTHER_ALPHABET.match(letter)}
        if not strange:
            return word
        if strange <= _ALIKE.keys() | _NEARLY_ALIKE.keys() and _LATIN.search(word):
            return word.translate(_MIXED)
        alike = strange <= _ALIKE.keys()
        beside_digits = any(letter.isdigit() for letter in word)
        return word.translate(_MIXED) if alike and (beside_digits or (everywhere and len(word) > 1)) else word

    return _WORD.sub(latin, text)
