"""The packaged classifier: its card says what is measured, its texts are kept apart, and it can be made again."""

import json
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import screening as benchmark
from privacy.screening.categories import LABELS
from privacy.screening.classifier import HARMFUL, MODEL_FOLDER, Classifier
from privacy.screening.features import PAIRS, class_names
from tests.shared import shared_data
from training.screening.corpus import is_held_back, moderation, ordinary, requests

CARD = Path(__file__).parents[2] / "training" / "screening" / "MODEL_CARD.md"
ROW = re.compile(r"^\| `(screening_\w+)` \| ([\d.]+) \|", re.MULTILINE)
TOLERANCE = 0.002


def test_the_model_has_the_outputs_that_are_read() -> None:
    described = json.loads((MODEL_FOLDER / "meta.json").read_text(encoding="utf-8"))
    assert described["labels"]["textcat_multilabel"] == [*LABELS, HARMFUL]


def test_the_model_is_small_and_holds_no_words() -> None:
    files = [path for path in MODEL_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert not [path for path in files if "vocab" in path.parts]


def test_a_fifth_of_the_moderation_file_is_held_back_by_its_text_alone() -> None:
    texts = moderation(shared_data("screening/openai_moderation_dev.jsonl"))
    held = [text for text in texts if text.held_back]
    assert 0.15 < len(held) / len(texts) < 0.25
    assert all(text.held_back == is_held_back(text.text) for text in texts)


def test_no_line_of_ours_is_on_both_sides() -> None:
    for texts in (ordinary(), requests()):
        sides = [{text.text for text in texts if text.held_back is side} for side in (True, False)]
        assert all(sides)
        assert not sides[0] & sides[1]


def test_every_pair_is_of_classes_that_there_are() -> None:
    assert {name for pair in PAIRS for name in pair} <= set(class_names())


def test_training_without_the_data_says_where_it_was_looked_for(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "training.screening.train",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=CARD.parents[2])
    assert done.returncode == 2
    assert f"no folder {tmp_path / 'screening'}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_card_says_what_the_benchmark_measures() -> None:
    shared_data("screening/openai_moderation_dev.jsonl")
    told = {name: float(value) for name, value in ROW.findall(CARD.read_text(encoding="utf-8"))}
    measured = {figure.name: figure.value for figure in benchmark.quality(Classifier())}
    assert told.keys() == measured.keys()
    assert {name: value for name, value in measured.items() if abs(value - told[name]) > TOLERANCE} == {}
