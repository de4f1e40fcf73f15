"""The gate at work on loopback: who is dialled, who may come, and who may stay once it is known who that is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
import structlog
import trio

from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress
from peernet.net.gating import AllowDeny
from peernet.net.limits import Limits
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.peer import swarm_of

SUITE = MixedSuite()
_numbers = count(1)


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def new_swarm(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> Swarm:
    number = next(_numbers)
    keypair = Keypair.from_seed(b"gated %026d" % number, SUITE)
    gate = AllowDeny.parse(allow, deny)
    return Swarm(SUITE, keypair, bind=f"127.82.{number}.1", limits=Limits(), gate=gate)


@asynccontextmanager
async def running(*swarms: Swarm) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for swarm in swarms:
            await nursery.start(swarm.run)
            await swarm.listen(TcpAddress(swarm._bind or "127.0.0.1", 0))
        yield
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)


async def test_a_denied_network_is_turned_away_before_its_handshake():
    one = new_swarm()
    two = new_swarm(deny=(f"{one._bind}/32",))
    async with running(one, two):
        with pytest.raises(ConnectionFailed):
            await one.connect(two.peer_id, two.listening)
        assert two.counters["refused:gate"] == 1
        assert two.counters["accepted:tcp"] == 0
        assert two.resources.empty


async def test_a_denied_peer_is_turned_away_when_it_is_known():
    one = new_swarm()
    two = new_swarm(deny=(str(one.peer_id),))
    async with running(one, two):
        await one.connect(two.peer_id, two.listening)
        await until(lambda: two.counters["refused:gate"] == 1)
        await until(lambda: one.connection_count == two.connection_count == 0)
        assert two.counters["accepted:tcp"] == 0
        # And it is not dialled either.
        with pytest.raises(ConnectionFailed, match="the gate of this node"):
            await two.connect(one.peer_id, one.listening)
        assert two.counters["dial:tcp:gate"] == 1
        assert one.connection_count == 0


async def test_with_a_list_of_the_allowed_others_are_turned_away():
    one, stranger = new_swarm(), new_swarm()
    two = new_swarm(allow=(str(one.peer_id),))
    async with running(one, two, stranger):
        await stranger.connect(two.peer_id, two.listening)
        await until(lambda: stranger.connection_count == 0)
        await one.connect(two.peer_id, two.listening)
        await until(lambda: set(two.connections) == {one.peer_id})
        assert two.counters["refused:gate"] == 1


async def test_an_address_behind_the_gate_does_not_count_as_one_that_failed():
    one = new_swarm()
    two = new_swarm(deny=(str(one.peer_id),))
    async with running(one, two):
        for _ in range(2):
            with pytest.raises(ConnectionFailed, match="the gate of this node"):
                await two.connect(one.peer_id, one.listening)


def test_the_lists_come_from_the_configuration():
    keypair = Keypair.from_seed(bytes(32), SUITE)
    peer = str(new_swarm().peer_id)
    swarm = swarm_of(NetworkConfig(allow=(peer,), deny=("203.0.113.0/24",)), keypair, SUITE)
    assert swarm._reception._gate == AllowDeny.parse([peer], ["203.0.113.0/24"])
    with pytest.raises(UserError, match="allow: 'nobody'"):
        swarm_of(NetworkConfig(allow=("nobody",)), keypair, SUITE)
