"""The arcs that a client has ready: built ahead of need, each used once, thrown away at random ages.

`core.ring.warm` has the rules of which and for whom; here they are kept. Rules of the keeping:

1. They are built one by one, with a random pause before each, so that neither the beginning of a request nor its end
   shows in them.
2. A client that asks for nothing builds none: `ACTIVE_S` after the last request no more are built, and those that are
   there go as they age.
3. An arc that ends while it stands by is noticed and replaced. So is one whose relays are not in the directory any
   more, or whose guard is none of the client's now.
4. Nobody waits for an arc, and no request fails for one: where there is none, the ring is built cold.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

import trio
from attrs import define, field

from peernet.client.troubles import RingTroubles
from peernet.core.errors import UserError
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.ring.warm import ARCS_A_WAY, LIFETIME_S, GuardRecord, Way, fit_ways
from peernet.net.rings import RingFailed, WarmArc

__all__ = ["ACTIVE_S", "ReadyArcs"]

ACTIVE_S: Final = 300.0
PAUSE_S: Final = (0.0, 0.4)
"""How long it waits before it builds the next way, at random between these, until it has as many as it shall have."""
REFILL_PAUSE_S: Final = (0.5, 4.0)
"""The same, once it had them all."""
_LEAST_PAUSE_S: Final = 0.05
CHECK_S: Final = 2.0
"""How often it looks whether those that it has may still be used."""
RETRY_S: Final = 30.0
"""How soon it draws again, where the network had no more relays; and the most that failures make it pause."""


class _Random(Protocol):
    def uniform(self, a: float, b: float, /) -> float: ...


@define(eq=False)
class _Ready:
    """One way, and its arcs that have not been used."""

    way: Way
    until_s: float
    arcs: list[WarmArc] = field(factory=list)


class ReadyArcs:
    """The arcs of one client, over at most `size` ways.

    Args:
        build: an arc over the relays of a way; raises `RingFailed`.
        draw: a few ways that conflict with no relay of those given; raises `TooFewRelays`.
        stands: whether a way may still be used: its relays are listed, and its guard is one of the client's.
        random: for pauses and ages.
        troubles: where it is counted what becomes of them.
    """

    def __init__(
        self,
        build: Callable[[Way], Awaitable[WarmArc]],
        draw: Callable[[Collection[PathPeer]], Sequence[Way]],
        stands: Callable[[Way], bool],
        random: _Random,
        troubles: RingTroubles,
    ) -> None:
        self._build = build
        self._draw = draw
        self._stands = stands
        self._random = random
        self._troubles = troubles
        self._size = 0
        self._ready: list[_Ready] = []
        self._lent: list[_Ready] = []
        self._drawn: list[Way] = []
        self._guards: dict[str, GuardRecord] = {}
        self._active_until_s = -math.inf
        self._failures = 0
        self._next_s = math.inf
        """When the next way is built; not known before the pause before it has begun."""
        self._too_few = False
        self._was_full = False
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those that the next request may be given, their arcs built."""
        return tuple(ready.way for ready in self._ready)

    @property
    def arcs(self) -> int:
        """How many arcs stand by."""
        return sum(len(ready.arcs) for ready in (*self._ready, *self._lent))

    async def run(self, size: int) -> None:
        """Keeps arcs ready, over `size` ways, until cancelled; then none is left."""
        self._size = size
        self.wake()
        try:
            async with trio.open_nursery() as self._nursery:
                while True:
                    self._changed = trio.Event()
                    self._discard()
                    with trio.move_on_after(self._pause_s()):
                        await self._changed.wait()
                        continue
                    if trio.current_time() >= self._next_s:
                        self._next_s = math.inf
                        await self._add()
        finally:
            self._nursery = None
            for ready in (*self._ready, *self._lent):
                for arc in ready.arcs:
                    arc.close()
            self._ready, self._lent, self._drawn = [], [], []

    def wake(self) -> None:
        """Something is, or is about to be, asked for."""
        asleep = trio.current_time() > self._active_until_s
        self._active_until_s = trio.current_time() + ACTIVE_S
        if asleep:
            self._changed.set()

    def look_again(self) -> None:
        """There may be other relays now."""
        if self._too_few:
            self._too_few = False
            self._failures = 0
            self._next_s = math.inf
            self._changed.set()

    def lend(self, paths: Sequence[RingPath], avoid: Collection[str] = ()) -> list[RingPath]:
        """The paths of one request, over ways that are ready as far as these fit; nobody else is lent them."""
        self.wake()
        self._discard()
        fitted = fit_ways(paths, self.ways, avoid)
        self._lent += [ready for ready in self._ready if ready.way in fitted.taken]
        for ready in self._ready:
            if ready.way in fitted.conflicting:
                self._throw_away(ready, "conflicting")
        self._ready = [ready for ready in self._ready if ready.way not in (*fitted.taken, *fitted.conflicting)]
        self._changed.set()
        return fitted.paths

    def take(self, relays: Way) -> WarmArc | None:
        """An arc over exactly these relays that was lent with them, for one ring; None where there is none."""
        for ready in self._lent:
            if ready.way == relays and ready.arcs:
                self._troubles.note("warm", "used")
                return ready.arcs.pop()
        return None

    def note_spoilt(self, arc: WarmArc, guard: str) -> None:
        """Counts an arc that was taken, and turned out to have ended."""
        if arc.failure is not None:
            self._note_death(guard)

    # --- keeping them ------------------------------------------------------------------------------------------------

    def _wanting(self) -> bool:
        return len(self._ready) < self._size and trio.current_time() < self._active_until_s

    def _pause_s(self) -> float:
        """How long until there is something to do: to build, or to throw away."""
        now_s = trio.current_time()
        ages = [ready.until_s - now_s for ready in (*self._ready, *self._lent)]
        check_s = max(_LEAST_PAUSE_S, min([*ages, CHECK_S] if ages else [math.inf]))
        if not self._wanting():
            self._was_full = self._was_full or len(self._ready) >= self._size
            self._next_s = math.inf
            return check_s
        if self._next_s == math.inf:
            pause_s = self._random.uniform(*(REFILL_PAUSE_S if self._was_full or self._failures else PAUSE_S))
            self._next_s = now_s + min(RETRY_S, pause_s * 2.0 ** min(self._failures, 10))
        return min(check_s, max(0.0, self._next_s - now_s))

    def _discard(self) -> None:
        """Throws away what has aged, what has gone, and what may not be used any more."""
        for kept in (self._ready, self._lent):
            for ready in kept[:]:
                if not ready.arcs:
                    kept.remove(ready)
                elif trio.current_time() >= ready.until_s:
                    kept.remove(ready)
                    self._throw_away(ready, "aged")
                elif not self._stands(ready.way):
                    kept.remove(ready)
                    self._throw_away(ready, "unlisted")

    def _throw_away(self, ready: _Ready, why: str) -> None:
        for arc in ready.arcs:
            arc.close()
            self._troubles.note("warm", why)
        ready.arcs.clear()

    async def _add(self) -> None:
        """Builds one more way."""
        way = self._next_way()
        if way is None:
            self._failures += 1
            return
        record = self._guards.setdefault(way[0].peer, GuardRecord())
        if record.shunned(trio.current_time()):
            self._failures += 1
            return
        ready = _Ready(way, trio.current_time() + self._random.uniform(*LIFETIME_S))
        try:
            for _ in range(ARCS_A_WAY):
                arc = await self._build(way)
                ready.arcs.append(arc)
                assert self._nursery is not None
                self._nursery.start_soon(self._watch, ready, arc)
        except RingFailed as error:
            self._troubles.note("not_built", error.reason)
            record.note_death(trio.current_time())
            self._failures += 1
        finally:
            if len(ready.arcs) < ARCS_A_WAY:
                self._throw_away(ready, "died")
        if len(ready.arcs) == ARCS_A_WAY:
            self._failures = 0
            record.built += 1
            self._troubles.note("warm", "built")
            self._ready.append(ready)

    def _next_way(self) -> Way | None:
        taken = [relay for ready in (*self._ready, *self._lent) for relay in ready.way[1:]]
        while self._drawn:
            way = self._drawn.pop()
            if self._stands(way) and not any(relay.conflicts_with(taken) for relay in way):
                return way
        try:
            self._drawn = [way for way in self._draw(taken) if len(way) > 1]
        except UserError:
            self._too_few = True
            return None
        return self._drawn.pop() if self._drawn else None

    async def _watch(self, ready: _Ready, arc: WarmArc) -> None:
        """Notices when an arc ends before it is taken; a way that nobody was lent goes with it."""
        await arc.stand_by()
        if arc.failure is None or arc not in ready.arcs:
            return
        ready.arcs.remove(arc)
        self._note_death(ready.way[0].peer)
        if ready in self._ready:
            self._ready.remove(ready)
            self._throw_away(ready, "died")
        self._changed.set()

    def _note_death(self, guard: str) -> None:
        self._guards.setdefault(guard, GuardRecord()).note_death(trio.current_time())
        self._troubles.note("warm", "died")
