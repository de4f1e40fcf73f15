"""The swarm over TCP, WebSocket and WebSocket over TLS on loopback: the same peers, hostile ones, and nothing left."""

import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import structlog
import trio
import trustme
from attrs import define, evolve, field

from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import Address, TcpAddress, parse_address
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.transports.dialled_websocket import DialledWebSocket
from peernet.net.transports.names import MAX_IPS, SystemResolver, reachable_ips
from peernet.net.transports.tls import TlsFiles, dialling_context, listening_context

SUITE = MixedSuite()
ECHO = "/test/echo/1"
SWARM_TASKS = 3
"""The sweep, the flusher, and who listens."""
TRANSPORTS = ["", "/ws", "/tls/ws"]
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
FEW_HANDSHAKES = Limits(handshakes_in_flight=4, handshakes_per_prefix=2, handshake_grace_s=0.1)
_numbers = count(1)


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for every address here and for peer.example, and the authority that issued it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert(*(f"127.93.{number}.1" for number in range(1, 251)), "peer.example", "::1")
    (folder / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return TlsFiles(str(folder / "certificate.pem"), str(folder / "key.pem"), str(folder / "authority.pem"))


@define
class Names:
    """A resolver that knows what it was told."""

    known: dict[str, list[str]]
    asked: list[tuple[str, str]] = field(factory=list)

    async def ips(self, name: str, lookup: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        self.asked.append((name, lookup))
        if name not in self.known:
            raise OSError(-2, "Name or service not known")
        return self.known[name]


def new_swarm(tls: TlsFiles | None = None, *, limits: Limits | None = None, **options: object) -> Swarm:
    number = next(_numbers) % 250 + 1
    keypair = Keypair.from_seed(b"transports %021d" % number, SUITE)
    return Swarm(SUITE, keypair, bind=f"127.93.{number}.1", limits=limits or Limits(), tls=tls, **options)  # type: ignore[arg-type]


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def running(*swarms: Swarm, over: tuple[str, ...] = ("",)) -> AsyncIterator[None]:
    """The swarms, each listening over each of the transports."""
    async with trio.open_nursery() as nursery:
        for swarm in swarms:
            swarm.handle(ECHO, echo)
            await nursery.start(swarm.run)
            for suffix in over:
                await swarm.listen(parse_address(f"/ip4/{swarm._bind}/tcp/0{suffix}"))
        yield
        nursery.cancel_scope.cancel()


async def say(swarm: Swarm, other: Swarm, text: bytes = b"hello", addresses: list[Address] | None = None) -> bytes:
    heard = bytearray()
    stream = await swarm.open_stream(other.peer_id, addresses or other.listening, ECHO)

    async def send() -> None:
        await stream.send_all(text)
        await stream.close_sending()

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while data := await stream.receive_some():
            heard += data
    return bytes(heard)


async def until(holds: Callable[[], bool]) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)


def sockets() -> int:
    """How many sockets this process has open."""
    return sum(
        1 for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink() and "socket:" in str(_target(entry))
    )


def _target(entry: Path) -> Path | None:
    try:
        return entry.readlink()
    except FileNotFoundError:
        return None  # the folder's own descriptor, closed by now


@pytest.mark.parametrize("suffix", TRANSPORTS)
async def test_peers_talk_over_every_transport(files: TlsFiles, suffix: str):
    one, two = new_swarm(files), new_swarm(files)
    async with running(one, two, over=(suffix,)):
        (address,) = two.listening
        assert str(address).startswith(f"/ip4/{two._bind}/tcp/")
        assert str(address).endswith(suffix)
        assert address.port
        assert await say(one, two, b"x" * 3_000_000) == b"x" * 3_000_000
        assert await say(two, one) == b"hello"
        assert one.connection_count == two.connection_count == 1
        assert one.connections[two.peer_id].observed == f"/ip4/{two._bind}"
        assert two.connections[one.peer_id].observed == f"/ip4/{one._bind}"
        is_websocket = isinstance(one.connections[two.peer_id]._transport, DialledWebSocket)
        assert is_websocket == bool(suffix)


async def test_over_ipv6(files: TlsFiles):
    one, two = new_swarm(files), new_swarm(files)
    one._bind = None
    async with running(one, two, over=()):
        try:
            address = await two.listen(parse_address("/ip6/::1/tcp/0/tls/ws"))
        except UserError:
            pytest.skip("this machine has no IPv6 loopback")
        assert await say(one, two, addresses=[address]) == b"hello"
        assert one.connections[two.peer_id].observed == "/ip6/::1"


async def test_a_peer_with_several_addresses_is_reached_by_the_cheapest_that_answers(files: TlsFiles):
    one, two = new_swarm(files), new_swarm(files)
    async with running(one, two, over=("/ws", "/tls/ws", "")):
        plain, secure, tcp = two.listening
        used = []
        for addresses in (two.listening, [plain, secure], [plain]):
            assert await say(one, two, addresses=list(addresses)) == b"hello"
            connection = one.connections[two.peer_id]
            below = getattr(getattr(connection._transport, "_meter", None), "_below", None)
            used.append((type(connection._transport).__name__, type(below).__name__))
            connection.close()
            await connection.closed.wait()
        assert used == [
            ("TcpStream", "NoneType"),
            ("DialledWebSocket", "SSLStream"),
            ("DialledWebSocket", "SocketStream"),
        ]
        # Where nobody listens over TCP, the next one is tried.
        assert await say(one, two, addresses=[plain, evolve(tcp, port=9)]) == b"hello"
        assert one.counters["dial:tcp:refused"] == 1


async def test_an_address_that_does_not_answer_is_not_waited_for_long_while_there_is_another():
    one, two = new_swarm(limits=Limits(dial_stagger_s=0.05)), new_swarm()
    (silent,) = await trio.open_tcp_listeners(0, host="127.93.254.1")
    nobody = parse_address(f"/ip4/127.93.254.1/tcp/{silent.socket.getsockname()[1]}/ws")
    async with silent, running(one, two, over=("/ws",)):
        with trio.fail_after(2):
            assert await say(one, two, addresses=[nobody, *two.listening]) == b"hello"
        assert one.counters["dial:ws:cancelled"] == 1


@pytest.mark.parametrize("suffix", TRANSPORTS)
async def test_connects_and_closes_leave_nothing_held(files: TlsFiles, suffix: str):
    one, two = new_swarm(files), new_swarm(files)
    async with running(one, two, over=(suffix,)):
        before = sockets()
        for turn in range(25):
            connection = await one.connect(two.peer_id, two.listening)
            if turn % 2:
                assert await say(one, two) == b"hello"
            closing = connection if turn % 3 else two.connections.get(one.peer_id, connection)
            closing.close()
            await connection.closed.wait()
        await until(lambda: two.connection_count == one.connection_count == 0)
        for swarm in (one, two):
            assert swarm._dialling == {}
            assert swarm.door.empty
            assert swarm.resources.empty
            assert swarm._nursery is not None
            await until(lambda swarm=swarm: len(swarm._nursery.child_tasks) == SWARM_TASKS)
        assert sockets() == before


HOSTILE = {
    "nothing": b"",
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "another path": REQUEST.replace(b"GET /", b"GET /x") + b"\r\n",
    "endless headers": REQUEST + b"X: " + b"y" * 70_000,
    "libp2p without a WebSocket": b"\x13/multistream/1.0.0\n\x07/noise\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(506),
    "garbage": b"\xff\x00" * 5000,
    "a WebSocket with garbage in it": REQUEST + b"\r\n" + b"\xff" * 100,
    "a text message": REQUEST + b"\r\n",
}


async def provoke(address: Address, data: bytes, *, reset: bool) -> bytes:
    """Sends `data` and reads what comes, to the end."""
    heard = b""
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        try:
            await stream.send_all(data)
            if data.startswith(REQUEST + b"\r\n"):
                heard += await stream.receive_some()
                await stream.send_all(b"\x81\x85mask" + bytes(5))
            await stream.send_eof()
            if reset:
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b""
            while more := await stream.receive_some():
                heard += more
        except trio.BrokenResourceError:
            pass  # told off before all was sent
    return heard


@pytest.mark.parametrize("suffix", ["/ws", "/tls/ws"])
async def test_hostile_handshakes_harm_nobody_and_leave_nothing(files: TlsFiles, suffix: str):
    one, two = new_swarm(files), new_swarm(files)
    async with running(one, two, over=(suffix,)):
        before = sockets()
        for data in HOSTILE.values():
            for reset in (False, True):
                with trio.fail_after(5):
                    heard = await provoke(two.listening[0], data, reset=reset)
                assert not heard.startswith(b"\x13")
                if suffix == "/ws" and not reset and data.startswith(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"):
                    assert heard.startswith(b"HTTP/1.1 400")
        await until(lambda: two.connection_count == 0)
        assert not [counter for counter in two.counters if "crashed" in counter]
        failed = {name: number for name, number in two.counters.items() if name.startswith("handshake_failed")}
        assert sum(failed.values()) == 2 * len(HOSTILE) - two.counters["refused:gone"]
        if suffix == "/tls/ws":
            assert two.counters["handshake_failed:tls"] >= 7
        assert await say(one, two) == b"hello"
        one.connections[two.peer_id].close()
        await until(lambda: two.connection_count == one.connection_count == 0)
        await until(lambda: sockets() == before)
        assert two._nursery is not None
        await until(lambda: len(two._nursery.child_tasks) == SWARM_TASKS)


async def test_who_breaks_the_rules_is_told_which_before_the_socket_closes():
    two = new_swarm()
    async with running(two, over=("/ws",)):
        heard = await provoke(two.listening[0], HOSTILE["a text message"], reset=False)
        # A close frame with code 1003, RFC 6455 section 7.4.1.
        assert heard.endswith(b"\x88\x02\x03\xeb")


@pytest.mark.parametrize("suffix", ["/ws", "/tls/ws"])
@pytest.mark.parametrize("data", [b"", b"\x16", REQUEST, REQUEST + b"\r\n"])
async def test_a_slow_client_is_given_up(files: TlsFiles, suffix: str, data: bytes):
    two = new_swarm(files, limits=Limits(handshake_timeout_s=0.05))
    async with running(two, over=(suffix,)):
        before = sockets()
        async with await trio.open_tcp_stream(two.listening[0].host, two.listening[0].port) as stream:
            await stream.send_all(data)
            with trio.fail_after(5):
                while True:
                    try:
                        if not await stream.receive_some():
                            break
                    except trio.BrokenResourceError:
                        break
        await until(lambda: two.connection_count == 0)
        assert sum(number for name, number in two.counters.items() if name.startswith("handshake_failed")) == 1
        await until(lambda: sockets() == before)


async def test_handshakes_of_the_transport_are_bounded_like_ours(files: TlsFiles):
    one, two = new_swarm(files), new_swarm(files, limits=FEW_HANDSHAKES)
    async with running(one, two, over=("/tls/ws",)):
        address = two.listening[0]
        stalled = [
            await trio.open_tcp_stream(address.host, address.port, local_address=f"127.94.{number // 3}.1")
            for number in range(9)
        ]
        await until(lambda: two.counters["evicted:handshake"] == 5)
        assert two.door.inside == 4
        given_up = []

        async def wait_end(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            given_up.append(stream)

        async with trio.open_nursery() as nursery:
            for stream in stalled:
                nursery.start_soon(wait_end, stream)
            # Their sockets are closed, and not only forgotten.
            await until(lambda: len(given_up) == 5)
            nursery.cancel_scope.cancel()
        assert await say(one, two) == b"hello"
        for stream in stalled:
            await stream.aclose()
        await until(lambda: two.door.empty)


async def test_a_peer_that_reads_nothing_does_not_hold_up_an_ending():
    """The close frame cannot be written: the socket goes all the same."""
    one, two = new_swarm(limits=Limits(farewell_s=0.05)), new_swarm()
    async with running(one, two, over=("/ws",)):
        await one.connect(two.peer_id, two.listening)
        connection = one.connections[two.peer_id]

        meter = connection._transport._meter
        meter._below = Stuck(meter._below)
        connection.close()
        with trio.fail_after(2):
            await connection.closed.wait()
        await until(lambda: one.connection_count == two.connection_count == 0)


class Stuck(trio.abc.Stream):
    """A stream whose other end reads nothing."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, _: bytes | bytearray | memoryview) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


# --- TLS -------------------------------------------------------------------------------------------------------------


async def test_a_certificate_is_checked_by_authority_and_by_name(files: TlsFiles):
    one, stranger, two = new_swarm(files), new_swarm(), new_swarm(files)
    async with running(one, stranger, over=()), running(two, over=("/tls/ws",)):
        host, port = two.listening[0].host, two.listening[0].port
        with pytest.raises(ConnectionFailed, match=r"is not trusted .* --tls-authority"):
            await stranger.connect(two.peer_id, two.listening)
        wrong = parse_address(f"/ip4/{host}/tcp/{port}/tls/sni/other.example/ws")
        with pytest.raises(ConnectionFailed, match=r"is not for other\.example"):
            await one.connect(two.peer_id, [wrong])
        right = parse_address(f"/ip4/{host}/tcp/{port}/tls/sni/peer.example/ws")
        assert await say(one, two, addresses=[right]) == b"hello"
        assert one.counters["dial:wss:closed"] == stranger.counters["dial:wss:closed"] == 1


async def test_the_certificates_peer_is_not_enough(files: TlsFiles):
    """A trusted certificate opens nothing: who is there is proven by Noise."""
    one, two, three = new_swarm(files), new_swarm(files), new_swarm(files)
    async with running(one, two, over=("/tls/ws",)):
        with pytest.raises(ConnectionFailed, match="expected"):
            await one.connect(three.peer_id, two.listening)


async def test_an_address_of_another_transport_says_so(files: TlsFiles):
    one, two = new_swarm(files), new_swarm(files)
    async with running(one, two, over=("/ws", "/tls/ws", "")):
        plain, secure, tcp = (address.port for address in two.listening)
        for port, suffix, said in (
            (plain, "/tls/ws", "no TLS is spoken there"),
            (secure, "/ws", "no WebSocket|closed the connection"),
            (tcp, "/ws", "no WebSocket|closed the connection"),
            (tcp, "/tls/ws", "TLS"),
            (plain, "", "/multistream|protocol|closed"),
        ):
            with pytest.raises(ConnectionFailed, match=said):
                await one.connect(two.peer_id, [parse_address(f"/ip4/{two._bind}/tcp/{port}{suffix}")])
        assert await say(one, two) == b"hello"


def test_nothing_older_than_tls_1_2(files: TlsFiles):
    for context in (listening_context(files), dialling_context(files)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert dialling_context(files).verify_mode == ssl.CERT_REQUIRED
    assert dialling_context(files).check_hostname


def test_files_that_cannot_be_used_are_named_with_what_to_do(files: TlsFiles, tmp_path: Path):
    missing = str(tmp_path / "missing.pem")
    notes = tmp_path / "notes.pem"
    notes.write_text("these are my notes")
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("peer.example").private_key_pem.write_to_path(other)
    for wrong, said in (
        (TlsFiles(), "--tls-certificate FILE and --tls-key FILE"),
        (evolve(files, certificate=missing), f"--tls-certificate {missing} cannot be read: No such file"),
        (evolve(files, key=missing), f"--tls-key {missing} cannot be read: No such file"),
        (evolve(files, key=str(other)), f"the key in {other} does not fit"),
        (evolve(files, key=""), "is the key in a file for --tls-key?"),
        (evolve(files, certificate=str(notes)), f"{notes} and .* are not a certificate and its key in PEM form"),
        (evolve(files, key=str(notes)), "in PEM form"),
        (evolve(files, key=str(tmp_path)), "Is a directory"),
    ):
        with pytest.raises(UserError, match=said):
            listening_context(wrong)
    for authority, said in ((missing, "cannot be read"), (str(notes), "holds no certificate")):
        with pytest.raises(UserError, match=f"--tls-authority {authority} {said}"):
            new_swarm(TlsFiles(authority=authority))


def test_a_locked_key_asks_nobody_for_its_password(files: TlsFiles, tmp_path: Path):
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(Path(files.key).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(UserError, match=f"the key in {locked} is locked by a password"):
        listening_context(evolve(files, key=str(locked)))


def test_key_and_certificate_may_be_in_one_file(files: TlsFiles, tmp_path: Path):
    both = tmp_path / "both.pem"
    both.write_bytes(Path(files.key).read_bytes() + Path(files.certificate).read_bytes())
    assert listening_context(TlsFiles(certificate=str(both))).get_ca_certs() == []


async def test_listening_over_tls_without_a_certificate_is_refused():
    one = new_swarm()
    async with running(one, over=()):
        with pytest.raises(UserError, match="--tls-certificate"):
            await one.listen(parse_address(f"/ip4/{one._bind}/tcp/0/tls/ws"))
        with pytest.raises(UserError, match="cannot listen on the name"):
            await one.listen(parse_address("/dns4/peer.example/tcp/0/ws"))
        assert one.listening == []


# --- names -----------------------------------------------------------------------------------------------------------


async def test_a_name_is_resolved_and_the_certificate_is_checked_against_the_name(files: TlsFiles):
    two = new_swarm(files)
    names = Names({"peer.example": [two._bind], "other.example": [two._bind]})
    one = new_swarm(files, allow_private=True, resolver=names)
    async with running(one, two, over=("/tls/ws",)):
        port = two.listening[0].port
        with pytest.raises(ConnectionFailed, match=r"is not for other\.example"):
            await one.connect(two.peer_id, [parse_address(f"/dns/other.example/tcp/{port}/tls/ws")])
        named = parse_address(f"/dns4/peer.example/tcp/{port}/tls/ws")
        assert await say(one, two, addresses=[named]) == b"hello"
        assert one.connections[two.peer_id].observed == f"/ip4/{two._bind}"
        assert names.asked == [("other.example", "dns"), ("peer.example", "dns4")]


@pytest.mark.parametrize("suffix", TRANSPORTS)
async def test_a_name_that_leads_to_a_private_address_is_refused_outside_test_networks(files: TlsFiles, suffix: str):
    two = new_swarm(files)
    one = new_swarm(files, resolver=Names({"peer.example": [two._bind, "10.0.0.1", "::1"]}))
    async with running(one, two, over=(suffix,)):
        named = parse_address(f"/dns/peer.example/tcp/{two.listening[0].port}{suffix}")
        with pytest.raises(ConnectionFailed, match="leads to no address on the public Internet"):
            await one.connect(two.peer_id, [named])
        with pytest.raises(ConnectionFailed, match=r"nobody\.example cannot be resolved"):
            await one.connect(two.peer_id, [parse_address(f"/dns/nobody.example/tcp/1{suffix}")])
        assert two.counters == {}


async def test_only_the_global_addresses_of_a_name_are_dialled_and_not_too_many():
    ips = ["127.0.0.1", "::ffff:10.0.0.1", *(f"8.8.8.{number}" for number in range(20)), "2606:4700::1"]
    address = parse_address("/dns/peer.example/tcp/1")
    found = await reachable_ips(address, Names({"peer.example": ips}), allow_private=False)
    assert found == [f"8.8.8.{number}" for number in range(MAX_IPS)]
    assert await reachable_ips(parse_address("/ip4/127.0.0.1/tcp/1"), Names({}), allow_private=False) == ["127.0.0.1"]


async def test_of_a_names_addresses_the_next_is_tried(files: TlsFiles):
    two = new_swarm(files)
    one = new_swarm(files, allow_private=True, resolver=Names({"peer.example": ["127.93.255.1", two._bind]}))
    async with running(one, two, over=("/ws",)):
        named = parse_address(f"/dns/peer.example/tcp/{two.listening[0].port}/ws")
        assert await say(one, two, addresses=[named]) == b"hello"
        assert one.counters["dial:ws:refused"] == one.counters["dial:ws:connected"] == 1


async def test_the_systems_resolver():
    resolver = SystemResolver()
    assert await resolver.ips("localhost", "dns4") == ["127.0.0.1"]
    # Too long for a label: no server is asked for it.
    with pytest.raises(ConnectionFailed, match="cannot be resolved"):
        await reachable_ips(TcpAddress("a" * 64, 1), resolver, allow_private=True)


# --- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("believes", "header", "seen"),
    [
        (True, "6.6.6.6, 203.0.113.7", "/ip4/203.0.113.7"),
        (True, "2001:db8::7", "/ip6/2001:db8::7"),
        (True, "unknown", None),
        (True, None, None),
        (False, "203.0.113.7", None),
    ],
)
async def test_a_proxy_near_us_is_believed_about_whom_it_speaks_for_if_configured(
    believes: bool, header: str | None, seen: str | None
):
    one, two = new_swarm(), new_swarm(behind_proxy=believes)
    async with running(one, two, over=("/ws",)), trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=one._bind)
        nursery.start_soon(proxy, listener, two.listening[0], one._bind, header)
        place = parse_address(f"/ip4/{one._bind}/tcp/{listener.socket.getsockname()[1]}/ws")
        assert await say(one, two, addresses=[place]) == b"hello"
        assert two.connections[one.peer_id].observed == (seen or f"/ip4/{one._bind}")
        nursery.cancel_scope.cancel()


async def proxy(listener: trio.SocketListener, to: Address, local: str, header: str | None) -> None:
    """As much of a reverse proxy as one connection needs: one line is put into the request."""
    async with listener:
        here = await listener.accept()
    there = await trio.open_tcp_stream(to.host, to.port, local_address=local)
    async with here, there, trio.open_nursery() as nursery:
        request = await here.receive_some()
        line = f"X-Forwarded-For: {header}\r\n" if header else ""
        await there.send_all(request.replace(b"\r\n\r\n", f"\r\n{line}\r\n".encode()))
        nursery.start_soon(pump, here, there, nursery.cancel_scope)
        nursery.start_soon(pump, there, here, nursery.cancel_scope)


async def pump(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass  # one side has gone, so the other goes
    both.cancel()


async def test_behind_a_proxy_each_network_is_bounded_by_itself():
    limits = Limits(connections_per_prefix=1)
    two = new_swarm(behind_proxy=True, limits=limits)
    others = [new_swarm() for _ in range(3)]
    async with running(two, *others, over=("/ws",)), trio.open_nursery() as nursery:
        streams = []
        for other, seen in zip(others, ("203.0.113.7", "203.0.114.7", "203.0.113.8"), strict=True):
            (listener,) = await trio.open_tcp_listeners(0, host=other._bind)
            nursery.start_soon(proxy, listener, two.listening[0], "127.93.253.1", seen)
            place = parse_address(f"/ip4/{other._bind}/tcp/{listener.socket.getsockname()[1]}/ws")
            if other is others[2]:
                # The first is busy, and from the same network.
                with pytest.raises(ConnectionFailed):
                    await other.connect(two.peer_id, [place])
            else:
                streams.append(await other.open_stream(two.peer_id, [place], ECHO))
                await streams[-1].send_all(b"busy")
                assert await streams[-1].receive_some() == b"busy"
        assert len(two._table.held) == 2
        nursery.cancel_scope.cancel()
