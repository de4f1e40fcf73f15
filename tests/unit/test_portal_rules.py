"""Every route of the portal and the API keeps its rule, for every role and every kind of thing.

The tests are made from the table of routes: a route that is added is tried, too.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.people.roles import give_role
from bootstrap.people.tokens import SCOPES
from bootstrap.people.visitor import ROLES
from bootstrap.portal.app import Portal
from bootstrap.portal.crossing import FORM_COOKIE, TOKEN_FIELD, TOKEN_HEADER
from bootstrap.portal.office import Office
from bootstrap.portal.routes import Page
from bootstrap.portal.serving import portal_of
from bootstrap.portal.table import ROUTES
from bootstrap.portal.visit import SESSION_COOKIE
from tests.browsing import ORIGIN, new_office
from tests.people_made import add_account, signed_in, token_for
from tests.portal_things import PUBLIC_PATHS, THINGS

PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
NOBODYS_ID = "a" * 24


def name_of(route: Page) -> str:
    return f"{route.method} {route.path}"


def every(routes) -> pytest.MarkDecorator:
    found = list(routes)
    assert found
    return pytest.mark.parametrize("route", found, ids=name_of)


def parameters_of(route: Page) -> list[str]:
    return PARAMETER.findall(route.path)


@frozen
class Cast:
    """One person of each kind, and somebody whose things the others are after."""

    office: Office
    portal: Portal
    people: dict[str, str]
    """From the role (`person` for none) to the account."""
    owner: str

    def path(self, route: Page, owner: str | None = None) -> str:
        """The route's path to a thing of `owner`, or to what is not there."""

        def fill(found: re.Match[str]) -> str:
            if owner is None:
                return NOBODYS_ID
            return (THINGS.get(route.path) or THINGS[found[1]])(self.office, owner)

        return PARAMETER.sub(fill, route.path)

    async def call(
        self, route: Page, path: str, account: str | None = None, *, token: str = "", crossing: bool = True
    ) -> httpx.Response:
        """A request with an empty body, as this person's browser, or as a program with a token."""
        transport = httpx.ASGITransport(self.portal, client=("203.0.113.7", 4711))
        cookies = {FORM_COOKIE: "form"}
        handle = None
        if account is not None:
            secret = signed_in(self.office, account).http.cookies[SESSION_COOKIE]
            cookies[SESSION_COOKIE] = secret
            handle = self.office.database.read(
                lambda transaction: transaction.rows("SELECT handle, id FROM session ORDER BY rowid")
            )[-1][0]
        shown = self.office.guard.token("form", handle) if crossing else ""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies, headers=headers) as http:
            if route.method == "GET":
                return await http.get(path)
            if route.kind == "page":
                return await http.request(route.method, path, data={TOKEN_FIELD: shown, "x": "y"})
            return await http.request(route.method, path, json={}, headers={TOKEN_HEADER: shown})


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    folder: Path = tmp_path_factory.mktemp("rules")
    office = new_office(folder)
    start = office.now_s()
    office.now_s = lambda: start
    people = {
        role: add_account(office.database, f"{role}@example.org", roles=() if role == "person" else (role,))
        for role in ("person", *ROLES)
    }
    yield Cast(office, portal_of(office), people, add_account(office.database, "owner@example.org", roles=ROLES))
    office.database.close()


@pytest.fixture
async def fresh(cast: Cast) -> AsyncIterator[Cast]:
    """The cast, as it was at the beginning: a request may have ended or changed something."""
    yield cast

    def restore(transaction: Transaction) -> None:
        for table in ("attempt_count", "session", "api_token"):
            transaction.execute(f"DELETE FROM {table}")
        transaction.execute("UPDATE account SET state = 'active' WHERE state = 'suspended'")
        for role in ROLES:
            for account in (cast.owner, cast.people[role]):
                give_role(transaction, account, role, 1, by=None)

    cast.office.database.write(restore)


def is_guarded(route: Page) -> bool:
    return route.rule.signed_in


def test_a_route_with_parameters_has_an_owner_or_a_role():
    named = [route for route in ROUTES if parameters_of(route) and route.path not in PUBLIC_PATHS]
    assert [name_of(route) for route in named if route.rule.owner is None and not route.rule.roles] == []


def test_whatever_is_decided_about_others_is_asked_for_again():
    looks = {"/desk/people", "/api/v1/desk/people/search"}
    acts = [route for route in ROUTES if route.rule.roles and route.method != "GET" and route.path not in looks]
    assert len(acts) > 30
    assert [name_of(route) for route in acts if not route.rule.fresh] == []


def test_whatever_cannot_be_undone_is_asked_for_again():
    grave = re.compile(
        r"(/privacy/(data|export|details|choices|consent|objection|restriction|deletion)|/payouts|/payee)$"
    )
    acts = [route for route in ROUTES if grave.search(route.path) and route.rule.signed_in]
    # To call a deletion off is to keep what there is.
    late = [name_of(route) for route in acts if not route.rule.fresh and route.method in {"POST", "PUT"}]
    assert late == []
    assert len(acts) > 15


def test_whoever_is_suspended_or_restricted_begins_nothing_about_money():
    begins = re.compile(r"(/api/v1/credits/withdrawals|(/api/v1)?/(purchases|subscriptions|codes|payouts|payee))")
    acts = [route for route in ROUTES if begins.fullmatch(route.path) and route.method == "POST"]
    assert len(acts) == 11
    assert [name_of(route) for route in acts if route.rule.restricted] == []


