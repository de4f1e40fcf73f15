"""WebSockets: a byte stream whatever the framing, bounds, and endings, against frames made by hand."""

import base64
import hashlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.net.transports import websocket
from peernet.net.transports.dialled_websocket import DialledWebSocket, request_websocket
from peernet.net.transports.websocket import WebSocketStream, accept_websocket

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 section 1.3: what must be answered to `KEY`."""
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
)
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes | None = b"mask", rsv: int = 0) -> bytes:
    """RFC 6455 section 5.2, written down once more."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    masked = 0x80 if mask else 0
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@asynccontextmanager
async def accepted() -> AsyncIterator[tuple[WebSocketStream, trio.abc.Stream]]:
    """A stream that we accepted, and the bare other end."""
    here, there = trio.testing.memory_stream_pair()
    await there.send_all(REQUEST + b"\r\n")
    stream, _ = await accept_websocket(here)
    await there.receive_some()
    yield stream, there
    await stream.aclose()
    # The other end sees the end: nothing keeps the stream open.
    with trio.fail_after(2):
        while await there.receive_some():
            pass


async def refused(data: bytes) -> tuple[bytes, RemoteProtocolError]:
    """What is answered to `data`, and the error."""
    here, there = trio.testing.memory_stream_pair()
    await there.send_all(data)
    with pytest.raises(RemoteProtocolError) as raised:
        await accept_websocket(here)
    await here.aclose()
    answer = b""
    while more := await there.receive_some():
        answer += more
    return answer, raised.value


