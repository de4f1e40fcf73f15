"""What money keeps about a person: exported, erased, locked (`bootstrap.rights`).

The books stay when an account is deleted, as law wants; they hang on its random id alone. What an operator wrote in
words is emptied, and so is what only the person had a use for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.money.journal import PERSON_KINDS, balance_of, person
from bootstrap.money.letters import credits_said
from bootstrap.money.outbox import unwatch
from bootstrap.money.subscriptions import cancel_subscription, subscriptions_of
from bootstrap.rights.domain import Domain, Locked, Pending

__all__ = ["MONEY"]

LAW: Final = "Tax law asks for the books of ten years. They say a random id, and not who you were."
YEARS_S: Final = 10 * 365 * 24 * 3600

_EXPORTED: Final[Mapping[str, tuple[str, str]]] = {
    "purchases": (
        "id microcredits cents currency state refunded_cents dispute started_at_s changed_at_s",
        "FROM purchase WHERE account_id = :account ORDER BY started_at_s, id",
    ),
    "subscriptions": (
        "id plan microcredits cents currency state cancelled started_at_s period_ends_at_s ended_at_s",
        "FROM subscription WHERE account_id = :account ORDER BY started_at_s, id",
    ),
    "refunds": (
        "id purchase_id cents reason state at_s",
        "FROM refund WHERE purchase_id IN (SELECT id FROM purchase WHERE account_id = :account) ORDER BY at_s, id",
    ),
    "codes": (
        "id microcredits redeemed_at_s",
        "FROM redeem_code WHERE account_id = :account ORDER BY redeemed_at_s, id",
    ),
    "grants": ("id microcredits reason at_s", "FROM credit_grant WHERE account_id = :account ORDER BY at_s, id"),
    "withdrawals": (
        "id class denomination amount state at_s",
        "FROM withdrawal WHERE account_id = :account ORDER BY at_s, id",
    ),
    "earnings": (
        "settled_at_s microcredits",
        "FROM earning WHERE account_id = :account ORDER BY settled_at_s, log, position",
    ),
    "payouts": (
        "id microcredits cents currency state asked_at_s changed_at_s",
        "FROM payout WHERE account_id = :account ORDER BY asked_at_s, id",
    ),
}
"""What is exported: the columns, and of which rows."""

_TEXTS: Final = frozenset(("id", "purchase_id", "currency", "state", "dispute", "plan", "reason", "class"))


def _schema() -> dict[str, Any]:
    lists = {
        name: {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    column: {"type": "string" if column in _TEXTS else ["integer", "null"]}
                    for column in columns.split()
                },
                "required": columns.split(),
                "additionalProperties": False,
            },
        }
        for name, (columns, _) in _EXPORTED.items()
    }
    balances = {
        "type": "object",
        "properties": {kind: {"type": "integer"} for kind in PERSON_KINDS},
        "required": list(PERSON_KINDS),
        "additionalProperties": False,
    }
    properties = {"balances_microcredits": balances, "paid_out_to": {"type": "string"}, **lists}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _export(transaction: Transaction, account_id: str) -> Mapping[str, Any]:
    payee = transaction.row("SELECT state FROM payee WHERE account_id = :account", account=account_id)
    found: dict[str, Any] = {
        "balances_microcredits": {kind: balance_of(transaction, person(kind, account_id)) for kind in PERSON_KINDS},
        "paid_out_to": "nowhere yet" if payee is None else "an account that only the payment provider knows",
    }
    for name, (columns, rest) in _EXPORTED.items():
        names = columns.split()
        rows = transaction.rows(f"SELECT {', '.join(names)} {rest}", account=account_id)
        found[name] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


def _erase(transaction: Transaction, account_id: str, now_s: int) -> None:
    for each in subscriptions_of(transaction, account_id):
        if each.state != "ended" and not each.cancelled:
            cancel_subscription(transaction, each.id, now_s)
    for change in (
        "UPDATE credit_grant SET reason = '' WHERE account_id = :account",
        "UPDATE purchase SET url = '' WHERE account_id = :account",
        "UPDATE subscription SET url = '' WHERE account_id = :account",
        "UPDATE refund SET reason = '' WHERE purchase_id IN (SELECT id FROM purchase WHERE account_id = :account)",
        "UPDATE withdrawal SET blinded = NULL, signatures = NULL WHERE account_id = :account AND state <> 'debited'",
        "DELETE FROM payee WHERE account_id = :account",
    ):
        transaction.execute(change, account=account_id)
    unwatch(transaction, f"payee/{account_id}")


def _locked(transaction: Transaction, account_id: str) -> Sequence[Locked]:
    kept = []
    for table, column, what in (
        ("purchase", "started_at_s", "purchases"),
        ("payout", "asked_at_s", "payouts"),
        ("earning", "settled_at_s", "entries of earnings"),
        ("credit_grant", "at_s", "grants"),
        ("redeem_code", "redeemed_at_s", "redeemed codes"),
    ):
        row = transaction.row(
            f"SELECT count(*), max({column}) FROM {table} WHERE account_id = :account",  # noqa: S608  (names of our own)
            account=account_id,
        )
        if row is not None and row[0]:
            kept.append(Locked(f"{row[0]} {what}", LAW, int(row[1]) + YEARS_S))
    return kept


def _pending(transaction: Transaction, account_id: str) -> Sequence[Pending]:
    found = []
    under_way = transaction.row(
        "SELECT count(*) FROM payout WHERE account_id = :account AND state = 'pending'", account=account_id
    )
    if under_way is not None and under_way[0]:
        found.append(Pending("A payout of yours is under way: the deletion waits until it has ended.", blocks=True))
    clearing = transaction.row(
        "SELECT count(*) FROM purchase WHERE account_id = :account AND state = 'paid'", account=account_id
    )
    if clearing is not None and clearing[0]:
        found.append(Pending("A payment of yours has not arrived yet: the deletion waits for it.", blocks=True))
    for kind, said in (
        ("earned", "credits that your hosts have earned are not paid out"),
        ("bought", "credits that you bought are not spent"),
        ("granted", "credits that you were given are not spent"),
    ):
        left = balance_of(transaction, person(kind, account_id))
        if left:
            found.append(Pending(f"{credits_said(left)} {said}. They are lost with the account."))
    if any(each.state in {"active", "late"} for each in subscriptions_of(transaction, account_id)):
        found.append(Pending("Your subscription is cancelled with the account."))
    return found


MONEY: Final = Domain(
    name="money",
    title="Credits and payments",
    tables=frozenset(
        (
            "book",
            "subscription",
            "purchase",
            "refund",
            "payee",
            "payout",
            "earning",
            "redeem_code",
            "credit_grant",
            "withdrawal",
        )
    ),
    schema=_schema(),
    export=_export,
    erase=_erase,
    locked=_locked,
    pending=_pending,
)
