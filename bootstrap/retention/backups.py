"""Backups: which there are, what classes of data they hold, and until when they may be kept.

A backup's end is its making plus the shortest period of what it holds, so that nothing outlives its period in a copy.
Who makes backups registers them here, and deletes what `expired_backups` names before `forget_backup`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id

__all__ = ["Backup", "backups", "expired_backups", "forget_backup", "register_backup"]


@frozen
class Backup:
    """A copy of the database, somewhere."""

    id: str
    made_at_s: int
    holds: tuple[str, ...]
    """The names of the classes of data."""
    expires_at_s: int

    def manifest(self) -> dict[str, Any]:
        """What lies beside the copy, for whoever finds it."""
        return {
            "backup": self.id,
            "made_at_s": self.made_at_s,
            "holds": list(self.holds),
            "expires_at_s": self.expires_at_s,
        }


def register_backup(transaction: Transaction, holds: Iterable[str], periods: Mapping[str, int], now_s: int) -> Backup:
    """Writes down that a copy with these classes of data is made now.

    Raises `ValueError` where none of them has a period: there is nothing to end the copy by.
    """
    held = tuple(sorted(set(holds)))
    with_period = [periods[name] for name in held if name in periods]
    if not with_period:
        raise ValueError(f"no class with a period among {held}")
    backup = Backup(new_id(), now_s, held, now_s + min(with_period))
    transaction.execute(
        "INSERT INTO backup_manifest (id, made_at_s, holds, expires_at_s) VALUES (:id, :made, :holds, :expires)",
        id=backup.id,
        made=backup.made_at_s,
        holds=" ".join(held),
        expires=backup.expires_at_s,
    )
    return backup


def backups(transaction: Transaction) -> list[Backup]:
    """All that are registered, the oldest first."""
    rows = transaction.rows("SELECT id, made_at_s, holds, expires_at_s FROM backup_manifest ORDER BY made_at_s, id")
    return [Backup(row[0], row[1], tuple(row[2].split()), row[3]) for row in rows]


def expired_backups(transaction: Transaction, now_s: int) -> list[Backup]:
    """Those that must not be any more."""
    return [backup for backup in backups(transaction) if backup.expires_at_s <= now_s]


def forget_backup(transaction: Transaction, backup_id: str) -> None:
    """After the copy is deleted."""
    transaction.execute("DELETE FROM backup_manifest WHERE id = :id", id=backup_id)
