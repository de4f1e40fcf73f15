"""Circuits on loopback sockets: end to end encrypted, bounded, and nothing left when they are over."""

from contextlib import asynccontextmanager

import pytest
import structlog
import trio

from peernet.core.autonat import (
    DIAL_REQUEST_PROTOCOL,
    DialBackLimits,
    DialRequest,
    DialResponse,
    ResponseStatus,
    decode_message,
    encode_message,
)
from peernet.core.circuit import (
    HOP_PROTOCOL,
    STOP_PROTOCOL,
    CircuitLimits,
    Connect,
    Reserve,
    Status,
    StatusMessage,
    decode_hop,
    decode_stop,
    encode_hop,
    encode_stop,
)
from peernet.core.errors import ConnectionFailed
from peernet.core.ring.paths import PathPeer
from peernet.core.wire import frame
from peernet.net.addresses import CircuitAddress, PeerAddress, TcpAddress, encode_address
from peernet.net.limits import Limits
from peernet.net.messages import Frames
from peernet.net.reachability.autonat import AutonatClient, AutonatServer
from peernet.net.reachability.circuits import dial_circuit, is_relayed
from peernet.net.reachability.keeper import RelayCandidate, ReservationKeeper
from peernet.net.reachability.relay import CircuitRelay
from tests.swarms_in_process import ECHO, SUITE, new_keypair, new_swarm, running, say, until

TEST_TIMEOUT_S = 40.0
NOW_S = 1_900_000_000.0


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


class Scene:
    """A relay, a target that listens nowhere and has a place there, and a source."""

    def __init__(self, **limits) -> None:
        self.relay_keys = new_keypair()
        self.relay, self.target, self.source = new_swarm(keypair=self.relay_keys), new_swarm(), new_swarm()
        self.now_s = NOW_S
        self.service = CircuitRelay(
            self.relay, self.relay_keys, lambda: self.now_s, self.relay_addresses, CircuitLimits(**limits)
        )
        self.keeper = keeper_of(self.target, lambda: [candidate_of(self.relay)], lambda: self.now_s)

    def relay_addresses(self):
        return [PeerAddress(self.relay.peer_id, address) for address in self.relay.listening]

    @property
    def circuit(self):
        return CircuitAddress.through(self.relay.peer_id, self.relay.listening[0])

    def nothing_is_left(self):
        book = self.service._book
        held = (book._by_source, book._by_source_prefix, book._by_target, self.service._connecting)
        return not (self.service.circuits or any(held))


def candidate_of(relay):
    name = str(relay.peer_id)
    return RelayCandidate(PathPeer(name, name.encode(), frozenset({name})), relay.peer_id, tuple(relay.listening))


def keeper_of(swarm, candidates, now_s, changed=lambda: None):
    own = PathPeer(str(swarm.peer_id), b"own", frozenset({"own"}))
    return ReservationKeeper(swarm, SUITE, candidates, lambda: own, now_s, changed)


@asynccontextmanager
async def scene(**limits):
    one = Scene(**limits)
    with trio.fail_after(TEST_TIMEOUT_S):
        async with running(one.relay, silent=(one.target, one.source)) as nursery:
            nursery.start_soon(one.service.run)
            nursery.start_soon(one.keeper.keep, 1)
            await until(lambda: one.keeper.relays)
            yield one


async def test_who_cannot_be_dialled_is_reached_through_the_relay():
    async with scene() as on:
        assert on.keeper.addresses == (on.circuit,)
        assert await say(on.source, on.target, on.keeper.addresses) == b"hello"
        # The identities are those of the ends, and each side knows that there is a relay between.
        outward = on.source.connections[on.target.peer_id]
        inward = on.target.connections[on.source.peer_id]
        assert outward.observed == inward.observed == f"/ip4/{on.relay._bind}/p2p-circuit"
        assert set(on.relay.connections) == {on.source.peer_id, on.target.peer_id}
        assert on.service.circuits == 1
        outward.close()
        await until(on.nothing_is_left)
        await until(lambda: on.source.peer_id not in on.target.connections)
        assert on.service.counters["opened"] == 1
        assert on.service.reserved == (on.target.peer_id,)


async def test_the_target_answers_over_the_same_connection():
    async with scene() as on:
        await say(on.source, on.target, on.keeper.addresses)
        assert await say(on.target, on.source, ()) == b"hello"


