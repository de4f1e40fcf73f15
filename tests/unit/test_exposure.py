"""P3: the shares of a receipt say what each host was given."""

import json
from typing import Any

import pytest

from privacy.exposure import (
    COLUMNS,
    ExposureReceipt,
    ExposureTotals,
    HostExposure,
    content_words,
    sentence_spans,
    share,
    share_of_sentences,
)


def test_content_words_fold_case_and_leave_out_stop_words() -> None:
    assert content_words("The Cat's hat, and THE cat’s coat. Don't!") == {"cat": 2, "hat": 1, "coat": 1}
    assert content_words("Łódź w 2024, snake_case 猫が好き") == {
        "łódź": 1, "w": 1, "2024": 1, "snake": 1, "case": 1, "猫": 1, "が": 1, "好": 1, "き": 1,
    }  # fmt: skip


PROMPT = "Grow red tomatoes. Paint seven wooden boats."  # 7 content words


def test_a_share_is_counted_over_everything_that_a_host_got() -> None:
    assert share(PROMPT, []) == 0.0
    assert share(PROMPT, ["Grow red tomatoes."]) == pytest.approx(3 / 7)
    assert share(PROMPT, ["Grow red tomatoes.", "Paint boats"]) == pytest.approx(5 / 7)
    assert share(PROMPT, [PROMPT]) == 1.0
    assert share(PROMPT, ["Something else entirely"]) == 0.0


def test_words_are_counted_as_often_as_they_were_given() -> None:
    assert share("cat cat cat dog", ["cat dog"]) == 0.5
    assert share("cat cat cat dog", ["cat cat cat cat cat"]) == 0.75


def test_the_same_text_sent_again_is_nothing_new() -> None:
    assert share("cat cat dog dog", ["cat dog", "cat dog"]) == 0.5
    assert share("cat cat dog dog", ["cat dog", "dog cat"]) == 1.0  # a different text: counted, to be sure


def test_what_a_placeholder_hides_was_not_given() -> None:
    original = "Anna Nowak lives in Gdynia"  # anna nowak lives gdynia
    assert share(original, ["PERSON_K7 lives in LOCATION_B22"]) == 0.25
    assert share(original, ["Zofia lives in Sopot"], ["Zofia", "Sopot"]) == 0.25


def test_a_placeholder_counts_as_no_word() -> None:
    assert share("Which person is in this location", ["Which PERSON_K7 is in this LOCATION_B2"]) == 0.0
    assert share("a person", ["PERSON_K7"], ["PERSON_K7"]) == 0.0
    assert share("a person", ["PERSON_K7"], []) == 1.0


def test_a_prompt_of_stop_words_counts_them() -> None:
    assert share("Why is it so?", ["why"]) == 0.25
    assert share("???", ["???"]) == 1.0
    assert share("???", []) == 0.0


def test_a_sentence_is_seen_from_half_of_its_words_on() -> None:
    assert share_of_sentences(PROMPT, ["Grow red tomatoes."]) == 0.5
    assert share_of_sentences(PROMPT, ["boats"]) == 0.0
    assert share_of_sentences(PROMPT, ["boats paint grow red"]) == 1.0
    assert share_of_sentences("", ["x"]) == 0.0


SENTENCES = [
    ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
    ("Dr. Smith met J. R. Tolkien at 5 p.m. today. They ate.",
     ["Dr. Smith met J. R. Tolkien at 5 p.m. today.", "They ate."]),
    ("Pi is 3.14 or so. See e.g. this.", ["Pi is 3.14 or so.", "See e.g. this."]),
    ('He said "Stop. Now!" and left. Fine.', ['He said "Stop. Now!" and left.', "Fine."]),
    ("A line\nwrapped. Next\n\nparagraph", ["A line\nwrapped.", "Next", "paragraph"]),
    ("Do this:\nthat", ["Do this:", "that"]),
    ("猫？犬。鳥", ["猫？", "犬。", "鳥"]),
    ("1. First thing. 2. Second.", ["1. First thing.", "2. Second."]),
    ("Well... maybe. Yes?! No.", ["Well...", "maybe.", "Yes?!", "No."]),
    ("So do I. You too.", ["So do I.", "You too."]),
    ("  \n ", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences_end_where_readers_end_them(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


def test_no_sentence_ends_inside_a_kept_range() -> None:
    assert sentence_spans("Ask Yahoo! Japan now. Go.", [(4, 16)]) == [(0, 21), (22, 25)]


def host(name: str = "12D3KooWa", words: float = 0.4, **more: Any) -> HostExposure:
    return HostExposure(
        host=name, region="PL", fragments=(0, 2), mode="tasks", share_of_words=words, share_of_sentences=0.5, **more
    )


def test_a_receipt_names_the_largest_share() -> None:
    receipt = ExposureReceipt(
        hosts=(
            host(),
            host("12D3KooWb", 0.45678, identifiers_masked={"PERSON": 2, "EMAIL": 1}, retries=1, standby=True),
        ),
        mode="tasks",
        policy="standard",
        profile="private",
        guards=("12D3KooWg",),
        notices=("Earlier turns were left out.",),
    )
    assert receipt.largest_share == 0.45678
    written = json.loads(json.dumps(receipt.to_json()))
    assert written["largest_share"] == 0.4568
    assert written["hosts"][1]["identifiers_masked"] == {"EMAIL": 1, "PERSON": 2}
    assert written["guards"] == ["12D3KooWg"]
    assert receipt.rows()[1] == ("12D3KooWb", "PL", "1, 3", "46%", "50%", "none", "1 EMAIL, 2 PERSON", "1", "yes")
    assert all(len(row) == len(COLUMNS) for row in receipt.rows())
    assert written["largest_view"] == "12D3KooWb"
    assert (written["totals"]["hosts"], written["totals"]["retries"], written["totals"]["standbys"]) == (2, 1, 1)
    assert (written["profile"], written["profile_asked"]) == ("private", "private")
    assert written["hosts"][0]["region_claimed"] == "PL"


def test_of_several_hosts_a_row_says_what_they_saw_together() -> None:
    totals = ExposureTotals(0.8, 1.0, {"PERSON": 3, "ID": 1}, {"ID": 1}, {"PERSON": 2})
    hosts = (host("12D3KooWa", retries=2), host("12D3KooWb", standby=True))
    receipt = ExposureReceipt(hosts, "tasks", "standard", "private", totals=totals)
    assert receipt.rows()[2:] == [
        ("all 2 together", "", "", "80%", "100%", "1 ID", "2 PERSON", "2", "1")
    ]  # fmt: skip
    assert receipt.rows(lambda peer: peer[-1])[0][0] == "a"
    assert len(ExposureReceipt(hosts[:1], "whole", "standard", "private", totals=totals).rows()) == 1
    assert receipt.to_json()["totals"] == {
        "hosts": 2,
        "retries": 2,
        "standbys": 1,
        "share_of_words": 0.8,
        "share_of_sentences": 1.0,
        "identifiers_found": {"ID": 1, "PERSON": 3},
        "identifiers_in_clear": {"ID": 1},
        "identifiers_masked": {"PERSON": 2},
    }


def test_a_receipt_of_nothing_sent_says_zero() -> None:
    assert ExposureReceipt(hosts=(), mode="whole", policy="strict", profile="fast").largest_share == 0.0


@pytest.mark.parametrize("words", [-0.1, 1.1])
def test_a_share_is_a_fraction(words: float) -> None:
    with pytest.raises(ValueError, match="share_of_words"):
        host(words=words)
