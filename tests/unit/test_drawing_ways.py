"""Which ways a client's view of the network draws to be built ahead, and how long they stand."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import evolve

from peernet.client.network import NetworkView
from peernet.core.dht.records import PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.ring.paths import PathPeer
from peernet.node.config import NetworkConfig
from tests.directory_records import keypair

BOOTSTRAP = "/ip4/127.1.1.1/tcp/1/p2p/12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
NOW = 1


@pytest.fixture(autouse=True)
async def _in_trio() -> None:
    """The view reads trio's clock."""


def relay(number: int, operator: str = "") -> Listing:
    address, operator_key = f"/ip4/127.{number}.1.1/tcp/9", (operator or f"operator {number}").encode()
    public_key = keypair(f"relay {number}").public_key
    record = PeerRecord(public_key, NOW, NOW, NOW + 100, (address,), bytes(32), operator_key, b"", ("relay",), "")
    return Listing(record, b"")


def view_of(folder: Path, *relays: Listing) -> NetworkView:
    config = NetworkConfig(test=True, bootstrap=(BOOTSTRAP,))
    view = NetworkView(config, folder / "guards.json", clock=lambda: NOW)
    view._random = cast("Any", random.Random(1))
    view._arc_profile = "private"
    view.directory = Directory(1, relays)
    return view


async def test_ways_are_drawn_apart_from_those_that_there_are(tmp_path: Path) -> None:
    twins = [relay(number, "twins") for number in (20, 21)]
    view = view_of(tmp_path, *(relay(number) for number in range(1, 12)), *twins)
    view._draw_ways(())  # now it has guards
    known = set(view._guards.known())
    assert not known & {str(twin.peer) for twin in twins}
    middles = [view._path_peer(each) for each in view.directory.relays if str(each.peer) not in known]
    free, taken = middles[:3], [*middles[3:-2], middles[-1]]
    drawn: set[PathPeer] = set()
    for _ in range(20):
        drawn |= {way[1] for way in view._draw_ways(taken)}
    # Of the twins one is taken and the other is its operator's.
    assert {each.peer for each in drawn} == {each.peer for each in free}


def without(view: NetworkView, middle: Listing) -> None:
    view.directory = Directory(1, tuple(each for each in view.directory.listings if each != middle))


def put(view: NetworkView, old: Listing, new: Listing) -> None:
    view.directory = Directory(1, tuple(new if each == old else each for each in view.directory.listings))


ENDS: dict[str, Callable[[NetworkView, Listing], object]] = {
    "the directory lists it no more": without,
    "nobody vouches for it": lambda view, middle: put(view, middle, evolve(middle, vouched=False)),
    "its record has expired": lambda view, middle: put(
        view, middle, evolve(middle, record=evolve(middle.record, expires_at_s=NOW))
    ),
    "it is away": lambda view, middle: view._away.add(str(middle.peer)),
    "its guard is none of the client's": lambda view, _: view._guards._save({}),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_way_stands_until_a_relay_of_it_may_not_be_used_any_more(tmp_path: Path, end: str) -> None:
    view = view_of(tmp_path, *(relay(number) for number in range(1, 12)))
    way, other = view._draw_ways(())
    assert view._way_stands(way)
    middle = view.directory.listing_of(way[1].peer)
    assert middle is not None
    ENDS[end](view, middle)
    assert not view._way_stands(way)
    assert view._way_stands(other) is (end != "its guard is none of the client's")
