"""Whatever the payment provider times out, repeats, loses or says late: in the end its word and our books agree.

The offline provider's own table is the truth of what was paid. Against it stands a model of a few lines: an account
has what cleared, less what was taken back, less what was spent; a host operator has what was earned, less what was
paid. The journal is checked after every step.
"""

import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.database import Database, open_database
from bootstrap.money.journal import Overdrawn, house, move, person
from bootstrap.money.offline import Faults, OfflineProvider
from bootstrap.money.outbox import waiting_calls
from bootstrap.money.payouts import ask_payout, payouts_of
from bootstrap.money.provider import Fact
from bootstrap.money.purchases import purchases_of, start_purchase
from bootstrap.money.refunds import ask_refund
from bootstrap.money.settings import MICROCREDITS
from bootstrap.money.subscriptions import cancel_subscription, start_subscription, subscriptions_of
from bootstrap.refusal import Refused
from tests.money_house import NOW_S, House, quiet

DAY_S = 24 * 3600
CHOICES = ("pay", "pay_and_fail", "pay_and_dispute_won", "pay_and_dispute_lost", "decline")


class Remembering(OfflineProvider):
    """One whose look-ups may be late: what comes is what was true a while ago."""

    def look_up(self, key: str) -> Fact | None:
        fact = super().look_up(key)
        said = HISTORY.setdefault(key, [])
        if fact is not None:
            said.append(fact)
        if said and self._chance(key, f"stale/{len(said)}", STALE[0]):
            return said[len(said) // 2]
        return fact


HISTORY: dict[str, list[Fact]] = {}
STALE = [0.0]

share = st.sampled_from((0.0, 0.2, 0.6))
faults_of = st.builds(
    Faults,
    timeout_before=share,
    timeout_after=share,
    event_lost=share,
    event_twice=share,
    event_late=share,
    clearing_fails=share,
    disputed=share,
    month_unpaid=share,
    payout_fails=share,
)
operations = st.one_of(
    st.tuples(st.just("buy"), st.sampled_from(CHOICES)),
    st.tuples(st.just("subscribe"), st.sampled_from(CHOICES)),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("refund"), st.sampled_from((1, 100, 250, 500))),
    st.tuples(st.just("spend"), st.integers(1, 12)),
    st.tuples(st.just("earn"), st.integers(1, 60)),
    st.tuples(st.just("payout")),
    st.tuples(st.just("wait"), st.sampled_from((1, 10, 120, 4_000, 3 * DAY_S, 31 * DAY_S))),
)