def test_auditors_decide_nothing_about_money_hosts_and_people():
    """They answer requests about data, and close what an operator has entered."""
    theirs = {route.path for route in ROUTES if "auditor" in route.rule.roles and route.method != "GET"}
    assert [path for path in theirs if not path.startswith(("/desk/privacy/", "/desk/lawful-requests/"))] == []


def test_everything_that_a_path_names_can_be_made():
    missing = {
        (name, route.path)
        for route in ROUTES
        for name in parameters_of(route)
        if name not in THINGS and route.path not in THINGS and route.path not in PUBLIC_PATHS
    }
    assert missing == set(), "say in tests/portal_things.py how to make one"


def test_paths_that_are_public_are_so():
    assert PUBLIC_PATHS.keys() <= {route.path for route in ROUTES if not is_guarded(route)}


@every(route for route in ROUTES if is_guarded(route))
async def test_a_stranger_is_sent_to_sign_in(fresh: Cast, route: Page):
    answer = await fresh.call(route, fresh.path(route, fresh.owner))
    if route.kind == "api":
        assert answer.status_code == 401
    else:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=")


@every(route for route in ROUTES if route.rule.owner is not None)
async def test_other_peoples_things_are_nowhere_whatever_ones_role(fresh: Cast, route: Page):
    path = fresh.path(route, fresh.owner)
    for role, account in fresh.people.items():
        answer = await fresh.call(route, path, account)
        assert answer.status_code == 404, role
        missing = await fresh.call(route, fresh.path(route), account)
        # What is not theirs looks like what is not there.
        assert (missing.status_code, len(missing.text)) == (404, len(answer.text)), role
    answer = await fresh.call(route, path, fresh.owner)
    assert answer.status_code not in {401, 404}, answer.text


@every(route for route in ROUTES if route.rule.roles)
async def test_without_the_role_there_is_nothing(fresh: Cast, route: Page):
    path = fresh.path(route, fresh.owner)
    for role, account in fresh.people.items():
        answer = await fresh.call(route, path, account)
        assert (answer.status_code == 404) == (role not in route.rule.roles), (role, answer.text)


@every(route for route in ROUTES if route.rule.roles)
async def test_whoever_is_suspended_has_no_desk(fresh: Cast, route: Page):
    path = fresh.path(route, fresh.owner)
    account = fresh.people[sorted(route.rule.roles)[-1]]
    fresh.office.database.write(
        lambda transaction: transaction.execute("UPDATE account SET state = 'suspended' WHERE id = :id", id=account)
    )
    answer = await fresh.call(route, path, account)
    assert answer.status_code == 403, answer.text


@every(route for route in ROUTES if route.kind == "page" and route.method != "GET")
async def test_a_form_of_another_site_does_nothing(fresh: Cast, route: Page):
    path = fresh.path(route, fresh.owner)
    answer = await fresh.call(route, path, fresh.owner if is_guarded(route) else None, crossing=False)
    assert answer.status_code == 403
    assert "load it again" in answer.text


@every(route for route in ROUTES if route.kind == "api" and route.method != "GET" and is_guarded(route))
async def test_a_sessions_cookie_alone_changes_nothing_over_the_api(fresh: Cast, route: Page):
    answer = await fresh.call(route, fresh.path(route, fresh.owner), fresh.owner, crossing=False)
    assert (answer.status_code, answer.json()["reason"]) == (403, "crossed")


@every(route for route in ROUTES if is_guarded(route) and route.kind == "api")
async def test_a_token_for_something_else_does_nothing(fresh: Cast, route: Page):
    others = set(SCOPES) - {route.rule.scope}
    token = token_for(fresh.office, fresh.owner, *others, proved=True)
    answer = await fresh.call(route, fresh.path(route, fresh.owner), token=token)
    assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden_scope")


@every(route for route in ROUTES if route.kind == "api" and route.rule.scope is not None)
async def test_a_token_reaches_its_own_persons_things_alone(fresh: Cast, route: Page):
    scope = route.rule.scope or ""
    if route.rule.owner is not None:
        for account in fresh.people.values():
            token = token_for(fresh.office, account, scope, proved=True)
            answer = await fresh.call(route, fresh.path(route, fresh.owner), token=token)
            assert answer.status_code == 404
    token = token_for(fresh.office, fresh.owner, scope, proved=True)
    answer = await fresh.call(route, fresh.path(route, fresh.owner), token=token)
    assert answer.status_code not in {401, 404}, answer.text


@every(route for route in ROUTES if route.rule.fresh)
async def test_what_is_grave_is_asked_for_again(fresh: Cast, route: Page):
    start = fresh.office.now_s()
    path = fresh.path(route, fresh.owner)
    # A session of an hour ago, which is still in use.
    try:
        fresh.office.now_s = lambda: start - 3600
        secret = signed_in(fresh.office, fresh.owner).http.cookies[SESSION_COOKIE]
    finally:
        fresh.office.now_s = lambda: start
    transport = httpx.ASGITransport(fresh.portal)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies={SESSION_COOKIE: secret}) as http:
        answer = await http.request(route.method, path)
    if route.kind == "api":
        assert (answer.status_code, answer.json()["reason"]) == (403, "prove_again")
    else:
        assert answer.headers["location"].startswith("/prove?next=")
