"""Links in mails: each proves that somebody reads what is sent to an address, once, and for a while.

The link carries 32 random bytes, the database their SHA-256. Opening a link changes nothing, since programs open what
is in mails, too: the page behind it has a button that does.
"""

import hashlib
import secrets
from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.refusal import Refused

__all__ = ["LINK_LIFETIME_S", "Link", "Purpose", "find_link", "make_link", "use_link"]

Purpose = Literal["verify", "recover", "change_email"]

LINK_LIFETIME_S: Final[dict[Purpose, int]] = {
    "verify": 3 * 24 * 3600,
    "recover": 3600,
    "change_email": 24 * 3600,
}
SECRET_SIZE: Final = 32


@frozen(repr=False)
class Link:
    """One that is still good."""

    account_id: str
    address: str


def make_link(transaction: Transaction, purpose: Purpose, account_id: str, address: str, now_s: int) -> str:
    """A new link's secret; the account's older ones for the same purpose are void from now on."""
    secret = secrets.token_urlsafe(SECRET_SIZE)
    transaction.execute(
        "DELETE FROM mail_link WHERE account_id = :account AND purpose = :purpose", account=account_id, purpose=purpose
    )
    transaction.execute(
        "INSERT INTO mail_link (id, account_id, purpose, address, made_at_s, expires_at_s)"
        " VALUES (:id, :account, :purpose, :address, :now, :until)",
        id=_hash(secret),
        account=account_id,
        purpose=purpose,
        address=address,
        now=now_s,
        until=now_s + LINK_LIFETIME_S[purpose],
    )
    return secret


def find_link(transaction: Transaction, purpose: Purpose, secret: str, now_s: int) -> Link | None:
    """What a link is good for; None where it is for nothing, or not any more."""
    row = transaction.row(
        "SELECT account_id, address FROM mail_link WHERE id = :id AND purpose = :purpose AND expires_at_s > :now",
        id=_hash(secret),
        purpose=purpose,
        now=now_s,
    )
    return None if row is None else Link(*row)


def use_link(transaction: Transaction, purpose: Purpose, secret: str, now_s: int) -> Link:
    """The same, and then the link is used up; raises `Refused` (`bad_link`)."""
    link = find_link(transaction, purpose, secret, now_s)
    if link is None or not transaction.execute("DELETE FROM mail_link WHERE id = :id", id=_hash(secret)):
        raise Refused("this link was used, or is too old: ask for a new one", reason="bad_link")
    return link


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
