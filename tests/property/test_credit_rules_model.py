"""The ledger's rules about credits, against a brute-force twin that keeps the list of entries and searches it."""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.credits.credits import BOUGHT, GRANTED
from peernet.core.ledger.credit_rules import MAX_ISSUED, MAX_ISSUING_S, MAX_REDEEMING_S
from peernet.core.ledger.entries import (
    Change,
    Grant,
    Issue,
    IssuerKey,
    Redeem,
    Settle,
    decode_entry,
    encode_entry,
    submission_id,
)
from peernet.core.ledger.rules import MAX_LANE_LIFETIME_S, SETTLE_GRACE_S, LedgerState, RuleViolation
from tests.issuers import KEYS, SUITE, TestIssuer, change_request, lane_seed, redeem_of

LATE = SETTLE_GRACE_S + 20 * 60
SMALL = TestIssuer(KEYS[0], 1_000, BOUGHT, 0, LATE, 2 * LATE, 0)
LARGE = TestIssuer(KEYS[1], 10_000, BOUGHT, 60, 240, 300, 0)
GIVEN = TestIssuer(KEYS[2], 1_000, GRANTED, 0, LATE, LATE, 0)
NEXT = TestIssuer(KEYS[2], 1_000, BOUGHT, 120, 2 * LATE, 3 * LATE, 0)
THIRD = TestIssuer(KEYS[1], 1_000, BOUGHT, 180, 2 * LATE, 3 * LATE, 0)
ISSUERS = (SMALL, LARGE, GIVEN, NEXT, THIRD)
WORTH = {issuer.key.key_id: issuer.denomination for issuer in ISSUERS}
OWNED = [credit for issuer in (SMALL, LARGE, GIVEN) for credit in issuer.credits(2)]
FORGED = evolve(OWNED[0], signature=bytes(256))
LANES = [SUITE.ed25519_public(lane_seed(number)) for number in (1, 2)]
PAYOUT = bytes([11]) * 32


class History:
    """Entries that were taken, searched for everything."""

    def __init__(self):
        self.entries = []

    def of(self, kind, **fields):
        return [
            entry
            for entry in self.entries
            if isinstance(entry, kind) and all(getattr(entry, name) == value for name, value in fields.items())
        ]

    def key(self, key_id):
        return next((entry for entry in self.of(IssuerKey) if entry.key_id == key_id), None)

    def signs(self, key_id, at_s):
        key = self.key(key_id)
        return key is not None and key.issue_from_s <= at_s < key.issue_until_s

    def total(self, key_id):
        return max((entry.total for entry in self.of(Issue, key_id=key_id)), default=0)

    def issued(self, key_id):
        parts = [part for entry in self.of(Change) for part in entry.parts if part.key_id == key_id]
        return self.total(key_id) + sum(part.count for part in parts)

    def spent(self):
        return [(credit.key_id, credit.serial) for entry in self.of(Redeem) for credit in entry.credits]

    def allows(self, entry):
        """Whether `entry` may follow, from the rules as they are worded."""
        if any(earlier.at_s > entry.at_s for earlier in self.entries):
            return False
        return getattr(self, f"allows_{type(entry).__name__.lower()}")(entry)

    def allows_issuerkey(self, key):
        kind = (key.credit_class, key.denomination_microcredits)
        alike = [
            other for other in self.of(IssuerKey) if (other.credit_class, other.denomination_microcredits) == kind
        ]
        return (
            self.key(key.key_id) is None
            and key.at_s <= key.issue_from_s
            and all(other.issue_from_s <= key.issue_from_s for other in alike)
            and len([other for other in alike if other.issue_until_s > key.issue_from_s]) < 2
        )

    def allows_issue(self, issue):
        return self.signs(issue.key_id, issue.at_s) and issue.total > self.total(issue.key_id)

    def allows_grant(self, grant):
        life = grant.expires_at_s - grant.at_s
        return not self.of(Grant | Redeem, lane_key=grant.lane_key) and 1 <= life <= MAX_LANE_LIFETIME_S

    def allows_settle(self, settle):
        lanes = self.of(Grant | Redeem, lane_key=settle.lane_key)
        if not lanes or self.of(Settle, lane_key=settle.lane_key):
            return False
        in_time = settle.at_s <= lanes[0].expires_at_s + SETTLE_GRACE_S
        return in_time and settle.amount_microcredits <= lanes[0].cap_microcredits

    def allows_redeem(self, redeem):
        ids = [(credit.key_id, credit.serial) for credit in redeem.credits]
        keys = [self.key(key_id) for key_id, _ in ids]
        if not self.allows_grant(redeem) or None in keys or len({*ids, *self.spent()}) < len([*ids, *self.spent()]):
            return False
        return (
            all(key.issue_from_s <= redeem.at_s < key.redeem_until_s for key in keys)
            and FORGED not in redeem.credits
            and len({key.credit_class for key in keys}) == 1
            and sum(key.denomination_microcredits for key in keys) == redeem.cap_microcredits
            and all(
                len([one for one, _ in (*ids, *self.spent()) if one == key_id]) <= self.issued(key_id)
                for key_id, _ in ids
            )
        )

    def allows_change(self, change):
        lanes, settled = self.of(Redeem, lane_key=change.lane_key), self.of(Settle, lane_key=change.lane_key)
        if not lanes or self.of(Change, lane_key=change.lane_key) or change.signature == bytes(64):
            return False
        if not settled and change.at_s <= lanes[0].expires_at_s + SETTLE_GRACE_S:
            return False
        if not all(self.signs(part.key_id, change.at_s) for part in change.parts):
            return False
        classes = {self.key(part.key_id).credit_class for part in change.parts}
        left = lanes[0].cap_microcredits - sum(entry.amount_microcredits for entry in settled)
        worth = sum(WORTH[part.key_id] * part.count for part in change.parts)
        return classes == {self.key(lanes[0].credits[0].key_id).credit_class} and worth <= left


