"""The entry point: finds the command, runs it, and turns what goes wrong into one clear line and an exit code.

A command is a module with `HELP`, `configure(parser)` and `run(arguments) -> int`. Ours are in `peernet.cli`; those
of other packages are found by the entry-point group `peernet.commands`, whose objects are such modules too. A module
is imported when it is needed, so that `peernet --help` stays fast.

Exit codes: 0 done; 1 something that the message says how to put right; 2 wrong usage; 70 a bug of ours; 130 Ctrl-C.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from types import FrameType
from typing import Final, NoReturn, Protocol, cast

from peernet._version import __version__
from peernet.core.errors import PeernetError, UserError

__all__ = ["main"]

EXIT_PROBLEM: Final = 1
EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130

_OURS: Final = {
    "demo": "start a small swarm on this machine and ask it something",
    "chat": "ask the network, and see what each host saw",
    "gateway": "let programs for OpenAI's API ask the network",
    "host": "serve a model to the network",
    "relay": "forward other people's rings",
    "model": "fetch and list models",
    "doctor": "tell whether a host could serve from here, and what to do",
    "wallet": "show, withdraw and import the credits that pay for lanes",
    "identity": "show this node's keys and where they are kept",
}


class Command(Protocol):
    """What a command's module has."""

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Adds the command's options."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Does it; returns the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    try:
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, _interrupt)
        command, parsed = _parse(list(sys.argv[1:] if argv is None else argv))
    except BaseException as error:  # noqa: BLE001  (Ctrl-C comes at any time, and a command may fail to load)
        return _explain(error)
    return _run(command, parsed)


def _parse(arguments: list[str]) -> tuple[Command, argparse.Namespace]:
    others = {point.name: point for point in entry_points(group="peernet.commands")}
    parser = argparse.ArgumentParser(
        prog="peernet",
        description="A peer-to-peer network for private LLM inference.",
        epilog="'peernet COMMAND --help' says more about each.",
    )
    parser.add_argument("--version", action="version", version=f"peernet {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    command: Command | None = None
    for name in (*_OURS, *sorted(others)):
        if name == chosen:
            command = cast("Command", import_module(f"peernet.cli.{name}") if name in _OURS else others[name].load())
            command.configure(commands.add_parser(name, help=command.HELP, description=command.HELP))
        else:
            about = _OURS[name] if name in _OURS else cast("Command", others[name].load()).HELP
            commands.add_parser(name, help=about)
    parsed = parser.parse_args(arguments)
    assert command is not None
    return command, parsed


def _run(command: Command, arguments: argparse.Namespace) -> int:
    try:
        return command.run(arguments)
    except BaseException as error:  # noqa: BLE001  (the outermost frame: every error becomes a line and a code)
        return _explain(error)


def _explain(error: BaseException) -> int:
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return EXIT_INTERRUPTED
    if any(isinstance(leaf, SystemExit) for leaf in leaves):
        raise error
    if any(isinstance(leaf, BrokenPipeError) for leaf in leaves):
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PROBLEM
    for kind in (UserError, PeernetError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                print(f"peernet: {leaf}", file=sys.stderr)
                return EXIT_PROBLEM
    for leaf in leaves:
        if isinstance(leaf, OSError) and leaf.filename is not None:
            print(f"peernet: cannot use {leaf.filename}: {leaf.strerror}", file=sys.stderr)
            return EXIT_PROBLEM
    if os.environ.get("PEERNET_DEBUG"):
        raise error
    kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves}))
    print(f"peernet: a bug in peernet ({kinds}). Run it again with PEERNET_DEBUG=1 and report it.", file=sys.stderr)
    return EXIT_BUG


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
