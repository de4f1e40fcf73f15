"""The purse: a client's credits on its disk, and the lanes and withdrawals that are under way.

Theory of operation. A credit is money in bytes: what is lost from here is gone, and what is spent twice is refused. So
everything that is about to be sent is written down first, with the secrets that a second try needs; every request has
a name, a lane key or a request id, under which asking again brings the same answer. After a crash the ledger says
what became of a lane, and the issuer what became of a withdrawal.

| what is under way | is written down | ends when |
|---|---|---|
| a withdrawal | the seed that its blinded messages follow from | it is signed, or refused for good |
| a lane that is asked for | its key's seed, the whole request, which credits | the log shows it, or refuses for good |
| a lane that is funded | its key's seed, cap and expiry | its change is here, or too little is left of it |

Rules:

1. A credit is free, in one lane that is asked for, or gone. It is free again only when the log has refused the lane.
2. A lane's credits are of one class, `granted` before `bought`, and cover it as closely as they can.
3. Where a credit of a lane was refused, each of them is tried alone from then on: one was bad, and not all.
4. Several processes may use one purse at a time. The file is its owner's alone; what is deleted from it is
   overwritten.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
from attrs import field, frozen

from peernet.core.credits.credits import BOUGHT, GRANTED, Credit, closest_covering
from peernet.core.errors import UserError
from peernet.core.ledger.entries import ChangePart, IssuerKey, decode_entry, encode_entry
from peernet.core.metering import RedeemRequest
from peernet.core.wire import decode, encode

__all__ = ["Purse", "PurseLane", "Withdrawal"]

APPLICATION_ID: Final = 0x706E7075
"""`pnpu`: tells our files from other SQLite databases."""
SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_MS: Final = 10_000
OWNER_ONLY: Final = 0o600
SPEND_MARGIN_S: Final = 300
"""A credit is not spent in the last minutes of its key's time: the log might be past them."""

_CHANGE_DOMAIN = b"peernet change seed v1\x00"

