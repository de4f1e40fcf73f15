"""The Merkle tree of a log: hashes, roots, and proofs of inclusion and consistency.

Theory of operation. A node is named by `(level, position)`: it covers the leaves from `position * 2**level` to
`(position + 1) * 2**level`. A node that is full never changes again, so a store keeps full nodes only; what is ragged
at the right edge is folded from them when it is asked for. Whoever makes proofs hands in a `NodeReader`; whoever
appends holds a `CompactRange`, the full subtrees along the edge.

Rules:

1. A leaf hashes as `SHA-256(0x00 || entry)`, a node as `SHA-256(0x01 || left || right)`.
2. A proof is verified against a size and a root that the verifier trusts from elsewhere; every hash in it must be
   used, and none may be missing.
3. Nothing is proven from the empty tree: consistency begins at size 1.

Source: RFC 6962 section 2.1; the verification loops follow RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "CompactRange",
    "NodeReader",
    "TreeNode",
    "consistency_proof",
    "full_subtrees",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of the full node `(level, position)`."""


@frozen
class TreeNode:
    """A full node: it covers `2**level` leaves and will not change again."""

    level: int
    position: int
    hash: bytes


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def full_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """The full nodes `(level, position)` that cover the leaves from `start` to `end`, largest first.

    `start` must lie on a boundary of the largest of them, as every range in a tree or a proof does.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def tree_root(size: int, node: NodeReader) -> bytes:
    """The root of the first `size` leaves."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeReader) -> tuple[bytes, ...]:
    """The sibling hashes of leaf `index` in the tree of `size` leaves, from the leaf upward.

    Raises `LocalProtocolError` unless `0 <= index < size`.
    """
    if not 0 <= index < size:
        raise LocalProtocolError(f"no leaf {index} in a tree of {size}")
    siblings: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return tuple(_range_hash(*sibling, node) for sibling in reversed(siblings))


def consistency_proof(old_size: int, new_size: int, node: NodeReader) -> tuple[bytes, ...]:
    """The hashes that show the first `old_size` of `new_size` leaves to be the old tree.

    Raises `LocalProtocolError` unless `1 <= old_size <= new_size`.
    """
    if not 1 <= old_size <= new_size:
        raise LocalProtocolError(f"no consistency proof from size {old_size} to size {new_size}")
    ranges: list[tuple[int, int]] = []
    start, end = 0, new_size
    while old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        # The old tree's last subtree; where it is the old tree itself, the verifier has its hash already.
        ranges.append((start, end))
    return tuple(_range_hash(*part, node) for part in reversed(ranges))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that the leaf hash `leaf` stands at `index` in the tree of `size` leaves with this `root`.

    Raises `RemoteProtocolError` with reason `bad_proof` when it is not shown to.
    """
    if not 0 <= index < size:
        raise _bad(f"no leaf {index} in a tree of {size}")
    _check_hashes((leaf, *proof))
    place, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _bad("an inclusion proof is too long")
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        place >>= 1
        last >>= 1
    if last != 0:
        raise _bad("an inclusion proof is too short")
    if computed != root:
        raise _bad(f"an inclusion proof of leaf {index} leads to another root")


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Checks that the tree of `new_size` only appended to the tree of `old_size`.

    Raises `RemoteProtocolError` with reason `bad_proof` when it is not shown to.
    """
    if not 1 <= old_size <= new_size:
        raise _bad(f"no consistency to show from size {old_size} to size {new_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise _bad("two trees of one size have different roots, or a proof where none is due")
        return
    _check_hashes(proof)
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise _bad("a consistency proof is empty")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old_computed = new_computed = path[0]
    for part in path[1:]:
        if last == 0:
            raise _bad("a consistency proof is too long")
        if place & 1 or place == last:
            old_computed = node_hash(part, old_computed)
            new_computed = node_hash(part, new_computed)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new_computed = node_hash(new_computed, part)
        place >>= 1
        last >>= 1
    if last != 0:
        raise _bad("a consistency proof is too short")
    if old_computed != old_root or new_computed != new_root:
        raise _bad(f"the tree of {new_size} leaves does not contain the tree of {old_size}")


class CompactRange:
    """The right edge of a growing tree: the hashes of `full_subtrees(0, size)`, and nothing else."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        if len(edge) != size.bit_count():
            raise LocalProtocolError(f"the edge of {size} leaves has {size.bit_count()} hashes, not {len(edge)}")
        self._size = size
        self._edge = list(edge)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> list[TreeNode]:
        """Takes the next leaf hash; returns the nodes that it made full, the leaf itself first."""
        level, position = 0, self._size
        made = [TreeNode(level, position, leaf)]
        while position & 1:
            level, position = level + 1, position >> 1
            made.append(TreeNode(level, position, node_hash(self._edge.pop(), made[-1].hash)))
        self._edge.append(made[-1].hash)
        self._size += 1
        return made

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        return _fold(self._edge) if self._edge else EMPTY_ROOT


def _split(width: int) -> int:
    """The largest power of two below `width`: where RFC 6962 parts a tree."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_hash(start: int, end: int, node: NodeReader) -> bytes:
    return _fold([node(level, position) for level, position in full_subtrees(start, end)])


def _fold(hashes: Sequence[bytes]) -> bytes:
    computed = hashes[-1]
    for left in reversed(hashes[:-1]):
        computed = node_hash(left, computed)
    return computed


def _check_hashes(hashes: Sequence[bytes]) -> None:
    # Fixed lengths keep a node apart from any other cut of the same bytes.
    if any(len(value) != HASH_SIZE for value in hashes):
        raise _bad(f"a proof has a hash that is not of {HASH_SIZE} bytes")


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason="bad_proof")
