"""A connection on trio: one reader, whoever has something to say, and the streams between them.

The protocol is `core.connection.Connection`; this drives it over a byte stream. Theory of operation. The reader takes
what has come, hands each stream its bytes, and then sends at once what the protocol has to answer. How it is sent, and
what the streams themselves send, is in `net.outbox`; what a stream does is in `net.streams`. Rules:

1. The reader never waits for one stream: one that is read slowly holds at most its window. A stream that has a
   consumer is handed what came once all was taken in, and what the consumers wrote is sent then.
2. When the connection ends, every stream of it ends.
3. Nothing waits for the peer without a bound: ending a connection ends its tasks at once, and `check`, which the
   owner calls now and then, gives up a peer that says nothing or takes nothing. (A timer for each write would cost
   more than the write.)
4. A connection that goes away, on whichever side that was said, takes no new streams, and ends with its last one.
"""

from collections.abc import Callable
from typing import Final

import trio

from peernet.core.connection import Connection, Established
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.yamux.events import (
    DataReceived,
    GoneAway,
    PongReceived,
    RemoteClosed,
    SendWindowOpened,
    StreamOpened,
    StreamRefused,
    StreamReset,
)
from peernet.core.yamux.session import Yamux
from peernet.net.flusher import Flusher
from peernet.net.limits import Limits
from peernet.net.outbox import Outbox
from peernet.net.streams import PeerStream
from peernet.net.transports.port import ByteStream

__all__ = ["PeerConnection"]

_READ_SIZE: Final = 256 * 1024


