"""Names of people, places and organisations: a statistical recogniser under rules of shape, and cues of context.

Theory of operation. The packaged English model was trained on edited prose. On prompts it takes headings, code,
model names and verbs for names, and overlooks names after a greeting. So what it says is a proposal: a proposal is
trimmed (titles, possessives, field names), then vetoed by shape (`Shapes`), and cues ("my name is", "Dear", "Dr.")
add the names it missed. Cues need no model and are tried first.

Rules:

1. spaCy is imported by `load_model` and nowhere else: importing this module costs nothing.
2. Nothing of a text stays in the model: each text is read in a memory zone, whose strings are dropped at its end.
3. One lock a model: `read` may be called from any thread.

Source: design section 6, step 2; spaCy 3.8, `Language.memory_zone`.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from privacy.mention import Mention

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["NameRecogniser", "Shapes", "cue_names", "cue_organizations", "load_model", "load_shapes", "opens_sentence"]

_LABELS: Final[Mapping[str, str]] = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "DATE": "DATE_TIME",
}
_UNUSED_PIPES: Final = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
"""The entity recogniser listens to `tok2vec` alone."""


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


MODEL_SCORE: Final = 0.8
CUE_SCORE: Final = 0.9

TITLES: Final = _words(
    "mr mrs ms miss mx dr prof professor sir madam dame lord lady judge justice rev reverend father sister "
    "captain capt sgt lt col gen sen rep president herr frau hr fr mme m mlle monsieur madame mademoiselle "
    "señor señora sr sra don doña signor signora dottore dott pan pani doctor nurse rn officer detective"
)
_OPENERS: Final = _words(
    "dear hi hello hey thanks thank cheers regards sincerely best kind warm yours ciao hola bonjour hallo "
    "from to cc bcc re fwd name patient client customer contact attn the a an my our your his her their this "
    "that and or with for by of at in on is was be call email mail tell ask ps p.s i'm im i"
)
_SALUTATIONS: Final = frozenset({"dear", "hi", "hello", "hey", "regards"})
PARTICLES: Final = _words(
    "de da do dos das del della di du la le van von der den ter ten zu zur bin ibn al el ben y e i af av 't"
)
_SUFFIXES: Final = _words("jr sr ii iii iv phd md esq")
_AMBIGUOUS_NAMES: Final = _words(
    "mark will rose grace hope faith joy may june april bill jack frank grant dean dawn ray art rich drew "
    "chase pat sue gene victor summer autumn ivy lily daisy amber ruby jade iris violet olive hazel heather "
    "holly eve carol penny king rob nick sandy jean max lance chuck wade reid brook angel christian jordan "
    "georgia austin harmony melody robin martin harry dick peter john jimmy jerry terry dale glen cliff rusty "
    "destiny brown green white smith"
)
"""Names that are words, too: alone they count only where the context says so."""
_COMPANY_FORMS: Final = _words(
    "inc incorporated ltd limited llc llp plc corp corporation co company gmbh ag kg se sa sas sarl srl spa "
    "bv nv ab as oy oyj aps pty group holdings industries enterprises technologies systems solutions partners "
    "associates bank university college school institute hospital clinic center centre foundation society "
    "association agency ministry department laboratories labs consulting studios media airlines motors pharma "
    "pharmaceuticals insurance orchestra council committee union museum church academy robotics logistics "
    "analytics"
)
_COMPANY_FORM_ALONE: Final = _words("as co se spa ab media school department center centre union")
_ABSOLUTE_DATE: Final = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.{0,12}\d|\d.{0,12}\b(?:jan|feb|mar|apr|"
    r"may|jun|jul|"
    r"aug|sep|oct|nov|dec)[a-z]*\b|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}",
    re.IGNORECASE,
)
_CODE_MARKS: Final = frozenset('`_{}[]()<>=+*/\\|#$%^~@:;"0123456789•→…')
_ORGANIZATION_MARKS: Final = frozenset('`_{}[]<>=*\\|$%^~@;"•→…')
_EDGE_MARKS: Final = " \t\n.,;:!?\"'’‘“”()[]{}<>*_`#-–—|/>"
_POSSESSIVE: Final = re.compile(r"['’][sS]?$")
_WORD: Final = re.compile(r"[^\W_](?:[\w]|['’.\-](?=\w))*\.?")
_EMPLOYED: Final = _words("at for with by from joined join of employer company client vendor")


@cache
def load_shapes() -> "Shapes":
    """The vetoes over the packaged word lists; read once a process."""
    return Shapes(common=_word_list("common_words.txt"), not_names=_word_list("not_names.txt"))


def _word_list(name: str) -> frozenset[str]:
    text = resources.files("privacy").joinpath("data", name).read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def is_capital(word: str) -> bool:
    """Whether `word` is written as a name: with a capital, or in a script that has none."""
    return word[:1].isalpha() and not word[:1].islower()


@frozen
class Shapes:
    """What a name can look like."""

    common: frozenset[str]
    """Words that are no name on their own, folded."""
    not_names: frozenset[str]
    """Terms that are not names at all, folded."""

    def is_common(self, word: str) -> bool:
        """Whether `word`, in any case, is an ordinary word or a term."""
        folded = word.rstrip(".").casefold()
        folded = _POSSESSIVE.sub("", folded)
        return folded in self.common or folded in self.not_names or folded in _OPENERS

    def is_word(self, word: str) -> bool:
        """Whether `word` has a meaning beside being a name, as "Will" and "Rose" have."""
        return self.is_common(word) or word.casefold() in _AMBIGUOUS_NAMES

    def is_person(self, words: list[str], *, opens_sentence: bool) -> bool:
        """Whether trimmed `words` can be a person's name."""
        solid = [
            word for word in words if word.casefold() not in PARTICLES and word.rstrip(".").casefold() not in _SUFFIXES
        ]
        if not solid or len(words) > 6 or not all(is_capital(word) for word in solid):
            return False
        rare = [word for word in solid if not self.is_common(word)]
        if len(solid) == 1:
            word = solid[0]
            if not rare or len(word.rstrip(".")) < 2 or (word.isascii() and word.isupper() and len(word) <= 3):
                return False
            return not (opens_sentence and word.casefold() in _AMBIGUOUS_NAMES)
        return any(len(word.rstrip(".")) > 1 for word in rare)

    def is_location(self, words: list[str]) -> bool:
        """Whether `words` can be a place's name."""
        return any(is_capital(word) and not self.is_common(word) for word in words)

    def is_organization(self, words: list[str], before: str) -> bool:
        """Whether `words`, with the word `before` them, can be an organisation's name."""
        named = [word for word in words if is_capital(word) and not self.is_common(word)]
        forms = {word.rstrip(".").casefold() for word in words[1:]} & _COMPANY_FORMS
        if len(words) > 1 and forms - _COMPANY_FORM_ALONE:
            return any(is_capital(word) for word in words)
        if not named:
            return False
        if len(words) == 1:
            acronym = words[0].isupper() and len(words[0]) <= 5
            return not acronym or before in _EMPLOYED
        return True


