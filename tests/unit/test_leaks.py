"""The scoreboard of leaks: its table and its disguises."""

from pathlib import Path

import pytest

from benchmarks import leaks
from benchmarks.detect import Document, Run
from benchmarks.disguises import DISGUISES, disguised
from peernet.core.errors import UserError


def test_the_better_figure_is_bold():
    assert leaks._pair(0.9, 0.8) == "**0.900** / 0.800"
    assert leaks._pair(0.9, 0.8, smaller=True) == "0.900 / **0.800**"
    assert leaks._pair(0.5, 0.5) == "0.500 / 0.500"


def test_the_table_goes_between_its_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"one\n{leaks._BEGIN}\nold\n{leaks._END}\ntwo\n")
    leaks._put_in(page, ["new"])
    leaks._put_in(page, ["newer"])
    assert page.read_text() == f"one\n{leaks._BEGIN}\nnewer\n{leaks._END}\ntwo\n"
    page.write_text("nothing")
    with pytest.raises(UserError, match="no place"):
        leaks._put_in(page, [])


def span(start: int, end: int, kind: str = "PERSON") -> dict[str, object]:
    return {"start": start, "end": end, "type": kind}


def test_in_the_table_of_sets_fewer_harmless_texts_are_better():
    documents = [Document("1", "Ann", [span(0, 3)], []), Document("2", "none", [], [])]
    ours, theirs = Run([{"1": [span(0, 3)]}], 0, 0, 0), Run([{"2": [span(0, 4)]}], 0, 0, 0)
    row = list(leaks._by_set(["a"], [documents], ours, theirs))[3]
    assert row == f"| a | 2 |{' **1.000** / 0.000 |' * 3} **0.000** / 1.000 |"


def test_the_table_of_kinds_has_each_kind_by_itself_if_it_is_not_rare():
    people = [span(3 * place, 3 * place + 2) for place in range(leaks.LEAST_SPANS)]
    documents = [Document("1", "ab " * 30, [*people, span(60, 62, "ID")], [])]
    ours, theirs = Run([{"1": people}], 0, 0, 0), Run([{}], 0, 0, 0)
    rows = list(leaks._by_kind(["a"], [documents], ours, theirs))[3:-1]
    assert rows == [f"| a | PERSON | {leaks.LEAST_SPANS} | **1.000** / 0.000 |"]


def test_every_disguise_has_documents_and_hides_what_it_says():
    sets = disguised()
    assert set(sets) == set(DISGUISES)
    plain = {document.text for document in sets["as it is"]}
    for name, documents in sets.items():
        for document in documents:
            (span,) = document.owed
            assert document.text[span["start"] : span["end"]].strip()
            assert (document.text in plain) == (name == "as it is")
