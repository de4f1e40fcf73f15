"""Rectification, and restriction: data kept as the person says, or kept and not used."""

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.people.names import checked_name, checked_profile
from bootstrap.refusal import Refused
from bootstrap.rights.requests import Request, file_request

__all__ = ["correct_details", "lift_restriction", "restrict"]


def correct_details(
    transaction: Transaction, account_id: str, *, display_name: str, profile: str, now_s: int
) -> Request:
    """Puts what the person says in the place of what was kept. The address is changed where it can be proved."""
    transaction.execute(
        "UPDATE account SET display_name = :name, profile = :profile WHERE id = :id AND state <> 'erased'",
        id=account_id,
        name=checked_name(display_name),
        profile=checked_profile(profile),
    )
    return file_request(transaction, account_id, "rectification", subject="details", now_s=now_s)


def restrict(transaction: Transaction, account_id: str, *, now_s: int) -> Request:
    """Keeps the person's data and uses it for nothing, until they say otherwise."""
    _move(transaction, account_id, "active", "restricted")
    note_access(transaction, "account_restricted", now_s=now_s, by=account_id, about=account_id)
    return file_request(transaction, account_id, "restriction", now_s=now_s)


def lift_restriction(transaction: Transaction, account_id: str, *, now_s: int) -> Request:
    """Has the data used again."""
    _move(transaction, account_id, "restricted", "active")
    note_access(transaction, "restriction_lifted", now_s=now_s, by=account_id, about=account_id)
    return file_request(transaction, account_id, "lifting", now_s=now_s)


def _move(transaction: Transaction, account_id: str, before: str, after: str) -> None:
    changed = transaction.execute(
        "UPDATE account SET state = :after WHERE id = :id AND state = :before",
        id=account_id,
        before=before,
        after=after,
    )
    if not changed:
        row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
        raise Refused(f"the account is {row[0] if row else 'gone'}: that cannot be done now", reason="wrong_state")
