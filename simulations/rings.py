"""Rings over the event loop, running exactly `peernet.core.ring`: arcs, hops, joins, windows, ends.

Every cell of every leg is an event, so a ring takes its real number of cells and round trips. What is modelled around
it, after `peernet.net.rings`:

1. A leg is a stream between two neighbours: it is opened (`Discovery.opening_s`), and keeps its cells in order.
2. Who has left says nothing. A relay that reaches no next hop within `extend_timeout_s` ends the arc with
   `unreachable`; a client that reaches no guard within it knows as much; for everything else there are the client's
   timeouts.
3. A request is one message; the host answers with a number of messages, one after another, and ends the ring.
4. Relays and hosts keep what they see of a ring, for `adversaries` to pool: a leg from whom, a leg to whom.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field, frozen

from peernet.core.dht.records import PeerRecord
from peernet.core.errors import RemoteProtocolError
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop
from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.hop import Extend, Hop, HopEvent, HopState, Joined, Opened, SendBack, SendOn
from peernet.core.ring.ring import BACK, NONCE_SIZE, OUT, Join, RingEnd, join_cookie
from peernet.core.suite import KEY_SIZE
from peernet.core.wire import decode, encode
from simulations.discovery import Discovery, SimulatedNode, Station
from simulations.scenario import Clients

__all__ = ["ListedNode", "RingOutcome", "Rings", "Sighting"]

SERVICE: Final = "infer"
JOIN_TIMEOUT_S: Final = 5.0


@frozen
class ListedNode:
    """A node as the directory had it: the record is what relays are told, the node is where it really is."""

    node: SimulatedNode
    record: bytes
    onion_key: bytes


@frozen
class Sighting:
    """What one relay or host saw of one ring: its rank, and the legs that it can say belong together.

    Legs are numbered over the whole run; two neighbours know a leg by the same number, as they do a stream.
    """

    rank: float
    place: int
    legs: tuple[int, ...]
    neighbours: tuple[int, ...]
    """The places at the far end of these legs."""


@define
class RingOutcome:
    """What became of one ring. Times are seconds from its beginning, negative where it did not come so far."""

    build_s: float = -1.0
    first_answer_s: float = -1.0
    answered_s: float = -1.0
    reason: str = ""
    """Why it failed, or nothing."""
    arc: int | None = None
    hop: int | None = None
    """Which hop is to blame, counted from 0 at the guard, where the client can tell."""
    cells: int = 0
    """Cells that arrived somewhere, on all legs."""
    cells_to_build: int = 0
    sightings: list[Sighting] = field(factory=list)


@define(eq=False)
class _Leg:
    """One stream between neighbours. `ready_s` is when it is open; cells do not overtake each other."""

    number: int
    near: Station
    far: SimulatedNode
    ready_s: float
    out_s: float = 0.0
    back_s: float = 0.0


@define(eq=False)
class _HostArc:
    """An arc that has ended at a host, before or after its partner came."""

    arc: "_RunningArc"
    join: Join
    handshake_hash: bytes
    early: list[SealedCell] = field(factory=list)
    ring: "_HostRing | None" = None


class Rings:
    """All rings of a run.

    Args:
        discovery: the nodes and their connections.
        settings: sizes, times and timeouts.
        seeded: draws ephemeral keys and nonces.
        seen_below: nodes of a rank below it keep what they see.
    """

    def __init__(
        self, discovery: Discovery, settings: Clients, seeded: random.Random, *, seen_below: float = 0.0
    ) -> None:
        self.discovery = discovery
        self.engine = discovery.engine
        self.suite = discovery.suite
        self.settings = settings
        self.random_bytes = seeded.randbytes
        self.seen_below = seen_below
        self.pending: dict[tuple[int, bytes], _HostArc] = {}
        """Arcs that wait for their partners, by place and cookie."""
        self._legs = 0

    def open(
        self,
        client: Station,
        out: Sequence[ListedNode],
        back: Sequence[ListedNode],
        done: Callable[[RingOutcome], None],
    ) -> None:
        """Builds a ring (guard first, host last on each arc), asks, and calls `done` once, when it is over."""
        _ClientRing(self, client, {OUT: out, BACK: back}, done).start()

    def forget_join(self, key: tuple[int, bytes]) -> None:
        """Lets an arc wait no longer for its partner."""
        self.pending.pop(key, None)

    def open_leg(self, near: Station, far: SimulatedNode) -> _Leg:
        """A new stream from `near` to `far`, which is alive."""
        self._legs += 1
        return _Leg(self._legs, near, far, self.engine.now_s + self.discovery.opening_s(near, far))


class _RunningArc:
    """One arc: the client's `Arc`, the hops as they are reached, and the legs between them. Leg i leads to hop i."""

    def __init__(self, ring: "_ClientRing", number: int, listed: Sequence[ListedNode]) -> None:
        self.ring = ring
        self.number = number
        self.rings = ring.rings
        draw = ring.rings.random_bytes
        self.nodes = [peer.node for peer in listed]
        self.arc = Arc(ring.rings.suite, [ArcHop(peer.onion_key, peer.record, draw(KEY_SIZE)) for peer in listed])
        self.hops = [Hop(ring.rings.suite, (node.onion_secret,), draw(KEY_SIZE)) for node in self.nodes]
        self.legs: list[_Leg] = []
        self.host_arc: _HostArc | None = None

    def start(self) -> None:
        """Reaches for the guard, and shakes hands with it."""
        guard, engine = self.nodes[0], self.rings.engine
        if not guard.alive:
            if not self.rings.discovery.is_connected(self.ring.client, guard):
                engine.after(self.rings.settings.extend_timeout_s, self.ring.fail, "unreachable", self.number, 0)
            return  # over a connection that is thought to stand, nobody answers
        self.legs.append(self.rings.open_leg(self.ring.client, guard))
        self.arc.start()
        self.flush()

    def flush(self) -> None:
        """Sends what the client's arc has queued."""
        for cell in self.arc.cells_to_send():
            self._send_out(0, cell)

    def send_from_host(self, kind: CellType, body: bytes) -> None:
        """The host seals a cell."""
        self._obey(len(self.hops) - 1, self.hops[-1].send(kind, body), 0.0)

    def _send_out(self, place: int, cell: bytes) -> None:
        leg, engine = self.legs[place], self.rings.engine
        leaves_s = max(engine.now_s, leg.ready_s)
        leg.out_s = max(leg.out_s, leaves_s + engine.latency_s(leg.near.place, leg.far.place))
        engine.deliver(leg.out_s, self._arrive_out, place, cell)

    def _send_back(self, place: int, cell: bytes, delay_s: float) -> None:
        leg, engine = self.legs[place], self.rings.engine
        leg.back_s = max(leg.back_s, engine.now_s + delay_s + engine.latency_s(leg.far.place, leg.near.place))
        engine.deliver(leg.back_s, self._arrive_back, place, cell)

    def _arrive_out(self, place: int, cell: bytes) -> None:
        if not self.nodes[place].alive:
            return
        self.ring.outcome.cells += 1
        hop = self.hops[place]
        handshake = hop.state is HopState.HANDSHAKE
        delay_s = self.rings.settings.handshake_ms / 1000 if handshake else 0.0
        self._obey(place, hop.receive(cell), delay_s)

    def _arrive_back(self, place: int, cell: bytes) -> None:
        if not self.legs[place].near.alive:
            return
        self.ring.outcome.cells += 1
        if place:
            self._obey(place - 1, self.hops[place - 1].receive_back(cell), 0.0)
        else:
            self.ring.receive(self, cell)

    def _obey(self, place: int, events: Sequence[HopEvent], delay_s: float) -> None:
        for event in events:
            match event:
                case SendBack(cell):
                    self._send_back(place, cell, delay_s)
                case SendOn(cell):
                    # Behind a leg that could not be opened there is nobody.
                    if place + 1 < len(self.legs):
                        self._send_out(place + 1, cell)
                case Extend(record):
                    self._extend(place, record)
                case Joined(body, handshake_hash):
                    self._join(body, handshake_hash)
                case Opened(cell):
                    self._opened(cell)

    def _extend(self, place: int, record: bytes) -> None:
        """Opens the next leg, as a relay does: to the peer of a signed, valid record."""
        engine = self.rings.engine
        try:
            body = self.rings.discovery.verifier.open(record, engine.now_s).body
        except RemoteProtocolError as error:
            self._fail_extension(place, error.reason)
            return
        following = self.nodes[place + 1]
        assert isinstance(body, PeerRecord)
        assert body.public_key == following.keypair.public_key
        if not following.alive:
            engine.after(self.rings.settings.extend_timeout_s, self._fail_extension, place, "unreachable")
            return
        leg = self.rings.open_leg(self.nodes[place], following)
        self.legs.append(leg)
        self._see(self.nodes[place], (self.legs[place], leg), (self.legs[place].near, following))

    def _fail_extension(self, place: int, reason: str) -> None:
        if self.nodes[place].alive:
            self._obey(place, self.hops[place].extension_failed(reason), 0.0)

    def _join(self, body: bytes, handshake_hash: bytes) -> None:
        """Pairs this arc with the one of the same cookie at the same host, or waits for it."""
        join = decode(Join, body)
        host = self.nodes[-1]
        self.host_arc = _HostArc(self, join, handshake_hash)
        key = (host.place, join.cookie)
        partner = self.rings.pending.pop(key, None)
        if partner is None:
            self.rings.pending[key] = self.host_arc
            self.rings.engine.after(JOIN_TIMEOUT_S, self.rings.forget_join, key)
            return
        arcs = {self.host_arc.join.role: self.host_arc, partner.join.role: partner}
        if set(arcs) != {OUT, BACK} or join.cookie != join_cookie(
            self.rings.suite, join.nonce, arcs[OUT].handshake_hash, arcs[BACK].handshake_hash
        ):
            raise RemoteProtocolError("a join cookie does not fit its two arcs", reason="bad_join")
        legs = (arcs[OUT].arc.legs[-1], arcs[BACK].arc.legs[-1])
        self._see(host, legs, (legs[0].near, legs[1].near))
        _HostRing(self.rings, host, arcs).start()

    def _opened(self, cell: SealedCell) -> None:
        assert self.host_arc is not None  # sealed cells follow the join
        if self.host_arc.ring is None:
            self.host_arc.early.append(cell)
        else:
            self.host_arc.ring.receive(self.number, cell)

    def _see(self, node: SimulatedNode, legs: Sequence[_Leg], neighbours: Sequence[Station]) -> None:
        if node.rank < self.rings.seen_below:
            numbers = tuple(leg.number for leg in legs)
            places = tuple(station.place for station in neighbours)
            self.ring.outcome.sightings.append(Sighting(node.rank, node.place, numbers, places))


