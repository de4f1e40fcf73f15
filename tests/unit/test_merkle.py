"""The tree against a naive recursive twin, written as RFC 6962 section 2.1 words it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    full_subtrees,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

MAX_LEAVES = 70


def naive_split(width):
    split = 1
    while split * 2 < width:
        split *= 2
    return split


def naive_root(entries):
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = naive_split(len(entries))
    return hashlib.sha256(b"\x01" + naive_root(entries[:split]) + naive_root(entries[split:])).digest()


def naive_path(index, entries):
    if len(entries) == 1:
        return []
    split = naive_split(len(entries))
    if index < split:
        return [*naive_path(index, entries[:split]), naive_root(entries[split:])]
    return [*naive_path(index - split, entries[split:]), naive_root(entries[:split])]


def naive_consistency(old, entries, *, whole=True):
    if old == len(entries):
        return [] if whole else [naive_root(entries)]
    split = naive_split(len(entries))
    if old <= split:
        return [*naive_consistency(old, entries[:split], whole=whole), naive_root(entries[split:])]
    return [*naive_consistency(old - split, entries[split:], whole=False), naive_root(entries[:split])]


class Tree:
    def __init__(self, size):
        self.entries = [b"entry %d" % index for index in range(size)]
        self.range = CompactRange()
        self.nodes = {}
        for entry in self.entries:
            for node in self.range.append(leaf_hash(entry)):
                self.nodes[node.level, node.position] = node.hash

    def node(self, level, position):
        return self.nodes[level, position]


TREES = {}


def tree(size):
    if size not in TREES:
        TREES[size] = Tree(size)
    return TREES[size]


sizes = st.integers(1, MAX_LEAVES)


@st.composite
def size_and_index(draw):
    size = draw(sizes)
    return size, draw(st.integers(0, size - 1))


@given(st.integers(0, MAX_LEAVES))
def test_roots_are_the_twins(size):
    assert tree(size).range.root() == tree_root(size, tree(size).node) == naive_root(tree(size).entries)


@given(size_and_index())
def test_inclusion_proofs_are_the_twins_and_verify(where):
    size, index = where
    grown = tree(MAX_LEAVES)
    proof = inclusion_proof(index, size, grown.node)
    assert list(proof) == naive_path(index, grown.entries[:size])
    verify_inclusion(leaf_hash(grown.entries[index]), index, size, proof, tree_root(size, grown.node))


@given(size_and_index())
def test_consistency_proofs_are_the_twins_and_verify(where):
    new, old = where[0], where[1] + 1
    grown = tree(MAX_LEAVES)
    proof = consistency_proof(old, new, grown.node)
    assert list(proof) == naive_consistency(old, grown.entries[:new])
    verify_consistency(old, new, proof, tree_root(old, grown.node), tree_root(new, grown.node))


@given(size_and_index(), st.data())
def test_a_changed_inclusion_proof_is_refused(where, data):
    size, index = where
    grown = tree(MAX_LEAVES)
    leaf, root = leaf_hash(grown.entries[index]), tree_root(size, grown.node)
    proof = list(inclusion_proof(index, size, grown.node))
    change = data.draw(st.sampled_from(["flip", "drop", "add", "other_index", "other_leaf"]))
    if change == "flip" and proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        proof[place] = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    elif change == "drop" and proof:
        del proof[data.draw(st.integers(0, len(proof) - 1))]
    elif change == "other_index" and size > 1:
        index = (index + data.draw(st.integers(1, size - 1))) % size
    elif change == "other_leaf":
        leaf = leaf_hash(b"another")
    else:
        proof.insert(data.draw(st.integers(0, len(proof))), root)
    with pytest.raises(RemoteProtocolError):
        verify_inclusion(leaf, index, size, proof, root)


@given(size_and_index(), st.data())
def test_a_rewritten_history_is_not_consistent(where, data):
    new, old = where[0], where[1] + 1
    grown = tree(MAX_LEAVES)
    rewritten = list(grown.entries[:old])
    rewritten[data.draw(st.integers(0, old - 1))] = b"rewritten"
    proof = consistency_proof(old, new, grown.node)
    with pytest.raises(RemoteProtocolError):
        verify_consistency(old, new, proof, naive_root(rewritten), tree_root(new, grown.node))


@given(st.integers(0, MAX_LEAVES), st.integers(0, 20))
def test_a_range_goes_on_from_its_stored_edge(size, more):
    grown = tree(MAX_LEAVES)
    edge = [grown.nodes[node] for node in full_subtrees(0, size)]
    resumed = CompactRange(size, edge)
    entries = grown.entries[:size] + [b"more %d" % index for index in range(more)]
    for entry in entries[size:]:
        resumed.append(leaf_hash(entry))
    assert (resumed.size, resumed.root()) == (len(entries), naive_root(entries))


def test_an_edge_of_the_wrong_length_is_a_bug_of_ours():
    with pytest.raises(LocalProtocolError):
        CompactRange(3, [EMPTY_ROOT])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 2)])
def test_no_inclusion_proof_outside_the_tree(index, size):
    with pytest.raises(LocalProtocolError):
        inclusion_proof(index, size, tree(2).node)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (2, 1)])
def test_no_consistency_proof_from_nothing_or_backwards(old, new):
    with pytest.raises(LocalProtocolError):
        consistency_proof(old, new, tree(2).node)
