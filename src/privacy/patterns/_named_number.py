"""Numbers and secrets that have no form of their own: the words before them say what they are.

Rules: a strong name ("passport") needs no more, a weak one ("case") also "number", a colon, or a token that is
plainly a number; a year or a date is neither; what follows a name and is no number may itself be a name.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from privacy.mention import Mention
from privacy.patterns._recogniser import digits_in, has_digits, mention_of


@frozen
class ContextIdRecogniser:
    """Numbers of records, accounts, documents and devices: the name of the number, then something of its shape.

    Strong names ("passport", "MRN") need no more than a following token with digits; weak ones ("case", "account")
    also need "number", "no", "id" or a colon. Prefixed forms (`MRN-123456`) and hardware addresses name themselves.
    """

    name = "context_id"
    _strong = (
        r"passport|driver['’]?s?[ -]licen[cs]e|driving licen[cs]e|licen[cs]e plate|number plate|mrn|medical record|"
        r"patient id|health insurance|npi|dea|vin|vehicle identification|ssn|social security|national id|tax id|"
        r"taxpayer id|employer identification|ein|nhs|sort code|routing|swift|bic|aadhaa?r|pan card|voter id|visa|"
        r"nino|national insurance|steuer-?id|personalausweis|pesel|dni|nie|bsn|imei|iccid|student id|employee id|"
        r"badge|prescription|policyholder id|customer id|member id|user ?id|username|user name|login|"
        r"screen name|twitter|"
        r"instagram|handle|pnr|crypto address|bitcoin address|biometric id|insurance id|account id|"
        r"device id|uuid|reference id"
    )
    _weak = (
        r"account|acct|a/c|case|claim|policy|member|membership|order|invoice|ticket|booking|reservation|"
        r"reference|ref|file|"
        r"docket|application|customer|client|patient|employee|insurance|licen[cs]e|permit|certificate|"
        r"registration|contract|"
        r"identification|id|record|serial|tracking|bank account|konto|dossier|matricule|card"
    )
    _qualifier = r"(?:number|numbers|num|no|nr|nº|n°|#|code|id|card|details?|information)"
    _filler = r"(?:[ \t]*(?:is|was|are|of|to|ending(?: in| with)?|:|=|#|[\"'(*]|-(?=[ \t]))[ \t]*){0,4}"
    _shape = r"(?P<id>[A-Za-z0-9@](?:[A-Za-z0-9._:/-]|[ ](?=\d)){2,40})"
    _expressions = (
        re.compile(
            rf"(?<![^\W_])(?:{_strong})(?:['’]s)?(?:[ \t_-]*{_qualifier}\b\.?){{0,3}}[ \t]*{_filler}[ \t]*{_shape}",
            re.IGNORECASE,
        ),
        re.compile(
            rf"(?<![^\W_])(?:{_weak})[ \t_-]*(?:{_qualifier}(?!\w)\.?|(?=[:#][ \t]*[\"']?\w))"
            rf"(?:[ \t]*{_qualifier}(?!\w)\.?)?[ \t]*{_filler}[ \t]*{_shape}",
            re.IGNORECASE,
        ),
        re.compile(
            r"(?<![^\W_])(?:invoice|booking|claim|ticket|case|policy|account|acct|reservation|reference|membership|contract)"
            r"[ \t]+#?(?P<id>(?=[A-Z-]{0,6}\d{4}|\d{1,6}-\d)[A-Z0-9][A-Z0-9-]{4,20})(?![\w-])",
            re.IGNORECASE,
        ),
        re.compile(
            r"(?<![^\W_])(?:card|account|visa|mastercard|amex|iban|number|phone|ssn)[ \t]+(?:that[ \t]+)?"
            r"(?:ending|ends)(?:[ \t]+(?:in|with|on))?[ \t]+[*x•…]{0,12}(?P<id>\d{3,6})(?!\w)",
            re.IGNORECASE,
        ),
        re.compile(
            r"(?<![\w-])(?P<id>(?:MRN|NHS|SSN|PAT|PID|INS|POL|EMP|NID|CLM|ACC|ACCT|CUST|CASE|PASS|DL|RX|"
            r"BIO|ENC|CASE)[-_#][A-Za-z0-9-]{4,30})(?!\w)"
        ),
        re.compile(r"(?<![\w:.-])(?P<id>(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?![\w:-])"),
    )
    _year = re.compile(r"(?:19|20)\d{2}")
    _date = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")

    def find(self, text: str) -> Iterator[Mention]:
        if not has_digits(text, 3):
            return
        spans: set[tuple[int, int]] = set()
        for expression in self._expressions:
            position = 0
            while match := expression.search(text, position):
                start, end = match.span("id")
                while end > start and text[end - 1] in ".:/-_ ":
                    end -= 1
                is_number = self._has_shape(text[start:end])
                if is_number:
                    spans.add((start, end))
                # What is no number may be the name of one: "login: username amy77".
                position = match.end() if is_number else max(start, match.start() + 1)
        taken = 0
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                yield mention_of(start, end, "ID", self.name)

    def _has_shape(self, token: str) -> bool:
        digits = len(digits_in(token))
        if self._year.fullmatch(token) or self._date.fullmatch(token) or "//" in token:
            return False
        letters = sum(map(str.isalpha, token))
        return digits >= 3 or (digits >= 2 and letters >= 4)


@frozen
class SecretRecogniser:
    """Passwords and keys: what follows "password", and the published prefixes of providers' keys and tokens."""

    name = "secret"
    _named = re.compile(
        r"(?<![^\W_])(?:password|passwd|passcode|passphrase|pwd|pin(?: code)?|api[ _-]?key|secret key|"
        r"access[ _-]?token)"
        r"(?:[ \t]+(?:is|was|of|to)|[ \t]*[:=])?[ \t]*[\"'“‘(]?"
        r"(?P<id>[^\s\"'”’<>]{4,128})",
        re.IGNORECASE,
    )
    _prefixed = re.compile(
        r"(?<!\w)(?:sk_(?:live|test)_\w{8,}|sk-[\w-]{20,}|gh[pousr]_\w{20,}|xox[abpr]-[\w-]{10,}|"
        r"AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}(?:\.[\w-]{4,}){1,2})"
    )

    def find(self, text: str) -> Iterator[Mention]:
        spans = {match.span() for match in self._prefixed.finditer(text)}
        for match in self._named.finditer(text):
            token = match["id"].rstrip(".,;:!?)")
            if self._is_secret(token):
                spans.add((match.start("id"), match.start("id") + len(token)))
        taken = 0
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start >= taken:
                taken = end
                yield mention_of(start, end, "ID", self.name)

    def _is_secret(self, token: str) -> bool:
        has_digit = any(map(str.isdigit, token))
        if token.isdigit():
            return 4 <= len(token) <= 12
        code = any(mark in token for mark in "()[]{}")
        return not code and has_digit and any(map(str.isalpha, token))
