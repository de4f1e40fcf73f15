"""RFC 6962 proofs made and broken by others: each must verify, or fail, as its vector says."""

import base64
import json

import pytest

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.merkle import verify_consistency, verify_inclusion
from tests.shared import shared_data


def vectors(kind):
    files = sorted(shared_data(f"vectors/merkle/{kind}").rglob("*.json"))
    assert files
    for file in files:
        yield file, json.loads(file.read_text())


def decoded(text):
    return base64.b64decode(text or "")


def path_of(vector):
    return [decoded(part) for part in vector["proof"] or ()]


def holds(verify, *arguments):
    try:
        verify(*arguments)
    except RemoteProtocolError:
        return False
    return True


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_every_vector(kind):
    outcomes = {True: 0, False: 0}
    for file, vector in vectors(kind):
        if kind == "inclusion":
            good = holds(
                verify_inclusion,
                decoded(vector["leafHash"]),
                vector["leafIdx"],
                vector["treeSize"],
                path_of(vector),
                decoded(vector["root"]),
            )
        else:
            good = holds(
                verify_consistency,
                vector["size1"],
                vector["size2"],
                path_of(vector),
                decoded(vector["root1"]),
                decoded(vector["root2"]),
            )
        assert good is not vector["wantErr"], file
        outcomes[good] += 1
    assert all(outcomes.values()), outcomes
