"""P10: providers that receive data are listed with what they receive; lawful requests are registered and counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.portal.office import Office
from bootstrap.portal.rights_public import providers_of
from bootstrap.portal.visit import SESSION_COOKIE
from bootstrap.rights.lawful import LAWFUL_KINDS
from tests.accounts import everything, make_account
from tests.browsing import Browser, new_office

NOW = 1_795_000_000


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path, mail_provider="Post Ltd, Ireland", hosting_provider="Racks AG, Switzerland")
    made.now_s = lambda: NOW
    yield made
    made.database.close()


def browser_of(office: Office, account: str) -> Browser:
    secret = office.database.write(lambda transaction: begin_session(transaction, account, Origin("", ""), NOW))
    browser = Browser(office)
    browser.http.cookies.set(SESSION_COOKIE, secret)
    return browser


async def test_everybody_can_read_who_receives_what(office: Office) -> None:
    browser = Browser(office)
    await browser.open("/providers")
    listed = providers_of(office)
    assert len(listed) >= 3, "mail, the machine, and payments"
    for word in ("Post Ltd", "Racks AG", "your e-mail address", *(each.purpose for each in listed)):
        assert word in browser.text, word
    assert all(each.data for each in listed)


async def test_a_request_is_entered_by_one_and_closed_by_another_and_counted_in_public(office: Office) -> None:
    olga = browser_of(office, make_account(office.database, "olga", "operator"))
    auditor = browser_of(office, make_account(office.database, "aud", "auditor"))
    await olga.open("/desk/lawful-requests")
    entry = {"kind": "account", "authority": "Court", "country": "CH", "summary": "Who is it"}
    await olga.submit("/desk/lawful-requests", **entry, received_on="2026-10-01")
    number = everything(office.database)["lawful_request"][0][0]
    await auditor.open("/desk/lawful-requests")
    path = f"/desk/lawful-requests/{number}"
    page = await olga.open("/contact")
    token = page.text.partition('name="csrf_token" value="')[2][:64]
    await olga.http.post(
        path, data={"csrf_token": token, "outcome": "refused"}, headers={"origin": str(office.origin)}
    )
    assert everything(office.database)["lawful_request"][0][6] == "open", "who entered it has closed it"
    await auditor.open(path)
    await auditor.submit(path, outcome="refused")
    counts = (await Browser(office).http.get("/api/v1/lawful-requests")).json()["counts"]
    assert [(count["kind"], count["refused"]) for count in counts if count["received"]] == [("account", 1)]


async def test_zeros_are_shown_too(office: Office) -> None:
    browser = Browser(office)
    await browser.open("/lawful-requests")
    for words in LAWFUL_KINDS.values():
        assert f"{words} 0 0 0 0" in browser.text
