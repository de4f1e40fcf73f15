"""The client's view of the network: the directory it trusts, its guards, and the rings of one request.

A client has no lasting key: its swarm runs under a fresh one, it serves nothing, and it stays out of the DHT. Rules:

1. All that it says directly is "give me the directory": to its guards, which know its address anyway, and to a
   bootstrap node only where it has no guard yet, or these have nothing fresh. The answer is the whole directory, or
   what has changed; what the client chooses from it does not show.
2. Whatever concerns a request goes around a ring. So do live lookups: for hosts, where the directory has none that
   still holds or all of its own failed; for a host whose record has expired, or that is not where it was; and, at
   random places of the DHT, for relays of the snapshot whose records have expired.
3. Arcs are built ahead of need, over relays that are drawn as all are (`arcs`).
4. Where the endpoint of a ring is now, the relay before it is asked, so that nobody else learns of it. A guard is
   asked for nothing but its own fresh record and those that it has for a random place of the DHT.
"""

import math
import random
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from peernet.client.arcs import ReadyArcs
from peernet.client.directory import ClientDirectory
from peernet.client.guards import GuardStore
from peernet.client.lookups import LookupFailed, ask, ask_guard
from peernet.client.troubles import RingTroubles
from peernet.core.dht.contact import ID_SIZE
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.host_ranking import RANKED_TOKENS, Candidate, HostStandings
from peernet.core.identity import Keypair, PeerId
from peernet.core.lookups import LOOKUP_SERVICE, FindHosts, FindPeers
from peernet.core.prefixes import address_prefix
from peernet.core.regions import ANYWHERE, RegionBound, claimed
from peernet.core.ring.choosing import choose_rings
from peernet.core.ring.paths import GUARDS, PROFILES, PathPeer, RingPath, TooFewRelays, choose_guards
from peernet.core.ring.ring import BACK, OUT
from peernet.core.ring.warm import Way
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.net.addresses import Address, addresses_by_peer, circuit_relays, dialable, parse_peer_address
from peernet.net.rings import RingChannel, RingFailed, RingHop, WarmArc, open_ring, warm_arc
from peernet.node.config import NetworkConfig
from peernet.node.peer import now_s, swarm_of

__all__ = ["CONFLICTING", "HostChoice", "NetworkView"]

CONFLICTING: Final = "conflicting"
"""Why no ring is built to an endpoint that has moved to where it is not apart from others of the request."""

RING_TIMEOUT_S: Final = 8.0
ARC_TIMEOUT_S: Final = 6.0
"""What an arc that is built ahead may take."""
LOOKUP_RING_TIMEOUT_S: Final = 4.0
LOOKUP_TRIES: Final = 3
"""Relays that are tried for one lookup."""
LOOKUP_TIMEOUT_S: Final = 12.0
"""What a lookup may take, over all its tries."""
LOOKUP_PAUSE_S: Final = 5.0
"""How soon the same is looked up again."""
RENEWAL_PAUSE_S: Final = 60.0
"""How soon relays' records are renewed again, where some of them cannot be."""
SPREAD_HOSTS: Final = 16
"""So many of a request's hosts are unrelated, where there are such."""
ENOUGH_RELAYS: Final = 24
"""Relays whose records hold: with fewer, as far as the snapshot has more, fresh records are looked up."""
MAX_RENEWALS: Final = 8
GUARD_TRIES: Final = 3
"""How often further guards stand in while none can be reached."""
EXPIRES_SOON_S: Final = 120
FIRST_DIRECTORY_WAIT_S: Final = 15.0
FIRST_DIRECTORY_PAUSE_S: Final = 0.25
REFRESH_INTERVAL_S: Final = 600.0
"""How often a client asks for a newer directory, at random between half of it and one and a half."""


@frozen
class HostChoice:
    """A host that may be asked, with the offer that counts."""

    listing: Listing
    offer: HostOffer

    @property
    def peer(self) -> str:
        """Its peer id."""
        return str(self.listing.peer)

    @property
    def claimed_regions(self) -> tuple[str, ...]:
        """Where it claims to be, in its offer and in its record; the same, where it is honest."""
        return tuple(dict.fromkeys((self.offer.region, self.listing.record.region)))


