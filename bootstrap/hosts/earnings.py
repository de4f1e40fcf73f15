"""What hosts need to know of money: a port, which the package `money` fills."""

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from bootstrap.database import Transaction

__all__ = ["Earned", "Earnings", "NoEarnings"]


@frozen
class Earned:
    """What a host's payout keys were settled, in microcredits."""

    all_time: int = 0
    last_30_days: int = 0
    unpaid: int = 0


class Earnings(Protocol):
    """The part of money that is about hosts."""

    def of_hosts(self, transaction: Transaction, account_id: str, now_s: int) -> Mapping[str, Earned]:
        """What the ledger settled to the payout keys of an account's hosts, by host."""
        ...

    def forfeit(self, transaction: Transaction, *, account_id: str, host_id: str, key: str, now_s: int) -> int:
        """Takes what the host has earned and was not paid; returns how much. With the same `key` only once."""
        ...

    def cents_of(self, microcredits: int) -> int | None:
        """What a payout would be, in the currency's smallest unit; None where nothing is paid out."""
        ...


class NoEarnings:
    """Where there is no money."""

    def of_hosts(self, transaction: Transaction, account_id: str, now_s: int) -> Mapping[str, Earned]:
        return {}

    def forfeit(self, transaction: Transaction, *, account_id: str, host_id: str, key: str, now_s: int) -> int:
        return 0

    def cents_of(self, microcredits: int) -> int | None:
        return None
