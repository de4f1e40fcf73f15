"""What a node tells of its addresses, by what others say of them."""

import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from prometheus_client import generate_latest

from peernet.core.autonat import Reachability
from peernet.core.dht.records import MAX_RECORD_SIZE, PeerRecord, open_record
from peernet.core.errors import UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.ring.paths import PathPeer
from peernet.core.suite import MixedSuite
from peernet.net.addresses import CircuitAddress, parse_address
from peernet.net.identify import PeerDescription
from peernet.net.metrics import registry_of
from peernet.net.reachability.autonat import Answer
from peernet.net.reachability.keeper import RelayCandidate
from peernet.net.swarm import Swarm
from peernet.node import reachability
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer
from peernet.node.reachability import is_wildcard, relay_candidates

SUITE = MixedSuite()
OPEN, CLOSED, ELSEWHERE = Reachability.REACHABLE, Reachability.UNREACHABLE, Reachability.ELSEWHERE
ONE, TWO = "/ip4/127.46.1.1/tcp/4101", "/ip4/127.46.1.1/tcp/4102/ws"


def peer(folder: Path, *roles: str, **network: object) -> Peer:
    settings = {"test": True, "listen": "/ip4/127.46.9.1/tcp/0"} | network
    return Peer(PeerKeys.of(Home.at(folder), SUITE), NetworkConfig(**settings), roles or ("host",))  # type: ignore[arg-type]


def judge(one: Peer, address: str, outcome: Reachability) -> None:
    for server in ("a", "b", "c"):
        one.reachability.verdicts.record(address, server, outcome, trio.current_time())


def told(one: Peer) -> list[str]:
    return [str(address.address) for address in one.addresses]


def place_at(one: Peer, number: int, via: str) -> CircuitAddress:
    """Has the peer keep a place at a relay; the circuit's address."""
    relay = Keypair.from_seed(bytes([number]) * 32, SUITE).peer_id
    address = parse_address(via)
    candidate = RelayCandidate(PathPeer(str(relay), b"", frozenset()), relay, (address,))
    one.reachability.keeper._places[relay] = type("Place", (), {"candidate": candidate})()
    return CircuitAddress.through(relay, address)


async def test_an_address_that_others_do_not_reach_is_told_nobody_and_one_of_two_is_enough(tmp_path: Path) -> None:
    one = peer(tmp_path, announce=(ONE, TWO))
    assert told(one) == [ONE, TWO]
    judge(one, ONE, CLOSED)
    assert told(one) == [TWO]
    assert not one.reachability._needs_relays()
    judge(one, TWO, CLOSED)
    assert told(one) == []
    assert one.reachability._needs_relays()
    assert one.signed_record() == b""
    assert one._signed_bodies() == []
    judge(one, ONE, OPEN)
    assert told(one) == [ONE]


async def test_nobody_is_asked_about_an_address_of_a_home_network(tmp_path: Path) -> None:
    """Others could not dial it, and it is none of their business."""
    public = ("/ip4/8.8.8.8/tcp/4101", "/dns4/peer.example/tcp/4101")
    private = ("/ip4/192.168.7.9/tcp/4101", "/ip6/fd00::9/tcp/4101")
    one = peer(tmp_path / "announced", announce=(*public, *private), test=False)
    assert [str(address) for address in one.reachability._probed()] == list(public)
    two = peer(tmp_path / "listening", test=False)
    two.swarm.listening += [parse_address(text) for text in (*private, *public)]
    assert [str(address) for address in two.reachability._probed()] == list(public)


async def test_one_machine_with_many_names_has_one_vote(tmp_path: Path) -> None:
    """What its records say of where it is may be anything; votes count under the network that answers came from."""
    one = peer(tmp_path)
    one.swarm.listening.append(parse_address(ONE))

    async def answer(*_: object) -> Answer:
        await trio.lowlevel.checkpoint()
        return Answer(CLOSED, "ip4/7f2e05")

    one.reachability.client.answer = answer  # type: ignore[method-assign]
    servers = {
        Keypair.from_seed(bytes([number]) * 32, SUITE).peer_id: [parse_address(f"/ip4/127.46.{number}.1/tcp/9")]
        for number in range(1, 6)
    }
    one.reachability._bootstraps = lambda: servers
    await one.reachability._probe()
    assert one.reachability.verdict(parse_address(ONE)) is Reachability.UNKNOWN
    assert one.reachability.verdicts.votes(ONE, trio.current_time()).total() == 1


@pytest.mark.parametrize("host", ["ip4/0.0.0.0", "ip6/::", "ip6/0::0", "ip6/::ffff:0.0.0.0"])
def test_every_spelling_of_all_addresses_is_a_wildcard(host: str) -> None:
    assert is_wildcard(parse_address(f"/{host}/tcp/4101"))
    assert not is_wildcard(parse_address("/dns4/peer.example/tcp/4101"))
    assert not is_wildcard(parse_address(ONE))


