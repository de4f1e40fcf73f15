"""Paths: who may stand where, over a whole request."""

import random
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import UserError
from peernet.core.prefixes import ip_prefix
from peernet.core.ring.paths import GUARDS, PathPeer, TooFewRelays, choose_guards, choose_paths


def peer(name: str, operator: str | None = None, *networks: str) -> PathPeer:
    return PathPeer(name, (operator or f"operator of {name}").encode(), frozenset(networks or (f"network of {name}",)))


def peers(kind: str, count: int) -> list[PathPeer]:
    return [peer(f"{kind} {number}") for number in range(count)]


HOSTS = peers("host", 3)
RELAYS = peers("relay", 8)


def test_eight_relays_serve_three_fragments_and_two_guards():
    for seed in range(20):
        guards = choose_guards(RELAYS, HOSTS, random.Random(seed))
        assert len(guards) == GUARDS
        paths = choose_paths(RELAYS, guards, HOSTS, "private", random.Random(seed))
        assert [path.endpoint for path in paths] == HOSTS
        assert {len(arc) for path in paths for arc in (path.out, path.back)} == {2}


def test_one_relay_fewer_is_too_few_and_says_how_many():
    relays = RELAYS[:7]
    with pytest.raises(TooFewRelays) as raised:
        choose_paths(relays, choose_guards(relays, HOSTS, random.Random(1)), HOSTS, "private", random.Random(1))
    assert raised.value.missing == 1
    assert "needs 8 relays" in str(raised.value)


def test_without_a_guard_there_is_no_ring():
    with pytest.raises(TooFewRelays) as raised:
        choose_paths(RELAYS, [], HOSTS[:1], "fast", random.Random(1))
    assert raised.value.missing == 1


def test_profile_fast_has_the_guard_alone():
    guards = RELAYS[:2]
    for path in choose_paths(RELAYS, guards, HOSTS, "fast", random.Random(1)):
        assert len(path.out) == len(path.back) == 1
        assert path.out[0] in guards
        assert path.back[0] in guards


def test_a_profile_that_there_is_not_is_named():
    with pytest.raises(UserError, match="'slow'"):
        choose_paths(RELAYS, RELAYS[:2], HOSTS, "slow", random.Random(1))


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (peer("a"), peer("b"), False),
        (peer("a", "o1", "n1"), peer("a", "o2", "n2"), True),
        (peer("a", "o1", "n1"), peer("b", "o1", "n2"), True),
        (peer("a", "o1", "n1"), peer("b", "o2", "n1"), True),
        (peer("a", "o1", "n1", "n2"), peer("b", "o2", "n3", "n2"), True),
        (peer("a", "o1", "n1", "n2"), peer("b", "o2", "n3"), False),
    ],
)
def test_peers_of_one_operator_or_network_conflict(one: PathPeer, other: PathPeer, conflict: bool):
    assert one.conflicts_with([other]) is other.conflicts_with([one]) is conflict
    assert not one.conflicts_with([])


def test_a_carrier_counts_as_the_peer_that_it_carries():
    relay, same_network, same_operator = peer("R", "o", "n"), peer("S", "p", "n"), peer("T", "o", "m")
    host = PathPeer("host", b"host", frozenset({"elsewhere"}), (relay,))
    for other in (relay, same_network, same_operator):
        assert host.conflicts_with([other])
        assert other.conflicts_with([host])
        assert host.conflicts_with([PathPeer("guest", b"guest", frozenset(), (other,))])
    assert not host.conflicts_with([peer("U", "q", "k")])
    assert not peer("U", "q", "k").conflicts_with([host])


def test_a_hosts_own_circuit_relays_stand_on_no_ring_to_it():
    """Nor do others of their operators and networks, be it as guard or as middle."""
    carrier = peer("relay 0", "operator of relay 1", "network of relay 2")
    host = PathPeer("host", b"host", frozenset({"behind a NAT"}), (carrier,))
    used: set[str] = set()
    for seed in range(40):
        guards = choose_guards(RELAYS, [host], random.Random(seed))
        (path,) = choose_paths(RELAYS, guards, [host], "private", random.Random(seed))
        used |= {relay.peer for arc in (path.out, path.back) for relay in arc}
    assert used == {f"relay {number}" for number in range(3, 8)}


MIXED = st.lists(
    st.builds(
        lambda number, operator, network: peer(f"peer {number}", f"o{operator}", f"n{network}"),
        st.integers(0, 60),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    max_size=30,
    unique_by=lambda one: one.peer,
)


@settings(max_examples=200)
@given(MIXED, st.integers(1, 3), st.integers(0, 2**32), st.sampled_from(["private", "fast"]))
def test_whatever_is_chosen_keeps_every_rule(everybody: list[PathPeer], fragments: int, seed: int, profile: str):
    hosts, relays = everybody[:fragments], everybody
    guards = choose_guards(relays, hosts, random.Random(seed))
    assert not any(guard.conflicts_with(hosts) for guard in guards)
    assert len(guards) < 2 or not guards[0].conflicts_with(guards[1:])
    paths = []
    with suppress(TooFewRelays):
        paths = choose_paths(relays, guards, hosts, profile, random.Random(seed))
    if not paths:
        return
    assert all(arc[0] in guards for path in paths for arc in (path.out, path.back))
    middles = [relay for path in paths for arc in (path.out, path.back) for relay in arc[1:]]
    assert len(middles) == (2 * fragments if profile == "private" else 0)
    for place, middle in enumerate(middles):
        others = [*guards, *hosts, *middles[:place], *middles[place + 1 :]]
        assert not middle.conflicts_with(others)


def test_a_greedy_choice_does_not_give_up_where_there_is_a_way():
    # Any order that takes the wide one first blocks both narrow ones.
    wide = peer("wide", "o0", "n1", "n2")
    narrow = [peer("one", "o1", "n1"), peer("two", "o2", "n2")]
    for seed in range(50):
        assert choose_guards([wide, *narrow], [], random.Random(seed)) in {
            (narrow[0], narrow[1]),
            (narrow[1], narrow[0]),
        }


def test_the_choice_is_uniform():
    counts = Counter(
        relay.peer
        for seed in range(2000)
        for path in choose_paths(RELAYS, RELAYS[:2], HOSTS[:1], "private", random.Random(seed))
        for relay in (path.out[1], path.back[1])
    )
    assert set(counts) == {relay.peer for relay in RELAYS[2:]}
    assert max(counts.values()) < 1.25 * min(counts.values())


def test_prefixes_of_ip_addresses():
    assert ip_prefix("203.0.113.7") == ip_prefix("203.0.113.250") != ip_prefix("203.0.114.7")
    assert ip_prefix("2001:db8:1::1") == ip_prefix("2001:db8:1:ffff::2") != ip_prefix("2001:db8:2::1")
    for wrapping in ("::ffff:203.0.113.9", "2002:cb00:7109::1", "64:ff9b::203.0.113.9"):
        assert ip_prefix(wrapping) == ip_prefix("203.0.113.7")
    with pytest.raises(ValueError, match="does not appear"):
        ip_prefix("example.org")
