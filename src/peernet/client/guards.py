"""Guards: the few relays that a client always enters by, remembered for weeks.

A guard learns the client's address. The fewer there are over time, the fewer relays ever learn it. Rules:

1. A guard is kept until its period is over. While it is not in the directory a further one stands in for it, and it
   is used again when it comes back: those chosen first are used first, and `GUARDS` at a time.
2. A guard that conflicts with where a request goes is left out for that request. Only where this leaves none is a
   further one chosen.
3. At most `MAX_KNOWN` are remembered; who makes guards come and go cannot make a client try the whole network. Only
   where none of them is left is the last one that was chosen forgotten for another.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from peernet.core.ring.paths import GUARDS, PathPeer
from peernet.node.home import replace_file

__all__ = ["GuardStore"]

PERIOD_S: Final = 28 * 24 * 3600
MAX_KNOWN: Final = 12


class GuardStore:
    """The guards of one client, in a small JSON file (peer id -> when it was chosen, Unix seconds)."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    def keep(
        self,
        relays: Mapping[str, PathPeer],
        endpoints: Iterable[PathPeer],
        choose: Callable[[Sequence[PathPeer]], Sequence[PathPeer]],
    ) -> tuple[PathPeer, ...]:
        """The guards to use now: those known that still stand, filled up with new ones from `choose`."""
        now = self._clock()
        # A clock that was wrong then must not keep a guard for ever: it was not chosen later than now.
        loaded = self._load()
        chosen = {peer: min(since, now) for peer, since in loaded.items()}
        known = {peer: since for peer, since in sorted(chosen.items(), key=_by_age) if now - since < PERIOD_S}
        if chosen != loaded:
            self._save(known)
        blocked = tuple(endpoints)
        standing = [relays[peer] for peer in known if peer in relays]
        usable = [guard for guard in standing if not guard.conflicts_with(blocked)]
        missing = max(GUARDS - len(standing), 0 if usable else 1)
        if not usable and len(known) >= MAX_KNOWN:
            known.popitem()
        if missing and len(known) < MAX_KNOWN:
            free = [relay for relay in relays.values() if not relay.conflicts_with(standing)]
            fresh = list(choose(free))[: min(missing, MAX_KNOWN - len(known))]
            usable += fresh
            self._save(known | {guard.peer: now for guard in fresh})
        return tuple(usable[:GUARDS])

    def _load(self) -> dict[str, float]:
        if not self._path.exists():
            return {}
        try:
            content = json.loads(self._path.read_text("utf-8"))
            return {str(peer): float(since) for peer, since in content.items()}
        except (ValueError, AttributeError, TypeError):
            return {}  # a damaged file costs new guards, nothing else

    def _save(self, guards: Mapping[str, float]) -> None:
        replace_file(self._path, json.dumps(guards).encode())


def _by_age(known: tuple[str, float]) -> float:
    return known[1]
