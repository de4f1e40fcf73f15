"""`peernet bootstrap`: keeps a ledger, validates the others' ledgers, funds lanes, and signs the directory."""

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from peernet.cli.options import add_home, add_network, config_file, home_of, network_of, table_of
from peernet.cli.services import Ending, add_metrics, add_service, announce, finish, run_service, serve_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import trio

    from bootstrap.keeper import LedgerKeeper
    from bootstrap.money.settings import MoneyConfig
    from bootstrap.portal.office import Office
    from bootstrap.portal.settings import PortalConfig
    from bootstrap.service import BootstrapService
    from peernet.core.ledger.policy import LedgerPolicy
    from peernet.node.config import NetworkConfig
    from peernet.node.home import Home
    from peernet.node.peer import Peer

HELP = "keep a ledger and the directory of the network"
MAX_BOOTSTRAPS: Final = 8
"""An offer names the logs that its host accepts, and has room for so many."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    add_network(parser, listens=True)
    add_service(parser)
    add_metrics(parser)
    parser.add_argument(
        "--portal",
        metavar="ADDRESS",
        help="serve accounts and the portal there, such as on 127.0.0.1:8470 (the rest: [portal] in config.toml)",
    )
    parser.add_argument("--origin", metavar="NAME", help="the log's name, such as example.org/peernet")
    parser.add_argument(
        "--grant-cap-microcredits", type=int, metavar="N", help="the most that one lane is funded with"
    )
    parser.add_argument(
        "--grants-per-minute",
        type=int,
        metavar="N",
        help="how many lanes are funded for nothing a minute; 0 for none, so that clients need credits",
    )
    parser.add_argument(
        "--issue-credits",
        action="store_true",
        default=None,
        help="make issuer keys, announce them in the ledger, and sign credits with them",
    )
    parser.add_argument(
        "--directory-interval-s", type=int, metavar="SECONDS", help="how often the DHT is crawled for the directory"
    )
    parser.add_argument(
        "--write-network", type=Path, metavar="FILE", help="write what others need to join, for their --network FILE"
    )
    parser.add_argument(
        "--bootstraps",
        type=int,
        default=1,
        metavar="N",
        help="how many bootstrap nodes the network has: FILE appears when each has written itself into FILE.draft "
        "(default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the bootstrap node until ended."""
    ending = Ending()
    return run_service(arguments, partial(_serve, arguments, ending=ending), ending)


async def _serve(arguments: argparse.Namespace, ending: Ending | None = None) -> None:
    from contextlib import ExitStack

    from bootstrap.keeper import LedgerKeeper
    from bootstrap.service import BootstrapConfig
    from peernet.core.errors import RemoteProtocolError, UserError
    from peernet.core.suite import MixedSuite
    from peernet.node.peer import Peer, PeerKeys, running_peer

    network, home = network_of(arguments), home_of(arguments)
    config: BootstrapConfig = table_of(arguments, "bootstrap", BootstrapConfig)
    portal, periods, money = _portal_of(arguments), _periods_of(arguments), _money_of(arguments)
    if not 1 <= arguments.bootstraps <= MAX_BOOTSTRAPS:
        raise UserError(f"--bootstraps {arguments.bootstraps}: choose 1 to {MAX_BOOTSTRAPS}")
    if arguments.bootstraps > 1 and arguments.write_network is None:
        raise UserError("several bootstrap nodes agree by a file: name it with --write-network FILE")
    peer = Peer(PeerKeys.of(home, MixedSuite()), network, ["bootstrap"], home.state)
    with ExitStack() as stack:
        with _explained():
            try:
                keeper = LedgerKeeper.open(stack, home, config.origin, peer.suite, database=config.database)
            except RemoteProtocolError as error:
                raise UserError(f"--origin {config.origin!r} cannot name a log: {error}") from error
        # The other bootstrap nodes may be about to start: nobody waits for nobody.
        async with running_peer(peer, join=False) as nursery:
            addresses = [str(address) for address in peer.addresses]
            policy = await _agree(arguments, keeper, peer, network)
            with _explained():
                service = keeper.service(stack, peer, config, policy)
            nursery.start_soon(service.run)
            office = await _serve_portal(portal, home, nursery, peer, service, policy, periods, money)
            await serve_metrics(arguments, [peer], nursery, *([] if office is None else [office.metrics]))
            ledger = keeper.log.verifier_key.text()
            text = f"bootstrap node ready; others join with\n  {_joining(arguments, addresses[0], ledger)}"
            if len(policy.logs) == 1:
                text += "\nit is the only one: its word is final, and nobody checks it while it runs"
            if office is not None:
                text += f"\nthe portal is at {office.origin}"
            announce(
                arguments,
                text,
                peer=str(peer.peer_id),
                addresses=addresses,
                ledger=ledger,
                policy=policy.text(),
                portal=None if office is None else office.origin,
            )
            await (ending or Ending()).wait()
            await finish([peer.swarm])


