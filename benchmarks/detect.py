"""Detection: how much of what identifies people is found, and how fast, on labelled texts; beside Presidio.

    python -m benchmarks detect                                   the development sets
    python -m benchmarks detect --gold FILE [--pred OUT]          any file of their format
    python -m benchmarks detect --against presidio                with Presidio in the same run (`make presidio`)

A gold file has a document a line: `{id, text, spans: [{start, end, type}]}`, offsets in code points. `OUT` gets a
line a document, `{id, spans: [{start, end, type}]}`, with our labels. A span with `idtype` NO_MASK, or of a type that
is ignored, is neither owed nor wrong. Counted are letters and digits: `found` is the share of the owed that is masked,
`precision` the share of the masked that is owed; `whole` the share of owed spans that are masked wholly, `harmless
hit` the share of documents with nothing owed in which something is masked.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from attrs import frozen

from benchmarks.report import Figure
from peernet.core.errors import UserError

CHECKOUT: Final = Path(__file__).resolve().parents[1]
DATA: Final = CHECKOUT.parent / "shared" / "data" / "pii"
PRESIDIO_PYTHON: Final = CHECKOUT / ".venv-presidio" / "bin" / "python"
TIMEOUT_S: Final = 1800

SETS: Final = (
    "presidio_synth_v2", "pii_anon_clinical", "pii_anon_adversarial", "pii_syn_nano", "uner_ewt_dev",
)  # fmt: skip
"""Development sets that nothing is trained on."""
IGNORED: Final[Mapping[str, frozenset[str]]] = {
    "presidio_synth_v2": frozenset({"TITLE", "AGE"}),
    "pii_anon_clinical": frozenset(
        {
            "HEALTH_CONDITION", "MEDICATION_NAME", "PROCEDURE_NAME", "JOB_TITLE", "SALARY", "HOUSEHOLD_SIZE",
            "BLOOD_TYPE", "TIMESTAMP",
        }
    ),
    "tab_train": frozenset({"DEM", "MISC", "QUANTITY"}),
}  # fmt: skip
"""Types that a set labels and that identify nobody by themselves."""
NAMES_ONLY: Final = frozenset({"uner_ewt_dev", "wnut17_train", "btc_train"})
"""Sets that label names only: there, what else is found is not looked at."""
NAMES: Final = frozenset({"PERSON", "LOCATION", "ADDRESS", "ORGANIZATION"})
TARGETS: Final[Mapping[str, float]] = {"found": 0.95, "precision": 0.92, "whole": 0.93, "harmless hit": 0.25}
TARGETED: Final = frozenset({"presidio_synth_v2", "pii_anon_clinical"})
SHORT_CHARS: Final = 240
BATCH: Final = 64
LOADS: Final = 7
"""Processes that load the detector, one after the other, for the median time."""

Spans = Sequence[Mapping[str, Any]]


@frozen
class Document:
    """A labelled text."""

    id: str
    text: str
    owed: Spans
    neutral: Spans


@frozen
class Scores:
    """What a detector made of a set, by the definitions above."""

    found: float
    precision: float
    whole: float
    harmless_hit: float | None
    """None where every document owes something."""

    def named(self) -> dict[str, float]:
        """The scores by their names, those that there are."""
        scores = {"found": self.found, "precision": self.precision, "whole": self.whole}
        return scores if self.harmless_hit is None else scores | {"harmless hit": self.harmless_hit}


def read_gold(path: Path, ignored: frozenset[str]) -> list[Document]:
    """The documents of a gold file; raises `UserError` for a line that is none."""
    documents = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            loaded = json.loads(line)
            spans = [span for span in loaded["spans"] if isinstance(span["type"], str)]
            neutral = [span for span in spans if span.get("idtype") == "NO_MASK" or span["type"] in ignored]
            owed = [span for span in spans if span not in neutral]
            documents.append(Document(str(loaded["id"]), loaded["text"], owed, neutral))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}, line {number}: not a document with id, text and spans") from None
    return documents


def score(documents: Sequence[Document], predicted: Mapping[str, Spans]) -> Scores:
    """The scores of `predicted`, spans by the document's id."""
    hit = missed = wrong = owed_spans = whole = harmless = harmless_hit = 0
    for document in documents:
        masked = _places(predicted.get(document.id, ()))
        owed, neutral = _places(document.owed), _places(document.neutral)
        solid = {place for place, char in enumerate(document.text) if char.isalnum()}
        hit += len(owed & masked & solid)
        missed += len((owed - masked) & solid)
        stray = (masked - owed - neutral) & solid
        wrong += len(stray)
        for span in document.owed:
            places = set(range(span["start"], span["end"]))
            whole += (places & solid or places) <= masked
        owed_spans += len(document.owed)
        if not document.owed:
            harmless += 1
            harmless_hit += bool((masked - neutral) & solid)
    return Scores(
        found=hit / (hit + missed) if hit + missed else 1.0,
        precision=hit / (hit + wrong) if hit + wrong else 1.0,
        whole=whole / owed_spans if owed_spans else 1.0,
        harmless_hit=harmless_hit / harmless if harmless else None,
    )


