"""identify, ping and protobuf against whatever bytes come."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peernet.core.errors import RemoteProtocolError
from peernet.core.identify import Identify, decode_identify, encode_identify
from peernet.core.identity import Keypair
from peernet.core.ping import PING_SIZE, Pinger, Ponger
from peernet.core.protobuf import decode_fields
from peernet.core.suite import MixedSuite
from peernet.net.addresses import address_text, binary_address

PEER = Keypair.from_seed(b"i" * 32, MixedSuite()).peer_id
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=40)
SAID = st.builds(
    Identify,
    st.just(PEER),
    protocol_version=TEXTS,
    agent_version=TEXTS,
    listen_addresses=st.lists(st.binary(max_size=60), max_size=8).map(tuple),
    observed_address=st.binary(max_size=60),
    protocols=st.lists(TEXTS, max_size=12).map(tuple),
)

T = TypeVar("T")


def refused_or(decode: Callable[[], T]) -> T | None:
    """What was decoded, or None where it was refused as the other side's fault. Any other error is ours."""
    try:
        return decode()
    except RemoteProtocolError:
        return None


@given(SAID)
def test_what_is_said_is_what_is_heard(said: Identify) -> None:
    assert decode_identify([encode_identify(said)], PEER) == said


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_garbage_is_refused_with_a_reason_or_means_something(messages: list[bytes]) -> None:
    said = refused_or(lambda: decode_identify(messages, PEER))
    assert said is None or said.peer == PEER


@given(SAID, st.integers(0, 500), st.integers(0, 255))
def test_one_changed_byte_never_makes_it_another_peer(said: Identify, place: int, byte: int) -> None:
    data = bytearray(encode_identify(said))
    data[place % len(data)] = byte
    heard = refused_or(lambda: decode_identify([bytes(data)], PEER))
    assert heard is None or heard.peer == PEER


@given(st.binary(max_size=100))
def test_protobuf_of_anything_is_fields_or_an_error(data: bytes) -> None:
    fields = refused_or(lambda: decode_fields(data)) or []
    assert sum(len(value) for _, value in fields if isinstance(value, bytes)) <= len(data)


@given(st.binary(max_size=60))
@example(b"\x04\x01\x02\x03\x04")
def test_a_binary_address_reads_and_is_written_again_or_is_none(data: bytes) -> None:
    text = address_text(data)
    if text:
        assert address_text(binary_address(text)) == text


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_what_is_echoed_is_what_came_in_whole_pings(pieces: list[bytes]) -> None:
    ponger, sent, now = Ponger(0.0), b"", 0.0
    for piece in pieces:
        answer, pause_s = ponger.receive(piece, now)
        sent += answer
        now += pause_s
    whole = b"".join(pieces)
    assert sent == whole[: len(whole) - len(whole) % PING_SIZE]


@given(
    st.binary(min_size=PING_SIZE, max_size=PING_SIZE), st.lists(st.integers(1, 9), min_size=1), st.binary(max_size=3)
)
def test_a_pong_in_any_pieces_is_a_pong_and_nothing_else_is(payload: bytes, cuts: list[int], extra: bytes) -> None:
    pinger, place, answered = Pinger(payload), 0, False
    turn = 0
    while not answered:
        size = cuts[turn % len(cuts)]
        answered = pinger.receive(payload[place : place + size])
        place, turn = place + size, turn + 1
        assert answered == (place >= PING_SIZE)
    if extra:
        with pytest.raises(RemoteProtocolError):
            Pinger(payload).receive(payload + extra)
