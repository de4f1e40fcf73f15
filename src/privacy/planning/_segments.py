"""A message of one instruction and a long text: where the one ends and the other begins.

Theory of operation. People put the instruction first ("Translate this letter:"), last ("... Please translate the
above"), or around the text, and mark the text off by a colon, an empty line, a fence or a change of form (prose, then
a list). Only the first and the last few lines are looked at as sentences; what is between them is never read.

Rules:

1. The head ends with the line of the colon, or the paragraph, that says what is to be done, or with a whole sentence
   above records or lines of text; a label behind it ("Reviews:"), the categories above that label, and a paragraph of
   remarks ("Keep the tone.") belong to it. Behind a colon within a line stands text, unless that asks for something.
2. The tail is read as instruction where it speaks of the text ("the above", "these", "each of them"), or is prose
   behind a list, a table, a log or a fence. What else it says ("sorry that it's long") does no harm where nothing was
   asked before and it can be done piece by piece. Else it is text; so is what brings a quotation of its own.
3. Where head and tail say nothing that can be done piece by piece, or anything that cannot, there are no segments.
4. Linear in the message: its lines are gone through once, and regular expressions see bounded pieces.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from privacy.exposure import sentence_spans
from privacy.planning._clauses import clause_starts
from privacy.planning._kinds import first_word, is_plea, kind_of
from privacy.planning._material import Line as ShownLine
from privacy.planning._material import is_code
from privacy.planning._piecewise import MANY, Manner, asks, bare_instruction, manner_of, needs_together
from privacy.planning._records import Line, record_starts
from privacy.planning._words import CREATING

MAX_HEAD_LINES: Final = 24
MAX_HEAD_CHARS: Final = 2000
"""An instruction that is longer is not looked for."""
MAX_TAIL_CHARS: Final = 800
MAX_PARAGRAPH_CHARS: Final = 600
"""A paragraph that is longer is text and no instruction."""
_SAMPLE: Final = 200
"""How many lines of a text tell whether it is code."""

_RULE: Final = re.compile(r"[ \t]*(?:[-=*_~#–—]{3,}|(?:[-*_][ \t]+){2,}[-*_])[ \t]*")
_FENCE: Final = re.compile(r"[ \t]*(```|~~~|\"\"\"|''')")
MARKED: Final = re.compile(
    r"[ \t]*(?:[-*•–▪◦●→➤✓☐]|\(?\d{1,4}[.):]|\[\d{1,4}\]|\(?[a-zA-Z][.)]|#\d{1,4}\b[.):]?)[ \t]+\S", re.IGNORECASE
)
TITLED: Final = re.compile(
    rf"[ \t]*(?:\#{{1,6}}[ \t]+\S|[*_]{{0,3}}(?:[^\W\d_]+[ \t]+)?(?:{MANY}|day|week|chapter|part|speaker"
    r"|flat|section|§)[ \t]*(?:no\.?[ \t]*|number[ \t]*|\#)?(?:\d{1,4}|[A-H]|one|two|three|four|five|six)\b"
    r"[^.?!]{0,80}$|From:[ \t]|§[ \t]*\d)",
    re.IGNORECASE,
)
"""What opens a section or a record: "## Costs", "Review 3:", "From: Anna"."""
_LABEL: Final = re.compile(
    rf"[*_#\s]{{0,6}}(?:(?:and\s+)?(?:here|these|this|those|the|my|our|your|below)\b|(?:[\w'’-]+\s+){{0,2}}(?:{MANY}"
    r"|text|input|letter|transcript|minutes|list|data|table|log|draft|essay|article|story|report|document|manual"
    r"|contract|memo|speech|thread|chat|diary|page|copy|original|content|excerpt)\b)[^.?!\n]{0,80}:[*_]{0,3}[ \t]*",
    re.IGNORECASE,
)
_OF_THE_TEXT: Final = re.compile(
    rf"\b(?:above|these|those|this|each|every|all of (?:it|them)|them|everything|the (?:[\w'’-]+ )?(?:{MANY}|text"
    r"|letter|list|table|log|transcript|minutes|essay|article|draft|translation|output|result|document))\b",
    re.IGNORECASE,
)
_TEXT: Final = (
    r"(?:reviews?|comments?|messages?|e-?mails?|letters?|tickets?|log|table|minutes|lease|contract|diary|notes?"
    r"|report"
    r"|manual|interview|chat|statement|testimony|article|essay|story|text|document|transcript|speech|memo"
    r"|thread|inbox"
    r"|applicants?|applications?|candidates?|patients?|clauses?|paragraphs?|sections?|chapter|passage|poem|song"
    r"|script"
    r"|code|draft|post|page|paper|abstract|survey|answers|feedback|data|figures|numbers|expenses|transactions|excerpt"
    r"|conversation|dialogue|description|proposal|plan|recipe|case|brief|notatk[aęi]|tekst|text[eo]?|opinie|avis|list"
    r"|products?|members?|entries|rows?|lines?|events?|situation|offer|policy|agreement|version)"
)
_ABOUT_TEXT: Final = re.compile(
    rf"\b(?:this|these|those|the following|the|my|our|diese[nrsm]?|cet(?:te)?|ces|ce|tę|ten|te|esta?|estos)\s+"
    rf"(?:[\w'’-]+\s+){{0,2}}?{_TEXT}\b|\b(?:above|below|the following)\b"
    r"|\bthis\b(?!\s+(?:year|week|month|morning|afternoon|evening|time|way|summer|winter|spring|autumn|weekend))"
    r"|\bthese\b(?! days)|\ball (?:of )?(?:that|it)\b|\bthey (?:say|said|want|write|wrote)\b",
    re.IGNORECASE,
)
_POINTING: Final = re.compile(
    rf"\b(?:above|(?:the|this|these|those|my|all) (?:[\w'’-]+ ){{0,2}}?(?:{MANY}|text|letter|list|table|log"
    rf"|transcript"
    r"|minutes|essay|article|draft|document|story|report)|translation|each (?:one|of (?:them|these|the)|[\w'’-]+)"
    r"|your answer|output|reply only|return only|of them|of these)\b"
    r"|^\W*(?:(?:please|now|can you|could you)\s+)*(?:translate|proofread|correct|rewrite|rephrase|reword|simplify)"
    r"(?:\s+(?:in)?to\b|\s+in\b|\s*(?:please)?[.!?]*$)",
    re.IGNORECASE,
)
_ANOTHER_MATTER: Final = re.compile(
    r"\W*(?:also|and also|in addition|additionally|another|one more|apart from|besides|separately|by the way"
    r"|p\.?s)\b",
    re.IGNORECASE,
)
_INLINE: Final = re.compile(r"[^:\n]{3,300}?:[ \t]+(?=\S)")


@frozen
class Segments:
    """An instruction and the text that it is to be done on."""

    instruction: tuple[tuple[int, int], ...]
    lines: tuple[Line, ...]
    """Those of the text, in order."""
    manner: Manner


def lines_of(text: str, start: int, end: int) -> list[Line]:
    """The lines between `start` and `end`; a fenced block is one, and one that nothing closes goes on to the end."""
    found: list[Line] = []
    gap, place, fence, opened = 1, start, "", 0
    for raw in text[start:end].splitlines(keepends=True):
        begin, place = place, place + len(raw)
        mark = _FENCE.match(raw)
        if fence:
            if mark is not None and mark[1] == fence:
                found.append(Line(opened, begin + len(raw.rstrip()), gap, closed=True))
                fence, gap = "", 0
        elif mark is not None and raw.count(mark[1]) == 1:
            fence, opened = mark[1], begin
        elif not raw.strip("> \t\r\n\f\v\x1c\x1d\x1e\x85\u2028\u2029\u00a0"):
            gap = max(gap, 1)
        elif _RULE.fullmatch(raw.rstrip()):
            gap = 2
        else:
            found.append(Line(begin, begin + len(raw.rstrip()), gap))
            gap = 0
    if fence:
        found.append(Line(opened, opened + len(text[opened:end].rstrip()), gap, closed=True))
    return found


def segment(text: str) -> Segments | None:
    """The instruction of a message and its text; None where it is not made of these two (rule 3)."""
    lines = lines_of(text, 0, len(text))
    if not lines or _lists_tasks(text, lines):
        return None
    # What begins with an item has no head.
    head, first = ([], 0) if MARKED.match(text, lines[0].start, lines[0].end) else _head(text, lines)
    if not head:
        first = _opening(text, lines)
        head = [(lines[0].start, lines[first - 1].end)] if first else []
        if _asks_for_all(text, lines):
            return None
    announced = bool(head) and _is_piecewise(text[head[0][0] : head[-1][1]])
    last = _tail(text, lines, first, announced=announced)
    if last is None:
        return None
    material = material_lines(text, lines[first:last], head)
    tail = [(lines[last].start, lines[-1].end)] if last < len(lines) else []
    instruction = [*head, *tail]
    said = [text[start:end] for start, end in instruction]
    manner = manner_of([task for part in said for task in instructions_of(part)], "\n".join(said))
    if manner is None or not material or _is_code(text, material):
        return None
    return Segments(tuple(instruction), tuple(material), manner)


def _lists_tasks(text: str, lines: Sequence[Line]) -> bool:
    """Whether a message begins with items that are tasks of their own."""
    items = [match for line in lines[:MAX_HEAD_LINES] if (match := MARKED.match(text, line.start, line.end))]
    if not items or items[0].start() != lines[0].start:
        return False
    ends = {line.start: line.end for line in lines[:MAX_HEAD_LINES]}
    told = [kind_of(text[item.end() - 1 : ends[item.start()]]) == "task" for item in items]
    return 2 * sum(told) >= len(told)


def needs_all(text: str) -> bool:
    """Whether a message asks one thing about one text that stands in it, so that nobody looks for tasks in the text.

    Asked of messages that have no segments. Where the text is a list, `_lists` knows better.
    """
    lines = lines_of(text, 0, len(text))
    if len(lines) < 3 or MARKED.match(text, lines[0].start, lines[0].end):
        return False
    return _asks_about_rest(text, lines) or _asks_about_above(text, lines)


def _asks_about_rest(text: str, lines: Sequence[Line]) -> bool:
    end = next((n for n, line in enumerate(lines) if n and (line.gap or line.closed)), len(lines))
    rest = lines[end:]
    said = text[lines[0].start : lines[end - 1].end]
    if len(rest) < 2 or rest[-1].end - rest[0].start < MIN_ASKED_ABOUT_CHARS or len(said) > MAX_PARAGRAPH_CHARS:
        return False
    if _are_records(text, rest) and not _lists_tasks(text, rest):
        return needs_together(said) or (not is_plea(said) and _is_all_said(said, creating=True))
    marked = MARKED.match(text, rest[0].start, rest[0].end) is not None
    together = needs_together(said) and _are_long(rest, text)
    if (
        (marked and (_lists_tasks(text, rest) or not _ABOUT_TEXT.search(said)))
        or is_plea(said)
        or not _is_all_said(said, creating=together or _BASED_ON.search(said) is not None)
    ):
        return False
    announced = said.endswith(":") and not marked
    if announced or _ABOUT_TEXT.search(said) is not None or _is_formed(text, rest):
        return True
    return together or _is_document(text, rest)


def _are_long(lines: Sequence[Line], text: str) -> bool:
    """Whether lines are paragraphs longer than most tasks, none of which is a question."""
    shown = lines[:MAX_SHOWN_PARAGRAPHS]
    return len(shown) >= MIN_PARAGRAPHS and all(
        line.gap and line.end - line.start >= MIN_TOLD_CHARS and text[line.end - 1] != "?" for line in shown
    )


def _asks_about_above(text: str, lines: Sequence[Line]) -> bool:
    start = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].gap), 0)
    said = text[lines[start].start : lines[-1].end]
    above = lines[:start]
    if (
        _OWN_TEXT.search(said)
        or len(above) < 2
        or above[-1].end - above[0].start < MIN_ASKED_ABOUT_CHARS
        or len(said) > MAX_PARAGRAPH_CHARS
    ):
        return False
    end = next((n for n, line in enumerate(above) if n and line.gap), len(above))
    first = text[above[0].start : min(above[end - 1].end, above[0].start + MAX_PARAGRAPH_CHARS)]
    if instructions_of(first) or not _is_all_said(said, creating=True):
        return False
    return _ABOUT_TEXT.search(said) is not None or _is_document(text, above)


def _are_records(text: str, lines: Sequence[Line]) -> bool:
    """Whether lines are records of several lines each, that hardly ask for anything."""
    starts = record_starts(text, lines)[:MAX_SHOWN_PARAGRAPHS]
    bodies = [text[lines[n + 1].start : min(lines[n + 1].end, lines[n + 1].start + MAX_SAID)] for n in starts[:-1]]
    return bool(bodies) and 2 * sum(kind_of(body) == "task" for body in bodies) < len(bodies)


def _is_document(text: str, lines: Sequence[Line]) -> bool:
    """Whether lines are paragraphs that tell something, hardly one of which asks for anything."""
    starts = [number for number, line in enumerate(lines) if line.gap or not number][: MAX_SHOWN_PARAGRAPHS + 1]
    ends = [*starts[1:], len(lines)][:MAX_SHOWN_PARAGRAPHS]
    paragraphs = [text[lines[a].start : lines[b - 1].end] for a, b in zip(starts, ends, strict=False)]
    if len(paragraphs) < MIN_PARAGRAPHS:
        return False
    return 4 * sum(map(_tells, paragraphs)) >= 3 * len(paragraphs)


def _tells(paragraph: str) -> bool:
    if len(paragraph) < MIN_PARAGRAPH_CHARS or MARKED.match(paragraph):
        return False
    kinds = [kind_of(paragraph[a:b]) for a, b in sentence_spans(paragraph[:MAX_HEAD_CHARS])]
    return bool(kinds) and kinds[-1] == "context" and 2 * kinds.count("task") < len(kinds)


MIN_PARAGRAPHS: Final = 3
MIN_PARAGRAPH_CHARS: Final = 80
MIN_TOLD_CHARS: Final = 70
"""Most tasks are shorter."""
MAX_SHOWN_PARAGRAPHS: Final = 12


def _is_all_said(said: str, *, creating: bool) -> bool:
    """Whether a paragraph is nothing but what to do with a text."""
    tasks = instructions_of(said)
    told = [said[start:end] for start, end in sentence_spans(said)]
    if not tasks or len(told) > MAX_ASKED_SENTENCES or (not creating and first_word(tasks[0]) in CREATING):
        return False
    return all(asks(sentence) or kind_of(sentence) in {"task", "remark"} or len(told) > 1 for sentence in told)


MIN_ASKED_ABOUT_CHARS: Final = 150
MAX_ASKED_SENTENCES: Final = 4
_BASED_ON: Final = re.compile(
    r"\b(?:based on|from|out of|of|for|about) (?:this|these|the following|the)\b", re.IGNORECASE
)


def instructions_of(said: str) -> list[str]:
    """The sentences of an instruction, and their clauses, that ask for something."""
    found: list[str] = []
    for sentence in (part for a, b in sentence_spans(said) for part in _SMALL_STOP.split(said[a:b])):
        starts = clause_starts(sentence, []) if kind_of(sentence) == "task" else [0]
        clauses = [sentence[a:b].strip(" \n:,;") for a, b in pairwise([*starts, len(sentence)])]
        found += [clause for clause in clauses if asks(clause)]
    return [clause for clause in found if not _ADDS_NOTHING.match(bare_instruction(clause))] or found


_SMALL_STOP: Final = re.compile(r"(?<=[\w)\"'][\w)\"'][\w)\"'][.!?])\s+(?=[a-z])")
"""The end of a sentence of somebody who types all in small letters."""
_ADDS_NOTHING: Final = re.compile(
    r"(?:read|look|go|have a look|take a look|see|study|help|can you help|could you help)\b[^?]*$"
    r"|[^.?!]{0,80}(?<!what )(?<!that )(?<!which )\bfollows[.:!]*$"
    r"|(?:just |only |simply )?(?:list|name|show|give|quote|mark|tell|write|put|send)\s+(?:me\s+)?(?:just\s+"
    r"|only\s+)?"
    r"(?:them|those|it|these|which(?: ones)?|with names|the list|back)(?:\s+(?:here|out|all|back|by name"
    r"|in a list|to me"
    r"|as (?:a list|bullets?)|with names))*\W*(?:please|pls|thanks)?\W*$"
    r"|(?:keep|preserve|retain|maintain|respect|leave(?! (?:out|off))|do not|don['’]?t|never)\b[^?]*$",
    re.IGNORECASE,
)
"""What says no more than that there is a text, or how the work is to be done, where something else is asked."""


def _is_piecewise(said: str) -> bool:
    tasks = instructions_of(said)
    return bool(tasks) and manner_of(tasks, said) is not None


def _asks_for_all(text: str, lines: Sequence[Line]) -> bool:
    """Whether the first paragraph asks for something about the text that cannot be done piece by piece."""
    end = next((n for n, line in enumerate(lines) if n and line.gap), len(lines))
    said = text[lines[0].start : lines[end - 1].end]
    if is_entry(text, lines[0]) or record_starts(text, lines[:MAX_HEAD_LINES]):
        return False
    said = said if len(said) <= MAX_PARAGRAPH_CHARS else text[lines[0].start : lines[0].end][:MAX_PARAGRAPH_CHARS]
    return bool(instructions_of(said)) and (_POINTING.search(said) is not None or said.endswith(":"))


def _head(text: str, lines: Sequence[Line]) -> tuple[list[tuple[int, int]], int]:
    """The ranges of the instruction at the beginning, and the first line behind it; none where there is none."""
    end, since = 0, 0
    half = lines[0].start + (lines[-1].end - lines[0].start) // 2
    for number, line in enumerate(lines[:MAX_HEAD_LINES]):
        if line.closed or line.gap == 2 or line.end > MAX_HEAD_CHARS + lines[0].start:
            break
        if number and line.end > half:
            break
        said = text[line.start : line.end]
        if not end and (inline := _inline(text, lines, number)):
            return inline, number
        if end and number - since > _MAX_CATEGORIES and not _categories(text, lines[end:number]):
            break
        ends_here = number + 1 < len(lines) and _begins_text(text, lines, number)
        if said.rstrip("*_ ").endswith((":", "：")):
            known = not end and _is_piecewise(text[lines[0].start : line.end])
            if known or (_LABEL.fullmatch(said) and TITLED.match(said) is None and end):
                end, since = number + 1, number
        elif not end and ends_here and _is_piecewise(text[lines[0].start : line.end]):
            end, since = number + 1, number
        elif end == number and line.gap and ends_here and _goes_on(text, lines, number):
            # A second paragraph of instruction: "Keep the tone."
            end, since = number + 1, number
    return ([(lines[0].start, lines[end - 1].end)] if end else []), end


def _begins_text(text: str, lines: Sequence[Line], number: int) -> bool:
    """Whether a paragraph ends here: by an empty line, or by what comes next, a list, a table, or lines of text."""
    line, following = lines[number], lines[number + 1]
    if following.gap or following.closed:
        return True
    if is_entry(text, line):
        return False
    if is_entry(text, following) or TITLED.match(text, following.start, following.end):
        return True
    if record_starts(text, lines[number + 1 : number + 1 + MAX_HEAD_LINES]) or _is_keyed(
        text, lines[number + 1 : number + 3]
    ):
        return True
    said, shown = text[line.start : line.end], text[following.start : min(following.end, following.start + MAX_SAID)]
    is_complete = said.endswith((".", "?", "!", ":", ")")) or (len(said) < MAX_UNWRAPPED and not shown[:1].islower())
    is_row = len(shown) >= MIN_ROW_CHARS or all(not ln.gap for ln in lines[number + 1 : number + 4])
    return is_complete and is_row and not asks(shown) and kind_of(shown) == "context"


MAX_SAID: Final = 400
MAX_UNWRAPPED: Final = 60
"""A shorter line of an instruction is not one that a typewriter ended."""
MIN_ROW_CHARS: Final = 100


_MAX_CATEGORIES: Final = 12


def _categories(text: str, lines: Sequence[Line]) -> bool:
    """Whether lines between an instruction and a label may be the categories that it speaks of."""
    return all(len(text[line.start : line.end].split()) <= 25 for line in lines)


def _goes_on(text: str, lines: Sequence[Line], number: int) -> bool:
    """Whether a paragraph behind an instruction belongs to it: "Keep the tone.", unless a colon ended that."""
    paragraph = text[lines[number].start : lines[number].end]
    if _is_instruction(paragraph):
        return True
    if text[: lines[number - 1].end].endswith(":") or len(paragraph) > MAX_REMARK_CHARS or MARKED.match(paragraph):
        return False
    return all(kind_of(paragraph[start:end]) == "remark" for start, end in sentence_spans(paragraph))


MAX_REMARK_CHARS: Final = 200


def _is_instruction(paragraph: str) -> bool:
    """Whether all sentences of a paragraph say what to do or how, about the text."""
    if len(paragraph) > MAX_PARAGRAPH_CHARS or MARKED.match(paragraph):
        return False
    kinds = [kind_of(paragraph[start:end]) for start, end in sentence_spans(paragraph)]
    return all(kind in {"task", "remark"} for kind in kinds) and _POINTING.search(paragraph) is not None


def _inline(text: str, lines: Sequence[Line], number: int) -> list[tuple[int, int]]:
    """ "Translate into Polish: The cat sat ...": the instruction within the first line of the text."""
    line = lines[number]
    match = _INLINE.match(text, line.start, line.end)
    if match is None or len(text[match.end() : line.end].split()) < 8 or TITLED.match(text, line.start, line.end):
        return []
    said = text[lines[0].start : match.end()]
    if _LEAD.search(said) or asks(text[match.end() : min(line.end, match.end() + MAX_SAID)]):
        return []  # "for every e-mail: is an answer needed?"
    manner = manner_of(instructions_of(said), said)
    if manner is None or (manner.many and len(lines) > number + 1 and lines[number + 1].gap):
        return []  # "Match each with a colour: red, green or blue", and an empty line before what is to be matched
    return [(lines[0].start, match.end())]


_LEAD: Final = re.compile(
    r"(?:^|[.!?,\n]\s+|\b(?:tell me|say|please|know)\s+)(?:for|of|to|in|about|behind|from|under|next to|beside|on)\s+"
    r"(?:each|every|all|any|these|those|the following)\b[^:;,]{0,60}:\s*$",
    re.IGNORECASE,
)
"""What only says of which things something is asked, which follows the colon."""


def _opening(text: str, lines: Sequence[Line]) -> int:
    """How many lines at the beginning only present the text: "Here is what our customers wrote:"."""
    said = text[lines[0].start : lines[0].end]
    presents = _LABEL.fullmatch(said) is not None and TITLED.match(said) is None
    return 1 if presents and len(said) < MAX_PARAGRAPH_CHARS else 0


def _tail(text: str, lines: Sequence[Line], first: int, *, announced: bool) -> int | None:
    """The line at which the instruction behind the text begins; None where another task stands there."""
    last = len(lines)
    for number in range(len(lines) - 1, first, -1):
        if lines[-1].end - lines[number].start > MAX_TAIL_CHARS or lines[number].closed:
            break
        if not lines[number].gap and not (last == len(lines) and _leaves_list(text, lines, number)):
            continue
        paragraph = text[lines[number].start : lines[last - 1].end]
        sentences = [paragraph[start:end] for start, end in sentence_spans(paragraph)]
        if MARKED.match(paragraph) or TITLED.match(paragraph):
            break
        kinds = [kind_of(sentence) for sentence in sentences]
        if _ANOTHER_MATTER.match(paragraph) and "task" in kinds:
            return None
        if set(kinds) == {"courtesy"} and last == len(lines):
            last = number if lines[number - 1].closed else last
            continue
        if not _is_behind(text, lines[first : number + 1], paragraph, announced=announced):
            break
        last = number
    return last


def _is_behind(text: str, lines: Sequence[Line], paragraph: str, *, announced: bool) -> bool:
    """Whether a paragraph says what to do with the text above it; `lines` are those, and its first."""
    if _OWN_TEXT.search(paragraph):
        return False
    sentences = [paragraph[start:end] for start, end in sentence_spans(paragraph)]
    told = [s for s in sentences if asks(s) or kind_of(s) in {"remark", "courtesy", "task"}]
    # A rule may as well stand between two letters.
    formed = (lines[-1].gap == 2 and not announced) or _is_formed(text, lines[:-1])
    means_text = _POINTING.search(paragraph) or (not announced and _OF_THE_TEXT.search(paragraph))
    if len(told) == len(sentences) and (means_text or (formed and told)):
        return True
    if announced or not _is_piecewise(paragraph) or not (means_text or formed or _MEANS_ABOVE.search(paragraph)):
        return False
    first = text[lines[0].start : min(lines[0].end, lines[0].start + MAX_PARAGRAPH_CHARS)]
    return formed or not instructions_of(first)


_OWN_TEXT: Final = re.compile(r":\s*[\"“„«]\w[^\"”»]{20}")
"""What a paragraph is about that brings its own text."""
_KEYED: Final = re.compile(r"[\w .'’-]{1,24}:[ \t]")
_MEANS_ABOVE: Final = re.compile(r"\b(?:that|it|there)\b|\^", re.IGNORECASE)


def _is_keyed(text: str, lines: Sequence[Line]) -> bool:
    """Whether each of several lines begins with a name and a colon."""
    return len(lines) > 1 and all(_KEYED.match(text[ln.start : min(ln.end, ln.start + 40)]) for ln in lines)


def _leaves_list(text: str, lines: Sequence[Line], number: int) -> bool:
    """Whether a line right below a list or a fence is an instruction, and none of its own lines."""
    line, before = lines[number], lines[number - 1]
    if before.closed and kind_of(text[line.start : line.end][:MAX_SAID]) == "courtesy":
        return True
    listed = is_entry(text, before) or _is_keyed(text, lines[number - 2 : number])
    if not (before.closed or listed) or is_entry(text, line) or text[line.start].isspace():
        return False
    return line.end - line.start < MAX_TAIL_CHARS and _is_piecewise(text[line.start : line.end])


def _is_formed(text: str, lines: Sequence[Line]) -> bool:
    """Whether lines are a list, a table, a log or a fence, behind which prose is something else."""
    shown = lines[-_SAMPLE:]
    if not shown:
        return False
    if shown[-1].closed:
        return True
    marked = sum(is_entry(text, line) for line in shown)
    return len(shown) > 2 and 3 * marked >= 2 * len(shown)


_ROW: Final = re.compile(
    r"[ \t]*\[?(?:\d{4}[-/.]\d\d|\d\d?[:.]\d\d|\d\d?[./]\d\d?[./]\d\d)|(?:[^,;\t\n ][^,;\t\n]{0,80}[,;\t]"
    r"(?=\S)){2}"
)


def is_entry(text: str, line: Line) -> bool:
    """Whether a line looks like an item of a list, a row of a table, or an entry of a log."""
    if MARKED.match(text, line.start, line.end) or text.count("|", line.start, line.end) > 1:
        return True
    return _ROW.match(text[line.start : min(line.end, line.start + 400)]) is not None


def material_lines(text: str, lines: Sequence[Line], head: Sequence[tuple[int, int]]) -> list[Line]:
    """The lines of the text; where it is one fenced block, those inside, and of a first line what the head left."""
    if len(lines) == 1 and lines[0].closed:
        start = text.find("\n", lines[0].start, lines[0].end) + 1
        first = text[lines[0].start : lines[0].end].lstrip()[:3]
        end = text.rfind("\n", start, lines[0].end) if text[: lines[0].end].rstrip().endswith(first) else lines[0].end
        return lines_of(text, start, end) if 0 < start < end else []
    found = list(lines)
    if found and head and found[0].start < head[-1][1]:
        found[0] = Line(head[-1][1], found[0].end, 0)
    return found


def _is_code(text: str, lines: Sequence[Line]) -> bool:
    shown = [ShownLine(ln.start, ln.end, text[ln.start : min(ln.end, ln.start + 400)]) for ln in lines[:_SAMPLE]]
    return len(shown) > 1 and is_code(shown)
