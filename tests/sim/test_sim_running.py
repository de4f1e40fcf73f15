"""A whole scenario: the network holds under churn, and one seed is one run."""

import random

import pytest
from attrs import evolve

from peernet.core.ring.paths import RingPath
from simulations.adversaries import exposure_of, linked
from simulations.clients import DirectoryView, RequestOutcome, SimulatedClient
from simulations.discovery import Discovery
from simulations.engine import Engine
from simulations.metrics import quantile
from simulations.rings import Rings
from simulations.running import Results, run_scenario
from simulations.scenario import Churn, Clients
from tests.sim.small_scenario import SMALL


@pytest.fixture(scope="module")
def results() -> Results:
    return run_scenario(SMALL, 3)


def test_nodes_come_and_go_and_their_number_stays(results: Results):
    assert [row.time_s for row in results.rows] == [200.0, 400.0, 600.0]
    assert results.whole.left == sum(row.left for row in results.rows) > 3
    assert 60 - 3 <= results.whole.nodes <= 60
    assert abs(results.whole.left - results.whole.joined) <= 3


def test_lookups_find_what_they_are_for_under_churn(results: Results):
    assert results.whole.lookups > 30
    assert results.whole.lookup_success > 0.9
    assert results.whole.lookup_recall > 0.95
    assert 1 <= results.whole.lookup_hops < 3
    assert results.whole.lookup_failures > 0
    assert results.whole.table_dead_share < 0.2


def test_requests_are_answered_over_rings_that_fail_now_and_then(results: Results):
    whole = results.whole
    assert whole.requests > 20
    assert whole.requests_answered > 0.9
    assert 0.6 < whole.rings_built < 1
    assert whole.ring_cells_to_build == 30
    assert sum(count for _, count in results.ring_failures) >= whole.rings * (1 - whole.rings_answered)
    assert dict(results.ring_failures)["unreachable"] > 0
    assert 0 < whole.ring_build_p50_s < whole.ring_build_p90_s < whole.first_answer_p90_s


def test_without_churn_nothing_fails():
    calm = evolve(SMALL, churn=Churn(departures_per_hour=0.0))
    results = run_scenario(calm, 3)
    assert (results.whole.left, results.ring_failures) == (0, ())
    assert results.whole.lookup_success == results.whole.requests_answered == results.whole.rings_built == 1.0
    assert results.whole.lookup_failures == results.whole.table_dead_share == 0.0


def test_the_same_seed_gives_the_same_results_and_another_does_not(results: Results):
    short = SMALL.with_duration(200.0)
    first, again, other = (run_scenario(short, seed) for seed in (3, 3, 4))
    assert first == again
    assert len({first.digest, other.digest, results.digest}) == 3


def test_a_network_without_clients_has_no_rings():
    results = run_scenario(evolve(SMALL.with_duration(100.0), clients=Clients(count=0)), 1)
    assert (results.whole.rings, results.whole.rings_built, results.ring_build_s) == (0, None, ())


class RememberingRings(Rings):
    """Keeps which path led to which host."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.paths: dict[int, RingPath] = {}

    def open(self, client, out, back, done) -> None:
        arcs = [tuple(hop.node.path_peer for hop in arc) for arc in (out, back)]
        self.paths[out[-1].node.place] = RingPath(arcs[0][:-1], arcs[1][:-1], arcs[0][-1])
        super().open(client, out, back, done)


def test_what_colluders_saw_says_what_the_path_says():
    """The sightings of an event run, pooled, against the ranks of the peers that the policy had put on the ring."""
    engine = Engine(2, lambda _, __: 0.02)
    discovery = Discovery(engine, expected_nodes=60)
    for place in range(60):
        host = place < 30
        discovery.add(place, roles=("host",) if host else ("relay",), model="m" if host else None).joined = True
    settings = Clients(answer_messages=1)
    rings = RememberingRings(discovery, settings, engine.stream("rings"), seen_below=0.5)
    directory = DirectoryView.of(discovery)
    ranks = {node.path_peer.peer: node.rank for node in discovery.nodes}
    exposures = []
    for number in range(60):
        client = SimulatedClient(100 + number, rings, settings, random.Random(number))
        outcomes: list[RequestOutcome] = []
        client.ask(directory, outcomes.append)
        engine.run()
        for host, ring in outcomes[0].rings:
            for share in (0.2, 0.5):
                truth = exposure_of(rings.paths[host.place], lambda peer, share=share: ranks[peer.peer] < share)
                assert linked(ring.sightings, client.place, host.place, share) == truth
                exposures.append(truth)
    assert len(exposures) == 2 * 3 * 60
    assert sum(exposure.by_path for exposure in exposures) > 20
    assert sum(exposure.by_timing and not exposure.by_path for exposure in exposures) > 10


def test_quantiles_are_by_nearest_rank():
    values = [4.0, 1.0, 3.0, 2.0]
    assert [quantile(values, share) for share in (0.0, 0.25, 0.5, 0.51, 0.9, 1.0)] == [1, 1, 2, 3, 4, 4]
    assert quantile([], 0.5) is None
