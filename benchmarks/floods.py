"""How long a good peer waits for its echo while others flood the node that it talks to, against quiet.

The node, the flood and the good peer are processes of their own; quiet and flooded slices take turns.
"""

import os
import secrets
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Final

import structlog
import trio

from benchmarks.report import Figure
from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import PeernetError
from peernet.core.identity import Keypair, PeerId
from peernet.core.multistream import Dialer
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress, parse_peer_address
from peernet.net.limits import HOME
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

PROTOCOL: Final = "/bench/echo/1"
NODE: Final = "127.99.1.1"
GOOD: Final = "127.99.2.1"
SLICES: Final = 4
SLICE_S: Final = 1.0
WARM_UP_S: Final = 0.3
PACE_S: Final = 0.002
TARGET: Final = 5.0

_PING: Final = struct.Struct(">BBHII")
_SUITE: Final = MixedSuite()


def figures() -> Iterator[Figure]:
    """The good peer's median under each flood, over its median in quiet; on a busy machine p95 is the machine's."""
    for kind in FLOODS:
        quiet, flooded, ended = trio.run(_measure, kind)
        conditions = {
            "echoes": [len(quiet), len(flooded)],
            "p95_us": [round(statistics.quantiles(each, n=20)[-1] * 1e6) for each in (quiet, flooded)],
            "node_said": ended,
        }
        yield Figure(
            f"flood_{kind}",
            statistics.median(flooded) * 1e6,
            "us, median of a good peer's echo",
            "the same in quiet",
            statistics.median(quiet) * 1e6,
            TARGET,
            True,
            conditions,
        )


async def _measure(kind: str) -> tuple[list[float], list[float], str]:
    quiet: list[float] = []
    flooded: list[float] = []
    async with trio.open_nursery() as nursery:
        node = await _child("node")
        assert node.stdout is not None
        place = (await node.stdout.receive_some()).decode().strip()
        target = parse_peer_address(place)
        good = _swarm(GOOD)
        await nursery.start(good.run)
        stream = await good.open_stream(target.peer, [target.address], PROTOCOL)
        await _echoes(stream, [], WARM_UP_S)
        for _ in range(SLICES):
            await _echoes(stream, quiet, SLICE_S)
            flood = await _child("flood", kind, place)
            assert flood.stdout is not None
            await flood.stdout.receive_some()  # it has begun
            await _echoes(stream, [], WARM_UP_S)
            await _echoes(stream, flooded, SLICE_S)
            flood.kill()
            await flood.wait()
            await _echoes(stream, [], WARM_UP_S)
        node.terminate()
        said = b""
        while data := await node.stdout.receive_some():
            said += data
        await node.wait()
        nursery.cancel_scope.cancel()
    return quiet, flooded, said.decode().strip()


async def _child(*words: str) -> trio.Process:
    command = [sys.executable, "-m", "benchmarks.floods", *words]
    return await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)


async def _echoes(stream: PeerStream, times: list[float], for_s: float) -> None:
    ends = time.perf_counter() + for_s
    while time.perf_counter() < ends:
        began = time.perf_counter()
        await stream.send_all(bytes(64))
        size = 0
        while size < 64:
            size += len(await stream.receive_some())
        times.append(time.perf_counter() - began)
        await trio.sleep(PACE_S)


def _swarm(host: str) -> Swarm:
    return Swarm(_SUITE, Keypair.from_seed(secrets.token_bytes(32), _SUITE), bind=host, limits=HOME)


# --- the node --------------------------------------------------------------------------------------------------------


