"""The published Noise vectors, byte for byte, both sides, under both cipher suites.

The file is in the format that cacophony and snow share. A further file of that format can be named in the
environment variable PEERNET_NOISE_VECTORS; its vectors with other primitives than ours are passed over.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from peernet.core.noise import PATTERNS, HandshakeState
from peernet.core.suite import CipherSuite, MixedSuite, SodiumSuite
from tests.shared import shared_data

PUBLISHED = "vectors/noise/cacophony_25519_chachapoly.json"
HASHES = ("SHA256", "SHA512", "BLAKE2s", "BLAKE2b")
SUITES = [SodiumSuite(), MixedSuite()]


def vectors_in(path: Path) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return vectors


def name_of(vector: dict[str, Any]) -> str:
    name: str = vector.get("protocol_name") or vector.get("name") or ""
    return name


def further_vectors() -> list[dict[str, Any]]:
    path = os.environ.get("PEERNET_NOISE_VECTORS")
    return vectors_in(Path(path)) if path else []


def is_known_beforehand(vector: dict[str, Any], *, initiators: bool) -> bool:
    lines = PATTERNS[name_of(vector).split("_")[1].partition("psk")[0]]
    return "..." in lines and ("-> s" if initiators else "<- s") in lines[: lines.index("...")]


def key(vector: dict[str, Any], field: str) -> bytes | None:
    return bytes.fromhex(vector[field]) if vector.get(field) else None


def side(vector: dict[str, Any], suite: CipherSuite, *, initiator: bool) -> HandshakeState:
    prefix = "init" if initiator else "resp"
    psks = vector.get(f"{prefix}_psks") or ([vector[f"{prefix}_psk"]] if vector.get(f"{prefix}_psk") else [])
    return HandshakeState(
        suite,
        name_of(vector),
        initiator=initiator,
        prologue=bytes.fromhex(vector.get(f"{prefix}_prologue", "")),
        static=key(vector, f"{prefix}_static"),
        # Some files name the other's key even where the handshake itself brings it.
        remote_static=key(vector, f"{prefix}_remote_static")
        if is_known_beforehand(vector, initiators=not initiator)
        else None,
        ephemeral=key(vector, f"{prefix}_ephemeral"),
        psks=[bytes.fromhex(psk) for psk in psks],
    )


def play(vector: dict[str, Any], suite: CipherSuite) -> None:
    initiator, responder = side(vector, suite, initiator=True), side(vector, suite, initiator=False)
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    one_way = len(name_of(vector).split("_")[1].partition("psk")[0]) == 1

    index = 0
    while not initiator.finished:
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        payload, ciphertext = messages[index]
        assert writer.write_message(payload) == ciphertext
        assert reader.read_message(ciphertext) == payload
        index += 1
    assert responder.finished
    assert initiator.handshake_hash == responder.handshake_hash
    if "handshake_hash" in vector:
        assert initiator.handshake_hash.hex() == vector["handshake_hash"]

    initiator_sends, initiator_receives = initiator.split()
    responder_sends, responder_receives = responder.split()
    assert len(messages) > index
    for number, (payload, ciphertext) in enumerate(messages[index:], start=index):
        if one_way or number % 2 == 0:
            sends, receives = initiator_sends, responder_receives
        else:
            sends, receives = responder_sends, initiator_receives
        assert sends.encrypt(payload) == ciphertext
        assert receives.decrypt(ciphertext) == payload


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_published_vector(suite: CipherSuite) -> None:
    vectors = vectors_in(shared_data(PUBLISHED))
    for vector in vectors:
        play(vector, suite)
    assert len(vectors) == 236
    assert all("handshake_hash" in vector for vector in vectors)


def test_the_published_file_covers_every_pattern_and_hash() -> None:
    names = {name_of(vector) for vector in vectors_in(shared_data(PUBLISHED))}
    assert len(names) == 236
    missing = {f"{p} {h}" for p in PATTERNS for h in HASHES if f"Noise_{p}_25519_ChaChaPoly_{h}" not in names}
    assert not missing


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_further_vectors(suite: CipherSuite) -> None:
    """None without the environment variable; those with other primitives than ours are passed over.

    A file that is named and not there is an error, so that nobody takes a slip of the pen for a success.
    """
    vectors = further_vectors()
    spoken = [vector for vector in vectors if is_spoken(vector)]
    assert bool(spoken) == bool(vectors), "the file has no vector that we speak"
    for vector in spoken:
        play(vector, suite)


def is_spoken(vector: dict[str, Any]) -> bool:
    _, pattern, *primitives = name_of(vector).split("_")
    return primitives[:2] == ["25519", "ChaChaPoly"] and "fallback" not in pattern and "hfs" not in pattern
