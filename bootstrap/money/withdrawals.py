"""Withdrawals: credits leave an account as blind-signed bearer credits, which nobody can tie to it any more.

The account is debited and the request written in one transaction; signing comes after it and may be repeated, since
the issuer answers the same request in the same way. So a crash in between loses nothing: a job signs what is debited
and not signed. What the issuer refuses for good goes back to the account. Only signatures that are on the disk are
handed out, and so those of a request that went back never are.

Bought credits are there only once their purchase has cleared, and are signed under other keys than granted ones.

The issuer gets blinded messages and no name. This side keeps that so much was withdrawn by whom and when, and, for
some days, blinded messages and blind signatures, which say nothing of the credits (RFC 9474).
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal

from attrs import field, frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.issuing import MAX_A_REQUEST, REQUEST_ID_SIZE, Issuing, SigningRefused
from bootstrap.money.journal import Overdrawn, house, move, person
from bootstrap.money.standing import check_active
from bootstrap.refusal import Refused
from peernet.core.credits.credits import DENOMINATIONS

__all__ = [
    "CreditClass",
    "Withdrawal",
    "begin_withdrawal",
    "finish_withdrawal",
    "forget_signatures",
    "unfinished_withdrawals",
    "withdrawal",
]

CreditClass = Literal["bought", "granted"]
BLINDED_SIZE: Final = 256
KEEP_SIGNATURES_S: Final = 7 * 24 * 3600
"""How long a client may ask again for an answer that was lost."""
FOR_LATER: Final = frozenset({"busy"})
"""The reasons of a refusal after which the same is asked again."""


def _parts(joined: bytes | None) -> tuple[bytes, ...]:
    data = bytes(joined or b"")
    return tuple(data[at : at + BLINDED_SIZE] for at in range(0, len(data), BLINDED_SIZE))


@frozen
class Withdrawal:
    """Credits on their way out of an account."""

    id: str
    account_id: str
    request_id: bytes
    credit_class: CreditClass
    denomination: int
    amount: int
    state: Literal["debited", "signed", "returned"]
    at_s: int
    blinded: tuple[bytes, ...] = field(converter=_parts)
    signatures: tuple[bytes, ...] = field(converter=_parts)


_WITHDRAWAL: Final = (
    "SELECT id, account_id, request_id, class, denomination, amount, state, at_s, blinded, signatures FROM withdrawal"
)


def begin_withdrawal(
    transaction: Transaction,
    account_id: str,
    request_id: bytes,
    credit_class: CreditClass,
    denomination: int,
    blinded: Sequence[bytes],
    now_s: int,
) -> str:
    """Debits the account for a request; returns the withdrawal's id. The same request again has the same one.

    Raises `Refused` (`bad_body`, `request_id_taken`, `too_few_credits`, `suspended`).
    """
    _check_request(request_id, denomination, blinded)
    digest = hashlib.sha256(b"".join((credit_class.encode(), b"%d" % denomination, *blinded))).digest()
    known = transaction.row(
        "SELECT id, blinded_hash FROM withdrawal WHERE account_id = :account AND request_id = :request",
        account=account_id,
        request=request_id,
    )
    if known is not None:
        if bytes(known[1]) != digest:
            raise Refused("this request id stands for another request", reason="request_id_taken", field="request_id")
        return str(known[0])
    check_active(transaction, account_id)
    name = new_id()
    key, amount = f"withdrawal/{name}", denomination * len(blinded)
    mine, out = person(credit_class, account_id), house("withdrawn")
    try:
        move(transaction, key, amount, debit=mine, credit=out, about=key, now_s=now_s)
    except Overdrawn as error:
        text = f"there are fewer {credit_class} credits in the account than that"
        raise Refused(text, reason="too_few_credits") from error
    transaction.execute(
        "INSERT INTO withdrawal (id, account_id, request_id, class, denomination, amount, state, at_s, blinded,"
        " blinded_hash) VALUES (:id, :account, :request, :class, :denomination, :amount, 'debited', :now, :blinded,"
        " :hash)",
        **{"class": credit_class},
        id=name,
        account=account_id,
        request=request_id,
        denomination=denomination,
        amount=amount,
        now=now_s,
        blinded=b"".join(blinded),
        hash=digest,
    )
    return name


def withdrawal(transaction: Transaction, withdrawal_id: str) -> Withdrawal:
    """The withdrawal of that id, which is there."""
    row = transaction.row(f"{_WITHDRAWAL} WHERE id = :id", id=withdrawal_id)
    assert row is not None
    return Withdrawal(*row)


def unfinished_withdrawals(transaction: Transaction, before_s: int, most: int = 20) -> list[str]:
    """The ids of those that were debited some time ago, and are not signed."""
    rows = transaction.rows(
        "SELECT id FROM withdrawal WHERE state = 'debited' AND at_s <= :before ORDER BY at_s, id LIMIT :most",
        before=before_s,
        most=most,
    )
    return [str(name) for (name,) in rows]


async def finish_withdrawal(
    write: Callable[[Callable[[Transaction], Withdrawal]], Awaitable[Withdrawal]],
    issuer: Issuing,
    asked: Withdrawal,
    now_s: int,
) -> Withdrawal:
    """Has a debited withdrawal signed, or put back where the issuer will never sign it; returns how it stands then.

    Raises `SigningRefused` where it is to be tried again later.
    """
    if asked.state != "debited":
        return asked
    try:
        signatures = await issuer.sign(asked.request_id, asked.credit_class, asked.denomination, asked.blinded)
    except SigningRefused as error:
        if error.reason in FOR_LATER:
            raise
        return await write(partial(_put_back, withdrawal_id=asked.id, now_s=now_s))
    return await write(partial(_note_signed, withdrawal_id=asked.id, signatures=signatures))


def forget_signatures(transaction: Transaction, now_s: int, most: int = 500) -> int:
    """Empties what nobody will ask for again; returns how many were."""
    return transaction.execute(
        "UPDATE withdrawal SET blinded = NULL, signatures = NULL WHERE id IN (SELECT id FROM withdrawal"
        " WHERE state <> 'debited' AND at_s <= :before AND blinded IS NOT NULL LIMIT :most)",
        before=now_s - KEEP_SIGNATURES_S,
        most=most,
    )


def _note_signed(transaction: Transaction, *, withdrawal_id: str, signatures: Sequence[bytes]) -> Withdrawal:
    # One that went back meanwhile stays so: its signatures are handed out to nobody.
    transaction.execute(
        "UPDATE withdrawal SET state = 'signed', signatures = :signatures WHERE id = :id AND state = 'debited'",
        id=withdrawal_id,
        signatures=b"".join(signatures),
    )
    return withdrawal(transaction, withdrawal_id)


def _put_back(transaction: Transaction, *, withdrawal_id: str, now_s: int) -> Withdrawal:
    asked = withdrawal(transaction, withdrawal_id)
    if asked.state == "debited":
        key = f"withdrawal/{asked.id}"
        mine, out = person(asked.credit_class, asked.account_id), house("withdrawn")
        move(transaction, f"{key}/returned", asked.amount, debit=out, credit=mine, about=key, now_s=now_s)
        transaction.execute("UPDATE withdrawal SET state = 'returned' WHERE id = :id", id=asked.id)
    return withdrawal(transaction, withdrawal_id)


def _check_request(request_id: bytes, denomination: int, blinded: Sequence[bytes]) -> None:
    if len(request_id) != REQUEST_ID_SIZE:
        raise Refused(f"a request id has {REQUEST_ID_SIZE} bytes", reason="bad_body", field="request_id")
    if denomination not in DENOMINATIONS:
        raise Refused("that is not a denomination", reason="bad_body", field="denomination")
    if not 1 <= len(blinded) <= MAX_A_REQUEST:
        raise Refused(f"ask for 1 to {MAX_A_REQUEST} credits at a time", reason="bad_body", field="blinded")
    if any(len(each) != BLINDED_SIZE for each in blinded):
        raise Refused(f"a blinded message has {BLINDED_SIZE} bytes", reason="bad_body", field="blinded")
