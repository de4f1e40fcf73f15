"""One instruction over a long text, as runs of the text for different hosts (rule 7).

Rules:

1. Every host gets the instruction, the header of a table, and a run of whole pieces (`_cutting`). The runs are all of
   the text, in order, and touch nowhere.
2. There are as few runs as `max_share` wants, at least `AIM` where there are so many pieces, and more of a text whose
   runs would be longer than a model reads. No more than hosts, but for such a text.
3. A short text, and one whose instruction is half of the words, goes whole: to cut it would hide little.
4. The answers to a mapping are joined by what stood between the runs, those of an extraction by a line's end, and
   summaries stand under the titles of their sections.
"""

import re
import textwrap
from collections.abc import Sequence
from typing import Final

from attrs import field, frozen

from privacy.planning._cutting import AIM, MARGIN, RUN_CHARS, Cut, Piece, balanced, cut, header_of
from privacy.planning._dividing import MAX_FRAGMENTS, SHARED_LIMIT
from privacy.planning._model import GLUE, Excerpt, ExposurePolicy, Level, Structure
from privacy.planning._piecewise import Way
from privacy.planning._segments import TITLED, Segments, segment
from privacy.planning._source import Source

MIN_TEXT_CHARS: Final = 320
"""A shorter text is not cut, unless each of several things in it is asked about."""
MIN_MANY_CHARS: Final = 120
MIN_MANY: Final = 3
MAX_TITLES: Final = 8
"""A run with more sections has the first and the last ones' titles above its answer."""
MAX_TITLE: Final = 60
MAX_INDENT: Final = 80
"""White space before a run stands between the answers, and not in the run."""

_TITLE_MARKS: Final = re.compile(r"^[#*_\s]+|[#*_:\s]+$")


@frozen
class Run:
    """What one host gets."""

    prompt: Excerpt = field(repr=False)
    joint: str = field(repr=False)
    titles: tuple[str, ...] = field(repr=False)


@frozen
class Shards:
    """A text in runs."""

    runs: tuple[Run, ...]
    shared: tuple[tuple[int, int], ...]
    """The ranges that every host gets."""
    header_lines: int
    structure: Structure
    why: str


_STRUCTURES: Final[dict[Way, Structure]] = {"mapping": "text", "extraction": "list", "sections": "sections"}


def find_shards(source: Source, hosts: int, policy: ExposurePolicy) -> Shards | None:
    """The runs of the last message for at most so many hosts; None where it is no text under one instruction."""
    if policy.level is Level.OPEN:
        return None
    segments = segment(source.text)
    return None if segments is None else shards_of(source, segments, hosts, policy)


def shards_of(
    source: Source,
    segments: Segments,
    hosts: int,
    policy: ExposurePolicy,
    background: Sequence[tuple[int, int]] | None = None,
) -> Shards | None:
    """The runs of a text under its instruction; None where to cut it would hide little.

    `background`, of a text that is one task among others, is what else of the message its task needs.
    """
    headed = header_of(source.text, segments.lines)
    lines = segments.lines[headed:]
    holds = [(mention.start, mention.end) for mention in source.mentions[source.last]]
    found = cut(source.text, lines, holds, many=segments.manner.many, largest=_LARGEST_PIECE * policy.max_share)
    if not _is_worth_it(segments, found):
        return None
    header = [(segments.lines[0].start, segments.lines[headed - 1].end)] if headed else []
    shared = (*(background or ()), *segments.instruction, *header)
    shared_share = source.share([GLUE.join(source.text[start:end] for start, end in shared)])
    if shared_share > SHARED_LIMIT:
        return None
    allowed = max(policy.max_share - shared_share, 0.0)
    if background is not None:
        allowed /= max(source.share([source.text[lines[0].start : lines[-1].end]]), allowed)
    rows = _rows(found, hosts, allowed)
    if len(rows) < 2:
        return None
    return _shards(source, segments, found, rows, shared, headed)


_LARGEST_PIECE: Final = 0.7
"""Of `max_share`, how much of a text one piece should be."""


def _is_worth_it(segments: Segments, found: Cut) -> bool:
    pieces = found.pieces
    size = sum(piece.end - piece.start for piece in pieces)
    if segments.manner.many:
        return len(pieces) >= (2 if found.unit == "sections" else MIN_MANY) and size >= MIN_MANY_CHARS
    return len(pieces) >= MIN_MANY and size >= MIN_TEXT_CHARS


def _rows(found: Cut, hosts: int, allowed: float) -> list[tuple[int, int]]:
    """Which pieces make the runs, when one may have `allowed` of the text."""
    pieces = found.pieces
    sizes = [piece.end - piece.start for piece in pieces]
    total = sum(sizes)
    by_length = min(MAX_FRAGMENTS, len(pieces), -(-total // RUN_CHARS))
    most = min(MAX_FRAGMENTS, len(pieces), max(hosts, 2))
    count = min(AIM, most)
    rows = balanced(pieces, count)
    while count < most and max(sum(sizes[a:b]) for a, b in rows) > MARGIN * allowed * total:
        count += 1
        rows = balanced(pieces, count)
    return rows if by_length <= count else balanced(pieces, by_length)


def _shards(
    source: Source,
    segments: Segments,
    found: Cut,
    rows: Sequence[tuple[int, int]],
    shared: tuple[tuple[int, int], ...],
    headed: int,
) -> Shards:
    way = segments.manner.way
    runs: list[Run] = []
    before: Piece | None = None
    for first, behind in rows:
        start = found.pieces[first].start
        indent = len(source.text[start : start + MAX_INDENT]) - len(source.text[start : start + MAX_INDENT].lstrip())
        run = Piece(start + indent, found.pieces[behind - 1].end)
        joint = "\n" if way == "extraction" else GLUE
        if way == "mapping" and before is not None:
            joint = source.text[before.end : run.start]
        titles = _titles(source.text, found.pieces[first:behind]) if way == "sections" else ()
        runs.append(Run(source.excerpt([*shared, (run.start, run.end)], source.last), joint, titles))
        before = run
    why = f"one instruction over {len(found.pieces)} {found.unit}, in {len(runs)} runs"
    return Shards(tuple(runs), shared, headed, _STRUCTURES[way], why)


def _titles(text: str, pieces: Sequence[Piece]) -> tuple[str, ...]:
    found = []
    for piece in pieces:
        first_line = text[piece.start : piece.end].split("\n", 1)[0]
        if TITLED.match(first_line):
            words = " ".join(_TITLE_MARKS.sub("", first_line).split())
            found.append(textwrap.shorten(words, MAX_TITLE, placeholder=" …"))
    return tuple(found) if len(found) <= MAX_TITLES else (f"{found[0]} – {found[-1]}",)
