"""Cues of context in other languages than English: words that introduce a person, a place or an employer.

Rules:

1. A cue says where a name begins; the name is the capital words from there on, with the particles between them. The
   function words of the language end it.
2. Cues of a language are looked for in its stretches alone: "Don" and "pan" are words of others.
3. They need no model, so they are what the languages without one have beside patterns and known names.

`privacy._cues` has those of English, which has many more.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from attrs import frozen

from privacy._shapes import PARTICLES, TITLES
from privacy.exposure import word_set
from privacy.languages import function_words
from privacy.mention import Mention

FOREIGN_CUE_SCORE: Final = 0.85
_SOURCE: Final = "pattern:foreign_cue"
_CAPITAL: Final = r"[^\W\d_a-zà-öø-ÿ](?:\.(?=[ \t])|(?:[^\W\d_]|['’-](?=[^\W\d_]))*)"
_NAME: Final = rf"{_CAPITAL}(?:[ \t](?:(?:{'|'.join(sorted(PARTICLES))})[ \t]){{0,2}}{_CAPITAL}){{0,5}}"
_WORD: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*\.?")

FOREIGN_TITLES: Final = word_set(
    "hr fru frk frøken dhr mevr mevrouw mw sra srta señorita dña d d.ª sig sig.ra dott dottor dottoressa avv avvocato "
    "maître mlle mme mm advokat adwokat pana panu mec senhor senhora doutor doutora dona docteur dra dr prof zeuge "
    "zeugin zeugen richter richterin rechtsanwalt rechtsanwältin angeklagter angeklagte"
)
"""Titles that a recogniser takes for a part of the name."""


@frozen
class _Cues:
    """What introduces somebody in one language, as alternatives of an expression, any case."""

    titles: str
    """What stands right before a name: titles, and who people are in court."""
    introductions: str
    homes: str
    employers: str
    case: str = ""
    """What a case is called, before the names of its parties."""
    against: str = ""
    """What stands between those."""


_CUES: Final[Mapping[str, _Cues]] = {
    "fr": _Cues(
        r"M\.|MM\.|Mme|Mmes|Mlle|Me|Dr|Pr|monsieur|madame|mademoiselle|maître|docteur|professeur|soussignée?|prévenue?|"
        r"témoin|avocate?|juge|greffi(?:er|ère)|(?:ma|sa|mon|son|leur) (?:fille|fils|mari|femme|mère|père|sœur|frère|"
        r"voisine?|tante|oncle|épouse|époux|médecin|patronne?|collègue|amie?)|chère?|bonjour|salut",
        r"je m['’]appelle|(?:mon )?nom est|je suis|nommée?",
        r"(?:j['’]habite|habite|réside|résidant|née?|demeurant) à",
        r"(?:travaille|embauchée?|employée?|salariée?) (?:chez|par)|la société",
        r"affaire",
        r"(?:c\.|contre)",
    ),
    "es": _Cues(
        r"D\.ª?|Dña\.|don|doña|Sr\.|Sra\.|Srta\.|señora?|señorita|Dra?\.|doctora?|acusad[oa]|procuradora?|letrad[oa]|"
        r"abogad[oa]|perit[oa]|testigo|magistrad[oa]|juez|jueza|fiscal|(?:mi|su) (?:hij[oa]|marido|mujer|madre|padre|"
        r"herman[oa]|vecin[oa]|tí[oa]|espos[oa]|jef[ea]|amig[oa])|querid[oa]|estimad[oa]|hola",
        r"me llamo|mi nombre es|se llama|llamad[oa]|soy",
        r"(?:vivo|vive|reside|residente|domicilio|nacid[oa]|natural|vecin[oa]) (?:en|de)",
        r"(?:trabajo|trabaja|empleado) (?:en|para)|la (?:empresa|entidad|mercantil)",
        r"(?:caso|asunto)",
        r"(?:c\.|contra)",
    ),
    "da": _Cues(
        r"hr\.|fru|frk\.|frøken|herr|dr\.|advokat|dommer(?:ne)?|landsdommer|vidnet|tiltalte|sagsøger(?:en)?|sagsøgte|"
        r"forurettede|politiassistent|(?:over)?læge|direktør|forsvarer|anklager|appellanten|indstævnte|"
        r"(?:min|hans|hendes) (?:mand|kone|søn|datter|mor|far|søster|bror|nabo|chef|ven|veninde|fætter|kusine)|kære|"
        r"hej",
        r"jeg hedder|mit navn er|hedder|ved navn|jeg er",
        r"(?:bor|boende|bopæl|født|bosat) (?:nu )?i",
        r"(?:arbejder|ansat) (?:hos|i|ved)|firmaet|selskabet",
        r"sag(?:en)?",
        r"mod",
    ),
    "de": _Cues(
        r"Herrn?|Frau|Dr\.|Prof\.|Zeugen?|Zeugin|Angeklagten?r?|Kläger(?:in|s)?|Beklagten?r?|Richter(?:in)?|"
        r"Rechtsanw[aä]lt(?:in|s)?|Sachverständigen?r?|Beschwerdeführer(?:in)?|(?:mein|sein|ihr)e? (?:Mann|Frau|Sohn|"
        r"Tochter|Mutter|Vater|Schwester|Bruder|Nachbar(?:in)?|Chef(?:in)?|Freund(?:in)?)|liebe[rs]?|hallo",
        r"ich heiße|mein Name ist|namens|ich bin",
        r"(?:wohne|wohnt|wohnhaft|lebt|lebe|geboren) in",
        r"(?:arbeite|arbeitet|angestellt|beschäftigt) bei(?: der)?|die Firma",
        r"Rechtssache",
        r"gegen",
    ),
    "it": _Cues(
        r"sig\.(?:ra)?|signora?|dott\.(?:ssa)?|dottor(?:e|essa)?|avv\.|avvocato|giudice|imputat[oa]|teste|testimone|"
        r"(?:mio|mia|suo|sua) (?:figli[oa]|marito|moglie|madre|padre|sorella|fratello|vicin[oa]|capo|amic[oa])|"
        r"car[oa]|gentile|ciao",
        r"mi chiamo|il mio nome è|sono",
        r"(?:abito|vivo|vive|residente|nat[oa]) (?:a|in)",
        r"(?:lavoro|lavora) (?:per|presso|alla)|la società",
        r"causa",
        r"(?:c\.|contro)",
    ),
    "nl": _Cues(
        r"de heer|dhr\.|mevrouw|mevr\.|mw\.|mr\.|dr\.|getuige|verdachte|rechter|advocaat|"
        r"(?:mijn|zijn|haar) (?:man|vrouw|zoon|dochter|moeder|vader|zus|broer|buurman|buurvrouw|baas|vriendi?n?)|"
        r"beste|geachte|hallo|hoi",
        r"mijn naam is|ik heet|genaamd|ik ben",
        r"(?:woon|woont|wonende|wonend|geboren) (?:in|te)",
        r"(?:werk|werkt|werkzaam) bij|het bedrijf",
        r"zaak",
        r"tegen",
    ),
    "pt": _Cues(
        r"senhora?|Sra?\.|Dra?\.|doutora?|arguid[oa]|advogad[oa]|juiz|juíza|testemunha|recorrente|dona|"
        r"(?:meu|minha|seu|sua) (?:filh[oa]|marido|mulher|esposa|mãe|pai|irmã|irmão|vizinh[oa]|chefe|amig[oa])|"
        r"car[oa]|olá",
        r"(?:o )?meu nome é|chamo-me|me chamo|sou [oa]?",
        r"(?:moro|mora|vivo|vive|residente|nascid[oa]|natural) (?:em|de|no|na)",
        r"(?:trabalho|trabalha) (?:na|no|em|para)|a empresa",
    ),
    "sv": _Cues(
        r"herr|fru|dr|advokat(?:en)?|domaren|vittnet|åklagaren|målsäganden|tilltalade|"
        r"(?:min|hans|hennes) (?:man|fru|son|dotter|mor|far|mamma|pappa|syster|bror|granne|chef|vän)|hej",
        r"jag heter|mitt namn är|heter|jag är",
        r"(?:bor|bosatt|född|boende) i",
        r"(?:jobbar|arbetar|anställd) (?:på|hos)|företaget",
        r"målet",
        r"mot",
    ),
    "no": _Cues(
        r"herr|fru|dr\.|advokat(?:en)?|dommer(?:en)?|vitnet|tiltalte|saksøkte|saksøker(?:en)?|fornærmede|"
        r"(?:min|hans|hennes) (?:mann|kone|sønn|datter|mor|far|søster|bror|nabo|sjef|venn)|kjære|hei",
        r"jeg heter|mitt navn er|heter|jeg er",
        r"(?:bor|bosatt|født) i",
        r"(?:jobber|arbeider|ansatt) (?:hos|i|ved)|selskapet",
        r"sak(?:en)?",
        r"mot",
    ),
    "pl": _Cues(
        r"pan|pani|pana|panu|panem|mec\.|adwokat|sędzia|świadek|oskarżon[yaą]|dr|skarżąc[ya]|"
        r"(?:mój|moja|jego|jej) (?:syn|córka|mąż|żona|matka|ojciec|siostra|brat|sąsiad|sąsiadka|szef|szefowa)",
        r"nazywam się|mam na imię|jestem",
        r"(?:mieszkam|mieszka|zamieszkał[ya]|urodzon[ya]) we?",
        r"(?:pracuję|pracuje) w|firma",
    ),
}


def foreign_cues(text: str, start: int, end: int, language: str) -> Iterator[Mention]:
    """What the cues of `language` find in a stretch of `text`; not sorted."""
    for expression, label in _expressions(language):
        position = start
        while match := expression.search(text, position, end):
            named = [
                mention
                for group in ("one", "name")
                if group in expression.groupindex
                for mention in _named(text, *match.span(group), label, language)
            ]
            yield from named
            # The expression runs on over words that are no name, among which the next cue may stand.
            position = max([match.start("name"), *(mention.end for mention in named)])


@cache
def _expressions(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    cues = _CUES.get(language)
    if cues is None:
        return ()
    found = [
        (re.compile(rf"(?<!\w)(?i:{before}),?[ \t]+(?P<name>{_NAME})"), label)
        for before, label in (
            (cues.titles, "PERSON"),
            (cues.introductions, "PERSON"),
            (cues.homes, "LOCATION"),
            (cues.employers, "ORGANIZATION"),
        )
    ]
    if cues.case:
        parties = rf"(?P<one>{_NAME})[ \t](?i:{cues.against})[ \t](?P<name>{_NAME})"
        found.append((re.compile(rf"(?<!\w)(?i:{cues.case})[ \t]{parties}"), "PERSON"))
    return tuple(found)


def _named(text: str, start: int, end: int, label: str, language: str) -> Iterator[Mention]:
    """The name between `start` and `end`, up to the first function word of the language that is written capital."""
    ordinary = function_words(language)
    first = last = -1
    for word in _WORD.finditer(text, start, end):
        shown = word.group()
        if not shown[0].islower() and shown.casefold() in ordinary and len(shown) > 1:
            break
        if shown.rstrip(".").casefold() in TITLES | FOREIGN_TITLES:
            if first < 0:
                continue
            break  # The next name is behind a cue of its own.
        if shown.casefold() not in PARTICLES:
            first = word.start() if first < 0 else first
            last = word.end() - (shown.endswith(".") and len(shown) > 2)
    if first >= 0 and last - first > 1:
        yield Mention(first, last, label, FOREIGN_CUE_SCORE, _SOURCE)
