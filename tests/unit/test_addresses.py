"""Addresses: what is understood, and what may be dialled."""

import multiaddr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.dht.records import MAX_ADDRESS_LENGTH
from peernet.core.errors import UserError
from peernet.core.identity import PeerId
from peernet.core.prefixes import address_prefix
from peernet.net import addresses
from peernet.net.addresses import (
    CircuitAddress,
    PeerAddress,
    TcpAddress,
    WebSocketAddress,
    decode_address,
    dialable,
    encode_address,
    parse_address,
    parse_peer_address,
    preference,
)

PEER = PeerId.from_public_key(b"p" * 32)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("/ip4/203.0.113.7/tcp/4101", "203.0.113.7", 4101),
        ("/ip6/2001:db8::1/tcp/1", "2001:db8::1", 1),
        (f"/ip4/127.0.0.1/tcp/65535/p2p/{PEER}", "127.0.0.1", 65535),
    ],
)
def test_tcp_addresses(text: str, host: str, port: int):
    assert parse_address(text) == TcpAddress(host, port)
    assert text.startswith(str(parse_address(text)))


def test_a_peers_address_is_written_as_it_is_read():
    text = f"/ip6/2001:db8::1/tcp/4101/p2p/{PEER}"
    assert parse_peer_address(text) == PeerAddress(PEER, TcpAddress("2001:db8::1", 4101))
    assert str(parse_peer_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "203.0.113.7:4101",
        "/ip4/203.0.113.7",
        "/ip4/203.0.113.7/udp/4101",
        "/ip4/203.0.113.777/tcp/4101",
        "/ip4/203.0.113.7/tcp/65536",
        "/ip4/203.0.113.7/tcp/-1",
        "/ip4/203.0.113.7/tcp/x",
        "/ip4/203.0.113.7/tcp/\u0664\u0661\u0660\u0661",
        "/ip4/203.0.113.7/tcp/\uff14\uff11/ws",
        "/dns4/example.org/tcp/+4101",
        "/dns4/example.org/tcp/ 4101",
        "/dns4/example.org/tcp/4_101",
        "/dns4/example.org/tcp/04101",
        f"/ip4/203.0.113.7/tcp/\u0664\u0661/p2p/{PEER}/p2p-circuit",
        "/dns4/example.org/udp/4101",
        "/dnsaddr/example.org/tcp/4101",
        "/dns4/é.example/tcp/4101",
        "/dns4/203.0.113.7/tcp/4101/ws",
        "/dns4/134744072/tcp/4101/ws",
        "/dns4/8.8.0x808/tcp/4101",
        "/ip4/203.0.113.7/tcp/443/tls",
        "/ip4/203.0.113.7/tcp/443/tls/wss",
        "/ip4/203.0.113.7/tcp/443/ws/ws",
        "/ip4/203.0.113.7/tcp/443/ws/tls",
        "/ip4/203.0.113.7/tcp/443/sni/example.org/ws",
        "/ip4/203.0.113.7/tcp/443/wss/http-path/a",
        "/ip4/203.0.113.7/ws",
        f"/p2p/{PEER}",
        "/ip4/203.0.113.7/tcp/4101/p2p/Qm",
    ],
)
def test_what_is_no_address_of_ours_is_refused_with_its_text(text: str):
    with pytest.raises(UserError) as raised:
        parse_address(text)
    assert repr(text) in str(raised.value) or "Qm" in str(raised.value)


def test_a_port_in_other_digits_says_which_digits_to_write():
    with pytest.raises(UserError, match="digits 0 to 9"):
        parse_address("/ip4/203.0.113.7/tcp/\u0664\u0661\u0660\u0661")


def test_an_address_without_its_peer_says_so():
    with pytest.raises(UserError, match="must end in /p2p/"):
        parse_peer_address("/ip4/203.0.113.7/tcp/4101")


def test_a_peers_address_that_is_known_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"/ip4/203.0.113.7/tcp/4102/p2p/{PEER}"
    known = parse_peer_address(text)
    monkeypatch.setattr(addresses, "_split", None)
    assert parse_peer_address(text) is known


def test_so_many_peers_addresses_are_remembered_and_no_more() -> None:
    for port in range(1, addresses._REMEMBERED + 50):
        parse_peer_address(f"/ip4/203.0.113.7/tcp/{port}/p2p/{PEER}")
    assert addresses._peer_address.cache_info().currsize == addresses._REMEMBERED


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["", "ip4", "ip6", "tcp", "p2p", "dns", "1", "::", "127.0.0.1", "%", "."])).map(
        "/".join
    )
)
def test_no_text_does_worse_than_being_left_out(text: str):
    assert dialable([text, f"/{text}", f"/ip4/{text}/tcp/1"], allow_private=False) is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "198.51.100.1",
        "240.0.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a00:1",
    ],
)
def test_an_address_that_is_not_global_is_not_dialled_outside_test_networks(host: str):
    text = str(TcpAddress(host, 4101))
    assert dialable([text], allow_private=False) == []
    assert [address.port for address in dialable([text], allow_private=True)] == [4101]


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8"]
)
def test_a_global_address_is_dialled(host: str):
    assert len(dialable([str(TcpAddress(host, 4101))], allow_private=False)) == 1


