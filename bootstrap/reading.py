"""Reading a log from outside: its public files, from the bootstrap node that serves them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.identity import Keypair
from peernet.core.ledger.messages import TLOG_PROTOCOL, ReadFile, TlogFile, TlogMessages
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.core.suite import MixedSuite
from peernet.net.addresses import PeerAddress, parse_peer_address
from peernet.net.limits import Limits
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig

__all__ = ["LogReader"]

TIMEOUT_S: Final = 15.0


class LogReader:
    """Reads one bootstrap node's log, under a throw-away key."""

    def __init__(self, swarm: Swarm, node: PeerAddress) -> None:
        self._swarm = swarm
        self._node = node

    @classmethod
    @asynccontextmanager
    async def open(cls, network: NetworkConfig) -> "AsyncIterator[LogReader]":
        """A reader of the first configured bootstrap node."""
        if not network.bootstrap:
            raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS, or --network FILE")
        suite = MixedSuite()
        swarm = Swarm(suite, Keypair.from_seed(secrets.token_bytes(32), suite), limits=Limits())
        async with background_nursery() as nursery:
            await nursery.start(swarm.run)
            yield cls(swarm, parse_peer_address(network.bootstrap[0]))

    async def read(self, path: str) -> bytes:
        """The file under a tlog-tiles path.

        Raises `ResourceNotFound` when the log has none, `UserError` when the node does not answer.
        """
        try:
            with trio.fail_after(TIMEOUT_S):
                reply = await self._ask(ReadFile(path))
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            why = str(error) or "no answer in time"
            raise UserError(
                f"the log of {self._node} cannot be read: {why}. Is the bootstrap node running?"
            ) from error
        if reply.content is None:
            raise ResourceNotFound(f"the log serves no {path}")
        return reply.content

    async def _ask(self, request: ReadFile) -> TlogFile:
        stream = await self._swarm.open_stream(self._node.peer, [self._node.address], TLOG_PROTOCOL)
        async with stream:
            messages = MessageStream(stream, TlogMessages)
            await messages.send(request)
            await stream.close_sending()
            reply = await messages.receive()
        if not isinstance(reply, TlogFile):
            raise ConnectionFailed("no file came")
        return reply
