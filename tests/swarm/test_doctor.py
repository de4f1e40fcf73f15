"""`peernet doctor` against real peers: what is open, what is not and what to do, in words and for programs.

The check-up changes nothing in a network, so most tests look at one and the same.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen

from peernet.core.suite import MixedSuite
from peernet.node import checkup
from peernet.node.checkup import Finding, check_network, could_serve
from peernet.node.config import NetworkConfig, load_table
from tests.swarm.support import PEERNET, Done, in_background, model_folder, next_network, run, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]


@frozen
class Network:
    """A bootstrap node and two relays."""

    folder: Path
    """Where whoever looks has its home."""
    number: int
    file: Path

    def ip(self, last: int) -> str:
        return f"127.{self.number}.{last}.1"

    async def doctor(self, *words: object, models: Path | None = None) -> Done:
        where = ("--home", self.folder / "home", "--models", models or model_folder(), "--network", self.file)
        return await run("doctor", *where, *words)

    async def examined(self, *words: object) -> tuple[int, dict[str, list[dict[str, str]]]]:
        """The exit code, and the findings by their check."""
        done = await self.doctor(*words, "--json")
        assert done.err == ""
        said = json.loads(done.out)
        assert said["could_serve"] == (done.code == 0)
        found: dict[str, list[dict[str, str]]] = {}
        for finding in said["findings"]:
            found.setdefault(finding["check"], []).append(finding)
        return done.code, found

    async def looked_at(self, flags: dict[str, tuple[str, ...]], off_s: int = 0) -> list[Finding]:
        """What is found in this process, whose clock is off by so much."""
        config = load_table(self.file, "network", NetworkConfig, flags)
        found: list[Finding] = []
        await check_network(config, MixedSuite(), lambda: int(time.time()) + off_s, found.append)
        return found


@asynccontextmanager
async def network(folder: Path, *relay_options: str) -> AsyncIterator[Network]:
    net = Network(folder, next_network(), folder / "network.toml")
    async with AsyncExitStack() as stack:

        async def start(*words: object) -> None:
            process = await stack.enter_async_context(running(*words, "--json", "--supervised", command=PEERNET))
            await process.line(0)

        listen = f"/ip4/{net.ip(1)}/tcp/0"
        where = ("--home", folder / "bootstrap", "--listen", listen, "--test-network", "--write-network", net.file)
        await start("bootstrap", *where, "--origin", "peernet.test/log")
        relays = [word for number in (2, 3) for word in ("--listen", f"/ip4/{net.ip(number)}/tcp/0")]
        joining = ("--network", net.file, "--separate-operators", *relay_options)
        await start("relay", "--home", folder / "relays", *joining, *relays)
        yield net


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with in_background(network(tmp_path_factory.mktemp("network"))) as net:
        yield net


@pytest.fixture
def net(shared: Network, tmp_path: Path) -> Network:
    """The network that the tests share, and a home of the test's own."""
    return evolve(shared, folder=tmp_path)


