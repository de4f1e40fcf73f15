"""The peers of a ring in one process, over loopback: each arc's guard and middle, a host, and a client's swarm."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import frozen

from benchmarks.ring_roles import SUITE
from peernet.core.identity import Keypair
from peernet.net.addresses import dialable
from peernet.net.limits import Limits
from peernet.net.rings import RingChannel, RingHop, open_ring
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, running_peer

__all__ = ["World", "world"]

HOST = 4
"""The host among the peers: the others are both arcs' guards and middles."""


@frozen
class World:
    """Who is there."""

    client: Swarm
    peers: tuple[Peer, ...]

    @property
    def host(self) -> Peer:
        """Where rings end."""
        return self.peers[HOST]

    def arcs(self) -> tuple[list[RingHop], list[RingHop]]:
        """The hops of both arcs."""
        hops = [_hop(peer) for peer in self.peers]
        return [hops[0], hops[1], hops[HOST]], [hops[2], hops[3], hops[HOST]]

    async def open(self, service: str) -> RingChannel:
        """A ring."""
        return await open_ring(self.client, SUITE, *self.arcs(), service, timeout_s=10)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Peers that know each other's records; nobody is connected to anybody."""
    with tempfile.TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            peers = [
                _peer(Path(folder) / str(number), number, "host" if number == HOST else "relay")
                for number in range(HOST + 1)
            ]
            for peer in peers:
                await nursery.start(_run, peer)
            keypair = Keypair.from_seed(secrets.token_bytes(32), SUITE)
            client = Swarm(SUITE, keypair, limits=Limits(), allow_private=True)
            await nursery.start(client.run)
            yield World(client, tuple(peers))
            nursery.cancel_scope.cancel()


def _peer(folder: Path, number: int, role: str) -> Peer:
    network = NetworkConfig(test=True, listen=f"/ip4/127.66.{number + 10}.1/tcp/0")
    return Peer(PeerKeys.of(Home.at(folder), SUITE), network, [role])


async def _run(peer: Peer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    async with running_peer(peer, join=False):
        task_status.started()
        await trio.sleep_forever()


def _hop(peer: Peer) -> RingHop:
    addresses = dialable([str(address) for address in peer.swarm.listening], allow_private=True)
    onion_key = SUITE.x25519_public(peer.onion_secrets()[0])
    return RingHop(peer.peer_id, tuple(addresses), onion_key, peer.signed_record())
