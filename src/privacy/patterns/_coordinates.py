"""Places on the globe: pairs of decimal degrees, degrees with minutes and seconds, and `geo:` URIs.

Rules: a pair of decimals has the digits that find a house (four and more, three with the compass beside them), lies
on the globe and is no part of a longer list; without compass or word it counts only where it is plainly no small
number. Sources: ISO 6709, RFC 5870.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, mention_of, words_before

_MARK: Final = r"[ \t]?°?[ \t]?"


@frozen
class CoordinatesRecogniser:
    """Latitude and longitude in the ways people and programs write them."""

    name = "coordinates"
    _pair = re.compile(
        rf"(?<![\w.])(?P<lat>[-+−]?\d{{1,2}}\.\d{{3,10}}){_MARK}(?P<north>[NSns]?)"
        r"(?:,[ \t]?|;[ \t]?|%2C|[ \t]{{1,2}}|/)"
        rf"(?P<lon>[-+−]?\d{{1,3}}\.\d{{3,10}})(?:{_MARK}(?P<east>[EWOewo])(?!\w))?(?!\w|\.\d)"
    )
    _named = re.compile(
        r"[\"']?[ \t]?(?:[:=]|is)?[ \t]?[\"']?(?P<degrees>[-+−]?\d{1,3}\.\d{3,12})°?"
        r"(?:[ \t]?[NSEWO](?!\w))?(?!\w|\.\d)"
    )
    _sexagesimal = re.compile(
        r"(?<![\w.])\d{1,3}[ \t]?°[ \t]?\d{1,2}(?:\.\d{1,6})?[ \t]?['’′]"
        r"(?:[ \t]?\d{1,2}(?:\.\d{1,6})?[ \t]?(?:[\"”″]|''|’’))?[ \t]?[NSEWO](?!\w)"
    )
    _geo = re.compile(r"(?<!\w)geo:(?P<place>-?\d{1,2}(?:\.\d{1,12})?,-?\d{1,3}(?:\.\d{1,12})?)(?!\w)", re.IGNORECASE)
    _list_before = re.compile(r"\d[ \t]?[,;][ \t]?\Z")
    _list_after = re.compile(r"[ \t]?[,;][ \t]?[-+]?\d+\.\d")
    _names = word_set("lat latitude lon lng long longitude breite länge breitengrad längengrad latitud longitud")
    _context = word_set(
        "coordinates coordinate coords gps location located position lat latitude latlng map maps geo place "
        "geolocation koordinaten standort coordonnées coordenadas coordinate koordinater ll query loc meet spot pin"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        if page.digits < 4 or not ("." in text or "°" in text or "geo:" in text):
            return
        for start, end in apart(self._spans(page)):
            yield mention_of(start, end, "COORDINATES", self.name)

    def _spans(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        for match in self._pair.finditer(text):
            if self._is_pair(text, match):
                yield match.span()
        for place in page.places(self._names):
            end = place
            while text[end : end + 1].isalpha():
                end += 1
            named = self._named.match(text, end)
            if named and abs(_degrees(named["degrees"])) <= 180:
                yield named.span("degrees")
        if "°" in text:
            yield from (match.span() for match in self._sexagesimal.finditer(text))
        if "geo" in page.vocabulary:
            yield from (match.span("place") for match in self._geo.finditer(text))

    def _is_pair(self, text: str, match: re.Match[str]) -> bool:
        latitude, longitude = _degrees(match["lat"]), _degrees(match["lon"])
        if abs(latitude) > 90 or abs(longitude) > 180:
            return False
        if match["north"] and match["east"]:
            return True
        if self._list_after.match(text, match.end()) or self._list_before.search(
            text, max(0, match.start() - 6), match.start()
        ):
            return False
        precision = min(len(match[name].partition(".")[2]) for name in ("lat", "lon"))
        if precision < 4:
            return False
        if (
            not self._context.isdisjoint(words_before(text, match.start())[-6:])
            or text[match.start() - 1 : match.start()] == "@"
        ):
            return True
        return max(abs(latitude), abs(longitude)) >= 10 and "," in match.group()


def _degrees(written: str) -> float:
    return float(written.replace("−", "-"))
