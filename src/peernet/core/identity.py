"""Who a peer is: an Ed25519 key, its libp2p peer id, and its place in the DHT.

Rules:

1. A peer id is the identity multihash of the key's protobuf: it contains the key, so nothing has to be looked up.
   Its text is base58btc and begins with `12D3KooW`.
2. Only Ed25519 is spoken here; ids of other key types, and the hashed ids of long keys, are refused by name.
3. The DHT id is 20 bytes of the key's SHA-256: proven by the session, never taken from a message.

Source: libp2p specifications, "Peer Ids and Keys".
"""

import hashlib
from typing import Final

import base58
from attrs import field, frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError, UserError
from peernet.core.suite import KEY_SIZE, CipherSuite

__all__ = ["DHT_ID_SIZE", "PEER_ID_SIZE", "Keypair", "PeerId", "decode_public_key", "encode_public_key"]

DHT_ID_SIZE: Final = 20

# protobuf PublicKey: field 1, KeyType Ed25519 = 1; field 2, 32 bytes of key.
_KEY_PREFIX: Final = b"\x08\x01\x12\x20"
# multihash: code 0 (identity), then the length of what follows.
_ID_PREFIX: Final = bytes((0, len(_KEY_PREFIX) + KEY_SIZE)) + _KEY_PREFIX

PEER_ID_SIZE: Final = len(_ID_PREFIX) + KEY_SIZE

# 38 bytes make 52 base58 digits; decoding is quadratic, so longer text is refused before it.
_MAX_TEXT_SIZE: Final = 64


def encode_public_key(public_key: bytes) -> bytes:
    """libp2p's protobuf `PublicKey` of a 32-byte Ed25519 key."""
    return _KEY_PREFIX + _checked_key(public_key)


def decode_public_key(data: bytes) -> bytes:
    """The 32-byte Ed25519 key in a protobuf `PublicKey`; raises `RemoteProtocolError` for any other key type."""
    if len(data) != len(_KEY_PREFIX) + KEY_SIZE or not data.startswith(_KEY_PREFIX):
        raise RemoteProtocolError("a public key that is not a libp2p Ed25519 key", reason="unsupported_key")
    return data[len(_KEY_PREFIX) :]


def _checked_key(public_key: bytes) -> bytes:
    if len(public_key) != KEY_SIZE:
        raise LocalProtocolError(f"an Ed25519 public key has {KEY_SIZE} bytes, not {len(public_key)}")
    return public_key


# Peer ids are the keys of nearly every table here, so the hash is computed once.
@frozen(order=True, cache_hash=True, repr=False)
class PeerId:
    """The libp2p peer id of an Ed25519 key; ordered by the key's bytes."""

    public_key: bytes
    """32 bytes."""

    @classmethod
    def from_public_key(cls, public_key: bytes) -> "PeerId":
        """The id of a 32-byte Ed25519 key."""
        return cls(bytes(_checked_key(public_key)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "PeerId":
        """The id in its binary form (a multihash); raises `RemoteProtocolError` for anything else."""
        if len(data) != PEER_ID_SIZE or not data.startswith(_ID_PREFIX):
            raise RemoteProtocolError("a peer id that is not one of an Ed25519 key", reason="bad_peer_id")
        return cls(bytes(data[len(_ID_PREFIX) :]))

    @classmethod
    def parse(cls, text: str) -> "PeerId":
        """The id that `text` spells; raises `UserError`, since such text is typed or configured by a person."""
        if len(text) > _MAX_TEXT_SIZE:
            raise UserError(f"a peer id has 52 characters, this has {len(text)}")
        try:
            peer_id = cls.from_bytes(base58.b58decode(text))
        except ValueError as error:
            raise UserError(f"{text!r} is not a peer id: it is not base58 text") from error
        except RemoteProtocolError as error:
            raise UserError(
                f"{text!r} is not the id of an Ed25519 peer: such an id has 52 characters and begins with 12D3KooW"
            ) from error
        if str(peer_id) != text:
            raise UserError(f"{text!r} is not a peer id as it is written: {peer_id} is")
        return peer_id

    def to_bytes(self) -> bytes:
        """The multihash, 38 bytes."""
        return _ID_PREFIX + self.public_key

    @property
    def dht_id(self) -> bytes:
        """The peer's place in the DHT: 20 bytes."""
        return hashlib.sha256(self.public_key).digest()[:DHT_ID_SIZE]

    def __str__(self) -> str:
        text: bytes = base58.b58encode(self.to_bytes())
        return text.decode("ascii")

    def __repr__(self) -> str:
        return f"PeerId({self})"


@frozen
class Keypair:
    """An identity that can sign. Its text never shows the seed."""

    seed: bytes = field(repr=False)
    """32 bytes, secret."""
    public_key: bytes = field(repr=False)
    peer_id: PeerId
    _suite: CipherSuite = field(repr=False, eq=False)

    @classmethod
    def from_seed(cls, seed: bytes, suite: CipherSuite) -> "Keypair":
        """The key pair of a 32-byte Ed25519 seed."""
        if len(seed) != KEY_SIZE:
            raise LocalProtocolError(f"an Ed25519 seed has {KEY_SIZE} bytes, not {len(seed)}")
        public_key = suite.ed25519_public(seed)
        return cls(seed, public_key, PeerId.from_public_key(public_key), suite)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        return self._suite.sign(self.seed, message)
