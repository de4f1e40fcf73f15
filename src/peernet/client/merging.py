"""The whole answer as one text that only ever grows, though fragments come in any order and may begin again.

Rules:

1. Text comes out in the order and structure of the request (`privacy.planning.Merger`), each fragment's as it
   streams, the later ones' when their turn comes.
2. What came out is not taken back. When a host fails and another begins the fragment again, its words are held as long
   as they repeat what the reader has; where they differ, a line says so and the new words follow.
3. `text` is the answer as it should have been from the start: without void words and the lines about them.
"""

from typing import Final

from privacy.planning import Merger, Plan, merge

__all__ = ["MergedAnswer"]

BEGUN_AGAIN: Final = "\n\n[A host failed; another one begins this part again.]\n\n"
BROKEN_OFF: Final = "\n\n"


class MergedAnswer:
    """Puts the restored answers of a plan's fragments together. Its `repr` shows no text."""

    def __init__(self, made: Plan) -> None:
        self._plan = made
        self._merger = Merger(made)
        self._texts = {fragment.ordinal: "" for fragment in made.fragments}
        self._said = dict(self._texts)
        """What the reader has of each fragment's present attempt, or of the one before until they differ."""
        self._finished: set[int] = set()
        self._joint = BEGUN_AGAIN

    def __repr__(self) -> str:
        return f"<MergedAnswer of {len(self._texts)} fragments>"

    @property
    def text(self) -> str:
        """The whole answer, as far as it has come."""
        return merge(self._plan, self._texts)

    def feed(self, ordinal: int, text: str) -> str:
        """What can be shown after `text` came from a fragment; may be empty."""
        self._texts[ordinal] += text
        return self._advance()

    def restart(self, ordinal: int) -> None:
        """What came of the fragment so far is void: its next words are its first."""
        self._texts[ordinal] = ""

    def finish(self, ordinal: int) -> str:
        """What can be shown after the fragment is whole: it may set others free."""
        self._finished.add(ordinal)
        return self._advance()

    def fail(self, ordinal: int, notice: str) -> str:
        """As `finish`, for a fragment that has no answer: `notice` stands in its place."""
        self._texts[ordinal] = notice
        self._joint = BROKEN_OFF
        shown = self.finish(ordinal)
        self._joint = BEGUN_AGAIN
        return shown

    def _advance(self) -> str:
        shown = []
        while (fragment := self._merger.showing) is not None:
            shown.append(self._merger.feed(fragment.ordinal, self._unsaid(fragment.ordinal)))
            if fragment.ordinal not in self._finished:
                break
            shown.append(self._merger.finish(fragment.ordinal))
        return "".join(shown)

    def _unsaid(self, ordinal: int) -> str:
        said, text = self._said[ordinal], self._texts[ordinal]
        if said.startswith(text):
            return ""
        self._said[ordinal] = text
        return text[len(said) :] if text.startswith(said) else self._joint + text
