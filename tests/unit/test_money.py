"""Purchases, refunds, disputes, subscriptions, codes, grants, earnings and payouts, on both databases."""

import pytest

from bootstrap.database import Database
from bootstrap.money.codes import make_codes, newest_codes, redeem_code
from bootstrap.money.earnings import claim_earnings, earnings_of, forfeit_earnings, unclaimed_keys, unpaid_by_key
from bootstrap.money.grants import grant_credits
from bootstrap.money.journal import Overdrawn, house, money_book, move, person
from bootstrap.money.outbox import waiting_calls
from bootstrap.money.payouts import ask_payout, payouts_of
from bootstrap.money.provider import PaymentFact, PayoutFact
from bootstrap.money.purchases import ProviderDisagrees, apply_payment, purchase, start_purchase
from bootstrap.money.refunds import (
    REGRET_S,
    ask_refund,
    may_be_regretted,
    note_refund,
    refunds_of,
    regret_purchase,
)
from bootstrap.money.settings import MICROCREDITS, MoneyConfig
from bootstrap.money.standing import check_active
from bootstrap.money.subscriptions import cancel_subscription, start_subscription, subscription
from bootstrap.refusal import Refused
from peernet.core.errors import LocalProtocolError
from tests.money_house import NOW_S, PAYOUT_KEY, House, quiet

DAY_S = 24 * 3600


@pytest.fixture
def money(database: Database) -> House:
    made = House(database)
    made.account("ann")
    return made


def bought(money: House, pack: str = "10", account: str = "ann", choice: str = "pay") -> str:
    name = money.write(start_purchase, money.config, account, pack, money.now_s)
    money.step()
    assert money.pay(f"purchase/{name}", choice)
    money.step()
    return name


def spend(money: House, credits_: int, account: str = "ann") -> None:
    mine, out = person("bought", account), house("withdrawn")
    key = f"spent/{money.now_s}"
    money.write(move, key, credits_ * MICROCREDITS, debit=mine, credit=out, about=key, now_s=money.now_s)


def test_a_movement_is_made_once(money: House):
    def work(transaction, amount=5):
        mine = person("granted", "ann")
        return move(transaction, "k", amount, debit=house("given"), credit=mine, about="x", now_s=1)

    assert money.write(work) is True
    assert money.write(work) is False
    assert money.has("granted") == 5
    with pytest.raises(LocalProtocolError, match="another movement"):
        money.write(work, 6)
    money.assert_books_balance()


def test_no_book_goes_below_nothing(money: House):
    def work(transaction):
        mine = person("bought", "ann")
        move(transaction, "in", 5, debit=house("sold"), credit=mine, about="x", now_s=1)
        move(transaction, "out", 6, debit=mine, credit=house("withdrawn"), about="x", now_s=1)

    with pytest.raises(Overdrawn):
        money.write(work)
    assert money.has("bought") == 0  # nothing of it is left


def test_units_are_not_mixed(money: House):
    with pytest.raises(LocalProtocolError):
        money.write(
            move, "k", 1, debit=money_book("clearing", "EUR"), credit=person("bought", "ann"), about="x", now_s=1
        )


def test_bought_credits_are_there_once_the_money_is(money: House):
    name = bought(money)
    assert money.read(purchase, name).state == "paid"
    assert money.has("bought") == 0
    money.step(10)
    assert money.read(purchase, name).state == "cleared"
    assert money.has("bought") == 10 * MICROCREDITS
    assert [body for to, body in money.mails() if to == "ann@example.org"] == [
        "Thank you. You have bought 10 credits for 5.00 EUR."
    ]
    money.assert_books_balance()


@pytest.mark.parametrize("choice", ["decline", "pay_and_fail"])
def test_what_is_not_paid_gives_nothing(money: House, choice: str):
    name = bought(money, choice=choice)
    money.step(10)
    assert money.read(purchase, name).state == "failed"
    assert money.has("bought") == 0
    money.assert_books_balance()


def test_a_page_that_nobody_comes_to_is_over_after_a_day(money: House):
    name = money.write(start_purchase, money.config, "ann", "10", money.now_s)
    money.step()
    money.step(DAY_S)
    assert money.read(purchase, name).state == "failed"


def test_what_is_not_in_the_price_list_is_not_sold(money: House):
    with pytest.raises(Refused, match="price list"):
        money.write(start_purchase, money.config, "ann", "11", NOW_S)


