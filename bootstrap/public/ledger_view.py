"""The ledger as readers of the portal see it: every log that this node knows, who cosigned it, entries and proofs.

A reader is shown what anybody could fetch and check: the files of C2SP tlog-tiles as they are, and beside them what
they say. What is said of signatures was verified here; whoever does not believe this node verifies it again, from the
same files.

Source: C2SP tlog-tiles, tlog-checkpoint, tlog-cosignature, tlog-proof; design section 8.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol, TypeVar

import attrs
import trio
from attrs import frozen

from bootstrap.log import Log
from peernet.core.ledger.checkpoint import parse_checkpoint_text, read_unverified
from peernet.core.ledger.entries import (
    Change,
    Entry,
    Grant,
    Issue,
    IssuerKey,
    Redeem,
    Settle,
    encode_entry,
    grant_id,
    settle_id,
)
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.notes import VerifierKey, open_note
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ledger.tiles import CHECKPOINT_PATH, ResourceNotFound
from peernet.core.suite import CipherSuite

__all__ = [
    "Fact",
    "LedgerView",
    "LogState",
    "NodeLedger",
    "ShownEntry",
    "SignerState",
    "facts_of",
    "state_of_log",
]

KEY_SIZE: Final = 32
REFUSED_PATH: Final = "refused"
_KINDS: Final[dict[type, str]] = {
    Grant: "Lane funded by a grant",
    Redeem: "Lane funded by credits",
    Settle: "Lane settled",
    Change: "Change given back",
    IssuerKey: "Key for signing credits",
    Issue: "Credits signed",
}
_LABELS: Final = {
    "lane_key": "Lane",
    "payout_key": "Payout key",
    "cap_microcredits": "At most",
    "amount_microcredits": "Amount",
    "at_s": "Taken by the log",
    "expires_at_s": "Expires",
    "commitment": "Commitment to the rest",
    "credit_class": "Class of credits",
    "denomination_microcredits": "Each credit is worth",
    "key_id": "Issuer’s key",
    "total": "Signed in all",
    "credits": "Credits",
}
Result = TypeVar("Result")


@frozen
class SignerState:
    """One who may sign a log's checkpoints."""

    key: VerifierKey
    role: Literal["log", "witness", "validator"]
    signed: bool
    at_s: int | None
    """When a cosigner signed, as it says."""
    counts: bool
    """Whether its signature counts for finality."""


@frozen
class LogState:
    """A log's newest checkpoint here, and who stands behind it."""

    origin: str
    key: VerifierKey
    own: bool
    """Whether it is this node's log, or one that it mirrors."""
    size: int
    root: bytes
    note: str
    signers: tuple[SignerState, ...]
    final: bool
    finality: str
    """As people read it."""
    refused: bool
    """Whether this node has a proof against the log, and signs nothing more of it."""

    @property
    def nodes(self) -> dict[str, dict[str, SignerState]]:
        """The cosigners by the node that they are of, and by their role."""
        found: dict[str, dict[str, SignerState]] = {}
        for signer in self.signers[1:]:
            found.setdefault(signer.key.name.removesuffix(f"/{signer.role}"), {})[signer.role] = signer
        return found

    @property
    def signed_by_us(self) -> bool:
        """Whether any validator's signature is on the checkpoint; on a mirrored one it is this node's own."""
        return any(signer.signed and signer.role == "validator" for signer in self.signers)

    @property
    def prefix(self) -> str:
        """Below which path this node serves its files."""
        return "" if self.own else mirror_prefix(self.origin)


@frozen
class Fact:
    """A line about an entry."""

    label: str
    value: str | int
    kind: Literal["key", "credits", "time", "words"]


@frozen
class ShownEntry:
    """An entry, where it stands, and what it says."""

    index: int
    kind: str
    leaf_hash: bytes
    facts: tuple[Fact, ...]

    @property
    def name(self) -> str:
        """The field that names it: the lane, or what the entry has instead."""
        return next((str(fact.value) for fact in self.facts if fact.kind == "key"), "")

    @property
    def credits(self) -> int | None:
        """Its amount, in microcredits."""
        return next((int(fact.value) for fact in self.facts if fact.kind == "credits"), None)

    @property
    def at_s(self) -> int | None:
        """The log's time."""
        return next((int(fact.value) for fact in self.facts if fact.label == _LABELS["at_s"]), None)


class LedgerView(Protocol):
    """Where the portal reads the ledger."""

    async def logs(self) -> tuple[LogState, ...]:
        """Every log of the policy that this node has something of; its own first."""

    async def size(self) -> int:
        """How many entries this node's own log has."""

    async def entries(self, start: int, end: int) -> list[ShownEntry]:
        """Entries of this node's own log; raises `ResourceNotFound` where there are not so many."""

    async def proof(self, index: int) -> bytes:
        """The tlog-proof of an entry, under the newest checkpoint; raises `ResourceNotFound`."""

    async def find(self, text: str) -> list[int]:
        """The entries that an index or a lane's key, in hexadecimal or base64, names."""

    async def read(self, path: str) -> bytes:
        """A file of the log, or of a mirror; raises `ResourceNotFound`."""


