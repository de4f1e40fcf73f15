"""Configuration: a typing mistake is an error that names the file and the setting, never a silent default."""

from pathlib import Path

import attrs
import pytest

from bootstrap.service import BootstrapConfig
from peernet.core.errors import UserError
from peernet.node.config import ClientConfig, HostConfig, NetworkConfig, load_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_a_file_there_are_the_defaults_and_the_flags(path: Path):
    assert load_table(path, "host", HostConfig, {}) == HostConfig()
    flags = {"threads": 3, "parallel": None, "home": "elsewhere", "command": "host"}
    assert load_table(path, "host", HostConfig, flags) == HostConfig(threads=3)


def test_flags_are_on_top_of_the_file(path: Path):
    path.write_text("[host]\nthreads = 4\nparallel = 5\nrelay = true\n[client]\nprofile = 'fast'\n")
    assert load_table(path, "host", HostConfig, {"threads": 2}) == HostConfig(threads=2, parallel=5, relay=True)
    assert load_table(path, "client", ClientConfig, {}).profile == "fast"
    assert load_table(path, "network", NetworkConfig, {}) == NetworkConfig()


def test_lists_of_strings(path: Path):
    path.write_text('[network]\nbootstrap = ["a", "b"]\ntest = true\n')
    assert load_table(path, "network", NetworkConfig, {}) == NetworkConfig(bootstrap=("a", "b"), test=True)


def test_one_address_to_listen_on_may_be_given_by_itself(path: Path):
    address = "/ip4/127.0.0.1/tcp/1/ws"
    assert NetworkConfig(listen=address) == NetworkConfig(listen=[address]) == NetworkConfig(listen=(address,))
    path.write_text(f'[network]\nlisten = ["{address}", "/ip4/127.0.0.1/tcp/2"]\ntls_key = "key.pem"\n')
    read = load_table(path, "network", NetworkConfig, {})
    assert read == NetworkConfig(listen=(address, "/ip4/127.0.0.1/tcp/2"), tls_key="key.pem")


@pytest.mark.parametrize(
    ("table", "kind", "text", "said"),
    [
        ("host", HostConfig, "[host]\nthread = 4", "no setting 'thread'"),
        ("host", HostConfig, "[hosts]\nthreads = 4", "no table [hosts]"),
        ("host", HostConfig, "threads = 4", "no table [threads]"),
        ("host", HostConfig, "host = 4", "must be a table"),
        ("host", HostConfig, "[[host]]\nthreads = 4", "must be a table"),
        ("host", HostConfig, "[host]\nthreads = '4'", "threads is '4', and should be of type int"),
        ("host", HostConfig, "[host]\nthreads = 4.0", "threads is 4.0"),
        ("host", HostConfig, "[host]\nthreads = true", "threads is True"),
        ("host", HostConfig, "[host]\nthreads = 0", "'threads' must be >= 1"),
        ("host", HostConfig, "[host]\nprompt_price = -1", "'prompt_price' must be >= 0"),
        ("host", HostConfig, "[host]\nrelay = 1", "relay is 1"),
        ("host", HostConfig, "[host]\nmodel = 1", "model is 1"),
        ("network", NetworkConfig, "[network]\nbootstrap = 'abc'", "bootstrap is 'abc', and should be a list"),
        ("network", NetworkConfig, "[network]\nbootstrap = [1]", "bootstrap is [1]"),
        ("client", ClientConfig, "[client]\nprofile = 'slow'", "'profile' must be in"),
        ("client", ClientConfig, "[client]\npseudonyms = 'none'", "'pseudonyms' must be in"),
        ("client", ClientConfig, "[client]\ntemperature_thousandths = 2001", "must be <= 2000"),
        ("client", ClientConfig, "[client]\nunsupported_language = 'open'", "'unsupported_language' must be in"),
        ("client", ClientConfig, "[client]\nlanguages = 'en'", "languages is 'en', and should be a list"),
        ("client", ClientConfig, "[client]\ndetection_timeout_s = 0", "'detection_timeout_s' must be > 0"),
        ("client", ClientConfig, "[client]\ndetection_timeout_s = true", "detection_timeout_s is True"),
        ("bootstrap", BootstrapConfig, "[bootstrap]\norigin = 3", "origin is 3"),
        ("host", HostConfig, "[host", "not valid TOML"),
    ],
)
def test_what_does_not_fit_names_the_file_and_the_setting(path: Path, table: str, kind: type, text: str, said: str):
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load_table(path, table, kind, {})
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_a_file_that_is_no_text_or_no_file(path: Path):
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not valid TOML"):
        load_table(path, "host", HostConfig, {})
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        load_table(path, "host", HostConfig, {})


@pytest.mark.parametrize("kind", [NetworkConfig, HostConfig, ClientConfig, BootstrapConfig])
def test_every_setting_is_of_a_type_that_the_reader_checks(kind: type):
    assert {field.type for field in attrs.fields(kind)} <= {str, int, bool, float, tuple[str, ...], dict[str, float]}


def test_numbers_and_tables_of_numbers_are_read(path: Path):
    path.write_text("[client]\nscreening = { hate = 1, malware = 0.5 }\nscreening_timeout_s = 3\n")
    config = load_table(path, "client", ClientConfig, {})
    assert (config.screening, config.screening_timeout_s) == ({"hate": 1.0, "malware": 0.5}, 3.0)


@pytest.mark.parametrize("value", ["{ hate = 'much' }", "{ hate = true }", "0.5"])
def test_what_is_no_table_of_numbers_is_named(path: Path, value: str):
    path.write_text(f"[host]\nscreening = {value}\n")
    with pytest.raises(UserError, match=r"screening is .* table of numbers"):
        load_table(path, "host", HostConfig, {})
