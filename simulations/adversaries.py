"""Colluders: relays and hosts that pool what they see, and what they can link by it.

The hostile share f is the same among relays and among hosts. Colluders keep the protocol and only watch. Rules:

1. **By path.** A guard and the middle next to it know the same stream, so together they know client and host for
   sure. That is the linking of the design's threat: with two arcs, about 2f^2 of all rings.
2. **By timing.** A guard and the host recognise each other's traffic without the middle. It is counted as if that
   always worked, which is the worst case: with what rule 1 gives, 3f^2 to 4f^2.
3. A request is **read together** when hosts in one hand got more than one of its fragments, and **read whole** when
   they got all of them.
4. A client is **met** when one of its guards is hostile.

`linked` works on what the colluders saw in an event run (`rings.Sighting`), stream by stream. `exposure_of` works on a
path, and `follow` uses it to run clients over weeks, far longer than an event run, by the same choice of guards and
relays (`core.ring.choosing`), with relays that come and go by the day. What chance alone gives is beside each figure:
every draw hostile with probability f, a ring's two arcs through the same of two guards half of the time.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field, frozen

from peernet.core.ring.choosing import choose_rings
from peernet.core.ring.paths import GUARDS, PROFILES, PathPeer, RingPath, TooFewRelays
from simulations.clients import GuardBook
from simulations.rings import Sighting
from simulations.scenario import Scenario

__all__ = [
    "DayOfClients",
    "Exposure",
    "Share",
    "WeeksReport",
    "exposure_of",
    "follow",
    "fragments_together",
    "fragments_whole",
    "linked",
    "linked_by_chance",
    "linked_by_path_by_chance",
    "met_by_chance",
    "request_linked_by_chance",
    "text_linked_by_chance",
]

DAY_S: Final = 24 * 3600.0
_OPERATOR: Final = b"the colluders"
_HALVINGS: Final = 50
_TERMS: Final = 400


@frozen
class Exposure:
    """What colluders can say of one ring."""

    by_path: bool
    by_timing: bool

    @property
    def linked(self) -> bool:
        """Whether they tie the client to the host in either way."""
        return self.by_path or self.by_timing


@define
class Share:
    """How many of how many."""

    hits: int = 0
    count: int = 0

    def add(self, hit: bool) -> None:
        """Counts one."""
        self.hits += hit
        self.count += 1

    @property
    def value(self) -> float:
        """The share, 0 when nothing was counted."""
        return self.hits / self.count if self.count else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """What the true share lies in with that confidence, if the counted were independent; (0, 1) for none.

        The interval of Clopper and Pearson (Biometrika 26, 1934), which is never too short.
        """
        tail, misses = (1 - confidence) / 2, self.count - self.hits
        low = _share_with(lambda p: beta_cdf(p, self.hits, misses + 1), tail) if self.hits else 0.0
        high = _share_with(lambda p: beta_cdf(p, self.hits + 1, misses), 1 - tail) if misses else 1.0
        return low, high


def exposure_of(path: RingPath, is_hostile: Callable[[PathPeer], bool]) -> Exposure:
    """What the hostile ones among the peers of a ring can say of it."""
    # In profile `fast` there is no middle to need: the guard knows the host by itself.
    by_path = any(all(map(is_hostile, arc)) for arc in (path.out, path.back))
    guard = any(is_hostile(arc[0]) for arc in (path.out, path.back))
    return Exposure(by_path, guard and is_hostile(path.endpoint))


def linked(sightings: Sequence[Sighting], client: int, host: int, share: float) -> Exposure:
    """What the colluders of `share` can say of a ring between two places, by what they saw of it."""
    pool = [sighting for sighting in sightings if sighting.rank < share]
    onward = {sighting.legs[0]: sighting for sighting in pool}
    guards = [sighting for sighting in pool if sighting.neighbours[0] == client]
    by_path = False
    for guard in guards:
        beyond = {guard.neighbours[1]}
        following = onward.get(guard.legs[1])
        # The guard knows whom it sent the stream to; a colluder there knows where it went from there.
        if following is not None and following.place in beyond:
            beyond.add(following.neighbours[1])
        by_path |= host in beyond
    return Exposure(by_path, bool(guards) and any(sighting.place == host for sighting in pool))


def linked_by_path_by_chance(f: float, profile: str = "private") -> float:
    """The probability of rule 1; about 2f^2 in profile `private`, and whatever a guard alone gives in `fast`."""
    if not PROFILES[profile]:
        return _over_guards(f, 1 - (1 - f) ** 2)
    return _over_guards(f * (1 - (1 - f) ** 2), 1 - (1 - f * f) ** 2)


def linked_by_chance(f: float, profile: str = "private") -> float:
    """The probability of rules 1 or 2; about 3f^2 with the same guard on both arcs, 4f^2 with two."""
    if not PROFILES[profile]:
        return linked_by_path_by_chance(f, profile)
    same = f * (1 - (1 - f) ** 3)
    different = 1 - ((1 - f) * (1 - f * f) ** 2 + f * (1 - f) ** 2)
    return _over_guards(same, different)


def fragments_together(f: float, fragments: int) -> float:
    """The probability that hosts in one hand get more than one of a request's fragments."""
    honest = 1 - f
    return float(1 - honest**fragments - fragments * f * honest ** (fragments - 1))


