"""Rings on trio: legs that forward, ends that talk, and the client's building of both arcs.

`core.ring` holds the protocol. Rules kept here:

1. A leg is one stream of `RING_PROTOCOL`. When one side of a forwarder goes, the other goes too, and nothing of the
   ring stays.
2. A forwarder extends only to the peer of a signed, valid record, at an address that may be dialled.
3. Legs are bounded per neighbour and in total. An arc that gets no command, an extension that is not made, a join
   that finds no partner, and a ring on which nothing passes end after a named time. The oldest waiting join makes room
   for a new one.
4. Reading and writing of a ring's end are tasks of its own, so that a caller who is cancelled breaks no cell.
5. An arc that ends before its time is ended with a reason for the client, as far as it can still be told.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import trio
from attrs import define, field, frozen

from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop
from peernet.core.ring.cells import CELL_SIZE, CellType, SealedCell, cut_cells
from peernet.core.ring.hop import Extend, Hop, HopEvent, HopState, Joined, Opened, SendBack, SendOn
from peernet.core.ring.ring import BACK, NONCE_SIZE, OUT, Join, RingEnd, join_cookie
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode
from peernet.net.addresses import TcpAddress, dialable
from peernet.net.connection import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RING_PROTOCOL", "RingChannel", "RingFailed", "RingHop", "RingLimits", "RingService", "open_ring"]

RING_PROTOCOL: Final = "/peernet/ring/1"

_FAREWELL_S: Final = 5.0
"""How long the end of a ring waits for its last cells to leave."""

IDLE_TIMEOUT_S: Final = 600.0

_CLIENT_GONE: Final = "client_gone"


class RingFailed(PeernetError):
    """A ring could not be built, or broke.

    `hop` counts from 0 at the guard, on the arc `arc` (`OUT` or `BACK`); either is None when it cannot be told.
    """

    def __init__(self, message: str, *, reason: str, hop: int | None = None, arc: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.hop = hop
        self.arc = arc


@frozen
class RingLimits:
    """Bounds of a node's part in rings."""

    legs: int = 1024
    legs_per_neighbour: int = 128
    command_timeout_s: float = 15.0
    join_timeout_s: float = 5.0
    """How long an arc waits for its partner: both joins leave the client together."""
    build_timeout_s: float = 5.0
    """How long an extension may take: less than a client waits for its ring, so that it learns which hop it was."""
    idle_timeout_s: float = IDLE_TIMEOUT_S
    """How long nothing may pass on a ring."""
    pending_joins: int = 64


class _Leg(Protocol):
    """One arc as its end sees it: sealed cells in and out."""

    async def receive(self) -> list[SealedCell] | None:
        """The next cells, or None when the leg has ended."""
        ...

    async def send(self, kind: CellType, body: bytes) -> None:
        """Seals and sends one cell, one task at a time; raises `ConnectionFailed` when the leg has ended."""
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
        if self._hop.state is not HopState.ENDPOINT:
            raise ConnectionFailed("the arc has ended")
        await _send_back(self._stream, self._hop.send(kind, body))

    async def wait_gone(self) -> None:
        """Waits until the neighbour has closed the leg; what came before is kept."""
        await self._stream.wait_ended()

    async def refuse(self, reason: str) -> None:
        """Tells the client why its arc ends here, if it can be told at once, and closes."""
        with trio.move_on_after(_FAREWELL_S), suppress(ConnectionFailed):
            await self.send(CellType.END, reason.encode())
        self.close()

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
        except RingFailed:
            return None
        for event in events:
            if isinstance(event, ArcCell):
                cells.append(event.cell)
            elif isinstance(event, ArcEnded):
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


