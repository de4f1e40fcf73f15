"""What trio-websocket would hold, wait for or leave open without us, on the WebSockets that we dial."""

import struct
import sys

import pytest
import trio
import trio.testing
import trio_websocket
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.net.transports import dialled_websocket
from peernet.net.transports.dialled_websocket import MAX_SENT_SIZE, DialledWebSocket, request_websocket
from tests.unit.test_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    SWITCHING,
    TEXT,
    answer_request,
    frame,
)

LIBRARY_TASKS = 1
"""The one of ours that the library's runs in."""


@frozen
class Opened:
    """A WebSocket that we dialled, and the bare other end."""

    nursery: trio.Nursery
    stream: DialledWebSocket
    below: trio.abc.Stream
    there: trio.abc.Stream

    async def check_nothing_left(self) -> None:
        """Closing ended the library's task and closed what is below, here and now."""
        assert not self.nursery.child_tasks
        with pytest.raises(trio.ClosedResourceError):
            await self.below.receive_some(1)


async def opened(nursery: trio.Nursery, *, lockstep: bool = False) -> Opened:
    pair = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
    here, there = pair()
    async with trio.open_nursery() as both:
        both.start_soon(answer_request, there, SWITCHING + b"\r\n")
        stream = await request_websocket(here, "example.org", nursery)
    assert len(nursery.child_tasks) == LIBRARY_TASKS
    return Opened(nursery, stream, here, there)


async def test_trio_websocket_is_what_speaks(nursery: trio.Nursery):
    peers = await opened(nursery)
    assert isinstance(peers.stream._websocket, trio_websocket.WebSocketConnection)


# --- what is held ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_fragments_are_held_up_to_a_bound_and_no_further(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, payload: bytes
):
    """Empty ones are the cheapest to send, those of one byte the dearest to hold."""
    real_bound = dialled_websocket.MAX_UNDELIVERED + dialled_websocket.READ_SIZE
    monkeypatch.setattr(dialled_websocket, "MAX_UNDELIVERED", 20_000)
    bound = 20_000 + dialled_websocket.READ_SIZE
    peers = await opened(nursery)
    flood = frame(CONTINUATION, payload, fin=False, mask=None) * 1000
    errors: list[RemoteProtocolError] = []
    came = held = 0

    async def read() -> None:
        with pytest.raises(RemoteProtocolError) as raised:
            await peers.stream.receive_some(65536)
        errors.append(raised.value)

    async with trio.open_nursery() as reading:
        reading.start_soon(read)
        await peers.there.send_all(frame(BINARY, b"", fin=False, mask=None))
        while not errors:
            await peers.there.send_all(flood)
            await trio.testing.wait_all_tasks_blocked()
            came = peers.stream._meter.came
            assert came <= bound
            parts = peers.stream._websocket._message_parts
            held = sys.getsizeof(parts) + sum(sys.getsizeof(part) for part in parts if part)
    assert errors[0].reason == "websocket_size"
    # What that comes to with the bound as it is.
    assert held / came * real_bound < 4.5 * 2**20
    await peers.stream.aclose()
    await peers.check_nothing_left()


