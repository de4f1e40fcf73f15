"""Reports that an account is a child's: anybody reports, a person with a role decides, and it ends in erasure or not.

Whatever a report says of the child and of the reporter is gone with the decision. The reporter is told nothing about
whether there is such an account. Who decides looks the account up by the address that the report names.
"""

from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.people.access_log import note_access
from bootstrap.people.addresses import parse_address
from bootstrap.people.origin import Origin
from bootstrap.refusal import NotFound, Refused
from bootstrap.rights.contact import bound_writing
from bootstrap.rights.deletion import erase_child
from bootstrap.rights.requests import DAY_S

__all__ = [
    "DECIDED_WITHIN_S",
    "Candidate",
    "Report",
    "candidates",
    "decide_report",
    "file_report",
    "open_reports",
    "report_of",
]

DECIDED_WITHIN_S: Final = 7 * DAY_S
_SELECT: Final = "SELECT id, about, words, reporter, state, reported_at_s, due_at_s FROM child_report "


@frozen
class Report:
    """One of them."""

    id: str
    about: str
    words: str
    reporter: str
    state: str
    reported_at_s: int
    due_at_s: int

    def overdue(self, now_s: int) -> bool:
        """Whether it should have been decided by now."""
        return self.state == "open" and self.due_at_s < now_s


@frozen
class Candidate:
    """An account that a report may mean."""

    account_id: str
    display_name: str
    created_at_s: int


def file_report(
    transaction: Transaction, *, about: str, words: str, reporter: str, trap: str, origin: Origin, now_s: int
) -> str:
    """Writes a report down and returns its number; raises `Refused` (`too_many`)."""
    report_id = new_id()
    if trap:
        return report_id
    bound_writing(transaction, "child_report", "reported_at_s", origin, now_s)
    transaction.execute(
        "INSERT INTO child_report (id, about, words, reporter, state, reported_at_s, due_at_s, ip_prefix)"
        " VALUES (:id, :about, :words, :reporter, 'open', :now, :due, :prefix)",
        id=report_id,
        about=about,
        words=words,
        reporter=reporter,
        now=now_s,
        due=now_s + DECIDED_WITHIN_S,
        prefix=origin.ip_prefix,
    )
    return report_id


def open_reports(transaction: Transaction) -> list[Report]:
    """Those that wait for a decision, the most urgent first, up to 200."""
    rows = transaction.rows(_SELECT + "WHERE state = 'open' ORDER BY due_at_s, id LIMIT 200")
    return [Report(*row) for row in rows]


def report_of(transaction: Transaction, report_id: str) -> Report:
    """The report with this number; raises `NotFound`."""
    row = transaction.row(_SELECT + "WHERE id = :id", id=report_id)
    if row is None:
        raise NotFound("such report")
    return Report(*row)


def candidates(transaction: Transaction, report: Report) -> list[Candidate]:
    """The accounts whose id, address or display name is just what the report says, up to 20."""
    rows = transaction.rows(
        "SELECT id, display_name, created_at_s FROM account WHERE state <> 'erased'"
        " AND (id = :about OR email_key = :folded OR display_name = :about) ORDER BY id LIMIT 20",
        about=report.about,
        folded=_key_of(report.about),
    )
    return [Candidate(*row) for row in rows]


def _key_of(about: str) -> str:
    try:
        return parse_address(about).key
    except Refused:
        return ""


def decide_report(transaction: Transaction, report_id: str, account_id: str | None, *, by: str, now_s: int) -> None:
    """Erases the account that is a child's, or dismisses the report where there is none.

    Raises `Refused` where it is decided already, or the account is the decider's own.
    """
    report = report_of(transaction, report_id)
    if account_id == by:
        raise Refused("this report is about your own account: somebody else decides", reason="own_request")
    if account_id is not None and all(each.account_id != account_id for each in candidates(transaction, report)):
        raise Refused("the report is not about that account", reason="bad_body", field="account")
    changed = transaction.execute(
        "UPDATE child_report SET state = :state, about = '', words = '', reporter = '', ip_prefix = '',"
        " decided_at_s = :now, decided_by_account_id = :by, account_id = :account WHERE id = :id AND state = 'open'",
        id=report_id,
        state="dismissed" if account_id is None else "erased",
        now=now_s,
        by=by,
        account=account_id,
    )
    if not changed:
        raise Refused("that report has been decided already", reason="answered")
    thing = f"child_report/{report_id}"
    note_access(transaction, "child_report_decided", now_s=now_s, by=by, about=account_id, thing=thing)
    if account_id is not None:
        erase_child(transaction, account_id, by=by, now_s=now_s)
