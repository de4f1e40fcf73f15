"""Gathering cosignatures: what makes a log's entries final.

Theory of operation. A log signs more checkpoints than anybody cosigns: entries come in batches. One checkpoint at a
time is the **target**; it is submitted to all other nodes of the policy at once, and the next target is the newest
checkpoint by the time that this one is final, or `ROUND_S` have passed. So under load all cosign the same one, and a
node that is slow or down holds up nobody: it takes the newest target when it is ready for one. Nothing is polled: an
append starts the next round, so an entry is final after one exchange with the quorum.

Rules:

1. Our own witness and validator cosign first: what they vouch for is in our own database.
2. A node that has been down is tried again, at most `MAX_PAUSE_S` after its last failure or when its own log asks us
   for a cosignature (`heard_from`), and then catches up.
3. After a restart the log takes nothing before enough others have said where they stand (`need`: all but the `f` that
   may lie), so that at least one has each entry that was final. Whoever shows a checkpoint that we signed and do not
   have proves that our database is an old copy: then we sign nothing more (`RolledBack`). Our own cosigners wait for
   that, too.

Source: C2SP tlog-witness; design section 8.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
import trio
from attrs import define, frozen

from bootstrap.log import Log
from bootstrap.mirror import Cosigner
from bootstrap.validator import REFUSED
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint, read_unverified
from peernet.core.ledger.messages import AddCheckpoint, Conflict, Cosigned, Rejected
from peernet.core.ledger.notes import Note, NoteSignature, VerifierKey, open_note, parse_note, parse_signature_lines
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.quorum import faults_borne
from peernet.core.suite import CipherSuite
from peernet.node.peer import now_s

__all__ = ["CosignedLog", "OtherNode", "RolledBack", "Submit"]

ROUND_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.25
MAX_PAUSE_S: Final = 15.0
REFUSED_PAUSE_S: Final = 600.0
SUBMIT_TIMEOUT_S: Final = 10.0
MAX_CONFLICTS: Final = 3
"""How often in a row a node may say that it stands elsewhere before it is left alone for a while."""
MAX_KEPT: Final = 8
"""How many targets are kept for cosignatures that come late."""

Submit = Callable[[AddCheckpoint], Awaitable[object]]
"""Submits to one node and gives its reply; raises `ConnectionFailed` or `RemoteProtocolError`."""

log = structlog.get_logger()


class RolledBack(UserError):
    """Others hold a checkpoint that this log's key signed and its database does not have."""

    def __init__(self, theirs: int, ours: int) -> None:
        super().__init__(
            f"another node holds a checkpoint of this log with {theirs} entries, signed by its key, and the database "
            f"has not those (it has {ours}): it is an old copy, or was changed. Nothing is signed, since that would "
            "fork the log: restore the newest database, or begin a new log with a new key (another --home) and have "
            "the policy changed"
        )


@frozen
class OtherNode:
    """A node that cosigns for us."""

    origin: str
    """Its own log's name."""
    keys: tuple[VerifierKey, ...]
    """Its witness's, and last its validator's."""
    submit: Submit


@define
class _Target:
    """A checkpoint on its way to being final."""

    checkpoint: Checkpoint
    note: Note
    final: bool = False

    def add(self, lines: Sequence[NoteSignature]) -> None:
        known = {(line.name, line.key_id) for line in self.note.signatures}
        for line in lines:
            if (line.name, line.key_id) not in known:
                self.note = self.note.with_signature(line)


