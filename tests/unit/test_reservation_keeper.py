"""Keeping places on loopback sockets: relays go and come back, and nobody has to help."""

from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import structlog
import trio

from peernet.core.circuit import HOP_PROTOCOL, CircuitLimits, Reservation, Status, StatusMessage, encode_hop
from peernet.core.errors import ConnectionFailed
from peernet.core.reservations import LONGEST_PAUSE_S
from peernet.core.ring.paths import PathPeer
from peernet.net.addresses import TcpAddress, parse_address
from peernet.net.limits import Limits
from peernet.net.messages import Frames
from peernet.net.reachability.keeper import RelayCandidate, ReservationKeeper
from peernet.net.reachability.relay import CircuitRelay
from tests.swarms_in_process import SUITE, new_keypair, new_swarm, running, say, until

NOW_S = 1_900_000_000.0


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


class Relay:
    """A relay that can be stopped and started again, with the same key at the same place."""

    def __init__(self, *, operator: str = "", prefix: str = "", **limits) -> None:
        self.keys = new_keypair()
        self.host = new_swarm()._bind
        self.port = 0
        self.limits = limits
        name = str(self.keys.peer_id)
        self.path_peer = PathPeer(name, (operator or name).encode(), frozenset({prefix or name}))

    @property
    def peer(self):
        return self.keys.peer_id

    @property
    def candidate(self):
        return RelayCandidate(self.path_peer, self.peer, (TcpAddress(self.host, self.port),))

    async def start(self, nursery: trio.Nursery) -> None:
        self.swarm = new_swarm(host=self.host, keypair=self.keys)
        self.service = CircuitRelay(self.swarm, self.keys, lambda: NOW_S, list, CircuitLimits(**self.limits))
        self.scope = trio.CancelScope()
        ready = trio.Event()

        async def serve() -> None:
            with self.scope:
                async with running(silent=(self.swarm,)) as inner:
                    self.port = (await self.swarm.listen(TcpAddress(self.host, self.port))).port
                    inner.start_soon(self.service.run)
                    ready.set()
                    await trio.sleep_forever()

        nursery.start_soon(serve)
        await ready.wait()

    def stop(self) -> None:
        self.scope.cancel()


@asynccontextmanager
async def keeping(relays, wanted, *, limits=None):
    """A peer that keeps `wanted` places at `relays`; yields it and its nursery."""
    swarm = new_swarm(limits=limits)
    told = []
    own = PathPeer(str(swarm.peer_id), b"own", frozenset({"own"}))
    keeper = ReservationKeeper(
        swarm,
        SUITE,
        lambda: [relay.candidate for relay in relays],
        lambda: own,
        lambda: NOW_S,
        lambda: told.append(keeper.relays),
    )
    async with running(silent=(swarm,)) as nursery:
        for relay in relays:
            await relay.start(nursery)
        scope = trio.CancelScope()

        async def keep() -> None:
            with scope:
                await keeper.keep(wanted)

        nursery.start_soon(keep)
        keeper.swarm, keeper.told, keeper.scope = swarm, told, scope  # type: ignore[attr-defined]
        yield keeper, nursery
        nursery.cancel_scope.cancel()


async def until_at(keeper, *relays):
    await until(lambda: set(keeper.relays) == {relay.peer for relay in relays})


async def test_as_many_places_as_wanted_are_kept_and_others_are_told():
    relays = [Relay() for _ in range(4)]
    async with keeping(relays, 2) as (keeper, _):
        await until(lambda: len(keeper.relays) == 2)
        assert len(keeper.addresses) == 2
        assert [len(relays) for relays in keeper.told] == [1, 2]
        holding = [relay for relay in relays if relay.service.reserved]
        assert {relay.peer for relay in holding} == set(keeper.relays)
        keeper.scope.cancel()
        await until(lambda: keeper.told[-1] == ())
        assert keeper.addresses == ()
        assert not keeper.swarm._table._protected


