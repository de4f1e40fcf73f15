"""An arc: built hop by hop, said to be ended by the hop that ended it, and nothing else believed."""

from functools import partial

import pytest

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop, ArcWaiting
from peernet.core.ring.cells import CELL_SIZE, CellType, SealedCell, seal_cell
from peernet.core.ring.hop import HopState, Joined, Opened
from tests.ring_in_memory import SUITE, MemoryArc

LOW_ORDER = bytes(32)


def run(arc: MemoryArc) -> list[object]:
    """Delivers everything; what the client and the endpoint learnt."""
    learnt: list[object] = []
    moving = True
    while moving:
        moving = False
        for place, leg in enumerate(arc.legs):
            while leg.out:
                learnt += arc.deliver_out(place)
                moving = True
            while leg.back:
                learnt += arc.deliver_back(place)
                moving = True
    return learnt


def built(hops: int = 3) -> MemoryArc:
    arc = MemoryArc(b"arc", hops)
    arc.start()
    assert run(arc) == [ArcBuilt()]
    return arc


def joined(hops: int = 3) -> MemoryArc:
    arc = built(hops)
    arc.arc.send(CellType.JOIN, b"join")
    arc.flush()
    assert run(arc) == [Joined(b"join", arc.arc.handshake_hash)]
    return arc


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


def holds_nothing(arc: Arc) -> bool:
    return not arc.built and not arc._links and arc._handshake is None and arc.cells_to_send() == []


@pytest.mark.parametrize("hops", [2, 3, 5])
def test_an_arc_of_any_length_is_built_and_carries_cells_both_ways(hops: int):
    arc = joined(hops)
    assert arc.arc.hops_built == hops
    assert [hop.state for hop in arc.hops] == [HopState.FORWARD] * (hops - 1) + [HopState.ENDPOINT]
    for number in range(3):
        body = b"out %d" % number
        arc.arc.send(CellType.DATA, body)
        arc.flush()
        assert run(arc) == [Opened(SealedCell(CellType.DATA, body))]
        arc.send_from_endpoint(CellType.DATA, b"back %d" % number)
        assert run(arc) == [ArcCell(SealedCell(CellType.DATA, b"back %d" % number))]


def test_nothing_is_said_to_a_hop_before_it_has_answered():
    arc = MemoryArc(b"arc")
    arc.start()
    (first,) = arc.legs[0].out
    assert first[48:] == bytes(CELL_SIZE - 48)
    assert not any(record in cell for record in arc.records for cell in arc.legs[0].out)


def test_a_record_is_read_by_the_hop_before_it_alone():
    arc = joined()
    for leg in arc.legs:
        assert not any(record in cell for record in arc.records for cell in leg.seen)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("word", ["unreachable", "no_relay"])
def test_a_hop_that_cannot_extend_is_named_with_its_reason(place: int, word: str):
    arc = MemoryArc(b"arc")
    arc.refuses[place] = word
    arc.start()
    assert ArcEnded(place, word) in run(arc)
    assert arc.arc.hops_built == place + 1
    assert holds_nothing(arc.arc)


@pytest.mark.parametrize("place", [0, 1])
def test_a_forwarder_that_loses_the_next_leg_is_named(place: int):
    arc = joined()
    arc.end_hop(place + 1)
    assert ArcEnded(place, "lost") in run(arc)
    assert holds_nothing(arc.arc)


def test_an_end_from_the_endpoint_names_the_endpoint_and_comes_behind_its_data():
    arc = joined()
    arc.send_from_endpoint(CellType.DATA, b"last words")
    arc.send_from_endpoint(CellType.END, b"done")
    arc.end_hop(2)
    learnt = run(arc)
    assert learnt[:2] == [ArcCell(SealedCell(CellType.DATA, b"last words")), ArcEnded(2, "done")]
    assert not any(isinstance(event, ArcEnded) for event in learnt[2:])
    assert holds_nothing(arc.arc)


def test_the_end_of_each_hop_opens_after_any_number_of_cells_before_it():
    for place in (0, 1):
        arc = joined()
        for _ in range(5):
            arc.send_from_endpoint(CellType.DATA, b"x")
        learnt = run(arc)
        arc.end_hop(place + 1)
        learnt += run(arc)
        assert learnt[:5] == [ArcCell(SealedCell(CellType.DATA, b"x"))] * 5
        assert [event for event in learnt[5:] if isinstance(event, ArcEnded)] == [ArcEnded(place, "lost")]


# Behind byte 48 of a handshake cell there is padding, which means nothing.
@pytest.mark.parametrize(
    ("while_building", "position"),
    [(True, 0), (True, 40), (True, 47), (False, 0), (False, 47), (False, 600), (False, CELL_SIZE - 1)],
)
def test_an_altered_cell_ends_the_arc(while_building: bool, position: int):
    arc = MemoryArc(b"arc") if while_building else joined()
    if while_building:
        arc.start()
        arc.deliver_out(0)
    else:
        arc.send_from_endpoint(CellType.DATA, b"x")
        arc.deliver_back(2)
        arc.deliver_back(1)
    cell = bytearray(arc.legs[0].back.pop())
    cell[position] ^= 1
    arc.legs[0].back.append(bytes(cell))
    assert reason(partial(arc.deliver_back, 0)) in {"bad_tag", "bad_key"}
    assert holds_nothing(arc.arc)
    assert arc.arc.receive(bytes(CELL_SIZE)) == []


