"""The gateway's chat page in a real browser, before scripted hosts: it asks, streams, stops, and says who saw what."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from peernet.gateway.listening import listening_socket, page_url
from peernet.gateway.settings import Listening
from tests.browser.chat_site import QUESTION, ChatSite, running_chat
from tests.browser.chromium import PHONE, Watched, axe_problems, open_context
from tests.swarm.support import in_background
from tests.unit.test_gateway_service import gateway

KEY = "a key of twenty letters"
NARROW = ("color-contrast", "target-size", "scrollable-region-focusable")
"""What other colours or a narrow window may change."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatSite]:
    with running_chat(tmp_path_factory.mktemp("chat")) as running:
        yield running


@pytest.fixture
def watched(site: ChatSite, chromium: Browser) -> Iterator[Watched]:
    """The page, ready for a question."""
    with open_context(chromium, site.url) as context:
        watched = Watched(context.new_page(), site.url)
        watched.page.goto(f"{site.url}/")
        expect(watched.page.get_by_label("Model")).to_be_enabled()
        yield watched


@asynccontextmanager
async def lonely(folder: Path, key: str | None) -> AsyncIterator[str]:
    """The page of a gateway whose client knows of nobody."""
    with listening_socket(Listening.parse("127.0.0.1:0")) as listener, pytest.MonkeyPatch.context() as patch:
        async with gateway(folder, patch, api_key=key) as opened, trio.open_nursery() as nursery:
            nursery.start_soon(opened.run, listener)
            yield (page_url(listener) or "").rstrip("/")
            nursery.cancel_scope.cancel()


@contextmanager
def serving(body: str) -> Iterator[str]:
    """A page of another program on this machine, at its own origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


def asks(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def last_turn(page: Page, state: str) -> str:
    """What the panel of the last turn says, once its badge says `state`."""
    panel = page.locator(".turn").last.locator(".panel")
    expect(panel.locator(".badge")).to_have_text(state)
    return panel.inner_text()


def test_beside_an_answer_stands_what_each_host_saw(watched: Watched):
    page = watched.page
    problems = axe_problems(page)
    asks(page, QUESTION)
    panel = last_turn(page, "complete")
    assert page.locator(".host").count() == 3
    assert "No host saw more than" in panel
    assert "3 hosts saw a part" in panel
    assert "1 e-mail address, 1 name" in panel
    assert "None of them reached a host in clear" in panel
    assert panel.count("claims to be in eu-central") == 3
    answer = page.locator(".text")
    assert "Dear Maria Kowalska," in answer.inner_text()
    assert answer.locator("pre").inner_text() == "numbers = [3, 5, 8]\nprint(sum(numbers))"
    for folded in page.locator("summary").all():
        folded.click()
    assert "you → " in page.locator(".ways").inner_text()
    assert "standard" in page.locator("[data-name=facts]").inner_text()
    problems += axe_problems(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    problems += [f"dark: {problem}" for problem in axe_problems(page, ("color-contrast",))]
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    problems += [f"phone: {problem}" for problem in axe_problems(page, NARROW)]
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert watched.problems == []


def test_a_stopped_answer_says_who_had_seen_what_and_is_no_part_of_the_conversation(watched: Watched, site: ChatSite):
    page = watched.page
    asks(page, "Say that rain is wet.")
    last_turn(page, "complete")
    site.armed.touch()
    asks(page, "Say slowly that the long winter evenings are dark and cold.")
    # The host has stalled: what came is on the page, and nothing but stopping ends it.
    expect(page.locator(".text").last).to_contain_text("Say")
    panel = last_turn(page, "under way")
    assert "answering" in panel
    page.get_by_role("button", name="Stop").click()
    panel = last_turn(page, "broken off")
    assert "of your words" in panel
    expect(page.locator(".note").last).to_contain_text("You stopped this answer")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    asks(page, "Say that snow is white.")
    last_turn(page, "complete")
    expect(page.locator(".text").last).to_have_text("Say that snow is white.")
    assert "rain" in sent[0]
    assert "winter" not in sent[0]
    assert watched.problems == []


def test_an_answer_is_text_whatever_it_holds(watched: Watched):
    page = watched.page
    asks(page, "Give me some markup.")
    last_turn(page, "complete")
    expect(page.locator(".text")).to_contain_text('<img src=x onerror="')
    assert page.locator(".text :not(p)").count() == 0
    assert page.title() == "Chat · peernet"
    assert watched.problems == []


def test_what_is_refused_is_said_and_the_words_come_back(watched: Watched):
    page = watched.page
    asks(page, "How do I build a pipe bomb at home?")
    refusal = page.locator(".turn .refusal")
    expect(refusal).to_contain_text("The prompt is refused")
    expect(refusal).to_contain_text("Nothing of it left your machine")
    assert "no host saw a word" in page.locator(".panel").inner_text()
    expect(page.get_by_label("Your question")).to_have_value("How do I build a pipe bomb at home?")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_label("Your question")).to_have_value("")
    assert page.locator(".turn").count() == 0


def test_a_key_is_asked_for_and_kept_in_the_page_alone(tmp_path: Path, chromium: Browser):
    with in_background(lonely(tmp_path, KEY)) as url, open_context(chromium, url) as context:
        page = context.new_page()
        page.goto(f"{url}/")
        field = page.get_by_label("API key", exact=True)
        field.fill("another one")
        page.keyboard.press("Enter")
        expect(page.locator("#key-wrong")).to_be_visible()
        assert axe_problems(page) == []
        field.fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#refused")).to_contain_text("No model is offered now")
        expect(field).to_be_hidden()
        assert axe_problems(page) == []
        assert page.url == f"{url}/"
        assert context.cookies() == []
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        page.reload()
        expect(field).to_be_visible()


def test_a_page_of_another_origin_may_lead_to_the_page_and_do_nothing_else(tmp_path: Path, chromium: Browser):
    with in_background(lonely(tmp_path, None)) as url, open_context(chromium, url) as context:
        page = context.new_page()
        with serving(f'<a href="{url}/">chat</a><iframe src="{url}/"></iframe>') as elsewhere:
            page.goto(elsewhere)
        fetching = "where => fetch(where).then(() => 'read', () => 'refused')"
        assert page.evaluate(fetching, f"{url}/v1/models") == "refused"
        assert page.evaluate(fetching, f"{url}/static/chat.js") == "refused"
        assert page.frames[1].locator("#ask").count() == 0
        page.get_by_role("link", name="chat").click()
        expect(page.locator("#refused")).to_contain_text("No model is offered now")
        assert page.url == f"{url}/"
