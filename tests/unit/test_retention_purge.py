"""The purge: every class that has a period ages, and is then gone from tables, exports and backups."""

import argparse
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from bootstrap.backups import back_up, prune, restore
from bootstrap.commands import operator
from bootstrap.database import Database, Transaction, open_database
from bootstrap.people.access_log import note_access
from bootstrap.people.origin import Origin
from bootstrap.retention import purging
from bootstrap.retention.classes import CLASSES, COLUMNS, DAY_S, PURGES
from bootstrap.retention.periods import RetentionConfig, chosen_periods, periods
from bootstrap.retention.purge import Purge
from bootstrap.retention.purging import due_counts, purge, purge_batches
from bootstrap.rights.archive import collected
from bootstrap.rights.deletion import ask_deletion, erase_if_due
from peernet.core.errors import UserError
from peernet.node.config import load_table
from peernet.node.home import Home
from tests.accounts import make_account

NOW = 2_000_000_000
FROM = Origin("203.0.113.0/24", "Firefox")
NEVER_PURGED: dict[tuple[str, str], str] = {
    ("rights", "rights_event"): "goes with its request",
    ("payment", "book"): "stays as long as something may be in it; it says a random id",
}
"""Classes in tables that something else ends, though the class has a period: (class, table), and what ends them."""


def test_every_class_with_a_period_is_purged_from_every_table():
    wanted = {
        (data_class, column.partition(".")[0])
        for column, data_class in COLUMNS.items()
        if CLASSES[data_class].period_s is not None
    }
    known = {(rule.data_class, rule.table) for rule in PURGES}
    assert wanted - known - NEVER_PURGED.keys() == set(), "say in the package's PURGES how these go"
    assert known - wanted == set(), "these have no columns of the class"
    assert NEVER_PURGED.keys() <= wanted


def add_old_row(database: Database, rule: Purge, at_s: int, number: int) -> None:
    """A row that the rule is about, as old as that, made by looking at the schema."""

    def add(transaction: Transaction, table: str, at_s: int, fixed: Mapping[str, object]) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, kind in transaction.rows("SELECT name, type FROM pragma_table_info(:of)", of=table):
            values[name] = {"INTEGER": at_s, "BLOB": b"x%d" % number}.get(kind, f"x{number}")
        values |= {name: choice for name, choice in choices_of(transaction, table).items() if name in values}
        parents = 'SELECT "from", "table", "to" FROM pragma_foreign_key_list(:of)'
        for column, parent, key in transaction.rows(parents, of=table):
            if parent == "account":
                values[column] = "ann-account"
            else:
                values[column] = add(transaction, parent, NOW, {})[key or "id"]
        values |= fixed
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        transaction.execute(
            f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING",
            **values,  # type: ignore[arg-type]
        )
        return values

    database.write(lambda transaction: add(transaction, rule.table, at_s, MAY_GO.get(rule.table, {})))


def choices_of(transaction: Transaction, table: str) -> dict[str, str]:
    """The first of the words that a column of the table takes."""
    row = transaction.row("SELECT sql FROM sqlite_schema WHERE name = :name", name=table)
    assert row is not None
    return dict(re.findall(r"(\w+) TEXT[^,(]*CHECK \(\w+ IN \(\s*'([^']*)'", row[0]))


MAY_GO: dict[str, dict[str, object]] = {
    "rights_request": {"state": "done"},
    "contact_message": {"state": "answered"},
    "child_report": {"state": "dismissed"},
    "lawful_request": {"state": "refused"},
    "withdrawal": {"state": "signed"},
}
"""What a row holds that may go."""


@pytest.mark.parametrize("rule", PURGES, ids=lambda rule: f"{rule.data_class}-{rule.table}")
def test_what_is_past_its_period_is_gone_and_what_is_not_stays(sqlite_database: Database, rule: Purge):
    database = sqlite_database
    make_account(database, now_s=NOW)
    chosen = periods()
    add_old_row(database, rule, NOW - chosen[rule.data_class], 1)
    add_old_row(database, rule, NOW - chosen[rule.data_class] + 1, 2)
    only = f" WHERE {rule.only}" if rule.only else ""

    def left() -> int:
        row = database.read(lambda transaction: transaction.row(f"SELECT count(*) FROM {rule.table}{only}"))
        assert row is not None
        return row[0]

    assert left() == 2
    for batch in purge_batches(database, chosen, NOW, rules=[rule]):
        assert batch.rows == 1
    assert left() == 1


def age(database: Database) -> dict[str, int]:
    """A row for every rule, all past their period."""
    make_account(database, now_s=NOW)
    for number, rule in enumerate(PURGES):
        add_old_row(database, rule, NOW - periods()[rule.data_class], number)
    return database.read(lambda transaction: due_counts(transaction, periods(), NOW))


def test_a_dry_run_counts_and_changes_nothing(sqlite_database: Database):
    due = age(sqlite_database)
    assert due.keys() == {rule.data_class for rule in PURGES}
    assert all(due.values())
    assert sqlite_database.read(lambda transaction: due_counts(transaction, periods(), NOW)) == due


def test_after_a_purge_nothing_is_due(sqlite_database: Database):
    age(sqlite_database)
    done = purge(sqlite_database, periods(), NOW)
    assert all(done.values())
    again = sqlite_database.read(lambda transaction: due_counts(transaction, periods(), NOW))
    assert set(again.values()) == {0}


