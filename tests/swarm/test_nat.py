"""Two peers, each behind a NAT of its own, and two public relays between: real processes in network namespaces.

Nothing is told to the peers but where the bootstrap node is. They find out that nobody reaches them, keep places at
the relays, talk through one, and when it dies go on through the other.
"""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define

from tests.namespaces import Namespaces, missing
from tests.swarm.support import PEERNET, Running, run, running, wait_for

pytestmark = pytest.mark.swarm

NAT_PEER = (sys.executable, "-m", "tests.swarm.nat_peer")
REACHED_WITHIN_S = 40.0
RECOVERED_WITHIN_S = 40.0


@define(eq=False)
class NatPeer:
    """A running `nat_peer`, and the lines of it that were read."""

    process: Running
    peer: str

    def events(self, kind: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.process.out.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"] == kind]

    @property
    def addresses(self) -> list[str]:
        told = self.events("addresses")
        return [str(address) for address in told[-1]["addresses"]] if told else []  # type: ignore[union-attr, attr-defined]

    async def ask(self, other: "NatPeer") -> dict[str, object]:
        number = len(self.events("answer"))
        await self.process.write(f"ask {other.peer}\n")
        await wait_for(lambda: len(self.events("answer")) > number)
        return self.events("answer")[number]

    async def ask_until_answered(self, other: "NatPeer", within_s: float) -> dict[str, object]:
        """The peer is asked again as long as what is known of the other is what was true before."""
        with trio.fail_after(within_s):
            while not (answer := await self.ask(other))["ok"]:  # noqa: ASYNC110  (another process wakes nobody)
                await trio.sleep(0.2)
        return answer


@define(eq=False)
class World:
    """Everything that runs."""

    spaces: Namespaces
    stack: AsyncExitStack
    folder: Path
    relays: dict[str, Running]
    """By IP address."""
    relay_ids: dict[str, str]
    network_file: Path

    async def start(self, space: str, *words: object, command: tuple[str, ...] = PEERNET) -> Running:
        inside = (*self.spaces.inside(space), *command)
        return await self.stack.enter_async_context(running(*words, command=inside))

    async def start_relay(self, space: str, ip: str) -> None:
        joining = ("--network", self.network_file, "--listen", f"/ip4/{ip}/tcp/4101", "--json", "--supervised")
        relay = await self.start(space, "relay", "--home", self.folder / space, *joining)
        ready = json.loads(await relay.line(0))
        self.relays[ip] = relay
        self.relay_ids[ip] = ready["relays"][0]["peer"]

    async def start_peer(self, space: str, ip: str) -> NatPeer:
        where = (self.folder / space, self.network_file, f"/ip4/{ip}/tcp/4101")
        process = await self.start(space, *where, command=NAT_PEER)
        return NatPeer(process, json.loads(await process.line(0))["peer"])

    def circuit(self, ip: str) -> str:
        return f"/ip4/{ip}/tcp/4101/p2p/{self.relay_ids[ip]}/p2p-circuit"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    with Namespaces.opened() as spaces:
        async with AsyncExitStack() as stack:
            world = World(spaces, stack, folder, {}, {}, folder / "network.toml")
            ip = spaces.public("bootstrap", "192.0.2")
            where = ("--home", folder / "bootstrap", "--listen", f"/ip4/{ip}/tcp/4101", "--test-network")
            ending = ("--json", "--supervised")
            bootstrap = await world.start(
                "bootstrap", "bootstrap", *where, "--origin", "peernet.test/log", "--write-network",
                world.network_file, *ending,
            )  # fmt: skip
            await bootstrap.line(0)
            for name, network in (("relay-1", "198.51.100"), ("relay-2", "203.0.113")):
                await world.start_relay(name, spaces.public(name, network))
            yield world


async def test_two_peers_behind_nats_talk_through_a_relay_and_through_another_when_it_dies(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    async with opened(tmp_path) as world:
        one = await world.start_peer("one", world.spaces.home("one", "198.18.1", "10.99.1"))
        world.spaces.home("two", "198.18.2", "10.99.2")
        # This one does not even know an address of its own to be asked about.
        two = await world.start_peer("two", "0.0.0.0")
        circuits = {world.circuit(ip) for ip in world.relays}
        # They know by themselves that nobody reaches them, and where they are reached now.
        for peer in (one, two):
            await wait_for(lambda peer=peer: set(peer.addresses) == circuits, REACHED_WITHIN_S)
        answer = await one.ask_until_answered(two, REACHED_WITHIN_S)
        assert answer["peer"] == two.peer
        used = str(answer["observed"]).split("/")[2]
        assert answer["observed"] == f"/ip4/{used}/p2p-circuit"

        (other,) = set(world.relays) - {used}
        world.relays[used].signal(signal.SIGKILL)
        await world.relays[used].end()
        for peer in (one, two):
            await wait_for(lambda peer=peer: peer.addresses == [world.circuit(other)], RECOVERED_WITHIN_S)
        answer = await one.ask_until_answered(two, RECOVERED_WITHIN_S)
        assert answer["peer"] == two.peer
        assert answer["observed"] == f"/ip4/{other}/p2p-circuit"

        # And when the relay is back, it is found again.
        await world.start_relay("relay-1" if used.startswith("198") else "relay-2", used)
        for peer in (one, two):
            await wait_for(lambda peer=peer: set(peer.addresses) == circuits, RECOVERED_WITHIN_S)
        assert (await two.ask_until_answered(one, RECOVERED_WITHIN_S))["peer"] == one.peer


async def test_the_doctor_tells_who_is_behind_a_nat_which_port_to_forward_and_that_relays_do(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    async with opened(tmp_path) as world:
        ip = world.spaces.home("one", "198.18.1", "10.99.1")
        where = ("--listen", f"/ip4/{ip}/tcp/4101", "--announce", "/ip4/198.18.1.2/tcp/4101")
        command = (*world.spaces.inside("one"), *PEERNET)
        home = ("--home", tmp_path / "one", "--network", world.network_file)
        done = await run("doctor", *home, *where, "--json", command=command)
        found = {finding["check"]: finding for finding in json.loads(done.out)["findings"]}
        assert found["reach"]["state"] == "note"
        assert "closed to others" in found["reach"]["what"]
        assert f"forward TCP port 4101 to this machine ({ip})" in found["reach"]["advice"]
        assert found["relays"]["state"] == "ok"
        # There is no model in that home, and nothing else is wrong.
        assert [check for check, finding in found.items() if finding["state"] == "wrong"] == ["model"]
        assert done.code == 1


def test_what_a_killed_run_left_is_removed_and_what_runs_is_not() -> None:
    if reason := missing():
        pytest.skip(reason)
    from tests.namespaces import remove_leftovers, run

    dead = "pnat-4194305-router"  # no process has this id
    run("ip", "netns", "add", dead)
    with Namespaces.opened() as spaces:
        names = run("ip", "netns", "list")
        assert dead not in names
        assert spaces.full("router") in names
        remove_leftovers()
        assert spaces.full("router") in run("ip", "netns", "list")
    assert spaces.full("router") not in run("ip", "netns", "list")
