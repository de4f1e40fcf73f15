"""`peernet ledger audit`: recomputes a whole log from its public files."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import add_home, add_network, network_of

if TYPE_CHECKING:
    from bootstrap.audit import AuditReport

HELP = "audit a bootstrap node's ledger"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    audit = actions.add_parser("audit", help="verify signature, tree and every rule of a log")
    add_home(audit)
    add_network(audit, listens=False)
    audit.add_argument("--database", type=Path, metavar="FILE", help="audit this database instead of a running node")
    audit.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Audits; exit code 1 when the log is not in order."""
    import trio

    from peernet.core.errors import RemoteProtocolError, UserError
    from peernet.core.ledger.notes import VerifierKey

    network = network_of(arguments)
    if not network.ledger:
        raise UserError("whose ledger? Give its key with --ledger KEY, or --network FILE")
    try:
        VerifierKey.parse(network.ledger)
    except RemoteProtocolError as error:
        raise UserError(f"--ledger {network.ledger!r} is no verifier key: {error}") from error
    if arguments.database is not None:
        report = _audit_database(arguments.database, network.ledger)
    else:
        report = trio.run(partial(_audit_peer, arguments))
    _print(arguments, report)
    return 0 if report.ok else 1


def _audit_database(path: Path, ledger: str) -> "AuditReport":
    import apsw

    from bootstrap.audit import audit
    from bootstrap.log import read_stored
    from bootstrap.store import LedgerCorrupt, LedgerStore
    from peernet.core.errors import UserError

    try:
        with LedgerStore(path) as store:
            return audit(partial(read_stored, store), ledger)
    except LedgerCorrupt as error:
        raise UserError(f"NOT IN ORDER: {error}. Somebody or something changed it from outside") from error
    except apsw.Error as error:
        raise UserError(f"NOT IN ORDER: {path} cannot be read by SQLite ({error})") from error


async def _audit_peer(arguments: argparse.Namespace) -> "AuditReport":
    import trio

    from bootstrap.audit import audit
    from bootstrap.reading import LogReader

    network = network_of(arguments)
    async with LogReader.open(network) as reader:

        def fetch(path: str) -> bytes:
            return trio.from_thread.run(reader.read, path)

        return await trio.to_thread.run_sync(audit, fetch, network.ledger)


def _print(arguments: argparse.Namespace, report: "AuditReport") -> None:
    if arguments.json:
        facts = {
            "ok": report.ok,
            "origin": report.origin,
            "size": report.size,
            "root": report.root.hex(),
            "grants": report.grants,
            "settlements": report.settlements,
            "total_microcredits": report.total_microcredits,
            "problems": list(report.problems),
        }
        print(json.dumps(facts))
        return
    print(f"log         {report.origin}")
    print(f"entries     {report.size}: {report.grants} grants, {report.settlements} settlements")
    print(f"settled     {report.total_microcredits} microcredits")
    print(f"root        {report.root.hex()}")
    for problem in report.problems:
        print(f"PROBLEM     {problem}")
    print("in order    signature, tree and every rule hold" if report.ok else "NOT IN ORDER")
