"""Refusing what must not travel: illegal, abusive, violent and malicious texts, self-harm, sexual content with minors.

`screen` decides, by `rules` (words that together ask for a thing) and a `classifier` (a small model), and by a
`guard` model where there is one; `categories` says what is refused, and what a person is told.
`folding` and `features` are how a text is read.
"""

from privacy.screening.categories import CATEGORIES, DEFAULT_THRESHOLDS
from privacy.screening.classifier import ScreeningFailed
from privacy.screening.guard import Guard, engine_guard
from privacy.screening.screen import AnswerScreen, Screen, Verdict

__all__ = [
    "CATEGORIES",
    "DEFAULT_THRESHOLDS",
    "AnswerScreen",
    "Guard",
    "Screen",
    "ScreeningFailed",
    "Verdict",
    "engine_guard",
]
