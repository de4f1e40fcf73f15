"""Building a ring, on the client's side: both arcs outward through their guards at once, then the join.

Rules:

1. A ring that could not be built says how far it came: the arc and the hop, as far as either can be told.
2. An arc may have been built ahead, up to its last relay (`WarmArc`). It is one ring's, whatever becomes of it.
3. Where it turns out to be spoilt, the arc is built cold over the same relays. What the last relay says of the
   endpoint, or the endpoint itself, would be the same over a cold one, and is not asked twice.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ring.arc import Arc, ArcCell, ArcEnded, ArcEvent, ArcHop
from peernet.core.ring.cells import CELL_SIZE, CellType, SealedCell, cut_cells
from peernet.core.ring.endings import Ending
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.ring import BACK, NONCE_SIZE, OUT, CellOut, Join, join_cookie
from peernet.core.suite import CipherSuite
from peernet.core.wire import encode
from peernet.net.addresses import Address
from peernet.net.rings.channel import VERDICT_S, RingChannel, RingFailed
from peernet.net.rings.service import RING_PROTOCOL
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RingHop", "WarmArc", "open_ring", "warm_arc"]

WARM_SHARE: Final = 0.5
"""What of the time for a ring an arc that was built ahead may take, so that one can still be built cold."""


class _ClientLeg:
    """The client's leg: its stream to the guard and the arc behind it."""

    def __init__(self, stream: PeerStream, arc: Arc) -> None:
        self._stream = stream
        self.arc = arc
        self.ending: Ending | None = None
        self._buffer = bytearray()

    async def build(self) -> None:
        """Builds the arc as far as its hops are known; raises `RingFailed` when one ends it or breaks the protocol."""
        await self._build(None)

    async def extend(self, endpoint: "RingHop") -> None:
        """Builds an arc that waits for its endpoint to the end; raises `RingFailed` as `build` does."""
        await self._build(endpoint)

    async def stand(self) -> None:
        """Stands by until an arc that waits for its endpoint ends, which it does by raising `RingFailed`."""
        with _as_ring_failed():
            while True:
                _raise_ended(await self._events())

    async def _build(self, endpoint: "RingHop | None") -> None:
        with _as_ring_failed():
            if endpoint is None:
                self.arc.start()
            else:
                self.arc.extend(_arc_hop(endpoint))
            while not self.arc.built and not self.arc.waiting:
                await self._flush()
                _raise_ended(await self._events())

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

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        if not self.arc.built:
            raise ConnectionFailed("the arc has ended")
        if self._stream.room < len(cells) * CELL_SIZE:
            return False
        for cell in cells:
            self.arc.send(cell.type, cell.body)
        return self._stream.send_now(b"".join(self.arc.cells_to_send()))

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

    async def _events(self) -> list[ArcEvent]:
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


class WarmArc:
    """An arc that was built up to its last relay, and stands by for the one ring that it will be part of.

    `stand_by` runs beside it and notices when it ends.
    """

    def __init__(self, leg: _ClientLeg) -> None:
        self._leg: _ClientLeg | None = leg
        self._standing = trio.CancelScope()
        self._left_alone = trio.Event()
        self.failure: RingFailed | None = None
        """How it was spoilt, where it was: while it stood by, or when it was to be extended."""

    async def stand_by(self) -> None:
        """Returns once the arc is claimed, closed, or has ended; `failure` says how."""
        assert self._leg is not None
        try:
            with self._standing:
                await self._leg.stand()
        except RingFailed as error:
            self.failure = error
        finally:
            self._left_alone.set()
            if self.failure is not None or not self._standing.cancel_called:
                self.close()

    async def claim(self) -> _ClientLeg | None:
        """The leg, for one ring and once; None where it is spoilt or was claimed before."""
        self._standing.cancel()
        await self._left_alone.wait()
        leg, self._leg = self._leg, None
        return leg

    def close(self) -> None:
        """Gives the arc up; what was claimed is another's."""
        self._standing.cancel()
        if self._leg is not None:
            self._leg.close()
            self._leg = None


