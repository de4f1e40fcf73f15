"""Earnings: what the metering ledger says that hosts are owed, given to whoever the payout keys belong to.

The job reads the log from where it stopped. An entry is counted once, by its place in the log; one whose key nobody
has registered yet waits, and is given to them when they do. What is here of a lane is the place of its entry in a
public log, and what it paid: nothing of who asked.

Earnings are paid out once they are old enough, the oldest first, and not while the hosts' side holds them for a
strike or a claim.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.money.journal import balance_of, house, move, person
from bootstrap.money.settings import MoneyConfig
from bootstrap.people.access_log import note_access

__all__ = [
    "Earnings",
    "Hosts",
    "NoHosts",
    "Settlement",
    "SettlementSource",
    "claim_earnings",
    "count_settlements",
    "earned_by_key",
    "earnings_of",
    "forfeit_earnings",
    "unclaimed_keys",
    "unpaid_by_key",
]

DAY_S: Final = 24 * 3600
CLAIM_AT_ONCE: Final = 500


class Hosts(Protocol):
    """What money needs to know of hosts."""

    def owner_of(self, transaction: Transaction, payout_key: bytes) -> str | None:
        """The account that has shown the key to be its own; None where nobody has."""
        ...

    def why_held(self, transaction: Transaction, account_id: str) -> str | None:
        """Why nothing is paid out to an account at present, for its person to read; None where nothing is."""
        ...


class NoHosts:
    """Where no hosts are registered."""

    def owner_of(self, transaction: Transaction, payout_key: bytes) -> str | None:
        return None

    def why_held(self, transaction: Transaction, account_id: str) -> str | None:
        return None


@frozen
class Settlement:
    """An entry of a log by which a host is owed something."""

    position: int
    payout_key: bytes
    microcredits: int
    at_s: int


class SettlementSource(Protocol):
    """A log, as this module reads it."""

    @property
    def name(self) -> str:
        """The log's origin."""
        ...

    def settlements(self, start: int, most: int) -> tuple[Sequence[Settlement], int]:
        """The settlements among up to `most` entries from `start` on, and the place after the last that was read."""
        ...


@frozen
class Earnings:
    """What an account has earned, in microcredits."""

    earned: int
    """All that is not paid out or lost."""
    waiting: int
    """What of it is too young to be paid out."""
    paying: int
    """What is being paid out."""
    held: str | None
    """Why nothing is paid out at present; None where nothing stands against it."""

    @property
    def payable(self) -> int:
        """What may be paid out now."""
        return 0 if self.held else max(0, self.earned - self.waiting)


def cursor_of(transaction: Transaction, log: str) -> int:
    """How far a log has been read."""
    row = transaction.row("SELECT position FROM earning_cursor WHERE log = :log", log=log)
    return 0 if row is None else int(row[0])


def count_settlements(
    transaction: Transaction,
    log: str,
    found: Sequence[Settlement],
    start: int,
    end: int,
    hosts: Hosts,
    now_s: int,
) -> bool:
    """Takes in the entries from `start` to before `end`; returns False where others have read on meanwhile."""
    if cursor_of(transaction, log) != start:
        return False
    for each in found:
        account_id = hosts.owner_of(transaction, each.payout_key)
        transaction.execute(
            "INSERT INTO earning (log, position, payout_key, microcredits, settled_at_s, account_id)"
            " VALUES (:log, :position, :key, :microcredits, :at, :account) ON CONFLICT (log, position) DO NOTHING",
            log=log,
            position=each.position,
            key=each.payout_key,
            microcredits=each.microcredits,
            at=each.at_s,
            account=account_id,
        )
        if account_id is not None and each.microcredits:
            _credit(transaction, log, each.position, each.microcredits, account_id, now_s)
    transaction.execute(
        "INSERT INTO earning_cursor (log, position) VALUES (:log, :end)"
        " ON CONFLICT (log) DO UPDATE SET position = :end",
        log=log,
        end=end,
    )
    return True


