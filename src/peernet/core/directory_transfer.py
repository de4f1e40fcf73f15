"""Handing the directory on: `/peernet/directory/1`, whole or as a difference, compressed, in parts.

| request | reply |
|---|---|
| `GetDirectory` | `NothingNewer`, or a `DirectoryHead` and as many `DirectoryPart`s as it takes |

Rules:

1. Who asks says what it has. It gets nothing if there is nothing newer; a difference if who answers still has that
   very snapshot, and the difference is smaller; else the whole.
2. The head has the seal, so whether a quorum has signed is known before anything large is taken. The sizes in it are
   bounds: more is never read, and never decompressed.
3. A difference names the records that went by their places in the base, and has those that came. Applied, it gives
   the bytes of the new snapshot; the digest in the seal says whether it did.
4. The last `BASES` snapshots can be differences' bases. What is packed once is kept, so that many who ask for the same
   cost one compression.

The body is compressed with zlib (RFC 1950).
"""

import zlib
from collections import OrderedDict
from typing import Final

from attrs import evolve, field, frozen

from peernet.core.directory import (
    MAX_RECORDS,
    MAX_SNAPSHOT_SIZE,
    Seal,
    SignedDirectory,
    Snapshot,
    read_snapshot,
    snapshot_digest,
)
from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import MessageSet, decode, encode

__all__ = [
    "DIRECTORY_PROTOCOL",
    "NOTHING",
    "Difference",
    "DirectoryAnswer",
    "DirectoryHead",
    "DirectoryHistory",
    "DirectoryMessages",
    "DirectoryPart",
    "GetDirectory",
    "IncomingDirectory",
    "NothingNewer",
    "Wanted",
    "apply_difference",
    "difference",
    "pack",
    "unpack",
]

DIRECTORY_PROTOCOL: Final = "/peernet/directory/1"
BASES: Final = 8
PART_SIZE: Final = 64 * 1024
MAX_BODY_SIZE: Final = MAX_SNAPSHOT_SIZE + 5 * MAX_RECORDS
"""A difference may be a little larger than the snapshot that it makes; such a one is never sent."""
MAX_PACKED_SIZE: Final = MAX_BODY_SIZE + MAX_BODY_SIZE // 1000 + 64
"""zlib adds at most this to what it cannot compress."""
_COMPRESSION_LEVEL: Final = 1
"""Keys and signatures do not compress, and what does is repetition, which the lowest level finds as well."""


@frozen
class GetDirectory:
    """Asks for a newer snapshot than that of this time and digest."""

    issued_at_s: int
    digest: bytes


NOTHING: Final = GetDirectory(0, b"")
"""What one asks with who has none."""


@frozen
class NothingNewer:
    """What you have is as new as anything here."""


@frozen
class DirectoryHead:
    """A newer one follows."""

    seal: Seal
    base: bytes
    """The digest of the snapshot that the body is a difference to; empty where the body is the snapshot itself."""
    size_bytes: int
    packed_size_bytes: int


@frozen
class DirectoryPart:
    """The next bytes of the compressed body: `PART_SIZE` at most."""

    data: bytes = field(repr=False)


DirectoryMessages: Final = MessageSet({1: GetDirectory, 2: NothingNewer, 3: DirectoryHead, 4: DirectoryPart})


# --- differences and compression -------------------------------------------------------------------------------------


@frozen
class Difference:
    """From one snapshot to another: the new time, the places of what went, and what came."""

    issued_at_s: int
    removed: tuple[int, ...]
    added: tuple[bytes, ...] = field(repr=False)


def difference(base: Snapshot, new: Snapshot) -> Difference:
    """What makes `new` of `base`."""
    before, after = frozenset(base.records), frozenset(new.records)
    removed = tuple(place for place, record in enumerate(base.records) if record not in after)
    return Difference(new.issued_at_s, removed, tuple(record for record in new.records if record not in before))


def apply_difference(base: Snapshot, made: Difference) -> bytes:
    """The bytes of the new snapshot; whether they are the right ones, its digest says."""
    removed = frozenset(made.removed)
    kept = (record for place, record in enumerate(base.records) if place not in removed)
    return encode(Snapshot(made.issued_at_s, tuple(sorted((*kept, *made.added)))))


def pack(body: bytes) -> bytes:
    """Compressed."""
    return zlib.compress(body, _COMPRESSION_LEVEL)


def unpack(packed: bytes, size_bytes: int) -> bytes:
    """The `size_bytes` that were packed; raises `RemoteProtocolError`, having decompressed no more than that."""
    if size_bytes < 1:
        raise RemoteProtocolError("a directory's body of no size", reason="bad_compression")
    if size_bytes > MAX_BODY_SIZE:
        raise RemoteProtocolError(f"a directory's body of over {MAX_BODY_SIZE} bytes", reason="too_long")
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(packed, size_bytes + 1)
    except zlib.error as error:
        raise RemoteProtocolError("a directory's body is not compressed data", reason="bad_compression") from error
    if len(body) != size_bytes or not inflater.eof or inflater.unused_data:
        raise RemoteProtocolError("a directory's body is not as long as it was said to be", reason="bad_compression")
    return body


