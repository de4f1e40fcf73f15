"""A mirror: what its witness and its validator sign, what they refuse for good, and what survives a crash."""

from contextlib import ExitStack

import apsw
import pytest
from attrs import evolve

from bootstrap.mirror import EQUIVOCATION, INVALID_ENTRY, LogRefused, MirrorFolder, StandsElsewhere
from bootstrap.store import LedgerCorrupt
from peernet.core.credits.credits import GRANTED
from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import Checkpoint, read_unverified, sign_checkpoint
from peernet.core.ledger.entries import Grant, Issue, Settle, encode_entry
from peernet.core.ledger.equivocation import Equivocation, verify_equivocation
from peernet.core.ledger.merkle import CompactRange, consistency_proof, inclusion_proof, leaf_hash
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.notes import encode_signature_lines, open_note, parse_signature_lines
from peernet.core.ledger.proofs import LogProof
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.core.ledger.violations import MAX_EARLIER, InvalidEntry, verify_invalid_entry
from tests.issuers import KEYS, TestIssuer, change_request, redeem_of
from tests.ledger_nodes import NOW_S, SUITE, ask_for, entries_of, grant_request, nodes_in, seed_of

GRANT = Grant(b"\x01" * 32, 1_000, 1_200_000, 60, b"\x0c" * 32)
SETTLE = Settle(b"\x01" * 32, b"\x02" * 32, 10, 120, b"\x0d" * 32)
ISSUER = TestIssuer()
GIFTS = TestIssuer(credit_class=GRANTED)
SECOND = TestIssuer(KEYS[1], issue_from_s=120)
THIRD = TestIssuer(KEYS[2], issue_from_s=180)
OWNED = ISSUER.credits(2)
FORGED = evolve(OWNED[0], signature=bytes(256))
ISSUED = (ISSUER.key, GIFTS.key, Issue(ISSUER.key.key_id, 5, 60))
LANE = redeem_of(1, 2_000, OWNED)
LANE_SETTLED = Settle(LANE.lane_key, b"\x02" * 32, 500, 180, bytes(32))
CHANGE = change_request(1, (ISSUER.key.key_id, 1)).entry(180)
TOO_MUCH = change_request(1, (ISSUER.key.key_id, 2)).entry(180)


@pytest.fixture
def nodes(tmp_path):
    with ExitStack() as stack:
        yield nodes_in(tmp_path, stack, "ab")[0]


@pytest.fixture
def log(nodes):
    return nodes[0].new_log()


@pytest.fixture
def mirror(nodes):
    return nodes[1].mirror_of(nodes[0])


def fill(log, *numbers):
    log.append([grant_request(number) for number in numbers], NOW_S)


def follow(mirror, log, *, old_size=None):
    """One exchange: the witness's line and the validator's."""
    request = ask_for(log, mirror.size if old_size is None else old_size)
    witnessed = mirror.witness(request.old_size, request.proof, request.checkpoint, NOW_S)
    return witnessed, mirror.extend(entries_of(log)[mirror.size :], request.checkpoint, NOW_S)


def reason_of(call, *args):
    with pytest.raises(RemoteProtocolError) as raised:
        call(*args)
    return raised.value.reason


def signed_log(leaves, origin="a"):
    """The checkpoint of a log that signs anything, and the proof of each entry."""
    tree, nodes = CompactRange(), {}
    for leaf in leaves:
        for node in tree.append(leaf_hash(leaf)):
            nodes[node.level, node.position] = node.hash
    note = sign_checkpoint(Checkpoint(origin, len(leaves), tree.root()), seed_of(origin), SUITE)
    proofs = [
        LogProof(index, inclusion_proof(index, len(leaves), lambda level, at: nodes[level, at]), note, leaf).encode()
        for index, leaf in enumerate(leaves)
    ]
    return note, proofs


# Following


def test_both_cosignatures_verify_under_two_keys(nodes, log, mirror):
    fill(log, 1, 2)
    lines = follow(mirror, log)
    keys = (nodes[1].witness.key(SUITE), nodes[1].validator.key(SUITE))
    note = log.checkpoint() + encode_signature_lines(lines)
    opened = open_note(note, keys, SUITE)
    assert [signer.key for signer in opened.signers] == list(keys)
    assert {signer.timestamp_s for signer in opened.signers} == {NOW_S}
    assert keys[0].public_key != keys[1].public_key
    assert parse_signature_lines(encode_signature_lines(lines)) == lines


