"""Putting the originals back where an answer has placeholders, while it streams.

Rules (design section 6, step 7):

1. What counts as a placeholder is in `_spellings`. Whatever surrounds it (asterisks, quotes, 's, an ending) stays.
2. The leftmost match wins, then the longest. What is put in is never searched again.
3. Held back is only the longest suffix that could still become a placeholder, or a longer one: never more than
   `MAX_HOLD_BACK` code points. Fed in any pieces, the result is that of the whole text at once.
4. Nothing is swallowed: what does not match comes out as it went in.
5. Where a placeholder is a name and not a tag, the original is put in as the name is written there: `PETER` is `JOHN`.
6. In the arguments of a tool call, which are JSON, the original is put in as a JSON string has it.
7. Each choice of an answer and each tool call in it has a buffer of its own: their pieces come in any order.

Letters of scripts that join words without spaces (Han, Kana, Hangul, Thai) do not extend a run, since models write
their particles right behind a placeholder.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from privacy import _spellings
from privacy._spellings import MAX_PLACEHOLDER, MORE, RUN, TAG, Found, Spellings

__all__ = [
    "MAX_HOLD_BACK", "MAX_PLACEHOLDER", "MAX_STREAMS", "RUN", "Restorer", "Restorers", "in_case_of",
    "placeholders_in", "restore",
]  # fmt: skip

# At most every other code point of a placeholder is a gap, which in a text may be four long; then an ending.
MAX_HOLD_BACK: Final = 3 * MAX_PLACEHOLDER
"""The most code points that a `Restorer` ever holds back."""
MAX_STREAMS: Final = 256
"""The most texts and tool calls in one answer."""


def placeholders_in(text: str, names: Iterable[str]) -> list[tuple[int, int, str]]:
    """Where `text` has one of the placeholders `names`, as tolerantly as a `Restorer`: `(start, end, name)`."""
    found = _spellings.placeholders_in(text, Spellings(names))
    return [(start, match.end, match.name) for start, match in found]


class Restorer:
    """Restores one host's answer as it streams; one use. Its `repr` shows no text.

    `mapping` is placeholder -> original form (`HostView.mapping()`), `spellings` are its own, where they are known.
    `after` is the text that the answer goes on from, where its beginning has been shown already: what that began is
    decided. With `json_text`, the answer is JSON and every placeholder in it stands in a string. Raises
    `LocalProtocolError` for placeholders without a word, over `MAX_PLACEHOLDER`, or that read the same.
    """

    def __init__(
        self,
        mapping: Mapping[str, str],
        after: str = "",
        *,
        json_text: bool = False,
        spellings: Spellings | None = None,
    ) -> None:
        self._originals = dict(mapping)
        self._spellings = spellings or Spellings(mapping)
        self._json_text = json_text
        self._held = ""
        self._inside_run = RUN.fullmatch(after[-1:]) is not None
        self._before = after[-1:]
        """The last character that the host wrote before what is held back."""
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
            found = self._spellings.match(text, run.start(), final=final, before=self._before)
            if found is MORE:
                self._held = text[run.start() :]
                self._before = text[run.start() - 1] if run.start() else self._before
                assert len(self._held) <= MAX_HOLD_BACK
                return "".join(shown)
            if isinstance(found, Found):
                place = found.word_end
                shown += [self._original(found.name, text[run.start() : found.end]), text[found.end : place]]
            else:
                place = run.end()
                shown.append(run.group())
                self._inside_run = place == len(text)
        shown.append(text[place:])
        self._before = text[-1:] or self._before
        return "".join(shown)

    def _original(self, name: str, said: str) -> str:
        original = self._originals[name]
        if not TAG.fullmatch(name):
            original = in_case_of(said, name, original)
        return json.dumps(original, ensure_ascii=False)[1:-1] if self._json_text else original


class Restorers:
    """One host's answer, whose choices and tool calls stream side by side: a `Restorer` for each, made when asked for.

    Raises `RemoteProtocolError` beyond `MAX_STREAMS`.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = dict(mapping)
        self._spellings = Spellings(mapping)
        self._streams: dict[tuple[int, int | None], Restorer] = {}

    def __repr__(self) -> str:
        return "<Restorers>"

    def text(self, choice: int) -> Restorer:
        """For the text of a choice."""
        return self._stream(choice, None)

    def arguments(self, choice: int, call: int) -> Restorer:
        """For the arguments of a choice's tool call, which are JSON."""
        return self._stream(choice, call)

    def _stream(self, choice: int, call: int | None) -> Restorer:
        key = (choice, call)
        if key not in self._streams:
            if len(self._streams) >= MAX_STREAMS:
                raise RemoteProtocolError(f"an answer of over {MAX_STREAMS} streams", reason="too_many_streams")
            self._streams[key] = Restorer(self._mapping, json_text=call is not None, spellings=self._spellings)
        return self._streams[key]


def in_case_of(said: str, name: str, original: str) -> str:
    """`original`, written as `said` has written `name`."""
    if said == name or (said.isupper(), said.islower()) == (name.isupper(), name.islower()):
        return original
    if said.isupper():
        return original.upper()
    if said.islower():
        return original.lower()
    return original.title() if said.istitle() and (original.isupper() or original.islower()) else original


def restore(text: str, mapping: Mapping[str, str]) -> str:
    """`text` with the originals put back, at once."""
    restorer = Restorer(mapping)
    return restorer.feed(text) + restorer.finish()
