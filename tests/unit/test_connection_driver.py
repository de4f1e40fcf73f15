"""A connection on trio: streams, windows, cancellation and endings, over memory streams."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import define

from peernet.core.connection import Connection, Established, Event, NoiseIdentity
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.noise import CLOSE_AT_NONCE
from peernet.core.suite import MixedSuite
from peernet.core.yamux.events import GoneAway, StreamReset
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.core.yamux.limits import YamuxLimits
from peernet.net.connection import PeerConnection
from peernet.net.flusher import Flusher
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.transports.tcp import TcpStream

SUITE = MixedSuite()
DIALER = Keypair.from_seed(b"d" * 32, SUITE)
LISTENER = Keypair.from_seed(b"l" * 32, SUITE)
STRANGER = Keypair.from_seed(b"s" * 32, SUITE)
WINDOW = INITIAL_WINDOW
OVERHEAD = 200
"""Bytes that a few frames and Noise messages add to what was written."""


def protocol(*, dials: bool, expected: PeerId | None = None, limits: YamuxLimits | None = None) -> Connection:
    return Connection(
        SUITE,
        NoiseIdentity.of(DIALER if dials else LISTENER, b"1" * 32 if dials else b"2" * 32, SUITE),
        initiator=dials,
        ephemeral_secret=b"3" * 32 if dials else b"4" * 32,
        expected_peer=expected,
        limits=limits or YamuxLimits(),
    )


@define
class Side:
    connection: PeerConnection
    opened: list[PeerStream]


def new_side(
    transport: trio.abc.Stream,
    *,
    dials: bool,
    limits: Limits,
    expected: PeerId | None = None,
    flusher: Flusher | None = None,
) -> Side:
    opened: list[PeerStream] = []
    connection = PeerConnection(
        transport,
        protocol(dials=dials, expected=expected),
        limits,
        lambda _, stream: opened.append(stream),
        observed="/ip4/203.0.113.7",
        flusher=flusher,
    )
    return Side(connection, opened)


@asynccontextmanager
async def two_sides(limits: Limits | None = None) -> AsyncIterator[tuple[Side, Side]]:
    limits = limits or Limits()
    here, there = trio.testing.memory_stream_pair()
    one, two = new_side(here, dials=True, limits=limits), new_side(there, dials=False, limits=limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.connection.run)
        nursery.start_soon(two.connection.run)
        await one.connection.wait_established()
        await two.connection.wait_established()
        yield one, two
        nursery.cancel_scope.cancel()


async def stream_pair(one: Side, two: Side) -> tuple[PeerStream, PeerStream]:
    stream = one.connection.open_stream()
    await trio.testing.wait_all_tasks_blocked()
    return stream, two.opened[-1]


async def read_exactly(stream: PeerStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.receive_some()
        assert piece
        data += piece
    return data


class RawPeer:
    """The other side by hand: a protocol without a driver, to send what no driver would."""

    def __init__(self, transport: trio.abc.Stream, *, dials: bool) -> None:
        self.transport = transport
        self.protocol = protocol(dials=dials)
        self.events: list[Event] = []

    async def exchange(self, until: type) -> None:
        while not any(isinstance(event, until) for event in self.events):
            if data := self.protocol.data_to_send():
                await self.transport.send_all(data)
            self.events += self.protocol.receive(await self.transport.receive_some(65536))
        await self.flush()

    async def flush(self) -> None:
        if data := self.protocol.data_to_send():
            await self.transport.send_all(data)


@asynccontextmanager
async def against_raw(*, raw_dials: bool, limits: Limits | None = None) -> AsyncIterator[tuple[Side, RawPeer]]:
    here, there = trio.testing.memory_stream_pair()
    side = new_side(here, dials=not raw_dials, limits=limits or Limits())
    raw = RawPeer(there, dials=raw_dials)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.connection.run)
        await raw.exchange(Established)
        await side.connection.wait_established()
        yield side, raw
        nursery.cancel_scope.cancel()


async def test_each_side_knows_who_the_other_is():
    async with two_sides() as (one, two):
        assert one.connection.peer == LISTENER.peer_id
        assert two.connection.peer == DIALER.peer_id
        assert one.connection.alive
        stream, other = await stream_pair(one, two)
        assert (stream.peer, other.peer) == (LISTENER.peer_id, DIALER.peer_id)
        assert stream.observed == "/ip4/203.0.113.7"


async def test_bytes_go_both_ways_in_order():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        for number in range(50):
            await stream.send_all(b"%d," % number)
        await other.send_all(b"answer")
        sent = b"".join(b"%d," % number for number in range(50))
        assert await read_exactly(other, len(sent)) == sent
        assert await stream.receive_some() == b"answer"


async def test_each_half_closes_on_its_own_and_then_nothing_is_held():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        await stream.send_all(b"question")
        await stream.close_sending()
        await stream.close_sending()
        assert await other.receive_some() == b"question"
        assert await other.receive_some() == b""
        assert not other.over
        await other.send_all(b"answer")
        await other.close_sending()
        assert await stream.receive_some() == b"answer"
        assert await stream.receive_some() == b""
        assert stream.over
        assert other.over
        assert one.connection.stream_count == two.connection.stream_count == 0
        with pytest.raises(LocalProtocolError):
            await stream.send_all(b"more")


async def test_a_reset_ends_both_sides_and_what_came_before_is_read():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        await stream.send_all(b"last words")
        stream.reset()
        await trio.testing.wait_all_tasks_blocked()
        assert await other.receive_some() == b"last words"
        for call in (
            other.receive_some,
            lambda: other.send_all(b"x"),
            stream.receive_some,
            lambda: stream.send_all(b"x"),
        ):
            with pytest.raises(ConnectionFailed):
                await call()
        assert one.connection.stream_count == two.connection.stream_count == 0


async def test_a_reset_wakes_who_reads_and_who_writes():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        failures = []

        async def wait(call) -> None:
            with pytest.raises(ConnectionFailed):
                await call()
            failures.append(call)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, lambda: stream.send_all(bytes(2 * WINDOW)))
            nursery.start_soon(wait, stream.receive_some)
            await trio.testing.wait_all_tasks_blocked()
            assert failures == []
            other.reset()
        assert len(failures) == 2


async def test_a_stream_left_with_an_error_is_reset_and_one_left_in_order_is_closed():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        with pytest.raises(ZeroDivisionError):
            async with stream:
                raise ZeroDivisionError
        with pytest.raises(ConnectionFailed):
            await other.receive_some()
        stream, other = await stream_pair(one, two)
        await other.close_sending()
        await trio.testing.wait_all_tasks_blocked()
        async with stream:
            await stream.send_all(b"x")
        assert await other.receive_some() == b"x"
        assert await other.receive_some() == b""


async def test_a_writer_waits_for_a_slow_reader_who_holds_no_more_than_a_window():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        sent = trio.Event()

        async def write() -> None:
            await stream.send_all(bytes(3 * WINDOW))
            sent.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked()
            assert not sent.is_set()
            assert sum(map(len, other._received)) == WINDOW
            # Another stream of the same connection is not held up by it.
            second, third = await stream_pair(one, two)
            await second.send_all(b"through")
            assert await third.receive_some() == b"through"
            got = 0
            while got < 3 * WINDOW:
                data = await other.receive_some()
                assert len(data) <= WINDOW
                got += len(data)
        assert sent.is_set()


async def test_a_window_of_tiny_pieces_costs_about_a_window():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        for _ in range(2000):
            await stream.send_all(b"x")
            await trio.lowlevel.checkpoint()
        await stream.send_all(bytes(5000))
        await stream.send_all(b"yz")
        await trio.testing.wait_all_tasks_blocked()
        assert len(other._received) < 10
        assert await read_exactly(other, 7002) == b"x" * 2000 + bytes(5000) + b"yz"


async def test_a_cancelled_sender_leaves_a_working_connection():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        with trio.move_on_after(0) as scope:
            await stream.send_all(b"never")
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, bytes(2 * WINDOW))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await read_exactly(other, WINDOW) == bytes(WINDOW)
        await stream.send_all(b"and on")
        assert await other.receive_some() == b"and on"
        assert one.connection.outbox._writers == set()
        second, third = await stream_pair(one, two)
        await second.send_all(b"another")
        assert await third.receive_some() == b"another"


async def test_a_cancelled_reader_loses_nothing():
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.receive_some)
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"kept")
            nursery.cancel_scope.cancel()
        with trio.CancelScope() as scope:
            scope.cancel()
            await other.receive_some()
        await trio.testing.wait_all_tasks_blocked()
        # Whichever of the two was woken first: nobody got the bytes, or nobody was cancelled.
        assert await other.receive_some() == b"kept"


async def test_when_the_connection_ends_every_stream_ends_and_what_came_can_be_read():
    async with two_sides() as (one, two):
        pairs = [await stream_pair(one, two) for _ in range(3)]
        await pairs[0][0].send_all(b"came in time")
        await trio.testing.wait_all_tasks_blocked()
        ended = []

        async def wait_for_end(stream: PeerStream) -> None:
            with pytest.raises(ConnectionFailed):
                await stream.receive_some()
            ended.append(stream)

        async with trio.open_nursery() as nursery:
            for stream, other in pairs[1:]:
                nursery.start_soon(wait_for_end, stream)
                nursery.start_soon(wait_for_end, other)
            await trio.testing.wait_all_tasks_blocked()
            one.connection.close("enough")
        assert len(ended) == 4
        assert one.connection.ended == "enough"
        assert await pairs[0][1].receive_some() == b"came in time"
        with pytest.raises(ConnectionFailed):
            await pairs[0][1].receive_some()
        with pytest.raises(ConnectionFailed):
            one.connection.open_stream()
        await one.connection.closed.wait()
        await two.connection.closed.wait()
        assert one.connection.stream_count == two.connection.stream_count == 0
        assert not one.connection.alive


async def test_the_limit_of_streams_is_no_crash():
    async with two_sides() as (one, _):
        for _ in range(YamuxLimits().max_backlog):
            one.connection.open_stream()
        with pytest.raises(ConnectionFailed, match="as many streams"):
            one.connection.open_stream()
        assert one.connection.alive


async def test_a_stream_that_was_opened_and_reset_in_one_piece_is_passed_over():
    async with against_raw(raw_dials=True) as (side, raw):
        doomed = raw.protocol.yamux.open_stream()
        raw.protocol.yamux.send(doomed, b"x")
        raw.protocol.yamux.reset(doomed)
        kept = raw.protocol.yamux.open_stream()
        raw.protocol.yamux.send(kept, b"kept")
        await raw.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert side.connection.alive
        (stream,) = side.opened
        assert await stream.receive_some() == b"kept"


async def test_whoever_is_not_the_peer_that_was_expected_is_refused():
    here, there = trio.testing.memory_stream_pair()
    side = new_side(here, dials=True, limits=Limits(), expected=STRANGER.peer_id)
    other = new_side(there, dials=False, limits=Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.connection.run)
        nursery.start_soon(other.connection.run)
        with pytest.raises(RemoteProtocolError) as raised:
            await side.connection.wait_established()
        assert raised.value.reason == "wrong_peer"
        with pytest.raises(ConnectionFailed):
            await other.connection.wait_established()
    assert not side.connection.established


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n" + bytes(100), bytes(100), b"\xff" * 70000])
async def test_garbage_ends_the_connection_and_says_whose_fault_it_was(garbage: bytes):
    here, there = trio.testing.memory_stream_pair()
    side = new_side(here, dials=False, limits=Limits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.connection.run)
        await there.send_all(garbage)
        with pytest.raises(RemoteProtocolError):
            await side.connection.wait_established()
    assert side.connection.failure is not None
    assert side.connection.closed.is_set()


async def test_altered_bytes_end_an_established_connection():
    async with against_raw(raw_dials=True) as (side, raw):
        await raw.transport.send_all(b"\x00\x20" + bytes(32))
        await side.connection.closed.wait()
        assert side.connection.failure is not None
        assert side.connection.failure.reason == "bad_tag"


async def test_a_peer_that_goes_away_ends_a_connection_without_streams():
    async with against_raw(raw_dials=False) as (side, raw):
        raw.protocol.yamux.go_away()
        await raw.flush()
        await side.connection.closed.wait()
        assert side.connection.ended == "the peer is going away"
    async with against_raw(raw_dials=False) as (side, raw):
        await raw.transport.aclose()
        await side.connection.closed.wait()
        assert side.connection.ended in {"the peer closed the connection", "the connection broke"}


@pytest.mark.parametrize("dialer_goes", [True, False])
async def test_a_connection_that_goes_away_finishes_its_streams_and_takes_no_new_ones(dialer_goes: bool):
    async with two_sides() as (one, two):
        stream, other = await stream_pair(one, two)
        (one if dialer_goes else two).connection.go_away()
        await trio.testing.wait_all_tasks_blocked()
        for side in (one, two):
            assert side.connection.draining
            with pytest.raises(ConnectionFailed, match="going away"):
                side.connection.open_stream()
        await stream.send_all(bytes(2 * WINDOW - 10)[:1000])
        assert await read_exactly(other, 1000) == bytes(1000)
        await stream.close_sending()
        await other.send_all(b"the last words")
        await other.close_sending()
        assert await stream.receive_some() == b"the last words"
        assert await stream.receive_some() == b""
        for side in (one, two):
            await side.connection.closed.wait()


async def test_a_connection_that_goes_away_is_told_to_who_opens_streams_meanwhile():
    async with against_raw(raw_dials=True) as (side, raw):
        raw.protocol.yamux.open_stream()
        await raw.flush()
        await trio.testing.wait_all_tasks_blocked()
        side.connection.go_away()
        late = raw.protocol.yamux.open_stream()
        await raw.flush()
        raw.events.clear()
        await raw.exchange(StreamReset)
        assert GoneAway(0) in raw.events
        assert StreamReset(late) in raw.events
        assert len(side.opened) == 1


async def test_worn_keys_end_a_connection():
    async with two_sides() as (one, two):
        sealer = one.connection._protocol._sealer
        sealer.nonce = CLOSE_AT_NONCE - 1
        one.connection.check()
        assert one.connection.alive
        sealer.nonce = CLOSE_AT_NONCE
        one.connection.check()
        await two.connection.closed.wait()
        assert one.connection.ended == "the connection's keys are used up"


# Sending, over sockets.


class Counted(TcpStream):
    """A socket that keeps what was sent without waiting: a number of bytes for each call."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected, memoryview(bytearray(65536)))
        self.calls: list[int] = []

    def send_now(self, buffers: list[bytes]) -> int:
        self.calls.append(super().send_now(buffers))
        return self.calls[-1]


