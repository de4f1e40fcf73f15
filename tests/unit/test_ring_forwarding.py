"""Two coupled legs over loopback sockets: cells pass in order, neighbours are held back, and every ending is one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.lowlevel
from attrs import define, field

from peernet.core.errors import ConnectionFailed
from peernet.core.identity import PeerId
from peernet.core.ring.cells import CELL_SIZE
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.net.outbox import Outbox, Writer
from peernet.net.rings.forwarding import CLIENT_GONE, FLOODED, IDLE, LOST, Forwarder, HeldCells
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from tests.swarms_in_process import new_keypair, new_swarm, running, until

LEG = "/test/leg/1"
UNBOUNDED = 1 << 40


def cell(number: int) -> bytes:
    return number.to_bytes(4, "big") * (CELL_SIZE // 4)


def cells(count: int, first: int = 0) -> bytes:
    return b"".join(map(cell, range(first, first + count)))


@define
class Relayed:
    """A client's swarm, a forwarder's in the middle, and a far one whose streams `far` serves."""

    client: Swarm
    middle: Swarm
    end: Swarm
    held: HeldCells
    far: Callable[[PeerStream], Awaitable[None]]
    idle_timeout_s: float = 60.0
    endings: list[str] = field(factory=list)
    layered: list[int] = field(factory=list)
    """The sizes of what the layers were applied to."""

    def layer(self, data: bytes) -> bytes:
        self.layered.append(len(data))
        return data

    async def forward(self, stream: PeerStream) -> None:
        onward = await self.middle.open_stream(self.end.peer_id, self.end.listening, LEG, optimistic=True)
        async with onward:
            forwarder = Forwarder(stream, onward, self.layer, self.layer, self.held, self.idle_timeout_s)
            self.endings.append(await forwarder.run())
        if self.endings[-1] != CLIENT_GONE:
            with suppress(ConnectionFailed):
                await stream.send_all(forwarder.unsent + cell(2**32 - 1))

    async def open(self) -> PeerStream:
        return await self.client.open_stream(self.middle.peer_id, self.middle.listening, LEG)

    async def ended(self, count: int = 1) -> list[str]:
        await until(lambda: len(self.endings) >= count)
        return self.endings

    async def wait_until_nothing_is_left(self) -> None:
        assert self.held.total == 0
        assert not self.held._by_leg
        assert not self.held._by_neighbour
        for swarm in (self.client, self.middle, self.end):
            await until(lambda swarm=swarm: not any(c.stream_count for c in swarm.connections.values()))
            await until(lambda swarm=swarm: not any(c.outbox._writers for c in swarm.connections.values()))


@asynccontextmanager
async def relayed(
    far: Callable[[PeerStream], Awaitable[None]],
    *,
    max_bytes: int = UNBOUNDED,
    max_bytes_per_neighbour: int = UNBOUNDED,
    idle_timeout_s: float = 60.0,
) -> AsyncIterator[Relayed]:
    client, middle, end = (new_swarm() for _ in range(3))
    async with running(client, middle, end):
        found = Relayed(client, middle, end, HeldCells(max_bytes, max_bytes_per_neighbour), far, idle_timeout_s)
        middle.handle(LEG, found.forward)
        end.handle(LEG, far)
        yield found


class Far:
    """The far side: keeps what comes while `reads` is set, and has its stream."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = trio.Event()
        if reads:
            self.reads.set()
        self.came = bytearray()
        self.streams: list[PeerStream] = []
        self.over = trio.Event()

    async def __call__(self, stream: PeerStream) -> None:
        self.streams.append(stream)
        await self.reads.wait()
        with suppress(ConnectionFailed):
            while data := await stream.receive_some():
                self.came += data
        await self.over.wait()

    async def arrived(self) -> PeerStream:
        await until(lambda: self.streams)
        return self.streams[0]


