"""National numbers that carry their own proof.

Rules: the check digit or the assigned area proves a number; a bare one of nine digits counts only behind its name.
"""

import re
from collections.abc import Iterator

from attrs import frozen
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.us import itin, ssn

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import digits_in, has_digits, mention_of, words_before


@frozen
class NationalIdRecogniser:
    """National numbers that carry their own proof: US SSN and ITIN, Spanish DNI and NIE, French NIR, Italian code.

    The dashed form of an SSN counts when its area is assigned, or after its name.
    """

    name = "national_id"
    _us = re.compile(r"(?<![\w-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])")
    _us_bare = re.compile(r"(?<![\w-])\d{9}(?![\w-])")
    _spanish = re.compile(r"(?<![\w-])(?:\d{8}|[XYZ]\d{7})-?[A-Z](?![\w-])")
    _french = re.compile(r"(?<![\w-])[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?![\w-])")
    _italian = re.compile(r"(?<![\w-])[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?![\w-])", re.IGNORECASE)
    _context = word_set("ssn social security itin taxpayer")

    def find(self, text: str) -> Iterator[Mention]:
        if not has_digits(text, 7):
            return
        spans = [match.span() for match in self._us.finditer(text) if self._is_us(text, match)]
        spans += [m.span() for m in self._us_bare.finditer(text) if self._is_named(text, m.start())]
        spans += [m.span() for m in self._spanish.finditer(text) if dni.is_valid(m.group()) or nie.is_valid(m.group())]
        spans += [match.span() for match in self._french.finditer(text) if nir.is_valid(match.group())]
        spans += [match.span() for match in self._italian.finditer(text) if codicefiscale.is_valid(match.group())]
        taken = 0
        for start, end in sorted(spans):
            if start >= taken:
                taken = end
                yield mention_of(start, end, "ID", self.name)

    def _is_named(self, text: str, start: int) -> bool:
        return not self._context.isdisjoint(words_before(text, start)[-5:])

    def _is_us(self, text: str, match: re.Match[str]) -> bool:
        number = digits_in(match.group())
        if self._is_named(text, match.start()):
            return True
        return match[1] == "-" and (bool(ssn.is_valid(number)) or bool(itin.is_valid(number)))
