"""What goes over `/peernet/dht/1`: four requests, each with its one reply.

Rules:

1. One stream carries one request and one reply, each a length-prefixed message of `peernet.core.wire`.
2. Records travel as the opaque signed bytes; whoever reads them opens them (`records`).
3. A reply lists at most k peers and at most k values; every size has its bound before anything is decoded.

| request | reply |
|---|---|
| `Ping` | `Pong` |
| `FindNode(target)` | `Nodes(records)` |
| `FindValue(kind, key)` | `Values(records, closer)` |
| `Store(record)` | `Stored(accepted)` |
"""

from typing import Final, TypeAlias

from attrs import field, frozen

from peernet.core.dht.contact import ID_SIZE
from peernet.core.dht.records import MAX_RECORD_SIZE
from peernet.core.dht.table import K
from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import MessageSet

__all__ = [
    "MAX_REPLY_SIZE",
    "MAX_REQUEST_SIZE",
    "PROTOCOL",
    "FindNode",
    "FindValue",
    "Nodes",
    "Ping",
    "Pong",
    "Reply",
    "Request",
    "Store",
    "Stored",
    "Values",
    "decode_reply",
    "decode_request",
    "encode_message",
]

PROTOCOL: Final = "/peernet/dht/1"
_OVERHEAD: Final = 16  # array headers and numbers around the records
_RECORD_HEADER: Final = 3
MAX_REQUEST_SIZE: Final = MAX_RECORD_SIZE + _RECORD_HEADER + _OVERHEAD
MAX_REPLY_SIZE: Final = 2 * K * (MAX_RECORD_SIZE + _RECORD_HEADER) + _OVERHEAD


def _is_id(_: object, __: object, value: bytes) -> None:
    if len(value) != ID_SIZE:
        raise ValueError(f"an id of {len(value)} bytes instead of {ID_SIZE}")


def _is_record(_: object, __: object, value: bytes) -> None:
    if not 0 < len(value) <= MAX_RECORD_SIZE:
        raise ValueError(f"a record of {len(value)} bytes, over {MAX_RECORD_SIZE}")


def _are_records(_: object, __: object, value: tuple[bytes, ...]) -> None:
    if len(value) > K:
        raise ValueError(f"{len(value)} records, over {K}")
    if value and max(map(len, value)) > MAX_RECORD_SIZE:
        raise ValueError(f"a record of over {MAX_RECORD_SIZE} bytes")


@frozen
class Ping:
    """Are you there?"""


@frozen
class Pong:
    """Yes."""


@frozen
class FindNode:
    """Who is closest to `target`, a 20-byte id?"""

    target: bytes = field(validator=_is_id)


@frozen
class Nodes:
    """The peer records of the closest contacts, closest first."""

    records: tuple[bytes, ...] = field(validator=_are_records)


@frozen
class FindValue:
    """Which records of this kind are there under `key`, and who is closest to it?"""

    kind: int
    key: bytes = field(validator=_is_id)


@frozen
class Values:
    """Records of the kind asked for, and the peer records of the contacts closest to the key."""

    records: tuple[bytes, ...] = field(validator=_are_records)
    closer: tuple[bytes, ...] = field(validator=_are_records)


@frozen
class Store:
    """Please hold this record until it expires."""

    record: bytes = field(validator=_is_record)


@frozen
class Stored:
    """Whether it is held now."""

    accepted: bool


Request: TypeAlias = Ping | FindNode | FindValue | Store
Reply: TypeAlias = Pong | Nodes | Values | Stored

_REQUESTS: Final = MessageSet({1: Ping, 2: FindNode, 3: FindValue, 4: Store})
_REPLIES: Final = MessageSet({1: Pong, 2: Nodes, 3: Values, 4: Stored})


def encode_message(message: Request | Reply) -> bytes:
    """The bytes of a request or a reply, without the length before it."""
    messages = _REQUESTS if isinstance(message, Request) else _REPLIES
    return messages.encode(message)


def decode_request(data: bytes) -> Request:
    """The request; raises `RemoteProtocolError`."""
    message = _REQUESTS.decode(data, max_size=MAX_REQUEST_SIZE)
    if not isinstance(message, Request):
        raise RemoteProtocolError("not a request", reason="unknown_message")
    return message


def decode_reply(data: bytes) -> Reply:
    """The reply; raises `RemoteProtocolError`."""
    message = _REPLIES.decode(data, max_size=MAX_REPLY_SIZE)
    if not isinstance(message, Reply):
        raise RemoteProtocolError("not a reply", reason="unknown_message")
    return message