@asynccontextmanager
async def over_sockets(limits: Limits | None = None) -> AsyncIterator[tuple[Side, Side, Counted]]:
    sockets = socket.socketpair()
    for end in sockets:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    here, there = map(Counted, sockets)
    limits = limits or Limits()
    one, two = new_side(here, dials=True, limits=limits), new_side(there, dials=False, limits=limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.connection.run)
        nursery.start_soon(two.connection.run)
        await one.connection.wait_established()
        await two.connection.wait_established()
        yield one, two, here
        nursery.cancel_scope.cancel()


async def test_sending_yields_only_when_it_would_block_and_always_checks_for_cancellation():
    ran = []

    async def other_task() -> None:
        ran.append("other")

    async with over_sockets() as (one, two, _):
        stream, _other = await stream_pair(one, two)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_task)
            for _ in range(100):
                await stream.send_all(b"short")
            assert ran == []
        assert ran == ["other"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_task)
            nursery.start_soon(stream.send_all, bytes(2 * WINDOW))
            await trio.testing.wait_all_tasks_blocked()
            assert ran == ["other", "other"]
            nursery.cancel_scope.cancel()
        second, _ = await stream_pair(one, two)
        with trio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(trio.Cancelled):
                await second.send_all(b"x")
            raise_if_sent = one.connection.outbox.unsent_bytes
        assert scope.cancelled_caught is False
        assert raise_if_sent == 0


