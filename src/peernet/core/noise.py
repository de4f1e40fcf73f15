"""Noise handshakes and the ciphers that come out of them, over the cipher-suite port.

Theory of operation. A handshake is a list of messages that go back and forth, and a message is a list of tokens:
`e` and `s` send a public key, `ee`, `es`, `se` and `ss` mix a Diffie-Hellman result into the keys (the first letter
is the initiator's key, the second the responder's), `psk` mixes a shared key. `PATTERNS` is that list for every
pattern of the specification; the code below only walks it. Both sides hash everything that passes into `h`, so
that a difference in anything, prologue included, makes the next decryption fail. At the end `split` gives one cipher
for each direction.

Rules:

1. Protocol names are `Noise_<pattern><modifiers>_25519_ChaChaPoly_<hash>`, with the hashes SHA256, SHA512, BLAKE2s
   and BLAKE2b, and the modifiers psk0 to psk4, joined by `+`.
2. Ephemeral secrets are handed in, since `core` has no randomness. One `HandshakeState` uses one, once.
3. What the other side got wrong raises `RemoteProtocolError`, and the handshake is dead from there on.
4. A cipher counts its messages. A message that fails to decrypt does not count. At `CLOSE_AT_NONCE` the connection
   must close; at 2**64 - 1 the cipher refuses.

Source: The Noise Protocol Framework, revision 34; the numbers of sections stand at the code.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.suite import KEY_SIZE, TAG_SIZE, Bytes, CipherSuite

__all__ = ["CLOSE_AT_NONCE", "MAX_MESSAGE_SIZE", "MAX_NONCE", "PATTERNS", "CipherState", "HandshakeState"]

MAX_MESSAGE_SIZE: Final = 65535
"""Bytes of any Noise message, handshake or transport (section 3)."""

MAX_NONCE: Final = 2**64 - 1
"""Reserved for rekeying; no message is sealed with it (section 5.1)."""

CLOSE_AT_NONCE: Final = 2**40
"""Messages under one key after which a connection closes: far below what ChaCha20-Poly1305 bears, and still years."""

PATTERNS: Final[Mapping[str, tuple[str, ...]]] = {
    # Section 7.4: one-way.
    "N": ("<- s", "...", "-> e, es"),
    "K": ("-> s", "<- s", "...", "-> e, es, ss"),
    "X": ("<- s", "...", "-> e, es, s, ss"),
    # Section 7.5: interactive.
    "NN": ("-> e", "<- e, ee"),
    "NK": ("<- s", "...", "-> e, es", "<- e, ee"),
    "NX": ("-> e", "<- e, ee, s, es"),
    "XN": ("-> e", "<- e, ee", "-> s, se"),
    "XK": ("<- s", "...", "-> e, es", "<- e, ee", "-> s, se"),
    "XX": ("-> e", "<- e, ee, s, es", "-> s, se"),
    "KN": ("-> s", "...", "-> e", "<- e, ee, se"),
    "KK": ("-> s", "<- s", "...", "-> e, es, ss", "<- e, ee, se"),
    "KX": ("-> s", "...", "-> e", "<- e, ee, se, s, es"),
    "IN": ("-> e, s", "<- e, ee, se"),
    "IK": ("<- s", "...", "-> e, es, s, ss", "<- e, ee, se"),
    "IX": ("-> e, s", "<- e, ee, se, s, es"),
    # Section 18.1: deferred, where a 1 puts the authentication of that side's static key one message later.
    "NK1": ("<- s", "...", "-> e", "<- e, ee, es"),
    "NX1": ("-> e", "<- e, ee, s", "-> es"),
    "X1N": ("-> e", "<- e, ee", "-> s", "<- se"),
    "X1K": ("<- s", "...", "-> e, es", "<- e, ee", "-> s", "<- se"),
    "XK1": ("<- s", "...", "-> e", "<- e, ee, es", "-> s, se"),
    "X1K1": ("<- s", "...", "-> e", "<- e, ee, es", "-> s", "<- se"),
    "X1X": ("-> e", "<- e, ee, s, es", "-> s", "<- se"),
    "XX1": ("-> e", "<- e, ee, s", "-> es, s, se"),
    "X1X1": ("-> e", "<- e, ee, s", "-> es, s", "<- se"),
    "K1N": ("-> s", "...", "-> e", "<- e, ee", "-> se"),
    "K1K": ("-> s", "<- s", "...", "-> e, es", "<- e, ee", "-> se"),
    "KK1": ("-> s", "<- s", "...", "-> e", "<- e, ee, se, es"),
    "K1K1": ("-> s", "<- s", "...", "-> e", "<- e, ee, es", "-> se"),
    "K1X": ("-> s", "...", "-> e", "<- e, ee, s, es", "-> se"),
    "KX1": ("-> s", "...", "-> e", "<- e, ee, se, s", "-> es"),
    "K1X1": ("-> s", "...", "-> e", "<- e, ee, s", "-> se, es"),
    "I1N": ("-> e, s", "<- e, ee", "-> se"),
    "I1K": ("<- s", "...", "-> e, es, s", "<- e, ee", "-> se"),
    "IK1": ("<- s", "...", "-> e, s", "<- e, ee, se, es"),
    "I1K1": ("<- s", "...", "-> e, s", "<- e, ee, es", "-> se"),
    "I1X": ("-> e, s", "<- e, ee, s, es", "-> se"),
    "IX1": ("-> e, s", "<- e, ee, se, s", "-> es"),
    "I1X1": ("-> e, s", "<- e, ee, s", "-> se, es"),
}

_NAME: Final = r"Noise_([A-Z0-9]+)((?:psk[0-4](?:\+psk[0-4])*)?)_25519_ChaChaPoly_(SHA256|SHA512|BLAKE2s|BLAKE2b)"
_NONCE: Final = struct.Struct("<4xQ")


@frozen
class _Protocol:
    """A protocol name, taken apart."""

    name: str
    hash_name: str
    initiator_known: bool
    """The initiator's static key is known to the responder before the first message."""
    responder_known: bool
    messages: tuple[tuple[str, ...], ...]
    """The tokens of each message; the initiator sends those with even indices."""
    psks: int

    def sends_or_presents_static(self, *, initiator: bool) -> bool:
        known = self.initiator_known if initiator else self.responder_known
        return known or any("s" in tokens for tokens in self.messages[0 if initiator else 1 :: 2])


