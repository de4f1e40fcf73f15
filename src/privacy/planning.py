"""Planning: which host gets which part of a request, and how their answers become one.

Theory of operation. The last user message is read as a row of **units**: tasks (a question or an instruction), remarks
on how to do them, background, and material (a poem, an e-mail, code) that nobody looks inside. Tasks that refer to
one another are joined; each then takes along the background it needs, and nothing else. What is left apart goes to
different hosts.

Rules (promise P3; design section 6, steps 4 and 6):

1. In doubt, join: a task without what it refers to is of no use, and a joined one is merely less private.
2. "it", "the above", "the poem" (after "a poem"), "then", an instruction without an object: the task needs what stands
   before it. Background goes to the tasks that share a word with it or refer to it, and if there are none, to the
   nearest task; a remark in a place of its own, to all. Material without an owner goes to all.
3. A host gets ranges of the original, joined by `GLUE`, and not a word of ours. Item numbers are left out.
4. Where the tasks would share more than `SHARED_LIMIT` of the words, splitting would hide little and add viewers: the
   request is indivisible.
5. `strict`: never whole, and no host over `max_share`, else `PlanRefused`. `standard`: whole only when indivisible;
   as near to `max_share` as the hosts allow, and the plan says when it is exceeded. `open`: whole.
6. Slots, not hosts, are planned: the client binds a slot to one host for the whole conversation, and fragment number
   n goes to slot n, so that over the turns the same host gets the same place. Earlier turns go along only as the
   transcript of the very host that is asked (`History`), as masked for it; `history_dropped` says when that is not
   everything. System messages are the application's: they go to every host and are in no share.

Shares are taken before masking, and so are upper bounds of what the receipt will say.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal

from attrs import define, evolve, field, frozen, validators

from peernet.core.errors import LocalProtocolError, UserError
from privacy.exposure import STOP_WORDS, Mode, content_words, sentence_spans, share, word_set
from privacy.mention import Mention

__all__ = [
    "GLUE", "MAX_FRAGMENTS", "MAX_UNITS", "SHARED_LIMIT", "ChatMessage", "Excerpt", "ExposurePolicy", "Fragment",
    "History", "Level", "Merger", "Piece", "Plan", "PlanRefused", "merge", "next_to_show", "plan",
]  # fmt: skip

GLUE: Final = "\n\n"
"""What stands between two pieces of a fragment that did not touch in the original."""

MAX_FRAGMENTS: Final = 32
"""Neighbouring tasks beyond this many are joined."""

MAX_UNITS: Final = 512
"""A message of more parts is not analysed: it is indivisible."""

SHARED_LIMIT: Final = 0.5
"""The largest share of content words that two fragments may have in common."""

_BARE_PHRASE_WORDS: Final = 5

MAX_HEADING: Final = 72
"""The longest heading, in code points, that an answer is shown under."""


class PlanRefused(UserError):
    """The exposure policy forbids every way to send this request; the message says what can be done."""


class Level(StrEnum):
    """How much of a prompt one host may see."""

    STRICT = "strict"
    STANDARD = "standard"
    OPEN = "open"


@frozen
class ExposurePolicy:
    """The user's bound on what one host sees."""

    level: Level = Level.STANDARD
    max_share: float = field(default=0.5, validator=validators.and_(validators.gt(0.0), validators.le(1.0)))
    """The largest share of content words, 0 to 1, that one host should get: binding under `strict`."""


@frozen
class ChatMessage:
    """One message of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str = field(repr=False)


@frozen
class Piece:
    """A range of one message of the original, in code points, `end` excluded."""

    message: int
    start: int
    end: int


@frozen
class Excerpt:
    """Pieces of the original, joined by `GLUE`, with the mentions in them at their new places."""

    pieces: tuple[Piece, ...]
    text: str = field(repr=False)
    mentions: tuple[Mention, ...] = field(repr=False)


@frozen
class Fragment:
    """What one host gets of a request."""

    ordinal: int
    """Its place in the request, from 0."""
    slot: int
    """The host it goes to, from 0: the same number is the same host over the whole conversation."""
    prompt: Excerpt
    """Its tasks with the background that they need, in the order of the original: a user message."""
    context: tuple[Piece, ...]
    """Those pieces of `prompt` that are background."""
    share: float
    """The fraction of the message's content words in `prompt`, before masking."""
    heading: str = field(default="", repr=False)
    """What its answer is shown under; stays on the client."""

    @property
    def id(self) -> str:
        """A name that is unique in the plan."""
        return f"f{self.ordinal}"


Structure = Literal["list", "paragraphs", "whole"]
WhyWhole = Literal["", "open", "one_task", "no_task", "dependent", "shared", "too_many_parts"]


@frozen
class Plan:
    """Who gets what, and how the answers go together."""

    mode: Mode
    policy: ExposurePolicy
    fragments: tuple[Fragment, ...]
    """In the order of the request."""
    structure: Structure
    system: tuple[Excerpt, ...]
    """The system messages, for every host."""
    largest_share: float
    """Of the slot that gets most, over all of its fragments."""
    why_whole: WhyWhole = ""
    history_dropped: bool = False
    """Whether some host does not know all of the earlier turns."""

    @property
    def exceeds_max_share(self) -> bool:
        """Whether some host gets more than the policy would have it."""
        return self.largest_share > self.policy.max_share

    @property
    def notices(self) -> tuple[str, ...]:
        """What the receipt should say about this plan."""
        said = {
            "One host got the whole request: it cannot be split.": self.mode == "whole" and self.why_whole != "open",
            "One host got the whole request: the policy is open.": self.why_whole == "open",
            "A host got more than the policy's share: the parts or the hosts do not allow less.": (
                self.mode == "tasks" and self.exceeds_max_share
            ),
            "Earlier turns went only to the hosts that had them before.": self.history_dropped,
            "The system message went to every host.": bool(self.system) and self.mode == "tasks",
        }
        return tuple(notice for notice, holds in said.items() if holds)

    def texts(self, slot: int) -> tuple[str, ...]:
        """What the host in `slot` gets, before masking."""
        return tuple(fragment.prompt.text for fragment in self.fragments if fragment.slot == slot)


