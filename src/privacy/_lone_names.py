"""Given names that need no context: a long list of those that are hardly ever anything else ("Natasja", "Torbjørn").

A recogniser goes by context, and a text of three words has little. Rules:

1. A name counts with a capital, or all in capitals from four letters on; in English, one that is hardly ever a word
   counts in small letters, too. None counts in code, alone behind an article ("the Oscar"), or as a part of a term
   ("Hurricane Rita", "the Hugo Award").
2. Capitalised words behind it that are no ordinary ones belong to it, up to three, and a degree behind them.

Source: `data/lone_names.txt`, made by `make train-lexicon`.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

from privacy._shapes import PARTICLES, POSSESSIVE, Shapes, stands_in_code
from privacy.mention import Mention

__all__ = ["LONE", "lone_names", "small_names"]

LONE: Final = "pattern:lone_name"
"""The source of such a name."""
LONE_SCORE: Final = 0.7
SMALL_SCORE: Final = 0.5
_SMALL: Final = re.compile(r"(?<![\w'’.@#-])[^\W\d_A-Z](?:[^\W\d_]|['’-](?=[^\W\d_])){3,30}(?![\w@])")
_CAPITAL: Final = re.compile(r"(?<![\w'’.-])[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-](?=[^\W\d_])){2,30}(?!\w)")
_NEXT: Final = re.compile(r" (?:[^\W\d_a-zà-öø-ÿ]\.? )?(?P<word>[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_])){1,30})(?!\w)")
_DEGREE: Final = re.compile(r",? (?:MD|DDS|DVM|DO|PhD|Ph\.D\.|Jr\.?|Sr\.?|II|III|IV|Esq\.?|RN|MBA)(?![\w])")
_MAX_FURTHER: Final = 3
_LEAST_SHOUTED: Final = 4
_TERM: Final = re.compile(
    r"(?:['’]s)? (?:disease|syndrome|sign|test|law|theorem|effect|principle|paradox|method|score|scale|scan|index"
    r"|calendar|number|equation|curve|cell|reaction|virus|cycle|award|prize|model|operation|fracture|classification"
    r"|criteria)s?\b",
    re.IGNORECASE,
)
_TERM_BEFORE: Final = re.compile(r"\b(?:hurricane|typhoon|storm|saint|st\.?|king|queen|pope) $", re.IGNORECASE)
_ARTICLE: Final = re.compile(r"\b(?:the|an?) $", re.IGNORECASE)
_LONGEST_BEFORE: Final = 12


@cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """All names, and in small letters those that count so, too."""
    text = resources.files("privacy").joinpath("data", "lone_names.txt").read_text(encoding="utf-8")
    parts = text.partition("\n\n")
    sure, others = (
        [name for line in part.splitlines() if not line.startswith("#") for name in line.split()]
        for part in (parts[0], parts[2])
    )
    return frozenset([*sure, *others]), frozenset(name.lower() for name in sure)


def lone_names(text: str, shapes: Shapes) -> Iterator[Mention]:
    """The given names of the list in `text`, each with the names behind it; by start."""
    names, taken = _names()[0], 0
    for match in _CAPITAL.finditer(text):
        if match.start() < taken:
            continue
        shown = POSSESSIVE.sub("", match.group())
        if shown not in names and not (shown.isupper() and len(shown) >= _LEAST_SHOUTED and shown.title() in names):
            continue
        end = match.start() + len(shown)
        if stands_in_code(text, match.start(), end) or _is_term(text, match.start(), end):
            continue
        taken = _full_name_end(text, end, shapes)
        if taken == end and _ARTICLE.search(text, max(0, match.start() - _LONGEST_BEFORE), match.start()):
            continue
        yield Mention(match.start(), taken, "PERSON", LONE_SCORE, LONE)


def small_names(text: str, start: int, end: int) -> Iterator[Mention]:
    """The names of the list that stand in small letters in a stretch of English and are hardly ever a word of it."""
    sure = _names()[1]
    for match in _SMALL.finditer(text, start, end):
        shown = POSSESSIVE.sub("", match.group())
        last = match.start() + len(shown)
        if shown in sure and not stands_in_code(text, match.start(), last) and not _is_term(text, match.start(), last):
            yield Mention(match.start(), last, "PERSON", SMALL_SCORE, LONE)


def _is_term(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - _LONGEST_BEFORE) : start]
    return _TERM_BEFORE.search(before) is not None or _TERM.match(text, end) is not None


def _full_name_end(text: str, end: int, shapes: Shapes) -> int:
    """Where the capitalised words stop that follow the name which ends at `end`."""
    place, further = end, 0
    while further < _MAX_FURTHER and (following := _NEXT.match(text, place)):
        word = following["word"]
        if word in PARTICLES:
            place = following.end()
            continue
        bare = POSSESSIVE.sub("", word)
        if (
            word[0].islower()
            or shapes.is_common(bare)
            or stands_in_code(text, following.start("word"), following.end())
        ):
            break
        place = following.end()
        end = place - (len(word) - len(bare))
        further += 1
        if bare != word:
            return end
    degree = _DEGREE.match(text, end) if further else None
    return degree.end() if degree else end
