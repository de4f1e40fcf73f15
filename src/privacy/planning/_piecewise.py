"""Whether an instruction can be done piece by piece: translate, label each, extract all names; or needs all at once.

Theory of operation. The verb says what is done, the object and a few small words ("each", "overall", "the longest")
say over what. Only verbs that are known to work on a part as on the whole are taken; every other instruction, and
every word that speaks of the whole, keeps the text together (rule 1 of the package: in doubt, join).

Rules:

1. `each` ("for every line", "one by one") makes any verb piecewise, unless what is asked compares or ranks.
2. To translate, correct, reword is piecewise, however it is worded (`_wordings`); not within a length for all of it
   ("in 100 words"), not as a thing of another kind ("as a dialogue"), and not where the form binds the parts (a poem,
   code).
3. To label or rate is piecewise over many things alone: "these tickets", never "this essay".
4. To extract is piecewise where what is sought stands in one place: names, dates, amounts, to-dos, and "every ..." of
   what is no idea of the whole (points, reasons, themes). Which of many have something is the same; which one of them
   is the best, and which are alike, is not.
5. A summary is piecewise by sections, and by "each". A reply to "these" is one to each, unless "one reply" is asked.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

from attrs import frozen

from privacy.exposure import word_set
from privacy.planning._kinds import first_word, kind_of
from privacy.planning._wordings import LANGUAGE, from_verb, rewords

Way = Literal["mapping", "extraction", "sections"]


@frozen
class Manner:
    """How an instruction is done piece by piece."""

    way: Way
    """`mapping`: a text comes back piece for piece. `extraction`: a list. `sections`: something under each title."""
    many: bool
    """Whether each of many things is asked about, none of which may be cut."""


MANY: Final = (
    r"(?:reviews?|comments?|messages?|e-?mails?|letters?|tickets?|lines?|rows?|entries|entry|records?|items?|posts?"
    r"|tweets?|sentences?|paragraphs?|sections?|chapters?|answers?|responses?|questions?|complaints?|requests?"
    r"|reports?|notes?|transactions?|expenses?|orders?|products?|applications?|applicants?|candidates?|customers?"
    r"|patients?|students?|words?|phrases?|titles?|headlines?|names?|documents?|texts?|articles?|clauses?|events?"
    r"|cases?|bookings?|listings?|descriptions?|testimonials?|recipes?|invoices?|payments?|errors?|warnings?|logs?"
    r"|statements?|replies|quotes?|bullets?|bullet points?|points?|excerpts?|passages?|flats?|jobs?|adverts?|ads?"
    r"|people|contacts?|addresses|dishes|ingredients?|symptoms?|reviewers?|remarks?|observations?|profiles?|bios?"
    r"|biograph(?:y|ies)|threads?|pupils?|rules?|forms?"
    r"|appointments?|visits?|meetings?|ideas?|claims?"
    r"|definitions?|captions?|suggestions?|incidents?|faqs?|cells?|parts?|pieces?|files?|tasks?|abstracts?|essays?)"
)
_EACH: Final = re.compile(
    rf"\b(?:each(?! other)|(?:for|behind|beside|from|to|of) every (?!day|week|month|year|time|morning|evening"
    rf"|night|other)|every\s+(?:one\b|single\b|{MANY}\b)|one by one|individually|one at a time"
    rf"|(?P<unit>{MANY}) by (?P=unit)|by (?:section|chapter|paragraph|clause)|per {MANY}"
    rf"|for all of (?:them|these|those)|jede[nrsm]?\b|każd\w+|chaque|cada\b|ogni\b)",
    re.IGNORECASE,
)
_TOGETHER: Final = re.compile(
    r"\b(?:compar(?:e|es|ed|ing|ison)|contrast|versus|rank\w*|prioriti[sz]\w*|sort(?:ed|ing)?(?!\s+out)"
    r"|alphabetical\w*"
    r"|order (?:them|these|those|by|of)|in order of|arrange|reorder|chronolog\w+|timeline|overall|altogether"
    r"|in total|a total|the total|totals?|add (?:them|it) up|in common|across|duplicat\w*|each other|one another"
    r"|between (?:them|these|the)|group(?:ed)? (?:them|these|those|the|by|into|similar)|cluster|merge"
    r"|combine|consolidate|contradict\w*|(?:in)?consisten\w+|as a whole|big picture|how many|count|average|trends?"
    r"|patterns?|unique|only once|repetit\w*|redundan\w*|json|vergleich\w*|porównaj|insgesamt|rhym\w+|metre|avg"
    r"|on average|mean score|common thread"
    r"|on the whole|all (?:of them |of these )?together|(?:then|and) (?:one|another|a final one) for (?:the|all"
    r"|every)"
    r"|(?:say|says|mean|means|want|wants|from) the same|which (?:two|three|pair)|(?:the|whats the|one) (?:one|single)"
    r" thing|call first|do first|in (?:the right |a good )?order\b(?! to)|(?:only|at most) (?:once|twice)"
    r"|(?:an?|one) (?:single |common |short )?(?:introduction|intro|conclusion|reply|answer|e-?mail"
    r"|summary) (?:that|to all|for all)|top (?:\d|two|three|five|ten))\b"
    r"|\b(?:the|my|which|who|what)\b[^.?!]{0,40}\b(?:most|least|best|worst|(?!(?:inter|requ|for|gu|cont|prot|harv|hon"
    r"|mod|sugg|dig|inv|lat|man|conqu|n|r|t|w|p)est\b)[a-z]+est)\b",
    re.IGNORECASE,
)
_ONE_PART: Final = re.compile(
    r"\b(?:first|last|second|third|fourth|final|opening|closing|\d(?:st|nd|rd|th)) (?:two |few )?(?:paragraph"
    r"|section|chapter"
    r"|part|stanza|verse|half|page)s?\b|\b(?:paragraph|section|chapter|line|page) (?:\d+|one|two|three|four|five)\b"
    r"|\bcoheren\w+|\btransitions?\b"
    r"|\b(?:an?|one|the) (?:[\w-]+ ){0,2}?[a-z]+[a-rt-z] that (?:answers?|mentions?|covers?|includes?|addresses|fits"
    r"|suits|combines|uses|takes)\b",
    re.IGNORECASE,
)
"""What is done at one place of a text, or makes one thing of all its parts, even where it says "each"."""
_WHOLE: Final = re.compile(
    r"\b(?:conclu\w+|themes?|gist|takeaways?|main (?:point|idea|argument|message)s?|outline|headline|title for|sum"
    r"|number of|percentage|differences?|relationship|argument|reference letter|continu\w+|finish|ending|next (?:line"
    r"|stanza|chapter|paragraph|part)|refactor|debug|bugs?|decide|choose|recommend|should i|verdict|opinion"
    r"|plot|flows?|beginning"
    r"|point of view|moral|twist|in the style of|adapt\w*"
    r"|(?:rewrit|turn|mak|retell|writ|rework|recast|convert|transform|chang|put)\w*\b[^.?!]{0,60}\b(?:as|into"
    r"|becomes?) (?:an?|one)"
    r" (?!(?:[\w-]+ ){0,3}?(?:list|tone|style|register|voice|way|language|manner|native|format|column"
    r"|bullet)\b)\w+|structure|too long"
    r"|(?:edit|cut|trim|boil|whittle)\w* (?:this|it|them|that|these)?\s*down|shorter|well[ -]written|any good"
    r"|make sense"
    r"|(?:tell|let) me (?:know )?(?:if|whether|what you|how|why)|what you think|your thoughts|your feedback)\b",
    re.IGNORECASE,
)
"""What needs all of a text, unless it is asked of each part."""
_TOTAL_LENGTH: Final = re.compile(
    r"\b(?:in|to|into|under|within|at most|(?:no|not) (?:more|longer) than|less than|max(?:imum)?(?: of)?|about"
    r"|around"
    r"|half)\s+(?:about |around |exactly |at most |no more than )?(?:\d+|an?|one|two|three|four|five|ten"
    r"|half)[\s-]+(?:single |short |brief |its )?(?:words?|sentences?|paragraphs?|pages?|lines?|bullets?"
    r"|bullet points|length|size|tweet|slide|abstract)\b|\bhalf (?:the|its|as|of)\b|\bby half\b",
    re.IGNORECASE,
)
_BOUND: Final = re.compile(
    r"\b(?:poems?|songs?|lyrics|sonnets?|haikus?|limericks?|stanzas?|verses?|riddles?|proofs?|theorems?|functions?"
    r"|(?<!error )(?<!post )(?<!zip )(?<!dress )code(?! (?:each|every|these))|scripts?|programs?|python|javascript"
    r"|typescript|java|sql|rust|regex|html|css|puzzle|equations?|algorithm|gedicht|wiersz|poème|poema)\b",
    re.IGNORECASE,
)
"""What hangs together by its form."""
_MAPPING: Final = word_set(
    """
    translate proofread correct rewrite rephrase reword paraphrase simplify polish edit transliterate modernise
    modernize anonymise anonymize redact capitalise capitalize punctuate localise localize transcribe reformat
    übersetze übersetzen übersetz korrigiere korrigieren przetłumacz popraw traduis traduisez corrige corrigez traduce
    traduci correggi vertaal verbeter copyedit copy-edit pseudonymise pseudonymize spellcheck retype reformulate
    """
)
_MAPPING_OBJECT: Final = re.compile(
    r"^(?:fix|improve|check|clean up|tidy up|go over|look over|remove|repair|catch|spot|mark|clear up|sort out)\b"
    r"[^.?!]{0,60}"
    r"\b(?:grammar|grammatical|spelling|typos?|punctuation|mistakes?|errors?|wording|english|german|french|spanish"
    r"|polish|style|language|phrasing|filler words?|commas?|accents?|abbreviations|formatting|line breaks|ocr)\b"
    r"|^(?:make|turn|put|bring|render|change|convert|switch|transpose)\s+(?:this|these|it|them|the|my|all|every)\b"
    r"[^.?!]{0,50}"
    r"\b(?:formal|informal|polite|politer|friendl\w+|professional|simpler|simple|plain|clearer|readable|neutral"
    r"|casual"
    r"|gentle\w*|gender-neutral|english|german|french|spanish|italian|polish|dutch|portuguese|past tense"
    r"|present tense"
    r"|passive|active|third person|first person|british|american|metric|celsius|kilomet\w+|uppercase|lowercase"
    r"|everyday|easy|modern|colloquial|respectful|warmer|softer|euros?|iso|24-hour|24 hour)\b"
    r"|^(?:replace|swap|substitute|change|convert|expand|spell out|remove|delete|strip|add)\s+(?:all|every|any|the)\b"
    r"[^.?!]{0,60}\b(?:with|by|to|into|from|in|out|names?|abbreviations|acronyms|commas|punctuation|accents|dates)\b"
    r"|^(?:convert|change)\b[^.?!]{0,50}\b(?:to|into)\b"
    r"|^(?:i(?:['’]d)?\s+)?(?:(?:would )?(?:need|want|like))\s+(?:this|these|it|the)\b[^.?!]{0,40}\bin\s+"
    rf"(?:plain |simple )?{LANGUAGE}\b|^(?:{LANGUAGE}\s+)?translation\s+(?:of|for|into|to|in)\b",
    re.IGNORECASE,
)
_LABELLING: Final = word_set(
    "classify label tag categorise categorize rate score grade assign mark flag code sort klassifiziere sklasyfikuj"
    " oznacz annotate triage"
)
_FOUND_IN_PLACE: Final = (
    r"(?:names?|people|persons?|dates?|deadlines?|due dates|times|phone numbers?|telephone numbers?|numbers|e-?mails?"
    r"|e-?mail addresses|addresses|places?|cities|towns|countries|locations?|companies|firms|organi[sz]ations?|urls?"
    r"|links|prices?|amounts?|sums of money|figures|invoice numbers?|order numbers?|reference numbers?|action items?"
    r"|actions|to-?dos?|todos?|tasks|next steps|responsibilit\w+|obligations?|duties|medications?|medicines|drugs"
    r"|doses|dosages|diagnos[ei]s|allergies|symptoms|ingredients|measurements|quantities|quotes?|quotations|citations"
    r"|references|sources|statistics|abbreviations|acronyms|technical terms|keywords|error codes?|error messages?"
    r"|ip addresses|errors?|warnings?|failures|complaints|questions|suggestions|requests|promises|products?"
    r"|brand names|skills|employers|job titles|penalties|fees|costs|payments|clauses|animals|plants|foods?|dishes"
    r"|books|characters|terms|verbs|nouns|adjectives|irregular verbs|idioms|metaphors|decisions|risks|facts|rooms"
    r"|contact details|personal data|license plates|flights?|bookings?|appointments?|events|hotels|restaurants"
    r"|commitments|exceptions|mistakes|typos|equipment|materials|tools|daten|namen|termine|nazwiska|daty|adresy"
    r"|noms|fechas|nombres)"
)
_EXTRACTING: Final = re.compile(
    r"^(?:extract|pull out|pick out|pull|extrahiere|extrahuj|wypisz|wyciągnij|extrais|extrae|finde|liste)\b"
    r"|^(?:list|find|give|get|collect|identify|name|spot|highlight|show|note|gather|write down|write out|copy out"
    r"|tell|send|note down|underline|flag|mark|point out|jot down|search|look|quote)\b"
    r"(?:\s+(?:me|us|through|for|out|up|this|these|it|down|just|only))*\s+"
    r"(?:(?:a|the)\s+(?:bulleted |plain |full |complete )?list (?:of|with)\s+)?"
    rf"(?:all|any|every|each|the|which|whatever)?\s*(?:of\s+)?(?:the\s+)?(?:[\w'’-]+\s+){{0,3}}?{_FOUND_IN_PLACE}\b"
    rf"|^(?:what|which|who)\b(?:\s+(?:are|is))?(?:\s+(?:all|the))*\s+(?:[\w'’-]+\s+){{0,2}}?{_FOUND_IN_PLACE}\b"
    r"[^.?!]{0,60}\b(?:in|mentioned|named|from|here|appear\w*|occur\w*|given|listed|does|do|are there|come up)\b"
    r"|^who (?:all )?(?:is|are|was|were) (?:mentioned|named|quoted)\b|^who (?:has|needs|is supposed|is) to do what\b",
    re.IGNORECASE,
)
_COLLECTED: Final = re.compile(
    r"^(?:extract|pull|pick|list|find|get|give|collect|gather|grab|note|jot|write|copy|dig|fish|identify|name"
    r"|compile|draw|put|prepare"
    r"|make|i need|i want|need|want|i['’]d like|i would like|we need|show|send|take)\b"
    r"(?:\s+(?:me|us|out|up|down|of|just|together|a list (?:of|with)|(?:a|the) (?:\w+ )?list (?:of|with)))*\s+"
    r"(?:every(?:thing|one|body)?|all|each|any(?:thing|one)?|whatever|who(?:ever)?)\b(?P<what>[^.?!]{0,80})"
    r"|^(?:a |the |just )*(?:list|names?|dates?|bullets?) of (?P<listed>(?:all|every\w*|any|the)\b[^.?!]{0,80})"
    r"|^(?:what|which)\s+(?P<asked>[\w'’, -]{2,60}?)\s+(?:are|is|were|was|get|gets|come|comes|do|does|did)\s+"
    r"(?:\w+\s+){0,2}?(?:mentioned|named|listed|mention|name|come up|quoted|talked about|referred to|in (?:here"
    r"|there|it))\b"
    r"|^who\b[^.?!]{0,20}\b(?:is|are|gets?|was|were)\s+(?:all\s+)?(?:mentioned|named|quoted)\b",
    re.IGNORECASE,
)
_TO_DO: Final = re.compile(
    r"^who\b[^.?!]{0,30}\b(?:do|does|doing|did|promised|agreed)\b[^.?!]{0,20}\bwhat\b"
    r"|^what(?:['’]?s| is| are| does| do| did| must| has| have)?\s+(?:every(?:one|body)|each (?:person|one)"
    r"|they|people"
    r"|some(?:one|body)|any(?:one|body))\b[^.?!]{0,20}\b(?:do|done|doing|promise\w*|agree\w*)\b"
    r"|^(?:what|everything|all|things)\b[^.?!]{0,20}\b(?:has|have|needs?|is|are) (?:got )?(?:to be done|doing"
    r"|to do)\b"
    r"|^(?:to-?dos?|to do list|action (?:items|points))\b",
    re.IGNORECASE,
)
_NOT_IN_PLACE: Final = re.compile(
    r"\b(?:points?|arguments?|reasons?|themes?|topics?|motifs?|conclusions?|lessons?|differences|similarities"
    r"|motives?"
    r"|implications|options?|possibilities|choices|rights|consequences|my|your|inconsistenc\w+|contradict\w+|relationships?|issues|problems|weaknesses|strengths|pros|cons"
    r"|steps|causes"
    r"|ways|ideas|info(?:rmation)?|important|relevant|key|main|matters|together|up|this|that|these|of this"
    r"|of it|else|wrong)\b"
    r"(?!\s+(?:to be done))",
    re.IGNORECASE,
)
"""What stands in no one place, or may be said in several."""


_GIVES_EACH: Final = re.compile(r"(?:give|send|show)\s+(?:each|every)\b", re.IGNORECASE)
"""What is given to each, and not found in it."""


def _is_extraction(bare: str) -> bool:
    if _EXTRACTING.match(bare) or _TO_DO.match(bare):
        return True
    match = _COLLECTED.match(bare)
    if match is None:
        return False
    what = match["what"] or match["listed"] or match["asked"] or "names"
    head = re.split(r"\b(?:that|which|who|in|from|mentioned|named|with|has|have)\b", what, maxsplit=1)[0]
    return _NOT_IN_PLACE.search(head) is None


_ONES: Final = rf"(?:{MANY}|ones|those|people|reviewers|guests|tenants|pupils|kids|members|clients|buyers|users)"
_MODAL: Final = r"(?:is|was|has|one|does|should|would|do (?:you|i|we)|could|can|will|belong|go|fit|to|we|i|you|am)\b"
_FILTER: Final = re.compile(
    r"^(?:(?:tell|show|say|list|give|let)\s+(?:me\s+)?(?:know\s+)?)?(?:which|what|who)\s+"
    rf"(?:(?:ones )?(?:of|in|from|among) (?:these|those|the|them"
    rf"|the following)\b(?!(?:\s+[\w'’-]+){{0,2}}\s+{_MODAL})(?:\s+[\w'’-]+){{0,3}}?"
    rf"|(?:(?!two|three|four|five|one\b|single|\d)[\w'’-]+\s+)?{_ONES})\s+"
    rf"(?!{_MODAL})[a-z]"
    rf"|^(?:list|find|show|give|pick|flag|mark|keep|filter|select|highlight|copy|quote)\b(?:\s+(?:me|out|only"
    rf"|just))*\s+"
    rf"(?:all |any |only |just |every |the |those )*(?:[\w'’-]+\s+){{0,3}}?{_ONES}\s+"
    r"(?:that|which|who|where|with|about|in which|from|mentioning|containing|over|above|below|under)\b"
    rf"|^(?:are|is) there any(?:thing|one)?\b(?:\s+{_ONES})?\s+(?:(?:in|of|among) (?:these|them|here|there|this)\s+)?"
    r"(?:that|which|who|about|with|where)\b|^(?:do|does) any of (?:these|them|those)\b"
    r"|^(?:just |only )?(?:those|the ones) (?:that|which|who|about|with)\b"
    r"|^which\s+(?!reasons|points|factors|aspects|steps|arguments|changes|measures|themes|parts"
    r"|words)[a-z]+[a-rt-z]s\s+"
    rf"(?!{_MODAL}|(?:are|were|do|did|come|make|might|must|may)\b)[a-z]",
    re.IGNORECASE,
)
_ADDING: Final = re.compile(
    r"^(?:add|append|insert|put|fill in|fill out|prefix|prepend|write)\b[^.?!]{0,25}"
    r"\b(?:columns?|label|tag|field|flag|emoji|category)\b",
    re.IGNORECASE,
)
_REPLYING: Final = re.compile(
    rf"^(?:reply|respond|react)\s+to\s+(?:all\s+)?(?:of\s+)?(?:(?:these|those|them|my|our|the|each"
    rf"|every)\b\s*){{1,2}}"
    rf"(?:[\w'’-]+\s+)?(?:{MANY}\b|reviewers?\b|guests?\b|[^\w\s]|$)",
    re.IGNORECASE,
)
_PER_EACH: Final = re.compile(
    r"^[\w'’ ,/-]{2,60}?\b(?:for|per|of|to|from|on|in|by|with)\s+(?:each(?! other)|every)\b"
    rf"|^(?:[\w'’/-]+\s+){{1,4}}per\s+{MANY}\b|^is each\b|^(?:[\w'’-]+ )?(?:each|every)\b",
    re.IGNORECASE,
)
"""What is wanted of each, without a verb: "one line per review", "sentiment of each"."""
_SUMMARY: Final = re.compile(
    r"\b(?:tl;?dr|summari[sz]e|summar(?:y|ies)|condense|boil down|sum up|zusammenfassung|fasse|streść|résume"
    r"|resume|recap)\b",
    re.IGNORECASE,
)
_SECTIONS: Final = re.compile(
    r"\b(?:by|per|for each|of each|for every|of every|each|every) (?:section|chapter|part|heading|e-?mail|article"
    r"|document|report|letter|paragraph|entry|message|abstract|day|meeting|visit|clause|note|one|case|thread|item)"
    r"|\b(?:section|chapter|paragraph|part|clause) by (?:section|chapter|paragraph|part|clause)\b|\beach of\b",
    re.IGNORECASE,
)
_ABOUT_MANY: Final = re.compile(rf"\b(?:{MANY}|them|these)\b", re.IGNORECASE)
_PLURAL: Final = ("s", "them", "these", "people", "entries")


def manner_of(tasks: Iterable[str], said: str) -> Manner | None:
    """How an instruction is done piece by piece; None where it needs the pieces together.

    `tasks` are its sentences that ask for something, `said` is all of it, remarks included.
    """
    if needs_together(said) or _BOUND.search(said) or _ONE_PART.search(said):
        return None
    each = _EACH.search(said) is not None
    if not each and (_WHOLE.search(said) or _TOTAL_LENGTH.search(said)):
        return None
    found = [_manner_of_task(task, each=each) for task in tasks]
    manners = [manner for manner in found if manner is not None]
    if not manners or len(manners) < len(found):
        return None
    ways = {manner.way for manner in manners}
    way: Way = "sections" if "sections" in ways else "mapping" if "mapping" in ways else "extraction"
    return Manner(way, many=any(manner.many for manner in manners))


def needs_together(said: str) -> bool:
    """Whether an instruction compares, ranks or counts, whatever else it asks."""
    return _TOGETHER.search(said) is not None


def _manner_of_task(task: str, *, each: bool) -> Manner | None:
    bare = bare_instruction(task)
    verb = first_word(bare)
    if _SUMMARY.search(bare):
        return Manner("sections", many=True) if _SECTIONS.search(bare) or each else None
    if verb in _MAPPING or _MAPPING_OBJECT.match(bare) or rewords(bare):
        return Manner("mapping", many=False)
    if _ADDING.match(bare) or (_REPLYING.match(from_verb(task)) and (each or _speaks_of_many(task))):
        return Manner("mapping", many=True)
    if verb in _LABELLING and (each or _speaks_of_many(bare)):
        return Manner("mapping", many=True)
    if _FILTER.match(bare):
        return Manner("extraction", many=True)
    if _is_extraction(bare):
        return Manner("mapping" if _GIVES_EACH.match(bare) else "extraction", many=each)
    return Manner("mapping", many=True) if each else None


def _speaks_of_many(text: str) -> bool:
    return any(match.group().casefold().endswith(_PLURAL) for match in _ABOUT_MANY.finditer(text))


def asks(sentence: str) -> bool:
    """Whether a sentence tells what is to be done, and not only how."""
    bare = bare_instruction(sentence)
    if kind_of(bare) == "task" or kind_of(sentence) == "task":
        return True
    verb = first_word(bare)
    if verb in _MAPPING or verb in _LABELLING or (verb in _PUTTING and _EACH.search(sentence)):
        return True
    if rewords(bare) or _ADDING.match(bare) or _FILTER.match(bare) or _SUMMARY.match(bare):
        return True
    if _REPLYING.match(from_verb(sentence)) or _asks_of_each(sentence):
        return True
    return _MAPPING_OBJECT.match(bare) is not None or _is_extraction(bare) or _PER_EACH.match(bare) is not None


def _asks_of_each(sentence: str) -> bool:
    """ "For every ticket: who should answer it": what follows the colon is asked, whatever its form."""
    lead = _OVER.match(from_verb(sentence))
    return lead is not None and ":" in lead.group() and _EACH.search(lead.group()) is not None


def bare_instruction(sentence: str) -> str:
    """A sentence from its verb on: without "please", "for each of them"."""
    wish = _POLITE.search(sentence)
    bare = from_verb(sentence[wish.end() :] if wish else sentence)
    return from_verb(_READ_FIRST.sub("", _OVER.sub("", bare, count=1), count=1))


_READ_FIRST: Final = re.compile(
    r"^(?:go|read|look|have a look)\b[^,.;:?!]{0,60}?\b(?:and|then)\s+(?=\w+\s+\w)", re.IGNORECASE
)


_POLITE: Final = re.compile(
    r"[,;:–-]\s*(?:so |and |then |but )?(?:please|pls|plz|kindly|(?:can|could|would) (?:you|u)"
    r"|bitte)(?: please| pls)?"
    r"\s+(?=\w+\s+\w)",
    re.IGNORECASE,
)


_OVER: Final = re.compile(
    r"(?:for|from|to|in|next to|after|under|below|beside|behind)\s+"
    r"(?:each|every|all|these|this|the following)\b[^,.:;?!]{0,60}?"
    r"(?:[,:]\s*|\s+(?=(?:tell|say|write|give|add|state|note|answer|list|extract|translate|name|decide|suggest"
    r"|put)\b))",
    re.IGNORECASE,
)
_PUTTING: Final = word_set(
    "add put give append insert return output include attach prepend note leave say tell state decide"
)
