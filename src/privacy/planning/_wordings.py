"""How people word what is to be done with a text: "can u put this into french", "English please!", "needs commas".

Rules:

1. What only leads up to the verb (a greeting, "any chance you could", "i need you to", "Task:") is taken off first,
   in British, American and typed English, and the commonest forms of German, French and Spanish.
2. A text is to be put into a language where a language is named behind "to" or "in", and the sentence speaks of the
   text or says nothing else. Who is to write, answer or explain in a language is not asked to translate.
3. To correct is worded by what is wrong (spelling, commas, "the ums"), with a verb that mends, in either order.
"""

import re
from typing import Final

from privacy.exposure import word_set
from privacy.planning._kinds import OPENERS, first_word

_YOU: Final = r"(?:you|u|ya|someone|somebody|anyone|anybody|i ask you to|i get you to|we)"
_ADVERBS: Final = (
    r"(?:\s+(?:please|pls|plz|possibly|perhaps|maybe|kindly|just|also|quickly|help me(?: to)?|be so kind as to"
    r"|be able to|go ahead and|mal|bitte|kurz|mir|uns|für mich|das|me))*"
)
_LEADING: Final = re.compile(
    rf"^[\W_]*(?:(?:pls|plz|pl[sz]e|bitte|proszę|por favor|s['’]il (?:vous|te) plaît|svp|stp|mind|well|right|yo|again"
    rf"|(?:guten tag|hallo|bonjour|hola|cześć|ciao|morning|evening|hi there|hey there|hi all|hiya|dear \w+)(?=\W)"
    rf"|(?:can|could|would|will|cld|cud|wld)\s+{_YOU}{_ADVERBS}"
    rf"|(?:is there )?any chance (?:that )?{_YOU} (?:could|can|might|would)"
    r"|(?:is|would) it (?:be )?(?:possible|ok|okay) (?:for you )?to|would you mind|do you mind"
    r"|do you think you (?:could|can)|(?:i am|i['’]?m|i was|was|am|just) wondering if you (?:could|can|would)"
    r"|i wonder if you (?:could|can|would)|(?:it (?:would|['’]d) be|would be) (?:great|nice|good|lovely|cool) if"
    r" (?:you|u|someone) (?:could|can|would)"
    r"|(?:i['’]?d|i would|we['’]?d|we would) (?:really )?(?:love|appreciate|like) (?:it )?(?:if you (?:could"
    r"|can|would)"
    r"|(?:for )?you to)"
    r"|(?:i|we) (?:really |just |only )?(?:need|want|have)(?: you| u| someone)? to|your (?:task|job) is to|you are to"
    r"|(?:the )?(?:tasks?|instructions?|prompt|to ?do|job|request|aufgabe|tarea|consigne)\s*:"
    r"|(?:what )?(?:i|we) need (?:from you )?is(?: for you)?(?: to)?"
    rf"|(?:kannst|könntest|magst|würdest) du{_ADVERBS}|(?:können|könnten|würden) sie{_ADVERBS}"
    r"|(?:pouvez|pourriez)[ -]vous(?: me)?|(?:peux|pourrais)[ -]tu(?: me)?|il (?:faudrait|faut)(?: (?:me )?l[ea]s?)?"
    r"|(?:puedes?|podr[ií]as?|podría usted|me podr[ií]as?|me puedes?))\b[\s,:;!.–-]*)+",
    re.IGNORECASE,
)
_MAX_LEADS: Final = 4
"""How often openers of the two kinds may follow each other."""


def from_verb(sentence: str) -> str:
    """A sentence without what leads up to its verb."""
    bare = sentence
    for _ in range(_MAX_LEADS):
        shorter = _LEADING.sub("", OPENERS.sub("", bare), count=1)
        if shorter == bare:
            break
        bare = shorter
    return bare.strip("*_ ")


