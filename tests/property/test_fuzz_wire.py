"""Hostile input to the formats that everything else is made of: msgpack, frames, varints, protobuf, keys and ids."""

from typing import Any, get_args

import attrs
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.dht.messages import _REPLIES, _REQUESTS
from peernet.core.directory_signing import SigningMessages
from peernet.core.directory_transfer import DirectoryMessages
from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.identity import (
    PeerId,
    decode_public_key,
    encode_public_key,
)
from peernet.core.ledger.entries import _ENTRIES
from peernet.core.ledger.messages import LaneMessages, LedgerMessages, TlogMessages, WitnessMessages
from peernet.core.lookups import LookupMessages
from peernet.core.offers import OfferMessages
from peernet.core.protobuf import MAX_FIELDS, bytes_field, decode_fields, varint_field
from peernet.core.serving import FromClient, FromHost
from peernet.core.wire import (
    MAX_DEPTH,
    MAX_ITEMS,
    FrameReader,
    MessageSet,
    _check_shape,
    decode,
    decode_varint,
    encode,
    encode_varint,
    frame,
)
from tests.hostile_input import (
    HOSTILE_VALUES,
    Parser,
    check,
    cuts,
    examples,
    fields_of,
    fuzzes,
    mutated,
    parser_tests,
    peak_bytes,
    refusal,
)

KEY = bytes(range(32))

SETS: dict[str, MessageSet] = {
    "dht requests": _REQUESTS,
    "dht replies": _REPLIES,
    "directory": DirectoryMessages,
    "directory signing": SigningMessages,
    "entries": _ENTRIES,
    "lanes": LaneMessages,
    "ledger": LedgerMessages,
    "tlog": TlogMessages,
    "witness": WitnessMessages,
    "lookups": LookupMessages,
    "offers": OfferMessages,
    "from client": FromClient,
    "from host": FromHost,
}


@attrs.frozen
class Inner:
    number: int
    name: str


@attrs.frozen
class Outer:
    """Every type that a field may have."""

    data: bytes
    flag: bool
    maybe: int | None
    inner: Inner
    many: tuple[Inner, ...]
    lists: tuple[tuple[bytes, ...], ...]


OUTER = encode(Outer(b"abc", True, None, Inner(1, "x"), (Inner(2, "y"), Inner(3, "é")), ((b"1", b"2"), ())))


def _pack(value: object) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True))


SIZES = {"digest": 32, "signature": 64, "target": 20, "key": 20}
"""What the validators of some fields ask for, by the field's name."""


def _plain(name: str, kind: Any) -> Any:
    """A value of a field that its message takes."""
    if kind is bytes:
        return bytes(SIZES.get(name, 3))
    if attrs.has(kind):
        return _plain_fields(kind)
    if kind in {int, str, bool}:
        return {int: 1, str: "x", bool: True}[kind]
    return None if "None" in str(kind) else [_plain(name, get_args(kind)[0])]


def _plain_fields(kind: type) -> list[Any]:
    return [_plain(attribute.name, attribute.type) for attribute in attrs.fields(kind)]


def _examples_of(messages: MessageSet) -> list[bytes]:
    return [_pack([number, *_plain_fields(kind)]) for number, kind in messages._kinds.items()]


def _decoder(messages: MessageSet) -> Parser:
    return Parser(messages, messages.decode, _examples_of(messages))


def _varint(data: bytes) -> bytes | None:
    decoded = decode_varint(data)
    return None if decoded is None else data[: decoded[1]]


PARSERS = [
    Parser(decode, lambda data: decode(Outer, data), [OUTER], encode),
    Parser(
        decode_varint,
        decode_varint,
        [encode_varint(2**shift) for shift in (0, 7, 14, 28, 56)],
    ),
    Parser(
        decode_fields,
        decode_fields,
        [
            varint_field(1, 2**63) + bytes_field(2, KEY) + bytes_field(4, bytes_field(2, b"/yamux/1.0.0")),
            bytes_field(1, b"") * MAX_FIELDS,
            b"\x09" + bytes(8) + b"\x15" + bytes(4),
        ],
    ),
    Parser(decode_public_key, decode_public_key, [encode_public_key(KEY)], encode_public_key),
    Parser(PeerId.from_bytes, PeerId.from_bytes, [PeerId(KEY).to_bytes()], PeerId.to_bytes),
    Parser(
        PeerId.parse,
        lambda data: PeerId.parse(data.decode("utf-8", "replace")),
        [str(PeerId(KEY)).encode()],
        lambda peer: str(peer).encode(),
        near=[b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"],
        refusals=(UserError,),
    ),
]
MESSAGES = [attrs.evolve(_decoder(messages), name=name) for name, messages in SETS.items()]
PARSERS += MESSAGES

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=60, memory_examples=6)


@pytest.mark.parametrize("parser", MESSAGES, ids=str)
@examples(40)
@given(st.data())
def test_messages_of_the_right_types_with_any_values(parser: Parser, data: st.DataObject):
    """What is taken is written again byte by byte, when it came in its shortest form, as `packb` has it."""
    messages = parser.target
    assert isinstance(messages, MessageSet)
    number, kind = data.draw(st.sampled_from(sorted(messages._kinds.items())))
    sent = _pack(
        [
            data.draw(st.sampled_from([number, number, number, 0, -1, 2**64 - 1, True, "1"])),
            *data.draw(fields_of(kind)),
        ]
    )
    check(attrs.evolve(parser, encode=messages.encode), sent)


