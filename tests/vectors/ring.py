"""`python -m tests.vectors.ring`: writes `ring.json`, the test vectors of docs/rings.md, from the code.

All secrets are digests of a label, so that nothing in the file is arbitrary. What crosses a leg is written down where
it passes: the client's arc, every hop and both ends of the ring are the real state machines.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from peernet.core.ring.arc import Arc, ArcBuilt, ArcCell, ArcEnded, ArcHop
from peernet.core.ring.cells import CellType, SealedCell, handshake_message
from peernet.core.ring.hop import Extend, Hop, Joined, Opened, SendBack, SendOn
from peernet.core.ring.ring import BACK, OUT, Join, RingEnd, join_cookie
from peernet.core.suite import MixedSuite
from peernet.core.wire import encode

__all__ = ["SUITE", "VECTORS", "WatchedArc", "joined_arcs", "ring_vectors", "secret", "shown"]

VECTORS: Final = Path(__file__).with_name("ring.json")
SUITE: Final = MixedSuite()
NAMES: Final = {OUT: "out", BACK: "back"}
SERVICE: Final = "infer"
REQUEST_PART: Final = bytes(range(256))
REQUEST_PARTS: Final = 126
"""The request has 33 cells: as many as it takes until the endpoint opens the window, and one more."""
ANSWER: Final = b"a short answer"
SHOWN: Final = 2
"""Data cells of an arc that are shown whole, and as many that pad."""
LAYER: Final = b"peernet ring layer 1"


def secret(label: str) -> bytes:
    """32 bytes that stand for random ones."""
    return SUITE.hash("SHA256", f"peernet ring vectors: {label}".encode())


class WatchedArc:
    """One arc whose cells are written down, with what is in them, as they cross its legs."""

    def __init__(self, name: str, onion_labels: list[str], trace: list[dict[str, Any]]) -> None:
        self.name = name
        self.trace = trace
        self.onion_secrets = [secret(f"onion {label}") for label in onion_labels]
        self.records = [f"the signed record of {label}".encode() for label in onion_labels]
        self.client_ephemerals = [secret(f"client, {name} arc, hop {hop}") for hop in (1, 2, 3)]
        self.hop_ephemerals = [secret(f"{name} arc, hop {hop}") for hop in (1, 2, 3)]
        described = zip(self.onion_secrets, self.records, self.client_ephemerals, strict=True)
        self.arc = Arc(SUITE, [ArcHop(SUITE.x25519_public(onion), record, own) for onion, record, own in described])
        self.hops = [
            Hop(SUITE, (onion,), own) for onion, own in zip(self.onion_secrets, self.hop_ephemerals, strict=True)
        ]
        self.messages: list[list[bytes]] = [[], [], []]
        self.keys: list[tuple[bytes, bytes]] = []
        self.joined: Joined | None = None
        self.opened: list[SealedCell] = []
        self.received: list[SealedCell] = []
        self.ended: ArcEnded | None = None
        self.extends = True
        """Whether the second hop reaches the third."""

    def flush(self) -> None:
        """Delivers what the client's arc has queued, and what comes of it."""
        while cells := self.arc.cells_to_send():
            for cell in cells:
                self._go_outward(cell)

    def send_back(self, kind: CellType, body: bytes) -> None:
        """The endpoint seals a cell; it goes all the way."""
        (event,) = self.hops[-1].send(kind, body)
        assert isinstance(event, SendBack)
        self._go_backward(2, event.cell, kind.name, body)

    def send_out(self, kind: CellType, body: bytes) -> None:
        """The client seals a cell; it goes all the way."""
        self.arc.send(kind, body)
        self.flush()

    def _go_outward(self, cell: bytes) -> None:
        legs = [cell]
        place = 0
        while True:
            events = self.hops[place].receive(legs[-1])
            if len(events) == 1 and isinstance(events[0], SendOn):
                legs.append(events[0].cell)
                place += 1
                continue
            break
        for event in events:
            match event:
                case SendBack(answer):
                    self._write("outward", place, "MESSAGE_1", handshake_message(legs[-1]), legs)
                    self.messages[place] = [handshake_message(legs[-1]), handshake_message(answer)]
                    self._keep_keys(place)
                    self._go_backward(place, answer, "MESSAGE_2", handshake_message(answer))
                case Extend(record):
                    self._write("outward", place, "EXTEND", record, legs)
                    if place == 1 and not self.extends:
                        (told,) = self.hops[place].extension_failed("unreachable")
                        assert isinstance(told, SendBack)
                        self._go_backward(place, told.cell, "END", b"unreachable")
                case Joined(body, _):
                    self._write("outward", place, "JOIN", body, legs)
                    self.joined = event
                case Opened(opened):
                    self._write("outward", place, opened.type.name, opened.body, legs)
                    self.opened.append(opened)

    def _go_backward(self, place: int, cell: bytes, kind: str, body: bytes) -> None:
        legs = [cell]
        for before in reversed(range(place)):
            (event,) = self.hops[before].receive_back(legs[0])
            assert isinstance(event, SendBack)
            legs.insert(0, event.cell)
        self._write("backward", place, kind, body, legs)
        for event in self.arc.receive(legs[0]):
            if isinstance(event, ArcCell):
                self.received.append(event.cell)
            elif isinstance(event, ArcEnded):
                self.ended = event
            else:
                assert isinstance(event, ArcBuilt)

    def _write(self, way: str, place: int, kind: str, body: bytes, legs: list[bytes]) -> None:
        self.trace.append(
            {"arc": self.name, "way": way, "hop": place + 1, "type": kind, "body": body, "legs": legs.copy()}
        )

    def _keep_keys(self, place: int) -> None:
        """The transport keys of a hop that has just answered, which it gives up where it ends."""
        from_client, to_client = self.hops[place]._from_client, self.hops[place]._to_client
        assert from_client is not None
        assert to_client is not None
        assert len(self.keys) == place
        self.keys.append((from_client._key, to_client._key))

    def facts(self) -> list[dict[str, bytes]]:
        """What is to be known of the hops that have answered."""
        return [
            {
                "onion_secret": self.onion_secrets[place],
                "onion_key": SUITE.x25519_public(self.onion_secrets[place]),
                "record": self.records[place],
                "client_ephemeral": self.client_ephemerals[place],
                "hop_ephemeral": self.hop_ephemerals[place],
                "message_1": self.messages[place][0],
                "message_2": self.messages[place][1],
                "handshake_hash": self.hops[place]._handshake_hash,
                "to_hop": to_hop,
                "from_hop": from_hop,
                "layer_outward": SUITE.hmac("SHA256", to_hop, LAYER),
                "layer_backward": SUITE.hmac("SHA256", from_hop, LAYER),
            }
            for place, (to_hop, from_hop) in enumerate(self.keys)
        ]


