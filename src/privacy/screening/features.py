"""What the classifier sees of a text: classes of words, pairs of classes, and hashed words and pairs of words.

Theory of operation. Some hundreds of labelled texts do not hold the words of the next one. So a word is first looked
up in `word_classes.toml` (written by hand), and the classes that a text has, how densely, and which of them together
(a group and a call to violence, a child and an act) are the first features. After them come the words themselves and
their neighbours, hashed into `HASHED` slots (feature hashing, Weinberger et al. 2009), normalised to length one.

Rules: words are forgotten when the few windows that are read together have been (`Known`), there is no cache beyond
them; placeholders (`<Person>`, `PERSON_K7`) say nothing; a number says nothing but an age below eighteen.
"""

import math
import re
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from privacy.screening.folding import LEET

if TYPE_CHECKING:
    from numpy import float32, int32
    from numpy.typing import NDArray

__all__ = ["HASHED", "WIDTH", "Features", "Known", "class_names", "features", "words"]

HASHED: Final = 1 << 15
"""Slots for words and pairs of words."""
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
WIDTH: Final = _DENSE + HASHED
"""How many features there are."""
_WORD: Final = re.compile(r"[^\W_]+")
_PLACEHOLDER: Final = re.compile(r"<{1,2}[a-z]{1,20}>{1,2}|\b[a-z]{2,12}_[a-z0-9]{2,4}\b")
_AGE: Final = re.compile(r"\b(?:[1-9]|1[0-7])[ -]?(?:yo|yr|yrs|y o|year|years)\b")
_MIN_STEM: Final = 3
_SILENT: Final = frozenset(
    {
        "the", "a", "an",
        "of", "to", "and", "in", "is", "it", "that", "for", "on", "with", "as", "was", "at", "by", "be",
        "this", "are", "or", "from", "have", "has", "had", "but", "not", "which", "were", "been", "0",
    }
)  # fmt: skip
"""Words that say nothing alone; in a pair they do."""

_Word = tuple[tuple[int, ...], int | None, int, bytes]
"""A word's classes, its slot unless it is silent, its hash, and that hash as bytes."""
Known = dict[str, _Word]


@frozen
class Features:
    """The features of a text that are not nought."""

    slots: "NDArray[int32]"
    values: "NDArray[float32]"


@frozen
class _Classes:
    names: tuple[str, ...]
    exact: Mapping[str, tuple[int, ...]]
    stems: Mapping[str, tuple[int, ...]]
    longest: int

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
    before = 0
    for spelled in text:
        read = known.get(spelled)
        if read is None:
            read = known[spelled] = _read(spelled, classes)
        found, slot, digest, packed = read
        for number in found:
            counts[number] += 1
        if slot is not None:
            hashed[slot] = hashed.get(slot, 0) + 1
        pair = zlib.crc32(packed, before) % HASHED
        hashed[pair] = hashed.get(pair, 0) + 1
        before = digest
    dense = _dense(counts, len(text), classes)
    scale = 1 / math.sqrt(sum((1 + math.log(count)) ** 2 for count in hashed.values())) if hashed else 0.0
    slots = [*(slot for slot, value in enumerate(dense) if value), *(_DENSE + slot for slot in hashed)]
    values = [value for value in dense if value]
    values += [(1 + math.log(count)) * scale for count in hashed.values()]
    return Features(np.array(slots, dtype=np.int32), np.array(values, dtype=np.float32))


def class_names() -> tuple[str, ...]:
    """The classes of words, in the order of their features."""
    return _classes().names


def _read(spelled: str, classes: _Classes) -> _Word:
    word, found = _spelled_out(spelled, classes)
    digest = zlib.crc32(word.encode("utf-8", "replace"))
    return tuple(found), None if word in _SILENT else digest % HASHED, digest, digest.to_bytes(4, "little")


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


def _dense(counts: Sequence[int], length: int, classes: _Classes) -> list[float]:
    values = []
    for count in counts:
        values += [math.log1p(count) / 2, min(1.0, 8 * count / max(1, length)) / 2, 0.5 if count else 0.0]
    logs = dict(zip(classes.names, (math.log1p(count) for count in counts), strict=True))
    values += [math.sqrt(logs[first] * logs[second]) / 2 for first, second in PAIRS]
    values.append(min(1.0, math.sqrt(length) / 20))
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
    return _Classes(tuple(table), exact, stems, max(map(len, stems)))
