"""How a placeholder may be spelt in an answer, and where a text has one.

Theory of operation. Text is read as words (maximal runs of letters and digits) and the gaps between them. A spelling
is a sequence of words with a set of gaps that may stand between each two. All spellings of a host's placeholders form
a trie, and a match is a walk down that trie. Because a word is a maximal run, `PERSON_K71` is never `PERSON_K7`.

Rules:

1. A **tag** (`PERSON_K7`) is found in any case; its words may be joined by an underscore, a hyphen or a dash, with or
   without a backslash before it and a blank on either side, by blanks, by a line break, or by nothing. No text shows
   its code, so none of these can be anything else.
2. An ending of inflection may follow a tag (`PERSON_K7s`, `PERSON_K7em`), since a tag ends in a digit. It stays.
3. Anything else is a name that might be a word as well: words that begin with a capital are found with a capital only,
   and only what stood between them, or blanks and a hyphen where blanks stood, may stand between them.
4. A name that begins with an initial does not begin right behind a mark that joins: `FORM_J. Smith` is a form's.
5. The longest spelling that begins at a place wins.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise, product
from typing import Final

from attrs import Factory, define, evolve, frozen

from peernet.core.errors import LocalProtocolError
from privacy.exposure import word_set

MAX_PLACEHOLDER: Final = 64
"""The longest placeholder, in code points after case folding."""
MAX_GAP: Final = 4
MAX_ENDING: Final = 4

_JOINING: Final = "぀-ヿ㐀-䶿一-鿿가-힣฀-๿"
RUN: Final = re.compile(rf"(?:(?![{_JOINING}])[^\W_])+")
"""A word: a maximal run of letters and digits."""
TAG: Final = re.compile(r"[A-Z]+(?:_[A-Z]+)*_[A-Z][0-9]{1,4}")
"""The whole of a placeholder that is no name."""
TAG_ENDINGS: Final = word_set(
    """
    s es en em er n e a o u y i ie ę ą iem om ami ach ów owi owie ego emu ej im ym mi ens ta la ssa
    """
)
"""Of English, German, Polish and Scandinavian nouns and names, and the most frequent of their neighbours."""
_NAME_ENDINGS: Final = frozenset({"s"})
_JOINERS: Final = frozenset({"_", "'", "’", "-", "\u2010", "\u2011"})
_BLANKS: Final = ("", " ", "\u00a0")
_MARKS: Final = ("", *(f"{escape}{mark}" for mark in "_-\u2010\u2011\u2013" for escape in ("", "\\")))


@frozen(eq=False)
class _Gaps:
    """What may stand between two words; one object for each kind."""

    texts: frozenset[str]
    openings: frozenset[str]
    """Their beginnings, and they themselves."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "_Gaps":
        found = frozenset(texts)
        return cls(found, frozenset(text[:size] for text in found for size in range(1, len(text) + 1)))


@cache
def _joint() -> _Gaps:
    parts = product(_BLANKS, _MARKS, (*_BLANKS, "\n"))
    return _Gaps.of("".join(part) for part in parts if any(part))


@cache
def _between_digits() -> _Gaps:
    marks = " \u00a0-.\u2011/()"
    return _Gaps.of("".join(part) for size in (1, 2, 3) for part in product(marks, repeat=size))


@cache
def _gaps_like(gap: str, *, digits: bool) -> _Gaps:
    """What may stand where a name has `gap`; `digits` where that is between two numbers."""
    if digits and gap in _between_digits().texts:
        return _between_digits()
    if gap in _joint().texts:
        return _joint()
    if gap in {". ", ", "}:
        return _Gaps.of((gap, gap[0], f"{gap[0]}\u00a0", f"{gap[0]}\n", *(" " if gap == ". " else "")))
    return _Gaps.of((gap,))


@define(eq=False)
class _Node:
    edges: "dict[tuple[_Gaps | None, bool], _Words]" = Factory(dict)
    """By what stands before the next word, and whether that word needs a capital."""
    names: list[str] = Factory(list)
    endings: frozenset[str] = frozenset()


@define(eq=False)
class _Words:
    nodes: dict[str, _Node] = Factory(dict)
    order: list[str] = Factory(list)
    """The words sorted, as soon as they are asked for."""
    inflect: bool = False

    def may_become(self, run: str) -> bool:
        """Whether some word, with or without an ending, begins with `run`."""
        said = run.casefold()
        if len(self.order) != len(self.nodes):
            self.order = sorted(self.nodes)
        place = bisect_left(self.order, said)
        if place < len(self.order) and self.order[place].startswith(said):
            return True
        return any(
            any(ending.startswith(said_ending) for ending in node.endings) for _, said_ending, node in self._split(run)
        )

    def read(self, run: str) -> Iterator[tuple[int, _Node]]:
        """The nodes that `run` leads to, each with how much of it is a word's ending."""
        node = self.nodes.get(run.casefold())
        if node is not None:
            yield 0, node
        for size, ending, inflected in self._split(run):
            if ending in inflected.endings:
                yield size, inflected

    def _split(self, run: str) -> Iterator[tuple[int, str, _Node]]:
        if not self.inflect:
            return
        for size in range(1, min(MAX_ENDING, len(run) - 1) + 1):
            node = self.nodes.get(run[:-size].casefold())
            if node is not None:
                yield size, run[-size:].casefold(), node


@frozen
class Found:
    """A placeholder in a text."""

    end: int
    """Where it ends."""
    word_end: int
    """Where its last word ends: behind an ending, if there is one."""
    name: str


MORE: Final = object()
"""Instead of a `Found`: more text is needed to decide."""


