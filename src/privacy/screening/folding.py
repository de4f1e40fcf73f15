"""One reading for many spellings: a text as the rules and the classifier read it.

Compatibility forms, case, accents, invisible characters, letters that stand alone (`k i l l`) and letters written as
digits (`k1ll`) fall away. What is folded keeps no offsets: screening judges a text and points at nothing in it.

Time and memory are linear in the text: every repetition in the expressions has a bound or eats what it passes.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["LEET", "MAX_SENTENCE_CHARS", "SENTENCE_END", "fold", "folded_sentences"]

MAX_SENTENCE_CHARS: Final = 2_000
"""A longer stretch without a stop is cut; rules look at neighbouring words."""
SENTENCE_END: Final = re.compile(r"[.!?;:]+(?=\s|$)|\n+")
LEET: Final = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "i"}
)
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufe00-\ufe0f]")
_SPACED: Final = re.compile(r"(?<![\w])(?:[^\W\d_][ .\-_*]{1,2}){3,}[^\W\d_](?!\w)")
_INNER_MARKS: Final = re.compile(r"(?<=[^\W\d_])[*_.\-](?=[^\W\d_])")
_LEET_WORD: Final = re.compile(r"(?=\S{0,40}[a-z])(?=\S{0,40}[0-9@$!|])[a-z0-9@$!|]{3,40}")
_SPACES: Final = re.compile(r"[\W_]+")
_TRICKS: Final = re.compile(r"[*_.\-0-9@$!|]")
"""Without one of these a sentence has one reading."""


def fold(text: str) -> str:
    """The text with one form for each letter; its words and stops stay where they are."""
    if text.isascii():
        folded = text.casefold()
    else:
        plain = unicodedata.normalize("NFKD", _INVISIBLE.sub("", text))
        folded = "".join(mark for mark in plain if not unicodedata.combining(mark)).casefold().replace("’", "'")
    return _SPACED.sub(_closed_up, folded)


def folded_sentences(text: str) -> Iterator[str]:
    """The folded sentences of `text`; of one with spelling tricks the readings without them as well."""
    for sentence in SENTENCE_END.split(fold(text)):
        for low in range(0, len(sentence), MAX_SENTENCE_CHARS):
            for reading in _readings(sentence[low : low + MAX_SENTENCE_CHARS]):
                yield f" {_SPACES.sub(' ', reading).strip()} "


def _closed_up(match: re.Match[str]) -> str:
    """A word spelled letter by letter, closed up; also without its first letter, which may be an "I" or an "a"."""
    word = re.sub(r"[ .\-_*]", "", match.group())
    return f"{word} {word[0]} {word[1:]}"


def _readings(sentence: str) -> Iterator[str]:
    yield sentence
    if _TRICKS.search(sentence) is None:
        return
    plain = _LEET_WORD.sub(lambda match: match.group().translate(LEET), _INNER_MARKS.sub("", sentence))
    if plain != sentence:
        yield plain
