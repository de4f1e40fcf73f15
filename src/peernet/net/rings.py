"""Rings on trio: legs that forward, ends that talk, and the client's building of both arcs.

`core.ring` holds the protocol. Rules kept here:

1. A leg is one stream of `RING_PROTOCOL`. When one side of a forwarder goes, the other goes too, and nothing of the
   ring stays.
2. A forwarder extends only to the peer of a signed, valid record, at an address that may be dialled.
3. Legs are bounded per neighbour and in total; an arc that gets no command, or a join that finds no partner, ends
   after a named time.
4. Reading and writing of a ring's end are tasks of its own, so that a caller who is cancelled breaks no cell.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog
import trio
from attrs import define, field, frozen

from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop
from peernet.core.ring.cells import CELL_SIZE, CellType, SealedCell, cut_cells
from peernet.core.ring.hop import Extend, Hop, HopEvent, Joined, Opened, SendBack, SendOn
from peernet.core.ring.ring import BACK, OUT, Join, RingEnd, join_cookie
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode
from peernet.net.addresses import TcpAddress, dialable
from peernet.net.connection import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RING_PROTOCOL", "RingChannel", "RingFailed", "RingHop", "RingLimits", "RingService", "open_ring"]

RING_PROTOCOL: Final = "/peernet/ring/1"

_FAREWELL_S: Final = 5.0
"""How long an endpoint waits for its last cells to leave."""

log = structlog.get_logger()


class RingFailed(PeernetError):
    """A ring could not be built, or broke. `hop` counts from 0 at the guard; None when it cannot be told."""

    def __init__(self, message: str, *, reason: str, hop: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.hop = hop


@frozen
class RingLimits:
    """Bounds of a node's part in rings."""

    legs: int = 1024
    legs_per_neighbour: int = 128
    command_timeout_s: float = 15.0
    join_timeout_s: float = 15.0
    build_timeout_s: float = 10.0
    pending_joins: int = 64
    unread_messages: int = 1024


class _Leg(Protocol):
    """One arc as its end sees it: sealed cells in and out."""

    async def receive(self) -> list[SealedCell] | None:
        """The next cells, or None when the leg has ended."""
        ...

    async def send(self, kind: CellType, body: bytes) -> None:
        """Seals and sends one cell; one task at a time."""
        ...

    def close(self) -> None:
        """Gives up the stream and the keys."""
        ...


class _EndpointLeg:
    """An endpoint's leg: the inbound stream and its hop."""

    def __init__(self, stream: PeerStream, hop: Hop, buffer: bytearray) -> None:
        self._stream = stream
        self._hop = hop
        self._buffer = buffer
        self.closed = trio.Event()

    async def receive(self) -> list[SealedCell] | None:
        cells = cut_cells(self._buffer)
        while not cells:
            data = await self._stream.receive_some()
            if not data:
                return None
            self._buffer += data
            cells = cut_cells(self._buffer)
        events = [event for cell in cells for event in self._hop.receive(cell)]
        return [event.cell for event in events if isinstance(event, Opened)]

    async def send(self, kind: CellType, body: bytes) -> None:
        for event in self._hop.send(kind, body):
            assert isinstance(event, SendBack)
            await self._stream.send_all(event.cell)

    def close(self) -> None:
        self._hop.end()
        self.closed.set()


class _ClientLeg:
    """The client's leg: its stream to the guard and the arc behind it."""

    def __init__(self, stream: PeerStream, arc: Arc) -> None:
        self._stream = stream
        self.arc = arc
        self._buffer = bytearray()

    async def build(self) -> None:
        """Builds the arc; raises `RingFailed` when a hop ends it or breaks the protocol."""
        try:
            await self._build()
        except RemoteProtocolError as error:
            raise RingFailed(f"an arc broke: {error}", reason=error.reason, hop=self.arc.hops_built) from error
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
        except RingFailed:
            return None
        for event in events:
            if isinstance(event, ArcCell):
                cells.append(event.cell)
            elif isinstance(event, ArcEnded):
                cells.append(SealedCell(CellType.END, event.reason.encode()))
        return cells

    async def send(self, kind: CellType, body: bytes) -> None:
        self.arc.send(kind, body)
        await self._flush()

    def close(self) -> None:
        self.arc.end()
        self._stream.reset()

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
                raise RingFailed("the guard closed the arc", reason="closed", hop=self.arc.hops_built)
            self._buffer += data


