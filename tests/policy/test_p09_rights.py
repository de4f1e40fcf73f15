"""P9: a person gets, corrects, exports, deletes, restricts, objects and withdraws by themselves, and can write."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.crossing import TOKEN_HEADER
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import confirm_erasures, erase_due
from bootstrap.portal.visit import SESSION_COOKIE
from bootstrap.rights.deletion import COOLING_OFF_S
from tests.accounts import everything, make_account, make_host
from tests.browsing import ORIGIN, Browser, new_office

NOW = 1_795_000_000
FROM = Origin("ip4/cb0071", "Firefox")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW
    yield made
    made.database.close()


class Person:
    """Somebody with an account, in a browser, and with a program that uses the same session."""

    def __init__(self, office: Office, *, proved: bool = True) -> None:
        self.office = office
        self.id = make_account(office.database, profile="I row on the lake.")
        make_host(office.database, self.id, name="lake house")
        secret = office.database.write(lambda transaction: begin_session(transaction, self.id, FROM, NOW))
        if not proved:
            office.database.write(lambda transaction: transaction.execute("UPDATE session SET proved_at_s = 0"))
        self.browser = Browser(office)
        self.browser.http.cookies.set(SESSION_COOKIE, secret)

    async def ask(self, path: str, page: str, **values: str) -> Any:
        """Sends the form of a page."""
        await self.browser.open(page)
        return await self.browser.submit(path, **values)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Calls the API."""
        page = await self.browser.open("/privacy")
        token = page.text.partition('name="csrf_token" value="')[2][:64]
        headers = {TOKEN_HEADER: token, "origin": ORIGIN}
        return await self.browser.http.request(method, f"/api/v1/privacy/{path}", json=body, headers=headers)

    def row(self, sql: str) -> Any:
        found = self.office.database.read(lambda transaction: transaction.row(sql, id=self.id))
        assert found is not None, sql
        return found[0] if len(found) == 1 else found


FIELDS = "SELECT display_name, profile FROM account WHERE id = :id"
STATE = "SELECT state FROM account WHERE id = :id"
OBJECTIONS = "SELECT count(*) FROM rights_objection WHERE account_id = :id"
NAMED = "SELECT named_in_public FROM host WHERE account_id = :id"
WAITING = "SELECT count(*) FROM rights_request WHERE account_id = :id AND state = 'waiting'"


async def by_pages(person: Person) -> None:
    page = await person.ask("/privacy/data", "/privacy/data")
    assert "ann@mail.example" in page.text
    await person.ask("/privacy/details", "/privacy/details", display_name="Anne", profile="I swim.")
    assert person.row(FIELDS) == ("Anne", "I swim.")
    await person.browser.open("/privacy/choices")
    for form, values in (("objection", {"purpose": "usage_figures"}), ("consent", {"purpose": "host_name"})):
        await person.ask(f"/privacy/{form}", "/privacy/choices", **values)
    assert (person.row(OBJECTIONS), person.row(NAMED)) == (1, 0)
    await person.ask("/privacy/restriction", "/privacy/choices", restricted="yes")
    assert person.row(STATE) == "restricted"
    await person.ask("/privacy/deletion", "/privacy/deletion")
    assert person.row(WAITING) == 1
    await person.ask("/privacy/deletion/call-off", "/privacy")
    assert person.row(WAITING) == 0


async def by_programs(person: Person) -> None:
    assert (await person.call("POST", "data")).json()["data"]["people"]["account"]["email"] == "ann@mail.example"
    await person.call("PUT", "details", {"display_name": "Anne", "profile": "I swim."})
    assert person.row(FIELDS) == ("Anne", "I swim.")
    await person.call("PUT", "objections", {"purpose": "usage_figures"})
    await person.call("POST", "consent-withdrawals", {"purpose": "host_name"})
    assert (person.row(OBJECTIONS), person.row(NAMED)) == (1, 0)
    await person.call("PUT", "restriction", {"restricted": True})
    assert person.row(STATE) == "restricted"
    await person.call("POST", "deletion")
    assert person.row(WAITING) == 1
    await person.call("DELETE", "deletion")
    assert person.row(WAITING) == 0


@pytest.mark.parametrize("way", [by_pages, by_programs])
async def test_every_right_is_done_without_anybody(office: Office, way: Any) -> None:
    person = Person(office)
    await way(person)
    kinds = office.database.read(lambda transaction: transaction.rows("SELECT DISTINCT kind FROM rights_request"))
    assert {kind for (kind,) in kinds} == {
        "access",
        "rectification",
        "objection",
        "consent",
        "restriction",
        "deletion",
    }
    assert office.database.read(lambda transaction: transaction.row("SELECT count(*) FROM contact_message")) == (0,)


