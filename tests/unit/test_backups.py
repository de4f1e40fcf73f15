"""Backups: whole or none, of one moment, checked before they are put back, never older than what is there."""

import json
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bootstrap.backups import HALF, MANIFEST, back_up, prune, read_backup, restore
from bootstrap.database import Database, open_database
from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.client.purse import Purse
from peernet.core.errors import UserError
from peernet.core.metering import GrantRequest, LaneTerms
from peernet.core.suite import MixedSuite
from peernet.node.home import Home
from tests.issuers import TestIssuer

SUITE = MixedSuite()
SEED = b"\x01" * 32
TERMS = LaneTerms(SUITE.ed25519_public(b"\x03" * 32), 2, 5, 8)
NOW_S = 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.at(tmp_path / "node")
    made.seed("log")
    made.state.mkdir(parents=True)
    LedgerStore(made.state / "ledger.sqlite", create=True).close()
    open_database(str(made.state / "operator.sqlite"), create=True).close()
    grow(made, 3)
    return made


def grow(home: Home, entries: int) -> None:
    with LedgerStore(home.state / "ledger.sqlite") as store:
        log = Log(store, "log.example/one", SEED, SUITE)
        for number in range(log.size + 1, log.size + 1 + entries):
            key = SUITE.ed25519_public(number.to_bytes(32, "big"))
            log.append_one(GrantRequest(key, 1_000, (NOW_S + 200_000) // 60 * 60, TERMS.commit(b"\x0a" * 32)), NOW_S)


def size(home: Home) -> int:
    with LedgerStore(home.state / "ledger.sqlite") as store:
        store.check()
        return Log(store, "log.example/one", SEED, SUITE).size


def sign_up(database: Database, name: str) -> None:
    database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s,"
            " notice_version, notice_at_s) VALUES (:id, :id, :id, '', '', 'active', 1, '1', 1)",
            id=name,
        )
    )


def people(home: Home) -> list[str]:
    database = open_database(str(home.state / "operator.sqlite"))
    try:
        return [name for (name,) in database.read(lambda rows: rows.rows("SELECT id FROM account ORDER BY id"))]
    finally:
        database.close()


def test_a_node_that_lost_its_disk_is_as_it_was(home: Home, tmp_path: Path):
    database = open_database(str(home.state / "operator.sqlite"))
    sign_up(database, "ann")
    made = back_up(home, tmp_path / "backup", NOW_S, with_keys=True)
    sign_up(database, "bob")
    database.close()
    other = Home.at(tmp_path / "other")
    assert restore(tmp_path / "backup", other) == made
    assert (people(other), size(other)) == (["ann"], 3)
    assert other.seed("log") == home.seed("log")


