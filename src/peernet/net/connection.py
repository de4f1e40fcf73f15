"""A connection on trio: one reader, one writer, and the streams between them.

The protocol is `core.connection.Connection`; this drives it over a byte stream. Rules:

1. One task reads, one task writes. Whoever queues bytes wakes the writer; a cancelled sender leaves no half frame.
2. `Stream.send_all` waits only when its stream's window or the connection's outbox is full, and always checks for
   cancellation.
3. A stream that is read slowly holds at most its window. The reader never waits for one stream.
4. When the connection ends, every stream of it ends: reads and writes raise `ConnectionFailed`. What a stream has
   received before can still be read.
5. Nothing waits for the peer without a bound: ending a connection ends its tasks at once, and `check`, which the
   owner calls now and then, gives up a peer that says nothing or takes nothing. (A timer for each write would cost
   more than the write.)
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from peernet.core.connection import Connection, Established
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.yamux import (
    DataReceived,
    GoneAway,
    PongReceived,
    RemoteClosed,
    SendWindowOpened,
    StreamOpened,
    StreamReset,
)
from peernet.net.limits import Limits
from peernet.net.transports.port import ByteStream

__all__ = ["PeerConnection", "PeerStream"]

_READ_SIZE: Final = 256 * 1024
_SMALL: Final = 1024
"""Pieces of fewer bytes are put together while they wait, so that no peer makes a window cost much more than it is."""


class PeerStream:
    """One yamux stream to a peer: bytes both ways, each direction closed on its own."""

    def __init__(self, connection: "PeerConnection", stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._received: deque[bytes | bytearray] = deque()
        self._remote_closed = False
        self._local_closed = False
        self._unread = 0
        self._failed: str | None = None
        self._changed = trio.Event()

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
        rest: bytes | memoryview = data
        while rest:
            self._check()
            taken = self._connection.send(self, rest)
            rest = memoryview(rest)[taken:]
            await self._connection.wait_writable(self, more=bool(rest))

    async def receive_some(self) -> bytes:
        """Some bytes, or `b""` at the end of the other side's half."""
        while not self._received:
            if self._remote_closed:
                await trio.lowlevel.checkpoint_if_cancelled()
                return b""
            self._check()
            await self._changed.wait()
        await trio.lowlevel.checkpoint_if_cancelled()
        data = b"".join(self._received)
        self._received.clear()
        self._connection.acknowledge(self, len(data) - self._unread)
        self._unread = 0
        return data

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
            self._drop_received()
            await self._changed.wait()

    def unread(self, data: bytes) -> None:
        """Puts bytes back that the protocol negotiation read too far; their window is open already."""
        if data:
            self._received.appendleft(data)
            self._unread += len(data)

    def reset(self) -> None:
        """Ends the stream at once, both ways; what was received and not read is dropped."""
        self._drop_received()
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

    def _drop_received(self) -> None:
        self._received.clear()
        self._unread = 0

    # What follows is for the connection that owns this stream.

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
        if len(data) >= _SMALL:
            self._received.append(data)
        elif self._received and type(self._received[-1]) is bytearray:
            self._received[-1] += data
        else:
            self._received.append(bytearray(data) if self._received else data)
        self.on_changed()

    def on_remote_closed(self) -> None:
        """The peer closed its half."""
        self._remote_closed = True
        self.on_changed()

    def on_failed(self, why: str) -> None:
        """The stream is over before its time; the first reason stays."""
        if self._failed is None:
            self._failed = why
            self.on_changed()

    def on_changed(self) -> None:
        """Wakes whoever waits on this stream."""
        self._changed.set()
        self._changed = trio.Event()


