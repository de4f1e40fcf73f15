"""Who ended a ring: told from how its two arcs ended, in whatever order the client hears of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.ring.endings import Blame, Ending, blame
from peernet.core.ring.ring import ARC_LOST, BACK, OUT
from tests.ring_in_memory import MemoryRing, quiesce

ENDPOINT = Blame(endpoint=True)
QUEUES = [(arc, place, way) for arc in (OUT, BACK) for place in range(3) for way in (True, False)]


def relays(*places: tuple[int, int]) -> Blame:
    return Blame(endpoint=False, suspects=frozenset(places))


@pytest.mark.parametrize(
    ("out", "back", "verdict"),
    [
        # A peer dies, and every neighbour says what it saw.
        ((1, "lost"), (1, "lost"), ENDPOINT),
        ((0, "lost"), (2, ARC_LOST), relays((OUT, 1))),
        ((2, ARC_LOST), (0, "lost"), relays((BACK, 1))),
        ((0, "closed"), (0, "broken"), relays((OUT, 0), (BACK, 0))),
        # The endpoint's word has not come, or the relay beside it went with it.
        ((0, "lost"), (1, "lost"), relays((OUT, 1))),
        ((1, "lost"), (0, "lost"), relays((BACK, 1))),
        (None, (0, "lost"), relays((BACK, 1))),
        # The endpoint itself ends the ring.
        (None, (2, "done"), ENDPOINT),
        ((2, "no_partner"), None, ENDPOINT),
        ((2, "done"), (1, "lost"), ENDPOINT),
        # One arc alone says that it has gone; or the endpoint lives, and a relay says it has gone.
        (None, (1, "lost"), relays((BACK, 1))),
        ((1, "lost"), None, relays((OUT, 1))),
        ((1, "lost"), (2, ARC_LOST), relays((OUT, 0), (OUT, 1))),
        ((2, ARC_LOST), (1, "lost"), relays((BACK, 0), (BACK, 1))),
        # A word of a relay's own, and cells that open under no key.
        ((1, "idle"), (2, ARC_LOST), relays((OUT, 1))),
        ((0, "idle"), None, relays((OUT, 0))),
        (None, (None, "decrypt"), relays((BACK, 0), (BACK, 1))),
        ((1, "lost"), (None, "decrypt"), relays((BACK, 0), (BACK, 1))),
        (None, (2, ARC_LOST), relays((OUT, 0), (OUT, 1))),
        # Nothing to go by.
        (None, None, ENDPOINT),
    ],
)
def test_who_ended_a_ring(out: Any, back: Any, verdict: Blame):
    endings = {arc: Ending(*how) for arc, how in ((OUT, out), (BACK, back)) if how is not None}
    assert blame(endings, 2) == verdict


def test_without_middles_the_guard_stands_beside_the_endpoint():
    gone = Ending(0, "lost")
    assert blame({OUT: gone, BACK: gone}, 1) == ENDPOINT
    assert blame({BACK: gone}, 1) == relays((BACK, 0))
    assert blame({OUT: Ending(1, ARC_LOST), BACK: gone}, 1) == relays((BACK, 0))
    assert blame({BACK: Ending(None, "decrypt")}, 1) == relays((BACK, 0))


def after(ring: MemoryRing, order: list[tuple[int, int, bool]]) -> Blame:
    while queues := ring.queues():
        ring.deliver(*min(queues, key=order.index))
    return blame(ring.endings, 2)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([OUT, BACK]), st.integers(0, 2), st.booleans(), st.permutations(QUEUES))
def test_a_peer_that_dies_is_told_in_whatever_order_the_client_hears_of_it(
    arc: int, place: int, talking: bool, order: list[tuple[int, int, bool]]
):
    ring = MemoryRing(verdict=True)
    quiesce(ring)
    if talking:
        ring.client.send(b"a voucher")
        ring.endpoint.send(b"some words" * 500)
        ring.flush()
    ring.kill(arc, place)
    if place == 2:
        ring.kill(OUT + BACK - arc, 2)  # the endpoint stands on both
    verdict = after(ring, order)
    assert verdict == (ENDPOINT if place == 2 else relays((arc, place)))
    assert ring.client.ended is not None
    assert ring.endpoint.ended is not None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([OUT, BACK]), st.integers(0, 2), st.permutations(QUEUES))
def test_a_cell_that_was_altered_puts_no_blame_on_the_endpoint(arc: int, leg: int, order: list[tuple[int, int, bool]]):
    ring = MemoryRing(verdict=True)
    quiesce(ring)
    ring.client.send(b"a voucher")
    ring.endpoint.send(b"some words")
    ring.flush()
    for place in range(leg) if arc == OUT else range(2, leg, -1):
        ring.deliver(arc, place, arc == OUT)
    queue = ring.arcs[arc].legs[leg].out if arc == OUT else ring.arcs[arc].legs[leg].back
    queue[0] = bytes(len(queue[0]))
    assert after(ring, order) == relays((arc, 0), (arc, 1))
