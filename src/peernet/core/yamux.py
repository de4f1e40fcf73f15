"""yamux 1.0.0: many streams with flow control over one connection, as a state machine without I/O.

Theory of operation. A frame is a header of 12 bytes (version 0, type, flags, stream id, length, big endian) and, for
data, `length` bytes. A stream is opened by SYN, acknowledged by ACK, half closed by FIN, killed by RST; the initiator
of the connection opens odd ids, the responder even ones. Each side may send as many bytes on a stream as the other
granted: 256 KiB at first, then what window updates add. Pings and go-away belong to the session, stream 0.

Rules:

1. `send` takes what the window and the queue allow and says how much that was. If it took less than offered, then
   either `send_window` is 0, and a `SendWindowOpened` will tell when to go on, or the queue is full, and the caller
   goes on after `data_to_send`.
2. The application says by `acknowledge` what it has consumed; when that is half the window, it is granted again. If
   that took less than `ROUND_TRIPS_A_GRANT` round trips, the window is what holds the other side up, and doubles: so
   it comes to fit the bandwidth-delay product. A reader that is slow keeps the window that it has. Growth is reserved
   in a budget first; a window does not grow where that says no, nor over its limit.
3. Data events carry what has come, in pieces if need be: no frame is waited for, and none is buffered.
4. Writes on one stream in a row become one frame, as far as it holds them and nobody asked for the bytes in between.
5. A stream is forgotten when both sides closed it or one reset it, and then costs nothing. Frames that cross with
   that are dropped: the data among them against an allowance, which each of our resets raises by what the other
   side may still have sent in good faith.
6. Everything that grows has a limit in `YamuxLimits`, and the remote hitting one is refused or an error.

SYN and ACK travel as window updates, FIN and RST as empty data frames: the spelling that every implementation takes.
An incoming stream is acknowledged when the application first does something with it (the ACK backlog of the libp2p
text): `accept` alone, or any other call on it.

Source: hashicorp/yamux, spec.md; libp2p specifications, "yamux". That windows grow by the round trip is done by the
implementations for Go and Rust, too, and needs nothing of the other side.
"""

import struct
from typing import Any, Final, Protocol

from attrs import define, frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "GO_AWAY_INTERNAL_ERROR",
    "GO_AWAY_NORMAL",
    "GO_AWAY_PROTOCOL_ERROR",
    "HEADER_SIZE",
    "INITIAL_WINDOW",
    "MAX_FRAME_DATA",
    "NO_BUDGET",
    "PROTOCOL",
    "ROUND_TRIPS_A_GRANT",
    "DataReceived",
    "GoneAway",
    "PongReceived",
    "RemoteClosed",
    "SendWindowOpened",
    "StreamOpened",
    "StreamReset",
    "WindowBudget",
    "Yamux",
    "YamuxEvent",
    "YamuxLimits",
]

PROTOCOL: Final = "/yamux/1.0.0"
HEADER_SIZE: Final = 12
INITIAL_WINDOW: Final = 256 * 1024
MAX_FRAME_DATA: Final = 65535 - 16 - HEADER_SIZE
"""Bytes of data in one of our frames; with its header it fills a Noise message, and so is opened with one call. The
other side's frames are bounded by the window alone."""

ROUND_TRIPS_A_GRANT: Final = 2
"""A reader that frees half of the window in fewer round trips is held up by it."""

GO_AWAY_NORMAL: Final = 0
GO_AWAY_PROTOCOL_ERROR: Final = 1
GO_AWAY_INTERNAL_ERROR: Final = 2

_UNLIMITED: Final = 2**63 - 1
_MAX_UINT32: Final = 2**32 - 1

_DATA: Final = 0
_WINDOW_UPDATE: Final = 1
_PING: Final = 2
_GO_AWAY: Final = 3

_SYN: Final = 1
_ACK: Final = 2
_FIN: Final = 4
_RST: Final = 8

_HEADER: Final = struct.Struct(">BBHII")


