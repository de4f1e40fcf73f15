"""Which ways that are ready a request is given: all diversity rules hold with them, over the whole request."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.ring.paths import PathPeer, RingPath, TooFewRelays, choose_paths
from peernet.core.ring.warm import SHUNNED_S, GuardRecord, Way, fit_ways


def peer(name: str, operator: str = "", prefix: str = "") -> PathPeer:
    return PathPeer(name, (operator or name).encode(), frozenset({prefix or name}))


G1, G2 = peer("G1"), peer("G2")
HOSTS = [peer(f"H{number}") for number in range(4)]


def drawn(count: int) -> list[RingPath]:
    """A request of so many fragments, drawn anew over relays of its own."""
    return [RingPath((G1, peer(f"F{n}")), (G2, peer(f"R{n}")), HOSTS[n]) for n in range(count)]


def arcs(paths: Sequence[RingPath]) -> list[Way]:
    return [arc for path in paths for arc in (path.out, path.back)]


def test_ways_take_the_places_of_what_was_drawn_and_the_rest_stays():
    ways = [(G1, peer("A")), (G2, peer("B")), (G2, peer("C"))]
    fitted = fit_ways(drawn(2), ways)
    assert fitted.taken == ways
    assert arcs(fitted.paths) == [*ways, (G2, peer("R1"))]
    assert [path.endpoint for path in fitted.paths] == HOSTS[:2]
    assert fitted.conflicting == []


def test_no_more_ways_are_taken_than_there_are_arcs():
    ways = [(G1, peer(name)) for name in "ABCDE"]
    fitted = fit_ways(drawn(1), ways)
    assert fitted.taken == ways[:2]


def test_a_way_of_the_operator_or_the_network_of_a_host_is_thrown_away():
    ways = [(G1, peer("A", operator="H0")), (G1, peer("B", prefix="H1")), (G1, peer("H0")), (G1, peer("C"))]
    fitted = fit_ways(drawn(2), ways)
    assert fitted.conflicting == ways[:3]
    assert fitted.taken == [(G1, peer("C"))]


def test_a_way_over_a_relay_that_was_drawn_takes_the_place_of_that_one_alone():
    same, akin = (G2, peer("R1")), (G1, peer("A", operator="F1"))
    fitted = fit_ways(drawn(2), [same, akin])
    assert arcs(fitted.paths) == [(G1, peer("F0")), (G2, peer("R0")), akin, same]


def test_a_way_that_conflicts_with_two_arcs_is_left_for_another_request():
    fitted = fit_ways(drawn(2), [(G1, peer("A", operator="F0", prefix="R1"))])
    assert (fitted.taken, fitted.conflicting) == ([], [])
    assert fitted.paths == drawn(2)


def test_two_ways_that_conflict_are_not_in_one_request():
    ways = [(G1, peer("A", operator="O")), (G2, peer("B", operator="O"))]
    assert fit_ways(drawn(2), ways).taken == ways[:1]


def test_a_way_whose_middle_is_the_guard_of_another_ring_is_not_taken():
    assert fit_ways(drawn(1), [(G1, peer("A", operator="G2"))]).taken == []
    assert fit_ways(drawn(1), [(G1, peer("A", operator="G1"))]).taken == []


def test_a_way_whose_guard_is_akin_to_a_middle_takes_the_place_of_that_one_alone():
    way = (peer("G3", operator="R0"), peer("A"))
    assert arcs(fit_ways(drawn(1), [way]).paths) == [(G1, peer("F0")), way]
    assert fit_ways(drawn(1), [(G1, peer("R0")), way]).taken == [(G1, peer("R0"))]


def test_peers_that_failed_or_carry_other_fragments_are_not_taken():
    ways = [(G1, peer("A")), (G2, peer("B"))]
    assert fit_ways(drawn(1), ways, avoid={"A", "G2"}).taken == []


def test_a_profile_without_middles_takes_none():
    path = RingPath((G1,), (G2,), HOSTS[0])
    assert fit_ways([path], [(G1, peer("A"))]).paths == [path]


names = st.integers(0, 5).map(str)
peers = st.builds(
    peer,
    st.integers(0, 30).map(lambda n: f"P{n}"),
    st.sampled_from(["O1", "O2", "O3", "O4", "G1", "G2"]),
    names.map("N".__add__),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(peers, unique_by=lambda p: p.peer, max_size=25),
    st.lists(st.tuples(st.sampled_from([G1, G2]), peers), max_size=8),
    st.integers(1, 3),
    st.sets(st.integers(0, 30).map(lambda n: f"P{n}"), max_size=5),
    st.randoms(use_true_random=False),
)
def test_whatever_is_ready_every_rule_holds_over_the_whole_request(
    relays: list[PathPeer], ways: list[Way], fragments: int, avoid: set[str], chance: random.Random
) -> None:
    hosts = [peer(f"H{n}", operator=f"O{n + 2}") for n in range(fragments)]
    try:
        paths = choose_paths([r for r in relays if r.peer not in avoid], [G1, G2], hosts, "private", chance)
    except TooFewRelays:
        paths = drawn(fragments)
    fitted = fit_ways(paths, ways, avoid)
    middles = [relay for arc in arcs(fitted.paths) for relay in arc[1:]]
    guards = [arc[0] for arc in arcs(fitted.paths)]
    assert len(middles) == 2 * fragments
    for number, middle in enumerate(middles):
        assert not middle.conflicts_with([*middles[:number], *guards])
        assert middle.peer not in avoid
    for way in fitted.taken:
        assert way in arcs(fitted.paths)
        assert not any(relay.conflicts_with([path.endpoint for path in paths]) for relay in way)
    assert [path.endpoint for path in fitted.paths] == [path.endpoint for path in paths]
    assert all(way in ways for way in (*fitted.taken, *fitted.conflicting))


def test_a_guard_that_loses_many_arcs_is_left_out_for_a_while_and_not_for_good():
    record = GuardRecord(built=20)
    for number in range(10):
        record.note_death(float(number))
        assert not record.shunned(float(number))
    record.note_death(10.0)
    assert record.shunned(10.0)
    assert record.shunned(9.0 + SHUNNED_S)
    assert not record.shunned(10.0 + SHUNNED_S)
    # What was is forgotten.
    record.note_death(20.0 + SHUNNED_S)
    assert not record.shunned(20.0 + SHUNNED_S)


def test_a_few_losses_are_nobodys_fault():
    record = GuardRecord()
    for _ in range(6):
        record.note_death(0.0)
    assert not record.shunned(0.0)
