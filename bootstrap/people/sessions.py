"""Sessions: from a cookie to the person.

Rules:

1. The cookie holds 32 random bytes; the database holds their SHA-256, so that whoever reads it can be nobody.
2. A session begins with a new secret whenever somebody signs in; what a browser had before means nothing (fixation).
3. The secret is replaced every `ROTATE_AFTER_S`; the one before is still good for `GRACE_S`, for requests under way.
4. A session ends when it is `IDLE_S` unused or `LIFETIME_S` old, when its person signs out, and with a change of
   password.
5. Of where it comes from, the IP prefix and the browser's family are kept, and nothing finer (promise P6).

Source: OWASP's session management rules.
"""

import hashlib
import secrets
from typing import Final

from attrs import frozen

from bootstrap.database import Row, Transaction
from bootstrap.people.visitor import Visitor

__all__ = [
    "GRACE_S",
    "IDLE_S",
    "LIFETIME_S",
    "ROTATE_AFTER_S",
    "Origin",
    "begin_session",
    "end_session",
    "end_sessions",
    "prove_session",
    "rotate_session",
    "visitor_of_session",
]

IDLE_S: Final = 12 * 3600
LIFETIME_S: Final = 14 * 24 * 3600
ROTATE_AFTER_S: Final = 15 * 60
GRACE_S: Final = 60
SECRET_SIZE: Final = 32

_FIND: Final = (
    "SELECT session.id, account.id, account.display_name, account.state, account.notice_version, session.proved_at_s"
    " FROM session JOIN account ON account.id = session.account_id"
    " WHERE (session.id = :id OR (session.previous_id = :id AND session.rotated_at_s >= :grace))"
    " AND session.seen_at_s >= :idle AND session.created_at_s >= :oldest AND account.state <> 'erased'"
)


@frozen
class Origin:
    """Where a request comes from, as coarsely as it is kept."""

    ip_prefix: str
    browser_family: str


def begin_session(transaction: Transaction, account_id: str, origin: Origin, now_s: int) -> str:
    """A new session of somebody who has just proved who they are; returns what the cookie holds."""
    secret = secrets.token_urlsafe(SECRET_SIZE)
    transaction.execute(
        "INSERT INTO session (id, account_id, created_at_s, seen_at_s, rotated_at_s, proved_at_s, ip_prefix,"
        " browser_family) VALUES (:id, :account, :now, :now, :now, :now, :prefix, :family)",
        id=_hash(secret),
        account=account_id,
        now=now_s,
        prefix=origin.ip_prefix,
        family=origin.browser_family,
    )
    return secret


def visitor_of_session(transaction: Transaction, secret: str, now_s: int) -> Visitor | None:
    """The person whose session it is; None where it is none, or has ended."""
    row = _find(transaction, secret, now_s)
    if row is None:
        return None
    session_id, account_id, display_name, state, notice_version, proved_at_s = row
    roles = transaction.rows("SELECT role FROM account_role WHERE account_id = :id", id=account_id)
    return Visitor(
        account_id=account_id,
        display_name=display_name,
        roles=frozenset(role for (role,) in roles),
        state=state,
        notice_version=notice_version,
        proved_at_s=proved_at_s,
        session_id=session_id,
    )


def rotate_session(transaction: Transaction, secret: str, now_s: int) -> str | None:
    """Notes that the session is used; returns a new secret for its cookie where the old one is due."""
    shown = _hash(secret)
    transaction.execute("UPDATE session SET seen_at_s = :now WHERE id = :id", id=shown, now=now_s)
    fresh = secrets.token_urlsafe(SECRET_SIZE)
    changed = transaction.execute(
        "UPDATE session SET id = :new, previous_id = :old, rotated_at_s = :now"
        " WHERE id = :old AND rotated_at_s <= :due",
        new=_hash(fresh),
        old=shown,
        now=now_s,
        due=now_s - ROTATE_AFTER_S,
    )
    return fresh if changed else None


def prove_session(transaction: Transaction, session_id: bytes, now_s: int) -> None:
    """Notes that the person has just proved again who they are."""
    transaction.execute("UPDATE session SET proved_at_s = :now WHERE id = :id", id=session_id, now=now_s)


def end_session(transaction: Transaction, session_id: bytes) -> None:
    """Signs the session out."""
    transaction.execute("DELETE FROM session WHERE id = :id", id=session_id)


def end_sessions(transaction: Transaction, account_id: str, *, but: bytes | None = None) -> int:
    """Signs all sessions of a person out, `but` one; returns how many."""
    return transaction.execute(
        "DELETE FROM session WHERE account_id = :account AND id <> :kept", account=account_id, kept=but or b""
    )


def _find(transaction: Transaction, secret: str, now_s: int) -> Row | None:
    return transaction.row(
        _FIND, id=_hash(secret), grace=now_s - GRACE_S, idle=now_s - IDLE_S, oldest=now_s - LIFETIME_S
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
