"""Cues of context: words that introduce a person or a company, and need no model ("my name is", "Dear", "Dr.").

Rules:

1. A cue says where a name begins; it ends at the first word that cannot be a part of one (`Shapes`).
2. A name is capital, but behind a few strong cues ("my name is", "my boss"), where people also write it small.
3. Verbs of speech and contact ("ask", "remind") are a weak cue: a name known otherwise corrects their label.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy._shapes import (
    COMPANY_FORMS,
    PARTICLES,
    POSSESSIVE,
    TITLES,
    WORD,
    WORD_SURNAMES,
    Shapes,
    is_capital,
)
from privacy.exposure import word_set
from privacy.mention import Mention

CUE_SCORE: Final = 0.9
_PLACED_SCORE: Final = 0.6

ADDRESSED: Final = "pattern:addressed"
"""The source of a name that only a verb before it shows: mostly a person's ("ask Lena"), at times a company's."""

_NAME: Final = r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*"
_CAPITAL_NAME: Final = r"[^\W\d_a-zà-öø-ÿ](?:[^\W\d_]|['’-](?=[^\W\d_])){1,30}"
_FULL_NAME: Final = rf"(?P<name>(?:[^\W\d_]\.[ \t]?){{0,3}}{_NAME}(?:[ \t]+(?:[^\W\d_]\.|{_NAME})){{0,4}})"
_GREETINGS: Final = "dear|hi|hello|hey|hallo|hola|bonjour|lieber?|cher|chère|estimad[oa]|sehr geehrter?"
_CLOSINGS: Final = (
    "(?:(?:best|kind|warm|many)?[ \\t]*regards|best wishes|sincerely(?: yours)?|yours truly|yours faithfully|cheers|"
    "many thanks|thanks|thank you|best|love)"
)
_KIN: Final = (
    "sister|brother|husband|wife|mother|father|mom|mum|dad|son|daughter|kid|uncle|aunt|cousin|nephew|"
    "niece|grandmother|grandma|grandpa|granny|"
    "grandfather|boyfriend|girlfriend|partner|friend|boss|colleague|coworker|neighbou?r|landlord|teacher|roommate|"
    "therapist|lawyer|accountant|manager"
)
_TITLE_WORDS: Final = word_set("mr mrs ms mx dr prof herr herrn frau mme mlle sra pani")
_ADDRESSING: Final = (
    "let|tell|ask|remind|congratulate|thank|invite|email|e-mail|message|text|nudge|greet|welcome|console|persuade|convince|"
    "inform|notify|introduce|apologi[sz]e to|reply to|respond to|write to|invoice|warn|compliment|"
    "cheer up|cheer on|pester|interview|reassure|comfort|scold|brief|contact|phone"
)
_INFLECTED: Final = re.compile(r"(?:s|ed|ing|ly)$")
_SHORT_TITLES: Final = "mr|mrs|ms|mx|dr|prof|mme|mlle|sra?|rn"
_TITLES_IN_FULL: Final = "miss|professor|herrn?|frau|monsieur|madame|señora?|signora?|pani?|judge|sir|nurse|doctor"
"""Behind these a full stop ends the sentence."""
_FIELDS: Final = (
    "(?:(?:full |first |last |patient |customer |client |employee |contact )?name|patient|pt|attn|customer|client|"
    "provider|from|to|re|cc|author|physician|cardholder)"
)


@frozen
class _Cue:
    """Words that introduce a person; `least_words` the name must have; how many of its words may be written small."""

    expression: re.Pattern[str]
    least_words: int = 1
    small_words: int = 0
    source: str = "pattern:cue"


_CUES: Final = (
    _Cue(
        re.compile(rf"(?i:\bmy (?:full |last |first |sur)?name(?: is|['’]s)|\bmy name:)[ \t]+{_FULL_NAME}"),
        small_words=1,
    ),
    _Cue(re.compile(rf"(?i:\bi['’]?m|\bi am|\bthis is|\bit['’]s)[ \t]+{_FULL_NAME}"), least_words=2),
    _Cue(re.compile(rf"(?i:\bcall me|\bsigned(?: by)?|\bnamed|\bname[ds]? (?:is|was)|\bcalled)[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:(?:^|\n)[ \t>*]*(?:{_GREETINGS}))[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:\b{_CLOSINGS}),?[ \t]*\n+[ \t]*[-–—]?[ \t]*{_FULL_NAME}[ \t]*(?=\n|$|,)")),
    _Cue(
        re.compile(rf"(?:\b(?i:my|our|your|his|her|their)|['’]s) (?:\w+ )?(?i:{_KIN}),?[ \t]+{_FULL_NAME}"),
        small_words=2,
    ),
    _Cue(
        re.compile(
            rf"(?<![\w@.])(?P<name>{_CAPITAL_NAME}"
            rf"(?:[ \t]+(?:{_CAPITAL_NAME}|de|da|van|von|der|den|la|el|bin)){{1,4}})"
            r"[ \t]?[,:;(<–-]?[ \t]?(?=[\w.+-]{1,64}@[\w-]|\+\d|\(?0\d[\d ]{5})"
        ),
        least_words=2,
        source=ADDRESSED,
    ),
    _Cue(re.compile(rf"(?i:\b(?:{_ADDRESSING}))[ \t]+{_FULL_NAME}"), source=ADDRESSED),
    _Cue(
        re.compile(rf"[\"”’,][ \t]+(?:says|said|adds|added|asks|asked|replies|replied)[ \t]+{_FULL_NAME}"),
        source=ADDRESSED,
    ),
    _Cue(re.compile(rf"(?i:\b(?:sur)?name\?)[\"”’]?\s+(?:[^\W\d_]+:[ \t]*)?[\"“‘]?{_FULL_NAME}")),
    _Cue(re.compile(rf"(?i:\b(?:uncle|aunt|auntie|grandma|grandpa|granny|nana))[ \t]+{_FULL_NAME}"), small_words=1),
    _Cue(re.compile(rf"(?i:\b(?:(?:{_SHORT_TITLES})\b\.?|(?:{_TITLES_IN_FULL})))[ \t]+{_FULL_NAME}")),
    _Cue(re.compile(rf"(?:^|[\n({{|,;\"'<])[ \t>*-]*(?i:{_FIELDS})[\"']?[ \t]*[:=][ \t]*[\"']?{_FULL_NAME}")),
)
_COMPANY_WORD: Final = r"[^\W\d_a-zà-öø-ÿ][\w'’&.-]{0,60}"  # bounded: A-1-A-1- and so on begins one at every letter
_COMPANY: Final = re.compile(
    rf"(?<!\w)(?:\d{{1,3}}[ \t])?(?:{_COMPANY_WORD}(?:,|[ \t]&|[ \t]and)?[ \t]){{1,4}}"
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|LLP|PLC|plc|Corp|Corporation|GmbH|AG|KG|S\.A\.|SAS|BV|B\.V\.|Oy|"
    r"Pty|Sp\. z o\.o)"
    r"(?!\w)"
)
_EMPLOYER: Final = re.compile(
    r"(?i:\b(?:work(?:s|ed|ing)? (?:at|for)|employed (?:at|by)|my employer,?|job at|hired by|employer:|"
    r"company:))[ \t]+"
    rf"(?P<name>{_COMPANY_WORD}(?:[ \t](?:&[ \t])?{_COMPANY_WORD}){{0,3}})"
)


_PHRASE: Final = rf"(?P<name>{_COMPANY_WORD}(?:[ \t](?:&[ \t]|of[ \t]|and[ \t])?{_COMPANY_WORD}){{0,4}})"
_PLACED: Final = (
    re.compile(
        r"(?i:\b(?:employer|company|organi[sz]ation|provider|facility|hospital|clinic|insurer|institution|agency|school|"
        rf"university)(?:[ _]?name)?[\"']?[ \t]*[:=][ \t]*[\"']?){_PHRASE}[ \t]*(?=[\"'\n;|<(]|$|[,.](?:\s|$))"
    ),
    re.compile(rf"\b(?:Dr|Prof)\.?(?:[ \t][^\W\d_a-z][\w.'’-]{{0,30}}){{1,3}},[ \t]{_PHRASE}[ \t]*(?=\n|$)"),
    re.compile(
        r"(?i:\b(?:engineer|manager|director|officer|analyst|consultant|advis[oe]r|teacher|nurse|developer|designer|"
        r"assistant|accountant|administrator|coordinator|president|intern|lecturer|technician|scientist|architect|"
        rf"CEO|CTO|CFO|COO))[ \t]+(?:at|@|[-–—])[ \t]+{_PHRASE}[ \t]*(?=\n|$|[,.(;](?:\s|\d|$))"
    ),
)
"""Where a name of an organisation stands, though its words may be ordinary ones: fields of forms, letterheads, CVs."""


def cue_organizations(text: str, shapes: Shapes) -> Iterator[Mention]:
    """Companies by their legal form, and employers by the words before them; not sorted."""
    for match in _COMPANY.finditer(text):
        start = match.start()
        # A sentence's first word is capital for another reason ("Ask Acme Ltd").
        for word in WORD.finditer(text, match.start(), match.end()):
            if not shapes.is_common(word.group()) or word.group().casefold() in COMPANY_FORMS:
                break
            following = WORD.search(text, word.end(), match.end())
            start = following.start() if following else match.end()
        if WORD.search(text, start, match.end()) and len(WORD.findall(text[start : match.end()])) > 1:
            yield Mention(start, match.end(), "ORGANIZATION", CUE_SCORE, "pattern:cue")
    for match in _EMPLOYER.finditer(text):
        words = list(WORD.finditer(text, match.start("name"), match.end("name")))
        if words and any(not shapes.is_common(word.group()) for word in words):
            end = match.end("name") - (text[match.end("name") - 1] in ".'’-&")
            yield Mention(match.start("name"), end, "ORGANIZATION", CUE_SCORE, "pattern:cue")
    for expression in _PLACED:
        for match in expression.finditer(text):
            shown: list[str] = WORD.findall(match["name"])
            if not shown or shown[0].rstrip(".").casefold() in TITLES:
                continue
            if len(shown) > 1 or not shapes.is_common(shown[0]):
                end = match.end("name") - (match["name"][-1] in ".'’-&")
                yield Mention(match.start("name"), end, "ORGANIZATION", _PLACED_SCORE, "pattern:cue")


def cue_names(text: str, shapes: Shapes) -> Iterator[Mention]:
    """People whom the words before them introduce, greet, sign or title; not sorted."""
    for cue in _CUES:
        position = 0
        while match := cue.expression.search(text, position):
            end = _name_end(match, shapes, cue)
            # The expression runs on over words that are no name, among which the next cue may stand.
            position = max(end, match.start("name"), match.start() + 1)
            if end:
                yield Mention(_name_start(match, shapes), end, "PERSON", CUE_SCORE, cue.source)


def _name_start(match: re.Match[str], shapes: Shapes) -> int:
    """Past a title that stands in the name's place ("Dear Dr. Lee")."""
    start = match.start("name")
    first = WORD.match(match.string, start)
    while first is not None and first.group().rstrip(".").casefold() in TITLES and first.end() < match.end("name"):
        following = WORD.search(match.string, first.end())
        if following is None:
            break
        first, start = following, following.start()
    return start


