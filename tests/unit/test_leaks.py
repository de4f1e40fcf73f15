"""The scoreboard of leaks: its table and its disguises."""

from pathlib import Path

import pytest

from benchmarks import leaks
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


def test_every_disguise_has_documents_and_hides_what_it_says():
    sets = disguised()
    assert set(sets) == set(DISGUISES)
    plain = {document.text for document in sets["as it is"]}
    for name, documents in sets.items():
        for document in documents:
            (span,) = document.owed
            assert document.text[span["start"] : span["end"]].strip()
            assert (document.text in plain) == (name == "as it is")
