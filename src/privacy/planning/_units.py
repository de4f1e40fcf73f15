"""Reading a message into units, in the order of the text.

Rules:

1. Every character is in one unit, in the marker of an item, or is white space: nothing is lost on the way.
2. A paragraph is read as a whole: as material (`_material`), as lines that are a task each, or as sentences, and a
   sentence as its instructions (`_clauses`). An item of a list is one unit, with all its sentences and lines.
3. What marks an item is what people type: numbers with a full stop, bracket or keycap, letters, bullets, arrows,
   check boxes, "First:".
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from attrs import define

from privacy.exposure import sentence_spans
from privacy.planning._clauses import clause_starts
from privacy.planning._kinds import Kind, first_word, is_generic, kind_of, kind_of_item
from privacy.planning._material import (
    THIS_MATERIAL,
    Line,
    is_code,
    is_verse,
    material_offset,
    material_ranges,
    opens_quotation,
)
from privacy.planning._words import TRANSFORMING


@define
class Unit:
    """One part of a message, of one kind; offsets count code points of the message."""

    kind: Kind
    start: int
    end: int
    text: str
    paragraph: int
    item: int | None = None
    """Which item of a list it is, from 1."""
    marker: str = ""
    heading: str = ""
    row: bool = False
    """Whether it stands in a row that "First" opened, where "then" counts and does not point back."""
    clause: bool = False
    """Whether it is a later clause of a sentence."""
    for_later: bool = False
    """Whether it is a list that the next task is about."""


_BULLET: Final = r"(?:[-*•–‣▪◦●○★☆→➔➤✓✔✅☐☑🔹🔸👉]️?|->|=>)[ \t]+(?:\[[ xX]?\][ \t]+)?"
_NUMBER: Final = r"[*_]{0,2}\(?(?P<number>\d{1,3})(?:[.):][*_]{0,2}(?:[ \t]+|(?=[^\W\d_]))|️?⃣[ \t]*)"

_MARKER: Final = re.compile(
    rf"^[ \t]{{0,3}}(?:(?:task|question|part|q)?[ \t]*{_NUMBER}|#(?P<hash>\d{{1,3}})[.):]?[ \t]+|\(?[a-z]\)[ \t]+"
    rf"|{_BULLET}|(?:first|second|third|fourth|fifth|last|final)(?:ly)?:[ \t]+)(?=\S)",
    re.IGNORECASE,
)
_INLINE_MARKER: Final = re.compile(
    r"(?:(?<=\s)|^)(?:\(?(?P<number>\d{1,2})[.)]|\((?P<letter>[a-h])\)|(?P<open_letter>[a-h])\))[ \t]+(?=\S)"
)
_LETTERS: Final = "abcdefgh"
_TITLE_LINE: Final = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")

_OPENS_ROW: Final = re.compile(r"\W*(?:please\s+)?(?:first(?:ly)?|to start(?: with)?)\b", re.IGNORECASE)
_LEAD: Final = re.compile(
    r"[^:\n.?!]{0,120}\b(?:questions?|tasks?|things|requests)\b[^:\n.?!]{0,60}:(?=\s|$)", re.IGNORECASE
)


class Reader:
    """Reads one message into units; `holds` are ranges (mentions) inside which nothing ends."""

    def __init__(self, text: str, holds: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._holds = holds
        self.units: list[Unit] = []
        self._paragraph = 0
        self._heading = ""
        self._row_paragraph = 0
        """The paragraph in which "First" opened a row."""

    def read(self) -> list[Unit]:
        """The units, in order."""
        place = 0
        for start, end in material_ranges(self._text):
            place = self._prose(place, start)
            if place < end:
                self._add("material", max(start, place), end)
                place = end
        self._prose(place, len(self._text))
        return self.units

    def _add(self, kind: Kind, start: int, end: int, *, item: int | None = None, marker: str = "") -> None:
        piece = self._text[start:end]
        start, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if start < end:
            self.units.append(
                Unit(kind, start, end, self._text[start:end], self._paragraph, item, marker, self._heading)
            )

    def _prose(self, start: int, end: int) -> int:
        """Reads what is not marked off as material; returns how far it came."""
        blocks = self._blocks(start, end)
        for index, lines in enumerate(blocks):
            self._paragraph += 1
            reached = self._block(lines, end, blocks[index + 1] if index + 1 < len(blocks) else [])
            if reached is not None:
                return reached
        return end

    def _blocks(self, start: int, end: int) -> list[list[Line]]:
        """Paragraphs; every item of a list, and every heading, is a block of its own."""
        blocks: list[list[Line]] = []
        fresh = True
        place = start
        for raw in self._text[start:end].splitlines(keepends=True):
            line = Line(place, place + len(raw.rstrip()), raw.rstrip())
            place += len(raw)
            if not line.text.strip():
                fresh = True
                continue
            continues = blocks and blocks[-1] and _MARKER.match(blocks[-1][0].text) and raw[:2].isspace()
            if (_MARKER.match(line.text) and not (continues and raw[:2].isspace())) or (
                blocks and _speaks_of_list(line, blocks[-1])
            ):
                fresh = True
            if _TITLE_LINE.match(line.text) or (fresh and not continues) or not blocks:
                blocks.append([])
            blocks[-1].append(line)
            fresh = bool(_TITLE_LINE.match(line.text))
        return blocks

    def _block(self, lines: list[Line], end: int, following: list[Line]) -> int | None:
        first, last = lines[0], lines[-1]
        title = _TITLE_LINE.match(first.text)
        if title is not None:
            self._heading = title[1].strip()
            self._add("lead", first.start, first.end)
            self.units[-1].marker = "#"
            return None
        marker = _MARKER.match(first.text)
        if marker is not None:
            if marker["number"] != "1" or not self._inline_items(first.start, last.end):
                self._item(first.start + marker.end(), last.end, marker.group().strip())
            return None
        code = is_code(lines)
        tasks = not code and all(kind_of_item(line.text, [(0, len(line.text))]) == "task" for line in lines)
        if tasks and len(lines) > 1:
            for line in lines:
                self._add("task", line.start, line.end)
            return None
        if code or is_verse(lines):
            self._add("material", first.start, last.end)
            return None
        if self._inline_items(first.start, last.end):
            return None
        return self._sentences(first.start, last.end, end, following)

    def _item(self, start: int, end: int, marker: str) -> None:
        text = self._text[start:end]
        digits = re.search(r"\d+", marker)
        number = int(digits.group()) if digits else (self.units[-1].item or 0) + 1 if self.units else 1
        self._add(kind_of_item(text, self._spans(start, end, relative=True)), start, end, item=number, marker=marker)

    def _spans(self, start: int, end: int, *, relative: bool = False) -> list[tuple[int, int]]:
        holds = [(first - start, last - start) for first, last in self._holds if first < end and last > start]
        spans = sentence_spans(self._text[start:end], holds)
        return spans if relative else [(first + start, last + start) for first, last in spans]

    def _inline_items(self, start: int, end: int) -> bool:
        marks: list[re.Match[str]] = []
        for match in _INLINE_MARKER.finditer(self._text, start, end):
            # Only 1, 2, 3 or a, b, c in their order mark items: other numbers are the text's.
            mark = match["number"] or match["letter"] or match["open_letter"]
            if mark in {str(len(marks) + 1), _LETTERS[len(marks) : len(marks) + 1]}:
                marks.append(match)
        if len(marks) < 2:
            return False
        for first, last in self._spans(start, marks[0].start()):
            self._add(kind_of(self._text[first:last]), first, last)
        ends = [mark.start() for mark in marks[1:]] + [end]
        for mark, item_end in zip(marks, ends, strict=True):
            self._item(mark.end(), item_end, mark.group().strip())
        return True

    def _sentences(self, start: int, end: int, limit: int, following: list[Line]) -> int | None:
        followed_by_list = bool(following) and _MARKER.match(following[0].text) is not None
        for begin, last in self._spans(start, end):
            first = self._lead(begin, last, followed_by_list=followed_by_list)
            sentence = self._text[first:last]
            if not sentence:
                continue
            kind = kind_of(sentence)
            tail = self._tail(first, last, end, followed_by_list=followed_by_list)
            if tail is not None:
                reached = limit if tail >= end or not self._text[tail:end].strip() else end
                self._add("task" if kind == "context" and sentence.endswith("?") else kind, first, tail)
                if self._text[tail:reached].strip():
                    self._add("material", tail, reached)
                return reached if reached == limit else None
            self._add_clauses(kind, first, last)
            names_material = THIS_MATERIAL.search(sentence) and kind == "task" and len(self.units) == 1
            if names_material and last == end and following and not followed_by_list:
                self._add("material", end, limit)
                return limit
        return None

    def _add_clauses(self, kind: Kind, first: int, last: int) -> None:
        """A sentence, or each of its instructions."""
        holds = [(start - first, end - first) for start, end in self._holds]
        starts = clause_starts(self._text[first:last], holds) if kind == "task" else [0]
        for place, (start, end) in enumerate(pairwise([*starts, last - first])):
            self._add(kind, first + start, first + end)
            self.units[-1].clause = place > 0
            self.units[-1].row = self._row_paragraph == self._paragraph
            if _OPENS_ROW.match(self.units[-1].text):
                self._row_paragraph = self._paragraph

    def _lead(self, first: int, last: int, *, followed_by_list: bool) -> int:
        """Takes "Two questions about Peru:" off a sentence that is not followed by a list; returns what is left."""
        match = _LEAD.match(self._text, first, last)
        if match is None or (followed_by_list and match.end() == last):
            return first
        self._add("courtesy" if is_generic(match.group()) else "lead", first, match.end())
        return last if match.end() == last else match.end() + 1

    def _tail(self, first: int, last: int, end: int, *, followed_by_list: bool) -> int | None:
        """Where material begins after a colon in the sentence, unless it is quoted or a list follows."""
        offset = material_offset(self._text[first:last], until_list=followed_by_list and last == end)
        if offset is None or opens_quotation(self._text[first + offset : end]):
            return None
        return first + offset


def _speaks_of_list(line: Line, item: list[Line]) -> bool:
    """Whether a line right under the last item is no part of it but asks about the list."""
    if _MARKER.match(item[0].text) is None or line.text[:1].islower() or kind_of(line.text) != "task":
        return False
    is_about_item = first_word(_MARKER.sub("", item[0].text)) in TRANSFORMING or item[-1].text.endswith((":", ","))
    return not is_about_item and not line.text[:1].isspace()
