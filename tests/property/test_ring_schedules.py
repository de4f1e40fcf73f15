"""Random schedules over many rings of several requests, with relays that do to them whatever a relay can do.

The state machines are the real ones, and so is the choice of relays; queues stand for streams, and rules of Hypothesis
for whatever comes next. In whatever order it comes:

1. no plaintext is on any leg: it is with the client and with the endpoint alone;
2. no cell is delivered twice, none altered, none of another ring: what arrives is a beginning of what was sent there;
3. no ring is without an end: once time is up, for whoever waits, nobody has a key of it any more;
4. no relay but a guard is on two fragments of a request, failed attempts included.

`PEERNET_FUZZ` multiplies the number of schedules.
"""

import random
from collections import Counter
from typing import Final

from attrs import define, field
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peernet.core.ring.cells import BODY_SIZE, CELL_SIZE
from peernet.core.ring.hop import HopState
from peernet.core.ring.paths import PathPeer, RingPath, TooFewRelays, choose_paths
from peernet.core.ring.ring import BACK, OUT, WINDOW_CELLS, RingEnd
from peernet.core.ring.warm import fit_ways
from tests.hostile_input import FACTOR
from tests.ring_in_memory import CLOSE, SERVICE, MemoryRing

MARK: Final = b"a mark that no cell may show"
FRAGMENTS: Final = 2
MOST_RINGS: Final = 8
RELAYS: Final = [
    PathPeer(f"relay {number}", b"operator %d" % (number % 9), frozenset({f"network {number % 11}"}))
    for number in range(14)
]
GUARDS: Final = [
    PathPeer(f"guard {number}", b"guard %d" % number, frozenset({f"guards {number}"})) for number in (1, 2)
]
HOSTS: Final = [PathPeer(f"host {n}", b"host %d" % n, frozenset({f"hosts {n}"})) for n in range(FRAGMENTS)]
SIZES: Final = st.sampled_from([0, 40, BODY_SIZE, 3 * BODY_SIZE, 40 * BODY_SIZE])

Queue = tuple[int, int, bool]


@define(eq=False)
class Ring:
    """One ring of a fragment, what both its ends have said and heard, and which queues somebody holds for ever."""

    memory: MemoryRing
    path: RingPath
    request: int
    fragment: int
    ahead: bool
    sent: dict[bool, list[bytes]] = field(factory=lambda: {True: [], False: []})
    heard: dict[bool, list[bytes]] = field(factory=lambda: {True: [], False: []})
    held: set[Queue] = field(factory=set)
    touched: bool = False
    """Whether somebody has ended it, or done something to it."""

    def end_of(self, client: bool) -> RingEnd:
        return self.memory.client if client else self.memory.endpoint

    def queues(self) -> list[Queue]:
        """Where something can be delivered."""
        return [queue for queue in self.memory.queues() if queue not in self.held]

    def deliver_all(self) -> None:
        while queues := self.queues():
            self.memory.deliver(*queues[0])

    def finish(self) -> None:
        """Delivers and hears until nothing more comes."""
        heard = -1
        while heard != (heard := sum(map(len, self.heard.values()))) or self.queues():
            self.deliver_all()
            self.hear()

    def hear(self) -> None:
        for client in (True, False):
            while (message := self.end_of(client).next_message()) is not None:
                self.heard[client].append(message)
        self.memory.flush()


