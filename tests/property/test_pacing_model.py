"""Paced rings against a model: whatever is said, and when, the cells are those of the clock and of the classes."""

from collections.abc import Sequence
from math import inf

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.ring.cells import BODY_SIZE, CellType, SealedCell
from peernet.core.ring.pacing import CLIENT, ENDPOINT, MAX_CATCH_UP, Pace, PacedEnd, PacedSender, class_of
from peernet.core.ring.ring import BACK, OUT, CellOut
from peernet.core.wire import frame

MARK = b"said"
SMALL = Pace(0.5, waiting_bytes=3 * BODY_SIZE, total=(4, 16))
TINY_STEPS = st.integers(0, 40).map(lambda tenths: tenths / 10)
SIZES = st.sampled_from([0, 1, 30, BODY_SIZE - 2, BODY_SIZE, 2 * BODY_SIZE])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TINY_STEPS, st.lists(SIZES, max_size=3)), max_size=30), st.integers(0, 30))
def test_the_cells_are_those_of_the_clock_and_what_is_said_is_in_them(
    steps: list[tuple[float, list[int]]], finishes_at: int
) -> None:
    """An engine writes by any schedule, as far as it is let; the driver comes by at any time."""
    sender = PacedSender(SMALL)
    now, said, heard, count = 10.0, b"", b"", 0
    sender.begin(now)
    for number, (step_s, sizes) in enumerate([*steps, *[(0.5, [])] * 40]):
        now += step_s
        if number == min(finishes_at, len(steps)):
            sender.finish("done")
        elif number < finishes_at:
            for size in sizes:
                if not sender.blocked:
                    sender.write(bytes(size))
                    said += frame(bytes(size))
        assert len(sender._pending) <= SMALL.waiting_bytes + 2 * BODY_SIZE + 3
        for cell in sender.cells(now):
            count += 1
            if cell.type is CellType.DATA:
                heard += cell.body
        assert said.startswith(heard)
        if sender.closed:
            break
        # Not one cell more or less than the clock has.
        assert count == int((now - 10.0) / 0.5) + 1
    assert heard == said
    assert count == class_of(count, SMALL.total)
    assert sender.cells(now + 100.0) == []
    assert sender.next_s == inf


@given(st.integers(1, 400), st.integers(0, 1000))
def test_a_driver_that_slept_does_not_flood(behind: int, before: int) -> None:
    sender = PacedSender(SMALL)
    sender.begin(0.0)
    for number in range(before):
        sender.cells(number * 0.5)
    late = len(sender.cells((before - 1 + behind) * 0.5 if before else behind * 0.5))
    assert late <= MAX_CATCH_UP + 1
    if behind < MAX_CATCH_UP:
        assert late == behind + (not before)


@define
class Seen:
    """What passed on the two arcs: when, on which, which way."""

    cells: list[tuple[float, CellOut]] = field(factory=list)

    def count(self, arc: int) -> int:
        return sum(cell.arc == arc for _, cell in self.cells)

    def outside(self) -> list[tuple[float, int]]:
        """All that a relay can know."""
        return [(round(at_s, 6), cell.arc) for at_s, cell in self.cells]


