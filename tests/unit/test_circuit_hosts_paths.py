"""A host behind a NAT: its circuit relays count on every ring to it, by peer, operator and network."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from peernet.client.network import HostChoice, NetworkView
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import MixedSuite
from peernet.node.config import NetworkConfig

SUITE = MixedSuite()
BOOTSTRAP = "/ip4/127.1.1.1/tcp/1/p2p/12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
TIMES = (1, 1, 1 << 40)
"""They do not expire."""


def key(number: int) -> bytes:
    return Keypair.from_seed(b"circuit host peer %014d" % number, SUITE).public_key


def peer_id(number: int) -> str:
    return str(PeerId.from_public_key(key(number)))


def listing(number: int, role: str, addresses: Sequence[str], operator: str = "") -> Listing:
    operator_key = (operator or f"operator {number}").encode()
    record = PeerRecord(key(number), *TIMES, tuple(addresses), bytes(32), operator_key, b"", (role,), "")
    return Listing(record, b"")


def relay(number: int, operator: str = "", network: int = 0) -> Listing:
    return listing(number, "relay", [f"/ip4/127.{network or number}.1.1/tcp/9"], operator)


@pytest.fixture
def view(tmp_path: Path) -> NetworkView:
    found = NetworkView(NetworkConfig(test=True, bootstrap=(BOOTSTRAP,)), tmp_path / "guards.json", clock=lambda: 1)
    found._random = cast("Any", random.Random(1))
    return found


def relays_used(view: NetworkView, host: Listing) -> set[str]:
    """Who stands on any of many rings, each by a client that has no guards yet."""
    offer = HostOffer(key(1), *TIMES, "m", bytes(32), bytes(32), "none", 2048, 2, 5, 2, "", ("log",), b"", ())
    used = set()
    for _ in range(40):
        view._guards._save({})
        (path,) = view.plan_rings([HostChoice(host, offer)], "private")
        used |= {peer.peer for arc in (path.out, path.back) for peer in arc}
    return used


async def test_a_circuit_relay_counts_by_peer_operator_and_network(view: NetworkView):
    carrier = relay(100, "shared")
    others = [relay(number) for number in range(103, 110)]
    same_operator, same_network = relay(101, "shared"), relay(102, network=100)
    # The relay is named at an address that its record does not have any more: what counts is who it is.
    host = listing(1, "host", [f"/ip4/127.99.1.1/tcp/9/p2p/{peer_id(100)}/p2p-circuit"])
    view.directory = Directory(1, (carrier, same_operator, same_network, *others, host))
    assert relays_used(view, host) == {str(other.peer) for other in others}


async def test_a_circuit_relay_that_is_not_listed_counts_by_its_network(view: NetworkView):
    neighbour = relay(101, network=99)
    others = [relay(number) for number in range(103, 110)]
    host = listing(1, "host", [f"/ip4/127.99.1.1/tcp/9/p2p/{peer_id(100)}/p2p-circuit"])
    view.directory = Directory(1, (neighbour, *others, host))
    assert relays_used(view, host) == {str(other.peer) for other in others}