times = st.integers(0, 6).map(lambda minutes: minutes * 60)
key_ids = st.sampled_from([SMALL, SMALL, LARGE, GIVEN, NEXT]).map(lambda issuer: issuer.key.key_id)
issuer_keys = st.builds(
    lambda issuer, at_s: evolve(issuer.key, at_s=at_s), st.sampled_from(ISSUERS), st.sampled_from([0, 0, 0, 60, 120])
)
issues = st.builds(Issue, key_ids, st.integers(1, 6), times)
grants = st.builds(Grant, st.sampled_from(LANES), st.just(3_000), times, times, st.just(bytes(32)))
settles = st.builds(
    Settle,
    st.sampled_from(LANES),
    st.just(PAYOUT),
    st.sampled_from([1, 500, 1_000, 1_500, 10_000]),
    st.one_of(times, st.sampled_from([LATE, LATE + 600])),
    st.just(bytes(32)),
)


@st.composite
def redeems(draw):
    """Lanes of owned credits, mostly of the right cap."""
    spent = draw(st.lists(st.sampled_from([*OWNED, *OWNED, FORGED]), min_size=1, max_size=3))
    cap = sum(WORTH[credit.key_id] for credit in spent) + draw(st.sampled_from([0, 0, 0, 0, 1, -1000]))
    return redeem_of(draw(st.integers(1, 2)), cap, spent, draw(times), draw(times))


@st.composite
def changes(draw):
    """Of the same lanes; one in some is not signed."""
    parts = st.lists(st.tuples(key_ids, st.integers(1, 2)), min_size=1, max_size=2, unique_by=lambda part: part[0])
    request = change_request(draw(st.integers(1, 2)), *draw(parts))
    entry = request.entry(draw(st.sampled_from([120, 180, 300, LATE - 60])))
    return draw(st.sampled_from([entry, entry, entry, evolve(entry, signature=bytes(64))]))


@st.composite
def histories(draw):
    """Most keys are announced and most credits issued before anything else; mostly in order of time."""
    first = [entry for entry in (SMALL.key, LARGE.key, GIVEN.key) if draw(st.integers(0, 4))]
    first += [Issue(issuer.key.key_id, draw(st.integers(1, 5)), 60) for issuer in (SMALL, LARGE, GIVEN)]
    kinds = st.one_of(redeems(), redeems(), changes(), settles, settles, grants, issues, issuer_keys)
    entries = first + draw(st.lists(kinds, max_size=12))
    if draw(st.integers(0, 4)):
        entries.sort(key=lambda entry: entry.at_s)
    return entries


@settings(max_examples=300)
@given(histories())
def test_the_rules_are_the_twins(entries):
    state, history = LedgerState(), History()
    for entry in entries:
        expected = history.allows(entry)
        try:
            state.apply(entry)
        except RuleViolation:
            assert not expected, entry
        else:
            assert expected, entry
            history.entries.append(entry)
    assert [(key, lane.cap_microcredits) for key, lane in state.grants.items()] == [
        (entry.lane_key, entry.cap_microcredits) for entry in history.of(Grant | Redeem)
    ]
    assert list(state.changes.values()) == history.of(Change)
    for key_id, key in state.issuer_keys.items():
        assert key.redeemed == len([one for one, _ in history.spent() if one == key_id])
        assert key.redeemed <= key.issued + key.changed == history.issued(key_id)


