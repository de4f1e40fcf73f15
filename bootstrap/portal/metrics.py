"""Metrics of the portal, for the node's `/metrics`: routes, statuses and times, and nothing of any person.

A path is told as its route has it, with its parameters in braces. Source: Prometheus, "Metric and label naming".
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["PortalMetrics"]

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@define(eq=False)
class PortalMetrics:
    """What one portal has counted; a collector of `prometheus_client`."""

    requests: Counter[tuple[str, str, int]] = field(factory=Counter)
    """By method, route and status."""
    crashes: Counter[tuple[str, str]] = field(factory=Counter)
    """Requests and jobs that broke, by part and type of error."""
    trials: Counter[str] = field(factory=Counter)
    """Questions to hosts, by what became of them."""
    trials_microcredits: int = 0
    """What they cost."""
    _within: list[int] = field(factory=lambda: [0] * len(BUCKETS_S))
    seconds: float = 0.0
    """All times together."""
    _timed: int = 0

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Notes an answer, and how long the service worked on it."""
        self.requests[method, route, status] += 1
        self._timed += 1
        self.seconds += seconds
        for number, bound in enumerate(BUCKETS_S):
            self._within[number] += seconds <= bound

    def tried(self, outcome: str, price_microcredits: int) -> None:
        """Notes a question to a host."""
        self.trials[outcome] += 1
        self.trials_microcredits += price_microcredits

    def collect(self) -> "Iterator[Metric]":
        """All of it, when somebody scrapes."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "peernet_portal_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), number in self.requests.items():
            requests.add_metric((method, route, str(status)), number)
        yield requests
        times = HistogramMetricFamily("peernet_portal_request_seconds", "How long the service worked on a request.")
        buckets = [(str(bound), number) for bound, number in zip(BUCKETS_S, self._within, strict=True)]
        times.add_metric((), [*buckets, ("+Inf", self._timed)], self.seconds)
        yield times
        crashes = CounterMetricFamily("peernet_portal_crashes", "Errors of our own.", labels=("part", "error"))
        for (part, error), number in self.crashes.items():
            crashes.add_metric((part, error), number)
        yield crashes
        trials = CounterMetricFamily("peernet_host_trials", "Questions to hosts, to measure.", labels=("outcome",))
        for outcome, number in self.trials.items():
            trials.add_metric((outcome,), number)
        yield trials
        yield CounterMetricFamily(
            "peernet_host_trials_microcredits", "What these questions cost.", value=self.trials_microcredits
        )
