"""What a peer does for other people's rings: it forwards, and it joins those that end at it.

Rules:

1. A leg is one stream of `RING_PROTOCOL`. When one side of a forwarder goes, the other goes too, and nothing of the
   ring stays.
2. A forwarder extends only to the peer of a signed, valid record, at an address that may be dialled.
3. Legs are bounded per neighbour and in total, and so is what they hold (`forwarding`). An arc that gets no command,
   an extension that is not made, a join that finds no partner, and a ring on which nothing passes end after a named
   time. The oldest waiting join makes room for a new one.
4. An arc that ends before its time is ended with a reason for the client, as far as it can still be told.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen

from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.ring.cells import CELL_SIZE, CellType, SealedCell, cut_cells
from peernet.core.ring.endings import Ending
from peernet.core.ring.hop import Extend, Hop, HopEvent, HopState, Joined, Opened, SendBack
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.ring import BACK, OUT, CellOut, Join, join_cookie
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode
from peernet.net.addresses import dialable
from peernet.net.metrics import RINGS, Measured
from peernet.net.rings.channel import FAREWELL_S, IDLE_TIMEOUT_S, RingChannel, RingFailed
from peernet.net.rings.forwarding import CLIENT_GONE, Forwarder, HeldCells
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["RING_PROTOCOL", "RingHandler", "RingLimits", "RingService"]

RING_PROTOCOL: Final = "/peernet/ring/1"


@frozen
class RingLimits:
    """Bounds of a node's part in rings."""

    legs: int = 1024
    legs_per_neighbour: int = 128
    held_bytes: int = 64 << 20
    """What all legs may hold because it cannot go on."""
    held_bytes_per_neighbour: int = 16 << 20
    """As many as 256 rings may have in flight."""
    command_timeout_s: float = 15.0
    """How long a leg may take up to the first word of its arc."""
    standby_timeout_s: float = 240.0
    """How long an arc that was built up to here may wait for its command: clients build arcs ahead of need."""
    join_timeout_s: float = 5.0
    """How long an arc waits for its partner: both joins leave the client together."""
    build_timeout_s: float = 5.0
    """How long an extension may take: less than a client waits for its ring, so that it learns which hop it was."""
    idle_timeout_s: float = IDLE_TIMEOUT_S
    """How long nothing may pass on a ring."""
    pending_joins: int = 64


