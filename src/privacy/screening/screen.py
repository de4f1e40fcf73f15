"""The screen: whether a text may travel, by rules, a classifier and, where there is one, a guard model.

Theory of operation. Rules come first: they are exact and name the category best. What they let pass is scored by the
classifier, and refused where a category's score is over its threshold. What both let pass is put to the guard model.
Client and host use the same screen; it holds nothing of a text between two calls.

Rules:

1. Fails closed: an error, a missing model or a deadline that passes is `ScreeningFailed`, and nothing is sent.
2. A verdict holds a category and an explanation of ours, never a piece of the text. Nothing is logged.
3. Feelings are not refused: someone who says that they are unwell may talk. What is refused is the method and the
   announced deed, with an explanation that says where help is.
4. Time is linear in the text. A long one is screened in a thread; the deadline is looked at after each sentence and
   each few windows, and is the wall's: a thread does not wait for a mock clock.

Source: design section 6, steps 1 and 7; promise P1.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import trio
from attrs import Attribute, define, field, frozen

from peernet.core.errors import UserError
from privacy.screening.categories import CATEGORIES, DEFAULT_THRESHOLDS, LABELS, checked_thresholds
from privacy.screening.classifier import Classifier, ScreeningFailed, packaged
from privacy.screening.folding import MAX_SENTENCE_CHARS, SENTENCE_END
from privacy.screening.guard import Guard
from privacy.screening.rules import Said, broken_rule, load_rules, nothing_said

__all__ = ["AnswerScreen", "Screen", "Verdict"]

DEFAULT_TIMEOUT_S: Final = 10.0
INLINE_CHARS: Final = 2_000
"""A text up to here takes some milliseconds, which is no reason for a thread."""
ANSWER_WINDOW_CHARS: Final = 1_200
"""The classifier reads an answer's last characters, of about as many words as it was trained on."""
ANSWER_STEP_CHARS: Final = 400
"""How much of an answer is new before the classifier reads it again."""
_STOPS: Final = re.compile(SENTENCE_END.pattern)


@frozen
class Verdict:
    """Whether a text may travel."""

    allowed: bool
    category: str | None = None
    """One of `CATEGORIES` where it may not."""
    explanation: str = ""
    """What to tell the person; never a piece of the text."""

    @classmethod
    def refusing(cls, category: str | None) -> "Verdict":
        """The verdict for a category; with None the text may travel."""
        return cls(allowed=True) if category is None else cls(False, category, CATEGORIES[category])


