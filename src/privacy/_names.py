"""What is known of people's names: gender, culture, and which given names are forms of one another.

Rules:

1. The tables are lists of our own (`data/given_names.txt`, `surnames.txt`, `nicknames.txt`), read once, when a name is
   first asked about.
2. A name that is in no list, or in lists that disagree, has no gender, and the culture that its ending tells, if any.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final, Literal

from attrs import frozen

from privacy._lists import lines_of
from privacy.exposure import word_set

Gender = Literal["m", "f", "n"]
"""`n` where a name is for either, or nobody knows."""

COMMON_CULTURE: Final = "en"
CULTURES: Final = ("en", "es", "fr", "de", "it", "pl", "nd", "ru", "in", "ar", "cn", "jp")
"""Those of the lists; `nd` are the Nordic countries."""
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})
_ENDINGS: Final = (
    (re.compile(r"(?:sk[iay]|cki|cka|wicz|czyk|czak)$"), "pl"),
    (re.compile(r"(?:[oe]v|[oe]va|enko)$"), "ru"),
    (re.compile(r"(?:sson|sen|qvist|gaard)$"), "nd"),
    (re.compile(r"[aeo]z$"), "es"),
    (re.compile(r"(?:elli|etti|ini|ucci)$"), "it"),
    (re.compile(r"(?:stein|mann|bauer|meier)$"), "de"),
)
MALE_TITLES: Final = word_set("mr mister sir lord herr monsieur pan senor signor don father brother")
FEMALE_TITLES: Final = word_set("mrs ms miss madam lady dame frau madame mme mlle pani senora senorita signora sister")


def fold(form: str) -> str:
    """Without case and accents."""
    decomposed = unicodedata.normalize("NFKD", form).casefold()
    return "".join(char for char in decomposed if not unicodedata.combining(char)).translate(_LETTERS)


def read_list(name: str) -> Iterator[list[str]]:
    """The lines of the word list `name`, split into words, without comments."""
    return (line.split() for line in lines_of(name))


@frozen
class _Given:
    genders: Mapping[str, frozenset[str]]
    cultures: Mapping[str, Sequence[str]]
    pools: Mapping[tuple[str, str], Sequence[str]]


@frozen
class _Surnames:
    cultures: Mapping[str, Sequence[str]]
    pools: Mapping[tuple[str, str], Sequence[str]]


@cache
def _given() -> _Given:
    genders: dict[str, set[str]] = defaultdict(set)
    cultures: dict[str, list[str]] = defaultdict(list)
    pools: dict[tuple[str, str], list[str]] = defaultdict(list)
    for culture, gender, *names in read_list("given_names"):
        for name in names:
            genders[fold(name)].add(gender)
            cultures[fold(name)].append(culture)
            pools[culture, gender].append(name)
    return _Given({name: frozenset(found) for name, found in genders.items()}, dict(cultures), dict(pools))


@cache
def _surnames() -> _Surnames:
    cultures: dict[str, list[str]] = defaultdict(list)
    pools: dict[tuple[str, str], list[str]] = defaultdict(list)
    for culture, *names in read_list("surnames"):
        for name in names:
            male, _, female = name.partition("/")
            for form in filter(None, (male, female)):
                cultures[fold(form)].append(culture)
            pools[culture, "m"].append(male)
            pools[culture, "f"].append(female or male)
            if not female:
                pools[culture, "n"].append(male)
    return _Surnames(dict(cultures), dict(pools))


@cache
def _full_names() -> dict[str, frozenset[str]]:
    full: dict[str, set[str]] = defaultdict(set)
    for name, *short in read_list("nicknames"):
        for form in short:
            full[fold(form)].add(fold(name))
    return {form: frozenset(names) for form, names in full.items()}


def given_forms(word: str) -> frozenset[str]:
    """A folded given name, and the full names that it may be short for; two that share one may be one name."""
    return _full_names().get(word, frozenset()) | {word}


def is_given_name(word: str) -> bool:
    """Whether a folded word is a given name, or short for one."""
    return word in _given().genders or word in _full_names()


def is_surname(word: str) -> bool:
    """Whether a folded word is a surname."""
    return word in _surnames().cultures


def gender_of(word: str) -> Gender:
    """The gender of a folded given name, or of those that it is short for."""
    genders = _given().genders
    found = genders.get(word) or frozenset().union(*(genders.get(full, ()) for full in given_forms(word)))
    return "m" if found == {"m"} else "f" if found == {"f"} else "n"


def title_gender(word: str) -> Gender:
    """The gender that a folded title tells."""
    return "m" if word in MALE_TITLES else "f" if word in FEMALE_TITLES else "n"


def culture_of(words: Sequence[str]) -> str:
    """The culture that most of the folded `words` of a name belong to; of equals the surname's, then the first listed.

    Where no list knows any, the one that the last word's ending tells, or the most common one.
    """
    votes: Counter[str] = Counter()
    for word in reversed(words):
        votes.update(list(dict.fromkeys((*_surnames().cultures.get(word, ()), *_given().cultures.get(word, ())))))
    if votes:
        return votes.most_common(1)[0][0]
    last = words[-1] if words else ""
    return next((culture for ending, culture in _ENDINGS if ending.search(last)), COMMON_CULTURE)


def given_names(culture: str, gender: Gender) -> Sequence[str]:
    """Given names of that kind, in the order of the list."""
    return _given().pools.get((culture, gender), ())


def surnames(culture: str, gender: Gender) -> Sequence[str]:
    """Surnames of that kind, in the order of the list."""
    return _surnames().pools.get((culture, gender), ())
