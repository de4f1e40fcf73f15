"""`python -m tests.vectors.paced_ring`: writes `paced_ring.json`, the test vectors of a paced ring, from the code.

The arcs are those of `ring.json`, joined anew for `infer-paced`. Client and host are core's own ring ends on a clock
that jumps, with a fixed time between them; when each says what is a script. Kept is every cell from the joins on, with
the time at which its sender's clock had it due.
"""

import json
from pathlib import Path
from typing import Any, Final

from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.pacing import PacedEnd
from peernet.core.ring.ring import BACK, OUT
from tests.vectors.ring import WatchedArc, joined_arcs, secret, shown

__all__ = ["VECTORS", "paced_vectors"]

VECTORS: Final = Path(__file__).with_name("paced_ring.json")
SERVICE: Final = "infer-paced"
DELAY_MS: Final = 30
"""What a cell takes from one end to the other."""
PART: Final = bytes(range(256))
SAYS: Final = (
    # The request and what follows at once leave together, in 34 cells: more than the smallest burst has.
    {"at_ms": 0, "end": "client", "part": PART.hex(), "times": 130},
    {"at_ms": 10, "end": "client", "part": b"a voucher".hex(), "times": 1},
    {"at_ms": 500, "end": "host", "part": b"an answer".hex(), "times": 1},
    {"at_ms": 1000, "end": "client", "part": b"another voucher".hex(), "times": 1},
    # Most of this is still unsaid when the client's END comes.
    {"at_ms": 4980, "end": "host", "part": PART.hex(), "times": 18},
)
ENDS: Final = {"at_ms": 5000, "end": "client", "reason": "done"}


class _TwoEnds:
    """Client and host on their arcs. Times are in seconds."""

    def __init__(self, arcs: dict[int, WatchedArc], cells: list[dict[str, Any]]) -> None:
        self._arcs = arcs
        self._cells = cells
        self._ends = {"client": PacedEnd(client=True), "host": PacedEnd(client=False)}
        self._under_way: list[tuple[float, int, SealedCell]] = []
        self._script = [*SAYS, ENDS]

    def run(self) -> None:
        """From the first message to the end of the ring."""
        while self._script or not all(end.over for end in self._ends.values()):
            times = [said["at_ms"] / 1000 for said in self._script[:1]]
            times += [at_s for at_s, _, _ in self._under_way[:1]]
            times += [end.next_slot_s for end in self._ends.values()]
            self._step(min(times))

    def _step(self, now_s: float) -> None:
        while self._under_way and self._under_way[0][0] <= now_s:
            _, arc, cell = self._under_way.pop(0)
            self._ends["host" if arc == OUT else "client"].receive(arc, cell, now_s)
        while self._script and self._script[0]["at_ms"] / 1000 <= now_s:
            self._follow(self._script.pop(0))
        for end, arc in (("client", OUT), ("host", BACK)):
            for cell in self._ends[end].cells_to_send(now_s):
                assert cell.arc == arc
                watched = self._arcs[arc]
                send = watched.send_out if arc == OUT else watched.send_back
                send(cell.type, cell.body)
                self._cells[-1]["at_ms"] = round(now_s * 1000)
                self._under_way += [(now_s + DELAY_MS / 1000, arc, passed) for passed in _passed(watched, arc)]
        self._under_way.sort(key=lambda each: each[0])

    def _follow(self, said: dict[str, Any]) -> None:
        end = self._ends[said["end"]]
        if "reason" in said:
            end.end(said["reason"])
        else:
            end.send(bytes.fromhex(said["part"]) * said["times"])


def _passed(watched: WatchedArc, arc: int) -> list[SealedCell]:
    """What has just come to the far end of an arc."""
    received = watched.opened if arc == OUT else watched.received
    passed = received.copy()
    received.clear()
    if watched.ended is not None:
        passed.append(SealedCell(CellType.END, watched.ended.reason.encode()))
    return passed


def paced_vectors() -> dict[str, Any]:
    """The vectors as JSON has them."""
    cells: list[dict[str, Any]] = []
    nonce = secret("paced nonce")[:16]
    arcs, cookie = joined_arcs(SERVICE, nonce, cells)
    joins = [cell for cell in cells if cell["type"] == "JOIN"]
    cells.clear()
    _TwoEnds(arcs, cells).run()
    return {
        "about": "docs/rings.md, 'Test vectors'; written by python -m tests.vectors.paced_ring",
        "arcs": "those of ring.json",
        "service": SERVICE,
        "nonce": nonce.hex(),
        "cookie": cookie.hex(),
        "delay_ms": DELAY_MS,
        "says": list(SAYS),
        "ends": ENDS,
        "joins": shown(joins),
        "cells": shown(cells),
    }


def main() -> None:
    """Writes the file."""
    VECTORS.write_text(json.dumps(paced_vectors(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