async def test_every_request_has_a_receipt_a_deadline_and_a_log(office: Office) -> None:
    person = Person(office)
    await by_programs(person)
    for number, asked_at_s, due_at_s in office.database.read(
        lambda transaction: transaction.rows("SELECT id, asked_at_s, due_at_s FROM rights_request")
    ):
        assert asked_at_s < due_at_s <= asked_at_s + 30 * 24 * 3600
        mails = "SELECT count(*) FROM mail WHERE recipient = 'ann@mail.example' AND body LIKE '%'"
        assert person.row(f"{mails} || '{number}' || '%'") >= 1, number
        assert "asked, by you" in (await person.browser.open(f"/privacy/requests/{number}")).text


async def test_an_export_has_everything_that_is_held(office: Office) -> None:
    person = Person(office)
    await person.ask("/privacy/objection", "/privacy/choices", purpose="sign_in_security", words="My reason.")
    answer = await person.ask("/privacy/export", "/privacy/data")
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    data = json.loads(packed.read("data.json"))
    jsonschema_rs.Draft202012Validator(json.loads(packed.read("schema.json"))).validate(data)
    told = packed.read("index.html").decode()
    for word in ("ann@mail.example", "I row on the lake.", "lake house", "GPU of ann", "My reason.", FROM.ip_prefix):
        assert word in json.dumps(data), word
        assert word in told, word
    assert {"people", "money", "hosts", "rights"} <= data["data"].keys()


async def test_after_a_deletion_nothing_says_who_it_was(office: Office) -> None:
    person = Person(office)
    await person.ask("/privacy/deletion", "/privacy/deletion")
    await erase_due(office)
    assert person.row(STATE) == "active", "there are days to call it off"
    office.now_s = lambda: NOW + COOLING_OFF_S
    await erase_due(office)
    assert person.row(STATE) == "erased"
    told = repr(everything(office.database, but=("mail",))).lower()
    for word in ("ann@mail.example", "ann of example", "lake", "gpu of ann", "hash of ann", FROM.ip_prefix):
        assert word not in told, word
    assert (await person.browser.http.get("/privacy")).headers["location"].startswith("/sign-in")


async def test_a_deletion_is_confirmed_once_it_is_written_down_on_the_other_disk(tmp_path: Path) -> None:
    office = new_office(tmp_path, erasures_copy=str(tmp_path / "share" / "erasures"))
    office.now_s = lambda: NOW
    person = Person(office)
    await person.ask("/privacy/deletion", "/privacy/deletion")
    office.now_s = lambda: NOW + COOLING_OFF_S
    await erase_due(office)

    async def confirmed() -> int:
        await office.postman.deliver(office.now_s())
        mails = [path.read_text("utf-8") for path in (tmp_path / "mail").glob("*")]
        return sum("Your account is deleted" in mail for mail in mails)

    with pytest.raises(OSError, match="No such file"):
        await confirm_erasures(office)
    assert await confirmed() == 0
    (tmp_path / "share").mkdir()
    await confirm_erasures(office)
    assert await confirmed() == 1
    assert office.erasures.copy is not None
    assert office.erasures.copy.holding([person.id]) == [person.id]
    office.database.close()


@pytest.mark.parametrize("path", ["data", "export", "details", "objection", "consent", "restriction", "deletion"])
async def test_nothing_of_it_is_done_for_whoever_has_not_proved_who_they_are(office: Office, path: str) -> None:
    person = Person(office, proved=False)
    await person.browser.open("/privacy")
    page = await person.browser.open("/contact")
    token = page.text.partition('name="csrf_token" value="')[2][:64]
    values = {"csrf_token": token, "display_name": "Eve", "purpose": "host_name", "restricted": "yes"}
    answer = await person.browser.http.post(f"/privacy/{path}", data=values, headers={"origin": ORIGIN})
    assert answer.headers.get("location", "").startswith("/prove"), answer.status_code
    assert person.row("SELECT count(*) FROM rights_request") == 0
    assert person.row(STATE) == "active"


async def test_anybody_can_write_and_a_person_answers(office: Office) -> None:
    stranger = Browser(office)
    await stranger.open("/contact")
    await stranger.submit("/contact", reply_to="reader@mail.example", words="What do you hold?", topic="privacy")
    waiting = office.database.read(lambda transaction: transaction.rows("SELECT id FROM contact_message"))
    assert len(waiting) == 1
    assert waiting[0][0] in stranger.text
    olga = make_account(office.database, "olga", "operator")
    desk = Browser(office)
    secret = office.database.write(lambda transaction: begin_session(transaction, olga, FROM, NOW))
    desk.http.cookies.set(SESSION_COOKIE, secret)
    path = f"/desk/privacy/messages/{waiting[0][0]}"
    await desk.open(path)
    await desk.submit(path, answer="Nothing at all.")
    sent = office.database.read(lambda transaction: transaction.rows("SELECT recipient, body FROM mail"))
    assert [to for to, body in sent if "Nothing at all." in body] == ["reader@mail.example"]
