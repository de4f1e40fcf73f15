"""Refunds: an operator gives money back, or a person takes credits back that are not spent.

A refund is asked of the provider through the outbox. The credits go back when the provider says that the money has
(`purchases`).
"""

from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.journal import balance_of, person
from bootstrap.money.outbox import queue_call
from bootstrap.money.purchases import Purchase, purchase
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import Refused

__all__ = ["REGRET_S", "Refund", "ask_refund", "may_be_regretted", "note_refund", "refunds_of", "regret_purchase"]

REGRET_S: Final = 14 * 24 * 3600
"""How long a person may give credits back without a reason, as they may in the European Union."""


@frozen
class Refund:
    """Money on its way back."""

    id: str
    purchase_id: str
    cents: int
    reason: str
    state: str
    at_s: int


def ask_refund(
    transaction: Transaction,
    purchase_id: str,
    cents: int,
    reason: str,
    *,
    by: str,
    now_s: int,
    origin: Origin | None = None,
) -> str:
    """Gives so much of a purchase back; returns the refund's id.

    Raises `Refused` (`not_cleared`, `disputed`, `too_much`).
    """
    bought = purchase(transaction, purchase_id)
    if bought.state != "cleared":
        raise Refused("only what has been paid is refunded, and this was not", reason="not_cleared")
    if bought.dispute in {"open", "lost"}:
        raise Refused("this payment is disputed: its money is not here", reason="disputed")
    left = bought.cents - _refunded(transaction, bought)
    if not 0 < cents <= left:
        raise Refused(f"at most {left} cents of this are left to refund", reason="too_much", field="cents")
    name = new_id()
    transaction.execute(
        "INSERT INTO refund (id, purchase_id, cents, reason, by_account_id, state, at_s)"
        " VALUES (:id, :purchase, :cents, :reason, :by, 'asked', :now)",
        id=name,
        purchase=purchase_id,
        cents=cents,
        reason=reason,
        by=by,
        now=now_s,
    )
    key = f"refund/{name}"
    about = bought.provider_key
    queue_call(transaction, key, "refund", now_s=now_s, about=about, amount=cents, currency=bought.currency)
    thing = f"purchase/{purchase_id}"
    note_access(transaction, "refund_asked", now_s=now_s, by=by, about=bought.account_id, thing=thing, origin=origin)
    return name


def may_be_regretted(transaction: Transaction, bought: Purchase, now_s: int) -> bool:
    """Whether the person may give it back: soon enough, and with all of its credits there."""
    return (
        bought.state == "cleared"
        and bought.dispute == "none"
        and now_s - bought.started_at_s <= REGRET_S
        and _refunded(transaction, bought) == 0
        and balance_of(transaction, person("bought", bought.account_id)) >= bought.microcredits
    )


def regret_purchase(transaction: Transaction, purchase_id: str, now_s: int) -> str:
    """Gives a purchase back whole; returns the refund's id. Raises `Refused` (`spent`)."""
    bought = purchase(transaction, purchase_id)
    if not may_be_regretted(transaction, bought, now_s):
        raise Refused("this can be given back for 14 days, while its credits are not spent", reason="spent")
    return ask_refund(transaction, purchase_id, bought.cents, "given back", by=bought.account_id, now_s=now_s)


def note_refund(transaction: Transaction, key: str, *, done: bool) -> None:
    """The provider's word about the call of that key."""
    transaction.execute(
        "UPDATE refund SET state = :state WHERE id = :id AND state = 'asked'",
        id=key.partition("/")[2],
        state="done" if done else "refused",
    )


def refunds_of(transaction: Transaction, purchase_id: str) -> list[Refund]:
    """The refunds of a purchase, the newest first."""
    rows = transaction.rows(
        "SELECT id, purchase_id, cents, reason, state, at_s FROM refund WHERE purchase_id = :id"
        " ORDER BY at_s DESC, id",
        id=purchase_id,
    )
    return [Refund(*row) for row in rows]


def _refunded(transaction: Transaction, bought: Purchase) -> int:
    """What was given back, and what is on its way."""
    row = transaction.row(
        "SELECT CAST(coalesce(sum(cents), 0) AS BIGINT) FROM refund WHERE purchase_id = :id AND state <> 'refused'",
        id=bought.id,
    )
    return max(bought.refunded_cents, 0 if row is None else int(row[0]))
