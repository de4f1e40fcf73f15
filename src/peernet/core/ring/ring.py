"""A ring: two arcs joined at one endpoint into a message channel that neither relay can read or link.

Both ends run the same rules over their two arcs:

1. The client builds both arcs, then sends JOIN on each: `role`, `service`, a fresh 16-byte nonce, and the cookie
   SHA-256(label | nonce | out arc's handshake hash | back arc's handshake hash). The endpoint pairs two arcs by their
   cookie, computes it from its own two hashes, and refuses what does not fit: a cookie works once, for one pair.
2. Data goes along an arc's direction only: client to endpoint on the out arc, endpoint to client on the back arc.
   WINDOW and END go against it (END also along it, when the sender of data is done).
3. Data cells in flight are bounded: a sender starts with `WINDOW_CELLS` and gets more by WINDOW once half of them
   have been consumed. More than allowed is a `RemoteProtocolError`.
4. The bodies of the data cells are one byte stream, on which messages follow their length (`wire.frame`).
5. An endpoint ends its ring when either arc ends or breaks, and says so on the other one (`ARC_LOST`), so that the
   client can tell a broken arc from an endpoint that has gone. The client's out arc may end before the last answer has
   come along the back arc: the client then stops sending, and its ring ends with the back arc.
6. An endpoint that ends a ring says END behind everything that it has queued, which may take windows from the client
   first; the owner bounds the time that this gets. A client that ends a ring wants nothing more of it: its END waits
   for no window, and what does not fit is dropped. So the two never wait for each other.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import ClassVar, Final

from attrs import Attribute, field, frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ring.cells import BODY_SIZE, CellType, SealedCell, reason_of
from peernet.core.suite import CipherSuite
from peernet.core.wire import FrameReader, frame

__all__ = ["ARC_LOST", "BACK", "MAX_RING_MESSAGE", "OUT", "WINDOW_CELLS", "CellOut", "Join", "RingEnd", "join_cookie"]

OUT: Final = 1
BACK: Final = 2

ARC_LOST: Final = "arc_lost"
"""The reason of an endpoint's END on the one arc because the other has broken."""

WINDOW_CELLS: Final = 64
MAX_RING_MESSAGE: Final = 256 * 1024
"""The largest message on a ring, in bytes: a prompt, or a proof."""

NONCE_SIZE: Final = 16
COOKIE_SIZE: Final = 32

_COOKIE_LABEL: Final = b"peernet ring join 1"


def _is_role(_: object, __: "Attribute[int]", value: int) -> None:
    if value not in {OUT, BACK}:
        raise ValueError("a join is for the out arc or the back arc")


def _has_size(size: int) -> Callable[[object, "Attribute[bytes]", bytes], None]:
    def check(_: object, attribute: "Attribute[bytes]", value: bytes) -> None:
        if len(value) != size:
            raise ValueError(f"a join's {attribute.name} has {size} bytes, not {len(value)}")

    return check


@frozen
class Join:
    """The body of a JOIN cell. `role` is `OUT` or `BACK`; `service` names what the endpoint is asked for."""

    role: int = field(validator=_is_role)
    service: str
    nonce: bytes = field(validator=_has_size(NONCE_SIZE))
    cookie: bytes = field(validator=_has_size(COOKIE_SIZE))


def join_cookie(suite: CipherSuite, nonce: bytes, out_hash: bytes, back_hash: bytes) -> bytes:
    """The single-use cookie of one pair of arcs; 32 bytes."""
    return suite.hash("SHA256", _COOKIE_LABEL + nonce + out_hash + back_hash)


class DataSender:
    """The sending side of an arc's data: cuts messages into cell bodies, as far as the window allows."""

    def __init__(self) -> None:
        self._credit = WINDOW_CELLS
        self._pending = bytearray()

    def write(self, message: bytes) -> None:
        """Queues one message."""
        if len(message) > MAX_RING_MESSAGE:
            raise LocalProtocolError(f"a ring message of {len(message)} bytes, over {MAX_RING_MESSAGE}")
        self._pending += frame(message)

    def bodies_to_send(self) -> list[bytes]:
        """The cell bodies that may go now."""
        bodies = []
        while self._pending and self._credit:
            bodies.append(bytes(self._pending[:BODY_SIZE]))
            del self._pending[:BODY_SIZE]
            self._credit -= 1
        return bodies

    def on_window(self, cell: SealedCell) -> None:
        """Takes a WINDOW cell; raises `RemoteProtocolError` when it grants nothing, or more than a whole window."""
        granted = int.from_bytes(cell.body, "big")
        if len(cell.body) != 2 or not granted:
            raise RemoteProtocolError("a window cell holds two bytes, not both zero", reason="bad_cell")
        self._credit += granted
        if self._credit > WINDOW_CELLS:
            raise RemoteProtocolError("a window was opened beyond its size", reason="bad_window")

    @property
    def blocked(self) -> bool:
        """Whether bytes wait to be cut into cells, for the window to open at the latest."""
        return bool(self._pending)

    def drop(self) -> None:
        """Forgets what waits."""
        self._pending.clear()


