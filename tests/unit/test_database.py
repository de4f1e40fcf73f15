"""Both databases keep the contract of `bootstrap.database`."""

import threading
from pathlib import Path

import pytest

from bootstrap.database import Database, Transaction, UniqueViolation, open_database
from bootstrap.database.opening import migrations
from bootstrap.database.postgres import translated, translated_script
from peernet.core.errors import UserError


class Stop(Exception):
    pass


def add(transaction: Transaction, name: str, given_at_s: int = 1) -> None:
    transaction.execute(
        "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s, notice_version,"
        " notice_at_s) VALUES (:id, :email, :email, '', '', 'active', :at, '1', 1)",
        id=name,
        email=f"{name}@example.org",
        at=given_at_s,
    )


def count(database: Database) -> int:
    row = database.read(lambda transaction: transaction.row("SELECT count(*) FROM account"))
    assert row is not None
    return row[0]


def test_what_is_written_is_read(database: Database):
    database.write(lambda transaction: add(transaction, "a", 2**62))
    rows = database.read(lambda transaction: transaction.rows("SELECT id, created_at_s, verified_at_s FROM account"))
    assert rows == [("a", 2**62, None)]


def test_bytes_come_back_as_bytes_and_percent_signs_are_text(database: Database):
    database.write(lambda transaction: add(transaction, "a"))
    database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO session (id, handle, account_id, created_at_s, seen_at_s, rotated_at_s, proved_at_s,"
            " ip_prefix, browser_family) VALUES (:id, 'h', 'a', 1, 1, 1, 1, '100%', :family)",
            id=b"\0\xff",
            family=":x",
        )
    )
    found = database.read(
        lambda transaction: transaction.rows(
            "SELECT id, ip_prefix, browser_family FROM session WHERE ip_prefix LIKE '100%'"
        )
    )
    assert found == [(b"\0\xff", "100%", ":x")]
    assert isinstance(found[0][0], bytes)


def test_what_raises_is_undone(database: Database):
    def fail(transaction: Transaction) -> None:
        add(transaction, "a")
        raise Stop

    with pytest.raises(Stop):
        database.write(fail)
    assert count(database) == 0


def test_a_second_row_of_one_key_is_told(database: Database):
    database.write(lambda transaction: add(transaction, "a"))
    with pytest.raises(UniqueViolation):
        database.write(lambda transaction: add(transaction, "a"))
    assert count(database) == 1


def test_changes_are_counted(database: Database):
    def change(transaction: Transaction) -> tuple[int, int]:
        add(transaction, "a")
        add(transaction, "b")
        change = "UPDATE account SET state = 'suspended' WHERE state = :state"
        return transaction.execute(change, state="active"), transaction.execute(change, state="active")

    assert database.write(change) == (2, 0)


def test_a_read_changes_nothing(database: Database):
    with pytest.raises(Exception, match=r"(?i)read-?only|readonly|read only"):
        database.read(lambda transaction: add(transaction, "a"))
    assert count(database) == 0


def test_a_row_needs_the_one_it_names(database: Database):
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        database.write(
            lambda transaction: transaction.execute("INSERT INTO account_role VALUES ('nobody', 'host', 1)")
        )


def test_writers_at_the_same_time_are_as_if_one_came_after_the_other(database: Database):
    def take_next(transaction: Transaction) -> None:
        row = transaction.row("SELECT count(*) FROM account")
        assert row is not None
        add(transaction, f"number-{row[0]}")

    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                database.write(take_next)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert count(database) == 20


def test_a_reader_sees_one_moment(database: Database):
    def look_twice(transaction: Transaction) -> tuple[object, object]:
        before = transaction.row("SELECT count(*) FROM account")
        writer = threading.Thread(target=database.write, args=(lambda other: add(other, "a"),))
        writer.start()
        writer.join()
        return before, transaction.row("SELECT count(*) FROM account")

    assert database.read(look_twice) == ((0,), (0,))
    assert count(database) == 1


def test_it_is_there_after_it_was_closed(database_url: str):
    first = open_database(database_url, create=True)
    first.write(lambda transaction: add(transaction, "a"))
    first.close()
    second = open_database(database_url)
    assert count(second) == 1
    second.close()


def test_one_that_is_missing_is_not_made_silently(database_url: str):
    with pytest.raises(UserError, match="restore it"):
        open_database(database_url)


def test_both_have_the_same_tables(database: Database, tmp_path: Path):
    other = open_database(str(tmp_path / "other.sqlite"), create=True)
    ours = {name: columns for name, columns in database.tables().items() if name != "schema_version"}
    assert ours == other.tables()
    assert "account" in ours
    other.close()


def test_migrations_use_no_words_that_only_one_database_has():
    for migration in migrations():
        text = translated_script(migration.script)
        assert "STRICT" not in text
        assert "AUTOINCREMENT" not in text.upper()


def test_names_become_placeholders_and_casts_stay():
    assert translated("SELECT :a, b::text, '5%' FROM c WHERE d = :e_1") == (
        "SELECT %(a)s, b::text, '5%%' FROM c WHERE d = %(e_1)s"
    )


def test_another_kind_of_url_is_refused():
    with pytest.raises(UserError, match="not mysql://"):
        open_database("mysql://x")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path):
    path = tmp_path / "operator.sqlite"
    open_database(str(path), create=True).close()
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        open_database(str(path))


def test_an_unreachable_server_is_told_in_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="PostgreSQL cannot be used") as told:
        open_database(f"postgresql:///x?host={tmp_path}")
    assert "\n" not in str(told.value)
