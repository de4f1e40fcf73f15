"""Many DHT nodes over the event loop, running exactly `peernet.core.dht` as a node's driver does.

A node joins by asking bootstrap nodes for its own id and looking it up, publishes its records, and keeps its table;
intervals and paths are those of `core.dht.node`. Messages are handed over as objects, records as the opaque bytes
that they are, under a suite that keeps the lengths: what is studied is who finds whom, and not what Ed25519 costs.

What is modelled around it:

1. A message takes the latency between two places. A new stream costs one round trip (its protocol is agreed on), and a
   new connection two before that (TCP, then the upgrade). Connections are kept while they are used.
2. Who leaves says nothing and answers nothing: what was asked of it fails at the query's timeout.
3. A node signs its record anew whenever it publishes, not every minute: fewer signatures, the same fields.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import nsmallest
from typing import Final

from attrs import frozen

from peernet.core.dht.contact import Contact
from peernet.core.dht.lookup import QUERY_TIMEOUT_S, Lookup, LookupResult
from peernet.core.dht.messages import FindNode, Ping, Reply, Request, Store
from peernet.core.dht.node import ENOUGH_GREETED, PATHS, REPUBLISH_INTERVAL_S, UPKEEP_INTERVAL_S, DhtNode
from peernet.core.dht.records import (
    MAX_LIFETIME_S,
    PROVIDER,
    Body,
    HostOffer,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    operator_statement,
    provider_key,
    record_key,
    sign_record,
)
from peernet.core.dht.table import K
from peernet.core.identity import Keypair
from peernet.core.prefixes import address_prefix
from peernet.core.ring.paths import PathPeer
from peernet.core.suite import KEY_SIZE, CipherSuite
from simulations.engine import Engine, Latency
from simulations.suite import NullSuite

__all__ = ["Discovery", "DiscoveryReport", "SimulatedNode", "Station", "run_discovery"]

STREAM_ROUND_TRIPS: Final = 1
CONNECT_ROUND_TRIPS: Final = 2
CONNECTION_KEPT_S: Final = 300.0
RECORD_LIFETIME_S: Final = 3600
VERIFIED_A_NODE: Final = 16
"""How many records the shared verifier remembers for each node: a host has three, four times in their lifetime."""

JOIN_INTERVAL_S: Final = 0.05
MODELS: Final = 10
MIN_LATENCY_S: Final = 0.02
MAX_LATENCY_S: Final = 0.15
REQUEST_TOKENS: Final = 2048


class Station:
    """Whoever has a place and connections: a node, or a client."""

    __slots__ = ("alive", "connected", "place")

    def __init__(self, place: int) -> None:
        self.place = place
        self.alive = True
        self.connected: dict[int, float] = {}
        """The places that it has a connection with, and when that was last used."""


class SimulatedNode(Station):
    """A DHT node with its place in the network; `model` is what it serves, for a host."""

    __slots__ = (
        "address",
        "contact",
        "dht",
        "joined",
        "keypair",
        "model",
        "onion_secret",
        "operator",
        "path_peer",
        "rank",
        "roles",
    )

    def __init__(
        self,
        place: int,
        keypair: Keypair,
        operator: Keypair,
        onion_secret: bytes,
        *,
        address: str,
        roles: tuple[str, ...],
        model: str | None,
        rank: float,
    ) -> None:
        super().__init__(place)
        self.keypair = keypair
        self.operator = operator
        self.onion_secret = onion_secret
        self.address = address
        self.roles = roles
        self.model = model
        self.rank = rank
        """Uniform in [0, 1): a colluder at every share above it."""
        self.joined = False
        self.path_peer = PathPeer(str(keypair.peer_id), operator.public_key, frozenset({address_prefix(address)}))
        self.contact: Contact
        self.dht: DhtNode


@frozen
class DiscoveryReport:
    """What a run found. Shares are 0 to 1; `exact_share` is of lookups that gave the true k closest, all of them."""

    nodes: int
    searches: int
    found_share: float
    exact_share: float
    mean_hops: float
    most_hops: int
    mean_queries: float
    mean_contacts: float
    events: int
    digest: str


def _uniform_latency(seed: int) -> Latency:
    """A fixed latency for each pair of places, the same in both directions, from a digest of the pair."""
    spread_s = MAX_LATENCY_S - MIN_LATENCY_S

    def latency(source: int, destination: int) -> float:
        low, high = sorted((source, destination))
        # Knuth's multiplicative hash: cheap, and free of any generator's state.
        mixed = ((low * 2654435761 + high * 40503 + seed) * 2246822519) & 0xFFFFFFFF
        return MIN_LATENCY_S + spread_s * mixed / 0xFFFFFFFF

    return latency


class Discovery:
    """The DHT nodes of one run. A node is made by `add`, enters by `join` or `enter`, and ends by `leave`."""

    def __init__(
        self,
        engine: Engine,
        *,
        expected_nodes: int,
        paths: int = PATHS,
        suite: CipherSuite | None = None,
        record_lifetime_s: int = RECORD_LIFETIME_S,
    ) -> None:
        self.engine = engine
        self._lifetime_s = record_lifetime_s
        self.suite: CipherSuite = suite or NullSuite()
        self._paths = paths
        self._random = engine.stream("discovery")
        self._upkeep_random = engine.stream("upkeep")
        # Each record is verified once for all nodes, and remembered for about as long as it is valid.
        self.verifier = RecordVerifier(self.suite, capacity=VERIFIED_A_NODE * expected_nodes)
        self.nodes: list[SimulatedNode] = []
        self.bootstraps: list[SimulatedNode] = []
        self._by_id: dict[bytes, SimulatedNode] = {}

    @classmethod
    def of_size(cls, size: int, seed: int, *, latency: Latency | None = None, paths: int = 1) -> "Discovery":
        """`size` nodes that are hosts and relays at once, each on a /24 of its own."""
        engine = Engine(seed, latency or _uniform_latency(seed))
        discovery = cls(engine, expected_nodes=size, paths=paths, record_lifetime_s=MAX_LIFETIME_S)
        for place in range(size):
            discovery.add(place, roles=("host", "relay"), model=_model(place))
        discovery.bootstraps = discovery.nodes[:1]
        return discovery

    def add(
        self,
        place: int,
        *,
        roles: tuple[str, ...],
        model: str | None = None,
        keypair: Keypair | None = None,
        address: str | None = None,
    ) -> SimulatedNode:
        """A fresh node at `place`, with a key and an operator of its own and, if nothing else is said, a /24."""
        draw = self._random.randbytes
        number = len(self.nodes)
        node = SimulatedNode(
            place,
            keypair or Keypair.from_seed(draw(KEY_SIZE), self.suite),
            Keypair.from_seed(draw(KEY_SIZE), self.suite),
            draw(KEY_SIZE),
            address=address or f"/ip4/{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1/tcp/4001",
            roles=roles,
            model=model,
            rank=self._random.random(),
        )
        now_s = int(self.engine.now_s)
        self.nodes.append(node)
        self.renew(node, now_s)
        node.dht = DhtNode(node.contact.id, self.verifier, now_s)
        self._by_id[node.contact.id] = node
        return node

    def renew(self, node: SimulatedNode, now_s: int) -> None:
        """Signs the node's peer record anew."""
        record = PeerRecord(
            public_key=node.keypair.public_key,
            sequence=now_s,
            issued_at_s=now_s,
            expires_at_s=now_s + self._lifetime_s,
            addresses=(node.address,),
            onion_key=self.suite.x25519_public(node.onion_secret),
            operator_key=node.operator.public_key,
            operator_signature=node.operator.sign(operator_statement(node.keypair.public_key)),
            roles=node.roles,
            region="",
        )
        node.contact = self.verifier.contact(sign_record(record, node.keypair), now_s)

    def join_all(self) -> None:
        """Lets every node join, one after another, and runs until all have."""
        for number, node in enumerate(self.nodes):
            self.engine.at(self.engine.now_s + JOIN_INTERVAL_S * number, self.join, node)
        self.engine.run()

    def join(self, node: SimulatedNode, then: Callable[[], None] = lambda: None) -> None:
        """Asks the bootstrap nodes for the node's own id, then looks it up."""
        greeting = [peer for peer in self.bootstraps[:ENOUGH_GREETED] if peer is not node and peer.alive]
        waiting = len(greeting)

        def on_answer(_: Reply | None = None) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                self.drive(node, node.dht.lookup(node.contact.id, self.engine.now_s, paths=PATHS), on_looked_up)

        def on_looked_up(_: LookupResult) -> None:
            node.joined = True
            then()

        for peer in greeting:
            self.ask(node, peer.contact, FindNode(node.contact.id), on_answer, on_answer)
        if not greeting:
            node.joined = True
            then()

    def enter(self, node: SimulatedNode) -> None:
        """Joins, then publishes and keeps its table for as long as it lives."""
        self.join(node, partial(self._round, node, float("-inf")))

    def leave(self, node: SimulatedNode) -> None:
        """The node is gone, without a word."""
        node.alive = False

    def publish(self, node: SimulatedNode, body: Body, then: Callable[[], None] = lambda: None) -> None:
        """Stores a record at the k nodes closest to its key, and with the node itself."""
        signed = sign_record(body, node.keypair)
        now_s = self.engine.now_s
        node.dht.store.put(self.verifier.open(signed, now_s), now_s)

        def store(result: LookupResult) -> None:
            waiting = len(result.closest)

            def on_outcome(_: Reply | None = None) -> None:
                nonlocal waiting
                waiting -= 1
                if not waiting:
                    then()

            for contact in result.closest:
                self.ask(node, contact, Store(signed), on_outcome, on_outcome)
            if not waiting:
                then()

        self.drive(node, node.dht.lookup(record_key(body), now_s, paths=PATHS), store)

    def provide(self, node: SimulatedNode, model: str) -> None:
        """Publishes that the node has `model`."""
        self.publish(node, _provider(node, model, int(self.engine.now_s)))

    def search(
        self,
        node: SimulatedNode,
        target: bytes,
        done: Callable[[LookupResult], None],
        *,
        kind: int | None = None,
        wanted: int | None = None,
    ) -> None:
        """Looks up `target` from `node`; `done` gets the result, unless the node has left by then."""
        lookup = node.dht.lookup(target, self.engine.now_s, kind=kind, wanted=wanted, paths=self._paths)
        self.drive(node, lookup, done)

    def drive(
        self,
        node: SimulatedNode,
        lookup: Lookup,
        done: Callable[[LookupResult], None],
        *,
        introduce: bool = True,
    ) -> None:
        """Sends a lookup's queries and reports their outcomes until it is finished.

        Who does not `introduce` itself asks as a client does, and enters nobody's table.
        """
        _Search(self, node, lookup, done, introduce=introduce).go_on()

    def ask(
        self,
        source: SimulatedNode,
        contact: Contact,
        request: Request,
        on_reply: Callable[[Reply], None],
        on_failure: Callable[[], None],
        *,
        introduce: bool = True,
    ) -> None:
        """Sends a request; one of the two callbacks follows, the failure after the timeout."""
        destination = self._by_id[contact.id]
        engine = self.engine
        began_s = engine.now_s

        def arrive() -> None:
            if destination.alive:
                reply = destination.dht.handle(request, source.contact if introduce else None, engine.now_s)
                engine.send(destination.place, source.place, answer, reply)
            else:
                engine.at(max(engine.now_s, began_s + QUERY_TIMEOUT_S), give_up)

        def answer(reply: Reply) -> None:
            if source.alive:
                source.dht.heard_from(destination.contact, engine.now_s)
                on_reply(reply)

        def give_up() -> None:
            if source.alive:
                source.connected.pop(destination.place, None)
                source.dht.lost(contact)
                on_failure()

        opened_s = began_s + self.opening_s(source, destination)
        engine.deliver(opened_s + engine.latency_s(source.place, destination.place), arrive)

    def opening_s(self, source: Station, destination: Station) -> float:
        """What a new stream costs before its first byte leaves: round trips, more of them without a connection."""
        now_s = self.engine.now_s
        used_s = source.connected.get(destination.place)
        round_trips = STREAM_ROUND_TRIPS
        if used_s is None or now_s - used_s > CONNECTION_KEPT_S:
            round_trips += CONNECT_ROUND_TRIPS
        source.connected[destination.place] = destination.connected[source.place] = now_s
        return 2 * round_trips * self.engine.latency_s(source.place, destination.place)

    def is_connected(self, source: Station, destination: Station) -> bool:
        """Whether there is a connection that `source` would use."""
        used_s = source.connected.get(destination.place)
        return used_s is not None and self.engine.now_s - used_s <= CONNECTION_KEPT_S

    def maintain(self, node: SimulatedNode) -> None:
        """Drops what has expired, and pings who was silent."""
        now_s = self.engine.now_s
        node.dht.expire(now_s)
        for contact in node.dht.take_pings():
            self.ask(node, contact, Ping(), lambda _: None, lambda: None)
        idle = [place for place, used_s in node.connected.items() if now_s - used_s > CONNECTION_KEPT_S]
        for place in idle:
            del node.connected[place]

    def node_of(self, contact: Contact) -> SimulatedNode:
        """The node that a contact is of, dead or alive."""
        return self._by_id[contact.id]

    def living(self) -> Iterator[SimulatedNode]:
        """The nodes that have joined and not left, the oldest first."""
        return (node for node in self.nodes if node.alive and node.joined)

    def true_closest(self, target: bytes, k: int, searcher: SimulatedNode) -> list[Contact]:
        """The k living nodes closest to `target`, the searcher left out, by comparing all of them."""
        number = int.from_bytes(target)
        others = [node.contact for node in self.living() if node is not searcher]
        return nsmallest(k, others, key=lambda contact: contact.long_id ^ number)

    def _round(self, node: SimulatedNode, published_s: float) -> None:
        """One round of the upkeep: publish when it is due, rest, keep the table."""
        if not node.alive:
            return
        if self.engine.now_s - published_s >= REPUBLISH_INTERVAL_S:
            now_s = int(self.engine.now_s)
            self.renew(node, now_s)
            self._publish_each(node, _bodies(node, self.verifier, now_s))
        else:
            self.engine.after(UPKEEP_INTERVAL_S, self._keep, node, published_s)

    def _publish_each(self, node: SimulatedNode, bodies: Sequence[Body]) -> None:
        if bodies:
            self.publish(node, bodies[0], partial(self._publish_each, node, bodies[1:]))
        else:
            self.engine.after(UPKEEP_INTERVAL_S, self._keep, node, self.engine.now_s)

    def _keep(self, node: SimulatedNode, published_s: float) -> None:
        if not node.alive:
            return
        self.maintain(node)
        targets = node.dht.stale_targets(self.engine.now_s, self._upkeep_random.randbytes)
        self._refresh(node, targets, published_s)

    def _refresh(self, node: SimulatedNode, targets: Sequence[bytes], published_s: float) -> None:
        if targets:
            lookup = node.dht.lookup(targets[0], self.engine.now_s, paths=PATHS)
            self.drive(node, lookup, lambda _: self._refresh(node, targets[1:], published_s))
        else:
            self._round(node, published_s)


