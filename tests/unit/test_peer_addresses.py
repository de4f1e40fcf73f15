"""What a peer tells others of where it is: nothing that they cannot dial."""

from pathlib import Path

import pytest
import trio

from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import UserError
from peernet.core.suite import MixedSuite
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer

SUITE = MixedSuite()


def peer(folder: Path, **network: object) -> Peer:
    return Peer(PeerKeys.of(Home.at(folder), SUITE), NetworkConfig(test=True, **network), ["relay"])  # type: ignore[arg-type]


def recorded(one: Peer) -> tuple[str, ...]:
    record = open_record(one.signed_record(), now_s(), SUITE)
    assert isinstance(record, PeerRecord)
    return record.addresses


async def test_a_peer_says_where_it_listens(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/127.45.1.1/tcp/0")
    async with running_peer(one, join=False):
        (address,) = recorded(one)
        assert address.startswith("/ip4/127.45.1.1/tcp/")
        assert not address.endswith("/tcp/0")
        with trio.fail_after(2):
            stream = await trio.open_tcp_stream("127.45.1.1", int(address.rpartition("/")[2]))
        await stream.aclose()


async def test_a_peer_says_what_its_operator_announces(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/127.45.2.1/tcp/0", announce=("/ip4/203.0.113.7/tcp/4101",))
    async with running_peer(one, join=False):
        assert recorded(one) == ("/ip4/203.0.113.7/tcp/4101",)
        assert str(one.addresses[0]) == f"/ip4/203.0.113.7/tcp/4101/p2p/{one.peer_id}"


async def test_a_peer_that_nobody_could_dial_does_not_start(tmp_path: Path) -> None:
    one = peer(tmp_path)
    with pytest.raises(UserError, match="--announce"):
        async with running_peer(one, join=False):
            pass


async def test_everywhere_is_fine_with_an_announced_address(tmp_path: Path) -> None:
    one = peer(tmp_path, announce=("/ip4/203.0.113.7/tcp/4101",))
    async with running_peer(one, join=False):
        assert recorded(one) == ("/ip4/203.0.113.7/tcp/4101",)


def test_an_announced_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="multiaddr"):
        peer(tmp_path, announce=("my.house:4101",))
