"""The purse: what is written down before it is sent, and what becomes of it."""

import stat

import apsw
import pytest
from attrs import evolve

from peernet.client.purse import Purse, Withdrawal
from peernet.core.credits.credits import BOUGHT, GRANTED
from peernet.core.errors import UserError
from peernet.core.ledger.entries import ChangePart
from peernet.core.metering import RedeemRequest
from tests.issuers import KEYS, SUITE, TestIssuer, lane_seed

ORIGIN = "log.example/one"
SMALL = TestIssuer()
LARGE = TestIssuer(KEYS[1], 10_000)
GIFTS = TestIssuer(KEYS[2], credit_class=GRANTED)
CREDITS = [*SMALL.credits(3), *LARGE.credits(1)]
NOW_S = 100.0


@pytest.fixture
def purse(tmp_path):
    purse = Purse(tmp_path / "state" / "purse.sqlite")
    purse.add_keys(ORIGIN, [SMALL.key, LARGE.key, GIFTS.key])
    assert purse.add_credits(CREDITS) == 4
    yield purse
    purse.close()


def reopened(purse):
    """As after a crash: another connection, without what the first one had in memory."""
    return Purse(purse._path)


def begin(purse, number, amount, origin=ORIGIN, now_s=NOW_S):
    seed = lane_seed(number)
    key = SUITE.ed25519_public(seed)
    return purse.begin_lane(
        origin, amount, seed, now_s, lambda cap, spent: RedeemRequest(key, cap, 3_600, bytes(32), spent)
    )


def test_there_is_no_file_until_something_is_put_in(tmp_path):
    purse = Purse(tmp_path / "purse.sqlite")
    assert purse.balance() == {}
    assert purse.lanes() == purse.withdrawals() == []
    assert begin(purse, 1, 1) is None
    assert not purse.covers(ORIGIN, 1, NOW_S)
    purse.lane_settled(bytes(32))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owners_alone(purse):
    assert stat.S_IMODE(purse._path.stat().st_mode) == 0o600
    assert stat.S_IMODE(purse._path.parent.stat().st_mode) == 0o700
    purse._path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        reopened(purse).balance()


@pytest.mark.parametrize("content", [b"not a database, and longer than a header of one" * 9, None])
def test_what_is_no_purse_is_left_alone(tmp_path, content):
    path = tmp_path / "purse.sqlite"
    if content is None:
        apsw.Connection(str(path)).execute("CREATE TABLE other (x)")
    else:
        path.write_bytes(content)
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(UserError, match="is no purse"):
        Purse(path).balance()
    assert path.read_bytes() == before


def test_credits_are_added_once(purse):
    assert purse.balance() == {BOUGHT: {1_000: 3, 10_000: 1}}
    assert purse.add_credits(CREDITS) == 0
    assert purse.issuer_key(SMALL.key.key_id) == SMALL.key


def test_a_lane_takes_the_credits_that_cover_it_most_closely_and_they_are_no_longer_free(purse):
    lane = begin(purse, 1, 1_500)
    assert (lane.request.cap_microcredits, len(lane.request.credits)) == (2_000, 2)
    assert purse.balance() == {BOUGHT: {1_000: 1, 10_000: 1}}
    lane = begin(purse, 2, 1_500)
    assert (lane.request.cap_microcredits, len(lane.request.credits)) == (10_000, 1)
    assert begin(purse, 3, 1_500) is None
    assert begin(purse, 3, 900, origin="log.example/other") is None


def test_a_lane_is_on_the_disk_before_it_is_sent(purse):
    lane = begin(purse, 1, 1_000)
    (kept,) = reopened(purse).lanes()
    assert kept == lane
    assert (kept.funded, kept.seed) == (False, lane_seed(1))
    assert begin(reopened(purse), 2, 3_000).request.credits == tuple(CREDITS[3:])


def test_two_processes_never_take_the_same_credit(purse):
    other = reopened(purse)
    taken = [
        credit.serial
        for number in range(4)
        for credit in begin((purse, other)[number % 2], number + 1, 1_000).request.credits
    ]
    assert len(set(taken)) == 4
    assert begin(other, 9, 1) is None


