"""Metrics of a node's connections and of its being reached, for Prometheus.

Rules:

1. Hot paths add to plain integers (`Swarm.counters`, and those of the services in `net.reachability`). A collector
   reads them when somebody scrapes, and costs nothing before.
2. Nothing personal: no peer, no address, no text. Label values come from our code: transports, reasons, limits, and
   protocols that we serve.
3. Each registry is for the swarms and services that it was made for: there is no global one. Several of one process
   are added up.

The counters' names are words with colons between them, such as `dial:tcp:refused`; the first word chooses the metric,
the others are its labels, empty where there is none. Those of a service are known under its word and a dot, such as
`relay.ended:idle`; those of rings are all one metric. Source: Prometheus, "Metric and label naming".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from peernet.net.swarm import Swarm

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

__all__ = ["COUNTED", "HELD", "RINGS", "Measured", "registry_of"]


@frozen
class Measured:
    """A service beside a swarm: what it has counted, and what it holds now."""

    word: str
    """`relay`, `places`, `probes`, `dial_backs` or `rings`."""
    counters: Counter[str]
    held: Mapping[str, Callable[[], int]] = field(factory=dict)


@frozen
class Counted:
    """A metric of which each label set is one counter."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    """Values of the first labels, which the counter's name does not have."""


RINGS: Final = "rings"

COUNTED: Final = {
    "accepted": Counted(
        "peernet_connections_made", "Connections whose handshake was done.", ("direction", "transport"), ("in",)
    ),
    "dialled": Counted(
        "peernet_connections_made", "Connections whose handshake was done.", ("direction", "transport"), ("out",)
    ),
    "connection_failed": Counted(
        "peernet_connection_failures", "Connections that the other side ended by breaking the protocol.", ("reason",)
    ),
    "handshake_failed": Counted("peernet_handshake_failures", "Inbound handshakes that failed.", ("reason",)),
    "refused": Counted(
        "peernet_refused", "Who came and was refused before a handshake, or right after it.", ("reason",)
    ),
    "dial": Counted("peernet_dials", "Attempts to dial an address, by what came of them.", ("transport", "outcome")),
    "dial_rested": Counted(
        "peernet_dials_rested", "Dials that were not tried, since all addresses failed just before."
    ),
    "stream": Counted("peernet_streams", "Streams that agreed on a protocol.", ("direction", "protocol")),
    "stream_failed": Counted("peernet_stream_failures", "Streams whose other side broke the protocol.", ("reason",)),
    "stream_ended": Counted("peernet_streams_cut", "Streams that were served and ended before they were done."),
    "refused_stream": Counted(
        "peernet_streams_refused",
        "Streams that were reset when they were opened, by the node or by yamux.",
        ("reason",),
    ),
    "evicted": Counted("peernet_evictions", "What gave way to others.", ("what",)),
    "limit": Counted(
        "peernet_limits_met", "How often a limit was met, be it to wait, to give way or to be refused.", ("limit",)
    ),
    "drain": Counted("peernet_drains", "Ends of this node, by whether it finished what it served.", ("outcome",)),
    "accept_crashed": Counted("peernet_crashes", "Errors of our own.", ("part",), ("accept",)),
    "connection_crashed": Counted("peernet_crashes", "Errors of our own.", ("part",), ("connection",)),
    "handler_crashed": Counted("peernet_crashes", "Errors of our own.", ("part",), ("handler",)),
    "task_crashed": Counted("peernet_crashes", "Errors of our own.", ("part",), ("task",)),
    # What a relay does for peers that cannot be dialled.
    "relay.reserved": Counted("peernet_circuit_reservations", "Places that were given, or prolonged."),
    "relay.refused": Counted("peernet_circuit_refusals", "Requests for a place or a circuit refused.", ("status",)),
    "relay.opened": Counted("peernet_circuits_opened", "Circuits that both sides agreed on."),
    "relay.ended": Counted("peernet_circuits_ended", "Circuits that are over, by what ended them.", ("ending",)),
    "relay.bytes": Counted("peernet_circuit_bytes", "Bytes passed on over circuits, encrypted."),
    # What a peer that cannot be dialled has of relays.
    "places.granted": Counted("peernet_places", "Places at relays, got or prolonged, and lost.", ("event",), ("got",)),
    "places.lost": Counted("peernet_places", "Places at relays, got or prolonged, and lost.", ("event",), ("lost",)),
    "places.failed": Counted("peernet_place_failures", "Relays that gave no place, by why.", ("reason",)),
    "places.circuit_taken": Counted(
        "peernet_circuits_offered", "Circuits that relays brought.", ("outcome",), ("taken",)
    ),
    "places.circuit_refused": Counted(
        "peernet_circuits_offered", "Circuits that relays brought.", ("outcome",), ("refused",)
    ),
    # Asking others to dial back, and dialling back for others.
    "probes.answered": Counted("peernet_probes", "What others said of an address of this node.", ("outcome",)),
    "probes.failed": Counted("peernet_probe_failures", "Others that said nothing of use, by why.", ("reason",)),
    "dial_backs.answered": Counted("peernet_dial_requests", "Requests to be dialled back, answered.", ("answer",)),
    # What it does for rings: each event of theirs, whichever there are.
    RINGS: Counted("peernet_ring_events", "What this node met with on other peers' rings.", ("event", "detail")),
    "dial_backs.failed": Counted("peernet_dial_back_failures", "Dials for others that failed.", ("status",)),
}

