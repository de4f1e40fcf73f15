"""What is said to a bootstrap node about its log.

`LANE_SERVICE`, on a ring: a client asks for a grant (`metering.GrantRequest`), or redeems credits for a lane
(`metering.RedeemRequest`), so that the node learns neither who asks nor for which host. Likewise what is left of such
a lane is asked back, and under which keys credits are signed now. `LEDGER_PROTOCOL`, directly: a host settles a lane.
`TLOG_PROTOCOL`, directly: anybody reads the log's files by their C2SP tlog-tiles paths; whole tiles are read, so that
reading tells nothing about one entry. What a node mirrors of another log it serves in the same way, below
`mirror_prefix`. `WITNESS_PROTOCOL`, directly: a log submits a checkpoint and gets cosignatures, as by C2SP
tlog-witness's `add-checkpoint`: a request says which size it builds on and proves it, and a cosigner that stands
elsewhere says so.
"""

import hashlib
from typing import Final

from attrs import frozen

from peernet.core.metering import ChangeRequest, GrantRequest, RedeemRequest, Settlement
from peernet.core.wire import MessageSet

__all__ = [
    "CREDITS_ONLY",
    "LANE_SERVICE",
    "LEDGER_PROTOCOL",
    "NOT_SETTLED",
    "NO_CREDITS",
    "TLOG_PROTOCOL",
    "WITNESS_PROTOCOL",
    "AddCheckpoint",
    "AskKeys",
    "AskSettlement",
    "ChangeGiven",
    "Conflict",
    "Cosigned",
    "GrantProof",
    "IssuerKeys",
    "LaneMessages",
    "LaneOpened",
    "LedgerMessages",
    "ProveGrant",
    "ReadFile",
    "Rejected",
    "SettleLane",
    "SettleResult",
    "SettlementProof",
    "TlogFile",
    "TlogMessages",
    "WitnessMessages",
    "mirror_prefix",
]

CREDITS_ONLY: Final = "credits_only"
"""Why a lane is not granted: it has to be paid for."""
NOT_SETTLED: Final = "not_settled"
"""Why there is no settlement to be shown, or no change to be given, yet."""
NO_CREDITS: Final = "no_issuer"
"""Why no change is given: that node issues no credits."""
LANE_SERVICE: Final = "lane"
LEDGER_PROTOCOL: Final = "/peernet/ledger/1"
TLOG_PROTOCOL: Final = "/peernet/tlog/1"
WITNESS_PROTOCOL: Final = "/peernet/witness/1"


@frozen
class LaneOpened:
    """The grant's place in the log (C2SP tlog-proof with the entry)."""

    proof: bytes


@frozen
class AskKeys:
    """Asks for the keys that credits of a class are signed with now."""

    credit_class: str


@frozen
class IssuerKeys:
    """Where each of the keys was announced (C2SP tlog-proof with the entry)."""

    proofs: tuple[bytes, ...]


@frozen
class AskSettlement:
    """Asks for the proof of a lane's settlement: what is left of the lane follows from it."""

    lane_key: bytes


@frozen
class SettlementProof:
    """The settlement's place in the log (C2SP tlog-proof with the entry)."""

    proof: bytes


@frozen
class ChangeGiven:
    """The blind signatures, in the order of the blinded messages."""

    signatures: tuple[bytes, ...]


@frozen
class SettleLane:
    """What a host submits to be paid."""

    settlement: Settlement


@frozen
class SettleResult:
    """The settlement's place in the log."""

    proof: bytes


@frozen
class ProveGrant:
    """Asks again for the proof of a lane's grant, which may be final by now."""

    lane_key: bytes


@frozen
class GrantProof:
    """The grant's place in the log."""

    proof: bytes


@frozen
class Rejected:
    """The ledger refuses; `reason` is a short word, `explanation` for people."""

    reason: str
    explanation: str


@frozen
class ReadFile:
    """A tlog-tiles path, such as `checkpoint` or `tile/0/000.p/5`."""

    path: str


@frozen
class TlogFile:
    """The file's bytes, or None when there is no such file."""

    content: bytes | None


@frozen
class AddCheckpoint:
    """A log asks for cosignatures on a checkpoint."""

    old_size: int
    """The size that the cosigner is known, or thought, to stand at."""
    proof: tuple[bytes, ...]
    """That the checkpoint continues that size (RFC 6962 section 2.1.2); empty from size 0."""
    checkpoint: bytes
    """The note, signed by the log."""


@frozen
class Cosigned:
    """Signature lines for the checkpoint: the witness's, and the validator's once every entry has been replayed."""

    lines: bytes


@frozen
class Conflict:
    """The cosigner stands at another size than the request builds on."""

    size: int
    checkpoint: bytes
    """The newest checkpoint of this log that it has cosigned, as the log signed it; empty when there is none."""


LaneMessages: Final = MessageSet(
    {
        1: GrantRequest,
        2: LaneOpened,
        3: Rejected,
        4: RedeemRequest,
        5: ChangeRequest,
        6: ChangeGiven,
        7: AskKeys,
        8: IssuerKeys,
        9: AskSettlement,
        10: SettlementProof,
    }
)
LedgerMessages: Final = MessageSet({1: SettleLane, 2: SettleResult, 3: Rejected, 4: ProveGrant, 5: GrantProof})
TlogMessages: Final = MessageSet({1: ReadFile, 2: TlogFile})
WitnessMessages: Final = MessageSet({1: AddCheckpoint, 2: Cosigned, 3: Conflict, 4: Rejected})


def mirror_prefix(origin: str) -> str:
    """Where a mirror serves the log of that name (C2SP tlog-mirror: the SHA-256 of its origin, in hex)."""
    return f"mirror/{hashlib.sha256(origin.encode()).hexdigest()}/"
