"""Vouchers, meters and receipts: in every interleaving each side's loss is bounded."""

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.entries import Grant, encode_entry
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import (
    ClientMeter,
    HostMeter,
    Lane,
    LaneExhausted,
    LaneOpening,
    LaneTerms,
    Settlement,
    Voucher,
    check_voucher,
    open_lane,
    price,
    sign_receipt,
    sign_voucher,
    verify_receipt,
)
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode

SUITE = MixedSuite()
ORIGIN = "log.example/one"
LOG_SEED, LANE_SEED, PAYOUT_SEED = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
LOG_PUBLIC, LANE_KEY, PAYOUT_KEY = (SUITE.ed25519_public(seed) for seed in (LOG_SEED, LANE_SEED, PAYOUT_SEED))
KEY = VerifierKey(ORIGIN, LOG_KEY, LOG_PUBLIC)
NONCE = b"\x0a" * 32
TERMS = LaneTerms(PAYOUT_KEY, prompt_price_microcredits=2, answer_price_microcredits=5, window_tokens=8)
LANE = Lane(ORIGIN, LANE_KEY, TERMS, cap_microcredits=1_000, expires_at_s=6_000)


def meters(lane=LANE, every=4):
    return ClientMeter(lane, LANE_SEED, SUITE, voucher_every_tokens=every), HostMeter(lane, PAYOUT_KEY, SUITE)


def reason_of(call, *arguments):
    with pytest.raises(RemoteProtocolError) as caught:
        call(*arguments)
    return caught.value.reason


def test_a_price_is_an_integer_sum():
    assert price(3, 7, 2, 5) == 41
    for arguments in [(-1, 0, 1, 1), (0, 2**33, 1, 1), (0, 0, -1, 1), (0, 0, 1, 10**10)]:
        with pytest.raises(LocalProtocolError):
            price(*arguments)


def test_the_prompt_is_paid_before_the_first_token():
    client, host = meters()
    client.prompt(10)
    host.prompt(10)
    assert not host.may_stream
    with pytest.raises(LocalProtocolError):
        host.answer(1)
    assert client.voucher_due()
    host.voucher(client.voucher())
    assert host.vouched_microcredits == 20
    assert host.allowance_tokens == 8


def test_the_window_closes_and_the_next_voucher_opens_it():
    client, host = meters()
    client.prompt(10)
    host.prompt(10)
    host.voucher(client.voucher())
    host.answer(8)
    assert not host.may_stream
    client.answer(3)
    assert not client.voucher_due()
    client.answer(4)
    assert client.voucher_due()
    host.voucher(client.voucher())
    assert (host.allowance_tokens, host.vouched_microcredits) == (4, 40)


def test_on_a_promise_the_host_gives_one_window_in_all():
    """However well it is vouched for: a log that lies could take the grant back, and the vouchers with it."""
    client, _ = meters()
    host = HostMeter(LANE, PAYOUT_KEY, SUITE, final=False)
    client.prompt(10)
    host.prompt(10)
    host.voucher(client.voucher())
    assert host.allowance_tokens == host.covered_tokens == TERMS.window_tokens
    for total in range(1, TERMS.window_tokens + 1):
        host.answer(total)
        client.answer(total)
        if client.voucher_due():
            host.voucher(client.voucher())
    assert host.best_voucher.answer_tokens == TERMS.window_tokens
    assert host.allowance_tokens == 0
    host.grant_is_final()
    assert host.allowance_tokens == TERMS.window_tokens
    host.answer(TERMS.window_tokens + 1)


def test_a_second_prompt_waits_for_its_own_voucher():
    client, host = meters()
    client.prompt(10)
    host.prompt(10)
    host.voucher(client.voucher())
    host.prompt(5)
    assert not host.may_stream


def test_what_is_left_at_the_end_is_vouched_for():
    client, _ = meters()
    client.prompt(1)
    client.voucher()
    client.answer(1)
    assert not client.voucher_due()
    assert client.voucher_due(last=True)
    assert client.voucher().amount_microcredits == 7
    with pytest.raises(LocalProtocolError):
        client.voucher()


def test_neither_side_goes_above_the_cap():
    lane = evolve(LANE, cap_microcredits=2 * 10 + 5 * 3 + 4)
    client, host = meters(lane)
    client.prompt(10)
    host.prompt(10)
    host.voucher(client.voucher())
    assert host.allowance_tokens == 3
    host.answer(3)
    client.answer(50)
    assert client.voucher_due()
    voucher = client.voucher()
    assert (voucher.answer_tokens, voucher.amount_microcredits) == (3, 35)
    host.voucher(voucher)
    assert not host.may_stream
    assert client.remaining_microcredits == 0


