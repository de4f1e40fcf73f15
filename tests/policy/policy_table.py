"""`docs/policy.md` as data: a row for each promise."""

import re
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["PAGE", "Row", "rows"]

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "policy.md"
COLUMNS: Final = 6
_LINK: Final = re.compile(r"\]\(([^)#]+)")
_NAME: Final = re.compile(r"`([a-z0-9-]+)`")


@frozen
class Row:
    """One promise, as the page has it."""

    number: int
    clause: str
    code: tuple[Path, ...]
    tests: tuple[Path, ...]
    sabotages: tuple[str, ...]
    due: str
    """What of it is not built yet; nothing where all of it is."""


def rows() -> list[Row]:
    """The rows, in order."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| P") and len(cells) == COLUMNS:
            number, clause, code, tests, sabotages, due = cells
            found.append(
                Row(int(number[1:]), clause, _links(code), _links(tests), tuple(_NAME.findall(sabotages)), due)
            )
    return found


def _links(cell: str) -> tuple[Path, ...]:
    return tuple((PAGE.parent / link).resolve() for link in _LINK.findall(cell))
