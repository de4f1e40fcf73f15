"""The copy of erasures: nothing is told before it is on the disk, and nobody comes back after the disk is lost."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.backups import back_up, restore
from bootstrap.database import Database, open_database
from bootstrap.mail.outbox import held_mails
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import confirm_erasures, erase_due
from bootstrap.rights.deletion import COOLING_OFF_S, ask_deletion
from bootstrap.rights.erasures_copy import CopiedErasures, ErasuresCopy, erasures_key
from peernet.cli.main import main
from peernet.core.errors import UserError
from peernet.node.home import Home
from tests.accounts import make_account
from tests.browsing import Browser, new_office

NOW = 1_795_000_000
KEY = erasures_key(bytes(range(32)))
"""Of the office that tests open."""
PEOPLE = [f"account-{number}" for number in range(5)]


@pytest.fixture
def copy(tmp_path: Path) -> ErasuresCopy:
    return ErasuresCopy(tmp_path / "erasures", KEY)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    (tmp_path / "share").mkdir()
    made = new_office(tmp_path, erasures_copy=str(tmp_path / "share" / "erasures"))
    made.now_s = lambda: NOW
    yield made
    made.database.close()


def test_who_was_added_is_in_it_and_nobody_else(copy: ErasuresCopy):
    assert copy.add(PEOPLE[:2]) == 2
    assert copy.add(PEOPLE[1:3]) == 1
    assert ErasuresCopy(copy.path, KEY).holding(PEOPLE) == PEOPLE[:3]
    assert len(copy.path.read_text().splitlines()) == 4
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600


def test_it_says_of_nobody_who_it_was(copy: ErasuresCopy, tmp_path: Path):
    copy.add(PEOPLE)
    text = copy.path.read_text()
    assert not any(each in text or each.encode().hex() in text for each in PEOPLE)
    other = ErasuresCopy(tmp_path / "other", KEY)
    other.add(PEOPLE)
    lines = [set(path.read_text().splitlines()) for path in (copy.path, other.path)]
    assert lines[0].isdisjoint(lines[1]), "each file has a salt of its own"


@pytest.mark.parametrize("kept", [0, 1, 10, 18, 19, 30, 84, 85, 86, 100, 180, 182])
def test_a_last_line_that_was_torn_off_is_written_anew(copy: ErasuresCopy, kept: int):
    """However much of the file is there, of two lines behind its first."""
    copy.add(PEOPLE[:2])
    whole = copy.path.read_bytes()
    copy.path.write_bytes(whole[:kept])
    copy.add(PEOPLE[:3])
    assert copy.holding(PEOPLE) == PEOPLE[:3]
    assert len(copy.path.read_text().splitlines()) == 4


def test_a_torn_line_is_nobody(copy: ErasuresCopy):
    copy.add(PEOPLE[:2])
    copy.path.write_bytes(copy.path.read_bytes()[:-1])
    assert copy.holding(PEOPLE) == PEOPLE[:1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "is no copy"),
        (b"peernet erasures v1", "is no copy"),
        (b"something else\n", "is no copy"),
        (b"peernet erasures v2 00 00\n", "is no copy"),
        (b"peernet erasures v1 zz 00\n", "begun under another key"),
    ],
)
def test_what_is_no_copy_is_an_error(copy: ErasuresCopy, content: bytes | None, said: str):
    if content is not None:
        copy.path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        copy.holding(PEOPLE)


def test_a_file_of_something_else_is_not_written_to(copy: ErasuresCopy):
    for content in (b"something else", b"something else\n", b"\xff\n"):
        copy.path.write_bytes(content)
        with pytest.raises(UserError, match="is no copy"):
            copy.add(PEOPLE)
        assert copy.path.read_bytes() == content


def test_a_line_that_was_changed_is_an_error(copy: ErasuresCopy):
    copy.add(PEOPLE[:2])
    data = bytearray(copy.path.read_bytes())
    place = data.index(b"\n") + 5
    data[place] ^= 1
    copy.path.write_bytes(data)
    with pytest.raises(UserError, match="line 2 "):
        copy.holding(PEOPLE)
    with pytest.raises(UserError, match="line 2 "):
        copy.add(PEOPLE)


def test_another_nodes_copy_is_an_error(copy: ErasuresCopy):
    copy.add(PEOPLE[:2])
    before = copy.path.read_bytes()
    other = ErasuresCopy(copy.path, erasures_key(bytes(32)))
    with pytest.raises(UserError, match="begun under another key"):
        other.holding(PEOPLE)
    with pytest.raises(UserError, match="begun under another key"):
        other.add(PEOPLE)
    assert copy.path.read_bytes() == before


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
def test_what_could_not_be_written_is_not_there(copy: ErasuresCopy, monkeypatch: pytest.MonkeyPatch, call: str):
    copy.add(PEOPLE[:1])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            copy.add(PEOPLE[:2])
    assert copy.holding(PEOPLE) == PEOPLE[:1]
    assert copy.add(PEOPLE[:2]) == 1


def test_everything_is_on_the_disk_when_it_returns(copy: ErasuresCopy, monkeypatch: pytest.MonkeyPatch):
    """The file, and its name in its folder."""
    synced: list[int] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    copy.add(PEOPLE[:1])
    assert synced == [copy.path.stat().st_ino, copy.path.parent.stat().st_ino]


def erased(office: Office, name: str = "ann") -> str:
    """An account whose deletion is due."""
    account = make_account(office.database, name)
    office.database.write(lambda transaction: ask_deletion(transaction, account, now_s=NOW - COOLING_OFF_S))
    return account


def held(database: Database) -> int:
    return database.read(held_mails)


def copied(office: Office) -> ErasuresCopy:
    assert office.erasures.copy is not None
    return office.erasures.copy


async def test_a_receipt_is_held_until_the_erasure_is_copied(office: Office, tmp_path: Path):
    ann = erased(office)
    (tmp_path / "share").rmdir()
    await erase_due(office)
    with pytest.raises(OSError, match="No such file"):
        await confirm_erasures(office)
    await office.postman.deliver(NOW + 10**6)
    assert held(office.database) == 1
    answer = await Browser(office).http.get("/healthz")
    assert (answer.status_code, answer.json()["erasures_copy"]) == (200, "it cannot be written")
    (tmp_path / "share").mkdir()
    await confirm_erasures(office)
    assert copied(office).holding([ann]) == [ann]
    assert held(office.database) == 0
    assert await office.postman.deliver(NOW) == 1
    assert (await Browser(office).http.get("/healthz")).json() == {"status": "ok"}


async def test_who_is_erased_while_the_copy_is_written_waits_for_the_next_round(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    ann, bob = erased(office), erased(office, "bob")
    add = ErasuresCopy.add

    def late(self: ErasuresCopy, account_ids: list[str]) -> int:
        monkeypatch.setattr(ErasuresCopy, "add", add)
        office.database.write(
            lambda rows: rows.execute(
                "INSERT INTO erasure (account_id, erased_at_s, why) VALUES (:id, 1, 'wish')", id=bob
            )
        )
        return add(self, account_ids)

    office.database.write(lambda rows: rows.execute("DELETE FROM rights_request WHERE account_id = :id", id=bob))
    await erase_due(office)
    monkeypatch.setattr(ErasuresCopy, "add", late)
    await confirm_erasures(office)
    assert (copied(office).holding([ann, bob]), held(office.database)) == ([ann], 1)
    await confirm_erasures(office)
    assert (copied(office).holding([ann, bob]), held(office.database)) == ([ann, bob], 0)


async def test_a_copy_that_was_lost_is_made_again(office: Office):
    ann = erased(office)
    await erase_due(office)
    await confirm_erasures(office)
    copied(office).path.unlink()
    await confirm_erasures(office)
    assert copied(office).holding([ann]) == [ann]


async def test_a_copy_that_does_not_change_is_not_read_again(office: Office, monkeypatch: pytest.MonkeyPatch):
    erased(office)
    await erase_due(office)
    await confirm_erasures(office)
    monkeypatch.setattr(ErasuresCopy, "add", None)
    await confirm_erasures(office)
    assert copied(office).path.exists()


async def test_without_a_copy_receipts_are_sent_at_once(tmp_path: Path):
    office = new_office(tmp_path)
    office.now_s = lambda: NOW
    erased(office)
    await erase_due(office)
    await confirm_erasures(office)
    assert (office.erasures, held(office.database)) == (CopiedErasures(), 0)
    assert await office.postman.deliver(NOW) == 1
    office.database.close()


# --- after the disk is lost ------------------------------------------------------------------------------------------


@pytest.fixture
def lost(tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """A backup of a node from which ann was erased later, the copy of erasures, and the two that the backup has."""
    home = Home.at(tmp_path / "node")
    key = home.seed("portal")
    home.state.mkdir(parents=True)
    database = open_database(str(home.state / "operator.sqlite"), create=True)
    people = [make_account(database, "ann"), make_account(database, "bob")]
    database.close()
    back_up(home, tmp_path / "backup", NOW, with_keys=True)
    copy = ErasuresCopy(tmp_path / "erasures", erasures_key(key))
    copy.add(people[:1])
    return tmp_path / "backup", copy.path, people


def states(home: Home) -> dict[str, str]:
    database = open_database(str(home.state / "operator.sqlite"))
    try:
        return dict(database.read(lambda rows: rows.rows("SELECT id, state FROM account")))
    finally:
        database.close()


def test_after_the_disk_is_lost_nobody_comes_back(lost: tuple[Path, Path, list[str]], tmp_path: Path):
    backup, copy, (ann, bob) = lost
    without = Home.at(tmp_path / "without")
    restore(backup, without)
    assert states(without) == {ann: "active", bob: "active"}
    other = Home.at(tmp_path / "other")
    restore(backup, other, erasures=copy)
    assert states(other) == {ann: "erased", bob: "active"}


@pytest.mark.parametrize("case", ["absent", "torn", "damaged", "another key", "no key"])
def test_with_a_copy_that_cannot_be_used_nothing_is_restored(
    lost: tuple[Path, Path, list[str]], tmp_path: Path, case: str
):
    backup, copy, _ = lost
    other = Home.at(tmp_path / "other")
    data = copy.read_bytes()
    match case:
        case "absent":
            copy.unlink()
        case "torn":
            copy.write_bytes(data[:50])
        case "damaged":
            copy.write_bytes(data.replace(data[-20:], b"0" * 19 + b"\n"))
        case "another key":
            other.seed("portal")
        case _:
            home = Home.at(tmp_path / "node")
            backup = tmp_path / "backup without keys"
            back_up(home, backup, NOW)
    with pytest.raises(UserError, match="copy of erasures"):
        restore(backup, other, erasures=copy)
    assert not other.state.exists()
    assert other.has_seed("portal") == (case == "another key")


@pytest.mark.parametrize("named", ["in the configuration", "on the command line"])
def test_the_command_reads_the_copy(lost: tuple[Path, Path, list[str]], tmp_path: Path, named: str):
    backup, copy, (ann, bob) = lost
    other = Home.at(tmp_path / "other")
    words = ["operator", "restore", "--home", str(tmp_path / "other"), str(backup)]
    if named == "on the command line":
        words += ["--erasures", str(copy)]
    else:
        other.config.mkdir(parents=True)
        (other.config / "config.toml").write_text(f'[portal]\nerasures_copy = "{copy}"\n')
    assert main(words) == 0
    assert states(other) == {ann: "erased", bob: "active"}
