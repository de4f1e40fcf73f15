"""The database on SQLite: one connection that writes, and as many that read as threads ask at a time.

WAL lets readers go on while one writes. `synchronous = FULL`: what was committed survives a power cut. The file is
its owner's alone. Source: SQLite's documentation of WAL, STRICT tables and `BEGIN IMMEDIATE`.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import apsw

from bootstrap.database.opening import Migration
from bootstrap.database.port import DatabaseBusy, Row, Transaction, UniqueViolation, Value
from bootstrap.sqlite_access import pragma, transaction
from peernet.core.errors import UserError

__all__ = ["SqliteDatabase"]

APPLICATION_ID: Final = 0x706E6F70
"""`pnop`: tells an operator's files from other SQLite databases, and from ledgers."""
BUSY_TIMEOUT_MS: Final = 5_000
WRITE_TIMEOUT_S: Final = 10.0
"""How long a thread waits for the others of this process to have written."""
MAX_IDLE_READERS: Final = 16
OWNER_ONLY: Final = 0o600
_UNIQUE: Final = frozenset({apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY})

Result = TypeVar("Result")


class SqliteDatabase:
    """See `Database`. Opening raises `UserError` as `open_database` says."""

    def __init__(self, path: Path, scripts: Sequence[Migration], *, create: bool = False) -> None:
        self._path = path
        if create and not path.exists():
            _create(path)
        _check(path)
        self._writing = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._idle_lock = threading.Lock()
        self._writer = self._connect()
        try:
            self._migrate(scripts)
        except BaseException:
            self._writer.close()
            raise

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        with self._reader() as connection, transaction(connection, "BEGIN"):
            return work(_Sqlite(connection))

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        if not self._writing.acquire(timeout=WRITE_TIMEOUT_S):
            raise DatabaseBusy("others have been writing all the time")
        try:
            # Taken for writing at once: a reader that turns writer halfway could find that others wrote meanwhile.
            with transaction(self._writer):
                return work(_Sqlite(self._writer))
        except apsw.BusyError as error:
            raise DatabaseBusy("another process has been writing all the time") from error
        finally:
            self._writing.release()

    def tables(self) -> dict[str, list[str]]:
        def look(transaction: Transaction) -> dict[str, list[str]]:
            names = transaction.rows(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            )
            columns = "SELECT name FROM pragma_table_info(:of)"
            return {name: [column for (column,) in transaction.rows(columns, of=name)] for (name,) in names}

        return self.read(look)

    def close(self) -> None:
        for connection in (*self._idle, self._writer):
            connection.close()
        self._idle.clear()

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with self._idle_lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        finally:
            with self._idle_lock:
                kept = len(self._idle) < MAX_IDLE_READERS
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            # What is deleted is gone from the file, not only from its index.
            connection.execute("PRAGMA secure_delete = ON")
        except apsw.NotADBError as error:
            connection.close()
            raise UserError(f"{self._path} is no SQLite database: name the one that this node made") from error
        return connection

    def _migrate(self, scripts: Sequence[Migration]) -> None:
        connection = self._writer
        with transaction(connection):
            identity, version = (pragma(connection, name) for name in ("application_id", "user_version"))
            empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
            if not empty and identity != APPLICATION_ID:
                raise UserError(f"{self._path} is another program's database: name the one that this node made")
            if version > len(scripts):
                raise UserError(f"{self._path} was written by a newer peernet (schema {version}): upgrade this one")
            for migration in scripts[version:]:
                connection.execute(migration.script)
                connection.execute(f"PRAGMA user_version = {migration.number}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


class _Sqlite:
    """A transaction on one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **values: Value) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, **values: Value) -> Row | None:
        # All are fetched: a statement left half read would stay open in the cache of statements.
        found = self._connection.execute(sql, values).fetchall()
        return found[0] if found else None

    def execute(self, sql: str, **values: Value) -> int:
        before = self._connection.total_changes()
        try:
            self._connection.execute(sql, values).fetchall()
        except apsw.ConstraintError as error:
            if getattr(error, "extendedresult", None) in _UNIQUE:  # apsw's types leave it out
                raise UniqueViolation("a row like that exists") from error
            raise
        return self._connection.total_changes() - before


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))


def _check(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError as error:
        raise UserError(f"there is no database at {path}: restore it from a backup") from error
    if mode & 0o077:
        raise UserError(f"{path} is open to others than its owner: chmod 600 {path}")