class RingChannel:
    """One end of a joined ring: whole messages both ways.

    `run` drives it; `send` and `receive` may then be used, each by one task at a time.
    """

    def __init__(self, end: RingEnd, out: _Leg, back: _Leg) -> None:
        self._end = end
        self._legs = {OUT: out, BACK: back}
        self._work = trio.Event()
        self._changed = trio.Event()
        self.finished = trio.Event()

    @property
    def ended(self) -> str | None:
        """Why the ring is over, or None."""
        return self._end.ended

    async def run(self) -> None:
        """Reads and writes both arcs until the ring ends; then both legs are closed."""
        try:
            async with trio.open_nursery() as nursery:
                for arc, leg in self._legs.items():
                    nursery.start_soon(self._read, arc, leg)
                await self._write()
                nursery.cancel_scope.cancel()
        finally:
            self._end.fail("closed")
            for leg in self._legs.values():
                leg.close()
            self._wake()
            self.finished.set()

    async def send(self, message: bytes) -> None:
        """Queues a message, waiting while an earlier one waits for the window; raises `RingFailed` once ended."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._end.blocked and self._end.ended is None:
            await self._changed.wait()
        if self._end.ended is not None:
            raise RingFailed(f"the ring has ended: {self._end.ended}", reason=self._end.ended)
        self._end.send(message)
        self._work.set()

    async def receive(self) -> bytes | None:
        """The next message, or None when the ring has ended and all is read."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while (message := self._end.next_message()) is None:
            if self._end.ended is not None:
                return None
            await self._changed.wait()
        self._work.set()  # a window may open now
        return message

    def end(self, reason: str = "done") -> None:
        """Ends the ring after what has been queued; `run` then returns."""
        self._end.end(reason)
        self._wake()

    async def _read(self, arc: int, leg: _Leg) -> None:
        try:
            while (cells := await leg.receive()) is not None:
                for cell in cells:
                    self._end.receive(arc, cell)
                self._wake()
            self._end.lose(arc, "closed")
        except RemoteProtocolError as error:
            self._end.fail(error.reason)
        except ConnectionFailed:
            self._end.lose(arc, "broken")
        self._wake()

    async def _write(self) -> None:
        try:
            while True:
                self._work = trio.Event()
                for cell in self._end.cells_to_send():
                    await self._legs[cell.arc].send(cell.type, cell.body)
                if self._end.ended is not None:
                    return
                self._announce()
                await self._work.wait()
        except ConnectionFailed:
            self._end.fail("broken")

    def _wake(self) -> None:
        self._work.set()
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


RingHandler = Callable[[RingChannel], Awaitable[None]]


@define
class _PendingJoin:
    """One arc that waits for its partner."""

    join: Join
    handshake_hash: bytes
    leg: _EndpointLeg
    taken: trio.Event = field(factory=trio.Event)


