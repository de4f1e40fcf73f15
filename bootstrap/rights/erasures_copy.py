"""A copy of who was erased, on another disk: so that a backup from before brings nobody back, though the disk is lost.

The database says who was erased, and a backup that is put back has everybody in it who was erased after it. Their ids
are in this file as well, and whoever restores gives it along.

Rules:

1. An id is in it as a keyed hash alone: who has the file and not the node's key learns how many were erased, and that
   the file grew.
2. What is added is on the disk before a receipt is given. What is missing is added again, so a file that was lost or
   put back is whole after the next round.
3. A line that was torn off at the end was never told to anybody: it is left out, and the next one takes its place. Any
   other line that is not as it was written is an error. So is a file that was begun under another key.

The file: `peernet erasures v1 SALT CHECK`, then a line `HASH CHECK` for each, all in hex. HASH is HMAC-SHA256 of the
salt and the account's id, a CHECK the first half of one of the salt and what stands before it.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import define, frozen

from bootstrap.database import Database
from bootstrap.rights.deletion import erased_accounts, erased_count
from peernet.core.errors import UserError

__all__ = ["CopiedErasures", "ErasuresCopy", "erasures_key"]

TITLE: Final = "peernet erasures v1"
SALT_SIZE: Final = 16
CHECK_SIZE: Final = 16
OWNER_ONLY: Final = 0o600

_KEY_DOMAIN: Final = b"peernet erasures key v1\x00"
_ACCOUNT_DOMAIN: Final = b"peernet erased account v1\x00"
_CHECK_DOMAIN: Final = b"peernet erasures check v1\x00"


def erasures_key(secret: bytes) -> bytes:
    """The key of a node's copy: of the 32 bytes that its pages are signed with (`config/keys/portal.key`)."""
    return hmac.digest(secret, _KEY_DOMAIN, hashlib.sha256)


@frozen
class _Content:
    salt: bytes
    hashes: frozenset[str]
    size_bytes: int
    """Of what is whole: a torn line is behind it."""


@frozen
class ErasuresCopy:
    """The file at `path`, under a key of 32 bytes."""

    path: Path
    key: bytes

    def __repr__(self) -> str:
        return f"<ErasuresCopy {self.path}>"

    def add(self, account_ids: Iterable[str]) -> int:
        """Adds those that are not there yet, begins the file if there is none; returns how many, all on the disk.

        Raises `OSError` where that cannot be done, and `UserError` for a file that is not this node's copy.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            data = file.read()
            if not self._is_begun(data):
                salt = secrets.token_bytes(SALT_SIZE)
                content, lines = _Content(salt, frozenset(), 0), [self._line(f"{TITLE} {salt.hex()}", salt)]
            else:
                content, lines = self._read(data), []
            hashes = [self._hash(content.salt, account_id) for account_id in account_ids]
            new = [each for each in dict.fromkeys(hashes) if each not in content.hashes]
            lines += [self._line(each, content.salt) for each in new]
            _write_behind(descriptor, content.size_bytes, "".join(lines).encode())
        _sync_folder(self.path.parent)
        return len(new)

    def holding(self, account_ids: Iterable[str]) -> list[str]:
        """Those of these accounts that are in the copy.

        Raises `UserError` where it is not there, is not this node's copy, or is damaged.
        """
        try:
            content = self._read(self.path.read_bytes())
        except OSError as error:
            raise UserError(f"the copy of erasures {self.path} cannot be read: {error.strerror or error}") from error
        return [each for each in account_ids if self._hash(content.salt, each) in content.hashes]

    def _is_begun(self, data: bytes) -> bool:
        """Whether the first line is whole; where it was torn off, nothing was ever added."""
        return b"\n" in data or not TITLE.encode().startswith(data[: len(TITLE)])

    def _read(self, data: bytes) -> _Content:
        whole = data.rpartition(b"\n")[0]
        first, *lines = whole.decode("ascii", "replace").split("\n")
        words = first.split(" ")
        if not first.startswith(f"{TITLE} ") or len(words) != 5:
            raise UserError(f"{self.path} is no copy of erasures: name the file that erasures_copy names")
        try:
            salt = bytes.fromhex(words[3])
        except ValueError:
            salt = b""
        if len(salt) != SALT_SIZE or not self._is_whole(first, salt):
            raise UserError(
                f"the copy of erasures {self.path} was begun under another key than this node's, or damaged"
            )
        hashes = []
        for number, line in enumerate(lines, start=2):
            if not self._is_whole(line, salt):
                raise UserError(
                    f"line {number} of the copy of erasures {self.path} is damaged: take another copy of it"
                )
            hashes.append(line.partition(" ")[0])
        return _Content(salt, frozenset(hashes), len(whole) + 1)

    def _hash(self, salt: bytes, account_id: str) -> str:
        return hmac.digest(self.key, _ACCOUNT_DOMAIN + salt + account_id.encode(), hashlib.sha256).hex()

    def _check(self, text: str, salt: bytes) -> str:
        return hmac.digest(self.key, _CHECK_DOMAIN + salt + text.encode(), hashlib.sha256)[:CHECK_SIZE].hex()

    def _line(self, text: str, salt: bytes) -> str:
        return f"{text} {self._check(text, salt)}\n"

    def _is_whole(self, line: str, salt: bytes) -> bool:
        text, _, check = line.rpartition(" ")
        return hmac.compare_digest(check.encode(), self._check(text, salt).encode())


@define
class CopiedErasures:
    """How far the copy of a running node is."""

    copy: ErasuresCopy | None = None
    """None where the operator has none."""
    trouble: str = ""
    """What hinders it, in a few words; empty while nothing does."""
    _copied: int = -1
    _file: tuple[int, int, int] | None = None
    """What the file was then: another one, or one that was put back, is gone through again."""

    def bring_up_to_date(self, database: Database) -> int | None:
        """Copies who is not in the copy yet; returns how many erasures are in it, None where there is no copy.

        Raises `OSError` and `UserError` as `ErasuresCopy.add`, and says so in `trouble` until it works again.
        """
        if self.copy is None:
            return None
        try:
            count = database.read(erased_count)
            if count != self._copied or self._file is None or self._file != _identity(self.copy.path):
                account_ids = database.read(erased_accounts)
                self.copy.add(account_ids)
                self._copied, self._file = len(account_ids), _identity(self.copy.path)
        except (OSError, UserError) as error:
            self.trouble = "it cannot be written" if isinstance(error, OSError) else "it is damaged, or another node's"
            self._file = None
            raise
        self.trouble = ""
        return self._copied


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size


def _write_behind(descriptor: int, size_bytes: int, data: bytes) -> None:
    """Writes the data behind so many bytes, in the place of what is there, and has all of it on the disk."""
    os.ftruncate(descriptor, size_bytes)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], size_bytes + written)
        os.fsync(descriptor)
    except OSError:
        # What may not be on the disk must not look as if it were.
        with suppress(OSError):
            os.ftruncate(descriptor, size_bytes)
        raise


def _sync_folder(folder: Path) -> None:
    """The file's name is on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
