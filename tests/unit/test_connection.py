"""Connections in memory: the upgrade, its variants, its failures, and streams over it, however bytes are cut."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.connection import (
    MAX_HANDSHAKE_MESSAGE_SIZE,
    MAX_PLAINTEXT_SIZE,
    Connection,
    Established,
    Event,
    NoiseIdentity,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId, encode_public_key
from peernet.core.multistream import Dialer, Listener
from peernet.core.noise import CLOSE_AT_NONCE, CipherState, HandshakeState
from peernet.core.protobuf import bytes_field, varint_field
from peernet.core.suite import MixedSuite, SodiumSuite
from peernet.core.yamux.events import DataReceived, RemoteClosed, SendWindowOpened, StreamOpened, StreamReset
from peernet.core.yamux.frames import INITIAL_WINDOW
from peernet.core.yamux.session import Yamux

SUITE = MixedSuite()
DIALER = Keypair.from_seed(b"d" * 32, SUITE)
LISTENER = Keypair.from_seed(b"l" * 32, SUITE)
STRANGER = Keypair.from_seed(b"s" * 32, SUITE)
IDENTITIES = {
    DIALER.peer_id: NoiseIdentity.of(DIALER, b"1" * 32, SUITE),
    LISTENER.peer_id: NoiseIdentity.of(LISTENER, b"2" * 32, SUITE),
}
SWARM_KEY = b"k" * 32

SELECT_NOISE = b"\x13/multistream/1.0.0\n\x07/noise\n"


def dial(
    *, early: bool = True, expected: PeerId | None = LISTENER.peer_id, swarm_key: bytes | None = None
) -> Connection:
    return Connection(
        SUITE,
        IDENTITIES[DIALER.peer_id],
        initiator=True,
        ephemeral_secret=b"3" * 32,
        expected_peer=expected,
        swarm_key=swarm_key,
        early_muxer=early,
    )


def listen(
    *,
    early: bool = True,
    expected: PeerId | None = None,
    swarm_key: bytes | None = None,
    signature: bytes = IDENTITIES[LISTENER.peer_id].signature,
) -> Connection:
    return Connection(
        SodiumSuite(),
        evolve(IDENTITIES[LISTENER.peer_id], signature=signature),
        initiator=False,
        ephemeral_secret=b"4" * 32,
        expected_peer=expected,
        swarm_key=swarm_key,
        early_muxer=early,
    )


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut into pieces of those sizes, again and again."""
    found, offset, turn = [], 0, 0
    while offset < len(data):
        size = cuts[turn % len(cuts)]
        found.append(data[offset : offset + size])
        offset, turn = offset + size, turn + 1
    return found


def exchange(one: Connection, two: Connection, cuts: list[int] | None = None) -> tuple[list[Event], list[Event]]:
    """Delivers until both are silent; what each saw."""
    seen: tuple[list[Event], list[Event]] = ([], [])
    while True:
        to_two, to_one = one.data_to_send(), two.data_to_send()
        if not to_two and not to_one:
            return seen
        for piece in pieces(to_two, cuts or [1 << 30]):
            seen[1].extend(two.receive(piece))
        for piece in pieces(to_one, cuts or [1 << 30]):
            seen[0].extend(one.receive(piece))


def established() -> tuple[Connection, Connection]:
    dialer, listener = dial(), listen()
    exchange(dialer, listener)
    return dialer, listener


def reason(raising: Callable[[], object]) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


def data_of(events: list[Event], stream: int) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, DataReceived) and event.stream_id == stream)