class RingService:
    """A node's part in other peers' rings: forwarding, and the endpoints that it serves.

    Args:
        swarm: the node's connections.
        suite: the primitives.
        onion_secrets: the node's onion secrets, newest first (a callable, since they rotate).
        now_s: the wall clock, seconds since the epoch.
        relay: whether it forwards for others.
        allow_private: whether it extends to addresses that are not global: test networks only.
    """

    def __init__(
        self,
        swarm: Swarm,
        suite: CipherSuite,
        onion_secrets: Callable[[], Sequence[bytes]],
        now_s: Callable[[], int],
        *,
        relay: bool,
        allow_private: bool,
        limits: RingLimits,
    ) -> None:
        self._swarm = swarm
        self._suite = suite
        self._onion_secrets = onion_secrets
        self._now_s = now_s
        self._relay = relay
        self._allow_private = allow_private
        self._limits = limits
        self._services: dict[str, RingHandler] = {}
        self._pending: dict[bytes, _PendingJoin] = {}
        self._legs: Counter[PeerId] = Counter()
        self.counters: Counter[str] = Counter()
        swarm.handle(RING_PROTOCOL, self._serve_leg)

    @property
    def legs(self) -> int:
        """Inbound legs now open."""
        return self._legs.total()

    def serve(self, service: str, handler: RingHandler) -> None:
        """Takes rings that are joined for `service`."""
        self._services[service] = handler

    async def _serve_leg(self, stream: PeerStream) -> None:
        if self.legs >= self._limits.legs or self._legs[stream.peer] >= self._limits.legs_per_neighbour:
            self.counters["leg_refused"] += 1
            return
        self._legs[stream.peer] += 1
        try:
            await self._lead(stream)
        finally:
            self._legs[stream.peer] -= 1
            if not self._legs[stream.peer]:
                del self._legs[stream.peer]

    async def _lead(self, stream: PeerStream) -> None:
        """Takes a leg through its handshake and its command, then forwards or joins."""
        hop = Hop(self._suite, self._onion_secrets(), secrets.token_bytes(32))
        buffer = bytearray()
        with trio.fail_after(self._limits.command_timeout_s):
            command = await self._read_command(stream, hop, buffer)
        if isinstance(command, Extend):
            await self._forward(stream, hop, buffer, command)
        elif command is not None:
            await self._join(_EndpointLeg(stream, hop, buffer), hop, command)

    async def _read_command(self, stream: PeerStream, hop: Hop, buffer: bytearray) -> Extend | Joined | None:
        """Answers the handshake and waits for the command; cells after it stay in `buffer`."""
        while True:
            if len(buffer) < CELL_SIZE:
                data = await stream.receive_some()
                if not data:
                    return None
                buffer += data
                continue
            cell = bytes(buffer[:CELL_SIZE])
            del buffer[:CELL_SIZE]
            for event in hop.receive(cell):
                if isinstance(event, SendBack):
                    await stream.send_all(event.cell)
                elif isinstance(event, Extend | Joined):
                    return event

    async def _forward(self, stream: PeerStream, hop: Hop, buffer: bytearray, command: Extend) -> None:
        try:
            onward = await self._extend(command)
        except (ConnectionFailed, RemoteProtocolError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else "unreachable"
            self.counters[f"extension_failed:{reason}"] += 1
            await _send_back(stream, hop.extension_failed(reason))
            await stream.close_sending()
            return
        self.counters["forwarded"] += 1
        async with onward, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump_back, onward, stream, hop, nursery.cancel_scope)
            await self._pump_on(stream, onward, hop, buffer)
            nursery.cancel_scope.cancel()
        hop.end()

    async def _extend(self, command: Extend) -> PeerStream:
        if not self._relay:
            raise RemoteProtocolError("this peer is no relay", reason="no_relay")
        record = open_record(command.record, self._now_s(), self._suite)
        if not isinstance(record, PeerRecord):
            raise RemoteProtocolError("an extension to something that is no peer", reason="bad_record")
        peer = PeerId.from_public_key(record.public_key)
        addresses = dialable(record.addresses, allow_private=self._allow_private)
        return await self._swarm.open_stream(peer, addresses, RING_PROTOCOL)

    async def _pump_on(self, stream: PeerStream, onward: PeerStream, hop: Hop, buffer: bytearray) -> None:
        """Cells away from the client, until either side ends."""
        try:
            while True:
                if cells := cut_cells(buffer):
                    await onward.send_all(b"".join(self.forward(hop, cell) for cell in cells))
                    continue
                data = await stream.receive_some()
                if not data:
                    return
                buffer += data
        except ConnectionFailed:
            return

    async def _pump_back(self, onward: PeerStream, stream: PeerStream, hop: Hop, both: trio.CancelScope) -> None:
        """Cells towards the client; when the far side goes, the client is told."""
        buffer = bytearray()
        try:
            while data := await onward.receive_some():
                buffer += data
                if cells := cut_cells(buffer):
                    await stream.send_all(b"".join(self.forward_back(hop, cell) for cell in cells))
        except ConnectionFailed:
            self.counters["far_side_lost"] += 1
        try:
            await _send_back(stream, hop.extension_failed("lost"))
            await stream.close_sending()
        except ConnectionFailed:
            self.counters["both_sides_lost"] += 1
        both.cancel()

    def forward(self, hop: Hop, cell: bytes) -> bytes:
        """One cell on its way out, with our layer off."""
        (event,) = hop.receive(cell)
        assert isinstance(event, SendOn)
        return event.cell

    def forward_back(self, hop: Hop, cell: bytes) -> bytes:
        """One cell on its way back, with our layer on."""
        (event,) = hop.receive_back(cell)
        assert isinstance(event, SendBack)
        return event.cell

    async def _join(self, leg: _EndpointLeg, hop: Hop, joined: Joined) -> None:
        """Pairs an arc with its partner and runs the ring, or waits to be paired."""
        join = decode(Join, joined.body)
        if join.role not in {OUT, BACK} or join.service not in self._services:
            raise RemoteProtocolError("a join for a service that is not served", reason="bad_join")
        partner = self._pending.pop(join.cookie, None)
        if partner is None:
            await self._wait_for_partner(_PendingJoin(join, joined.handshake_hash, leg))
            return
        partner.taken.set()
        out, back = (
            (joined.handshake_hash, partner.handshake_hash)
            if join.role == OUT
            else (partner.handshake_hash, joined.handshake_hash)
        )
        fits = (
            partner.join == Join(OUT + BACK - join.role, join.service, join.nonce, join.cookie)
            and join_cookie(self._suite, join.nonce, out, back) == join.cookie
        )
        if not fits:
            partner.leg.close()
            raise RemoteProtocolError("a join cookie does not fit its two arcs", reason="bad_join")
        legs = (leg, partner.leg) if join.role == OUT else (partner.leg, leg)
        await self._run_endpoint(RingChannel(RingEnd(client=False), *legs), join.service)

    async def _wait_for_partner(self, pending: _PendingJoin) -> None:
        if len(self._pending) >= self._limits.pending_joins:
            raise RemoteProtocolError("too many joins wait for their partner", reason="too_many_joins")
        self._pending[pending.join.cookie] = pending
        try:
            with trio.move_on_after(self._limits.join_timeout_s):
                await pending.taken.wait()
        finally:
            if not pending.taken.is_set():
                del self._pending[pending.join.cookie]
                self.counters["join_without_partner"] += 1
        if pending.taken.is_set():
            await pending.leg.closed.wait()  # the partner's task runs the ring

    async def _run_endpoint(self, channel: RingChannel, service: str) -> None:
        self.counters["joined"] += 1
        self._swarm.start_soon(channel.run)
        try:
            await self._services[service](channel)
        finally:
            channel.end()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _FAREWELL_S):
                await channel.finished.wait()


