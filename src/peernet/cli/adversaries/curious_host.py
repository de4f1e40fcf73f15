"""A host that does its work and keeps everything that reaches it: `python -m peernet.cli.adversaries.curious_host`.

It is `peernet host` with `--notebook DIR`. It breaks no rule of the protocol, so nobody can tell it from another host;
what protects a client from it is that little reaches it. It writes down

- every message of its rings, opened, both ways: lane, prompt, parameters, vouchers, answer, receipt;
- every byte of the legs that they came over, handshakes included, and which neighbour opened each;
- every peer that it has a connection with, and from which network address.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from peernet.cli import host
from peernet.cli.adversaries.notebook import CONNECTION, HEARD, LEG, LEG_IN, LEG_OUT, SAID, Notebook
from peernet.cli.services import run_service
from peernet.net.rings import RING_PROTOCOL, RingChannel, RingLimits, RingService
from peernet.net.streams import PeerStream
from peernet.node.config import NetworkConfig
from peernet.node.peer import Peer, PeerKeys, now_s

__all__ = ["CuriousPeer", "main"]


class CuriousPeer(Peer):
    """A peer that overhears the rings that end at it."""

    def __init__(
        self, keys: PeerKeys, network: NetworkConfig, roles: Sequence[str], state: Path | None, *, notebooks: Path
    ) -> None:
        super().__init__(keys, network, roles, state)
        # It takes the place of the ring service that the peer has made.
        self.rings = _OverhearingRings(self, Notebook(notebooks / f"{self.peer_id}.jsonl"))


class _OverhearingRings(RingService):
    """The ring service, with an ear at every leg and at every ring that is joined here."""

    def __init__(self, peer: Peer, notebook: Notebook) -> None:
        super().__init__(
            peer.swarm,
            peer.suite,
            peer.onion_secrets,
            now_s,
            relay="relay" in peer.roles,
            allow_private=peer.network.test,
            limits=RingLimits(),
        )
        self._notebook = notebook
        self._known: set[tuple[str, str]] = set()
        self._rings = 0
        peer.swarm.handle(RING_PROTOCOL, self._overhear_leg)

    def serve(self, service: str, handler: Any) -> None:
        async def overheard(ring: RingChannel) -> None:
            self._rings += 1
            await handler(cast("RingChannel", _OverheardChannel(ring, self._notebook, self._rings)))

        super().serve(service, overheard)

    async def _overhear_leg(self, stream: PeerStream) -> None:
        for peer, connection in self._swarm.connections.items():
            known = (str(peer), connection.observed or "")
            if known not in self._known:
                self._known.add(known)
                self._notebook.write(CONNECTION, peer=peer, address=known[1])
        self._notebook.write(LEG, peer=stream.peer, address=stream.observed or "")
        await self._serve_leg(cast("PeerStream", _OverheardStream(stream, self._notebook)))


class _OverheardStream:
    """A leg, every byte of which is written down."""

    def __init__(self, stream: PeerStream, notebook: Notebook) -> None:
        self._stream = stream
        self._notebook = notebook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def receive_some(self) -> bytes:
        data = await self._stream.receive_some()
        self._notebook.write(LEG_IN, data, peer=self._stream.peer)
        return data

    async def send_all(self, data: bytes) -> None:
        self._notebook.write(LEG_OUT, data, peer=self._stream.peer)
        await self._stream.send_all(data)


class _OverheardChannel:
    """The end of a ring, every message of which is written down."""

    def __init__(self, ring: RingChannel, notebook: Notebook, number: int) -> None:
        self._ring = ring
        self._notebook = notebook
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)

    async def receive(self) -> bytes | None:
        message = await self._ring.receive()
        if message is not None:
            self._notebook.write(HEARD, message, ring=self._number)
        return message

    async def send(self, message: bytes) -> None:
        self._notebook.write(SAID, message, ring=self._number)
        await self._ring.send(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the host until ended; returns its exit code."""
    parser = argparse.ArgumentParser(prog="curious host", description="a host that keeps everything that reaches it")
    command = parser.add_subparsers(required=True).add_parser("host")
    host.configure(command)
    command.add_argument("--notebook", type=Path, required=True, metavar="DIR", help="where it keeps it")
    arguments = parser.parse_args(argv)
    make_peer = partial(CuriousPeer, notebooks=arguments.notebook)
    return run_service(arguments, partial(host.serve, arguments, make_peer))


if __name__ == "__main__":
    sys.exit(main())
