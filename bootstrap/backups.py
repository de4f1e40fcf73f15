"""Backups of a bootstrap node, taken while it runs, and put back whole or not at all.

Rules:

1. A backup is a folder: a copy of each database as it was at one moment, and `backup.json`, which names every file
   with its SHA-256 and says until when the backup may be kept. It is written last: a folder without it is no backup.
   Until then, and from when the backup is deleted, `backup.json.part` says until when what is there may be kept.
2. The ledger's copy is taken last. What the operator's database has heard of the ledger is then in it.
3. Keys are left out unless they are asked for: whoever has them is the node. They never change, so one copy of
   `config/keys`, kept elsewhere, is enough.
4. What issues credits (`issuing.sqlite`) holds keys, and is in a backup when they are. A copy that is put back takes
   all credits that the log says are issued for handed out: so no more are signed than may be redeemed.
5. Restoring checks every file first, and never puts an older ledger in the place of a newer one. A ledger that is
   older than what others mirror is found out when the node starts (`bootstrap.cosigning`), and signs nothing.
6. Whoever was erased since the backup is erased again: as far as the database that is replaced still says who, and
   according to the copy of erasures on another disk (`bootstrap.rights.erasures_copy`).
7. A backup holds data of people, and is past its time when the first class of data in it is. `prune` deletes it then,
   and what an interrupted backup, or an interrupted deletion, has left as well. A running node does it by itself, and
   in time, in the folder that its operator names (`BackupsFolder`).
8. The purse of the client that measures hosts is in it: credits are bytes. Those that were spent since are refused
   when they are spent again, and cost nothing.

Source: SQLite's online backup; pg_dump's documentation of consistent dumps.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import apsw
import structlog
from attrs import asdict, define, frozen

from bootstrap.database import open_database
from bootstrap.issuing_store import IssuingStore
from bootstrap.retention.periods import periods as longest_periods
from bootstrap.rights.deletion import erase_again, erased_accounts, living_accounts
from bootstrap.rights.erasures_copy import ErasuresCopy, erasures_key
from bootstrap.store import LedgerCorrupt, LedgerStore
from peernet.core.errors import UserError
from peernet.core.ledger.checkpoint import read_unverified
from peernet.node.home import Home

__all__ = ["PRUNE_EVERY_S", "Backup", "BackupsFolder", "KeptFile", "back_up", "prune", "read_backup", "restore"]

log = structlog.get_logger()

MANIFEST: Final = "backup.json"
HALF: Final = f"{MANIFEST}.part"
"""Says of what is no backup, not yet or no more, when it is past its time."""
FORMAT: Final = 1
LEDGER: Final = "state/ledger.sqlite"
OPERATOR: Final = "operator.sqlite"
ISSUING_NAME: Final = "issuing.sqlite"
ISSUING: Final = f"state/{ISSUING_NAME}"
PORTAL_KEY: Final = "portal"
"""The key that a copy of erasures is under."""
POSTGRES_DUMP: Final = "postgres/{}.dump"
BUFFER_BYTES: Final = 1 << 20
OWNER_ONLY: Final = 0o700
PRUNE_EVERY_S: Final = 3600
PRUNE_AHEAD_S: Final = 2 * PRUNE_EVERY_S
"""So early a running node deletes a backup: none is there any more when its time is over."""


@frozen
class KeptFile:
    """One file of a backup."""

    path: str
    """In the backup's folder, and, but for dumps of PostgreSQL, in the node's home."""
    size_bytes: int
    sha256: str


@frozen
class Backup:
    """What a backup says of itself."""

    taken_at_s: int
    expires_at_s: int
    """When it is past its time."""
    ledger_size: int | None
    """The ledger's entries; None where the ledger is in PostgreSQL."""
    files: tuple[KeptFile, ...]

    @classmethod
    def parse(cls, text: str, where: Path) -> Self:
        """Raises `UserError` where it is none, or of another format."""
        try:
            said: dict[str, Any] = json.loads(text)
            if said["format"] != FORMAT:
                raise UserError(f"{where} is a backup of format {said['format']}: use the peernet that made it")
            files = [
                KeptFile(str(each["path"]), int(each["size_bytes"]), str(each["sha256"])) for each in said["files"]
            ]
            size = None if said["ledger_size"] is None else int(said["ledger_size"])
            return cls(int(said["taken_at_s"]), int(said["expires_at_s"]), size, tuple(files))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{where} is no backup: its {MANIFEST} cannot be read") from error


