"""What is held about a person by their account, and what is left of it when it is erased: the random id."""

from collections.abc import Mapping
from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.people.sessions import end_sessions
from bootstrap.people.tokens import end_tokens
from bootstrap.refusal import NotFound
from bootstrap.rights.domain import Domain, Pending
from bootstrap.rights.shapes import NUMBER, TEXT, listing, maybe, record

__all__ = ["PEOPLE"]

_ACCOUNT: Final = (
    "id",
    "email",
    "display_name",
    "profile",
    "state",
    "created_at_s",
    "verified_at_s",
    "notice_version",
    "notice_at_s",
)
_SCHEMA: Final = record(
    account=record(
        id=TEXT,
        email=TEXT,
        display_name=TEXT,
        profile=TEXT,
        state=TEXT,
        created_at_s=NUMBER,
        verified_at_s=maybe(NUMBER),
        notice_version=TEXT,
        notice_at_s=NUMBER,
    ),
    roles=listing(record(role=TEXT, given_at_s=NUMBER)),
    sessions=listing(record(began_at_s=NUMBER, used_at_s=NUMBER, ip_prefix=TEXT, browser=TEXT)),
    api_tokens=listing(
        record(name=TEXT, scopes=TEXT, made_at_s=NUMBER, expires_at_s=NUMBER, used_on_at_s=maybe(NUMBER))
    ),
    known_browsers=listing(record(known_at_s=NUMBER)),
    notices_accepted=listing(record(version=TEXT, at_s=NUMBER)),
    links_sent=listing(record(purpose=TEXT, address=TEXT, made_at_s=NUMBER, expires_at_s=NUMBER)),
    mails_waiting=listing(record(subject=TEXT, queued_at_s=NUMBER)),
    access_log=listing(record(at_s=NUMBER, action=TEXT, by=TEXT, object=TEXT, ip_prefix=TEXT)),
)


_LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "roles": ("role given_at_s", "SELECT role, given_at_s FROM account_role WHERE account_id = :id ORDER BY role"),
    "sessions": (
        "began_at_s used_at_s ip_prefix browser",
        (
            "SELECT created_at_s, seen_at_s, ip_prefix, browser_family FROM session WHERE account_id = :id"
            " ORDER BY created_at_s"
        ),
    ),
    "api_tokens": (
        "name scopes made_at_s expires_at_s used_on_at_s",
        (
            "SELECT name, scopes, made_at_s, expires_at_s, used_day_at_s FROM api_token WHERE account_id = :id"
            " ORDER BY made_at_s, id"
        ),
    ),
    "known_browsers": (
        "known_at_s",
        "SELECT known_at_s FROM known_browser WHERE account_id = :id ORDER BY known_at_s",
    ),
    "notices_accepted": (
        "version at_s",
        "SELECT version, at_s FROM notice_acceptance WHERE account_id = :id ORDER BY at_s",
    ),
    "links_sent": (
        "purpose address made_at_s expires_at_s",
        "SELECT purpose, address, made_at_s, expires_at_s FROM mail_link WHERE account_id = :id ORDER BY made_at_s",
    ),
    # What they say is left out: the links in them are secrets. Nor is it shown to whoever has not proved the address.
    "mails_waiting": (
        "subject queued_at_s",
        (
            "SELECT subject, queued_at_s FROM mail WHERE recipient = (SELECT email FROM account WHERE id = :id"
            " AND email <> '' AND verified_at_s IS NOT NULL) ORDER BY queued_at_s"
        ),
    ),
}


def _export(transaction: Transaction, account_id: str) -> Mapping[str, Any]:
    row = transaction.row(
        "SELECT id, email, display_name, profile, state, created_at_s, verified_at_s, notice_version, notice_at_s"
        " FROM account WHERE id = :id",
        id=account_id,
    )
    if row is None:
        raise NotFound("such account")
    account = dict(zip(_ACCOUNT, row, strict=True))
    lists = {
        name: [dict(zip(names.split(), row, strict=True)) for row in transaction.rows(sql, id=account_id)]
        for name, (names, sql) in _LISTS.items()
    }
    return {"account": account, **lists, "access_log": _access_log(transaction, account_id)}


def _access_log(transaction: Transaction, account_id: str) -> list[dict[str, Any]]:
    rows = transaction.rows(
        "SELECT at_s, action, by_account_id, object, ip_prefix FROM access_log WHERE about_account_id = :id"
        " ORDER BY at_s, id",
        id=account_id,
    )
    who = {None: "the service", account_id: "you"}
    # Where an operator was when looking is the operator's.
    return [
        {
            "at_s": at_s,
            "action": action,
            "by": who.get(by, "an operator"),
            "object": thing,
            "ip_prefix": prefix if by == account_id else "",
        }
        for at_s, action, by, thing, prefix in rows
    ]


def _erase(transaction: Transaction, account_id: str, _: int) -> None:
    row = transaction.row("SELECT email FROM account WHERE id = :id", id=account_id)
    if row is None:
        raise NotFound("such account")
    if row[0]:
        transaction.execute("DELETE FROM mail WHERE recipient = :email", email=row[0])
    end_sessions(transaction, account_id)
    end_tokens(transaction, account_id)
    # A new address that was never proved may have a mail waiting, too.
    transaction.execute(
        "DELETE FROM mail WHERE recipient IN (SELECT address FROM mail_link WHERE account_id = :id)", id=account_id
    )
    for change in (
        "DELETE FROM mail_link WHERE account_id = :id",
        "DELETE FROM known_browser WHERE account_id = :id",
        "DELETE FROM notice_acceptance WHERE account_id = :id",
        "DELETE FROM account_role WHERE account_id = :id",
    ):
        transaction.execute(change, id=account_id)
    transaction.execute(
        "UPDATE access_log SET ip_prefix = '' WHERE by_account_id = :id AND ip_prefix <> ''", id=account_id
    )
    transaction.execute(
        "UPDATE account SET email = '', email_key = 'erased ' || id, display_name = '', profile = '',"
        " password_hash = '', state = 'erased', created_at_s = 0, verified_at_s = NULL, notice_version = '',"
        " notice_at_s = 0 WHERE id = :id",
        id=account_id,
    )


def _pending(transaction: Transaction, account_id: str) -> list[Pending]:
    row = transaction.row(
        "SELECT count(*) FROM account_role JOIN account ON account.id = account_id"
        " WHERE role = 'operator' AND account_id <> :id AND state = 'active'"
        " AND EXISTS (SELECT 1 FROM account_role AS own WHERE own.account_id = :id AND own.role = 'operator')",
        id=account_id,
    )
    own = transaction.row("SELECT 1 FROM account_role WHERE account_id = :id AND role = 'operator'", id=account_id)
    if own and row == (0,):
        return [
            Pending("You are the only operator: without you nobody answers requests here. Name another one first.")
        ]
    return []


PEOPLE: Final = Domain(
    name="people",
    title="Your account",
    tables=frozenset(
        {
            "account",
            "account_role",
            "session",
            "mail",
            "mail_link",
            "api_token",
            "known_browser",
            "notice_acceptance",
            "access_log",
        }
    ),
    schema=_SCHEMA,
    export=_export,
    erase=_erase,
    pending=_pending,
)
