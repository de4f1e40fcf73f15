"""Sessions: from a cookie to the person.

Rules:

1. The cookie holds 32 random bytes; the database holds their SHA-256, so that whoever reads it can be nobody.
2. A session begins with a new secret whenever somebody signs in; what a browser had before means nothing (fixation).
3. The secret is replaced every `ROTATE_AFTER_S`; the one before is still good for `GRACE_S`, for requests under way.
4. A session ends when it is `IDLE_S` unused or `LIFETIME_S` old, when its person signs out, and with a change of
   password.
5. Its `handle` stays the same while it lasts, and is no secret: forms are bound to it, and people end it by it.
6. Of where it comes from, the IP prefix and the browser's family are kept, and nothing finer (promise P6).

Source: OWASP's session management rules.
"""

import hashlib
import secrets
from typing import Final

from attrs import frozen

from bootstrap.database import Row, Transaction
from bootstrap.ids import new_id
from bootstrap.people.origin import Origin
from bootstrap.people.roles import roles_of
from bootstrap.people.visitor import Visitor

__all__ = [
    "GRACE_S",
    "IDLE_S",
    "LIFETIME_S",
    "ROTATE_AFTER_S",
    "Origin",
    "Session",
    "begin_session",
    "end_old_sessions",
    "end_session",
    "end_sessions",
    "owner_of_session",
    "prove_session",
    "rotate_session",
    "sessions_of",
    "visitor_of_session",
]

IDLE_S: Final = 12 * 3600
LIFETIME_S: Final = 14 * 24 * 3600
ROTATE_AFTER_S: Final = 15 * 60
GRACE_S: Final = 60
SEEN_EVERY_S: Final = 60
"""How exactly it is noted that a session is used: not every request writes."""
SECRET_SIZE: Final = 32

_FIND: Final = (
    "SELECT session.handle, account.id, account.display_name, account.state, account.notice_version,"
    " session.proved_at_s, session.seen_at_s, session.rotated_at_s"
    " FROM session JOIN account ON account.id = session.account_id"
    " WHERE (session.id = :id OR (session.previous_id = :id AND session.rotated_at_s >= :grace))"
    " AND session.seen_at_s >= :idle AND session.created_at_s >= :oldest AND account.state <> 'erased'"
)


@frozen
class Session:
    """One that lasts, for its person to see."""

    handle: str
    created_at_s: int
    seen_at_s: int
    ip_prefix: str
    browser_family: str


def begin_session(transaction: Transaction, account_id: str, origin: Origin, now_s: int) -> str:
    """A new session of somebody who has just proved who they are; returns what the cookie holds."""
    secret = secrets.token_urlsafe(SECRET_SIZE)
    transaction.execute(
        "INSERT INTO session (id, handle, account_id, created_at_s, seen_at_s, rotated_at_s, proved_at_s, ip_prefix,"
        " browser_family) VALUES (:id, :handle, :account, :now, :now, :now, :now, :prefix, :family)",
        id=_hash(secret),
        handle=new_id(),
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
    handle, account_id, display_name, state, notice_version, proved_at_s, seen_at_s, rotated_at_s = row
    return Visitor(
        account_id=account_id,
        display_name=display_name,
        roles=roles_of(transaction, account_id),
        state=state,
        notice_version=notice_version,
        proved_at_s=proved_at_s,
        session=handle,
        use_is_due=now_s - seen_at_s >= SEEN_EVERY_S or now_s - rotated_at_s >= ROTATE_AFTER_S,
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


def prove_session(transaction: Transaction, handle: str, now_s: int) -> None:
    """Notes that the person has just proved again who they are; the secret is then due to be replaced."""
    transaction.execute(
        "UPDATE session SET proved_at_s = :now, rotated_at_s = :due WHERE handle = :handle",
        handle=handle,
        now=now_s,
        due=now_s - ROTATE_AFTER_S,
    )


def sessions_of(transaction: Transaction, account_id: str, now_s: int) -> list[Session]:
    """The sessions of a person that have not ended, the newest first."""
    rows = transaction.rows(
        "SELECT handle, created_at_s, seen_at_s, ip_prefix, browser_family FROM session"
        " WHERE account_id = :account AND seen_at_s >= :idle AND created_at_s >= :oldest"
        " ORDER BY seen_at_s DESC, handle",
        account=account_id,
        idle=now_s - IDLE_S,
        oldest=now_s - LIFETIME_S,
    )
    return [Session(*row) for row in rows]


def owner_of_session(transaction: Transaction, handle: str) -> str | None:
    """Whose session it is."""
    row = transaction.row("SELECT account_id FROM session WHERE handle = :handle", handle=handle)
    return None if row is None else str(row[0])


def end_session(transaction: Transaction, handle: str) -> None:
    """Signs the session out."""
    transaction.execute("DELETE FROM session WHERE handle = :handle", handle=handle)


def end_sessions(transaction: Transaction, account_id: str, *, but: str | None = None) -> int:
    """Signs all sessions of a person out, `but` one; returns how many."""
    return transaction.execute(
        "DELETE FROM session WHERE account_id = :account AND handle <> :kept", account=account_id, kept=but or ""
    )


def end_old_sessions(transaction: Transaction, now_s: int) -> int:
    """Deletes the sessions that have ended by themselves; returns how many."""
    return transaction.execute(
        "DELETE FROM session WHERE seen_at_s < :idle OR created_at_s < :oldest",
        idle=now_s - IDLE_S,
        oldest=now_s - LIFETIME_S,
    )


def _find(transaction: Transaction, secret: str, now_s: int) -> Row | None:
    return transaction.row(
        _FIND, id=_hash(secret), grace=now_s - GRACE_S, idle=now_s - IDLE_S, oldest=now_s - LIFETIME_S
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
