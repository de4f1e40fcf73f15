"""P6: each class of data has a period, is purged on time, and is in no backup that is older than that."""

from pathlib import Path

import pytest

from bootstrap.backups import PRUNE_EVERY_S, back_up, prune
from bootstrap.database import Database, open_database
from bootstrap.portal.jobs import JOBS
from bootstrap.retention.classes import CLASSES, COLUMNS, PURGES
from bootstrap.retention.periods import periods
from bootstrap.retention.purging import purge
from peernet.node.home import Home
from tests.accounts import everything, make_account
from tests.browsing import new_office
from tests.databases import sqlite_database
from tests.unit.test_retention_purge import add_old_row

__all__ = ["sqlite_database"]

NOW = 2_000_000_000


def test_every_column_has_a_class_and_every_class_an_end(sqlite_database: Database) -> None:
    columns = {f"{table}.{column}" for table, names in sqlite_database.tables().items() for column in names}
    assert columns == COLUMNS.keys()
    for each in CLASSES.values():
        assert each.period_s is not None or each.reason, each.name


def test_what_is_past_its_period_is_gone(sqlite_database: Database) -> None:
    make_account(sqlite_database, now_s=NOW)
    chosen = periods()
    for number, rule in enumerate(PURGES):
        add_old_row(sqlite_database, rule, NOW - chosen[rule.data_class], number)
    for _ in range(2):
        purge(sqlite_database, chosen, NOW)
    left = everything(sqlite_database)
    for rule in PURGES:
        if rule.table in {"refund", "purchase", "subscription"}:
            continue  # what they hang on, one after the other, is younger here
        columns = sqlite_database.tables()[rule.table]
        at = columns.index(rule.aged_by)
        old = [row for row in left[rule.table] if row[at] == NOW - chosen[rule.data_class]]
        if rule.empties:
            kept = {row[columns.index(column)] for row in old for column in rule.empties}
            assert kept <= {"", None}, rule
        else:
            assert old == [], rule


def test_sign_in_security_is_kept_for_30_days() -> None:
    assert periods()["sign_in_security"] == 30 * 24 * 3600


async def test_the_service_does_it_by_itself(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    office.database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO access_log VALUES ('x', 1, NULL, NULL, 'old', '', 'ip4/cb0071')"
        )
    )
    for job in JOBS:
        if job.every_s >= 3600 or job.name in {"deletions", "tidy"}:
            await job.run(office)
    left = everything(office.database)["access_log"]
    office.database.close()
    assert left == []


@pytest.mark.parametrize("name", sorted(periods()))
def test_no_backup_outlives_what_is_in_it(tmp_path: Path, name: str) -> None:
    home = Home.at(tmp_path / "node")
    open_database(str(home.state / "operator.sqlite"), create=True).close()
    back_up(home, tmp_path / "backups" / "one", NOW)
    list(prune(tmp_path / "backups", NOW + periods()[name]))
    assert list((tmp_path / "backups").iterdir()) == []


async def test_a_node_that_knows_the_folder_has_no_backup_when_its_time_is_over(tmp_path: Path) -> None:
    office = new_office(tmp_path / "state", backups=str(tmp_path / "backups"))
    made = back_up(Home.at(tmp_path), tmp_path / "backups" / "one", NOW)
    office.now_s = lambda: made.expires_at_s - PRUNE_EVERY_S
    for job in JOBS:
        if job.name == "backups":
            await job.run(office)
    office.database.close()
    assert list((tmp_path / "backups").iterdir()) == []