class Schedules(RuleBasedStateMachine):
    """Several requests at once."""

    def __init__(self) -> None:
        super().__init__()
        self.rings: list[Ring] = []
        self.requests = 0
        self.checked: set[bytes] = set()
        self.passed: list[bytes] = []

    # --- what clients and hosts do -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.rings) <= MOST_RINGS - FRAGMENTS)
    @rule(seed=st.integers(0, 1 << 16), ready=st.integers(0, 4), ahead=st.booleans(), odds=st.integers(0, 3))
    def ask(self, seed: int, ready: int, ahead: bool, odds: int) -> None:
        """A request of some fragments, with some ways ready for it."""
        chance = random.Random(seed)
        paths = choose_paths(RELAYS, GUARDS, HOSTS, "private", chance)
        ways = [(chance.choice(GUARDS), middle) for middle in chance.sample(RELAYS, ready)]
        for fragment, path in enumerate(fit_ways(paths, ways).paths):
            self.open(path, self.requests, fragment, ahead=ahead)
            if odds:
                self.rings[-1].deliver_all()
        self.requests += 1

    @precondition(lambda self: len(self.rings) < MOST_RINGS and any(r.memory.client.over for r in self.rings))
    @rule(seed=st.integers(0, 1 << 16), which=st.integers(0, MOST_RINGS))
    def try_again(self, seed: int, which: int) -> None:
        """A fragment whose ring has ended gets another one; no middle of another fragment carries it."""
        over = [ring for ring in self.rings if ring.memory.client.over]
        failed = over[which % len(over)]
        others = {
            peer.peer
            for ring in self.rings
            if ring.request == failed.request and ring.fragment != failed.fragment
            for peer in (*ring.path.out[1:], *ring.path.back[1:])
        }
        chance = random.Random(seed)
        allowed = [relay for relay in RELAYS if relay.peer not in others]
        try:
            paths = choose_paths(allowed, GUARDS, [failed.path.endpoint], "private", chance)
        except TooFewRelays:
            assume(False)
        ways = [(chance.choice(GUARDS), middle) for middle in chance.sample(RELAYS, 4)]
        (path,) = fit_ways(paths, ways, others).paths
        self.open(path, failed.request, failed.fragment, ahead=False)

    def open(self, path: RingPath, request: int, fragment: int, *, ahead: bool) -> None:
        name = b"ring %d " % len(self.rings)
        self.rings.append(Ring(MemoryRing(name=name, ahead=ahead), path, request, fragment, ahead))

    @precondition(lambda self: any(ring.ahead for ring in self.rings))
    @rule(which=st.integers(0, MOST_RINGS), built=st.booleans())
    def name_endpoint(self, which: int, built: bool) -> None:
        """A ring whose arcs were built ahead is wanted."""
        waiting = [ring for ring in self.rings if ring.ahead]
        ring = waiting[which % len(waiting)]
        if built:
            ring.deliver_all()
        ring.ahead = False
        ring.touched = ring.touched or not built
        ring.memory.name_endpoint()

    @precondition(lambda self: self.rings)
    @rule(which=st.integers(0, MOST_RINGS), client=st.booleans(), size=SIZES, count=st.integers(1, 4))
    def say(self, which: int, client: bool, size: int, count: int) -> None:
        ring = self.rings[which % len(self.rings)]
        end = ring.end_of(client)
        while count and ring.memory.is_joined and end.ended is None and not end.blocked:
            count -= 1
            message = (b"%d %d " % (which % len(self.rings), len(ring.sent[client])) + MARK).ljust(size, b".")
            end.send(message)
            ring.sent[client].append(message)
            ring.memory.flush()

    @precondition(lambda self: self.rings)
    @rule(which=st.integers(0, MOST_RINGS), choice=st.integers(0, 11), count=st.integers(1, 60))
    def deliver(self, which: int, choice: int, count: int) -> None:
        ring = self.rings[which % len(self.rings)]
        for _ in range(count):
            if queues := ring.queues():
                ring.memory.deliver(*queues[choice % len(queues)])

    @precondition(lambda self: self.rings)
    @rule(which=st.integers(0, MOST_RINGS))
    def settle(self, which: int) -> None:
        """All that is under way on a ring arrives, and is heard."""
        ring = self.rings[which % len(self.rings)]
        ring.deliver_all()
        ring.hear()

    @precondition(lambda self: self.rings)
    @rule(which=st.integers(0, MOST_RINGS), client=st.booleans(), odds=st.integers(0, 3))
    def end(self, which: int, client: bool, odds: int) -> None:
        ring = self.rings[which % len(self.rings)]
        if odds == 0:
            ring.touched = True
            end_ring(ring) if client else ring.memory.endpoint.end("done")
            ring.memory.flush()

    # --- what relays do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.rings)
    @rule(
        which=st.integers(0, MOST_RINGS),
        place=st.integers(0, 11),
        deed=st.sampled_from(["drop", "duplicate", "swap", "flip", "flood", "replay", "hold", "close"]),
        byte=st.integers(0, CELL_SIZE - 1),
        other=st.integers(0, 1 << 16),
    )
    def misbehave(self, which: int, place: int, deed: str, byte: int, other: int) -> None:
        """Whoever has a leg does something to what is under way on it; if anything is, anywhere, to that."""
        busy = [ring for ring in self.rings if ring.queues()] or self.rings
        ring = busy[which % len(busy)]
        legs = ring.queues() or [(arc, at, way) for arc in (OUT, BACK) for at in range(3) for way in (True, False)]
        arc, place, outward = legs[place % len(legs)]
        ring.touched = True
        leg = ring.memory.arcs[arc].legs[place]
        queue = leg.out if outward else leg.back
        cells = [number for number, cell in enumerate(queue) if cell != CLOSE]
        if deed == "hold":
            ring.held.add((arc, place, outward))
        elif deed == "close":
            ring.memory.kill(arc, place)
        elif deed in {"flood", "replay"}:
            # There is no leg before the peer at its near end has been told to extend, and none behind a close.
            near = ring.memory.arcs[arc].hops[place - 1] if place else None
            if (near is not None and near.state is not HopState.FORWARD) or (queue and queue[-1] == CLOSE):
                return
            for number in range(70 if deed == "flood" else 1):
                cell = random.Random(other + number).randbytes(CELL_SIZE)
                if deed == "replay" and self.passed:
                    cell = self.passed[other % len(self.passed)]
                queue.append(cell)
        elif cells:
            first = cells[0]
            if deed == "drop":
                del queue[first]
            elif deed == "duplicate":
                queue.insert(first, queue[first])
            elif deed == "flip":
                queue[first] = queue[first][:byte] + bytes([queue[first][byte] ^ 1]) + queue[first][byte + 1 :]
            elif len(cells) > 1:
                queue[first], queue[cells[1]] = queue[cells[1]], queue[first]

    @precondition(lambda self: any(ring.memory.is_joined for ring in self.rings))
    @rule(which=st.integers(0, MOST_RINGS))
    def repeat_to_the_endpoint(self, which: int) -> None:
        """The last relay of an arc hands the endpoint a cell twice: no layer is between them that would tell."""
        joined = [ring for ring in self.rings if ring.memory.is_joined]
        ring = joined[which % len(joined)]
        self.say(self.rings.index(ring), client=True, size=40, count=1)
        last = ring.memory.arcs[OUT].legs[2].out
        ring.touched = True
        while not last and (way := [q for q in ring.queues() if q in {(OUT, 0, True), (OUT, 1, True)}]):
            ring.memory.deliver(*way[-1])
        if last and last[0] != CLOSE:
            last.insert(0, last[0])

    # --- what holds, always ------------------------------------------------------------------------------------------

    @invariant()
    def no_leg_shows_plaintext(self) -> None:
        for ring in self.rings:
            for arc in ring.memory.arcs.values():
                secrets = (MARK, SERVICE.encode(), ring.memory.nonce, ring.memory.cookie, *arc.records)
                for leg in arc.legs:
                    while leg.seen:
                        self.check(leg.seen.pop(), secrets)

    def check(self, cell: bytes, secrets: tuple[bytes, ...]) -> None:
        if cell == CLOSE:
            return
        assert len(cell) == CELL_SIZE
        assert not any(secret in cell for secret in secrets)
        # No cell looks the same on two legs, of this ring or of another, so that nobody matches them by their looks.
        assert cell not in self.checked
        self.checked.add(cell)
        if len(self.passed) < 500:
            self.passed.append(cell)

    @invariant()
    def what_arrives_is_what_was_sent_on_this_ring_once_and_in_order(self) -> None:
        for ring in self.rings:
            for client in (True, False):
                heard = ring.heard[client]
                assert heard == ring.sent[not client][: len(heard)]
            for arc in (OUT, BACK):
                assert ring.memory.opened[arc] <= ring.memory.data_sent[arc]
                assert ring.memory.data_sent[arc] - ring.memory.data_granted[arc] <= WINDOW_CELLS

    @invariant()
    def no_relay_but_a_guard_is_on_two_fragments_of_a_request(self) -> None:
        carried = {
            (ring.request, ring.fragment, peer.peer)
            for ring in self.rings
            for peer in (*ring.path.out[1:], *ring.path.back[1:])
        }
        fragments = Counter((request, peer) for request, _, peer in carried)
        assert not carried or set(fragments.values()) == {1}
        assert not any(peer.startswith("guard") for _, peer in fragments)

    def teardown(self) -> None:
        """Time is up for everybody who waits: every ring has an end then, and nothing is left of it."""
        for ring in self.rings:
            ring.finish()
            if not ring.touched and not ring.ahead:
                assert ring.memory.is_joined
                assert ring.heard == {client: ring.sent[not client] for client in (True, False)}
                assert ring.memory.client.ended is ring.memory.endpoint.ended is None
            end_ring(ring)
            ring.memory.flush()
            ring.deliver_all()
            # Those whose neighbours are silent give up, too.
            held, ring.held = ring.held, set()
            for arc, place, _ in held:
                ring.memory.kill(arc, place)
            ring.deliver_all()
            ring.hear()
        self.no_leg_shows_plaintext()
        self.what_arrives_is_what_was_sent_on_this_ring_once_and_in_order()
        for ring in self.rings:
            assert_nothing_is_left(ring.memory)


def end_ring(ring: Ring) -> None:
    """The client has enough."""
    if ring.memory.is_joined:
        ring.memory.client.end("cancelled")
    else:
        ring.memory.client.fail("given up")


def assert_nothing_is_left(ring: MemoryRing) -> None:
    assert ring.client.over
    assert ring.endpoint.over or not ring.is_joined
    for arc in ring.arcs.values():
        assert not arc.arc.built
        assert not arc.arc._links
        for hop in arc.hops:
            assert hop._layer_out is hop._layer_back is None
            assert hop._to_client is hop._from_client is None


TestFuzzSchedules = Schedules.TestCase
TestFuzzSchedules.settings = settings(
    max_examples=60 * FACTOR,
    stateful_step_count=40,
    derandomize=FACTOR == 1,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
