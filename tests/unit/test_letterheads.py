"""What stands above an address: a name, or a heading."""

import pytest

from privacy._letterheads import letterhead_names
from privacy._shapes import load_shapes
from privacy.mention import Mention

STREET = "12 Mill Lane"


def above(text: str, *people: str) -> list[str]:
    """The names found in `text`, in which the street and `people` were found before."""
    known = [(STREET, "ADDRESS"), *((person, "PERSON") for person in people)]
    mentions = sorted(
        Mention(text.index(shown), text.index(shown) + len(shown), label, 0.8, "spacy") for shown, label in known
    )
    return [text[mention.start : mention.end] for mention in letterhead_names(text, mentions, load_shapes())]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Legistorm\n12 Mill Lane\nOslo", "Legistorm"),
        ("Dataweave Group\n\n12 Mill Lane", "Dataweave Group"),
        ("> Legistorm \n> 12 Mill Lane", "Legistorm"),
        ("Nurse\nLegistorm\n12 Mill Lane", "Legistorm"),
    ],
)
def test_the_line_above_a_street_is_a_name(text: str, name: str) -> None:
    assert above(text) == [name]


def test_below_a_person_ordinary_words_are_a_name() -> None:
    assert above("Ann Lee\nScale Unlimited\n12 Mill Lane", "Ann Lee") == ["Scale Unlimited"]
    assert above("Scale Unlimited\n12 Mill Lane") == []
    assert above("Ann Lee\nLegistorm\nTom Roe\n12 Mill Lane", "Ann Lee", "Tom Roe") == ["Legistorm"]


@pytest.mark.parametrize(
    "text",
    [
        "Billing Address\n12 Mill Lane",
        "Dear Legistorm\n12 Mill Lane",
        "We moved to Legistorm,\n12 Mill Lane",
        "Legistorm: see below!\n12 Mill Lane",
        "Legistorm\n\n\n12 Mill Lane",
        "Legistorm\nand then\n12 Mill Lane",
        "Legistorm\nat 12 Mill Lane",
        "12 Mill Lane\nLegistorm",
        "one two three four Legistorm six seven\n12 Mill Lane",
    ],
)
def test_headings_and_sentences_are_none(text: str) -> None:
    assert above(text) == []


def test_without_an_address_nothing_is_looked_for() -> None:
    assert list(letterhead_names("Legistorm\n12", [], load_shapes())) == []
