"""Patterns hold on any text: sorted spans inside it, checksums decide, and time grows with the length."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stdnum import luhn

from privacy.patterns import CreditCardRecogniser, EmailRecogniser, Page, default_recognisers, find_patterns

RECOGNISERS = default_recognisers()
TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("0123456789 .-/:@+()#,\n'aAbBzZéЖ中DE"), st.characters(codec="utf-8")),
    max_size=120,
)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
@example("card 4111 1111 1111 1111")
def test_every_recogniser_yields_sorted_spans_inside_the_text(text: str) -> None:
    for recogniser in RECOGNISERS:
        end = 0
        for mention in recogniser.find(Page(text)):
            assert end <= mention.start < mention.end <= len(text)
            assert mention.source == f"pattern:{recogniser.name}"
            end = mention.end


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_mail_address_is_found_wherever_it_stands(before: str, after: str) -> None:
    text = f"{before} maria.k@acme.example {after}"
    start = len(before) + 1
    assert any(m.start <= start and m.end >= start + 20 for m in EmailRecogniser().find(Page(text)))


@given(st.from_regex(r"4[0-9]{14}", fullmatch=True), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_the_check_digit_decides(digits: str, error: int) -> None:
    check = luhn.calc_check_digit(digits)
    good, bad = f"{digits}{check}", f"{digits}{(int(check) + error) % 10}"
    recogniser = CreditCardRecogniser()
    assert len(list(recogniser.find(Page(f"it is {good} here")))) == 1
    assert list(recogniser.find(Page(f"it is {bad} here"))) == []


@pytest.mark.parametrize(
    "unit",
    [
        "1 ",
        "1",
        "a",
        "A ",
        "a.",
        "@",
        "a@",
        "1-",
        "A1 ",
        "(",
        "Aa, ",
        "my name is ",
        "address: 1 A ",
        ":a",
        "+1 (",
        "how ",
    ],
)
def test_no_text_makes_the_patterns_slow(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    start = time.process_time()
    find_patterns(text, RECOGNISERS)
    assert time.process_time() - start < 3
