"""A host that says something now and then: how long an answer is drawn out before the client leaves for another."""

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

import peernet.client.fragment as fragment_module
from inference.engine import Message
from inference.scripted import ScriptedEngine
from peernet.client.fragment import AttemptFailed, Outcome
from peernet.client.troubles import RingTroubles
from peernet.core.host_ranking import (
    NEXT_TOKEN_DEFAULT_S,
    RECENT_S,
    STRETCH_DEFAULT_S,
    STRETCH_FACTOR,
    STRETCH_FLOOR_S,
    STRETCH_TOKENS,
    HostStandings,
)
from peernet.core.serving import FromClient, Pay
from peernet.net.rings import RingChannel
from tests.exchange_in_memory import Client, Host, fund_here, hosts_of

TOKENS = 60


@pytest.fixture(autouse=True)
def _funded(monkeypatch: pytest.MonkeyPatch):
    fund_here(monkeypatch)
    with structlog.testing.capture_logs():
        yield


def answer(_: Sequence[Message]) -> str:
    return "word " * (TOKENS - 1) + "end."


async def left(client: Client, host: Host) -> AttemptFailed:
    with pytest.raises(AttemptFailed) as raised:
        await client.ask(host)
    return raised.value


async def test_a_host_that_gives_a_word_just_before_each_deadline_is_left_for_another(autojump_clock: object):
    drips = ScriptedEngine(answer, seconds_per_token=NEXT_TOKEN_DEFAULT_S - 1)
    async with hosts_of(drips, ScriptedEngine(answer)) as (client, (first, second)):
        began_s = trio.current_time()
        failure = await left(client, first)
        took_s = trio.current_time() - began_s
        assert str(failure) == "the host gave 4 tokens in 80 s"
        assert took_s == pytest.approx(NEXT_TOKEN_DEFAULT_S - 1 + STRETCH_DEFAULT_S, abs=0.1)
        troubles = RingTroubles()
        troubles.note(*failure.trouble)
        assert troubles.counters == {"host:slow": 1}
        assert troubles.peers == {first.choice.peer: 1}
        standing = client.standings._standings[first.choice.peer]
        assert (standing.doublings, standing.errors.at(trio.current_time())) == (1, pytest.approx(1.0))
        await client.ask(second)
        assert client.outcome.answer == client.shown == answer([])


async def test_words_that_are_no_tokens_draw_nothing_out(autojump_clock: object, monkeypatch: pytest.MonkeyPatch):
    async with hosts_of(ScriptedEngine(answer, seconds_per_token=NEXT_TOKEN_DEFAULT_S - 1)) as (client, (host,)):
        monkeypatch.setattr(ScriptedEngine, "answer_counter", lambda _: SimpleNamespace(feed=lambda _: 0))
        assert "gave 0 tokens in 80 s" in str(await left(client, host))


@pytest.mark.parametrize("paced", [False, True])
async def test_an_honest_host_that_is_slow_from_the_beginning_is_never_left(autojump_clock: object, paced: bool):
    async with hosts_of(ScriptedEngine(answer, seconds_per_token=4.5)) as (client, (host,)):
        if paced:
            client.paced()
        for _ in range(1 if paced else 3):
            client.outcome = Outcome()
            await client.ask(host)
            assert client.outcome.whole


async def test_a_host_that_gets_sixteen_times_as_much_to_do_is_not_left(autojump_clock: object):
    engine = ScriptedEngine(answer, seconds_per_token=0.1)
    async with hosts_of(engine) as (client, (host,)):
        await client.ask(host)
        client.outcome = Outcome()
        engine._seconds_per_token = 1.6
        await client.ask(host)
        assert client.outcome.whole


async def test_a_host_that_was_quick_is_left_sooner(autojump_clock: object):
    """A word each 2.5 s is within what a pause of a quick host may take, for ever."""
    engine = ScriptedEngine(answer, seconds_per_token=0.02)
    async with hosts_of(engine) as (client, (host,)):
        await client.ask(host)
        client.outcome = Outcome()
        engine._seconds_per_token = 2.5
        began_s = trio.current_time()
        assert (await left(client, host)).reason == "slow"
        assert trio.current_time() - began_s == pytest.approx(2.5 + STRETCH_FLOOR_S, abs=0.1)


async def test_how_long_the_client_itself_takes_is_not_counted(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    """The host was quick, and is nearly as slow now as a machine that screens for two seconds a word."""
    screen = fragment_module._Answer._screen

    async def slowly(answer_: Any, **which: Any) -> None:
        await trio.sleep(2.0)
        await screen(answer_, **which)

    # A host waits for a voucher no longer than for this many of these words.
    monkeypatch.setattr(fragment_module, "VOUCHER_EVERY_TOKENS", 4)
    engine = ScriptedEngine(lambda _: "word. " * TOKENS, seconds_per_token=0.02)
    async with hosts_of(engine) as (client, (host,)):
        await client.ask(host)
        assert client.standings.stretch_deadline_s(host.choice.peer, trio.current_time()) == STRETCH_FLOOR_S
        client.outcome = Outcome()
        monkeypatch.setattr(fragment_module._Answer, "_screen", slowly)
        engine._seconds_per_token = 2.1
        await client.ask(host)
        assert client.outcome.whole


async def test_a_host_that_does_not_take_what_it_is_paid_is_left(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    """Its window stays shut, and nothing else ends the ring."""
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        sends = RingChannel.send

        async def shut(ring: RingChannel, *messages: bytes) -> None:
            for message in messages:
                if isinstance(FromClient.decode(message), Pay):
                    await trio.sleep_forever()
                await sends(ring, message)

        ring = host.ring
        opened: list[RingChannel] = []

        async def ring_to(*of: Any) -> RingChannel:
            opened.append(await ring(*of))
            monkeypatch.setattr(opened[0], "send", partial(shut, opened[0]))
            return opened[0]

        monkeypatch.setattr(host, "ring", ring_to)
        failure = await left(client, host)
        assert str(failure) == f"the host gave 0 tokens in {STRETCH_DEFAULT_S:g} s"
        assert client.standings._standings[host.choice.peer].doublings == 1


def test_what_was_learned_long_ago_does_not_count():
    standings = HostStandings()
    standings.stretch("host", STRETCH_TOKENS, 1.0, 0.0)
    assert standings.stretch_deadline_s("host", RECENT_S) == STRETCH_FACTOR
    assert standings.stretch_deadline_s("host", RECENT_S + 1) == STRETCH_DEFAULT_S


def test_tokens_that_come_in_lumps_are_counted_as_what_they_are():
    standings = HostStandings()
    standings.stretch("host", 4 * STRETCH_TOKENS, 8.0, 0.0)
    assert standings.stretch_deadline_s("host", 0.0) == 2.0 * STRETCH_FACTOR


@given(seen=st.lists(st.tuples(st.booleans(), st.integers(16, 10**5), st.floats(0, 1e6)), max_size=40))
def test_whatever_a_host_does_its_stretches_stay_within_their_bounds(seen: list[tuple[bool, int, float]]):
    standings = HostStandings()
    for stalls, tokens, waited_s in seen:
        if stalls:
            standings.stalled("host", 0.0)
        else:
            standings.stretch("host", tokens, waited_s, 0.0)
    assert STRETCH_FLOOR_S <= standings.stretch_deadline_s("host", 0.0) <= STRETCH_DEFAULT_S
