"""The portal's frame: rules before handlers, tokens in forms, headers on everything, and clear refusals."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio
from attrs import frozen
from starlette.responses import Response

from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.access import EVERYBODY, SIGNED_IN, Rule, owned, with_role
from bootstrap.portal.app import Portal
from bootstrap.portal.bodies import text, whole
from bootstrap.portal.jobs import Job, run_jobs
from bootstrap.portal.office import Office
from bootstrap.portal.routes import Page, api, page
from bootstrap.portal.visit import SESSION_COOKIE, Visit
from bootstrap.refusal import Refused
from tests.browsing import ORIGIN, Browser, new_office

FROM = Origin("203.0.113.0/24", "Firefox")


@frozen
class Thing:
    name: str = text(at_most=10)
    count: int = whole(at_least=1, at_most=9)


async def show(visit: Visit) -> Response:
    return visit.page("home.html", figures=None)


async def take(visit: Visit) -> Response:
    body = visit.body(Thing)
    return visit.json({"name": body.name, "count": body.count, "by": visit.visitor.account_id})


async def break_(_: Visit) -> Response:
    raise RuntimeError("secret text")


async def full(_: Visit) -> Response:
    raise Refused("there is no room", reason="full", field="name")


ROUTES = (
    page("GET", "/", show, EVERYBODY, "home"),
    page("GET", "/mine", show, SIGNED_IN, "mine"),
    page("GET", "/desk", show, with_role("operator"), "desk"),
    page("GET", "/careful", show, Rule(signed_in=True, fresh=True), "careful"),
    page("GET", "/things/{thing}", show, owned(lambda _, path: path["thing"]), "a thing"),
    page("POST", "/take", take, EVERYBODY, "take", body=Thing),
    page("GET", "/broken", break_, EVERYBODY, "broken"),
    api("POST", "/api/take", take, EVERYBODY, "take", body=Thing),
    api("GET", "/api/mine", full, SIGNED_IN, "mine"),
    api("GET", "/api/full", full, EVERYBODY, "full"),
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def portal(office: Office) -> Portal:
    return Portal(office, ROUTES)


def signed_in(
    office: Office, account: str = "ann", roles: tuple[str, ...] = (), state: str = "active", notice: str | None = None
) -> str:
    def work(transaction):
        transaction.execute(
            "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s,"
            " notice_version, notice_at_s) VALUES (:id, :id, :id, :id, '', :state, 1, :notice, 1)",
            id=account,
            state=state,
            notice=office.notice_version if notice is None else notice,
        )
        for role in roles:
            transaction.execute("INSERT INTO account_role VALUES (:id, :role, 1)", id=account, role=role)
        return begin_session(transaction, account, FROM, office.now_s())

    return office.database.write(work)


async def browse(portal: Portal, secret: str | None = None) -> Browser:
    browser = Browser(portal)
    if secret is not None:
        browser.http.cookies.set(SESSION_COOKIE, secret)
    return browser


async def token_of(browser: Browser) -> str:
    """What a form of the first page carries."""
    await browser.open("/mine")
    return next(line for line in browser.page.text.split('"') if len(line) == 64)


async def test_a_page_carries_the_headers_that_keep_others_out(portal: Portal):
    browser = await browse(portal)
    answer = await browser.open("/")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    missing = await browser.open("/nowhere")
    assert missing.status_code == 404
    assert "content-security-policy" in missing.headers
    assert "strict-transport-security" not in answer.headers


async def test_under_tls_browsers_are_told_to_stay_there(tmp_path: Path):
    office = new_office(tmp_path, public_url=ORIGIN.replace("http:", "https:"))
    browser = await browse(Portal(office, ROUTES))
    answer = await browser.http.get("/")
    assert "strict-transport-security" in answer.headers
    assert "Secure" in answer.headers["set-cookie"]
    office.database.close()


async def test_whoever_is_not_signed_in_is_sent_to_sign_in(portal: Portal):
    browser = await browse(portal)
    answer = await browser.http.get("/mine")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/mine")
    assert (await browser.call("GET", "/api/mine")).status_code == 401


async def test_a_session_is_the_person(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    assert (await browser.open("/mine")).status_code == 200
    assert "ann" in browser.text
    assert (await (await browse(portal, "made up")).http.get("/mine")).status_code == 303


@pytest.mark.parametrize(("roles", "status"), [((), 404), (("host",), 404), (("operator",), 200)])
async def test_a_role_is_asked_for_and_others_learn_nothing(office: Office, portal: Portal, roles, status: int):
    browser = await browse(portal, signed_in(office, roles=roles))
    assert (await browser.open("/desk")).status_code == status


async def test_other_peoples_things_are_not_there(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    assert (await browser.open("/things/ann")).status_code == 200
    assert (await browser.open("/things/bob")).status_code == 404


@pytest.mark.parametrize(("state", "notice", "there"), [("unverified", None, "/verify"), ("active", "old", "/notice")])
async def test_who_has_something_to_do_first_is_sent_there(office: Office, portal: Portal, state, notice, there):
    browser = await browse(portal, signed_in(office, state=state, notice=notice))
    answer = await browser.http.get("/mine")
    assert answer.headers["location"].startswith(there)


async def test_what_is_grave_asks_again_who_it_is(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    assert (await browser.http.get("/careful")).status_code == 200
    office.database.write(lambda transaction: transaction.execute("UPDATE session SET proved_at_s = 1"))
    assert (await browser.http.get("/careful")).headers["location"] == "/prove?next=/careful"


async def test_a_form_needs_its_token(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    token = await token_of(browser)
    values = {"name": "x", "count": "3"}
    assert (await browser.http.post("/take", data=values)).status_code == 403
    assert (await browser.http.post("/take", data={**values, "csrf_token": token})).status_code == 200
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = await browser.http.post("/take", data={**values, "csrf_token": token}, headers=headers)
        assert answer.status_code == 403
    # Another browser's token, and one of this browser without its session, are none of ours.
    other = await browse(portal, signed_in(office, "bob"))
    assert (await browser.http.post("/take", data={**values, "csrf_token": await token_of(other)})).status_code == 403
    browser.http.cookies.delete(SESSION_COOKIE)
    assert (await browser.http.post("/take", data={**values, "csrf_token": token})).status_code == 403


async def test_a_form_says_which_field_is_wrong(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    token = await token_of(browser)
    for values, said in (
        ({"name": "x"}, "“count” is missing"),
        ({"name": "x", "count": "many"}, "whole number"),
        ({"name": "x" * 11, "count": "3"}, "at most 10 characters"),
    ):
        browser.page = await browser.http.post("/take", data={**values, "csrf_token": token})
        assert browser.page.status_code == 422
        assert said in browser.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "no JSON object"),
        (b"{", "not JSON"),
        (b'{"name": "x", "count": 3, "more": 1}', "no field 'more'"),
        (b'{"name": "x", "count": "3"}', "not what belongs there"),
        (b'{"name": "x", "count": true}', "not what belongs there"),
        (b'{"name": "x", "count": 10}', "between 1 and 9"),
        (b'{"name": "\\u0000", "count": 3}', "characters that do not belong there"),
        (b'{"name": "x", "count": NaN}', "not JSON"),
        (b"[" * 5000, "not JSON"),
    ],
)
async def test_the_api_takes_no_other_json(office: Office, portal: Portal, body: bytes, said: str):
    browser = await browse(portal, signed_in(office))
    headers = {"content-type": "application/json", "x-csrf-token": await token_of(browser)}
    answer = await browser.http.post("/api/take", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


async def test_a_cookie_alone_does_not_use_the_api(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    await browser.open("/")
    assert (await browser.call("POST", "/api/take", {"name": "x", "count": 1})).status_code == 403


async def test_a_refusal_of_the_api_is_a_problem(portal: Portal):
    browser = await browse(portal)
    answer = await browser.call("GET", "/api/full")
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "about:blank", "title": "Conflict", "status": 409, "detail": "there is no room", "reason": "full",
        "field": "name",
    }  # fmt: skip


async def test_a_large_body_is_refused_before_it_is_read_whole(portal: Portal):
    sent = 0
    answers = []

    async def endless():
        nonlocal sent
        sent += 10_000
        return {"type": "http.request", "body": b"x" * 10_000, "more_body": sent < 50_000_000}

    async def answer(message):
        answers.append(message)

    headers = [(b"host", b"127.0.0.1:8470"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/take", "headers": headers, "query_string": b""}
    await portal(scope, endless, answer)
    assert answers[0]["status"] == 413
    assert sent < 200_000


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:8470.evil.example", "127.0.0.1"])
async def test_a_strangers_host_name_is_not_ours(portal: Portal, host: str):
    browser = await browse(portal)
    answer = await browser.http.get("/", headers={"host": host})
    assert answer.status_code == 421


async def test_what_breaks_is_counted_and_says_nothing(office: Office, portal: Portal):
    browser = await browse(portal)
    with structlog.testing.capture_logs() as logs:
        answer = await browser.http.get("/broken")
    assert answer.status_code == 500
    assert office.metrics.crashes == {("request", "RuntimeError"): 1}
    assert "secret" not in answer.text + repr(logs)


async def test_another_method_is_told_so(portal: Portal):
    browser = await browse(portal)
    answer = await browser.http.delete("/take")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_session_is_rotated_and_the_old_secret_dies(office: Office, portal: Portal):
    start = office.now_s()
    first = signed_in(office)
    browser = await browse(portal, first)
    office.now_s = lambda: start + 16 * 60
    await browser.open("/mine")
    second = browser.http.cookies.get(SESSION_COOKIE, domain="127.0.0.1")
    assert second not in {None, first}
    old = await browse(portal, first)
    assert (await old.http.get("/mine")).status_code == 200  # for what was under way
    office.now_s = lambda: start + 18 * 60
    assert (await old.http.get("/mine")).status_code == 303
    assert (await (await browse(portal, second)).http.get("/mine")).status_code == 200


async def test_a_session_ends_by_itself(office: Office, portal: Portal):
    start = office.now_s()
    browser = await browse(portal, signed_in(office))
    office.now_s = lambda: start + 13 * 3600
    assert (await browser.http.get("/mine")).status_code == 303


def test_a_route_without_its_own_kind_is_none():
    with pytest.raises(ValueError, match="below /api/"):
        api("GET", "/mine", show, SIGNED_IN, "mine")
    with pytest.raises(ValueError, match="not a rule"):
        Rule(signed_in=False, roles=frozenset({"operator"}))


def test_two_routes_of_one_path_and_method_are_refused(office: Office):
    with pytest.raises(ValueError, match="two routes"):
        Portal(office, (*ROUTES, Page("GET", "/", show, EVERYBODY, "page", "again")))


async def test_what_is_counted_names_routes_and_nobody(office: Office, portal: Portal):
    from prometheus_client import CollectorRegistry, generate_latest

    browser = await browse(portal, signed_in(office))
    await browser.open("/things/ann")
    await browser.open("/things/bob")
    registry = CollectorRegistry()
    registry.register(office.metrics)
    text = generate_latest(registry).decode()
    assert 'peernet_portal_requests_total{method="GET",route="/things/{thing}",status="200"} 1.0' in text
    assert 'peernet_portal_requests_total{method="GET",route="/things/{thing}",status="404"} 1.0' in text
    assert "peernet_portal_request_seconds_count 2.0" in text
    assert "ann" not in text


async def test_a_job_that_breaks_is_counted_and_runs_again(office: Office, autojump_clock: object):
    runs = []

    async def job(_: Office) -> None:
        runs.append(trio.current_time())
        raise RuntimeError("secret text")

    with trio.move_on_after(25), structlog.testing.capture_logs() as logs:
        await run_jobs(office, (Job("it", 10.0, job),))
    assert len(runs) == 3
    assert office.metrics.crashes == {("it", "RuntimeError"): 3}
    assert "secret" not in repr(logs)


async def test_a_browser_gets_a_page_when_something_breaks_and_says_nothing_of_it(portal: Portal):
    browser = await browse(portal)
    for path, host, status in (("/broken", "127.0.0.1:8470", 500), ("/", "evil.example", 421)):
        answer = await browser.http.get(path, headers={"accept": "text/html", "host": host})
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert "content-security-policy" in answer.headers
        assert "secret" not in answer.text
        assert "RuntimeError" not in answer.text


async def test_who_loses_the_way_keeps_the_menu(office: Office, portal: Portal):
    browser = await browse(portal, signed_in(office))
    assert (await browser.open("/nowhere")).status_code == 404
    assert "Sign out" in browser.text
