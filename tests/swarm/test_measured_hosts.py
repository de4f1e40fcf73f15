"""A real bootstrap node measures real hosts over real rings, and one that is slow shows as slow."""

import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from attrs import frozen

from bootstrap.database import Database, Transaction, open_database
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.registering import register_host
from bootstrap.hosts.speeds import Speed, speeds_of_account
from peernet.client.purse import Purse
from peernet.core.suite import MixedSuite
from peernet.node.home import Home
from tests.issuing_home import prepare_issuer
from tests.registered_hosts import ORIGIN, SUITE, HostKeys, add_account, registration
from tests.swarm.scripted_peer import Script
from tests.swarm.support import SCRIPTED, WAIT_TIMEOUT_S, Running, model_folder, next_network, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

RELAYS = 6
SLOW_S = 0.2
ANSWER = "It is wet, and there is a lot of it."


@frozen
class Measuring:
    """A node that measures, and who is registered with it."""

    home: Path
    database: Database
    hosts: dict[str, str]
    """Their ids, by name."""

    @property
    def own(self) -> Path:
        """The home of the client that measures."""
        return Home.at(self.home).state / "measuring"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def ready(peer: Running) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(await peer.line(0))
    return facts


def make_due(database: Database, home: Path, model: str) -> str:
    """Registers the host of this home, as one that answers pings and whose turn it is; returns its id."""
    keys = HostKeys(*(Home.at(home).keypair(name, MixedSuite()) for name in ("identity", "payout")))

    def work(transaction: Transaction) -> str:
        now_s = int(time.time())
        sent = registration(keys, new_code(transaction, "ann", now_s))
        host = register_host(transaction, sent, SUITE, ORIGIN, now_s)
        transaction.execute("UPDATE host SET answered_at_s = :now WHERE id = :id", now=now_s, id=host)
        transaction.execute(
            "INSERT INTO host_model VALUES (:id, :model, 'offered', :d, 1)", id=host, model=model, d=b"d"
        )
        transaction.execute("INSERT INTO host_trial_due VALUES (:id, 0)", id=host)
        return host

    return database.write(work)


def not_tried(transaction: Transaction) -> int:
    """How many questions could not be asked, through no fault of a host."""
    row = transaction.row("SELECT coalesce(sum(not_tried), 0) FROM network_trial")
    assert row is not None
    return int(row[0])


async def found_when(database: Database, holds: Callable[[dict[str, Speed]], Awaitable[bool]]) -> dict[str, Speed]:
    """What was found, once that is so; who could not be asked has another turn at once."""
    missed = 0

    def look(transaction: Transaction) -> tuple[int, dict[str, Speed]]:
        now = not_tried(transaction)
        if now > missed:
            transaction.execute(
                "UPDATE host_trial_due SET due_at_s = 0 WHERE host_id NOT IN (SELECT host_id FROM host_trial)"
            )
        return now, speeds_of_account(transaction, "ann", 0)

    with trio.fail_after(WAIT_TIMEOUT_S):
        while True:
            missed, found = database.write(look)
            if await holds(found):
                return found
            await trio.sleep(0.1)


async def measured(database: Database, hosts: int) -> dict[str, Speed]:
    """What was found, once so many hosts were asked."""

    async def all_of_them(found: dict[str, Speed]) -> bool:
        return len(found) == hosts

    return await found_when(database, all_of_them)


@asynccontextmanager
async def measuring_node(folder: Path, scripts: dict[str, Script], *words: object) -> AsyncIterator[Measuring]:
    """A bootstrap node that measures, relays, and a host for each script, registered by its name."""
    ip, network, home = f"127.{next_network()}", folder / "network.toml", folder / "bootstrap"
    common = ("--network", network, "--test-network", "--json")
    home.mkdir(exist_ok=True)
    (home / "models").symlink_to(model_folder())
    at = ("--listen", f"/ip4/{ip}.1.1/tcp/0", "--portal", f"127.0.0.1:{free_port()}", "--write-network", network)
    listening = [word for n in range(RELAYS) for word in ("--listen", f"/ip4/{ip}.{100 + n}.1/tcp/0")]
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        often = ("--directory-interval-s", 1, "--test-network", "--json")
        await ready(await start(running("bootstrap", "--home", home, *at, *often, *words)))
        relays = await start(
            running("relay", "--home", folder / "relays", "--separate-operators", *listening, *common)
        )
        started = []
        for number, (name, script) in enumerate(scripts.items(), start=2):
            serve = ("host", "--home", folder / name, "--models", model_folder(), *common)
            where = ("--listen", f"/ip4/{ip}.{number}.1/tcp/0")
            started.append(await start(running(*serve, *where, command=SCRIPTED, extra=script.environment)))
        await ready(relays)
        model = {(await ready(host))["model"] for host in started}.pop()
        with closing(open_database(str(Home.at(home).state / "operator.sqlite"))) as database:
            database.write(lambda transaction: add_account(transaction, "ann"))
            hosts = {name: make_due(database, folder / name, model) for name in scripts}
            yield Measuring(home, database, hosts)


async def test_a_node_measures_hosts_over_rings_and_a_slow_one_shows_as_slow(tmp_path: Path):
    scripts = {"quick": Script({"": ANSWER}), "slow": Script({"": ANSWER}, seconds_per_token=SLOW_S)}
    async with measuring_node(tmp_path, scripts) as node:
        found = await measured(node.database, 2)
    quick, slow = (found[node.hosts[name]] for name in ("quick", "slow"))
    for speed in (quick, slow):
        assert speed.tries == speed.answers > 0, found
        assert speed.answer_tokens > 5
        assert speed.price_microcredits > 0
    assert slow.inter_token_ms >= 0.8 * SLOW_S * 1000
    assert slow.inter_token_ms > 2 * quick.inter_token_ms
    assert slow.first_token_ms > SLOW_S * 1000
    # Nothing of the answer is on the disk.
    written = [path for path in node.home.rglob("*") if path.is_file() and "models" not in path.parts]
    assert node.own / "state" / "guards.json" in written
    assert not [path for path in written if ANSWER.encode() in path.read_bytes()]


async def test_a_node_whose_grants_are_off_measures_with_credits_and_holds_nothing_against_hosts(tmp_path: Path):
    kept = tmp_path / "kept.sqlite"
    await prepare_issuer(tmp_path / "bootstrap", "peernet.local/log", {kept: 3})
    page = f"127.0.0.1:{free_port()}"

    async def refused(_: dict[str, Speed]) -> bool:
        async with httpx.AsyncClient() as http:
            return 'peernet_host_trials_total{outcome="not_paid"}' in (await http.get(f"http://{page}/metrics")).text

    words = ("--grants-per-minute", 0, "--metrics", page)
    async with measuring_node(tmp_path, {"host": Script({"": ANSWER})}, *words) as node:
        assert await found_when(node.database, refused) == {}
        shutil.copy(kept, node.own / "state" / "purse.sqlite")
        (speed,) = (await measured(node.database, 1)).values()
        assert speed.answers == speed.tries > 0
        purse = Purse(node.own / "state" / "purse.sqlite")
        assert purse.lanes()
        purse.close()