class Spellings:
    """All spellings of the placeholders `names`. Its `repr` shows none.

    Raises `LocalProtocolError` for a placeholder without a word, over `MAX_PLACEHOLDER`, or for a tag that reads the
    same as another placeholder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._root, self._joined_root = _Node(), _Node()
        for name in names:
            if not RUN.search(name) or len(name.casefold()) > MAX_PLACEHOLDER:
                raise LocalProtocolError("a placeholder has between 1 word and MAX_PLACEHOLDER code points")
            for steps in _tag_steps(name) if TAG.fullmatch(name) else (_name_steps(name),):
                self._add(self._root, name, steps)
                if len(steps[0].word) > 1:
                    self._add(self._joined_root, name, steps)

    def __repr__(self) -> str:
        return "<Spellings>"

    def _add(self, node: _Node, name: str, steps: "Sequence[_Step]") -> None:
        for step in steps:
            words = node.edges.get(step.edge)
            if words is None:
                words = node.edges[step.edge] = _Words()
            node = words.nodes.get(step.word) or words.nodes.setdefault(step.word, _Node())
            words.inflect |= bool(step.endings)
        if node.names and any(TAG.fullmatch(known) for known in (name, *node.names)):
            raise LocalProtocolError("two placeholders read the same")
        # The one that is not all in capitals says what the others mean.
        node.names = sorted([*node.names, name], key=lambda known: (known.isupper(), known)) if node.names else [name]
        node.endings = steps[-1].endings

    def match(self, text: str, start: int, *, final: bool, before: str = "") -> object:
        """The longest match of the run that begins at `start`: a `Found`, None, or `MORE`; `final` at the end.

        `before` is what `text` was cut off from, where it is known.
        """
        joined = (text[start - 1] if start else before[-1:]) in _JOINERS
        return self._walk(self._joined_root if joined else self._root, None, text, start, final)

    def _walk(self, node: _Node, gap: str | None, text: str, place: int, final: bool) -> object:
        run = RUN.match(text, place)
        assert run is not None
        best: Found | None = None
        for (gaps, capital), words in node.edges.items():
            if (gaps is not None and gap not in gaps.texts) or (capital and text[place].islower()):
                continue
            found = self._read(words, text, run, final)
            if found is MORE:
                return MORE
            if isinstance(found, Found) and (best is None or found.end > best.end):
                best = found
        return None if best is None else best

    def _read(self, words: _Words, text: str, run: re.Match[str], final: bool) -> object:
        if run.end() - run.start() > MAX_PLACEHOLDER + MAX_ENDING:
            return None
        said = run.group()
        if run.end() == len(text) and not final:
            return MORE if words.may_become(said) else None
        best: Found | None = None
        for ending, node in words.read(said):
            if node.names and best is None:
                best = Found(run.end() - ending, run.end(), _closest(node.names, text, run.end() - ending))
            if ending == 0 and node.edges:
                deeper = self._follow(node, text, run.end(), final)
                if deeper is MORE:
                    return MORE
                best = deeper if isinstance(deeper, Found) else best
        return best

    def _follow(self, node: _Node, text: str, end: int, final: bool) -> object:
        place = end
        while place < len(text) and place - end <= MAX_GAP and not RUN.match(text, place, place + 1):
            place += 1
        gap = text[end:place]
        if place == len(text):
            opens = any(gaps is not None and gap in gaps.openings for gaps, _ in node.edges)
            return MORE if opens and not final else None
        return self._walk(node, gap, text, place, final) if len(gap) <= MAX_GAP else None


def _closest(names: list[str], text: str, end: int) -> str:
    return next((name for name in names if text.endswith(name, 0, end)), names[0])


@frozen(eq=False)
class _Step:
    edge: tuple[_Gaps | None, bool]
    """What stands before the word, and whether it needs a capital."""
    word: str
    endings: frozenset[str] = frozenset()


@lru_cache(1024)
def _tag_steps(tag: str) -> tuple[tuple[_Step, ...], ...]:
    """All ways to write the words of a tag apart or together; a tag says nothing of anybody."""
    words = [word.casefold() for word in RUN.findall(tag)]
    spelt = []
    for joins in product((False, True), repeat=len(words) - 1):
        joined = words[:1]
        for word, join in zip(words[1:], joins, strict=True):
            joined = [*joined[:-1], joined[-1] + word] if join else [*joined, word]
        gaps = [None, *[_joint()] * (len(joined) - 1)]
        last = len(joined) - 1
        spelt.append(
            tuple(
                _Step((gap, False), word, TAG_ENDINGS if index == last else frozenset())
                for index, (gap, word) in enumerate(zip(gaps, joined, strict=True))
            )
        )
    return tuple(spelt)


def _name_steps(name: str) -> list[_Step]:
    gaps: list[_Gaps | None] = [None]
    runs = list(RUN.finditer(name))
    for before, after in pairwise(runs):
        digits = before.group().isdigit() and after.group().isdigit()
        gaps.append(_gaps_like(name[before.end() : after.start()], digits=digits))
    words = [run.group() for run in runs]
    steps = [_Step((gap, word[0].isupper()), word.casefold()) for gap, word in zip(gaps, words, strict=True)]
    last = words[-1]
    if last[0].isupper() and last.isalpha() and len(last) > 2:
        steps[-1] = evolve(steps[-1], endings=_NAME_ENDINGS)
    return steps


def placeholders_in(text: str, spellings: Spellings) -> Iterator[tuple[int, Found]]:
    """Where `text` has placeholders, from left to right, disjoint."""
    run = RUN.search(text)
    while run is not None:
        found = spellings.match(text, run.start(), final=True)
        if isinstance(found, Found):
            yield run.start(), found
        run = RUN.search(text, found.word_end if isinstance(found, Found) else run.end())
