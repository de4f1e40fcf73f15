"""The privacy centre, the desk and the public pages: what they do, for whom, and after which proof."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import jsonschema_rs
import pytest

from bootstrap import portal
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import erase_due, purge_old, tell_of_new_notice
from bootstrap.portal.rights_public import POLICIES, ROUTES
from bootstrap.portal.visit import SESSION_COOKIE
from bootstrap.retention.classes import CLASSES
from bootstrap.rights.deletion import COOLING_OFF_S
from tests.accounts import make_account, make_host
from tests.browsing import ORIGIN, Browser, new_office

NOW = 1_795_000_000
FROM = Origin("203.0.113.0/24", "Firefox")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW
    yield made
    made.database.close()


def signed_in(office: Office, account: str, *, proved: bool = True) -> Browser:
    secret = office.database.write(lambda transaction: begin_session(transaction, account, FROM, NOW))
    if not proved:
        office.database.write(lambda transaction: transaction.execute("UPDATE session SET proved_at_s = 1"))
    browser = Browser(office)
    browser.http.cookies.set(SESSION_COOKIE, secret)
    return browser


def one(office: Office, sql: str):
    row = office.database.read(lambda transaction: transaction.row(sql))
    assert row is not None
    return row[0] if len(row) == 1 else row


async def api(browser: Browser, method: str, path: str, body: object = None):
    """A call of the API with the browser's session."""
    page = await browser.open("/privacy")
    token = page.text.partition('name="csrf_token" value="')[2][:64]
    return await browser.call(method, path, body, x_csrf_token=token, origin=ORIGIN)


@pytest.mark.parametrize("path", [route.path for route in ROUTES if route.method == "GET"])
async def test_public_pages_are_for_everybody(office: Office, path: str):
    assert (await Browser(office).open(path)).status_code == 200


async def test_the_notice_says_what_people_must_know(office: Office):
    browser = Browser(office)
    await browser.open("/policies/privacy")
    for words in ("13 years", "can read the masked fragment", "not perfect", "in force", "data protection authority"):
        assert words in browser.text
    for policy in POLICIES:
        for version in policy.versions:
            assert (await browser.open(f"{policy.path}/{version}")).status_code == 200


async def test_the_notice_names_every_cookie(office: Office):
    sources = [path.read_text() for path in Path(portal.__file__).parent.glob("*.py")]
    cookies = {name for text in sources for name in re.findall(r'COOKIE: Final = "([a-z-]+)"', text)}
    assert len(cookies) == 4
    browser = Browser(office)
    await browser.open("/policies/privacy")
    assert [name for name in cookies if f"<code>{name}</code>" not in browser.page.text] == []


async def test_the_notice_in_force_is_the_newest_one(office: Office):
    assert office.notice_version == POLICIES[0].versions[0]


async def test_the_retention_page_has_every_class_and_the_operators_periods(office: Office):
    office.periods = {**office.periods, "usage": 30 * 86400}
    browser = Browser(office)
    await browser.open("/retention")
    for each in CLASSES.values():
        assert each.reason in unescape(browser.text)
    assert "Usage 30 days" in browser.text


async def test_the_providers_are_those_of_this_operator(tmp_path: Path):
    office = new_office(tmp_path, mail_provider="Post Ltd, Ireland")
    browser = Browser(office)
    await browser.open("/providers")
    assert "Post Ltd" in browser.text
    assert "Ireland" in browser.text
    assert "The operator itself" in browser.text
    office.database.close()


GRAVE = (
    "/privacy/data",
    "/privacy/details",
    "/privacy/choices",
    "/privacy/deletion",
)


@pytest.mark.parametrize("path", GRAVE)
async def test_rights_ask_who_it_is(office: Office, path: str):
    browser = signed_in(office, make_account(office.database), proved=False)
    assert (await browser.http.get(path)).headers["location"] == f"/prove?next={path}"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "data", None),
        ("POST", "export", None),
        ("PUT", "details", {"display_name": "x"}),
        ("POST", "consent-withdrawals", {"purpose": "host_name"}),
        ("PUT", "objections", {"purpose": "usage_figures"}),
        ("PUT", "restriction", {"restricted": True}),
        ("POST", "deletion", None),
    ],
)
async def test_rights_over_the_api_ask_who_it_is(office: Office, method: str, path: str, body):
    browser = signed_in(office, make_account(office.database), proved=False)
    answer = await api(browser, method, f"/api/v1/privacy/{path}", body)
    assert (answer.status_code, answer.json()["reason"]) == (403, "prove_again")
    assert one(office, "SELECT count(*) FROM rights_request") == 0


