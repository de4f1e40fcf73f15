"""A peer that echoes, for tests of being reached: `python -m tests.swarm.nat_peer HOME NETWORK_FILE LISTEN`.

It is a whole peer in the role of a host, without a model. It prints a JSON line when it is ready and each time that
its addresses change, and takes `ask PEER` lines on standard input: it looks PEER up in the DHT, has it echo something,
and prints what came of it. It ends when its standard input closes.
"""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
import trio

from peernet.core.dht.records import PeerRecord
from peernet.core.errors import ConnectionFailed
from peernet.core.identity import PeerId
from peernet.core.suite import MixedSuite
from peernet.net.addresses import dialable
from peernet.net.streams import PeerStream
from peernet.node.config import NetworkConfig, load_table
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer

ECHO = "/test/echo/1"
SAID = b"through the wall " * 1000
ASK_TIMEOUT_S = 10.0
POLL_S = 0.05


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def ask(peer: Peer, name: str) -> None:
    """Prints what the peer of that name echoes, and over what the connection to it goes."""
    wanted = PeerId.parse(name)
    try:
        with trio.fail_after(ASK_TIMEOUT_S):
            found = await peer.discovery.find_nodes(wanted.dht_id)
            contact = next((contact for contact in found.closest if contact.id == wanted.dht_id), None)
            if contact is None:
                raise ConnectionFailed("the DHT does not know it")
            record = peer.discovery.verifier.open(contact.record, now_s()).body
            assert isinstance(record, PeerRecord)
            places = dialable(record.addresses, allow_private=True)
            async with await peer.swarm.open_stream(wanted, places, ECHO) as stream:
                await stream.send_all(SAID)
                await stream.close_sending()
                heard = b""
                while data := await stream.receive_some():
                    heard += data
                say(event="answer", ok=heard == SAID, peer=str(stream.peer), observed=stream.observed)
    except (ConnectionFailed, trio.TooSlowError) as error:
        say(event="answer", ok=False, why=str(error) or type(error).__name__)


async def tell_addresses(peer: Peer) -> None:
    told: list[str] | None = None
    while True:
        addresses = [str(address.address) for address in peer.addresses]
        if addresses != told:
            told = addresses
            say(event="addresses", addresses=addresses)
        await trio.sleep(POLL_S)


async def lines() -> AsyncIterator[str]:
    held = b""
    async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
        while data := await stdin.receive_some(1024):
            *whole, held = (held + data).split(b"\n")
            for line in whole:
                yield line.decode()


async def main(home: Path, network_file: Path, listen: str) -> None:
    network = load_table(network_file, "network", NetworkConfig, {"listen": (listen,)})
    peer = Peer(PeerKeys.of(Home.at(home), MixedSuite()), network, ["host"])
    peer.swarm.handle(ECHO, echo)
    async with running_peer(peer) as nursery:
        say(event="ready", peer=str(peer.peer_id))
        nursery.start_soon(tell_addresses, peer)
        async for line in lines():
            await ask(peer, line.removeprefix("ask "))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
