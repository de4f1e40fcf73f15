"""Paced rings over loopback sockets and real relays, on the machine's clock; the cadence is a fast one here."""

from collections.abc import Sequence

import pytest
import structlog
import trio
import trio.testing
from attrs import evolve

from peernet.core.ring import pacing
from peernet.net.rings import RingChannel, RingFailed
from peernet.net.rings.channel import FAREWELL_S
from tests.unit.test_ring_service import SilentLeg, echo, world

INTERVAL_S = 0.004


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pacing, "CLIENT", evolve(pacing.CLIENT, interval_s=2 * INTERVAL_S, burst=(4, 64)))
    monkeypatch.setattr(pacing, "ENDPOINT", evolve(pacing.ENDPOINT, interval_s=INTERVAL_S, total=(64, 256)))
    with structlog.testing.capture_logs():
        yield


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells each endpoint of a ring sent, up to the end."""
    counts: list[int] = []
    cells_to_send = pacing.PacedEnd.cells_to_send

    def count(end: pacing.PacedEnd, now_s: float = 0.0) -> Sequence[object]:
        cells = cells_to_send(end, now_s)
        if not end._client and end.over:
            counts.append(end._sender._sent)
        return cells

    monkeypatch.setattr(pacing.PacedEnd, "cells_to_send", count)
    return counts


async def read_all(ring: RingChannel) -> list[bytes]:
    found = []
    while (message := await ring.receive()) is not None:
        found.append(message)
    return found


async def test_a_ring_carries_what_is_said_and_ends_at_a_boundary(monkeypatch: pytest.MonkeyPatch):
    counts = counted(monkeypatch)
    messages = [bytes([number]) * 3000 for number in range(8)]

    async def answer(ring: RingChannel) -> None:
        for _ in messages:
            await ring.send(await ring.receive() or b"")

    async with world() as w:
        w.endpoint.rings.serve("answer-paced", answer)
        ring = await w.open(service="answer-paced")
        with trio.fail_after(20):
            for message in messages:
                await ring.send(message)
            assert await read_all(ring) == messages
            await ring.finished.wait()
        assert counts == [64]
        assert ring.ended == "done"
        await w.wait_until_nothing_is_left()


async def test_a_client_that_ends_lets_the_ring_run_to_the_boundary_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
):
    counts = counted(monkeypatch)
    asked, ended = trio.Event(), trio.Event()

    async def wait_for_end(ring: RingChannel) -> None:
        await ring.receive()
        asked.set()
        await read_all(ring)
        ended.set()

    async with world() as w:
        w.endpoint.rings.serve("wait-paced", wait_for_end)
        ring = await w.open(service="wait-paced")
        await ring.send(b"go")
        with trio.fail_after(5):
            await asked.wait()
            ring.end("cancelled")
            await ended.wait()  # the endpoint is told at once
            assert ring.lingers
            assert not ring.finished.is_set()
            await ring.finished.wait()
        assert not ring.lingers
        await w.wait_until_nothing_is_left()
        assert counts == [64]


async def test_a_paced_ring_whose_relay_dies_ends_at_once():
    async with world() as w:
        w.endpoint.rings.serve("echo-paced", echo)
        ring = await w.open(service="echo-paced")
        await ring.send(b"hello")
        with trio.fail_after(5):
            assert await ring.receive() == b"hello"
            for connection in w.backward.swarm.connections.values():
                connection.close()
            assert await ring.receive() is None
            await ring.finished.wait()
            with pytest.raises(RingFailed):
                await ring.send(b"more")
        await w.wait_until_nothing_is_left()


async def test_a_host_that_knows_no_such_service_refuses_the_join():
    async with world() as w:
        ring = await w.open(service="echo-paced")
        with trio.fail_after(5):
            assert await ring.receive() is None
            await ring.finished.wait()
        assert ring.ended == "bad_join"
        await w.wait_until_nothing_is_left()


async def test_an_endpoint_that_goes_silent_is_left_once_the_ring_is_ended(autojump_clock: trio.testing.MockClock):
    """What leaves by the clock does not keep a ring alive on which nothing comes."""
    out, back = SilentLeg(), SilentLeg()
    ring = RingChannel(pacing.PacedEnd(client=True), out, back)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        await ring.send(b"hello")
        await trio.sleep(1.0)
        ring.end("done")
        await ring.finished.wait()
    assert trio.current_time() - began == pytest.approx(1.0 + 64 * INTERVAL_S + FAREWELL_S, abs=0.1)


async def test_a_paced_ring_on_which_nothing_comes_is_idle(autojump_clock: trio.testing.MockClock):
    ring = RingChannel(pacing.PacedEnd(client=True), SilentLeg(), SilentLeg(), idle_timeout_s=30.0)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        await ring.send(b"hello")
        assert await ring.receive() is None
    assert trio.current_time() - began == pytest.approx(30.0, abs=0.1)
    assert ring.ended == "timeout"
