"""Signed notes: a text with signature lines, each by a named key.

```
<text, any lines>
                                        (an empty line parts text and signatures)
— <key name> <base64 of key id and signature>
```

Rules:

1. A note is UTF-8 without control characters but the newline; its text ends with one.
2. A key is known by name and id together. Lines of unknown keys are ignored; a line of a known key must verify, or
   the whole note is refused; and at least one must be there.
3. The text means nothing before a signature has been verified: `open_note` is the way to read one.

Two types of key: a log's plain Ed25519 (0x01), and a cosigner's Ed25519 over time and text (0x04).

Source: C2SP signed-note v1, and tlog-cosignature v1 for type 0x04.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.suite import KEY_SIZE, SIGNATURE_SIZE, CipherSuite

__all__ = [
    "COSIGNER_KEY",
    "LOG_KEY",
    "MAX_NOTE_SIZE",
    "Note",
    "NoteSignature",
    "OpenedNote",
    "Signer",
    "VerifierKey",
    "decode_base64",
    "encode_base64",
    "encode_signature_lines",
    "open_note",
    "parse_note",
    "parse_signature_lines",
    "sign_note",
]

LOG_KEY: Final = 0x01
COSIGNER_KEY: Final = 0x04
KEY_ID_SIZE: Final = 4
MAX_NOTE_SIZE: Final = 1 << 16
MAX_SIGNATURES: Final = 64
MAX_TIMESTAMP_S: Final = 2**63 - 1

_LINE_START = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_TIMESTAMP = struct.Struct(">Q")


@frozen
class VerifierKey:
    """A key that signs notes: its name, its type and the 32-byte Ed25519 key."""

    name: str
    algorithm: int
    """`LOG_KEY` or `COSIGNER_KEY`."""
    public_key: bytes

    def __attrs_post_init__(self) -> None:
        _check_name(self.name)
        if self.algorithm not in {LOG_KEY, COSIGNER_KEY}:
            raise RemoteProtocolError(f"unknown type 0x{self.algorithm:02x} of note key", reason="bad_key")
        if len(self.public_key) != KEY_SIZE:
            raise RemoteProtocolError(f"a note key of {len(self.public_key)} bytes, not {KEY_SIZE}", reason="bad_key")

    @property
    def key_id(self) -> bytes:
        """Four bytes that, with the name, tell the key in a signature line."""
        material = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(material).digest()[:KEY_ID_SIZE]

    def text(self) -> str:
        """The key as people write it: `name+id+base64` (a vkey)."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key of a vkey text; raises `RemoteProtocolError` (`bad_key`) when it is none, or its id is wrong."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise RemoteProtocolError("a verifier key is name+id+base64", reason="bad_key")
        name, key_id, encoded = parts
        material = decode_base64(encoded)
        if not material:
            raise RemoteProtocolError("a verifier key without key", reason="bad_key")
        key = cls(name, material[0], material[1:])
        if key.key_id.hex() != key_id:
            raise RemoteProtocolError(f"the verifier key of {name} has id {key.key_id.hex()}", reason="bad_key")
        return key


@frozen
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes
    """What follows the key id: 64 bytes for a log's key, 8 of time and 64 for a cosigner's."""


@frozen
class Note:
    """A note as parsed or made; nothing here is verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The bytes of the note."""
        lines = "".join(
            f"{_LINE_START}{line.name} {encode_base64(line.key_id + line.signature)}\n" for line in self.signatures
        )
        return f"{self.text}\n{lines}".encode()

    def with_signature(self, signature: NoteSignature) -> "Note":
        """The note with one line more, as a cosigner adds it."""
        return Note(self.text, (*self.signatures, signature))


@frozen
class Signer:
    """A known key whose signature has been verified."""

    key: VerifierKey
    timestamp_s: int | None
    """When a cosigner says that it signed; None for a log's key."""


@frozen
class OpenedNote:
    """A note at least one of whose signers is known, and none of them wrong."""

    text: str
    signers: tuple[Signer, ...]


def parse_note(data: bytes) -> Note:
    """The note in `data`; raises `RemoteProtocolError` (`bad_note`) when it is not one within our limits."""
    if len(data) > MAX_NOTE_SIZE:
        raise _bad(f"a note of {len(data)} bytes, over {MAX_NOTE_SIZE}")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad("a note is not UTF-8") from error
    if _CONTROL.search(content):
        raise _bad("a note has a control character")
    parting = content.rfind("\n\n")
    if parting < 0:
        raise _bad("a note has no empty line before its signatures")
    text, lines = content[: parting + 1], content[parting + 2 :]
    if not lines.endswith("\n"):
        raise _bad("a note has no signatures, or does not end its last line")
    rows = lines[:-1].split("\n")
    if len(rows) > MAX_SIGNATURES:
        raise _bad(f"a note with {len(rows)} signatures, over {MAX_SIGNATURES}")
    return Note(text, tuple(_parse_signature(row) for row in rows))


