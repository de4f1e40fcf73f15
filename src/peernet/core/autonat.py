"""AutoNAT v2: whether one address of a peer can be reached from outside, told by a peer that tries it.

    asker                                      server
    dial-request: DialRequest(addresses, nonce) ->
                                               dials one of the addresses, over a fresh connection
                  <- dial-back: DialBack(nonce)
    dial-back: DialBackResponse(OK) ->
                  <- dial-request: DialResponse(status, which address, how the dial went)

Rules:

1. The server dials no address whose IP address is not the one that it sees the asker at. So nobody can point it at
   somebody else, and the specification's other defence, data that the asker pays with, is never asked for; an asker
   of ours that is asked for data gives up.
2. What a server answers is bounded in a window of time, by the asker's address prefix and in total, and so are the
   dials under way (`DialBackBudget`). A request has at most `MAX_ADDRESSES` addresses.
3. An asker believes in a success only when its nonce has arrived. It asks several servers, one address a request:
   each prefix has one vote, a strict majority of at least `LEAST_VOTES` decides, and votes grow old (`Verdicts`).
4. That a server would not dial (`E_DIAL_REFUSED`) means, by rule 1, that it sees the asker elsewhere than at the
   address: that is a verdict of its own, for the owner of the address to weigh.

Source: libp2p specifications, "AutoNAT v2". Messages are proto3: zero is not written, and absent is zero.
"""

from collections import Counter, OrderedDict, deque
from enum import Enum, IntEnum
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.protobuf import Fields, bytes_field, fixed64_field, varint_field

__all__ = [
    "DIAL_BACK_PROTOCOL",
    "DIAL_REQUEST_PROTOCOL",
    "LEAST_VOTES",
    "MAX_ADDRESSES",
    "MAX_ADDRESS_SIZE",
    "MAX_MESSAGE_SIZE",
    "VOTE_LIFETIME_S",
    "DialBack",
    "DialBackBudget",
    "DialBackLimits",
    "DialBackResponse",
    "DialDataRequest",
    "DialDataResponse",
    "DialRequest",
    "DialResponse",
    "DialStatus",
    "Message",
    "Probe",
    "Reachability",
    "ResponseStatus",
    "Verdicts",
    "decode_dial_back",
    "decode_dial_back_response",
    "decode_message",
    "encode_dial_back",
    "encode_dial_back_response",
    "encode_message",
]

DIAL_REQUEST_PROTOCOL: Final = "/libp2p/autonat/2/dial-request"
DIAL_BACK_PROTOCOL: Final = "/libp2p/autonat/2/dial-back"

MAX_MESSAGE_SIZE: Final = 8192
"""A piece of dial data has up to 4,096 bytes; a request of ours is far below that."""
MAX_ADDRESSES: Final = 16
MAX_ADDRESS_SIZE: Final = 256
"""Bytes of a binary multiaddr."""

LEAST_VOTES: Final = 2
VOTE_LIFETIME_S: Final = 3600.0
_MAX_VOTERS: Final = 7
"""The newest votes: one round of questions outweighs what was so before the network changed."""
_MAX_JUDGED: Final = 32
_BITS_32: Final = 32


class ResponseStatus(IntEnum):
    """How a request went."""

    E_INTERNAL_ERROR = 0
    E_REQUEST_REJECTED = 100
    E_DIAL_REFUSED = 101
    OK = 200


class DialStatus(IntEnum):
    """How the dial went."""

    UNUSED = 0
    E_DIAL_ERROR = 100
    E_DIAL_BACK_ERROR = 101
    OK = 200


@frozen
class DialRequest:
    """Dial the first of these (binary multiaddrs) that you are willing to dial."""

    addresses: tuple[bytes, ...]
    nonce: int
    """64 bits."""


@frozen
class DialResponse:
    """What came of it. The statuses are those of the enumerations, or unknown numbers."""

    status: int
    address_index: int = 0
    dial_status: int = DialStatus.UNUSED


@frozen
class DialDataRequest:
    """Send this many bytes first."""

    address_index: int
    size_bytes: int


@frozen
class DialDataResponse:
    """Some of them."""

    data: bytes


@frozen
class DialBack:
    """The nonce, over the connection that was made to the address."""

    nonce: int


@frozen
class DialBackResponse:
    """It arrived."""

    status: int = 0


Message = DialRequest | DialResponse | DialDataRequest | DialDataResponse

