"""`peernet host`: serves a model to the network; or, with `--register`, registers the host with an operator's portal.

A host needs no registration to serve. One that is registered is measured, listed and paid by that operator, and tells
its portal how it serves (`host.reporting`).
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.engines import add_engine, make_engine
from peernet.cli.options import add_home, add_network, home_of, network_of, table_of
from peernet.cli.services import (
    Ending,
    add_metrics,
    add_service,
    announce,
    finish,
    run_service,
    run_until_signal,
    serve_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.engine import Engine
    from peernet.host.reporting import Reporter
    from peernet.host.service import HostService
    from peernet.node.config import HostConfig, NetworkConfig
    from peernet.node.home import Home
    from peernet.node.peer import Peer

HELP = "serve a model to the network"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    add_network(parser, listens=True)
    add_service(parser)
    add_metrics(parser)
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME", help="a model that 'peernet model pull' fetched")
    group.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    group.add_argument("--model-file", metavar="FILE", help="the weights (GGUF) of an installed model, by path")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads of the engine")
    group.add_argument("--parallel", type=int, metavar="N", help="answers at the same time")
    group.add_argument("--context-tokens", type=int, metavar="N", help="prompt and answer together")
    add_engine(parser)
    price = parser.add_argument_group("price, in microcredits a token")
    price.add_argument("--prompt-price", type=int, metavar="N")
    price.add_argument("--answer-price", type=int, metavar="N")
    portal = parser.add_argument_group("registering with an operator's portal, which is done once")
    portal.add_argument("--register", metavar="CODE", help="register this host with the code that the portal shows")
    portal.add_argument("--portal", metavar="URL", help="the portal, such as https://peernet.example.org")
    portal.add_argument("--name", metavar="NAME", help="what to call the host there")
    portal.add_argument(
        "--accept-agreement", metavar="VERSION", help="accept this version of the host agreement without being asked"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the host until ended, or registers it."""
    if arguments.register is not None:
        from peernet.cli.registering import register_host

        return run_until_signal(partial(register_host, arguments, models_folder(arguments)))
    for option in ("portal", "name", "accept_agreement"):
        if getattr(arguments, option) is not None:
            from peernet.core.errors import UserError

            raise UserError(f"--{option.replace('_', '-')} is for --register CODE")
    ending = Ending()
    return run_service(arguments, partial(serve, arguments, ending=ending), ending)


async def serve(
    arguments: argparse.Namespace, make_peer: "Callable[..., Peer] | None" = None, ending: Ending | None = None
) -> None:
    """Serves until cancelled, or asked to end, and then finishes the answers that it is giving.

    `make_peer` takes what `Peer` takes, and makes the node in its place.
    """
    from peernet.core.suite import MixedSuite
    from peernet.host.service import HostService
    from peernet.host.settling import Settler
    from peernet.net.addresses import parse_peer_address
    from peernet.node.config import HostConfig
    from peernet.node.peer import Peer, PeerKeys, running_peer
    from peernet.node.policy import policy_of

    network, home = network_of(arguments), home_of(arguments)
    config: HostConfig = table_of(arguments, "host", HostConfig)
    policy = policy_of(network)
    engine = await _load_engine(arguments, config)
    try:
        suite = MixedSuite()
        roles = ["host", "relay"] if config.relay else ["host"]
        peer = (make_peer or Peer)(PeerKeys.of(home, suite), network, roles, home.state)
        ledgers = [parse_peer_address(text) for text in network.bootstrap]
        settler = Settler(peer.swarm, policy, ledgers, home.state / "settlements", suite)
        service = HostService(peer, engine, config, policy, settler, home.seed("payout"))
        await service.load()
        async with running_peer(peer) as nursery:
            await serve_metrics(arguments, [peer], nursery)
            nursery.start_soon(settler.retry)
            reporter = _reporter(home, network, service, peer)
            if reporter is not None:
                nursery.start_soon(reporter.run)
            model = engine.models()[0]
            announce(
                arguments,
                f"host {peer.peer_id} serves {model.name}; Ctrl-C ends",
                peer=str(peer.peer_id),
                addresses=[str(address) for address in peer.addresses],
                model=model.name,
            )
            await (ending or Ending()).wait()
            await finish([peer.swarm])
    finally:
        import trio

        with trio.CancelScope(shield=True):
            await engine.aclose()


def _reporter(home: "Home", network: "NetworkConfig", service: "HostService", peer: "Peer") -> "Reporter | None":
    """What tells the portal how the host serves, where it is registered."""
    from peernet.host.portal_client import PortalClient
    from peernet.host.registration import registered
    from peernet.host.reporting import Reporter

    known = registered(home.state)
    if known is None:
        return None
    portal = PortalClient.of_url(known.portal, network.tls_authority)
    return Reporter(portal, known.host, service.record, peer.keys.identity, peer.suite)


async def _load_engine(arguments: argparse.Namespace, config: "HostConfig") -> "Engine":
    engine = make_engine(config, models_folder(arguments))
    try:
        await engine.load()
    except BaseException:
        import trio

        with trio.CancelScope(shield=True):
            await engine.aclose()
        raise
    return engine


def models_folder(arguments: argparse.Namespace) -> Path:
    """Where models are kept."""
    return arguments.models if arguments.models is not None else home_of(arguments).models
