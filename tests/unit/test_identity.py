"""Peer ids and key pairs; the vectors are libp2p's (peer-id specification) and RFC 8032's."""

import hashlib

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError, UserError
from peernet.core.identity import Keypair, PeerId, decode_public_key, encode_public_key
from peernet.core.suite import MixedSuite, SodiumSuite

SEED = bytes.fromhex("7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d")
PUBLIC = bytes.fromhex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
PROTOBUF = bytes.fromhex("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
TEXT = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"


@pytest.mark.parametrize("suite", [SodiumSuite(), MixedSuite()], ids=lambda suite: suite.name)
def test_libp2p_vector(suite: SodiumSuite) -> None:
    keypair = Keypair.from_seed(SEED, suite)
    assert keypair.public_key == PUBLIC
    assert encode_public_key(PUBLIC) == PROTOBUF
    assert decode_public_key(PROTOBUF) == PUBLIC
    assert keypair.peer_id.to_bytes() == b"\x00\x24" + PROTOBUF
    assert str(keypair.peer_id) == TEXT
    assert PeerId.parse(TEXT) == keypair.peer_id
    assert keypair.peer_id.public_key == PUBLIC


def test_rfc_8032_vector_signs() -> None:
    suite = SodiumSuite()
    keypair = Keypair.from_seed(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), suite
    )
    assert keypair.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert keypair.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert suite.verify(keypair.public_key, b"", keypair.sign(b""))


def test_dht_id_is_the_beginning_of_the_keys_hash() -> None:
    assert PeerId.from_public_key(PUBLIC).dht_id == hashlib.sha256(PUBLIC).digest()[:20]


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_text_and_bytes_round_trip_and_order_follows_the_key(first: bytes, second: bytes) -> None:
    one, two = PeerId.from_public_key(first), PeerId.from_public_key(second)
    assert PeerId.parse(str(one)) == one == PeerId.from_bytes(one.to_bytes())
    assert str(one).startswith("12D3KooW")
    assert (one < two) == (first < second)
    assert (one == two) == (first == second) == (len({one, two}) == 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with 12D3KooW"),
        ("hello", "not base58"),
        ("12D3KooWénope", "not base58"),
        (TEXT[:-1], "begins with 12D3KooW"),
        ("1" * 52, "begins with 12D3KooW"),
        (TEXT + " ", "as it is written"),
        ("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "not the id of an Ed25519 peer"),
        ("1" * 10_000, "has 10000"),
    ],
)
def test_what_is_no_peer_id_says_so(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PeerId.parse(text)


@pytest.mark.parametrize("data", [b"", bytes(38), b"\x00\x24" + PROTOBUF + b"\x00", b"\x12\x20" + bytes(32)])
def test_bytes_of_a_peer_that_are_no_id(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        PeerId.from_bytes(data)
    assert raised.value.reason == "bad_peer_id"


def test_other_key_types_are_refused() -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        decode_public_key(b"\x08\x02" + PROTOBUF[2:])
    assert raised.value.reason == "unsupported_key"


def test_keys_of_the_wrong_length_are_our_bug() -> None:
    with pytest.raises(LocalProtocolError):
        PeerId.from_public_key(b"short")
    with pytest.raises(LocalProtocolError):
        Keypair.from_seed(b"short", SodiumSuite())


def test_no_text_of_a_keypair_shows_its_seed() -> None:
    keypair = Keypair.from_seed(SEED, SodiumSuite())
    for text in (repr(keypair), str(keypair), f"{keypair}", repr([keypair])):
        assert repr(SEED) not in text
        assert SEED.hex() not in text
        assert base58.b58encode(SEED).decode() not in text
        assert TEXT in text
