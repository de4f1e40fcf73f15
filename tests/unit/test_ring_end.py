"""The ends of a ring: messages over two arcs, windows, and endings that lose nothing."""

import pytest

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ring.cells import BODY_SIZE, CellType, SealedCell
from peernet.core.ring.ring import BACK, MAX_RING_MESSAGE, OUT, WINDOW_CELLS, CellOut, Join, RingEnd, join_cookie
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode

SUITE = MixedSuite()
LONG = bytes(range(256)) * (MAX_RING_MESSAGE // 256)


def pair() -> tuple[RingEnd, RingEnd]:
    return RingEnd(client=True), RingEnd(client=False)


def pass_on(source: RingEnd, sink: RingEnd) -> list[CellOut]:
    cells = source.cells_to_send()
    for cell in cells:
        sink.receive(cell.arc, SealedCell(cell.type, cell.body))
    return cells


def messages_of(end: RingEnd) -> list[bytes]:
    found = []
    while (message := end.next_message()) is not None:
        found.append(message)
    return found


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


def cell(kind: CellType, body: bytes = b"") -> SealedCell:
    return SealedCell(kind, body)


def test_messages_go_along_their_arcs():
    client, endpoint = pair()
    client.send(b"question")
    client.send(b"")
    assert [out.arc for out in pass_on(client, endpoint)] == [OUT]
    assert messages_of(endpoint) == [b"question", b""]
    endpoint.send(b"answer")
    assert [out.arc for out in pass_on(endpoint, client)] == [BACK]
    assert messages_of(client) == [b"answer"]


def test_several_small_messages_share_a_cell():
    client, endpoint = pair()
    for number in range(100):
        client.send(b"%d" % number)
    assert len(pass_on(client, endpoint)) == 1
    assert len(messages_of(endpoint)) == 100


def test_the_largest_message_arrives_and_a_larger_one_is_not_sent():
    client, endpoint = pair()
    client.send(LONG)
    found = []
    while client.blocked:
        assert 0 < len(pass_on(client, endpoint)) <= WINDOW_CELLS
        found += messages_of(endpoint)
        pass_on(endpoint, client)
    assert found == [LONG]
    with pytest.raises(LocalProtocolError):
        client.send(LONG + b"\0")


def test_a_reader_who_does_not_read_gets_no_more_than_a_window():
    client, endpoint = pair()
    for _ in range(3 * WINDOW_CELLS):
        client.send(bytes(BODY_SIZE - 2))
    sent = 0
    for _ in range(10):
        sent += len(pass_on(client, endpoint))
        pass_on(endpoint, client)
    assert sent == WINDOW_CELLS
    assert client.blocked
    while client.blocked:
        messages_of(endpoint)
        assert pass_on(endpoint, client)
        sent += len(pass_on(client, endpoint))
    assert sent == 3 * WINDOW_CELLS


def test_more_cells_than_the_window_are_an_error():
    _, endpoint = pair()
    body = b"\x80\x08" + bytes(BODY_SIZE - 2)
    for _ in range(WINDOW_CELLS):
        endpoint.receive(OUT, cell(CellType.DATA, body))
    assert reason(lambda: endpoint.receive(OUT, cell(CellType.DATA, body))) == "window_overrun"


@pytest.mark.parametrize("body", [b"", b"\1", b"\0\0", b"\0\0\1"])
def test_a_window_that_is_none(body: bytes):
    client, _ = pair()
    client.send(LONG)
    client.cells_to_send()
    assert reason(lambda: client.receive(OUT, cell(CellType.WINDOW, body))) == "bad_cell"


def test_a_window_beyond_its_size_is_refused():
    client, _ = pair()
    assert reason(lambda: client.receive(OUT, cell(CellType.WINDOW, b"\0\1"))) == "bad_window"
    client, _ = pair()
    client.send(LONG)
    client.cells_to_send()
    client.receive(OUT, cell(CellType.WINDOW, b"\0\x40"))
    assert reason(lambda: client.receive(OUT, cell(CellType.WINDOW, b"\0\1"))) == "bad_window"


@pytest.mark.parametrize("kind", [CellType.EXTEND, CellType.JOIN])
@pytest.mark.parametrize("arc", [OUT, BACK])
def test_commands_have_no_place_on_a_ring(kind: CellType, arc: int):
    for end in pair():
        assert reason(lambda end=end: end.receive(arc, cell(kind))) == "bad_direction"


def test_data_and_windows_that_go_the_wrong_way():
    client, endpoint = pair()
    assert reason(lambda: client.receive(OUT, cell(CellType.DATA, b"\1a"))) == "bad_direction"
    assert reason(lambda: client.receive(BACK, cell(CellType.WINDOW, b"\0\1"))) == "bad_direction"
    assert reason(lambda: endpoint.receive(BACK, cell(CellType.DATA, b"\1a"))) == "bad_direction"
    assert reason(lambda: endpoint.receive(OUT, cell(CellType.WINDOW, b"\0\1"))) == "bad_direction"


def test_a_message_over_the_limit_is_refused_by_its_length():
    _, endpoint = pair()
    assert reason(lambda: endpoint.receive(OUT, cell(CellType.DATA, b"\x81\x80\x10"))) == "too_long"


def test_what_was_queued_goes_before_the_end():
    client, endpoint = pair()
    endpoint.send(b"last words")
    endpoint.end("done")
    assert endpoint.ended == "done"
    assert not endpoint.over
    assert [(out.arc, out.type) for out in pass_on(endpoint, client)] == [(BACK, CellType.DATA), (BACK, CellType.END)]
    assert endpoint.over
    assert not endpoint.broken
    assert client.ended == "done"
    assert client.broken
    assert client.unread
    assert messages_of(client) == [b"last words"]
    assert not client.unread


def test_the_end_waits_for_windows_where_more_is_queued_than_fits_one():
    client, endpoint = pair()
    endpoint.send(LONG)
    endpoint.end("done")
    while not endpoint.over:
        pass_on(endpoint, client)
        pass_on(client, endpoint)
    assert client.ended == "done"
    assert messages_of(client) == [LONG]


def test_a_client_that_ends_does_not_wait_for_a_window_and_so_two_who_end_do_not_wait_for_each_other():
    client, endpoint = pair()
    client.send(LONG)
    endpoint.send(LONG)
    client.end("cancelled")
    endpoint.end("done")
    assert [out.type for out in pass_on(client, endpoint)] == [CellType.DATA] * WINDOW_CELLS + [CellType.END]
    assert client.over
    assert not client.blocked
    assert endpoint.over


def test_after_the_end_nothing_more_is_taken_or_sent():
    client, endpoint = pair()
    client.end("cancelled")
    client.end("again")
    client.send(b"too late")
    assert [(out.type, out.body) for out in pass_on(client, endpoint)] == [(CellType.END, b"cancelled")]
    assert client.cells_to_send() == []
    assert endpoint.ended == "cancelled"
    assert messages_of(endpoint) == []
    client.receive(BACK, cell(CellType.JOIN))


@pytest.mark.parametrize("arc", [OUT, BACK])
def test_an_endpoint_ends_with_either_of_its_arcs_and_says_so_on_the_other(arc: int):
    _, endpoint = pair()
    endpoint.send(b"unsent")
    endpoint.lose(arc, "broken")
    assert endpoint.ended == "broken"
    assert not endpoint.over
    endpoint.send(b"too late")
    assert endpoint.cells_to_send() == [CellOut(OUT + BACK - arc, CellType.END, b"arc_lost")]
    assert endpoint.over
    assert endpoint.broken
    assert endpoint.cells_to_send() == []


@pytest.mark.parametrize("arc", [OUT, BACK])
def test_an_endpoint_that_loses_both_arcs_has_nobody_to_tell(arc: int):
    _, endpoint = pair()
    endpoint.lose(arc, "broken")
    endpoint.lose(OUT + BACK - arc, "closed")
    assert (endpoint.ended, endpoint.over) == ("broken", True)
    assert endpoint.cells_to_send() == []


def test_a_broken_cell_is_a_lost_arc_to_the_endpoint_and_the_end_to_a_client():
    client, endpoint = pair()
    endpoint.breach(OUT, "decrypt")
    assert endpoint.cells_to_send() == [CellOut(BACK, CellType.END, b"arc_lost")]
    client.breach(OUT, "decrypt")
    assert (client.ended, client.over) == ("decrypt", True)


def test_the_clients_own_end_is_answered_by_nothing():
    client, endpoint = pair()
    client.end("done")
    pass_on(client, endpoint)
    assert (endpoint.ended, endpoint.over) == ("done", True)
    assert endpoint.cells_to_send() == []


def test_the_out_arcs_end_does_not_overtake_the_answer():
    client, endpoint = pair()
    client.lose(OUT, "lost")
    assert client.ended is None
    endpoint.send(LONG)
    endpoint.end("done")
    while not endpoint.over:
        pass_on(endpoint, client)
        # The client still opens windows on the arc that stands.
        pass_on(client, endpoint)
    assert messages_of(client) == [LONG]
    assert client.ended == "done"


def test_without_its_out_arc_a_client_sends_no_data_and_nobody_waits_for_it():
    client, _ = pair()
    client.send(LONG)
    client.cells_to_send()
    assert client.blocked
    client.lose(OUT, "lost")
    assert not client.blocked
    client.send(b"more")
    assert client.cells_to_send() == []


def test_a_client_without_its_out_arc_ends_the_ring_on_the_other():
    client, endpoint = pair()
    client.lose(OUT, "lost")
    client.end("done")
    assert pass_on(client, endpoint) == [CellOut(BACK, CellType.END, b"done")]
    assert endpoint.ended == "done"


def test_both_arcs_lost_end_the_client():
    client, _ = pair()
    client.lose(OUT, "lost")
    client.lose(BACK, "closed")
    assert client.ended == "closed"
    assert client.cells_to_send() == []


def test_a_reason_that_a_peer_made_up_is_not_repeated():
    _, endpoint = pair()
    endpoint.receive(OUT, cell(CellType.END, b"<b>\xff"))
    assert endpoint.ended == "unknown"


def test_the_cookie_is_of_both_arcs_in_their_order():
    nonce, out, back = b"n" * 16, b"o" * 32, b"b" * 32
    cookie = join_cookie(SUITE, nonce, out, back)
    assert len(cookie) == 32
    others = [(nonce, back, out), (b"m" * 16, out, back), (nonce, out, out), (nonce, b"p" * 32, back)]
    assert cookie not in {join_cookie(SUITE, *other) for other in others}


@pytest.mark.parametrize(
    ("role", "nonce", "cookie"), [(0, 16, 32), (3, 16, 32), (1, 15, 32), (1, 17, 32), (2, 16, 31), (2, 16, 0)]
)
def test_a_join_with_other_sizes_is_refused(role: int, nonce: int, cookie: int):
    assert decode(Join, encode(Join(OUT, "service", bytes(16), bytes(32)))).service == "service"
    data = bytes([0x94, role, 0xA1, 0x73, 0xC4, nonce]) + bytes(nonce) + bytes([0xC4, cookie]) + bytes(cookie)
    assert reason(lambda: decode(Join, data)) == "bad_message"