def test_a_prompt_above_the_cap_is_not_sent_and_not_taken():
    client, host = meters()
    with pytest.raises(LaneExhausted):
        client.prompt(501)
    assert reason_of(host.prompt, 501) == "over_cap"
    client.prompt(500)
    host.prompt(500)


def forge(voucher, **changes):
    """Signed by the right key all the same: what a hostile client can do."""
    changed = evolve(voucher, **changes)
    return evolve(changed, signature=SUITE.sign(LANE_SEED, changed.signed_bytes()))


GOOD = sign_voucher(LANE, 10, 4, LANE_SEED, SUITE)


@pytest.mark.parametrize(
    ("voucher", "reason"),
    [
        (forge(GOOD, log_origin="log.example/two"), "wrong_lane"),
        (forge(GOOD, lane_key=PAYOUT_KEY), "wrong_lane"),
        (forge(GOOD, host_payout_key=LANE_KEY), "wrong_lane"),
        (forge(GOOD, amount_microcredits=41), "bad_amount"),
        (forge(GOOD, prompt_tokens=-1, answer_tokens=8, amount_microcredits=38), "bad_amount"),
        (forge(GOOD, answer_tokens=197, amount_microcredits=1_005), "over_cap"),
        (evolve(GOOD, signature=bytes(64)), "bad_signature"),
        (evolve(GOOD, signature=b""), "bad_signature"),
        (evolve(GOOD, prompt_tokens=5, answer_tokens=6), "bad_signature"),
    ],
)
def test_a_wrong_voucher_is_refused_and_changes_nothing(voucher, reason):
    _, host = meters()
    host.prompt(10)
    assert reason_of(host.voucher, voucher) == reason
    assert host.best_voucher is None
    host.voucher(GOOD)
    assert host.best_voucher == GOOD


@pytest.mark.parametrize(("prompt_tokens", "answer_tokens"), [(10, 3), (9, 9), (20, 3)])
def test_a_voucher_must_grow(prompt_tokens, answer_tokens):
    _, host = meters()
    host.voucher(GOOD)
    later = sign_voucher(LANE, prompt_tokens, answer_tokens, LANE_SEED, SUITE)
    assert reason_of(host.voucher, later) == "not_growing"
    assert host.best_voucher == GOOD


def test_the_last_voucher_may_be_repeated_on_a_new_ring():
    client, host = meters()
    assert client.latest_voucher is None
    client.prompt(10)
    lost = client.voucher()
    host.prompt(10)
    assert client.latest_voucher == lost
    for _ in range(2):
        host.voucher(client.latest_voucher)
        assert host.best_voucher == lost
    other_signature = evolve(lost, signature=bytes(64))
    assert reason_of(host.voucher, other_signature) == "not_growing"


def test_a_free_lane_streams_too():
    lane = evolve(LANE, terms=evolve(TERMS, prompt_price_microcredits=0, answer_price_microcredits=0))
    client, host = meters(lane)
    client.prompt(10)
    host.prompt(10)
    host.voucher(client.voucher())
    assert host.allowance_tokens == TERMS.window_tokens


def test_a_lane_for_another_host_is_refused():
    assert reason_of(HostMeter, LANE, LANE_KEY, SUITE) == "wrong_lane"


def test_an_expired_lane_is_refused():
    LANE.check_open(5_999.9)
    assert reason_of(LANE.check_open, 6_000) == "lane_expired"


@pytest.mark.parametrize("every", [0, 9])
def test_vouchers_rarer_than_the_window_would_stall(every):
    with pytest.raises(LocalProtocolError):
        meters(every=every)


def test_a_client_signs_with_its_lanes_key_only():
    with pytest.raises(LocalProtocolError):
        ClientMeter(LANE, PAYOUT_SEED, SUITE, voucher_every_tokens=4)