class PeerConnection:
    """A connection to one peer, from the first byte of its handshake.

    Args:
        transport: the byte stream below.
        protocol: the state machine, fresh.
        on_stream: takes each stream that the peer opens (it must not wait).
        observed: the multiaddr of the peer's network address, without a port.
    """

    def __init__(
        self,
        transport: ByteStream,
        protocol: Connection,
        limits: Limits,
        on_stream: Callable[["PeerConnection", PeerStream], None],
        *,
        observed: str | None = None,
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._limits = limits
        self._on_stream = on_stream
        self._streams: dict[int, PeerStream] = {}
        self._writers: set[PeerStream] = set()
        self._peer: PeerId | None = None
        self._work = trio.Event()
        self._scope = trio.CancelScope()
        self._outbox_size = 0
        self._writing_since: float | None = None
        self._pings = 0
        self._awaits_pong = False
        self._established_or_ended = trio.Event()
        self.observed = observed
        self.closed = trio.Event()
        self.ended: str | None = None
        self.failure: RemoteProtocolError | None = None
        self.last_used = trio.current_time()
        self.last_heard = trio.current_time()

    @property
    def peer(self) -> PeerId:
        """Who is at the other end, proven by the handshake."""
        assert self._peer is not None
        return self._peer

    @property
    def stream_count(self) -> int:
        """Streams open now."""
        return len(self._streams)

    @property
    def established(self) -> bool:
        """Whether the handshake was finished, be the connection alive or not."""
        return self._peer is not None

    @property
    def alive(self) -> bool:
        """Whether the handshake is done and nothing has ended since."""
        return self.ended is None and self._peer is not None

    @property
    def congested(self) -> bool:
        """Whether more bytes wait to be written than the limit."""
        return self._outbox_size > self._limits.outbox_high_water

    async def run(self) -> None:
        """Drives the connection until it ends; afterwards `ended` says why, and `failure` what the peer broke."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
        finally:
            self._end("the connection was cancelled")
            try:
                with trio.move_on_after(self._limits.farewell_s, shield=True):
                    await self._transport.aclose()
            finally:
                self.closed.set()

    async def wait_established(self) -> PeerId:
        """The peer's id once the handshake is done; raises what ended the connection before that."""
        await self._established_or_ended.wait()
        if self._peer is not None:
            return self._peer
        if self.failure is not None:
            raise self.failure
        raise ConnectionFailed(self.ended or "the connection ended")

    def open_stream(self) -> PeerStream:
        """A new stream to the peer; raises `ConnectionFailed` when the connection has ended, or bears no more."""
        if self.ended is not None:
            raise ConnectionFailed(self.ended)
        if not self._protocol.yamux.can_open:
            raise ConnectionFailed("the connection has as many streams as it bears")
        self.last_used = trio.current_time()
        stream_id = self._protocol.yamux.open_stream()
        stream = self._streams[stream_id] = PeerStream(self, stream_id)
        self._work.set()
        return stream

    def ping(self) -> None:
        """Asks the peer for a sign of life, unless one is on its way; `last_heard` tells."""
        if self.alive and not self._awaits_pong:
            self._awaits_pong = True
            self._pings = (self._pings + 1) % 2**32
            self._protocol.yamux.ping(self._pings)
            self._work.set()

    def check(self) -> None:
        """Ends the connection if the peer has said or taken nothing for too long; pings it before that."""
        now = trio.current_time()
        silent_s = now - self.last_heard
        if self._writing_since is not None and now - self._writing_since > self._limits.write_timeout_s:
            self._end("the peer takes nothing of what is sent")
        elif silent_s > self._limits.silence_timeout_s:
            self._end("the peer has fallen silent")
        elif silent_s > self._limits.silence_timeout_s / 2:
            self.ping()

    def close(self, why: str = "the connection was closed") -> None:
        """Ends the connection now."""
        self._end(why)

    async def wait_writable(self, stream: PeerStream, *, more: bool) -> None:
        """Waits while the outbox is over its limit; with `more` to send, until some of it would be taken."""
        if self._is_writable(stream, more):
            return
        self._writers.add(stream)
        try:
            while not self._is_writable(stream, more):
                await stream.wait_changed()
        finally:
            self._writers.discard(stream)

    def send(self, stream: PeerStream, data: bytes | memoryview) -> int:
        """Queues what the stream's window allows and returns how many bytes that were."""
        taken = self._protocol.yamux.send(stream.stream_id, data)
        self._outbox_size += taken
        self._work.set()
        return taken

    def acknowledge(self, stream: PeerStream, size: int) -> None:
        """The stream's reader has consumed `size` bytes: its window opens again."""
        if stream.stream_id in self._streams:
            self._protocol.yamux.acknowledge(stream.stream_id, size)
            self._work.set()

    def close_stream(self, stream: PeerStream) -> None:
        """Closes our half of the stream."""
        if stream.stream_id in self._streams:
            self._protocol.yamux.close(stream.stream_id)
            self._forget_if_over(stream)
            self._work.set()

    def reset_stream(self, stream: PeerStream) -> None:
        """Ends the stream both ways."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._protocol.yamux.reset(stream.stream_id)
            self._work.set()

    def _is_writable(self, stream: PeerStream, more: bool) -> bool:
        """Whether a writer need not wait; one whose stream is over is told by its next call."""
        if self.ended is not None or stream.over:
            return True
        return not self.congested and (not more or self._protocol.yamux.send_window(stream.stream_id) > 0)

    async def _write(self) -> None:
        try:
            while self.ended is None:
                self._work = trio.Event()
                size = self._outbox_size
                if data := self._protocol.data_to_send():
                    self._writing_since = trio.current_time()
                    await self._transport.send_all(data)
                    self._writing_since = None
                    self._outbox_size -= size
                    if self._writers:
                        for stream in tuple(self._writers):
                            stream.on_changed()
                else:
                    await self._work.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")

    async def _read(self) -> None:
        self._work.set()
        try:
            while data := await self._transport.receive_some(_READ_SIZE):
                self.last_heard = trio.current_time()
                for event in self._protocol.receive(data):
                    self._dispatch(event)
                self._work.set()
                if self._protocol.must_close:
                    self._end("the connection's keys are used up")
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")
        except RemoteProtocolError as error:
            self.failure = error
            self._end("the peer broke the protocol")
        self._end("the peer closed the connection")

    def _dispatch(self, event: object) -> None:
        match event:
            case DataReceived():
                self.last_used = trio.current_time()
                if stream := self._streams.get(event.stream_id):
                    stream.on_data(event.data)
            case SendWindowOpened():
                if stream := self._streams.get(event.stream_id):
                    stream.on_changed()
            case StreamOpened():
                self._take_stream(event.stream_id)
            case RemoteClosed():
                if stream := self._streams.get(event.stream_id):
                    stream.on_remote_closed()
                    self._forget_if_over(stream)
            case StreamReset():
                if stream := self._streams.pop(event.stream_id, None):
                    stream.on_failed("the peer reset the stream")
            case PongReceived():
                self._awaits_pong = False
            case Established():
                self._peer = event.peer_id
                self._established_or_ended.set()
            case GoneAway():
                self._end("the peer is going away")

    def _take_stream(self, stream_id: int) -> None:
        # What came in one piece is dispatched when all of it was taken in: the stream may have been reset since.
        if not self._protocol.yamux.is_open(stream_id):
            return
        self.last_used = trio.current_time()
        stream = self._streams[stream_id] = PeerStream(self, stream_id)
        self._protocol.yamux.accept(stream_id)
        self._on_stream(self, stream)

    def _forget_if_over(self, stream: PeerStream) -> None:
        """Drops a stream whose halves are both closed; what it has received can still be read."""
        if stream.over:
            del self._streams[stream.stream_id]

    def _end(self, why: str) -> None:
        """Everything of this connection is over; only the first reason counts."""
        if self.ended is not None:
            return
        self.ended = why
        for stream in self._streams.values():
            stream.on_failed(why)
        self._streams.clear()
        self._established_or_ended.set()
        self._scope.cancel()
