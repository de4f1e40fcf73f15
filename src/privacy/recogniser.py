"""Names of people, places and organisations: a statistical recogniser under rules of shape.

Theory of operation. The packaged English model was trained on edited prose. On prompts it takes headings, code,
model names and verbs for names, and overlooks names after a greeting. So what it says is a proposal: a proposal is
trimmed (titles, possessives, field names), then vetoed by shape (`_shapes`); cues (`_cues`) add the names it missed.

Rules:

1. spaCy is imported by `load_model` and nowhere else: importing this module costs nothing.
2. Nothing of a text stays in the model: each text is read in a memory zone, whose strings are dropped at its end.
3. One lock a model: `read` may be called from any thread.

Source: design section 6, step 2; spaCy 3.8, `Language.memory_zone`.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from privacy._shapes import (
    AMBIGUOUS_NAMES,
    OPENERS,
    POSSESSIVE,
    TITLES,
    WORD,
    WORD_SURNAMES,
    Shapes,
    is_capital,
    opens_sentence,
)
from privacy.mention import Mention

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["NameRecogniser", "load_model"]

_LABELS: Final[Mapping[str, str]] = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "DATE": "DATE_TIME",
}
_UNUSED_PIPES: Final = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
"""The entity recogniser listens to `tok2vec` alone."""
MODEL_SCORE: Final = 0.8
_SALUTATIONS: Final = frozenset({"dear", "hi", "hello", "hey", "regards"})
_ABSOLUTE_DATE: Final = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.{0,12}\d|\d.{0,12}\b(?:jan|feb|mar|apr|"
    r"may|jun|jul|"
    r"aug|sep|oct|nov|dec)[a-z]*\b|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}",
    re.IGNORECASE,
)
_CODE_MARKS: Final = frozenset('`_{}[]()<>=+*/\\|#$%^~@:;"0123456789•→…')
_ORGANIZATION_MARKS: Final = frozenset('`_{}[]<>=*\\|$%^~@;"•→…')


@frozen
class NameRecogniser:
    """The model's proposals, trimmed and vetoed."""

    model: "Language"
    shapes: Shapes
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False, eq=False)

    def find(self, text: str) -> Iterator[Mention]:
        """Mentions of people, places, organisations and absolute dates, by start; threads may call it together."""
        for start, end, entity in self._read(text):
            for low, high in _lines(text, start, end):
                mention = self._accept(text, low, high, _LABELS[entity])
                if mention is not None:
                    yield mention

    def _read(self, text: str) -> list[tuple[int, int, str]]:
        with self._lock, self.model.memory_zone():
            entities = self.model(text).ents
            return [(item.start_char, item.end_char, item.label_) for item in entities if item.label_ in _LABELS]

    def _accept(self, text: str, start: int, end: int, label: str) -> Mention | None:
        if label == "DATE_TIME":
            found = _ABSOLUTE_DATE.search(text, start, end)
            return Mention(start, end, label, MODEL_SCORE, "spacy") if found else None
        opener = WORD.search(text, start, end)
        if opener and opener.group().rstrip(".").casefold() in (TITLES | _SALUTATIONS) and opener.end() < end:
            label = "PERSON"
        start, end = self._trim(text, start, end, keep_openers=label != "PERSON")
        if start >= end:
            return None
        shown = text[start:end]
        marks = _ORGANIZATION_MARKS if label == "ORGANIZATION" else _CODE_MARKS
        # Code, e-mail addresses and Markdown run into the proposal from either side.
        if not marks.isdisjoint(shown) or _stands_in_code(text, start, end):
            return None
        words = [match.group() for match in WORD.finditer(shown)]
        if shown.casefold() in self.shapes.not_names or not self._has_shape(text, start, words, label):
            return None
        return Mention(start, end, label, MODEL_SCORE, "spacy")

    def _has_shape(self, text: str, start: int, words: list[str], label: str) -> bool:
        if label == "PERSON":
            return self.shapes.is_person(words, opens_sentence=opens_sentence(text, start))
        if label == "LOCATION":
            return self.shapes.is_location(words)
        before = WORD.findall(text[max(0, start - 24) : start])
        return self.shapes.is_organization(words, before[-1].casefold() if before else "")

    def _trim(self, text: str, start: int, end: int, *, keep_openers: bool) -> tuple[int, int]:
        """The span without edge marks, possessive, titles and words that open or follow a name."""
        words = [(start + match.start(), start + match.end()) for match in WORD.finditer(text[start:end])]
        while words and self._is_lead(text[slice(*words[0])], keep_openers=keep_openers):
            del words[0]
        while len(words) > 1 and not keep_openers and self._is_trailer(text[slice(*words[-1])]):
            del words[-1]
        if not words:
            return start, start
        low, high = words[0][0], words[-1][1]
        # A stop belongs to an initial or an abbreviation; at a name's end it is the sentence's.
        if text[high - 1] == "." and (high - words[-1][0] > 3 or keep_openers is False):
            high -= 1
        if possessive := POSSESSIVE.search(text[low:high]):
            high = low + possessive.start()
        return low, high

    def _is_lead(self, word: str, *, keep_openers: bool) -> bool:
        folded = word.rstrip(".").casefold()
        return folded in OPENERS if keep_openers else folded in TITLES or folded in OPENERS or self._is_label(word)

    def _is_trailer(self, word: str) -> bool:
        is_surname = is_capital(word) and POSSESSIVE.sub("", word.rstrip(".")).casefold() in WORD_SURNAMES
        return self.shapes.is_common(word) and not is_surname

    def _is_label(self, word: str) -> bool:
        return self.shapes.is_common(word) and word.casefold() not in AMBIGUOUS_NAMES


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    low = start
    for piece in text[start:end].split("\n"):
        if piece.strip():
            yield low, low + len(piece)
        low += len(piece) + 1


def _stands_in_code(text: str, start: int, end: int) -> bool:
    """Whether the marks around the span make it a part of an identifier, a path, a call or a handle."""
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    return (
        before in {"`", "_", "/", "\\", "@", "#", "$", "."} or after[:1] in {"`", "_", "\\", "@", "="} or after == "()"
    )


def load_model(name: str) -> "Language":
    """The spaCy pipeline `name` with its entity recogniser alone; raises `OSError` where it is not installed."""
    import spacy

    return spacy.load(name, exclude=list(_UNUSED_PIPES))
