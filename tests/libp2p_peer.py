"""A peer of py-libp2p 0.8.1, driven by lines of JSON: `python libp2p_peer.py ADDRESS...`.

It runs in the environment of `make libp2p` and imports nothing of ours. The first line out says who it is and where it
listens. Each line in is `[number, action, arguments]`, answered by `[number, result]`, or `[number, null, error]`.
Lines without a number tell how the streams ended that others opened. It ends with its input.

What py-libp2p 0.8.1 needs to be told, or worked around:

- It waits 250 ms after a dial that succeeded for others that might (`_HAPPY_EYEBALLS_DELAY`): switched off.
- `read(n)` on a stream raises at the end of the other side's half where others return nothing.
- It forgets a stream that was reset before it wakes the reader, who is then told of an end: `pieces` asks the stream.
- A WebSocket is dialled or listened on only if an address to listen on is one: so this peer always has both.
"""

import hashlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import libp2p.network.swarm
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.network.stream.exceptions import StreamClosed, StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

ECHO = TProtocol("/test/echo/1")
"""Sends back what comes, and closes its half after the other's."""
RESET = TProtocol("/test/reset/1")
"""Resets the stream once something has come."""
LISTEN = TProtocol("/test/listen/1")
"""Reads to the end, and tells how that was."""
PIECE = 64 * 1024

libp2p.network.swarm._HAPPY_EYEBALLS_DELAY = 0.0


def pattern(size: int) -> bytes:
    """`size` bytes in which every place can be told."""
    block = b"".join(number.to_bytes(4, "big") for number in range(65536))
    return (block * (size // len(block) + 1))[:size]


async def pieces(stream: Any) -> AsyncIterator[bytes]:
    """What comes until the other side closes its half; raises `StreamReset` when it resets the stream."""
    while True:
        try:
            data = await stream.read(PIECE)
        except StreamEOF:
            data = b""
        if not data:
            break
        yield data
    if stream.muxed_stream.reset_received:
        raise StreamReset


def say(*line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def serve_echo(stream: Any) -> None:
    async for data in pieces(stream):
        await stream.write(data)
    await stream.close()


async def serve_reset(stream: Any) -> None:
    await stream.read(PIECE)
    await stream.reset()


async def serve_listen(stream: Any) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        async for data in pieces(stream):
            digest.update(data)
            size += len(data)
    except StreamReset:
        say(None, "reset", size)
        return
    say(None, "closed", size, digest.hexdigest())
    await stream.close()


class Peer:
    def __init__(self, host: Any) -> None:
        self.host = host
        self.pings = PingService(host)

    async def connect(self, address: str) -> str:
        info = info_from_p2p_addr(Multiaddr(address))
        await self.host.connect(info)
        return str(info.peer_id)

    async def wait_for(self, peer: str) -> None:
        """Waits until a peer that dialled is connected here, too; no event announces it."""
        while ID.from_base58(peer) not in self.host.get_connected_peers():  # noqa: ASYNC110
            await trio.sleep(0.005)

    async def disconnect(self, peer: str) -> None:
        await self.host.disconnect(ID.from_base58(peer))

    async def ping(self, peer: str, count: int) -> int:
        return len(await self.pings.ping(ID.from_base58(peer), ping_amt=count))

    async def identify(self, peer: str) -> dict[str, object]:
        stream = await self.host.new_stream(ID.from_base58(peer), [IDENTIFY])
        data = b"".join([piece async for piece in pieces(stream)])
        await stream.close()
        said = parse_identify_response(data)
        return {
            "public_key": said.public_key.hex(),
            "protocol_version": said.protocol_version,
            "agent_version": said.agent_version,
            "listen_addresses": [str(Multiaddr(address)) for address in said.listen_addrs],
            "observed_address": str(Multiaddr(said.observed_addr)),
            "protocols": list(said.protocols),
        }

    async def echo(self, peer: str, size: int) -> bool:
        """Whether what was sent came back, and the end after it; writing and reading at the same time."""
        stream = await self.host.new_stream(ID.from_base58(peer), [ECHO])
        sent = pattern(size)

        async def write() -> None:
            for start in range(0, size, PIECE):
                await stream.write(sent[start : start + PIECE])
            await stream.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            heard = b"".join([piece async for piece in pieces(stream)])
        return heard == sent

    async def echo_many(self, peer: str, count: int) -> int:
        """How many streams at once had their echo."""
        good = 0

        async def one() -> None:
            nonlocal good
            came_back = await self.echo(peer, 1000)
            good += came_back

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(one)
        return good

    async def send_and_reset(self, peer: str) -> None:
        stream = await self.host.new_stream(ID.from_base58(peer), [LISTEN])
        await stream.write(b"not all of it")
        await stream.reset()

    async def be_reset(self, peer: str) -> str:
        """How a stream ended whose other side resets it."""
        stream = await self.host.new_stream(ID.from_base58(peer), [RESET])
        await stream.write(b"something")
        try:
            async for _ in pieces(stream):
                pass
        except StreamReset:
            return "reset"
        except StreamClosed:
            return "closed"
        return "end"

    async def open_unknown(self, peer: str) -> str:
        """What is said of a protocol that nobody serves."""
        try:
            await self.host.new_stream(ID.from_base58(peer), [TProtocol("/test/nothing/1")])
        except StreamFailure as error:
            return str(error.__cause__)
        return ""


async def read_lines() -> AsyncIterator[str]:
    buffer = b""
    async with trio.lowlevel.FdStream(0) as stdin:
        async for data in stdin:
            buffer += data
            while b"\n" in buffer:
                line, _, buffer = buffer.partition(b"\n")
                yield line.decode()


async def answer(number: int, action: Callable[..., Awaitable[object]], arguments: list[Any]) -> None:
    try:
        say(number, await action(*arguments))
    except Exception as error:  # noqa: BLE001  (whatever it is, the test is told)
        say(number, None, f"{type(error).__name__}: {error}")


async def main(addresses: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    keys = create_new_key_pair()
    noise = NoiseTransport(libp2p_keypair=keys, noise_privkey=create_noise_key_pair().private_key)
    listen = [Multiaddr(address) for address in addresses]
    host = new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_preference="YAMUX", listen_addrs=listen)
    async with host.run(listen_addrs=listen):
        for protocol, handler in ((ECHO, serve_echo), (RESET, serve_reset), (LISTEN, serve_listen)):
            host.set_stream_handler(protocol, handler)
        say(str(host.get_id()), [str(address) for address in host.get_addrs()])
        peer = Peer(host)
        async with trio.open_nursery() as nursery:
            async for line in read_lines():
                number, action, arguments = json.loads(line)
                nursery.start_soon(answer, number, getattr(peer, action), arguments)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
