"""Any peer's part in the directory: it keeps a copy fresh and hands it out, as a bootstrap node does.

So clients need no bootstrap node once they know a peer, and its guard is enough. Rules:

1. A copy is asked after on a timer: often after the start, then every `INTERVAL_S` or so, at random. Mostly another
   peer of the DHT is asked, so that the bootstrap nodes are not; every `BOOTSTRAP_EVERY` rounds, or where there is no
   fresh copy, a bootstrap node.
2. Who asks for something newer than the copy has one bootstrap node asked at once, within `CHECK_TIMEOUT_S`, and no
   more often than every `CHECK_PAUSE_S`: a copy is then as good as its source, and costs it no more.
3. What does not verify is not kept, and who handed it over is counted.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import trio

from peernet.core.directory import MAX_AGE_S
from peernet.core.directory_transfer import DIRECTORY_PROTOCOL, DirectoryMessages, GetDirectory, NothingNewer
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.net.addresses import Address, PeerAddress
from peernet.net.messages import MessageStream
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.node.directory_copy import DirectoryCopy, send_directory

__all__ = ["DirectoryMirror"]

FIRST_INTERVAL_S: Final = 1.0
INTERVAL_S: Final = 300.0
BOOTSTRAP_EVERY: Final = 4
OTHERS_TRIED: Final = 2
CHECK_PAUSE_S: Final = 2.0
CHECK_TIMEOUT_S: Final = 2.0
FAILED_CHECK_PAUSE_S: Final = 30.0
SERVE_TIMEOUT_S: Final = 120.0

_Source = tuple[PeerId, Sequence[Address]]


class DirectoryMirror:
    """Serves a peer's copy.

    Args:
        swarm: the node's connections.
        copy: the copy.
        bootstraps: the configured bootstrap nodes and where they are, this one not among them.
        others: further peers that may have it, as the DHT knows them now.
        origin: whether this node is a bootstrap node itself, which asks nobody because somebody asked it.
    """

    def __init__(
        self,
        swarm: Swarm,
        copy: DirectoryCopy,
        bootstraps: Mapping[PeerId, Sequence[Address]],
        others: Callable[[], Sequence[PeerAddress]],
        *,
        origin: bool,
    ) -> None:
        self._swarm = swarm
        self.copy = copy
        self._bootstraps = tuple(bootstraps.items())
        self._others = others
        self._origin = origin
        self._random = random.SystemRandom()
        self._next_check = float("-inf")
        self.counters: Counter[str] = Counter()
        swarm.handle(DIRECTORY_PROTOCOL, self._serve)

    def follow(self, bootstraps: Mapping[PeerId, Sequence[Address]], trusted: Collection[bytes]) -> None:
        """Goes by these bootstrap nodes from now on; `trusted` are the keys of all of them, ours included."""
        self._bootstraps = tuple(bootstraps.items())
        self.copy.trusted = frozenset(trusted)

    async def keep_fresh(self) -> None:
        """Asks others for something newer now and then, until cancelled."""
        interval_s = FIRST_INTERVAL_S
        number = 0
        while True:
            # Of a bootstrap node that is alone nobody knows more than itself.
            if self._bootstraps:
                await self._renew(number)
                number += 1
            await trio.sleep(interval_s * self._random.uniform(0.5, 1.5))
            interval_s = min(2 * interval_s, INTERVAL_S)

    async def _renew(self, number: int) -> None:
        known = [(other.peer, (other.address,)) for other in self._others()]
        others: list[_Source] = list(self._random.sample(known, min(OTHERS_TRIED, len(known))))
        bootstraps = self._random.sample(self._bootstraps, len(self._bootstraps))
        due = self._origin or number % BOOTSTRAP_EVERY == 0 or self.copy.age_s > MAX_AGE_S
        for source in (*bootstraps, *others) if due else others:
            if await self._fetch_from(source):
                return

    async def _fetch_from(self, source: _Source) -> bool:
        """Whether the source answered, and what we now have is fresh."""
        try:
            await self.copy.fetch(self._swarm, *source)
        except ConnectionFailed:
            self.counters["unreachable"] += 1
            return False
        except RemoteProtocolError as error:
            self.counters[f"refused:{error.reason}"] += 1
            return False
        return self.copy.age_s <= MAX_AGE_S

    async def _serve(self, stream: PeerStream) -> None:
        messages = MessageStream(stream, DirectoryMessages)
        with trio.fail_after(SERVE_TIMEOUT_S):
            while (request := await messages.receive()) is not None:
                if not isinstance(request, GetDirectory):
                    raise RemoteProtocolError("a request for the directory was due", reason="bad_message")
                await self._answer(messages, request)

    async def _answer(self, messages: MessageStream, request: GetDirectory) -> None:
        history = self.copy.history
        if history.wanted(request) is None:
            await self._check()
        wanted = history.wanted(request)
        if wanted is None:
            await messages.send(NothingNewer())
        else:
            await send_directory(messages, wanted, history)

    async def _check(self) -> None:
        """Asks a bootstrap node, since somebody asks us for more than we have (rule 2)."""
        if self._origin or not self._bootstraps or trio.current_time() < self._next_check:
            return
        self._next_check = trio.current_time() + CHECK_PAUSE_S
        answered = False
        with trio.move_on_after(CHECK_TIMEOUT_S):
            for source in self._random.sample(self._bootstraps, len(self._bootstraps)):
                if answered := await self._fetch_from(source):
                    break
        if not answered:
            self._next_check = trio.current_time() + FAILED_CHECK_PAUSE_S
