"""The cipher-suite port: every primitive that `core` uses, behind one small interface.

Protocols are written against `CipherSuite`; which library computes is decided by the caller. `SodiumSuite` does all
of it with PyNaCl, as far as libsodium exposes it; `MixedSuite` takes the AEAD from OpenSSL by `cryptography`, which
at 1 KiB costs 1.5 instead of 3.9 microseconds. Both pass the same vectors. A simulation hands in a null suite that
keeps the lengths.

Keys, nonces and hashes are `bytes`. Lengths: X25519 and Ed25519 keys and seeds 32, signatures 64, AEAD keys 32,
AEAD tags 16. Source: RFC 7748, RFC 8032, RFC 8439, Noise revision 34 section 4.
"""

import hashlib
from collections.abc import Callable
from typing import Protocol

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "KEY_SIZE",
    "SIGNATURE_SIZE",
    "TAG_SIZE",
    "Aead",
    "Bytes",
    "CipherSuite",
    "Keystream",
    "MixedSuite",
    "SodiumSuite",
]

KEY_SIZE = 32
SIGNATURE_SIZE = 64
TAG_SIZE = 16

_ZERO_POINT = bytes(KEY_SIZE)


class Keystream(Protocol):
    """One direction of a ChaCha20 stream layer; it keeps its place in the stream."""

    def update(self, data: bytes) -> bytes:
        """`data` exclusive-or the next `len(data)` bytes of the stream."""
        ...


Bytes = bytes | bytearray | memoryview


class Aead(Protocol):
    """An authenticated cipher with its key set up: what a session does for every message."""

    def seal(self, nonce: bytes, plaintext: Bytes, associated: bytes) -> bytes:
        """Ciphertext and 16-byte tag; the nonce has 12 bytes and is used once."""
        ...

    def open(self, nonce: bytes, ciphertext: Bytes, associated: bytes) -> bytes:
        """The plaintext; raises `RemoteProtocolError` when the tag does not fit."""
        ...

    def open_into(self, nonce: bytes, ciphertext: Bytes, associated: bytes, out: memoryview) -> int:
        """`open` into a buffer with room for the plaintext, whose size is returned; an error may leave it altered."""
        ...