async def test_what_is_announced_is_believed_where_others_see_the_peer_elsewhere(tmp_path: Path) -> None:
    one = peer(tmp_path, announce=(ONE,))
    judge(one, ONE, ELSEWHERE)
    assert told(one) == [ONE]


async def test_what_is_only_listened_on_is_not_unless_another_address_is_reached(tmp_path: Path) -> None:
    one = peer(tmp_path)
    one.swarm.listening += [parse_address(ONE), parse_address(TWO)]
    judge(one, ONE, ELSEWHERE)
    judge(one, TWO, ELSEWHERE)
    assert told(one) == []
    judge(one, TWO, OPEN)
    assert told(one) == [ONE, TWO]


async def test_a_peer_without_relays_to_turn_to_tells_what_it_has(tmp_path: Path) -> None:
    for number, (roles, settings) in enumerate([(("relay",), {}), (("host",), {"relay_reservations": 0})]):
        one = peer(tmp_path / str(number), *roles, announce=(ONE, TWO), **settings)
        judge(one, ONE, CLOSED)
        judge(one, TWO, CLOSED)
        assert told(one) == [ONE, TWO]
        judge(one, TWO, OPEN)
        assert told(one) == [TWO]


async def test_circuits_are_told_beside_and_a_peer_with_nothing_else_forwards_for_nobody(tmp_path: Path) -> None:
    one = peer(tmp_path, "host", "relay", announce=(ONE,))
    circuit = place_at(one, 7, "/ip4/127.46.2.1/tcp/4101")
    assert told(one) == [ONE, str(circuit)]
    before = open_record(one.signed_record(), now_s(), SUITE)
    assert isinstance(before, PeerRecord)
    assert before.roles == ("host", "relay")
    judge(one, ONE, CLOSED)
    after = open_record(one.signed_record(), now_s(), SUITE)
    assert isinstance(after, PeerRecord)
    assert after.addresses == (str(circuit),)
    assert after.roles == ("host",)
    # It replaces the other one, in the same second as well.
    assert after.sequence > before.sequence


async def test_the_record_holds_as_many_circuits_as_fit(tmp_path: Path) -> None:
    one = peer(tmp_path, announce=(ONE,), region="r" * 32)
    long = "/ip6/2001:db8:1111:2222:3333:4444:5555:6666/tcp/65535/tls/sni/a-name-of-some-length.example/ws"
    for number in range(1, 5):
        place_at(one, number, long)
    addresses = told(one)
    assert addresses[0] == ONE
    assert 2 <= len(addresses) < 5
    assert len(one.signed_record()) <= MAX_RECORD_SIZE


