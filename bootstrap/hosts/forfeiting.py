"""Forfeiture of earnings that are not paid yet: slow, by two people, and never while an appeal is open.

Rules:

1. An operator asks for it, for a host that is suspended or removed. Until it is decided, the account's payouts wait
   (`payouts_wait`).
2. It is carried out no earlier than `APPEAL_WITHIN_S` after that, once a second operator has agreed, and while no
   appeal of the host is open. Where nobody could agree, since all other operators are whoever runs the host, it is
   carried out after `ALONE_S`.
3. An operator, other than who runs the host, or an appeal, may end it before.
4. What was paid is never taken back: money gives what is unpaid, once (`earnings`).

Source: design section 8, promise P7.
"""

from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.hosts.earnings import Earnings
from bootstrap.hosts.standing import (
    APPEAL_WITHIN_S,
    check_not_own_host,
    end_sanction,
    open_appeals,
    other_operators,
    record_sanction,
    tell_operator_of_host,
)
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "ALONE_S",
    "ask_forfeiture",
    "carry_out_forfeitures",
    "due_at_s",
    "open_forfeitures",
    "payouts_wait",
    "second_forfeiture",
    "withdraw_forfeiture",
]

ALONE_S: Final = 2 * APPEAL_WITHIN_S
"""The delay where nobody else can agree."""
MAX_AT_ONCE: Final = 50


def ask_forfeiture(
    transaction: Transaction,
    host_id: str,
    *,
    reason: str,
    explanation: str,
    now_s: int,
    by: str,
    origin: Origin | None = None,
) -> str:
    """Asks for a host's unpaid earnings to be forfeited; returns the sanction's id."""
    row = transaction.row("SELECT state FROM host WHERE id = :host", host=host_id)
    if row is None:
        raise NotFound("such host")
    if row[0] not in {"suspended", "removed"}:
        raise Refused("only a suspended or removed host forfeits anything", reason="wrong_state")
    if transaction.row(
        "SELECT 1 FROM sanction WHERE host_id = :host AND kind = 'forfeiture' AND ended_at_s IS NULL", host=host_id
    ):
        raise Refused("that has been asked for already", reason="twice")
    return record_sanction(
        transaction, host_id, "forfeiture", reason=reason, explanation=explanation, now_s=now_s, by=by, origin=origin
    )


def second_forfeiture(
    transaction: Transaction, sanction_id: str, *, by: str, now_s: int, origin: Origin | None = None
) -> None:
    """A second operator agrees."""
    row = transaction.row(
        "SELECT sanction.given_by, sanction.ended_at_s, host.account_id FROM sanction"
        " JOIN host ON host.id = sanction.host_id WHERE sanction.id = :id AND sanction.kind = 'forfeiture'",
        id=sanction_id,
    )
    if row is None:
        raise NotFound("such forfeiture")
    given_by, ended_at_s, owner = row
    if ended_at_s is not None:
        raise Refused("this is over", reason="over")
    if by in {given_by, owner}:
        raise Refused("a second person has to agree", reason="own_case")
    transaction.execute(
        "UPDATE sanction SET seconded_by = :by, seconded_at_s = :now WHERE id = :id AND seconded_by IS NULL",
        id=sanction_id,
        by=by,
        now=now_s,
    )
    note_access(
        transaction,
        "forfeiture_seconded",
        now_s=now_s,
        by=by,
        about=owner,
        thing=f"sanction/{sanction_id}",
        origin=origin,
    )


def withdraw_forfeiture(
    transaction: Transaction, sanction_id: str, *, by: str, now_s: int, origin: Origin | None = None
) -> None:
    """An operator drops it."""
    row = transaction.row(
        "SELECT host_id FROM sanction WHERE id = :id AND kind = 'forfeiture' AND ended_at_s IS NULL", id=sanction_id
    )
    if row is None:
        raise NotFound("such forfeiture")
    check_not_own_host(transaction, row[0], by)
    end_sanction(transaction, sanction_id, "lifted", now_s)
    note_access(
        transaction, "forfeiture_withdrawn", now_s=now_s, by=by, thing=f"sanction/{sanction_id}", origin=origin
    )
    tell_operator_of_host(transaction, row[0], "your host's earnings will not be forfeited", "", now_s)


def due_at_s(given_at_s: int, *, seconded: bool, alone: bool) -> int | None:
    """When a forfeiture may be carried out; None as long as a second operator has to agree."""
    if seconded:
        return given_at_s + APPEAL_WITHIN_S
    return given_at_s + ALONE_S if alone else None


def carry_out_forfeitures(transaction: Transaction, earnings: Earnings, now_s: int) -> int:
    """Carries out what is due; returns how many."""
    done = 0
    for sanction_id, host_id, account_id, given_by, given_at_s, seconded_by in transaction.rows(
        "SELECT sanction.id, host.id, host.account_id, sanction.given_by, sanction.given_at_s, sanction.seconded_by"
        " FROM sanction JOIN host ON host.id = sanction.host_id"
        " WHERE sanction.kind = 'forfeiture' AND sanction.ended_at_s IS NULL ORDER BY sanction.given_at_s LIMIT :most",
        most=MAX_AT_ONCE,
    ):
        alone = not other_operators(transaction, given_by, account_id)
        due_s = due_at_s(given_at_s, seconded=seconded_by is not None, alone=alone)
        if due_s is None or now_s < due_s or open_appeals(transaction, host_id):
            continue
        amount = earnings.forfeit(transaction, account_id=account_id, host_id=host_id, key=sanction_id, now_s=now_s)
        transaction.execute(
            "UPDATE sanction SET amount_microcredits = :amount WHERE id = :id", id=sanction_id, amount=amount
        )
        end_sanction(transaction, sanction_id, "done", now_s)
        note_access(transaction, "forfeiture_done", now_s=now_s, about=account_id, thing=f"sanction/{sanction_id}")
        tell_operator_of_host(
            transaction, host_id, "your host's unpaid earnings have been forfeited", f"{amount} microcredits.", now_s
        )
        done += 1
    return done


def payouts_wait(transaction: Transaction, account_id: str) -> bool:
    """Whether payouts to this account wait: a host of its is suspended, or a forfeiture is not decided yet."""
    row = transaction.row(
        "SELECT 1 FROM host WHERE account_id = :account AND (state = 'suspended' OR EXISTS ("
        " SELECT 1 FROM sanction WHERE sanction.host_id = host.id AND kind = 'forfeiture' AND ended_at_s IS NULL))"
        " LIMIT 1",
        account=account_id,
    )
    return row is not None


def open_forfeitures(transaction: Transaction) -> list[dict[str, Any]]:
    """Those that wait, for operators."""
    names = (
        "id",
        "host_id",
        "host_name",
        "account_id",
        "reason",
        "explanation",
        "given_by",
        "given_at_s",
        "seconded_by",
    )
    rows = transaction.rows(
        "SELECT sanction.id, host.id, host.name, host.account_id, reason, explanation, given_by, given_at_s,"
        " seconded_by FROM sanction JOIN host ON host.id = sanction.host_id"
        " WHERE kind = 'forfeiture' AND ended_at_s IS NULL ORDER BY given_at_s LIMIT :most",
        most=MAX_AT_ONCE,
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
