"""Turns: work that others cause begins in small portions, so that who causes much of it delays nobody else.

Rules:

1. So much begins at once. What comes beyond that within `WINDOW_S` waits, and begins by a task that yields to all
   others after each portion.
2. Those who wait take turns by key, one at a time; what one key waits for begins in order.
3. Nothing is bounded here: what may wait has its limit where it was taken in.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

import trio

__all__ = ["Turns"]

WINDOW_S: Final = 0.001


class Turns:
    """Begins things.

    Args:
        at_once: how many begin in one portion.
        nursery: where the task runs.
    """

    def __init__(self, at_once: int, nursery: trio.Nursery) -> None:
        self._at_once = at_once
        self._nursery = nursery
        self._window_began = -float("inf")
        self._begun = 0
        self._waiting: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many keys have something that waits."""
        return len(self._waiting)

    def offer(self, key: Hashable, begin: Callable[[], None]) -> None:
        """Calls `begin`, now or when it is the turn of `key`."""
        if self._waiting:
            self._waiting.setdefault(key, deque()).append(begin)
            return
        now = trio.current_time()
        if now - self._window_began > WINDOW_S:
            self._window_began, self._begun = now, 0
        if self._begun < self._at_once:
            self._begun += 1
            begin()
        else:
            self._waiting[key] = deque((begin,))
            self._nursery.start_soon(self._begin_the_rest)

    async def _begin_the_rest(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            for _ in range(self._at_once):
                if not self._waiting:
                    return
                key, line = self._waiting.popitem(last=False)
                begin = line.popleft()
                if line:
                    self._waiting[key] = line
                begin()
