"""The ledger over HTTP: raw files as C2SP has them, entries as people read them, and nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import pytest
from attrs import evolve, frozen

from bootstrap.portal.app import Portal
from bootstrap.portal.office import Office
from bootstrap.portal.table import ROUTES
from bootstrap.portal.visit import SESSION_COOKIE
from bootstrap.public.ledger_view import _KINDS, facts_of, state_of_log
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import Entry
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.policy import one_log_policy
from peernet.core.ledger.proofs import LogProof, open_entry_proof
from tests.browsing import Browser, new_office
from tests.ledger_nodes import SUITE
from tests.portal_site import SITE_NOW_S, SiteLedger, new_person, site_ledger


@frozen
class Shown:
    office: Office
    ledger: SiteLedger
    browser: Browser


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteLedger]:
    with ExitStack() as stack:
        yield site_ledger(tmp_path_factory.mktemp("ledger"), stack, lanes=180)


@pytest.fixture
def shown(tmp_path: Path, ledger: SiteLedger) -> Iterator[Shown]:
    office = new_office(tmp_path)
    office.ledger = ledger.view()
    yield Shown(office, ledger, Browser(Portal(office, ROUTES)))
    office.database.close()


async def test_files_are_the_logs_own(shown: Shown):
    log, http = shown.ledger.log, shown.browser.http
    for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"):
        answer = await http.get(f"/ledger/{path}")
        assert answer.content == log.read(path), path
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"] == "application/octet-stream"
    answer = await http.get("/ledger/checkpoint")
    assert answer.content == shown.ledger.note
    assert answer.headers["content-type"].startswith("text/plain")
    assert "immutable" not in answer.headers["cache-control"]


async def test_what_may_be_kept_by_caches_carries_nobodys_cookie(shown: Shown):
    office = shown.office
    secret = new_person(office, "ann", "Ann")
    shown.browser.http.cookies.set(SESSION_COOKIE, secret)
    start = office.now_s()
    office.now_s = lambda: start + 16 * 60  # when a session's secret is due to be replaced
    for path in ("checkpoint", "tile/0/000"):
        answer = await shown.browser.http.get(f"/ledger/{path}")
        assert answer.headers["cache-control"].startswith("public")
        assert "set-cookie" not in answer.headers
    assert SESSION_COOKIE in (await shown.browser.http.get("/ledger")).headers["set-cookie"]


async def test_files_of_a_mirrored_log_are_served_too(shown: Shown):
    ((prefix, mirror),) = shown.ledger.mirrors.items()
    assert prefix == mirror_prefix("birch.example")
    for path in ("checkpoint", "tile/entries/000.p/1"):
        assert (await shown.browser.http.get(f"/ledger/{prefix}{path}")).content == mirror.read(path)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001.p/45",
        "tile/0/002",
        "tile/0/x000/001",
        "tile/9/000",
        "tile/entries/%2e%2e/0/000",
        "tile/0/000.p/256",
        "tile/",
        "mirror/nobody/checkpoint",
        "mirror/%2e%2e/checkpoint",
        "entries/300",
        "entries/-1",
        "entries/007",
        "entries/9999999999999999999",
        "entries/\u0661",
        "entries/300/proof",
        "entries/x/proof",
    ],
)
async def test_there_is_nothing_else(shown: Shown, path: str):
    assert (await shown.browser.http.get(f"/ledger/{path}")).status_code == 404


async def test_an_entry_says_what_its_leaf_says(shown: Shown):
    log, browser = shown.ledger.log, shown.browser
    entry = log.entry(4)
    await browser.open("/ledger/entries/4")
    assert entry.lane_key.hex() in browser.text
    assert "2026-11-26 23:50 UTC" in browser.text
    proof = (await browser.http.get("/ledger/entries/4/proof")).content
    leaf, checkpoint = open_entry_proof(proof, log.verifier_key, SUITE)
    assert checkpoint.size == log.size == 300
    assert LogProof.parse(proof).checkpoint == shown.ledger.note
    assert leaf == LogProof.parse(log.inclusion_proof(4)).extra


async def test_the_newest_entries_come_first_and_all_have_a_page(shown: Shown):
    browser = shown.browser
    await browser.open("/ledger")
    assert 'href="/ledger/entries/299"' in browser.page.text
    assert 'href="/ledger/entries/284"' not in browser.page.text
    await browser.open("/ledger?page=20")
    assert 'href="/ledger/entries/0"' in browser.page.text
    for odd in ("0", "-1", "x", "999999999999999", "1e3", ""):
        assert (await browser.open(f"/ledger?page={odd}")).status_code == 200


async def test_who_cosigned_is_shown(shown: Shown):
    await shown.browser.open("/ledger")
    text = shown.browser.text
    assert "final (3 of 4)" in text
    assert text.count("not yet") == 2
    assert "replayed here" in text


async def test_an_entry_is_found_by_number_and_by_lane(shown: Shown):
    log, browser = shown.ledger.log, shown.browser
    assert str((await browser.open("/ledger/find?q=%2017")).url).endswith("/ledger/entries/17")
    lane = log.entry(0).lane_key
    await browser.open(f"/ledger/find?q={lane.hex()}")
    assert 'href="/ledger/entries/0"' in browser.page.text
    assert 'href="/ledger/entries/1"' in browser.page.text
    for odd in ("300", "zz", "a" * 64, "<script>", "\u0661", "%00", "A" * 500):
        assert "No such entry" in (await browser.open(f"/ledger/find?q={odd}")).text


async def test_without_a_ledger_the_page_says_so(tmp_path: Path):
    office = new_office(tmp_path)
    browser = Browser(Portal(office, ROUTES))
    await browser.open("/ledger")
    assert "No ledger here" in browser.text
    assert (await browser.open("/ledger/entries/0")).status_code == 404
    office.database.close()


def test_a_log_alone_is_said_to_be_on_its_word(shown: Shown):
    key = shown.ledger.log.verifier_key
    state = state_of_log(shown.ledger.log.checkpoint(), key, one_log_policy(key), SUITE, own=True, refused=False)
    assert (state.finality, state.nodes) == ("on the log's word alone", {})
    with pytest.raises(RemoteProtocolError):
        other = evolve(key, public_key=bytes(32))
        state_of_log(shown.ledger.log.checkpoint(), other, one_log_policy(other), SUITE, own=True, refused=False)


def test_every_kind_of_entry_has_a_name_for_people():
    assert set(get_args(Entry)) == set(_KINDS)


def test_entries_of_kinds_to_come_are_shown_field_by_field():
    @frozen
    class Issue:
        issuer_key: bytes
        count: int
        total_microcredits: int
        at_s: int
        serials: tuple[bytes, ...]

    facts = {fact.label: (fact.value, fact.kind) for fact in facts_of(Issue(b"\x01", 3, 5, SITE_NOW_S, (b"a", b"b")))}
    assert facts == {
        "Issuer key": ("01", "key"),
        "Count": (3, "words"),
        "Total": (5, "credits"),
        "Taken by the log": (SITE_NOW_S, "time"),
        "Serials": ("2 of them", "words"),
    }
