"""`peernet host`: serves a model to the network."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.engines import add_engine, make_engine
from peernet.cli.options import add_home, add_network, home_of, network_of, table_of
from peernet.cli.services import Ending, add_metrics, add_service, announce, finish, run_service, serve_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.engine import Engine
    from peernet.node.config import HostConfig
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


def run(arguments: argparse.Namespace) -> int:
    """Runs the host until ended."""
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
