"""The client's end of a live lookup: one question on a ring, and the answer checked.

`core.lookups` has the messages. What does not open is not believed; a relay that declines, or breaks the protocol, is
`LookupFailed`, and the same is asked elsewhere. A ring needs a relay whose record holds: where there is none left, the
guard tells its own, and those it knows at a random place of the DHT, as it would tell anybody.
"""

import secrets
from collections.abc import Sequence
from typing import Final

import trio

from peernet.core.dht.contact import ID_SIZE
from peernet.core.dht.messages import MAX_REPLY_SIZE, PROTOCOL, FindNode, Nodes, decode_reply, encode_message
from peernet.core.dht.records import Body
from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.lookups import FindHosts, FindPeers, Found, LookupMessages, open_found
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address
from peernet.net.messages import Frames
from peernet.net.rings import RingChannel
from peernet.net.swarm import Swarm

__all__ = ["LookupFailed", "ask", "ask_guard"]

ANSWER_TIMEOUT_S: Final = 6.0
"""A little more than a relay takes at most."""
GUARD_TIMEOUT_S: Final = 5.0


class LookupFailed(PeernetError):
    """A relay made no lookup for us."""


async def ask(
    ring: RingChannel, question: FindPeers | FindHosts, now_s: float, suite: CipherSuite
) -> dict[bytes, Body]:
    """The records that a relay has found, opened, by their bytes; ends the ring.

    Raises `LookupFailed` where it has no answer, `RingFailed` where the ring breaks.
    """
    try:
        await ring.send(LookupMessages.encode(question))
        message = None
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            message = await ring.receive()
        if message is None:
            raise LookupFailed(f"no answer to a lookup: {ring.ended or 'time is up'}")
        answer = LookupMessages.decode(message)
    except RemoteProtocolError as error:
        raise LookupFailed(f"an answer to a lookup that is none: {error.reason}") from error
    finally:
        ring.end()
    if not isinstance(answer, Found):
        raise LookupFailed("the relay has as many lookups to make as it bears")
    return open_found(question, answer.records, now_s, suite)


async def ask_guard(
    swarm: Swarm, guard: PeerId, addresses: Sequence[Address], now_s: float, suite: CipherSuite
) -> dict[bytes, Body]:
    """A guard's own record, and those that it has at a random place of the DHT; raises `LookupFailed`."""
    question = FindPeers(secrets.token_bytes(ID_SIZE))
    try:
        with trio.fail_after(GUARD_TIMEOUT_S):
            async with await swarm.open_stream(guard, addresses, PROTOCOL, optimistic=True) as stream:
                frames = Frames(stream, MAX_REPLY_SIZE)
                # No introduction: a client is no peer of the DHT.
                await frames.send(b"", encode_message(FindNode(question.target)))
                await stream.close_sending()
                own, reply = await frames.receive(), await frames.receive()
        nodes = decode_reply(reply or b"")
    except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
        raise LookupFailed(f"the guard tells nothing: {error}") from error
    if own is None or not isinstance(nodes, Nodes):
        raise LookupFailed("the guard tells nothing")
    return open_found(question, (own, *nodes.records), now_s, suite)
