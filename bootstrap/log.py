"""A log: takes submissions, applies the rules, writes leaves, signs checkpoints, and serves it all as tiles.

Theory of operation. `append` takes a batch, so that many submissions share one signature and one write to the disk.
Each is answered by itself: with the index of its entry, or with the rule that it broke, which harms no other of the
batch. A submission that is sent again, because its answer was lost, gets the old index. Nothing is answered before
it is on the disk under a signed checkpoint.

Rules:

1. The log's time is its own, no finer than a minute, and never goes back, even when the machine's clock does.
2. The checkpoint in the store must be signed by this log's key, and the entries must hash to its root and keep the
   rules, or the log does not open.
3. After a write that failed, what the log knows is read from the store again before anything else is done.

It is synchronous and guarded by a lock: a server calls it in threads. Source: design section 8; C2SP tlog-tiles.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import evolve, field, frozen

from bootstrap.store import CheckpointMoved, LedgerCorrupt, NewEntry, Store
from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger import merkle
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint, read_unverified, sign_checkpoint
from peernet.core.ledger.credit_rules import AnnouncedKey
from peernet.core.ledger.entries import (
    Change,
    Entry,
    Grant,
    Issue,
    IssuerKey,
    Settle,
    coarse_time_s,
    decode_entry,
    encode_entry,
    submission_id,
)
from peernet.core.ledger.merkle import CompactRange, TreeNode
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.proofs import LogProof
from peernet.core.ledger.rules import LedgerState, RuleViolation, check_settlement
from peernet.core.ledger.tiles import CHECKPOINT_PATH, TILE_HEIGHT, ResourceNotFound, Tile, encode_entry_bundle
from peernet.core.metering import ChangeRequest, GrantRequest, RedeemRequest, Settlement
from peernet.core.suite import CipherSuite

__all__ = ["MAX_BATCH", "READ_BATCH", "Log", "Outcome", "Submission", "read_stored", "replay_stored"]

MAX_BATCH: Final = 4096
READ_BATCH: Final = 1000

Submission = GrantRequest | RedeemRequest | Settlement | ChangeRequest | IssuerKey | Issue
Outcome = int | RuleViolation
"""The index of the submission's entry, or why it has none."""


@frozen
class _Head:
    """What the log knows about its store: valid until a write succeeds or fails."""

    note: bytes
    checkpoint: Checkpoint
    tree: CompactRange
    state: LedgerState


@frozen
class _Batch:
    """Entries that have passed the rules and wait for the write."""

    first_index: int
    entries: list[NewEntry] = field(factory=list)
    nodes: list[TreeNode] = field(factory=list)
    indexes: dict[bytes, int] = field(factory=dict)


