"""Signed notes, checkpoints, tile names and proofs: what is read back, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
)
from peernet.core.ledger.merkle import leaf_hash, node_hash
from peernet.core.ledger.notes import (
    COSIGNER_KEY,
    LOG_KEY,
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    parse_note,
    sign_note,
)
from peernet.core.ledger.proofs import LogProof, open_entry_proof, verify_proof
from peernet.core.ledger.tiles import (
    ResourceNotFound,
    Tile,
    decode_entry_bundle,
    decode_hash_tile,
    encode_entry_bundle,
)
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
TEXT = "first line\n\nlast line\n"
NAME = "log.example/one"
SEED = b"\x07" * 32
KEY = VerifierKey(NAME, LOG_KEY, SUITE.ed25519_public(SEED))
WITNESS_SEED = b"\x08" * 32
WITNESS = VerifierKey("witness.example", COSIGNER_KEY, SUITE.ed25519_public(WITNESS_SEED))


def signed(*lines):
    return Note(TEXT, lines or (sign_note(TEXT, NAME, SEED, SUITE),)).encode()


def reason_of(call, *arguments):
    with pytest.raises(RemoteProtocolError) as caught:
        call(*arguments)
    return caught.value.reason


def test_a_note_is_read_back_with_its_signer():
    opened = open_note(signed(), (KEY,), SUITE)
    assert opened.text == TEXT
    assert [signer.key for signer in opened.signers] == [KEY]


def test_signatures_of_unknown_keys_are_ignored():
    other = sign_note(TEXT, "other.example", b"\x09" * 32, SUITE)
    same_name = sign_note(TEXT, NAME, b"\x09" * 32, SUITE)
    data = signed(other, same_name, sign_note(TEXT, NAME, SEED, SUITE))
    assert [signer.key for signer in open_note(data, (KEY,), SUITE).signers] == [KEY]
    assert reason_of(open_note, signed(other, same_name), (KEY,), SUITE) == "unsigned"


def test_a_known_key_that_signed_otherwise_spoils_the_note():
    forged = sign_note("another text\n", NAME, SEED, SUITE)
    assert reason_of(open_note, signed(sign_note(TEXT, NAME, SEED, SUITE), forged), (KEY,), SUITE) == "bad_signature"


def test_one_key_counts_once():
    line = sign_note(TEXT, NAME, SEED, SUITE)
    assert len(open_note(signed(line, line), (KEY,), SUITE).signers) == 1


def test_a_cosignature_is_over_time_and_text():
    line = sign_note(TEXT, WITNESS.name, WITNESS_SEED, SUITE, timestamp_s=1_679_315_147)
    (signer,) = open_note(signed(line), (KEY, WITNESS), SUITE).signers
    assert (signer.key, signer.timestamp_s) == (WITNESS, 1_679_315_147)
    moved = line.signature[:7] + bytes([line.signature[7] ^ 1]) + line.signature[8:]
    shifted = type(line)(line.name, line.key_id, moved)
    assert reason_of(open_note, signed(shifted), (WITNESS,), SUITE) == "bad_signature"
    assert reason_of(open_note, signed(type(line)(line.name, line.key_id, b"x")), (WITNESS,), SUITE) == "bad_signature"


def test_the_specifications_cosignature_line_has_the_length_of_ours():
    theirs = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    ours = sign_note(TEXT, WITNESS.name, WITNESS_SEED, SUITE, timestamp_s=1_679_315_147)
    assert len(decode_base64(theirs)) == len(ours.key_id + ours.signature)
    assert decode_base64(theirs)[4:12] == ours.signature[:8]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        signed()[:-1],
        signed() + b"\n",
        signed().replace("—".encode(), b"-"),
        signed().replace(b" line", b"\tline"),
        signed().replace(b"first", b"\xff"),
        signed().replace(NAME.encode(), b""),
        signed().replace(NAME.encode(), b"a+b"),
        signed().replace(NAME.encode(), "a\N{NO-BREAK SPACE}b".encode()),
        "text\n\n— name\n".encode(),
        f"text\n\n— name {encode_base64(b'1234')}\n".encode(),
        signed() * 2000,
        Note(TEXT, (sign_note(TEXT, NAME, SEED, SUITE),) * 65).encode(),
    ],
)
def test_malformed_notes_are_refused(data):
    assert reason_of(parse_note, data) == "bad_note"


@pytest.mark.parametrize("encoded", ["AA=", "AAB=", "A A=", "AAAA\n", "é", "AA==AA=="])
def test_base64_has_one_form(encoded):
    assert reason_of(decode_base64, encoded) == "bad_base64"


def test_the_last_empty_line_parts_text_and_signatures():
    assert parse_note(signed()).text == TEXT


@pytest.mark.parametrize("text", ["no newline", "a\ttab\n"])
def test_a_text_that_cannot_be_read_back_is_not_signed(text):
    with pytest.raises(LocalProtocolError):
        sign_note(text, NAME, SEED, SUITE)


def test_a_verifier_key_is_read_back():
    for key in (KEY, WITNESS):
        assert VerifierKey.parse(key.text()) == key


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000", KEY.text().replace("log", "lag"), KEY.text()[:-4], "n+00000000+", "n+00000000+AgIC"],
)
def test_wrong_verifier_keys_are_refused(text):
    assert reason_of(VerifierKey.parse, text) in {"bad_key", "bad_base64"}


def test_a_checkpoint_is_read_back_with_its_extensions():
    checkpoint = Checkpoint(NAME, 12, b"\x01" * 32, ("extension",))
    assert open_checkpoint(sign_checkpoint(checkpoint, SEED, SUITE), KEY, SUITE) == checkpoint


def test_a_checkpoint_of_another_log_by_the_same_key_is_refused():
    text = Checkpoint("log.example/two", 0, bytes(32)).text()
    data = Note(text, (sign_note(text, NAME, SEED, SUITE),)).encode()
    assert reason_of(open_checkpoint, data, KEY, SUITE) == "wrong_log"


ROOT = encode_base64(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"origin\n1\n{ROOT}",
        "origin\n1\n",
        f"\n1\n{ROOT}\n",
        f"origin\n01\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n+1\n{ROOT}\n",
        f"origin\n\N{SUPERSCRIPT TWO}\n{ROOT}\n",
        f"origin\n9223372036854775808\n{ROOT}\n",
        f"origin\n{'9' * 5000}\n{ROOT}\n",
        f"origin\n1\n{encode_base64(bytes(31))}\n",
        f"origin\n1\n{ROOT}\n\n",
    ],
)
def test_malformed_checkpoints_are_refused(text):
    assert reason_of(parse_checkpoint_text, text) == "bad_checkpoint"


@given(st.sampled_from([None, 0, 1, 7]), st.integers(0, 10**12), st.integers(1, 256))
def test_tile_paths_are_read_back(level, index, width):
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/0/x000/001",
        "tile/0/001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/-1/000",
        "tile/entries/000/../000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "",
    ],
)
def test_other_paths_are_no_tiles(path):
    with pytest.raises(ResourceNotFound):
        Tile.parse(path)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_are_read_back(entries):
    assert decode_entry_bundle(encode_entry_bundle(entries), len(entries)) == tuple(entries)


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01ab", b""])
def test_a_cut_bundle_is_refused(data):
    assert reason_of(decode_entry_bundle, data, 1) == "bad_tile"


def test_tiles_and_entries_have_exact_sizes():
    assert decode_hash_tile(bytes(64), 2) == (bytes(32), bytes(32))
    assert reason_of(decode_hash_tile, bytes(63), 2) == "bad_tile"
    with pytest.raises(LocalProtocolError):
        encode_entry_bundle([bytes(65_536)])


def proof_of_two(extra=b"left"):
    root = node_hash(leaf_hash(b"left"), leaf_hash(b"right"))
    note = sign_checkpoint(Checkpoint(NAME, 2, root), SEED, SUITE)
    return LogProof(0, (leaf_hash(b"right"),), note, extra)


def test_a_proof_is_read_back_and_verified():
    proof = proof_of_two()
    assert LogProof.parse(proof.encode()) == proof
    assert verify_proof(proof, b"left", KEY, SUITE).size == 2
    assert open_entry_proof(proof.encode(), KEY, SUITE)[0] == b"left"
    assert LogProof.parse(proof_of_two(None).encode()).extra is None


def test_a_proof_of_another_entry_is_refused():
    assert reason_of(open_entry_proof, proof_of_two(b"right").encode(), KEY, SUITE) == "bad_proof"
    assert reason_of(open_entry_proof, proof_of_two(None).encode(), KEY, SUITE) == "bad_proof"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tlog-proof@v1", b"tlog-proof@v2"),
        (b"index 0", b"index 00"),
        (b"index 0\n", b""),
        (b"extra ", b"extra"),
        (b"index 0\n", b"index 0\n" + encode_base64(bytes(31)).encode() + b"\n"),
        (b"index 0\n", b"index 0\n" + (encode_base64(bytes(32)).encode() + b"\n") * 63),
        (b"index 0\n", b"index 0\n\n"),
        (b"index", "indéx".encode()),
    ],
)
def test_malformed_proofs_are_refused(old, new):
    data = proof_of_two().encode()
    assert old in data
    assert reason_of(open_entry_proof, data.replace(old, new, 1), KEY, SUITE) in {
        "bad_proof",
        "bad_checkpoint",
        "bad_note",
        "bad_signature",
        "unsigned",
    }