def test_purchases_that_nobody_pays_have_a_bound(money: House):
    for _ in range(20):
        money.write(start_purchase, money.config, "ann", "10", NOW_S)
    with pytest.raises(Refused, match="wait to be paid"):
        money.write(start_purchase, money.config, "ann", "10", NOW_S)


@pytest.mark.parametrize("state", ["restricted", "suspended", "unverified", "erased"])
def test_an_account_that_is_not_in_use_begins_nothing(money: House, state: str):
    money.account("bob", state)
    for begin in (
        lambda transaction: start_purchase(transaction, money.config, "bob", "10", NOW_S),
        lambda transaction: start_subscription(transaction, money.config, "bob", "basic", NOW_S),
        lambda transaction: ask_payout(transaction, money.config, money.hosts, "bob", NOW_S),
        lambda transaction: redeem_code(transaction, "bob", "X", NOW_S),
        lambda transaction: check_active(transaction, "nobody"),
    ):
        with pytest.raises(Refused) as refused:
            money.database.write(begin)
        assert refused.value.reason == "suspended"


def test_another_amount_than_was_asked_for_is_not_believed(money: House):
    name = money.write(start_purchase, money.config, "ann", "10", NOW_S)
    money.step()
    fact = PaymentFact(f"purchase/{name}", "cleared", 1, "EUR")
    with pytest.raises(ProviderDisagrees):
        money.write(apply_payment, fact, NOW_S)
    assert money.has("bought") == 0


def test_old_word_of_the_provider_takes_nothing_back(money: House):
    name = bought(money)
    money.step(10)
    for state in ("open", "paid", "failed", "cleared"):
        money.write(apply_payment, PaymentFact(f"purchase/{name}", state, 500, "EUR"), NOW_S)
    assert money.read(purchase, name).state == "cleared"
    assert money.has("bought") == 10 * MICROCREDITS
    money.assert_books_balance()


def test_a_refund_takes_the_credits_of_its_share(money: House):
    name = bought(money)
    money.step(10)
    money.write(ask_refund, name, 200, "a bad week", by="op", now_s=money.now_s)
    money.step()
    assert money.read(purchase, name).refunded_cents == 200
    assert money.has("bought") == 6 * MICROCREDITS
    assert [each.state for each in money.read(refunds_of, name)] == ["done"]
    money.write(apply_payment, PaymentFact(f"purchase/{name}", "cleared", 500, "EUR"), NOW_S)  # said before that
    assert money.read(purchase, name).refunded_cents == 200
    assert money.has("bought") == 6 * MICROCREDITS
    with pytest.raises(Refused, match="at most 300 cents"):
        money.write(ask_refund, name, 301, "more", by="op", now_s=money.now_s)
    money.assert_books_balance()


def test_two_refunds_at_once_are_not_more_than_was_paid(money: House):
    name = bought(money)
    money.step(10)
    money.write(ask_refund, name, 300, "one", by="op", now_s=money.now_s)
    with pytest.raises(Refused, match="at most 200 cents"):
        money.write(ask_refund, name, 300, "two", by="op", now_s=money.now_s)


def test_spent_credits_of_a_refund_are_owed_and_paid_by_the_next_purchase(money: House):
    name = bought(money)
    money.step(10)
    spend(money, 8)
    money.write(ask_refund, name, 500, "all", by="op", now_s=money.now_s)
    money.step()
    assert (money.has("bought"), money.has("debt")) == (0, 8 * MICROCREDITS)
    assert any("You owe those" in body for _, body in money.mails())
    bought(money)
    money.step(10)
    assert (money.has("bought"), money.has("debt")) == (2 * MICROCREDITS, 0)
    assert any("8 of them paid what you owed" in body for _, body in money.mails())
    money.assert_books_balance()


def test_a_purchase_is_given_back_while_it_is_not_spent(money: House):
    name = bought(money)
    money.step(10)
    spend(money, 1)
    with pytest.raises(Refused, match="not spent"):
        money.write(regret_purchase, name, money.now_s)
    other = bought(money)
    money.step(10)
    money.write(regret_purchase, other, money.now_s)
    money.step()
    assert money.read(purchase, other).refunded_cents == 500
    with pytest.raises(Refused):
        money.write(regret_purchase, name, money.now_s + 15 * DAY_S)


