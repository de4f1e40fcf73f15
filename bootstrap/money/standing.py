"""Whether an account may begin anything about money."""

from bootstrap.database import Transaction
from bootstrap.refusal import Refused

__all__ = ["check_active"]


def check_active(transaction: Transaction, account_id: str) -> None:
    """Raises `Refused` (`suspended`) unless the account is in use, at this moment and not only when it was let in."""
    row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
    if row is None or row[0] != "active":
        state = "gone" if row is None else row[0]
        raise Refused(f"this account is {state}: see the privacy centre", reason="suspended")
