"""Purchases: from a price in the list to credits, and back again where the money goes back.

A purchase is `starting` until the provider has a page for it, `open` until it is paid there, `paid` until the money is
ours, then `cleared`; or it has `failed`. Only what has cleared gives credits. What the provider says moves it forward
and never back, so that its word may come twice and in any order.

Credits of a refund or a dispute are taken back. Those that were spent already become a debt, which the next
purchases pay first.
"""

from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.journal import balance_of, house, money_book, move, person
from bootstrap.money.letters import credits_said, in_credits_said, money_said, write_to
from bootstrap.money.outbox import queue_call, unwatch, watch
from bootstrap.money.provider import PaymentFact
from bootstrap.money.settings import MoneyConfig
from bootstrap.money.standing import check_active
from bootstrap.refusal import NotFound, Refused
from peernet.core.errors import PeernetError

__all__ = [
    "MAX_OPEN",
    "ProviderDisagrees",
    "Purchase",
    "apply_payment",
    "note_purchase_refused",
    "purchase",
    "purchase_owner",
    "purchases_of",
    "start_purchase",
]

MAX_OPEN: Final = 20
DAY_S: Final = 24 * 3600
LOOK_OPEN_S: Final = 300
LOOK_PAID_S: Final = 1800
ALWAYS_S: Final = 2**40
WATCH_S: Final = 200 * DAY_S
"""How long a purchase may be disputed or refunded, and so is asked about."""

State = Literal["starting", "open", "paid", "cleared", "failed"]
_RANK: Final[Mapping[str, int]] = {"starting": 0, "open": 1, "paid": 2, "cleared": 3, "failed": 3}
_PURCHASE: Final = (
    "SELECT id, account_id, subscription_id, provider_key, microcredits, cents, currency, state, refunded_cents,"
    " dispute, taken_microcredits, url, started_at_s, changed_at_s FROM purchase"
)


class ProviderDisagrees(PeernetError):
    """The provider speaks of another amount than was asked for: nothing is done, and a person must look."""


@frozen
class Purchase:
    """A purchase, or a month of a subscription."""

    id: str
    account_id: str
    subscription_id: str | None
    provider_key: str
    microcredits: int
    cents: int
    currency: str
    state: State
    refunded_cents: int
    dispute: Literal["none", "open", "won", "lost"]
    taken_microcredits: int
    """How many of its credits were taken back."""
    url: str
    started_at_s: int
    changed_at_s: int


def start_purchase(transaction: Transaction, config: MoneyConfig, account_id: str, pack: str, now_s: int) -> str:
    """A purchase of a pack of the price list; returns its id.

    Raises `Refused` (`bad_body`, `too_many`).
    """
    check_active(transaction, account_id)
    chosen = next((each for each in config.price_list if each.name == pack), None)
    if chosen is None:
        raise Refused("that is not in the price list", reason="bad_body", field="pack")
    row = transaction.row(
        "SELECT count(*) FROM purchase WHERE account_id = :account AND state IN ('starting', 'open')",
        account=account_id,
    )
    if row is not None and row[0] >= MAX_OPEN:
        raise Refused("many of your purchases wait to be paid: pay one, or wait a day", reason="too_many")
    name = new_id()
    key = f"purchase/{name}"
    _insert(transaction, name, account_id, key, chosen.microcredits, chosen.cents, config.currency, now_s)
    queue_call(
        transaction,
        key,
        "payment",
        now_s=now_s,
        amount=chosen.cents,
        currency=config.currency,
        description=in_credits_said(chosen.microcredits),
    )
    return name


def add_period(
    transaction: Transaction,
    account_id: str,
    subscription_id: str,
    period: int,
    key: str,
    microcredits: int,
    cents: int,
    currency: str,
    now_s: int,
) -> None:
    """A month of a subscription, which the provider has begun by itself."""
    _insert(
        transaction,
        new_id(),
        account_id,
        key,
        microcredits,
        cents,
        currency,
        now_s,
        state="open",
        subscription_id=subscription_id,
        period=period,
    )
    watch(transaction, key, next_look_at_s=now_s, until_s=now_s + WATCH_S)


def purchase(transaction: Transaction, purchase_id: str) -> Purchase:
    """The purchase of that id; raises `NotFound`."""
    row = transaction.row(f"{_PURCHASE} WHERE id = :id", id=purchase_id)
    if row is None:
        raise NotFound("purchase")
    return Purchase(*row)


