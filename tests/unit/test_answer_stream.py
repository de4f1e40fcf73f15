"""What `peernet chat` prints without `--explain`."""

import io
import itertools
from collections.abc import Sequence

import pytest
from rich.console import Console

from peernet.cli.answer_stream import AnswerStream
from peernet.client.events import (
    Answered,
    AnswerText,
    Event,
    FragmentContinued,
    FragmentPlanned,
    Masked,
    Planned,
    RingBuilt,
    Screened,
)
from privacy.exposure import ExposureReceipt, ExposureTotals, HostExposure

HOST, STANDBY = "12D3KooWfirst1", "12D3KooWother2"
NOTICE = "This request goes by profile 'fast', which is weaker."
PLANNED = Planned(
    "whole",
    "standard",
    "fast",
    (FragmentPlanned(0, HOST, "Hi.", 1.0),),
    "",
    profile_asked="private",
    notices=(NOTICE,),
)
RING = RingBuilt(0, HOST, ("12D3KooWguard3",), ("12D3KooWguard3",), 0.01)


def answered() -> Answered:
    hosts = (
        HostExposure(HOST, "", (0,), "whole", 0.4, 1.0, identifiers_masked={"PERSON": 1}),
        HostExposure(STANDBY, "", (0,), "whole", 0.5, 1.0, identifiers_in_clear={"ID": 1}, standby=True),
    )
    totals = ExposureTotals(0.6, 1.0, {"PERSON": 1, "ID": 1}, {"ID": 1}, {"PERSON": 1})
    exposure = ExposureReceipt(
        hosts, "whole", "standard", "fast", notices=(NOTICE,), profile_asked="private", totals=totals
    )
    return Answered("Dear Sir", exposure, (), {}, "log", 0, None, 1.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(events: Sequence[Event], *, terminal: bool = False) -> tuple[str, str]:
    """What standard output and standard error got."""
    out = Terminal() if terminal else io.StringIO()
    said = io.StringIO()
    stream = AnswerStream(out, Console(file=said, width=60, force_terminal=terminal, highlight=False))
    for event in events:
        stream.on_event(event)
    stream.close()
    return out.getvalue(), said.getvalue()


ALL = [Screened(), Masked((), {}), PLANNED, RING, AnswerText("Dear "), AnswerText("Sir"), answered()]


def test_the_answer_alone_goes_to_standard_output():
    out, said = printed(ALL)
    assert out == "Dear Sir\n"
    assert "Dear" not in said


def test_a_line_says_who_saw_what():
    _, said = printed(ALL)
    assert said.splitlines()[-1] == (
        "what each host saw of your words: …other2 50%, …first1 40% (all 2 together 60%); 1 identifier masked; 1 in "
        "clear; 1 standby came in; profile fast instead of private (--explain shows more)"
    )


def test_a_notice_is_said_before_the_answer_and_once():
    _, said = printed(ALL)
    assert said.count(NOTICE) == 1
    _, before = printed([PLANNED])
    assert NOTICE in before


def test_without_a_terminal_nothing_moves():
    out, said = printed([*ALL[:-1], FragmentContinued(0, HOST, STANDBY, "it died", 3), ALL[-1]])
    assert "\x1b" not in out + said
    assert "\r" not in out + said


def test_a_terminal_shows_what_is_waited_for_until_the_first_words():
    _, said = printed([*ALL[:4]], terminal=True)
    assert "1 of 1 rings stand, waiting for the first words" in said
    _, said = printed([*ALL[:3], AnswerText("Dear "), RING], terminal=True)
    assert "rings stand" not in said


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (5,), (9,), (11,), (12,), (13,), (1, 2, 3, 10, 11, 12, 13)])
def test_headings_are_bold_on_a_terminal_wherever_the_text_is_cut(cuts: tuple[int, ...]):
    text = "**1. Hi **\n\n*a* **b** c\n** d\n**2. Ho**"
    places = [0, *cuts, len(text)]
    events = [AnswerText(text[start:end]) for start, end in itertools.pairwise(places)]
    out, _ = printed(events, terminal=True)
    assert out == "\x1b[1m1. Hi \x1b[0m\n\n*a* **b** c\n** d\n\x1b[1m2. Ho\x1b[0m\n"
    out, _ = printed(events)
    assert out == f"{text}\n"


def test_text_from_afar_cannot_rule_the_terminal():
    out, _ = printed([AnswerText("\x1b]0;owned\x07 \x9b2J \x7f[bold]")], terminal=True)
    assert out == "]0;owned 2J [bold]\n"
