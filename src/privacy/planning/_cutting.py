"""Cutting a long text into runs for different hosts: at rules, titles, empty lines, line ends, or between sentences.

Rules:

1. A **piece** is what is never cut: a paragraph, a record, an item with its indented lines, a row, a fenced block. A
   title stays with what follows it. What a mention covers is one piece.
   Of records of several lines, the lines of one stay together (`_records`).
2. Where each of many things is asked about, the things are found as the coarsest parts of which there are several.
   Elsewhere paragraphs will do, or lines where there are none; and a paragraph that is larger than a host may have is
   cut between its sentences.
3. A **run** is a row of pieces: as few as the share allows, at least `AIM` where there are so many, and balanced: the
   largest run is as small as can be with as many runs.
4. Between two runs stand white space and rules alone; they are kept, to join the answers by.
5. Linear, but for a factor of the logarithm of the size in balancing.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from attrs import frozen

from privacy.planning._records import Line, is_heading, record_starts
from privacy.planning._segments import MARKED, TITLED, is_entry

AIM: Final = 5
"""Into how many runs a text is cut that has so many pieces, where the policy asks for no more."""
RUN_CHARS: Final = 16_000
"""A run that is longer is cut further, up to the bound of fragments: contexts of models have ends."""
MIN_SENTENCE_CHARS: Final = 400
"""A paragraph that is shorter is not cut between its sentences."""
MARGIN: Final = 0.95
"""Of the share that a run may have: lengths are counted in letters here, and in words by the policy."""

_ENDS_LINE: Final = re.compile(r"[.!?:;…。！？\"”»)\]|>*]$")
_SENTENCE: Final = re.compile(
    r"(?<=[.!?…])(?P<close>[\"'”’»)\]]{0,3})\s+(?=[\"'“‘„«(\[]{0,2}[^\W\d_a-zà-öø-ÿ])|(?<=[。！？])(?=\S)"
)
_ABBREVIATED: Final = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|no|nr|approx|inc|ltd|co|fig|vol|dept|est|ave|rd|tel|al|[a-z])\.$",
    re.IGNORECASE,
)
TABLE_RULE: Final = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?")
_DELIMITERS: Final = ("\t", ";", ",", "|")


MAX_BALANCED: Final = 4096
"""More pieces are not weighed one by one."""


@frozen
class Piece:
    start: int
    end: int


@frozen
class Cut:
    """A text as pieces of one size."""

    pieces: tuple[Piece, ...]
    unit: str
    """What the pieces are, for people."""


def header_of(text: str, lines: Sequence[Line]) -> int:
    """How many of the first lines are the header of a table, which makes sense of each of its rows."""
    if len(lines) < 4:
        return 0
    first, second = (text[line.start : line.end][:2000] for line in lines[:2])
    if "|" in first and TABLE_RULE.fullmatch(second):
        return 2
    if any(line.gap for line in lines[1:4]):
        return 0
    for mark in _DELIMITERS:
        count = first.count(mark)
        if any(len(cell.split()) > MAX_HEADER_WORDS for cell in first.split(mark)):
            continue
        if count > 1 and not re.search(r"\d|[.!?] ", first):
            shown = lines[1:50]
            alike = sum(text.count(mark, line.start, line.end) >= count for line in shown)
            return 1 if 5 * alike >= 4 * len(shown) else 0
    return 0


MAX_HEADER_WORDS: Final = 5
"""Of a cell: what is longer is no name of a column, but prose with commas."""


def cut(text: str, lines: Sequence[Line], holds: Sequence[tuple[int, int]], *, many: bool, largest: float) -> Cut:
    """The pieces of a text, none of which cuts one of the ranges `holds`.

    `many`: each of many things is asked about. `largest` is the share of the text that one piece should not exceed.
    """
    strengths = _strengths(text, lines)
    total = sum(line.end - line.start for line in lines)
    cuts: dict[int, list[Piece]] = {}
    for level in (3, 2, 1, 0):
        starts = [number for number in range(len(lines)) if not number or strengths[number] >= level]
        ends = [*starts[1:], len(lines)]
        pieces = [Piece(lines[a].start, lines[b - 1].end) for a, b in zip(starts, ends, strict=True)]
        cuts[level] = _unheld(pieces, holds)
        if len(cuts[level]) < (2 if level == 3 else 3):
            continue
        small = max(piece.end - piece.start for piece in cuts[level]) <= largest * total
        if many or (small and len(cuts[level]) >= AIM):
            return Cut(tuple(cuts[level]), _UNITS[level])
    # The finest that has several parts, and what is too large of it between sentences.
    level = next((level for level in (2, 1, 3, 0) if len(cuts[level]) >= 3), 0)
    parts = [part for piece in cuts[level] for part in _sentences(text, piece, largest * total)]
    return Cut(tuple(_unheld(parts, holds)), _UNITS[level] if len(parts) == len(cuts[level]) else "sentences")


_UNITS: Final = {3: "sections", 2: "paragraphs", 1: "lines", 0: "lines"}


def _strengths(text: str, lines: Sequence[Line]) -> list[int]:
    """How well the text can be cut before each line: 3 a rule or title, 2 an empty line, 1 a line of its own.

    -1: not at all, where a line belongs to the one before it.
    """
    found: list[int] = []
    titled = [TITLED.match(text, line.start, line.end) is not None for line in lines]
    has_titles = sum(titled) > 1
    records = frozenset() if has_titles else frozenset(record_starts(text, lines))
    after_title = False
    base, is_item = 0, False
    for number, line in enumerate(lines):
        indent = _indent(text, line)
        is_under = bool(number) and indent > base and (line.gap == 0 or (line.gap == 1 and is_item))
        if after_title and line.gap < 2:
            strength = -1
        elif line.gap == 2 or (has_titles and titled[number]) or number in records:
            strength = 3
        elif (records and not line.gap) or is_under:
            strength = -1
        elif line.gap:
            strength = 2
        else:
            strength = 1 if not number or _is_alone(text, lines, number) else -1
        if strength > 0 or not number:
            base, is_item = indent, MARKED.match(text, line.start, line.end) is not None
        found.append(strength)
        after_title = has_titles and titled[number] and line.end - line.start < MAX_TITLE_CHARS
        after_title = after_title or (number in records and is_heading(text, lines, number))
    return found


MAX_TITLE_CHARS: Final = 120


def _indent(text: str, line: Line) -> int:
    shown = text[line.start : min(line.end, line.start + 80)]
    return len(shown) - len(shown.lstrip())


def _is_alone(text: str, lines: Sequence[Line], number: int) -> bool:
    """Whether a line does not go on from the one before, as the lines of a typewriter do."""
    line, before = lines[number], lines[number - 1]
    if line.closed or before.closed or MARKED.match(text, line.start, line.end):
        return True
    if _ENDS_LINE.search(text[max(before.start, before.end - 2) : before.end]):
        return True
    opening = text[line.start : min(line.end, line.start + 80)].lstrip("> \t")
    if not opening[:1].islower() or before.end - before.start < MIN_WRAPPED_CHARS:
        return True
    return is_entry(text, line) and is_entry(text, before)


MIN_WRAPPED_CHARS: Final = 40
"""A line that is shorter is not one that a typewriter, or an e-mail program, ended."""


def _unheld(pieces: Sequence[Piece], holds: Sequence[tuple[int, int]]) -> list[Piece]:
    """The pieces, those joined that one hold has in common."""
    found: list[Piece] = []
    ranges = sorted(holds)
    place, reached = 0, 0
    for piece in pieces:
        while place < len(ranges) and ranges[place][0] < piece.start:
            reached = max(reached, ranges[place][1])
            place += 1
        if found and reached > piece.start:
            found[-1] = Piece(found[-1].start, piece.end)
        else:
            found.append(piece)
    return found


def _sentences(text: str, piece: Piece, largest_chars: float) -> list[Piece]:
    """A piece, or its sentences where it is larger than it should be and no fenced block."""
    size = piece.end - piece.start
    shown = text[piece.start : piece.end]
    if size <= largest_chars or size < MIN_SENTENCE_CHARS or shown.lstrip().startswith(("```", "~~~", '"""', "|")):
        return [piece]
    found: list[Piece] = []
    start = piece.start
    for match in _SENTENCE.finditer(text, piece.start, piece.end):
        end = match.end("close") if match["close"] is not None else match.start()
        if not _ABBREVIATED.search(text[max(start, end - 12) : end]):
            found.append(Piece(start, end))
            start = match.end()
    return [*found, Piece(start, piece.end)]


