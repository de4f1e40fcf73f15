"""Scenarios: what is simulated, as a TOML file with a table for each part.

Every table and setting has a default but the name; what is unknown, of another type, or out of bounds is a `UserError`
that names file, table and setting. `Scenario.digest` stands for all settings, whatever the file's layout.
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs
from attrs import Attribute, asdict, evolve, field, frozen
from attrs.validators import ge, gt, in_, le, min_len

from peernet.core.dht.lookup import MAX_PATHS
from peernet.core.dht.node import PATHS
from peernet.core.errors import UserError
from peernet.core.ring.paths import PROFILES
from peernet.core.ring.ring import MAX_RING_MESSAGE
from simulations.latency import RoundTrips

__all__ = [
    "Adversaries",
    "Churn",
    "Clients",
    "LatencyTable",
    "Lookups",
    "Nodes",
    "Run",
    "Scenario",
    "load_scenario",
]

MAX_NODES: Final = 100_000
MAX_CLIENTS: Final = 100_000

T = TypeVar("T")


def _is_share(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} is {value:g}, and should be a share from 0 to 1")


def _are_shares(_: object, attribute: "Attribute[tuple[float, ...]]", values: tuple[float, ...]) -> None:
    if not values or not all(0 <= value < 1 for value in values) or list(values) != sorted(set(values)):
        raise ValueError(f"{attribute.name} should be shares from 0 to below 1, each once, ascending")


def _is_range(_: object, attribute: "Attribute[tuple[float, ...]]", values: tuple[float, ...]) -> None:
    if len(values) != 2 or not 0 <= values[0] <= values[1]:
        raise ValueError(f"{attribute.name} should be the least and the most, such as [1.0, 15.0]")


def _are_positive(_: object, attribute: "Attribute[Mapping[str, float]]", values: Mapping[str, float]) -> None:
    if not values or not all(0 < value < float("inf") for value in values.values()):
        raise ValueError(f"{attribute.name} should give each region a share above 0")


@frozen
class Run:
    """How long it goes. The network forms during the warm-up; what is reported comes after it."""

    warm_up_s: float = field(default=300.0, validator=gt(0))
    duration_s: float = field(default=3600.0, validator=gt(0))
    sample_s: float = field(default=300.0, validator=gt(0))
    """How much time one row of the metrics stands for."""


@frozen
class Nodes:
    """Who is in the DHT."""

    count: int = field(default=1000, validator=[ge(2), le(MAX_NODES)])
    """Relays and hosts that are there at any time."""
    bootstraps: int = field(default=3, validator=[ge(1), le(100)])
    """Nodes on top of them by which the others join; these stay."""
    host_share: float = field(default=0.3, validator=_is_share)
    """Of the nodes, how many are hosts; the others are relays."""
    models: int = field(default=5, validator=[ge(1), le(1000)])
    """How many models there are; each host serves one."""


@frozen
class LatencyTable:
    """Regions, how much of the network each has, and the round trips between them, each pair once."""

    regions: Mapping[str, float] = field(default={"everywhere": 1.0}, validator=_are_positive)
    round_trip_ms: Mapping[str, Mapping[str, float]] = field(default={"everywhere": {"everywhere": 80.0}})
    access_ms: tuple[float, ...] = field(default=(1.0, 15.0), validator=_is_range)
    """What a node's access line adds one way: the least and the most."""
    jitter: float = field(default=0.1, validator=ge(0))
    """By what share the load of the moment lengthens a message at most."""

    @property
    def round_trips(self) -> RoundTrips:
        """The matrix; raises `ValueError` when a pair is missing."""
        return RoundTrips.of(self.regions, self.round_trip_ms)


@frozen
class Churn:
    """Nodes that leave without a word, and fresh ones that come for them."""

    departures_per_hour: float = field(default=0.2, validator=[ge(0), le(100)])
    """How many leave in an hour, as a share of the nodes: a Poisson process over the whole run."""
    replaced_after_s: float = field(default=60.0, validator=ge(0))


@frozen
class Lookups:
    """What nodes look up, by turns the providers of a model and a node that is there."""

    per_node_hour: float = field(default=2.0, validator=ge(0))
    paths: int = field(default=PATHS, validator=[ge(1), le(MAX_PATHS)])
    """Disjoint paths of these lookups; those of joining, publishing and upkeep have the node's own number."""


@frozen
class Clients:
    """Who asks, and what one request is. Sizes in bytes."""

    count: int = field(default=60, validator=[ge(0), le(MAX_CLIENTS)])
    requests_per_hour: float = field(default=6.0, validator=ge(0))
    """Of each client."""
    fragments: int = field(default=3, validator=[ge(1), le(16)])
    profile: str = field(default="private", validator=in_(tuple(PROFILES)))
    attempts: int = field(default=3, validator=[ge(1), le(10)])
    """Rings that are tried for one fragment."""
    directory_interval_s: float = field(default=600.0, validator=gt(0))
    """How old the directory gets that clients choose from."""
    request_size: int = field(default=1500, validator=[ge(1), le(MAX_RING_MESSAGE)])
    answer_messages: int = field(default=20, validator=[ge(1), le(100_000)])
    answer_message_size: int = field(default=40, validator=[ge(1), le(MAX_RING_MESSAGE)])
    answer_interval_s: float = field(default=0.1, validator=ge(0))
    first_answer_s: float = field(default=0.5, validator=ge(0))
    """What the host takes to begin its answer, and between two messages of it."""
    handshake_ms: float = field(default=0.5, validator=ge(0))
    """What a hop's handshake costs the hop, which the null suite does not."""
    extend_timeout_s: float = field(default=5.0, validator=gt(0))
    """How long a relay tries to reach the next hop."""
    ring_timeout_s: float = field(default=8.0, validator=gt(0))
    """How long a client waits for a ring."""
    answer_timeout_s: float = field(default=20.0, validator=gt(0))
    """How long a client waits for the next message of an answer."""


