"""Answers to generated conversations, restored to what they mean at every cut: the benchmark's, and fewer of them."""

import json

import pytest

from benchmarks.restoration import SEED, answers, restored_exactly
from inference._http import EventReader
from privacy.pseudonyms import Style
from privacy.restoring import Restorer, Restorers


@pytest.mark.parametrize(("style", "count"), [("tag", 150), ("surrogate", 50)])
def test_answers_are_restored_exactly_at_every_cut(style: Style, count: int) -> None:
    for answer in answers(SEED, count, style):
        exact, cuts = restored_exactly(answer)
        assert exact == cuts, answer.meant


def test_bytes_that_are_cut_inside_a_character_are_restored() -> None:
    """As an engine's stream of events comes: any piece of it may end inside a character, an event or a placeholder."""
    pieces = ["Łó", "dź 猫 PER", "SON", "\\_K", "7s 😀, Person K", "7"]
    stream = b"".join(b"data: " + json.dumps({"d": piece}, ensure_ascii=False).encode() + b"\n\n" for piece in pieces)
    for cut in range(len(stream) + 1):
        reader, restorer = EventReader(), Restorer({"PERSON_K7": "Zoë"})
        events = [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])]
        shown = "".join(restorer.feed(json.loads(event)["d"]) for event in events)
        assert shown + restorer.finish() == "Łódź 猫 Zoës 😀, Zoë"


@pytest.mark.parametrize("cut", range(22))
def test_an_initial_does_not_begin_behind_a_mark_that_joins(cut: int) -> None:
    """`FORM_Z` is a form, and the name after it another sentence's."""
    mapping = {"Z. Piotrowski": "Ł. Kowal", "Piotrowski": "Kowal"}
    for written, meant in (
        ("FORM_Z. Piotrowski's", "FORM_Z. Kowal's"),
        ("anna'Z. Piotrowski", "anna'Z. Kowal"),
        ("by Z. Piotrowski", "by Ł. Kowal"),
    ):
        restorer = Restorers(mapping).text(0)
        assert restorer.feed(written[:cut]) + restorer.feed(written[cut:]) + restorer.finish() == meant


def test_what_stood_before_a_mark_is_forgotten_behind_the_next_one() -> None:
    restorer = Restorers({"Z. Piotrowski": "Ł. Kowal", "Piotrowski": "Kowal"}).text(0)
    shown = [restorer.feed(piece) for piece in ("FORM_", " Z", ". Piotrowski")]
    assert "".join(shown) + restorer.finish() == "FORM_ Ł. Kowal"