@frozen
class NameRecogniser:
    """The model's proposals, trimmed and vetoed."""

    model: "Language"
    shapes: Shapes
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False, eq=False)

    def find(self, text: str) -> Iterator[Mention]:
        """Mentions of people, places, organisations and absolute dates, by start; threads may call it together."""
        for start, end, entity in self._read(text):
            for low, high in _lines(text, start, end):
                mention = self._accept(text, low, high, _LABELS[entity])
                if mention is not None:
                    yield mention

    def _read(self, text: str) -> list[tuple[int, int, str]]:
        with self._lock, self.model.memory_zone():
            entities = self.model(text).ents
            return [(item.start_char, item.end_char, item.label_) for item in entities if item.label_ in _LABELS]

    def _accept(self, text: str, start: int, end: int, label: str) -> Mention | None:
        if label == "DATE_TIME":
            found = _ABSOLUTE_DATE.search(text, start, end)
            return Mention(start, end, label, MODEL_SCORE, "spacy") if found else None
        opener = _WORD.search(text, start, end)
        if opener and opener.group().rstrip(".").casefold() in (TITLES | _SALUTATIONS) and opener.end() < end:
            label = "PERSON"
        start, end = self._trim(text, start, end, keep_openers=label != "PERSON")
        if start >= end:
            return None
        shown = text[start:end]
        marks = _ORGANIZATION_MARKS if label == "ORGANIZATION" else _CODE_MARKS
        # Code, e-mail addresses and Markdown run into the proposal from either side.
        if not marks.isdisjoint(shown) or _stands_in_code(text, start, end):
            return None
        words = [match.group() for match in _WORD.finditer(shown)]
        if shown.casefold() in self.shapes.not_names or not self._has_shape(text, start, words, label):
            return None
        return Mention(start, end, label, MODEL_SCORE, "spacy")

    def _has_shape(self, text: str, start: int, words: list[str], label: str) -> bool:
        if label == "PERSON":
            return self.shapes.is_person(words, opens_sentence=opens_sentence(text, start))
        if label == "LOCATION":
            return self.shapes.is_location(words)
        before = _WORD.findall(text[max(0, start - 24) : start])
        return self.shapes.is_organization(words, before[-1].casefold() if before else "")

    def _trim(self, text: str, start: int, end: int, *, keep_openers: bool) -> tuple[int, int]:
        """The span without edge marks, possessive, titles and words that open or follow a name."""
        words = [(start + match.start(), start + match.end()) for match in _WORD.finditer(text[start:end])]
        while words and self._is_lead(text[slice(*words[0])], keep_openers=keep_openers):
            del words[0]
        while len(words) > 1 and not keep_openers and self.shapes.is_common(text[slice(*words[-1])]):
            del words[-1]
        if not words:
            return start, start
        low, high = words[0][0], words[-1][1]
        # A stop belongs to an initial or an abbreviation; at a name's end it is the sentence's.
        if text[high - 1] == "." and (high - words[-1][0] > 3 or keep_openers is False):
            high -= 1
        if possessive := _POSSESSIVE.search(text[low:high]):
            high = low + possessive.start()
        return low, high

    def _is_lead(self, word: str, *, keep_openers: bool) -> bool:
        folded = word.rstrip(".").casefold()
        return folded in _OPENERS if keep_openers else folded in TITLES or folded in _OPENERS or self._is_label(word)

    def _is_label(self, word: str) -> bool:
        return self.shapes.is_common(word) and word.casefold() not in _AMBIGUOUS_NAMES


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    low = start
    for piece in text[start:end].split("\n"):
        if piece.strip():
            yield low, low + len(piece)
        low += len(piece) + 1