async def received(stream: PeerStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(5):
        while len(data) < size:
            more = await stream.receive_some()
            assert more, f"the stream ended after {len(data)} bytes"
            data += more
    return data


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@pytest.mark.parametrize("piece", [1, 500, 1024, 1500, 70_000])
async def test_cells_pass_both_ways_however_they_are_cut(piece: int):
    async with relayed(echo) as r:
        stream = await r.open()
        sent = cells(100 if piece > 1 else 3)

        async def send() -> None:
            for start in range(0, len(sent), piece):
                await stream.send_all(sent[start : start + piece])
                if piece < CELL_SIZE:
                    await trio.lowlevel.checkpoint()  # so that pieces come apart

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await received(stream, len(sent)) == sent
        assert all(size % CELL_SIZE == 0 for size in r.layered)
        assert sum(r.layered) == 2 * len(sent)
        stream.reset()
        assert await r.ended() == [CLIENT_GONE]
        await r.wait_until_nothing_is_left()


async def test_what_came_together_is_layered_in_one_step():
    async with relayed(echo) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        await received(stream, CELL_SIZE)
        r.layered.clear()
        await stream.send_all(cells(20))
        await received(stream, 20 * CELL_SIZE)
        assert r.layered[0] == 20 * CELL_SIZE
        stream.reset()


async def test_a_leg_has_one_task():
    async with relayed(echo) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        await received(stream, CELL_SIZE)
        before = trio.lowlevel.current_statistics().tasks_living
        second = await r.open()
        await second.send_all(cell(0))
        await received(second, CELL_SIZE)
        # The forwarder's, and the far side's echo.
        assert trio.lowlevel.current_statistics().tasks_living == before + 2
        stream.reset()
        second.reset()
        await r.ended(2)


async def test_a_neighbour_is_held_back_by_a_far_side_that_does_not_read():
    far = Far(reads=False)
    async with relayed(far) as r:
        stream = await r.open()
        sent = 0
        with trio.move_on_after(0.3):
            while True:
                await stream.send_all(cells(16, sent))
                sent += 16
        # Two windows, one at each side of the forwarder, which holds one of them.
        size = sent * CELL_SIZE
        assert INITIAL_WINDOW < size <= 2 * INITIAL_WINDOW
        assert 0 < r.held.total <= INITIAL_WINDOW
        for connection in r.middle.connections.values():
            assert connection.outbox.unsent_bytes == 0
        far.reads.set()
        await until(lambda: len(far.came) >= size)
        assert far.came[:size] == cells(sent)
        assert r.held.total == 0
        stream.reset()
        far.over.set()
        assert await r.ended() == [CLIENT_GONE]
        await r.wait_until_nothing_is_left()


async def test_a_client_that_does_not_read_holds_back_the_far_side():
    taken = []

    async def flood(stream: PeerStream) -> None:
        while True:
            await stream.send_all(cell(len(taken)))
            taken.append(None)

    async with relayed(flood) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        with trio.move_on_after(0.3):
            await trio.sleep_forever()
        assert INITIAL_WINDOW < len(taken) * CELL_SIZE <= 2 * INITIAL_WINDOW + CELL_SIZE
        assert await received(stream, 1000 * CELL_SIZE)
        stream.reset()
        assert await r.ended() == [CLIENT_GONE]
        await r.wait_until_nothing_is_left()


@pytest.mark.parametrize("towards", ["end", "client"])
async def test_a_connection_that_is_full_is_waited_for(towards: str, monkeypatch: pytest.MonkeyPatch):
    """Its socket takes nothing at once, and hardly anything may wait for it."""
    waited: list[int] = []
    tell_writable = Outbox.tell_writable

    def note_waiting(outbox: Outbox, writer: Writer) -> None:
        waited.append(outbox.unsent_bytes)
        tell_writable(outbox, writer)

    monkeypatch.setattr(Outbox, "tell_writable", note_waiting)
    async with relayed(echo) as r:
        streams = [await r.open() for _ in range(5)]
        for stream in streams:
            await stream.send_all(cell(0))
            await received(stream, CELL_SIZE)
        outbox = r.middle.connections[getattr(r, towards).peer_id].outbox
        outbox.high_water = CELL_SIZE
        outbox._send_now = lambda _: 0
        for start in range(0, 200, 20):
            for stream in streams:
                await stream.send_all(cells(20, start))
        for stream in streams:
            assert await received(stream, 200 * CELL_SIZE) == cells(200)
        assert waited
        # What one batch brought, behind what another one had left.
        assert max(waited) <= CELL_SIZE + 2 * INITIAL_WINDOW
        assert not outbox._writers
        for stream in streams:
            stream.reset()
        assert await r.ended(5) == [CLIENT_GONE] * 5
        await r.wait_until_nothing_is_left()


async def test_a_window_of_a_leg_does_not_grow():
    far = Far()
    async with relayed(far) as r:
        stream = await r.open()
        for connection in (*r.middle.connections.values(), *r.client.connections.values()):
            connection._protocol.yamux.round_trip_s = 60.0
        for _ in range(64):
            await stream.send_all(cells(64))
        await until(lambda: len(far.came) == 64 * 64 * CELL_SIZE)
        windows = [w.window for c in r.middle.connections.values() for w in c._protocol.yamux._streams.values()]
        assert windows == [INITIAL_WINDOW] * 2
        stream.reset()
        far.over.set()


async def test_a_client_that_closes_in_the_middle_of_a_cell_is_heard_up_to_it():
    far = Far()
    async with relayed(far) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        await until(lambda: far.came == cell(0))
        await stream.send_all(cells(2, 1) + b"half")
        await stream.close_sending()
        assert await r.ended() == [CLIENT_GONE]
        await until(lambda: far.came == cells(3))
        far.over.set()
        stream.reset()
        await r.wait_until_nothing_is_left()


async def test_what_a_client_said_before_it_went_still_goes_on():
    far = Far(reads=False)
    async with relayed(far) as r:
        stream = await r.open()
        count = (INITIAL_WINDOW + 100_000) // CELL_SIZE
        await stream.send_all(cells(count))
        await stream.close_sending()
        await until(lambda: r.held.total)
        await trio.sleep(0.05)
        assert r.endings == []
        far.reads.set()
        await until(lambda: far.came == cells(count))
        assert await r.ended() == [CLIENT_GONE]
        far.over.set()
        stream.reset()
        await r.wait_until_nothing_is_left()


async def test_what_the_far_side_said_last_still_goes_to_the_client():
    count = (INITIAL_WINDOW + 100_000) // CELL_SIZE

    async def speak(stream: PeerStream) -> None:
        await stream.send_all(cells(count))

    async with relayed(speak) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        await until(lambda: r.held.total)
        assert r.endings == []
        assert await received(stream, (count + 1) * CELL_SIZE) == cells(count) + cell(2**32 - 1)
        assert await r.ended() == [LOST]
        stream.reset()
        await r.wait_until_nothing_is_left()


async def test_a_far_side_that_takes_no_more_is_still_heard_to_the_end():
    far = Far()
    async with relayed(far) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        await until(lambda: far.came == cell(0))
        end = await far.arrived()
        await end.send_all(cells(2, 7))
        end.reset()
        assert await received(stream, 3 * CELL_SIZE) == cells(2, 7) + cell(2**32 - 1)
        assert await r.ended() == [LOST]
        far.over.set()
        stream.reset()
        await r.wait_until_nothing_is_left()


async def test_both_sides_that_end_at_once_are_one_ending():
    far = Far()
    async with relayed(far) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        end = await far.arrived()
        await stream.send_all(cells(5))
        stream.reset()
        end.reset()
        far.over.set()
        assert len(await r.ended()) == 1
        await r.wait_until_nothing_is_left()
        assert r.middle.counters["handler_crashed"] == r.middle.counters["connection_crashed"] == 0


async def test_a_client_that_goes_before_the_far_side_has_agreed_ends_the_leg():
    async with relayed(Far()) as r:
        r.end._streams.handlers.clear()
        agree = trio.Event()

        async def late(stream: PeerStream) -> None:
            await agree.wait()

        r.end._streams._serve = late
        r.end._streams.take = lambda *_: None  # it never answers
        stream = await r.open()
        await stream.send_all(cell(0))
        await until(lambda: r.layered)
        stream.reset()
        assert await r.ended() == [CLIENT_GONE]


async def test_what_is_said_at_the_end_comes_behind_a_cell_that_was_cut():
    async def flood(stream: PeerStream) -> None:
        while True:
            await stream.send_all(cells(16))

    async with relayed(flood, idle_timeout_s=0.2) as r:
        stream = await r.open()
        await stream.send_all(cell(0))
        assert await r.ended() == [IDLE]
        # The window, from which the protocol's negotiation has taken some, ended within a cell.
        data = b""
        with trio.fail_after(5):
            while not data.endswith(cell(2**32 - 1)):
                data += await stream.receive_some()
        assert len(data) % CELL_SIZE == 0
        assert data[: 32 * CELL_SIZE] == cells(16) * 2
        assert len(data) > INITIAL_WINDOW
        stream.reset()
        await r.wait_until_nothing_is_left()


async def flood_until_held(r: Relayed, stream: PeerStream, size: int) -> None:
    """Sends until the forwarder holds so much more."""
    before = r.held.total
    with trio.fail_after(5):
        await stream.send_all(cells(INITIAL_WINDOW // CELL_SIZE))
        await stream.send_all(cells(size // CELL_SIZE))
    await until(lambda: r.held.total >= before + size - CELL_SIZE)


@pytest.mark.parametrize("which", ["max_bytes", "max_bytes_per_neighbour"])
async def test_the_fullest_leg_is_ended_when_all_hold_too_much(which: str, monkeypatch: pytest.MonkeyPatch):
    end, left = Forwarder.end, []

    def note_left(forwarder: Forwarder, reason: str) -> None:
        left.append(forwarder._client.held_bytes)
        end(forwarder, reason)

    monkeypatch.setattr(Forwarder, "end", note_left)
    async with relayed(Far(reads=False), **{which: 230_000}) as r:
        modest, greedy = await r.open(), await r.open()
        await flood_until_held(r, modest, 64 * CELL_SIZE)
        held = r.held.total
        await flood_until_held(r, greedy, 150_000)
        assert r.endings == []
        await greedy.send_all(cells(30))
        assert await r.ended() == [FLOODED]
        # What it held was dropped at once, and the other leg's was not.
        assert left == [0]
        assert r.held.total == held
        third = await r.open()
        await flood_until_held(r, third, 64 * CELL_SIZE)
        assert r.endings == [FLOODED]
        for stream in (modest, greedy, third):
            stream.reset()
        for end in r.far.streams:
            end.reset()
        r.far.reads.set()
        r.far.over.set()
        await r.ended(3)
        await r.wait_until_nothing_is_left()


class HeldLeg:
    """A leg as the account of what is held knows it."""

    def __init__(self, held: HeldCells, neighbour: PeerId) -> None:
        self.held = held
        self.neighbour = neighbour
        self.given_up = False

    def give_up(self) -> None:
        self.given_up = True
        self.held.note(self, 0)


def test_only_a_neighbour_that_floods_loses_legs():
    held = HeldCells(1000, 300)
    others = [HeldLeg(held, new_keypair().peer_id) for _ in range(3)]
    flooding = new_keypair().peer_id
    small, large = HeldLeg(held, flooding), HeldLeg(held, flooding)
    for leg in others:
        held.note(leg, 290)
    held.note(small, 20)
    held.note(large, 120)
    # There is too much of all, and those who have most of it are not the last who came.
    assert [leg.given_up for leg in (*others, small, large)] == [True, False, False, False, False]
    held.note(large, 270)
    held.note(small, 40)
    assert large.given_up
    assert not small.given_up
    assert held.total == 290 + 290 + 40
    for leg in (*others, small, large):
        held.note(leg, 0)
    assert held.total == 0
    assert not held._by_neighbour


async def test_a_thousand_legs_leave_nothing():
    async with relayed(echo) as r:

        async def use(number: int) -> None:
            stream = await r.open()
            await stream.send_all(cell(number))
            assert await received(stream, CELL_SIZE) == cell(number)
            if number % 2:
                await stream.close_sending()
            else:
                stream.reset()

        await use(0)
        await r.ended()
        await r.wait_until_nothing_is_left()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for first in range(0, 1000, 50):
            async with trio.open_nursery() as nursery:
                for number in range(first, first + 50):
                    nursery.start_soon(use, number)
        assert set(await r.ended(1001)) == {CLIENT_GONE}
        await r.wait_until_nothing_is_left()
        await until(lambda: trio.lowlevel.current_statistics().tasks_living == tasks)
        assert not any(connection._deferred for connection in r.middle.connections.values())
