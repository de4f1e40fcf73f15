"""Messages as bytes: what is refused, and that nothing but one error ever comes of hostile bytes."""

from contextlib import suppress

import msgpack
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.messages import LaneMessages, LedgerMessages, TlogMessages
from peernet.core.offers import OfferMessages
from peernet.core.ring.ring import Join
from peernet.core.serving import FromClient, FromHost
from peernet.core.wire import (
    MAX_ITEMS,
    MAX_MESSAGE_SIZE,
    FrameReader,
    MessageSet,
    decode,
    decode_varint,
    encode,
    encode_varint,
    frame,
)


@frozen
class Inner:
    number: int
    flag: bool


def _is_even(_: object, __: object, value: int) -> None:
    if value % 2:
        raise ValueError("an odd number")


@frozen
class Outer:
    text: str
    data: bytes
    inner: Inner
    many: tuple[Inner, ...]
    pair: tuple[int, str]
    perhaps: int | None
    even: int = field(validator=_is_even)


INNER = st.builds(Inner, st.integers(-(2**63), 2**64 - 1), st.booleans())
OUTER = st.builds(
    Outer,
    st.text(),
    st.binary(),
    INNER,
    st.lists(INNER, max_size=5).map(tuple),
    st.tuples(st.integers(0, 10), st.text()),
    st.none() | st.integers(0, 10),
    st.integers(0, 1000).map(lambda number: 2 * number),
)
SAMPLE = Outer("a", b"b", Inner(1, True), (Inner(2, False),), (3, "c"), None, 4)


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


@given(OUTER)
def test_what_is_encoded_decodes_to_the_same(message: Outer):
    assert decode(Outer, encode(message)) == message


@given(OUTER, st.integers(0, 200), st.integers(0, 255))
def test_no_two_byte_strings_mean_the_same_message(message: Outer, position: int, byte: int):
    data = encode(message)
    altered = bytearray(data)
    altered[position % len(data)] = byte
    with suppress(RemoteProtocolError):
        assert (decode(Outer, bytes(altered)) == message) == (altered == data)


def test_no_field_name_is_sent():
    assert msgpack.unpackb(encode(SAMPLE)) == ["a", b"b", [1, True], [[2, False]], [3, "c"], None, 4]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["a", b"b", [1, True], [], [3, "c"], None],
        ["a", b"b", [1, True], [], [3, "c"], None, 4, 5],
        [1, b"b", [1, True], [], [3, "c"], None, 4],
        [b"a", b"b", [1, True], [], [3, "c"], None, 4],
        ["a", "b", [1, True], [], [3, "c"], None, 4],
        ["a", b"b", ["1", True], [], [3, "c"], None, 4],
        ["a", b"b", [True, True], [], [3, "c"], None, 4],
        ["a", b"b", [1.0, True], [], [3, "c"], None, 4],
        ["a", b"b", [1, 1], [], [3, "c"], None, 4],
        ["a", b"b", [1, None], [], [3, "c"], None, 4],
        ["a", b"b", None, [], [3, "c"], None, 4],
        ["a", b"b", {}, [], [3, "c"], None, 4],
        ["a", b"b", [1, True], {}, [3, "c"], None, 4],
        ["a", b"b", [1, True], "", [3, "c"], None, 4],
        ["a", b"b", [1, True], [1], [3, "c"], None, 4],
        ["a", b"b", [1, True], [], [3], None, 4],
        ["a", b"b", [1, True], [], [3, "c", 1], None, 4],
        ["a", b"b", [1, True], [], [3, "c"], "x", 4],
        ["a", b"b", [1, True], [], [3, "c"], True, 4],
        ["a", b"b", [1, True], [], [3, "c"], None, 5],
        "text",
        7,
        None,
    ],
    ids=repr,
)
def test_what_does_not_fit_the_class_is_refused(fields: object):
    assert reason(lambda: decode(Outer, msgpack.packb(fields))) == "bad_message"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x92\x01",
        b"\xc1",
        encode(Inner(1, True)) + b"\0",
        b"\x81\xa1a\x01",
        b"\x92\x01\xd4\x05\x00",
        b"\x92\x01\xc7\x00\x05",
        b"\x92\x01\xd6\xff\x00\x00\x00\x00",
        b"\x92\x01\xa1\xff",
        b"\xdc\xff\xff" + bytes(10),
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000 + b"\xc0",
        b"\xdc" + (MAX_ITEMS + 1).to_bytes(2, "big") + bytes(MAX_ITEMS + 1),
    ],
    ids=lambda data: data[:8].hex() or "empty",
)
def test_bytes_that_are_no_message_of_ours(data: bytes):
    assert reason(lambda: decode(Inner, data)) == "bad_message"
    assert reason(lambda: FromClient.decode(data)) == "bad_message"


