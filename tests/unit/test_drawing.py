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
    FragmentText,
    Planned,
)
from privacy.exposure import ExposureReceipt, HostExposure

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
    exposure = ExposureReceipt(hosts, "whole", "standard", "private")
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
