"""`peernet doctor`: tells a host operator what is open, what is not, and what to do.

Each line is one thing that was looked at; below what is not in order stands what to do. The exit code is 0 only when
a host could serve from here as it is.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from peernet._version import __version__
from peernet.cli.engines import add_engine
from peernet.cli.options import add_home, add_network, home_of, network_of, table_of
from peernet.cli.services import run_until_signal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, RenderableType

    from peernet.node.checkup import Finding
    from peernet.node.config import HostConfig

HELP = "tell whether a host could serve from here, and what to do"

WIDTH: Final = 100
LEAST_PYTHON: Final = (3, 11)
_MARKS: Final = {"ok": ("✓", "green"), "note": ("•", "yellow"), "wrong": ("✗", "red"), "unknown": ("?", "yellow")}
_TITLES: Final = {"reach": "reachable"}
_PACKAGES: Final = {
    "embedded": ("xllamacpp", "gguf", "tokenizers"),
    "vllm": ("tokenizers",),
    "openai": ("tokenizers",),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options: a host's, so that what is looked at is what would be run."""
    from pathlib import Path

    parser.epilog = "Give it the options that you would give 'peernet host'."
    add_home(parser)
    add_network(parser, listens=True)
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME", help="the model that would be served")
    group.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    group.add_argument("--model-file", metavar="FILE", help="the weights (GGUF) of an installed model, by path")
    add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Looks at everything; 0 when a host could serve."""
    return run_until_signal(partial(_examine, arguments))


async def _examine(arguments: argparse.Namespace) -> int:
    from peernet.core.suite import MixedSuite
    from peernet.node.checkup import check_network, could_serve
    from peernet.node.peer import now_s

    findings: list[Finding] = []
    console = None if arguments.json else _console()

    def report(finding: "Finding") -> None:
        findings.append(finding)
        if console is not None:
            console.print(_line(finding))

    network = network_of(arguments)
    for finding in _local_findings(arguments):
        report(finding)
    await check_network(network, MixedSuite(), now_s, report)
    serves = could_serve(findings)
    if console is None:
        from attrs import asdict

        print(json.dumps({"could_serve": serves, "findings": [asdict(finding) for finding in findings]}))
    else:
        console.print()
        console.print(_verdict(findings, serves), highlight=False)
    return 0 if serves else 1


# --- what needs no network -------------------------------------------------------------------------------------------


def _local_findings(arguments: argparse.Namespace) -> Iterator["Finding"]:
    from peernet.node.config import HostConfig

    config: HostConfig = table_of(arguments, "host", HostConfig)
    yield _python()
    yield _packages(config)
    yield _keys(arguments)
    yield _model(arguments, config)


def _python() -> "Finding":
    from peernet.node.checkup import Finding

    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= LEAST_PYTHON:
        return Finding("python", "ok", f"Python {version}, peernet {__version__}")
    advice = f"Install Python {'.'.join(map(str, LEAST_PYTHON))} or newer, and peernet with it."
    return Finding("python", "wrong", f"Python {version} is too old", advice)


def _packages(config: "HostConfig") -> "Finding":
    from peernet.node.checkup import Finding

    engine = config.engine or ("openai" if config.engine_url else "embedded")
    lacking = [name for name in _PACKAGES[engine] if find_spec(name) is None]
    if not lacking:
        return Finding("packages", "ok", f"what the engine '{engine}' needs is installed")
    advice = "Install what hosts need: pip install 'peernet[host]'"
    return Finding("packages", "wrong", f"the engine '{engine}' lacks {', '.join(lacking)}", advice)


def _keys(arguments: argparse.Namespace) -> "Finding":
    from peernet.core.errors import UserError
    from peernet.node.checkup import Finding

    home = home_of(arguments)
    try:
        present = [
            name for name in ("identity", "operator", "onion", "payout") if home.has_seed(name) and home.seed(name)
        ]
    except UserError as error:
        return Finding("keys", "wrong", str(error), "Keep a copy of the keys: the host's standing is theirs.")
    if present:
        return Finding("keys", "ok", f"the keys are in {home.config / 'keys'}, for you alone to read")
    return Finding("keys", "ok", f"there are no keys yet; the first start makes them in {home.config / 'keys'}")


def _model(arguments: argparse.Namespace, config: "HostConfig") -> "Finding":
    from inference.engine import ModelUnusable
    from inference.models import read_installed
    from peernet.node.checkup import Finding

    folder: Path = arguments.models if arguments.models is not None else home_of(arguments).models
    try:
        model = read_installed(folder / config.model)
    except ModelUnusable:
        advice = f"Fetch it: peernet model pull --models {folder}"
        return Finding("model", "wrong", f"the model {config.model} is not installed in {folder}", advice)
    if config.engine_url:
        return Finding("model", "ok", f"the model {model.name} is counted here, and served by {config.engine_url}")
    return Finding("model", "ok", f"the model {model.name} is installed")


# --- what is shown ---------------------------------------------------------------------------------------------------


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    return console


def _line(finding: "Finding") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    mark, colour = _MARKS[finding.state]
    text = Text(finding.what)
    if finding.advice:
        text.append(f"\n→ {finding.advice}", style="bold" if finding.state == "wrong" else "")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=9)
    table.add_column(ratio=1)
    table.add_row(Text(mark, style=colour), _TITLES.get(finding.check, finding.check), text)
    return table


def _verdict(findings: list["Finding"], serves: bool) -> str:
    if not serves:
        count = sum(finding.state in {"wrong", "unknown"} for finding in findings)
        return f"A host could not serve from here yet: {count} thing(s) to put right, marked ✗ or ?."
    if any(finding.check == "relays" for finding in findings):
        return "A host could serve from here, through relays: it works, somewhat slower than with an open port."
    return "A host could serve from here."
