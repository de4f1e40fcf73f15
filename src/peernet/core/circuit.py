"""Circuit relay v2: a peer that nobody can dial is reached through one that everybody can.

    RESERVE   target -> relay, on a hop stream: keep a place for me; answered with its end and the limits
    CONNECT   source -> relay, on a hop stream: a circuit to that target, please
    CONNECT   relay -> target, on a stop stream over the target's own connection; answered with a status
    STATUS    relay -> source; from an OK on, both streams are one byte stream between source and target

Rules:

1. Messages are proto2: what a kind of message must have is written, zero too, and checked when read.
2. A reservation is the target's, who asks for it over its own direct connection, and lasts until its time or that
   connection is over. Its voucher, a signed envelope of the relay, says so to others; nobody is asked to show one.
3. A relay's book bounds reservations in total and by address prefix, and circuits in total, by source, by the source's
   prefix and by target. What does not fit is refused with the status that the specification has for it, never put off.
4. A circuit ends after `duration_s`, after `size_bytes` in one direction, or when nothing has passed for `idle_s`; its
   speed is paced, and that of all circuits together. The limits suit streams of text over days, unlike the two minutes
   and 128 KiB that are usual: an ordinary connection, with its keep-alive, lives over it.
5. The relay sees ciphertext, since source and target upgrade the byte stream as any other connection.

Source: libp2p specifications, "Circuit Relay v2", and RFC 0002 "Signed Envelopes".
"""

from collections import Counter
from enum import IntEnum
from typing import Final, TypeVar

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId, encode_public_key
from peernet.core.protobuf import Fields, bytes_field, varint_field
from peernet.core.suite import CipherSuite
from peernet.core.wire import frame

__all__ = [
    "HOP_PROTOCOL",
    "MAX_MESSAGE_SIZE",
    "STOP_PROTOCOL",
    "CircuitBook",
    "CircuitLimits",
    "Connect",
    "HopMessage",
    "Limit",
    "Pacer",
    "Reservation",
    "Reserve",
    "Status",
    "StatusMessage",
    "StopMessage",
    "decode_hop",
    "decode_stop",
    "encode_hop",
    "encode_stop",
    "reservation_voucher",
    "voucher_is_valid",
]

HOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/hop"
STOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/stop"
MAX_MESSAGE_SIZE: Final = 4096

T = TypeVar("T")

_VOUCHER_DOMAIN: Final = b"libp2p-relay-rsvp"
_VOUCHER_TYPE: Final = b"\x03\x02"


class Status(IntEnum):
    """The status codes that we send. Others may come; they are failures like those of 200 and more."""

    OK = 100
    RESERVATION_REFUSED = 200
    RESOURCE_LIMIT_EXCEEDED = 201
    PERMISSION_DENIED = 202
    CONNECTION_FAILED = 203
    NO_RESERVATION = 204
    MALFORMED_MESSAGE = 400
    UNEXPECTED_MESSAGE = 401


@frozen
class Limit:
    """What a relay allows one circuit; 0 is no limit."""

    duration_s: int
    size_bytes: int
    """In each direction."""


@frozen
class Reservation:
    """A place at a relay."""

    expires_at_s: int
    addresses: tuple[bytes, ...] = ()
    """The relay's binary multiaddrs, with its peer id."""
    voucher: bytes = b""


@frozen
class Reserve:
    """Keep a place for me."""


@frozen
class Connect:
    """On a hop stream: to this target. On a stop stream: from this source."""

    peer: PeerId
    limit: Limit | None = None


@frozen
class StatusMessage:
    """The answer to either; `status` is one of `Status`, or a number that we do not know."""

    status: int
    reservation: Reservation | None = None
    limit: Limit | None = None


HopMessage = Reserve | Connect | StatusMessage
StopMessage = Connect | StatusMessage

# Types of the two kinds of message, and where their fields are.
_HOP_RESERVE, _HOP_CONNECT, _HOP_STATUS = 0, 1, 2
_STOP_CONNECT, _STOP_STATUS = 0, 1


def encode_hop(message: HopMessage) -> bytes:
    """A message of a hop stream."""
    match message:
        case Reserve():
            return varint_field(1, _HOP_RESERVE)
        case Connect():
            return varint_field(1, _HOP_CONNECT) + _peer_field(2, message.peer) + _limit_field(4, message.limit)
        case StatusMessage():
            reservation = b"" if message.reservation is None else bytes_field(3, _encoded(message.reservation))
            limit = _limit_field(4, message.limit)
            return varint_field(1, _HOP_STATUS) + reservation + limit + varint_field(5, message.status)


