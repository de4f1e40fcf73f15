"""One person's whole way through a real service, in a real browser: from signing up to being forgotten.

Every process is the real command: a bootstrap node with ledger, issuer and portal, six relays, a host, a gateway, a
wallet. Only the host's engine answers by a script, and the payment provider is the offline one. On both databases.
"""

import email
import email.policy
import io
import json
import re
import sqlite3
import subprocess
import time
import zipfile
from pathlib import Path

import httpx
import psycopg
import pytest
import trio
from playwright.sync_api import Page, expect

from bootstrap.database import open_database
from peernet.cli.local_swarm import LocalSwarm
from peernet.core.ledger.entries import Redeem, decode_entry
from peernet.core.ledger.tiles import decode_entry_bundle
from tests.browser.chromium import Watched, axe_problems, open_context, running_chromium
from tests.swarm.scripted_peer import Script
from tests.swarm.support import PEERNET, environment, scripted_swarm
from tests.swarm.test_registered_host import free_port

pytestmark = pytest.mark.swarm

ANSWER = "Water is a clear liquid that falls from clouds."
WHO, NAME, PASSWORD = "ann@example.org", "Ann Bell", "correct horse battery"
PATIENCE_MS = 60_000
"""The jobs of the service run every few seconds, and twenty for earnings."""

CONFIG = """
[bootstrap]
issue_credits = true
grants_per_minute = 0
{ledger}

[portal]
listen = "{authority}"
{database}

[money]
offline_clearing_s = 1
offline_faults = {{ event_late = 0.0, event_lost = 0.0 }}  # they are made good, in minutes
payout_hold_days = 0
payout_minimum_cents = 1
payout_cents_per_credit = 1000000
"""


async def test_from_sign_up_to_deletion(tmp_path: Path, database_url: str):
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    config = tmp_path / "swarm" / "bootstrap" / "config"
    config.mkdir(mode=0o700, parents=True)
    in_postgres = database_url.startswith("postgresql")
    named = f'database = "{database_url}"'
    text = CONFIG.format(authority=url.removeprefix("http://"), database=named, ledger=named if in_postgres else "")
    (config / "config.toml").write_text(text)
    async with scripted_swarm(tmp_path, Script(answers={"water": ANSWER}), hosts=0, relays=6) as swarm:
        journey = Journey(swarm, tmp_path, url, database_url)
        await trio.to_thread.run_sync(journey.go)


