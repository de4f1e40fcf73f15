"""Bootstrap nodes in memory but for their databases: logs, mirrors of them, and the policy of all."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from attrs import define, field

from bootstrap.log import Log
from bootstrap.mirror import Cosigner, Mirror
from bootstrap.store import LedgerStore, MirrorStore
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.messages import AddCheckpoint
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.policy import LedgerPolicy, PolicyMember, compose_policy
from peernet.core.ledger.tiles import decode_entry_bundle, entry_bundles
from peernet.core.metering import GrantRequest, LaneTerms
from peernet.core.suite import MixedSuite

SUITE: Final = MixedSuite()
NOW_S: Final = 1_000_020
TERMS: Final = LaneTerms(SUITE.ed25519_public(b"\x03" * 32), 2, 5, 8)


def grant_request(number: int, cap: int = 1_000) -> GrantRequest:
    """A request whose lane nobody else asks for."""
    key = SUITE.ed25519_public(number.to_bytes(32, "big"))
    return GrantRequest(key, cap, 1_200_000, TERMS.commit(b"\x0a" * 32))


def seed_of(name: str) -> bytes:
    """A key's seed, from its name."""
    return SUITE.hash("SHA256", name.encode())


def entries_of(log: Log) -> list[bytes]:
    """All that a log serves."""
    size = read_unverified(log.checkpoint()).size
    return [
        entry for bundle in entry_bundles(size) for entry in decode_entry_bundle(log.read(bundle.path()), bundle.width)
    ]


def ask_for(log: Log, old_size: int) -> AddCheckpoint:
    """The request that a log makes of a cosigner that stands at `old_size`."""
    size = log.size
    return AddCheckpoint(old_size, log.consistency_proof(old_size, size) if old_size else (), log.checkpoint())


@define
class LedgerNode:
    """One node's log, and its mirrors of the others'."""

    name: str
    folder: Path
    stack: ExitStack
    logs: int = 0
    mirrors: dict[str, Mirror] = field(factory=dict)

    @property
    def log_key(self) -> VerifierKey:
        return VerifierKey(self.name, LOG_KEY, SUITE.ed25519_public(seed_of(self.name)))

    @property
    def witness(self) -> Cosigner:
        return Cosigner(f"{self.name}/witness", seed_of(f"{self.name}/witness"))

    @property
    def validator(self) -> Cosigner:
        return Cosigner(f"{self.name}/validator", seed_of(f"{self.name}/validator"))

    @property
    def member(self) -> PolicyMember:
        return PolicyMember(self.log_key, self.witness.key(SUITE), self.validator.key(SUITE), "")

    def new_log(self) -> Log:
        """A log under the node's key; a second one is a fork of the first."""
        self.logs += 1
        store = LedgerStore(self.folder / f"{self.name}-{self.logs}.sqlite", create=True)
        return Log(self.stack.enter_context(store), self.name, seed_of(self.name), SUITE)

    def mirror_of(self, other: "LedgerNode", *, reopen: bool = False) -> Mirror:
        """This node's mirror of another's log; opened again from its disk when asked to."""
        if other.name not in self.mirrors or reopen:
            path = self.folder / f"{self.name}-of-{other.name}.sqlite"
            store = self.stack.enter_context(MirrorStore(path, create=not path.exists()))
            self.mirrors[other.name] = Mirror(store, other.log_key, self.witness, self.validator, SUITE)
        return self.mirrors[other.name]


def nodes_in(folder: Path, stack: ExitStack, names: str = "abcd") -> tuple[list[LedgerNode], LedgerPolicy]:
    """Nodes of these one-letter names, and their policy."""
    nodes = [LedgerNode(name, folder, stack) for name in names]
    return nodes, compose_policy([node.member for node in nodes])