async def test_the_request_is_accepted_as_rfc_6455_says():
    here, there = trio.testing.memory_stream_pair()
    offered = b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n"
    await there.send_all(REQUEST + offered + b"\r\n")
    await accept_websocket(here)
    answer = bytes(await there.receive_some())
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n" in answer
    assert b"extensions" not in answer.lower()
    assert b"protocol:" not in answer.lower()


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", b"400", "websocket_handshake"),
        (b"GET / HTTP/1.0\r\n\r\n", b"400", "websocket_handshake"),
        (REQUEST.replace(b"GET", b"POST") + b"Content-Length: 1\r\n\r\nx", b"400", "websocket_handshake"),
        (REQUEST.replace(b"Version: 13", b"Version: 12") + b"\r\n", b"426", "websocket_handshake"),
        (REQUEST.replace(b"Upgrade: websocket", b"Upgrade: h2c") + b"\r\n", b"400", "websocket_handshake"),
        (REQUEST.replace(b"Connection: Upgrade", b"Connection: \xff") + b"\r\n", b"400", "websocket_handshake"),
        (REQUEST.replace(b"example.org", b"xn--\xff") + b"\r\n", b"400", "websocket_handshake"),
        (REQUEST.replace(b"GET /", b"GET /chat") + b"\r\n", b"404", "websocket_path"),
        (REQUEST + b"X: " + bytes([0x61]) * 100_000 + b"\r\n\r\n", b"400", "websocket_handshake"),
        (b"\x13/multistream/1.0.0\n\r\n\r\n", b"400", "websocket_handshake"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), b"400", "websocket_handshake"),
        (b"\r\n" * 50_000, b"400", "websocket_handshake"),
    ],
)
async def test_what_asks_for_no_websocket_is_told_so_in_http(data: bytes, status: bytes, reason: str):
    answer, error = await refused(data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert error.reason == reason


async def test_who_goes_during_the_handshake_is_no_broken_protocol(nursery: trio.Nursery):
    for data in (b"", b"GET / HT", REQUEST):
        here, there = trio.testing.memory_stream_pair()
        await there.send_all(data)
        await there.aclose()
        with pytest.raises(ConnectionFailed):
            await accept_websocket(here)
        here, there = trio.testing.memory_stream_pair()
        await there.aclose()
        with pytest.raises(ConnectionFailed):
            await request_websocket(here, "example.org", nursery)


async def answer_request(there: trio.abc.Stream, answer: bytes) -> bytes:
    """Reads our request and sends `answer`, with the right accept token in it where it says TOKEN."""
    request = bytes(await there.receive_some())
    key = next(line for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: ")).split()[1]
    token = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    await there.send_all(answer.replace(b"TOKEN", token))
    return request


SWITCHING = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: TOKEN\r\n"


async def requested(answer: bytes, lasting: trio.Nursery) -> tuple[DialledWebSocket, trio.abc.Stream, bytes]:
    here, there = trio.testing.memory_stream_pair()
    requests, streams = [], []
    async with trio.open_nursery() as nursery:

        async def answer_it() -> None:
            requests.append(await answer_request(there, answer))

        nursery.start_soon(answer_it)
        streams.append(await request_websocket(here, "example.org:4101", lasting))
    return streams[0], there, requests[0]


async def test_our_request_offers_nothing_and_what_comes_with_the_answer_is_kept(nursery: trio.Nursery):
    first = frame(BINARY, b"early", mask=None)
    stream, there, request = await requested(SWITCHING + b"\r\n" + first, nursery)
    assert request.startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\nHost: example.org:4101\r\n" in request
    assert b"extensions" not in request.lower()
    # Nothing more comes: what is there must be handed out before anything is waited for.
    with trio.fail_after(1):
        assert await stream.receive_some(1024) == b"early"
    await stream.send_all(b"hello")
    sent = bytes(await there.receive_some())
    assert sent[0] == 0x80 | BINARY
    assert sent[1] == 0x80 | 5
    assert bytes(byte ^ sent[2 + i % 4] for i, byte in enumerate(sent[6:])) == b"hello"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ConnectionFailed, "HTTP status 403"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", ConnectionFailed, "HTTP status 200"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionFailed, "HTTP status 100"),
        (SWITCHING.replace(b"TOKEN", ACCEPT) + b"\r\n", RemoteProtocolError, "no WebSocket handshake"),
        (SWITCHING + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", RemoteProtocolError, "no WebSocket"),
        (SWITCHING + b"Sec-WebSocket-Protocol: \xff\r\n\r\n", RemoteProtocolError, "no WebSocket"),
        (b"\x13/multistream/1.0.0\n", RemoteProtocolError, "no WebSocket"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", RemoteProtocolError, "no WebSocket"),
    ],
)
async def test_an_answer_that_is_no_websocket_is_an_error(answer: bytes, error: type[Exception], said: str):
    here, there = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_request, there, answer)
        with pytest.raises(error, match=said):
            await request_websocket(here, "example.org", nursery)


async def sent_as(stream: WebSocketStream, there: trio.abc.Stream, data: bytes) -> bytes:
    """What `data` comes to on the wire."""
    sent = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        await trio.testing.wait_all_tasks_blocked()
    await there.send_all(frame(PING, b"the end"))
    await there.send_all(frame(BINARY, b"."))
    await stream.receive_some(1024)
    while not sent.endswith(b"the end"):
        sent += await there.receive_some()
    return sent.removesuffix(frame(PONG, b"the end", mask=None))


async def test_bytes_are_sent_as_binary_messages_that_others_take():
    async with accepted() as (stream, there):
        await stream.send_all(b"hello")
        assert await there.receive_some() == frame(BINARY, b"hello", mask=None)
        data = bytes(range(256)) * 2100
        with trio.fail_after(5):
            sent = await sent_as(stream, there, data)
        size = websocket.MAX_SENT_SIZE
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert len(pieces) == 3
        assert sent == b"".join(frame(BINARY, piece, mask=None) for piece in pieces)


Step = tuple[str, bytes, int]


@settings(max_examples=100, deadline=None)
@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=6),
    pings=st.lists(st.binary(max_size=125), max_size=3),
    chunk=st.integers(1, 400),
    read=st.integers(1, 1000),
)
def test_any_framing_in_any_pieces_is_the_same_stream(
    messages: list[list[bytes]], pings: list[bytes], chunk: int, read: int
):
    sent = bytearray()
    answers = list(pings)
    for message in messages:
        for number, part in enumerate(message):
            opcode = CONTINUATION if number else BINARY
            sent += frame(opcode, part, fin=number == len(message) - 1, mask=b"\0\xff4z")
            if answers:
                # Control frames may stand between the fragments of a message.
                sent += frame(PING, answers.pop())
    sent += frame(CLOSE, struct.pack("!H", 1000))

    async def received() -> bytes:
        got = b""
        async with accepted() as (stream, there):
            for start in range(0, len(sent), chunk):
                await there.send_all(sent[start : start + chunk])
            while data := await stream.receive_some(read):
                got += data
        return got

    assert trio.run(received) == b"".join(part for message in messages for part in message)


@pytest.mark.parametrize(
    ("data", "reason", "code"),
    [
        (frame(TEXT, b"hello"), "websocket_text", 1003),
        (frame(TEXT, b"hel", fin=False), "websocket_text", 1003),
        (frame(TEXT, b"\xff\xfe"), "websocket_frame", 1007),
        (frame(BINARY, b"hello", mask=None), "websocket_frame", 1002),
        (frame(BINARY, b"hello", rsv=4), "websocket_frame", 1002),
        (frame(CONTINUATION, b"hello"), "websocket_frame", 1002),
        (frame(3, b"hello"), "websocket_frame", 1002),
        (frame(PING, bytes(126)), "websocket_frame", 1002),
        (frame(PING, b"", fin=False), "websocket_frame", 1002),
        (frame(CLOSE, b"\0"), "websocket_frame", 1002),
        (frame(CLOSE, struct.pack("!H", 1005)), "websocket_frame", 1002),
        (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), "websocket_frame", 1002),
    ],
)
async def test_a_frame_that_must_not_be_ends_the_stream_and_says_why(data: bytes, reason: str, code: int):
    here, there = trio.testing.memory_stream_pair()
    await there.send_all(REQUEST + b"\r\n")
    stream, _ = await accept_websocket(here)
    await there.receive_some()
    await there.send_all(data)
    with pytest.raises(RemoteProtocolError) as raised, trio.fail_after(2):
        for _ in range(3):
            await stream.receive_some(1024)
    assert raised.value.reason == reason
    assert "hello" not in str(raised.value)
    await stream.aclose()
    farewell = bytes(await there.receive_some())
    assert farewell[:1] == bytes([0x80 | CLOSE])
    assert farewell[2:4] == struct.pack("!H", code)


