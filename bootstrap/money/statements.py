"""Statements: what came and went in a month, for whoever buys credits and for whoever earns them.

They are read from the journal, and so say what the books say. Earnings are many and small, and stand there by the day.
A statement says when credits left the account, and nothing of what they were used for: nobody here knows (promise P4).
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.money.journal import person
from bootstrap.money.letters import credits_said
from bootstrap.refusal import Refused
from bootstrap.rights.choices import objects_to

__all__ = [
    "Kind",
    "Line",
    "Statement",
    "UsageDay",
    "months_of",
    "neutral",
    "statement",
    "statement_csv",
    "statement_json",
    "usage_by_day",
]

Kind = Literal["credits", "earnings"]
BOOKS: Final[dict[Kind, tuple[str, ...]]] = {"credits": ("bought", "granted", "debt"), "earnings": ("earned",)}
DAY_S: Final = 24 * 3600
MAX_LINES: Final = 5_000
MAX_MONTHS: Final = 130

_SAYS: Final = (
    (r"purchase/[^/]+/credit", "Credits bought"),
    (r"purchase/[^/]+/debt", "Credits bought, which paid what you owed"),
    (r"purchase/.+/credit", "Credits given back after a dispute"),
    (r"purchase/.+/debt", "What you owed, given back after a dispute"),
    (r"purchase/.+/taken", "Credits taken back after a refund or a dispute"),
    (r"purchase/.+/owed", "Spent credits taken back after a refund or a dispute: you owe them"),
    (r"code/[^/]+", "Code redeemed"),
    (r"grant/[^/]+", "Given by the operator"),
    (r"withdrawal/[^/]+", "Withdrawn to a wallet"),
    (r"withdrawal/.+/returned", "A withdrawal that could not be made, put back"),
    (r"earning/.+", "Earned by your hosts"),
    (r"payout/.+/pending", "Payout"),
    (r"payout/.+/void", "A payout that could not be made, put back"),
    (r".+/forfeited", "Lost by the host agreement"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@frozen
class Line:
    """One line of a statement."""

    at_s: int
    what: str
    microcredits: int
    """Below nothing for what went."""
    cents: int | None
    currency: str | None


@frozen
class Statement:
    """A month of one kind."""

    kind: Kind
    month: str
    """Such as 2026-11, in UTC."""
    opening: int
    closing: int
    lines: Sequence[Line]
    complete: bool
    """Whether all lines of the month are there."""


@frozen
class UsageDay:
    """A day's withdrawals."""

    day_at_s: int
    withdrawn: int
    returned: int


def months_of(transaction: Transaction, account_id: str, now_s: int) -> list[str]:
    """The months that there are statements of, the newest first."""
    row = transaction.row(
        "SELECT min(movement.at_s) FROM book JOIN movement"
        " ON movement.debit_book = book.id OR movement.credit_book = book.id WHERE book.account_id = :account",
        account=account_id,
    )
    first = datetime.fromtimestamp(now_s if row is None or row[0] is None else min(row[0], now_s), UTC)
    last = datetime.fromtimestamp(now_s, UTC)
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    months = []
    for back in range(min(count, MAX_MONTHS)):
        year, month = divmod(last.year * 12 + last.month - 1 - back, 12)
        months.append(f"{year:04d}-{month + 1:02d}")
    return months


def statement(transaction: Transaction, account_id: str, kind: Kind, month: str) -> Statement:
    """A month's statement; raises `Refused` (`bad_body`) where it is no month."""
    start_s, end_s = month_bounds(month)
    books = [person(each, account_id).id for each in BOOKS[kind]]
    of = {f"book{number}": name for number, name in enumerate(books)}
    named = ", ".join(f":{name}" for name in of)
    total = _sum(transaction, "SELECT sum(credits - debits) FROM book WHERE id IN (" + named + ")", of)  # noqa: S608
    after = _moved_since(transaction, named, of, end_s)
    within = _moved_since(transaction, named, of, start_s) - after
    rows = transaction.rows(
        "SELECT movement.at_s, movement.key, CASE WHEN movement.credit_book IN (" + named + ") THEN movement.amount"  # noqa: S608  (names of our own)
        " ELSE -movement.amount END, coalesce(purchase.cents, payout.cents),"
        " coalesce(purchase.currency, payout.currency) FROM movement"
        " LEFT JOIN purchase ON movement.about LIKE 'purchase/%' AND purchase.id = substr(movement.about, 10)"
        " LEFT JOIN payout ON movement.about LIKE 'payout/%' AND payout.id = substr(movement.about, 8)"
        " WHERE (movement.credit_book IN (" + named + ") OR movement.debit_book IN (" + named + "))"
        " AND movement.at_s >= :start AND movement.at_s < :end AND movement.about NOT LIKE 'earning/%'"
        " ORDER BY movement.at_s, movement.key LIMIT :most",
        **of,
        start=start_s,
        end=end_s,
        most=MAX_LINES + 1,
    )
    lines = [_line(*row) for row in rows[:MAX_LINES]]
    if kind == "earnings":
        lines += _earned_by_day(transaction, books[0], start_s, end_s)
        lines.sort(key=lambda line: line.at_s)
    return Statement(kind, month, total - after - within, total - after, lines, complete=len(rows) <= MAX_LINES)


