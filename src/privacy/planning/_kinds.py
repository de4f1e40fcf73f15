"""What a sentence or a list item is for, seen alone: a task, a remark on one, background, or courtesy.

Rules:

1. A question is a task; so is what opens with a verb that asks (`TASK_VERBS`), has the form of an instruction
   (`_imperatives`), or is wished for ("I need a", "my son asks why").
2. How a task is to be done is a remark: "keep it short", "answer in French", "give examples".
3. Everything else is background, which is never lost: it goes to a task.
4. A question counts by its order of words where it has no question mark ("is it ok to", "how to", "whats a"). A verb
   before a letter or a number and a colon is a name: "Plan A: 14 a month".
5. A sentence that says nothing but that several things are wanted is no task: what follows are the tasks.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from privacy.exposure import STOP_WORDS, content_words, word_set
from privacy.planning._imperatives import is_instruction, is_step
from privacy.planning._words import GENERIC, REMARK_VERBS, TASK_VERBS

Kind = Literal["task", "remark", "context", "lead", "material", "courtesy"]

OPENERS: Final = re.compile(
    r"^[\s*_\"'“(¿¡]*(?:(?:please|pls|plz|bitte|kindly|also|plus|and|then|next|finally|lastly|first(?:ly)?|second(?:ly)?|third(?:ly)?|now"
    r"|but|so|ok|okay|hi|hello|hey|additionally|after that|afterwards|oh|in addition|moreover|furthermore|just|briefly"
    r"|quickly|(?:can|could|would|will) (?:you|u)(?: (?:please|pls|plz))?|i(?:'d like| would like| want| need) you to"
    r"|you should|you must|i want to know|to start|last)\b[\s,:]*)+",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(r"^[*_]{0,3}[^\W\d_][\w &/'’-]{0,28}[*_]{0,3}:[*_]{0,3}[ \t]+(?=\S)")
"""What an item begins with to say what kind of task it is: "Recipe: ", "**E-mail:** "."""
_WISH: Final = re.compile(
    r"^(?:i(?:'d| would)?\s+(?:(?:also|really|just|only|then|still)\s+)*(?:like|want|need)|(?:need|want))\s+"
    r"(?:you to|to know|an?|some|your)\b"
    r"|^we(?:'d| would)?\s+(?:(?:also|really|just|only|then|still)\s+)*(?:like|want|need)\s+(?:you to|to know)\b"
    r"|^(?:please\s+)?let me know\s+(?!if\b|in\b|soon\b)\w"
    r"|^(?:my|our|his|her|the)\s+(?:[\w'’-]+\s+){1,3}?(?:also\s+)?(?:wants?|needs?|would like|asks?|wonders?)\s+"
    r"(?:to know|an?|some|why|how|what|who|where|when|which|whether|if|for)\b",
    re.IGNORECASE,
)
ASKING: Final = re.compile(r"^(?:(?:what|who|where|when|why|how)(?:['’]?s)?|whom|whose|which)\b", re.IGNORECASE)
_INVERTED: Final = re.compile(
    r"^(?:(?:what|who|where|when|why|how|which\s+[\w'’-]+|what\s+[\w'’-]+)"
    r"\s+(?:is|are|was|were|do|does|did|can|could|should|would|will|has)"
    r"|how\s+(?:many|much|long|far|old|often|tall|big|fast)|(?:what|who|where|how|when|why)['’]?s|how\s+to"
    r"|(?!(?:do|have) it\b)(?:is|are|was|were|do|does|did|can|could|should|would|will|has|have|may|must)"
    r"\s+(?:i|we|it|there|they|he|she)"
    r"|(?:is|are|was|were|does|did|has|will)\s+(?:the|an?|my|our|this|that|these|those))\s+\S+\s+\S"
    r"|^(?:was|wie|warum|wieso|wo|wann|wer|welche[rsn]?)\s+(?:ist|sind|war|bedeutet|heißt|kann|muss|soll|macht|kostet"
    r"|viele?|lange|oft|funktioniert)\s+\S"
    r"|^(?:c'est quoi|qu'est-ce|comment|pourquoi|quel(?:le)?s?|combien|où)\s+\S+\s+\S"
    r"|^(?:qué|que|cómo|como|cuál|cuánt[oa]s?|dónde|cuándo|por qué|quién)\s+(?:es|son|se|significa|hay|puedo|cuesta"
    r"|está|fue|era|tarda|debo|hago)\s+\S",
    re.IGNORECASE,
)
"""A question by its order of words, where the question mark was left out."""
_SAID_WHAT: Final = re.compile(
    r"^(?:say|tell (?:me|us)|show me)\s+(?:what|who|where|when|why|how|which|whether|if)\b\s+\S+\s+\S", re.IGNORECASE
)
_JOINED: Final = re.compile(
    r"^(?:(?:and|also|plus|then|finally|lastly|last|oh|(?:first|second|third)(?:ly)?)\b[\s,:]*)+", re.IGNORECASE
)
_FOREIGN_WISH: Final = re.compile(
    r"^(?:(?:kannst|könntest|können|könnten)\s+(?:du|sie)|ich\s+(?:brauche|bräuchte|hätte gerne?|möchte|suche)"
    r"|peux-tu|pouvez-vous|pourrais-tu|pourriez-vous|j'aurais besoin|j'ai besoin|je (?:voudrais|cherche)|il me faut"
    r"|(?:me )?(?:puedes|podrías|puede|podría)|necesito|quiero|quisiera)\s+(?:(?:auch|noch|aussi|también|bitte)\s+)*"
    r"(?:ein\w*|mir|uns|d'une?|une?|una?|de l[ae']|saber|savoir|wissen|m'\w+|me\b|\w+me\b|\w+r\b)"
    r"|^[^\W\d_]+e?\s+(?:(?:mir|uns)\s+(?:bitte\s+)?|bitte\s+)(?:ein\w*|d[aeiu]\w+|wie|was|warum|ob|kurz|noch)\b",
    re.IGNORECASE,
)
"""The same in German, French and Spanish: "Formuliere bitte eine", "Il me faut une", "Necesito una"."""
_NAMED: Final = re.compile(r"^[^\W\d_]+\s+(?:(?-i:[A-Z])|\d{1,2}|one|two|three)\s*(?::|\)|[-–]\s)\s*", re.IGNORECASE)
_EXAMPLES: Final = re.compile(
    r"^(?:give|provide|show|list|mention|cite)\s+(?:me\s+)?(?:(?:some|a few|an?|one|two|three|\d+|your|the)\s+)?"
    r"(?:short |brief |good )?(?:examples?|details?|reasons?|sources?|references?|explanations?)[.!]?$",
    re.IGNORECASE,
)
_ANSWERING: Final = re.compile(
    r"^(?:answer|respond|reply|write|explain|do (?:not|n't)|format|make)\s+(?:in|with|as|briefly|concisely|only|each"
    r"|every|all|everything|it|them|your answers?|using|like|at most|under|less|sure|the answers?)\b"
    r"|^make (?:people|readers|everyone|everybody|guests|the (?:reader|audience|guests)s?) \w+"
    r"|^(?:ask|apologi[sz]e|request)\s+(?:for|to|that|whether|if)\b"
    r"|^(?:explain|say|state|write|point out|tell \w+)\s+that\b"
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
_ANSWERING_ALL: Final = re.compile(
    r"^(?:answer|respond to|reply to|keep|do)\s+(?:all|each|every|both|these|those|them|the questions|everything)\b",
    re.IGNORECASE,
)
_COURTESY: Final = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|dear)(?:\s+[\w.-]+){0,2}[\s,.!]*$"
    r"|^\W*(?:thanks|thank you|cheers|many thanks|thx)\b[^.?!]{0,40}[.!]*$|^\W*please[.!]*$"
    r"|^\W*(?:(?:hi|hello|hey)\b[\s,!]*)?i hope (?:you|this|all is)\b[^?\n]{0,60}[.!]*$",
    re.IGNORECASE,
)
_ACKNOWLEDGED: Final = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|perfect|great|cool|awesome|brilliant|lovely|got it|thanks?|thank you|thx|cheers|super|danke"
    r"|merci|gracias|hallo|hola|buenas|bonjour|guten (?:tag|morgen|abend))\b[\s,!.]*){1,4}$",
    re.IGNORECASE,
)
_REQUEST_FOR_HELP: Final = re.compile(
    r"\b(?:help|assist|questions?|things|tasks|jobs|requests?|favou?rs?|can (?:you|u)|could (?:you|u)|please|pls|plz"
    r"|hilfe|fragen|sachen|dinge|helfen|aide|choses|ayuda|cosas|preguntas)\b|\b(?:need|want)[^.?!:]{0,30}:$",
    re.IGNORECASE,
)
_COUNT: Final = (
    r"(?:(?:an?\s+)?(?:couple|few|handful|bunch)(?:\s+of)?|some|several|various|multiple|two|three|four|five|six|seven"
    r"|eight|[2-9]|1\d|ein\s+paar|mehrere|einige|zwei|drei|vier|quelques|plusieurs|deux|trois|quatre|varias|algunas"
    r"|unas|dos|tres|cuatro)"
)
_ANNOUNCING: Final = re.compile(
    rf"^to-?dos?\s+for\s+(?:you|u)\b|(?:^|\b(?:have|got|need|want|there(?:['’]s|\s+are)|(?:help|do|with|answer)(?:\s+me\s+with)?|asked\s+me\s+for"
    rf"|here\s+are|necesito|tengo|habe|brauche|bräuchte|besoin\s+de|ai)\s+)(?:my\s+|these\s+|for\s+you\s+)?{_COUNT}\s+"
    r"(?:[\w'’-]+\s+){0,2}?(?:(?:things|jobs|tasks|asks|ones|bits|favou?rs|errands|to-?dos)\b(?!\s+(?:that|which|I|we|he|she"
    r"|they|to|about|in|of|at)\b(?!\s+(?:need|want|you|do)\b))"
    r"|(?:questions|requests|one-?liners|queries|cosas|preguntas|favores|sachen|dinge|fragen|bitten|choses|services"
    r"|texts|messages|e-?mails|notes|captions|letters|replies|posts|signs|announcements|drafts|blurbs)\b)",
    re.IGNORECASE,
)
_MESSAGE_TO_ANSWER: Final = re.compile(r"^(?:reply|respond)\s+to\s+\S", re.IGNORECASE)


_SEVERAL_TO_WRITE: Final = re.compile(
    rf"(?:write|draft|compose|prepare)\s+(?:me\s+|us\s+)?{_COUNT}\s+(?:[\w'’-]+\s+)?(?:texts|messages|e-?mails|notes"
    r"|captions|letters|replies|posts|cards|invitations|reminders)(?:\s+for\s+(?:me|us|my\s+\w+|our\s+\w+))?\s*[.:]?$",
    re.IGNORECASE,
)
_ABOUT_SOMEBODY: Final = re.compile(r"\babout\s+(?:him|her|me|us|it|them|you|myself|this|that)\b", re.IGNORECASE)
_ON_TEXT: Final = re.compile(
    r"^\w+\s+(?:down\s+|up\s+)?(?:this|the following|my|our|these)\s+(?:[\w'’-]+\s+){0,2}?(?:text|blurb|caption"
    r"|sentences?|paragraphs?|message|e-?mail|letter|post|bio|essay|abstract|headline|title|notes?|speech|poem|article|summary"
    r"|description|words?)\b",
    re.IGNORECASE,
)
"""What hands do as well, done to a text: "cut this blurb to one sentence"."""


def first_word(text: str) -> str:
    word = re.match(r"[\w'’-]+", OPENERS.sub("", text).lstrip("*_\"'“( "))
    return word.group().replace("’", "'").casefold() if word else ""


def has_subject(instruction: str) -> bool:
    """Whether there is something to explain or write about, besides how: "in two sentences why the sky is blue"."""
    rest = _MANNER.sub(" ", instruction)
    if re.search(r"\b(?:what|why|how|who|where|when|which|whether)\s+\w+", rest, re.IGNORECASE):
        return True
    verb, *objects = re.findall(r"[\w'’-]+", rest.casefold()) or [""]
    return verb in {"explain", "write"} and len(set(objects) - STOP_WORDS - GENERIC - _REMARK_OBJECTS) > 1


def kind_of(text: str, *, titles: int = 2) -> Kind:
    """The kind of a sentence, seen alone, behind at most so many titles."""
    bare = OPENERS.sub("", text).strip("*_ ")
    if _COURTESY.match(text) or _ACKNOWLEDGED.match(text) or is_plea(text):
        return "courtesy"
    is_question = re.search(r"[?？][\"'”’»)*_]*$", text) is not None
    if _ANSWERING_ALL.match(bare) and not (is_question and first_word(bare) == "do"):
        return "remark"
    if is_question:
        return "task"
    if _EXAMPLES.match(bare) or (_ANSWERING.match(bare) and not has_subject(bare)):
        return "remark"
    if _INVERTED.match(bare) or _SAID_WHAT.match(bare):
        return "task"
    verb = first_word(text)
    if _MESSAGE_TO_ANSWER.match(bare) and not _ANSWERING.match(bare):
        return "task"
    named = _NAMED.match(bare)
    if named is not None:
        return kind_of(bare[named.end() :], titles=titles - 1) if titles and named.end() < len(bare) else "context"
    if verb in REMARK_VERBS or re.match(r"make (?:sure|it|them|each|every)\b", bare, re.IGNORECASE):
        return "remark"
    if verb not in TASK_VERBS and is_step(bare):
        return "task" if _ON_TEXT.match(bare) else "remark"
    if re.match(r"(?!I\b)[\w'’-]+ (?:is|was|are|were|has|have|had|will|would|can|could)\b", bare):
        return "context"  # "Work has been hard.": a noun that is also a verb
    if verb in TASK_VERBS or is_instruction(bare) or is_wish(text):
        return "task"
    title = _TITLE.match(text) if titles else None
    rest = text[title.end() :] if title is not None else ""
    return kind_of(rest, titles=titles - 1) if rest else "context"


def is_wish(text: str) -> bool:
    """Whether somebody says that something is wanted: "I also need to know whether"."""
    said = _JOINED.sub("", text.strip("*_ ¿¡")).replace("’", "'")
    return _WISH.match(said) is not None or _FOREIGN_WISH.match(said) is not None


def is_question(text: str) -> bool:
    """Whether `text` opens as a question does, by its order of words."""
    return _INVERTED.match(OPENERS.sub("", text)) is not None


def announces_tasks(text: str) -> bool:
    """Whether `text` says that several things are wanted: "a couple of things before I leave:"."""
    if is_plea(text):
        return True
    bare = OPENERS.sub("", text)
    if _SEVERAL_TO_WRITE.match(bare):
        return True
    own = first_word(text) in TASK_VERBS and not re.match(r"(?:help|do|answer|look)\b", bare, re.IGNORECASE)
    return not own and _ANNOUNCING.search(bare[:300]) is not None


def kind_of_item(text: str, spans: Sequence[tuple[int, int]]) -> Kind:
    """The kind of a list's item with these sentences: one task among them makes it a task."""
    if not spans:
        return "context"
    kinds = [kind_of(text[start:end]) for start, end in spans]
    if "task" in kinds or (ASKING.match(OPENERS.sub("", text[spans[0][0] :])) and len(text.split()) > 2):
        return "task"
    return "remark" if "remark" in kinds else "context"


def is_generic(text: str) -> bool:
    """Whether `text` says nothing but that something is asked: "Two quick questions:"."""
    return not set(content_words(text)) - GENERIC


def is_plea(text: str) -> bool:
    """Whether `text` asks for help and does not say with what: what follows says it."""
    says_of_whom = _ABOUT_SOMEBODY.search(text) is not None
    return not says_of_whom and _REQUEST_FOR_HELP.search(text) is not None and is_generic(text)
