"""What the hosts' side asks of money (`bootstrap.hosts.earnings.Earnings`)."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.hosts.earnings import Earned
from bootstrap.hosts.ownership import payout_keys_of
from bootstrap.money.earnings import earned_by_key, forfeit_earnings, unpaid_by_key
from bootstrap.money.settings import MoneyConfig

__all__ = ["HostEarnings"]

MONTH_S: Final = 30 * 24 * 3600


@frozen
class HostEarnings:
    """The part of money that is about hosts."""

    config: MoneyConfig

    def of_hosts(self, transaction: Transaction, account_id: str, now_s: int) -> Mapping[str, Earned]:
        """What the ledger settled to the payout keys of an account's hosts, by host."""
        whole = earned_by_key(transaction, account_id)
        newest = earned_by_key(transaction, account_id, now_s - MONTH_S)
        unpaid = unpaid_by_key(transaction, account_id)
        found: dict[str, Earned] = {}
        for host_id, key in transaction.rows(
            "SELECT host_id, public_key FROM payout_key WHERE account_id = :account", account=account_id
        ):
            before, public_key = found.get(host_id, Earned()), bytes(key)
            found[host_id] = Earned(
                before.all_time + whole.get(public_key, 0),
                before.last_30_days + newest.get(public_key, 0),
                before.unpaid + unpaid.get(public_key, 0),
            )
        return found

    def forfeit(self, transaction: Transaction, *, account_id: str, host_id: str, key: str, now_s: int) -> int:
        """Takes what the host has earned and was not paid; returns how much. With the same `key` only once."""
        keys = payout_keys_of(transaction, host_id)
        return forfeit_earnings(transaction, account_id, keys, f"sanction/{key}", now_s=now_s)

    def cents_of(self, microcredits: int) -> int:
        """What a payout would be, in the currency's smallest unit."""
        return self.config.payout_cents(microcredits)
