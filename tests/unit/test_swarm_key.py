"""The file of a private swarm's key."""

import stat
from pathlib import Path

import pytest

from peernet.core.errors import UserError
from peernet.net.swarm_key import load_swarm_key, make_swarm_key

DIGITS = "f2b8" * 16


def test_a_file_of_the_standard_format_is_read(tmp_path: Path):
    path = tmp_path / "swarm.key"
    for text in (
        f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS}\n",
        f"/key/swarm/psk/1.0.0/\r\n/base16/\r\n{DIGITS.upper()}",
        f"  /key/swarm/psk/1.0.0/ \n\n/base16/\n{DIGITS}\n\n",
    ):
        path.write_text(text, newline="")
        assert load_swarm_key(path) == bytes.fromhex(DIGITS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no swarm key"),
        ("-----BEGIN PRIVATE KEY-----\n", "no swarm key"),
        (f"/key/swarm/psk/2.0.0/\n/base16/\n{DIGITS}\n", "no swarm key"),
        (f"/key/swarm/psk/1.0.0/\n/base64/\n{DIGITS}\n", "must be /base16/"),
        (f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS[:-1]}\n", "64 hexadecimal digits"),
        (f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS[:-1]}x\n", "64 hexadecimal digits"),
        (f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS}00\n", "64 hexadecimal digits"),
        (f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS}\n{DIGITS}\n", "64 hexadecimal digits"),
        (f"/key/swarm/psk/1.0.0/\n/base16/\n{DIGITS}{' ' * 2000}", "64 hexadecimal digits"),
        ("/key/swarm/psk/1.0.0/\n/base16/\n", "64 hexadecimal digits"),
    ],
)
def test_a_file_that_is_none_is_told_apart_and_never_quoted(tmp_path: Path, text: str, said: str):
    path = tmp_path / "swarm.key"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as failed:
        load_swarm_key(path)
    assert DIGITS[:8] not in str(failed.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        load_swarm_key(tmp_path / "missing")


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    path, other = tmp_path / "swarm.key", tmp_path / "other.key"
    make_swarm_key(path)
    make_swarm_key(other)
    assert len(load_swarm_key(path)) == 32
    assert load_swarm_key(path) != load_swarm_key(other)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    with pytest.raises(UserError, match="is there already"):
        make_swarm_key(path)
    assert path.read_text() == before
    with pytest.raises(UserError, match="cannot write"):
        make_swarm_key(tmp_path / "nowhere" / "swarm.key")
