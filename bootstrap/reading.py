"""Reading logs from outside: their public files, from the bootstrap nodes that serve them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.ledger.messages import TLOG_PROTOCOL, ReadFile, TlogFile, TlogMessages
from peernet.core.ledger.tiles import ResourceNotFound, decode_entry_bundle, entry_bundles
from peernet.core.suite import MixedSuite
from peernet.net.addresses import PeerAddress
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig
from peernet.node.peer import swarm_of

__all__ = ["LogReader", "reading_swarm"]

TIMEOUT_S: Final = 15.0
MAX_ENTRIES: Final = 1 << 18
"""How many entries are read at once: a mirror that is further behind needs a copy of the log's database."""


@asynccontextmanager
async def reading_swarm(network: NetworkConfig | None = None) -> AsyncIterator[Swarm]:
    """Connections in a network, under a throw-away key."""
    suite = MixedSuite()
    swarm = swarm_of(network or NetworkConfig(), Keypair.from_seed(secrets.token_bytes(32), suite), suite)
    async with background_nursery() as nursery:
        await nursery.start(swarm.run)
        yield swarm


class LogReader:
    """Reads what one bootstrap node serves of a log.

    Args:
        swarm: the connections to read over.
        node: whom to ask.
        prefix: where it serves the log: nothing for its own, `mirror_prefix` for one that it mirrors.
    """

    def __init__(self, swarm: Swarm, node: PeerAddress, prefix: str = "") -> None:
        self._swarm = swarm
        self.node = node
        self._prefix = prefix

    async def read(self, path: str) -> bytes:
        """The file under a tlog-tiles path.

        Raises `ResourceNotFound` when there is none, `ConnectionFailed` when the node does not answer as it should.
        """
        try:
            with trio.fail_after(TIMEOUT_S):
                reply = await self._ask(ReadFile(self._prefix + path))
        except (RemoteProtocolError, trio.TooSlowError) as error:
            raise ConnectionFailed(str(error) or "no answer in time") from error
        if reply.content is None:
            raise ResourceNotFound(f"the log serves no {path}")
        return reply.content

    async def read_entries(self, start: int, end: int) -> list[bytes]:
        """The entries from `start` to before `end`, as whole bundles give them.

        Raises as `read`, and `RemoteProtocolError` for a bundle that is none, or for over `MAX_ENTRIES` entries.
        """
        if end - start > MAX_ENTRIES:
            raise RemoteProtocolError(f"{end - start} entries are over {MAX_ENTRIES}", reason="too_long")
        entries: list[bytes] = []
        for bundle in entry_bundles(end):
            if bundle.start + bundle.width > start:
                read = decode_entry_bundle(await self.read(bundle.path()), bundle.width)
                entries += read[max(0, start - bundle.start) :]
        return entries

    async def _ask(self, request: ReadFile) -> TlogFile:
        stream = await self._swarm.open_stream(self.node.peer, [self.node.address], TLOG_PROTOCOL, optimistic=True)
        async with stream:
            messages = MessageStream(stream, TlogMessages)
            await messages.send(request)
            await stream.close_sending()
            reply = await messages.receive()
        if not isinstance(reply, TlogFile):
            raise ConnectionFailed("no file came")
        return reply
