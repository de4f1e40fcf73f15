"""Attacks on the ledger: a database that is edited behind the node's back, and a log that is kept twice.

Both are on one log, the one that has the client's first receipt; the three other bootstrap nodes run all the time.
"""

import re
import secrets
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import apsw
import trio
from attrs import evolve, frozen

from peernet.cli.adversaries.edited_ledger import Edit, back_up, forge_checkpoint, raise_amount, rebuild_tree
from peernet.cli.attack.planted import PLANTED
from peernet.cli.attack.scene import Claim, Telling
from peernet.cli.attack.stage import Audited, Stage
from peernet.client.events import ReceiptProven
from peernet.client.network import NetworkView
from peernet.client.wallet import fund_lane
from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint
from peernet.core.ledger.entries import Entry, Grant, Settle, decode_entry
from peernet.core.ledger.equivocation import Equivocation, verify_equivocation
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.ledger.messages import TLOG_PROTOCOL, ReadFile, TlogFile, TlogMessages, mirror_prefix
from peernet.core.ledger.policy import Finality, PolicyLog
from peernet.core.ledger.proofs import LogProof, open_entry_proof
from peernet.core.ledger.tiles import CHECKPOINT_PATH, decode_entry_bundle, entry_bundles
from peernet.net.addresses import parse_peer_address
from peernet.net.messages import MessageStream
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig
from peernet.node.policy import policy_of

__all__ = ["edited_ledger", "forked_log"]

READ_TIMEOUT_S: Final = 30.0
CAP_MICROCREDITS: Final = 1000
ROOT_SHOWN: Final = 12
"""Hexadecimal digits of a root that are shown."""
COPY_NUMBER: Final = 51
"""Which of the swarm's addresses the second copy of a node has."""
FORKED: Final = "equivocation"
"""Why a node refuses a log, as its database has it."""
FINAL_TIMEOUT_S: Final = 60.0
REFUSAL_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05

_A = TypeVar("_A")
_B = TypeVar("_B")


# --- an edited ledger ------------------------------------------------------------------------------------------------


async def edited_ledger(stage: Stage) -> Telling:
    """Somebody writes to the database of a running node, and then hides it as well as can be without the key."""
    kept = _kept_receipt(stage)
    origin, keeper = _log(stage).origin, _keeper(stage)
    database = stage.folder / keeper / "state" / "ledger.sqlite"
    backup = stage.folder / "backup.sqlite"
    await trio.to_thread.run_sync(back_up, database, backup)
    edit = await trio.to_thread.run_sync(raise_amount, database, kept.index)
    edited, compared = await _at_once(partial(stage.audit, origin), partial(_compare_with, stage, kept))
    await stage.swarm.end(keeper)
    refusals = [await _restart(stage)]
    root = await trio.to_thread.run_sync(rebuild_tree, database)
    at_rest = partial(stage.audit, origin, database)
    rebuilt, refused = await _at_once(at_rest, partial(_restart, stage))
    refusals.append(refused)
    await trio.to_thread.run_sync(forge_checkpoint, database, root)
    forged, refused = await _at_once(at_rest, partial(_restart, stage))
    refusals.append(refused)
    everything = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    await trio.to_thread.run_sync(shutil.copy, backup, database)
    return _told(stage, edit, compared, (edited, rebuilt, forged), refusals, everything)


