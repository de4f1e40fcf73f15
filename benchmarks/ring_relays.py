"""What a relay bears, in a process of its own: cells in bulk and one by one, against a bare trio TCP forwarder."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import frozen

from benchmarks.report import Figure
from benchmarks.ring_roles import (
    ARCS,
    ARCS_A_CLIENT,
    CLIENT,
    ECHO,
    RECEIVERS,
    Child,
    arc_to,
    child,
    hops_of,
    new_swarm,
)
from peernet.core.ring.cells import CELL_SIZE

__all__ = ["memory_figures", "relay_figures"]

LONE_CELLS: Final = 2000
BULK_BYTES: Final = 64 << 20
BULK_WRITE: Final = bytes(64 * CELL_SIZE)
"""As many cells as one direction of a ring may have in flight."""
ROUNDS: Final = 5

Send = Callable[[bytes], Awaitable[None]]
Receive = Callable[[], Awaitable[bytes]]


@frozen
class Way:
    """Bytes there and back through somebody, whose CPU time is told."""

    send: Send
    receive: Receive
    between: Child


@frozen
class Cost:
    """What something cost whoever was between, and how long it took."""

    cpu_s: float
    wall_s: float


def relay_figures() -> Iterator[Figure]:
    """A relay's rows."""
    bulk, raw_bulk = trio.run(_measured, _bulk, str(BULK_BYTES))
    yield Figure(
        "relay_bulk",
        BULK_BYTES / bulk.cpu_s / 1e6,
        "MB per CPU-second of the relay",
        "a bare trio forwarder of the same bytes",
        BULK_BYTES / raw_bulk.cpu_s / 1e6,
        200.0,
        False,
        {"bytes": BULK_BYTES, "wall_MB_per_s": round(BULK_BYTES / bulk.wall_s / 1e6)},
        bounds_value=True,
    )
    lone, raw_lone = trio.run(_measured, _lone, ECHO.decode())
    yield Figure(
        "relay_lone_cell",
        lone.cpu_s / LONE_CELLS / 2 * 1e6,
        "us of the relay's CPU",
        "a bare trio forwarder of 1,024 bytes",
        raw_lone.cpu_s / LONE_CELLS / 2 * 1e6,
        2.5,
        True,
        {
            "round_trips": LONE_CELLS,
            "round_trip_us": [round(each.wall_s / LONE_CELLS * 1e6) for each in (lone, raw_lone)],
        },
    )


def memory_figures() -> Iterator[Figure]:
    """What an idle arc costs a relay and a client."""
    at_relay, at_client, arcs = trio.run(_idle_arcs)
    for name, size, target in (("relay", at_relay, 20.0), ("client", at_client, None)):
        conditions = {"arcs": arcs, "clients": ARCS // ARCS_A_CLIENT}
        yield Figure(f"idle_arc_{name}", size / arcs / 1024, "KiB", "none", None, target, True, conditions)


async def _idle_arcs() -> tuple[float, float, int]:
    """The bytes that a relay and a client hold for so many arcs more."""
    async with child("relay") as relay, child("receiver") as receiver, child("holder") as holder:
        for process in (relay, receiver):
            await holder.tell(await process.line())
        client_before = float(await holder.line())
        relay_before = await relay.ask("memory")
        await holder.tell("go on")
        client_after = float(await holder.line())
        relay_after = await relay.ask("memory")
        arcs = ARCS - ARCS // ARCS_A_CLIENT * RECEIVERS
        return relay_after - relay_before, client_after - client_before, arcs


async def _measured(work: Callable[[Way], Awaitable[None]], mode: str) -> tuple[Cost, Cost]:
    """The least costs of the work by the relay and by the bare forwarder, which take turns: others' work only adds."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    async with _relayed(mode) as relayed, _forwarded(mode) as forwarded:
        for way in (relayed, forwarded):
            await work(way)  # warm
        for _ in range(ROUNDS):
            for way, found in zip((relayed, forwarded), costs, strict=True):
                began, cpu_before_s = time.perf_counter(), await way.between.ask("cpu")
                await work(way)
                found.append(Cost(await way.between.ask("cpu") - cpu_before_s, time.perf_counter() - began))
    return _least(costs[0]), _least(costs[1])


def _least(costs: list[Cost]) -> Cost:
    return Cost(min(each.cpu_s for each in costs), min(each.wall_s for each in costs))


async def _bulk(way: Way) -> None:
    left = BULK_BYTES
    while left > 0:
        await way.send(BULK_WRITE)
        left -= len(BULK_WRITE)
    await _receive_cell(way.receive)


async def _lone(way: Way) -> None:
    cell = bytes(CELL_SIZE)
    for _ in range(LONE_CELLS):
        await way.send(cell)
        await _receive_cell(way.receive)


async def _receive_cell(receive: Receive) -> None:
    size = 0
    while size < CELL_SIZE:
        data = await receive()
        if not data:
            raise EOFError("the benchmark's other side has ended")
        size += len(data)


@asynccontextmanager
async def _relayed(mode: str) -> AsyncIterator[Way]:
    """Through a relay, with all that a relay does."""
    async with child("relay") as relay, child("receiver") as receiver, trio.open_nursery() as nursery:
        (guard,), (endpoint, *_) = hops_of(await relay.line()), hops_of(await receiver.line())
        client = new_swarm(CLIENT)
        await nursery.start(client.run)
        sent = mode.encode() if mode == ECHO.decode() else int(mode).to_bytes(8, "big")
        stream, _ = await arc_to(client, [guard, endpoint], sent)
        yield Way(stream.send_all, stream.receive_some, relay)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _forwarded(mode: str) -> AsyncIterator[Way]:
    """Through a bare trio forwarder."""
    async with (
        child("raw_receiver") as receiver,
        child("forwarder", "127.0.0.1", await receiver.line()) as forwarder,
        await trio.open_tcp_stream("127.0.0.1", int(await forwarder.line())) as stream,
    ):
        size = 0 if mode == ECHO.decode() else int(mode)
        await stream.send_all(size.to_bytes(8, "big").ljust(CELL_SIZE, b"\0"))
        yield Way(stream.send_all, stream.receive_some, forwarder)
