"""The outbox: a mail becomes a row in the transaction that it belongs to, so that it is sent if that happened."""

from typing import Final

from bootstrap.database import Transaction
from bootstrap.ids import new_id

__all__ = ["queue_mail"]

MAX_SUBJECT_LENGTH: Final = 150


def queue_mail(transaction: Transaction, *, to: str, subject: str, body: str, now_s: int) -> None:
    """Has a mail sent, once the transaction is committed: plain text, with lines of any length.

    The subject becomes one line, whatever it has: it is a header.
    """
    transaction.execute(
        "INSERT INTO mail (id, recipient, subject, body, queued_at_s, next_try_at_s)"
        " VALUES (:id, :recipient, :subject, :body, :now, :now)",
        id=new_id(),
        recipient=to,
        subject=" ".join(subject.split())[:MAX_SUBJECT_LENGTH],
        body=body,
        now=now_s,
    )