def parse_signature_lines(data: bytes) -> tuple[NoteSignature, ...]:
    """Signature lines that come without their note, as a cosigner sends them; raises `RemoteProtocolError`."""
    if not data:
        return ()
    note = parse_note(b"\n\n" + data)
    if note.text != "\n":
        raise _bad("signature lines come with a text, or an empty line")
    return note.signatures


def encode_signature_lines(signatures: Sequence[NoteSignature]) -> bytes:
    """Signature lines without their note."""
    return Note("", tuple(signatures)).encode()[1:]


def sign_note(
    text: str, name: str, seed: bytes, suite: CipherSuite, *, timestamp_s: int | None = None
) -> NoteSignature:
    """The signature line of the Ed25519 `seed` under `text`: a cosigner's when a time is given, else a log's.

    Raises `LocalProtocolError` for a text that cannot stand in a note.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise LocalProtocolError("the text of a note ends with a newline and has no other control character")
    public_key = suite.ed25519_public(seed)
    if timestamp_s is None:
        key = VerifierKey(name, LOG_KEY, public_key)
        return NoteSignature(name, key.key_id, suite.sign(seed, text.encode()))
    if not 0 <= timestamp_s <= MAX_TIMESTAMP_S:
        raise LocalProtocolError(f"no cosignature can be timed {timestamp_s}")
    key = VerifierKey(name, COSIGNER_KEY, public_key)
    signed = suite.sign(seed, _cosigned(text, timestamp_s))
    return NoteSignature(name, key.key_id, _TIMESTAMP.pack(timestamp_s) + signed)


def open_note(data: bytes, keys: Sequence[VerifierKey], suite: CipherSuite) -> OpenedNote:
    """The text of a note and which of `keys` signed it.

    A key that signed twice counts once. Raises `RemoteProtocolError`: `bad_note` when it is not a note,
    `bad_signature` when a known key's line does not verify, `unsigned` when none of `keys` signed it.
    """
    note = parse_note(data)
    known = {(key.name, key.key_id): key for key in keys}
    signers: dict[VerifierKey, Signer] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            signers.setdefault(key, _verify_line(note.text, line, key, suite))
    if not signers:
        raise RemoteProtocolError("a note is signed by no key that we know", reason="unsigned")
    return OpenedNote(note.text, tuple(signers.values()))


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """The bytes; raises `RemoteProtocolError` (`bad_base64`) for anything but their one encoding."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise RemoteProtocolError("not base64", reason="bad_base64") from error
    if encode_base64(data) != text:
        raise RemoteProtocolError("base64 that is not in canonical form", reason="bad_base64")
    return data


def _parse_signature(row: str) -> NoteSignature:
    if not row.startswith(_LINE_START):
        raise _bad("a signature line does not begin with a dash and a space")
    name, separator, encoded = row.removeprefix(_LINE_START).partition(" ")
    if not separator:
        raise _bad("a signature line has no key name, or no signature")
    _check_name(name)
    material = decode_base64(encoded)
    if len(material) <= KEY_ID_SIZE:
        raise _bad("a signature line has no signature")
    return NoteSignature(name, material[:KEY_ID_SIZE], material[KEY_ID_SIZE:])


def _verify_line(text: str, line: NoteSignature, key: VerifierKey, suite: CipherSuite) -> Signer:
    timestamp_s = None
    message, signature = text.encode(), line.signature
    if key.algorithm == COSIGNER_KEY:
        if len(signature) != _TIMESTAMP.size + SIGNATURE_SIZE:
            raise _bad_signature(key)
        (timestamp_s,) = _TIMESTAMP.unpack(signature[: _TIMESTAMP.size])
        message, signature = _cosigned(text, timestamp_s), signature[_TIMESTAMP.size :]
        if timestamp_s > MAX_TIMESTAMP_S:
            raise _bad_signature(key)
    if not suite.verify(key.public_key, message, signature):
        raise _bad_signature(key)
    return Signer(key, timestamp_s)


def _cosigned(text: str, timestamp_s: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp_s}\n{text}".encode()


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise _bad("a key name is empty, or has a space or a plus sign in it")


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason="bad_note")


def _bad_signature(key: VerifierKey) -> RemoteProtocolError:
    return RemoteProtocolError(f"the signature of {key.name} does not verify", reason="bad_signature")