async def test_the_relay_sees_ciphertext_only():
    async with scene() as on:
        seen = bytearray()

        class Overheard:
            """A stream whose bytes are written down as the relay reads them."""

            def __init__(self, stream):
                self._stream = stream

            def __getattr__(self, name):
                return getattr(self._stream, name)

            async def receive_some(self):
                data = await self._stream.receive_some()
                seen.extend(data)
                return data

        original = on.service._pump

        async def overheard(stream, onward):
            return await original(Overheard(stream), Overheard(onward))

        on.service._pump = overheard
        secret = b"the words of a prompt, many times " * 100
        assert await say(on.source, on.target, on.keeper.addresses, secret) == secret
        assert len(seen) > 2 * len(secret)
        assert b"words of a prompt" not in seen
        assert on.source.peer_id.public_key not in seen


async def test_somebody_else_behind_the_relay_is_not_taken_for_the_target():
    async with scene() as on:
        stranger = new_swarm()
        # The relay brings the source to another peer than the one that was asked for.
        on.relay._table.used[stranger.peer_id] = on.relay.connections[on.target.peer_id]
        on.service._book.reserve(stranger.peer_id, "x", on.now_s)
        with pytest.raises(ConnectionFailed, match=r"expected .* met"):
            await on.source.connect(stranger.peer_id, (on.circuit,))
        del on.relay._table.used[stranger.peer_id]
        await until(on.nothing_is_left)


@pytest.mark.parametrize("side", ["source", "target", "relay"])
async def test_nothing_is_left_whoever_goes(side):
    async with scene() as on:
        async with await on.source.open_stream(on.target.peer_id, on.keeper.addresses, ECHO) as stream:
            await stream.send_all(b"x")
            assert await stream.receive_some() == b"x"
            at = {"source": on.source, "target": on.target, "relay": on.relay}[side]
            for connection in list(at._table.held):
                connection.close()
            with trio.fail_after(5), pytest.raises(ConnectionFailed):
                while True:
                    await stream.receive_some()
        await until(on.nothing_is_left)
        await until(lambda: on.target.peer_id not in on.source.connections)
        await until(lambda: on.source.peer_id not in on.target.connections)


async def test_a_circuit_comes_last_and_not_at_all_where_the_target_can_be_dialled():
    async with scene() as on:
        direct = await on.target.listen(TcpAddress(on.target._bind, 0))
        connection = await on.source.connect(on.target.peer_id, (on.circuit, direct))
        assert connection.observed == f"/ip4/{on.target._bind}"
        assert on.service.circuits == 0


# --- what is refused -------------------------------------------------------------------------------------------------


async def hop(swarm, on, message):
    """The relay's answer to a message."""
    data = message if isinstance(message, bytes) else encode_hop(message)
    async with await swarm.open_stream(on.relay.peer_id, on.relay.listening, HOP_PROTOCOL) as stream:
        frames = Frames(stream)
        await frames.send(data)
        reply = await frames.receive()
    assert reply is not None
    return decode_hop(reply)


async def test_without_a_place_there_is_no_circuit():
    async with scene() as on:
        nobody = new_swarm()
        assert (await hop(on.source, on, Connect(nobody.peer_id))).status == Status.NO_RESERVATION
        with pytest.raises(ConnectionFailed, match="status 204"):
            await on.source.connect(nobody.peer_id, (on.circuit,))


async def test_a_place_goes_with_its_connection():
    async with scene() as on:
        other = new_swarm()
        async with running(silent=(other,)):
            granted = await hop(other, on, Reserve())
            assert granted.status == Status.OK
            assert granted.reservation.expires_at_s == int(NOW_S) + CircuitLimits().reservation_lifetime_s
            assert granted.limit == CircuitLimits().limit
            assert other.peer_id in on.service.reserved
            other.connections[on.relay.peer_id].close()
            await until(lambda: other.peer_id not in on.relay.connections)
            assert (await hop(on.source, on, Connect(other.peer_id))).status == Status.NO_RESERVATION
            assert on.service.reserved == (on.target.peer_id,)


async def test_a_place_whose_connection_is_over_is_free_at_once():
    async with scene(reservations=2) as on:
        other = new_swarm()
        async with running(silent=(other,)):
            assert (await hop(other, on, Reserve())).status == Status.OK
            assert (await hop(on.source, on, Reserve())).status == Status.RESERVATION_REFUSED
            other.connections[on.relay.peer_id].close()
            await until(lambda: other.peer_id not in on.relay.connections)
            assert (await hop(on.source, on, Reserve())).status == Status.OK