def run(
    request: Sequence[int],
    answer: Sequence[tuple[float, int]],
    vouchers: Sequence[float],
    client_ends_s: float | None,
) -> tuple[Seen, list[bytes], list[bytes], list[bytes], list[bytes]]:
    """A ring from its first message to its end, without a way between the ends.

    `answer` has pieces with their times, `vouchers` times. Gives what passed, and what was said and heard each way.
    """
    client, endpoint = PacedEnd(client=True), PacedEnd(client=False)
    seen = Seen()
    asked = [MARK + bytes(size) for size in request]
    to_say = [(at_s, MARK + b"%d" % number + bytes(size)) for number, (at_s, size) in enumerate(answer)]
    to_pay = [(at_s, b"voucher %d" % number) for number, at_s in enumerate(vouchers)]
    said_out, said_back, heard_out, heard_back = [*asked], list[bytes](), list[bytes](), list[bytes]()
    for message in asked:
        client.send(message)
    now = 0.0
    while not (client.over and endpoint.over):
        for source, sink in ((client, endpoint), (endpoint, client)):
            for cell in source.cells_to_send(now):
                seen.cells.append((now, cell))
                sink.receive(cell.arc, SealedCell(cell.type, cell.body), now)
        while (message := endpoint.next_message()) is not None:
            heard_out.append(message)
        while (message := client.next_message()) is not None:
            heard_back.append(message)
        while heard_out and to_say and to_say[0][0] <= now and not endpoint.blocked:
            if endpoint.ended is None:
                said_back.append(to_say[0][1])
            endpoint.send(to_say.pop(0)[1])
        while to_pay and to_pay[0][0] <= now:
            if client.ended is None:
                said_out.append(to_pay[0][1])
            client.send(to_pay.pop(0)[1])
        if heard_out and not to_say:
            endpoint.end("done")
        if client_ends_s is not None and client_ends_s <= now:
            client.end("cancelled")
        times = [client.next_slot_s, endpoint.next_slot_s, *(at_s for at_s, _ in to_say[:1] if not endpoint.blocked)]
        times += [at_s for at_s, _ in to_pay[:1]]
        if client_ends_s is not None and client.ended is None:
            times.append(client_ends_s)
        later = [at_s for at_s in times if at_s > now]
        if not later:
            break
        now = min(later)
    return seen, said_out, heard_out, said_back, heard_back


ANSWERS = st.lists(
    st.tuples(st.floats(0, 12, allow_nan=False), st.sampled_from([0, 5, 40, 900, 3000])), max_size=25
).map(sorted)
VOUCHERS = st.lists(st.floats(0.1, 9, allow_nan=False), max_size=10).map(sorted)
REQUESTS = st.sampled_from([[10], [10, 200], [3000, 150], [6000], [30_000, 150]])


@settings(max_examples=40, deadline=None)
@given(REQUESTS, ANSWERS, VOUCHERS)
def test_everything_arrives_and_what_a_relay_sees_is_the_classes(
    request: list[int], answer: list[tuple[float, int]], vouchers: list[float]
) -> None:
    seen, said_out, heard_out, said_back, heard_back = run(request, answer, vouchers, None)
    assert heard_back == said_back
    assert heard_out == said_out[: len(heard_out)]
    assert heard_out[: len(request)] == said_out[: len(request)]
    answer_class = seen.count(BACK)
    assert answer_class in ENDPOINT.total
    # The same from the two classes alone.
    needed = -(-sum(len(frame(MARK + bytes(size))) for size in request) // BODY_SIZE)
    burst = class_of(needed, CLIENT.burst)
    began, lasts = CLIENT.lead_s, (answer_class - 1) * ENDPOINT.interval_s
    expected = [(began, OUT)] * burst
    expected += [(began + n * CLIENT.interval_s, OUT) for n in range(1, int(lasts / CLIENT.interval_s + 1e-9) + 1)]
    expected += [(began + n * ENDPOINT.interval_s, BACK) for n in range(answer_class)]
    assert sorted(seen.outside()) == sorted((round(at_s, 6), arc) for at_s, arc in expected)
    assert {cell.type for _, cell in seen.cells if cell.arc == BACK} <= {CellType.DATA, CellType.PAD, CellType.END}


@settings(max_examples=40, deadline=None)
@given(ANSWERS, VOUCHERS, st.floats(0.03, 12, allow_nan=False))
def test_a_client_that_leaves_off_does_not_show_when(
    answer: list[tuple[float, int]], vouchers: list[float], client_ends_s: float
) -> None:
    seen, _, _, said_back, heard_back = run([100], answer, vouchers, client_ends_s)
    assert heard_back == said_back[: len(heard_back)]
    assert seen.count(BACK) in ENDPOINT.total
    undisturbed, *_ = run([100], [(at_s, 0) for at_s, _ in answer], [], None)
    if undisturbed.count(BACK) == seen.count(BACK):
        assert sorted(undisturbed.outside()) == sorted(seen.outside())
