"""Postal addresses: a head that says "street", and the tail of places and postcodes after it.

Rules: no head without a number; a month is no street, nor is what a section's number stands before; the tail takes
one place name more than numbers prove; heads that overlap are one address. The search starts at numbers and at words
that streets are called by, so that prose costs nothing.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._dates import MONTHS
from privacy.patterns._recogniser import DIGIT, WORD, Page, last_word, mention_of
from privacy.patterns._street_words import (
    BOX_FIRST_WORDS,
    CANADA_POSTCODE,
    CAPITALISED,
    COMPASS,
    ENGLISH_STREETS,
    GERMANIC_ENDINGS,
    GERMANIC_WORDS,
    NUMBER_FIRST_ENDINGS,
    PLACE,
    POSTCODE,
    POSTCODE_FIRST_WORDS,
    POSTCODE_NAMES,
    ROMANCE_FIRST_WORDS,
    ROMANCE_PARTICLES,
    ROMANCE_STREETS,
    STATE_NAMES,
    STATES,
    UK_POSTCODE,
    UNITS,
)

_SMALL_WORD = r"(?:str|kapu|de|la|del|of|ten|van|von|der|u|ul)\b\.?"
_CROSSING_WORD = rf"(?:\d{{1,5}}(?:st|nd|rd|th|[A-Za-z])?(?!\w)\.?|{CAPITALISED}|{_SMALL_WORD})"
_CROSSING = rf"{_CROSSING_WORD}(?:[ \t]{_CROSSING_WORD}){{0,5}}"
_LETTER = re.compile(r"[^\W\d_]")
_LOOK_BACK = 64
"""How far before a house number its street may begin."""


def _before_field(text: str, start: int, end: int) -> int:
    """Where an address ends whose last line is the name of the next field ("Phone: ...")."""
    line = text.rfind("\n", start, end)
    return len(text[:line].rstrip()) if line > start and text[end : end + 1] == ":" else end


@frozen
class AddressRecogniser:
    """Postal addresses: a street with its number, and the unit, city, region, postcode and country after it.

    Heads that count: number + words + English street type; Germanic street word + number; Romance or Slavic street
    word with name and number; any capitalised words + number when postcode and city follow; a post-office box; a
    postcode with its city, or after its own name; what follows the words "address is" and holds a number.
    """

    name = "address"
    _english = re.compile(
        rf"\d{{1,6}}[A-Za-z]?(?:-\d{{1,5}})?,?[ \t]+(?!of\b)"
        rf"(?:(?:{CAPITALISED}|\d{{1,3}}(?:st|nd|rd|th)|\d{{1,5}}|the|of)[ \t]+){{1,5}}?"
        rf"(?:{ENGLISH_STREETS})\b(?!['’])\.?(?:[ \t](?:{COMPASS})\b\.?)?"
    )
    _english_short = re.compile(
        r"\d{1,6}[A-Za-z]?[ \t](?:Broadway|The (?:Mall|Strand|Green)|Strand|Piccadilly|Whitehall|Kingsway)\b"
    )
    _house_number = re.compile(r"\d{1,4}(?:[ -]?[a-z](?!\w)|[A-Z](?!\w))?(?!\w|[.,]\d)")
    _germanic_before = re.compile(
        rf"(?:(?<!\w)\d{{1,5}}[ \t]+)?(?<!\w)"
        rf"(?:[^\W\d_][\w.-]{{0,40}}(?:{GERMANIC_ENDINGS})|{CAPITALISED}[ \t-](?:{GERMANIC_WORDS}))[ \t]\Z"
    )
    _number_first = re.compile(
        rf"\d{{1,4}}[A-Za-z]?,?[ \t]+[^\W\d_a-zà-öø-ÿ][\w-]{{0,40}}(?:{NUMBER_FIRST_ENDINGS})(?!\w)"
    )
    _romance = re.compile(
        rf"(?i:{ROMANCE_STREETS})[ \t]+(?:(?i:{ROMANCE_PARTICLES})[ \t]?){{0,3}}"
        rf"{CAPITALISED}(?:[ \t](?:{CAPITALISED}|de|du|la|le|des|del|da|do)){{0,4}}"
        r"(?P<number>,?[ \t](?:n(?:[º°o]|úm)\.?[ \t]?)?\d{1,4}[A-Za-z]?(?!\w))?"
    )
    _romance_number = re.compile(r"(?<![\w.,/])(?:\d{1,6},?[ \t]+){1,2}(?:(?i:bis|ter|quater)\b,?[ \t]+)?\Z")
    _stops = re.compile(r"\s*(?:[,.;:)\n]|\d{5}|\Z)")
    """What follows an address: "via Telegram 2 days ago" is none."""
    _any_street = re.compile(
        rf"(?<!\w){CAPITALISED}(?:[ \t](?:{CAPITALISED}|de[nrm]?|am|an|im|la|van|het)){{0,3}}[ \t]\Z"
    )
    _postcode_city = re.compile(
        r"\d{1,4}[A-Za-z]?(?:/\d{1,4})?,?[ \t\n]+"
        rf"(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{2}}-\d{{3}})(?:[ \t]?[A-Z]{{2}})?[ \t]+{PLACE}"
    )
    _box = re.compile(
        r"(?:P\.?\s?O\.?\s?Box|Postfach|Post Office Box|Apartado(?: de Correos)?|PSC|Boîte Postale|Casella Postale|"
        r"Postboks|Postbus|Caixa Postal|(?:Unit|CMR)(?=[ \t]+\d{1,7},?[ \t]+Box\b))[ \t]+\d{1,7}"
        r"(?:,?[ \t]+Box[ \t]+\d{1,6})?(?:\s+(?:APO|FPO|DPO)[ ,]+A[AEP]\b)?"
        r"|(?:USS|USNS|USCGC|USNV)[ \t][^\W\d_]{2,30}\s+(?:APO|FPO|DPO)[ ,]+A[AEP]\b",
        re.IGNORECASE,
    )
    _corner = re.compile(rf"(?:[Tt]he )?[Cc]orner of {_CROSSING} (?:and|&|with) {_CROSSING}")
    _city_before = re.compile(rf"(?<!\w){PLACE}(?:[ \t]{PLACE}){{0,3}},?\s+(?:{STATE_NAMES}|{STATES})\.?\s+\Z")
    _zip = re.compile(r"\d{5}(?:-\d{4})?(?!\w)")
    _uk_postcode = re.compile(rf"(?<!\w){UK_POSTCODE}(?!\w)")
    _named_postcode = re.compile(
        rf"(?i:{POSTCODE_NAMES})(?:['’]s)?(?:[ \t]+(?:is|was|of|to|number)|[ \t]*[:=#])?[ \t]*[\"']?"
        r"(?P<code>(?:[A-Z]{1,2}-)?\d{3,6}(?:[- ]\d{2,4})?(?: ?[A-Z]{2}(?!\w))?|"
        rf"{UK_POSTCODE}|{CANADA_POSTCODE})(?!\w)"
    )
    _named_address = re.compile(
        r"(?i:address|adresse|dirección|indirizzo|anschrift|adres)"
        r"(?:[ \t]+(?:is|to|was|ist|est|es|è|er)(?:[ \t]+now)?|[ \t]*:)[ \t]*\n?[ \t]*"
        r"(?P<place>(?:\d{1,6}[A-Za-z]?[ \t]+[^\W\d_]|[^\W\d_a-z])[^\n;?!@\"=_{}|<>\[\]()]{4,90}"
        r"(?:\n[ \t]*[^\n;?!@\":=_{}|<>\[\]()]{2,60}){0,4})"
    )
    _unit_alone = re.compile(r"(?:Apt|Apartment|Suite|Ste|Flat)\b\.?[ \t]*#?\d{1,5}[A-Za-z]?(?!\w)")
    _lives_at = re.compile(
        r"(?i:lives?|living|located|resid(?:es?|ing)|staying|taxi|delivered|ship(?:ped)?|"
        r"sent)[ \t]+(?:at|to)[ \t]+"
        r"(?P<place>\d{1,6}[A-Za-z]?,?[ \t]+[^\W\da-z_][^\n;?!@\"]{4,90})"
    )
    _unit = re.compile(rf"\s*,?\s+(?:(?i:{UNITS})\b\.?[ \t]*#?|#[ \t]?)(?:\d\w{{0,5}}|[A-Z]\d{{0,4}})(?!\w)")
    _tail = re.compile(
        rf"\s*,\s*(?:{POSTCODE}[ \t]+)?{PLACE}(?:[ \t]+(?:{PLACE}|am|an der|sur|en|de|upon|of|the)){{0,3}}"
        rf"(?:\s*,?\s+(?:{STATE_NAMES}|{STATES})(?!\w))?(?:\s*,?\s+{POSTCODE})?"
        rf"|\s*,?\s+{POSTCODE}(?:[ \t]+{PLACE}(?:[ \t]{PLACE}){{0,2}})?"
        rf"|\s*,?\s+(?:{PLACE}[ \t]){{1,3}}(?:{STATES})[ \t]+\d{{5}}(?:-\d{{4}})?(?!\w)"
        rf"|[ \t]*\n[ \t]*{PLACE}(?:[ \t]{PLACE}){{0,2}},?\s+"
        rf"(?:(?:{STATE_NAMES}|{STATES})\.?\s+\d{{5}}(?:-\d{{4}})?|{UK_POSTCODE})(?!\w)"
    )
    _max_tails = 4
    _year = re.compile(r"(?:19|20)\d\d ")
    _not_street = word_set(
        "chapter section page figure table version article step question item python level part windows iphone "
        "string rules court act law committee convention protocol code"
    )
    _not_before = word_set("rule rules article articles section sections paragraph paragraphs chapter no nos art par")
    _addressed = word_set("address adresse dirección indirizzo anschrift adres")
    _stays = word_set("live lives living located resides reside residing staying taxi delivered ship shipped sent")
    _corners = word_set("corner")
    _apartments = word_set("apt apartment suite ste flat")
    _place_end = re.compile(
        r"(?<![A-Z])(?<!\bSt)(?<!\bDr)(?<!\bRd)(?<!\bApt)(?<!\bAve)(?<!\bSte)(?<!\bStr)\.(?=\s|$)|\n\s*\n"
        r"|\b(?:and|but|so|my|please|tel|phone|email|since|with|for|from|until|where|who|which|because|if|"
        r"then|when|she|he|they|we|is|are|was|were|has|have|had|will|you|i)\b"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        if not page.digits:
            return
        reached: tuple[int, int] | None = None
        for start, stop in sorted(self._spans(page)):
            end = _before_field(page.text, start, stop)
            if (
                page.text[end - 2 : end - 1].isupper() and page.text[end - 1] == "."
            ):  # the sentence's, behind a postcode
                end -= 1
            if reached is not None and start < reached[1]:
                reached = (reached[0], max(reached[1], end))  # "Flat 3" and "3, 18 Queens Road" are one address
                continue
            if reached is not None:
                yield mention_of(*reached, "ADDRESS", self.name)
            reached = (start, end)
        if reached is not None:
            yield mention_of(*reached, "ADDRESS", self.name)

    def _spans(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        for start, end in page.numbers:
            # Rows of figures have no letters around: no address is among them.
            if end - start <= 6 and _LETTER.search(text, max(0, start - _LOOK_BACK), end + _LOOK_BACK):
                yield from self._at_number(text, start, end)
        if len(page.numbers) < page.digits:  # a postcode's digits may stand behind letters
            yield from (match.span() for match in self._uk_postcode.finditer(text))
        yield from self._at_words(page)

    def _at_number(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Addresses whose house number or postcode begins at `start`."""
        mark = text[start - 1 : start]
        if mark not in {".", ",", "/", "$", "€", "£", "#", "-", "§"} or not start:
            for head in (self._english, self._english_short, self._number_first):
                match = head.match(text, start)
                if match is None or not self._is_street(match.group()) or self._is_section(text, start):
                    continue
                reached = self._with_tail(text, match.end())
                # "the 2012 National Book Critics Circle": a year, unless more follows.
                year = self._year.match(text, start) and match.group().count(" ") > 2
                if not year or DIGIT.search(text, match.end(), reached):
                    yield start, reached
        if mark not in {" ", "\t", "\n"}:
            return
        house = self._house_number.match(text, start)
        low = max(0, start - _LOOK_BACK)
        if house and _ends_as_street(text, start):
            street = self._germanic_before.search(text, low, start)
            if street and self._is_street(text[street.start() : house.end()]):
                yield street.start(), self._with_tail(text, house.end())
        if end - start <= 4 and self._postcode_city.match(text, start):
            street = self._any_street.search(text, low, start)
            if street and self._is_street(text[street.start() : end]):
                yield street.start(), self._with_tail(text, end)
        if end - start == 5 and (code := self._zip.match(text, start)):
            city = self._city_before.search(text, low, start)
            if city:
                yield city.start(), code.end()

    def _at_words(self, page: Page) -> Iterator[tuple[int, int]]:
        """Addresses that begin with a word, or stand behind one."""
        text = page.text
        for start in page.places(ROMANCE_FIRST_WORDS):
            if (match := self._romance.match(text, start)) is None or text[start - 1 : start].isalnum():
                continue
            number = self._romance_number.search(text, max(0, start - 20), start)
            if text[start : start + 3] == "via" and not self._stops.match(text, match.end()):
                continue
            if (number or match["number"]) and self._is_street(match.group() + (number.group() if number else "")):
                yield (number or match).start(), self._with_tail(text, match.end())
        for start in page.places(BOX_FIRST_WORDS):
            if match := self._box.match(text, start):
                yield start, self._with_tail(text, match.end())
        for start in page.places(self._corners):
            begin = start - 4 if text[max(0, start - 4) : start].casefold() == "the " else start
            if match := self._corner.match(text, begin):
                yield begin, match.end() - text[: match.end()].endswith(".")
        for start in page.places(POSTCODE_FIRST_WORDS):
            if match := self._named_postcode.match(text, start):
                yield match.span("code")
        for start in page.places(self._apartments):
            if match := self._unit_alone.match(text, start):
                yield match.span()
        for start in page.places(self._addressed):
            yield from self._place(self._named_address.match(text, start))
        for start in page.places(self._stays):
            yield from self._place(self._lives_at.match(text, start))

    def _is_street(self, head: str) -> bool:
        if not DIGIT.search(head):
            return False
        words = {match.group().casefold() for match in WORD.finditer(head)}
        return words.isdisjoint(MONTHS) and self._not_street.isdisjoint(words)

    def _is_section(self, text: str, start: int) -> bool:
        return "§" in text[max(0, start - 2) : start] or last_word(text, start).casefold() in self._not_before

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

    def _place(self, match: re.Match[str] | None) -> Iterator[tuple[int, int]]:
        """What `match` calls a place, up to the sentence's end; nothing when no number stands in it."""
        if match is None:
            return
        place = match["place"]
        stop = self._place_end.search(place)
        place = (place[: stop.start()] if stop else place).rstrip(" \t\n,")
        if DIGIT.search(place) and " " in place and sum(map(str.isalpha, place)) >= 3:
            yield match.start("place"), match.start("place") + len(place)


_STREET_ENDS = tuple(
    word_set(
        "strasse str. gasse weg platz allee damm ufer ring straat laan plein gracht kade dijk gatan gata gade vägen "
        "vej veien katu tie kuja polku stræti utca väg gate baan u. stræde plads"
    )
)


def _ends_as_street(text: str, start: int) -> bool:
    """Whether what stands before `start` ends as Germanic streets do: asked before costlier questions."""
    return text[max(0, start - 10) : start].rstrip(" \t").casefold().endswith(_STREET_ENDS)
