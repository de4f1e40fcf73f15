"""The audit of a whole network: every log of the policy, wherever it can be read, and who stands behind it.

Each log is read from its own node, or from a mirror where that is down. Cosignatures are collected from all nodes, and
belong together where they are under the same text: so a log need not be believed about who cosigned it. A node that
refuses a log shows why, and a proof that holds makes the log one that is not in order; so do two nodes that hold
checkpoints of one size with different roots.
"""

from collections.abc import Iterable
from typing import Final

import trio
from attrs import define, evolve, frozen

from bootstrap.audit import AuditReport, audit
from bootstrap.mirror import REFUSED_PATH
from bootstrap.reading import LogReader
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import open_checkpoint
from peernet.core.ledger.equivocation import Equivocation, prove_equivocation, verify_equivocation
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.notes import Note, NoteSignature, VerifierKey, open_note, parse_note
from peernet.core.ledger.policy import Finality, LedgerPolicy, PolicyLog
from peernet.core.ledger.tiles import CHECKPOINT_PATH, ResourceNotFound
from peernet.core.ledger.violations import InvalidEntry, verify_invalid_entry
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.net.addresses import PeerAddress
from peernet.net.swarm import Swarm
from peernet.node.policy import node_of

__all__ = ["LogAudit", "audit_policy"]

TRIES: Final = 3
"""How often a checkpoint is read that is not final: it may just have been signed."""
TRY_INTERVAL_S: Final = 0.5


@frozen
class LogAudit:
    """What was found of one log."""

    report: AuditReport
    finality: Finality | None
    """How far the newest checkpoint is cosigned; None for a database at rest, which holds no cosignatures."""
    read_from: str
    """The name of the log whose node served it, its own or a mirror's; or a file's. Empty when nobody did."""


@define
class _Source:
    """A node that may serve a log."""

    name: str
    reader: LogReader
    own: bool
    note: bytes = b""
    problem: str = ""
    refusal: bytes = b""


async def audit_policy(swarm: Swarm, policy: LedgerPolicy, fallback: Iterable[PeerAddress]) -> tuple[LogAudit, ...]:
    """Audits every log of `policy`.

    `fallback` are nodes to ask for a log whose node the policy does not name. Raises `UserError` when no log at all
    can be read.
    """
    sources = {log.origin: _sources(swarm, policy, log, tuple(fallback)) for log in policy.logs}
    audits: dict[str, LogAudit] = {}

    async def audit_one(log: PolicyLog) -> None:
        audits[log.origin] = await _audit_log(policy, log, sources[log.origin])

    async with trio.open_nursery() as nursery:
        for log in policy.logs:
            nursery.start_soon(audit_one, log)
    if not any(audited.read_from for audited in audits.values()):
        asked = [source for of_log in sources.values() for source in of_log if source.problem]
        problems = dict.fromkeys(f"{source.reader.node}: {source.problem}" for source in asked)
        raise UserError(f"the log cannot be read ({'; '.join(problems)}). Is the bootstrap node running?")
    return tuple(audits[log.origin] for log in policy.logs)


def _sources(
    swarm: Swarm, policy: LedgerPolicy, log: PolicyLog, fallback: tuple[PeerAddress, ...]
) -> tuple[_Source, ...]:
    node = node_of(log)
    own = [_Source(log.origin, LogReader(swarm, at), own=True) for at in (fallback if node is None else (node,))]
    prefix = mirror_prefix(log.origin)
    mirrors = [
        _Source(other.origin, LogReader(swarm, at, prefix), own=False)
        for other in policy.logs
        if other.origin != log.origin and (at := node_of(other)) is not None
    ]
    return (*own, *mirrors)


