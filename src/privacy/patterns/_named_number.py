"""Numbers that have no form of their own: the words before them say what they are.

Rules: a strong name ("passport") needs no more, a weak one ("case") also "number", a colon, or a token that is
plainly a number; a year or a date is neither; what follows a name and is no number may itself be a name.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import DIGIT, Page, digits_in, mention_of

_STRONG: Final = {
    "ID": (
        "passport|driver's license|driver's licence|drivers license|drivers licence|driver license|driver licence|"
        "driving licence|driving license|mrn|medical record|patient id|health insurance|npi|dea|vin|"
        "vehicle identification|sort code|routing|swift|bic|voter id|visa|imei|imsi|iccid|meid|student id|employee id|"
        "badge|prescription|rx|policyholder id|customer id|member id|user id|username|user name|login|screen name|"
        "twitter|instagram|handle|pnr|biometric id|insurance id|account id|device id|uuid|reference id|ifsc|upi|"
        "reisepass|reisepassnummer|führerschein|führerscheinnummer|personalausweis|personalausweisnummer|ausweisnummer|"
        "kundennummer|kontonummer|versicherungsnummer|versichertennummer|aktenzeichen|mitgliedsnummer|"
        "passeport|permis de conduire|pasaporte|passaporto|carnet de conducir|patente di guida|paspoort|rijbewijs|"
        "sagsnummer|sagsnr|journalnummer|kundenr|kontonr|expediente|matrícula profesional"
    ),
    "NATIONAL_ID": (
        "ssn|social security|national id|tax id|taxpayer id|employer identification|ein|tin|nhs|nino|"
        "national insurance|aadhaar|aadhar|pan card|pan|steuer-id|steuer id|steuernummer|pesel|dni|nie|bsn|itin|cpf|"
        "curp|cédula|codice fiscale|numéro de sécurité sociale|sécurité sociale|cpr|cpr-nr|"
        "personnummer|sozialversicherungsnummer"
    ),
    "CRYPTO_ADDRESS": "crypto address|bitcoin address|btc address|ethereum address|eth address",
    "VEHICLE_PLATE": (
        "license plate|licence plate|number plate|registration plate|plate|kennzeichen|plaque d'immatriculation|"
        "immatriculation|targa|kenteken|nummerplade|registreringsnummer|nummernschild"
    ),
}
_WEAK: Final = {
    "ID": (
        "account|acct|acc|a/c|case|claim|policy|member|membership|order|invoice|ticket|booking|reservation|reference|"
        "ref|file|docket|application|customer|client|patient|employee|insurance|license|licence|permit|certificate|"
        "registration|contract|identification|id|record|serial|tracking|bank account|konto|dossier|matricule|card|"
        "device|police|incident|complaint|warrant|chart|specimen|sample|lab|prescription|vertrag|rechnung|commande|"
        "facture|contrat|pedido|factura|contrato|póliza|sag|zaak|fascicolo|pratica|kundenummer"
    )
}
_QUALIFIER: Final = (
    r"(?:numbers?|num|no|nr|nº|n°|#|codes?|ids?|card|details?|information|nummer|número|numéro|numero|núm|identifier)"
)
_FILLER: Final = (
    r"(?:[ \t]*(?:is|was|are|of|to|ist|est|es|è|er|ending(?: in| with)?|[:=#\"'’‘“(*`]|-(?=[ \t]))[ \t]*){0,5}"
)
_SHAPE: Final = r"(?P<id>[A-Za-z0-9@](?:[A-Za-z0-9._:/@-]|[ ](?=\d)){2,40})"


@cache
def _compiled(source: str) -> re.Pattern[str]:
    """There are a thousand of them: each is made when its first word first stands in a text."""
    return re.compile(source, re.IGNORECASE)


def _by_first_word(table: dict[str, str], after: str) -> dict[str, list[tuple[str, str]]]:
    """The source of an expression for the names with one first word, and what they name; `after` follows the name."""
    names: dict[tuple[str, str], list[str]] = {}
    for label, phrases in table.items():
        for phrase in phrases.split("|"):
            written = re.escape(phrase.casefold()).replace(r"\ ", r"[ \t_-]{0,2}").replace("'", "['’]?")
            first = re.match(r"[^\W\d_]+", phrase.casefold())
            assert first is not None, phrase
            names.setdefault((first.group(), label), []).append(written)
            joined = phrase.casefold().replace(" ", "")
            if joined != first.group():
                names.setdefault((joined, label), []).append(joined)
            for suffix in ("number", "no", "id", "nr", "num", "code"):  # accountNumber, caseNo
                names.setdefault((joined + suffix, label), []).append(joined)
    expressions: dict[str, list[tuple[str, str]]] = {}
    for (first_word, label), phrases_of in names.items():
        choices = "|".join(sorted(set(phrases_of), key=lambda written: (-len(written), written)))
        expressions.setdefault(first_word, []).append((rf"(?:{choices}){after}", label))
    return expressions


def _rank(span: tuple[int, int, str]) -> tuple[int, int, bool, str]:
    """By place; the longer one first, then the one that says more than `ID`."""
    start, end, label = span
    return start, -end, label == "ID", label


@frozen
class NamedNumberRecogniser:
    """Numbers of records, accounts, documents and devices: the name of the number, then something of its shape.

    Strong names ("passport", "MRN") need no more than a following token with digits; weak ones ("case", "account")
    also need "number", "no", "id" or a colon. Prefixed forms (`MRN-123456`) name themselves.
    """

    name = "named_number"
    _strong = _by_first_word(
        _STRONG,
        rf"(?![^\W_a-z])(?:['’]s)?(?:[ \t_-]*{_QUALIFIER}(?![^\W_])\.?){{0,3}}(?![^\W_])[ \t]*{_FILLER}[ \t]*{_SHAPE}",
    )
    _weak = _by_first_word(
        _WEAK,
        rf"[ \t_-]*(?:{_QUALIFIER}(?![^\W_])\.?|(?=[:#=][ \t]*[\"']?\w))"
        rf"(?:[ \t]*{_QUALIFIER}(?!\w)\.?)?[ \t]*{_FILLER}[ \t]*{_SHAPE}",
    )
    _plain = _by_first_word(
        {
            "ID": "invoice|booking|claim|ticket|case|policy|account|acct|reservation|reference|membership|contract|"
            "docket|order|tracking|shipment|flight booking"
        },
        r"[ \t]+#?(?P<id>(?=[A-Z-]{0,6}\d{4}|\d{1,6}-\d)[A-Z0-9][A-Z0-9-]{4,20})(?![\w-])",
    )
    _ending = _by_first_word(
        {"ID": "card|account|visa|mastercard|amex|iban|number|phone|ssn|konto|carte|tarjeta"},
        r"[ \t]+(?:that[ \t]+)?(?:information[ \t]+|details[ \t]+)?(?:ending|ends)(?:[ \t]+(?:in|with|on))?"
        r"[ \t]+[*x•…]{0,12}(?P<id>\d{3,6})(?!\w)",
    )
    _prefixed = re.compile(
        r"(?<![\w-])(?P<id>(?:MRN|NHS|SSN|PAT|PID|INS|HIN|POL|EMP|NID|CLM|ACC|ACCT|CUST|CASE|PASS|DL|RX|TAX|"
        r"BIO|ENC|INV|TKT|REF|BKG)[-_#][A-Za-z0-9-]{4,30})(?!\w)"
    )
    _prefixes = word_set(
        "mrn nhs ssn pat pid ins hin pol emp nid clm acc acct cust case pass dl rx tax bio enc inv tkt ref bkg"
    )
    _reach = 120
    _names = (_strong, _weak, _plain, _ending)
    _first_words = frozenset().union(*_names)
    _year = re.compile(r"(?:19|20)\d{2}")
    _version = re.compile(r"[A-Za-z]{2,}[ -]v?\d{1,2}(?:\.\d{1,2}){1,2}")  # "Apache-2.0"
    _assigned = re.compile(r"[ \t]=[ \t]\d{1,4}\Z")  # code: "NO_RESERVATION = 204"
    _date = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")

    def find(self, page: Page) -> Iterator[Mention]:
        if page.digits < 2:
            return
        taken = 0
        for start, end, label in sorted(self._spans(page), key=_rank):
            if start >= taken:
                taken = end
                yield mention_of(start, end, label, self.name)

    def _spans(self, page: Page) -> Iterable[tuple[int, int, str]]:
        text = page.text
        spans: set[tuple[int, int, str]] = set()
        for word in page.vocabulary & self._first_words:
            # The number stands within the reach of what may be between it and its name.
            places = [place for place in page.words.get(word, ()) if DIGIT.search(text, place, place + self._reach)]
            for source, label in (pair for names in self._names for pair in names.get(word, ()) if places):
                expression = _compiled(source)
                for place in places:
                    if (match := expression.match(text, place)) is None:
                        continue
                    start, end = match.span("id")
                    while end > start and text[end - 1] in ".:/-_ ":
                        end -= 1
                    if self._has_shape(text[start:end]) and not self._assigned.search(text, start - 3, end):
                        spans.add((start, end, label))
        if page.vocabulary & self._prefixes:
            for match in self._prefixed.finditer(text):
                if self._has_shape(match.group()):
                    spans.add((*match.span(), "ID"))
        return spans

    def _has_shape(self, token: str) -> bool:
        digits = len(digits_in(token))
        if self._year.fullmatch(token) or self._date.match(token) or "//" in token:
            return False
        letters = sum(map(str.isalpha, token))
        if self._version.fullmatch(token) or ("/" in token and letters > 2 * digits):
            return False
        return digits >= 3 or (digits >= 2 and letters >= 4)
