"""Discovery at 150 nodes: found, exact, in few hops, the same for the same seed, and with a third of them dead."""

import functools
import math

import pytest

from peernet.core.dht.records import PROVIDER, provider_key
from peernet.core.dht.table import REFRESH_INTERVAL_S
from peernet.core.errors import LocalProtocolError
from simulations.discovery import Discovery, run_discovery
from simulations.engine import Engine

NODES = 150


@pytest.fixture(scope="module")
def report():
    return run_discovery(NODES, seed=1)


def test_every_node_finds_a_provider_that_another_published(report):
    assert report.found_share == 1.0


def test_lookups_find_the_true_k_closest(report):
    assert report.searches == NODES
    assert report.exact_share >= 0.95


def test_hops_grow_with_the_logarithm(report):
    assert report.mean_hops <= math.log2(NODES) / 2
    assert report.most_hops <= math.log2(NODES)
    small = run_discovery(40, seed=1)
    assert small.mean_hops <= report.mean_hops <= small.mean_hops + math.log2(NODES / 40)


def test_the_same_seed_gives_the_same_run_and_another_does_not():
    first, again, other = (run_discovery(40, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.digest != other.digest


def test_four_disjoint_paths_find_as_much():
    report = run_discovery(60, seed=2, paths=4)
    assert report.found_share == 1.0
    assert report.exact_share >= 0.95


@pytest.fixture(scope="module")
def third_dead():
    """Ninety nodes, three of which published before thirty others died."""
    discovery = Discovery.of_size(90, seed=3)
    discovery.join_all()
    for node in discovery.nodes[:3]:
        discovery.provide(node, "model")
    discovery.engine.run()
    for node in discovery.nodes[3::3]:
        node.alive = False
    return discovery


def living_nodes(discovery):
    return [node for node in discovery.nodes if node.alive]


def test_with_a_third_dead_everybody_finds_every_provider_and_the_living_closest(third_dead):
    key = provider_key("model")
    results = {}
    for node in living_nodes(third_dead):
        third_dead.search(node, key, functools.partial(results.__setitem__, node.place), kind=PROVIDER)
    third_dead.engine.run()
    for node in living_nodes(third_dead):
        assert len(results[node.place].values) == 3
        assert results[node.place].closest[:10] == tuple(third_dead.true_closest(key, 10, node))


def test_the_dead_leave_the_tables_within_a_refresh_interval_and_the_living_stay(third_dead):
    engine = third_dead.engine
    begin_s = engine.now_s
    before = {node.place: set(node.dht.table.contacts()) for node in living_nodes(third_dead)}
    for minute in range(int(REFRESH_INTERVAL_S / 60) + 5):
        for node in living_nodes(third_dead):
            engine.at(begin_s + 60.0 * minute, third_dead.maintain, node)
    engine.run()
    alive = {node.contact for node in living_nodes(third_dead)}
    for node in living_nodes(third_dead):
        after = set(node.dht.table.contacts())
        assert after <= alive
        assert before[node.place] & alive <= after


def make_engine(**options) -> Engine:
    return Engine(1, lambda source, destination: abs(source - destination), **options)


def test_events_run_in_order_of_time_and_then_of_scheduling():
    engine = make_engine()
    order = []
    engine.at(2.0, order.append, "late")
    engine.at(1.0, order.append, "first")
    engine.at(1.0, order.append, "second")
    engine.send(0, 3, order.append, "sent")
    assert engine.run(2.5) == 3
    assert (order, engine.now_s, len(engine)) == (["first", "second", "late"], 2.5, 1)
    engine.run()
    assert (order[-1], engine.now_s) == ("sent", 3.0)


def test_nothing_is_scheduled_in_the_past():
    engine = make_engine()
    engine.run(5.0)
    with pytest.raises(LocalProtocolError):
        engine.at(4.0, print)


def test_a_run_that_feeds_itself_ends_with_an_error():
    engine = make_engine(max_events=100)

    def again():
        engine.after(1.0, again)

    again()
    with pytest.raises(LocalProtocolError):
        engine.run()


def test_randomness_is_by_name_and_seed():
    engine = make_engine()
    assert engine.stream("a").random() == make_engine().stream("a").random()
    assert engine.stream("a").random() != engine.stream("b").random()