class _Search:
    """A lookup under way: sends its queries and reports what became of them."""

    __slots__ = ("_discovery", "_done", "_finished", "_introduce", "_lookup", "_node")

    def __init__(
        self,
        discovery: Discovery,
        node: SimulatedNode,
        lookup: Lookup,
        done: Callable[[LookupResult], None],
        *,
        introduce: bool,
    ) -> None:
        self._discovery = discovery
        self._node = node
        self._lookup = lookup
        self._done = done
        self._introduce = introduce
        self._finished = False

    def go_on(self) -> None:
        """Sends what is to be sent now; the end is told once."""
        if self._finished:
            return
        for query in self._lookup.next_queries(self._discovery.engine.now_s):
            on_outcome = partial(self._report, query.contact)
            self._discovery.ask(
                self._node, query.contact, query.request, on_outcome, on_outcome, introduce=self._introduce
            )
        if self._lookup.finished:
            self._finished = True
            self._done(self._lookup.result)

    def _report(self, contact: Contact, reply: Reply | None = None) -> None:
        if reply is None:
            self._lookup.on_failure(contact)
        else:
            now = self._discovery.node_of(contact).contact
            self._lookup.on_reply(now, reply, self._discovery.engine.now_s)
        self.go_on()


def _provider(node: SimulatedNode, model: str, now_s: int) -> ProviderRecord:
    return ProviderRecord(node.keypair.public_key, now_s, now_s, now_s + RECORD_LIFETIME_S, provider_key(model))