class NetworkView:
    """Directory, guards and rings, over a swarm under a throw-away key.

    Args:
        network: the bootstrap nodes, a quorum of which is trusted for the directory.
        guards_file: where the guards are remembered.
        directory_file: where the directory is remembered, or None.
        clock: the wall clock, seconds since the epoch.
        host_regions: the regions that hosts must claim to be asked.
        relay_regions: those that relays must claim to be entered by, or used.
    """

    def __init__(
        self,
        network: NetworkConfig,
        guards_file: Path,
        directory_file: Path | None = None,
        clock: Callable[[], int] = now_s,
        *,
        host_regions: RegionBound = ANYWHERE,
        relay_regions: RegionBound = ANYWHERE,
    ) -> None:
        if not network.bootstrap:
            raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS, or --network FILE")
        self.suite: CipherSuite = MixedSuite()
        self._network = network
        self._bootstraps = addresses_by_peer(map(parse_peer_address, network.bootstrap))
        keypair = Keypair.from_seed(secrets.token_bytes(32), self.suite)
        self.swarm = swarm_of(network, keypair, self.suite)
        self.standings = HostStandings()
        self._host_regions = host_regions
        self._relay_regions = relay_regions
        self._guards = GuardStore(guards_file)
        self._random = random.SystemRandom()
        self._now_s = clock
        trusted = [peer.public_key for peer in self._bootstraps]
        self._known = ClientDirectory(trusted, self.suite, directory_file, clock)
        self._looked_up: dict[FindPeers | FindHosts, float] = {}
        self._next_renewal = -math.inf
        self._away: set[str] = set()
        self._problems: list[str] = []
        self.troubles = RingTroubles()
        self._arc_profile = ""
        self._arcs = ReadyArcs(self._build_ahead, self._draw_ways, self._way_stands, self._random, self.troubles)

    @property
    def directory(self) -> Directory:
        """The newest snapshot, with what live lookups have brought."""
        return self._known.current

    @directory.setter
    def directory(self, directory: Directory) -> None:
        """Goes by another one from now on, until a newer snapshot comes: who experiments has reasons to."""
        self._known.current = directory

    def notices(self) -> tuple[str, ...]:
        """What the user should know of the directory, in fixed sentences; nothing while it is fresh."""
        return self._known.notices()

    async def start(self) -> None:
        """Begins with the directory remembered from before, or a newer one; raises `UserError` without any.

        Bootstrap nodes that have just been started may have none yet: it is waited for, `FIRST_DIRECTORY_WAIT_S`.
        """
        await self._known.remember_from_before()
        until = trio.current_time() + FIRST_DIRECTORY_WAIT_S
        while not await self._fetch_any() and trio.current_time() < until:  # noqa: ASYNC110  (others make it)
            await trio.sleep(FIRST_DIRECTORY_PAUSE_S)
        await self.fetch_directory()

    async def fetch_directory(self) -> Directory:
        """The newest directory that is to be had; raises `UserError` where none can be trusted, or is fresh enough."""
        await self._fetch_any()
        if self._known.known:
            return self.directory
        why = "; ".join(self._problems) or "they have none yet"
        raise UserError(
            f"no bootstrap node gives the directory ({why}): check --bootstrap, and that enough of them are running"
        )

    async def _fetch_any(self) -> bool:
        """Asks until somebody has a fresh one; false where those who answered have none, and there may be one soon."""
        self._problems = []
        answers = 0
        for peer, addresses in self._sources():
            try:
                await self._known.fetch(self.swarm, peer, addresses)
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
                self._problems.append(f"{peer}: {error or 'no answer in time'}")
                continue
            answers += 1
            if self._known.known and not self._known.overdue:
                self._away.clear()
                self._arcs.look_again()
                return True
        return self._known.known or not answers

    async def keep_fresh(self) -> None:
        """Asks for a newer directory now and then, at random times, until cancelled."""
        while True:
            await trio.sleep(REFRESH_INTERVAL_S * self._random.uniform(0.5, 1.5))
            try:
                await self.fetch_directory()
            except UserError:
                continue  # whoever asks for something next is told
            await self._renew_relays()

    async def make_ready(self, model: str, hosts: Callable[[], Collection[HostChoice]]) -> None:
        """Sees that there are relays, and `hosts` for the model, that others still accept, as far as they are known.

        Raises `UserError` when the directory is too old to go by and there is no newer one.
        """
        self._arcs.wake()
        if not self._known.known:
            await self.fetch_directory()
        await self._renew_relays()
        held = [listing.holds(self._now_s()) for listing, _ in self.directory.hosts_of(model)]
        if not hosts() or not all(held):
            await self.look_for_hosts(model)
        if not hosts():
            await self.fetch_directory()

    async def look_for_hosts(self, model: str) -> None:
        """Looks for the hosts of a model in the DHT, over a ring; what is found is in the directory then."""
        await self._look_up(FindHosts(model), self._lookup_paths())

    def hosts_of(
        self, model: str, tokenizer_digest: bytes, issuers: Collection[str], answer_tokens: int = RANKED_TOKENS
    ) -> list[HostChoice]:
        """The hosts that can be asked for `model` and accept one of these logs, as `rank` orders them.

        Those outside of the regions that hosts are bounded to are left out (`hosts_elsewhere`).
        """
        hosts = self._hosts_anywhere(model, tokenizer_digest, issuers)
        return self.rank([host for host in hosts if self._host_regions.admits(*host.claimed_regions)], answer_tokens)

    def hosts_elsewhere(self, model: str, tokenizer_digest: bytes, issuers: Collection[str]) -> Counter[str]:
        """How many hosts could be asked but for the regions that they claim, by these claims."""
        hosts = self._hosts_anywhere(model, tokenizer_digest, issuers)
        outside = [host for host in hosts if not self._host_regions.admits(*host.claimed_regions)]
        return Counter(claimed(" and ".join(filter(None, host.claimed_regions))) for host in outside)

    def _hosts_anywhere(self, model: str, tokenizer_digest: bytes, issuers: Collection[str]) -> list[HostChoice]:
        now = self._now_s()
        return [
            HostChoice(listing, offer)
            for listing, offer in self.directory.hosts_of(model)
            if listing.holds(now) and offer.expires_at_s > now
            if offer.tokenizer_digest == tokenizer_digest and not set(issuers).isdisjoint(offer.issuers)
        ]

    def rank(self, hosts: Sequence[HostChoice], answer_tokens: int = RANKED_TOKENS) -> list[HostChoice]:
        """Hosts in the order in which to ask them for an answer of so many tokens at most.

        By what is known of them, and by chance (`core.host_ranking`).

        Those that the directory lists come first; and of these, as far as there are enough, hosts of different
        operators and networks, so that nobody gets two parts of a request by running two hosts.
        """
        now_s = self._now_s()

        def candidate_of(host: HostChoice) -> Candidate:
            offer = host.offer
            lifetime_s = max(1, offer.expires_at_s - offer.issued_at_s)
            return Candidate(host.peer, offer.capacity, (now_s - offer.issued_at_s) / lifetime_s)

        ordered = self.standings.order(hosts, candidate_of, self._random, trio.current_time(), answer_tokens)
        return self._spread(sorted(ordered, key=lambda host: not host.listing.vouched))

    def _spread(self, hosts: Sequence[HostChoice]) -> list[HostChoice]:
        """The first `SPREAD_HOSTS` of these that are unrelated to one another, then the others."""
        apart: list[PathPeer] = []
        first, others = [], []
        for host in hosts:
            peer = self.path_peer(host) if len(apart) < SPREAD_HOSTS else None
            if peer is not None and not peer.conflicts_with(apart):
                apart.append(peer)
                first.append(host)
            else:
                others.append(host)
        return [*first, *others]

    def plan_rings(self, hosts: Sequence[HostChoice], profile: str, avoid: Iterable[str] = ()) -> list[RingPath]:
        """A ring for each of `hosts`, under the diversity rules; raises `TooFewRelays`.

        `avoid` names peers that have failed or carry other fragments (`core.ring.choosing`). Relays outside of the
        regions that they are bounded to are as good as not listed.
        """
        avoided = frozenset(avoid)
        endpoints = [self.path_peer(host) for host in hosts]
        return self._arcs.lend(self._choose(endpoints, profile, avoided), avoided)

    def _choose(self, endpoints: Sequence[PathPeer], profile: str, avoid: Collection[str]) -> list[RingPath]:
        # The lane's ring runs over the same relays, so the nodes that keep a ledger count in their distinctness too.
        ledger = [self._path_peer(listing) for listing in self.directory.bootstraps]
        relays = [self._path_peer(listing) for listing in self._relays() if self._addresses_of(listing)]
        try:
            return choose_rings(
                {relay.peer: relay for relay in relays},
                endpoints,
                profile,
                self._guards,
                self._random,
                shared=ledger,
                avoid=avoid,
            )
        except TooFewRelays as error:
            raise TooFewRelays(error.needed, error.usable, profile, str(self._relay_regions)) from error

    def region_of(self, peer: str) -> str:
        """The region that a listed peer claims in its record; empty for none."""
        listing = self._listing(peer)
        return "" if listing is None else listing.record.region

    def ledger_path(self, path: RingPath, node: PeerId | None) -> RingPath | None:
        """A ring to the bootstrap node for the lane of the fragment that `path` is for, by that ring's own relays.

        No relay so learns of another fragment. None when the directory does not list that node; without a node, the
        first one is taken.
        """
        for listing in self.directory.bootstraps:
            if node is None or listing.peer == node:
                return RingPath(path.out, path.back, self._path_peer(listing))
        return None

    def path_peer(self, host: HostChoice) -> PathPeer:
        """A host as the diversity rules see it, where it is now."""
        return self._path_peer(self._listing(host.peer) or host.listing)

    def _path_peer(self, listing: Listing) -> PathPeer:
        return _path_peer(listing, self.directory)

    async def open_ring(self, path: RingPath, service: str) -> RingChannel:
        """Builds and joins a ring along `path`; raises `RingFailed`.

        An endpoint that is not where its record says is looked up, and tried once where it is now; not where it then
        is reached through a peer that the path was to be apart from.
        """
        if not self._holds(path.endpoint.peer, self._now_s()):
            await self._is_elsewhere(path)
        self._check_endpoint(path)
        try:
            return await self._build(path, service, RING_TIMEOUT_S)
        except RingFailed as error:
            if not _endpoint_unreached(path, error) or not await self._is_elsewhere(path):
                raise
        self._check_endpoint(path)
        return await self._build(path, service, RING_TIMEOUT_S)

    def _check_endpoint(self, path: RingPath) -> None:
        """Raises `RingFailed` where the endpoint's record has changed so that its path may not lead to it any more."""
        listing = self._listing(path.endpoint.peer)
        if listing is not None and not path.allows(self._path_peer(listing)):
            self.troubles.note("not_built", CONFLICTING)
            raise RingFailed("the endpoint has moved to where others of the request are", reason=CONFLICTING)

    # --- where the directory comes from ------------------------------------------------------------------------------

    def _sources(self) -> list[tuple[PeerId, Sequence[Address]]]:
        """Whom to ask for the directory: the guards, then the bootstrap nodes."""
        bootstraps: list[tuple[PeerId, Sequence[Address]]] = list(self._bootstraps.items())
        self._random.shuffle(bootstraps)
        guards = [(guard.peer, self._dialable(guard)) for guard in self._guards_known()]
        return [*guards, *bootstraps]

    def _guards_known(self) -> list[Listing]:
        """The guards that are in use, as far as the directory has them; none is chosen for it."""
        listed = [self._listing(peer) for peer in self._guards.known()]
        usable = [listing for listing in listed if listing is not None and self._dialable(listing)]
        return [listing for listing in usable if self._relay_regions.admits(listing.record.region)][:GUARDS]

    def _relays(self) -> list[Listing]:
        """The relays of the directory that claim to be where relays may be."""
        return [listing for listing in self.directory.relays if self._relay_regions.admits(listing.record.region)]

    # --- live lookups ------------------------------------------------------------------------------------------------

    async def _is_elsewhere(self, path: RingPath) -> bool:
        """Whether a lookup finds the endpoint elsewhere than it was known, or with a record that holds again.

        Asked is the relay before it on the ring, which knows anyway that the ring goes there.
        """
        before = self._listing(path.endpoint.peer)
        if before is None:
            return False
        ways = dict.fromkeys(arc for arc in (path.out, path.back) if len(arc) > 1)
        paths = [RingPath(way[:-1], way[:-1], way[-1]) for way in ways] or self._lookup_paths()
        await self._look_up(FindPeers(before.peer.dht_id), paths)
        after = self._listing(path.endpoint.peer)
        if after is None or after.record.sequence <= before.record.sequence:
            return False
        return _where(after.record) != _where(before.record) or not before.holds(self._now_s())

    async def _renew_relays(self) -> None:
        """Sees that enough relays have records which hold for a while: needed once the directory is getting old."""
        soon = self._now_s() + EXPIRES_SOON_S
        if self._enough_hold(soon) or trio.current_time() < self._next_renewal:
            return
        self._next_renewal = trio.current_time() + RENEWAL_PAUSE_S
        await self._enter_again(soon)
        for _ in range(MAX_RENEWALS):
            if self._enough_hold(soon):
                return
            await self._look_up(FindPeers(secrets.token_bytes(ID_SIZE)), self._lookup_paths())

    async def _enter_again(self, until_s: int) -> None:
        """Asks guards for their own fresh records, so that the rest can be looked up through them.

        Who gives no answer is away until the next time: no directory says so any more, and others stand in.
        """
        self._away.clear()
        for _ in range(GUARD_TRIES):
            listed = [self._path_peer(listing) for listing in self._relays() if self._dialable(listing)]
            guards = self._keep_guards([relay for relay in listed if relay.peer not in self._away])
            for guard in guards:
                if not self._holds(guard.peer, until_s) and not await self._ask_guard(guard):
                    self._away.add(guard.peer)
            if any(guard.peer not in self._away for guard in guards):
                return

    async def _ask_guard(self, guard: PathPeer) -> bool:
        """Whether a guard has told its own record, and some of its neighbours'."""
        hop = self._hop(guard)
        try:
            fresh = await ask_guard(self.swarm, hop.peer, hop.addresses, self._now_s(), self.suite)
        except LookupFailed:
            return False
        self._known.learn(fresh)
        return True

    def _holds(self, peer: str, until_s: int) -> bool:
        listing = self._listing(peer)
        return listing is not None and listing.holds(until_s)

    def _enough_hold(self, until_s: int) -> bool:
        relays = self._relays()
        holding = sum(relay.holds(until_s) for relay in relays)
        return holding >= min(ENOUGH_RELAYS, len(relays)) and all(g.holds(until_s) for g in self._guards_known())

    async def _look_up(self, question: FindPeers | FindHosts, paths: Iterable[RingPath]) -> None:
        """Asks over the first of `paths` that gives an answer; what it brings is in the directory then."""
        now = trio.current_time()
        if now < self._looked_up.get(question, -math.inf) + LOOKUP_PAUSE_S:
            return
        self._looked_up = {key: at_s for key, at_s in self._looked_up.items() if at_s > now - LOOKUP_PAUSE_S}
        self._looked_up[question] = now
        with trio.move_on_after(LOOKUP_TIMEOUT_S):
            for path in paths:
                try:
                    ring = await self._build(path, LOOKUP_SERVICE, LOOKUP_RING_TIMEOUT_S)
                    fresh = await ask(ring, question, self._now_s(), self.suite)
                except (RingFailed, LookupFailed):
                    continue
                self._known.learn(fresh)
                return

    def _lookup_paths(self) -> list[RingPath]:
        """Ways to a few relays that a lookup can end at."""
        listed = [self._path_peer(listing) for listing in self._relays() if self._addresses_of(listing)]
        guards = self._keep_guards(listed)
        relays = [relay for relay in listed if not relay.conflicts_with(guards)]
        if not guards:
            return []
        return [
            RingPath((self._random.choice(guards),), (self._random.choice(guards),), relay)
            for relay in self._random.sample(relays, min(LOOKUP_TRIES, len(relays)))
        ]

    def _keep_guards(self, listed: Sequence[PathPeer]) -> tuple[PathPeer, ...]:
        return self._guards.keep(
            {relay.peer: relay for relay in listed}, (), lambda free: choose_guards(free, (), self._random)
        )

    # --- arcs that are ready -----------------------------------------------------------------------------------------

    async def keep_arcs(self, profile: str, ways: int) -> None:
        """Keeps arcs ready over so many ways, while there is something to do, until cancelled.

        In a profile without middles there is nothing to build ahead: its guards are connected.
        """
        if PROFILES.get(profile) and ways:
            self._arc_profile = profile
            await self._arcs.run(ways)

    @property
    def ready_arcs(self) -> int:
        """How many arcs stand by."""
        return self._arcs.arcs

    def _draw_ways(self, taken: Collection[PathPeer]) -> list[Way]:
        """The two arcs of a ring to nowhere yet, over relays that conflict with none of those taken."""
        nowhere = PathPeer("", b"", frozenset())
        relays = map(self._path_peer, self.directory.relays) if taken else ()
        near = {relay.peer for relay in relays if relay.conflicts_with(taken)}
        (path,) = self._choose([nowhere], self._arc_profile, near)
        return [path.out, path.back]

    def _way_stands(self, way: Way) -> bool:
        listed = [self.directory.listing_of(relay.peer) for relay in way]
        usable = all(found is not None and found.vouched and self._addresses_of(found) for found in listed)
        guard = self.swarm.connections.get(PeerId.parse(way[0].peer))
        # A guard that is about to end would wait for its arcs.
        return usable and not (guard and guard.draining) and way[0].peer in self._guards.known()

    async def _build_ahead(self, way: Way) -> WarmArc:
        relays = [self._hop(peer) for peer in way]
        return await warm_arc(self.swarm, self.suite, relays, timeout_s=ARC_TIMEOUT_S)

    # --- rings -------------------------------------------------------------------------------------------------------

    async def _build(self, path: RingPath, service: str, timeout_s: float) -> RingChannel:
        out = [self._hop(peer) for peer in (*path.out, path.endpoint)]
        back = [self._hop(peer) for peer in (*path.back, path.endpoint)]
        guards = {OUT: path.out, BACK: path.back}
        warm = {arc: ready for arc, way in guards.items() if (ready := self._arcs.take(way)) is not None}
        try:
            return await open_ring(self.swarm, self.suite, out, back, service, timeout_s=timeout_s, warm=warm)
        except RingFailed as error:
            self.troubles.note("not_built", error.reason)
            raise
        finally:
            for arc, ready in warm.items():
                self._arcs.note_spoilt(ready, guards[arc][0].peer)

    def _hop(self, peer: PathPeer) -> RingHop:
        listing = self._listing(peer.peer)
        if listing is None:
            raise RingFailed("a peer of the ring has left the directory", reason="unlisted")
        return RingHop(listing.peer, self._dialable(listing), listing.record.onion_key, listing.signed)

    def _listing(self, peer: str) -> Listing | None:
        return self._known.current.listing_of(peer) or self._known.earlier.listing_of(peer)

    def _addresses_of(self, listing: Listing) -> tuple[Address, ...]:
        """Where it can be used in a ring: nowhere once its record has expired, or if it is known to be away."""
        usable = listing.holds(self._now_s()) and str(listing.peer) not in self._away
        return self._dialable(listing) if usable else ()

    def _dialable(self, listing: Listing) -> tuple[Address, ...]:
        return tuple(dialable(listing.record.addresses, allow_private=self._network.test))


def _endpoint_unreached(path: RingPath, error: RingFailed) -> bool:
    """Whether a ring failed since the last relay of an arc could not reach the endpoint."""
    return error.reason in {"unreachable", "expired"} and error.hop == len(path.out) - 1 and error.__cause__ is None


def _where(record: PeerRecord) -> tuple[object, ...]:
    return record.addresses, record.onion_key


def _path_peer(listing: Listing, directory: Directory) -> PathPeer:
    record = listing.record
    prefixes = frozenset(map(address_prefix, record.addresses))
    carriers = tuple(_carrier(peer, prefixes, directory) for peer in circuit_relays(record.addresses))
    return PathPeer(str(listing.peer), record.operator_key, prefixes, carriers)


def _carrier(peer: PeerId, prefixes: frozenset[str], directory: Directory) -> PathPeer:
    """A relay that a peer is reached through; one that is not listed is known by its id and where it is."""
    listing = directory.listing_of(str(peer))
    if listing is None:
        return PathPeer(str(peer), peer.public_key, prefixes)
    record = listing.record
    return PathPeer(str(peer), record.operator_key, frozenset(map(address_prefix, record.addresses)))
