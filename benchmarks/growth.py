"""How the time of the patterns grows with a text of one line, for lines made to be slow: linear, or it is a defect.

Each figure is the time per kilobyte of a line of one megabyte, against that of a line of sixteen kilobytes in the same
run; a quadratic step anywhere would show as a ratio of sixty-four.
"""

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.report import Figure
from privacy.folding import View
from privacy.patterns import default_recognisers, find_patterns

SMALL_KB: Final = 16
SIZES_KB: Final = (1, 4, SMALL_KB, 64, 256, 1024)
TARGET: Final = 4.0
"""A megabyte's words are more than a cache holds, so the growth is not quite linear."""
LINES: Final = {
    "letters": "a",
    "words": "word ",
    "capitals": "Ab ",
    "digits": "1",
    "spaced_digits": "1 ",
    "grouped_digits": "123 456-78.9 ",
    "spaces": " ",
    "at_signs": "a@",
    "dots": "a.",
    "brackets": "(",
    "colons": ":",
    "hex_colons": "a1:",
    "slashes": "1/",
    "hyphens": "A-1-",
    "urls": "https://a.example/?user=x&b=",
    "keywords": "password key no. case account address: 1 A ",
    "months": "1 may ",
    "spelled": "a dot b at ",
    "keys": "-----BEGIN PRIVATE KEY----- ",
    "quotes": 'key="',
    "look_alikes": "аa1 ",
    "marks": "e\u0301",
    "invisible": "a\u200b",
}  # fmt: skip


def figures() -> Iterator[Figure]:
    """One for each kind of line."""
    recognisers = default_recognisers()

    def seconds(unit: str, size_kb: int) -> float:
        line = (unit * (1024 * size_kb // len(unit) + 1))[: 1024 * size_kb]
        start = time.process_time()
        find_patterns(View.of(line).text, recognisers)
        return time.process_time() - start

    for kind, unit in LINES.items():
        seconds(unit, 1)
        taken = {size_kb: seconds(unit, size_kb) for size_kb in SIZES_KB}
        yield Figure(
            f"patterns_growth_{kind}",
            taken[SIZES_KB[-1]] / SIZES_KB[-1] * 1e6,
            f"us per KB of a line of {SIZES_KB[-1]} KB",
            f"the same of {SMALL_KB} KB",
            min(taken[SMALL_KB], seconds(unit, SMALL_KB)) / SMALL_KB * 1e6,
            TARGET,
            True,
            {"ms_by_kb": {size_kb: round(each * 1e3, 2) for size_kb, each in taken.items()}},
        )