def _told(
    stage: Stage, edit: Edit, own: "_Compared", audits: Sequence[Audited], refusals: Sequence[str], everything: bytes
) -> Telling:
    edited, rebuilt, forged = audits
    others = len(stage.client.ledger.logs) - 1
    return Telling(
        f"Somebody can write to the database of a running node, and has not its key. Entry {edit.index} is made to "
        f"pay {edit.after_microcredits} microcredits instead of {edit.before_microcredits}, which breaks no rule; "
        "then the traces are covered.",
        outcome=(),
        caught=(
            Claim(
                f"the audit that anybody can run: “{_first(edited)}”",
                not edited.ok and f"entry {edit.index} does not hash" in _first(edited),
            ),
            Claim(
                f"your receipt, which says {own.receipt_microcredits}, and the checkpoint that came with it: the "
                f"first {own.size} entries had the fingerprint {own.root_then}…, and now have {own.root_now}…",
                own.log_microcredits == edit.after_microcredits
                and own.receipt_microcredits == edit.before_microcredits
                and own.root_then != own.root_now,
            ),
            Claim(
                f"the copies that the {others} other nodes keep, and vouch for: there the entry still pays "
                f"{edit.before_microcredits}",
                own.copies_microcredits == (edit.before_microcredits,) * others,
            ),
            Claim(
                f"the node itself, started again: “{refusals[0]}”",
                "entries do not lead to the signed root" in refusals[0],
            ),
            Claim(
                f"when all hashes are made to fit, both: “{refusals[1]}”",
                not rebuilt.ok and refusals[1] in _first(rebuilt) and "tree does not lead to" in refusals[1],
            ),
            Claim(
                f"when it is signed anew, by another key, the audit: “{_first(forged)}”; the node: “{refusals[2]}”",
                not forged.ok and _first(forged).startswith("checkpoint") and "not this log's" in refusals[2],
            ),
        ),
        learned=(
            Claim(
                f"what is public anyway: {edited.size} entries with throw-away keys, amounts and minutes",
                edited.size > 0,
            ),
        ),
        not_learned=(
            Claim(
                f"who asked, and what: no name, address or client's key is in its {len(everything):,} bytes",
                bool(everything)
                and not any(
                    known.encode() in everything
                    for known in (*PLANTED, stage.client_host, str(stage.client.network.swarm.peer_id))
                ),
            ),
        ),
        verdict="Without the key no amount can be changed unnoticed. With it: see the next scene.",
    )


def _first(audited: Audited) -> str:
    return audited.problems[0] if audited.problems else "nothing"


@frozen
class _Compared:
    """What a client kept of the log, beside what the log says now."""

    size: int
    root_then: str
    root_now: str
    receipt_microcredits: int
    log_microcredits: int
    copies_microcredits: tuple[int, ...]
    """In the copies that the other nodes have."""


async def _compare_with(stage: Stage, kept: ReceiptProven) -> _Compared:
    """Reads the log, and its copies, as far as the client's old checkpoint goes, and compares."""
    log = _log(stage)
    then = open_checkpoint(kept.checkpoint, log.key, stage.client.network.suite)
    entries = await _entries(stage, log, then.size)
    tree = CompactRange()
    for entry in entries:
        tree.append(leaf_hash(entry))
    prefix = mirror_prefix(log.origin)
    copies = [await _entries(stage, other, then.size, prefix) for other in stage.client.ledger.logs if other != log]
    return _Compared(
        then.size,
        then.root.hex()[:ROOT_SHOWN],
        tree.root().hex()[:ROOT_SHOWN],
        kept.receipt.voucher.amount_microcredits,
        _amount(entries[kept.index]),
        tuple(_amount(copy[kept.index]) for copy in copies),
    )


def _amount(leaf: bytes) -> int:
    entry = decode_entry(leaf)
    return entry.amount_microcredits if isinstance(entry, Settle) else 0


async def _entries(stage: Stage, keeper: PolicyLog, size: int, prefix: str = "") -> list[bytes]:
    """The first entries of a log, as the running node that keeps `keeper` serves them: its own, or its copy."""
    bundles = list(entry_bundles(size))
    files = await _read(stage, keeper.url, [f"{prefix}{bundle.path()}" for bundle in bundles])
    return [
        entry for bundle, file in zip(bundles, files, strict=True) for entry in decode_entry_bundle(file, bundle.width)
    ]


async def _read(stage: Stage, url: str, paths: Sequence[str]) -> list[bytes]:
    """Files that a node serves of its log."""
    node = parse_peer_address(url)
    files: list[bytes] = []
    with trio.move_on_after(READ_TIMEOUT_S):
        stream = await stage.client.network.swarm.open_stream(node.peer, [node.address], TLOG_PROTOCOL)
        async with stream:
            messages = MessageStream(stream, TlogMessages)
            for path in paths:
                await messages.send(ReadFile(path))
                reply = await messages.receive()
                if not isinstance(reply, TlogFile) or reply.content is None:
                    raise ConnectionFailed(f"the node does not serve {path}")
                files.append(reply.content)
        return files
    raise ConnectionFailed(f"the node did not serve its log within {READ_TIMEOUT_S:g} s")


