"""One end of a ring: what leaves when, in which turn, and in how many writes."""

from collections.abc import Sequence

import trio
import trio.testing

from peernet.core.ring.cells import BODY_SIZE, CellType
from peernet.core.ring.ring import CellOut, RingEnd
from peernet.net.rings.channel import RingChannel
from tests.unit.test_ring_service import SilentLeg


class NotedLeg(SilentLeg):
    """One that notes what is sent on it; while it is `full`, nothing leaves at once."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.writes: list[list[bytes]] = []

    async def send(self, kind: CellType, body: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.writes.append([body])

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        if not self.full:
            self.writes.append([cell.body for cell in cells])
        return not self.full


async def test_what_is_said_together_leaves_in_one_write_and_in_the_turn_of_who_says_it():
    out = NotedLeg()
    ring = RingChannel(RingEnd(client=True), out, SilentLeg())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        await trio.testing.wait_all_tasks_blocked()
        await ring.send(b"prompt", b"voucher")
        assert out.writes == [[b"\x06prompt\x07voucher"]]  # no other task has run
        await ring.send(bytes(2 * BODY_SIZE))
        assert [len(body) for body in out.writes[-1]] == [BODY_SIZE, BODY_SIZE, 2]
        nursery.cancel_scope.cancel()


async def test_what_cannot_leave_at_once_leaves_before_all_that_is_said_later():
    out = NotedLeg()
    ring = RingChannel(RingEnd(client=True), out, SilentLeg())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        await trio.testing.wait_all_tasks_blocked()
        out.full = True
        await ring.send(b"first")
        out.full = False
        await ring.send(b"second")
        await trio.testing.wait_all_tasks_blocked()
        assert b"".join(body for write in out.writes for body in write) == b"\x05first\x06second"
        ring.end()
        await trio.testing.wait_all_tasks_blocked()
        assert out.writes[-1] == [b"done"]
