"""Whom a client asks: the hosts of the directory in their order."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from attrs import evolve

from peernet.client.network import NetworkView
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.host_ranking import STRETCH_TOKENS
from peernet.core.identity import Keypair
from peernet.core.regions import RegionBound
from peernet.core.ring.paths import TooFewRelays
from peernet.core.suite import MixedSuite
from peernet.node.config import NetworkConfig

SUITE = MixedSuite()
BOOTSTRAP = "/ip4/127.1.1.1/tcp/1/p2p/12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
MODEL = "scripted"
TIMES = (1, 1, 1 << 40)
"""They do not expire."""


def listing(number: int, *roles: str, operator: str = "", region: str = "") -> Listing:
    public_key = Keypair.from_seed(b"choosing peer %018d" % number, SUITE).public_key
    address, operator_key = f"/ip4/127.{number}.1.1/tcp/9", (operator or f"operator {number}").encode()
    record = PeerRecord(public_key, *TIMES, (address,), bytes(32), operator_key, b"", roles, region)
    digests = (bytes(32), bytes(32), "none")
    offer = HostOffer(public_key, *TIMES, MODEL, *digests, 2048, 2, 5, 2, region, ("log",), b"", ())
    return Listing(record, b"", (offer,) if "host" in roles else ())


def host(number: int, **more: str) -> Listing:
    return listing(number, "host", **more)


def view_of(folder: Path, listings: Sequence[Listing], seed: int = 1, **bounds: Any) -> NetworkView:
    config = NetworkConfig(test=True, bootstrap=(BOOTSTRAP,))
    view = NetworkView(config, folder / "guards.json", clock=lambda: 1, **bounds)
    view._random = cast("Any", random.Random(seed))
    view.directory = Directory(1, tuple(listings))
    return view


def asked(view: NetworkView) -> list[str]:
    return [choice.peer for choice in view.hosts_of(MODEL, bytes(32), ["log"])]


@pytest.fixture(autouse=True)
async def _in_trio() -> None:
    """The view reads trio's clock."""


async def test_hosts_that_nobody_vouches_for_come_last(tmp_path: Path):
    strangers = [evolve(host(number), vouched=False) for number in (1, 2)]
    view = view_of(tmp_path, [*strangers, host(3), host(4)])
    for _ in range(20):
        assert set(asked(view)[2:]) == {str(stranger.peer) for stranger in strangers}


async def test_for_a_long_answer_the_quicker_writer_comes_first(tmp_path: Path):
    view = view_of(tmp_path, [host(1), host(2)])
    begins_sooner, writes_quicker = (str(listing.peer) for listing in view.directory.listings)
    for peer, first_s, stretch_s in ((begins_sooner, 0.1, 8.0), (writes_quicker, 2.0, 0.1)):
        view.standings.first_token(peer, 10, first_s, trio.current_time())
        view.standings.stretch(peer, STRETCH_TOKENS, stretch_s, trio.current_time())
    for answer_tokens, better in ((1, begins_sooner), (200, writes_quicker)):
        orders = [view.hosts_of(MODEL, bytes(32), ["log"], answer_tokens) for _ in range(200)]
        assert sum(order[0].peer == better for order in orders) > 125


async def test_the_first_hosts_are_of_different_operators(tmp_path: Path):
    many = [host(number, operator="one with many hosts") for number in range(1, 8)]
    others = [host(11), host(12)]
    view = view_of(tmp_path, [*many, *others])
    for _ in range(30):
        order = asked(view)
        assert {str(other.peer) for other in others} < set(order[:3])
        assert len(order) == len(set(order)) == 9


async def test_what_was_seen_of_a_host_moves_it_and_leaves_it_a_chance(tmp_path: Path):
    view = view_of(tmp_path, [host(number) for number in range(1, 5)])
    good, *others = asked(view)
    for peer in others:
        view.standings.failed(peer, trio.current_time())
    first = Counter(asked(view)[0] for _ in range(800))
    assert 0.37 < first[good] / first.total() < 0.51  # 7 in 16
    assert set(first) == {good, *others}


# --- regions ---------------------------------------------------------------------------------------------------------

EU = RegionBound(("eu",))


async def test_only_hosts_that_claim_to_be_within_the_bound_are_asked(tmp_path: Path):
    near, far, silent = host(1, region="eu-central"), host(2, region="us"), host(3)
    lying = evolve(host(4, region="eu"), record=host(4, region="us").record)
    view = view_of(tmp_path, [near, far, silent, lying], host_regions=EU)
    assert asked(view) == [str(near.peer)]
    assert view.hosts_elsewhere(MODEL, bytes(32), ["log"]) == {"us": 1, "none claimed": 1, "eu and us": 1}
    assert len(asked(view_of(tmp_path, [near, far, silent, lying]))) == 4


def relays(*regions: str) -> list[Listing]:
    return [listing(100 + number, "relay", region=region) for number, region in enumerate(regions)]


async def test_only_relays_that_claim_to_be_within_the_bound_are_used_as_guards_too(tmp_path: Path):
    listed = relays(*["eu"] * 6, *["us", ""] * 6)
    within = {str(relay.peer) for relay in listed[:6]}
    # The guards of before are outside of it.
    before = view_of(tmp_path, [*listed[6:], host(1)])
    before.plan_rings(before.hosts_of(MODEL, bytes(32), ["log"]), "private")
    view = view_of(tmp_path, [*listed, host(1)], relay_regions=EU)
    used = set()
    for _ in range(20):
        (path,) = view.plan_rings(view.hosts_of(MODEL, bytes(32), ["log"]), "private")
        used |= {relay.peer for arc in (path.out, path.back) for relay in arc}
    assert used <= within
    assert len(used) > 4
    assert {guard.record.region for guard in view._guards_known()} == {"eu"}
    assert {path.endpoint.peer for path in view._lookup_paths()} <= within
    assert [view.region_of(str(listed[place].peer)) for place in (0, 6)] == ["eu", "us"]


async def test_too_few_relays_within_the_bound_are_refused_by_its_name(tmp_path: Path):
    view = view_of(tmp_path, [*relays("eu", "eu", "eu", "us", "us", "us", "us"), host(1)], relay_regions=EU)
    with pytest.raises(TooFewRelays) as raised:
        view.plan_rings(view.hosts_of(MODEL, bytes(32), ["log"]), "private")
    said = str(raised.value)
    assert "needs 4 relays of different operators and networks that claim to be in eu for this request, and 3" in said
    assert "1 more are missing" in said
    assert "take more regions into relay_regions" in said
    assert raised.value.lacks == "1 more relay of different operators and networks that claim to be in eu"
