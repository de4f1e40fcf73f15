"""What a unit refers to by its words alone: "it", "the above", "then", an instruction without an object (rule 2).

Rules: a pronoun with an antecedent in its own unit refers to nothing outside; one that points forward, or stands in
what is to be worked on, neither; behind "First", "then" only counts; "a title" and "the station" lean on what was
made before where a step of a row speaks of them.
"""

import re
from typing import Final, Literal

from privacy.exposure import content_words, word_set
from privacy.planning._imperatives import is_instruction
from privacy.planning._kinds import OPENERS, first_word, has_subject
from privacy.planning._units import Unit
from privacy.planning._words import GENERIC, TASK_VERBS, TRANSFORMING

_WITH_INFINITIVE: Final = r"(?:takes?|costs?)(?=\s+(?:to|for|an?|me)\b)"
_SAID_OF_ALL: Final = (
    r"possible|true|safe|legal|ok|okay|better|worth|normal|necessary|hard|easy|difficult|important|common|good|bad"
    r"|a good|a bad"
)
_EXPLETIVE: Final = re.compile(
    rf"\bit(?:'s| is| was| will|'ll)? (?:rain|snow|{_WITH_INFINITIVE}|{_SAID_OF_ALL}|dark|cold|hot|late)\w*"
    rf"|\b(?:is|was|does|will|would|did) it (?:rain|snow|{_WITH_INFINITIVE}|{_SAID_OF_ALL})\w*|\bwhat time is it\b"
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
_PRONOUN: Final = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|these|those|itself|themselves)\b"
    r"|\b(?:of|about|for|with|to|from|like|do|explain|after|before|than|using) that\b(?!\s+\w+\s+\w*s\b)"
    r"|\bthat(?=[?.!,]|$| (?:to|into|as|for|with|again|instead)\b)"
    r"|\b(?:such|one of them|that one|the one|another one)\b"
    r"|\bthat (?:message|letter|e-?mail|text|note|reply|answer|conversation|talk|call|decision|idea|plan|case|topic"
    r"|problem|situation|number|result|price|amount)\b",
    re.IGNORECASE,
)
_THAT_RESULT: Final = re.compile(
    r"\bhow (?:much|many|far|long|big|high|old)(?: [\w'’-]+)? that (?:is|was|are|makes?|adds?|comes?|would|will)\b",
    re.IGNORECASE,
)
_COMPARED: Final = r"\w+er|\w+est|better|best|worse|worst|more|most|less|least"
_SMALL_NUMBER: Final = r"an?|one|two|three|four|five|some|a few|more|another|\d+"
_MORE_OF_IT: Final = (
    r"synonyms?|antonyms?|examples?|alternatives?|reasons?|versions?|variations?|options?|sources?|details?"
)
_LEANING: Final = re.compile(
    r"^\W*(?:and\s+)?which\s+(?:of (?:the|these|those|them) \w+\s+)?"
    r"(?:(?:is|are|was|one|would|do|does|has|lasts?|costs?|works?|mattered|matters?)\b[^?]{0,30}?)?"
    rf"\b(?:{_COMPARED})\b(?![^?]*\b(?:than|in|of|for)\b)"
    r"|^\W*and\s+(?:how (?:much|many|long|far|often)|what|who|when|where)\s+(?:if|about|for|with|when|would|then)\b"
    r"|\b(?:is|was|are|does|will be|would be) that\W*$|\bat the (?:end|beginning|start)\W*$"
    r"|^\W*another\s+(?:one\b|[a-z]+s\b)"
    r"|^\W*(?:check|verify|test|show|explain|justify)\s+(?:your|each|every|all|the)\s+"
    r"(?:answers?|steps?|results?|work\w*|choices?)"
    rf"|^\W*(?:give|show|list|name|add|find|tell)\s+(?:me\s+|us\s+)?(?:{_SMALL_NUMBER})\s+"
    rf"(?:more\s+|other\s+|short\s+|simple\s+)?(?:{_MORE_OF_IT})\W*$",
    re.IGNORECASE,
)
"""What compares, goes on or gives more without saying of what."""
_OPENING_CONJUNCTION: Final = re.compile(r"^\W*(?:and|or|but)\b", re.IGNORECASE)
_OWN_SUBJECT: Final = re.compile(
    r"\b(?:how|why|when|where|whether|do|does|did|can)\s+(?:(?:the|most|some|many|all|young|old|wild)\s+)?"
    r"(?P<subject>[\w'’-]*[^\W\ds]s)\s+(?:[\w'’-]+\s+){1,3}$",
    re.IGNORECASE,
)
"""What stands before "their" where a clause has a subject of its own: "how bees find their way"."""
PERSONAL: Final = word_set("he him his she her hers")
_ABOUT_ONESELF: Final = re.compile(r"^(?:what|how|where|when|why|which|who)\b[^?]{0,60}\b(?:I|we)\b", re.IGNORECASE)
_POSSESSIVE: Final = word_set("its their his her")
_CLAUSE_BREAK: Final = re.compile(
    r"[,;:(]|\b(?:and|or|but|if|when|because|since|so|that|which|while|who|whether|where|although|though|unless|until"
    r"|before|after|whereas)\b",
    re.IGNORECASE,
)
_SEQUENCE: Final = re.compile(
    r"^\W*(?:(?:and|or|but)\s+)?(?:then|after that|afterwards|once done|when done|what about|how about|why not)\b"
    r"|^\W*(?P<short>and|or|but)\s+(?:\S+\s+){0,3}\S+\?$",
    re.I,
)
_ASKS_ITSELF: Final = re.compile(r"^\W*(?:and|or|but)\s+(?:who|what|where|when|why)\s+\S+\s+\S", re.IGNORECASE)
_THE_THING: Final = re.compile(
    r"^(?i:explain|describe|list|give|show|tell|name|outline|add|state|find|sketch|draw|calculate|compute|write|include)"
    r"\s+(?:me\s+|us\s+)?(?:all\s+)?the\s+[a-z'’-]+"
    r"(?:\s+(?:first|too|as well|separately|clearly|briefly|in detail))?[.?!]?$"
)
"""An instruction about a thing that nothing says which it is: "Explain the rules."."""

