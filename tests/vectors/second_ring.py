"""A second reading of docs/rings.md: both sides of an arc, written from the page on bare primitives.

Nothing of `peernet` is imported here, so that a page which says too little, or something else than the code does,
shows. It is small where an implementation would have to be careful: no bounds, no time, no sockets.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence

from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

__all__ = ["TYPES", "Cell", "SecondArc", "SecondHop", "Shared", "cookie_of", "frame", "join_body"]

TYPES = {"EXTEND": 1, "JOIN": 2, "DATA": 3, "WINDOW": 4, "END": 5, "PAD": 6}
NAME = b"Noise_NK_25519_ChaChaPoly_SHA256"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def hkdf(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    t = hmac256(chaining_key, material)
    first = hmac256(t, b"\x01")
    return first, hmac256(t, first + b"\x02")


def public_of(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def frame(message: bytes) -> bytes:
    """A message behind its length, a varint."""
    size, length = len(message), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return length + bytes([size]) + message


def join_body(role: int, service: str, nonce: bytes, cookie: bytes) -> bytes:
    """The msgpack array of a JOIN."""
    word = service.encode()
    return b"\x94" + bytes([role, 0xA0 | len(word)]) + word + b"\xc4\x10" + nonce + b"\xc4\x20" + cookie


def cookie_of(nonce: bytes, out_hash: bytes, back_hash: bytes) -> bytes:
    return sha256(b"peernet ring join 1" + nonce + out_hash + back_hash)


class Sealer:
    """One key with its counter."""

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._count = 0

    def _nonce(self) -> bytes:
        return bytes(4) + self._count.to_bytes(8, "little")

    def seal(self, kind: str, body: bytes) -> bytes:
        plaintext = bytes([TYPES[kind]]) + len(body).to_bytes(2, "big") + body
        cell = self._cipher.encrypt(self._nonce(), plaintext + bytes(1008 - len(plaintext)), None)
        self._count += 1
        return cell

    def open(self, cell: bytes) -> tuple[str, bytes]:
        """Type and body; raises `InvalidTag`."""
        plaintext = self._cipher.decrypt(self._nonce(), cell, None)
        self._count += 1
        (kind,) = (name for name, number in TYPES.items() if number == plaintext[0])
        return kind, plaintext[3 : 3 + int.from_bytes(plaintext[1:3], "big")]


class Shared:
    """What a client and a hop have after their handshake; both sides compute the same."""

    def __init__(self, onion_key: bytes, client: bytes, first: bytes, hop: bytes, second: bytes) -> None:
        """From the public onion and ephemeral keys, and the two X25519 results in the order of the messages."""
        chaining_key = NAME
        h = sha256(sha256(NAME + b"/peernet/ring/1") + onion_key)
        messages = []
        for ephemeral, result in ((client, first), (hop, second)):
            h = sha256(h + ephemeral)
            chaining_key, key = hkdf(chaining_key, result)
            tag = ChaCha20Poly1305(key).encrypt(bytes(12), b"", h)
            h = sha256(h + tag)
            messages.append(ephemeral + tag)
        self.message_1, self.message_2 = messages
        self.handshake_hash = h
        self.to_hop, self.from_hop = hkdf(chaining_key, b"")
        self.layer_outward = hmac256(self.to_hop, b"peernet ring layer 1")
        self.layer_backward = hmac256(self.from_hop, b"peernet ring layer 1")


def stream(key: bytes):
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()


@frozen
class Cell:
    """A cell, and what it is on each leg, the client's first."""

    way: str
    hop: int
    type: str
    body: bytes
    legs: Sequence[bytes]


class SecondHop:
    """A hop: `outward` and `backward` are what it does to cells, once it forwards."""

    def __init__(self, onion_secret: bytes, ephemeral: bytes) -> None:
        self._onion_secret = onion_secret
        self._ephemeral = ephemeral

    def answer(self, cell: bytes) -> bytes:
        """The first cell back to the first cell."""
        client = cell[:32]
        self.shared = Shared(
            public_of(self._onion_secret),
            client,
            x25519(self._onion_secret, client),
            public_of(self._ephemeral),
            x25519(self._ephemeral, client),
        )
        assert self.shared.message_1 == cell[:48], "the handshake is for another onion key"
        self.from_client, self.to_client = Sealer(self.shared.to_hop), Sealer(self.shared.from_hop)
        self.outward = stream(self.shared.layer_outward).update
        self.backward = stream(self.shared.layer_backward).update
        return self.shared.message_2 + bytes(1024 - 48)


