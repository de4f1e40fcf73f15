"""Rings as their peers see them: core's own ring ends and starting times, on a clock that jumps, with scripted hosts.

What client and host say to each other is here by its sizes and times (`core.serving` has the exchange):
`tests/unit/test_linkability.py` holds it to the real client and host. A relay between the ends adds no cell and holds
none back, so there is none; how long the ways take is added to what is seen. Engines do not wait for one another.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import Factory, define, field, frozen

from peernet.core.ring.cells import SealedCell
from peernet.core.ring.pacing import PACED, ring_end
from peernet.core.ring.ring import OUT, RingEnd
from peernet.core.ring.starts import start_times
from privacy.mention import Mention
from privacy.pseudonyms import Conversation

__all__ = ["ASK_BYTES", "SETTLED_BYTES", "Condition", "Part", "Request", "Ring", "rings_of", "run_ring"]

ASK_BYTES: Final = 1500
"""Of a request besides its text: the lane's proof, mostly."""
SETTLED_BYTES: Final = 1500
VOUCHER_BYTES: Final = 160
DELTA_BYTES: Final = 4
"""Of a piece of the answer besides its text."""
FINISHED_BYTES: Final = 9
VOUCHER_EVERY_TOKENS: Final = 16
SETTLING_S: Final = (0.02, 0.2)
"""How long the log takes to settle, from and to."""
LATENCY_S: Final = (0.03, 0.12)
"""How long an arc takes one way, from and to."""
BUILDING: Final = 3
"""How many times the way there and back it takes to build an arc."""
TOKEN_JITTER: Final = 0.15
"""The standard deviation of the time between two tokens, as a share of it."""
TOKEN_CHARS: Final = 5


@frozen
class Part:
    """One fragment of a request: its text, who is named in it, and how long its answer is."""

    text: str
    mentions: tuple[Mention, ...]
    answer_tokens: int


@frozen
class Request:
    """One request of one client, and when it is made."""

    at_s: float
    parts: tuple[Part, ...]


@frozen
class Condition:
    """How requests are sent. Without `renamed` all hosts are told the same placeholders."""

    paced: bool
    start_within_s: float
    renamed: bool = True


@define
class Ring:
    """One ring as it was seen: the times of its cells on each arc, 1 for a client's and -1 for a host's."""

    request: int
    host: int
    text: str = field(repr=False)
    """What the host read."""
    latency_s: tuple[float, float] = (0.0, 0.0)
    """Of the out arc and the back arc, one way."""
    out: list[tuple[float, int]] = Factory(list)
    """When a cell left its end."""
    back: list[tuple[float, int]] = Factory(list)
    began_s: float = 0.0
    first_text_s: float = 0.0
    """When the first of the answer, and the last, came to the client."""
    whole_text_s: float = 0.0
    ended_s: float = 0.0

    def at_middle(self, arc: int) -> list[tuple[float, int]]:
        """The cells of an arc as its middle sees them, half way, and the arc's end as 0."""
        cells, latency_s = (self.out, self.latency_s[0]) if arc == OUT else (self.back, self.latency_s[1])
        return [*sorted((at_s + latency_s / 2, way) for at_s, way in cells), (self.ended_s + latency_s / 2, 0)]

    def at_host(self) -> list[tuple[float, int]]:
        """The cells of both arcs as the host sees them, and the ring's end as 0."""
        both = [(self.out, self.latency_s[0]), (self.back, self.latency_s[1])]
        seen = [(at_s + (latency_s if way > 0 else 0.0), way) for cells, latency_s in both for at_s, way in cells]
        return [*sorted(seen), (self.ended_s, 0)]


def rings_of(
    requests: Sequence[Request], condition: Condition, speeds: Sequence[float], source: random.Random
) -> list[Ring]:
    """All rings of `requests`, sent under `condition` to hosts of these `speeds` (tokens a second)."""
    rings = []
    for number, request in enumerate(requests):
        vault = Conversation(source)
        for part in request.parts:
            vault.link(part.text, part.mentions)
        hosts = source.sample(range(len(speeds)), len(request.parts))
        starts_s = start_times(len(request.parts), condition.start_within_s, source)
        for part, host, start_s in zip(request.parts, hosts, starts_s, strict=True):
            view = vault.view(str(host) if condition.renamed else "all")
            out_s, back_s = (source.uniform(*LATENCY_S) for _ in range(2))
            ring = Ring(number, host, view.mask(part.text, part.mentions).text, (out_s, back_s))
            began_s = request.at_s + start_s + 2 * BUILDING * max(out_s, back_s)
            run_ring(ring, began_s, condition.paced, list(_pieces(part.answer_tokens, speeds[host], source)), source)
            rings.append(ring)
    return rings