_FOLLOWS_UP: Final = re.compile(
    r"\byour (?:choices?|reasons?|reasoning|decisions?|design|solution|recommendations?|opinion|pick|suggestions?)\b"
    r"|\b(?:think|say|believe|do|why|is that) so[?.!]*$|^which (?:one|side|option|version|choice|approach)\b"
    r"|^(?:what|which|how|was|wie)\s+(?:would|do|should|würdest|würden)\s+(?:you|i|we|du|sie)\s+(?:mir\s+)?"
    r"(?:recommend|suggest|advise|think|do|change|choose|prefer|say|answer|decide|raten|empfehlen|tun|sagen)"
    r"(?:\s+(?:to|about)?\s*(?:me|him|her|them|first|now|instead))*\s*\?$"
    r"|^(?:say|show|explain|mark|state|tell me|point out)\s+(?:where|why|when)\s+you\b",
    re.IGNORECASE,
)
"""What can only be meant of what was said before."""
_RELATIVE_THING: Final = re.compile(
    r"\b(?:examples?|titles?|summar(?:y|ies)|reasons?|details?|pros|cons|advantages|disadvantages|conclusions?|captions?"
    r"|headlines?|versions?|translations?|alternatives?|differences?|steps?|characters?|questions?|answers?|results?"
    r"|introductions?|hashtags?|subtitles?|sources?)\b",
    re.IGNORECASE,
)
"""Things that are always of something."""
_KNOWN_THING: Final = re.compile(
    r"\bthe\s+(?:(?!of\b|in\b|for\b|with\b|that\b|who\b)[\w'’-]+\s+){0,2}?(?!of\b|in\b)[\w'’-]+"
    r"(?=[,.;:!?]|\s+(?:and|or|to|so|then|but|as|into)\b|\s*$)",
    re.IGNORECASE,
)
"""A thing with "the" and nothing that says which."""
_PREPOSITIONS: Final = word_set("into to in as for by using with from again")


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in content_words(text) if word not in TASK_VERBS and word not in GENERIC)