@frozen
class YamuxLimits:
    """What one session may hold. Counts, and sizes in bytes."""

    max_inbound_streams: int = 512
    """Streams of the remote at once; more are reset."""
    max_outbound_streams: int = 512
    """Streams of ours at once; more are not opened."""
    max_backlog: int = 256
    """Streams not yet acknowledged, in each direction."""
    receive_window: int = INITIAL_WINDOW
    """What a stream may have received and not yet consumed, at first; not below the initial window."""
    max_receive_window: int = 16 << 20
    """What that may grow to: 16 MiB carry 160 MB/s over a round trip of 100 ms."""
    max_queued: int = 1 << 20
    """Stream data queued between two calls of `data_to_send`."""
    max_queued_replies: int = 1024
    """Pongs and refusals queued between two calls of `data_to_send`; a remote that causes more floods us."""
    max_pings: int = 16
    """Pings of ours that wait for their pong."""
    max_late_bytes: int = 64 << 20
    """Data for forgotten streams that may still be on its way."""

    def __attrs_post_init__(self) -> None:
        if not INITIAL_WINDOW <= self.receive_window <= _MAX_UINT32:
            raise LocalProtocolError(f"a receive window is at least {INITIAL_WINDOW} bytes, not {self.receive_window}")
        if not self.max_receive_window <= _MAX_UINT32:
            raise LocalProtocolError(f"a receive window has 32 bits, {self.max_receive_window} has not")


DEFAULT_LIMITS: Final = YamuxLimits()


class WindowBudget(Protocol):
    """Who is asked before a receive window grows; what was reserved is given back when the stream is forgotten."""

    def reserve(self, size_bytes: int) -> bool:
        """Whether so many bytes more may be held."""

    def release(self, size_bytes: int) -> None:
        """So many are not needed any more."""


class _NoBudget:
    """Windows grow to their limit."""

    def reserve(self, size_bytes: int) -> bool:
        return True

    def release(self, size_bytes: int) -> None:
        pass


NO_BUDGET: Final = _NoBudget()


@frozen
class StreamOpened:
    """The remote opened a stream."""

    stream_id: int


@define
class DataReceived:
    """Bytes of a stream, in order; never empty."""

    # Not frozen: one is made for each frame, and freezing it would double what that costs.

    stream_id: int
    data: bytes


@frozen
class SendWindowOpened:
    """A stream whose send window was used up can send again."""

    stream_id: int


@frozen
class RemoteClosed:
    """The remote sends nothing more on this stream."""

    stream_id: int


@frozen
class StreamReset:
    """The remote killed this stream; it is forgotten."""

    stream_id: int


@frozen
class PongReceived:
    """The answer to our ping."""

    value: int


@frozen
class GoneAway:
    """The remote takes no new streams; `code` is one of the GO_AWAY constants, or what it made up."""

    code: int


YamuxEvent = StreamOpened | DataReceived | SendWindowOpened | RemoteClosed | StreamReset | PongReceived | GoneAway


class _Stream:
    """What we know of one stream. `receive_window` + `ungranted` + what the application holds = `window`."""

    __slots__ = (
        "acknowledged",
        "granted_at_s",
        "local_closed",
        "receive_window",
        "remote_closed",
        "reserved",
        "send_window",
        "ungranted",
        "window",
    )

    def __init__(self, *, window: int, ungranted: int) -> None:
        self.window = window
        self.reserved = 0
        self.granted_at_s: float | None = None
        self.send_window = INITIAL_WINDOW
        self.receive_window = INITIAL_WINDOW
        self.ungranted = ungranted
        self.acknowledged = False
        self.local_closed = False
        self.remote_closed = False