def fragments_whole(f: float, fragments: int) -> float:
    """The probability that hosts in one hand get all of a request's fragments."""
    return float(f**fragments)


def text_linked_by_chance(f: float) -> float:
    """The probability of rule 2 alone: the host, and a guard of the ring; the same in every profile."""
    return f * _over_guards(f, 1 - (1 - f) ** 2)


def request_linked_by_chance(f: float, fragments: int, profile: str = "private") -> float:
    """The probability that at least one ring of a request is linked: all have the same guards, and else nothing."""
    honest = 1 - f
    # Linked are so many of the rings with a hostile guard on one arc, and on both.
    one, both = (1 - honest**2, 1 - honest**3) if PROFILES[profile] else (1.0, 1.0)
    one_hostile = one / 2 + both / 4
    return 2 * f * honest * (1 - (1 - one_hostile) ** fragments) + f * f * (1 - (1 - both) ** fragments)


def met_by_chance(f: float, guards: float = GUARDS) -> float:
    """The probability that one of so many guards is hostile."""
    return float(1 - (1 - f) ** guards)


def _over_guards(same: float, different: float) -> float:
    """Of a ring whose arcs each take one of `GUARDS` guards at random."""
    return (same + (GUARDS - 1) * different) / GUARDS


def _share_with(cdf: Callable[[float], float], wanted: float) -> float:
    """Where a rising function of a share has a value, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < wanted else (low, middle)
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """The distribution function of Beta(a, b): its continued fraction (Abramowitz and Stegun, 26.5.8)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    # From the inside out; with x below the mean so many terms are more than enough.
    value = 1.0
    for n in range(_TERMS, 0, -1):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        value = 1 + term / value
    return front / value


@frozen
class DayOfClients:
    """Where the clients stand at the end of a day. Shares of clients."""

    share: float
    day: int
    met_now: float
    """One of the guards of today is hostile."""
    met_ever: float
    linked_ever: float
    """At least one of its rings was linked."""
    guards_ever: float
    """How many guards a client has had, on average."""
    met_ever_by_chance: float
    """Of so many guards, one hostile."""
    met_ever_without_guards: float
    """By chance, for clients that draw two new relays for every request."""
    linked_ever_without_guards: float


@frozen
class WeeksReport:
    """What weeks with colluders of one share gave."""

    share: float
    by_path: Share
    linked: Share
    together: Share
    whole: Share
    days: tuple[DayOfClients, ...]
    refused: int
    """Requests for which the directory had too few relays."""
    path_error: float
    """The standard error of the share linked by path; rings of one client are not independent, clients are."""
    linked_error: float


@define
class _Client:
    book: GuardBook
    by_path: Share = field(factory=Share)
    linked: Share = field(factory=Share)
    guards: set[str] = field(factory=set)
    met: bool = False