async def test_a_lone_message_is_sent_at_once_and_what_follows_it_is_sent_together():
    async with over_sockets() as (one, two, socket_):
        stream, other = await stream_pair(one, two)
        socket_.calls.clear()
        await stream.send_all(b"alone")
        assert len(socket_.calls) == 1  # nobody else has run since
        for number in range(50):
            await stream.send_all(b"%02d" % number)
        assert len(socket_.calls) == 1
        assert await read_exactly(other, 105) == b"alone" + b"".join(b"%02d" % number for number in range(50))
        assert len(socket_.calls) == 2
        assert socket_.calls[1] < 200  # one frame in one Noise message
        await stream.send_all(b"alone again")
        assert len(socket_.calls) == 3


async def test_much_that_is_gathered_is_sent_by_its_writer():
    async with over_sockets() as (one, two, socket_):
        stream, _ = await stream_pair(one, two)
        socket_.calls.clear()
        for _ in range(130):
            await stream.send_all(bytes(1024))
        assert len(socket_.calls) == 2


async def test_what_a_full_socket_does_not_take_follows_in_order():
    async with over_sockets() as (one, two, _):
        stream, other = await stream_pair(one, two)
        data = bytes(range(256)) * 4096
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            assert await read_exactly(other, len(data)) == data
        await trio.testing.wait_all_tasks_blocked()
        assert one.connection.outbox.unsent_bytes == 0
        assert one.connection.bytes_sent == two.connection.bytes_received > len(data)
        assert two.connection.bytes_sent == one.connection.bytes_received


