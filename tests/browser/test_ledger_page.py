"""The script that verifies proofs in the page: it believes what holds, and says what does not, or was not checked."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from peernet.core.ledger.proofs import LogProof
from tests.browser.chromium import open_context
from tests.portal_site import Site, running_site

ENTRY = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def window(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    with open_context(chromium, site.url) as context:
        yield context


def proof_of(site: Site, index: int = ENTRY) -> str:
    return site.ledger.log.inclusion_proof(index, site.ledger.note).decode()


def verdict(shown: Page) -> tuple[str, str]:
    box = shown.locator("#verdict[data-result]")
    box.wait_for()
    return box.get_attribute("data-result") or "", box.inner_text()


def pasted(site: Site, window: BrowserContext, proof: str) -> tuple[str, str]:
    shown = window.new_page()
    shown.goto(f"{site.url}/ledger/check")
    shown.get_by_label("The proof").fill(proof)
    shown.get_by_role("button", name="Verify").click()
    return verdict(shown)


@pytest.mark.parametrize("index", [0, ENTRY, 34])
def test_every_entry_of_an_honest_log_is_verified(site: Site, window: BrowserContext, index: int):
    shown = window.new_page()
    shown.goto(f"{site.url}/ledger/entries/{index}")
    result, words = verdict(shown)
    assert result == "verified"
    assert f"lead from entry {index} to the root of 35 entries" in words
    assert "alder.example signed the checkpoint" in words
    assert "birch.example/validator and cedar.example/validator each replayed every rule" in words
    assert "elder.example" not in words


def test_a_proof_that_was_given_is_verified_and_sent_to_nobody(site: Site, window: BrowserContext):
    sent: list[tuple[str, str]] = []
    window.on("request", lambda request: sent.append((request.method, request.url)))
    assert pasted(site, window, proof_of(site))[0] == "verified"
    assert all(method == "GET" and "?" not in url for method, url in sent)
    assert {url for _, url in sent if "/static/" not in url} == {f"{site.url}/ledger/check"}


def another_entry(site: Site) -> str:
    other = LogProof.parse(proof_of(site, ENTRY + 1).encode()).extra
    mine = LogProof.parse(proof_of(site).encode())
    return LogProof(mine.index, mine.path, mine.checkpoint, other).encode().decode()


def another_place(site: Site) -> str:
    return proof_of(site).replace(f"index {ENTRY}\n", f"index {ENTRY + 1}\n")


def another_size(site: Site) -> str:
    return proof_of(site).replace("\n35\n", "\n36\n")


def a_shorter_path(site: Site) -> str:
    mine = LogProof.parse(proof_of(site).encode())
    return LogProof(mine.index, mine.path[:-1], mine.checkpoint, mine.extra).encode().decode()


def a_longer_path(site: Site) -> str:
    mine = LogProof.parse(proof_of(site).encode())
    return LogProof(mine.index, (*mine.path, bytes(32)), mine.checkpoint, mine.extra).encode().decode()


def another_signature(site: Site) -> str:
    lines = proof_of(site).splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if line.startswith("\u2014 birch.example/validator "))
    lines[place] = lines[place][:-12] + ("AAAA" if lines[place][-12:-8] != "AAAA" else "BBBB") + lines[place][-8:]
    return "".join(lines)


def unsigned(site: Site) -> str:
    return "".join(line for line in proof_of(site).splitlines(keepends=True) if "\u2014 alder.example " not in line)


def no_proof(_: Site) -> str:
    return "Dear Sir or Madam"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_entry, "do not lead to the root"),
        (another_place, "do not lead to the root"),
        (another_size, "signature of alder.example is wrong"),
        (a_shorter_path, "too short"),
        (a_longer_path, "too long"),
        (another_signature, "signature of birch.example/validator is wrong"),
        (unsigned, "No log that this node knows signed"),
        (no_proof, "does not begin with"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_does_not_hold_is_told(site: Site, window: BrowserContext, change, said: str):
    result, words = pasted(site, window, change(site))
    assert result == "failed"
    assert said in words


def test_a_browser_without_ed25519_says_so(site: Site, window: BrowserContext):
    window.add_init_script("crypto.subtle.importKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))")
    result, words = pasted(site, window, proof_of(site))
    assert result == "partly"
    assert "your browser has no Ed25519" in words


def test_without_script_the_page_says_that_nothing_was_verified(site: Site, chromium: Browser):
    with chromium.new_context(java_script_enabled=False) as context:
        shown = context.new_page()
        shown.goto(f"{site.url}/ledger/entries/{ENTRY}")
        assert shown.get_by_text("Nothing was verified here").is_visible()
        assert not shown.locator("#verdict").is_visible()
        assert shown.locator("#proof").inner_text().strip() == proof_of(site).strip()
