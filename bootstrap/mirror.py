"""A mirror: another node's log, entry by entry, every rule replayed, and what we cosign of it.

Theory of operation. Two cosigners follow the log. The **witness** takes a checkpoint that is proven to continue the
one before, and says so at once. The **validator** follows when the entries behind it are here: they must lead to the
signed root, and every one of them must keep the rules; then entries and checkpoint are written, and only then does it
sign. What was signed is on the disk before anyone sees the signature, so that a node that loses power forgets nothing
that it vouched for.

Rules:

1. A checkpoint is taken only if the log signed it, and it continues the newest one that the witness cosigned.
2. The validator signs "I hold every entry up to this size, and each of them keeps the rules" (`STATEMENT`), and
   withholds that from entries that are dated over `MAX_AHEAD_S` into the future.
3. Two signed checkpoints that contradict each other, or a signed entry that breaks a rule, end it: the proof is
   written down, and nothing more of this log is cosigned, ever. A wrong consistency proof ends nothing: anybody could
   have sent it.
4. A mirror that is missing although it was begun is an error: a validator that forgets could vouch for a fork.

It is synchronous and guarded by a lock: a server calls it in threads. Source: C2SP tlog-witness, tlog-mirror and
tlog-cosignature; design section 8.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen

from bootstrap.log import READ_BATCH, read_stored, replay_stored
from bootstrap.store import LedgerCorrupt, MirrorStore, NewEntry, Refusal, edge_of
from peernet.core.errors import PeernetError, RemoteProtocolError, UserError
from peernet.core.ledger import merkle
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint
from peernet.core.ledger.entries import Entry, decode_entry, submission_id
from peernet.core.ledger.equivocation import Equivocation, prove_equivocation
from peernet.core.ledger.merkle import EMPTY_ROOT, CompactRange, TreeNode, leaf_hash, verify_consistency
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.notes import COSIGNER_KEY, Note, NoteSignature, VerifierKey, parse_note, sign_note
from peernet.core.ledger.proofs import LogProof
from peernet.core.ledger.rules import LedgerState, RuleViolation
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.core.ledger.violations import InvalidEntry, contradicted
from peernet.core.suite import CipherSuite
from peernet.node.home import replace_file

__all__ = [
    "EQUIVOCATION",
    "INVALID_ENTRY",
    "REFUSED_PATH",
    "STATEMENT",
    "Cosigner",
    "LogRefused",
    "Mirror",
    "MirrorFolder",
    "StandsElsewhere",
]

STATEMENT: Final = "every rule replayed up to this size"
"""What a validator's cosignature says beyond consistency: C2SP tlog-cosignature has it documented out of band."""
MAX_AHEAD_S: Final = 300
REFUSED_PATH: Final = "refused"
"""Below a mirror's prefix: the proof of why the log is refused."""
EQUIVOCATION: Final = "equivocation"
INVALID_ENTRY: Final = "invalid_entry"


@frozen
class Cosigner:
    """One cosigning key, under its own name."""

    name: str
    seed: bytes = field(repr=False)

    def key(self, suite: CipherSuite) -> VerifierKey:
        """The key to verify it by."""
        return VerifierKey(self.name, COSIGNER_KEY, suite.ed25519_public(self.seed))

    def sign(self, text: str, now_s: int, suite: CipherSuite) -> NoteSignature:
        """The cosignature line under the text of a checkpoint."""
        return sign_note(text, self.name, self.seed, suite, timestamp_s=now_s)


class StandsElsewhere(PeernetError):
    """The request does not build on the newest checkpoint that was cosigned, which is this one."""

    def __init__(self, size: int, checkpoint: bytes) -> None:
        super().__init__(f"the newest cosigned checkpoint has size {size}")
        self.size = size
        self.checkpoint = checkpoint


