"""A client's arcs that are ready, on a mock clock: when they are built, lent, used up, thrown away and replaced."""

import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import trio
import trio.testing

from peernet.client.arcs import ACTIVE_S, RETRY_S, ReadyArcs
from peernet.client.troubles import RingTroubles
from peernet.core.ring.paths import PathPeer, RingPath, TooFewRelays
from peernet.core.ring.warm import ARCS_A_WAY, LIFETIME_S, Way
from peernet.net.rings import RingFailed


def peer(name: str, operator: str = "") -> PathPeer:
    return PathPeer(name, (operator or name).encode(), frozenset({name}))


GUARD = peer("guard")
HOST = peer("host")


class FakeArc:
    """An arc as `ReadyArcs` has it."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.built_s = trio.current_time()
        self.closed_s: float | None = None
        self.failure: RingFailed | None = None
        self._over = trio.Event()

    async def stand_by(self) -> None:
        await self._over.wait()

    def close(self) -> None:
        self.closed_s = trio.current_time()
        self._over.set()

    def die(self) -> None:
        self.failure = RingFailed("it died", reason="lost", hop=0)
        self._over.set()


class World:
    """Relays, and what was asked of them."""

    def __init__(self, relays: int = 20, seed: int = 1) -> None:
        self.relays = [peer(f"relay {number}") for number in range(relays)]
        self.built: list[FakeArc] = []
        self.unusable: set[str] = set()
        self.unlisted: set[str] = set()
        self.tried_s: list[float] = []
        self.drawn_s: list[float] = []
        self.guards = [GUARD]
        self.random = random.Random(seed)
        self.troubles = RingTroubles()
        self.arcs = ReadyArcs(cast("Any", self.build), self.draw, self.stands, self.random, self.troubles)

    async def build(self, way: Way) -> FakeArc:
        self.tried_s.append(trio.current_time())
        await trio.sleep(0.01)
        if way[1].peer in self.unusable:
            raise RingFailed("the middle cannot be reached", reason="unreachable", hop=0)
        self.built.append(FakeArc(way))
        return self.built[-1]

    def draw(self, taken: Collection[PathPeer]) -> Sequence[Way]:
        self.drawn_s.append(trio.current_time())
        free = [relay for relay in self.relays if not relay.conflicts_with(taken)]
        if len(free) < 2:
            raise TooFewRelays(3, len(free), "private")
        guard = self.guards[len(self.drawn_s) % len(self.guards)]
        return [(guard, middle) for middle in self.random.sample(free, 2)]

    def stands(self, way: Way) -> bool:
        return not any(relay.peer in self.unlisted for relay in way)

    def standing(self) -> list[FakeArc]:
        return [arc for arc in self.built if arc.closed_s is None and arc.failure is None]


@asynccontextmanager
async def keeping(size: int = 4, **options: int) -> AsyncIterator[World]:
    world = World(**options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.arcs.run, size)
        await trio.sleep(5)
        yield world
        nursery.cancel_scope.cancel()
    assert world.arcs.arcs == 0
    assert world.standing() == []


def drawn(number: int = 0) -> RingPath:
    return RingPath((GUARD, peer(f"drawn out {number}")), (GUARD, peer(f"drawn back {number}")), HOST)


def middles(paths: Sequence[RingPath]) -> set[str]:
    return {arc[1].peer for path in paths for arc in (path.out, path.back)}


async def test_so_many_ways_are_ready_with_two_arcs_each_and_no_two_conflict(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        assert len(w.arcs.ways) == 4
        assert len(w.standing()) == w.arcs.arcs == 4 * ARCS_A_WAY
        assert len({way[1].peer for way in w.arcs.ways}) == 4
        # Nothing more is built until something is used or aged.
        await trio.sleep(LIFETIME_S[0] - 10)
        assert len(w.tried_s) == 4 * ARCS_A_WAY


async def test_a_request_is_lent_ways_and_nobody_else_is(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        first = w.arcs.lend([drawn()])
        second = w.arcs.lend([drawn()])
        assert len(middles(first)) == len(middles(second)) == 2
        assert not middles(first) & middles(second)
        assert not any(name.startswith("drawn") for name in middles(first) | middles(second))
        # All four are lent: what is drawn stays.
        assert w.arcs.lend([drawn()]) == [drawn()]


async def test_each_arc_is_given_once_and_only_to_who_was_lent_it(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        assert w.arcs.take(w.arcs.ways[0]) is None
        (path,) = w.arcs.lend([drawn()])
        given = [w.arcs.take(path.out) for _ in range(ARCS_A_WAY)]
        assert None not in given
        assert len({id(arc) for arc in given}) == ARCS_A_WAY
        assert w.arcs.take(path.out) is None
        assert w.arcs.take((GUARD, peer("another"))) is None
        assert w.troubles.counters["warm:used"] == ARCS_A_WAY
        for arc in given:
            assert arc is not None
            arc.close()


async def test_what_is_used_is_replaced_after_a_random_pause(autojump_clock: trio.testing.MockClock):
    pauses = []
    for seed in range(8):
        async with keeping(4, seed=seed) as w:
            before = len(w.built)
            w.arcs.lend([drawn()])
            began = trio.current_time()
            while len(w.built) == before:  # noqa: ASYNC110  (the mock clock jumps)
                await trio.sleep(0.05)
            pauses.append(round(trio.current_time() - began, 1))
            await trio.sleep(10)
            assert len(w.arcs.ways) == 4
    assert min(pauses) >= 0.5
    assert max(pauses) <= 4.2
    assert len(set(pauses)) > 4


async def test_arcs_go_at_random_ages_and_others_come(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        for _ in range(20):
            await trio.sleep(ACTIVE_S / 2)
            w.arcs.wake()
        ages = [arc.closed_s - arc.built_s for arc in w.built if arc.closed_s is not None]
        assert len(ages) > 40
        assert LIFETIME_S[0] - 1 <= min(ages) < LIFETIME_S[0] + 20
        assert LIFETIME_S[1] - 20 < max(ages) <= LIFETIME_S[1]
        assert len(w.arcs.ways) == 4


async def test_an_idle_client_builds_none_and_has_none_after_a_while(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        await trio.sleep(ACTIVE_S + LIFETIME_S[1])
        assert w.arcs.arcs == 0
        tries = len(w.tried_s)
        await trio.sleep(10 * ACTIVE_S)
        assert len(w.tried_s) == tries
        # The first request after that is built cold, and those behind it not.
        assert w.arcs.lend([drawn()]) == [drawn()]
        await trio.sleep(30)
        assert len(w.arcs.ways) == 4


async def test_a_way_that_conflicts_with_the_endpoint_is_thrown_away(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        first = w.arcs.ways[0]
        host = PathPeer("a host", first[1].operator, frozenset())
        (path,) = w.arcs.lend([RingPath(drawn().out, drawn().back, host)])
        assert first[1].peer not in middles([path])
        assert first not in w.arcs.ways
        assert all(arc.closed_s is not None for arc in w.built if arc.way == first)
        assert w.troubles.counters["warm:conflicting"] == ARCS_A_WAY


async def test_an_arc_that_dies_is_replaced_and_its_way_goes_with_it(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        dead = w.built[0]
        dead.die()
        await trio.testing.wait_all_tasks_blocked()
        assert dead.way not in w.arcs.ways
        assert not any(arc.way == dead.way for arc in w.standing())
        await trio.sleep(20)
        assert len(w.arcs.ways) == 4
        assert w.troubles.counters["warm:died"] == 2


async def test_a_way_whose_relay_has_left_the_directory_is_not_lent(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        gone = w.arcs.ways[0]
        w.unlisted.add(gone[1].peer)
        paths = w.arcs.lend([drawn(0)])
        assert gone[1].peer not in middles(paths)
        assert w.troubles.counters["warm:unlisted"] == ARCS_A_WAY
        assert not any(arc.way == gone for arc in w.standing())


async def test_a_way_that_is_lent_and_never_used_goes_as_it_ages(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        (path,) = w.arcs.lend([drawn()])
        await trio.sleep(LIFETIME_S[1])
        assert w.arcs.take(path.out) is None
        assert w.arcs.arcs == len(w.standing())


async def test_arcs_that_cannot_be_built_are_tried_ever_more_seldom(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        w.unusable = {relay.peer for relay in w.relays}
        w.arcs.lend([drawn(0), drawn(1)])
        tried = len(w.tried_s)
        await trio.sleep(ACTIVE_S - 10)
        times_s = w.tried_s[tried:]
        # Some 130, if nothing held it back.
        assert 4 <= len(times_s) <= 7
        assert w.troubles.counters["not_built:unreachable"] == len(times_s)


async def test_a_guard_that_loses_too_many_is_not_built_over(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        for _ in range(4):
            for arc in w.standing():
                arc.die()
            await trio.sleep(20)
        tries = len(w.tried_s)
        w.arcs.wake()
        await trio.sleep(100)
        assert len(w.tried_s) == tries
        assert w.arcs.lend([drawn()]) == [drawn()]


async def test_a_network_that_is_too_small_gets_as_many_as_it_has_and_more_once_there_are(
    autojump_clock: trio.testing.MockClock,
):
    async with keeping(6, relays=4) as w:
        await trio.sleep(LIFETIME_S[0] - 20)
        assert len(w.arcs.ways) == 4
        w.relays += [peer("newcomer 1"), peer("newcomer 2")]
        w.arcs.look_again()
        await trio.sleep(RETRY_S / 3)
        assert len(w.arcs.ways) == 6


def backing_off(times_s: Sequence[float], for_s: float) -> None:
    """Whether these tries, one after the other, come ever more seldom, to a bound."""
    pauses = [after_s - before_s for before_s, after_s in pairwise(times_s)]
    # Some 130 in 290 seconds, if nothing held them back, and four with the longest pause alone.
    assert for_s / RETRY_S <= len(times_s) < 20
    assert pauses[0] < RETRY_S / 2 < RETRY_S - 1 <= max(pauses) <= RETRY_S + 1


async def test_each_failure_doubles_the_pause_before_the_next_try_whoever_the_guard_is(
    autojump_clock: trio.testing.MockClock,
):
    async with keeping(4) as w:
        w.guards = [peer(f"guard {number}") for number in range(40)]  # none of them loses too many
        w.unusable = {relay.peer for relay in w.relays}
        w.arcs.lend([drawn(0), drawn(1)])
        tried = len(w.tried_s)
        await trio.sleep(ACTIVE_S - 10)
        backing_off(w.tried_s[tried:], ACTIVE_S - 10)


async def test_relays_that_are_too_few_are_looked_for_ever_more_seldom(autojump_clock: trio.testing.MockClock):
    async with keeping(4, relays=1) as w:
        await trio.sleep(ACTIVE_S - 10)
        backing_off(w.drawn_s, ACTIVE_S - 10)


async def test_news_of_relays_hurries_nobody_whom_it_was_not_relays_that_failed(
    autojump_clock: trio.testing.MockClock,
):
    async with keeping(4, relays=2) as w:
        w.relays += [peer(f"newcomer {number}") for number in range(20)]
        w.arcs.look_again()
        await trio.sleep(20)
        assert len(w.arcs.ways) == 4
        w.guards = [peer(f"guard {number}") for number in range(40)]
        w.unusable = {relay.peer for relay in w.relays}
        w.arcs.lend([drawn(0), drawn(1)])
        tried = len(w.tried_s)
        for _ in range(200):
            await trio.sleep(1)
            w.arcs.look_again()
        assert 4 <= len(w.tried_s) - tried < 16


async def test_nobody_who_runs_none_is_lent_any(autojump_clock: trio.testing.MockClock):
    world = World()
    assert world.arcs.lend([drawn()]) == [drawn()]
    assert world.arcs.take(drawn().out) is None


async def test_what_was_kept_is_lent_to_nobody_once_it_is_kept_no_more(autojump_clock: trio.testing.MockClock):
    async with keeping(4) as w:
        kept = w.arcs.ways[0]
    assert w.arcs.lend([drawn()]) == [drawn()]
    assert w.arcs.take(kept) is None
