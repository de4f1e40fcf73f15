"""The desk's pages about people, for operators: roles, suspensions; and the access log, for auditors as well.

An operator sees of a person what the work needs: the random id, the state, the roles. Looking is noted.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Row, Transaction
from bootstrap.people import accounts
from bootstrap.people.access_log import accesses, note_access
from bootstrap.people.accounts import account_by_address, account_of
from bootstrap.people.addresses import parse_address
from bootstrap.people.roles import roles_of, set_roles
from bootstrap.people.visitor import ROLES
from bootstrap.portal.access import with_role
from bootstrap.portal.account_pages import before_of
from bootstrap.portal.bodies import many, text
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, api, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import NotFound, Refused

__all__ = ["ROUTES"]

MOST_SHOWN: Final = 500
OPERATORS: Final = with_role("operator")
CAREFUL: Final = with_role("operator", fresh=True)
READERS: Final = with_role("operator", "auditor")

NOTICES.update(
    roles_saved="The roles are saved, and the person is told.",
    account_suspended="The account is suspended, and the person is told why.",
    account_restored="The account works again, and the person is told.",
)


@frozen
class _Email:
    email: str = text(at_most=320, at_least=1)


@frozen
class _Roles:
    roles: tuple[str, ...] = many(at_most=len(ROLES), each_at_most=20, default=())


@frozen
class _Reason:
    reason: str = text(at_most=1000, at_least=10)


def _people_with_roles(transaction: Transaction) -> list[Row]:
    return transaction.rows(
        "SELECT account.id, account.display_name, account.state, account_role.role FROM account_role"
        " JOIN account ON account.id = account_role.account_id ORDER BY account_role.role, account.id LIMIT :most",
        most=MOST_SHOWN,
    )


def _look(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    """What the desk shows of a person; that it did is noted."""
    account = account_of(transaction, visit.parameters["account"])
    note_access(
        transaction, "account_viewed", now_s=visit.now_s, by=visit.account_id, about=account.id, origin=visit.origin
    )
    return {
        "id": account.id,
        "display_name": account.display_name,
        "state": account.state,
        "created_at_s": account.created_at_s,
        "roles": sorted(roles_of(transaction, account.id)),
    }


def _find(transaction: Transaction, visit: Visit, given: str) -> str:
    """The id of the account with an address; that somebody looked is noted."""
    address = parse_address(given)
    account = account_by_address(transaction, address.key)
    if account is None:
        raise Refused("no account has this address", reason="not_found", field="email")
    note_access(
        transaction, "account_looked_up", now_s=visit.now_s, by=visit.account_id, about=account.id,
        origin=visit.origin,
    )  # fmt: skip
    return account.id


def _give(transaction: Transaction, visit: Visit, body: _Roles) -> None:
    account = account_of(transaction, visit.parameters["account"])
    if set(body.roles) - set(ROLES):
        raise Refused(f"a role is one of {', '.join(ROLES)}", reason="bad_body", field="roles")
    if account.state != "active":
        raise Refused(f"this account is {account.state}, and gets no role", reason="not_active", field="roles")
    wanted, by = frozenset(body.roles), visit.account_id
    if set_roles(transaction, account.id, wanted, visit.now_s, by=by, origin=visit.origin):
        visit.office.letters.roles_changed(transaction, account.email, visit.now_s)


def _suspend(transaction: Transaction, visit: Visit, body: _Reason) -> None:
    letters, account_id = visit.office.letters, visit.parameters["account"]
    accounts.suspend_account(
        transaction, letters, account_id, body.reason, visit.now_s, by=visit.account_id, origin=visit.origin
    )


def _restore(transaction: Transaction, visit: Visit) -> None:
    letters, account_id = visit.office.letters, visit.parameters["account"]
    accounts.restore_account(transaction, letters, account_id, visit.now_s, by=visit.account_id, origin=visit.origin)


async def _people(visit: Visit) -> Response:
    people = await visit.read(_people_with_roles)
    return visit.page("people/desk_people.html", people=people, refusal=None, typed={})


async def _look_up(visit: Visit) -> Response:
    try:
        account_id = await visit.write(partial(_find, visit=visit, given=visit.body(_Email).email))
    except Refused as refusal:
        people = await visit.read(_people_with_roles)
        return visit.again("people/desk_people.html", refusal, people=people)
    return visit.go(f"/desk/people/{account_id}")


async def _person(visit: Visit) -> Response:
    person = await visit.write(partial(_look, visit=visit))
    return visit.page("people/desk_person.html", person=person, roles=ROLES, refusal=None, typed={})


async def _again(visit: Visit, refusal: Refused) -> Response:
    person = await visit.write(partial(_look, visit=visit))
    return visit.again("people/desk_person.html", refusal, person=person, roles=ROLES)


async def _change_roles(visit: Visit) -> Response:
    try:
        await visit.write(partial(_give, visit=visit, body=visit.body(_Roles)))
    except NotFound:
        raise
    except Refused as refusal:
        return await _again(visit, refusal)
    return visit.go(f"/desk/people/{visit.parameters['account']}", "roles_saved")


async def _suspend_one(visit: Visit) -> Response:
    try:
        await visit.write(partial(_suspend, visit=visit, body=visit.body(_Reason)))
    except NotFound:
        raise
    except Refused as refusal:
        return await _again(visit, refusal)
    return visit.go(f"/desk/people/{visit.parameters['account']}", "account_suspended")


async def _restore_one(visit: Visit) -> Response:
    await visit.write(partial(_restore, visit=visit))
    return visit.go(f"/desk/people/{visit.parameters['account']}", "account_restored")


def _read_log(transaction: Transaction, visit: Visit) -> list[dict[str, Any]]:
    """A page of the access log; that somebody read it is noted."""
    about, by = (_id_in(visit.query, name) for name in ("about", "by"))
    lines = accesses(transaction, about=about, by=by, before=before_of(visit))
    note_access(
        transaction, "access_log_viewed", now_s=visit.now_s, by=visit.account_id, about=about or None,
        origin=visit.origin,
    )  # fmt: skip
    return [
        {
            "id": line.id,
            "at_s": line.at_s,
            "action": line.action,
            "says": line.says,
            "by": line.by_account_id,
            "about": line.about_account_id,
            "thing": line.thing,
        }
        for line in lines
    ]


def _id_in(query: Mapping[str, str], name: str) -> str:
    given = query.get(name, "")
    return given if len(given) <= 40 and given.isascii() and given.isalnum() else ""


async def _log(visit: Visit) -> Response:
    lines = await visit.write(partial(_read_log, visit=visit))
    about, by = (_id_in(visit.query, name) for name in ("about", "by"))
    return visit.page("people/desk_log.html", lines=lines, about=about, by=by)


async def _api_log(visit: Visit) -> Response:
    return visit.json({"lines": await visit.write(partial(_read_log, visit=visit))})


async def _api_look_up(visit: Visit) -> Response:
    return visit.json({"account": await visit.write(partial(_find, visit=visit, given=visit.body(_Email).email))})


async def _api_person(visit: Visit) -> Response:
    return visit.json(await visit.write(partial(_look, visit=visit)))


async def _api_roles(visit: Visit) -> Response:
    await visit.write(partial(_give, visit=visit, body=visit.body(_Roles)))
    return visit.json({"roles": sorted(visit.body(_Roles).roles)})


async def _api_suspend(visit: Visit) -> Response:
    await visit.write(partial(_suspend, visit=visit, body=visit.body(_Reason)))
    return visit.json({"state": "suspended"})


async def _api_restore(visit: Visit) -> Response:
    await visit.write(partial(_restore, visit=visit))
    return visit.json({"state": "active"})


_BY_TOKEN: Final = with_role("operator", scope="desk")
_CAREFUL_BY_TOKEN: Final = with_role("operator", fresh=True, scope="desk")
_READERS_BY_TOKEN: Final = with_role("operator", "auditor", scope="desk")
_API: Final = "/api/v1/desk/people"

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/desk/people", _people, OPERATORS, "People with roles"),
    page("POST", "/desk/people", _look_up, OPERATORS, "Find an account by its address", body=_Email),
    page("GET", "/desk/people/{account}", _person, OPERATORS, "An account"),
    page("POST", "/desk/people/{account}/roles", _change_roles, CAREFUL, "Give and take roles", body=_Roles),
    page("POST", "/desk/people/{account}/suspend", _suspend_one, CAREFUL, "Suspend an account", body=_Reason),
    page("POST", "/desk/people/{account}/restore", _restore_one, CAREFUL, "End a suspension"),
    page("GET", "/desk/access-log", _log, READERS, "Who looked at what"),
    api("POST", f"{_API}/search", _api_look_up, _BY_TOKEN, "Find an account by its address", body=_Email),
    api("GET", f"{_API}/{{account}}", _api_person, _BY_TOKEN, "An account"),
    api("PUT", f"{_API}/{{account}}/roles", _api_roles, _CAREFUL_BY_TOKEN, "Give and take roles", body=_Roles),
    api("POST", f"{_API}/{{account}}/suspend", _api_suspend, _CAREFUL_BY_TOKEN, "Suspend an account", body=_Reason),
    api("POST", f"{_API}/{{account}}/restore", _api_restore, _CAREFUL_BY_TOKEN, "End a suspension"),
    api("GET", "/api/v1/desk/access-log", _api_log, _READERS_BY_TOKEN, "Who looked at what"),
)