@frozen
class Screen:
    """Decides whether a text may travel. One may serve every thread and task.

    Args:
        thresholds: by category, all of them (`checked_thresholds`); 1 turns the classifier off for it.
        timeout_s: how long one text may take, the guard model included.
        guard: asked about what the others let pass; see `guard`.
        classifier: the packaged one.
    """

    thresholds: Mapping[str, float] = field(default=DEFAULT_THRESHOLDS, converter=checked_thresholds)
    timeout_s: float = field(default=DEFAULT_TIMEOUT_S)
    guard: Guard | None = None
    classifier: Classifier = field(factory=packaged)

    @timeout_s.validator
    def _check_timeout(self, _: "Attribute[float]", value: float) -> None:
        if not value > 0:
            raise ValueError(f"the screening timeout is over 0 s, not {value}")

    @classmethod
    def configured(cls, thresholds: Mapping[str, float], timeout_s: float, guard: Guard | None = None) -> "Screen":
        """The screen that a configuration asks for; raises `UserError` where it asks for what is none."""
        try:
            return cls(thresholds=thresholds, timeout_s=timeout_s, guard=guard)
        except ValueError as error:
            raise UserError(str(error)) from error

    def load(self) -> None:
        """Reads rules and model ahead of the first text; raises `ScreeningFailed` where the model is missing."""
        load_rules()
        self.classifier.load()

    async def check(self, text: str) -> Verdict:
        """The verdict of all three on a prompt or a turn; raises `ScreeningFailed`."""
        with trio.move_on_after(self.timeout_s):
            verdict = await self._screen_aside(text)
            if not verdict.allowed or self.guard is None:
                return verdict
            return Verdict.refusing(await self._ask_guard(self.guard, text))
        raise self._late()

    def screen(self, text: str) -> Verdict:
        """The verdict of rules and classifier, here and now; raises `ScreeningFailed`."""
        return self._judge(text, broken_rule, self._scored)

    def answer(self) -> "AnswerScreen":
        """A screen for one answer that streams."""
        return AnswerScreen(self)

    def by_rules(self, text: str, said: Said | None = None) -> Verdict:
        """The verdict of the rules alone, after what was `said` before, which then goes on with `text`."""
        return self._judge(text, partial(broken_rule, said=said))

    def by_scores(self, text: str) -> Verdict:
        """The verdict of the classifier alone."""
        return self._judge(text, self._scored)

    async def _screen_aside(self, text: str) -> Verdict:
        if len(text) <= INLINE_CHARS and self.classifier.loaded:
            return self.screen(text)
        return await trio.to_thread.run_sync(self.screen, text, abandon_on_cancel=True)

    async def _ask_guard(self, guard: Guard, text: str) -> str | None:
        failure: str
        try:
            return await guard(text)
        except ScreeningFailed:
            raise
        except Exception as error:  # noqa: BLE001  promise P1: whatever broke, nothing is sent
            failure = type(error).__name__
        raise ScreeningFailed(f"the guard model failed ({failure}); nothing was sent")

    def _judge(self, text: str, *judges: "Callable[[str, Callable[[], None]], str | None]") -> Verdict:
        deadline = time.monotonic() + self.timeout_s
        failure: str

        def on_progress() -> None:
            if time.monotonic() > deadline:
                raise self._late()

        try:
            for judge in judges:
                category = judge(text, on_progress)
                on_progress()
                if category is not None:
                    return Verdict.refusing(category)
            return Verdict.refusing(None)
        except ScreeningFailed:
            raise
        except Exception as error:  # noqa: BLE001  promise P1: whatever broke, nothing is sent
            failure = type(error).__name__
        # Raised outside the handler: the cause, which may quote the text, is not chained to it.
        raise ScreeningFailed(f"screening failed ({failure}); nothing was sent")

    def _scored(self, text: str, on_progress: Callable[[], None]) -> str | None:
        found = self.classifier.scores(text, on_progress).categories
        over = {name: found[name] - self.thresholds[name] for name in LABELS if found[name] > self.thresholds[name]}
        return max(over, key=lambda name: over[name], default=None)

    def _late(self) -> ScreeningFailed:
        return ScreeningFailed(f"screening took over {self.timeout_s:g} s; nothing was sent")


@define
class AnswerScreen:
    """Screens an answer as it comes, at a cost that is linear in it.

    The rules read each sentence once, when it has ended, and keep the last two, for what the next may mean by `them`,
    until the answer is whole or refused. The classifier reads the last `ANSWER_WINDOW_CHARS` whenever
    `ANSWER_STEP_CHARS` are new. When the answer is whole, all of it is screened once more, as it would be at once.
    """

    _screen: Screen
    _ruled: int = 0
    """How far the rules have read."""
    _scored: int = 0
    """How far the classifier has."""
    _said: Said = field(factory=nothing_said, init=False, repr=False)
    """The last sentences that the rules have read: at most two readings of `MAX_SENTENCE_CHARS`."""

    async def read(self, answer: str, *, whole: bool = False) -> Verdict:
        """The verdict on `answer`, which begins with what was read before; raises `ScreeningFailed`."""
        goes_on = False
        try:
            verdict = await self._screen.check(answer) if whole else self._so_far(answer)
            goes_on = verdict.allowed and not whole
            return verdict
        finally:
            if not goes_on:
                self._said.clear()

    def _so_far(self, answer: str) -> Verdict:
        end = self._end_of_sentences(answer)
        if end > self._ruled:
            sentences, self._ruled = answer[self._ruled : end], end
            verdict = self._screen.by_rules(sentences, self._said)
            if not verdict.allowed:
                return verdict
        if len(answer) - self._scored >= ANSWER_STEP_CHARS:
            low = max(0, self._scored - ANSWER_WINDOW_CHARS + ANSWER_STEP_CHARS)
            self._scored = len(answer)
            return self._screen.by_scores(answer[low:])
        return Verdict(allowed=True)

    def _end_of_sentences(self, answer: str) -> int:
        """Where the last sentence that has ended does, or a stretch without a stop is cut."""
        stops = [match.end() for match in _STOPS.finditer(answer, self._ruled)]
        cut = self._ruled + (len(answer) - self._ruled) // MAX_SENTENCE_CHARS * MAX_SENTENCE_CHARS
        return max([cut, *stops])
