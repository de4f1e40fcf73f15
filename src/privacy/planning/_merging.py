"""Putting the answers together: in the order and by the structure of the request, while they still stream.

Rules: an answer is shown when all before it are finished; what was shown is never taken back; a lone answer is passed
on untouched. Where every host got the header of a table, later answers are shown without it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from peernet.core.errors import LocalProtocolError
from privacy.planning._cutting import TABLE_RULE
from privacy.planning._model import Fragment, Plan

MAX_HEADER_LINES: Final = 2
MAX_HELD_CHARS: Final = 4000
"""An answer's beginning is held back no further, to see whether it is a header."""


def next_to_show(made: Plan, finished: Iterable[int]) -> Fragment | None:
    """The fragment whose answer may be shown now, given the ordinals that are finished; None when all are."""
    done = set(finished)
    return next((fragment for fragment in made.fragments if fragment.ordinal not in done), None)


class Merger:
    """Puts the restored answers together while they stream, in whatever order they come.

    What its calls return, in a row, is `merge(plan, answers)`. An answer is held back while one before it runs. White
    space around an answer is dropped where there are several.
    """

    def __init__(self, made: Plan) -> None:
        self._plan = made
        self._waiting: dict[int, list[str]] = {}
        self._finished: set[int] = set()
        self._current = 0
        self._any_shown = False
        self._current_shown = False
        self._spaces = ""
        self._opening: str | None = ""
        """The first lines of the first answer, as far as they came; None where no answer repeats them."""
        if not any(fragment.repeated_lines for fragment in made.fragments):
            self._opening = None
        self._held = ""
        """The beginning of an answer that may be those lines again."""
        self._settled = False
        """Whether that has been told of the answer that is shown now."""

    def __repr__(self) -> str:
        return f"<Merger of {len(self._plan.fragments)} fragments>"

    @property
    def showing(self) -> Fragment | None:
        """The fragment whose text comes out now; None when all are finished."""
        return next_to_show(self._plan, range(self._current))

    def feed(self, ordinal: int, delta: str) -> str:
        """What can be shown after `delta` came from fragment `ordinal`; may be empty."""
        self._check(ordinal)
        if ordinal == self._current:
            return self._shown(self._unrepeated(delta))
        self._waiting.setdefault(ordinal, []).append(delta)
        return ""

    def finish(self, ordinal: int) -> str:
        """What can be shown after fragment `ordinal` is complete: it may set others free."""
        self._check(ordinal)
        self._finished.add(ordinal)
        freed: list[str] = []
        while self._current in self._finished:
            freed.append(self._shown(self._unrepeated("", last=True)))
            self._current += 1
            self._current_shown = self._settled = False
            self._forget_opening()
            self._spaces = ""
            freed.append(self._shown(self._unrepeated("".join(self._waiting.pop(self._current, ())))))
        return "".join(freed)

    def _forget_opening(self) -> None:
        """An answer that repeats no lines may be the first over another table."""
        following = self._plan.fragments[self._current : self._current + 1]
        if self._opening is not None and following and not following[0].repeated_lines:
            self._opening = ""

    def _check(self, ordinal: int) -> None:
        if ordinal in self._finished or not 0 <= ordinal < len(self._plan.fragments):
            raise LocalProtocolError(f"fragment {ordinal} is finished, or not of this plan")

    def _unrepeated(self, delta: str, *, last: bool = False) -> str:
        """An answer's next words, without the header of a table that the first answer has shown.

        It is held back until it is whole: lines that the first answer began with, or two with a table's rule.
        """
        if self._opening is None or self._current >= len(self._plan.fragments):
            return delta
        count = self._plan.fragments[self._current].repeated_lines
        if not count:
            if self._opening.count("\n") <= MAX_HEADER_LINES:
                self._opening = (self._opening + delta).lstrip()
            return delta
        if self._settled:
            return delta
        self._held += delta
        lines = self._held.lstrip().split("\n")
        if len(lines) <= count and not last and len(self._held) < MAX_HELD_CHARS:
            return ""
        held, self._held, self._settled = self._held, "", True
        known = self._opening.lstrip().split("\n")[:count]
        head = [" ".join(line.split()) for line in lines[:count]]
        if len(lines) >= count and (
            head == [" ".join(line.split()) for line in known] or TABLE_RULE.fullmatch(lines[count - 1].strip())
        ):
            return "\n".join(lines[count:])
        return held

    def _shown(self, delta: str) -> str:
        if len(self._plan.fragments) == 1:
            return delta
        text = self._spaces + delta if self._current_shown else delta.lstrip()
        visible = text.rstrip()
        self._spaces = text[len(visible) :]
        if not visible:
            # White space before the first word is dropped; behind it, it waits for the next one.
            self._spaces = self._spaces if self._current_shown else ""
            return ""
        if not self._current_shown:
            heading = self._plan.fragments[self._current].heading
            parts = [
                self._plan.fragments[self._current].joint if self._any_shown else "",
                f"{heading}\n\n" if heading else "",
                visible,
            ]
            visible = "".join(parts)
        self._current_shown = self._any_shown = True
        return visible


def merge(made: Plan, answers: Mapping[int, str]) -> str:
    """The answers, by ordinal, as one: in the order and by the structure of the request.

    A list gives each answer its number and words as a heading, paragraphs give paragraphs, and the parts of one text
    stand together as they did in it. Raises
    `LocalProtocolError` where an answer is missing or of no fragment.
    """
    if set(answers) != {fragment.ordinal for fragment in made.fragments}:
        raise LocalProtocolError("there is one answer to merge for each fragment of the plan")
    merger = Merger(made)
    return "".join(
        text
        for ordinal in sorted(answers)
        for text in (merger.feed(ordinal, answers[ordinal]), merger.finish(ordinal))
    )
