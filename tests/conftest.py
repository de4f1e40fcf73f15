"""What all tests share: where nothing may be skipped, a skip is a failure."""

import os
from collections.abc import Generator

import pytest

_NO_SKIP = bool(os.environ.get("PEERNET_NO_SKIP"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure under PEERNET_NO_SKIP; expected failures stay what they are."""
    report = yield
    if _NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped under PEERNET_NO_SKIP: {reason}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole swarms come last: what is quick to tell is told first."""
    items.sort(key=lambda item: item.get_closest_marker("swarm") is not None)
