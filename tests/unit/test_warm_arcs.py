"""Rings over arcs that were built ahead, on loopback sockets: relays spoil them, and none is left behind."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import structlog
import trio

from peernet.core.ring.cells import CELL_SIZE
from peernet.core.ring.ring import BACK, OUT
from peernet.net.rings import RingFailed, RingLimits, WarmArc, open_ring, warm_arc
from peernet.net.streams import PeerStream
from peernet.node.peer import Peer
from tests.unit.test_ring_service import SUITE, World, dead_hop, hop, until, world


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Ahead:
    """A world with both arcs of a ring built ahead."""

    def __init__(self, w: World, nursery: trio.Nursery) -> None:
        self.w = w
        self._nursery = nursery
        self.arcs: dict[int, WarmArc] = {}

    async def build(self) -> None:
        for arc, middle in ((OUT, self.w.forward), (BACK, self.w.backward)):
            self.arcs[arc] = await warm_arc(self.w.client, SUITE, [hop(self.w.guard), hop(middle)], timeout_s=5)
            self._nursery.start_soon(self.arcs[arc].stand_by)
        await trio.testing.wait_all_tasks_blocked()

    async def open(self, timeout_s: float = 5.0, out=None, service: str = "echo"):
        return await open_ring(
            self.w.client, SUITE, out or self.w.out, self.w.back, service, timeout_s=timeout_s, warm=self.arcs
        )

    async def carries(self) -> None:
        """A ring over them works, and is ended."""
        ring = await self.open()
        await ring.send(b"hello")
        with trio.fail_after(5):
            assert await ring.receive() == b"hello"
        ring.end()
        await ring.finished.wait()


@asynccontextmanager
async def ahead(limits: RingLimits | None = None) -> AsyncIterator[Ahead]:
    async with world(limits) as w, trio.open_nursery() as nursery:
        built = Ahead(w, nursery)
        await built.build()
        yield built
        for arc in built.arcs.values():
            arc.close()
        nursery.cancel_scope.cancel()


async def test_a_ring_goes_over_arcs_that_were_built_ahead_and_leaves_nothing():
    async with ahead() as a:
        assert a.w.endpoint.rings.legs == 0
        assert (a.w.guard.rings.legs, a.w.forward.rings.legs, a.w.backward.rings.legs) == (2, 1, 1)
        forwarded = a.w.guard.rings.counters["forwarded"]
        await a.carries()
        # The guard was asked for nothing more.
        assert a.w.guard.rings.counters["forwarded"] == forwarded == 2
        assert [arc.failure for arc in a.arcs.values()] == [None, None]
        await a.w.wait_until_nothing_is_left()


async def test_an_arc_is_used_once():
    async with ahead() as a:
        await a.carries()
        assert [await arc.claim() for arc in a.arcs.values()] == [None, None]
        # A second ring over them is built cold.
        await a.carries()
        assert a.w.guard.rings.counters["forwarded"] == 4
        await a.w.wait_until_nothing_is_left()


@pytest.mark.parametrize("name", ["guard", "forward"])
async def test_an_arc_that_ends_while_it_stands_by_is_noticed_and_the_ring_is_built_cold(name: str):
    async with ahead() as a:
        gone: Peer = getattr(a.w, name)
        for connection in list(gone.swarm.connections.values()):
            connection.close()
        await until(lambda: a.arcs[OUT].failure is not None)
        failure = a.arcs[OUT].failure
        assert failure is not None
        assert failure.hop == 0
        assert failure.reason == ("broken" if name == "guard" else "lost")
        assert await a.arcs[OUT].claim() is None
        await a.carries()
        await a.w.wait_until_nothing_is_left()


@contextmanager
def garbling(peer: Peer) -> Iterator[None]:
    """The peer's next bytes to its neighbours are garbage."""
    streams = [stream for c in peer.swarm.connections.values() for stream in c._streams.values()]
    for stream in streams:
        stream._outbox.send(stream.stream_id, b"g" * CELL_SIZE)
    yield


async def test_a_cell_that_nothing_had_asked_for_spoils_an_arc():
    async with ahead() as a:
        with garbling(a.w.guard):
            await until(lambda: all(arc.failure is not None for arc in a.arcs.values()))
        assert {arc.failure.reason for arc in a.arcs.values() if arc.failure} == {"bad_cell"}
        await a.carries()
        await a.w.wait_until_nothing_is_left()


