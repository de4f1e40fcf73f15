"""Plates and identification numbers of vehicles.

Rules: plates look like many other things and count only behind a word for them; an identification number counts where
its check digit is right (ISO 3779, 49 CFR 565.15), or behind its name.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, mention_of, words_before

_VALUES: Final = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


@frozen
class VehicleRecogniser:
    """Licence plates behind "plate", "reg", "Kennzeichen" and the like; vehicle identification numbers."""

    name = "vehicle"
    _vin = re.compile(r"(?<![\w-])[A-HJ-NPR-Z0-9]{17}(?![\w-])")
    _plate = re.compile(
        r"[^\W_]{2,20}(?:[ \t](?:number|plate|plates|no|nr))?\.?"
        r"(?:[ \t]*[:=#(\"'“]+|[ \t]+(?:is|was|reads?|ist|est|es|è|with|number))?"
        r"[ \t]*[:\"'“]?[ \t]*(?P<plate>[A-ZÄÖÜÆØÅ0-9]{1,4}(?:[ ·•-]?[A-ZÄÖÜÆØÅ0-9]{1,5}){0,3})(?![\w-])"
    )
    _words = word_set(
        "plate plates registration reg rego licence license kennzeichen nummernschild immatriculation immatriculé "
        "immatriculée matrícula matricula placa targa kenteken nummerplade registreringsnummer registration tablice"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        if not page.digits:
            return
        text = page.text
        spans = [("VEHICLE_PLATE", span) for span in apart(self._plates(page))]
        if page.digits >= 4:
            spans += [("ID", match.span()) for match in self._vin.finditer(text) if self._is_vin(text, match)]
        taken = 0
        for label, (start, end) in sorted(spans, key=lambda item: item[1]):
            if start >= taken:
                taken = end
                yield mention_of(start, end, label, self.name)

    def _plates(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        for place in page.places(self._words):
            match = self._plate.match(text, place)
            if match is None or not 4 <= len(match["plate"]) <= 10:
                continue
            plate = match["plate"]
            if any(map(str.isdigit, plate)) and any(map(str.isalpha, plate)):
                yield match.span("plate")

    def _is_vin(self, text: str, match: re.Match[str]) -> bool:
        number = match.group()
        if number.isdigit() or number.isalpha():
            return False
        total = sum(weight * _VALUES.get(char, ord(char) - 48) for char, weight in zip(number, _WEIGHTS, strict=True))
        if "0123456789X"[total % 11] == number[8]:
            return True
        return not {"vin", "chassis", "fahrgestellnummer"}.isdisjoint(words_before(text, match.start())[-4:])
