"""What the tables of rights themselves hold about a person."""

from collections.abc import Mapping
from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.rights.domain import Domain, Locked
from bootstrap.rights.shapes import NUMBER, TEXT, listing, maybe, record

__all__ = ["RIGHTS"]

_QUERIES: Final[Mapping[str, tuple[str, Mapping[str, Mapping[str, Any]]]]] = {
    "requests": (
        (
            "SELECT id, kind, subject, state, words, answer, asked_at_s, due_at_s, ended_at_s FROM rights_request"
            " WHERE account_id = :id ORDER BY asked_at_s, id"
        ),
        {
            "id": TEXT,
            "kind": TEXT,
            "subject": TEXT,
            "state": TEXT,
            "words": TEXT,
            "answer": TEXT,
            "asked_at_s": NUMBER,
            "due_at_s": NUMBER,
            "ended_at_s": maybe(NUMBER),
        },
    ),
    "objections": (
        "SELECT purpose, made_at_s FROM rights_objection WHERE account_id = :id ORDER BY purpose",
        {"purpose": TEXT, "made_at_s": NUMBER},
    ),
    "messages": (
        (
            "SELECT id, topic, words, reply_to, state, written_at_s, ip_prefix FROM contact_message"
            " WHERE account_id = :id OR reply_to = (SELECT email FROM account WHERE id = :id AND email <> ''"
            " AND verified_at_s IS NOT NULL) ORDER BY written_at_s, id"
        ),
        {
            "id": TEXT,
            "topic": TEXT,
            "words": TEXT,
            "reply_to": TEXT,
            "state": TEXT,
            "written_at_s": NUMBER,
            "ip_prefix": TEXT,
        },
    ),
    "told_of_notices": (
        "SELECT version, told_at_s FROM notice_told WHERE account_id = :id ORDER BY told_at_s",
        {"version": TEXT, "told_at_s": NUMBER},
    ),
}


def _export(transaction: Transaction, account_id: str) -> Mapping[str, Any]:
    return {
        name: [dict(zip(fields, row, strict=True)) for row in transaction.rows(sql, id=account_id)]
        for name, (sql, fields) in _QUERIES.items()
    }


def _erase(transaction: Transaction, account_id: str, _: int) -> None:
    row = transaction.row(
        "SELECT email FROM account WHERE id = :id AND email <> '' AND verified_at_s IS NOT NULL", id=account_id
    )
    if row is not None:
        # What the person wrote without being signed in.
        transaction.execute("DELETE FROM contact_message WHERE reply_to = :email", email=row[0])
        transaction.execute("UPDATE child_report SET reporter = '' WHERE reporter = :email", email=row[0])
    transaction.execute(
        "UPDATE rights_request SET words = '', answer = '' WHERE account_id = :id AND (words <> '' OR answer <> '')",
        id=account_id,
    )
    transaction.execute("DELETE FROM rights_objection WHERE account_id = :id", id=account_id)
    transaction.execute("DELETE FROM contact_message WHERE account_id = :id", id=account_id)
    transaction.execute("DELETE FROM notice_told WHERE account_id = :id", id=account_id)


def _locked(transaction: Transaction, account_id: str) -> list[Locked]:
    row = transaction.row("SELECT count(*), max(asked_at_s) FROM rights_request WHERE account_id = :id", id=account_id)
    if row is None or not row[0]:
        return []
    why = "Data protection law asks us to show for three years that we did what was asked. Your words are not kept."
    return [Locked(f"Your requests about privacy ({row[0]}), by their numbers and days", why, None)]


RIGHTS: Final = Domain(
    name="rights",
    title="Your privacy requests and choices",
    tables=frozenset(
        {
            "rights_request",
            "rights_event",
            "rights_objection",
            "contact_message",
            "notice_told",
            "erasure",
            "child_report",
            "lawful_request",
        }
    ),
    schema=record(**{name: listing(record(**fields)) for name, (_, fields) in _QUERIES.items()}),
    export=_export,
    erase=_erase,
    locked=_locked,
)