class _HostRing:
    """The host's end: takes the request, sends its answer."""

    def __init__(self, rings: Rings, host: SimulatedNode, arcs: dict[int, _HostArc]) -> None:
        self._rings = rings
        self._host = host
        self._arcs = arcs
        self._end = RingEnd(client=False)

    def start(self) -> None:
        """Takes what came before both arcs were here."""
        for number, arc in self._arcs.items():
            arc.ring = self
            for cell in arc.early:
                self.receive(number, cell)

    def receive(self, number: int, cell: SealedCell) -> None:
        """Takes a cell from one of the arcs."""
        self._end.receive(number, cell)
        if self._end.next_message() is not None:
            settings = self._rings.settings
            for answer in range(settings.answer_messages):
                delay_s = settings.first_answer_s + answer * settings.answer_interval_s
                self._rings.engine.after(delay_s, self._answer, answer + 1 == settings.answer_messages)
        self._flush()

    def _answer(self, last: bool) -> None:
        if not self._host.alive or self._end.ended is not None:
            return
        self._end.send(bytes(self._rings.settings.answer_message_size))
        if last:
            self._end.end("done")
        self._flush()

    def _flush(self) -> None:
        for cell in self._end.cells_to_send():
            self._arcs[cell.arc].arc.send_from_host(cell.type, cell.body)


