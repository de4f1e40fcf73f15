"""Restoring: a streamed answer is restored as the whole text would be, whatever its pieces."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError
from privacy.restoring import MAX_HOLD_BACK, MAX_PLACEHOLDER, Restorer, placeholders_in, restore

MAPPING = {
    "PERSON_K7": "Maria Kowalska",
    "PERSON_K71": "John Smith",
    "PERSON_M3": "PERSON_K7",  # what is put in is not searched again
    "CREDIT_CARD_B2": "4111 1111 1111 1111",
    "EMAIL_R9": "maria@example.com",
    "ID_Q4": "",
}


def model(text: str, mapping: dict[str, str] = MAPPING) -> str:
    """The rule as one regular expression over the whole text: what `Restorer` must equal."""
    separator = r"\\?[_\- \u00a0\u2010\u2011]"
    by_words = {tuple(re.findall(r"[^\W_]+", name.casefold())): original for name, original in mapping.items()}
    names = sorted(by_words, key=len, reverse=True)
    pattern = "|".join(f"(?:{separator.join(words)})" for words in names)
    return re.sub(
        rf"(?<![^\W_])(?:{pattern})(?![^\W_])",
        lambda match: by_words[tuple(re.findall(r"[^\W_]+", match.group().casefold()))],
        text,
        flags=re.IGNORECASE,
    )


def streamed(text: str, cuts: list[int], mapping: dict[str, str] = MAPPING) -> str:
    restorer = Restorer(mapping)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    shown = []
    for start, end in pairwise(places):
        shown.append(restorer.feed(text[start:end]))
        assert restorer.held_back <= MAX_HOLD_BACK
    return "".join([*shown, restorer.finish()])


PIECES = [
    "PERSON_K7", "PERSON_K71", "PERSON_M3", "CREDIT_CARD_B2", "EMAIL_R9", "ID_Q4", "person-k7", "Person K7",
    "PERSON\\_K7", "**PERSON_K7**", "PERSON_K7's", "“PERSON_K7”", "CREDIT CARD", "credit_", "PERSON", "PERSON_",
    "PERSON_K",
    "K7", "_", "\\", "-", " ", "\n", "a", "7", ".", "é", "*",
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=10).map("".join),
    st.text(alphabet="PERSONperson_-K7\\ 1.é", max_size=40),
    st.text(max_size=30),
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 80), max_size=8))
@example("PERSON_K71", [9])
@example("xPERSON_K7", [1])
@example("PERSON\\_K7", [7])
def test_any_split_restores_as_the_whole_text_does(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts) == restore(text, MAPPING) == model(text)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_every_single_split_offset(text: str) -> None:
    whole = restore(text, MAPPING)
    assert all(streamed(text, [cut]) == whole for cut in range(len(text) + 1))
    assert streamed(text, list(range(len(text)))) == whole


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_without_placeholders_nothing_changes_and_nothing_waits(text: str, cuts: list[int]) -> None:
    assert streamed(text, cuts, {}) == text
    assert Restorer({}).feed(text) == text


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_held_back_is_exactly_what_could_still_become_a_placeholder(text: str) -> None:
    """The held suffix is a beginning of some placeholder, and no shorter text would do."""
    restorer = Restorer(MAPPING)
    restorer.feed(text)
    held = text[len(text) - restorer.held_back :]
    endings = [name[size:] for name in MAPPING for size in range(len(name) + 1)]
    becomes = [held + ending for ending in endings] + [held + "\\"[: held.endswith("\\")] + "_" + e for e in endings]
    if held:
        starts = [place for place, _, _ in (hit for t in becomes for hit in placeholders_in(t, MAPPING))]
        assert 0 in starts
    # and what was let go could not have been part of one: any continuation restores alike
    for ending in ("", "_K7", "K7", "7", "1", "ERSON_K7", " K7 "):
        assert streamed(text + ending, [len(text)]) == restore(text + ending, MAPPING)


@pytest.mark.parametrize(
    ("text", "restored"),
    [
        ("PERSON_K7", "Maria Kowalska"),
        ("PERSON K7", "Maria Kowalska"),
        ("Person_K7", "Maria Kowalska"),
        ("person-k7", "Maria Kowalska"),
        ("PERSON\\_K7", "Maria Kowalska"),
        ("**PERSON_K7**", "**Maria Kowalska**"),
        ("_PERSON_K7_", "_Maria Kowalska_"),
        ("PERSON_K7's", "Maria Kowalska's"),
        ("PERSON_K7’s", "Maria Kowalska’s"),
        ('"PERSON_K7"', '"Maria Kowalska"'),
        ("credit card b2", "4111 1111 1111 1111"),
        ("PERSON_K7住在", "Maria Kowalska住在"),
        ("PERSON_K71", "John Smith"),
        ("PERSON_K72", "PERSON_K72"),
        ("PERSON_K7a", "PERSON_K7a"),
        ("PERSON_K7é", "PERSON_K7é"),
        ("XPERSON_K7", "XPERSON_K7"),
        ("PERSON__K7", "PERSON__K7"),
        ("PERSON_", "PERSON_"),
        ("PERSON_PERSON_K7", "PERSON_Maria Kowalska"),
        ("PERSON_M3", "PERSON_K7"),
        ("[ID_Q4]", "[]"),
    ],
)
def test_what_is_a_placeholder(text: str, restored: str) -> None:
    assert restore(text, MAPPING) == restored
    assert "".join([*map((r := Restorer(MAPPING)).feed, text), r.finish()]) == restored


def test_text_that_cannot_become_a_placeholder_comes_out_at_once() -> None:
    restorer = Restorer(MAPPING)
    assert restorer.feed("Dear ") == "Dear "
    assert restorer.feed("PER") == ""
    assert restorer.feed("haps ") == "PERhaps "
    assert restorer.feed("PERSON_K7") == ""
    assert restorer.feed("1") == ""
    assert restorer.feed(",") == "John Smith,"


def test_the_longest_of_several_words_wins() -> None:
    names = {"Anna": "Zofia", "Anna Nowak": "Zofia Kowal", "Anna Nowak Lis": "Z"}
    cases = {"Anna Nowak.": "Zofia Kowal.", "Anna Nowakowska": "Zofia Nowakowska", "Anna Nowak L": "Zofia Kowal L"}
    for text, restored in cases.items():
        assert all(streamed(text, [cut], names) == restored for cut in range(len(text)))


def test_work_grows_with_the_text_alone() -> None:
    """Long runs, fed by the character, against many placeholders: what is held never grows."""
    restorer = Restorer({f"PERSON_K{n}": "x" for n in range(10, 2000)})
    text = ("PERSON_" * 300) + "a" * 20_000 + "\\" * 2000
    most = 0
    out = []
    for char in text:
        out.append(restorer.feed(char))
        most = max(most, restorer.held_back)
    assert "".join(out) + restorer.finish() == text
    assert most <= MAX_HOLD_BACK


def test_one_restorer_serves_one_answer() -> None:
    restorer = Restorer(MAPPING)
    restorer.finish()
    with pytest.raises(LocalProtocolError):
        restorer.feed("x")


@pytest.mark.parametrize("names", [["_"], ["X" * (MAX_PLACEHOLDER + 1)], ["PERSON_K7", "person-k7"]])
def test_placeholders_that_cannot_be_told_are_our_bug(names: list[str]) -> None:
    with pytest.raises(LocalProtocolError):
        Restorer(dict.fromkeys(names, "x"))


def test_the_repr_shows_nothing() -> None:
    restorer = Restorer({"PERSON_K7": "Zbigniew"})
    restorer.feed("PERSON_K7")
    assert repr(restorer) == "<Restorer>"
