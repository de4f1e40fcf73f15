"""Whose a host is, what is sanctioned, and where its payout key leads: what the rules of routes and money ask."""

from bootstrap.database import Transaction
from bootstrap.hosts.forfeiting import payouts_wait

__all__ = ["RegisteredHosts", "owner_of_host", "owner_of_sanction", "payout_keys_of"]


def owner_of_host(transaction: Transaction, host_id: str) -> str | None:
    """The account that a host belongs to; None where there is no such host."""
    row = transaction.row("SELECT account_id FROM host WHERE id = :id", id=host_id)
    return None if row is None else row[0]


def owner_of_sanction(transaction: Transaction, sanction_id: str) -> str | None:
    """The account whose host a sanction is against."""
    row = transaction.row(
        "SELECT host.account_id FROM sanction JOIN host ON host.id = sanction.host_id WHERE sanction.id = :id",
        id=sanction_id,
    )
    return None if row is None else row[0]


def payout_keys_of(transaction: Transaction, host_id: str) -> list[bytes]:
    """All payout keys that a host ever had."""
    return [
        bytes(key) for (key,) in transaction.rows("SELECT public_key FROM payout_key WHERE host_id = :id", id=host_id)
    ]


class RegisteredHosts:
    """What money needs to know of hosts: whose a payout key is, and why an account's payouts wait."""

    def owner_of(self, transaction: Transaction, payout_key: bytes) -> str | None:
        """The account that has shown the key to be its own; None where nobody has."""
        row = transaction.row("SELECT account_id FROM payout_key WHERE public_key = :key", key=payout_key)
        return None if row is None else row[0]

    def why_held(self, transaction: Transaction, account_id: str) -> str | None:
        """Why nothing is paid out to an account at present; None where nothing stands against it."""
        if not payouts_wait(transaction, account_id):
            return None
        return "One of your hosts is suspended, or a forfeiture is not decided yet: payouts wait until that is over."
