"""The directory of four bootstrap nodes, each a process of its own: signed by three, and gone on with by clients."""

import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from inference.models import DEFAULT_MODEL
from peernet.client.network import HostChoice, NetworkView
from peernet.core import serving
from peernet.core.directory import signers
from peernet.core.suite import MixedSuite
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from tests.swarm.scripted_peer import Script
from tests.swarm.support import SCRIPTED, Running, model_folder, next_network, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

SUITE = MixedSuite()
BOOTSTRAPS = 4
RELAYS = 5
LIMIT_S = 20.0
LEDGER = "peernet.local/log+df5c46de+AUc6dZ4HEx3tA0i7e1RWIDpw/Ec5uHSsEIbJsZkAh8dY"


class Four:
    """Four bootstrap nodes that know each other, five relays, and hosts that answer by a script."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._network = next_network()
        homes = [folder / f"bootstrap-{number}" for number in range(BOOTSTRAPS)]
        # Each must know the others before any runs: keys are made first, and ports are fixed.
        keys = [Home.at(home).keypair("identity", SUITE) for home in homes]
        places = [self.place(1 + number, 4100) for number in range(BOOTSTRAPS)]
        addresses = [f"{place}/p2p/{key.peer_id}" for place, key in zip(places, keys, strict=True)]
        self.config = NetworkConfig(bootstrap=tuple(addresses), test=True, listen=(self.place(200, 0),))
        self.keys = [key.public_key for key in keys]
        self._joining = [word for address in addresses for word in ("--bootstrap", address)]

    def place(self, number: int, port: int) -> str:
        return f"/ip4/127.{self._network}.{number}.1/tcp/{port}"

    async def bootstrap(self, number: int) -> Running:
        home = ("--home", self._folder / f"bootstrap-{number}")
        where = ("--listen", self.place(1 + number, 4100))
        return await self._start("bootstrap", *home, *where, "--directory-interval-s", 1)

    async def relays(self) -> Running:
        listens = [word for number in range(RELAYS) for word in ("--listen", self.place(100 + number, 0))]
        return await self._start("relay", "--home", self._folder / "relays", "--separate-operators", *listens)

    async def host(self, number: int, port: int = 0) -> Running:
        home = ("--home", self._folder / f"host-{number}")
        model = ("--models", model_folder(), "--model", DEFAULT_MODEL, "--ledger", LEDGER)
        return await self._start("host", *home, *model, "--listen", self.place(10 + number, port))

    async def _start(self, *words: object) -> Running:
        command = (*words, *self._joining, "--test-network", "--json")
        return await self._stack.enter_async_context(running(*command, command=SCRIPTED, extra=Script().environment))

    def client(self) -> NetworkView:
        state = self._folder / "client"
        return NetworkView(self.config, state / "guards.json", state / "directory.bin")


def _hosts(view: NetworkView) -> list[HostChoice]:
    pairs = view.directory.hosts_of(DEFAULT_MODEL)
    return [HostChoice(listing, offer) for listing, offer in pairs]


async def _lists(view: NetworkView, *, hosts: int, bootstraps: int) -> None:
    with trio.fail_after(LIMIT_S):
        while (len(_hosts(view)), len(view.directory.bootstraps), len(view.directory.relays)) != (
            hosts,
            bootstraps,
            RELAYS,
        ):
            await trio.sleep(0.05)
            await view.fetch_directory()


async def _reaches(view: NetworkView, host: HostChoice) -> None:
    (path,) = view.plan_rings([host], "private")
    ring = await view.open_ring(path, serving.INFER)
    ring.end()


async def test_four_bootstrap_nodes_and_then_three_and_then_none(tmp_path: Path) -> None:
    async with background_nursery() as nursery, AsyncExitStack() as stack:
        four = Four(tmp_path, stack)
        nodes = [await four.bootstrap(number) for number in range(BOOTSTRAPS)]
        for node in nodes:
            await node.line(0)
        relays, first = await four.relays(), await four.host(1)
        view = four.client()
        await nursery.start(view.swarm.run)
        await relays.line(0)
        peer = json.loads(await first.line(0))["peer"]
        await view.start()
        await _lists(view, hosts=1, bootstraps=4)
        newest = view._known._copy.newest
        assert newest is not None
        assert len(signers(newest.seal, four.keys, SUITE)) >= 3

        nodes[1].signal(signal.SIGKILL)
        await four.host(2)
        await _lists(view, hosts=2, bootstraps=3)

        # A host ends in good order and comes back elsewhere, when nobody is left to sign that.
        (known,) = [host for host in _hosts(view) if host.peer == peer]
        for node in (nodes[0], *nodes[2:]):
            node.signal(signal.SIGKILL)
        first.signal(signal.SIGTERM)
        assert (await first.end()).code == 0
        moved = await four.host(1, port=4200)
        assert json.loads(await moved.line(0))["peer"] == peer
        late = four.client()
        await nursery.start(late.swarm.run)
        await late.start()
        await late.look_for_hosts(DEFAULT_MODEL)
        (now,) = [host for host in _hosts(late) if host.peer == peer]
        assert now.listing.record.addresses == (four.place(11, 4200),) != known.listing.record.addresses
        await _reaches(late, now)
