"""yamux: its frames byte for byte, windows, half closes, resets, limits, and hostile frames."""

import struct
from collections.abc import Callable, Sequence

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

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
from peernet.core.yamux.frames import GO_AWAY_PROTOCOL_ERROR, INITIAL_WINDOW, MAX_FRAME_DATA
from peernet.core.yamux.limits import YamuxLimits
from peernet.core.yamux.session import Yamux

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def header(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    return struct.pack(">BBHII", 0, kind, flags, stream_id, length)


def data_frame(stream_id: int, data: bytes, flags: int = 0) -> bytes:
    return header(DATA, flags, stream_id, len(data)) + data


def frames(data: bytes) -> list[tuple[int, int, int, int]]:
    """(type, flags, stream id, length) of each frame."""
    found, offset = [], 0
    while offset < len(data):
        _, kind, flags, stream_id, length = struct.unpack_from(">BBHII", data, offset)
        found.append((kind, flags, stream_id, length))
        offset += 12 + (length if kind == DATA else 0)
    assert offset == len(data)
    return found


def pair(limits: YamuxLimits | None = None) -> tuple[Yamux, Yamux]:
    return Yamux(True, limits or YamuxLimits()), Yamux(False, limits or YamuxLimits())


def opened(limits: YamuxLimits | None = None) -> tuple[Yamux, Yamux, int]:
    ours, theirs = pair(limits)
    stream = ours.open_stream()
    assert theirs.receive(ours.data_to_send()) == [StreamOpened(stream)]
    return ours, theirs, stream


def reason_of(session: Yamux, data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        session.receive(data)
    return raised.value.reason


def test_the_bytes_of_a_stream() -> None:
    ours, theirs = pair()
    assert [ours.open_stream(), ours.open_stream(), theirs.open_stream()] == [1, 3, 2]
    assert ours.data_to_send() == header(WINDOW, SYN, 1, 0) + header(WINDOW, SYN, 3, 0)
    assert theirs.data_to_send() == header(WINDOW, SYN, 2, 0)
    assert ours.send(1, b"hello") == 5
    ours.close(1)
    assert ours.data_to_send() == header(DATA, 0, 1, 5) + b"hello" + header(DATA, FIN, 1, 0)
    ours.reset(3)
    assert ours.data_to_send() == header(DATA, RST, 3, 0)
    assert not ours.has_data_to_send


def test_an_incoming_stream_is_acknowledged_when_it_is_first_used() -> None:
    uses: list[Callable[[Yamux, int], object]] = [
        lambda session, stream: session.accept(stream),
        lambda session, stream: session.send(stream, b"x"),
        lambda session, stream: session.acknowledge(stream, 0, 0.0),
        lambda session, stream: session.close(stream),
    ]
    for use in uses:
        _, theirs, stream = opened()
        assert theirs.data_to_send() == b""
        use(theirs, stream)
        assert theirs.data_to_send().startswith(header(WINDOW, ACK, stream, 0))
        theirs.accept(stream)
        assert theirs.data_to_send() == b""


def test_small_writes_in_a_row_become_one_frame() -> None:
    ours, theirs, stream = opened()
    other = ours.open_stream()
    ours.data_to_send()
    for number in range(100):
        ours.send(stream, b"%02d" % number)
    ours.send(other, b"between")
    ours.send(stream, b"after")
    wire = ours.data_to_send()
    assert frames(wire) == [(DATA, 0, stream, 200), (DATA, 0, other, 7), (DATA, 0, stream, 5)]
    theirs.receive(header(WINDOW, SYN, other, 0))
    assert [type(event) for event in theirs.receive(wire)] == [DataReceived] * 3


def test_frames_are_at_most_64_kib() -> None:
    ours, _, stream = opened()
    ours.send(stream, bytes(MAX_FRAME_DATA - 1))
    ours.send(stream, b"ab")
    ours.send(stream, bytes(2 * MAX_FRAME_DATA + 1))
    lengths = [length for _, _, _, length in frames(ours.data_to_send())]
    assert lengths == [MAX_FRAME_DATA, MAX_FRAME_DATA, MAX_FRAME_DATA, 2]


def test_what_is_sent_may_be_changed_afterwards() -> None:
    ours, theirs, stream = opened()
    buffer = bytearray(b"first")
    ours.send(stream, buffer)
    ours.send(stream, memoryview(buffer))
    buffer[:] = b"later"
    assert theirs.receive(ours.data_to_send()) == [DataReceived(stream, b"firstfirst")]


@pytest.mark.parametrize("size", [1, 2, 13, 100, 10_000])
def test_pieces_to_send_are_the_same_bytes_in_pieces(size: int) -> None:
    expected, cut = Yamux(True), Yamux(True)
    for session in (expected, cut):
        stream = session.open_stream()
        session.send(stream, b"abc" * 100)
        session.close(stream)
    pieces = cut.pieces_to_send(size)
    assert all(0 < len(piece) <= size for piece in pieces)
    assert b"".join(pieces) == expected.data_to_send()
    assert cut.pieces_to_send(size) == []


def test_a_window_stalls_and_resumes() -> None:
    ours, theirs, stream = opened()
    assert ours.send(stream, bytes(INITIAL_WINDOW + 10)) == INITIAL_WINDOW
    assert ours.send_window(stream) == 0
    assert ours.send(stream, b"x") == 0
    events = theirs.receive(ours.data_to_send())
    assert sum(len(event.data) for event in events if isinstance(event, DataReceived)) == INITIAL_WINDOW
    theirs.accept(stream)
    theirs.acknowledge(stream, INITIAL_WINDOW // 2 - 1, 0.0)
    assert frames(theirs.data_to_send()) == [(WINDOW, ACK, stream, 0)]
    theirs.acknowledge(stream, 1, 0.0)
    assert ours.receive(theirs.data_to_send()) == [SendWindowOpened(stream)]
    assert ours.send_window(stream) == INITIAL_WINDOW // 2
    theirs.acknowledge(stream, INITIAL_WINDOW // 2, 0.0)
    assert ours.receive(theirs.data_to_send()) == []
    assert ours.send(stream, bytes(INITIAL_WINDOW + 1)) == INITIAL_WINDOW


def test_a_larger_window_is_granted_at_the_opening_and_at_the_acknowledgement() -> None:
    large = YamuxLimits(receive_window=3 * INITIAL_WINDOW)
    ours, theirs = Yamux(True, large), Yamux(False, large)
    stream = ours.open_stream()
    theirs.receive(ours.data_to_send())
    assert theirs.send_window(stream) == 3 * INITIAL_WINDOW
    assert ours.send_window(stream) == INITIAL_WINDOW
    theirs.accept(stream)
    assert ours.receive(theirs.data_to_send()) == []
    assert ours.send_window(stream) == 3 * INITIAL_WINDOW
    ours.send(stream, bytes(3 * INITIAL_WINDOW))
    theirs.receive(ours.data_to_send())
    theirs.acknowledge(stream, 3 * INITIAL_WINDOW, 0.0)
    ours.receive(theirs.data_to_send())
    assert ours.send_window(stream) == 3 * INITIAL_WINDOW
    with pytest.raises(LocalProtocolError):
        YamuxLimits(receive_window=1)


def test_the_queue_is_bounded_apart_from_the_windows() -> None:
    ours, _, stream = opened(YamuxLimits(max_queued=1000))
    assert ours.send(stream, bytes(900)) == 900
    assert ours.send(stream, bytes(900)) == 100
    assert ours.send_window(stream) > 0
    assert ours.send(stream, b"x") == 0
    ours.data_to_send()
    assert ours.send(stream, bytes(900)) == 900


def test_half_close_leaves_the_other_direction_open() -> None:
    ours, theirs, stream = opened()
    ours.send(stream, b"question")
    ours.close(stream)
    ours.close(stream)
    assert theirs.receive(ours.data_to_send()) == [DataReceived(stream, b"question"), RemoteClosed(stream)]
    with pytest.raises(LocalProtocolError, match="closed for sending"):
        ours.send(stream, b"more")
    theirs.send(stream, b"answer")
    theirs.close(stream)
    assert ours.receive(theirs.data_to_send()) == [DataReceived(stream, b"answer"), RemoteClosed(stream)]
    assert ours.stream_count == theirs.stream_count == 0


def test_a_reset_is_heard_once_and_forgets() -> None:
    ours, theirs, stream = opened()
    theirs.reset(stream)
    theirs.reset(stream)
    assert ours.receive(theirs.data_to_send()) == [StreamReset(stream)]
    assert not ours.is_open(stream)
    assert not theirs.is_open(stream)
    ours.reset(stream)
    ours.acknowledge(stream, 5, 0.0)
    assert ours.data_to_send() == b""
    with pytest.raises(LocalProtocolError):
        ours.send(stream, b"x")
    with pytest.raises(LocalProtocolError):
        ours.close(stream)


def test_data_that_crosses_our_reset_is_dropped_within_the_window() -> None:
    ours, theirs, stream = opened()
    ours.send(stream, bytes(1000))
    theirs.receive(ours.data_to_send())
    theirs.reset(stream)
    late = INITIAL_WINDOW - 1000
    assert theirs.receive(data_frame(stream, bytes(late - 10))) == []
    assert theirs.receive(header(WINDOW, 0, stream, 5) + header(DATA, FIN, stream, 0)) == []
    assert theirs.receive(header(DATA, RST, stream, 0)) == []
    assert theirs.receive(data_frame(stream, bytes(10))) == []
    assert reason_of(theirs, data_frame(stream, b"x")) == "unknown_stream"


def test_a_frame_that_is_half_here_when_we_reset_its_stream() -> None:
    _, theirs, stream = opened()
    frame = data_frame(stream, b"abcdef", FIN)
    assert theirs.receive(frame[:14]) == [DataReceived(stream, b"ab")]
    theirs.reset(stream)
    assert theirs.receive(frame[14:16]) == []
    assert theirs.receive(frame[16:] + header(PING, SYN, 0, 1)) == []
    assert frames(theirs.data_to_send())[-1] == (PING, ACK, 0, 1)


def test_fin_with_data_closes_after_the_data() -> None:
    _, theirs, stream = opened()
    wire = data_frame(stream, b"abc", FIN)
    events: list[YamuxEvent] = []
    for offset in range(len(wire)):
        events += theirs.receive(wire[offset : offset + 1])
    assert events == [DataReceived(stream, letter) for letter in (b"a", b"b", b"c")] + [RemoteClosed(stream)]


def test_syn_may_come_with_data_and_fin_with_a_window_update() -> None:
    theirs = Yamux(False)
    events = theirs.receive(data_frame(7, b"hi", SYN) + header(WINDOW, FIN, 7, 0))
    assert events == [StreamOpened(7), DataReceived(7, b"hi"), RemoteClosed(7)]


def test_ids_need_not_come_in_order_and_may_come_again() -> None:
    theirs = Yamux(False)
    assert theirs.receive(header(WINDOW, SYN, 5, 0) + header(WINDOW, SYN, 3, 0)) == [StreamOpened(5), StreamOpened(3)]
    theirs.reset(5)
    assert theirs.receive(header(WINDOW, SYN, 5, 0)) == [StreamOpened(5)]


def test_streams_at_once_are_bounded_on_both_sides() -> None:
    limits = YamuxLimits(max_inbound_streams=2, max_outbound_streams=3)
    ours, theirs = pair(limits)
    streams = [ours.open_stream() for _ in range(3)]
    assert not ours.can_open
    with pytest.raises(LocalProtocolError):
        ours.open_stream()
    ours.send(streams[2], b"early data")
    opened_two = [StreamOpened(streams[0]), StreamOpened(streams[1])]
    assert theirs.receive(ours.data_to_send()) == [*opened_two, StreamRefused(streams[2], "session_streams")]
    assert ours.receive(theirs.data_to_send()) == [StreamReset(streams[2])]
    assert ours.can_open


def test_the_backlog_of_unacknowledged_streams_is_bounded_on_both_sides() -> None:
    limits = YamuxLimits(max_backlog=2)
    ours, theirs = pair(limits)
    first, second = ours.open_stream(), ours.open_stream()
    assert not ours.can_open
    theirs.receive(ours.data_to_send())
    assert theirs.receive(header(WINDOW, SYN, 99, 0)) == [StreamRefused(99, "session_backlog")]
    assert frames(theirs.data_to_send()) == [(DATA, RST, 99, 0)]
    theirs.accept(first)
    theirs.reset(second)
    ours.receive(theirs.data_to_send())
    assert [ours.open_stream(), ours.open_stream()] == [5, 7]
    assert not ours.can_open
    assert theirs.receive(ours.data_to_send()) == [StreamOpened(5), StreamOpened(7)]


def test_a_stream_that_ends_before_it_was_acknowledged_leaves_the_backlog() -> None:
    ours = Yamux(True, YamuxLimits(max_backlog=1))
    ours.reset(ours.open_stream())
    assert ours.can_open


def test_nothing_is_granted_to_a_side_that_closed() -> None:
    _, theirs, stream = opened()
    theirs.receive(data_frame(stream, bytes(INITIAL_WINDOW), FIN))
    theirs.accept(stream)
    theirs.data_to_send()
    theirs.acknowledge(stream, INITIAL_WINDOW, 0.0)
    assert theirs.data_to_send() == b""


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.integers(0, 15),
            st.integers(0, 6),
            st.one_of(st.integers(0, 30), st.sampled_from([INITIAL_WINDOW, 0xFFFFFFFF])),
        ),
        max_size=30,
    ),
    st.integers(1, 50),
)
def test_no_frames_do_worse_than_a_protocol_error(headers: list[tuple[int, int, int, int]], cut: int) -> None:
    session = Yamux(False, YamuxLimits(max_inbound_streams=2))
    session.open_stream()
    wire = b"".join(header(*fields) + bytes(min(fields[3], 30) if fields[0] == DATA else 0) for fields in headers)
    try:
        for offset in range(0, len(wire), cut):
            for event in session.receive(wire[offset : offset + cut]):
                if isinstance(event, DataReceived):
                    session.acknowledge(event.stream_id, len(event.data), 0.0)
    except RemoteProtocolError:
        pass
    assert session._inbound_streams <= 2
    assert session.stream_count == session._inbound_streams + session._outbound_streams
    assert 0 <= session._inbound_backlog <= session._inbound_streams


def test_pings() -> None:
    ours, theirs = pair(YamuxLimits(max_pings=2))
    ours.ping(7)
    ours.ping(8)
    with pytest.raises(LocalProtocolError):
        ours.ping(9)
    theirs.receive(ours.data_to_send())
    answer = theirs.data_to_send()
    assert answer == header(PING, ACK, 0, 7) + header(PING, ACK, 0, 8)
    assert ours.receive(answer) == [PongReceived(7), PongReceived(8)]
    assert ours.receive(answer) == []
    ours.ping(9)
    with pytest.raises(LocalProtocolError):
        ours.ping(9)
    with pytest.raises(LocalProtocolError):
        ours.ping(1 << 32)


def test_going_away_ends_new_streams_and_keeps_the_others() -> None:
    ours, theirs, stream = opened()
    theirs.go_away(GO_AWAY_PROTOCOL_ERROR)
    theirs.go_away()
    crossing = ours.open_stream()
    assert theirs.receive(ours.data_to_send()) == [StreamRefused(crossing, "going_away")]
    assert ours.receive(theirs.data_to_send()) == [GoneAway(GO_AWAY_PROTOCOL_ERROR), StreamReset(crossing)]
    assert not ours.can_open
    assert not theirs.can_open
    ours.send(stream, b"still")
    assert theirs.receive(ours.data_to_send()) == [DataReceived(stream, b"still")]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x01" + header(DATA, 0, 1, 0)[1:], "bad_frame"),
        (header(4, 0, 0, 0), "bad_frame"),
        (header(DATA, 0, 0, 1), "bad_stream_id"),
        (header(WINDOW, SYN, 0, 0), "bad_stream_id"),
        (header(WINDOW, SYN, 2, 0), "bad_stream_id"),
        (header(DATA, 0, 2, 5), "bad_stream_id"),
        (header(DATA, 0, 9, 5), "unknown_stream"),
        (header(WINDOW, SYN, 1, 0), "duplicate_stream"),
        (header(DATA, 0, 1, INITIAL_WINDOW + 1), "window_overrun"),
        (header(DATA, 0, 1, 0xFFFFFFFF), "window_overrun"),
        (header(WINDOW, 0, 1, 0xFFFFFFFF), "window_overflow"),
        (header(DATA, FIN, 1, 0) + header(DATA, 0, 1, 1), "data_after_close"),
        (header(DATA, RST, 1, 0) + header(DATA, 0, 1, 1), "unknown_stream"),
        (header(PING, SYN, 1, 0), "bad_stream_id"),
        (header(GO_AWAY, 0, 1, 0), "bad_stream_id"),
        (header(PING, SYN, 0, 0) * 1025, "flood"),
    ],
)
def test_hostile_frames(frame: bytes, reason: str) -> None:
    _, theirs, _ = opened()
    assert reason_of(theirs, frame) == reason


