"""A connection between two peers, from its first byte to its streams: libp2p's upgrade as one state machine.

Theory of operation. The phases follow each other; each takes over the bytes that the one before left.

    SECURITY    multistream-select agrees on `/noise`, in the clear
    HANDSHAKE   three Noise XX messages; the second and third carry the sender's identity key, its signature over the
                Noise static key, and the stream multiplexers it speaks
    MUXER       multistream-select agrees on `/yamux/1.0.0`, encrypted; skipped where both sides named it already
    OPEN        yamux, sealed in Noise messages; `Established` is the first event
    FAILED      the remote broke a protocol; nothing goes on from here

Rules:

1. The initiator does not wait where it can guess: its multistream header, its proposal and the first Noise message
   leave together. Bytes that come together with the end of a phase are heeded by the next one at once.
2. On the wire a Noise message follows its length in two bytes, big endian. Handshake messages are bounded far
   below that. What yamux queued leaves in as few messages as hold it.
3. The remote's identity is proven before anything else of it is believed. An initiator that meets a peer which it did
   not expect has told it nothing but an ephemeral key.
4. In a private swarm the pattern is XXpsk3 and the prologue is the key's hash. The tag of each message covers the
   prologue, and with a pre-shared key already the first message has one: neither side names itself to a stranger.
5. Every failure of the remote is a `RemoteProtocolError`, with a `reason` that says which check it was.

Source: libp2p specifications, "Connection establishment", "noise-libp2p", "Early multiplexer negotiation".
"""

import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final

from attrs import field, frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId, decode_public_key, encode_public_key
from peernet.core.multistream import Dialer, Listener
from peernet.core.noise import MAX_MESSAGE_SIZE, CipherState, HandshakeState
from peernet.core.protobuf import bytes_field, decode_fields
from peernet.core.suite import KEY_SIZE, TAG_SIZE, CipherSuite
from peernet.core.yamux.events import YamuxEvent
from peernet.core.yamux.flow_control import NO_BUDGET, WindowBudget
from peernet.core.yamux.limits import DEFAULT_LIMITS, YamuxLimits
from peernet.core.yamux.session import PROTOCOL, Yamux

__all__ = [
    "MAX_HANDSHAKE_MESSAGE_SIZE",
    "MAX_PLAINTEXT_SIZE",
    "Connection",
    "Established",
    "Event",
    "NoiseIdentity",
]

MAX_HANDSHAKE_MESSAGE_SIZE: Final = 4096
"""Bytes of a handshake message: ours have 32 to 250, others' may carry further extensions."""

MAX_PLAINTEXT_SIZE: Final = MAX_MESSAGE_SIZE - TAG_SIZE

_NOISE: Final = "/noise"
_SHORT: Final = 4096
"""A message of at most so many bytes is put behind its length: sending one buffer is worth that copy."""
_PROTOCOL_BYTES: Final = PROTOCOL.encode()
_OPEN_SWARM: Final = "Noise_XX_25519_ChaChaPoly_SHA256"
_PRIVATE_SWARM: Final = "Noise_XXpsk3_25519_ChaChaPoly_SHA256"
_SIGNED_PREFIX: Final = b"noise-libp2p-static-key:"
_LENGTH: Final = struct.Struct(">H")

# Field numbers of NoiseHandshakePayload and of NoiseExtensions.
_IDENTITY_KEY: Final = 1
_IDENTITY_SIGNATURE: Final = 2
_EXTENSIONS: Final = 4
_STREAM_MUXERS: Final = 2


@frozen
class Established:
    """The upgrade is complete and the remote has proven to be `peer_id`."""

    peer_id: PeerId


Event = Established | YamuxEvent


@frozen
class _Payload:
    """What a handshake message says about its sender."""

    identity_key: bytes
    identity_signature: bytes
    muxers: tuple[bytes, ...]


class _Phase(Enum):
    SECURITY = "security"
    HANDSHAKE = "handshake"
    MUXER = "muxer"
    OPEN = "open"
    FAILED = "failed"


@frozen
class NoiseIdentity:
    """Who a node is in handshakes: its Noise static key, signed by its identity. Made once for all connections."""

    peer_id: PeerId
    static_secret: bytes = field(repr=False)
    static_public: bytes
    signature: bytes

    @classmethod
    def of(cls, keypair: Keypair, static_secret: bytes, suite: CipherSuite) -> "NoiseIdentity":
        """The identity of `keypair` with an X25519 secret of 32 bytes."""
        public = suite.x25519_public(static_secret)
        return cls(keypair.peer_id, static_secret, public, keypair.sign(_SIGNED_PREFIX + public))

    def payload(self, *, early_muxer: bool) -> bytes:
        """What this side says of itself in a handshake."""
        return _encode_payload(self, (_PROTOCOL_BYTES,) if early_muxer else ())


