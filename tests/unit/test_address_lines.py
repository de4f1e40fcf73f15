"""Addresses over several lines: what is taken for a part of one, and what is not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy._address_lines import grown_addresses
from privacy._shapes import load_shapes
from privacy.mention import Mention


def grown(text: str, *addresses: str, label: str = "ADDRESS") -> list[str]:
    """What the first of `addresses` and those after it grow to in `text`."""
    mentions = [
        Mention(text.index(address), text.index(address) + len(address), label, 0.8, "spacy") for address in addresses
    ]
    return [text[mention.start : mention.end] for mention in grown_addresses(text, sorted(mentions), load_shapes())]


@pytest.mark.parametrize(
    ("before", "street", "rest", "after"),
    [
        ("", "12 Rue Foch", "\nSuite 4\nTrémuson\nFrance 22440", "\nThanks"),
        ("", "12 Rue Foch", ", Trémuson, France", " is his."),
        ("", "12 Rue Foch", "\n> Trémuson\n> France", ""),
        ("", "12 Rue Foch", "\nTRÉMUSON\n, BR\n 22440", ""),
        ("", "12 Rue Foch", ".\nTrémuson, BR 22440", ""),
        ("", "Mill Lane 4", "\n Reykholt\n\n Iceland", "\n\nBest"),
        ("", "Mill Lane 4", ", Nicosia, Cyprus (Greek) 1061", ""),
        ("", "Mill Lane 4 Apt. 9", " Csipkerek", "."),
        ("It is ", "Mill Lane 4", ", Springfield, IL 62701", ". Come."),
    ],
)
def test_what_an_address_goes_on_with_belongs_to_it(before: str, street: str, rest: str, after: str) -> None:
    assert grown(before + street + rest + after, street) == [street + rest]


@pytest.mark.parametrize(
    "text",
    [
        "Mill Lane 4, Trémuson is lovely",  # a town that nothing proves
        "Mill Lane 4\nBest regards\nAnn",
        "Mill Lane 4\nPhone: 22440",
        "Mill Lane 4. France is far.",
        "Mill Lane 4; France",
        "Mill Lane 4 and France",
        "Mill Lane 4\n\n\nFrance",
        "Mill Lane 4, 22440-1/7",
        "Mill Lane 4, Please Call, France",
    ],
)
def test_what_is_no_part_of_an_address_is_left_out(text: str) -> None:
    assert grown(text, "Mill Lane 4") == []


def test_behind_a_unit_ordinary_words_are_no_town() -> None:
    assert grown("Mill Lane 4 Apt. 9 Please.", "Mill Lane 4 Apt. 9") == []


def test_an_address_has_two_postcodes_at_most() -> None:
    assert grown("Mill Lane 4, 22440, 22441, 22442", "Mill Lane 4") == ["Mill Lane 4, 22440, 22441"]


def test_numbers_before_a_street_belong_to_it() -> None:
    assert grown("Send it to 0138 27 Mill Lane 4", "Mill Lane 4") == ["0138 27 Mill Lane 4"]
    assert grown("It costs $27 Mill Lane 4", "Mill Lane 4") == []


def test_a_street_before_a_unit_belongs_to_it() -> None:
    assert grown("We met at 119 Leoforos Syngrou\nApt. 658", "Apt. 658") == ["119 Leoforos Syngrou\nApt. 658"]
    assert grown("We met in the flat\nApt. 658", "Apt. 658") == []
    assert grown("We counted 119 and then the next\nApt. 658", "Apt. 658") == []


def test_what_belongs_to_one_address_begins_no_other() -> None:
    text = "in Costamezzana 43015 9 Mill Lane"
    mentions = [Mention(3, 15, "LOCATION", 0.8, "spacy"), Mention(22, 33, "ADDRESS", 0.8, "spacy")]
    (address,) = grown_addresses(text, mentions, load_shapes())
    assert text[address.start : address.end] == "Costamezzana 43015"


def test_what_lies_between_two_parts_belongs_to_the_address() -> None:
    text = "at 0269 Stensås terrasse 38\n Suite 621"
    assert grown(text, "0269 Stensås", "Suite 621") == ["0269 Stensås terrasse 38\n Suite 621"]
    assert grown("12 Mill Lane. Torbjørn Suite 621", "12 Mill Lane", "Suite 621") == []
    assert grown("12 Mill Lane and then go to Suite 621", "12 Mill Lane", "Suite 621") == []
    assert grown("12 Mill Lane. Then we went on to Suite 621", "12 Mill Lane", "Suite 621") == []


@pytest.mark.parametrize("rest", [" 43015", " 43015 in its mission", ", 840 24.", " 3610-114"])
def test_a_postcode_behind_a_place_makes_an_address(rest: str) -> None:
    (address,) = grown(f"in Costamezzana{rest}", "Costamezzana", label="LOCATION")
    assert address == f"Costamezzana{rest.partition(' in')[0].rstrip('.')}"


@pytest.mark.parametrize("rest", [" 12000 people", " 43015 km", " 2024", " 43015%", " 43015.7"])
def test_a_quantity_behind_a_place_makes_none(rest: str) -> None:
    assert grown(f"in Costamezzana{rest}", "Costamezzana", label="LOCATION") == []


def test_another_name_in_brackets_belongs_to_a_country() -> None:
    assert grown("from Cyprus (Greek) to us", "Cyprus", label="LOCATION") == ["Cyprus (Greek)"]
    assert grown("from Costamezzana (again) to us", "Costamezzana", label="LOCATION") == []
    assert grown("12 Mill Lane, Cyprus (Greek) 1061", "12 Mill Lane, Cyprus (Greek") == [
        "12 Mill Lane, Cyprus (Greek) 1061"
    ]


PIECES = st.sampled_from(
    ["12 Mill Lane", "\n", ", ", "Apt. 4", " ", "Trémuson", "France", "22440", ".", "BR", "(Greek)", "> ", "and", "4"]
)


@given(st.lists(PIECES, min_size=1, max_size=14).map("".join))
def test_what_grows_holds_what_it_grew_from_and_overlaps_nothing(text: str) -> None:
    at = [place for place in range(len(text)) if text.startswith("12 Mill Lane", place)]
    mentions = [Mention(place, place + 12, "ADDRESS", 0.8, "spacy") for place in at]
    made = list(grown_addresses(text, mentions, load_shapes()))
    for address in made:
        assert 0 <= address.start < address.end <= len(text)
        assert any(address.start <= mention.start and mention.end <= address.end for mention in mentions)
    for first, second in pairwise(made):
        assert first.end <= second.start
