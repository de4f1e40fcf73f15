"""The atoms of a message: the smallest parts that may be a matter of their own, by marks alone.

Rules:

1. An atom begins at a line, at a list's mark within a line, at a sentence, behind a dash, slash or semicolon, and
   before a word that may open one more matter ("also", "and", "oh"). Nothing is judged here: more begin than should.
2. Atoms are in order and touch, but for white space and what joined them; a fenced block is one.
3. Nothing begins inside quotation marks, brackets or a mention.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from attrs import frozen

from privacy.planning._clauses import CLOSED

Joint = Literal[
    "start", "rule", "blank", "line", "inline", "stop", "small_stop", "dash", "comma", "and", "word", "run"
]

MAX_ATOMS: Final = 400
"""A message of more is not judged."""
MAX_CHARS: Final = 60_000
"""Nor is a longer one."""

_FENCE: Final = re.compile(r"[ \t]*(```|~~~|\"\"\"|''')")
_RULE: Final = re.compile(r"[ \t]*(?:[-=*_~#–—]{3,}|(?:[-*_][ \t]+){2,}[-*_])[ \t]*")
MARK: Final = re.compile(
    r"[ \t>]*(?:(?P<number>[*_]{0,2}(?:#|task[ ]?|question[ ]?|part[ ]?|nr?\.?[ ]?"
    r"|q[ ]?)?\(?\d{1,3}(?:[.):\]/ºª]|[º°ª][.):]"
    r"|[ \t]?[-–]|️?⃣)[*_]{0,2}(?=[ \t]|[^\W\d_])|\d️?⃣|#\d{1,3}\b|q\d{1,2}\b)"
    r"|(?P<letter>\(?[a-hA-H][.)](?=[ \t])|\(?(?:i{1,3}|iv|vi{0,3}|ix|x)\)(?=[ \t]))"
    r"|(?P<bullet>[-*•·–—‣⁃▪▫◦●○■□◆◇►▸▶★☆→➔➜➤✓✔✅☐☑🔹🔸👉📌+](?=[ \t])|->|=>|>>|\[[ xX]?\]|~(?=[ \t])|»))[ \t]*(?=\S)",
    re.IGNORECASE,
)
"""What stands before an item of a list, at the beginning of a line."""
_INLINE: Final = re.compile(
    r"(?:(?<=\s)|^)(?:\(?(?:\d{1,2})(?:[.)/]|[º°ª][.):]|[ºª])|\(?(?:[a-h]|i{1,3}|iv|v)\)|[qQ]\d{1,2}[.:)]?"
    r"|#\d{1,2}[.:)]?"
    r"|[a-h][ ][-–](?=[ ])|\d️?⃣|[-•*→](?=[ ]))[ \t]+(?=\S)",
)
_STOP: Final = re.compile(
    r"(?:[.?!…]+|(?<=\s)[:;][-']?[)(DPp])[\"'”’»)\]*_]*(?:\s*[☀-➿️\U0001f300-\U0001faff]+)*\s+(?=\S)|[。？！]+"
)
_DASH: Final = re.compile(
    r"[ \t](?:[-–—]{1,2}|/{1,2}|\||\+)[ \t]+(?=\S)|;[ \t]+(?=\S)|\.\.+[ \t]*(?=\S)|:[ \t]+(?=\S)"
)
_WORDS: Final = (
    r"also|plus|oh|next|finally|lastly|second(?:ly)?|third(?:ly)?|another|separately|unrelated|then"
    r"|btw|p\.?s\.?|ps|additionally|besides|after that|afterwards|while|außerdem|und dann|noch|et aussi|además"
    r"|también"
    r"|y también|poza tym|oraz|ensuite|enfin|zweitens|drittens|dann|ansonsten|otherwise|n|&"
)
_COMMA: Final = re.compile(
    rf",[ \t]+(?=(?P<and>(?:and|und|et|y|i|e)\b[ \t,]+)?(?P<word>(?:{_WORDS})\b)?\S)", re.IGNORECASE
)
_WORD: Final = re.compile(
    r"(?<=\w)[)\"'”’]?[ \t]+(?=(?P<and>(?:and|und|et|y)\b[ \t,]+)?"
    r"(?P<word>(?:also|plus|oh|unrelated|btw|p\.?s\.?|separately|außerdem|además|poza tym)\b))",
    re.IGNORECASE,
)
_RUN: Final = re.compile(
    r"(?<=\S)[ \t]+(?=(?:(?:a{2,}nd|n|\+)[ \t]+)?(?:how[ \t]+(?:do|does|did|can|long|many|much|to|is|are|old"
    r"|far)|what(?:['’]?s|[ \t]+(?:is|are|do|does"
    r"|was))|why[ \t]+(?:do|does|is|are|did)|who[ \t]+(?:is|was|are)|whos|wheres?|when[ \t]+(?:is|was|did)"
    r"|which|is[ \t]+(?:it|a|an"
    r"|the|there)|are[ \t]+there|(?:do|does)[ \t]+(?:i|we|you|u|the|[a-z]+s)|(?:can|could|would|will)[ \t]+(?:i"
    r"|you|u|we|it|[a-z]+s)"
    r"|explain|write|give[ \t]+me|gimme|name[ \t]+(?:a|an|the|two|three|four|five|[0-9]|ideas)|tell[ \t]+me"
    r"|translate|difference[ \t]+between|make[ \t]+(?:it|them|a|me|up)"
    r"|i[ \t]+(?:also|need)|my[ \t]+\w+[ \t]+(?:wants|asks|needs)|in[ \t]+(?:spanish|german|french)|(?:jak|ile"
    r"|czy|co)[ \t]|wie[ \t]|was[ \t]+(?:ist|bedeutet|heißt))\b)"
    r"|(?<=\S)[ \t]+(?=[a-h][ \t]+[-–][ \t])",
    re.IGNORECASE,
)
"""Where a question or an instruction may open with nothing before it, as people type who leave marks out."""
_AND: Final = re.compile(r"(?<=[\w)\"'”’])[ \t]+(?=(?:and|und|et|y|oraz)[ \t]+\S)", re.IGNORECASE)
_ABBREVIATED: Final = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|no|nr|approx|inc|ltd|co|fig|vol|dept|est|ave|rd|tel|al"
    r"|e\.g|i\.e|eg|ie|bzw"
    r"|z\.b|usw|ca|p\.s|ps|[a-z]|\d{1,2})\.$",
    re.IGNORECASE,
)
_MIN_CLAUSE_CHARS: Final = 8


@frozen
class Atom:
    """A range of the message, and what stands before it."""

    start: int
    end: int
    joint: Joint
    mark: str = ""
    """The kind of list mark that it begins with: `number`, `letter`, `bullet`."""
    line: int = 0
    fenced: bool = False


def atoms_of(text: str, holds: Sequence[tuple[int, int]] = ()) -> list[Atom]:
    """The atoms, in order; `holds` are ranges in which none begins."""
    found: list[Atom] = []
    place, fence, opened, number = 0, "", 0, 0
    gap: Joint = "start"
    for raw in text.splitlines(keepends=True):
        begin, place = place, place + len(raw)
        mark = _FENCE.match(raw)
        bare = raw.strip()
        if fence:
            if mark is not None and mark[1] == fence:
                found.append(Atom(opened, begin + len(raw.rstrip()), gap, line=number, fenced=True))
                fence, gap = "", "line"
        elif mark is not None and raw.count(mark[1]) == 1:
            fence, opened, number = mark[1], begin, number + 1
        elif not bare.strip(">"):
            gap = gap if gap in {"start", "rule"} else "blank"
        elif _RULE.fullmatch(raw.rstrip()):
            gap = "rule"
        else:
            number += 1
            start = begin + len(raw) - len(raw.lstrip())
            found += _atoms_of_line(text, start, begin + len(raw.rstrip()), gap, number, holds)
            gap = "line"
    if fence:
        found.append(Atom(opened, opened + len(text[opened:].rstrip()), gap, line=number, fenced=True))
    return found


def _atoms_of_line(
    text: str, start: int, end: int, gap: Joint, number: int, holds: Sequence[tuple[int, int]]
) -> list[Atom]:
    mark = MARK.match(text, start, end)
    begins = mark.end() if mark is not None else start
    closed = [
        *(m.span() for m in CLOSED.finditer(text, start, end)),
        *((a, b) for a, b in holds if a < end and b > start),
    ]
    found: list[Atom] = []
    first, joint = start, gap
    kind = mark.lastgroup or "" if mark is not None else ""
    for cut in _cuts(text, begins, end):
        if any(low < cut.after < high for low, high in closed):
            continue
        if cut.before - first < _MIN_CLAUSE_CHARS and cut.joint in _OF_CLAUSES:
            continue
        piece = text[first : cut.after].rstrip()
        if piece:
            found.append(Atom(first, first + len(piece), joint, kind, number))
            kind = ""
        first, joint = cut.after, cut.joint
    found.append(Atom(first, end, joint, kind, number))
    return found


@frozen
class _Cut:
    after: int
    """Where the next atom begins."""
    before: int
    """Where what joins the two begins."""
    joint: Joint


def _cuts(text: str, start: int, end: int) -> list[_Cut]:
    """Where a line may be cut, in order; of two at one place, the one that is looked for first."""
    found: dict[int, _Cut] = {}
    for name, pattern in _PATTERNS:
        for match in pattern.finditer(text, start, end):
            joint = name
            if name == "stop":
                head = text[max(start, match.start() - 12) : match.start() + 1]
                if match.group().rstrip() == "." and _ABBREVIATED.search(head):
                    continue
                joint = "small_stop" if text[match.end() : match.end() + 1].islower() else "stop"
            elif name == "comma" and match["word"]:
                joint = "word"
            after = match.start() if name == "inline" else match.end()
            if start < after < end and after not in found:
                found[after] = _Cut(after, after if name in {"inline", "stop"} else match.start(), joint)
    return sorted(found.values(), key=lambda cut: cut.after)


_PATTERNS: Final[tuple[tuple[Joint, re.Pattern[str]], ...]] = (
    ("inline", _INLINE),
    ("stop", _STOP),
    ("dash", _DASH),
    ("comma", _COMMA),
    ("word", _WORD),
    ("and", _AND),
    ("run", _RUN),
)
_OF_CLAUSES: Final = frozenset({"comma", "and", "word", "dash", "run"})