def test_port_zero_and_other_transports_are_left_out_and_the_order_stays():
    addresses = [
        "/ip4/8.8.4.4/tcp/0",
        "/ip4/8.8.4.4/tcp/0/ws",
        "/ip4/8.8.8.8/tcp/2",
        "/ip4/8.8.8.8/udp/3/quic-v1",
        "/dns4/example.org/tcp/443/tls/ws",
        "/ip4/8.8.4.4/tcp/1",
    ]
    assert [address.port for address in dialable(addresses, allow_private=True)] == [2, 443, 1]


@pytest.mark.parametrize(
    ("text", "host", "tls", "server_name"),
    [
        ("/ip4/203.0.113.7/tcp/80/ws", "203.0.113.7", False, ""),
        ("/ip6/2001:db8::1/tcp/443/tls/ws", "2001:db8::1", True, ""),
        ("/dns/example.org/tcp/443/tls/ws", "example.org", True, ""),
        ("/dns4/a-b.example.org/tcp/443/tls/ws", "a-b.example.org", True, ""),
        ("/dns6/localhost/tcp/443/ws", "localhost", False, ""),
        ("/ip4/203.0.113.7/tcp/443/tls/sni/example.org/ws", "203.0.113.7", True, "example.org"),
    ],
)
def test_websocket_addresses(text: str, host: str, tls: bool, server_name: str):
    address = parse_address(text)
    assert isinstance(address, WebSocketAddress)
    assert (address.host, address.tls, address.server_name) == (host, tls, server_name)
    assert address.name == (server_name or host)
    assert str(address) == text
    known = f"{text}/p2p/{PEER}"
    assert str(parse_peer_address(known)) == known


def test_a_name_alone_is_an_address_over_tcp():
    assert str(parse_address("/dns4/example.org/tcp/4101")) == "/dns4/example.org/tcp/4101"
    assert parse_address("/dns4/example.org/tcp/4101") != parse_address("/dns6/example.org/tcp/4101")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/ip4/203.0.113.7/tcp/443/wss", "/ip4/203.0.113.7/tcp/443/tls/ws"),
        (f"/dns4/example.org/tcp/443/wss/p2p/{PEER}", "/dns4/example.org/tcp/443/tls/ws"),
        ("/dns/Example.ORG./tcp/443/ws", "/dns/example.org/tcp/443/ws"),
    ],
)
def test_what_means_the_same_is_written_the_same(text: str, written: str):
    assert str(parse_address(text)) == written
    assert parse_address(text) == parse_address(written)


@pytest.mark.parametrize("suffix", ["/ws", "/tls/ws", "/wss", "/tls/sni/example.org/ws"])
def test_websockets_are_held_to_the_same_rules_as_tcp(suffix: str):
    assert dialable([f"/ip4/10.0.0.1/tcp/443{suffix}"], allow_private=False) == []
    assert len(dialable([f"/ip4/10.0.0.1/tcp/443{suffix}"], allow_private=True)) == 1
    assert len(dialable([f"/ip4/8.8.8.8/tcp/443{suffix}"], allow_private=False)) == 1
    for place in ("/ip4/8.8.8.8", "/ip6/2606:4700::1111", "/dns4/a.example.org"):
        plain = address_prefix(f"{place}/tcp/443")
        assert address_prefix(f"{place}/tcp/443{suffix}") == plain


def test_names_count_under_their_domain_and_a_number_is_no_name():
    assert address_prefix("/dns4/a.example.org/tcp/1") == address_prefix("/dns/B.example.org./tcp/2/ws")
    for name in ("134744072", "8.8.8.8", "0x8080808", "8.0x80808", "0x", "8."):
        with pytest.raises(ValueError, match="number"):
            address_prefix(f"/dns4/{name}/tcp/1")
    assert address_prefix("/dns4/8.example/tcp/1") != address_prefix("/dns4/9.example/tcp/1")


