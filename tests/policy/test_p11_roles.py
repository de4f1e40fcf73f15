"""P11, access by role: what is for a role is not there for others, and nobody reaches another person's things."""

from pathlib import Path

from bootstrap.people.sessions import sessions_of
from bootstrap.people.visitor import ROLES
from bootstrap.portal.table import ROUTES
from tests.browsing import new_office
from tests.people_made import add_account, signed_in, token_for


async def test_what_is_for_a_role_is_not_there_for_others(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    people = {role: add_account(office.database, f"{role}@example.org", roles=[role]) for role in ROLES}
    people["person"] = add_account(office.database)
    desk = [route for route in ROUTES if route.rule.roles and route.method == "GET" and "{" not in route.path]
    assert {"/desk", "/desk/people", "/desk/access-log"} <= {route.path for route in desk}
    for role, account in people.items():
        async with signed_in(office, account) as browser:
            for route in desk:
                token = {}
                if route.kind == "api" and route.rule.scope:
                    token = {"authorization": f"Bearer {token_for(office, account, route.rule.scope)}"}
                answer = await browser.http.get(route.path, headers=token)
                assert (answer.status_code != 404) == (role in route.rule.roles), (role, route.path)
    office.database.close()


async def test_nobody_ends_another_persons_session(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    ann, eve = add_account(office.database), add_account(office.database, "eve@example.org", roles=ROLES)
    async with signed_in(office, ann) as mine, signed_in(office, eve) as other:
        [session] = office.database.read(lambda transaction: sessions_of(transaction, ann, office.now_s()))
        token = token_for(office, eve, "account", proved=True)
        path = f"/api/v1/sessions/{session.handle}"
        answer = await other.call("DELETE", path, authorization=f"Bearer {token}")
        assert answer.status_code == 404
        assert (await mine.http.get("/account")).status_code == 200
    office.database.close()
