"""The little of Protocol Buffers that libp2p's own protocols need: varint and length-delimited fields.

Rules:

1. What we write is canonical: fields in rising order, shortest varints, nothing twice.
2. What we read may come from any implementation: fields in any order, unknown ones passed over; the two fixed-width
   wire types are skipped, groups are refused.
3. A message has at most `MAX_FIELDS` fields, or what the caller says, and the caller bounds its size.

Source: Protocol Buffers encoding, "Message Structure". libp2p's identify and peer-id specifications use proto2.
"""

from typing import Final

from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import decode_varint, encode_varint

__all__ = ["MAX_FIELDS", "bytes_field", "decode_fields", "varint_field"]

MAX_FIELDS: Final = 64

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}
_MAX_VARINT_SIZE: Final = 10


def varint_field(number: int, value: int) -> bytes:
    """Field `number` with an unsigned integer."""
    return encode_varint(number << 3 | _VARINT) + encode_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Field `number` with bytes, text or an encoded message."""
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(value)) + value


def decode_fields(data: bytes, *, max_fields: int = MAX_FIELDS) -> list[tuple[int, int | bytes]]:
    """The varint and length-delimited fields of a message, as `(number, value)` in their order.

    Raises `RemoteProtocolError` for anything that is not a message within the limits.
    """
    fields: list[tuple[int, int | bytes]] = []
    offset = 0
    for _ in range(max_fields):
        if offset == len(data):
            return fields
        key, offset = _varint(data, offset)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise RemoteProtocolError("a protobuf field has number 0", reason="bad_protobuf")
        if wire_type == _VARINT:
            value, offset = _varint(data, offset)
            fields.append((number, value))
            continue
        if wire_type == _LENGTH_DELIMITED:
            size, offset = _varint(data, offset)
        elif wire_type in _FIXED_SIZES:
            size = _FIXED_SIZES[wire_type]
        else:
            raise RemoteProtocolError(f"protobuf wire type {wire_type} is not supported", reason="bad_protobuf")
        end = offset + size
        if end > len(data):
            raise RemoteProtocolError("a protobuf field runs past its message", reason="bad_protobuf")
        if wire_type == _LENGTH_DELIMITED:
            fields.append((number, data[offset:end]))
        offset = end
    if offset != len(data):
        raise RemoteProtocolError(f"a protobuf message with over {max_fields} fields", reason="bad_protobuf")
    return fields


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    decoded = decode_varint(data, offset, max_size=_MAX_VARINT_SIZE)
    if decoded is None:
        raise RemoteProtocolError("a protobuf message ends inside a varint", reason="bad_protobuf")
    return decoded
