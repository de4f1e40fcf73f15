"""A connection on trio: one reader, whoever has something to say, and the streams between them.

The protocol is `core.connection.Connection`; this drives it over a byte stream. Theory of operation. The reader takes
what has come, hands each stream its bytes, and then sends at once what the protocol has to answer. A task that writes
sends by itself, in its own turn, where the connection was quiet; what follows at once is gathered and sent together,
by the node's flusher or when there is much of it. Rules:

1. **Sending yields only when it would block, and always checks for cancellation.** It would block when the stream's
   window is used up or the connection's outbox is full: then the writer waits. A cancelled sender leaves no half
   frame: what the protocol took will be sent.
2. A stream that is read slowly holds at most its window. The reader never waits for one stream.
3. When the connection ends, every stream of it ends: reads and writes raise `ConnectionFailed`. What a stream has
   received before can still be read.
4. Nothing waits for the peer without a bound: ending a connection ends its tasks at once, and `check`, which the
   owner calls now and then, gives up a peer that says nothing or takes nothing. (A timer for each write would cost
   more than the write.)
5. A connection that goes away, on whichever side that was said, takes no new streams, and ends with its last one.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from peernet.core.connection import Connection, Established
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.yamux import (
    INITIAL_WINDOW,
    DataReceived,
    GoneAway,
    PongReceived,
    RemoteClosed,
    SendWindowOpened,
    StreamOpened,
    StreamReset,
    Yamux,
)
from peernet.net.flusher import Flusher
from peernet.net.limits import Limits
from peernet.net.transports.port import ByteStream

__all__ = ["PeerConnection", "PeerStream"]

_READ_SIZE: Final = 256 * 1024
_GATHERED_SIZE: Final = 128 * 1024
"""With so many gathered bytes a writer sends them itself: one call for more of them is hardly cheaper."""
_SMALL: Final = 1024
"""Pieces of fewer bytes are put together while they wait, so that no peer makes a window cost much more than it is;
and one piece of them, written on a quiet connection, goes the short way."""
_CONSUMED_AT_ONCE: Final = INITIAL_WINDOW // 8
"""What a stream's reader consumes is told to yamux in steps of so many bytes: no window opens for less anyway."""
_LARGE: Final = 16 * 1024
"""Pieces of at least so many bytes are handed to the reader one by one: putting them together costs a copy."""


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
        "_failed",
        "_id",
        "_local_closed",
        "_received",
        "_remote_closed",
    )

    def __init__(self, connection: "PeerConnection", stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._received: deque[bytes | bytearray] = deque()
        self._remote_closed = False
        self._local_closed = False
        self._consumed = 0
        """Bytes handed to the reader that yamux was not told of; below zero when some were put back after that."""
        self._failed: str | None = None
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
        connection = self._connection
        # Who comes to a full outbox waits before anything is taken, so that many writers do not fill it further.
        taken = connection.send(self, data) if connection.unsent_bytes <= connection.high_water else 0
        if taken < len(data) or connection.unsent_bytes > connection.high_water:
            await self._send_slowly(memoryview(data)[taken:])

    async def _send_slowly(self, rest: memoryview) -> None:
        """Sends the rest as the window and the outbox allow."""
        await self._connection.wait_writable(self, more=bool(rest))
        while rest:
            self._check()
            taken = self._connection.send(self, rest)
            rest = rest[taken:]
            await self._connection.wait_writable(self, more=bool(rest))

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
            self._consumed -= len(data)

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
        self._consumed = 0

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
        received = self._received
        if not received or len(data) >= _SMALL:
            received.append(data)
        elif type(received[-1]) is bytearray:
            received[-1] += data
        else:
            received.append(bytearray(data))
        self._changed.wake()

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
        self._changed.wake()


class PeerConnection:
    """A connection to one peer, from the first byte of its handshake.

    Args:
        transport: the byte stream below.
        protocol: the state machine, fresh.
        on_stream: takes each stream that the peer opens (it must not wait).
        observed: the multiaddr of the peer's network address, without a port.
        flusher: the node's; without one the connection runs its own.
    """

    __slots__ = (
        "__weakref__",
        "_awaits_pong",
        "_crash",
        "_drained",
        "_draining_scope",
        "_established_or_ended",
        "_flusher",
        "_gathering",
        "_limits",
        "_on_stream",
        "_peer",
        "_pinged_at",
        "_pings",
        "_protocol",
        "_rest",
        "_scheduled",
        "_scope",
        "_send_now",
        "_streams",
        "_transport",
        "_writers",
        "_writing_since",
        "_yamux",
        "bytes_received",
        "bytes_sent",
        "closed",
        "draining",
        "ended",
        "failure",
        "high_water",
        "last_heard",
        "last_used",
        "observed",
        "on_established",
        "streams_opened_in",
        "streams_opened_out",
        "unsent_bytes",
    )

    def __init__(
        self,
        transport: ByteStream,
        protocol: Connection,
        limits: Limits,
        on_stream: Callable[["PeerConnection", PeerStream], None],
        *,
        observed: str | None = None,
        flusher: Flusher | None = None,
    ) -> None:
        self._transport = transport
        # (A check of the whole port by `isinstance` takes as long as an encryption.)
        self._send_now: Callable[[list[bytes]], int] | None = getattr(transport, "send_now", None)
        self._flusher = flusher
        self._protocol = protocol
        self._limits = limits
        self._on_stream = on_stream
        self._streams: dict[int, PeerStream] = {}
        self._writers: set[PeerStream] = set()
        self._peer: PeerId | None = None
        self._yamux: Yamux | None = None
        self._scope = trio.CancelScope()

        self.unsent_bytes = 0
        """Bytes that wait to be written: of the streams, and, where they are sealed already, of what they became."""
        self.high_water = limits.outbox_high_water
        """A connection with more unsent bytes than this makes its writers wait."""
        self._rest = b""
        """What the socket did not take."""
        self._gathering = False
        """Whether something was sent just now: what follows is gathered."""
        self._scheduled = False
        self._draining_scope: trio.CancelScope | None = None
        self._drained: trio.Event | None = None
        self._writing_since: float | None = None
        self._crash: Exception | None = None

        self._pings = 0
        self._pinged_at = 0.0
        self._awaits_pong = False
        self._established_or_ended = trio.Event()
        self.observed = observed
        self.on_established: Callable[[PeerConnection], None] | None = None
        """Called when the handshake is done, before anything else of the peer is looked at."""
        self.closed = trio.Event()
        self.ended: str | None = None
        self.failure: RemoteProtocolError | None = None
        self.last_used = trio.current_time()
        self.last_heard = self.last_used
        self.draining = False
        """Whether one side has said that it goes away: the connection takes no new streams."""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.streams_opened_in = 0
        self.streams_opened_out = 0

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
        return self.unsent_bytes > self.high_water

    @property
    def round_trip_s(self) -> float | None:
        """The round trip to the peer, in seconds, as pings measured it; None until one has."""
        return self._protocol.yamux.round_trip_s if self._protocol.established else None

    async def run(self) -> None:
        """Drives the connection until it ends; afterwards `ended` says why, and `failure` what the peer broke."""
        try:
            with self._scope:
                if self._flusher is not None:
                    await self._read()
                else:
                    await self._run_alone()
        finally:
            self._end("the connection was cancelled")
            try:
                if self._send_now is not None and self._drained is None:
                    await self._transport.aclose()  # a direct stream has nothing to say and waits for nothing
                else:
                    await self._close_slowly()
            finally:
                self.closed.set()
        if self._crash is not None:
            raise self._crash

    async def _close_slowly(self) -> None:
        with trio.move_on_after(self._limits.farewell_s, shield=True):
            if self._drained is not None:
                await self._drained.wait()
            await self._transport.aclose()

    async def _run_alone(self) -> None:
        async with trio.open_nursery() as nursery:
            self._flusher = Flusher(nursery)
            nursery.start_soon(self._flusher.run)
            await self._read()
            nursery.cancel_scope.cancel()

    async def wait_established(self) -> PeerId:
        """The peer's id once the handshake is done; raises what ended the connection before that."""
        await self._established_or_ended.wait()
        if self._peer is not None:
            return self._peer
        if self.failure is not None:
            raise self.failure
        raise ConnectionFailed(self.ended or "the connection ended")

    def open_stream(self, new: Callable[["PeerConnection", int], PeerStream] = PeerStream) -> PeerStream:
        """A stream to the peer, made by `new`; raises `ConnectionFailed` if the connection ended, or bears no more."""
        if self.ended is not None:
            raise ConnectionFailed(self.ended)
        if self.draining:
            raise ConnectionFailed("the connection is going away, and takes no new streams")
        if not self._protocol.yamux.can_open:
            raise ConnectionFailed("the connection has as many streams as it bears")
        self.last_used = trio.current_time()
        stream_id = self._protocol.yamux.open_stream()
        stream = self._streams[stream_id] = new(self, stream_id)
        self.streams_opened_out += 1
        # The frame that opens it leaves together with what is written first.
        self._gathering = True
        self._schedule()
        return stream

    def ping(self) -> None:
        """Asks the peer for a sign of life, unless one is on its way; `last_heard` tells."""
        if self.alive and not self._awaits_pong:
            self._awaits_pong = True
            self._pings = (self._pings + 1) % 2**32
            self._pinged_at = trio.current_time()
            self._protocol.yamux.ping(self._pings)
            self._queued()

    def go_away(self) -> None:
        """Says that nothing new is taken; the connection ends by itself with its last stream."""
        if self.alive and not self.draining:
            self._protocol.yamux.go_away()
            self.draining = True
            self._queued()
            self._end_if_idle("the connection went away")

    def check(self) -> None:
        """Ends the connection if the peer has said or taken nothing for too long, or the keys are worn; else pings."""
        if self._protocol.must_close:
            self._end("the connection's keys are used up")
            return
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
        if not self._gathering and len(data) <= _SMALL and type(data) is bytes and self._drained is None:
            message = self._protocol.seal_at_once(stream.stream_id, data)
            if message is not None:
                self._gathering = True
                self._put_out([message])
                return len(data)
        assert self._yamux is not None
        taken = self._yamux.send(stream.stream_id, data)
        if taken:
            self.unsent_bytes += taken
            self._queued()
        return taken

    def acknowledge(self, stream: PeerStream, size: int) -> None:
        """The stream's reader has consumed `size` bytes: its window opens again."""
        if stream.stream_id in self._streams:
            assert self._yamux is not None
            yamux = self._yamux
            if yamux.acknowledge(stream.stream_id, size, trio.current_time()) and yamux.round_trip_s is None:
                self.ping()
            if yamux.has_data_to_send:
                self._queued()

    def close_stream(self, stream: PeerStream) -> None:
        """Closes our half of the stream."""
        if stream.stream_id in self._streams:
            self._protocol.yamux.close(stream.stream_id)
            self._queued()
            self._forget_if_over(stream)

    def reset_stream(self, stream: PeerStream) -> None:
        """Ends the stream both ways."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._protocol.yamux.reset(stream.stream_id)
            self._queued()
            self._end_if_idle("its last stream is over")

    def _is_writable(self, stream: PeerStream, more: bool) -> bool:
        """Whether a writer need not wait; one whose stream is over is told by its next call."""
        if self.ended is not None or stream.over:
            return True
        return not self.congested and (not more or self._protocol.yamux.send_window(stream.stream_id) > 0)

    # What goes out.

    def _queued(self) -> None:
        """Something was queued: it is sent now, or gathered with what follows."""
        if self._gathering:
            self._gather()
        else:
            self._gathering = True
            self._send_out()

    def _gather(self) -> None:
        if self.unsent_bytes >= _GATHERED_SIZE:
            self._send_out()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._flusher is not None:
            self._scheduled = True
            self._flusher.schedule(self)

    def flush(self) -> None:
        """Sends what was gathered; for the flusher."""
        self._scheduled = False
        self._gathering = False
        try:
            self._send_out()
        except Exception as error:  # noqa: BLE001  (the flusher serves all connections: raised where this one runs)
            self._crashed(error)

    def _send_out(self) -> None:
        """Sends what the protocol holds, as far as that goes without waiting; the rest is drained."""
        if self._drained is not None or self.ended is not None:
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
            self._rest = b"".join(buffers)[sent:]
            self.unsent_bytes = len(self._rest)
            self._drained = trio.Event()
            self._draining_scope = trio.CancelScope()
            assert self._flusher is not None
            self._flusher.start_draining(self)

    async def drain(self) -> None:
        """Sends what the socket did not take at once, and what is queued in the meantime; for the flusher."""
        drained, scope = self._drained, self._draining_scope
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
            self._drained = self._draining_scope = None
            drained.set()
        self._end_if_idle("its last stream is over")

    async def _drain(self) -> None:
        while self.ended is None:
            data, self._rest = self._rest, b""
            if not data:
                data = self._protocol.data_to_send()
                self.bytes_sent += len(data)
                self.unsent_bytes = len(data)
            if not data:
                return
            self._writing_since = trio.current_time()
            await self._transport.send_all(data)
            self.unsent_bytes -= len(data)
            self._writing_since = None
            for stream in tuple(self._writers):
                stream.on_changed()

    def _crashed(self, error: Exception) -> None:
        self._crash = error
        self._end("the connection crashed")

    # What comes in.

    async def _read(self) -> None:
        self._send_out()
        try:
            while data := await self._transport.receive_some(_READ_SIZE):
                self._take(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")
        except RemoteProtocolError as error:
            self.failure = error
            self._end("the peer broke the protocol")
        self._end("the peer closed the connection")

    def _take(self, data: bytes | bytearray | memoryview) -> None:
        """Takes what has come; all of it is dispatched before anything is answered."""
        now = trio.current_time()
        self.last_heard = now
        self.bytes_received += len(data)
        for event in self._protocol.receive(data):
            if type(event) is DataReceived:
                self.last_used = now
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    stream.on_data(event.data)
            else:
                self._dispatch(event)
        self._gathering = False
        if self._protocol.has_data_to_send:
            self._send_out()

    def _dispatch(self, event: object) -> None:
        match event:
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
                    self._end_if_idle("its last stream is over")
            case PongReceived():
                self._take_pong()
            case Established():
                self._peer = event.peer_id
                self._yamux = self._protocol.yamux
                self._established_or_ended.set()
                if self.on_established is not None:
                    self.on_established(self)
            case GoneAway():
                self.draining = True
                self._end_if_idle("the peer is going away")

    def _take_stream(self, stream_id: int) -> None:
        # What came in one piece is dispatched when all of it was taken in: the stream may have been reset since.
        if not self._protocol.yamux.is_open(stream_id):
            return
        self.last_used = self.last_heard
        stream = self._streams[stream_id] = PeerStream(self, stream_id)
        self.streams_opened_in += 1
        self._protocol.yamux.accept(stream_id)
        self._on_stream(self, stream)

    def _take_pong(self) -> None:
        self._awaits_pong = False
        yamux, measured_s = self._protocol.yamux, self.last_heard - self._pinged_at
        yamux.round_trip_s = measured_s if yamux.round_trip_s is None else (yamux.round_trip_s + measured_s) / 2

    def _forget_if_over(self, stream: PeerStream) -> None:
        """Drops a stream whose halves are both closed; what it has received can still be read."""
        if stream.over:
            del self._streams[stream.stream_id]
            self._end_if_idle("its last stream is over")

    def _end_if_idle(self, why: str) -> None:
        """Ends a connection that goes away once nothing is left of it to do (rule 5)."""
        if self.draining and not self._streams and self.ended is None:
            self._send_out()
            if self._drained is None:
                self._end(why)

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
        if self._draining_scope is not None:
            self._draining_scope.cancel()
