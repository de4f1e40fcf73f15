"""Screening: how well the classifier tells harmful from not, how often ordinary prompts are refused, and how fast.

F1 is over the fifth of the moderation file that is never trained on: a text is harmful if the file labels any
category with 1 (what is absent counts as not labelled), and said to be if its harm score is over `HARM_THRESHOLD`.
Adult content counts there, since the file labels it; the policy does not refuse it, so what `Screen` refuses as
configured by default is told apart, against those labels alone that it refuses. The reference is what anybody gets for
free: to call every text harmful.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.report import Figure
from privacy.screening.categories import DEFAULT_THRESHOLDS, LABELS, OFF
from privacy.screening.classifier import HARM_THRESHOLD, Classifier, Scores
from privacy.screening.screen import Screen
from training.screening.corpus import (
    HARMLESS_FOR_JUDGING,
    Labelled,
    harmless_sets,
    moderation,
    ordinary,
    requests,
)

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
REFUSED_LABELS: Final = frozenset(name for name in LABELS if DEFAULT_THRESHOLDS[name] < OFF)
PROMPT: Final = (
    "Please write to Maria that the meeting is moved to Tuesday at ten, and ask whether she can bring the report that "
    "we spoke of; keep it short and kind."
)
REPEATS: Final = 300
MAX_FALSE_REFUSALS: Final = 0.01
LONG_CHARS: Final = (100_000, 1_000_000)


def figures() -> Iterator[Figure]:
    """Quality on what was held back, false refusals, load and speed."""
    classifier = Classifier()
    began = time.perf_counter()
    import spacy  # noqa: F401  its import is the detector's, too, and not the model's

    imported = time.perf_counter()
    classifier.load()
    loaded = time.perf_counter()
    conditions = {"import of spaCy apart, s": round(imported - began, 2)}
    yield Figure("screening_load", loaded - imported, "s", "none", None, 0.5, True, conditions)
    if (DATA / "screening").exists():
        yield from quality(classifier)
    yield from _speed(Screen(timeout_s=600.0, classifier=classifier))


def quality(classifier: Classifier) -> Iterator[Figure]:
    """What the model card tells; needs the data sets."""
    screen = Screen(timeout_s=600.0, classifier=classifier)
    yield from _on_the_file(classifier, screen)
    for name in HARMLESS_FOR_JUDGING:
        yield _false_refusal(name, screen, harmless_sets(DATA / "pii", [name]))
    yield _false_refusal("ordinary", screen, [text for text in ordinary() if text.held_back])
    asked = [text for text in requests() if text.held_back and not REFUSED_LABELS.isdisjoint(_true(text))]
    refused = sum(not screen.screen(text.text).allowed for text in asked)
    facts = {"texts": len(asked)}
    yield Figure("screening_requests_refused", refused / len(asked), "share", "none", None, None, False, facts)


def _on_the_file(classifier: Classifier, screen: Screen) -> Iterator[Figure]:
    held = [text for text in moderation(DATA / "screening" / "openai_moderation_dev.jsonl") if text.held_back]
    scores = [classifier.scores(text.text) for text in held]
    said = [score.harm > HARM_THRESHOLD for score in scores]
    true = [text.harmful for text in held]
    precision, recall, f1 = _quality(true, said)
    _, _, for_free = _quality(true, [True] * len(true))
    facts = {"texts": len(held), "harmful": sum(true), "precision": round(precision, 3), "recall": round(recall, 3)}
    yield Figure("screening_f1", f1, "F1", "all harmful", for_free, 0.75, False, facts, bounds_value=True)
    for name in LABELS:
        yield from _category(name, held, scores)
    true = [not REFUSED_LABELS.isdisjoint(_true(text)) for text in held]
    precision, recall, f1 = _quality(true, [not screen.screen(text.text).allowed for text in held])
    facts = {"harmful": sum(true), "precision": round(precision, 3), "recall": round(recall, 3)}
    yield Figure("screening_f1_as_configured", f1, "F1", "none", None, None, False, facts)


def _category(name: str, held: Sequence[Labelled], scores: Sequence[Scores]) -> Iterator[Figure]:
    known = [(text, score) for text, score in zip(held, scores, strict=True) if name in text.labels]
    true = [text.labels[name] for text, _ in known]
    if any(true):
        said = [score.categories[name] > HARM_THRESHOLD for _, score in known]
        precision, recall, f1 = _quality(true, said)
        facts = {
            "labelled": len(true),
            "true": sum(true),
            "precision": round(precision, 3),
            "recall": round(recall, 3),
        }
        yield Figure(f"screening_f1_{name}", f1, "F1", "none", None, None, False, facts)


def _false_refusal(name: str, screen: Screen, texts: Sequence[Labelled]) -> Figure:
    refused = sum(not screen.screen(text.text).allowed for text in texts)
    name, share = f"screening_false_refusals_{name}", refused / len(texts)
    return Figure(name, share, "share", "none", None, MAX_FALSE_REFUSALS, True, {"texts": len(texts)})


def _speed(screen: Screen) -> Iterator[Figure]:
    screen.screen(PROMPT)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        screen.screen(PROMPT)
        times.append(time.perf_counter() - began)
    median_us = sorted(times)[len(times) // 2] * 1e6
    yield Figure("screening_prompt", median_us, "us, median", "none", None, None, True, {"chars": len(PROMPT)})
    per_char = []
    for size in LONG_CHARS:
        text = (PROMPT + " ") * (size // (len(PROMPT) + 1))
        gc.collect()
        began = time.process_time()
        screen.screen(text)
        per_char.append((time.process_time() - began) / len(text) * 1e6)
    name = f"CPU us a character of {LONG_CHARS[1]}"
    yield Figure("screening_long", per_char[1], name, f"of {LONG_CHARS[0]}", per_char[0], 1.5, True)
    cpu_s = per_char[1] * LONG_CHARS[1] / 1e6
    yield Figure("screening_megabyte", cpu_s, "s of CPU", "none", None, 2.0, True, {"chars": LONG_CHARS[1]})


def _true(text: Labelled) -> set[str]:
    return {name for name, applies in text.labels.items() if applies}


def _quality(true: Sequence[bool], said: Sequence[bool]) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    hits = sum(a and b for a, b in zip(true, said, strict=True))
    precision, recall = hits / max(1, sum(said)), hits / max(1, sum(true))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)