def test_a_window_is_spent_over_many_frames() -> None:
    _, theirs, stream = opened()
    theirs.receive(data_frame(stream, bytes(INITIAL_WINDOW - 1)))
    theirs.receive(data_frame(stream, b"x"))
    assert reason_of(theirs, data_frame(stream, b"x")) == "window_overrun"


def test_acknowledging_more_than_came_is_our_bug() -> None:
    _, theirs, stream = opened()
    theirs.receive(data_frame(stream, b"abc"))
    theirs.acknowledge(stream, 2, 0.0)
    with pytest.raises(LocalProtocolError):
        theirs.acknowledge(stream, 2, 0.0)


def test_a_rejected_stream_cannot_send_without_end() -> None:
    theirs = Yamux(False, YamuxLimits(max_inbound_streams=0))
    theirs.receive(header(DATA, SYN, 1, 10) + bytes(10))
    theirs.receive(data_frame(1, bytes(INITIAL_WINDOW - 10)))
    assert reason_of(theirs, data_frame(1, b"x")) == "unknown_stream"


def test_the_allowance_for_late_data_has_a_ceiling() -> None:
    theirs = Yamux(False, YamuxLimits(max_late_bytes=100))
    for stream in (1, 3):
        theirs.receive(header(WINDOW, SYN, stream, 0))
        theirs.reset(stream)
    assert reason_of(theirs, data_frame(1, bytes(101))) == "unknown_stream"


