"""The swarm over IPv6, on ::1: dialling, WebSockets, dialling back, circuits, and the two versions apart."""

import socket

import pytest
import structlog

from peernet.core.autonat import DialBackLimits, Reachability
from peernet.core.circuit import CircuitLimits
from peernet.core.errors import ConnectionFailed
from peernet.core.ring.paths import PathPeer
from peernet.net.addresses import TcpAddress, WebSocketAddress, parse_address
from peernet.net.reachability.autonat import AutonatClient, AutonatServer
from peernet.net.reachability.keeper import RelayCandidate, ReservationKeeper
from peernet.net.reachability.relay import CircuitRelay
from tests.swarms_in_process import SUITE, new_keypair, new_swarm, running, say, until

LOOPBACK = "::1"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6, not even ::1")


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


async def test_peers_talk_over_ipv6_and_over_websockets_on_it():
    one, two = new_swarm(host=LOOPBACK), new_swarm(host=LOOPBACK)
    async with running(one, two):
        (address,) = two.listening
        assert str(address).startswith("/ip6/::1/tcp/")
        assert await say(one, two, (parse_address(str(address)),)) == b"hello"
        assert one.connections[two.peer_id].observed == "/ip6/::1"
        three = new_swarm(host=LOOPBACK)
        async with running(silent=(three,)):
            over = await two.listen(WebSocketAddress(LOOPBACK, 0))
            assert str(over).endswith("/ws")
            assert await say(three, two, (over,)) == b"hello"


async def test_of_two_versions_the_one_that_works_is_used():
    one, two = new_swarm(host=LOOPBACK), new_swarm(host=LOOPBACK)
    async with running(one, two):
        closed = TcpAddress("127.86.1.1", 9)
        assert await say(one, two, (closed, *two.listening)) == b"hello"


async def test_addresses_of_ipv6_are_dialled_back_and_those_of_ipv4_not_over_it():
    asker, server = new_swarm(host=LOOPBACK), new_swarm(host=LOOPBACK)
    AutonatServer(server, lambda: new_swarm(host=LOOPBACK), allow_private=True, limits=DialBackLimits())
    client = AutonatClient(asker)
    async with running(asker, server):
        (own,) = asker.listening
        assert await client.ask(server.peer_id, server.listening, own) is Reachability.REACHABLE
        closed = TcpAddress(LOOPBACK, 9)
        assert await client.ask(server.peer_id, server.listening, closed) is Reachability.UNREACHABLE
        with pytest.raises(ConnectionFailed, match="other IP version"):
            await client.ask(server.peer_id, server.listening, TcpAddress("127.86.1.1", 9))


async def test_a_peer_with_ipv4_only_reaches_one_with_ipv6_only_through_a_relay_with_both():
    keys = new_keypair()
    relay, target, source = new_swarm(keypair=keys), new_swarm(host=LOOPBACK), new_swarm()
    service = CircuitRelay(relay, keys, lambda: 1.9e9, list, CircuitLimits())
    name = str(relay.peer_id)

    def candidates():
        (of_six,) = (address for address in relay.listening if address.host == LOOPBACK)
        return [RelayCandidate(PathPeer(name, b"relay", frozenset({"relay"})), relay.peer_id, (of_six,))]

    own = PathPeer("target", b"target", frozenset())
    keeper = ReservationKeeper(target, SUITE, candidates, lambda: own, lambda: 1.9e9, lambda: None)
    async with running(relay, silent=(target, source)) as nursery:
        await relay.listen(TcpAddress(LOOPBACK, 0))
        nursery.start_soon(keeper.keep, 1)
        await until(lambda: keeper.relays)
        (of_four,) = (address for address in relay.listening if address.host != LOOPBACK)
        circuit = parse_address(f"{of_four}/p2p/{relay.peer_id}/p2p-circuit")
        assert await say(source, target, (circuit,)) == b"hello"
        assert source.connections[target.peer_id].observed == f"/ip4/{relay._bind}/p2p-circuit"
        assert target.connections[source.peer_id].observed == "/ip6/::1/p2p-circuit"
        assert service.circuits == 1