def test_a_funded_lane_has_spent_its_credits_and_waits_for_its_change(purse):
    lane = begin(purse, 1, 2_500)
    purse.lane_funded(lane.request.lane_key)
    assert purse.balance() == {BOUGHT: {10_000: 1}}
    purse.lane_settled(lane.request.lane_key)
    parts = (ChangePart(SMALL.key.key_id, 2),)
    purse.begin_change(lane.request.lane_key, parts)
    purse.begin_change(lane.request.lane_key, (ChangePart(SMALL.key.key_id, 9),))
    (kept,) = reopened(purse).lanes()
    assert (kept.funded, kept.settled, kept.change_parts) == (True, True, parts)
    change = SMALL.credits(2, kept.change_seed)
    purse.end_lane(lane.request.lane_key, change)
    assert purse.lanes() == []
    assert purse.balance() == {BOUGHT: {1_000: 2, 10_000: 1}}


def test_change_that_was_refused_may_be_asked_otherwise(purse):
    key = begin(purse, 1, 2_500).request.lane_key
    purse.begin_change(key, (ChangePart(SMALL.key.key_id, 2),))
    purse.forget_change(key)
    purse.begin_change(key, (ChangePart(LARGE.key.key_id, 1),))
    assert purse.lanes()[0].change_parts == (ChangePart(LARGE.key.key_id, 1),)


def test_a_lane_that_was_refused_frees_its_credits(purse):
    lane = begin(purse, 1, 2_500)
    purse.lane_refused(lane.request.lane_key, credits_bad=False)
    assert purse.lanes() == []
    assert begin(purse, 2, 2_500).request.credits == lane.request.credits


def test_a_single_credit_that_was_refused_is_gone(purse):
    lane = begin(purse, 1, 5_000)
    purse.lane_refused(lane.request.lane_key, credits_bad=True)
    assert purse.balance() == {BOUGHT: {1_000: 3}}


def test_one_bad_credit_costs_no_good_ones(purse):
    purse.lane_refused(begin(purse, 1, 5_000).request.lane_key, credits_bad=True)
    lane = begin(purse, 1, 3_000)
    assert len(lane.request.credits) == 3
    purse.lane_refused(lane.request.lane_key, credits_bad=True)
    assert purse.balance() == {BOUGHT: {1_000: 3}}
    assert begin(purse, 2, 3_000) is None
    for number in (2, 3, 4):
        assert len(begin(purse, number, 1_000).request.credits) == 1


def test_what_was_given_is_spent_before_what_was_bought_and_never_with_it(purse):
    purse.add_credits(GIFTS.credits(2))
    assert begin(purse, 1, 2_000).credit_class == GRANTED
    assert begin(purse, 2, 9_000).credit_class == BOUGHT
    purse.add_credits(GIFTS.credits(1, b"\x11" * 32))
    assert begin(purse, 3, 4_000) is None


def test_a_credit_whose_time_is_over_is_not_spent(purse):
    assert begin(purse, 1, 1_000, now_s=SMALL.redeem_until_s - 200) is None
    assert begin(purse, 1, 1_000, now_s=SMALL.redeem_until_s - 400) is not None


def test_a_withdrawal_is_on_the_disk_before_it_is_sent(purse):
    withdrawal = Withdrawal(b"\x01" * 32, "https://portal.example", SMALL.key.key_id, b"\x02" * 32, 2)
    purse.begin_withdrawals([withdrawal])
    assert reopened(purse).withdrawals() == [withdrawal]
    purse.end_withdrawal(withdrawal.request_id, SMALL.credits(2, withdrawal.seed))
    assert purse.withdrawals() == []
    assert purse.balance()[BOUGHT][1_000] == 5


def test_what_is_half_written_is_not_there(purse):
    def fails(cap, spent):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        purse.begin_lane(ORIGIN, 1_000, lane_seed(1), NOW_S, fails)
    assert purse.lanes() == []
    assert purse.balance() == {BOUGHT: {1_000: 3, 10_000: 1}}


def test_spent_credits_are_wiped_from_the_file(purse):
    lane = begin(purse, 1, 3_000)
    purse.lane_funded(lane.request.lane_key)
    purse.end_lane(lane.request.lane_key)
    content = purse._path.read_bytes()
    assert not any(credit.serial in content for credit in lane.request.credits)
    assert lane_seed(1) not in content
    assert sum(credit.serial in content for credit in CREDITS) == 4 - len(lane.request.credits)


def test_what_a_purse_holds_does_not_show(purse):
    lane = begin(purse, 1, 1_000)
    shown = repr(lane) + repr(Withdrawal(b"", "", b"", b"\x02" * 32, 2))
    assert repr(lane.seed) not in shown
    assert repr(lane.request.credits[0].serial) not in shown
    assert repr(b"\x02" * 32) not in shown
    assert evolve(lane, funded=True) != lane
