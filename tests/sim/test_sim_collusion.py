"""Collusion, counted: shares with their intervals, and what arithmetic says beside them."""

import math
import random

import attrs
import pytest

from benchmarks.collusion import Row, verdict
from simulations.adversaries import (
    Share,
    linked_by_chance,
    request_linked_by_chance,
    text_linked_by_chance,
)
from simulations.collusion import Chance, Findings, by_chance, collude

SHARES = (0.1, 0.3)
SMALL = {"relays": 150, "hosts": 50}


@pytest.fixture(scope="module")
def found() -> dict[str, list[Findings]]:
    return {
        profile: collude(profile, SHARES, requests=requests, seed=4, **SMALL)
        for profile, requests in (("private", 250), ("fast", 250), ("paced", 20))
    }


@pytest.mark.parametrize("profile", ["private", "fast", "paced"])
def test_what_colluders_find_is_what_chance_gives(found: dict[str, list[Findings]], profile: str):
    for findings in found[profile]:
        chance = by_chance(findings.f, profile)
        for kind in (attribute.name for attribute in attrs.fields(Chance)):
            low, high = getattr(findings, kind).interval(0.999)
            assert low <= getattr(chance, kind) <= high, (profile, findings.f, kind)


def test_a_guard_alone_links_in_fast_and_not_in_private(found: dict[str, list[Findings]]):
    (_, private), (_, fast) = found["private"], found["fast"]
    assert fast.linked.value > 1.3 * private.linked.value
    # A hostile guard is enough; that the host is hostile as well adds nothing.
    assert fast.linked == fast.by_path


def test_a_paced_ring_has_the_paths_of_private():
    runs = [collude(profile, SHARES, requests=10, seed=6, **SMALL) for profile in ("private", "paced")]
    assert runs[0] == runs[1]


def test_colluders_of_no_share_find_nothing():
    (nobody, everybody) = collude("private", (0.0, 0.99), requests=5, seed=1, relays=30, hosts=10)
    assert [share.hits for share in attrs.astuple(nobody, recurse=False)[1:]] == [0] * 6
    assert everybody.linked.hits == everybody.linked.count == everybody.together.hits == 5


# --- intervals -------------------------------------------------------------------------------------------------------


def at_most(hits: int, count: int, p: float) -> float:
    return sum(math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(hits + 1))


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 30), (5, 10), (29, 30), (10, 10), (70, 400)])
def test_an_interval_ends_where_what_was_counted_gets_unlikely(hits: int, count: int):
    low, high = Share(hits, count).interval()
    assert low == 0 if hits == 0 else 1 - at_most(hits - 1, count, low) == pytest.approx(0.025, abs=1e-6)
    assert high == 1 if hits == count else at_most(hits, count, high) == pytest.approx(0.025, abs=1e-6)


def test_who_counted_nothing_knows_nothing():
    assert Share().interval() == (0.0, 1.0)


# --- arithmetic ------------------------------------------------------------------------------------------------------


def by_brute_force(f: float, profile: str, fragments: int) -> tuple[float, float]:
    """Requests with a linked ring, and rings of which a guard and the host are hostile, over independent draws."""
    draw = random.Random(2)
    linked = texts = 0
    rounds = 30_000
    for _ in range(rounds):
        guards = [draw.random() < f, draw.random() < f]
        any_ring = False
        for ring in range(fragments):
            out, back = draw.choice(guards), draw.choice(guards)
            first, second, host = (draw.random() < f for _ in range(3))
            by_path = out or back if profile == "fast" else (out and first) or (back and second)
            any_ring |= by_path or ((out or back) and host)
            texts += ring == 0 and (out or back) and host
        linked += any_ring
    return linked / rounds, texts / rounds


@pytest.mark.parametrize("profile", ["private", "fast"])
def test_chance_is_what_many_draws_give(profile: str):
    for f in (0.1, 0.3):
        request, text = by_brute_force(f, profile, 3)
        assert request_linked_by_chance(f, 3, profile) == pytest.approx(request, abs=0.01)
        assert text_linked_by_chance(f) == pytest.approx(text, abs=0.006)
        assert request_linked_by_chance(f, 1, profile) == pytest.approx(linked_by_chance(f, profile))


def test_the_verdict_counts_what_is_beside_its_arithmetic():
    rows = [Row("private", 0.1, "linked", Share(50, 100), expected) for expected in (0.5, 0.45, 0.39, 0.1)]
    alone, together = verdict(rows)
    assert (alone.value, together.value) == (0.5, 0.75)
    assert (alone.met, together.met) == (False, False)