async def test_two_relays_of_one_operator_are_one_place():
    relays = [Relay(operator="same"), Relay(operator="same")]
    async with keeping(relays, 2) as (keeper, nursery):
        await until(lambda: len(keeper.relays) == 1)
        third = Relay()
        await third.start(nursery)
        relays.append(third)
        # With one of another operator there are two, so that what was missing was not time.
        await until(lambda: len(keeper.relays) == 2, 10)
        assert third.peer in keeper.relays
        assert sum(len(relay.service.reserved) for relay in relays[:2]) == 1


async def test_a_relay_that_dies_is_replaced():
    relays = [Relay(), Relay()]
    async with keeping(relays, 1) as (keeper, _):
        await until(lambda: keeper.relays)
        (first,) = (relay for relay in relays if relay.peer in keeper.relays)
        (second,) = (relay for relay in relays if relay is not first)
        before = keeper.addresses
        first.stop()
        await until_at(keeper, second)
        assert keeper.addresses != before
        assert keeper.told[-1] == (second.peer,)
        assert not second.service.circuits
        source = new_swarm()
        async with running(source):
            assert await say(source, keeper.swarm, keeper.addresses) == b"hello"


async def test_after_an_outage_of_a_day_the_relay_has_been_asked_all_the_time(autojump_clock):
    """Without sockets, so that nothing else passes the time than the pauses themselves."""
    relay, swarm, asked = Relay(), new_swarm(), []
    own = PathPeer(str(swarm.peer_id), b"own", frozenset({"own"}))
    told = []
    keeper = ReservationKeeper(
        swarm, SUITE, lambda: [relay.candidate], lambda: own, lambda: NOW_S, lambda: told.append(keeper.relays)
    )
    up = [True]
    known = [relay.candidate]
    keeper._candidates = lambda: known

    async def ask(_candidate):
        asked.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if not up[0]:
            raise ConnectionFailed("nobody is there")
        return Reservation(int(NOW_S) + 3600)

    keeper._ask = ask
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, 1)
        await trio.sleep(1)
        assert keeper.relays == (relay.peer,)
        up[0] = False
        known.clear()  # the outage took along everybody else who knew of it
        await trio.sleep(24 * 3600)
        assert keeper.relays == told[-1] == ()
        pauses = [later - earlier for earlier, later in pairwise(asked[-500:])]
        assert max(pauses) <= LONGEST_PAUSE_S + 5
        assert min(pauses) >= LONGEST_PAUSE_S / 2
        up[0] = True
        await trio.sleep(LONGEST_PAUSE_S + 5)
        assert keeper.relays == told[-1] == (relay.peer,)
        nursery.cancel_scope.cancel()


async def test_places_that_last_a_moment_are_asked_for_each_second_and_end_nothing(autojump_clock):
    """The relay's clock may be wrong, or it may mean harm: either way the peer goes on."""
    autojump_clock.autojump_threshold = 0.2
    relay = Relay(reservation_lifetime_s=1)
    async with keeping([relay], 1) as (keeper, _):
        await until_at(keeper, relay)
        before = keeper.counters["granted"]
        await trio.sleep(30)
        assert 20 <= keeper.counters["granted"] - before <= 31
        assert keeper.counters["lost"] == 0


async def test_a_place_whose_time_is_over_is_none():
    late, free = Relay(), Relay()
    async with keeping([late, free], 2) as (keeper, _):

        async def grant_the_past(stream):
            await Frames(stream).receive()
            await Frames(stream).send(encode_hop(StatusMessage(Status.OK, Reservation(int(NOW_S)))))

        late.swarm.handle(HOP_PROTOCOL, grant_the_past)
        await until(lambda: keeper.counters["failed:expired_place"])
        await until_at(keeper, free)


