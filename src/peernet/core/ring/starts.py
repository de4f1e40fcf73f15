"""When the fragments of one request start: at random within a stated time, so that starting together tells nothing.

Theory of operation. Whoever sees two rings begin asks how far apart, and compares with rings of different requests,
whose distances are spread evenly over any short time. So the distances within a request should be spread evenly over
the whole stated time, too. Independent even starts are not: their distances are mostly short. Instead

1. the first fragment starts at once, so nobody waits for the beginning of the answer;
2. the others start independently, at times whose density rises from `1 - c` at the beginning to `1 + c` at the end of
   the stated time, with c = (k - 2) / 2 and at most 1 for k fragments. The later ones' distances among themselves are
   mostly short, and this makes up for it.

For two fragments the distance is then exactly even; for three it is so within 6 per cent of density everywhere; with
more, short distances stay more frequent. Nothing is hidden from who sees few rings: the crowd is all rings that begin
within the stated time.
"""

from math import sqrt
from typing import Protocol

__all__ = ["start_times"]


class Random(Protocol):
    """What is needed of `random.Random`."""

    def random(self) -> float:
        """Evenly from 0 up to 1."""
        ...


def start_times(fragments: int, within_s: float, random: Random) -> list[float]:
    """When each of `fragments` starts, in seconds from now, in their order; all within `within_s`."""
    if fragments < 1:
        return []
    slope = min(1.0, (fragments - 2) / 2)
    return [0.0, *(within_s * _drawn(slope, random.random()) for _ in range(fragments - 1))]


def _drawn(slope: float, even: float) -> float:
    """The place up to which the density `1 - slope + 2 slope x` holds the share `even`."""
    if slope <= 0:
        return even
    least = 1 - slope
    return (sqrt(least * least + 4 * slope * even) - least) / (2 * slope)