@pytest.mark.parametrize(("state", "notice"), [("suspended", "2026-11"), ("restricted", "2026-11"), ("active", "old")])
async def test_whoever_is_shut_out_still_has_rights(office: Office, state: str, notice: str):
    browser = signed_in(office, make_account(office.database, state=state, notice=notice))
    for path in ("/privacy", *GRAVE):
        assert (await browser.http.get(path)).status_code == 200
    await browser.open("/privacy/data")
    assert (await browser.submit("/privacy/export")).headers["content-type"] == "application/zip"


async def test_what_is_held_is_shown_and_said_to_be_shown(office: Office):
    ann = make_account(office.database, profile="I row <b>on</b> the lake.")
    browser = signed_in(office, ann)
    await browser.open("/privacy/data")
    await browser.submit("/privacy/data")
    assert "ann@mail.example" in browser.text
    assert "&lt;b&gt;on&lt;/b&gt;" in browser.page.text
    assert "hash of ann" not in browser.page.text
    assert one(office, "SELECT kind FROM rights_request") == "access"


async def test_the_file_is_what_its_schema_says_and_its_page_is_escaped(office: Office):
    ann = make_account(office.database, profile="<script>alert(1)</script>")
    browser = signed_in(office, ann)
    await browser.open("/privacy/data")
    answer = await browser.submit("/privacy/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="peernet-export.zip"'
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    data = json.loads(packed.read("data.json"))
    jsonschema_rs.Draft202012Validator(json.loads(packed.read("schema.json"))).validate(data)
    assert data["data"]["people"]["account"]["email"] == "ann@mail.example"
    page = packed.read("index.html").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_correction_is_kept_and_a_wrong_one_is_shown_at_its_field(office: Office):
    browser = signed_in(office, make_account(office.database))
    await browser.open("/privacy/details")
    await browser.submit("/privacy/details", display_name="", profile="I row.")
    assert browser.page.status_code == 422
    assert 'aria-invalid="true"' in browser.page.text
    assert "I row." in browser.page.text
    await browser.submit("/privacy/details", display_name="Anne", profile="I row.")
    assert "Corrected" in browser.text
    assert one(office, "SELECT display_name, profile FROM account") == ("Anne", "I row.")


async def test_choices_are_made_on_one_page(office: Office):
    browser = signed_in(office, make_account(office.database))
    await browser.open("/privacy/choices")
    await browser.submit("/privacy/restriction", restricted="yes")
    assert one(office, "SELECT state FROM account") == "restricted"
    assert "not used" in browser.text


async def test_deletion_is_asked_for_seen_and_called_off(office: Office):
    browser = signed_in(office, make_account(office.database))
    await browser.open("/privacy/deletion")
    await browser.submit("/privacy/deletion")
    assert "is deleted on" in browser.text
    await browser.submit("/privacy/deletion/call-off")
    assert "Your account stays" in browser.text
    assert one(office, "SELECT state FROM rights_request") == "withdrawn"


async def test_the_job_carries_out_what_is_due_and_the_session_is_over(office: Office):
    browser = signed_in(office, make_account(office.database))
    await browser.open("/privacy/deletion")
    await browser.submit("/privacy/deletion")
    await erase_due(office)
    assert one(office, "SELECT state FROM account") == "active"
    office.now_s = lambda: NOW + COOLING_OFF_S
    await erase_due(office)
    assert one(office, "SELECT state, email FROM account") == ("erased", "")
    assert (await browser.http.get("/privacy")).headers["location"].startswith("/sign-in")


async def test_other_peoples_receipts_are_not_there(office: Office):
    ann, bob = make_account(office.database), make_account(office.database, "bob")
    mine, other = signed_in(office, ann), signed_in(office, bob)
    answer = await api(mine, "POST", "/api/v1/privacy/deletion")
    number = answer.json()["id"]
    assert answer.status_code == 202
    assert (await mine.open(f"/privacy/requests/{number}")).status_code == 200
    for path in (
        f"/privacy/requests/{number}",
        f"/api/v1/privacy/requests/{number}",
        f"/desk/privacy/requests/{number}",
    ):
        assert (await other.http.get(path)).status_code == 404


async def test_the_api_does_what_the_pages_do(office: Office):
    ann = make_account(office.database)
    browser = signed_in(office, ann)
    data = (await api(browser, "POST", "/api/v1/privacy/data")).json()
    jsonschema_rs.Draft202012Validator((await browser.http.get("/api/v1/privacy/schema")).json()).validate(data)
    await api(browser, "PUT", "/api/v1/privacy/details", {"display_name": "Anne"})
    assert one(office, "SELECT display_name FROM account") == "Anne"
    make_host(office.database, ann)
    assert (await browser.http.get("/api/v1/privacy/choices")).json()["consents"] == ["host_name"]
    chosen = await api(browser, "POST", "/api/v1/privacy/consent-withdrawals", {"purpose": "host_name"})
    assert chosen.json()["consents"] == []
    chosen = await api(browser, "PUT", "/api/v1/privacy/objections", {"purpose": "usage_figures"})
    assert chosen.json()["objections"] == ["usage_figures"]
    assert (await api(browser, "PUT", "/api/v1/privacy/restriction", {"restricted": True})).json()["restricted"]
    first = (await api(browser, "POST", "/api/v1/privacy/deletion")).json()
    assert (await api(browser, "GET", "/api/v1/privacy/deletion")).json()["under_way"]["id"] == first["id"]
    assert (await api(browser, "DELETE", "/api/v1/privacy/deletion")).json()["under_way"] is None
    requests = (await api(browser, "GET", "/api/v1/privacy/requests")).json()["requests"]
    assert {each["kind"] for each in requests} >= {"access", "rectification", "objection", "restriction", "deletion"}
    one_of_them = (await api(browser, "GET", f"/api/v1/privacy/requests/{first['id']}")).json()
    assert [event["event"] for event in one_of_them["events"]] == ["asked", "withdrawn"]


async def test_public_figures_are_there_for_programs(office: Office):
    browser = Browser(office)
    counts = (await browser.call("GET", "/api/v1/lawful-requests")).json()["counts"]
    assert {count["received"] for count in counts} == {0}
    classes = (await browser.call("GET", "/api/v1/retention")).json()["classes"]
    assert {each["name"] for each in classes} == set(CLASSES)
    assert (await browser.call("GET", "/api/v1/providers")).json()["providers"]


async def test_a_stranger_writes_and_an_operator_answers(office: Office):
    stranger = Browser(office)
    await stranger.open("/contact")
    await stranger.submit("/contact", reply_to="nobody", words="What do you hold?")
    assert stranger.page.status_code == 422
    assert "What do you hold?" in stranger.page.text
    await stranger.submit("/contact", reply_to="r@mail.example", words="What do <you> hold?", topic="privacy")
    assert "was received" in stranger.text
    desk = signed_in(office, make_account(office.database, "olga", "operator"))
    number = one(office, "SELECT id FROM contact_message")
    await desk.open("/desk/privacy")
    assert number in desk.text
    await desk.open(f"/desk/privacy/messages/{number}")
    assert "do &lt;you&gt; hold" in desk.page.text
    await desk.submit(f"/desk/privacy/messages/{number}", answer="Nothing.")
    assert one(office, "SELECT recipient, state FROM mail, contact_message") == ("r@mail.example", "answered")


async def test_a_message_does_not_become_a_mails_header(office: Office):
    stranger = Browser(office)
    await stranger.open("/contact")
    await stranger.submit("/contact", reply_to="r@mail.example\nBcc: all@mail.example", words="Hello there")
    assert stranger.page.status_code == 422
    assert one(office, "SELECT count(*) FROM contact_message") == 0


async def test_a_childs_account_is_reported_and_erased(office: Office):
    make_account(office.database)
    stranger = Browser(office)
    await stranger.open("/report-child")
    await stranger.submit("/report-child", about="ann@mail.example", words="She is nine.")
    known = stranger.text
    await stranger.open("/report-child")
    await stranger.submit("/report-child", about="nobody@mail.example", words="He is nine.")
    first, second = office.database.read(
        lambda transaction: transaction.rows("SELECT id FROM child_report ORDER BY about")
    )
    assert known.replace(first[0], "") == stranger.text.replace(second[0], ""), "who reports learns nothing"
    auditor = signed_in(office, make_account(office.database, "aud", "auditor"))
    path = f"/desk/privacy/reports/{first[0]}"
    await auditor.open(path)
    await auditor.submit(path, account="ann-account")
    assert one(office, "SELECT state FROM account WHERE id = 'ann-account'") == "erased"


async def test_an_objection_is_decided_at_the_desk(office: Office):
    browser = signed_in(office, make_account(office.database))
    body = {"purpose": "sign_in_security", "words": "I am followed."}
    assert (await api(browser, "PUT", "/api/v1/privacy/objections", body)).status_code == 200
    number = one(office, "SELECT id FROM rights_request")
    desk = signed_in(office, make_account(office.database, "olga", "operator"))
    path = f"/desk/privacy/requests/{number}"
    await desk.open(path)
    await desk.submit(path, decision="refused", answer="")
    assert "says why" in desk.text
    await desk.submit(path, decision="refused", answer="It protects others.")
    await browser.open(f"/privacy/requests/{number}")
    assert "It protects others." in browser.text
    assert "complain" in browser.text
    assert one(office, "SELECT count(*) FROM access_log WHERE action = 'rights_request_viewed'") >= 1


async def test_the_register_takes_two_people(office: Office):
    olga = signed_in(office, make_account(office.database, "olga", "operator"))
    await olga.open("/desk/lawful-requests")
    entry = {"kind": "account", "authority": "Court", "country": "CH", "summary": "Who is it"}
    await olga.submit("/desk/lawful-requests", **entry, received_on="2026-13-40")
    assert "no day of the calendar" in olga.text
    await olga.submit("/desk/lawful-requests", **entry, received_on="2026-10-01")
    assert "Entered" in olga.text
    number = one(office, "SELECT id FROM lawful_request")
    await olga.open(f"/desk/lawful-requests/{number}")
    assert "another operator closes" in olga.text
    auditor = signed_in(office, make_account(office.database, "aud", "auditor"))
    await auditor.open(f"/desk/lawful-requests/{number}")
    await auditor.submit(f"/desk/lawful-requests/{number}", outcome="refused")
    await Browser(office).open("/lawful-requests")
    assert one(office, "SELECT received, refused FROM lawful_count") == (1, 1)


async def test_the_desk_shows_what_a_purge_would_do(office: Office):
    desk = signed_in(office, make_account(office.database, "olga", "operator"))
    office.database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO access_log VALUES ('x', 1, NULL, NULL, 'old', '', '203.0.113.0/24')"
        )
    )
    await desk.open("/desk/retention")
    assert "access log 365 1" in desk.text
    await purge_old(office)
    assert one(office, "SELECT count(*) FROM access_log WHERE action = 'old'") == 0
    await desk.open("/desk/retention")
    assert "access log 365 0" in desk.text


async def test_a_new_notice_is_mailed_once_and_stands_on_the_page(office: Office):
    ann = make_account(office.database, notice="old")
    await tell_of_new_notice(office)
    await tell_of_new_notice(office)
    to, body = one(office, "SELECT recipient, body FROM mail")
    assert to == "ann@mail.example"
    assert f"{ORIGIN}/policies/privacy" in body
    browser = signed_in(office, ann)
    await browser.open("/privacy")
    assert "The privacy notice has changed" in browser.text
    other = signed_in(office, make_account(office.database, "bob"))
    await other.open("/privacy")
    assert "The privacy notice has changed" not in other.text