def ring_vectors() -> dict[str, Any]:
    """The vectors as JSON has them."""
    cells: list[dict[str, Any]] = []
    nonce = secret("nonce")[:16]
    arcs, cookie = joined_arcs(SERVICE, nonce, cells)
    _talk(arcs)
    return {
        "about": "docs/rings.md, 'Test vectors'; written by python -m tests.vectors.ring",
        "service": SERVICE,
        "nonce": nonce.hex(),
        "cookie": cookie.hex(),
        "request": {"part": REQUEST_PART.hex(), "times": REQUEST_PARTS},
        "answer": ANSWER.hex(),
        "arcs": {NAMES[role]: _in_hex(arc.facts()) for role, arc in arcs.items()},
        "cells": shown(cells),
        "unreachable": _unreachable(),
    }


def joined_arcs(service: str, nonce: bytes, cells: list[dict[str, Any]]) -> tuple[dict[int, WatchedArc], bytes]:
    """Both arcs of the ring, built and joined for `service`, and the cookie; `cells` takes what has passed."""
    arcs = {
        OUT: WatchedArc("out", ["guard", "F", "host"], cells),
        BACK: WatchedArc("back", ["second guard", "R", "host"], cells),
    }
    for arc in arcs.values():
        arc.arc.start()
        arc.flush()
    cookie = join_cookie(SUITE, nonce, arcs[OUT].arc.handshake_hash, arcs[BACK].arc.handshake_hash)
    for role, arc in arcs.items():
        arc.send_out(CellType.JOIN, encode(Join(role, service, nonce, cookie)))
    return arcs, cookie


def _talk(arcs: dict[int, WatchedArc]) -> None:
    """The request, the window that it takes, the answer, and an end from both sides at once."""
    client, host = RingEnd(client=True), RingEnd(client=False)

    def pass_on() -> None:
        sent = [(arcs[cell.arc].send_out, cell) for cell in client.cells_to_send()]
        sent += [(arcs[cell.arc].send_back, cell) for cell in host.cells_to_send()]
        for send, cell in sent:
            send(cell.type, cell.body)
        for role, arc in arcs.items():
            for end, received in ((host, arc.opened), (client, arc.received)):
                for cell in received:
                    end.receive(role, cell)
                received.clear()

    client.send(REQUEST_PART * REQUEST_PARTS)
    pass_on()
    assert host.next_message() == REQUEST_PART * REQUEST_PARTS
    host.send(ANSWER)
    pass_on()
    assert client.next_message() == ANSWER
    client.end("done")
    host.end("done")
    pass_on()
    assert client.over
    assert host.over


def _unreachable() -> dict[str, Any]:
    """An arc whose second hop cannot extend."""
    cells: list[dict[str, Any]] = []
    arc = WatchedArc("broken", ["guard", "F", "host"], cells)
    arc.extends = False
    arc.arc.start()
    # The third hop's handshake follows the command that fails, and reaches a hop that has ended.
    arc.flush()
    assert arc.ended == ArcEnded(1, "unreachable")
    return {"hops": _in_hex(arc.facts()), "cells": shown(cells)}


def _in_hex(facts: list[dict[str, bytes]]) -> list[dict[str, str]]:
    return [{name: value.hex() for name, value in hop.items()} for hop in facts]


def shown(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells as JSON: of the data cells of an arc, and of its padding, all but the first are digests."""
    told = []
    seen: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        kind = (cell["arc"], cell["type"])
        seen[kind] += 1
        whole = cell["type"] not in {"DATA", "PAD"} or seen[kind] <= SHOWN
        legs = [leg.hex() if whole else "sha256 " + SUITE.hash("SHA256", leg).hex() for leg in cell["legs"]]
        told.append(cell | {"body": cell["body"].hex() if whole else "", "legs": legs})
    return told


def main() -> None:
    """Writes the file."""
    VECTORS.write_text(json.dumps(ring_vectors(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