@pytest.mark.parametrize("swarm_key", [None, SWARM_KEY], ids=["open", "private"])
@pytest.mark.parametrize("listener_early", [True, False])
@pytest.mark.parametrize("dialer_early", [True, False])
def test_the_upgrade_with_and_without_the_muxer_extension(
    dialer_early: bool, listener_early: bool, swarm_key: bytes | None
) -> None:
    dialer = dial(early=dialer_early, swarm_key=swarm_key)
    listener = listen(early=listener_early, swarm_key=swarm_key)
    seen = exchange(dialer, listener, [1])
    assert seen == ([Established(LISTENER.peer_id)], [Established(DIALER.peer_id)])
    assert dialer.peer_id == LISTENER.peer_id
    assert listener.peer_id == DIALER.peer_id
    assert dialer.handshake_hash == listener.handshake_hash != b""
    stream = dialer.yamux.open_stream()
    dialer.yamux.send(stream, b"hello")
    assert exchange(dialer, listener)[1] == [StreamOpened(stream), DataReceived(stream, b"hello")]
    listener.yamux.send(stream, b"answer")
    assert exchange(dialer, listener)[0] == [DataReceived(stream, b"answer")]


def test_the_dialer_waits_for_nothing_it_can_guess() -> None:
    dialer, listener = dial(), listen()
    first = dialer.data_to_send()
    assert first.startswith(SELECT_NOISE + b"\x00\x20")
    assert len(first) == len(SELECT_NOISE) + 2 + 32
    assert listener.data_to_send() == b""
    assert listener.receive(first) == []
    answer = listener.data_to_send()
    assert answer.startswith(SELECT_NOISE)
    assert dialer.receive(answer) == [Established(LISTENER.peer_id)]
    stream = dialer.yamux.open_stream()
    dialer.yamux.send(stream, b"with the last handshake message")
    assert listener.receive(dialer.data_to_send()) == [
        Established(DIALER.peer_id),
        StreamOpened(stream),
        DataReceived(stream, b"with the last handshake message"),
    ]


class OtherImplementation:
    """A listener made of the parts, as another implementation would answer: one step for each message."""

    def __init__(self, keypair: Keypair = LISTENER) -> None:
        self.keypair = keypair
        self.static = b"5" * 32
        self.handshake = HandshakeState(SUITE, initiator=False, static=self.static, ephemeral=b"6" * 32)

    def payload(self) -> bytes:
        signature = self.keypair.sign(b"noise-libp2p-static-key:" + SUITE.x25519_public(self.static))
        return bytes_field(1, encode_public_key(self.keypair.public_key)) + bytes_field(2, signature)

    def answer(self, dialer: Connection, payload: bytes) -> list[Event]:
        request = dialer.data_to_send()
        listener = Listener({"/noise"})
        listener.receive(request)
        self.handshake.read_message(listener.leftover()[2:])
        message = self.handshake.write_message(payload)
        return dialer.receive(listener.data_to_send() + len(message).to_bytes(2, "big") + message)

    def finish(self, dialer: Connection) -> tuple[CipherState, CipherState, bytes]:
        wire = dialer.data_to_send()
        size = int.from_bytes(wire[:2], "big")
        self.handshake.read_message(wire[2 : 2 + size])
        return (*self.handshake.split(), wire[2 + size :])


def test_a_payload_with_other_muxers_and_unknown_fields_falls_back_to_multistream() -> None:
    other, dialer = OtherImplementation(), dial()
    extensions = bytes_field(1, b"certificate hash") + bytes_field(2, b"/mplex/6.7.0")
    payload = varint_field(9, 5) + other.payload() + bytes_field(4, extensions) + b"\x51" + bytes(8)
    assert other.answer(dialer, payload) == []
    send, receive, rest = other.finish(dialer)
    listener = Listener({"/yamux/1.0.0"})
    listener.receive(receive.decrypt(rest[2:]))
    sealed = send.encrypt(listener.data_to_send() + b"\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07")
    assert dialer.receive(len(sealed).to_bytes(2, "big") + sealed) == [Established(LISTENER.peer_id)]
    assert receive.decrypt(dialer.data_to_send()[2:]) == b"\x00\x02\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07"


@pytest.mark.parametrize("muxers", [b"\x12\x0c/yamux/1.0.0", b"\x12\x0c/mplex/6.7.0\x12\x0c/yamux/1.0.0"])
def test_a_payload_that_names_yamux_goes_there_at_once(muxers: bytes) -> None:
    other, dialer = OtherImplementation(), dial()
    assert other.answer(dialer, other.payload() + bytes_field(4, muxers)) == [Established(LISTENER.peer_id)]


