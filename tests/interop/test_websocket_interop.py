"""Our WebSockets against an implementation that is not ours, trio-websocket, as client and as server, plain and TLS.

On its side only the transport is its own: libp2p inside is spoken by `PeerConnection`, over messages cut differently
from ours.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio_websocket
import trustme

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.identity import Keypair, PeerId
from peernet.core.multistream import Dialer
from peernet.core.suite import MixedSuite
from peernet.net.addresses import parse_address
from peernet.net.connection import PeerConnection
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.transports.tls import TlsFiles

SUITE = MixedSuite()
OURS = Keypair.from_seed(b"o" * 32, SUITE)
THEIRS = Keypair.from_seed(b"t" * 32, SUITE)
ECHO = "/test/echo/1"
TEXT = bytes(range(256)) * 2000


class TheirStream:
    """A byte stream over a WebSocket of trio-websocket, with messages of at most 1,000 bytes."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self.websocket = websocket
        self.kinds: set[type] = set()

    async def send_all(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), 1000):
                await self.websocket.send_message(data[start : start + 1000])
        except trio_websocket.ConnectionClosed as error:
            raise trio.BrokenResourceError from error

    async def receive_some(self, _: int) -> bytes:
        try:
            message = await self.websocket.get_message()
        except trio_websocket.ConnectionClosed:
            return b""
        self.kinds.add(type(message))
        assert isinstance(message, bytes)
        return message

    async def aclose(self) -> None:
        await self.websocket.aclose()
        # A client whose server closed first keeps its socket, which Python complains about later.
        await trio.aclose_forcefully(self.websocket._stream)


def their_connection(stream: TheirStream, *, dials: bool, expected: PeerId | None = None) -> PeerConnection:
    protocol = Connection(
        SUITE,
        NoiseIdentity.of(THEIRS, b"1" * 32, SUITE),
        initiator=dials,
        ephemeral_secret=b"2" * 32,
        expected_peer=expected,
    )
    return PeerConnection(stream, protocol, Limits(), lambda *_: None)


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.95.1.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return TlsFiles(certificate=str(folder / "both.pem"), authority=str(folder / "authority.pem"))


@asynccontextmanager
async def our_swarm(files: TlsFiles) -> AsyncIterator[Swarm]:
    swarm = Swarm(SUITE, OURS, bind="127.95.1.1", limits=Limits(), tls=files)
    swarm.handle(ECHO, echo)
    async with trio.open_nursery() as nursery:
        await nursery.start(swarm.run)
        yield swarm
        nursery.cancel_scope.cancel()


async def send_all_of(stream: PeerStream) -> None:
    await stream.send_all(TEXT)
    await stream.close_sending()


async def echoed(connection: PeerConnection) -> bytes:
    """What comes back of `TEXT`, over a stream that their side opens."""
    stream = connection.open_stream()
    dialer = Dialer((ECHO,))
    await stream.send_all(dialer.data_to_send())
    while dialer.selected is None:
        dialer.receive(await stream.receive_some())
    heard = bytearray()
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(send_all_of, stream)
        while data := await stream.receive_some():
            heard += data
    return bytes(heard)


@pytest.mark.parametrize("tls", [False, True])
async def test_another_client_speaks_with_us(authority: trustme.CA, files: TlsFiles, tls: bool):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with our_swarm(files) as swarm:
        address = await swarm.listen(parse_address(f"/ip4/127.95.1.1/tcp/0{'/tls' if tls else ''}/ws"))
        opening = trio_websocket.open_websocket(
            address.host, address.port, "/", use_ssl=context if tls else False, disconnect_timeout=2
        )
        async with opening as websocket, trio.open_nursery() as nursery:
            theirs = TheirStream(websocket)
            connection = their_connection(theirs, dials=True, expected=swarm.peer_id)
            nursery.start_soon(connection.run)
            with trio.fail_after(5):
                assert await connection.wait_established() == swarm.peer_id
                assert await echoed(connection) == TEXT
            assert theirs.kinds == {bytes}
            # We end it: they see a proper close frame.
            swarm.connections[THEIRS.peer_id].close()
            await connection.closed.wait()
            assert websocket.closed is not None
            assert websocket.closed.code == 1000


@pytest.mark.parametrize("tls", [False, True])
async def test_we_speak_with_another_server(authority: trustme.CA, files: TlsFiles, tls: bool):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.95.2.1").configure_cert(context)
    echo_done, ended = trio.Event(), trio.Event()
    seen: list[object] = []

    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        assert request.path == "/"
        websocket = await request.accept()
        theirs = TheirStream(websocket)
        connection = their_connection(theirs, dials=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            await connection.wait_established()
            seen.append(await echoed(connection) == TEXT)
            echo_done.set()
            await connection.closed.wait()
        seen.extend((theirs.kinds, websocket.closed))
        ended.set()

    serving = partial(
        trio_websocket.serve_websocket, serve, "127.95.2.1", 0, context if tls else None, disconnect_timeout=2
    )
    async with our_swarm(files) as swarm, trio.open_nursery() as nursery:
        server = await nursery.start(serving)
        address = parse_address(f"/ip4/127.95.2.1/tcp/{server.port}{'/tls' if tls else ''}/ws")
        with trio.fail_after(5):
            connection = await swarm.connect(THEIRS.peer_id, [address])
            await echo_done.wait()
            connection.close()
            await ended.wait()
        assert seen[:2] == [True, {bytes}]
        assert isinstance(seen[2], trio_websocket.CloseReason)
        assert seen[2].code == 1000
        nursery.cancel_scope.cancel()
