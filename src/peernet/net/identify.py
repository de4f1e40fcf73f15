"""identify over streams: saying what this peer is, and asking another one.

Rules, beside those of `core.identify`:

1. Only who serves something says anything. A client does not call `serve_identify`, and is asked in vain.
2. What is said is what anybody may know: the addresses that others are told anyway, and the protocols.
3. Addresses of another peer that do not read as multiaddrs are passed over. Those that do are claims: whoever dials
   one checks it first (`net.addresses.dialable`).
"""

from collections.abc import Callable, Iterable
from typing import Final

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed
from peernet.core.identify import (
    MAX_MESSAGE_SIZE,
    MAX_MESSAGES,
    PROTOCOL,
    Identify,
    decode_identify,
    encode_identify,
)
from peernet.core.identity import PeerId
from peernet.net.addresses import Address, address_text, binary_address
from peernet.net.messages import Frames
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["IDENTIFY_TIMEOUT_S", "PROTOCOL_VERSION", "PeerDescription", "identify", "serve_identify"]

PROTOCOL_VERSION: Final = "/peernet/1"
IDENTIFY_TIMEOUT_S: Final = 10.0
"""For asking, and the connection and stream for it; and for answering."""


@frozen
class PeerDescription:
    """What a peer says about itself. Its id and key are proven, all the rest it claims."""

    peer: PeerId
    protocol_version: str
    agent_version: str
    listen_addresses: tuple[str, ...]
    """Multiaddrs without the peer's id, of any transport."""
    observed_address: str | None
    """Where it sees us; None if it does not say."""
    protocols: tuple[str, ...]

    @property
    def public_key(self) -> bytes:
        """The peer's Ed25519 key, 32 bytes."""
        return self.peer.public_key


def serve_identify(swarm: Swarm, agent_version: str, addresses: Callable[[], Iterable[Address]]) -> None:
    """Tells whoever asks what `swarm` serves, and that it is reached at `addresses`."""

    async def answer(stream: PeerStream) -> None:
        said = Identify(
            swarm.peer_id,
            protocol_version=PROTOCOL_VERSION,
            agent_version=agent_version,
            listen_addresses=tuple(binary_address(str(address)) for address in addresses()),
            observed_address=b"" if stream.observed is None else binary_address(stream.observed),
            protocols=tuple(sorted(swarm.protocols)),
        )
        with trio.fail_after(IDENTIFY_TIMEOUT_S):
            await Frames(stream).send(encode_identify(said))

    swarm.handle(PROTOCOL, answer)


async def identify(swarm: Swarm, peer: PeerId, addresses: Iterable[Address] = ()) -> PeerDescription:
    """What `peer` says about itself, over the connection there is, or one made to `addresses`.

    Raises `ConnectionFailed` when it says nothing in time, `RemoteProtocolError` for what is not in order.
    """
    try:
        with trio.fail_after(IDENTIFY_TIMEOUT_S):
            said = await _ask(swarm, peer, addresses)
    except trio.TooSlowError as error:
        raise ConnectionFailed(f"{peer} does not identify itself within {IDENTIFY_TIMEOUT_S:g} s") from error
    readable = map(address_text, said.listen_addresses)
    return PeerDescription(
        peer,
        said.protocol_version,
        said.agent_version,
        tuple(text for text in readable if text),
        address_text(said.observed_address),
        said.protocols,
    )


async def _ask(swarm: Swarm, peer: PeerId, addresses: Iterable[Address]) -> Identify:
    messages: list[bytes] = []
    async with await swarm.open_stream(peer, addresses, PROTOCOL, optimistic=True) as stream:
        await stream.close_sending()
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        # One more than is taken, so that too many are told from just enough.
        while len(messages) <= MAX_MESSAGES and (message := await frames.receive()) is not None:
            messages.append(message)
    if not messages:
        raise ConnectionFailed(f"{peer} closed the stream instead of identifying itself")
    return decode_identify(messages, peer)
