"""Blind RSA signatures: RSABSSA-SHA384-PSS-Randomized.

Theory of operation. The client encodes its message as for an ordinary RSA-PSS signature, and multiplies that by a
random number to the power of e: the result says nothing about the message. The signer raises it to the power of d,
and the client divides by its random number: what is left is an ordinary RSA-PSS signature of the message, which
anybody verifies.

```
client                                         signer
prepared = prepare(message, prefix)
blinded, inverse = blind(...)     ------->     blind_sign(...)
finalize(...)                     <-------
```

Rules:

1. Randomness is an argument: prefix, salt and factor are fresh for each message, and secret. The salt has 48 bytes.
2. The prefix (32 bytes) is what keeps a signer from choosing its key so that blinded messages say something of the
   message after all: it is part of what is signed, and the client draws it.
3. The private operation is masked by a factor of the signer's own, since Python's integers take a time that depends on
   the numbers; and what comes out is checked before it leaves: one fault in half of the operation gives away the key.

Source: RFC 9474 sections 4 and 5, security considerations section 7; RFC 8017 section 9.1.1.
"""

import hashlib
from functools import cached_property
from math import gcd
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "KEY_BITS",
    "MODULUS_SIZE",
    "PREFIX_SIZE",
    "PUBLIC_EXPONENT",
    "SALT_SIZE",
    "PrivateKey",
    "PublicKey",
    "SigningFault",
    "blind",
    "blind_sign",
    "finalize",
    "prepare",
    "verify",
]

KEY_BITS: Final = 2048
MODULUS_SIZE: Final = KEY_BITS // 8
PUBLIC_EXPONENT: Final = 65537
SALT_SIZE: Final = 48
PREFIX_SIZE: Final = 32

_HASH_SIZE: Final = 48


class SigningFault(LocalProtocolError):
    """The private operation computed something wrong, which must not leave: the machine is faulty, or the key is."""


@frozen(slots=False)
class PublicKey:
    """An RSA public key."""

    modulus: int
    exponent: int = PUBLIC_EXPONENT

    @property
    def size(self) -> int:
        """The length of a signature, in bytes."""
        return (self.modulus.bit_length() + 7) // 8

    @classmethod
    def from_bytes(cls, modulus: bytes) -> "PublicKey":
        """The key of a big-endian modulus of `KEY_BITS` bits; raises `RemoteProtocolError` (`bad_key`)."""
        number = int.from_bytes(modulus)
        if len(modulus) != MODULUS_SIZE or number.bit_length() != KEY_BITS or not number % 2:
            raise RemoteProtocolError(f"a modulus is an odd number of {KEY_BITS} bits", reason="bad_key")
        return cls(number)

    def to_bytes(self) -> bytes:
        """The modulus, big-endian."""
        return self.modulus.to_bytes(self.size)

    @cached_property
    def verifier(self) -> rsa.RSAPublicKey:
        """The same key as `cryptography` has it."""
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()


@frozen(slots=False)
class PrivateKey:
    """An RSA private key: two primes and the exponent; the rest follows from them."""

    p: int = field(repr=False)
    q: int = field(repr=False)
    exponent: int = PUBLIC_EXPONENT

    @cached_property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self.p * self.q, self.exponent)

    @cached_property
    def _parts(self) -> tuple[int, int, int]:
        """The exponents modulo p - 1 and q - 1, and the inverse of q modulo p (RFC 8017 section 3.2)."""
        return (
            pow(self.exponent, -1, self.p - 1),
            pow(self.exponent, -1, self.q - 1),
            pow(self.q, -1, self.p),
        )

    def raw(self, number: int) -> int:
        """`number` to the power of d, by the Chinese remainder theorem; neither masked nor checked."""
        d_p, d_q, q_inverse = self._parts
        of_p, of_q = pow(number % self.p, d_p, self.p), pow(number % self.q, d_q, self.q)
        return of_q + (of_p - of_q) * q_inverse % self.p * self.q


def prepare(message: bytes, prefix: bytes) -> bytes:
    """What is signed for `message`; `prefix` is 32 fresh random bytes (RFC 9474 section 4.1, PrepareRandomize)."""
    if len(prefix) != PREFIX_SIZE:
        raise LocalProtocolError(f"a randomizer has {PREFIX_SIZE} bytes, not {len(prefix)}")
    return prefix + message


