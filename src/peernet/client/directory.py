"""What a client knows of the network: the newest snapshot that it has, and what live lookups have told it since.

The snapshot is remembered in the client's state folder, so that a client can begin without any bootstrap node. Rules:

1. From others a snapshot is taken for `MAX_AGE_S`; what the client has itself serves it for `MAX_KEPT_AGE_S`. From
   `OVERDUE_S` on the user is told (`notices`): something keeps the bootstrap nodes from signing a newer one.
2. Records from live lookups are kept while they hold, `MAX_LIVE` of them, on top of whichever snapshot there is.
3. A file that is damaged, too old, or not signed by those who are trusted now costs a fetch, and nothing else.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import structlog
import trio
from attrs import field, frozen

from peernet.core.dht.records import Body
from peernet.core.directory import MAX_KEPT_AGE_S, MAX_SNAPSHOT_SIZE, OVERDUE_S, Directory, Seal, SignedDirectory
from peernet.core.directory_transfer import MAX_PACKED_SIZE, pack, unpack
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode
from peernet.net.addresses import Address
from peernet.net.swarm import Swarm
from peernet.node.directory_copy import DirectoryCopy
from peernet.node.home import replace_file

__all__ = ["ClientDirectory"]

MAX_LIVE: Final = 1024
_FILE_OVERHEAD: Final = 16 * 1024

log = structlog.get_logger()


@frozen
class _Remembered:
    """What the file holds: a seal, and the compressed snapshot."""

    seal: Seal
    size_bytes: int
    packed: bytes = field(repr=False)


class ClientDirectory:
    """The snapshot of one client and what it has learnt beyond.

    Args:
        trusted: the keys of the configured bootstrap nodes.
        suite: the primitives.
        path: where the snapshot is remembered, or None.
        now_s: the wall clock, seconds since the epoch.
    """

    def __init__(
        self, trusted: Collection[bytes], suite: CipherSuite, path: Path | None, now_s: Callable[[], int]
    ) -> None:
        self._copy = DirectoryCopy(trusted, suite, now_s)
        self._now_s = now_s
        self._path = path
        self._live: dict[bytes, Body] = {}
        self._earlier = Directory(0, ())
        self.current = Directory(0, ())
        """The snapshot's listings, renewed by what live lookups have brought."""

    @property
    def known(self) -> bool:
        """Whether there is a snapshot that may still be gone by."""
        return self._copy.age_s <= MAX_KEPT_AGE_S

    @property
    def overdue(self) -> bool:
        """Whether a newer one should have been signed by now."""
        return self._copy.age_s > OVERDUE_S

    @property
    def earlier(self) -> Directory:
        """What was known before the newest snapshot: a request that has begun goes on by it."""
        return self._earlier

    def notices(self) -> tuple[str, ...]:
        """What the user should know, in fixed sentences."""
        if not self.overdue:
            return ()
        notice = (
            f"the directory is {self._copy.age_s // 60} minutes old: no newer one, signed by enough bootstrap nodes, "
            "could be had. Where its records had expired, fresh ones were looked up in the DHT"
        )
        return (notice,)

    async def remember_from_before(self) -> None:
        """Takes the snapshot of the file, if there is a good one."""
        if self._path is None:
            return
        try:
            read = await trio.to_thread.run_sync(_read, self._path)
            if read is not None and await self._copy.restore(read):
                self._refresh()
        except (OSError, RemoteProtocolError) as error:
            log.info("the remembered directory is of no use", error=type(error).__name__)

    async def fetch(self, swarm: Swarm, peer: PeerId, addresses: Collection[Address]) -> None:
        """Asks a peer for a newer one; raises `ConnectionFailed` or `RemoteProtocolError` when it has nothing good."""
        if await self._copy.fetch(swarm, peer, tuple(addresses)):
            self._refresh()
            await self._save()

    def learn(self, fresh: Mapping[bytes, Body]) -> None:
        """Takes the opened records of a live lookup."""
        now = self._now_s()
        holding = {signed: body for signed, body in (self._live | dict(fresh)).items() if body.expires_at_s > now}
        self._live = dict(list(holding.items())[-MAX_LIVE:])
        self.current = self.current.renewed(fresh)

    def _refresh(self) -> None:
        self._earlier = self.current
        self.current = self._copy.directory.renewed(self._live)

    async def _save(self) -> None:
        signed = self._copy.newest
        if self._path is not None and signed is not None:
            try:
                await trio.to_thread.run_sync(_write, self._path, signed)
            except OSError as error:
                log.warning("the directory cannot be remembered", error=error.strerror or type(error).__name__)


def _read(path: Path) -> SignedDirectory | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        content = file.read(MAX_PACKED_SIZE + _FILE_OVERHEAD + 1)
    read = decode(_Remembered, content, max_size=MAX_PACKED_SIZE + _FILE_OVERHEAD)
    return SignedDirectory(read.seal, unpack(read.packed, min(read.size_bytes, MAX_SNAPSHOT_SIZE)))


def _write(path: Path, signed: SignedDirectory) -> None:
    replace_file(path, encode(_Remembered(signed.seal, len(signed.snapshot), pack(signed.snapshot))))