class History:
    """What each slot's host was sent and wrote in earlier turns, masked as it knows it. Its `repr` shows no text."""

    def __init__(self) -> None:
        self._transcripts: dict[int, list[ChatMessage]] = {}

    def __repr__(self) -> str:
        return "<History>"

    def record(self, slot: int, sent: str, answer: str) -> None:
        """One exchange with the host in `slot`, both texts with its own placeholders in them."""
        self._transcripts.setdefault(slot, []).extend((ChatMessage("user", sent), ChatMessage("assistant", answer)))

    def transcript(self, slot: int) -> tuple[ChatMessage, ...]:
        """What goes before the next fragment to `slot`: nothing that its host has not seen or written."""
        return tuple(self._transcripts.get(slot, ()))

    def slots(self) -> tuple[int, ...]:
        """Those with a transcript, ascending."""
        return tuple(sorted(self._transcripts))

    def wipe(self) -> None:
        """Forgets everything."""
        self._transcripts.clear()


# --- words -----------------------------------------------------------------------------------------------------------

_CREATING: Final = word_set(
    "write draft compose create generate make design invent list give suggest name pick choose propose prepare plan"
    " outline recommend build develop produce code implement brainstorm sketch"
)
_TRANSFORMING: Final = word_set(
    "translate rewrite summarize summarise rephrase paraphrase shorten simplify convert proofread correct fix edit"
    " improve polish expand format sort rank reword condense review refactor debug analyze analyse annotate transcribe"
    " explain describe check classify extract compare"
)
_TASK_VERBS: Final = (
    _CREATING
    | _TRANSFORMING
    | word_set(
        "define tell find calculate compute solve show help discuss identify evaluate determine estimate provide state"
        " answer research predict recite count spell prove derive illustrate elaborate advise teach demonstrate"
        " contrast"
        " outline optimize optimise test verify conjugate differentiate integrate factor simulate draw plot print look"
        " mention enumerate work figure get combine merge turn put change replace remove assess diagnose"
        " schedule organize organise set search locate quote"
        " guess rate"
    )
)
_REMARK_VERBS: Final = word_set(
    "act roleplay pretend imagine include use keep avoid be add ensure limit start end begin focus remember note"
    " assume consider return output"
    " respond reply don't never always stick cite refrain leave omit mind pay"
)
_DISTRIBUTED: Final = word_set(
    "define explain describe translate answer solve correct convert spell compute calculate respond"
)
_GENERIC: Final = word_set(
    "answer following question questions task tasks thing things help need want several few some three two four five"
    " couple many list please respond reply item items request requests give tell have got like know ask wonder"
    " wondering todo points point different various separate independent quick hi hello hey thanks thank advance"
    " kindly"
    " could can today first second third one morning afternoon evening good dear everyone assistant"
)
_MATERIAL_NOUN: Final = (
    r"(?:e-?mail|text|letter|poem|code|paragraphs?|essay|article|story|message|passage|document|contract|log"
    r"|transcript"
    r"|function|script|note|draft|review|report|abstract|program|snippet|query|speech|song|lyrics|notes|cv|resume"
    r"|description|error|table|data|sentences?|conversation|dialogue|quote|stanza|verse)"
)
_OPENERS: Final = re.compile(
    r"^[\s*_\"'“(]*(?:(?:please|kindly|also|and|then|next|finally|lastly|first(?:ly)?|second(?:ly)?|third(?:ly)?"
    r"|now|but"
    r"|so|ok|okay|hi|hello|hey|additionally|after that|afterwards|oh|in addition|moreover|furthermore|just|briefly"
    r"|quickly|(?:can|could|would|will) you(?: please)?|i(?:'d like| would like| want| need) you to|you should"
    r"|you must|i want"
    r" to know|to start|last)\b[\s,:]*)+",
    re.IGNORECASE,
)
_WISH: Final = re.compile(r"^i(?:'d| would)?\s+(?:like|want|need)\s+(?:you to|to know|an?|some|your)\b", re.IGNORECASE)
_ASKING: Final = re.compile(r"^(?:what|who|whom|whose|when|where|which|why|how)\b", re.IGNORECASE)
_EXAMPLES: Final = re.compile(
    r"^(?:give|provide|show|list|mention|cite)\s+(?:me\s+)?(?:(?:some|a few|an?|one|two|three|\d+|your|the)\s+)?"
    r"(?:short |brief |good )?(?:examples?|details?|reasons?|sources?|references?|explanations?)[.!]?$",
    re.IGNORECASE,
)
_ANSWERING: Final = re.compile(
    r"^(?:answer|respond|reply|write|explain|do (?:not|n't)|format|make)\s+(?:in|with|as|briefly|concisely|only|each"
    r"|every|all|everything|it|them|your answers?|using|like|at most|under|less|sure|the answers?)\b"
    r"|^do not\b|^think step|^show your (?:work|reasoning)|^explain your (?:reasoning|answers?)",
    re.IGNORECASE,
)
_MANNER: Final = re.compile(
    r"\b(?:in|with|using|within|at most|under|(?:no more|less|fewer) than)\s+(?:[\w'’-]+\s+){0,4}?"
    r"(?:sentences?|words?|lines?|paragraphs?|terms|details?|language|points?|style|tone|steps?|format|bullets?|pages?)\b"
    r"|\b(?:briefly|concisely|shortly|simply)\b",
    re.IGNORECASE,
)
_REMARK_OBJECTS: Final = word_set("reasoning work step steps sentence sentences word words english detail style tone")
_ALL_ANSWERS: Final = re.compile(r"\b(?:each|every|all|answers?|everything)\b", re.IGNORECASE)
_COURTESY: Final = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|dear)(?:\s+[\w.-]+){0,2}[\s,.!]*$"
    r"|^\W*(?:thanks?|thank you|cheers|many thanks|thx)\b[^.?!]{0,40}[.!]*$|^\W*please[.!]*$",
    re.IGNORECASE,
)
_REQUEST_FOR_HELP: Final = re.compile(r"\b(?:help|questions?|things|tasks)\b", re.IGNORECASE)
_EACH: Final = re.compile(r"\b(?:each|every|individually|separately|one by one)\b", re.IGNORECASE)
_INTRODUCING: Final = re.compile(r":$|\b(?:this|following|these|below)\b", re.IGNORECASE)
_FOLLOWING: Final = re.compile(r"\b(?:following|these|below)\b", re.IGNORECASE)

