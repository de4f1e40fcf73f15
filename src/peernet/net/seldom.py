"""Log lines for what may happen a thousand times a second: at most one a minute for each kind, with how many it is."""

from collections import Counter
from typing import Any, Final

import structlog
import trio

__all__ = ["SeldomLog"]

INTERVAL_S: Final = 60.0

log = structlog.get_logger()


class SeldomLog:
    """Warnings by kind. Kinds are names from our code, so there are few."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}
        self._times: Counter[str] = Counter()

    def warn(self, kind: str, event: str, **facts: Any) -> None:
        """Says it, or counts it for the next time that it is said."""
        self._times[kind] += 1
        now = trio.current_time()
        if now - self._said_at.get(kind, -INTERVAL_S) >= INTERVAL_S:
            self._said_at[kind] = now
            log.warning(event, times=self._times.pop(kind), **facts)
