"""Credits: what a batch follows from, and how amounts are made up of denominations."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.credits.credits import (
    DENOMINATIONS,
    MANY,
    MAX_CREDITS_A_LANE,
    Credit,
    blinded_credits,
    check_credit,
    closest_covering,
    digest_of_blinded,
    in_denominations,
    spread,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.credit_rules import MAX_CHANGE_CREDITS, MAX_CHANGE_PARTS
from peernet.core.ledger.entries import MAX_ENCODED_SIZE, Redeem, encode_entry
from tests.issuers import KEYS, TestIssuer

ISSUER = TestIssuer()
PUBLIC = ISSUER.private.public
SEED = b"\x41" * 32


def test_a_batch_follows_from_its_seed_key_and_place():
    first, again = (blinded_credits(PUBLIC, ISSUER.key.key_id, SEED, 3) for _ in range(2))
    assert [one.blinded for one in first] == [one.blinded for one in again]
    others = blinded_credits(PUBLIC, ISSUER.key.key_id, b"\x42" * 32, 3)
    under_another_key = blinded_credits(KEYS[1].public, b"\x01" * 32, SEED, 3)
    serials = [one.unsigned.serial for one in (*first, *others, *under_another_key)]
    assert len(set(serials)) == 9
    with pytest.raises(LocalProtocolError):
        blinded_credits(PUBLIC, ISSUER.key.key_id, b"short", 1)


def test_what_is_signed_blind_is_a_credit():
    for credit in ISSUER.credits(2):
        check_credit(credit, PUBLIC)


def test_a_credit_that_was_changed_is_none():
    (credit,) = ISSUER.credits(1)
    for wrong in (
        Credit(credit.key_id, bytes(32), credit.randomizer, credit.signature),
        Credit(credit.key_id, credit.serial, bytes(32), credit.signature),
        Credit(credit.key_id, credit.serial, credit.randomizer, bytes(256)),
        Credit(credit.key_id, credit.serial[1:], credit.randomizer, credit.signature),
        Credit(credit.key_id, credit.serial, credit.randomizer, credit.signature[1:]),
    ):
        with pytest.raises(RemoteProtocolError) as raised:
            check_credit(wrong, PUBLIC)
        assert raised.value.reason == "bad_credit"
    with pytest.raises(RemoteProtocolError):
        check_credit(credit, KEYS[1].public)


def test_a_credit_does_not_show_its_secrets():
    (credit,) = ISSUER.credits(1)
    (blinded,) = blinded_credits(PUBLIC, ISSUER.key.key_id, SEED, 1)
    for shown in (repr(credit), repr(blinded)):
        assert "serial" not in shown
        assert "signature" not in shown
        assert "inverse" not in shown


@given(st.integers(-5, 5_000_000))
def test_an_amount_is_made_up_of_the_fewest_credits(amount):
    counts = in_denominations(amount)
    worth = sum(denomination * count for denomination, count in counts.items())
    assert worth == max(0, amount) // DENOMINATIONS[0] * DENOMINATIONS[0]
    assert all(count < 10 for denomination, count in counts.items() if denomination != DENOMINATIONS[-1])


@given(st.integers(-5, 20_000_000), st.integers(1, 20_000_000))
def test_what_is_spread_pays_any_lesser_amount_exactly(amount, asked):
    counts = spread(amount)
    worth = sum(denomination * count for denomination, count in counts.items())
    assert worth == max(0, amount) // DENOMINATIONS[0] * DENOMINATIONS[0]
    assert all(count < 19 for denomination, count in counts.items() if denomination != DENOMINATIONS[-1])
    left = min(asked, worth) // DENOMINATIONS[0] * DENOMINATIONS[0]
    for denomination, count in counts.items():
        left -= denomination * min(count, left // denomination)
    assert left == 0


def test_a_credit_of_the_largest_denomination_is_spread_over_the_others():
    assert spread(1_000_000) == {100_000: 9, 10_000: 9, 1_000: 9, 100: 10}
    assert spread(12_300_000) == {1_000_000: 11, 100_000: 12, 10_000: 9, 1_000: 9, 100: 10}


@pytest.mark.parametrize("amount", range(1, 60))
def test_no_fewer_credits_pay_every_lesser_amount(amount):
    """Against every way to make up so many of the smallest denomination."""

    def pays_all(small, large):
        return {one + 10 * ten for one in range(small + 1) for ten in range(large + 1)} >= set(range(amount + 1))

    ways = [amount - 9 * large for large in range(amount // 10 + 1) if pays_all(amount - 10 * large, large)]
    assert sum(spread(100 * amount).values()) == min(ways)


@given(st.lists(st.sampled_from(DENOMINATIONS), max_size=9), st.integers(-1, 3_000_000))
def test_the_credits_that_are_worth_the_least_above_and_then_the_fewest_pay(available, amount):
    """Against every subset."""
    chosen = closest_covering(available, amount)
    subsets = [
        [value for place, value in enumerate(available) if chosen_bits >> place & 1]
        for chosen_bits in range(1, 1 << len(available))
    ]
    covering = [(sum(subset), len(subset)) for subset in subsets if sum(subset) >= amount]
    if chosen is None:
        assert not covering
    else:
        assert (sum(chosen), len(chosen)) == min(covering)
        assert all(chosen.count(value) <= available.count(value) for value in chosen)


@given(st.lists(st.integers(0, 40), min_size=5, max_size=5), st.integers(1, 3_000_000))
def test_from_a_full_purse_no_more_is_taken_than_must_be(counts, amount):
    """Against all that 16 credits can be worth."""
    available = [value for value, count in zip(DENOMINATIONS, counts, strict=True) for _ in range(count)]
    chosen = closest_covering(available, amount)
    worths = {0: 0}
    for value, count in zip(DENOMINATIONS, counts, strict=True):
        reached = dict(worths)
        for taken in range(1, min(count, MAX_CREDITS_A_LANE) + 1):
            for worth, size in worths.items():
                if size + taken <= MAX_CREDITS_A_LANE:
                    total = worth + taken * value
                    reached[total] = min(reached.get(total, MAX_CREDITS_A_LANE), size + taken)
        worths = reached
    covering = [worth for worth in worths if worth >= amount]
    if chosen is None:
        assert not covering
    else:
        assert sum(chosen) == min(covering)
        assert len(chosen) <= MAX_CREDITS_A_LANE
        assert all(chosen.count(value) <= available.count(value) for value in chosen)


def test_small_credits_that_pile_up_are_spent_first():
    assert closest_covering([100] * (MANY + 2) + [1_000] * 3, 2_300) == (100,) * 3 + (1_000,) * 2
    assert closest_covering([100] * (MANY + 3) + [1_000] * 3, 2_300) == (100,) * 13 + (1_000,)
    # There is no place for ten in the stead of one.
    assert closest_covering([100] * (MANY + 9) + [1_000] * 9, 8_000) == (1_000,) * 8


def test_a_purse_that_takes_change_all_the_time_stays_small():
    """Of lanes of some thousand microcredits, of which a part is spent."""
    draw, purse = random.Random(5), Counter(spread(5_000_000))
    for _ in range(1_000):
        chosen = closest_covering(list(purse.elements()), draw.randint(600, 6_000))
        assert chosen is not None
        purse.subtract(chosen)
        purse.update(in_denominations(sum(chosen) - draw.randint(50, 600)))
    assert purse.total() < 5 * MANY


def test_no_more_credits_than_a_lane_takes_are_chosen():
    assert closest_covering([1_000] * 40, MAX_CREDITS_A_LANE * 1_000) == (1_000,) * MAX_CREDITS_A_LANE
    assert closest_covering([1_000] * 40, MAX_CREDITS_A_LANE * 1_000 + 1) is None


def test_the_change_of_any_lane_is_within_the_rules():
    most = MAX_CREDITS_A_LANE * DENOMINATIONS[-1] - DENOMINATIONS[0]
    counts = in_denominations(most)
    assert sum(counts.values()) == 51 <= MAX_CHANGE_CREDITS
    assert len(counts) == MAX_CHANGE_PARTS


def test_an_entry_that_spends_all_that_a_lane_takes_is_no_larger_than_an_entry_may_be():
    spent = tuple(ISSUER.credits(1) * MAX_CREDITS_A_LANE)
    size = len(encode_entry(Redeem(bytes(32), 10**12, 2**40, 2**40, bytes(32), spent)))
    assert 5_000 < size < MAX_ENCODED_SIZE


@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_a_digest_stands_for_one_row_of_messages(one, other):
    assert (digest_of_blinded(one) == digest_of_blinded(other)) == (one == other)
