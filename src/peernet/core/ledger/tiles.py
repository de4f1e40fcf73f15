"""Tiles: the files that a log consists of for its readers.

The tree is cut into tiles of 256 hashes and eight levels' height: tile level L holds nodes of tree level 8 L. The
entries come in bundles of 256, each after its length in two bytes. The rightmost of each kind may be partial, and
its path then says how wide it is; a tile that is full at one level gives one hash to the level above.

```
checkpoint                  the signed checkpoint
tile/<L>/<N>[.p/<W>]        hashes; N in groups of three digits, all but the last after an x
tile/entries/<N>[.p/<W>]    entries
```

Source: C2SP tlog-tiles v1.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, PeernetError, RemoteProtocolError
from peernet.core.ledger.merkle import HASH_SIZE

__all__ = [
    "CHECKPOINT_PATH",
    "MAX_ENTRY_SIZE",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "ResourceNotFound",
    "Tile",
    "decode_entry_bundle",
    "decode_hash_tile",
    "encode_entry_bundle",
    "entry_bundles",
    "hash_tiles",
]

CHECKPOINT_PATH: Final = "checkpoint"
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 7
"""Eight levels of eight reach every size below 2**63; C2SP allows the path levels to 63."""
MAX_ENTRY_SIZE: Final = 0xFFFF

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


class ResourceNotFound(PeernetError):
    """A log has nothing under this path."""


@frozen
class Tile:
    """The name of a tile of hashes, or of a bundle of entries."""

    level: int | None
    """The tile level, 0 to 7; None for a bundle of entries."""
    index: int
    width: int = TILE_WIDTH
    """1 to 256 hashes or entries; 256 is full."""

    @property
    def start(self) -> int:
        """The position of the first hash in its tree level, or of the first entry."""
        return self.index * TILE_WIDTH

    def path(self) -> str:
        """Where a log serves it."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        kind = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{'/'.join(groups)}{partial}"

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """The tile of a path; raises `ResourceNotFound` when no tile can have it."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise ResourceNotFound("not the path of a tile")
        level = None if match["level"] == "entries" else int(match["level"])
        tile = cls(level, int(re.sub("[x/]", "", match["index"])), int(match["width"] or TILE_WIDTH))
        # One tile has one path: this refuses `x000/001` and `.p/256`.
        if (level or 0) > MAX_LEVEL or tile.path() != path:
            raise ResourceNotFound("not the path of a tile")
        return tile


def hash_tiles(size: int) -> Iterator[Tile]:
    """The tiles of hashes of a tree of `size` leaves, level by level, from left to right."""
    level, width = 0, size
    while width:
        yield from _cut(level, width)
        level, width = level + 1, width // TILE_WIDTH


def entry_bundles(size: int) -> Iterator[Tile]:
    """The bundles of entries of a tree of `size` leaves, from left to right."""
    yield from _cut(None, size)


def decode_hash_tile(data: bytes, width: int) -> tuple[bytes, ...]:
    """The hashes of a tile; raises `RemoteProtocolError` (`bad_tile`) unless there are `width` of them."""
    if len(data) != width * HASH_SIZE:
        raise RemoteProtocolError(f"a tile of {len(data)} bytes, not {width * HASH_SIZE}", reason="bad_tile")
    return tuple(data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE))


def encode_entry_bundle(entries: Sequence[bytes]) -> bytes:
    """The bundle of `entries`; raises `LocalProtocolError` for one over 65,535 bytes."""
    bundle = bytearray()
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            raise LocalProtocolError(f"an entry of {len(entry)} bytes, over {MAX_ENTRY_SIZE}")
        bundle += len(entry).to_bytes(2, "big") + entry
    return bytes(bundle)


def decode_entry_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """The entries of a bundle; raises `RemoteProtocolError` (`bad_tile`) unless it holds exactly `width`."""
    entries = []
    offset = 0
    while offset < len(data):
        start = offset + 2
        offset = start + int.from_bytes(data[offset:start], "big")
        if offset > len(data) or start > len(data):
            raise RemoteProtocolError("a bundle of entries ends within an entry", reason="bad_tile")
        entries.append(data[start:offset])
    if len(entries) != width:
        raise RemoteProtocolError(f"a bundle of {len(entries)} entries, not {width}", reason="bad_tile")
    return tuple(entries)


def _cut(level: int | None, width: int) -> Iterator[Tile]:
    for index in range(width // TILE_WIDTH):
        yield Tile(level, index)
    if width % TILE_WIDTH:
        yield Tile(level, width // TILE_WIDTH, width % TILE_WIDTH)
