"""Hostile peers on real sockets, beside a good one: each ends its own connection or stream, counted, and nothing else.

Every hostile peer comes from a network of its own, so that none is refused for what another one did.
"""

import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Final

import pytest
import structlog
import trio
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.serving import FromClient, FromHost
from peernet.core.suite import MixedSuite
from peernet.core.wire import frame
from peernet.net.addresses import TcpAddress
from peernet.net.limits import Limits
from peernet.net.messages import MessageStream
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from tests.hostile_input import ARBITRARY, FACTOR, fuzzes, mutated

SUITE: Final = MixedSuite()
ECHO, MESSAGES = "/test/echo/1", "/test/messages/1"
HEADER: Final = frame(b"/multistream/1.0.0\n")
SELECT_NOISE: Final = HEADER + frame(b"/noise\n")
_numbers = count(1)

PHASES: Final = ("bytes", "selected", "handshake", "session", "stream", "messages")


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def _new_swarm(host: str) -> Swarm:
    return Swarm(SUITE, Keypair.from_seed(b"fuzz %027d" % next(_numbers), SUITE), bind=host, limits=Limits())


async def _echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def _receive_messages(stream: PeerStream) -> None:
    messages = MessageStream(stream, FromClient)
    while await messages.receive() is not None:
        pass


async def _until(holds: Callable[[], bool]) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)


@define
class _Scene:
    node: Swarm
    good: Swarm
    asked: int = 0
    answered: int = 0
    done: trio.Event = field(factory=trio.Event)

    async def talk(self) -> None:
        """The good peer asks all the time, and every answer is the right one."""
        stream = await self.good.open_stream(self.node.peer_id, self.node.listening, ECHO)
        while not self.done.is_set():
            self.asked += 1
            said = b"%8d" % self.asked
            await stream.send_all(said)
            heard = b""
            while len(heard) < len(said):
                piece = await stream.receive_some()
                assert piece, "the good peer's stream was ended"
                heard += piece
            assert heard == said
            self.answered += 1
            await trio.sleep(0.0005)

    async def served(self) -> None:
        wanted = self.answered + 3
        await _until(lambda: self.answered >= wanted)

    def counted(self, reason: str = "") -> int:
        """How often a handshake, a connection or a stream failed for this reason, or for any."""
        return sum(
            number
            for name, number in self.node.counters.items()
            if re.fullmatch(f"[a-z]+_failed:{reason or '.*'}", name)
        )


@asynccontextmanager
async def _scene() -> AsyncIterator[_Scene]:
    scene = _Scene(_new_swarm("127.89.255.1"), _new_swarm("127.89.254.1"))
    scene.node.handle(ECHO, _echo)
    scene.node.handle(MESSAGES, _receive_messages)
    async with trio.open_nursery() as nursery:
        for swarm in (scene.node, scene.good):
            await nursery.start(swarm.run)
        await scene.node.listen(TcpAddress("127.89.255.1", 0))
        nursery.start_soon(scene.talk)
        await scene.served()
        tasks = len(scene.node._nursery.child_tasks)
        yield scene
        # Nothing is held of anybody but the good peer, who was served all the time.
        await scene.served()
        await _until(lambda: scene.node.connection_count == 1)
        await _until(lambda: len(scene.node._nursery.child_tasks) == tasks)
        await _until(lambda: scene.node.resources.streams == 1)
        assert len(scene.node._table.running) == 1
        assert scene.node._streams._early == {}
        scene.done.set()
        await _until(lambda: scene.asked == scene.answered)
        assert not [name for name in scene.node.counters if "crashed" in name], scene.node.counters
        nursery.cancel_scope.cancel()