def opens_sentence(text: str, start: int) -> bool:
    """Whether the word at `start` is the first of a sentence, a line or a quotation."""
    before = text[:start].rstrip(" \t\"'“‘(*#->")
    return not before or before[-1] in ".!?:\n•"


def _stands_in_code(text: str, start: int, end: int) -> bool:
    """Whether the marks around the span make it a part of an identifier, a path, a call or a handle."""
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    return (
        before in {"`", "_", "/", "\\", "@", "#", "$", "."} or after[:1] in {"`", "_", "\\", "@", "="} or after == "()"
    )


_NAME: Final = r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*"
_FULL_NAME: Final = rf"(?P<name>(?:[^\W\d_]\.[ \t]?){{0,3}}{_NAME}(?:[ \t]+(?:[^\W\d_]\.|{_NAME})){{0,4}})"
_GREETINGS: Final = "dear|hi|hello|hey|hallo|hola|bonjour|lieber?|cher|chère|estimad[oa]|sehr geehrter?"
_CLOSINGS: Final = (
    "(?:(?:best|kind|warm|many)?[ \\t]*regards|best wishes|sincerely(?: yours)?|yours truly|yours faithfully|cheers|"
    "many thanks|thanks|thank you|best|love)"
)
_KIN: Final = (
    "sister|brother|husband|wife|mother|father|mom|mum|dad|son|daughter|kid|uncle|aunt|cousin|nephew|"
    "niece|grandmother|"
    "grandfather|boyfriend|girlfriend|partner|friend|boss|colleague|coworker|neighbou?r|landlord|teacher|roommate|"
    "therapist|lawyer|accountant|manager"
)
_SPOKEN_TITLES: Final = (
    "mr|mrs|ms|miss|mx|dr|prof|professor|herrn?|frau|mme|mlle|monsieur|madame|señora?|signora?|sra?|pani?|judge|sir|"
    "nurse|rn|doctor"
)
_FIELDS: Final = (
    "(?:(?:full |first |last |patient |customer |client |employee |contact )?name|patient|pt|attn|customer|client|"
    "provider|from|to|re|cc|author|physician|cardholder)"
)


@frozen
class _Cue:
    """Words that introduce a person; `least_words` the name must have; whether it may be written small."""

    expression: re.Pattern[str]
    least_words: int = 1
    may_be_small: bool = False


