"""P8: an account's password is kept as an Argon2id hash; nobody under 13 has one; a new notice is accepted again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.people.passwords import Passwords
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import tell_of_new_notice
from bootstrap.portal.visit import SESSION_COOKIE
from tests.browsing import Browser, forms_in, new_office
from tests.people_made import PASSWORD, add_account, key_in, mails, signed_in, token_for

ASKED = {
    "email": "ann@example.org",
    "display_name": "Ann",
    "profile": "I like boats.",
    "password": PASSWORD,
    "of_age": "yes",
    "accepts_notice": "yes",
}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    yield made
    made.database.close()


def rows(office: Office, statement: str) -> list[tuple[object, ...]]:
    return office.database.read(lambda transaction: transaction.rows(statement))


async def sign_up(browser: Browser, **change: str) -> None:
    await browser.open("/sign-up")
    await browser.submit("/sign-up", **{name: value for name, value in {**ASKED, **change}.items() if value})


async def test_a_password_is_kept_as_an_argon2id_hash_and_nowhere_else(office: Office, tmp_path: Path) -> None:
    office.passwords = Passwords()
    async with Browser(office) as browser:
        await sign_up(browser)
        await office.postman.deliver(office.now_s())
        [letter] = (tmp_path / "mail").glob("*.eml")
        await browser.open(f"/verify?key={key_in(letter.read_text())}")
        await browser.submit("/verify", password=PASSWORD)
        assert SESSION_COOKIE in browser.http.cookies
    [(email, name, profile, kept)] = rows(office, "SELECT email, display_name, profile, password_hash FROM account")
    assert (email, name, profile) == ("ann@example.org", "Ann", "I like boats.")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=\d{5,},t=[3-9],p=\d\$[\w+/]{22,}\$[\w+/]{43,}", str(kept))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path.name


async def test_whoever_is_under_13_gets_no_account(office: Office) -> None:
    async with Browser(office) as browser:
        await sign_up(browser, of_age="")
        assert "13 or older" in browser.text
        asked = {**ASKED, "of_age": False, "accepts_notice": True, "notice_version": office.notice_version}
        assert (await browser.call("POST", "/api/v1/accounts", asked)).status_code == 422
    assert rows(office, "SELECT id FROM account") == []
    assert mails(office.database) == []


async def test_an_account_is_its_persons_once_the_address_is_confirmed(office: Office) -> None:
    ann = add_account(office.database, state="unverified")
    token = token_for(office, ann, "account")
    async with signed_in(office, ann) as browser:
        assert (await browser.http.get("/account")).headers.get("location", "").startswith("/verify")
        answer = await browser.call("GET", "/api/v1/sessions", authorization=f"Bearer {token}")
        assert answer.json().get("reason") == "verify_address"


async def test_a_new_notice_is_announced_and_accepted_before_anything_else(office: Office) -> None:
    ann = add_account(office.database)
    token = token_for(office, ann, "account")
    shown = f"Bearer {token}"
    async with signed_in(office, ann) as browser:
        assert (await browser.http.get("/account")).status_code == 200
        office.notice_version = "2099-01"
        await tell_of_new_notice(office)
        assert [(to, subject) for to, subject, _ in mails(office.database)] == [
            ("ann@example.org", "The privacy notice has changed")
        ]
        assert (await browser.http.get("/account")).headers.get("location", "").startswith("/notice")
        answer = await browser.call("GET", "/api/v1/sessions", authorization=shown)
        assert answer.json().get("reason") == "accept_notice"
        await browser.open("/account")
        await browser.submit("/notice", accepts_notice="yes")
        assert (await browser.http.get("/account")).status_code == 200
    assert rows(office, "SELECT version FROM notice_acceptance") == [("2099-01",)]


async def test_a_childs_account_is_reported_by_anybody_and_erased(office: Office) -> None:
    child = add_account(office.database, "child@example.org")
    auditor = add_account(office.database, "auditor@example.org", roles=["auditor"])
    async with Browser(office) as anybody, signed_in(office, auditor) as desk:
        await anybody.open("/report-child")
        [form] = [form for form in forms_in(anybody.page.text) if form.action == "/report-child"]
        said = {"about": "child@example.org", "words": "She is nine.", "reporter": "teacher@example.org"}
        await anybody.submit("/report-child", **{name: value for name, value in said.items() if name in form.values})
        [(report,)] = rows(office, "SELECT id FROM child_report")
        await desk.open(f"/desk/privacy/reports/{report}")
        await desk.submit(f"/desk/privacy/reports/{report}", decision="erase", account=child)
    assert rows(office, f"SELECT state, email, display_name, password_hash FROM account WHERE id = '{child}'") == [
        ("erased", "", "", "")
    ]
    assert "teacher" not in repr(rows(office, "SELECT * FROM child_report"))


async def test_a_new_password_by_mail_ends_what_a_thief_has(office: Office) -> None:
    ann = add_account(office.database)
    token = token_for(office, ann, "account")
    async with signed_in(office, ann) as thief, Browser(office) as browser:
        await browser.open("/recover")
        await browser.submit("/recover", email="ann@example.org")
        await browser.open(f"/recover/new?key={key_in(mails(office.database)[0][2])}")
        await browser.submit("/recover/new", password="nine yellow accordions")
        assert (await thief.http.get("/account")).status_code == 303
        answer = await thief.call("GET", "/api/v1/account", authorization=f"Bearer {token}")
        assert answer.status_code == 401


async def test_who_has_an_account_is_told_to_nobody(office: Office) -> None:
    add_account(office.database, "known@example.org")
    answers = []
    for email in ("known@example.org", "other@example.org"):
        async with Browser(office) as browser:
            for path, more in (("/sign-up", ASKED), ("/recover", {}), ("/sign-in", {"password": "not the password"})):
                await browser.open(path)
                await browser.submit(path, **{**more, "email": email})
                answers.append((email, path, browser.page.status_code, browser.text.replace(email, "")))
    assert [answer[1:] for answer in answers[:3]] == [answer[1:] for answer in answers[3:]]
    assert sorted(to for to, _, _ in mails(office.database)) == sorted(["known@example.org", "other@example.org"] * 2)
