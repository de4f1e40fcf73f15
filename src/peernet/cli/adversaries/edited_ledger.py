"""Somebody who can write to a ledger's database, and has not the key that signs the log.

Three attempts, each cleverer than the one before: an amount is raised in the entry; the whole tree above it is
computed anew; and the checkpoint is signed anew, by another key under the log's name. All of it is plain SQL, beside
the node's back.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
from attrs import evolve, frozen

from peernet.core.errors import UserError
from peernet.core.ledger.checkpoint import read_unverified, sign_checkpoint
from peernet.core.ledger.entries import Grant, Redeem, Settle, decode_entry, encode_entry
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.suite import MixedSuite

__all__ = ["Edit", "back_up", "forge_checkpoint", "raise_amount", "rebuild_tree"]

BUSY_TIMEOUT_MS: Final = 5_000
OWNER_ONLY: Final = 0o600


@frozen
class Edit:
    """What was done to an entry."""

    index: int
    before_microcredits: int
    after_microcredits: int


def raise_amount(database: Path, index: int) -> Edit:
    """Pays the host of the settlement at `index` all that its lane allows: no rule is broken by that."""
    with _open(database) as connection:
        leaves = _leaves(connection)
        settle = decode_entry(leaves[index])
        if not isinstance(settle, Settle):
            raise UserError(f"entry {index} is no settlement: choose another one to edit")
        (cap,) = [
            entry.cap_microcredits
            for entry in map(decode_entry, leaves)
            if isinstance(entry, Grant | Redeem) and entry.lane_key == settle.lane_key
        ]
        raised = encode_entry(evolve(settle, amount_microcredits=cap))
        connection.execute("UPDATE entry SET leaf = ? WHERE position = ?", (raised, index))
    return Edit(index, settle.amount_microcredits, cap)


def rebuild_tree(database: Path) -> bytes:
    """Makes all stored hashes fit the entries; returns the root that they now lead to."""
    with _open(database) as connection:
        tree = CompactRange()
        nodes = [node for leaf in _leaves(connection) for node in tree.append(leaf_hash(leaf))]
        connection.executemany(
            "UPDATE node SET hash = ? WHERE level = ? AND position = ?",
            ((node.hash, node.level, node.position) for node in nodes),
        )
    return tree.root()


def forge_checkpoint(database: Path, root: bytes) -> None:
    """Signs `root` under the log's name, by a key of one's own."""
    with _open(database) as connection:
        (note,) = _column(connection, "SELECT note FROM checkpoint")
        forged = sign_checkpoint(evolve(read_unverified(note), root=root), secrets.token_bytes(32), MixedSuite())
        connection.execute("UPDATE checkpoint SET note = ?", (forged,))


def back_up(database: Path, copy: Path) -> None:
    """A copy of a database that may be in use, as a careful operator makes it."""
    copy.touch(mode=OWNER_ONLY)
    source, target = apsw.Connection(str(database)), apsw.Connection(str(copy))
    try:
        with target.backup("main", source, "main") as backup:
            backup.step()
    finally:
        source.close()
        target.close()


@contextmanager
def _open(database: Path) -> Iterator[apsw.Connection]:
    """The database in one transaction, which is written when the block ends well."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        with connection:
            yield connection
    finally:
        connection.close()


def _leaves(connection: apsw.Connection) -> list[bytes]:
    return _column(connection, "SELECT leaf FROM entry ORDER BY position")


def _column(connection: apsw.Connection, query: str) -> list[Any]:
    return [value for (value,) in connection.execute(query).fetchall()]
