"""`peernet host --register CODE --portal URL`: shows the host agreement, asks, signs, and sends."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import home_of, network_of, table_of

if TYPE_CHECKING:
    from peernet.host.registration import Offered
    from peernet.node.config import HostConfig

__all__ = ["register_host"]


async def register_host(arguments: argparse.Namespace, models: Path) -> int:
    """Registers the host of this home; raises `UserError`.

    Args:
        arguments: those of `peernet host`.
        models: where models are kept.
    """
    from peernet.core.errors import UserError
    from peernet.core.suite import MixedSuite
    from peernet.host.portal_client import PortalClient
    from peernet.host.registration import fetch_agreement, find_machine, register, remember
    from peernet.node.config import HostConfig

    if arguments.portal is None:
        raise UserError("say where to register: --portal https://..., as the page with the code has it")
    network, home, suite = network_of(arguments), home_of(arguments), MixedSuite()
    config: HostConfig = table_of(arguments, "host", HostConfig)
    portal = PortalClient.of_url(arguments.portal, network.tls_authority)
    identity = home.keypair("identity", suite)
    offered = await fetch_agreement(portal)
    accepted = arguments.accept_agreement
    made = await register(
        portal,
        offered,
        code=arguments.register,
        name=arguments.name or f"host {str(identity.peer_id)[-6:]}",
        identity=identity,
        payout=home.keypair("payout", suite),
        machine=find_machine(),
        engine=config.engine or ("openai" if config.engine_url else "embedded"),
        models=_models_of(config, models),
        suite=suite,
        agreed=lambda shown: _agreed(shown, accepted, portal.origin),
    )
    remember(home.state, made)
    if arguments.json:
        print(json.dumps({"event": "registered", "portal": made.portal, "host": made.host}))
    else:
        print(f"registered at {made.portal}: this host's page is {made.portal}/hosts/{made.host}")
        print("start it with 'peernet host'; it then tells the portal how it serves, in counts and never in text")
    return 0


def _models_of(config: "HostConfig", models: Path) -> list[tuple[str, str]]:
    """The model that the host would serve, where it is installed: its name and the digest of its weights."""
    from inference.engine import ModelUnusable
    from inference.models import read_installed

    folder = Path(config.model_file).parent if config.model_file else models / config.model
    try:
        model = read_installed(folder)
    except ModelUnusable:
        return []
    return [(model.name, model.digest)]


def _agreed(shown: "Offered", accepted: str | None, origin: str) -> bool:
    """Whether the person accepts the agreement; raises `UserError` where nobody can be asked."""
    from peernet.core.errors import UserError

    if accepted is not None:
        if accepted != shown.version:
            raise UserError(
                f"the agreement in force is version {shown.version}, and not {accepted}: read {origin}/agreement"
            )
        return True
    if not sys.stdin.isatty():
        raise UserError(
            f"nobody is here to accept the agreement: read {origin}/agreement, and say --accept-agreement "
            f"{shown.version}"
        )
    print(shown.text)
    print(f"SHA-256 {shown.digest.hex()}")
    return input(f"Do you accept this agreement (version {shown.version}), and sign it? Type yes: ").strip() == "yes"