class RingChannel:
    """One end of a joined ring: whole messages both ways.

    `run` drives it; `send` and `receive` may then be used, each by one task at a time.
    """

    def __init__(self, end: RingEnd, out: _Leg, back: _Leg, *, idle_timeout_s: float = IDLE_TIMEOUT_S) -> None:
        self._end = end
        self._legs = {OUT: out, BACK: back}
        self._idle_timeout_s = idle_timeout_s
        self._scope = trio.CancelScope()
        self._work = trio.Event()
        self._changed = trio.Event()
        self.finished = trio.Event()

    @property
    def ended(self) -> str | None:
        """Why the ring is over, or None."""
        return self._end.ended

    async def run(self) -> None:
        """Reads and writes both arcs until the ring ends; then both legs are closed."""
        self._bound()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for arc, leg in self._legs.items():
                        nursery.start_soon(self._read, arc, leg)
                    await self._write()
                    nursery.cancel_scope.cancel()
        finally:
            self._end.fail("timeout" if self._scope.cancelled_caught else "closed")
            for leg in self._legs.values():
                leg.close()
            self._wake()
            self.finished.set()

    async def send(self, message: bytes) -> None:
        """Queues a message, waiting while an earlier one waits for the window.

        Raises `RingFailed` once the ring has ended and all is read. Before that, a message is dropped: what the other
        end said last may be why it wants no more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._end.blocked and self._end.ended is None:
            await self._changed.wait()
        if self._end.ended is not None and not self._end.unread:
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
        """Ends the ring behind what has been queued, if that leaves within `_FAREWELL_S`; `run` then returns."""
        if self._end.ended is None:
            self._end.end(reason)
            self._bound()
            self._wake()

    def _bound(self) -> None:
        """Sets how long `run` may go on without anything passing, and how long at all once the ring is ended."""
        bound_s = self._idle_timeout_s if self._end.ended is None else _FAREWELL_S
        self._scope.deadline = trio.current_time() + bound_s

    async def _read(self, arc: int, leg: _Leg) -> None:
        try:
            while (cells := await leg.receive()) is not None:
                for cell in cells:
                    self._end.receive(arc, cell)
                if self._end.broken:
                    break
                self._note_progress()
                self._wake()
            self._end.lose(arc, "closed")
        except RemoteProtocolError as error:
            self._end.fail(error.reason)
        except ConnectionFailed:
            self._end.lose(arc, "broken")
        if self._end.broken:
            self._scope.cancel()  # a write that waits for the other arc waits for nothing
        self._wake()

    async def _write(self) -> None:
        while not self._end.over:
            self._work = trio.Event()
            cells = self._end.cells_to_send()
            for cell in cells:
                try:
                    await self._legs[cell.arc].send(cell.type, cell.body)
                except ConnectionFailed:
                    self._end.lose(cell.arc, "broken")
            if cells:
                self._note_progress()
                self._announce()
            elif not self._end.over:
                await self._work.wait()

    def _note_progress(self) -> None:
        if self._end.ended is None:
            self._bound()

    def _wake(self) -> None:
        self._work.set()
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


RingHandler = Callable[[RingChannel], Awaitable[None]]


@define(eq=False)
class _PendingJoin:
    """One arc that waits for its partner."""

    join: Join
    handshake_hash: bytes
    leg: _EndpointLeg
    taken: trio.Event = field(factory=trio.Event)
    given_up: trio.Event = field(factory=trio.Event)


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
            await self._join(_EndpointLeg(stream, hop, buffer), command)

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
            with trio.fail_after(self._limits.build_timeout_s):
                onward = await self._extend(command, stream.peer)
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else "unreachable"
            self.counters[f"extension_failed:{reason}"] += 1
            await self._end_towards_client(stream, hop, reason)
            return
        self.counters["forwarded"] += 1
        async with onward:
            ending = await self._pump(stream, onward, hop, buffer)
        self.counters[f"arc_ended:{ending}"] += 1
        if ending != _CLIENT_GONE:
            await self._end_towards_client(stream, hop, ending)
        hop.end()

    async def _extend(self, command: Extend, neighbour: PeerId) -> PeerStream:
        if not self._relay:
            raise RemoteProtocolError("this peer is no relay", reason="no_relay")
        record = open_record(command.record, self._now_s(), self._suite)
        if not isinstance(record, PeerRecord):
            raise RemoteProtocolError("an extension to something that is no peer", reason="bad_record")
        peer = PeerId.from_public_key(record.public_key)
        if peer in {neighbour, self._swarm.peer_id}:
            raise RemoteProtocolError("an extension to where the arc is, or came from", reason="bad_extension")
        addresses = dialable(record.addresses, allow_private=self._allow_private)
        if not addresses:
            raise ConnectionFailed(f"no address of {peer} may be dialled")
        return await self._swarm.open_stream(peer, addresses, RING_PROTOCOL)

    async def _end_towards_client(self, stream: PeerStream, hop: Hop, reason: str) -> None:
        with trio.move_on_after(_FAREWELL_S):
            try:
                await _send_back(stream, hop.extension_failed(reason))
                await stream.close_sending()
            except ConnectionFailed:
                self.counters["both_sides_lost"] += 1

    async def _pump(self, stream: PeerStream, onward: PeerStream, hop: Hop, buffer: bytearray) -> str:
        """Forwards both ways until a side ends, or nothing passes for too long; which of these it was, as a reason.

        When the far side ends, what it said last still goes to the client.
        """
        endings: list[str] = []
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope

            def note_progress() -> None:
                scope.deadline = trio.current_time() + self._limits.idle_timeout_s

            async def pump_on() -> None:
                if await self._pump_on(stream, onward, hop, buffer, note_progress):
                    endings.append(_CLIENT_GONE)
                    scope.cancel()

            async def pump_back() -> None:
                await self._pump_back(onward, stream, hop, note_progress)
                endings.append("lost")
                scope.cancel()

            note_progress()
            nursery.start_soon(pump_on)
            nursery.start_soon(pump_back)
        return endings[0] if endings else "idle"

    async def _pump_on(
        self, stream: PeerStream, onward: PeerStream, hop: Hop, buffer: bytearray, note_progress: Callable[[], None]
    ) -> bool:
        """Cells away from the client; True when the client's side has ended, False when the far side takes no more."""
        while True:
            if cells := cut_cells(buffer):
                try:
                    await onward.send_all(b"".join(self.forward(hop, cell) for cell in cells))
                except ConnectionFailed:
                    return False
                note_progress()
                continue
            try:
                data = await stream.receive_some()
            except ConnectionFailed:
                return True
            if not data:
                return True
            buffer += data

    async def _pump_back(
        self, onward: PeerStream, stream: PeerStream, hop: Hop, note_progress: Callable[[], None]
    ) -> None:
        """Cells towards the client, until the far side ends, or the client takes no more."""
        buffer = bytearray()
        with suppress(ConnectionFailed):
            while data := await onward.receive_some():
                buffer += data
                if cells := cut_cells(buffer):
                    await stream.send_all(b"".join(self.forward_back(hop, cell) for cell in cells))
                    note_progress()

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

    async def _join(self, leg: _EndpointLeg, joined: Joined) -> None:
        """Pairs an arc with its partner and runs the ring, or waits to be paired."""
        try:
            channel, service = await self._channel(leg, joined)
        except RemoteProtocolError as error:
            await leg.refuse(error.reason)
            raise
        if channel is not None:
            await self._run_endpoint(channel, service)

    async def _channel(self, leg: _EndpointLeg, joined: Joined) -> tuple[RingChannel | None, str]:
        """The ring that the arc completes, and its service; no ring when the partner's task runs it, or none came."""
        join = decode(Join, joined.body)
        if join.service not in self._services:
            raise RemoteProtocolError("a join for a service that is not served", reason="bad_join")
        partner = self._pending.pop(join.cookie, None)
        if partner is None:
            await self._wait_for_partner(_PendingJoin(join, joined.handshake_hash, leg))
            return None, join.service
        partner.taken.set()
        if not self._fits(join, joined.handshake_hash, partner):
            await partner.leg.refuse("bad_join")
            raise RemoteProtocolError("a join cookie does not fit its two arcs", reason="bad_join")
        out, back = (leg, partner.leg) if join.role == OUT else (partner.leg, leg)
        end = RingEnd(client=False)
        return RingChannel(end, out, back, idle_timeout_s=self._limits.idle_timeout_s), join.service

    def _fits(self, join: Join, handshake_hash: bytes, partner: _PendingJoin) -> bool:
        """Whether two arcs are the halves of one ring: same service and nonce, and the cookie of both their hashes."""
        if partner.join != Join(OUT + BACK - join.role, join.service, join.nonce, join.cookie):
            return False
        out, back = handshake_hash, partner.handshake_hash
        if join.role == BACK:
            out, back = back, out
        return join_cookie(self._suite, join.nonce, out, back) == join.cookie

    async def _wait_for_partner(self, pending: _PendingJoin) -> None:
        if len(self._pending) >= self._limits.pending_joins:
            self._pending.pop(next(iter(self._pending))).given_up.set()
        cookie = pending.join.cookie
        self._pending[cookie] = pending
        try:
            with trio.move_on_after(self._limits.join_timeout_s):
                await _first_of(pending.taken.wait, pending.given_up.wait, pending.leg.wait_gone)
        finally:
            if self._pending.get(cookie) is pending:
                del self._pending[cookie]
        if pending.taken.is_set():
            await pending.leg.closed.wait()  # the partner's task runs the ring
            return
        self.counters["join_without_partner"] += 1
        await pending.leg.refuse("no_partner")

    async def _run_endpoint(self, channel: RingChannel, service: str) -> None:
        self.counters["joined"] += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.run)
                try:
                    await self._services[service](channel)
                finally:
                    channel.end()
                    # Its last cells are the answer's end; `run` itself bounds how long they may take.
                    with trio.CancelScope(shield=True):
                        await channel.finished.wait()
        except* RingFailed:
            self.counters["ring_ended"] += 1


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
        stream = await swarm.open_stream(guard.peer, guard.addresses, RING_PROTOCOL)
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
    return RingChannel(RingEnd(client=True), legs[OUT], legs[BACK])


async def _first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Waits until one of them returns; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)


async def _send_back(stream: PeerStream, events: Sequence[HopEvent]) -> None:
    for event in events:
        assert isinstance(event, SendBack)
        await stream.send_all(event.cell)