@define
class _Known:
    """A hop as the client knows it after the handshake."""

    shared: Shared
    to_hop: Sealer
    from_hop: Sealer
    outward: object
    backward: object

    @classmethod
    def of(cls, shared: Shared) -> "_Known":
        return cls(
            shared,
            Sealer(shared.to_hop),
            Sealer(shared.from_hop),
            stream(shared.layer_outward).update,
            stream(shared.layer_backward).update,
        )


@define
class SecondArc:
    """A whole arc: the client, who knows the hops' onion keys and records, and the hops. Cells are told in order."""

    hops: Sequence[SecondHop]
    onion_keys: Sequence[bytes]
    records: Sequence[bytes]
    ephemerals: Sequence[bytes]
    known: list[_Known] = field(factory=list)

    def build(self, *, reaches: int) -> Iterator[Cell]:
        """Builds as far as hop `reaches`; if there is one behind, that hop cannot reach it."""
        yield from self._shake_hands(0)
        for place in range(1, len(self.hops)):
            command = self.send("EXTEND", self.records[place], place)
            assert self.hops[place - 1].from_client.open(command.legs[-1]) == ("EXTEND", self.records[place])
            yield command
            if place == reaches:
                yield self.tell("END", b"unreachable", place)
                return
            yield from self._shake_hands(place)

    def send(self, kind: str, body: bytes, hop: int) -> Cell:
        """The client seals a cell for a hop."""
        return Cell("outward", hop, kind, body, self._layered(self.known[hop - 1].to_hop.seal(kind, body), hop))

    def tell(self, kind: str, body: bytes, hop: int) -> Cell:
        """A hop seals a cell for the client, who opens it; a forwarder's goes under its own layer."""
        own = self.hops[hop - 1]
        cell = own.to_client.seal(kind, body)
        if hop < len(self.hops):
            cell = own.backward(cell)
        legs = self._handed_back(cell, hop)
        bare = legs[0]
        for known in self.known[: hop - 1 if hop == len(self.hops) else hop]:
            bare = known.backward(bare)
        assert self.known[hop - 1].from_hop.open(bare) == (kind, body)
        return Cell("backward", hop, kind, body, legs)

    def _shake_hands(self, place: int) -> Iterator[Cell]:
        secret, hop = self.ephemerals[place], place + 1
        first = x25519(secret, self.onion_keys[place])
        # The first message does not depend on the second's keys.
        message = Shared(self.onion_keys[place], public_of(secret), first, bytes(32), bytes(32)).message_1
        legs = self._layered(message + bytes(1024 - 48), hop)
        yield Cell("outward", hop, "MESSAGE_1", message, legs)
        legs = self._handed_back(self.hops[place].answer(legs[-1]), hop)
        bare = legs[0]
        for known in self.known:
            bare = known.backward(bare)
        theirs = bare[:32]
        shared = Shared(self.onion_keys[place], public_of(secret), first, theirs, x25519(secret, theirs))
        assert shared.message_2 == bare[:48], "somebody else has answered"
        self.known.append(_Known.of(shared))
        yield Cell("backward", hop, "MESSAGE_2", shared.message_2, legs)

    def _layered(self, cell: bytes, hop: int) -> list[bytes]:
        """A cell for `hop` in the client's layers, and as each hop before it hands it on."""
        for known in reversed(self.known[: hop - 1]):
            cell = known.outward(cell)
        legs = [cell]
        for before in self.hops[: hop - 1]:
            legs.append(before.outward(legs[-1]))
        return legs

    def _handed_back(self, cell: bytes, hop: int) -> list[bytes]:
        legs = [cell]
        for before in reversed(self.hops[: hop - 1]):
            legs.insert(0, before.backward(legs[0]))
        return legs