def test_ten_thousand_streams_leave_nothing_behind() -> None:
    ours, theirs = pair()
    for number in range(10_000):
        stream = ours.open_stream()
        ours.send(stream, b"x")
        ours.close(stream)
        theirs.receive(ours.data_to_send())
        if number % 2:
            theirs.reset(stream)
        else:
            theirs.close(stream)
        ours.receive(theirs.data_to_send())
    for session in (ours, theirs):
        assert session.stream_count == 0
        assert not session._streams
        assert session._frames.parts == []
        assert session._inbound_streams == session._outbound_streams == 0
        assert session._inbound_backlog == session._outbound_backlog == 0


@define
class Budget:
    """A budget of so many bytes."""

    left: int

    def reserve(self, size_bytes: int) -> bool:
        if size_bytes > self.left:
            return False
        self.left -= size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        self.left += size_bytes


def consume_window(writer: Yamux, reader: Yamux, stream: int, now_s: float) -> None:
    """Sends all that the window allows, and has it consumed at once."""
    while size := writer.send_window(stream):
        writer.send(stream, bytes(size))
        reader.receive(writer.data_to_send())
    held = reader._streams[stream]
    reader.acknowledge(stream, held.window - held.receive_window - held.ungranted, now_s)
    writer.receive(reader.data_to_send())