def test_a_purchase_is_given_back_for_14_days(money: House):
    name = bought(money)
    money.step(10)
    bought_at_s = money.read(purchase, name).started_at_s
    assert money.read(may_be_regretted, money.read(purchase, name), bought_at_s + REGRET_S)
    assert not money.read(may_be_regretted, money.read(purchase, name), bought_at_s + REGRET_S + 1)


def test_what_the_provider_did_not_refund_is_left_to_refund(money: House):
    name = bought(money)
    money.step(10)
    refund = money.write(ask_refund, name, 500, "all", by="op", now_s=money.now_s)
    money.write(note_refund, f"refund/{refund}", done=False)
    assert money.write(ask_refund, name, 500, "once more", by="op", now_s=money.now_s)


@pytest.mark.parametrize(("choice", "left"), [("pay_and_dispute_won", 10), ("pay_and_dispute_lost", 0)])
def test_a_dispute_takes_the_credits_and_gives_them_back_where_it_is_won(money: House, choice: str, left: int):
    name = bought(money, choice=choice)
    money.step(6)
    assert money.has("bought") == 10 * MICROCREDITS
    money.step(16)
    assert money.read(purchase, name).dispute == "open"
    assert money.has("bought") == 0
    with pytest.raises(Refused, match="disputed"):
        money.write(ask_refund, name, 500, "x", by="op", now_s=money.now_s)
    money.step(6)
    assert money.has("bought") == left * MICROCREDITS
    money.assert_books_balance()


def test_a_lost_event_is_made_up_for_by_asking(database: Database):
    money = House(database, faults=quiet(event_lost=1.0))
    money.account("ann")
    name = bought(money)
    money.settle(seconds=400)
    assert money.read(purchase, name).state == "cleared"


def test_an_event_that_nobody_signed_is_refused(money: House):
    with pytest.raises(Refused) as refused:
        money.cashier.receive(b'{"key": "purchase/x"}', "00", NOW_S)
    assert refused.value.reason == "bad_signature"


def test_a_subscription_gives_credits_every_month_until_it_is_cancelled(money: House):
    name = money.write(start_subscription, money.config, "ann", "basic", money.now_s)
    with pytest.raises(Refused, match="already"):
        money.write(start_subscription, money.config, "ann", "plus", money.now_s)
    money.step()
    assert money.pay(f"subscription/{name}")
    money.settle(seconds=6, times=3)
    assert money.has("bought") == 20 * MICROCREDITS
    money.step(30 * DAY_S)
    money.settle(seconds=6, times=3)
    assert money.has("bought") == 40 * MICROCREDITS
    money.write(cancel_subscription, name, money.now_s)
    money.step()
    assert money.read(subscription, name).state == "active"  # to the end of its month
    money.step(30 * DAY_S)
    money.settle(seconds=6, times=3)
    assert money.read(subscription, name).state == "ended"
    assert money.has("bought") == 40 * MICROCREDITS
    assert any("has ended" in body for _, body in money.mails())
    money.assert_books_balance()


def test_a_month_that_is_not_paid_makes_a_subscription_late_and_then_ends_it(database: Database):
    money = House(database, faults=quiet(month_unpaid=1.0))
    money.account("ann")
    name = money.write(start_subscription, money.config, "ann", "basic", money.now_s)
    money.step()
    money.pay(f"subscription/{name}")
    money.settle(seconds=6, times=3)
    money.step(30 * DAY_S)
    assert money.read(subscription, name).state == "late"
    money.step(3 * DAY_S)
    assert money.read(subscription, name).state == "ended"
    assert money.has("bought") == 20 * MICROCREDITS
    assert any("could not be paid" in body for _, body in money.mails())


def test_a_code_is_redeemed_once_and_never_kept(money: House):
    money.account("bob")
    (code,) = money.write(make_codes, 1, 7, "fair", NOW_S + DAY_S, by="op", now_s=NOW_S)
    assert money.write(redeem_code, "ann", code.lower().replace("-", " "), NOW_S) == 7
    refusals = []
    for who, typed, at_s in (("bob", code, NOW_S), ("ann", code, NOW_S), ("bob", "NONE", NOW_S)):
        with pytest.raises(Refused) as refused:
            money.write(redeem_code, who, typed, at_s)
        refusals.append(str(refused.value))
    assert len(set(refusals)) == 1
    assert money.has("granted") == 7
    kept = money.read(lambda transaction: transaction.rows("SELECT * FROM redeem_code"))
    assert code not in str(kept)
    assert code.replace("-", "") not in str(kept)
    assert money.read(newest_codes)[0].redeemed_at_s == NOW_S


