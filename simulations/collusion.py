"""Collusion, counted: many clients ask once each over the event loop, and colluders pool what they saw of it.

The requests are independent of one another, so that a share of them has an interval of confidence. For that

1. every request is another client's, which draws its own guards;
2. nobody leaves: rings are built and answered, and who is on them is what the policy chose;
3. exactly the share f of the relays and of the hosts is hostile, and the same network serves all of them;
4. of a request one ring is counted, where rings are, since they share their guards. It is drawn: the one that is
   answered first is likelier to have one guard on both arcs.

What is found stream by stream (`adversaries.linked`) is held against what chance alone gives.

**Profile `paced`** has the paths of `private`. Who only watches a paced ring from its guard and its host sees cadences
and classes, which many rings have; where they are many, `by_path` is what watching gives. Who holds a ring's cells
back, or alters them, at the guard, recognises that at the host in any profile; so `linked` counts guard and host as if
they always found each other, in `paced` as in the others.
"""

import random
from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen

from peernet.core.errors import LocalProtocolError
from simulations.adversaries import (
    Share,
    fragments_together,
    fragments_whole,
    linked,
    linked_by_chance,
    linked_by_path_by_chance,
    request_linked_by_chance,
    text_linked_by_chance,
)
from simulations.clients import DirectoryView, RequestOutcome, SimulatedClient
from simulations.discovery import Discovery
from simulations.engine import Engine
from simulations.rings import Rings
from simulations.scenario import Clients

__all__ = ["FRAGMENTS", "HOSTS", "RELAYS", "Chance", "Findings", "by_chance", "collude"]

RELAYS: Final = 700
HOSTS: Final = 300
FRAGMENTS: Final = 3
_ONE_WAY_S: Final = 0.02
_EVERY_S: Final = 0.2
"""When the next client asks: many rings are there at the same time."""


@define
class Findings:
    """What colluders of the share `f` found."""

    f: float
    by_path: Share = field(factory=Share)
    """Rings whose client and host they tie by a guard and the middle next to it; in `fast` by a guard."""
    linked: Share = field(factory=Share)
    """Rings whose client and host they tie in that way, or by guard and host."""
    with_text: Share = field(factory=Share)
    """Rings of which they have a guard and the host: the client, and the fragment's text."""
    request_linked: Share = field(factory=Share)
    """Requests at least one of whose rings is linked."""
    together: Share = field(factory=Share)
    """Requests of which they have two fragments or more."""
    whole: Share = field(factory=Share)
    """Requests of which they have all fragments."""


@frozen
class Chance:
    """The same by chance."""

    by_path: float
    linked: float
    with_text: float
    request_linked: float
    together: float
    whole: float


def by_chance(f: float, profile: str, fragments: int = FRAGMENTS) -> Chance:
    """What colluders of the share `f` find if every choice is hostile with that probability."""
    return Chance(
        by_path=linked_by_path_by_chance(f, profile),
        linked=linked_by_chance(f, profile),
        with_text=text_linked_by_chance(f),
        request_linked=request_linked_by_chance(f, fragments, profile),
        together=fragments_together(f, fragments),
        whole=fragments_whole(f, fragments),
    )


def collude(
    profile: str,
    shares: Sequence[float],
    *,
    requests: int,
    seed: int,
    relays: int = RELAYS,
    hosts: int = HOSTS,
    fragments: int = FRAGMENTS,
) -> list[Findings]:
    """What colluders of each of `shares` find of so many requests, in one run; `paced` as the module has it."""
    engine = Engine(seed, lambda _, __: _ONE_WAY_S)
    discovery = Discovery(engine, expected_nodes=relays + hosts)
    for place in range(relays + hosts):
        host = place >= relays
        discovery.add(place, roles=("host",) if host else ("relay",), model="m" if host else None).joined = True
    for count, first in ((relays, 0), (hosts, relays)):
        _rank(discovery, first, count, engine.stream(f"ranks from {first}"))
    settings = Clients(profile=profile, fragments=fragments, answer_messages=1, request_size=500, handshake_ms=0.0)
    rings = Rings(discovery, settings, engine.stream("rings"), seen_below=max(shares))
    directory = DirectoryView.of(discovery)
    found = [Findings(f) for f in shares]
    counted = engine.stream("which ring is counted")
    for number in range(requests):
        client = SimulatedClient(relays + hosts + number, rings, settings, engine.stream(f"client {number}"))
        engine.at(_EVERY_S * number, _ask, client, directory, counted.randrange(fragments), found)
    engine.run()
    return found


def _rank(discovery: Discovery, first: int, count: int, seeded: random.Random) -> None:
    """Ranks so many nodes evenly, in random order, so that of each share exactly as many are hostile."""
    for rank, node in enumerate(seeded.sample(discovery.nodes[first : first + count], count)):
        node.rank = (rank + 0.5) / count


def _ask(client: SimulatedClient, directory: DirectoryView, counted: int, found: Sequence[Findings]) -> None:
    client.ask(directory, lambda outcome: _count(client.place, outcome, counted, found))


def _count(client: int, outcome: RequestOutcome, counted: int, found: Sequence[Findings]) -> None:
    if outcome.answered != outcome.fragments or len(outcome.rings) != outcome.fragments:
        raise LocalProtocolError("a ring failed in a network that nobody leaves")
    for case in found:
        exposures = [linked(ring.sightings, client, host.place, case.f) for host, ring in outcome.rings]
        case.by_path.add(exposures[counted].by_path)
        case.linked.add(exposures[counted].linked)
        case.with_text.add(exposures[counted].by_timing)
        case.request_linked.add(any(exposure.linked for exposure in exposures))
        hostile = sum(host.rank < case.f for host, _ in outcome.rings)
        case.together.add(hostile > 1)
        case.whole.add(hostile == outcome.fragments)