def test_a_signature_of_one_kind_is_none_of_another():
    same_key = evolve(LANE, terms=evolve(TERMS, host_payout_key=LANE_KEY))
    receipt = sign_receipt(sign_voucher(same_key, 1, 1, LANE_SEED, SUITE), NONCE, LANE_SEED, SUITE)
    assert receipt.signed_by_host(SUITE)
    assert receipt.voucher.signed_bytes().startswith(b"peernet voucher v1\0")
    assert receipt.signed_bytes().startswith(b"peernet receipt v1\0")
    swapped = evolve(receipt.voucher, signature=receipt.host_signature)
    assert reason_of(check_voucher, swapped, same_key, SUITE) == "bad_signature"
    assert not evolve(receipt, host_signature=receipt.voucher.signature).signed_by_host(SUITE)


def test_messages_travel_as_canonical_bytes():
    receipt = sign_receipt(GOOD, NONCE, PAYOUT_SEED, SUITE)
    for message in (GOOD, receipt, TERMS, Settlement(receipt, TERMS, NONCE)):
        assert decode(type(message), encode(message)) == message


def logged(entry, seed=LOG_SEED, origin=ORIGIN):
    leaf = encode_entry(entry)
    note = sign_checkpoint(Checkpoint(origin, 1, leaf_hash(leaf)), seed, SUITE)
    return LogProof(0, (), note, leaf).encode()


GRANT = Grant(LANE_KEY, 1_000, 6_000, 60, TERMS.commit(NONCE))


def test_a_lane_opens_with_the_grants_proof_and_its_terms():
    assert open_lane(LaneOpening(logged(GRANT), TERMS, NONCE), KEY, SUITE) == LANE


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (LaneOpening(logged(GRANT), evolve(TERMS, answer_price_microcredits=1), NONCE), "wrong_terms"),
        (LaneOpening(logged(GRANT), evolve(TERMS, host_payout_key=LANE_KEY), NONCE), "wrong_terms"),
        (LaneOpening(logged(GRANT), TERMS, bytes(32)), "wrong_terms"),
        (LaneOpening(logged(GRANT), TERMS, b""), "wrong_terms"),
        (LaneOpening(logged(GRANT, seed=LANE_SEED), TERMS, NONCE), "unsigned"),
        (LaneOpening(b"", TERMS, NONCE), "bad_proof"),
    ],
)
def test_a_lane_that_is_not_shown_to_be_granted_does_not_open(opening, reason):
    assert reason_of(open_lane, opening, KEY, SUITE) == reason


def test_a_receipt_is_shown_to_be_in_the_log():
    receipt = sign_receipt(GOOD, NONCE, PAYOUT_SEED, SUITE)
    entry = Settlement(receipt, TERMS, NONCE).entry(120)
    assert verify_receipt(logged(entry), receipt, KEY, SUITE).size == 1
    assert reason_of(open_lane, LaneOpening(logged(entry), TERMS, NONCE), KEY, SUITE) == "wrong_entry"
    for other in (
        evolve(entry, amount_microcredits=39),
        evolve(entry, payout_key=LANE_KEY),
        evolve(entry, commitment=bytes(32)),
        GRANT,
    ):
        assert reason_of(verify_receipt, logged(other), receipt, KEY, SUITE) == "wrong_entry"
    higher = sign_receipt(sign_voucher(LANE, 10, 5, LANE_SEED, SUITE), NONCE, PAYOUT_SEED, SUITE)
    assert reason_of(verify_receipt, logged(entry), higher, KEY, SUITE) == "wrong_entry"
    assert reason_of(verify_receipt, logged(entry), evolve(receipt, nonce=bytes(32)), KEY, SUITE) == "wrong_entry"
    assert reason_of(verify_receipt, logged(entry), evolve(receipt, nonce=b""), KEY, SUITE) == "bad_nonce"
    assert reason_of(verify_receipt, logged(entry, seed=LANE_SEED), receipt, KEY, SUITE) == "unsigned"


def test_only_the_paid_host_countersigns():
    with pytest.raises(LocalProtocolError):
        sign_receipt(GOOD, NONCE, LANE_SEED, SUITE)
    _, host = meters()
    with pytest.raises(LocalProtocolError):
        host.receipt(NONCE, PAYOUT_SEED)


