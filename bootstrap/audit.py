"""The audit: anyone recomputes a whole log from its public files, and trusts nothing in it but the signing key.

It reads what every reader can: the checkpoint, the tiles and the bundles of entries. It verifies the signature, hashes
every entry into a tree of its own, compares each served tile and the signed root with that, and replays every rule.

What it cannot see: the vouchers behind a settlement (a leaf commits to them; the two sides can open it), and whether
others were shown another history, which takes cosignatures (`policy_audit`).
Source: design section 8; C2SP tlog-tiles.
"""

from collections.abc import Callable
from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.checkpoint import open_checkpoint
from peernet.core.ledger.entries import decode_entry
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.rules import LedgerState, RuleViolation
from peernet.core.ledger.tiles import (
    CHECKPOINT_PATH,
    TILE_HEIGHT,
    ResourceNotFound,
    Tile,
    decode_entry_bundle,
    decode_hash_tile,
    entry_bundles,
    hash_tiles,
)
from peernet.core.suite import CipherSuite, MixedSuite

__all__ = ["AuditReport", "audit"]

MAX_PROBLEMS: Final = 100

Fetch = Callable[[str], bytes]
"""Gives what the log serves under a path; raises `ResourceNotFound` where it serves nothing."""


@frozen
class AuditReport:
    """What an audit found."""

    origin: str
    size: int
    """Entries, as the checkpoint says; 0 when it could not be read."""
    root: bytes
    grants: int
    settlements: int
    total_microcredits: int
    """The sum of all settlements."""
    credits_issued: int
    """How many credits were announced to be signed, or given as change."""
    credits_redeemed: int
    problems: tuple[str, ...]
    """In the order of the log, at most `MAX_PROBLEMS`."""

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


def audit(fetch: Fetch, verifier_key: str, suite: CipherSuite | None = None) -> AuditReport:
    """Audits the log behind `fetch` against its vkey text.

    What the log gets wrong is in the report. Errors of `fetch` other than `ResourceNotFound` pass through, since then
    no audit took place; so does `RemoteProtocolError` for a `verifier_key` that is none.
    """
    key = VerifierKey.parse(verifier_key)
    auditor = _Auditor(fetch)
    try:
        checkpoint = open_checkpoint(fetch(CHECKPOINT_PATH), key, suite or MixedSuite())
    except (RemoteProtocolError, ResourceNotFound) as error:
        auditor.note(f"checkpoint: {error}")
        return auditor.report(key.name, 0, b"")
    for bundle in entry_bundles(checkpoint.size):
        if not auditor.read_entries(bundle):
            break
    else:
        auditor.compare_tiles(checkpoint.size)
        if auditor.root() != checkpoint.root:
            auditor.note(f"the {checkpoint.size} entries do not lead to the signed root")
    return auditor.report(checkpoint.origin, checkpoint.size, checkpoint.root)


class _Auditor:
    """The tree and the state that grow while an audit reads."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._tree = CompactRange()
        self._levels: dict[int, list[bytes]] = {}
        """The full nodes that tiles show, by tile level."""
        self._state = LedgerState()
        self._problems: list[str] = []

    def note(self, problem: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)

    def root(self) -> bytes:
        return self._tree.root()

    def report(self, origin: str, size: int, root: bytes) -> AuditReport:
        state = self._state
        return AuditReport(
            origin,
            size,
            root,
            grants=len(state.grants),
            settlements=len(state.settlements),
            total_microcredits=state.settled_microcredits,
            credits_issued=sum(key.issued + key.changed for key in state.issuer_keys.values()),
            credits_redeemed=sum(key.redeemed for key in state.issuer_keys.values()),
            problems=tuple(self._problems),
        )

    def read_entries(self, bundle: Tile) -> bool:
        """Hashes and replays a bundle; False when it cannot be read, and nothing behind it can be judged."""
        try:
            entries = decode_entry_bundle(self._fetch(bundle.path()), bundle.width)
        except (RemoteProtocolError, ResourceNotFound) as error:
            self.note(f"{bundle.path()}: {error}")
            return False
        for index, entry in enumerate(entries, start=bundle.start):
            for node in self._tree.append(leaf_hash(entry)):
                level, within = divmod(node.level, TILE_HEIGHT)
                if not within:
                    self._levels.setdefault(level, []).append(node.hash)
            self._replay(index, entry)
        return True

    def compare_tiles(self, size: int) -> None:
        for tile in hash_tiles(size):
            level = tile.level or 0
            computed = self._levels[level][tile.start : tile.start + tile.width]
            try:
                served = decode_hash_tile(self._fetch(tile.path()), tile.width)
            except (RemoteProtocolError, ResourceNotFound) as error:
                self.note(f"{tile.path()}: {error}")
                continue
            for position, (ours, theirs) in enumerate(zip(computed, served, strict=True), start=tile.start):
                if ours != theirs:
                    what = f"full tile {position} of level {level - 1}" if level else f"entry {position}"
                    self.note(f"{tile.path()}: {what} does not hash to what this tile says")

    def _replay(self, index: int, entry: bytes) -> None:
        try:
            self._state.apply(decode_entry(entry))
        except (RemoteProtocolError, RuleViolation) as error:
            self.note(f"entry {index}: {error}")