class NodeLedger:
    """The ledger from a node's own log and mirrors.

    Args:
        log: its own.
        read_file: gives any file that the node serves, or raises `ResourceNotFound`.
        policy: the network's.
        suite: the primitives.
    """

    def __init__(
        self, log: Log, read_file: Callable[[str], Awaitable[bytes]], policy: LedgerPolicy, suite: CipherSuite
    ) -> None:
        self._log = log
        self._read_file = read_file
        self._policy = policy
        self._suite = suite

    async def logs(self) -> tuple[LogState, ...]:
        own = self._log.verifier_key.name
        found = []
        for log in sorted(self._policy.logs, key=lambda log: (log.origin != own, log.origin)):
            prefix = "" if log.origin == own else mirror_prefix(log.origin)
            try:
                note = await self._read_file(prefix + CHECKPOINT_PATH)
            except ResourceNotFound:
                continue
            refused = log.origin != own and await self._has(prefix + REFUSED_PATH)
            found.append(state_of_log(note, log.key, self._policy, self._suite, own=not prefix, refused=refused))
        return tuple(found)

    async def size(self) -> int:
        return await self._in_thread(lambda: self._log.size)

    async def entries(self, start: int, end: int) -> list[ShownEntry]:
        return await self._in_thread(lambda: [_shown(self._log, index) for index in range(start, end)])

    async def proof(self, index: int) -> bytes:
        note = await self._read_file(CHECKPOINT_PATH)
        covered = index < read_unverified(note).size
        return await self._in_thread(lambda: self._log.inclusion_proof(index, note if covered else None))

    async def find(self, text: str) -> list[int]:
        text = text.strip()
        if text.isascii() and text.isdigit() and len(text) <= 18:
            return [int(text)] if int(text) < await self.size() else []
        key = _key_of(text)
        if key is None:
            return []
        names = [grant_id(key), settle_id(key), b"change:" + key, b"issuer-key:" + key]
        found = await self._in_thread(lambda: [self._log.index_of(name) for name in names])
        return [index for index in found if index is not None]

    async def read(self, path: str) -> bytes:
        return await self._read_file(path)

    async def _has(self, path: str) -> bool:
        try:
            await self._read_file(path)
        except ResourceNotFound:
            return False
        return True

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await trio.to_thread.run_sync(work)


def state_of_log(
    note: bytes, key: VerifierKey, policy: LedgerPolicy, suite: CipherSuite, *, own: bool, refused: bool
) -> LogState:
    """What a checkpoint of the log with this key comes to under the policy; raises `RemoteProtocolError`."""
    keys = (key, *(witness.key for witness in policy.witnesses))
    opened = open_note(note, keys, suite)
    checkpoint = parse_checkpoint_text(opened.text)
    times = {signer.key: signer.timestamp_s for signer in opened.signers}
    finality = policy.finality(note, suite)
    signers = [SignerState(key, "log", key in times, None, counts=not policy.witnesses)]
    counted = _counted(policy)
    for witness in policy.witnesses:
        counts = witness.name in counted
        role: Literal["witness", "validator"] = "validator" if counts else "witness"
        at_s = times.get(witness.key)
        signers.append(SignerState(witness.key, role, witness.key in times, at_s, counts))
    return LogState(
        checkpoint.origin,
        key,
        own,
        checkpoint.size,
        checkpoint.root,
        note.decode(),
        tuple(signers),
        finality.final,
        finality.describe(),
        refused,
    )


def facts_of(entry: Entry) -> tuple[Fact, ...]:
    """What an entry says, field by field, whatever kind it is."""
    return tuple(_fact(each.name, getattr(entry, each.name)) for each in attrs.fields(type(entry)))


def _fact(name: str, value: object) -> Fact:
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    if isinstance(value, bytes):
        return Fact(label, value.hex(), "key")
    if isinstance(value, int) and name.endswith("_microcredits"):
        return Fact(_LABELS.get(name, label.removesuffix(" microcredits")), value, "credits")
    if isinstance(value, int) and name.endswith("_s"):
        return Fact(_LABELS.get(name, label.removesuffix(" s")), value, "time")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Fact(label, f"{len(value)} of them", "words")
    return Fact(label, value if isinstance(value, int) else str(value), "words")


def _shown(log: Log, index: int) -> ShownEntry:
    entry = log.entry(index)
    kind = _KINDS.get(type(entry), type(entry).__name__)
    return ShownEntry(index, kind, leaf_hash(encode_entry(entry)), facts_of(entry))


def _counted(policy: LedgerPolicy) -> frozenset[str]:
    """The witnesses whose signatures count for finality: the quorum's, through its groups."""
    groups = {group.name: group.members for group in policy.groups}
    waiting, counted = [policy.quorum], set()
    while waiting:
        name = waiting.pop()
        if name in groups:
            waiting.extend(groups[name])
        else:
            counted.add(name)
    return frozenset(counted)


def _key_of(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_SIZE else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == KEY_SIZE else None
