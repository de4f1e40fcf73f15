"""The file that a client's guards are remembered in. Which they are is `core.ring.guards`."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from peernet.core.ring.guards import ChooseGuards, keep_guards
from peernet.core.ring.paths import PathPeer
from peernet.node.home import replace_file

__all__ = ["GuardStore"]


class GuardStore:
    """The guards of one client, in a small JSON file (peer id -> when it was chosen, Unix seconds)."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    def keep(
        self, relays: Mapping[str, PathPeer], endpoints: Sequence[PathPeer], choose: ChooseGuards
    ) -> tuple[PathPeer, ...]:
        """The guards to use now: those known that still stand, filled up with new ones from `choose`."""
        loaded = self._load()
        kept = keep_guards(loaded, relays, endpoints, choose, self._clock())
        if kept.known != loaded:
            self._save(kept.known)
        return kept.usable

    def known(self) -> list[str]:
        """Those remembered, the ones used first at the head; none is chosen."""
        known = self._load()
        return sorted(known, key=known.__getitem__)

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