def _kept_receipt(stage: Stage) -> ReceiptProven:
    """The client's first receipt: what happens to its log is of interest."""
    return next(event for asked in stage.asked for event in asked.events if isinstance(event, ReceiptProven))


def _log(stage: Stage) -> PolicyLog:
    """The log of that receipt."""
    return stage.client.ledger.log(_kept_receipt(stage).receipt.voucher.log_origin)


def _keeper(stage: Stage) -> str:
    """What the process is called that keeps this log."""
    return stage.nodes[str(parse_peer_address(_log(stage).url).peer)]


def _words(stage: Stage, home: Path, listen: str) -> tuple[str, ...]:
    """The command of a node that keeps this log, with what is in `home`."""
    network = ("--network", str(stage.swarm.network_file))
    return ("bootstrap", "--home", str(home), "--origin", _log(stage).origin, "--listen", listen, *network)


def _address(stage: Stage) -> str:
    """Where the log's node listens, as the policy has it."""
    return _log(stage).url.partition("/p2p/")[0]


async def _restart(stage: Stage) -> str:
    """Starts the bootstrap node on its home; what it says when it refuses."""
    home = stage.folder / _keeper(stage)
    database = home / "state" / "ledger.sqlite"
    try:
        await stage.swarm.start("bootstrap again", _words(stage, home, _address(stage)))
    except UserError as error:
        said = str(error).partition(": ")[2]
        said = said.removeprefix("the ledger is damaged: ").replace(f"{database}: ", "")
        return re.sub(r" \(\S+\)", "", said.partition(". ")[0])
    else:
        return "nothing: it runs"
    finally:
        await stage.swarm.end("bootstrap again")


# --- a log that is kept twice ----------------------------------------------------------------------------------------


@frozen
class _Victim:
    """A client that was granted a lane in one of the two histories."""

    proof: bytes
    note: bytes
    checkpoint: Checkpoint
    finality: Finality
    client: str
    """The peer id that the client had."""


@frozen
class _Refusal:
    """Why a node cosigns nothing more of a log, and the proof, as its database has them."""

    reason: str
    proof: bytes


@frozen
class _Fork:
    """A node that runs on one of the two folders."""

    home: Path
    url: str
    network: NetworkConfig
    """The network as its clients are told: it stands for the log."""


async def forked_log(stage: Stage) -> Telling:
    """The operator copies the node's folder, runs both copies, and tells two clients two histories."""
    log, policy = _log(stage), stage.client.ledger
    forks = await _start_forks(stage)
    first = await _fund(stage, forks[0].network, log.origin)
    first_finality = await _wait_final(stage, log.url)
    second = await _fund(stage, forks[1].network, log.origin)
    refusals = await _refusals(stage)
    one, other = (partial(stage.audit, log.origin, fork.home / "state" / "ledger.sqlite") for fork in forks)
    audits = await _at_once(one, other)
    (newest,) = await _read(stage, forks[1].url, [CHECKPOINT_PATH])
    in_the_end = policy.finality(newest, stage.client.network.suite)
    again = await _fund(stage, forks[0].network, log.origin)
    elsewhere = []
    for another in policy.logs:
        if another != log:
            await _fund(stage, stage.network, another.origin)
            elsewhere.append(await _wait_final(stage, another.url))
    return _told_of_forks(
        stage,
        _Forked(
            forks,
            (evolve(first, finality=first_finality), second),
            in_the_end,
            refusals,
            audits,
            again,
            tuple(elsewhere),
        ),
    )


@frozen
class _Forked:
    """What came of a log that is kept twice."""

    forks: Sequence[_Fork]
    told: tuple[_Victim, _Victim]
    """The two clients, as each was told at first."""
    in_the_end: Finality
    """Of the second history."""
    refusals: Sequence[_Refusal]
    audits: Sequence[Audited]
    again: _Victim
    """A client of the first history, after all that."""
    elsewhere: Sequence[Finality]
    """Of grants in the other logs."""

    def granted(self, stage: Stage) -> list[Entry]:
        """The two entries."""
        log, suite = _log(stage), stage.client.network.suite
        return [decode_entry(open_entry_proof(victim.proof, log.key, suite)[0]) for victim in self.told]


