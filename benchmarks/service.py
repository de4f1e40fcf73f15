"""The operator's service with many people in it: how long its dashboards take, and how long a purge holds others up.

100,000 accounts, 10,000 hosts and a million rows of usage, on SQLite and on PostgreSQL. Times of pages are the
service's own (`portal.metrics`), from the request to its answer, one request after the other and eight at a time; a
purge runs as the job does, while another thread writes all the time. PostgreSQL is skipped where it is not installed.
"""

import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast

import apsw
import httpx
import psycopg
import trio

from benchmarks.report import Figure
from bootstrap.database import Database, Transaction
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.app import Portal
from bootstrap.portal.office import Office
from bootstrap.portal.serving import open_office, portal_of
from bootstrap.portal.settings import PortalConfig
from bootstrap.portal.visit import SESSION_COOKIE
from bootstrap.retention.periods import periods
from bootstrap.retention.purging import purge
from tests.postgres_server import running_postgres

ACCOUNTS: Final = 100_000
HOSTS: Final = 10_000
HOSTS_EACH: Final = 5
MOVEMENTS_EACH: Final = 7
WITHDRAWALS_EACH: Final = 3
PURGED: Final = 1_000_000
ASKED: Final = 300
AT_ONCE: Final = 8
PAGE_TARGET_MS: Final = 50.0
WRITER_TARGET_MS: Final = 100.0
DAY_S: Final = 24 * 3600
YEAR_S: Final = 360 * DAY_S
DASHBOARDS: Final = ("/dashboard", "/credits", "/statements", "/hosts")
"""The pages that people come back to."""

Rows = Iterable[Sequence[Any]]
Adding = Callable[[str, str, Rows], None]


