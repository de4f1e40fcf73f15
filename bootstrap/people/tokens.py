"""API tokens: what a program shows to act for a person, within scopes.

A token is `pnt_` and 32 random bytes; the database holds their SHA-256. It ends on a day, is shown once, and says on
which day it was used last. For what needs it, its person proves with it who they are (`prove_token`).
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.people.roles import roles_of
from bootstrap.people.visitor import Visitor
from bootstrap.refusal import Refused

__all__ = [
    "MAX_DAYS",
    "MAX_TOKENS",
    "SCOPES",
    "Token",
    "end_old_tokens",
    "end_token",
    "end_tokens",
    "make_token",
    "note_token_use",
    "owner_of_token",
    "prove_token",
    "tokens_of",
    "visitor_of_token",
]

SCOPES: Final[dict[str, str]] = {
    "account": "see and change the account, its sessions and tokens",
    "credits": "see the balance, buy and withdraw credits",
    "hosts": "see and change hosts, payouts and earnings",
    "rights": "get, correct and delete what is held about the person",
    "desk": "do what the person's roles allow",
}
"""What a token may be for, and what it then lets a program do. A route's rule names one."""

MAX_TOKENS: Final = 20
"""How many an account has at a time."""
MAX_DAYS: Final = 366
DAY_S: Final = 24 * 3600
PREFIX: Final = "pnt_"
SECRET_SIZE: Final = 32


@frozen
class Token:
    """One that is good, for its person to see."""

    id: str
    name: str
    scopes: tuple[str, ...]
    made_at_s: int
    expires_at_s: int
    used_day_at_s: int | None


def make_token(
    transaction: Transaction,
    account_id: str,
    name: str,
    scopes: Iterable[str],
    days: int,
    now_s: int,
    *,
    proved: bool = False,
) -> tuple[str, str]:
    """A new token; returns its id, and what the program shows, which nobody can find out any more afterwards.

    Raises `Refused` where the account has too many, or a scope is none.
    """
    wanted = set(scopes)
    if not wanted or wanted - SCOPES.keys():
        raise Refused(f"a token is for some of {', '.join(SCOPES)}", reason="bad_scope", field="scopes")
    assert 1 <= days <= MAX_DAYS, days
    if len(tokens_of(transaction, account_id, now_s)) >= MAX_TOKENS:
        raise Refused(f"an account has at most {MAX_TOKENS} tokens: end one first", reason="too_many_tokens")
    secret = PREFIX + secrets.token_urlsafe(SECRET_SIZE)
    token_id = new_id()
    transaction.execute(
        "INSERT INTO api_token (id, account_id, secret_hash, name, scopes, made_at_s, expires_at_s, proved_at_s)"
        " VALUES (:id, :account, :hash, :name, :scopes, :now, :until, :proved)",
        id=token_id,
        account=account_id,
        hash=_hash(secret),
        name=name,
        scopes=" ".join(scope for scope in SCOPES if scope in wanted),
        now=now_s,
        until=now_s + days * DAY_S,
        proved=now_s if proved else 0,
    )
    return token_id, secret


def visitor_of_token(transaction: Transaction, secret: str, now_s: int) -> Visitor | None:
    """The person whose program shows it; None where it is none, or over."""
    row = transaction.row(
        "SELECT api_token.id, api_token.scopes, api_token.proved_at_s, api_token.used_day_at_s, account.id,"
        " account.display_name, account.state, account.notice_version"
        " FROM api_token JOIN account ON account.id = api_token.account_id"
        " WHERE api_token.secret_hash = :hash AND api_token.expires_at_s > :now AND account.state <> 'erased'",
        hash=_hash(secret),
        now=now_s,
    )
    if row is None:
        return None
    token_id, scopes, proved_at_s, used_day_at_s, account_id, display_name, state, notice_version = row
    return Visitor(
        account_id=account_id,
        display_name=display_name,
        roles=roles_of(transaction, account_id),
        state=state,
        notice_version=notice_version,
        proved_at_s=proved_at_s,
        token=token_id,
        scopes=frozenset(scopes.split()),
        use_is_due=used_day_at_s != _day(now_s),
    )


def note_token_use(transaction: Transaction, token_id: str, now_s: int) -> None:
    """Notes the day on which the token is used."""
    transaction.execute("UPDATE api_token SET used_day_at_s = :day WHERE id = :id", id=token_id, day=_day(now_s))


def prove_token(transaction: Transaction, token_id: str, now_s: int) -> None:
    """Notes that the token's person has just proved again who they are."""
    transaction.execute("UPDATE api_token SET proved_at_s = :now WHERE id = :id", id=token_id, now=now_s)


def tokens_of(transaction: Transaction, account_id: str, now_s: int) -> list[Token]:
    """An account's tokens that are good, the newest first."""
    rows = transaction.rows(
        "SELECT id, name, scopes, made_at_s, expires_at_s, used_day_at_s FROM api_token"
        " WHERE account_id = :account AND expires_at_s > :now ORDER BY made_at_s DESC, id",
        account=account_id,
        now=now_s,
    )
    return [Token(token_id, name, tuple(scopes.split()), *rest) for token_id, name, scopes, *rest in rows]


def owner_of_token(transaction: Transaction, token_id: str) -> str | None:
    """Whose token it is."""
    row = transaction.row("SELECT account_id FROM api_token WHERE id = :id", id=token_id)
    return None if row is None else str(row[0])


def end_token(transaction: Transaction, token_id: str) -> None:
    """The token is good for nothing any more."""
    transaction.execute("DELETE FROM api_token WHERE id = :id", id=token_id)


def end_tokens(transaction: Transaction, account_id: str) -> int:
    """Ends all tokens of a person; returns how many."""
    return transaction.execute("DELETE FROM api_token WHERE account_id = :account", account=account_id)


def end_old_tokens(transaction: Transaction, now_s: int) -> int:
    """Deletes the tokens that are over; returns how many."""
    return transaction.execute("DELETE FROM api_token WHERE expires_at_s <= :now", now=now_s)


def _day(now_s: int) -> int:
    return now_s - now_s % DAY_S


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
