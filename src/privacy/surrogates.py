"""Surrogates: realistic names, places and numbers that stand in for those of a text, for one host.

Theory of operation. A name is replaced word by word: each given name and each surname has a word that stands in for it
at this host, whoever bears it, so `John Smith` is `Peter Hollis`, `John` is `Peter`, and `MR. SMITH` is `MR. HOLLIS`.
Other things are replaced as a whole, in their own format. Beside what is sent, each surrogate brings what an answer
may make of it: its parts, an initial for a given name, a date in another format. All of that is put back.

Rules (design section 6, step 3):

1. A word that stands in is none that any text of the conversation has shown, and none that stands in for anything else
   at any host: two hosts have nothing to compare, and what comes back is never ambiguous.
2. Gender and culture of a name stay as the lists have them; where they are unknown they are neutral. Case, order,
   initials and marks are those of the form. Short forms of a given name are the name itself.
3. Dates move by a number of weeks that is the host's own (`_date_shift`). Numbers and addresses reach nobody
   (`_stand_ins`).
4. What cannot be replaced (lists used up, unknown formats, other scripts) has no surrogate: it gets a tag.
5. In memory, for the conversation only; no `repr` shows anything.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from attrs import field, frozen

from privacy import _stand_ins
from privacy._date_shift import moved
from privacy._forms import DEGREES, GENERATIONS, LEGAL_FORMS, POSSESSIVE, TITLES, words_of
from privacy._guarded import Guarded
from privacy._names import (
    COMMON_CULTURE,
    CULTURES,
    Gender,
    culture_of,
    fold,
    given_forms,
    given_names,
    is_given_name,
    is_surname,
    read_list,
    surnames,
)
from privacy._spellings import MAX_PLACEHOLDER, RUN, Found, Spellings
from privacy._stand_ins import Randomness, pick
from privacy.exposure import word_set

__all__ = ["Bearer", "SpentWords", "Surrogate", "Surrogates", "comes_back"]

MAX_DRAWS: Final = 40
"""How often something is drawn that must be new, before it gets a tag."""
MIN_WEEKS: Final = 9
MAX_WEEKS: Final = 120
MONTH_WEEKS: Final = 6
"""So far apart two shifts put a date into two months, even where only the month is shown."""

_NAME_WORD: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_PARTICLES: Final = word_set("van von der den de del della di da dos la le al el bin ibn ter zu af av y e and")
_KEPT: Final = TITLES | GENERATIONS | DEGREES | _PARTICLES
_STREETS: Final = ("Street", "Road", "Avenue", "Lane", "Close")


@frozen
class Surrogate:
    """What stands in for the core of a form, from its first letter or digit to its last."""

    text: str = field(repr=False)
    original: str = field(repr=False)
    parts: Mapping[str, str] = field(factory=dict, repr=False)
    """What an answer may make of it, each with what that means; never sent."""


class SpentWords(Guarded):
    """What no surrogate may be: the words of all texts, and what stands in already, at any host."""

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self._spent: set[str] = set()
        self._weeks: set[int] = set()

    def __repr__(self) -> str:
        return "<SpentWords>"

    def show(self, text: str) -> None:
        """Takes the words of a text of the conversation."""
        self._shown.update(map(fold, RUN.findall(text)))

    def is_new(self, text: str) -> bool:
        """Whether `text` stands nowhere in the conversation, and for nothing."""
        return fold(text) not in self._spent and self.is_unseen(text)

    def is_unseen(self, text: str) -> bool:
        """Whether `text` stands nowhere in the conversation."""
        return any(fold(word) not in self._shown for word in RUN.findall(text))

    def spend(self, text: str) -> None:
        """`text` stands in for something from now on."""
        self._spent.add(fold(text))

    def draw_weeks(self, rng: Randomness) -> int:
        """By how many weeks a host's dates move: to another month than any other host's, as long as there is one."""
        for draw in range(2 * MAX_DRAWS):
            weeks = MIN_WEEKS + rng.randrange(MAX_WEEKS - MIN_WEEKS)
            weeks = weeks if rng.randrange(2) else -weeks
            apart = MONTH_WEEKS if draw < MAX_DRAWS else 1
            if all(abs(weeks - other) >= apart for other in self._weeks):
                break
        self._weeks.add(weeks)
        return weeks

    def forget(self) -> None:
        """Drops everything; the vault's business."""
        self._shown.clear()
        self._spent.clear()
        self._weeks.clear()


