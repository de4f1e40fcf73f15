"""Keys, tokens and passwords: by the prefixes that their issuers publish, by their armour, and by their names.

Rules: what follows "password" or a name that ends in "key", "token" or "secret" counts where it looks like one, not
like a word or like code that reads it from somewhere; a random string without either name or prefix may be a hash and
is left alone.

Sources: the issuers' documentation of their tokens' forms (for secret scanning); RFC 7468 for PEM, RFC 7519 for JSON
web tokens.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, mention_of

_PASSWORDS: Final = (
    "password", "passwd", "passcode", "passphrase", "passwort", "kennwort", "contraseña", "parola", "wachtwoord",
    "hasło", "adgangskode", "kodeord", "lösenord", "senha", "pwd", "passe", "pin", "puk", "pass",
)  # fmt: skip
_KEYS: Final = (
    "apikey",
    "secretkey",
    "accesskey",
    "secret",
    "token",
    "bearer",
    "basic",
    "credential",
    "credentials",
    "key",
    "auth",
)
_CLOSING: Final = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»"}


@frozen
class SecretRecogniser:
    """Private keys, tokens of known issuers, and what is named a password, key, token or secret in prose or code."""

    name = "secret"
    _token = re.compile(r"(?<![\w.-])[\w.-]{16,}")
    _issued = re.compile(
        r"(?:A(?:KIA|SIA|GPA|IDA|ROA)[0-9A-Z]{16}|gh[pousr]_\w{20,255}|github_pat_\w{22,255}|gl(?:pat|rt|dt|ptt)-[\w-]{20,64}|"
        r"xox[abeoprs]-[\w-]{10,255}|xapp-[\w-]{10,255}|[sr]k[_-](?:live|test)[_-]\w{8,255}|whsec_\w{16,128}|"
        r"sk-(?:proj-|ant-|svcacct-|or-|admin-)?[\w-]{20,255}|AIza[\w-]{35}|GOCSPX-[\w-]{20,64}|ya29\.[\w.-]{20,512}|"
        r"SG\.[\w-]{16,32}\.[\w-]{16,64}|SK[0-9a-f]{32}|npm_\w{36}|pypi-[\w-]{50,512}|do[opr]_v1_[0-9a-f]{64}|"
        r"hf_[A-Za-z]{30,40}|shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}|key-[0-9a-f]{32}|sq0[a-z]{3}-[\w-]{22,64}|"
        r"hvs\.[\w-]{20,512}|lin_api_\w{40}|ntn_\w{40,64}|secret_\w{43}|dapi[0-9a-f]{32}|sbp_[0-9a-f]{40}|"
        r"dckr_pat_[\w-]{20,64}|ATATT3[\w-]{20,512}|figd_[\w-]{20,64}|gsk_\w{40,64}|r8_\w{37}|xai-\w{40,128}|"
        r"pplx-\w{40,64}|AGE-SECRET-KEY-1[0-9A-Z]{58}|NRAK-[0-9A-Z]{27}|EAAC[\w]{20,512}|tskey-[\w-]{20,128}|"
        r"eyJ[\w-]{8,4096}(?:\.[\w-]{4,8192}){1,2}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40})(?![\w-])"
    )
    _bot = re.compile(r"\d{8,10}:[\w-]{35}(?![\w-])")
    _armour = "-----BEGIN "
    _armour_begin = re.compile(r"-----BEGIN (?:[A-Z0-9 ]{0,30})PRIVATE KEY(?: BLOCK)?-----")
    _armour_end = re.compile(r"-----END (?:[A-Z0-9 ]{0,30})PRIVATE KEY(?: BLOCK)?-----")
    _armour_rest = re.compile(r"[A-Za-z0-9+/=\s\\:,.-]*")
    _said = re.compile(
        r"[\"'’”»\]*`]{0,3}(?:[ \t](?:number|code|value|string|hash|phrase|field|id))?[ \t]{0,3}"
        r"(?P<mark>(?:=>|:=|={1,3}|:)[ \t]{0,3}|\(?(?:is|was|are|ist|lautet|est|es|è|er|is now)[ \t]{1,3}(?::[ \t]?)?|"
        r"[ \t]{1,3})(?P<quote>[\"'“‘«(`]{0,2})"
    )
    _value = re.compile(r"[^\s\"'”’<>`,;]{4,512}")
    _pair = re.compile(
        r"(?<=@)[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}(?: ?[/|] ?|:)"
        r"(?P<value>[^\s\"'”’<>`,;/|@]{6,64})(?![^\s.,;:!?)\"'”’])"
    )
    _max_quoted = 256
    _read_elsewhere = re.compile(
        r"[$%{<(\[]|(?:os|process|config|settings|env|self|this|args|request|req|secrets|getenv|System|Env)\b[.\[(:]|\*+$|"
        r".*[(\[{]|(?:your|my|the|change|example|dummy|placeholder|redacted)[_-]|https?:",
        re.IGNORECASE,
    )
    _words = word_set("none null true false undefined required string str input text number bool int empty reset")
    _marks = re.compile(r"[!@#$%^&*+=?~§|\\]")

    def find(self, page: Page) -> Iterator[Mention]:
        spans = [*self._issued_spans(page.text), *self._named_spans(page)]
        if "@" in page.text:
            spans += self._paired_spans(page.text)
        if self._armour in page.text:
            spans += self._armoured_spans(page.text)
        for start, end in apart(spans):
            yield mention_of(start, end, "SECRET", self.name)

    def _issued_spans(self, text: str) -> Iterator[tuple[int, int]]:
        for token in self._token.finditer(text):
            start = token.start()
            if match := self._issued.match(text, start):
                yield match.span()
            elif token.end() - start == 35 and text[start - 1 : start] == ":":
                digits = start - 1
                while digits > 0 and start - digits < 12 and text[digits - 1].isdigit():
                    digits -= 1
                if self._bot.match(text, digits):
                    yield digits, token.end()

    def _paired_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Passwords behind the address that they belong to ("ann@mail.example / W!nter24")."""
        for pair in self._pair.finditer(text):
            value = pair["value"].rstrip(".,:;!?)]}")
            if len(value) >= 6 and self._is_password(value, explicit=True, quoted=False) and not value.isdigit():
                yield pair.start("value"), pair.start("value") + len(value)

    def _armoured_spans(self, text: str) -> Iterator[tuple[int, int]]:
        position, last_end = 0, -1
        while begin := self._armour_begin.search(text, position):
            if last_end != 0 and last_end < begin.end():
                ending = self._armour_end.search(text, begin.end())
                last_end = ending.end() if ending else 0  # none from here on: not looked for again
            rest = self._armour_rest.match(text, begin.end())
            position = last_end or (rest.end() if rest else begin.end())
            yield begin.start(), position

    def _named_spans(self, page: Page) -> Iterator[tuple[int, int]]:
        for word in page.vocabulary:
            if not word.endswith(_ENDINGS):
                continue
            is_password = word.endswith(_PASSWORDS)
            if word.endswith(_SHORT) and word not in _SHORT:
                continue
            for place in page.words.get(word, ()):
                if span := self._named_at(page.text, place + len(word), is_password=is_password, word=word):
                    yield span

    def _named_at(self, text: str, end: int, *, is_password: bool, word: str) -> tuple[int, int] | None:
        said = self._said.match(text, end)
        if said is None:
            return None
        start, quote = said.end(), said["quote"][-1:]
        closing = _CLOSING.get(quote)
        stop = text.find(closing, start, start + self._max_quoted) if closing else -1
        if stop > start and "\n" not in text[start:stop]:
            value = text[start:stop]
        else:
            match = self._value.match(text, start)
            if match is None:
                return None
            value = match.group().rstrip(".,:?)]}" if is_password else ".,:;!?)]}")
        explicit = bool(said["mark"].strip()) or bool(quote)
        if word in _SHORT and not said["mark"].strip(" \t") and not value.isdigit():
            return None
        good = (
            self._is_password(value, explicit=explicit, quoted=bool(closing))
            if is_password
            else explicit and self._is_key(value)
        )
        if word in {"bearer", "basic"}:
            good = self._is_key(value)
        return (start, start + len(value)) if good else None

    def _is_password(self, value: str, *, explicit: bool, quoted: bool) -> bool:
        if self._read_elsewhere.match(value) or value.casefold() in self._words or len(value) < 4:
            return False
        if value.isdigit():
            return len(value) <= 12
        has_letter, has_digit = any(map(str.isalpha, value)), any(map(str.isdigit, value))
        if quoted and explicit:
            return has_letter and (has_digit or self._marks.search(value) is not None or value != value.lower())
        if " " in value or not has_letter:
            return False
        return has_digit or (explicit and self._marks.search(value) is not None)

    def _is_key(self, value: str) -> bool:
        """Whether `value` is long and random enough for a key; words and code that reads one are not."""
        if not 8 <= len(value) <= 512 or self._read_elsewhere.match(value) or " " in value:
            return False
        has_digit, has_letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
        if has_digit and value.islower() and "+" in value:
            return False  # "name+id+base64" is a form
        if not (has_digit and has_letter):
            return len(value) >= 20 and not value.islower() and not value.isdigit() and _entropy(value) > 4
        return _entropy(value) >= (2.5 if len(value) < 16 else 3.0)


_ENDINGS = _PASSWORDS + _KEYS
_SHORT = ("pin", "puk", "pass", "passe", "key", "auth", "basic", "parola")
"""Endings of many words ("monkey", "bypass"): these count as whole words only."""


def _entropy(text: str) -> float:
    """Bits per character, by the frequencies in `text` itself."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
