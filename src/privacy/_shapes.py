"""What a name can look like: vetoes by shape and by word lists, for what a recogniser or a cue proposes.

Rules:

1. An ordinary word, or a term (`data/not_names.txt`), is no name on its own; behind a first name a surname may be one
   ("Rebecca Stone"), and a name that is also a word ("Will") counts where the sentence does not begin.
2. Case tells only where the script has it.
"""

import re
from functools import cache
from typing import Final

from attrs import frozen

from privacy._lists import lines_of, words_of
from privacy.exposure import word_set

TITLES: Final = word_set(
    "mr mrs ms miss mx dr prof professor sir madam dame lord lady judge justice rev reverend father sister "
    "captain capt sgt lt col gen sen rep president herr frau hr fr mme m mlle monsieur madame mademoiselle "
    "señor señora sr sra don doña signor signora dottore dott pan pani doctor nurse rn officer detective"
)
OPENERS: Final = word_set(
    "dear hi hello hey thanks thank cheers regards sincerely best kind warm yours ciao hola bonjour hallo "
    "from to cc bcc re fwd name patient client customer contact attn the a an my our your his her their this "
    "that and or with for by of at in on is was be call email mail tell ask ps p.s i'm im i"
)
PARTICLES: Final = word_set(
    "de da do dos das del della di du la le van von der den ter ten zu zur bin ibn al el ben y e i af av 't"
)
_SUFFIXES: Final = word_set("jr sr ii iii iv phd md esq")
AMBIGUOUS_NAMES: Final = word_set(
    "mark will rose grace hope faith joy may june april bill jack frank grant dean dawn ray art rich drew "
    "chase pat sue gene victor summer autumn ivy lily daisy amber ruby jade iris violet olive hazel heather "
    "holly eve carol penny king rob nick sandy jean max lance chuck wade reid brook angel christian jordan "
    "georgia austin harmony melody robin martin harry dick peter john jimmy jerry terry dale glen cliff rusty "
    "destiny brown green white smith"
)
"""Names that are words, too: alone they count only where the context says so."""
WORD_SURNAMES: Final = word_set(
    "archer baker ball banks barber barker bean bell berry best bird bishop black bond branch bridges brook brooks "
    "bull bush butler carpenter carter cash castle chance church clay cook cooper cotton craft crane cross day dove "
    "drake field fields fisher flowers ford fox french frost gardener gates golden good gray grey hart hill house "
    "hunter keys knight lake lamb lane law little long lord love marsh marshall mason meadows mill miller mills moon "
    "moss noble page park parker pierce pike poole pope porter potter power powers price read reed rice rivers rose "
    "rush sands savage sharp shepherd shields short silver singer small snow sparks spring steel stern stone storm "
    "street strong summers swan sweet tanner taylor temple tower turner walker wall walls ward waters weaver webb "
    "wells west wheeler wild winter winters wise wolf wood woods worth young"
)
"""Surnames that are words: behind a first name they belong to it."""
COMPANY_FORMS: Final = word_set(
    "inc incorporated ltd limited llc llp plc corp corporation co company gmbh ag kg se sa sas sarl srl spa "
    "bv nv ab as oy oyj aps pty group holdings industries enterprises technologies systems solutions partners "
    "associates bank university college school institute hospital clinic center centre foundation society "
    "association agency ministry department laboratories labs consulting studios media airlines motors pharma "
    "pharmaceuticals insurance orchestra council committee union museum church academy robotics logistics "
    "analytics"
)
_COMPANY_FORM_ALONE: Final = word_set("as co se spa ab media school department center centre union")
_INFLECTED: Final = re.compile(r"(?:s|ed|ing|ly)$")
_ARTICLE: Final = re.compile(r"^(?:al|el|ad|an|as|ash|at|az|d|l|o)[-'’](?=\w)")
"""What may stand before a name in one word with it: `al-Sadr`, `d'Arc`."""
_CONTRACTION: Final = re.compile(
    r"(?:i|you|we|they|he|she|it|that|this|there|here|who|what|where|how|let)['’](?:ve|m|re|ll|d|s)|\w+n['’]t"
)
POSSESSIVE: Final = re.compile(r"['’][sS]?$")
WORD: Final = re.compile(r"[^\W_](?:[\w]|['’.\-](?=\w))*\.?")
_EMPLOYED: Final = word_set("at for with by from joined join of employer company client vendor")


@cache
def load_shapes() -> "Shapes":
    """The vetoes over the packaged word lists; read once a process."""
    given = {name.casefold() for line in lines_of("given_names") for name in line.split()[2:]}
    common = frozenset([*lines_of("common_words"), *words_of("small_words")])
    return Shapes(common, frozenset(lines_of("not_names")), frozenset(given))


def is_capital(word: str) -> bool:
    """Whether `word` is written as a name: with a capital, or in a script that has none."""
    bare = _ARTICLE.sub("", word)
    return bare[:1].isalpha() and not bare[:1].islower()


@frozen
class Shapes:
    """What a name can look like."""

    common: frozenset[str]
    """Words that are no name on their own, folded."""
    not_names: frozenset[str]
    """Terms that are not names at all, folded."""
    given: frozenset[str]
    """Common given names, folded."""

    def is_common(self, word: str) -> bool:
        """Whether `word`, in any case, is an ordinary word or a term."""
        folded = word.rstrip(".").casefold()
        folded = POSSESSIVE.sub("", folded)
        if folded in self.common or folded in self.not_names or folded in OPENERS:
            return True
        return _CONTRACTION.fullmatch(word.casefold()) is not None

    def is_word(self, word: str) -> bool:
        """Whether `word` has a meaning beside being a name, as "Will" and "Rose" have."""
        return self.is_common(word) or word.casefold() in AMBIGUOUS_NAMES

    def is_person(self, words: list[str]) -> bool:
        """Whether trimmed `words` can be a person's name."""
        solid = [
            word for word in words if word.casefold() not in PARTICLES and word.rstrip(".").casefold() not in _SUFFIXES
        ]
        if not solid or len(words) > 6:
            return False
        if len(solid) == 1:
            word = solid[0].rstrip(".")
            if len(word) < 2 or (word.isascii() and word.isupper() and len(word) <= 3):
                return False
            if not is_capital(word) and _INFLECTED.search(word):  # "my boss yells"
                return word.casefold() in self.given
            return not self.is_common(word) or (is_capital(word) and word.casefold() in AMBIGUOUS_NAMES)
        small = not any(map(is_capital, solid))
        return any(
            len(word.rstrip(".")) > 1
            and not self.is_common(word)
            and not (small and word.casefold() in (AMBIGUOUS_NAMES | WORD_SURNAMES))  # "brown rice"
            for word in solid
        )

    def is_location(self, words: list[str]) -> bool:
        """Whether `words` can be a place's name."""
        return any(not self.is_common(word) for word in words)

    def is_organization(self, words: list[str]) -> bool:
        """Whether `words` can be an organisation's name."""
        return len(words) > 1 or any(not self.is_common(word) for word in words)


def opens_sentence(text: str, start: int) -> bool:
    """Whether the word at `start` is the first of a sentence, a line or a quotation."""
    before = text[:start].rstrip(" \t\"'“‘(*#->")
    return not before or before[-1] in ".!?:\n•"


def stands_in_code(text: str, start: int, end: int) -> bool:
    """Whether the marks around the span make it a part of an identifier, a path, a call or a handle."""
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    return (
        before in {"`", "_", "/", "\\", "@", "#", "$", "."} or after[:1] in {"`", "_", "\\", "@", "="} or after == "()"
    )