def test_what_is_purged_is_not_in_exports(database: Database):
    ann = make_account(database)

    def look(now_s: int, origin: Origin | None = FROM) -> None:
        database.write(
            lambda transaction: note_access(transaction, "seen", now_s=now_s, by=ann, about=ann, origin=origin)
        )

    look(NOW - 366 * DAY_S)
    look(NOW - 31 * DAY_S)
    look(NOW)
    purge(database, periods(), NOW)
    exported = database.read(lambda transaction: collected(transaction, ann, NOW))["data"]["people"]["access_log"]
    assert [(line["at_s"], line["ip_prefix"]) for line in exported] == [(NOW - 31 * DAY_S, ""), (NOW, FROM.ip_prefix)]


def test_every_class_leaves_the_backups_within_its_period(tmp_path: Path):
    home = Home.at(tmp_path / "node")
    open_database(str(home.state / "operator.sqlite"), create=True).close()
    for name, period_s in periods().items():
        back_up(home, tmp_path / "backups" / name, NOW)
        list(prune(tmp_path / "backups", NOW + period_s))
        assert list((tmp_path / "backups").iterdir()) == [], name


def test_a_shorter_period_ends_backups_earlier(tmp_path: Path):
    home = Home.at(tmp_path / "node")
    open_database(str(home.state / "operator.sqlite"), create=True).close()
    made = back_up(home, tmp_path / "backup", NOW, periods=chosen_periods(RetentionConfig(access_log=2)))
    assert made.expires_at_s == NOW + 2 * DAY_S


def test_a_restored_backup_brings_nobody_back(tmp_path: Path):
    home = Home.at(tmp_path / "node")
    database = open_database(str(home.state / "operator.sqlite"), create=True)
    ann, bob = make_account(database), make_account(database, "bob")
    back_up(home, tmp_path / "backup", NOW)
    request = database.write(lambda transaction: ask_deletion(transaction, ann, now_s=NOW))
    database.write(lambda transaction: erase_if_due(transaction, request.id, now_s=NOW + 30 * DAY_S))
    database.close()
    restore(tmp_path / "backup", home, now_s=NOW + 31 * DAY_S)
    restored = open_database(str(home.state / "operator.sqlite"))
    rows = restored.read(lambda transaction: transaction.rows("SELECT id, email, state FROM account ORDER BY id"))
    restored.close()
    assert rows == [(ann, "", "erased"), (bob, "bob@mail.example", "active")]


def test_an_operator_keeps_for_a_shorter_time_and_not_for_a_longer_one():
    assert chosen_periods(RetentionConfig()) == periods()
    assert chosen_periods(RetentionConfig(usage=30)) == {**periods(), "usage": 30 * DAY_S}
    assert periods({"usage": 30, "access_log": 4000}) == {**periods(), "usage": 30 * DAY_S}
    for days in (0, 401):
        with pytest.raises(ValueError, match="1 to 400 days"):
            RetentionConfig(usage=days)


def test_a_batch_that_takes_long_is_followed_by_a_smaller_one(sqlite_database: Database, monkeypatch):
    sqlite_database.write(
        lambda transaction: [note_access(transaction, "x", now_s=1) for _ in range(2000)]  # type: ignore[func-returns-value]
    )
    rule = next(rule for rule in PURGES if rule.data_class == "access_log")
    ticks = iter(range(10_000))
    slow = purge_batches(sqlite_database, periods(), NOW, rules=[rule], clock=lambda: next(ticks) * 0.2)
    rows = [batch.rows for batch in slow]
    assert rows[0] == purging.FIRST_ROWS
    assert rows[1] == int(purging.FIRST_ROWS * purging.AIM_S / 0.2)
    assert max(rows[2:]) == 1


def test_others_write_while_a_purge_runs(database: Database):
    rows = 4_000

    def fill(transaction: Transaction) -> None:
        for _ in range(1000):
            note_access(transaction, "x", now_s=1, origin=FROM)

    for _ in range(rows // 1000):
        database.write(fill)
    waits: list[float] = []
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            began = time.perf_counter()
            database.write(lambda transaction: note_access(transaction, "new", now_s=NOW))
            waits.append(time.perf_counter() - began)
            over.wait(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    batches = list(purge_batches(database, periods(), NOW))
    over.set()
    writer.join()
    assert sum(batch.rows for batch in batches if batch.rule.data_class == "access_log") == rows
    assert sorted(batch.held_s for batch in batches)[int(len(batches) * 0.98)] < 0.1
    assert len(waits) > 3


def test_an_operator_can_look_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = Home.at(tmp_path / "node")
    database = open_database(str(home.state / "operator.sqlite"), create=True)
    database.write(lambda transaction: note_access(transaction, "old", now_s=1, origin=FROM))
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "config.toml").write_text("[retention]\naccess_log = 40\n")

    def run(*options: str) -> str:
        parser = argparse.ArgumentParser()
        operator.configure(parser)
        assert operator.run(parser.parse_args(["purge", "--home", str(tmp_path / "node"), *options])) == 0
        return capsys.readouterr().out

    assert "access_log: 1 rows are past 40 days" in run("--dry-run")
    assert "access_log: 1 rows were past 40 days" in run()
    assert "access_log: 0 rows are past 40 days" in run("--dry-run")
    database.close()


@pytest.mark.parametrize("line", ["access_log = 4000", "identity = 3", "usage = 'long'"])
def test_a_table_that_asks_for_more_is_refused(tmp_path: Path, line: str):
    path = tmp_path / "config.toml"
    path.write_text(f"[retention]\n{line}\n")
    with pytest.raises(UserError, match="retention"):
        load_table(path, "retention", RetentionConfig, {})
