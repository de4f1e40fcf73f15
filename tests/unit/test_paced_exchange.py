"""A paced ring between the real client and the real host: what a middle sees, and what the two get of it."""

import math

import pytest
import structlog

from peernet.core import host_ranking
from peernet.core.ring.pacing import CLIENT, ENDPOINT
from peernet.node.config import HostConfig
from tests.watched_rings import Engine, Watched, ask

CLASS_S = (ENDPOINT.total[0] - 1) * ENDPOINT.interval_s


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def of_the_smallest_class() -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """What the middles of the two arcs see, from the cadence alone."""
    later = int(CLASS_S / CLIENT.interval_s)
    out = [(0.0, 1)] * CLIENT.burst[0] + [(round(n * CLIENT.interval_s, 6), 1) for n in range(1, later + 1)]
    back = [(round(n * ENDPOINT.interval_s, 6), -1) for n in range(ENDPOINT.total[0])]
    return out, back


def seen(watched: Watched) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    return watched.times(watched.ring.out), watched.times(watched.ring.back)


@pytest.mark.parametrize(("tokens", "seconds_per_token"), [(1, 0.0), (90, 0.04), (180, 0.05), (200, 0.0)])
async def test_answers_and_requests_of_one_class_look_the_same_to_the_middles(
    autojump_clock: object, tokens: int, seconds_per_token: float
):
    engine = Engine(tokens, seconds_per_token=seconds_per_token)
    watched = await ask(engine, paced=True, text="why? " * tokens)
    assert watched.failure is None
    assert watched.outcome.whole
    assert watched.outcome.answer.split() == ["answer"] * tokens
    assert watched.outcome.receipt_index is not None
    assert seen(watched) == of_the_smallest_class()
    # Who asked does not wait for the class to be full.
    assert watched.answered_s < tokens * seconds_per_token + tokens / 16 * 0.4 + 1.0


async def test_without_a_cadence_they_look_different(autojump_clock: object):
    short, long = [await ask(Engine(tokens, seconds_per_token=0.04), paced=False) for tokens in (10, 90)]
    assert len(long.ring.back) >= len(short.ring.back) + 80


async def test_an_answer_over_the_class_fills_the_next(autojump_clock: object):
    watched = await ask(Engine(230, seconds_per_token=0.05), paced=True)
    assert watched.outcome.whole
    assert len(watched.ring.back) == ENDPOINT.total[1]


async def test_an_engine_that_stalls_is_left_and_the_ring_does_not_show_it(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(host_ranking, "NEXT_TOKEN_DEFAULT_S", 3.0)
    engine = Engine(100, seconds_per_token=0.04, stall_after=20)
    watched = await ask(engine, paced=True)
    assert "silent for 3 s" in str(watched.failure)
    assert watched.outcome.answer.split() == ["answer"] * 20
    assert watched.answered_s < 5.0
    # The host was told, and let the engine go.
    assert engine.closed_s < watched.answered_s + 0.2
    assert seen(watched) == of_the_smallest_class()


async def test_a_client_that_gives_up_in_the_middle_stops_the_engine_and_does_not_show_it(autojump_clock: object):
    for gives_up_s in (0.1, 0.5, 1.7, 9.9):
        engine = Engine(240, seconds_per_token=0.05)
        watched = await ask(engine, paced=True, gives_up_s=gives_up_s)
        assert watched.answered_s == pytest.approx(gives_up_s)
        assert gives_up_s <= engine.closed_s - (watched.ring.out[0][0] - CLIENT.lead_s) <= gives_up_s + 0.2
        assert seen(watched) == of_the_smallest_class()


async def test_a_client_that_gives_up_before_anything_left_ends_its_ring_at_once(autojump_clock: object):
    engine = Engine(240)
    watched = await ask(engine, paced=True, gives_up_s=CLIENT.lead_s / 2)
    assert len(watched.ring.out) == 1
    assert watched.ring.ended_s == pytest.approx(watched.answered_s)
    assert math.isnan(engine.closed_s)  # nothing was ever generated


async def test_a_host_that_is_not_to_serve_at_a_cadence_is_told_nothing(autojump_clock: object):
    watched = await ask(Engine(5), paced=True, config=HostConfig(paced=False))
    assert watched.failure is not None
    assert (watched.failure.reason, watched.failure.final) == ("not_paced", False)
    assert watched.failure.peer is not None
    assert watched.ring.out == []
    assert (await ask(Engine(5), paced=False, config=HostConfig(paced=False))).outcome.whole
