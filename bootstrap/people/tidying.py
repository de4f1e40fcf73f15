"""What ends by itself is deleted: sessions, links, tokens, counts, and accounts whose address nobody confirmed."""

from typing import Final

from bootstrap.database import Database, Transaction
from bootstrap.people.limits import forget_old_counts
from bootstrap.people.sessions import end_old_sessions
from bootstrap.people.signing_in import forget_old_browsers
from bootstrap.people.tokens import end_old_tokens

__all__ = ["UNVERIFIED_S", "tidy"]

UNVERIFIED_S: Final = 7 * 24 * 3600
"""How long an account waits for its address to be confirmed."""
MOST_AT_ONCE: Final = 100
_OF_ACCOUNT: Final = (
    "mail_link",
    "session",
    "api_token",
    "known_browser",
    "account_role",
    "notice_acceptance",
    # Whoever waits to be confirmed may still ask for what is held, or object.
    "rights_request",
    "rights_objection",
    "notice_told",
    "contact_message",
)


def tidy(database: Database, now_s: int) -> None:
    """Deletes it all, in transactions of their own."""
    for work in (end_old_sessions, end_old_tokens, forget_old_browsers, forget_old_counts, _forget_old_links):
        database.write(lambda transaction, work=work: work(transaction, now_s))  # type: ignore[misc]
    database.write(lambda transaction: _forget_unverified(transaction, now_s))


def _forget_old_links(transaction: Transaction, now_s: int) -> int:
    return transaction.execute("DELETE FROM mail_link WHERE expires_at_s <= :now", now=now_s)


def _forget_unverified(transaction: Transaction, now_s: int) -> int:
    rows = transaction.rows(
        "SELECT id FROM account WHERE state = 'unverified' AND created_at_s < :old LIMIT :most",
        old=now_s - UNVERIFIED_S,
        most=MOST_AT_ONCE,
    )
    for (account_id,) in rows:
        for table in _OF_ACCOUNT:
            transaction.execute(f"DELETE FROM {table} WHERE account_id = :id", id=account_id)  # noqa: S608
        transaction.execute("DELETE FROM account WHERE id = :id", id=account_id)
    return len(rows)