async def _run_node() -> None:
    import signal

    async def echo(stream: PeerStream) -> None:
        while data := await stream.receive_some():
            await stream.send_all(data)

    node = _swarm(NODE)
    node.handle(PROTOCOL, echo)
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            address = await node.listen(TcpAddress(NODE, 0))
            print(f"{address}/p2p/{node.peer_id}", flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break
    notable = ("limit", "evicted", "refused", "handshake_failed", "connection_failed", "accepted")
    print(", ".join(f"{name} {number}" for name, number in sorted(node.counters.items()) if name.startswith(notable)))


# --- floods ----------------------------------------------------------------------------------------------------------

_hosts: Final = count(1)


async def _session(address: TcpAddress, peer: PeerId) -> tuple[trio.SocketStream, Connection]:
    """A connection that the flood drives by hand; each is another identity, all are of one prefix."""
    host = f"127.98.1.{next(_hosts) % 250 + 1}"
    socket = await trio.open_tcp_stream(address.host, address.port, local_address=host)
    keypair = Keypair.from_seed(secrets.token_bytes(32), _SUITE)
    identity = NoiseIdentity.of(keypair, secrets.token_bytes(32), _SUITE)
    fresh = secrets.token_bytes(32)
    protocol = Connection(_SUITE, identity, initiator=True, ephemeral_secret=fresh, expected_peer=peer)
    while not protocol.established:
        await socket.send_all(protocol.data_to_send())
        if not (data := await socket.receive_some()):
            raise trio.BrokenResourceError("the node closed the connection")
        protocol.receive(data)
    await socket.send_all(protocol.data_to_send())
    return socket, protocol


async def _silence(address: TcpAddress, _: PeerId) -> None:
    """A socket that says nothing, for as long as it may."""
    socket = await trio.open_tcp_stream(address.host, address.port, local_address="127.98.2.1")
    async with socket:
        await socket.receive_some()


async def _half_a_handshake(address: TcpAddress, _: PeerId) -> None:
    socket = await trio.open_tcp_stream(address.host, address.port, local_address="127.98.2.1")
    async with socket:
        await socket.send_all(b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20" + bytes(16))
        while await socket.receive_some():
            pass


async def _handshakes(address: TcpAddress, peer: PeerId) -> None:
    socket, _ = await _session(address, peer)
    async with socket:
        pass


async def _streams(address: TcpAddress, peer: PeerId) -> None:
    """Streams without end, none of which agrees on a protocol."""
    socket, protocol = await _session(address, peer)
    async with socket:
        for stream_id in count(1, 2):
            protocol.yamux._frames.parts.append(_PING.pack(0, 1, 1, stream_id, 0))  # noqa: SLF001  (it breaks the rules)
            if stream_id % 128 == 1:
                await socket.send_all(protocol.data_to_send())
                if not await socket.receive_some():
                    return


async def _pings(address: TcpAddress, peer: PeerId) -> None:
    """Pings without end, whose answers it takes."""
    socket, protocol = await _session(address, peer)

    async def read() -> None:
        while await socket.receive_some():
            pass

    async with socket, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for value in count():
            protocol.yamux._frames.parts.append(_PING.pack(0, 2, 1, 0, value % 2**32))  # noqa: SLF001  (as above)
            if value % 128 == 0:
                await socket.send_all(protocol.data_to_send())


async def _window(address: TcpAddress, peer: PeerId) -> None:
    """More data than the window takes, which ends the connection; and again.

    The protocol is agreed on first: a stream without one is reset, and what comes after that is late, not too much.
    """
    socket, protocol = await _session(address, peer)
    async with socket:
        out = protocol.yamux._frames.parts  # noqa: SLF001  (as above)
        proposal = Dialer((PROTOCOL,)).data_to_send()
        out += [_PING.pack(0, 1, 1, 1, 0), _PING.pack(0, 0, 0, 1, len(proposal)), proposal]
        # Twice what the node reads at most, and grants again, before it waits for its echoes to be taken.
        for _ in range(64):
            out += [_PING.pack(0, 0, 0, 1, 1 << 14), bytes(1 << 14)]
            await socket.send_all(protocol.data_to_send())
        while await socket.receive_some():
            pass


Flood = Callable[[TcpAddress, PeerId], Awaitable[None]]
FLOODS: Final[dict[str, tuple[Flood, int]]] = {
    "silent_sockets": (_silence, 1000),
    "slow_handshakes": (_half_a_handshake, 500),
    "handshakes": (_handshakes, 16),
    "streams": (_streams, 4),
    "pings": (_pings, 4),
    "window_violations": (_window, 8),
}
"""What each does, and how many do it at a time."""


async def _run_flood(kind: str, place: str) -> None:
    target = parse_peer_address(place)
    assert isinstance(target.address, TcpAddress)
    address = target.address
    attack, at_once = FLOODS[kind]

    async def again_and_again() -> None:
        while True:
            with suppress(
                OSError, trio.BrokenResourceError, trio.ClosedResourceError, PeernetError, BaseExceptionGroup
            ):
                await attack(address, target.peer)
            await trio.lowlevel.checkpoint()

    print("begun", flush=True)
    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(again_and_again)


def main() -> None:
    """A child: the node, or a flood."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if sys.argv[1] == "node":
        trio.run(_run_node)
    else:
        os.nice(5)  # an attacker far away does not take this machine's CPU from the node
        trio.run(_run_flood, sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
