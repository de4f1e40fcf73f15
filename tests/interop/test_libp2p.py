"""py-libp2p 0.8.1 as a live peer: it connects to us and we to it, over TCP and WebSocket, Noise and yamux.

It runs in an environment of its own (`make libp2p`), as the process of `tests/libp2p_peer.py`; without that, these
tests are skipped. One process serves all of them; each has a swarm of ours with a fresh identity.

Where py-libp2p 0.8.1 differs from the specifications, and what the tests make of it:

- over a WebSocket it does not know where the other side is, and so tells it no observed address;
- at a go-away it closes the connection with all streams, instead of letting them end;
- of a frame with ACK and FIN it passes over the FIN. We send them apart.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import define

from peernet.core.errors import ConnectionFailed
from peernet.core.identity import PeerId, decode_public_key
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.net.addresses import parse_address, parse_peer_address
from peernet.net.identify import identify, serve_identify
from peernet.net.limits import Limits
from peernet.net.ping import PingService
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from tests.swarm_pair import new_swarm

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-libp2p" / "bin" / "python"
HOST = "127.61.1.1"
ECHO, RESET, LISTEN = "/test/echo/1", "/test/reset/1", "/test/listen/1"
PATIENCE_S = 60.0
LIMITS = Limits(
    dial_timeout_s=PATIENCE_S, handshake_timeout_s=PATIENCE_S, negotiation_timeout_s=PATIENCE_S, linger_s=PATIENCE_S
)
MEGABYTES = 5 * 1024 * 1024 + 1
"""Many windows, and not a multiple of anything."""


class Theirs:
    """The process with their peer, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin.fileno(), process.stdout.fileno()
        self.peer, self.addresses = json.loads(process.stdout.readline())
        os.set_blocking(self.stdout, False)
        self.numbers = count(1)
        self.answers: dict[int, list[object]] = {}
        self.told: list[list[object]] = []
        self.unread = b""

    def address(self, transport: str) -> str:
        """Where it is dialled by this transport."""
        (found,) = (text for text in self.addresses if ("/ws/" in text) == (transport == "ws"))
        return str(found)

    async def ask(self, action: str, *arguments: object) -> object:
        """The result of an action; fails the test if it raised an error there."""
        answer = await self.try_ask(action, *arguments)
        assert len(answer) == 1, answer
        return answer[0]

    async def try_ask(self, action: str, *arguments: object) -> list[object]:
        number = next(self.numbers)
        os.write(self.stdin, json.dumps([number, action, arguments]).encode() + b"\n")
        with trio.fail_after(PATIENCE_S):
            while number not in self.answers:
                await self._read()
        return self.answers.pop(number)

    async def hear(self) -> list[object]:
        """The next that it tells about a stream which was opened to it."""
        with trio.fail_after(PATIENCE_S):
            while not self.told:
                await self._read()
        return self.told.pop(0)

    async def _read(self) -> None:
        await trio.lowlevel.wait_readable(self.stdout)
        data = os.read(self.stdout, 65536)
        assert data, "their process ended"
        *lines, self.unread = (self.unread + data).split(b"\n")
        for number, *rest in map(json.loads, lines):
            if number is None:
                self.told.append(rest)
            else:
                self.answers[number] = rest


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    if not (ROOT / ".venv-libp2p" / ".ready").exists():
        pytest.skip("py-libp2p's environment is not there: make libp2p")
    addresses = [f"/ip4/{HOST}/tcp/0", f"/ip4/{HOST}/tcp/0/ws"]
    command = [str(PYTHON), str(ROOT / "tests" / "libp2p_peer.py"), *addresses]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Theirs(process)
        assert process.stdin is not None
        process.stdin.close()  # which ends it
        process.wait(PATIENCE_S)


@define
class Pair:
    """A connection between a swarm of ours and their peer."""

    ours: Swarm
    theirs: Theirs
    their_id: PeerId
    transport: str
    endings: list[object]
    """What our side saw of the streams that they opened and ended."""

    async def open_stream(self, protocol: str) -> PeerStream:
        with trio.fail_after(PATIENCE_S):
            return await self.ours.open_stream(self.their_id, (), protocol)

    async def ask(self, action: str, *arguments: object) -> object:
        return await self.theirs.ask(action, str(self.ours.peer_id), *arguments)


async def serve_echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def serve_reset(stream: PeerStream) -> None:
    await stream.receive_some()
    stream.reset()


async def received(stream: PeerStream) -> bytes:
    heard = bytearray()
    while data := await stream.receive_some():
        heard += data
    return bytes(heard)


@asynccontextmanager
async def connected(theirs: Theirs, transport: str, dialler: str) -> AsyncIterator[Pair]:
    swarm = new_swarm(LIMITS)
    endings: list[object] = []

    async def serve_listen(stream: PeerStream) -> None:
        try:
            endings.append(sha256(await received(stream)).hexdigest())
        except ConnectionFailed as error:
            endings.append(str(error))

    for protocol, handler in ((ECHO, serve_echo), (RESET, serve_reset), (LISTEN, serve_listen)):
        swarm.handle(protocol, handler)
    serve_identify(swarm, "peernet/test", lambda: swarm.listening)
    PingService(swarm).serve()
    peer = parse_peer_address(theirs.address(transport))
    async with trio.open_nursery() as nursery:
        await nursery.start(swarm.run)
        ours = await swarm.listen(parse_address(f"/ip4/{swarm._bind}/tcp/0{'/ws' if transport == 'ws' else ''}"))
        with trio.fail_after(PATIENCE_S):
            if dialler == "we":
                await swarm.connect(peer.peer, [peer.address])
                await theirs.ask("wait_for", str(swarm.peer_id))
            else:
                assert await theirs.ask("connect", f"{ours}/p2p/{swarm.peer_id}") == str(swarm.peer_id)
        assert swarm.connection_count == 1
        yield Pair(swarm, theirs, peer.peer, transport, endings)
        await theirs.ask("disconnect", str(swarm.peer_id))
        nursery.cancel_scope.cancel()


