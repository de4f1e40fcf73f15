"""A stream to a peer, as whoever reads and writes it has it.

Rules:

1. Sending yields only when it would block, and always checks for cancellation. It would block when the stream's window
   is used up or the connection's outbox is full.
2. What has come is kept until it is read: at most the window. The connection's reader never waits for a stream.
3. When the stream is over, reads and writes raise `ConnectionFailed`. What was received before can still be read.
4. A stream that is handed to a `Consumer` has no reader: the connection's reader calls the consumer once it has taken
   in all that came, and sends then what the consumer has written meanwhile. Nothing of this waits. What the consumer
   leaves is kept as before, and holds the window.
"""

from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, Protocol

import trio

from peernet.core.errors import ConnectionFailed, LocalProtocolError
from peernet.core.identity import PeerId
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.net.outbox import Outbox

__all__ = ["Consumer", "PeerStream", "StreamConnection"]

_SMALL: Final = 1024
"""Pieces of fewer bytes are put together while they wait, so that no peer makes a window cost much more than it is."""
_LARGE: Final = 16 * 1024
"""Pieces of at least so many bytes are handed to the reader one by one: putting them together costs a copy."""
_CONSUMED_AT_ONCE: Final = INITIAL_WINDOW // 8
"""What a stream's reader consumes is told to yamux in steps of so many bytes: no window opens for less anyway."""


class StreamConnection(Protocol):
    """The connection that a stream belongs to, as the stream knows it."""

    @property
    def outbox(self) -> Outbox:
        """Where it sends."""

    @property
    def peer(self) -> PeerId:
        """Who is at the other end, proven by the handshake."""

    @property
    def observed(self) -> str | None:
        """The multiaddr of the peer's network address, without a port."""

    def acknowledge(self, stream: "PeerStream", size: int) -> None:
        """The stream's reader has consumed `size` bytes: its window opens again."""

    def reopen(self, stream: "PeerStream", size: int) -> None:
        """The stream's consumer has taken `size` bytes: its window opens again, and does not grow."""

    def defer(self, stream: "PeerStream") -> None:
        """Has the stream's consumer called when all that came was taken in."""

    def close_stream(self, stream: "PeerStream") -> None:
        """Closes our half of the stream."""

    def reset_stream(self, stream: "PeerStream") -> None:
        """Ends the stream both ways."""


class Consumer(Protocol):
    """Who takes what comes on a stream, in the connection's reader. Its methods neither wait nor end a stream."""

    def on_received(self) -> Outbox | None:
        """Bytes have come. Returns an outbox that it wrote to (by `PeerStream.send_gathered`), which is then sent."""

    def on_writable(self) -> None:
        """Perhaps more can be written than before."""

    def on_over(self) -> None:
        """The other side has closed its half, or the stream has failed."""


