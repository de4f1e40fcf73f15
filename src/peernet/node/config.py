"""The configuration of a node: a TOML file, then flags on top of it.

The file is `config.toml` in the node's configuration folder. A table for each role (`[host]`, `[relay]`, `[client]`,
`[bootstrap]` and its `[portal]` and `[retention]`) and `[network]` for what all share; unknown names are errors, so
that a typing mistake is not a silent default.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import attrs
from attrs import field, frozen
from attrs.validators import ge, gt, in_, le

from peernet.core.errors import UserError
from peernet.core.regions import check_regions
from peernet.core.ring.paths import PROFILES
from peernet.net.limits import PRESETS

__all__ = ["ENGINES", "PSEUDONYMS", "ClientConfig", "HostConfig", "NetworkConfig", "load_table"]

ENGINES: Final = ("embedded", "vllm", "openai")
PSEUDONYMS: Final = ("tag", "surrogate")
TABLES: Final = frozenset({"network", "host", "relay", "client", "bootstrap", "portal", "money", "retention"})

T = TypeVar("T")


def _one_or_more(addresses: str | Iterable[str]) -> tuple[str, ...]:
    """One address may be given by itself."""
    return (addresses,) if isinstance(addresses, str) else tuple(addresses)


def _are_regions(_: object, setting: "attrs.Attribute[tuple[str, ...]]", names: tuple[str, ...]) -> None:
    try:
        check_regions(names)
    except ValueError as error:
        raise ValueError(f"{setting.name}: {error}") from error


@frozen
class NetworkConfig:
    """What every node of one network shares."""

    bootstrap: tuple[str, ...] = ()
    """Addresses of bootstrap nodes: /ip4/../tcp/../p2p/12D3KooW..."""
    ledger: str = ""
    """The ledger's verifier key (`origin+hash+key`, C2SP signed-note), where one log is all there is to know."""
    policy: str = ""
    """Which logs count, and who must cosign them (C2SP tlog-policy); with it `ledger` says nothing."""
    test: bool = False
    """Whether addresses that are not global may be dialled: loopback and private networks, for tests and demos."""
    listen: tuple[str, ...] = field(default=("/ip4/0.0.0.0/tcp/0",), converter=_one_or_more)
    """Where to listen; outgoing connections come from the first of these that is a definite address."""
    announce: tuple[str, ...] = ()
    """Where others reach this node, if not where it listens: behind a port forwarding, or listening on 0.0.0.0."""
    region: str = ""
    """The region that the operator claims, such as `eu-central`."""
    tls_certificate: str = ""
    """The file with the certificate to listen on `/tls/ws` with, and its chain (PEM)."""
    tls_key: str = ""
    """The file with its key; empty if that is in the certificate's file."""
    tls_authority: str = ""
    """A file of certificates that are trusted when dialling, besides the system's authorities (PEM)."""
    relay_reservations: int = field(default=2, validator=[ge(0), le(4)])
    """At how many relays a host that others cannot dial keeps places, to be reached through them; 0 for none."""
    circuits: bool = True
    """Whether a relay keeps places for such hosts, and makes circuits to them."""
    behind_proxy: bool = False
    """Whether a reverse proxy on this machine or network is believed about whom it speaks for (X-Forwarded-For)."""
    allow: tuple[str, ...] = ()
    """Peer ids, IP addresses and networks; if there are any, this node connects with nobody else."""
    deny: tuple[str, ...] = ()
    """Peer ids, IP addresses and networks that this node never connects with."""
    limits: str = field(default="home", validator=in_(tuple(PRESETS)))
    """How much this node bears: `home`, or `busy` for a relay or bootstrap node that many lean on."""
    swarm_key: str = ""
    """The file with the key of a private swarm (`swarm.key`); empty for an open one."""


@frozen
class HostConfig:
    """What a host serves, and for how much."""

    model: str = "smollm2-135m-instruct"
    model_file: str = ""
    """The weights (GGUF) of an installed model, by path, instead of a name."""
    engine: str = field(default="", validator=in_(("", *ENGINES)))
    """What computes; empty for openai where there is an `engine_url`, and for embedded where there is none."""
    engine_url: str = ""
    """openai: the server's API, such as http://127.0.0.1:11434/v1; outside this machine https:// only."""
    engine_key_file: str = ""
    """openai: a file with the key that the server wants, if not the environment variable PEERNET_ENGINE_KEY."""
    engine_model: str = ""
    """openai: the model's name on the server. vllm: a folder in Hugging Face's format, in place of the GGUF."""
    engine_python: str = ""
    """vllm: the interpreter of its environment, if not the one that runs this."""
    engine_args: tuple[str, ...] = ()
    """vllm: further arguments of its server, which win over ours."""
    threads: int = field(default=1, validator=ge(1))
    parallel: int = field(default=2, validator=ge(1))
    context_tokens: int = field(default=2048, validator=ge(1))
    prompt_price: int = field(default=2, validator=ge(0))
    """Microcredits a token of the prompt."""
    answer_price: int = field(default=5, validator=ge(0))
    """Microcredits a token of the answer."""
    window_tokens: int = field(default=64, validator=ge(1))
    """How many answer tokens the host gives ahead of the vouchers, at most."""
    paced: bool = True
    """Whether clients may have their answers at a cadence (profile `paced`): a slot's ring then lasts 10 s or more."""
    relay: bool = False
    """Whether the host also forwards other people's rings."""
    screening: dict[str, float] = field(factory=dict)
    """Thresholds of `privacy.screening`, by category, in place of the default ones."""
    screening_timeout_s: float = 10.0
    """What takes longer to screen is refused."""
    screening_guard: bool = False
    """Whether the host's own model is asked about each request, too."""


