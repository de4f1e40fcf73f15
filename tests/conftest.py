"""What all tests share: where nothing may be skipped, a skip is a failure; scratch folders are in memory; and with two
processes of tests, one has the swarms.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.databases import (  # noqa: F401  (fixtures)
    database,
    database_url,
    migrated_postgres,
    postgres,
    sqlite_database,
)
from tests.side_by_side import SWARMS, OneWithSwarms

_NO_SKIP = bool(os.environ.get("PEERNET_NO_SKIP"))
_MEMORY: Final = Path("/dev/shm")
_ROOM_BYTES: Final = 4 << 30
"""The whole suite leaves about a quarter of it: copies of models, for the most part."""
_SCRATCH: Final = "peernet-tests-"

_scratch = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Puts all scratch folders where a sync costs nothing; every ledger and every home asks for many.

    They are gone when the tests end. Whoever sets TMPDIR or `--basetemp` has them there, and pytest keeps them.
    """
    if os.environ.get("TMPDIR") or not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        return
    for left in _MEMORY.glob(f"{_SCRATCH}*"):
        # Of a run that was killed.
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=_MEMORY)
    config.stash[_scratch] = Path(folder)
    # For us, and for the processes that tests start.
    tempfile.tempdir = os.environ["TMPDIR"] = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    """Gives the memory back."""
    if (folder := config.stash.get(_scratch, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        tempfile.tempdir = None
        del os.environ["TMPDIR"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure under PEERNET_NO_SKIP; expected failures stay what they are."""
    report = yield
    if _NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped under PEERNET_NO_SKIP: {reason}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two processes of tests (`-n 2`) share them as `tests/side_by_side.py` says."""
    return OneWithSwarms(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of whole swarms come last: what is quick to tell is told first.

    Where one of several processes has them, it begins with them.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(SWARMS))
    else:
        items.sort(key=lambda item: item.get_closest_marker("swarm") is not None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A run of the promises' tests says which promises are not built yet: what `docs/policy.md` has as due."""
    from tests.policy.policy_table import rows

    ran = (report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ()))
    if not any(report.nodeid.startswith("tests/policy/") for report in ran):
        return
    if due := [row for row in rows() if row.due]:
        terminalreporter.section("promises that are due")
        for row in due:
            part = "all of it" if not row.tests else f"in part: {row.due}"
            terminalreporter.line(f"P{row.number:<3} {part}")


class _NoJudge:
    def verdict(self, text: str, holds: Sequence[tuple[int, int]] = ()) -> None:
        """None, as of a request that is too long for the judge: the rules decide alone."""


@pytest.fixture(scope="module")
def rules_alone() -> Generator[None]:
    """Requests are planned by the rules alone: what tests of a rule are about, in a few words each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("privacy.planning._deciding.packaged", _NoJudge)
        yield