def blind(key: PublicKey, prepared: bytes, salt: bytes, factor: int) -> tuple[bytes, int]:
    """The blinded message, and the inverse that `finalize` needs (RFC 9474 section 4.2).

    `factor` is a random number below the modulus. Raises `LocalProtocolError` for one that has no inverse: nobody
    meets one by chance.
    """
    encoded = int.from_bytes(_encode_pss(prepared, salt, key.modulus.bit_length() - 1))
    if not 0 < factor < key.modulus or gcd(factor, key.modulus) != 1 or gcd(encoded, key.modulus) != 1:
        raise LocalProtocolError("a blinding factor is a number below the modulus that has an inverse")
    blinded = encoded * pow(factor, key.exponent, key.modulus) % key.modulus
    return blinded.to_bytes(key.size), pow(factor, -1, key.modulus)


def blind_sign(key: PrivateKey, blinded: bytes, mask: int) -> bytes:
    """The blind signature (RFC 9474 section 4.3); `mask` is a fresh random number below the modulus, and secret.

    Raises `RemoteProtocolError` (`bad_blinded`) for what is no blinded message under this key, `LocalProtocolError`
    for a mask without an inverse, `SigningFault` when the result does not verify.
    """
    public = key.public
    number = int.from_bytes(blinded)
    if len(blinded) != public.size or not 0 < number < public.modulus:
        raise RemoteProtocolError("a blinded message is no number below the key's modulus", reason="bad_blinded")
    if not 0 < mask < public.modulus or gcd(mask, public.modulus) != 1:
        raise LocalProtocolError("a mask is a number below the modulus that has an inverse")
    masked = number * pow(mask, public.exponent, public.modulus) % public.modulus
    signature = key.raw(masked) * pow(mask, -1, public.modulus) % public.modulus
    if pow(signature, public.exponent, public.modulus) != number:
        raise SigningFault("a blind signature came out wrong and is held back: check this machine and its key file")
    return signature.to_bytes(public.size)


def finalize(
    key: PublicKey, prepared: bytes, blind_signature: bytes, inverse: int, *, salt_size: int = SALT_SIZE
) -> bytes:
    """The signature of `prepared` (RFC 9474 section 4.4).

    Raises `RemoteProtocolError` (`bad_signature`) when the signer has given something else.
    """
    number = int.from_bytes(blind_signature)
    if len(blind_signature) != key.size or number >= key.modulus:
        raise RemoteProtocolError("a blind signature is no number below the key's modulus", reason="bad_signature")
    signature = (number * inverse % key.modulus).to_bytes(key.size)
    if not verify(key, prepared, signature, salt_size=salt_size):
        raise RemoteProtocolError("a blind signature does not verify", reason="bad_signature")
    return signature


def verify(key: PublicKey, prepared: bytes, signature: bytes, *, salt_size: int = SALT_SIZE) -> bool:
    """Whether `signature` is the key's of `prepared` (RFC 9474 section 4.5: RSASSA-PSS with SHA-384)."""
    pss = padding.PSS(padding.MGF1(SHA384()), salt_size)
    try:
        key.verifier.verify(signature, prepared, pss, SHA384())
    except InvalidSignature:
        return False
    return True


def _encode_pss(message: bytes, salt: bytes, bits: int) -> bytes:
    """EMSA-PSS (RFC 8017 section 9.1.1) of at most `bits` bits."""
    size = (bits + 7) // 8
    if size < _HASH_SIZE + len(salt) + 2:
        raise LocalProtocolError(f"a key of {bits + 1} bits is too short for a salt of {len(salt)} bytes")
    digest = hashlib.sha384(bytes(8) + hashlib.sha384(message).digest() + salt).digest()
    data = bytes(size - len(salt) - _HASH_SIZE - 2) + b"\x01" + salt
    masked = bytearray(a ^ b for a, b in zip(data, _mgf1(digest, len(data)), strict=True))
    masked[0] &= 0xFF >> (8 * size - bits)
    return bytes(masked) + digest + b"\xbc"


def _mgf1(seed: bytes, size: int) -> bytes:
    """MGF1 with SHA-384 (RFC 8017 appendix B.2.1)."""
    blocks = (hashlib.sha384(seed + count.to_bytes(4)).digest() for count in range(-(-size // _HASH_SIZE)))
    return b"".join(blocks)[:size]
