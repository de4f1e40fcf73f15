"""What an issuer of credits keeps on its disk: its private keys, and how far each has signed.

A database of its own beside the ledger: the ledger is public, and this is the most secret thing that an operator has.
Whoever reads it can make credits, as many as the log says are issued; nobody can tell from it whose credits are whose.

Rules:

1. A key is written before it is announced, and a request before it is signed.
2. A request has a name that whoever asks chose at random. What is asked under the same name again is signed again, and
   signing is repeatable; something else under that name is refused.
3. Keys are deleted when no credit of theirs is redeemed any more, and their requests with them.

It is synchronous: a server runs it in a thread, one at a time. The file is readable by its owner alone.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Self

import apsw
from attrs import define, field

from bootstrap.sqlite_access import pragma, transaction
from bootstrap.store import BUSY_TIMEOUT_MS, check_file, create_file
from peernet.core.credits.blind_rsa import PrivateKey
from peernet.core.errors import PeernetError, UserError
from peernet.core.ledger.entries import IssuerKey, decode_entry, encode_entry

__all__ = ["IssuingKey", "IssuingStore", "SigningRefused"]

APPLICATION_ID: Final = 0x706E6973
"""`pnis`: tells our files from other SQLite databases."""
SCHEMA_VERSION: Final = 1
PRIME_SIZE: Final = 128
UNKNOWN: Final = -1
"""Of how many credits a key has signed: after a restore, when more may have been signed than the copy knows."""

_SCHEMA: Final = """
CREATE TABLE key (
    key_id BLOB PRIMARY KEY,
    announcement BLOB NOT NULL,
    p BLOB NOT NULL,
    q BLOB NOT NULL,
    handed_out INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What was signed, or is about to be: by the name that the asker chose, never by who it was.
CREATE TABLE request (
    request_id BLOB PRIMARY KEY,
    key_id BLOB NOT NULL REFERENCES key (key_id) ON DELETE CASCADE,
    blinded_digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""


class SigningRefused(PeernetError):
    """Blinded messages are not signed; `reason` is a short fixed word."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@define
class IssuingKey:
    """A key of ours."""

    entry: IssuerKey
    """As it is announced, at time 0."""
    private: PrivateKey = field(repr=False)
    handed_out: int
    """How many credits were signed under it, or are about to be; change not included."""

    @property
    def key_id(self) -> bytes:
        """What it is known by."""
        return self.entry.key_id


class IssuingStore:
    """The store on SQLite. Use it as a context manager, or `close` it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Opens the store at `path`; raises `UserError` when it is missing, not ours, or open to others."""
        if create:
            create_file(path)
        else:
            check_file(path, "database of issuer keys")
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            self._prepare(path, new=create)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; once is enough, and twice does no harm."""
        self._connection.close()

    def all_keys(self) -> list[IssuingKey]:
        """All keys, in the order in which they begin to sign."""
        rows = self._connection.execute("SELECT announcement, p, q, handed_out FROM key").fetchall()
        found = []
        for announcement, p, q, handed_out in rows:
            assert isinstance(announcement, bytes)
            assert isinstance(p, bytes)
            assert isinstance(q, bytes)
            assert isinstance(handed_out, int)
            entry = decode_entry(announcement)
            assert isinstance(entry, IssuerKey)
            found.append(IssuingKey(entry, PrivateKey(int.from_bytes(p), int.from_bytes(q)), handed_out))
        return sorted(found, key=lambda key: (key.entry.issue_from_s, key.key_id))

    def add_key(self, entry: IssuerKey, private: PrivateKey) -> None:
        """Keeps a key that is about to be announced; `entry` is at time 0."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO key (key_id, announcement, p, q) VALUES (?, ?, ?, ?)",
                (entry.key_id, encode_entry(entry), private.p.to_bytes(PRIME_SIZE), private.q.to_bytes(PRIME_SIZE)),
            )

    def delete_key(self, key_id: bytes) -> None:
        """Forgets a key, and what it signed."""
        with self._transaction():
            self._connection.execute("DELETE FROM key WHERE key_id = ?", (key_id,))

    def key_of_request(self, request_id: bytes, blinded_digest: bytes) -> bytes | None:
        """Under which key this was signed before; None if it is new.

        Raises `SigningRefused` (`other_request`) when something else was asked under that name.
        """
        row = self._connection.execute(
            "SELECT key_id, blinded_digest FROM request WHERE request_id = ?", (request_id,)
        ).fetchone()
        if row is None:
            return None
        if row[1] != blinded_digest:
            raise SigningRefused("other messages were signed under this request id", reason="other_request")
        assert isinstance(row[0], bytes)
        return row[0]

    def hand_out(self, request_id: bytes, key_id: bytes, blinded_digest: bytes, count: int) -> None:
        """Writes down that so many are about to be signed."""
        with self._transaction():
            self._connection.execute("UPDATE key SET handed_out = handed_out + ? WHERE key_id = ?", (count, key_id))
            self._connection.execute(
                "INSERT INTO request (request_id, key_id, blinded_digest) VALUES (?, ?, ?)",
                (request_id, key_id, blinded_digest),
            )

    def forget_counts(self) -> None:
        """Says of each key that nobody knows how far it has signed: of a copy that is put back."""
        with self._transaction():
            self._connection.execute("UPDATE key SET handed_out = ?", (UNKNOWN,))

    def set_count(self, key_id: bytes, handed_out: int) -> None:
        """Says how far a key has signed, at most."""
        with self._transaction():
            self._connection.execute("UPDATE key SET handed_out = ? WHERE key_id = ?", (handed_out, key_id))

    def _prepare(self, path: Path, *, new: bool) -> None:
        connection = self._connection
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            application_id = self._pragma("application_id")
        except apsw.NotADBError as error:
            raise UserError(f"{path} holds no issuer keys: it is no SQLite database") from error
        if not new and application_id != APPLICATION_ID:
            raise UserError(f"{path} holds no issuer keys: restore the right file from a backup")
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        if self._pragma("user_version") > SCHEMA_VERSION:
            raise UserError(f"{path} was written by a newer peernet: upgrade this one")
        if not self._pragma("user_version"):
            with self._transaction():
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _pragma(self, name: str) -> int:
        return pragma(self._connection, name)

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._connection)
