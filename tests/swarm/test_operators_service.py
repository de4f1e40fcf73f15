"""An operator's service as a process of its own: months, disputes and refunds; what two operators decide about a host.

Everything goes over HTTP, with API tokens and the offline provider's page, as programs and people have it. Only the
accounts are put into the database, and time passes by moving what waits for its day.
"""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from attrs import frozen

from bootstrap.database import open_database
from bootstrap.people.tokens import SCOPES, make_token
from bootstrap.portal.office import NOTICE_VERSION
from peernet.core.identity import PeerId
from tests.browsing import forms_in
from tests.registered_hosts import add_account, keys_of, registration
from tests.swarm.support import WAIT_TIMEOUT_S, next_network, running
from tests.swarm.test_registered_host import free_port

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

DAY_S = 24 * 3600
CONFIG = """
[money]
offline_clearing_s = 1
offline_faults = { timeout_before = 0.0, timeout_after = 0.0, event_late = 0.0, event_lost = 0.0 }
"""
WHY = {"reason": "stores_text", "explanation": "A log file with prompts was found."}


@frozen
class Service:
    """The process, and who talks with it."""

    url: str
    home: Path
    tokens: dict[str, str]

    @property
    def file(self) -> Path:
        return self.home / "state" / "operator.sqlite"

    async def call(self, who: str, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """What the API answers to somebody."""
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers, timeout=30) as http:
            answer = await http.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def until(self, who: str, path: str, holds: Callable[[Any], bool]) -> Any:
        """What the API says there, once that is so."""
        told = None
        with trio.move_on_after(WAIT_TIMEOUT_S):
            while told is None or not holds(told):
                told = await self.call(who, "GET", path)
                await trio.sleep(0.1)
        assert holds(told), told
        return told

    async def mailed(self, said: str) -> bool:
        """Whether a mail that says so is sent before long."""
        folder = self.home / "state" / "mail"
        with trio.move_on_after(WAIT_TIMEOUT_S):
            while not any(said in path.read_text() for path in folder.glob("*.eml")):  # noqa: ASYNC110
                await trio.sleep(0.1)
            return True
        return False

    async def until_balance(self, bought: int) -> None:
        """Waits until Ann has so many bought credits."""
        await self.until("ann", "/balance", lambda told: told["bought_microcredits"] == bought * 1_000_000)

    async def choose(self, url: str, choice: str) -> None:
        """What a person does on the provider's page."""
        async with httpx.AsyncClient(follow_redirects=True, timeout=30) as browser:
            (form,) = [each for each in forms_in((await browser.get(url)).text) if each.action == "/test-provider"]
            sent = {**form.values, "choice": choice}
            answer = await browser.post(f"{self.url}/test-provider", data=sent, headers={"origin": self.url})
        assert answer.status_code == 200, answer.text

    def sql(self, statement: str) -> int:
        """Changes rows behind the service's back; returns how many."""
        with sqlite3.connect(self.file, timeout=30) as file:
            changed = file.execute(statement).rowcount
        file.close()
        return changed


def make_people(file: Path) -> dict[str, str]:
    """Ann, who buys and runs hosts, and two operators; returns a token of each that is good for everything."""
    database = open_database(str(file))
    try:

        def work(transaction: Any) -> dict[str, str]:
            now_s = int(time.time())
            for name, roles in (("ann", ()), ("olga", ["operator"]), ("omar", ["operator"])):
                add_account(transaction, name, *roles, notice=NOTICE_VERSION)
            return {
                name: make_token(transaction, name, "program", SCOPES, 1, now_s, proved=True)[1]
                for name in ("ann", "olga", "omar")
            }

        return database.write(work)
    finally:
        database.close()


@asynccontextmanager
async def service(folder: Path, url: str, tokens: dict[str, str] | None = None) -> AsyncIterator[Service]:
    """A bootstrap node with a portal, and nothing else; again on the same folder with the same tokens."""
    home = folder / "bootstrap"
    (home / "config").mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "config" / "config.toml").write_text(CONFIG)
    at = ("--listen", f"/ip4/127.{next_network()}.1.1/tcp/0", "--portal", url.removeprefix("http://"))
    words = ("bootstrap", "--home", home, *at, "--write-network", folder / "network.toml", "--test-network", "--json")
    async with running(*words) as process:
        await process.line(0)
        yield Service(url, home, tokens or make_people(home / "state" / "operator.sqlite"))


@pytest.fixture
def url() -> str:
    return f"http://127.0.0.1:{free_port('127.0.0.1')}"


