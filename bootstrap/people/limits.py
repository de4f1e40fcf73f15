"""How often something may be tried: counted in the database, so that a restart forgets nothing.

Rules:

1. An attempt is counted before it is made, in a transaction of its own, so that many at once are all counted.
2. A count is for a subject: an address (whether somebody has it or not), an account, an IP prefix, a browser. Of the
   subject a hash is kept.
3. A count begins with its first attempt and is over after the limit's time. Whoever is at the limit is told when.
"""

import hashlib
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.refusal import Refused

__all__ = [
    "ADDRESS_LIMITS",
    "BROWSER_LIMITS",
    "MAIL_LIMITS",
    "MAIL_PREFIX_LIMITS",
    "PREFIX_LIMITS",
    "SIGN_UP_LIMITS",
    "Limit",
    "count_attempt",
    "forget_attempts",
    "forget_old_counts",
    "give_back",
    "may_attempt",
]

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S


@frozen
class Limit:
    """At most `number` attempts of a kind within `within_s`, for one subject."""

    kind: str
    number: int
    within_s: int


Limits = tuple[Limit, ...]

ADDRESS_LIMITS: Final[Limits] = (Limit("address", 10, 15 * MINUTE_S), Limit("address_day", 60, DAY_S))
"""Passwords tried for one address, from wherever."""
BROWSER_LIMITS: Final[Limits] = (Limit("browser", 10, 15 * MINUTE_S), Limit("browser_day", 60, DAY_S))
"""Passwords tried in a browser in which the person has signed in before."""
PREFIX_LIMITS: Final[Limits] = (Limit("prefix", 30, 15 * MINUTE_S), Limit("prefix_day", 300, DAY_S))
"""Wrong passwords from one IP prefix, for whichever addresses."""
SIGN_UP_LIMITS: Final[Limits] = (Limit("sign_up", 20, HOUR_S), Limit("sign_up_day", 60, DAY_S))
"""Accounts asked for from one IP prefix."""
MAIL_LIMITS: Final[Limits] = (Limit("mail", 5, HOUR_S), Limit("mail_day", 15, DAY_S))
"""Mails that strangers can have us send to one address."""
MAIL_PREFIX_LIMITS: Final[Limits] = (Limit("mail_prefix", 30, HOUR_S), Limit("mail_prefix_day", 100, DAY_S))
"""Mails that one IP prefix can have us send."""


def count_attempt(transaction: Transaction, limits: Limits, subject: str, now_s: int) -> None:
    """Counts one more; raises `Refused` (`too_many`) where a limit is reached, and then counts nothing."""
    left_s = _left_s(transaction, limits, subject, now_s)
    if left_s > 0:
        raise Refused(f"that was tried too often: wait {_said(left_s)}", reason="too_many", retry_after_s=left_s)
    for limit in limits:
        transaction.execute(
            "INSERT INTO attempt_count (kind, subject, since_s, number) VALUES (:kind, :subject, :now, 1)"
            " ON CONFLICT (kind, subject) DO UPDATE SET"
            " number = CASE WHEN attempt_count.since_s <= :over THEN 1 ELSE attempt_count.number + 1 END,"
            " since_s = CASE WHEN attempt_count.since_s <= :over THEN :now ELSE attempt_count.since_s END",
            kind=limit.kind,
            subject=_hash(subject),
            now=now_s,
            over=now_s - limit.within_s,
        )


def may_attempt(transaction: Transaction, limits: Limits, subject: str, now_s: int) -> bool:
    """Counts one more and says True, or says False: for what is then left undone without a word."""
    if _left_s(transaction, limits, subject, now_s) > 0:
        return False
    count_attempt(transaction, limits, subject, now_s)
    return True


def give_back(transaction: Transaction, limits: Limits, subject: str) -> None:
    """Takes an attempt back that turned out to be none of those that are limited."""
    for limit in limits:
        transaction.execute(
            "UPDATE attempt_count SET number = number - 1 WHERE kind = :kind AND subject = :subject AND number > 0",
            kind=limit.kind,
            subject=_hash(subject),
        )


def forget_attempts(transaction: Transaction, limits: Limits, subject: str) -> None:
    """Begins anew: the person has proved who they are."""
    for limit in limits:
        transaction.execute(
            "DELETE FROM attempt_count WHERE kind = :kind AND subject = :subject",
            kind=limit.kind,
            subject=_hash(subject),
        )


def forget_old_counts(transaction: Transaction, now_s: int) -> int:
    """Deletes the counts that are over, whichever kind they are of."""
    return transaction.execute("DELETE FROM attempt_count WHERE since_s <= :over", over=now_s - DAY_S)


def _left_s(transaction: Transaction, limits: Limits, subject: str, now_s: int) -> int:
    """For how many seconds no attempt may be made; 0 or less for none."""
    left_s = 0
    for limit in limits:
        row = transaction.row(
            "SELECT since_s, number FROM attempt_count WHERE kind = :kind AND subject = :subject",
            kind=limit.kind,
            subject=_hash(subject),
        )
        if row is not None and row[1] >= limit.number:
            left_s = max(left_s, row[0] + limit.within_s - now_s)
    return left_s


def _hash(subject: str) -> bytes:
    return hashlib.sha256(b"peernet attempts v1\0" + subject.encode("utf-8", "replace")).digest()


def _said(seconds: int) -> str:
    minutes = -(-seconds // MINUTE_S)
    if minutes > 120:
        return f"{-(-seconds // HOUR_S)} hours"
    return f"{minutes} minutes" if minutes > 1 else "a minute"