class Story:
    """One example: what is done, and what a plain sum says that must come out."""

    def __init__(self, database: Database, faults: Faults, seed: int, stale: float) -> None:
        HISTORY.clear()
        STALE[0] = stale
        self.money = House(database, faults=faults, seed=seed)
        plain = self.money.provider
        self.money.provider = Remembering(
            plain.database, plain.now_s, plain.page_url, plain.key, seed, faults, plain.clearing_s
        )
        object.__setattr__(self.money.cashier, "provider", self.money.provider)
        self.money.account("ann")
        self.money.payee("ann")
        self.spent = 0
        self.earned = 0
        self.number = 0

    def do(self, operation: tuple[Any, ...]) -> None:
        with suppress(Refused, Overdrawn):  # such as a second payout while one is under way
            getattr(self, operation[0])(*operation[1:])
        self.money.assert_books_balance()

    def buy(self, choice: str) -> None:
        name = self.money.write(start_purchase, self.money.config, "ann", "10", self.money.now_s)
        self.money.step(11)
        self.money.pay(f"purchase/{name}", choice)
        self.money.settle(seconds=61, times=2)

    def subscribe(self, choice: str) -> None:
        name = self.money.write(start_subscription, self.money.config, "ann", "basic", self.money.now_s)
        self.money.step(11)
        self.money.pay(f"subscription/{name}", choice)

    def cancel(self) -> None:
        for each in self.money.read(subscriptions_of, "ann"):
            self.money.write(cancel_subscription, each.id, self.money.now_s)

    def refund(self, cents: int) -> None:
        cleared = [each for each in self.money.read(purchases_of, "ann") if each.state == "cleared"]
        for each in cleared[:1]:
            self.money.write(ask_refund, each.id, cents, "x", by="op", now_s=self.money.now_s)
        self.money.settle(seconds=301, times=2)

    def spend(self, credits_: int) -> None:
        self.number += 1
        mine, amount = person("bought", "ann"), credits_ * MICROCREDITS
        key = f"spent/{self.number}"
        self.money.write(move, key, amount, debit=mine, credit=house("withdrawn"), about=key, now_s=self.money.now_s)
        self.spent += amount

    def earn(self, credits_: int) -> None:
        self.money.earn("ann", credits_, at_s=NOW_S - 60 * DAY_S)
        self.earned += credits_ * MICROCREDITS

    def payout(self) -> None:
        self.money.write(ask_payout, self.money.config, self.money.hosts, "ann", self.money.now_s)

    def wait(self, seconds: int) -> None:
        self.money.step(seconds)

    def end(self) -> None:
        """Nothing new is begun, and in the end the provider answers: then everything must agree."""
        STALE[0] = 0.0
        for each in self.money.read(subscriptions_of, "ann"):
            if each.state != "ended":
                self.money.write(cancel_subscription, each.id, self.money.now_s)
        self.money.settle(seconds=3_700, times=20)
        self.money.settle(seconds=DAY_S + 60, times=45)
        self.money.assert_books_balance()
        assert self.money.read(waiting_calls)[0] == 0
        assert not self.money.cashier.disagreements
        self.compare_purchases()
        self.compare_payouts()

    def truth(self, kind: str) -> dict[str, tuple[str, int, int, str]]:
        rows = self.money.read(
            lambda transaction: transaction.rows(
                "SELECT key, state, amount, refunded, dispute FROM offline_thing WHERE kind = :kind AND made = 1",
                kind=kind,
            )
        )
        return {key: tuple(rest) for key, *rest in rows}

    def compare_purchases(self) -> None:
        truth = self.truth("payment")
        ours = {each.provider_key: each for each in self.money.read(purchases_of, "ann", most=10_000)}
        assert ours.keys() == truth.keys()  # none is lost, and none is there twice
        left = 0
        for key, (state, cents, refunded, dispute) in truth.items():
            mine = ours[key]
            assert (mine.state, mine.cents, mine.refunded_cents, mine.dispute) == (state, cents, refunded, dispute)
            given = self.money.read(
                lambda transaction, name=mine.id: transaction.rows(
                    "SELECT amount FROM movement WHERE key IN (:credit, :debt)",
                    credit=f"purchase/{name}/credit",
                    debt=f"purchase/{name}/debt",
                )
            )
            assert sum(amount for (amount,) in given) == (mine.microcredits if state == "cleared" else 0)
            if state == "cleared" and dispute not in {"open", "lost"}:
                left += mine.microcredits - mine.microcredits * refunded // cents
        assert self.money.has("bought") - self.money.has("debt") == left - self.spent

    def compare_payouts(self) -> None:
        truth = self.truth("payout")
        ours = {f"payout/{each.id}": each for each in self.money.read(payouts_of, "ann", most=10_000)}
        assert ours.keys() == truth.keys()
        assert {key: each.state for key, each in ours.items()} == {key: state for key, (state, *_) in truth.items()}
        paid = sum(each.microcredits for each in ours.values() if each.state == "paid")
        assert self.money.has("paying") == 0
        assert self.money.has("earned") == self.earned - paid


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    faults=faults_of,
    seed=st.integers(0, 1_000),
    stale=share,
    steps=st.lists(operations, min_size=1, max_size=14),
)
def test_the_books_and_the_provider_agree_in_the_end(faults: Faults, seed: int, stale: float, steps: list[Any]):
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(str(Path(folder) / "operator.sqlite"), create=True)
        try:
            story = Story(database, faults, seed, stale)
            for step in steps:
                story.do(step)
            story.end()
        finally:
            database.close()


def at_once(works: list[Any]) -> list[BaseException]:
    """Runs all in threads of their own, from one moment on; returns what they raised."""
    ready, raised = threading.Barrier(len(works)), []

    def run(work: Any) -> None:
        ready.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_payouts_at_once_pay_once(database: Database):
    story = Story(database, Faults(), 1, 0.0)
    story.earn(60)
    raised = at_once([story.payout] * 4)
    assert len(raised) == 3
    assert {getattr(error, "reason", error) for error in raised} == {"payout_under_way"}
    story.end()
    assert [each.state for each in story.money.read(payouts_of, "ann")] == ["paid"]


def test_credits_are_not_spent_twice_at_once(database: Database):
    story = Story(database, quiet(), 2, 0.0)
    story.buy("pay")
    story.money.settle(seconds=3_700)

    def spend(number: int) -> None:
        mine, key = person("bought", "ann"), f"twice/{number}"
        amount = 6 * MICROCREDITS
        story.money.write(move, key, amount, debit=mine, credit=house("withdrawn"), about=key, now_s=NOW_S)
        story.spent += amount

    raised = at_once([lambda number=number: spend(number) for number in range(4)])
    assert [type(error) for error in raised] == [Overdrawn] * 3
    story.end()


@pytest.mark.parametrize("seed", range(3))
def test_several_workers_follow_one_provider(database: Database, seed: int):
    """Everything is done by four threads at the same time, as by several processes on one database."""
    faults = Faults(timeout_before=0.2, timeout_after=0.2, event_twice=0.6, event_late=0.3, disputed=0.3)
    story = Story(database, faults, seed, 0.2)
    for choice in ("pay", "pay_and_fail", "pay"):
        story.buy(choice)
    story.earn(60)
    story.payout()
    for _ in range(4):
        raised = at_once([lambda: story.money.step(700)] * 4)
        assert not raised
        story.money.assert_books_balance()
    story.end()
