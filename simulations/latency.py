"""Latency by region: how long a message takes between two numbered places.

A place is in a region and has an access line of its own. One way takes half the round trip between the two regions,
plus both access lines, times a factor for the load of the moment that is drawn for every message:

    (round_trip / 2 + access of one + access of the other) * (1 + jitter * u),  u uniform in [0, 1)

Round trips come from a scenario's table, or are measured ones: `read_matrix` knows the JSON of cloudping (region ->
region -> milliseconds) and a square of milliseconds with a row a line, between blanks or commas, such as the PlanetLab
set of Zhu et al. (ToN 2017). What was measured is used as it is, also where the two directions differ.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from peernet.core.errors import UserError

__all__ = ["RegionLatency", "RoundTrips", "read_matrix"]

MAX_REGIONS: Final = 1000


@frozen
class RoundTrips:
    """Regions, how many of all places each has (any positive weights), and milliseconds from each to each."""

    regions: tuple[str, ...]
    weights: tuple[float, ...]
    round_trip_ms: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, weights: Mapping[str, float], table: Mapping[str, Mapping[str, float]]) -> "RoundTrips":
        """The matrix of a table that has each pair once; raises `ValueError` naming the pair that is missing."""
        names = tuple(weights)
        rows = []
        for source in names:
            row = []
            for destination in names:
                value = table.get(source, {}).get(destination, table.get(destination, {}).get(source))
                if value is None:
                    raise ValueError(f"there is no round trip between {source} and {destination}")
                row.append(float(value))
            rows.append(tuple(row))
        return cls(names, tuple(weights.values()), tuple(rows))


class RegionLatency:
    """The latency of one run. `settle` makes the places, numbered from 0.

    Args:
        round_trips: between regions.
        access_ms: the least and the most that an access line adds one way.
        jitter: the most by which the load of the moment lengthens a message, as a share.
        placing: draws regions and access lines.
        load: draws what every message meets.
    """

    def __init__(
        self,
        round_trips: RoundTrips,
        *,
        access_ms: tuple[float, float],
        jitter: float,
        placing: random.Random,
        load: random.Random,
    ) -> None:
        self._round_trips = round_trips
        self._one_way_s = [[ms / 2000 for ms in row] for row in round_trips.round_trip_ms]
        self._access_ms = access_ms
        self._jitter = jitter
        self._placing = placing
        self._uniform = load.random
        self._region: list[int] = []
        self._access_s: list[float] = []

    def settle(self) -> int:
        """A new place, in a region drawn by its weight; its number."""
        (region,) = self._placing.choices(range(len(self._one_way_s)), self._round_trips.weights)
        self._region.append(region)
        self._access_s.append(self._placing.uniform(*self._access_ms) / 1000)
        return len(self._region) - 1

    def region_of(self, place: int) -> str:
        """The name of a place's region."""
        return self._round_trips.regions[self._region[place]]

    def __call__(self, source: int, destination: int) -> float:
        """Seconds that a message takes now."""
        region, access_s = self._region, self._access_s
        still_s = self._one_way_s[region[source]][region[destination]] + access_s[source] + access_s[destination]
        return still_s * (1 + self._jitter * self._uniform())


def read_matrix(path: Path) -> RoundTrips:
    """Measured round trips, regions of equal weight; raises `UserError` for a file that holds none."""
    try:
        text = path.read_text("utf-8")
        names, rows = _cloudping(text) if path.suffix == ".json" else _square(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} holds no latencies ({error}): it should be JSON of region -> region -> milliseconds under "
            "'data', or a square of milliseconds, a row a line"
        ) from error
    if not 1 <= len(names) <= MAX_REGIONS:
        raise UserError(f"{path} has {len(names)} regions; 1 to {MAX_REGIONS} can be simulated")
    if any(not 0 <= value < float("inf") for row in rows for value in row):
        raise UserError(f"{path} has a latency that is negative or no number")
    return RoundTrips(tuple(names), (1.0,) * len(names), tuple(map(tuple, rows)))


def _cloudping(text: str) -> tuple[Sequence[str], Sequence[Sequence[float]]]:
    data = json.loads(text)["data"]
    names = sorted(data)
    return names, [[float(data[source][destination]) for destination in names] for source in names]


def _square(text: str) -> tuple[Sequence[str], Sequence[Sequence[float]]]:
    rows = [list(map(float, line.replace(",", " ").split())) for line in text.splitlines() if line.strip()]
    if any(len(row) != len(rows) for row in rows):
        raise ValueError("not as many columns as rows")
    return [f"site-{number}" for number in range(len(rows))], rows
