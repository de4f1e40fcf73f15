"""yamux's flow control: the two windows of a stream, and what lets the one that we grant grow.

Rules:

1. What the other side may still send, what the application has consumed and was not granted again, and what the
   application still holds are together the window.
2. A window is granted again when half of it was consumed. One of which half was consumed in fewer than
   `ROUND_TRIPS_A_GRANT` round trips doubles, within its limit, where the budget gives it what that takes.
3. What was reserved in the budget is given back when the stream is forgotten.

Source: hashicorp/yamux, spec.md, "Flow Control".
"""

from typing import Final, Protocol

from peernet.core.yamux.frames import INITIAL_WINDOW

__all__ = ["NO_BUDGET", "ROUND_TRIPS_A_GRANT", "Stream", "WindowBudget"]

ROUND_TRIPS_A_GRANT: Final = 2
"""A reader that frees half of the window in fewer round trips is held up by it."""


class WindowBudget(Protocol):
    """Who is asked before a receive window grows; what was reserved is given back when the stream is forgotten."""

    def reserve(self, size_bytes: int) -> bool:
        """Whether so many bytes more may be held."""

    def release(self, size_bytes: int) -> None:
        """So many are not needed any more."""


class _NoBudget:
    """Windows grow to their limit."""

    def reserve(self, size_bytes: int) -> bool:
        return True

    def release(self, size_bytes: int) -> None:
        pass


NO_BUDGET: Final = _NoBudget()


class Stream:
    """What we know of one stream. `receive_window` + `ungranted` + what the application holds = `window`."""

    __slots__ = (
        "acknowledged",
        "granted_at_s",
        "local_closed",
        "receive_window",
        "remote_closed",
        "reserved",
        "send_window",
        "ungranted",
        "window",
    )

    def __init__(self, *, window: int, ungranted: int) -> None:
        self.window = window
        self.reserved = 0
        self.granted_at_s: float | None = None
        self.send_window = INITIAL_WINDOW
        self.receive_window = INITIAL_WINDOW
        self.ungranted = ungranted
        self.acknowledged = False
        self.local_closed = False
        self.remote_closed = False

    def grant(self) -> int:
        """Adds what was not granted yet to what the other side may send; how many bytes that are."""
        granted, self.ungranted = self.ungranted, 0
        self.receive_window += granted
        return granted

    def consume(
        self, size: int, now_s: float, round_trip_s: float | None, max_window: int, budget: WindowBudget
    ) -> int:
        """The application has consumed so many bytes; how many are granted for them now, which may be none."""
        self.ungranted += size
        if self.ungranted * 2 < self.window or self.remote_closed:
            return 0
        if (
            round_trip_s is not None
            and self.granted_at_s is not None
            and now_s - self.granted_at_s < ROUND_TRIPS_A_GRANT * round_trip_s
        ):
            self._grow(max_window, budget)
        self.granted_at_s = now_s
        return self.grant()

    def _grow(self, max_window: int, budget: WindowBudget) -> None:
        """Doubles the window, within its limit and the budget; what is new of it is there to be granted."""
        growth = min(self.window, max_window - self.window)
        if growth > 0 and budget.reserve(growth):
            self.window += growth
            self.reserved += growth
            self.ungranted += growth