def back_up(
    home: Home,
    target: Path,
    now_s: int,
    *,
    with_keys: bool = False,
    postgres: Sequence[str] = (),
    periods: Mapping[str, int] | None = None,
) -> Backup:
    """Takes a backup of the node at `home` into the new folder `target`.

    Args:
        home: the node's folders; it may be running.
        target: must not exist.
        now_s: seconds of the Unix epoch.
        with_keys: whether the node's keys are in it, too.
        postgres: the URLs of databases that are in PostgreSQL.
        periods: for how many seconds this operator keeps each class of data, if not for as long as may be.

    Raises `UserError`, and has then left nothing.
    """
    try:
        target.mkdir(mode=OWNER_ONLY, parents=True)
    except FileExistsError as error:
        raise UserError(f"{target} exists: name a new folder") from error
    expires_at_s = now_s + min((periods or longest_periods()).values())
    try:
        _write_half(target, Backup(now_s, expires_at_s, None, ()))
        _copy_all(home, target, postgres, with_keys=with_keys)
        made = Backup(now_s, expires_at_s, _ledger_size(target / LEDGER), tuple(_kept(target)))
        _write_half(target, made)
        (target / HALF).rename(target / MANIFEST)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return made


def _copy_all(home: Home, target: Path, postgres: Sequence[str], *, with_keys: bool) -> None:
    root = home.state.parent
    databases = sorted(home.state.rglob("*.sqlite"), key=lambda path: path == root / LEDGER)
    databases = [path for path in databases if with_keys or path != root / ISSUING]
    if not databases and not postgres:
        raise UserError(f"there is nothing to back up in {home.state}: see --home")
    for number, url in enumerate(postgres):
        _dump(url, target / POSTGRES_DUMP.format(number))
    for database in databases:
        _copy_database(database, target / "state" / database.relative_to(home.state))
    others = [home.state / "mirrors" / "begun.txt"]
    if with_keys:
        others += sorted((home.config / "keys").glob("*.key"))
    for other in (path for path in others if path.exists()):
        folder = "config/keys" if other.suffix == ".key" else "state/mirrors"
        _copy_file(other, target / folder / other.name)


def read_backup(folder: Path) -> Backup:
    """The backup in a folder, each of its files checked; raises `UserError` where one is missing or another."""
    try:
        backup = Backup.parse((folder / MANIFEST).read_text("utf-8"), folder)
    except OSError as error:
        raise UserError(f"{folder} is no backup: it has no {MANIFEST}") from error
    for kept in backup.files:
        path = folder / kept.path
        if ".." in Path(kept.path).parts or Path(kept.path).is_absolute():
            raise UserError(f"{folder} names a file outside itself: it is not as it was made")
        if not path.is_file() or path.stat().st_size != kept.size_bytes or _sha256(path) != kept.sha256:
            raise UserError(f"{path} is not as it was when the backup was made: take another one")
    return backup