async def test_a_connection_that_ends_with_a_full_socket_ends_its_drain():
    async with over_sockets() as (one, two, _):
        stream, other = await stream_pair(one, two)
        two.connection._scope.cancel()
        with pytest.raises(ConnectionFailed):
            while True:
                await stream.send_all(bytes(WINDOW))
        await one.connection.closed.wait()
        with pytest.raises(ConnectionFailed):
            await other.receive_some()


async def test_pings_measure_the_round_trip_and_a_fast_reader_gets_a_larger_window():
    async with over_sockets() as (one, two, _):
        assert two.connection.round_trip_s is None
        stream, other = await stream_pair(one, two)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, bytes(WINDOW))
            await read_exactly(other, WINDOW)
        await trio.testing.wait_all_tasks_blocked()
        assert two.connection.round_trip_s is not None
        # As over a long way: every grant comes within two round trips.
        two.connection._protocol.yamux.round_trip_s = 60.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, bytes(8 * WINDOW))
            await read_exactly(other, 8 * WINDOW)
        assert one.connection._protocol.yamux.send_window(stream.stream_id) > WINDOW


async def test_a_crash_while_sending_ends_the_connection_and_not_the_flusher(monkeypatch: pytest.MonkeyPatch):
    def crash(*_: object) -> int:
        raise ZeroDivisionError

    here, there = trio.testing.memory_stream_pair()
    side, raw = new_side(here, dials=True, limits=Limits()), RawPeer(there, dials=False)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(side.connection.run)
            await raw.exchange(Established)
            await side.connection.wait_established()
            monkeypatch.setattr(here, "send_all", crash)
            side.connection.ping()
            await side.connection.closed.wait()
            assert side.connection.ended == "the connection crashed"