def test_the_wrong_peer_is_told_nothing() -> None:
    dialer, listener = dial(expected=STRANGER.peer_id), listen()
    listener.receive(dialer.data_to_send())
    assert reason(lambda: dialer.receive(listener.data_to_send())) == "wrong_peer"
    assert dialer.data_to_send() == b""
    with pytest.raises(LocalProtocolError):
        dialer.receive(b"")
    listener = listen(expected=STRANGER.peer_id)
    assert reason(lambda: exchange(dial(), listener)) == "wrong_peer"
    assert not listener.established


def test_a_signature_of_another_key_or_over_another_is_refused() -> None:
    for signature in (IDENTITIES[DIALER.peer_id].signature, bytes(64), b"", STRANGER.sign(b"x")):
        assert reason(partial(exchange, dial(), listen(signature=signature))) == "bad_signature"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "no_identity"),
        (bytes_field(1, encode_public_key(LISTENER.public_key)), "no_identity"),
        (varint_field(1, 5) + bytes_field(2, bytes(64)), "no_identity"),
        (bytes_field(1, b"\x08\x00\x12\x20" + bytes(32)) + bytes_field(2, bytes(64)), "unsupported_key"),
        (bytes_field(1, encode_public_key(bytes(32))) + bytes_field(2, bytes(64)), "bad_signature"),
        (b"\x0a\xff", "bad_protobuf"),
        (b"\x0a\x30abc", "bad_protobuf"),
        (b"\x0b", "bad_protobuf"),
        (b"\x00\x00", "bad_protobuf"),
        (varint_field(7, 1) * 65, "bad_protobuf"),
        (b"\xff" * 12, "bad_length"),
    ],
)
def test_hostile_payloads(payload: bytes, expected: str) -> None:
    dialer = dial(expected=None)
    assert reason(lambda: OtherImplementation().answer(dialer, payload)) == expected


def test_a_proven_stranger_is_welcome_where_nobody_in_particular_is_expected() -> None:
    other, dialer = OtherImplementation(STRANGER), dial(expected=None)
    other.answer(dialer, other.payload())
    assert dialer.peer_id == STRANGER.peer_id


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n" + bytes(100), "bad_multistream"),
        (bytes(100), "bad_length"),
        (SELECT_NOISE + b"\xff\xff", "too_long"),
        (SELECT_NOISE + (MAX_HANDSHAKE_MESSAGE_SIZE + 1).to_bytes(2, "big"), "too_long"),
        (SELECT_NOISE + b"\x00\x00", "too_short"),
        (SELECT_NOISE + b"\x00\x1f" + bytes(31), "too_short"),
        (SELECT_NOISE + b"\x00\x20" + bytes(32), "bad_key"),
        (SELECT_NOISE + b"\x00\x20" + b"\x01" + bytes(31), "bad_key"),
        (SELECT_NOISE + b"\x00\x20" + b"\x09" + bytes(31) + b"\x00\x40" + bytes(64), "bad_tag"),
    ],
)
@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_garbage_to_a_listener(data: bytes, expected: str, cut: int) -> None:
    listener = listen()

    def receive() -> None:
        for piece in pieces(data, [cut]):
            listener.receive(piece)

    assert reason(receive) == expected
    assert listener.data_to_send() == b""


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", SELECT_NOISE, SELECT_NOISE + b"\x00\x20"]), st.binary(max_size=200), st.booleans())
def test_no_bytes_do_worse_than_a_protocol_error(prefix: bytes, data: bytes, dialing: bool) -> None:
    connection = dial() if dialing else listen()
    with suppress(RemoteProtocolError):
        assert connection.receive(prefix + data) == []
    assert not connection.established


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_no_payload_does_worse_than_a_protocol_error(payload: bytes) -> None:
    assert reason(lambda: OtherImplementation().answer(dial(), payload)) != "protocol"


def test_a_listener_that_has_no_noise() -> None:
    dialer = dial()
    assert reason(lambda: dialer.receive(b"\x13/multistream/1.0.0\n\x03na\n")) == "no_protocol"