def test_a_mirror_follows_batch_by_batch_and_serves_what_it_has(log, mirror):
    for batch in ((), (1,), (2, 3, 4), tuple(range(5, 300))):
        fill(log, *batch)
        follow(mirror, log)
        assert mirror.size == log.size
    assert mirror.read("tile/entries/000") == log.read("tile/entries/000")
    assert mirror.read("tile/1/000.p/1") == log.read("tile/1/000.p/1")
    served = read_unverified(mirror.read("checkpoint"))
    assert served == read_unverified(log.checkpoint())
    assert b"b/validator" in mirror.read("checkpoint")
    with pytest.raises(ResourceNotFound):
        mirror.read("refused")


def test_the_same_checkpoint_again_gets_the_same_answer(log, mirror):
    fill(log, 1)
    assert follow(mirror, log) == follow(mirror, log)


def test_the_witness_may_be_ahead_of_the_validator(nodes, log, mirror):
    fill(log, 1)
    request = ask_for(log, 0)
    mirror.witness(0, (), request.checkpoint, NOW_S)
    assert mirror.size == 0
    fill(log, 2)
    follow(mirror, log, old_size=1)
    assert mirror.size == 2


def test_who_builds_on_another_size_is_told_where_the_witness_stands(log, mirror):
    fill(log, 1, 2)
    follow(mirror, log)
    fill(log, 3)
    for old_size in (0, 1, 3):
        with pytest.raises(StandsElsewhere) as stands:
            follow(mirror, log, old_size=old_size)
        assert stands.value.size == 2
        assert read_unverified(stands.value.checkpoint).size == 2
    assert mirror.size == 2


def test_what_the_log_did_not_sign_is_refused(nodes, log, mirror):
    fill(log, 1)
    note = log.checkpoint()
    assert reason_of(mirror.witness, 0, (), note.replace(b"\n1\n", b"\n2\n"), NOW_S) == "bad_signature"
    other, _ = signed_log([encode_entry(GRANT)], origin="b")
    assert reason_of(mirror.witness, 0, (), other, NOW_S) == "unsigned"
    assert reason_of(mirror.witness, 2, (), note, NOW_S) == "bad_request"
    assert reason_of(mirror.witness, 0, (bytes(32),), note, NOW_S) == "bad_proof"


def test_a_wrong_consistency_proof_refuses_nothing_for_good(log, mirror):
    fill(log, 1, 2, 3)
    follow(mirror, log)
    fill(log, 4, 5)
    request = ask_for(log, 3)
    forged = (bytes(32), *request.proof[1:])
    assert reason_of(mirror.witness, 3, forged, request.checkpoint, NOW_S) == "bad_proof"
    mirror.refuse_if_forked(entries_of(log), request.checkpoint)
    follow(mirror, log)
    assert mirror.size == 5


def test_entries_that_do_not_lead_to_the_root_are_not_signed(log, mirror):
    fill(log, 1, 2)
    request = ask_for(log, 0)
    mirror.witness(0, (), request.checkpoint, NOW_S)
    for entries in (entries_of(log)[:1], entries_of(log)[::-1], [*entries_of(log), b"more"]):
        assert reason_of(mirror.extend, entries, request.checkpoint, NOW_S) == "bad_entries"
    assert mirror.size == 0
    follow(mirror, log, old_size=2)


def test_an_entry_from_the_future_is_withheld_until_its_time_comes(log, mirror):
    log.append([grant_request(1)], NOW_S + 600)
    request = ask_for(log, 0)
    mirror.witness(0, (), request.checkpoint, NOW_S)
    assert reason_of(mirror.extend, entries_of(log), request.checkpoint, NOW_S) == "time_ahead"
    assert (mirror.size, mirror.refusal) == (0, None)
    mirror.extend(entries_of(log), request.checkpoint, NOW_S + 600)
    assert mirror.size == 1


# Refusing for good


def test_two_roots_of_one_size_are_refused_for_good_with_a_proof(nodes, log, mirror):
    fill(log, 1, 2)
    follow(mirror, log)
    fork = nodes[0].new_log()
    fill(fork, 3, 4)
    with pytest.raises(LogRefused) as refused:
        follow(mirror, fork, old_size=2)
    assert refused.value.refusal.reason == EQUIVOCATION
    proof = Equivocation.parse(mirror.read("refused"))
    assert verify_equivocation(proof, nodes[0].log_key, SUITE).index is None
    fill(log, 5)
    for reopened in (False, True):
        with pytest.raises(LogRefused):
            follow(nodes[1].mirror_of(nodes[0], reopen=reopened), log, old_size=2)


