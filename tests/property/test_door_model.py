"""The door of handshakes against a model that searches lists, and the promises that a burst is made."""

from collections import Counter
from itertools import count

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peernet.net.crowds import Crowds
from peernet.net.door import Door, Visitor
from peernet.net.limits import BUSY, HOME, Limits

_sequence = count(1)
PREFIXES = st.sampled_from(["a", "b", "c"])
LIMITS = Limits(
    handshakes_in_flight=4,
    handshakes_per_prefix=2,
    handshakes_waiting=5,
    handshakes_waiting_per_prefix=3,
    handshake_grace_s=10,
)


@define(eq=False)
class Guest:
    """Somebody, as the test sees it."""

    came: int
    prefix: str
    entered: bool = False
    turned_away: str = ""
    moved: bool = False
    entered_as: int = 0
    """The order in which they came in."""
    joined_as: int = 0
    """The order in which they came to count under their prefix: by coming in, or by moving."""
    visitor: Visitor = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.visitor = Visitor(self.prefix, self._let_in, self._turn_away)

    def _let_in(self) -> None:
        assert not self.entered
        assert not self.turned_away
        self.entered = True
        self.entered_as = self.joined_as = next(_sequence)

    def _turn_away(self, why: str) -> None:
        assert not self.turned_away
        self.turned_away = why


class DoorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.met: Counter[str] = Counter()
        self.door = Door(LIMITS, lambda name: self.met.update([name]))
        self.here: list[Guest] = []
        self.now = 0.0
        self.count = 0

    @property
    def inside(self) -> list[Guest]:
        return [guest for guest in self.here if guest.entered]

    @property
    def waiting(self) -> list[Guest]:
        return [guest for guest in self.here if not guest.entered]

    def settle(self) -> None:
        """Those who were turned away leave."""
        for guest in [guest for guest in self.here if guest.turned_away]:
            self.here.remove(guest)
            self.door.leave(guest.visitor, self.now)

    @rule(prefix=PREFIXES)
    def arrive(self, prefix: str) -> None:
        self.count += 1
        guest = Guest(self.count, prefix)
        waiting = Counter(other.prefix for other in self.waiting)
        inside = Counter(other.prefix for other in self.inside)
        full = len(self.inside) >= 4 or inside[prefix] >= 2
        others = {other: number for other, number in waiting.items() if number >= waiting[prefix] + 2}
        taken = self.door.arrive(guest.visitor, self.now)
        if not full:
            assert taken
            assert guest.entered
        elif waiting[prefix] >= 3:
            assert not taken
        elif waiting.total() >= 5:
            assert taken == bool(others)
            if others:
                (loser,) = [other for other in self.waiting if other.turned_away == "handshakes_waiting"]
                assert waiting[loser.prefix] == max(waiting.values())
                assert loser.came == max(other.came for other in self.waiting if other.prefix == loser.prefix)
        else:
            assert taken
        if taken:
            self.here.append(guest)
        else:
            assert not guest.entered
        self.settle()

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        guest = data.draw(st.sampled_from(self.here))
        self.here.remove(guest)
        self.door.leave(guest.visitor, self.now)
        self.door.leave(guest.visitor, self.now)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        """Each who waits looks when the handshake in its way has had its grace."""
        self.now += seconds
        for guest in self.waiting:
            if not guest.entered and not guest.turned_away:
                inside = [other for other in self.inside if not other.turned_away]
                same = [other for other in inside if other.prefix == guest.prefix]
                if len(same) >= 2:
                    oldest = min(same, key=lambda other: other.joined_as)
                else:
                    oldest = min(inside, key=lambda other: other.entered_as)
                due = self.now >= oldest.visitor.entered_at + 10
                self.door.relieve(guest.visitor, self.now)
                assert bool(oldest.turned_away) == due
        self.settle()

    @precondition(lambda self: self.inside)
    @rule(data=st.data(), prefix=PREFIXES)
    def learn_another_prefix(self, data: st.DataObject, prefix: str) -> None:
        guest = data.draw(st.sampled_from(self.inside))
        guest.prefix, guest.moved, guest.joined_as = prefix, True, next(_sequence)
        self.door.move(guest.visitor, prefix, self.now)
        assert guest.entered
        assert not guest.turned_away

    @invariant()
    def nobody_waits_who_could_come_in(self) -> None:
        inside = Counter(guest.prefix for guest in self.inside)
        assert len(self.inside) == self.door.inside <= 4
        assert len(self.waiting) == self.door.waiting <= 5
        if len(self.inside) < 4:
            assert all(inside[guest.prefix] >= 2 for guest in self.waiting)

    @invariant()
    def within_a_prefix_who_came_first_is_first(self) -> None:
        for guest in self.waiting:
            inside = [other for other in self.inside if other.prefix == guest.prefix and not other.moved]
            assert all(other.came < guest.came for other in inside)

    def teardown(self) -> None:
        for guest in list(self.here):
            self.door.leave(guest.visitor, self.now)
        assert self.door.empty


TestDoor = DoorMachine.TestCase
TestDoor.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def burst(limits: Limits, number: int, prefix: str, door: Door) -> list[Guest]:
    guests = [Guest(came, prefix) for came in range(number)]
    assert all(door.arrive(guest.visitor, 0.0) for guest in guests)
    return guests


def test_a_burst_of_two_hundred_is_served_in_order_and_nobody_is_refused():
    for limits in (HOME, BUSY):
        door = Door(limits, lambda _: None)
        guests = burst(limits, 200, "one", door)
        order = []
        while any(not guest.entered for guest in guests):
            done = next(guest for guest in guests if guest.entered and guest not in order)
            order.append(done)
            door.leave(done.visitor, 0.0)
        assert order == guests[: len(order)]
        assert not any(guest.turned_away for guest in guests)
        for guest in guests:
            door.leave(guest.visitor, 0.0)
        assert door.empty


def test_a_prefix_that_floods_holds_up_nobody_else():
    door = Door(HOME, lambda _: None)
    burst(HOME, 200, "flood", door)
    other = Guest(0, "other")
    assert door.arrive(other.visitor, 0.0)
    assert other.entered


def test_when_all_places_are_taken_by_floods_another_waits_for_one_grace_at_most():
    door = Door(HOME, lambda _: None)
    for number in range(HOME.handshakes_in_flight // HOME.handshakes_per_prefix):
        burst(HOME, 60, f"flood {number}", door)
    other = Guest(0, "other")
    assert door.arrive(other.visitor, 1.0)
    assert not other.entered
    assert door.relief_at(other.visitor) == HOME.handshake_grace_s
    # Four prefixes are in line before it, each with one turn.
    for _ in range(5):
        door.relieve(other.visitor, HOME.handshake_grace_s)
    assert other.entered


class CrowdsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.crowds = Crowds()
        self.model: Counter[str] = Counter()

    @rule(key=PREFIXES)
    def add(self, key: str) -> None:
        self.crowds.add(key)
        self.model[key] += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.crowds.remove(key)
        self.model[key] -= 1
        self.model = +self.model

    @invariant()
    def the_largest_is_the_largest(self) -> None:
        assert {key: self.crowds[key] for key in self.model} == self.model
        assert len(self.crowds) == len(self.model)
        largest = self.crowds.largest
        assert (largest is None) == (not self.model)
        if largest is not None:
            assert self.model[largest] == max(self.model.values())


TestCrowds = CrowdsMachine.TestCase
TestCrowds.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