def _told_of_forks(stage: Stage, seen: _Forked) -> Telling:
    granted = seen.granted(stage)
    return Telling(
        f"The operator of {_log(stage).origin}, who has the keys, copies the node's folder, and runs both copies: one "
        "history for you, another for somebody else.",
        outcome=_outcome_of_forks(stage, seen),
        caught=_who_caught_forks(stage, seen),
        learned=(
            Claim(
                f"of each client: a throw-away key that was granted {CAP_MICROCREDITS} microcredits, and the minute",
                all(isinstance(grant, Grant) and grant.cap_microcredits == CAP_MICROCREDITS for grant in granted),
            ),
        ),
        not_learned=(
            Claim(
                "who asked for which grant: it came over a ring; neither folder has a client's address or key",
                not any(
                    _mentions(fork.home, known)
                    for fork in seen.forks
                    for known in (stage.client_host, *(victim.client for victim in seen.told))
                ),
            ),
        ),
        verdict="It can sign two histories, and only one can become final. The attempt costs it all its credit.",
    )


def _outcome_of_forks(stage: Stage, seen: _Forked) -> tuple[Claim, ...]:
    """What both clients have of it."""
    (one, other), granted = seen.told, seen.granted(stage)
    own = {f"{_log(stage).origin}/validator"}
    return (
        Claim(
            f"Each of two clients has its grant as entry {one.checkpoint.size - 1} of the log, with a valid "
            "proof. Audited alone, each history is in perfect order.",
            all(audited.ok for audited in seen.audits)
            and one.checkpoint.size == other.checkpoint.size
            and one.checkpoint.root != other.checkpoint.root
            and granted[0] != granted[1],
        ),
        Claim(
            f"The first is {one.finality.describe()}. The second client is told: “{other.finality.describe()}”, "
            "and so it stays: nobody else cosigns it.",
            one.finality.final
            and not other.finality.final
            and not seen.in_the_end.final
            and set(seen.in_the_end.cosigned) == own
            and len(one.finality.cosigned) >= one.finality.needed,
        ),
    )


def _who_caught_forks(stage: Stage, seen: _Forked) -> tuple[Claim, ...]:
    """Who noticed it, and what follows."""
    one, other = seen.told
    own, others = {f"{_log(stage).origin}/validator"}, len(stage.client.ledger.logs) - 1
    sizes = " and ".join(str(size) for size in sorted({len(refusal.proof) for refusal in seen.refusals}))
    return (
        Claim(
            f"the {others} other nodes, each by itself: they have seen both signatures under size "
            f"{one.checkpoint.size}, with the fingerprints {one.checkpoint.root.hex()[:ROOT_SHOWN]}… and "
            f"{other.checkpoint.root.hex()[:ROOT_SHOWN]}…. One of them is a lie",
            len(seen.refusals) == others and all(_convicts(stage, refusal, seen.told) for refusal in seen.refusals),
        ),
        Claim(
            f"a proof on the disk of each ({sizes} bytes): whoever has the log's public key can verify it, and "
            "nobody without its secret key could have made it",
            bool(seen.refusals) and all(refusal.reason == FORKED for refusal in seen.refusals),
        ),
        Claim(
            "the same nodes, from then on: they refuse the log for good. The next grant in the first history, "
            f"which had been final, is “{seen.again.finality.describe()}”, too",
            not seen.again.finality.final and set(seen.again.finality.cosigned) == own,
        ),
        Claim(
            f"and nobody else pays for it: in the logs of the {others} others, grants are "
            f"{', '.join(sorted({finality.describe() for finality in seen.elsewhere}))}",
            len(seen.elsewhere) == others and all(finality.final for finality in seen.elsewhere),
        ),
    )


