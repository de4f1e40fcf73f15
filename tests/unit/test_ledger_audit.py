"""The audit finds what a log changed: each test edits one thing that is served, and names it."""

import pytest
from attrs import evolve

from bootstrap.audit import MAX_PROBLEMS, audit
from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint, read_unverified, sign_checkpoint
from peernet.core.ledger.entries import Grant, Settle, decode_entry, encode_entry
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.tiles import ResourceNotFound, decode_entry_bundle, encode_entry_bundle
from peernet.core.metering import GrantRequest, Lane, LaneTerms, Settlement, sign_receipt, sign_voucher
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
ORIGIN = "log.example/one"
SEED, PAYOUT_SEED, NONCE = b"\x01" * 32, b"\x03" * 32, b"\x0a" * 32
KEY = VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(SEED)).text()
TERMS = LaneTerms(SUITE.ed25519_public(PAYOUT_SEED), 2, 5, 8)
GRANTS = 258


def settlement(seed):
    lane = Lane(ORIGIN, SUITE.ed25519_public(seed), TERMS, 1_000, 600)
    voucher = sign_voucher(lane, 10, 4, seed, SUITE)
    return Settlement(sign_receipt(voucher, NONCE, PAYOUT_SEED, SUITE), TERMS, NONCE)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """All the files of an honest log: 258 grants, 2 of them settled."""
    seeds = [number.to_bytes(32, "big") for number in range(1, GRANTS + 1)]
    submissions = [GrantRequest(SUITE.ed25519_public(seed), 1_000, 600, TERMS.commit(NONCE)) for seed in seeds]
    submissions += [settlement(seed) for seed in seeds[:2]]
    with LedgerStore(tmp_path_factory.mktemp("ledger") / "ledger.sqlite", create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        assert log.append(submissions, 60) == tuple(range(GRANTS + 2))
        paths = [
            "checkpoint",
            "tile/0/000",
            "tile/0/001.p/4",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/4",
        ]
        return {path: log.read(path) for path in paths}


def fetch_from(files):
    def fetch(path):
        try:
            return files[path]
        except KeyError:
            raise ResourceNotFound(f"nothing at {path}") from None

    return fetch


def served(entries):
    """The files of a log whose operator signs whatever these entries are."""
    tree = CompactRange()
    hashes = [leaf_hash(entry) for entry in entries]
    for leaf in hashes:
        tree.append(leaf)
    return {
        "checkpoint": sign_checkpoint(Checkpoint(ORIGIN, len(entries), tree.root()), SEED, SUITE),
        f"tile/0/000.p/{len(entries)}": b"".join(hashes),
        f"tile/entries/000.p/{len(entries)}": encode_entry_bundle(entries),
    }


def test_an_honest_log_is_found_in_order(honest):
    report = audit(fetch_from(honest), KEY)
    assert report.ok, report.problems
    assert (report.origin, report.size, report.grants, report.settlements) == (ORIGIN, GRANTS + 2, GRANTS, 2)
    assert report.total_microcredits == 80
    assert report.root == read_unverified(honest["checkpoint"]).root


def test_the_audit_reads_no_more_than_what_a_log_serves(honest):
    asked = []
    audit(lambda path: asked.append(path) or honest[path], KEY)
    assert sorted(asked) == sorted(honest)


def test_an_empty_log_is_in_order():
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, CompactRange().root()), SEED, SUITE)
    assert audit(fetch_from({"checkpoint": note}), KEY).ok


def test_edited_entry_is_found_by_the_audit(honest):
    entries = list(decode_entry_bundle(honest["tile/entries/000"], 256))
    entries[17] = encode_entry(evolve(decode_entry(entries[17]), cap_microcredits=5_000))
    report = audit(fetch_from({**honest, "tile/entries/000": encode_entry_bundle(entries)}), KEY)
    assert not report.ok
    assert any("entry 17 does not hash" in problem for problem in report.problems)
    assert any("signed root" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tile/0/000", "entry 0 does not hash"),
        ("tile/0/001.p/4", "entry 256 does not hash"),
        ("tile/1/000.p/1", "full tile 0 of level 0 does not hash"),
    ],
)
def test_edited_tile_is_found_by_the_audit(honest, path, words):
    tile = honest[path]
    report = audit(fetch_from({**honest, path: bytes([tile[0] ^ 1]) + tile[1:]}), KEY)
    assert len(report.problems) == 1
    assert words in report.problems[0]


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000"])
def test_a_file_that_is_missing_or_cut_is_found(honest, path):
    without = {name: data for name, data in honest.items() if name != path}
    for files in (without, {**honest, path: honest[path][:-1]}):
        report = audit(fetch_from(files), KEY)
        assert any(problem.startswith(f"{path}:") for problem in report.problems), report.problems


def test_a_checkpoint_of_another_key_is_found(honest):
    other = VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(b"\x09" * 32)).text()
    report = audit(fetch_from(honest), other)
    assert (report.ok, report.size, len(report.problems)) == (False, 0, 1)


def test_a_rewritten_history_under_the_old_checkpoint_is_found(honest):
    entries = decode_entry_bundle(honest["tile/entries/000"], 256)[:3]
    files = served(entries)
    report = audit(fetch_from({**files, "checkpoint": honest["checkpoint"]}), KEY)
    assert not report.ok


GRANT = Grant(bytes(32), 100, 600, 60, bytes(32))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([GRANT, GRANT], "granted before"),
        ([GRANT, Settle(bytes(32), bytes(32), 101, 60, bytes(32))], "settlement of 101"),
        ([GRANT, *[Settle(bytes(32), bytes(32), 60, 60, bytes(32))] * 2], "settled before"),
        ([GRANT, evolve(GRANT, lane_key=b"\x01" * 32, at_s=0)], "after the time"),
    ],
)
def test_an_operator_that_signs_against_the_rules_is_found(entries, words):
    report = audit(fetch_from(served([encode_entry(entry) for entry in entries])), KEY)
    assert len(report.problems) == 1
    assert words in report.problems[0]
    assert report.problems[0].startswith(f"entry {len(entries) - 1}: ")


def test_a_leaf_that_is_no_entry_is_found():
    report = audit(fetch_from(served([b"hello"])), KEY)
    assert report.problems[0].startswith("entry 0: ")


def test_problems_are_bounded():
    report = audit(fetch_from(served([b"hello %d" % number for number in range(255)])), KEY)
    assert len(report.problems) == MAX_PROBLEMS


def test_no_audit_without_a_connection_or_a_key(honest):
    def down(path):
        raise ConnectionFailed(f"no answer for {path}")

    with pytest.raises(ConnectionFailed):
        audit(down, KEY)
    with pytest.raises(RemoteProtocolError):
        audit(fetch_from(honest), "no key")
