"""What a person reads when a host or a relay fails in mid-answer."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from peernet.cli.asking import explain, result_of
from peernet.cli.drawing import RequestDrawing
from peernet.client.events import (
    Answered,
    Event,
    FragmentContinued,
    FragmentPlanned,
    FragmentReport,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    Planned,
    RingBuilt,
)
from privacy.exposure import ExposureReceipt, ExposureTotals, HostExposure, RelayUse

FIRST, SECOND = "12D3KooWfirst1", "12D3KooWother2"
PLANNED = Planned("whole", "standard", "private", (FragmentPlanned(0, FIRST, "Write.", 1.0),), "")


def drawn(events: Sequence[Event], *, terminal: bool = False) -> str:
    console = Console(record=True, width=120, force_terminal=terminal, file=io.StringIO())
    drawing = RequestDrawing(console, "Write.")
    for event in events:
        drawing.on_event(event)
    drawing.close()
    return console.export_text()


def report(*, failure: str | None = None, unfinished: bool = False) -> FragmentReport:
    return FragmentReport(
        ordinal=0,
        host=SECOND,
        mode="whole",
        share=1.0,
        text_sent="Write.",
        out=(),
        back=(),
        prompt_tokens=20,
        answer_tokens=8,
        amount_microcredits=80,
        restarts=0,
        continuations=1,
        receipt_index=None,
        failure=failure,
        unfinished=unfinished,
    )


def answered(fragment: FragmentReport) -> Answered:
    hosts = (
        HostExposure(FIRST, "", (0,), "whole", 1.0, 1.0),
        HostExposure(SECOND, "", (0,), "whole", 1.0, 1.0, standby=True, continued=(0,)),
    )
    exposure = ExposureReceipt(
        hosts,
        "whole",
        "standard",
        "private",
        relays=(
            RelayUse("12D3KooWguard3", "eu-central", "guard", (0,)),
            RelayUse("12D3KooWmiddl4", "", "middle", (0,)),
        ),
        totals=ExposureTotals(1.0, 1.0),
    )
    return Answered("Dear Sir", exposure, (fragment,), {}, "log", 0, None, 1.0)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            FragmentContinued(0, FIRST, SECOND, "it died", 31),
            "fragment 1: host …first1 was lost after 31 words (it died); …other2 goes on from there",
        ),
        (
            FragmentContinued(0, FIRST, FIRST, "a relay died", 1),
            "fragment 1: the ring to host …first1 broke after 1 word; it goes on from there over another one",
        ),
        (
            FragmentRestarted(0, FIRST, SECOND, "it died"),
            "fragment 1: host …first1 failed (it died); it starts again on …other2",
        ),
    ],
)
def test_what_happened_is_said_in_plain_words(event: Event, said: str, terminal: bool):
    text = drawn([PLANNED, FragmentText(0, "Dear "), event, FragmentText(0, "Sir")], terminal=terminal)
    assert said in " ".join(text.split())


def test_a_standby_that_was_given_the_answer_so_far_is_marked():
    text = " ".join(drawn([PLANNED, answered(report())]).split())
    assert "…other2 (standby)" in text
    assert "…first1 (standby" not in text
    assert "…other2 also read what was answered of fragment 1 before" in text
    assert "…first1 also" not in text


def test_programs_are_told_as_well():
    result = result_of(answered(report()), 0.0)
    assert (result["fragments"][0]["restarts"], result["fragments"][0]["continuations"]) == (0, 1)
    assert [host["continued"] for host in result["exposure"]["hosts"]] == [[], [0]]


@pytest.mark.parametrize(("unfinished", "deed"), [(True, "finished"), (False, "answered")])
def test_what_is_missing_is_explained(unfinished: bool, deed: str, capsys: pytest.CaptureFixture[str]):
    explain(answered(report(failure="all hosts died", unfinished=unfinished)))
    assert capsys.readouterr().err == f"peernet: it could not be {deed}: all hosts died\n"


RING = RingBuilt(0, FIRST, ("12D3KooWguard3", "12D3KooWmiddl4"), ("12D3KooWguard3", "12D3KooWmiddl5"), 0.012)


def test_where_nothing_moves_each_step_is_a_line_when_it_happens():
    text = drawn([PLANNED, RING, FragmentSent(0, FIRST, 0.31, standby=False), FragmentSent(0, SECOND, 0.4, True)])
    assert text.splitlines()[-3:] == [
        "fragment 1: ring built in 12 ms: you → …guard3 → …middl4 → …first1, and you ← …guard3 ← …middl5 ← …first1",
        "fragment 1: sent to …first1, who has now 31% of your words so far",
        "fragment 1: sent to …other2 (a standby), who has now 40% of your words so far",
    ]


def test_on_a_terminal_what_each_host_has_seen_so_far_is_drawn_below_the_answers():
    out = io.StringIO()
    drawing = RequestDrawing(Console(width=120, force_terminal=True, file=out), "Write.")
    for event in (PLANNED, RING, FragmentSent(0, FIRST, 0.25, standby=False), FragmentSent(0, SECOND, 1.0, True)):
        drawing.on_event(event)
    drawing.close()
    assert "…first1 has seen" in out.getvalue()
    assert "25%" in out.getvalue()
    assert "100%, a standby" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_weaker_profile_is_said_plainly(terminal: bool):
    notice = "This request goes by profile 'fast', which is weaker than the 'private' asked for"
    planned = Planned("whole", "standard", "fast", PLANNED.fragments, "", "private", (notice,))
    text = " ".join(drawn([planned], terminal=terminal).split())
    assert "profile fast instead of private" in text
    assert notice in text


def test_relays_are_named_with_what_they_know_and_claim():
    text = drawn([PLANNED, answered(report())])
    assert "guards …guard3 (claims eu-central) know your address, and none of your words" in text
    assert "middles …middl4 know a guard and a host, and none of your words" in text
    assert "the largest single view is that of …first1: 100% of your words" in text
    assert "all 2 together" in text


def test_a_column_that_says_nothing_takes_no_room():
    text = drawn([PLANNED, answered(report())])
    assert "claims to be in" not in text
    assert "again" not in text
    assert "of your sentences" in text
