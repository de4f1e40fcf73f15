"""A real bootstrap node measures real hosts over real rings, and one that is slow shows as slow."""

import json
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from bootstrap.database import Database, Transaction, open_database
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.registering import register_host
from bootstrap.hosts.speeds import Speed, speeds_of_account
from peernet.core.suite import MixedSuite
from peernet.node.home import Home
from tests.registered_hosts import ORIGIN, SUITE, HostKeys, add_account, registration
from tests.swarm.scripted_peer import Script
from tests.swarm.support import SCRIPTED, WAIT_TIMEOUT_S, Running, model_folder, next_network, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

RELAYS = 6
SLOW_S = 0.2
ANSWER = "It is wet, and there is a lot of it."


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


async def measured(database: Database, hosts: int) -> dict[str, Speed]:
    """What was found, once so many hosts were asked; who was not in the directory yet has another turn."""
    missed = 0

    def look(transaction: Transaction) -> tuple[int, dict[str, Speed]]:
        row = transaction.row("SELECT coalesce(sum(not_tried), 0) FROM network_trial")
        assert row is not None
        if row[0] > missed:
            transaction.execute(
                "UPDATE host_trial_due SET due_at_s = 0 WHERE host_id NOT IN (SELECT host_id FROM host_trial)"
            )
        return row[0], speeds_of_account(transaction, "ann", 0)

    with trio.fail_after(WAIT_TIMEOUT_S):
        while True:
            missed, found = database.write(look)
            if len(found) == hosts:
                return found
            await trio.sleep(0.1)


async def test_a_node_measures_hosts_over_rings_and_a_slow_one_shows_as_slow(tmp_path: Path):
    ip, network, home = f"127.{next_network()}", tmp_path / "network.toml", tmp_path / "bootstrap"
    common = ("--test-network", "--json")
    (home / "models").parent.mkdir()
    (home / "models").symlink_to(model_folder())
    at = ("--listen", f"/ip4/{ip}.1.1/tcp/0", "--portal", f"127.0.0.1:{free_port()}")
    words = ("bootstrap", "--home", home, *at, "--write-network", network, "--directory-interval-s", 1, *common)
    async with AsyncExitStack() as stack:
        bootstrap = await stack.enter_async_context(running(*words))
        await ready(bootstrap)
        listening = [word for n in range(RELAYS) for word in ("--listen", f"/ip4/{ip}.{100 + n}.1/tcp/0")]
        relays = await stack.enter_async_context(
            running(
                "relay",
                "--home",
                tmp_path / "relays",
                "--network",
                network,
                "--separate-operators",
                *listening,
                *common,
            )
        )
        scripts = {"quick": Script({"": ANSWER}), "slow": Script({"": ANSWER}, seconds_per_token=SLOW_S)}
        started = {}
        for number, (name, script) in enumerate(scripts.items()):
            serve = ("host", "--home", tmp_path / name, "--models", model_folder(), "--network", network)
            where = ("--listen", f"/ip4/{ip}.{2 + number}.1/tcp/0")
            started[name] = await stack.enter_async_context(
                running(*serve, *where, *common, command=SCRIPTED, extra=script.environment)
            )
        await ready(relays)
        model = {(await ready(host))["model"] for host in started.values()}.pop()
        database = open_database(str(Home.at(home).state / "operator.sqlite"))
        try:
            database.write(lambda transaction: add_account(transaction, "ann"))
            hosts = {name: make_due(database, tmp_path / name, model) for name in scripts}
            found = await measured(database, 2)
        finally:
            database.close()
    quick, slow = (found[hosts[name]] for name in ("quick", "slow"))
    for speed in (quick, slow):
        assert speed.tries == speed.answers > 0, found
        assert speed.answer_tokens > 5
        assert speed.price_microcredits > 0
    assert slow.inter_token_ms >= 0.8 * SLOW_S * 1000 > 4 * quick.inter_token_ms
    assert slow.first_token_ms > SLOW_S * 1000
    # Nothing of the answer, nor of who asked, is on the disk.
    written = [path for path in home.rglob("*") if path.is_file() and "models" not in path.parts]
    assert (home / "state" / "measuring" / "guards.json") in written
    assert not [path for path in written if ANSWER.encode() in path.read_bytes()]