@cache
def _protocol(name: str) -> _Protocol:
    match = re.fullmatch(_NAME, name)
    if match is None or match[1] not in PATTERNS:
        raise LocalProtocolError(f"the Noise protocol {name!r} is not supported")
    lines = PATTERNS[match[1]]
    known = lines[: lines.index("...")] if "..." in lines else ()
    messages = [line[3:].split(", ") for line in lines if line != "..."][len(known) :]
    indices = [int(modifier[3:]) for modifier in match[2].split("+")] if match[2] else []
    for index in indices:
        if index > len(messages):
            raise LocalProtocolError(f"{name!r} has {len(messages)} messages, so no place for psk{index}")
        if index == 0:
            messages[0].insert(0, "psk")
        else:
            messages[index - 1].append("psk")
    return _Protocol(
        name, match[3], "-> s" in known, "<- s" in known, tuple(tuple(tokens) for tokens in messages), len(indices)
    )


class CipherState:
    """One direction's key and message counter (section 5.1)."""

    __slots__ = ("_aead", "_key", "_open", "_seal", "_suite", "nonce")

    def __init__(self, suite: CipherSuite, key: bytes) -> None:
        self._suite = suite
        self.nonce = 0
        """The number of the next message."""
        self._set_key(key)

    def _set_key(self, key: bytes) -> None:
        self._key = key
        self._aead = self._suite.aead(key)
        # Nearly every message goes through one of these two.
        self._seal, self._open = self._aead.seal, self._aead.open

    @property
    def must_close(self) -> bool:
        """Whether so many messages passed under this key that its connection must end."""
        return self.nonce >= CLOSE_AT_NONCE

    def encrypt(self, plaintext: Bytes, associated: bytes = b"") -> bytes:
        """The next message: ciphertext and tag; raises `LocalProtocolError` when nonces have run out."""
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise LocalProtocolError("a Noise key has no nonces left")
        sealed = self._seal(_NONCE.pack(nonce), plaintext, associated)
        self.nonce = nonce + 1
        return sealed

    def decrypt(self, ciphertext: Bytes, associated: bytes = b"") -> bytes:
        """The next message's plaintext; on `RemoteProtocolError` the counter stays."""
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise RemoteProtocolError("a Noise key has no nonces left", reason="nonces_used_up")
        plaintext = self._open(_NONCE.pack(nonce), ciphertext, associated)
        self.nonce = nonce + 1
        return plaintext

    def decrypt_into(self, ciphertext: Bytes, out: memoryview) -> int:
        """`decrypt` into a buffer with room for the plaintext; its size."""
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise RemoteProtocolError("a Noise key has no nonces left", reason="nonces_used_up")
        size = self._aead.open_into(_NONCE.pack(nonce), ciphertext, b"", out)
        self.nonce = nonce + 1
        return size

    def export_key(self, label: bytes) -> bytes:
        """32 bytes derived from the current key for another use, which `label` names."""
        return self._suite.hmac("SHA256", self._key, label)

    def rekey(self) -> None:
        """Replaces the key by a one-way function of it; the counter goes on (section 4.2)."""
        self._set_key(self._seal(_NONCE.pack(MAX_NONCE), bytes(KEY_SIZE), b"")[:KEY_SIZE])


