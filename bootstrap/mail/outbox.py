"""The outbox: a mail becomes a row in the transaction that it belongs to, so that it is sent if that happened."""

from typing import Final

from bootstrap.database import Transaction
from bootstrap.ids import new_id

__all__ = ["held_mails", "queue_mail", "release_mails"]

MAX_SUBJECT_LENGTH: Final = 150
HELD_S: Final = 2**53
"""When a mail is due that waits until it is released."""


def queue_mail(transaction: Transaction, *, to: str, subject: str, body: str, now_s: int, held: bool = False) -> None:
    """Has a mail sent, once the transaction is committed: plain text, with lines of any length.

    The subject becomes one line, whatever it has: it is a header. One that is `held` waits for `release_mails`.
    """
    transaction.execute(
        "INSERT INTO mail (id, recipient, subject, body, queued_at_s, next_try_at_s)"
        " VALUES (:id, :recipient, :subject, :body, :now, :due)",
        id=new_id(),
        recipient=to,
        subject=" ".join(subject.split())[:MAX_SUBJECT_LENGTH],
        body=body,
        now=now_s,
        due=HELD_S if held else now_s,
    )


def held_mails(transaction: Transaction) -> int:
    """How many wait to be released."""
    row = transaction.row("SELECT count(*) FROM mail WHERE next_try_at_s = :held", held=HELD_S)
    assert row is not None
    return int(row[0])


def release_mails(transaction: Transaction, *, now_s: int) -> int:
    """Has all mails sent that are held; returns how many."""
    return transaction.execute(
        "UPDATE mail SET queued_at_s = :now, next_try_at_s = :now WHERE next_try_at_s = :held", now=now_s, held=HELD_S
    )
