"""The resource manager against a model that counts and searches all it holds."""

from collections import Counter

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peernet.net.limits import Limits
from peernet.net.resources import LOOKS, Place, Resources, StreamPlace, WindowAccount

PREFIXES = st.sampled_from(["a", "b", "c"])
PEERS = st.sampled_from([b"p", b"q", b"r", b"s"])
LIMITS = Limits(
    connections=7,
    connections_per_prefix=4,
    connections_per_peer=2,
    streams=6,
    streams_per_prefix=4,
    streams_per_peer=3,
    streams_undecided=2,
    window_memory=100,
    window_memory_per_prefix=60,
    window_memory_per_peer=40,
)


@define(eq=False)
class Stream:
    """A stream as the test sees it."""

    came: int
    owner: "Line"
    settled: bool = False
    place: StreamPlace | None = None
    given_up: bool = False

    def give_up(self) -> None:
        assert not self.settled
        self.given_up = True


@define(eq=False)
class Line:
    """A connection as the test sees it."""

    prefix: str
    ours: bool
    place: Place
    last_used: float = 0.0
    peer: bytes | None = None
    streams: list[Stream] = field(factory=list)
    closed: str = ""
    outgoing: int = 0
    memory: int = 0

    @property
    def stream_count(self) -> int:
        return len(self.streams) + self.outgoing

    def close(self, why: str) -> None:
        assert not self.closed
        self.closed = why


class ResourcesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.met: Counter[str] = Counter()
        self.resources = Resources(LIMITS, lambda name: self.met.update([name]))
        self.lines: list[Line] = []
        self.now = 0.0
        self.count = 0

    def tick(self) -> float:
        self.now += 1
        return self.now

    @property
    def settled(self) -> list[Line]:
        return [line for line in self.lines if line.peer is not None]

    def drop_closed(self) -> list[Line]:
        closed = [line for line in self.lines if line.closed]
        for line in closed:
            self.lines.remove(line)
            self.resources.release(line.place)  # as its end does, once more
            assert all(stream.place is None or stream.place.released for stream in line.streams)
        return closed

    def idlest(self, lines: list[Line]) -> Line | None:
        idle = [line for line in lines if not line.stream_count]
        return min(idle, key=lambda line: line.last_used, default=None)

    def expect_taken(self, prefix: str | None) -> tuple[bool, Line | None]:
        """Whether a newcomer gets a place, and who has to go for it."""
        crowds = Counter(line.prefix for line in self.lines if line.prefix)
        victim = None
        if prefix is not None and crowds[prefix] >= 4:
            victim = self.idlest([line for line in self.settled if line.prefix == prefix])
            return victim is not None, victim
        if len(self.lines) < 7:
            return True, None
        victim = self.idlest(self.settled)
        if victim is None and crowds and max(crowds.values()) >= crowds[prefix or ""] + 2:
            (crowded, *others) = [other for other, count in crowds.items() if count == max(crowds.values())]
            theirs = [line for line in self.settled if line.prefix == crowded and not line.ours]
            if others:
                return True, None  # either of them; the invariants tell the rest
            victim = min(theirs, key=lambda line: line.last_used, default=None)
        return victim is not None, victim

    @rule(prefix=PREFIXES)
    def come(self, prefix: str) -> None:
        expected, victim = self.expect_taken(prefix)
        place = self.resources.take(prefix)
        closed = self.drop_closed()
        if victim is not None:
            assert closed == [victim]
        if place is None:
            assert not expected or victim is None
            return
        assert expected
        self.lines.append(Line(prefix, ours=False, place=place))

    @rule()
    def dial(self) -> None:
        expected, victim = self.expect_taken(None)
        place = self.resources.take_for_dial()
        closed = self.drop_closed()
        if victim is not None:
            assert closed == [victim]
        if place is not None:
            assert expected
            self.lines.append(Line("", ours=True, place=place))

    @precondition(lambda self: any(line.peer is None for line in self.lines))
    @rule(data=st.data(), peer=PEERS, prefix=PREFIXES)
    def settle(self, data: st.DataObject, peer: bytes, prefix: str) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines if line.peer is None]))
        if line.ours:
            line.prefix = prefix
        same = [other for other in self.lines if other.peer == peer]
        line.last_used = self.tick()
        self.resources.settle(line.place, line, peer, line.prefix)
        line.peer = peer
        closed = self.drop_closed()
        if len(same) == 2:
            assert closed == [min(same, key=lambda other: other.last_used)]
        else:
            assert closed == []

    @precondition(lambda self: any(line.peer is None and not line.ours for line in self.lines))
    @rule(data=st.data(), prefix=PREFIXES)
    def learn_another_prefix(self, data: st.DataObject, prefix: str) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines if line.peer is None and not line.ours]))
        others = [other for other in self.lines if other is not line and other.prefix == prefix]
        victim = self.idlest([other for other in others if other.peer is not None]) if len(others) >= 4 else None
        fits = self.resources.move(line.place, prefix)
        line.prefix = prefix
        assert fits == (len(others) < 4 or victim is not None)
        assert self.drop_closed() == ([] if victim is None else [victim])
        if not fits:
            self.lines.remove(line)
            self.resources.release(line.place)

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from(self.lines))
        self.lines.remove(line)
        self.resources.release(line.place)
        self.resources.release(line.place)

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def open_stream(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from(self.settled))
        self.count += 1
        stream = Stream(self.count, line)
        streams = [other for known in self.settled for other in known.streams]
        scopes = [
            ([other for other in streams if other.owner.peer == line.peer], 3),
            ([other for other in streams if other.owner.prefix == line.prefix], 4),
            (streams, 6),
        ]
        victim = None
        refused = sum(not other.settled for other in scopes[0][0]) >= 2
        for scope, bound in scopes:
            if len(scope) >= bound and not refused:
                unsettled = [other for other in scope if not other.settled]
                victim = min(unsettled, key=lambda other: other.came, default=None)
                refused = victim is None
                break
        stream.place = self.resources.take_stream(line.place, stream.give_up)
        assert [other for other in streams if other.given_up] == ([] if victim is None else [victim])
        assert (stream.place is None) == refused
        if victim is not None:
            victim.owner.streams.remove(victim)
        if stream.place is not None:
            line.last_used = self.tick()
            line.streams.append(stream)

    @precondition(lambda self: any(line.streams for line in self.lines))
    @rule(data=st.data(), ends=st.booleans())
    def settle_or_end_stream(self, data: st.DataObject, ends: bool) -> None:
        stream = data.draw(st.sampled_from([stream for line in self.lines for stream in line.streams]))
        if ends:
            stream.owner.streams.remove(stream)
            self.resources.release_stream(stream.place)
            self.resources.release_stream(stream.place)
        else:
            stream.settled = True
            self.resources.settle_stream(stream.place)

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), outgoing=st.integers(0, 2))
    def use(self, data: st.DataObject, outgoing: int) -> None:
        line = data.draw(st.sampled_from(self.settled))
        line.outgoing, line.last_used = outgoing, self.tick()

    @rule()
    def refresh(self) -> None:
        self.resources.refresh()

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), size=st.integers(1, 50))
    def grow(self, data: st.DataObject, size: int) -> None:
        line = data.draw(st.sampled_from(self.settled))
        held = [
            (sum(other.memory for other in self.settled if other.peer == line.peer), 40),
            (sum(other.memory for other in self.settled if other.prefix == line.prefix), 60),
            (sum(other.memory for other in self.settled), 100),
        ]
        granted = WindowAccount(self.resources, line.place).reserve(size)
        assert granted == all(memory + size <= bound for memory, bound in held)
        line.memory += size * granted

    @precondition(lambda self: any(line.memory for line in self.lines))
    @rule(data=st.data())
    def shrink(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines if line.memory]))
        size = data.draw(st.integers(1, line.memory))
        WindowAccount(self.resources, line.place).release(size)
        line.memory -= size

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        assert self.resources.connections == len(self.lines) <= 7
        assert self.resources.streams == sum(len(line.streams) for line in self.lines) <= 6
        assert self.resources.memory == sum(line.memory for line in self.lines) <= 100
        came = Counter(line.prefix for line in self.lines if not line.ours)
        assert all(count <= 4 for count in came.values())
        assert all(count <= 2 for count in Counter(line.peer for line in self.settled).values())

    def teardown(self) -> None:
        for line in self.lines:
            self.resources.release(line.place)
        assert self.resources.empty


