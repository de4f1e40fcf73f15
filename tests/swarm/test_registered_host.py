"""A host registers with a real portal, serves, and is measured: three processes, and HTTP over loopback."""

import json
import socket
import sqlite3
import time
from pathlib import Path

import httpx
import pytest
import trio

from bootstrap.database import Database, open_database
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.standing import suspend_host
from bootstrap.portal.office import NOTICE_VERSION
from peernet.core.suite import MixedSuite
from peernet.node.home import Home
from tests.registered_hosts import add_account
from tests.swarm.scripted_peer import Script
from tests.swarm.support import SCRIPTED, WAIT_TIMEOUT_S, Running, model_folder, next_network, run, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]


def free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port


def code_for_ann(database: Database) -> str:
    def work(transaction) -> str:
        add_account(transaction, "ann", notice=NOTICE_VERSION)
        add_account(transaction, "olga", "operator", notice=NOTICE_VERSION)
        return new_code(transaction, "ann", int(time.time()))

    return database.write(work)


async def status_when(url: str, holds) -> dict:
    """What the status page's twin says, once that is so."""
    async with httpx.AsyncClient() as http:
        with trio.fail_after(WAIT_TIMEOUT_S):
            while True:
                told = (await http.get(f"{url}/api/v1/status")).json()
                if holds(told):
                    return told
                await trio.sleep(0.1)


async def ready(peer: Running) -> dict:
    return json.loads(await peer.line(0))


async def test_a_host_registers_is_measured_and_left_out_when_suspended(tmp_path: Path):
    ip = f"127.{next_network()}"
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    network, home, host_home = tmp_path / "network.toml", tmp_path / "bootstrap", tmp_path / "host"
    common = ("--test-network", "--json")
    at = ("--listen", f"/ip4/{ip}.1.1/tcp/0", "--portal", url.removeprefix("http://"))
    words = ("bootstrap", "--home", home, *at, "--write-network", network, "--directory-interval-s", 1, *common)
    async with running(*words) as bootstrap:
        assert (await ready(bootstrap))["portal"] == url
        database = open_database(str(Home.at(home).state / "operator.sqlite"))
        try:
            code = code_for_ann(database)
            # Nobody answers for the person; the agreement is named, in another version first.
            register = ("host", "--home", host_home, "--models", model_folder(), "--register", code, "--portal", url)
            assert "nobody is here to accept the agreement" in (await run(*register)).complaint
            assert "not 2020-01" in (await run(*register, "--accept-agreement", "2020-01")).complaint
            done = await run(*register, "--accept-agreement", "2026-11", "--name", "cellar", "--json")
            assert done.code == 0, done
            registered = json.loads(done.out)
            assert registered["portal"] == url
            again = await run(*register, "--accept-agreement", "2026-11")
            assert "this code is wrong, used or too old" in again.complaint

            serve = ("host", "--home", host_home, "--models", model_folder(), "--network", network)
            where = ("--listen", f"/ip4/{ip}.2.1/tcp/0", "--region", "eu-north")
            script = Script().environment
            async with running(*serve, *where, *common, command=SCRIPTED, extra=script) as host:
                model = (await ready(host))["model"]
                told = await status_when(url, lambda status: status["models"])
                assert (told["registered"], told["up"], told["named"]) == (1, 1, [])
                assert told["models"] == [{"name": model, "hosts": 1}]
                assert told["claimed_regions"] == [{"region": "eu-north", "hosts": 1}]

                async with httpx.AsyncClient() as http:
                    page = (await http.get(f"{url}/status")).text
                    assert "The network now" in (await http.get(url)).text
                    checkpoint = (await http.get(f"{url}/ledger/checkpoint")).text
                assert checkpoint.startswith("peernet.local/log\n")
                assert model in page
                peer_key = Home.at(host_home).keypair("identity", MixedSuite()).public_key
                assert "cellar" not in page
                assert peer_key.hex() not in page
                assert ip not in page

                why = {"reason": "no_screening", "explanation": "It does not screen."}
                now_s = int(time.time())
                database.write(
                    lambda transaction: suspend_host(transaction, registered["host"], now_s=now_s, by="olga", **why)
                )
                told = await status_when(url, lambda status: status["suspended"])
                assert (told["up"], told["models"]) == (0, [])
        finally:
            database.close()
    assert sqlite3.connect(Home.at(home).state / "operator.sqlite").execute("SELECT answers FROM host_measured")
