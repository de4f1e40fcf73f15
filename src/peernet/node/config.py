"""The configuration of a node: a TOML file, then flags on top of it.

The file is `config.toml` in the node's configuration folder. A table for each role (`[host]`, `[relay]`, `[client]`,
`[bootstrap]`) and `[network]` for what all share; unknown names are errors, so that a typing mistake is not a silent
default.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import cattrs
from attrs import frozen

from peernet.core.errors import UserError

__all__ = ["ClientConfig", "HostConfig", "NetworkConfig", "load_table"]

T = TypeVar("T")


@frozen
class NetworkConfig:
    """What every node of one network shares."""

    bootstrap: tuple[str, ...] = ()
    """Addresses of bootstrap nodes: /ip4/../tcp/../p2p/12D3KooW..."""
    ledger: str = ""
    """The ledger's verifier key (`origin+hash+key`, C2SP signed-note)."""
    test: bool = False
    """Whether addresses that are not global may be dialled: loopback and private networks, for tests and demos."""
    listen: str = "/ip4/0.0.0.0/tcp/0"
    """Where to listen; outgoing connections come from the same address if it is a definite one."""
    region: str = ""
    """The region that the operator claims, such as `eu-central`."""


@frozen
class HostConfig:
    """What a host serves, and for how much."""

    model: str = "smollm2-135m-instruct"
    model_file: str = ""
    """The weights (GGUF) of an installed model, by path, instead of a name."""
    threads: int = 1
    parallel: int = 2
    context_tokens: int = 2048
    prompt_price: int = 2
    """Microcredits a token of the prompt."""
    answer_price: int = 5
    """Microcredits a token of the answer."""
    window_tokens: int = 64
    """How many answer tokens the host gives ahead of the vouchers, at most."""
    relay: bool = False
    """Whether the host also forwards other people's rings."""


@frozen
class ClientConfig:
    """How a client treats a prompt."""

    profile: str = "private"
    policy: str = "standard"
    model: str = "smollm2-135m-instruct"
    max_answer_tokens: int = 200
    temperature_thousandths: int = 200
    """How freely the model chooses, 0 to 2000."""


def load_table(path: Path, table: str, kind: type[T], flags: Mapping[str, Any]) -> T:
    """The table `table` of the TOML file at `path` (which may be absent) as `kind`, flags that are not None on top.

    Raises `UserError` naming the file and the setting for anything that does not fit.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    values = content.get(table, {})
    if not isinstance(values, dict):
        raise UserError(f"{path}: [{table}] must be a table of settings")
    names = {field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", kind))}
    unknown = sorted(set(values) - names)
    if unknown:
        known = ", ".join(sorted(names))
        raise UserError(f"{path}: [{table}] has no setting {unknown[0]!r}; it knows {known}")
    values = values | {name: value for name, value in flags.items() if value is not None and name in names}
    converter = cattrs.Converter(detailed_validation=False)
    for primitive in (int, str, bool):
        converter.register_structure_hook(primitive, _strict)
    try:
        return converter.structure(values, kind)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: [{table}] {error}") from error


def _strict(value: object, kind: type) -> object:
    if type(value) is not kind:
        raise TypeError(f"{value!r} should be of type {kind.__name__}")
    return value