async def test_a_place_goes_with_its_direct_connection_though_the_peer_is_still_there_through_another_relay():
    async with scene() as on:
        second_keys = new_keypair()
        second, other = new_swarm(keypair=second_keys), new_swarm()
        CircuitRelay(second, second_keys, lambda: on.now_s, list, CircuitLimits())
        keeper = keeper_of(other, lambda: [candidate_of(second)], lambda: on.now_s)
        async with running(second, silent=(other,)) as nursery:
            nursery.start_soon(keeper.keep, 1)
            await until(lambda: keeper.relays)
            await on.relay.connect(other.peer_id, keeper.addresses)
            direct = await other.connect(on.relay.peer_id, on.relay.listening, direct=True)
            assert (await hop(other, on, Reserve())).status == Status.OK
            direct.close()
            mark = f"/ip4/{second._bind}/p2p-circuit"
            await until(lambda: on.relay.connections[other.peer_id].observed == mark)
            assert (await hop(on.source, on, Connect(other.peer_id))).status == Status.NO_RESERVATION
            assert other.peer_id not in on.service.reserved


async def test_a_place_goes_with_its_time():
    async with scene(reservation_lifetime_s=100) as on:
        on.now_s += 101
        assert (await hop(on.source, on, Connect(on.target.peer_id))).status == Status.NO_RESERVATION


async def test_statuses_of_what_is_too_much_or_wrong():
    async with scene(reservations=1, circuits_per_source=1) as on:
        assert (await hop(on.source, on, Reserve())).status == Status.RESERVATION_REFUSED
        assert (await hop(on.source, on, StatusMessage(Status.OK))).status == Status.UNEXPECTED_MESSAGE
        assert (await hop(on.source, on, b"\x08\x07")).status == Status.MALFORMED_MESSAGE
        assert (await hop(on.source, on, Connect(on.source.peer_id))).status == Status.PERMISSION_DENIED
        await on.source.connect(on.target.peer_id, (on.circuit,))
        assert (await hop(on.source, on, Connect(on.target.peer_id))).status == Status.RESOURCE_LIMIT_EXCEEDED


async def test_a_target_that_does_not_agree_is_a_failed_connection():
    async with scene() as on:
        other = new_swarm()

        async def refuse(stream):
            data = await Frames(stream).receive()
            assert decode_stop(data).peer == on.source.peer_id
            await Frames(stream).send(encode_stop(StatusMessage(Status.PERMISSION_DENIED)))

        other.handle(STOP_PROTOCOL, refuse)
        async with running(silent=(other,)):
            await hop(other, on, Reserve())
            assert (await hop(on.source, on, Connect(other.peer_id))).status == Status.CONNECTION_FAILED
            await until(on.nothing_is_left)


async def test_a_target_that_never_answers_is_given_up(autojump_clock):
    autojump_clock.autojump_threshold = 0.2
    async with scene() as on:
        other = new_swarm()

        async def say_nothing(_stream):
            await trio.sleep_forever()

        other.handle(STOP_PROTOCOL, say_nothing)
        async with running(silent=(other,)):
            await hop(other, on, Reserve())
            began = trio.current_time()
            assert (await hop(on.source, on, Connect(other.peer_id))).status == Status.CONNECTION_FAILED
            assert trio.current_time() - began <= CircuitLimits().connect_timeout_s + 1
            await until(on.nothing_is_left)


async def test_one_network_does_not_take_all_the_patience_for_targets():
    async with scene(connecting_at_once_per_prefix=1) as on:
        other, third = new_swarm(), new_swarm()
        waiting = trio.Event()

        async def say_nothing(_stream):
            waiting.set()
            await trio.sleep_forever()

        other.handle(STOP_PROTOCOL, say_nothing)
        async with running(silent=(other, third)) as nursery:
            await hop(other, on, Reserve())
            nursery.start_soon(hop, on.source, on, Connect(other.peer_id))
            await waiting.wait()
            refused = await hop(on.source, on, Connect(on.target.peer_id))
            assert refused.status == Status.RESOURCE_LIMIT_EXCEEDED
            assert await say(third, on.target, on.keeper.addresses) == b"hello"
        await until(on.nothing_is_left)
        assert await say(on.source, on.target, on.keeper.addresses) == b"hello"


