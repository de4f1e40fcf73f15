"""Forms of identifiers: when two of them mean one person or thing, and which says most.

Rules, where a wrong link is worse than a missing one:

1. A form is compared by its words: without case, accents, titles, degrees, legal forms, and the marks in numbers.
2. People are the same when the words of one name are among those of the other. An initial stands for a word, and the
   short form of a given name for the full one (`Bill` is `William Smith`; that a lone `Bill` is a lone `William`,
   nobody knows). `John Smith` is not `John Smith Jr`.
3. Organisations are the same without their legal form and with or without general words behind (`Northwind Traders` is
   `Northwind`, `Apple Records` is not `Apple`), and when one is made of the initials of the other.
4. Places are the same when one is the other with what it lies in (`Paris, France`); `York` is not `New York`.
5. Telephone numbers are the same when one is the other without its country code; everything else when it is equal.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from privacy._names import FEMALE_TITLES, MALE_TITLES, Gender, fold, gender_of, given_forms, is_surname
from privacy.exposure import word_set

NAME_LABELS: Final = frozenset({"PERSON", "ORGANIZATION", "LOCATION"})
TITLES: Final = MALE_TITLES | FEMALE_TITLES | word_set("mx dr prof professor doctor judge justice rev reverend hon")
POSSESSIVE: Final = re.compile(r"['’](?:[sS])?$")
GENERATIONS: Final = word_set("jr sr junior senior ii iii iv")
DEGREES: Final = word_set("phd md esq mba dds dvm jd llm llb bsc msc rn cpa")
LEGAL_FORMS: Final = word_set(
    """
    inc ltd llc llp plc corp corporation co company gmbh ag sa sas srl bv nv oy ab
    """
)
_GENERAL_WORDS: Final = LEGAL_FORMS | word_set(
    """
    airlines associates bank brothers consulting enterprises foods global group holding holdings industries insurance
    international laboratories labs limited logistics manufacturing motors partners pharma pharmaceuticals services
    software solutions stores supplies systems technologies technology traders trading worldwide
    """
)
_LITTLE_WORDS: Final = word_set("of the and for de la le du des der die und et y e & in at on")


def words_of(label: str, form: str) -> tuple[str, ...]:
    """What two forms of `label` are compared by."""
    if label == "PERSON":
        return _person_words(form)
    if label in {"ORGANIZATION", "LOCATION", "ADDRESS"}:
        apart = r"\s*(,)\s*|[^\w&-]+" if label == "LOCATION" else r"[^\w&-]+"
        words = [word for word in re.split(apart, fold(POSSESSIVE.sub("", form)).replace(".", "")) if word]
        while len(words) > 1 and words[0] == "the":
            del words[0]
        while label == "ORGANIZATION" and len(words) > 1 and words[-1] in LEGAL_FORMS:
            del words[-1]
        return tuple(words) or (form.casefold(),)
    if label == "PHONE":
        return _phone_words(form)
    if label in {"CREDIT_CARD", "IBAN"}:
        return (re.sub(r"[\W_]", "", form).casefold() or form,)
    if label == "IP_ADDRESS":
        return (_address(form),)
    if label == "URL":
        return (_url(form),)
    return tuple(fold(form).split()) if label == "DATE_TIME" else (form.strip().casefold(),)


def _person_words(form: str) -> tuple[str, ...]:
    family, comma, given = form.partition(",")
    reverse = comma and not set(_parts(given)) <= GENERATIONS | DEGREES
    words = _parts(f"{given} {family}" if reverse else form)
    while len(words) > 1 and words[0] in TITLES:
        del words[0]
    while len(words) > 1 and words[-1] in DEGREES:
        del words[-1]
    return tuple(words) or (form.casefold(),)


def _parts(form: str) -> list[str]:
    words = re.split(r"[^\w'’-]+", POSSESSIVE.sub("", fold(form)))
    return [word for word in (word.strip("-'’") for word in words) if word]


def _phone_words(form: str) -> tuple[str, ...]:
    """Digits without prefixes, then the extension, if any."""
    number, *extension = re.split(r"\s*(?:#|x|ext\.?|extension)\s*(?=\d+\s*$)", form, flags=re.IGNORECASE)
    digits = "".join(str(unicodedata.digit(char)) for char in number.replace("(0)", "") if char.isdigit())
    return (digits.lstrip("0") or form, *extension[:1])


def _address(form: str) -> str:
    try:
        return str(ipaddress.ip_address(form.strip("[] ")))
    except ValueError:
        return form.casefold()  # a detector's address with a port or prefix length


def _url(form: str) -> str:
    rest = re.sub(r"^[a-z][a-z0-9+.-]*://", "", form.strip(), flags=re.IGNORECASE)
    host, slash, path = rest.partition("/")
    return f"{host.casefold().removeprefix('www.')}{slash}{path}".rstrip("/")


def may_be_same(label: str) -> bool:
    """Whether two forms of `label` with different words may mean one thing."""
    return label in NAME_LABELS or label == "PHONE"


def same(label: str, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two forms of `label`, as their words, mean one thing."""
    short, long = sorted((one, other), key=len)
    if label == "PHONE":
        return _same_phone(one, other)
    if label == "LOCATION":
        return short == long or (long[: len(short)] == short and long[len(short)] == ",")
    if label == "ORGANIZATION":
        return _same_organization(short, long)
    return _same_person(short, long)


