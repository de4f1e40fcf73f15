"""What the classifier sees of a text: classes of words, pairs of classes, hashed words, pairs of words, and letters.

Theory of operation. Some hundreds of labelled texts do not hold the words of the next one. So a word is first looked
up in `word_classes.toml` (written by hand), and the classes that a text has, how densely, and which of them together
(a group and a call to violence, a child and an act) are the first features. After them come the words themselves and
their neighbours, hashed into `WORDS` slots (feature hashing, Weinberger et al. 2009), and runs of `RUNS` letters in a
word, hashed into `LETTERS` slots: a word that was never seen shares its stem with one that was. What is in few texts
says more than what is in many, so these two are weighed by rarity (Spärck Jones 1972), which training measures.

Rules: words are forgotten when the few windows that are read together have been (`Known`), there is no cache beyond
them; placeholders (`<Person>`, `PERSON_K7`) say nothing; a number says nothing but an age below eighteen.
"""

import math
import re
import tomllib
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import frozen

from privacy.screening.folding import LEET

if TYPE_CHECKING:
    from numpy import float32, int32
    from numpy.typing import NDArray

__all__ = ["WIDTH", "Features", "Known", "class_names", "features", "rarities", "words"]

WORDS: Final = 1 << 15
"""Slots for words and pairs of words."""
LETTERS: Final = 1 << 15
"""Slots for runs of letters."""
WORDS_LENGTH: Final = 2**0.5
"""How much words and pairs weigh together: the length of the vector of their values."""
LETTERS_LENGTH: Final = 2.0
RUNS: Final = (3, 4, 5)
MAX_WORD_BYTES: Final = 40
"""Of a longer word only the beginning is read by its letters."""
PAIRS: Final = (
    ("sex_act", "minor"),
    ("sex_body", "minor"),
    ("porn", "minor"),
    ("sex_act", "family"),
    ("sex_act", "sex_body"),
    ("porn", "sex_act"),
    ("porn", "video"),
    ("closeness", "sex_body"),
    ("violence", "group"),
    ("slur", "group"),
    ("dehumanising", "group"),
    ("insult", "group"),
    ("insult", "addressed"),
    ("slur", "addressed"),
    ("violence", "addressed"),
    ("violence", "demand"),
    ("violence", "others"),
    ("gore", "violence"),
    ("self_harm", "speaker"),
    ("request", "weapon"),
    ("request", "drug"),
    ("request", "theft"),
    ("request", "intrusion"),
    ("request", "pursuit"),
    ("defence", "intrusion"),
    ("defence", "theft"),
    ("defence", "weapon"),
    ("fiction", "violence"),
    ("public_life", "violence"),
    ("public_life", "minor"),
)
"""Classes that say more together."""
_CLASSES: Final = 27
_OF_CLASS: Final = 3
_DENSE: Final = _CLASSES * _OF_CLASS + len(PAIRS) + 1
WIDTH: Final = _DENSE + WORDS + LETTERS
"""How many features there are."""
_WORD: Final = re.compile(r"[^\W_]+")
_PLACEHOLDER: Final = re.compile(r"<{1,2}[a-z]{1,20}>{1,2}|\b[a-z]{2,12}_[a-z0-9]{2,4}\b")
_AGE: Final = re.compile(r"\b(?:[1-9]|1[0-7])[ -]?(?:yo|yr|yrs|y o|year|years)\b")
_MIN_STEM: Final = 3


@frozen
class Features:
    """The features of a text that are not nought: classes and their pairs, words and their pairs, and letters."""

    slots: "NDArray[int32]"
    values: "NDArray[float32]"
    """Of words, pairs and letters one and the logarithm of how often they are there."""
    words_from: int
    letters_from: int

    def weighed(self, rarity: "NDArray[float32]") -> "NDArray[float32]":
        """The values times the `rarity` of their slots, words and letters brought to their lengths."""
        values = self.values * rarity[self.slots]
        for part, length in (
            (slice(self.words_from, self.letters_from), WORDS_LENGTH),
            (slice(self.letters_from, None), LETTERS_LENGTH),
        ):
            before = math.sqrt(float(values[part] @ values[part]))
            if before:
                values[part] *= length / before
        return values


class _Word(NamedTuple):
    classes: tuple[int, ...]
    digest: int
    packed: bytes
    """The digest as bytes."""
    runs: bytes
    """The slots of its runs of letters, among those of letters: four bytes each, which are quick to join."""


Known = dict[str, _Word]


@frozen
class _Classes:
    names: tuple[str, ...]
    exact: Mapping[str, tuple[int, ...]]
    stems: Mapping[str, tuple[int, ...]]
    longest: int
    pairs: tuple[tuple[int, int], ...]
    """`PAIRS` by the classes' numbers."""

    def of(self, word: str) -> set[int]:
        found = set(self.exact.get(word, ()))
        for end in range(_MIN_STEM, min(len(word), self.longest) + 1):
            found.update(self.stems.get(word[:end], ()))
        return found