def command(*words: object) -> str:
    """What a command prints; it runs to its end, in the thread of the browser."""
    done = subprocess.run(
        [*PEERNET, *map(str, words)], capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


class Journey:
    """The person, their browser and their machine."""

    def __init__(self, swarm: LocalSwarm, folder: Path, url: str, database: str) -> None:
        self.swarm = swarm
        self.folder = folder
        self.url = url
        self.database = database
        self.network = ("--network", swarm.network_file, "--models", swarm.plan.models)

    def go(self) -> None:
        with running_chromium() as browser, open_context(browser, self.url) as context:
            context.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            self.page: Page = context.new_page()
            self.watched = Watched(self.page, self.url)
            self.signs_up()
            self.buys()
            self.withdraws()
            self.registers_a_host()
            self.asks()
            self.is_tied_to_nothing_in_the_ledger()
            self.is_paid_out()
            self.takes_the_data_along()
            self.is_forgotten()

    def opens(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")
        self.looks()

    def looks(self) -> None:
        """Nobody is kept out of the page that is shown."""
        assert axe_problems(self.page) == []

    def presses(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()
        self.page.wait_for_load_state()
        self.looks()

    def proves(self) -> None:
        """Says once more who it is, where the page asks for that."""
        if "/prove" in self.page.url:
            self.page.get_by_label("Password").fill(PASSWORD)
            self.page.locator("main button").first.click()
            self.page.wait_for_load_state()

    def reloads_until(self, words: str, where: str = "main") -> None:
        """Looks again and again until the page says so there."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while words not in self.page.locator(where).first.inner_text():
            assert time.monotonic() < deadline, self.page.locator("main").inner_text()
            time.sleep(0.5)
            self.page.reload()

    def signs_up(self) -> None:
        self.opens("/")
        self.page.get_by_role("link", name="Create account").first.click()
        self.page.get_by_label("E-mail address").fill(WHO)
        self.page.get_by_label("Display name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        for box in self.page.locator("main input[type=checkbox]").all():
            box.check()
        self.presses("Create account")
        self.page.goto(self.link_in_mail("Confirm"))
        self.looks()
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.locator("main button").first.click()
        self.opens("/dashboard")
        assert NAME in self.page.locator("main").inner_text()

    def link_in_mail(self, subject: str) -> str:
        mails = self.folder / "swarm" / "bootstrap" / "state" / "mail"
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < deadline:
            for path in mails.glob("*.eml"):
                mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                if subject in mail["subject"]:
                    return re.findall(r"http://\S+", mail.get_content())[0]
            time.sleep(0.2)
        raise AssertionError(f"no mail about {subject!r}")

    def buys(self) -> None:
        self.opens("/credits")
        self.presses("Buy 10 credits")
        self.reloads_until("Go to the payment page")
        self.page.get_by_role("link", name="Go to the payment page").click()
        self.looks()
        self.presses("Pretend to pay")
        self.opens("/credits")
        self.reloads_until("10 bought")
        self.opens("/dashboard")

    def withdraws(self) -> None:
        self.opens("/account/tokens")
        self.proves()
        if "/account/tokens" not in self.page.url:
            self.opens("/account/tokens")
        self.page.get_by_label("Name").fill("my wallet")
        self.page.locator("#scope-credits").check()
        self.presses("Make token")
        token = self.folder / "token"
        token.write_text(self.page.locator("main code").first.inner_text())
        token.chmod(0o600)
        self.home = self.folder / "client"
        portal = ("--portal", self.url, "--token-file", token, "--home", self.home)
        command("wallet", "withdraw", "1000000", *portal, *self.network[:2])
        assert json.loads(command("wallet", "balance", "--home", self.home, "--json"))["microcredits"] == 1_000_000
        self.opens("/credits")
        assert "9 bought" in self.page.locator("main").inner_text()

    def registers_a_host(self) -> None:
        self.opens("/hosts")
        self.presses("Show a code")
        found = re.search(r"--register (\S+)", self.page.locator("main").inner_text())
        assert found is not None
        home = ("--home", self.folder / "host", "--models", self.swarm.plan.models)
        command(
            "host",
            *home,
            "--register",
            found[1],
            "--portal",
            self.url,
            "--accept-agreement",
            "2026-11",
            "--name",
            "cellar",
        )
        where = ("--listen", self.swarm.plan.address(11))
        words = ("host", *home, *self.network[:2], *where, "--model", self.swarm.plan.model)
        trio.from_thread.run(self.swarm.start, "host", [str(word) for word in words])
        self.opens("/hosts")
        assert "cellar" in self.page.locator("main").inner_text()

    def asks(self) -> None:
        words = ("gateway", "--home", self.home, *self.network, "--listen", f"127.0.0.1:{free_port('127.0.0.1')}")
        gateway = subprocess.Popen(
            [*PEERNET, *map(str, words), "--json"], stdout=subprocess.PIPE, text=True, env=environment()
        )
        try:
            assert gateway.stdout is not None
            self.asks_at(json.loads(gateway.stdout.readline())["base_url"])
        finally:
            gateway.kill()
            gateway.communicate()

    def asks_at(self, base: str) -> None:
        question = {"model": self.swarm.plan.model, "messages": [{"role": "user", "content": "What is water?"}]}
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while True:
            answer = httpx.post(f"{base}/chat/completions", json=question, timeout=PATIENCE_MS / 1000)
            if answer.status_code == 200:
                break
            assert time.monotonic() < deadline, answer.text
            time.sleep(1)
        assert ANSWER in answer.json()["choices"][0]["message"]["content"]
        spent = json.loads(command("wallet", "balance", "--home", self.home, "--json"))
        assert spent["microcredits"] < 1_000_000

    def is_tied_to_nothing_in_the_ledger(self) -> None:
        """What the operator keeps of people and what the ledger says of lanes have nothing in common (promise P4)."""
        size = int(httpx.get(f"{self.url}/ledger/checkpoint").text.splitlines()[1])
        bundle = httpx.get(f"{self.url}/ledger/tile/entries/000.p/{size}").content
        entries = [decode_entry(leaf) for leaf in decode_entry_bundle(bundle, size)]
        spent = [entry for entry in entries if isinstance(entry, Redeem)]
        assert spent
        public = [entry.lane_key for entry in spent]
        for credit in (credit for entry in spent for credit in entry.credits):
            public += [credit.serial, credit.signature]
        database = open_database(self.database)
        try:
            kept = database.read(
                lambda rows: [
                    value if isinstance(value, bytes) else str(value).encode()
                    for table in database.tables()
                    for row in rows.rows(f"SELECT * FROM {table}")
                    for value in row
                ]
            )
        finally:
            database.close()
        everything = b"\0".join(kept)
        assert WHO.encode() in everything
        for secret in public:
            assert secret not in everything
            assert secret.hex().encode() not in everything

    def is_paid_out(self) -> None:
        self.opens("/earnings")
        self.presses("Begin")
        self.reloads_until("provider's page")
        self.page.get_by_role("link", name="provider's page").click()
        self.presses("Pretend that I gave a bank account")
        self.opens("/earnings")
        self.reloads_until("The payment provider knows where you are paid")
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.get_by_role("button", name="Pay out").count():
            assert time.monotonic() < deadline
            time.sleep(1)
            self.page.reload()
        self.presses("Pay out")
        self.opens("/earnings")
        self.reloads_until("paid", "td[data-label='State']")

    def takes_the_data_along(self) -> None:
        self.opens("/privacy/data")
        self.proves()
        self.opens("/privacy/data")
        with self.page.expect_download() as downloading:
            self.page.locator("form[action='/privacy/export'] button").click()
        data = Path(downloading.value.path()).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            everything = json.loads(archive.read("data.json"))
            text = archive.read("data.json").decode()
        assert everything
        for held in (WHO, NAME, "cellar", "withdrawal"):
            assert held in text, held
        assert PASSWORD not in text

    def is_forgotten(self) -> None:
        self.opens("/privacy/deletion")
        self.proves()
        self.opens("/privacy/deletion")
        self.presses("Delete my account")
        self.opens("/privacy")
        # Seven days pass, and the service is started again.
        self.ages()
        trio.from_thread.run(self.swarm.start_again, "bootstrap")
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while True:
            self.page.goto(f"{self.url}/dashboard")
            if "/sign-in" in self.page.url:
                break
            assert time.monotonic() < deadline, self.page.locator("main").inner_text()
            time.sleep(1)
        assert self.watched.problems == []
        self.page.get_by_label("E-mail address").fill(WHO)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.locator("main button").first.click()
        expect(self.page.locator("main")).not_to_contain_text(NAME)
        assert "/sign-in" in self.page.url
        audit = command("ledger", "audit", "--home", self.folder / "auditor", *self.network[:2], "--json")
        assert json.loads(audit)["ok"]

    def ages(self) -> None:
        """Moves the deletion's day to yesterday."""
        statement = "UPDATE rights_request SET acts_at_s = acts_at_s - 8 * 86400 WHERE acts_at_s IS NOT NULL"
        if self.database.startswith("postgresql"):
            with psycopg.connect(self.database) as connection:
                assert connection.execute(statement).rowcount == 1
            return
        with sqlite3.connect(self.database) as file:
            assert file.execute(statement).rowcount == 1
        file.close()