_SCHEMA: Final = """
CREATE TABLE issuer_key (
    key_id BLOB PRIMARY KEY,
    origin TEXT NOT NULL,
    announcement BLOB NOT NULL,
    credit_class TEXT NOT NULL,
    denomination INTEGER NOT NULL,
    redeem_until_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    lane_key BLOB PRIMARY KEY,
    origin TEXT NOT NULL,
    seed BLOB NOT NULL,
    request BLOB NOT NULL,
    credit_class TEXT NOT NULL,
    asked_at_s INTEGER NOT NULL,
    funded INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    change_parts BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE credit (
    key_id BLOB NOT NULL REFERENCES issuer_key (key_id),
    serial BLOB NOT NULL,
    randomizer BLOB NOT NULL,
    signature BLOB NOT NULL,
    lane_key BLOB REFERENCES lane (lane_key),
    alone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key_id, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE withdrawal (
    request_id BLOB PRIMARY KEY,
    portal TEXT NOT NULL,
    key_id BLOB NOT NULL REFERENCES issuer_key (key_id),
    seed BLOB NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


@frozen
class PurseLane:
    """A lane that credits fund."""

    origin: str
    """Of its log."""
    seed: bytes = field(repr=False)
    """Of its key."""
    request: RedeemRequest
    credit_class: str
    asked_at_s: int
    funded: bool
    """Whether the log has shown it."""
    settled: bool
    """Whether its receipt was shown to be in the log."""
    change_parts: tuple[ChangePart, ...]
    """What was asked for as change, once it was."""

    @property
    def change_seed(self) -> bytes:
        """What the credits of its change follow from."""
        return hashlib.sha256(_CHANGE_DOMAIN + self.seed).digest()


@frozen
class Withdrawal:
    """Credits that are being signed."""

    request_id: bytes
    portal: str
    key_id: bytes
    seed: bytes = field(repr=False)
    count: int


@frozen
class _Parts:
    parts: tuple[ChangePart, ...]


class Purse:
    """The purse of one home. There is no file until something is put into it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: apsw.Connection | None = None

    def close(self) -> None:
        """Closes the file, if it was opened."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    # --- credits -----------------------------------------------------------------------------------------------------

    def balance(self) -> dict[str, dict[int, int]]:
        """How many free credits of each denomination, by class."""
        found: dict[str, dict[int, int]] = {}
        query = """
            SELECT credit_class, denomination, count(*) FROM credit JOIN issuer_key USING (key_id)
            WHERE lane_key IS NULL GROUP BY credit_class, denomination ORDER BY credit_class, denomination
        """
        for credit_class, denomination, count in self._rows(query):
            found.setdefault(credit_class, {})[denomination] = count
        return found

    def issuer_key(self, key_id: bytes) -> IssuerKey:
        """A key that was kept by `add_keys`."""
        ((announcement,),) = self._rows("SELECT announcement FROM issuer_key WHERE key_id = ?", (key_id,))
        entry = decode_entry(announcement)
        assert isinstance(entry, IssuerKey)
        return entry

    def add_keys(self, origin: str, keys: Sequence[IssuerKey]) -> None:
        """Keeps keys that the log `origin` has announced; the caller has verified it."""
        with self._writing(create=True) as connection:
            connection.executemany(
                "INSERT INTO issuer_key VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (
                        key.key_id,
                        origin,
                        encode_entry(key),
                        key.credit_class,
                        key.denomination_microcredits,
                        key.redeem_until_s,
                    )
                    for key in keys
                ],
            )

    def add_credits(self, found: Sequence[Credit]) -> int:
        """Adds credits whose keys were kept and signatures verified; returns how many were not there yet."""
        with self._writing(create=True) as connection:
            return _add_credits(connection, found)

    # --- lanes -------------------------------------------------------------------------------------------------------

    def covers(self, origin: str, amount_microcredits: int, now_s: float) -> bool:
        """Whether free credits of this log cover a lane of so much."""
        with self._reading() as connection:
            return connection is not None and _choose(connection, origin, amount_microcredits, now_s) is not None

    def begin_lane(
        self,
        origin: str,
        amount_microcredits: int,
        seed: bytes,
        now_s: float,
        request_of: Callable[[int, tuple[Credit, ...]], RedeemRequest],
    ) -> PurseLane | None:
        """Takes the credits that cover a lane most closely and writes it down; None where they do not.

        `request_of` makes the request, of the lane's cap and credits. The lane is on the disk when this returns.
        """
        if not self._path.exists():
            return None
        with self._writing() as connection:
            chosen = _choose(connection, origin, amount_microcredits, now_s)
            if chosen is None:
                return None
            credit_class, cap, spent = chosen
            request = request_of(cap, tuple(spent))
            connection.execute(
                "INSERT INTO lane (lane_key, origin, seed, request, credit_class, asked_at_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (request.lane_key, origin, seed, encode(request), credit_class, int(now_s)),
            )
            connection.executemany(
                "UPDATE credit SET lane_key = ? WHERE key_id = ? AND serial = ?",
                [(request.lane_key, credit.key_id, credit.serial) for credit in spent],
            )
        return PurseLane(origin, seed, request, credit_class, int(now_s), funded=False, settled=False, change_parts=())

    def lane_funded(self, lane_key: bytes) -> None:
        """The log shows the lane: its credits are spent."""
        with self._writing() as connection:
            connection.execute("UPDATE lane SET funded = 1 WHERE lane_key = ?", (lane_key,))
            connection.execute("DELETE FROM credit WHERE lane_key = ?", (lane_key,))

    def lane_refused(self, lane_key: bytes, *, credits_bad: bool) -> None:
        """The log refuses the lane for good; `credits_bad` if for one of its credits: then a single one is gone."""
        with self._writing() as connection:
            count = len(connection.execute("SELECT 1 FROM credit WHERE lane_key = ?", (lane_key,)).fetchall())
            if credits_bad and count == 1:
                connection.execute("DELETE FROM credit WHERE lane_key = ?", (lane_key,))
            connection.execute(
                "UPDATE credit SET lane_key = NULL, alone = alone OR ? WHERE lane_key = ?",
                (int(credits_bad), lane_key),
            )
            connection.execute("DELETE FROM lane WHERE lane_key = ?", (lane_key,))

    def lane_settled(self, lane_key: bytes) -> None:
        """The lane's receipt is in the log; nothing happens where the lane is not of this purse."""
        if self._path.exists():
            with self._writing() as connection:
                connection.execute("UPDATE lane SET settled = 1 WHERE lane_key = ?", (lane_key,))

    def lanes(self) -> list[PurseLane]:
        """All lanes that are under way, the oldest first."""
        query = """
            SELECT origin, seed, request, credit_class, asked_at_s, funded, settled, change_parts FROM lane
            ORDER BY asked_at_s
        """
        return [
            PurseLane(
                origin,
                seed,
                decode(RedeemRequest, request),
                credit_class,
                asked_at_s,
                bool(funded),
                bool(settled),
                () if parts is None else decode(_Parts, parts).parts,
            )
            for origin, seed, request, credit_class, asked_at_s, funded, settled, parts in self._rows(query)
        ]

    def begin_change(self, lane_key: bytes, parts: Sequence[ChangePart]) -> None:
        """Writes down what is about to be asked as change; the first time counts."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE lane SET change_parts = ? WHERE lane_key = ? AND change_parts IS NULL",
                (encode(_Parts(tuple(parts))), lane_key),
            )

    def forget_change(self, lane_key: bytes) -> None:
        """What was asked for as change was refused: something else may be asked."""
        with self._writing() as connection:
            connection.execute("UPDATE lane SET change_parts = NULL WHERE lane_key = ?", (lane_key,))

    def end_lane(self, lane_key: bytes, change: Sequence[Credit] = ()) -> None:
        """The lane's change is here, or there is none: its secrets are forgotten."""
        with self._writing() as connection:
            _add_credits(connection, change)
            connection.execute("DELETE FROM lane WHERE lane_key = ?", (lane_key,))

    # --- withdrawals -------------------------------------------------------------------------------------------------

    def begin_withdrawals(self, withdrawals: Sequence[Withdrawal]) -> None:
        """Writes down what is about to be asked: all of it, or nothing."""
        with self._writing(create=True) as connection:
            connection.executemany(
                "INSERT INTO withdrawal (request_id, portal, key_id, seed, count) VALUES (?, ?, ?, ?, ?)",
                [(each.request_id, each.portal, each.key_id, each.seed, each.count) for each in withdrawals],
            )

    def withdrawals(self) -> list[Withdrawal]:
        """Those that are under way."""
        query = "SELECT request_id, portal, key_id, seed, count FROM withdrawal"
        return [Withdrawal(*row) for row in self._rows(query)]

    def end_withdrawal(self, request_id: bytes, found: Sequence[Credit] = ()) -> None:
        """Its credits are here, or it was refused for good."""
        with self._writing() as connection:
            _add_credits(connection, found)
            connection.execute("DELETE FROM withdrawal WHERE request_id = ?", (request_id,))

    # --- the file ----------------------------------------------------------------------------------------------------

    def _rows(self, query: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._reading() as connection:
            return [] if connection is None else connection.execute(query, bindings).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection | None]:
        """The connection; None where there is no file."""
        with self._lock:
            yield self._connection() if self._path.exists() else None

    @contextmanager
    def _writing(self, *, create: bool = False) -> Iterator[apsw.Connection]:
        with self._lock:
            if create and not self._path.exists():
                _create_file(self._path)
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _connection(self) -> apsw.Connection:
        if self._opened is None:
            self._opened = _open(self._path)
        return self._opened


