"""A whole ring against a model: two queues of messages, whatever order the cells come in and whatever is done to them.

The model is what each side sent. As long as nobody tampers, everything arrives, whole and in order. Where a cell was
altered, dropped, repeated or moved, what arrives is still a beginning of what was sent, and the ring is over for
whoever met it.
"""

from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peernet.core.ring.cells import BODY_SIZE, CELL_SIZE
from peernet.core.ring.hop import HopState
from peernet.core.ring.ring import BACK, OUT, WINDOW_CELLS, RingEnd
from tests.ring_in_memory import CLOSE, SERVICE, MemoryRing, quiesce

MARK: Final = b"a mark that no cell may show"
SIZES: Final = st.sampled_from([0, 1, 100, BODY_SIZE - 2, BODY_SIZE, 3 * BODY_SIZE, 70 * BODY_SIZE])


class Ring(RuleBasedStateMachine):
    """Nobody tampers; either side may end the ring, and any relay may die."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = MemoryRing()
        self.sent: dict[bool, list[bytes]] = {True: [], False: []}
        self.received: dict[bool, list[bytes]] = {True: [], False: []}
        self.cut_short = False
        self.checked: set[bytes] = set()

    def end_of(self, client: bool) -> RingEnd:
        return self.ring.client if client else self.ring.endpoint

    @initialize(joined=st.booleans())
    def begin(self, joined: bool) -> None:
        if joined:
            quiesce(self.ring)
            assert self.ring.is_joined

    @precondition(lambda self: self.ring.queues())
    @rule(choice=st.integers(0, 11), count=st.integers(1, 30))
    def deliver(self, choice: int, count: int) -> None:
        for _ in range(count):
            queues = self.ring.queues()
            if queues:
                self.ring.deliver(*queues[choice % len(queues)])

    @rule(client=st.booleans(), size=SIZES)
    def send(self, client: bool, size: int) -> None:
        end = self.end_of(client)
        if end.ended is None and not end.blocked and (client or self.ring.is_joined):
            message = (MARK + b"%d " % len(self.sent[client]) + MARK)[:size].ljust(size, b".")
            end.send(message)
            self.sent[client].append(message)
            self.ring.flush()

    @rule(client=st.booleans(), count=st.integers(1, 5))
    def read(self, client: bool, count: int) -> None:
        for _ in range(count):
            message = self.end_of(client).next_message()
            if message is not None:
                self.received[client].append(message)
        self.ring.flush()

    @precondition(lambda self: self.ring.is_joined and self.ring.endpoint.ended is None)
    @rule()
    def endpoint_ends(self) -> None:
        self.ring.endpoint.end("done")
        self.ring.flush()

    @rule(odds=st.integers(0, 3))
    def client_ends(self, odds: int) -> None:
        if odds == 0:
            self.cut_short = True
            if self.ring.is_joined:
                self.ring.client.end("cancelled")
            else:
                self.ring.client.fail("given up")
            self.ring.flush()

    @rule(arc=st.sampled_from([OUT, BACK]), place=st.integers(0, 2), odds=st.integers(0, 3))
    def hop_dies(self, arc: int, place: int, odds: int) -> None:
        if odds == 0:
            self.cut_short = True
            self.ring.kill(arc, place)

    @invariant()
    def what_arrived_is_what_was_sent_whole_and_in_order(self) -> None:
        for client in (True, False):
            arrived = self.received[client]
            assert arrived == self.sent[not client][: len(arrived)]

    @invariant()
    def every_cell_has_one_size_and_shows_nothing(self) -> None:
        for arc in self.ring.arcs.values():
            for leg in arc.legs:
                while leg.seen:
                    self.check(leg.seen.pop(), arc.records)

    def check(self, cell: bytes, records: list[bytes]) -> None:
        if cell == CLOSE:
            return
        assert len(cell) == CELL_SIZE
        for secret in (MARK[:16], SERVICE.encode(), self.ring.nonce, self.ring.cookie, *records):
            assert secret not in cell
        # No cell looks the same on two legs, so that they cannot be matched by their looks.
        assert cell not in self.checked
        self.checked.add(cell)

    @invariant()
    def nobody_has_more_in_flight_than_a_window(self) -> None:
        for arc in (OUT, BACK):
            assert self.ring.data_sent[arc] - self.ring.data_granted[arc] <= WINDOW_CELLS

    def teardown(self) -> None:
        """Once everything is delivered and read, nothing is missing; after an end nothing is left."""
        for _ in range(1000):
            quiesce(self.ring)
            before = {client: len(self.received[client]) for client in (True, False)}
            for client in (True, False):
                self.read(client, 100)
            if not self.ring.queues() and before == {client: len(self.received[client]) for client in (True, False)}:
                break
        self.what_arrived_is_what_was_sent_whole_and_in_order()
        self.every_cell_has_one_size_and_shows_nothing()
        if not self.cut_short:
            # What the endpoint sent arrives even though it ended the ring right behind it.
            assert self.received[True] == self.sent[False]
            assert self.ring.endpoint.ended is not None or self.received[False] == self.sent[True]
        if self.ring.endpoint.ended is not None or self.ring.client.ended is not None:
            assert self.ring.endpoint.over or not self.ring.is_joined
            assert self.ring.client.over
            for arc in self.ring.arcs.values():
                assert not arc.arc.built
                assert not arc.arc._links
                for hop in arc.hops:
                    assert hop._layer_out is hop._layer_back is None
                    assert hop._to_client is hop._from_client is None


TestRing = Ring.TestCase
TestRing.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def with_cells_under_way(arc: int, legs: int) -> MemoryRing:
    """A joined ring on which both ends have sent, with cells in the queues of one arc's legs."""
    ring = MemoryRing()
    quiesce(ring)
    for number in range(4):
        ring.client.send(b"to the endpoint %d " % number * 60)
        ring.endpoint.send(b"to the client %d " % number * 60)
    ring.flush()
    outward = arc == OUT
    for _ in range(3):
        for place in range(legs) if outward else range(2, 2 - legs, -1):
            ring.deliver(arc, place, outward)
    return ring