@examples(100)
@given(HOSTILE_VALUES)
def test_any_value_of_msgpack_is_refused_or_taken(value: Any):
    check(PARSERS[0], _pack(value))
    check(MESSAGES[0], _pack([value]))


# --- declared and absent ---------------------------------------------------------------------------------------------

DECLARED = {
    "array of 2**32": b"\xdd\xff\xff\xff\xff",
    "array of 65535": b"\xdc\xff\xff",
    "bytes of 4 GiB": b"\x91\xc6\xff\xff\xff\xff",
    "text of 4 GiB": b"\x91\xdb\xff\xff\xff\xff",
    "map of 2**32": b"\x91\xdf\xff\xff\xff\xff",
    "extension of 4 GiB": b"\x91\xc9\xff\xff\xff\xff\x00",
    "nested full arrays": b"\xdc\x10\x00" * 900,
    "nested full arrays, far": b"\xdd\x00\x00\x10\x00" * 200_000,
    "nested arrays of one": b"\x91" * 500_000,
    "a million empty arrays": b"\xdc\x00\xff" + (b"\xdc\x10\x00" + b"\x90" * 4096) * 255,
    "a million nils": b"\xdc\x00\xff" + (b"\xdc\x10\x00" + b"\xc0" * 4096) * 255,
    "a wide text": b"\x91\xdb\x00\x08\x00\x04" + b"a" * (1 << 19) + "\N{GRINNING FACE}".encode(),
}
MOST_FIXED = 6 * (1 << 20)
"""As many values as a message of 20,000 items may have, all of them empty arrays."""
SNAPSHOT = Parser(decode, lambda data: decode(Outer, data, max_items=20_000), [OUTER], name="decode of 20,000 items")


@pytest.mark.parametrize("name", DECLARED)
@pytest.mark.parametrize("parser", [PARSERS[0], SNAPSHOT, MESSAGES[0], MESSAGES[-2]], ids=str)
def test_what_is_declared_and_nested_costs_no_more_than_what_is_there(name: str, parser: Parser):
    data = DECLARED[name]
    # A text takes four times its size where one character is wide, and is held twice while it is made.
    bytes_a_byte = 10
    peak = peak_bytes(lambda: check(parser, data))
    assert peak <= MOST_FIXED + bytes_a_byte * len(data), f"{peak} for {len(data)}"


def test_the_bound_on_values_leaves_room_for_every_message_of_ours():
    """As many items as an array may have, in structures, are still decoded."""
    many = Outer(b"", True, 0, Inner(0, ""), tuple(Inner(number, "x") for number in range(MAX_ITEMS)), ())
    assert decode(Outer, encode(many)) == many


@pytest.mark.parametrize("messages", SETS.values(), ids=SETS)
def test_no_message_of_ours_is_too_deep(messages: MessageSet):
    for example in _examples_of(messages):
        assert _depth(msgpack.unpackb(example)) <= MAX_DEPTH // 2
        _check_shape(example, MAX_ITEMS)


def test_arrays_are_nested_as_deep_as_is_said_and_no_deeper():
    _check_shape(b"\x91" * MAX_DEPTH + b"\xc0", MAX_ITEMS)
    assert refusal(lambda: _check_shape(b"\x91" * (MAX_DEPTH + 1) + b"\xc0", MAX_ITEMS)) == "bad_message"


def test_a_longer_spelling_of_a_message_is_refused():
    assert not check(Parser(decode, lambda data: decode(Inner, data), [], encode), b"\x92\xcc\x01\xa1x")


def _depth(value: object) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def test_a_protobuf_length_of_2_to_the_60_allocates_nothing():
    for size in (2**31, 2**60, 2**69):
        data = encode_varint(1 << 3 | 2) + encode_varint(size)
        assert refusal(lambda data=data: decode_fields(data)) == "bad_protobuf"
        assert peak_bytes(lambda data=data: check(PARSERS[2], data)) < 16 * 1024


# --- frames ----------------------------------------------------------------------------------------------------------

MOST = 4096


@fuzzes(FrameReader.feed, FrameReader.next)
@examples(60)
@given(st.data())
def test_frames_are_the_same_however_they_are_cut(data: st.DataObject):
    """And what is held of a frame that is not whole is no more than the frame may be."""
    sent = data.draw(mutated([frame(b"") + frame(b"abc" * 50), frame(bytes(MOST)), frame(bytes(200)) * 3]))

    def read(pieces: list[bytes]) -> tuple[list[bytes], str | None]:
        reader, messages, reason = FrameReader(MOST), [], None
        for piece in pieces:
            reader.feed(piece)
            try:
                while (message := reader.next()) is not None:
                    messages.append(message)
            except RemoteProtocolError as error:
                reason = error.reason
                break
            assert reader.buffered <= MOST + 4
        return messages, reason

    whole = read([sent])
    assert whole == read(data.draw(cuts(sent)))
    assert b"".join(map(frame, whole[0])) == sent[: len(b"".join(map(frame, whole[0])))]
    assert whole[1] in {None, "too_long", "bad_length"}


def test_a_frame_of_256_mib_that_never_comes_is_refused_at_its_length():
    reader = FrameReader()
    reader.feed(b"\xff\xff\xff\x7f")
    assert refusal(reader.next) == "too_long"