def test_it_is_taken_while_others_write_and_is_of_one_moment(home: Home, tmp_path: Path):
    database = open_database(str(home.state / "operator.sqlite"))
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            sign_up(database, f"{number:05d}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            back_up(home, tmp_path / f"backup-{number}", NOW_S)
    finally:
        done.set()
        writer.join()
        database.close()
    for number in range(3):
        other = Home.at(tmp_path / f"other-{number}")
        restore(tmp_path / f"backup-{number}", other)
        found = people(other)
        assert found == [f"{each:05d}" for each in range(len(found))]


def test_keys_are_left_out_and_everything_is_the_owners_alone(home: Home, tmp_path: Path):
    back_up(home, tmp_path / "backup", NOW_S)
    assert not list((tmp_path / "backup").rglob("*.key"))
    for path in (tmp_path / "backup").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_a_key_that_is_there_is_not_replaced(home: Home, tmp_path: Path):
    back_up(home, tmp_path / "backup", NOW_S, with_keys=True)
    other = Home.at(tmp_path / "other")
    kept = other.seed("log")
    restore(tmp_path / "backup", other)
    assert other.seed("log") == kept


@pytest.mark.parametrize("change", ["byte", "missing", "outside", "no manifest", "format", "garbage"])
def test_a_backup_that_was_changed_is_not_put_back(home: Home, tmp_path: Path, change: str):
    folder = tmp_path / "backup"
    back_up(home, folder, NOW_S)
    ledger, manifest = folder / "state" / "ledger.sqlite", folder / MANIFEST
    said = json.loads(manifest.read_text())
    match change:
        case "byte":
            data = bytearray(ledger.read_bytes())
            data[100] ^= 1
            ledger.write_bytes(data)
        case "missing":
            ledger.unlink()
        case "outside":
            said["files"][0]["path"] = "../" + said["files"][0]["path"]
            manifest.write_text(json.dumps(said))
        case "no manifest":
            manifest.unlink()
        case "format":
            manifest.write_text(json.dumps({**said, "format": 2}))
        case _:
            manifest.write_text("{")
    grow(home, 1)
    with pytest.raises(UserError):
        restore(folder, home)
    assert size(home) == 4


def test_an_older_ledger_does_not_replace_a_newer_one(home: Home, tmp_path: Path):
    back_up(home, tmp_path / "backup", NOW_S)
    grow(home, 1)
    with pytest.raises(UserError, match="a log that goes back forks"):
        restore(tmp_path / "backup", home)
    assert size(home) == 4


def test_what_was_there_is_kept_beside_and_not_twice_lost(home: Home, tmp_path: Path):
    back_up(home, tmp_path / "backup", NOW_S)
    restore(tmp_path / "backup", home)
    assert (home.state.parent / "state.before-restore" / "ledger.sqlite").exists()
    with pytest.raises(UserError, match=r"before-restore is there"):
        restore(tmp_path / "backup", home)


def test_a_folder_that_exists_is_not_written_to(home: Home, tmp_path: Path):
    (tmp_path / "backup").mkdir()
    with pytest.raises(UserError, match="name a new folder"):
        back_up(home, tmp_path / "backup", NOW_S)


def test_a_home_with_nothing_says_so(tmp_path: Path):
    with pytest.raises(UserError, match="--home"):
        back_up(Home.at(tmp_path / "empty"), tmp_path / "backup", NOW_S)


def test_a_damaged_ledger_is_not_called_a_backup(home: Home, tmp_path: Path):
    import apsw

    with apsw.Connection(str(home.state / "ledger.sqlite")) as connection:
        connection.execute("DELETE FROM entry WHERE position = 2")
    with pytest.raises(UserError, match="damaged"):
        back_up(home, tmp_path / "backup", NOW_S)
    assert not (tmp_path / "backup").exists()


def test_backups_past_their_time_are_deleted_and_no_others(home: Home, tmp_path: Path):
    for number, at_s in enumerate((NOW_S, NOW_S + 1000)):
        made = back_up(home, tmp_path / "backups" / str(number), at_s)
    (tmp_path / "backups" / "mine").mkdir()
    assert list(prune(tmp_path / "backups", made.expires_at_s - 1)) == [tmp_path / "backups" / "0"]
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["1", "mine"]


def test_one_backup_that_cannot_be_read_does_not_keep_the_others(home: Home, tmp_path: Path):
    for name in ("0", "1"):
        made = back_up(home, tmp_path / "backups" / name, NOW_S)
    (tmp_path / "backups" / "0" / MANIFEST).write_bytes(b"\xff{")
    with pytest.raises(UserError, match="cannot be read"):
        list(prune(tmp_path / "backups", made.expires_at_s))
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["0"]


def test_a_folder_of_backups_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        list(prune(tmp_path / "share", NOW_S))


def test_what_a_link_names_is_not_deleted_twice(home: Home, tmp_path: Path):
    made = back_up(home, tmp_path / "backups" / "one", NOW_S)
    (tmp_path / "backups" / "newest").symlink_to("one")
    assert list(prune(tmp_path / "backups", made.expires_at_s)) == [tmp_path / "backups" / "one"]


def test_a_deletion_that_was_interrupted_goes_on(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = back_up(home, tmp_path / "backups" / "one", NOW_S)

    def fail(_: Path) -> None:
        raise PermissionError(13, "not allowed")

    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", fail)
        with pytest.raises(UserError, match="cannot be deleted: not allowed"):
            list(prune(tmp_path / "backups", made.expires_at_s))
    with pytest.raises(UserError, match="is no backup"):
        read_backup(tmp_path / "backups" / "one")
    assert list(prune(tmp_path / "backups", made.expires_at_s)) == [tmp_path / "backups" / "one"]
    assert list((tmp_path / "backups").iterdir()) == []


def test_what_an_interrupted_backup_left_goes_in_time(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def die(_: Path) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "backups"
    with monkeypatch.context() as killed:
        killed.setattr("bootstrap.backups._ledger_size", die)
        killed.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            back_up(home, folder / "one", NOW_S)
    assert sorted(path.name for path in (folder / "one").iterdir()) == [HALF, "state"]
    made = back_up(home, folder / "two", NOW_S + 1)
    assert list(prune(folder, made.expires_at_s - 2)) == []
    assert list(prune(folder, made.expires_at_s - 1)) == [folder / "one"]


def test_the_purse_of_the_measuring_client_is_kept_for_the_owner_alone(home: Home, tmp_path: Path):
    inside = Path("measuring", "state", "purse.sqlite")
    issuer = TestIssuer()
    with closing(Purse(home.state / inside)) as purse:
        purse.add_keys("log.example/one", [issuer.key])
        purse.add_credits(issuer.credits(3))
        had = purse.balance()
    back_up(home, tmp_path / "backup", NOW_S)
    for path in (tmp_path / "backup").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    other = Home.at(tmp_path / "other")
    restore(tmp_path / "backup", other)
    with closing(Purse(other.state / inside)) as purse:
        assert purse.balance() == had != {}


def test_a_database_in_postgresql_is_dumped_and_put_back(postgres, home: Home, tmp_path: Path):
    with postgres.fresh() as url:
        database = open_database(url, create=True)
        sign_up(database, "ann")
        back_up(home, tmp_path / "backup", NOW_S, postgres=[url])
        sign_up(database, "bob")
        database.close()
        with pytest.raises(UserError, match="1 databases of PostgreSQL, and 0"):
            restore(tmp_path / "backup", home)
        restore(tmp_path / "backup", home, postgres=[url])
        database = open_database(url)
        assert database.read(lambda rows: rows.rows("SELECT id FROM account")) == [("ann",)]
        database.close()


def test_a_server_that_is_not_there_is_told_without_its_url(home: Home, tmp_path: Path):
    with pytest.raises(UserError, match="pg_dump failed") as told:
        back_up(home, tmp_path / "backup", NOW_S, postgres=[f"postgresql://me:secret@/x?host={tmp_path}"])
    assert "secret" not in str(told.value)
