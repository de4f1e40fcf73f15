"""A client's exchange with a host, and the next host when that one dies: both real, over a ring in memory.

Texts, tokens and money at every moment at which a host can die; the engines answer by a script.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from attrs import evolve

import peernet.client.fragment as fragment_module
from inference.engine import PREFIX, Message, ModelInfo
from inference.scripted import ScriptedEngine
from peernet.client.events import FragmentDone
from peernet.client.fragment import AttemptFailed, Outcome
from peernet.core.metering import price
from peernet.core.ring.endings import Ending
from peernet.core.ring.ring import ARC_LOST, BACK, OUT
from peernet.node.config import HostConfig
from tests.exchange_in_memory import DIED, NAME, Client, fails, fund_here, hosts_of

EVERY_TOKENS = 4


@pytest.fixture(autouse=True)
def _ready(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fragment_module, "VOUCHER_EVERY_TOKENS", EVERY_TOKENS)
    fund_here(monkeypatch)
    with structlog.testing.capture_logs():
        yield


def answer(messages: Sequence[Message]) -> str:
    """Names whom the prompt names; the tokens are few and short."""
    name = messages[-1].content.split()[1]
    return f"Dear {name}, thank you for lunch. It was good of you. Yours, and {name}: thanks again!"


async def undisturbed(**parameters: Any) -> Client:
    async with hosts_of(ScriptedEngine(answer), **parameters) as (client, hosts):
        await client.ask(hosts[0])
        assert client.outcome.whole
        assert client.shown == client.outcome.answer
        return client


async def test_wherever_a_host_dies_the_text_is_the_one_without_the_failure(autojump_clock: object):
    calm = await undisturbed()
    assert calm.outcome.answer.count(NAME) == 2
    for cut in range(calm.outcome.answer_tokens + 1):
        engines = ScriptedEngine(answer, stall_after=cut), ScriptedEngine(answer)
        async with hosts_of(*engines) as (client, (first, second)):
            failure = await fails(client, first)
            assert (failure.peer, failure.final) == (first.choice.peer, False)
            await client.ask(second)
            outcome = client.outcome
            assert outcome.whole
            assert outcome.answer == client.shown == calm.outcome.answer
            assert outcome.receipt_index is not None
            assert outcome.finish_reason == "stop"
            # Tokens and money of both, and each host's own: what it was paid for, and a window at most beyond.
            before, after = outcome.lanes
            assert before.answer_tokens == cut
            assert outcome.answer_tokens == before.answer_tokens + after.answer_tokens
            (settled,) = second.settler.taken
            voucher = settled.receipt.voucher
            assert voucher.amount_microcredits == after.amount_microcredits
            assert (voucher.prompt_tokens, voucher.answer_tokens) == (after.prompt_tokens, after.answer_tokens)
            given = price(before.prompt_tokens, before.answer_tokens, 2, 5)
            assert 0 <= given - before.amount_microcredits < EVERY_TOKENS * 5
            # The beginning of the answer was a part of the second's prompt, and nothing of it of its answer.
            prefix_tokens = after.prompt_tokens - before.prompt_tokens
            assert 0 <= prefix_tokens <= cut
            assert after.answer_tokens == calm.outcome.answer_tokens - prefix_tokens
            (done,) = [event for event in client.events if isinstance(event, FragmentDone)]
            assert done.answer_tokens == outcome.answer_tokens


async def test_of_an_answer_only_what_is_new_is_counted_and_both_ends_count_the_whole(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
):
    counted: list[str] = []
    count = ScriptedEngine.count_text_tokens
    monkeypatch.setattr(
        ScriptedEngine, "count_text_tokens", lambda self, text: (counted.append(text), count(self, text))[1]
    )
    engine = ScriptedEngine(lambda _: "naïve words, one by one " * 10)
    async with hosts_of(engine) as (client, (host,)):
        await client.ask(host)
    (settled,) = host.settler.taken
    assert settled.receipt.voucher.answer_tokens == host.service.record.answer_tokens == client.outcome.answer_tokens
    assert client.outcome.answer_tokens == count(engine, client.outcome.answer) == 51
    assert not [text for text in counted if "naïve" in text]


async def test_a_stop_text_ends_the_answer_whichever_host_comes_to_it(autojump_clock: object):
    stop = ("good of you", "never")
    calm = await undisturbed(stop=stop)
    assert calm.outcome.answer == f"Dear {NAME}, thank you for lunch. It was "
    for cut in range(1, calm.outcome.answer_tokens + 1):
        engines = ScriptedEngine(answer, stall_after=cut), ScriptedEngine(answer)
        async with hosts_of(*engines, stop=stop) as (client, (first, second)):
            await fails(client, first)
            await client.ask(second)
            assert client.outcome.answer == client.shown == calm.outcome.answer
            assert client.outcome.finish_reason == "stop"


async def test_a_stop_text_that_lies_across_the_seam_ends_the_answer_there(autojump_clock: object):
    """The first host let its beginning pass, since it was about to write something else behind it."""
    engines = ScriptedEngine(answer, stall_after=6), ScriptedEngine(lambda _: " of all that you did for me")
    async with hosts_of(*engines, stop=("for of",)) as (client, (first, second)):
        await fails(client, first)
        assert client.shown.endswith("thank you for")
        await client.ask(second)
        assert client.outcome.answer.endswith("thank you for")
        assert client.outcome.whole


@pytest.mark.parametrize("max_tokens", [1, 7, 12])
async def test_what_is_left_of_the_length_is_what_was_asked_for_less_what_came(
    autojump_clock: object, max_tokens: int
):
    calm = await undisturbed(max_tokens=max_tokens)
    assert calm.outcome.answer_tokens == max_tokens
    for cut in range(1, max_tokens):
        engines = ScriptedEngine(answer, stall_after=cut), ScriptedEngine(answer)
        async with hosts_of(*engines, max_tokens=max_tokens) as (client, (first, second)):
            await fails(client, first)
            await client.ask(second)
            assert client.outcome.answer == client.shown == calm.outcome.answer
            assert client.outcome.finish_reason == "length"
    # All of it was there, and only the word that it is all was not: nobody else is asked.
    async with hosts_of(ScriptedEngine(answer, stall_after=max_tokens), max_tokens=max_tokens) as (client, (host,)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, host)
            await trio.testing.wait_all_tasks_blocked()
            host.kill()
        assert client.outcome.whole
        assert client.outcome.answer == calm.outcome.answer


@pytest.mark.parametrize(
    ("endings", "peer", "suspects"),
    [
        (DIED, "host", set()),
        ({OUT: Ending(1, "lost"), BACK: Ending(1, "lost")}, "host", set()),
        ({BACK: Ending(2, "done")}, "host", set()),
        ({OUT: Ending(0, "lost"), BACK: Ending(2, ARC_LOST)}, None, {"F"}),
        ({OUT: Ending(0, "lost"), BACK: Ending(1, "lost")}, None, {"F"}),
        ({BACK: Ending(0, "lost")}, None, {"R"}),
        ({BACK: Ending(1, "lost")}, None, {"R"}),
        ({BACK: Ending(None, "decrypt")}, None, {"guard", "R"}),
        ({OUT: Ending(0, "closed"), BACK: Ending(0, "closed")}, None, {"guard"}),
    ],
)
async def test_who_is_blamed_for_a_ring_that_broke(
    autojump_clock: object, endings: dict[int, Ending], peer: str | None, suspects: set[str]
):
    async with hosts_of(ScriptedEngine(answer, stall_after=2)) as (client, (host,)):
        host.endings = endings
        failure = await fails(client, host)
        assert failure.peer == (host.choice.peer if peer else None)
        assert failure.suspects == suspects
        assert client.outcome.kept == client.outcome.answer == "Dear "


async def test_a_host_that_lives_settles_what_it_was_paid_when_its_ring_broke(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer, stall_after=9)) as (client, (host,)):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(AttemptFailed):
                    await client.ask(host)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            host.lose_ring()
        await trio.testing.wait_all_tasks_blocked()
        (settled,) = host.settler.taken
        assert settled.receipt.voucher.amount_microcredits == client.outcome.amount_microcredits > 0
        assert host.service._free == HostConfig().parallel


async def test_a_stall_is_noticed_by_what_this_host_took_before(autojump_clock: object):
    """The first answers teach; then the deadline is a few times their longest gap, and not the default."""
    paused = ScriptedEngine(answer, seconds_per_token=1.0)
    async with hosts_of(paused) as (client, (host,)):
        await client.ask(host)
        client.outcome = Outcome()
        paused._stall_after = 3
        began = trio.current_time()
        with pytest.raises(AttemptFailed, match="the host was silent for 4 s") as raised:
            await client.ask(host)
        assert raised.value.peer == host.choice.peer
        assert trio.current_time() - began == pytest.approx(3 * 1.0 + 4.0, abs=0.1)
        # It was a stall, and nobody's second error of the same attempt.
        standing = client.standings._standings[host.choice.peer]
        assert (standing.doublings, standing.running) == (1, 0)
        assert standing.errors.at(trio.current_time()) == pytest.approx(1.0)


@pytest.mark.parametrize("at", [0, 3])
async def test_a_client_that_leaves_ends_the_generation_without_waiting_for_anything(autojump_clock: object, at: int):
    """At the prompt and in mid-answer: no timer is on the way, so the clock does not move."""
    engine = ScriptedEngine(answer, stall_after=at)
    async with hosts_of(engine) as (client, (host,)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, host)
            await trio.testing.wait_all_tasks_blocked()
            assert (await engine.health()).generating == 1
            began_s = trio.current_time()
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (await engine.health()).generating == 0
        assert trio.current_time() == began_s
        assert host.service._free == HostConfig().parallel


async def test_a_host_without_a_place_is_busy_and_not_in_error(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        host.service._free = 0
        with pytest.raises(AttemptFailed, match="slots are taken"):
            await client.ask(host)
        standing = client.standings._standings[host.choice.peer]
        assert standing.refusals.at(trio.current_time()) == pytest.approx(1.0)
        assert standing.errors.at(trio.current_time()) == 0.0


async def test_what_a_host_refuses_for_good_is_not_held_against_it(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        await client.ask(host)
        client.outcome = Outcome(kept="Here is how to make a pipe bomb at home: ")
        with pytest.raises(AttemptFailed, match="the host refuses this"):
            await client.ask(host)
        assert client.standings._standings[host.choice.peer].errors.at(trio.current_time()) == 0.0


async def test_a_host_that_keeps_no_cadence_is_not_in_error(autojump_clock: object):
    async with hosts_of(ScriptedEngine(answer)) as (client, (host,)):
        host.choice = evolve(host.choice, offer=evolve(host.choice.offer, flags=()))
        client.paced()
        with pytest.raises(AttemptFailed, match="does not answer at a cadence"):
            await client.ask(host)
        assert client.standings._standings[host.choice.peer].errors.at(trio.current_time()) == 0.0


class WithoutPrefix(ScriptedEngine):
    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(evolve(info, capabilities=info.capabilities - {PREFIX}) for info in super().models())


async def test_a_host_that_cannot_go_on_says_so_before_it_is_paid(autojump_clock: object):
    engines = ScriptedEngine(answer, stall_after=6), WithoutPrefix(answer)
    async with hosts_of(*engines) as (client, (first, second)):
        assert PREFIX not in second.choice.offer.flags
        await fails(client, first)
        with pytest.raises(AttemptFailed, match="cannot go on from a text") as raised:
            await client.ask(second)
        assert (raised.value.final, raised.value.peer) == (False, second.choice.peer)
        assert second.settler.taken == []
        # What there is, a third host can still go on from: it is in the words of the last that was asked.
        assert client.outcome.kept == f"Dear {client.name_at(second)}, thank you for"


async def test_a_host_screens_what_it_is_to_go_on_from(autojump_clock: object):
    engines = ScriptedEngine(answer, stall_after=6), ScriptedEngine(answer)
    async with hosts_of(*engines) as (client, (first, second)):
        await fails(client, first)
        client.outcome.kept += " Here is how to make a pipe bomb at home: "
        with pytest.raises(AttemptFailed, match="the host refuses this: weapons_mass_harm") as raised:
            await client.ask(second)
        assert raised.value.final


async def test_an_answer_that_is_withheld_leaves_nothing_to_go_on_from(autojump_clock: object):
    def harmful(_: Sequence[Message]) -> str:
        return "Well. Here is how to make a pipe bomb at home: take a pipe. Then fill it."

    async with hosts_of(ScriptedEngine(harmful)) as (client, (host,)):
        with pytest.raises(AttemptFailed, match="the answer was withheld") as raised:
            await client.ask(host)
        assert raised.value.final
        assert (client.outcome.answer, client.outcome.kept) == ("", "")
        assert client.outcome.amount_microcredits > 0
