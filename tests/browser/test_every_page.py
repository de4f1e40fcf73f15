"""Every page of the table that needs no parameter, in a real browser: nobody is kept out, nothing breaks, nobody else
is asked for anything. Each is looked at by day, by night, and on a phone.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Response
from playwright.sync_api import Page as Shown

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.routes import Page, page
from bootstrap.portal.table import ROUTES
from bootstrap.portal.visit import SESSION_COOKIE, Visit
from bootstrap.refusal import Refused
from tests.browser.chromium import PHONE, Watched, axe_problems, open_context
from tests.portal_site import Site, new_person, running_site

FILES = {
    "/ledger/checkpoint",
    "/.well-known/security.txt",
    "/robots.txt",
    "/favicon.ico",
    "/healthz",
    "/statements/csv",
}
"""What is no page for people, although it is no API either."""
GOES_ON = {"/.well-known/change-password"}
BY_LINK = {"/recover/new": 410, "/test-provider": 404}
"""Where people come by a link of a mail: without one there is a page, too, which says so."""
COMPONENTS = "/components"
MAX_TABS = 60
ON_A_PHONE = ("color-contrast", "target-size", "scrollable-region-focusable")
"""What a narrow window or other colours may change."""


async def components(visit: Visit):
    refusal = Refused("the code has been used", reason="used", field="code")
    return visit.page("components.html", refusal=refusal)


SHOWN = (*ROUTES, page("GET", COMPONENTS, components, EVERYBODY, "Every piece that pages are made of"))
PAGES = [
    route
    for route in SHOWN
    if route.method == "GET" and route.kind == "page" and "{" not in route.path and route.path not in FILES | GOES_ON
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site"), SHOWN) as running:
        yield running


@pytest.fixture(scope="module")
def anybody(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    with open_context(chromium, site.url) as context:
        yield context


@pytest.fixture(scope="module")
def somebody(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """The window of a person who may see everything."""
    secret = new_person(site.office, "olga", "Olga Operator", "host", "operator", "auditor")
    with open_context(chromium, site.url, cookies={SESSION_COOKIE: secret}) as context:
        yield context


def opened(site: Site, context: BrowserContext, path: str) -> tuple[Watched, Response]:
    watched = Watched(context.new_page(), site.url)
    response = watched.page.goto(site.url + path)
    assert response is not None
    return watched, response


@pytest.mark.parametrize("route", PAGES, ids=[route.path for route in PAGES])
def test_a_page_keeps_nobody_out(site: Site, anybody: BrowserContext, somebody: BrowserContext, route: Page):
    watched, response = opened(site, somebody if route.rule.signed_in else anybody, route.path)
    shown = watched.page
    try:
        assert response.status == BY_LINK.get(route.path, 200)
        assert shown.url.partition("?")[0] == site.url + route.path
        reach_by_keyboard(shown)
        problems = axe_problems(shown)
        shown.emulate_media(color_scheme="dark", reduced_motion="reduce")
        problems += [f"dark: {problem}" for problem in axe_problems(shown, ("color-contrast",))]
        shown.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        problems += [f"phone: {problem}" for problem in axe_problems(shown, ON_A_PHONE)]
        assert problems == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert [
            problem for problem in watched.problems if f" status of {BY_LINK.get(route.path)} " not in problem
        ] == []
    finally:
        shown.close()


def reach_by_keyboard(shown: Shown) -> None:
    """Past the menu by the first key, and on to the first field of the page's form."""
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    if not shown.locator("main form :is(input, select, textarea, button):not([type=hidden]):visible").count():
        return
    for _ in range(MAX_TABS):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.closest('main form') !== null"):
            return
    pytest.fail("no field of the page's form is reached")


def test_the_menu_of_a_phone_opens_without_script(site: Site, chromium: Browser):
    with chromium.new_context(java_script_enabled=False, viewport={"width": PHONE[0], "height": PHONE[1]}) as context:
        shown = context.new_page()
        shown.goto(site.url)
        link = shown.locator(".menu").get_by_role("link", name="Ledger")
        assert not link.is_visible()
        shown.locator(".menu summary").focus()
        shown.keyboard.press("Enter")
        assert link.is_visible()
        link.click()
        assert shown.url == f"{site.url}/ledger"


def test_what_is_printed_has_no_menu(site: Site, anybody: BrowserContext):
    shown = opened(site, anybody, COMPONENTS)[0].page
    assert shown.get_by_role("link", name="Sign in").first.is_visible()
    shown.emulate_media(media="print")
    assert not shown.get_by_role("link", name="Sign in").first.is_visible()
    assert shown.get_by_role("table").is_visible()
    assert len(shown.pdf()) > 1000
    shown.close()


def test_a_page_that_is_not_there_is_a_page(site: Site, anybody: BrowserContext):
    shown = anybody.new_page()
    response = shown.goto(site.url + "/nowhere")
    assert response is not None
    assert response.status == 404
    assert axe_problems(shown) == []
    shown.close()
