"""Many DHT nodes over the event loop, running exactly `peernet.core.dht`.

Every node joins by looking itself up from a few nodes that are there already, publishes a provider record for one
model, and searches for the providers of another. Messages are handed over as objects, records as the opaque bytes
they are; signatures are those of a suite that keeps the lengths and computes a digest, since what is studied here is
who finds whom, not what Ed25519 costs.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from attrs import frozen

from peernet.core.dht.contact import Contact
from peernet.core.dht.lookup import QUERY_TIMEOUT_S, Lookup, LookupResult
from peernet.core.dht.messages import Ping, Reply, Request, Store, Stored
from peernet.core.dht.node import DhtNode
from peernet.core.dht.records import (
    MAX_LIFETIME_S,
    PROVIDER,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    operator_statement,
    provider_key,
    sign_record,
)
from peernet.core.dht.table import K
from peernet.core.identity import Keypair
from peernet.core.suite import KEY_SIZE, SIGNATURE_SIZE, SodiumSuite
from simulations.engine import Engine, Latency

__all__ = ["Discovery", "DiscoveryReport", "NullSuite", "SimulatedNode", "run_discovery"]

SEEDS: Final = 3
JOIN_INTERVAL_S: Final = 0.05
MODELS: Final = 10
MIN_LATENCY_S: Final = 0.02
MAX_LATENCY_S: Final = 0.15


class NullSuite(SodiumSuite):
    """Keys and signatures of the real lengths that anybody could make, and that still tell a changed message."""

    name = "null"

    def ed25519_public(self, seed: bytes) -> bytes:
        return hashlib.blake2b(seed, digest_size=KEY_SIZE).digest()

    def sign(self, seed: bytes, message: bytes) -> bytes:
        return self._signature(self.ed25519_public(seed), message)

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        return signature == self._signature(public, message)

    @staticmethod
    def _signature(public: bytes, message: bytes) -> bytes:
        return hashlib.blake2b(public + message, digest_size=SIGNATURE_SIZE).digest()


class SimulatedNode:
    """A DHT node with its place in the network."""

    __slots__ = ("alive", "contact", "dht", "keypair", "place")

    def __init__(self, place: int, keypair: Keypair, dht: DhtNode, contact: Contact) -> None:
        self.place = place
        self.keypair = keypair
        self.dht = dht
        self.contact = contact
        self.alive = True


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
    """A network of `size` nodes, each on a /24 of its own; `paths` is the number of disjoint paths of a search."""

    def __init__(self, size: int, seed: int, *, latency: Latency | None = None, paths: int = 1) -> None:
        self.engine = Engine(seed, latency or _uniform_latency(seed))
        self._paths = paths
        self._suite = NullSuite()
        self._random = self.engine.stream("discovery")
        self._verifier = RecordVerifier(self._suite, capacity=4 * size + 64)
        self.nodes = [self._make_node(place) for place in range(size)]
        self._by_id = {node.contact.id: node for node in self.nodes}

    def join_all(self) -> None:
        """Lets every node join, one after another, and runs until all have."""
        for node in self.nodes:
            self.engine.at(self.engine.now_s + JOIN_INTERVAL_S * node.place, self.join, node)
        self.engine.run()

    def join(self, node: SimulatedNode) -> None:
        """Looks up the node's own id from a few nodes that joined before it."""
        earlier = self.nodes[: node.place]
        seeds = [known.contact for known in self._random.sample(earlier, min(SEEDS, len(earlier)))]
        lookup = node.dht.lookup(node.contact.id, self.engine.now_s, seeds=seeds)
        self.drive(node, lookup, lambda _: None)

    def publish(self, node: SimulatedNode, model: str) -> None:
        """Stores a provider record of `model` at the k nodes closest to its key."""
        now_s = int(self.engine.now_s)
        key = provider_key(model)
        body = ProviderRecord(node.keypair.public_key, now_s, now_s, now_s + MAX_LIFETIME_S, key)
        record = sign_record(body, node.keypair)

        def store(result: LookupResult) -> None:
            for contact in result.closest:
                self.ask(node, contact, Store(record), self._note_stored, lambda: None)

        self.drive(node, node.dht.lookup(key, self.engine.now_s, paths=self._paths), store)

    def search(
        self,
        node: SimulatedNode,
        target: bytes,
        done: Callable[[LookupResult], None],
        *,
        kind: int | None = None,
        wanted: int | None = None,
    ) -> None:
        """Looks up `target` from `node`; `done` gets the result."""
        lookup = node.dht.lookup(target, self.engine.now_s, kind=kind, wanted=wanted, paths=self._paths)
        self.drive(node, lookup, done)

    def drive(self, node: SimulatedNode, lookup: Lookup, done: Callable[[LookupResult], None]) -> None:
        """Sends a lookup's queries and reports their outcomes until it is finished."""
        finished = False

        def go_on() -> None:
            nonlocal finished
            if finished:
                return
            for query in lookup.next_queries(self.engine.now_s):
                ask(query.contact, query.request)
            if lookup.finished:
                finished = True
                done(lookup.result)

        def ask(contact: Contact, request: Request) -> None:
            def on_reply(reply: Reply) -> None:
                lookup.on_reply(contact, reply, self.engine.now_s)
                go_on()

            def on_failure() -> None:
                lookup.on_failure(contact)
                go_on()

            self.ask(node, contact, request, on_reply, on_failure)

        go_on()

    def ask(
        self,
        source: SimulatedNode,
        contact: Contact,
        request: Request,
        on_reply: Callable[[Reply], None],
        on_failure: Callable[[], None],
    ) -> None:
        """Sends a request; one of the two callbacks follows, the failure after the timeout."""
        destination = self._by_id[contact.id]
        engine = self.engine
        deadline_s = engine.now_s + QUERY_TIMEOUT_S

        def arrive() -> None:
            if destination.alive:
                reply = destination.dht.handle(request, source.contact, engine.now_s)
                engine.send(destination.place, source.place, answer, reply)
                self._ping(destination)
            else:
                engine.at(deadline_s, give_up)

        def answer(reply: Reply) -> None:
            if source.alive:
                source.dht.heard_from(contact, engine.now_s)
                self._ping(source)
                on_reply(reply)

        def give_up() -> None:
            if source.alive:
                source.dht.lost(contact)
                on_failure()

        engine.send(source.place, destination.place, arrive)

    def maintain(self, node: SimulatedNode) -> None:
        """What a node does every so often: drop what expired, ping who was silent."""
        node.dht.expire(self.engine.now_s)
        self._ping(node)

    def true_closest(self, target: bytes, k: int, searcher: SimulatedNode) -> list[Contact]:
        """The k living nodes closest to `target`, the searcher left out, by comparing all of them."""
        number = int.from_bytes(target)
        others = [node.contact for node in self.nodes if node.alive and node is not searcher]
        return sorted(others, key=lambda contact: contact.long_id ^ number)[:k]

    def _ping(self, node: SimulatedNode) -> None:
        for contact in node.dht.take_pings():
            self.ask(node, contact, Ping(), lambda _: None, lambda: None)

    def _note_stored(self, reply: Reply) -> None:
        assert isinstance(reply, Stored)
        self.engine.note(f"stored {reply.accepted}")

    def _make_node(self, place: int) -> SimulatedNode:
        keypair = Keypair.from_seed(self._random.randbytes(KEY_SIZE), self._suite)
        operator = Keypair.from_seed(self._random.randbytes(KEY_SIZE), self._suite)
        record = PeerRecord(
            public_key=keypair.public_key,
            sequence=0,
            issued_at_s=0,
            expires_at_s=MAX_LIFETIME_S,
            addresses=(f"/ip4/{10 + (place >> 16)}.{place >> 8 & 255}.{place & 255}.1/tcp/4001",),
            onion_key=self._random.randbytes(KEY_SIZE),
            operator_key=operator.public_key,
            operator_signature=operator.sign(operator_statement(keypair.public_key)),
            roles=("host", "relay"),
            region="",
        )
        contact = self._verifier.contact(sign_record(record, keypair), 0.0)
        return SimulatedNode(place, keypair, DhtNode(contact.id, self._verifier, 0.0), contact)


def run_discovery(size: int, seed: int, *, paths: int = 1, latency: Latency | None = None) -> DiscoveryReport:
    """Joins `size` nodes, lets all publish, and searches from each: for a provider, and for a random id's closest."""
    discovery = Discovery(size, seed, latency=latency, paths=paths)
    engine = discovery.engine
    targets = engine.stream("targets")
    discovery.join_all()
    for node in discovery.nodes:
        discovery.publish(node, _model(node.place))
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