class _Population:
    """Relays and hosts as a directory would list them, and who of them is hostile."""

    def __init__(self, scenario: Scenario, share: float, seeded: random.Random) -> None:
        self._random = seeded
        self._share = share
        self._one_operator = scenario.adversaries.one_operator
        self._made = 0
        self.hostile: set[str] = set()
        self.hosts = self._make(scenario.hosts)
        self.relays = self._make(scenario.nodes.count - scenario.hosts)

    def is_hostile(self, peer: PathPeer) -> bool:
        """Whether a peer belongs to the colluders."""
        return peer.peer in self.hostile

    def replace_relays(self, departures: float) -> None:
        """Lets each relay leave with that probability, and as many fresh ones come."""
        stay = [relay for relay in self.relays if self._random.random() >= departures]
        self.hostile -= {relay.peer for relay in self.relays} - {relay.peer for relay in stay}
        self.relays = stay + self._make(len(self.relays) - len(stay))

    def listed(self, away: float) -> dict[str, PathPeer]:
        """The relays that the directory has today."""
        return {relay.peer: relay for relay in self.relays if self._random.random() >= away}

    def _make(self, count: int) -> list[PathPeer]:
        """Fresh peers; of a group, the rounded share is hostile, of a lone one by chance."""
        expected = self._share * count
        bad = int(expected) + (self._random.random() < expected - int(expected))
        return [self._peer(hostile=number < bad) for number in range(count)]

    def _peer(self, *, hostile: bool) -> PathPeer:
        self._made += 1
        name = f"peer {self._made}"
        if hostile:
            self.hostile.add(name)
        operator = _OPERATOR if hostile and self._one_operator else b"operator %d" % self._made
        return PathPeer(name, operator, frozenset({f"network {self._made}"}))


def follow(scenario: Scenario, share: float, seeded: random.Random) -> WeeksReport:
    """Runs clients over the scenario's days among colluders of `share`.

    The scenario's churn of nodes by the hour is left out: its relays leave by the day.
    """
    settings = scenario.adversaries
    fragments, profile = scenario.clients.fragments, scenario.clients.profile
    population = _Population(scenario, share, seeded)
    now_s = 0.0
    clients = [_Client(GuardBook(lambda: now_s)) for _ in range(settings.clients)]
    together, whole = Share(), Share()
    refused = 0
    days = []
    hosts = population.hosts
    for day in range(1, settings.days + 1):
        relays = population.listed(settings.away_share)
        met_now = Share()
        for client in clients:
            used: set[str] = set()
            for _ in range(settings.requests_per_day):
                chosen = seeded.sample(hosts, fragments)
                try:
                    paths = choose_rings(relays, chosen, profile, client.book, seeded)
                except TooFewRelays:
                    refused += 1
                    continue
                together.add(sum(map(population.is_hostile, chosen)) > 1)
                whole.add(all(map(population.is_hostile, chosen)))
                for path in paths:
                    exposure = exposure_of(path, population.is_hostile)
                    client.by_path.add(exposure.by_path)
                    client.linked.add(exposure.linked)
                    used |= {path.out[0].peer, path.back[0].peer}
            client.guards |= used
            hostile_today = bool(used & population.hostile)
            client.met |= hostile_today
            met_now.add(hostile_today)
        requests = day * settings.requests_per_day
        guards_ever = _mean([len(client.guards) for client in clients])
        days.append(
            DayOfClients(
                share=share,
                day=day,
                met_now=met_now.value,
                met_ever=_mean([client.met for client in clients]),
                linked_ever=_mean([client.linked.hits > 0 for client in clients]),
                guards_ever=guards_ever,
                met_ever_by_chance=met_by_chance(share, guards_ever),
                met_ever_without_guards=met_by_chance(share, GUARDS * requests),
                linked_ever_without_guards=1 - (1 - linked_by_chance(share, profile)) ** (fragments * requests),
            )
        )
        population.replace_relays(settings.relay_departures_per_day)
        now_s += DAY_S
    return WeeksReport(
        share=share,
        by_path=_sum([client.by_path for client in clients]),
        linked=_sum([client.linked for client in clients]),
        together=together,
        whole=whole,
        days=tuple(days),
        refused=refused,
        path_error=_error([client.by_path.value for client in clients]),
        linked_error=_error([client.linked.value for client in clients]),
    )


def _sum(shares: Sequence[Share]) -> Share:
    return Share(sum(share.hits for share in shares), sum(share.count for share in shares))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _error(values: Sequence[float]) -> float:
    """The standard error of the mean of independent values."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))
