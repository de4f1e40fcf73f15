"""Guards: the few relays that a client always enters by, remembered for weeks.

A guard learns the client's address. The fewer there are over time, the fewer relays ever learn it; so a guard is
kept until its period is over or it has left the directory, and only then replaced.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from peernet.core.ring.paths import GUARDS, PathPeer

__all__ = ["GuardStore"]

PERIOD_S: Final = 28 * 24 * 3600


class GuardStore:
    """The guards of one client, in a small JSON file (peer id -> when it was chosen)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(
        self,
        relays: Mapping[str, PathPeer],
        endpoints: Iterable[PathPeer],
        choose: Callable[[Sequence[PathPeer]], Sequence[PathPeer]],
    ) -> tuple[PathPeer, ...]:
        """The guards to use now: those known that still stand, filled up with new ones from `choose`.

        A guard that conflicts with one of `endpoints` is left out for this request, and not forgotten.
        """
        now = time.time()
        known = {peer: since for peer, since in self._load().items() if now - since < PERIOD_S}
        blocked = tuple(endpoints)
        standing = [relays[peer] for peer in known if peer in relays]
        usable = [guard for guard in standing if not guard.conflicts_with(blocked)]
        if len(standing) < GUARDS:
            taken = [relay for relay in relays.values() if not relay.conflicts_with(standing)]
            fresh = list(choose(taken))[: GUARDS - len(standing)]
            usable += fresh
            self._save(known | {guard.peer: now for guard in fresh})
        return tuple(usable)

    def _load(self) -> dict[str, float]:
        if not self._path.exists():
            return {}
        try:
            content = json.loads(self._path.read_text("utf-8"))
            return {str(peer): float(since) for peer, since in content.items()}
        except (ValueError, AttributeError, TypeError):
            return {}  # a damaged file costs new guards, nothing else

    def _save(self, guards: Mapping[str, float]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(guards), "utf-8")
        part.replace(self._path)
