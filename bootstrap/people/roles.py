"""Roles: what an account may do besides what every person may. Operators give and take them."""

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.people.origin import Origin
from bootstrap.people.visitor import ROLES
from bootstrap.refusal import Refused

__all__ = ["give_role", "roles_of", "set_roles", "take_role"]


def roles_of(transaction: Transaction, account_id: str) -> frozenset[str]:
    """The roles of an account."""
    rows = transaction.rows("SELECT role FROM account_role WHERE account_id = :id", id=account_id)
    return frozenset(role for (role,) in rows)


def give_role(
    transaction: Transaction, account_id: str, role: str, now_s: int, *, by: str | None, origin: Origin | None = None
) -> None:
    """Gives a role; `by` is None for whoever sits at the machine itself."""
    assert role in ROLES, role
    given = transaction.execute(
        "INSERT INTO account_role (account_id, role, given_at_s) VALUES (:id, :role, :now)"
        " ON CONFLICT (account_id, role) DO NOTHING",
        id=account_id,
        role=role,
        now=now_s,
    )
    if given:
        note_access(
            transaction, "role_given", now_s=now_s, by=by, about=account_id, thing=f"role/{role}", origin=origin
        )


def take_role(
    transaction: Transaction, account_id: str, role: str, now_s: int, *, by: str | None, origin: Origin | None = None
) -> None:
    """Takes a role; raises `Refused` where nobody would be an operator any more."""
    if role == "operator":
        others = transaction.row(
            "SELECT 1 FROM account_role JOIN account ON account.id = account_role.account_id"
            " WHERE role = 'operator' AND account_id <> :id AND state = 'active'",
            id=account_id,
        )
        if others is None:
            raise Refused("nobody would be an operator any more: make somebody else one first", reason="last_operator")
    taken = transaction.execute(
        "DELETE FROM account_role WHERE account_id = :id AND role = :role", id=account_id, role=role
    )
    if taken:
        note_access(
            transaction, "role_taken", now_s=now_s, by=by, about=account_id, thing=f"role/{role}", origin=origin
        )


def set_roles(
    transaction: Transaction,
    account_id: str,
    wanted: frozenset[str],
    now_s: int,
    *,
    by: str,
    origin: Origin | None = None,
) -> bool:
    """Gives and takes until these are the account's; returns whether any changed."""
    had = roles_of(transaction, account_id)
    for role in sorted(had - wanted):
        take_role(transaction, account_id, role, now_s, by=by, origin=origin)
    for role in sorted(wanted - had):
        give_role(transaction, account_id, role, now_s, by=by, origin=origin)
    return had != wanted