_REQUEST, _RESPONSE, _DATA_REQUEST, _DATA_RESPONSE = 1, 2, 3, 4


def encode_message(message: Message) -> bytes:
    """A message of a dial-request stream."""
    match message:
        case DialRequest():
            inner = b"".join(bytes_field(1, address) for address in message.addresses)
            return bytes_field(_REQUEST, inner + (fixed64_field(2, message.nonce) if message.nonce else b""))
        case DialResponse():
            inner = _integers((message.status, message.address_index, message.dial_status))
            return bytes_field(_RESPONSE, inner)
        case DialDataRequest():
            return bytes_field(_DATA_REQUEST, _integers((message.address_index, message.size_bytes)))
        case DialDataResponse():
            return bytes_field(_DATA_RESPONSE, bytes_field(1, message.data) if message.data else b"")


def decode_message(data: bytes) -> Message:
    """A message of a dial-request stream; raises `RemoteProtocolError` for anything else."""
    _require_size(data)
    outer = Fields(data)
    kinds = [kind for kind in (_REQUEST, _RESPONSE, _DATA_REQUEST, _DATA_RESPONSE) if outer.data(kind) is not None]
    if len(kinds) != 1:
        raise RemoteProtocolError("a message of AutoNAT holds exactly one of its kinds", reason="bad_autonat")
    inner = outer.data(kinds[0]) or b""
    if kinds[0] == _REQUEST:
        request = Fields(inner, fixed64=(2,))
        return DialRequest(_checked_addresses(request.all_data(1)), request.integer(2) or 0)
    fields = Fields(inner)
    if kinds[0] == _RESPONSE:
        return DialResponse(*(fields.integer(number, bits=_BITS_32) or 0 for number in (1, 2, 3)))
    if kinds[0] == _DATA_REQUEST:
        return DialDataRequest(fields.integer(1, bits=_BITS_32) or 0, fields.integer(2) or 0)
    return DialDataResponse(fields.data(1) or b"")


def encode_dial_back(message: DialBack) -> bytes:
    """The one message of the dialling side of a dial-back stream."""
    return fixed64_field(1, message.nonce) if message.nonce else b""


def decode_dial_back(data: bytes) -> DialBack:
    """Raises `RemoteProtocolError` for anything else."""
    _require_size(data)
    return DialBack(Fields(data, fixed64=(1,)).integer(1) or 0)


def encode_dial_back_response(message: DialBackResponse) -> bytes:
    """The one message of the other side."""
    return _integers((message.status,))


def decode_dial_back_response(data: bytes) -> DialBackResponse:
    """Raises `RemoteProtocolError` for anything else."""
    _require_size(data)
    return DialBackResponse(Fields(data).integer(1, bits=_BITS_32) or 0)


def _integers(values: tuple[int, ...]) -> bytes:
    return b"".join(varint_field(number, value) for number, value in enumerate(values, 1) if value)


def _require_size(data: bytes) -> None:
    if len(data) > MAX_MESSAGE_SIZE:
        raise RemoteProtocolError(f"a message of AutoNAT of {len(data)} bytes", reason="too_long")


