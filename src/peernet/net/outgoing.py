"""Outgoing: a peer that is wanted becomes a connection, over whichever of its addresses answers first.

A place is taken for the whole race (`net.dialling`), and each attempt is asked of the gate, opens the transport, and
shakes hands. What comes of an attempt is counted. An address that failed rests (`net.backoff`), as that peer's: who
claims another's address spoils it for itself alone. A dial that fails or is cancelled holds nothing.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, Protocol

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.net.addresses import Address, TcpAddress, WebSocketAddress
from peernet.net.backoff import Backoff
from peernet.net.connection import PeerConnection
from peernet.net.dialling import DIAL_ERRORS, MAX_TOLD, Target, race, reason_of
from peernet.net.gating import Gate
from peernet.net.limits import Limits
from peernet.net.reception import handshake_failure
from peernet.net.resources import Place, Resources
from peernet.net.transports.port import ByteStream

__all__ = ["NOT_DECRYPTED", "RELAY", "Dialled", "Outgoing", "transport_of"]

NOT_DECRYPTED: Final = "bad_tag"
"""The reason for which a handshake fails when the two sides have other swarm keys."""

RELAY: Final = "relay"
"""The word for what goes through a relay."""


def transport_of(address: Address) -> str:
    """The word for the transport of an address, for counting."""
    match address:
        case TcpAddress():
            return "tcp"
        case WebSocketAddress():
            return "wss" if address.tls else "ws"
    return RELAY


@frozen
class Dialled:
    """What won a race."""

    connection: PeerConnection
    place: Place
    transport: str
    ip: str

    def close(self) -> None:
        """Ends it now."""
        self.connection.close("it came second")


class Starter(Protocol):
    """Starts to drive a connection over a byte stream."""

    def __call__(
        self, transport: ByteStream, place: Place, *, expected: PeerId | None, observed: str
    ) -> PeerConnection:
        """The connection, whose handshake has begun; `observed` is the IP address of the other side."""


class _Gated(Exception):
    """The gate does not let an address be dialled: which is no failure of the address."""


class Outgoing:
    """Whom one node dials.

    Args:
        limits: the bounds.
        gate: who may be dialled.
        resources: where places for connections are taken.
        counters: what happens is counted here.
        resolve: the IP addresses of an address; raises `ConnectionFailed`.
        open_transport: a byte stream to a peer at an address and its IP; raises what `dialling.DIAL_ERRORS` names.
        start: drives a connection.
        key_hint: says what to check when a handshake fails as it does with two swarm keys, which it may log.
    """

    def __init__(
        self,
        limits: Limits,
        gate: Gate,
        resources: Resources,
        counters: Counter[str],
        resolve: Callable[[Address], Awaitable[Sequence[str]]],
        open_transport: Callable[[PeerId, Address, str], Awaitable[ByteStream]],
        start: Starter,
        key_hint: Callable[[], str],
    ) -> None:
        self._limits = limits
        self._gate = gate
        self._resources = resources
        self._counters = counters
        self._resolve = resolve
        self._open_transport = open_transport
        self._start = start
        self._key_hint = key_hint
        self._backoff: Backoff[tuple[PeerId, Address]] = Backoff(
            limits.dial_backoff_s, limits.dial_backoff_max_s, limits.dial_backoffs
        )

    async def dial(self, peer: PeerId, addresses: Collection[Address], take: Callable[[Dialled], None]) -> Dialled:
        """A connection to `peer`, whose handshake is done and which `take` has settled; raises `ConnectionFailed`."""
        now = trio.current_time()
        fresh = [address for address in addresses if not self._backoff.rests((peer, address), now)]
        if addresses and not fresh:
            self._counters["dial_rested"] += 1
            told = "; ".join(self._backoff.why((peer, address)) for address in tuple(addresses)[:MAX_TOLD])
            raise ConnectionFailed(f"cannot reach {peer}, as a moment ago ({told})")
        place = self._resources.take_for_dial()
        if place is None:
            raise ConnectionFailed(f"cannot reach {peer}: this node has as many connections as it bears")
        try:
            dialled = await race(fresh, self._resolve, partial(self._attempt, peer, place), self._limits)
            take(dialled)
        except ConnectionFailed as error:
            raise ConnectionFailed(f"cannot reach {peer} ({error})") from error
        finally:
            if place.peer is None:
                self._resources.release(place)
        return dialled

    async def _attempt(self, peer: PeerId, place: Place, target: Target) -> Dialled:
        transport = transport_of(target.address)
        outcome = "cancelled"
        try:
            connection = await self._connect(peer, place, target)
            outcome = "connected"
        except _Gated as error:
            outcome = "gate"
            raise ConnectionFailed(str(error)) from error
        except DIAL_ERRORS as error:
            outcome = _dial_failure(error)
            self._backoff.failed((peer, target.address), trio.current_time(), reason_of(target, error))
            raise
        finally:
            self._counters[f"dial:{transport}:{outcome}"] += 1
        self._backoff.succeeded((peer, target.address))
        return Dialled(connection, place, transport, target.ip)

    async def _connect(self, peer: PeerId, place: Place, target: Target) -> PeerConnection:
        if not self._gate.may_dial(peer, target.ip):
            raise _Gated("the gate of this node does not let it be dialled there")
        # One scope for both: each costs as much as a key agreement.
        with trio.fail_after(self._limits.dial_timeout_s) as scope:
            transport = await self._open_transport(peer, target.address, target.ip)
            scope.deadline = trio.current_time() + self._limits.handshake_timeout_s
            connection = self._start(transport, place, expected=peer, observed=target.ip)
            try:
                await connection.wait_established()
            except RemoteProtocolError as error:
                connection.close()
                if error.reason == NOT_DECRYPTED:
                    raise RemoteProtocolError(f"{error}; {self._key_hint()}", reason=error.reason) from error
                raise
            except ConnectionFailed as error:
                connection.close()
                # The other side may have noticed first that the keys differ; it closes, and says nothing.
                raise ConnectionFailed(f"{error} during the handshake; {self._key_hint()}") from error
            except BaseException:
                connection.close()
                raise
        return connection


def _dial_failure(error: BaseException) -> str:
    """The word that a failed dial is counted under."""
    if not isinstance(error, OSError):
        return handshake_failure(error)
    # trio tells what the system said by a group that is the cause.
    said = error.__cause__.exceptions if isinstance(error.__cause__, BaseExceptionGroup) else (error,)
    return "refused" if any(isinstance(reason, ConnectionRefusedError) for reason in said) else "unreachable"
