"""Telling people by mail of a new version of the privacy notice, each once; they accept it when they come next."""

from typing import Final

from bootstrap.database import Transaction
from bootstrap.mail.outbox import queue_mail

__all__ = ["AT_ONCE", "tell_of_notice", "untold_of_notice"]

AT_ONCE: Final = 100
_UNTOLD: Final = (
    "SELECT id, email FROM account WHERE state IN ('active', 'restricted', 'suspended') AND notice_version <> :version"
    " AND email <> '' AND NOT EXISTS (SELECT 1 FROM notice_told WHERE account_id = account.id AND version = :version)"
    " ORDER BY id LIMIT :most"
)


def untold_of_notice(transaction: Transaction, version: str) -> bool:
    """Whether somebody is still to be told."""
    return transaction.row(_UNTOLD, version=version, most=1) is not None


def tell_of_notice(transaction: Transaction, version: str, where: str, *, now_s: int) -> int:
    """Queues the mails to some of those who have not been told of this version; returns how many.

    Args:
        transaction: the one to do it in.
        version: the notice that is in force.
        where: the address of its page.
        now_s: the time.
    """
    found = transaction.rows(_UNTOLD, version=version, most=AT_ONCE)
    body = (
        f"The privacy notice has changed: its version is now {version}.\n\nRead it at {where}\n\n"
        "When you sign in the next time you are asked whether you accept it. If you do not, you can still get a copy "
        "of your data there, and delete the account.\n"
    )
    for account_id, email in found:
        transaction.execute(
            "INSERT INTO notice_told (account_id, version, told_at_s) VALUES (:id, :version, :now)",
            id=account_id,
            version=version,
            now=now_s,
        )
        queue_mail(transaction, to=email, subject="The privacy notice has changed", body=body, now_s=now_s)
    return len(found)
