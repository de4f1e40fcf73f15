"""The command line: finding commands, one clear line for every error, and drawing that nobody afar can rule."""

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from peernet.cli import main as cli
from peernet.cli import relay as relay_command
from peernet.cli.drawing import RequestDrawing, save_svg, short
from peernet.cli.options import add_network, network_of
from peernet.client.events import FragmentPlanned, FragmentText, Masked, Planned
from peernet.core.errors import PeernetError, UserError
from peernet.node.peer import Peer


def run(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "peernet", *arguments, *(["--home", str(home)] if home else [])]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("demo", "chat", "gateway", "host", "relay", "bootstrap", "ledger", "model", "identity"):
        assert f"    {name}" in done.stdout


def test_an_unknown_command_is_wrong_usage() -> None:
    done = run("dmeo")
    assert done.returncode == 2
    assert "dmeo" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_loads_no_heavy_package() -> None:
    code = (
        "import sys\nfrom peernet.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'trio', 'spacy', 'rich', 'numpy', 'kademlia', 'xllamacpp', 'tokenizers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, peernet\nassert {m for m in sys.modules if m.startswith('peernet.')} == {'peernet._version'}"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_lazy_names_resolve_and_others_do_not() -> None:
    import peernet

    assert peernet.PeernetError is PeernetError
    with pytest.raises(AttributeError, match="nonsense"):
        _ = peernet.nonsense


def test_identity_is_made_once_and_shown(tmp_path: Path) -> None:
    first, second = (json.loads(run("identity", "--json", home=tmp_path).stdout) for _ in range(2))
    assert first == second
    assert first["peer"].startswith("12D3KooW")
    assert (Path(first["keys"]) / "identity.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("do this instead"), 1, "do this instead"),
        (BaseExceptionGroup("group", [UserError("inner advice")]), 1, "inner advice"),
        (BaseExceptionGroup("group", [ValueError("secret text"), PeernetError("outer")]), 1, "outer"),
        (ValueError("secret text of a prompt"), 70, "a bug in peernet (ValueError)"),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("group", [KeyboardInterrupt()]), 130, ""),
    ],
)
def test_every_error_becomes_one_line_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PEERNET_DEBUG", raising=False)

    class Failing:
        HELP = ""

        def run(self, _arguments: object) -> int:
            raise error

    assert cli._run(Failing(), argparse.Namespace()) == code  # type: ignore[arg-type]
    printed = capsys.readouterr().err
    assert said in printed
    assert "secret text" not in printed
    assert printed.count("\n") <= 1


def drawing() -> tuple[RequestDrawing, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, record=True)
    return RequestDrawing(console, "Ask Anna"), out


def test_text_from_afar_cannot_rule_the_terminal() -> None:
    drawn, out = drawing()
    drawn.on_event(Masked((("PERSON", "Anna"),), {"PERSON": 1}))
    hostile = "\x1b]0;owned\x07\x1b[2J[bold]not markup[/]"
    planned = FragmentPlanned(0, "12D3KooWhost", f"Ask PERSON_K7 {hostile}", 0.5)
    drawn.on_event(Planned("tasks", "standard", "private", (planned,), ""))
    drawn.on_event(FragmentText(0, hostile))
    drawn.close()
    assert "\x07" not in out.getvalue()
    assert "]0;owned" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()
    assert "[bold]not markup[/]" in out.getvalue()


def test_the_picture_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), record=True)
    console.print("hello")
    save_svg(console, tmp_path / "demo.svg")
    content = (tmp_path / "demo.svg").read_text("utf-8")
    assert "hello" in content
    assert "@font-face" not in content
    assert content.count("http") == 1
    assert 'xmlns="http://www.w3.org/2000/svg"' in content


def test_peers_are_told_apart_by_the_end_of_their_ids() -> None:
    assert short("12D3KooWabcdefXYZ123") == "…XYZ123"


def test_each_listen_is_a_relay_and_commas_part_the_addresses_of_one(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    relay_command.configure(parser)
    words = ["--home", str(tmp_path), "--test-network", "--listen", "/ip4/127.1.1.1/tcp/1,/ip4/127.1.1.1/tcp/2/ws"]
    arguments = parser.parse_args([*words, "--listen", "/ip4/127.1.2.1/tcp/1/wss", "--tls-key", "key.pem"])
    listens = [[str(address) for address in relay._listen] for relay in relay_command._relays(arguments, Peer)]
    assert listens == [
        ["/ip4/127.1.1.1/tcp/1", "/ip4/127.1.1.1/tcp/2/ws"],
        ["/ip4/127.1.2.1/tcp/1/tls/ws"],
    ]
    network = network_of(arguments)
    assert network.listen == ("/ip4/127.1.1.1/tcp/1", "/ip4/127.1.1.1/tcp/2/ws", "/ip4/127.1.2.1/tcp/1/wss")
    assert (network.tls_key, network.tls_certificate, network.behind_proxy) == ("key.pem", "", False)


def test_who_only_dials_has_no_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_network(parser, listens=False)
    arguments = parser.parse_args(["--tls-authority", "authority.pem"])
    arguments.home = tmp_path
    assert network_of(arguments).tls_authority == "authority.pem"
    with pytest.raises(SystemExit):
        parser.parse_args(["--tls-certificate", "certificate.pem"])
    assert "--tls-certificate" in capsys.readouterr().err
