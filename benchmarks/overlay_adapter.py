"""peernet under a neutral peer-to-peer benchmark: TCP, Noise and yamux as a node has them, limits and all.

The harness (`bench_core`) is not ours. It runs any stack that has `serve` and `Client`, each side in a process of its
own over loopback, and measures CPU, time and memory of both: `python -m benchmarks overlay` starts it.
"""

import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType

import trio
from attrs import define, field

from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress, parse_peer_address
from peernet.net.connection import PeerConnection
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.tasks import background_nursery

name = "peernet tcp+noise+yamux"

ECHO_SIZES = (64, 1024)
LIMITS = Limits(connections_per_prefix=512)
"""As shipped, but that all the clients of a benchmark have one address."""

_SUITE = MixedSuite()


def _swarm() -> Swarm:
    return Swarm(_SUITE, Keypair.from_seed(secrets.token_bytes(32), _SUITE), limits=LIMITS)


@define
class _Exact:
    """A stream as the harness wants it: reads of exactly so many bytes."""

    stream: PeerStream
    buffer: bytearray = field(factory=bytearray)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def recv_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self.buffer += data
        wanted = bytes(self.buffer[:size])
        del self.buffer[:size]
        return wanted

    async def aclose(self) -> None:
        await self.stream.close_sending()


async def serve(port: int, ready: Callable[[str], None]) -> None:
    """Serves `/bench/ECHO<size>` and `/bench/SINK` for ever; `ready` is told the address."""
    swarm = _swarm()
    for size in ECHO_SIZES:
        swarm.handle(f"/bench/ECHO{size}", _echo_of(size))
    swarm.handle("/bench/SINK", _sink)
    async with background_nursery() as nursery:
        await nursery.start(swarm.run)
        address = await swarm.listen(TcpAddress("127.0.0.1", port))
        ready(f"{address}/p2p/{swarm.peer_id}")
        await trio.sleep_forever()


def _echo_of(size: int) -> Callable[[PeerStream], Awaitable[None]]:
    async def echo(stream: PeerStream) -> None:
        exact = _Exact(stream)
        while True:
            try:
                data = await exact.recv_exactly(size)
            except EOFError:
                return
            await stream.send_all(data)

    return echo


async def _sink(stream: PeerStream) -> None:
    exact = _Exact(stream)
    left = int.from_bytes(await exact.recv_exactly(8), "big") - len(exact.buffer)
    while left > 0:
        data = await stream.receive_some()
        if not data:
            return
        left -= len(data)
    await stream.send_all(b"k")


class Client:
    """A node that dials."""

    def __init__(self) -> None:
        self._swarm = _swarm()
        self._nursery = background_nursery()

    async def __aenter__(self) -> "Client":
        nursery = await self._nursery.__aenter__()
        await nursery.start(self._swarm.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._nursery.__aexit__(kind, error, trace)

    async def connect(self, token: str) -> PeerConnection:
        """A new connection, with its handshake."""
        server = parse_peer_address(token)
        return await self._swarm.connect(server.peer, [server.address])

    async def close_conn(self, connection: PeerConnection) -> None:
        """Closes a connection, and waits until it is closed."""
        connection.close()
        await connection.closed.wait()

    async def open(self, connection: PeerConnection, service: str) -> _Exact:
        """A stream for a service of `serve`."""
        return _Exact(await self._swarm.open_stream(connection.peer, (), f"/bench/{service}"))