def _checked_addresses(addresses: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise RemoteProtocolError(f"a dial request has 1 to {MAX_ADDRESSES} addresses", reason="bad_autonat")
    if any(len(address) > MAX_ADDRESS_SIZE for address in addresses):
        raise RemoteProtocolError(f"an address has at most {MAX_ADDRESS_SIZE} bytes", reason="bad_autonat")
    return addresses


# --- the asker -------------------------------------------------------------------------------------------------------


class Reachability(Enum):
    """What is known of an address."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    ELSEWHERE = "elsewhere"
    """The servers see this peer at another IP address, and so did not dial this one (rule 4)."""


class Probe:
    """One question about one address to one server: what came back, held to rule 3."""

    __slots__ = ("_address", "_nonce", "arrived")

    def __init__(self, address: bytes, nonce: int) -> None:
        if not 0 < nonce < 2**64:
            raise LocalProtocolError("a nonce has 64 bits and is not 0")
        self._address = address
        self._nonce = nonce
        self.arrived = False
        """Whether the nonce has arrived over a dial-back."""

    @property
    def nonce(self) -> int:
        """What the dial-back must carry."""
        return self._nonce

    def request(self) -> bytes:
        """The message to send."""
        return encode_message(DialRequest((self._address,), self._nonce))

    def outcome(self, reply: bytes) -> Reachability:
        """What the server's reply says; raises `RemoteProtocolError` for what is no honest reply.

        `UNKNOWN` is a server that was too busy, or has a status that we do not understand.
        """
        message = decode_message(reply)
        if isinstance(message, DialDataRequest):
            raise RemoteProtocolError("a server of AutoNAT wants data for an address of ours", reason="wants_data")
        if not isinstance(message, DialResponse):
            raise RemoteProtocolError("a server of AutoNAT answered with a request", reason="bad_autonat")
        if message.status == ResponseStatus.E_DIAL_REFUSED:
            return Reachability.ELSEWHERE
        if message.status != ResponseStatus.OK:
            return Reachability.UNKNOWN
        if message.address_index != 0:
            raise RemoteProtocolError("a server of AutoNAT dialled what was not asked", reason="bad_autonat")
        if message.dial_status == DialStatus.OK:
            if not self.arrived:
                raise RemoteProtocolError("a server of AutoNAT claims a dial that never came", reason="no_dial_back")
            return Reachability.REACHABLE
        if message.dial_status == DialStatus.E_DIAL_ERROR:
            return Reachability.UNREACHABLE
        return Reachability.UNKNOWN


class Verdicts:
    """What several servers say of each of our addresses, and what follows from it (rule 3)."""

    def __init__(self) -> None:
        self._votes: OrderedDict[str, OrderedDict[str, tuple[float, Reachability]]] = OrderedDict()

    def record(self, address: str, server_prefix: str, outcome: Reachability, now_s: float) -> None:
        """One server's outcome for `address`; `UNKNOWN` is no vote. The newest of a prefix counts."""
        if outcome is Reachability.UNKNOWN:
            return
        voters = self._votes.setdefault(address, OrderedDict())
        voters.pop(server_prefix, None)
        voters[server_prefix] = (now_s, outcome)
        if len(voters) > _MAX_VOTERS:
            voters.popitem(last=False)
        if len(self._votes) > _MAX_JUDGED:
            self._votes.popitem(last=False)

    def forget(self, address: str) -> None:
        """Begins anew with an address, as after a change of the network."""
        self._votes.pop(address, None)

    def votes(self, address: str, now_s: float) -> Counter[Reachability]:
        """The votes that are not too old."""
        voters = self._votes.get(address)
        if voters is None:
            return Counter()
        return Counter(outcome for at_s, outcome in voters.values() if now_s - at_s < VOTE_LIFETIME_S)

    def verdict(self, address: str, now_s: float) -> Reachability:
        """What a strict majority of at least `LEAST_VOTES` says."""
        votes = self.votes(address, now_s)
        if votes.total() < LEAST_VOTES:
            return Reachability.UNKNOWN
        outcome, count = votes.most_common(1)[0]
        return outcome if 2 * count > votes.total() else Reachability.UNKNOWN


# --- the server ------------------------------------------------------------------------------------------------------


@frozen
class DialBackLimits:
    """How much a server does for others."""

    window_s: float = 60.0
    requests: int = 120
    """In a window, of everybody."""
    requests_per_prefix: int = 12
    dials_at_once: int = 8
    dials_at_once_per_prefix: int = 2


class DialBackBudget:
    """What a server still does now (rule 2)."""

    def __init__(self, limits: DialBackLimits) -> None:
        self._limits = limits
        self._begun: deque[tuple[float, str]] = deque()
        self._running: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Dials under way."""
        return self._running.total()

    def begin(self, prefix: str, now_s: float) -> bool:
        """Whether a request from `prefix` is served; the one who asks calls `end` when it is over."""
        limits = self._limits
        while self._begun and now_s - self._begun[0][0] >= limits.window_s:
            self._begun.popleft()
        of_prefix = sum(other == prefix for _, other in self._begun)
        if (
            len(self._begun) >= limits.requests
            or of_prefix >= limits.requests_per_prefix
            or self.running >= limits.dials_at_once
            or self._running[prefix] >= limits.dials_at_once_per_prefix
        ):
            return False
        self._begun.append((now_s, prefix))
        self._running[prefix] += 1
        return True

    def end(self, prefix: str) -> None:
        """A request that was begun is over."""
        if not self._running[prefix]:
            raise LocalProtocolError("no dial of this prefix is under way")
        self._running[prefix] -= 1
        if not self._running[prefix]:
            del self._running[prefix]