def test_swarms_do_not_mix() -> None:
    for ours, theirs in ((SWARM_KEY, None), (None, SWARM_KEY), (SWARM_KEY, b"x" * 32)):
        dialer, listener = dial(swarm_key=ours), listen(swarm_key=theirs)
        assert reason(partial(exchange, dialer, listener)) == "bad_tag"
        # Neither has said anything after its ephemeral key: a private listener did not even answer.
        assert dialer.data_to_send() == listener.data_to_send() == b""
        assert not dialer.established
        assert not listener.established
    with pytest.raises(LocalProtocolError):
        dial(swarm_key=b"short")


@pytest.mark.parametrize(("key", "expected"), [(b"guess" + bytes(27), "bad_tag"), (SWARM_KEY, "no_identity")])
def test_who_knows_the_prologue_and_not_the_key_cannot_finish(key: bytes, expected: str) -> None:
    listener = listen(swarm_key=SWARM_KEY)
    stranger = HandshakeState(
        SUITE,
        "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
        initiator=True,
        prologue=SUITE.hash("SHA256", SWARM_KEY),
        static=IDENTITIES[DIALER.peer_id].static_secret,
        ephemeral=b"3" * 32,
        psks=[key],
    )
    listener.receive(SELECT_NOISE + b"\x00\x30" + stranger.write_message())
    stranger.read_message(listener.data_to_send()[len(SELECT_NOISE) + 2 :])
    last = stranger.write_message(b"")
    assert reason(lambda: listener.receive(len(last).to_bytes(2, "big") + last)) == expected


def test_tampering_after_the_handshake_ends_the_connection() -> None:
    dialer, listener = established()
    dialer.yamux.open_stream()
    wire = bytearray(dialer.data_to_send())
    wire[-1] ^= 1
    assert reason(lambda: listener.receive(wire)) == "bad_tag"
    listener.yamux.go_away()
    assert listener.data_to_send() == b""
    with pytest.raises(LocalProtocolError):
        listener.receive(b"x")
    wire.clear()  # the failed call holds no view of the caller's buffer


def test_a_replayed_message_is_refused() -> None:
    dialer, listener = established()
    dialer.yamux.ping(1)
    wire = dialer.data_to_send()
    listener.receive(wire)
    assert reason(lambda: listener.receive(wire)) == "bad_tag"


def test_a_yamux_error_is_an_error_of_the_connection() -> None:
    dialer, listener = established()
    dialer._seal(b"\x01" + bytes(11))
    assert reason(lambda: listener.receive(dialer.data_to_send())) == "bad_frame"
    assert not listener.established


def test_there_are_no_streams_before_established() -> None:
    dialer = dial()
    assert not dialer.established
    with pytest.raises(LocalProtocolError):
        _ = dialer.yamux
    with pytest.raises(LocalProtocolError):
        _ = dialer.peer_id


def test_worn_keys_end_a_connection() -> None:
    for side in (0, 1):
        connections = established()
        assert [connection.must_close for connection in connections] == [False, False]
        dialer, listener = connections
        assert dialer._sealer is not None
        assert listener._opener is not None
        dialer._sealer.nonce = listener._opener.nonce = CLOSE_AT_NONCE - 1
        dialer.yamux.ping(1)
        exchange(dialer, listener)
        assert connections[side].must_close


def test_many_frames_share_a_noise_message_and_large_ones_are_as_large_as_allowed() -> None:
    dialer, listener = established()
    streams = [dialer.yamux.open_stream() for _ in range(20)]
    for stream in streams:
        dialer.yamux.send(stream, b"x" * 100)
    assert len(dialer.buffers_to_send()) == 1
    dialer, listener = established()
    stream = dialer.yamux.open_stream()
    dialer.yamux.send(stream, bytes(200_000))
    wire = dialer.data_to_send()
    sizes, offset = [], 0
    while offset < len(wire):
        sizes.append(int.from_bytes(wire[offset : offset + 2], "big"))
        offset += 2 + sizes[-1]
    assert sizes[:-1] == [MAX_PLAINTEXT_SIZE + 16] * 3
    assert data_of(listener.receive(wire), stream) == bytes(200_000)


