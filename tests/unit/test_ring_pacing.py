"""The ends of a paced ring: what they take, when they leave, and what they hold."""

import random
from math import inf

import pytest

from peernet.core.errors import RemoteProtocolError
from peernet.core.ring.cells import BODY_SIZE, CellType, SealedCell
from peernet.core.ring.pacing import CLIENT, ENDPOINT, MAX_UNREAD, SLACK_S, PacedEnd, class_of, ring_end
from peernet.core.ring.ring import BACK, MAX_RING_MESSAGE, OUT, CellOut, RingEnd
from peernet.core.ring.starts import start_times
from peernet.core.wire import frame

PAD = SealedCell(CellType.PAD, b"\1x")
"""With a message in it, which nobody may read."""


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


def begun() -> tuple[PacedEnd, PacedEnd]:
    """Both ends after the request, at 0.02 s."""
    client, endpoint = PacedEnd(client=True), PacedEnd(client=False)
    client.send(b"question")
    assert client.cells_to_send(0.0) == []
    for cell in client.cells_to_send(CLIENT.lead_s):
        endpoint.receive(cell.arc, SealedCell(cell.type, cell.body), CLIENT.lead_s)
    return client, endpoint


@pytest.mark.parametrize(
    ("count", "size"), [(1, 128), (128, 128), (129, 512), (513, 2048), (2049, 4096), (4096, 4096), (4097, 6144)]
)
def test_a_class_holds_what_is_counted(count: int, size: int):
    assert class_of(count, ENDPOINT.total) == size


def test_the_classes_hold_the_largest_message_and_a_voucher():
    assert max(CLIENT.burst) * BODY_SIZE >= MAX_RING_MESSAGE + 1000
    assert all(later == 4 * size for size, later in zip(CLIENT.burst, CLIENT.burst[1:], strict=False))


def test_the_service_says_whether_a_ring_is_paced():
    assert isinstance(ring_end("infer-paced", client=True), PacedEnd)
    plain = ring_end("infer", client=True)
    assert (type(plain), plain.paced, plain.next_slot_s) == (RingEnd, False, inf)


def test_what_is_said_before_the_first_cell_goes_in_one_burst():
    client = PacedEnd(client=True)
    assert client.next_slot_s == inf
    client.send(b"question")
    client.cells_to_send(5.0)
    client.send(b"voucher")
    assert client.cells_to_send(5.019) == []
    cells = client.cells_to_send(5.021)
    assert [cell.type for cell in cells] == [CellType.DATA] + [CellType.PAD] * 31
    assert cells[0].body == frame(b"question") + frame(b"voucher")
    assert client.next_slot_s == pytest.approx(5.02 + 0.16)


def test_padding_reaches_no_reader():
    client, endpoint = begun()
    for number in range(10):
        endpoint.receive(OUT, PAD, 1.0 + number)
        client.receive(BACK, PAD, 1.0 + number)
    assert endpoint.next_message() == b"question"
    assert endpoint.next_message() is client.next_message() is None
    assert not client.unread


def test_padding_has_no_place_on_a_ring_without_a_clock_or_against_an_arc():
    for end, arc in ((RingEnd(client=True), BACK), (RingEnd(client=False), OUT)):
        assert reason(lambda end=end, arc=arc: end.receive(arc, PAD)) == "bad_direction"
    for client, arc in ((True, OUT), (False, BACK)):
        assert reason(lambda client=client, arc=arc: PacedEnd(client=client).receive(arc, PAD)) == "bad_direction"


@pytest.mark.parametrize("kind", [CellType.WINDOW, CellType.EXTEND, CellType.JOIN])
def test_a_ring_with_a_clock_has_no_windows_and_no_commands(kind: CellType):
    for end in begun():
        for arc in (OUT, BACK):
            assert reason(lambda end=end, arc=arc: end.receive(arc, SealedCell(kind, b"\0\1"))) == "bad_direction"


@pytest.mark.parametrize(("client", "arc", "pace"), [(True, BACK, ENDPOINT), (False, OUT, CLIENT)])
def test_more_cells_than_the_cadence_end_the_ring_and_those_that_were_held_up_do_not(client, arc, pace):
    end = PacedEnd(client=client)
    # As long as the first cell was on its way, the others may come together.
    allowed = max(pace.burst, default=1) + round((SLACK_S + 8.0) / pace.interval_s)
    end.receive(arc, PAD, 100.0)
    for _ in range(allowed - 1):
        end.receive(arc, PAD, 108.0)
    assert reason(lambda: [end.receive(arc, PAD, 108.0) for _ in range(2)]) == "cadence_overrun"


