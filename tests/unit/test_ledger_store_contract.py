"""Both kinds of ledger store keep one contract: compare and swap, crashes, damage."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import psycopg
import pytest
from attrs import evolve, frozen

from bootstrap.keeper import open_ledger_store
from bootstrap.log import Log
from bootstrap.postgres_store import SCHEMA
from bootstrap.store import CheckpointMoved, LedgerCorrupt, NewEntry, StoreUnavailable
from peernet.core.errors import UserError
from peernet.core.ledger.entries import encode_entry
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.metering import GrantRequest, LaneTerms
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
ORIGIN = "log.example/one"
SEED = b"\x01" * 32
TERMS = LaneTerms(SUITE.ed25519_public(b"\x03" * 32), 2, 5, 8)
NOW_S = 1_000_000
EXPIRES_AT_S = 1_200_000


@frozen
class Place:
    """Where there is room for one ledger."""

    where: str

    def open(self, *, create=False):
        return open_ledger_store(self.where, create=create)

    def edit(self, *statements):
        """Changes the ledger behind its back."""
        if not self.where.startswith("postgresql"):
            with apsw.Connection(self.where) as connection:
                for statement in statements:
                    connection.execute(statement)
            connection.close()
            return
        with psycopg.connect(self.where, options=f"-c search_path={SCHEMA}") as connection:
            for statement in statements:
                theirs = re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)
                connection.execute(theirs.replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')"))


@pytest.fixture
def place(database_url):
    return Place(database_url)


@pytest.fixture
def store(place):
    with place.open(create=True) as opened:
        yield opened


@pytest.fixture
def log(store):
    return Log(store, ORIGIN, SEED, SUITE)


def grant_request(number, cap=1_000):
    key = SUITE.ed25519_public(number.to_bytes(32, "big"))
    return GrantRequest(key, cap, EXPIRES_AT_S, TERMS.commit(b"\x0a" * 32))


def fill(log, count):
    return log.append([grant_request(number) for number in range(1, count + 1)], NOW_S)


def test_a_ledger_that_is_missing_is_an_error_and_one_that_is_there_is_not_made_again(place):
    with pytest.raises(UserError, match="restore it from a backup"):
        place.open()
    place.open(create=True).close()
    with pytest.raises(UserError, match="exists"):
        place.open(create=True)


def test_a_newer_ledger_is_refused(place):
    place.open(create=True).close()
    newer = "UPDATE version SET number = 99" if place.where.startswith("postgresql") else "PRAGMA user_version = 99"
    place.edit(newer)
    with pytest.raises(UserError, match="newer peernet"):
        place.open()


def test_entries_and_names_are_there_after_it_was_closed(place):
    with place.open(create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        fill(log, 300)
        read = log.read("tile/0/000"), log.checkpoint()
    with place.open() as store:
        store.check()
        log = Log(store, ORIGIN, SEED, SUITE)
        assert (log.read("tile/0/000"), log.checkpoint()) == read
        assert log.append_one(grant_request(7), NOW_S) == 6


# Compare and swap, crashes


def test_checkpoint_is_compared_and_swapped(store):
    node = CompactRange().append(leaf_hash(b"x"))
    with pytest.raises(CheckpointMoved):
        store.append(b"another note", [NewEntry(b"x", b"x")], node, b"new")
    assert store.checkpoint() is None
    assert store.index_of(b"x") is None


def test_a_second_server_on_one_file_is_refused_and_goes_on_from_the_truth(place, log):
    with place.open() as other_store:
        other = Log(other_store, ORIGIN, SEED, SUITE)
        assert fill(log, 2) == (0, 1)
        with pytest.raises(CheckpointMoved):
            other.append_one(grant_request(3), NOW_S)
        assert other.append_one(grant_request(3), NOW_S) == 2
        # The same submission to both, while one does not know of the other's.
        with pytest.raises(CheckpointMoved):
            log.append_one(grant_request(3), NOW_S)
        assert log.append_one(grant_request(3), NOW_S) == 2
        other_store.check()


CRASH = """
import os, signal, sys
from bootstrap.keeper import open_ledger_store
from bootstrap.log import Log
from peernet.core.metering import GrantRequest
from peernet.core.suite import MixedSuite

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

place, where = sys.argv[1:3]
seed, key, commitment = map(bytes.fromhex, sys.argv[3:])
store = open_ledger_store(place)
log = Log(store, "log.example/one", seed, MixedSuite())
if where == "between":
    store._write_checkpoint = die
