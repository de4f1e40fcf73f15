"""Signing in: a password is tried for an address, from somewhere.

Rules:

1. Every try is counted before the password is looked at: for the address, whether it has an account or not, and for
   the IP prefix. Whoever guesses many passwords of one address, or one password of many addresses, is stopped.
2. A browser in which the person has signed in before is counted by itself instead: others who guess cannot lock its
   person out.
3. Where there is no account, as much is hashed, and the answer is the same.
4. What was checked outside of a transaction must still be so in the one that lets somebody in.

Sources: NIST SP 800-63B, 3.2.2; OWASP on device cookies.
"""

import hashlib
import secrets
from typing import Final

from attrs import field, frozen

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.people.accounts import account_by_address
from bootstrap.people.limits import ADDRESS_LIMITS, BROWSER_LIMITS, PREFIX_LIMITS, count_attempt, give_back
from bootstrap.people.origin import Origin
from bootstrap.refusal import Refused

__all__ = [
    "KNOWN_BROWSER_S",
    "Attempt",
    "begin_attempt",
    "end_attempt",
    "forget_old_browsers",
    "remember_browser",
    "wrong_password",
]

KNOWN_BROWSER_S: Final = 30 * 24 * 3600
SECRET_SIZE: Final = 24


@frozen
class Attempt:
    """A try that was counted."""

    account_id: str | None
    password_hash: str | None = field(repr=False)
    """What the password is checked against; None where there is no account, and it is checked for nothing."""
    address_key: str = field(repr=False)
    browser: str | None = field(repr=False)
    """The browser's cookie, where it is one that the account's person has signed in with."""
    origin: Origin


def begin_attempt(
    transaction: Transaction, address_key: str, browser: str | None, origin: Origin, now_s: int
) -> Attempt:
    """Counts a try; raises `Refused` (`too_many`)."""
    account = account_by_address(transaction, address_key)
    known = browser if account is not None and _is_known(transaction, account.id, browser, now_s) else None
    if known is None:
        count_attempt(transaction, ADDRESS_LIMITS, address_key, now_s)
        count_attempt(transaction, PREFIX_LIMITS, origin.ip_prefix, now_s)
    else:
        count_attempt(transaction, BROWSER_LIMITS, known, now_s)
    if account is None:
        return Attempt(None, None, address_key, known, origin)
    return Attempt(account.id, account.password_hash, address_key, known, origin)


def end_attempt(transaction: Transaction, attempt: Attempt, now_s: int, *, action: str = "signed_in") -> str:
    """The password was right: takes the count back, and returns the account; raises `Refused`."""
    account = account_by_address(transaction, attempt.address_key)
    if account is None or account.id != attempt.account_id or account.password_hash != attempt.password_hash:
        raise wrong_password()
    if attempt.browser is None:
        give_back(transaction, ADDRESS_LIMITS, attempt.address_key)
        give_back(transaction, PREFIX_LIMITS, attempt.origin.ip_prefix)
    else:
        give_back(transaction, BROWSER_LIMITS, attempt.browser)
    note_access(transaction, action, now_s=now_s, by=account.id, about=account.id, origin=attempt.origin)
    return account.id


def wrong_password() -> Refused:
    """The one answer to a try that fails, whyever."""
    return Refused("the address or the password is not right", reason="wrong_password", field="password")


def remember_browser(transaction: Transaction, account_id: str, browser: str | None, now_s: int) -> str:
    """Notes that the person has signed in with this browser; returns what its cookie holds."""
    if browser is not None:
        known = transaction.execute(
            "UPDATE known_browser SET known_at_s = :now WHERE id = :id AND account_id = :account",
            id=_hash(browser),
            account=account_id,
            now=now_s,
        )
        if known:
            return browser
    secret = secrets.token_urlsafe(SECRET_SIZE)
    transaction.execute(
        "INSERT INTO known_browser (id, account_id, known_at_s) VALUES (:id, :account, :now)",
        id=_hash(secret),
        account=account_id,
        now=now_s,
    )
    return secret


def forget_old_browsers(transaction: Transaction, now_s: int) -> int:
    """Deletes the browsers that were not used for long; returns how many."""
    return transaction.execute("DELETE FROM known_browser WHERE known_at_s < :old", old=now_s - KNOWN_BROWSER_S)


def _is_known(transaction: Transaction, account_id: str, browser: str | None, now_s: int) -> bool:
    if not browser:
        return False
    row = transaction.row(
        "SELECT 1 FROM known_browser WHERE id = :id AND account_id = :account AND known_at_s >= :old",
        id=_hash(browser),
        account=account_id,
        old=now_s - KNOWN_BROWSER_S,
    )
    return row is not None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