async def test_months_disputes_and_refunds(tmp_path: Path, url: str):
    async with service(tmp_path, url) as office:
        # A subscription: the first month, a second one when the first is over, and none after it is cancelled.
        begun = await office.call("ann", "POST", "/subscriptions", {"plan": "basic"}, status=201)
        await office.choose(begun["url"], "pay")
        await office.until_balance(20)
        month_passes = "UPDATE offline_thing SET next_at_s = 1 WHERE kind = 'subscription' AND next_at_s IS NOT NULL"
        assert office.sql(month_passes) == 1
        await office.until_balance(40)
        assert (await office.call("ann", "POST", f"/subscriptions/{begun['subscription']}/cancel"))["cancelled"]
        assert office.sql(month_passes) == 1
        ended = await office.until("ann", "/subscriptions", lambda told: told["subscriptions"][0]["state"] == "ended")
        assert len(ended["subscriptions"]) == 1
        assert office.sql(month_passes) == 0

        # A dispute takes the credits, and what the operator wins comes back.
        bought = await office.call("ann", "POST", "/purchases", {"pack": "10"}, status=201)
        await office.choose(bought["url"], "pay_and_dispute_won")
        path = f"/purchases/{bought['purchase']}"
        await office.until("ann", path, lambda told: told["dispute"] == "open")
        await office.until_balance(40)
        refund = f"/desk{path}/refund"
        said = await office.call("olga", "POST", refund, {"cents": 100, "reason": "asked nicely"}, status=409)
        assert said["reason"] == "disputed"
        await office.until("ann", path, lambda told: told["dispute"] == "won")
        await office.until_balance(50)

        # A fifth is refunded by an operator, and a fifth of the credits goes.
        await office.call("ann", "POST", refund, {"cents": 100, "reason": "for myself"}, status=404)
        await office.call("olga", "POST", refund, {"cents": 100, "reason": "asked nicely"}, status=202)
        await office.until("ann", path, lambda told: told["refunded_cents"] == 100)
        await office.until_balance(48)
        books = (await office.call("omar", "GET", "/desk/books"))["books"]
        sides = {(each["unit"], side): 0 for each in books for side in ("debit", "credit")}
        for each in books:
            sides[each["unit"], each["side"]] += each["balance"]
        assert all(sides[unit, "debit"] == sides[unit, "credit"] for unit, _ in sides)


async def test_a_host_is_suspended_heard_removed_and_forfeits(tmp_path: Path, url: str):
    keys = keys_of(1)

    def signed(code: str) -> dict[str, Any]:
        sent = registration(keys, code, portal=url)
        statement, declared = sent.statement, sent.declared
        return {
            "portal": url,
            "version": statement.version,
            "digest": statement.digest.hex(),
            "code": code,
            "peer_id": str(PeerId.from_public_key(statement.peer_key)),
            "payout_key": statement.payout_key.hex(),
            "signature": sent.signature.hex(),
            "payout_signature": sent.payout_signature.hex(),
            "name": sent.name,
            "cores": declared.cores,
            "memory_mib": declared.memory_mib,
            "engine": declared.engine,
            "software": declared.software,
        }

    async with service(tmp_path, url) as office:
        code = (await office.call("ann", "POST", "/hosts/codes", status=201))["code"]
        host = (await office.call("", "POST", "/hosts", signed(code), status=201))["host"]
        desk = f"/desk/hosts/{host}"
        # What it has earned, as the node reads it in its log: long enough ago to be payable, and not to be purged.
        earned = (
            "INSERT INTO earning (log, position, payout_key, microcredits, settled_at_s)"
            f" VALUES ('log', 0, x'{keys.payout.public_key.hex()}', 3000000, {int(time.time()) - 20 * DAY_S})"
        )
        assert office.sql(earned) == 1
        await office.until("ann", "/earnings", lambda told: told["earned_microcredits"] == 3_000_000)

        suspended = await office.call("olga", "POST", f"{desk}/suspend", WHY)
        assert suspended["state"] == "suspended"
        assert (await office.call("ann", "GET", "/earnings"))["payable_microcredits"] == 0
        (sanction,) = suspended["sanctions"]
        appeal = await office.call(
            "ann", "POST", f"/sanctions/{sanction['id']}/appeal", {"words": "That file was empty."}, status=201
        )
        assert (await office.call("olga", "POST", f"{desk}/remove", WHY, status=409))["reason"] == "too_soon"
        assert office.sql(f"UPDATE host SET state_at_s = state_at_s - {15 * DAY_S}") == 1
        assert (await office.call("olga", "POST", f"{desk}/remove", WHY, status=409))["reason"] == "appeal_open"
        decision = {"outcome": "rejected", "explanation": "The log file is there."}
        decide = f"/desk/appeals/{appeal['appeal']}"
        assert (await office.call("olga", "POST", decide, decision, status=409))["reason"] == "own_case"
        await office.call("omar", "POST", decide, decision)
        assert (await office.call("olga", "POST", f"{desk}/remove", WHY))["state"] == "removed"

        asked = (await office.call("olga", "POST", f"{desk}/forfeit", WHY))["sanctions"]
        (forfeiture,) = [each["id"] for each in asked if each["kind"] == "forfeiture"]
        second = f"/desk/forfeitures/{forfeiture}/second"
        assert (await office.call("olga", "POST", second, status=409))["reason"] == "own_case"
        await office.call("omar", "POST", second)
        code = (await office.call("ann", "POST", "/hosts/codes", status=201))["code"]
        assert (await office.call("", "POST", "/hosts", signed(code), status=409))["reason"] == "removed"

    # Two weeks later, which the service looks at when it starts.
    office.sql(f"UPDATE sanction SET given_at_s = given_at_s - {15 * DAY_S} WHERE kind = 'forfeiture'")
    async with service(tmp_path, url, office.tokens) as office:
        await office.until("ann", "/earnings", lambda told: told["earned_microcredits"] == 0)
        kept = await office.call("ann", "GET", f"/hosts/{host}")
        (done,) = [each for each in kept["sanctions"] if each["kind"] == "forfeiture"]
        assert (done["ended_why"], done["amount_microcredits"]) == ("done", 3_000_000)
        for said in ("has been suspended", "been rejected", "has been removed", "have been forfeited"):
            assert await office.mailed(said), said
