"""The resource manager: what a node may hold of connections, streams and memory, per peer, per prefix and in total.

Rules:

1. A place is taken before work begins: by a connection when its handshake begins, by a stream when it is opened, by a
   window before it grows. Giving a place back twice does nothing, and what holds nothing is forgotten.
2. A connection that meets the limit of its prefix, or the total, gets the place of the connection there that has been
   idle (without a stream) longest. We do not search: of `LOOKS` connections the idlest is taken, and those among them
   that are busy go to the end of the order. `refresh`, which the owner calls now and then, keeps idle ones in front.
3. Where none is idle, the prefix with the most connections gives up the one unused for longest, if it has at least
   `FAIR_MARGIN` more than the newcomer's; one that we dialled is never given up so. So nobody keeps all others out by
   being busy. Otherwise the newcomer is refused.
4. A peer's connections make room for that peer's own: beyond its limit the one unused for longest is closed, busy or
   not.
5. A stream that meets a limit, of its peer, its prefix or the total, gets the place of the oldest stream there that
   has not agreed on its protocol; where there is none, it is refused. A stream that is served is never given up. Of
   one peer only so many may be undecided: more are refused. `Place.refused` counts what a connection was refused.
6. Memory is for windows that grow beyond their first size. It is given while it lasts; a window that gets none stays
   as it is, which costs speed and nothing else.

A step costs constant time: `LOOKS` is its bound.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, Protocol

from attrs import define, field

from peernet.net.crowds import Crowds
from peernet.net.limits import Limits

__all__ = ["FAIR_MARGIN", "LOOKS", "Place", "Resources", "StreamPlace", "WindowAccount"]

LOOKS: Final = 16
FAIR_MARGIN: Final = 2

_TOTAL: Final = ""


class Occupant(Protocol):
    """What is to be known of a connection."""

    @property
    def stream_count(self) -> int:
        """Streams open now."""

    @property
    def last_used(self) -> float:
        """When one of its streams last moved, or the connection was made."""

    def close(self, why: str) -> None:
        """Ends it now."""


@define(eq=False)
class Place:
    """What one connection holds."""

    prefix: str
    dialled_by_us: bool = False
    occupant: Occupant | None = None
    """The connection, when its handshake is done: before that it cannot be given up."""
    peer: bytes | None = None
    released: bool = False
    memory: int = 0
    refused: int = 0
    """Streams of it that were refused or given up."""
    streams: "OrderedDict[StreamPlace, None]" = field(factory=OrderedDict)


@define(eq=False)
class StreamPlace:
    """What one stream holds."""

    place: Place
    give_up: Callable[[], None]
    released: bool = False


class _Scope:
    """What a peer, a prefix or the whole node holds."""

    __slots__ = ("connections", "memory", "settled", "streams", "unsettled")

    def __init__(self) -> None:
        self.connections = 0
        # Connections whose handshake is done, in the order in which their use was seen last.
        self.settled: OrderedDict[Place, None] = OrderedDict()
        self.streams = 0
        # Streams that have not agreed on a protocol, oldest first.
        self.unsettled: OrderedDict[StreamPlace, None] = OrderedDict()
        self.memory = 0

    @property
    def empty(self) -> bool:
        return not (self.connections or self.streams or self.memory)


class Resources:
    """The places of one node.

    Args:
        limits: the bounds.
        on_limit: told the name of each limit that is met.
    """

    def __init__(self, limits: Limits, on_limit: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_limit = on_limit
        self._total = _Scope()
        self._prefixes: dict[str, _Scope] = {}
        self._peers: dict[bytes, _Scope] = {}
        self._crowds = Crowds()

    @property
    def connections(self) -> int:
        """Places that connections hold."""
        return self._total.connections

    @property
    def streams(self) -> int:
        """Places that streams hold."""
        return self._total.streams

    @property
    def memory(self) -> int:
        """Bytes that windows have grown by."""
        return self._total.memory

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return self._total.empty and not self._prefixes and not self._peers and not len(self._crowds)

    # Connections.

    def take(self, prefix: str) -> Place | None:
        """A place for a connection from `prefix` whose handshake begins; None if there is none (rules 2 and 3)."""
        scope = self._prefixes.get(prefix)
        if scope is not None and scope.connections >= self._limits.connections_per_prefix:
            self._on_limit("connections_per_prefix")
            if not self._give_up_idle(scope):
                return None
        if not self._has_room(prefix):
            return None
        place = Place(prefix)
        self._enter(place)
        return place

    def take_for_dial(self) -> Place | None:
        """A place for a connection that we dial; None if there is none. Its prefix is known when it is `settle`d."""
        if not self._has_room(_TOTAL):
            return None
        place = Place(_TOTAL, dialled_by_us=True)
        self._enter(place)
        return place

    def move(self, place: Place, prefix: str) -> bool:
        """The connection counts under another prefix, as its transport has learned; False if that one is full."""
        self._exit(place)
        scope = self._prefixes.get(prefix)
        place.prefix = prefix
        full = scope is not None and scope.connections >= self._limits.connections_per_prefix
        if full and scope is not None:
            self._on_limit("connections_per_prefix")
            full = not self._give_up_idle(scope)
        self._enter(place)
        return not full

    def settle(self, place: Place, occupant: Occupant, peer: bytes, prefix: str) -> None:
        """The handshake is done: the connection counts for its peer, and can be given up from now on (rule 4)."""
        assert not place.released
        if place.prefix != prefix:
            self._exit(place)
            place.prefix = prefix
            self._enter(place)
        owner = self._peers.setdefault(peer, _Scope())
        while owner.connections >= self._limits.connections_per_peer:
            self._on_limit("connections_per_peer")
            unused = _least_used(islice(owner.settled, LOOKS))
            assert unused is not None
            self._give_up(unused, "another connection of the same peer took its place")
        place.occupant, place.peer = occupant, peer
        # Its own eviction may have emptied, and so forgotten, the scope.
        owner = self._peers.setdefault(peer, owner)
        owner.connections += 1
        for scope in self._scopes(place):
            scope.settled[place] = None

    def release(self, place: Place) -> None:
        """The connection is over, and so are its streams."""
        if place.released:
            return
        for stream in tuple(place.streams):
            self.release_stream(stream)
        self._return_memory(place, place.memory)
        place.released = True
        self._exit(place)
        if place.peer is not None:
            owner = self._peers[place.peer]
            owner.connections -= 1
            owner.settled.pop(place, None)
            if owner.empty:
                del self._peers[place.peer]

    def refresh(self) -> None:
        """Puts the connections that are busy at the end of each order: this looks at all, and is for a timer."""
        for scope in (self._total, *self._prefixes.values()):
            for place in [place for place in scope.settled if place.occupant and place.occupant.stream_count]:
                scope.settled.move_to_end(place)

    def _has_room(self, prefix: str) -> bool:
        """Whether the node has a place for one more, after making one if need be."""
        if self._total.connections < self._limits.connections:
            return True
        self._on_limit("connections")
        if self._give_up_idle(self._total):
            return True
        crowded = self._crowds.largest
        if crowded is None or self._crowds[crowded] < self._crowds[prefix] + FAIR_MARGIN:
            return False
        looked_at = islice(self._prefixes[crowded].settled, LOOKS)
        unused = _least_used(place for place in looked_at if not place.dialled_by_us)
        if unused is None:
            return False
        self._give_up(unused, "others needed its place more")
        return True

    def _give_up_idle(self, scope: _Scope) -> bool:
        looked_at = list(islice(scope.settled, LOOKS))
        idle = [place for place in looked_at if place.occupant is not None and not place.occupant.stream_count]
        for place in looked_at:
            if place not in idle:
                scope.settled.move_to_end(place)
        unused = _least_used(idle)
        if unused is None:
            return False
        self._give_up(unused, "it was idle when others needed its place")
        return True

    def _give_up(self, place: Place, why: str) -> None:
        assert place.occupant is not None
        # At once, so that the next newcomer finds another one.
        self.release(place)
        place.occupant.close(why)

    def _enter(self, place: Place) -> None:
        self._total.connections += 1
        if place.prefix != _TOTAL:
            self._prefixes.setdefault(place.prefix, _Scope()).connections += 1
            self._crowds.add(place.prefix)

    def _exit(self, place: Place) -> None:
        self._total.connections -= 1
        self._total.settled.pop(place, None)
        if place.prefix != _TOTAL:
            scope = self._prefixes[place.prefix]
            scope.connections -= 1
            scope.settled.pop(place, None)
            self._crowds.remove(place.prefix)
            if scope.empty:
                del self._prefixes[place.prefix]

    def _scopes(self, place: Place) -> list[_Scope]:
        """The scopes of a connection whose handshake is done: its peer's, its prefix's, all."""
        assert place.peer is not None
        return [self._peers[place.peer], self._prefixes[place.prefix], self._total]

    # Streams.

    def take_stream(self, place: Place, give_up: Callable[[], None]) -> StreamPlace | None:
        """A place for a stream that the other side opened; None if there is none (rule 5)."""
        if place.released:
            return None
        limits = self._limits
        assert place.peer is not None
        if len(self._peers[place.peer].unsettled) >= limits.streams_undecided:
            self._on_limit("streams_undecided")
            place.refused += 1
            return None
        bounds = (
            ("streams_per_peer", limits.streams_per_peer),
            ("streams_per_prefix", limits.streams_per_prefix),
            ("streams", limits.streams),
        )
        for (name, bound), scope in zip(bounds, self._scopes(place), strict=True):
            if scope.streams >= bound:
                self._on_limit(name)
                if not scope.unsettled:
                    place.refused += 1
                    return None
                oldest = next(iter(scope.unsettled))
                oldest.place.refused += 1
                self.release_stream(oldest)
                oldest.give_up()
        stream = StreamPlace(place, give_up)
        place.streams[stream] = None
        for scope in self._scopes(place):
            scope.streams += 1
            scope.unsettled[stream] = None
        return stream

    def settle_stream(self, stream: StreamPlace) -> None:
        """The stream has agreed on its protocol: it is not given up any more."""
        if not stream.released:
            for scope in self._scopes(stream.place):
                scope.unsettled.pop(stream, None)

    def release_stream(self, stream: StreamPlace) -> None:
        """The stream is over."""
        if stream.released:
            return
        stream.released = True
        del stream.place.streams[stream]
        for scope in self._scopes(stream.place):
            scope.streams -= 1
            scope.unsettled.pop(stream, None)

    # Memory.

    def reserve(self, place: Place, size_bytes: int) -> bool:
        """Whether a window of this connection may grow by so much, which is held from now on (rule 6)."""
        if place.released or place.peer is None:
            return False
        limits = self._limits
        bounds = (
            ("window_memory_per_peer", limits.window_memory_per_peer),
            ("window_memory_per_prefix", limits.window_memory_per_prefix),
            ("window_memory", limits.window_memory),
        )
        scopes = self._scopes(place)
        for (name, bound), scope in zip(bounds, scopes, strict=True):
            if scope.memory + size_bytes > bound:
                self._on_limit(name)
                return False
        place.memory += size_bytes
        for scope in scopes:
            scope.memory += size_bytes
        return True

    def give_back(self, place: Place, size_bytes: int) -> None:
        """A window that had grown by so much is gone; with the connection all of it is given back."""
        if not place.released:
            assert size_bytes <= place.memory
            self._return_memory(place, size_bytes)

    def _return_memory(self, place: Place, size_bytes: int) -> None:
        if size_bytes:
            place.memory -= size_bytes
            for scope in self._scopes(place):
                scope.memory -= size_bytes


def _least_used(places: Iterable[Place]) -> Place | None:
    """The one whose connection has been unused for longest."""
    known = [(place.occupant.last_used, place) for place in places if place.occupant is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


@define(eq=False)
class WindowAccount:
    """What one connection's windows may grow by: the budget that yamux asks."""

    _resources: Resources
    place: Place

    def reserve(self, size_bytes: int) -> bool:
        """Whether a window may grow by so much."""
        return self._resources.reserve(self.place, size_bytes)

    def release(self, size_bytes: int) -> None:
        """Gives it back."""
        self._resources.give_back(self.place, size_bytes)