class _EndpointLeg:
    """An endpoint's leg: the inbound stream and its hop."""

    def __init__(self, stream: PeerStream, hop: Hop, buffer: bytearray) -> None:
        self._stream = stream
        self._hop = hop
        self._buffer = buffer
        self.ending: Ending | None = None  # an endpoint does not ask who on the way ended its arc
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

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        if self._hop.state is not HopState.ENDPOINT:
            raise ConnectionFailed("the arc has ended")
        if self._stream.room < len(cells) * CELL_SIZE:
            return False
        return self._stream.send_now(b"".join(_back([self._hop.send(cell.type, cell.body) for cell in cells])))

    async def wait_gone(self) -> None:
        """Waits until the neighbour has closed the leg; what came before is kept."""
        await self._stream.wait_ended()

    async def refuse(self, reason: str) -> None:
        """Tells the client why its arc ends here, if it can be told at once, and closes."""
        with trio.move_on_after(FAREWELL_S), suppress(ConnectionFailed):
            await self.send(CellType.END, reason.encode())
        self.close()

    def close(self) -> None:
        self._hop.end()
        self.closed.set()


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
        self._held = HeldCells(limits.held_bytes, limits.held_bytes_per_neighbour)
        self._services: dict[str, RingHandler] = {}
        self._pending: dict[bytes, _PendingJoin] = {}
        self._legs: Counter[PeerId] = Counter()
        self._standing: set[trio.CancelScope] = set()
        self.counters: Counter[str] = Counter()
        swarm.handle(RING_PROTOCOL, self._serve_leg)
        swarm.on_draining.append(self._end_standing)

    @property
    def legs(self) -> int:
        """Inbound legs now open."""
        return self._legs.total()

    @property
    def held_bytes(self) -> int:
        """What all legs hold now because it cannot go on."""
        return self._held.total

    def serve(self, service: str, handler: RingHandler) -> None:
        """Takes rings that are joined for `service`."""
        self._services[service] = handler

    @property
    def measured(self) -> Measured:
        """What it counts and holds, for metrics."""
        return Measured(RINGS, self.counters, {"legs": lambda: self.legs})

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

    def _end_standing(self) -> None:
        """Ends the arcs that wait here for their command: nothing is under way on them."""
        for waiting in self._standing:
            waiting.cancel()

    async def _lead(self, stream: PeerStream) -> None:
        """Takes a leg through its handshake and its command, then forwards or joins."""
        hop = Hop(self._suite, self._onion_secrets(), secrets.token_bytes(32))
        buffer = bytearray()
        with trio.move_on_after(self._limits.command_timeout_s) as waiting:
            self._standing.add(waiting)
            try:
                command = await self._read_command(stream, hop, buffer, waiting)
            finally:
                self._standing.discard(waiting)
        if waiting.cancelled_caught:
            self.counters["no_command"] += 1
            raise trio.TooSlowError
        if isinstance(command, Extend):
            await self._forward(stream, hop, buffer, command)
        elif command is not None:
            await self._join(_EndpointLeg(stream, hop, buffer), command)

    async def _read_command(
        self, stream: PeerStream, hop: Hop, buffer: bytearray, waiting: trio.CancelScope
    ) -> Extend | Joined | None:
        """Answers the handshake and waits for the command, longer than `waiting` does so far.

        Cells after it stay in `buffer`.
        """
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
                    waiting.deadline = trio.current_time() + self._limits.standby_timeout_s
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
        stream.unread(bytes(buffer))
        buffer.clear()
        async with onward:
            ending, unsent = await self._pump(stream, onward, hop)
        self.counters[f"arc_ended:{ending}"] += 1
        if ending != CLIENT_GONE:
            await self._end_towards_client(stream, hop, ending, unsent)
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
        return await self._swarm.open_stream(peer, addresses, RING_PROTOCOL, optimistic=True)

    async def _end_towards_client(self, stream: PeerStream, hop: Hop, reason: str, unsent: bytes = b"") -> None:
        """Tells the client why its arc ends, behind what is `unsent` of a cell to it."""
        with trio.move_on_after(FAREWELL_S):
            try:
                await stream.send_all(unsent)
                await _send_back(stream, hop.extension_failed(reason))
                await stream.close_sending()
            except ConnectionFailed:
                self.counters["both_sides_lost"] += 1

    async def _pump(self, stream: PeerStream, onward: PeerStream, hop: Hop) -> tuple[str, bytes]:
        """Forwards both ways; why it ended, and what is unsent of a cell to the client."""
        layers = partial(self.forward, hop), partial(self.forward_back, hop)
        forwarder = Forwarder(stream, onward, *layers, self._held, self._limits.idle_timeout_s)
        return await forwarder.run(), forwarder.unsent

    def forward(self, hop: Hop, cells: bytes) -> bytes:
        """Whole cells on their way out, with our layer off."""
        return hop.pass_on(cells)

    def forward_back(self, hop: Hop, cells: bytes) -> bytes:
        """Whole cells on their way back, with our layer on."""
        return hop.pass_back(cells)

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
        end = ring_end(join.service, client=False)
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


async def _first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Waits until one of them returns; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)


async def _send_back(stream: PeerStream, events: Sequence[HopEvent]) -> None:
    for cell in _back([events]):
        await stream.send_all(cell)


def _back(said: Sequence[Sequence[HopEvent]]) -> Iterator[bytes]:
    """The cells in what a hop said, towards the client."""
    for events in said:
        for event in events:
            assert isinstance(event, SendBack)
            yield event.cell
