"""Equivocation: what proves that a log's key has signed two histories.

Theory of operation. A signed checkpoint holds a log to a size and a root, and the root holds it to every entry below
that size. So no honest log signs

1. two checkpoints of one size with different roots, or
2. two checkpoints, of whatever sizes, under which different entries stand at one index.

Whoever holds both has a proof that needs nothing else: it is verified with the log's public key, by anybody, whoever
shows it. Each half is a signed checkpoint or, for the second case, a tlog-proof that carries its entry.

Two checkpoints of different sizes prove nothing by themselves, since the shorter may be the longer one's past. A log
that will not show the two to be consistent is to be distrusted, and not yet convicted: there an entry of each is due.

Source: RFC 6962 section 7.3; design section 8.
"""

from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import HEADER, MAX_PROOF_SIZE, LogProof, open_entry_proof
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode

__all__ = ["Contradiction", "Equivocation", "prove_equivocation", "verify_equivocation"]

MAX_ENCODED_SIZE: Final = 2 * MAX_PROOF_SIZE + 16


@frozen
class Equivocation:
    """Two statements of one log that cannot both be true; nothing here is verified."""

    first: bytes
    """A signed checkpoint (a note), or a tlog-proof with its entry."""
    second: bytes

    def encode(self) -> bytes:
        """The proof's bytes, to be handed on."""
        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> "Equivocation":
        """The proof in `data`; raises `RemoteProtocolError` when it is none."""
        if len(data) > MAX_ENCODED_SIZE:
            raise RemoteProtocolError(f"an equivocation of {len(data)} bytes, over {MAX_ENCODED_SIZE}", reason="size")
        return decode(cls, data)


@frozen
class Contradiction:
    """What an `Equivocation` proves: both checkpoints verify, and one of them is a lie."""

    first: Checkpoint
    second: Checkpoint
    index: int | None
    """Where the two histories have different entries; None where two roots of one size say it."""


def prove_equivocation(first: bytes, second: bytes, log_key: VerifierKey, suite: CipherSuite) -> Equivocation:
    """The proof that these two statements make; raises `RemoteProtocolError` as `verify_equivocation` does."""
    proof = Equivocation(first, second)
    verify_equivocation(proof, log_key, suite)
    return proof


def verify_equivocation(proof: Equivocation, log_key: VerifierKey, suite: CipherSuite) -> Contradiction:
    """What `proof` proves against the log of `log_key`.

    Raises `RemoteProtocolError`: as `open_checkpoint` and `verify_proof` do when a half does not hold, and with
    `no_contradiction` when both may be true.
    """
    first, second = (_open(half, log_key, suite) for half in (proof.first, proof.second))
    one, other = first.checkpoint, second.checkpoint
    if one.size == other.size and one.root != other.root:
        return Contradiction(one, other, None)
    if first.index is not None and first.index == second.index and first.leaf != second.leaf:
        return Contradiction(one, other, first.index)
    raise RemoteProtocolError(
        f"checkpoints of sizes {one.size} and {other.size} do not contradict each other", reason="no_contradiction"
    )


@frozen
class _Statement:
    """One half, verified: a checkpoint, and perhaps an entry under it."""

    checkpoint: Checkpoint
    index: int | None = None
    leaf: bytes | None = None


def _open(half: bytes, log_key: VerifierKey, suite: CipherSuite) -> _Statement:
    if not half.startswith(f"{HEADER}\n".encode()):
        return _Statement(open_checkpoint(half, log_key, suite))
    entry, checkpoint = open_entry_proof(half, log_key, suite)
    return _Statement(checkpoint, LogProof.parse(half).index, leaf_hash(entry))
