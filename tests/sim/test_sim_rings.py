"""Simulated rings: their real cells and round trips, and what becomes of them when somebody leaves."""

import random
from collections.abc import Callable

import pytest

from peernet.core.ring.ring import BACK, OUT
from simulations.clients import DirectoryView
from simulations.discovery import CONNECT_ROUND_TRIPS, STREAM_ROUND_TRIPS, Discovery, SimulatedNode, Station
from simulations.engine import Engine
from simulations.rings import ListedNode, RingOutcome, Rings
from simulations.scenario import Clients
from tests.ring_in_memory import CLOSE, MemoryRing, quiesce

ONE_WAY_S = 0.1
SETTINGS = Clients(answer_messages=3, answer_message_size=100, request_size=500, handshake_ms=0.0)


class Network:
    """A client, four relays and a host, every way equally long."""

    def __init__(self, settings: Clients = SETTINGS, seen_below: float = 0.0) -> None:
        self.settings = settings
        self.engine = Engine(1, lambda _, __: ONE_WAY_S)
        self.discovery = Discovery(self.engine, expected_nodes=10)
        self.relays = [self.discovery.add(place, roles=("relay",)) for place in range(4)]
        self.host = self.discovery.add(4, roles=("host",), model="m")
        self.client = Station(5)
        self.rings = Rings(self.discovery, settings, random.Random(1), seen_below=seen_below)
        for node in (*self.relays, self.host):
            node.joined = True
        self.listed = DirectoryView.of(self.discovery).nodes

    def hop(self, node: SimulatedNode) -> ListedNode:
        return self.listed[node.path_peer.peer]

    def open(self, then: Callable[[], None] = lambda: None) -> RingOutcome:
        """A ring over relays 0 and 1 out, 2 and 3 back; `then` happens meanwhile."""
        outcomes: list[RingOutcome] = []
        out = [self.hop(node) for node in (self.relays[0], self.relays[1], self.host)]
        back = [self.hop(node) for node in (self.relays[2], self.relays[3], self.host)]
        self.rings.open(self.client, out, back, outcomes.append)
        then()
        self.engine.run()
        (outcome,) = outcomes
        return outcome


def test_a_ring_takes_as_many_cells_as_the_protocol_does_in_memory():
    memory = MemoryRing()
    quiesce(memory)
    cells = sum(cell != CLOSE for arc in memory.arcs.values() for leg in arc.legs for cell in leg.seen)
    joins = 2 * 3
    outcome = Network().open()
    # The client may speak as soon as both arcs have answered; its joins are then on their way.
    assert memory.is_joined
    assert outcome.cells_to_build == cells - joins == 30
    # The request in one cell, three answers in a cell each, an END on each arc: over three legs.
    assert outcome.cells == cells + 3 * (1 + 3) + 3 * 2


def test_building_takes_its_round_trips():
    fresh = CONNECT_ROUND_TRIPS + STREAM_ROUND_TRIPS
    # Three handshakes over one, two and three legs; the second and third extension travels before it dials.
    legs = 3 * fresh + (1 + 2 + 3)
    network = Network()
    assert network.open().build_s == pytest.approx(2 * ONE_WAY_S * legs)
    # The connections stand, so the next ring only opens streams.
    again = network.open()
    assert again.build_s == pytest.approx(2 * ONE_WAY_S * (legs - 3 * CONNECT_ROUND_TRIPS))
    assert again.answered_s > again.first_answer_s > again.build_s


def test_a_hops_handshake_costs_time():
    slow = Clients(answer_messages=3, handshake_ms=50.0)
    assert Network(slow).open().build_s == pytest.approx(Network().open().build_s + 3 * 0.05)


def test_a_long_request_and_a_long_answer_pass_the_windows():
    settings = Clients(request_size=120_000, answer_messages=200, answer_message_size=2000, answer_interval_s=0.01)
    outcome = Network(settings).open()
    assert outcome.reason == ""
    assert outcome.answered_s > 0
    assert outcome.cells > 3 * (120 + 400)


@pytest.mark.parametrize(("gone", "arc", "hop"), [(0, OUT, 0), (1, OUT, 1), (2, BACK, 0), (3, BACK, 1)])
def test_a_relay_that_has_left_is_found_out_and_named(gone: int, arc: int, hop: int):
    network = Network()
    network.discovery.leave(network.relays[gone])
    outcome = network.open()
    assert (outcome.reason, outcome.arc, outcome.hop) == ("unreachable", arc, hop)
    assert outcome.build_s < 0
    assert network.settings.extend_timeout_s < network.engine.now_s


def test_a_host_that_has_left_is_the_last_hop():
    network = Network()
    network.discovery.leave(network.host)
    outcome = network.open()
    assert (outcome.reason, outcome.hop) == ("unreachable", 2)


def test_a_guard_that_left_behind_a_standing_connection_is_only_silence():
    network = Network()
    assert network.open().reason == ""
    began_s = network.engine.now_s
    network.discovery.leave(network.relays[0])
    outcome = network.open()
    assert (outcome.reason, outcome.hop) == ("timeout", None)
    assert network.engine.now_s - began_s >= network.settings.ring_timeout_s


def test_a_record_that_has_expired_extends_nothing():
    network = Network()
    network.engine.run(3 * 3600.0)
    outcome = network.open()
    assert outcome.reason == "expired"


def test_who_leaves_while_it_answers_is_silent():
    network = Network()
    outcome = network.open(lambda: network.engine.after(3.2, network.discovery.leave, network.host))
    assert outcome.build_s > 0
    assert outcome.answered_s < 0
    assert outcome.reason == "silent"


def test_colluders_see_neighbouring_legs_and_nobody_else_does():
    network = Network(seen_below=1.0)
    sightings = {sighting.place: sighting for sighting in network.open().sightings}
    assert set(sightings) == {0, 1, 2, 3, 4}
    assert sightings[0].neighbours == (5, 1)
    assert sightings[1].neighbours == (0, 4)
    assert sightings[0].legs[1] == sightings[1].legs[0]
    assert sightings[4].neighbours == (1, 3)
    assert sightings[4].legs == (sightings[1].legs[1], sightings[3].legs[1])
    assert Network().open().sightings == []
