"""The store and the log on it: what survives a crash, what is refused, what is served."""

import stat

import apsw
import pytest
from attrs import evolve

from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.core.errors import UserError
from peernet.core.ledger.checkpoint import open_checkpoint
from peernet.core.ledger.entries import Grant, Settle
from peernet.core.ledger.merkle import CompactRange, leaf_hash, verify_consistency
from peernet.core.ledger.proofs import LogProof, open_entry_proof, verify_proof
from peernet.core.ledger.rules import RuleViolation
from peernet.core.ledger.tiles import ResourceNotFound, decode_entry_bundle, decode_hash_tile
from peernet.core.metering import (
    GrantRequest,
    LaneOpening,
    LaneTerms,
    Settlement,
    open_lane,
    sign_receipt,
    sign_voucher,
    verify_receipt,
)
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
ORIGIN = "log.example/one"
SEED = b"\x01" * 32
PAYOUT_SEED = b"\x03" * 32
NONCE = b"\x0a" * 32
TERMS = LaneTerms(SUITE.ed25519_public(PAYOUT_SEED), 2, 5, 8)
NOW_S = 1_000_000
EXPIRES_AT_S = 1_200_000


def lane_seed(number):
    return number.to_bytes(32, "big")


def grant_request(number, cap=1_000):
    key = SUITE.ed25519_public(lane_seed(number))
    return GrantRequest(key, cap, EXPIRES_AT_S, TERMS.commit(NONCE))


def settlement(log, number, answer_tokens=4):
    proof = log.inclusion_proof(log.append_one(grant_request(number), NOW_S))
    lane = open_lane(LaneOpening(proof, TERMS, NONCE), log.verifier_key, SUITE)
    voucher = sign_voucher(lane, 10, answer_tokens, lane_seed(number), SUITE)
    return Settlement(sign_receipt(voucher, NONCE, PAYOUT_SEED, SUITE), TERMS, NONCE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path):
    with LedgerStore(path, create=True) as opened:
        yield opened


@pytest.fixture
def log(store):
    return Log(store, ORIGIN, SEED, SUITE)


def fill(log, count):
    return log.append([grant_request(number) for number in range(1, count + 1)], NOW_S)


def edit(path, *statements):
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


# The file


def test_database_missing_is_an_error(path):
    with pytest.raises(UserError, match="there is no ledger"):
        LedgerStore(path)
    assert not path.exists()


def test_a_ledger_is_never_made_over_another(path, store):
    with pytest.raises(UserError, match="exists"):
        LedgerStore(path, create=True)


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(UserError, match="make the folder"):
        LedgerStore(tmp_path / "nowhere" / "ledger.sqlite", create=True)


def test_only_the_owner_reads_the_files(path, log):
    fill(log, 1)
    files = list(path.parent.iterdir())
    assert len(files) == 3  # the database, its write-ahead log and the index of that
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_file_open_to_others_is_refused(path):
    LedgerStore(path, create=True).close()
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        LedgerStore(path)


def test_another_file_is_no_ledger(path):
    path.write_bytes(b"not a database, but long enough to be read as the header of one" * 20)
    path.chmod(0o600)
    with pytest.raises(UserError, match="not a ledger"):
        LedgerStore(path)


def test_another_database_is_no_ledger(path):
    edit(path, "CREATE TABLE entry (position)")
    path.chmod(0o600)
    with pytest.raises(UserError, match="not a ledger"):
        LedgerStore(path)


def test_a_newer_schema_is_refused(path):
    LedgerStore(path, create=True).close()
    edit(path, "PRAGMA user_version = 999")
    with pytest.raises(UserError, match="newer"):
        LedgerStore(path)


def test_closing_leaves_one_file_and_is_harmless_twice(path):
    with LedgerStore(path, create=True) as store:
        fill(Log(store, ORIGIN, SEED, SUITE), 3)
    store.close()
    assert list(path.parent.iterdir()) == [path]


def test_the_settings_that_durability_rests_on(store):
    def pragma(name):
        return store._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)
    tables = store._connection.execute("PRAGMA table_list").fetchall()
    assert {row[1] for row in tables if row[5]} == {"entry", "node", "checkpoint", "witnessed", "refusal"}, (
        "STRICT tables"
    )


# The log


def test_a_log_keeps_its_name(store):
    fill(Log(store, ORIGIN, SEED, SUITE), 1)
    with pytest.raises(UserError, match=r'begun as log\.example/one.* Say origin = "log\.example/one"'):
        Log(store, "log.example/two", SEED, SUITE).checkpoint()


def test_an_empty_log_has_a_signed_checkpoint(log):
    checkpoint = open_checkpoint(log.checkpoint(), log.verifier_key, SUITE)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 0)
    assert log.read("checkpoint") == log.checkpoint()


def test_a_batch_has_one_checkpoint_and_one_answer_each(log):
    wrong = evolve(grant_request(2), cap_microcredits=0)
    outcomes = log.append([grant_request(1), wrong, grant_request(3), grant_request(1)], NOW_S)
    assert (outcomes[0], outcomes[2], outcomes[3]) == (0, 1, 0)
    assert isinstance(outcomes[1], RuleViolation)
    assert outcomes[1].reason == "bad_cap"
    assert log.size == 2


