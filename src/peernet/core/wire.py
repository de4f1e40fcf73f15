"""How our own messages become bytes: canonical msgpack arrays of attrs classes.

Rules:

1. A message is an attrs class. On the wire it is the msgpack array of its fields in order; nothing is a map, so no
   field name is sent and there is one encoding for one value.
2. Decoding is strict: `'5'` is not 5, a bool is not an int, an array of the wrong length is an error.
3. Every decoder has limits on size, counts and depth, and fails with `RemoteProtocolError` and nothing else. What it
   allocates is bounded by what came, not by what that declares: see `_check_shape`.
4. What is signed must be canonical: `decode` encodes again and compares, so that two byte strings never mean the
   same message.
5. A protocol's messages form a `MessageSet`: each has a small number, which is the array's first item.

On a stream a message follows its length, as an unsigned varint (as libp2p frames its own).
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
import msgpack

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "MAX_MESSAGE_SIZE",
    "FrameReader",
    "MessageSet",
    "decode",
    "decode_varint",
    "encode",
    "encode_varint",
    "frame",
]

MAX_MESSAGE_SIZE: Final = 1 << 20
MAX_ITEMS: Final = 4096
MAX_DEPTH: Final = 8
"""Arrays inside each other; our messages have four at most."""
VALUES_AN_ITEM: Final = 4
"""A message has at most so many times as many values, counted through all its arrays, as one array may have items."""
MAX_VARINT_SIZE: Final = 4

_SHORT: Final = 4096
_FEW_ARRAYS: Final = 4

T = TypeVar("T")


def _strict(kind: type) -> Callable[[object, Any], object]:
    def structure(value: object, _: Any) -> object:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return structure


def _structure_optional(value: object, kind: Any) -> object:
    if value is None:
        return None
    (inner,) = (argument for argument in get_args(kind) if argument is not type(None))
    return _converter().structure(value, inner)


def _structure_tuple(value: object, kind: Any) -> object:
    if type(value) is not list:
        raise TypeError(f"expected an array, got {type(value).__name__}")
    arguments = get_args(kind)
    converter = _converter()
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(converter.structure(item, arguments[0]) for item in value)
    if len(arguments) != len(value):
        raise ValueError(f"expected {len(arguments)} items, got {len(value)}")
    return tuple(converter.structure(item, argument) for item, argument in zip(value, arguments, strict=True))


def _structure_attrs(value: object, kind: Any) -> object:
    if type(value) is not list:
        raise TypeError(f"expected an array, got {type(value).__name__}")
    fields = _fields(kind)
    if len(value) != len(fields):
        raise ValueError(f"{kind.__name__} has {len(fields)} fields, got {len(value)}")
    return kind(*[structure(item, wanted) for item, (structure, wanted) in zip(value, fields, strict=True)])


@cache
def _fields(kind: type) -> tuple[tuple[Callable[[object, Any], object], Any], ...]:
    """How each field of an attrs class is read, and as what: looked up once, which takes longer than reading it."""
    converter = _converter()
    return tuple((converter.get_structure_hook(field.type), field.type) for field in attrs.fields(kind))


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType} and type(None) in get_args(kind)


def _is_tuple(kind: Any) -> bool:
    origin: object = get_origin(kind)
    return origin is tuple


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(unstruct_strat=cattrs.UnstructureStrategy.AS_TUPLE, detailed_validation=False)
    for kind in (int, str, bytes, bool):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook_func(_is_optional, _structure_optional)
    converter.register_structure_hook_func(_is_tuple, _structure_tuple)
    converter.register_structure_hook_func(attrs.has, _structure_attrs)
    return converter


def encode(message: object) -> bytes:
    """The canonical bytes of an attrs instance."""
    return _pack(_converter().unstructure(message))


def decode(kind: type[T], data: bytes, *, max_size: int = MAX_MESSAGE_SIZE, max_items: int = MAX_ITEMS) -> T:
    """The instance of `kind` whose canonical bytes are `data`.

    Raises `RemoteProtocolError` when `data` is longer than `max_size` bytes, has an array of over `max_items`, is not
    msgpack, does not fit the class, or is not the canonical encoding of what it says.
    """
    value = _unpack(data, max_size, max_items)
    message = _structure(value, kind)
    if encode(message) != data:
        raise RemoteProtocolError(f"{kind.__name__} is not in canonical form", reason="not_canonical")
    return message


class MessageSet:
    """The messages of one protocol, each with its number."""

    def __init__(self, kinds: Mapping[int, type]) -> None:
        self._kinds = dict(kinds)
        self._tags = {kind: tag for tag, kind in kinds.items()}

    def encode(self, message: object) -> bytes:
        """`[number, field, ...]` as bytes."""
        try:
            tag = self._tags[type(message)]
        except KeyError:
            raise LocalProtocolError(f"{type(message).__name__} is not a message of this protocol") from None
        return _pack((tag, *_converter().unstructure(message)))

    def decode(self, data: bytes, *, max_size: int = MAX_MESSAGE_SIZE) -> Any:
        """The message; raises `RemoteProtocolError` for anything that is not one of this set."""
        value = _unpack(data, max_size)
        if type(value) is not list or not value or type(value[0]) is not int:
            raise RemoteProtocolError("a message is an array that begins with its number", reason="bad_message")
        kind = self._kinds.get(value[0])
        if kind is None:
            raise RemoteProtocolError(f"unknown message number {value[0]}", reason="unknown_message")
        return _structure(value[1:], kind)


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def _unpack(data: bytes, max_size: int, max_items: int = MAX_ITEMS) -> object:
    if len(data) > max_size:
        raise RemoteProtocolError(f"a message of {len(data)} bytes, over the limit of {max_size}", reason="too_long")
    if len(data) > _SHORT or data.count(b"\xdc") + data.count(b"\xdd") > _FEW_ARRAYS:
        _check_shape(data, max_items)
    try:
        return msgpack.unpackb(
            data,
            use_list=True,
            raw=False,
            strict_map_key=True,
            max_str_len=max_size,
            max_bin_len=max_size,
            max_array_len=max_items,
            max_map_len=0,
            max_ext_len=0,
        )
    # msgpack raises ValueError's children, and TypeError or RecursionError on some malformed input.
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise RemoteProtocolError("a message is not valid msgpack within our limits", reason="bad_message") from error


def _check_shape(data: bytes, max_items: int) -> None:
    """Raises `RemoteProtocolError` for arrays in too many arrays, and too many values in all.

    msgpack reserves an array's items when it reads their number, so a few bytes of arrays inside each other take
    megabytes; and an empty array is one byte on the wire, and 64 in memory. This goes over the values without making
    any. A short message in which no long array can begin is not worth it.
    """
    offset, end = 0, len(data)
    values_left = VALUES_AN_ITEM * max_items
    outer: list[int] = []
    to_come = 1
    while True:
        while not to_come:
            if not outer:
                if offset != end:
                    raise RemoteProtocolError("bytes follow a message", reason="bad_message")
                return
            to_come = outer.pop()
        to_come -= 1
        values_left -= 1
        if offset >= end:
            raise RemoteProtocolError("a message ends within a value", reason="bad_message")
        head = data[offset]
        offset += 1
        if head in _LENGTHS:
            start, offset = offset, offset + _LENGTHS[head]
            size = int.from_bytes(data[start:offset])
            if head not in _ARRAYS:
                offset += size
                continue
        elif head >= 0xE0 or head < 0x80:
            continue
        elif head in _SIZES:
            offset += _SIZES[head]
            continue
        elif 0x90 <= head <= 0x9F:
            size = head & 0x0F
        else:
            raise RemoteProtocolError("a message is not valid msgpack within our limits", reason="bad_message")
        if size > max_items or size > values_left:
            raise RemoteProtocolError(f"an array of {size} items, over the limit", reason="bad_message")
        outer.append(to_come)
        to_come = size
        if len(outer) > MAX_DEPTH:
            raise RemoteProtocolError(f"a message of over {MAX_DEPTH} arrays in each other", reason="bad_message")


# First bytes of msgpack's values: those of a fixed size, and those that a length or count of so many bytes follows.
_SIZES: Final = {
    **{0xA0 + size: size for size in range(32)},
    0xC0: 0,
    0xC2: 0,
    0xC3: 0,
    **dict(zip(range(0xCC, 0xD4), (1, 2, 4, 8) * 2, strict=True)),
}
_ARRAYS: Final = {0xDC: 2, 0xDD: 4}
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, **_ARRAYS}


def _structure(value: object, kind: type[T]) -> T:
    try:
        return _converter().structure(value, kind)
    except (TypeError, ValueError, cattrs.StructureHandlerNotFoundError) as error:
        raise RemoteProtocolError(f"not a {kind.__name__}: {error}", reason="bad_message") from error


def frame(message: bytes) -> bytes:
    """`message` after its length as an unsigned varint."""
    return encode_varint(len(message)) + message


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128, as multiformats has it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | bytearray, offset: int = 0, *, max_size: int = 9) -> tuple[int, int] | None:
    """`(value, next offset)`, or None when `data` ends before the varint does.

    Raises `RemoteProtocolError` for a varint over `max_size` bytes or with superfluous zero bytes.
    """
    value = 0
    for position in range(max_size):
        if offset + position >= len(data):
            return None
        byte = data[offset + position]
        value |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            if byte == 0 and position:
                raise RemoteProtocolError("a varint is not in its shortest form", reason="bad_length")
            return value, offset + position + 1
    raise RemoteProtocolError("a varint is too long", reason="bad_length")


class FrameReader:
    """Cuts a stream of bytes into length-prefixed messages."""

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        self._buffer = bytearray()
        self._max_size = max_size

    def feed(self, data: bytes) -> None:
        """Takes bytes as they come."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole message, or None; raises `RemoteProtocolError` for a length over the limit."""
        header = decode_varint(self._buffer, max_size=MAX_VARINT_SIZE)
        if header is None:
            return None
        size, start = header
        if size > self._max_size:
            raise RemoteProtocolError(f"a message of {size} bytes, over {self._max_size}", reason="too_long")
        if len(self._buffer) < start + size:
            return None
        message = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return message

    @property
    def buffered(self) -> int:
        """Bytes held that are not yet a whole message."""
        return len(self._buffer)

    def leftover(self) -> bytes:
        """What came behind the messages that were taken, handed over: where a stream goes on as something else."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data