def test_a_forwarder_cannot_say_anything_but_end():
    arc = joined()
    hop = arc.hops[1]
    hostile = hop._layer_back.update(seal_cell(hop._to_client, CellType.DATA, b"forged"))
    arc.legs[1].put_back(hostile)
    arc.deliver_back(1)
    assert reason(partial(arc.deliver_back, 0)) == "bad_cell"
    assert holds_nothing(arc.arc)


def test_a_hop_cannot_end_the_arc_in_the_name_of_another():
    arc = joined()
    forger = arc.hops[0]
    arc.legs[0].put_back(forger._layer_back.update(seal_cell(forger._to_client, CellType.END, b"lost")))
    assert arc.deliver_back(0) == [ArcEnded(0, "lost")]


def test_a_reason_that_a_peer_made_up_is_not_repeated():
    arc = joined()
    arc.send_from_endpoint(CellType.END, b"mind the <gap>\n")
    assert run(arc)[0] == ArcEnded(2, "unknown")


@pytest.mark.parametrize("place", [0, 1])
def test_an_unusable_onion_key_ends_the_arc_where_it_is_met(place: int):
    arc = MemoryArc(b"arc")
    hops = list(arc.arc._hops)
    hops[place] = ArcHop(LOW_ORDER, hops[place].record, hops[place].ephemeral)
    arc.arc = Arc(SUITE, hops)
    if place == 0:
        assert reason(arc.start) == "bad_key"
        assert holds_nothing(arc.arc)
    else:
        arc.start()
        arc.deliver_out(0)
        assert reason(partial(arc.deliver_back, 0)) == "bad_key"
        assert arc.arc.hops_built == 1
        assert holds_nothing(arc.arc)


def test_our_own_mistakes_are_our_own():
    arc = built()
    for wrong in (arc.arc.start, partial(arc.arc.receive, b"short"), partial(Arc, SUITE, arc.arc._hops[:1])):
        with pytest.raises(LocalProtocolError):
            wrong()
    arc.arc.end()
    with pytest.raises(LocalProtocolError):
        arc.arc.send(CellType.DATA, b"")
    with pytest.raises(LocalProtocolError):
        _ = arc.arc.handshake_hash


# --- arcs that are built before their endpoint is known -------------------------------------------------------------


def waiting(hops: int = 3) -> MemoryArc:
    arc = MemoryArc(b"arc", hops, ahead=True)
    arc.start()
    assert run(arc) == [ArcWaiting()]
    assert arc.arc.waiting
    assert not arc.arc.built
    return arc


@pytest.mark.parametrize("hops", [2, 3, 4])
def test_an_arc_that_waits_is_extended_to_an_endpoint_and_is_like_any_other_then(hops: int):
    arc = waiting(hops)
    assert arc.arc.hops_built == hops - 1
    assert [hop.state for hop in arc.hops] == [HopState.FORWARD] * (hops - 2) + [HopState.COMMAND, HopState.HANDSHAKE]
    arc.extend()
    assert run(arc) == [ArcBuilt()]
    arc.arc.send(CellType.JOIN, b"join")
    arc.flush()
    assert run(arc) == [Joined(b"join", arc.arc.handshake_hash)]
    for number in range(3):
        arc.arc.send(CellType.DATA, b"out %d" % number)
        arc.flush()
        assert run(arc) == [Opened(SealedCell(CellType.DATA, b"out %d" % number))]
        arc.send_from_endpoint(CellType.DATA, b"back %d" % number)
        assert run(arc) == [ArcCell(SealedCell(CellType.DATA, b"back %d" % number))]


def test_the_last_relay_of_an_arc_that_waits_has_no_command_and_knows_no_endpoint():
    arc = waiting()
    assert not arc.legs[2].seen
    assert not any(arc.records[2] in cell for leg in arc.legs for cell in leg.seen)


def test_an_arc_is_extended_once_and_only_while_it_waits():
    whole, started, extended = built(), MemoryArc(b"arc", ahead=True), waiting()
    started.start()
    extended.extend()
    for arc in (whole, started, extended):
        with pytest.raises(LocalProtocolError, match="extended once"):
            arc.arc.extend(arc.endpoint)
    run(extended)
    with pytest.raises(LocalProtocolError, match="extended once"):
        extended.arc.extend(extended.endpoint)
    gone = waiting()
    gone.arc.end()
    with pytest.raises(LocalProtocolError, match="extended once"):
        gone.arc.extend(gone.endpoint)


def test_the_guard_that_loses_the_middle_of_an_arc_that_waits_says_so():
    arc = waiting()
    arc.end_hop(1)
    assert ArcEnded(0, "lost") in run(arc)
    assert holds_nothing(arc.arc)
    assert not arc.arc.waiting


@pytest.mark.parametrize("place", [0, 1])
def test_nothing_but_an_end_comes_on_an_arc_that_waits(place: int):
    arc = waiting()
    arc.legs[place].put_back(b"x" * CELL_SIZE)
    if place:
        arc.deliver_back(1)
    assert reason(partial(arc.deliver_back, 0)) == "bad_cell"
    assert holds_nothing(arc.arc)


def test_an_endpoint_that_cannot_be_reached_is_named_over_an_arc_that_waited():
    arc = waiting()
    arc.refuses[1] = "unreachable"
    arc.extend()
    assert ArcEnded(1, "unreachable") in run(arc)
    assert holds_nothing(arc.arc)


def test_an_unusable_onion_key_of_the_endpoint_ends_an_arc_that_waited():
    arc = waiting()
    arc.endpoint = ArcHop(LOW_ORDER, arc.endpoint.record, arc.endpoint.ephemeral)
    assert reason(arc.extend) == "bad_key"
    assert holds_nothing(arc.arc)
