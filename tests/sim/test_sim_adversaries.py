"""Colluders: what they link is what chance gives, and what the diversity rules leave."""

import random

import pytest
from attrs import evolve

from peernet.core.ring.paths import PathPeer, RingPath
from simulations.adversaries import (
    exposure_of,
    follow,
    fragments_together,
    linked,
    linked_by_chance,
    linked_by_path_by_chance,
    met_by_chance,
)
from simulations.rings import Sighting
from simulations.scenario import Adversaries, Clients, Nodes, Scenario

WEEKS = Scenario(
    name="weeks",
    nodes=Nodes(count=400, host_share=0.5),
    adversaries=Adversaries(shares=(0.2,), clients=250, days=4, requests_per_day=2),
)


def peer(name: str) -> PathPeer:
    return PathPeer(name, name.encode(), frozenset({name}))


GUARD, OTHER, F, R, HOST = map(peer, ("guard", "other", "f", "r", "host"))
RING = RingPath((GUARD, F), (OTHER, R), HOST)
FAST = RingPath((GUARD,), (OTHER,), HOST)


@pytest.mark.parametrize(
    ("path", "hostile", "by_path", "by_timing"),
    [
        (RING, {GUARD}, False, False),
        (RING, {GUARD, F}, True, False),
        (RING, {OTHER, R}, True, False),
        (RING, {GUARD, R}, False, False),
        (RING, {F, R, HOST}, False, False),
        (RING, {OTHER, HOST}, False, True),
        (RING, {GUARD, F, HOST}, True, True),
        (FAST, {GUARD}, True, False),
        (FAST, {HOST}, False, False),
        (FAST, {OTHER, HOST}, True, True),
    ],
)
def test_what_links_a_ring(path: RingPath, hostile: set[PathPeer], by_path: bool, by_timing: bool):
    exposure = exposure_of(path, hostile.__contains__)
    assert (exposure.by_path, exposure.by_timing) == (by_path, by_timing)


# Places: client 0, guard 1, F 2, host 3, R 4, second guard 5; legs in the order of their numbers.
SEEN = [
    Sighting(0.1, 1, (1, 2), (0, 2)),
    Sighting(0.2, 2, (2, 3), (1, 3)),
    Sighting(0.3, 5, (4, 5), (0, 4)),
    Sighting(0.15, 4, (5, 6), (5, 3)),
    Sighting(0.25, 3, (3, 6), (2, 4)),
]


@pytest.mark.parametrize(
    ("share", "by_path", "by_timing"),
    [(0.05, False, False), (0.16, False, False), (0.21, True, False), (0.26, True, True)],
)
def test_what_was_seen_is_put_together_stream_by_stream(share: float, by_path: bool, by_timing: bool):
    exposure = linked(SEEN, 0, 3, share)
    assert (exposure.by_path, exposure.by_timing) == (by_path, by_timing)


def test_without_middles_a_guard_knows_the_host_also_where_that_is_hostile():
    fast = [Sighting(0.1, 1, (1, 2), (0, 3)), Sighting(0.25, 3, (2, 4), (1, 5))]
    for share in (0.2, 0.3):
        assert linked(fast, 0, 3, share).by_path


def test_streams_that_do_not_meet_say_nothing():
    apart = [SEEN[0], evolve(SEEN[1], legs=(9, 3))]
    assert not linked(apart, 0, 3, 1.0).linked
    assert not linked(SEEN, 7, 3, 1.0).linked


def by_brute_force(f: float, profile: str) -> tuple[float, float]:
    """Over many rings of independent draws; by path, and in either way."""
    draw = random.Random(1)
    paths = timings = 0
    rounds = 40_000
    for _ in range(rounds):
        guards = [draw.random() < f, draw.random() < f]
        out, back = draw.choice(guards), draw.choice(guards)
        middle_out, middle_back, host = (draw.random() < f for _ in range(3))
        by_path = (out and middle_out) or (back and middle_back) if profile == "private" else out or back
        paths += by_path
        timings += by_path or ((out or back) and host)
    return paths / rounds, timings / rounds


@pytest.mark.parametrize("profile", ["private", "fast"])
def test_chance_is_what_many_draws_give(profile: str):
    for f in (0.1, 0.3):
        by_path, either = by_brute_force(f, profile)
        assert linked_by_path_by_chance(f, profile) == pytest.approx(by_path, abs=0.006)
        assert linked_by_chance(f, profile) == pytest.approx(either, abs=0.006)


def test_the_designs_figure_is_its_leading_term():
    assert linked_by_path_by_chance(0.01) == pytest.approx(2 * 0.01**2, rel=0.01)
    assert fragments_together(0.01, 3) == pytest.approx(3 * 0.01**2, rel=0.02)
    assert fragments_together(0.3, 1) == pytest.approx(0.0)
    assert met_by_chance(0.1) == pytest.approx(0.19)


def test_clients_over_days_are_linked_as_chance_has_it():
    weeks = follow(WEEKS, 0.2, random.Random(5))
    assert weeks.refused == 0
    assert abs(weeks.by_path.value - linked_by_path_by_chance(0.2)) < 4 * weeks.path_error < 0.06
    assert abs(weeks.linked.value - linked_by_chance(0.2)) < 4 * weeks.linked_error < 0.08
    assert weeks.together.value == pytest.approx(fragments_together(0.2, 3), abs=0.03)
    first, last = weeks.days[0], weeks.days[-1]
    assert first.met_now == pytest.approx(met_by_chance(0.2), abs=0.1)
    assert first.met_ever <= last.met_ever < 0.7 < last.met_ever_without_guards
    assert 2 <= last.guards_ever < 3


def test_guards_that_leave_are_replaced_and_meet_more_clients():
    calm = evolve(WEEKS, adversaries=evolve(WEEKS.adversaries, relay_departures_per_day=0.0, away_share=0.0))
    stormy = evolve(WEEKS, adversaries=evolve(WEEKS.adversaries, relay_departures_per_day=0.3))
    quiet, loud = (follow(scenario, 0.2, random.Random(5)) for scenario in (calm, stormy))
    assert quiet.days[-1].guards_ever == 2
    assert quiet.days[-1].met_ever == quiet.days[0].met_ever
    assert loud.days[-1].guards_ever > 3
    assert loud.days[-1].met_ever > quiet.days[-1].met_ever


def test_colluders_that_admit_to_one_operator_never_stand_on_one_ring_together():
    honest = evolve(WEEKS, adversaries=evolve(WEEKS.adversaries, one_operator=True))
    weeks = follow(honest, 0.2, random.Random(5))
    assert weeks.linked.count > 1000
    assert weeks.linked.hits == 0
    fast = evolve(honest, clients=Clients(profile="fast"))
    assert follow(fast, 0.2, random.Random(5)).by_path.hits > 0