async def test_a_ping_is_answered_and_only_one_is_under_way():
    async with two_sides() as (one, two):
        before = one.connection.last_heard
        for _ in range(100):
            one.connection.ping()
        await trio.testing.wait_all_tasks_blocked()
        assert one.connection.last_heard > before
        assert not one.connection._awaits_pong
        one.connection.ping()
        assert one.connection._pings == 2
        assert two.connection.alive


class StuckStream(trio.abc.Stream):
    """Takes the handshake, and then nothing more."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.stuck = False
        self.waiting = trio.Event()
        self.release = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.stuck:
            self.waiting.set()
            await self.release.wait()
            self.release = trio.Event()
        await self.stream.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def stuck_connection(limits: Limits) -> AsyncIterator[tuple[Side, StuckStream]]:
    here, there = trio.testing.memory_stream_pair()
    transport = StuckStream(here)
    raw = RawPeer(there, dials=False)
    async with trio.open_nursery() as nursery:
        flusher = Flusher(nursery)
        nursery.start_soon(flusher.run)
        side = new_side(transport, dials=True, limits=limits, flusher=flusher)
        nursery.start_soon(side.connection.run)
        await raw.exchange(Established)
        await side.connection.wait_established()
        await trio.testing.wait_all_tasks_blocked()
        transport.stuck = True
        yield side, transport
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("mock_clock")  # no time passes
async def test_a_connection_whose_peer_takes_nothing_can_be_closed_at_once():
    async with stuck_connection(Limits()) as (side, transport):
        stream = side.connection.open_stream()
        await stream.send_all(b"x")
        await transport.waiting.wait()
        side.connection.close()
        await side.connection.closed.wait()


async def test_a_peer_that_takes_nothing_is_given_up(mock_clock: trio.testing.MockClock):
    async with stuck_connection(Limits(write_timeout_s=30)) as (side, transport):
        stream = side.connection.open_stream()
        await stream.send_all(b"x")
        await transport.waiting.wait()
        side.connection.check()
        mock_clock.jump(29)
        side.connection.check()
        assert side.connection.alive
        mock_clock.jump(2)
        side.connection.check()
        with pytest.raises(ConnectionFailed, match="takes nothing"):
            await stream.send_all(b"x")
        await side.connection.closed.wait()


async def test_a_connection_that_writes_nothing_is_not_given_up_for_that(mock_clock: trio.testing.MockClock):
    async with two_sides(Limits(write_timeout_s=5, silence_timeout_s=100)) as (one, two):
        stream, _ = await stream_pair(one, two)
        await stream.send_all(b"x")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(40)
        one.connection.check()
        assert one.connection.alive


async def test_a_silent_peer_is_pinged_and_then_given_up(mock_clock: trio.testing.MockClock):
    limits = Limits(silence_timeout_s=60)
    async with two_sides(limits) as (one, _):
        for _turn in range(5):
            mock_clock.jump(31)
            one.connection.check()
            await trio.testing.wait_all_tasks_blocked()
        assert one.connection.alive
        assert one.connection._pings == 5
    async with against_raw(raw_dials=False, limits=limits) as (side, _raw):
        for _turn in range(2):
            mock_clock.jump(31)
            side.connection.check()
        assert side.connection.ended == "the peer has fallen silent"
        await side.connection.closed.wait()


async def test_all_writers_wait_when_the_outbox_is_full_and_it_is_counted_right():
    limits = Limits(outbox_high_water=10_000)
    async with stuck_connection(limits) as (side, transport):
        streams = [side.connection.open_stream() for _ in range(4)]
        done = []

        async def write(stream: PeerStream) -> None:
            await stream.send_all(bytes(20_000))
            done.append(stream)

        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(write, stream)
            await transport.waiting.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert done == []
            assert side.connection.outbox.congested
            # Who came first filled it; the others wait with all that they have.
            assert 20_000 <= side.connection.outbox.unsent_bytes <= 20_000 + OVERHEAD
            nursery.cancel_scope.cancel()
    async with two_sides(limits) as (one, two):
        stream, other = await stream_pair(one, two)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, bytes(3 * WINDOW))
            await read_exactly(other, 3 * WINDOW)
        await trio.testing.wait_all_tasks_blocked()
        assert one.connection.outbox.unsent_bytes == 0
        assert not one.connection.outbox.congested


async def test_what_is_queued_while_some_is_being_written_still_counts_once_that_is_out():
    async with stuck_connection(Limits()) as (side, transport):
        stream = side.connection.open_stream()
        await stream.send_all(bytes(5_000))
        await transport.waiting.wait()
        await stream.send_all(bytes(8_000))
        assert 13_000 <= side.connection.outbox.unsent_bytes <= 13_000 + OVERHEAD
        transport.release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert 8_000 <= side.connection.outbox.unsent_bytes <= 8_000 + OVERHEAD
        transport.release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert side.connection.outbox.unsent_bytes == 0


async def test_a_cancelled_connection_ends_its_streams_and_closes_its_transport():
    here, there = trio.testing.memory_stream_pair()
    side = new_side(here, dials=True, limits=Limits())
    raw = RawPeer(there, dials=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.connection.run)
        await raw.exchange(Established)
        await side.connection.wait_established()
        stream = side.connection.open_stream()
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionFailed):
        await stream.receive_some()
    assert side.connection.closed.is_set()
    with pytest.raises(trio.ClosedResourceError):
        await here.send_all(b"x")


async def test_what_negotiation_read_too_far_is_read_again_and_acknowledged_once():
    async with against_raw(raw_dials=True) as (side, raw):
        number = raw.protocol.yamux.open_stream()
        raw.protocol.yamux.send(number, bytes(WINDOW // 2))
        await raw.flush()
        await trio.testing.wait_all_tasks_blocked()
        (stream,) = side.opened
        data = await read_exactly(stream, WINDOW // 2)
        stream.unread(data[100:])
        raw.protocol.yamux.send(number, b"more")
        await raw.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert await read_exactly(stream, len(data) - 100 + 4) == data[100:] + b"more"
        raw.events.clear()
        side.connection.ping()
        raw.protocol.receive(await raw.transport.receive_some(65536))
        assert raw.protocol.yamux.send_window(number) == WINDOW - 4
