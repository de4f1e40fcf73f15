"""P8: anybody can report a child's account, a person decides, and it ends in erasure; a new notice is announced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import tell_of_new_notice
from bootstrap.portal.visit import SESSION_COOKIE
from tests.accounts import everything, make_account
from tests.browsing import Browser, new_office

NOW = 1_795_000_000


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW
    yield made
    made.database.close()


def browser_of(office: Office, account: str) -> Browser:
    secret = office.database.write(lambda transaction: begin_session(transaction, account, Origin("", ""), NOW))
    browser = Browser(office)
    browser.http.cookies.set(SESSION_COOKIE, secret)
    return browser


async def report(office: Office, about: str) -> Browser:
    stranger = Browser(office)
    await stranger.open("/report-child")
    await stranger.submit("/report-child", about=about, words="She is nine years old.", reporter="parent@mail.example")
    return stranger


async def test_a_childs_account_is_erased_and_so_is_what_the_reporter_wrote(office: Office) -> None:
    child = make_account(office.database)
    auditor = browser_of(office, make_account(office.database, "aud", "auditor"))
    assert "was received" in (await report(office, "ann@mail.example")).text
    number = everything(office.database)["child_report"][0][0]
    await auditor.open(f"/desk/privacy/reports/{number}")
    await auditor.submit(f"/desk/privacy/reports/{number}", account=child)
    left = repr(everything(office.database, but=("mail",)))
    for word in ("ann@mail.example", "Ann of Example", "nine years", "parent@mail.example"):
        assert word not in left, word


async def test_a_reporter_is_not_told_who_has_an_account(office: Office) -> None:
    make_account(office.database)
    known, unknown = await report(office, "ann@mail.example"), await report(office, "bob@mail.example")
    numbers = [row[0] for row in everything(office.database)["child_report"]]

    def bare(browser: Browser) -> str:
        text = browser.text
        for number in numbers:
            text = text.replace(number, "")
        return text

    assert bare(known) == bare(unknown)


async def test_a_new_notice_is_announced_to_everybody_once(office: Office) -> None:
    ann = make_account(office.database, notice="2025-01")
    for _ in range(2):
        await tell_of_new_notice(office)
    mails = everything(office.database)["mail"]
    assert [row[1] for row in mails] == ["ann@mail.example"]
    browser = browser_of(office, ann)
    await browser.open("/privacy")
    assert "The privacy notice has changed" in browser.text
