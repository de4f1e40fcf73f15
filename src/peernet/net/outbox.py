"""A connection's outgoing half: what its streams have to say, sealed and sent.

Theory of operation. A task that writes sends by itself, in its own turn, where the connection was quiet; what follows
at once is gathered and sent together, by the node's flusher or when there is much of it. What the socket does not take
is drained by a task that exists for as long as that takes. Rules:

1. Nothing here waits but a writer, in `wait_writable`, and the task that drains.
2. What the protocol took will be sent, in order, unless the connection ends before.
3. While something is drained nothing is sent past it.
"""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from peernet.core.connection import Connection
from peernet.core.yamux.session import Yamux
from peernet.net.flusher import Flusher
from peernet.net.transports.port import ByteStream

__all__ = ["Outbox", "OutboxOwner", "Writer"]

_GATHERED_SIZE: Final = 128 * 1024
"""With so many gathered bytes a writer sends them itself: one call for more of them is hardly cheaper."""
_SHORT_WAY: Final = 1024
"""One piece of at most so many bytes, written on a quiet connection, goes past the queue."""


class OutboxOwner(Protocol):
    """The connection, as its outgoing half knows it."""

    def close(self, why: str) -> None:
        """Ends the connection now."""

    def on_drained(self) -> None:
        """All that waited for the socket was sent."""


class Writer(Protocol):
    """A stream that has something to send."""

    @property
    def stream_id(self) -> int:
        """The yamux id."""

    @property
    def over(self) -> bool:
        """Whether it sends nothing more."""

    async def wait_changed(self) -> None:
        """Waits until something of it changes."""

    def on_changed(self) -> None:
        """Wakes whoever waits for that."""