async def test_among_very_many_relays_that_fail_at_once_nobody_is_asked_without_a_pause(autojump_clock):
    """More than are remembered: each would seem to be a new one when its turn comes again."""
    swarm = new_swarm()
    own = PathPeer(str(swarm.peer_id), b"own", frozenset({"own"}))
    candidates = []
    for number in range(300):
        relay = PathPeer(str(number), b"%d" % number, frozenset({str(number)}))
        candidates.append(RelayCandidate(relay, new_keypair().peer_id, ()))
    keeper = ReservationKeeper(swarm, SUITE, lambda: candidates, lambda: own, lambda: NOW_S, lambda: None)

    async def ask(_candidate):
        await trio.lowlevel.checkpoint()
        assert keeper.counters["failed:ConnectionFailed"] < 1000, "nobody ever waits"
        raise ConnectionFailed("this machine is offline")

    keeper._ask = ask
    with trio.move_on_after(60):
        await keeper.keep(1)
    assert 60 <= keeper.counters["failed:ConnectionFailed"] <= 16 * 13


async def test_the_only_relay_is_asked_again_when_it_is_back():
    relay = Relay()
    async with keeping([relay], 1) as (keeper, nursery):
        await until_at(keeper, relay)
        relay.stop()
        await until_at(keeper)
        await relay.start(nursery)
        await until_at(keeper, relay)
        assert relay.service.reserved == (keeper.swarm.peer_id,)


async def test_a_relay_that_restarts_at_once_keeps_its_place():
    relay = Relay()
    async with keeping([relay], 1) as (keeper, nursery):
        await until_at(keeper, relay)
        relay.stop()
        await relay.start(nursery)
        await until(lambda: relay.service.reserved)
        await until_at(keeper, relay)


async def test_a_place_is_prolonged_for_as_long_as_it_is_wanted(autojump_clock):
    autojump_clock.autojump_threshold = 0.2
    relay = Relay()
    async with keeping([relay], 1, limits=Limits(idle_timeout_s=60)) as (keeper, _):
        await until_at(keeper, relay)
        connection = keeper.swarm.connections[relay.peer]
        await trio.sleep(400)
        # The connection that it hangs on was never idle for long enough, on either side.
        assert keeper.swarm.connections[relay.peer] is connection
        assert keeper.counters["granted"] >= 4
        assert keeper.counters["lost"] == 0
        assert relay.service.reserved == (keeper.swarm.peer_id,)


async def test_a_relay_that_has_no_place_is_passed_over():
    full, free = Relay(reservations=0), Relay()
    async with keeping([full, free], 1) as (keeper, _):
        await until_at(keeper, free)


async def test_a_relay_that_is_no_circuit_relay_or_lies_is_passed_over():
    plain, liar, free = Relay(), Relay(), Relay()
    async with keeping([plain, liar, free], 3) as (keeper, _):
        del plain.swarm._streams.handlers[HOP_PROTOCOL]

        async def lie(stream):
            await Frames(stream).receive()
            await Frames(stream).send(encode_hop(StatusMessage(Status.OK, Reservation(2**31, (), b"\x0a\x00"))))

        liar.swarm.handle(HOP_PROTOCOL, lie)
        await until(lambda: keeper.counters["failed:bad_voucher"] and keeper.counters["failed:ConnectionFailed"])
        await until_at(keeper, free)


async def test_addresses_that_no_record_bears_are_not_told():
    swarm = new_swarm()
    keeper = ReservationKeeper(swarm, SUITE, list, lambda: PathPeer("", b"", frozenset()), lambda: NOW_S, lambda: None)
    relay = Relay()
    long = parse_address(f"/dns4/{'a' * 60}.{'b' * 60}.example/tcp/443/tls/ws")
    short = parse_address("/ip4/127.0.0.1/tcp/4101")
    keeper._places[relay.peer] = type(
        "Place", (), {"candidate": RelayCandidate(relay.path_peer, relay.peer, (long, short))}
    )()
    assert [address.via for address in keeper.addresses] == [short]
