"""A lookup takes the same hops in real processes as in the simulator.

A bootstrap node and forty relays run as commands, with keys that the test gives them, and find each other as they
always do. A probe then asks them over real sockets as a client would, so that nobody's table changes for it, and the
same ids are put into the simulator.

What can be equal? Which contacts a table holds depends on who came first, and how deep a peer was found, where several
queries are under way, on whose answer came first. So the probe reads the tables of the real peers, the simulated ones
get the same contacts, and the lookups that are compared one by one ask one peer after another from one seed: then each
step follows from the one before, and hops, queries and result must be equal, all of them. With the node's own
parameters, and over tables that the simulated nodes made themselves by joining, results are the same and hops alike.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from peernet.core.dht.contact import ID_BITS, ID_SIZE, Contact
from peernet.core.dht.lookup import Lookup, LookupResult
from peernet.core.dht.messages import FindNode, Nodes
from peernet.core.dht.node import PATHS
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import PeerAddress, parse_peer_address
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig
from peernet.node.discovery import Discovery
from peernet.node.home import write_secret
from peernet.node.peer import swarm_of
from simulations.discovery import Discovery as SimulatedDiscovery
from simulations.discovery import SimulatedNode
from simulations.engine import Engine
from tests.swarm.support import next_network, running

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

SUITE = MixedSuite()
RELAYS = 40
TARGETS = 30
DEEPEST_BUCKET = 8
"""Of forty peers nobody shares more leading bits with another than a few."""


def seed_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def keypair_of(number: int) -> Keypair:
    """The key of peer `number`; 0 is the bootstrap node."""
    return Keypair.from_seed(seed_of(f"hops {number}"), SUITE)


def targets() -> list[bytes]:
    return [seed_of(f"target {number}")[:ID_SIZE] for number in range(TARGETS)]


# --- the real network ------------------------------------------------------------------------------------------------


def prepare(home: Path, numbers: Sequence[int]) -> None:
    """Gives the peers of one process their keys."""
    for place, number in enumerate(numbers, 1):
        keys = home / "config" / ("" if place == 1 else f"relay-{place}") / "keys"
        write_secret(keys / "identity.key", seed_of(f"hops {number}"))


@asynccontextmanager
async def network(folder: Path) -> AsyncIterator[list[PeerAddress]]:
    """A bootstrap node and two processes of relays; their addresses, in the order of their numbers."""
    second = next_network()
    prepare(folder / "b", [0])
    half = RELAYS // 2
    parts = [range(1, half + 1), range(half + 1, RELAYS + 1)]
    for number, part in enumerate(parts):
        prepare(folder / f"r{number}", part)
    common = ("--json", "--supervised", "--test-network")
    begin = ("bootstrap", "--home", folder / "b", "--listen", f"/ip4/127.{second}.200.1/tcp/0", *common)
    async with running(*begin) as bootstrap:
        (address,) = json.loads(await bootstrap.line(0))["addresses"]
        listens = [
            [word for number in part for word in ("--listen", f"/ip4/127.{second}.{number}.1/tcp/0")] for part in parts
        ]
        words = [
            ("relay", "--home", folder / f"r{n}", "--bootstrap", address, "--separate-operators", *common, *listens[n])
            for n in range(2)
        ]
        async with running(*words[0]) as one, running(*words[1]) as two:
            ready = [json.loads(await process.line(0)) for process in (one, two)]
            texts = [address, *[relay["addresses"][0] for part in ready for relay in part["relays"]]]
            yield [parse_peer_address(text) for text in texts]


@asynccontextmanager
async def probing(address: str) -> AsyncIterator[Discovery]:
    """A client's end of the DHT, from `address`."""
    network = NetworkConfig(test=True, listen=(address,))
    swarm = swarm_of(network, Keypair.from_seed(seed_of("probe"), SUITE), SUITE)
    async with background_nursery() as nursery:
        await nursery.start(swarm.run)
        yield Discovery(swarm, SUITE, lambda: int(time.time()), lambda: b"", allow_private=True)


async def contacts_of(probe: Discovery, peers: Sequence[PeerAddress]) -> list[Contact]:
    """Each peer as it introduces itself."""
    return [(await probe._ask(peer.peer, [peer.address], FindNode(peer.peer.dht_id)))[0] for peer in peers]