def decode_hop(data: bytes) -> HopMessage:
    """A message of a hop stream; raises `RemoteProtocolError` for anything else."""
    fields = _fields(data)
    match fields.integer(1):
        case 0:
            return Reserve()
        case 1:
            return Connect(_peer(fields.data(2)), _limit(fields.data(4)))
        case 2:
            return StatusMessage(_status(fields.integer(5)), _reservation(fields.data(3)), _limit(fields.data(4)))
    raise RemoteProtocolError("a hop message of an unknown type", reason="bad_circuit")


def encode_stop(message: StopMessage) -> bytes:
    """A message of a stop stream."""
    if isinstance(message, Connect):
        return varint_field(1, _STOP_CONNECT) + _peer_field(2, message.peer) + _limit_field(3, message.limit)
    return varint_field(1, _STOP_STATUS) + varint_field(4, message.status)


def decode_stop(data: bytes) -> StopMessage:
    """A message of a stop stream; raises `RemoteProtocolError` for anything else."""
    fields = _fields(data)
    match fields.integer(1):
        case 0:
            return Connect(_peer(fields.data(2)), _limit(fields.data(3)))
        case 1:
            return StatusMessage(_status(fields.integer(4)))
    raise RemoteProtocolError("a stop message of an unknown type", reason="bad_circuit")


def _fields(data: bytes) -> Fields:
    if len(data) > MAX_MESSAGE_SIZE:
        raise RemoteProtocolError(f"a message of a circuit of {len(data)} bytes", reason="too_long")
    return Fields(data)


def _peer_field(number: int, peer: PeerId) -> bytes:
    return bytes_field(number, bytes_field(1, peer.to_bytes()))


def _peer(data: bytes | None) -> PeerId:
    peer = None if data is None else Fields(data).data(1)
    if peer is None:
        raise RemoteProtocolError("a circuit to or from nobody", reason="bad_circuit")
    return PeerId.from_bytes(peer)


def _limit_field(number: int, limit: Limit | None) -> bytes:
    if limit is None:
        return b""
    return bytes_field(number, varint_field(1, limit.duration_s) + varint_field(2, limit.size_bytes))


def _limit(data: bytes | None) -> Limit | None:
    if data is None:
        return None
    fields = Fields(data)
    return Limit(fields.integer(1, bits=32) or 0, fields.integer(2) or 0)


def _encoded(reservation: Reservation) -> bytes:
    addresses = b"".join(bytes_field(2, address) for address in reservation.addresses)
    voucher = bytes_field(3, reservation.voucher) if reservation.voucher else b""
    return varint_field(1, reservation.expires_at_s) + addresses + voucher


def _reservation(data: bytes | None) -> Reservation | None:
    if data is None:
        return None
    fields = Fields(data)
    expires_at_s = fields.integer(1)
    if expires_at_s is None:
        raise RemoteProtocolError("a reservation without an end", reason="bad_circuit")
    return Reservation(expires_at_s, fields.all_data(2), fields.data(3) or b"")


def _status(status: int | None) -> int:
    if status is None:
        raise RemoteProtocolError("a status message without a status", reason="bad_circuit")
    return status


# --- vouchers --------------------------------------------------------------------------------------------------------


def _signed_bytes(payload: bytes) -> bytes:
    return frame(_VOUCHER_DOMAIN) + frame(_VOUCHER_TYPE) + frame(payload)


def _voucher_payload(relay: PeerId, peer: PeerId, expires_at_s: int) -> bytes:
    return bytes_field(1, relay.to_bytes()) + bytes_field(2, peer.to_bytes()) + varint_field(3, expires_at_s)


def reservation_voucher(relay: Keypair, peer: PeerId, expires_at_s: int) -> bytes:
    """The relay's word that `peer` has a place until then, as a signed envelope."""
    payload = _voucher_payload(relay.peer_id, peer, expires_at_s)
    return (
        bytes_field(1, encode_public_key(relay.public_key))
        + bytes_field(2, _VOUCHER_TYPE)
        + bytes_field(3, payload)
        + bytes_field(5, relay.sign(_signed_bytes(payload)))
    )


def voucher_is_valid(voucher: bytes, relay: PeerId, peer: PeerId, expires_at_s: int, suite: CipherSuite) -> bool:
    """Whether `voucher` is the relay's for exactly this; raises `RemoteProtocolError` where it is no envelope."""
    fields = Fields(voucher)
    payload = _voucher_payload(relay, peer, expires_at_s)
    envelope = (fields.data(1), fields.data(2), fields.data(3))
    if envelope != (encode_public_key(relay.public_key), _VOUCHER_TYPE, payload):
        return False
    return suite.verify(relay.public_key, _signed_bytes(payload), fields.data(5) or b"")


# --- what a relay bears ----------------------------------------------------------------------------------------------


