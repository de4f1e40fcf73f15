"""The ledger's store: entries, tree nodes and the checkpoint of one log, in one SQLite file.

Rules:

1. A database that is missing is an error. It is made only on request, and then must not exist: a log that begins
   again under the same key has forked.
2. Entries, nodes and the checkpoint that covers them are one transaction, with `synchronous=FULL`: what a checkpoint
   says is on the disk before anyone sees it.
3. The checkpoint is replaced by compare-and-swap, so two servers on one file cannot sign two histories.
4. Opening checks that the checkpoint's root is the root of the stored tree's edge; `check` recomputes everything
   from the entries.
5. Full nodes only, and they never change; what is ragged is folded from them (`peernet.core.ledger.merkle`).

It is synchronous: a server runs it in a thread. One thread at a time may use a store; `bootstrap.log` sees to that.
The file is readable by its owner alone. Source: design section 8; SQLite's documentation of WAL and STRICT tables.
"""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol, Self

import apsw
from attrs import frozen

from bootstrap.sqlite_access import pragma, transaction
from peernet.core.errors import PeernetError, RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import Checkpoint, read_unverified
from peernet.core.ledger.merkle import CompactRange, TreeNode, full_subtrees, leaf_hash, tree_root

__all__ = [
    "CheckpointMoved",
    "LedgerCorrupt",
    "LedgerStore",
    "MirrorStore",
    "NewEntry",
    "Refusal",
    "SqlStore",
    "Store",
    "StoreUnavailable",
    "check_file",
    "create_file",
    "edge_of",
]

APPLICATION_ID: Final = 0x706E6C67
"""`pnlg`: tells our files from other SQLite databases."""
BUSY_TIMEOUT_MS: Final = 5_000
OWNER_ONLY: Final = 0o600
READ_BATCH: Final = 1_000

Row = tuple[Any, ...]


class LedgerCorrupt(PeernetError):
    """What the store holds does not fit together: somebody or something changed it from outside."""


class CheckpointMoved(PeernetError):
    """Somebody else wrote a newer checkpoint to this store since it was read."""


class StoreUnavailable(PeernetError):
    """The store cannot be reached just now; whether a write that was under way happened is not known."""


@frozen
class NewEntry:
    """An entry on its way into the store."""

    submission_id: bytes
    leaf: bytes
    """The entry's bytes."""


class Store(Protocol):
    """What a log needs of its store."""

    def checkpoint(self) -> bytes | None:
        """The current signed checkpoint; None before the first."""
        ...

    def entries(self, start: int, end: int) -> list[bytes]:
        """The entries from `start` to before `end`; raises `LedgerCorrupt` when one is not there."""
        ...

    def nodes(self, level: int, start: int, end: int) -> list[bytes]:
        """The hashes of full nodes of one tree level; raises `LedgerCorrupt` when one is not there."""
        ...

    def index_of(self, submission_id: bytes) -> int | None:
        """Where the entry of that submission stands, or None."""
        ...

    def append(
        self, expected: bytes | None, entries: Sequence[NewEntry], nodes: Sequence[TreeNode], checkpoint: bytes
    ) -> None:
        """Writes all of it or nothing.

        Raises `CheckpointMoved` unless the current checkpoint is still `expected`.
        """
        ...

    def check(self) -> None:
        """Recomputes the tree from the entries; raises `LedgerCorrupt` where it differs from what is stored."""
        ...


@frozen
class Refusal:
    """Why a mirror cosigns nothing more of a log."""

    reason: str
    """`equivocation` or `invalid_entry`."""
    proof: bytes
    """As `Equivocation` or `InvalidEntry` has it: anybody can verify it."""


