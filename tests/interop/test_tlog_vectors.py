"""A tlog-tiles log that Tessera wrote, in every size from 0 to 15: its notes, tiles and bundles are ours too."""

import pytest

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.checkpoint import open_checkpoint
from peernet.core.ledger.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
)
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import LogProof, verify_proof
from peernet.core.ledger.tiles import (
    Tile,
    decode_entry_bundle,
    decode_hash_tile,
    encode_entry_bundle,
    entry_bundles,
    hash_tiles,
)
from peernet.core.suite import MixedSuite
from tests.shared import shared_data

SIZE = 15
KEY = VerifierKey.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
SUITE = MixedSuite()


@pytest.fixture
def folder():
    return shared_data("vectors/tlog/tessera_log")


def checkpoint_of(folder, size):
    return open_checkpoint((folder / f"checkpoint.{size}").read_bytes(), KEY, SUITE)


def read_tree(folder, size):
    tree, nodes = CompactRange(), {}
    entries = []
    for bundle in entry_bundles(size):
        entries += decode_entry_bundle((folder / bundle.path()).read_bytes(), bundle.width)
    for entry in entries:
        for node in tree.append(leaf_hash(entry)):
            nodes[node.level, node.position] = node.hash
    return entries, tree, nodes


@pytest.mark.parametrize("size", range(SIZE + 1))
def test_the_entries_lead_to_the_signed_root_in_every_size(folder, size):
    checkpoint = checkpoint_of(folder, size)
    entries, tree, nodes = read_tree(folder, size)
    assert (checkpoint.origin, checkpoint.size) == (KEY.name, size)
    assert checkpoint.root == tree.root()
    assert [tile.path() for tile in hash_tiles(size)] == ([f"tile/0/000.p/{size}"] if size else [])
    for tile in hash_tiles(size):
        served = decode_hash_tile((folder / tile.path()).read_bytes(), tile.width)
        assert list(served) == [nodes[0, position] for position in range(size)]
    for bundle in entry_bundles(size):
        assert encode_entry_bundle(entries) == (folder / bundle.path()).read_bytes()


def test_the_latest_checkpoint_is_the_largest(folder):
    assert open_checkpoint((folder / "checkpoint").read_bytes(), KEY, SUITE) == checkpoint_of(folder, SIZE)


def test_each_size_is_consistent_with_each_later_one(folder):
    _, _, nodes = read_tree(folder, SIZE)
    roots = [checkpoint_of(folder, size).root for size in range(SIZE + 1)]
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, lambda level, position: nodes[level, position])
            verify_consistency(old, new, proof, roots[old], roots[new])


def test_each_entry_is_proven_by_a_tlog_proof(folder):
    entries, _, nodes = read_tree(folder, SIZE)
    note = (folder / "checkpoint").read_bytes()
    for index, entry in enumerate(entries):
        path = inclusion_proof(index, SIZE, lambda level, position: nodes[level, position])
        proof = LogProof.parse(LogProof(index, path, note).encode())
        assert verify_proof(proof, entry, KEY, SUITE).size == SIZE
        with pytest.raises(RemoteProtocolError, match="another root"):
            verify_proof(proof, entry + b"!", KEY, SUITE)


def test_a_changed_checkpoint_is_refused(folder):
    note = (folder / "checkpoint").read_bytes().replace(b"\n15\n", b"\n14\n")
    with pytest.raises(RemoteProtocolError) as caught:
        open_checkpoint(note, KEY, SUITE)
    assert caught.value.reason == "bad_signature"


def test_the_specifications_tile_paths():
    assert Tile(0, 1234067).path() == "tile/0/x001/x234/067"
    assert Tile.parse("tile/0/x001/x234/067") == Tile(0, 1234067)
    # The sizes that the specification counts out for a tree of 70,000 and one of 256.
    tiles = list(hash_tiles(70_000))
    assert len([tile for tile in tiles if tile.level == 0 and tile.width == 256]) == 273
    assert [(tile.level, tile.width) for tile in tiles if tile.index == 273] == [(0, 112)]
    assert [(tile.index, tile.width) for tile in tiles if tile.level == 1] == [(0, 256), (1, 17)]
    assert [(tile.index, tile.width) for tile in tiles if tile.level == 2] == [(0, 1)]
    assert [(tile.level, tile.width) for tile in hash_tiles(256)] == [(0, 256), (1, 1)]
