"""Paced rings: cells leave at a cadence, in numbers that are classes, whatever is said in them.

Theory of operation. On a ring whose service ends in `PACED`, either end sends along its arc by a clock of its own and
not when it has something to say. What it has to say goes into the cells that are due; the others are PAD, which is
sealed like all else, so that only the two ends can tell. Nothing goes against an arc's direction: the cadence bounds
what is in flight, and there are no windows. So the times and numbers of the cells on either arc, each way, depend on
three things alone: when the ring began, the class of the request, the class of the answer.

    client      from its first message on: one burst of a request class of cells, then one every `CLIENT.interval_s`
    endpoint    from the first cell of that on: one every `ENDPOINT.interval_s`, until an answer class is full;
                the last one is END

Rules:

1. The ring lasts until a boundary between answer classes: the first one by which the endpoint has nothing more to say.
   Both arcs end there.
2. A client that wants nothing more says END in its next cell and goes on with PAD. The endpoint then drops what it has
   to say, ends what it does for the client, and fills its class. Where it does not end, the client leaves at the
   boundary.
3. Who has more to say than fits is held back: an end takes messages until `waiting_bytes` wait. Who has less gives
   PAD.
4. A sender that is late catches up by at most `MAX_CATCH_UP` cells; beyond that its clock is set anew.
5. A receiver takes no more cells than the other end's cadence has, `SLACK_S` of it in advance, since cells that were
   held up on the way arrive together; and it holds at most `MAX_UNREAD` bytes that nobody has read.
6. A ring that breaks, and one on which nothing has been asked, ends at once.

Answer classes are far apart, each four times the one before, so that most answers of a chat are in the smallest; what
a class tells is then little, and what it costs is bounded by four. Times are in seconds on the caller's clock.
"""

import math
from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ring.cells import BODY_SIZE, CellType, SealedCell, reason_of
from peernet.core.ring.ring import MAX_RING_MESSAGE, CellOut, DataReceiver, DataSender, RingEnd

__all__ = [
    "CLIENT",
    "ENDPOINT",
    "MAX_CATCH_UP",
    "MAX_UNREAD",
    "PACED",
    "SLACK_S",
    "Pace",
    "PacedEnd",
    "class_of",
    "ring_end",
]

PACED: Final = "-paced"
"""What the service of a paced ring ends in: `infer` is asked for as it comes, `infer-paced` at a cadence."""

MAX_CATCH_UP: Final = 64
SLACK_S: Final = 10.0
MAX_UNREAD: Final = 4 * MAX_RING_MESSAGE


@frozen
class Pace:
    """How the cells of one direction leave.

    `lead_s` lies between the first message and the first cell, so that what is said together goes together. `burst`
    has the classes of the cells that leave together at the beginning, `total` those of all cells; each is ascending,
    and empty where there is none.
    """

    interval_s: float
    waiting_bytes: int
    lead_s: float = 0.0
    burst: tuple[int, ...] = ()
    total: tuple[int, ...] = ()

    def allowed_cells(self, elapsed_s: float) -> int:
        """How many cells may have come this long after the first one (rule 5)."""
        return max(self.burst, default=1) + math.ceil((elapsed_s + SLACK_S) / self.interval_s)


CLIENT: Final = Pace(0.16, waiting_bytes=2 * MAX_RING_MESSAGE, lead_s=0.02, burst=(32, 128, 512))
"""The smallest class holds 30 KB, which fills the context of many a model; the largest message takes 262 cells. A cell
every 160 ms has a voucher at the host before a window of tokens is used up, and a cancellation within 200 ms."""

ENDPOINT: Final = Pace(0.08, waiting_bytes=4 * BODY_SIZE, total=(128, 512, 2048))
"""Answers of up to 10, 41 and 164 seconds, then a multiple of the last. A reader does not notice 80 ms between two
pieces of a text, and 1,005 bytes each time are more than engines write."""


