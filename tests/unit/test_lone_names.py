"""Given names that are found without any context, and what is no such name though it is spelt like one."""

import pytest

from privacy._lone_names import lone_names, small_names
from privacy._shapes import load_shapes


def found(text: str) -> list[str]:
    return [text[mention.start : mention.end] for mention in lone_names(text, load_shapes())]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Luiza is from Porto", ["Luiza"]),
        ("Ask Torbjørn.", ["Torbjørn"]),
        ("Natasja's bike", ["Natasja"]),
        ("TORBJØRN IS LATE", ["TORBJØRN"]),
        ("Grzegorz Dudek of Gdynia", ["Grzegorz Dudek"]),
        ("Krisztián B. Szöllösy listed it", ["Krisztián B. Szöllösy"]),
        ("Femke van der Berg called", ["Femke van der Berg"]),
        ("Siobhán, Natasja and Torbjørn came", ["Siobhán", "Natasja", "Torbjørn"]),
        ("Natasja Kowalska, MD called", ["Natasja Kowalska, MD"]),
        ("Natasja MD", ["Natasja"]),
        ("the Natasja Kowalska version", ["Natasja Kowalska"]),  # an article before a full name
        ("Natasja Wójcik Kowal Nowakowska Zielińska", ["Natasja Wójcik Kowal Nowakowska"]),  # three further at most
        ("Natasja Torbjørn came", ["Natasja Torbjørn"]),
        ("Natasja Wójcik's Dudek", ["Natasja Wójcik"]),
        ("Natasja Dudek() is called", ["Natasja"]),
        ("Natasja Chairs the meeting", ["Natasja"]),  # a capital alone makes no surname
    ],
)
def test_a_listed_name_is_found_with_the_names_behind_it(text: str, names: list[str]) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "natasja",  # small
        "BEN",  # short and all in capitals
        "@Natasja",
        "user_Natasja",
        "`Natasja`",
        "Natasja() returns",
        "the Natasja",
        "Hurricane Natasja",
        "the Natasja Award",
        "Natasja's disease",
        "Natasja syndrome",
        "Mark the place where you May Rose",  # words
        "London, Paris and Texas",  # places
        "Mars and Venus; Mercedes",
    ],
)
def test_what_is_no_persons_name_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("so i told natasja to wait", ["natasja"]),
        ("natasja's bike", ["natasja"]),
        ("We saw siobhán there", ["siobhán"]),
        ("will mark chase rose in may", []),
        ("import natasja_utils; natasja() and @natasja, `natasja`", []),
        ("the natasja syndrome", []),
    ],
)
def test_a_name_that_is_no_word_counts_small(text: str, names: list[str]) -> None:
    assert [text[mention.start : mention.end] for mention in small_names(text, 0, len(text))] == names


def test_small_names_are_looked_for_in_the_stretch_alone() -> None:
    text = "natasja met natasja"
    assert [mention.start for mention in small_names(text, 8, len(text))] == [12]


def test_the_list_holds_no_ordinary_word() -> None:
    shapes = load_shapes()
    text = " ".join(word.capitalize() for word in sorted(shapes.common) if word.isalpha())
    assert found(text) == []
