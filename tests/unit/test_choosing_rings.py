"""The policy that a client and a simulation share: which relays may be used, guards first, then paths."""

import random
from collections.abc import Mapping, Sequence

import pytest

from peernet.core.ring.choosing import choose_rings
from peernet.core.ring.guards import ChooseGuards, keep_guards
from peernet.core.ring.paths import GUARDS, PathPeer, TooFewRelays


def peer(name: str, operator: str = "") -> PathPeer:
    return PathPeer(name, (operator or f"operator of {name}").encode(), frozenset({f"network of {name}"}))


RELAYS = {relay.peer: relay for relay in (peer(f"relay {number}") for number in range(30))}
HOSTS = [peer(f"host {number}") for number in range(3)]


class Book:
    def __init__(self) -> None:
        self.known: dict[str, float] = {}

    def keep(
        self, relays: Mapping[str, PathPeer], endpoints: Sequence[PathPeer], choose: ChooseGuards
    ) -> tuple[PathPeer, ...]:
        kept = keep_guards(self.known, relays, endpoints, choose, 1000.0)
        self.known = kept.known
        return kept.usable


def test_requests_share_their_guards_and_nothing_else_of_a_request():
    book = Book()
    seen = set()
    for seed in range(20):
        paths = choose_rings(RELAYS, HOSTS, "private", book, random.Random(seed))
        seen |= {arc[0].peer for path in paths for arc in (path.out, path.back)}
        middles = [arc[1].peer for path in paths for arc in (path.out, path.back)]
        assert len(set(middles)) == 6
        assert not set(middles) & set(book.known)
    assert seen == set(book.known)
    assert len(seen) == GUARDS


def test_relays_of_the_ledgers_operator_stand_on_no_ring():
    ledger = peer("bootstrap", "operator of relay 3")
    for seed in range(30):
        book = Book()
        paths = choose_rings(RELAYS, HOSTS, "private", book, random.Random(seed), shared=[ledger])
        used = {relay.peer for path in paths for arc in (path.out, path.back) for relay in arc}
        assert "relay 3" not in used | set(book.known)


def test_guards_of_a_plan_that_failed_are_the_guards_of_the_next_one():
    book = Book()
    few = dict(list(RELAYS.items())[:5])
    with pytest.raises(TooFewRelays):
        choose_rings(few, HOSTS, "private", book, random.Random(1))
    first = dict(book.known)
    assert len(first) == GUARDS
    choose_rings(RELAYS, HOSTS, "private", book, random.Random(2))
    assert book.known == first


def test_peers_to_avoid_are_no_middles_and_a_guard_among_them_is_not_replaced():
    book = Book()
    choose_rings(RELAYS, HOSTS, "private", book, random.Random(1))
    first, second = book.known
    avoid = {first, *list(RELAYS)[:10]} - {second}
    for seed in range(20):
        paths = choose_rings(RELAYS, HOSTS, "private", book, random.Random(seed), avoid=avoid)
        assert {arc[0].peer for path in paths for arc in (path.out, path.back)} == {second}
        assert not {arc[1].peer for path in paths for arc in (path.out, path.back)} & avoid
    paths = choose_rings(RELAYS, HOSTS, "private", book, random.Random(1), avoid={first, second})
    assert {arc[0].peer for path in paths for arc in (path.out, path.back)} <= {first, second}
    assert set(book.known) == {first, second}
