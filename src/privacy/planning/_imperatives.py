"""Instructions by their grammar: "Figure out how", "Word an apology", "Walk me through", whatever the verb.

Theory of operation. English opens a sentence with a bare word before an article, a possessive, "me" or "how"
for one reason: the word is a verb and the sentence tells somebody to do something. The exceptions are closed classes
(prepositions, conjunctions, past forms), which can be listed; verbs cannot.

Rules:

1. `is_instruction` holds on the sentence's own form. `could_be_instruction` asks for less, and counts only where the
   rest of a list says that instructions are given.
2. What a person does with the hands (`PROCEDURE`) is a step of something and no instruction to a model, unless
   something is to be done for "me".
3. A thing that is written ("a limerick about", "three facts on") is an instruction without its verb, in lists only.
"""

import re
from typing import Final

from privacy.planning._words import NO_VERBS, PROCEDURE

_PARTICLE: Final = "up|out|down|off|on|over|through|back|away|together|in|around|about|with|into|for|at|to|of"
_OBJECT: Final = (
    "a|an|the|my|our|your|his|her|their|this|that|these|those|some|any|every|another|me|us|him|them|it"
    "|how|what|why|which|whether|where|when|who|if"
)
_INSTRUCTION: Final = re.compile(
    rf"(?P<verb>[^\W\d_]+(?:-[^\W\d_]+)?)(?:\s+(?:{_PARTICLE})\b){{0,2}}\s+(?P<object>{_OBJECT})\b"
)  # objects in small letters: "class A" has none
_VERB: Final = re.compile(r"(?P<verb>[^\W\d_]+(?:-[^\W\d_]+)?)\s+\S")
_NO_BASE_FORM: Final = re.compile(r"(?:ing|[^e]ed|ly|tion|ness|ity|ous|ful|[^s]s)$")
_BASE_FORMS: Final = frozenset({"sing", "bring", "ring", "reply", "apply", "multiply", "supply", "embed", "focus"})
_WRITTEN: Final = re.compile(
    r"(?:(?:an?|some|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,2}|the|my|your)\s+)?(?:[\w'’-]+\s+){0,3}?"
    r"(?:poems?|haikus?|limericks?|sonnets?|stor(?:y|ies)|jokes?|riddles?|songs?|slogans?|names?|titles?|captions?"
    r"|letters?|e-?mails?|messages?|notes?|speech(?:es)?|toasts?|essays?|posts?|tweets?|scripts?|recipes?|lists?"
    r"|texts?|msgs?|mails?|dms?|subject\s+lines?|one-?liners?|lines?|regex(?:es)?|commands?|formulas?|signs?|blurbs?|rhymes?"
    r"|sentences?|paragraphs?|synonyms?|words?|excuses?|substitutes?|routines?|outlines?|drafts?|cards?|notices?|polls?"
    r"|ideas?|tips?|ways?|facts?|examples?|reasons?|suggestions?|explanations?|definitions?|summar(?:y|ies)"
    r"|overviews?|translations?|plans?|itinerar(?:y|ies)|schedules?|guides?|introductions?|comparisons?"
    r"|pitch(?:es)?|press\s+releases?|taglines?|mottos?|headlines?|descriptions?|bios?|blurbs?|invitations?"
    r"|announcements?|reviews?|dialogues?|monologues?|memos?|reports?|proposals?|flyers?|leaflets?|brochures?|agendas?"
    r"|adverts?|advertisements?|obituar(?:y|ies)|eulog(?:y|ies)|questionnaires?|quiz(?:zes)?|replies|reply)"
    r"\s+(?:about|for|on|of|to|from|with|that|how|why|what|who|which|in|asking|telling|saying|starting|beginning)\b",
    re.IGNORECASE,
)


def is_instruction(sentence: str) -> bool:
    """Whether a sentence without its openers ("please", "then") asks for something to be written or found out."""
    verb, thing = _verb_and_object(sentence)
    return bool(verb) and (verb not in PROCEDURE or thing in {"me", "us"})


def is_step(sentence: str) -> bool:
    """Whether a sentence tells somebody to do something by hand."""
    verb, thing = _verb_and_object(sentence)
    return verb in PROCEDURE and thing not in {"me", "us"}


def _verb_and_object(sentence: str) -> tuple[str, str]:
    match = _INSTRUCTION.match(sentence.lower() if sentence.isupper() else sentence)
    if match is None or not _is_base_form(match["verb"].casefold()):
        return "", ""
    return match["verb"].casefold(), match["object"]


def could_be_instruction(item: str) -> bool:
    """Whether an item may tell somebody to do something: it opens with what may be a verb, and goes on."""
    match = _VERB.match(item)
    return match is not None and _is_base_form(match["verb"].casefold()) and match["verb"].casefold() not in PROCEDURE


def is_written_thing(item: str) -> bool:
    """Whether an item names something that is written, and about what."""
    return _WRITTEN.match(item) is not None


def _is_base_form(word: str) -> bool:
    if word in NO_VERBS or len(word) < 3:
        return False
    return word in _BASE_FORMS or _NO_BASE_FORM.search(word) is None
