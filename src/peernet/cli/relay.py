"""`peernet relay`: forwards other people's rings.

One process may hold several relays, one for each `--listen`. The addresses of one relay have commas between them.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peernet.cli.options import add_home, add_network, addresses_in, home_of, network_of
from peernet.cli.services import Ending, add_metrics, add_service, announce, finish, run_service, serve_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from peernet.node.home import Home
    from peernet.node.peer import Peer, PeerKeys

HELP = "forward other people's rings"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.epilog = "Each --listen is a relay of its own; commas part the addresses of one."
    add_home(parser)
    add_network(parser, listens=True)
    add_service(parser)
    add_metrics(parser)
    parser.add_argument(
        "--separate-operators",
        action="store_true",
        help="test networks only: give each relay an operator of its own, as if different people ran them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the relays until ended."""
    ending = Ending()
    return run_service(arguments, partial(serve, arguments, ending=ending), ending)


async def serve(
    arguments: argparse.Namespace, make_peer: "Callable[..., Peer] | None" = None, ending: Ending | None = None
) -> None:
    """Forwards until cancelled, or asked to end, and then forwards the rings that it has to their end.

    `make_peer` takes what `Peer` takes, and makes each node in its place.
    """
    import trio

    from peernet.node.peer import Peer

    relays = _relays(arguments, make_peer or Peer)
    async with trio.open_nursery() as nursery:
        for relay in relays:
            await nursery.start(_run_relay, relay)
        facts = [{"peer": str(relay.peer_id), "addresses": [str(a) for a in relay.addresses]} for relay in relays]
        swarms = [relay.swarm for relay in relays]
        await serve_metrics(arguments, relays, nursery)
        announce(arguments, f"{len(relays)} relay(s) ready; Ctrl-C ends", relays=facts)
        await (ending or Ending()).wait()
        await finish(swarms)
        nursery.cancel_scope.cancel()


async def _run_relay(relay: "Peer", task_status: Any) -> None:
    import trio

    from peernet.node.peer import running_peer

    async with running_peer(relay):
        task_status.started()
        await trio.sleep_forever()


def _relays(arguments: argparse.Namespace, make_peer: "Callable[..., Peer]") -> list["Peer"]:
    from attrs import evolve

    from peernet.core.errors import UserError

    network = network_of(arguments)
    if arguments.separate_operators and not network.test:
        raise UserError("--separate-operators claims what is not true: it is for --test-network only")
    listens = [addresses_in([text]) for text in arguments.listen or ()] or [network.listen]
    if network.announce and len(listens) > 1:
        raise UserError("--announce says where one relay is reached: run each relay that needs it by itself")
    return [
        make_peer(_keys(arguments, number), evolve(network, listen=listen), ["relay"], _home(arguments, number).state)
        for number, listen in enumerate(listens, 1)
    ]


def _home(arguments: argparse.Namespace, number: int) -> "Home":
    """The first relay has the home itself, the others have folders below."""
    from peernet.node.home import Home

    home = home_of(arguments)
    below = Path(f"relay-{number}")
    return home if number == 1 else Home(home.config / below, home.state / below, home.models)


def _keys(arguments: argparse.Namespace, number: int) -> "PeerKeys":
    """Each relay has keys of its own, and the operator of the first."""
    from attrs import evolve

    from peernet.core.suite import MixedSuite
    from peernet.node.peer import PeerKeys

    suite = MixedSuite()
    own = PeerKeys.of(home_of(arguments), suite)
    if number == 1:
        return own
    keys = PeerKeys.of(_home(arguments, number), suite)
    return keys if arguments.separate_operators else evolve(keys, operator=own.operator)
