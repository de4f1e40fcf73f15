"""An answer's text over several hosts: what is shown, what the next host is given of it, and the seam between two.

Rules (design section 5, "Failure"):

1. What was shown stays. A host that goes on is given exactly that, in its own placeholders (`HostView.translate`), so
   whatever might still have become a placeholder at its end is left out; the host writes it again.
2. Spaces at its end are not given, since models write a word's space with the word; those that come again are
   not shown twice.
3. A host that repeats the end of what it was given is not shown to stutter: an exact repetition of
   `MIN_REPEATED_WORDS` and `MIN_REPEATED` code points or more is left out. Not where the text itself repeats so, which
   is then the answer's own way; and never anything else, so that no word is lost.
4. A stop text that began before the seam and is completed behind it ends the answer there.
5. Held back at the seam is only what may still turn out to be one of these.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from privacy.restoring import Restorer

__all__ = ["MAX_REPEATED", "MIN_REPEATED", "MIN_REPEATED_WORDS", "AnswerText", "Seam", "prefix_of"]

MIN_REPEATED_WORDS: Final = 6
MIN_REPEATED: Final = 30
"""In code points."""
MAX_REPEATED: Final = 1000
"""How far back a repetition is looked for, and so how much of an answer is held back at most, in code points."""

_WORD_START: Final = re.compile(r"(?<!\S)\S")


def prefix_of(kept: str) -> str | None:
    """What a host is given that goes on behind `kept` (rule 2); None where there is nothing to go on from."""
    given = kept.rstrip(" ")
    return given if given.strip() else None


class Seam:
    """Joins what a host writes to `kept`, the text that it goes on from; one use. Its `repr` shows no text."""

    def __init__(self, kept: str, stops: Sequence[str] = ()) -> None:
        self._kept = kept
        self._stops = tuple(stops)
        self._spaces = kept[len(kept.rstrip(" ")) :]
        self._white_space = kept[len(kept.rstrip()) :]
        self._endings = _endings(kept.rstrip())
        self._start = ""
        self._joined = not kept
        self.stopped = False
        """Whether a stop text ended the answer at the seam."""

    def __repr__(self) -> str:
        return "<Seam>"

    def feed(self, delta: str) -> str:
        """What of the answer goes on behind what was kept, after `delta` came; may be empty."""
        return self._join(delta, final=False)

    def finish(self) -> str:
        """What was still undecided; the answer is complete."""
        return self._join("", final=True)

    def _join(self, delta: str, *, final: bool) -> str:
        if self.stopped:
            return ""
        if self._joined:
            return delta
        self._start += delta
        repeated = self._repeated(final=final)
        if repeated is None:
            return ""
        rest = self._start[repeated:]
        shown = self._white_space if repeated else self._spaces
        if shown.startswith(rest) and rest != shown and not final:
            return ""
        rest = rest[_common(rest, shown) :]
        stopped = self._stops_here(rest, final=final)
        if stopped is None:
            return ""
        self._joined, self.stopped = True, stopped
        return "" if stopped else rest

    def _repeated(self, *, final: bool) -> int | None:
        """How much of the start repeats what was kept; None as long as it cannot be told."""
        body = self._start.lstrip()
        if not final and any(len(body) < len(ending) and ending.startswith(body) for ending in self._endings):
            return None
        found = [ending for ending in self._endings if body.startswith(ending)]
        # Two endings that both fit overlap: the text repeats itself.
        if len(found) != 1 or self._kept.count(found[0]) != 1:
            return 0
        return len(self._start) - len(body) + len(found[0])

    def _stops_here(self, rest: str, *, final: bool) -> bool | None:
        """Whether a stop text lies across the seam; None as long as it cannot be told."""
        behind = [
            stop[size:] for stop in self._stops for size in range(1, len(stop)) if self._kept.endswith(stop[:size])
        ]
        if any(rest.startswith(ending) for ending in behind):
            return True
        return None if not final and any(ending.startswith(rest) for ending in behind) else False


class AnswerText:
    """The text of one host's answer as it streams, joined to what another host had begun, names restored.

    Args:
        mapping: the host's placeholders (`HostView.mapping`).
        kept: what was shown of the answer before, in this host's placeholders.
        stops: the texts before which the answer ends, as the host was given them.
    """

    def __init__(self, mapping: Mapping[str, str], kept: str = "", stops: Sequence[str] = ()) -> None:
        self._names = tuple(mapping)
        self._seam = Seam(kept, stops)
        self._restorer = Restorer(mapping, after=kept)
        self.as_sent = kept
        """The whole answer so far, as this host would have written it."""

    def __repr__(self) -> str:
        return "<AnswerText>"

    @property
    def kept(self) -> str:
        """That of `as_sent` which has been shown: what another host can go on from."""
        return self.as_sent[: len(self.as_sent) - self._restorer.held_back]

    @property
    def stopped(self) -> bool:
        """Whether a stop text ended the answer at the seam."""
        return self._seam.stopped

    def feed(self, delta: str) -> str:
        """What can be shown after `delta` came; may be empty."""
        return self._restored(self._seam.feed(delta))

    def finish(self, *, cut: bool) -> str:
        """The last of it, once nothing more comes; `cut` where the answer was cut at its length.

        The beginning of a placeholder at which a long answer was cut is no word, and not shown.
        """
        shown = self._restored(self._seam.finish())
        held = self._restorer.finish()
        is_cut_placeholder = len(held) > 1 and any(name.startswith(held) for name in self._names)
        return shown if cut and is_cut_placeholder else shown + held

    def _restored(self, text: str) -> str:
        self.as_sent += text
        return self._restorer.feed(text)


def _endings(kept: str) -> list[str]:
    """The endings of `kept` that count as repeated when they come again."""
    starts = (match.start() for match in _WORD_START.finditer(kept, max(0, len(kept) - MAX_REPEATED)))
    endings = [kept[start:] for start in starts]
    return [text for text in endings if len(text) >= MIN_REPEATED and len(text.split()) >= MIN_REPEATED_WORDS]


def _common(one: str, other: str) -> int:
    """How long the common beginning of two texts is."""
    size = 0
    while size < min(len(one), len(other)) and one[size] == other[size]:
        size += 1
    return size