class _SymmetricState:
    """The chaining key, the running hash and the handshake's cipher (section 5.2)."""

    __slots__ = ("_chaining_key", "_cipher", "_hash_name", "_suite", "h")

    def __init__(self, suite: CipherSuite, protocol: _Protocol) -> None:
        self._suite = suite
        self._hash_name = protocol.hash_name
        name = protocol.name.encode("ascii")
        hash_size = len(suite.hash(protocol.hash_name, b""))
        self.h = name.ljust(hash_size, b"\0") if len(name) <= hash_size else suite.hash(protocol.hash_name, name)
        self._chaining_key = self.h
        self._cipher: CipherState | None = None

    @property
    def has_key(self) -> bool:
        return self._cipher is not None

    def mix_hash(self, data: bytes) -> None:
        self.h = self._suite.hash(self._hash_name, self.h + data)

    def mix_key(self, material: bytes) -> None:
        self._chaining_key, key = self._derive(material, 2)
        self._cipher = CipherState(self._suite, key[:KEY_SIZE])

    def mix_key_and_hash(self, material: bytes) -> None:
        self._chaining_key, hashed, key = self._derive(material, 3)
        self.mix_hash(hashed)
        self._cipher = CipherState(self._suite, key[:KEY_SIZE])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        sealed = plaintext if self._cipher is None else self._cipher.encrypt(plaintext, self.h)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        plaintext = sealed if self._cipher is None else self._cipher.decrypt(sealed, self.h)
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = self._derive(b"", 2)
        return CipherState(self._suite, first[:KEY_SIZE]), CipherState(self._suite, second[:KEY_SIZE])

    def _derive(self, material: bytes, outputs: int) -> list[bytes]:
        """HKDF as section 4.3 has it: `outputs` strings of the hash's length."""
        secret = self._suite.hmac(self._hash_name, self._chaining_key, material)
        derived: list[bytes] = []
        previous = b""
        for number in range(1, outputs + 1):
            previous = self._suite.hmac(self._hash_name, secret, previous + bytes((number,)))
            derived.append(previous)
        return derived


