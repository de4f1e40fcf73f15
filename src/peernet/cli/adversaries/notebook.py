"""An adversary's notebook: everything that reached it, as bytes, with when and from whom.

One JSON array a line, written at once, so that a notebook outlives its writer's sudden death; the line that was being
written then is left out. It holds text on purpose: it is what an operator *could* keep, and lives in the
demo's temporary folder.
"""

import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import field, frozen

__all__ = [
    "CELL", "CONNECTION", "FLIPPED", "HEARD", "LEG", "LEG_IN", "LEG_OUT", "ONWARD", "SAID", "Note", "Notebook",
    "everything_in", "read_notes",
]  # fmt: skip

CONNECTION: Final = "connection"
"""A peer, and the network address that it comes from."""
LEG: Final = "leg"
"""A neighbour opened a leg of a ring."""
LEG_IN: Final = "leg in"
"""Bytes of a leg as they came: handshakes and sealed cells."""
LEG_OUT: Final = "leg out"
ONWARD: Final = "onward"
"""We opened a leg to that peer, for a neighbour."""
HEARD: Final = "heard"
"""A message of a ring that ends here, opened."""
SAID: Final = "said"
CELL: Final = "cell"
"""A cell that was forwarded: as it came, then as it left."""
FLIPPED: Final = "flipped"
"""A cell before and after a bit was flipped in it."""


@frozen
class Note:
    """One thing that an adversary wrote down."""

    at_s: float
    """Seconds since the epoch."""
    kind: str
    peer: str = ""
    address: str = ""
    ring: int = 0
    """Which of the rings that ended here, counted from 1."""
    data: bytes = field(default=b"", repr=False)


class Notebook:
    """Takes notes in one file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path

    def write(self, kind: str, data: bytes = b"", *, peer: object = "", address: str = "", ring: int = 0) -> None:
        """Writes a note down."""
        text = base64.b64encode(data).decode("ascii")
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps([time.time(), kind, str(peer), address, ring, text]) + "\n")


def read_notes(path: Path) -> tuple[Note, ...]:
    """The notes in a file, in order; none where there is no file."""
    if not path.exists():
        return ()
    notes = []
    for line in path.read_text("ascii").splitlines(keepends=True):
        if line.endswith("\n"):
            at_s, kind, peer, address, ring, text = json.loads(line)
            notes.append(Note(at_s, kind, peer, address, ring, base64.b64decode(text)))
    return tuple(notes)


def everything_in(notes: Iterable[Note]) -> bytes:
    """All that the notes say, to search in; what came in pieces over one way is in one piece again."""
    pieces: dict[tuple[str, str, int], bytearray] = {}
    for note in notes:
        pieces.setdefault((note.kind, note.peer, note.ring), bytearray()).extend(note.data)
        pieces[note.kind, note.peer, note.ring] += note.address.encode()
    return b"\n".join(b" ".join((f"{kind} {peer}".encode(), bytes(said))) for (kind, peer, _), said in pieces.items())
