"""Relays that flip a bit of somebody's answer: `python -m peernet.cli.adversaries.flipping_relay`.

It is `peernet relay` with `--notebook DIR`. Its relays keep every cell that they forward, as it came and as it left.
One of them, once, flips one bit of one cell on its way back to a client: the least that could be done, and as late as
the `FLIPPED_CELL`-th cell, when the handshakes are done and an answer is under way. Whoever finds that it hit nothing
of interest may have one of them do it once more (`allow_another`).
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from attrs import frozen

from peernet.cli import relay
from peernet.cli.adversaries.notebook import CELL, FLIPPED, LEG, ONWARD, Notebook
from peernet.cli.services import run_service
from peernet.core.identity import PeerId
from peernet.core.ring.cells import CELL_SIZE
from peernet.core.ring.hop import Extend, Hop
from peernet.net.rings import RING_PROTOCOL, RingLimits, RingService
from peernet.net.streams import PeerStream
from peernet.node.config import NetworkConfig
from peernet.node.peer import Peer, PeerKeys, now_s

__all__ = ["FLIPPED_CELL", "FlippingPeer", "allow_another", "main"]

FLIPPED_CELL: Final = 8
"""Of those towards the client on one arc, from 1. The ring that funds a lane never sends so many."""
FLIPPED_BYTE: Final = 100


@frozen
class _Occasion:
    """What all relays of the process wait for: a file, which who takes it removes."""

    file: Path

    @classmethod
    def among(cls, notebooks: Path) -> "_Occasion":
        return cls(notebooks / "occasion")

    def give(self) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.file.touch()

    def take(self) -> bool:
        """Whether there was one."""
        try:
            self.file.unlink()
        except FileNotFoundError:
            return False
        return True


def allow_another(notebooks: Path) -> None:
    """Lets the relays with notebooks in this folder flip one more bit."""
    _Occasion.among(notebooks).give()


class FlippingPeer(Peer):
    """A relay that flips a bit when it gets the chance."""

    def __init__(
        self,
        keys: PeerKeys,
        network: NetworkConfig,
        roles: Sequence[str],
        state: Path | None,
        *,
        notebooks: Path,
        occasion: _Occasion,
    ) -> None:
        super().__init__(keys, network, roles, state)
        # It takes the place of the ring service that the peer has made.
        self.rings = _FlippingRings(self, Notebook(notebooks / f"{self.peer_id}.jsonl"), occasion)


class _FlippingRings(RingService):
    def __init__(self, peer: Peer, notebook: Notebook, occasion: _Occasion) -> None:
        super().__init__(
            peer.swarm,
            peer.suite,
            peer.onion_secrets,
            now_s,
            relay=True,
            allow_private=peer.network.test,
            limits=RingLimits(),
        )
        self._notebook = notebook
        self._occasion = occasion
        self._sent_back: WeakKeyDictionary[Hop, int] = WeakKeyDictionary()
        peer.swarm.handle(RING_PROTOCOL, self._note_leg)

    async def _note_leg(self, stream: PeerStream) -> None:
        self._notebook.write(LEG, peer=stream.peer, address=stream.observed or "")
        await self._serve_leg(stream)

    async def _extend(self, command: Extend, neighbour: PeerId) -> PeerStream:
        onward = await super()._extend(command, neighbour)
        self._notebook.write(ONWARD, peer=onward.peer, address=onward.observed or "")
        return onward

    def forward(self, hop: Hop, cells: bytes) -> bytes:
        passed = super().forward(hop, cells)
        self._note_cells(cells, passed)
        return passed

    def forward_back(self, hop: Hop, cells: bytes) -> bytes:
        passed = super().forward_back(hop, cells)
        self._note_cells(cells, passed)
        before = self._sent_back.get(hop, 0)
        self._sent_back[hop] = before + len(passed) // CELL_SIZE
        if not before < FLIPPED_CELL <= self._sent_back[hop] or not self._occasion.take():
            return passed
        start = (FLIPPED_CELL - before - 1) * CELL_SIZE
        cell = passed[start : start + CELL_SIZE]
        altered = cell[:FLIPPED_BYTE] + bytes([cell[FLIPPED_BYTE] ^ 1]) + cell[FLIPPED_BYTE + 1 :]
        self._notebook.write(FLIPPED, cell + altered)
        return passed[:start] + altered + passed[start + CELL_SIZE :]

    def _note_cells(self, cells: bytes, passed: bytes) -> None:
        for start in range(0, len(cells), CELL_SIZE):
            stop = start + CELL_SIZE
            self._notebook.write(CELL, cells[start:stop] + passed[start:stop])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the relays until ended; returns the exit code."""
    parser = argparse.ArgumentParser(prog="flipping relay", description="relays that alter what they forward")
    command = parser.add_subparsers(required=True).add_parser("relay")
    relay.configure(command)
    command.add_argument("--notebook", type=Path, required=True, metavar="DIR", help="where they keep all cells")
    arguments = parser.parse_args(argv)
    occasion = _Occasion.among(arguments.notebook)
    occasion.give()
    make_peer = partial(FlippingPeer, notebooks=arguments.notebook, occasion=occasion)
    return run_service(arguments, partial(relay.serve, arguments, make_peer))


if __name__ == "__main__":
    sys.exit(main())
