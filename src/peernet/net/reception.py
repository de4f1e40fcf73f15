"""Reception: somebody has come, and becomes a connection, or does not.

In this order: the gate looks at the address, and whether somebody has just misbehaved from there; the door says when
the handshake may begin; a place is taken for the connection; the transport and Noise shake hands; the gate looks at
who it is. Whatever ends that is counted by its reason, and nothing is held afterwards. What happens at each limit is
said in `net.door` and `net.resources`.

A connection that broke the protocol, or flooded this node, costs its prefix a rest: who makes new ones for that finds
the door closed, and keeps nothing busy but itself. Those of its prefix who are here already stay.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
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


class Maker(Protocol):
    """Makes a connection of a byte stream; it is driven by who asked for it."""

    def __call__(self, transport: ByteStream, place: Place, *, observed: str) -> PeerConnection:
        """The connection, whose handshake has not begun; `observed` is the IP address of the other side."""


@define(eq=False)
class _Visit:
    """One visit, while it becomes a connection."""

    incoming: Incoming
    visitor: Visitor
    take: Callable[[PeerConnection, Place], None]
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
        make: makes a connection of a byte stream.
        drive: drives a connection until it is over, and never raises.
        begin: calls what it is given when it is the turn of a prefix to cause work.
        on_failure: told the word for each handshake that failed.
    """

    def __init__(
        self,
        limits: Limits,
        gate: Gate,
        resources: Resources,
        door: Door,
        counters: Counter[str],
        make: Maker,
        drive: Callable[[PeerConnection], Awaitable[None]],
        begin: Callable[[str, Callable[[], None]], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._gate = gate
        self._resources = resources
        self._door = door
        self._counters = counters
        self._make = make
        self._drive = drive
        self._begin = begin
        self._on_failure = on_failure
        self._penalties: Backoff[str] = Backoff(limits.penalty_s, limits.penalty_max_s, limits.penalties)

    def punish(self, prefix: str) -> None:
        """A connection from `prefix` misbehaved: nobody more comes in from there for a while."""
        self._penalties.failed(prefix, trio.current_time())

    async def receive(self, incoming: Incoming, take: Callable[[PeerConnection, Place], None]) -> None:
        """Takes in who came, until the connection ends; `take` is given it when the handshake is done.

        If it comes to nothing, that is counted. (All of it runs in the task of who calls this, in one scope: a task
        and a scope more would cost as much as half of the handshake's cryptography.)
        """
        host = incoming.host
        if host is None:
            self._refuse("gone")
            return
        if not self._gate.may_accept(host):
            self._refuse("gate")
            return
        if self._penalties.rests(ip_prefix(host), trio.current_time()):
            self._refuse("penalty")
            return
        scope, entered = trio.CancelScope(), trio.Event()
        turned_away = False

        def turn_away(_: str) -> None:
            nonlocal turned_away
            turned_away = True
            self._counters["evicted:waiting" if visitor.entered_at is None else "evicted:handshake"] += 1
            scope.cancel()

        visitor = Visitor(ip_prefix(host), entered.set, turn_away)
        if not self._door.arrive(visitor, trio.current_time()):
            self._refuse("waiting_room")
            return
        visit = _Visit(incoming, visitor, take, scope, entered)
        try:
            with scope:
                await self._serve(visit)
            if scope.cancelled_caught and not turned_away:
                self._on_failure("timeout")
        finally:
            self._door.leave(visitor, trio.current_time())
            if visit.place is not None:
                self._resources.release(visit.place)

    def _refuse(self, reason: str) -> None:
        self._counters[f"refused:{reason}"] += 1

    async def _serve(self, visit: _Visit) -> None:
        if not await self._wait_turn(visit):
            self._refuse("waited_too_long")
            return
        visit.place = self._resources.take(visit.visitor.prefix)
        if visit.place is None:
            self._refuse("connections")
            return
        visit.scope.deadline = trio.current_time() + self._limits.handshake_timeout_s
        try:
            transport = await visit.incoming.open()
            host = self._recount(visit, visit.place)
        except HANDSHAKE_ERRORS as error:
            self._on_failure(handshake_failure(error))
            return
        await self._wait_for_a_quiet_moment(visit.visitor.prefix)
        connection = self._make(transport, visit.place, observed=host)
        connection.on_established = partial(self._welcome, visit, visit.place)
        await self._drive(connection)
        if not connection.established:
            self._on_failure("closed" if connection.failure is None else connection.failure.reason)

    async def _wait_for_a_quiet_moment(self, prefix: str) -> None:
        """Waits until it is the turn of `prefix` to begin with a handshake's cryptography."""
        began = trio.Event()
        self._begin(prefix, began.set)
        if not began.is_set():
            await began.wait()

    def _welcome(self, visit: _Visit, place: Place, connection: PeerConnection) -> None:
        """The handshake is done: what it held is free, and the gate looks at who it is."""
        visit.scope.deadline = float("inf")
        self._door.leave(visit.visitor, trio.current_time())
        if self._gate.may_stay(connection.peer, visit.incoming.host):
            visit.take(connection, place)
        else:
            connection.close("the gate of this node does not let it in")
            self._refuse("gate")

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