def _places(spans: Spans) -> set[int]:
    return {place for span in spans for place in range(span["start"], span["end"])}


@frozen
class Run:
    """What a detector predicted for some sets, and how many CPU seconds it took."""

    predicted: Sequence[Mapping[str, Spans]]
    """By the set, then by the document's id."""
    short_s: float
    """CPU seconds a short prompt, one by one."""
    batched_s: float
    """CPU seconds a short prompt, many at once."""
    load_s: float
    """CPU seconds from importing to the first detection."""


def figures(arguments: Sequence[str] = ()) -> Iterator[Figure]:
    """The scores of each set, and of Presidio where asked for, and the speed of both."""
    options = _options(arguments)
    paths = options.gold or [DATA / name / "data.jsonl" for name in SETS]
    if not options.gold and not DATA.exists():
        raise UserError(f"the development sets are not at {DATA}: name a file with --gold")
    names = [path.parent.name if path.name == "data.jsonl" else path.stem for path in paths]
    ignored = [IGNORED.get(name, frozenset()) | set(filter(None, options.ignore.split(","))) for name in names]
    sets = [read_gold(path, types) for path, types in zip(paths, ignored, strict=True)]
    short = [document.text for documents in sets for document in documents if len(document.text) <= SHORT_CHARS][:600]
    ours = run_ours(sets, short)
    if options.pred:
        _write(options.pred, sets, ours)
    theirs = run_presidio(sets, short) if options.against == "presidio" else None
    for place, (name, documents) in enumerate(zip(names, sets, strict=True)):
        mine = score(documents, heeded(name, ours.predicted[place])).named()
        other = score(documents, heeded(name, theirs.predicted[place])).named() if theirs else {}
        for what, value in mine.items():
            yield Figure(
                name=f"{name} {what}",
                value=value,
                unit="share",
                reference="presidio" if other else "",
                reference_value=other.get(what),
                target=TARGETS[what] if name in TARGETED else None,
                smaller_is_better=what == "harmless hit",
                conditions={"documents": len(documents), "beats_reference": _beats(what, value, other.get(what))},
                bounds_value=True,
            )
    yield from _speeds(ours, theirs, len(short))


def _beats(what: str, ours: float, theirs: float | None) -> bool | None:
    if theirs is None:
        return None
    return ours <= theirs if what == "harmless hit" else ours > theirs


