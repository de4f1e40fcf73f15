"""Putting the originals back where an answer has placeholders, while it streams.

Theory of operation. Text is read as words (maximal runs of letters and digits) and what stands between them. A
placeholder is a short sequence of words, so all placeholders of a host form a trie over words, and a match is a walk
down that trie. Because a word is a maximal run, `PERSON_K71` is never `PERSON_K7`.

Rules (design section 6, step 7):

1. Between the words of a placeholder stands one separator: an underscore, hyphen or space, perhaps behind a backslash
   (Markdown escapes underscores). Case does not matter. Whatever surrounds it (asterisks, quotes, 's) stays.
2. The leftmost match wins, then the longest. What is put in is never searched again.
3. Held back is only the longest suffix that could still become a placeholder, or a longer one: never more than
   `MAX_HOLD_BACK` code points. Fed in any pieces, the result is that of the whole text at once.
4. Nothing is swallowed: what does not match comes out as it went in.

Letters of scripts that join words without spaces (Han, Kana, Hangul, Thai) do not extend a run, since models write
their particles right behind a placeholder.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import Factory, define

from peernet.core.errors import LocalProtocolError

__all__ = ["MAX_HOLD_BACK", "MAX_PLACEHOLDER", "RUN", "Restorer", "placeholders_in", "restore"]

MAX_PLACEHOLDER: Final = 64
"""The longest placeholder, in code points after case folding."""

# Each separator in the text may be two code points long (a backslash before it) where the placeholder has one.
MAX_HOLD_BACK: Final = 2 * MAX_PLACEHOLDER
"""The most code points that a `Restorer` ever holds back."""

_JOINING: Final = "぀-ヿ㐀-䶿一-鿿가-힣฀-๿"
RUN: Final = re.compile(rf"(?:(?![{_JOINING}])[^\W_])+")
"""A word: a maximal run of letters and digits."""
_SEPARATOR: Final = re.compile(r"\\?[_\- \u00a0\u2010\u2011]")


@define
class _Node:
    children: "dict[str, _Node]" = Factory(dict)
    name: str | None = None
    words: list[str] = Factory(list)

    def freeze(self) -> None:
        self.words = sorted(self.children)
        for child in self.children.values():
            child.freeze()

    def begins_word(self, prefix: str) -> bool:
        """Whether some child's word begins with `prefix`."""
        place = bisect_left(self.words, prefix)
        return place < len(self.words) and self.words[place].startswith(prefix)


_MORE: Final = object()  # more text is needed to decide
_Found = tuple[int, str]


def _trie(names: Iterable[str]) -> _Node:
    root = _Node()
    for name in names:
        words = [word.casefold() for word in RUN.findall(name)]
        if not words or len(name.casefold()) > MAX_PLACEHOLDER:
            raise LocalProtocolError("a placeholder has between 1 word and MAX_PLACEHOLDER code points")
        node = root
        for word in words:
            node = node.children.setdefault(word, _Node())
        if node.name not in {None, name}:
            raise LocalProtocolError("two placeholders read the same")
        node.name = name
    root.freeze()
    return root


def _match(root: _Node, text: str, start: int, *, final: bool) -> object:
    """The longest match of the run that begins at `start`: `(end, placeholder)`, None, or `_MORE`."""
    node, place = root, start
    found: _Found | None = None
    while (run := RUN.match(text, place)) is not None:
        end = run.end()
        word = text[place : min(end, place + MAX_PLACEHOLDER + 1)].casefold()
        if end == len(text) and not final:
            return _MORE if node.begins_word(word) else found
        child = node.children.get(word)
        if child is None:
            return found
        if child.name is not None:
            found = (end, child.name)
        if not child.children:
            return found
        separator = _SEPARATOR.match(text, end)
        if separator is None:
            return _MORE if text[end:] == "\\" and not final else found
        node, place = child, separator.end()
        if place == len(text) and not final:
            return _MORE
    return found


def placeholders_in(text: str, names: Iterable[str]) -> list[tuple[int, int, str]]:
    """Where `text` has one of the placeholders `names`, as tolerantly as a `Restorer`: `(start, end, name)`."""
    root = _trie(names)
    places = []
    run = RUN.search(text)
    while run is not None:
        found = _match(root, text, run.start(), final=True)
        end = run.end()
        if isinstance(found, tuple):
            end, name = found
            places.append((run.start(), end, name))
        run = RUN.search(text, end)
    return places


class Restorer:
    """Restores one host's answer as it streams; one use. Its `repr` shows no text.

    `mapping` is placeholder -> original form (`HostView.mapping()`). `after` is the text that the answer goes on from,
    where its beginning has been shown already: what that began is decided. Raises `LocalProtocolError` for
    placeholders without a word, over `MAX_PLACEHOLDER`, or that read the same.
    """

    def __init__(self, mapping: Mapping[str, str], after: str = "") -> None:
        self._originals = dict(mapping)
        self._root = _trie(mapping)
        self._held = ""
        self._inside_run = RUN.fullmatch(after[-1:]) is not None
        self._finished = False

    def __repr__(self) -> str:
        return "<Restorer>"

    @property
    def held_back(self) -> int:
        """Code points held back at the moment; at most `MAX_HOLD_BACK`."""
        return len(self._held)

    def feed(self, delta: str) -> str:
        """What can be shown after `delta` came; may be empty."""
        if self._finished:
            raise LocalProtocolError("the answer was finished: a Restorer serves one answer")
        return self._advance(delta, final=False)

    def finish(self) -> str:
        """What was still held back; the answer is complete."""
        restored = self._advance("", final=True)
        self._finished = True
        return restored

    def _advance(self, delta: str, *, final: bool) -> str:
        text, self._held = self._held + delta, ""
        shown: list[str] = []
        place = 0
        if self._inside_run:
            # The run that this continues has been decided and shown: it is no placeholder.
            run = RUN.match(text)
            place = run.end() if run is not None else 0
            shown.append(text[:place])
            self._inside_run = place == len(text)
        while (run := RUN.search(text, place)) is not None:
            shown.append(text[place : run.start()])
            found = _match(self._root, text, run.start(), final=final)
            if found is _MORE:
                self._held = text[run.start() :]
                assert len(self._held) <= MAX_HOLD_BACK
                return "".join(shown)
            if isinstance(found, tuple):
                place, name = found
                shown.append(self._originals[name])
            else:
                place = run.end()
                shown.append(run.group())
                self._inside_run = place == len(text)
        shown.append(text[place:])
        return "".join(shown)


def restore(text: str, mapping: Mapping[str, str]) -> str:
    """`text` with the originals put back, at once."""
    restorer = Restorer(mapping)
    return restorer.feed(text) + restorer.finish()
