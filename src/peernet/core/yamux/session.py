"""One side of a yamux session: streams opened and accepted, frames handled as they come, pings, and going away.

The rules are the package's. What a frame looks like is in `frames`, how windows open in `flow_control`.
"""

from typing import Any, Final

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.yamux.events import (
    DataReceived,
    GoneAway,
    PongReceived,
    RemoteClosed,
    SendWindowOpened,
    StreamOpened,
    StreamRefused,
    StreamReset,
    YamuxEvent,
)
from peernet.core.yamux.flow_control import NO_BUDGET, Stream, WindowBudget
from peernet.core.yamux.frames import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    GO_AWAY_NORMAL,
    HEADER,
    HEADER_SIZE,
    INITIAL_WINDOW,
    MAX_FRAME_DATA,
    MAX_UINT32,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    FrameQueue,
)
from peernet.core.yamux.limits import DEFAULT_LIMITS, YamuxLimits

__all__ = ["PROTOCOL", "Yamux"]

PROTOCOL: Final = "/yamux/1.0.0"

_UNLIMITED: Final = 2**63 - 1


class Yamux:
    """One side of a session; `initiator` is whether it opened the connection."""

    __slots__ = (
        "_body_closes",
        "_body_id",
        "_body_size",
        "_body_stream",
        "_budget",
        "_frames",
        "_inbound_backlog",
        "_inbound_streams",
        "_late_allowance",
        "_limits",
        "_max_queued",
        "_next_id",
        "_outbound_backlog",
        "_outbound_streams",
        "_partial_header",
        "_pings",
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
        self._streams: dict[int, Stream] = {}
        self._inbound_streams = 0
        self._outbound_streams = 0
        self._inbound_backlog = 0
        self._outbound_backlog = 0
        self._pings: set[int] = set()
        self.going_away = False
        """We sent a go-away."""
        self.gone_away = False
        """The remote sent one."""

        self._frames = FrameQueue(limits.max_queued_replies)

        # Incoming: the beginning of a header, or how much of a data frame is still to come.
        self._partial_header = b""
        self._body_size = 0
        self._body_id = 0
        self._body_stream: Stream | None = None
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
            and self._next_id <= MAX_UINT32
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
        self._streams[stream_id] = stream = Stream(window=window, ungranted=0)
        extra = window - INITIAL_WINDOW
        stream.receive_window += extra
        self._outbound_streams += 1
        self._outbound_backlog += 1
        self._frames.add(WINDOW_UPDATE, SYN, stream_id, extra)
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
        frames = self._frames
        room = self._max_queued - frames.data_size
        if size > room or size > stream.send_window:
            size = min(room, stream.send_window)
        if size <= 0:
            return 0
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        stream.send_window -= size
        if type(data) is not bytes or size < len(data):
            data = bytes(memoryview(data)[:size])
        frames.add_data(stream_id, data)
        return size

    def frame(self, stream_id: int, data: bytes) -> bytes | None:
        """The frame that sends `data` at once, past the queue; None where `send` must take it, in whole or in part."""
        stream = self._streams.get(stream_id)
        size = len(data)
        if (
            stream is None
            or self._frames.parts
            or stream.local_closed
            or not stream.acknowledged
            or not 0 < size <= MAX_FRAME_DATA
            or size > stream.send_window
        ):
            return None
        stream.send_window -= size
        return HEADER.pack(0, DATA, 0, stream_id, size) + data

    def acknowledge(self, stream_id: int, size: int, now_s: float, *, grow: bool = True) -> bool:
        """Says that the application consumed `size` bytes of this stream; nothing for a forgotten stream.

        `now_s` is any clock that goes forward. Without `grow` the window stays as large as it is. Returns whether
        window was granted.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        held = stream.window - stream.receive_window - stream.ungranted
        if not 0 <= size <= held:
            raise LocalProtocolError(f"{size} bytes of stream {stream_id} consumed, of {held} received")
        round_trip_s = self.round_trip_s if grow else None
        granted = stream.consume(size, now_s, round_trip_s, self._limits.max_receive_window, self._budget)
        if granted:
            self._frames.add(WINDOW_UPDATE, 0, stream_id, granted)
        return granted > 0

    def close(self, stream_id: int) -> None:
        """Ends our half of a stream; a second call does nothing."""
        stream = self._stream(stream_id)
        if stream.local_closed:
            return
        if not stream.acknowledged:
            self._acknowledge_opening(stream_id, stream)
        stream.local_closed = True
        self._frames.add(DATA, FIN, stream_id, 0)
        if stream.remote_closed:
            self._forget(stream_id)

    def reset(self, stream_id: int) -> None:
        """Kills a stream; nothing for a forgotten one."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._frames.add(DATA, RST, stream_id, 0)
        if not stream.remote_closed:
            self._allow_late(stream.receive_window)
        self._forget(stream_id)

    def ping(self, value: int) -> None:
        """Asks for a `PongReceived` with this 32-bit value; values in flight are distinct."""
        if not 0 <= value <= MAX_UINT32:
            raise LocalProtocolError(f"a ping's value has 32 bits, {value} has not")
        if value in self._pings or len(self._pings) >= self._limits.max_pings:
            raise LocalProtocolError(f"ping {value} is in flight already, or {self._limits.max_pings} others are")
        self._pings.add(value)
        self._frames.add(PING, SYN, 0, value)

    def go_away(self, code: int = GO_AWAY_NORMAL) -> None:
        """Says that we open and take no new streams; those there are go on. A second call does nothing."""
        if not self.going_away:
            self.going_away = True
            self._frames.add(GO_AWAY, 0, 0, code)

    # What goes out.

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would return anything."""
        return bool(self._frames.parts)

    def data_to_send(self) -> bytes:
        """All queued frames, handed over."""
        return b"".join(self._frames.take(_UNLIMITED))

    def pieces_to_send(self, max_size: int) -> list[bytes]:
        """All queued frames, handed over in pieces of at most `max_size` bytes: each is copied together only once."""
        return self._frames.take(max_size)

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
            version, kind, flags, stream_id, length = HEADER.unpack_from(data, offset)
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
            if kind == DATA:
                self._handle_data(flags, stream_id, length, events)
            elif kind == WINDOW_UPDATE:
                self._handle_window_update(flags, stream_id, length, events)
            elif kind == PING:
                self._handle_ping(flags, stream_id, length, events)
            elif kind == GO_AWAY:
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
        self._body_closes = bool(flags & FIN)
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
        if stream.send_window + length > MAX_UINT32:
            raise RemoteProtocolError("a send window of more than 32 bits", reason="window_overflow")
        if length and not stream.send_window and not stream.local_closed:
            events.append(SendWindowOpened(stream_id))
        stream.send_window += length
        if flags & FIN:
            self._close_remote(stream_id, stream, events)

    def _addressed(self, flags: int, stream_id: int, events: list[YamuxEvent]) -> Stream | None:
        """The stream of a frame, after SYN, ACK and RST were heeded; None if the frame is to be dropped."""
        if flags & SYN:
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
        if flags & RST:
            self._forget(stream_id)
            events.append(StreamReset(stream_id))
            return None
        return stream

    def _open_remote(self, stream_id: int, events: list[YamuxEvent]) -> None:
        if stream_id == 0 or stream_id % 2 != self._remote_parity:
            raise RemoteProtocolError(f"the peer opened stream {stream_id}, an id of ours", reason="bad_stream_id")
        if stream_id in self._streams:
            raise RemoteProtocolError(f"the peer opened stream {stream_id} twice", reason="duplicate_stream")
        if reason := self._why_refused():
            self._frames.add_reply(DATA, RST, stream_id, 0)
            self._allow_late(INITIAL_WINDOW)
            events.append(StreamRefused(stream_id, reason))
            return
        window = self._limits.receive_window
        self._streams[stream_id] = Stream(window=window, ungranted=window - INITIAL_WINDOW)
        self._inbound_streams += 1
        self._inbound_backlog += 1
        events.append(StreamOpened(stream_id))

    def _why_refused(self) -> str:
        """Why one more stream of the remote's is not taken; nothing where it is."""
        if self.going_away:
            return "going_away"
        if self._inbound_streams >= self._limits.max_inbound_streams:
            return "session_streams"
        return "session_backlog" if self._inbound_backlog >= self._limits.max_backlog else ""

    def _close_remote(self, stream_id: int, stream: Stream, events: list[YamuxEvent]) -> None:
        if stream.remote_closed:
            return
        stream.remote_closed = True
        events.append(RemoteClosed(stream_id))
        if stream.local_closed:
            self._forget(stream_id)

    def _handle_ping(self, flags: int, stream_id: int, value: int, events: list[YamuxEvent]) -> None:
        if stream_id != 0:
            raise RemoteProtocolError(f"a ping on stream {stream_id}", reason="bad_stream_id")
        if flags & SYN:
            self._frames.add_reply(PING, ACK, 0, value)
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

    def _stream(self, stream_id: int) -> Stream:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"stream {stream_id} was never opened, or is closed or reset")
        return stream

    def _acknowledge_opening(self, stream_id: int, stream: Stream) -> None:
        """Sends the ACK of an incoming stream; a stream of ours waits for the remote's."""
        if self._is_ours(stream_id):
            return
        stream.acknowledged = True
        self._inbound_backlog -= 1
        self._frames.add(WINDOW_UPDATE, ACK, stream_id, stream.grant())

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
