"""Recognisers by language: whom a text is read by, and what their word counts for.

Theory of operation. Every text is read by the English recogniser, whose names and forms are much the same in all
languages with Latin letters: a missed name is worse than a false one. What it says of a stretch in another language
has a lower score, and the function words of that language are cut off it. Stretches in a language with a recogniser
of its own (French) are read by that one, too. Other scripts have patterns, cues and known names alone.

Rules:

1. A recogniser beside the English one is loaded when the first text in its language comes. Where it is missing,
   nothing of such a text is found: `ModelMissing`, and so `DetectionFailed`.
2. The words of English veto no French name, and those of French do.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from operator import attrgetter
from typing import Final

from attrs import evolve, field, frozen

from peernet.core.errors import PeernetError
from privacy._foreign_cues import FOREIGN_TITLES, foreign_cues
from privacy._lone_names import small_names
from privacy._shapes import PARTICLES, WORD, Shapes, load_shapes
from privacy.languages import ENGLISH, Stretch, function_words, stretches_of
from privacy.mention import Mention
from privacy.recogniser import NameRecogniser, load_model

__all__ = ["FURTHER_MODELS", "LazyRecogniser", "ModelMissing", "read_names"]

FURTHER_MODELS: Final[Mapping[str, str]] = {"fr": "fr_core_news_sm"}
"""The packages of the recognisers beside the English one, by language."""
FOREIGN_SCORE: Final = 0.5
"""Of what the English recogniser says of another language."""
_NOUNS_ARE_CAPITAL: Final = frozenset({"de"})


class ModelMissing(PeernetError):
    """The package of a recogniser is not installed; the message is its name."""


@frozen
class LazyRecogniser:
    """A recogniser that is loaded once it is needed."""

    language: str
    model: str
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False, eq=False)
    _loaded: list[NameRecogniser] = field(factory=list, init=False, repr=False, eq=False)

    @property
    def is_loaded(self) -> bool:
        """Whether a text has needed it."""
        return bool(self._loaded)

    def get(self) -> NameRecogniser:
        """The recogniser; raises `ModelMissing` where its package is not installed."""
        with self._lock:
            if not self._loaded:
                try:
                    model = load_model(self.model, self.language)
                except (ImportError, OSError) as error:
                    raise ModelMissing(self.model) from error
                self._loaded.append(NameRecogniser(model, _shapes_of(self.language)))
            return self._loaded[0]


@cache
def _shapes_of(language: str) -> Shapes:
    path = resources.files("privacy").joinpath("data", f"words_{language}.txt")
    listed = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    words = {word for line in listed for word in line.split()}
    return evolve(load_shapes(), common=frozenset(words | function_words(language)))


def read_names(
    texts: Sequence[str], english: NameRecogniser, further: Mapping[str, LazyRecogniser]
) -> list[list[Mention]]:
    """What the recognisers and the cues of other languages than English say of each text of a conversation."""
    spoken = stretches_of(texts)
    said = english.find_all(texts)
    found = [
        [
            accepted
            for mention, stretch in _with_stretches(mentions, stretches)
            for accepted in _of_english(text, mention, stretch)
        ]
        for text, mentions, stretches in zip(texts, said, spoken, strict=True)
    ]
    for place, stretches in enumerate(spoken):
        for stretch in stretches:
            if stretch.language == ENGLISH:
                found[place].extend(small_names(texts[place], stretch.start, stretch.end))
            else:
                found[place].extend(foreign_cues(texts[place], stretch.start, stretch.end, stretch.language))
    for language, recogniser in further.items():
        own = [
            (place, stretch) for place, stretches in enumerate(spoken) for stretch in stretches
            if stretch.language == language
        ]  # fmt: skip
        if own:
            parts = [texts[place][stretch.start : stretch.end] for place, stretch in own]
            for (place, stretch), mentions in zip(own, recogniser.get().find_all(parts), strict=True):
                for mention in mentions:
                    moved = evolve(mention, start=mention.start + stretch.start, end=mention.end + stretch.start)
                    trimmed = _trimmed(texts[place], moved, language)
                    if trimmed is not None:
                        found[place].append(trimmed)
    return found


def _with_stretches(mentions: Sequence[Mention], stretches: Sequence[Stretch]) -> Iterator[tuple[Mention, Stretch]]:
    """Each mention with the stretch that it begins in; both are in the order of the text."""
    place = 0
    for mention in sorted(mentions, key=attrgetter("start")):
        while mention.start >= stretches[place].end:
            place += 1
        yield mention, stretches[place]


def _of_english(text: str, mention: Mention, stretch: Stretch) -> Iterator[Mention]:
    """What the English recogniser said, as far as it counts in the language that it stands in."""
    if stretch.language == ENGLISH:
        yield mention
        return
    if not stretch.is_latin and mention.label in {"ADDRESS", "ID"}:
        return
    if mention.label in {"DATE_TIME", "ADDRESS", "ID"}:
        yield evolve(mention, score=FOREIGN_SCORE)
        return
    if not stretch.is_latin and not any(map(str.isascii, text[mention.start : mention.end].split())):
        return
    trimmed = _trimmed(text, mention, stretch.language)
    if trimmed is not None:
        yield evolve(trimmed, score=FOREIGN_SCORE)


def _trimmed(text: str, mention: Mention, language: str) -> Mention | None:
    """`mention` without titles and ordinary words of `language` at its ends, if anything else is left."""
    words = list(WORD.finditer(text, mention.start, mention.end))
    kept = list(words)
    while kept and (_is_title(kept[0].group()) or _is_ordinary(kept[0].group(), language)):
        del kept[0]
    while kept and _is_ordinary(kept[-1].group(), language):
        del kept[-1]
    if not kept or all(word.group().casefold() in PARTICLES for word in kept):
        return None
    # "Mein Vermieter" is nobody's name; in other languages the noun would be small.
    led = words[0] is not kept[0] and not _is_title(words[0].group())
    if led and len(kept) == 1 and language in _NOUNS_ARE_CAPITAL:
        return None
    if kept == words:
        return mention
    return evolve(mention, start=kept[0].start(), end=kept[-1].end())


def _is_ordinary(word: str, language: str) -> bool:
    ordinary = _ordinary(language)
    folded = word.casefold().replace("’", "'")
    return folded in ordinary or ("'" in folded and folded.partition("'")[2] in ordinary)


def _is_title(word: str) -> bool:
    return word.rstrip(".").casefold() in FOREIGN_TITLES


@cache
def _ordinary(language: str) -> frozenset[str]:
    """Words that no name begins or ends with."""
    words = _shapes_of(language).common if language in FURTHER_MODELS else function_words(language)
    return frozenset(words) - PARTICLES | {word for word in function_words(language) if len(word) < 4}