def queue_of(ring: MemoryRing, arc: int, place: int):
    leg = ring.arcs[arc].legs[place]
    return leg.out if arc == OUT else leg.back


PLACES = st.tuples(st.sampled_from([OUT, BACK]), st.integers(0, 2))


def assert_over_for_who_met_it(ring: MemoryRing, arc: int) -> None:
    """The ring is over, and what arrived on the arc is an unaltered beginning of what was sent."""
    quiesce(ring)
    reader, text = (ring.endpoint, b"to the endpoint") if arc == OUT else (ring.client, b"to the client")
    number = 0
    while (message := reader.next_message()) is not None:
        assert message == b"%s %d " % (text, number) * 60
        number += 1
    assert number < 4
    assert reader.ended is not None
    assert ring.client.ended is not None
    assert ring.endpoint.ended is not None
    assert all(hop.state is HopState.ENDED for each in ring.arcs.values() for hop in each.hops)


@settings(max_examples=60, deadline=None)
@given(PLACES, st.integers(0, CELL_SIZE - 1), st.integers(0, 7))
def test_a_flipped_bit_anywhere_ends_the_ring_and_delivers_nothing_altered(
    place: tuple[int, int], position: int, bit: int
) -> None:
    arc, leg = place
    ring = with_cells_under_way(arc, leg if arc == OUT else 2 - leg)
    queue = queue_of(ring, arc, leg)
    assert queue
    altered = bytearray(queue[0])
    altered[position] ^= 1 << bit
    queue[0] = bytes(altered)
    assert_over_for_who_met_it(ring, arc)


@settings(max_examples=40, deadline=None)
@given(PLACES, st.sampled_from(["drop", "repeat", "swap", "inject"]))
def test_dropped_repeated_reordered_and_foreign_cells_end_the_ring(place: tuple[int, int], deed: str) -> None:
    arc, leg = place
    ring = with_cells_under_way(arc, leg if arc == OUT else 2 - leg)
    queue = queue_of(ring, arc, leg)
    assert len(queue) >= 2
    match deed:
        case "drop":
            queue.popleft()
        case "repeat":
            queue.appendleft(queue[0])
        case "swap":
            queue[0], queue[1] = queue[1], queue[0]
        case "inject":
            queue.appendleft(bytes(CELL_SIZE))
    assert_over_for_who_met_it(ring, arc)


@pytest.mark.parametrize("arc", [OUT, BACK])
@pytest.mark.parametrize("hops", [2, 3, 4])
def test_each_hop_that_loses_the_next_one_is_named(arc: int, hops: int) -> None:
    for place in range(hops - 1):
        ring = MemoryRing(hops)
        quiesce(ring)
        ring.kill(arc, place + 1)
        quiesce(ring)
        assert (arc, place, "lost") in ring.ended_by
        assert ring.client.ended is not None
        assert ring.endpoint.ended is not None


@pytest.mark.parametrize("arc", [OUT, BACK])
@pytest.mark.parametrize("place", [0, 1])
def test_while_it_is_built_the_hop_that_cannot_go_on_is_named(arc: int, place: int) -> None:
    ring = MemoryRing()
    ring.arcs[arc].dead.add(place + 1)
    quiesce(ring)
    assert ring.ended_by[0] == (arc, place, "unreachable")
    assert ring.client.ended == "unreachable"
    assert not ring.is_joined


def messages_of(end: RingEnd) -> list[bytes]:
    found = []
    while (message := end.next_message()) is not None:
        found.append(message)
    return found


@settings(max_examples=30, deadline=None)
@given(st.lists(SIZES, max_size=6), st.data())
def test_an_endpoint_that_ends_right_behind_its_answer_is_heard_to_the_end(
    sizes: list[int], data: st.DataObject
) -> None:
    ring = MemoryRing()
    quiesce(ring)
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]
    for message in messages:
        ring.endpoint.send(message)
    ring.endpoint.end("done")
    ring.flush()
    # The ends of the out arc may come first, or last, or in between.
    order = data.draw(
        st.permutations([(arc, place, way) for arc in (OUT, BACK) for place in range(3) for way in (True, False)])
    )
    found: list[bytes] = []
    while queues := ring.queues():
        ring.deliver(*min(queues, key=order.index))
        found += messages_of(ring.client)
        ring.flush()
    assert found == messages
    assert ring.client.ended == "done"
