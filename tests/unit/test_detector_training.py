"""The recipe of the recogniser: texts with slots, labelled data, and what is made of them."""

import json
import random
from pathlib import Path

import pytest

from training.detector.blocks import LABELS, Example, Span, blocks_in, fill
from training.detector.casing import _without, roughened
from training.detector.corpora import corpora
from training.detector.values import KINDS, Values

TEXTS = Path(__file__).parents[2] / "training" / "detector" / "texts"


def drawn(kind: str, number: str) -> tuple[str, str | None]:
    return {"person": ("Ana Petrov", "PERSON"), "age": ("47", None), "title": ("Dr. \x1fLee", "PERSON")}[kind]


def test_slots_and_literals_get_their_labels():
    example = fill("I am {person}, {age}, from [[Ghent|LOCATION]].", drawn)
    assert example.text == "I am Ana Petrov, 47, from Ghent."
    assert [(example.text[s.start : s.end], s.label) for s in example.spans] == [
        ("Ana Petrov", "PERSON"),
        ("Ghent", "LOCATION"),
    ]


def test_what_stands_before_a_name_is_not_labelled():
    example = fill("Dear {title},", drawn)
    assert example.text == "Dear Dr. Lee,"
    assert example.spans == (Span(9, 12, "PERSON"),)


def test_a_label_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="PERSN"):
        fill("[[Ana|PERSN]]", drawn)


def test_a_number_means_the_same_value():
    example = fill("{person1} and {person1}, {first1} {last1}", Values(random.Random(3)))
    one, _, rest = example.text.partition(" and ")
    assert rest.startswith(f"{one}, ")
    other = fill("{first1} {last1} {first1} {last1}", Values(random.Random(3)))
    half = (len(other.text) - 1) // 2
    assert other.text[:half] == other.text[half + 1 :]


def test_every_text_of_ours_can_be_filled():
    """A misspelt slot or label, and a mark that was not closed, would train the recogniser on them."""
    count = 0
    for source, block in blocks_in(TEXTS):
        example = fill(block, Values(random.Random(count)), source)
        assert "|PERSON" not in example.text
        assert "[[" not in example.text or source == "harmless"
        assert all(span.label in LABELS and example.text[span.start : span.end].strip() for span in example.spans)
        count += 1
    assert count > 2000


def test_the_harmless_texts_name_nobody():
    for source, block in blocks_in(TEXTS):
        if source == "harmless":
            assert not fill(block, Values(random.Random(1)), source).spans


def test_every_kind_of_value_is_drawn():
    for kind, (_, label) in KINDS.items():
        for seed in range(20):
            value, given = Values(random.Random(seed))(kind)
            assert value.strip()
            assert given == label


@pytest.mark.parametrize("seed", range(40))
def test_rough_text_keeps_its_labels(seed: int):
    rng = random.Random(seed)
    example = fill("Hi, I'm {person}! Write to {company}, {address}.", Values(rng))
    rough = roughened(example, rng)
    assert [span.label for span in rough.spans] == [span.label for span in example.spans]
    assert all(rough.text[span.start : span.end].strip() == rough.text[span.start : span.end] for span in rough.spans)


def test_marks_are_lost_outside_of_names_alone():
    example = Example("Hi, St. Ann! Bye.", (Span(4, 11, "LOCATION"),))
    assert _without(example, ",.!") == Example("Hi St. Ann Bye", (Span(3, 10, "LOCATION"),))


def test_corpora_are_read_in_pieces_and_handles_are_no_names(tmp_path: Path):
    long = "x" * 1600 + "\n\nMr Smith came."
    sets = {
        "tab_train": [
            {
                "text": long,
                "spans": [{"start": 1605, "end": 1610, "type": "PERSON"}, {"start": 0, "end": 3, "type": "MISC"}],
            }
        ],
        "wnut17_train": [],
        "btc_train": [
            {
                "text": "@ Ann saw Bob",
                "spans": [{"start": 2, "end": 5, "type": "PER"}, {"start": 10, "end": 13, "type": "PER"}],
            }
        ],
    }
    for name, documents in sets.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.jsonl").write_text("\n".join(map(json.dumps, documents)))
    found = [(e.source, e.text[s.start : s.end], s.label) for e in corpora(tmp_path) for s in e.spans]
    assert found == [("tab_train", "Smith", "PERSON"), ("btc_train", "Bob", "PERSON")]