def test_a_code_ends(money: House):
    (code,) = money.write(make_codes, 1, 7, "fair", NOW_S + DAY_S, by="op", now_s=NOW_S)
    with pytest.raises(Refused):
        money.write(redeem_code, "ann", code, NOW_S + DAY_S)


def test_a_grant_has_a_reason_and_is_logged(money: House):
    with pytest.raises(Refused, match="say why"):
        money.write(grant_credits, "ann", 5, " ", by="op", now_s=NOW_S)
    money.write(grant_credits, "ann", 5, "for a talk", by="op", now_s=NOW_S)
    assert money.has("granted") == 5
    logged = money.read(
        lambda transaction: transaction.rows("SELECT by_account_id, about_account_id, action FROM access_log")
    )
    assert logged == [("op", "ann", "credits_granted")]


@pytest.mark.parametrize("state", ["unverified", "suspended", "restricted"])
def test_nothing_is_given_to_an_account_that_is_not_in_use(money: House, state: str):
    money.account("bob", state)
    with pytest.raises(Refused, match=f"is {state}"):
        money.write(grant_credits, "bob", 5, "for a talk", by="op", now_s=NOW_S)
    assert money.has("granted", "bob") == 0


def test_a_settlement_is_counted_once_and_waits_for_its_owner(money: House):
    money.earn("ann", 3)
    assert money.has("earned") == 3 * MICROCREDITS
    money.hosts.owners.clear()
    money.hosts.owners[b"other"] = "nobody"
    from bootstrap.money.earnings import Settlement, count_settlements

    found = [Settlement(1, b"k" * 32, 4, NOW_S)]
    assert money.write(count_settlements, "log.example/1", found, 1, 2, money.hosts, NOW_S)
    assert not money.write(count_settlements, "log.example/1", found, 1, 2, money.hosts, NOW_S)
    assert money.read(unclaimed_keys) == [b"k" * 32]
    assert money.write(claim_earnings, b"k" * 32, "ann", NOW_S) == 1
    assert money.write(claim_earnings, b"k" * 32, "ann", NOW_S) == 0
    assert money.has("earned") == 3 * MICROCREDITS + 4
    money.assert_books_balance()


@pytest.fixture
def earned(money: House) -> House:
    """Ann has earned 100 credits, long ago, and may be paid."""
    money.payee("ann")
    money.earn("ann", 100, at_s=NOW_S - 60 * DAY_S)
    return money


def asked(money: House) -> str:
    return money.write(ask_payout, money.config, money.hosts, "ann", money.now_s)


def test_earnings_are_paid_out(earned: House):
    name = asked(earned)
    assert (earned.has("earned"), earned.has("paying")) == (0, 100 * MICROCREDITS)
    earned.step()
    earned.step(10)
    (paid,) = earned.read(payouts_of, "ann")
    assert (paid.id, paid.state, paid.cents) == (name, "paid", 4_000)
    assert (earned.has("earned"), earned.has("paying")) == (0, 0)
    earned.assert_books_balance()


def test_what_is_too_young_waits(money: House):
    money.payee("ann")
    money.earn("ann", 100, at_s=NOW_S - 60 * DAY_S)
    money.earn("ann", 50)
    have = money.read(earnings_of, "ann", money.config, money.hosts, money.now_s)
    assert (have.earned, have.waiting, have.payable) == tuple(each * MICROCREDITS for each in (150, 50, 100))
    asked(money)
    assert money.has("earned") == 50 * MICROCREDITS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda money: money.hosts.held.update(ann="a host of yours is suspended"), "held"),
        (lambda money: money.write(lambda transaction: transaction.execute("DELETE FROM payee")), "no_payee"),
        (asked, "payout_under_way"),
    ],
)
def test_what_stands_against_a_payout_is_told(earned: House, change, reason: str):
    change(earned)
    with pytest.raises(Refused) as refused:
        asked(earned)
    assert refused.value.reason == reason


