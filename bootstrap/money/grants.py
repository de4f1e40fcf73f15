"""Grants: credits that an operator gives somebody, with a reason that stands in the books."""

from typing import Final

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.journal import house, move, person
from bootstrap.money.letters import in_credits_said, write_to
from bootstrap.money.standing import check_active
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import Refused

__all__ = ["MAX_GRANT", "grant_credits"]

MAX_GRANT: Final = 1_000_000 * 1_000_000
"""The most that is given at a time, in microcredits."""


def grant_credits(
    transaction: Transaction,
    account_id: str,
    microcredits: int,
    reason: str,
    *,
    by: str,
    now_s: int,
    origin: Origin | None = None,
) -> str:
    """Gives an account credits of the class `granted`; returns the grant's id.

    Raises `Refused` (`bad_body`, `suspended`).
    """
    if not reason.strip():
        raise Refused("say why: it stands in the books", reason="bad_body", field="reason")
    if not 0 < microcredits <= MAX_GRANT:
        raise Refused("that is too much, or nothing", reason="bad_body", field="credits")
    if transaction.row("SELECT 1 FROM account WHERE id = :id AND state <> 'erased'", id=account_id) is None:
        raise Refused("there is no account of that id", reason="bad_body", field="account")
    check_active(transaction, account_id)
    name = new_id()
    transaction.execute(
        "INSERT INTO credit_grant (id, account_id, microcredits, reason, by_account_id, at_s)"
        " VALUES (:id, :account, :microcredits, :reason, :by, :now)",
        id=name,
        account=account_id,
        microcredits=microcredits,
        reason=reason,
        by=by,
        now=now_s,
    )
    key = f"grant/{name}"
    mine = person("granted", account_id)
    move(transaction, key, microcredits, debit=house("given"), credit=mine, about=key, now_s=now_s)
    note_access(transaction, "credits_granted", now_s=now_s, by=by, about=account_id, thing=key, origin=origin)
    body = f"The operator has given you {in_credits_said(microcredits)}: {reason}"
    write_to(transaction, account_id, "You have been given credits", body, now_s)
    return name
