"""Rings over loopback, all peers in one process: the round trip of a warm ring, and what one hop costs a cell."""

import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from benchmarks.report import Figure
from peernet.core.identity import Keypair
from peernet.core.noise import HandshakeState
from peernet.core.ring.cells import (
    CELL_SIZE,
    HANDSHAKE_PROLOGUE,
    HANDSHAKE_PROTOCOL,
    CellType,
    handshake_cell,
    handshake_message,
    seal_cell,
)
from peernet.core.ring.hop import Hop, SendBack
from peernet.core.suite import MixedSuite
from peernet.net.addresses import dialable
from peernet.net.limits import Limits
from peernet.net.rings import RingChannel, RingHop, open_ring
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, running_peer

ROUND_TRIPS = 300
CELLS = 20_000
SERVICE = "echo"


def figures() -> Iterator[Figure]:
    """The median round trip, and the layer work of a forwarder."""
    round_trip_ms = trio.run(_round_trip_ms)
    yield Figure(
        "ring_round_trip", round_trip_ms, "ms, median", "none", None, 2.0, True, {"profile": "private", "relays": 4}
    )
    yield Figure(
        "relay_layer", _layer_mb_per_s(), "MB per CPU-second", "none", None, 200.0, False, {"layer alone": True}
    )


async def _round_trip_ms() -> float:
    suite = MixedSuite()
    with tempfile.TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            peers: list[Peer] = []
            for number in range(5):
                peer = _peer(Path(folder) / str(number), number, "host" if number == 4 else "relay")
                peers.append(peer)
                await nursery.start(_run, peer)
            peers[4].rings.serve(SERVICE, _echo)
            client = Swarm(suite, Keypair.from_seed(secrets.token_bytes(32), suite), limits=Limits())
            await nursery.start(client.run)
            out, back = ([_hop(peers[i]) for i in path] for path in ((0, 1, 4), (2, 3, 4)))
            ring = await open_ring(client, suite, out, back, SERVICE, timeout_s=10)
            times = []
            for _ in range(ROUND_TRIPS):
                began = time.perf_counter()
                await ring.send(b"x")
                await ring.receive()
                times.append(time.perf_counter() - began)
            nursery.cancel_scope.cancel()
    return sorted(times)[len(times) // 2] * 1e3


def _peer(folder: Path, number: int, role: str) -> Peer:
    network = NetworkConfig(test=True, listen=f"/ip4/127.66.{number + 1}.1/tcp/0")
    return Peer(PeerKeys.of(Home.at(folder), MixedSuite()), network, [role])


async def _run(peer: Peer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    async with running_peer(peer, join=False):
        task_status.started()
        await trio.sleep_forever()


async def _echo(ring: RingChannel) -> None:
    while (message := await ring.receive()) is not None:
        await ring.send(message)


def _hop(peer: Peer) -> RingHop:
    addresses = dialable([str(address) for address in peer.swarm.listening], allow_private=True)
    onion_key = peer.suite.x25519_public(peer.onion_secrets()[0])
    return RingHop(peer.peer_id, tuple(addresses), onion_key, peer.signed_record())


def _layer_mb_per_s() -> float:
    suite = MixedSuite()
    secret = secrets.token_bytes(32)
    client = HandshakeState(
        suite,
        HANDSHAKE_PROTOCOL,
        initiator=True,
        prologue=HANDSHAKE_PROLOGUE,
        remote_static=suite.x25519_public(secret),
        ephemeral=secrets.token_bytes(32),
    )
    hop = Hop(suite, [secret], secrets.token_bytes(32))
    (answer,) = hop.receive(handshake_cell(client.write_message()))
    assert isinstance(answer, SendBack)
    client.read_message(handshake_message(answer.cell))
    to_hop, _ = client.split()
    hop.receive(seal_cell(to_hop, CellType.EXTEND, b"record"))
    cell = bytes(CELL_SIZE)
    began = time.process_time()
    for _ in range(CELLS):
        hop.receive(cell)
    return CELLS * CELL_SIZE / (time.process_time() - began) / 1e6
