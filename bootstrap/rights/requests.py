"""Requests about one's data: each has a receipt, a deadline and a log, and most are done the moment they are made.

The receipt is the request's id. It is mailed, stays in the privacy centre, and outlives the account, so that whoever
has it can be told what became of it.
"""

from collections.abc import Mapping
from typing import Final

from attrs import asdict, frozen

from bootstrap.database import Row, Transaction
from bootstrap.ids import new_id
from bootstrap.mail.outbox import queue_mail
from bootstrap.people.access_log import note_access
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "DEADLINE_S",
    "KINDS",
    "STATES",
    "Event",
    "Request",
    "decide_request",
    "end_request",
    "events_of",
    "file_request",
    "note_event",
    "open_requests",
    "owner_of_request",
    "request_of",
    "requests_of",
]

DAY_S: Final = 24 * 3600
DEADLINE_S: Final = 30 * DAY_S
MAX_A_DAY: Final = 30
"""How many requests an account makes in a day, at most: each is a mail."""

KINDS: Final[Mapping[str, str]] = {
    "access": "See what is held",
    "portability": "Get a copy",
    "rectification": "Correct",
    "deletion": "Delete the account",
    "restriction": "Stop using the data",
    "lifting": "Use the data again",
    "objection": "Object to a use",
    "consent": "Consent",
}
"""What can be asked, as people read it."""
STATES: Final[Mapping[str, str]] = {
    "open": "waits for the operator's answer",
    "waiting": "waits for its day",
    "done": "done",
    "refused": "refused",
    "withdrawn": "called off",
}
_SELECT: Final = (
    "SELECT id, account_id, kind, subject, state, words, answer, asked_at_s, due_at_s, acts_at_s, ended_at_s"
    " FROM rights_request "
)


@frozen
class Request:
    """One of them."""

    id: str
    account_id: str
    kind: str
    subject: str
    state: str
    words: str
    answer: str
    asked_at_s: int
    due_at_s: int
    acts_at_s: int | None
    ended_at_s: int | None

    @property
    def title(self) -> str:
        """What was asked, as people read it."""
        return KINDS[self.kind]

    def overdue(self, now_s: int) -> bool:
        """Whether it should have been answered by now."""
        return self.ended_at_s is None and self.due_at_s < now_s


@frozen
class Event:
    """One line of a request's log."""

    at_s: int
    event: str
    by: str
    """`you`, `an operator` or `the service`."""


def file_request(
    transaction: Transaction,
    account_id: str,
    kind: str,
    *,
    now_s: int,
    subject: str = "",
    words: str = "",
    state: str = "done",
    acts_at_s: int | None = None,
    by: str | None = None,
) -> Request:
    """Writes a request down, and queues the mail with its receipt; whoever calls does what it asks for.

    Args:
        transaction: the one in which it is done.
        account_id: whose data it is about.
        kind: one of `KINDS`.
        now_s: the time.
        subject: what of it, as a fixed word.
        words: what the person wrote.
        state: `done` where it is done here and now, `open` for the operator, `waiting` for its day.
        acts_at_s: that day.
        by: who asks, if not the person.

    Raises `Refused` (`too_many`).
    """
    if by is None:
        _bound_asking(transaction, account_id, now_s)
    request = Request(
        id=new_id(),
        account_id=account_id,
        kind=kind,
        subject=subject,
        state=state,
        words=words,
        answer="",
        asked_at_s=now_s,
        due_at_s=now_s + DEADLINE_S,
        acts_at_s=acts_at_s,
        ended_at_s=now_s if state == "done" else None,
    )
    _insert(transaction, request)
    asking, thing = by or account_id, f"rights_request/{request.id}"
    note_event(transaction, request.id, "asked", by=asking, now_s=now_s)
    if state == "done":
        note_event(transaction, request.id, "done", by=None, now_s=now_s)
    note_access(transaction, f"rights_{kind}", now_s=now_s, by=asking, about=account_id, thing=thing)
    _write_to(transaction, account_id, f"Privacy request {request.id}", _receipt(request), now_s)
    return request


def end_request(
    transaction: Transaction, request: Request, state: str, *, now_s: int, by: str | None, answer: str = ""
) -> None:
    """Ends a request that was `open` or `waiting`, and tells the person; raises `Refused` where it has ended."""
    changed = transaction.execute(
        "UPDATE rights_request SET state = :state, answer = :answer, ended_at_s = :now"
        " WHERE id = :id AND state IN ('open', 'waiting')",
        id=request.id,
        state=state,
        answer=answer,
        now=now_s,
    )
    if not changed:
        raise Refused("that request has been answered already", reason="answered")
    note_event(transaction, request.id, state, by=by, now_s=now_s)
    body = f"Your privacy request {request.id} ({request.title.lower()}) is {STATES[state]}.\n"
    if answer:
        body += f"\n{answer}\n"
    _write_to(transaction, request.account_id, f"Privacy request {request.id}", body, now_s)