class Outbox:
    """What one connection sends.

    Args:
        transport: the byte stream below.
        protocol: the connection's state machine.
        high_water: with more unsent bytes than this, writers wait.
        owner: the connection, which says by `stop` that it is over.
        flusher: the node's; None where the connection will bring its own before it runs.
    """

    __slots__ = (
        "__weakref__",
        "_draining_scope",
        "_gathering",
        "_owner",
        "_protocol",
        "_rest",
        "_scheduled",
        "_send_now",
        "_transport",
        "_writers",
        "_yamux",
        "bytes_sent",
        "crash",
        "drained",
        "flusher",
        "high_water",
        "unsent_bytes",
        "writing_since",
    )

    def __init__(
        self,
        transport: ByteStream,
        protocol: Connection,
        high_water: int,
        owner: OutboxOwner,
        flusher: Flusher | None,
    ) -> None:
        self._transport = transport
        # (A check of the whole port by `isinstance` takes as long as an encryption.)
        self._send_now: Callable[[list[bytes]], int] | None = getattr(transport, "send_now", None)
        self._protocol = protocol
        self._yamux: Yamux | None = None
        self._owner: OutboxOwner | None = owner
        self.flusher = flusher
        self.high_water = high_water
        self.unsent_bytes = 0
        """Bytes that wait to be written: of the streams, and, where they are sealed already, of what they became."""
        self.bytes_sent = 0
        """What was handed to the transport so far, or will be next."""
        self.crash: Exception | None = None
        """The error of ours that ended the connection while it sent."""
        self.drained: trio.Event | None = None
        """Set when all is sent that waits for the socket; None where nothing does."""
        self.writing_since: float | None = None
        """When the socket was given what it has not taken yet; None where it has taken all."""
        self._rest = b""
        """What the socket did not take."""
        self._gathering = False
        """Whether something was sent just now: what follows is gathered."""
        self._scheduled = False
        self._draining_scope: trio.CancelScope | None = None
        self._writers: set[Writer] = set()

    @property
    def congested(self) -> bool:
        """Whether more bytes wait to be written than the limit."""
        return self.unsent_bytes > self.high_water

    @property
    def closes_at_once(self) -> bool:
        """Whether the transport can be closed without waiting: a direct one has nothing to say, if all was sent."""
        return self._send_now is not None and self.drained is None

    def begin(self, yamux: Yamux) -> None:
        """The handshake is done: streams can send."""
        self._yamux = yamux

    def stop(self) -> None:
        """The connection is over: nothing more is sent."""
        self._owner = None
        if self._draining_scope is not None:
            self._draining_scope.cancel()

    # What a stream does.

    def send(self, stream_id: int, data: bytes | memoryview) -> int:
        """Queues what the stream's window allows and returns how many bytes that were."""
        if not self._gathering and len(data) <= _SHORT_WAY and type(data) is bytes and self.drained is None:
            message = self._protocol.seal_at_once(stream_id, data)
            if message is not None:
                self._gathering = True
                self._put_out([message])
                return len(data)
        assert self._yamux is not None
        taken = self._yamux.send(stream_id, data)
        if taken:
            self.unsent_bytes += taken
            self.queued()
        return taken

    async def wait_writable(self, writer: Writer, *, more: bool) -> None:
        """Waits while more is unsent than the limit; with `more` to send, until some of it would be taken."""
        if self._is_writable(writer, more):
            return
        self._writers.add(writer)
        try:
            while not self._is_writable(writer, more):
                await writer.wait_changed()
        finally:
            self._writers.discard(writer)

    def room(self, stream_id: int) -> int:
        """How many bytes of a stream would be taken now: its window, and nothing while the outbox is full."""
        if self._owner is None or self.congested or self._yamux is None or not self._yamux.is_open(stream_id):
            return 0
        return self._yamux.send_window(stream_id)

    def gather_from(self, stream_id: int, data: bytes) -> int:
        """`send`, but that what is taken leaves with the next `flush`, or once there is much of it. Never raises."""
        assert self._yamux is not None
        taken = self._yamux.send(stream_id, data)
        self.unsent_bytes += taken
        if self.unsent_bytes >= _GATHERED_SIZE:
            self.flush()
        return taken

    def tell_writable(self, writer: Writer) -> None:
        """Has `writer.on_changed` called, as often as it may be so, when the outbox is no longer full."""
        self._writers.add(writer)

    def forget_writer(self, writer: Writer) -> None:
        """Undoes `tell_writable`."""
        self._writers.discard(writer)

    def _is_writable(self, writer: Writer, more: bool) -> bool:
        """Whether a writer need not wait; one whose stream is over is told by its next call."""
        if self._owner is None or writer.over:
            return True
        return not self.congested and (not more or self._protocol.yamux.send_window(writer.stream_id) > 0)

    # What the connection does.

    def queued(self) -> None:
        """Something was queued: it is sent now, or gathered with what follows."""
        if not self._gathering:
            self._gathering = True
            self.send_out()
        elif self.unsent_bytes >= _GATHERED_SIZE:
            self.send_out()
        elif not self._scheduled:
            self._schedule()

    def gather(self) -> None:
        """Something was queued that leaves together with what follows."""
        self._gathering = True
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self.flusher is not None:
            self._scheduled = True
            self.flusher.schedule(self)

    def answer(self) -> None:
        """What came was taken in: what the protocol answers to it is sent at once."""
        self._gathering = False
        if self._protocol.has_data_to_send:
            self.send_out()

    def send_out(self) -> None:
        """Sends what the protocol holds, as far as that goes without waiting; the rest is drained."""
        if self.drained is not None or self._owner is None:
            return
        buffers = self._protocol.buffers_to_send()
        if buffers:
            self.unsent_bytes = 0
            self._put_out(buffers)

    def _put_out(self, buffers: list[bytes]) -> None:
        size = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        self.bytes_sent += size
        try:
            sent = 0 if self._send_now is None else self._send_now(buffers)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")
            return
        if sent < size:
            self._rest = _after(buffers, sent)
            self.unsent_bytes = len(self._rest)
            self.drained = trio.Event()
            self._draining_scope = trio.CancelScope()
            assert self.flusher is not None
            self.flusher.start_draining(self)

    # What the flusher does, and the reader that has handed cells on.

    def flush(self) -> None:
        """Sends what was gathered. Never raises: it may be called in another connection's task."""
        self._scheduled = False
        self._gathering = False
        try:
            self.send_out()
        except Exception as error:  # noqa: BLE001  (the flusher serves all connections: raised where this one runs)
            self._crashed(error)

    async def drain(self) -> None:
        """Sends what the socket did not take at once, and what is queued in the meantime."""
        drained, scope = self.drained, self._draining_scope
        assert drained is not None
        assert scope is not None
        try:
            with scope:
                await self._drain()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")
        except Exception as error:  # noqa: BLE001  (the flusher serves all connections: raised where this one runs)
            self._crashed(error)
        finally:
            self.drained = self._draining_scope = None
            drained.set()
        if self._owner is not None:
            self._owner.on_drained()

    async def _drain(self) -> None:
        while self._owner is not None:
            data, self._rest = self._rest, b""
            if not data:
                data = self._protocol.data_to_send()
                self.bytes_sent += len(data)
                self.unsent_bytes = len(data)
            if not data:
                return
            self.writing_since = trio.current_time()
            await self._transport.send_all(data)
            self.unsent_bytes -= len(data)
            self.writing_since = None
            for writer in tuple(self._writers):
                writer.on_changed()

    def _crashed(self, error: Exception) -> None:
        self.crash = error
        self._end("the connection crashed")

    def _end(self, why: str) -> None:
        if self._owner is not None:
            self._owner.close(why)


def _after(buffers: list[bytes], sent: int) -> bytes:
    """What is left of the buffers behind so many bytes."""
    for place, buffer in enumerate(buffers):
        if sent < len(buffer):
            return b"".join([memoryview(buffer)[sent:], *buffers[place + 1 :]])
        sent -= len(buffer)
    return b""