_EXPLETIVE: Final = re.compile(
    r"\bit(?:'s| is| was| will|'ll)? (?:rain|snow|takes?|costs?|possible|true|safe|legal|ok|okay|better|worth|normal"
    r"|necessary|hard|easy|difficult|important|common|good|bad|a good|a bad|dark|cold|hot|late)\w*"
    r"|\b(?:is|was|does|will|would|did) it (?:rain|snow|take|cost|possible|true|safe|legal|ok|okay|better|worth|normal"
    r"|necessary|hard|easy|difficult|important|common|good|bad|a good|a bad)\w*|\bwhat time is it\b"
    r"|\bthis (?:year|month|week|weekend|morning|afternoon|evening|summer|winter|spring|autumn|time)\b"
    r"|\bthese days\b|\bthat is\b(?=,)",
    re.IGNORECASE,
)
_BACK_TO_ALL: Final = re.compile(
    r"\b(?:above|previous|preceding|aforementioned|latter|both of (?:them|these|those)|all of (?:them|these|those"
    r"|the above))\b|\ball (?:three|four|five)(?=[?.!,]|$)"
    r"|\bthe (?:two|three|four|five|others?|results?|answers?)(?=[?.!,]|$| of them)|\byour (?:results?"
    r"|answers?)\b|\bcombine (?:them|these|the|all|everything|your)\b"
    r"|\bthe same (?:thing|for|to|again|way)\b",
    re.IGNORECASE,
)
_NUMBERED_BACK: Final = re.compile(
    r"\b(?:questions?|answers?|items?|tasks?|parts?|steps?|points?|numbers?|no\.|#)\s*\(?(\d{1,2})\b", re.IGNORECASE
)
_PRONOUN: Final = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|these|those|itself|themselves)\b"
    r"|\b(?:of|about|for|with|to|from|like|do|explain|after|before|than|using) that\b(?!\s+\w+\s+\w*s\b)"
    r"|\bthat(?=[?.!,]|$| (?:to|into|as|for|with|again|instead)\b)"
    r"|\b(?:such|one of them|that one|the one|another one)\b",
    re.IGNORECASE,
)
_PERSONAL: Final = word_set("he him his she her hers")
_POSSESSIVE: Final = word_set("its their his her")
_CLAUSE_BREAK: Final = re.compile(
    r"[,;:(]|\b(?:and|or|but|if|when|because|since|so|that|which|while|who|whether|where)\b", re.IGNORECASE
)
_SEQUENCE: Final = re.compile(
    r"^\W*(?:then|after that|afterwards|once done|when done|what about|how about|why not)\b"
    r"|^\W*(?:and|or|but)\s+(?:\S+\s+){0,3}\S+\?$",
    re.I,
)
_INTRODUCED: Final = re.compile(
    r"\b(?:an?|some|another|one|two|three|four|five|\d+|my|our)\s+((?:[\w'’-]+\s+){0,3}[\w'’-]+)", re.IGNORECASE
)
_REFERRED: Final = re.compile(
    r"\b(?:the|that|this|those|these|its|their|your)\s+([\w'’-]+(?:\s+[\w'’-]+)?)", re.IGNORECASE
)
_PREPOSITIONS: Final = word_set("into to in as for by using with from again")
_HUMAN: Final = re.compile(
    r"\b(?:sister|brother|mother|father|mum|mom|dad|wife|husband|son|daughter|friend|boss|colleague|partner|neighbou?r"
    r"|teacher|doctor|child|baby|uncle|aunt|cousin|girlfriend|boyfriend|grand\w+|man|woman|boy|girl|patient|client)\b",
    re.IGNORECASE,
)

# --- units -----------------------------------------------------------------------------------------------------------

_Kind = Literal["task", "remark", "context", "lead", "material", "courtesy"]


@define
class _Unit:
    kind: _Kind
    start: int
    end: int
    text: str
    paragraph: int
    item: int | None = None
    """Which item of a list it is, from 1."""
    marker: str = ""
    heading: str = ""


_FENCES: Final = re.compile(
    r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)|\"\"\".*?(?:\"\"\"|\Z)|(?:^>[^\n]*(?:\n|\Z))+", re.M | re.S
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
_MARKER: Final = re.compile(
    r"^[ \t]{0,3}(?:(?:task|question|part|q)?[ \t]*(\d{1,3})[.):][ \t]+|\(?([a-z])\)[ \t]+|[-*•–][ \t]+)(?=\S)", re.I
)
_INLINE_MARKER: Final = re.compile(r"(?:(?<=\s)|^)\(?(\d{1,2})[.)][ \t]+(?=\S)")
_TITLE_LINE: Final = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")
_CODE_LINE: Final = re.compile(
    r"^\s*(?:def |class |import |from \w+ import|#include|public |private |function |const |let |var |return\b"
    r"|select .* from"
    r"|for ?\(|if ?\(|while ?\(|\}|\{|print\(|</?\w+[^>]*>)|[;{}]\s*$|=>|^\s*\w+ = \S",
    re.I,
)
_TAIL: Final = re.compile(
    r"\b(?:this|these|the following|following|below|here(?:'s| is| are))\b[^:\n]{0,80}:", re.IGNORECASE
)
_LEAD: Final = re.compile(
    r"[^:\n.?!]{0,120}\b(?:questions?|tasks?|things|requests)\b[^:\n.?!]{0,60}:(?=\s|$)", re.IGNORECASE
)
_THIS_MATERIAL: Final = re.compile(
    rf"\b(?:this|the following|below)\s+(?:\w+\s+){{0,2}}{_MATERIAL_NOUN}\b", re.IGNORECASE
)


def _first_word(text: str) -> str:
    word = re.match(r"[\w'’-]+", _OPENERS.sub("", text).lstrip("*_\"'“( "))
    return word.group().replace("’", "'").casefold() if word else ""


def _has_subject(instruction: str) -> bool:
    """Whether there is something to explain or write about, besides how: "in two sentences why the sky is blue"."""
    rest = _MANNER.sub(" ", instruction)
    if re.search(r"\b(?:what|why|how|who|where|when|which|whether)\s+\w+", rest, re.IGNORECASE):
        return True
    verb, *objects = re.findall(r"[\w'’-]+", rest.casefold()) or [""]
    return verb in {"explain", "write"} and len(set(objects) - STOP_WORDS - _GENERIC - _REMARK_OBJECTS) > 1