HELD: Final = {
    "relay.reserved": ("peernet_circuit_reservations_held", "Peers that have a place at this relay now."),
    "relay.circuits": ("peernet_circuits", "Circuits through this relay now."),
    "places.kept": ("peernet_places_kept", "Relays that this node has a place at now."),
    "rings.legs": ("peernet_ring_legs", "Legs of other peers' rings now."),
    "dial_backs.running": ("peernet_dial_backs", "Dials for others now."),
}
"""Name and meaning of what services hold."""


def registry_of(swarms: Sequence[Swarm], services: Sequence[Measured] = ()) -> "CollectorRegistry":
    """A registry with the metrics of these swarms and services, added up."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    class NodeCollector(Collector):
        """Reads the swarms and services at each scrape."""

        def collect(self) -> Iterable["Metric"]:
            yield from _counted(swarms, services)
            yield from _held(swarms)
            yield from _held_by_services(services)

    registry = CollectorRegistry()
    registry.register(NodeCollector())
    return registry


def _counted(swarms: Sequence[Swarm], services: Sequence[Measured]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily

    sums: Counter[str] = Counter()
    for swarm in swarms:
        sums.update(swarm.counters)
    for service in services:
        mark = ":" if service.word == RINGS else "."
        sums.update({f"{service.word}{mark}{name}": number for name, number in service.counters.items()})
    families: dict[str, CounterMetricFamily] = {
        counted.name: CounterMetricFamily(counted.name, counted.about, labels=counted.labels)
        for counted in COUNTED.values()
    }
    for name, number in sorted(sums.items()):
        kind, _, rest = name.partition(":")
        counted = COUNTED[kind]
        own = len(counted.labels) - len(counted.fixed)
        values = rest.split(":", own - 1) if own else []
        unsaid = [""] * (own - len(values))
        families[counted.name].add_metric([*counted.fixed, *values, *unsaid], number)
    yield from families.values()


def _held(swarms: Sequence[Swarm]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    connections = GaugeMetricFamily(
        "peernet_connections", "Connections now, their handshake done.", labels=("direction", "transport")
    )
    kinds: Counter[tuple[str, str]] = Counter()
    for swarm in swarms:
        kinds += swarm.connections_by_kind()
    for kind, number in sorted(kinds.items()):
        connections.add_metric(kind, number)
    yield connections
    volume = CounterMetricFamily("peernet_bytes", "Bytes of all connections, encrypted.", labels=("direction",))
    volume.add_metric(("in",), sum(swarm.bytes_received for swarm in swarms))
    volume.add_metric(("out",), sum(swarm.bytes_sent for swarm in swarms))
    yield volume
    for name, about, values in (
        ("peernet_handshakes", "Inbound handshakes now.", (swarm.door.inside for swarm in swarms)),
        ("peernet_handshakes_waiting", "Who waits for a handshake now.", (swarm.door.waiting for swarm in swarms)),
        ("peernet_streams_served", "Streams of others now.", (swarm.resources.streams for swarm in swarms)),
        (
            "peernet_window_memory_bytes",
            "What windows have grown by now.",
            (swarm.resources.memory for swarm in swarms),
        ),
        ("peernet_draining", "Whether this node is about to end.", (int(swarm.draining) for swarm in swarms)),
    ):
        yield GaugeMetricFamily(name, about, value=sum(values))


def _held_by_services(services: Sequence[Measured]) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    for key, (name, about) in HELD.items():
        word, _, what = key.partition(".")
        value = sum(service.held[what]() for service in services if service.word == word)
        yield GaugeMetricFamily(name, about, value=value)
