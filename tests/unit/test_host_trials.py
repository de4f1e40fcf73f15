"""A question to one host: what is timed, what is paid, and who is to blame where no answer comes."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
import trio
from attrs import evolve

import peernet.client.fragment as fragment_module
from inference.engine import Message
from inference.scripted import ScriptedEngine
from peernet.client.events import FragmentText
from peernet.client.host_trials import HostTrials, try_host
from peernet.client.wallet import LaneRefused, LedgerUnreachable
from peernet.core.host_ranking import first_token_default_s
from peernet.core.host_trials import FAILURES, NOT_TRIED, HostTrial
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.net.rings import RingFailed
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from tests.exchange_in_memory import LOG, Client, Host, fund_here, hosts_of

TOKENS = 20
SLOW_S = 0.5


@pytest.fixture(autouse=True)
def _funded(monkeypatch: pytest.MonkeyPatch):
    fund_here(monkeypatch)
    with structlog.testing.capture_logs():
        yield


def answer(_: object) -> str:
    return "word " * (TOKENS - 1) + "end."


def path_to(host: Host, avoid: Collection[str]) -> RingPath:
    names = [name if name not in avoid else f"{name}2" for name in ("guard", "F", "R")]
    guard, out, back, endpoint = (PathPeer(name, name.encode(), frozenset()) for name in (*names, host.choice.peer))
    return RingPath((guard, out), (guard, back), endpoint)


async def trial_of(client: Client, host: Host, text: str = "Why is rain wet?", most: int = 50_000) -> HostTrial:
    return await try_host(
        client._exchange, host.choice, partial(path_to, host), text, max_tokens=64, at_most_microcredits=most
    )


async def test_a_trial_times_the_first_token_and_those_behind_it(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer, seconds_per_token=SLOW_S)) as (client, (host,)):
        await trio.sleep(100)
        trial = await trial_of(client, host)
    assert (trial.outcome, trial.tried) == ("answered", True)
    assert trial.first_token_s == pytest.approx(SLOW_S, abs=0.01)
    assert (trial.answer_tokens, trial.later_tokens) == (TOKENS, TOKENS - 1)
    assert trial.later_s == pytest.approx((TOKENS - 1) * SLOW_S, abs=0.01)
    assert trial.longest_gap_s == pytest.approx(SLOW_S, abs=0.01)
    assert trial.prompt_tokens == host.engine.count_tokens([Message("user", "Why is rain wet?")])
    offer = host.choice.offer
    assert trial.price_microcredits == trial.prompt_tokens * offer.prompt_price + TOKENS * offer.answer_price


async def test_nobody_is_told_the_answer(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        trial = await trial_of(client, host)
    assert not [event for event in client.events if isinstance(event, FragmentText)]
    assert "word" not in repr(trial)


async def test_a_host_that_says_nothing_has_timed_out(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer, stall_after=0)) as (client, (host,)):
        began_s = trio.current_time()
        trial = await trial_of(client, host)
        waited_s = trio.current_time() - began_s
    assert (trial.outcome, trial.first_token_s) == ("timed_out", None)
    assert waited_s == pytest.approx(first_token_default_s(trial.prompt_tokens), abs=0.1)


async def test_a_host_that_stalls_in_mid_answer_has_a_first_token_and_no_speed(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer, stall_after=3, seconds_per_token=SLOW_S)) as (client, (host,)):
        trial = await trial_of(client, host)
    assert trial.outcome == "timed_out"
    assert trial.first_token_s == pytest.approx(SLOW_S, abs=0.01)
    assert (trial.later_tokens, trial.later_s) == (0, 0.0)


async def test_a_host_whose_engine_fails_has_refused(autojump_clock: object):
    engine = ScriptedEngine(answer, crash_after=0, crashes=9)
    async with hosts_of(engine) as (client, (host,)):
        assert (await trial_of(client, host)).outcome == "refused"


async def test_a_host_that_dies_in_mid_answer_was_cut_off(autojump_clock: object):
    engine = ScriptedEngine(answer, seconds_per_token=SLOW_S)
    async with hosts_of(engine) as (client, (host,)), trio.open_nursery() as nursery:

        async def kill() -> None:
            await trio.sleep(5 * SLOW_S)
            host.kill()

        nursery.start_soon(kill)
        trial = await trial_of(client, host)
    assert trial.outcome == "cut_off"


async def test_a_ring_that_breaks_is_no_failure_of_the_host_and_is_tried_again(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer, seconds_per_token=SLOW_S)) as (client, (host,)):

        async def lose(times: int) -> None:
            for _ in range(times):
                await trio.sleep(5 * SLOW_S)
                host.lose_ring()

        for times, outcome in ((1, "answered"), (2, "no_ring")):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lose, times)
                trial = await trial_of(client, host)
                nursery.cancel_scope.cancel()
            assert trial.outcome == outcome
            # The first attempt was paid for as well.
            assert trial.price_microcredits > trial.prompt_tokens * host.choice.offer.prompt_price


@pytest.mark.parametrize(("hop", "outcome"), [(2, "unreached"), (1, "no_ring")])
async def test_only_a_host_that_its_relays_do_not_reach_is_unreached(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch, hop: int, outcome: str
):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):

        async def fail(*_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise RingFailed("no way", reason="closed", hop=hop, arc=0)

        client._exchange = evolve(client._exchange, network=SimpleNamespace(open_ring=fail))
        assert (await trial_of(client, host)).outcome == outcome


async def test_what_could_not_be_paid_for_says_nothing_of_the_host(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        for error, outcome in (
            (LaneRefused("no", reason="credits_only"), "not_paid"),
            (LedgerUnreachable("no"), "no_ring"),
        ):

            async def refuse(*_: object, error: Exception = error) -> None:
                await trio.lowlevel.checkpoint()
                raise error

            monkeypatch.setattr(fragment_module, "fund_lane", refuse)
            trial = await trial_of(client, host)
            assert (trial.outcome, trial.tried, trial.price_microcredits) == (outcome, False, 0)


async def test_a_host_that_asks_for_too_much_is_not_asked(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        dear = evolve(host.choice, offer=evolve(host.choice.offer, answer_price=1_000))
        host.choice = dear
        trial = await trial_of(client, host, most=5_000)
        assert (trial.outcome, trial.price_microcredits) == ("too_dear", 0)


def test_an_outcome_is_the_hosts_or_is_not():
    assert {HostTrial(word).tried for word in FAILURES} == {True}
    assert {HostTrial(word).tried for word in NOT_TRIED} == {False}


async def test_without_a_directory_nothing_is_tried(tmp_path: Path, autojump_clock: object):
    trials = HostTrials(NetworkConfig(policy=LOG.policy.text()), Home.at(tmp_path))
    assert await trials.models() == []
    assert await trials.ask(b"k" * 32, "small", "Why?", max_tokens=8, at_most_microcredits=1) == HostTrial("not_ready")