def run_ring(
    ring: Ring,
    began_s: float,
    paced: bool,
    pieces: Sequence[tuple[float, int]],
    source: random.Random,
    *,
    ask_bytes: int = ASK_BYTES,
    settled_bytes: int = SETTLED_BYTES,
) -> None:
    """One exchange from its request to its end, noted in `ring`.

    `pieces` are the answer's: how long the engine takes for each, and its size.
    """
    service = "infer" + (PACED if paced else "")
    client, host = ring_end(service, client=True), ring_end(service, client=False)
    ring.began_s = began_s
    exchange = _Exchange(ring, list(pieces), source.uniform(*SETTLING_S), settled_bytes)
    # Both leave together.
    client.send(bytes(ask_bytes + len(ring.text.encode())))
    client.send(bytes(VOUCHER_BYTES))
    now = began_s
    _pass(client, host, 1, ring, now)
    while True:
        moved = True
        while moved:
            moved = exchange.host_reads(host, now) + exchange.client_reads(client, now) > 0
            moved |= _pass(client, host, 1, ring, now) | _pass(host, client, -1, ring, now)
        if client.over and host.over:
            break
        now = min(exchange.next_s, *(end.next_slot_s for end in (client, host)))
    ring.ended_s = now


@define
class _Exchange:
    """What either end says next."""

    ring: Ring
    pieces: list[tuple[float, int]]
    settling_s: float
    settled_bytes: int
    next_s: float = float("inf")
    """When the engine, or the log, has something for the host to say."""
    asked: int = 0
    received: int = 0
    finished: bool = False
    paid: bool = False

    def host_reads(self, host: RingEnd, now: float) -> int:
        """The host takes what came and says what is ready; how many messages that was."""
        count = 0
        while (message := host.next_message()) is not None:
            count += 1
            self.asked += 1
            if self.asked == 2:
                self.next_s = now + (self.pieces[0][0] if self.pieces else 0.0)
            elif self.finished and message[:1] == b"\1":
                self.next_s = now + self.settling_s
                self.paid = True
        while self.next_s <= now and not host.blocked:
            count += 1
            self._say(host, now)
        return count

    def _say(self, host: RingEnd, now: float) -> None:
        self.next_s = float("inf")
        if self.paid:
            host.send(bytes(self.settled_bytes))
            host.end("done")
            return
        if not self.pieces:
            host.send(b"\1" * FINISHED_BYTES)
            self.finished = True
            return
        step_s, size = self.pieces.pop(0)
        host.send(bytes(DELTA_BYTES + size))
        # One more step of the engine tells it that the answer is whole.
        self.next_s = now + (self.pieces[0][0] if self.pieces else step_s)

    def client_reads(self, client: RingEnd, now: float) -> int:
        """The client takes what came and pays for it; how many messages that was."""
        count = 0
        while (message := client.next_message()) is not None:
            count += 1
            if len(message) == self.settled_bytes:
                client.end("done")
            elif message[:1] == b"\1":
                client.send(b"\1" * VOUCHER_BYTES)
            else:
                self.received += 1
                self.ring.first_text_s = self.ring.first_text_s or now
                self.ring.whole_text_s = now
                if self.received % VOUCHER_EVERY_TOKENS == 0:
                    client.send(bytes(VOUCHER_BYTES))
        return count


def _pass(source: RingEnd, sink: RingEnd, way: int, ring: Ring, now: float) -> bool:
    cells = source.cells_to_send(now)
    for cell in cells:
        (ring.out if cell.arc == OUT else ring.back).append((now, way))
        sink.receive(cell.arc, SealedCell(cell.type, cell.body), now)
    return bool(cells)


def _pieces(tokens: int, speed: float, source: random.Random) -> Iterator[tuple[float, int]]:
    """The times between an answer's tokens at about `speed` tokens a second, and their sizes."""
    for _ in range(tokens):
        yield max(0.1, source.gauss(1.0, TOKEN_JITTER)) / speed, source.randint(2, 2 * TOKEN_CHARS)
