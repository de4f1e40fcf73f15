"""Passwords, as Argon2id hashes (RFC 9106; the parameters of its second recommendation, for a server's memory)."""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

__all__ = ["NOBODYS_HASH", "hash_password", "password_holds"]

_HASHER: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
NOBODYS_HASH: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$cGVlcm5ldCBub2JvZHkhIQ$rT4WfmzOCj7wVX2YkRjMnL0x3mWmE0bYyOa1o3N8x5k"
)
"""A hash that no password has: what is checked where there is no account, so that it takes as long."""


def hash_password(password: str) -> str:
    """The hash to keep; takes tens of milliseconds and 64 MiB on purpose."""
    return _HASHER.hash(password)


def password_holds(password: str, kept: str) -> bool:
    """Whether it is the password that was hashed; takes as long either way."""
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
