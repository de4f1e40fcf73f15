"""The text classifier: a score from 0 to 1 for each category, by a small spaCy pipeline that we trained.

Rules:

1. spaCy and numpy are imported and the pipeline is loaded by `load`, or by the first text; importing this costs
   nothing.
2. A long text is read in windows of `WINDOW_WORDS`, one after the other with an overlap, and its score is the highest
   of any window's: what stands in the middle of a megabyte counts as much as alone, and time is linear.
3. Nothing of a text stays: spaCy is given features, and no word.
4. One lock: threads may use it together.
5. Whatever is missing or broken is `ScreeningFailed`, and its message holds nothing of a text.

How it was trained, and on what: the model card in `models/screening`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from peernet.core.errors import UserError
from privacy._lean_spacy import import_spacy
from privacy.screening.categories import LABELS
from privacy.screening.features import class_names, words
from privacy.screening.folding import fold

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = [
    "HARMFUL",
    "HARM_THRESHOLD",
    "MODEL_FOLDER",
    "WINDOW_WORDS",
    "Classifier",
    "Scores",
    "ScreeningFailed",
    "packaged",
    "windows",
]

MODEL_FOLDER: Final = Path(__file__).parents[1] / "models" / "screening"
HARMFUL: Final = "harmful"
"""The output that says whether any category applies, adult content included."""
HARM_THRESHOLD: Final = 0.34
"""The harm score above which a text is called harmful where one figure is wanted; no verdict rests on it."""
WINDOW_WORDS: Final = 300
OVERLAP_WORDS: Final = 60
BATCH_WINDOWS: Final = 8
"""Windows scored between two looks at the deadline."""


class ScreeningFailed(UserError):
    """A text could not be screened, so it must not be sent. The message holds nothing of the text."""


@frozen
class Scores:
    """What the classifier says of a text."""

    categories: Mapping[str, float]
    harmful: float

    @property
    def harm(self) -> float:
        """One number for "any category": half the output trained for that, half the highest category's."""
        return (self.harmful + max(self.categories.values())) / 2


@define
class Classifier:
    """The packaged pipeline, or the one in `folder`."""

    folder: Path = MODEL_FOLDER
    _language: "Language | None" = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False, eq=False)

    @property
    def loaded(self) -> bool:
        """Whether the next text needs no loading."""
        return self._language is not None

    def load(self) -> None:
        """Reads the pipeline, once; raises `ScreeningFailed` where it, or spaCy, is not installed."""
        with self._lock:
            self._loaded()

    def scores(self, text: str, on_progress: Callable[[], None] = lambda: None) -> Scores:
        """The highest score of any window; `on_progress` is called between windows, and may raise."""
        best = [0.0] * (len(LABELS) + 1)
        batch: list[Sequence[str]] = []
        for window in windows(text):
            batch.append(window)
            if len(batch) == BATCH_WINDOWS:
                best = self._best(best, batch)
                batch = []
                on_progress()
        if batch:
            best = self._best(best, batch)
        return Scores(dict(zip(LABELS, best, strict=False)), best[-1])

    def _best(self, best: Sequence[float], batch: Sequence[Sequence[str]]) -> list[float]:
        with self._lock:
            language = self._loaded()
            from privacy.screening._pipeline import window_scores

            rows = window_scores(_scorer(language).model, batch)
        return [max(before, float(column.max())) for before, column in zip(best, rows.T, strict=True)]

    def _loaded(self) -> "Language":
        if self._language is not None:
            return self._language
        try:
            spacy = import_spacy()

            import privacy.screening._pipeline  # noqa: F401  the packaged pipeline names its architecture

            language: Language = spacy.load(self.folder, exclude=["vocab", "tokenizer"])
        except (ImportError, OSError, ValueError) as error:
            raise ScreeningFailed(
                f"the screening model cannot be loaded ({type(error).__name__}), so nothing is sent: install peernet "
                "with its extra client or host"
            ) from error
        if _scorer(language).labels != (*LABELS, HARMFUL):
            raise ScreeningFailed(
                "the screening model is of another version, so nothing is sent: install peernet anew"
            )
        class_names()  # reads their table
        self._language = language
        return language


def _scorer(language: "Language") -> Any:
    return language.get_pipe("textcat_multilabel")


@cache
def packaged() -> Classifier:
    """The packaged classifier, one for all screens of a process: it is read and kept in memory once."""
    return Classifier()


def windows(text: str) -> Iterator[list[str]]:
    """The words of a text in windows that overlap; none of a text without words."""
    found = words(fold(text))
    for low in range(0, max(len(found) - OVERLAP_WORDS, min(1, len(found))), WINDOW_WORDS - OVERLAP_WORDS):
        yield found[low : low + WINDOW_WORDS]
