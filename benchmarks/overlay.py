"""Connections and streams, both sides in one process over loopback, against raw trio TCP: CPU time, not wall time."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import trio

from benchmarks.report import Figure
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import Address, TcpAddress
from peernet.net.connection import PeerStream
from peernet.net.limits import Limits
from peernet.net.swarm import Swarm

CONNECTS = 100
ECHOES = 2000
ECHO_SIZE = 64
PROTOCOL = "/bench/echo/1"


def figures() -> Iterator[Figure]:
    """CPU of a connect, and of a 64-byte echo against raw TCP."""
    connect_ms = trio.run(_connect_ms)
    yield Figure(
        "connect_cpu", connect_ms, "ms, both sides", "none", None, 1.5, True, {"connects": CONNECTS, "serial": True}
    )
    echo_us = trio.run(_echo_us)
    raw_us = trio.run(_raw_echo_us)
    yield Figure(
        "echo_64_cpu", echo_us, "us a side", "raw trio TCP", raw_us, 1.5, True, {"echoes": ECHOES, "bytes": ECHO_SIZE}
    )


def _swarm() -> Swarm:
    suite = MixedSuite()
    return Swarm(suite, Keypair.from_seed(secrets.token_bytes(32), suite), limits=Limits(connections_per_prefix=512))


@asynccontextmanager
async def _server() -> AsyncIterator[tuple[Swarm, Address]]:
    server = _swarm()
    server.handle(PROTOCOL, _echo)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server, await server.listen(TcpAddress("127.0.0.1", 0))
        nursery.cancel_scope.cancel()


async def _echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def _connect_ms() -> float:
    async with _server() as (server, address):
        clients = [_swarm() for _ in range(CONNECTS)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                await nursery.start(client.run)
            began = time.process_time()
            for client in clients:
                await client.connect(server.peer_id, [address])
            spent = time.process_time() - began
            nursery.cancel_scope.cancel()
    return spent / CONNECTS * 1e3


async def _echo_us() -> float:
    async with _server() as (server, address), trio.open_nursery() as nursery:
        client = _swarm()
        await nursery.start(client.run)
        stream = await client.open_stream(server.peer_id, [address], PROTOCOL)
        message = bytes(ECHO_SIZE)
        began = time.process_time()
        for _ in range(ECHOES):
            await stream.send_all(message)
            got = 0
            while got < ECHO_SIZE:
                got += len(await stream.receive_some())
        spent = time.process_time() - began
        nursery.cancel_scope.cancel()
    return spent / ECHOES / 2 * 1e6


async def _raw_echo_us() -> float:
    async def serve(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        message = bytes(ECHO_SIZE)
        began = time.process_time()
        for _ in range(ECHOES):
            await stream.send_all(message)
            await stream.receive_some()
        spent = time.process_time() - began
        nursery.cancel_scope.cancel()
    return spent / ECHOES / 2 * 1e6
