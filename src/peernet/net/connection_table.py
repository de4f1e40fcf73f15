"""The connections of one node: all that are driven, those that are held, and the one that a peer is talked to over.

Rules:

1. One connection is used per peer pair. Where a race, or a peer that lost its state, made a second one, both sides
   settle on the same: a direct one before one through a relay, then the newer of two that the same side dialled, else
   the one that the smaller peer id dialled. The other is left to go idle.
2. One that ends, or gives up its place to others, is forgotten at once; another one to the same peer takes over.
3. Who is protected is never idle, and a connection to them is not closed for that.
"""

from collections import Counter
from collections.abc import Callable

from attrs import define, frozen

from peernet.core.identity import PeerId
from peernet.net.connection import PeerConnection
from peernet.net.outgoing import RELAY
from peernet.net.resources import Place, Resources

__all__ = ["ConnectionTable", "Held"]


@define(eq=False)
class Held:
    """What a node knows of a connection beyond the connection itself."""

    place: Place
    transport: str
    dialled_by_us: bool

    @property
    def relayed(self) -> bool:
        """Whether it goes through a relay."""
        return self.transport == RELAY

    @property
    def came_directly(self) -> bool:
        """Whether the peer has made it itself, and not through a relay."""
        return not (self.dialled_by_us or self.relayed)


@frozen
class _Occupant:
    """A connection as the resource manager sees it: one that is protected is never idle."""

    connection: PeerConnection
    give_up: Callable[[PeerConnection, str], None]
    is_protected: Callable[[PeerId], bool]

    @property
    def stream_count(self) -> int:
        return self.connection.stream_count + self.is_protected(self.connection.peer)

    @property
    def last_used(self) -> float:
        return self.connection.last_used

    def close(self, why: str) -> None:
        self.give_up(self.connection, why)


class ConnectionTable:
    """The connections of the node that is `own`."""

    def __init__(self, own: PeerId, resources: Resources, counters: Counter[str]) -> None:
        self._own = own
        self._resources = resources
        self._counters = counters
        self._protected: Counter[PeerId] = Counter()
        self._past_bytes_received = 0
        self._past_bytes_sent = 0
        self.used: dict[PeerId, PeerConnection] = {}
        """The connections that are used, one a peer."""
        self.held: dict[PeerConnection, Held] = {}
        """Those whose handshake is done."""
        self.running: set[PeerConnection] = set()
        """All that are driven, from the beginning of the handshake to the end of the tasks."""

    @property
    def bytes_received(self) -> int:
        """What came over all connections so far."""
        return self._past_bytes_received + sum(connection.bytes_received for connection in self.running)

    @property
    def bytes_sent(self) -> int:
        """What went over all connections so far."""
        return self._past_bytes_sent + sum(connection.bytes_sent for connection in self.running)

    def by_kind(self) -> Counter[tuple[str, str]]:
        """How many connections there are of each direction (`in`, `out`) and transport."""
        return Counter(("out" if held.dialled_by_us else "in", held.transport) for held in self.held.values())

    def usable(self, peer: PeerId, *, direct: bool) -> PeerConnection | None:
        """The connection that `peer` is talked to over, if it takes streams; not one through a relay if `direct`."""
        connection = self.used.get(peer)
        if connection is None or not connection.alive or connection.draining:
            return None
        return None if direct and self.held[connection].relayed else connection

    def is_reached_by(self, peer: PeerId) -> bool:
        """Whether `peer` has made a connection to this node itself, and not through a relay, that is still there."""
        return any(
            connection.alive and connection.peer == peer and held.came_directly
            for connection, held in self.held.items()
        )

    def protect(self, peer: PeerId) -> None:
        """Keeps connections to `peer` from being closed for idleness, until `unprotect` was called as often."""
        self._protected[peer] += 1

    def unprotect(self, peer: PeerId) -> None:
        """Undoes one `protect`."""
        self._protected -= Counter({peer: 1})

    def adopt(self, connection: PeerConnection, held: Held, prefix: str) -> None:
        """Takes a connection whose handshake is done, and settles which one its peer is talked to over (rule 1)."""
        self._counters[f"{'dialled' if held.dialled_by_us else 'accepted'}:{held.transport}"] += 1
        self.held[connection] = held
        self._resources.settle(
            held.place, _Occupant(connection, self._give_up, self._is_protected), connection.peer.public_key, prefix
        )
        used = self.used.get(connection.peer)
        if (
            used is None
            or not used.alive
            or used.draining
            or self._is_preferred(connection.peer, held, self.held[used])
        ):
            self.used[connection.peer] = connection

    def end(self, connection: PeerConnection) -> None:
        """A connection is not driven any more."""
        self._let_go(connection)
        self.running.discard(connection)
        self._past_bytes_received += connection.bytes_received
        self._past_bytes_sent += connection.bytes_sent

    def sweep(self, idle_since: float) -> None:
        """Closes what has been idle since then, and has each connection look after its peer."""
        for connection in tuple(self.held):
            if self._is_idle(connection) and connection.last_used < idle_since:
                connection.close("it was idle")
            connection.check()

    def _is_preferred(self, peer: PeerId, newer: Held, used: Held) -> bool:
        if newer.relayed != used.relayed:
            return used.relayed
        if newer.dialled_by_us == used.dialled_by_us:
            return True
        return newer.dialled_by_us == (self._own < peer)

    def _let_go(self, connection: PeerConnection) -> None:
        """Forgets a connection; another one to the same peer, if there is one, takes its place."""
        held = self.held.pop(connection, None)
        if held is None:
            return
        self._resources.release(held.place)
        if self.used.get(connection.peer) is not connection:
            return
        del self.used[connection.peer]
        for other in self.held:
            if other.alive and other.peer == connection.peer:
                self.used[other.peer] = other

    def _give_up(self, connection: PeerConnection, why: str) -> None:
        """Closes a connection whose place others need, and forgets it at once."""
        self._counters["evicted:connection"] += 1
        connection.close(why)
        self._let_go(connection)

    def _is_protected(self, peer: PeerId) -> bool:
        return self._protected[peer] > 0

    def _is_idle(self, connection: PeerConnection) -> bool:
        return not connection.stream_count and not self._is_protected(connection.peer)
