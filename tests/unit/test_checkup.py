"""What the doctor makes of what others say, without a network: counts that are right, advice that fits the address."""

import socket
from collections.abc import Callable

import pytest
import trio

from peernet.core.autonat import Reachability
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import Address, parse_address
from peernet.node import checkup
from peernet.node.checkup import Finding
from peernet.node.config import NetworkConfig
from peernet.node.peer import swarm_of

SUITE = MixedSuite()
OPEN, CLOSED, ELSEWHERE = Reachability.REACHABLE, Reachability.UNREACHABLE, Reachability.ELSEWHERE
PUBLIC = "/ip4/8.8.8.8/tcp/4101"


def patient(*listening: str) -> checkup._Checkup:
    """A check-up of a machine that listens there."""
    network = NetworkConfig()
    identity = Keypair.from_seed(b"c" * 32, SUITE)
    swarm = swarm_of(network, identity, SUITE)
    swarm.listening += map(parse_address, listening)
    return checkup._Checkup(network, SUITE, identity, swarm, lambda: 0, lambda _: None)


async def reach(
    address: str, *outcomes: Reachability, listening: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/4101",)
) -> Finding:
    """What is found about an announced address of which others say this."""
    one = patient(*listening)

    async def said(_: Address) -> list[Reachability]:
        return list(outcomes)

    one._outcomes = said  # type: ignore[method-assign]
    return await one._reach_one(parse_address(address), announced=True)


async def test_a_bootstrap_node_that_does_not_answer_is_told_with_the_reason() -> None:
    one = patient()
    found: list[Finding] = []
    one._report = found.append
    somebody = Keypair.from_seed(b"b" * 32, SUITE).peer_id
    async with trio.open_nursery() as nursery:
        await nursery.start(one._swarm.run)
        await one._ask_bootstrap(somebody, [parse_address("/ip4/127.81.9.1/tcp/9")])
        nursery.cancel_scope.cancel()
    assert [finding.what for finding in found] == [
        "the bootstrap node at /ip4/127.81.9.1/tcp/9 does not answer (/ip4/127.81.9.1/tcp/9: Connection refused)"
    ]


async def test_who_did_not_try_is_not_counted_among_those_who_did() -> None:
    found = await reach(PUBLIC, OPEN, OPEN, ELSEWHERE, ELSEWHERE)
    assert (found.state, "2 of 2 peers" in found.what) == ("ok", True)
    found = await reach(PUBLIC, CLOSED, ELSEWHERE, ELSEWHERE, ELSEWHERE)
    assert (found.state, "1 of 1 that tried" in found.what) == ("wrong", True)


async def test_an_address_that_most_do_not_reach_is_not_called_open() -> None:
    found = await reach(PUBLIC, OPEN, CLOSED, CLOSED, CLOSED)
    assert (found.state, "3 of 4 that tried" in found.what) == ("wrong", True)
    assert (await reach(PUBLIC, OPEN, CLOSED)).state == "wrong"
    found = await reach(PUBLIC, OPEN, OPEN, CLOSED)
    assert (found.state, "2 of 3 peers" in found.what) == ("ok", True)


async def test_a_port_that_is_announced_is_forwarded_to_the_one_that_is_listened_on() -> None:
    found = await reach("/ip4/8.8.8.8/tcp/443", CLOSED)
    assert "forward TCP port 443 to port 4101 of this machine" in found.advice
    assert "ufw allow 4101/tcp" in found.advice
    found = await reach(PUBLIC, CLOSED)
    assert "forward TCP port 4101 to this machine" in found.advice
    assert "ufw allow 4101/tcp" in found.advice
    both = ("/ip4/0.0.0.0/tcp/4101", "/ip4/0.0.0.0/tcp/4102/ws")
    assert "ufw allow 4102/tcp" in (await reach("/ip4/8.8.8.8/tcp/4102/ws", CLOSED, listening=both)).advice
    assert "port 443 to port 4102 of" in (await reach("/dns4/a.example/tcp/443/ws", CLOSED, listening=both)).advice


async def test_an_ipv6_address_is_let_in_and_not_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_local_address", local_address_of({socket.AF_INET: " (192.168.7.9)"}))
    found = await reach("/ip6/2001:4860::9/tcp/4101", CLOSED, listening=("/ip6/::/tcp/4101",))
    assert "let TCP port 4101 in to this machine. Firewall" in found.advice
    assert "forward" not in found.advice
    assert "192.168" not in found.advice


def local_address_of(known: dict[socket.AddressFamily, str]) -> Callable[[socket.AddressFamily], str]:
    return lambda family: known.get(family, "")


@pytest.mark.parametrize(
    ("listening", "announce"),
    [
        ("/ip4/0.0.0.0/tcp/4101", "--announce /ip4/YOUR-PUBLIC-ADDRESS/tcp/4101."),
        ("/ip4/192.168.7.9/tcp/4102/ws", "--announce /ip4/YOUR-PUBLIC-ADDRESS/tcp/4102/ws."),
        ("/ip6/::/tcp/4101", "--announce /ip6/YOUR-PUBLIC-ADDRESS/tcp/4101."),
    ],
)
async def test_the_address_to_announce_is_of_the_kind_that_is_listened_on(listening: str, announce: str) -> None:
    found = await patient(listening)._reach_one(parse_address(listening), announced=False)
    assert found.state == "wrong"
    assert announce in found.advice
