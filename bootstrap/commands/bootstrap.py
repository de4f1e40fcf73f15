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
    from contextlib import ExitStack

    import apsw
    import trio

    from bootstrap.service import BootstrapConfig, BootstrapService
    from bootstrap.store import LedgerCorrupt
    from peernet.core.errors import RemoteProtocolError, UserError
    from peernet.core.suite import MixedSuite
    from peernet.node.peer import Peer, PeerKeys, running_peer

    network, home = network_of(arguments), home_of(arguments)
    config: BootstrapConfig = table_of(arguments, "bootstrap", BootstrapConfig)
    peer = Peer(PeerKeys.of(home, MixedSuite()), network, ["bootstrap"], home.state)
    with ExitStack() as stack:
        try:
            store = stack.enter_context(_open_store(home))
            service = BootstrapService(peer, config, store, home.seed("log"))
        except RemoteProtocolError as error:
            raise UserError(f"--origin {config.origin!r} cannot name a log: {error}") from error
        except (LedgerCorrupt, apsw.Error) as error:
            raise UserError(
                f"the ledger is damaged: {error}. Restore it from a backup; 'peernet ledger audit --database' may say "
                "more about what is wrong"
            ) from error
        # The other bootstrap nodes may be about to start: nobody waits for nobody.
        async with running_peer(peer, join=False) as nursery:
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
    from peernet.core.errors import UserError

    path = home.state / "ledger.sqlite"
    first_time = not home.has_seed("log") and not path.exists()
    if not first_time and not path.exists():
        raise UserError(
            f"the ledger {path} is missing, though the key that signs it is here: restore it from a backup. A log "
            "that begins again under the same key has forked; for a new network choose another --home"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = LedgerStore(path, create=first_time)
    if store.checkpoint() is not None and not home.has_seed("log"):
        store.close()
        raise UserError(
            f"there is a ledger at {path}, and not the key that signs it (log.key in {home.config / 'keys'}): restore "
            "the key from a backup, for nobody could verify the log under another one"
        )
    return store


def _write_network(path: Path, addresses: list[str], ledger: str, *, test: bool) -> None:
    lines = [
        "[network]",
        f"bootstrap = {json.dumps(addresses)}",
        f"ledger = {json.dumps(ledger)}",
        f"test = {str(test).lower()}",
        "",
    ]
    path.write_text("\n".join(lines), "utf-8")
