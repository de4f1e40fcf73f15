"""Floods on real sockets: each meets its limit and is counted with its reason, and a good peer beside it is served.

How long the good peer waits is measured by `python -m benchmarks floods`; here it is that every echo is answered.
"""

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import pytest
import structlog
import trio
from attrs import define

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import ConnectionFailed
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress
from peernet.net.connection import PeerConnection
from peernet.net.limits import HOME, Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

SUITE = MixedSuite()
ECHO, DEAF = "/test/echo/1", "/test/deaf/1"
SWARM_TASKS = 3
"""The sweep, the flusher, and who listens."""
_numbers = count(1)


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def new_swarm(host: str, limits: Limits = HOME) -> Swarm:
    keypair = Keypair.from_seed(b"floods %025d" % next(_numbers), SUITE)
    return Swarm(SUITE, keypair, bind=host, limits=limits)


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def deaf(_: PeerStream) -> None:
    await trio.sleep_forever()


async def until(holds: Callable[[], bool]) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)


def counted(swarm: Swarm, *beginnings: str) -> int:
    return sum(number for name, number in swarm.counters.items() if name.startswith(beginnings))


@define
class Scene:
    """A node that is flooded, and a good peer that talks to it all the time."""

    node: Swarm
    nursery: trio.Nursery
    asked: int = 0
    answered: int = 0

    @property
    def address(self) -> TcpAddress:
        (address,) = self.node.listening
        assert isinstance(address, TcpAddress)
        return address

    async def join(self, host: str, limits: Limits = HOME) -> Swarm:
        """One more node that runs, at `host`."""
        swarm = new_swarm(host, limits)
        await self.nursery.start(swarm.run)
        return swarm

    async def connect(self, host: str) -> tuple[Swarm, PeerConnection]:
        swarm = await self.join(host)
        return swarm, await swarm.connect(self.node.peer_id, self.node.listening)

    async def served(self, more: int = 20) -> None:
        """Waits until the good peer has had some more answers."""
        wanted = self.answered + more
        await until(lambda: self.answered >= wanted)

    async def talk(self, good: Swarm) -> None:
        stream = await good.open_stream(self.node.peer_id, self.node.listening, ECHO)
        while True:
            self.asked += 1
            await stream.send_all(b"%8d" % self.asked)
            heard = b""
            while len(heard) < 8:
                heard += await stream.receive_some()
            assert heard == b"%8d" % self.asked
            self.answered += 1
            await trio.sleep(0.001)


@asynccontextmanager
async def scene(limits: Limits = HOME) -> AsyncIterator[Scene]:
    node = new_swarm("127.79.1.1", limits)
    node.handle(ECHO, echo)
    node.handle(DEAF, deaf)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        await node.listen(TcpAddress("127.79.1.1", 0))
        here = Scene(node, nursery)
        good = await here.join("127.79.2.1")
        nursery.start_soon(here.talk, good)
        await here.served()
        yield here
        # Nobody has harmed it: it is still the same connection, and every question but the last has its answer.
        await here.served()
        assert here.answered >= here.asked - 1
        assert good.counters["dial:tcp:connected"] == 1
        assert not counted(node, "accept_crashed", "connection_crashed", "handler_crashed", "task_crashed")
        nursery.cancel_scope.cancel()


# --- those who come all at once, and mean well -----------------------------------------------------------------------


async def test_a_burst_of_two_hundred_from_one_prefix_is_served_whole_under_the_default_limits():
    async with scene() as here:
        done = []

        async def come(number: int) -> None:
            swarm = new_swarm(f"127.78.1.{number}")
            await here.nursery.start(swarm.run)
            async with await swarm.open_stream(here.node.peer_id, here.node.listening, ECHO) as stream:
                await stream.send_all(b"hello")
                assert await stream.receive_some() == b"hello"
                done.append(swarm)

        async with trio.open_nursery() as burst:
            for number in range(1, 201):
                burst.start_soon(come, number)
        assert len(done) == 200
        assert here.node.counters["accepted:tcp"] == 201
        # They had to wait, so the limit was met; and nobody was refused for it, or gave way.
        assert here.node.counters["limit:handshakes_per_prefix"] > 0
        assert not counted(here.node, "refused", "evicted", "handshake_failed")