def _bodies(node: SimulatedNode, verifier: RecordVerifier, now_s: int) -> list[Body]:
    """What a node publishes: its peer record, and a host its offer and that it provides the model."""
    record = verifier.open(node.contact.record, now_s).body
    if node.model is None:
        return [record]
    offer = HostOffer(
        public_key=node.keypair.public_key,
        sequence=now_s,
        issued_at_s=now_s,
        expires_at_s=now_s + RECORD_LIFETIME_S,
        model=node.model,
        model_digest=bytes(32),
        tokenizer_digest=bytes(32),
        quantisation="q4",
        context_tokens=REQUEST_TOKENS,
        prompt_price=2,
        answer_price=5,
        capacity=2,
        region="",
        issuers=("simulated",),
        payout_key=node.operator.public_key,
        flags=(),
    )
    return [record, offer, _provider(node, node.model, now_s)]


def run_discovery(size: int, seed: int, *, paths: int = 1, latency: Latency | None = None) -> DiscoveryReport:
    """Joins `size` nodes, lets all publish, and searches from each: for a provider, and for a random id's closest."""
    discovery = Discovery.of_size(size, seed, latency=latency, paths=paths)
    engine = discovery.engine
    targets = engine.stream("targets")
    discovery.join_all()
    for node in discovery.nodes:
        discovery.provide(node, _model(node.place))
    engine.run()
    found: list[bool] = []
    exact: list[bool] = []
    results: list[LookupResult] = []

    def search(node: SimulatedNode) -> None:
        target = targets.randbytes(len(node.contact.id))
        # The neighbour's model: nobody finds only itself.
        key = provider_key(_model(node.place + 1))

        def on_providers(result: LookupResult) -> None:
            others = [value.owner for value in result.values if value.owner != node.contact.id]
            found.append(bool(others))
            engine.note(f"providers {node.place} {sorted(owner.hex() for owner in others)}")

        def on_closest(result: LookupResult) -> None:
            exact.append(list(result.closest) == discovery.true_closest(target, K, node))
            results.append(result)
            engine.note(f"closest {node.place} {[contact.id.hex() for contact in result.closest]}")

        discovery.search(node, key, on_providers, kind=PROVIDER, wanted=1)
        discovery.search(node, target, on_closest)

    for node in discovery.nodes:
        search(node)
    engine.run()
    return DiscoveryReport(
        nodes=size,
        searches=len(results),
        found_share=sum(found) / size,
        exact_share=sum(exact) / size,
        mean_hops=sum(result.hops for result in results) / size,
        most_hops=max(result.hops for result in results),
        mean_queries=sum(result.queries for result in results) / size,
        mean_contacts=sum(len(node.dht.table) for node in discovery.nodes) / size,
        events=engine.events,
        digest=engine.digest,
    )


def _model(place: int) -> str:
    return f"model-{place % MODELS}"
