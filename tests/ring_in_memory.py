"""A whole ring without sockets: the client's two arcs, the hops, the endpoint, and a queue for each way of each leg.

The test decides which queue delivers next, and may alter what is in one. A leg that closes does so behind what was
put on it, as a stream does; hops then do what `net.rings` does.
"""

from collections import deque

from attrs import define, field, frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcEvent, ArcHop
from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.endings import Ending
from peernet.core.ring.hop import Extend, Hop, HopState, Joined, Opened, SendBack, SendOn
from peernet.core.ring.ring import BACK, OUT, Join, RingEnd, join_cookie
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode

__all__ = ["SERVICE", "SUITE", "Leg", "MemoryArc", "MemoryRing", "quiesce"]

SUITE = MixedSuite()
SERVICE = "echo-of-a-secret-service"
CLOSE = b""
"""What the end of a stream looks like to who reads it."""


@define
class Leg:
    """The two queues between two neighbours, and all that was ever put on them."""

    out: deque[bytes] = field(factory=deque)
    back: deque[bytes] = field(factory=deque)
    seen: list[bytes] = field(factory=list)
    closed_out: bool = False
    closed_back: bool = False

    def put_out(self, cell: bytes) -> None:
        """Puts a cell on the way to the endpoint; nothing follows a close."""
        if not self.closed_out:
            self.closed_out = cell == CLOSE
            self.out.append(cell)
            self.seen.append(cell)

    def put_back(self, cell: bytes) -> None:
        """Puts a cell on the way to the client."""
        if not self.closed_back:
            self.closed_back = cell == CLOSE
            self.back.append(cell)
            self.seen.append(cell)


@frozen
class Lost:
    """A leg ended without a word."""


class MemoryArc:
    """One arc: the client's `Arc`, its hops, and the legs between them; `Leg` i leads to hop i.

    With `ahead`, it is built up to its last relay, until `extend` is called.
    """

    def __init__(self, name: bytes, hops: int = 3, *, ahead: bool = False) -> None:
        secrets = [SUITE.hash("SHA256", name + b"onion" + bytes([number])) for number in range(hops)]
        self.records = [b"record of hop %d on " % number + name for number in range(hops)]
        described = [
            ArcHop(SUITE.x25519_public(secret), record, SUITE.hash("SHA256", name + b"client" + secret))
            for secret, record in zip(secrets, self.records, strict=True)
        ]
        self.endpoint = described[-1]
        self.arc = Arc(SUITE, described[:-1], whole=False) if ahead else Arc(SUITE, described)
        self.hops = [Hop(SUITE, (secret,), SUITE.hash("SHA256", name + b"hop" + secret)) for secret in secrets]
        self.legs = [Leg() for _ in range(hops)]
        self.dead: set[int] = set()
        """Hops to which nobody can extend."""
        self.refuses: dict[int, str] = {}
        """Hops that do not extend, and their reason."""

    def start(self) -> None:
        """Sends the guard's handshake."""
        self.arc.start()
        self.flush()

    def extend(self) -> None:
        """Names the endpoint."""
        self.arc.extend(self.endpoint)
        self.flush()

    def flush(self) -> None:
        """Hands over what the client's arc has queued."""
        for cell in self.arc.cells_to_send():
            self.legs[0].put_out(cell)

    def deliver_out(self, place: int) -> list[Joined | Opened | Lost]:
        """Gives hop `place` what is next for it; what the endpoint learnt."""
        cell = self.legs[place].out.popleft()
        hop = self.hops[place]
        if cell == CLOSE:
            was_endpoint = hop.state is HopState.ENDPOINT
            self.end_hop(place)
            return [Lost()] if was_endpoint else []
        try:
            events = hop.receive(cell)
        except RemoteProtocolError:
            was_endpoint = place + 1 == len(self.hops)
            self.end_hop(place)
            return [Lost()] if was_endpoint else []
        return [learnt for event in events if (learnt := self._obey(place, event)) is not None]

    def deliver_back(self, place: int) -> list[ArcEvent | Lost]:
        """Gives who is before hop `place` what is next from it; what the client learnt."""
        cell = self.legs[place].back.popleft()
        if place:
            self._pass_back(place - 1, cell)
            return []
        if cell == CLOSE:
            return [Lost()]
        events = self.arc.receive(cell)
        self.flush()
        return list(events)

    def end_hop(self, place: int) -> None:
        """The hop closes both its legs."""
        self.hops[place].end()
        self.legs[place].put_back(CLOSE)
        if place + 1 < len(self.legs):
            self.legs[place + 1].put_out(CLOSE)

    def send_from_endpoint(self, kind: CellType, body: bytes) -> None:
        """The endpoint seals a cell."""
        (event,) = self.hops[-1].send(kind, body)
        self.legs[-1].put_back(event.cell)

    def close_from_client(self) -> None:
        """The client resets its stream and forgets its keys."""
        self.arc.end()
        self.legs[0].put_out(CLOSE)

    def _obey(self, place: int, event: object) -> Joined | Opened | None:
        match event:
            case SendBack(cell):
                self.legs[place].put_back(cell)
            case SendOn(cell):
                self.legs[place + 1].put_out(cell)
            case Extend(record):
                assert record == self.records[place + 1]
                reason = self.refuses.get(place) or ("unreachable" if place + 1 in self.dead else None)
                if reason is not None:
                    self._fail(place, reason)
            case Joined() | Opened():
                return event
        return None

    def _pass_back(self, place: int, cell: bytes) -> None:
        if cell == CLOSE:
            self._fail(place, "lost")
            return
        for event in self.hops[place].receive_back(cell):
            assert isinstance(event, SendBack)
            self.legs[place].put_back(event.cell)

    def _fail(self, place: int, reason: str) -> None:
        for event in self.hops[place].extension_failed(reason):
            assert isinstance(event, SendBack)
            self.legs[place].put_back(event.cell)
        self.end_hop(place)


