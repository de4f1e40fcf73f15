"""Several instructions in one sentence: "First draft an invitation, then tell me which wine, and explain why ...".

Rules:

1. A clause begins behind a comma, a semicolon or "and", with a verb that asks and what it is about.
2. Without "then", "also" or "finally" between them, the clause before must not govern what follows: in "asking my bank
   to block the card and send a new one" the second verb belongs to the letter, in "how to" and "a program that" too.
3. Nothing is cut inside quotation marks, brackets or a mention. Questions in one sentence stay together: they mostly
   have one subject, which the later ones do not repeat; behind "also" or "oh and" one is another matter.
4. Who types all in small letters ends sentences none the less: behind a full stop nothing governs what follows.
5. To cut loses nothing: the clauses touch, and whether the later one stands alone is for `_references` to say.
"""

import re
from collections.abc import Sequence
from typing import Final

from privacy.planning._imperatives import is_instruction
from privacy.planning._kinds import OPENERS, first_word, is_question, is_wish, kind_of
from privacy.planning._words import TASK_VERBS

_JOINT: Final = re.compile(
    r"(?:[,;]\s+|(?P<stop>(?<=[\w)\"'])\.\s+(?=(?-i:[a-z])))|\s+(?=and\s))"
    r"(?=(?:and\s+)?(?P<row>(?P<more>(?:also|oh\b,?\s+and|plus|i(?:'d)?\s+also)\b)|(?:then|next|finally|lastly"
    r"|after that|afterwards|second(?:ly)?|third(?:ly)?)\b)?)",
    re.IGNORECASE,
)
_GOVERNING: Final = re.compile(
    r"\b(?:to|that|which|who|whose|where|when|if|whether|how|asking|telling|saying|explaining|requesting)\b",
    re.IGNORECASE,
)
_COUNTED: Final = re.compile(r"\w+\s+(?:\d|(?:two|three|four|five|six|seven|eight|nine|ten)\b)", re.IGNORECASE)
CLOSED: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|(?<!\w)'[^']*'(?!\w)|„[^“”]*[“”]|«[^»]*»|`[^`]*`|\([^()]*\)")


def clause_starts(sentence: str, holds: Sequence[tuple[int, int]]) -> list[int]:
    """Where the instructions of a sentence begin, 0 first; `holds` are ranges of it in which none does."""
    closed = [*holds, *(match.span() for match in CLOSED.finditer(sentence))]
    starts = [0]
    for joint in _JOINT.finditer(sentence):
        before, after = sentence[starts[-1] : joint.start()], sentence[joint.end() :]
        asks = _instructs(after) or (joint["more"] is not None and (is_question(after) or is_wish(after)))
        if not asks or any(first < joint.end() < last for first, last in closed):
            continue
        governed = joint["row"] is None and joint["stop"] is None and _GOVERNING.search(before) is not None
        if kind_of(before) == "task" and not governed:
            starts.append(joint.end())
    return starts


def _instructs(clause: str) -> bool:
    bare = OPENERS.sub("", clause)
    return first_word(clause) in TASK_VERBS and (is_instruction(bare) or _COUNTED.match(bare) is not None)
