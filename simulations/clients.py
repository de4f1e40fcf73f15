"""Clients over the event loop: a directory, guards, and requests, by the policy of `peernet.core.ring.choosing`.

1. The directory is what a crawl would find at that moment: the nodes that have joined and not left, with the records
   that they have then. Clients choose from one that is up to `directory_interval_s` old, so some that it lists have
   left since.
2. A request takes distinct hosts of one model, chosen at random, and a ring for each, all chosen together.
3. When a ring fails, the peer that is to blame, or else its middles, are avoided for this request, and so are the
   middles of its other fragments. The next ring goes to the same host if that is not to blame, else to another one.

Lanes are not simulated: the ring to the ledger that a real fragment builds first, over the same relays.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from attrs import define, field, frozen

from peernet.core.ring.choosing import choose_rings
from peernet.core.ring.guards import ChooseGuards, keep_guards
from peernet.core.ring.paths import PathPeer, RingPath, TooFewRelays
from peernet.core.ring.ring import BACK
from simulations.discovery import Discovery, SimulatedNode, Station
from simulations.rings import ListedNode, RingOutcome, Rings
from simulations.scenario import Clients

__all__ = ["DirectoryView", "GuardBook", "RequestOutcome", "SimulatedClient"]


class GuardBook:
    """The guards of one client, in memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.known: dict[str, float] = {}

    def keep(
        self, relays: Mapping[str, PathPeer], endpoints: Sequence[PathPeer], choose: ChooseGuards
    ) -> tuple[PathPeer, ...]:
        """As `core.ring.guards` has it."""
        kept = keep_guards(self.known, relays, endpoints, choose, self._clock())
        self.known = kept.known
        return kept.usable


@frozen
class DirectoryView:
    """What clients choose from: relays and hosts as they were at one moment."""

    relays: Mapping[str, PathPeer]
    hosts: Mapping[str, tuple[PathPeer, ...]]
    """By model."""
    bootstraps: tuple[PathPeer, ...]
    nodes: Mapping[str, ListedNode]
    """By peer id."""

    @classmethod
    def of(cls, discovery: Discovery) -> "DirectoryView":
        """The directory as it is now."""
        relays: dict[str, PathPeer] = {}
        hosts: dict[str, list[PathPeer]] = {}
        nodes: dict[str, ListedNode] = {}
        for node in discovery.living():
            peer = node.path_peer
            nodes[peer.peer] = _listed(discovery, node)
            if "relay" in node.roles:
                relays[peer.peer] = peer
            if node.model is not None:
                hosts.setdefault(node.model, []).append(peer)
        bootstraps = tuple(node.path_peer for node in discovery.bootstraps)
        return cls(relays, {model: tuple(hosts[model]) for model in sorted(hosts)}, bootstraps, nodes)


def _listed(discovery: Discovery, node: SimulatedNode) -> ListedNode:
    return ListedNode(node, node.contact.record, discovery.suite.x25519_public(node.onion_secret))


@define
class RequestOutcome:
    """What became of one request."""

    began_s: float
    fragments: int
    rings: list[tuple[SimulatedNode, RingOutcome]] = field(factory=list)
    """Every ring that was tried, with its host, in the order of their ends."""
    answered: int = 0
    impossible: str = ""
    """Why there were no rings to try at all, or nothing."""


@define(eq=False)
class _Fragment:
    host: PathPeer
    path: RingPath
    attempts: int = 0


class SimulatedClient(Station):
    """One client, with guards of its own."""

    __slots__ = ("_random", "_rings", "_settings", "book", "requests")

    def __init__(self, place: int, rings: Rings, settings: Clients, seeded: random.Random) -> None:
        super().__init__(place)
        self._rings = rings
        self._settings = settings
        self._random = seeded
        self.book = GuardBook(lambda: rings.engine.now_s)
        self.requests = 0

    def ask(self, directory: DirectoryView, done: Callable[[RequestOutcome], None]) -> None:
        """Makes one request; `done` gets its outcome when every fragment has ended."""
        self.requests += 1
        _Request(self, self._rings, self._settings, self._random, directory, done).start()


class _Request:
    """One request: its fragments, and what is to be avoided by now."""

    def __init__(
        self,
        client: SimulatedClient,
        rings: Rings,
        settings: Clients,
        seeded: random.Random,
        directory: DirectoryView,
        done: Callable[[RequestOutcome], None],
    ) -> None:
        self._client = client
        self._rings = rings
        self._settings = settings
        self._random = seeded
        self._directory = directory
        self._done = done
        self._outcome = RequestOutcome(rings.engine.now_s, settings.fragments)
        self._fragments: list[_Fragment] = []
        self._avoid: set[str] = set()
        self._spare: list[PathPeer] = []
        self._open = 0

    def start(self) -> None:
        """Chooses hosts and all rings, and begins."""
        models = list(self._directory.hosts)
        offered = self._directory.hosts[self._random.choice(models)] if models else ()
        hosts = self._random.sample(offered, len(offered))
        chosen, self._spare = hosts[: self._settings.fragments], hosts[self._settings.fragments :]
        if len(chosen) < self._settings.fragments:
            self._give_up("too_few_hosts")
            return
        try:
            paths = self._choose(chosen)
        except TooFewRelays:
            self._give_up("too_few_relays")
            return
        self._open = len(paths)
        self._fragments = [_Fragment(path.endpoint, path) for path in paths]
        for fragment in self._fragments:
            self._attempt(fragment)

    def _choose(self, hosts: Sequence[PathPeer], others: Sequence[PathPeer] = ()) -> list[RingPath]:
        return choose_rings(
            self._directory.relays,
            hosts,
            self._settings.profile,
            self._client.book,
            self._random,
            shared=self._directory.bootstraps[:1],
            avoid=self._avoid | {peer.peer for peer in others},
        )

    def _attempt(self, fragment: _Fragment) -> None:
        fragment.attempts += 1
        path, nodes = fragment.path, self._directory.nodes
        out = [nodes[peer.peer] for peer in (*path.out, path.endpoint)]
        back = [nodes[peer.peer] for peer in (*path.back, path.endpoint)]
        self._rings.open(self._client, out, back, lambda outcome: self._ended(fragment, outcome))

    def _ended(self, fragment: _Fragment, outcome: RingOutcome) -> None:
        self._outcome.rings.append((self._directory.nodes[fragment.host.peer].node, outcome))
        if outcome.answered_s >= 0:
            self._outcome.answered += 1
        elif fragment.attempts < self._settings.attempts and self._replan(fragment, outcome):
            self._attempt(fragment)
            return
        self._open -= 1
        if not self._open:
            self._done(self._outcome)

    def _replan(self, fragment: _Fragment, outcome: RingOutcome) -> bool:
        """Gives the fragment another ring, and another host where that is to blame; false when there is none."""
        path = fragment.path
        arc = path.back if outcome.arc == BACK else path.out
        host_failed = outcome.build_s >= 0 or outcome.hop == len(arc)
        if outcome.hop is None:
            self._avoid |= {peer.peer for peer in (*path.out[1:], *path.back[1:])}
        elif not host_failed:
            self._avoid.add(arc[outcome.hop].peer)
        if host_failed:
            if not self._spare:
                return False
            fragment.host = self._spare.pop(0)
        others = [
            peer
            for other in self._fragments
            if other is not fragment
            for peer in (*other.path.out[1:], *other.path.back[1:])
        ]
        try:
            (fragment.path,) = self._choose([fragment.host], others)
        except TooFewRelays:
            return False
        return True

    def _give_up(self, why: str) -> None:
        self._outcome.impossible = why
        self._done(self._outcome)
