"""Good peers outlive a restart, and a peer counts where it really is."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import structlog
import trio
from attrs import evolve

from peernet.core.errors import UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.prefixes import ip_prefix
from peernet.core.suite import MixedSuite
from peernet.net.addresses import PeerAddress, TcpAddress
from peernet.node.config import NetworkConfig
from peernet.node.crawl import crawl
from peernet.node.peer import Peer, PeerKeys, running_peer
from peernet.node.remembered import MAX_REMEMBERED, RememberedPeers

SUITE = MixedSuite()
_numbers = count(1)


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def address(number: int) -> PeerAddress:
    return PeerAddress(PeerId.from_public_key(number.to_bytes(32)), TcpAddress("203.0.113.7", 1 + number))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "peers.txt"


def test_without_a_file_nobody_is_remembered(path: Path):
    assert RememberedPeers(path).load() == []


def test_what_is_saved_is_loaded_newest_first_and_bounded(path: Path):
    peers = RememberedPeers(path)
    peers.save([address(1), address(2)])
    assert peers.load() == [address(1), address(2)]
    moved = evolve(address(2), address=TcpAddress("203.0.113.8", 9))
    peers.save([address(3), moved])
    assert peers.load() == [address(3), moved, address(1)]
    peers.save(map(address, range(10, 10 + 2 * MAX_REMEMBERED)))
    assert peers.load() == [address(number) for number in range(10, 10 + MAX_REMEMBERED)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe\n", b"junk\n", b"/ip4/203.0.113.7/tcp/1\n", b"x" * 200_000])
def test_a_damaged_line_costs_one_peer(path: Path, junk: bytes):
    peers = RememberedPeers(path)
    peers.save([address(1)])
    path.write_bytes(path.read_bytes() + junk + b"\n")
    assert peers.load() == [address(1)]


def test_a_file_that_cannot_be_read_is_none(path: Path):
    path.mkdir(parents=True)
    assert RememberedPeers(path).load() == []


def keys_of(number: int) -> PeerKeys:
    return PeerKeys(
        Keypair.from_seed(b"remembered peer %016d" % number, SUITE),
        Keypair.from_seed(b"remembered operator %012d" % number, SUITE),
        b"remembered onion %015d" % number,
    )


def new_peer(*bootstraps: Peer, state: Path | None = None, keys: PeerKeys | None = None) -> Peer:
    number = next(_numbers)
    network = NetworkConfig(
        test=True,
        listen=f"/ip4/127.92.{number % 250}.1/tcp/0",
        bootstrap=tuple(str(bootstrap.addresses[0]) for bootstrap in bootstraps),
    )
    return Peer(keys or keys_of(number), network, ["relay"], state)


@asynccontextmanager
async def running(*peers: Peer) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for peer in peers:
            await nursery.start(run, peer)
        yield
        nursery.cancel_scope.cancel()


async def run(peer: Peer, task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
    async with running_peer(peer, join=bool(peer.network.bootstrap)):
        task_status.started()
        await trio.sleep_forever()


def known_to(peer: Peer) -> set[bytes]:
    return {contact.public_key for contact in peer.discovery.node.table.contacts()}


async def test_with_every_bootstrap_node_dead_a_node_rejoins_from_those_it_remembers(tmp_path: Path):
    bootstrap, keys = new_peer(), keys_of(1000)
    async with trio.open_nursery() as nursery:
        dying = trio.CancelScope()

        async def run_bootstrap(task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
            with dying:
                await run(bootstrap, task_status)

        await nursery.start(run_bootstrap)
        other = new_peer(bootstrap)
        await nursery.start(run, other)
        first = new_peer(bootstrap, state=tmp_path, keys=keys)
        async with running(first):
            assert known_to(first) == {bootstrap.keys.identity.public_key, other.keys.identity.public_key}
        assert (tmp_path / "peers.txt").exists()
        dying.cancel()

        again = new_peer(bootstrap, state=tmp_path, keys=keys)
        async with running(again):
            assert known_to(again) == {other.keys.identity.public_key}
        forgetful = new_peer(bootstrap, keys=keys)
        with pytest.raises(UserError, match="none of the bootstrap nodes answers"):
            async with running_peer(forgetful):
                pass
        nursery.cancel_scope.cancel()


async def test_a_disk_that_refuses_ends_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    peer = new_peer(state=tmp_path / "file" / "state")
    peer.remember([address(1)])


async def test_a_peer_counts_under_the_network_that_its_session_comes_from():
    bootstrap = new_peer()
    async with running(bootstrap):
        liar = new_peer(bootstrap)
        liar.swarm.listening.append(TcpAddress("203.0.113.7", 4101))
        async with running(liar):
            assert liar._listen[0].host.startswith("127.92.")
            for one, other in ((bootstrap, liar), (liar, bootstrap)):
                (contact,) = one.discovery.node.table.contacts()
                assert contact.prefixes == (ip_prefix(other._listen[0].host),)
            found = await bootstrap.discovery.find_nodes(liar.peer_id.dht_id)
            assert [contact.prefixes for contact in found.closest] == [(ip_prefix(liar._listen[0].host),)]


async def test_a_record_is_signed_again_when_it_says_something_new():
    peer = new_peer()
    async with running(peer):
        record = peer.signed_record()
        assert peer.signed_record() is record
        peer.swarm.listening.append(TcpAddress("127.92.1.1", 9))
        assert peer.signed_record() != record


async def test_a_crawl_lists_who_answers(tmp_path: Path):
    bootstrap = new_peer()
    async with running(bootstrap):
        relays = [new_peer(bootstrap) for _ in range(3)]
        async with running(*relays):
            found = set(await crawl(bootstrap.discovery, bootstrap.swarm, allow_private=True))
            assert found == {relay.signed_record() for relay in relays}
