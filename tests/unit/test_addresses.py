"""Addresses: what is understood, and what may be dialled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.errors import UserError
from peernet.core.identity import PeerId
from peernet.net.addresses import PeerAddress, TcpAddress, dialable, parse_peer_address, parse_tcp

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
    assert parse_tcp(text) == TcpAddress(host, port)
    assert text.startswith(str(parse_tcp(text)))


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
        "/dns4/example.org/tcp/4101",
        "/ip4/203.0.113.7/tcp/4101/ws",
        f"/p2p/{PEER}",
        "/ip4/203.0.113.7/tcp/4101/p2p/Qm",
    ],
)
def test_what_is_no_address_of_ours_is_refused_with_its_text(text: str):
    with pytest.raises(UserError) as raised:
        parse_peer_address(text)
    assert repr(text) in str(raised.value) or "Qm" in str(raised.value)


def test_an_address_without_its_peer_says_so():
    with pytest.raises(UserError, match="must end in /p2p/"):
        parse_peer_address("/ip4/203.0.113.7/tcp/4101")


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
    addresses = ["/ip4/8.8.4.4/tcp/0", "/ip4/8.8.8.8/tcp/2", "/dns4/example.org/tcp/443/tls/ws", "/ip4/8.8.4.4/tcp/1"]
    assert [address.port for address in dialable(addresses, allow_private=True)] == [2, 1]