def purchase_owner(transaction: Transaction, parameters: Mapping[str, str]) -> str | None:
    """Whose purchase it is that a path names."""
    row = transaction.row("SELECT account_id FROM purchase WHERE id = :id", id=parameters["purchase"])
    return None if row is None else str(row[0])


def purchases_of(transaction: Transaction, account_id: str, most: int = 50) -> list[Purchase]:
    """A person's purchases, the newest first."""
    rows = transaction.rows(
        f"{_PURCHASE} WHERE account_id = :account ORDER BY started_at_s DESC, id LIMIT :most",
        account=account_id,
        most=most,
    )
    return [Purchase(*row) for row in rows]


def newest_purchases(transaction: Transaction, most: int = 100) -> list[Purchase]:
    """Everybody's purchases, the newest first, for operators."""
    rows = transaction.rows(f"{_PURCHASE} ORDER BY started_at_s DESC, id LIMIT :most", most=most)
    return [Purchase(*row) for row in rows]


def apply_payment(transaction: Transaction, fact: PaymentFact, now_s: int) -> None:
    """Does what follows from the provider's word; raises `ProviderDisagrees`."""
    row = transaction.row(f"{_PURCHASE} WHERE provider_key = :key", key=fact.key)
    if row is None:
        return
    bought = Purchase(*row)
    if (fact.amount, fact.currency) != (bought.cents, bought.currency):
        raise ProviderDisagrees("the provider speaks of another amount")
    state = _go_forward(transaction, bought, fact, now_s)
    transaction.execute(
        "UPDATE purchase SET state = :state, url = :url, changed_at_s = :changed WHERE id = :id",
        id=bought.id,
        state=state,
        url=fact.url if state == "open" else "",
        changed=now_s if state != bought.state else bought.changed_at_s,
    )
    if state == "cleared":
        _take_back(transaction, bought, fact, now_s)
    _watch_on(transaction, bought, state, now_s)


def note_purchase_refused(transaction: Transaction, key: str, now_s: int) -> None:
    """The provider will not take that payment."""
    transaction.execute(
        "UPDATE purchase SET state = 'failed', changed_at_s = :now WHERE provider_key = :key AND state = 'starting'",
        key=key,
        now=now_s,
    )


def _go_forward(transaction: Transaction, bought: Purchase, fact: PaymentFact, now_s: int) -> State:
    """Moves the money, and gives the credits; returns the new state."""
    key, cents, about = f"purchase/{bought.id}", bought.cents, f"purchase/{bought.id}"
    clearing, uncleared = money_book("clearing", bought.currency), money_book("uncleared", bought.currency)
    if _RANK[fact.state] <= _RANK[bought.state]:
        return bought.state
    if fact.state in {"paid", "cleared"} and bought.state != "paid":
        move(transaction, f"{key}/paid", cents, debit=clearing, credit=uncleared, about=about, now_s=now_s)
    if fact.state == "failed" and bought.state == "paid":
        move(transaction, f"{key}/failed", cents, debit=uncleared, credit=clearing, about=about, now_s=now_s)
        body = "The payment for your credits did not arrive. No credits were added; you can buy them again."
        write_to(transaction, bought.account_id, "Your payment did not arrive", body, now_s)
    if fact.state == "cleared":
        income, ours = money_book("income", bought.currency), money_book("provider", bought.currency)
        move(transaction, f"{key}/income", cents, debit=uncleared, credit=income, about=about, now_s=now_s)
        move(transaction, f"{key}/cleared", cents, debit=ours, credit=clearing, about=about, now_s=now_s)
        paid_debt = _give(transaction, bought.account_id, key, bought.microcredits, about, now_s)
        said = f"{in_credits_said(bought.microcredits)} for {money_said(cents, bought.currency)}"
        body = f"Thank you. You have bought {said}."
        if paid_debt:
            body += f"\n\n{credits_said(paid_debt)} of them paid what you owed after an earlier refund or dispute."
        write_to(transaction, bought.account_id, "Your credits are there", body, now_s)
    return fact.state


