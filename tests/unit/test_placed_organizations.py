"""Organisations that stand where forms, letters and CVs name them, though their words are ordinary ones."""

import re

import pytest

from privacy._cues import _COMPANY_WORD, cue_organizations
from privacy._shapes import load_shapes


def found(text: str) -> list[str]:
    return [text[mention.start : mention.end] for mention in cue_organizations(text, load_shapes())]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Provider: Prestige Worldwide\nContact: x", "Prestige Worldwide"),
        ('<employer name="Stark Labs" id="7"/>', "Stark Labs"),
        ("Hospital: House of Mercy.", "House of Mercy"),
        ("From: Dr. Joan Ray, Massive Dynamic\nTo: you", "Massive Dynamic"),
        ("Ann is a software engineer at Blue Company\n", "Blue Company"),
        ("Project Manager — Blue & Green (2021–2023)", "Blue & Green"),
    ],
)
def test_the_place_of_a_name_shows_it(text: str, name: str) -> None:
    assert found(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "Provider: Dr. Joan Ray\nContact: x",
        "Provider: Yes",
        "Company: the usual suspects",
        "Dr. Joan Ray, Please call me back tomorrow",
        "The manager at the Blue Company came",
        "The engineer at Blue Company came",
        "Dr. Joan Ray, Massive Dynamic called",
        "I work for Money",
        "an engineer - Nobody knows why he left",
    ],
)
def test_what_stands_there_and_is_no_name_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_company_begins_behind_the_ordinary_words_before_it() -> None:
    assert found("Ask Acme Ltd about it") == ["Acme Ltd"]


def test_a_word_of_a_company_is_bounded_so_that_a_long_row_of_letters_and_marks_takes_linear_time() -> None:
    row = "A-1-" * 1000
    longest = max(len(match.group()) for match in re.finditer(_COMPANY_WORD, row))
    assert longest < 100
    assert found(row) == []
