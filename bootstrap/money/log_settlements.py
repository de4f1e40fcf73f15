"""The node's own log, as earnings are read from it (`SettlementSource`)."""

from collections.abc import Sequence

from bootstrap.log import Log
from bootstrap.money.earnings import Settlement
from peernet.core.ledger.entries import Settle

__all__ = ["LogSettlements"]


class LogSettlements:
    """See `SettlementSource`. What is on the disk under a signed checkpoint counts: payouts come days later."""

    def __init__(self, log: Log) -> None:
        self._log = log

    @property
    def name(self) -> str:
        return self._log.verifier_key.name

    def settlements(self, start: int, most: int) -> tuple[Sequence[Settlement], int]:
        end = min(self._log.size, start + most)
        found = []
        for position in range(start, end):
            entry = self._log.entry(position)
            if isinstance(entry, Settle):
                found.append(Settlement(position, entry.payout_key, entry.amount_microcredits, entry.at_s))
        return found, max(start, end)
