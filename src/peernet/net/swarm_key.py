"""The key of a private swarm, in the file that libp2p implementations share: `swarm.key`.

Rules:

1. Three lines: `/key/swarm/psk/1.0.0/`, `/base16/`, and 64 hexadecimal digits: 32 bytes. White space around a line
   means nothing, and no other encoding is taken.
2. A file is made only where there is none, and only its owner can read it.
3. No message holds anything of the key.

Whoever has the key can join; without it a handshake fails. The key goes into Noise (XXpsk3 and the prologue), and not
into a cipher of its own as in libp2p. Source for the file: libp2p specifications, "Pre-shared Key based Private
Networks".
"""

import os
import secrets
from pathlib import Path
from string import hexdigits
from typing import Final

from peernet.core.errors import UserError

__all__ = ["load_swarm_key", "make_swarm_key"]

HEADER: Final = "/key/swarm/psk/1.0.0/"
ENCODING: Final = "/base16/"
KEY_SIZE: Final = 32
MAX_FILE_SIZE: Final = 1024


def load_swarm_key(path: Path) -> bytes:
    """The 32 bytes of the key; raises `UserError` saying what is wrong with the file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise UserError(f"the swarm key {path} cannot be read: {error.strerror or error}") from error
    lines = [line.strip() for line in content[:MAX_FILE_SIZE].decode("ascii", "replace").splitlines() if line.strip()]
    if lines[:1] != [HEADER]:
        raise UserError(f"{path} is no swarm key: its first line must be {HEADER}")
    if lines[1:2] != [ENCODING]:
        raise UserError(
            f"{path} is a swarm key in an encoding that we do not read: its second line must be {ENCODING}"
        )
    digits = lines[2] if len(lines) == 3 and len(content) <= MAX_FILE_SIZE else ""
    if len(digits) != 2 * KEY_SIZE or not all(digit in hexdigits for digit in digits):
        raise UserError(f"{path} is a damaged swarm key: its third and last line must be 64 hexadecimal digits")
    return bytes.fromhex(digits)


def make_swarm_key(path: Path) -> None:
    """Writes a fresh key to a file that is not there yet; raises `UserError` when that cannot be done."""
    text = f"{HEADER}\n{ENCODING}\n{secrets.token_hex(KEY_SIZE)}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{path} is there already; a new key would lock out who has the old one") from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
