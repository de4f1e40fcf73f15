"""What is said to a bootstrap node about its log.

`LANE_SERVICE`, on a ring: a client asks for a grant (`metering.GrantRequest`), so that the node learns neither who
asks nor for which host.
`LEDGER_PROTOCOL`, directly: a host settles a lane. `TLOG_PROTOCOL`, directly: anybody reads the log's files by their
C2SP tlog-tiles paths; whole tiles are read, so that reading tells nothing about one entry.
"""

from typing import Final

from attrs import frozen

from peernet.core.metering import GrantRequest, Settlement
from peernet.core.wire import MessageSet

__all__ = [
    "LANE_SERVICE",
    "LEDGER_PROTOCOL",
    "TLOG_PROTOCOL",
    "LaneMessages",
    "LaneOpened",
    "LedgerMessages",
    "ReadFile",
    "Rejected",
    "SettleLane",
    "SettleResult",
    "TlogFile",
    "TlogMessages",
]

LANE_SERVICE: Final = "lane"
LEDGER_PROTOCOL: Final = "/peernet/ledger/1"
TLOG_PROTOCOL: Final = "/peernet/tlog/1"


@frozen
class LaneOpened:
    """The grant's place in the log (C2SP tlog-proof with the entry)."""

    proof: bytes


@frozen
class SettleLane:
    """What a host submits to be paid."""

    settlement: Settlement


@frozen
class SettleResult:
    """The settlement's place in the log."""

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


LaneMessages: Final = MessageSet({1: GrantRequest, 2: LaneOpened, 3: Rejected})
LedgerMessages: Final = MessageSet({1: SettleLane, 2: SettleResult, 3: Rejected})
TlogMessages: Final = MessageSet({1: ReadFile, 2: TlogFile})
