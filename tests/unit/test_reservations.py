"""Which relays an unreachable peer asks, and when again: different operators and networks, and never giving up."""

import random

from peernet.core.reservations import FIRST_PAUSE_S, LONGEST_PAUSE_S, RelayChooser
from peernet.core.ring.paths import PathPeer

SEEDED = random.Random(7)


def relay(name, operator=None, prefix=None):
    return PathPeer(name, (operator or name).encode(), frozenset({prefix or f"ip4/{name}"}))


def chooser(part=1.0):
    return RelayChooser(lambda low, high: low + part * (high - low))


def test_relays_of_one_operator_or_network_are_not_chosen_together():
    relays = [relay("a"), relay("b", operator="a"), relay("c", prefix="ip4/a"), relay("d")]
    for _ in range(50):
        assert chooser().choose(relays, [relay("a")], 0.0, SEEDED).peer == "d"
    assert chooser().choose(relays[:3], [relay("a")], 0.0, SEEDED) is None


def test_the_choice_is_random():
    relays = [relay(name) for name in "abcdefgh"]
    assert {chooser().choose(relays, [], 0.0, SEEDED).peer for _ in range(200)} == set("abcdefgh")


def test_a_relay_that_failed_is_left_alone_for_longer_each_time_within_bounds():
    chosen = chooser()
    pauses = [chosen.failed("a", 100.0) for _ in range(12)]
    assert pauses[:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert chosen.choose([relay("a")], [], 100.0 + LONGEST_PAUSE_S - 0.1, SEEDED) is None
    assert chosen.choose([relay("a")], [], 100.0 + LONGEST_PAUSE_S, SEEDED).peer == "a"
    chosen.granted("a")
    assert chosen.choose([relay("a")], [], 100.0, SEEDED).peer == "a"
    assert chosen.failed("a", 100.0) == FIRST_PAUSE_S


def test_peers_that_lost_the_same_relay_do_not_come_together():
    assert chooser(0.0).failed("a", 0.0) == FIRST_PAUSE_S / 2


def test_the_wait_is_until_the_first_relay_may_be_asked():
    chosen = chooser()
    relays = [relay("a"), relay("b")]
    for _ in range(3):
        chosen.failed("a", 0.0)
    chosen.failed("b", 0.0)
    assert chosen.wait_s(relays, [], 0.0) == FIRST_PAUSE_S
    assert chosen.wait_s(relays, [relay("b")], 0.0) == 4 * FIRST_PAUSE_S
    assert chosen.wait_s(relays, [], 50.0) == 0.0
    assert chosen.wait_s([], [], 50.0) == LONGEST_PAUSE_S


def test_what_is_remembered_of_failures_is_bounded():
    chosen = chooser()
    for number in range(1000):
        chosen.failed(f"relay {number}", 0.0)
    assert chosen.choose([relay("relay 999")], [], 0.0, SEEDED) is None
    assert chosen.choose([relay("relay 0")], [], 0.0, SEEDED) is not None
    assert len(chosen._failures) == 256