def _kind(text: str) -> _Kind:
    """The kind of a sentence, seen alone."""
    bare = _OPENERS.sub("", text).strip("*_ ")
    if _COURTESY.match(text) or (_REQUEST_FOR_HELP.search(text) and _is_generic(text)):
        return "courtesy"
    if re.search(r"[?？][\"'”’»)*_]*$", text):
        return "task"
    if _EXAMPLES.match(bare) or (_ANSWERING.match(bare) and not _has_subject(bare)):
        return "remark"
    verb = _first_word(text)
    if verb in _REMARK_VERBS or re.match(r"make (?:sure|it|them|each|every)\b", bare, re.IGNORECASE):
        return "remark"
    if re.match(r"[\w'’-]+ (?:is|was|are|were|has|have|had|will|would|can|could)\b", bare):
        return "context"  # "Work has been hard.": a noun that is also a verb
    if verb in _TASK_VERBS or _WISH.match(text.strip("*_ ").replace("’", "'")):
        return "task"
    return "context"


def _item_kind(text: str, spans: Sequence[tuple[int, int]]) -> _Kind:
    if not spans:
        return "context"
    kinds = [_kind(text[start:end]) for start, end in spans]
    if "task" in kinds or (_ASKING.match(_OPENERS.sub("", text[spans[0][0] :])) and len(text.split()) > 2):
        return "task"
    return "remark" if "remark" in kinds else "context"


@define
class _Line:
    start: int
    end: int
    text: str


