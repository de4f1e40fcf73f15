"""What a name can look like: the vetoes by shape and by lists, each by itself."""

import pytest

from privacy._shapes import is_capital, load_shapes, stands_in_code

SHAPES = load_shapes()


@pytest.mark.parametrize("name", ["Natasja", "natasja", "Will", "james", "Rebecca Stone", "Ann Petrov jr", "al-Sadr"])
def test_what_can_be_a_person(name: str) -> None:
    assert SHAPES.is_person(name.split())


@pytest.mark.parametrize(
    "name",
    ["", "de la", "X", "Å", "QXZ", "zorbles", "Table", "will", "brown rice", "Ana Bea Cid Dov Eli Fay Gus"],
)
def test_what_can_be_none(name: str) -> None:
    assert not SHAPES.is_person(name.split())


def test_contractions_and_possessives_of_ordinary_words_are_ordinary() -> None:
    assert all(map(SHAPES.is_common, ["Table", "table's", "They've", "couldn't"]))
    assert not SHAPES.is_common("Natasja's")


def test_ordinary_words_together_may_be_an_organisation() -> None:
    assert SHAPES.is_organization(["Blue", "Table"])
    assert not SHAPES.is_organization(["Table"])


def test_a_capital_behind_an_article_in_one_word_counts() -> None:
    assert is_capital("al-Sadr")
    assert not is_capital("al-sadr")


@pytest.mark.parametrize("text", ["_Ann", "@Ann", "Ann()", "Ann=1", "Ann_id", "`Ann`", "x.Ann"])
def test_marks_around_a_name_make_it_code(text: str) -> None:
    start = text.index("Ann")
    assert stands_in_code(text, start, start + 3)


def test_brackets_around_a_name_do_not() -> None:
    assert not stands_in_code("(Ann)", 1, 4)