class Log:
    """One log on one store. The store stays the caller's to close."""

    def __init__(self, store: Store, origin: str, seed: bytes, suite: CipherSuite) -> None:
        """Opens the log of `origin`, signed by the Ed25519 key of `seed`; an empty store gets its first checkpoint.

        Raises `LedgerCorrupt` when the store is another log's, or holds other entries than were signed.
        """
        self._store = store
        self._origin = origin
        self._seed = seed
        self._suite = suite
        self._key = VerifierKey(origin, LOG_KEY, suite.ed25519_public(seed))
        self._lock = threading.RLock()
        self._head: _Head | None = None
        if store.checkpoint() is None:
            empty = Checkpoint(origin, 0, merkle.EMPTY_ROOT)
            store.append(None, (), (), sign_checkpoint(empty, seed, suite))
        self._current()

    @property
    def verifier_key(self) -> VerifierKey:
        """The key to verify this log by; its `text()` is the vkey to publish."""
        return self._key

    @property
    def size(self) -> int:
        """The number of entries."""
        with self._lock:
            return self._current().checkpoint.size

    def append(self, submissions: Sequence[Submission], now_s: float) -> tuple[Outcome, ...]:
        """Takes a batch of at most `MAX_BATCH`; returns, in order, each one's index or the rule that it broke.

        `now_s` is seconds of the Unix epoch. Raises `CheckpointMoved` when another process writes to the same store;
        nothing of the batch is then written, and it may be sent again.
        """
        if len(submissions) > MAX_BATCH:
            raise ValueError(f"a batch of {len(submissions)}, over {MAX_BATCH}")
        with self._lock:
            head = self._current()
            # From here on `head` changes in memory; only a successful write puts it back.
            self._head = None
            at_s = max(coarse_time_s(now_s), head.state.last_at_s)
            batch = _Batch(head.tree.size)
            outcomes = tuple(self._admit(submission, at_s, head, batch) for submission in submissions)
            self._head = self._write(head, batch) if batch.entries else head
            return outcomes

    def append_one(self, submission: Submission, now_s: float) -> int:
        """`append` for a single one; raises its `RuleViolation`."""
        (outcome,) = self.append((submission,), now_s)
        if isinstance(outcome, RuleViolation):
            raise outcome
        return outcome

    def checkpoint(self) -> bytes:
        """The signed checkpoint, as a note."""
        with self._lock:
            return self._current().note

    def entry(self, index: int) -> Entry:
        """The entry at `index`; raises `ResourceNotFound` when there is none."""
        with self._lock:
            self._check_index(index)
            return decode_entry(self._store.entries(index, index + 1)[0])

    def balance(self, payout_key: bytes) -> int:
        """What this payout key is owed, in microcredits."""
        with self._lock:
            return self._current().state.balance(payout_key)

    @property
    def issuer_keys(self) -> dict[bytes, AnnouncedKey]:
        """The announced issuer keys by their ids, as they are now."""
        with self._lock:
            return {key_id: evolve(key) for key_id, key in self._current().state.issuer_keys.items()}

    @property
    def last_at_s(self) -> int:
        """The time of the last entry, 0 before the first."""
        with self._lock:
            return self._current().state.last_at_s

    def inclusion_proof(self, index: int, note: bytes | None = None) -> bytes:
        """The tlog-proof of the entry at `index`, with the entry as its extra.

        It leads to the current checkpoint, or to `note`: an earlier one of this log, with its cosignatures. Raises
        `ResourceNotFound` when there is no such entry.
        """
        with self._lock:
            head = self._check_index(index)
            size = head.checkpoint.size if note is None else read_unverified(note).size
            if not index < size <= head.checkpoint.size:
                raise ResourceNotFound(f"no entry {index} under a checkpoint of {size}")
            path = merkle.inclusion_proof(index, size, self._node)
            return LogProof(index, path, note or head.note, self._store.entries(index, index + 1)[0]).encode()

    def index_of(self, submission_id: bytes) -> int | None:
        """Where the entry of that submission stands, or None."""
        with self._lock:
            return self._stored_index(submission_id, self._current())

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries; raises `ResourceNotFound` unless the log has been so long."""
        with self._lock:
            if not 0 <= size <= self._current().checkpoint.size:
                raise ResourceNotFound(f"the log has no size {size}")
            return merkle.tree_root(size, self._node)

    def consistency_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """The hashes from `old_size` to `new_size`; raises `ResourceNotFound` unless the log has been so long."""
        with self._lock:
            if not 1 <= old_size <= new_size <= self._current().checkpoint.size:
                raise ResourceNotFound(f"no consistency proof from size {old_size} to size {new_size}")
            return merkle.consistency_proof(old_size, new_size, self._node)

    def read(self, path: str) -> bytes:
        """What the log serves under `path`: `checkpoint`, `tile/...` and `tile/entries/...`, as C2SP tlog-tiles.

        Raises `ResourceNotFound` for any other path, and for a tile that is not that wide yet.
        """
        with self._lock:
            head = self._current()
            return _read(self._store, head.note, head.checkpoint.size, path)

    def _current(self) -> _Head:
        if self._head is None:
            self._head = self._load()
        return self._head

    def _load(self) -> _Head:
        """Everything from the store: the signature is checked, the entries are hashed, the rules are replayed."""
        note = self._store.checkpoint()
        if note is None:
            raise LedgerCorrupt("the ledger has lost its checkpoint")
        self._check_name(note)
        try:
            checkpoint = open_checkpoint(note, self._key, self._suite)
        except RemoteProtocolError as error:
            raise LedgerCorrupt(f"the stored checkpoint is not this log's ({self._key.text()}): {error}") from error
        tree, state = replay_stored(self._store, checkpoint)
        return _Head(note, checkpoint, tree, state)

    def _check_name(self, note: bytes) -> None:
        """A log has one name for good: raises `UserError` where the configuration has another one by now."""
        try:
            begun_as = read_unverified(note).origin
        except RemoteProtocolError:
            return  # it is damaged, as opening it will say
        if begun_as != self._key.name:
            raise UserError(
                f"this ledger was begun as {begun_as}, and is to go on as {self._key.name}: a ledger keeps its name. "
                f"Say origin = {json.dumps(begun_as)} in [bootstrap], or begin a new ledger in another --home"
            )

    def _admit(self, submission: Submission, at_s: int, head: _Head, batch: _Batch) -> Outcome:
        try:
            entry = _entry(submission, at_s)
            name = submission_id(entry)
            index = batch.indexes.get(name)
            if index is None:
                index = self._stored_index(name, head)
            if index is not None:
                _check_same(entry, head.state)
                return index
            if isinstance(submission, Settlement):
                self._check_settlement(submission, head.state)
            head.state.apply(entry)
        except RuleViolation as violation:
            return violation
        leaf = encode_entry(entry)
        batch.indexes[name] = index = batch.first_index + len(batch.entries)
        batch.entries.append(NewEntry(name, leaf))
        batch.nodes.extend(head.tree.append(merkle.leaf_hash(leaf)))
        return index

    def _stored_index(self, name: bytes, head: _Head) -> int | None:
        index = self._store.index_of(name)
        if index is not None and index >= head.checkpoint.size:
            raise CheckpointMoved("another process has written to this ledger")
        return index

    def _check_settlement(self, settlement: Settlement, state: LedgerState) -> None:
        grant = state.grants.get(settlement.receipt.voucher.lane_key)
        if grant is None:
            raise RuleViolation("a settlement of a lane that was never granted", reason="not_granted")
        check_settlement(settlement, grant, self._origin, self._suite)

    def _write(self, head: _Head, batch: _Batch) -> _Head:
        checkpoint = Checkpoint(self._origin, head.tree.size, head.tree.root())
        note = sign_checkpoint(checkpoint, self._seed, self._suite)
        self._store.append(head.note, batch.entries, batch.nodes, note)
        return _Head(note, checkpoint, head.tree, head.state)

    def _check_index(self, index: int) -> _Head:
        head = self._current()
        if not 0 <= index < head.checkpoint.size:
            raise ResourceNotFound(f"no entry {index} in a log of {head.checkpoint.size}")
        return head

    def _node(self, level: int, position: int) -> bytes:
        return self._store.nodes(level, position, position + 1)[0]


def replay_stored(store: Store, checkpoint: Checkpoint) -> tuple[CompactRange, LedgerState]:
    """The tree and the state that the stored entries lead to.

    Raises `LedgerCorrupt` when one breaks the rules, or together they are not what `checkpoint` was signed over: the
    tree's stored hashes may still be right where an entry was changed.
    """
    tree, state = CompactRange(), LedgerState()
    for index, leaf in enumerate(_leaves(store, checkpoint.size)):
        try:
            state.apply(decode_entry(leaf))
        except (RemoteProtocolError, RuleViolation) as error:
            raise LedgerCorrupt(f"entry {index} in the store breaks the rules: {error}") from error
        tree.append(merkle.leaf_hash(leaf))
    if tree.root() != checkpoint.root:
        raise LedgerCorrupt("the stored entries do not lead to the signed root")
    return tree, state


def _leaves(store: Store, size: int) -> Iterator[bytes]:
    for start in range(0, size, READ_BATCH):
        yield from store.entries(start, min(start + READ_BATCH, size))


def read_stored(store: Store, path: str) -> bytes:
    """What a store's log would serve under `path`, without the log's key: for auditing a database at rest.

    Raises `ResourceNotFound` as `Log.read` does, and for a store without a checkpoint.
    """
    note = store.checkpoint()
    if note is None:
        raise ResourceNotFound("the store has no checkpoint")
    return _read(store, note, read_unverified(note).size, path)


def _read(store: Store, note: bytes, size: int, path: str) -> bytes:
    if path == CHECKPOINT_PATH:
        return note
    tile = Tile.parse(path)
    level = TILE_HEIGHT * (tile.level or 0)
    end = tile.start + tile.width
    if end > size >> level:
        raise ResourceNotFound(f"the log does not reach {path} yet")
    if tile.level is None:
        return encode_entry_bundle(store.entries(tile.start, end))
    return b"".join(store.nodes(level, tile.start, end))


def _entry(submission: Submission, at_s: int) -> Entry:
    if isinstance(submission, GrantRequest):
        return Grant(
            submission.lane_key, submission.cap_microcredits, submission.expires_at_s, at_s, submission.commitment
        )
    if isinstance(submission, IssuerKey | Issue):
        return evolve(submission, at_s=at_s)
    try:
        return submission.entry(at_s)
    except RemoteProtocolError as error:
        raise RuleViolation(str(error), reason=error.reason) from error


def _check_same(entry: Entry, state: LedgerState) -> None:
    """A name that is taken stands for the same submission again, or is refused."""
    if state.is_same(entry):
        return
    word = {Settle: "settled", Change: "changed"}.get(type(entry), "granted")
    raise RuleViolation(f"the lane has been {word} before, and otherwise", reason=f"{word}_twice")