class LogRefused(PeernetError):
    """Nothing of this log is cosigned any more."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"this log is refused for good: {refusal.reason}")
        self.refusal = refusal


@frozen
class _Head:
    """What the mirror knows about its store: valid until a write succeeds or fails."""

    note: bytes | None
    size: int
    state: LedgerState


class Mirror:
    """One log of another node. The store stays the caller's to close.

    Args:
        store: holds what was mirrored before.
        log_key: the log's own key.
        witness: signs what is consistent.
        validator: signs what is replayed; another key under another name.
        suite: the primitives.
    """

    def __init__(
        self, store: MirrorStore, log_key: VerifierKey, witness: Cosigner, validator: Cosigner, suite: CipherSuite
    ) -> None:
        self.log_key = log_key
        self._store = store
        self._witness = witness
        self._validator = validator
        self._suite = suite
        self._lock = threading.RLock()
        self._head: _Head | None = None
        self._current()

    @property
    def size(self) -> int:
        """How many entries are mirrored and replayed."""
        with self._lock:
            return self._current().size

    @property
    def refusal(self) -> Refusal | None:
        """Why the log is refused; None while it is not."""
        with self._lock:
            return self._store.refusal()

    def witness(self, old_size: int, proof: Sequence[bytes], note: bytes, now_s: int) -> NoteSignature:
        """The witness's cosignature on a checkpoint that continues the newest one; it is then the newest.

        Raises `StandsElsewhere`, `LogRefused`, and `RemoteProtocolError`: `unsigned` and the like for a note that is
        not this log's, `bad_request` for an old size beyond it, `bad_proof` where it is not shown to continue.
        """
        with self._lock:
            checkpoint, signed = self._open(note)
            newest = self._store.witnessed()
            at = Checkpoint(checkpoint.origin, 0, EMPTY_ROOT) if newest is None else self._open(newest)[0]
            if newest is not None and checkpoint.size == at.size and checkpoint.root != at.root:
                self._refuse_fork(newest, signed)
            if old_size > checkpoint.size:
                raise RemoteProtocolError("an old size beyond the checkpoint", reason="bad_request")
            if old_size != at.size:
                raise StandsElsewhere(at.size, newest or b"")
            self._check_consistent(at, checkpoint, proof)
            if newest is None or checkpoint.size > at.size:
                self._store.witness(newest, signed)
            return self._witness.sign(checkpoint.text(), now_s, self._suite)

    def extend(self, entries: Sequence[bytes], note: bytes, now_s: int) -> NoteSignature:
        """The validator's cosignature, once `entries` continue the mirror up to this checkpoint and keep the rules.

        `note` is the newest that the witness has cosigned. Raises `LogRefused` for an entry that breaks a rule, and
        `RemoteProtocolError`: `bad_entries` when they do not lead to the signed root, `time_ahead`.
        """
        with self._lock:
            checkpoint, signed = self._open(note)
            head = self._current()
            # A log that is still empty is mirrored, too: a reader finds who stands behind it.
            if head.note is None or checkpoint.size > head.size:
                self._append(head, entries, checkpoint, signed, now_s)
            elif checkpoint.size < head.size:
                raise StandsElsewhere(head.size, head.note or b"")
            return self._validator.sign(checkpoint.text(), now_s, self._suite)

    def refuse_if_forked(self, entries: Sequence[bytes], note: bytes) -> None:
        """Raises `LogRefused` when all `entries` of a signed checkpoint show another history than the mirror's.

        Otherwise nothing is proven, and nothing changes.
        """
        with self._lock:
            checkpoint, signed = self._open(note)
            head = self._current()
            tree, nodes = _grow(CompactRange(), entries)
            if head.note is None or (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
                return
            ours = self._store.entries(0, min(head.size, checkpoint.size))
            index = next((place for place, (a, b) in enumerate(zip(ours, entries, strict=False)) if a != b), None)
            if index is None:
                return
            theirs = merkle.inclusion_proof(index, checkpoint.size, lambda level, at: nodes[level, at])
            proof = LogProof(index, theirs, signed, entries[index])
            self._refuse_fork(self._proof(index, head.size, head.note), proof.encode())

    def read(self, path: str) -> bytes:
        """What the mirror serves under a path below its prefix; raises `ResourceNotFound`."""
        with self._lock:
            if path != REFUSED_PATH:
                return read_stored(self._store, path)
            refusal = self._store.refusal()
            if refusal is None:
                raise ResourceNotFound("this log is not refused")
            return refusal.proof

    def _open(self, note: bytes) -> tuple[Checkpoint, bytes]:
        """The checkpoint, and the note with the log's own signature alone."""
        refusal = self._store.refusal()
        if refusal is not None:
            raise LogRefused(refusal)
        checkpoint = open_checkpoint(note, self.log_key, self._suite)
        parsed = parse_note(note)
        lines = [line for line in parsed.signatures if (line.name, line.key_id) == (self.log_key.name, self._key_id)]
        return checkpoint, Note(parsed.text, tuple(lines[:1])).encode()

    @property
    def _key_id(self) -> bytes:
        return self.log_key.key_id

    def _check_consistent(self, at: Checkpoint, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
        if at.size:
            verify_consistency(at.size, checkpoint.size, proof, at.root, checkpoint.root)
        elif proof or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
            raise RemoteProtocolError("from size 0 there is nothing to prove", reason="bad_proof")

    def _append(
        self, head: _Head, entries: Sequence[bytes], checkpoint: Checkpoint, signed: bytes, now_s: int
    ) -> None:
        tree, nodes = _grow(edge_of(self._store, head.size), entries)
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise RemoteProtocolError("the entries do not lead to the signed root", reason="bad_entries")
        self._head = None  # the state changes from here on; only a successful write puts it back
        replayed = self._replay(head, entries, signed, nodes, now_s)
        cosigned = parse_note(signed).with_signature(self._validator.sign(checkpoint.text(), now_s, self._suite))
        note = cosigned.encode()
        made = [TreeNode(level, position, value) for (level, position), value in nodes.items()]
        self._store.append(head.note, replayed, made, note)
        self._head = _Head(note, checkpoint.size, head.state)

    def _replay(
        self, head: _Head, entries: Sequence[bytes], signed: bytes, nodes: dict[tuple[int, int], bytes], now_s: int
    ) -> list[NewEntry]:
        replayed: list[NewEntry] = []
        for index, leaf in enumerate(entries, start=head.size):
            try:
                entry = decode_entry(leaf)
                if entry.at_s > now_s + MAX_AHEAD_S:
                    raise RemoteProtocolError(f"entry {index} is of the future", reason="time_ahead")
                head.state.apply(entry)
            except RemoteProtocolError as error:
                if error.reason == "time_ahead":
                    raise
                self._refuse_entry(index, (), head, entries, signed, nodes)
            except RuleViolation:
                places = self._contradicted(entry, index, head, entries)
                self._refuse_entry(index, places, head, entries, signed, nodes)
            replayed.append(NewEntry(submission_id(entry), leaf))
        return replayed

    def _contradicted(self, entry: Entry, index: int, head: _Head, entries: Sequence[bytes]) -> tuple[int, ...]:
        """Where the entries stand that `entry` may contradict. All are read: a log is refused once."""

        def earlier() -> Iterator[tuple[int, Entry]]:
            for start in range(0, head.size, READ_BATCH):
                leaves = self._store.entries(start, min(start + READ_BATCH, head.size))
                yield from enumerate(map(decode_entry, leaves), start=start)
            yield from enumerate(map(decode_entry, entries[: index - head.size]), start=head.size)

        return contradicted(entry, earlier())

    def _refuse_entry(
        self,
        index: int,
        places: Sequence[int],
        head: _Head,
        entries: Sequence[bytes],
        signed: bytes,
        nodes: dict[tuple[int, int], bytes],
    ) -> None:
        size = head.size + len(entries)

        def node(level: int, position: int) -> bytes:
            fresh = nodes.get((level, position))
            return self._store.nodes(level, position, position + 1)[0] if fresh is None else fresh

        def proof(place: int) -> bytes:
            old = place < head.size
            leaf = self._store.entries(place, place + 1)[0] if old else entries[place - head.size]
            return LogProof(place, merkle.inclusion_proof(place, size, node), signed, leaf).encode()

        claim = InvalidEntry(proof(index), tuple(proof(place) for place in places))
        self._refuse(Refusal(INVALID_ENTRY, claim.encode()))

    def _refuse_fork(self, first: bytes, second: bytes) -> None:
        proof: Equivocation = prove_equivocation(first, second, self.log_key, self._suite)
        self._refuse(Refusal(EQUIVOCATION, proof.encode()))

    def _refuse(self, refusal: Refusal) -> None:
        self._store.refuse(refusal)
        raise LogRefused(refusal)

    def _proof(self, index: int, size: int, note: bytes) -> bytes:
        path = merkle.inclusion_proof(index, size, lambda level, at: self._store.nodes(level, at, at + 1)[0])
        return LogProof(index, path, note, self._store.entries(index, index + 1)[0]).encode()

    def _current(self) -> _Head:
        if self._head is None:
            self._head = self._load()
        return self._head

    def _load(self) -> _Head:
        """Everything from the store: the signature is checked, the entries are hashed, the rules are replayed."""
        note = self._store.checkpoint()
        if note is None:
            return _Head(None, 0, LedgerState())
        try:
            checkpoint = open_checkpoint(note, self.log_key, self._suite)
        except RemoteProtocolError as error:
            raise LedgerCorrupt(f"the mirror of {self.log_key.name} is not that log's: {error}") from error
        try:
            _, state = replay_stored(self._store, checkpoint)
        except LedgerCorrupt as error:
            raise LedgerCorrupt(f"the mirror of {self.log_key.name}: {error}") from error
        return _Head(note, checkpoint.size, state)


class MirrorFolder:
    """Where a node's mirrors are, and which of them were ever begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = folder / "begun.txt"

    def prepare(self, *, new: bool) -> None:
        """Makes the folder for a `new` validator; raises `UserError` when an older one's is missing."""
        if self._begun.exists():
            return
        if not new:
            raise UserError(
                f"the mirrors in {self._folder} are missing, though the validator's key is here: restore them from a "
                "backup. A validator that has forgotten what it signed could vouch for a fork; without them, make a "
                "new validator key and have the policy changed"
            )
        replace_file(self._begun, b"")

    def open(self, origin: str) -> MirrorStore:
        """The store of one log's mirror, made the first time and never again."""
        name = mirror_prefix(origin).split("/")[1]
        path = self._folder / f"{name}.sqlite"
        begun = self._begun.read_text("utf-8").split()
        if name in begun and not path.exists():
            raise UserError(
                f"the mirror of {origin} is missing ({path}): restore it from a backup. A validator that has "
                "forgotten what it signed could vouch for a fork"
            )
        store = MirrorStore(path, create=not path.exists())
        if name not in begun:
            replace_file(self._begun, "".join(f"{line}\n" for line in [*begun, name]).encode())
        return store


def _grow(tree: CompactRange, entries: Sequence[bytes]) -> tuple[CompactRange, dict[tuple[int, int], bytes]]:
    """The tree with `entries` behind it, and the nodes that they made full."""
    nodes = {}
    for entry in entries:
        for node in tree.append(leaf_hash(entry)):
            nodes[node.level, node.position] = node.hash
    return tree, nodes