_MADE: Final = re.compile(
    r"(?<!\w)(?=(?:write|draft|compose|make|give me|suggest|invent|create|tell me|i need|i want)\s+"
    r"(?:me\s+)?(?:an?|some|one)\s+((?:[\w'’-]+\s+){0,3}[\w'’-]+))",
    re.IGNORECASE,
)
_MEANT: Final = re.compile(
    r"\b(?:the|that|this|those|these|its|their|your)\s+([\w'’-]+(?:\s+[\w'’-]+)?)", re.IGNORECASE
)


def made_by(text: str) -> frozenset[str]:
    """The stems of what `text` asks to be made: of "a poem"."""
    return _phrase_stems(_MADE, text)


def meant_by(text: str) -> frozenset[str]:
    """The stems of what `text` speaks of as known: of "the poem"."""
    return _phrase_stems(_MEANT, text)


def _phrase_stems(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    return frozenset().union(*(stems(match[1]) for match in pattern.finditer(text)))


_Reference = Literal["none", "previous", "person", "all"]


def reference_of(unit: Unit) -> _Reference:
    """What the unit needs from before itself, by its words alone."""
    text = _EXPLETIVE.sub(" ", unit.text)
    if _BACK_TO_ALL.search(text):
        return "all"
    sequence = _SEQUENCE.match(text)
    is_next = sequence is not None and not (
        sequence["short"] and _ASKS_ITSELF.match(text) and len(stems(OPENERS.sub("", text))) > 1
    )
    if (is_next and not unit.row) or ((is_next or unit.clause) and _leans(text)):
        return "previous"
    bare = OPENERS.sub("", text)
    if _THE_THING.match(bare) or (unit.item is None and _FOLLOWS_UP.search(bare)):
        return "previous"
    if _is_told_in_prose(unit, bare) and _KNOWN_THING.search(text):
        return "previous"
    words = [word.casefold() for word in re.findall(r"[\w'’-]+", bare)]
    meant = stems(bare)
    # "What should I pack?", behind a question about Japan.
    is_elliptic = not meant or (unit.item is None and len(meant) < 2 and _ABOUT_ONESELF.search(bare) is not None)
    transforms_nothing = (
        len(words) > 1 and words[0] in TRANSFORMING and words[1] in _PREPOSITIONS and not has_subject(bare)
    )
    if unit.kind == "task" and (is_elliptic or transforms_nothing):
        return "previous"
    if _THAT_RESULT.search(text) or (unit.item is None and _LEANING.search(text)):
        return "previous"
    for match in _PRONOUN.finditer(text):
        if not _has_antecedent(text, match):
            return "person" if match.group().casefold() in PERSONAL else "previous"
    return "none"


def _is_told_in_prose(unit: Unit, bare: str) -> bool:
    """An instruction by its form alone, among sentences: it may as well add to the task before it."""
    return unit.item is None and first_word(bare) not in TASK_VERBS and is_instruction(bare)


def _leans(text: str) -> bool:
    """Whether a later step of a row speaks of what an earlier one made: "a title", "the letter"."""
    return _RELATIVE_THING.search(text) is not None or _KNOWN_THING.search(text) is not None


def _has_antecedent(text: str, match: re.Match[str]) -> bool:
    """Whether what stands before a pronoun in its own unit can be what it means."""
    pronoun = match.group().casefold()
    before = _OPENING_CONJUNCTION.sub("", text[: match.start()])
    words = [word for word in content_words(before) if word not in TASK_VERBS]
    if pronoun in {"this", "these", "those"} and re.match(
        r"[^.?!\n]{0,80}:|[^.?!\n]{0,40}[\"“'«„`]", text[match.end() :]
    ):
        return True  # it points forward
    if ": " in before or ":\n" in before:
        return True  # it is a word of what is to be worked on
    if not words:
        return False
    has_name = re.search(r"(?<=[\w,)] )[A-ZŁŚŻ]\w+", before) is not None
    if pronoun in _POSSESSIVE:
        return has_name or len(words) >= 2 or (pronoun == "their" and _OWN_SUBJECT.search(before) is not None)
    return has_name or _CLAUSE_BREAK.search(before) is not None or re.search(r"[.!?]\s", before) is not None
