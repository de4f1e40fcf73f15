"""The issuer: keys are announced and counted before anything is signed, and a lost answer is asked for again."""

from contextlib import contextmanager
from itertools import cycle

import pytest
from attrs import evolve

from bootstrap import issuing
from bootstrap.issuing import BLOCK, MAX_A_REQUEST, CreditIssuer, SigningRefused
from bootstrap.issuing_store import IssuingStore
from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.core.credits.blind_rsa import PublicKey, blind_sign
from peernet.core.credits.credits import BOUGHT, CLASSES, DENOMINATIONS, blinded_credits, check_credit
from peernet.core.errors import UserError
from peernet.core.ledger.entries import ChangePart, Issue, IssuerKey, decode_entry
from peernet.core.ledger.proofs import open_entry_proof
from peernet.core.ledger.rules import RuleViolation
from peernet.core.metering import (
    GrantRequest,
    Lane,
    LaneTerms,
    RedeemRequest,
    Settlement,
    sign_change,
    sign_receipt,
    sign_voucher,
)
from tests.issuers import KEYS, SUITE, lane_seed
from tests.ledger_nodes import entries_of

EPOCH_S = 3_600
BEGIN_S = 1_000_020
MAKE_KEY = issuing._new_key


class Node:
    """A log and its issuer, on one folder; the clock is the test's."""

    def __init__(self, folder, store, log, kept, classes):
        self.folder, self.store, self.log, self.kept = folder, store, log, kept
        self.now_s = BEGIN_S
        self.busy = False
        self.issuer = CreditIssuer(kept, log, self.submit, self.prove, EPOCH_S, classes, lambda: self.now_s)

    async def submit(self, submission):
        if self.busy:
            raise RuleViolation("busy", reason="busy")
        return self.log.append_one(submission, self.now_s)

    async def prove(self, index):
        return self.log.inclusion_proof(index)

    def entries(self, kind):
        return [entry for entry in map(decode_entry, entries_of(self.log)) if isinstance(entry, kind)]

    def key(self, denomination=1_000):
        keys = self.issuer.keys()
        return next(key.entry for key in keys if key.entry.denomination_microcredits == denomination)

    def blinded(self, count, seed=b"\x01" * 32, denomination=1_000):
        key = self.key(denomination)
        return blinded_credits(PublicKey.from_bytes(key.modulus), key.key_id, seed, count)

    async def withdraw(self, count, number=1, denomination=1_000):
        seed = number.to_bytes(32, "big")
        made = self.blinded(count, seed, denomination)
        name = self.key(denomination).key_id[:16] + seed[16:]
        signed = await self.issuer.sign(name, BOUGHT, denomination, [one.blinded for one in made])
        return [one.finish(signature) for one, signature in zip(made, signed, strict=True)]


@contextmanager
def node_in(folder, classes=(BOUGHT,)):
    ledger, keys = folder / "ledger.sqlite", folder / "issuing.sqlite"
    with (
        LedgerStore(ledger, create=not ledger.exists()) as store,
        IssuingStore(keys, create=not keys.exists()) as kept,
    ):
        yield Node(folder, store, Log(store, "log.example/one", bytes(32), SUITE), kept, classes)


@pytest.fixture(autouse=True)
def kept_keys(monkeypatch):
    """Making keys takes a while."""
    keys = cycle(KEYS)
    monkeypatch.setattr(issuing, "_new_key", lambda: next(keys))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(issuing, "BLOCK", 8)
    return 8


@pytest.fixture
async def node(tmp_path):
    with node_in(tmp_path) as node:
        await node.issuer.renew()
        yield node


def test_a_key_that_is_made_is_one():
    made = MAKE_KEY()
    assert PublicKey.from_bytes(made.public.to_bytes()) == made.public
    blinded = b"\x01" * 256
    assert pow(int.from_bytes(blind_sign(made, blinded, 7)), 65537, made.public.modulus) == int.from_bytes(blinded)


async def test_keys_are_announced_and_blocks_are_written_before_anything_is_asked(node):
    keys = node.entries(IssuerKey)
    assert sorted(key.denomination_microcredits for key in keys) == list(DENOMINATIONS)
    assert {issue.total for issue in node.entries(Issue)} == {2 * BLOCK}
    issued_keys = node.issuer.keys()
    for issued in issued_keys:
        entry, _ = open_entry_proof(issued.proof, node.log.verifier_key, SUITE)
        assert decode_entry(entry).key_id == issued.entry.key_id
    assert len(node.issuer.keys()) == len(DENOMINATIONS)
    assert len(CLASSES) == 2


async def test_what_is_signed_is_a_credit(node):
    for credit in await node.withdraw(3):
        check_credit(credit, PublicKey.from_bytes(node.key().modulus))


