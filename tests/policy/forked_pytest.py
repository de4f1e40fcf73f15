"""Runs of pytest on other trees, each forked from a process that has imported what is not ours: that is a third of the
time of a short test.

Rules:

1. Nothing of ours is imported here but this package; what is forked forgets it, and has the other tree alone in its
   path. It looks afterwards where our code came from, and fails where it was not that tree.
2. A run is one process. It is killed when it takes too long; its output is in a file.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import entry_points
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["TIMED_OUT", "Run", "ended", "prepare", "started"]

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = ("peernet", "inference", "privacy", "bootstrap", "simulations", "benchmarks", "training", "tests")
IMPORTED: Final = (
    "apsw",
    "argon2",
    "cattrs",
    "httpx",
    "hypercorn.trio",
    "jinja2",
    "jsonschema_rs",
    "msgpack",
    "multiaddr",
    "nacl.bindings",
    "numpy",
    "prometheus_client",
    "psycopg",
    "starlette.applications",
    "structlog",
    "tokenizers",
    "trio.testing",
    "trustme",
)
TIMED_OUT: Final = -signal.SIGKILL
"""The exit code of a run that was killed."""
NOT_THAT_TREE: Final = 70
"""No exit code of pytest."""


@frozen
class Run:
    """A run of pytest that was started."""

    process: ForkProcess
    said: Path
    """What it prints."""
    until_s: float
    """When it has taken too long, by `time.monotonic`."""

    @property
    def code(self) -> int:
        """Its exit code; minus the number of the signal that ended it."""
        assert self.process.exitcode is not None
        return self.process.exitcode


def prepare() -> None:
    """Imports what runs need beside our code, the plug-ins of pytest among it."""
    for entry in entry_points(group="pytest11"):
        entry.load()
    for name in IMPORTED:
        importlib.import_module(name)


def started(tree: Path, test: str, said: Path, timeout_s: float) -> Run:
    """A run of `test` in `tree`, which prints into `said`."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=(tree, test, said))
    process.start()
    return Run(process, said, time.monotonic() + timeout_s)


def ended(runs: Sequence[Run]) -> list[Run]:
    """Waits until one or more have ended, or were killed because they took too long: those."""
    within_s = max(0.0, min(run.until_s for run in runs) - time.monotonic())
    done = wait([run.process.sentinel for run in runs], within_s)
    over = []
    for run in runs:
        late = time.monotonic() >= run.until_s
        if run.process.sentinel in done or late:
            if late:
                run.process.kill()
            run.process.join()
            over.append(run)
    return over


# --- in the forked process -------------------------------------------------------------------------------------------


def _run(tree: Path, test: str, said: Path) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(tree)
    path = [str(tree / "src"), str(tree)]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    sys.path[:] = path + [each for each in sys.path if Path(each or ".").resolve() not in {ROOT, ROOT / "src"}]
    for name in list(_ours()):
        del sys.modules[name]
    importlib.invalidate_caches()

    import pytest

    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = int(pytest.main([test, *options]))
    strange = [name for name, file in _ours().items() if file and not Path(file).is_relative_to(tree)]
    if strange:
        sys.stdout.write(f"not of that tree: {strange}\n")
        code = NOT_THAT_TREE
    sys.exit(code)


def _ours() -> dict[str, str | None]:
    """Our modules that were imported, and their files."""
    found = list(sys.modules.items())
    return {name: getattr(module, "__file__", None) for name, module in found if name.partition(".")[0] in OURS}