def restore(
    folder: Path,
    home: Home,
    *,
    postgres: Sequence[str] = (),
    operator: str = "",
    erasures: Path | None = None,
    now_s: int | None = None,
) -> Backup:
    """Puts a backup back into `home`, whose node does not run; keys that are there stay.

    What it replaces is kept beside it, in `state.before-restore`. Whoever was erased since the backup is erased again,
    as far as the database that is replaced, or the copy of erasures, says who. Raises `UserError`, and has then
    changed nothing.

    Args:
        folder: the backup.
        home: the node's folders.
        postgres: the URLs of databases that are in PostgreSQL.
        operator: where the operator's database is, if not where it is by default.
        erasures: the copy of erasures, if there is one.
        now_s: the time, if not that of the backup.
    """
    backup = read_backup(folder)
    operators = operator or str(home.state / OPERATOR)
    erased = _erased_in(operators)
    copy = None if erasures is None else _copy_of_erasures(erasures, folder, home)
    dumps = [kept for kept in backup.files if kept.path.startswith("postgres/")]
    if len(dumps) != len(postgres):
        raise UserError(f"the backup has {len(dumps)} databases of PostgreSQL, and {len(postgres)} are configured")
    _check_not_newer(home.state.parent / LEDGER, backup)
    before = home.state.with_name("state.before-restore")
    if before.exists():
        raise UserError(f"{before} is there from another time: look whether it is still needed, and move it away")
    fresh = home.state.with_name("state.restoring")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=OWNER_ONLY, parents=True)
    for kept in backup.files:
        inside = Path(kept.path)
        if inside.parts[0] == "state":
            _copy_file(folder / inside, fresh / inside.relative_to("state"))
    if (fresh / ISSUING_NAME).exists():
        with IssuingStore(fresh / ISSUING_NAME) as issuing:
            issuing.forget_counts()
    for number, url in enumerate(postgres):
        _put_back(url, folder / POSTGRES_DUMP.format(number))
    inside = Path(operators)
    _erase_again(
        str(fresh / inside.relative_to(home.state)) if inside.is_relative_to(home.state) else operators,
        erased,
        copy,
        backup.taken_at_s if now_s is None else now_s,
    )
    if home.state.exists():
        home.state.rename(before)
    fresh.rename(home.state)
    for kept in backup.files:
        key = home.config / "keys" / Path(kept.path).name
        if kept.path.startswith("config/keys/") and not key.exists():
            _copy_file(folder / kept.path, key)
    return backup


def prune(folder: Path, now_s: int) -> Iterator[Path]:
    """Deletes those backups directly below `folder` that are past their time, and halves of such; yields which.

    One that cannot be read or deleted does not keep the others: at the end `UserError` is raised for the first such.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise UserError(f"the folder of backups {folder} cannot be read: {error.strerror or error}") from error
    trouble: UserError | None = None
    for backup in inside:
        try:
            past = _is_past(backup, now_s)
            if past:
                _delete(backup)
        except OSError as error:
            trouble = trouble or UserError(f"{backup} cannot be deleted: {error.strerror or error}")
        except UserError as error:
            trouble = trouble or error
        else:
            if past:
                yield backup
    if trouble is not None:
        raise trouble


@define
class BackupsFolder:
    """The folder of backups that a running node keeps within their time."""

    folder: Path | None = None
    """None where the operator deletes them."""
    trouble: str = ""
    """What hinders it, in a few words; empty while nothing does."""

    def prune(self, now_s: int) -> int:
        """Deletes those that are past their time before the next round; returns how many.

        Raises `UserError` as `prune`, and says so in `trouble` until it works again.
        """
        if self.folder is None:
            return 0
        gone = 0
        try:
            for _ in prune(self.folder, now_s + PRUNE_AHEAD_S):
                gone += 1
        except UserError:
            self.trouble = "not every backup can be read, or deleted when it is past its time"
            raise
        finally:
            if gone:
                log.info("backups past their time are deleted", backups=gone)
        self.trouble = ""
        return gone


def _is_past(folder: Path, now_s: int) -> bool:
    """Whether this is a backup, or half of one, that is past its time."""
    for manifest in (folder / MANIFEST, folder / HALF):
        if manifest.is_file():
            return Backup.parse(manifest.read_text("utf-8", "replace"), folder).expires_at_s <= now_s
    return False


def _delete(folder: Path) -> None:
    """A backup: first it is none any more, and what says until when it may be kept goes last."""
    if (folder / MANIFEST).exists():
        (folder / MANIFEST).rename(folder / HALF)
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != HALF:
            each.unlink()
    (folder / HALF).unlink()
    folder.rmdir()


def _copy_database(database: Path, copy: Path) -> None:
    """A copy of a database that may be in use, as it is at one moment."""
    _make_folder(copy.parent)
    copy.touch(mode=0o600)
    source, target = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE), apsw.Connection(str(copy))
    try:
        with target.backup("main", source, "main") as running:
            running.step()
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        source.close()
        target.close()


def _erased_in(where: str) -> list[str]:
    """Who was erased, according to a database that may be damaged, or gone."""
    try:
        database = open_database(where)
    except (UserError, apsw.Error):
        return []
    try:
        return database.read(erased_accounts)
    finally:
        database.close()


def _copy_of_erasures(path: Path, folder: Path, home: Home) -> ErasuresCopy:
    """The copy, which was looked through, under the node's key or the one in the backup."""
    kept = folder / "config" / "keys" / f"{PORTAL_KEY}.key"
    if home.has_seed(PORTAL_KEY):
        secret = home.seed(PORTAL_KEY)
    elif kept.is_file():
        secret = kept.read_bytes()
    else:
        raise UserError(
            f"the copy of erasures is under the node's key {PORTAL_KEY}.key, which is not in the backup: put your copy"
            f" of the keys into {home.config / 'keys'} first"
        )
    copy = ErasuresCopy(path, erasures_key(secret))
    copy.holding(())
    return copy


