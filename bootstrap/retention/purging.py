"""The purge: what is past its period goes, in batches so small that nobody who writes waits for long.

Rules:

1. A batch is one transaction. The next one's size follows from how long this one took: it aims at `AIM_S`, and a
   million rows never hold a writer for a tenth of a second.
2. Between two batches others may write. A purge that is interrupted goes on where rows are left.
3. A dry run counts with the same conditions, and changes nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from attrs import define, frozen

from bootstrap.database import Database, Transaction, Value
from bootstrap.retention.classes import PURGES
from bootstrap.retention.purge import Purge

__all__ = ["AIM_S", "Batch", "due_counts", "purge", "purge_batches"]

AIM_S: Final = 0.008
FIRST_ROWS: Final = 50
MAX_ROWS: Final = 1_000
Periods = Mapping[str, int]


@frozen
class Batch:
    """What one transaction of a purge did."""

    rule: Purge
    rows: int
    held_s: float
    """For how long others could not write."""


def purge_batches(
    database: Database,
    periods: Periods,
    now_s: int,
    *,
    rules: Sequence[Purge] = PURGES,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Batch]:
    """Carries the purge out, a batch for each step."""
    for rule in rules:
        size, before_s = FIRST_ROWS, now_s - periods[rule.data_class]
        while True:
            removal = _Removal(rule, before_s, size, clock)
            rows = database.write(removal)
            held_s = clock() - removal.began
            yield Batch(rule, rows, held_s)
            if rows < size:
                break
            size = max(1, min(MAX_ROWS, 2 * size, int(size * AIM_S / max(held_s, AIM_S / 4))))


def purge(database: Database, periods: Periods, now_s: int) -> dict[str, int]:
    """Carries the whole purge out; returns the rows by class."""
    done: dict[str, int] = {}
    for batch in purge_batches(database, periods, now_s):
        done[batch.rule.data_class] = done.get(batch.rule.data_class, 0) + batch.rows
    return done


def due_counts(transaction: Transaction, periods: Periods, now_s: int) -> dict[str, int]:
    """How many rows a purge would delete or empty now, by class."""
    counts: dict[str, int] = {}
    for rule in PURGES:
        # What is put together here and below are names of our own (`Purge`).
        counting = f"SELECT count(*) FROM {rule.table} WHERE {_condition(rule)}"  # noqa: S608
        row = transaction.row(counting, before=now_s - periods[rule.data_class])
        counts[rule.data_class] = counts.get(rule.data_class, 0) + (row[0] if row else 0)
    return counts


@define
class _Removal:
    """One batch, as the work of a transaction."""

    rule: Purge
    before_s: int
    size: int
    clock: Callable[[], float]
    began: float = 0.0

    def __call__(self, transaction: Transaction) -> int:
        self.began = self.clock()
        rule = self.rule
        key = rule.key if isinstance(rule.key, str) else ", ".join(rule.key)
        these = f"SELECT {key} FROM {rule.table} WHERE {_condition(rule)} ORDER BY {rule.aged_by} LIMIT :size"  # noqa: S608
        named = key if isinstance(rule.key, str) else f"({key})"
        values: dict[str, Value] = {"before": self.before_s, "size": self.size}
        if not rule.empties:
            return transaction.execute(f"DELETE FROM {rule.table} WHERE {named} IN ({these})", **values)  # noqa: S608
        sets = ", ".join(f"{column} = :empty_{column}" for column in rule.empties)
        values |= {f"empty_{column}": value for column, value in rule.empties.items()}
        return transaction.execute(f"UPDATE {rule.table} SET {sets} WHERE {named} IN ({these})", **values)  # noqa: S608


def _condition(rule: Purge) -> str:
    return f"{rule.aged_by} <= :before" + (f" AND {rule.only}" if rule.only else "")
