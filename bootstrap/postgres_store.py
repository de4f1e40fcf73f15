"""The ledger's store on PostgreSQL, for operators who keep everything there: in a schema of its own.

The rules are those of `bootstrap.store`. A write is SERIALIZABLE, so that a second server on the same tables finds
that the checkpoint has moved; it waits for the disk, whatever the server's own setting. A connection that broke is
opened anew by the next call: whether a write that was under way happened, the log reads from the store.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from bootstrap.database.postgres import first_line, translated, translated_script
from bootstrap.store import CheckpointMoved, Row, SqlStore, StoreUnavailable, migration_scripts
from peernet.core.errors import UserError

__all__ = ["PostgresLedgerStore"]

SCHEMA: Final = "peernet_ledger"
CONNECT_TIMEOUT_S: Final = 10


class PostgresLedgerStore(SqlStore):
    """The store in the database of a `postgresql://` URL. Use it as a context manager, or `close` it."""

    def __init__(self, url: str, *, create: bool = False) -> None:
        """Opens the store.

        Raises `UserError` when it is missing and `create` is not set, exists although it is, was written by a newer
        peernet, or the server cannot be reached; `LedgerCorrupt` when its checkpoint does not fit its tree.
        """
        self._url = url
        self.place = f"the schema {SCHEMA} in PostgreSQL"
        self._connection: psycopg.Connection[Row] | None = None
        try:
            self._prepare(new=create)
            self._check_edge()
        except StoreUnavailable as error:
            self.close()
            raise UserError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> psycopg.Connection[Row]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                row_factory=tuple_row,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=f"-c search_path={SCHEMA} -c synchronous_commit=on",
            )
        return self._connection

    def _rows(self, sql: str, **values: int | bytes) -> list[Row]:
        with _reached(self.place):
            return self._open().execute(cast("Any", translated(sql)), values).fetchall()

    def _write(self, sql: str, rows: Iterable[Mapping[str, int | bytes]]) -> None:
        with _reached(self.place), self._open().cursor() as cursor:
            cursor.executemany(cast("Any", translated(sql)), list(rows))

    def _check_database(self) -> None:
        """PostgreSQL looks after its own pages (`data_checksums`)."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _reached(self.place):
            connection = self._open()
            connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        try:
            yield
            with _reached(self.place):
                connection.execute("COMMIT")
        except errors.SerializationFailure as error:
            connection.execute("ROLLBACK")
            raise CheckpointMoved(f"{self.place}: another process writes to this ledger") from error
        except BaseException:
            if not connection.closed:
                connection.execute("ROLLBACK")
            raise

    def _prepare(self, *, new: bool) -> None:
        scripts = migration_scripts()
        with self._transaction():
            (exists,) = self._rows("SELECT to_regclass(:name) IS NOT NULL", name=cast("Any", f"{SCHEMA}.version"))[0]
            if new and exists:
                raise UserError(f"{self.place} exists: open it without `create`, or move it away")
            if not new and not exists:
                raise UserError(
                    f"there is no ledger in {self.place}: restore it from a backup, or create a new one if there "
                    "never was one"
                )
            connection = self._open()
            if new:
                connection.execute(cast("Any", f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                connection.execute("CREATE TABLE version (number BIGINT NOT NULL)")
                connection.execute("INSERT INTO version (number) VALUES (0)")
            (version,) = self._rows("SELECT number FROM version")[0]
            if version > len(scripts):
                raise UserError(f"{self.place} was written by a newer peernet (schema {version}): upgrade this one")
            for script in scripts[version:]:
                connection.execute(cast("Any", translated_script(script)))
            connection.execute("UPDATE version SET number = %s", (len(scripts),))


@contextmanager
def _reached(place: str) -> Iterator[None]:
    """Says of a server that went away that it did; what two writers do to each other is something else."""
    try:
        yield
    except errors.SerializationFailure:
        raise
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"PostgreSQL cannot be used for {place}: {first_line(error)}") from error
