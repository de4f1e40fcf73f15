"""Hostile input to rings: cells, arcs, hops, joins and the messages on them, by whoever stands where."""

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.noise import CipherState
from peernet.core.ring.arc import Arc, ArcHop
from peernet.core.ring.cells import (
    BODY_SIZE,
    CELL_SIZE,
    CellType,
    SealedCell,
    cut_cells,
    open_cell,
    reason_of,
    seal_cell,
)
from peernet.core.ring.endings import Ending, blame
from peernet.core.ring.hop import Hop, HopState
from peernet.core.ring.pacing import CLIENT, MAX_CATCH_UP, PACED, PacedEnd, PacedReceiver, ring_end
from peernet.core.ring.ring import BACK, MAX_RING_MESSAGE, OUT, WINDOW_CELLS, DataReceiver, DataSender, Join, RingEnd
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode, encode_varint, frame
from tests.hostile_input import (
    ARBITRARY,
    Parser,
    check,
    examples,
    fields_of,
    fuzzes,
    mutated,
    parser_tests,
    peak_bytes,
    refusal,
)
from tests.ring_in_memory import SERVICE, MemoryRing, quiesce

SUITE = MixedSuite()
SECRET = bytes(range(32))
JOIN = encode(Join(OUT, SERVICE, bytes(16), bytes(32)))


def _cipher() -> CipherState:
    return CipherState(SUITE, SECRET)


CELLS = [seal_cell(_cipher(), kind, body) for kind, body in ((CellType.DATA, b"abc"), (CellType.END, b"idle"))]
PARSERS = [
    Parser(open_cell, lambda data: open_cell(_cipher(), data), CELLS),
    Parser(Join, lambda data: decode(Join, data), [JOIN], encode),
]

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=80, memory_examples=8)


@examples(80)
@given(fields_of(Join))
def test_joins_of_any_values(fields: list[Any]):
    check(PARSERS[1], bytes(msgpack.packb(fields)))


@examples(100)
@given(plaintext=st.binary(max_size=1008), body=st.binary(max_size=60))
def test_who_has_the_key_says_what_it_likes_in_a_cell(plaintext: bytes, body: bytes):
    """Sealed properly, whatever its type and length say: a cell of a known type and a body that fits, or refused."""
    opened: list[SealedCell] = []
    sealed = _cipher().encrypt(plaintext.ljust(1008, b"\xff"))
    if refusal(lambda: opened.append(open_cell(_cipher(), sealed))) is None:
        assert len(opened[0].body) <= BODY_SIZE
    assert reason_of(body) == "unknown" or (reason_of(body).isascii() and len(reason_of(body)) <= 32)


@examples(60)
@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_cells_are_cut_from_any_pieces(pieces: list[bytes]):
    buffer, cells = bytearray(), []
    for piece in pieces:
        buffer += piece
        cells += cut_cells(buffer)
        assert len(buffer) < CELL_SIZE
    assert b"".join(cells) + buffer == b"".join(pieces)


# --- hops and arcs ---------------------------------------------------------------------------------------------------

ONION = SUITE.hash("SHA256", b"onion")


def _dialogue() -> tuple[list[bytes], list[bytes]]:
    """What a client says to its guard, which extends, and what the guard says back."""
    hops = [
        ArcHop(SUITE.x25519_public(ONION), bytes((number,)) * 90, bytes((number + 1,)) * 32) for number in range(3)
    ]
    arc = Arc(SUITE, hops)
    arc.start()
    guard, second, third = (Hop(SUITE, (ONION,), bytes((number + 9,)) * 32) for number in range(3))
    out, back = [], []
    for _ in range(4):
        for cell in arc.cells_to_send():
            out.append(cell)
            for event in guard.receive(cell):
                for answer in _answers(event, guard, second, third):
                    back.append(answer)
                    arc.receive(answer)
    assert arc.built
    return out, back


def _answers(event: Any, hop: Hop, *further: Hop) -> list[bytes]:
    """What comes back through `hop` of one of its events."""
    match type(event).__name__:
        case "SendBack":
            return [event.cell]
        case "SendOn":
            found = []
            for inner in further[0].receive(event.cell):
                for answer in _answers(inner, *further):
                    found += [back.cell for back in hop.receive_back(answer)]
            return found
    return []


TO_GUARD, FROM_GUARD = _dialogue()


def _cells(valid: list[bytes]) -> st.SearchStrategy[bytes]:
    """A cell, most often one of the dialogue, else one that was altered; always of its size, as legs are cut."""
    altered = st.one_of(mutated(valid), ARBITRARY).map(lambda data: data[:CELL_SIZE].ljust(CELL_SIZE, b"\0"))
    return st.one_of(st.sampled_from(valid), st.sampled_from(valid), altered)


@fuzzes(Hop.receive, Hop.receive_back)
@examples(150)
@given(
    st.lists(st.tuples(st.integers(0, 9), _cells(TO_GUARD + FROM_GUARD)), max_size=8), st.integers(0, len(TO_GUARD))
)
def test_a_hop_that_is_told_anything_ends_or_goes_on(cells: list[tuple[int, bytes]], first: int):
    """After a beginning in good order: out of order, replayed, from the wrong side, under the wrong key."""
    hop = Hop(SUITE, (ONION,), bytes((9,)) * 32)
    for cell in TO_GUARD[:first]:
        hop.receive(cell)
    for side, cell in cells:
        if side == 0 and hop.state in {HopState.FORWARD, HopState.ENDED}:
            assert len(hop.receive_back(cell)) <= 1
        elif refusal(lambda cell=cell: hop.receive(cell)) is not None:
            assert hop.state is HopState.ENDED
        if hop.state is HopState.ENDED:
            assert hop.receive(cell) == hop.receive_back(cell) == []