async def warm_arc(swarm: Swarm, suite: CipherSuite, relays: Sequence[RingHop], *, timeout_s: float) -> WarmArc:
    """Builds an arc over `relays` (guard first) to an endpoint that is to be named later.

    Raises `RingFailed`; then nothing is left behind.
    """
    leg: _ClientLeg | None = None
    try:
        with trio.move_on_after(timeout_s):
            leg = await _open_leg(swarm, suite, relays, whole=False)
            await leg.build()
            return WarmArc(leg)
        raise RingFailed(f"an arc was not built within {timeout_s:g} s", reason="timeout")
    except BaseException:
        if leg is not None:
            leg.close()
        raise


async def open_ring(
    swarm: Swarm,
    suite: CipherSuite,
    out: Sequence[RingHop],
    back: Sequence[RingHop],
    service: str,
    *,
    timeout_s: float,
    warm: Mapping[int, WarmArc] | None = None,
) -> RingChannel:
    """Builds both arcs (guard first, endpoint last on each), joins them, and returns the running channel.

    `warm` has arcs (`OUT`, `BACK`) that stand by over the same relays: they are used up, whatever happens. Raises
    `RingFailed` when a hop refuses, breaks or does not answer within `timeout_s`; then nothing is left behind.
    """
    legs: dict[int, _ClientLeg] = {}
    failures: list[RingFailed] = []
    channel: RingChannel | None = None

    async def build(arc: int, hops: Sequence[RingHop], both: trio.CancelScope) -> None:
        try:
            ahead = warm.get(arc) if warm else None
            if ahead is not None and await _extend(ahead, hops, legs, arc, timeout_s * WARM_SHARE):
                return
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
    finally:
        for ahead in (warm or {}).values():
            ahead.close()
    swarm.start_soon(channel.run)
    return channel


async def _extend(
    ahead: WarmArc, hops: Sequence[RingHop], legs: dict[int, _ClientLeg], arc: int, timeout_s: float
) -> bool:
    """Whether an arc that was built ahead is now built to the end, as `legs[arc]`; False where it is spoilt.

    Raises `RingFailed` where a cold one would fail in the same way.
    """
    leg = await ahead.claim()
    if leg is None:
        return False
    legs[arc] = leg
    try:
        with trio.fail_after(timeout_s):
            await leg.extend(hops[-1])
    except RingFailed as error:
        # The last relay says nothing before it is told of the endpoint: this is what it says of that.
        if error.hop is not None and error.hop >= len(hops) - 2:
            raise
        ahead.failure = error
    except trio.TooSlowError:
        ahead.failure = RingFailed("an arc that was built ahead gave no answer", reason="timeout")
    else:
        return True
    leg.close()
    return False


def _arc_hop(hop: RingHop) -> ArcHop:
    return ArcHop(hop.onion_key, hop.record, secrets.token_bytes(32))


@contextmanager
def _as_ring_failed() -> Iterator[None]:
    """What may go wrong with the first leg, as the arc's failure."""
    try:
        yield
    except RemoteProtocolError as error:
        # Any hop on the way may have altered the cell.
        raise RingFailed(f"an arc broke: {error}", reason=error.reason) from error
    except ConnectionFailed as error:
        raise RingFailed(f"the guard was lost: {error}", reason="broken", hop=0) from error


def _raise_ended(events: Sequence[ArcEvent]) -> None:
    for event in events:
        if isinstance(event, ArcEnded):
            why = f"hop {event.hop} ended the arc: {event.reason}"
            raise RingFailed(why, reason=event.reason, hop=event.hop)


async def _open_leg(swarm: Swarm, suite: CipherSuite, hops: Sequence[RingHop], *, whole: bool = True) -> _ClientLeg:
    guard = hops[0]
    arc = Arc(suite, [_arc_hop(hop) for hop in hops], whole=whole)
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
