"""Given names that need no context: a long list of those that are hardly ever anything else ("Natasja", "Torbjørn").

A recogniser goes by context, and a text of three words has little. Rules:

1. Only what is written as a name counts: with a capital, or all in capitals from four letters on; not in code, not
   behind an article ("the Oscar"), and not where it is a part of a term ("Hurricane Rita", "the Hugo Award").
2. Capitalised words behind it that are no ordinary ones belong to it, up to three.

Source: `data/lone_names.txt`, made by `make train-lexicon`.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final

from privacy._shapes import PARTICLES, POSSESSIVE, Shapes, stands_in_code
from privacy.mention import Mention

__all__ = ["LONE", "lone_names"]

LONE: Final = "pattern:lone_name"
"""The source of such a name."""
LONE_SCORE: Final = 0.7
_CAPITAL: Final = re.compile(r"(?<![\w'’.-])[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-](?=[^\W\d_])){2,30}(?!\w)")
_NEXT: Final = re.compile(r" (?:[^\W\d_a-zà-öø-ÿ]\.? )?(?P<word>[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_])){1,30})(?!\w)")
_MAX_FURTHER: Final = 3
_LEAST_SHOUTED: Final = 4
_TERM: Final = re.compile(
    r"(?:['’]s)? (?:disease|syndrome|sign|test|law|theorem|effect|principle|paradox|method|score|scale|scan|index"
    r"|calendar|number|equation|curve|cell|reaction|virus|cycle|award|prize|model|operation|fracture|classification"
    r"|criteria)s?\b",
    re.IGNORECASE,
)
_TERM_BEFORE: Final = re.compile(r"\b(?:the|an?|hurricane|typhoon|storm|saint|st\.?|king|queen|pope) $", re.IGNORECASE)
_LONGEST_BEFORE: Final = 12


@cache
def _names() -> frozenset[str]:
    text = resources.files("privacy").joinpath("data", "lone_names.txt").read_text(encoding="utf-8")
    return frozenset(name for line in text.splitlines() if not line.startswith("#") for name in line.split())


def lone_names(text: str, shapes: Shapes) -> Iterator[Mention]:
    """The given names of the list in `text`, each with the names behind it; by start."""
    names, taken = _names(), 0
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
        yield Mention(match.start(), taken, "PERSON", LONE_SCORE, LONE)


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
            break
    return end
