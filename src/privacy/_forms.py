"""Forms of identifiers: when two of them mean one person or thing, and which says most.

Rules:

1. A form is compared by its words: without case, accents, titles, legal forms, and the marks in numbers.
2. Names are the same when the words of one are among those of the other, an initial standing for a word; telephone
   numbers when one is the other without its country code; everything else when it is equal.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from privacy.exposure import word_set

NAME_LABELS: Final = frozenset({"PERSON", "ORGANIZATION", "LOCATION"})
TITLES: Final = word_set(
    """
    mr mrs ms miss mx dr prof professor doctor sir madam pan pani herr frau monsieur madame mme senor senora
    """
)
POSSESSIVE: Final = re.compile(r"['’](?:[sS])?$")
_LEGAL_FORMS: Final = word_set(
    """
    inc ltd llc llp plc corp corporation co company gmbh ag sa sas srl bv nv oy ab
    """
)


def fold(form: str) -> str:
    """Without case and accents."""
    decomposed = unicodedata.normalize("NFKD", form).casefold()
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def words_of(label: str, form: str) -> tuple[str, ...]:
    """What two forms of `label` are compared by."""
    if label == "PERSON":
        return _person_words(form)
    if label in {"ORGANIZATION", "LOCATION", "ADDRESS"}:
        words = [word for word in re.split(r"[^\w&-]+", fold(POSSESSIVE.sub("", form)).replace(".", "")) if word]
        while len(words) > 1 and words[0] == "the":
            del words[0]
        while label == "ORGANIZATION" and len(words) > 1 and words[-1] in _LEGAL_FORMS:
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
    folded = fold(f"{given} {family}" if comma else form)
    words = [word.strip("-'’") for word in re.split(r"[^\w'’-]+", POSSESSIVE.sub("", folded))]
    words = [word for word in words if word]
    return tuple(word for word in words if word not in TITLES) or tuple(words) or (form.casefold(),)


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


def same_phone(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    short, long = sorted((one[0], other[0]), key=len)
    # A national number ends the international one, behind a country code of one to three digits.
    return one[1:] == other[1:] and len(short) >= 7 and len(long) - len(short) <= 3 and long.endswith(short)


def same_name(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    short, long = sorted((one, other), key=len)
    return _among(short, long) or (len(short) == len(long) and _among(long, short))


def _among(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether each word of `short` is one of `long`, or its initial, and at least one a full word."""
    left = list(long)
    full = [word for word in short if len(word) > 1]
    for word in full:
        if word in left:
            left.remove(word)
            continue
        # `John S.` may be the shorter way to write this one.
        if word[0] not in left or len(short) != len(long):
            return False
        left.remove(word[0])
    for initial in (word for word in short if len(word) == 1):
        meant = next((word for word in left if word.startswith(initial)), None)
        if meant is None:
            return False
        left.remove(meant)
    return bool(set(full) & set(long))


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
