"""Equivocation: two signed statements of one log convict it, or they do not."""

from collections.abc import Sequence

import pytest

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger import merkle
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.equivocation import Equivocation, prove_equivocation, verify_equivocation
from peernet.core.ledger.merkle import CompactRange, leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.proofs import LogProof
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
ORIGIN = "example.org/log"
SEED = bytes(range(32))
KEY = VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(SEED))
HISTORY = (b"grant 1", b"grant 2", b"settle 1", b"grant 3", b"settle 2")
FORKED = (b"grant 1", b"grant 2", b"settle 1", b"another grant", b"settle 2")


def signed(entries: Sequence[bytes], seed: bytes = SEED, origin: str = ORIGIN) -> bytes:
    tree = CompactRange()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return sign_checkpoint(Checkpoint(origin, len(entries), tree.root()), seed, SUITE)


def with_entry(entries: Sequence[bytes], index: int) -> bytes:
    nodes = {}
    tree = CompactRange()
    for entry in entries:
        nodes.update({(node.level, node.position): node.hash for node in tree.append(leaf_hash(entry))})
    path = merkle.inclusion_proof(index, len(entries), lambda level, position: nodes[level, position])
    return LogProof(index, path, signed(entries), entries[index]).encode()


def refused(first: bytes, second: bytes, key: VerifierKey = KEY) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        prove_equivocation(first, second, key, SUITE)
    return raised.value.reason


def test_two_roots_of_one_size_convict_the_log() -> None:
    proof = prove_equivocation(signed(HISTORY), signed(FORKED), KEY, SUITE)
    found = verify_equivocation(Equivocation.parse(proof.encode()), KEY, SUITE)
    assert (found.first.size, found.second.size, found.index) == (5, 5, None)
    assert found.first.root != found.second.root


def test_even_of_the_empty_log() -> None:
    other = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), SEED, SUITE)
    assert verify_equivocation(Equivocation(signed(()), other), KEY, SUITE).index is None


def test_different_sizes_alone_convict_nobody() -> None:
    """Not even when the two are a fork: nobody could tell it from the two checkpoints."""
    assert refused(signed(HISTORY[:4]), signed(HISTORY)) == "no_contradiction"
    assert refused(signed(HISTORY[:4]), signed(FORKED)) == "no_contradiction"


def test_different_sizes_with_different_entries_at_one_index_convict() -> None:
    proof = prove_equivocation(with_entry(HISTORY[:4], 3), with_entry(FORKED, 3), KEY, SUITE)
    found = verify_equivocation(proof, KEY, SUITE)
    assert (found.first.size, found.second.size, found.index) == (4, 5, 3)


def test_a_log_that_only_grew_is_not_convicted() -> None:
    for index in range(4):
        assert refused(with_entry(HISTORY[:4], index), with_entry(HISTORY, index)) == "no_contradiction"
    # Two entries of one history, at two places.
    assert refused(with_entry(HISTORY, 1), with_entry(HISTORY, 2)) == "no_contradiction"
    assert refused(signed(HISTORY), signed(HISTORY)) == "no_contradiction"
    assert refused(signed(HISTORY), with_entry(HISTORY, 1)) == "no_contradiction"


def test_an_entry_of_one_side_alone_convicts_nobody() -> None:
    assert refused(with_entry(HISTORY[:4], 3), signed(FORKED)) == "no_contradiction"


def test_nobody_can_be_convicted_by_what_they_did_not_sign() -> None:
    forged = signed(FORKED, seed=bytes(32))
    assert refused(signed(HISTORY), forged) in {"bad_signature", "unsigned"}
    altered = signed(HISTORY).replace(b"\n5\n", b"\n6\n")
    assert refused(signed(HISTORY), altered) == "bad_signature"
    other = "example.org/other"
    assert refused(signed(HISTORY), signed(FORKED, origin=other)) in {"unsigned", "wrong_log"}
    key = VerifierKey(other, LOG_KEY, KEY.public_key)
    assert refused(signed(HISTORY), signed(FORKED), key) in {"unsigned", "wrong_log"}


def test_an_entry_must_be_under_its_checkpoint() -> None:
    honest = LogProof.parse(with_entry(FORKED, 3))
    lie = LogProof(honest.index, honest.path, honest.checkpoint, b"a third grant").encode()
    assert refused(with_entry(HISTORY[:4], 3), lie) == "bad_proof"


@pytest.mark.parametrize("data", [b"", b"\x92\xc4\x00", b"\x93\xc4\x00\xc4\x00\xc4\x00", bytes(200_000)])
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        verify_equivocation(Equivocation.parse(data), KEY, SUITE)
