"""The ledger's rules against a brute-force twin that keeps the list of entries and searches it for everything."""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import (
    Grant,
    Settle,
    coarse_time_s,
    commitment,
    decode_entry,
    encode_entry,
    submission_id,
)
from peernet.core.ledger.rules import (
    MAX_CAP_MICROCREDITS,
    MAX_LANE_LIFETIME_S,
    SETTLE_GRACE_S,
    LedgerState,
    RuleViolation,
    check_settlement,
)
from peernet.core.metering import Lane, LaneTerms, Settlement, sign_receipt, sign_voucher
from peernet.core.suite import MixedSuite
from peernet.core.wire import MessageSet

SUITE = MixedSuite()
LANES = [bytes([number]) * 32 for number in range(1, 4)]
PAYOUTS = [bytes([number]) * 32 for number in range(11, 13)]
MINUTE = 60


def allowed(history, entry):
    """Whether `entry` may follow `history`, from the rules as they are worded."""
    times = [earlier.at_s for earlier in history]
    if entry.at_s % MINUTE or (times and entry.at_s < max(times)) or entry.at_s < 0:
        return False
    grants = [earlier for earlier in history if isinstance(earlier, Grant) and earlier.lane_key == entry.lane_key]
    if len(entry.commitment) != 32 or len(entry.lane_key) != 32:
        return False
    if isinstance(entry, Grant):
        life = entry.expires_at_s - entry.at_s
        in_cap = 1 <= entry.cap_microcredits <= MAX_CAP_MICROCREDITS
        return not grants and in_cap and 1 <= life <= MAX_LANE_LIFETIME_S and not entry.expires_at_s % MINUTE
    settled = [earlier for earlier in history if isinstance(earlier, Settle) and earlier.lane_key == entry.lane_key]
    if not grants or settled or len(entry.payout_key) != 32:
        return False
    in_time = entry.at_s <= grants[0].expires_at_s + SETTLE_GRACE_S
    return in_time and 1 <= entry.amount_microcredits <= grants[0].cap_microcredits


times = st.one_of(
    st.integers(0, 6).map(lambda minutes: minutes * MINUTE),
    st.sampled_from([1, -MINUTE, SETTLE_GRACE_S, SETTLE_GRACE_S + 5 * MINUTE, MAX_LANE_LIFETIME_S + 2 * MINUTE]),
)
lanes = st.sampled_from([*LANES, b"short"])
commitments = st.sampled_from([bytes(32), bytes(32), bytes(32), b"short"])
amounts = st.one_of(st.integers(-1, 12), st.sampled_from([MAX_CAP_MICROCREDITS, MAX_CAP_MICROCREDITS + 1]))
grants = st.builds(Grant, lanes, amounts, times, times, commitments)
settles = st.builds(Settle, lanes, st.sampled_from([*PAYOUTS, b""]), amounts, times, commitments)


@st.composite
def histories(draw):
    """Mostly in order of time, so that histories grow; now and then not."""
    entries = draw(st.lists(st.one_of(grants, settles), max_size=12))
    if draw(st.integers(0, 4)):
        entries.sort(key=lambda entry: entry.at_s)
    return entries


@settings(max_examples=200)
@given(histories())
def test_the_rules_are_the_twins(entries):
    state, history = LedgerState(), []
    for entry in entries:
        expected = allowed(history, entry)
        try:
            state.apply(entry)
        except RuleViolation:
            assert not expected, entry
        else:
            assert expected, entry
            history.append(entry)
    settled = [entry for entry in history if isinstance(entry, Settle)]
    for payout_key in PAYOUTS:
        owed = sum(entry.amount_microcredits for entry in settled if entry.payout_key == payout_key)
        assert state.balance(payout_key) == owed
    assert state.settled_microcredits == sum(entry.amount_microcredits for entry in settled)
    assert state.last_at_s == max((entry.at_s for entry in history), default=0)
    assert list(state.settlements.values()) == settled
    assert list(state.grants.values()) == [entry for entry in history if isinstance(entry, Grant)]


GRANT = Grant(LANES[0], 100, 600, 60, bytes(32))
SETTLE = Settle(LANES[0], PAYOUTS[0], 100, 120, bytes(32))


def violation(entry, *before):
    state = LedgerState()
    for earlier in before:
        state.apply(earlier)
    with pytest.raises(RuleViolation) as caught:
        state.apply(entry)
    return caught.value.reason


def test_each_rule_is_named():
    assert violation(GRANT, GRANT) == "granted_twice"
    assert violation(evolve(GRANT, cap_microcredits=0)) == "bad_cap"
    assert violation(evolve(GRANT, cap_microcredits=MAX_CAP_MICROCREDITS + 1)) == "bad_cap"
    assert violation(evolve(GRANT, expires_at_s=60)) == "bad_expiry"
    assert violation(evolve(GRANT, expires_at_s=61)) == "fine_time"
    assert violation(evolve(GRANT, at_s=61)) == "fine_time"
    assert violation(evolve(GRANT, lane_key=b"short")) == "bad_size"
    assert violation(SETTLE) == "not_granted"
    assert violation(SETTLE, GRANT, SETTLE) == "settled_twice"
    assert violation(evolve(SETTLE, amount_microcredits=101), GRANT) == "bad_amount"
    assert violation(evolve(SETTLE, amount_microcredits=0), GRANT) == "bad_amount"
    assert violation(evolve(SETTLE, at_s=660 + SETTLE_GRACE_S), GRANT) == "too_late"
    assert violation(evolve(SETTLE, at_s=0), GRANT) == "time_went_back"