log.append_one(GrantRequest(key, 1_000, 1_200_000, commitment), 1_000_000)
die()
"""


def crash(place, where, request):
    root = Path(__file__).resolve().parents[2]
    arguments = [place.where, where, SEED.hex(), request.lane_key.hex(), request.commitment.hex()]
    child = subprocess.run(
        [sys.executable, "-c", CRASH, *arguments],
        env={"PYTHONPATH": f"{root / 'src'}:{root}"},
        capture_output=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def test_crash_between_append_and_checkpoint(place):
    with place.open(create=True) as store:
        before = (fill(Log(store, ORIGIN, SEED, SUITE), 5), store.checkpoint())
    crash(place, "between", grant_request(6))
    with place.open() as store:
        store.check()
        assert store.checkpoint() == before[1]
        assert Log(store, ORIGIN, SEED, SUITE).append_one(grant_request(6), NOW_S) == 5


def test_crash_between_checkpoint_and_answer(place):
    with place.open(create=True) as store:
        fill(Log(store, ORIGIN, SEED, SUITE), 5)
    crash(place, "after", grant_request(6))
    with place.open() as store:
        store.check()
        log = Log(store, ORIGIN, SEED, SUITE)
        assert log.size == 6
        assert log.append_one(grant_request(6), NOW_S) == 5
        assert log.size == 6


def test_a_write_that_fails_leaves_nothing_and_the_log_goes_on(store, log, monkeypatch):
    fill(log, 3)
    before = log.checkpoint()

    class FullDisk(Exception):
        pass

    def full_disk(_):
        raise FullDisk

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_checkpoint", full_disk)
        with pytest.raises(FullDisk):
            log.append_one(grant_request(9), NOW_S)
    assert log.checkpoint() == before
    assert log.append_one(grant_request(9), NOW_S) == 3
    store.check()


# Damage


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM entry WHERE position = 5"],
        ["DELETE FROM checkpoint"],
        ["UPDATE node SET hash = zeroblob(32) WHERE level = 1 AND position = 2"],
        ["DELETE FROM node WHERE level = 2"],
        ["UPDATE checkpoint SET note = x'00'"],
        ["INSERT INTO entry VALUES (6, x'00', x'00')"],
    ],
)
def test_a_tree_that_does_not_lead_to_its_checkpoint_does_not_open(place, statements):
    with place.open(create=True) as store:
        fill(Log(store, ORIGIN, SEED, SUITE), 6)
    place.edit(*statements)
    with pytest.raises(LedgerCorrupt):
        place.open()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET leaf = x'00' WHERE position = 2",
        "UPDATE node SET hash = zeroblob(32) WHERE level = 0 AND position = 1",
        "DELETE FROM node WHERE level = 0 AND position = 1",
        "INSERT INTO node VALUES (9, 0, zeroblob(32))",
        "DELETE FROM entry WHERE position = 2",
    ],
)
def test_damage_away_from_the_edge_is_found_by_check(place, statement):
    with place.open(create=True) as store:
        fill(Log(store, ORIGIN, SEED, SUITE), 6)
        store.check()
    place.edit(statement)
    with place.open() as store, pytest.raises(LedgerCorrupt):
        store.check()


def test_an_entry_that_breaks_the_rules_keeps_the_log_closed(place):
    with place.open(create=True) as store:
        fill(Log(store, ORIGIN, SEED, SUITE), 6)
    place.edit("UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE position = 1) WHERE position = 2")
    with place.open() as store, pytest.raises(LedgerCorrupt, match="entry 2"):
        Log(store, ORIGIN, SEED, SUITE)


def test_an_entry_that_keeps_the_rules_and_is_not_the_one_that_was_signed_keeps_the_log_closed(place):
    with place.open(create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        fill(log, 6)
        raised = encode_entry(evolve(log.entry(2), cap_microcredits=999_999))
    place.edit(f"UPDATE entry SET leaf = x'{raised.hex()}' WHERE position = 2")
    with place.open() as store, pytest.raises(LedgerCorrupt, match="entries do not lead to the signed root"):
        Log(store, ORIGIN, SEED, SUITE)


def test_a_store_of_another_log_does_not_open(store, log):
    with pytest.raises(LedgerCorrupt, match="not this log"):
        Log(store, ORIGIN, b"\x02" * 32, SUITE)


def test_a_store_keeps_the_name_of_its_log(store, log):
    with pytest.raises(UserError, match=f"begun as {ORIGIN}, and is to go on as log.example/two"):
        Log(store, "log.example/two", SEED, SUITE)


# A server that goes away


def test_a_server_that_goes_away_is_told_and_the_log_goes_on_when_it_is_back(postgres):
    with postgres.fresh() as url, open_ledger_store(url, create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        fill(log, 3)
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(ended)
        with pytest.raises(StoreUnavailable):
            log.append_one(grant_request(9), NOW_S)
        assert log.append_one(grant_request(9), NOW_S) == 3
        store.check()


def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="PostgreSQL cannot be used") as told:
        open_ledger_store(f"postgresql:///x?host={tmp_path}")
    assert "\n" not in str(told.value)
