"""One end of a joined ring: whole messages both ways, over two legs.

Rules:

1. Reading and writing are tasks of their own, so that a caller who is cancelled breaks no cell. What can leave without
   waiting leaves in the turn of who has something to say, in one write for all cells that an arc has then: a task that
   is woken for a few words costs as much as saying them. The writer does the rest, and all that a clock does.
2. A ring on which nothing passes ends after `IDLE_TIMEOUT_S`, or a hundredth earlier. One that is ended lets its last
   cells leave for `FAREWELL_S`, and no longer.
3. A paced ring (`core.ring.pacing`) that is ended goes on up to its boundary, and for `FAREWELL_S` beyond at most.
   Only what comes counts as passing: what leaves by the clock shows nothing.
4. A client's ring that ends with one arc hears what the other has to say of it, for `VERDICT_S` at most: the two
   together tell who ended it (`core.ring.endings`). Who reads from the ring is told at once.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, Protocol

import trio

from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.endings import Ending
from peernet.core.ring.ring import BACK, OUT, CellOut, RingEnd

__all__ = ["FAREWELL_S", "IDLE_TIMEOUT_S", "VERDICT_S", "Leg", "RingChannel", "RingFailed"]

FAREWELL_S: Final = 5.0
"""How long the end of a ring waits for its last cells to leave."""

IDLE_TIMEOUT_S: Final = 600.0
_IDLE_GRAIN: Final = 0.01
"""What passes within so much of the idle timeout moves its end once: a deadline costs more than a cell to move."""

VERDICT_S: Final = 2.0
"""How long a client's ring that has ended with one arc waits for the other's end. On the way are two relays, which may
be far and busy; an end that comes later is an honest relay suspected for a dead host, and a detour to that host."""


class RingFailed(PeernetError):
    """A ring could not be built, or broke.

    `hop` counts from 0 at the guard, on the arc `arc` (`OUT` or `BACK`); either is None when it cannot be told.
    """

    def __init__(self, message: str, *, reason: str, hop: int | None = None, arc: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.hop = hop
        self.arc = arc


class Leg(Protocol):
    """One arc as its end sees it: sealed cells in and out."""

    @property
    def ending(self) -> Ending | None:
        """How the arc ended, where this end can know."""
        ...

    async def receive(self) -> list[SealedCell] | None:
        """The next cells, or None when the leg has ended."""
        ...

    async def send(self, kind: CellType, body: bytes) -> None:
        """Seals and sends one cell, one task at a time; raises `ConnectionFailed` when the leg has ended."""
        ...

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        """Seals and sends all of these, where that goes without waiting; else False, and nothing is sealed.

        No task may be within `send`. Raises `ConnectionFailed` when the leg has ended.
        """
        ...

    def close(self) -> None:
        """Gives up the stream and the keys."""
        ...


class RingChannel:
    """One end of a joined ring: whole messages both ways.

    `run` drives it; `send` and `receive` may then be used, each by one task at a time. `verdict_s` bounds the wait of
    rule 4; an endpoint has nothing to wait for.
    """

    def __init__(
        self,
        end: RingEnd,
        out: Leg,
        back: Leg,
        *,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        verdict_s: float = 0.0,
    ) -> None:
        self._end = end
        self._legs = {OUT: out, BACK: back}
        self._idle_timeout_s = idle_timeout_s
        self._verdict_s = verdict_s
        self._reading = {OUT, BACK}
        self._silent = trio.Event()
        self._scope = trio.CancelScope()
        self._bounded_s = -inf
        self._unsent: list[CellOut] = []
        """Cells that are due and could not leave at once: the writer's, and nothing is sent past them."""
        self._work = trio.Event()
        self._changed = trio.Event()
        self.finished = trio.Event()

    @property
    def ended(self) -> str | None:
        """Why the ring is over, or None."""
        return self._end.ended

    @property
    def lingers(self) -> bool:
        """Whether it is ended and goes on up to its boundary: paced rings do."""
        return self._end.paced and self._end.ended is not None and not self.finished.is_set()

    @property
    def endings(self) -> Mapping[int, Ending]:
        """How its arcs ended (`OUT`, `BACK`), those that did and can be told; complete once `finished` is set."""
        return {arc: leg.ending for arc, leg in self._legs.items() if leg.ending is not None}

    async def run(self) -> None:
        """Reads and writes both arcs until the ring ends; then both legs are closed."""
        self._bound()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for arc, leg in self._legs.items():
                        nursery.start_soon(self._read, arc, leg)
                    await self._write()
                    if self._end.broken:
                        with trio.move_on_after(self._verdict_s):
                            await self._silent.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._end.fail("timeout" if self._scope.cancelled_caught else "closed")
            for leg in self._legs.values():
                leg.close()
            self._wake()
            self.finished.set()

    async def send(self, *messages: bytes) -> None:
        """Sends messages, which leave together, waiting while an earlier one waits for the window.

        Raises `RingFailed` once the ring has ended and all is read. Before that, a message is dropped: what the other
        end said last may be why it wants no more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._end.blocked and self._end.ended is None:
            await self._changed.wait()
        if self._end.ended is not None and not self._end.unread:
            raise RingFailed(f"the ring has ended: {self._end.ended}", reason=self._end.ended)
        for message in messages:
            self._end.send(message)
        self._push()

    async def receive(self) -> bytes | None:
        """The next message, or None when the ring has ended and all is read."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while (message := self.receive_nowait()) is None:
            if self._end.ended is not None:
                return None
            await self._changed.wait()
        return message

    def receive_nowait(self) -> bytes | None:
        """The next message, or None where none is here."""
        message = self._end.next_message()
        if message is not None:
            self._push()  # a window may open now
        return message

    def end(self, reason: str = "done") -> None:
        """Ends the ring behind what has been queued, if that leaves within `FAREWELL_S`; `run` then returns.

        A paced ring lasts up to its boundary.
        """
        if self._end.ended is None:
            self._end.end(reason)
            self._bound()
            self._wake()

    def _bound(self) -> None:
        """Sets how long `run` may go on without anything passing, and how long at all once the ring is ended."""
        now = trio.current_time()
        bound_s = self._idle_timeout_s if self._end.ended is None else FAREWELL_S + self._end.remaining_s(now)
        self._bounded_s = now
        self._scope.deadline = now + bound_s

    async def _read(self, arc: int, leg: Leg) -> None:
        try:
            while (cells := await leg.receive()) is not None:
                now = trio.current_time()
                for cell in cells:
                    self._end.receive(arc, cell, now)
                if self._end.broken and (leg.ending is not None or not self._verdict_s):
                    break
                self._note_progress(now)
                self._push()
                self._announce()
            self._end.lose(arc, "closed")
        except RemoteProtocolError as error:
            self._end.breach(arc, error.reason)
        except ConnectionFailed:
            self._end.lose(arc, "broken")
        self._reading.discard(arc)
        # After a breach the other arc has nothing to tell.
        if not self._reading or (leg.ending is not None and leg.ending.hop is None):
            self._silent.set()
        if self._end.broken:
            # A write that waits for the other arc waits for nothing.
            self._scope.deadline = trio.current_time() + (0.0 if self._silent.is_set() else self._verdict_s)
        elif self._end.ended is not None:
            self._bound()  # the endpoint's last word, on its other arc
        self._wake()

    def _push(self) -> None:
        """Sends what is due in this very turn, where that goes without waiting; else has the writer do it."""
        if not self._end.paced and not self._unsent:
            self._send_due()
            if not self._unsent and not self._end.over:
                return
        self._work.set()

    async def _write(self) -> None:
        while not self._end.over or self._unsent:
            self._work = trio.Event()
            if self._unsent:
                await self._send_unsent()
            elif self._send_due():
                self._announce()
            elif not self._end.over:
                await self._wait_for_work()

    def _send_due(self) -> bool:
        """Sends the cells that are due; those that would have to wait are then in `_unsent`. Whether any were due."""
        now = trio.current_time()
        cells = self._end.cells_to_send(now)
        if not cells:
            return False
        by_arc: dict[int, list[CellOut]] = {}
        for cell in cells:
            by_arc.setdefault(cell.arc, []).append(cell)
        for arc, its in by_arc.items():
            try:
                if not self._legs[arc].send_now(its):
                    self._unsent += its
            except ConnectionFailed:
                self._end.lose(arc, "broken")
                self._wake()
        if not self._end.paced:
            self._note_progress(now)
        return True

    async def _send_unsent(self) -> None:
        for cell in self._unsent:
            try:
                await self._legs[cell.arc].send(cell.type, cell.body)
            except ConnectionFailed:
                self._end.lose(cell.arc, "broken")
        self._unsent.clear()
        if not self._end.paced:
            self._note_progress(trio.current_time())
        self._announce()

    async def _wait_for_work(self) -> None:
        """Waits until there is something to say, or until a cell is due by the clock."""
        due_s = self._end.next_slot_s
        if due_s == inf:
            await self._work.wait()
            return
        with trio.move_on_at(due_s):
            await self._work.wait()

    def _note_progress(self, now: float) -> None:
        if self._end.ended is None and now - self._bounded_s >= self._idle_timeout_s * _IDLE_GRAIN:
            self._bound()

    def _wake(self) -> None:
        self._work.set()
        self._announce()

    def _announce(self) -> None:
        """Wakes who waits to read or to send, where there is a reason to."""
        if self._end.unread or self._end.ended is not None or not self._end.blocked:
            self._changed.set()
            self._changed = trio.Event()
