"""Attacks on the ledger: a database that is edited behind the node's back, and a log that is kept twice."""

import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import evolve, frozen

from peernet.cli.adversaries.edited_ledger import Edit, back_up, forge_checkpoint, raise_amount, rebuild_tree
from peernet.cli.attack.on_requests import PLANTED
from peernet.cli.attack.scene import Claim, Telling
from peernet.cli.attack.stage import Audited, Stage
from peernet.client.events import ReceiptProven
from peernet.client.network import HostChoice, NetworkView
from peernet.client.wallet import fund_lane
from peernet.core.directory import Directory, Listing
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint
from peernet.core.ledger.entries import Grant, Settle, decode_entry
from peernet.core.ledger.equivocation import Equivocation, prove_equivocation, verify_equivocation
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.ledger.messages import TLOG_PROTOCOL, ReadFile, TlogFile, TlogMessages
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import LogProof, open_entry_proof
from peernet.core.ledger.tiles import decode_entry_bundle, entry_bundles
from peernet.net.addresses import parse_peer_address
from peernet.net.messages import MessageStream
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig, load_table
from peernet.node.policy import policy_of

__all__ = ["edited_ledger", "forked_log"]

READ_TIMEOUT_S: Final = 10.0
CAP_MICROCREDITS: Final = 1000
ROOT_SHOWN: Final = 12
"""Hexadecimal digits of a root that are shown."""
FORKS: Final = ("fork-a", "fork-b")


# --- an edited ledger ------------------------------------------------------------------------------------------------


async def edited_ledger(stage: Stage) -> Telling:
    """Somebody writes to the database of the running node, and then hides it as well as can be without the key."""
    receipts = [event for asked in stage.asked for event in asked.events if isinstance(event, ReceiptProven)]
    kept = receipts[0]
    swarm, network = stage.swarm, stage.swarm.network_file
    database = stage.folder / "bootstrap" / "state" / "ledger.sqlite"
    backup = stage.folder / "backup.sqlite"
    await trio.to_thread.run_sync(back_up, database, backup)
    edit = await trio.to_thread.run_sync(raise_amount, database, kept.index)
    edited = await stage.audit(network)
    own = await _compare_with(stage, kept)
    root = await trio.to_thread.run_sync(rebuild_tree, database)
    rebuilt = await stage.audit(network)
    await swarm.end("bootstrap")
    refusals = [await _restart(stage)]
    await trio.to_thread.run_sync(forge_checkpoint, database, root)
    forged = await stage.audit(network, database)
    refusals.append(await _restart(stage))
    everything = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    await trio.to_thread.run_sync(shutil.copy, backup, database)
    return _told(stage, edit, own, (edited, rebuilt, forged), refusals, everything)