@fuzzes(Arc.receive)
@examples(150)
@given(st.lists(_cells(FROM_GUARD + TO_GUARD), max_size=6), st.integers(0, len(FROM_GUARD)))
def test_an_arc_that_is_told_anything_ends_or_goes_on(cells: list[bytes], first: int):
    hops = [
        ArcHop(SUITE.x25519_public(ONION), bytes((number,)) * 90, bytes((number + 1,)) * 32) for number in range(3)
    ]
    arc = Arc(SUITE, hops)
    arc.start()
    for cell in FROM_GUARD[:first]:
        arc.receive(cell)
    for cell in cells:
        if refusal(lambda cell=cell: arc.receive(cell)) is not None:
            assert arc.receive(cell) == []
            assert not arc.built
            assert not arc.cells_to_send()


# --- both ends -------------------------------------------------------------------------------------------------------

BODIES = st.one_of(
    st.sampled_from(
        [b"", b"\0\1", b"\0\x40", b"\xff\xff", b"\0\0", b"idle", frame(b"x" * 900), frame(b""), b"\0" * BODY_SIZE]
    ),
    st.sampled_from(
        [encode_varint(MAX_RING_MESSAGE), encode_varint(MAX_RING_MESSAGE + 1), b"\xff\xff\xff\x7f", b"\x80\0"]
    ),
    st.binary(max_size=BODY_SIZE),
)


@fuzzes(
    RingEnd.receive,
    DataSender.on_window,
    DataReceiver.on_data,
    DataReceiver.take,
    PacedEnd.receive,
    PacedReceiver.on_cell,
)
@examples(250)
@given(
    service=st.sampled_from(["infer", "infer" + PACED]),
    client=st.booleans(),
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from([OUT, BACK]), st.builds(SealedCell, st.sampled_from(CellType), BODIES)),
            st.sampled_from(["send", "read", "cells", "end", "lose"]),
        ),
        max_size=14,
    ),
)
def test_a_ring_that_is_told_anything_ends_or_goes_on(service: str, client: bool, steps: list[Any]):
    end = ring_end(service, client=client)
    for now_s, step in enumerate(steps):
        match step:
            case (arc, cell):
                reason = refusal(lambda arc=arc, cell=cell, now_s=now_s: end.receive(arc, cell, now_s))
                if reason is not None:
                    end.breach(arc, reason)
            case "send":
                end.send(b"m" * 3000)
            case "read":
                end.next_message()
            case "cells":
                assert len(end.cells_to_send(now_s)) <= max(WINDOW_CELLS + 1, *CLIENT.burst, MAX_CATCH_UP)
            case "end":
                end.end("done")
            case "lose":
                end.lose(OUT, "closed")
        if end.over:
            assert end.cells_to_send(now_s) == []


def test_a_window_of_empty_messages_costs_little():
    """The most messages that a window holds: one a byte, and not one cell more."""
    receiver = DataReceiver()
    cell = SealedCell(CellType.DATA, bytes(BODY_SIZE))

    def fill() -> None:
        for _ in range(WINDOW_CELLS):
            receiver.on_data(cell)

    assert peak_bytes(fill) < 16 * WINDOW_CELLS * BODY_SIZE
    assert refusal(lambda: receiver.on_data(cell)) == "window_overrun"


@examples(40)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 99), st.one_of(st.none(), st.none(), mutated([bytes(CELL_SIZE), *TO_GUARD]))),
        max_size=40,
    )
)
def test_cells_that_are_altered_on_any_leg_end_that_ring_and_nothing_else(steps: list[tuple[int, bytes | None]]):
    ring = MemoryRing()
    for choice, instead in steps:
        queues = ring.queues()
        if not queues:
            break
        number, place, outward = queues[choice % len(queues)]
        leg = ring.arcs[number].legs[place]
        queue = leg.out if outward else leg.back
        if instead is not None and len(queue[0]) == CELL_SIZE:
            queue[0] = instead[:CELL_SIZE].ljust(CELL_SIZE, b"\0")
        ring.deliver(number, place, outward)
    quiesce(ring)
    heard = set()
    for _, _, reason in ring.ended_by:
        heard.add(reason)
    assert all(reason == reason_of(reason.encode()) for reason in heard)


@examples(60)
@given(
    st.dictionaries(
        st.sampled_from([OUT, BACK]),
        st.builds(
            Ending, st.one_of(st.none(), st.integers(0, 2)), st.sampled_from(["lost", "arc_lost", "unknown", "idle"])
        ),
        min_size=1,
    )
)
def test_somebody_is_blamed_however_a_ring_ended(endings: dict[int, Ending]):
    found = blame(endings, 2)
    assert found.endpoint or all(hop < 2 for _, hop in found.suspects)


def test_the_dialogue_has_what_it_should():
    assert len(TO_GUARD) == 5
    assert len(FROM_GUARD) == 3