def grown(budget: Budget, limits: YamuxLimits, *, round_trip_s: float | None, times: Sequence[float]) -> int:
    """The window of a stream whose whole window is consumed at these times."""
    ours, theirs = Yamux(True, limits), Yamux(False, limits, budget)
    theirs.round_trip_s = round_trip_s
    stream = ours.open_stream()
    theirs.receive(ours.data_to_send())
    for now_s in times:
        consume_window(ours, theirs, stream, now_s)
    window = ours.send_window(stream)
    assert window == theirs._streams[stream].window
    theirs.reset(stream)
    return window


QUICK = [step * 0.1 for step in range(4)]


def test_a_window_that_holds_the_sender_up_doubles_with_each_grant() -> None:
    budget = Budget(1 << 40)
    assert grown(budget, YamuxLimits(), round_trip_s=0.1, times=QUICK) == 8 * INITIAL_WINDOW
    assert budget.left == 1 << 40  # given back with the stream


def test_a_window_grows_to_its_limit_and_no_further() -> None:
    limits = YamuxLimits(max_receive_window=3 * INITIAL_WINDOW)
    assert grown(Budget(1 << 40), limits, round_trip_s=0.1, times=QUICK) == 3 * INITIAL_WINDOW


@pytest.mark.parametrize(
    ("round_trip_s", "times"),
    [(0.1, [0.0, 0.25, 0.5, 0.75]), (None, QUICK), (0.1, [5.0])],
    ids=["slow reader", "round trip unknown", "first grant"],
)
def test_a_window_that_is_no_bottleneck_stays(round_trip_s: float | None, times: list[float]) -> None:
    assert grown(Budget(1 << 40), YamuxLimits(), round_trip_s=round_trip_s, times=times) == INITIAL_WINDOW


