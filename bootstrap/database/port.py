"""What the operator's code needs of a database, whichever it is."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from peernet.core.errors import PeernetError

__all__ = ["Database", "DatabaseBusy", "Row", "Transaction", "UniqueViolation", "Value"]

Value = int | str | bytes | None
Row = tuple[Any, ...]
Result = TypeVar("Result")


class DatabaseBusy(PeernetError):
    """Others kept the database so busy that this was given up; nothing was changed."""


class UniqueViolation(PeernetError):
    """A row like that exists. The transaction is over: use `ON CONFLICT` where one goes on."""


class Transaction(Protocol):
    """One transaction, inside `Database.read` or `Database.write`."""

    def rows(self, sql: str, **values: Value) -> list[Row]:
        """All rows of a query."""
        ...

    def row(self, sql: str, **values: Value) -> Row | None:
        """The first row, or None."""
        ...

    def execute(self, sql: str, **values: Value) -> int:
        """Changes rows, and returns how many; raises `UniqueViolation`."""
        ...


class Database(Protocol):
    """A database. Synchronous, and safe to use from several threads: a server calls it in worker threads."""

    def read(self, work: Callable[[Transaction], Result]) -> Result:
        """What `work` returns in a transaction that changes nothing."""
        ...

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """What `work` returns in a transaction that is then committed, or undone if it raises.

        Raises `DatabaseBusy` where it could not be done in time.
        """
        ...

    def tables(self) -> dict[str, list[str]]:
        """The columns of every table of the schema."""
        ...

    def close(self) -> None:
        """Closes all connections; no other call is under way."""
        ...