class CipherSuite(Protocol):
    """The primitives. All randomness comes from the caller, as seeds."""

    name: str

    def x25519_public(self, secret: bytes) -> bytes:
        """The public key of a 32-byte X25519 secret."""
        ...

    def x25519(self, secret: bytes, public: bytes) -> bytes:
        """The shared secret; raises `RemoteProtocolError` for a low-order `public`."""
        ...

    def ed25519_public(self, seed: bytes) -> bytes:
        """The public key of a 32-byte Ed25519 seed."""
        ...

    def sign(self, seed: bytes, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        ...

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is `public`'s over `message`; malformed keys and signatures are just false."""
        ...

    def aead(self, key: bytes) -> Aead:
        """ChaCha20-Poly1305 (RFC 8439) under a 32-byte key."""
        ...

    def keystream(self, key: bytes) -> Keystream:
        """A fresh ChaCha20 stream of `key`, from block 0 of nonce 0: a key is used for one stream only."""
        ...

    def hash(self, algorithm: str, data: bytes) -> bytes:
        """A digest; `algorithm` is a Noise hash name: SHA256, SHA512, BLAKE2s or BLAKE2b."""
        ...

    def hmac(self, algorithm: str, key: bytes, data: bytes) -> bytes:
        """HMAC (RFC 2104) over one of the hashes of `hash`."""
        ...


class _Digest(Protocol):
    def digest(self) -> bytes: ...


_HASHES: dict[str, tuple[Callable[[bytes], _Digest], int]] = {
    "SHA256": (hashlib.sha256, 64),
    "SHA512": (hashlib.sha512, 128),
    "BLAKE2s": (hashlib.blake2s, 64),
    "BLAKE2b": (hashlib.blake2b, 128),
}
"""Noise's names of the hashes, and the size of their blocks in bytes."""

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class SodiumSuite:
    """Everything by PyNaCl (libsodium), but the stream layer, which PyNaCl does not expose, and the hashes."""

    name = "sodium"

    def x25519_public(self, secret: bytes) -> bytes:
        _check_secret(secret)
        return nacl.bindings.crypto_scalarmult_base(secret)

    def x25519(self, secret: bytes, public: bytes) -> bytes:
        _check_secret(secret)
        # PyNaCl hands both to C without looking at their lengths.
        if len(public) != KEY_SIZE:
            raise RemoteProtocolError(f"an X25519 key of {len(public)} bytes", reason="bad_key")
        try:
            shared = nacl.bindings.crypto_scalarmult(secret, public)
        except nacl.exceptions.RuntimeError as error:
            raise RemoteProtocolError("the peer's X25519 key is unusable", reason="bad_key") from error
        if shared == _ZERO_POINT:
            raise RemoteProtocolError("the peer's X25519 key has low order", reason="bad_key")
        return shared

    def ed25519_public(self, seed: bytes) -> bytes:
        return nacl.bindings.crypto_sign_seed_keypair(seed)[0]

    def sign(self, seed: bytes, message: bytes) -> bytes:
        _, expanded = nacl.bindings.crypto_sign_seed_keypair(seed)
        return nacl.bindings.crypto_sign(message, expanded)[:SIGNATURE_SIZE]

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
            return False
        try:
            nacl.bindings.crypto_sign_open(signature + message, public)
        except nacl.exceptions.BadSignatureError:
            return False
        return True

    def aead(self, key: bytes) -> Aead:
        return _SodiumAead(key)

    def keystream(self, key: bytes) -> Keystream:
        # `cryptography` takes the block counter and nonce as one 16-byte value, RFC 8439's counter first.
        return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def hash(self, algorithm: str, data: bytes) -> bytes:
        return _HASHES[algorithm][0](data).digest()

    def hmac(self, algorithm: str, key: bytes, data: bytes) -> bytes:
        # RFC 2104 over hashlib: for the few bytes of a handshake OpenSSL's own takes twice as long to set up.
        digest, block_size = _HASHES[algorithm]
        block = (key if len(key) <= block_size else digest(key).digest()).ljust(block_size, b"\0")
        return digest(block.translate(_OUTER) + digest(block.translate(_INNER) + data).digest()).digest()


def _check_secret(secret: bytes) -> None:
    if len(secret) != KEY_SIZE:
        raise LocalProtocolError(f"an X25519 secret has {KEY_SIZE} bytes, not {len(secret)}")


class MixedSuite(SodiumSuite):
    """PyNaCl for keys and signatures, `cryptography` (OpenSSL) for the AEAD: the default."""

    name = "mixed"

    def aead(self, key: bytes) -> Aead:
        return _OpensslAead(key)


class _SodiumAead:
    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, nonce: bytes, plaintext: Bytes, associated: bytes) -> bytes:
        # PyNaCl takes nothing but bytes; where these are bytes already, nothing is copied.
        return nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(bytes(plaintext), associated, nonce, self._key)

    def open(self, nonce: bytes, ciphertext: Bytes, associated: bytes) -> bytes:
        if len(ciphertext) < TAG_SIZE:
            raise RemoteProtocolError("a ciphertext is shorter than its tag", reason="bad_tag")
        try:
            return nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
                bytes(ciphertext), associated, nonce, self._key
            )
        except nacl.exceptions.CryptoError as error:
            raise RemoteProtocolError("a ciphertext failed authentication", reason="bad_tag") from error

    def open_into(self, nonce: bytes, ciphertext: Bytes, associated: bytes, out: memoryview) -> int:
        plaintext = self.open(nonce, ciphertext, associated)
        out[: len(plaintext)] = plaintext
        return len(plaintext)


class _OpensslAead:
    __slots__ = ("_cipher", "_open", "seal")

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self.seal = self._cipher.encrypt
        self._open = self._cipher.decrypt

    def open_into(self, nonce: bytes, ciphertext: Bytes, associated: bytes, out: memoryview) -> int:
        size = len(ciphertext) - TAG_SIZE
        if size < 0:
            raise RemoteProtocolError("a ciphertext is shorter than its tag", reason="bad_tag")
        try:
            return self._cipher.decrypt_into(nonce, ciphertext, associated, out[:size])
        except InvalidTag as error:
            raise RemoteProtocolError("a ciphertext failed authentication", reason="bad_tag") from error

    def open(self, nonce: bytes, ciphertext: Bytes, associated: bytes) -> bytes:
        try:
            return self._open(nonce, ciphertext, associated)
        except InvalidTag as error:
            raise RemoteProtocolError("a ciphertext failed authentication", reason="bad_tag") from error