def either_way(test):
    """Over both transports, whoever dials."""
    return pytest.mark.parametrize("dialler", ["they", "we"])(
        pytest.mark.parametrize("transport", ["tcp", "ws"])(test)
    )


@either_way
async def test_each_pings_and_identifies_the_other(theirs: Theirs, transport: str, dialler: str):
    async with connected(theirs, transport, dialler) as pair:
        pings = PingService(pair.ours)
        for _ in range(3):
            assert 0 < await pings.ping(pair.their_id) < PATIENCE_S
        assert await pair.ask("ping", 3) == 3

        said = await identify(pair.ours, pair.their_id)
        assert said.public_key == pair.their_id.public_key
        assert said.agent_version.startswith("py-libp2p/")
        assert {ECHO, "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"} <= set(said.protocols)
        without_id = f"/p2p/{pair.their_id}"
        assert set(said.listen_addresses) == {address.removesuffix(without_id) for address in theirs.addresses}
        if transport == "tcp":
            assert said.observed_address is not None
            assert said.observed_address.startswith(f"/ip4/{pair.ours._bind}/tcp/")

        heard = await pair.ask("identify")
        assert isinstance(heard, dict)
        assert decode_public_key(bytes.fromhex(heard["public_key"])) == pair.ours.peer_id.public_key
        assert heard["agent_version"] == "peernet/test"
        assert heard["listen_addresses"] == list(map(str, pair.ours.listening))
        assert heard["observed_address"].startswith("/ip4/127.")
        assert heard["protocols"] == sorted(pair.ours.protocols)


@either_way
async def test_megabytes_and_the_end_of_them_come_back_from_the_other(theirs: Theirs, transport: str, dialler: str):
    async with connected(theirs, transport, dialler) as pair:
        assert MEGABYTES > 4 * INITIAL_WINDOW
        assert await pair.ask("echo", MEGABYTES) is True
        assert await pair.ask("echo", 0) is True

        sent = os.urandom(MEGABYTES)
        async with await pair.open_stream(ECHO) as stream, trio.open_nursery() as nursery:

            async def send() -> None:
                await stream.send_all(sent)
                await stream.close_sending()

            nursery.start_soon(send)
            with trio.fail_after(PATIENCE_S):
                assert await received(stream) == sent


@either_way
async def test_many_streams_at_once(theirs: Theirs, transport: str, dialler: str):
    async with connected(theirs, transport, dialler) as pair:
        assert await pair.ask("echo_many", 40) == 40

        async def one(number: int) -> None:
            text = b"stream %d" % number * number
            async with await pair.open_stream(ECHO) as stream:
                await stream.send_all(text)
                await stream.close_sending()
                assert await received(stream) == text

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for number in range(40):
                    nursery.start_soon(one, number)


@either_way
async def test_a_reset_is_told_from_an_end(theirs: Theirs, transport: str, dialler: str):
    async with connected(theirs, transport, dialler) as pair:
        # Theirs resets what we opened, then what it opened itself.
        stream = await pair.open_stream(RESET)
        await stream.send_all(b"something")
        with pytest.raises(ConnectionFailed, match="reset"):
            await received(stream)
        await pair.ask("send_and_reset")
        with trio.fail_after(PATIENCE_S):
            while not pair.endings:  # noqa: ASYNC110  (what is waited for comes from another process)
                await trio.sleep(0.001)
        assert pair.endings == ["the peer reset the stream"]

        # We do the same to it.
        assert await pair.ask("be_reset") == "reset"
        stream = await pair.open_stream(LISTEN)
        await stream.send_all(b"not all of it")
        stream.reset()
        assert (await theirs.hear())[0] == "reset"
        async with await pair.open_stream(LISTEN) as stream:
            await stream.send_all(b"all of it")
            await stream.close_sending()
            assert await received(stream) == b""
        assert await theirs.hear() == ["closed", 9, sha256(b"all of it").hexdigest()]


@either_way
async def test_a_protocol_that_nobody_serves_is_refused_and_costs_only_its_stream(
    theirs: Theirs, transport: str, dialler: str
):
    async with connected(theirs, transport, dialler) as pair:
        with pytest.raises(ConnectionFailed, match="does not serve"):
            await pair.open_stream("/test/nothing/1")
        assert "not supported" in str(await pair.ask("open_unknown"))
        assert await pair.ask("echo", 10) is True


@either_way
async def test_the_end_of_a_connection_is_noticed(theirs: Theirs, transport: str, dialler: str):
    async with connected(theirs, transport, dialler) as pair:
        connection = pair.ours.connections[pair.their_id]
        stream = await pair.open_stream(ECHO)
        await pair.ask("disconnect")
        with trio.fail_after(PATIENCE_S):
            await connection.closed.wait()
        with pytest.raises(ConnectionFailed):
            await received(stream)