async def _audit_log(policy: LedgerPolicy, log: PolicyLog, sources: tuple[_Source, ...]) -> LogAudit:
    suite = MixedSuite()
    for attempt in range(TRIES):
        if attempt:
            await trio.sleep(TRY_INTERVAL_S)
        async with trio.open_nursery() as nursery:
            for source in sources:
                nursery.start_soon(_read_checkpoint, source)
        chosen, note = _newest(policy, log.key, sources, suite)
        finality = _finality(policy, note, suite)
        if finality.final or chosen is None:
            break
    if chosen is None:
        return LogAudit(_unread(log), finality, "")

    def fetch(path: str) -> bytes:
        return note if path == CHECKPOINT_PATH else trio.from_thread.run(chosen.reader.read, path)

    try:
        report = await trio.to_thread.run_sync(audit, fetch, log.key.text(), suite)
    except ConnectionFailed as error:
        chosen.problem = str(error)
        return LogAudit(_unread(log), finality, "")
    found = (*_contradictions(log.key, sources, suite), *_refusals(log.key, sources, suite))
    return LogAudit(evolve(report, problems=(*report.problems, *found)), finality, chosen.name)


async def _read_checkpoint(source: _Source) -> None:
    source.note, source.problem, source.refusal = b"", "", b""
    try:
        source.note = await source.reader.read(CHECKPOINT_PATH)
    except (ConnectionFailed, ResourceNotFound) as error:
        source.problem = str(error)
    if source.own:
        return
    try:
        source.refusal = await source.reader.read(REFUSED_PATH)
    except (ConnectionFailed, ResourceNotFound):
        return  # most logs are refused by nobody


def _newest(
    policy: LedgerPolicy, key: VerifierKey, sources: tuple[_Source, ...], suite: CipherSuite
) -> tuple[_Source | None, bytes]:
    """Whom to read the log from, and its newest checkpoint with the cosignatures that any of them has."""
    best: tuple[bool, int, _Source] | None = None
    for source in sources:
        try:
            size = open_checkpoint(source.note, key, suite).size
        except RemoteProtocolError:
            continue
        if best is None or (source.own, size) > best[:2]:
            best = (source.own, size, source)
    if best is None:
        # What an own node serves is for the audit to judge.
        own = next((source for source in sources if source.own and source.note), None)
        return own, b"" if own is None else own.note
    text = parse_note(best[2].note).text
    lines: dict[VerifierKey, NoteSignature] = {}
    for source in sources:
        for known in (key, *(witness.key for witness in policy.witnesses)):
            line = _verified_line(source.note, text, known, suite)
            if line is not None:
                lines.setdefault(known, line)
    return best[2], Note(text, tuple(lines.values())).encode()


def _verified_line(data: bytes, text: str, key: VerifierKey, suite: CipherSuite) -> NoteSignature | None:
    """The line of `key` under this very text; None where there is none that verifies: nobody can spoil the others'."""
    try:
        note = parse_note(data)
        for line in note.signatures:
            if note.text == text and (line.name, line.key_id) == (key.name, key.key_id):
                open_note(Note(text, (line,)).encode(), (key,), suite)
                return line
    except RemoteProtocolError:
        return None
    return None


def _finality(policy: LedgerPolicy, note: bytes, suite: CipherSuite) -> Finality:
    try:
        return policy.finality(note, suite)
    except RemoteProtocolError:
        return evolve(policy.judge(()), final=False)


def _contradictions(key: VerifierKey, sources: tuple[_Source, ...], suite: CipherSuite) -> Iterable[str]:
    for place, one in enumerate(sources):
        for other in sources[place + 1 :]:
            try:
                prove_equivocation(one.note, other.note, key, suite)
            except RemoteProtocolError:
                continue
            yield f"equivocation: the nodes of {one.name} and {other.name} hold two histories that this log signed"


def _refusals(key: VerifierKey, sources: tuple[_Source, ...], suite: CipherSuite) -> Iterable[str]:
    for source in sources:
        if not source.refusal:
            continue
        try:
            verify_equivocation(Equivocation.parse(source.refusal), key, suite)
            yield f"equivocation: the node of {source.name} holds a proof that this log signed two histories"
        except RemoteProtocolError:
            try:
                index, rule = verify_invalid_entry(InvalidEntry.parse(source.refusal), key, suite)
            except RemoteProtocolError:
                continue  # a claim that proves nothing
            yield f"entry {index}: the node of {source.name} holds a proof that it breaks a rule: {rule}"


def _unread(log: PolicyLog) -> AuditReport:
    nobody = "nobody serves this log: neither its own node nor a mirror answers"
    return AuditReport(log.origin, 0, b"", 0, 0, 0, 0, 0, problems=(nobody,))
