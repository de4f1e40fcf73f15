"""Cells: the fixed 1,024 bytes that every leg of a ring carries, whatever they mean.

Theory of operation. A leg is one stream between two neighbours; it carries nothing but cells. On each arc the first
cell that reaches a hop is a Noise_NK message from the client (`HANDSHAKE_PROTOCOL`, to the hop's onion key), and the
hop's first cell back is the answer. From then on the client and the hop share

- a pair of Noise transport keys: with them one hop at a time talks to the client, in *sealed* cells, and
- a pair of ChaCha20 keystreams, the hop's *layer*, which a forwarding hop applies to every cell that passes.

The second cell that reaches a hop is a command, sealed: `EXTEND` makes it a forwarder for good, `JOIN` an endpoint.
A forwarder applies its layer and looks into nothing; an endpoint has no layer, only sealed cells. Nothing in a cell
says at which place of the arc it is.

A sealed cell is an AEAD ciphertext, empty associated data, the Noise transport's own nonce counter, over

    type (1 byte) | length (2 bytes, big-endian) | body (length bytes) | zeros up to 1,008 bytes

so a cell that is dropped, repeated, reordered or altered fails the next tag, and ends the ring.
"""

from enum import IntEnum
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.noise import CipherState
from peernet.core.suite import TAG_SIZE, CipherSuite, Keystream

__all__ = [
    "BODY_SIZE",
    "CELL_SIZE",
    "CellType",
    "SealedCell",
    "check_size",
    "check_whole",
    "cut_cells",
    "layer_of",
    "open_cell",
    "reason_of",
    "seal_cell",
]

CELL_SIZE: Final = 1024
HANDSHAKE_PROTOCOL: Final = "Noise_NK_25519_ChaChaPoly_SHA256"
HANDSHAKE_PROLOGUE: Final = b"/peernet/ring/1"
HANDSHAKE_MESSAGE_SIZE: Final = 48
"""Both Noise_NK messages without payload: an ephemeral key and a tag."""

_HEADER_SIZE: Final = 3
_MAX_REASON_SIZE: Final = 32
_PLAINTEXT_SIZE: Final = CELL_SIZE - TAG_SIZE
BODY_SIZE: Final = _PLAINTEXT_SIZE - _HEADER_SIZE
"""The most that one sealed cell carries, in bytes."""


class CellType(IntEnum):
    """What a sealed cell is for."""

    EXTEND = 1
    """Client to hop: become a forwarder to the peer of this signed record (the body)."""
    JOIN = 2
    """Client to endpoint: this arc is one half of a ring (`ring.Join`)."""
    DATA = 3
    """Along the arc's direction: bytes of the message stream."""
    WINDOW = 4
    """Against the arc's direction: so many more data cells may come (2 bytes, big-endian)."""
    END = 5
    """Either way: the ring is over; the body is a reason word."""
    PAD = 6
    """Along the arc's direction, on a paced ring: nothing (`pacing`)."""


@frozen
class SealedCell:
    """An opened cell."""

    type: CellType
    body: bytes


def seal_cell(cipher: CipherState, kind: CellType, body: bytes) -> bytes:
    """A cell of `CELL_SIZE` bytes; `body` holds at most `BODY_SIZE`."""
    if len(body) > BODY_SIZE:
        raise LocalProtocolError(f"a cell body of {len(body)} bytes, over {BODY_SIZE}")
    plaintext = bytes((kind,)) + len(body).to_bytes(2, "big") + body
    return cipher.encrypt(plaintext.ljust(_PLAINTEXT_SIZE, b"\0"))


def open_cell(cipher: CipherState, cell: bytes) -> SealedCell:
    """The contents of a sealed cell; raises `RemoteProtocolError` if it is not the next one of this transport."""
    plaintext = cipher.decrypt(cell)
    size = int.from_bytes(plaintext[1:_HEADER_SIZE], "big")
    if size > BODY_SIZE:
        raise RemoteProtocolError("a cell claims more than it can hold", reason="bad_cell")
    try:
        kind = CellType(plaintext[0])
    except ValueError:
        raise RemoteProtocolError(f"unknown cell type {plaintext[0]}", reason="bad_cell") from None
    return SealedCell(kind, plaintext[_HEADER_SIZE : _HEADER_SIZE + size])


def handshake_cell(message: bytes) -> bytes:
    """A Noise_NK message as a cell."""
    if len(message) != HANDSHAKE_MESSAGE_SIZE:
        raise LocalProtocolError(f"a handshake message of {len(message)} bytes, not {HANDSHAKE_MESSAGE_SIZE}")
    return message.ljust(CELL_SIZE, b"\0")


def handshake_message(cell: bytes) -> bytes:
    """The Noise_NK message in a cell."""
    return cell[:HANDSHAKE_MESSAGE_SIZE]


def layer_of(suite: CipherSuite, cipher: CipherState) -> Keystream:
    """The keystream of one direction of a hop's layer, from the key of that direction's transport.

    HMAC keeps it apart from the key's use in the AEAD (both are keyed pseudorandom functions of it).
    """
    return suite.keystream(cipher.export_key(b"peernet ring layer 1"))


def reason_of(body: bytes) -> str:
    """The reason word of an END; whatever is no plain short word counts as `unknown`, since a peer chose it."""
    text = body[: _MAX_REASON_SIZE + 1].decode("ascii", "replace")
    plain = text.isascii() and text.replace("_", "").isalpha() and len(text) <= _MAX_REASON_SIZE
    return text if plain else "unknown"


def check_size(cell: bytes) -> None:
    """Raises `LocalProtocolError` for what is no cell: legs are cut by `cut_cells`."""
    if len(cell) != CELL_SIZE:
        raise LocalProtocolError(f"a cell of {len(cell)} bytes, not {CELL_SIZE}")


def check_whole(cells: bytes) -> None:
    """Raises `LocalProtocolError` for what is not a number of whole cells."""
    if len(cells) % CELL_SIZE:
        raise LocalProtocolError(f"{len(cells)} bytes are no whole cells of {CELL_SIZE}")


def cut_cells(buffer: bytearray) -> list[bytes]:
    """Takes all whole cells off the front of `buffer`."""
    count = len(buffer) // CELL_SIZE
    cells = [bytes(buffer[i * CELL_SIZE : (i + 1) * CELL_SIZE]) for i in range(count)]
    del buffer[: count * CELL_SIZE]
    return cells
