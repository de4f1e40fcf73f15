"""Opening a database by what the configuration says of it, and bringing its schema up to date."""

from importlib import resources
from pathlib import Path

from attrs import frozen

from bootstrap.database.port import Database
from peernet.core.errors import UserError

__all__ = ["Migration", "migrations", "open_database"]


@frozen
class Migration:
    """One numbered script of the schema, in SQLite's words."""

    number: int
    name: str
    script: str


def migrations() -> list[Migration]:
    """The scripts in the order of their numbers, which begin at 1 and have no gaps."""
    folder = resources.files("bootstrap") / "database" / "migrations"
    found = []
    for entry in folder.iterdir():
        number, _, rest = entry.name.partition("_")
        if rest.endswith(".sql"):
            found.append(Migration(int(number), rest.removesuffix(".sql"), entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    assert numbers == list(range(1, len(found) + 1)), numbers
    return found


def open_database(where: str, *, create: bool = False) -> Database:
    """The database at `where`: a path, or `postgresql://...`; its schema is brought up to date.

    Raises `UserError` when it is missing and `create` is not set, cannot be reached, is not ours, or was written by a
    newer peernet.
    """
    if where.startswith(("postgresql://", "postgres://")):
        from bootstrap.database.postgres import PostgresDatabase

        return PostgresDatabase(where, migrations(), create=create)
    if "://" in where:
        kind = where.partition("://")[0]
        raise UserError(f"a database is a path or a postgresql:// URL, not {kind}://")
    from bootstrap.database.sqlite import SqliteDatabase

    return SqliteDatabase(Path(where), migrations(), create=create)
