"""The linkability benchmark: its classifier, its simulated rings against real ones, and a bounded part of its figures.

The figures themselves are measured by `python -m benchmarks linkability`.
"""

import random

import numpy as np
import pytest
import structlog
from attrs import evolve

from benchmarks import linkability
from benchmarks.boosting import area_under_curve, boosted
from benchmarks.linkability import NOTHING, PACED, SPEEDS, Observer, middle, pairs_of, requests_of, score, sights_of
from benchmarks.simulated_rings import Condition, Ring, rings_of, run_ring
from peernet.core.ring.ring import BACK, OUT
from tests.watched_rings import Engine, ask

TOKENS = 70
SPEED = 20.0


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def test_the_area_is_the_share_of_pairs_that_are_in_order():
    source = random.Random(1)
    scores = [source.randint(0, 9) for _ in range(60)]
    labels = [source.randint(0, 1) for _ in range(60)]
    ones = [score for score, label in zip(scores, labels, strict=True) if label]
    zeros = [score for score, label in zip(scores, labels, strict=True) if not label]
    in_order = sum((one > zero) + (one == zero) / 2 for one in ones for zero in zeros)
    area = area_under_curve(np.array(scores, dtype=float), np.array(labels, dtype=float))
    assert area == pytest.approx(in_order / len(ones) / len(zeros))


def test_the_classifier_learns_what_takes_two_features_and_nothing_from_noise():
    source = np.random.default_rng(1)
    rows = source.normal(size=(4000, 6))
    # Neither of the two says anything by itself.
    labels = ((rows[:, 1] > 0) ^ (rows[:, 4] > 0.3)).astype(float)
    model = boosted(rows[:2000], labels[:2000])
    assert area_under_curve(model.scores(rows[2000:]), labels[2000:]) > 0.95
    noise = source.integers(0, 2, 4000).astype(float)
    model = boosted(rows[:2000], noise[:2000])
    assert abs(area_under_curve(model.scores(rows[2000:]), noise[2000:]) - 0.5) < 0.05


def without_goodbye(cells: list[tuple[float, int]], ended_s: float) -> list[tuple[float, int]]:
    """The cells but for the client's last: whether it still says that it ends is a race with the host's own end."""
    return [(at_s, way) for at_s, way in cells if way < 0 or at_s < ended_s]


@pytest.mark.parametrize("paced", [False, True])
async def test_simulated_rings_look_as_real_ones_do(autojump_clock: object, paced: bool):
    real = (await ask(Engine(TOKENS, seconds_per_token=1 / SPEED), paced=paced)).ring
    ring = Ring(0, 0, real.text)
    # The script's last token is a space.
    pieces = [(1 / SPEED, 7)] * TOKENS + [(1 / SPEED, 1)]
    source = random.Random(1)
    run_ring(ring, 0.0, paced, pieces, source, ask_bytes=500, settled_bytes=640)
    for arc in ("out", "back"):
        found, true = (without_goodbye(getattr(seen, arc), seen.ended_s) for seen in (ring, real))
        assert [way for _, way in found] == [way for _, way in true]
        away = [at_s - found_s for (found_s, _), (at_s, _) in zip(found, true, strict=True)]
        assert max(away) - min(away) < 0.15  # the log's time to settle
    assert ring.ended_s - ring.out[0][0] == pytest.approx(real.ended_s - real.out[0][0], abs=0.15)


def rings_under(condition: Condition, requests: int = 150) -> list[Ring]:
    return rings_of(requests_of(requests, random.Random(1)), condition, SPEEDS, random.Random(2))


def area(rings: list[Ring], observer: Observer, *, text: bool = False) -> float:
    """How well pairs are told apart."""
    return score(pairs_of(sights_of(rings, observer), random.Random(3), text=text), random.Random(4), draws=1).area


def test_the_classifier_sees_what_is_not_hidden():
    rings = rings_under(NOTHING)
    assert area(rings, Ring.at_host, text=True) >= 0.9
    assert area(rings, middle(OUT)) >= 0.9


def test_a_cadence_alone_hides_nothing_where_fragments_start_together():
    assert area(rings_under(evolve(PACED, start_within_s=0.0), 60), middle(BACK)) >= 0.9


def test_times_and_sizes_tell_little_under_paced():
    rings = rings_under(PACED)
    for observer in (Ring.at_host, middle(OUT), middle(BACK)):
        # 0.52 over many requests; of so few the area varies by 0.04.
        assert area(rings, observer) <= 0.6


def test_only_pairs_that_may_be_of_one_request_count():
    sights = sights_of(rings_under(PACED, 30), Ring.at_host)
    pairs = pairs_of(sights, random.Random(3))
    assert 0 < pairs.labels.sum() < len(pairs.labels)
    assert pairs.rows[:, 0].max() <= linkability.WINDOW_S


def test_placeholders_are_shared_between_hosts_only_without_renaming():
    for condition, share in ((NOTHING, True), (evolve(NOTHING, renamed=True), False)):
        sights = sights_of(rings_under(condition, 30), Ring.at_host)
        assert any(sight.placeholders for sight in sights)
        shared = [
            one.placeholders & other.placeholders
            for one in sights
            for other in sights
            if one.request == other.request and one.host != other.host
        ]
        assert any(shared) is share
