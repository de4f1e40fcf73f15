"""Hostile input to connections: multistream, Noise, the whole upgrade, and yamux, by strangers and by proven peers."""

import struct
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.connection import (
    MAX_HANDSHAKE_MESSAGE_SIZE,
    Connection,
    Established,
    NoiseIdentity,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, encode_public_key
from peernet.core.multistream import MAX_MESSAGE_SIZE, Dialer, Listener, _Negotiation
from peernet.core.noise import CipherState, HandshakeState
from peernet.core.protobuf import bytes_field, varint_field
from peernet.core.suite import MixedSuite, SodiumSuite
from peernet.core.wire import frame
from peernet.core.yamux.events import DataReceived, StreamOpened
from peernet.core.yamux.limits import YamuxLimits
from peernet.core.yamux.session import Yamux
from tests.hostile_input import (
    ARBITRARY,
    Parser,
    check,
    check_memory,
    cuts,
    examples,
    fuzzes,
    mutated,
    peak_bytes,
    refusal,
)

SUITE: Final = MixedSuite()
SEEDS: Final = [bytes((number,)) * 32 for number in range(1, 9)]
DIALER, LISTENER = (Keypair.from_seed(seed, SUITE) for seed in SEEDS[:2])
IDENTITIES: Final = {
    True: NoiseIdentity.of(DIALER, SEEDS[2], SUITE),
    False: NoiseIdentity.of(LISTENER, SEEDS[3], SUITE),
}
SWARM_KEY: Final = SEEDS[4]
HEADER: Final = frame(b"/multistream/1.0.0\n")
PROTOCOLS: Final = ("/a/1", "/b/1")

# --- multistream -----------------------------------------------------------------------------------------------------

DIALOGUES = [
    HEADER + frame(b"/a/1\n"),
    HEADER + frame(b"na\n") + frame(b"/b/1\n"),
    HEADER + frame(b"/none\n") * 3 + frame(b"/b/1\n") + b"leftover",
    HEADER + frame(b"ls\n") + frame(b"/a/1\n"),
]


def _negotiate(side: Dialer | Listener, pieces: list[bytes]) -> tuple[str | None, bytes, str | None]:
    """What a negotiation comes to: the protocol, what is left over, and the reason that ended it."""
    left, reason = b"", None
    for piece in pieces:
        if side.selected is not None:
            left += piece
            continue
        reason = refusal(lambda piece=piece: side.receive(piece))
        if reason is not None:
            break
        side.data_to_send()
        if side.selected is not None:
            left += side.leftover()
    return side.selected, left, reason


@fuzzes(_Negotiation.receive, Listener.receive)
@examples(200)
@given(st.data())
def test_a_negotiation_comes_to_the_same_however_it_is_cut(data: st.DataObject):
    make = data.draw(st.sampled_from([lambda: Dialer(PROTOCOLS), lambda: Listener(PROTOCOLS)]))
    sent = data.draw(st.one_of(mutated(DIALOGUES), ARBITRARY))
    whole = _negotiate(make(), [sent])
    assert whole == _negotiate(make(), data.draw(cuts(sent)))
    assert whole[0] in {None, *PROTOCOLS}


@pytest.mark.parametrize("make", [lambda: Dialer(PROTOCOLS), lambda: Listener(PROTOCOLS)], ids=["dialer", "listener"])
def test_a_negotiation_holds_one_message_and_answers_a_bounded_number(make: Callable[[], Dialer | Listener]):
    for flood in (HEADER + frame(b"/none\n") * 10_000, HEADER + b"\xff\x07" + bytes(100_000), b"\xff\xff\x7f"):
        assert (
            peak_bytes(lambda flood=flood: _negotiate(make(), [flood]))
            < 3 * len(flood) + 4 * MAX_MESSAGE_SIZE + 16_384
        )
        assert _negotiate(make(), [flood])[2] is not None


# --- Noise -----------------------------------------------------------------------------------------------------------

XX, PSK, NK = (f"Noise_{pattern}_25519_ChaChaPoly_SHA256" for pattern in ("XX", "XXpsk3", "NK"))


def _handshake(protocol: str, *, initiator: bool) -> HandshakeState:
    known = SUITE.x25519_public(SEEDS[3]) if protocol == NK and initiator else None
    return HandshakeState(
        SUITE if initiator else SodiumSuite(),
        protocol,
        initiator=initiator,
        static=None if protocol == NK and initiator else SEEDS[2] if initiator else SEEDS[3],
        ephemeral=SEEDS[5] if initiator else SEEDS[6],
        remote_static=known,
        psks=(SWARM_KEY,) if protocol == PSK else (),
    )


def _messages(protocol: str) -> list[bytes]:
    sides = [_handshake(protocol, initiator=True), _handshake(protocol, initiator=False)]
    sent: list[bytes] = []
    while not sides[0].finished or not sides[1].finished:
        message = sides[len(sent) % 2].write_message(b"payload")
        sides[1 - len(sent) % 2].read_message(message)
        sent.append(message)
    return sent


RECORDED: Final = {protocol: _messages(protocol) for protocol in (XX, PSK, NK)}
LOW_ORDER: Final = [
    bytes(32),
    b"\1" + bytes(31),
    b"\xff" * 32,
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
]


@fuzzes(HandshakeState.read_message, CipherState.decrypt, CipherState.decrypt_into)
@examples(250)
@given(st.data())
def test_a_handshake_message_that_was_touched_ends_the_handshake(data: st.DataObject):
    """At any place of any pattern, on either side: of another place or pattern, of low order, or of nothing."""
    protocol = data.draw(st.sampled_from([XX, PSK, NK]))
    recorded, place = RECORDED[protocol], data.draw(st.integers(0, 2 if protocol != NK else 1))
    side = _handshake(protocol, initiator=place % 2 == 1)
    for number in range(place):
        if side.my_turn:
            side.write_message(b"payload")
        else:
            side.read_message(recorded[number])
    everything = [message for messages in RECORDED.values() for message in messages]
    everything += [key + recorded[place][32:] for key in LOW_ORDER] + [bytes(65536)]
    hostile = data.draw(st.one_of(mutated(everything), st.sampled_from(everything), ARBITRARY))
    read: list[bytes] = []
    if refusal(lambda: read.append(side.read_message(hostile))) is not None:
        # It is dead from there on: a second try is a bug of ours, and so is a key of it.
        for call in (lambda: side.read_message(recorded[place]), side.write_message, side.split):
            with pytest.raises(LocalProtocolError):
                call()
    elif hostile != recorded[place]:
        # Only the first message of XX is not authenticated; whoever altered that fails at the next.
        assert place == 0
        assert protocol == XX
    if side.finished:
        _, opener = side.split()
        for message in data.draw(st.lists(st.one_of(ARBITRARY, st.just(recorded[place])), max_size=3)):
            nonce = opener.nonce
            assert refusal(lambda message=message: opener.decrypt(message)) == "bad_tag"
            room = memoryview(bytearray(len(message)))
            assert refusal(lambda message=message, room=room: opener.decrypt_into(message, room)) == "bad_tag"
            assert opener.nonce == nonce


# --- the whole upgrade -----------------------------------------------------------------------------------------------


def _side(*, initiator: bool, early: bool = True, swarm_key: bytes | None = None) -> Connection:
    return Connection(
        SUITE,
        IDENTITIES[initiator],
        initiator=initiator,
        ephemeral_secret=SEEDS[5] if initiator else SEEDS[6],
        swarm_key=swarm_key,
        early_muxer=early,
        limits=LIMITS,
    )


LIMITS: Final = YamuxLimits(max_inbound_streams=2, max_backlog=2, max_queued_replies=16)


def _dialogue(*, early: bool, swarm_key: bytes | None) -> dict[bool, list[bytes]]:
    """What each side (True: the initiator) has to hear, flight by flight, up to an echo on a stream."""
    sides = {initiator: _side(initiator=initiator, early=early, swarm_key=swarm_key) for initiator in (True, False)}
    heard: dict[bool, list[bytes]] = {True: [], False: []}

    def flow() -> None:
        while any(side.has_data_to_send for side in sides.values()):
            for initiator, side in sides.items():
                flight = side.data_to_send()
                if flight:
                    heard[not initiator].append(flight)
                    sides[not initiator].receive(flight)

    flow()
    stream = sides[True].yamux.open_stream()
    sides[True].yamux.send(stream, b"hello" * 20)
    flow()
    sides[False].yamux.send(stream, b"hello" * 20)
    sides[False].yamux.close(stream)
    sides[False].yamux.ping(7)
    flow()
    return heard


VARIANTS: Final = {
    (early, swarm_key): _dialogue(early=early, swarm_key=swarm_key)
    for early in (True, False)
    for swarm_key in (None, SWARM_KEY)
}


@fuzzes(Connection.receive)
@examples(300)
@given(st.data())
def test_a_connection_that_is_told_anything_fails_once_or_goes_on(data: st.DataObject):
    """Flights in any order, again, from the other side, of another session, altered, and cut anywhere."""
    early, swarm_key = data.draw(st.sampled_from(list(VARIANTS)))
    initiator = data.draw(st.booleans())
    heard = VARIANTS[early, swarm_key]
    side = _side(initiator=initiator, early=early, swarm_key=swarm_key)
    flights = heard[initiator][: data.draw(st.integers(0, len(heard[initiator])))]
    everything = [flight for variant in VARIANTS.values() for flight in (*variant[True], *variant[False])]
    hostile = data.draw(
        st.lists(st.one_of(st.sampled_from(everything), mutated(everything), ARBITRARY), min_size=1, max_size=3)
    )
    _tell(side, data.draw(cuts(b"".join((*flights, *hostile)))))


def _tell(side: Connection, pieces: list[bytes]) -> str | None:
    """What ended the connection, of which nothing is left then."""
    for piece in pieces:
        reason = refusal(lambda piece=piece: side.receive(piece))
        if reason is not None:
            assert not side.established
            assert not side._inbox
            with pytest.raises(LocalProtocolError):
                side.receive(b"more")
            return reason
        side.data_to_send()
        assert len(side._inbox) <= 2 + 65535
        if not side.handshake_hash:
            assert len(side._inbox) <= 2 + MAX_HANDSHAKE_MESSAGE_SIZE
    return None


@examples(40)
@given(st.data())
def test_any_single_change_of_the_upgrade_fails_it(data: st.DataObject):
    """Whatever was altered, no side takes the other for established under another identity."""
    early, swarm_key = data.draw(st.sampled_from(list(VARIANTS)))
    heard = VARIANTS[early, swarm_key][True]
    side = _side(initiator=True, early=early, swarm_key=swarm_key)
    flight = bytearray(b"".join(heard))
    place = data.draw(st.integers(0, len(flight) - 1))
    flight[place] ^= 1 << data.draw(st.integers(0, 7))
    events: list[Any] = []
    refusal(lambda: events.extend(side.receive(bytes(flight))))
    assert [event.peer_id for event in events if isinstance(event, Established)] in ([], [LISTENER.peer_id])


class _Stranger:
    """A responder by hand, which proves a key of its own and then says what it likes, sealed as it must be."""

    def __init__(self, payload: bytes) -> None:
        self.noise = HandshakeState(SUITE, XX, initiator=False, static=SEEDS[3], ephemeral=SEEDS[6])
        self.side = _side(initiator=True)
        first = self.side.data_to_send()
        self.noise.read_message(first[len(HEADER) + len(frame(b"/noise\n")) + 2 :])
        self.answer = HEADER + frame(b"/noise\n") + _sized(self.noise.write_message(payload))

    def finish(self) -> CipherState:
        """Reads the last handshake message; the cipher of whatever is said from now on."""
        self.noise.read_message(self.side.data_to_send()[2:])
        sealer, _ = self.noise.split()
        return sealer


def _sized(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


GOOD_PAYLOAD: Final = IDENTITIES[False].payload(early_muxer=True)
PAYLOADS: Final = [
    GOOD_PAYLOAD,
    IDENTITIES[False].payload(early_muxer=False),
    IDENTITIES[True].payload(early_muxer=True),
    bytes_field(1, encode_public_key(LISTENER.public_key)) + bytes_field(2, bytes(64)) + varint_field(9, 1),
]


@examples(150)
@given(payload=st.one_of(mutated(PAYLOADS), mutated(PAYLOADS), ARBITRARY))
def test_a_payload_of_any_bytes_under_the_right_keys_proves_nothing(payload: bytes):
    stranger = _Stranger(payload)
    events: list[Any] = []
    reason = refusal(lambda: events.extend(stranger.side.receive(stranger.answer)))
    if reason is None:
        assert stranger.side.peer_id == LISTENER.peer_id
    else:
        assert reason in {"no_identity", "unsupported_key", "bad_signature", "bad_protobuf", "bad_length", "too_long"}


# --- yamux -----------------------------------------------------------------------------------------------------------

KINDS: Final = st.one_of(st.integers(0, 3), st.integers(0, 255))
FLAGS: Final = st.one_of(st.sampled_from([0, 1, 2, 4, 8, 3, 5, 9, 15]), st.integers(0, 2**16 - 1))
STREAMS: Final = st.one_of(st.integers(0, 6), st.sampled_from([2**31, 2**32 - 1, 2**32 - 2]))
LENGTHS: Final = st.one_of(
    st.sampled_from([0, 1, 5, 256 * 1024, 256 * 1024 + 1, 2**31, 2**32 - 1]), st.integers(0, 40)
)


@st.composite
def frames(draw: Any) -> bytes:
    """One frame: of any kind, with any flags, on any stream, and with as much data as it says, or none."""
    version = draw(st.sampled_from([0] * 19 + [1]))
    kind, flags, stream, length = draw(KINDS), draw(FLAGS), draw(STREAMS), draw(LENGTHS)
    body = bytes(length) if kind == 0 and length <= 2**19 and draw(st.booleans()) else b""
    return struct.pack(">BBHII", version, kind, flags, stream, length) + body


STEPS: Final = st.one_of(
    frames(),
    frames(),
    frames(),
    st.tuples(
        st.sampled_from(["accept", "send", "close", "reset", "acknowledge", "open", "ping", "away"]), st.integers(0, 6)
    ),
)


@fuzzes(Yamux.receive, Yamux.receive_into)
@examples(250)
@given(initiator=st.booleans(), steps=st.lists(STEPS, max_size=20), data=st.data())
def test_a_session_that_is_told_anything_fails_or_keeps_its_bounds(
    initiator: bool, steps: list[Any], data: st.DataObject
):
    session, received = Yamux(initiator, LIMITS), {}
    for step in steps:
        if isinstance(step, tuple):
            _act(session, *step, received)
            continue
        for piece in [step] if len(step) > 200 else data.draw(cuts(step)):
            events: list[Any] = []
            reason = refusal(lambda piece=piece, events=events: events.extend(session.receive(piece)))
            if reason is not None:
                return
            for event in events:
                if isinstance(event, DataReceived):
                    assert event.data
                    received[event.stream_id] = received.get(event.stream_id, 0) + len(event.data)
                elif isinstance(event, StreamOpened):
                    received[event.stream_id] = 0
        assert session._inbound_streams <= LIMITS.max_inbound_streams
        assert session._inbound_backlog <= LIMITS.max_backlog
        assert 0 <= session._outbound_backlog <= session._outbound_streams
        assert len(session._partial_header) < 12
        for stream_id, size in received.items():
            assert size <= LIMITS.receive_window or not session.is_open(stream_id)


def _act(session: Yamux, what: str, stream_id: int, received: dict[int, int]) -> None:
    """What an application may do now."""
    if what == "open" and session.can_open:
        received[session.open_stream()] = 0
    elif what == "ping" and stream_id not in session._pings:
        session.ping(stream_id)
    elif what == "away":
        session.data_to_send()
    if not session.is_open(stream_id):
        return
    match what:
        case "accept":
            session.accept(stream_id)
        case "send" if not session._streams[stream_id].local_closed:
            session.send(stream_id, b"x" * 70_000)
        case "close":
            session.close(stream_id)
        case "reset":
            session.reset(stream_id)
        case "acknowledge":
            session.acknowledge(stream_id, received.pop(stream_id, 0), 0.0)
            received[stream_id] = 0


SESSION = Parser(
    Yamux.receive,
    lambda data: Yamux(False, LIMITS).receive(data),
    [
        struct.pack(">BBHII", 0, 1, 1, 1, 0) + struct.pack(">BBHII", 0, 0, 0, 1, 5) + b"hello",
        struct.pack(">BBHII", 0, 2, 1, 0, 9) + struct.pack(">BBHII", 0, 3, 0, 0, 0),
    ],
)


@examples(60)
@given(st.data())
def test_memory_of_a_session_is_bounded_by_what_came(data: st.DataObject):
    check_memory(SESSION, data.draw(mutated(SESSION.valid)))


def test_a_frame_of_4_gib_allocates_nothing():
    opened = struct.pack(">BBHII", 0, 1, 1, 1, 0)
    for kind in range(4):
        huge = opened + struct.pack(">BBHII", 0, kind, 0, 1 if kind < 2 else 0, 2**32 - 1)
        assert peak_bytes(lambda huge=huge: check(SESSION, huge)) < 16 * 1024


def test_a_flood_of_tiny_frames_costs_a_bounded_multiple():
    """What is dearest a byte: frames of one byte of data, each an event."""
    flood = struct.pack(">BBHII", 0, 1, 1, 1, 0) + (struct.pack(">BBHII", 0, 0, 0, 1, 1) + b"x") * 10_000
    check_memory(SESSION, flood)


@examples(120)
@given(data=st.data())
def test_a_proven_peer_says_anything_inside_its_session(data: st.DataObject):
    """Sealed under the right keys, in messages of any size: the connection fails with a reason, or goes on."""
    stranger = _Stranger(GOOD_PAYLOAD)
    assert any(isinstance(event, Established) for event in stranger.side.receive(stranger.answer))
    sealer = stranger.finish()
    said = data.draw(st.lists(st.one_of(frames(), mutated(SESSION.valid), ARBITRARY), max_size=6))
    messages = [_sized(sealer.encrypt(piece)) for piece in data.draw(cuts(b"".join(said)[:65_000]))]
    if data.draw(st.booleans()):
        # Again, out of order, or one that is missing.
        messages = data.draw(st.lists(st.sampled_from(messages), max_size=5))
    _tell(stranger.side, messages)


@examples(60)
@given(said=st.one_of(mutated(DIALOGUES), mutated([HEADER + frame(b"/yamux/1.0.0\n")]), ARBITRARY))
def test_a_proven_peer_says_anything_where_a_multiplexer_is_agreed_on(said: bytes):
    stranger = _Stranger(IDENTITIES[False].payload(early_muxer=False))
    assert stranger.side.receive(stranger.answer) == []
    sent = stranger.side.data_to_send()
    size = int.from_bytes(sent[:2])
    stranger.noise.read_message(sent[2 : 2 + size])
    sealer, _ = stranger.noise.split()
    _tell(stranger.side, [_sized(sealer.encrypt(said))])


def test_lengths_before_a_peer_is_known_are_refused_where_they_stand():
    """Before anything of what they announce has come."""
    selected = HEADER + frame(b"/noise\n")
    for said, reason in (
        (HEADER + b"\x81\x08", "bad_length"),
        (selected + struct.pack(">H", MAX_HANDSHAKE_MESSAGE_SIZE + 1), "too_long"),
        (selected + _sized(bytes(31)), "too_short"),
    ):
        assert _tell(_side(initiator=False), [said]) == reason


def test_what_is_held_before_a_peer_is_known_is_a_handshake_message():
    for beginning in (b"", HEADER + frame(b"/noise\n")):
        side = _side(initiator=False)

        def flood(side: Connection = side, beginning: bytes = beginning) -> None:
            side.receive(beginning + b"\x0f\xff")
            for _ in range(1000):
                side.receive(bytes(4))

        peak = peak_bytes(lambda flood=flood: refusal(flood, (RemoteProtocolError, LocalProtocolError)))
        assert peak < 4 * MAX_HANDSHAKE_MESSAGE_SIZE + 64 * 1024
