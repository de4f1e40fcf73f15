"""Material: a poem, an e-mail, code or a quotation that a task is about, and that nobody looks inside.

Rules: fences, quotation blocks, and a letter from greeting to signature mark themselves; a colon behind "this", "the
following" or a verb that transforms announces the rest of its paragraph; a quotation ends by itself.
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import define

from privacy.planning._kinds import ASKING, first_word
from privacy.planning._words import TRANSFORMING

_MATERIAL_NOUN: Final = (
    r"(?:e-?mail|text|letter|poem|code|paragraphs?|essay|article|story|message|passage|document|contract|log"
    r"|transcript"
    r"|function|script|note|draft|review|report|abstract|program|snippet|query|speech|song|lyrics|notes|cv|resume"
    r"|description|error|table|data|sentences?|conversation|dialogue|quote|stanza|verse)"
)

_FENCES: Final = re.compile(
    r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)|\"\"\".*?(?:\"\"\"|\Z)"
    r"|(?:^>(?!> )[^\n]*(?:\n|\Z))(?:^>[^\n]*(?:\n|\Z))*",
    re.M | re.S,
)
_GREETING: Final = re.compile(
    r"^(?:Dear\b[^\n.?!:]{1,60}|(?:Hi|Hello|Hey)[ \t]+[A-ZŁŚŻ][^\n.?!:]{0,40})[,:]?[ \t]*$", re.M
)
_SIGN_OFF: Final = re.compile(
    r"^(?:(?:(?:best|kind|warm|kindest|many)[ \t]+)?(?:regards|wishes)|sincerely\b[^\n]{0,20}|yours\b[^\n]{0,20}"
    r"|respectfully)"
    r"[,.!]?[ \t]*$(?:\n[^\n]{1,60}$){0,2}|^(?:best|cheers|love|thanks|thank you"
    r"|many thanks)[,.!]?[ \t]*\n[^\n?]{1,40}$",
    re.M | re.I,
)

_CODE_LINE: Final = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|public |private |function |const |let |var |return\b"
    r"|select .* from|(?:create|alter|drop) (?:table|view|index)\b|insert into\b|delete from\b|update \w+ set\b"
    r"|(?:for|while|if|elif|with|except|class|async)\b[^.?!]*:\s*$|(?:else|try|finally):\s*$"
    r"|\w*(?:Error|Exception): |Traceback\b"
    r"|for ?\(|if ?\(|while ?\(|\}|\{|print\(|</?\w+[^>]*>)|[;{}]\s*$|=>|^\s*\w+ = \S",
    re.I,
)
_TAIL: Final = re.compile(
    r"\b(?:this|these|the following|following|below|here(?:'s| is| are))\b[^:\n]{0,80}:", re.IGNORECASE
)

THIS_MATERIAL: Final = re.compile(
    rf"\b(?:this|the following|below)\s+(?:\w+\s+){{0,2}}{_MATERIAL_NOUN}\b", re.IGNORECASE
)


@define
class Line:
    start: int
    end: int
    text: str


def is_code(lines: Sequence[Line]) -> bool:
    return sum(bool(_CODE_LINE.search(line.text)) for line in lines) >= max(2, len(lines) // 2)


def is_verse(lines: Sequence[Line]) -> bool:
    open_ended = sum(not line.text.rstrip().endswith((".", "?", "!", ":")) for line in lines)
    short = sum(len(line.text) for line in lines) <= 60 * len(lines)
    return len(lines) >= 3 and short and 3 * open_ended >= 2 * len(lines) and not ASKING.match(lines[0].text)


def material_ranges(text: str) -> list[tuple[int, int]]:
    """What marks of its own set off: fences, quotations, and a letter from its greeting to its signature."""
    found = [match.span() for match in _FENCES.finditer(text)]
    greeting = _GREETING.search(text)
    if greeting is not None:
        ends = [match.end() for match in _SIGN_OFF.finditer(text, greeting.end())]
        if ends:
            found.append((greeting.start(), ends[-1]))
    ranges: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if ranges and start < ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((start, end))
    return ranges


def material_offset(sentence: str, *, until_list: bool) -> int | None:
    """Where in a sentence material begins: behind a colon that announces it, which a list does not follow."""
    transform = first_word(sentence) in TRANSFORMING
    match = _TAIL.search(sentence) or (re.match(r"[^:\n.?!]{0,80}:", sentence) if transform else None)
    if match is None or (until_list and match.end() == len(sentence)):
        return None
    return match.end()


def opens_quotation(text: str) -> bool:
    """Whether `text` begins with a quotation mark: what it quotes ends by itself."""
    return text.lstrip(" \t*_").startswith(('"', "“", "'", "‘", "«", "„", "`"))