async def test_messages_up_to_the_limit_pass_one_after_the_other(nursery: trio.Nursery):
    peers = await opened(nursery)
    sizes = [MAX_SENT_SIZE, 1, MAX_SENT_SIZE - 1, 20_000, MAX_SENT_SIZE]
    sent = b"".join(
        frame(BINARY, bytes([number]) * (size // 2), fin=False, mask=None)
        + frame(PING, bytes(125), mask=None)
        + frame(CONTINUATION, bytes([number]) * (size - size // 2), mask=None)
        for number, size in enumerate(sizes)
    )
    await peers.there.send_all(sent)
    got = bytearray()
    with trio.fail_after(5):
        while len(got) < sum(sizes):
            piece = await peers.stream.receive_some(70_000)
            assert 0 < len(piece) <= 70_000
            got += piece
    assert got == b"".join(bytes([number]) * size for number, size in enumerate(sizes))


@pytest.mark.parametrize("whole", [False, True])
async def test_a_message_over_the_limit_is_an_error(nursery: trio.Nursery, whole: bool):
    peers = await opened(nursery)
    data = frame(BINARY, bytes(MAX_SENT_SIZE + 1), mask=None)
    await peers.there.send_all(data if whole else data[:-1] + frame(BINARY, bytes(9)))
    with pytest.raises(RemoteProtocolError) as raised, trio.fail_after(2):
        await peers.stream.receive_some(65536)
    assert raised.value.reason == "websocket_size"


async def test_who_reads_nothing_stops_the_reading_of_the_socket(nursery: trio.Nursery):
    peers = await opened(nursery)
    taken = 0
    message = frame(BINARY, bytes(1000), mask=None)
    await peers.there.send_all(message * 1000)
    await trio.testing.wait_all_tasks_blocked()
    taken = peers.stream._meter.came
    assert taken <= dialled_websocket.READ_SIZE + len(SWITCHING) + 200
    got = 0
    while got < 1_000_000:
        got += len(await peers.stream.receive_some(65536))


async def test_pings_that_nobody_reads_the_answers_of_do_not_heap_up(nursery: trio.Nursery):
    peers = await opened(nursery, lockstep=True)
    with trio.move_on_after(1) as scope:
        async with trio.open_nursery() as both:
            both.start_soon(peers.stream.receive_some, 1024)
            both.start_soon(peers.there.send_all, frame(PING, b"1", mask=None) * 100_000)
            await trio.testing.wait_all_tasks_blocked()
            assert peers.stream._meter.came <= 2 * dialled_websocket.READ_SIZE
            both.cancel_scope.cancel()
    assert not scope.cancelled_caught
    with trio.fail_after(2):
        await peers.stream.aclose()
    await peers.check_nothing_left()


async def test_each_ping_is_answered(nursery: trio.Nursery):
    peers = await opened(nursery)
    await peers.there.send_all(frame(PING, b"once", mask=None) + frame(BINARY, b"x", mask=None))
    assert await peers.stream.receive_some(10) == b"x"
    assert bytes(await peers.there.receive_some())[:2] == bytes([0x80 | PONG, 0x80 | 4])


# --- what a peer must not send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(TEXT, b"hello", mask=None), "websocket_text"),
        (frame(TEXT, b"", mask=None), "websocket_text"),
        (frame(TEXT, b"\xff\xfe", mask=None), "websocket_frame"),
        (frame(BINARY, b"hello"), "websocket_frame"),
        (frame(BINARY, b"hello", rsv=4, mask=None), "websocket_frame"),
        (frame(CONTINUATION, b"hello", mask=None), "websocket_frame"),
        (frame(3, b"hello", mask=None), "websocket_frame"),
        (frame(PING, bytes(126), mask=None), "websocket_frame"),
        (frame(CLOSE, b"\0", mask=None), "websocket_frame"),
        (frame(CLOSE, struct.pack("!H", 1006), mask=None), "websocket_frame"),
        (frame(BINARY, b"a", fin=False, mask=None) + frame(BINARY, b"b", mask=None), "websocket_frame"),
    ],
)
async def test_a_frame_that_must_not_be_ends_the_stream(nursery: trio.Nursery, data: bytes, reason: str):
    peers = await opened(nursery)
    await peers.there.send_all(data)
    with pytest.raises(RemoteProtocolError) as raised, trio.fail_after(2):
        await peers.stream.receive_some(1024)
    assert raised.value.reason == reason
    assert "hello" not in str(raised.value)
    with trio.fail_after(2):
        await peers.stream.aclose()
    await peers.check_nothing_left()


# --- endings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1002, 1009, 4000])
async def test_a_close_frame_ends_the_stream_whatever_its_code(nursery: trio.Nursery, code: int | None):
    peers = await opened(nursery)
    payload = b"" if code is None else struct.pack("!H", code) + b"bye"
    await peers.there.send_all(frame(BINARY, b"last", mask=None) + frame(CLOSE, payload, mask=None))
    assert await peers.stream.receive_some(1024) == b"last"
    assert await peers.stream.receive_some(1024) == b""
    assert await peers.stream.receive_some(1024) == b""
    assert bytes(await peers.there.receive_some())[:1] == bytes([0x80 | CLOSE])
    with pytest.raises(trio.BrokenResourceError):
        await peers.stream.send_all(b"too late")
    # The other end is still open, and waits for us to close.
    with trio.fail_after(2):
        await peers.stream.aclose()
    await peers.check_nothing_left()
    assert await peers.there.receive_some() == b""


async def test_an_end_without_a_word_ends_the_stream(nursery: trio.Nursery):
    peers = await opened(nursery)
    await peers.there.send_all(frame(BINARY, b"whole", mask=None) + frame(BINARY, b"cut off", mask=None)[:-3])
    await peers.there.aclose()
    assert await peers.stream.receive_some(1024) == b"whole"
    assert await peers.stream.receive_some(1024) == b""
    await peers.stream.aclose()
    await peers.check_nothing_left()


async def test_closing_says_goodbye_and_waits_for_nobody(nursery: trio.Nursery):
    peers = await opened(nursery)
    with trio.fail_after(2):
        await peers.stream.aclose()
        await peers.stream.aclose()
    await peers.check_nothing_left()
    farewell = bytes(await peers.there.receive_some())
    assert farewell[:2] == bytes([0x80 | CLOSE, 0x80 | 2])
    assert bytes(byte ^ farewell[2 + i] for i, byte in enumerate(farewell[6:])) == struct.pack("!H", 1000)
    assert await peers.there.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await peers.stream.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await peers.stream.receive_some(1)


async def test_a_closing_that_is_cancelled_still_closes(nursery: trio.Nursery):
    peers = await opened(nursery, lockstep=True)
    with trio.move_on_after(0.01) as scope:
        await peers.stream.aclose()  # nobody reads the close frame
    assert scope.cancelled_caught
    await peers.check_nothing_left()


async def test_after_a_cancelled_write_nothing_but_the_end_follows(nursery: trio.Nursery):
    peers = await opened(nursery, lockstep=True)
    async with trio.open_nursery() as both:
        both.start_soon(peers.stream.send_all, bytes(100))
        await trio.testing.wait_all_tasks_blocked()
        both.cancel_scope.cancel()
    with pytest.raises(trio.ClosedResourceError):
        await peers.stream.send_all(b"more")
    assert len(await peers.there.receive_some()) == 6 + 100
    # Not even the answer to a ping.
    async with trio.open_nursery() as both:
        both.start_soon(peers.there.send_all, frame(PING, b"1", mask=None))
        await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(1):
        await peers.stream.aclose()
    assert await peers.there.receive_some() == b""
    await peers.check_nothing_left()


async def test_a_ping_after_our_close_frame_harms_nobody(nursery: trio.Nursery):
    """The library fails of it, in a nursery that is this connection's alone."""
    peers = await opened(nursery)
    peers.stream._websocket._wsproto.send(trio_websocket._impl.CloseConnection(code=1000))
    await peers.there.send_all(frame(PING, b"1", mask=None))
    with pytest.raises(trio.BrokenResourceError), trio.fail_after(2):
        await peers.stream.receive_some(1)
    await peers.stream.aclose()
    await peers.check_nothing_left()


async def test_a_failure_of_the_library_reaches_who_reads_and_nobody_else(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(trio_websocket.WebSocketConnection, "_handle_pong_event", fail)
    peers = await opened(nursery)
    await peers.there.send_all(frame(PONG, b"", mask=None))
    with pytest.raises(ExceptionGroup) as raised, trio.fail_after(2):
        await peers.stream.receive_some(1)
    assert raised.group_contains(ZeroDivisionError)
    await peers.stream.aclose()
    await peers.check_nothing_left()


# --- handshakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 1", b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"])
async def test_who_goes_in_the_handshake_ends_the_wait(nursery: trio.Nursery, answer: bytes):
    here, there = trio.testing.memory_stream_pair()

    async def answer_and_go() -> None:
        await there.receive_some()
        await there.send_all(answer)
        await there.aclose()

    async with trio.open_nursery() as both:
        both.start_soon(answer_and_go)
        with trio.fail_after(2), pytest.raises(ConnectionFailed, match="closed the connection during"):
            await request_websocket(here, "example.org", nursery)
    assert not nursery.child_tasks


@pytest.mark.parametrize("piece", [1, 11, 4096])
async def test_a_refusal_is_told_by_its_status_before_its_body(nursery: trio.Nursery, piece: int):
    here, there = trio.testing.memory_stream_pair()
    answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 99999999\r\n\r\n" + bytes(5000)

    async def refuse() -> None:
        await there.receive_some()
        for start in range(0, len(answer), piece):
            await there.send_all(answer[start : start + piece])
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as both:
        both.start_soon(refuse)
        with trio.fail_after(2), pytest.raises(ConnectionFailed, match="HTTP status 503"):
            await request_websocket(here, "example.org", nursery)
    assert not nursery.child_tasks


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Switching\r\n"])
async def test_a_dial_that_is_cancelled_leaves_nothing(nursery: trio.Nursery, answer: bytes):
    here, there = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as both:
        both.start_soon(request_websocket, here, "example.org", nursery)
        await there.receive_some()
        await there.send_all(answer)
        await trio.testing.wait_all_tasks_blocked()
        both.cancel_scope.cancel()
    assert not nursery.child_tasks


async def test_when_the_nursery_ends_the_stream_can_still_be_closed():
    async with trio.open_nursery() as lasting:
        peers = await opened(lasting)
        lasting.cancel_scope.cancel()
    with pytest.raises(trio.BrokenResourceError), trio.fail_after(1):
        await peers.stream.receive_some(1)
    with trio.fail_after(1):
        await peers.stream.aclose()
    await peers.check_nothing_left()
