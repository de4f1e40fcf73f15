"""A client with arcs that are ready, among real peers on loopback sockets."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from attrs import frozen

import bootstrap.directory as signing
import peernet.client.arcs as arcs_module
import peernet.client.network as network_module
import peernet.node.directory_mirror as mirror
from peernet.client.network import HostChoice, NetworkView
from peernet.core import serving
from peernet.core.identity import PeerId
from peernet.core.ring.paths import RingPath
from peernet.core.ring.ring import OUT
from peernet.net.rings import RingChannel, RingFailed
from tests.directory_network import MODEL, Network, until

RELAYS = 8
WAYS = 4


@pytest.fixture(autouse=True)
def _quiet_and_quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signing, "FIRST_INTERVAL_S", 0.05)
    monkeypatch.setattr(signing, "TURN_S", 0.1)
    monkeypatch.setattr(mirror, "FIRST_INTERVAL_S", 0.05)
    monkeypatch.setattr(mirror, "CHECK_PAUSE_S", 0.01)
    monkeypatch.setattr(arcs_module, "PAUSE_S", (0.0, 0.01))
    monkeypatch.setattr(arcs_module, "REFILL_PAUSE_S", (0.2, 0.3))
    with structlog.testing.capture_logs():
        yield


@frozen
class World:
    """A network, and a client of it that keeps arcs."""

    network: Network
    view: NetworkView

    @property
    def host(self) -> HostChoice:
        return next(iter(self.view.hosts_of(MODEL, bytes(32), ["log"])))

    def name(self, peer: str) -> str:
        return self.network.name_of(peer)

    async def says(self, path: RingPath, text: bytes = b"hello") -> bytes | None:
        ring = await self.view.open_ring(path, serving.INFER)
        try:
            await ring.send(text)
            return await ring.receive()
        finally:
            ring.end()
            await ring.finished.wait()

    def legs(self) -> int:
        return sum(peer.rings.legs for peer in self.network.peers.values())


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    names = [f"relay {number}" for number in range(RELAYS)]
    async with trio.open_nursery() as nursery:
        network = Network(folder, nursery)
        await network.start_all("bootstrap 0", *names, "host a")
        await network.until_published("host a", ["bootstrap 0"])
        async with network.client() as view, trio.open_nursery() as inner:
            await view.start()
            with trio.fail_after(10):
                while len(view.directory.relays) < RELAYS or not view.hosts_of(MODEL, bytes(32), ["log"]):
                    await trio.sleep(0.05)
                    await view.fetch_directory()
            inner.start_soon(view.keep_arcs, "private", WAYS)
            await until(lambda: view.ready_arcs == 2 * WAYS)
            yield World(network, view)
            inner.cancel_scope.cancel()
        await until(lambda: not sum(peer.rings.legs for peer in network.peers.values()))
        nursery.cancel_scope.cancel()


async def test_rings_go_over_arcs_that_were_ready_each_once_and_no_two_requests_share_any(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        # A guard and a middle for each, and no host.
        assert w.legs() == 2 * 2 * WAYS
        first, second = (w.view.plan_rings([w.host], "private")[0] for _ in range(2))
        assert not {first.out[1], first.back[1]} & {second.out[1], second.back[1]}
        used = w.view.troubles.counters
        for path in (first, second):
            for _ in range(2):
                assert await w.says(path) == b"hello"
        assert used["warm:used"] == 8
        # All arcs of all these ways are used up: a further ring is built cold, over the same relays.
        assert await w.says(first) == b"hello"
        assert used["warm:used"] == 8
        assert set(used) == {"warm:built", "warm:used"}
        # A profile without middles takes none.
        (path,) = w.view.plan_rings([w.host], "fast")
        assert await w.says(path) == b"hello"
        assert used["warm:used"] == 8
        _peers_to_avoid_are_not_on_ways_either(w)


def _peers_to_avoid_are_not_on_ways_either(w: World) -> None:
    guards = set(w.view._guards.known())
    middles = {str(listing.peer) for listing in w.view.directory.relays} - guards
    wanted = set(sorted(middles)[:2])
    (path,) = w.view.plan_rings([w.host], "private", avoid=middles - wanted)
    assert {path.out[1].peer, path.back[1].peer} == wanted


async def test_a_middle_that_dies_is_noticed_and_no_request_fails_for_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        way = w.view._arcs.ways[0]
        (path,) = w.view.plan_rings([w.host], "private")
        assert way in {path.out, path.back}
        await w.network.stop(w.name(way[1].peer))
        await until(lambda: w.view.troubles.counters["warm:died"] >= 1)
        # The ring over the dead one fails, as a cold one would; another one goes over what stands.
        with pytest.raises(RingFailed):
            await w.says(path)
        (other,) = w.view.plan_rings([w.host], "private", avoid=[way[1].peer])
        assert await w.says(other) == b"hello"


async def test_a_guards_restart_costs_no_request(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (path,) = w.view.plan_rings([w.host], "private")
        guard = w.name(path.out[0].peer)
        await w.network.stop(guard)
        await w.network.start(guard)
        assert await w.says(path) == b"hello"
        assert w.view.troubles.counters["warm:died"] >= 1
        await until(lambda: w.view.ready_arcs >= 2 * WAYS)


async def test_a_ring_is_the_arcs_that_were_ready_and_their_way_to_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arcs_module, "REFILL_PAUSE_S", (30.0, 30.0))
    async with world(tmp_path) as w:
        ready = w.legs()
        (path,) = w.view.plan_rings([w.host], "private")
        ring = await w.view.open_ring(path, serving.INFER)
        # The host's own two, and none for guards and middles.
        assert w.legs() == ready + 2
        ring.end()
        await ring.finished.wait()
        await until(lambda: w.legs() == ready - 4)


async def test_an_arc_that_was_taken_and_had_ended_counts_against_its_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt: list[RingFailed | None] = []
    async with world(tmp_path) as w:
        (path,) = w.view.plan_rings([w.host], "private")
        died = w.view.troubles.counters

        async def open_later(*args: Any, warm: dict[int, Any], **options: Any) -> RingChannel:
            await w.network.stop(w.name(path.out[1].peer))
            try:
                return await open_ring(*args, warm=warm, **options)
            finally:
                spoilt.append(warm[OUT].failure)

        open_ring = network_module.open_ring
        monkeypatch.setattr(network_module, "open_ring", open_later)
        with pytest.raises(RingFailed):
            await w.says(path)
        assert spoilt[0] is not None
        # The one that was taken, and its twin that was not.
        await until(lambda: died["warm:died"] == 2, timeout_s=3)
        assert w.view._arcs._guards[path.out[0].peer].died >= 2


async def test_a_guard_that_is_about_to_end_is_not_kept_by_arcs_that_stand_by(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        guard = w.view._arcs.ways[0][0].peer
        swarm = w.network.peers[w.name(guard)].swarm
        swarm.on_draining.clear()  # one that ends none of them itself
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swarm.drain)
            await until(lambda: w.view.swarm.connections[PeerId.parse(guard)].draining)
            w.view.plan_rings([w.host], "private")
            assert guard not in {way[0].peer for way in w.view._arcs.ways}
            assert w.view.troubles.counters["warm:unlisted"]
            with trio.fail_after(3):
                await until(lambda: swarm.counters["drain:done"] == 1)