@frozen
class RingHop:
    """A peer of a ring as the client knows it: where it is, its onion key, its signed record."""

    peer: PeerId
    addresses: tuple[TcpAddress, ...]
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

    async def build(arc: int, hops: Sequence[RingHop], both: trio.CancelScope) -> None:
        try:
            legs[arc] = await _open_leg(swarm, suite, hops)
            await legs[arc].build()
        except RingFailed as error:
            failures.append(error)
            both.cancel()

    try:
        with trio.move_on_after(timeout_s) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(build, OUT, out, nursery.cancel_scope)
                nursery.start_soon(build, BACK, back, nursery.cancel_scope)
        if failures:
            raise failures[0]
        if scope.cancelled_caught:
            raise RingFailed(f"a ring was not built within {timeout_s:g} s", reason="timeout")
        channel = await _join(suite, legs, service)
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
        stream = await swarm.open_stream(guard.peer, guard.addresses, RING_PROTOCOL)
    except ConnectionFailed as error:
        raise RingFailed(f"the guard cannot be reached: {error}", reason="unreachable", hop=0) from error
    return _ClientLeg(stream, arc)


async def _join(suite: CipherSuite, legs: Mapping[int, _ClientLeg], service: str) -> RingChannel:
    nonce = secrets.token_bytes(16)
    cookie = join_cookie(suite, nonce, legs[OUT].arc.handshake_hash, legs[BACK].arc.handshake_hash)
    for arc in (OUT, BACK):
        try:
            await legs[arc].send(CellType.JOIN, encode(Join(arc, service, nonce, cookie)))
        except ConnectionFailed as error:
            raise RingFailed(f"a ring broke while it was joined: {error}", reason="broken") from error
    return RingChannel(RingEnd(client=True), legs[OUT], legs[BACK])


async def _send_back(stream: PeerStream, events: Sequence[HopEvent]) -> None:
    for event in events:
        assert isinstance(event, SendBack)
        await stream.send_all(event.cell)
