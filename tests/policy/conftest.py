"""Every run of the promises' tests says which promises are not built yet."""

from typing import Any

from tests.policy.policy_table import rows


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Lists what `docs/policy.md` has as due."""
    due = [row for row in rows() if row.due]
    if due:
        terminalreporter.section("promises that are due")
        for row in due:
            part = "all of it" if not row.tests else f"in part: {row.due}"
            terminalreporter.line(f"P{row.number:<3} {part}")