@pytest.mark.parametrize("data", [b"\x92\xcc\x01\xc3", b"\xdc\x00\x02\x01\xc3", b"\x92\xd3" + bytes(7) + b"\x01\xc3"])
def test_a_longer_spelling_is_refused(data: bytes):
    assert reason(lambda: decode(Inner, data)) == "not_canonical"


def test_size_limits():
    data = encode(SAMPLE)
    assert decode(Outer, data, max_size=len(data)) == SAMPLE
    assert reason(lambda: decode(Outer, data, max_size=len(data) - 1)) == "too_long"
    assert reason(lambda: decode(Outer, bytes(MAX_MESSAGE_SIZE + 1))) == "too_long"


def test_a_message_set_knows_its_messages_by_number():
    messages = MessageSet({1: Inner, 7: Outer})
    assert messages.decode(messages.encode(SAMPLE)) == SAMPLE
    assert messages.encode(Inner(5, False)) == b"\x93\x01\x05\xc2"
    for data, expected in (
        (b"\x93\x02\x05\xc2", "unknown_message"),
        (b"\x90", "bad_message"),
        (b"\x93\xc3\x05\xc2", "bad_message"),
        (b"\x93\xa11\x05\xc2", "bad_message"),
        (b"\x92\x01\x05", "bad_message"),
        (b"\x01", "bad_message"),
    ):
        assert reason(lambda data=data: messages.decode(data)) == expected
    with pytest.raises(LocalProtocolError):
        messages.encode(Join(1, "s", bytes(16), bytes(32)))


SOME_VALUES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5)
)
PACKED = st.lists(st.recursive(SOME_VALUES, st.lists, max_leaves=5), max_size=8).map(msgpack.packb)


@settings(max_examples=100)
@given(st.binary(max_size=200) | PACKED)
def test_hostile_bytes_do_no_worse_than_one_error(data: bytes):
    for messages in (FromClient, FromHost, LaneMessages, LedgerMessages, TlogMessages, OfferMessages):
        with suppress(RemoteProtocolError):
            messages.decode(data)
    with suppress(RemoteProtocolError):
        decode(Outer, data)


@given(st.integers(0, 2**28 - 1), st.binary(max_size=3))
def test_varints(value: int, rest: bytes):
    data = encode_varint(value)
    assert decode_varint(data + rest, max_size=4) == (value, len(data))
    assert decode_varint(rest + data + rest, len(rest), max_size=4) == (value, len(rest) + len(data))
    for size in range(len(data)):
        assert decode_varint(data[:size], max_size=4) is None


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\x80\x80\x80\x80", b"\xff" * 9])
def test_varints_that_are_too_long_for_what_they_say(data: bytes):
    assert reason(lambda: decode_varint(data, max_size=4)) == "bad_length"


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_frames_come_out_as_they_went_in_however_they_are_cut(messages: list[bytes], cuts: list[int]):
    data = b"".join(map(frame, messages))
    reader, found, turn = FrameReader(300), [], 0
    while data:
        size = cuts[turn % len(cuts)]
        reader.feed(data[:size])
        data, turn = data[size:], turn + 1
        while (message := reader.next()) is not None:
            found.append(message)
    assert found == messages
    assert reader.buffered == 0


def test_a_frame_over_the_limit_is_refused_before_it_has_come():
    reader = FrameReader(10)
    reader.feed(b"\x0a" + bytes(9))
    assert reader.next() is None
    assert reader.buffered == 10
    reader = FrameReader(10)
    reader.feed(b"\x0b")
    assert reason(reader.next) == "too_long"
