"""Credits: what a batch follows from, and how amounts are made up of denominations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.credits.credits import (
    DENOMINATIONS,
    MAX_CREDITS_A_LANE,
    Credit,
    blinded_credits,
    check_credit,
    digest_of_blinded,
    fewest_covering,
    in_denominations,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
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


@given(st.lists(st.sampled_from(DENOMINATIONS), max_size=7), st.integers(1, 3_000_000))
def test_the_fewest_credits_that_cover_and_the_least_above(available, amount):
    """Against every subset."""
    chosen = fewest_covering(available, amount)
    subsets = [
        [value for place, value in enumerate(available) if chosen_bits >> place & 1]
        for chosen_bits in range(1 << len(available))
    ]
    covering = [(len(subset), sum(subset)) for subset in subsets if sum(subset) >= amount]
    if chosen is None:
        assert not covering
    else:
        assert (len(chosen), sum(chosen)) == min(covering)
        assert all(chosen.count(value) <= available.count(value) for value in chosen)


def test_no_more_credits_than_a_lane_takes_are_chosen():
    assert fewest_covering([1_000] * 40, MAX_CREDITS_A_LANE * 1_000) == (1_000,) * MAX_CREDITS_A_LANE
    assert fewest_covering([1_000] * 40, MAX_CREDITS_A_LANE * 1_000 + 1) is None


@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_a_digest_stands_for_one_row_of_messages(one, other):
    assert (digest_of_blinded(one) == digest_of_blinded(other)) == (one == other)
