"""The little of Protocol Buffers that libp2p's protocols need: varints, length-delimited fields, and fixed64.

Rules:

1. What we write is canonical: fields in rising order, shortest varints, nothing twice.
2. What we read may come from any implementation: fields in any order, unknown ones passed over; of the two fixed-width
   wire types a fixed64 is read where the caller expects one, and else skipped; groups are refused.
3. A message has at most `MAX_FIELDS` fields, or what the caller says, and the caller bounds its size.
4. `Fields` reads a message by field number: of a field that comes several times the last one counts, a value of
   another kind, or over the field's bits, is an error.

Source: Protocol Buffers encoding, "Message Structure". libp2p's identify and peer-id specifications use proto2.
"""

from collections.abc import Collection
from typing import Final

from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import decode_varint, encode_varint

__all__ = ["MAX_FIELDS", "Fields", "bytes_field", "decode_fields", "fixed64_field", "varint_field"]

MAX_FIELDS: Final = 64

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED64: Final = 1
_FIXED_SIZES: Final = {_FIXED64: 8, 5: 4}
_MAX_VARINT_SIZE: Final = 10


def varint_field(number: int, value: int) -> bytes:
    """Field `number` with an unsigned integer."""
    return encode_varint(number << 3 | _VARINT) + encode_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Field `number` with bytes, text or an encoded message."""
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(value)) + value


def fixed64_field(number: int, value: int) -> bytes:
    """Field `number` with an integer of 8 bytes, little endian."""
    return encode_varint(number << 3 | _FIXED64) + value.to_bytes(_FIXED_SIZES[_FIXED64], "little")


def decode_fields(
    data: bytes, *, max_fields: int = MAX_FIELDS, fixed64: Collection[int] = ()
) -> list[tuple[int, int | bytes]]:
    """The varint and length-delimited fields of a message, as `(number, value)` in their order.

    The fields whose numbers are in `fixed64` are of that wire type, and integers in the result, too. Raises
    `RemoteProtocolError` for anything that is not a message within the limits.
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
        if number in fixed64 and wire_type != _FIXED64:
            raise RemoteProtocolError(f"protobuf field {number} is no fixed64", reason="bad_protobuf")
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
        elif number in fixed64:
            fields.append((number, int.from_bytes(data[offset:end], "little")))
        offset = end
    if offset != len(data):
        raise RemoteProtocolError(f"a protobuf message with over {max_fields} fields", reason="bad_protobuf")
    return fields


class Fields:
    """A message, to be read field by field (rule 4)."""

    def __init__(self, data: bytes, *, fixed64: Collection[int] = ()) -> None:
        self._fields = decode_fields(data, fixed64=fixed64)

    def integer(self, number: int, *, bits: int = 64) -> int | None:
        """An unsigned integer of at most `bits` bits; None where the field is absent."""
        found: int | None = None
        for field, value in self._fields:
            if field != number:
                continue
            if not isinstance(value, int) or value.bit_length() > bits:
                raise RemoteProtocolError(
                    f"protobuf field {number} is no integer of {bits} bits", reason="bad_protobuf"
                )
            found = value
        return found

    def data(self, number: int) -> bytes | None:
        """Bytes, or a message; None where the field is absent."""
        found = self.all_data(number)
        return found[-1] if found else None

    def all_data(self, number: int) -> tuple[bytes, ...]:
        """All values of a repeated field of bytes."""
        values = []
        for field, value in self._fields:
            if field == number:
                if not isinstance(value, bytes):
                    raise RemoteProtocolError(f"protobuf field {number} is no bytes", reason="bad_protobuf")
                values.append(value)
        return tuple(values)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    decoded = decode_varint(data, offset, max_size=_MAX_VARINT_SIZE)
    if decoded is None:
        raise RemoteProtocolError("a protobuf message ends inside a varint", reason="bad_protobuf")
    return decoded