@frozen
class CircuitLimits:
    """What a relay does for peers that cannot be dialled."""

    reservations: int = 256
    reservations_per_prefix: int = 16
    reservation_lifetime_s: int = 3600
    circuits: int = 512
    circuits_per_source: int = 32
    circuits_per_prefix: int = 128
    """Of sources: a key costs nothing."""
    circuits_per_target: int = 128
    connecting_at_once: int = 64
    """Circuits that wait for their target's word."""
    connecting_at_once_per_prefix: int = 16
    connect_timeout_s: float = 4.0
    """For that: less than who dials has patience, so that it learns why."""
    duration_s: int = 6 * 3600
    size_bytes: int = 2**30
    """In each direction of a circuit."""
    idle_s: float = 600.0
    circuit_bytes_per_s: int = 4 * 2**20
    """Of one circuit, both directions."""
    bytes_per_s: int = 32 * 2**20
    """Of all circuits together."""

    @property
    def limit(self) -> Limit:
        """What is told of them on the wire."""
        return Limit(self.duration_s, self.size_bytes)


class CircuitBook:
    """Who has a place at this relay, and which circuits there are (rule 3)."""

    def __init__(self, limits: CircuitLimits) -> None:
        self._limits = limits
        self._reserved: dict[PeerId, tuple[int, str]] = {}
        self._by_prefix: Counter[str] = Counter()
        self._by_source: Counter[PeerId] = Counter()
        self._by_source_prefix: Counter[str] = Counter()
        self._by_target: Counter[PeerId] = Counter()

    @property
    def reserved(self) -> tuple[PeerId, ...]:
        """Who has a place."""
        return tuple(self._reserved)

    @property
    def circuits(self) -> int:
        """Circuits that there are."""
        return self._by_source.total()

    def reserve(self, peer: PeerId, prefix: str, now_s: float) -> int:
        """The end of the peer's reservation, new or prolonged; 0 where there is no place left."""
        limits = self._limits
        self.expire(now_s)
        self.leave(peer)
        if len(self._reserved) >= limits.reservations or self._by_prefix[prefix] >= limits.reservations_per_prefix:
            return 0
        expires_at_s = int(now_s) + limits.reservation_lifetime_s
        self._reserved[peer] = (expires_at_s, prefix)
        self._by_prefix[prefix] += 1
        return expires_at_s

    def leave(self, peer: PeerId) -> None:
        """The peer's reservation, if there is one, is over."""
        _, prefix = self._reserved.pop(peer, (0, None))
        if prefix is not None:
            _lower(self._by_prefix, prefix)

    def expire(self, now_s: float) -> None:
        """Ends the reservations whose time is over."""
        for peer, (expires_at_s, _) in tuple(self._reserved.items()):
            if expires_at_s <= now_s:
                self.leave(peer)

    def open_circuit(self, source: PeerId, prefix: str, target: PeerId, now_s: float) -> Status:
        """Whether there may be one more circuit, from `source` in `prefix`: counted if OK, until `close_circuit`."""
        limits = self._limits
        self.expire(now_s)
        if source == target:
            return Status.PERMISSION_DENIED
        if target not in self._reserved:
            return Status.NO_RESERVATION
        if (
            self.circuits >= limits.circuits
            or self._by_source[source] >= limits.circuits_per_source
            or self._by_source_prefix[prefix] >= limits.circuits_per_prefix
            or self._by_target[target] >= limits.circuits_per_target
        ):
            return Status.RESOURCE_LIMIT_EXCEEDED
        self._by_source[source] += 1
        self._by_source_prefix[prefix] += 1
        self._by_target[target] += 1
        return Status.OK

    def close_circuit(self, source: PeerId, prefix: str, target: PeerId) -> None:
        """A circuit is over."""
        if not (self._by_source[source] and self._by_source_prefix[prefix] and self._by_target[target]):
            raise LocalProtocolError("there is no such circuit to close")
        _lower(self._by_source, source)
        _lower(self._by_source_prefix, prefix)
        _lower(self._by_target, target)


class Pacer:
    """Holds a flow of bytes to a rate: tells how long to wait after each piece.

    What was not used for a while may be made up for, up to one second's worth.
    """

    def __init__(self, bytes_per_s: int, now_s: float) -> None:
        if bytes_per_s <= 0:
            raise LocalProtocolError("a rate is over 0 bytes a second")
        self._bytes_per_s = bytes_per_s
        self._paid_until_s = now_s - 1.0

    def pause_s(self, size: int, now_s: float) -> float:
        """How long who has just passed on `size` bytes waits before the next ones."""
        self._paid_until_s = max(self._paid_until_s, now_s - 1.0) + size / self._bytes_per_s
        return max(0.0, self._paid_until_s - now_s)


def _lower(counter: Counter[T], key: T) -> None:
    """One less, and nothing kept of what is 0."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
