"""Where a node keeps its things on disk: keys, configuration, state, models.

By default in the folders that the platform has for them (package `platformdirs`); `--home DIR` moves all of it under
one folder. Key files are created with mode 0600, and one that others can read is refused.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final, Self

from attrs import frozen

from peernet.core.errors import UserError
from peernet.core.identity import Keypair
from peernet.core.suite import CipherSuite

__all__ = ["Home", "replace_file", "write_secret"]

_KEY_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_SEED_SIZE: Final = 32


@frozen
class Home:
    """The folders of one node."""

    config: Path
    state: Path
    models: Path

    @classmethod
    def at(cls, folder: Path | None) -> Self:
        """Everything under `folder`, or in the platform's own folders."""
        if folder is not None:
            root = folder.expanduser().absolute()
            return cls(root / "config", root / "state", root / "models")
        from platformdirs import PlatformDirs

        platform = PlatformDirs("peernet", appauthor=False)
        return cls(platform.user_config_path, platform.user_state_path, platform.user_data_path / "models")

    def keypair(self, name: str, suite: CipherSuite) -> Keypair:
        """The Ed25519 key `name`, made on first use."""
        return Keypair.from_seed(self.seed(name), suite)

    def has_seed(self, name: str) -> bool:
        """Whether the key `name` was made before."""
        return self._key_file(name).exists()

    def _key_file(self, name: str) -> Path:
        return self.config / "keys" / f"{name}.key"

    def seed(self, name: str) -> bytes:
        """The 32 secret bytes `name`, made on first use; raises `UserError` when the file is unusable."""
        path = self._key_file(name)
        try:
            return self._read_seed(path)
        except OSError as error:
            raise UserError(f"the key file {path} cannot be used: {error.strerror or error}") from error

    def _read_seed(self, path: Path) -> bytes:
        if not path.exists():
            write_secret(path, secrets.token_bytes(_SEED_SIZE))
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise UserError(f"the key file {path} can be read by others (mode {mode:o}): run 'chmod 600 {path}'")
        seed = path.read_bytes()
        if len(seed) != _SEED_SIZE:
            raise UserError(f"the key file {path} holds {len(seed)} bytes instead of {_SEED_SIZE}: restore it")
        return seed


def write_secret(path: Path, data: bytes) -> None:
    """Writes a new file that only its owner can read, whole or not at all; an existing one is left alone."""
    part = _write_part(path, data)
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return  # another process of ours was first; its key is the one that counts
    finally:
        part.unlink()
    _sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read in the place of the one that was there, whole or not at all."""
    part = _write_part(path, data)
    try:
        part.replace(path)
    except OSError:
        part.unlink()
        raise
    _sync_folder(path.parent)


def _write_part(path: Path, data: bytes) -> Path:
    """The data on the disk, in a new file beside `path`."""
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part-{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink()
        raise
    return part


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk as well: a key that was used once must still be there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