def test_a_window_grows_no_further_than_the_budget() -> None:
    budget = Budget(INITIAL_WINDOW + INITIAL_WINDOW // 2)
    assert grown(budget, YamuxLimits(), round_trip_s=0.1, times=QUICK) == 2 * INITIAL_WINDOW
    assert budget.left == INITIAL_WINDOW + INITIAL_WINDOW // 2


def test_a_frame_fills_a_noise_message() -> None:
    ours, theirs, stream = opened()
    ours.send(stream, bytes(2 * MAX_FRAME_DATA))
    pieces = ours.pieces_to_send(65535 - 16)
    assert [len(piece) for piece in pieces] == [65535 - 16, 65535 - 16]
    assert [len(event.data) for piece in pieces for event in theirs.receive(piece)] == [MAX_FRAME_DATA] * 2


def test_a_frame_goes_past_the_queue_only_where_nothing_waits_and_all_of_it_may_go() -> None:
    ours, theirs, stream = opened()
    assert ours.frame(stream, b"the other side has not taken the stream yet") is None
    theirs.accept(stream)
    ours.receive(theirs.data_to_send())
    frame = ours.frame(stream, b"at once")
    assert frame == data_frame(stream, b"at once")
    assert ours.send_window(stream) == INITIAL_WINDOW - 7
    assert theirs.receive(frame) == [DataReceived(stream, b"at once")]
    ours.send(stream, b"queued")
    assert ours.frame(stream, b"behind it") is None
    ours.data_to_send()
    assert ours.frame(stream, b"") is None
    assert ours.frame(stream, bytes(MAX_FRAME_DATA + 1)) is None
    while room := ours.send_window(stream) - 3:
        ours.send(stream, bytes(room))
        ours.data_to_send()
    assert ours.frame(stream, b"four") is None
    assert ours.frame(stream, b"two") is not None
    ours.close(stream)
    ours.data_to_send()
    assert ours.frame(stream, b"") is None
    other = ours.open_stream()
    theirs.receive(ours.data_to_send())
    theirs.accept(other)
    ours.receive(theirs.data_to_send())
    ours.close(other)
    ours.data_to_send()
    assert ours.frame(other, b"closed") is None
    assert ours.frame(77, b"never was") is None


def taken() -> tuple[Yamux, Yamux, int]:
    """A stream that both sides use already, so that its frames take the short way through the parser."""
    ours, theirs, stream = opened()
    theirs.accept(stream)
    ours.receive(theirs.data_to_send())
    return ours, theirs, stream


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (data_frame(1, bytes(INITIAL_WINDOW + 1)), "window_overrun"),
        (data_frame(1, b"last", FIN) + data_frame(1, b"more"), "data_after_close"),
        (b"\x01" + data_frame(1, b"x")[1:], "bad_frame"),
        (b"\x00\x09" + data_frame(1, b"x")[2:], "bad_frame"),
        (data_frame(1, b"x", SYN), "duplicate_stream"),
    ],
    ids=["over the window", "after its end", "version", "type", "opened twice"],
)
def test_hostile_frames_that_come_whole_on_a_stream_in_use(frame: bytes, reason: str) -> None:
    _, theirs, _ = taken()
    assert reason_of(theirs, frame) == reason


def test_flags_on_a_whole_frame_of_a_stream_in_use_are_heeded() -> None:
    _, theirs, stream = taken()
    assert theirs.receive(data_frame(stream, b"last", FIN)) == [DataReceived(stream, b"last"), RemoteClosed(stream)]


def test_data_shows_that_the_other_side_took_our_stream() -> None:
    ours, _, stream = opened(YamuxLimits(max_backlog=1))
    assert not ours.can_open
    assert ours.receive(data_frame(stream, b"answer")) == [DataReceived(stream, b"answer")]
    assert ours.can_open
