"""The API of privacy rights: the same as the privacy centre, for programs."""

from functools import partial
from typing import Any, Final

import attrs
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.privacy_pages import (
    OF_OWN_REQUEST,
    OWN,
    PROVED,
    exported,
    record_objection,
    record_restriction,
)
from bootstrap.portal.rights_bodies import (
    ChildReport,
    ContactMessage,
    Details,
    Objection,
    Restriction,
    Withdrawal,
)
from bootstrap.portal.rights_public import filed_report, providers_of, written_message
from bootstrap.portal.routes import Page, api
from bootstrap.portal.visit import Visit
from bootstrap.retention.classes import CLASSES
from bootstrap.rights.archive import collected, export_schema
from bootstrap.rights.choices import consents_of, objections_of, withdraw_consent
from bootstrap.rights.deletion import ask_deletion, call_off_deletion, deletion_under_way, preview_deletion
from bootstrap.rights.details import correct_details
from bootstrap.rights.lawful import lawful_counts
from bootstrap.rights.requests import Request, events_of, file_request, request_of, requests_of

__all__ = ["ROUTES"]


def _said(request: Request) -> dict[str, Any]:
    return {**attrs.asdict(request), "title": request.title}


async def _requests(visit: Visit) -> Response:
    found = await visit.read(partial(requests_of, account_id=visit.account_id))
    return visit.json({"requests": [_said(request) for request in found]})


async def _request(visit: Visit) -> Response:
    def look(transaction: Transaction) -> dict[str, Any]:
        request = request_of(transaction, visit.parameters["request"])
        return {**_said(request), "events": [attrs.asdict(event) for event in events_of(transaction, request)]}

    return visit.json(await visit.read(look))


async def _data(visit: Visit) -> Response:
    account_id, now_s = visit.account_id, visit.now_s
    await visit.write(partial(file_request, account_id=account_id, kind="access", now_s=now_s))
    return visit.json(await visit.read(partial(collected, account_id=account_id, now_s=now_s)))


async def _schema(visit: Visit) -> Response:
    return visit.json(export_schema())


async def _details(visit: Visit) -> Response:
    body = visit.body(Details)
    request = await visit.write(
        partial(
            correct_details,
            account_id=visit.account_id,
            display_name=body.display_name,
            profile=body.profile,
            now_s=visit.now_s,
        )
    )
    return visit.json(_said(request))


async def _choices(visit: Visit) -> Response:
    def look(transaction: Transaction) -> dict[str, Any]:
        row = transaction.row("SELECT state FROM account WHERE id = :id", id=visit.account_id)
        return {
            "restricted": row is not None and row[0] == "restricted",
            "consents": sorted(consents_of(transaction, visit.account_id)),
            "objections": sorted(objections_of(transaction, visit.account_id)),
        }

    return visit.json(await visit.read(look))


async def _consent(visit: Visit) -> Response:
    body = visit.body(Withdrawal)
    await visit.write(partial(withdraw_consent, account_id=visit.account_id, purpose=body.purpose, now_s=visit.now_s))
    return await _choices(visit)


async def _objection(visit: Visit) -> Response:
    body = visit.body(Objection)
    await visit.write(partial(record_objection, account_id=visit.account_id, body=body, now_s=visit.now_s))
    return await _choices(visit)


async def _restriction(visit: Visit) -> Response:
    body = visit.body(Restriction)
    await visit.write(partial(record_restriction, account_id=visit.account_id, body=body, now_s=visit.now_s))
    return await _choices(visit)


async def _deletion(visit: Visit) -> Response:
    def look(transaction: Transaction) -> dict[str, Any]:
        preview = preview_deletion(transaction, visit.account_id)
        under_way = deletion_under_way(transaction, visit.account_id)
        return {
            "under_way": None if under_way is None else _said(under_way),
            "pending": [attrs.asdict(each) for each in preview.pending],
            "locked": [attrs.asdict(each) for each in preview.locked],
        }

    return visit.json(await visit.read(look))


async def _ask_deletion(visit: Visit) -> Response:
    return visit.json(
        _said(await visit.write(partial(ask_deletion, account_id=visit.account_id, now_s=visit.now_s))), 202
    )


async def _call_off(visit: Visit) -> Response:
    await visit.write(partial(call_off_deletion, account_id=visit.account_id, now_s=visit.now_s))
    return await _deletion(visit)


async def _contact(visit: Visit) -> Response:
    return visit.json({"message": await written_message(visit, visit.body(ContactMessage))}, 201)


async def _report(visit: Visit) -> Response:
    return visit.json({"report": await filed_report(visit, visit.body(ChildReport))}, 201)


async def _retention(visit: Visit) -> Response:
    periods = visit.office.periods
    return visit.json(
        {
            "classes": [
                {"name": each.name, "period_s": periods.get(each.name), "reason": each.reason}
                for each in CLASSES.values()
            ]
        }
    )


async def _providers(visit: Visit) -> Response:
    return visit.json({"providers": [attrs.asdict(each) for each in providers_of(visit.office)]})


async def _lawful(visit: Visit) -> Response:
    counts = await visit.read(partial(lawful_counts, now_s=visit.now_s))
    return visit.json({"counts": [attrs.asdict(count) for count in counts]})


BASE: Final = "/api/v1/privacy"
ROUTES: Final[tuple[Page, ...]] = (
    api("GET", f"{BASE}/requests", _requests, OWN, "One's own requests"),
    api("GET", f"{BASE}/requests/{{request}}", _request, OF_OWN_REQUEST, "A request and its log"),
    api("POST", f"{BASE}/data", _data, PROVED, "What is held, as JSON"),
    api(
        "POST",
        f"{BASE}/export",
        exported,
        PROVED,
        "What is held, as a ZIP with its schema and a readable page",
        answers="application/zip",
    ),
    api("GET", f"{BASE}/schema", _schema, EVERYBODY, "The JSON Schema of what is held"),
    api("PUT", f"{BASE}/details", _details, PROVED, "Correct name and profile", body=Details),
    api("GET", f"{BASE}/choices", _choices, OWN, "Consents, objections, restriction"),
    api("POST", f"{BASE}/consent-withdrawals", _consent, PROVED, "Withdraw a consent", body=Withdrawal),
    api("PUT", f"{BASE}/objections", _objection, PROVED, "Object to a use, or no more", body=Objection),
    api("PUT", f"{BASE}/restriction", _restriction, PROVED, "Restrict the use, or lift that", body=Restriction),
    api("GET", f"{BASE}/deletion", _deletion, OWN, "What a deletion does, and whether one is under way"),
    api("POST", f"{BASE}/deletion", _ask_deletion, PROVED, "Have the account deleted"),
    api("DELETE", f"{BASE}/deletion", _call_off, OWN, "Keep the account after all"),
    api("POST", "/api/v1/contact", _contact, EVERYBODY, "Write to the operator", body=ContactMessage),
    api("POST", "/api/v1/child-reports", _report, EVERYBODY, "Report a child's account", body=ChildReport),
    api("GET", "/api/v1/retention", _retention, EVERYBODY, "How long each class of data is kept"),
    api("GET", "/api/v1/providers", _providers, EVERYBODY, "Who else receives data"),
    api("GET", "/api/v1/lawful-requests", _lawful, EVERYBODY, "Counts of authorities' requests, by year and kind"),
)