class Yamux:
    """One side of a session; `initiator` is whether it opened the connection."""

    __slots__ = (
        "_body_closes",
        "_body_id",
        "_body_size",
        "_body_stream",
        "_budget",
        "_inbound_backlog",
        "_inbound_streams",
        "_last_data_id",
        "_last_data_index",
        "_last_data_size",
        "_late_allowance",
        "_limits",
        "_max_queued",
        "_next_id",
        "_out",
        "_outbound_backlog",
        "_outbound_streams",
        "_partial_header",
        "_pings",
        "_queued",
        "_queued_replies",
        "_remote_parity",
        "_streams",
        "going_away",
        "gone_away",
        "round_trip_s",
    )

    def __init__(
        self, initiator: bool, limits: YamuxLimits = DEFAULT_LIMITS, budget: WindowBudget = NO_BUDGET
    ) -> None:
        self._limits = limits
        self._max_queued = limits.max_queued
        self._budget = budget
        self.round_trip_s: float | None = None
        """The round trip, in seconds, as whoever sends pings has measured it; until then no window grows."""
        self._next_id = 1 if initiator else 2
        self._remote_parity = 0 if initiator else 1
        self._streams: dict[int, _Stream] = {}
        self._inbound_streams = 0
        self._outbound_streams = 0
        self._inbound_backlog = 0
        self._outbound_backlog = 0
        self._pings: set[int] = set()
        self.going_away = False
        """We sent a go-away."""
        self.gone_away = False
        """The remote sent one."""

        # Outgoing frames in pieces. A data frame's header is written when the frame can grow no more.
        self._out: list[bytes | memoryview] = []
        self._queued = 0
        self._queued_replies = 0
        self._last_data_id = 0
        self._last_data_index = 0
        self._last_data_size = 0

        # Incoming: the beginning of a header, or how much of a data frame is still to come.
        self._partial_header = b""
        self._body_size = 0
        self._body_id = 0
        self._body_stream: _Stream | None = None
        self._body_closes = False
        self._late_allowance = 0

    # What the application does.

    @property
    def stream_count(self) -> int:
        """Streams that are not forgotten."""
        return len(self._streams)

    @property
    def can_open(self) -> bool:
        """Whether `open_stream` would open one now."""
        return (
            not self.gone_away
            and not self.going_away
            and self._outbound_streams < self._limits.max_outbound_streams
            and self._outbound_backlog < self._limits.max_backlog
            and self._next_id <= _MAX_UINT32
        )

    def is_open(self, stream_id: int) -> bool:
        """Whether this stream is not forgotten."""
        return stream_id in self._streams

    def open_stream(self) -> int:
        """Opens a stream and returns its id; raises `LocalProtocolError` where `can_open` is false."""
        if not self.can_open:
            raise LocalProtocolError("no stream can be opened now: look at can_open first")
        stream_id = self._next_id
        self._next_id += 2
        window = self._limits.receive_window
        self._streams[stream_id] = stream = _Stream(window=window, ungranted=0)
        extra = window - INITIAL_WINDOW
        stream.receive_window += extra
        self._outbound_streams += 1
        self._outbound_backlog += 1
        self._queue(_WINDOW_UPDATE, _SYN, stream_id, extra)
        return stream_id

    def accept(self, stream_id: int) -> None:
        """Acknowledges an incoming stream, once; any other call on it does so too."""
        stream = self._stream(stream_id)
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)

    def send_window(self, stream_id: int) -> int:
        """Bytes that the remote would take on this stream now."""
        return self._stream(stream_id).send_window

    def send(self, stream_id: int, data: bytes | bytearray | memoryview) -> int:
        """Queues as much of `data` as the send window and the queue allow; the number of bytes taken.

        Raises `LocalProtocolError` for a stream that is closed on this side or forgotten.
        """
        stream = self._streams.get(stream_id) or self._stream(stream_id)
        if stream.local_closed:
            raise LocalProtocolError(f"stream {stream_id} is closed for sending")
        size = len(data)
        room = self._max_queued - self._queued
        if size > room or size > stream.send_window:
            size = min(room, stream.send_window)
        if size <= 0:
            return 0
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        stream.send_window -= size
        self._queued += size
        if type(data) is not bytes or size < len(data):
            data = bytes(memoryview(data)[:size])
        last_id = self._last_data_id
        if last_id == stream_id and self._last_data_size + size <= MAX_FRAME_DATA:
            self._out.append(data)
            self._last_data_size += size
        elif not last_id and size <= MAX_FRAME_DATA:
            self._begin_data(stream_id, data)
        else:
            self._queue_data(stream_id, data)
        return size

    def frame(self, stream_id: int, data: bytes) -> bytes | None:
        """The frame that sends `data` at once, past the queue; None where `send` must take it, in whole or in part."""
        stream = self._streams.get(stream_id)
        size = len(data)
        if (
            stream is None
            or self._out
            or stream.local_closed
            or not stream.acknowledged
            or not 0 < size <= MAX_FRAME_DATA
            or size > stream.send_window
        ):
            return None
        stream.send_window -= size
        return _HEADER.pack(0, _DATA, 0, stream_id, size) + data

    def acknowledge(self, stream_id: int, size: int, now_s: float) -> bool:
        """Says that the application consumed `size` bytes of this stream; nothing for a forgotten stream.

        `now_s` is any clock that goes forward. Returns whether window was granted.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        held = stream.window - stream.receive_window - stream.ungranted
        if not 0 <= size <= held:
            raise LocalProtocolError(f"{size} bytes of stream {stream_id} consumed, of {held} received")
        stream.ungranted += size
        if stream.ungranted * 2 < stream.window or stream.remote_closed:
            return False
        if (
            self.round_trip_s is not None
            and stream.granted_at_s is not None
            and now_s - stream.granted_at_s < ROUND_TRIPS_A_GRANT * self.round_trip_s
        ):
            self._grow(stream)
        stream.granted_at_s = now_s
        self._queue(_WINDOW_UPDATE, 0, stream_id, stream.ungranted)
        stream.receive_window += stream.ungranted
        stream.ungranted = 0
        return True

    def _grow(self, stream: _Stream) -> None:
        """Doubles a window, within its limit and the budget; what is new of it is there to be granted."""
        growth = min(stream.window, self._limits.max_receive_window - stream.window)
        if growth > 0 and self._budget.reserve(growth):
            stream.window += growth
            stream.reserved += growth
            stream.ungranted += growth

    def close(self, stream_id: int) -> None:
        """Ends our half of a stream; a second call does nothing."""
        stream = self._stream(stream_id)
        if stream.local_closed:
            return
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        stream.local_closed = True
        self._queue(_DATA, _FIN, stream_id, 0)
        if stream.remote_closed:
            self._forget(stream_id)

    def reset(self, stream_id: int) -> None:
        """Kills a stream; nothing for a forgotten one."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._queue(_DATA, _RST, stream_id, 0)
        if not stream.remote_closed:
            self._allow_late(stream.receive_window)
        self._forget(stream_id)

    def ping(self, value: int) -> None:
        """Asks for a `PongReceived` with this 32-bit value; values in flight are distinct."""
        if not 0 <= value <= _MAX_UINT32:
            raise LocalProtocolError(f"a ping's value has 32 bits, {value} has not")
        if value in self._pings or len(self._pings) >= self._limits.max_pings:
            raise LocalProtocolError(f"ping {value} is in flight already, or {self._limits.max_pings} others are")
        self._pings.add(value)
        self._queue(_PING, _SYN, 0, value)

    def go_away(self, code: int = GO_AWAY_NORMAL) -> None:
        """Says that we open and take no new streams; those there are go on. A second call does nothing."""
        if not self.going_away:
            self.going_away = True
            self._queue(_GO_AWAY, 0, 0, code)

    # What goes out.

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would return anything."""
        return bool(self._out)

    def data_to_send(self) -> bytes:
        """All queued frames, handed over."""
        return b"".join(self.pieces_to_send(_UNLIMITED))

    def pieces_to_send(self, max_size: int) -> list[bytes]:
        """All queued frames, handed over in pieces of at most `max_size` bytes: each is copied together only once."""
        if not self._out:
            return []
        out = self._out
        if self._last_data_id:
            self._finish_data()
        if self._queued + HEADER_SIZE * len(out) <= max_size:
            # All of it fits into one piece: every part is data, or a header.
            whole = b"".join(out)
            out.clear()
            self._queued = self._queued_replies = 0
            return [whole]
        pieces: list[bytes] = []
        piece: list[bytes | memoryview] = []
        room = max_size
        for part in self._out:
            while len(part) > room:
                piece.append(memoryview(part)[:room])
                part = memoryview(part)[room:]  # noqa: PLW2901 - the rest of it is what the loop goes on with
                pieces.append(b"".join(piece))
                piece = []
                room = max_size
            piece.append(part)
            room -= len(part)
        pieces.append(b"".join(piece))
        self._empty_queue()
        return pieces

    def _empty_queue(self) -> None:
        self._out.clear()
        self._queued = 0
        self._queued_replies = 0

    def _queue(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        if self._last_data_id:
            self._finish_data()
        self._out.append(_HEADER.pack(0, kind, flags, stream_id, length))

    def _queue_data(self, stream_id: int, data: bytes) -> None:
        """Queues data that the last frame does not hold, or not all of it."""
        offset = 0
        whole = memoryview(data)
        if self._last_data_id == stream_id:
            offset = MAX_FRAME_DATA - self._last_data_size
            self._out.append(whole[:offset])
            self._last_data_size = MAX_FRAME_DATA
        while offset < len(data):
            if self._last_data_id:
                self._finish_data()
            part = data if not offset and len(data) <= MAX_FRAME_DATA else whole[offset : offset + MAX_FRAME_DATA]
            self._begin_data(stream_id, part)
            offset += len(part)

    def _begin_data(self, stream_id: int, part: bytes | memoryview) -> None:
        """Begins a data frame, which may grow; its header is written when it is finished."""
        self._last_data_id = stream_id
        self._last_data_index = len(self._out)
        self._last_data_size = len(part)
        self._out += (b"", part)

    def _finish_data(self) -> None:
        """Writes the header of the data frame that could still grow."""
        header = _HEADER.pack(0, _DATA, 0, self._last_data_id, self._last_data_size)
        self._out[self._last_data_index] = header
        self._last_data_id = 0

    def _queue_reply(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        self._queued_replies += 1
        if self._queued_replies > self._limits.max_queued_replies:
            raise RemoteProtocolError("the peer causes replies faster than it takes them", reason="flood")
        self._queue(kind, flags, stream_id, length)

    # What comes in.

    def receive(self, data: bytes) -> list[YamuxEvent]:
        """Takes bytes as they come; what they mean, in order. Raises `RemoteProtocolError`."""
        events: list[YamuxEvent] = []
        self.receive_into(data, events)
        return events

    def receive_into(self, data: bytes | memoryview, events: list[Any]) -> None:
        """`receive` for a caller that gathers the events of several pieces; nothing of `data` is kept."""
        if self._partial_header:
            data = self._partial_header + bytes(data)
            self._partial_header = b""
        streams = self._streams
        offset, end = 0, len(data)
        while offset < end:
            if self._body_size:
                offset = self._take_body(data, offset, events)
                continue
            if end - offset < HEADER_SIZE:
                self._partial_header = bytes(data[offset:])
                break
            version, kind, flags, stream_id, length = _HEADER.unpack_from(data, offset)
            offset += HEADER_SIZE
            stream = streams.get(stream_id)
            if (
                stream is not None
                and 0 < length <= end - offset
                and length <= stream.receive_window
                and stream.acknowledged
                and not (stream.remote_closed or version or kind or flags)
            ):
                # Nearly every frame: whole, of data, with no flags, within its window.
                stream.receive_window -= length
                events.append(DataReceived(stream_id, bytes(data[offset : offset + length])))
                offset += length
                continue
            if version != 0:
                raise RemoteProtocolError(f"yamux version {version}", reason="bad_frame")
            if kind == _DATA:
                self._handle_data(flags, stream_id, length, events)
            elif kind == _WINDOW_UPDATE:
                self._handle_window_update(flags, stream_id, length, events)
            elif kind == _PING:
                self._handle_ping(flags, stream_id, length, events)
            elif kind == _GO_AWAY:
                self._handle_go_away(stream_id, length, events)
            else:
                raise RemoteProtocolError(f"yamux frame type {kind}", reason="bad_frame")

    def _handle_data(self, flags: int, stream_id: int, length: int, events: list[YamuxEvent]) -> None:
        stream = self._addressed(flags, stream_id, events)
        if stream is None:
            self._spend_late(length)
        elif length:
            if stream.remote_closed:
                raise RemoteProtocolError("data on a stream that its sender closed", reason="data_after_close")
            if length > stream.receive_window:
                raise RemoteProtocolError(
                    f"{length} bytes of data in a window of {stream.receive_window}", reason="window_overrun"
                )
            stream.receive_window -= length
        self._body_size = length
        self._body_id = stream_id
        self._body_stream = stream
        self._body_closes = bool(flags & _FIN)
        if not length:
            self._end_body(events)

    def _take_body(self, data: bytes | memoryview, offset: int, events: list[YamuxEvent]) -> int:
        """Delivers, or drops, what `data` holds of the current frame; the offset after it."""
        stop = min(len(data), offset + self._body_size)
        self._body_size -= stop - offset
        # The stream may have been reset, and its id even taken again, since the frame began.
        if self._body_stream is not None and self._streams.get(self._body_id) is self._body_stream:
            events.append(DataReceived(self._body_id, bytes(data[offset:stop])))
        if not self._body_size:
            self._end_body(events)
        return stop

    def _end_body(self, events: list[YamuxEvent]) -> None:
        stream, self._body_stream = self._body_stream, None
        if self._body_closes and stream is not None and self._streams.get(self._body_id) is stream:
            self._close_remote(self._body_id, stream, events)

    def _handle_window_update(self, flags: int, stream_id: int, length: int, events: list[YamuxEvent]) -> None:
        stream = self._addressed(flags, stream_id, events)
        if stream is None:
            return
        if stream.send_window + length > _MAX_UINT32:
            raise RemoteProtocolError("a send window of more than 32 bits", reason="window_overflow")
        if length and not stream.send_window and not stream.local_closed:
            events.append(SendWindowOpened(stream_id))
        stream.send_window += length
        if flags & _FIN:
            self._close_remote(stream_id, stream, events)

    def _addressed(self, flags: int, stream_id: int, events: list[YamuxEvent]) -> _Stream | None:
        """The stream of a frame, after SYN, ACK and RST were heeded; None if the frame is to be dropped."""
        if flags & _SYN:
            self._open_remote(stream_id, events)
        stream = self._streams.get(stream_id)
        if stream is None:
            if stream_id == 0 or (self._is_ours(stream_id) and stream_id >= self._next_id):
                raise RemoteProtocolError(f"a frame on stream {stream_id}, which never was", reason="bad_stream_id")
            return None
        if not stream.acknowledged and self._is_ours(stream_id):
            # Some implementations never send ACK by itself; any frame shows that they took the stream.
            stream.acknowledged = True
            self._outbound_backlog -= 1
        if flags & _RST:
            self._forget(stream_id)
            events.append(StreamReset(stream_id))
            return None
        return stream

    def _open_remote(self, stream_id: int, events: list[YamuxEvent]) -> None:
        if stream_id == 0 or stream_id % 2 != self._remote_parity:
            raise RemoteProtocolError(f"the peer opened stream {stream_id}, an id of ours", reason="bad_stream_id")
        if stream_id in self._streams:
            raise RemoteProtocolError(f"the peer opened stream {stream_id} twice", reason="duplicate_stream")
        if (
            self.going_away
            or self._inbound_streams >= self._limits.max_inbound_streams
            or self._inbound_backlog >= self._limits.max_backlog
        ):
            self._queue_reply(_DATA, _RST, stream_id, 0)
            self._allow_late(INITIAL_WINDOW)
            return
        window = self._limits.receive_window
        self._streams[stream_id] = _Stream(window=window, ungranted=window - INITIAL_WINDOW)
        self._inbound_streams += 1
        self._inbound_backlog += 1
        events.append(StreamOpened(stream_id))

    def _close_remote(self, stream_id: int, stream: _Stream, events: list[YamuxEvent]) -> None:
        if stream.remote_closed:
            return
        stream.remote_closed = True
        events.append(RemoteClosed(stream_id))
        if stream.local_closed:
            self._forget(stream_id)

    def _handle_ping(self, flags: int, stream_id: int, value: int, events: list[YamuxEvent]) -> None:
        if stream_id != 0:
            raise RemoteProtocolError(f"a ping on stream {stream_id}", reason="bad_stream_id")
        if flags & _SYN:
            self._queue_reply(_PING, _ACK, 0, value)
        elif value in self._pings:
            self._pings.remove(value)
            events.append(PongReceived(value))
        # A pong that nobody asked for means nothing and costs nothing.

    def _handle_go_away(self, stream_id: int, code: int, events: list[YamuxEvent]) -> None:
        if stream_id != 0:
            raise RemoteProtocolError(f"a go-away on stream {stream_id}", reason="bad_stream_id")
        if not self.gone_away:
            self.gone_away = True
            events.append(GoneAway(code))

    # Streams.

    def _is_ours(self, stream_id: int) -> bool:
        return stream_id % 2 != self._remote_parity

    def _stream(self, stream_id: int) -> _Stream:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"stream {stream_id} was never opened, or is closed or reset")
        return stream

    def _acknowledge_opening(self, stream_id: int, stream: _Stream) -> None:
        """Sends the ACK of an incoming stream; a stream of ours waits for the remote's."""
        if self._is_ours(stream_id):
            return
        stream.acknowledged = True
        self._inbound_backlog -= 1
        self._queue(_WINDOW_UPDATE, _ACK, stream_id, stream.ungranted)
        stream.receive_window += stream.ungranted
        stream.ungranted = 0

    def _forget(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id)
        if stream.reserved:
            self._budget.release(stream.reserved)
        if self._is_ours(stream_id):
            self._outbound_streams -= 1
            self._outbound_backlog -= not stream.acknowledged
        else:
            self._inbound_streams -= 1
            self._inbound_backlog -= not stream.acknowledged

    def _allow_late(self, size: int) -> None:
        """The remote may still send `size` bytes before it learns that their stream is gone."""
        self._late_allowance = min(self._late_allowance + size, self._limits.max_late_bytes)

    def _spend_late(self, size: int) -> None:
        if size > self._late_allowance:
            raise RemoteProtocolError(f"{size} bytes of data for a stream that is not there", reason="unknown_stream")
        self._late_allowance -= size