def test_a_longer_fork_is_refused_once_its_entries_are_seen(nodes, log, mirror):
    fill(log, 1, 2, 3)
    follow(mirror, log)
    fork = nodes[0].new_log()
    fill(fork, 1, 9, 3, 4, 5)
    request = ask_for(fork, 3)
    assert reason_of(mirror.witness, 3, request.proof, request.checkpoint, NOW_S) == "bad_proof"
    with pytest.raises(LogRefused) as refused:
        mirror.refuse_if_forked(entries_of(fork), request.checkpoint)
    proof = Equivocation.parse(refused.value.refusal.proof)
    assert verify_equivocation(proof, nodes[0].log_key, SUITE).index == 1


@pytest.mark.parametrize(
    ("leaves", "index", "rule"),
    [
        ([GRANT, GRANT], 1, "granted_twice"),
        ([GRANT, evolve(SETTLE, amount_microcredits=1_001)], 1, "bad_amount"),
        ([GRANT, SETTLE, evolve(SETTLE, amount_microcredits=11)], 2, "settled_twice"),
        ([GRANT, SETTLE, evolve(GRANT, lane_key=b"\x05" * 32)], 2, "time_went_back"),
        ([evolve(GRANT, at_s=61)], 0, "fine_time"),
        ([GRANT, b"\xc0"], 1, "bad_message"),
        ([*ISSUED, LANE, redeem_of(2, 1_000, OWNED[:1])], 4, "spent_twice"),
        ([*ISSUED, redeem_of(2, 1_000, OWNED[:1]), evolve(GRANT, at_s=120), LANE], 5, "spent_twice"),
        ([*ISSUED, redeem_of(2, 1_000, [FORGED])], 3, "bad_credit"),
        ([*ISSUED, redeem_of(2, 1_001, OWNED[:1])], 3, "bad_cap"),
        ([*ISSUED, redeem_of(2, 1_000, OWNED[:1], at_s=ISSUER.redeem_until_s)], 3, "bad_expiry"),
        ([*ISSUED, redeem_of(2, 1_000, OWNED[:1], 72_000, ISSUER.redeem_until_s)], 3, "out_of_period"),
        ([*ISSUED, redeem_of(2, 2_000, [*OWNED[:1], *GIFTS.credits(1)])], 3, "mixed_classes"),
        ([*ISSUED, LANE, evolve(GRANT, lane_key=LANE.lane_key, at_s=120)], 4, "granted_twice"),
        ([*ISSUED, ISSUER.key], 3, "announced_twice"),
        ([ISSUER.key, SECOND.key, THIRD.key], 2, "too_many_keys"),
        ([SECOND.key, ISSUER.key], 1, "key_order"),
        ([*ISSUED, Issue(ISSUER.key.key_id, 3, 60)], 3, "not_growing"),
        ([*ISSUED, Issue(ISSUER.key.key_id, 9, 6_000)], 3, "out_of_period"),
        ([*ISSUED, LANE, LANE_SETTLED, CHANGE, evolve(CHANGE, at_s=240)], 6, "changed_twice"),
        ([*ISSUED, LANE, LANE_SETTLED, TOO_MUCH], 5, "bad_amount"),
        ([*ISSUED, LANE, LANE_SETTLED, evolve(CHANGE, signature=bytes(64))], 5, "bad_signature"),
        ([*ISSUED, evolve(GRANT, lane_key=LANE.lane_key, at_s=60), evolve(CHANGE, at_s=120)], 4, "no_credits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("at_once", [True, False])
def test_an_entry_that_breaks_a_rule_is_refused_for_good_with_a_proof(nodes, mirror, leaves, index, rule, at_once):
    encoded = [leaf if isinstance(leaf, bytes) else encode_entry(leaf) for leaf in leaves]
    for end in [len(encoded)] if at_once else range(1, len(encoded) + 1):
        note, _ = signed_log(encoded[:end])
        start = mirror.size
        if start == 0:
            mirror.witness(0, (), note, NOW_S)
        else:
            tree, store = CompactRange(), {}
            for leaf in encoded[:end]:
                store |= {(node.level, node.position): node.hash for node in tree.append(leaf_hash(leaf))}
            proof = consistency_proof(start, end, lambda level, at, store=store: store[level, at])
            mirror.witness(start, proof, note, NOW_S)
        try:
            mirror.extend(encoded[start:end], note, NOW_S)
        except LogRefused as error:
            refusal = error.refusal
    assert mirror.refusal == refusal
    assert refusal.reason == INVALID_ENTRY
    place, broken = verify_invalid_entry(InvalidEntry.parse(refusal.proof), nodes[0].log_key, SUITE)
    assert (place, broken.reason) == (index, rule)


@pytest.mark.parametrize(
    "leaves",
    [
        [SETTLE],
        [LANE],
        [ISSUER.key, Issue(ISSUER.key.key_id, 1, 60), LANE],
        [*ISSUED, LANE, CHANGE],
        [*ISSUED, CHANGE],
    ],
    ids=["settled, not granted", "key not announced", "too few issued", "not settled", "not funded"],
)
def test_what_is_missing_is_refused_though_only_the_whole_log_shows_it(nodes, mirror, leaves):
    encoded = [encode_entry(leaf) for leaf in leaves]
    note, _ = signed_log(encoded)
    mirror.witness(0, (), note, NOW_S)
    with pytest.raises(LogRefused) as refused:
        mirror.extend(encoded, note, NOW_S)
    claim = InvalidEntry.parse(refused.value.refusal.proof)
    assert reason_of(verify_invalid_entry, claim, nodes[0].log_key, SUITE) == "no_violation"


def test_an_honest_entry_cannot_be_made_to_look_wrong(nodes):
    key = nodes[0].log_key
    leaves = [encode_entry(entry) for entry in (GRANT, SETTLE, evolve(GRANT, lane_key=b"\x05" * 32, at_s=120))]
    _, (granted, settled, last) = signed_log(leaves)
    for claim in (
        InvalidEntry(granted),
        InvalidEntry(settled),
        InvalidEntry(settled, (granted,)),
        InvalidEntry(last, (granted, settled)),
        InvalidEntry(granted, (settled,)),
        InvalidEntry(last, (settled, granted)),
        InvalidEntry(last, (granted,) * (MAX_EARLIER + 1)),
        InvalidEntry(granted, (granted,)),
    ):
        assert reason_of(verify_invalid_entry, claim, key, SUITE) == "no_violation"
    forged = InvalidEntry(LogProof(0, (), LogProof.parse(granted).checkpoint, b"\xc0").encode())
    assert reason_of(verify_invalid_entry, forged, key, SUITE) == "bad_proof"


# The disk


def test_a_mirror_goes_on_after_a_restart_where_it_was(nodes, log, mirror):
    fill(log, 1, 2, 3)
    follow(mirror, log)
    again = nodes[1].mirror_of(nodes[0], reopen=True)
    assert again.size == 3
    fill(log, 4)
    follow(again, log)
    assert again.size == 4


def test_a_mirror_with_an_entry_that_was_not_signed_does_not_open(nodes, log, mirror):
    fill(log, 1, 2, 3)
    follow(mirror, log)
    raised = encode_entry(evolve(log.entry(1), cap_microcredits=999_999))
    mirror._store._connection.execute("UPDATE entry SET leaf = ? WHERE position = 1", (raised,))
    with pytest.raises(LedgerCorrupt, match=r"mirror of .*entries do not lead to the signed root"):
        nodes[1].mirror_of(nodes[0], reopen=True)


def test_crash_between_replaying_and_writing_signs_nothing(nodes, log, mirror, monkeypatch):
    """The validator's line comes only after the write: a write that fails gives none, and the next try succeeds."""
    fill(log, 1, 2)
    request = ask_for(log, 0)
    mirror.witness(0, (), request.checkpoint, NOW_S)
    with monkeypatch.context() as patched:

        def full(*_):
            raise apsw.FullError

        patched.setattr(mirror._store, "append", full)
        with pytest.raises(apsw.FullError):
            mirror.extend(entries_of(log), request.checkpoint, NOW_S)
    assert mirror.size == 0
    mirror.extend(entries_of(log), request.checkpoint, NOW_S)
    assert nodes[1].mirror_of(nodes[0], reopen=True).size == 2


def test_what_was_signed_is_on_the_disk_before(nodes, log, mirror):
    fill(log, 1)
    request = ask_for(log, 0)
    mirror.witness(0, (), request.checkpoint, NOW_S)
    again = nodes[1].mirror_of(nodes[0], reopen=True)
    with pytest.raises(StandsElsewhere) as stands:
        again.witness(0, (), request.checkpoint, NOW_S)
    assert stands.value.size == 1


def test_mirrors_missing_are_an_error(tmp_path):
    folder = MirrorFolder(tmp_path / "mirrors")
    with pytest.raises(UserError, match=r"the mirrors in .* are missing"):
        folder.prepare(new=False)
    folder.prepare(new=True)
    folder.prepare(new=False)
    folder.open("a").close()
    folder.open("b").close()
    folder.open("a").close()
    (tmp_path / "mirrors" / f"{mirror_prefix('a').split('/')[1]}.sqlite").unlink()
    with pytest.raises(UserError, match="the mirror of a is missing"):
        folder.open("a")
    folder.open("b").close()
