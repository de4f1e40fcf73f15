"""ping: echoes, round trips, and what a flood of pings costs."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.ping import BURST, MAX_PAUSE_S, PING_SIZE, PINGS_PER_S, PROTOCOL, Pinger, Ponger
from peernet.net.ping import IDLE_TIMEOUT_S, PING_TIMEOUT_S, PingService
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from tests.swarm_pair import two_swarms

PAYLOAD = bytes(range(PING_SIZE))


def test_an_answer_counts_when_all_of_it_has_come() -> None:
    pinger = Pinger(PAYLOAD)
    assert not pinger.receive(PAYLOAD[:5])
    assert not pinger.receive(b"")
    assert pinger.receive(PAYLOAD[5:])


@pytest.mark.parametrize("answer", [b"\x01", PAYLOAD[:31] + b"\xff", PAYLOAD + b"\x00", PAYLOAD * 2])
def test_an_answer_of_other_bytes_is_an_error(answer: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        Pinger(PAYLOAD).receive(answer)
    assert raised.value.reason == "bad_pong"


def test_a_ping_of_another_size_is_not_asked() -> None:
    with pytest.raises(LocalProtocolError):
        Pinger(PAYLOAD + b"\x00")


def test_only_whole_pings_are_answered() -> None:
    ponger = Ponger(0.0)
    assert ponger.receive(PAYLOAD[:10], 0.0) == (b"", 0.0)
    assert ponger.receive(PAYLOAD[10:] + PAYLOAD + PAYLOAD[:1], 0.0) == (PAYLOAD * 2, 0.0)
    with pytest.raises(RemoteProtocolError) as raised:
        ponger.end()
    assert raised.value.reason == "bad_ping"
    ponger.receive(PAYLOAD[1:], 0.0)
    ponger.end()


def test_a_flood_is_answered_more_and_more_slowly() -> None:
    ponger = Ponger(0.0)
    assert ponger.receive(PAYLOAD * BURST, 0.0)[1] == 0.0
    assert ponger.receive(PAYLOAD * PINGS_PER_S, 0.0)[1] == 1.0
    assert ponger.receive(PAYLOAD * PINGS_PER_S, 0.5)[1] == 1.5
    assert ponger.receive(PAYLOAD * PINGS_PER_S * 1000, 1.0)[1] == MAX_PAUSE_S
    # Who waits for it begins anew.
    assert ponger.receive(PAYLOAD * BURST, 10_000.0)[1] == 0.0


@asynccontextmanager
async def pinging():
    async with two_swarms() as (one, two, nursery):
        PingService(two).serve()
        yield one, two, nursery


async def ping_stream(one: Swarm, two: Swarm) -> PeerStream:
    return await one.open_stream(two.peer_id, two.listening, PROTOCOL)


async def test_a_round_trip_is_measured():
    async with pinging() as (one, two, _):
        pings = PingService(one)
        started = trio.current_time()
        assert 0 < await pings.ping(two.peer_id, two.listening) < trio.current_time() - started
        # Over the connection that is there, no address is needed.
        assert await pings.ping(two.peer_id) > 0
        assert pings._asked == {}


async def test_one_peer_is_asked_over_one_stream_at_a_time():
    async with pinging() as (one, two, _):
        pings = PingService(one)
        answers = []
        await pings.ping(two.peer_id, two.listening)

        async def ask() -> None:
            answers.append(await pings.ping(two.peer_id))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        # On more streams than two at once some would have been refused.
        assert len(answers) == 10
        assert pings._asked == {}
        assert two.counters["stream_failed:too_many_pings"] == 0


async def test_a_third_stream_is_refused_and_the_other_two_go_on():
    async with pinging() as (one, two, _):
        streams = [await ping_stream(one, two) for _ in range(3)]
        with pytest.raises(ConnectionFailed):
            await echoed(streams[2])
        assert two.counters["stream_failed:too_many_pings"] == 1
        for stream in streams[:2]:
            assert await echoed(stream) == PAYLOAD
            assert await echoed(stream) == PAYLOAD
        for stream in streams:
            stream.reset()


async def echoed(stream: PeerStream) -> bytes:
    await stream.send_all(PAYLOAD)
    heard = b""
    while len(heard) < PING_SIZE:
        data = await stream.receive_some()
        assert data
        heard += data
    return heard


async def test_a_peer_that_closes_its_half_gets_what_is_due_and_the_end():
    async with pinging() as (one, two, _):
        async with await ping_stream(one, two) as stream:
            await stream.send_all(PAYLOAD * 3)
            await stream.close_sending()
            heard = b""
            while data := await stream.receive_some():
                heard += data
            assert heard == PAYLOAD * 3
        async with await ping_stream(one, two) as stream:
            await stream.send_all(PAYLOAD[:-1])
            await stream.close_sending()
            with pytest.raises(ConnectionFailed):
                while await stream.receive_some():
                    pass
        assert two.counters["stream_failed:bad_ping"] == 1


async def test_a_wrong_answer_is_told_from_none():
    async with two_swarms() as (one, two, _):

        async def lie(stream: PeerStream) -> None:
            await stream.receive_some()
            await stream.send_all(bytes(PING_SIZE))

        async def leave(_: PeerStream) -> None:
            pass

        two.handle(PROTOCOL, lie)
        with pytest.raises(RemoteProtocolError) as raised:
            await PingService(one).ping(two.peer_id, two.listening)
        assert raised.value.reason == "bad_pong"
        two.handle(PROTOCOL, leave)
        with pytest.raises(ConnectionFailed, match="instead of answering"):
            await PingService(one).ping(two.peer_id)


class OneStream:
    """A swarm, as far as pings use it, whose streams the test drives."""

    def __init__(self, stream) -> None:
        self.stream = stream

    def handle(self, _, handler) -> None:
        self.handler = handler

    async def open_stream(self, *_, **__):
        return self.stream


class SilentStream:
    """A peer that opens a stream of pings, sends what it is told to, and then nothing."""

    def __init__(self, *pieces: bytes) -> None:
        self.peer = "somebody"
        self.pieces = list(pieces)
        self.sent: list[tuple[float, int]] = []

    async def receive_some(self) -> bytes:
        if not self.pieces:
            await trio.sleep_forever()
        return self.pieces.pop(0)

    async def send_all(self, data: bytes) -> None:
        self.sent.append((trio.current_time(), len(data) // PING_SIZE))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        pass


async def test_who_asks_nothing_more_is_let_go(autojump_clock):
    stream = SilentStream(PAYLOAD)
    swarm = OneStream(stream)
    service = PingService(swarm)
    service.serve()
    started = trio.current_time()
    await swarm.handler(stream)
    assert trio.current_time() - started == pytest.approx(IDLE_TIMEOUT_S)
    assert not service._answered


async def test_no_answer_is_waited_for_only_so_long(autojump_clock):
    started = trio.current_time()
    with pytest.raises(ConnectionFailed, match="no ping"):
        await PingService(OneStream(SilentStream())).ping("somebody")
    assert trio.current_time() - started == pytest.approx(PING_TIMEOUT_S)


async def test_a_flood_is_read_as_slowly_as_it_is_answered(autojump_clock):
    stream = SilentStream(*[PAYLOAD * BURST] * 4)
    swarm = OneStream(stream)
    PingService(swarm).serve()
    started = trio.current_time()
    await swarm.handler(stream)
    times = [at - started for at, _ in stream.sent]
    assert times == pytest.approx([0, 0, BURST / PINGS_PER_S, 2 * BURST / PINGS_PER_S])