@settings(max_examples=50, deadline=None)
@given(
    cuts=st.lists(st.one_of(st.integers(1, 40), st.integers(1, 100_000)), min_size=1, max_size=8),
    sizes=st.lists(st.integers(0, 90_000), min_size=1, max_size=6),
    kind=st.sampled_from([bytes, bytearray, memoryview]),
    early=st.tuples(st.booleans(), st.booleans()),
)
def test_bytes_arrive_however_they_are_cut(
    cuts: list[int], sizes: list[int], kind: Callable[[bytes], bytes], early: tuple[bool, bool]
) -> None:
    dialer, listener = dial(early=early[0]), listen(early=early[1])
    cuts = [*cuts, 50_000]
    assert [len(events) for events in exchange(dialer, listener, cuts)] == [1, 1]
    stream = dialer.yamux.open_stream()
    sent = b""
    received: list[Event] = []
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        taken = dialer.yamux.send(stream, data)
        sent += data[:taken]
        if number % 2:
            for piece in pieces(dialer.data_to_send(), cuts):
                received += listener.receive(kind(piece))
    dialer.yamux.close(stream)
    for piece in pieces(dialer.data_to_send(), cuts):
        received += listener.receive(kind(piece))
    assert data_of(received, stream) == sent
    assert received[-1] == RemoteClosed(stream)


def test_half_close_reset_stall_and_resume_over_a_connection() -> None:
    dialer, listener = established()
    stream, doomed = dialer.yamux.open_stream(), dialer.yamux.open_stream()
    assert dialer.yamux.send(stream, bytes(INITIAL_WINDOW + 1)) == INITIAL_WINDOW
    _, seen = exchange(dialer, listener)
    assert len(data_of(seen, stream)) == INITIAL_WINDOW
    assert dialer.yamux.send(stream, b"x") == 0
    listener.yamux.acknowledge(stream, INITIAL_WINDOW, 0.0)
    listener.yamux.reset(doomed)
    assert exchange(dialer, listener)[0] == [SendWindowOpened(stream), StreamReset(doomed)]
    assert dialer.yamux.send(stream, b"x") == 1
    dialer.yamux.close(stream)
    assert exchange(dialer, listener)[1] == [DataReceived(stream, b"x"), RemoteClosed(stream)]
    listener.yamux.send(stream, b"last word")
    listener.yamux.close(stream)
    assert exchange(dialer, listener)[0] == [DataReceived(stream, b"last word"), RemoteClosed(stream)]
    assert dialer.yamux.stream_count == listener.yamux.stream_count == 0


def test_an_idle_connection_holds_no_buffers_and_no_handshake() -> None:
    dialer, listener = established()
    stream = dialer.yamux.open_stream()
    dialer.yamux.send(stream, bytes(100_000))
    exchange(dialer, listener, [1000])
    for connection in (dialer, listener):
        assert len(connection._inbox) == 0
        assert connection._out == []
        assert connection._handshake is None
        assert connection._negotiation is None
        assert isinstance(connection.yamux, Yamux)


def test_a_multistream_dialer_of_another_implementation_that_waits_for_every_answer() -> None:
    listener = listen()
    other = Dialer(["/tls/1.0.0", "/noise"])
    while other.selected is None:
        listener.receive(other.data_to_send())
        other.receive(listener.data_to_send())
    identity = IDENTITIES[DIALER.peer_id]
    handshake = HandshakeState(SUITE, initiator=True, static=identity.static_secret, ephemeral=b"3" * 32)
    listener.receive(b"\x00\x20" + handshake.write_message())
    handshake.read_message(listener.data_to_send()[2:])
    payload = bytes_field(1, encode_public_key(DIALER.public_key)) + bytes_field(2, identity.signature)
    last = handshake.write_message(payload)
    assert listener.receive(len(last).to_bytes(2, "big") + last) == []
    assert not listener.established