def _choose(
    connection: apsw.Connection, origin: str, amount: int, now_s: float
) -> tuple[str, int, list[Credit]] | None:
    """The class, what they are worth, and the credits."""
    query = """
        SELECT denomination, alone, key_id, serial, randomizer, signature FROM credit JOIN issuer_key USING (key_id)
        WHERE lane_key IS NULL AND origin = ? AND credit_class = ? AND redeem_until_s > ? ORDER BY redeem_until_s
    """
    for credit_class in (GRANTED, BOUGHT):
        rows: list[tuple[Any, ...]] = connection.execute(
            query, (origin, credit_class, int(now_s) + SPEND_MARGIN_S)
        ).fetchall()
        alone = [row for row in rows if row[1] and row[0] >= amount]
        if alone:
            row = min(alone, key=lambda row: row[0])
            return credit_class, row[0], [Credit(*row[2:])]
        chosen = closest_covering([row[0] for row in rows if not row[1]], amount)
        if chosen is None:
            continue
        spent = []
        for denomination in sorted(set(chosen)):
            alike = [row for row in rows if row[0] == denomination and not row[1]]
            spent += [Credit(*row[2:]) for row in alike[: chosen.count(denomination)]]
        return credit_class, sum(chosen), spent
    return None


def _add_credits(connection: apsw.Connection, found: Sequence[Credit]) -> int:
    before = connection.total_changes()
    connection.executemany(
        "INSERT INTO credit (key_id, serial, randomizer, signature) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(credit.key_id, credit.serial, credit.randomizer, credit.signature) for credit in found],
    )
    return connection.total_changes() - before


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    except FileExistsError:
        return  # another process of ours was first


def _open(path: Path) -> apsw.Connection:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UserError(f"the purse {path} is open to others than its owner: chmod 600 {path}")
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        version, application_id = (_pragma(connection, name) for name in ("user_version", "application_id"))
        if version > SCHEMA_VERSION:
            raise UserError(f"{path} was written by a newer peernet: upgrade this one")
        if version == 0:
            if connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is not None:
                raise UserError(f"{path} is no purse: move it away")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        elif application_id != APPLICATION_ID:
            raise UserError(f"{path} is no purse: move it away")
        connection.execute("COMMIT")
    except apsw.NotADBError as error:
        connection.close()
        raise UserError(f"{path} is no purse, or is damaged: restore it from a backup, or move it away") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _pragma(connection: apsw.Connection, name: str) -> int:
    row = connection.execute(f"PRAGMA {name}").fetchone()
    assert row is not None
    return int(row[0])
