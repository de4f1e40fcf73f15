"""The privacy centre: what a person can do about their own data, each page after proving who they are."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.portal.access import Rule
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.rights_bodies import Details, Objection, Restriction, Withdrawal
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused
from bootstrap.rights.archive import archive, collected
from bootstrap.rights.choices import (
    CONSENTS,
    OBJECTIONS,
    consents_of,
    object_to,
    objections_of,
    withdraw_consent,
    withdraw_objection,
)
from bootstrap.rights.deletion import (
    COOLING_OFF_S,
    Preview,
    ask_deletion,
    call_off_deletion,
    deletion_under_way,
    preview_deletion,
)
from bootstrap.rights.details import correct_details, lift_restriction, restrict
from bootstrap.rights.domains import DOMAINS
from bootstrap.rights.requests import (
    DAY_S,
    STATES,
    Event,
    Request,
    events_of,
    file_request,
    owner_of_request,
    request_of,
    requests_of,
)

__all__ = ["OWN", "PROVED", "ROUTES", "exported", "record_objection"]

OWN: Final = Rule(signed_in=True, settling=True, scope="rights")
"""Whoever has an account, also before accepting a new notice, and suspended or restricted, too."""
PROVED: Final = Rule(signed_in=True, settling=True, fresh=True, scope="rights")
OF_OWN_REQUEST: Final = Rule(signed_in=True, settling=True, owner=owner_of_request, scope="rights")
TITLES: Final = {domain.name: domain.title for domain in DOMAINS}

NOTICES.update(
    details_corrected="Corrected. The receipt is in your mail, and below.",
    data_restricted="Your data are kept and not used from now on.",
    data_used="Your data are used again.",
    objection_made="Done. The receipt is in your mail.",
    deletion_asked="Your account will be deleted. Until then you can call it off here.",
    deletion_called_off="Your account stays.",
)


@frozen
class _Overview:
    state: str
    requests: list[Request]
    deletion: Request | None


def _overview(transaction: Transaction, account_id: str) -> _Overview:
    row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
    assert row is not None
    return _Overview(row[0], requests_of(transaction, account_id), deletion_under_way(transaction, account_id))


async def _centre(visit: Visit) -> Response:
    overview = await visit.read(partial(_overview, account_id=visit.account_id))
    return visit.page("rights/centre.html", overview=overview, states=STATES, now_s=visit.now_s)


async def _data_form(visit: Visit) -> Response:
    return visit.page("rights/data_form.html")


async def _data(visit: Visit) -> Response:
    account_id, now_s = visit.account_id, visit.now_s
    await visit.write(partial(file_request, account_id=account_id, kind="access", now_s=now_s))
    everything = await visit.read(partial(collected, account_id=account_id, now_s=now_s))
    return visit.page("rights/data.html", everything=everything, titles=TITLES)


async def exported(visit: Visit) -> Response:
    """The ZIP with all data of whoever asks, which is kept nowhere."""
    account_id, now_s, pages = visit.account_id, visit.now_s, visit.office.pages
    await visit.write(partial(file_request, account_id=account_id, kind="portability", now_s=now_s))

    def pack(transaction: Transaction) -> bytes:
        everything = collected(transaction, account_id, now_s)
        return archive(everything, pages.text("rights/export.html", everything=everything, titles=TITLES))

    headers = {"content-disposition": 'attachment; filename="peernet-export.zip"'}
    return Response(await visit.read(pack), media_type="application/zip", headers=headers)


def _details_of(transaction: Transaction, account_id: str) -> Mapping[str, str]:
    row = transaction.row("SELECT display_name, profile FROM account WHERE id = :id", id=account_id)
    assert row is not None
    return {"display_name": row[0], "profile": row[1]}


async def _details_form(visit: Visit) -> Response:
    typed = await visit.read(partial(_details_of, account_id=visit.account_id))
    return visit.page("rights/details.html", refusal=None, typed=typed)


async def _details(visit: Visit) -> Response:
    try:
        body = visit.body(Details)
        await visit.write(
            partial(
                correct_details,
                account_id=visit.account_id,
                display_name=body.display_name,
                profile=body.profile,
                now_s=visit.now_s,
            )
        )
    except Refused as refusal:
        return visit.again("rights/details.html", refusal)
    return visit.go("/privacy", "details_corrected")


@frozen
class _Choices:
    state: str
    consents: frozenset[str]
    objections: frozenset[str]


def _choices_of(transaction: Transaction, account_id: str) -> _Choices:
    row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
    assert row is not None
    return _Choices(row[0], consents_of(transaction, account_id), objections_of(transaction, account_id))


async def _choices_form(visit: Visit) -> Response:
    return await _choices_page(visit, None)


async def _choices_page(visit: Visit, refusal: Refused | None) -> Response:
    values: dict[str, Any] = {
        "choices": await visit.read(partial(_choices_of, account_id=visit.account_id)),
        "consents": CONSENTS,
        "objections": OBJECTIONS,
    }
    if refusal is not None:
        return visit.again("rights/choices.html", refusal, **values)
    return visit.page("rights/choices.html", refusal=None, typed={}, **values)


def record_objection(transaction: Transaction, account_id: str, body: Objection, now_s: int) -> None:
    """Makes an objection, or takes it back."""
    if body.withdrawn:
        withdraw_objection(transaction, account_id, body.purpose, now_s=now_s)
    else:
        object_to(transaction, account_id, body.purpose, body.words, now_s=now_s)


def record_restriction(transaction: Transaction, account_id: str, body: Restriction, now_s: int) -> None:
    """Restricts the account, or lifts that."""
    (restrict if body.restricted else lift_restriction)(transaction, account_id, now_s=now_s)


async def _chosen(visit: Visit, act: Callable[[Transaction], object], notice: str) -> Response:
    try:
        await visit.write(act)
    except Refused as refusal:
        return await _choices_page(visit, refusal)
    return visit.go("/privacy/choices", notice)


async def _consent(visit: Visit) -> Response:
    body = visit.body(Withdrawal)
    act = partial(withdraw_consent, account_id=visit.account_id, purpose=body.purpose, now_s=visit.now_s)
    return await _chosen(visit, act, "saved")


async def _objection(visit: Visit) -> Response:
    body = visit.body(Objection)
    act = partial(record_objection, account_id=visit.account_id, body=body, now_s=visit.now_s)
    return await _chosen(visit, act, "saved" if body.withdrawn else "objection_made")


async def _restriction(visit: Visit) -> Response:
    body = visit.body(Restriction)
    act = partial(record_restriction, account_id=visit.account_id, body=body, now_s=visit.now_s)
    return await _chosen(visit, act, "data_restricted" if body.restricted else "data_used")


@frozen
class _Deletion:
    preview: Preview
    under_way: Request | None


def _deletion_of(transaction: Transaction, account_id: str) -> _Deletion:
    return _Deletion(preview_deletion(transaction, account_id), deletion_under_way(transaction, account_id))


async def _deletion_form(visit: Visit) -> Response:
    deletion = await visit.read(partial(_deletion_of, account_id=visit.account_id))
    return visit.page("rights/deletion.html", deletion=deletion, days=COOLING_OFF_S // DAY_S)


async def _deletion(visit: Visit) -> Response:
    await visit.write(partial(ask_deletion, account_id=visit.account_id, now_s=visit.now_s))
    return visit.go("/privacy", "deletion_asked")


async def _call_off(visit: Visit) -> Response:
    await visit.write(partial(call_off_deletion, account_id=visit.account_id, now_s=visit.now_s))
    return visit.go("/privacy", "deletion_called_off")


def _request_and_events(transaction: Transaction, request_id: str) -> tuple[Request, list[Event]]:
    request = request_of(transaction, request_id)
    return request, events_of(transaction, request)


async def _request(visit: Visit) -> Response:
    request, events = await visit.read(partial(_request_and_events, request_id=visit.parameters["request"]))
    return visit.page("rights/request.html", asked=request, events=events, states=STATES, now_s=visit.now_s)


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/privacy", _centre, OWN, "The privacy centre"),
    page("GET", "/privacy/data", _data_form, PROVED, "Ways to see what is held"),
    page("POST", "/privacy/data", _data, PROVED, "What is held"),
    page("POST", "/privacy/export", exported, PROVED, "All of it as one file"),
    page("GET", "/privacy/details", _details_form, PROVED, "What can be corrected"),
    page("POST", "/privacy/details", _details, PROVED, "Correct it", body=Details),
    page("GET", "/privacy/choices", _choices_form, PROVED, "Consents, objections, restriction"),
    page("POST", "/privacy/consent", _consent, PROVED, "Withdraw a consent", body=Withdrawal),
    page("POST", "/privacy/objection", _objection, PROVED, "Object to a use", body=Objection),
    page("POST", "/privacy/restriction", _restriction, PROVED, "Restrict the use, or lift that", body=Restriction),
    page("GET", "/privacy/deletion", _deletion_form, PROVED, "What deletion does"),
    page("POST", "/privacy/deletion", _deletion, PROVED, "Have the account deleted"),
    page("POST", "/privacy/deletion/call-off", _call_off, OWN, "Keep the account after all"),
    page("GET", "/privacy/requests/{request}", _request, OF_OWN_REQUEST, "One request and its log"),
)