async def test_a_peer_takes_no_circuit_from_a_relay_that_it_has_no_place_at():
    async with scene() as on:
        other = new_swarm()
        async with running(other):
            await other.connect(on.relay.peer_id, on.relay.listening)
            await say(on.target, other, tuple(other.listening))
            async with await other.open_stream(on.target.peer_id, (), STOP_PROTOCOL) as stream:
                frames = Frames(stream)
                await frames.send(encode_stop(Connect(on.source.peer_id)))
                assert decode_stop(await frames.receive()).status == Status.PERMISSION_DENIED
            assert on.keeper.counters["circuit_refused"] == 1


async def test_there_is_no_circuit_through_a_circuit_and_no_place_over_one():
    async with scene() as on:
        far = CircuitRelay(on.target, new_keypair(), lambda: on.now_s, list, CircuitLimits())
        await on.source.connect(on.target.peer_id, (on.circuit,))
        async with await on.source.open_stream(on.target.peer_id, (), HOP_PROTOCOL) as stream:
            assert is_relayed(stream)
            await Frames(stream).send(encode_hop(Reserve()))
            assert decode_hop(await Frames(stream).receive()).status == Status.PERMISSION_DENIED
        # The relay of a circuit is dialled directly, though there is a connection through another relay to it.
        through = CircuitAddress.through(on.target.peer_id, TcpAddress("127.0.0.1", 9))
        with pytest.raises(ConnectionFailed, match="tcp/9"):
            await dial_circuit(on.source, through, new_keypair().peer_id)
        assert far.reserved == ()


async def test_who_wants_a_direct_connection_gets_one_and_it_is_used_from_then_on():
    async with scene() as on:
        relayed = await on.source.connect(on.target.peer_id, (on.circuit,))
        place = await on.target.listen(TcpAddress(on.target._bind, 0))
        with pytest.raises(ConnectionFailed, match="no address"):
            await on.source.connect(on.target.peer_id, (on.circuit,), direct=True)
        direct = await on.source.connect(on.target.peer_id, (on.circuit, place), direct=True)
        assert direct is not relayed
        assert direct.observed == f"/ip4/{on.target._bind}"
        assert on.source.connections[on.target.peer_id] is direct
        await until(lambda: on.target.connections[on.source.peer_id].observed == f"/ip4/{on.source._bind}")
        assert relayed.alive
        # A circuit that is made after it does not take its place, on either side.
        assert await on.source._dial_any(on.target.peer_id, (on.circuit,)) is direct
        await until(lambda: on.keeper.counters["circuit_taken"] == 2)
        await until(lambda: on.target.connection_count == 4)
        assert on.target.connections[on.source.peer_id].observed == f"/ip4/{on.source._bind}"


async def test_who_comes_through_a_relay_is_not_dialled_back():
    async with scene() as on:
        server = AutonatServer(on.target, new_swarm, allow_private=True, limits=DialBackLimits())
        client = AutonatClient(on.source)
        with pytest.raises(ConnectionFailed, match="no address"):
            await client.ask(on.target.peer_id, (on.circuit,), TcpAddress(on.source._bind, 9))
        # A client of another kind might ask over the circuit all the same.
        await on.source.connect(on.target.peer_id, (on.circuit,))
        async with await on.source.open_stream(on.target.peer_id, (), DIAL_REQUEST_PROTOCOL) as stream:
            own = encode_address(TcpAddress(on.relay._bind, on.relay.listening[0].port))
            await Frames(stream).send(encode_message(DialRequest((own,), 5)))
            assert decode_message(await Frames(stream).receive()) == DialResponse(ResponseStatus.E_DIAL_REFUSED)
        assert server.counters["answered:e_dial_refused"] == 1


# --- limits of a circuit ---------------------------------------------------------------------------------------------


async def raw_circuit(on):
    """A byte stream to the target's end of a circuit, on which nothing else speaks, and the target's end."""
    ends = []
    arrived = trio.Event()

    async def keep(incoming):
        ends.append(incoming.stream)
        arrived.set()
        await trio.sleep_forever()

    on.target.take = keep
    stream = await dial_circuit(on.source, on.circuit, on.target.peer_id)
    await arrived.wait()
    return stream, ends[0]


