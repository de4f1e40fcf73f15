"""The outbox of calls to the payment provider, and the list of what it is asked about.

A call is a row in the transaction that makes what waits for it. It is made under its key until the provider has said
yes or no; nothing that waits is given up before. Between two tries is a wait that doubles, up to `MAX_WAIT_S`.
"""

from typing import Final, Literal, cast

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.money.provider import Fact, Order, Provider

__all__ = [
    "Call",
    "CallKind",
    "call_of",
    "due_calls",
    "due_watches",
    "finish_call",
    "make_call",
    "note_try",
    "queue_call",
    "unwatch",
    "waiting_calls",
    "watch",
]

FIRST_WAIT_S: Final = 10
MAX_WAIT_S: Final = 3600

CallKind = Literal["payment", "subscription", "cancel", "refund", "payee", "payout"]
_CALL: Final = "SELECT key, kind, about, amount, currency, description, attempts FROM provider_call"


@frozen
class Call:
    """What the provider is asked to do."""

    key: str
    kind: CallKind
    about: str
    """The key of what it is done to, where that is another."""
    amount: int
    currency: str
    description: str
    attempts: int


def queue_call(
    transaction: Transaction,
    key: str,
    kind: CallKind,
    *,
    now_s: int,
    about: str = "",
    amount: int = 0,
    currency: str = "",
    description: str = "",
) -> None:
    """Has the provider called, once the transaction is committed; once for each key."""
    transaction.execute(
        "INSERT INTO provider_call (key, kind, about, amount, currency, description, made_at_s, next_try_at_s)"
        " VALUES (:key, :kind, :about, :amount, :currency, :description, :now, :now) ON CONFLICT (key) DO NOTHING",
        key=key,
        kind=kind,
        about=about,
        amount=amount,
        currency=currency,
        description=description,
        now=now_s,
    )


def call_of(transaction: Transaction, key: str) -> Call | None:
    """The call of that key, while it has no answer."""
    row = transaction.row(f"{_CALL} WHERE key = :key", key=key)
    return None if row is None else Call(*row)


def due_calls(transaction: Transaction, now_s: int, most: int) -> list[Call]:
    """The calls that are to be made now."""
    rows = transaction.rows(
        f"{_CALL} WHERE next_try_at_s <= :now ORDER BY next_try_at_s, key LIMIT :most", now=now_s, most=most
    )
    return [Call(*row) for row in rows]


def waiting_calls(transaction: Transaction) -> tuple[int, int]:
    """How many calls wait for an answer, and how often the unluckiest was made."""
    row = transaction.row("SELECT count(*), coalesce(max(attempts), 0) FROM provider_call")
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def note_try(transaction: Transaction, call: Call, now_s: int) -> None:
    """There was no answer: it is made again later."""
    wait_s = min(FIRST_WAIT_S * 2 ** min(call.attempts, 10), MAX_WAIT_S)
    transaction.execute(
        "UPDATE provider_call SET attempts = attempts + 1, next_try_at_s = :next WHERE key = :key",
        key=call.key,
        next=now_s + wait_s,
    )


def finish_call(transaction: Transaction, key: str) -> None:
    """The provider has said yes or no."""
    transaction.execute("DELETE FROM provider_call WHERE key = :key", key=key)


def make_call(provider: Provider, call: Call, return_to: str) -> Fact:
    """What the provider says; raises `ProviderTimeout` and `ProviderRefused`."""
    match call.kind:
        case "payment":
            return provider.start_payment(Order(call.key, call.amount, call.currency, call.description, return_to))
        case "subscription":
            order = Order(call.key, call.amount, call.currency, call.description, return_to)
            return provider.start_subscription(order)
        case "cancel":
            return provider.cancel_subscription(call.key, call.about)
        case "refund":
            return provider.refund(call.key, call.about, call.amount)
        case "payee":
            return provider.start_payee(call.key, return_to)
        case "payout":
            return provider.pay(call.key, call.about, call.amount, call.currency)


def watch(transaction: Transaction, key: str, *, next_look_at_s: int, until_s: int) -> None:
    """Has the provider asked about a key, then and from time to time."""
    transaction.execute(
        "INSERT INTO provider_watch (key, next_look_at_s, until_s) VALUES (:key, :next, :until)"
        " ON CONFLICT (key) DO UPDATE SET next_look_at_s = :next, until_s = :until",
        key=key,
        next=next_look_at_s,
        until=until_s,
    )


def unwatch(transaction: Transaction, key: str) -> None:
    """There is no more to be asked about it."""
    transaction.execute("DELETE FROM provider_watch WHERE key = :key", key=key)


def due_watches(transaction: Transaction, now_s: int, most: int) -> list[str]:
    """What is to be asked about now."""
    rows = transaction.rows(
        "SELECT key FROM provider_watch WHERE next_look_at_s <= :now ORDER BY next_look_at_s, key LIMIT :most",
        now=now_s,
        most=most,
    )
    return [cast("str", key) for (key,) in rows]
