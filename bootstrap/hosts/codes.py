"""Registration codes: a person shows one to their own host, and so says whose it is.

A code is 80 random bits, good for `LIFETIME_S` and once. The database holds its SHA-256.
"""

import base64
import hashlib
import re
import secrets
from typing import Final

from bootstrap.database import Transaction
from bootstrap.refusal import Refused

__all__ = ["CODE_PATTERN", "LIFETIME_S", "MAX_OPEN", "new_code", "take_code"]

LIFETIME_S: Final = 30 * 60
MAX_OPEN: Final = 10
"""Codes of one account that are good at the same time."""
CODE_PATTERN: Final = r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}"


def new_code(transaction: Transaction, account_id: str, now_s: int) -> str:
    """A code for this account, to be shown once."""
    transaction.execute(
        "DELETE FROM registration_code WHERE account_id = :account AND expires_at_s <= :now",
        account=account_id,
        now=now_s,
    )
    row = transaction.row("SELECT count(*) FROM registration_code WHERE account_id = :account", account=account_id)
    assert row is not None
    if row[0] >= MAX_OPEN:
        raise Refused(
            f"you have made {MAX_OPEN} codes within half an hour: use one of them, or wait",
            reason="too_many",
            retry_after_s=LIFETIME_S,
        )
    letters = base64.b32encode(secrets.token_bytes(10)).decode()
    code = "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))
    transaction.execute(
        "INSERT INTO registration_code (hash, account_id, made_at_s, expires_at_s)"
        " VALUES (:hash, :account, :now, :end)",
        hash=_hash(code),
        account=account_id,
        now=now_s,
        end=now_s + LIFETIME_S,
    )
    return code


def take_code(transaction: Transaction, code: str, now_s: int) -> str:
    """The account that the code was made for; the code is used up. Raises `Refused` (`bad_code`)."""
    taken = transaction.execute(
        "UPDATE registration_code SET used_at_s = :now"
        " WHERE hash = :hash AND used_at_s IS NULL AND expires_at_s > :now",
        hash=_hash(code),
        now=now_s,
    )
    row = transaction.row("SELECT account_id FROM registration_code WHERE hash = :hash", hash=_hash(code))
    if not taken or row is None or not re.fullmatch(CODE_PATTERN, code):
        raise Refused(
            "this code is wrong, used or too old: make a new one in the portal", reason="bad_code", field="code"
        )
    account: str = row[0]
    return account


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()
