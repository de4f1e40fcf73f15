"""Redeem codes: credits as a present. Operators make them; whoever redeems one first has it.

A code is 24 letters and digits, of which 120 bits are random; its SHA-256 is kept, and it is shown once. Letters that
are mistaken for others are not in it, and are understood where they are typed (Crockford's base 32).
"""

import hashlib
import secrets
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.money.journal import house, move, person
from bootstrap.money.standing import check_active
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import Refused

__all__ = ["MAX_AT_ONCE", "RedeemCode", "make_codes", "newest_codes", "redeem_code"]

MAX_AT_ONCE: Final = 100
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MEANT: Final = str.maketrans("OIL", "011")
LENGTH: Final = 24
GROUP: Final = 6


@frozen
class RedeemCode:
    """What operators see of a code: not the code."""

    id: str
    microcredits: int
    label: str
    made_at_s: int
    expires_at_s: int
    redeemed_at_s: int | None


def make_codes(
    transaction: Transaction,
    count: int,
    microcredits: int,
    label: str,
    expires_at_s: int,
    *,
    by: str,
    now_s: int,
    origin: Origin | None = None,
) -> list[str]:
    """New codes, which are nowhere else."""
    if not 1 <= count <= MAX_AT_ONCE:
        raise Refused(f"make 1 to {MAX_AT_ONCE} codes at a time", reason="bad_body", field="count")
    made = []
    for _ in range(count):
        code = "".join(secrets.choice(_LETTERS) for _ in range(LENGTH))
        transaction.execute(
            "INSERT INTO redeem_code (id, code_hash, microcredits, label, by_account_id, made_at_s, expires_at_s)"
            " VALUES (:id, :hash, :microcredits, :label, :by, :now, :expires)",
            id=new_id(),
            hash=_hash(code),
            microcredits=microcredits,
            label=label,
            by=by,
            now=now_s,
            expires=expires_at_s,
        )
        made.append("-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP)))
    note_access(transaction, "codes_made", now_s=now_s, by=by, thing=f"codes/{count}", origin=origin)
    return made


def redeem_code(transaction: Transaction, account_id: str, typed: str, now_s: int) -> int:
    """Gives the account the code's credits; returns how many microcredits.

    Raises `Refused` (`no_such_code`): the same for one that never was, is used, or is over.
    """
    check_active(transaction, account_id)
    row = transaction.row(
        "SELECT id, microcredits FROM redeem_code WHERE code_hash = :hash AND account_id IS NULL"
        " AND expires_at_s > :now",
        hash=_hash(typed),
        now=now_s,
    )
    if row is None:
        raise Refused("that is no code, or it is used up or over", reason="no_such_code", field="code")
    name, microcredits = row
    taken = transaction.execute(
        "UPDATE redeem_code SET account_id = :account, redeemed_at_s = :now WHERE id = :id AND account_id IS NULL",
        id=name,
        account=account_id,
        now=now_s,
    )
    assert taken == 1  # a transaction is as if alone
    key = f"code/{name}"
    mine = person("granted", account_id)
    move(transaction, key, microcredits, debit=house("given"), credit=mine, about=key, now_s=now_s)
    return int(microcredits)


def newest_codes(transaction: Transaction, most: int = 100) -> list[RedeemCode]:
    """The newest, for operators."""
    rows = transaction.rows(
        "SELECT id, microcredits, label, made_at_s, expires_at_s, redeemed_at_s FROM redeem_code"
        " ORDER BY made_at_s DESC, id LIMIT :most",
        most=most,
    )
    return [RedeemCode(*row) for row in rows]


def _hash(code: str) -> bytes:
    plain = "".join(code.upper().replace("-", "").split()).translate(_MEANT)
    return hashlib.sha256(b"peernet redeem code v1\0" + plain.encode("utf-8", "replace")).digest()
