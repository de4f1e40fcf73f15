"""What everybody sees of the portal: figures, the notice of transparency, menus, and what programs look for."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from bootstrap.people.visitor import ANYBODY, Visitor
from bootstrap.portal.app import Portal
from bootstrap.portal.cards import Card, shown_cards
from bootstrap.portal.home import MASKING
from bootstrap.portal.menu import FOOTER, MENU, menu_for
from bootstrap.portal.office import Office
from bootstrap.portal.pages import number
from bootstrap.portal.table import ROUTES
from tests.browsing import ORIGIN, Browser, new_office
from tests.people_made import add_account, signed_in
from tests.portal_site import FIGURES, FixedFigures

ROOT = Path(__file__).resolve().parents[2]
LEAKS = ROOT / "docs" / "leaks.md"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def browser(office: Office) -> Browser:
    return Browser(Portal(office, ROUTES))


async def test_the_first_page_has_the_networks_figures(office: Office, browser: Browser):
    await browser.open("/")
    assert "The network now" not in browser.text
    office.figures = FixedFigures()
    await browser.open("/")
    for said in ("The network now", number(FIGURES.settlements), number(FIGURES.tokens), *FIGURES.models):
        assert said in browser.page.text, said


async def test_the_first_page_says_one_where_there_is_one(office: Office, browser: Browser):
    class One:
        async def current(self):
            return evolve(FIGURES, relays=1, hosts=1, models=("m",), regions=(), settlements=0, directory_at_s=0)

    office.figures = One()
    await browser.open("/")
    assert "not signed yet" in browser.text
    assert "<dt>relay</dt><dd>1</dd>" in browser.page.text
    assert "<dt>claimed regions</dt><dd>0</dd>" in browser.page.text


def test_the_figures_of_masking_are_those_that_were_measured():
    measured = {
        name: (int(documents), round(1000 * float(found)))
        for name, documents, found in re.findall(
            r"^\| (\w+) \| (\d+) \| \**([0-9.]+)\** /",
            LEAKS.read_text("utf-8").partition("## By kind")[0],
            re.MULTILINE,
        )
    }
    assert len(measured) >= 5
    assert {each.name: (each.documents, each.found_permille) for each in MASKING} == measured


async def test_security_txt_is_what_rfc_9116_wants(office: Office, browser: Browser):
    answer = await browser.http.get("/.well-known/security.txt")
    assert answer.headers["content-type"].startswith("text/plain")
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == f"{ORIGIN}/contact"
    assert fields["Canonical"] == f"{ORIGIN}/.well-known/security.txt"
    ends = datetime.fromisoformat(fields["Expires"])
    assert 100 < (ends - datetime.fromtimestamp(office.now_s(), UTC)).days < 365
    office.config = evolve(office.config, contact_email="help@alder.example")
    assert "Contact: mailto:help@alder.example\n" in (await browser.http.get("/.well-known/security.txt")).text


async def test_well_known_addresses_lead_to_what_is_there(browser: Browser):
    known = {route.path for route in ROUTES}
    for path in ("/.well-known/change-password", "/favicon.ico"):
        answer = await browser.http.get(path)
        there = answer.headers["location"]
        assert there in known or (await browser.http.get(there)).status_code == 200


def test_everything_in_the_menus_is_there():
    known = {route.path: route for route in ROUTES if route.method == "GET" and route.kind == "page"}
    for entry in (*MENU, *FOOTER):
        assert entry.path in known, entry
        rule = known[entry.path].rule
        assert bool(entry.signed_in) or not rule.signed_in, entry
        assert (entry.role in rule.roles) if rule.roles else entry.role is None, entry


def test_a_menu_has_what_its_reader_may_see():
    nobody = menu_for(ANYBODY)
    assert nobody.groups == ()
    assert "/dashboard" not in [entry.path for entry in nobody.main]
    person = menu_for(Visitor(account_id="a"))
    assert [group.name for group in person.groups] == ["Your account"]
    both = menu_for(Visitor(account_id="a", roles=frozenset({"operator", "auditor"})))
    assert [group.name for group in both.groups] == ["Your account", "Operator’s desk"]
    paths = [entry.path for group in both.groups for entry in group.entries]
    assert len(paths) == len(set(paths))


async def test_a_dashboard_is_its_persons_own(office: Office):
    browser = signed_in(office, add_account(office.database, "ann@example.org"))
    assert "Hello, ann" in (await browser.open("/dashboard")).text.replace("<bdi>", "").replace("</bdi>", "")
    assert (await browser.open("/desk")).status_code == 404
    desk = signed_in(office, add_account(office.database, "olga@example.org", roles=["auditor"]))
    assert (await desk.open("/desk")).status_code == 200
    assert "2 active" in desk.text


async def test_a_card_is_for_those_whom_it_names():
    async def values(_) -> Mapping[str, object]:
        return {}

    class Visit:
        visitor = Visitor(account_id="a", roles=frozenset({"host"}))

    cards = (Card("all", "t", values), Card("hosts", "t", values, frozenset({"host"})))
    assert [shown.card.name for shown in await shown_cards(Visit(), cards)] == ["all", "hosts"]  # type: ignore[arg-type]
    Visit.visitor = Visitor(account_id="a")
    assert [shown.card.name for shown in await shown_cards(Visit(), cards)] == ["all"]  # type: ignore[arg-type]