def test_settling_is_possible_to_the_last_minute_of_grace():
    state = LedgerState()
    state.apply(GRANT)
    state.apply(evolve(SETTLE, at_s=600 + SETTLE_GRACE_S))
    assert state.balance(PAYOUTS[0]) == 100


@given(st.one_of(st.builds(Grant, lanes, amounts, times, times, commitments), settles))
def test_entries_are_read_back(entry):
    assert decode_entry(encode_entry(entry)) == entry


@given(st.binary(max_size=200))
def test_other_bytes_are_no_entries(data):
    try:
        entry = decode_entry(data)
    except RemoteProtocolError:
        return
    assert encode_entry(entry) == data


def test_an_entry_in_another_encoding_is_refused():
    # A two-byte form of the small number 60: msgpack reads it, and we do not.
    data = MessageSet({1: Grant}).encode(GRANT)
    assert data.count(b"\x3c\xc4") == 1
    with pytest.raises(RemoteProtocolError) as caught:
        decode_entry(data.replace(b"\x3c\xc4", b"\xcc\x3c\xc4"))
    assert caught.value.reason == "not_canonical"


def test_grant_and_settlement_of_a_lane_have_names_of_their_own():
    assert submission_id(GRANT) != submission_id(SETTLE)
    assert submission_id(GRANT) == submission_id(evolve(GRANT, at_s=120, cap_microcredits=5))


def test_times_in_the_log_are_full_minutes():
    assert [coarse_time_s(now) for now in (0, 59.9, 60, 61.5)] == [0, 0, 60, 60]


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from([LANES[0], LANES[1]]))
def test_a_commitment_binds_nonce_and_data(one, other, nonce):
    assert (commitment(nonce, one) == commitment(nonce, other)) == (one == other)
    assert commitment(LANES[2], one) != commitment(nonce, one)


LANE_SEED, PAYOUT_SEED, NONCE = b"\x21" * 32, b"\x22" * 32, b"\x23" * 32
ORIGIN = "log.example/one"
TERMS = LaneTerms(SUITE.ed25519_public(PAYOUT_SEED), 2, 5, 8)
FUNDED = Grant(SUITE.ed25519_public(LANE_SEED), 100, 600, 60, TERMS.commit(NONCE))
LANE = Lane(ORIGIN, FUNDED.lane_key, TERMS, 100, 600)
RECEIPT = sign_receipt(sign_voucher(LANE, 10, 4, LANE_SEED, SUITE), NONCE, PAYOUT_SEED, SUITE)
SETTLEMENT = Settlement(RECEIPT, TERMS, NONCE)


def test_a_settlement_needs_both_signatures_and_the_granted_terms():
    def refused(settlement, grant=FUNDED, origin=ORIGIN):
        with pytest.raises(RuleViolation) as caught:
            check_settlement(settlement, grant, origin, SUITE)
        return caught.value.reason

    check_settlement(SETTLEMENT, FUNDED, ORIGIN, SUITE)
    unsigned = evolve(RECEIPT, voucher=evolve(RECEIPT.voucher, signature=bytes(64)))
    unsigned = evolve(unsigned, host_signature=SUITE.sign(PAYOUT_SEED, unsigned.signed_bytes()))
    assert refused(evolve(SETTLEMENT, receipt=unsigned)) == "bad_signature"
    assert refused(evolve(SETTLEMENT, receipt=evolve(RECEIPT, host_signature=bytes(64)))) == "bad_signature"
    assert refused(evolve(SETTLEMENT, receipt=evolve(RECEIPT, nonce=bytes(32)))) == "bad_signature"
    assert refused(evolve(SETTLEMENT, terms=evolve(TERMS, answer_price_microcredits=9))) == "wrong_terms"
    assert refused(evolve(SETTLEMENT, terms_nonce=bytes(32))) == "wrong_terms"
    assert refused(SETTLEMENT, origin="log.example/two") == "wrong_lane"
    assert refused(SETTLEMENT, grant=evolve(FUNDED, lane_key=LANES[0])) == "wrong_lane"
    assert refused(SETTLEMENT, grant=evolve(FUNDED, cap_microcredits=39)) == "over_cap"


def test_a_lane_of_one_host_cannot_pay_another():
    """A client that colludes with a second host signs for it on the same lane: the ledger does not take it."""
    other = evolve(TERMS, host_payout_key=SUITE.ed25519_public(b"\x24" * 32))
    voucher = sign_voucher(evolve(LANE, terms=other), 10, 4, LANE_SEED, SUITE)
    receipt = sign_receipt(voucher, NONCE, b"\x24" * 32, SUITE)
    for terms, reason in ((TERMS, "wrong_lane"), (other, "wrong_terms")):
        with pytest.raises(RuleViolation) as caught:
            check_settlement(Settlement(receipt, terms, NONCE), FUNDED, ORIGIN, SUITE)
        assert caught.value.reason == reason
