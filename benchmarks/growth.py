"""How the time of detection grows with a text of one line, for lines made to be slow: linear, or it is a defect.

Each figure is the time per kilobyte of a line of one megabyte, against that of a line of sixteen kilobytes in the same
run; a quadratic step anywhere would show as a ratio of sixty-four. The patterns are measured by themselves, and then
the whole detector, with its recogniser.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.report import Figure
from privacy.detection import Detector
from privacy.folding import View
from privacy.patterns import default_recognisers, find_patterns

SMALL_KB: Final = 16
LARGE_KB: Final = 1024
SIZES_KB: Final = (1, 4, SMALL_KB, 64, 256, LARGE_KB)
TARGET: Final = 2.0
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
    "phones": "030/1234567; ",
    "one_a_line": "1\n",
    "tags": "\U000e0061\U000e0020\U000e0031",
    "right_to_left": "\u200fa \u202e1",
    "lone_surrogates": "\ud800a",
    "json": '{"name": "Ann", "id": 12}, ',
    "code": "x[i] = f(y, 1); ",
    "base64": "QUJD+/0x",
    "mixed_scripts": "аbс wоrd ",
    "names": "Ann Lee and Natasja, ",
    "rows": "Ann Lee|212-555-0143|10318201|x\n",
    "streets": "12 Mill Lane, Oslo 12345\n",
}  # fmt: skip


def line_of(unit: str, size_kb: int) -> str:
    """A line that is `unit` again and again."""
    return (unit * (1024 * size_kb // len(unit) + 1))[: 1024 * size_kb]


def figures() -> Iterator[Figure]:
    """One for each kind of line, of the patterns and then of the detector."""
    recognisers = default_recognisers()
    yield from _grown("patterns", lambda line: find_patterns(View.of(line).text, recognisers), SIZES_KB)
    yield from _grown("detector", Detector.load().detect, (1, SMALL_KB, LARGE_KB))


def _grown(part: str, read: Callable[[str], object], sizes_kb: tuple[int, ...]) -> Iterator[Figure]:
    def seconds(unit: str, size_kb: int) -> float:
        line = line_of(unit, size_kb)
        start = time.process_time()
        read(line)
        return time.process_time() - start

    for kind, unit in LINES.items():
        seconds(unit, 1)
        taken = {size_kb: seconds(unit, size_kb) for size_kb in sizes_kb}
        # The small line is measured twice: a short time is easily disturbed.
        small = min(taken[SMALL_KB], seconds(unit, SMALL_KB))
        yield Figure(
            f"growth_{part}_{kind}",
            taken[LARGE_KB] / LARGE_KB * 1e6,
            f"us per KB of a line of {LARGE_KB} KB",
            f"the same of {SMALL_KB} KB",
            small / SMALL_KB * 1e6,
            TARGET,
            True,
            {"ms_by_kb": {size_kb: round(each * 1e3, 2) for size_kb, each in taken.items()}},
        )