class Exchange(RuleBasedStateMachine):
    """Two honest meters over channels that lose; turns follow one another; both may stop at any step.

    A client's loss is what it signed for and got nothing for; a host's is what it gave and holds no voucher for.
    A prompt counts as given once a token of its answer has arrived.
    """

    def __init__(self):
        super().__init__()
        self.client, self.host = meters(every=3)
        self.tokens_in_flight: list[int] = []
        self.vouchers_in_flight: list[Voucher] = []
        self.accepted: list[int] = []
        self.sent = self.counted = 0
        self.prompts: list[int] = []
        self.host_knows_prompts = 0
        self.answered_from = 0

    def prompt_price(self):
        return max(self.prompts, default=0) * TERMS.prompt_price_microcredits

    @precondition(lambda self: not self.prompts or self.counted > self.answered_from)
    @rule(tokens=st.integers(1, 30))
    def ask(self, tokens):
        try:
            self.client.prompt(tokens)
        except LaneExhausted:
            return
        # The stream is in order: tokens that are still on their way belong to the turn before.
        self.prompts.append(tokens)
        self.answered_from = self.counted + len(self.tokens_in_flight)

    @precondition(lambda self: self.host_knows_prompts < len(self.prompts))
    @rule()
    def prompt_arrives(self):
        self.host.prompt(self.prompts[self.host_knows_prompts])
        self.host_knows_prompts += 1

    @precondition(lambda self: self.client.voucher_due(last=True))
    @rule()
    def sign(self):
        self.vouchers_in_flight.append(self.client.voucher())

    @precondition(lambda self: self.client.latest_voucher)
    @rule()
    def repeat(self):
        self.vouchers_in_flight.append(self.client.latest_voucher)

    @precondition(lambda self: self.vouchers_in_flight)
    @rule(data=st.data(), lost=st.booleans())
    def voucher_arrives(self, data, lost):
        """Any of them, in any order: an old one is refused."""
        place = data.draw(st.integers(0, len(self.vouchers_in_flight) - 1))
        voucher = self.vouchers_in_flight.pop(place)
        if lost:
            return
        if self.host.vouched_microcredits < voucher.amount_microcredits:
            self.host.voucher(voucher)
            self.accepted.append(voucher.amount_microcredits)
        elif voucher == self.host.best_voucher:
            self.host.voucher(voucher)
            assert self.host.best_voucher == voucher
        else:
            assert reason_of(self.host.voucher, voucher) == "not_growing"

    @precondition(lambda self: self.host.may_stream)
    @rule(data=st.data())
    def stream(self, data):
        tokens = data.draw(st.integers(1, self.host.allowance_tokens))
        self.sent += tokens
        self.host.answer(self.sent)
        self.tokens_in_flight += [self.sent] * tokens

    @precondition(lambda self: self.tokens_in_flight)
    @rule(lost=st.booleans())
    def token_arrives(self, lost):
        self.tokens_in_flight.pop(0)
        if not lost:
            self.counted += 1
            self.client.answer(self.counted)

    @invariant()
    def each_loss_is_bounded(self):
        window_price = TERMS.window_tokens * TERMS.answer_price_microcredits
        bound = max(self.prompt_price(), window_price)
        begun = self.sent > 0
        given = price(sum(self.prompts[: self.host_knows_prompts]) if begun else 0, self.sent, 2, 5)
        covered = self.host.best_voucher.prompt_tokens if self.host.best_voucher else 0
        # A prompt that no voucher covers has not been begun on, and is no loss.
        waiting = max(0, sum(self.prompts[: self.host_knows_prompts]) - covered) if begun else 0
        assert given - 2 * waiting - self.host.vouched_microcredits <= window_price <= bound
        got = price(sum(self.prompts[:-1]), self.counted, 2, 5)
        assert self.client.vouched_microcredits - got <= bound
        assert self.client.vouched_microcredits <= LANE.cap_microcredits
        assert all(earlier < later for earlier, later in pairwise(self.accepted))


Exchange.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestExchange = Exchange.TestCase


@settings(max_examples=50)
@given(st.integers(1, 8), st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 10_000))
def test_without_loss_an_honest_pair_never_stalls(every, turns, cap):
    lane = evolve(LANE, cap_microcredits=max(cap, 2 * sum(turns)))
    client, host = meters(lane, every)
    total = 0
    for turn, prompt_tokens in enumerate(turns):
        try:
            client.prompt(prompt_tokens)
        except LaneExhausted:
            break
        host.prompt(prompt_tokens)
        affordable = lane.affordable_answer_tokens(sum(turns[: turn + 1])) - total
        for _ in range(min(25, affordable)):
            if client.voucher_due():
                host.voucher(client.voucher())
            assert host.may_stream
            total += 1
            host.answer(total)
            client.answer(total)
    if client.voucher_due(last=True):
        host.voucher(client.voucher())
    assert host.vouched_microcredits == client.vouched_microcredits
    assert host.best_voucher.answer_tokens == total