# --- both sides ------------------------------------------------------------------------------------------------------


@frozen
class DirectoryAnswer:
    """What is sent to one who asked: the head, and the compressed body."""

    head: DirectoryHead
    packed: bytes = field(repr=False)

    def parts(self) -> list[DirectoryPart]:
        """The body as messages."""
        return [
            DirectoryPart(self.packed[start : start + PART_SIZE]) for start in range(0, len(self.packed), PART_SIZE)
        ]


@frozen
class Wanted:
    """What is to be answered: the directory, for one who has `base` (or nothing) of digest `base_digest`."""

    signed: SignedDirectory
    base: Snapshot | None = None
    base_digest: bytes = b""

    def answer(self) -> DirectoryAnswer:
        """The answer. Comparing and compressing large snapshots takes a while: for those, run it in a thread."""
        body, base_digest = self.signed.snapshot, b""
        if self.base is not None:
            made = encode(difference(self.base, read_snapshot(self.signed.snapshot)))
            if len(made) < len(body):
                body, base_digest = made, self.base_digest
        packed = pack(body)
        return DirectoryAnswer(DirectoryHead(self.signed.seal, base_digest, len(body), len(packed)), packed)


class DirectoryHistory:
    """The newest snapshot of a node and the few before it, and the answers that were made of them."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._newest: SignedDirectory | None = None
        self._answers: dict[bytes, DirectoryAnswer] = {}

    @property
    def newest(self) -> SignedDirectory | None:
        """What is handed out."""
        return self._newest

    @property
    def request(self) -> GetDirectory:
        """What to ask others with for something newer."""
        if self._newest is None:
            return NOTHING
        return GetDirectory(self._newest.seal.issued_at_s, self._newest.seal.digest)

    def base(self, digest: bytes) -> Snapshot | None:
        """The snapshot of that digest, if it is still here."""
        return self._snapshots.get(digest)

    def add(self, signed: SignedDirectory) -> None:
        """Takes a verified directory, which is the newest from now on."""
        snapshot = read_snapshot(signed.snapshot)
        if self._newest is not None:
            # Most records are those of the snapshot before: each is held once.
            held = {record: record for record in self._snapshots[self._newest.seal.digest].records}
            snapshot = evolve(snapshot, records=tuple(held.get(record, record) for record in snapshot.records))
        self._snapshots[signed.seal.digest] = snapshot
        self._snapshots.move_to_end(signed.seal.digest)
        if len(self._snapshots) > BASES:
            self._snapshots.popitem(last=False)
        self._newest = signed
        self._answers.clear()

    def wanted(self, request: GetDirectory) -> Wanted | None:
        """What answers a request; None where there is nothing newer."""
        if self._newest is None or request.issued_at_s >= self._newest.seal.issued_at_s:
            return None
        base = self._snapshots.get(request.digest)
        return Wanted(self._newest) if base is None else Wanted(self._newest, base, request.digest)

    def kept(self, wanted: Wanted) -> DirectoryAnswer | None:
        """The answer, if it was made before."""
        return self._answers.get(wanted.base_digest) if wanted.signed is self._newest else None

    def keep(self, wanted: Wanted, answer: DirectoryAnswer) -> None:
        """Keeps an answer for whoever asks the same, unless there is a newer directory by now."""
        if wanted.signed is self._newest:
            self._answers[wanted.base_digest] = answer


class IncomingDirectory:
    """A directory on its way in: its head, and the parts as they come.

    Raises `RemoteProtocolError` for a head that promises too much, or a base that was not asked with.
    """

    def __init__(self, head: DirectoryHead, base: Snapshot | None, base_digest: bytes) -> None:
        if not 0 < head.size_bytes <= MAX_BODY_SIZE or not 0 < head.packed_size_bytes <= MAX_PACKED_SIZE:
            raise RemoteProtocolError("a directory of a size that none has", reason="too_long")
        if head.base and (base is None or head.base != base_digest):
            raise RemoteProtocolError("a difference to another directory than we have", reason="bad_difference")
        self.head = head
        self._base = base if head.base else None
        self._packed = bytearray()

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return len(self._packed) == self.head.packed_size_bytes

    def take(self, part: DirectoryPart) -> None:
        """Takes the next part; raises `RemoteProtocolError` for more than was announced."""
        if not part.data or len(self._packed) + len(part.data) > self.head.packed_size_bytes:
            raise RemoteProtocolError("a directory's parts are not those that were announced", reason="too_long")
        self._packed += part.data

    def finish(self) -> SignedDirectory:
        """The directory, its bytes those that the digest is of; raises `RemoteProtocolError`."""
        body = unpack(bytes(self._packed), self.head.size_bytes)
        if self._base is not None:
            made = decode(Difference, body, max_size=MAX_BODY_SIZE, max_items=MAX_RECORDS)
            body = apply_difference(self._base, made)
        if snapshot_digest(body) != self.head.seal.digest:
            raise RemoteProtocolError("a directory is not what its seal is of", reason="bad_difference")
        return SignedDirectory(self.head.seal, body)