@settings(max_examples=200)
@given(histories(), st.sets(st.integers(0, 30)))
def test_some_entries_of_a_log_that_keeps_the_rules_break_none(entries, left_out):
    """Or a proof with some of them would accuse an honest log."""
    whole, kept = LedgerState(), []
    for entry in entries:
        try:
            whole.apply(entry)
        except RuleViolation:
            continue
        kept.append(entry)
    part = LedgerState(partial=True)
    for place, entry in enumerate(kept):
        if place not in left_out:
            part.apply(entry)


ONE, TWO = SMALL.credits(2)
(TEN,) = LARGE.credits(1)
(GIFT,) = GIVEN.credits(1)
ISSUED = (SMALL.key, LARGE.key, GIVEN.key, *(Issue(issuer.key.key_id, 2, 60) for issuer in (SMALL, LARGE, GIVEN)))
LANE = redeem_of(1, 2_000, [ONE, TWO])
SETTLED = Settle(LANE.lane_key, PAYOUT, 500, 180, bytes(32))
NEXT_SETTLED = Settle(LANES[1], PAYOUT, 500, 300, bytes(32))


def violation(entry, *before):
    state = LedgerState()
    for earlier in before:
        state.apply(earlier)
    with pytest.raises(RuleViolation) as caught:
        state.apply(entry)
    return caught.value.reason


def test_no_part_of_an_honest_log_accuses_it():
    """Every choice of entries of a log in which all kinds follow each other."""
    change = change_request(1, (SMALL.key.key_id, 1)).entry(180)
    again = redeem_of(2, 1_000, SMALL.credits(1, b"\x55" * 32), at_s=240)
    log = (SMALL.key, Issue(SMALL.key.key_id, 2, 60), LANE, SETTLED, change, again, NEXT_SETTLED)
    for chosen in range(1 << len(log)):
        state = LedgerState(partial=True)
        for place, entry in enumerate(log):
            if chosen >> place & 1:
                state.apply(entry)


def test_each_rule_of_issuing_is_named():
    key = SMALL.key
    assert violation(evolve(key, credit_class="stolen")) == "bad_key"
    assert violation(evolve(key, denomination_microcredits=999)) == "bad_key"
    assert violation(evolve(key, modulus=bytes(256))) == "bad_key"
    assert violation(evolve(key, issue_from_s=1)) == "fine_time"
    assert violation(evolve(key, at_s=60)) == "bad_period"
    too_long_s = MAX_ISSUING_S + 60
    assert violation(evolve(key, issue_until_s=too_long_s, redeem_until_s=too_long_s)) == "bad_period"
    assert violation(evolve(key, redeem_until_s=MAX_REDEEMING_S + 60)) == "bad_period"
    assert violation(key, key) == "announced_twice"
    assert violation(key, NEXT.key) == "key_order"
    assert violation(THIRD.key, key, NEXT.key) == "too_many_keys"
    assert violation(Issue(key.key_id, 1, 60)) == "unknown_key"
    assert violation(Issue(b"short", 1, 60)) == "bad_size"
    assert violation(Issue(LARGE.key.key_id, 3, 240), *ISSUED) == "out_of_period"
    assert violation(Issue(key.key_id, 2, 60), *ISSUED) == "not_growing"
    assert violation(Issue(key.key_id, MAX_ISSUED + 1, 60), *ISSUED) == "not_growing"


def test_each_rule_of_redeeming_is_named():
    assert violation(LANE) == "unknown_key"
    assert violation(LANE, SMALL.key) == "over_issued"
    assert violation(LANE, SMALL.key, Issue(SMALL.key.key_id, 1, 60)) == "over_issued"
    assert violation(LANE, *ISSUED, LANE) == "granted_twice"
    assert violation(redeem_of(2, 1_000, [ONE]), *ISSUED, LANE) == "spent_twice"
    assert violation(redeem_of(1, 2_000, [ONE, ONE]), *ISSUED) == "spent_twice"
    assert violation(redeem_of(1, 1_000, [FORGED]), *ISSUED) == "bad_credit"
    assert violation(evolve(LANE, credits=()), *ISSUED) == "bad_credit"
    assert violation(redeem_of(1, 17_000, [ONE] * 17), *ISSUED) == "bad_credit"
    assert violation(redeem_of(1, 1_001, [ONE]), *ISSUED) == "bad_cap"
    assert violation(redeem_of(1, 999, [ONE]), *ISSUED) == "bad_cap"
    assert violation(redeem_of(1, 2_000, [ONE, GIFT]), *ISSUED) == "mixed_classes"
    assert violation(redeem_of(1, 10_000, [TEN], at_s=300), *ISSUED) == "out_of_period"
    assert violation(redeem_of(1, 1_000, [ONE], expires_at_s=120), *ISSUED) == "bad_expiry"


