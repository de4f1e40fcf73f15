"""A deterministic event loop: a heap of callbacks in the order of their times.

Rules:

1. Events at the same time run in the order in which they were scheduled, so one seed gives one run, bit for bit.
2. All randomness comes from `stream(name)`: each consumer has its own generator, seeded by the run's seed and its
   name, so that one consumer more does not shift the others.
3. What a run found out is told to `note`; `digest` stands for all of it and is compared between runs.
4. A run has a bound on events, so that a scenario that feeds itself ends with an error and not never.

Times are seconds since the beginning of the run. It knows nothing of networks but a latency between two numbered
places; the protocol logic that runs over it is `peernet.core`, unchanged.
"""

import hashlib
import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from peernet.core.errors import LocalProtocolError

__all__ = ["MAX_EVENTS", "Engine", "Latency", "seeded_stream"]

MAX_EVENTS: Final = 1_000_000_000

Latency = Callable[[int, int], float]
"""Seconds from one numbered place to another."""


def seeded_stream(seed: int, name: str) -> random.Random:
    """The generator of the consumer `name` in a run of `seed`, from its beginning."""
    return random.Random(f"{seed}/{name}")


class Engine:
    """One run. `latency` is used by `send` alone."""

    def __init__(self, seed: int, latency: Latency, *, max_events: int = MAX_EVENTS) -> None:
        self.now_s = 0.0
        self.events = 0
        self.deliveries = 0
        self._seed = seed
        self._latency = latency
        self._max_events = max_events
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = 0
        self._digest = hashlib.sha256()

    def at(self, time_s: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Calls `callback(*arguments)` at `time_s`; raises `LocalProtocolError` for a time that is past."""
        if time_s < self.now_s:
            raise LocalProtocolError(f"it is {self.now_s} s already, too late for {time_s} s")
        self._scheduled += 1
        heappush(self._heap, (time_s, self._scheduled, callback, arguments))

    def after(self, delay_s: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Calls `callback(*arguments)` in `delay_s` seconds."""
        self.at(self.now_s + delay_s, callback, *arguments)

    def send(self, source: int, destination: int, callback: Callable[..., None], *arguments: Any) -> None:
        """Calls `callback(*arguments)` when something sent now from `source` reaches `destination`."""
        self.deliveries += 1
        self._scheduled += 1
        heappush(self._heap, (self.now_s + self._latency(source, destination), self._scheduled, callback, arguments))

    def deliver(self, time_s: float, callback: Callable[..., None], *arguments: Any) -> None:
        """As `at`, for a message whose arrival the caller has worked out: it counts as a delivery."""
        self.deliveries += 1
        self.at(time_s, callback, *arguments)

    def latency_s(self, source: int, destination: int) -> float:
        """How long something sent now from one place to another takes."""
        return self._latency(source, destination)

    def run(self, until_s: float | None = None) -> int:
        """Runs until nothing is left to do, or up to and including `until_s`; returns the number of events run.

        Raises `LocalProtocolError` when the run exceeds its bound on events.
        """
        heap = self._heap
        before = self.events
        while heap and (until_s is None or heap[0][0] <= until_s):
            if self.events >= self._max_events:
                raise LocalProtocolError(f"the run goes on after {self._max_events} events: it feeds itself")
            self.now_s, _, callback, arguments = heappop(heap)
            self.events += 1
            callback(*arguments)
        if until_s is not None:
            self.now_s = max(self.now_s, until_s)
        return self.events - before

    def stream(self, name: str) -> random.Random:
        """The generator of the consumer `name`, from its beginning."""
        return seeded_stream(self._seed, name)

    def note(self, fact: str) -> None:
        """Adds what was found out to the run's digest."""
        self._digest.update(f"{self.now_s!r} {fact}\n".encode())

    @property
    def digest(self) -> str:
        """The SHA-256 of every note, in order, in hexadecimal."""
        return self._digest.hexdigest()

    def __len__(self) -> int:
        return len(self._heap)
