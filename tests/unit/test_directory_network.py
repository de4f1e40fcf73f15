"""The directory among peers, over loopback sockets: signed by several, served by any, completed by live lookups."""

import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import structlog
import trio
from attrs import evolve

import bootstrap.directory as signing
import peernet.client.network as client_network
import peernet.node.directory_mirror as mirror
from peernet.client.network import HostChoice, NetworkView
from peernet.core import serving
from peernet.core.dht.records import sign_record
from peernet.core.directory import MAX_KEPT_AGE_S, OVERDUE_S, check_seal, make_snapshot, sign_directory
from peernet.core.directory_transfer import DIRECTORY_PROTOCOL, NOTHING, DirectoryMessages, NothingNewer
from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.identity import PeerId
from peernet.net.addresses import Address
from peernet.net.messages import MessageStream
from peernet.net.rings import RING_PROTOCOL, RingFailed
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.node.peer import Peer, now_s
from tests.directory_network import MODEL, Network, until
from tests.directory_records import SUITE

RELAYS = tuple(f"relay {number}" for number in range(5))


@pytest.fixture(autouse=True)
def _quiet_and_quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signing, "FIRST_INTERVAL_S", 0.05)
    monkeypatch.setattr(signing, "TURN_S", 0.1)
    monkeypatch.setattr(mirror, "FIRST_INTERVAL_S", 0.05)
    monkeypatch.setattr(mirror, "CHECK_PAUSE_S", 0.01)
    monkeypatch.setattr(client_network, "LOOKUP_PAUSE_S", 0.05)
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


class _Rarely(random.SystemRandom):
    """Its timers take their time."""

    def uniform(self, _: float, __: float) -> float:
        return 1e6


def hosts_of(view: NetworkView) -> list[HostChoice]:
    return view.hosts_of(MODEL, bytes(32), ["log"])


async def says(view: NetworkView, host: HostChoice, text: bytes) -> bytes | None:
    """What a host answers over a ring of its own."""
    (path,) = view.plan_rings([host], "private")
    ring = await view.open_ring(path, serving.INFER)
    try:
        await ring.send(text)
        return await ring.receive()
    finally:
        ring.end()


def _dials_by_record(swarm: Swarm, moved: Peer) -> None:
    """Has a relay extend to a peer only where it is said to be: as if it had not greeted it where it is now."""
    open_stream = swarm.open_stream

    async def open_where_told(peer: PeerId, addresses: Iterable[Address], protocol: str, **how: bool) -> PeerStream:
        wanted = tuple(addresses)
        if protocol == RING_PROTOCOL and peer == moved.peer_id and not set(wanted) & set(moved.swarm.listening):
            raise ConnectionFailed("nobody listens there")
        return await open_stream(peer, wanted, protocol, **how)

    swarm.open_stream = open_where_told  # type: ignore[method-assign]


# --- signing ---------------------------------------------------------------------------------------------------------


