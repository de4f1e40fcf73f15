"""Names beside names: of "Rudi, Jackson and Campos" a recogniser that knows two knows the third.

Rules: the new member is capitalised and no ordinary word (but a surname may be one); nothing but a comma, "and", "or"
or "&" stands between it and a name; it has that name's label, and its own neighbours are looked at in turn, a bounded
number of times.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from privacy._shapes import POSSESSIVE, WORD_SURNAMES, Shapes, stands_in_code
from privacy.mention import Mention

__all__ = ["coordinated_names"]

COORDINATED_SCORE: Final = 0.5
COORDINATED: Final = "pattern:coordination"
_MAX_ROUNDS: Final = 4
_BEFORE_CHARS: Final = 80
_NEAR: Final = 3
"""How many of the mentions before a place may reach it."""
_NAMED: Final = frozenset({"PERSON", "ORGANIZATION", "LOCATION"})
_WORD: Final = r"[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-](?=[^\W\d_])){1,30}"
_MEMBER: Final = rf"(?P<name>{_WORD}(?: {_WORD}){{0,2}})"
_LINK: Final = r"(?:, (?:and |or |& )?| and | or | & )"
_BEHIND: Final = re.compile(rf"{_LINK}{_MEMBER}(?=['’]s?\b|[,.;:!?)\n]| and | or | & |\s*\Z| [a-z])")
_BEFORE: Final = re.compile(rf"(?:\A|(?<=[\s(\"“])){_MEMBER}{_LINK}\Z")


def coordinated_names(text: str, mentions: Sequence[Mention], shapes: Shapes) -> Iterator[Mention]:
    """The names that stand beside those of `mentions` (sorted) and are none of them."""
    taken = [(mention.start, mention.end) for mention in mentions]
    waiting = [mention for mention in mentions if mention.label in _NAMED]
    for _ in range(_MAX_ROUNDS):
        waiting = [other for mention in waiting for other in _beside(text, mention, shapes) if _is_free(taken, other)]
        taken = sorted({*taken, *((other.start, other.end) for other in waiting)})
        yield from waiting


def _is_free(taken: Sequence[tuple[int, int]], other: Mention) -> bool:
    """Whether `other` overlaps none of `taken`, which are sorted and overlap one another little."""
    place = bisect_left(taken, (other.end,))
    return all(end <= other.start for _, end in taken[max(0, place - _NEAR) : place])


def _beside(text: str, mention: Mention, shapes: Shapes) -> Iterator[Mention]:
    behind = _BEHIND.match(text, mention.end)
    before = _BEFORE.search(text, max(0, mention.start - _BEFORE_CHARS), mention.start)
    for match in (behind, before):
        if match is None or not _is_name(match["name"], shapes):
            continue
        start, end = match.span("name")
        if not stands_in_code(text, start, end):
            end -= len(match["name"]) - len(POSSESSIVE.sub("", match["name"]))
            yield Mention(start, end, mention.label, COORDINATED_SCORE, COORDINATED)


def _is_name(shown: str, shapes: Shapes) -> bool:
    words = [POSSESSIVE.sub("", word) for word in shown.split(" ")]
    if len(words) == 1 and words[0].casefold() in WORD_SURNAMES:
        return True
    if shapes.is_common(words[0]) or words[0].isupper():
        return False
    return any(not shapes.is_word(word) for word in words)