def test_tcp_is_preferred_to_websockets_and_tls_to_none():
    texts = [
        "/ip4/8.8.8.8/tcp/80/ws",
        "/dns4/example.org/tcp/443/wss",
        "/dns4/example.org/tcp/4101",
        "/ip4/8.8.8.8/tcp/4101",
    ]
    assert [str(address) for address in sorted(map(parse_address, texts), key=preference)] == [
        "/dns4/example.org/tcp/4101",
        "/ip4/8.8.8.8/tcp/4101",
        "/dns4/example.org/tcp/443/tls/ws",
        "/ip4/8.8.8.8/tcp/80/ws",
    ]


# --- circuits, and binary addresses ----------------------------------------------------------------------------------

RELAY = "12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
TARGET = "12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"


@pytest.mark.parametrize("over", ["", "/ws", "/tls/ws", "/tls/sni/relay.example/ws"])
def test_a_circuit_is_the_relays_address_and_the_relay(over):
    text = f"/ip4/203.0.113.7/tcp/4101{over}/p2p/{RELAY}/p2p-circuit"
    address = parse_address(text)
    assert isinstance(address, CircuitAddress)
    assert str(address) == text
    assert str(address.via) == f"/ip4/203.0.113.7/tcp/4101{over}"
    assert str(address.relay) == RELAY
    assert (address.host, address.port) == ("203.0.113.7", 4101)
    assert str(parse_peer_address(f"{text}/p2p/{TARGET}")) == f"{text}/p2p/{TARGET}"


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/203.0.113.7/tcp/4101/p2p-circuit",
        f"/p2p/{RELAY}/p2p-circuit",
        f"/ip4/203.0.113.7/tcp/4101/p2p/{RELAY}/p2p-circuit/p2p/{TARGET}/p2p-circuit",
        f"/ip4/203.0.113.7/udp/4101/p2p/{RELAY}/p2p-circuit",
        f"/ip4/203.0.113.7/tcp/4101/p2p-circuit/p2p/{TARGET}",
    ],
)
def test_a_circuit_without_its_relays_place_or_through_a_circuit_is_none(text):
    with pytest.raises(UserError):
        parse_address(text)


def test_a_circuit_is_the_last_resort_and_dialled_where_its_relay_may_be():
    private = f"/ip4/10.0.0.7/tcp/4101/p2p/{RELAY}/p2p-circuit"
    public = f"/ip4/1.2.3.4/tcp/4101/p2p/{RELAY}/p2p-circuit"
    assert [str(address) for address in dialable([private, public], allow_private=False)] == [public]
    assert len(dialable([private, public], allow_private=True)) == 2
    ordered = sorted(map(parse_address, [public, "/ip4/1.2.3.4/tcp/1/ws", "/ip4/1.2.3.4/tcp/1"]), key=preference)
    assert [type(address) for address in ordered] == [TcpAddress, WebSocketAddress, CircuitAddress]


def test_a_circuit_counts_under_its_relays_network_and_fits_a_record():
    longest = f"/ip6/2001:db8:1111:2222:3333:4444:5555:6666/tcp/65535/tls/ws/p2p/{RELAY}/p2p-circuit"
    assert len(longest) <= MAX_ADDRESS_LENGTH
    assert address_prefix(longest) == "ip6/20010db81111"


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/203.0.113.7/tcp/4101",
        "/ip6/2001:db8::1/tcp/4101/ws",
        "/dns4/peer.example/tcp/443/tls/ws",
        f"/ip4/203.0.113.7/tcp/4101/p2p/{RELAY}/p2p-circuit",
    ],
)
def test_binary_addresses_come_back(text):
    assert decode_address(encode_address(parse_address(text))) == parse_address(text)
    with_peer = PeerAddress(PeerId.parse(TARGET), parse_address(text))
    assert decode_address(encode_address(with_peer)) == parse_address(text)


@pytest.mark.parametrize(
    "data",
    # The second one has the code of ip4 as a varint that is longer than it need be.
    [
        b"",
        b"\x84\x00\xcb\x00\x71\x07\x06\x10\x05",
        b"\x04\x01",
        b"\x04\xcb\x00\x71\x07\x06\x10",
        b"\xff" * 20,
        b"\x06\x10\x05",
        bytes(40),
    ],
)
def test_binary_addresses_that_we_do_not_dial_are_none(data):
    assert decode_address(data) is None


def test_a_binary_address_may_have_the_older_spelling_of_websockets_over_tls():
    older = multiaddr.Multiaddr("/dns4/peer.example/tcp/443/wss").to_bytes()
    assert decode_address(older) == parse_address("/dns4/peer.example/tcp/443/tls/ws")


@given(st.binary(max_size=80) | st.binary(max_size=20).map(b"\x04\xcb\x00\x71\x07\x06\x10\x05".__add__))
def test_no_binary_address_does_harm(data):
    address = decode_address(data)
    assert address is None or parse_address(str(address)) == address
