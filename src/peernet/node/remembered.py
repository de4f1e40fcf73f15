"""The peers that a node remembers over a restart: where it begins again when no bootstrap node answers.

A small text file in the state folder, an address of a peer on each line (`/ip4/../tcp/../p2p/12D3KooW..`). Addresses
and not records, since those expire within the hour: a session proves who answers at an address. The file is
replaced whole; a line that is damaged is passed over, and costs one peer.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from peernet.core.errors import UserError
from peernet.net.addresses import PeerAddress, parse_peer_address
from peernet.node.home import replace_file

__all__ = ["MAX_REMEMBERED", "RememberedPeers"]

MAX_REMEMBERED: Final = 128
_MAX_FILE_SIZE: Final = 64 * 1024


class RememberedPeers:
    """The file of one node."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[PeerAddress]:
        """Those remembered, at most `MAX_REMEMBERED`; none when there is no file, or it cannot be read."""
        try:
            with self._path.open("rb") as file:
                lines = file.read(_MAX_FILE_SIZE).decode("utf-8", "replace").splitlines()
        except OSError:
            return []  # it is a convenience: without it, the bootstrap nodes are asked
        return list(islice(_addresses(lines), MAX_REMEMBERED))

    def save(self, peers: Iterable[PeerAddress]) -> None:
        """Remembers `peers`, and as many of those known from before as there is room for."""
        newest = {peer.peer: peer for peer in peers}
        earlier = [peer for peer in self.load() if peer.peer not in newest]
        lines = [f"{peer}\n" for peer in islice((*newest.values(), *earlier), MAX_REMEMBERED)]
        replace_file(self._path, "".join(lines).encode())


def _addresses(lines: Iterable[str]) -> Iterable[PeerAddress]:
    for line in lines:
        try:
            yield parse_peer_address(line)
        except UserError:
            continue
