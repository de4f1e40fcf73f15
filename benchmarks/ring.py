"""Rings over loopback: what a relay bears and holds, what building an arc costs, and what a ring adds to an answer.

Relays that are measured for what they bear are processes of their own (`ring_relays`). For round trips, answers and
the building of arcs all peers run in one process: its CPU time is everybody's.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import trio

from benchmarks.report import Figure
from benchmarks.ring_answers import answer_figures
from benchmarks.ring_relays import memory_figures, relay_figures
from benchmarks.ring_roles import arc_to
from benchmarks.ring_world import World, world
from peernet.net.rings import RingChannel
from peernet.net.streams import PeerStream

ROUND_TRIPS: Final = 500
COLD_ARCS: Final = 8
WARM_ARCS: Final = 100
ECHO: Final = "echo"
ECHO_PROTOCOL: Final = "/bench/echo/1"


def figures() -> Iterator[Figure]:
    """The rows of relays and rings."""
    yield from relay_figures()
    yield from memory_figures()
    yield trio.run(_round_trip)
    yield from trio.run(_building)
    yield from answer_figures()


async def _round_trip() -> Figure:
    """The median round trip over a warm ring and over one stream to its host, which take turns."""
    async with world() as w:
        w.host.rings.serve(ECHO, _echo_ring)
        w.host.swarm.handle(ECHO_PROTOCOL, _echo_stream)
        ring = await w.open(ECHO)
        stream = await w.client.open_stream(w.host.peer_id, w.host.swarm.listening, ECHO_PROTOCOL)

        async def over_ring() -> None:
            await ring.send(b"x")
            await ring.receive()

        async def over_stream() -> None:
            await stream.send_all(b"x")
            await stream.receive_some()

        ways: tuple[Callable[[], Awaitable[None]], ...] = (over_ring, over_stream)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUND_TRIPS):
            for way, found in zip(ways, times, strict=True):
                began = time.perf_counter()
                await way()
                found.append(time.perf_counter() - began)
    by_ring_ms, direct_ms = (statistics.median(found) * 1e3 for found in times)
    return Figure(
        "ring_round_trip_added",
        by_ring_ms - direct_ms,
        "ms, median",
        "the same echo over one stream to the host",
        direct_ms,
        2.0,
        True,
        {"profile": "private", "relays": 4, "round_trips": ROUND_TRIPS, "in_one_process": True},
        bounds_value=True,
    )


async def _echo_ring(ring: RingChannel) -> None:
    while (message := await ring.receive()) is not None:
        await ring.send(message)


async def _echo_stream(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def _building() -> list[Figure]:
    """An arc over guard, middle and host: with no connection there yet, and with all of them."""
    cold: list[tuple[float, float]] = []
    warm: list[tuple[float, float]] = []
    for number in range(COLD_ARCS):
        async with world() as w:
            cold.append(await _built(w))
            if not number:
                warm += [await _built(w) for _ in range(WARM_ARCS)]
    return [
        Figure(
            f"arc_building_{name}",
            statistics.median(wall_s for wall_s, _ in costs) * 1e3,
            "ms, median",
            "CPU of all four peers, ms",
            statistics.median(cpu_s for _, cpu_s in costs) * 1e3,
            None,
            True,
            {"hops": 3, "arcs": len(costs), "in_one_process": True},
        )
        for name, costs in (("cold", cold), ("warm", warm))
    ]


async def _built(w: World) -> tuple[float, float]:
    """The wall and CPU time of one arc, in seconds."""
    out, _ = w.arcs()
    began, cpu_before_s = time.perf_counter(), time.process_time()
    stream, _ = await arc_to(w.client, out)
    costs = time.perf_counter() - began, time.process_time() - cpu_before_s
    stream.reset()
    await trio.sleep(0.01)  # what closing costs is not the next one's
    return costs