async def _start_forks(stage: Stage) -> tuple[_Fork, _Fork]:
    """The node on its folder, and another one on a copy; both are level with the others before anything is asked."""
    swarm, log = stage.swarm, _log(stage)
    home, copied = stage.folder / _keeper(stage), stage.folder / "copied"
    # The copy has the keys of log, witness and validator, and joins as a peer of its own: two peers of one name would
    # get into each other's connections.
    leave_out = shutil.ignore_patterns("identity.key", "onion.key", "peers.txt", "*.sqlite-*")
    await trio.to_thread.run_sync(partial(shutil.copytree, ignore=leave_out), home, copied)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.start, "fork-1", _words(stage, home, _address(stage)))
        nursery.start_soon(swarm.start, "fork-2", _words(stage, copied, swarm.plan.address(COPY_NUMBER)))
    first, second = swarm.member("fork-1"), swarm.member("fork-2")
    url = second.ready["addresses"][0]
    await stage.wait_directory(bootstraps=(*first.peers, *second.peers))
    network = stage.network
    for node in (log.url, url):
        await _wait_final(stage, node)
    rewritten = evolve(
        network,
        bootstrap=tuple(url if text == log.url else text for text in network.bootstrap),
        policy=network.policy.replace(log.url, url),
    )
    return _Fork(home, log.url, network), _Fork(copied, url, rewritten)


async def _wait_final(stage: Stage, url: str) -> Finality:
    """Waits until a node's newest checkpoint is final: one that was started again has heard from the others then."""
    with trio.move_on_after(FINAL_TIMEOUT_S):
        while True:
            (note,) = await _read(stage, url, [CHECKPOINT_PATH])
            finality = stage.client.ledger.finality(note, stage.client.network.suite)
            if finality.final:
                return finality
            await trio.sleep(POLL_S)
    raise UserError(
        f"a bootstrap node has no final checkpoint after {FINAL_TIMEOUT_S:g} s: this machine may be too busy; try "
        "again"
    )


async def _refusals(stage: Stage) -> list[_Refusal]:
    """What the other nodes have on their disks against the log, once all of them have, or time is up."""
    name = mirror_prefix(_log(stage).origin).split("/")[1]
    names = [node for node in stage.nodes.values() if node != _keeper(stage)]
    found: list[_Refusal] = []
    with trio.move_on_after(REFUSAL_TIMEOUT_S):
        while len(found) < len(names):
            files = [stage.folder / node / "state" / "mirrors" / f"{name}.sqlite" for node in names]
            read = [await trio.to_thread.run_sync(_refusal_in, file) for file in files]
            found = [refusal for refusal in read if refusal is not None]
            await trio.sleep(POLL_S)
    return found


def _refusal_in(database: Path) -> _Refusal | None:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        row = connection.execute("SELECT reason, proof FROM refusal").fetchone()
        return None if row is None else _Refusal(*row)
    finally:
        connection.close()


async def _fund(stage: Stage, network: NetworkConfig, origin: str) -> _Victim:
    """A client that has this network's file funds a lane in one log, over a ring, as every client does."""
    view = NetworkView(network, stage.folder / f"guards-{secrets.token_hex(8)}.json")
    host, suite = stage.client.hosts()[0], view.suite
    policy = policy_of(network)
    async with background_nursery() as nursery:
        await nursery.start(view.swarm.run)
        view.directory = stage.client.network.directory
        (path,) = view.plan_rings([host], "private")
        lane = await fund_lane(view, path, evolve(host.offer, issuers=(origin,)), CAP_MICROCREDITS, policy)
    note = LogProof.parse(lane.opening.proof).checkpoint
    checkpoint = open_checkpoint(note, policy.log(origin).key, suite)
    return _Victim(lane.opening.proof, note, checkpoint, lane.finality, str(view.swarm.peer_id))


def _convicts(stage: Stage, refusal: _Refusal, told: Sequence[_Victim]) -> bool:
    """Whether the proof holds for somebody who has nothing but its bytes and the log's public key."""
    found = verify_equivocation(Equivocation.parse(refusal.proof), _log(stage).key, stage.client.network.suite)
    roots = {victim.checkpoint.root for victim in told}
    return found.first.size == found.second.size and {found.first.root, found.second.root} == roots


def _mentions(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def _at_once(one: Callable[[], Awaitable[_A]], other: Callable[[], Awaitable[_B]]) -> tuple[_A, _B]:
    """What two tasks give that are run side by side."""
    firsts: list[_A] = []

    async def run_first() -> None:
        firsts.append(await one())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_first)
        second = await other()
    return firsts[0], second