def _portal_of(arguments: argparse.Namespace) -> "PortalConfig":
    from bootstrap.portal.settings import PortalConfig
    from peernet.node.config import load_table

    # Flags of the same names are about the peer and not about the portal.
    config: PortalConfig = load_table(config_file(arguments), "portal", PortalConfig, {})
    return config if arguments.portal is None else evolve(config, listen=arguments.portal)


def _periods_of(arguments: argparse.Namespace) -> "Mapping[str, int]":
    from bootstrap.retention.periods import RetentionConfig, chosen_periods
    from peernet.node.config import load_table

    return chosen_periods(load_table(config_file(arguments), "retention", RetentionConfig, {}))


def _money_of(arguments: argparse.Namespace) -> "MoneyConfig":
    from bootstrap.money.settings import MoneyConfig
    from peernet.node.config import load_table

    config: MoneyConfig = load_table(config_file(arguments), "money", MoneyConfig, {})
    return config


async def _serve_portal(
    config: "PortalConfig",
    home: "Home",
    nursery: "trio.Nursery",
    peer: "Peer",
    service: "BootstrapService",
    policy: "LedgerPolicy",
    periods: "Mapping[str, int]",
    money: "MoneyConfig",
) -> "Office | None":
    """Serves the portal in `nursery` where the configuration asks for one."""
    if not config.listen:
        return None
    from bootstrap.hosts.overlay import OverlayHosts
    from bootstrap.money.log_settlements import LogSettlements
    from bootstrap.portal.serving import open_office, run_portal
    from bootstrap.public.figures import NodeFigures
    from bootstrap.public.ledger_view import NodeLedger

    office = open_office(config, home.state, home.seed("portal"), money)
    office.periods = periods
    copy = peer.directory.copy
    office.figures = NodeFigures(lambda: copy.directory, service.log, service.tokens, office.now_s)
    office.ledger = NodeLedger(service.log, service.read_file, policy, peer.suite)
    office.hosts = OverlayHosts(peer, service)
    if config.measure_speed_minutes:
        from peernet.client.host_trials import HostTrials
        from peernet.node.home import Home

        own = Home.at(home.state / "measuring")
        office.trier = HostTrials(_network_for_clients(peer, policy), evolve(own, models=home.models))
    office.issuer = service.issuer
    office.settlements = LogSettlements(service.log)
    await nursery.start(run_portal, office)
    return office


def _network_for_clients(peer: "Peer", policy: "LedgerPolicy") -> "NetworkConfig":
    """The network as a client of it has it: the node that measures hosts is one, and asks as they do."""
    bootstrap = peer.network.bootstrap or (str(peer.addresses[0]),)
    return evolve(peer.network, bootstrap=bootstrap, policy=policy.text())


@contextmanager
def _explained() -> "Iterator[None]":
    """Says of a damaged database what to do about it."""
    import apsw

    from bootstrap.store import LedgerCorrupt
    from peernet.core.errors import UserError

    try:
        yield
    except (LedgerCorrupt, apsw.Error) as error:
        raise UserError(
            f"the ledger is damaged: {error}. Restore it from a backup; 'peernet ledger audit --database' may say "
            "more about what is wrong"
        ) from error


async def _agree(
    arguments: argparse.Namespace, keeper: "LedgerKeeper", peer: "Peer", network: "NetworkConfig"
) -> "LedgerPolicy":
    """The policy of the network: configured, or made together with the other bootstrap nodes."""
    from bootstrap.membership import draft_of, write_member
    from peernet.core.errors import UserError
    from peernet.core.ledger.policy import compose_policy
    from peernet.net.addresses import parse_peer_address
    from peernet.node.policy import policy_of

    member = keeper.member(str(peer.addresses[0]))
    if arguments.write_network is not None:
        if arguments.bootstraps > 1:
            draft = draft_of(arguments.write_network)
            print(f"waiting until {arguments.bootstraps} bootstrap nodes are in {draft}", file=sys.stderr, flush=True)
        made = await write_member(arguments.write_network, member, arguments.bootstraps, test=network.test)
        peer.belong_to(made)
        await peer.discovery.join([parse_peer_address(text) for text in made.bootstrap])
        return policy_of(made)
    if not network.policy:
        return compose_policy([member])
    policy = policy_of(network)
    if all(evolve(other, url="") != evolve(member, url="") for other in policy.members()):
        raise UserError(
            f"the policy does not name this node's keys under {member.log.name}: see --origin and --home, or write a "
            "new policy with --write-network"
        )
    return policy


def _joining(arguments: argparse.Namespace, address: str, ledger: str) -> str:
    if arguments.write_network is not None:
        return f"--network {arguments.write_network}"
    return f"--bootstrap {address} --ledger '{ledger}'"
