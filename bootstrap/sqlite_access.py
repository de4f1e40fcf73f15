"""What every SQLite file of a bootstrap node is read and written with: one transaction, one setting."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

__all__ = ["pragma", "transaction"]


def pragma(connection: apsw.Connection, name: str) -> int:
    """The value of a setting that is a number."""
    row = connection.execute(f"PRAGMA {name}").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def transaction(connection: apsw.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All of it or nothing.

    It is taken for writing at once: a reader that turns writer halfway could find that others wrote meanwhile. A
    reader begins with `BEGIN`.
    """
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (a full disk, for one).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
