"""Cells: one size whatever they carry, and nothing that is not the next one opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.noise import CipherState
from peernet.core.ring.cells import (
    BODY_SIZE,
    CELL_SIZE,
    HANDSHAKE_MESSAGE_SIZE,
    CellType,
    SealedCell,
    check_size,
    cut_cells,
    handshake_cell,
    handshake_message,
    layer_of,
    open_cell,
    reason_of,
    seal_cell,
)
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
KEY = b"k" * 32


def ciphers() -> tuple[CipherState, CipherState]:
    return CipherState(SUITE, KEY), CipherState(SUITE, KEY)


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


@given(st.sampled_from(CellType), st.binary(max_size=BODY_SIZE))
def test_every_cell_has_one_size_and_opens_to_what_was_sealed(kind: CellType, body: bytes):
    sealing, opening = ciphers()
    cell = seal_cell(sealing, kind, body)
    assert len(cell) == CELL_SIZE == 1024
    assert open_cell(opening, cell) == SealedCell(kind, body)


def test_the_largest_body_fits_and_one_byte_more_does_not():
    sealing, opening = ciphers()
    assert open_cell(opening, seal_cell(sealing, CellType.DATA, bytes(BODY_SIZE))).body == bytes(BODY_SIZE)
    with pytest.raises(LocalProtocolError):
        seal_cell(sealing, CellType.DATA, bytes(BODY_SIZE + 1))


def test_the_same_body_twice_looks_different():
    sealing, _ = ciphers()
    assert seal_cell(sealing, CellType.DATA, b"same") != seal_cell(sealing, CellType.DATA, b"same")


def test_dropped_repeated_and_reordered_cells_do_not_open():
    sealing, opening = ciphers()
    first, second, third = (seal_cell(sealing, CellType.DATA, bytes([number])) for number in range(3))
    assert reason(lambda: open_cell(opening, second)) == "bad_tag"
    open_cell(opening, first)
    assert reason(lambda: open_cell(opening, first)) == "bad_tag"
    assert reason(lambda: open_cell(opening, third)) == "bad_tag"
    assert open_cell(opening, second).body == b"\1"


@pytest.mark.parametrize("position", [0, 1, 500, CELL_SIZE - 17, CELL_SIZE - 16, CELL_SIZE - 1])
def test_a_flipped_bit_anywhere_does_not_open(position: int):
    sealing, opening = ciphers()
    cell = bytearray(seal_cell(sealing, CellType.DATA, b"text"))
    cell[position] ^= 1
    assert reason(lambda: open_cell(opening, bytes(cell))) == "bad_tag"


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_a_cell_of_an_unknown_type_is_refused(kind: int):
    sealing, opening = ciphers()
    cell = sealing.encrypt(bytes((kind, 0, 0)).ljust(CELL_SIZE - 16, b"\0"))
    assert reason(lambda: open_cell(opening, cell)) == "bad_cell"


def test_a_cell_that_claims_more_than_it_holds_is_refused():
    sealing, opening = ciphers()
    cell = sealing.encrypt((b"\x03" + (BODY_SIZE + 1).to_bytes(2, "big")).ljust(CELL_SIZE - 16, b"\xff"))
    assert reason(lambda: open_cell(opening, cell)) == "bad_cell"


def test_a_handshake_message_travels_in_a_cell():
    message = bytes(range(HANDSHAKE_MESSAGE_SIZE))
    cell = handshake_cell(message)
    assert len(cell) == CELL_SIZE
    assert handshake_message(cell) == message
    with pytest.raises(LocalProtocolError):
        handshake_cell(message + b"\0")


def test_a_layer_is_not_the_keystream_of_the_transports_own_key():
    cipher = CipherState(SUITE, KEY)
    layer = layer_of(SUITE, cipher).update(bytes(CELL_SIZE))
    assert layer == layer_of(SUITE, CipherState(SUITE, KEY)).update(bytes(CELL_SIZE))
    sealed = cipher.encrypt(bytes(CELL_SIZE))[:CELL_SIZE]
    assert layer != sealed
    assert layer != SUITE.keystream(KEY).update(bytes(CELL_SIZE))


@given(st.lists(st.binary(min_size=CELL_SIZE, max_size=CELL_SIZE), max_size=4), st.binary(max_size=CELL_SIZE - 1))
def test_whole_cells_are_cut_off_and_the_rest_stays(cells: list[bytes], rest: bytes):
    buffer = bytearray(b"".join(cells) + rest)
    assert cut_cells(buffer) == cells
    assert buffer == rest


@pytest.mark.parametrize("size", [0, CELL_SIZE - 1, CELL_SIZE + 1])
def test_nothing_of_another_size_is_a_cell(size: int):
    with pytest.raises(LocalProtocolError):
        check_size(bytes(size))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"lost", "lost"),
        (b"no_partner", "no_partner"),
        (b"a" * 32, "a" * 32),
        (b"a" * 33, "unknown"),
        (b"", "unknown"),
        (b"two words", "unknown"),
        (b"\xff\xfe", "unknown"),
        ("grüße".encode(), "unknown"),
        (b"line\nbreak", "unknown"),
        (b"x1", "unknown"),
    ],
)
def test_a_reason_is_a_plain_word_or_unknown(body: bytes, expected: str):
    assert reason_of(body) == expected