def statement_json(made: Statement) -> dict[str, object]:
    """For programs: amounts are integers, in microcredits and in the currency's smallest unit."""
    lines = [
        {
            "at_s": line.at_s,
            "what": line.what,
            "microcredits": line.microcredits,
            "cents": line.cents,
            "currency": line.currency,
        }
        for line in made.lines
    ]
    return {
        "kind": made.kind,
        "month": made.month,
        "opening_microcredits": made.opening,
        "closing_microcredits": made.closing,
        "complete": made.complete,
        "lines": lines,
    }


def statement_csv(made: Statement) -> str:
    """For spreadsheets (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("date", "what", "credits", "money", "currency"))
    writer.writerow((f"{made.month}-01", "Opening balance", _signed(made.opening), "", ""))
    for line in made.lines:
        date = datetime.fromtimestamp(line.at_s, UTC).date().isoformat()
        money = "" if line.cents is None else f"{line.cents // 100}.{line.cents % 100:02d}"
        writer.writerow((date, neutral(line.what), _signed(line.microcredits), money, neutral(line.currency or "")))
    writer.writerow(("", "Closing balance", _signed(made.closing), "", ""))
    return out.getvalue()


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def usage_by_day(transaction: Transaction, account_id: str, since_s: int) -> list[UsageDay]:
    """The days since then on which credits left the account or came back; none for whoever objects to being shown."""
    if objects_to(transaction, account_id, "usage_figures"):
        return []
    rows = transaction.rows(
        "SELECT at_s / 86400 AS day, CAST(sum(amount) AS BIGINT), CAST(sum(CASE WHEN state = 'returned' THEN amount"
        " ELSE 0 END) AS BIGINT) FROM withdrawal WHERE account_id = :account AND at_s >= :since"
        " GROUP BY at_s / 86400 ORDER BY 1",
        account=account_id,
        since=since_s,
    )
    return [UsageDay(int(day) * DAY_S, int(withdrawn), int(returned)) for day, withdrawn, returned in rows]


def month_bounds(month: str) -> tuple[int, int]:
    """When a month such as 2026-11 begins and ends, in UTC; raises `Refused` (`bad_body`)."""
    found = re.fullmatch(r"(20[0-9]{2})-(0[1-9]|1[0-2])", month)
    if found is None:
        raise Refused("a month is such as 2026-11", reason="bad_body", field="month")
    year, number = int(found[1]), int(found[2])
    start = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return int(start.timestamp()), int(end.timestamp())


def _line(at_s: int, key: str, amount: int, cents: int | None, currency: str | None) -> Line:
    what = next((says for pattern, says in _SAYS if re.fullmatch(pattern, key)), "Booked")
    # Money stands where it was paid, and nowhere twice.
    paid = re.fullmatch(r"purchase/[^/]+/(credit|debt)|payout/.+/pending", key) is not None
    return Line(at_s, what, amount, cents if paid else None, currency if paid else None)


def _earned_by_day(transaction: Transaction, book: str, start_s: int, end_s: int) -> list[Line]:
    rows = transaction.rows(
        "SELECT at_s / 86400, CAST(sum(amount) AS BIGINT) FROM movement WHERE credit_book = :book"
        " AND at_s >= :start AND at_s < :end AND about LIKE 'earning/%' GROUP BY at_s / 86400 ORDER BY 1",
        book=book,
        start=start_s,
        end=end_s,
    )
    return [Line(int(day) * DAY_S, "Earned by your hosts", int(total), None, None) for day, total in rows]


def _moved_since(transaction: Transaction, named: str, of: dict[str, str], since_s: int) -> int:
    came = "SELECT sum(amount) FROM movement WHERE at_s >= :since AND credit_book IN (" + named + ")"  # noqa: S608
    went = "SELECT sum(amount) FROM movement WHERE at_s >= :since AND debit_book IN (" + named + ")"  # noqa: S608
    return _sum(transaction, came, of, since=since_s) - _sum(transaction, went, of, since=since_s)


def _sum(transaction: Transaction, sql: str, of: dict[str, str], **values: int) -> int:
    row = transaction.row(sql, **of, **values)
    return 0 if row is None or row[0] is None else int(row[0])


def _signed(microcredits: int) -> str:
    return f"-{credits_said(-microcredits)}" if microcredits < 0 else credits_said(microcredits)
