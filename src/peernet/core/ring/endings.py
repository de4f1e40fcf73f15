"""Who ended a ring, as far as the client can tell from how its arcs ended.

Theory of operation. When a peer of a ring goes, its neighbours notice, and say so towards the client: a relay by an
END under its layer, an endpoint that loses one arc by an END (`ARC_LOST`) on the other. So each arc ends with the word
of one hop, and the two words together tell more than either: an endpoint closes both arcs because one broke.

Rules, the first that fits:

1. An endpoint that reports its other arc lost lives: nobody else can seal its END. The fault lies on that arc.
2. A relay that either arc points at is the one. A hop that lost the next one, or could not reach it, points at that;
   any other word, and a stream that closes without one, points at the hop itself.
3. A cell that opens under no key may be any relay's doing, on that arc, the guard's too: there is another guard.
4. The endpoint is the one when it says so, or when both arcs point at it. (Two relays that lie together can do this.)
5. Where one arc alone points at the endpoint while the other stands, the relay that said so is suspected.

A guess costs a detour, or another viewer of the text; so a relay is suspected where either is possible.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from peernet.core.ring.ring import ARC_LOST, BACK, OUT

__all__ = ["Blame", "Ending", "blame"]

_POINTS_ON: Final = frozenset({"lost", "unreachable"})


@frozen
class Ending:
    """How an arc ended: `hop`, from 0 at the guard, said so or went; None when it cannot be told."""

    hop: int | None
    reason: str

    @property
    def points_at(self) -> int | None:
        """The hop that has gone, by this arc's word."""
        if self.hop is None:
            return None
        return self.hop + 1 if self.reason in _POINTS_ON else self.hop


@frozen
class Blame:
    """Whether the endpoint ended a ring, and otherwise the relays one of which may have, as `(arc, hop)`."""

    endpoint: bool
    suspects: frozenset[tuple[int, int]] = frozenset()


def blame(endings: Mapping[int, Ending], endpoint: int) -> Blame:
    """Who ended a ring whose arcs (`OUT`, `BACK`) ended so; `endpoint` is its place on both, after their relays."""
    for arc, ending in endings.items():
        if ending == Ending(endpoint, ARC_LOST):
            return Blame(endpoint=False, suspects=_suspects_between(endings, OUT + BACK - arc, endpoint))
    places = {arc: ending.points_at for arc, ending in endings.items()}
    relays = {(arc, place) for arc, place in places.items() if place is not None and place < endpoint}
    if relays:
        return Blame(endpoint=False, suspects=frozenset(relays))
    if None in places.values():
        untold = {(arc, hop) for arc, place in places.items() if place is None for hop in range(endpoint)}
        return Blame(endpoint=False, suspects=frozenset(untold))
    by_itself = any(ending.hop == endpoint for ending in endings.values())
    if by_itself or len(places) != 1:
        return Blame(endpoint=True)
    return Blame(endpoint=False, suspects=frozenset((arc, endpoint - 1) for arc in places))


def _suspects_between(endings: Mapping[int, Ending], arc: int, endpoint: int) -> frozenset[tuple[int, int]]:
    """Who may have broken `arc`, whose two ends both live."""
    place = endings[arc].points_at if arc in endings else None
    if place is None or place >= endpoint:
        # The endpoint closes an arc on which a cell did not open, and the relay beside it calls it gone.
        return frozenset((arc, hop) for hop in range(endpoint))
    return frozenset({(arc, place)})