class _Phase(Enum):
    RUNNING = "running"
    FINISHED = "finished"
    SPLIT = "split"
    FAILED = "failed"


class HandshakeState:
    """One side of one handshake (section 5.3).

    `static`, `ephemeral` and `psks` are secrets of 32 bytes, `remote_static` is a public key; which of them a protocol
    needs follows from its name, and a missing or superfluous one raises `LocalProtocolError`.
    """

    def __init__(
        self,
        suite: CipherSuite,
        protocol: str = "Noise_XX_25519_ChaChaPoly_SHA256",
        *,
        initiator: bool,
        prologue: bytes = b"",
        static: bytes | None = None,
        static_public: bytes | None = None,
        remote_static: bytes | None = None,
        ephemeral: bytes | None = None,
        psks: Sequence[bytes] = (),
    ) -> None:
        self._suite = suite
        self._initiator = initiator
        self._protocol = _protocol(protocol)
        self._next = 0
        self._phase = _Phase.RUNNING
        self._check_keys(static, remote_static, ephemeral, psks)
        self._static = static
        if static is not None and static_public is None:
            static_public = suite.x25519_public(static)
        self._static_public = static_public
        self._ephemeral = ephemeral
        self._remote_static = remote_static
        self._remote_ephemeral: bytes | None = None
        self._psks = list(psks)
        self._symmetric = _SymmetricState(suite, self._protocol)
        self._symmetric.mix_hash(prologue)
        for known, initiators in ((self._protocol.initiator_known, True), (self._protocol.responder_known, False)):
            if known:
                ours = initiators == initiator
                self._symmetric.mix_hash(_present(self._static_public if ours else self._remote_static))

    def _check_keys(
        self, static: bytes | None, remote_static: bytes | None, ephemeral: bytes | None, psks: Sequence[bytes]
    ) -> None:
        name, initiator = self._protocol.name, self._initiator
        for label, key in (("static", static), ("remote static", remote_static), ("ephemeral", ephemeral)):
            if key is not None and len(key) != KEY_SIZE:
                raise LocalProtocolError(f"a {label} key has {KEY_SIZE} bytes, not {len(key)}")
        if any(len(psk) != KEY_SIZE for psk in psks):
            raise LocalProtocolError(f"a pre-shared key has {KEY_SIZE} bytes")
        if len(psks) != self._protocol.psks:
            raise LocalProtocolError(f"{name} takes {self._protocol.psks} pre-shared keys, not {len(psks)}")
        if static is None and self._protocol.sends_or_presents_static(initiator=initiator):
            raise LocalProtocolError(f"this side of {name} needs its static key")
        remote_known = self._protocol.responder_known if initiator else self._protocol.initiator_known
        if remote_known != (remote_static is not None):
            word = "needs" if remote_known else "does not take"
            raise LocalProtocolError(f"this side of {name} {word} the other's static key")
        writes = any("e" in tokens for tokens in self._protocol.messages[0 if initiator else 1 :: 2])
        if writes and ephemeral is None:
            raise LocalProtocolError(f"this side of {name} needs an ephemeral key")

    @property
    def finished(self) -> bool:
        """Whether every message has passed."""
        return self._phase in {_Phase.FINISHED, _Phase.SPLIT}

    @property
    def my_turn(self) -> bool:
        """Whether the next handshake message is this side's to write."""
        return self._phase is _Phase.RUNNING and (self._next % 2 == 0) == self._initiator

    @property
    def handshake_hash(self) -> bytes:
        """The hash that names this session once it is finished, for channel binding (section 11.2)."""
        if not self.finished:
            raise LocalProtocolError("a handshake has its hash when it is finished")
        return self._symmetric.h

    @property
    def remote_static(self) -> bytes | None:
        """The other side's static public key, as far as it is known by now."""
        return self._remote_static

    def write_message(self, payload: bytes = b"") -> bytes:
        """This side's next message.

        Raises `LocalProtocolError` out of turn or over 65535 bytes, and `RemoteProtocolError` when a key that the
        other side sent is unusable.
        """
        if not self.my_turn:
            raise LocalProtocolError("it is not this side's turn to write a handshake message")
        if len(payload) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a Noise message has at most {MAX_MESSAGE_SIZE} bytes")
        # Until the message is whole the state is neither before nor after it, so an error in between ends it.
        self._phase = _Phase.FAILED
        out = [self._write_token(token) for token in self._protocol.messages[self._next]]
        out.append(self._symmetric.encrypt_and_hash(payload))
        message = b"".join(out)
        if len(message) > MAX_MESSAGE_SIZE:
            raise LocalProtocolError(f"a Noise message has at most {MAX_MESSAGE_SIZE} bytes, not {len(message)}")
        self._advance()
        return message

    def read_message(self, message: bytes) -> bytes:
        """The payload of the other side's next message; raises `RemoteProtocolError` for anything wrong with it."""
        if self._phase is not _Phase.RUNNING or self.my_turn:
            raise LocalProtocolError("it is not this side's turn to read a handshake message")
        self._phase = _Phase.FAILED
        if len(message) > MAX_MESSAGE_SIZE:
            raise RemoteProtocolError(f"a Noise message of {len(message)} bytes", reason="too_long")
        offset = 0
        for token in self._protocol.messages[self._next]:
            offset = self._read_token(token, message, offset)
        payload = self._symmetric.decrypt_and_hash(message[offset:])
        self._advance()
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers of the finished session, as (send, receive) for this side. Only once."""
        if self._phase is not _Phase.FINISHED:
            raise LocalProtocolError("a handshake is split once, when it is finished")
        self._phase = _Phase.SPLIT
        first, second = self._symmetric.split()
        return (first, second) if self._initiator else (second, first)

    def _advance(self) -> None:
        self._next += 1
        self._phase = _Phase.FINISHED if self._next == len(self._protocol.messages) else _Phase.RUNNING

    def _write_token(self, token: str) -> bytes:
        match token:
            case "e":
                public = self._suite.x25519_public(_present(self._ephemeral))
                self._mix_ephemeral(public)
                return public
            case "s":
                return self._symmetric.encrypt_and_hash(_present(self._static_public))
            case _:
                self._mix_secret(token)
                return b""

    def _read_token(self, token: str, message: bytes, offset: int) -> int:
        """Takes `token` from the message at `offset`; the offset after it."""
        match token:
            case "e":
                end = _end_of_key(message, offset, KEY_SIZE)
                self._remote_ephemeral = message[offset:end]
                self._mix_ephemeral(self._remote_ephemeral)
            case "s":
                end = _end_of_key(message, offset, KEY_SIZE + (TAG_SIZE if self._symmetric.has_key else 0))
                self._remote_static = self._symmetric.decrypt_and_hash(message[offset:end])
            case _:
                end = offset
                self._mix_secret(token)
        return end

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        # With pre-shared keys the ephemeral also makes the key fresh (section 9.2).
        if self._protocol.psks:
            self._symmetric.mix_key(public)

    def _mix_secret(self, token: str) -> None:
        match token:
            case "psk":
                self._symmetric.mix_key_and_hash(self._psks.pop(0))
            case _:
                mine, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
                secret = self._ephemeral if mine == "e" else self._static
                public = self._remote_ephemeral if theirs == "e" else self._remote_static
                self._symmetric.mix_key(self._suite.x25519(_present(secret), _present(public)))


def _end_of_key(message: bytes, offset: int, size: int) -> int:
    end = offset + size
    if end > len(message):
        raise RemoteProtocolError("a handshake message ends inside a key", reason="too_short")
    return end


def _present(key: bytes | None) -> bytes:
    # Which keys there are was checked at the start, and patterns use none before it was sent.
    assert key is not None
    return key