def claim_earnings(transaction: Transaction, payout_key: bytes, account_id: str, now_s: int) -> int:
    """Gives an account what waits for a payout key that it has just registered; returns how many entries.

    At most `CLAIM_AT_ONCE`: it is called again while it returns so many.
    """
    rows = transaction.rows(
        "SELECT log, position, microcredits FROM earning WHERE payout_key = :key AND account_id IS NULL"
        " ORDER BY settled_at_s LIMIT :most",
        key=payout_key,
        most=CLAIM_AT_ONCE,
    )
    for log, position, microcredits in rows:
        transaction.execute(
            "UPDATE earning SET account_id = :account WHERE log = :log AND position = :position",
            account=account_id,
            log=log,
            position=position,
        )
        if microcredits:
            _credit(transaction, log, position, microcredits, account_id, now_s)
    return len(rows)


def unclaimed_keys(transaction: Transaction, after: bytes = b"", most: int = 100) -> list[bytes]:
    """Payout keys with earnings that nobody has yet, in order, after one of them."""
    rows = transaction.rows(
        "SELECT DISTINCT payout_key FROM earning WHERE account_id IS NULL AND payout_key > :after"
        " ORDER BY payout_key LIMIT :most",
        after=after,
        most=most,
    )
    return [bytes(key) for (key,) in rows]


def earnings_of(transaction: Transaction, account_id: str, config: MoneyConfig, hosts: Hosts, now_s: int) -> Earnings:
    """What an account has earned."""
    young = transaction.row(
        "SELECT CAST(coalesce(sum(microcredits), 0) AS BIGINT) FROM earning"
        " WHERE account_id = :account AND settled_at_s > :since",
        account=account_id,
        since=now_s - config.payout_hold_days * DAY_S,
    )
    earned = balance_of(transaction, person("earned", account_id))
    return Earnings(
        earned=earned,
        waiting=min(earned, int(young[0]) if young else 0),
        paying=balance_of(transaction, person("paying", account_id)),
        held=hosts.why_held(transaction, account_id),
    )


def earned_by_key(transaction: Transaction, account_id: str, since_s: int = 0) -> Mapping[bytes, int]:
    """What each of an account's payout keys has earned since then."""
    rows = transaction.rows(
        "SELECT payout_key, CAST(sum(microcredits) AS BIGINT) FROM earning"
        " WHERE account_id = :account AND settled_at_s >= :since GROUP BY payout_key",
        account=account_id,
        since=since_s,
    )
    return {bytes(key): int(total) for key, total in rows}


def unpaid_by_key(transaction: Transaction, account_id: str) -> Mapping[bytes, int]:
    """What of each payout key's earnings is not paid out: what is left is the newest."""
    left = balance_of(transaction, person("earned", account_id))
    rows = transaction.rows(
        "SELECT payout_key, CAST(sum(CASE WHEN total <= :left THEN microcredits ELSE :left - total + microcredits END)"
        " AS BIGINT) FROM (SELECT payout_key, microcredits, CAST(sum(microcredits) OVER ("
        " ORDER BY settled_at_s DESC, log, position DESC) AS BIGINT) AS total FROM earning"
        " WHERE account_id = :account) AS counted WHERE total - microcredits < :left GROUP BY payout_key",
        account=account_id,
        left=left,
    )
    return {bytes(key): int(total) for key, total in rows}


def forfeit_earnings(
    transaction: Transaction, account_id: str, payout_keys: Sequence[bytes], key: str, *, now_s: int
) -> int:
    """Takes what these payout keys have earned and was not paid; returns how much, in microcredits.

    `key` names what it is for, such as `sanction/SANCTION`, and takes once. Whether the delay and the appeal are over
    is the caller's to know.
    """
    name = f"{key}/forfeited"
    if transaction.row("SELECT 1 FROM movement WHERE key = :key", key=name) is not None:
        return 0
    unpaid = unpaid_by_key(transaction, account_id)
    taken = sum(unpaid.get(each, 0) for each in set(payout_keys))
    if taken:
        mine = person("earned", account_id)
        move(transaction, name, taken, debit=mine, credit=house("forfeited"), about=key, now_s=now_s)
        note_access(transaction, "earnings_forfeited", now_s=now_s, about=account_id, thing=key)
    return taken


def _credit(transaction: Transaction, log: str, position: int, microcredits: int, account_id: str, now_s: int) -> None:
    key = f"earning/{position}/{log}"
    mine = person("earned", account_id)
    move(transaction, key, microcredits, debit=house("settled"), credit=mine, about=key, now_s=now_s)
