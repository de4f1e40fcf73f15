"""Postal addresses: a head that says "street", and the tail of places and postcodes after it.

Rules: no head without a number; a month is no street; the tail takes one place name more than numbers prove; heads
that overlap are one address.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._dates import MONTH
from privacy.patterns._recogniser import DIGIT, WORD, has_digits, mention_of
from privacy.patterns._street_words import (
    CANADA_POSTCODE,
    CAPITALISED,
    COMPASS,
    ENGLISH_STREETS,
    GERMANIC_ENDINGS,
    GERMANIC_WORDS,
    PLACE,
    POSTCODE,
    POSTCODE_NAMES,
    ROMANCE_PARTICLES,
    ROMANCE_STREETS,
    STATES,
    UK_POSTCODE,
    UNITS,
)


@frozen
class AddressRecogniser:
    """Postal addresses: a street with its number, and the unit, city, region, postcode and country after it.

    Heads that count: number + words + English street type; Germanic street word + number; Romance or Slavic street
    word with name and number; any capitalised words + number when postcode and city follow; a post-office box; a
    postcode with its city, or after its own name; what follows the words "address is" and holds a number.
    """

    name = "address"
    _english = re.compile(
        rf"(?<![\w.,/$€£#-])\d{{1,6}}[A-Za-z]?(?:-\d{{1,5}})?,?[ \t]+"
        rf"(?:(?:{CAPITALISED}|\d{{1,3}}(?:st|nd|rd|th)|\d{{1,5}}|the|of)[ \t]+){{1,5}}?"
        rf"(?:{ENGLISH_STREETS})\b(?!['’])\.?(?:[ \t](?:{COMPASS})\b\.?)?"
    )
    _english_short = re.compile(
        r"(?<![\w.,/$€£#-])\d{1,6}[A-Za-z]?[ \t](?:Broadway|The (?:Mall|Strand|Green)|Strand|Piccadilly)\b"
    )
    _germanic = re.compile(
        rf"(?<!\w)(?:\d{{1,5}}[ \t]+)?"
        rf"(?:[^\W\d_][\w.-]{{0,40}}(?:{GERMANIC_ENDINGS})|{CAPITALISED}[ \t-](?:{GERMANIC_WORDS}))"
        r"[ \t]\d{1,4}(?:[ -]?[a-z](?!\w))?(?!\w|[.,]\d)"
    )
    _number_first = re.compile(
        r"(?<![\w.,])\d{1,4}[A-Za-z]?,?[ \t]+[^\W\d_a-zà-öø-ÿ][\w-]{0,40}"
        r"(?:gatan|gata|gade|vägen|straat|gracht|laan|stra(?:ß|ss)e|gasse|platz|allee|katu|utca)(?!\w)"
    )
    _romance = re.compile(
        r"(?<![\w.,/])(?:\d{1,6},?[ \t]+){0,2}(?:(?i:bis|ter|quater)\b,?[ \t]+)?"
        rf"(?i:{ROMANCE_STREETS})[ \t]+(?:(?i:{ROMANCE_PARTICLES})[ \t]?){{0,3}}"
        rf"{CAPITALISED}(?:[ \t](?:{CAPITALISED}|de|du|la|le|des|del|da|do)){{0,4}}"
        r"(?:,?[ \t](?:n[º°o]\.?[ \t]?)?\d{1,4}[A-Za-z]?(?!\w))?"
    )
    _any_street = re.compile(
        rf"(?<!\w){CAPITALISED}(?:[ \t](?:{CAPITALISED}|de[nrm]?|am|an|im|la|van|het)){{0,3}}"
        r"[ \t]\d{1,4}[A-Za-z]?(?:/\d{1,4})?,?[ \t\n]+"
        rf"(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{2}}-\d{{3}})[ \t]+{PLACE}"
    )
    _box = re.compile(
        r"(?<!\w)(?:P\.?\s?O\.?\s?Box|Postfach|Post Office Box|Apartado|PSC)[ \t]+\d{1,7}"
        r"(?:,?[ \t]+Box[ \t]+\d{1,6})?",
        re.IGNORECASE,
    )
    _city_state_zip = re.compile(
        rf"(?<!\w){PLACE}(?:[ \t]{PLACE}){{0,3}},?\s+(?:{STATES})\.?\s+\d{{5}}(?:-\d{{4}})?(?!\w)"
    )
    _uk_postcode = re.compile(rf"(?<!\w){UK_POSTCODE}(?!\w)")
    _named_postcode = re.compile(
        rf"(?<!\w)(?i:{POSTCODE_NAMES})(?:['’]s)?(?:[ \t]+(?:is|was|of|to|number)|[ \t]*[:=#])?[ \t]*[\"']?"
        rf"(?P<code>[A-Z]{{0,2}}-?\d{{3,6}}(?:-\d{{3,4}})?(?: \d[A-Z]{{2}})?|{UK_POSTCODE}|{CANADA_POSTCODE})(?!\w)"
    )
    _named_address = re.compile(
        r"(?<!\w)(?i:address)(?:[ \t]+(?:is|to|was)(?:[ \t]+now)?|[ \t]*:)[ \t]*\n?[ \t]*"
        r"(?P<place>(?:\d{1,6}[A-Za-z]?[ \t]+[^\W\d_]|[^\W\d_a-z])[^\n;?!@\"]{4,90}"
        r"(?:\n[ \t]*[^\n;?!@\":]{2,60}){0,4})"
    )
    _unit_alone = re.compile(r"(?<!\w)(?:Apt|Apartment|Suite|Ste|Flat)\b\.?[ \t]*#?\d{1,5}[A-Za-z]?(?!\w)")
    _lives_at = re.compile(
        r"(?<!\w)(?i:lives?|living|located|resid(?:es?|ing)|staying|taxi|delivered|ship(?:ped)?|"
        r"sent)[ \t]+(?:at|to)[ \t]+"
        r"(?P<place>\d{1,6}[A-Za-z]?,?[ \t]+[^\W\da-z_][^\n;?!@\"]{4,90})"
    )
    _unit = re.compile(rf"\s*,?\s+(?:(?i:{UNITS})\b\.?[ \t]*#?|#[ \t]?)(?:\d\w{{0,5}}|[A-Z]\d{{0,4}})(?!\w)")
    _tail = re.compile(
        rf"\s*,\s*(?:{POSTCODE}[ \t]+)?{PLACE}(?:[ \t]+(?:{PLACE}|am|an der|sur|en|de|upon|of|the)){{0,3}}"
        rf"(?:\s*,?\s+(?:{STATES})(?!\w))?(?:\s*,?\s+{POSTCODE})?"
        rf"|\s*,?\s+{POSTCODE}(?:[ \t]+{PLACE}(?:[ \t]{PLACE}){{0,2}})?"
        rf"|\s*,?\s+(?:{PLACE}[ \t]){{1,3}}(?:{STATES})[ \t]+\d{{5}}(?:-\d{{4}})?(?!\w)"
    )
    _heads = (_english, _english_short, _germanic, _number_first, _romance, _any_street, _box)
    _max_tails = 4
    _month = re.compile(rf"\b(?:{MONTH})\b", re.IGNORECASE)
    _not_street = word_set(
        "chapter section page figure table version article step question item python level part windows iphone"
    )
    _place_end = re.compile(
        r"(?<![A-Z])(?<!\bSt)(?<!\bDr)(?<!\bRd)(?<!\bApt)(?<!\bAve)(?<!\bSte)(?<!\bStr)\.(?=\s|$)|\n\s*\n"
        r"|\b(?:and|but|so|my|please|tel|phone|email|since|with|for|from|until|where|who|which|because|if|"
        r"then|when|she|he|they|we)\b"
    )

    def find(self, text: str) -> Iterator[Mention]:
        if not has_digits(text, 1):
            return
        reached: tuple[int, int] | None = None
        for start, end in sorted(self._spans(text)):
            if reached is not None and start < reached[1]:
                reached = (reached[0], max(reached[1], end))  # "Flat 3" and "3, 18 Queens Road" are one address
                continue
            if reached is not None:
                yield mention_of(*reached, "ADDRESS", self.name)
            reached = (start, end)
        if reached is not None:
            yield mention_of(*reached, "ADDRESS", self.name)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for head in self._heads:
            for match in head.finditer(text):
                if self._is_street(match.group(), numbered_by_form=head is self._box):
                    yield match.start(), self._with_tail(text, match.end())
        for match in self._city_state_zip.finditer(text):
            yield match.span()
        yield from (match.span() for match in self._uk_postcode.finditer(text))
        for match in self._named_postcode.finditer(text):
            yield match.span("code")
        yield from (match.span() for match in self._unit_alone.finditer(text))
        for match in (*self._named_address.finditer(text), *self._lives_at.finditer(text)):
            place = self._place(match["place"])
            if place:
                yield match.start("place"), match.start("place") + len(place)

    def _is_street(self, head: str, *, numbered_by_form: bool) -> bool:
        if not (numbered_by_form or DIGIT.search(head)):
            return False
        words = {match.group().casefold() for match in WORD.finditer(head)}
        return self._month.search(head) is None and self._not_street.isdisjoint(words)

    def _with_tail(self, text: str, end: int) -> int:
        if unit := self._unit.match(text, end):
            end = unit.end()
        for _ in range(self._max_tails):
            tail = self._tail.match(text, end)
            if tail is None:
                break
            end = tail.end()
            # A comma and a capital also begin other things: without a number one place name is all that is taken.
            if not DIGIT.search(tail.group()):
                closing = self._tail.match(text, end)
                return closing.end() if closing and DIGIT.search(closing.group()) else end
        return end

    def _place(self, place: str) -> str:
        """`place` up to the sentence's end, or "" when no number stands in it."""
        stop = self._place_end.search(place)
        place = (place[: stop.start()] if stop else place).rstrip(" \t\n,")
        return place if DIGIT.search(place) and sum(map(str.isalpha, place)) >= 3 else ""
