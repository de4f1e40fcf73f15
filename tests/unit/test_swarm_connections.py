"""The swarm on loopback sockets: one connection a pair, limits that make room, and nothing left behind."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import structlog
import trio
import trio.testing

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError, UserError
from peernet.core.identity import Keypair
from peernet.core.prefixes import ip_prefix
from peernet.core.yamux.events import DataReceived
from peernet.net.addresses import TcpAddress
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.transports.tcp import TcpIncoming
from tests.swarms_in_process import ECHO, SUITE, echo, new_swarm, running, say, until

SWARM_TASKS = 3
"""The sweep, the flusher, and who listens."""


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def failed_dials(swarm: Swarm) -> int:
    good = ("connected", "cancelled")
    return sum(
        number for name, number in swarm.counters.items() if name.startswith("dial:") and not name.endswith(good)
    )


async def test_peers_talk_over_one_connection():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        assert await say(one, two) == b"hello"
        assert await say(two, one) == b"hello"
        assert one.connection_count == two.connection_count == 1
        assert one.connections[two.peer_id].observed == f"/ip4/{two._bind}"
        assert two.connections[one.peer_id].observed == f"/ip4/{one._bind}"


async def test_many_who_want_the_same_peer_wait_for_one_dial():
    one, two = new_swarm(), new_swarm()
    async with running(one, two) as nursery:
        connections = []

        async def connect() -> None:
            connections.append(await one.connect(two.peer_id, two.listening))

        async with trio.open_nursery() as several:
            for _ in range(20):
                several.start_soon(connect)
        assert len(connections) == 20
        assert len(set(map(id, connections))) == 1
        assert one.connection_count == 1
        nursery.cancel_scope.cancel()


async def test_who_waits_for_a_dial_that_fails_fails_with_it():
    one = new_swarm()
    nobody = new_swarm()
    async with running(one):
        failures = []

        async def connect() -> None:
            with pytest.raises(ConnectionFailed):
                await one.connect(nobody.peer_id, [TcpAddress("127.88.255.1", 9)])
            failures.append(1)

        async with trio.open_nursery() as several:
            for _ in range(20):
                several.start_soon(connect)
        assert len(failures) == 20
        assert failed_dials(one) == 1
        assert one._dialling == {}


async def test_who_waits_for_a_dial_that_fails_goes_on_with_what_it_knows_further():
    one, two = new_swarm(), new_swarm()
    (silent,) = await trio.open_tcp_listeners(0, host="127.88.255.1")
    nobody = TcpAddress("127.88.255.1", silent.socket.getsockname()[1])
    async with silent, running(one, two):
        found = []

        async def connect_in_vain() -> None:
            with pytest.raises(ConnectionFailed):
                await one.connect(two.peer_id, [nobody])

        async def connect() -> None:
            found.append(await one.connect(two.peer_id, [nobody, *two.listening]))

        async with trio.open_nursery() as several:
            several.start_soon(connect_in_vain)
            stranger = await silent.accept()
            several.start_soon(connect)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not found
            await stranger.aclose()
        assert len(found) == 1
        assert found[0].alive


async def test_who_waits_for_a_dial_that_was_given_up_dials_itself():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        first = trio.CancelScope()

        async def give_up() -> None:
            with first:
                await one.connect(two.peer_id, two.listening)

        async with trio.open_nursery() as several:
            several.start_soon(give_up)
            await trio.lowlevel.checkpoint()
            first.cancel()
            connection = await one.connect(two.peer_id, two.listening)
        assert connection.alive
        await until(lambda: one.connection_count == two.connection_count == 1)


async def test_two_who_dial_each_other_settle_on_one_connection():
    for _ in range(5):
        one, two = new_swarm(), new_swarm()
        async with running(one, two):
            async with trio.open_nursery() as several:
                several.start_soon(one.connect, two.peer_id, two.listening)
                several.start_soon(two.connect, one.peer_id, one.listening)
            await until(lambda one=one, two=two: len(one._table.held) == len(two._table.held) == 2)
            here, there = one.connections[two.peer_id], two.connections[one.peer_id]
            assert here._protocol.handshake_hash == there._protocol.handshake_hash
            assert await say(one, two) == await say(two, one) == b"hello"


async def test_a_peer_that_lost_its_state_is_talked_to_over_its_new_connection():
    one, two = (new_swarm(keypair=Keypair.from_seed(seed * 32, SUITE)) for seed in (b"1", b"2"))
    async with running(two), running(one):
        first = await one.connect(two.peer_id, two.listening)
        await until(lambda: len(two._table.held) == 1)
        one._table.used.clear()
        second = await one.connect(two.peer_id, two.listening)
        await until(lambda: len(two._table.held) == 2)
        assert two.connections[one.peer_id]._protocol.handshake_hash == second._protocol.handshake_hash
        second.close()
        await until(lambda: two.connection_count == 1)
        assert two.connections[one.peer_id]._protocol.handshake_hash == first._protocol.handshake_hash


async def test_another_peer_at_the_address_is_refused():
    one, two, three = new_swarm(), new_swarm(), new_swarm()
    async with running(one, two):
        with pytest.raises(ConnectionFailed, match="expected"):
            await one.connect(three.peer_id, two.listening)
        assert one.connection_count == 0
        await until(lambda: two.connection_count == 0)
        assert one.connections == {}


async def test_nobody_dials_itself():
    one = new_swarm()
    async with running(one):
        with pytest.raises(ConnectionFailed, match="itself"):
            await one.connect(one.peer_id, one.listening)
        twin = new_swarm(host="127.88.251.1")
        twin._keypair, twin._upgrader._identity = one._keypair, one._upgrader._identity
        async with running(twin):
            # A second node with the same key is no peer either.
            twin._table.used.clear()
            with pytest.raises(ConnectionFailed):
                await twin.connect(one.peer_id, one.listening)


async def test_addresses_are_tried_in_order():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        await one.connect(two.peer_id, [TcpAddress("127.88.255.1", 9), *two.listening])
        assert failed_dials(one) == 1
        with pytest.raises(ConnectionFailed, match="no address that we can dial"):
            await one.connect(new_swarm().peer_id, [])


async def test_a_handshake_that_is_not_finished_in_time_ends():
    two = new_swarm(limits=Limits(handshake_timeout_s=0.05))
    async with running(two):
        stream = await trio.open_tcp_stream(two.listening[0].host, two.listening[0].port)
        async with stream:
            await stream.send_all(b"\x13/multistream/1.0.0\n")
            with trio.fail_after(5):
                while await stream.receive_some():
                    pass
        assert two.counters["handshake_failed:timeout"] == 1
        await until(lambda: two.connection_count == 0)


async def test_a_dial_that_nobody_answers_ends():
    one = new_swarm(limits=Limits(handshake_timeout_s=0.05))
    (listener,) = await trio.open_tcp_listeners(0, host="127.88.252.1")
    async with running(one), listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(ConnectionFailed):
            await one.connect(new_swarm().peer_id, [TcpAddress("127.88.252.1", port)])
        assert one.connection_count == 0


async def test_garbage_and_early_resets_harm_nobody():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        address = two.listening[0]
        for data in (b"", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" + bytes(100), b"\xff" * 1000):
            stream = await trio.open_tcp_stream(address.host, address.port)
            await stream.send_all(data)
            # A reset instead of a close: the other side may not even learn who it was.
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await trio.aclose_forcefully(stream)
        assert await say(one, two) == b"hello"
        await until(lambda: two.connection_count == 1)


async def test_who_has_gone_before_it_was_accepted_harms_nobody():
    class Gone:
        """A socket whose peer has reset it already."""

        def getpeername(self) -> tuple[str, int]:
            raise OSError(107, "Transport endpoint is not connected")

    two = new_swarm()
    async with running(two):
        await two._accept(TcpIncoming.of(Gone()))
        assert two.counters["refused:gone"] == 1


async def test_a_transport_that_crashes_harms_nobody():
    class Crashing:
        host = "127.88.1.1"

        async def open(self) -> trio.SocketStream:
            raise ZeroDivisionError

    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        await two._accept(Crashing())
        assert two.counters["accept_crashed"] == 1
        assert two.door.empty
        assert await say(one, two) == b"hello"


async def test_a_crashed_handler_harms_nobody_else():
    one, two = new_swarm(), new_swarm()

    async def in_nursery(error: Exception) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raising, error)
            await trio.sleep_forever()

    async def raising(error: Exception) -> None:
        raise error

    errors: dict[str, Callable[[], Awaitable[None]]] = {
        "plain": lambda: raising(ZeroDivisionError()),
        "local": lambda: raising(LocalProtocolError("ours")),
        "remote": lambda: raising(RemoteProtocolError("theirs", reason="word")),
        "failed": lambda: raising(ConnectionFailed("gone")),
        "grouped": lambda: in_nursery(RemoteProtocolError("theirs", reason="grouped")),
        "group_failed": lambda: in_nursery(ConnectionFailed("gone")),
        "group_crash": lambda: in_nursery(ZeroDivisionError()),
    }
    for name, error in errors.items():
        two.handle(f"/test/{name}", lambda _, error=error: error())
    async with running(one, two):
        for name in errors:
            stream = await one.open_stream(two.peer_id, two.listening, f"/test/{name}")
            with pytest.raises(ConnectionFailed):
                await stream.receive_some()
        assert await say(one, two) == b"hello"
        assert two.counters["handler_crashed"] == 3
        assert two.counters["stream_ended"] == 2
        assert two.counters["stream_failed:word"] == two.counters["stream_failed:grouped"] == 1


async def test_a_crashed_task_and_a_crashed_connection_end_nothing_else(monkeypatch: pytest.MonkeyPatch):
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        await one.connect(two.peer_id, two.listening)

        async def crash() -> None:
            raise ZeroDivisionError

        one.start_soon(crash)
        await until(lambda: one.counters["task_crashed"] == 1)

        def crash_on_stream(*_: object) -> None:
            raise ZeroDivisionError

        await until(lambda: len(two._table.held) == 1)
        crashed = two.connections[one.peer_id]
        monkeypatch.setattr(crashed, "_on_stream", crash_on_stream)
        assert await say(one, two) == b"hello"
        assert two.counters["connection_crashed"] == 1
        assert crashed.closed.is_set()
        assert one.connection_count == two.connection_count == 1


async def test_a_protocol_that_is_not_served_is_refused_and_the_connection_stays():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        with pytest.raises(ConnectionFailed, match="does not serve"):
            await one.open_stream(two.peer_id, two.listening, "/test/other/1")
        assert await say(one, two) == b"hello"
        assert one.connection_count == 1
        await until(lambda: not one.connections[two.peer_id].stream_count)


async def test_a_peer_that_says_nothing_to_a_protocol_is_given_up():
    one, two = new_swarm(limits=Limits(negotiation_timeout_s=0.05)), new_swarm()

    async def say_nothing(_: PeerStream) -> None:
        await trio.sleep_forever()

    two._streams._negotiate = say_nothing
    async with running(one, two):
        with pytest.raises(ConnectionFailed, match="in time"):
            await say(one, two)
        assert one.connections[two.peer_id].stream_count == 0


async def test_a_connection_that_was_closed_meanwhile_is_made_again():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        await one.connect(two.peer_id, two.listening)
        await until(lambda: len(two._table.held) == 1)
        two.connections[one.peer_id].close("idle, it thought")
        assert await say(one, two) == b"hello"


async def test_two_hundred_connects_and_closes_leave_nothing_held():
    one, two = new_swarm(), new_swarm()
    async with running(one, two) as nursery:
        for turn in range(200):
            connection = await one.connect(two.peer_id, two.listening)
            if turn % 2:
                assert await say(one, two) == b"hello"
            connection.close()
            await connection.closed.wait()
        await until(lambda: two.connection_count == 0)
        for swarm in (one, two):
            assert swarm.connection_count == 0
            assert swarm.connections == {}
            assert swarm._dialling == {}
            assert swarm.door.empty
            assert swarm.resources.empty
            assert swarm._nursery is not None
            await until(lambda swarm=swarm: len(swarm._nursery.child_tasks) == SWARM_TASKS)
        assert len(nursery.child_tasks) == 2  # the two swarms


async def test_connections_of_one_prefix_are_bounded_and_the_idlest_makes_room():
    limits = Limits(connections_per_prefix=3)
    two = new_swarm(limits=limits)
    others = [new_swarm(host=f"127.89.1.{number}") for number in range(1, 6)]
    apart = new_swarm(host="127.89.2.1")
    async with running(two, *others, apart):
        for other in (apart, *others):
            await other.connect(two.peer_id, two.listening)
            await until(lambda other=other: other.peer_id in two.connections)
        assert two.counters["evicted:connection"] == 2
        assert set(two.connections) == {other.peer_id for other in (*others[2:], apart)}
        # Nobody is turned out who is being served.
        busy = [await other.open_stream(two.peer_id, two.listening, ECHO) for other in others[2:]]
        with pytest.raises(ConnectionFailed):
            await others[0].connect(two.peer_id, two.listening)
        assert two.counters["refused:connections"] == 1
        for stream in busy:
            await stream.send_all(b"still here")
            assert await stream.receive_some() == b"still here"


async def test_connections_in_total_are_bounded_for_those_who_come_and_those_we_dial():
    two = new_swarm(limits=Limits(connections=2))
    others = [new_swarm() for _ in range(4)]
    async with running(two, *others):
        for other in others[:3]:
            await other.connect(two.peer_id, two.listening)
            await until(lambda other=other: other.peer_id in two.connections)
        assert two.connection_count == 2
        assert await say(two, others[3]) == b"hello"
        assert two.connection_count == 2
        held = [await two.open_stream(other.peer_id, other.listening, ECHO) for other in others[2:]]
        with pytest.raises(ConnectionFailed, match="as many connections"):
            await two.connect(others[0].peer_id, others[0].listening)
        assert len(held) == 2


async def test_an_evicted_connection_is_not_counted_again():
    two = new_swarm(limits=Limits(connections=2))
    others = [new_swarm() for _ in range(6)]
    async with running(two, *others):
        found = []

        async def try_to_connect(other: Swarm) -> None:
            with suppress(ConnectionFailed):
                found.append(await other.connect(two.peer_id, two.listening))

        for _ in range(5):
            async with trio.open_nursery() as several:
                for other in others:
                    several.start_soon(try_to_connect, other)
            await until(lambda: two.door.empty)
            assert len(two._table.held) <= 2
        assert found


async def test_slow_handshakes_give_way_to_those_who_wait_after_the_grace_and_not_before():
    limits = Limits(handshakes_in_flight=4, handshakes_per_prefix=2, handshake_grace_s=0.2)
    one, two = new_swarm(), new_swarm(limits=limits)
    async with running(one, two), trio.open_nursery() as nursery:
        address = two.listening[0]
        began = trio.current_time()
        stalled = [
            await trio.open_tcp_stream(address.host, address.port, local_address=f"127.90.{number // 3}.1")
            for number in range(9)
        ]
        await until(lambda: two.door.waiting == 5)
        assert two.door.inside == 4
        assert await say(one, two) == b"hello"
        assert trio.current_time() - began >= 0.2
        await until(lambda: two.counters["evicted:handshake"] == 5)
        assert two.door.inside == 4
        for stream in stalled:
            nursery.start_soon(stream.aclose)
    assert two.connection_count == 0


async def test_idle_connections_are_closed_and_busy_ones_are_not():
    limits = Limits(idle_timeout_s=0.2)
    one, two, three = new_swarm(limits=limits), new_swarm(), new_swarm()
    async with running(one, two, three):
        await one.connect(two.peer_id, two.listening)
        held = await one.open_stream(three.peer_id, three.listening, ECHO)
        await until(lambda: one.connection_count == 1)
        assert set(one.connections) == {three.peer_id}
        await held.send_all(b"x")
        assert await held.receive_some() == b"x"


class Deaf:
    """A protocol that hears nothing, and so never answers."""

    def __init__(self, protocol: Connection) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> object:
        return getattr(self._protocol, name)

    def receive(self, _: bytes) -> list[object]:
        return []


async def test_a_silent_peer_is_pinged_and_one_that_stays_silent_is_closed():
    limits = Limits(silence_timeout_s=0.6)
    one, two, three = new_swarm(limits=limits), new_swarm(), new_swarm()
    async with running(one, two, three):
        quiet = await one.open_stream(two.peer_id, two.listening, ECHO)
        dead = await one.open_stream(three.peer_id, three.listening, ECHO)
        # What a power cut looks like: the socket stays open and nobody answers.
        three.connections[one.peer_id]._protocol = Deaf(three.connections[one.peer_id]._protocol)
        with pytest.raises(ConnectionFailed, match="silent"), trio.fail_after(5):
            await dead.receive_some()
        await quiet.send_all(b"here")
        assert await quiet.receive_some() == b"here"


async def test_when_a_connection_ends_all_streams_of_it_end_on_both_sides():
    one, two = new_swarm(), new_swarm()
    ended = []

    async def wait_for_end(stream: PeerStream) -> None:
        try:
            await echo(stream)
        finally:
            ended.append(stream)

    async with running(one, two):
        two.handle(ECHO, wait_for_end)
        streams = [await one.open_stream(two.peer_id, two.listening, ECHO) for _ in range(10)]
        one.connections[two.peer_id].close()
        for stream in streams:
            with pytest.raises(ConnectionFailed):
                await stream.receive_some()
        await until(lambda: len(ended) == 10)


async def test_an_address_that_cannot_be_listened_on_is_a_message_for_people():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        with pytest.raises(UserError, match="cannot listen"):
            await two.listen(one.listening[0])


async def test_a_stream_that_comes_with_the_end_of_the_handshake_is_served():
    """Who dials may open its streams in the packet that finishes the handshake."""
    two = new_swarm()
    async with running(two):
        socket = await trio.open_tcp_stream(two.listening[0].host, two.listening[0].port)
        keypair = Keypair.from_seed(b"early" + bytes(27), SUITE)
        identity = NoiseIdentity.of(keypair, b"s" * 32, SUITE)
        protocol = Connection(SUITE, identity, initiator=True, ephemeral_secret=b"e" * 32)
        while not protocol.established:
            await socket.send_all(protocol.data_to_send())
            protocol.receive(await socket.receive_some())
        # The last message of the handshake waits here, and goes together with these.
        for _ in range(3):
            stream = protocol.yamux.open_stream()
            protocol.yamux.send(stream, b"\x13/multistream/1.0.0\n\x0d" + ECHO.encode() + b"\nhello")
        await socket.send_all(protocol.data_to_send())
        heard = b""
        with trio.fail_after(5):
            while heard.count(b"hello") < 3:
                for event in protocol.receive(await socket.receive_some()):
                    if isinstance(event, DataReceived):
                        heard += bytes(event.data)
        assert two._streams._early == {}
        await socket.aclose()
        await until(lambda: two.connection_count == 0)


async def test_a_stream_that_is_over_holds_no_place():
    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        for _ in range(3):
            assert await say(one, two) == b"hello"
        await until(lambda: two.resources.streams == 0)
        assert two.counters[f"stream:in:{ECHO}"] == 3
        assert two.connection_count == 1


async def test_what_windows_grow_by_is_asked_of_the_node_and_given_back():
    one, two = new_swarm(), new_swarm(limits=Limits(window_memory_per_peer=1000))
    async with running(one, two):
        assert await say(one, two) == b"hello"
        connection = two.connections[one.peer_id]
        budget = connection._protocol._budget
        assert budget.reserve(900)
        assert not budget.reserve(200)
        assert two.counters["limit:window_memory_per_peer"] == 1
        assert two.resources.memory == 900
        budget.release(300)
        assert two.resources.memory == 600
        connection.close()
        await connection.closed.wait()
        await until(lambda: two.resources.memory == 0)


async def test_an_address_that_failed_a_moment_ago_is_not_tried_and_its_reason_is_told_again():
    one = new_swarm()
    async with running(one):
        peer = new_swarm().peer_id
        for said in ("Connection refused", "as a moment ago .*Connection refused"):
            with pytest.raises(ConnectionFailed, match=said):
                await one.connect(peer, [TcpAddress("127.88.255.1", 9)])
        assert failed_dials(one) == 1
        assert one.counters["dial_rested"] == 1


async def test_a_handshake_begins_when_it_is_the_turn_of_its_prefix():
    class Turns:
        def __init__(self) -> None:
            self.held: list[tuple[str, Callable[[], None]]] = []

        def offer(self, prefix: str, begin: Callable[[], None]) -> None:
            self.held.append((prefix, begin))

    one, two = new_swarm(), new_swarm()
    async with running(one, two):
        two._handshake_turns = turns = Turns()
        found = []

        async def connect() -> None:
            found.append(await one.connect(two.peer_id, two.listening))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await until(lambda: turns.held)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert found == []
            ((prefix, begin),) = turns.held
            assert prefix == ip_prefix(one._bind)
            begin()
        assert found[0].alive
