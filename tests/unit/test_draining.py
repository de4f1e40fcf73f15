"""Draining a node: it takes in nothing new, finishes what it serves, and does not wait for ever."""

import pytest
import structlog
import trio

from peernet.core.errors import ConnectionFailed
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from tests.swarms_in_process import ECHO, new_swarm, running, until

ANSWER, RECEIPT = "/test/answer/1", "/test/receipt/1"


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


async def test_an_idle_node_is_drained_at_once_and_its_peers_know():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        await one.connect(two.peer_id, two.listening)
        await until(lambda: two.connection_count == 1)
        with trio.fail_after(1):
            assert await two.drain()
        assert two.counters["drain:done"] == 1
        await until(lambda: one.connection_count == two.connection_count == 0)
        assert two.resources.empty


async def test_a_stream_that_is_served_is_finished_with_all_that_it_needs():
    """The answer's last step is a dial of its own, as a host's to the ledger is."""
    one, two, ledger = new_swarm(), new_swarm(), new_swarm()
    go_on = trio.Event()

    async def answer(stream: PeerStream) -> None:
        await stream.send_all(b"first ")
        await go_on.wait()
        async with await two.open_stream(ledger.peer_id, ledger.listening, ECHO) as receipt:
            await receipt.send_all(b"receipt")
            await stream.send_all(await receipt.receive_some())

    two.handle(ANSWER, answer)
    async with running(one, two, ledger) as nursery:
        stream = await one.open_stream(two.peer_id, two.listening, ANSWER)
        assert await stream.receive_some() == b"first "
        drained = []

        async def drain() -> None:
            drained.append(await two.drain())

        nursery.start_soon(drain)
        await until(lambda: two.draining)
        # Nothing new: neither a stream nor a connection.
        with pytest.raises(ConnectionFailed):
            await one.open_stream(two.peer_id, two.listening, ECHO)
        with pytest.raises(ConnectionFailed):
            await new_connection_to(two, nursery)
        assert not drained
        go_on.set()
        assert await stream.receive_some() == b"receipt"
        assert await stream.receive_some() == b""
        await stream.close_sending()
        await until(lambda: drained == [True])
        assert two.connection_count == 0


async def new_connection_to(two: Swarm, nursery: trio.Nursery) -> None:
    other = new_swarm()
    await nursery.start(other.run)
    await other.connect(two.peer_id, two.listening)


async def test_a_peer_that_goes_away_is_not_used_for_new_streams_and_finishes_the_old_ones():
    one, two = new_swarm(), new_swarm()
    async with running(one, two) as nursery:
        old = await one.open_stream(two.peer_id, two.listening, ECHO)
        nursery.start_soon(two.drain)
        await until(lambda: one.connections[two.peer_id].draining)
        # It would have to be dialled again, where nobody listens any more.
        with pytest.raises(ConnectionFailed, match="cannot reach"):
            await one.open_stream(two.peer_id, two.listening, ECHO)
        assert one.counters["dial:tcp:refused"] == 1
        await old.send_all(b"still here")
        assert await old.receive_some() == b"still here"
        await old.close_sending()
        await until(lambda: one.connection_count == two.connection_count == 0)


async def test_a_peer_that_only_closes_one_connection_is_dialled_again():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        old = await one.open_stream(two.peer_id, two.listening, ECHO)
        first = one.connections[two.peer_id]
        await until(lambda: one.peer_id in two.connections)
        two.connections[one.peer_id].go_away()
        await until(lambda: first.draining)
        new = await one.open_stream(two.peer_id, two.listening, ECHO)
        assert one.connections[two.peer_id] is not first
        for stream in (old, new):
            await stream.send_all(b"here")
            assert await stream.receive_some() == b"here"
        await old.close_sending()
        await until(first.closed.is_set)
        assert one.connection_count == 1


async def test_what_is_not_done_in_time_is_ended():
    one, two = new_swarm(), new_swarm(limits=Limits(drain_timeout_s=0.05))
    async with running(one, two):
        stream = await one.open_stream(two.peer_id, two.listening, ECHO)
        await stream.send_all(b"still here")
        assert await stream.receive_some() == b"still here"
        with trio.fail_after(2):
            assert not await two.drain()
        assert two.counters["drain:timeout"] == 1
        with pytest.raises(ConnectionFailed):
            await stream.receive_some()
        await until(lambda: one.connection_count == two.connection_count == 0)


async def test_who_is_in_its_handshake_when_a_node_drains_does_not_come_in():
    two = new_swarm()
    one = new_swarm()
    async with running(one, two):
        socket = await trio.open_tcp_stream(two.listening[0].host, two.listening[0].port)
        await until(lambda: two.door.inside == 1)
        await two.drain()
        async with socket:
            # It finishes its handshake afterwards.
            connection = one._start(socket, one.resources.take_for_dial(), expected=two.peer_id, observed="127.0.0.1")
            await connection.wait_established()
            with trio.fail_after(5):
                await connection.closed.wait()
        assert two._table.held == {}
        await until(lambda: two.connection_count == 0)
