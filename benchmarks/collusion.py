"""How often colluders of a share f of the network find one another on the rings of a request, by profile.

What is counted, and why, is in `simulations.collusion`; the arithmetic beside it is derived in docs/threat-model.md.
Each share has its interval of 95 % confidence (Clopper and Pearson). With so many of them some miss what is true: the
last figures say how many hold it, and whether all do at a confidence of 95 % for all of them together.

`python -m benchmarks.collusion` prints the tables of docs/threat-model.md instead.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
from attrs import frozen

from benchmarks.report import Figure
from simulations.adversaries import Share
from simulations.collusion import FRAGMENTS, HOSTS, RELAYS, Chance, Findings, by_chance, collude

__all__ = ["Row", "figures", "measure", "verdict"]

SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
REQUESTS: Final = 4000
SEEDS: Final = {"private": 1, "fast": 2, "paced": 3}
CONFIDENCE: Final = 0.95
LEAST_WITHIN: Final = 0.9
_ABOUT: Final = {
    "by_path": "rings: client and host, by path",
    "linked": "rings: client and host, by path or by guard and host",
    "with_text": "rings: client and fragment, by guard and host",
    "request_linked": "requests: client and a host",
    "together": "requests: two fragments or more",
    "whole": "requests: all fragments",
}


@frozen
class Row:
    """One share, measured and by arithmetic."""

    profile: str
    f: float
    kind: str
    found: Share
    expected: float

    def within(self, confidence: float = CONFIDENCE) -> bool:
        """Whether the arithmetic lies in the interval of what was measured."""
        low, high = self.found.interval(confidence)
        return low <= self.expected <= high


def measure(profile: str, shares: Sequence[float], requests: int, seed: int) -> list[Row]:
    """All rows of a profile."""
    found = collude(profile, shares, requests=requests, seed=seed)
    return [row for findings in found for row in _rows(profile, findings)]


def _rows(profile: str, findings: Findings) -> Iterator[Row]:
    chance = by_chance(findings.f, profile)
    for kind in (attribute.name for attribute in attrs.fields(Chance)):
        yield Row(profile, findings.f, kind, getattr(findings, kind), getattr(chance, kind))


def figures() -> Iterator[Figure]:
    """One for each share, and what they say together."""
    rows = []
    for profile, seed in SEEDS.items():
        found = measure(profile, SHARES, REQUESTS, seed)
        rows += found
        for row in found:
            yield _figure(row)
    yield from verdict(rows)


def _figure(row: Row) -> Figure:
    low, high = row.found.interval(CONFIDENCE)
    return Figure(
        name=f"{row.profile}, f = {row.f:g}, {_ABOUT[row.kind]}",
        value=row.found.value,
        unit="share",
        reference="arithmetic",
        reference_value=row.expected,
        target=None,
        smaller_is_better=True,
        conditions={
            "hits": row.found.hits,
            "count": row.found.count,
            "interval_95": [round(low, 5), round(high, 5)],
            "within": row.within(),
            "relays": RELAYS,
            "hosts": HOSTS,
            "fragments": FRAGMENTS,
        },
    )


def verdict(rows: Sequence[Row]) -> Iterator[Figure]:
    """How many intervals hold the arithmetic, one by one and all together (Bonferroni)."""
    together = 1 - (1 - CONFIDENCE) / len(rows)
    for name, confidence, target in (
        ("intervals of 95 % that hold the arithmetic", CONFIDENCE, LEAST_WITHIN),
        ("intervals that hold it at 95 % for all together", together, 1.0),
    ):
        yield Figure(
            name=name,
            value=sum(row.within(confidence) for row in rows) / len(rows),
            unit="share",
            reference="all intervals",
            reference_value=1.0,
            target=target,
            smaller_is_better=False,
            conditions={"intervals": len(rows), "confidence": round(confidence, 5)},
            bounds_value=True,
        )


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    """The tables of docs/threat-model.md, in percent."""
    cells = {(row.profile, row.f, row.kind): _cell(row) for row in rows}
    for columns in (
        {
            "`private`, watching: guard and middle": ("private", "by_path"),
            "`paced`, watching: guard and middle": ("paced", "by_path"),
            "`private`: or guard and host": ("private", "linked"),
            "`paced`, tampering: or guard and host": ("paced", "linked"),
            "`fast`: guard alone": ("fast", "linked"),
        },
        {
            "rings: client and fragment": ("private", "with_text"),
            "requests: client and one of its hosts": ("private", "request_linked"),
            "the same, `fast`": ("fast", "request_linked"),
            "requests: two fragments or more": ("private", "together"),
            "requests: all three": ("private", "whole"),
        },
    ):
        yield f"| f | {' | '.join(columns)} |"
        yield "|---" * (len(columns) + 1) + "|"
        for f in SHARES:
            found = " | ".join(cells[profile, f, kind] for profile, kind in columns.values())
            yield f"| {100 * f:g} % | {found} |"
        yield ""


def _cell(row: Row) -> str:
    low, high = row.found.interval(CONFIDENCE)
    return f"{100 * row.found.value:.2f} ({100 * low:.2f}–{100 * high:.2f}); {_short(100 * row.expected)}"


def _short(percent: float) -> str:
    return f"{percent:.2f}" if percent >= 0.01 or not percent else f"{percent:.1g}"


def main() -> int:
    """Prints the tables, and what the intervals say together."""
    rows = [row for profile, seed in SEEDS.items() for row in measure(profile, SHARES, REQUESTS, seed)]
    for line in _tables(rows):
        print(line)
    for figure in verdict(rows):
        print(f"{figure.name}: {figure.value * len(rows):.0f} of {len(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