def _take_back(transaction: Transaction, bought: Purchase, fact: PaymentFact, now_s: int) -> None:
    """Refunds and disputes of a purchase that has cleared."""
    key, about = f"purchase/{bought.id}", f"purchase/{bought.id}"
    ours, disputed = money_book("provider", bought.currency), money_book("disputed", bought.currency)
    refunded, dispute = bought.refunded_cents, bought.dispute
    rest = bought.cents - refunded
    if dispute == "open" and fact.dispute in {"won", "lost"}:
        settled = ours if fact.dispute == "won" else money_book("lost", bought.currency)
        if rest:
            move(transaction, f"{key}/{fact.dispute}", rest, debit=settled, credit=disputed, about=about, now_s=now_s)
        dispute = fact.dispute
    if dispute in {"none", "won"} and refunded < fact.refunded <= bought.cents:
        debit, step = money_book("refunded", bought.currency), f"{key}/refunded/{fact.refunded}"
        move(transaction, step, fact.refunded - refunded, debit=debit, credit=ours, about=about, now_s=now_s)
        refunded = fact.refunded
    rest = bought.cents - refunded
    if dispute == "none" and fact.dispute in {"open", "lost"} and rest:
        debit = disputed if fact.dispute == "open" else money_book("lost", bought.currency)
        move(transaction, f"{key}/disputed", rest, debit=debit, credit=ours, about=about, now_s=now_s)
    if dispute == "none":
        dispute = fact.dispute
    taken = bought.microcredits if dispute in {"open", "lost"} else bought.microcredits * refunded // bought.cents
    step = f"{key}/{dispute}/{refunded}"
    if taken > bought.taken_microcredits:
        _take(transaction, bought, step, taken - bought.taken_microcredits, now_s)
    elif taken < bought.taken_microcredits:
        _give(transaction, bought.account_id, step, bought.taken_microcredits - taken, about, now_s)
    transaction.execute(
        "UPDATE purchase SET refunded_cents = :refunded, dispute = :dispute, taken_microcredits = :taken"
        " WHERE id = :id",
        id=bought.id,
        refunded=refunded,
        dispute=dispute,
        taken=taken,
    )


def _give(transaction: Transaction, account_id: str, key: str, microcredits: int, about: str, now_s: int) -> int:
    """Gives credits for money, which pay what is owed first; returns how many did."""
    sold, debt = house("sold"), person("debt", account_id)
    owed = min(balance_of(transaction, debt), microcredits)
    if owed:
        move(transaction, f"{key}/debt", owed, debit=sold, credit=debt, about=about, now_s=now_s)
    if microcredits > owed:
        mine = person("bought", account_id)
        move(transaction, f"{key}/credit", microcredits - owed, debit=sold, credit=mine, about=about, now_s=now_s)
    return owed


def _take(transaction: Transaction, bought: Purchase, key: str, microcredits: int, now_s: int) -> None:
    """Takes credits back; those that are spent become a debt."""
    sold, about = house("sold"), f"purchase/{bought.id}"
    mine, debt = person("bought", bought.account_id), person("debt", bought.account_id)
    there = min(balance_of(transaction, mine), microcredits)
    if there:
        move(transaction, f"{key}/taken", there, debit=mine, credit=sold, about=about, now_s=now_s)
    body = f"We have taken {in_credits_said(microcredits)} back, since the payment for that went back to you."
    if microcredits > there:
        spent = microcredits - there
        move(transaction, f"{key}/owed", spent, debit=debt, credit=sold, about=about, now_s=now_s)
        body += (
            f"\n\n{credits_said(spent)} of them were spent already. You owe those: your next purchases pay them first."
        )
    write_to(transaction, bought.account_id, "Credits were taken back", body, now_s)


def _watch_on(transaction: Transaction, bought: Purchase, state: State, now_s: int) -> None:
    until_s = bought.started_at_s + WATCH_S if state == "cleared" else ALWAYS_S
    if state == "failed" or until_s <= now_s:
        unwatch(transaction, bought.provider_key)
        return
    wait_s = {"open": LOOK_OPEN_S, "paid": LOOK_PAID_S}.get(state, DAY_S)
    watch(transaction, bought.provider_key, next_look_at_s=now_s + wait_s, until_s=until_s)


def _insert(
    transaction: Transaction,
    name: str,
    account_id: str,
    key: str,
    microcredits: int,
    cents: int,
    currency: str,
    now_s: int,
    *,
    state: State = "starting",
    subscription_id: str | None = None,
    period: int | None = None,
) -> None:
    transaction.execute(
        "INSERT INTO purchase (id, account_id, subscription_id, period, provider_key, microcredits, cents, currency,"
        " state, started_at_s, changed_at_s) VALUES (:id, :account, :subscription, :period, :key, :microcredits,"
        " :cents, :currency, :state, :now, :now) ON CONFLICT (provider_key) DO NOTHING",
        id=name,
        account=account_id,
        subscription=subscription_id,
        period=period,
        key=key,
        microcredits=microcredits,
        cents=cents,
        currency=currency,
        state=state,
        now=now_s,
    )