async def test_a_host_that_listens_everywhere_needs_no_announced_address_and_joins_unlisted(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/0.0.0.0/tcp/0")
    async with running_peer(one, join=False):
        assert told(one) == []
        assert one.signed_record() == b""
        assert one.reachability._needs_relays()
    with pytest.raises(UserError, match="--announce"):
        async with running_peer(peer(tmp_path, listen="/ip4/0.0.0.0/tcp/0", relay_reservations=0), join=False):
            pass


async def test_a_host_that_listens_everywhere_tells_where_others_see_and_reach_it(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/0.0.0.0/tcp/0")
    seen = "/ip4/127.0.0.1/tcp/{}"
    async with AsyncExitStack() as stack:
        others = [peer(tmp_path / str(n), "relay", listen=f"/ip4/127.46.{n}.1/tcp/0") for n in (21, 22, 23)]
        for other in others:
            await stack.enter_async_context(running_peer(other, join=False))
        one.reachability._bootstraps = lambda: {other.peer_id: other.swarm.listening for other in others}
        await stack.enter_async_context(running_peer(one, join=False))
        with trio.fail_after(20):
            while not told(one):  # noqa: ASYNC110  (what is waited for happens on sockets)
                await trio.sleep(0.01)
        assert told(one) == [seen.format(one.swarm.listening[0].port)]
        assert not one.reachability._needs_relays()
        assert one.signed_record()


async def test_where_others_see_a_host_is_told_nobody_before_they_reach_it(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/0.0.0.0/tcp/0")
    one.swarm.listening += map(parse_address, ("/ip4/0.0.0.0/tcp/4101", "/ip4/0.0.0.0/tcp/4102/ws"))
    one.reachability.observed.record("127.46.1.1", "a", trio.current_time())
    assert one.reachability._probed() == []
    for prefix in ("b", "c"):
        one.reachability.observed.record("::1", prefix, trio.current_time())
    assert one.reachability._probed() == []  # nobody listens there
    one.reachability.observed.record("127.46.1.1", "b", trio.current_time())
    assert [str(address) for address in one.reachability._probed()] == [ONE, TWO]
    for verdict in (None, CLOSED, ELSEWHERE):
        if verdict is not None:
            judge(one, ONE, verdict)
        assert told(one) == []
        assert one.reachability._needs_relays()
    judge(one, ONE, OPEN)
    assert told(one) == [ONE]
    # When others see it elsewhere, that one is nothing any more.
    for prefix in ("a", "b"):
        one.reachability.observed.record("127.46.1.2", prefix, trio.current_time())
    assert told(one) == []


async def test_an_address_that_is_announced_or_private_makes_no_candidate(tmp_path: Path) -> None:
    everywhere = parse_address("/ip4/0.0.0.0/tcp/4101")
    one = peer(tmp_path / "announced", listen="/ip4/0.0.0.0/tcp/0", announce=(ONE,))
    two = peer(tmp_path / "home", listen="/ip4/0.0.0.0/tcp/0", test=False)
    for each in (one, two):
        each.swarm.listening.append(everywhere)
        for prefix in ("a", "b"):
            each.reachability.observed.record("192.168.7.9", prefix, trio.current_time())
        assert each.reachability._candidates() == []


@pytest.mark.parametrize("said", [None, "", "/tls", "/dns4/a.example/tcp/1", "/ip4/127.0.0.1/p2p-circuit", "/ip4"])
async def test_what_a_stranger_says_about_where_it_sees_us_may_be_anything(
    tmp_path: Path, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def identify(swarm: Swarm, who: PeerId, _: object) -> PeerDescription:
        await swarm.connect(who, other.swarm.listening)
        return PeerDescription(who, "", "", (), said, ())

    monkeypatch.setattr(reachability, "identify", identify)
    one = peer(tmp_path / "one", listen="/ip4/0.0.0.0/tcp/0")
    other = peer(tmp_path / "other", "relay", listen="/ip4/127.46.24.1/tcp/0")
    async with running_peer(other, join=False), running_peer(one, join=False):
        await one.reachability._ask_where(other.peer_id, other.swarm.listening)
        assert not one.reachability.observed._seen


def test_nobody_listens_on_a_circuit(tmp_path: Path) -> None:
    relay = Keypair.from_seed(b"r" * 32, SUITE).peer_id
    with pytest.raises(UserError, match="listens on a circuit"):
        peer(tmp_path, listen=f"{ONE}/p2p/{relay}/p2p-circuit")


def test_relays_are_asked_that_can_be_dialled_themselves(tmp_path: Path) -> None:
    def record(number: int, *addresses: str, roles: tuple[str, ...] = ("relay",)) -> PeerRecord:
        return PeerRecord(bytes([number]) * 32, 1, 1, 2, addresses, b"", bytes([number]), b"", roles, "")

    relay = Keypair.from_seed(b"r" * 32, SUITE).peer_id
    found = relay_candidates(
        [
            record(1, ONE, f"{ONE}/p2p/{relay}/p2p-circuit"),
            record(2, f"{ONE}/p2p/{relay}/p2p-circuit"),
            record(3, ONE, roles=("host",)),
            record(1, ONE, f"{ONE}/p2p/{relay}/p2p-circuit"),
        ],
        allow_private=True,
    )
    assert [candidate.peer.public_key[0] for candidate in found] == [1]
    assert [str(address) for address in found[0].addresses] == [ONE]
    assert relay_candidates([record(1, ONE)], allow_private=False) == []


async def test_what_is_done_about_being_reached_is_in_the_metrics_and_nothing_personal(tmp_path: Path) -> None:
    one, two = peer(tmp_path / "one", "host", "relay", announce=(ONE,)), peer(tmp_path / "two", "relay")
    async with running_peer(one, join=False), running_peer(two, join=False):
        assert await two.reachability.client.ask(one.peer_id, one.swarm.listening, two.swarm.listening[0]) is OPEN
        place_at(one, 7, "/ip4/127.46.2.1/tcp/4101")
        ours, theirs = (
            generate_latest(registry_of([each.swarm], each.reachability.measured)).decode() for each in (one, two)
        )
    assert 'peernet_dial_requests_total{answer="dialled_ok"} 1.0' in ours
    assert "peernet_dial_backs 0.0" in ours
    assert "peernet_places_kept 1.0" in ours
    assert "peernet_circuit_reservations_held 0.0" in ours
    assert 'peernet_probes_total{outcome="reachable"} 1.0' in theirs
    assert not re.search(r"12D3Koo|\d+\.\d+\.\d+\.\d+", ours + theirs)
