"""Both kinds of database for tests: `database` runs a test on each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.database import Database, open_database
from tests.postgres_server import PostgresServer, running_postgres

__all__ = ["database", "database_url", "postgres", "sqlite_database"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a run."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where there is room for a new database of each kind."""
    if request.param == "sqlite":
        yield str(tmp_path / "operator.sqlite")
        return
    with request.getfixturevalue("postgres").fresh() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database of each kind, with the schema and no rows."""
    opened = open_database(database_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone, for tests of what no database makes a difference to."""
    opened = open_database(str(tmp_path / "operator.sqlite"), create=True)
    yield opened
    opened.close()
