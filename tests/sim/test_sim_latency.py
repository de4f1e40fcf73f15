"""Latency by region: from a table or measured, drawn by the seed."""

import json
import random
from pathlib import Path

import pytest

from peernet.core.errors import UserError
from simulations.latency import RegionLatency, RoundTrips, read_matrix
from tests.shared import shared_data

TABLE = RoundTrips.of({"near": 3.0, "far": 1.0}, {"near": {"near": 10, "far": 200}, "far": {"far": 20}})


def latency_of(round_trips: RoundTrips, jitter: float = 0.0, access_ms: tuple[float, float] = (0.0, 0.0)):
    return RegionLatency(
        round_trips, access_ms=access_ms, jitter=jitter, placing=random.Random(1), load=random.Random(2)
    )


def test_one_way_is_half_the_round_trip_whichever_way():
    latency = latency_of(TABLE)
    places = [latency.settle() for _ in range(40)]
    near = next(place for place in places if latency.region_of(place) == "near")
    far = next(place for place in places if latency.region_of(place) == "far")
    assert latency(near, far) == latency(far, near) == pytest.approx(0.1)
    assert latency(near, near) == pytest.approx(0.005)


def test_places_are_spread_by_weight():
    latency = latency_of(TABLE)
    near = sum(latency.region_of(latency.settle()) == "near" for _ in range(2000))
    assert 1400 < near < 1600


def test_load_and_access_only_lengthen():
    latency = latency_of(TABLE, jitter=0.5, access_ms=(2.0, 2.0))
    one, other = (latency.settle() for _ in range(2))
    still_s = latency_of(TABLE)._one_way_s[latency._region[one]][latency._region[other]] + 0.004
    times_s = [latency(one, other) for _ in range(200)]
    assert still_s <= min(times_s) < max(times_s) < 1.5 * still_s


def test_measured_matrices_in_both_forms(tmp_path: Path):
    (tmp_path / "m.json").write_text(json.dumps({"data": {"b": {"a": 7, "b": 1}, "a": {"a": 2, "b": 6}}}))
    assert read_matrix(tmp_path / "m.json") == RoundTrips(("a", "b"), (1.0, 1.0), ((2.0, 6.0), (7.0, 1.0)))
    for text in ("0 5\n6\t0\n", "0,5\n6,0"):
        (tmp_path / "m.txt").write_text(text)
        assert read_matrix(tmp_path / "m.txt").round_trip_ms == ((0.0, 5.0), (6.0, 0.0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", "{}"),
        ("m.json", "["),
        ("m.json", '{"data": {"a": {"b": 1}}}'),
        ("m.txt", "1 2\n3"),
        ("m.txt", "a b\nc d"),
        ("m.txt", ""),
        ("m.txt", "-1"),
        ("m.txt", "nan"),
    ],
)
def test_what_holds_no_latencies_is_said(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=name):
        read_matrix(tmp_path / name)
    with pytest.raises(UserError, match="gone"):
        read_matrix(tmp_path / "gone.txt")


def test_the_published_measurements_can_be_used():
    regions = read_matrix(shared_data("latency/aws_regions_p50_ms.json"))
    sites = read_matrix(shared_data("latency/planetlab_490_rtt_ms.txt"))
    assert (len(regions.regions), len(sites.regions)) == (33, 490)
    latency = latency_of(sites)
    places = [latency.settle() for _ in range(100)]
    assert 0.02 < sum(latency(a, b) for a in places for b in places) / len(places) ** 2 < 0.3
