"""The register of authorities' requests, and the counts of it that everybody may see.

An operator enters a request; an auditor, or another operator, closes it: nobody does both. The counts by year and
kind stay when the entries go, and show zeros, too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.people.access_log import note_access
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "LAWFUL_KINDS",
    "OUTCOMES",
    "LawfulRequest",
    "YearCount",
    "close_lawful",
    "enter_lawful",
    "lawful_counts",
    "lawful_of",
    "lawful_register",
]

LAWFUL_KINDS: Final[Mapping[str, str]] = {
    "account": "Who has an account",
    "payment": "Payments",
    "host": "A host and its operator",
    "ledger": "Entries of the ledger",
    "preservation": "To keep data for later",
    "removal": "To remove or block something",
    "other": "Something else",
}
"""What authorities ask for."""
OUTCOMES: Final[Mapping[str, str]] = {
    "answered": "Data given",
    "partly": "Some data given",
    "refused": "No data given",
}
_SELECT: Final = (
    "SELECT id, received_at_s, kind, authority, country, summary, state, entered_by_account_id, closed_at_s,"
    " closed_by_account_id FROM lawful_request "
)


@frozen
class LawfulRequest:
    """An entry of the register."""

    id: str
    received_at_s: int
    kind: str
    authority: str
    country: str
    summary: str
    state: str
    entered_by: str
    closed_at_s: int | None
    closed_by: str | None


@frozen
class YearCount:
    """How many requests of a kind came in a year, and how they were closed."""

    year: int
    kind: str
    received: int = 0
    answered: int = 0
    partly: int = 0
    refused: int = 0


def enter_lawful(
    transaction: Transaction,
    *,
    kind: str,
    authority: str,
    country: str,
    summary: str,
    received_at_s: int,
    by: str,
    now_s: int,
) -> str:
    """Enters a request, and counts it in public; returns its number."""
    if kind not in LAWFUL_KINDS:
        raise Refused("there is no such kind of request", reason="bad_body", field="kind")
    if not 0 < received_at_s <= now_s:
        raise Refused("it was received in the past", reason="bad_body", field="received_on")
    request_id = new_id()
    transaction.execute(
        "INSERT INTO lawful_request (id, received_at_s, kind, authority, country, summary, state, entered_at_s,"
        " entered_by_account_id) VALUES (:id, :received, :kind, :authority, :country, :summary, 'open', :now, :by)",
        id=request_id,
        received=received_at_s,
        kind=kind,
        authority=authority,
        country=country,
        summary=summary,
        now=now_s,
        by=by,
    )
    _count(transaction, received_at_s, kind, "received")
    note_access(transaction, "lawful_entered", now_s=now_s, by=by, thing=f"lawful_request/{request_id}")
    return request_id


def close_lawful(transaction: Transaction, request_id: str, outcome: str, *, by: str, now_s: int) -> None:
    """Closes a request that somebody else entered; raises `Refused`."""
    if outcome not in OUTCOMES:
        raise Refused("there is no such outcome", reason="bad_body", field="outcome")
    request = lawful_of(transaction, request_id)
    if request.entered_by == by:
        raise Refused("you entered this request: an auditor or another operator closes it", reason="own_request")
    changed = transaction.execute(
        "UPDATE lawful_request SET state = :outcome, closed_at_s = :now, closed_by_account_id = :by"
        " WHERE id = :id AND state = 'open'",
        id=request_id,
        outcome=outcome,
        now=now_s,
        by=by,
    )
    if not changed:
        raise Refused("that request is closed already", reason="answered")
    _count(transaction, request.received_at_s, request.kind, outcome)
    note_access(transaction, "lawful_closed", now_s=now_s, by=by, thing=f"lawful_request/{request_id}")


def lawful_of(transaction: Transaction, request_id: str) -> LawfulRequest:
    """The entry with this number; raises `NotFound`."""
    row = transaction.row(_SELECT + "WHERE id = :id", id=request_id)
    if row is None:
        raise NotFound("such request")
    return LawfulRequest(*row)


def lawful_register(transaction: Transaction) -> list[LawfulRequest]:
    """The register, open entries first, then the newest, up to 200."""
    rows = transaction.rows(
        _SELECT + " ORDER BY CASE state WHEN 'open' THEN 0 ELSE 1 END, received_at_s DESC, id LIMIT 200"
    )
    return [LawfulRequest(*row) for row in rows]


def lawful_counts(transaction: Transaction, now_s: int) -> list[YearCount]:
    """The public counts, for every kind and every year from the first one to this, the newest first."""
    rows = transaction.rows("SELECT year, kind, received, answered, partly, refused FROM lawful_count")
    found = {(row[0], row[1]): YearCount(*row) for row in rows}
    this_year = _year(now_s)
    first = min([year for year, _ in found] + [this_year])
    return [
        found.get((year, kind), YearCount(year, kind))
        for year in range(this_year, first - 1, -1)
        for kind in LAWFUL_KINDS
    ]


def _count(transaction: Transaction, at_s: int, kind: str, column: str) -> None:
    assert column in {"received", *OUTCOMES}, column
    transaction.execute(
        "INSERT INTO lawful_count (year, kind, received, answered, partly, refused) VALUES (:year, :kind, 0, 0, 0, 0)"
        " ON CONFLICT (year, kind) DO NOTHING",
        year=_year(at_s),
        kind=kind,
    )
    transaction.execute(
        f"UPDATE lawful_count SET {column} = {column} + 1 WHERE year = :year AND kind = :kind",  # noqa: S608
        year=_year(at_s),
        kind=kind,
    )


def _year(at_s: int) -> int:
    return datetime.fromtimestamp(at_s, UTC).year
