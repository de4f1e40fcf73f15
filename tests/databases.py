"""Both kinds of database for tests: `database` runs a test on each.

Those with the schema are copies of one that was migrated once; what migrating does is for the tests of
`tests/unit/test_database.py` that open what is new.
"""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bootstrap.database import Database, open_database
from tests.postgres_server import PostgresServer, running_postgres

__all__ = ["OPERATORS", "database", "database_url", "migrated_postgres", "new_sqlite", "postgres", "sqlite_database"]

OPERATORS = "operator.sqlite"


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / OPERATORS
        open_database(str(path), create=True).close()
        return path.read_bytes()


def new_sqlite(folder: Path) -> str:
    """The path of a new database in `folder`, which is made where it is missing, with the schema and no rows."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OPERATORS
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_migrated())
    return str(path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a run."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database of `postgres` that has the schema, to be copied; nobody opens it."""
    with postgres.fresh() as url:
        open_database(url, create=True).close()
        yield postgres.name(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where there is room for a new database of each kind; or `database`, where a test asks for that, too."""
    has_schema = "database" in request.fixturenames
    if request.param == "sqlite":
        yield new_sqlite(tmp_path) if has_schema else str(tmp_path / OPERATORS)
        return
    template = request.getfixturevalue("migrated_postgres") if has_schema else "template1"
    with request.getfixturevalue("postgres").fresh(template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database of each kind, with the schema and no rows."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone, for tests of what no database makes a difference to."""
    opened = open_database(new_sqlite(tmp_path))
    yield opened
    opened.close()
