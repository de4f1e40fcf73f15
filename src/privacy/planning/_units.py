"""Reading a message into units, in the order of the text.

Rules:

1. Every character is in one unit, in the marker of an item, or is white space: nothing is lost on the way.
2. A paragraph is read as a whole: as material (`_material`), as lines that are a task each, or as sentences, and a
   sentence as its instructions (`_clauses`). An item of a list is one unit, with all its sentences and lines.
3. What marks an item is what people type: numbers with a full stop, bracket, ordinal sign or keycap, "Q1", letters,
   Roman numbers, bullets, arrows, check boxes, "First:", "Second thing:". Marks that are words or prose as well count
   only in their order.
4. Behind a sentence that announces several things (`announces_tasks`), what is set apart is an item, whatever marks
   it: a line, a part behind ";", "/", "also" or "oh and", or a paragraph that says what is wanted. Without one, parts
   between slashes are, where all of them ask.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from attrs import define

from privacy.exposure import sentence_spans
from privacy.planning._clauses import CLOSED, clause_starts
from privacy.planning._imperatives import is_written_thing
from privacy.planning._kinds import Kind, announces_tasks, first_word, is_generic, kind_of, kind_of_item
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


_BULLET: Final = r"(?:[-*•·–—‣⁃▪▫◦●○■□◆◇►▸▶★☆→➔➜➤✓✔✅☐☑🔹🔸👉📌]️?|->|=>|>>|~|»)[ \t]+(?:\[[ xX]?\][ \t]+)?"
_NUMBER: Final = (
    r"[*_]{0,2}\(?(?P<number>\d{1,3})(?:(?:[.):]|[º°ª][.):]|[ºª])[*_]{0,2}(?:[ \t]+|(?=[^\W\d_]))|️?⃣[ \t]*"
    r"|(?:[ \t]?[-–]|/)[ \t]+(?=[^\W\d_]))"
)
_ROMAN: Final = r"(?P<roman>\((?:i{1,3}|iv|vi{0,3}|ix|x)[).]|(?:i{1,3}|iv|vi{0,3}|ix|x)\))"
_OF_A_QUARTER: Final = r"(?:is|was|were|will|has|had|results?|sales|revenue|figures|reports?|to|of|in|and|vs|2\d)\b"
_ORDINAL: Final = (
    r"(?:first|second|third|fourth|fifth|last|final)(?:ly)?(?:[ \t]+(?:thing|one|question|task|job|request|bit))?"
    r"(?:,[ \t][^:,.?!\n\"]{1,40})?"
)

_MARKER: Final = re.compile(
    rf"^[ \t]{{0,3}}(?:(?:task|question|part|q)?[ \t]*{_NUMBER}|q(?P<asked>\d{{1,2}})[ \t]+(?!{_OF_A_QUARTER})"
    rf"|#(?P<hash>\d{{1,3}})[.):]?[ \t]+|{_ROMAN}[ \t]+|\(?[a-z]\)[ \t]+|(?-i:[a-h])\.[ \t]+(?!\w\.)"
    rf"|{_BULLET}|{_ORDINAL}:[ \t]+)(?=\S)",
    re.IGNORECASE,
)
_INLINE_MARKER: Final = re.compile(
    r"(?:(?<=\s)|^)(?:\(?(?P<number>\d{1,2})(?:[.)/]|[º°ª][.):]|[ºª])|\((?P<letter>[a-hA-H])\)|(?P<open_letter>[a-hA-H])\)"
    r"|[qQ](?P<asked>\d{1,2})[.:)]|\(?(?P<roman>i{1,3}|iv|vi{0,3})\))[ \t]+(?=\S)"
)
_LETTERS: Final = "abcdefgh"
_ROMANS: Final = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_TITLE_LINE: Final = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")

_OPENS_ROW: Final = re.compile(r"\W*(?:please\s+)?(?:first(?:ly)?|to start(?: with)?)\b", re.IGNORECASE)
_JOINTS: Final = re.compile(
    r";\s|(?<=\s)[/|]{1,2}(?=\s)|\n|[,.;]?\s(?=(?:and\s+)?also\b)|[,.;]\s*(?=(?:oh|plus|y también|und außerdem)\b)"
    r"|\s(?=oh,?\s+and\b)",
    re.IGNORECASE,
)
"""What stands between things in a row that was announced."""
_COMMA: Final = re.compile(r",\s(?:and\s)?")
_STOP: Final = re.compile(r"(?<=\w\w)[.!]\s+(?=[a-z])")
"""Where a sentence ends and the next begins with a small letter."""
_SLASH: Final = re.compile(r"(?<=\s)/{1,2}(?=\s)")
_ROW_WORDS: Final = re.compile(r"\s*(?:(?:and|also|oh|then)\b[\s,]*)+(?=\S)", re.IGNORECASE)
"""What goes on with a row: it counts, as a number does, and is left out."""
_THING: Final = re.compile(
    r"\s*(?:(?:and|y|und|et)\s+)?(?:an?|the|some|my|one|two|three|\d{1,2}|una?|la|el|une|le|ein|eine|einen|die|der|das)"
    r"(?:\s+\S+){3}",
    re.IGNORECASE,
)
"""A thing, and more about it: "a nickname for my scooter"."""
_BARE_JOINT: Final = re.compile(r"(?:(?:and|also|oh|plus|y|und|et)\b[\s,]*)*", re.IGNORECASE)
_WANTED: Final = re.compile(
    r"\b(?:i|we)(?:['’]d|\s+would)?\s+(?:(?:also|really|just|only)\s+)*(?:need|want|like|love)\s+(?:an?|some|your"
    r"|to know|help|you)\b"
    r"|\bthere(?:['’]?s|\s+is|\s+are)\s+(?:also\s+)?the\b.{1,200}?\b(?:it|they)\s+(?:should|must|needs?)\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a paragraph says what is wanted, where several things were announced."""
