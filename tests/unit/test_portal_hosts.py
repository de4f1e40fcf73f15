"""Hosts on pages and over the API: whose they are, what hosts send, and what operators decide."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from attrs import asdict

from bootstrap.hosts.agreement import agreement
from bootstrap.hosts.appeals import make_appeal
from bootstrap.hosts.earnings import Earned, NoEarnings
from bootstrap.hosts.measuring import Measured, record_round
from bootstrap.hosts.network import SeenHost
from bootstrap.hosts.standing import APPEAL_WITHIN_S, give_strike, suspend_host
from bootstrap.people.sessions import Origin, begin_session
from bootstrap.portal.hosts_jobs import lapse_and_carry_out, measure_hosts, tell_network
from bootstrap.portal.office import Office
from bootstrap.portal.visit import SESSION_COOKIE
from peernet.core.host_statements import AbuseReport, HostAgreement, ServiceReport, sign, sign_payout_key
from tests.browsing import ORIGIN, Browser, new_office
from tests.registered_hosts import SUITE, FakeNetwork, HostKeys, add_account, add_host, keys_of

NOW_S = 1_000 * 24 * 3600 + 7_200
KEY = keys_of(1).peer.public_key
WHY = {"reason": "stores_text", "explanation": "A log file was <b>found</b>."}
LANE = b"\x0a" * 32
CODE = re.compile(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}")


class Settled(NoEarnings):
    def of_hosts(self, transaction, account_id, now_s):
        hosts = transaction.rows("SELECT id FROM host WHERE account_id = :account", account=account_id)
        return {host: Earned(9_000_000, 2_500_000, 1_000_000) for (host,) in hosts}

    def cents_of(self, microcredits):
        return microcredits // 1_000


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW_S
    made.hosts = FakeNetwork()
    made.earnings = Settled()

    def set_up(transaction) -> None:
        for name, *roles in (("ann",), ("bob",), ("olga", "operator"), ("omar", "operator"), ("udo", "auditor")):
            add_account(transaction, name, *roles, notice=made.notice_version)

    made.database.write(set_up)
    yield made
    made.database.close()


@pytest.fixture
def host(office: Office) -> str:
    return office.database.write(lambda transaction: add_host(transaction, "ann", now_s=NOW_S))


def browse(office: Office, name: str | None = None) -> Browser:
    browser = Browser(office)
    if name is not None:
        begin = partial(
            begin_session, account_id=name, origin=Origin("203.0.113.0/24", "Firefox"), now_s=office.now_s()
        )
        browser.http.cookies.set(SESSION_COOKIE, office.database.write(begin))
    return browser


def one(office: Office, sql: str, **values):
    row = office.database.read(lambda transaction: transaction.row(sql, **values))
    return None if row is None else row[0]


def body_of(keys: HostKeys, code: str, changes: dict[str, object] | None = None) -> dict[str, object]:
    """What `POST /api/v1/hosts` takes; `changes` are made after it was signed."""
    now = agreement()
    statement = HostAgreement(ORIGIN, now.version, now.digest, code, keys.peer.public_key, keys.payout.public_key)
    return {
        "portal": ORIGIN,
        "version": now.version,
        "digest": now.digest.hex(),
        "code": code,
        "peer_id": str(keys.peer.peer_id),
        "payout_key": keys.payout.public_key.hex(),
        "signature": sign(statement, keys.peer.seed, SUITE).hex(),
        "payout_signature": sign_payout_key(statement, keys.payout.seed, SUITE).hex(),
        "name": "cellar",
        "cores": 4,
        "memory_mib": 8192,
        "engine": "embedded",
        "software": "peernet/1",
        "models": [f"small {'ab' * 32}"],
        **(changes or {}),
    }


async def test_a_person_gets_a_code_and_their_host_registers_with_it(office: Office):
    browser = browse(office, "ann")
    await browser.open("/hosts")
    assert "No host yet" in browser.text
    await browser.submit("/hosts/codes")
    (code,) = set(CODE.findall(browser.text))
    assert f"--portal {ORIGIN}" in browser.text
    answer = await browse(office).call("POST", "/api/v1/hosts", body_of(keys_of(1), code))
    assert answer.status_code == 201, answer.text
    page = await browser.open(f"/hosts/{answer.json()['host']}")
    assert page.status_code == 200
    assert str(keys_of(1).peer.peer_id) in browser.text
    again = await browse(office).call("POST", "/api/v1/hosts", body_of(keys_of(2), code))
    assert (again.status_code, again.json()["reason"]) == (409, "bad_code")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": "AAAA-AAAA-AAAA-AAAA"}, "bad_signature"),
        ({"peer_id": str(keys_of(2).peer.peer_id)}, "bad_signature"),
        ({"payout_key": "ab" * 32}, "bad_signature"),
        ({"digest": "ab" * 32}, "other_text"),
        ({"version": "2025-01"}, "old_agreement"),
        ({"portal": "https://evil.example"}, "other_portal"),
        ({"peer_id": "1" * 50}, "bad_body"),
        ({"models": ["small"]}, "bad_body"),
        ({"name": "\u202eevil"}, "bad_name"),
        ({"cores": 0}, "bad_body"),
        ({"extra": 1}, "bad_body"),
    ],
)
async def test_the_api_registers_nothing_that_was_not_signed(office: Office, changes: dict, reason: str):
    browser = browse(office, "ann")
    await browser.open("/hosts")
    await browser.submit("/hosts/codes")
    (code,) = set(CODE.findall(browser.text))
    answer = await browse(office).call("POST", "/api/v1/hosts", body_of(keys_of(1), code, changes))
    assert answer.json()["reason"] == reason
    assert one(office, "SELECT count(*) FROM host") == 0


async def test_somebody_elses_host_is_not_there(office: Office, host: str):
    sanction = office.database.write(partial(give_strike, host_id=host, by="olga", now_s=NOW_S, **WHY))
    bob = browse(office, "bob")
    for path in (f"/hosts/{host}", f"/hosts/sanctions/{sanction}/appeal", f"/api/v1/hosts/{host}"):
        assert (await bob.open(path)).status_code == 404
    await bob.open("/hosts")
    assert "cellar" not in bob.text
    token = re.search(r'csrf_token" value="(\w+)"', bob.page.text)
    assert token is not None
    for path in (f"/hosts/{host}/settings", f"/hosts/{host}/retire", f"/hosts/sanctions/{sanction}/appeal"):
        sent = {"csrf_token": token[1], "name": "mine", "words": "It was not so at all."}
        assert (await bob.http.post(path, data=sent)).status_code == 404
    assert one(office, "SELECT name FROM host") == "cellar"
    for path in (f"/desk/hosts/{host}", "/desk/hosts", "/desk/appeals", "/desk/abuse"):
        assert (await bob.open(path)).status_code == 404


async def test_the_page_of_a_host_tells_figures_by_their_source(office: Office, host: str):
    measured = [Measured(host, KEY, 12_000), Measured(host, KEY, None)]
    seen = {KEY: SeenHost("eu-north", {"small": b"\x01" * 32})}
    office.database.write(partial(record_round, measured=measured, seen=seen, now_s=NOW_S))
    await report(office, host)
    browser = browse(office, "ann")
    await browser.open(f"/hosts/{host}")
    for said in ("50.0 % uptime of 30 days, measured", "200 ms to the first token, reported by the host",
                 "900 answer tokens, reported", "2.50 credits in 30 days, settled in the ledger",
                 "Region, as claimed eu-north", "software found it 8 cores"):  # fmt: skip
        assert said in browser.text
    assert browser.page.text.count("<svg") == 7
    assert "style=" not in browser.page.text
    await browser.open("/hosts")
    assert "50.0 %" in browser.text
    told = (await browser.http.get(f"/api/v1/hosts/{host}")).json()
    assert (told["days"][-1]["measured"]["uptime"], told["days"][-1]["reported"]["answer_tokens"]) == (0.5, 900)
    assert told["settled"]["unpaid"] == 1_000_000
    assert (await browser.http.get("/api/v1/hosts")).json()["hosts"][0]["measured"]["pings"] == 2


async def test_an_estimate_calls_itself_one_and_keeps_nothing(office: Office, host: str):
    browser = browse(office, "ann")
    await browser.open(f"/hosts/{host}?watts=100&price_per_kwh=0,30")
    assert "Estimate for a month" in browser.text
    assert "Power: 73 kWh, about 21.90" in browser.text
    assert "Left: about 3.10 EUR" in browser.text
    wrong = await browser.open(f"/hosts/{host}?watts=100&price_per_kwh=cheap")
    assert wrong.status_code == 422
    assert "a price is a number" in browser.text.lower()
    assert 'value="cheap"' in browser.page.text


async def test_a_host_is_named_in_public_only_where_its_operator_wants_that(office: Office, host: str):
    office.database.write(
        partial(record_round, measured=[Measured(host, KEY, 9)], seen={KEY: SeenHost("eu", {})}, now_s=NOW_S)
    )
    stranger, browser = browse(office), browse(office, "ann")
    await stranger.open("/status")
    assert "1 host answers now" in stranger.text
    assert "cellar" not in stranger.text
    await browser.open(f"/hosts/{host}")
    await browser.submit(f"/hosts/{host}/settings", name="<i>Attic</i>", named_in_public="yes")
    await stranger.open("/status")
    assert "&lt;i&gt;Attic&lt;/i&gt;" in stranger.page.text
    told = (await stranger.http.get("/api/v1/status")).json()
    assert told["named"] == [{"name": "<i>Attic</i>", "up": True}]
    assert "ann" not in stranger.page.text
    assert keys_of(1).peer.peer_id.public_key.hex() not in stranger.page.text
    await browser.open(f"/hosts/{host}")
    refused = await browser.submit(f"/hosts/{host}/settings", name="\u200b")
    assert refused.status_code == 422


async def test_the_agreement_is_read_by_anybody_and_its_digest_is_of_its_text(office: Office):
    browser = browse(office)
    await browser.open("/agreement")
    assert "You do not store what your host is given" in browser.text
    assert agreement().digest.hex() in browser.text
    assert (await browser.open("/agreement/2026-11")).status_code == 200
    assert (await browser.open("/agreement/1999-01")).status_code == 404
    told = (await browser.http.get("/api/v1/agreement")).json()
    assert (told["text"], told["digest"]) == (agreement().text, agreement().digest.hex())


# --- what hosts send -------------------------------------------------------------------------------------------------


async def report(office: Office, host: str, number: int = 1, **changes: object):
    sent = ServiceReport(ORIGIN, KEY, NOW_S - 600, NOW_S, 10, 1, 400, 900, 9, 1_800, 891, 17_820)
    signature = sign(sent, keys_of(number).peer.seed, SUITE).hex()
    body = {name: value for name, value in asdict(sent).items() if name != "peer_key"}
    return await browse(office).call(
        "POST", f"/api/v1/hosts/{host}/report", {**body, "signature": signature, **changes}
    )


async def test_a_report_counts_once_and_only_with_the_hosts_signature(office: Office, host: str):
    assert (await report(office, host, 2)).json()["reason"] == "bad_signature"
    assert (await report(office, host, answer_tokens=10**9)).json()["reason"] == "bad_signature"
    assert (await report(office, "a" * 24)).status_code == 404
    assert (await report(office, host)).status_code == 201
    assert (await report(office, host)).json()["reason"] == "twice"
    assert one(office, "SELECT answer_tokens FROM host_reported") == 900


async def complain(office: Office, **changes: object):
    sent = AbuseReport(ORIGIN, KEY, LANE, "violence", 3)
    body = {
        "portal": ORIGIN,
        "peer_id": str(keys_of(1).peer.peer_id),
        "lane_key": LANE.hex(),
        "category": "violence",
        "count": 3,
        "signature": sign(sent, keys_of(1).peer.seed, SUITE).hex(),
        **changes,
    }
    return await browse(office).call("POST", "/api/v1/abuse", body)


async def test_abuse_is_reported_without_text_and_only_settlements_can_be_refused(office: Office, host: str):
    assert (await complain(office, text="the prompt")).status_code == 422
    assert (await complain(office, category="The prompt was")).status_code == 422
    assert (await complain(office, lane_key="0b" * 32)).json()["reason"] == "bad_signature"
    assert (await complain(office)).status_code == 201
    browser = browse(office, "olga")
    await browser.open("/desk/abuse")
    assert "tied to no account" in browser.text
    assert "The only thing you can do is to refuse its further settlements" in browser.text
    await browser.submit(f"/desk/abuse/{LANE.hex()}/refuse")
    assert "This node settles nothing more for that lane." in browser.text
    await tell_network(office)
    assert office.hosts.refused == {LANE}
    assert one(office, "SELECT count(*) FROM access_log WHERE action = 'lane_refused' AND by_account_id = 'olga'") == 1


# --- the desk --------------------------------------------------------------------------------------------------------


async def test_strikes_suspend_and_the_directory_leaves_the_host_out(office: Office, host: str):
    browser = browse(office, "olga")
    await browser.open("/desk/hosts?q=cell")
    assert "cellar" in browser.text
    for _ in range(3):
        await browser.open(f"/desk/hosts/{host}")
        await browser.submit(f"/desk/hosts/{host}/strike", **WHY)
    assert "Done. The host's operator has been told." in browser.page.text.replace("&#39;", "'")
    await tell_network(office)
    assert office.hosts.left_out == {KEY}
    ann = browse(office, "ann")
    await ann.open(f"/hosts/{host}")
    assert "This host is suspended" in ann.text
    assert "A log file was &lt;b&gt;found&lt;/b&gt;." in ann.page.text
    assert "olga" not in ann.page.text
    assert "olga" not in (await ann.http.get(f"/api/v1/hosts/{host}")).text


async def test_an_appeal_is_made_by_the_operator_and_decided_by_another(office: Office, host: str):
    sanction = office.database.write(partial(suspend_host, host_id=host, by="olga", now_s=NOW_S, **WHY))
    ann = browse(office, "ann")
    await ann.open(f"/hosts/sanctions/{sanction}/appeal")
    short = await ann.submit(f"/hosts/sanctions/{sanction}/appeal", words="No.")
    assert short.status_code == 422
    assert "No.</textarea>" in ann.page.text
    await ann.submit(f"/hosts/sanctions/{sanction}/appeal", words="There is no such file here.")
    assert "A person decides" in ann.text
    appeal = one(office, "SELECT id FROM appeal")
    olga, omar = browse(office, "olga"), browse(office, "omar")
    decision = {"outcome": "granted", "explanation": "We looked at it again."}
    await olga.open("/desk/appeals")
    refused = await olga.submit(f"/desk/appeals/{appeal}", **decision)
    assert "nother operator decides" in olga.text
    assert refused.status_code == 409
    await omar.open("/desk/appeals")
    await omar.submit(f"/desk/appeals/{appeal}", **decision)
    assert "No appeal is open." in omar.text
    assert one(office, "SELECT state FROM host") == "active"


async def test_a_forfeiture_waits_for_a_second_operator_and_the_delay(office: Office, host: str):
    taken: list[str] = []

    class Purse(Settled):
        def forfeit(self, transaction, *, account_id, host_id, key, now_s):
            taken.append(host_id)
            return 1_000_000

    office.earnings = Purse()
    office.database.write(partial(suspend_host, host_id=host, by="olga", now_s=NOW_S, **WHY))
    olga, omar = browse(office, "olga"), browse(office, "omar")
    await olga.open(f"/desk/hosts/{host}")
    early = await olga.submit(f"/desk/hosts/{host}/remove", **WHY)
    assert (early.status_code, "after 14 days" in olga.text) == (409, True)
    await olga.open(f"/desk/hosts/{host}")
    await olga.submit(f"/desk/hosts/{host}/forfeit", **WHY)
    sanction = one(office, "SELECT id FROM sanction WHERE kind = 'forfeiture'")
    await olga.open("/desk/appeals")
    assert "A second operator has to agree." in olga.text
    assert f"/desk/forfeitures/{sanction}/second" not in olga.page.text
    await omar.open("/desk/appeals")
    await omar.submit(f"/desk/forfeitures/{sanction}/second")
    await lapse_and_carry_out(office)
    assert taken == []
    office.now_s = lambda: NOW_S + APPEAL_WITHIN_S
    await lapse_and_carry_out(office)
    assert taken == [host]
    ann = browse(office, "ann")
    await ann.open(f"/hosts/{host}")
    assert "1 credit was forfeited" in ann.text


async def test_an_auditor_sees_and_decides_nothing(office: Office, host: str):
    udo = browse(office, "udo")
    page = await udo.open(f"/desk/hosts/{host}")
    assert page.status_code == 200
    assert "/strike" not in page.text
    token = re.search(r'csrf_token" value="(\w+)"', page.text)
    assert token is not None
    sent = {"csrf_token": token[1], **WHY}
    assert (await udo.http.post(f"/desk/hosts/{host}/strike", data=sent)).status_code == 404
    assert one(office, "SELECT count(*) FROM access_log WHERE action = 'host_viewed' AND by_account_id = 'udo'") == 1


async def test_the_desks_api_does_what_its_pages_do(office: Office, host: str):
    browser = browse(office, "olga")
    await browser.open("/desk/hosts")
    token = re.search(r'csrf_token" value="(\w+)"', browser.page.text)
    assert token is not None

    async def call(path: str, body: object = None):
        return await browser.call("POST", f"/api/v1/desk/{path}", body, x_csrf_token=token[1])

    told = await call(f"hosts/{host}/suspend", WHY)
    assert (told.status_code, told.json()["state"]) == (200, "suspended")
    assert (await call(f"hosts/{host}/lift")).json()["state"] == "active"
    assert (await call(f"hosts/{host}/forfeit", WHY)).json()["reason"] == "wrong_state"
    assert (await call(f"hosts/{host}/strike", {**WHY, "reason": "dislike"})).status_code == 422
    assert (await call("hosts/nowhere/strike", WHY)).status_code == 404
    assert (await call("abuse/zz/refuse")).status_code == 404
    assert (await browser.http.get("/api/v1/desk/appeals")).json() == {"appeals": [], "forfeitures": []}


# --- jobs ------------------------------------------------------------------------------------------------------------


async def test_a_registered_host_is_measured_by_itself(office: Office, host: str):
    office.hosts = FakeNetwork(seen={KEY: SeenHost("eu-north", {"small": b"\x01" * 32})}, round_trips_s={KEY: 0.015})
    await measure_hosts(office)
    await measure_hosts(office)  # it is not due again
    browser = browse(office)
    await browser.open("/status")
    assert "1 host answers now" in browser.text
    assert "small" in browser.text
    assert one(office, "SELECT tries FROM host_measured") == 1


async def test_the_dashboard_and_the_desk_have_a_card_of_hosts(office: Office, host: str):
    sanction = office.database.write(partial(suspend_host, host_id=host, by="olga", now_s=NOW_S, **WHY))
    office.database.write(lambda transaction: make_appeal(transaction, sanction, "ann", "It was not so.", NOW_S))
    ann, bob, olga = (browse(office, name) for name in ("ann", "bob", "olga"))
    await ann.open("/dashboard")
    assert "0 of 1 host of yours answers" in ann.text
    await bob.open("/dashboard")
    assert "You run no host here." in bob.text
    await olga.open("/desk")
    assert "1 appeal and 0 forfeitures wait for a person." in olga.text
