"""Restoring: a streamed answer is restored as the whole text would be, whatever its pieces."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from privacy._spellings import TAG_ENDINGS
from privacy.restoring import MAX_HOLD_BACK, MAX_PLACEHOLDER, MAX_STREAMS, Restorer, Restorers, restore

MAPPING = {
    "PERSON_K7": "Maria Kowalska",
    "PERSON_K71": "John Smith",
    "PERSON_M3": "PERSON_K7",  # what is put in is not searched again
    "CREDIT_CARD_B2": "4111 1111 1111 1111",
    "EMAIL_R9": "maria@example.com",
    "ID_Q4": "",
}


JOINT = r"(?:[ \u00a0]?\\?[_\-\u2010\u2011\u2013][ \u00a0\n]?|[ \u00a0]?[ \u00a0\n])?"
ENDINGS = "|".join(sorted(TAG_ENDINGS, key=len, reverse=True))


def pattern(mapping: dict[str, str]) -> tuple[re.Pattern[str], dict[str, str]]:
    """The rule about tags as one regular expression, and the tag that the words of a match mean."""
    by_words = {"".join(re.findall(r"[^\W_]+", name.casefold())): name for name in mapping}
    spelt = [JOINT.join(re.findall(r"[^\W_]+", name)) for name in sorted(mapping, key=len, reverse=True)]
    return re.compile(rf"(?<![^\W_])({'|'.join(spelt) or '(?!)'})(?:{ENDINGS})?(?![^\W_])", re.IGNORECASE), by_words


def model(text: str, mapping: dict[str, str] = MAPPING) -> str:
    """What `Restorer` must equal, for tags."""
    expression, by_words = pattern(mapping)

    def original(match: re.Match[str]) -> str:
        name = by_words["".join(re.findall(r"[^\W_]+", match[1].casefold()))]
        return mapping[name] + match.group()[len(match[1]) :]

    return expression.sub(original, text)


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


FEW = {"ID_Q4": "Z", "ID_Q41": "Y"}
GAPS = [
    before + mark + after
    for before in ("", " ", "\u00a0")
    for mark in ("", "_", "\\_", "-", "\\-", "\u2010", "\u2011", "\u2013")
    for after in ("", " ", "\u00a0", "\n")
]
SPELT = [f"id{gap}{code}{ending}" for gap in GAPS for code in ("q4", "q41") for ending in ("", *sorted(TAG_ENDINGS))]
BEGINNINGS: dict[str, set[str]] = {}
for spelling in SPELT:
    for size in range(1, len(spelling) + 1):
        # The first and the last way to go on are enough: they differ in whether the word goes on.
        ways = BEGINNINGS.setdefault(spelling[:size], set())
        if len(ways) < 3:
            ways.add(spelling[size:])
NEAR = st.lists(
    st.sampled_from(
        ["ID", "id", "Id", "q4", "Q4", "1", "_", "-", " ", "\n", "\\", "s", "e", "em", "x", ".", "\u00a0"]
    ),
    max_size=9,
).map("".join)


def could_become(text: str) -> int:
    """How long the longest suffix is that some text behind it makes a placeholder, by brute force."""
    expression, _ = pattern(FEW)
    longest = 0
    for start in range(len(text)):
        for rest in BEGINNINGS.get(text[start:].lower(), ()):
            ends = [match.span() for match in expression.finditer(text + rest)]
            if any(first == start and last >= len(text) for first, last in ends):
                longest = max(longest, len(text) - start)
    return longest


@settings(max_examples=300, deadline=None)
@given(NEAR)
@example("id \\")
@example("ID Q4e")
@example("id_q4 id\u00a0-")
def test_held_back_is_exactly_what_could_still_become_a_placeholder(text: str) -> None:
    restorer = Restorer(FEW)
    for size, char in enumerate(text, 1):
        restorer.feed(char)
        assert restorer.held_back == could_become(text[:size])


NAMES = {"Anna": "Zofia", "Anna Lis": "Zofia Kowal", "Lis": "Kowal"}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("an", 0), ("An", 2), ("Anna", 4), ("Annas", 5), ("Annasz", 0), ("Anna ", 5), ("Anna l", 0), ("Anna L", 6),
        ("ANNA LIS", 8), ("Anna. L", 1), ("Anna\n", 5), ("Anna, ", 0),
    ],
)  # fmt: skip
def test_of_names_no_more_is_held_back_either(text: str, held: int) -> None:
    restorer = Restorer(NAMES)
    restorer.feed(text)
    assert restorer.held_back == held


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
        ("PERSON_K7x", "PERSON_K7x"),
        ("PERSON_K7é", "PERSON_K7é"),
        ("PERSON_K7s Auto", "Maria Kowalskas Auto"),
        ("PERSON_K7owi", "Maria Kowalskaowi"),
        ("PERSON_K7EM", "Maria KowalskaEM"),
        ("PERSON_K71s", "John Smiths"),
        ("[PERSON_K7]", "[Maria Kowalska]"),
        ("<person_k7>", "<Maria Kowalska>"),
        ("PersonK7", "Maria Kowalska"),
        ("CreditCard_B2", "4111 1111 1111 1111"),
        ("PERSON – K7", "Maria Kowalska"),
        ("PERSON\nK7", "Maria Kowalska"),
        ("PERSON  K7", "Maria Kowalska"),
        ("PERSON   K7", "PERSON   K7"),
        ("PERSON.K7", "PERSON.K7"),
        ("XPERSON_K7", "XPERSON_K7"),
        ("PERSON__K7", "PERSON__K7"),
        ("PERSON\n\nK7", "PERSON\n\nK7"),
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


@pytest.mark.parametrize(
    ("text", "restored"),
    [
        ("Peter Baker's", "John Smith's"),
        ("Peter, Peters and BAKER’S", "John, Johns and SMITH’S"),
        ("PETER BAKER", "JOHN SMITH"),
        ("Peter-Baker, Peter_Baker", "John Smith, John Smith"),
        ("Peter. Baker", "John. Smith"),
        ("a baker, to peter out", "a baker, to peter out"),
        ("P. Baker, P.Baker, P Baker", "J. Smith, J. Smith, J. Smith"),
        ("Peterson Bakery", "Peterson Bakery"),
        ("PETER.BAKER@example.org", "j.smith@acme.com"),
        ("+1 (202) 555-0143", "+48 601 234 567"),
        ("+1-202-555-0143", "+48 601 234 567"),
        ("Mara lives", "MARIA lives"),
    ],
)
def test_names_that_stand_for_names(text: str, restored: str) -> None:
    names = {
        "Peter": "John",
        "Baker": "Smith",
        "Peter Baker": "John Smith",
        "P. Baker": "J. Smith",
        "peter.baker@example.org": "j.smith@acme.com",
        "1 202 555 0143": "48 601 234 567",
        "Mara": "MARIA",
    }
    assert restore(text, names) == restored
    assert all(streamed(text, [cut], names) == restored for cut in range(len(text)))
    assert streamed(text, list(range(len(text))), names) == restored


def test_the_form_that_was_sent_comes_back_to_the_letter() -> None:
    names = {"Peter Baker": "John MacSmith", "PETER BAKER": "JOHN MAC SMITH"}
    assert restore("Peter Baker, PETER BAKER", names) == "John MacSmith, JOHN MAC SMITH"


def test_arguments_of_a_tool_call_stay_json() -> None:
    original = 'Joe "Quote" O\\Neil\nŁódź'
    arguments = '{"to": "PERSON_K7", "note": "for Person K7\\nand others"}'
    for cut in range(len(arguments)):
        restorer = Restorer({"PERSON_K7": original}, json_text=True)
        shown = restorer.feed(arguments[:cut]) + restorer.feed(arguments[cut:]) + restorer.finish()
        assert json.loads(shown) == {"to": original, "note": f"for {original}\nand others"}


def test_choices_and_tool_calls_stream_side_by_side() -> None:
    streams = Restorers({"PERSON_K7": 'Ann "A" Lee'})
    buffers = [streams.text(0), streams.text(1), streams.arguments(0, 0), streams.arguments(0, 1)]
    shown = ["".join(part) for part in zip(*([b.feed(char) for b in buffers] for char in "PERSON_K7."), strict=True)]
    assert shown == ['Ann "A" Lee.'] * 2 + ['Ann \\"A\\" Lee.'] * 2
    assert streams.text(1) is buffers[1]


def test_an_answer_has_a_bounded_number_of_streams() -> None:
    streams = Restorers(MAPPING)
    for call in range(MAX_STREAMS):
        streams.arguments(0, call)
    with pytest.raises(RemoteProtocolError, match="streams"):
        streams.text(0)


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