def decide_request(
    transaction: Transaction, request_id: str, *, granted: bool, answer: str, by: str, now_s: int
) -> Request:
    """An operator's answer to a request that waits for one; raises `Refused`."""
    request = request_of(transaction, request_id)
    if request.account_id == by:
        raise Refused("this request is your own: somebody else answers it", reason="own_request")
    if request.state != "open":
        raise Refused("that request has been answered already", reason="answered")
    if not granted and not answer:
        raise Refused("a refusal says why", reason="bad_body", field="answer")
    end_request(transaction, request, "done" if granted else "refused", now_s=now_s, by=by, answer=answer)
    thing = f"rights_request/{request_id}"
    note_access(transaction, "rights_decided", now_s=now_s, by=by, about=request.account_id, thing=thing)
    return request


def note_event(transaction: Transaction, request_id: str, event: str, *, by: str | None, now_s: int) -> None:
    """Adds a line to a request's log."""
    transaction.execute(
        "INSERT INTO rights_event (id, request_id, at_s, event, by_account_id) VALUES (:id, :request, :now, :event,"
        " :by)",
        id=new_id(),
        request=request_id,
        now=now_s,
        event=event,
        by=by,
    )


def request_of(transaction: Transaction, request_id: str) -> Request:
    """The request with this id; raises `NotFound`."""
    row = transaction.row(_SELECT + "WHERE id = :id", id=request_id)
    if row is None:
        raise NotFound("such request")
    return Request(*row)


def requests_of(transaction: Transaction, account_id: str) -> list[Request]:
    """All of an account's, the newest first."""
    return _requests(
        transaction.rows(
            _SELECT + "WHERE account_id = :account ORDER BY asked_at_s DESC, id",
            account=account_id,
        )
    )


def open_requests(transaction: Transaction) -> list[Request]:
    """All that have not ended, the most urgent first, up to 200."""
    return _requests(transaction.rows(_SELECT + "WHERE state IN ('open', 'waiting') ORDER BY due_at_s, id LIMIT 200"))


def events_of(transaction: Transaction, request: Request) -> list[Event]:
    """A request's log, as its person may read it."""
    found = transaction.rows(
        "SELECT at_s, event, by_account_id FROM rights_event WHERE request_id = :id"
        " ORDER BY at_s, CASE event WHEN 'asked' THEN 0 ELSE 1 END, id",
        id=request.id,
    )
    who = {None: "the service", request.account_id: "you"}
    return [Event(at_s, event, who.get(by, "an operator")) for at_s, event, by in found]


def owner_of_request(transaction: Transaction, parameters: Mapping[str, str]) -> str | None:
    """Whose request it is, for a route's rule."""
    row = transaction.row("SELECT account_id FROM rights_request WHERE id = :id", id=parameters["request"])
    return row[0] if row else None


def _bound_asking(transaction: Transaction, account_id: str, now_s: int) -> None:
    """Raises `Refused` (`too_many`) where the account has asked enough for a day."""
    row = transaction.row(
        "SELECT count(*) FROM rights_request WHERE account_id = :account AND asked_at_s > :since",
        account=account_id,
        since=now_s - DAY_S,
    )
    if row is not None and row[0] >= MAX_A_DAY:
        raise Refused("that were many requests for one day: go on tomorrow", reason="too_many", retry_after_s=DAY_S)


def _insert(transaction: Transaction, request: Request) -> None:
    values = asdict(request)
    columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    transaction.execute(f"INSERT INTO rights_request ({columns}) VALUES ({places})", **values)  # noqa: S608  (ours)


def _requests(rows: list[Row]) -> list[Request]:
    return [Request(*row) for row in rows]


def _write_to(transaction: Transaction, account_id: str, subject: str, body: str, now_s: int) -> None:
    row = transaction.row("SELECT email FROM account WHERE id = :id AND state <> 'erased'", id=account_id)
    if row is not None and row[0]:
        queue_mail(transaction, to=row[0], subject=subject, body=body, now_s=now_s)


def _receipt(request: Request) -> str:
    said = {
        "done": "It is done.",
        "open": "The operator answers within 30 days.",
        "waiting": "It is carried out after a few days, within which you can call it off.",
    }[request.state]
    return (
        f"You asked: {request.title.lower()}.\n{said}\n\nThe receipt's number is {request.id}. What becomes of it is "
        "in the privacy centre of the portal.\n\nIf it was not you, sign in, change your password and call it off.\n"
    )
