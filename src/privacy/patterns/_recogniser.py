"""What every recogniser of a form is, and what they share: the page they read, and the words before a candidate.

Rules: the words and numbers of a text are found once, and a recogniser starts at those it knows, so that a text
without them costs it next to nothing; context is the same sentence's, at most `CONTEXT_CHARS` back, and in whole
words; no helper scans the whole text for each candidate.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Final, Protocol

from attrs import frozen

from privacy.mention import Mention

CONTEXT_CHARS: Final = 48
"""How far before a candidate its context words may stand."""

WORD = re.compile(r"[^\W_]+")
DIGIT = re.compile(r"\d")
GROUP_END = re.compile(r"\d(?!\w)")
_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"(?<!\w)\d+")
_LAST_WORD = re.compile(r"([^\W\d_]{1,40})[.:]?[ \t\u00a0]{0,2}\Z")
_MAX_GROUPS: Final = 8
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n\s*\n")


@frozen
class Page:
    """A text as recognisers read it, with its words and numbers found once."""

    text: str

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The runs of letters, folded: asked before `words`, which costs more."""
        return frozenset(_LETTERS.findall(self.text.casefold()))

    @cached_property
    def words(self) -> Mapping[str, Sequence[int]]:
        """Where each run of letters stands, by the run folded."""
        places: dict[str, list[int]] = {}
        for match in _LETTERS.finditer(self.text):
            places.setdefault(match.group().casefold(), []).append(match.start())
        return places

    @cached_property
    def numbers(self) -> Sequence[tuple[int, int]]:
        """Start and end of each run of digits that no letter precedes."""
        return [match.span() for match in _NUMBER.finditer(self.text)]

    @cached_property
    def digits(self) -> int:
        """How many digits there are."""
        return len(DIGIT.findall(self.text))

    def places(self, words: Set[str]) -> list[int]:
        """Where one of `words` (folded) stands, in order."""
        known = self.vocabulary & words
        return sorted(place for word in known for place in self.words.get(word, ())) if known else []


class Recogniser(Protocol):
    """Finds one kind of identifier."""

    @property
    def name(self) -> str:
        """A short word; mentions carry it in `source` as `pattern:<name>`."""
        ...

    def find(self, page: Page) -> Iterator[Mention]:
        """The mentions in the text, by start, not overlapping."""
        ...


def mention_of(start: int, end: int, label: str, name: str, score: float = 1.0) -> Mention:
    return Mention(start=start, end=end, label=label, score=score, source=f"pattern:{name}")


def apart(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """`spans` in order without those that overlap an earlier one; of two from one place the longer one stays."""
    taken = 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= taken:
            taken = end
            yield start, end


def words_before(text: str, start: int) -> list[str]:
    """The whole tokens, folded, of the same sentence that stand within `CONTEXT_CHARS` before `start`."""
    low = max(0, start - CONTEXT_CHARS)
    before = text[low:start]
    for end in _SENTENCE_END.finditer(before):
        before = text[low + end.end() : start]
    words = WORD.findall(before.lower() if before.isascii() else before)
    if not before.isascii():
        words = [word.casefold() for word in words]
    cut_off = low > 0 and words and not text[low - 1].isspace() and before == text[low:start]
    return words[1:] if cut_off else words


def last_word(text: str, end: int) -> str:
    """The word that ends just before `end`, as it is written; "" where there is none."""
    match = _LAST_WORD.search(text, max(0, end - 44), end)
    return match[1] if match else ""


def digits_in(text: str) -> str:
    return "".join(DIGIT.findall(text))


def group_ends(text: str, start: int, stop: int) -> list[int]:
    """Where a run of digit groups from `start` may end, longest first, `stop` included; at most `_MAX_GROUPS`."""
    ends = [match.end() for match in GROUP_END.finditer(text, start, stop)]
    return sorted({stop, *ends}, reverse=True)[:_MAX_GROUPS]
