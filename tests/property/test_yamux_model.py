"""Pairs of yamux sessions against a model: two streams of bytes are two queues, and nothing else.

Whatever is done on either side, and however the bytes between them are cut and delayed, each side must receive
exactly what the other sent, in order; sizes in flight never pass the window; and closed streams are forgotten.
"""

from collections import deque

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peernet.core.yamux.events import (
    DataReceived,
    RemoteClosed,
    SendWindowOpened,
    StreamOpened,
    StreamReset,
    YamuxEvent,
)
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.core.yamux.limits import YamuxLimits
from peernet.core.yamux.session import Yamux

LIMITS = YamuxLimits(max_inbound_streams=4, max_outbound_streams=4, max_backlog=4, max_queued=1 << 19)

CLOSED = object()
RESET = object()


@define
class ModelHalf:
    """What one side sent on one stream and the other has not seen: bytes, then perhaps an end."""

    pending: deque[object] = field(factory=deque)
    unread: int = 0
    """Received and not acknowledged by the reading application."""
    stalled: bool = False
    ended: bool = False


@define
class Side:
    session: Yamux
    wire: bytearray = field(factory=bytearray)
    """Bytes on their way to this side."""
    open: set[int] = field(factory=set)
    remote_closed: set[int] = field(factory=set)
    sent: dict[int, ModelHalf] = field(factory=dict)


SIDES = st.sampled_from([0, 1])


class YamuxPair(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sides = [Side(Yamux(True, LIMITS)), Side(Yamux(False, LIMITS))]
        self.counter = 0

    def pick(self, side: Side, index: int) -> int | None:
        streams = sorted(side.open)
        return streams[index % len(streams)] if streams else None

    @rule(who=SIDES)
    def open_stream(self, who: int) -> None:
        side, other = self.sides[who], self.sides[1 - who]
        if not side.session.can_open:
            return
        stream = side.session.open_stream()
        assert stream % 2 == 1 - who
        side.open.add(stream)
        side.sent[stream] = ModelHalf()
        other.sent[stream] = ModelHalf()

    @rule(who=SIDES, index=st.integers(0, 7), size=st.sampled_from([1, 5, 1000, 70_000, 300_000]))
    def send(self, who: int, index: int, size: int) -> None:
        side = self.sides[who]
        stream = self.pick(side, index)
        if stream is None or side.sent[stream].ended:
            return
        self.counter += 1
        data = self.counter.to_bytes(4, "big") * (size // 4 + 1)
        window = side.session.send_window(stream)
        taken = side.session.send(stream, data)
        assert taken <= min(window, len(data))
        assert side.session.send_window(stream) == window - taken
        half = side.sent[stream]
        half.stalled = side.session.send_window(stream) == 0
        if taken:
            half.pending.append(data[:taken])

    @rule(who=SIDES, index=st.integers(0, 7))
    def close(self, who: int, index: int) -> None:
        side = self.sides[who]
        stream = self.pick(side, index)
        if stream is None or side.sent[stream].ended:
            return
        side.session.close(stream)
        side.sent[stream].ended = True
        side.sent[stream].pending.append(CLOSED)
        if stream in side.remote_closed:
            side.open.discard(stream)

    @rule(who=SIDES, index=st.integers(0, 7))
    def reset(self, who: int, index: int) -> None:
        side = self.sides[who]
        stream = self.pick(side, index)
        if stream is None:
            return
        side.session.reset(stream)
        side.open.discard(stream)
        side.sent[stream].pending.append(RESET)

    @rule(who=SIDES, index=st.integers(0, 7), share=st.floats(0, 1))
    def consume(self, who: int, index: int, share: float) -> None:
        side = self.sides[who]
        stream = self.pick(side, index)
        if stream is None:
            return
        half = self.sides[1 - who].sent[stream]
        size = round(half.unread * share)
        half.unread -= size
        side.session.acknowledge(stream, size, 0.0)

    @rule(who=SIDES)
    def flush(self, who: int) -> None:
        self.sides[1 - who].wire += self.sides[who].session.data_to_send()

    @precondition(lambda self: any(side.wire for side in self.sides))
    @rule(who=SIDES, share=st.floats(0, 1))
    def deliver(self, who: int, share: float) -> None:
        side = self.sides[who]
        size = round(len(side.wire) * share)
        data = bytes(side.wire[:size])
        del side.wire[:size]
        for event in side.session.receive(data):
            self.see(who, event)

    def see(self, who: int, event: YamuxEvent) -> None:
        side, other = self.sides[who], self.sides[1 - who]
        match event:
            case StreamOpened(stream):
                assert stream not in side.open
                side.open.add(stream)
            case DataReceived(stream, data):
                assert data
                assert stream in side.open
                half = other.sent[stream]
                half.unread += len(data)
                assert half.unread <= INITIAL_WINDOW
                self.take(half, data)
            case RemoteClosed(stream):
                assert stream in side.open
                assert other.sent[stream].pending.popleft() is CLOSED
                side.remote_closed.add(stream)
                if side.sent[stream].ended:
                    side.open.discard(stream)
            case StreamReset(stream):
                assert stream in side.open
                assert other.sent[stream].pending.popleft() is RESET
                side.open.discard(stream)
            case SendWindowOpened(stream):
                assert side.sent[stream].stalled
                side.sent[stream].stalled = False
                assert side.session.send_window(stream) > 0

    def take(self, half: ModelHalf, data: bytes) -> None:
        while data:
            expected = half.pending.popleft()
            assert isinstance(expected, bytes)
            size = min(len(expected), len(data))
            assert expected[:size] == data[:size]
            data = data[size:]
            if size < len(expected):
                half.pending.appendleft(expected[size:])

    @invariant()
    def both_know_the_same_streams_as_the_model(self) -> None:
        for side in self.sides:
            assert set(side.session._streams) == side.open

    def teardown(self) -> None:
        """Once everything is delivered, nothing that was sent on a living stream is missing."""
        for _ in range(4):
            for who in (0, 1):
                self.flush(who)
                self.deliver(1 - who, 1.0)
        living = self.sides[0].open & self.sides[1].open
        for side in self.sides:
            assert not side.wire
            assert all(not side.sent[stream].pending for stream in living)
        assert self.sides[0].open == self.sides[1].open


TestYamuxPair = YamuxPair.TestCase
TestYamuxPair.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