class SqlStore(ABC):
    """What the stores have in common: the statements, which both databases understand, and the checks.

    Each is one connection, and is used by one thread at a time.
    """

    place: str
    """Where it is, for messages."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Closes it; once is enough, and twice does no harm."""

    @abstractmethod
    def _rows(self, sql: str, **values: int | bytes) -> list[Row]:
        """All rows of a query, with `:name` for values."""

    @abstractmethod
    def _write(self, sql: str, rows: Iterable[Mapping[str, int | bytes]]) -> None:
        """Runs a statement once for each of `rows`, inside a transaction."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing; raises `CheckpointMoved` where another process wrote at the same time."""

    @abstractmethod
    def _check_database(self) -> None:
        """Asks the database whether its own files are sound, where it can tell; raises `LedgerCorrupt`."""

    def checkpoint(self) -> bytes | None:
        row = self._row("SELECT note FROM checkpoint")
        return None if row is None else row[0]

    def entries(self, start: int, end: int) -> list[bytes]:
        rows = self._rows(
            "SELECT leaf FROM entry WHERE position >= :start AND position < :end ORDER BY position",
            start=start,
            end=end,
        )
        if len(rows) != end - start:
            raise LedgerCorrupt(f"{self.place}: {end - start - len(rows)} entries from {start} to {end} are missing")
        return [leaf for (leaf,) in rows]

    def nodes(self, level: int, start: int, end: int) -> list[bytes]:
        rows = self._rows(
            "SELECT hash FROM node WHERE level = :level AND position >= :start AND position < :end ORDER BY position",
            level=level,
            start=start,
            end=end,
        )
        if len(rows) != end - start:
            raise LedgerCorrupt(f"{self.place}: nodes of level {level} from {start} to {end} are missing")
        return [node for (node,) in rows]

    def index_of(self, submission_id: bytes) -> int | None:
        row = self._row("SELECT position FROM entry WHERE submission_id = :id", id=submission_id)
        return None if row is None else row[0]

    def append(
        self, expected: bytes | None, entries: Sequence[NewEntry], nodes: Sequence[TreeNode], checkpoint: bytes
    ) -> None:
        with self._transaction():
            if self.checkpoint() != expected:
                raise CheckpointMoved(f"{self.place}: another process has written to this ledger")
            self._write_entries(entries)
            self._write(
                "INSERT INTO node (level, position, hash) VALUES (:level, :position, :hash)",
                ({"level": node.level, "position": node.position, "hash": node.hash} for node in nodes),
            )
            self._write_checkpoint(checkpoint)

    def check(self) -> None:
        self._check_database()
        size = self._size()
        tree = CompactRange()
        made = 0
        for start in range(0, size, READ_BATCH):
            for entry in self.entries(start, min(start + READ_BATCH, size)):
                nodes = tree.append(leaf_hash(entry))
                made += len(nodes)
                for node in nodes:
                    self._check_node(node, tree.size - 1)
        self._check_counts(size, made)
        note = self.checkpoint()
        if note is not None and self._read(note).root != tree.root():
            raise LedgerCorrupt(f"{self.place}: the entries do not lead to the checkpoint's root")

    def _row(self, sql: str, **values: int | bytes) -> Row | None:
        rows = self._rows(sql, **values)
        return rows[0] if rows else None

    def _check_edge(self) -> None:
        """What opening can afford: the ends and the root of the right edge, in O(log n)."""
        size = self._size()
        ends = (
            self._end("SELECT max(position) FROM entry"),
            self._end("SELECT max(position) FROM node WHERE level = 0"),
        )
        if ends != (size, size):
            raise LedgerCorrupt(f"{self.place}: entries and leaves end at {ends} where the checkpoint says {size}")
        note = self.checkpoint()
        if note is not None and tree_root(size, self._node) != self._read(note).root:
            raise LedgerCorrupt(f"{self.place}: the stored tree does not lead to the checkpoint's root")

    def _end(self, last_position: str) -> int:
        row = self._row(last_position)
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def _size(self) -> int:
        note = self.checkpoint()
        return 0 if note is None else self._read(note).size

    def _read(self, note: bytes) -> Checkpoint:
        try:
            return read_unverified(note)
        except RemoteProtocolError as error:
            raise LedgerCorrupt(f"{self.place}: the stored checkpoint is not one: {error}") from error

    def _node(self, level: int, position: int) -> bytes:
        return self.nodes(level, position, position + 1)[0]

    def _check_counts(self, size: int, nodes: int) -> None:
        row = self._row("SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM node)")
        if row != (size, nodes):
            raise LedgerCorrupt(f"{self.place}: entries and nodes {row} where the checkpoint wants {(size, nodes)}")

    def _check_node(self, node: TreeNode, index: int) -> None:
        if self._node(node.level, node.position) != node.hash:
            raise LedgerCorrupt(
                f"{self.place}: entry {index} does not fit the stored node {node.position} of level {node.level}"
            )

    def _write_entries(self, entries: Sequence[NewEntry]) -> None:
        first = self._end("SELECT max(position) FROM entry")
        self._write(
            "INSERT INTO entry (position, submission_id, leaf) VALUES (:position, :id, :leaf)",
            (
                {"position": position, "id": entry.submission_id, "leaf": entry.leaf}
                for position, entry in enumerate(entries, start=first)
            ),
        )

    def _write_checkpoint(self, note: bytes) -> None:
        self._write(
            "INSERT INTO checkpoint (only_one, note) VALUES (1, :note)"
            " ON CONFLICT (only_one) DO UPDATE SET note = excluded.note",
            [{"note": note}],
        )


