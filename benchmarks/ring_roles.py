"""The processes of the ring benchmark: a relay, who receives behind it, a bare forwarder to compare the relay with.

`python -m benchmarks.ring_roles ROLE` prints where it is found, and then answers each line that it reads: `cpu` with
the seconds of CPU time that it has used, `memory` with the bytes that it holds. It ends with its input. A holder is a
client with many idle arcs.
"""

import gc
import json
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio
from attrs import define, field

from peernet.core.dht.records import PeerRecord, operator_statement, sign_record
from peernet.core.identity import Keypair, PeerId
from peernet.core.ring.arc import Arc, ArcBuilt, ArcHop
from peernet.core.ring.cells import CELL_SIZE, CellType, cut_cells
from peernet.core.ring.hop import Hop, Joined, SendBack
from peernet.core.suite import MixedSuite
from peernet.net.addresses import TcpAddress, parse_address
from peernet.net.limits import BUSY
from peernet.net.rings import RING_PROTOCOL, RingHop
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer

__all__ = [
    "ARCS",
    "ARCS_A_CLIENT",
    "CLIENT",
    "ECHO",
    "RECEIVERS",
    "SUITE",
    "Child",
    "arc_to",
    "child",
    "hops_of",
    "new_swarm",
]

RELAY: Final = "127.66.1.1"
CLIENT: Final = "127.66.3.1"
RECEIVERS: Final = 4
"""Swarms in the process that receives: one relay opens at most 512 streams to one peer."""
ARCS: Final = 1000
ARCS_A_CLIENT: Final = 125
"""A relay bears 128 legs of one neighbour."""
ECHO: Final = b"echo"
"""The mode of a receiver that sends everything back."""
SUITE: Final = MixedSuite()


@define
class Child:
    """A process of a role, as who started it sees it."""

    process: trio.Process
    _unread: bytearray = field(factory=bytearray)

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            data = await self.process.stdout.receive_some()
            if not data:
                raise EOFError("a process of the benchmark has ended")
            self._unread += data
        line, _, rest = self._unread.partition(b"\n")
        self._unread = bytearray(rest)
        return line.decode()

    async def tell(self, line: str) -> None:
        """Gives it a line."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(line.encode() + b"\n")

    async def ask(self, what: str) -> float:
        """What it answers to `cpu` or `memory`."""
        await self.tell(what)
        return float(await self.line())


def hops_of(line: str) -> list[RingHop]:
    """The peers that a process has told of in this line."""
    return [
        RingHop(
            PeerId.from_public_key(bytes.fromhex(peer["key"])),
            tuple(parse_address(address) for address in peer["addresses"]),
            bytes.fromhex(peer["onion_key"]),
            bytes.fromhex(peer["record"]),
        )
        for peer in json.loads(line)
    ]


@asynccontextmanager
async def child(*words: str) -> AsyncIterator[Child]:
    """Runs a role in a process of its own, and ends it."""
    command = [sys.executable, "-m", "benchmarks.ring_roles", *words]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Child(process)
    finally:
        assert process.stdin is not None
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(5) as waiting:
                await process.wait()
            if waiting.cancelled_caught:
                process.kill()
                await process.wait()


def new_swarm(host: str) -> Swarm:
    """A swarm with a fresh key."""
    return Swarm(SUITE, Keypair.from_seed(secrets.token_bytes(32), SUITE), bind=host, limits=BUSY, allow_private=True)


async def arc_to(swarm: Swarm, hops: Sequence[RingHop], mode: bytes = b"") -> tuple[PeerStream, Arc]:
    """The stream of a new arc over these hops, and the arc; with a `mode`, the last one receives in it."""
    arc = Arc(SUITE, [ArcHop(hop.onion_key, hop.record, secrets.token_bytes(32)) for hop in hops])
    stream = await swarm.open_stream(hops[0].peer, hops[0].addresses, RING_PROTOCOL, optimistic=True)
    arc.start()
    buffer = bytearray()
    while not arc.built:
        if cells := arc.cells_to_send():
            await stream.send_all(b"".join(cells))
        data = await stream.receive_some()
        if not data:
            raise EOFError("an arc was not built")
        buffer += data
        while len(buffer) >= CELL_SIZE:
            events = arc.receive(bytes(buffer[:CELL_SIZE]))
            del buffer[:CELL_SIZE]
            assert not events or isinstance(events[0], ArcBuilt), events
    if mode:
        arc.send(CellType.JOIN, mode)
        await stream.send_all(b"".join(arc.cells_to_send()))
    return stream, arc


def memory_bytes() -> int:
    """What this process holds in the machine's memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


# --- the roles -------------------------------------------------------------------------------------------------------


async def _run_relay() -> None:
    with tempfile.TemporaryDirectory() as folder:
        network = NetworkConfig(test=True, listen=f"/ip4/{RELAY}/tcp/0", limits="busy")
        peer = Peer(PeerKeys.of(Home.at(Path(folder)), SUITE), network, ["relay"])
        async with running_peer(peer, join=False):
            _say([_told(peer.keys.identity, peer.swarm, peer.onion_secrets()[0], peer.signed_record())])
            await _answer_lines()