class _Waiters:
    """Tasks that wait for something to change. An event does the same, and costs three times as much."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: list[trio.lowlevel.Task] = []

    def wait(self) -> Awaitable[None]:
        task = trio.lowlevel.current_task()
        self._tasks.append(task)
        # (Whoever calls this awaits it: one more coroutine would only hand it on.)
        return trio.lowlevel.wait_task_rescheduled(partial(self._give_up, task))  # noqa: ASYNC105

    def _give_up(self, task: trio.lowlevel.Task, _: Any) -> trio.lowlevel.Abort:
        self._tasks.remove(task)
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        if self._tasks:
            for task in self._tasks:
                trio.lowlevel.reschedule(task)
            self._tasks.clear()


class PeerStream:
    """One yamux stream to a peer: bytes both ways, each direction closed on its own."""

    __slots__ = (
        "__weakref__",
        "_changed",
        "_connection",
        "_consumed",
        "_consumer",
        "_failed",
        "_id",
        "_local_closed",
        "_outbox",
        "_received",
        "_remote_closed",
    )

    def __init__(self, connection: StreamConnection, stream_id: int) -> None:
        self._connection = connection
        self._outbox = connection.outbox
        self._id = stream_id
        self._received: deque[bytes | bytearray] = deque()
        self._remote_closed = False
        self._local_closed = False
        self._consumed = 0
        """Bytes handed to the reader that yamux was not told of; below zero when some were put back after that."""
        self._failed: str | None = None
        self._consumer: Consumer | None = None
        self._changed = _Waiters()

    @property
    def peer(self) -> PeerId:
        """Who is at the other end."""
        return self._connection.peer

    @property
    def observed(self) -> str | None:
        """The multiaddr of the network address at the other end, without a port; None where there is none."""
        return self._connection.observed

    async def send_all(self, data: bytes) -> None:
        """Sends all of `data`; raises `ConnectionFailed` when the stream or its connection has ended."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._local_closed:
            raise LocalProtocolError("a stream whose sending half is closed sends nothing more")
        if self._failed is not None:
            raise ConnectionFailed(self._failed)
        outbox = self._outbox
        # Who comes to a full outbox waits before anything is taken, so that many writers do not fill it further.
        taken = outbox.send(self._id, data) if outbox.unsent_bytes <= outbox.high_water else 0
        if taken < len(data) or outbox.unsent_bytes > outbox.high_water:
            await self._send_slowly(memoryview(data)[taken:])

    def send_now(self, data: bytes) -> bool:
        """Sends all of `data` where that goes without waiting; False, and nothing is sent, where it does not.

        So also where the stream has ended. No other task may be within `send_all`.
        """
        return self.room >= len(data) and self._outbox.send(self._id, data) == len(data)

    async def _send_slowly(self, rest: memoryview) -> None:
        """Sends the rest as the window and the outbox allow."""
        await self._outbox.wait_writable(self, more=bool(rest))
        while rest:
            self._check()
            taken = self._outbox.send(self._id, rest)
            rest = rest[taken:]
            await self._outbox.wait_writable(self, more=bool(rest))

    async def receive_some(self) -> bytes:
        """Some bytes, or `b""` at the end of the other side's half."""
        received = self._received
        if received or self._remote_closed:
            await trio.lowlevel.checkpoint_if_cancelled()
        while not received:
            if self._remote_closed:
                return b""
            if self._failed is not None:
                raise ConnectionFailed(self._failed)
            await self._changed.wait()
        if len(received) == 1 or len(received[0]) >= _LARGE:
            data = bytes(received.popleft())
        else:
            data = b"".join(received)
            received.clear()
        self._consumed += len(data)
        if self._consumed >= _CONSUMED_AT_ONCE:
            self._connection.acknowledge(self, self._consumed)
            self._consumed = 0
        return data

    async def agreed(self) -> None:
        """Waits until the protocol is agreed on; raises `ConnectionFailed` when it is not."""
        await trio.lowlevel.checkpoint_if_cancelled()

    async def close_sending(self) -> None:
        """Closes our half: the other side reads the end after what was sent."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._failed is None and not self._local_closed:
            self._local_closed = True
            self._connection.close_stream(self)

    async def wait_ended(self) -> None:
        """Waits until the other side has closed its half, or the stream is over; what comes is kept."""
        while not self._remote_closed and self._failed is None:
            await self._changed.wait()

    async def wait_remote_closed(self) -> None:
        """Waits until the other side has closed its half, or the stream is over; what comes is dropped."""
        while not self._remote_closed and self._failed is None:
            self.drop()
            await self._changed.wait()

    def unread(self, data: bytes) -> None:
        """Puts bytes back that the protocol negotiation read too far; their window is open already."""
        if data:
            self._received.appendleft(data)
            self._consumed -= len(data)

    # What a consumer does.

    def hand_to(self, consumer: Consumer | None) -> None:
        """Has what comes handed to `consumer`, which looks itself after what is there already; None undoes it."""
        self._consumer = consumer
        if consumer is None:
            self._outbox.forget_writer(self)

    @property
    def outbox(self) -> Outbox:
        """Where it sends."""
        return self._outbox

    @property
    def failed(self) -> bool:
        """Whether the stream was over before its time."""
        return self._failed is not None

    @property
    def remote_over(self) -> bool:
        """Whether nothing more comes."""
        return self._remote_closed or self._failed is not None

    @property
    def held_bytes(self) -> int:
        """What has come and was not taken."""
        return sum(map(len, self._received))

    @property
    def room(self) -> int:
        """How many bytes could be sent now without waiting."""
        return 0 if self._local_closed or self._failed is not None else self._outbox.room(self._id)

    def take(self) -> bytes:
        """All that has come; what is not consumed of it is put back."""
        received = self._received
        if len(received) == 1:
            return bytes(received.popleft())
        data = b"".join(received)
        received.clear()
        return data

    def put_back(self, data: bytes) -> None:
        """Puts back the rest of what was taken."""
        if data:
            self._received.appendleft(data)

    def consumed(self, size: int) -> None:
        """So much of what was taken is consumed: the window opens again, and does not grow."""
        self._consumed += size
        if self._consumed >= _CONSUMED_AT_ONCE:
            self._connection.reopen(self, self._consumed)
            self._consumed = 0

    def send_gathered(self, data: bytes) -> int:
        """Sends as much as goes without waiting, with the next words of the connection; how many bytes that were."""
        return self._outbox.gather_from(self._id, data)

    def tell_writable(self) -> None:
        """Has the consumer told when the connection, which is full, is so no longer."""
        self._outbox.tell_writable(self)

    def drop(self) -> None:
        """Drops what has come and was not taken; its window stays closed."""
        self._received.clear()
        self._consumed = 0

    def deliver(self) -> Outbox | None:
        """Hands what came to the consumer; the outbox that it wrote to."""
        return None if self._consumer is None else self._consumer.on_received()

    def reset(self) -> None:
        """Ends the stream at once, both ways; what was received and not read is dropped."""
        self.drop()
        if self._failed is None:
            self.on_failed("the stream was reset")
            self._connection.reset_stream(self)

    async def __aenter__(self) -> "PeerStream":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.close_sending()
        finally:
            if kind is not None or not self.over:
                self.reset()

    def _check(self) -> None:
        if self._failed is not None:
            raise ConnectionFailed(self._failed)

    # What follows is for the connection that owns this stream, and its outbox.

    @property
    def stream_id(self) -> int:
        """The yamux id."""
        return self._id

    @property
    def over(self) -> bool:
        """Whether both halves are closed, or the stream failed."""
        return self._failed is not None or (self._local_closed and self._remote_closed)

    async def wait_changed(self) -> None:
        """Waits until something of this stream changes."""
        await self._changed.wait()

    def on_data(self, data: bytes) -> None:
        """The peer sent bytes."""
        received = self._received
        if not received or len(data) >= _SMALL:
            received.append(data)
        elif type(received[-1]) is bytearray:
            received[-1] += data
        else:
            received.append(bytearray(data))
        if self._consumer is None:
            self._changed.wake()
        else:
            self._connection.defer(self)

    def on_remote_closed(self) -> None:
        """The peer closed its half."""
        self._remote_closed = True
        self._on_over()

    def on_failed(self, why: str) -> None:
        """The stream is over before its time; the first reason stays."""
        if self._failed is None:
            self._failed = why
            self._on_over()

    def on_changed(self) -> None:
        """Wakes whoever waits on this stream."""
        self._changed.wake()
        if self._consumer is not None:
            self._consumer.on_writable()

    def _on_over(self) -> None:
        self._changed.wake()
        if self._consumer is not None:
            self._consumer.on_over()
