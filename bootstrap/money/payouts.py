"""Payouts: from earnings to money in the host operator's hands.

What is paid out is set aside (pending) and asked of the provider in one transaction. The provider's word posts it or
puts it back; while there is none, as after a time-out, it stays set aside and is asked for again under the same key.
One payout is under way for an account at a time.
"""

from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.earnings import Hosts, earnings_of
from bootstrap.money.journal import balance_of, house, money_book, move, person
from bootstrap.money.letters import in_credits_said, money_said, write_to
from bootstrap.money.outbox import queue_call, unwatch, watch
from bootstrap.money.provider import PayeeFact, PayoutFact
from bootstrap.money.purchases import ProviderDisagrees
from bootstrap.money.settings import MoneyConfig
from bootstrap.money.standing import check_active
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "Payee",
    "Payout",
    "apply_payee",
    "apply_payout",
    "ask_payout",
    "note_payout_refused",
    "payee_of",
    "payout",
    "payout_owner",
    "payouts_of",
    "start_payee",
]

LOOK_S: Final = 900
LOOK_PAYEE_S: Final = 300
PAYEE_PATIENCE_S: Final = 7 * 24 * 3600
ALWAYS_S: Final = 2**40
_PAYOUT: Final = "SELECT id, account_id, microcredits, cents, currency, state, asked_at_s, changed_at_s FROM payout"


@frozen
class Payout:
    """One payout."""

    id: str
    account_id: str
    microcredits: int
    cents: int
    currency: str
    state: Literal["pending", "paid", "failed"]
    asked_at_s: int
    changed_at_s: int


@frozen
class Payee:
    """How far a person is with telling the provider where they are paid."""

    state: Literal["none", "starting", "open", "ready"]
    url: str = ""


def payee_of(transaction: Transaction, account_id: str) -> Payee:
    """Of an account."""
    row = transaction.row("SELECT state, url FROM payee WHERE account_id = :account", account=account_id)
    return Payee("none") if row is None else Payee(*row)


def start_payee(transaction: Transaction, account_id: str, now_s: int) -> None:
    """Has the provider make a page on which the person says where they are paid."""
    check_active(transaction, account_id)
    transaction.execute(
        "INSERT INTO payee (account_id, state, changed_at_s) VALUES (:account, 'starting', :now)"
        " ON CONFLICT (account_id) DO NOTHING",
        account=account_id,
        now=now_s,
    )
    queue_call(transaction, f"payee/{account_id}", "payee", now_s=now_s)


def apply_payee(transaction: Transaction, fact: PayeeFact, now_s: int) -> None:
    """Does what follows from the provider's word."""
    account_id = fact.key.partition("/")[2]
    transaction.execute(
        "UPDATE payee SET state = :state, url = :url, changed_at_s = :now"
        " WHERE account_id = :account AND state <> 'ready'",
        account=account_id,
        state=fact.state,
        url=fact.url if fact.state == "open" else "",
        now=now_s,
    )
    if fact.state == "ready":
        unwatch(transaction, fact.key)
        return
    row = transaction.row("SELECT until_s FROM provider_watch WHERE key = :key", key=fact.key)
    until_s = now_s + PAYEE_PATIENCE_S if row is None else int(row[0])
    watch(transaction, fact.key, next_look_at_s=now_s + LOOK_PAYEE_S, until_s=until_s)


def ask_payout(
    transaction: Transaction,
    config: MoneyConfig,
    hosts: Hosts,
    account_id: str,
    now_s: int,
    origin: Origin | None = None,
) -> str:
    """Pays out all that may be; returns the payout's id.

    Raises `Refused` (`suspended`, `no_payee`, `payout_under_way`, `held`, `in_debt`, `too_little`).
    """
    check_active(transaction, account_id)
    if payee_of(transaction, account_id).state != "ready":
        raise Refused("tell the payment provider first where you are paid", reason="no_payee")
    going = transaction.row(
        "SELECT 1 FROM payout WHERE account_id = :account AND state = 'pending'", account=account_id
    )
    if going is not None:
        raise Refused("a payout of yours is under way: wait until it has arrived", reason="payout_under_way")
    have = earnings_of(transaction, account_id, config, hosts, now_s)
    if have.held is not None:
        raise Refused(have.held, reason="held")
    if balance_of(transaction, person("debt", account_id)):
        raise Refused("you owe credits after a refund or a dispute: buy those first", reason="in_debt")
    cents = config.payout_cents(have.payable)
    if cents < config.payout_minimum_cents:
        least = money_said(config.payout_minimum_cents, config.currency)
        there = money_said(cents, config.currency)
        raise Refused(f"payouts begin at {least}, and {there} may be paid out now", reason="too_little")
    microcredits = config.payout_microcredits(cents)
    name = new_id()
    key = f"payout/{name}"
    transaction.execute(
        "INSERT INTO payout (id, account_id, microcredits, cents, currency, state, asked_at_s, changed_at_s)"
        " VALUES (:id, :account, :microcredits, :cents, :currency, 'pending', :now, :now)",
        id=name,
        account=account_id,
        microcredits=microcredits,
        cents=cents,
        currency=config.currency,
        now=now_s,
    )
    earned, paying = person("earned", account_id), person("paying", account_id)
    move(transaction, f"{key}/pending", microcredits, debit=earned, credit=paying, about=key, now_s=now_s)
    payee = f"payee/{account_id}"
    queue_call(transaction, key, "payout", now_s=now_s, about=payee, amount=cents, currency=config.currency)
    note_access(transaction, "payout_asked", now_s=now_s, by=account_id, about=account_id, thing=key, origin=origin)
    return name