_LEAD: Final = re.compile(
    r"[^:\n.?!]{0,120}\b(?:questions?|tasks?|things|requests)\b[^:\n.?!]{0,60}:(?=\s|$)", re.IGNORECASE
)
_ANY_LEAD: Final = re.compile(r"[^:\n.?!]{1,120}:(?=\s|$)")


class Reader:
    """Reads one message into units; `holds` are ranges (mentions) inside which nothing ends."""

    def __init__(self, text: str, holds: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._holds = holds
        self.units: list[Unit] = []
        self._paragraph = 0
        self._heading = ""
        self._announced = False
        """Whether several things were said to be wanted."""
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
        if not code and (self._lines_under_lead(lines) or self._separate_items(first.start, last.end, paragraph=True)):
            return None
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

    def _lines_under_lead(self, lines: Sequence[Line]) -> bool:
        """Reads "couple of things pls", and a line for each below it."""
        lead, rest = lines[0], lines[1:]
        if len(rest) < 2 or self._announced or not announces_tasks(lead.text):
            return False
        self._announced = True
        self._add("courtesy" if is_generic(lead.text) else "lead", lead.start, lead.end)
        if self._separate_items(rest[0].start, rest[-1].end):
            return True
        self._announced = False
        self.units.pop()
        return False

    def _separate_items(self, start: int, end: int, *, paragraph: bool = False) -> bool:
        """Reads parts that nothing but the separator marks as items, or a paragraph that says what is wanted."""
        if not self._announced:
            parts = self._parts(_SLASH, start, end)
            say_enough = len(parts) > 1 and all(len(self._text[slice(*part)].split()) > 2 for part in parts)
            return say_enough and all(self._asks(*part) for part in parts) and self._add_items(parts)
        if material_offset(self._text[start:end], until_list=False) is not None:
            return False
        parts = self._parts(_JOINTS, start, end)
        if len(parts) == 1:
            named, told = self._parts(_COMMA, start, end), self._parts(_STOP, start, end)
            if all(_is_named(self._text[slice(*part)]) for part in named):
                parts = named
            elif all(self._asks(*part) for part in told):
                parts = told
        asked = [self._asks(*part) or is_written_thing(self._text[slice(*part)].lstrip()) for part in parts]
        things = all(asks or _THING.match(self._text, *part) for asks, part in zip(asked, parts, strict=True))
        last = [kind_of(self._text[first:last]) for first, last in self._spans(*parts[-1])] if parts else []
        if len(parts) > 1 and "task" not in last[1:] and (2 * sum(asked) > len(parts) or things):
            return self._add_items(parts)
        kinds = [kind_of(self._text[first:last]) for first, last in self._spans(start, end)]
        is_one = paragraph and kinds.count("task") < 2
        return is_one and self._asks(start, end, wide=True) and self._add_items([(start, end)])

    def _parts(self, joints: re.Pattern[str], start: int, end: int) -> list[tuple[int, int]]:
        """What stands between the joints outside of quotation marks, brackets and mentions."""
        closed = [*(match.span() for match in CLOSED.finditer(self._text, start, end)), *self._holds]
        held = {place for first, last in closed for place in range(max(first, start), min(last, end))}
        cuts = [match for match in joints.finditer(self._text, start, end) if match.start() not in held]
        begins = [start, *(cut.end() for cut in cuts)]
        ends = [*(cut.start() for cut in cuts), end]
        return [part for part in zip(begins, ends, strict=True) if self._text[slice(*part)].strip()]

    def _asks(self, start: int, end: int, *, wide: bool = False) -> bool:
        text = _BARE_JOINT.sub("", self._text[start:end].strip(), count=1)
        if kind_of_item(text, sentence_spans(text)) == "task":
            return True
        return wide and (is_written_thing(text) or _WANTED.search(text) is not None)

    def _add_items(self, parts: Sequence[tuple[int, int]]) -> bool:
        """Adds parts as items that ask, and what only thanks or says how, as that."""
        for start, end in parts:
            kind = kind_of(self._text[start:end])
            number = (self.units[-1].item or 0) + 1 if self.units else 1
            told = kind in {"courtesy", "remark"} and len(parts) > 1
            skipped = _ROW_WORDS.match(self._text, start, end)
            begin = skipped.end() if skipped is not None else start
            self._add(kind if told else "task", begin, end, item=None if told else number)
            self.units[-1].row = not told
        return True

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
            mark = next(group for group in match.groups() if group).casefold()
            place = len(marks)
            if mark in {str(place + 1), *_LETTERS[place : place + 1], *_ROMANS[place : place + 1]}:
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
        tried = False
        for begin, last in self._spans(start, end):
            first = self._lead(begin, last, followed_by_list=followed_by_list)
            if begin < first < last and self._announced and not tried:
                tried = True
                if self._separate_items(first, end):
                    return None
            sentence = self._text[first:last]
            if not sentence:
                continue
            kind = kind_of(sentence)
            if not followed_by_list and (reached := self._announcement(first, last)) > first:
                if not tried and (reached < last or "\n" in self._text[last:end]):
                    tried = True
                    if self._separate_items(reached, end):
                        return None
                if reached < last:
                    self._add_clauses(kind_of(self._text[reached:last]), reached, last)
                continue
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
        match = _LEAD.match(self._text, first, last) or _ANY_LEAD.match(self._text, first, last)
        if match is None or (followed_by_list and match.end() == last):
            return first
        if announces_tasks(match.group()):
            self._announced = True
        elif match.re is _ANY_LEAD:
            return first
        self._add("courtesy" if is_generic(match.group()) else "lead", first, match.end())
        return last if match.end() == last else match.end() + 1

    def _announcement(self, first: int, last: int) -> int:
        """Takes "two questions." off a sentence, behind which small letters may go on; returns how far it came."""
        stop = _STOP.search(self._text, first, last)
        end = stop.end() if stop is not None else last
        sentence = self._text[first:end].strip()
        if not announces_tasks(sentence):
            return first
        self._announced = True
        self._add("courtesy" if is_generic(sentence) else "lead", first, end)
        return end

    def _tail(self, first: int, last: int, end: int, *, followed_by_list: bool) -> int | None:
        """Where material begins after a colon in the sentence, unless it is quoted or a list follows."""
        offset = material_offset(self._text[first:last], until_list=followed_by_list and last == end)
        if offset is None or opens_quotation(self._text[first + offset : end]):
            return None
        return first + offset


def _is_named(part: str) -> bool:
    """Whether a part of a row names something that is written: "a poem for a card"."""
    return is_written_thing(_ROW_WORDS.sub("", part, count=1).lstrip())


def _speaks_of_list(line: Line, item: list[Line]) -> bool:
    """Whether a line right under the last item is no part of it but asks about the list."""
    if _MARKER.match(item[0].text) is None or line.text[:1].islower() or kind_of(line.text) != "task":
        return False
    is_about_item = first_word(_MARKER.sub("", item[0].text)) in TRANSFORMING or item[-1].text.endswith((":", ","))
    return not is_about_item and not line.text[:1].isspace()
