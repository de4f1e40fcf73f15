"""`peernet bootstrap`: keeps a ledger, funds lanes, and signs the directory."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import add_home, add_network, home_of, network_of, table_of
from peernet.cli.services import add_service, announce, run_service

if TYPE_CHECKING:
    from bootstrap.store import LedgerStore
    from peernet.node.home import Home

HELP = "keep a ledger and the directory of the network"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    add_network(parser, listens=True)
    add_service(parser)
    parser.add_argument("--origin", metavar="NAME", help="the log's name, such as example.org/peernet")
    parser.add_argument(
        "--grant-cap-microcredits", type=int, metavar="N", help="the most that one lane is funded with"
    )
    parser.add_argument(
        "--directory-interval-s", type=int, metavar="SECONDS", help="how often the DHT is crawled for the directory"
    )
    parser.add_argument(
        "--write-network", type=Path, metavar="FILE", help="write what others need to join, for their --network FILE"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the bootstrap node until ended."""
    return run_service(arguments, partial(_serve, arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    import trio

    from bootstrap.service import BootstrapConfig, BootstrapService
    from peernet.core.errors import RemoteProtocolError, UserError
    from peernet.core.suite import MixedSuite
    from peernet.node.peer import Peer, PeerKeys, running_peer

    network, home = network_of(arguments), home_of(arguments)
    config: BootstrapConfig = table_of(arguments, "bootstrap", BootstrapConfig)
    peer = Peer(PeerKeys.of(home, MixedSuite()), network, ["bootstrap"])
    with _open_store(home) as store:
        try:
            service = BootstrapService(peer, config, store, home.seed("log"))
        except RemoteProtocolError as error:
            raise UserError(f"--origin {config.origin!r} cannot name a log: {error}") from error
        async with running_peer(peer, join=bool(network.bootstrap)) as nursery:
            nursery.start_soon(service.run)
            addresses = [str(address) for address in peer.addresses]
            ledger = service.log.verifier_key.text()
            if arguments.write_network is not None:
                _write_network(arguments.write_network, addresses, ledger, test=network.test)
            text = f"bootstrap node ready; others join with\n  --bootstrap {addresses[0]} --ledger '{ledger}'"
            announce(arguments, text, peer=str(peer.peer_id), addresses=addresses, ledger=ledger)
            await trio.sleep_forever()


def _open_store(home: "Home") -> "LedgerStore":
    """The ledger's database: made together with the log's key, and never silently made anew after that."""
    from bootstrap.store import LedgerStore

    path = home.state / "ledger.sqlite"
    if path.exists() and not home.has_seed("log"):
        raise UserError(
            f"there is a ledger at {path}, and not the key that signs it, {home.key_file('log')}: restore the key from "
            "a backup, for nobody could verify the log under another one"
        )
    first_time = not path.exists() and not home.has_seed("log")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return LedgerStore(path, create=first_time)
    except (LedgerCorrupt, apsw.Error) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> "UserError":
    from peernet.core.errors import UserError

    return UserError(
        f"the ledger at {path} is damaged ({error}): nothing was changed. Look with 'peernet ledger audit --database', "
        "and restore it from a backup"
    )


def _write_network(path: Path, addresses: list[str], ledger: str, *, test: bool) -> None:
    lines = [
        "[network]",
        f"bootstrap = {json.dumps(addresses)}",
        f"ledger = {json.dumps(ledger)}",
        f"test = {str(test).lower()}",
        "",
    ]
    path.write_text("\n".join(lines), "utf-8")