LANGUAGE: Final = (
    r"(?:english|german|french|spanish|italian|polish|portuguese|dutch|flemish|danish|swedish|norwegian|finnish"
    r"|icelandic|czech|slovak|slovene|croatian|serbian|bosnian|bulgarian|albanian|estonian|latvian|lithuanian|russian"
    r"|ukrainian|belarusian|turkish|greek|romanian|hungarian|arabic|farsi|persian|hebrew|urdu|hindi|bengali|punjabi"
    r"|tamil|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|swahili|somali|irish"
    r"|welsh|gaelic|scots|catalan|basque|galician|latin|esperanto|afrikaans"
    r"|deutsch\w*|englisch\w*|französisch\w*|spanisch\w*|italienisch\w*|polnisch\w*|türkisch\w*|ukrainisch\w*"
    r"|russisch\w*|anglais|allemand|français|espagnol|italien|polonais|néerlandais|portugais|inglés|alemán|francés"
    r"|español|italiano|portugués|angielski|niemiecki|francuski|hiszpański|engels|duits|frans)"
)
_INTO_LANGUAGE: Final = (
    r"(?:in|into|to|2|ins|auf|nach|en|al|na|naar het)\s+(?:the\s+)?(?:(?:plain|simple|easy|modern|proper|good|better"
    rf"|correct|normal|everyday|brazilian|american|british|canadian|swiss|austrian|formal|informal"
    rf"|clear)\s+)*{LANGUAGE}"
)
_TO_LANGUAGE: Final = re.compile(
    rf"\b(?:this|these|it|them|that|those|all|everything|each|every|whole|text|letter|below|above|follow\w+|lot|say"
    rf"|das|dies\w*|es|alles|ce|cet|ces|le|esto|este|lo)\b[^.?!]{{0,60}}\b{_INTO_LANGUAGE}\b"
    rf"|\b{_INTO_LANGUAGE}\b[^.?!]{{0,20}}\b(?:please|pls|plz|thanks|thank you|thx|ty|bitte)\b"
    rf"|^make\b[^.?!]{{0,20}}\b{LANGUAGE} (?:ones?|versions?|translations?|text)\b"
    rf"|^\W*(?:please |pls )?{_INTO_LANGUAGE}\b[^.?!]{{0,25}}$"
    rf"|^\W*{LANGUAGE}(?: (?:version|translation))?[\s,]*(?:please|pls|plz|bitte|svp|por favor)\b",
    re.IGNORECASE,
)
_TRANSLATING: Final = re.compile(
    r"\b(?<!was )(?<!were )(?<!been )(?<!is )(?<!are )(?:translat(?:e|ed|ing)|(?:ins \w+ )?übersetz\w{0,3}"
    r"|traduire|traduis\w*|traduci\w*|tradúc\w+|traduce|traduz\w+|przetłumacz\w*|vertal(?:en|ing)|vertaal)\b"
    r"|\btłumaczenie\b|\b(?:översätt|oversett|oversæt|käännä|tradur)\w*",
    re.IGNORECASE,
)
_OTHER_WORK: Final = word_set(
    """
    write draft compose answer reply respond explain describe summarise summarize tell say create make generate give
    list what why how who when where which is are does do did has have should teach speak
    """
)
"""What opens a sentence in which a language is only the manner: "Answer in French"."""
_WRONG: Final = (
    r"(?:spelling|spellings|misspell\w*|spelled|spelt|grammar|grammatical\w*|typos?|punctuation|capitals?"
    r"|capitali[sz]ation|commas?|full stops|apostrophes?|accents?|umlauts?|mistakes?|errors?|ums|uhs|uhms?"
    r"|filler words?"
    r"|swear ?words?|swearing|slang|jargon|emojis?|hashtags?|timestamps|line breaks|rechtschreib\w*|grammatik\w*"
    r"|tippfehler\w*|kommas?|zeichensetzung|fehler\w*|ortograf\w+|orthographe|grammaire|gramática|fautes?|pisown\w+"
    r"|błęd\w+|literówk\w+|names?|addresses|phone numbers|sounds? (?:off|odd|wrong|weird|unnatural)|is wrong"
    r"|us spelling"
    rf"|(?:my|his|her|our|their|the|this) {LANGUAGE})"
)
_MENDING: Final = (
    r"(?:fix(?:ing)?|correct(?:ing)?|check(?:ing)?|proof(?:ing)?|go(?:ing)? (?:over|through)|look(?:ing)? over"
    r"|clean(?:ing)?"
    r"|tidy(?:ing)?|tak(?:e|ing) out|tak(?:e|ing) away|remov(?:e|ing)|drop(?:ping)?|strip(?:ping)?|delet(?:e|ing)"
    r"|get(?:ting)? rid of|cut(?:ting)? out|black(?:ing)? out|blank(?:ing)? out|hid(?:e|ing)|mask(?:ing)?"
    r"|sort(?:ing)? out"
    r"|add(?:ing)?|put(?:ting)? in|insert|swap(?:ping)?|replac(?:e|ing)|chang(?:e|ing)|repair|mend|improv(?:e"
    r"|ing)|needs?"
    r"|weed out|expand|spell out|restore|standardi[sz]e|harmoni[sz]e|switch|iron out|catch|spot)"
)
_MENDS: Final = re.compile(
    rf"^{_MENDING}\b[^.?!]{{0,80}}\b{_WRONG}\b"
    rf"|\b(?:and|then|just|only|it)\s+{_MENDING}\b[^.?!]{{0,60}}\b{_WRONG}\b"
    rf"|^(?:[\w'’]+,?\s+){{0,8}}?needs? (?:some |its |the |more |a )?{_WRONG}\b"
    rf"|\b{_WRONG}[^.?!]{{0,60}}\b(?:durchsehen|prüfen|verbessern|verbesser\w?|korrigieren|ausbessern|corrig\w+"
    rf"|corregi\w+|revisar"
    rf"|vérifier|poprawi\w+|sprawdzi\w+)\b|^(?:corrig\w+|corregi\w+|revis[ae]r?|vérifie[rz]?|prüfe?"
    rf"|korrigier\w*|popraw|sprawdź)\b"
    rf"[^.?!]{{0,60}}\b{_WRONG}\b"
    r"|\b(?:einfache|leichte|einfacher|leichter) sprache\b"
    r"|^(?:proof-?read(?:ing)?|spell-?check(?:ing)?|copy-?edit(?:ing)?|anonymi[sz](?:e|ing)|redact(?:ing)?"
    r"|punctuat(?:e|ing)|correcting)\b"
    r"|^(?:clean|tidy|touch|smooth|tone|dumb|water|polish|spruce|fix|brush|neaten)\w*\s+(?:(?:this|these|it"
    r"|them|that|all|each"
    r"|every|my|our"
    r"|the|him|her)\b[^.?!]{0,30}?\s+)?(?:up|down|out|over)\b",
    re.IGNORECASE,
)
_RESTYLES: Final = re.compile(
    r"^(?:replace|swap|substitute)\s+(?:it|them|each|those|every\w*|any\w*)\b[^.?!]{0,30}\b(?:with|by|for)\b"
    r"|^(?:mak|writ|get|turn)\w*\s+(?:this|these|it|them|that|all|each|every|my|our"
    r"|the)\b[^.?!]{0,40}?\b(?:sound|read|look)"
    r"s?\s+(?:(?:a|bit|lot|little|much|more|less|like|as if)\s+)*[\w'’-]+"
    r"|^(?:put|turn|get|say|change|switch|bring|transpose)\w*\s+(?:this|these|it|them|that|all|each|every|my"
    r"|our|the)\b"
    r"[^.?!]{0,50}\b(?:in|into|to|from)\s+(?:\w+\s+){0,2}?(?:words|person|tense|voice|terms|language|tone|case"
    r"|units|spelling)\b"
    r"|.{0,80}\b(?:need|want)s?\s+(?:this|these|it|them|all"
    r"|everything)\b[^.?!]{0,40}\bin\s+(?:\w+\s+){0,2}?(?:words|person"
    r"|tense|voice|terms|language|spelling)\b",
    re.IGNORECASE,
)


def rewords(bare: str) -> bool:
    """Whether an instruction, from its verb on, puts a text into a language, mends it or restyles it."""
    if _MENDS.search(bare) or _RESTYLES.match(bare):
        return True
    if first_word(bare) in _OTHER_WORK:
        return bool(
            re.match(r"what (?:does|do|is) (?:this|it|that|the \w+|these)\b[^.?!]{0,30}\bin\b", bare, re.I)
        ) and (_TO_LANGUAGE.search(bare) is not None)
    return _TRANSLATING.search(bare) is not None or _TO_LANGUAGE.search(bare) is not None
