"""Streams whose protocol is proposed together with their first bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import ConnectionFailed
from peernet.core.identity import Keypair
from peernet.core.multistream import Listener
from peernet.core.suite import MixedSuite
from peernet.net.connection import PeerConnection
from peernet.net.limits import Limits
from peernet.net.negotiation import FRESH_S, ProposedStream, is_fresh, propose
from peernet.net.streams import PeerStream
from tests.swarm_pair import two_swarms

SUITE = MixedSuite()
ECHO = "/test/echo/1"
TIMEOUT_S = 3.0
PATIENCE_S = 5.0


@asynccontextmanager
async def proposing(
    limits: Limits | None = None,
) -> AsyncIterator[tuple[ProposedStream, PeerConnection, list[PeerStream]]]:
    """A stream of `ECHO` just opened, its connection, and what the other side was opened."""
    opened: list[PeerStream] = []
    connections = []
    for transport, dials in zip(trio.testing.memory_stream_pair(), (True, False), strict=True):
        protocol = Connection(
            SUITE,
            NoiseIdentity.of(Keypair.from_seed(bytes([dials]) * 32, SUITE), bytes([2, dials]) * 16, SUITE),
            initiator=dials,
            ephemeral_secret=bytes([3, dials]) * 16,
        )
        connections.append(
            PeerConnection(transport, protocol, limits or Limits(), lambda _, stream: opened.append(stream))
        )
    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(connection.run)
        for connection in connections:
            await connection.wait_established()
        with trio.fail_after(PATIENCE_S):
            yield propose(connections[0], ECHO, TIMEOUT_S), connections[0], opened
        nursery.cancel_scope.cancel()


async def agree(stream: PeerStream, answer: bytes = b"") -> bytes:
    """The other side's part: agrees, with `answer` right behind, and returns what came behind the proposal."""
    listener = Listener({ECHO})
    while listener.selected is None:
        data = await stream.receive_some()
        assert data, "the proposal never came"
        listener.receive(data)
    await stream.send_all(listener.data_to_send() + answer)
    return listener.leftover()


async def test_the_proposal_leaves_with_the_first_bytes_and_nobody_waits():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        proposal = b"\x13/multistream/1.0.0\n\x0d/test/echo/1\n"
        assert b"".join(opened[0]._received) == proposal + b"a request"
        await stream.send_all(b", more")
        await trio.testing.wait_all_tasks_blocked()
        assert await agree(opened[0]) == b"a request, more"


async def test_nothing_but_the_protocols_own_bytes_is_read():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        await agree(opened[0], b"an answer")
        assert await stream.receive_some() == b"an answer"
        await opened[0].send_all(b", more")
        assert await stream.receive_some() == b", more"
        await opened[0].close_sending()
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("first", ["receive_some", "close_sending", "wait_ended", "wait_remote_closed", "agreed"])
async def test_without_any_bytes_the_proposal_leaves_when_something_is_waited_for(first: str):
    async with proposing() as (stream, _, opened), trio.open_nursery() as nursery:
        nursery.start_soon(getattr(stream, first))
        await trio.testing.wait_all_tasks_blocked()
        assert await agree(opened[0], b"an answer") == b""
        await opened[0].close_sending()


async def test_who_closes_at_once_is_answered_all_the_same():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await stream.close_sending()
        await trio.testing.wait_all_tasks_blocked()
        await agree(opened[0], b"an answer")
        await opened[0].close_sending()
        assert await stream.receive_some() == b"an answer"
        assert await stream.receive_some() == b""


async def test_a_refusal_is_told_to_whoever_reads():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        await opened[0].send_all(b"\x13/multistream/1.0.0\n\x03na\n")
        with pytest.raises(ConnectionFailed, match="does not serve /test/echo/1"):
            await stream.receive_some()
        with pytest.raises(ConnectionFailed):
            await stream.receive_some()
        with pytest.raises(ConnectionFailed):
            await stream.send_all(b"more")


@pytest.mark.parametrize(
    "answer", [b"\x13/multistream/2.0.0\n", b"\x13/multistream/1.0.0\n\x05/abc\n", b"HTTP/1.1 400\r\n"]
)
async def test_any_other_answer_is_a_refusal(answer: bytes):
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        await opened[0].send_all(answer + bytes(1024))
        with pytest.raises(ConnectionFailed, match="does not serve"):
            await stream.receive_some()


