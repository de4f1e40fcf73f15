"""The door: who comes in for a handshake, who waits, and who has to give way. Time is an argument, and nothing waits.

Rules:

1. Handshakes in flight are bounded in total and per address prefix. Whoever comes then waits; that is bounded, too.
2. Within a prefix, who came first is served first; prefixes take turns. So a prefix that sends a thousand holds up
   itself, and hardly anybody else.
3. A handshake may take its time while nobody waits for its place. When somebody does, one that is older than the
   grace gives way, the oldest first: of the same prefix where that is what is full, else of all.
4. When as many wait as may, a newcomer is refused, unless another prefix has at least two more waiting than its own:
   then the one who came last there gives way.

Every step takes constant time.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from attrs import define

from peernet.net.crowds import Crowds
from peernet.net.limits import Limits

__all__ = ["Door", "Visitor"]

FAIR_MARGIN: Final = 2
"""How many more a prefix has, at least, when it gives way to another: so that two do not turn each other out."""


@define(eq=False)
class Visitor:
    """Somebody who came, until its handshakes are done: those of the transport, and ours.

    `let_in` is called when the handshake may begin, `turn_away` when it has to end, with the limit that says so.
    """

    prefix: str
    let_in: Callable[[], None]
    turn_away: Callable[[str], None]
    entered_at: float | None = None
    """When its handshake began; None while it waits."""


class Door:
    """Who is in a handshake, and who waits for one.

    Args:
        limits: the bounds.
        on_limit: told the name of each limit that somebody meets, be it to wait, to give way or to be refused.
    """

    def __init__(self, limits: Limits, on_limit: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_limit = on_limit
        # Oldest first, in total and by prefix.
        self._inside: OrderedDict[Visitor, None] = OrderedDict()
        self._inside_of: dict[str, OrderedDict[Visitor, None]] = {}
        self._waiting: dict[str, OrderedDict[Visitor, None]] = {}
        self._waiting_crowds = Crowds()
        self._waiting_count = 0
        # Prefixes of which somebody waits and could come in if there were a place at all; in turn.
        self._ready: OrderedDict[str, None] = OrderedDict()

    @property
    def inside(self) -> int:
        """Handshakes in flight."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting_count

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        held = (self._inside, self._inside_of, self._waiting, self._ready)
        return not any(held) and not len(self._waiting_crowds) and not self._waiting_count

    def arrive(self, visitor: Visitor, now: float) -> bool:
        """Takes a newcomer in, now or when it is its turn; False if not even waiting is possible."""
        limit = self._full_for(visitor.prefix)
        if limit is not None:
            self._on_limit(limit)
            if not self._make_room_to_wait(visitor.prefix):
                return False
        self._enqueue(visitor)
        self._fill(now)
        if visitor.entered_at is None:
            self.relieve(visitor, now)
        return True

    def leave(self, visitor: Visitor, now: float) -> None:
        """The visitor is done, or has gone, or was turned away; nothing for one that left before."""
        if visitor in self._inside:
            self._drop_inside(visitor)
        elif visitor in self._waiting.get(visitor.prefix, ()):
            self._drop_waiting(visitor)
        self._fill(now)

    def move(self, visitor: Visitor, prefix: str, now: float) -> None:
        """The visitor, inside, counts under another prefix, as its transport has learned; it is not turned away."""
        if visitor not in self._inside:
            return
        self._drop_inside_of(visitor)
        visitor.prefix = prefix
        self._inside_of.setdefault(prefix, OrderedDict())[visitor] = None
        self._note_ready(prefix)
        self._fill(now)

    def relief_at(self, visitor: Visitor) -> float:
        """When the handshake in this waiting visitor's way will have had its grace: `relieve` then."""
        oldest = self._in_the_way_of(visitor)
        assert oldest.entered_at is not None
        return oldest.entered_at + self._limits.handshake_grace_s

    def relieve(self, visitor: Visitor, now: float) -> None:
        """Ends the oldest handshake in a waiting visitor's way, if it has had its grace."""
        if visitor.entered_at is None and now >= self.relief_at(visitor):
            oldest = self._in_the_way_of(visitor)
            self._drop_inside(oldest)
            self._on_limit("handshake_grace")
            oldest.turn_away("handshake_grace")
            self._fill(now)

    def _full_for(self, prefix: str) -> str | None:
        """The limit that keeps a newcomer of `prefix` waiting."""
        if len(self._inside_of.get(prefix, ())) >= self._limits.handshakes_per_prefix:
            return "handshakes_per_prefix"
        if len(self._inside) >= self._limits.handshakes_in_flight:
            return "handshakes_in_flight"
        return None

    def _in_the_way_of(self, visitor: Visitor) -> Visitor:
        same = self._inside_of.get(visitor.prefix, ())
        return next(iter(same if len(same) >= self._limits.handshakes_per_prefix else self._inside))

    def _make_room_to_wait(self, prefix: str) -> bool:
        if len(self._waiting.get(prefix, ())) >= self._limits.handshakes_waiting_per_prefix:
            self._on_limit("handshakes_waiting_per_prefix")
            return False
        if self._waiting_count < self._limits.handshakes_waiting:
            return True
        self._on_limit("handshakes_waiting")
        crowded = self._waiting_crowds.largest
        if crowded is None or self._waiting_crowds[crowded] < self._waiting_crowds[prefix] + FAIR_MARGIN:
            return False
        last = next(reversed(self._waiting[crowded]))
        self._drop_waiting(last)
        last.turn_away("handshakes_waiting")
        return True

    def _enqueue(self, visitor: Visitor) -> None:
        self._waiting.setdefault(visitor.prefix, OrderedDict())[visitor] = None
        self._waiting_crowds.add(visitor.prefix)
        self._waiting_count += 1
        self._note_ready(visitor.prefix)

    def _fill(self, now: float) -> None:
        """Lets in those whose turn it is. One who came is let in at once, so this ends after few of them."""
        while self._ready and len(self._inside) < self._limits.handshakes_in_flight:
            prefix = next(iter(self._ready))
            visitor = next(iter(self._waiting[prefix]))
            self._drop_waiting(visitor)
            visitor.entered_at = now
            self._inside[visitor] = None
            self._inside_of.setdefault(prefix, OrderedDict())[visitor] = None
            self._ready.pop(prefix, None)
            self._note_ready(prefix)
            visitor.let_in()

    def _drop_inside(self, visitor: Visitor) -> None:
        del self._inside[visitor]
        self._drop_inside_of(visitor)

    def _drop_inside_of(self, visitor: Visitor) -> None:
        same = self._inside_of[visitor.prefix]
        del same[visitor]
        if not same:
            del self._inside_of[visitor.prefix]
        self._note_ready(visitor.prefix)

    def _drop_waiting(self, visitor: Visitor) -> None:
        same = self._waiting[visitor.prefix]
        del same[visitor]
        if not same:
            del self._waiting[visitor.prefix]
        self._waiting_crowds.remove(visitor.prefix)
        self._waiting_count -= 1
        self._note_ready(visitor.prefix)

    def _note_ready(self, prefix: str) -> None:
        """Keeps `_ready` true after a change of `prefix`; one that stays in it keeps its turn."""
        has_room = len(self._inside_of.get(prefix, ())) < self._limits.handshakes_per_prefix
        if has_room and prefix in self._waiting:
            self._ready.setdefault(prefix, None)
        else:
            self._ready.pop(prefix, None)
