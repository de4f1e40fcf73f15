"""The directory of a bootstrap node: it crawls the DHT, signs what it found, and hands it out."""

from typing import Final

import trio

from peernet.core.directory import DIRECTORY_PROTOCOL, DirectoryMessages, GetDirectory, SignedDirectory, sign_directory
from peernet.core.errors import RemoteProtocolError
from peernet.net.connection import PeerStream
from peernet.net.messages import MessageStream
from peernet.node.crawl import crawl
from peernet.node.peer import Peer, now_s

__all__ = ["DirectoryService"]

FIRST_INTERVAL_S: Final = 1.0


class DirectoryService:
    """Keeps the directory of one node.

    Args:
        peer: the node, not yet listening.
        interval_s: how often the DHT is crawled, at least; more often while the network changes.
    """

    def __init__(self, peer: Peer, interval_s: int) -> None:
        self._peer = peer
        self._interval_s = interval_s
        self._directory: SignedDirectory | None = None
        peer.swarm.handle(DIRECTORY_PROTOCOL, self._serve)

    async def run(self) -> None:
        """Crawls and signs: at once again while the network changes, and ever more rarely while it does not."""
        interval_s = FIRST_INTERVAL_S
        listed = 0
        while True:
            records = await crawl(self._peer.discovery, self._peer.swarm, self._peer.network.test)
            self._directory = sign_directory((self._peer.signed_record(), *records), now_s(), self._peer.keys.identity)
            interval_s = FIRST_INTERVAL_S if len(records) != listed else 2 * interval_s
            interval_s = min(interval_s, self._interval_s)
            listed = len(records)
            await trio.sleep(interval_s)

    async def _serve(self, stream: PeerStream) -> None:
        messages = MessageStream(stream, DirectoryMessages)
        while (request := await messages.receive()) is not None:
            if not isinstance(request, GetDirectory):
                raise RemoteProtocolError("a request for the directory was due", reason="bad_message")
            await messages.send(self._directory or sign_directory((), now_s(), self._peer.keys.identity))
