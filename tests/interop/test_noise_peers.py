"""Our Noise handshakes against two implementations that are not ours, `noiseprotocol` and `dissononce`.

Each of them is once the initiator and once the responder, with fresh keys, under both of our suites and every hash:
payloads in every handshake message, the same handshake hash, and transport messages both ways.
"""

import secrets
from typing import Any, Protocol

import pytest
from attrs import frozen
from cryptography.exceptions import InvalidTag
from dissononce.dh.keypair import KeyPair
from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.exceptions.decrypt import DecryptFailedException
from dissononce.extras.meta.protocol.factory import NoiseProtocolFactory
from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseInvalidMessage

from peernet.core.errors import RemoteProtocolError
from peernet.core.noise import PATTERNS, CipherState, HandshakeState
from peernet.core.suite import CipherSuite, MixedSuite, SodiumSuite

HASHES = ("SHA256", "SHA512", "BLAKE2s", "BLAKE2b")
SUITES: tuple[CipherSuite, ...] = (SodiumSuite(), MixedSuite())
PROLOGUE = b"a prologue of both"
MAX_PAYLOAD = b"p" * 65000


def lines_of(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A protocol's lines: those of keys that are known beforehand, and those of messages."""
    lines = PATTERNS[name.split("_")[1].partition("psk")[0]]
    split = lines.index("...") if "..." in lines else -1
    return lines[: max(0, split)], lines[split + 1 :]


@frozen
class Keys:
    """The secrets of both sides; which are used follows from the pattern."""

    initiator: bytes
    responder: bytes
    psks: tuple[bytes, ...]
    prologue: bytes = PROLOGUE

    @classmethod
    def fresh(cls, psks: int = 0) -> "Keys":
        return cls(*(secrets.token_bytes(32) for _ in range(2)), tuple(secrets.token_bytes(32) for _ in range(psks)))

    def of(self, name: str, *, initiator: bool) -> tuple[bytes | None, bytes | None]:
        """The secret of one side, and the public key of the other side, where the pattern has them beforehand."""
        known, messages = lines_of(name)
        mine, theirs = ("->", "<-") if initiator else ("<-", "->")
        own = any(line.startswith(mine) and "s" in line[3:].split(", ") for line in (*known, *messages))
        return (
            (self.initiator if initiator else self.responder) if own else None,
            SUITES[0].x25519_public(self.responder if initiator else self.initiator)
            if f"{theirs} s" in known
            else None,
        )


class Side(Protocol):
    """One side of a handshake and of the transport after it."""

    def write(self, payload: bytes) -> bytes: ...
    def read(self, message: bytes) -> bytes: ...
    def finish(self) -> bytes:
        """The handshake hash, once the last message has passed."""
        ...

    def encrypt(self, plaintext: bytes) -> bytes: ...
    def decrypt(self, ciphertext: bytes) -> bytes: ...


class Ours:
    def __init__(self, name: str, keys: Keys, suite: CipherSuite, *, initiator: bool) -> None:
        static, remote = keys.of(name, initiator=initiator)
        self.initiator = initiator
        self.handshake = HandshakeState(
            suite,
            name,
            initiator=initiator,
            prologue=keys.prologue,
            static=static,
            remote_static=remote,
            ephemeral=secrets.token_bytes(32),
            psks=keys.psks,
        )
        self.write, self.read = self.handshake.write_message, self.handshake.read_message
        self.sends: CipherState
        self.receives: CipherState

    def finish(self) -> bytes:
        assert self.handshake.finished
        self.sends, self.receives = self.handshake.split()
        return self.handshake.handshake_hash

    def encrypt(self, plaintext: bytes) -> bytes:
        return self.sends.encrypt(plaintext)

    def decrypt(self, ciphertext: bytes) -> bytes:
        return self.receives.decrypt(ciphertext)


class NoiseprotocolSide:
    patterns = tuple(name for name in PATTERNS if "1" not in name)
    """It has no deferred ones."""
    refusals = (InvalidTag, NoiseInvalidMessage)

    def __init__(self, name: str, keys: Keys, *, initiator: bool) -> None:
        static, remote = keys.of(name, initiator=initiator)
        self.connection = NoiseConnection.from_name(name.encode())
        self.connection.set_prologue(keys.prologue)
        if keys.psks:
            self.connection.set_psks(psks=list(keys.psks))
        if static:
            self.connection.set_keypair_from_private_bytes(Keypair.STATIC, static)
        if remote:
            self.connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
        if initiator:
            self.connection.set_as_initiator()
        else:
            self.connection.set_as_responder()
        self.connection.start_handshake()

    def write(self, payload: bytes) -> bytes:
        return bytes(self.connection.write_message(payload))

    def read(self, message: bytes) -> bytes:
        return bytes(self.connection.read_message(message))

    def finish(self) -> bytes:
        assert self.connection.handshake_finished
        hashed: bytes = self.connection.get_handshake_hash()
        return hashed

    def encrypt(self, plaintext: bytes) -> bytes:
        sealed: bytes = self.connection.encrypt(plaintext)
        return sealed

    def decrypt(self, ciphertext: bytes) -> bytes:
        opened: bytes = self.connection.decrypt(ciphertext)
        return opened


class DissononceSide:
    patterns = tuple(PATTERNS)
    refusals = (DecryptFailedException,)

    def __init__(self, name: str, keys: Keys, *, initiator: bool) -> None:
        static, remote = keys.of(name, initiator=initiator)
        protocol = NoiseProtocolFactory().get_noise_protocol(name)
        self.initiator = initiator
        self.handshake = protocol.create_handshakestate()
        self.handshake.initialize(
            protocol.pattern,
            initiator,
            keys.prologue,
            s=KeyPair(PublicKey(SUITES[0].x25519_public(static)), PrivateKey(static)) if static else None,
            rs=PublicKey(remote) if remote else None,
            psks=keys.psks or None,
        )
        self.ciphers: tuple[Any, Any] | None = None

    def write(self, payload: bytes) -> bytes:
        message = bytearray()
        self.ciphers = self.handshake.write_message(payload, message)
        return bytes(message)

    def read(self, message: bytes) -> bytes:
        payload = bytearray()
        self.ciphers = self.handshake.read_message(message, payload)
        return bytes(payload)

    def finish(self) -> bytes:
        assert self.ciphers is not None
        hashed: bytes = self.handshake.symmetricstate.get_handshake_hash()
        return hashed

    def encrypt(self, plaintext: bytes) -> bytes:
        assert self.ciphers is not None
        sealed: bytes = self.ciphers[0 if self.initiator else 1].encrypt_with_ad(b"", plaintext)
        return sealed

    def decrypt(self, ciphertext: bytes) -> bytes:
        assert self.ciphers is not None
        opened: bytes = self.ciphers[1 if self.initiator else 0].decrypt_with_ad(b"", ciphertext)
        return opened


Other = type[NoiseprotocolSide] | type[DissononceSide]
OTHERS: tuple[Other, ...] = (NoiseprotocolSide, DissononceSide)


def shake_hands(name: str, initiator: Side, responder: Side) -> None:
    """Every message of the handshake with a payload, and the same hash at its end."""
    for number in range(len(lines_of(name)[1])):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        payload = b"payload %d" % number * number
        assert reader.read(writer.write(payload)) == payload
    assert initiator.finish() == responder.finish()


def talk(initiator: Side, responder: Side, *, both_ways: bool) -> None:
    for payload in (b"", b"a message", bytes(range(256)) * 40, MAX_PAYLOAD):
        assert responder.decrypt(initiator.encrypt(payload)) == payload
        if both_ways:
            assert initiator.decrypt(responder.encrypt(payload)) == payload


def sides(other: Other, name: str, keys: Keys, suite: CipherSuite, *, we_begin: bool) -> tuple[Side, Side]:
    ours, theirs = Ours(name, keys, suite, initiator=we_begin), other(name, keys, initiator=not we_begin)
    return (ours, theirs) if we_begin else (theirs, ours)


@pytest.mark.parametrize("we_begin", [True, False], ids=["we-begin", "they-begin"])
@pytest.mark.parametrize(
    ("other", "pattern"),
    [(other, pattern) for other in OTHERS for pattern in other.patterns],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_every_pattern_of_both(other: Other, pattern: str, we_begin: bool) -> None:
    for hash_name in HASHES:
        for suite in SUITES:
            name = f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}"
            initiator, responder = sides(other, name, Keys.fresh(), suite, we_begin=we_begin)
            shake_hands(name, initiator, responder)
            talk(initiator, responder, both_ways=len(pattern) > 1)


@pytest.mark.parametrize("we_begin", [True, False], ids=["we-begin", "they-begin"])
@pytest.mark.parametrize(
    "pattern", ["NNpsk0", "NNpsk2", "KKpsk0", "IKpsk1", "IKpsk2", "XXpsk1", "XXpsk3", "NKpsk0", "Npsk0", "Xpsk1"]
)
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_pre_shared_keys(other: Other, pattern: str, we_begin: bool) -> None:
    for hash_name in HASHES:
        for suite in SUITES:
            name = f"Noise_{pattern}_25519_ChaChaPoly_{hash_name}"
            initiator, responder = sides(other, name, Keys.fresh(psks=1), suite, we_begin=we_begin)
            shake_hands(name, initiator, responder)
            talk(initiator, responder, both_ways=len(pattern.partition("psk")[0]) > 1)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_another_prologue_or_key_and_a_changed_bit_are_noticed_on_both_sides(
    other: Other,
) -> None:
    keys = Keys.fresh(psks=1)
    prologue = Keys(keys.initiator, keys.responder, keys.psks, b"another")
    # The first message is under the prologue in both, and under the shared key in the second one.
    for name, wrong in (
        ("Noise_XXpsk3_25519_ChaChaPoly_SHA256", prologue),
        ("Noise_NNpsk0_25519_ChaChaPoly_SHA256", Keys.fresh(psks=1)),
    ):
        with pytest.raises(RemoteProtocolError):
            Ours(name, wrong, SUITES[1], initiator=False).read(other(name, keys, initiator=True).write(b""))
        with pytest.raises(other.refusals):
            other(name, wrong, initiator=False).read(Ours(name, keys, SUITES[1], initiator=True).write(b""))
    name = "Noise_XXpsk3_25519_ChaChaPoly_SHA256"
    ours, theirs = Ours(name, keys, SUITES[1], initiator=True), other(name, keys, initiator=False)
    shake_hands(name, ours, theirs)
    sealed = bytearray(theirs.encrypt(b"a message"))
    sealed[0] ^= 1
    with pytest.raises(RemoteProtocolError):
        ours.decrypt(bytes(sealed))
    sealed = bytearray(ours.encrypt(b"a message"))
    sealed[0] ^= 1
    with pytest.raises(other.refusals):
        theirs.decrypt(bytes(sealed))