async def table_of(probe: Discovery, peer: Contact) -> frozenset[bytes]:
    """The ids in a peer's table: a bucket holds no more than an answer does, so each is asked for by itself."""
    known: set[bytes] = set()
    for depth in range(DEEPEST_BUCKET + 1):
        target = (peer.long_id ^ (1 << (ID_BITS - 1 - depth))).to_bytes(ID_SIZE)
        _, reply = await probe.query(peer, FindNode(target))
        assert isinstance(reply, Nodes)
        known |= {contact.id for contact in probe.verifier.contacts(reply.records, time.time())}
    return frozenset(known)


async def settled_tables(probe: Discovery, peers: Sequence[Contact]) -> dict[bytes, frozenset[bytes]]:
    """The tables of all peers, once joining and publishing have ended and nothing in them changes."""
    before: dict[bytes, frozenset[bytes]] = {}
    with trio.fail_after(20):
        while True:
            tables = {peer.id: await table_of(probe, peer) for peer in peers}
            if tables == before:
                return tables
            before = tables


# --- the simulated one -----------------------------------------------------------------------------------------------


def simulated(peers: Sequence[PeerAddress]) -> tuple[SimulatedDiscovery, list[SimulatedNode], SimulatedNode]:
    """Nodes with the real keys and addresses, nobody knowing anybody, and a probe that is not one of them."""
    discovery = SimulatedDiscovery(Engine(1, lambda _, __: 0.01), expected_nodes=len(peers) + 1, suite=SUITE)
    nodes = [
        discovery.add(number, roles=("relay",), keypair=keypair_of(number), address=str(peer.address))
        for number, peer in enumerate(peers)
    ]
    assert [node.keypair.peer_id for node in nodes] == [peer.peer for peer in peers]
    discovery.bootstraps = nodes[:1]
    return discovery, nodes, discovery.add(len(nodes), roles=("relay",))


def search_simulated(discovery: SimulatedDiscovery, probe: SimulatedNode, lookup: Lookup) -> LookupResult:
    results: list[LookupResult] = []
    discovery.drive(probe, lookup, results.append, introduce=False)
    discovery.engine.run()
    return results[0]


# --- the comparison --------------------------------------------------------------------------------------------------


async def test_lookups_take_the_same_hops_here_and_there(tmp_path: Path):
    async with network(tmp_path) as peers, probing(str(peers[0].address)) as probe:
        contacts = await contacts_of(probe, peers)
        tables = await settled_tables(probe, contacts)
        assert min(map(len, tables.values())) >= 15
        assert any(len(table) < len(peers) - 1 for table in tables.values())

        alike, nodes, simulated_probe = simulated(peers)
        by_id = {node.contact.id: node for node in nodes}
        for node in nodes:
            for known in sorted(tables[node.contact.id]):
                node.dht.heard_from(by_id[known].contact, alike.engine.now_s)
            assert {contact.id for contact in node.dht.table.contacts()} == tables[node.contact.id]

        one_by_one: list[LookupResult] = []
        for number, target in enumerate([*[contact.id for contact in contacts[::2]], *targets()]):
            seed = 7 * number % len(peers)
            real = await probe._run(Lookup(target, [contacts[seed]], probe.verifier, alpha=1))
            here = search_simulated(
                alike, simulated_probe, Lookup(target, [nodes[seed].contact], alike.verifier, alpha=1)
            )
            assert (here.hops, here.queries, here.failures) == (real.hops, real.queries, 0)
            assert [contact.id for contact in here.closest] == [contact.id for contact in real.closest]
            one_by_one.append(real)
        # The first one looked for its own seed; from others it takes two or three.
        assert one_by_one[0].hops == 1
        assert {result.hops for result in one_by_one} >= {1, 2, 3}
        assert len({result.queries for result in one_by_one}) > 1

        real_hops, own_hops = [], []
        own, own_nodes, own_probe = simulated(peers)
        for node in own_nodes:
            own.join(node)
            own.engine.run()
        for number, target in enumerate(targets()):
            seeds = [(number + step) % len(peers) for step in (0, 7, 19)]
            real = await probe._run(Lookup(target, [contacts[seed] for seed in seeds], probe.verifier, paths=PATHS))
            here = search_simulated(
                own, own_probe, Lookup(target, [own_nodes[seed].contact for seed in seeds], own.verifier, paths=PATHS)
            )
            assert [contact.id for contact in here.closest] == [contact.id for contact in real.closest]
            real_hops.append(real.hops)
            own_hops.append(here.hops)
        assert abs(sum(real_hops) - sum(own_hops)) / TARGETS <= 0.25