def apply_payout(transaction: Transaction, fact: PayoutFact, now_s: int) -> None:
    """Posts or voids it, as the provider says; raises `ProviderDisagrees`."""
    row = transaction.row(f"{_PAYOUT} WHERE id = :id", id=fact.key.partition("/")[2])
    if row is None:
        return
    ours = Payout(*row)
    if (fact.amount, fact.currency) != (ours.cents, ours.currency):
        raise ProviderDisagrees("the provider speaks of another amount")
    if ours.state != "pending":
        return
    if fact.state == "paid":
        _post(transaction, ours, fact.key, now_s)
    elif fact.state == "failed":
        _void(transaction, ours, fact.key, now_s)
    else:
        watch(transaction, fact.key, next_look_at_s=now_s + LOOK_S, until_s=ALWAYS_S)


def note_payout_refused(transaction: Transaction, key: str, now_s: int) -> None:
    """The provider's word that it does not pay this."""
    row = transaction.row(f"{_PAYOUT} WHERE id = :id AND state = 'pending'", id=key.partition("/")[2])
    if row is not None:
        _void(transaction, Payout(*row), key, now_s)


def payout(transaction: Transaction, payout_id: str) -> Payout:
    """The payout of that id; raises `NotFound`."""
    row = transaction.row(f"{_PAYOUT} WHERE id = :id", id=payout_id)
    if row is None:
        raise NotFound("payout")
    return Payout(*row)


def payout_owner(transaction: Transaction, parameters: Mapping[str, str]) -> str | None:
    """Whose payout it is that a path names."""
    row = transaction.row("SELECT account_id FROM payout WHERE id = :id", id=parameters["payout"])
    return None if row is None else str(row[0])


def payouts_of(transaction: Transaction, account_id: str, most: int = 50) -> list[Payout]:
    """An account's payouts, the newest first."""
    rows = transaction.rows(
        f"{_PAYOUT} WHERE account_id = :account ORDER BY asked_at_s DESC, id LIMIT :most",
        account=account_id,
        most=most,
    )
    return [Payout(*row) for row in rows]


def newest_payouts(transaction: Transaction, most: int = 100) -> list[Payout]:
    """Everybody's payouts, those under way first, then the newest, for operators."""
    rows = transaction.rows(
        f"{_PAYOUT} ORDER BY CASE state WHEN 'pending' THEN 0 ELSE 1 END, asked_at_s DESC, id LIMIT :most", most=most
    )
    return [Payout(*row) for row in rows]


def _post(transaction: Transaction, ours: Payout, key: str, now_s: int) -> None:
    paying, paid = person("paying", ours.account_id), house("paid")
    move(transaction, f"{key}/paid", ours.microcredits, debit=paying, credit=paid, about=key, now_s=now_s)
    spent, funds = money_book("payouts", ours.currency), money_book("funds", ours.currency)
    move(transaction, f"{key}/money", ours.cents, debit=spent, credit=funds, about=key, now_s=now_s)
    _finish(transaction, ours, "paid", key, now_s)
    body = f"{money_said(ours.cents, ours.currency)} for {in_credits_said(ours.microcredits)} are on their way."
    write_to(transaction, ours.account_id, "Your payout", body, now_s)


def _void(transaction: Transaction, ours: Payout, key: str, now_s: int) -> None:
    paying, earned = person("paying", ours.account_id), person("earned", ours.account_id)
    move(transaction, f"{key}/void", ours.microcredits, debit=paying, credit=earned, about=key, now_s=now_s)
    _finish(transaction, ours, "failed", key, now_s)
    body = (
        "The payment provider could not pay you out. What you have earned is back in your account; look at where you "
        "are paid, and ask again."
    )
    write_to(transaction, ours.account_id, "Your payout failed", body, now_s)


def _finish(transaction: Transaction, ours: Payout, state: str, key: str, now_s: int) -> None:
    transaction.execute(
        "UPDATE payout SET state = :state, changed_at_s = :now WHERE id = :id", id=ours.id, state=state, now=now_s
    )
    unwatch(transaction, key)
