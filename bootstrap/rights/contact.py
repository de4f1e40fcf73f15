"""Messages to the operator, from people with and without an account.

Rules:

1. Nothing is mailed to an address that nobody has proved: the receipt is on the page, and an account's is mailed to
   its own address.
2. What one prefix and all together may write in a day is bounded; a box that people do not see catches programs.
3. A message has a deadline like any request. What people wrote goes after a year.
"""

from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.mail.outbox import queue_mail
from bootstrap.people.access_log import note_access
from bootstrap.people.origin import Origin
from bootstrap.refusal import NotFound, Refused
from bootstrap.rights.requests import DAY_S, DEADLINE_S

__all__ = ["TOPICS", "Message", "answer_message", "message_of", "open_messages", "write_message"]

TOPICS: Final = ("privacy", "account", "payments", "hosts", "security", "other")
MAX_A_DAY_FROM_PREFIX: Final = 5
MAX_A_DAY: Final = 200
_SELECT: Final = "SELECT id, account_id, reply_to, topic, words, state, written_at_s, due_at_s FROM contact_message "


@frozen
class Message:
    """One of them."""

    id: str
    account_id: str | None
    reply_to: str
    topic: str
    words: str
    state: str
    written_at_s: int
    due_at_s: int

    def overdue(self, now_s: int) -> bool:
        """Whether it should have been answered by now."""
        return self.state == "open" and self.due_at_s < now_s


def write_message(
    transaction: Transaction,
    *,
    account_id: str | None,
    reply_to: str,
    topic: str,
    words: str,
    trap: str,
    origin: Origin,
    now_s: int,
) -> str:
    """Writes a message down and returns its receipt's number; raises `Refused` (`too_many`).

    Whatever fills `trap`, which people do not see, is told the same and forgotten.
    """
    message_id = new_id()
    if trap:
        return message_id
    bound_writing(transaction, "contact_message", "written_at_s", origin, now_s)
    transaction.execute(
        "INSERT INTO contact_message (id, account_id, reply_to, topic, words, state, written_at_s, due_at_s,"
        " ip_prefix) VALUES (:id, :account, :reply_to, :topic, :words, 'open', :now, :due, :prefix)",
        id=message_id,
        account=account_id,
        reply_to=reply_to,
        topic=topic,
        words=words,
        now=now_s,
        due=now_s + DEADLINE_S,
        prefix=origin.ip_prefix,
    )
    if account_id is not None:
        row = transaction.row("SELECT email FROM account WHERE id = :id", id=account_id)
        if row is not None and row[0]:
            body = f"Your message was received. Its number is {message_id}; the answer comes within 30 days.\n"
            queue_mail(transaction, to=row[0], subject=f"Message {message_id}", body=body, now_s=now_s)
    return message_id


def bound_writing(transaction: Transaction, table: str, at: str, origin: Origin, now_s: int) -> None:
    """Raises `Refused` (`too_many`) where a prefix, or all together, have written enough for a day.

    Args:
        transaction: the one in which it is then written.
        table: ours, with a column `ip_prefix`.
        at: its column with the time.
        origin: who writes.
        now_s: the time.
    """
    count = f"SELECT count(*) FROM {table} WHERE {at} > :since"  # noqa: S608  (both are names of ours)
    since = now_s - DAY_S
    own = transaction.row(f"{count} AND ip_prefix = :prefix", since=since, prefix=origin.ip_prefix)
    if own is not None and own[0] >= MAX_A_DAY_FROM_PREFIX:
        raise Refused("much was written from where you are: go on tomorrow", reason="too_many", retry_after_s=DAY_S)
    everybody = transaction.row(count, since=since)
    if everybody is not None and everybody[0] >= MAX_A_DAY:
        raise Refused("very much was written today: go on tomorrow", reason="too_many", retry_after_s=DAY_S)


def open_messages(transaction: Transaction) -> list[Message]:
    """Those that wait for an answer, the most urgent first, up to 200."""
    rows = transaction.rows(_SELECT + "WHERE state = 'open' ORDER BY due_at_s, id LIMIT 200")
    return [Message(*row) for row in rows]


def message_of(transaction: Transaction, message_id: str) -> Message:
    """The message with this number; raises `NotFound`."""
    row = transaction.row(_SELECT + "WHERE id = :id", id=message_id)
    if row is None:
        raise NotFound("such message")
    return Message(*row)


def answer_message(transaction: Transaction, message_id: str, answer: str, *, by: str, now_s: int) -> None:
    """Sends the operator's answer to whoever wrote, or closes the message without one where `answer` is empty."""
    message = message_of(transaction, message_id)
    changed = transaction.execute(
        "UPDATE contact_message SET state = :state, ended_at_s = :now, ended_by_account_id = :by"
        " WHERE id = :id AND state = 'open'",
        id=message_id,
        state="answered" if answer else "closed",
        now=now_s,
        by=by,
    )
    if not changed:
        raise Refused("that message has been answered already", reason="answered")
    note_access(
        transaction,
        "message_answered" if answer else "message_closed",
        now_s=now_s,
        by=by,
        about=message.account_id,
        thing=f"contact_message/{message_id}",
    )
    if answer and message.reply_to:
        body = f"{answer}\n\n(Your message {message_id})\n"
        queue_mail(transaction, to=message.reply_to, subject=f"Answer to message {message_id}", body=body, now_s=now_s)