_CUES: Final = (
    _Cue(
        re.compile(rf"(?i:\bmy (?:full |last |first |sur)?name(?: is|['’]s)|\bmy name:)[ \t]+{_FULL_NAME}"),
        may_be_small=True,
    ),
    _Cue(re.compile(rf"(?i:\bi['’]?m|\bi am|\bthis is|\bit['’]s)[ \t]+{_FULL_NAME}"), least_words=2),
    _Cue(re.compile(rf"(?i:\bcall me|\bsigned(?: by)?|\bnamed|\bname[ds]? (?:is|was)|\bcalled)[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:(?:^|\n)[ \t>*]*(?:{_GREETINGS}))[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:\b{_CLOSINGS}),?[ \t]*\n+[ \t]*[-–—]?[ \t]*{_FULL_NAME}[ \t]*(?=\n|$|,)")),
    _Cue(re.compile(rf"(?:\b(?i:my|our|your|his|her|their)|['’]s) (?:\w+ )?(?i:{_KIN}),?[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:\b(?:{_SPOKEN_TITLES}))\b\.?[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?:^|[\n({{|,;\"'<])[ \t>*-]*(?i:{_FIELDS})[\"']?[ \t]*[:=][ \t]*[\"']?{_FULL_NAME}")),
)
_COMPANY_WORD: Final = r"[^\W\d_a-zà-öø-ÿ][\w'’&.-]*"
_COMPANY: Final = re.compile(
    rf"(?<!\w)(?:{_COMPANY_WORD}(?:,|[ \t]&|[ \t]and)?[ \t]){{1,4}}"
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|LLP|PLC|plc|Corp|Corporation|GmbH|AG|KG|S\.A\.|SAS|BV|B\.V\.|Oy|"
    r"Pty|Sp\. z o\.o)"
    r"(?!\w)"
)
_EMPLOYER: Final = re.compile(
    r"(?i:\b(?:work(?:s|ed|ing)? (?:at|for)|employed (?:at|by)|my employer,?|job at|hired by|employer:|"
    r"company:))[ \t]+"
    rf"(?P<name>{_COMPANY_WORD}(?:[ \t](?:&[ \t])?{_COMPANY_WORD}){{0,3}})"
)


def cue_organizations(text: str, shapes: Shapes) -> Iterator[Mention]:
    """Companies by their legal form, and employers by the words before them; not sorted."""
    for match in _COMPANY.finditer(text):
        start = match.start()
        # A sentence's first word is capital for another reason ("Ask Acme Ltd").
        for word in _WORD.finditer(text, match.start(), match.end()):
            if not shapes.is_common(word.group()) or word.group().casefold() in _COMPANY_FORMS:
                break
            following = _WORD.search(text, word.end(), match.end())
            start = following.start() if following else match.end()
        if _WORD.search(text, start, match.end()) and len(_WORD.findall(text[start : match.end()])) > 1:
            yield Mention(start, match.end(), "ORGANIZATION", CUE_SCORE, "pattern:cue")
    for match in _EMPLOYER.finditer(text):
        words = list(_WORD.finditer(text, match.start("name"), match.end("name")))
        if words and any(not shapes.is_common(word.group()) for word in words):
            end = match.end("name") - (text[match.end("name") - 1] in ".'’-&")
            yield Mention(match.start("name"), end, "ORGANIZATION", CUE_SCORE, "pattern:cue")


def cue_names(text: str, shapes: Shapes) -> Iterator[Mention]:
    """People whom the words before them introduce, greet, sign or title; not sorted."""
    for cue in _CUES:
        position = 0
        while match := cue.expression.search(text, position):
            end = _name_end(match, shapes, cue.least_words, may_be_small=cue.may_be_small)
            # The expression runs on over words that are no name, among which the next cue may stand.
            position = max(end, match.start("name"))
            if end:
                yield Mention(_name_start(match, shapes), end, "PERSON", CUE_SCORE, "pattern:cue")


def _name_start(match: re.Match[str], shapes: Shapes) -> int:
    """Past a title that stands in the name's place ("Dear Dr. Lee")."""
    start = match.start("name")
    first = _WORD.match(match.string, start)
    while first is not None and first.group().rstrip(".").casefold() in TITLES and first.end() < match.end("name"):
        following = _WORD.search(match.string, first.end())
        if following is None:
            break
        first, start = following, following.start()
    return start


def _name_end(match: re.Match[str], shapes: Shapes, least_words: int, *, may_be_small: bool) -> int:
    """Where the name stops, or 0: at the first word that cannot be a part of one."""
    start, end, count = _name_start(match, shapes), 0, 0
    for word in _WORD.finditer(match.string, start, match.end("name")):
        shown = word.group()
        bare = _POSSESSIVE.sub("", shown)
        if shown.casefold() in PARTICLES and count:
            continue
        small = may_be_small and not count and bare.islower() and len(bare) > 2
        ordinary = shapes.is_common(bare) and (not count or bare.islower() or bare.casefold() in shapes.not_names)
        if ordinary or not (is_capital(bare) or small):
            break
        count += 1
        initial = len(shown) == 2 and shown.endswith(".")
        end = word.start() + len(bare) if not shown.endswith(".") or initial else word.end() - 1
        if bare != shown or (shown.endswith(".") and not initial):
            break
    return end if count >= least_words else 0


def load_model(name: str) -> "Language":
    """The spaCy pipeline `name` with its entity recogniser alone; raises `OSError` where it is not installed."""
    import spacy

    return spacy.load(name, exclude=list(_UNUSED_PIPES))
