"""Recognisers for identifiers that have a form: addresses, numbers, dates.

Theory of operation. A recogniser is two steps: a cheap gate and candidate expression, then a validation that a
chance string does not pass: a checksum, a number plan, a calendar, or a context word that stands as a whole token
just before. A weak shape (nine digits, a capitalised word and a number) is never taken on its own.

Rules:

1. `find(page)` yields mentions in order of their start; mentions of one recogniser do not overlap.
2. Expressions are linear: every repetition is bounded or delimited by what it repeats.
3. A false candidate costs little, a missed identifier is disclosed: where the checksum fails but the sentence says
   what the number is ("my card number is ..."), the words decide.

Sources: E.164 and national plans (`phonenumbers`), ISO/IEC 7812 and ISO 13616 (`stdnum`), RFC 4291 and RFC 791
(`ipaddress`), RFC 3986 for URLs, design section 6.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from privacy.mention import Mention
from privacy.patterns._address import AddressRecogniser
from privacy.patterns._case_number import CaseNumberRecogniser
from privacy.patterns._coordinates import CoordinatesRecogniser
from privacy.patterns._crypto import CryptoAddressRecogniser
from privacy.patterns._dates import DateRecogniser, YearRecogniser
from privacy.patterns._email import EmailRecogniser
from privacy.patterns._named_number import NamedNumberRecogniser
from privacy.patterns._national_id import NationalIdRecogniser
from privacy.patterns._network import IpAddressRecogniser, MacAddressRecogniser, UrlRecogniser
from privacy.patterns._payment import CreditCardRecogniser, IbanRecogniser
from privacy.patterns._phone import DEFAULT_PHONE_REGIONS, PhoneRecogniser
from privacy.patterns._recogniser import Page, Recogniser
from privacy.patterns._respelling import RESPELLED, respellings
from privacy.patterns._secrets import SecretRecogniser
from privacy.patterns._street_words import PLACE, POSTCODE, STATE_NAMES, STATES, UNITS
from privacy.patterns._vehicle import VehicleRecogniser

__all__ = [
    "DEFAULT_PHONE_REGIONS",
    "PLACE",
    "POSTCODE",
    "STATES",
    "STATE_NAMES",
    "UNITS",
    "AddressRecogniser",
    "CaseNumberRecogniser",
    "CoordinatesRecogniser",
    "CreditCardRecogniser",
    "CryptoAddressRecogniser",
    "DateRecogniser",
    "EmailRecogniser",
    "IbanRecogniser",
    "IpAddressRecogniser",
    "MacAddressRecogniser",
    "NamedNumberRecogniser",
    "NationalIdRecogniser",
    "Page",
    "PhoneRecogniser",
    "Recogniser",
    "SecretRecogniser",
    "UrlRecogniser",
    "VehicleRecogniser",
    "YearRecogniser",
    "default_recognisers",
    "find_patterns",
]


def default_recognisers(regions: Sequence[str] = DEFAULT_PHONE_REGIONS) -> tuple[Recogniser, ...]:
    """One of each; `regions` are the ISO 3166 codes whose national telephone numbers are looked for."""
    return (
        EmailRecogniser(),
        UrlRecogniser(),
        CreditCardRecogniser(),
        IbanRecogniser(),
        IpAddressRecogniser(),
        MacAddressRecogniser(),
        PhoneRecogniser(tuple(regions)),
        NationalIdRecogniser(),
        NamedNumberRecogniser(),
        CaseNumberRecogniser(),
        VehicleRecogniser(),
        SecretRecogniser(),
        CryptoAddressRecogniser(),
        CoordinatesRecogniser(),
        AddressRecogniser(),
        DateRecogniser(),
        YearRecogniser(),
    )


def find_patterns(text: str, recognisers: Iterable[Recogniser]) -> list[Mention]:
    """Everything that `recognisers` find, by start; mentions of different recognisers may overlap.

    What is spaced out, spelled out or has letters for digits is read as if it were written as usual.
    """
    page, recognisers = Page(text), tuple(recognisers)
    found = [mention for recogniser in recognisers for mention in recogniser.find(page)]
    known: set[Mention] | None = None
    proving = [recogniser for recogniser in recognisers if recogniser.name in RESPELLED]
    for respelling in respellings(page):
        known, window = set(found) if known is None else known, Page(respelling.view.text)
        reading = [recogniser for recogniser in proving if recogniser.name in respelling.readers]
        for mention in respelling.view.originals(each for recogniser in reading for each in recogniser.find(window)):
            if mention.start < respelling.end and respelling.start < mention.end and mention not in known:
                known.add(mention)
                found.append(mention)
    return sorted(found, key=attrgetter("start", "end", "label", "score", "source"))
