"""The claims of `peernet demo --attack` can fail: what was learned is found, however it stands in a notebook."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from peernet.cli.adversaries import flipping_relay
from peernet.cli.adversaries.notebook import HEARD, LEG, LEG_IN, Note, Notebook, everything_in, read_notes
from peernet.cli.attack import finding, on_requests
from peernet.cli.attack import handover as handovers
from peernet.cli.attack.scene import Claim, Scene, Telling, draw_scene, quoted
from peernet.cli.attack.stage import Asked
from peernet.client.events import AnswerText, FragmentContinued, FragmentRestarted, FragmentText
from peernet.client.seam import Seam
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
    assert not finding.absent(("Maria Kowalska",), [written.encode()], "").holds


def test_a_name_that_is_not_there_is_not_found() -> None:
    claim = finding.absent(("Maria Kowalska", "4111 1111"), [b"Maria PERSON_K7 Kowalsk", b"411"], "nowhere")
    assert claim.holds
    assert claim.text == "Maria Kowalska, 4111 1111: nowhere"


@pytest.mark.parametrize("everywhere", [[], [b""], [b"text", b""]])
def test_nothing_searched_is_nothing_shown(everywhere: list[bytes]) -> None:
    assert not finding.absent(("Maria",), everywhere, "").holds


def test_a_stretch_of_a_text_counts_as_having_read_it() -> None:
    assert finding.has_read(b"..." + FRAGMENT[10:40].encode(), FRAGMENT)
    assert not finding.has_read(b"..." + FRAGMENT[10:30].encode(), FRAGMENT)
    # But not a stretch that its own fragment has as well.
    assert not finding.has_read(FRAGMENT[:40].encode(), FRAGMENT, known=[FRAGMENT[:40]])
    assert finding.has_read(b"a short one", "short")


def test_an_address_is_found_as_text_and_as_bytes() -> None:
    assert finding.has_address(b"/ip4/127.77.200.1/tcp/9", "127.77.200.1")
    assert finding.has_address(b"\x04\x7f\x4d\xc8\x01\x00", "127.77.200.1")
    assert not finding.has_address(b"/ip4/127.77.100.1", "127.77.200.1")


def handover(before: str, after: str) -> handovers.Handover:
    continued = FragmentContinued(0, "one", "two", "why", len(before.split()))
    events = (FragmentText(0, before), FragmentText(1, "other"), AnswerText(before), continued, FragmentText(0, after))
    answered: Any = None
    found = handovers.handover_in(Asked("", answered, events, 0.0))
    assert found is not None
    return found


def exchange(prefix: str | None, said: str) -> handovers.Exchange:
    opening: Any = None
    return handovers.Exchange(Ask(opening, "model", (Turn("user", ""),), 9, 0, 1000, None, (), prefix), said)


def test_what_was_shown_is_parted_where_another_went_on() -> None:
    found = handover("Dear Maria Kowalska, th", "ank you")
    assert (found.before, found.after, found.answer_before) == (
        "Dear Maria Kowalska, th",
        "ank you",
        "Dear Maria Kowalska, th",
    )
    assert found.seam == "“…Dear Maria Kowalska, th” and then “ank you…”"
    answered: Any = None
    assert handovers.handover_in(Asked("", answered, (FragmentText(0, "calm"),), 0.0)) is None


MAPPING = {"PERSON_K7": "Maria Kowalska", "LOCATION_E4": "Lisbon"}


def goes_on(shown: tuple[str, str], prefix: str | None, said: str, *, cut: bool = False) -> bool:
    return handovers.goes_on(handover(*shown), exchange(prefix, said), MAPPING, cut=cut)


@pytest.mark.parametrize(
    ("prefix", "said", "holds"),
    [
        ("Dear PERSON_K7, th", "ank you", True),
        ("Dear PERSON_K7, th", "thank you", False),
        ("Dear PERSON_K7, th", "nk you", False),
        ("Dear PERSON_K7,", "ank you", False),
        ("Dear PERSON_K7, th", "ank you and more", False),
        ("Dear LOCATION_E4, th", "ank you", False),
        (None, "Dear PERSON_K7, thank you", False),
    ],
)
def test_a_word_that_is_missing_or_said_twice_at_the_seam_is_seen(prefix: str | None, said: str, holds: bool) -> None:
    assert goes_on(("Dear Maria Kowalska, th", "ank you"), prefix, said) is holds


@pytest.mark.parametrize("spelt", ["LOCATION_E4", "[Location_E4]", "location E4", "LOCATION\\_E4", "Location-E4"])
def test_a_name_counts_as_shown_however_its_placeholder_was_spelt(spelt: str) -> None:
    """Models do not copy placeholders letter by letter, and the client restores them all the same."""
    shown = spelt.replace("[", "").replace("]", "")
    in_brackets = "[Lisbon]" if shown != spelt else "Lisbon"
    assert goes_on(("Thank you", f" for {in_brackets}."), "Thank you", f" for {spelt}.")
    assert not goes_on(("Thank you", f" for {in_brackets}."), "Thank you", f" for the {spelt}.")
    assert not goes_on(("Thank you", " for ."), "Thank you", f" for {spelt}.")
    assert goes_on((f"At {in_brackets}, we", " met."), f"At {spelt}, we", " met.")


def test_a_placeholder_that_the_model_made_up_is_a_word_like_another() -> None:
    assert goes_on(("Thank you", " for Location_E5."), "Thank you", " for Location_E5.")
    assert not goes_on(("Thank you", " for Lisbon."), "Thank you", " for Location_E5.")
    assert not goes_on(("Thank you", " for ."), "Thank you", " for Location_E5.")


@pytest.mark.parametrize(
    ("rest", "cut", "holds"),
    [("PERS", True, True), ("PERSON_", True, True), ("PERS", False, False), ("PIER", True, False), ("P", True, False)],
)
def test_the_beginning_of_a_placeholder_at_which_an_answer_was_cut_is_no_missing_word(
    rest: str, cut: bool, holds: bool
) -> None:
    assert goes_on(("Dear", " friend, dear"), "Dear", f" friend, dear {rest}", cut=cut) is holds


def test_what_a_host_says_again_at_the_seam_is_to_be_shown_once() -> None:
    begun = "Dear PERSON_K7, I hope that this finds you well"
    shown = "Dear Maria Kowalska, I hope that this finds you well"
    assert goes_on((shown, ". Yours"), begun, f" {begun}. Yours")
    assert not goes_on((shown, f" {shown}. Yours"), begun, f" {begun}. Yours")
    # Some words are no repetition: the client shows them, since a word too many is better than one too few.
    assert goes_on((shown, " finds you well. Yours"), begun, " finds you well. Yours")
    assert not goes_on((shown, ". Yours"), begun, " finds you well. Yours")


NOTE = "Thank you for the lovely lunch in town"
SONG = "We eat and drink and talk, and sing."


@pytest.mark.parametrize(
    ("begun", "again", "removed"),
    [
        (NOTE, NOTE, True),
        (f"Dear friend, {NOTE}", NOTE, True),
        ("I am in it as we do so", "I am in it as we do so", False),
        ("Congratulations wholeheartedly nonetheless", "Congratulations wholeheartedly nonetheless", False),
        (f"{SONG} {SONG}", SONG, False),
        (f"Re{NOTE}", NOTE, False),
    ],
    ids=["all of it", "its end", "too short", "too few words", "the text's own way", "within a word"],
)
def test_what_counts_as_said_again_is_what_the_client_takes_for_it(begun: str, again: str, removed: bool) -> None:
    said = f" {again} at last"
    seam = Seam(begun)
    shown = seam.feed(said) + seam.finish()
    assert (shown == " at last") is removed
    assert goes_on((begun, shown), begun, said)
    assert not goes_on((begun, said if removed else " at last"), begun, said)


def test_a_word_that_nobody_wrote_is_seen() -> None:
    assert not goes_on(("Dear", " friend, yours"), "Dear", " friend,")


def test_a_space_at_the_seam_is_nobodys_word() -> None:
    assert goes_on(("Thank you ", "Maria Kowalska"), "Thank you", "PERSON_K7")
    assert goes_on(("Thank you ", "Maria Kowalska"), "Thank you", " PERSON_K7")


PROMPT = "1. Thank Maria Kowalska of Northwind Ltd for it.\n2. Say why water is good.\n"


def test_what_stands_behind_placeholders_is_read_off_the_request_and_what_was_sent_of_it() -> None:
    sent = "Thank PERSON_K7 of ORGANIZATION_B2 for it."
    assert handovers.behind_placeholders(PROMPT, sent) == {
        "PERSON_K7": "Maria Kowalska",
        "ORGANIZATION_B2": "Northwind Ltd",
    }
    assert handovers.behind_placeholders(PROMPT, "Say why water is good.") == {}
    assert handovers.behind_placeholders(PROMPT, "Thank PERSON_K7") == {
        "PERSON_K7": "Maria Kowalska of Northwind Ltd for it."
    }
    assert handovers.behind_placeholders(PROMPT, "Greet PERSON_K7 of ORGANIZATION_B2.") == {}


# --- what chance may bring -------------------------------------------------------------------------------------------


def asked_with(*events: Any, complete: bool = True) -> Asked:
    answered: Any = SimpleNamespace(complete=complete)
    return Asked("", answered, events, 0.0)


CONTINUED = FragmentContinued(0, "one", "two", "why", 1)
RESTARTED = FragmentRestarted(0, "one", "two", "why")


@pytest.mark.parametrize(
    ("events", "complete", "said", "moot"),
    [
        ((FragmentText(0, "All"),), True, "", True),
        ((FragmentText(0, "All"),), False, "", False),
        ((RESTARTED, FragmentText(0, "All")), True, "", True),
        ((FragmentText(0, "Some"), RESTARTED, FragmentText(0, "All")), True, "", False),
        ((FragmentText(1, "Other"), RESTARTED, FragmentText(0, "All")), True, "", True),
        ((FragmentText(0, "All"), CONTINUED), True, "", True),
        ((FragmentText(0, "All"), CONTINUED), True, " of it", False),
        ((FragmentText(0, "All"), CONTINUED, FragmentText(0, " of it")), True, " of it", False),
        ((FragmentText(0, "Some"), CONTINUED, CONTINUED), True, "", False),
    ],
    ids=[
        "over before anything failed", "not answered", "nothing shown yet", "what was shown made void",
        "only another part shown", "nothing left to say", "what was left is lost", "taken over", "failed twice",
    ],
)  # fmt: skip
def test_only_a_fault_that_hit_no_text_is_tried_again(
    events: tuple[Any, ...], complete: bool, said: str, moot: bool
) -> None:
    assert handovers.hit_nothing(asked_with(*events, complete=complete), said) is moot


def test_a_few_letters_in_noise_are_no_reading_of_a_text() -> None:
    assert finding.long_enough(["", ".", "Dear", "Dear friend"]) == ["Dear friend"]


def test_a_bit_is_flipped_once_for_each_time_that_it_is_allowed(tmp_path: Path) -> None:
    occasion = flipping_relay._Occasion.among(tmp_path / "notebooks")
    assert not occasion.take()
    flipping_relay.allow_another(tmp_path / "notebooks")
    assert occasion.take()
    assert not occasion.take()


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


def test_what_was_compared_is_told_where_a_claim_does_not_hold_and_only_there() -> None:
    held = Claim("It was seen.", True, (("shown", "all of it"),))
    broken = Claim("It was not seen.", False, (("given", "Dear PERSON_K7,\n"), ("shown", "Dear")))
    out = io.StringIO()
    scene = Scene("name", "A title", told(held, broken), 0.0)
    draw_scene(Console(file=out, width=80), 1, scene)
    assert "given: 'Dear PERSON_K7,\\n'" in out.getvalue()
    assert "all of it" not in out.getvalue()
    assert scene.to_json()["caught"] == [
        {"claim": "It was seen.", "holds": True},
        {"claim": "It was not seen.", "holds": False, "recorded": {"given": "Dear PERSON_K7,\n", "shown": "Dear"}},
    ]


def test_a_quotation_is_one_line_without_control_codes() -> None:
    assert quoted("two\nlines \x1b[31mred") == "“two lines [31mred”"
    assert quoted("a long text", 7) == "“a long…”"
