"""Keeping places at relays, for a peer that nobody can dial.

Rules:

1. As many places as wanted are kept, at relays that differ in operator and network (`core.reservations`); each is
   asked for again well before its end, and at once when the connection to its relay is over.
2. A place that cannot be had again is lost, and another relay is sought at once; where there is none, again and again
   with pauses that grow within bounds. Nobody has to help, whatever the outage. However many relays there are, and
   whatever end they name for a place, each pause is at least a named one.
3. Relays that have given a place are remembered, the last few of them: an outage may take along everybody else who
   knows of them.
4. Whoever has to know of changed addresses is told of each change.
5. Of what relays bring, only what comes from a relay with a place of ours is taken.

Source: libp2p specifications, "Circuit Relay v2".
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import trio
from attrs import define, frozen

from peernet.core.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE_SIZE,
    STOP_PROTOCOL,
    Connect,
    Reservation,
    Reserve,
    Status,
    StatusMessage,
    decode_hop,
    decode_stop,
    encode_hop,
    encode_stop,
    voucher_is_valid,
)
from peernet.core.dht.records import MAX_ADDRESS_LENGTH
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.reservations import RelayChooser
from peernet.core.ring.paths import PathPeer
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address, CircuitAddress, preference
from peernet.net.messages import Frames
from peernet.net.reachability.circuits import CircuitIncoming, is_relayed
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RelayCandidate", "ReservationKeeper"]

REFRESH_INTERVAL_S: Final = 120.0
LEAST_REFRESH_S: Final = 1.0
RESERVE_TIMEOUT_S: Final = 10.0
ADDRESSES_PER_RELAY: Final = 2
MAX_REMEMBERED: Final = 16
LEAST_WAIT_S: Final = 0.1
SEEK_INTERVAL_S: Final = 5.0
"""How often new relays are looked for at most while one is wanted: others may become known at any time."""
ASKED_IN_A_ROW: Final = 16
"""Relays that are asked before the next pause, however many there are: it may be this machine that fails."""


@frozen
class RelayCandidate:
    """A relay that may be asked, as its signed record has it."""

    relay: PathPeer
    peer: PeerId
    addresses: tuple[Address, ...]
    """Where it is dialled itself; no circuits."""


@define(eq=False)
class _Place:
    candidate: RelayCandidate
    expires_at_s: float


class ReservationKeeper:
    """The places of one peer.

    Args:
        swarm: the peer's connections.
        suite: the primitives.
        candidates: the relays known now.
        own: the peer itself, as the diversity rules see it.
        now_s: the wall clock, seconds since the epoch.
        changed: told when `addresses` has changed.
    """

    def __init__(
        self,
        swarm: Swarm,
        suite: CipherSuite,
        candidates: Callable[[], Sequence[RelayCandidate]],
        own: Callable[[], PathPeer],
        now_s: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._swarm = swarm
        self._suite = suite
        self._candidates = candidates
        self._own = own
        self._now_s = now_s
        self._changed = changed
        self._random = random.SystemRandom()
        self._chooser = RelayChooser(self._random.uniform)
        self._places: dict[PeerId, _Place] = {}
        self._remembered: OrderedDict[str, RelayCandidate] = OrderedDict()
        self._woken = trio.Event()
        self.counters: Counter[str] = Counter()
        swarm.handle(STOP_PROTOCOL, self._serve_stop)

    @property
    def relays(self) -> tuple[PeerId, ...]:
        """Where this peer has places now."""
        return tuple(self._places)

    @property
    def addresses(self) -> tuple[CircuitAddress, ...]:
        """Where the peer is reached through its relays."""
        circuits = []
        for place in self._places.values():
            direct = sorted(place.candidate.addresses, key=preference)[:ADDRESSES_PER_RELAY]
            circuits += [CircuitAddress.through(place.candidate.peer, address) for address in direct]
        return tuple(circuit for circuit in circuits if len(str(circuit)) <= MAX_ADDRESS_LENGTH)

    async def keep(self, wanted: int) -> None:
        """Keeps `wanted` places until cancelled, and then none."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._woken = trio.Event()
                    wait_s = REFRESH_INTERVAL_S
                    if len(self._places) < wanted:
                        wait_s = await self._seek(wanted, nursery)
                    with trio.move_on_after(wait_s):
                        await self._woken.wait()
        finally:
            self._places.clear()
            self._changed()

    async def _seek(self, wanted: int, nursery: trio.Nursery) -> float:
        """Asks relays until there are places enough or nobody is left to ask for now; how long to wait after that."""
        candidates = {candidate.relay.peer: candidate for candidate in self._candidates()}
        for name, candidate in self._remembered.items():
            candidates.setdefault(name, candidate)
        relays = [candidate.relay for candidate in candidates.values()]
        for _ in range(ASKED_IN_A_ROW):
            if len(self._places) >= wanted:
                return REFRESH_INTERVAL_S
            kept = (self._own(), *(place.candidate.relay for place in self._places.values()))
            chosen = self._chooser.choose(relays, kept, trio.current_time(), self._random)
            if chosen is None:
                wait_s = self._chooser.wait_s(relays, kept, trio.current_time())
                return max(LEAST_WAIT_S, min(SEEK_INTERVAL_S, wait_s))
            candidate = candidates[chosen.peer]
            if (place := await self._reserve(candidate)) is not None:
                self._places[candidate.peer] = place
                self._swarm.protect(candidate.peer)
                nursery.start_soon(self._keep_place, place)
                self._changed()
        return REFRESH_INTERVAL_S if len(self._places) >= wanted else SEEK_INTERVAL_S

    async def _keep_place(self, place: _Place) -> None:
        peer = place.candidate.peer
        try:
            current: _Place | None = place
            while current is not None:
                self._places[peer] = current
                await self._wait_due(current)
                current = await self._reserve(place.candidate)
        finally:
            self._swarm.unprotect(peer)
            self._places.pop(peer, None)
        self.counters["lost"] += 1
        self._changed()
        self._woken.set()

    async def _wait_due(self, place: _Place) -> None:
        """Waits until the place should be asked for again, or its relay's connection is over."""
        left_s = (place.expires_at_s - self._now_s()) / 2
        connection = self._swarm.connections.get(place.candidate.peer)
        # A relay that hangs up at once, or whose places are as good as over, is not asked as fast as it does so.
        await trio.sleep(LEAST_REFRESH_S)
        if connection is not None:
            with trio.move_on_after(max(0.0, min(REFRESH_INTERVAL_S, left_s) - LEAST_REFRESH_S)):
                await connection.closed.wait()

    async def _reserve(self, candidate: RelayCandidate) -> _Place | None:
        """The place, new or prolonged; None where it cannot be had, which is remembered."""
        try:
            with trio.fail_after(RESERVE_TIMEOUT_S):
                reservation = await self._ask(candidate)
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else type(error).__name__
            self.counters[f"failed:{reason}"] += 1
            self._chooser.failed(candidate.relay.peer, trio.current_time())
            return None
        self._chooser.granted(candidate.relay.peer)
        self._remembered[candidate.relay.peer] = candidate
        self._remembered.move_to_end(candidate.relay.peer)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        self.counters["granted"] += 1
        return _Place(candidate, reservation.expires_at_s)

    async def _ask(self, candidate: RelayCandidate) -> Reservation:
        places = candidate.addresses
        async with await self._swarm.open_stream(candidate.peer, places, HOP_PROTOCOL, direct=True) as stream:
            frames = Frames(stream, MAX_MESSAGE_SIZE)
            await frames.send(encode_hop(Reserve()))
            data = await frames.receive()
        if data is None:
            raise ConnectionFailed(f"{candidate.peer} closed the stream before it answered")
        reply = decode_hop(data)
        if not isinstance(reply, StatusMessage):
            raise RemoteProtocolError("a relay answered with a request", reason="bad_circuit")
        if reply.status != Status.OK or reply.reservation is None:
            raise RemoteProtocolError(f"a relay keeps no place (status {reply.status})", reason="no_place")
        if reply.reservation.expires_at_s <= self._now_s():
            raise RemoteProtocolError("a relay keeps a place until a time that is over", reason="expired_place")
        self._check_voucher(reply.reservation, candidate.peer)
        return reply.reservation

    def _check_voucher(self, reservation: Reservation, relay: PeerId) -> None:
        """A voucher is advisory, and a wrong one is a lie all the same."""
        expires_at_s, own = reservation.expires_at_s, self._swarm.peer_id
        if reservation.voucher and not voucher_is_valid(reservation.voucher, relay, own, expires_at_s, self._suite):
            raise RemoteProtocolError("a relay's voucher is for something else", reason="bad_voucher")

    async def _serve_stop(self, stream: PeerStream) -> None:
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        with trio.fail_after(RESERVE_TIMEOUT_S):
            data = await frames.receive()
            if data is None:
                return
            request = decode_stop(data)
            if not isinstance(request, Connect):
                await frames.send(encode_stop(StatusMessage(Status.UNEXPECTED_MESSAGE)))
                return
            if stream.peer not in self._places or is_relayed(stream):
                self.counters["circuit_refused"] += 1
                await frames.send(encode_stop(StatusMessage(Status.PERMISSION_DENIED)))
                return
            await frames.send(encode_stop(StatusMessage(Status.OK)))
        frames.release()
        self.counters["circuit_taken"] += 1
        await self._swarm.take(CircuitIncoming(stream))