def figures() -> Iterator[Figure]:
    """The figures of both databases."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield from _figures("SQLite", str(Path(folder) / "operator.sqlite"), Path(folder))
        url = stack.enter_context(stack.enter_context(running_postgres()).fresh())
        yield from _figures("PostgreSQL", url, Path(folder))


def _figures(kind: str, where: str, folder: Path) -> Iterator[Figure]:
    office = open_office(PortalConfig(listen="127.0.0.1:8470", database=where), folder, bytes(32))
    try:
        now_s = office.now_s()
        _fill(where, now_s, office.notice_version)
        sizes = {"accounts": ACCOUNTS, "hosts": HOSTS, "usage_rows": ACCOUNTS * (MOVEMENTS_EACH + WITHDRAWALS_EACH)}
        for name, at_once in (("alone", 1), ("eight_at_once", AT_ONCE)):
            for path, times in trio.run(_ask_all, office, at_once).items():
                yield Figure(
                    f"service_{kind.lower()}_{path.strip('/')}_{name}",
                    statistics.quantiles(times, n=20)[-1],
                    "ms of the service, p95",
                    "none",
                    None,
                    PAGE_TARGET_MS if at_once == 1 else None,
                    True,
                    {"database": kind, "requests": len(times), "median": round(statistics.median(times), 1), **sizes},
                )
        yield from _purge(kind, office.database, where, now_s)
    finally:
        office.database.close()


# --- rows ------------------------------------------------------------------------------------------------------------


def _account(number: int) -> str:
    return f"account{number:017d}"


def _host(number: int) -> str:
    return f"host{number:020d}"


def _fill(where: str, now_s: int, notice_version: str) -> None:
    add = _adding(where)
    _fill_accounts(add, now_s, notice_version)
    _fill_books(add, now_s)
    _fill_hosts(add, now_s)


def _fill_accounts(add: Adding, now_s: int, notice_version: str) -> None:
    year_ago_s = now_s - YEAR_S
    add(
        "account",
        "id, email, email_key, display_name, profile, password_hash, state, created_at_s, notice_version, notice_at_s",
        (
            (
                _account(n),
                f"{n}@example.org",
                f"{n}@example.org",
                f"Person {n}",
                "",
                "",
                "active",
                year_ago_s,
                notice_version,
                1,
            )
            for n in range(ACCOUNTS)
        ),
    )


def _fill_books(add: Adding, now_s: int) -> None:
    year_ago_s = now_s - YEAR_S
    people = range(ACCOUNTS)
    add(
        "book",
        "id, account_id, kind, unit, side, debits, credits",
        [
            ("sold", None, "sold", "microcredits", "debit", 10**15, 0),
            ("withdrawn", None, "withdrawn", "microcredits", "credit", 0, 10**15),
            *(
                (f"bought:{_account(n)}", _account(n), "bought", "microcredits", "credit", 10**6, 10**7)
                for n in people
            ),
            *((f"earned:{_account(n)}", _account(n), "earned", "microcredits", "credit", 0, 10**7) for n in people),
        ],
    )
    add(
        "movement",
        "key, debit_book, credit_book, amount, about, at_s",
        (
            (
                f"withdrawal/{n}-{each}" if each else f"purchase/{n}/credit",
                f"bought:{_account(n)}" if each else "sold",
                "withdrawn" if each else f"bought:{_account(n)}",
                1_000,
                f"withdrawal/{n}-{each}",
                year_ago_s + (n * MOVEMENTS_EACH + each) * 40,
            )
            for n in people
            for each in range(MOVEMENTS_EACH)
        ),
    )
    add(
        "withdrawal",
        "id, account_id, request_id, class, denomination, amount, state, at_s, blinded_hash",
        (
            (
                f"{n}-{each}",
                _account(n),
                f"{n}-{each}".encode(),
                "bought",
                1_000,
                1_000,
                "signed",
                now_s - n % 300 * DAY_S,
                b"",
            )
            for n in people
            for each in range(WITHDRAWALS_EACH)
        ),
    )


def _fill_hosts(add: Adding, now_s: int) -> None:
    year_ago_s = now_s - YEAR_S
    hosts = range(HOSTS)
    add(
        "host",
        "id, account_id, peer_key, name, state, state_at_s, registered_at_s, cores, memory_mib, gpus, engine,"
        " software, measured_at_s, answered_at_s",
        (
            (_host(n), _account(n // HOSTS_EACH), n.to_bytes(32), f"host {n}", "active", 1, year_ago_s, 8, 32_000, "",
             "embedded", "1", now_s, now_s)
            for n in hosts
        ),
    )  # fmt: skip
    add(
        "payout_key",
        "public_key, account_id, host_id, registered_at_s",
        ((n.to_bytes(32), _account(n // HOSTS_EACH), _host(n), year_ago_s) for n in hosts),
    )
    add(
        "host_measured",
        "host_id, hour_at_s, tries, answers, round_trip_us, slowest_us",
        ((_host(n), now_s // 3600 * 3600 - hour * 3600, 6, 6, 300_000, 90_000) for n in hosts for hour in range(24)),
    )
    add(
        "earning",
        "log, position, payout_key, microcredits, settled_at_s, account_id",
        (
            ("log.example/x", n * 10 + each, n.to_bytes(32), 500, now_s - each * 30 * DAY_S, _account(n // HOSTS_EACH))
            for n in hosts
            for each in range(10)
        ),
    )


def _adding(where: str) -> Adding:
    """Adds many rows to a table, around the service, which never does."""

    def add_to_sqlite(table: str, columns: str, rows: Rows) -> None:
        places = ", ".join("?" for _ in columns.split(","))
        with apsw.Connection(where) as connection:
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608
        connection.close()

    def add_to_postgres(table: str, columns: str, rows: Rows) -> None:
        with psycopg.connect(where) as connection:
            copying = cast("Any", f"COPY {table} ({columns}) FROM STDIN")
            with connection.cursor().copy(copying) as copy:
                for row in rows:
                    copy.write_row(row)
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(cast("Any", f"ANALYZE {table}"))

    return add_to_postgres if where.startswith("postgresql") else add_to_sqlite


# --- pages -----------------------------------------------------------------------------------------------------------


async def _ask_all(office: Office, at_once: int) -> dict[str, list[float]]:
    """The service's own times for each dashboard, in ms, asked for by people who run hosts and people who do not."""
    portal = portal_of(office)
    people = [_account(secrets.randbelow(HOSTS // HOSTS_EACH if n % 2 else ACCOUNTS)) for n in range(ASKED)]
    return {path: await _ask(portal, path, people, at_once) for path in DASHBOARDS}


async def _ask(portal: Portal, path: str, people: list[str], at_once: int) -> list[float]:
    office = portal.office

    def sign_in(transaction: Transaction) -> list[str]:
        origin = Origin("203.0.113.0/24", "Firefox")
        return [begin_session(transaction, person, origin, office.now_s()) for person in people]

    sessions = await trio.to_thread.run_sync(office.database.write, sign_in)
    times: list[float] = []
    limit = trio.CapacityLimiter(at_once)

    async def one(client: httpx.AsyncClient, secret: str) -> None:
        async with limit:
            before = office.metrics.seconds
            answer = await client.get(path, headers={"cookie": f"{SESSION_COOKIE}={secret}"})
            assert answer.status_code == 200, (path, answer.status_code)
            if at_once == 1:
                times.append((office.metrics.seconds - before) * 1000)
            else:
                times.append(answer.elapsed.total_seconds() * 1000)

    transport = httpx.ASGITransport(portal)
    async with (
        httpx.AsyncClient(transport=transport, base_url=office.origin) as client,
        trio.open_nursery() as nursery,
    ):
        for secret in sessions:
            nursery.start_soon(one, client, secret)
    return times


# --- the purge -------------------------------------------------------------------------------------------------------


def _purge(kind: str, database: Database, where: str, now_s: int) -> Iterator[Figure]:
    old_s = now_s - 400 * DAY_S
    _adding(where)(
        "host_measured",
        "host_id, hour_at_s, tries, answers, round_trip_us, slowest_us",
        ((_host(n % HOSTS), old_s - n // HOSTS * 3600, 1, 1, 1, 1) for n in range(PURGED)),
    )
    waits: list[float] = []
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            began = time.perf_counter()
            database.write(
                lambda transaction: transaction.execute(
                    "UPDATE account SET profile = '' WHERE id = :id", id=_account(1)
                )
            )
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    began = time.perf_counter()
    try:
        purged = purge(database, periods(), now_s)
    finally:
        done.set()
        writer.join()
    yield Figure(
        f"service_{kind.lower()}_purge_longest_wait",
        max(waits),
        "ms that another writer waited and wrote, at most",
        "none",
        None,
        WRITER_TARGET_MS,
        True,
        {
            "database": kind,
            "rows": purged["measurement"],
            "seconds": round(time.perf_counter() - began, 1),
            "writes_beside": len(waits),
            "p99_ms": round(statistics.quantiles(waits, n=100)[-1], 1),
        },
    )
