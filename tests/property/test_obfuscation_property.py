"""Whatever a writer does to an identifier that a reader still reads: it is found wholly, at the original's offsets."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.folding import View
from privacy.mention import Mention
from privacy.patterns import default_recognisers, find_patterns

RECOGNISERS = default_recognisers()
IDENTIFIERS = [
    "john.doe@mail.com",
    "4111 1111 1111 1111",
    "378282246310005",
    "+48 601 234 567",
    "+1 (212) 555-0143",
    "DE89 3704 0044 0532 0130 00",
    "536-90-4399",
]
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u2066\u034f\ufe0f\U000e0061"
ALIKE = str.maketrans("aceopxyijsABCEHKMOPTXIS", "асеорхуіјѕАВСЕНКМОРТХІЅ")
TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("ab@.1 4+-OlаоЖ\u200b\u0301ﬃ１\ud800"), st.characters()),
    max_size=80,
)


def mentions_in(text: str) -> list[Mention]:
    view = View.of(text)
    return view.originals(find_patterns(view.text, RECOGNISERS))


def is_covered(text: str, start: int, end: int) -> bool:
    """Whether mentions cover every letter and digit of the stretch."""
    covered = {place for mention in mentions_in(text) for place in range(mention.start, mention.end)}
    return all(place in covered for place in range(start, end) if text[place].isalnum())


def is_masked(hidden: str, before: str = "call ", after: str = " now") -> bool:
    return is_covered(f"{before}{hidden}{after}", len(before), len(before) + len(hidden))


@given(st.sampled_from(IDENTIFIERS), st.data())
@settings(max_examples=150, deadline=None)
def test_invisible_marks_hide_nothing(identifier: str, data: st.DataObject) -> None:
    marks = data.draw(st.lists(st.text(INVISIBLE, max_size=2), min_size=len(identifier), max_size=len(identifier)))
    assert is_masked("".join(map("".join, zip(identifier, marks, strict=True))))


@given(st.sampled_from(IDENTIFIERS), st.data())
@settings(max_examples=100, deadline=None)
def test_width_and_style_hide_nothing(identifier: str, data: st.DataObject) -> None:
    wide = [chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else "\u3000" for char in identifier]
    chosen = data.draw(st.lists(st.booleans(), min_size=len(identifier), max_size=len(identifier)))
    assert is_masked(
        "".join(one if keep else other for keep, one, other in zip(chosen, identifier, wide, strict=True))
    )


@given(st.sampled_from(IDENTIFIERS), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_spacing_out_hides_nothing(identifier: str, gap: int) -> None:
    assert is_masked((" " * gap).join(identifier.replace(" ", "")))


@given(st.sampled_from(IDENTIFIERS))
@settings(max_examples=20, deadline=None)
def test_spacing_out_with_words_kept_apart_hides_nothing(identifier: str) -> None:
    assert is_masked("   ".join(" ".join(word) for word in identifier.split()))


@given(st.sampled_from(IDENTIFIERS), st.text("\u0301\u0308\u0337\u20e3", min_size=1, max_size=2))
@settings(max_examples=40, deadline=None)
def test_marks_over_letters_hide_nothing(identifier: str, marks: str) -> None:
    assert is_masked("".join(char + marks if char.isalnum() else char for char in identifier))


@given(st.sampled_from(IDENTIFIERS), st.sampled_from(["ARABIC-INDIC", "DEVANAGARI", "THAI", "FULLWIDTH"]))
@settings(max_examples=40, deadline=None)
def test_digits_of_another_script_hide_nothing(identifier: str, script: str) -> None:
    names = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()  # noqa: SIM905
    digits = {str(value): unicodedata.lookup(f"{script} DIGIT {name}") for value, name in enumerate(names)}
    assert is_masked("".join(digits.get(char, char) for char in identifier))


@given(st.sampled_from(["4111 1111 1111 1111", "+48 601 001 567", "DE89 3704 0044 0532 0130 00"]), st.data())
@settings(max_examples=80, deadline=None)
def test_letters_for_digits_hide_nothing(identifier: str, data: st.DataObject) -> None:
    places = [place for place, char in enumerate(identifier) if char in "01" and place > 3]
    chosen = data.draw(st.sets(st.sampled_from(places), max_size=len(places) // 2))
    letters = {"0": "O", "1": "l"}
    assert is_masked("".join(letters[char] if place in chosen else char for place, char in enumerate(identifier)))


@given(st.sampled_from(["maria.kowal@example.com", "jose_a@post.example", "IBAN DE89 3704 0044 0532 0130 00"]))
def test_letters_of_other_alphabets_hide_nothing(identifier: str) -> None:
    assert is_masked(identifier.translate(ALIKE).removeprefix("ІВАN "))


@pytest.mark.parametrize(
    "hidden",
    [
        "john dot doe at example dot com",
        "john(dot)doe(at)example(dot)com",
        "john.doe [at] example [dot] com",
        "john_doe AT example DOT co DOT uk",
        "john.doe @ example.com",
        "john . doe @ example . com",
        "jan punkt nowak arobase example point fr",
        "4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
        "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1",
    ],
)
def test_spelling_out_hides_nothing(hidden: str) -> None:
    assert is_masked(hidden, before="write to ")


@pytest.mark.parametrize(
    "text",
    [
        "Look at amazon dot com, they are at a point of sale.",
        "A B C D E F G H are letters, 1 2 3 4 5 6 numbers, 1 0 1 1 0 0 1 0 bits",
        "options a/b/c/d/e/f/g/h and 1.2.3.4.5.6.7.8.9",
        "BOOL ISO 2021 SOS B2B IO SILO 11 BILLS",
        "meet me at the station @ noon, follow @someone, deleted at some point for now",
        "charset=ISO-8859-1 and I.S.O. 9001",
    ],
)
def test_what_only_looks_respelled_is_left_alone(text: str) -> None:
    assert [mention for mention in mentions_in(text) if mention.label != "DATE_TIME"] == []


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_offsets_are_of_the_original_and_the_view_can_be_encoded(text: str) -> None:
    view = View.of(text)
    view.text.encode()
    for start in range(len(view.text)):
        (mention,) = view.originals([Mention(start, start + 1, "ID", 1.0, "x")])
        assert 0 <= mention.start < mention.end <= len(text)
    for mention in mentions_in(text):
        assert 0 <= mention.start < mention.end <= len(text)