async def test_an_arc_that_gives_no_answer_is_built_cold_in_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch):
    async with ahead() as a:
        # Nothing that comes over this leg reaches the middle any more, and nobody closes it.
        (deaf,) = [stream for c in a.w.forward.swarm.connections.values() for stream in c._streams.values()]
        heard = PeerStream.on_data
        monkeypatch.setattr(PeerStream, "on_data", lambda self, data: None if self is deaf else heard(self, data))
        began = trio.current_time()
        ring = await a.open(timeout_s=1.0)
        assert 0.5 <= trio.current_time() - began < 1.0
        failure = a.arcs[OUT].failure
        assert failure is not None
        assert failure.reason == "timeout"
        await ring.send(b"hello")
        assert await ring.receive() == b"hello"
        ring.end()
        await ring.finished.wait()
        await until(lambda: not a.w.guard.rings.legs)


async def test_an_endpoint_that_cannot_be_reached_is_not_asked_for_twice():
    async with ahead() as a:
        with pytest.raises(RingFailed) as raised:
            await a.open(out=[*a.w.out[:2], dead_hop()])
        error = raised.value
        assert (error.arc, error.hop, error.reason) == (OUT, 1, "unreachable")
        assert a.w.guard.rings.counters["forwarded"] == 2
        assert a.arcs[OUT].failure is None
        await a.w.wait_until_nothing_is_left()


async def test_arcs_are_used_up_by_a_ring_that_nobody_waited_for():
    async with ahead() as a:
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.open()
        assert [await arc.claim() for arc in a.arcs.values()] == [None, None]
        await a.w.wait_until_nothing_is_left()


async def test_an_arc_that_is_closed_or_whose_task_is_cancelled_leaves_nothing():
    async with world() as w, trio.open_nursery() as nursery:
        one = await warm_arc(w.client, SUITE, w.out[:2], timeout_s=5)
        nursery.start_soon(one.stand_by)
        async with trio.open_nursery() as inner:
            two = await warm_arc(w.client, SUITE, w.back[:2], timeout_s=5)
            inner.start_soon(two.stand_by)
            await trio.testing.wait_all_tasks_blocked()
            assert w.guard.rings.legs == 2
            inner.cancel_scope.cancel()
        one.close()
        await w.wait_until_nothing_is_left()
        assert one.failure is two.failure is None


async def test_an_arc_that_cannot_be_built_leaves_nothing():
    async with world(RingLimits(build_timeout_s=0.3)) as w:
        for relays, timeout_s, reason in (
            ([hop(w.guard), dead_hop()], 5.0, "unreachable"),
            ([dead_hop(), hop(w.forward)], 5.0, "unreachable"),
            ([hop(w.guard), hop(w.endpoint), hop(w.forward)], 5.0, "no_relay"),
            (w.out[:2], 0.0, "timeout"),
        ):
            with pytest.raises(RingFailed) as raised:
                await warm_arc(w.client, SUITE, relays, timeout_s=timeout_s)
            assert raised.value.reason == reason
        await w.wait_until_nothing_is_left()


async def test_an_arc_may_stand_by_for_longer_than_its_first_word_may_take_and_not_for_ever():
    async with ahead(RingLimits(command_timeout_s=0.2, standby_timeout_s=0.6)) as a:
        await trio.sleep(0.3)
        assert [arc.failure for arc in a.arcs.values()] == [None, None]
        await until(lambda: all(arc.failure is not None for arc in a.arcs.values()))
        assert a.w.forward.rings.counters["no_command"] == a.w.backward.rings.counters["no_command"] == 1
        await a.w.wait_until_nothing_is_left()


async def test_a_client_that_builds_arcs_and_never_uses_them_has_so_many_and_no_more():
    async with world(RingLimits(legs_per_neighbour=3, standby_timeout_s=0.5)) as w:
        arcs = [await warm_arc(w.client, SUITE, w.out[:2], timeout_s=5) for _ in range(3)]
        with pytest.raises(RingFailed) as raised:
            await warm_arc(w.client, SUITE, w.out[:2], timeout_s=5)
        assert (raised.value.hop, raised.value.reason) == (0, "closed")
        assert w.guard.rings.counters["leg_refused"] == 1
        # Others have room meanwhile, and after a while so has everybody.
        assert w.guard.rings.legs == w.forward.rings.legs == 3
        await until(lambda: w.guard.rings.legs == w.forward.rings.legs == 0)
        assert w.forward.rings.counters["no_command"] == 3
        ring = await w.open()
        ring.end()
        for arc in arcs:
            arc.close()
        await w.wait_until_nothing_is_left()


async def test_a_relay_that_is_about_to_end_does_not_wait_for_arcs_that_stand_by():
    async with ahead() as a:
        with trio.fail_after(3):
            assert await a.w.forward.swarm.drain()
        await until(lambda: a.arcs[OUT].failure is not None)
        assert a.arcs[BACK].failure is None