def states(found: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    return {check: [finding["state"] for finding in findings] for check, findings in found.items()}


async def test_a_machine_that_is_in_order_could_serve(net: Network) -> None:
    where = ("--listen", f"/ip4/{net.ip(9)}/tcp/41017", "--listen", f"/ip4/{net.ip(9)}/tcp/41018/ws")
    code, found = await net.examined(*where)
    assert code == 0, found
    assert states(found) == {
        "python": ["ok"],
        "packages": ["ok"],
        "keys": ["ok"],
        "model": ["ok"],
        "listen": ["ok", "ok"],
        "bootstrap": ["ok"],
        "clock": ["ok"],
        "reach": ["ok", "ok"],
    }
    assert [("TCP" in finding["what"], "WebSocket" in finding["what"]) for finding in found["reach"]] == [
        (True, False),
        (False, True),
    ]
    assert not any(finding["advice"] for findings in found.values() for finding in findings)
    # The check-up is in nobody's way: it made no keys, and what it listened on is free again.
    assert not (net.folder / "home").exists()
    assert (await net.examined(*where))[0] == 0


async def test_a_machine_that_nobody_reaches_could_serve_through_relays_or_is_told_what_to_do(net: Network) -> None:
    # What is announced is closed: nobody listens there.
    where = ("--listen", f"/ip4/{net.ip(9)}/tcp/41017", "--announce", f"/ip4/{net.ip(9)}/tcp/41019")
    code, found = await net.examined(*where)
    assert code == 0, found
    assert states(found)["reach"] == ["note"]
    assert states(found)["relays"] == ["ok"]
    assert "forward TCP port 41019 to port 41017 of" in found["reach"][0]["advice"]
    assert "ufw allow 41017/tcp" in found["reach"][0]["advice"]
    assert "through 2 relays" in found["relays"][0]["what"]

    code, found = await net.examined(*where, "--relay-reservations", "0")
    assert code == 1
    assert states(found)["reach"] == ["wrong"]
    assert states(found)["relays"] == ["wrong"]


async def test_relays_that_were_told_so_keep_no_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It asks relays again and again for that long.
    monkeypatch.setattr(checkup, "RESERVE_TIMEOUT_S", 5.0)
    async with network(tmp_path, "--no-circuits") as net:
        where = {"listen": (f"/ip4/{net.ip(9)}/tcp/41017",), "announce": (f"/ip4/{net.ip(9)}/tcp/41019",)}
        found = await net.looked_at(where)
    (relays,) = (finding for finding in found if finding.check == "relays")
    assert "none of 2 relays" in relays.what
    assert not could_serve(found)


async def test_every_line_that_is_not_in_order_says_what_to_do(tmp_path: Path) -> None:
    net = Network(tmp_path, next_network(), tmp_path / "network.toml")
    stranger = "12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
    net.file.write_text(f'[network]\ntest = true\nbootstrap = ["/ip4/{net.ip(1)}/tcp/9/p2p/{stranger}"]\n')
    keys = tmp_path / "home" / "config" / "keys"
    keys.mkdir(parents=True)
    (keys / "identity.key").write_bytes(b"k" * 32)
    (keys / "identity.key").chmod(0o644)
    listener = await trio.open_tcp_listeners(0, host=net.ip(9))
    async with listener[0]:
        taken = listener[0].socket.getsockname()[1]
        where = ("--listen", f"/ip4/{net.ip(9)}/tcp/{taken}", "--model", "nowhere")
        code, found = await net.examined(*where)
        shown = await net.doctor(*where)
    assert code == shown.code == 1
    assert states(found) == {
        "python": ["ok"],
        "packages": ["ok"],
        "keys": ["wrong"],
        "model": ["wrong"],
        "listen": ["wrong"],
        "bootstrap": ["wrong"],
        "clock": ["unknown"],
    }
    lines = [finding for findings in found.values() for finding in findings if finding["state"] != "ok"]
    assert all(finding["advice"] for finding in lines)
    # For people: one mark a line, advice below it, no wider than a terminal, no traceback.
    assert shown.err == ""
    assert "Traceback" not in shown.out
    assert shown.out.count("✗") == 4 + 1
    assert shown.out.count("→") == len(lines)
    assert max(map(len, shown.out.splitlines())) <= 100
    assert "chmod 600" in shown.out
    assert shown.out.rstrip().endswith("marked ✗ or ?.")


@pytest.mark.parametrize(
    ("off_s", "state", "words"),
    [
        (0, "ok", "right"),
        (200, "note", "(19|2[0-6])[0-9] s ahead of"),
        (-3600, "wrong", "3[56][0-9]{2} s behind"),
        (3600, "wrong", "refuse"),
    ],
)
async def test_a_wrong_clock_is_told_from_a_right_one(net: Network, off_s: int, state: str, words: str) -> None:
    found = await net.looked_at({"listen": (f"/ip4/{net.ip(9)}/tcp/0",)}, off_s)
    (clock,) = (finding for finding in found if finding.check == "clock")
    assert clock.state == state
    assert re.search(words, clock.what)
    assert bool(clock.advice) == (state != "ok")
