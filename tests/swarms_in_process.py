"""Swarms on loopback in one process, each with an address of its own, for tests of what is spoken over them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import trio

from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import Address, TcpAddress
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["ECHO", "SUITE", "echo", "new_keypair", "new_swarm", "running", "say", "until"]

SUITE = MixedSuite()
ECHO = "/test/echo/1"
_numbers = count(1)


def new_keypair() -> Keypair:
    return Keypair.from_seed(b"reached %024d" % next(_numbers), SUITE)


def new_swarm(*, host: str | None = None, limits: Limits | None = None, keypair: Keypair | None = None) -> Swarm:
    """A swarm on 127.87.x.1 with a key of its own."""
    bind = host or f"127.87.{next(_numbers) % 250}.1"
    return Swarm(SUITE, keypair or new_keypair(), bind=bind, limits=limits or Limits(), allow_private=True)


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def running(*swarms: Swarm, silent: tuple[Swarm, ...] = ()) -> AsyncIterator[trio.Nursery]:
    """Runs them; those in `silent` listen nowhere, as if nobody could dial them."""
    async with trio.open_nursery() as nursery:
        for swarm in (*swarms, *silent):
            swarm.handle(ECHO, echo)
            await nursery.start(swarm.run)
            if swarm not in silent:
                await swarm.listen(TcpAddress(swarm._bind or "127.0.0.1", 0))
        yield nursery
        nursery.cancel_scope.cancel()


async def say(swarm: Swarm, other: Swarm, places: tuple[Address, ...] | None = None, text: bytes = b"hello") -> bytes:
    """What `other` echoes, dialled at `places` or where it listens."""
    async with await swarm.open_stream(other.peer_id, other.listening if places is None else places, ECHO) as stream:
        await stream.send_all(text)
        await stream.close_sending()
        heard = b""
        while data := await stream.receive_some():
            heard += data
        return heard


async def until(holds: Callable[[], object], timeout_s: float = 5) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(timeout_s):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)