def test_each_rule_of_change_is_named():
    one, two = (change_request(1, (SMALL.key.key_id, count)).entry(180) for count in (1, 2))
    settled = (*ISSUED, LANE, SETTLED)
    assert violation(one, *ISSUED) == "not_granted"
    assert violation(one, *ISSUED, LANE) == "not_settled"
    assert violation(two, *settled) == "bad_amount"
    assert violation(one, *settled, one) == "changed_twice"
    assert violation(evolve(one, signature=bytes(64)), *settled) == "bad_signature"
    assert violation(evolve(one, blinded_digest=bytes(32)), *settled) == "bad_signature"
    assert violation(evolve(one, blinded_digest=b""), *settled) == "bad_size"
    assert violation(one, *ISSUED, Grant(one.lane_key, 5_000, 600, 60, bytes(32))) == "no_credits"
    assert violation(change_request(1, (GIVEN.key.key_id, 1)).entry(180), *settled) == "mixed_classes"
    assert violation(change_request(1, (LARGE.key.key_id, 1)).entry(240), *settled) == "out_of_period"
    key_id = SMALL.key.key_id
    for parts in ((), ((key_id, 1),) * 2, ((key_id, 0),), ((key_id, 65),)):
        assert violation(change_request(1, *parts).entry(180), *settled) == "bad_change"


def test_a_lane_that_nobody_settled_returns_whole_when_nobody_can_any_more():
    state = LedgerState()
    for entry in (SMALL.key, NEXT.key, Issue(SMALL.key.key_id, 2, 60), LANE):
        state.apply(entry)
    ends_s = LANE.expires_at_s + SETTLE_GRACE_S
    change = change_request(1, (NEXT.key.key_id, 2))
    with pytest.raises(RuleViolation, match="still can be"):
        state.apply(change.entry(ends_s))
    state.apply(change.entry(ends_s + 60))
    assert state.issuer_keys[NEXT.key.key_id].changed == 2
    with pytest.raises(RuleViolation, match="after the lane's expiry"):
        state.apply(evolve(SETTLED, at_s=ends_s + 60))


def test_change_can_be_spent_and_counts_as_issued():
    state = LedgerState()
    for entry in (*ISSUED, LANE, SETTLED):
        state.apply(entry)
    again = redeem_of(2, 1_000, SMALL.credits(1, b"\x55" * 32), at_s=240)
    with pytest.raises(RuleViolation, match="than were issued"):
        state.apply(again)
    state.apply(change_request(1, (SMALL.key.key_id, 1)).entry(180))
    state.apply(again)


def test_serials_are_forgotten_when_their_keys_time_is_over():
    state = LedgerState()
    for entry in (*ISSUED, redeem_of(1, 10_000, [TEN], at_s=120)):
        state.apply(entry)
    assert state.issuer_keys[LARGE.key.key_id].spent == {TEN.serial}
    state.apply(evolve(LARGE.key, issue_from_s=300, issue_until_s=600, redeem_until_s=600, at_s=300))
    assert not state.issuer_keys[LARGE.key.key_id].spent
    with pytest.raises(RuleViolation) as raised:
        state.apply(redeem_of(2, 10_000, [TEN], at_s=300))
    assert raised.value.reason == "out_of_period"


def test_what_is_asked_again_is_known_by_all_that_it_says():
    state = LedgerState()
    change = change_request(1, (SMALL.key.key_id, 1)).entry(180)
    for entry in (*ISSUED, LANE, SETTLED, change):
        state.apply(entry)
    for entry in (LANE, SETTLED, change):
        assert state.is_same(evolve(entry, at_s=600))
    assert not state.is_same(redeem_of(1, 2_000, [TWO, ONE]))
    assert not state.is_same(evolve(LANE, expires_at_s=7_200))
    assert not state.is_same(Grant(LANE.lane_key, 2_000, LANE.expires_at_s, 120, bytes(32)))
    assert not state.is_same(change_request(1, (SMALL.key.key_id, 1), blinded=[b"other"]).entry(180))


def test_entries_have_names_of_their_own_but_for_what_funds_a_lane():
    change = change_request(1, (SMALL.key.key_id, 1)).entry(180)
    entries = [*ISSUED, LANE, SETTLED, change, Issue(SMALL.key.key_id, 3, 60)]
    assert len({submission_id(entry) for entry in entries}) == len(entries)
    assert submission_id(LANE) == submission_id(Grant(LANE.lane_key, 1, 60, 0, b""))
    assert submission_id(SMALL.key) == submission_id(evolve(SMALL.key, at_s=60))


@given(st.one_of(issuer_keys, issues, redeems(), changes()))
def test_entries_are_read_back(entry):
    assert decode_entry(encode_entry(entry)) == entry


def test_the_largest_lane_is_an_entry():
    entry = redeem_of(1, 16_000_000, SMALL.credits(1) * 16)
    assert decode_entry(encode_entry(entry)) == entry
