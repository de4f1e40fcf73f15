"""The desk of operators and auditors: what waits for an answer, the register, and what retention would purge."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.portal.access import with_role
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.rights_bodies import (
    Answer,
    Decision,
    LawfulEntry,
    LawfulOutcome,
    ReportDecision,
    day_start,
)
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused
from bootstrap.retention.classes import CLASSES, DAY_S
from bootstrap.retention.purging import due_counts
from bootstrap.rights.children import Candidate, Report, candidates, decide_report, open_reports, report_of
from bootstrap.rights.choices import decide_objection
from bootstrap.rights.contact import Message, answer_message, message_of, open_messages
from bootstrap.rights.lawful import LAWFUL_KINDS, OUTCOMES, close_lawful, enter_lawful, lawful_of, lawful_register
from bootstrap.rights.requests import Event, Request, events_of, open_requests, request_of

__all__ = ["ROUTES"]

DESK: Final = with_role("operator", "auditor")
DECIDES: Final = with_role("operator", "auditor", fresh=True)
OPERATES: Final = with_role("operator", fresh=True)

NOTICES.update(
    answered="Answered.",
    decided="Decided, and written down.",
    lawful_entered="Entered, and counted.",
    lawful_closed="Closed, and counted.",
)


@frozen
class _Waiting:
    requests: list[Request]
    messages: list[Message]
    reports: list[Report]


def _waiting(transaction: Transaction) -> _Waiting:
    return _Waiting(open_requests(transaction), open_messages(transaction), open_reports(transaction))


async def _inbox(visit: Visit) -> Response:
    return visit.page("rights_desk/inbox.html", waiting=await visit.read(_waiting), now_s=visit.now_s)


async def _request_page(visit: Visit, refusal: Refused | None) -> Response:
    def look(transaction: Transaction) -> tuple[Request, list[Event]]:
        request = request_of(transaction, visit.parameters["request"])
        note_access(
            transaction,
            "rights_request_viewed",
            now_s=visit.now_s,
            by=visit.account_id,
            about=request.account_id,
            thing=f"rights_request/{request.id}",
        )
        return request, events_of(transaction, request)

    request, events = await visit.write(look)
    if refusal is not None:
        return visit.again("rights_desk/request.html", refusal, asked=request, events=events)
    return visit.page("rights_desk/request.html", asked=request, events=events, refusal=None, typed={})


async def _request(visit: Visit) -> Response:
    return await _request_page(visit, None)


async def _decide_request(visit: Visit) -> Response:
    try:
        body = visit.body(Decision)
        await visit.write(
            partial(
                decide_objection,
                request_id=visit.parameters["request"],
                granted=body.decision == "granted",
                answer=body.answer,
                by=visit.account_id,
                now_s=visit.now_s,
            )
        )
    except Refused as refusal:
        return await _request_page(visit, refusal)
    return visit.go("/desk/privacy", "decided")


async def _message_page(visit: Visit, refusal: Refused | None) -> Response:
    def look(transaction: Transaction) -> Message:
        message = message_of(transaction, visit.parameters["message"])
        if message.account_id is not None:
            note_access(
                transaction,
                "message_viewed",
                now_s=visit.now_s,
                by=visit.account_id,
                about=message.account_id,
                thing=f"contact_message/{message.id}",
            )
        return message

    message = await visit.write(look)
    if refusal is not None:
        return visit.again("rights_desk/message.html", refusal, message=message)
    return visit.page("rights_desk/message.html", message=message, refusal=None, typed={})


async def _message(visit: Visit) -> Response:
    return await _message_page(visit, None)


async def _answer_message(visit: Visit) -> Response:
    try:
        body = visit.body(Answer)
        await visit.write(
            partial(
                answer_message,
                message_id=visit.parameters["message"],
                answer=body.answer,
                by=visit.account_id,
                now_s=visit.now_s,
            )
        )
    except Refused as refusal:
        return await _message_page(visit, refusal)
    return visit.go("/desk/privacy", "answered")


async def _report(visit: Visit) -> Response:
    def look(transaction: Transaction) -> tuple[Report, list[Candidate]]:
        report = report_of(transaction, visit.parameters["report"])
        found = candidates(transaction, report)
        for each in found:
            note_access(
                transaction,
                "account_viewed",
                now_s=visit.now_s,
                by=visit.account_id,
                about=each.account_id,
                thing=f"child_report/{report.id}",
            )
        return report, found

    report, found = await visit.write(look)
    return visit.page("rights_desk/report.html", report=report, candidates=found)


async def _decide_report(visit: Visit) -> Response:
    body = visit.body(ReportDecision)
    await visit.write(
        partial(
            decide_report,
            report_id=visit.parameters["report"],
            account_id=body.account or None,
            by=visit.account_id,
            now_s=visit.now_s,
        )
    )
    return visit.go("/desk/privacy", "decided")


async def _register_page(visit: Visit, refusal: Refused | None) -> Response:
    values: dict[str, Any] = {
        "entries": await visit.read(lawful_register),
        "kinds": LAWFUL_KINDS,
        "outcomes": OUTCOMES,
        "own": visit.account_id,
    }
    if refusal is not None:
        return visit.again("rights_desk/register.html", refusal, **values)
    return visit.page("rights_desk/register.html", refusal=None, typed={}, **values)


async def _register(visit: Visit) -> Response:
    return await _register_page(visit, None)


async def _changed_register(visit: Visit, act: Callable[[], Callable[[Transaction], object]], said: str) -> Response:
    try:
        await visit.write(act())
    except Refused as refusal:
        return await _register_page(visit, refusal)
    return visit.go("/desk/lawful-requests", said)


async def _enter(visit: Visit) -> Response:
    def act() -> Callable[[Transaction], object]:
        body = visit.body(LawfulEntry)
        return partial(
            enter_lawful,
            kind=body.kind,
            authority=body.authority,
            country=body.country,
            summary=body.summary,
            received_at_s=day_start(body.received_on),
            by=visit.account_id,
            now_s=visit.now_s,
        )

    return await _changed_register(visit, act, "lawful_entered")


async def _close_form(visit: Visit) -> Response:
    entry = await visit.read(partial(lawful_of, request_id=visit.parameters["entry"]))
    return visit.page("rights_desk/entry.html", entry=entry, kinds=LAWFUL_KINDS, outcomes=OUTCOMES)


async def _close(visit: Visit) -> Response:
    def act() -> Callable[[Transaction], object]:
        return partial(
            close_lawful,
            request_id=visit.parameters["entry"],
            outcome=visit.body(LawfulOutcome).outcome,
            by=visit.account_id,
            now_s=visit.now_s,
        )

    return await _changed_register(visit, act, "lawful_closed")


async def _retention(visit: Visit) -> Response:
    periods = visit.office.periods
    due = await visit.read(partial(due_counts, periods=periods, now_s=visit.now_s))
    return visit.page(
        "rights_desk/retention.html",
        classes=CLASSES,
        periods=periods,
        due=due,
        day_s=DAY_S,
    )


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/desk/privacy", _inbox, DESK, "What waits for an answer"),
    page("GET", "/desk/privacy/requests/{request}", _request, DESK, "A person's request"),
    page("POST", "/desk/privacy/requests/{request}", _decide_request, DECIDES, "Decide it", body=Decision),
    page("GET", "/desk/privacy/messages/{message}", _message, DESK, "A message"),
    page("POST", "/desk/privacy/messages/{message}", _answer_message, OPERATES, "Answer it", body=Answer),
    page("GET", "/desk/privacy/reports/{report}", _report, DESK, "A report that an account is a child's"),
    page("POST", "/desk/privacy/reports/{report}", _decide_report, DECIDES, "Decide it", body=ReportDecision),
    page("GET", "/desk/lawful-requests", _register, DESK, "The register of authorities' requests"),
    page("POST", "/desk/lawful-requests", _enter, OPERATES, "Enter one", body=LawfulEntry),
    page("GET", "/desk/lawful-requests/{entry}", _close_form, DESK, "One of them"),
    page("POST", "/desk/lawful-requests/{entry}", _close, DECIDES, "Close it", body=LawfulOutcome),
    page("GET", "/desk/retention", _retention, DESK, "What the purge would delete"),
)