def test_who_does_not_read_holds_no_more_than_a_bound():
    client, _ = begun()
    body = frame(bytes(BODY_SIZE - 2))

    def flood() -> None:
        for number in range(2 * MAX_UNREAD // BODY_SIZE):
            client.receive(BACK, SealedCell(CellType.DATA, body), number * ENDPOINT.interval_s)

    assert reason(flood) == "window_overrun"


def test_who_reads_is_not_bounded():
    client, _ = begun()
    body = frame(bytes(BODY_SIZE - 2))
    for number in range(2 * MAX_UNREAD // BODY_SIZE):
        client.receive(BACK, SealedCell(CellType.DATA, body), number * ENDPOINT.interval_s)
        assert client.next_message() == bytes(BODY_SIZE - 2)


def test_an_endpoint_that_writes_faster_than_its_clock_is_held_back():
    _, endpoint = begun()
    taken = 0
    while not endpoint.blocked and taken < 100:
        endpoint.send(bytes(500))
        taken += 1
    assert ENDPOINT.waiting_bytes < taken * 502 <= ENDPOINT.waiting_bytes + 1000
    (cell,) = endpoint.cells_to_send(CLIENT.lead_s)
    assert (cell.type, len(cell.body)) == (CellType.DATA, BODY_SIZE)
    assert not endpoint.blocked


def test_an_answer_that_runs_over_a_class_fills_the_next_one():
    _, endpoint = begun()
    types = []
    for number in range(600):
        if number == 126:
            endpoint.send(bytes(3 * BODY_SIZE))
            endpoint.end("done")
        types += [cell.type for cell in endpoint.cells_to_send(CLIENT.lead_s + number * ENDPOINT.interval_s + 1e-6)]
    assert len(types) == 512
    assert types.index(CellType.END) == 511
    assert endpoint.over
    assert not endpoint.broken


def test_a_client_that_ends_says_so_in_its_next_cell_and_goes_on():
    client, endpoint = begun()
    client.send(b"a voucher that is not needed any more")
    client.end("cancelled")
    client.end("again")
    assert client.cells_to_send(0.1) == []
    (cell,) = client.cells_to_send(0.181)
    assert cell == CellOut(OUT, CellType.END, b"cancelled")
    endpoint.send(b"the rest of the answer")
    endpoint.receive(OUT, SealedCell(cell.type, cell.body), 0.2)
    assert (endpoint.ended, endpoint.over) == ("cancelled", False)
    endpoint.end("done")
    # Both fill up: nobody sees that anything was ended, and the answer's rest does not leave.
    assert {cell.type for cell in endpoint.cells_to_send(1.0)} == {CellType.PAD}
    assert {cell.type for cell in client.cells_to_send(1.0)} == {CellType.PAD}
    assert endpoint.remaining_s(1.0) == pytest.approx(CLIENT.lead_s + 128 * 0.08 - 1.0, abs=0.09)
    assert len(endpoint.cells_to_send(5.0)) == 50
    assert endpoint.cells_to_send(10.0)
    assert endpoint.cells_to_send(10.3)[-1] == CellOut(BACK, CellType.END, b"cancelled")


def test_a_client_leaves_at_the_boundary_where_the_endpoint_does_not_end():
    client, _ = begun()
    client.end("done")
    for number in range(127):
        client.receive(BACK, PAD, number * 0.08)
        assert not client.over
    assert client.remaining_s(127 * 0.08) >= 0.08
    client.receive(BACK, SealedCell(CellType.DATA, b"\1x"), 127 * 0.08)
    assert client.over
    assert not client.broken
    assert client.cells_to_send(60.0) == []
    assert client.next_message() is None


def test_a_client_that_has_not_ended_stays_over_the_boundary():
    client, _ = begun()
    for number in range(200):
        client.receive(BACK, PAD, number * 0.08)
    client.end("done")
    for number in range(200, 511):
        client.receive(BACK, PAD, number * 0.08)
    assert not client.over
    client.receive(BACK, PAD, 511 * 0.08)
    assert client.over


def test_a_ring_on_which_nothing_was_asked_ends_at_once():
    for client in (True, False):
        end = PacedEnd(client=client)
        end.end("cancelled")
        assert end.remaining_s(0.0) == 0.0
        assert [cell.type for cell in end.cells_to_send(0.0)] == [CellType.END]
        assert end.over
    endpoint = PacedEnd(client=False)
    endpoint.receive(OUT, SealedCell(CellType.END, b"cancelled"), 0.0)
    assert (endpoint.ended, endpoint.over) == ("cancelled", True)


def test_the_endpoints_end_ends_the_client_with_all_that_was_said():
    client, endpoint = begun()
    endpoint.send(b"answer")
    endpoint.end("done")
    for number in range(128):
        now = CLIENT.lead_s + number * 0.08 + 1e-6
        for cell in endpoint.cells_to_send(now):
            client.receive(cell.arc, SealedCell(cell.type, cell.body), now)
    assert (client.ended, client.over) == ("done", True)
    assert client.next_message() == b"answer"


def test_a_ring_that_breaks_ends_at_once():
    client, endpoint = begun()
    endpoint.lose(OUT, "broken")
    assert endpoint.cells_to_send(1.0) == [CellOut(BACK, CellType.END, b"arc_lost")]
    assert endpoint.over
    client.lose(OUT, "lost")
    assert (client.next_slot_s, client.cells_to_send(9.0)) == (inf, [])
    client.receive(BACK, SealedCell(CellType.DATA, b"\1x"), 1.0)
    assert client.next_message() == b"x"
    client.end("done")
    assert (client.cells_to_send(9.0), client.over) == ([], True)
    other, _ = begun()
    other.lose(BACK, "lost")
    assert (other.over, other.broken, other.cells_to_send(9.0)) == (True, True, [])


def test_one_fragment_starts_at_once_and_of_several_the_first():
    assert start_times(0, 5.0, random.Random(1)) == []
    assert start_times(1, 5.0, random.Random(1)) == [0.0]
    for fragments in range(2, 8):
        starts = start_times(fragments, 5.0, random.Random(fragments))
        assert len(set(starts)) == fragments
        assert (starts[0], min(starts)) == (0.0, 0.0)
        assert max(starts) < 5.0


@pytest.mark.parametrize("fragments", [2, 3])
def test_the_distances_of_starts_are_spread_evenly(fragments: int):
    source = random.Random(7)
    counts = [0] * 10
    for _ in range(20_000):
        starts = start_times(fragments, 1.0, source)
        for place, start in enumerate(starts):
            for other in starts[:place]:
                counts[int(abs(start - other) * 10)] += 1
    assert all(0.92 < 10 * count / sum(counts) < 1.08 for count in counts)
