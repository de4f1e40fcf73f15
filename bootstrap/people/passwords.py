"""Passwords, as Argon2id hashes (RFC 9106; the parameters of its second recommendation, for a server's memory).

A hash takes tens of milliseconds and 64 MiB on purpose: it is made outside of any transaction, and few at a time.
Where there is no account, the password is checked against nobody's hash, so that the answer takes the same work.
"""

import secrets
import unicodedata

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

__all__ = ["Passwords"]


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._nobodys: str | None = None

    def hash(self, password: str) -> str:
        """The hash to keep."""
        return self._hasher.hash(_normal(password))

    def holds(self, password: str, kept: str | None) -> bool:
        """Whether it is the password that was hashed; takes as long where there is none (`kept` is None)."""
        if kept is None and self._nobodys is None:
            # Of a password that nobody knows.
            self._nobodys = self._hasher.hash(secrets.token_urlsafe())
        try:
            return self._hasher.verify(kept or self._nobodys or "", _normal(password)) and kept is not None
        except (VerificationError, InvalidHashError):
            return False

    def is_old(self, kept: str) -> bool:
        """Whether a hash was made with other parameters, and is to be made anew when the password is at hand."""
        return self._hasher.check_needs_rehash(kept)


def _normal(password: str) -> str:
    """One spelling for what keyboards write in several (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
