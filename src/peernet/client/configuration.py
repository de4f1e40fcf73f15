"""What a program says about its client, and what the node's own files say where it does not.

Rules: the same files as the commands read: `config.toml` in the home, with the tables `[network]` and `[client]`; what
the program says comes on top of them.
"""

from pathlib import Path
from typing import Any

from attrs import evolve

from peernet.core.errors import UserError
from peernet.node.config import ClientConfig, NetworkConfig, load_table
from peernet.node.home import Home

__all__ = ["client_config", "home_at", "network_config"]


def home_at(home: Home | Path | str | None, models: Path | str | None) -> Home:
    """The folders: those of the platform, or all under one; `models` may be elsewhere."""
    found = home if isinstance(home, Home) else Home.at(None if home is None else Path(home))
    return found if models is None else evolve(found, models=Path(models))


def network_config(network: NetworkConfig | Path | str | None, home: Home) -> NetworkConfig:
    """The network as given, of a TOML file with a table `[network]`, or of the home; raises `UserError`."""
    if isinstance(network, NetworkConfig):
        return network
    if network is None:
        return load_table(home.config / "config.toml", "network", NetworkConfig, {})
    if not Path(network).exists():
        raise UserError(f"there is no file {network}: 'peernet bootstrap --write-network FILE' makes one")
    return load_table(Path(network), "network", NetworkConfig, {})


def client_config(
    config: ClientConfig | None,
    home: Home,
    *,
    policy: str | None,
    profile: str | None,
    pseudonyms: str | None,
    model: str | None,
) -> ClientConfig:
    """The table `[client]` of the home, or `config`, with the others on top; raises `UserError`."""
    given: dict[str, Any] = {"policy": policy, "profile": profile, "pseudonyms": pseudonyms, "model": model}
    if config is None:
        return load_table(home.config / "config.toml", "client", ClientConfig, given)
    try:
        return evolve(config, **{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise UserError(f"{error.args[0]}") from error
