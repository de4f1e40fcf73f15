"""Two legs coupled by a forwarder: what comes on one goes out on the other, in the reader that took it in.

Theory of operation. A leg's stream has no reader of its own (`net.streams`, rule 4): when a connection has taken in
what came, each leg for which there was something cuts it into cells, applies the hop's layer to all whole ones at
once, and writes them to the other leg; then each connection that was written to sends once. So a cell passes with no
task switch, and what came together leaves together. One task a forwarder sleeps until a side ends.

Rules:

1. A leg takes no more than the other one has room for. The rest stays where it came in, and holds that stream's
   window: a neighbour waits, and nothing here grows. Nor does the window, of which a ring needs a quarter.
2. The layer is applied to a cell when some of it is sent, so that whatever is dropped, the cells behind it still fit.
3. What all legs hold together, and those of one neighbour, is bounded: over that the fullest leg's arc is ended, and
   what it held is dropped at once. (A ring has at most 64 cells of data in flight, and a leg's window is 256 cells, so
   those whose ends keep the rules are the last to be ended.)
4. When the client's side ends, what came before still goes on; when the far side ends, what it said last still goes to
   the client. On a forwarder where nothing passes for `idle_timeout_s`, nothing is waited for any more.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from peernet.core.errors import ConnectionFailed
from peernet.core.identity import PeerId
from peernet.core.ring.cells import CELL_SIZE
from peernet.net.outbox import Outbox
from peernet.net.streams import PeerStream

__all__ = ["CLIENT_GONE", "FLOODED", "IDLE", "LOST", "Forwarder", "HeldCells"]

CLIENT_GONE: Final = "client_gone"
LOST: Final = "lost"
IDLE: Final = "idle"
FLOODED: Final = "flooded"


class HeldCells:
    """What all legs of a node hold because it cannot go on: sizes in bytes, bounded per neighbour and in total."""

    def __init__(self, max_bytes: int, max_bytes_per_neighbour: int) -> None:
        self._max_bytes = max_bytes
        self._max_bytes_per_neighbour = max_bytes_per_neighbour
        self._by_leg: dict[_Direction, int] = {}
        self._by_neighbour: Counter[PeerId] = Counter()
        self.total = 0
        """Bytes held now."""

    def note(self, leg: "_Direction", size: int) -> None:
        """A leg now holds so many bytes; others may be dropped for it, or itself."""
        neighbour = leg.neighbour
        more = size - self._by_leg.pop(leg, 0)
        self.total += more
        self._by_neighbour[neighbour] += more
        if size:
            self._by_leg[leg] = size
        elif not self._by_neighbour[neighbour]:
            del self._by_neighbour[neighbour]
            return
        if self._by_neighbour[neighbour] > self._max_bytes_per_neighbour:
            self._drop_fullest(neighbour)
        elif self.total > self._max_bytes:
            self._drop_fullest(None)

    def _drop_fullest(self, neighbour: PeerId | None) -> None:
        legs = (leg for leg in self._by_leg if neighbour is None or leg.neighbour == neighbour)
        max(legs, key=self._by_leg.__getitem__).give_up()


class _Direction:
    """One way through a forwarder; the consumer of the stream that it takes from, and told when it ends."""

    def __init__(
        self,
        forwarder: "Forwarder",
        origin: PeerStream,
        destination: PeerStream,
        layer: Callable[[bytes], bytes],
        held: HeldCells,
    ) -> None:
        self._forwarder = forwarder
        self._origin = origin
        self._destination = destination
        self._layer = layer
        self._held = held
        self._holds = False
        self._given_up = False
        self.rest = b""
        """The rest of a cell of which the beginning was sent."""

    @property
    def neighbour(self) -> PeerId:
        """From whom the cells come."""
        return self._origin.peer

    @property
    def blocked(self) -> bool:
        """Whether something is held that can still go on."""
        return (self._holds or bool(self.rest)) and not self._destination.failed

    def on_received(self) -> Outbox | None:
        return self._destination.outbox if self.move() else None

    def on_writable(self) -> None:
        self._forwarder.on_writable(self._origin)

    def on_over(self) -> None:
        self._forwarder.wake()

    def move(self) -> bool:
        """Hands on what there is, as far as there is room; whether anything was."""
        if self._given_up:
            self._origin.drop()
            return False
        if not self._forwarder.coupled:
            return False
        room = self._destination.room
        sent = 0
        if room and self.rest:
            sent = self._destination.send_gathered(self.rest)
            self.rest = self.rest[sent:]
            room -= sent
        if room > 0:
            sent += self._move_cells(room)
        self._note_held()
        if sent:
            self._forwarder.note_progress()
        return sent > 0

    def _move_cells(self, room: int) -> int:
        """Hands on whole cells; the last one may be sent in part, which uses up the room."""
        data = self._origin.take()
        size = min(len(data), room + CELL_SIZE - 1) // CELL_SIZE * CELL_SIZE
        if size < len(data):
            self._origin.put_back(data[size:])
            data = data[:size]
        if not size:
            return 0
        out = self._layer(data)
        sent = self._destination.send_gathered(out)
        if sent < size:
            self.rest = out[sent:]
        self._origin.consumed(size)
        return sent

    def _note_held(self) -> None:
        """Tells what is held, and has us told when there is room for it."""
        held = self._origin.held_bytes
        holds = held >= CELL_SIZE
        if holds or self.rest:
            self._destination.tell_writable()
        if holds or self._holds:
            self._holds = holds
            self._held.note(self, held if holds else 0)

    def give_up(self) -> None:
        """Drops what is held, and has the arc ended: it is the fullest of too many."""
        self._given_up = True
        self._origin.drop()
        self.forget()
        self._forwarder.end(FLOODED)

    def forget(self) -> None:
        """Nothing is held any more."""
        if self._holds:
            self._holds = False
            self._held.note(self, 0)


class Forwarder:
    """Two legs, coupled. `run` couples them, and returns why a side has ended.

    Args:
        client: the leg towards the client.
        onward: the leg away from it.
        layer_on: takes our layer off whole cells on their way out.
        layer_back: puts our layer on whole cells on their way back.
        held: told what the legs hold.
        idle_timeout_s: how long nothing may pass.
    """

    def __init__(
        self,
        client: PeerStream,
        onward: PeerStream,
        layer_on: Callable[[bytes], bytes],
        layer_back: Callable[[bytes], bytes],
        held: HeldCells,
        idle_timeout_s: float,
    ) -> None:
        self._client = client
        self._onward = onward
        self._on = _Direction(self, client, onward, layer_on, held)
        self._back = _Direction(self, onward, client, layer_back, held)
        self._layer_on = layer_on
        self._idle_timeout_s = idle_timeout_s
        self._agreeing = trio.CancelScope()
        self.coupled = False
        """Whether the far side has agreed to the protocol, so that cells pass in the readers."""
        self._progress_at = trio.current_time()
        self._woken = trio.Event()
        self._ended: str | None = None

    @property
    def unsent(self) -> bytes:
        """What is left of a cell to the client, of which the beginning was sent: first of all that follows."""
        return self._back.rest

    async def run(self) -> str:
        """Forwards until a side ends, or nothing passes for too long; which of these it was, as a reason."""
        self._client.hand_to(self._on)
        try:
            if not await self._agree():
                return CLIENT_GONE if self._client.remote_over else LOST
            self._onward.hand_to(self._back)
            self.coupled = True
            return await self._wait_for_end()
        finally:
            self.coupled = False
            for direction in (self._on, self._back):
                direction.forget()
            for stream in (self._client, self._onward):
                stream.hand_to(None)

    async def _agree(self) -> bool:
        """Sends the first cells behind the proposal of the protocol, and waits for the answer to it."""
        data = self._client.take()
        size = len(data) // CELL_SIZE * CELL_SIZE
        self._client.put_back(data[size:])
        self._client.consumed(size)
        if self._client.remote_over:
            return False
        with self._agreeing, suppress(ConnectionFailed):
            await self._onward.send_all(self._layer_on(data[:size]))
            await self._onward.agreed()
            return True
        return False

    async def _wait_for_end(self) -> str:
        while (ending := self._ending()) is None:
            self._woken = trio.Event()
            with trio.move_on_at(self._progress_at + self._idle_timeout_s):
                await self._woken.wait()
        return ending

    def _ending(self) -> str | None:
        """Hands on what there is, and says what has ended, if anything has."""
        for direction, destination in ((self._on, self._onward), (self._back, self._client)):
            if direction.move():
                destination.outbox.flush()
        if self._ended is not None:
            return self._ended
        if self._client.remote_over and not self._on.blocked:
            return CLIENT_GONE
        if self._onward.remote_over and not self._back.blocked:
            return LOST
        if trio.current_time() - self._progress_at >= self._idle_timeout_s:
            return IDLE
        return None

    # What the directions tell.

    def note_progress(self) -> None:
        """Something has passed."""
        self._progress_at = trio.current_time()

    def on_writable(self, stream: PeerStream) -> None:
        """More may be written to one of the legs."""
        if not self.coupled:
            return
        direction = self._back if stream is self._client else self._on
        if direction.move():
            stream.outbox.flush()
        if not direction.blocked:
            stream.outbox.forget_writer(stream)
        if self._client.remote_over or self._onward.remote_over:
            self.wake()

    def end(self, reason: str) -> None:
        """Ends it for a reason of ours."""
        self._ended = reason
        self.wake()

    def wake(self) -> None:
        """Has the sleeping task look."""
        self._woken.set()
        if not self.coupled:
            self._agreeing.cancel()
