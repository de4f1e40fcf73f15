"""Subscriptions: credits every month, until they are cancelled or not paid for.

The provider takes the money each month by itself; every month is a purchase like others, and gives its credits when
it has cleared. A cancelled one goes on to the end of the month that is paid for. A month that is not paid makes it
`late`; where the provider gives up, it has ended.
"""

from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.letters import in_credits_said, write_to
from bootstrap.money.outbox import queue_call, unwatch, watch
from bootstrap.money.provider import SubscriptionFact, period_key
from bootstrap.money.purchases import add_period
from bootstrap.money.settings import MoneyConfig
from bootstrap.money.standing import check_active
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "Subscription",
    "apply_subscription",
    "cancel_subscription",
    "note_subscription_refused",
    "start_subscription",
    "subscription",
    "subscription_owner",
    "subscriptions_of",
]

DAY_S: Final = 24 * 3600
LOOK_OPEN_S: Final = 300
ALWAYS_S: Final = 2**40
MAX_PERIODS: Final = 1_200

State = Literal["starting", "open", "active", "late", "ended"]
_RANK: Final[Mapping[str, int]] = {"starting": 0, "open": 1, "active": 2, "late": 3, "ended": 4}
_SUBSCRIPTION: Final = (
    "SELECT id, account_id, plan, microcredits, cents, currency, state, cancelled, url, period_ends_at_s,"
    " started_at_s, ended_at_s FROM subscription"
)


@frozen
class Subscription:
    """One of a person's."""

    id: str
    account_id: str
    plan: str
    microcredits: int
    cents: int
    currency: str
    state: State
    cancelled: int
    url: str
    period_ends_at_s: int | None
    started_at_s: int
    ended_at_s: int | None

    @property
    def key(self) -> str:
        """By which the provider knows it."""
        return f"subscription/{self.id}"


def start_subscription(transaction: Transaction, config: MoneyConfig, account_id: str, plan: str, now_s: int) -> str:
    """A subscription to a plan of the price list; returns its id. Raises `Refused` (`bad_body`, `subscribed`)."""
    check_active(transaction, account_id)
    chosen = next((each for each in config.plan_list if each.name == plan), None)
    if chosen is None:
        raise Refused("that is not in the price list", reason="bad_body", field="plan")
    going = transaction.row(
        "SELECT 1 FROM subscription WHERE account_id = :account AND state <> 'ended'", account=account_id
    )
    if going is not None:
        raise Refused("you have a subscription already: cancel it first", reason="subscribed")
    name = new_id()
    transaction.execute(
        "INSERT INTO subscription (id, account_id, plan, microcredits, cents, currency, state, started_at_s)"
        " VALUES (:id, :account, :plan, :microcredits, :cents, :currency, 'starting', :now)",
        id=name,
        account=account_id,
        plan=chosen.name,
        microcredits=chosen.microcredits,
        cents=chosen.cents,
        currency=config.currency,
        now=now_s,
    )
    queue_call(
        transaction,
        f"subscription/{name}",
        "subscription",
        now_s=now_s,
        amount=chosen.cents,
        currency=config.currency,
        description=f"{in_credits_said(chosen.microcredits)} a month",
    )
    return name


def cancel_subscription(transaction: Transaction, subscription_id: str, now_s: int) -> None:
    """Has it end with the month that is paid for; raises `Refused` (`ended`)."""
    going = subscription(transaction, subscription_id)
    if going.state == "ended":
        raise Refused("that subscription has ended", reason="ended")
    transaction.execute("UPDATE subscription SET cancelled = 1 WHERE id = :id", id=subscription_id)
    queue_call(transaction, f"cancel/{subscription_id}", "cancel", now_s=now_s, about=going.key)


def subscription(transaction: Transaction, subscription_id: str) -> Subscription:
    """The subscription of that id; raises `NotFound`."""
    row = transaction.row(f"{_SUBSCRIPTION} WHERE id = :id", id=subscription_id)
    if row is None:
        raise NotFound("subscription")
    return Subscription(*row)


def subscription_owner(transaction: Transaction, parameters: Mapping[str, str]) -> str | None:
    """Whose subscription it is that a path names."""
    row = transaction.row("SELECT account_id FROM subscription WHERE id = :id", id=parameters["subscription"])
    return None if row is None else str(row[0])


def subscriptions_of(transaction: Transaction, account_id: str, most: int = 20) -> list[Subscription]:
    """A person's subscriptions, the newest first."""
    rows = transaction.rows(
        f"{_SUBSCRIPTION} WHERE account_id = :account ORDER BY started_at_s DESC, id LIMIT :most",
        account=account_id,
        most=most,
    )
    return [Subscription(*row) for row in rows]


def apply_subscription(transaction: Transaction, fact: SubscriptionFact, now_s: int) -> None:
    """Does what follows from the provider's word."""
    row = transaction.row(f"{_SUBSCRIPTION} WHERE id = :id", id=fact.key.partition("/")[2])
    if row is None:
        return
    ours = Subscription(*row)
    known = _periods(transaction, ours.id)
    # Within a month it only gets worse; a new month makes it good again.
    newer = fact.periods > known or _RANK[fact.state] > _RANK[ours.state]
    state = fact.state if newer and ours.state != "ended" else ours.state
    for number in range(known + 1, min(fact.periods, MAX_PERIODS) + 1):
        add_period(
            transaction,
            ours.account_id,
            ours.id,
            number,
            period_key(ours.key, number),
            ours.microcredits,
            ours.cents,
            ours.currency,
            now_s,
        )
    transaction.execute(
        "UPDATE subscription SET state = :state, cancelled = :cancelled, url = :url, period_ends_at_s = :ends,"
        " ended_at_s = :ended WHERE id = :id",
        id=ours.id,
        state=state,
        cancelled=1 if ours.cancelled or fact.cancelled else 0,
        url=fact.url if state == "open" else "",
        ends=max(fact.period_ends_at_s or 0, ours.period_ends_at_s or 0) or None,
        ended=(ours.ended_at_s or now_s) if state == "ended" else None,
    )
    if state != ours.state:
        _write_about(transaction, ours, state, now_s)
    if state == "ended":
        unwatch(transaction, ours.key)
    else:
        wait_s = LOOK_OPEN_S if state == "open" else DAY_S
        watch(transaction, ours.key, next_look_at_s=now_s + wait_s, until_s=ALWAYS_S)


def note_subscription_refused(transaction: Transaction, key: str, now_s: int) -> None:
    """The provider will not take that subscription."""
    transaction.execute(
        "UPDATE subscription SET state = 'ended', ended_at_s = :now WHERE id = :id AND state = 'starting'",
        id=key.partition("/")[2],
        now=now_s,
    )


def _periods(transaction: Transaction, subscription_id: str) -> int:
    row = transaction.row(
        "SELECT coalesce(max(period), 0) FROM purchase WHERE subscription_id = :id", id=subscription_id
    )
    return 0 if row is None else int(row[0])


def _write_about(transaction: Transaction, ours: Subscription, state: State, now_s: int) -> None:
    if state == "late":
        body = "This month of your subscription could not be paid. The payment provider tries again in some days."
        write_to(transaction, ours.account_id, "Your subscription was not paid", body, now_s)
    elif state == "ended" and ours.state in {"active", "late"}:
        body = "Your subscription has ended. Nothing more is taken for it. The credits that you have stay yours."
        write_to(transaction, ours.account_id, "Your subscription has ended", body, now_s)