class Connection:
    """One side of a connection.

    `ephemeral_secret` is an X25519 secret of 32 bytes, fresh for each connection; `swarm_key` has 32 bytes. Without
    `early_muxer` this side does not name its multiplexer in the handshake. `budget` is asked before windows grow.
    `scratch` has room for `MAX_PLAINTEXT_SIZE` bytes, where long messages are opened: connections that never receive
    at the same time may share one, and spare an allocation a message.
    """

    __slots__ = (
        "_budget",
        "_early_muxer",
        "_expected_peer",
        "_handshake",
        "_identity",
        "_inbox",
        "_initiator",
        "_limits",
        "_max_message_size",
        "_negotiation",
        "_opener",
        "_out",
        "_peer_id",
        "_phase",
        "_scratch",
        "_sealer",
        "_suite",
        "_yamux",
        "handshake_hash",
    )

    def __init__(
        self,
        suite: CipherSuite,
        identity: NoiseIdentity,
        initiator: bool,
        ephemeral_secret: bytes,
        *,
        expected_peer: PeerId | None = None,
        swarm_key: bytes | None = None,
        limits: YamuxLimits = DEFAULT_LIMITS,
        budget: WindowBudget = NO_BUDGET,
        scratch: memoryview | None = None,
        early_muxer: bool = True,
    ) -> None:
        if swarm_key is not None and len(swarm_key) != KEY_SIZE:
            raise LocalProtocolError(f"a swarm key has {KEY_SIZE} bytes, not {len(swarm_key)}")
        self._suite = suite
        self._initiator = initiator
        self._expected_peer = expected_peer
        self._limits = limits
        self._budget = budget
        self._scratch = scratch
        self._phase = _Phase.SECURITY
        self._identity = identity
        self._early_muxer = early_muxer
        self._handshake: HandshakeState | None = HandshakeState(
            suite,
            _OPEN_SWARM if swarm_key is None else _PRIVATE_SWARM,
            initiator=initiator,
            prologue=b"" if swarm_key is None else suite.hash("SHA256", swarm_key),
            static=identity.static_secret,
            static_public=identity.static_public,
            ephemeral=ephemeral_secret,
            psks=() if swarm_key is None else (swarm_key,),
        )
        self._negotiation: Dialer | Listener | None = Dialer([_NOISE]) if initiator else Listener([_NOISE])
        self._opener: CipherState | None = None
        self._sealer: CipherState | None = None
        self._peer_id: PeerId | None = None
        self._yamux: Yamux | None = None
        self.handshake_hash = b""
        """The hash that names this session on both sides; empty until the handshake is finished."""

        # A Noise message, with its length, of which not everything has come.
        self._inbox = bytearray()
        self._max_message_size = MAX_HANDSHAKE_MESSAGE_SIZE
        self._out: list[bytes] = []
        if initiator:
            self._out.append(self._negotiation.data_to_send())
            self._write_handshake(self._handshake, b"")

    @property
    def established(self) -> bool:
        """Whether `yamux` is usable."""
        return self._phase is _Phase.OPEN

    @property
    def peer_id(self) -> PeerId:
        """Who the remote has proven to be."""
        if self._peer_id is None:
            raise LocalProtocolError("the remote has not proven its identity yet")
        return self._peer_id

    @property
    def yamux(self) -> Yamux:
        """The streams."""
        if self._yamux is None:
            raise LocalProtocolError("there are no streams before Established")
        return self._yamux

    @property
    def must_close(self) -> bool:
        """Whether a key is so worn that the connection must end, and a new one be made."""
        return (self._sealer is not None and self._sealer.must_close) or (
            self._opener is not None and self._opener.must_close
        )

    # What goes out.

    def data_to_send(self) -> bytes:
        """The bytes to send, handed over; what yamux has queued is sealed into Noise messages."""
        return b"".join(self.buffers_to_send())

    def buffers_to_send(self) -> list[bytes]:
        """`data_to_send` for a gathering send (`sendmsg`), which spares a copy."""
        yamux, sealer = self._yamux, self._sealer
        if yamux is not None and sealer is not None and yamux.has_data_to_send and self._phase is _Phase.OPEN:
            for piece in yamux.pieces_to_send(MAX_PLAINTEXT_SIZE):
                self._put(sealer.encrypt(piece))
        out, self._out = self._out, []
        return out

    def seal_at_once(self, stream_id: int, data: bytes) -> bytes | None:
        """What sends a short message on a stream, if nothing else waits to be sent; None where it must queue."""
        if self._out or self._yamux is None or self._sealer is None or self._phase is not _Phase.OPEN:
            return None
        frame = self._yamux.frame(stream_id, data)
        if frame is None:
            return None
        sealed = self._sealer.encrypt(frame)
        return _LENGTH.pack(len(sealed)) + sealed

    @property
    def has_data_to_send(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._out) or (self._yamux is not None and self._yamux.has_data_to_send)

    def _seal(self, plaintext: bytes) -> None:
        assert self._sealer is not None
        self._put(self._sealer.encrypt(plaintext))

    def _put(self, message: bytes) -> None:
        size = len(message)
        if size <= _SHORT:
            self._out.append(_LENGTH.pack(size) + message)
        else:
            self._out += (_LENGTH.pack(size), message)

    # What comes in.

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Takes bytes as they come; what they mean, in order.

        Raises `RemoteProtocolError` for anything wrong; the connection can then only be dropped.
        """
        events: list[Event] = []
        phase = self._phase
        if phase is _Phase.FAILED:
            raise LocalProtocolError("the connection has failed: nothing more can be received")
        try:
            if phase is _Phase.OPEN:
                size = len(data)
                if 2 < size <= _SHORT and data[0] << 8 | data[1] == size - 2 and not self._inbox:
                    # One whole short message, and nothing else: what a conversation mostly is.
                    assert self._opener is not None
                    assert self._yamux is not None
                    self._yamux.receive_into(self._opener.decrypt(bytes(data[2:])), events)
                    return events
            elif phase is _Phase.SECURITY:
                data = self._negotiate_security(data)
            with memoryview(data) as view:
                self._receive_messages(view, events)
        except RemoteProtocolError:
            self._fail()
            raise
        return events

    def _fail(self) -> None:
        self._phase = _Phase.FAILED
        self._out.clear()
        self._inbox.clear()

    def _receive_messages(self, view: memoryview, events: list[Event]) -> None:
        """Cuts the bytes into Noise messages. Only those that come in parts are copied into the inbox."""
        offset, end = 0, len(view)
        inbox = self._inbox
        while inbox and offset < end:
            wanted = 2 if len(inbox) < 2 else 2 + self._message_size(inbox, 0)
            stop = min(end, offset + wanted - len(inbox))
            inbox += view[offset:stop]
            offset = stop
            if len(inbox) >= 2 and len(inbox) == 2 + self._message_size(inbox, 0):
                message = bytes(memoryview(inbox)[2:])
                inbox.clear()
                self._handle_message(message, events)
        opener, yamux, scratch = self._opener, self._yamux, self._scratch
        while end - offset >= 2:
            start = offset + 2
            stop = start + (view[offset] << 8 | view[offset + 1])
            if stop > end:
                break
            if yamux is not None and opener is not None:
                with view[start:stop] as sealed:  # an error's traceback would keep the caller's buffer
                    if stop - start <= _SHORT or scratch is None:
                        plaintext: bytes | memoryview = opener.decrypt(sealed)
                    else:
                        plaintext = scratch[: opener.decrypt_into(sealed, scratch)]
                yamux.receive_into(plaintext, events)
            else:
                self._message_size(view, offset)
                self._handle_message(bytes(view[start:stop]), events)
                opener, yamux = self._opener, self._yamux
            offset = stop
        if end - offset >= 2:
            self._message_size(view, offset)
        if offset < end:
            inbox += view[offset:]

    def _message_size(self, data: bytearray | memoryview, offset: int) -> int:
        size = data[offset] << 8 | data[offset + 1]
        if size > self._max_message_size:
            raise RemoteProtocolError(f"a handshake message of {size} bytes", reason="too_long")
        return size

    def _handle_message(self, message: bytes, events: list[Event]) -> None:
        if self._opener is None:
            self._handle_handshake(message, events)
            return
        plaintext = self._opener.decrypt(message)
        if self._yamux is not None:
            self._yamux.receive_into(plaintext, events)
        else:
            self._negotiate_muxer(plaintext, events)

    # The upgrade.

    def _negotiate_security(self, data: bytes | bytearray | memoryview) -> bytes:
        """What is left for the handshake of `data`; nothing as long as `/noise` is not agreed on."""
        negotiation = self._negotiation
        assert negotiation is not None
        negotiation.receive(data)
        self._out.append(negotiation.data_to_send())
        if negotiation.selected is None:
            return b""
        self._negotiation = None
        self._phase = _Phase.HANDSHAKE
        return negotiation.leftover()

    def _write_handshake(self, handshake: HandshakeState, payload: bytes) -> None:
        self._put(handshake.write_message(payload))

    def _handle_handshake(self, message: bytes, events: list[Event]) -> None:
        handshake = self._handshake
        assert handshake is not None
        payload = handshake.read_message(message)
        named = False
        # The first message of XX says nothing of its sender, and what it might carry is neither secret nor proven.
        if handshake.remote_static is not None:
            remote = _decode_payload(payload)
            self._peer_id = self._proven_peer(remote, handshake.remote_static)
            named = self._early_muxer and _PROTOCOL_BYTES in remote.muxers
        if handshake.my_turn:
            self._write_handshake(handshake, self._identity.payload(early_muxer=self._early_muxer))
        if handshake.finished:
            self.handshake_hash = handshake.handshake_hash
            self._sealer, self._opener = handshake.split()
            self._handshake = None
            self._max_message_size = MAX_MESSAGE_SIZE
            self._begin_muxer(named, events)

    def _proven_peer(self, payload: _Payload, remote_static: bytes) -> PeerId:
        public_key = decode_public_key(payload.identity_key)
        peer_id = PeerId.from_public_key(public_key)
        if self._expected_peer is not None and peer_id != self._expected_peer:
            raise RemoteProtocolError(f"expected {self._expected_peer}, met {peer_id}", reason="wrong_peer")
        if not self._suite.verify(public_key, _SIGNED_PREFIX + remote_static, payload.identity_signature):
            raise RemoteProtocolError("the peer's identity did not sign its Noise key", reason="bad_signature")
        return peer_id

    def _begin_muxer(self, named: bool, events: list[Event]) -> None:
        if named:
            self._open(events)
            return
        self._phase = _Phase.MUXER
        self._negotiation = Dialer([PROTOCOL]) if self._initiator else Listener([PROTOCOL])
        self._seal_negotiation(self._negotiation)

    def _negotiate_muxer(self, plaintext: bytes, events: list[Event]) -> None:
        negotiation = self._negotiation
        assert negotiation is not None
        negotiation.receive(plaintext)
        self._seal_negotiation(negotiation)
        if negotiation.selected is not None:
            self._negotiation = None
            events += self._open(events).receive(negotiation.leftover())

    def _seal_negotiation(self, negotiation: Dialer | Listener) -> None:
        data = negotiation.data_to_send()
        if data:
            self._seal(data)

    def _open(self, events: list[Event]) -> Yamux:
        self._phase = _Phase.OPEN
        self._yamux = Yamux(self._initiator, self._limits, self._budget)
        events.append(Established(self.peer_id))
        return self._yamux


def _encode_payload(identity: NoiseIdentity, muxers: Sequence[bytes]) -> bytes:
    encoded = bytes_field(_IDENTITY_KEY, encode_public_key(identity.peer_id.public_key))
    encoded += bytes_field(_IDENTITY_SIGNATURE, identity.signature)
    if muxers:
        encoded += bytes_field(_EXTENSIONS, b"".join(bytes_field(_STREAM_MUXERS, muxer) for muxer in muxers))
    return encoded


def _decode_payload(data: bytes) -> _Payload:
    """Raises `RemoteProtocolError` where the identity is missing or anything is malformed."""
    # Of a field that comes twice the last one counts, as protobuf has it.
    fields = dict(_bytes_fields(data))
    key, signature = fields.get(_IDENTITY_KEY), fields.get(_IDENTITY_SIGNATURE)
    if key is None or signature is None:
        raise RemoteProtocolError("the handshake names no identity key and signature", reason="no_identity")
    extensions = _bytes_fields(fields.get(_EXTENSIONS, b""))
    return _Payload(key, signature, tuple(name for number, name in extensions if number == _STREAM_MUXERS))


def _bytes_fields(data: bytes) -> list[tuple[int, bytes]]:
    return [(number, value) for number, value in decode_fields(data) if isinstance(value, bytes)]
