"""Two swarms on loopback sockets, for the tests of what is spoken between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import trio

from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress
from peernet.net.limits import Limits
from peernet.net.swarm import Swarm

SUITE = MixedSuite()
_numbers = count(1)


def new_swarm(limits: Limits | None = None) -> Swarm:
    """A swarm with an identity and a loopback address of its own."""
    number = next(_numbers)
    keypair = Keypair.from_seed(b"pair %027d" % number, SUITE)
    return Swarm(SUITE, keypair, bind=f"127.87.{number % 250}.1", limits=limits or Limits())


@asynccontextmanager
async def two_swarms(limits: Limits | None = None) -> AsyncIterator[tuple[Swarm, Swarm, trio.Nursery]]:
    """Two of them, both listening; they end with the block."""
    one, two = new_swarm(limits), new_swarm(limits)
    async with trio.open_nursery() as nursery:
        for swarm in (one, two):
            await nursery.start(swarm.run)
            await swarm.listen(TcpAddress(swarm._bind or "127.0.0.1", 0))
        yield one, two, nursery
        nursery.cancel_scope.cancel()