async def test_a_thousand_connects_and_closes_two_hundred_at_a_time_leave_nothing_held():
    async with scene() as here:
        clients = [await here.join(f"127.78.2.{number}") for number in range(1, 201)]
        before = len(here.node._nursery.child_tasks)

        async def connect_and_close(client: Swarm) -> None:
            connection = await client.connect(here.node.peer_id, here.node.listening)
            connection.close()
            await connection.closed.wait()

        for _ in range(5):
            async with trio.open_nursery() as turn:
                for client in clients:
                    turn.start_soon(connect_and_close, client)
        assert here.node.counters["accepted:tcp"] == 1 + 1000
        assert not counted(here.node, "refused", "evicted:handshake", "evicted:waiting", "handshake_failed")
        await until(lambda: here.node.connection_count == 1)
        await until(lambda: len(here.node._nursery.child_tasks) == before)
        node = here.node
        assert len(node._table.held) == len(node._table.running) == len(node.connections) == 1
        assert node.door.empty
        assert node._streams._early == node._dialling == {}
        assert len(node.resources._prefixes) == len(node.resources._peers) == 1
        for client in clients:
            assert client.resources.empty
            assert client._table.running == set()
            assert len(client._nursery.child_tasks) == 2  # the sweep and the flusher


# --- those who do not ------------------------------------------------------------------------------------------------


async def open_sockets(address: TcpAddress, host: str, number: int, words: bytes = b"") -> list[trio.SocketStream]:
    sockets = []
    for _ in range(number):
        socket = await trio.open_tcp_stream(address.host, address.port, local_address=host)
        with suppress(trio.BrokenResourceError):
            await socket.send_all(words)
        sockets.append(socket)
    return sockets


async def close_all(sockets: list[trio.SocketStream]) -> None:
    for socket in sockets:
        await trio.aclose_forcefully(socket)