def balanced(pieces: Sequence[Piece], runs: int) -> list[tuple[int, int]]:
    """The pieces in at most so many rows, as `(first, behind the last)`, of which the longest is as short as can be.

    Of very many pieces, neighbours count as one.
    """
    lumps = [*range(0, len(pieces), -(-len(pieces) // MAX_BALANCED)), len(pieces)]
    sums = [0, *accumulate(piece.end - piece.start for piece in pieces)]
    sizes = [sums[behind] - sums[first] for first, behind in pairwise(lumps)]
    low, high = max(sizes), sum(sizes)
    while low < high:
        middle = (low + high) // 2
        if _rows_needed(sizes, middle)[0] <= runs:
            high = middle
        else:
            low = middle + 1
    return [(lumps[first], lumps[behind]) for first, behind in _rows(sizes, low, runs)]


def _rows_needed(sizes: Sequence[int], most: int) -> list[int]:
    """Into how many rows of at most `most` the pieces from each one on go; 0 behind the last."""
    needed = [0] * (len(sizes) + 1)
    held, behind = 0, len(sizes)
    for first in range(len(sizes) - 1, -1, -1):
        held += sizes[first]
        while held > most:
            behind -= 1
            held -= sizes[behind]
        needed[first] = needed[behind] + 1
    return needed


def _rows(sizes: Sequence[int], most: int, runs: int) -> list[tuple[int, int]]:
    """Rows of at most `most`; each ends once it has its part of what is left, so that the last is no crumb."""
    found: list[tuple[int, int]] = []
    sums = [0, *accumulate(sizes)]
    needed = _rows_needed(sizes, most)
    first = 0
    while first < len(sizes):
        left = runs - len(found)
        wanted = (sums[-1] - sums[first]) / left
        behind = first + 1
        while behind < len(sizes) and sums[behind + 1] - sums[first] <= most:
            is_enough = (sums[behind] + sums[behind + 1]) / 2 - sums[first] >= wanted
            if is_enough and needed[behind] <= left - 1:
                break
            behind += 1
        found.append((first, behind))
        first = behind
    return found