def class_of(count: int, classes: tuple[int, ...]) -> int:
    """The smallest class that holds `count` cells; above the largest one, the next multiple of it."""
    for size in classes:
        if count <= size:
            return size
    return -(-count // classes[-1]) * classes[-1]


class PacedSender(DataSender):
    """One direction's sending side: the cells that are due, filled with what there is to say."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._sent = 0
        self._next_s = math.inf
        self._ending: str | None = None
        self._end_sent = False

    @property
    def begun(self) -> bool:
        """Whether the first cell has a time."""
        return self._next_s < math.inf

    @property
    def next_s(self) -> float:
        """When the next cell is due; infinite before the beginning and after the end."""
        return math.inf if self.closed else self._next_s

    @property
    def closed(self) -> bool:
        """Whether the last cell of a class is out, and nothing follows."""
        return self._end_sent and bool(self._pace.total)

    @property
    def blocked(self) -> bool:
        """Whether so much waits that no further message is taken (rule 3)."""
        return len(self._pending) > self._pace.waiting_bytes

    @property
    def cells_left(self) -> int:
        """How many cells it takes to say what waits, and to fill the class."""
        least = self._sent + -(-len(self._pending) // BODY_SIZE) + 1
        return class_of(least, self._pace.total) - self._sent

    def begin(self, now_s: float) -> None:
        """Starts the clock, once."""
        if not self.begun:
            self._next_s = now_s + self._pace.lead_s

    def begin_with_a_message(self, now_s: float) -> None:
        """Starts the clock where there is something to say."""
        if self._pending:
            self.begin(now_s)

    def abandon(self) -> None:
        """Forgets what waits, and stops the clock where no cell has left yet."""
        self.drop()
        if not self._sent:
            self._next_s = math.inf

    def finish(self, reason: str) -> None:
        """Says END: at the next boundary where there are classes, else in the next cell."""
        self._ending = reason

    def cells(self, now_s: float) -> list[SealedCell]:
        """The cells that are due at `now_s`, in order."""
        interval_s = self._pace.interval_s
        if now_s - self._next_s > MAX_CATCH_UP * interval_s:
            self._next_s = now_s - (MAX_CATCH_UP - 1) * interval_s
        cells: list[SealedCell] = []
        while self.next_s <= now_s:
            cells += self._slot()
            self._next_s += interval_s
        return cells

    def _slot(self) -> list[SealedCell]:
        count = 1
        if not self._sent and self._pace.burst:
            count = class_of(-(-len(self._pending) // BODY_SIZE), self._pace.burst)
        return [self._cell() for _ in range(count)]

    def _cell(self) -> SealedCell:
        self._sent += 1
        if self._pending:
            body = bytes(self._pending[:BODY_SIZE])
            del self._pending[:BODY_SIZE]
            return SealedCell(CellType.DATA, body)
        at_boundary = not self._pace.total or self._sent == class_of(self._sent, self._pace.total)
        if self._ending is not None and at_boundary and not self._end_sent:
            self._end_sent = True
            return SealedCell(CellType.END, self._ending.encode())
        return SealedCell(CellType.PAD, b"")


class PacedReceiver(DataReceiver):
    """One direction's receiving side: PAD goes no further, and what comes is bounded by the cadence (rule 5)."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._first_s: float | None = None
        self._unread_bytes = 0
        self.count = 0

    @property
    def at_boundary(self) -> bool:
        """Whether all cells of a class are here."""
        return self.count == class_of(self.count, self._pace.total)

    @property
    def cells_left(self) -> int:
        """How many cells are to come up to the next boundary."""
        return class_of(self.count + 1, self._pace.total) - self.count

    def on_cell(self, cell: SealedCell, now_s: float, *, wanted: bool) -> None:
        """Takes a DATA or PAD cell; raises `RemoteProtocolError` for more than the cadence, or what is not read."""
        if self._first_s is None:
            self._first_s = now_s
        self.count += 1
        if self.count > self._pace.allowed_cells(now_s - self._first_s):
            raise RemoteProtocolError("more cells than the cadence has", reason="cadence_overrun")
        if cell.type is CellType.DATA and wanted:
            self._unread_bytes += len(cell.body)
            if self._unread_bytes > MAX_UNREAD:
                raise RemoteProtocolError("more than anybody reads", reason="window_overrun")
            self.take(cell.body)

    def next_message(self) -> bytes | None:
        """The next whole message, or None."""
        message = super().next_message()
        if not self.unread:
            self._unread_bytes = 0
        return message


class PacedEnd(RingEnd):
    """One end of a joined ring that is paced; rules and clock are this module's, all else is as `RingEnd` has it."""

    paced = True

    def __init__(self, *, client: bool) -> None:
        super().__init__(client=client)
        ours, theirs = (CLIENT, ENDPOINT) if client else (ENDPOINT, CLIENT)
        self._interval_s = ENDPOINT.interval_s
        self._sender: PacedSender = PacedSender(ours)
        self._receiver: PacedReceiver = PacedReceiver(theirs)

    @property
    def next_slot_s(self) -> float:
        """When `cells_to_send` has the next cell; infinite where that takes something else to happen."""
        return math.inf if self._over or self._muted else self._sender.next_s

    def remaining_s(self, now_s: float) -> float:
        """How long the ring still lasts once it is ended: up to the boundary."""
        if self._over or self._muted or not self._sender.begun:
            return 0.0
        left = self._receiver.cells_left if self._client else self._sender.cells_left
        return left * self._interval_s + max(0.0, self._sender.next_s - now_s)

    def receive(self, arc: int, cell: SealedCell, now_s: float = 0.0) -> None:
        """Takes a cell from one of the arcs; raises `RemoteProtocolError` for what may not come there, or so fast."""
        if self._over:
            return
        match cell.type:
            case CellType.DATA | CellType.PAD if arc == self._receiving_arc:
                self._receiver.on_cell(cell, now_s, wanted=self._ended is None)
                if not self._client:
                    self._sender.begin(now_s)
                elif self._ended is not None and self._receiver.at_boundary:
                    self._over = True  # rule 2
            case CellType.END if self._client:
                self.lose(arc, reason_of(cell.body))
            case CellType.END if arc == self._receiving_arc and self._sender.begun:
                self._receiver.on_cell(cell, now_s, wanted=False)
                self._sender.drop()
                self.end(reason_of(cell.body))
            case CellType.END:
                self.fail(reason_of(cell.body))
            case _:
                raise RemoteProtocolError(f"a {cell.type.name} cell went the wrong way", reason="bad_direction")

    def end(self, reason: str) -> None:
        """Ends the ring from this side: at the boundary (rules 1 and 2)."""
        if self._ended is None:
            self._ended = reason
            if self._client:
                self._sender.abandon()
            self._sender.finish(reason)

    def cells_to_send(self, now_s: float = 0.0) -> list[CellOut]:
        """What to seal and send now, in order."""
        if self._muted:
            # Its arcs close: an END on the back arc would only show that the client had wanted no more.
            self._over = self._ended is not None
            return []
        if self._over or self._lost_arc is not None:
            return self._last_words()
        self._sender.begin_with_a_message(now_s)
        if self._ended is not None and not self._sender.begun:
            return self._last_words()  # rule 6
        cells = [CellOut(self._sending_arc, cell.type, cell.body) for cell in self._sender.cells(now_s)]
        self._over = self._sender.closed
        return cells


def ring_end(service: str, *, client: bool) -> RingEnd:
    """One end of a ring joined for `service`: paced where the service's name says so."""
    return PacedEnd(client=client) if service.endswith(PACED) else RingEnd(client=client)
