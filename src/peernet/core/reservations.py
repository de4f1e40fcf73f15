"""Which relays an unreachable peer keeps places at, and when it tries again.

Rules:

1. The relays of one peer differ in operator and in address prefix, among themselves and from the peer: one operator's
   or one network's end leaves the others.
2. A relay that failed is left alone for a time that doubles with each failure in a row, within bounds, with a random
   part so that peers which lost the same relay do not come together. One that granted a place starts anew.
3. Where every relay is being left alone, the one whose time comes first says how long to wait. Nobody gives up: an
   outage of any length ends by itself.
4. What is remembered of failures is bounded, the oldest forgotten first.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Final

from attrs import frozen

from peernet.core.ring.paths import PathPeer, Random

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "RelayChooser"]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 120.0
_MAX_REMEMBERED: Final = 256


@frozen
class _Failures:
    in_a_row: int
    again_at_s: float


class RelayChooser:
    """The choice of one peer.

    Args:
        uniform: a random number between two bounds.
    """

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, relay: str, now_s: float) -> float:
        """Notes a failure; returns how long the relay is left alone."""
        known = self._failures.pop(relay, None)
        in_a_row = 1 if known is None else known.in_a_row + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(in_a_row - 1, 16)) * self._uniform(0.5, 1.0)
        self._failures[relay] = _Failures(in_a_row, now_s + pause_s)
        if len(self._failures) > _MAX_REMEMBERED:
            self._failures.popitem(last=False)
        return pause_s

    def granted(self, relay: str) -> None:
        """Notes that the relay gave a place."""
        self._failures.pop(relay, None)

    def choose(
        self, relays: Sequence[PathPeer], kept: Iterable[PathPeer], now_s: float, random: Random
    ) -> PathPeer | None:
        """A relay to ask next, beside those in `kept` (the peer itself among them); None if there is none now."""
        taken = tuple(kept)
        for relay in random.sample(relays, len(relays)):
            if self._again_at_s(relay.peer) <= now_s and not relay.conflicts_with(taken):
                return relay
        return None

    def wait_s(self, relays: Iterable[PathPeer], kept: Iterable[PathPeer], now_s: float) -> float:
        """How long until one of `relays` may be asked: `LONGEST_PAUSE_S` at most, also when none can be."""
        taken = tuple(kept)
        times = [self._again_at_s(relay.peer) for relay in relays if not relay.conflicts_with(taken)]
        return min(LONGEST_PAUSE_S, max(0.0, min(times, default=now_s + LONGEST_PAUSE_S) - now_s))

    def _again_at_s(self, relay: str) -> float:
        known = self._failures.get(relay)
        return -inf if known is None else known.again_at_s