def test_a_batch_of_refusals_signs_nothing(log):
    before = log.checkpoint()
    assert log.append([evolve(grant_request(2), cap_microcredits=0)], NOW_S)[0].reason == "bad_cap"
    assert log.append([], NOW_S) == ()
    assert log.checkpoint() == before


def test_submitting_again_returns_the_old_index(log):
    first = settlement(log, 1)
    index = log.append_one(first, NOW_S)
    size = log.size
    assert log.append_one(first, NOW_S + 3_600) == index
    assert log.append_one(grant_request(1), NOW_S + 3_600) == index - 1
    assert log.size == size


def test_submitting_otherwise_under_the_same_name_is_refused(log):
    log.append_one(settlement(log, 1, answer_tokens=4), NOW_S)
    with pytest.raises(RuleViolation) as caught:
        log.append_one(settlement(log, 1, answer_tokens=5), NOW_S)
    assert caught.value.reason == "settled_twice"
    with pytest.raises(RuleViolation) as caught:
        log.append_one(grant_request(1, cap=2_000), NOW_S)
    assert caught.value.reason == "granted_twice"


def test_a_settlement_with_a_forged_signature_is_refused(log):
    good = settlement(log, 1)
    forged = evolve(good, receipt=evolve(good.receipt, host_signature=bytes(64)))
    with pytest.raises(RuleViolation) as caught:
        log.append_one(forged, NOW_S)
    assert caught.value.reason == "bad_signature"
    with pytest.raises(RuleViolation) as caught:
        log.append_one(evolve(good, receipt=evolve(good.receipt, nonce=b"")), NOW_S)
    assert caught.value.reason == "bad_nonce"


def test_a_settlement_of_a_lane_never_granted_is_refused(log, tmp_path):
    with LedgerStore(tmp_path / "other.sqlite", create=True) as other_store:
        ours_elsewhere = settlement(Log(other_store, ORIGIN, SEED, SUITE), 1)
    with pytest.raises(RuleViolation) as caught:
        log.append_one(ours_elsewhere, NOW_S)
    assert caught.value.reason == "not_granted"


def test_a_settled_receipt_is_proven_and_paid(log):
    submitted = settlement(log, 1)
    index = log.append_one(submitted, NOW_S + 61)
    fill(log, 9)
    checkpoint = verify_receipt(log.inclusion_proof(index), submitted.receipt, log.verifier_key, SUITE)
    assert checkpoint.size == log.size
    assert log.balance(TERMS.host_payout_key) == 40
    assert log.balance(bytes(32)) == 0


def test_a_leaf_says_no_more_than_it_should(log):
    index = log.append_one(settlement(log, 1), NOW_S + 61)
    entry = log.entry(index)
    assert entry == Settle(
        SUITE.ed25519_public(lane_seed(1)), TERMS.host_payout_key, 40, (NOW_S + 61) // 60 * 60, entry.commitment
    )
    assert isinstance(log.entry(index - 1), Grant)


def test_the_logs_time_does_not_go_back_with_the_clock(log):
    log.append_one(grant_request(1), NOW_S)
    index = log.append_one(grant_request(2), NOW_S - 7_200)
    assert log.entry(index).at_s == log.entry(0).at_s == NOW_S // 60 * 60


def test_balances_and_names_survive_reopening(path):
    with LedgerStore(path, create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        submitted = settlement(log, 1)
        index = log.append_one(submitted, NOW_S)
        note = log.checkpoint()
    with LedgerStore(path) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        assert log.checkpoint() == note
        assert log.append_one(submitted, NOW_S) == index
        assert log.balance(TERMS.host_payout_key) == 40


def test_tiles_and_proofs_past_a_full_tile(store, log):
    fill(log, 200)
    first = open_checkpoint(log.checkpoint(), log.verifier_key, SUITE)
    fill(log, 260)
    store.check()
    last = open_checkpoint(log.checkpoint(), log.verifier_key, SUITE)
    entries = decode_entry_bundle(log.read("tile/entries/000"), 256)
    entries += decode_entry_bundle(log.read("tile/entries/001.p/4"), 4)
    tile = decode_hash_tile(log.read("tile/0/000"), 256)
    assert [leaf_hash(entry) for entry in entries[:256]] == list(tile)
    full = CompactRange()
    for leaf in tile:
        full.append(leaf)
    assert log.read("tile/1/000.p/1") == full.root()
    assert log.read("tile/0/000.p/200") == b"".join(tile[:200])
    proof = log.consistency_proof(200, 260)
    verify_consistency(200, 260, proof, first.root, last.root)
    for index in (0, 199, 255, 256, 259):
        data = log.inclusion_proof(index)
        assert open_entry_proof(data, log.verifier_key, SUITE) == (entries[index], last)
        assert verify_proof(LogProof.parse(data), entries[index], log.verifier_key, SUITE) == last


@pytest.mark.parametrize(
    "path_asked",
    ["", "checkpoint/", "tile/0/001", "tile/0/000", "tile/0/000.p/4", "tile/1/000.p/1", "tile/entries/000.p/9", "x"],
)
def test_what_a_log_does_not_have_it_does_not_serve(log, path_asked):
    fill(log, 3)
    with pytest.raises(ResourceNotFound):
        log.read(path_asked)


def test_no_proof_outside_the_log(log):
    fill(log, 3)
    for asked in (lambda: log.inclusion_proof(3), lambda: log.entry(-1), lambda: log.consistency_proof(0, 3)):
        with pytest.raises(ResourceNotFound):
            asked()
