"""Checkpoints: a log's signed statement of how long it is and what is in it.

A checkpoint is a note whose text is the log's origin, its size, its root hash in base64, and perhaps extension lines.
We make none of the last and take them as they come. In our logs the log's key is named by its origin, and a reader
holds both to that.

Source: C2SP tlog-checkpoint v1.
"""

from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.merkle import HASH_SIZE
from peernet.core.ledger.notes import (
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    parse_note,
    sign_note,
)
from peernet.core.suite import CipherSuite

__all__ = [
    "Checkpoint",
    "open_checkpoint",
    "parse_checkpoint_text",
    "parse_decimal",
    "read_unverified",
    "sign_checkpoint",
]

MAX_SIZE: Final = 2**63 - 1


@frozen
class Checkpoint:
    """The three lines of a checkpoint, and extension lines without meaning."""

    origin: str
    size: int
    """Leaves in the tree."""
    root: bytes
    """32 bytes."""
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint_text(text: str) -> Checkpoint:
    """The checkpoint in the text of a note; raises `RemoteProtocolError` (`bad_checkpoint`) when it is none."""
    if not text.endswith("\n"):
        raise _bad("a checkpoint does not end its last line")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise _bad("a checkpoint has three lines or more, and none of them empty")
    origin, size, root, *extensions = lines
    decoded = decode_base64(root)
    if len(decoded) != HASH_SIZE:
        raise _bad(f"a checkpoint's root has {len(decoded)} bytes, not {HASH_SIZE}")
    return Checkpoint(origin, parse_decimal(size), decoded, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, seed: bytes, suite: CipherSuite) -> bytes:
    """The signed note of `checkpoint`, by the log's key of that seed, which is named by the origin."""
    text = checkpoint.text()
    return Note(text, (sign_note(text, checkpoint.origin, seed, suite),)).encode()


def open_checkpoint(data: bytes, log_key: VerifierKey, suite: CipherSuite) -> Checkpoint:
    """The checkpoint in a note that `log_key` signed; the origin must be the key's name.

    Raises `RemoteProtocolError`, as `open_note` does, and with `wrong_log` for another log's origin.
    """
    checkpoint = parse_checkpoint_text(open_note(data, (log_key,), suite).text)
    if checkpoint.origin != log_key.name:
        raise RemoteProtocolError(f"the checkpoint is of another log than {log_key.name}", reason="wrong_log")
    return checkpoint


def read_unverified(data: bytes) -> Checkpoint:
    """The checkpoint in a note whose signature is not looked at: for a store reading back what it wrote itself."""
    return parse_checkpoint_text(parse_note(data).text)


def parse_decimal(text: str) -> int:
    """A number of ASCII digits without leading zeroes; raises `RemoteProtocolError` (`bad_checkpoint`)."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise _bad("a number is not written as plain decimal digits")
    value = int(text)
    if value > MAX_SIZE:
        raise _bad(f"the number {value} is over 63 bits")
    return value


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason="bad_checkpoint")