async def test_a_withdrawal_is_no_entry(node):
    before = entries_of(node.log)
    await node.withdraw(5)
    await node.issuer.renew()
    assert entries_of(node.log) == before


async def test_a_lost_answer_is_asked_for_again_and_counts_once(node):
    first = await node.withdraw(4)
    assert await node.withdraw(4) == first
    assert node.issuer._keys[node.key().key_id].handed_out == 4
    with pytest.raises(SigningRefused) as raised:
        await node.withdraw(5)
    assert raised.value.reason == "other_request"


async def test_a_lost_answer_is_asked_for_again_after_a_restart(tmp_path):
    with node_in(tmp_path) as node:
        await node.issuer.renew()
        first = await node.withdraw(4)
    with node_in(tmp_path) as node:
        await node.issuer.renew()
        assert node.issuer._keys[node.key().key_id].handed_out == 4
        assert await node.withdraw(4) == first


async def test_a_copy_that_is_put_back_signs_no_more_than_the_log_says_on_top(small_blocks, tmp_path):
    with node_in(tmp_path) as node:
        await node.issuer.renew()
        await node.withdraw(5)
        key_id = node.key().key_id
        node.kept.forget_counts()
    with node_in(tmp_path) as node:
        issued = max(issue.total for issue in node.entries(Issue) if issue.key_id == key_id)
        assert node.issuer._keys[key_id].handed_out == issued
        await node.issuer.renew()
        await node.withdraw(3, 9)
        assert max(issue.total for issue in node.entries(Issue) if issue.key_id == key_id) >= issued + 3


async def test_no_more_is_signed_than_the_log_says(small_blocks, node):
    key_id = node.key().key_id
    for number in range(1, 8):
        await node.withdraw(5, number)
        total = max(issue.total for issue in node.entries(Issue) if issue.key_id == key_id)
        assert node.issuer._keys[key_id].handed_out <= total
        assert total % small_blocks == 0


async def test_what_the_log_cannot_write_is_not_signed(small_blocks, node):
    for number in (1, 2, 3):
        await node.withdraw(5, number)
    node.busy = True
    with pytest.raises(SigningRefused) as raised:
        await node.withdraw(5, 4)
    assert raised.value.reason == "busy"
    assert node.issuer._keys[node.key().key_id].handed_out == 15
    node.busy = False
    await node.withdraw(5, 4)


async def test_blocks_are_written_in_rounds_ahead_of_need(small_blocks, node):
    await node.withdraw(5, 1)
    await node.withdraw(5, 2)
    before = len(entries_of(node.log))
    await node.issuer.renew()
    (issue,) = node.entries(Issue)[len(DENOMINATIONS) :]
    assert (len(entries_of(node.log)), issue.total) == (before + 1, 3 * small_blocks)


