"""Guards: the few relays that a client always enters by, kept for weeks.

A guard learns the client's address. The fewer there are over time, the fewer relays ever learn it. Rules:

1. A guard is kept until its period is over. While it is not in the directory a further one stands in for it, and it
   is used again when it comes back: those chosen first are used first, and `GUARDS` at a time.
2. A guard that conflicts with where a request goes is left out for that request. Only where this leaves none is a
   further one chosen.
3. At most `MAX_KNOWN` are remembered; who makes guards come and go cannot make a client try the whole network. Only
   where none of them is left is the last one that was chosen forgotten for another.

What is remembered is a plain mapping (peer id -> when it was chosen, Unix seconds): where it is kept is the caller's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from attrs import frozen

from peernet.core.ring.paths import GUARDS, PathPeer

__all__ = ["MAX_KNOWN", "PERIOD_S", "ChooseGuards", "GuardKeeper", "KeptGuards", "keep_guards"]

PERIOD_S: Final = 28 * 24 * 3600
MAX_KNOWN: Final = 12

ChooseGuards = Callable[[Sequence[PathPeer]], Sequence[PathPeer]]
"""Draws new guards from those that may become one."""


class GuardKeeper(Protocol):
    """Whoever remembers the guards of one client."""

    def keep(
        self, relays: Mapping[str, PathPeer], endpoints: Sequence[PathPeer], choose: ChooseGuards
    ) -> tuple[PathPeer, ...]:
        """The guards to use now, as `keep_guards` has them; what it knows then is remembered."""
        ...


@frozen
class KeptGuards:
    """The guards to use now, in order, and what is to be remembered."""

    usable: tuple[PathPeer, ...]
    known: dict[str, float]


def keep_guards(
    known: Mapping[str, float],
    relays: Mapping[str, PathPeer],
    endpoints: Sequence[PathPeer],
    choose: ChooseGuards,
    now_s: float,
) -> KeptGuards:
    """Those known that still stand, filled up with new ones from `choose` as far as the rules allow.

    `relays` are the relays of the directory by peer id, `endpoints` the hosts about to be used.
    """
    # A clock that was wrong then must not keep a guard for ever: it was not chosen later than now.
    chosen = sorted(((peer, min(since_s, now_s)) for peer, since_s in known.items()), key=_by_age)
    kept = {peer: since_s for peer, since_s in chosen if now_s - since_s < PERIOD_S}
    standing = [relays[peer] for peer in kept if peer in relays]
    usable = [guard for guard in standing if not guard.conflicts_with(endpoints)]
    missing = max(GUARDS - len(standing), 0 if usable else 1)
    if missing:
        if not usable and len(kept) >= MAX_KNOWN:
            kept.popitem()
        room = MAX_KNOWN - len(kept)
        if room > 0:
            free = [relay for relay in relays.values() if not relay.conflicts_with(standing)]
            fresh = list(choose(free))[: min(missing, room)]
            usable += fresh
            kept |= {guard.peer: now_s for guard in fresh}
    return KeptGuards(tuple(usable[:GUARDS]), kept)


def _by_age(known: tuple[str, float]) -> float:
    return known[1]
