"""Backoff: what went wrong is left alone for a while, twice as long after each further time, up to a bound.

Rules:

1. What goes wrong several times while it rests has gone wrong once.
2. What was left alone for the longest rest after its own begins anew.
3. Only so many keys are remembered; the one that went wrong longest ago is forgotten first.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from attrs import frozen

__all__ = ["Backoff"]

Key = TypeVar("Key", bound=Hashable)


@frozen
class _Rest:
    """How long a key rests."""

    until: float
    for_s: float
    why: str


class Backoff(Generic[Key]):
    """Rests by key.

    Args:
        first_s: the first rest.
        max_s: the longest.
        remembered: how many keys.
    """

    def __init__(self, first_s: float, max_s: float, remembered: int) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._remembered = remembered
        self._rests: OrderedDict[Key, _Rest] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rests)

    def rests(self, key: Key, now: float) -> bool:
        """Whether it is left alone now."""
        rest = self._rests.get(key)
        return rest is not None and now < rest.until

    def why(self, key: Key) -> str:
        """What went wrong last; nothing for what is not known."""
        rest = self._rests.get(key)
        return "" if rest is None else rest.why

    def failed(self, key: Key, now: float, why: str = "") -> None:
        """It went wrong, for the reason `why`."""
        known = self._rests.pop(key, None)
        if known is None or now > known.until + self._max_s:
            for_s = self._first_s
        elif now < known.until:
            for_s = known.for_s
        else:
            for_s = min(2 * known.for_s, self._max_s)
        self._rests[key] = _Rest(now + for_s, for_s, why)
        if len(self._rests) > self._remembered:
            self._rests.popitem(last=False)

    def succeeded(self, key: Key) -> None:
        """It works."""
        self._rests.pop(key, None)