def _told(
    stage: Stage, edit: Edit, own: "_Compared", audits: Sequence[Audited], refusals: Sequence[str], everything: bytes
) -> Telling:
    edited, rebuilt, forged = audits
    return Telling(
        f"Somebody can write to the running node's database, and has not its key. Entry {edit.index} is made to pay "
        f"{edit.after_microcredits} microcredits instead of {edit.before_microcredits}, which breaks no rule; then "
        "the traces are covered.",
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
                f"when all hashes are made to fit, the audit: “{_first(rebuilt)}”; the node, started again: "
                f"“{refusals[0]}”",
                not rebuilt.ok and "signed root" in _first(rebuilt) and "does not lead to" in refusals[0],
            ),
            Claim(
                f"when it is signed anew, by another key, the audit: “{_first(forged)}”; the node: “{refusals[1]}”",
                not forged.ok and _first(forged).startswith("checkpoint") and "not this log's" in refusals[1],
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


async def _compare_with(stage: Stage, kept: ReceiptProven) -> _Compared:
    """Reads the log as far as the client's old checkpoint goes, and compares."""
    then = open_checkpoint(kept.checkpoint, _log_key(stage), stage.client.network.suite)
    entries = await _entries(stage, then.size)
    tree = CompactRange()
    for entry in entries:
        tree.append(leaf_hash(entry))
    settle = decode_entry(entries[kept.index])
    return _Compared(
        then.size,
        then.root.hex()[:ROOT_SHOWN],
        tree.root().hex()[:ROOT_SHOWN],
        kept.receipt.voucher.amount_microcredits,
        settle.amount_microcredits if isinstance(settle, Settle) else 0,
    )


async def _entries(stage: Stage, size: int) -> list[bytes]:
    """The first entries of the log, as the running node serves them."""
    node = parse_peer_address(stage.network.bootstrap[0])
    entries: list[bytes] = []
    with trio.move_on_after(READ_TIMEOUT_S):
        stream = await stage.client.network.swarm.open_stream(node.peer, [node.address], TLOG_PROTOCOL)
        async with stream:
            messages = MessageStream(stream, TlogMessages)
            for bundle in entry_bundles(size):
                await messages.send(ReadFile(bundle.path()))
                reply = await messages.receive()
                if not isinstance(reply, TlogFile) or reply.content is None:
                    raise ConnectionFailed("the log does not serve its entries")
                entries += decode_entry_bundle(reply.content, bundle.width)
        return entries
    raise ConnectionFailed(f"the log did not serve its entries within {READ_TIMEOUT_S:g} s")


async def _restart(stage: Stage) -> str:
    """Starts the bootstrap node on its home; what it says when it refuses."""
    home = ("--home", str(stage.folder / "bootstrap"), "--origin", _log_key(stage).name)
    words = ("bootstrap", *home, "--listen", stage.swarm.plan.address(1), "--test-network")
    database = stage.folder / "bootstrap" / "state" / "ledger.sqlite"
    try:
        await stage.swarm.start("bootstrap again", words)
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
class _Told:
    """What one victim of a fork was told: its entry's proof, under a checkpoint signed by the log's key."""

    proof: bytes
    note: bytes
    checkpoint: Checkpoint
    audited: Audited
    client: str
    """The peer id that the client had."""


async def forked_log(stage: Stage) -> Telling:
    """The operator copies the node's home, runs both copies, and tells two clients two histories."""
    directory = stage.client.network.directory
    hosts, relays = stage.client.hosts(), directory.relays
    for number, fork in enumerate(FORKS, 51):
        await _start_fork(stage, fork, number)
    told = []
    half = stage.swarm.plan.relays // 2
    honest = [relay for relay in relays if str(relay.peer) in stage.swarm.member("relays").peers]
    for fork, own in zip(FORKS, (honest[:half], honest[half:]), strict=True):
        told.append(await _fund_on(stage, fork, hosts[0], own))
    key, suite = _log_key(stage), stage.client.network.suite
    one, other = told
    try:
        proof: Equivocation | None = prove_equivocation(one.note, other.note, key, suite)
    except RemoteProtocolError:
        proof = None
    sent = proof.encode() if proof is not None else b""
    granted = [decode_entry(open_entry_proof(victim.proof, key, suite)[0]) for victim in told]
    return Telling(
        "The operator, who has the key, stops the node, copies its folder, and runs both copies: one history for you, "
        "another for somebody else.",
        outcome=(
            Claim(
                f"Each of two clients has its grant in a log of {one.checkpoint.size} entries, with a valid proof. "
                "Audited alone, each history is in perfect order.",
                one.audited.ok and other.audited.ok,
            ),
        ),
        caught=(
            Claim(
                f"both signatures on one table: size {one.checkpoint.size} with the fingerprint "
                f"{one.checkpoint.root.hex()[:ROOT_SHOWN]}…, and size {other.checkpoint.size} with "
                f"{other.checkpoint.root.hex()[:ROOT_SHOWN]}…. One of them is a lie",
                one.checkpoint.size == other.checkpoint.size and one.checkpoint.root != other.checkpoint.root,
            ),
            Claim(
                f"they make a proof of {len(sent)} bytes. Whoever has the node's public key can verify it, and nobody "
                "without its secret key could have made it",
                proof is not None and _convicts(stage, sent),
            ),
        ),
        learned=(
            Claim(
                f"of each client: a throw-away key that was granted {CAP_MICROCREDITS} microcredits, and the minute",
                all(isinstance(grant, Grant) and grant.cap_microcredits == CAP_MICROCREDITS for grant in granted),
            ),
        ),
        not_learned=(
            Claim(
                "who asked for which grant: it came over a ring; neither copy has a client's address or key",
                not any(
                    _mentions(stage.folder / fork, known)
                    for fork in FORKS
                    for known in (stage.client_host, one.client, other.client)
                ),
            ),
        ),
        verdict=(
            "It can lie to two people for as long as they do not compare. (Here one node keeps the log, and nobody "
            "compares; with four, the other three do, and no two histories become final.)"
        ),
    )


async def _start_fork(stage: Stage, fork: str, number: int) -> None:
    home = stage.folder / fork
    # Its remembered peers would bring the copies together.
    copy = partial(shutil.copytree, ignore=shutil.ignore_patterns("peers.txt", "*.sqlite-*"))
    await trio.to_thread.run_sync(copy, stage.folder / "bootstrap", home)
    words = ("bootstrap", "--home", str(home), "--origin", _log_key(stage).name, "--test-network")
    options = ("--listen", stage.swarm.plan.address(number), "--write-network", str(stage.folder / f"{fork}.toml"))
    await stage.swarm.start(fork, (*words, *options))


async def _fund_on(stage: Stage, fork: str, host: HostChoice, relays: Sequence[Listing]) -> _Told:
    """A client that knows this copy alone funds a lane, over a ring, as every client does."""
    file = stage.folder / f"{fork}.toml"
    network = evolve(load_table(file, "network", NetworkConfig, {}), listen=stage.network.listen)
    view = NetworkView(network, stage.folder / f"{fork}-guards.json")
    key, suite = _log_key(stage), view.suite
    async with background_nursery() as nursery:
        await nursery.start(view.swarm.run)
        alone = await view.fetch_directory()
        # Each client is shown relays of its own, so that no relay has both copies of the node as its neighbour.
        view.directory = Directory(alone.issued_at_s, (*alone.bootstraps, *relays))
        (path,) = view.plan_rings([host], "private")
        lane = await fund_lane(view, path, host.offer, CAP_MICROCREDITS, policy_of(network))
    note = LogProof.parse(lane.opening.proof).checkpoint
    audited = await stage.audit(file)
    return _Told(lane.opening.proof, note, open_checkpoint(note, key, suite), audited, str(view.swarm.peer_id))


def _log_key(stage: Stage) -> VerifierKey:
    """The key of the one log of this swarm."""
    return stage.client.ledger.logs[0].key


def _convicts(stage: Stage, sent: bytes) -> bool:
    """Whether the proof holds for somebody who has nothing but its bytes and the log's public key."""
    found = verify_equivocation(Equivocation.parse(sent), _log_key(stage), stage.client.network.suite)
    return found.first.size == found.second.size and found.first.root != found.second.root


def _mentions(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
