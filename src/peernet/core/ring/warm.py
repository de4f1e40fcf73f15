"""Warm arcs: which arcs a client builds ahead of need, and which of them a request takes.

An arc from the guard to a middle costs most of the time that a ring takes to build, and does not depend on the host.
So a client has some of them ready, and extends each by one hop when it is wanted. A **way** is the relays of such an
arc, guard first. Rules:

1. Ways are drawn as the relays of any ring are (`choosing`), before anybody knows for what; so neither their choice
   nor their time says anything of a request.
2. A way that is ready takes the place of an arc that was drawn for a request, where all rules of `paths` hold with it
   over the whole request. An arc that none can stand for stays as it was drawn.
3. A way is lent to one request, and each of its arcs is one ring's. A way has two: the ring that funds a fragment's
   lane runs over the relays of the fragment's own.
4. A way that conflicts with an endpoint of the request is thrown away, as every way is at a random age, whose range is
   far below what a relay bears (`net.rings.RingLimits`).
5. A guard that wants to be rid of honest middles can end the arcs to them. Of arcs that are built ahead it would cost
   nobody a request, and go unnoticed; so over a guard that loses too many, none is built ahead any more.

Source: design section 5; on rule 5, the defence of Tor's clients against path bias (Tor proposal 209).
"""

from collections.abc import Collection, Sequence
from typing import Final

from attrs import define, evolve, frozen

from peernet.core.ring.paths import PathPeer, RingPath

__all__ = [
    "ARCS_A_WAY",
    "LIFETIME_S",
    "SHUNNED_S",
    "Fitted",
    "GuardRecord",
    "Way",
    "fit_ways",
]

ARCS_A_WAY: Final = 2
LIFETIME_S: Final = (60.0, 180.0)
"""How long a way is kept, at random between these."""
SHUNNED_S: Final = 1800.0
"""How long a guard that has lost too many is left out, and with it whatever it was that ended them."""
_FEW_DEATHS: Final = 6

Way = tuple[PathPeer, ...]


@frozen
class Fitted:
    """The rings of a request over ways that were ready, as far as these fit."""

    paths: list[RingPath]
    taken: list[Way]
    conflicting: list[Way]
    """Those that conflict with an endpoint of the request."""


def fit_ways(paths: Sequence[RingPath], ways: Sequence[Way], avoid: Collection[str] = ()) -> Fitted:
    """The paths of one request with `ways` in the place of what was drawn for it; the first ways come first.

    `avoid` are the ids of peers that have failed or carry other fragments of the request.
    """
    endpoints = [path.endpoint for path in paths]
    arcs: list[Way] = [arc for path in paths for arc in (path.out, path.back)]
    guards = [arc[0] for arc in arcs]
    taken: dict[int, Way] = {}
    conflicting = []
    for way in ways:
        if any(relay.conflicts_with(endpoints) for relay in way):
            conflicting.append(way)
        elif not any(relay.peer in avoid for relay in way):
            place = _place_of(way, arcs, [*guards, way[0]], taken)
            if place is not None:
                arcs[place] = taken[place] = way
                guards.append(way[0])
    fitted = [evolve(path, out=arcs[2 * number], back=arcs[2 * number + 1]) for number, path in enumerate(paths)]
    return Fitted(fitted, list(taken.values()), conflicting)


def _place_of(way: Way, arcs: Sequence[Way], guards: Sequence[PathPeer], taken: Collection[int]) -> int | None:
    """Which of a request's arcs a way can stand for, so that no two middles, and no guard and middle, conflict."""
    if any(middle.conflicts_with(guards) for middle in way[1:]):
        return None
    met = [place for place, arc in enumerate(arcs) if any(relay.conflicts_with(arc[1:]) for relay in way)]
    free = [place for place, arc in enumerate(arcs) if place not in taken and len(arc) == len(way)]
    # What it conflicts with has to make room for it, and there is one place to make.
    fitting = free if not met else [place for place in free if met == [place]]
    return fitting[0] if fitting else None


@define
class GuardRecord:
    """How the ways over one guard have fared, as far as it counts still: by their arcs that were built ahead."""

    built: int = 0
    died: int = 0
    died_last_s: float = 0.0

    def note_death(self, now_s: float) -> None:
        """An arc of one ended before it was used, or was not built."""
        self.died += 1
        self.died_last_s = now_s

    def shunned(self, now_s: float) -> bool:
        """Whether it has lost more than half of them, and more than a few (rule 5); for `SHUNNED_S` at most."""
        if self.died <= max(_FEW_DEATHS, self.built / 2):
            return False
        if now_s - self.died_last_s < SHUNNED_S:
            return True
        self.built = self.died = 0
        return False
