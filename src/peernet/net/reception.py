"""Reception: somebody has come, and becomes a connection, or does not.

In this order: the gate looks at the address, and whether somebody has just misbehaved from there; the door says when
the handshake may begin; a place is taken for the connection; the transport and Noise shake hands; the gate looks at
who it is. Whatever ends that is counted by its reason, and nothing is held afterwards. What happens at each limit is
said in `net.door` and `net.resources`.

A connection that broke the protocol, or flooded this node, costs its prefix a rest: who makes new ones for that finds
the door closed, and keeps nothing busy but itself. Those of its prefix who are here already stay.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import trio
from attrs import define

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.prefixes import ip_prefix
from peernet.net.backoff import Backoff
from peernet.net.connection import PeerConnection
from peernet.net.door import Door, Visitor
from peernet.net.gating import Gate
from peernet.net.limits import Limits
from peernet.net.resources import Place, Resources
from peernet.net.transports.port import ByteStream, Incoming

__all__ = ["HANDSHAKE_ERRORS", "Reception", "handshake_failure"]

HANDSHAKE_ERRORS = (RemoteProtocolError, ConnectionFailed, trio.TooSlowError)


def handshake_failure(error: BaseException) -> str:
    """The word that a failed handshake is counted under."""
    if isinstance(error, RemoteProtocolError):
        return error.reason
    return "timeout" if isinstance(error, trio.TooSlowError) else "closed"


class Starter(Protocol):
    """Starts to drive a connection over a byte stream."""

    def __call__(self, transport: ByteStream, place: Place, *, observed: str) -> PeerConnection:
        """The connection, whose handshake has begun; `observed` is the IP address of the other side."""


@define(eq=False)
class _Visit:
    """One visit, while it becomes a connection."""

    incoming: Incoming
    visitor: Visitor
    scope: trio.CancelScope
    entered: trio.Event
    place: Place | None = None


class Reception:
    """Who comes to one node.

    Args:
        limits: the bounds.
        gate: who may come.
        resources: where places for connections are taken.
        door: who may begin a handshake.
        counters: what happens is counted here.
        start: drives a connection.
        on_failure: told the word for each handshake that failed.
    """

    def __init__(
        self,
        limits: Limits,
        gate: Gate,
        resources: Resources,
        door: Door,
        counters: Counter[str],
        start: Starter,
        on_failure: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._gate = gate
        self._resources = resources
        self._door = door
        self._counters = counters
        self._start = start
        self._on_failure = on_failure
        self._penalties: Backoff[str] = Backoff(limits.penalty_s, limits.penalty_max_s, limits.penalties)

    def punish(self, prefix: str) -> None:
        """A connection from `prefix` misbehaved: nobody more comes in from there for a while."""
        self._penalties.failed(prefix, trio.current_time())

    async def receive(self, incoming: Incoming) -> tuple[PeerConnection, Place] | None:
        """The connection, its handshake done and its place taken; None if it comes to nothing, which is counted."""
        host = incoming.host
        if host is None:
            self._refuse("gone")
            return None
        if not self._gate.may_accept(host):
            self._refuse("gate")
            return None
        if self._penalties.rests(ip_prefix(host), trio.current_time()):
            self._refuse("penalty")
            return None
        scope, entered = trio.CancelScope(), trio.Event()

        def turn_away(_: str) -> None:
            self._counters["evicted:waiting" if visitor.entered_at is None else "evicted:handshake"] += 1
            scope.cancel()

        visitor = Visitor(ip_prefix(host), entered.set, turn_away)
        if not self._door.arrive(visitor, trio.current_time()):
            self._refuse("waiting_room")
            return None
        visit = _Visit(incoming, visitor, scope, entered)
        connection: PeerConnection | None = None
        try:
            with scope:
                connection = await self._serve(visit)
            if connection is not None and scope.cancel_called:
                connection.close("it was still in its handshake when others needed its place")
                connection = None
        finally:
            self._door.leave(visitor, trio.current_time())
            if connection is None and visit.place is not None:
                self._resources.release(visit.place)
        if connection is None or visit.place is None:
            return None
        return connection, visit.place

    def _refuse(self, reason: str) -> None:
        self._counters[f"refused:{reason}"] += 1

    async def _serve(self, visit: _Visit) -> PeerConnection | None:
        if not await self._wait_turn(visit):
            self._refuse("waited_too_long")
            return None
        visit.place = self._resources.take(visit.visitor.prefix)
        if visit.place is None:
            self._refuse("connections")
            return None
        connection = await self._shake_hands(visit, visit.place)
        if connection is not None and not self._gate.may_stay(connection.peer, visit.incoming.host):
            connection.close("the gate of this node does not let it in")
            self._refuse("gate")
            return None
        return connection

    async def _wait_turn(self, visit: _Visit) -> bool:
        """Waits until the handshake may begin; False if that takes too long."""
        if visit.entered.is_set():
            return True
        with trio.move_on_after(self._limits.handshake_wait_s):
            while not visit.entered.is_set():
                with trio.move_on_at(self._door.relief_at(visit.visitor)):
                    await visit.entered.wait()
                self._door.relieve(visit.visitor, trio.current_time())
        return visit.entered.is_set()

    async def _shake_hands(self, visit: _Visit, place: Place) -> PeerConnection | None:
        """The connection when all handshakes are done; None when they failed, which is counted."""
        connection: PeerConnection | None = None
        try:
            with trio.fail_after(self._limits.handshake_timeout_s):
                transport = await visit.incoming.open()
                host = self._recount(visit, place)
                connection = self._start(transport, place, observed=host)
                await connection.wait_established()
        except HANDSHAKE_ERRORS as error:
            self._on_failure(handshake_failure(error))
            if connection is not None:
                connection.close()
                # It may say why, before the listener closes the socket.
                await connection.closed.wait()
            return None
        except BaseException:
            if connection is not None:
                connection.close("its handshake was given up")
            raise
        return connection

    def _recount(self, visit: _Visit, place: Place) -> str:
        """Who is there, which the transport may have learned only now; raises `RemoteProtocolError` to refuse it."""
        host = visit.incoming.host
        assert host is not None
        prefix = ip_prefix(host)
        if prefix != visit.visitor.prefix:
            self._door.move(visit.visitor, prefix, trio.current_time())
            if not self._gate.may_accept(host):
                raise RemoteProtocolError("this node lets nobody in from there", reason="gate")
            if self._penalties.rests(prefix, trio.current_time()):
                raise RemoteProtocolError("this node lets nobody in from there for now", reason="penalty")
            if not self._resources.move(place, prefix):
                raise RemoteProtocolError("this node bears no more connections from there", reason="connections")
        return host
