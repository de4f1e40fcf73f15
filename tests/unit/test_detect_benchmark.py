"""The benchmark of detection: its scores are those of the scorer that judges us."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.detect import Document, _beats, heeded, read_gold, score
from peernet.core.errors import UserError
from tests.shared import SHARED

SCORER = SHARED / "tools" / "pii" / "score.py"

spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from(["PERSON", "TITLE", "ID"])).map(
        lambda drawn: {"start": drawn[0], "end": min(30, drawn[0] + drawn[1]), "type": drawn[2]}
    ),
    max_size=4,
).map(lambda found: [span for span in found if span["start"] < span["end"]])
texts = st.text(alphabet="ab1 .-é", min_size=30, max_size=30)


@pytest.mark.skipif(not SCORER.exists(), reason="the shared scorer is not beside this checkout")
@given(st.lists(st.tuples(texts, spans, spans), min_size=1, max_size=4))
def test_scores_are_those_of_the_shared_scorer(drawn: list):
    spec = importlib.util.spec_from_file_location("score", SCORER)
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    gold = [{"id": str(n), "text": text, "spans": owed} for n, (text, owed, _) in enumerate(drawn)]
    predicted = [{"id": str(n), "spans": found} for n, (_, _, found) in enumerate(drawn)]
    theirs, *_ = scorer.score(gold, predicted, {"TITLE"})
    lines = Path("gold.jsonl")
    documents = _read(gold, lines)
    ours = score(documents, {item["id"]: item["spans"] for item in predicted})
    assert ours.found == pytest.approx(theirs["char_R"])
    assert ours.precision == pytest.approx(theirs["char_P"])
    owed_spans = sum(len(document.owed) for document in documents)
    assert ours.whole == pytest.approx(theirs["span_full_R"] if owed_spans else 1.0)
    if theirs["neg_docs"]:
        assert ours.harmless_hit == pytest.approx(theirs["neg_docs_hit"] / theirs["neg_docs"])
    else:
        assert ours.harmless_hit is None


def _read(gold: list[dict], name: Path) -> list:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text("\n".join(map(json.dumps, gold)), encoding="utf-8")
        return read_gold(path, frozenset({"TITLE"}))


def test_a_line_that_is_no_document_is_named(tmp_path: Path):
    path = tmp_path / "gold.jsonl"
    path.write_text('{"id": 1, "text": "a", "spans": []}\n{"id": 2}\n')
    with pytest.raises(UserError, match="line 2"):
        read_gold(path, frozenset())


def span(start: int, end: int, kind: str = "PERSON") -> dict[str, object]:
    return {"start": start, "end": end, "type": kind}


def test_letters_and_digits_are_counted_and_what_is_neutral_is_not():
    documents = [
        Document("1", "Ann Li in Oslo 12", [span(0, 6)], [span(10, 14, "LOCATION")]),
        Document("2", "nobody", [], []),
        Document("3", "nobody", [], []),
    ]
    scores = score(documents, {"1": [span(0, 4), span(10, 14), span(15, 17)], "2": [span(0, 3)]})
    assert (scores.found, scores.precision) == (3 / 5, 3 / 8)
    assert (scores.whole, scores.harmless_hit) == (0, 1 / 2)


def test_a_set_that_labels_names_alone_is_asked_about_names_alone():
    predicted = {"1": [span(0, 3), span(4, 8, "DATE_TIME")]}
    assert heeded("uner_ewt_dev", predicted) == {"1": [span(0, 3)]}
    assert heeded("presidio_synth_v2", predicted) == predicted


def test_what_need_not_be_masked_is_neutral(tmp_path: Path):
    path = tmp_path / "gold.jsonl"
    spans = [span(0, 1), span(1, 2, "TITLE"), {**span(2, 3), "idtype": "NO_MASK"}]
    path.write_text(json.dumps({"id": 1, "text": "abc", "spans": spans}))
    (document,) = read_gold(path, frozenset({"TITLE"}))
    assert (document.owed, document.neutral) == (spans[:1], spans[1:])


def test_more_is_better_but_of_harmless_texts():
    assert _beats("found", 0.9, 0.8)
    assert not _beats("found", 0.8, 0.8)
    assert _beats("harmless hit", 0.1, 0.2)
    assert not _beats("harmless hit", 0.2, 0.1)
    assert _beats("found", 0.9, None) is None