def words(folded: str) -> list[str]:
    """The words of a folded text, without placeholders and apostrophes; an age below eighteen is `minor`."""
    plain = _AGE.sub(" minor ", _PLACEHOLDER.sub(" ", folded)).replace("'", "")
    return _WORD.findall(plain)


def features(text: Sequence[str], known: "Known | None" = None) -> Features:
    """The features of a text that is given by its `words`; `known` is filled, and spares looking a word up again."""
    import numpy as np

    classes = _classes()
    known = {} if known is None else known
    counts = [0] * _CLASSES
    hashed: dict[int, int] = {}
    runs = []
    before = 0
    for spelled in text:
        word = known.get(spelled)
        if word is None:
            word = known[spelled] = _read(spelled, classes)
        for number in word.classes:
            counts[number] += 1
        for slot in (word.digest % WORDS, zlib.crc32(word.packed, before) % WORDS):
            hashed[slot] = hashed.get(slot, 0) + 1
        runs.append(word.runs)
        before = word.digest
    dense = _dense(counts, len(text), classes)
    letters, often = np.unique(np.frombuffer(b"".join(runs), dtype=np.int32), return_counts=True)
    words_from, letters_from = len(dense), len(dense) + len(hashed)
    slots = np.empty(letters_from + len(letters), dtype=np.int32)
    slots[:words_from] = [*dense]
    slots[words_from:letters_from] = [*hashed]
    slots[words_from:letters_from] += _DENSE
    slots[letters_from:] = letters + (_DENSE + WORDS)
    counted = np.empty(len(slots) - words_from, dtype=np.int64)
    counted[: len(hashed)] = [*hashed.values()]
    counted[len(hashed) :] = often
    values = np.empty(len(slots), dtype=np.float32)
    values[:words_from] = [*dense.values()]
    values[words_from:] = 1 + np.log(counted)
    return Features(slots, values, words_from, letters_from)


def rarities(found: "Iterable[Features]") -> "NDArray[float32]":
    """The rarity of each slot among the texts whose features these are; one for the classes and their pairs."""
    import numpy as np

    holding, texts = np.zeros(WIDTH), 0
    for one in found:
        holding[one.slots] += 1
        texts += 1
    rarity = 1 + np.log((1 + texts) / (1 + holding))
    rarity[:_DENSE] = 1
    return rarity.astype(np.float32)


def class_names() -> tuple[str, ...]:
    """The classes of words, in the order of their features."""
    return _classes().names


def _read(spelled: str, classes: _Classes) -> _Word:
    word, found = _spelled_out(spelled, classes)
    digest = zlib.crc32(word.encode("utf-8", "replace"))
    edged = f" {word} ".encode("utf-8", "replace")[:MAX_WORD_BYTES]
    runs = [zlib.crc32(edged[low : low + run]) % LETTERS for run in RUNS for low in range(len(edged) - run + 1)]
    return _Word(tuple(found), digest, digest.to_bytes(4, "little"), array("i", runs).tobytes())


def _spelled_out(spelled: str, classes: _Classes) -> tuple[str, set[int]]:
    """A word and its classes; one with digits in it as the word that it is spelled for, where that has a class."""
    found = classes.of(spelled)
    if spelled.isalpha():
        return spelled, found
    if spelled.isdigit():
        return "0", found
    plain = spelled.translate(LEET)
    other = classes.of(plain)
    return (plain, other) if other and not found else (spelled, found)


def _dense(counts: Sequence[int], length: int, classes: _Classes) -> dict[int, float]:
    """The values of the classes, their pairs and the length that are not nought, by their slots, in order."""
    values: dict[int, float] = {}
    for number, count in enumerate(counts):
        if count:
            slot = number * _OF_CLASS
            values[slot] = math.log1p(count) / 2
            values[slot + 1] = min(1.0, 8 * count / length) / 2
            values[slot + 2] = 0.5
    for slot, (first, second) in enumerate(classes.pairs, _CLASSES * _OF_CLASS):
        if counts[first] and counts[second]:
            values[slot] = math.sqrt(math.log1p(counts[first]) * math.log1p(counts[second])) / 2
    if length:
        values[_DENSE - 1] = min(1.0, math.sqrt(length) / 20)
    return values


@cache
def _classes() -> _Classes:
    table = tomllib.loads(Path(__file__).with_name("word_classes.toml").read_text(encoding="utf-8"))
    exact: dict[str, tuple[int, ...]] = {}
    stems: dict[str, tuple[int, ...]] = {}
    for number, listed in enumerate(table.values()):
        for word in listed.split():
            if word.endswith("*"):
                stems[word[:-1]] = (*stems.get(word[:-1], ()), number)
            else:
                exact[word] = (*exact.get(word, ()), number)
    if len(table) != _CLASSES or min(map(len, stems)) < _MIN_STEM:
        raise ValueError(f"word_classes.toml has {len(table)} classes and not {_CLASSES}, or a stem that is too short")
    number_of = {name: number for number, name in enumerate(table)}
    pairs = tuple((number_of[first], number_of[second]) for first, second in PAIRS)
    return _Classes(tuple(table), exact, stems, max(map(len, stems)), pairs)
