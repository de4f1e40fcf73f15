"""The pages and the API of accounts, as people use them and as people attack them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trio

from bootstrap.commands import operator
from bootstrap.people.passwords import Passwords
from bootstrap.people.sessions import ROTATE_AFTER_S
from bootstrap.people.visitor import ROLES
from bootstrap.portal.office import Office
from bootstrap.portal.signing import BROWSER_COOKIE, safe_next
from bootstrap.portal.visit import SESSION_COOKIE
from peernet.core.errors import UserError
from tests.browsing import ORIGIN, QUICK, Browser, forms_in, new_office
from tests.people_made import PASSWORD, add_account, key_in, mails, signed_in, token_for

ASKED = {
    "email": "Ann@example.org",
    "display_name": "Ann",
    "password": PASSWORD,
    "of_age": "yes",
    "accepts_notice": "yes",
}
NEW_PASSWORD = "nine yellow accordions"
INJECTIONS = (
    "' OR '1'='1", "'; DROP TABLE account; --", "{{ 7 * 7 }}", "{% raw %}", "<script>alert(1)</script>", "%00", "%s%n",
    ":id", "\\", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0", "../../etc/passwd", "${jndi:ldap://x}",
)  # fmt: skip


class Counting(Passwords):
    """Counts how often it hashes."""

    def __init__(self) -> None:
        super().__init__(QUICK)
        self.holds("first", None)  # makes nobody's hash, once
        self.work: list[str] = []

    def hash(self, password: str) -> str:
        self.work.append("hash")
        return super().hash(password)

    def holds(self, password: str, kept: str | None) -> bool:
        if hasattr(self, "work"):
            self.work.append("check")
        return super().holds(password, kept)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    start = made.now_s()
    made.now_s = lambda: start
    yield made
    made.database.close()


def later(office: Office, seconds: int) -> None:
    at = office.now_s() + seconds
    office.now_s = lambda: at


def newest_key(office: Office) -> str:
    key = key_in(mails(office.database)[-1][2])
    office.database.write(lambda transaction: transaction.execute("DELETE FROM mail"))
    return key


def sql(office: Office, statement: str) -> None:
    office.database.write(lambda transaction: transaction.execute(statement))


async def sign_in(browser: Browser, email: str = "ann@example.org", password: str = PASSWORD) -> httpx.Response:
    await browser.open("/sign-in")
    return await browser.submit("/sign-in", email=email, password=password)


async def test_from_sign_up_to_signing_out(office: Office):
    async with Browser(office) as browser:
        await browser.open("/sign-up")
        await browser.submit("/sign-up", **ASKED)
        assert "Look into your mail" in browser.text
        assert SESSION_COOKIE not in browser.http.cookies
        await browser.open(f"/verify?key={newest_key(office)}")
        await browser.submit("/verify", password=PASSWORD)
        assert "Your address is confirmed" in browser.text
        await browser.open("/account")
        assert "Ann@example.org" in browser.text
        await browser.submit("/sign-out")
        assert "signed out" in browser.text
        assert (await browser.http.get("/account")).headers["location"] == "/sign-in?next=/account"
        await browser.open("/account/sessions")
        await browser.submit("/sign-in", email="ANN@example.org", password=PASSWORD)
        assert browser.page.url.path == "/account/sessions"
        assert "203.0.113.…" in browser.text


async def test_a_link_that_a_program_opens_does_nothing(office: Office):
    async with Browser(office) as browser:
        await browser.open("/sign-up")
        await browser.submit("/sign-up", **ASKED)
        key = newest_key(office)
        for _ in range(3):
            await browser.open(f"/verify?key={key}")
        await browser.submit("/verify", password=PASSWORD)
        assert "Your address is confirmed" in browser.text


async def test_the_link_alone_is_not_the_account(office: Office):
    """Somebody signs up with an address that is not theirs: its owner opens the link, and knows no password."""
    async with Browser(office) as browser:
        await browser.open("/sign-up")
        await browser.submit("/sign-up", **ASKED)
        key = newest_key(office)
        await browser.open(f"/verify?key={key}")
        await browser.submit("/verify", password="something else")
        assert browser.page.status_code == 403
        assert SESSION_COOKIE not in browser.http.cookies
        # It is still good for whoever knows it.
        await browser.submit("/verify", password=PASSWORD)
        assert browser.page.url.path == "/dashboard"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"of_age": ""}, "of_age", "13 or older"),
        ({"accepts_notice": ""}, "accepts_notice", "accept the privacy notice"),
        ({"notice_version": "2020-01"}, "accepts_notice", "accept the privacy notice"),
        ({"email": "ann"}, "email", "no e-mail address"),
        ({"display_name": "A\u202enn"}, "display_name", "cannot be seen"),
        ({"profile": "x" * 1001}, "profile", "at most 1000"),
        ({"password": "password123"}, "password", "first passwords"),
        ({"password": "Ann@example.org"}, "password", "first passwords"),
        ({"password": "x" * 513}, "password", "at most 512"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_the_rest_is_kept(office: Office, change, field: str, said: str):
    async with Browser(office) as browser:
        await browser.open("/sign-up")
        asked = {name: value for name, value in {**ASKED, **change}.items() if value}
        await browser.submit("/sign-up", **asked)
        assert 400 <= browser.page.status_code < 500
        assert said in browser.text
        assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', browser.page.text)
        [form] = [form for form in forms_in(browser.page.text) if form.action == "/sign-up"]
        assert form.values["email"] == asked["email"]
        assert form.values["password"] == ""
        assert asked["password"] not in browser.page.text.replace(asked["email"], "")
        assert mails(office.database) == []


async def test_who_has_an_account_is_told_to_nobody(office: Office):
    """At all three doors a known and an unknown address get one answer, one status, as many hashes, as many mails."""
    add_account(office.database, "known@example.org")
    passwords = office.passwords = Counting()
    seen = {}
    for email in ("known@example.org", "other@example.org"):
        async with Browser(office, client="198.51.100.1") as browser:
            notes = []
            for path, values in (
                ("/sign-up", ASKED),
                ("/recover", {}),
                ("/sign-in", {"password": "not the password"}),
            ):
                sql(office, "DELETE FROM mail")
                passwords.work.clear()
                await browser.open(path)
                await browser.submit(path, **{**values, "email": email})
                page = re.sub(r"[0-9a-f]{64}", "TOKEN", browser.page.text.replace(email, "EMAIL"))
                sent = [to.replace(email, "EMAIL") for to, _, _ in mails(office.database)]
                notes.append((path, browser.page.status_code, page, tuple(passwords.work), sent))
            seen[email] = notes
        sql(office, "DELETE FROM account WHERE state = 'unverified' AND id NOT IN (SELECT account_id FROM mail_link)")
    assert seen["known@example.org"] == seen["other@example.org"]
    assert [(note[1], note[3], len(note[4])) for note in seen["known@example.org"]] == [
        (200, ("hash",), 1),
        (200, (), 1),
        (403, ("check",), 0),
    ]


async def test_the_same_over_the_api(office: Office):
    add_account(office.database, "known@example.org")
    passwords = office.passwords = Counting()
    answers = []
    for email in ("known@example.org", "other@example.org"):
        async with Browser(office) as program:
            passwords.work.clear()
            wanted = {"name": "x", "days": 1, "scopes": ["account"], "email": email, "password": "not the password"}
            asked = {
                "email": email, "display_name": "Ann", "password": PASSWORD, "of_age": True, "accepts_notice": True,
                "notice_version": office.notice_version,
            }  # fmt: skip
            each = [
                await program.call("POST", "/api/v1/tokens/first", wanted),
                await program.call("POST", "/api/v1/recovery", {"email": email}),
                await program.call("POST", "/api/v1/accounts", asked),
            ]
            answers.append([(answer.status_code, answer.text) for answer in each] + passwords.work)
    assert answers[0] == answers[1]
    assert len(mails(office.database)) == 4


async def test_guessing_is_stopped_alike_for_known_and_unknown(office: Office):
    add_account(office.database)
    outcomes = []
    for number, email in enumerate(("ann@example.org", "nobody@example.org")):
        async with Browser(office, client=f"198.51.{number}.1") as browser:
            statuses = [(await sign_in(browser, email, "not the password")).status_code for _ in range(12)]
            outcomes.append((statuses, browser.page.headers.get("retry-after"), browser.text))
    assert outcomes[0][0] == [403] * 10 + [429] * 2
    assert outcomes[0][1] == "900"
    assert outcomes[0] == outcomes[1]
    # The right password makes no difference then, but in a browser that is known.
    async with Browser(office, client="198.51.7.1") as browser:
        assert (await sign_in(browser)).status_code == 429


async def test_a_known_browser_gets_in_while_others_guess(office: Office):
    add_account(office.database)
    async with Browser(office) as mine, Browser(office, client="198.51.100.9") as other:
        await sign_in(mine)
        await mine.submit("/sign-out")
        for _ in range(12):
            await sign_in(other, password="not the password")
        assert other.page.status_code == 429
        assert (await sign_in(mine)).status_code == 200
        assert mine.page.url.path == "/dashboard"
        cookie = mine.http.cookies.get(BROWSER_COOKIE)
        assert cookie
        assert "HttpOnly" in str(other.http.cookies) or other.http.cookies.get(BROWSER_COOKIE) is None


async def test_one_network_does_not_try_a_password_on_everybody(office: Office):
    add_account(office.database, "p33@example.org")
    async with Browser(office) as browser:
        statuses = [(await sign_in(browser, f"p{number}@example.org")).status_code for number in range(34)]
    assert statuses == [403] * 30 + [429] * 4


async def test_one_network_does_not_make_accounts_without_end(office: Office):
    passwords = office.passwords = Counting()
    async with Browser(office) as browser:
        for number in range(21):
            await browser.open("/sign-up")
            await browser.submit("/sign-up", **{**ASKED, "email": f"p{number}@example.org"})
        assert browser.page.status_code == 429
    assert len(passwords.work) == 20


async def test_a_session_that_was_planted_is_not_the_persons(office: Office):
    add_account(office.database)
    async with Browser(office) as browser:
        browser.http.cookies.set(SESSION_COOKIE, "planted")
        await sign_in(browser)
        assert browser.page.url.path == "/dashboard"
    async with Browser(office) as thief:
        thief.http.cookies.set(SESSION_COOKIE, "planted")
        assert (await thief.http.get("/account")).status_code == 303


async def test_signing_in_ends_what_was_there_before(office: Office):
    mallory, _ = add_account(office.database, "mallory@example.org"), add_account(office.database)
    async with signed_in(office, mallory) as browser:
        planted = browser.http.cookies[SESSION_COOKIE]
        await sign_in(browser)
        await browser.open("/account")
        assert "ann@example.org" in browser.text
    async with Browser(office) as thief:
        thief.http.cookies.set(SESSION_COOKIE, planted)
        assert (await thief.http.get("/account")).status_code == 303


@pytest.mark.parametrize("how", ["password", "everywhere", "others", "recovery", "one"])
async def test_a_stolen_session_ends_with(office: Office, how: str):
    ann = add_account(office.database)
    async with signed_in(office, ann) as mine, signed_in(office, ann) as thief:
        assert (await thief.http.get("/account")).status_code == 200
        await mine.open("/account/sessions")
        match how:
            case "password":
                await mine.open("/account/password")
                await mine.submit("/account/password", password=PASSWORD, new_password=NEW_PASSWORD)
                assert "Your password is changed" in mine.text
            case "others":
                await mine.submit("/account/sessions/end")
            case "everywhere":
                page = mine.page.text
                [form] = [form for form in forms_in(page) if form.values.get("everywhere")]
                mine.page = await mine.http.post(form.action, data=form.values, follow_redirects=True)
            case "one":
                other = next(row for row in mine.page.text.split("<tr>")[2:] if "this one" not in row)
                await mine.submit(forms_in(other)[0].action)
                assert "That session is ended" in mine.text
            case _:
                await mine.open("/recover")
                await mine.submit("/recover", email="ann@example.org")
                await mine.open(f"/recover/new?key={newest_key(office)}")
                await mine.submit("/recover/new", password=NEW_PASSWORD)
                assert mine.page.url.path == "/sign-in"
        assert (await thief.http.get("/account")).status_code == 303
        mine_goes_on = how in {"password", "others", "one"}
        assert (await mine.http.get("/account")).status_code == (200 if mine_goes_on else 303)


async def test_a_password_is_changed_by_whoever_knows_it(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        await browser.open("/account/password")
        await browser.submit("/account/password", password="not the password", new_password=NEW_PASSWORD)
        assert browser.page.status_code == 403
        assert NEW_PASSWORD not in browser.page.text
        await browser.submit("/account/password", password=PASSWORD, new_password="ann@example.org")
        assert browser.page.status_code == 422
        await browser.submit("/account/password", password=PASSWORD, new_password=NEW_PASSWORD)
        assert browser.page.url.path == "/account"
    assert [subject for _, subject, _ in mails(office.database)] == ["Your password was changed"]
    async with Browser(office) as browser:
        assert (await sign_in(browser)).status_code == 403
        assert (await sign_in(browser, password=NEW_PASSWORD)).status_code == 200


async def test_guessing_in_a_session_is_stopped_too(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as thief:
        await thief.open("/prove")
        statuses = [(await thief.submit("/prove", password="not the password")).status_code for _ in range(12)]
    assert statuses == [403] * 10 + [429] * 2


async def test_a_recovery_link_works_once(office: Office):
    add_account(office.database)
    async with Browser(office) as browser:
        await browser.open("/recover")
        await browser.submit("/recover", email="ann@example.org")
        link = f"/recover/new?key={newest_key(office)}"
        await browser.open(link)
        await browser.submit("/recover/new", password="short")
        assert browser.page.status_code == 422
        await browser.submit("/recover/new", password=NEW_PASSWORD)
        assert "Sign in with the new one" in browser.text
        assert (await browser.open(link)).status_code == 410
        await sign_in(browser, password=NEW_PASSWORD)
        assert browser.page.url.path == "/dashboard"


async def test_keys_that_are_none_cost_no_hash(office: Office):
    passwords = office.passwords = Counting()
    async with Browser(office) as browser:
        for path in ("/verify", "/recover/new"):
            await browser.open("/verify?key=x")
            token = forms_in(browser.page.text)[0].values["csrf_token"]
            values = {"key": "x" * 43, "password": NEW_PASSWORD, "csrf_token": token}
            assert (await browser.http.post(path, data=values)).status_code == 410
    assert passwords.work == []


async def test_proving_makes_fresh_and_changes_the_cookie(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        later(office, 3600)
        await browser.open("/account/email")
        assert browser.page.url.path == "/prove"
        before = browser.http.cookies.get(SESSION_COOKIE, domain="127.0.0.1")
        await browser.submit("/prove", password=PASSWORD)
        assert browser.page.url.path == "/account/email"
        assert browser.http.cookies.get(SESSION_COOKIE, domain="127.0.0.1") != before
        later(office, 601)
        await browser.open("/account/email")
        assert browser.page.url.path == "/prove"


async def test_a_form_that_was_open_while_the_cookie_changed_still_works(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        later(office, ROTATE_AFTER_S + 1)
        await browser.open("/account")  # this answer brings a new cookie
        await browser.submit("/account/profile", display_name="Anna")
        assert "Your profile is saved" in browser.text
        assert "Anna" in browser.text


async def test_the_address_is_changed_by_its_link(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        await browser.open("/account/email")
        await browser.submit("/account/email", email="New@example.net")
        assert "Open the link" in browser.text
        sent = {to: body for to, _, body in mails(office.database)}
        assert set(sent) == {"ann@example.org", "New@example.net"}
        link = f"/account/email/confirm?key={key_in(sent['New@example.net'])}"
        async with Browser(office) as phone:
            await phone.open(link)
            assert phone.page.url.path == "/sign-in"
            await phone.submit("/sign-in", email="ann@example.org", password=PASSWORD)
            assert phone.page.url.path == "/account/email/confirm"
            await phone.submit("/account/email/confirm")
            assert "New@example.net" in phone.text
        assert (await sign_in(browser)).status_code == 403
        assert (await sign_in(browser, "new@example.net")).status_code == 200


async def test_a_thief_of_a_session_cannot_take_the_account(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as thief:
        later(office, 3600)
        for path in ("/account/email", "/account/tokens"):
            await thief.open("/account/tokens")
            token = next(form.values["csrf_token"] for form in forms_in(thief.page.text) if form.values)
            values = {"email": "evil@example.org", "name": "x", "days": "9", "scopes": "account", "csrf_token": token}
            answer = await thief.http.post(path, data=values)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/prove?next={path}")
    assert mails(office.database) == []


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", "evil.example", "", " /x", "/" + "x" * 600, "/a\\b", "/\u2028",
        "data:text/html,x", "//", "/\x00",
    ],
)  # fmt: skip
async def test_after_signing_in_nobody_is_sent_elsewhere(office: Office, path: str):
    assert safe_next(path, "/account") == "/account"
    assert safe_next("/payouts/x?page=2", "/account") == "/payouts/x?page=2"


async def test_signing_in_goes_on_where_one_was(office: Office):
    add_account(office.database)
    async with Browser(office) as browser:
        await browser.open("/sign-in?next=https://evil.example/")
        await browser.submit("/sign-in", email="ann@example.org", password=PASSWORD)
        assert browser.page.url.path == "/dashboard"
        assert browser.page.url.host == "127.0.0.1"


@pytest.mark.parametrize("text", INJECTIONS)
async def test_text_from_people_is_text(office: Office, text: str):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        await browser.open("/account")
        await browser.submit("/account/profile", display_name=f"x{text}"[:60], profile=text)
        await browser.open("/account")
        assert browser.page.status_code == 200
        [form] = [form for form in forms_in(browser.page.text) if form.action == "/account/profile"]
        assert form.values["display_name"] == f"x{text}"[:60]
        assert "<script>alert" not in browser.page.text
        assert "<img src=x" not in browser.page.text
        assert "49" not in browser.text.replace(ann, "") or "7 * 7" not in text
        await browser.open("/account/tokens")
        await browser.submit("/account/tokens", name=text[:60], days="3", scopes="account")
        assert browser.page.status_code == 200
        await browser.open("/account/tokens")
        assert "<script>alert" not in browser.page.text
        for path in ("/account/log?before=", "/sign-in?next=", "/verify?key=", "/prove?next="):
            answer = await browser.http.get(path + text.replace("%", "%25").replace("#", ""))
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text
        for path in ("/account/sessions/", "/api/v1/tokens/"):
            answer = await browser.http.get(path + text.replace("/", ""))
            assert answer.status_code in {404, 405}
    async with Browser(office) as stranger:
        assert (await sign_in(stranger, text or "x", text or "x")).status_code in {403, 422}


async def test_a_name_is_shown_apart_from_the_text_around_it(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser:
        await browser.open("/account")
        await browser.submit("/account/profile", display_name="אבא")
        assert re.search(r"<bdi[^>]*>אבא</bdi>", browser.page.text)


async def test_a_password_of_any_length_is_not_hashed(office: Office):
    add_account(office.database)
    passwords = office.passwords = Counting()
    async with Browser(office) as browser:
        assert (await sign_in(browser, password="x" * 600)).status_code == 422
    assert passwords.work == []


async def test_a_token_is_shown_once_and_works_until_it_ends(office: Office):
    ann = add_account(office.database)
    async with signed_in(office, ann) as browser, Browser(office) as program:
        await browser.open("/account/tokens")
        await browser.submit("/account/tokens", name="laptop", days="3", scopes="account")
        found = re.search(r"pnt_[\w-]{43}", browser.page.text)
        assert found
        assert [subject for _, subject, _ in mails(office.database)] == ["An API token was made"]
        await browser.open("/account/tokens")
        assert "pnt_" not in browser.page.text
        assert 'data-label="Last used">never' in browser.page.text
        shown = f"Bearer {found[0]}"
        assert (await program.call("GET", "/api/v1/account", authorization=shown)).json()["id"] == ann
        await browser.open("/account/tokens")
        assert 'data-label="Last used">never' not in browser.page.text
        for wrong in ("Bearer", "Bearer ", f"Bearer {found[0]}x", f"Basic {found[0]}", found[0], "Bearer \u00ff"):
            headers = {"authorization": wrong.encode("latin-1")}
            answer = await program.http.get("/api/v1/account", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        # No page takes one, and a browser's session does not help a token that is none.
        assert (await program.http.get("/account", headers={"authorization": shown})).status_code == 303
        assert (await browser.call("GET", "/api/v1/account", authorization="Bearer x")).status_code == 401
        [path] = [form.action for form in forms_in(browser.page.text) if form.action.startswith("/account/tokens/")]
        await browser.submit(path)
        assert (await program.call("GET", "/api/v1/account", authorization=shown)).status_code == 401


async def test_a_token_ends_on_its_day(office: Office):
    token = token_for(office, add_account(office.database), "account")
    async with Browser(office) as program:
        later(office, 30 * 24 * 3600 - 1)
        assert (await program.call("GET", "/api/v1/account", authorization=f"Bearer {token}")).status_code == 200
        later(office, 1)
        assert (await program.call("GET", "/api/v1/account", authorization=f"Bearer {token}")).status_code == 401


async def test_a_program_gets_its_first_token_by_password_and_proves_again_later(office: Office):
    add_account(office.database)
    async with Browser(office) as program:
        wanted = {"email": "ann@example.org", "password": PASSWORD, "name": "x", "days": 9, "scopes": ["account"]}
        made = await program.call("POST", "/api/v1/tokens/first", wanted)
        assert made.status_code == 201
        assert not program.http.cookies
        shown = f"Bearer {made.json()['token']}"
        address = {"email": "new@example.org"}
        assert (await program.call("POST", "/api/v1/account/email", address, authorization=shown)).status_code == 202
        later(office, 601)
        asked = await program.call("POST", "/api/v1/account/email", address, authorization=shown)
        assert (asked.status_code, asked.json()["reason"]) == (403, "prove_again")
        wrong = await program.call("POST", "/api/v1/prove", {"password": "not the password"}, authorization=shown)
        assert (wrong.status_code, wrong.json()["reason"]) == (403, "wrong_password")
        assert (await program.call("POST", "/api/v1/prove", {"password": PASSWORD}, authorization=shown)).is_success
        assert (await program.call("POST", "/api/v1/account/email", address, authorization=shown)).status_code == 202


async def test_a_token_makes_none_that_may_more(office: Office):
    token = token_for(office, add_account(office.database), "account", proved=True)
    async with Browser(office) as program:
        for scopes, status in ((["account"], 201), (["account", "rights"], 403), ([], 422), (["x"], 403)):
            body = {"name": "x", "days": 9, "scopes": scopes}
            answer = await program.call("POST", "/api/v1/tokens", body, authorization=f"Bearer {token}")
            assert answer.status_code == status, answer.text


async def test_the_api_does_what_the_pages_do(office: Office):
    token = token_for(office, add_account(office.database), "account", proved=True)
    shown = f"Bearer {token}"
    async with Browser(office) as program:
        profile = {"display_name": "Anna", "profile": "one\ntwo"}
        changed = await program.call("PUT", "/api/v1/account/profile", profile, authorization=shown)
        assert (changed.json()["display_name"], changed.json()["profile"]) == ("Anna", "one\ntwo")
        refused = await program.call("PUT", "/api/v1/account/profile", {"display_name": "\u200b"}, authorization=shown)
        assert (refused.status_code, refused.json()["field"]) == (422, "display_name")
        await program.call("POST", "/api/v1/account/email", {"email": "new@example.org"}, authorization=shown)
        sent = {to: body for to, _, body in mails(office.database)}
        key = {"key": key_in(sent["new@example.org"])}
        moved = await program.call("POST", "/api/v1/account/email/confirm", key, authorization=shown)
        assert moved.json()["email"] == "new@example.org"
        sessions = (await program.call("GET", "/api/v1/sessions", authorization=shown)).json()
        assert sessions == {"sessions": []}
        lines = (await program.call("GET", "/api/v1/account/log", authorization=shown)).json()["lines"]
        assert {line["by"] for line in lines} == {"you"}
        change = {"password": PASSWORD, "new_password": NEW_PASSWORD, "end_tokens": True}
        assert (await program.call("POST", "/api/v1/account/password", change, authorization=shown)).is_success
        assert (await program.call("GET", "/api/v1/account", authorization=shown)).status_code == 401


async def test_an_account_over_the_api_from_the_beginning(office: Office):
    async with Browser(office) as program:
        asked = {
            "email": "ann@example.org", "display_name": "Ann", "password": PASSWORD, "of_age": True,
            "accepts_notice": True, "notice_version": office.notice_version,
        }  # fmt: skip
        assert (await program.call("POST", "/api/v1/accounts", {**asked, "of_age": False})).status_code == 422
        assert (await program.call("POST", "/api/v1/accounts", asked)).status_code == 202
        proof = {"key": newest_key(office), "password": PASSWORD}
        assert (await program.call("POST", "/api/v1/accounts/verify", proof)).json() == {"verified": True}
        assert SESSION_COOKIE not in program.http.cookies
        assert (await program.call("POST", "/api/v1/recovery", {"email": "ann@example.org"})).status_code == 202
        finish = {"key": newest_key(office), "password": NEW_PASSWORD}
        assert (await program.call("POST", "/api/v1/recovery/finish", finish)).json() == {"changed": True}
        assert (await program.call("POST", "/api/v1/recovery/finish", finish)).status_code == 410


async def test_who_has_not_confirmed_yet_can_have_the_link_again(office: Office):
    ann = add_account(office.database, state="unverified")
    async with Browser(office) as browser:
        await sign_in(browser)
        assert browser.page.url.path == "/verify"
        for _ in range(5):
            await browser.submit("/verify/again")
            assert "on its way" in browser.text
        assert (await browser.submit("/verify/again")).status_code == 429
        link = f"/verify?key={newest_key(office)}"
        await browser.open(link)
        await browser.submit("/verify", password=PASSWORD)
        assert browser.page.url.path == "/dashboard"
    assert ann


async def test_a_new_notice_is_accepted_before_one_goes_on(office: Office):
    ann = add_account(office.database, notice="2020-01")
    async with signed_in(office, ann) as browser:
        await browser.open("/account/tokens")
        assert browser.page.url.path == "/notice"
        assert "2020-01" in browser.text
        await browser.submit("/notice")
        assert browser.page.status_code == 409
        await browser.submit("/notice", accepts_notice="yes", notice_version="2020-01")
        assert browser.page.status_code == 409
        await browser.open("/account/tokens")
        await browser.submit("/notice", accepts_notice="yes")
        assert browser.page.url.path == "/account/tokens"
    token = token_for(office, add_account(office.database, "bob@example.org", notice="2020-01"), "account")
    async with Browser(office) as program:
        shown = f"Bearer {token}"
        assert (await program.call("GET", "/api/v1/sessions", authorization=shown)).json()["reason"] == "accept_notice"
        account = (await program.call("GET", "/api/v1/account", authorization=shown)).json()
        body = {"notice_version": account["notice_in_force"]}
        assert (await program.call("POST", "/api/v1/notice", body, authorization=shown)).is_success
        assert (await program.call("GET", "/api/v1/sessions", authorization=shown)).is_success


async def test_an_operator_gives_a_role_and_the_person_sees_it(office: Office):
    ann, eve = add_account(office.database), add_account(office.database, "eve@example.org", roles=["operator"])
    async with signed_in(office, eve) as desk, signed_in(office, ann) as browser:
        await desk.open("/desk/people")
        await desk.submit("/desk/people", email="nobody@example.org")
        assert desk.page.status_code == 404
        await desk.submit("/desk/people", email="ann@example.org")
        assert desk.page.url.path == f"/desk/people/{ann}"
        assert "ann@example.org" not in desk.text
        assert (await browser.http.get("/desk/access-log")).status_code == 404
        await desk.submit(f"/desk/people/{ann}/roles", roles="auditor")
        assert "The roles are saved" in desk.text
        assert (await browser.http.get("/desk/access-log")).status_code == 200
        await browser.open("/account/log")
        assert "Role given somebody who works for the operator" in browser.text
        assert "Account looked for by its e-mail address" in browser.text
        assert eve not in browser.page.text
    assert [subject for to, subject, _ in mails(office.database) if to == "ann@example.org"] == [
        "Your roles were changed"
    ]


async def test_the_only_operator_stays_one(office: Office):
    eve = add_account(office.database, "eve@example.org", roles=["operator"])
    token = token_for(office, eve, "desk", proved=True)
    async with Browser(office) as program:
        for roles, status in ((["auditor"], 409), (["king"], 422), (["auditor", "operator"], 200)):
            answer = await program.call(
                "PUT", f"/api/v1/desk/people/{eve}/roles", {"roles": roles}, authorization=f"Bearer {token}"
            )
            assert answer.status_code == status, answer.text


async def test_a_suspended_person_is_told_why_and_still_gets_in(office: Office):
    ann, eve = add_account(office.database), add_account(office.database, "eve@example.org", roles=["operator"])
    async with signed_in(office, eve) as desk, Browser(office) as browser:
        await desk.open(f"/desk/people/{ann}")
        await desk.submit(f"/desk/people/{ann}/suspend", reason="too short")
        assert desk.page.status_code == 422
        await desk.submit(f"/desk/people/{ann}/suspend", reason="You sent spam to hosts.")
        assert "You sent spam to hosts." in mails(office.database)[-1][2]
        await sign_in(browser)
        assert browser.page.url.path == "/dashboard"
        await desk.submit(f"/desk/people/{ann}/restore")
        assert "works again" in desk.text


async def test_looking_at_the_log_is_in_the_log(office: Office):
    eve = add_account(office.database, "eve@example.org", roles=["auditor"])
    async with signed_in(office, eve) as desk:
        await desk.open("/desk/access-log")
        await desk.open(f"/desk/access-log?by={eve}")
        assert "Access log looked at" in desk.text
        await desk.open("/desk/access-log?about=' OR 1=1 --")
        assert desk.page.status_code == 200


async def test_the_first_operator_is_made_at_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = tmp_path / "home"
    office = new_office(home / "state")
    office.database.close()
    import argparse

    parser = argparse.ArgumentParser()
    operator.configure(parser)
    arguments = parser.parse_args(["promote", "Eve@example.org", "--home", str(home)])
    with pytest.raises(UserError, match="no account"):
        operator.run(arguments)
    office = new_office(home / "state")
    eve = add_account(office.database, "eve@example.org", state="unverified")
    with pytest.raises(UserError, match="must be opened first"):
        operator.run(arguments)
    sql(office, "UPDATE account SET state = 'active'")
    assert operator.run(arguments) == 0
    assert "/desk" in capsys.readouterr().out
    async with signed_in(office, eve) as desk:
        assert (await desk.open("/desk/people")).status_code == 200
    office.database.close()
    with pytest.raises(UserError, match="no e-mail address"):
        operator.run(parser.parse_args(["promote", "eve", "--home", str(home)]))


async def test_hashing_does_not_pile_up(office: Office):
    """Whoever would have the service hash for all of its memory waits, or is told to come back."""
    add_account(office.database)
    office.hashing = trio.CapacityLimiter(1)
    statuses: list[int] = []

    async def one(number: int) -> None:
        async with Browser(office, client=f"198.51.{number}.1") as browser:
            statuses.append((await sign_in(browser, f"p{number}@example.org")).status_code)

    async with office.hashing, trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(one, number)
        while statuses.count(503) < 10:
            await trio.testing.wait_all_tasks_blocked(0.01)
        office.hashing.total_tokens = 2
    assert statuses.count(503) == 10
    assert statuses.count(403) == 50


async def test_a_password_hashed_as_of_old_is_hashed_anew(office: Office):
    add_account(office.database)
    office.passwords = Passwords(Passwords()._hasher._parameters)
    async with Browser(office) as browser:
        await sign_in(browser)
    row = office.database.read(lambda transaction: transaction.row("SELECT password_hash FROM account"))
    assert row is not None
    assert "m=65536,t=3,p=4" in row[0]
    async with Browser(office) as browser:
        assert (await sign_in(browser)).status_code == 200


async def test_under_tls_every_cookie_is_secure(tmp_path: Path):
    office = new_office(tmp_path, public_url=ORIGIN.replace("http:", "https:"))
    add_account(office.database)
    async with Browser(office) as browser:
        browser.http.base_url = httpx.URL(ORIGIN.replace("http:", "https:"))
        await browser.open("/sign-in")
        form = forms_in(browser.page.text)[0].values
        values = {**form, "email": "ann@example.org", "password": PASSWORD}
        answer = await browser.http.post("/sign-in", data=values)
        assert answer.status_code == 303
        set_cookies = answer.headers.get_list("set-cookie")
        assert len(set_cookies) == 3
        assert all("Secure" in each and "HttpOnly" in each and "SameSite=lax" in each for each in set_cookies)
    office.database.close()


def test_roles_are_what_the_desk_gives():
    assert ROLES == ("host", "operator", "auditor")
