"""Messages of AutoNAT and of circuits there and back; a relay's book against a plain list of what it holds."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from peernet.core import autonat, circuit
from peernet.core.circuit import CircuitBook, CircuitLimits, Pacer, Status
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.protobuf import bytes_field

DECODERS: dict[str, Callable[[bytes], object]] = {
    "autonat": autonat.decode_message,
    "dial back": autonat.decode_dial_back,
    "dial back response": autonat.decode_dial_back_response,
    "hop": circuit.decode_hop,
    "stop": circuit.decode_stop,
}
LARGEST = max(autonat.MAX_MESSAGE_SIZE, circuit.MAX_MESSAGE_SIZE)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("size", [LARGEST + 1, 4 * LARGEST])
def test_oversized_messages(name, size):
    with pytest.raises(RemoteProtocolError):
        DECODERS[name](bytes_field(9, b"x" * size))


dial_requests = st.builds(
    autonat.DialRequest,
    st.lists(st.binary(max_size=autonat.MAX_ADDRESS_SIZE), min_size=1, max_size=autonat.MAX_ADDRESSES).map(tuple),
    st.integers(0, 2**64 - 1),
)
limits = st.none() | st.builds(circuit.Limit, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
reservations = st.none() | st.builds(
    circuit.Reservation,
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(max_size=80), max_size=8).map(tuple),
    st.binary(max_size=200),
)


@given(dial_requests)
def test_every_dial_request_comes_back(request):
    assert autonat.decode_message(autonat.encode_message(request)) == request


@given(st.builds(circuit.StatusMessage, st.integers(0, 2**64 - 1), reservations, limits))
def test_every_status_comes_back(message):
    assert circuit.decode_hop(circuit.encode_hop(message)) == message


# --- a relay's limits ------------------------------------------------------------------------------------------------

LIMITS = CircuitLimits(
    reservations=4,
    reservations_per_prefix=2,
    reservation_lifetime_s=100,
    circuits=6,
    circuits_per_source=3,
    circuits_per_target=4,
    circuits_per_prefix=2,
)
PEERS = [PeerId(bytes([number]) * 32) for number in range(7)]
PREFIXES = ["a", "b", "c"]
peers = st.sampled_from(PEERS)


class Relay(RuleBasedStateMachine):
    """The book, and beside it a list of what was granted and not ended."""

    def __init__(self):
        super().__init__()
        self.book = CircuitBook(LIMITS)
        self.now_s = 1000.0
        self.places: dict[PeerId, tuple[int, str]] = {}
        self.open: list[tuple[PeerId, str, PeerId]] = []

    def live(self):
        return {peer: place for peer, place in self.places.items() if place[0] > self.now_s}

    @rule(peer=peers, prefix=st.sampled_from(PREFIXES))
    def reserve(self, peer, prefix):
        others = {other: place for other, place in self.live().items() if other != peer}
        fits = len(others) < LIMITS.reservations
        fits &= [place[1] for place in others.values()].count(prefix) < LIMITS.reservations_per_prefix
        expires_at_s = self.book.reserve(peer, prefix, self.now_s)
        assert bool(expires_at_s) == fits
        self.places = others | ({peer: (expires_at_s, prefix)} if fits else {})

    @rule(peer=peers)
    def leave(self, peer):
        self.book.leave(peer)
        self.places.pop(peer, None)

    @rule(seconds=st.floats(0, 80))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(pair=st.tuples(peers, peers), prefix=st.sampled_from(PREFIXES))
    def connect(self, pair, prefix):
        source, target = pair
        status = self.book.open_circuit(source, prefix, target, self.now_s)
        if source == target:
            expected = Status.PERMISSION_DENIED
        elif target not in self.live():
            expected = Status.NO_RESERVATION
        elif (
            len(self.open) >= LIMITS.circuits
            or [one[0] for one in self.open].count(source) >= LIMITS.circuits_per_source
            or [one[1] for one in self.open].count(prefix) >= LIMITS.circuits_per_prefix
            or [one[2] for one in self.open].count(target) >= LIMITS.circuits_per_target
        ):
            expected = Status.RESOURCE_LIMIT_EXCEEDED
        else:
            expected = Status.OK
            self.open.append((source, prefix, target))
        assert status is expected

    @rule(data=st.data())
    def disconnect(self, data):
        if self.open:
            self.book.close_circuit(*self.open.pop(data.draw(st.integers(0, len(self.open) - 1))))

    @invariant()
    def counts_what_is_open(self):
        assert self.book.circuits == len(self.open)
        assert len(self.book.reserved) <= LIMITS.reservations
        assert set(self.live()) <= set(self.book.reserved)

    def teardown(self):
        for circuit_ in self.open:
            self.book.close_circuit(*circuit_)
        for peer in PEERS:
            self.book.leave(peer)
        book = self.book
        held = (book._reserved, book._by_prefix, book._by_source, book._by_source_prefix, book._by_target)
        assert not any(held)


# How long it takes to draw the steps is the machine's business.
Relay.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRelay = Relay.TestCase


@given(
    rate=st.integers(1, 10**9),
    pieces=st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 5)), min_size=1, max_size=30),
)
def test_a_pacer_never_lets_more_through_than_its_rate_and_one_second(rate, pieces):
    now_s = 0.0
    pacer = Pacer(rate, now_s)
    passed = 0
    for size, idle_s in pieces:
        now_s += pacer.pause_s(size, now_s)
        passed += size
        assert passed <= rate * (now_s + 1.0) * (1 + 1e-9) + 1
        now_s += idle_s
