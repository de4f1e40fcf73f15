"""A stream of ours, until the other side has agreed to its protocol: optimistic negotiation.

multistream-select lets a dialer with one protocol send its own bytes right behind the proposal, without waiting for
the answer. That spares a round trip for each stream.

Rules:

1. The proposal leaves together with the first bytes that are sent; without any, when the stream is read, waited for,
   or closed for sending.
2. The answer is taken off before anything is read: whoever reads gets the protocol's own bytes, or `ConnectionFailed`
   where the other side refused, said something else, or said nothing for `timeout_s`. What was sent is lost then.
3. Whoever must know first calls `agreed`.
4. Where the other side may have gone away unnoticed, nothing is sent on trust: see `is_fresh`.

Source: multiformats, "multistream-select"; libp2p, "Connection establishment".
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

import trio

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.multistream import Dialer
from peernet.net.connection import PeerConnection
from peernet.net.streams import PeerStream

__all__ = ["FRESH_S", "ProposedStream", "is_fresh", "propose"]

FRESH_S: Final = 10.0
"""A connection that was heard from so lately bears an optimistic stream. On an older one the answer is waited for: a
peer may close just now what was idle, and the one who waits learns of it before its request is lost."""


def is_fresh(connection: PeerConnection) -> bool:
    """Whether the other side was heard from within `FRESH_S`."""
    return trio.current_time() - connection.last_heard < FRESH_S


def propose(connection: PeerConnection, protocol: str, timeout_s: float) -> "ProposedStream":
    """A new stream of `protocol`; nothing of it is sent yet. Raises `ConnectionFailed` as opening a stream does."""
    stream = connection.open_stream(partial(ProposedStream, protocol=protocol, timeout_s=timeout_s))
    assert isinstance(stream, ProposedStream)
    return stream


class ProposedStream(PeerStream):
    """A stream that speaks `protocol`, if the other side does; it has `timeout_s` to say so once it is waited for."""

    __slots__ = ("_dialer", "_is_agreed", "_proposal", "_protocol", "_timeout_s")

    def __init__(self, connection: PeerConnection, stream_id: int, *, protocol: str, timeout_s: float) -> None:
        super().__init__(connection, stream_id)
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._dialer = Dialer((protocol,))
        self._proposal = self._dialer.data_to_send()
        self._is_agreed = False

    async def agreed(self) -> None:
        """Waits until the other side has agreed; raises `ConnectionFailed` when it does not."""
        if self._is_agreed:
            return
        try:
            await self._take_answer()
        except RemoteProtocolError as error:
            self.reset()
            raise ConnectionFailed(f"{self.peer} does not serve {self._protocol}") from error
        except trio.TooSlowError as error:
            self.reset()
            raise ConnectionFailed(f"{self.peer} did not answer to {self._protocol} in time") from error

    async def _take_answer(self) -> None:
        await self._send_proposal()
        with trio.fail_after(self._timeout_s):
            while self._dialer.selected is None:
                data = await super().receive_some()
                if not data:
                    raise ConnectionFailed(f"{self.peer} closed the stream while {self._protocol} was negotiated")
                self._dialer.receive(data)
        self._is_agreed = True
        self.unread(self._dialer.leftover())

    async def _send_proposal(self) -> None:
        if self._proposal and not self.over:
            await self.send_all(b"")

    # Once all is agreed, these two hand on what the stream itself does: a coroutine of their own around it would cost
    # a tenth of a short message.

    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        return self._send_behind_proposal(data) if self._proposal else super().send_all(data)

    def send_now(self, data: bytes) -> bool:
        return not self._proposal and super().send_now(data)

    def receive_some(self) -> Coroutine[Any, Any, bytes]:
        return super().receive_some() if self._is_agreed else self._receive_after_answer()

    async def _send_behind_proposal(self, data: bytes) -> None:
        # A cancellation that is due comes before the proposal is taken, and so never loses it.
        await trio.lowlevel.checkpoint_if_cancelled()
        data, self._proposal = self._proposal + data, b""
        await super().send_all(data)

    async def _receive_after_answer(self) -> bytes:
        await self.agreed()
        return await super().receive_some()

    async def close_sending(self) -> None:
        await self._send_proposal()
        await super().close_sending()

    async def wait_ended(self) -> None:
        await self._send_proposal()
        await super().wait_ended()

    async def wait_remote_closed(self) -> None:
        await self._send_proposal()
        await super().wait_remote_closed()