async def test_epochs_overlap_and_a_request_is_signed_under_the_key_that_it_names(node):
    old = node.key()
    (credit,) = await node.withdraw(1)
    made = node.blinded(1, b"\x07" * 32)
    node.now_s = old.issue_until_s - 60
    await node.issuer.renew()
    assert node.key() == old
    node.now_s = old.issue_until_s
    await node.issuer.renew()
    new = node.key()
    assert (new.issue_from_s, new.key_id != old.key_id) == (old.issue_until_s, True)
    lane_key = SUITE.ed25519_public(lane_seed(1))
    request = RedeemRequest(lane_key, 1_000, node.now_s // 60 * 60 + 600, bytes(32), (credit,))
    await node.submit(request)
    with pytest.raises(SigningRefused) as raised:
        await node.issuer.sign(old.key_id[:16] + bytes(16), BOUGHT, 1_000, [made[0].blinded])
    assert raised.value.reason == "key_over"
    node.now_s = old.redeem_until_s
    await node.issuer.renew()
    assert old.key_id not in node.issuer._keys
    with pytest.raises(RuleViolation):
        await node.submit(evolve(request, lane_key=bytes(32), expires_at_s=node.now_s // 60 * 60 + 600))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"request_id": b"short"}, "bad_request"),
        ({"request_id": bytes(32)}, "unknown_key"),
        ({"denomination": 10_000}, "unknown_key"),
        ({"credit_class": "granted"}, "unknown_key"),
        ({"blinded": []}, "bad_request"),
        ({"blinded": [b"\x01" * 256] * (MAX_A_REQUEST + 1)}, "bad_request"),
        ({"blinded": [bytes(256)]}, "bad_blinded"),
        ({"blinded": [b"\xff" * 256]}, "bad_blinded"),
        ({"blinded": [b""]}, "bad_blinded"),
    ],
)
async def test_what_is_wrong_is_refused_and_counts_nothing(node, change, reason):
    request = {
        "request_id": node.key().key_id[:16] + bytes(16),
        "credit_class": BOUGHT,
        "denomination": 1_000,
        "blinded": [b"\x01" * 256],
    }
    with pytest.raises(SigningRefused) as raised:
        await node.issuer.sign(**request | change)
    assert raised.value.reason == reason
    assert node.issuer._keys[node.key().key_id].handed_out == 0


async def test_a_database_that_was_lost_is_not_made_anew(node):
    (node.folder / "issuing.sqlite").unlink()
    with IssuingStore(node.folder / "issuing.sqlite", create=True) as empty, pytest.raises(UserError, match="restore"):
        CreditIssuer(empty, node.log, node.submit, node.prove, EPOCH_S, (BOUGHT,), lambda: node.now_s)


async def test_a_key_whose_minute_was_over_before_it_was_announced_begins_anew(tmp_path):
    with node_in(tmp_path) as node:
        node.busy = True
        with pytest.raises(RuleViolation):
            await node.issuer.renew()
        node.busy, node.now_s = False, node.now_s + 120
        await node.issuer.renew()
        assert all(key.issue_from_s == node.now_s // 60 * 60 for key in node.entries(IssuerKey))
        await node.withdraw(1)


async def lane(node, number, spent, settle=None):
    """A lane that is funded by credits, and settled for some tokens."""
    terms = LaneTerms(SUITE.ed25519_public(b"\x22" * 32), 1, 1, 8)
    seed = lane_seed(number)
    expires_at_s = node.now_s // 60 * 60 + 600
    key, cap = SUITE.ed25519_public(seed), 1_000 * len(spent)
    request = RedeemRequest(key, cap, expires_at_s, terms.commit(bytes(32)), tuple(spent))
    await node.submit(request)
    if settle is not None:
        opened = Lane("log.example/one", request.lane_key, terms, request.cap_microcredits, expires_at_s)
        receipt = sign_receipt(sign_voucher(opened, settle, 0, seed, SUITE), bytes(32), b"\x22" * 32, SUITE)
        await node.submit(Settlement(receipt, terms, bytes(32)))
    return seed


async def test_change_is_signed_once_the_lane_is_settled_and_again_when_asked_again(node):
    seed = await lane(node, 1, await node.withdraw(4), settle=1_500)
    made = node.blinded(2, b"\x09" * 32)
    request = sign_change(seed, (ChangePart(node.key().key_id, 2),), tuple(one.blinded for one in made), SUITE)
    signed = await node.issuer.change(request)
    assert await node.issuer.change(request) == signed
    again = [one.finish(signature) for one, signature in zip(made, signed, strict=True)]
    await lane(node, 2, again)
    other = sign_change(seed, (ChangePart(node.key().key_id, 1),), (made[0].blinded,), SUITE)
    with pytest.raises(RuleViolation) as raised:
        await node.issuer.change(other)
    assert raised.value.reason == "changed_twice"


async def test_no_change_is_signed_that_the_log_does_not_give(node):
    seed = await lane(node, 1, await node.withdraw(2))
    key_id, blinded = node.key().key_id, tuple(one.blinded for one in node.blinded(3))
    for parts, messages, reason in (
        ((ChangePart(key_id, 1),), blinded[:1], "not_settled"),
        ((ChangePart(key_id, 2),), blinded[:1], "bad_change"),
        ((ChangePart(key_id, 1),), blinded[:2], "bad_change"),
        ((ChangePart(key_id, -1), ChangePart(key_id, 1)), (), "bad_change"),
        ((ChangePart(bytes(32), 1),), blinded[:1], "unknown_key"),
        ((ChangePart(key_id, 1),), (bytes(256),), "bad_blinded"),
    ):
        with pytest.raises(RuleViolation) as raised:
            await node.issuer.change(sign_change(seed, parts, messages, SUITE))
        assert raised.value.reason == reason


async def test_a_free_grant_is_as_it_was(node):
    request = GrantRequest(SUITE.ed25519_public(lane_seed(7)), 10, BEGIN_S // 60 * 60 + 600, bytes(32))
    assert await node.submit(request) == await node.submit(request)


def test_the_keys_are_their_owners_alone(tmp_path):
    path = tmp_path / "issuing.sqlite"
    with node_in(tmp_path):
        assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        IssuingStore(path)
    with pytest.raises(UserError, match="issuer keys"):
        IssuingStore(tmp_path / "ledger.sqlite")
    with pytest.raises(UserError, match="no database of issuer keys"):
        IssuingStore(tmp_path / "none.sqlite")