class CosignedLog:
    """The cosignatures of one log.

    Args:
        log: takes the entries and signs the checkpoints.
        policy: what makes them final.
        own: our own cosigners.
        others: the other nodes of the policy.
        fresh: whether the log was made just now, so that nobody can have seen more of it.
        suite: the primitives.
    """

    def __init__(
        self,
        log: Log,
        policy: LedgerPolicy,
        own: Sequence[Cosigner],
        others: Sequence[OtherNode],
        suite: CipherSuite,
        *,
        fresh: bool,
    ) -> None:
        self._log = log
        self._policy = policy
        self._own = tuple(own)
        self._others = tuple(others)
        self._suite = suite
        self._need = 0 if fresh or not others else len(others) - faults_borne(len(others) + 1)
        self._heard: set[str] = set()
        self._awake: dict[str, trio.Event] = {}
        self._compared = trio.Event()
        if not self._need:
            self._compared.set()
        self._targets: dict[int, _Target] = {}
        self._target = self._aim(log.checkpoint())
        self._final: _Target | None = None
        self._appended = trio.Event()
        self._moved = trio.Event()
        self._progress = trio.Event()
        self._judge(self._target)

    async def run(self) -> None:
        """Gathers until cancelled; raises `RolledBack`."""
        async with trio.open_nursery() as nursery:
            for other in self._others:
                nursery.start_soon(self._follow, other)
            while True:
                await self._appended.wait()
                self._appended = trio.Event()
                await self._move(self._log.checkpoint())

    def appended(self) -> None:
        """The log has signed a newer checkpoint."""
        self._appended.set()

    def heard_from(self, origin: str) -> None:
        """The node of that log runs: it is asked at once if it has been left alone."""
        if origin in self._awake:
            self._awake[origin].set()

    async def compared(self, timeout_s: float) -> bool:
        """Whether enough others have said, in that time, where they stand after our start."""
        with trio.move_on_after(timeout_s):
            await self._compared.wait()
        return self._compared.is_set()

    async def checkpoint_over(self, index: int, timeout_s: float) -> bytes:
        """A checkpoint over the entry at `index`: final, or what there is of it when the time is up."""
        with trio.move_on_after(timeout_s):
            while self._final is None or self._final.checkpoint.size <= index:
                await self._progress.wait()
        if self._final is not None and self._final.checkpoint.size > index:
            return self._final.note.encode()
        covering = [target for target in self._targets.values() if target.checkpoint.size > index]
        best = max(covering, key=lambda target: len(target.note.signatures), default=None)
        return self._log.checkpoint() if best is None else best.note.encode()

    def newest(self) -> bytes:
        """The newest checkpoint, with the cosignatures that it has."""
        head = self._log.checkpoint()
        target = self._targets.get(read_unverified(head).size)
        return head if target is None else target.note.encode()

    async def _move(self, head: bytes) -> None:
        """Makes `head` the target, and waits until it is final or its round is over."""
        self._target = self._aim(head)
        self._judge(self._target)
        self._moved.set()
        self._moved = trio.Event()
        with trio.move_on_after(ROUND_S):
            while not self._target.final:
                await self._progress.wait()

    def _aim(self, head: bytes) -> _Target:
        note = parse_note(head)
        target = _Target(read_unverified(head), note)
        if self._compared.is_set():
            self._cosign(target)
        self._targets[target.checkpoint.size] = target
        while len(self._targets) > MAX_KEPT:
            del self._targets[min(self._targets)]
        return target

    def _cosign(self, target: _Target) -> None:
        target.add([cosigner.sign(target.note.text, now_s(), self._suite) for cosigner in self._own])

    def _judge(self, target: _Target) -> None:
        target.final = self._policy.finality(target.note.encode(), self._suite).final
        if target.final and (self._final is None or self._final.checkpoint.size <= target.checkpoint.size):
            self._final = target
        self._progress.set()
        self._progress = trio.Event()

    async def _follow(self, other: OtherNode) -> None:
        """Keeps one node up to date with the target."""
        stands_at, pause_s, conflicts = 0, FIRST_PAUSE_S, 0
        while True:
            target = self._target
            try:
                with trio.fail_after(SUBMIT_TIMEOUT_S):
                    reply = self._checked(await other.submit(self._request(stands_at, target)))
                self._hear(other)
                if isinstance(reply, Conflict):
                    stands_at, conflicts = reply.size, conflicts + 1
                    if conflicts < MAX_CONFLICTS:
                        continue
                else:
                    stands_at, conflicts = target.checkpoint.size, 0
                    if self._take(other, target, reply.lines):
                        pause_s = FIRST_PAUSE_S
                        if self._target is target:
                            await self._moved.wait()
                        continue
                reason = "withheld"
            except (ConnectionFailed, trio.TooSlowError):
                reason = "unreachable"
            except RemoteProtocolError as error:
                reason = error.reason
            log.warning("a node does not cosign", validator=other.keys[-1].name, reason=reason)
            conflicts = 0
            await self._pause(other, REFUSED_PAUSE_S if reason == REFUSED else pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _pause(self, other: OtherNode, pause_s: float) -> None:
        self._awake[other.origin] = trio.Event()
        with trio.move_on_after(pause_s):
            await self._awake[other.origin].wait()

    def _request(self, stands_at: int, target: _Target) -> AddCheckpoint:
        size = target.checkpoint.size
        proof = self._log.consistency_proof(stands_at, size) if 1 <= stands_at <= size else ()
        # Nobody needs the others' signatures: each judges the log's own.
        return AddCheckpoint(min(stands_at, size), proof, Note(target.note.text, target.note.signatures[:1]).encode())

    def _checked(self, reply: object) -> Cosigned | Conflict:
        """The reply, if it is cosignatures or a true conflict; raises `RemoteProtocolError`, or `RolledBack`."""
        if isinstance(reply, Rejected):
            raise RemoteProtocolError(reply.explanation, reason=reply.reason)
        if not isinstance(reply, Cosigned | Conflict):
            raise RemoteProtocolError("neither cosignatures nor a refusal came", reason="bad_message")
        if isinstance(reply, Conflict):
            self._check_ours(reply)
        return reply

    def _take(self, other: OtherNode, target: _Target, received: bytes) -> bool:
        """Takes cosignatures; returns whether the node's validator is among the signers."""
        known = {(key.name, key.key_id): key for key in other.keys}
        lines = [line for line in parse_signature_lines(received) if (line.name, line.key_id) in known]
        if not lines:
            return False
        # Raises for a line that does not verify, so that none such gets into our note.
        open_note(Note(target.note.text, tuple(lines)).encode(), other.keys, self._suite)
        target.add(lines)
        self._judge(target)
        return any(known[line.name, line.key_id] == other.keys[-1] for line in lines)

    def _check_ours(self, conflict: Conflict) -> None:
        """Raises `RolledBack` where the other node holds what we signed and do not have."""
        if not conflict.size:
            return
        theirs = open_checkpoint(conflict.checkpoint, self._log.verifier_key, self._suite)
        if theirs.size != conflict.size:
            raise RemoteProtocolError("a conflict with another checkpoint than it says", reason="bad_message")
        ours = self._log.size
        if theirs.size > ours or self._log.root_at(theirs.size) != theirs.root:
            raise RolledBack(theirs.size, ours)

    def _hear(self, other: OtherNode) -> None:
        self._heard.add(other.origin)
        if len(self._heard) >= self._need and not self._compared.is_set():
            self._compared.set()
            self._cosign(self._target)
            self._judge(self._target)