class LedgerStore(SqlStore):
    """The store on SQLite. Use it as a context manager, or `close` it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Opens the store at `path`.

        Raises `UserError` when it is missing and `create` is not set, exists although it is, is readable by others,
        or is not a ledger; `LedgerCorrupt` when its checkpoint does not fit its tree.
        """
        self._path = path
        self.place = str(path)
        if create:
            create_file(path)
        else:
            check_file(path)
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            self._prepare(new=create)
            self._check_edge()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def _rows(self, sql: str, **values: int | bytes) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def _write(self, sql: str, rows: Iterable[Mapping[str, int | bytes]]) -> None:
        self._connection.executemany(sql, rows)

    def _check_database(self) -> None:
        problems = self._connection.execute("PRAGMA integrity_check").fetchall()
        if problems != [("ok",)]:
            raise LedgerCorrupt(f"{self.place}: SQLite finds its file damaged: {problems[0][0]}")

    def _prepare(self, *, new: bool) -> None:
        connection = self._connection
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            application_id = self._pragma("application_id")
        except apsw.NotADBError as error:
            raise UserError(f"{self._path} is not a ledger: it is no SQLite database") from error
        if not new and application_id != APPLICATION_ID:
            raise UserError(f"{self._path} is not a ledger: name the file that `create` made")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        self._migrate()

    def _migrate(self) -> None:
        migrations = migration_scripts()
        with self._transaction():
            version = self._pragma("user_version")
            if version > len(migrations):
                raise UserError(f"{self._path} was written by a newer peernet (schema {version}): upgrade this one")
            for number, script in enumerate(migrations[version:], start=version + 1):
                self._connection.execute(script)
                self._connection.execute(f"PRAGMA user_version = {number}")
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _pragma(self, name: str) -> int:
        return pragma(self._connection, name)

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._connection)


class MirrorStore(LedgerStore):
    """The store of another node's log, with how far its witness has gone, and whether it is refused."""

    def witnessed(self) -> bytes | None:
        """The newest checkpoint that the witness has cosigned; None before the first."""
        row = self._row("SELECT note FROM witnessed")
        return None if row is None else row[0]

    def witness(self, expected: bytes | None, checkpoint: bytes) -> None:
        """Replaces it; raises `CheckpointMoved` unless it is still `expected`."""
        with self._transaction():
            if self.witnessed() != expected:
                raise CheckpointMoved(f"{self._path}: another process has written to this mirror")
            self._connection.execute(
                "INSERT INTO witnessed (only_one, note) VALUES (1, ?)"
                " ON CONFLICT (only_one) DO UPDATE SET note = excluded.note",
                (checkpoint,),
            )

    def refusal(self) -> Refusal | None:
        """Why the log is refused; None while it is not."""
        row = self._row("SELECT reason, proof FROM refusal")
        return None if row is None else Refusal(*row)

    def refuse(self, refusal: Refusal) -> None:
        """Refuses the log from now on; the first reason stays."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO refusal (only_one, reason, proof) VALUES (1, ?, ?) ON CONFLICT (only_one) DO NOTHING",
                (refusal.reason, refusal.proof),
            )


def edge_of(store: Store, size: int) -> CompactRange:
    """The right edge of the stored tree of `size` leaves, ready to append to."""
    edge = [store.nodes(level, position, position + 1)[0] for level, position in full_subtrees(0, size)]
    return CompactRange(size, edge)


def create_file(path: Path) -> None:
    """Makes an empty file that its owner alone can read; raises `UserError` when there is one, or no folder for it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError as error:
        raise UserError(f"{path} exists: open it without `create`, or move it away") from error
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} does not exist: make the folder first") from error
    os.close(descriptor)


def check_file(path: Path, what: str = "ledger") -> None:
    """Raises `UserError` when the file is missing, or open to others than its owner."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UserError(
            f"there is no {what} at {path}: restore it from a backup, or create a new one if there never was one"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise UserError(f"{path} is open to others than its owner: chmod 600 {path}")


def migration_scripts() -> list[str]:
    """The scripts in the order of their numbers, which begin at 1 and have no gaps."""
    scripts = sorted(
        (entry for entry in (resources.files("bootstrap") / "migrations").iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    numbers = [int(script.name.partition("_")[0]) for script in scripts]
    assert numbers == list(range(1, len(scripts) + 1)), numbers
    return [script.read_text(encoding="utf-8") for script in scripts]