class _Hostile:
    """A peer by hand, on a socket of its own, which can say anything at any point."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        keypair = Keypair.from_seed(b"hostile %024d" % next(_numbers), SUITE)
        self.protocol = Connection(
            SUITE, NoiseIdentity.of(keypair, b"i" * 32, SUITE), initiator=True, ephemeral_secret=b"e" * 32
        )

    async def flush(self) -> None:
        if data := self.protocol.data_to_send():
            await self.stream.send_all(data)

    async def exchange(self, holds: Callable[[], bool]) -> None:
        await self.flush()
        while not holds():
            data = await self.stream.receive_some()
            if not data:
                raise trio.BrokenResourceError("the node closed")
            self.protocol.receive(data)
            await self.flush()

    async def say(self, phase: str, said: bytes) -> None:
        """Says `said` in place of what would come in that phase."""
        match phase:
            case "bytes":
                await self.stream.send_all(said)
            case "selected":
                await self.stream.send_all(SELECT_NOISE + said)
            case "handshake":
                flight = self.protocol.data_to_send()
                await self.stream.send_all(flight)
                await self.stream.receive_some()
                await self.stream.send_all(said)
            case "session":
                await self.exchange(lambda: self.protocol.established)
                self.protocol._seal(said)
                await self.flush()
            case _:
                await self.exchange(lambda: self.protocol.established)
                stream_id = self.protocol.yamux.open_stream()
                begun = b"" if phase == "stream" else HEADER + frame(f"{MESSAGES}\n".encode())
                self.protocol.yamux.send(stream_id, begun + said)
                self.protocol.yamux.close(stream_id)
                await self.exchange(lambda: not self.protocol.yamux.is_open(stream_id))

    async def leave(self) -> None:
        """Says no more, and waits for the node to close."""
        with suppress(trio.BrokenResourceError, OSError):
            await self.stream.send_eof()
            while await self.stream.receive_some():
                pass
        await self.stream.aclose()


async def _attack(scene: _Scene, phase: str, said: bytes) -> None:
    host = f"127.90.{next(_numbers) % 250}.{next(_numbers) % 250 + 1}"
    (address,) = scene.node.listening
    stream = await trio.open_tcp_stream(address.host, address.port, local_address=host)
    hostile = _Hostile(stream)
    with trio.fail_after(15):
        # What the node says to it is the node's business; that it closes is what we wait for.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
            await hostile.say(phase, said)
        await hostile.leave()


def _yamux(kind: int, flags: int, stream: int, length: int) -> bytes:
    return struct.pack(">BBHII", 0, kind, flags, stream, length)


WRONG: Final = [
    ("bytes", b"GET / HTTP/1.1\r\nHost: " + bytes(100), "bad_multistream"),
    ("bytes", frame(b"/multistream/2.0.0\n"), "bad_multistream"),
    ("bytes", HEADER + frame(b"/tls\n") * 40, "too_many_proposals"),
    ("selected", b"\xff\xff" + bytes(100), "too_long"),
    ("selected", b"\0\x05" + bytes(5), "too_short"),
    ("selected", b"\0\x20" + bytes(32), "bad_key"),
    ("handshake", b"\0\x60" + bytes(96), "bad_tag"),
    ("session", b"\1" + bytes(11), "bad_frame"),
    ("session", _yamux(0, 0, 1, 2**32 - 1), "unknown_stream"),
    ("session", _yamux(1, 1, 2, 0), "bad_stream_id"),
    ("session", _yamux(1, 1, 1, 0) * 2, "duplicate_stream"),
    ("session", _yamux(1, 1, 1, 0) + _yamux(0, 0, 1, 2**31), "window_overrun"),
    ("session", _yamux(1, 1, 1, 2**32 - 1), "window_overflow"),
    ("stream", b"\xff\xff\xff", "bad_length"),
    ("stream", HEADER + frame(b"/none\n") * 40, "too_many_proposals"),
    ("messages", b"\xff\xff\xff\x7f", "too_long"),
    ("messages", frame(b"\xdc\x10\x00" * 900), "bad_message"),
    ("messages", frame(b"\x91\x09"), "unknown_message"),
]


async def test_what_a_stream_was_sent_is_held_no_longer_than_until_it_is_read():
    """Piece by piece: of more at once, a slow reader may hold a whole window."""
    read, piece = 0, bytes(10_000)

    async def count_bytes(stream: PeerStream) -> None:
        nonlocal read
        while data := await stream.receive_some():
            assert sum(map(len, stream._received)) <= len(piece)
            read += len(data)

    async with _scene() as scene:
        scene.node.handle("/test/count/1", count_bytes)
        stream = await scene.good.open_stream(scene.node.peer_id, scene.node.listening, "/test/count/1")
        for number in range(1, 60):
            await stream.send_all(piece)
            await _until(lambda number=number: read == number * len(piece))
        await stream.close_sending()
        await stream.wait_remote_closed()


@fuzzes(MessageStream.receive, PeerStream.on_data)
async def test_each_that_breaks_a_protocol_is_counted_with_its_reason_and_harms_nobody():
    async with _scene() as scene:
        for phase, said, reason in WRONG:
            before = scene.counted(reason)
            await _attack(scene, phase, said)
            await _until(lambda reason=reason, before=before: scene.counted(reason) == before + 1)
        assert scene.counted() == len(WRONG)


async def test_many_at_once_harm_nobody():
    async with _scene() as scene:
        async with trio.open_nursery() as nursery:
            for phase, said, _ in WRONG:
                nursery.start_soon(_attack, scene, phase, said)
        await _until(lambda: scene.counted() >= len(WRONG))


VALID: Final = {
    "bytes": [SELECT_NOISE + b"\0\x20" + bytes(range(32))],
    "selected": [b"\0\x20" + bytes(range(32))],
    "handshake": [b"\0\xa0" + bytes(160)],
    "session": [_yamux(1, 1, 1, 0) + _yamux(0, 0, 1, len(HEADER)) + HEADER, _yamux(2, 1, 0, 7) + _yamux(3, 0, 0, 0)],
    "stream": [HEADER + frame(f"{ECHO}\n".encode()) + b"hello", HEADER + frame(b"/none\n")],
    "messages": [
        frame(FromHost.encode(FromHost.decode(b"\x92\x01\xa1x"))),
        frame(b"\x92\x02\x97\xa1x\xc4\0\xc4\0\1\1\1\xc4\0"),
    ],
}


@settings(
    max_examples=25 * FACTOR,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    st.lists(
        st.sampled_from(PHASES).flatmap(
            lambda phase: st.tuples(st.just(phase), st.one_of(mutated(VALID[phase]), ARBITRARY))
        ),
        min_size=3,
        max_size=8,
    )
)
def test_any_bytes_at_any_point_harm_nobody(attacks: list[tuple[str, bytes]]):
    async def run() -> None:
        async with _scene() as scene, trio.open_nursery() as nursery:
            for phase, said in attacks:
                nursery.start_soon(_attack, scene, phase, said[:60_000])

    trio.run(run)


def test_the_phases_are_all_attacked():
    said: set[Any] = {phase for phase, _, _ in WRONG}
    assert said == set(PHASES) == set(VALID)
