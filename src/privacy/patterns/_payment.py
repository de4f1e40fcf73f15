"""Payment numbers: cards and bank accounts, both with a check digit.

Rules: the longest run of groups with the right check digit is the number; behind "card" or "IBAN" a wrong digit is a
typing error, and the number counts all the same.
"""

import re
from collections.abc import Iterator

from attrs import frozen
from stdnum import iban, luhn

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import DIGIT, Page, digits_in, group_ends, mention_of, words_before


@frozen
class CreditCardRecogniser:
    """Payment cards: 13 to 19 digits with single separators, a known issuer prefix and the Luhn check digit.

    After the word "card" a wrong check digit is a typing error, and twelve digits (old Maestro) are enough.
    Source: ISO/IEC 7812-1.
    """

    name = "credit_card"
    _candidate = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){11,18}(?!\w|[.-]\d)")
    _issuer = re.compile(
        r"1800|2131|3(?:0[0-5]|[4-9])|4|5[0-9]|6(?:011|04|3[0-9]|4[4-9]|5|2|7|9|0)|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"
    )
    _context = word_set("card cards visa mastercard amex maestro discover kreditkarte karte carte tarjeta carta cc")

    def find(self, page: Page) -> Iterator[Mention]:
        if page.digits < 12:
            return
        text, position = page.text, 0
        while match := self._candidate.search(text, position):
            end = self._end(text, match)
            position = end or match.end()
            if end:
                yield mention_of(match.start(), end, "CREDIT_CARD", self.name)

    def _end(self, text: str, match: re.Match[str]) -> int | None:
        """The end of the longest run of groups that is a card; an expiry date may follow the number."""
        start = match.start()
        is_issued = self._issuer.match(digits_in(match.group())) is not None
        for end in group_ends(text, start, match.end()) if is_issued else ():
            digits = digits_in(text[start:end])
            if len(digits) >= 13 and luhn.is_valid(digits) and len(set(digits)) > 1:
                return end
        said = not self._context.isdisjoint(words_before(text, start)[-3:])
        return match.end() if said else None


@frozen
class IbanRecogniser:
    """International bank account numbers, by length and modulo-97 check; after the word IBAN by country and shape.

    Source: ISO 13616.
    """

    name = "iban"
    _candidate = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
    _group_end = re.compile(r"[A-Za-z0-9](?![A-Za-z0-9])")

    def find(self, page: Page) -> Iterator[Mention]:
        if page.digits < 10:
            return
        text, position = page.text, 0
        while candidate := self._candidate.search(text, position):
            end = self._end(text, candidate.start(), candidate.end())
            if end is None:
                position = candidate.start() + 2
                continue
            position = end
            yield mention_of(candidate.start(), end, "IBAN", self.name)

    def _end(self, text: str, start: int, stop: int) -> int | None:
        ends = [match.end() for match in self._group_end.finditer(text, start, stop)]
        if ends and ends[-1] == stop and text[stop : stop + 1].isalnum():
            ends.pop()
        for end in reversed(ends):
            if iban.is_valid(text[start:end], check_country=False):
                return end
        said = "iban" in words_before(text, start)[-3:]
        if not said:
            return None
        # The words say what it is: every group up to the first one without a digit belongs to it.
        last = start
        for end in ends:
            if not DIGIT.search(text, last, end):
                break
            last = end
        return last if len(digits_in(text[start:last])) >= 10 else None