def index_words(label: str, words: tuple[str, ...]) -> set[str]:
    """Under what a form is found: any two that are the same share one of these."""
    found = set(words)
    if label == "PHONE":
        return {words[0][-7:]}
    if label == "PERSON":
        return found | given_forms(words[0])
    if label == "ORGANIZATION":
        found.add(_initials(words))
    return found


def _same_phone(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    short, long = sorted((one[0], other[0]), key=len)
    # A national number ends the international one, behind a country code of one to three digits.
    return one[1:] == other[1:] and len(short) >= 7 and len(long) - len(short) <= 3 and long.endswith(short)


def _same_organization(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    if long[: len(short)] == short:
        return all(word in _GENERAL_WORDS for word in long[len(short) :])
    return len(short) == 1 and len(short[0]) >= 3 and short[0] == _initials(long)


def _initials(words: tuple[str, ...]) -> str:
    return "".join(word[0] for word in words if word not in _LITTLE_WORDS)


def _same_person(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    generations = [GENERATIONS.intersection(words[1:]) for words in (short, long)]
    if generations[0] != generations[1] and (all(generations) or sum(len(word) > 1 for word in short) > 1):
        return False
    return _among(short, long) or (len(short) == len(long) and _among(long, short))


def _among(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether each word of `short` is one of `long`, its initial or its short form, and at least one a full word."""
    left = list(long)
    matched = False
    for place, word in enumerate(short):
        if len(word) == 1:
            continue
        if word in left:
            left.remove(word)
            matched = True
        elif place == 0 and len(long) > 1 and left[0] == long[0] and given_forms(word) & given_forms(long[0]):
            del left[0]
            matched = True
        # `John S.` may be the shorter way to write this one.
        elif word[0] in left and len(short) == len(long):
            left.remove(word[0])
        else:
            return False
    for initial in (word for word in short if len(word) == 1):
        meant = next((word for word in left if word.startswith(initial)), None)
        if meant is None:
            return False
        left.remove(meant)
    return matched


def gender_in(words: tuple[str, ...], title: Gender) -> Gender:
    """The gender of a person by the title, else by the given name: a lone word that is a surname, too, is none."""
    if title != "n" or (len(words) == 1 and is_surname(words[0])):
        return title
    return gender_of(words[0])


def fullness(label: str, form: str) -> tuple[int, int, bool, int]:
    words = words_of(label, form)
    return sum(len(word) > 1 for word in words), len(words), not form.isupper(), len(form)


def fullest_form(label: str, forms: Iterable[str]) -> str:
    """The form with most full words, then not all in capitals, then the longest; the earliest of equals."""
    return max(forms, key=lambda form: fullness(label, form))


def has_word(text: str, form: str) -> bool:
    place = text.find(form)
    while place >= 0:
        end = place + len(form)
        if not text[max(place - 1, 0) : place].isalnum() and not text[end : end + 1].isalnum():
            return True
        place = text.find(form, place + 1)
    return False
