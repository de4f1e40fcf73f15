"""A peer's own end of circuits: dialling through a relay, and taking what its relays bring.

The swarm dials a `CircuitAddress` by `dial_circuit` and takes a `CircuitIncoming` like any other connection: what
flows over a circuit is the ordinary upgrade, with the identity of who is at its far end. Rules:

1. A relay is dialled directly: there is no circuit through a circuit.
2. What comes through a relay counts under the relay's address, and is marked (`is_relayed`), so that nobody takes it
   for a connection that was made to this peer's own address.

Source: libp2p specifications, "Circuit Relay v2".
"""

from collections.abc import Iterable
from typing import Final, Protocol

import trio
from attrs import frozen

from peernet.core.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE_SIZE,
    Connect,
    Status,
    StatusMessage,
    decode_hop,
    encode_hop,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.net.addresses import Address, CircuitAddress
from peernet.net.connection import PeerConnection
from peernet.net.messages import Frames
from peernet.net.streams import PeerStream

__all__ = ["CIRCUIT_MARK", "CircuitIncoming", "CircuitStream", "dial_circuit", "is_relayed", "observed_ip"]

CIRCUIT_MARK: Final = "/p2p-circuit"


class StreamOpener(Protocol):
    """What dialling needs of the swarm."""

    async def open_stream(
        self, peer: PeerId, addresses: Iterable[Address], protocol: str, *, direct: bool
    ) -> PeerStream:
        """A stream to `peer`, by a `direct` connection if so; raises `ConnectionFailed`."""
        ...


def is_relayed(stream: PeerStream | PeerConnection) -> bool:
    """Whether the connection, or the stream's, goes through a relay."""
    return stream.observed is not None and stream.observed.endswith(CIRCUIT_MARK)


def observed_ip(stream: PeerStream | PeerConnection) -> str:
    """The IP address that the connection, or the stream's, comes from or leads to; its relay's where there is one."""
    assert stream.observed is not None
    return stream.observed.split("/")[2]


class CircuitStream:
    """A stream through a relay, as the transport port has byte streams."""

    def __init__(self, stream: PeerStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except ConnectionFailed as error:
            raise trio.BrokenResourceError("the circuit is over") from error

    async def receive_some(self, max_bytes: int) -> bytes:
        try:
            return await self._stream.receive_some()
        except ConnectionFailed as error:
            raise trio.BrokenResourceError("the circuit is over") from error

    async def aclose(self) -> None:
        self._stream.reset()
        await trio.lowlevel.checkpoint()


@frozen
class CircuitIncoming:
    """A connection that a relay brings, which is already open."""

    stream: PeerStream

    @property
    def host(self) -> str | None:
        return observed_ip(self.stream)

    async def open(self) -> CircuitStream:
        return CircuitStream(self.stream)


async def dial_circuit(opener: StreamOpener, address: CircuitAddress, peer: PeerId) -> CircuitStream:
    """A byte stream to `peer` through the relay of `address`.

    Raises `ConnectionFailed` where the relay cannot be had, or has no way to the peer. Waits without a bound.
    """
    if address.relay == peer:
        raise ConnectionFailed(f"{peer} is no relay to itself")
    stream = await opener.open_stream(address.relay, (address.via,), HOP_PROTOCOL, direct=True)
    try:
        await _connect(stream, address.relay, peer)
    except BaseException:
        stream.reset()
        raise
    return CircuitStream(stream)


async def _connect(stream: PeerStream, relay: PeerId, peer: PeerId) -> None:
    frames = Frames(stream, MAX_MESSAGE_SIZE)
    await frames.send(encode_hop(Connect(peer)))
    data = await frames.receive()
    if data is None:
        raise ConnectionFailed(f"the relay {relay} closed the stream")
    reply = decode_hop(data)
    if not isinstance(reply, StatusMessage):
        raise RemoteProtocolError("a relay answered with a request", reason="bad_circuit")
    if reply.status != Status.OK:
        raise ConnectionFailed(f"the relay {relay} has no way to {peer} (status {reply.status})")
    frames.release()
