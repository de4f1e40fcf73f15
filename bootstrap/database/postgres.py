"""The database on PostgreSQL, for operators who outgrow one machine.

Every `write` is SERIALIZABLE and runs again when the server finds that it was not as if alone, so that the code above
needs no locks and is the same as on SQLite. Connections are kept and lent to one thread at a time; one that broke is
dropped. Source: PostgreSQL's documentation of transaction isolation.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from bootstrap.database.opening import Migration
from bootstrap.database.port import DatabaseBusy, Row, Transaction, UniqueViolation, Value
from peernet.core.errors import UserError

__all__ = ["PostgresDatabase", "first_line", "translated", "translated_script"]

MAX_IDLE: Final = 16
CONNECT_TIMEOUT_S: Final = 10
STATEMENT_TIMEOUT_MS: Final = 10_000
MAX_TRIES: Final = 20
RETRY_WITHIN_S: Final = 0.02
"""The longest wait before the second try; it doubles, up to thirty-two times that."""
MIGRATING: Final = 0x706E6F70
"""The advisory lock of whoever changes the schema."""
_AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected)
_NAME: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_TYPES: Final = ((r"\bINTEGER\b", "BIGINT"), (r"\bBLOB\b", "BYTEA"), (r"\)\s*STRICT(,\s*WITHOUT ROWID)?\s*;", ");"))

Result = TypeVar("Result")


class PostgresDatabase:
    """See `Database`. Opening raises `UserError` as `open_database` says."""

    def __init__(self, url: str, scripts: Sequence[Migration], *, create: bool = False) -> None:
        self._url = url
        self._idle: list[psycopg.Connection[Row]] = []
        self._lock = threading.Lock()
        try:
            with self._connection() as connection:
                _migrate(connection, scripts, create=create)
        except psycopg.OperationalError as error:
            self.close()
            raise UserError(f"PostgreSQL cannot be used: {first_line(error)}") from error
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        return self._run(work, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        return self._run(work, "BEGIN ISOLATION LEVEL SERIALIZABLE")

    def tables(self) -> dict[str, list[str]]:
        def look(transaction: Transaction) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for table, column in transaction.rows(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
            ):
                found.setdefault(table, []).append(column)
            return found

        return self.read(look)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _run(self, work: Callable[[Transaction], Result], begin: str) -> Result:
        wait_s = RETRY_WITHIN_S
        for _ in range(MAX_TRIES):
            with self._connection() as connection:
                try:
                    with _transaction(connection, begin):
                        return work(_Postgres(connection))
                except _AGAIN:
                    pass
                except errors.QueryCanceled as error:
                    raise DatabaseBusy("a statement took too long") from error
            # Out of step with whoever was in the way; nothing secret hangs on it.
            time.sleep(random.uniform(0, wait_s))  # noqa: S311
            wait_s = min(2 * wait_s, 32 * RETRY_WITHIN_S)
        raise DatabaseBusy("others were in the way every time")

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Row]]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None or connection.closed:
            connection = self._connect()
        try:
            yield connection
        finally:
            with self._lock:
                kept = len(self._idle) < MAX_IDLE and not connection.closed
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            # Transactions are begun by hand, each with its own isolation.
            return psycopg.connect(
                self._url,
                autocommit=True,
                row_factory=tuple_row,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            )
        except psycopg.ProgrammingError as error:
            raise UserError(f"the database's URL cannot be read: {first_line(error)}") from error


class _Postgres:
    """A transaction on one connection."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, sql: str, **values: Value) -> list[Row]:
        return self._execute(sql, values).fetchall()

    def row(self, sql: str, **values: Value) -> Row | None:
        return self._execute(sql, values).fetchone()

    def execute(self, sql: str, **values: Value) -> int:
        return max(0, self._execute(sql, values).rowcount)

    def _execute(self, sql: str, values: dict[str, Value]) -> psycopg.Cursor[Row]:
        try:
            return self._connection.execute(cast("Any", translated(sql)), values)
        except errors.UniqueViolation as error:
            raise UniqueViolation("a row like that exists") from error


@lru_cache(maxsize=1024)
def translated(sql: str) -> str:
    """The statement with psycopg's placeholders in the place of `:name`."""
    return _NAME.sub(r"%(\1)s", sql.replace("%", "%%"))


def translated_script(script: str) -> str:
    """A migration with PostgreSQL's names of types."""
    for pattern, ours in _TYPES:
        script = re.sub(pattern, ours, script)
    return script


@contextmanager
def _transaction(connection: psycopg.Connection[Row], begin: str) -> Iterator[None]:
    connection.execute(cast("Any", begin))
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: psycopg.Connection[Row], scripts: Sequence[Migration], *, create: bool) -> None:
    with _transaction(connection, "BEGIN"):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
        (exists,) = connection.execute("SELECT to_regclass('schema_version') IS NOT NULL").fetchone() or (False,)
        if not exists:
            if not create:
                raise UserError("the PostgreSQL database has no tables of ours: restore it from a backup")
            connection.execute("CREATE TABLE schema_version (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO schema_version (version) VALUES (0)")
        (version,) = connection.execute("SELECT version FROM schema_version").fetchone() or (0,)
        if version > len(scripts):
            raise UserError(f"the database was written by a newer peernet (schema {version}): upgrade this one")
        for migration in scripts[version:]:
            connection.execute(cast("Any", translated_script(migration.script)))
        connection.execute("UPDATE schema_version SET version = %s", (len(scripts),))


def first_line(error: Exception) -> str:
    """What the server said, without the hints below it."""
    return (str(error).splitlines() or [type(error).__name__])[0]