@frozen
class Adversaries:
    """Relays and hosts that work together, and the weeks over which that is followed."""

    shares: tuple[float, ...] = field(default=(0.05, 0.1, 0.2, 0.3), validator=_are_shares)
    """The hostile share f of the relays, and the same of the hosts; each is a case of its own."""
    one_operator: bool = False
    """Whether the colluders admit to one operator, so that the diversity rules see them. Else each claims its own."""
    clients: int = field(default=200, validator=[ge(1), le(MAX_CLIENTS)])
    days: int = field(default=28, validator=[ge(1), le(3650)])
    requests_per_day: int = field(default=2, validator=[ge(1), le(1000)])
    relay_departures_per_day: float = field(default=0.01, validator=_is_share)
    """Of the relays, how many leave for good in a day; as many come."""
    away_share: float = field(default=0.02, validator=_is_share)
    """Of the relays, how many the directory lacks on any one day."""


@frozen
class Scenario:
    """One scenario, whole."""

    name: str = field(validator=min_len(1))
    description: str = ""
    run: Run = Run()
    nodes: Nodes = Nodes()
    latency: LatencyTable = LatencyTable()
    churn: Churn = Churn()
    lookups: Lookups = Lookups()
    clients: Clients = Clients()
    adversaries: Adversaries = Adversaries()

    def __attrs_post_init__(self) -> None:
        if self.hosts < self.clients.fragments:
            raise ValueError(
                f"{self.nodes.count} nodes with a host_share of {self.nodes.host_share:g} have {self.hosts} hosts, "
                f"and a request of {self.clients.fragments} fragments takes as many of one model"
            )

    @property
    def hosts(self) -> int:
        """How many of the nodes are hosts."""
        return round(self.nodes.count * self.nodes.host_share)

    @property
    def digest(self) -> str:
        """The SHA-256 of all settings, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def with_nodes(self, count: int) -> "Scenario":
        """This scenario at another size; raises `UserError` for one that there is not."""
        try:
            return evolve(self, nodes=evolve(self.nodes, count=count))
        except ValueError as error:
            raise UserError(f"--nodes {count}: {error.args[0]}") from error

    def with_duration(self, duration_s: float) -> "Scenario":
        """This scenario over another time; raises `UserError` for one that there is not."""
        try:
            return evolve(self, run=evolve(self.run, duration_s=duration_s))
        except ValueError as error:
            raise UserError(f"--duration-s {duration_s:g}: {error.args[0]}") from error


def load_scenario(path: Path) -> Scenario:
    """The scenario of a TOML file; raises `UserError`."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no scenario {path}: some are in simulations/scenarios") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    scenario = _structure(Scenario, content, f"{path}:")
    try:
        _ = scenario.latency.round_trips
    except ValueError as error:
        raise UserError(f"{path}: [latency] {error}") from error
    return scenario


def _structure(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    """`content` as the attrs class `kind`, tables within it as theirs."""
    fields = {attribute.name: attribute for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", kind))}
    unknown = sorted(set(content) - set(fields))
    if unknown:
        raise UserError(f"{where} there is no setting {unknown[0]!r}; there are {', '.join(fields)}")
    missing = [
        name for name, attribute in fields.items() if attribute.default is attrs.NOTHING and name not in content
    ]
    if missing:
        raise UserError(f"{where} the setting {missing[0]!r} is missing")
    values = {name: _value(fields[name].type, name, value, where) for name, value in content.items()}
    try:
        return kind(**values)
    except ValueError as error:
        # attrs gives the field and the bound as further arguments, which are not for people.
        raise UserError(f"{where} {error.args[0]}") from error


def _value(kind: Any, name: str, value: Any, where: str) -> Any:
    if attrs.has(kind):
        if not isinstance(value, dict):
            raise UserError(f"{where} {name} should be a table")
        return _structure(kind, value, f"{where.partition(' ')[0]} [{name}]")
    problem = f"{where} {name} is {value!r}, and should be "
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise UserError(problem + "a list of numbers")
        return tuple(_value(get_args(kind)[0], name, item, where) for item in value)
    if get_origin(kind) is not None:
        if not isinstance(value, dict):
            raise UserError(problem + "a table of regions")
        return {key: _value(get_args(kind)[1], f"{name}.{key}", item, where) for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise UserError(problem + _NAMES[kind])
    return value


_NAMES: Final[Mapping[type, str]] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}