class PeerConnection:
    """A connection to one peer, from the first byte of its handshake.

    Args:
        transport: the byte stream below.
        protocol: the state machine, fresh.
        on_stream: takes each stream that the peer opens (it must not wait).
        on_refused: told why each stream that yamux refused by itself was.
        observed: the multiaddr of the peer's network address, without a port.
        flusher: the node's; without one the connection runs its own.
    """

    __slots__ = (
        "__weakref__",
        "_awaits_pong",
        "_deferred",
        "_established_or_ended",
        "_limits",
        "_on_refused",
        "_on_stream",
        "_peer",
        "_pinged_at",
        "_pings",
        "_protocol",
        "_scope",
        "_streams",
        "_transport",
        "_yamux",
        "bytes_received",
        "closed",
        "draining",
        "ended",
        "failure",
        "last_heard",
        "last_used",
        "observed",
        "on_established",
        "outbox",
        "streams_opened_in",
        "streams_opened_out",
    )

    def __init__(
        self,
        transport: ByteStream,
        protocol: Connection,
        limits: Limits,
        on_stream: Callable[["PeerConnection", PeerStream], None],
        *,
        on_refused: Callable[[str], None] | None = None,
        observed: str | None = None,
        flusher: Flusher | None = None,
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self.outbox = Outbox(transport, protocol, limits.outbox_high_water, self, flusher)
        """What goes out."""
        self._limits = limits
        self._on_stream = on_stream
        self._on_refused = on_refused
        self._streams: dict[int, PeerStream] = {}
        self._deferred: dict[PeerStream, None] = {}
        """Streams with a consumer for which something has come."""
        self._peer: PeerId | None = None
        self._yamux: Yamux | None = None
        self._scope = trio.CancelScope()

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
    def bytes_sent(self) -> int:
        """What went out so far."""
        return self.outbox.bytes_sent

    @property
    def round_trip_s(self) -> float | None:
        """The round trip to the peer, in seconds, as pings measured it; None until one has."""
        return self._protocol.yamux.round_trip_s if self._protocol.established else None

    async def run(self) -> None:
        """Drives the connection until it ends; afterwards `ended` says why, and `failure` what the peer broke."""
        try:
            with self._scope:
                if self.outbox.flusher is not None:
                    await self._read()
                else:
                    await self._run_alone()
        finally:
            self._end("the connection was cancelled")
            try:
                if self.outbox.closes_at_once:
                    await self._transport.aclose()
                else:
                    await self._close_slowly()
            finally:
                self.closed.set()
        if self.outbox.crash is not None:
            raise self.outbox.crash

    async def _close_slowly(self) -> None:
        with trio.move_on_after(self._limits.farewell_s, shield=True):
            if self.outbox.drained is not None:
                await self.outbox.drained.wait()
            await self._transport.aclose()

    async def _run_alone(self) -> None:
        async with trio.open_nursery() as nursery:
            self.outbox.flusher = flusher = Flusher(nursery)
            nursery.start_soon(flusher.run)
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
        self.outbox.gather()
        return stream

    def ping(self) -> None:
        """Asks the peer for a sign of life, unless one is on its way; `last_heard` tells."""
        if self.alive and not self._awaits_pong:
            self._awaits_pong = True
            self._pings = (self._pings + 1) % 2**32
            self._pinged_at = trio.current_time()
            self._protocol.yamux.ping(self._pings)
            self.outbox.queued()

    def go_away(self) -> None:
        """Says that nothing new is taken; the connection ends by itself with its last stream."""
        if self.alive and not self.draining:
            self._protocol.yamux.go_away()
            self.draining = True
            self.outbox.queued()
            self._end_if_idle("the connection went away")

    def check(self) -> None:
        """Ends the connection if the peer has said or taken nothing for too long, or the keys are worn; else pings."""
        if self._protocol.must_close:
            self._end("the connection's keys are used up")
            return
        now = trio.current_time()
        silent_s = now - self.last_heard
        if self.outbox.writing_since is not None and now - self.outbox.writing_since > self._limits.write_timeout_s:
            self._end("the peer takes nothing of what is sent")
        elif silent_s > self._limits.silence_timeout_s:
            self._end("the peer has fallen silent")
        elif silent_s > self._limits.silence_timeout_s / 2:
            self.ping()

    def close(self, why: str = "the connection was closed") -> None:
        """Ends the connection now."""
        self._end(why)

    def acknowledge(self, stream: PeerStream, size: int) -> None:
        """The stream's reader has consumed `size` bytes: its window opens again."""
        if stream.stream_id in self._streams:
            assert self._yamux is not None
            yamux = self._yamux
            if yamux.acknowledge(stream.stream_id, size, trio.current_time()) and yamux.round_trip_s is None:
                self.ping()
            if yamux.has_data_to_send:
                self.outbox.queued()

    def reopen(self, stream: PeerStream, size: int) -> None:
        """The stream's consumer has taken `size` bytes: its window opens again, and does not grow.

        The word for it leaves with what follows: a consumer may be called by any connection's reader.
        """
        if stream.stream_id in self._streams:
            assert self._yamux is not None
            if self._yamux.acknowledge(stream.stream_id, size, 0.0, grow=False):
                self.outbox.gather()

    def defer(self, stream: PeerStream) -> None:
        """Has the stream's consumer called when all that came was taken in."""
        self._deferred[stream] = None

    def close_stream(self, stream: PeerStream) -> None:
        """Closes our half of the stream."""
        if stream.stream_id in self._streams:
            self._protocol.yamux.close(stream.stream_id)
            self.outbox.queued()
            self._forget_if_over(stream)

    def reset_stream(self, stream: PeerStream) -> None:
        """Ends the stream both ways."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._protocol.yamux.reset(stream.stream_id)
            self.outbox.queued()
            self._end_if_idle("its last stream is over")

    # What comes in.

    async def _read(self) -> None:
        self.outbox.send_out()
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
        if self._deferred:
            self._deliver()
        self.outbox.answer()

    def _deliver(self) -> None:
        """Hands the consumers what came, and sends what they wrote: once for each connection that they wrote to."""
        deferred, self._deferred = self._deferred, {}
        for outbox in {stream.deliver() for stream in deferred}:
            if outbox is not None:
                outbox.flush()

    def _dispatch(self, event: object) -> None:
        match event:
            case SendWindowOpened():
                if stream := self._streams.get(event.stream_id):
                    stream.on_changed()
            case StreamOpened():
                self._take_stream(event.stream_id)
            case StreamRefused():
                if self._on_refused is not None:
                    self._on_refused(event.reason)
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
                self.outbox.begin(self._yamux)
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

    def on_drained(self) -> None:
        """What waited for the socket was sent; for the outbox."""
        self._end_if_idle("its last stream is over")

    def _end_if_idle(self, why: str) -> None:
        """Ends a connection that goes away once nothing is left of it to do (rule 4)."""
        if self.draining and not self._streams and self.ended is None:
            self.outbox.send_out()
            if self.outbox.drained is None:
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
        self.outbox.stop()