async def test_the_end_instead_of_an_answer():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        await opened[0].close_sending()
        with pytest.raises(ConnectionFailed, match="closed the stream while"):
            await stream.receive_some()


async def test_no_answer_is_waited_for_only_so_long(autojump_clock):
    async with proposing() as (stream, _, _opened):
        await stream.send_all(b"a request")
        started = trio.current_time()
        with pytest.raises(ConnectionFailed, match="in time"):
            await stream.receive_some()
        assert trio.current_time() - started == pytest.approx(TIMEOUT_S)


async def test_a_reader_that_was_cancelled_lost_nothing_of_the_answer():
    async with proposing() as (stream, _, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        listener = Listener({ECHO})
        listener.receive(await opened[0].receive_some())
        whole = listener.data_to_send() + b"an answer"
        for piece in (whole[:5], whole[5:22]):
            await opened[0].send_all(piece)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.receive_some)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        await opened[0].send_all(whole[22:])
        assert await stream.receive_some() == b"an answer"


async def test_a_sender_that_was_cancelled_has_not_lost_the_proposal():
    async with proposing() as (stream, _, opened):
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.send_all(b"never sent")
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        assert await agree(opened[0]) == b"a request"


async def test_what_the_answer_took_of_the_window_is_given_back():
    async with proposing() as (stream, connection, opened):
        await stream.send_all(b"a request")
        await trio.testing.wait_all_tasks_blocked()
        await agree(opened[0], b"an answer")
        sent = 0
        while sent < 3 * 256 * 1024:
            await opened[0].send_all(bytes(64 * 1024))
            sent += 64 * 1024
            await trio.testing.wait_all_tasks_blocked()
            assert await stream.receive_some()
        assert connection.alive


async def test_a_swarm_opens_streams_without_waiting_where_the_peer_was_heard_lately():
    async with two_swarms() as (one, two, _):

        async def echo(stream: PeerStream) -> None:
            while data := await stream.receive_some():
                await stream.send_all(data)

        two.handle(ECHO, echo)
        await one.connect(two.peer_id, two.listening)
        # No checkpoint that waits: an answer could not have come.
        with trio.CancelScope() as scope:
            stream = await one.open_stream(two.peer_id, two.listening, ECHO, optimistic=True)
            assert isinstance(stream, ProposedStream)
            assert not stream._is_agreed
        assert not scope.cancelled_caught
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        stream.reset()
        # Nobody is refused before having asked.
        refused = await one.open_stream(two.peer_id, two.listening, "/test/nothing/1", optimistic=True)
        await refused.send_all(b"\x02ab")
        with pytest.raises(ConnectionFailed, match="does not serve"):
            await refused.receive_some()
        with pytest.raises(ConnectionFailed, match="does not serve"):
            await one.open_stream(two.peer_id, two.listening, "/test/nothing/1")
        with trio.fail_after(5):
            while not two.counters["stream_failed:no_protocol"]:  # noqa: ASYNC110  (counted after its last word)
                await trio.sleep(0.001)


async def test_on_a_connection_that_has_been_quiet_the_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    async with two_swarms() as (one, two, _):
        two.handle(ECHO, PeerStream.close_sending)
        connection = await one.connect(two.peer_id, two.listening)
        assert is_fresh(connection)
        connection.last_heard -= FRESH_S
        assert not is_fresh(connection)
        stream = await one.open_stream(two.peer_id, two.listening, ECHO, optimistic=True)
        assert isinstance(stream, ProposedStream)
        assert stream._is_agreed


async def test_a_request_on_a_connection_that_went_away_unnoticed_is_made_on_a_new_one():
    async with two_swarms() as (one, two, _):
        two.handle(ECHO, PeerStream.close_sending)
        connection = await one.connect(two.peer_id, two.listening)
        connection.last_heard -= FRESH_S
        with trio.fail_after(5):
            while one.peer_id not in two.connections:  # noqa: ASYNC110  (it comes through the kernel)
                await trio.sleep(0.001)
        # The other side closes it; this side has not heard of it when it opens the stream.
        two.connections[one.peer_id].close()
        async with await one.open_stream(two.peer_id, two.listening, ECHO, optimistic=True) as stream:
            assert await stream.receive_some() == b""
        assert one.connections[two.peer_id] is not connection