class _ClientRing:
    """The client's end: builds both arcs, joins them, asks, and waits for the answer."""

    def __init__(
        self,
        rings: Rings,
        client: Station,
        listed: dict[int, Sequence[ListedNode]],
        done: Callable[[RingOutcome], None],
    ) -> None:
        self.rings = rings
        self.client = client
        self.outcome = RingOutcome()
        self._arcs = {number: _RunningArc(self, number, nodes) for number, nodes in listed.items()}
        self._done = done
        self._end = RingEnd(client=True)
        self._joined = False
        self._over = False
        self._answers = 0
        self._began_s = rings.engine.now_s

    def start(self) -> None:
        """Begins both arcs at the same time."""
        self.rings.engine.after(self.rings.settings.ring_timeout_s, self._check_built)
        for arc in self._arcs.values():
            arc.start()

    def receive(self, arc: _RunningArc, cell: bytes) -> None:
        """Takes a cell from the guard of one of the arcs."""
        for event in arc.arc.receive(cell):
            match event:
                case ArcBuilt():
                    if all(each.arc.built for each in self._arcs.values()):
                        self._join()
                case ArcCell(sealed):
                    self._end.receive(arc.number, sealed)
                case ArcEnded(hop, reason) if self._joined:
                    self._end.receive(arc.number, SealedCell(CellType.END, reason.encode()))
                    if self._end.ended is not None and self._answers < self.rings.settings.answer_messages:
                        self._take_messages()
                        self.fail(reason, arc.number, None if hop + 1 == len(arc.nodes) else hop + 1)
                case ArcEnded(hop, reason):
                    self.fail(reason, arc.number, hop + 1 if reason == "unreachable" else hop)
        arc.flush()
        if self._joined and not self._over:
            self._take_messages()
            self._flush()

    def fail(self, reason: str, arc: int | None = None, hop: int | None = None) -> None:
        """The ring is over without an answer."""
        if self._over:
            return
        self.outcome.reason, self.outcome.arc, self.outcome.hop = reason, arc, hop
        self._end.fail(reason)
        self._finish()

    def _join(self) -> None:
        rings, arcs = self.rings, self._arcs
        nonce = rings.random_bytes(NONCE_SIZE)
        cookie = join_cookie(rings.suite, nonce, arcs[OUT].arc.handshake_hash, arcs[BACK].arc.handshake_hash)
        for number, arc in arcs.items():
            arc.arc.send(CellType.JOIN, encode(Join(number, SERVICE, nonce, cookie)))
            arc.flush()
        self._joined = True
        self.outcome.build_s = rings.engine.now_s - self._began_s
        self.outcome.cells_to_build = self.outcome.cells
        self._end.send(bytes(rings.settings.request_size))
        self._flush()
        self._await_answer()

    def _take_messages(self) -> None:
        now_s = self.rings.engine.now_s - self._began_s
        while self._end.next_message() is not None:
            self._answers += 1
            if self._answers == 1:
                self.outcome.first_answer_s = now_s
        if self._answers == self.rings.settings.answer_messages and not self._over:
            self.outcome.answered_s = now_s
            self._end.end("done")
            self._flush()
            self._finish()

    def _flush(self) -> None:
        for cell in self._end.cells_to_send():
            if self._arcs[cell.arc].arc.built:
                self._arcs[cell.arc].arc.send(cell.type, cell.body)
                self._arcs[cell.arc].flush()

    def _check_built(self) -> None:
        if not self._joined:
            self.fail("timeout")

    def _await_answer(self) -> None:
        self.rings.engine.after(self.rings.settings.answer_timeout_s, self._check_answer, self._answers)

    def _check_answer(self, answers_before: int) -> None:
        if self._over:
            return
        if self._answers == answers_before:
            self.fail("silent")
        else:
            self._await_answer()

    def _finish(self) -> None:
        self._over = True
        for arc in self._arcs.values():
            arc.arc.end()
        self._done(self.outcome)
