"""Building a ring, on the client's side: both arcs outward through their guards at once, then the join.

A ring that could not be built says how far it came: the arc and the hop, as far as either can be told.
"""

import secrets
from collections.abc import Mapping, Sequence

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop
from peernet.core.ring.cells import CellType, SealedCell, cut_cells
from peernet.core.ring.endings import Ending
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.ring import BACK, NONCE_SIZE, OUT, Join, join_cookie
from peernet.core.suite import CipherSuite
from peernet.core.wire import encode
from peernet.net.addresses import Address
from peernet.net.rings.channel import VERDICT_S, RingChannel, RingFailed
from peernet.net.rings.service import RING_PROTOCOL
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RingHop", "open_ring"]


class _ClientLeg:
    """The client's leg: its stream to the guard and the arc behind it."""

    def __init__(self, stream: PeerStream, arc: Arc) -> None:
        self._stream = stream
        self.arc = arc
        self.ending: Ending | None = None
        self._buffer = bytearray()

    async def build(self) -> None:
        """Builds the arc; raises `RingFailed` when a hop ends it or breaks the protocol."""
        try:
            await self._build()
        except RemoteProtocolError as error:
            # Any hop on the way may have altered the cell.
            raise RingFailed(f"an arc broke: {error}", reason=error.reason) from error
        except ConnectionFailed as error:
            raise RingFailed(f"the guard was lost: {error}", reason="broken", hop=0) from error

    async def _build(self) -> None:
        self.arc.start()
        while not self.arc.built:
            await self._flush()
            for event in await self._events():
                if isinstance(event, ArcEnded):
                    why = f"hop {event.hop} ended the arc: {event.reason}"
                    raise RingFailed(why, reason=event.reason, hop=event.hop)

    async def receive(self) -> list[SealedCell] | None:
        cells = []
        try:
            events = await self._events()
        except RingFailed as error:
            self._note_ending(error.hop, error.reason)
            return None
        except ConnectionFailed:
            self._note_ending(0, "broken")
            raise
        except RemoteProtocolError as error:
            self._note_ending(None, error.reason)
            raise
        for event in events:
            if isinstance(event, ArcCell):
                cells.append(event.cell)
            elif isinstance(event, ArcEnded):
                self._note_ending(event.hop, event.reason)
                cells.append(SealedCell(CellType.END, event.reason.encode()))
        return cells

    async def send(self, kind: CellType, body: bytes) -> None:
        if not self.arc.built:
            raise ConnectionFailed("the arc has ended")
        self.arc.send(kind, body)
        await self._flush()

    def close(self) -> None:
        self.arc.end()
        self._stream.reset()

    def _note_ending(self, hop: int | None, reason: str) -> None:
        """The first word counts: the guard closes the stream behind a hop's END."""
        if self.ending is None:
            self.ending = Ending(hop, reason)

    async def _flush(self) -> None:
        if cells := self.arc.cells_to_send():
            await self._stream.send_all(b"".join(cells))

    async def _events(self) -> list[ArcBuilt | ArcCell | ArcEnded]:
        while True:
            cells = cut_cells(self._buffer)
            if cells:
                return [event for cell in cells for event in self.arc.receive(cell)]
            data = await self._stream.receive_some()
            if not data:
                # A hop that ends the arc says so: without a word it was the guard itself.
                raise RingFailed("the guard closed the arc", reason="closed", hop=0)
            self._buffer += data


@frozen
class RingHop:
    """A peer of a ring as the client knows it: where it is, its onion key, its signed record."""

    peer: PeerId
    addresses: tuple[Address, ...]
    onion_key: bytes
    record: bytes


async def open_ring(
    swarm: Swarm,
    suite: CipherSuite,
    out: Sequence[RingHop],
    back: Sequence[RingHop],
    service: str,
    *,
    timeout_s: float,
) -> RingChannel:
    """Builds both arcs (guard first, endpoint last on each), joins them, and returns the running channel.

    Raises `RingFailed` when a hop refuses, breaks or does not answer within `timeout_s`; then nothing is left behind.
    """
    legs: dict[int, _ClientLeg] = {}
    failures: list[RingFailed] = []
    channel: RingChannel | None = None

    async def build(arc: int, hops: Sequence[RingHop], both: trio.CancelScope) -> None:
        try:
            legs[arc] = await _open_leg(swarm, suite, hops)
            await legs[arc].build()
        except RingFailed as error:
            error.arc = arc
            failures.append(error)
            both.cancel()

    try:
        with trio.move_on_after(timeout_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(build, OUT, out, nursery.cancel_scope)
                nursery.start_soon(build, BACK, back, nursery.cancel_scope)
            if not failures:
                channel = await _join(suite, legs, service)
        if failures:
            raise failures[0]
        if channel is None:
            raise RingFailed(f"a ring was not built within {timeout_s:g} s", reason="timeout")
    except BaseException:
        for leg in legs.values():
            leg.close()
        raise
    swarm.start_soon(channel.run)
    return channel


async def _open_leg(swarm: Swarm, suite: CipherSuite, hops: Sequence[RingHop]) -> _ClientLeg:
    guard = hops[0]
    arc = Arc(suite, [ArcHop(hop.onion_key, hop.record, secrets.token_bytes(32)) for hop in hops])
    try:
        stream = await swarm.open_stream(guard.peer, guard.addresses, RING_PROTOCOL, optimistic=True)
    except ConnectionFailed as error:
        raise RingFailed(f"the guard cannot be reached: {error}", reason="unreachable", hop=0) from error
    return _ClientLeg(stream, arc)


async def _join(suite: CipherSuite, legs: Mapping[int, _ClientLeg], service: str) -> RingChannel:
    nonce = secrets.token_bytes(NONCE_SIZE)
    cookie = join_cookie(suite, nonce, legs[OUT].arc.handshake_hash, legs[BACK].arc.handshake_hash)
    for arc in (OUT, BACK):
        try:
            await legs[arc].send(CellType.JOIN, encode(Join(arc, service, nonce, cookie)))
        except ConnectionFailed as error:
            raise RingFailed(f"a ring broke while it was joined: {error}", reason="broken", arc=arc) from error
    return RingChannel(ring_end(service, client=True), legs[OUT], legs[BACK], verdict_s=VERDICT_S)
