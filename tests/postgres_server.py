"""A PostgreSQL server of the tests' own: started once, on a Unix socket in a scratch folder, and ended with them."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from attrs import frozen

__all__ = ["PostgresServer", "running_postgres"]

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
TOLD_HOW_TO_COPY = 150000
"""The first version, as libpq counts them, that may be told how to copy a database."""


@frozen
class PostgresServer:
    """A server that runs, and gives each test a database of its own."""

    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql://tests@/{database}?host={self.folder}"

    def name(self, url: str) -> str:
        """The name of the database at one of our URLs."""
        return urlsplit(url).path.removeprefix("/")

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, which is gone afterwards."""
        name = f"t{secrets.token_hex(6)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}{self._strategy()}")
        try:
            yield self.url(name)
        finally:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _strategy(self) -> str:
        """As files, and not page by page through the log: half of the work, for servers that can be told so."""
        with psycopg.connect(self.url("postgres")) as connection:
            return " STRATEGY FILE_COPY" if connection.info.server_version >= TOLD_HOW_TO_COPY else ""

    def _run(self, sql: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql)


def _programs() -> Path | None:
    """The folder of the newest server that Debian installed, or of the one in the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    where = shutil.which("postgres")
    return Path(where).parent if where else None


def _as_whom() -> dict[str, Any]:
    """The server refuses to run as root: then it runs as the user that Debian made for it, or as nobody."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise AssertionError("there is neither a user postgres nor nobody")


def _wait_ready(server: subprocess.Popen[bytes], base: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(PostgresServer(base).url("postgres")).close()
        except psycopg.OperationalError:
            assert server.poll() is None, (base / "log").read_text()
            assert time.monotonic() < deadline, (base / "log").read_text()
            time.sleep(0.05)
        else:
            return


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server; skips where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = _as_whom()
    # A Unix socket's path is short, and the server's user must reach it.
    base = Path(tempfile.mkdtemp(prefix="pn-pg-", dir="/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"))
    try:
        if user:
            os.chown(base, user["user"], user["group"])
        data = base / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "tests", "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=base, **user)
        options = {"listen_addresses": "", "unix_socket_directories": base, "fsync": "off", "full_page_writes": "off"}
        # Into a file: a pipe that nobody reads fills up, and then the server stands still.
        with (base / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
                stdout=log, stderr=log, cwd=base, **user,
            )  # fmt: skip
        try:
            _wait_ready(server, base)
            yield PostgresServer(base)
        finally:
            server.send_signal(2)  # "fast" shutdown: it does not wait for sessions
            server.wait(timeout=STOP_TIMEOUT_S)
    finally:
        shutil.rmtree(base, ignore_errors=True)
