"""The claims of `peernet demo --attack` can fail: what was learned is found, however it stands in a notebook."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from peernet.cli.adversaries.notebook import HEARD, LEG, LEG_IN, Note, Notebook, everything_in, read_notes
from peernet.cli.attack import on_requests
from peernet.cli.attack.scene import Claim, Scene, Telling, draw_scene, quoted
from peernet.cli.attack.stage import Asked
from peernet.client.events import AnswerText, FragmentContinued, FragmentText
from peernet.core.serving import Ask, Turn

FRAGMENT = "Rewrite this more politely: PERSON_X5 wants the bank to block a card."


def told(*claims: Claim) -> Telling:
    return Telling("An attack.", caught=claims, verdict="All is well.")


# --- notebooks -------------------------------------------------------------------------------------------------------


def test_notes_come_back_as_they_were_written(tmp_path: Path) -> None:
    book = Notebook(tmp_path / "deep" / "book.jsonl")
    book.write(LEG, peer="12D3", address="/ip4/127.0.0.1")
    book.write(HEARD, b"\x00\xff", ring=3)
    notes = read_notes(tmp_path / "deep" / "book.jsonl")
    assert [(note.kind, note.peer, note.address, note.ring, note.data) for note in notes] == [
        (LEG, "12D3", "/ip4/127.0.0.1", 0, b""),
        (HEARD, "", "", 3, b"\x00\xff"),
    ]


def test_a_writer_may_die_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    book = Notebook(path)
    book.write(HEARD, b"whole")
    with path.open("a", encoding="ascii") as file:
        file.write('[1.0, "hea')
    assert [note.data for note in read_notes(path)] == [b"whole"]
    assert read_notes(tmp_path / "none") == ()


def test_what_came_in_pieces_is_searched_in_one() -> None:
    notes = [
        Note(1.0, LEG_IN, "a", data=b"Maria Ko"),
        Note(2.0, LEG_IN, "b", data=b"?"),
        Note(3.0, LEG_IN, "a", data=b"walska"),
    ]
    assert b"Maria Kowalska" in everything_in(notes)
    assert b"/ip4/127.77.200.1" in everything_in([Note(1.0, LEG, "a", "/ip4/127.77.200.1")])


# --- searching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["Maria Kowalska", "MARIA KOWALSKA", "maria-kowalska", "xmariakowalskax"])
def test_a_name_is_found_however_it_is_written(written: str) -> None:
    assert not on_requests._absent(("Maria Kowalska",), [written.encode()], "").holds


def test_a_name_that_is_not_there_is_not_found() -> None:
    claim = on_requests._absent(("Maria Kowalska", "4111 1111"), [b"Maria PERSON_K7 Kowalsk", b"411"], "nowhere")
    assert claim.holds
    assert claim.text == "Maria Kowalska, 4111 1111: nowhere"


@pytest.mark.parametrize("everywhere", [[], [b""], [b"text", b""]])
def test_nothing_searched_is_nothing_shown(everywhere: list[bytes]) -> None:
    assert not on_requests._absent(("Maria",), everywhere, "").holds


def test_a_stretch_of_a_text_counts_as_having_read_it() -> None:
    assert on_requests._has_read(b"..." + FRAGMENT[10:40].encode(), FRAGMENT)
    assert not on_requests._has_read(b"..." + FRAGMENT[10:30].encode(), FRAGMENT)
    # But not a stretch that its own fragment has as well.
    assert not on_requests._has_read(FRAGMENT[:40].encode(), FRAGMENT, known=[FRAGMENT[:40]])
    assert on_requests._has_read(b"a short one", "short")


def test_an_address_is_found_as_text_and_as_bytes() -> None:
    assert on_requests._has_address(b"/ip4/127.77.200.1/tcp/9", "127.77.200.1")
    assert on_requests._has_address(b"\x04\x7f\x4d\xc8\x01\x00", "127.77.200.1")
    assert not on_requests._has_address(b"/ip4/127.77.100.1", "127.77.200.1")


def test_altered_words_are_not_those_that_the_host_wrote() -> None:
    said = on_requests._blank("Dear PERSON_K7, thank you", ["Maria Kowalska"])
    assert said.startswith(on_requests._blank("Dear Maria Kowalska, th", ["Maria Kowalska"]))
    assert not said.startswith(on_requests._blank("Dear Maria Kowalska, ph", ["Maria Kowalska"]))


def handover(before: str, after: str) -> on_requests._Handover:
    continued = FragmentContinued(0, "one", "two", "why", len(before.split()))
    events = (FragmentText(0, before), FragmentText(1, "other"), AnswerText(before), continued, FragmentText(0, after))
    answered: Any = None
    found = on_requests._handover(Asked("", answered, events, 0.0))
    assert found is not None
    return found


def exchange(prefix: str | None, said: str) -> on_requests._Exchange:
    opening: Any = None
    return on_requests._Exchange(Ask(opening, "model", (Turn("user", ""),), 9, 0, 1000, None, (), prefix), said)


def test_what_was_shown_is_parted_where_another_went_on() -> None:
    found = handover("Dear Maria Kowalska, th", "ank you")
    assert (found.before, found.after, found.answer_before) == (
        "Dear Maria Kowalska, th",
        "ank you",
        "Dear Maria Kowalska, th",
    )
    assert found.seam == "“…Dear Maria Kowalska, th” and then “ank you…”"
    answered: Any = None
    assert on_requests._handover(Asked("", answered, (FragmentText(0, "calm"),), 0.0)) is None


@pytest.mark.parametrize(
    ("prefix", "said", "holds"),
    [
        ("Dear PERSON_K7, th", "ank you", True),
        ("Dear PERSON_K7, th", "ank you PERS", True),
        ("Dear PERSON_K7, th", "thank you", False),
        ("Dear PERSON_K7, th", "nk you", False),
        ("Dear PERSON_K7,", "ank you", False),
        ("Dear PERSON_K7, th", "ank you and more", False),
        (None, "Dear PERSON_K7, thank you", False),
    ],
)
def test_a_word_that_is_missing_or_said_twice_at_the_seam_is_seen(prefix: str | None, said: str, holds: bool) -> None:
    found = handover("Dear Maria Kowalska, th", "ank you")
    assert on_requests._goes_on(found, exchange(prefix, said), ["Maria Kowalska"]) is holds


def test_flipped_bits_are_counted() -> None:
    cell = bytes(1024)
    assert on_requests._bits(cell + cell) == 0
    assert on_requests._bits(cell + cell[:-1] + b"\x03") == 2


# --- telling ---------------------------------------------------------------------------------------------------------


def test_a_scene_is_in_order_when_it_was_caught_and_all_claims_hold() -> None:
    held, broken = Claim("It was seen.", holds=True), Claim("It was not seen.", holds=False)
    assert told(held).ok
    assert not told(held, broken).ok
    assert not told().ok
    assert not Telling("An attack.", caught=(held,), not_learned=(held, broken)).ok
    assert not Telling.failed("An attack.", "nobody noticed").ok


def test_a_claim_that_does_not_hold_is_shown_as_such() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    telling = told(Claim("It was seen.", holds=True), Claim("[red]Not[/] seen.", holds=False))
    draw_scene(console, 1, Scene("name", "A title", telling, 0.0))
    shown = out.getvalue()
    assert "✓ It was seen." in shown
    assert "✗ [red]Not[/] seen." in shown
    assert "All is well." not in shown
    assert "Not as it should be" in shown


def test_a_quotation_is_one_line_without_control_codes() -> None:
    assert quoted("two\nlines \x1b[31mred") == "“two lines [31mred”"
    assert quoted("a long text", 7) == "“a long…”"