def _erase_again(where: str, account_ids: Sequence[str], copy: ErasuresCopy | None, now_s: int) -> None:
    if not account_ids and copy is None:
        return
    database = open_database(where)
    try:
        if copy is not None:
            account_ids = [*account_ids, *copy.holding(database.read(living_accounts))]
        database.write(partial(erase_again, account_ids=account_ids, now_s=now_s))
    finally:
        database.close()


def _copy_file(source: Path, target: Path) -> None:
    _make_folder(target.parent)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, source.open("rb") as data:
        shutil.copyfileobj(data, file, BUFFER_BYTES)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """The folder, and those above it that are missing, for their owner alone: `mkdir` gives only the last its mode."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=OWNER_ONLY)


def _dump(url: str, target: Path) -> None:
    _make_folder(target.parent)
    _postgres_program("pg_dump", "--format=custom", "--no-owner", f"--file={target}", f"--dbname={url}")


def _put_back(url: str, dump: Path) -> None:
    _postgres_program(
        "pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", f"--dbname={url}", str(dump)
    )


def _postgres_program(name: str, *arguments: str) -> None:
    where = shutil.which(name)
    if where is None:
        raise UserError(f"{name} is missing: install PostgreSQL's client programs (Debian: postgresql-client)")
    done = subprocess.run([where, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        # Its words may hold the URL, and with it a password.
        raise UserError(f"{name} failed with exit code {done.returncode}: see that the server is reached")


def _kept(folder: Path) -> Iterator[KeptFile]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / HALF):
        yield KeptFile(str(path.relative_to(folder)), path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_half(folder: Path, backup: Backup) -> None:
    said = {"format": FORMAT, **asdict(backup)}
    descriptor = os.open(folder / HALF, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(said, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _ledger_size(ledger: Path) -> int | None:
    if not ledger.exists():
        return None
    try:
        with LedgerStore(ledger) as store:
            note = store.checkpoint()
    except LedgerCorrupt as error:
        raise UserError(f"the ledger is damaged, and was not backed up: {error}") from error
    return 0 if note is None else read_unverified(note).size


def _check_not_newer(ledger: Path, backup: Backup) -> None:
    if not ledger.exists():
        return
    try:
        here = _ledger_size(ledger)
    except UserError:
        return  # damaged: that is why somebody restores
    if here is not None and (backup.ledger_size is None or here > backup.ledger_size):
        raise UserError(
            f"the ledger here has {here} entries, and the backup's {backup.ledger_size}: a log that goes back forks. "
            f"Restore only the other databases by hand, or move {ledger} away if it is really lost"
        )