async def test_a_message_over_the_limit_ends_the_stream_before_it_is_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(websocket, "MAX_MESSAGE_SIZE", 1000)
    async with accepted() as (stream, there):
        await there.send_all(frame(BINARY, bytes(1000)))
        assert len(await stream.receive_some(4096)) == 1000
        # As two fragments, and as one frame of which most is still to come.
        await there.send_all(frame(BINARY, bytes(600), fin=False))
        assert len(await stream.receive_some(4096)) == 600
        await there.send_all(frame(CONTINUATION, bytes(100_000))[:700])
        with pytest.raises(RemoteProtocolError) as raised:
            await stream.receive_some(4096)
        assert raised.value.reason == "websocket_size"


async def test_empty_fragments_are_not_held():
    async with accepted() as (stream, there):
        with trio.move_on_after(5), trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.receive_some, 65536)
                await there.send_all(frame(BINARY, b"", fin=False))
                for _ in range(20):
                    await there.send_all(frame(CONTINUATION, b"", fin=False) * 500)
                await trio.testing.wait_all_tasks_blocked()
                assert stream._received == []
                assert len(stream._protocol.connection._proto._frame_decoder.buffer) == 0
                nursery.cancel_scope.cancel()
        assert not scope.cancelled_caught


async def test_of_pings_that_come_together_the_last_is_answered():
    async with accepted() as (stream, there):
        await there.send_all(b"".join(frame(PING, bytes([number])) for number in range(50)) + frame(BINARY, b"x"))
        assert await stream.receive_some(4096) == b"x"
        assert await there.receive_some() == frame(PONG, bytes([49]), mask=None)


async def test_a_close_frame_is_answered_and_ends_the_stream():
    async with accepted() as (stream, there):
        await there.send_all(frame(BINARY, b"last") + frame(CLOSE, struct.pack("!H", 1000) + b"bye"))
        assert await stream.receive_some(4096) == b"last"
        assert await stream.receive_some(4096) == b""
        assert bytes(await there.receive_some())[:1] == bytes([0x80 | CLOSE])
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"too late")
        assert await stream.receive_some(4096) == b""


async def test_an_end_without_a_word_is_an_end_too():
    here, there = trio.testing.memory_stream_pair()
    await there.send_all(REQUEST + b"\r\n" + b"")
    stream, _ = await accept_websocket(here)
    await there.send_all(frame(BINARY, b"cut off")[:-3])
    await there.aclose()
    assert await stream.receive_some(4096) == b"cut "
    assert await stream.receive_some(4096) == b""
    await stream.aclose()


async def test_closing_says_goodbye():
    here, there = trio.testing.memory_stream_pair()
    await there.send_all(REQUEST + b"\r\n")
    stream, _ = await accept_websocket(here)
    await there.receive_some()
    await stream.aclose()
    await stream.aclose()
    assert await there.receive_some() == frame(CLOSE, struct.pack("!H", 1000), mask=None)
    assert await there.receive_some() == b""


async def test_half_a_frame_is_followed_by_nothing_but_the_end():
    here, there = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.send_all, REQUEST + b"\r\n")
        nursery.start_soon(there.receive_some)
        stream, _ = await accept_websocket(here)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, bytes(100))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    # Nobody has read it, so the cancellation has cut the write off.
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"more")
    with trio.fail_after(1):
        await stream.aclose()
    # As far as it was written, and no close frame after it.
    assert await there.receive_some() == frame(BINARY, bytes(100), mask=None)
    assert await there.receive_some() == b""


async def test_a_closing_that_is_cancelled_still_closes():
    here, there = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.send_all, REQUEST + b"\r\n")
        nursery.start_soon(there.receive_some)
        stream, _ = await accept_websocket(here)
    with trio.move_on_after(0.01) as scope:
        await stream.aclose()  # nobody reads the close frame
    assert scope.cancelled_caught
    with pytest.raises(trio.ClosedResourceError), trio.fail_after(2):
        await here.receive_some(1)
    assert await there.receive_some() == frame(CLOSE, struct.pack("!H", 1000), mask=None)
    assert await there.receive_some() == b""