def _speeds(ours: Run, theirs: Run | None, count: int) -> Iterator[Figure]:
    for name, mine, other, target in (
        ("short prompts", ours.short_s, theirs and theirs.short_s, 1 / 3),
        ("short prompts, batched", ours.batched_s, theirs and theirs.batched_s, 1 / 4.5),
    ):
        if mine and count:
            yield Figure(
                name=name,
                value=mine * 1e3,
                unit="ms of CPU a prompt",
                reference="presidio" if other else "",
                reference_value=other * 1e3 if other else None,
                target=target if other else None,
                smaller_is_better=True,
                conditions={"prompts": count, "chars_at_most": SHORT_CHARS},
            )
    yield Figure(
        name="load",
        value=ours.load_s,
        unit="s of CPU",
        reference="presidio" if theirs else "",
        reference_value=theirs.load_s if theirs else None,
        target=1.5,
        smaller_is_better=True,
        conditions={"processes": LOADS},
        bounds_value=True,
    )
    yield Figure("resident", _resident_mb(), "MB", "", None, 400, smaller_is_better=True)


def _resident_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def heeded(name: str, predicted: Mapping[str, Spans]) -> Mapping[str, Spans]:
    """Of what was found, what counts in the set `name`."""
    if name not in NAMES_ONLY:
        return predicted
    return {key: [span for span in spans if span["type"] in NAMES] for key, spans in predicted.items()}


def run_ours(sets: Sequence[Sequence[Document]], short: Sequence[str]) -> Run:
    """Our detector on each document by itself, and on the short prompts for its speed."""
    from privacy.detection import Detector

    detector = Detector.load()
    predicted = [
        {
            document.id: [
                {"start": mention.start, "end": mention.end, "type": mention.label}
                for mention in detector.detect(document.text)
            ]
            for document in documents
        }
        for documents in sets
    ]
    began = time.process_time()
    for text in short:
        detector.detect(text)
    short_s = time.process_time() - began
    began = time.process_time()
    for start in range(0, len(short), BATCH):
        detector.detect_all(short[start : start + BATCH])
    batched_s = time.process_time() - began
    return Run(predicted, short_s / max(1, len(short)), batched_s / max(1, len(short)), _load_s())


def _load_s() -> float:
    """From nothing to the first detection in a process of its own: CPU seconds, the median of several processes."""
    source = """
import time
began = time.process_time()
from privacy.detection import Detector
Detector.load().detect("Hello.")
print(time.process_time() - began)
"""
    runs = [
        subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=TIMEOUT_S, check=True)  # noqa: S603
        for _ in range(LOADS)
    ]
    return median(float(run.stdout) for run in runs)


def run_presidio(sets: Sequence[Sequence[Document]], short: Sequence[str]) -> Run:
    """Presidio's analyzer, with its recommended settings and organisations, in its own environment."""
    if not PRESIDIO_PYTHON.exists():
        raise UserError("Presidio is not installed: run 'make presidio' first")
    asked = {
        "sets": [[[document.id, document.text] for document in documents] for documents in sets],
        "short": short,
        "batch": BATCH,
    }
    done = subprocess.run(  # noqa: S603
        [PRESIDIO_PYTHON, "-W", "ignore", Path(__file__).with_name("presidio_peer.py")],
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise UserError(f"Presidio failed: {done.stderr.decode(errors='replace')[-400:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _write(out: Path, sets: Sequence[Sequence[Document]], run: Run) -> None:
    with out.open("w", encoding="utf-8") as file:
        for documents, predicted in zip(sets, run.predicted, strict=True):
            for document in documents:
                file.write(json.dumps({"id": document.id, "spans": predicted[document.id]}) + "\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks detect", description="Detection on labelled texts.")
    parser.add_argument("--gold", type=Path, action="append", help="a file of labelled documents; may be repeated")
    parser.add_argument("--pred", type=Path, help="a file for what was found")
    parser.add_argument("--ignore", default="", help="types that are neither owed nor wrong, separated by commas")
    parser.add_argument("--against", choices=["presidio"], help="what to measure in the same run")
    return parser.parse_args(list(arguments))


if __name__ == "__main__":
    for figure in figures(sys.argv[1:]):
        print(figure.line(), flush=True)
