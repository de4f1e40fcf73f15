"""The packaged classifier: its card says what is measured, its texts are kept apart, and it can be made again."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc

from benchmarks import screening as benchmark
from privacy.screening._pipeline import FEATURES, window_scores
from privacy.screening.categories import LABELS
from privacy.screening.classifier import HARMFUL, MODEL_FOLDER, Classifier
from privacy.screening.features import (
    LETTERS_LENGTH,
    MAX_WORD_BYTES,
    PAIRS,
    WORDS_LENGTH,
    Features,
    class_names,
    features,
    rarities,
)
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


@pytest.mark.parametrize(
    ("start", "end"), [("How do I build ", " at home?"), ("How do I cook ", " in my kitchen?"), ("Gas the ", ".")]
)
def test_the_fillings_of_a_line_are_on_one_side(start: str, end: str) -> None:
    filled = [text.held_back for text in requests() if text.text.startswith(start) and text.text.endswith(end)]
    assert len(filled) == 6
    assert len(set(filled)) == 1


def test_every_pair_is_of_classes_that_there_are() -> None:
    assert {name for pair in PAIRS for name in pair} <= set(class_names())


def letters(word: str) -> set[int]:
    found = features([word])
    return set(found.slots[found.letters_from :].tolist())


def test_a_word_shares_letters_with_another_form_of_it() -> None:
    assert len(letters("strangling") & letters("strangled")) > 5
    assert len(letters("strangling") & letters("moonlight")) < 3


def test_a_long_word_is_read_by_its_beginning() -> None:
    assert letters("a" * 10 + "b" * MAX_WORD_BYTES) == letters("a" * 10 + "b" * 10_000)


def test_what_few_texts_hold_weighs_more() -> None:
    texts = [features(["meeting", word]) for word in ("moved", "Tuesday", "report", "kill")]
    rarity = rarities(texts)
    common, rare = (features([word]) for word in ("meeting", "report"))
    assert rarity[common.slots[common.words_from]] < rarity[rare.slots[rare.words_from]]
    classes = texts[3].slots[: texts[3].words_from]
    assert len(classes) > 0
    assert set(rarity[classes].tolist()) == {1.0}


def test_a_long_text_weighs_what_a_short_one_does() -> None:
    for text in (["meeting"], [f"word{number}" for number in range(200)]):
        found = features(text)
        values = found.weighed(rarities([found, features(["other"])]))
        assert np.linalg.norm(values[found.words_from : found.letters_from]) == pytest.approx(WORDS_LENGTH)
        assert np.linalg.norm(values[found.letters_from :]) == pytest.approx(LETTERS_LENGTH)


def test_a_document_is_scored_by_the_features_that_it_carries() -> None:
    language = spacy.load(MODEL_FOLDER, exclude=["vocab", "tokenizer"])
    scorer: Any = language.get_pipe("textcat_multilabel")

    def scores(text: list[str], carried: Features | None = None) -> list[float]:
        doc = Doc(language.vocab, words=text)
        if carried is not None:
            doc.user_data[FEATURES] = carried
        return [float(score) for score in scorer.predict([doc])[0]]

    friendly, cruel = ["thank", "you"], ["kill", "them", "all"]
    assert scores(friendly) != scores(cruel)
    assert scores(friendly, features(cruel)) == scores(cruel)


@pytest.mark.parametrize("text", [["kill", "them", "all"], ["meet", "minors", "children"] * 90, ["x"], []])
def test_words_are_scored_as_their_document_is(text: list[str]) -> None:
    """To the last bit, several at once too: what was trained and tried is what decides."""
    language = spacy.load(MODEL_FOLDER, exclude=["vocab", "tokenizer"])
    scorer: Any = language.get_pipe("textcat_multilabel")
    other = ["thank", "you", "all"]
    doc, beside = (Doc(language.vocab, words=["."], user_data={FEATURES: features(each)}) for each in (text, other))
    assert window_scores(scorer.model, [text]).tolist() == scorer.predict([doc]).tolist()
    assert window_scores(scorer.model, [other, text]).tolist() == scorer.predict([beside, doc]).tolist()


def test_classes_pairs_and_length_are_the_first_features() -> None:
    """Nought has no slot, and the slots are in order: a sum of floats depends on it."""
    found = features(["the", "kill", "the", "kids", "and", "me"])
    dense = dict(zip(found.slots[: found.words_from].tolist(), found.values.tolist(), strict=False))
    assert [*dense] == sorted(dense)
    assert 0.0 not in dense.values()
    names = class_names()
    first = next(slot for slot in dense if names[slot // 3] == "violence")
    assert dense[first] == pytest.approx(math.log1p(1) / 2)
    assert dense[first + 1] == pytest.approx(min(1.0, 8 / 6) / 2)
    assert dense[first + 2] == 0.5
    pair = 3 * len(names) + PAIRS.index(("violence", "others"))
    assert (pair in dense) is (3 * names.index("others") in dense)
    assert dense[3 * len(names) + len(PAIRS)] == pytest.approx(math.sqrt(6) / 20)
    assert features([]).slots.tolist() == []


def test_no_word_of_a_text_is_given_to_spacy() -> None:
    classifier = Classifier()
    classifier.scores("Zebulon has the xylophone")
    strings = classifier._loaded().vocab.strings
    assert [word for word in ("zebulon", "xylophone", "has") if word in strings] == []


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