@frozen
class ClientConfig:
    """How a client treats a prompt."""

    profile: str = field(default="private", validator=in_(tuple(PROFILES)))
    start_jitter_ms: int = field(default=250, validator=[ge(0), le(60_000)])
    """Within which time the fragments of one request start, at random (`core.ring.starts`)."""
    paced_start_ms: int = field(default=5000, validator=[ge(0), le(60_000)])
    """The same under the profile `paced`."""
    profile_fallback: bool = False
    """Whether a request goes by the next profile down where the network is too small for this; the receipt says so."""
    host_regions: tuple[str, ...] = field(default=(), validator=_are_regions)
    """Only hosts that claim one of these regions, or a part of one, are asked; empty for any."""
    relay_regions: tuple[str, ...] = field(default=(), validator=_are_regions)
    """The same for relays, guards included. Bootstrap nodes are as configured, wherever they are."""
    policy: str = "standard"
    pseudonyms: str = field(default="tag", validator=in_(PSEUDONYMS))
    """What hosts read in place of names: `tag` (`PERSON_K7`), or `surrogate`, realistic names that are nobody's."""
    model: str = "smollm2-135m-instruct"
    max_answer_tokens: int = field(default=120, validator=ge(1))
    temperature_thousandths: int = field(default=200, validator=[ge(0), le(2000)])
    """How freely the model chooses, 0 to 2000."""
    screening: dict[str, float] = field(factory=dict)
    """Thresholds of `privacy.screening`, by category, in place of the default ones."""
    screening_timeout_s: float = 10.0
    """A text that takes longer to screen is not sent."""
    languages: tuple[str, ...] = ("en", "fr")
    """Those whose names are recognised (codes of ISO 639-1)."""
    unsupported_language: str = field(default="strict", validator=in_(("strict", "refuse")))
    """What becomes of a prompt in another language: sent as under the policy `strict` at most, or refused."""
    detection_timeout_s: float = field(default=10.0, validator=[gt(0), le(600)])
    """How long looking for identifiers may take before the request is given up, nothing sent."""
    portal: str = ""
    """Where credits are bought and withdrawn from: https://..."""
    warm_ways: int = field(default=6, validator=[ge(0), le(32)])
    """Over how many ways (a guard and a middle each) arcs are kept ready while the client is in use; 0 for none.
    A fragment takes two."""


def load_table(path: Path, table: str, kind: type[T], flags: Mapping[str, Any]) -> T:
    """The table `table` of the TOML file at `path` (which may be absent) as `kind`, flags that are not None on top.

    Raises `UserError` naming the file and the setting for anything that does not fit.
    """
    values = _read_table(path, table)
    fields = {field.name: field for field in attrs.fields(cast("type[attrs.AttrsInstance]", kind))}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        known = ", ".join(sorted(fields))
        raise UserError(f"{path}: [{table}] has no setting {unknown[0]!r}; it knows {known}")
    values |= {name: value for name, value in flags.items() if value is not None and name in fields}
    try:
        return kind(**{name: _structure(name, value, fields[name].type) for name, value in values.items()})
    except ValueError as error:
        # attrs gives the field and the bound as further arguments, which are not for people.
        raise UserError(f"{path}: [{table}] {error.args[0]}") from error


def _read_table(path: Path, table: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    unknown = sorted(set(content) - TABLES)
    if unknown:
        raise UserError(f"{path}: there is no table [{unknown[0]}]; there are {', '.join(sorted(TABLES))}")
    values = content.get(table, {})
    if not isinstance(values, dict):
        raise UserError(f"{path}: [{table}] must be a table of settings")
    return dict(values)


def _structure(name: str, value: object, kind: Any) -> object:
    """The value as the field's type has it; strict, so that a string is not a list, nor a bool a number."""
    if kind == tuple[str, ...]:
        if isinstance(value, list | tuple) and all(type(item) is str for item in value):
            return tuple(value)
        raise ValueError(f"{name} is {value!r}, and should be a list of strings")
    if kind == dict[str, float]:
        if isinstance(value, dict) and all(type(item) in {int, float} for item in value.values()):
            return {key: float(item) for key, item in value.items()}
        raise ValueError(f"{name} is {value!r}, and should be a table of numbers")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} is {value!r}, and should be of type {kind.__name__}")
    return value
