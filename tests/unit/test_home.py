"""A home: keys that are made once, kept private, and never replaced."""

import os
import stat
from pathlib import Path

import pytest

from peernet.core.errors import UserError
from peernet.core.suite import MixedSuite
from peernet.node import home as home_module
from peernet.node.home import Home, replace_file, write_secret

SUITE = MixedSuite()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


def key_file(home: Home, name: str) -> Path:
    return home.config / "keys" / f"{name}.key"


def test_everything_is_under_the_folder_that_was_given(tmp_path: Path):
    home = Home.at(tmp_path)
    assert {home.config, home.state, home.models} == {tmp_path / "config", tmp_path / "state", tmp_path / "models"}


def test_a_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Home.at(Path("here")).state == tmp_path / "here" / "state"


def test_without_a_folder_the_platforms_own_are_used():
    home = Home.at(None)
    assert "peernet" in home.config.parts
    assert home.models.name == "models"


def test_a_key_is_made_once_and_stays(home: Home):
    assert not home.has_seed("identity")
    keypair = home.keypair("identity", SUITE)
    assert home.has_seed("identity")
    assert home.keypair("identity", SUITE) == keypair
    assert home.keypair("operator", SUITE) != keypair
    assert len(home.seed("onion")) == 32


def test_a_key_file_is_its_owners_alone(home: Home):
    home.seed("identity")
    assert stat.S_IMODE(key_file(home, "identity").stat().st_mode) == 0o600
    assert stat.S_IMODE((home.config / "keys").stat().st_mode) == 0o700
    assert [path.name for path in (home.config / "keys").iterdir()] == ["identity.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(home: Home, mode: int):
    home.seed("identity")
    key_file(home, "identity").chmod(mode)
    with pytest.raises(UserError, match="chmod 600"):
        home.seed("identity")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_file_of_another_size_is_refused_and_left_alone(home: Home, size: int):
    home.seed("identity")
    path = key_file(home, "identity")
    path.write_bytes(bytes(size))
    with pytest.raises(UserError, match="instead of 32"):
        home.seed("identity")
    assert path.read_bytes() == bytes(size)


def test_a_folder_that_cannot_be_used_is_a_message_for_people(tmp_path: Path):
    (tmp_path / "config").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be used"):
        Home.at(tmp_path).seed("identity")


def test_whoever_writes_a_secret_first_wins(tmp_path: Path):
    path = tmp_path / "deep" / "x.key"
    write_secret(path, b"first")
    write_secret(path, b"second")
    assert path.read_bytes() == b"first"
    assert [file.name for file in path.parent.iterdir()] == ["x.key"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    replace_file(tmp_path / "known", b"before")
    monkeypatch.setattr(home_module.os, "fsync", full)
    for write in (write_secret, replace_file):
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "new", b"data")
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "known", b"after")
    assert {file.name for file in tmp_path.iterdir()} == {"known"}
    assert (tmp_path / "known").read_bytes() == b"before"


def test_the_rest_of_a_write_that_was_cut_off_hinders_nobody(tmp_path: Path):
    (tmp_path / f"x.part{os.getpid()}").write_bytes(b"half")
    (tmp_path / "x.key.part-00").write_bytes(b"half")
    write_secret(tmp_path / "x.key", b"whole")
    assert (tmp_path / "x.key").read_bytes() == b"whole"


def test_a_file_is_replaced_whole_and_private(tmp_path: Path):
    path = tmp_path / "state" / "file"
    for data in (b"one", b"two"):
        replace_file(path, data)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(path.parent.iterdir())) == 1