TestResources = ResourcesMachine.TestCase
TestResources.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def settled(resources: Resources, number: int, prefix: str, *, busy: bool, ours: bool = False) -> Line:
    place = resources.take_for_dial() if ours else resources.take(prefix)
    assert place is not None
    line = Line(prefix, ours, place, last_used=number, outgoing=int(busy))
    resources.settle(place, line, b"%d" % number, prefix)
    return line


def test_after_a_refresh_an_idle_one_is_found_behind_many_busy_ones():
    resources = Resources(Limits(connections=10 * LOOKS), lambda _: None)
    lines = [settled(resources, number, f"p{number}", busy=number != 5 * LOOKS) for number in range(10 * LOOKS)]
    assert resources.take("new") is None
    resources.refresh()
    assert resources.take("new") is not None
    assert [line for line in lines if line.closed] == [lines[5 * LOOKS]]


def test_a_busy_crowd_does_not_keep_others_out_for_ever():
    """Rule 3: a prefix that keeps all of its connections busy gives some up for those who have none."""
    resources = Resources(Limits(connections=20, connections_per_prefix=20), lambda _: None)
    crowd = [settled(resources, number, "crowd", busy=True) for number in range(18)]
    ours = [settled(resources, number, "crowd", busy=True, ours=True) for number in range(18, 20)]
    others = []
    while (place := resources.take(f"p{len(others)}")) is not None:
        others.append(place)
    # Until what is left of the crowd is what we dialled.
    assert len(others) == 18
    assert all(line.closed for line in crowd)
    assert not any(line.closed for line in ours)


def test_a_place_in_its_handshake_is_not_given_up():
    resources = Resources(Limits(connections=2), lambda _: None)
    assert resources.take("a") is not None
    assert resources.take("a") is not None
    assert resources.take("b") is None


def test_what_is_over_can_hold_nothing_more():
    resources = Resources(Limits(), lambda _: None)
    line = settled(resources, 1, "a", busy=False)
    account = WindowAccount(resources, line.place)
    assert account.reserve(1000)
    resources.release(line.place)
    assert not account.reserve(1)
    account.release(1000)
    assert resources.take_stream(line.place, lambda: None) is None
    assert resources.empty