async def test_a_slow_reader_holds_at_most_its_windows():
    limits = Limits()
    async with scene(circuit_bytes_per_s=2**40, bytes_per_s=2**40) as on:
        stream, end = await raw_circuit(on)
        sent = 0
        with trio.move_on_after(1.0):
            while True:
                await stream.send_all(b"x" * 65536)
                sent += 65536
        # The target's window, the relay's window and what the relay has in its hand, and what waits to be written.
        assert sent <= 4 * limits.stream_receive_buffer + 2 * limits.outbox_high_water
        # What was held is not lost, and it goes on.
        got = 0
        with trio.fail_after(5):
            while got < sent:
                got += len(await end.receive_some())
        assert got >= sent


async def test_a_circuit_ends_with_its_bytes():
    async with scene(size_bytes=100_000) as on:
        stream, end = await raw_circuit(on)
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x" * 10_000)
        await end.wait_ended()
        await until(on.nothing_is_left)
        assert on.service.counters["ended:size"] == 1
        assert on.service.counters["bytes"] <= 100_000


@pytest.mark.parametrize(("limit", "ending"), [("duration_s", "duration"), ("idle_s", "idle")])
async def test_a_circuit_ends_with_its_time(autojump_clock, limit, ending):
    autojump_clock.autojump_threshold = 0.2
    async with scene(**{limit: 20}) as on:
        stream, _ = await raw_circuit(on)
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some(1)
        assert 15 < trio.current_time() - began < 25
        assert on.service.counters[f"ended:{ending}"] == 1
        assert on.nothing_is_left()


async def test_a_circuit_that_is_cut_is_counted_as_ended():
    async with scene() as on:
        await raw_circuit(on)
        assert on.service.circuits == 1
    assert on.service.counters["opened"] == on.service.counters["ended:cut"] == 1


async def test_half_a_circuit_may_end_before_the_other():
    async with scene() as on:
        stream, end = await raw_circuit(on)
        await stream.send_all(b"question")
        await stream._stream.close_sending()
        assert await end.receive_some() == b"question"
        assert await end.receive_some() == b""
        await end.send_all(b"answer")
        assert await stream.receive_some(100) == b"answer"
        await end.close_sending()
        await until(on.nothing_is_left)
        assert on.service.counters["ended:closed"] == 1


async def test_a_circuit_is_held_to_its_speed(autojump_clock):
    autojump_clock.autojump_threshold = 0.2
    async with scene(circuit_bytes_per_s=100_000) as on:
        stream, end = await raw_circuit(on)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, b"x" * 1_000_000)
            got = 0
            while got < 1_000_000:
                got += len(await end.receive_some())
        # The first second's worth was due, and the last piece is passed on before its pause.
        assert 5 < trio.current_time() - began < 11


async def test_a_cancelled_dial_leaves_nothing():
    async with scene() as on:
        gate = trio.Event()

        async def never(_source, _target):
            gate.set()
            await trio.sleep_forever()

        on.service._open_stop = never
        async with trio.open_nursery() as nursery:
            nursery.start_soon(on.source.connect, on.target.peer_id, (on.circuit,))
            await gate.wait()
            nursery.cancel_scope.cancel()
        await until(lambda: on.source.connections[on.relay.peer_id].stream_count == 0)


async def test_bytes_that_come_right_behind_the_request_are_the_circuits():
    """We wait for the relay's word before we speak; others need not."""
    async with scene() as on:
        arrived = []

        async def keep(incoming):
            while data := await incoming.stream.receive_some():
                arrived.append(data)

        on.target.take = keep
        async with await on.source.open_stream(on.relay.peer_id, on.relay.listening, HOP_PROTOCOL) as stream:
            await stream.send_all(frame(encode_hop(Connect(on.target.peer_id))) + b"early")
            assert decode_hop(await Frames(stream).receive()).status == Status.OK
            await until(lambda: b"".join(arrived) == b"early")


async def test_bytes_that_come_right_behind_the_answers_are_the_circuits():
    async with scene() as on:
        other = new_swarm()

        async def agree_and_speak(stream):
            await Frames(stream).receive()
            await stream.send_all(frame(encode_stop(StatusMessage(Status.OK))) + b"early")
            await stream.wait_ended()

        other.handle(STOP_PROTOCOL, agree_and_speak)
        async with running(silent=(other,)):
            await hop(other, on, Reserve())
            stream = await dial_circuit(on.source, on.circuit, other.peer_id)
            with trio.fail_after(5):
                assert await stream.receive_some(100) == b"early"
            await stream.aclose()
