"""ping over streams: answering, within limits, and asking for a round trip.

Rules, beside those of `core.ping`:

1. Nothing is waited for longer than `IDLE_TIMEOUT_S`: the stream of one who asks nothing more is closed.
2. Whoever asks one peer at a time for several round trips gets them one after the other, each on a stream of its own.
"""

import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Final

import trio

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ping import MAX_STREAMS, PING_SIZE, PROTOCOL, Pinger, Ponger
from peernet.net.addresses import Address
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["IDLE_TIMEOUT_S", "PING_TIMEOUT_S", "PingService"]

PING_TIMEOUT_S: Final = 10.0
"""For one round trip, and the connection and stream for it."""
IDLE_TIMEOUT_S: Final = 60.0


class PingService:
    """Both sides of ping, on one swarm."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._answered: Counter[PeerId] = Counter()
        self._asked: dict[PeerId, trio.Lock] = {}

    def serve(self) -> None:
        """Answers whoever asks."""
        self._swarm.handle(PROTOCOL, self._answer)

    async def ping(self, peer: PeerId, addresses: Iterable[Address] = ()) -> float:
        """The round trip to `peer` in seconds, over the connection there is, or one made to `addresses`.

        Raises `ConnectionFailed` when there is no answer in time, `RemoteProtocolError` for a wrong one.
        """
        lock = self._asked.setdefault(peer, trio.Lock())
        try:
            with trio.fail_after(PING_TIMEOUT_S):
                async with lock:
                    return await self._ask(peer, addresses)
        except trio.TooSlowError as error:
            raise ConnectionFailed(f"{peer} answers no ping within {PING_TIMEOUT_S:g} s") from error
        finally:
            if not lock.locked():
                self._asked.pop(peer, None)

    async def _ask(self, peer: PeerId, addresses: Iterable[Address]) -> float:
        async with await self._swarm.open_stream(peer, addresses, PROTOCOL) as stream:
            payload = secrets.token_bytes(PING_SIZE)
            pinger = Pinger(payload)
            started = trio.current_time()
            await stream.send_all(payload)
            while data := await stream.receive_some():
                if pinger.receive(data):
                    return trio.current_time() - started
        raise ConnectionFailed(f"{peer} closed the stream instead of answering a ping")

    async def _answer(self, stream: PeerStream) -> None:
        if self._answered[stream.peer] >= MAX_STREAMS:
            raise RemoteProtocolError(f"over {MAX_STREAMS} streams of pings", reason="too_many_pings")
        self._answered[stream.peer] += 1
        try:
            await _answer_all(stream)
        finally:
            self._answered[stream.peer] -= 1
            if not self._answered[stream.peer]:
                del self._answered[stream.peer]


async def _answer_all(stream: PeerStream) -> None:
    ponger = Ponger(trio.current_time())
    while True:
        with trio.move_on_after(IDLE_TIMEOUT_S) as idle:
            data = await stream.receive_some()
            if not data:
                ponger.end()
                return
            answer, pause_s = ponger.receive(data, trio.current_time())
            await stream.send_all(answer)
        if idle.cancelled_caught:
            return
        if pause_s:
            await trio.sleep(pause_s)
