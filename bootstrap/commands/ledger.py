"""`peernet ledger audit`: recomputes the network's logs from their public files, and says who cosigned them."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peernet.cli.options import add_home, add_network, network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootstrap.policy_audit import LogAudit
    from peernet.core.ledger.policy import LedgerPolicy
    from peernet.node.config import NetworkConfig

HELP = "audit the bootstrap nodes' ledgers"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    audit = actions.add_parser("audit", help="verify signature, tree, every rule and the quorum of every log")
    add_home(audit)
    add_network(audit, listens=False)
    audit.add_argument("--database", type=Path, metavar="FILE", help="audit this database instead of a running node")
    audit.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Audits; exit code 1 when a log is not in order. That nothing is final is said, and is no disorder."""
    import trio

    from peernet.core.errors import UserError
    from peernet.node.policy import policy_of

    network = network_of(arguments)
    if not (network.ledger or network.policy):
        raise UserError("whose ledger? Give its key with --ledger KEY, or --network FILE")
    policy = policy_of(network)
    audits: tuple[LogAudit, ...]
    if arguments.database is not None:
        audits = (_audit_database(arguments.database, policy),)
    else:
        audits = trio.run(_audit_network, network, policy)
    if arguments.json:
        print(json.dumps(_facts(audits)))
    else:
        for number, audited in enumerate(audits):
            if number:
                print()
            _print(audited)
    return 0 if all(audited.report.ok for audited in audits) else 1


def _audit_database(path: Path, policy: "LedgerPolicy") -> "LogAudit":
    import apsw

    from bootstrap.audit import audit
    from bootstrap.log import read_stored
    from bootstrap.policy_audit import LogAudit
    from bootstrap.store import LedgerCorrupt, LedgerStore
    from peernet.core.errors import RemoteProtocolError, UserError

    try:
        with LedgerStore(path) as store:
            try:
                key = policy.log_of_note(store.checkpoint() or b"").key
            except RemoteProtocolError:
                key = policy.logs[0].key  # the audit says what is wrong with it
            report = audit(partial(read_stored, store), key.text())
    except LedgerCorrupt as error:
        raise UserError(f"NOT IN ORDER: {error}. Somebody or something changed it from outside") from error
    except apsw.Error as error:
        raise UserError(f"NOT IN ORDER: {path} cannot be read by SQLite ({error})") from error
    return LogAudit(report, None, str(path))


async def _audit_network(network: "NetworkConfig", policy: "LedgerPolicy") -> "tuple[LogAudit, ...]":
    from bootstrap.policy_audit import audit_policy
    from bootstrap.reading import reading_swarm
    from peernet.core.errors import UserError
    from peernet.net.addresses import parse_peer_address

    if not network.bootstrap:
        raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS, or --network FILE")
    async with reading_swarm(network) as swarm:
        return await audit_policy(swarm, policy, [parse_peer_address(text) for text in network.bootstrap[:1]])


def _facts(audits: "Sequence[LogAudit]") -> dict[str, Any]:
    """The sums of all logs, and each by itself."""
    reports = [audited.report for audited in audits]
    return {
        "ok": all(report.ok for report in reports),
        "final": all(audited.finality is not None and audited.finality.final for audited in audits),
        "origin": ", ".join(report.origin for report in reports),
        "size": sum(report.size for report in reports),
        "grants": sum(report.grants for report in reports),
        "settlements": sum(report.settlements for report in reports),
        "total_microcredits": sum(report.total_microcredits for report in reports),
        "credits_issued": sum(report.credits_issued for report in reports),
        "credits_redeemed": sum(report.credits_redeemed for report in reports),
        "problems": [problem for report in reports for problem in report.problems],
        "logs": [_facts_of(audited) for audited in audits],
    }


def _facts_of(audited: "LogAudit") -> dict[str, Any]:
    report, finality = audited.report, audited.finality
    return {
        "origin": report.origin,
        "ok": report.ok,
        "size": report.size,
        "root": report.root.hex(),
        "grants": report.grants,
        "settlements": report.settlements,
        "total_microcredits": report.total_microcredits,
        "credits_issued": report.credits_issued,
        "credits_redeemed": report.credits_redeemed,
        "problems": list(report.problems),
        "final": finality is not None and finality.final,
        "finality": "" if finality is None else finality.describe(),
        "cosigned": [] if finality is None else list(finality.cosigned),
        "read_from": audited.read_from,
    }


def _print(audited: "LogAudit") -> None:
    report, finality = audited.report, audited.finality
    print(f"log         {report.origin}")
    print(f"entries     {report.size}: {report.grants} grants, {report.settlements} settlements")
    print(f"settled     {report.total_microcredits} microcredits")
    if report.credits_issued:
        print(f"credits     {report.credits_issued} issued at most, {report.credits_redeemed} redeemed")
    print(f"root        {report.root.hex()}")
    if finality is not None:
        who = f": {', '.join(finality.cosigned)}" if finality.cosigned else ""
        print(f"{'quorum' if finality.final else 'NOT FINAL':<12}{finality.describe()}{who}")
        if audited.read_from not in {"", report.origin}:
            print(f"read from   the mirror of {audited.read_from}, since its own node does not answer")
    for problem in report.problems:
        print(f"PROBLEM     {problem}")
    print("in order    signature, tree and every rule hold" if report.ok else "NOT IN ORDER")