def _name_end(match: re.Match[str], shapes: Shapes, cue: _Cue) -> int:
    """Where the name stops, or 0: at the first word that cannot be a part of one."""
    start, end, count = _name_start(match, shapes), 0, 0
    for word in WORD.finditer(match.string, start, match.end("name")):
        shown = word.group()
        bare = POSSESSIVE.sub("", shown)
        if shown.casefold() in PARTICLES and count:
            continue
        if shown.rstrip(".").casefold() in _TITLE_WORDS and shown.casefold() != shown:
            break  # "my landlord Mr. Patel": the title is a cue of its own
        small = count < cue.small_words and bare.islower() and len(bare) > 2
        # After "my dad" a small word that is in no list may also be a verb.
        if small and cue.small_words > 1 and (_INFLECTED.search(bare) or shapes.is_word(bare)):
            break
        shouted = bare.isupper() and len(bare) > 1 and bare.casefold() not in WORD_SURNAMES
        ordinary = shapes.is_common(bare) and (
            not count or bare.islower() or shouted or bare.casefold() in shapes.not_names
        )
        if ordinary or not (is_capital(bare) or small):
            break
        count += 1
        initial = len(shown) == 2 and shown.endswith(".")
        end = word.start() + len(bare) if not shown.endswith(".") or initial else word.end() - 1
        if bare != shown or (shown.endswith(".") and not initial):
            break
    return end if count >= cue.least_words else 0