def test_little_is_not_paid_out_and_debts_come_first(money: House):
    money.payee("ann")
    money.earn("ann", 24, at_s=NOW_S - 60 * DAY_S)
    with pytest.raises(Refused, match=r"begin at 10\.00 EUR, and 9\.60 EUR"):
        asked(money)
    money.earn("ann", 24, at_s=NOW_S - 60 * DAY_S)
    debt = person("debt", "ann")
    money.write(move, "d", 1, debit=debt, credit=house("withdrawn"), about="x", now_s=NOW_S)
    with pytest.raises(Refused, match="you owe credits"):
        asked(money)


def test_a_payout_that_fails_comes_back(database: Database):
    money = House(database, faults=quiet(payout_fails=1.0))
    money.account("ann")
    money.payee("ann")
    money.earn("ann", 100, at_s=NOW_S - 60 * DAY_S)
    asked(money)
    money.step()
    money.step(10)
    assert money.has("earned") == 100 * MICROCREDITS
    assert any("could not pay you out" in body for _, body in money.mails())
    money.assert_books_balance()


def test_a_timeout_is_no_failure(database: Database):
    """The provider has paid and the answer is lost: nothing is put back, and nothing is paid twice."""
    money = House(database, faults=quiet(timeout_after=1.0, event_lost=1.0))
    money.account("ann")
    money.payee("ann")
    money.earn("ann", 100, at_s=NOW_S - 60 * DAY_S)
    asked(money)
    money.step()
    assert money.read(waiting_calls) == (1, 1)
    assert (money.has("earned"), money.has("paying")) == (0, 100 * MICROCREDITS)
    money.settle(seconds=3600)
    assert money.read(waiting_calls) == (0, 0)
    assert [each.state for each in money.read(payouts_of, "ann")] == ["paid"]
    money.assert_books_balance()


def test_the_provider_s_no_is_its_word(earned: House):
    earned.write(
        lambda transaction: transaction.execute("UPDATE offline_thing SET state = 'open' WHERE kind = 'payee'")
    )
    asked(earned)
    earned.step()
    assert [each.state for each in earned.read(payouts_of, "ann")] == ["failed"]
    assert earned.has("earned") == 100 * MICROCREDITS


def test_a_word_about_another_amount_posts_nothing(earned: House):
    from bootstrap.money.payouts import apply_payout

    name = asked(earned)
    with pytest.raises(ProviderDisagrees):
        earned.write(apply_payout, PayoutFact(f"payout/{name}", "paid", 4_001, "EUR"), NOW_S)
    assert earned.has("paying") == 100 * MICROCREDITS


def test_what_is_unpaid_of_a_key_is_its_newest_and_is_forfeited_once(earned: House):
    asked(earned)
    earned.step()
    earned.step(10)
    earned.earn("ann", 7)
    assert earned.read(unpaid_by_key, "ann") == {PAYOUT_KEY: 7 * MICROCREDITS}
    assert earned.write(forfeit_earnings, "ann", [b"another"], "sanction/1", now_s=NOW_S) == 0
    assert earned.write(forfeit_earnings, "ann", [PAYOUT_KEY], "sanction/2", now_s=NOW_S) == 7 * MICROCREDITS
    earned.earn("ann", 1)
    assert earned.write(forfeit_earnings, "ann", [PAYOUT_KEY], "sanction/2", now_s=NOW_S) == 0
    assert earned.has("earned") == MICROCREDITS
    earned.assert_books_balance()


@pytest.mark.parametrize(
    "setting",
    [
        {"packs": ("10 for 5",)},
        {"packs": ("0 for 5.00",)},
        {"packs": ("10 for 0.00",)},
        {"packs": ("10 for 5.00", "10 for 6.00")},
        {"plans": ("Basic: 10 for 5.00",)},
        {"plans": ("a: 1 for 1.00", "a: 2 for 2.00")},
        {"provider": "nobody"},
        {"currency": "euro"},
        {"payout_hold_days": -1},
    ],
)
def test_a_price_list_that_cannot_be_read_is_told(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        MoneyConfig(**setting)


def test_no_credit_is_paid_out_for_more_than_it_costs():
    assert not MoneyConfig().pays_more_than_it_takes
    assert MoneyConfig(payout_cents_per_credit=41).pays_more_than_it_takes  # 200 are sold for 80.00
    assert MoneyConfig(packs=("10 for 5.00",), plans=("plus: 100 for 39.00",)).pays_more_than_it_takes
