"""A cipher suite that keeps every length and costs next to nothing.

Keys, signatures, tags and ciphertexts have their real sizes, so records fit where they fit and a ring takes its real
number of cells. Anybody could forge them and read them; what was changed, or sealed under another key, is still told
apart. Hashes are the real ones: ids and cookies are made of them.
"""

import hashlib

from peernet.core.errors import RemoteProtocolError
from peernet.core.suite import KEY_SIZE, SIGNATURE_SIZE, TAG_SIZE, Bytes, SodiumSuite

__all__ = ["NullSuite"]


class _Unchanged:
    """The stream layer that changes nothing."""

    def update(self, data: bytes) -> bytes:
        return data


_UNCHANGED = _Unchanged()


class NullSuite(SodiumSuite):
    """Every primitive replaced by a digest of its inputs, or by nothing."""

    name = "null"

    def x25519_public(self, secret: bytes) -> bytes:
        return hashlib.blake2b(secret, digest_size=KEY_SIZE, person=b"x25519").digest()

    def x25519(self, secret: bytes, public: bytes) -> bytes:
        low, high = sorted((self.x25519_public(secret), public))
        return hashlib.blake2b(low + high, digest_size=KEY_SIZE).digest()

    def ed25519_public(self, seed: bytes) -> bytes:
        return hashlib.blake2b(seed, digest_size=KEY_SIZE).digest()

    def sign(self, seed: bytes, message: bytes) -> bytes:
        return self._signature(self.ed25519_public(seed), message)

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        return signature == self._signature(public, message)

    def aead(self, key: bytes) -> "_NullAead":
        return _NullAead(key)

    def keystream(self, key: bytes) -> _Unchanged:
        return _UNCHANGED

    @staticmethod
    def _signature(public: bytes, message: bytes) -> bytes:
        return hashlib.blake2b(public + message, digest_size=SIGNATURE_SIZE).digest()


class _NullAead:
    """The plaintext, and a digest as its tag."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, nonce: bytes, plaintext: Bytes, associated: bytes) -> bytes:
        return bytes(plaintext) + self._tag(nonce, plaintext, associated)

    def open(self, nonce: bytes, ciphertext: Bytes, associated: bytes) -> bytes:
        plaintext = bytes(ciphertext[:-TAG_SIZE])
        if ciphertext[-TAG_SIZE:] != self._tag(nonce, plaintext, associated):
            raise RemoteProtocolError("a ciphertext failed authentication", reason="bad_tag")
        return plaintext

    def open_into(self, nonce: bytes, ciphertext: Bytes, associated: bytes, out: memoryview) -> int:
        plaintext = self.open(nonce, ciphertext, associated)
        out[: len(plaintext)] = plaintext
        return len(plaintext)

    def _tag(self, nonce: bytes, plaintext: Bytes, associated: bytes) -> bytes:
        return hashlib.blake2b(nonce + associated + bytes(plaintext), key=self._key, digest_size=TAG_SIZE).digest()