class _Reader:
    """Reads one message into units; `holds` are ranges (mentions) inside which nothing ends."""

    def __init__(self, text: str, holds: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._holds = holds
        self.units: list[_Unit] = []
        self._paragraph = 0
        self._heading = ""

    def read(self) -> list[_Unit]:
        """The units, in order."""
        place = 0
        for start, end in self._material_ranges():
            place = self._prose(place, start)
            if place < end:
                self._add("material", max(start, place), end)
                place = end
        self._prose(place, len(self._text))
        return self.units

    def _material_ranges(self) -> list[tuple[int, int]]:
        found = [match.span() for match in _FENCES.finditer(self._text)]
        greeting = _GREETING.search(self._text)
        if greeting is not None:
            ends = [match.end() for match in _SIGN_OFF.finditer(self._text, greeting.end())]
            if ends:
                found.append((greeting.start(), ends[-1]))
        ranges: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if ranges and start < ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
            else:
                ranges.append((start, end))
        return ranges

    def _add(self, kind: _Kind, start: int, end: int, *, item: int | None = None, marker: str = "") -> None:
        piece = self._text[start:end]
        start, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        if start < end:
            self.units.append(
                _Unit(kind, start, end, self._text[start:end], self._paragraph, item, marker, self._heading)
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

    def _blocks(self, start: int, end: int) -> list[list[_Line]]:
        """Paragraphs; every item of a list, and every heading, is a block of its own."""
        blocks: list[list[_Line]] = []
        fresh = True
        place = start
        for raw in self._text[start:end].splitlines(keepends=True):
            line = _Line(place, place + len(raw.rstrip()), raw.rstrip())
            place += len(raw)
            if not line.text.strip():
                fresh = True
                continue
            continues = blocks and blocks[-1] and _MARKER.match(blocks[-1][0].text) and raw[:2].isspace()
            if _MARKER.match(line.text) and not (continues and raw[:2].isspace()):
                fresh = True
            if _TITLE_LINE.match(line.text) or (fresh and not continues) or not blocks:
                blocks.append([])
            blocks[-1].append(line)
            fresh = bool(_TITLE_LINE.match(line.text))
        return blocks

    def _block(self, lines: list[_Line], end: int, following: list[_Line]) -> int | None:
        first, last = lines[0], lines[-1]
        title = _TITLE_LINE.match(first.text)
        if title is not None:
            self._heading = title[1].strip()
            self._add("lead", first.start, first.end)
            self.units[-1].marker = "#"
            return None
        marker = _MARKER.match(first.text)
        if marker is not None:
            if marker[1] != "1" or not self._inline_items(first.start, last.end):
                self._item(first.start + marker.end(), last.end, marker.group().strip())
            return None
        if len(lines) > 1 and all(_item_kind(line.text, [(0, len(line.text))]) == "task" for line in lines):
            for line in lines:
                self._add("task", line.start, line.end)
            return None
        if _is_code(lines) or _is_verse(lines):
            self._add("material", first.start, last.end)
            return None
        if self._inline_items(first.start, last.end):
            return None
        return self._sentences(first.start, last.end, end, following)

    def _item(self, start: int, end: int, marker: str) -> None:
        text = self._text[start:end]
        digits = re.search(r"\d+", marker)
        number = int(digits.group()) if digits else (self.units[-1].item or 0) + 1 if self.units else 1
        self._add(_item_kind(text, self._spans(start, end, relative=True)), start, end, item=number, marker=marker)

    def _spans(self, start: int, end: int, *, relative: bool = False) -> list[tuple[int, int]]:
        holds = [(first - start, last - start) for first, last in self._holds if first < end and last > start]
        spans = sentence_spans(self._text[start:end], holds)
        return spans if relative else [(first + start, last + start) for first, last in spans]

    def _inline_items(self, start: int, end: int) -> bool:
        marks: list[re.Match[str]] = []
        for match in _INLINE_MARKER.finditer(self._text, start, end):
            if int(match[1]) == len(marks) + 1:
                marks.append(match)
        if len(marks) < 2:
            return False
        for first, last in self._spans(start, marks[0].start()):
            self._add(_kind(self._text[first:last]), first, last)
        ends = [mark.start() for mark in marks[1:]] + [end]
        for mark, item_end in zip(marks, ends, strict=True):
            self._item(mark.end(), item_end, mark.group().strip())
        return True

    def _sentences(self, start: int, end: int, limit: int, following: list[_Line]) -> int | None:
        followed_by_list = bool(following) and _MARKER.match(following[0].text) is not None
        for begin, last in self._spans(start, end):
            first = self._lead(begin, last, followed_by_list=followed_by_list)
            sentence = self._text[first:last]
            if not sentence:
                continue
            kind = _kind(sentence)
            tail = self._tail(first, last, end, followed_by_list=followed_by_list)
            if tail is not None:
                reached = limit if tail >= end or not self._text[tail:end].strip() else end
                self._add("task" if kind == "context" and sentence.endswith("?") else kind, first, tail)
                if self._text[tail:reached].strip():
                    self._add("material", tail, reached)
                return reached if reached == limit else None
            self._add(kind, first, last)
            names_material = _THIS_MATERIAL.search(sentence) and kind == "task" and len(self.units) == 1
            if names_material and last == end and following and not followed_by_list:
                self._add("material", end, limit)
                return limit
        return None

    def _lead(self, first: int, last: int, *, followed_by_list: bool) -> int:
        """Takes "Two questions about Peru:" off a sentence that is not followed by a list; returns what is left."""
        match = _LEAD.match(self._text, first, last)
        if match is None or (followed_by_list and match.end() == last):
            return first
        self._add("courtesy" if _is_generic(match.group()) else "lead", first, match.end())
        return last if match.end() == last else match.end() + 1

    def _tail(self, first: int, last: int, end: int, *, followed_by_list: bool) -> int | None:
        """Where material begins after a colon in the sentence, unless it is quoted or a list follows."""
        sentence = self._text[first:last]
        transform = _first_word(sentence) in _TRANSFORMING
        match = _TAIL.search(sentence) or (re.match(r"[^:\n.?!]{0,80}:", sentence) if transform else None)
        if match is None or (followed_by_list and last == end and match.end() == len(sentence)):
            return None
        rest = self._text[first + match.end() : end].lstrip(" \t*_")
        if rest.startswith(('"', "“", "'", "‘", "«", "„", "`")):
            return None
        return first + match.end()


def _is_code(lines: Sequence[_Line]) -> bool:
    return sum(bool(_CODE_LINE.search(line.text)) for line in lines) >= max(2, len(lines) // 2)


def _is_verse(lines: Sequence[_Line]) -> bool:
    open_ended = sum(not line.text.rstrip().endswith((".", "?", "!", ":")) for line in lines)
    short = sum(len(line.text) for line in lines) <= 60 * len(lines)
    return len(lines) >= 3 and short and 3 * open_ended >= 2 * len(lines) and not _ASKING.match(lines[0].text)


# --- leads of lists --------------------------------------------------------------------------------------------------


def _settle_lists(units: list[_Unit]) -> list[_Unit]:
    """Decides what the sentence before a list makes of its items."""
    settled: list[_Unit] = []
    index = 0
    while index < len(units):
        unit = units[index]
        if unit.item is None:
            settled.append(unit)
            index += 1
            continue
        after = index + 1
        while after < len(units) and units[after].item == (units[after - 1].item or 0) + 1:
            after += 1
        settled += _settled_list(settled, units[index:after])
        index = after
    return settled


def _settled_list(before: list[_Unit], items: list[_Unit]) -> list[_Unit]:
    lead = before[-1] if before and before[-1].kind in {"task", "context", "remark", "courtesy"} else None
    leads = lead is not None and lead.item is None and lead.paragraph + 1 >= items[0].paragraph
    are_tasks = items[0].kind == "task" and all(item.kind in {"task", "remark", "context"} for item in items)
    are_tasks = are_tasks and (len(items) == 1 or any(item.kind == "task" for item in items[1:]))
    if are_tasks:
        for item in items:  # among instructions a bare phrase adds to the one before it, a sentence is one more
            if item.kind == "context":
                item.kind = "task" if len(item.text.split()) > _BARE_PHRASE_WORDS else "remark"
    if lead is None or not leads:
        return items if are_tasks else _as_one(items)
    if _is_generic(lead.text) and are_tasks:
        lead.kind = "courtesy"
        return items
    shared_verb = _first_word(lead.text) in _DISTRIBUTED and _FOLLOWING.search(lead.text)
    if (_EACH.search(lead.text) or shared_verb) and lead.text.endswith(":") and not _THIS_MATERIAL.search(lead.text):
        lead.kind = "lead"
        for item in items:
            item.kind = "task"
        return items
    are_questions = are_tasks and all(item.text.endswith("?") for item in items if item.kind == "task")
    if lead.kind == "task" and lead.text.endswith((":", "?")) and not are_questions:
        before.pop()  # the items are what it asks for: ingredients, steps, things to compare
        return [evolve(items[-1], kind="task", start=lead.start, text=lead.text, item=None, marker="")]
    if are_tasks:
        if lead.text.endswith(":"):
            lead.kind = "lead"
        return items
    return _as_one(items)


def _as_one(items: list[_Unit]) -> list[_Unit]:
    """A list of facts, or of steps, that is not taken apart."""
    text = "\n".join(item.text for item in items)
    kind: _Kind = "task" if any(item.kind == "task" for item in items) else items[0].kind
    return [evolve(items[0], kind=kind, end=items[-1].end, text=text, item=None, marker="")]


def _is_generic(text: str) -> bool:
    return not set(content_words(text)) - _GENERIC


# --- references ------------------------------------------------------------------------------------------------------


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in content_words(text) if word not in _TASK_VERBS and word not in _GENERIC)


def _phrase_stems(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    return frozenset().union(*(_stems(match[1]) for match in pattern.finditer(text)))


_Reference = Literal["none", "previous", "person", "all"]


def _reference(unit: _Unit) -> _Reference:
    """What the unit needs from before itself, by its words alone."""
    text = _EXPLETIVE.sub(" ", unit.text)
    if _BACK_TO_ALL.search(text):
        return "all"
    if _SEQUENCE.match(text):
        return "previous"
    bare = _OPENERS.sub("", text)
    words = [word.casefold() for word in re.findall(r"[\w'’-]+", bare)]
    is_elliptic = not _stems(bare)
    transforms_nothing = (
        len(words) > 1 and words[0] in _TRANSFORMING and words[1] in _PREPOSITIONS and not _has_subject(bare)
    )
    if unit.kind == "task" and (is_elliptic or transforms_nothing):
        return "previous"
    for match in _PRONOUN.finditer(text):
        if not _has_antecedent(text, match):
            return "person" if match.group().casefold() in _PERSONAL else "previous"
    return "none"


def _has_antecedent(text: str, match: re.Match[str]) -> bool:
    """Whether what stands before a pronoun in its own unit can be what it means."""
    pronoun = match.group().casefold()
    before = text[: match.start()]
    words = [word for word in content_words(before) if word not in _TASK_VERBS]
    if pronoun in {"this", "these", "those"} and re.match(
        r"[^.?!\n]{0,80}:|[^.?!\n]{0,40}[\"“'«„`]", text[match.end() :]
    ):
        return True  # it points forward
    if not words:
        return False
    has_name = re.search(r"(?<=[\w,)] )[A-ZŁŚŻ]\w+", before) is not None
    if pronoun in _POSSESSIVE:
        return has_name or len(words) >= 2
    return has_name or _CLAUSE_BREAK.search(before) is not None


class _Needs:
    """The dependency graph: which tasks belong together, and which background each needs."""

    def __init__(self, units: Sequence[_Unit], people: Sequence[tuple[int, int]]) -> None:
        self._units = units
        self._people = people
        self.tasks = [index for index, unit in enumerate(units) if unit.kind == "task"]
        self._root = {task: task for task in self.tasks}
        self._background: dict[int, set[int]] = {task: set() for task in self.tasks}
        self._stems = [_stems(unit.text) for unit in units]
        self._introduced = [_phrase_stems(_INTRODUCED, unit.text) for unit in units]
        self._sources: dict[int, set[int]] = {}
        """What a unit refers to, so that who needs it needs that too."""

    def resolve(self) -> None:
        """Fills the graph."""
        for index, unit in enumerate(self._units):
            if unit.kind in {"task", "context"}:
                self._sources[index] = self._antecedents(index)
        for task in self.tasks:
            for source in self._closure(task):
                self._depend(task, source)
        for index, unit in enumerate(self._units):
            if unit.kind == "context":
                self._place_context(index)
            elif unit.kind == "material":
                self._place_material(index)
            elif unit.kind == "remark":
                self._place_remark(index)
            elif unit.kind == "lead":
                self._give(
                    index, [t for t in self.tasks if unit.marker != "#" or self._units[t].heading == unit.heading]
                )

    def groups(self) -> list[tuple[list[int], set[int]]]:
        """The tasks that stay together, with their background; in order of their first tasks."""
        together: dict[int, list[int]] = {}
        for task in self.tasks:
            together.setdefault(self._find(task), []).append(task)
        return [(tasks, set().union(*(self._background[task] for task in tasks))) for tasks in together.values()]

    def join(self, one: int, other: int) -> None:
        """Keeps two tasks in one fragment."""
        self._root[self._find(other)] = self._find(one)

    def _find(self, task: int) -> int:
        while self._root[task] != task:
            self._root[task] = task = self._root[self._root[task]]
        return task

    def _depend(self, task: int, source: int) -> None:
        if self._units[source].kind == "task":
            self.join(source, task)
        else:
            self._background[task].add(source)

    def _give(self, source: int, tasks: Iterable[int]) -> None:
        for task in tasks:
            for needed in {source, *self._closure(source)}:
                self._depend(task, needed)

    def _closure(self, index: int) -> set[int]:
        reached: set[int] = set()
        pending = list(self._sources.get(index, ()))
        while pending:
            source = pending.pop()
            if source not in reached:
                reached.add(source)
                # A task that is joined brings its own background along.
                pending += self._sources.get(source, ()) if self._units[source].kind != "task" else ()
        return reached

    def _antecedents(self, index: int) -> set[int]:
        unit = self._units[index]
        earlier = [i for i in range(index) if self._units[i].kind in {"task", "context", "material"}]
        numbered = self._numbered(unit, earlier)
        found = self._introductions(index, earlier) | numbered
        reference = _reference(unit)
        if not earlier or reference == "none":
            return found
        if reference == "all":
            return found if numbered else found | set(earlier)
        if reference == "person":
            about = [i for i in earlier if self._is_about_person(i)]
            return found | {about[-1] if about else earlier[-1]}
        return found | self._meant(earlier)

    def _meant(self, earlier: list[int]) -> set[int]:
        """What "it" means: the last thing said, or what the question before it was itself about."""
        last = earlier[-1]
        asked = self._units[last].kind == "task" and _first_word(self._units[last].text) not in _CREATING
        about = {i for i in self._sources.get(last, ()) if self._units[i].kind != "task"}
        return about if asked and about else {last}

    def _introductions(self, index: int, earlier: list[int]) -> set[int]:
        """Units that spoke of "a poem" where this one speaks of "the poem"."""
        referred = _phrase_stems(_REFERRED, self._units[index].text)
        if not referred:
            return set()
        return {i for i in earlier if referred & self._introduced[i]}

    def _numbered(self, unit: _Unit, earlier: list[int]) -> set[int]:
        numbers = {int(match[1]) for match in _NUMBERED_BACK.finditer(unit.text)} if unit.kind == "task" else set()
        return {i for i in earlier if self._units[i].item in numbers}

    def _is_about_person(self, index: int) -> bool:
        unit = self._units[index]
        named = any(unit.start <= start and end <= unit.end for start, end in self._people)
        return named or _HUMAN.search(unit.text) is not None

    def _place_context(self, index: int) -> None:
        takers = {task for task in self.tasks if self._stems[index] & self._stems[task]}
        takers |= {task for task in self.tasks if index in self._background[task]}
        # "It is for a card." belongs to the task that it speaks of.
        sources = self._sources.get(index, set())
        takers |= {source for source in sources if self._units[source].kind == "task"}
        # "She is vegan." goes where "My sister is Anna." went.
        takers |= {task for task in self.tasks if sources & self._background[task]}
        self._give(index, takers or self._nearest(index))

    def _nearest(self, index: int) -> list[int]:
        here = [t for t in self.tasks if self._units[t].paragraph == self._units[index].paragraph]
        after = [t for t in here if t > index] or ([] if here else [t for t in self.tasks if t > index])
        before = [t for t in here if t < index] or [t for t in self.tasks if t < index]
        return after[:1] or before[-1:]

    def _place_material(self, index: int) -> None:
        before = self._units[index - 1] if index else None
        if before is not None and before.kind == "task" and _INTRODUCING.search(before.text):
            self._give(index, [index - 1])
        elif not any(index in needed for needed in self._background.values()):
            self._give(index, self.tasks)

    def _place_remark(self, index: int) -> None:
        unit = self._units[index]
        own = [t for t in self.tasks if t < index and self._units[t].paragraph == unit.paragraph]
        if unit.item is not None:
            own = [t for t in self.tasks if t < index][-1:]
        narrow = own and not _ALL_ANSWERS.search(unit.text)
        self._give(index, own[-1:] if narrow else self.tasks)


# --- fragments -------------------------------------------------------------------------------------------------------


@define
class _Group:
    tasks: list[int]
    background: set[int]


def plan(
    messages: Sequence[ChatMessage],
    mentions_per_message: Sequence[Sequence[Mention]],
    hosts: int,
    policy: ExposurePolicy,
    history: History | None = None,
) -> Plan:
    """Who gets what of the last message, which is the user's.

    `mentions_per_message` goes along with `messages`; `hosts` is how many can be had. Raises `PlanRefused` where the
    policy allows no way, and `LocalProtocolError` for arguments that do not fit together.
    """
    if not messages or messages[-1].role != "user":
        raise LocalProtocolError("a conversation to be answered ends with a message of the user")
    if len(mentions_per_message) != len(messages):
        raise LocalProtocolError(f"{len(messages)} messages with mentions for {len(mentions_per_message)}")
    if hosts < 1:
        raise PlanRefused("no host is there to answer: wait until one joins, or answer on a local engine")
    source = _Source(messages, mentions_per_message)
    units, groups, why_whole = _divide(source, policy)
    if why_whole:
        return _whole(source, why_whole, hosts, policy, history)
    if hosts == 1:
        raise PlanRefused(
            f"the request has {len(groups)} parts for different hosts and one host is there: wait for another, use the"
            " exposure policy 'open', or answer on a local engine"
        )
    return _tasks(source, units, groups, hosts, policy, history)


class _Source:
    """The conversation that a plan cuts from."""

    def __init__(self, messages: Sequence[ChatMessage], mentions: Sequence[Sequence[Mention]]) -> None:
        self.messages = messages
        self.mentions = mentions
        self.last = len(messages) - 1
        self.text = messages[-1].content
        self._words = content_words(self.text)
        self._words_of: dict[str, Counter[str]] = {}

    def excerpt(self, ranges: Iterable[tuple[int, int]], message: int) -> Excerpt:
        """Ranges of a message; those that only white space parts become one."""
        content = self.messages[message].content
        joined: list[tuple[int, int]] = []
        for start, end in sorted(ranges):
            if joined and not content[joined[-1][1] : start].strip():
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        mentions: list[Mention] = []
        place = 0
        for start, end in joined:
            # A mention that a border cuts is clipped, and so still masked.
            mentions += [
                evolve(m, start=max(m.start, start) - start + place, end=min(m.end, end) - start + place)
                for m in self.mentions[message]
                if m.start < end and m.end > start
            ]
            place += end - start + len(GLUE)
        return Excerpt(
            pieces=tuple(Piece(message, start, end) for start, end in joined),
            text=GLUE.join(content[start:end] for start, end in joined),
            mentions=tuple(mentions),
        )

    def system(self) -> tuple[Excerpt, ...]:
        """The system messages."""
        return tuple(
            self.excerpt([(0, len(message.content))], index)
            for index, message in enumerate(self.messages)
            if message.role == "system"
        )

    def share(self, texts: Iterable[str]) -> float:
        """The share of the last message in `texts`; nothing is masked yet, so that nothing is a placeholder."""
        if not self._words:
            return share(self.text, texts, placeholders=())
        given: Counter[str] = Counter()
        for text in dict.fromkeys(texts):
            if text not in self._words_of:
                self._words_of[text] = content_words(text)
            given.update(self._words_of[text])
        return (self._words & given).total() / self._words.total()


def _divide(source: _Source, policy: ExposurePolicy) -> tuple[list[_Unit], list[_Group], WhyWhole]:
    if policy.level is Level.OPEN:
        return [], [], "open"
    mentions = source.mentions[source.last]
    units = _settle_lists(_Reader(source.text, [(m.start, m.end) for m in mentions]).read())
    if len(units) > MAX_UNITS:
        return units, [], "too_many_parts"
    _promote_remarks(units)
    needs = _Needs(units, [(m.start, m.end) for m in mentions if m.label == "PERSON"])
    needs.resolve()
    if len(needs.tasks) < 2:
        return units, [], "one_task" if needs.tasks else "no_task"
    groups = _bounded([_Group(*group) for group in needs.groups()])
    if len(groups) < 2:
        return units, groups, "dependent"
    while (pair := _sharing(source, units, groups)) is not None:
        one, other = pair
        one.tasks, one.background = sorted(one.tasks + other.tasks), one.background | other.background
        groups = [group for group in groups if group is not other]
    return units, groups, "shared" if len(groups) < 2 else ""


def _promote_remarks(units: list[_Unit]) -> None:
    """A remark with no task before it in its list or paragraph, and no task anywhere else, is what is asked for."""
    if not any(unit.kind == "task" for unit in units):
        for unit in units:
            unit.kind = "task" if unit.kind == "remark" else unit.kind


def _bounded(groups: list[_Group]) -> list[_Group]:
    size = -(-len(groups) // MAX_FRAGMENTS)
    chunks = [groups[index : index + size] for index in range(0, len(groups), size)]
    return [
        _Group([task for group in chunk for task in group.tasks], set().union(*(group.background for group in chunk)))
        for chunk in chunks
    ]


def _sharing(source: _Source, units: Sequence[_Unit], groups: Sequence[_Group]) -> tuple[_Group, _Group] | None:
    """Two groups with more than `SHARED_LIMIT` of the words in common."""
    known: dict[frozenset[int], float] = {}
    for place, one in enumerate(groups):
        for other in groups[place + 1 :]:
            common = frozenset(one.background & other.background)
            if common not in known:
                known[common] = source.share([GLUE.join(units[index].text for index in common)]) if common else 0.0
            if known[common] > SHARED_LIMIT:
                return one, other
    return None


def _whole(source: _Source, why: WhyWhole, hosts: int, policy: ExposurePolicy, history: History | None) -> Plan:
    if policy.level is Level.STRICT:
        raise PlanRefused(
            "the request cannot be split, and the exposure policy 'strict' lets no host have the whole of it: ask for"
            " its parts separately, use the policy 'standard', or answer on a local engine"
        )
    slot = _familiar_slot(source, hosts, history)
    prompt = source.excerpt([(0, len(source.text))], source.last)
    fragment = Fragment(ordinal=0, slot=slot, prompt=prompt, context=(), share=1.0)
    return Plan(
        mode="whole",
        policy=policy,
        fragments=(fragment,),
        structure="whole",
        system=source.system(),
        largest_share=1.0,
        why_whole=why,
        history_dropped=_drops_history(source, {slot}, history),
    )


def _familiar_slot(source: _Source, hosts: int, history: History | None) -> int:
    """The slot whose transcript has most words in common with the message; the first of equals."""
    slots = [slot for slot in (history.slots() if history else ()) if slot < hosts]
    if history is None or not slots:
        return 0
    said = {slot: "\n".join(message.content for message in history.transcript(slot)) for slot in slots}
    return max(slots, key=lambda slot: len(_stems(source.text) & _stems(said[slot])))


def _drops_history(source: _Source, used: set[int], history: History | None) -> bool:
    earlier = sum(message.role == "user" for message in source.messages[:-1])
    if not earlier:
        return False
    known = set(history.slots()) if history else set()
    return len(known) != 1 or used != known


def _tasks(
    source: _Source,
    units: Sequence[_Unit],
    groups: Sequence[_Group],
    hosts: int,
    policy: ExposurePolicy,
    history: History | None,
) -> Plan:
    prompts = [source.excerpt([_range(units[i]) for i in (*g.tasks, *g.background)], source.last) for g in groups]
    slots = _slots(source, [prompt.text for prompt in prompts], hosts)
    listed = all(units[group.tasks[0]].item is not None for group in groups)
    fragments = tuple(
        Fragment(
            ordinal=ordinal,
            slot=slots[ordinal],
            prompt=prompt,
            context=tuple(Piece(source.last, *_range(units[index])) for index in sorted(group.background)),
            share=source.share([prompt.text]),
            heading=_heading([units[index] for index in group.tasks], listed=listed),
        )
        for ordinal, (group, prompt) in enumerate(zip(groups, prompts, strict=True))
    )
    largest = max(
        source.share([fragment.prompt.text for fragment in fragments if fragment.slot == slot]) for slot in set(slots)
    )
    if policy.level is Level.STRICT and largest > policy.max_share:
        raise PlanRefused(
            f"one host would get {largest:.0%} of the request over {min(hosts, len(groups))} hosts, and the exposure"
            f" policy 'strict' allows {policy.max_share:.0%}: wait for more hosts, ask for the parts separately, raise"
            " max_share, or answer on a local engine"
        )
    return Plan(
        mode="tasks",
        policy=policy,
        fragments=fragments,
        structure="list" if listed else "paragraphs",
        system=source.system(),
        largest_share=largest,
        history_dropped=_drops_history(source, set(slots), history),
    )


def _range(unit: _Unit) -> tuple[int, int]:
    return unit.start, unit.end


def _slots(source: _Source, texts: Sequence[str], hosts: int) -> list[int]:
    """A slot each where the hosts suffice, else so that the fullest slot gets least, largest fragments first."""
    if hosts >= len(texts):
        return list(range(len(texts)))
    slots = [0] * len(texts)
    held: list[list[str]] = [[] for _ in range(hosts)]
    for ordinal in sorted(range(len(texts)), key=lambda i: (-source.share([texts[i]]), i)):
        slot = min(range(hosts), key=lambda s: (source.share([*held[s], texts[ordinal]]), s))
        held[slot].append(texts[ordinal])
        slots[ordinal] = slot
    return slots


def _heading(tasks: Sequence[_Unit], *, listed: bool) -> str:
    """The numbers and words of its items, or the title that its tasks stand under."""
    if not listed:
        return tasks[0].heading
    lines = []
    for task in tasks:
        first_line = " ".join(task.text.split("\n")[0].split())
        words = textwrap.shorten(first_line, MAX_HEADING, placeholder=" …")
        marker = task.marker if re.search(r"\w", task.marker) else ""
        lines.append(" ".join(part for part in (marker, words.strip("*_")) if part))
    return "\n".join(f"**{line}**" for line in lines if line)


# --- merging ---------------------------------------------------------------------------------------------------------


def next_to_show(made: Plan, finished: Iterable[int]) -> Fragment | None:
    """The fragment whose answer may be shown now, given the ordinals that are finished; None when all are."""
    done = set(finished)
    return next((fragment for fragment in made.fragments if fragment.ordinal not in done), None)


class Merger:
    """Puts the restored answers together while they stream, in whatever order they come.

    What its calls return, in a row, is `merge(plan, answers)`. An answer is held back while one before it runs. White
    space around an answer is dropped where there are several.
    """

    def __init__(self, made: Plan) -> None:
        self._plan = made
        self._waiting: dict[int, list[str]] = {}
        self._finished: set[int] = set()
        self._current = 0
        self._any_shown = False
        self._current_shown = False
        self._spaces = ""

    def __repr__(self) -> str:
        return f"<Merger of {len(self._plan.fragments)} fragments>"

    @property
    def showing(self) -> Fragment | None:
        """The fragment whose text comes out now; None when all are finished."""
        return next_to_show(self._plan, range(self._current))

    def feed(self, ordinal: int, delta: str) -> str:
        """What can be shown after `delta` came from fragment `ordinal`; may be empty."""
        self._check(ordinal)
        if ordinal == self._current:
            return self._shown(delta)
        self._waiting.setdefault(ordinal, []).append(delta)
        return ""

    def finish(self, ordinal: int) -> str:
        """What can be shown after fragment `ordinal` is complete: it may set others free."""
        self._check(ordinal)
        self._finished.add(ordinal)
        freed: list[str] = []
        while self._current in self._finished:
            self._current += 1
            self._current_shown = False
            self._spaces = ""
            freed.append(self._shown("".join(self._waiting.pop(self._current, ()))))
        return "".join(freed)

    def _check(self, ordinal: int) -> None:
        if ordinal in self._finished or not 0 <= ordinal < len(self._plan.fragments):
            raise LocalProtocolError(f"fragment {ordinal} is finished, or not of this plan")

    def _shown(self, delta: str) -> str:
        if len(self._plan.fragments) == 1:
            return delta
        text = self._spaces + delta if self._current_shown else delta.lstrip()
        visible = text.rstrip()
        self._spaces = text[len(visible) :]
        if not visible:
            # White space before the first word is dropped; behind it, it waits for the next one.
            self._spaces = self._spaces if self._current_shown else ""
            return ""
        if not self._current_shown:
            heading = self._plan.fragments[self._current].heading
            parts = ["\n\n" if self._any_shown else "", f"{heading}\n\n" if heading else "", visible]
            visible = "".join(parts)
        self._current_shown = self._any_shown = True
        return visible


def merge(made: Plan, answers: Mapping[int, str]) -> str:
    """The answers, by ordinal, as one: in the order and by the structure of the request.

    A list gives each answer its number and words as a heading, paragraphs give paragraphs. Raises
    `LocalProtocolError` where an answer is missing or of no fragment.
    """
    if set(answers) != {fragment.ordinal for fragment in made.fragments}:
        raise LocalProtocolError("there is one answer to merge for each fragment of the plan")
    merger = Merger(made)
    return "".join(
        text
        for ordinal in sorted(answers)
        for text in (merger.feed(ordinal, answers[ordinal]), merger.finish(ordinal))
    )
