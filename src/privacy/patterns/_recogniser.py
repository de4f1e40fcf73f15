"""What every recogniser of a form is, and what they share: the words before a candidate, and its digits.

Rules: context is the same sentence's, at most `CONTEXT_CHARS` back, and in whole words; no helper scans the whole text
for each candidate.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from privacy.mention import Mention

CONTEXT_CHARS: Final = 48
"""How far before a candidate its context words may stand."""

WORD = re.compile(r"[^\W_]+")
DIGIT = re.compile(r"\d")
GROUP_END = re.compile(r"\d(?!\w)")
_MAX_GROUPS: Final = 8
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n\s*\n")


class Recogniser(Protocol):
    """Finds one kind of identifier."""

    @property
    def name(self) -> str:
        """A short word; mentions carry it in `source` as `pattern:<name>`."""
        ...

    def find(self, text: str) -> Iterator[Mention]:
        """The mentions in `text`, by start, not overlapping."""
        ...


def mention_of(start: int, end: int, label: str, name: str, score: float = 1.0) -> Mention:
    return Mention(start=start, end=end, label=label, score=score, source=f"pattern:{name}")


def words_before(text: str, start: int) -> list[str]:
    """The whole tokens, folded, of the same sentence that stand within `CONTEXT_CHARS` before `start`."""
    low = max(0, start - CONTEXT_CHARS)
    before = text[low:start]
    for end in _SENTENCE_END.finditer(before):
        before = text[low + end.end() : start]
    words = [match.group().casefold() for match in WORD.finditer(before)]
    cut_off = low > 0 and words and not text[low - 1].isspace() and before == text[low:start]
    return words[1:] if cut_off else words


def digits_in(text: str) -> str:
    return "".join(DIGIT.findall(text))


def has_digits(text: str, count: int) -> bool:
    return any(found >= count for found, _ in enumerate(DIGIT.finditer(text), start=1))


def group_ends(text: str, start: int, stop: int) -> list[int]:
    """Where a run of digit groups from `start` may end, longest first, `stop` included; at most `_MAX_GROUPS`."""
    ends = [match.end() for match in GROUP_END.finditer(text, start, stop)]
    return sorted({stop, *ends}, reverse=True)[:_MAX_GROUPS]