@pytest.mark.parametrize(
    "words", [b"", b"\x13/multistream/1.0.0\n\x07/noise\n", b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20ab"]
)
async def test_slow_handshakes_do_not_hold_the_door(words: bytes):
    limits = Limits(handshakes_in_flight=16, handshakes_per_prefix=4, handshakes_waiting=64, handshake_grace_s=0.1)
    async with scene(limits) as here:
        sockets = []
        for prefix in range(5):
            sockets += await open_sockets(here.address, f"127.77.{prefix}.1", 12, words)
        await until(lambda: here.node.door.inside + here.node.door.waiting > 20)
        assert here.node.door.inside <= 16
        # From elsewhere, and from the same network as some of them.
        for host in ("127.77.200.1", "127.77.1.77"):
            with trio.fail_after(5):
                _, connection = await here.connect(host)
            assert connection.alive
        assert here.node.counters["evicted:handshake"] > 0
        assert here.node.counters["limit:handshake_grace"] == here.node.counters["evicted:handshake"]
        assert here.node.counters["limit:handshakes_per_prefix"] > 0
        await close_all(sockets)
        await until(lambda: here.node.door.empty)
        assert here.node.connection_count == 3


async def test_thousands_of_connections_from_one_prefix_are_bounded():
    limits = Limits(handshakes_per_prefix=8, handshakes_waiting_per_prefix=16)
    async with scene(limits) as here:
        sockets = await open_sockets(here.address, "127.76.1.1", 2000)
        await until(lambda: here.node.counters["refused:waiting_room"] > 1500)
        assert here.node.door.inside + here.node.door.waiting <= 24
        assert here.node.connection_count <= 3 + 8
        with trio.fail_after(5):
            await here.connect("127.76.2.1")
        assert here.node.counters["limit:handshakes_waiting_per_prefix"] > 1500
        await close_all(sockets)
        await until(lambda: here.node.door.empty)
        assert here.node.connection_count == 2


async def test_identities_without_end_from_one_prefix_turn_out_each_other():
    async with scene(Limits(connections_per_prefix=8)) as here:
        connections = [await here.connect(f"127.75.1.{number}") for number in range(1, 33)]
        await until(lambda: here.node.connection_count == 1 + 8)
        assert here.node.counters["evicted:connection"] == 24
        assert here.node.counters["limit:connections_per_prefix"] == 24
        await until(lambda: sum(connection.alive for _, connection in connections) == 8)


async def test_a_stream_flood_gives_up_its_own_streams():
    async with scene(Limits(streams_per_peer=32)) as here:
        flooder, connection = await here.connect("127.74.1.1")
        served = await flooder.open_stream(here.node.peer_id, here.node.listening, ECHO)
        for _ in range(500):
            with suppress(ConnectionFailed):
                connection.open_stream()
            await trio.lowlevel.checkpoint()
        await until(lambda: counted(here.node, "evicted:stream") > 100)
        assert here.node.resources.streams <= 1 + 32
        assert here.node.counters["limit:streams_per_peer"] >= here.node.counters["evicted:stream"]
        # What was agreed on before is not given up.
        await served.send_all(b"still here")
        assert await served.receive_some() == b"still here"


async def test_who_goes_on_opening_streams_that_are_refused_is_cut_off():
    async with scene(Limits(streams_undecided=16, refused_streams=200)) as here:
        _, connection = await here.connect("127.74.3.1")
        while connection.alive:
            with suppress(ConnectionFailed):
                connection.open_stream()
            await trio.lowlevel.checkpoint()
        assert here.node.counters["connection_failed:stream_flood"] == 1
        assert here.node.counters["limit:streams_undecided"] == here.node.counters["refused_stream:limit"] == 201
        await until(lambda: here.node.connection_count == 1)


async def test_more_served_streams_than_a_peer_may_have_are_refused():
    async with scene(Limits(streams_per_peer=4)) as here:
        flooder = await here.join("127.74.2.1")
        streams = [await flooder.open_stream(here.node.peer_id, here.node.listening, ECHO) for _ in range(4)]
        for stream in streams:
            await stream.send_all(b"x")
            assert await stream.receive_some() == b"x"
        with pytest.raises(ConnectionFailed):
            fifth = await flooder.open_stream(here.node.peer_id, here.node.listening, ECHO)
            await fifth.send_all(b"x")
            await fifth.receive_some()
        assert here.node.counters["refused_stream:limit"] == 1


async def test_who_sends_more_than_the_window_is_cut_off():
    async with scene() as here:
        flooder, connection = await here.connect("127.73.1.1")
        stream = await flooder.open_stream(here.node.peer_id, here.node.listening, DEAF)
        connection._protocol.yamux._streams[stream.stream_id].send_window = 1 << 30
        with pytest.raises(ConnectionFailed):
            await stream.send_all(bytes(1 << 20))
            await stream.receive_some()
        await until(lambda: here.node.counters["connection_failed:window_overrun"] == 1)
        await until(lambda: here.node.connection_count == 1)


async def test_who_broke_the_protocol_waits_before_it_is_let_in_again_and_nobody_else_does():
    async with scene(Limits(penalty_s=0.5)) as here:
        flooder, connection = await here.connect("127.71.1.1")
        before = await here.join("127.71.1.2")
        kept = await before.open_stream(here.node.peer_id, here.node.listening, ECHO)
        stream = await flooder.open_stream(here.node.peer_id, here.node.listening, DEAF)
        connection._protocol.yamux._streams[stream.stream_id].send_window = 1 << 30
        with pytest.raises(ConnectionFailed):
            await stream.send_all(bytes(1 << 20))
            await stream.receive_some()
        await until(lambda: here.node.counters["connection_failed:window_overrun"] == 1)
        began = trio.current_time()
        with pytest.raises(ConnectionFailed):
            await here.connect("127.71.1.3")
        assert here.node.counters["refused:penalty"] == 1
        # From elsewhere, and who was there before, is served; and later they are, too.
        await here.connect("127.71.2.1")
        await kept.send_all(b"still here")
        assert await kept.receive_some() == b"still here"
        await trio.sleep_until(began + 0.5)
        await here.connect("127.71.1.4")


PING = struct.Struct(">BBHII")


async def raw_session(address: TcpAddress, host: str) -> tuple[trio.SocketStream, Connection]:
    """A connection whose bytes the test moves: nothing reads from it but the handshake."""
    socket = await trio.open_tcp_stream(address.host, address.port, local_address=host)
    keypair = Keypair.from_seed(b"raw %028d" % next(_numbers), SUITE)
    identity = NoiseIdentity.of(keypair, b"s" * 32, SUITE)
    protocol = Connection(SUITE, identity, initiator=True, ephemeral_secret=b"e" * 32)
    while not protocol.established:
        await socket.send_all(protocol.data_to_send())
        protocol.receive(await socket.receive_some())
    await socket.send_all(protocol.data_to_send())
    return socket, protocol


async def test_who_pings_without_end_and_reads_no_answer_is_cut_off():
    async with scene() as here:
        socket, protocol = await raw_session(here.address, "127.72.1.1")
        await until(lambda: here.node.counters["accepted:tcp"] == 2)
        pings = [PING.pack(0, 2, 1, 0, number) for number in range(5000)]
        with suppress(trio.BrokenResourceError):
            for _ in range(1000):
                protocol.yamux._frames.parts += pings
                await socket.send_all(protocol.data_to_send())
        await until(lambda: here.node.counters["connection_failed:flood"] == 1)
        await until(lambda: here.node.connection_count == 1)
        await socket.aclose()