class Surrogates(Guarded):
    """The surrogates of one host. `spent` is the conversation's."""

    def __init__(self, rng: Randomness, spent: SpentWords) -> None:
        self._rng = rng
        self._spent = spent
        self._words: dict[tuple[str, str], str] = {}
        """By role and folded original: what stands in for a word of a name, a place or a company."""
        self._initials: dict[tuple[int, str], str] = {}
        """By identity and letter: the given name that an initial stands for, as long as the full one is unknown."""
        self._whole: dict[tuple[str, str], Surrogate] = {}
        self._weeks: int | None = None

    def __repr__(self) -> str:
        return "<Surrogates>"

    def forget(self) -> None:
        """Drops everything; the vault's business."""
        self._words.clear()
        self._initials.clear()
        self._whole.clear()

    def stand_in(self, label: str, core: str, before: str, bearer: "Bearer") -> Surrogate | None:
        """What stands in for `core`, a form of `bearer`; None where nothing can.

        `core` begins and ends with a letter or digit, and `before` is what its form has before that.
        """
        if not all(_is_latin(char) for char in core if char.isalpha()):
            return None
        if label == "PERSON":
            found = self._person(core, bearer)
        elif (label, core) in self._whole:
            return self._whole[label, core]
        else:
            found = self._thing(label, core, before)
            found = found if found is not None and self._spent.is_unseen(found.text) else None
        if found is None or not comes_back(found.text):
            return None
        if label != "PERSON":
            self._whole[label, core] = found
        return found

    def _thing(self, label: str, core: str, before: str) -> Surrogate | None:
        rng = self._rng
        match label:
            case "LOCATION":
                return self._location(core)
            case "ORGANIZATION":
                return self._organization(core)
            case "ADDRESS":
                return self._address(core)
            case "EMAIL":
                return self._email(core)
            case "PHONE":
                return self._phone(core, before)
            case "DATE_TIME":
                return self._date(core)
            case "CREDIT_CARD":
                return self._new(core, lambda: _stand_ins.card(rng, core))
            case "IBAN":
                return self._new(core, lambda: _stand_ins.iban(rng, core))
            case "ID":
                return self._new(core, lambda: _stand_ins.identifier(rng, core))
            case "IP_ADDRESS":
                return self._new(core, lambda: _stand_ins.ip_address(rng, core))
            case "URL":
                return self._new(core, lambda: _stand_ins.web_address(rng, core, _local_words()))
            case _:
                return None

    # --- people ------------------------------------------------------------------------------------------------------

    def _person(self, core: str, bearer: "Bearer") -> Surrogate | None:
        family_first = "," in core and not set(words_of("ID", core.partition(",")[2])) <= GENERATIONS | DEGREES
        roles = _roles(core) | _roles(bearer.fullest)
        pieces: list[str] = []
        parts: dict[str, str] = {}
        place = 0
        for match in _NAME_WORD.finditer(core):
            word = match.group()
            folded = fold(word)
            if folded in _KEPT and not (family_first and match.start() == 0):
                continue
            drawn = self._name_word(word, roles.get(folded, ""), bearer)
            if drawn is None:
                return None
            pieces += [core[place : match.start()], _in_style(drawn, word)]
            place = match.end()
            if len(word) > 1:
                parts[_in_style(drawn, word)] = word
        if not pieces:
            return None
        text = "".join([*pieces, core[place:]])
        if len(parts) == 2 and len(core.split()) == 2 and not family_first:
            (given, first), (family, last) = parts.items()
            parts[f"{given[0]}. {family}"] = f"{first[0]}. {last}"
        return Surrogate(text, core, parts)

    def _name_word(self, word: str, role: str, bearer: "Bearer") -> str | None:
        folded = fold(word)
        if len(word) == 1:
            return self._initial(folded, bearer)
        full = [other for other, its in _roles(bearer.fullest).items() if its == "given" and len(other) > 1]
        # The short form of a given name is the name.
        same = next((other for other in full if given_forms(other) & given_forms(folded)), None)
        if not role:
            is_given = same is not None or (is_given_name(folded) and not bearer.titled)
            role = "given" if is_given else "family"
        if (role, folded) in self._words:
            return self._words[role, folded]
        drawn = self._given(same or folded, bearer) if role == "given" else self._draw_word(surnames, bearer)
        if drawn is not None:
            self._words[role, folded] = drawn
        return drawn

    def _given(self, folded: str, bearer: "Bearer") -> str | None:
        """What stands in for a full given name: what has stood in for its initial, if that came first."""
        key = ("given", folded)
        drawn = self._words.get(key) or self._initials.pop((bearer.number, folded[0]), None)
        drawn = drawn or self._draw_word(given_names, bearer)
        if drawn is not None:
            self._words[key] = drawn
        return drawn

    def _initial(self, letter: str, bearer: "Bearer") -> str | None:
        for word, role in _roles(bearer.fullest).items():
            if role == "given" and word.startswith(letter) and len(word) > 1:
                drawn = self._given(word, bearer)
                return None if drawn is None else drawn[0]
        key = (bearer.number, letter)
        drawn = self._initials.get(key) or self._draw_word(given_names, bearer)
        if drawn is None:
            return None
        self._initials[key] = drawn
        return drawn[0]

    def _draw_word(self, names: Callable[[str, Gender], Sequence[str]], bearer: "Bearer") -> str | None:
        """A new name of the culture and gender, else of another culture."""
        cultures = (bearer.culture, COMMON_CULTURE, *CULTURES)
        return self._draw(*(names(culture, bearer.gender) for culture in cultures))

    def _draw(self, *pools: Sequence[str]) -> str | None:
        """A new word of the first pool that has one, and no word of the language."""
        for pool in filter(None, pools):
            first = self._rng.randrange(len(pool))
            for word in (*pool[first:], *pool[:first]):
                if _is_name_only(word) and self._spent.is_new(word):
                    self._spent.spend(word)
                    return word
        return None

    # --- places, companies -------------------------------------------------------------------------------------------

    def _location(self, core: str) -> Surrogate | None:
        if any(char.isdigit() for char in core):
            return None
        parts: dict[str, str] = {}
        pieces = re.split(r"(\s*,\s*)", core)
        for index, piece in enumerate(pieces[::2]):
            drawn = self._kept_word("place", piece, _places())
            if drawn is None:
                return None
            pieces[2 * index] = _in_style(drawn, piece)
            parts[pieces[2 * index]] = piece
        return Surrogate("".join(pieces), core, parts)

    def _organization(self, core: str) -> Surrogate | None:
        words = words_of("ORGANIZATION", core)
        stem = self._kept_word("company", words[0], _companies()["name"])
        if stem is None:
            return None
        last = re.search(r"[\s,]+([^\W\d_]+)$", core)
        legal = last.group() if last and fold(last[1]) in LEGAL_FORMS else ""
        bare = core.removesuffix(legal)
        stem = _in_style(stem, core)
        does = ""
        if len(words) > 1:
            key = ("does", " ".join(words))
            does = self._words.get(key) or self._words.setdefault(key, pick(self._rng, _companies()["does"]))
            does = " " + _in_style(does, core)
        # Two companies that begin alike share the first word, and so it alone means neither.
        parts = {stem + does: bare} if legal else {}
        return Surrogate(stem + does + legal, core, parts | ({} if not does else {stem: bare}))

    def _address(self, core: str) -> Surrogate | None:
        street = self._draw(_local_words())
        town = self._draw(_places())
        if street is None or town is None:
            return None
        line = f"{1 + self._rng.randrange(199)} {street.capitalize()} {pick(self._rng, _STREETS)}"
        first = re.split(r"\s*[,\n]\s*", core)[0]
        has_town = first != core
        return Surrogate(f"{line}, {town}" if has_town else line, core, {line: first} if has_town else {})

    def _kept_word(self, role: str, original: str, pool: Sequence[str]) -> str | None:
        key = (role, fold(POSSESSIVE.sub("", original)))
        if key not in self._words:
            drawn = self._draw(pool)
            if drawn is None:
                return None
            self._words[key] = drawn
        return self._words[key]

    # --- numbers and addresses ---------------------------------------------------------------------------------------

    def _new(self, core: str, make: Callable[[], str | None]) -> Surrogate | None:
        for _ in range(MAX_DRAWS):
            text = make()
            if text is None:
                return None
            if self._spent.is_new(text):
                self._spent.spend(text)
                return Surrogate(text, core)
        return None

    def _email(self, core: str) -> Surrogate | None:
        local, at, _ = core.rpartition("@")
        if not at or not local.isascii():
            return None
        pieces = re.split(r"([^A-Za-z]+)", local)
        named = [self._named_like(piece) for piece in pieces[::2]]
        if not any(named):
            return self._new(core, lambda: f"{self._local()}{self._rng.randrange(100)}@{_stand_ins.domain(self._rng)}")
        for index, name in enumerate(named):
            pieces[2 * index] = name or (self._local() if pieces[2 * index] else "")
        for index in range(1, len(pieces), 2):
            pieces[index] = re.sub(r"\d", lambda _: str(self._rng.randrange(10)), pieces[index])
        return self._new(core, lambda: f"{''.join(pieces)}@{_stand_ins.domain(self._rng)}")

    def _named_like(self, piece: str) -> str:
        """What stands in for a name in an address, or for an initial and a surname in one word."""
        folded = fold(piece)
        for role in ("given", "family"):
            if (role, folded) in self._words:
                return fold(self._words[role, folded])
        for (role, family), drawn in self._words.items():
            if role == "family" and len(family) > 2 and folded[1:] == family:
                given = next((n for (its, w), n in self._words.items() if its == "given" and w[0] == folded[0]), "")
                return fold(given)[:1] + fold(drawn) if given else ""
        return ""

    def _local(self) -> str:
        return pick(self._rng, _local_words())

    def _phone(self, core: str, before: str) -> Surrogate | None:
        if sum(char.isdigit() for char in core) < 7 or any(char.isalpha() for char in core):
            return None
        for _ in range(MAX_DRAWS):
            text, national = _stand_ins.phone(self._rng, core, before)
            digits = re.sub(r"\D", "", national)
            if self._spent.is_new(digits) and self._spent.is_new(text):
                self._spent.spend(digits)
                return Surrogate(text, core, {} if text == national else {national: core})
        return None

    def _date(self, core: str) -> Surrogate | None:
        if self._weeks is None:
            self._weeks = self._spent.draw_weeks(self._rng)
        date = moved(core, self._weeks)
        return None if date is None else Surrogate(date.text, core, dict(date.others))


