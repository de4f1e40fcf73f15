"""identify 1.0.0: what a peer says about itself, and where it sees the one who asks.

The one who asks opens a stream and writes nothing. The other one sends an `Identify` protobuf after its length and
closes its half. Some implementations spread a long one over several messages, which count as one.

Rules:

1. Everything in it is a claim, but for the key, which must be the one that the session has proven. A message without
   a key is taken for one with that key.
2. Unknown fields are passed over, among them `signedPeerRecord`: our records are those of the DHT. Of a field that
   comes twice and should not, the last one counts, as protobuf has it.
3. A message has at most `MAX_MESSAGE_SIZE` bytes, at most `MAX_MESSAGES` of them come, and there is a limit on
   addresses, protocols, and every text. Text is printable: it may be shown to a person.
4. Addresses are binary multiaddrs. What they mean is for the reader: implementations have transports that we do not
   know.

Source: libp2p specifications, "Identify v1.0.0".
"""

from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import PeerId, decode_public_key, encode_public_key
from peernet.core.protobuf import bytes_field, decode_fields

__all__ = [
    "MAX_ADDRESSES",
    "MAX_ADDRESS_SIZE",
    "MAX_MESSAGES",
    "MAX_MESSAGE_SIZE",
    "MAX_PROTOCOLS",
    "MAX_TEXT_SIZE",
    "PROTOCOL",
    "Identify",
    "decode_identify",
    "encode_identify",
]

PROTOCOL: Final = "/ipfs/id/1.0.0"
MAX_MESSAGE_SIZE: Final = 8 * 1024
"""Bytes of one message: what other implementations take."""
MAX_MESSAGES: Final = 10
MAX_ADDRESSES: Final = 128
MAX_PROTOCOLS: Final = 256
MAX_TEXT_SIZE: Final = 256
"""Bytes of a version or of a protocol's name."""
MAX_ADDRESS_SIZE: Final = 512
_MAX_FIELDS: Final = MAX_ADDRESSES + MAX_PROTOCOLS + 16

_PUBLIC_KEY: Final = 1
_LISTEN_ADDRESS: Final = 2
_PROTOCOL: Final = 3
_OBSERVED_ADDRESS: Final = 4
_PROTOCOL_VERSION: Final = 5
_AGENT_VERSION: Final = 6


@frozen
class Identify:
    """What a peer says about itself; addresses are binary multiaddrs, without the peer's id."""

    peer: PeerId
    protocol_version: str = ""
    agent_version: str = ""
    listen_addresses: tuple[bytes, ...] = ()
    observed_address: bytes = b""
    """Where it sees the one who asks; empty if it does not say."""
    protocols: tuple[str, ...] = ()


def encode_identify(identify: Identify) -> bytes:
    """The protobuf, without its length; raises `LocalProtocolError` for one over the limits."""
    data = bytes_field(_PUBLIC_KEY, encode_public_key(identify.peer.public_key))
    data += b"".join(bytes_field(_LISTEN_ADDRESS, address) for address in identify.listen_addresses)
    data += b"".join(bytes_field(_PROTOCOL, protocol.encode()) for protocol in identify.protocols)
    for number, value in (
        (_OBSERVED_ADDRESS, identify.observed_address),
        (_PROTOCOL_VERSION, identify.protocol_version.encode()),
        (_AGENT_VERSION, identify.agent_version.encode()),
    ):
        data += bytes_field(number, value) if value else b""
    try:
        readable = decode_identify([data], identify.peer) == identify
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"nobody would take what we say about ourselves: {error}") from error
    if not readable:
        raise LocalProtocolError("what we say about ourselves reads differently from what was meant")
    return data


def decode_identify(messages: list[bytes], peer: PeerId) -> Identify:
    """What `peer`, proven by the session, said in one message or several; raises `RemoteProtocolError`."""
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise RemoteProtocolError(f"{len(messages)} messages to identify one peer", reason="bad_identify")
    if any(len(message) > MAX_MESSAGE_SIZE for message in messages):
        raise RemoteProtocolError(f"an identify message of over {MAX_MESSAGE_SIZE} bytes", reason="too_long")
    addresses: list[bytes] = []
    protocols: list[bytes] = []
    single: dict[int, bytes] = {}
    for message in messages:
        for number, value in decode_fields(message, max_fields=_MAX_FIELDS):
            if not isinstance(value, bytes):
                continue
            if number == _LISTEN_ADDRESS:
                addresses.append(value)
            elif number == _PROTOCOL:
                protocols.append(value)
            else:
                single[number] = value
    _check_key(single.get(_PUBLIC_KEY), peer)
    if len(addresses) > MAX_ADDRESSES or len(protocols) > MAX_PROTOCOLS:
        raise RemoteProtocolError(
            f"{len(addresses)} addresses and {len(protocols)} protocols of one peer", reason="bad_identify"
        )
    observed = single.get(_OBSERVED_ADDRESS, b"")
    if any(len(address) > MAX_ADDRESS_SIZE for address in (*addresses, observed)):
        raise RemoteProtocolError(f"an address of over {MAX_ADDRESS_SIZE} bytes", reason="bad_identify")
    return Identify(
        peer,
        protocol_version=_text(single.get(_PROTOCOL_VERSION, b"")),
        agent_version=_text(single.get(_AGENT_VERSION, b"")),
        listen_addresses=tuple(addresses),
        observed_address=observed,
        protocols=tuple(map(_text, protocols)),
    )


def _check_key(encoded: bytes | None, peer: PeerId) -> None:
    if encoded is not None and decode_public_key(encoded) != peer.public_key:
        raise RemoteProtocolError("a peer that identifies itself with another one's key", reason="wrong_peer")


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("a peer's version or protocol is not text", reason="bad_identify") from error
    if len(data) > MAX_TEXT_SIZE or not text.isprintable():
        raise RemoteProtocolError("a peer's version or protocol is too long, or not printable", reason="bad_identify")
    return text
