"""Guards: few, kept for weeks, and hard to make a client change."""

import json
import random
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from peernet.client.guards import GuardStore
from peernet.core.ring.guards import MAX_KNOWN, PERIOD_S
from peernet.core.ring.paths import GUARDS, PathPeer, choose_guards

DAY_S = 24 * 3600


def relay(number: int) -> PathPeer:
    return PathPeer(f"relay {number}", b"operator %d" % number, frozenset({f"network {number}"}))


RELAYS = {peer.peer: peer for peer in map(relay, range(30))}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "guards.json"


def keep(
    path: Path,
    clock: Clock,
    relays: dict[str, PathPeer] = RELAYS,
    endpoints: Sequence[PathPeer] = (),
) -> list[str]:
    def choose(candidates: Sequence[PathPeer]) -> Sequence[PathPeer]:
        return choose_guards(candidates, endpoints, random.SystemRandom())

    return [guard.peer for guard in GuardStore(path, clock).keep(relays, endpoints, choose)]


def without(*peers: str) -> dict[str, PathPeer]:
    return {name: peer for name, peer in RELAYS.items() if name not in peers}


def test_two_are_chosen_and_kept_over_restarts(path: Path, clock: Clock):
    guards = keep(path, clock)
    assert len(guards) == GUARDS == 2
    for _ in range(20):
        clock.now += DAY_S
        assert keep(path, clock) == guards


def test_the_file_is_the_persons_own(path: Path, clock: Clock):
    keep(path, clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["guards.json"]


def test_after_their_period_others_are_chosen(path: Path, clock: Clock):
    seen = set()
    for _ in range(8):
        seen |= set(keep(path, clock))
        clock.now += PERIOD_S
    assert len(seen) > GUARDS


def test_a_guard_that_is_away_is_stood_in_for_and_used_again(path: Path, clock: Clock):
    first, second = keep(path, clock)
    clock.now += 1
    stand_in = keep(path, clock, without(first))
    assert stand_in[0] == second
    assert stand_in[1] not in {first, second}
    assert keep(path, clock, without(first)) == stand_in
    assert keep(path, clock) == [first, second]


def test_guards_that_come_and_go_do_not_lead_a_client_through_the_network(path: Path, clock: Clock):
    seen: set[str] = set()
    for _ in range(100):
        clock.now += 1
        seen |= set(keep(path, clock, without(*keep(path, clock))))
    assert len(seen) <= MAX_KNOWN
    assert len(json.loads(path.read_text())) <= MAX_KNOWN


def test_where_all_that_are_known_have_gone_there_is_another_one(path: Path, clock: Clock):
    for _ in range(2 * MAX_KNOWN):
        clock.now += 1
        keep(path, clock, without(*json.loads(path.read_text()) if path.exists() else ()))
    assert len(json.loads(path.read_text())) == MAX_KNOWN
    assert keep(path, clock, without(*json.loads(path.read_text())))


def test_one_that_conflicts_with_a_host_is_left_out_and_not_forgotten(path: Path, clock: Clock):
    first, second = keep(path, clock)
    host = PathPeer("host", RELAYS[first].operator, frozenset({"elsewhere"}))
    assert keep(path, clock, endpoints=[host]) == [second]
    assert keep(path, clock) == [first, second]


def test_where_both_conflict_one_more_is_chosen_and_kept(path: Path, clock: Clock):
    guards = keep(path, clock)
    hosts = [PathPeer(f"host {name}", RELAYS[name].operator, frozenset({name})) for name in guards]
    clock.now += 1
    (third,) = keep(path, clock, endpoints=hosts)
    assert third not in guards
    assert keep(path, clock, endpoints=hosts) == [third]
    assert keep(path, clock) == guards


def test_a_clock_that_was_wrong_keeps_no_guard_for_ever(path: Path, clock: Clock):
    clock.now += 10 * 365 * DAY_S
    future = keep(path, clock)
    clock.now -= 10 * 365 * DAY_S
    assert keep(path, clock) == future
    clock.now += PERIOD_S
    assert not set(keep(path, clock, without(*future))) & set(future)
    assert not set(json.loads(path.read_text())) & set(future)
    for name in ("NaN", "Infinity"):
        path.write_text(f'{{"relay 1": {name}, "relay 2": {clock.now}}}')
        assert "relay 2" in keep(path, clock)


@pytest.mark.parametrize("text", ["", "[", "[]", "7", '{"relay 1": "x"}', '{"relay 1": null}', "\xff"])
def test_a_damaged_file_costs_new_guards_and_nothing_else(path: Path, clock: Clock, text: str):
    path.parent.mkdir()
    path.write_text(text, "latin-1")
    assert len(keep(path, clock)) == GUARDS
    assert keep(path, clock) == keep(path, clock)


def test_a_network_too_small_gives_what_there_is(path: Path, clock: Clock):
    assert keep(path, clock, {}) == []
    assert keep(path, clock, {"relay 1": RELAYS["relay 1"]}) == ["relay 1"]
    assert len(keep(path, clock)) == GUARDS