class MemoryRing:
    """Two arcs and both ends. `ended_by` says of which arc and hop the client was told.

    With `verdict`, a client whose ring was ended hears the other arc's end before it closes both, as in `net.rings`.
    With `ahead`, both arcs wait for their endpoint until `name_endpoint`. Rings of different names have nothing in
    common.
    """

    def __init__(self, hops: int = 3, *, verdict: bool = False, name: bytes = b"", ahead: bool = False) -> None:
        self.verdict = verdict
        self.arcs = {
            number: MemoryArc(name + side, hops, ahead=ahead) for number, side in ((OUT, b"out"), (BACK, b"back"))
        }
        self.client = RingEnd(client=True)
        self.endpoint = RingEnd(client=False)
        self.nonce = SUITE.hash("SHA256", name + b"nonce")[:16]
        self.opened = {OUT: 0, BACK: 0}
        """How many data cells either end has taken from the other, by their arc."""
        self.cookie = b"until both arcs are built there is none"
        self._early: list[tuple[int, SealedCell]] = []
        self.joined: dict[int, Joined] = {}
        self.ended_by: list[tuple[int, int, str]] = []
        self.endings: dict[int, Ending] = {}
        self.data_sent = {OUT: 0, BACK: 0}
        self.data_granted = {OUT: 0, BACK: 0}
        self.client_open = self.endpoint_open = True
        self._built: set[int] = set()
        for arc in self.arcs.values():
            arc.start()

    @property
    def is_joined(self) -> bool:
        """Whether the endpoint has both arcs."""
        return len(self.joined) == 2

    def name_endpoint(self) -> None:
        """Extends both arcs to their endpoint; one that has ended meanwhile ends the ring."""
        if all(arc.arc.waiting for arc in self.arcs.values()):
            for arc in self.arcs.values():
                arc.extend()
        else:
            self.client.fail("closed")
        self.flush()

    def queues(self) -> list[tuple[int, int, bool]]:
        """Where something can be delivered: arc, leg, and whether outward."""
        return [
            (number, place, outward)
            for number, arc in self.arcs.items()
            for place, leg in enumerate(arc.legs)
            for outward in (True, False)
            if (leg.out if outward else leg.back)
        ]

    def deliver(self, number: int, place: int, outward: bool) -> None:
        """Delivers one cell, and lets both ends say what they then have to say."""
        arc = self.arcs[number]
        if outward:
            for event in arc.deliver_out(place):
                self._at_endpoint(number, event)
        else:
            try:
                for event in arc.deliver_back(place):
                    self._at_client(number, event)
            except RemoteProtocolError as error:
                self.endings.setdefault(number, Ending(None, error.reason))
                self.client.breach(number, error.reason)
        self.flush()

    def kill(self, number: int, place: int) -> None:
        """A hop dies; the endpoint, where it is that one, on both arcs."""
        arc = self.arcs[number]
        if place + 1 == len(arc.hops):
            self.endpoint.fail("died")
        arc.end_hop(place)
        self.flush()

    def flush(self) -> None:
        """Both ends send what they may."""
        if self.client_open and self._built == {OUT, BACK}:
            for cell in self.client.cells_to_send():
                self._count(cell.arc, cell.type, cell.body, OUT)
                if self.arcs[cell.arc].arc.built:
                    self.arcs[cell.arc].arc.send(cell.type, cell.body)
        for arc in self.arcs.values():
            arc.flush()
        waits = self.verdict and self.client.broken and len(self.endings) < 2
        if self.client_open and self.client.over and not waits:
            self.client_open = False
            for arc in self.arcs.values():
                arc.close_from_client()
        if self.endpoint_open and self.is_joined:
            for cell in self.endpoint.cells_to_send():
                self._count(cell.arc, cell.type, cell.body, BACK)
                if self.arcs[cell.arc].hops[-1].state is HopState.ENDPOINT:
                    self.arcs[cell.arc].send_from_endpoint(cell.type, cell.body)
        if self.endpoint_open and self.endpoint.over:
            self.endpoint_open = False
            for arc in self.arcs.values():
                arc.end_hop(len(arc.hops) - 1)

    def _count(self, arc: int, kind: CellType, body: bytes, sends_on: int) -> None:
        if kind is CellType.DATA:
            assert arc == sends_on
            self.data_sent[arc] += 1
        elif kind is CellType.WINDOW:
            assert arc != sends_on
            self.data_granted[arc] += int.from_bytes(body, "big")

    def _at_client(self, number: int, event: ArcEvent | Lost) -> None:
        # What an arc says last is heard after the end, too: see `core.ring.endings`.
        match event:
            case ArcEnded(hop, reason):
                self.endings.setdefault(number, Ending(hop, reason))
            case Lost():
                self.endings.setdefault(number, Ending(0, "closed"))
        if self.client.over:
            return
        match event:
            case ArcBuilt():
                self._built.add(number)
                if len(self._built) == 2:
                    self._join()
            case ArcCell(cell):
                self.opened[number] += cell.type is CellType.DATA
                self.client.receive(number, cell)
            case ArcEnded(hop, reason):
                self.ended_by.append((number, hop, reason))
                self.client.receive(number, SealedCell(CellType.END, reason.encode()))
                if self._built != {OUT, BACK}:
                    self.client.fail(reason)
            case Lost():
                self.client.lose(number, "closed")
                if self._built != {OUT, BACK}:
                    self.client.fail("closed")

    def _join(self) -> None:
        self.hashes = {number: arc.arc.handshake_hash for number, arc in self.arcs.items()}
        self.cookie = join_cookie(SUITE, self.nonce, self.hashes[OUT], self.hashes[BACK])
        for number, arc in self.arcs.items():
            arc.arc.send(CellType.JOIN, encode(Join(number, SERVICE, self.nonce, self.cookie)))

    def _at_endpoint(self, number: int, event: Joined | Opened | Lost) -> None:
        match event:
            case Joined(body, handshake_hash):
                self.joined[number] = event
                join = decode(Join, body)
                assert (join.role, join.service) == (number, SERVICE)
                assert handshake_hash == self.hashes[number]
                if self.is_joined:
                    hashes = [self.joined[arc].handshake_hash for arc in (OUT, BACK)]
                    assert join.cookie == join_cookie(SUITE, join.nonce, *hashes)
                    for arc, cell in self._early:
                        self._receive_at_endpoint(arc, cell)
            case Opened(cell):
                # What comes before the partner does waits in the leg's buffer.
                if self.is_joined:
                    self._receive_at_endpoint(number, cell)
                else:
                    self._early.append((number, cell))
            case Lost():
                self.endpoint.lose(number, "closed")

    def _receive_at_endpoint(self, number: int, cell: SealedCell) -> None:
        self.opened[number] += cell.type is CellType.DATA
        try:
            self.endpoint.receive(number, cell)
        except RemoteProtocolError as error:
            self.endpoint.breach(number, error.reason)


def quiesce(ring: MemoryRing) -> None:
    """Delivers until nothing is on its way."""
    while queues := ring.queues():
        ring.deliver(*queues[0])
