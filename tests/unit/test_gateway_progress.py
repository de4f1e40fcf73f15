"""The receipt of a request that still runs: what it says of each fragment, and who has been sent one."""

import json

import pytest

from peernet.client.events import (
    AnswerText,
    Event,
    FragmentContinued,
    FragmentDone,
    FragmentFailed,
    FragmentPlanned,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    Planned,
    RingBuilt,
)
from peernet.gateway.progress import Progress

PLAN = Planned(
    "tasks",
    "standard",
    "private",
    (FragmentPlanned(0, "alder", "Thank PERSON_K7", 0.5), FragmentPlanned(1, "birch", "Explain rain", 0.25)),
    "two tasks",
    "private",
    ("The directory is old.",),
)


def running() -> Progress:
    return Progress("chatcmpl-1", "tiny", {"PERSON": 1}, PLAN)


def test_at_first_nobody_has_been_sent_anything():
    receipt = running().receipt
    assert receipt["state"] == "running"
    assert receipt["sent"] == []
    assert [(part["host"], part["share_of_words"], part["state"]) for part in receipt["planned"]] == [
        ("alder", 0.5, "planned"),
        ("birch", 0.25, "planned"),
    ]
    assert (receipt["identifiers_found"], receipt["notices"]) == ({"PERSON": 1}, ["The directory is old."])


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (RingBuilt(0, "alder", ("g", "f"), ("g", "r"), 0.1), "ring_built"),
        (FragmentSent(0, "alder", 0.5, standby=False), "sent"),
        (FragmentText(0, "Dear"), "answering"),
        (FragmentDone(0, "alder", 9, 8, 70, 0.2), "answered"),
        (FragmentFailed(0, "it broke"), "failed"),
    ],
)
def test_each_step_is_told_of_its_fragment_alone(event: Event, state: str):
    progress = running()
    assert progress.on_event(event)
    assert [part["state"] for part in progress.receipt["planned"]] == [state, "planned"]


def test_only_the_first_word_of_an_answer_is_a_change():
    progress = running()
    assert progress.on_event(FragmentText(0, "Dear"))
    assert not progress.on_event(FragmentText(0, " Maria"))
    assert not progress.on_event(AnswerText("Dear Maria"))


@pytest.mark.parametrize(
    "taken_over",
    [FragmentRestarted(0, "alder", "cedar", "silent"), FragmentContinued(0, "alder", "cedar", "silent", 3)],
)
def test_a_host_that_failed_has_seen_its_fragment_all_the_same(taken_over: Event):
    progress = running()
    for event in (
        FragmentSent(0, "alder", 0.5, standby=False),
        taken_over,
        FragmentSent(0, "cedar", 0.5, standby=True),
    ):
        assert progress.on_event(event)
    assert [(host["host"], host["standby"]) for host in progress.receipt["sent"]] == [
        ("alder", False),
        ("cedar", True),
    ]
    assert progress.receipt["planned"][0]["host"] == "cedar"


def test_a_host_that_gets_two_fragments_is_told_once_with_what_it_has_by_then():
    progress = running()
    progress.on_event(FragmentSent(0, "alder", 0.5, standby=False))
    progress.on_event(FragmentSent(1, "alder", 0.75, standby=True))
    assert progress.receipt["sent"] == [
        {"host": "alder", "fragments": [0, 1], "standby": True, "share_of_words": 0.75}
    ]


def test_no_word_is_in_it():
    progress = running()
    for event in (FragmentText(0, "Dear Maria"), FragmentFailed(1, "the host said: Maria")):
        progress.on_event(event)
    assert not {"PERSON_K7", "Explain", "rain", "Maria", "Dear"} & set(
        json.dumps(progress.receipt).replace('"', " ").split()
    )


def test_what_broke_off_says_so():
    progress = running()
    progress.break_off()
    assert progress.receipt["state"] == "broken_off"