async def test_four_bootstrap_nodes_sign_one_directory_and_bear_one_that_is_down(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    network = Network(tmp_path, nursery, bootstraps=4)
    names = [f"bootstrap {number}" for number in range(4)]
    await network.start_all(*names, *RELAYS[:3])
    await until(lambda: all(network.listed(name) == {*names, *RELAYS[:3]} for name in (*names, RELAYS[0])))
    newest = network.peers[RELAYS[0]].directory.copy.newest
    assert newest is not None
    check_seal(newest.seal, [network.keys(name).identity.public_key for name in names], SUITE)
    assert len(newest.seal.signatures) >= 3

    await network.stop(names[1])
    await network.start(RELAYS[3])
    up = [names[0], *names[2:]]
    await until(lambda: all(RELAYS[3] in network.listed(name) for name in up))

    await network.stop(names[2])
    before = {name: network.services[name].counters["no_quorum"] for name in (names[0], names[3])}
    await network.start(RELAYS[4])
    await until(
        lambda: any(network.services[name].counters["no_quorum"] > before[name] for name in (names[0], names[3]))
    )
    async with network.client() as client:
        await client.start()
        assert network.keys(RELAYS[3]).identity.peer_id in {listing.peer for listing in client.directory.relays}
        assert network.keys(RELAYS[4]).identity.peer_id not in {listing.peer for listing in client.directory.relays}


async def test_who_is_no_bootstrap_node_gets_no_signature(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A node that was made up, and one that leaves peers out."""
    network = Network(tmp_path, nursery, bootstraps=4)
    names = [f"bootstrap {number}" for number in range(4)]
    await network.start_all(*names[:3], *RELAYS[:3])
    await until(lambda: all(network.listed(name) == {*names[:3], *RELAYS[:3]} for name in names[:3]))
    stranger = network.config("bootstrap 9")
    assert len(stranger.bootstrap) == 4
    await network.start("bootstrap 9")
    await until(lambda: network.services["bootstrap 9"].counters["not_signed:untrusted"])
    assert network.services["bootstrap 9"].counters["completed"] == 0


async def test_one_who_leaves_out_peers_is_refused_and_the_others_go_on(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path, nursery, bootstraps=4)
    names = [f"bootstrap {number}" for number in range(4)]
    await network.start_all(*names, *RELAYS[:3])
    everybody = {*names, *RELAYS[:3]}
    await until(lambda: all(network.listed(name) == everybody for name in names))
    censor = network.services[names[0]]
    crawl = censor._crawl

    async def crawl_and_forget() -> object:
        found = await crawl()
        relays = {network.keys(name).identity.public_key for name in RELAYS}
        return {signed: body for signed, body in found.items() if body.public_key not in relays}

    monkeypatch.setattr(censor, "_crawl", crawl_and_forget)
    await until(lambda: censor.counters["not_signed:left_out"] >= 3)
    await network.start(RELAYS[3])
    await until(lambda: all(network.listed(name) == {*everybody, RELAYS[3]} for name in names))


async def test_one_operator_takes_no_host_out_and_two_of_four_do(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery, bootstraps=4)
    names = [f"bootstrap {number}" for number in range(4)]
    await network.start_all(*names, *RELAYS[:3], "host 0")
    everybody = {*names, *RELAYS[:3], "host 0"}
    host = frozenset({network.keys("host 0").identity.public_key})
    services = [network.services[name] for name in names]

    def listed_by_all(expected: set[str]) -> bool:
        return all(network.listed(name) == expected for name in names)

    def done() -> int:
        return sum(service.counters["completed"] + service.counters["no_quorum"] for service in services)

    async def settled() -> None:
        """Waits until every node has looked again, and none has proposed anything."""
        with trio.fail_after(20):
            before = -1
            while done() != before:
                before = done()
                # A node crawls again once it has proposed whatever its last crawl made due.
                for _ in range(2):
                    seen = [service.crawled for service in services]
                    await until(lambda seen=seen: all(s.crawled is not c for s, c in zip(services, seen, strict=True)))

    await until(lambda: listed_by_all(everybody), 30)
    # One proposes without the host, and the other three list it again: that is not fought over.
    services[0].left_out = host
    await until(lambda: host <= services[0]._done_without)
    await until(lambda: listed_by_all(everybody), 30)
    await settled()
    assert listed_by_all(everybody)
    # With a second one there is no quorum for a list that has it.
    services[1].left_out = host
    await until(lambda: listed_by_all(everybody - {"host 0"}), 30)
    await settled()
    assert listed_by_all(everybody - {"host 0"})
    # Others come and are listed as before.
    await network.start(RELAYS[3])
    await until(lambda: listed_by_all({*everybody, RELAYS[3]} - {"host 0"}), 30)
    # A suspension that is lifted lets it back in.
    services[0].left_out = services[1].left_out = frozenset()
    await until(lambda: listed_by_all({*everybody, RELAYS[3]}), 30)


# --- serving ---------------------------------------------------------------------------------------------------------


async def test_any_peer_serves_it_and_has_what_is_new_at_once(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery)
    await network.start_all("bootstrap 0", *RELAYS[:3], "host 0")
    await until(lambda: len(network.listed("bootstrap 0")) == 5)
    async with network.client() as client:
        for number, name in enumerate((RELAYS[0], "host 0")):
            peer = network.peers[name]
            await until(lambda name=name, number=number: len(network.listed(name)) == 5 + number)
            await client._known.fetch(client.swarm, peer.peer_id, peer.swarm.listening)
            assert len(client.directory.listings) == 5 + number
            # Nobody but the bootstrap node knows it yet; who is asked for it asks there.
            peer.directory._random = _Rarely()  # type: ignore[assignment]
            await network.start(f"relay {3 + number}")
            await until(lambda number=number: len(network.listed("bootstrap 0")) == 6 + number)
            await client._known.fetch(client.swarm, peer.peer_id, peer.swarm.listening)
            assert len(client.directory.listings) == 6 + number


async def test_a_client_waits_for_the_first_directory(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery, bootstraps=4)
    await network.start("bootstrap 0")
    async with network.client() as client:
        nursery.start_soon(network.start_all, "bootstrap 1", "bootstrap 2")
        await client.start()
        assert len(client.directory.bootstraps) >= 1


async def test_a_peer_that_has_none_says_so(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_network, "FIRST_DIRECTORY_WAIT_S", 0.1)
    network = Network(tmp_path, nursery, bootstraps=2)
    await network.start_all("bootstrap 0", RELAYS[0])
    async with network.client() as client:
        peer = network.peers[RELAYS[0]]
        async with await client.swarm.open_stream(peer.peer_id, peer.swarm.listening, DIRECTORY_PROTOCOL) as stream:
            messages = MessageStream(stream, DirectoryMessages)
            await messages.send(NOTHING)
            assert isinstance(await messages.receive(), NothingNewer)
        with pytest.raises(UserError, match="no bootstrap node gives the directory"):
            await client.start()


# --- clients ---------------------------------------------------------------------------------------------------------


async def test_a_client_needs_no_bootstrap_node_once_it_has_guards(tmp_path: Path, nursery: trio.Nursery) -> None:
    """It begins again from its file, has the directory from its guards, and finds a host that came later."""
    network = Network(tmp_path, nursery)
    await network.start_all("bootstrap 0", *RELAYS, "host 0")
    await until(lambda: len(network.listed("bootstrap 0")) == 7)
    async with network.client() as client:
        await client.start()
        (host,) = hosts_of(client)
        assert await says(client, host, b"hello") == b"hello"
        guards = set(client._guards.known())
        await client.fetch_directory()

    async with network.client() as again:
        await again.start()
        # The guard gave what it had; nobody else was asked.
        assert {str(peer) for peer in again.swarm.connections} <= guards
        assert again.notices() == ()

    await network.stop("bootstrap 0")
    await network.stop("host 0")
    await network.start("host 1", knows=RELAYS[:1])
    await network.until_published("host 1", RELAYS)
    async with network.client() as late:
        await late.start()
        (known,) = hosts_of(late)
        with pytest.raises(RingFailed):
            await says(late, known, b"anybody?")
        await late.look_for_hosts(MODEL)
        first, second = hosts_of(late)
        assert (first.listing.vouched, second.listing.vouched) == (True, False)
        assert network.name_of(second.peer) == "host 1"
        assert await says(late, second, b"hello") == b"hello"
        assert set(late._guards.known()) == guards


async def test_a_host_that_moved_is_found_where_it_is_now(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery)
    await network.start_all("bootstrap 0", *RELAYS, "host 0")
    await until(lambda: len(network.listed("bootstrap 0")) == 7)
    async with network.client() as client:
        await client.start()
        (host,) = hosts_of(client)
        await network.stop("bootstrap 0")
        await network.stop("host 0")
        # A record's sequence is its second.
        await until(lambda: now_s() > host.listing.record.sequence)
        moved = await network.start("host 0", port=4102)
        await network.until_published("host 0", RELAYS)
        for name in RELAYS:
            _dials_by_record(network.peers[name].swarm, moved)
        assert await says(client, host, b"moved?") == b"moved?"
        (listing,) = [listing for listing in client.directory.listings if listing.peer == host.listing.peer]
        assert listing.record.addresses == (network.place("host 0", 4102),)
        assert listing.vouched


async def test_with_no_host_listed_one_is_looked_up(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery)
    await network.start_all("bootstrap 0", *RELAYS)
    await until(lambda: len(network.listed("bootstrap 0")) == 6)
    async with network.client() as client:
        await client.start()
        await network.stop("bootstrap 0")
        await client.make_ready(MODEL, lambda: hosts_of(client))
        assert hosts_of(client) == []
        await network.start("host 0", knows=RELAYS[:1])
        await network.until_published("host 0", RELAYS)
        await trio.sleep(client_network.LOOKUP_PAUSE_S)
        await client.make_ready(MODEL, lambda: hosts_of(client))
        (host,) = hosts_of(client)
        assert await says(client, host, b"hello") == b"hello"


@pytest.mark.parametrize("first_dead", [False, True])
async def test_a_directory_whose_records_have_expired_is_renewed_by_lookups_and_the_user_is_told(
    tmp_path: Path, nursery: trio.Nursery, first_dead: bool
) -> None:
    """A snapshot of two hours ago is all there is: no guard, and no record in it that anybody would extend to."""
    network = Network(tmp_path, nursery)
    relays = [*RELAYS, "relay 5", "relay 6"]
    await network.start_all("bootstrap 0", *relays, "host 0")
    await network.until_published("host 0", relays)
    await network.stop("bootstrap 0")
    records = []
    for name in (*relays, "host 0"):
        keys, record = network.keys(name), network.peers[name]._record()
        issued = now_s() - 7200
        old = evolve(record, sequence=issued, issued_at_s=issued, expires_at_s=issued + 3600)
        records.append(sign_record(old, keys.identity))
    snapshot = make_snapshot(records, now_s() - 7000)
    async with network.client() as client:
        await client._known._copy.restore(sign_directory(snapshot, [network.keys("bootstrap 0").identity]))
        client._known._refresh()
        if first_dead:
            # Those chosen as guards first are gone: others stand in.
            for guard in client._keep_guards([client._path_peer(relay) for relay in client.directory.relays]):
                await network.stop(network.name_of(guard.peer))
        await client.make_ready(MODEL, lambda: hosts_of(client))
        (host,) = hosts_of(client)
        assert host.listing.vouched
        assert await says(client, host, b"hello") == b"hello"
        (notice,) = client.notices()
        assert notice.startswith("the directory is 116 minutes old")


async def test_a_directory_that_is_too_old_is_not_gone_by(tmp_path: Path, nursery: trio.Nursery) -> None:
    network = Network(tmp_path, nursery)
    await network.start_all("bootstrap 0", *RELAYS)
    await until(lambda: len(network.listed("bootstrap 0")) == 6)
    async with network.client() as client:
        await client.start()
    await network.stop("bootstrap 0")
    ahead = {"s": OVERDUE_S + 65}
    async with network.client(clock=lambda: now_s() + ahead["s"]) as client:
        await client.start()
        (notice,) = client.notices()
        assert notice.startswith("the directory is 1")
        ahead["s"] = MAX_KEPT_AGE_S + 60
        with pytest.raises(UserError, match="no bootstrap node gives the directory"):
            await client.make_ready(MODEL, lambda: hosts_of(client))
    async with network.client(clock=lambda: now_s() + ahead["s"]) as client:
        with pytest.raises(UserError, match="no bootstrap node gives the directory"):
            await client.start()
    (tmp_path / "client" / "directory.bin").write_bytes(b"junk")
    async with network.client() as client:
        with pytest.raises(UserError, match="no bootstrap node gives the directory"):
            await client.start()