@frozen
class Bearer:
    """Whose form is replaced."""

    number: int
    fullest: str = field(repr=False)
    gender: Gender
    titled: bool

    @property
    def culture(self) -> str:
        """Of a person, by all words of the name."""
        return culture_of(list(_roles(self.fullest)))


def _roles(form: str) -> dict[str, str]:
    """The folded words of a person's name, each with whether it is a given name or the family's; '' of a lone word."""
    family, comma, given = form.partition(",")
    if comma and not set(_parts(given)) <= _KEPT:
        return dict.fromkeys(_parts(family), "family") | dict.fromkeys(_parts(given), "given")
    words = [word for word in _parts(form) if word not in _KEPT]
    if len(words) < 2:
        return dict.fromkeys(words, "")
    if is_surname(words[0]) and not is_given_name(words[0]) and is_given_name(words[-1]):
        words.reverse()
    return dict.fromkeys(words[:-1], "given") | {words[-1]: "family"}


def _parts(form: str) -> list[str]:
    return [fold(word) for word in _NAME_WORD.findall(form)]


def _in_style(drawn: str, like: str) -> str:
    """`drawn` in the case of `like`; a lone short word in capitals (`IBM`) is no style."""
    if like.isupper() and (len(like) > 4 or len(like) < 2 or not like.isascii() or is_given_name(fold(like))):
        return drawn.upper()
    return drawn.lower() if like.islower() else drawn


def _is_latin(char: str) -> bool:
    return char.isascii() or unicodedata.name(char, "").startswith("LATIN ")


def comes_back(text: str, before: str = "") -> bool:
    """Whether `text` is found again right behind `before`: an initial is not, behind a mark that joins words."""
    if len(text.casefold()) > MAX_PLACEHOLDER:
        return False
    found = Spellings((text,)).match(text, 0, final=True, before=before)
    return isinstance(found, Found) and found.end == len(text)


def _is_name_only(word: str) -> bool:
    return len(word) > 2 and fold(word) not in _common_words()


@cache
def _common_words() -> frozenset[str]:
    return frozenset(word for (word, *_) in read_list("common_words"))


@cache
def _places() -> tuple[str, ...]:
    return tuple(word for line in read_list("places") for word in line)


@cache
def _local_words() -> tuple[str, ...]:
    return tuple(word for line in read_list("local_words") for word in line)


@cache
def _companies() -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {"name": [], "does": []}
    for kind, *words in read_list("companies"):
        found[kind] += words
    return found