async def _run_receiver() -> None:
    """Peers at which arcs end."""
    onion_secret = secrets.token_bytes(32)
    async with trio.open_nursery() as nursery:
        told = []
        for number in range(RECEIVERS):
            host = f"127.66.2.{number + 1}"
            keypair = Keypair.from_seed(secrets.token_bytes(32), SUITE)
            swarm = Swarm(SUITE, keypair, bind=host, limits=BUSY, allow_private=True)
            swarm.handle(RING_PROTOCOL, partial(_receive, onion_secret))
            await nursery.start(swarm.run)
            await swarm.listen(TcpAddress(host, 0))
            told.append(_told(keypair, swarm, onion_secret, _record(keypair, swarm, onion_secret)))
        _say(told)
        await _answer_lines()
        nursery.cancel_scope.cancel()


async def _receive(onion_secret: bytes, stream: PeerStream) -> None:
    """Ends an arc: sends back what comes (`ECHO`), or one cell for so many bytes (their number, 8 bytes)."""
    hop = Hop(SUITE, [onion_secret], secrets.token_bytes(32))
    buffer = bytearray()
    mode = b""
    while not mode:
        for cell in cut_cells(buffer):
            (event,) = hop.receive(cell)
            if isinstance(event, SendBack):
                await stream.send_all(event.cell)
            else:
                assert isinstance(event, Joined)
                mode = event.body
        if not mode:
            data = await stream.receive_some()
            if not data:
                return
            buffer += data
    left = int.from_bytes(mode, "big") if mode != ECHO else 0
    while data := await stream.receive_some():
        if mode == ECHO:
            await stream.send_all(data)
        else:
            left -= len(data)
            if left <= 0:
                await stream.send_all(bytes(CELL_SIZE))
                left += int.from_bytes(mode, "big")


async def _run_holder() -> None:
    """A client with `ARCS` arcs and nothing on them: told of its peers, it says what one costs it, and waits."""
    relay, receivers = await _read_line(), await _read_line()
    (guard,), endpoints = hops_of(relay), hops_of(receivers)
    async with trio.open_nursery() as nursery:
        clients = [new_swarm(CLIENT) for _ in range(ARCS // ARCS_A_CLIENT)]
        held: list[tuple[PeerStream, Arc]] = []
        for client in clients:
            await nursery.start(client.run)
        for endpoint in endpoints:  # every connection is there, and has been used
            for client in clients:
                held += [await arc_to(client, [guard, endpoint])]
        _say(memory_bytes())
        await _read_line()
        for number, client in enumerate(clients):
            for _ in range(ARCS_A_CLIENT - len(endpoints)):
                held += [await arc_to(client, [guard, endpoints[number % len(endpoints)]])]
        _say(memory_bytes())
        await _read_line()
        nursery.cancel_scope.cancel()


async def _run_forwarder(host: str, port: str) -> None:
    """What a relay is compared with: bytes passed both ways between two sockets, as trio's documents would do it."""

    async def serve(incoming: trio.SocketStream) -> None:
        outgoing = await trio.open_tcp_stream(host, int(port))
        async with incoming, outgoing, trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, incoming, outgoing)
            nursery.start_soon(_pass_on, outgoing, incoming)

    await _run_raw(serve)


async def _run_raw_receiver() -> None:
    """Behind the bare forwarder: as `_receive`, with the mode in the first cell."""

    async def serve(incoming: trio.SocketStream) -> None:
        first = bytearray()
        while len(first) < CELL_SIZE:
            first += await incoming.receive_some()
        size = int.from_bytes(first[:8], "big")
        left = size
        while data := await incoming.receive_some(256 * 1024):
            if not size:
                await incoming.send_all(data)
                continue
            left -= len(data)
            if left <= 0:
                await incoming.send_all(bytes(CELL_SIZE))
                left += size

    await _run_raw(serve)


async def _pass_on(origin: trio.SocketStream, destination: trio.SocketStream) -> None:
    while data := await origin.receive_some(256 * 1024):
        await destination.send_all(data)
    await destination.send_eof()


async def _run_raw(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        _say(listeners[0].socket.getsockname()[1])
        await _answer_lines()
        nursery.cancel_scope.cancel()


def _record(keypair: Keypair, swarm: Swarm, onion_secret: bytes) -> bytes:
    issued_s = now_s()
    statement = operator_statement(keypair.public_key)
    record = PeerRecord(
        public_key=keypair.public_key,
        sequence=issued_s,
        issued_at_s=issued_s,
        expires_at_s=issued_s + 3600,
        addresses=tuple(str(address) for address in swarm.listening),
        onion_key=SUITE.x25519_public(onion_secret),
        operator_key=keypair.public_key,
        operator_signature=keypair.sign(statement),
        roles=("host",),
        region="",
    )
    return sign_record(record, keypair)


def _told(keypair: Keypair, swarm: Swarm, onion_secret: bytes, record: bytes) -> dict[str, object]:
    return {
        "key": keypair.public_key.hex(),
        "addresses": [str(address) for address in swarm.listening],
        "onion_key": SUITE.x25519_public(onion_secret).hex(),
        "record": record.hex(),
    }


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


async def _answer_lines() -> None:
    answers: dict[str, Callable[[], float]] = {"cpu": time.process_time, "memory": memory_bytes}
    while line := await _read_line():
        _say(answers[line]())


async def _read_line() -> str:
    """The next line of input, or nothing at its end."""
    line: str = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return line.strip()


_ROLES: Final[dict[str, Callable[..., Awaitable[None]]]] = {
    "holder": _run_holder,
    "relay": _run_relay,
    "receiver": _run_receiver,
    "forwarder": _run_forwarder,
    "raw_receiver": _run_raw_receiver,
}


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    trio.run(_ROLES[sys.argv[1]], *sys.argv[2:])