class DataReceiver:
    """The receiving side of an arc's data: cell bodies back into messages, and windows for the sender."""

    def __init__(self) -> None:
        self._allowed = WINDOW_CELLS
        self._consumed = 0
        self._frames = FrameReader(MAX_RING_MESSAGE)
        self._messages: deque[bytes] = deque()

    def on_data(self, cell: SealedCell) -> None:
        """Takes a DATA cell; raises `RemoteProtocolError` past the window or for a message over the limit."""
        if not self._allowed:
            raise RemoteProtocolError("more data cells than the window allows", reason="window_overrun")
        self._allowed -= 1
        self._consumed += 1
        self.take(cell.body)

    def take(self, body: bytes) -> None:
        """Takes the next bytes of the stream; raises `RemoteProtocolError` for a message over the limit."""
        self._frames.feed(body)
        while (message := self._frames.next()) is not None:
            self._messages.append(message)

    def next_message(self) -> bytes | None:
        """The next whole message, or None."""
        return self._messages.popleft() if self._messages else None

    @property
    def unread(self) -> bool:
        """Whether `next_message` has one."""
        return bool(self._messages)

    def window_to_send(self) -> bytes | None:
        """The body of a WINDOW cell when half a window has been consumed and nothing waits to be read, else None."""
        if self._messages or self._consumed < WINDOW_CELLS // 2:
            return None
        granted, self._consumed = self._consumed, 0
        self._allowed += granted
        return granted.to_bytes(2, "big")


@frozen
class CellOut:
    """A cell that an end wants sealed and sent on one of its arcs (`OUT` or `BACK`)."""

    arc: int
    type: CellType
    body: bytes


class RingEnd:
    """One end of a joined ring: messages in and out, over two arcs.

    Args:
        client: whether this is the client's end (data leaves on the out arc) or the endpoint's (on the back arc).
    """

    paced: ClassVar[bool] = False
    """Whether cells leave by a clock (`pacing`), and not when there is something to say."""

    def __init__(self, *, client: bool) -> None:
        self._sending_arc, self._receiving_arc = (OUT, BACK) if client else (BACK, OUT)
        self._sender = DataSender()
        self._receiver = DataReceiver()
        self._client = client
        self._ended: str | None = None
        self._over = False
        self._broken = False
        self._muted = False
        self._lost_arc: int | None = None

    @property
    def ended(self) -> str | None:
        """Why the ring is over, or is being ended by us; None while it stands.

        Messages that came before can still be read.
        """
        return self._ended

    @property
    def over(self) -> bool:
        """Whether nothing more will be sent: the ring broke, or our END is out."""
        return self._over

    @property
    def broken(self) -> bool:
        """Whether the ring ended from the other side, or by breaking."""
        return self._broken

    @property
    def unread(self) -> bool:
        """Whether messages from the other end wait to be read."""
        return self._receiver.unread

    @property
    def blocked(self) -> bool:
        """Whether queued messages wait to be sent, for the other side's window at the latest."""
        return self._sender.blocked

    @property
    def next_slot_s(self) -> float:
        """When a cell is due by the clock; never here."""
        return inf

    def remaining_s(self, now_s: float) -> float:
        """How long the ring goes on by its clock once it is ended; not at all here."""
        return 0.0

    def receive(self, arc: int, cell: SealedCell, now_s: float = 0.0) -> None:
        """Takes a cell from one of the arcs; raises `RemoteProtocolError` for what may not come there."""
        if self._over:
            return
        along = arc == self._receiving_arc
        match cell.type:
            case CellType.DATA if along:
                self._receiver.on_data(cell)
            case CellType.WINDOW if not along:
                self._sender.on_window(cell)
            case CellType.END if self._client:
                self.lose(arc, reason_of(cell.body))
            case CellType.END:
                self.fail(reason_of(cell.body))
            case _:
                raise RemoteProtocolError(f"a {cell.type.name} cell went the wrong way", reason="bad_direction")

    def send(self, message: bytes) -> None:
        """Queues a message for the other end; dropped when nothing can be sent any more (rule 5)."""
        if self._ended is None and not self._muted:
            self._sender.write(message)

    def next_message(self) -> bytes | None:
        """The next message from the other end, or None."""
        return self._receiver.next_message()

    def end(self, reason: str) -> None:
        """Ends the ring from this side, behind what is queued (rule 6)."""
        if self._ended is None:
            self._ended = reason

    def lose(self, arc: int, reason: str) -> None:
        """One of the arcs has ended, by a relay's END or by breaking (rule 5)."""
        if self._client and arc == self._sending_arc and not self._over:
            self._muted = True
            self._sender.drop()
        elif not self._client and self._ended is None:
            self._ended = reason
            self._lost_arc = arc
            self._sender.drop()
        else:
            self.fail(reason)

    def breach(self, arc: int, reason: str) -> None:
        """What came on one of the arcs breaks the protocol: for the endpoint, an arc as good as lost (rule 5)."""
        if self._client:
            self.fail(reason)
        else:
            self.lose(arc, reason)

    def fail(self, reason: str) -> None:
        """The ring is over and nothing more can be sent."""
        if self._ended is None:
            self._ended = reason
        self._over = self._broken = True
        self._sender.drop()

    def cells_to_send(self, now_s: float = 0.0) -> list[CellOut]:
        """What to seal and send now, in order."""
        if self._over or self._lost_arc is not None:
            return self._last_words()
        # Nothing is pending on a muted arc.
        cells = [CellOut(self._sending_arc, CellType.DATA, body) for body in self._sender.bodies_to_send()]
        if self._ended is None:
            if window := self._receiver.window_to_send():
                cells.append(CellOut(self._receiving_arc, CellType.WINDOW, window))
        elif self._client or not self._sender.blocked:
            cells += self._last_words()
        return cells

    def _last_words(self) -> list[CellOut]:
        """The END that is still to be said, if any; nothing follows it."""
        if self._over:
            return []
        if self._lost_arc is not None:
            self._over = self._broken = True
            return [CellOut(OUT + BACK - self._lost_arc, CellType.END, ARC_LOST.encode())]
        if self._ended is None:
            return []
        self._sender.drop()
        self._over = True
        arc = self._receiving_arc if self._muted else self._sending_arc
        return [CellOut(arc, CellType.END, self._ended.encode())]
