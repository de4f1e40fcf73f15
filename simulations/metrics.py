"""What a run measures: one row for each stretch of time, and the same figures over all of it.

A `Tally` collects; `Figures` are what is written down. Times are seconds, shares 0 to 1; a figure that nothing was
measured for is None, and an empty field in a table.
"""

from collections import Counter
from collections.abc import Sequence

from attrs import define, field, frozen

__all__ = ["Figures", "Tally", "quantile"]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below or at which that share of `values` lies (nearest rank), None for none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share(hits: int, count: int) -> float | None:
    return hits / count if count else None


@frozen
class Figures:
    """One row. Counts are of the stretch that ends at `time_s`."""

    time_s: float
    nodes: int
    """There at the end of the stretch, bootstrap nodes left out."""
    joined: int
    left: int
    table_contacts: float | None
    """How many contacts a node's table has, on average."""
    table_dead_share: float | None
    """Of the contacts in all tables, how many have left the network."""
    deliveries: int
    deliveries_a_node_s: float | None
    """Messages and cells that arrived, for each node and second."""
    lookups: int
    lookup_success: float | None
    """Of the searches for a model: a living host of it was found. Of those for a node: that node was."""
    lookup_recall: float | None
    """Of the k nodes that were closest when a search for a node ended, how many it gave."""
    lookup_hops: float | None
    lookup_queries: float | None
    lookup_failures: float | None
    """Queries of a lookup that were not answered, on average."""
    lookup_p50_s: float | None
    lookup_p90_s: float | None
    lookup_p99_s: float | None
    requests: int
    requests_answered: float | None
    """Of the requests, how many got an answer to every fragment."""
    rings: int
    rings_built: float | None
    rings_answered: float | None
    ring_build_p50_s: float | None
    ring_build_p90_s: float | None
    ring_build_p99_s: float | None
    first_answer_p50_s: float | None
    first_answer_p90_s: float | None
    ring_cells: float | None
    """Cells that arrived on all legs of a ring that was answered, on average."""
    ring_cells_to_build: float | None


@define
class Tally:
    """Counts and values since it was made."""

    joined: int = 0
    left: int = 0
    lookups: int = 0
    lookup_found: int = 0
    recalls: list[float] = field(factory=list)
    hops: list[float] = field(factory=list)
    queries: list[float] = field(factory=list)
    failures: list[float] = field(factory=list)
    lookup_s: list[float] = field(factory=list)
    requests: int = 0
    requests_answered: int = 0
    rings: int = 0
    ring_build_s: list[float] = field(factory=list)
    first_answer_s: list[float] = field(factory=list)
    rings_answered: int = 0
    ring_cells: list[float] = field(factory=list)
    ring_cells_to_build: list[float] = field(factory=list)
    ring_failures: Counter[str] = field(factory=Counter)

    def add(self, other: "Tally") -> None:
        """Takes what another one has."""
        for name in ("joined", "left", "lookups", "lookup_found", "requests", "requests_answered", "rings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rings_answered += other.rings_answered
        for name in (
            "recalls",
            "hops",
            "queries",
            "failures",
            "lookup_s",
            "ring_build_s",
            "first_answer_s",
            "ring_cells",
            "ring_cells_to_build",
        ):
            getattr(self, name).extend(getattr(other, name))
        self.ring_failures.update(other.ring_failures)

    def figures(
        self,
        time_s: float,
        length_s: float,
        *,
        nodes: int,
        tables: Sequence[int],
        dead: int,
        deliveries: int,
    ) -> Figures:
        """The row of a stretch of `length_s` that ends at `time_s`; `tables` are the sizes of all tables now."""
        return Figures(
            time_s=time_s,
            nodes=nodes,
            joined=self.joined,
            left=self.left,
            table_contacts=_mean(tables),
            table_dead_share=_share(dead, sum(tables)),
            deliveries=deliveries,
            deliveries_a_node_s=deliveries / nodes / length_s if nodes else None,
            lookups=self.lookups,
            lookup_success=_share(self.lookup_found, self.lookups),
            lookup_recall=_mean(self.recalls),
            lookup_hops=_mean(self.hops),
            lookup_queries=_mean(self.queries),
            lookup_failures=_mean(self.failures),
            lookup_p50_s=quantile(self.lookup_s, 0.5),
            lookup_p90_s=quantile(self.lookup_s, 0.9),
            lookup_p99_s=quantile(self.lookup_s, 0.99),
            requests=self.requests,
            requests_answered=_share(self.requests_answered, self.requests),
            rings=self.rings,
            rings_built=_share(len(self.ring_build_s), self.rings),
            rings_answered=_share(self.rings_answered, self.rings),
            ring_build_p50_s=quantile(self.ring_build_s, 0.5),
            ring_build_p90_s=quantile(self.ring_build_s, 0.9),
            ring_build_p99_s=quantile(self.ring_build_s, 0.99),
            first_answer_p50_s=quantile(self.first_answer_s, 0.5),
            first_answer_p90_s=quantile(self.first_answer_s, 0.9),
            ring_cells=_mean(self.ring_cells),
            ring_cells_to_build=_mean(self.ring_cells_to_build),
        )
