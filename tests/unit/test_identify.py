"""identify: what a peer says about itself, what is believed of it, and its limits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from peernet._version import __version__
from peernet.client.network import NetworkView
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identify import (
    MAX_ADDRESS_SIZE,
    MAX_ADDRESSES,
    MAX_MESSAGE_SIZE,
    MAX_MESSAGES,
    MAX_PROTOCOLS,
    MAX_TEXT_SIZE,
    PROTOCOL,
    Identify,
    decode_identify,
    encode_identify,
)
from peernet.core.identity import Keypair, encode_public_key
from peernet.core.ping import PROTOCOL as PING
from peernet.core.protobuf import bytes_field, varint_field
from peernet.core.suite import MixedSuite
from peernet.core.wire import frame
from peernet.net.addresses import TcpAddress, address_text, binary_address
from peernet.net.identify import identify, serve_identify
from peernet.net.ping import PingService
from peernet.net.streams import PeerStream
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, running_peer
from tests.swarm_pair import two_swarms

SUITE = MixedSuite()
PEER = Keypair.from_seed(b"i" * 32, SUITE).peer_id
OTHER = Keypair.from_seed(b"j" * 32, SUITE).peer_id
KEY = bytes_field(1, encode_public_key(PEER.public_key))
ADDRESS = binary_address("/ip4/203.0.113.7/tcp/4101")
FULL = Identify(
    PEER,
    protocol_version="peernet/1",
    agent_version="peernet/0.1",
    listen_addresses=(ADDRESS, binary_address("/dns4/a.example/tcp/443/tls/ws")),
    observed_address=binary_address("/ip6/2001:db8::1"),
    protocols=("/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"),
)


def test_the_fields_have_the_numbers_of_the_specification() -> None:
    expected = KEY
    expected += bytes_field(2, FULL.listen_addresses[0]) + bytes_field(2, FULL.listen_addresses[1])
    expected += bytes_field(3, b"/ipfs/id/1.0.0") + bytes_field(3, b"/ipfs/ping/1.0.0")
    expected += bytes_field(4, FULL.observed_address)
    expected += bytes_field(5, b"peernet/1") + bytes_field(6, b"peernet/0.1")
    assert encode_identify(FULL) == expected
    assert decode_identify([expected], PEER) == FULL


def test_what_is_not_said_is_not_sent() -> None:
    assert encode_identify(Identify(PEER)) == KEY
    assert decode_identify([b""], PEER) == Identify(PEER)


def test_several_messages_count_as_one_and_unknown_fields_are_passed_over() -> None:
    first = bytes_field(3, b"/a") + bytes_field(8, b"a signed record") + varint_field(5, 7) + varint_field(99, 1)
    second = bytes_field(6, b"old") + bytes_field(6, b"new") + bytes_field(3, b"/b")
    assert decode_identify([first, second], PEER) == Identify(PEER, agent_version="new", protocols=("/a", "/b"))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "bad_identify"),
        ([b""] * (MAX_MESSAGES + 1), "bad_identify"),
        ([bytes_field(6, b"a" * MAX_MESSAGE_SIZE)], "too_long"),
        ([bytes_field(1, encode_public_key(OTHER.public_key))], "wrong_peer"),
        ([bytes_field(1, b"\x08\x00\x12\x20" + bytes(32))], "unsupported_key"),
        ([KEY, bytes_field(1, encode_public_key(OTHER.public_key))], "wrong_peer"),
        ([bytes_field(2, b"") * (MAX_ADDRESSES + 1)], "bad_identify"),
        ([bytes_field(3, b"") * MAX_PROTOCOLS, bytes_field(3, b"")], "bad_identify"),
        ([bytes_field(2, bytes(MAX_ADDRESS_SIZE + 1))], "bad_identify"),
        ([bytes_field(4, bytes(MAX_ADDRESS_SIZE + 1))], "bad_identify"),
        ([bytes_field(6, b"a" * (MAX_TEXT_SIZE + 1))], "bad_identify"),
        ([bytes_field(6, b"\xff")], "bad_identify"),
        ([bytes_field(5, b"\x1b[2J")], "bad_identify"),
        ([bytes_field(3, b"/a\n")], "bad_identify"),
        ([varint_field(99, 1) * 1000], "bad_protobuf"),
        ([b"\x0a"], "bad_protobuf"),
    ],
)
def test_what_is_not_in_order(messages: list[bytes], reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        decode_identify(messages, PEER)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "said",
    [
        Identify(PEER, agent_version="two\nlines"),
        Identify(PEER, protocols=("/" * (MAX_TEXT_SIZE + 1),)),
        Identify(PEER, listen_addresses=(ADDRESS,) * (MAX_ADDRESSES + 1)),
        Identify(PEER, protocols=("/" * 200,) * 50),
    ],
)
def test_what_others_would_not_take_is_not_sent(said: Identify) -> None:
    with pytest.raises(LocalProtocolError):
        encode_identify(said)


def test_addresses_of_every_transport_are_shown_and_garbage_is_not() -> None:
    quic = "/ip4/203.0.113.7/udp/4001/quic-v1"
    assert address_text(binary_address(quic)) == quic
    assert address_text(b"\xff\xff\xff\xff\xff") is None
    assert address_text(ADDRESS[:-1]) is None


async def test_a_peer_says_what_it_serves_and_where():
    async with two_swarms() as (one, two, _):
        two.handle("/test/1", PeerStream.close_sending)
        serve_identify(two, "peernet/0.1", lambda: [TcpAddress("203.0.113.7", 4101)])
        said = await identify(one, two.peer_id, two.listening)
        assert said.peer == two.peer_id
        assert said.public_key == two.peer_id.public_key
        assert (said.protocol_version, said.agent_version) == ("/peernet/1", "peernet/0.1")
        assert said.listen_addresses == ("/ip4/203.0.113.7/tcp/4101",)
        assert said.observed_address == f"/ip4/{one._bind}"
        assert said.protocols == (PROTOCOL, "/test/1")


async def test_a_peer_that_does_not_serve_it_says_nothing():
    async with two_swarms() as (one, two, _):
        with pytest.raises(ConnectionFailed):
            await identify(one, two.peer_id, two.listening)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda: b"", ConnectionFailed, "instead of identifying"),
        (lambda: frame(KEY)[:-1], ConnectionFailed, "within a message"),
        (lambda: frame(bytes_field(1, encode_public_key(OTHER.public_key))), RemoteProtocolError, "another one's key"),
        (lambda: frame(b"") * (MAX_MESSAGES + 1), RemoteProtocolError, "messages"),
        (lambda: frame(bytes(MAX_MESSAGE_SIZE + 1)), RemoteProtocolError, "over"),
    ],
)
async def test_what_is_not_in_order_is_refused(answer: Callable[[], bytes], error: type[Exception], words: str):
    async with two_swarms() as (one, two, _):

        async def serve(stream: PeerStream) -> None:
            await stream.send_all(answer())

        two.handle(PROTOCOL, serve)
        with pytest.raises(error, match=words):
            await identify(one, two.peer_id, two.listening)


async def test_addresses_that_do_not_read_are_passed_over():
    async with two_swarms() as (one, two, _):
        said = Identify(two.peer_id, listen_addresses=(b"\xff\xff\xff", ADDRESS), observed_address=b"\x04\x01")

        async def serve(stream: PeerStream) -> None:
            await stream.send_all(frame(encode_identify(said)))

        two.handle(PROTOCOL, serve)
        heard = await identify(one, two.peer_id, two.listening)
        assert heard.listen_addresses == ("/ip4/203.0.113.7/tcp/4101",)
        assert heard.observed_address is None


async def test_a_serving_peer_identifies_itself_and_answers_pings(tmp_path: Path):
    config = NetworkConfig(test=True, listen="/ip4/127.45.9.1/tcp/0")
    peer = Peer(PeerKeys.of(Home.at(tmp_path), SUITE), config, ["relay"])
    async with two_swarms() as (one, _, _), running_peer(peer, join=False):
        said = await identify(one, peer.peer_id, peer.swarm.listening)
        assert said.listen_addresses == (str(peer.swarm.listening[0]),)
        assert said.agent_version == f"peernet/{__version__}"
        assert {PROTOCOL, PING, "/peernet/dht/1", "/peernet/ring/1"} <= set(said.protocols)
        assert await PingService(one).ping(peer.peer_id) > 0


async def test_a_client_serves_nothing_so_that_nobody_can_ask_it(tmp_path: Path):
    config = NetworkConfig(test=True, bootstrap=(f"/ip4/127.45.9.2/tcp/4101/p2p/{PEER}",))
    client = NetworkView(config, tmp_path / "guards.json").swarm
    assert list(client.protocols) == []
    async with two_swarms() as (one, _, nursery):
        await nursery.start(client.run)
        await client.connect(one.peer_id, one.listening)
        # It reaches the peer, which can now open streams to it.
        with trio.fail_after(5):
            while client.peer_id not in one.connections:  # noqa: ASYNC110  (no event of ours announces it)
                await trio.sleep(0.001)
        with pytest.raises(ConnectionFailed):
            await identify(one, client.peer_id)
        with pytest.raises(ConnectionFailed):
            await PingService(one).ping(client.peer_id)
