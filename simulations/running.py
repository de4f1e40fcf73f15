"""A scenario run: the network forms, then churns, looks up and asks, and colluders are counted.

All randomness is from streams of the run's seed, one for each part; there is no clock but the engine's. What happened
is noted as it happens, so `Results.digest` is the same for the same scenario and seed in any process.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from attrs import frozen

from peernet.core.dht.lookup import LookupResult
from peernet.core.dht.records import PROVIDER, provider_key
from peernet.core.dht.table import K
from simulations.adversaries import Share, WeeksReport, follow, linked
from simulations.clients import DirectoryView, RequestOutcome, SimulatedClient
from simulations.discovery import Discovery, SimulatedNode
from simulations.engine import Engine, seeded_stream
from simulations.latency import RegionLatency, RoundTrips
from simulations.metrics import Figures, Tally
from simulations.rings import RingOutcome, Rings
from simulations.scenario import Scenario

__all__ = ["Colluders", "Progress", "Results", "run_scenario"]

JOINING: Final = 0.5
"""The part of the warm-up over which the nodes join."""

Progress = Callable[[str], None]
"""Told now and then how far a run is."""


@frozen
class Colluders:
    """What colluders of one share saw in the event run: of the rings that were built, and of the requests."""

    share: float
    by_path: Share
    linked: Share
    together: Share
    whole: Share
    met: Share
    """Clients one of whose guards at the end is hostile."""


@frozen
class Results:
    """Everything that a run found out."""

    rows: tuple[Figures, ...]
    """One for each stretch of `sample_s`."""
    whole: Figures
    """The same over all of the run but the warm-up."""
    lookup_s: tuple[float, ...]
    ring_build_s: tuple[float, ...]
    ring_failures: tuple[tuple[str, int], ...]
    """Why rings failed, and how many."""
    colluders: tuple[Colluders, ...]
    weeks: tuple[WeeksReport, ...]
    events: int
    deliveries: int
    digest: str


def run_scenario(
    scenario: Scenario, seed: int, *, round_trips: RoundTrips | None = None, progress: Progress = lambda _: None
) -> Results:
    """Runs a scenario; `round_trips` replaces those of its table."""
    world = _World(scenario, seed, round_trips or scenario.latency.round_trips, progress)
    world.run()
    weeks = []
    for share in scenario.adversaries.shares:
        progress(f"colluders: {scenario.adversaries.days} days at f = {share:g}")
        weeks.append(follow(scenario, share, world.engine.stream(f"weeks/{share!r}")))
    return world.results(tuple(weeks))


class _World:
    """The parts of one run, and what happens when."""

    def __init__(self, scenario: Scenario, seed: int, round_trips: RoundTrips, progress: Progress) -> None:
        self._scenario = scenario
        self._progress = progress
        self._begin_s = scenario.run.warm_up_s
        self._end_s = scenario.run.warm_up_s + scenario.run.duration_s
        self._latency = RegionLatency(
            round_trips,
            access_ms=(scenario.latency.access_ms[0], scenario.latency.access_ms[1]),
            jitter=scenario.latency.jitter,
            placing=seeded_stream(seed, "places"),
            load=seeded_stream(seed, "load"),
        )
        self.engine = Engine(seed, self._latency)
        self._churn = self.engine.stream("churn")
        self._asking = self.engine.stream("asking")
        self.discovery = Discovery(self.engine, expected_nodes=2 * scenario.nodes.count, paths=scenario.lookups.paths)
        shares = scenario.adversaries.shares
        self._rings = Rings(self.discovery, scenario.clients, self.engine.stream("rings"), seen_below=max(shares))
        self._clients: list[SimulatedClient] = []
        self._directory = DirectoryView({}, {}, (), {})
        self._stretch = Tally()
        self._whole = Tally()
        self._rows: list[Figures] = []
        self._delivered = 0
        self._delivered_before = 0
        self._colluders = [Colluders(share, *(Share() for _ in range(5))) for share in shares]

    def run(self) -> None:
        """From the first node to the end."""
        scenario, engine = self._scenario, self.engine
        self._found()
        engine.run(self._begin_s)
        self._delivered = self._delivered_before = engine.deliveries
        self._stretch = Tally()
        self._begin()
        ends_s = [self._begin_s + number * scenario.run.sample_s for number in range(1, self._stretches())]
        for end_s in (*ends_s, self._end_s):
            engine.run(end_s)
            self._sample()
        for client in self._clients:
            guards = [self._directory.nodes[peer].node for peer in client.book.known if peer in self._directory.nodes]
            for case in self._colluders:
                case.met.add(any(node.rank < case.share for node in guards))

    def results(self, weeks: tuple[WeeksReport, ...]) -> Results:
        """What was found out, with the digest of all of it."""
        whole = self._figures(self._whole, self._scenario.run.duration_s, self._delivered_before)
        failures = tuple(sorted(self._whole.ring_failures.items()))
        found = (self.engine.digest, self._rows, whole, failures, self._colluders, weeks)
        return Results(
            rows=tuple(self._rows),
            whole=whole,
            lookup_s=tuple(self._whole.lookup_s),
            ring_build_s=tuple(self._whole.ring_build_s),
            ring_failures=failures,
            colluders=tuple(self._colluders),
            weeks=weeks,
            events=self.engine.events,
            deliveries=self.engine.deliveries,
            digest=hashlib.sha256(repr(found).encode()).hexdigest(),
        )

    # --- the network ---------------------------------------------------------------------------------------------

    def _found(self) -> None:
        """Bootstrap nodes at the beginning, all others over the first part of the warm-up."""
        nodes = self._scenario.nodes
        for _ in range(nodes.bootstraps):
            self.discovery.bootstraps.append(self._make(("bootstrap",), None))
        for node in self.discovery.bootstraps:
            self.engine.at(0.0, self.discovery.enter, node)
        interval_s = JOINING * self._begin_s / nodes.count
        for number in range(nodes.count):
            if number < self._scenario.hosts:
                roles, model = ("host",), _model(number % nodes.models)
            else:
                roles, model = ("relay",), None
            self.engine.at(interval_s * (number + 1), self._arrive, roles, model)

    def _begin(self) -> None:
        """What goes on after the warm-up."""
        self._renew_directory()
        scenario = self._scenario
        for number in range(scenario.clients.count):
            stream = self.engine.stream(f"client/{number}")
            client = SimulatedClient(self._latency.settle(), self._rings, scenario.clients, stream)
            self._clients.append(client)
        nodes = scenario.nodes.count
        self._repeat(scenario.churn.departures_per_hour * nodes, self._depart)
        self._repeat(scenario.lookups.per_node_hour * nodes, self._look_up)
        self._repeat(scenario.clients.requests_per_hour * len(self._clients), self._ask)

    def _repeat(self, per_hour: float, event: Callable[[], None]) -> None:
        """Lets `event` happen at random times, so many an hour on average."""
        if not per_hour:
            return
        stream = self.engine.stream(f"times of {event.__name__}")

        def happen() -> None:
            event()
            self.engine.after(stream.expovariate(per_hour / 3600), happen)

        self.engine.after(stream.expovariate(per_hour / 3600), happen)

    def _make(self, roles: tuple[str, ...], model: str | None) -> SimulatedNode:
        return self.discovery.add(self._latency.settle(), roles=roles, model=model)

    def _arrive(self, roles: tuple[str, ...], model: str | None) -> None:
        self._stretch.joined += 1
        self.discovery.enter(self._make(roles, model))

    def _depart(self) -> None:
        nodes = self._nodes()
        if not nodes:
            return
        node = self._churn.choice(nodes)
        self.discovery.leave(node)
        self._stretch.left += 1
        self.engine.note(f"left {node.place}")
        self.engine.after(self._scenario.churn.replaced_after_s, self._arrive, node.roles, node.model)

    def _nodes(self) -> list[SimulatedNode]:
        """The nodes that are there, bootstrap nodes left out."""
        return [node for node in self.discovery.living() if "bootstrap" not in node.roles]

    # --- lookups -------------------------------------------------------------------------------------------------

    def _look_up(self) -> None:
        nodes = self._nodes()
        if len(nodes) < 2:
            return
        node, sought = self._asking.sample(nodes, 2)
        if self._asking.random() < 0.5:
            self._find_model(node, _model(self._asking.randrange(self._scenario.nodes.models)))
        else:
            self._find_node(node, sought)

    def _find_model(self, node: SimulatedNode, model: str) -> None:
        began_s = self.engine.now_s

        def done(result: LookupResult) -> None:
            living = {host.contact.id for host in self.discovery.living() if host.model == model}
            found = any(value.owner in living for value in result.values)
            self._note_lookup(result, self.engine.now_s - began_s, found=found)

        self.discovery.search(node, provider_key(model), done, kind=PROVIDER)

    def _find_node(self, node: SimulatedNode, sought: SimulatedNode) -> None:
        began_s = self.engine.now_s
        target = sought.contact.id

        def done(result: LookupResult) -> None:
            closest = {contact.id for contact in result.closest}
            true = {contact.id for contact in self.discovery.true_closest(target, K, node)}
            self._stretch.recalls.append(len(closest & true) / len(true))
            if sought.alive:
                self._note_lookup(result, self.engine.now_s - began_s, found=target in closest)

        self.discovery.search(node, target, done)

    def _note_lookup(self, result: LookupResult, took_s: float, *, found: bool) -> None:
        tally = self._stretch
        tally.lookups += 1
        tally.lookup_found += found
        tally.hops.append(result.hops)
        tally.queries.append(result.queries)
        tally.failures.append(result.failures)
        tally.lookup_s.append(took_s)
        self.engine.note(f"lookup {result.hops} {result.queries} {result.failures} {found}")

    # --- requests ------------------------------------------------------------------------------------------------

    def _renew_directory(self) -> None:
        self._directory = DirectoryView.of(self.discovery)
        self.engine.after(self._scenario.clients.directory_interval_s, self._renew_directory)

    def _ask(self) -> None:
        client = self._asking.choice(self._clients)
        client.ask(self._directory, lambda outcome: self._note_request(client, outcome))

    def _note_request(self, client: SimulatedClient, outcome: RequestOutcome) -> None:
        tally = self._stretch
        tally.requests += 1
        tally.requests_answered += outcome.answered == outcome.fragments
        if outcome.impossible:
            tally.ring_failures[outcome.impossible] += 1
        for host, ring in outcome.rings:
            self._note_ring(ring)
            if ring.build_s >= 0:
                for case in self._colluders:
                    exposure = linked(ring.sightings, client.place, host.place, case.share)
                    case.by_path.add(exposure.by_path)
                    case.linked.add(exposure.linked)
        reached = [host for host, ring in outcome.rings if ring.build_s >= 0]
        for case in self._colluders:
            hostile = sum(host.rank < case.share for host in reached)
            case.together.add(hostile > 1)
            case.whole.add(hostile >= outcome.fragments)
        self.engine.note(f"request {client.place} {outcome.answered} {len(outcome.rings)}")

    def _note_ring(self, ring: RingOutcome) -> None:
        tally = self._stretch
        tally.rings += 1
        if ring.build_s >= 0:
            tally.ring_build_s.append(ring.build_s)
            tally.ring_cells_to_build.append(ring.cells_to_build)
        if ring.first_answer_s >= 0:
            tally.first_answer_s.append(ring.first_answer_s)
        if ring.answered_s >= 0:
            tally.rings_answered += 1
            tally.ring_cells.append(ring.cells)
        if ring.reason:
            tally.ring_failures[ring.reason] += 1
        self.engine.note(f"ring {ring.build_s!r} {ring.answered_s!r} {ring.reason} {ring.hop} {ring.cells}")

    # --- figures -------------------------------------------------------------------------------------------------

    def _stretches(self) -> int:
        run = self._scenario.run
        return max(1, -int(-run.duration_s // run.sample_s))

    def _sample(self) -> None:
        engine = self.engine
        length_s = engine.now_s - (self._rows[-1].time_s + self._begin_s if self._rows else self._begin_s)
        row = self._figures(self._stretch, length_s, self._delivered)
        self._rows.append(row)
        self._whole.add(self._stretch)
        self._stretch = Tally()
        self._delivered = engine.deliveries
        done_s = engine.now_s - self._begin_s
        self._progress(
            f"{done_s / 60:.0f} of {self._scenario.run.duration_s / 60:.0f} simulated minutes, {row.nodes} nodes, "
            f"{engine.deliveries:,} deliveries"
        )

    def _figures(self, tally: Tally, length_s: float, delivered_before: int) -> Figures:
        nodes = self._nodes()
        tables = [len(node.dht.table) for node in nodes]
        dead = sum(
            not self.discovery.node_of(contact).alive for node in nodes for contact in node.dht.table.contacts()
        )
        return tally.figures(
            self.engine.now_s - self._begin_s,
            length_s,
            nodes=len(nodes),
            tables=tables,
            dead=dead,
            deliveries=self.engine.deliveries - delivered_before,
        )


def _model(number: int) -> str:
    return f"model-{number}"
