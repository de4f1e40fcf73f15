"""Names of people, places and organisations, addresses and dates: a trained recogniser under rules of shape.

Theory of operation. What the recogniser (`training/detector`) says is a proposal: it is trimmed (titles, possessives,
field names), then vetoed by shape (`_shapes`); cues (`_cues`) add the names it missed. A long text is cut into pieces
at its lines and sentences, which are read together: the recogniser sees four words to each side anyway, and takes as
long for a hundred pieces at once as for some twenty in turn.

Rules:

1. spaCy is imported by `load_model` and nowhere before: importing this module costs nothing.
2. Nothing of a text stays in the model: each text is read in a memory zone, whose strings are dropped at its end.
   Only ordinary words, those of the packaged list, are kept, so that they are not worked out for each text anew.
3. One lock a model: `find_all` may be called from any thread.
4. Time and memory are linear in the text: pieces are bounded, and so is what is read at once; of a long run of marks
   only the ends are read.

Source: design section 6, step 2; spaCy 3.8, `Language.memory_zone`.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from threadpoolctl import ThreadpoolController

from privacy._lean_spacy import import_spacy
from privacy._network import Reader, reader_of
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
    stands_in_code,
)
from privacy.mention import Mention

if TYPE_CHECKING:
    from spacy.language import Language

__all__ = ["PACKAGED_MODEL", "NameRecogniser", "load_model", "pieces_of"]

_LABELS: Final[Mapping[str, str]] = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
    "DATE": "DATE_TIME",
    "ADDRESS": "ADDRESS",
    "ID": "ID",
}
PACKAGED_MODEL: Final = Path(__file__).parent / "models" / "detector"
_UNUSED_PIPES: Final = ("tok2vec", "tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer")
"""Of a general pipeline: the entity recogniser has token vectors of its own."""
_PIECE_CHARS: Final = 400
"""About how long the pieces are that a text is read in; one without spaces or stops may be twice as long."""
_BATCH_CHARS: Final = 40_000
"""How much is read at once: some 30 MB of vectors."""
_MARKS_KEPT: Final = 12
"""How much of either end of a long run of marks is read."""
_LONG_MARKS: Final = re.compile(r"(?:[^\w\s]|_){64,}")
_ALPHANUMERIC: Final = re.compile(r"[^\W_]")
MODEL_SCORE: Final = 0.8
_SALUTATIONS: Final = frozenset({"dear", "hi", "hello", "hey", "regards"})
_ABSOLUTE_DATE: Final = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.{0,12}\d|\d.{0,12}\b(?:jan|feb|mar|apr|"
    r"may|jun|jul|"
    r"aug|sep|oct|nov|dec)[a-z]*\b|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\b(?:1[5-9]|20)\d\d\b",
    re.IGNORECASE,
)
_NUMBERED_STREET: Final = re.compile(r"[^\W\d_]{3,}\.? (?:[^\W\d_]\.? )?\d{1,5}[A-Za-z]?$|^\d{1,5} [^\W\d_]{3,}")
_CATALOGUE_CHARS: Final = 40
_CATALOGUE: Final = re.compile(
    r"(?:\b(?:(?:billing|procedure|diagnosis|status|error|exit|hs|catalogue|product) codes?|codes:|cpt"
    r"|icd(?:-?\d\d)?(?:-cm)?|hcpcs|ndc|snomed(?: ct)?|loinc|atc|rfc|iso|http|cve|doi|isbn|issn|pmid)\b)[^\n.;?!]*\Z",
    re.IGNORECASE,
)
"""Names of catalogues: what stands in them by its number is a thing, and nobody."""
_CLOCK: Final = r"(?:[01]\d|2[0-3])[0-5]\d"
_NO_ID: Final = re.compile(rf"\d{{1,2}}[.)][^\W\d_]+|[A-Z]+(?:_[A-Z]+)*_[A-Z]\d{{1,3}}|{_CLOCK}[-–]{_CLOCK}")
_SPECIALTY: Final = re.compile(
    r"(?:(?:the )?(?:department|division|section|unit|clinic) of )?(?:(?:general|emergency|internal|family|pediatric"
    r"|paediatric|plastic|vascular|critical|intensive|primary|palliative) )?"
    r"(?:\w+(?:ology|iatry|iatrics|aedics|opedics)|surgery|medicine|care|anesthesia|anaesthesia|obstetrics)",
    re.IGNORECASE,
)
"""What every hospital has."""
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_AROUND_CHARS: Final = 240
_OPENER: Final = re.compile(r"(?:\A|(?<=\n)|(?<=[.!?] ))[\"'“‘(*#>-]*(?P<word>[^\W\d_]+)")
_AUXILIARIES: Final = frozenset({"Will", "May"})
_I: Final = frozenset({"I", "I'm"})
_GOES_ON: Final = re.compile(r"\s[^\W\d_A-Z]")
_ORDINARY: Final = re.compile(r"[A-Z]?[a-z]{1,15}(?=[,.;:?!]?(?!\S))")
"""A word as prose has it, between spaces, but for a mark behind it."""
_MAX_ORDINARY: Final = 20_000
"""How many spellings of ordinary words are kept: some 5 MB."""
_CODE_MARKS: Final = frozenset('`_{}[]()<>=+*/\\|#$%^~@:;"0123456789•→…')
_ORGANIZATION_MARKS: Final = frozenset('`_{}[]<>=*\\|$%^~@;"•→…')


@frozen
class NameRecogniser:
    """The model's proposals, trimmed and vetoed."""

    model: "Language"
    shapes: Shapes
    _reader: Reader = field(init=False, repr=False, eq=False)
    _kept: set[str] = field(factory=set, init=False, repr=False, eq=False)
    """Ordinary words that the model's vocabulary holds, as they were written."""
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False, eq=False)
    _libraries: ThreadpoolController = field(factory=ThreadpoolController, init=False, repr=False, eq=False)

    @_reader.default
    def _read_by(self) -> Reader:
        return reader_of(self.model.get_pipe("ner"))

    def find(self, text: str) -> list[Mention]:
        """Mentions of people, places, organisations, addresses and absolute dates, by start. As `find_all`."""
        return self.find_all([text])[0]

    def find_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        """The mentions of each text, by start; threads may call it together."""
        found: list[list[Mention]] = [[] for _ in texts]
        for place, start, end, entity in self._read(texts):
            text = texts[place]
            for low, high in _lines(text, start, end) if entity != "ADDRESS" else [(start, end)]:
                found[place].extend(self._accept(text, low, high, _LABELS[entity]))
        return found

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
        """What the model says: which text, start, end, and its label."""
        pieces = [
            (place, low, high)
            for place, text in enumerate(texts)
            for start, end in pieces_of(text)
            for low, high in _without_long_marks(text, start, end)
        ]
        first = 0
        while first < len(pieces):
            last, chars = first, 0
            while last < len(pieces) and (last == first or chars < _BATCH_CHARS):
                chars += pieces[last][2] - pieces[last][1]
                last += 1
            batch = pieces[first:last]
            first = last
            self._keep_ordinary(texts[place][start:end] for place, start, end in batch)
            # More threads than one cost more than they bring: the products are small.
            with self._lock, self._libraries.limit(limits=1, user_api="blas"), self.model.memory_zone():
                docs = [self.model.make_doc(texts[place][start:end]) for place, start, end in batch]
                said = [
                    (place, start + low, start + high, label)
                    for (place, start, _), entities in zip(batch, self._reader(docs), strict=True)
                    for low, high, label in entities
                    if label in _LABELS
                ]
            yield from said

    def _keep_ordinary(self, pieces: Iterable[str]) -> None:
        """Lets the vocabulary hold the ordinary words of `pieces` beyond the memory zones."""
        for piece in pieces:
            for word in _ORDINARY.findall(piece):
                if word not in self._kept and word.lower() in self.shapes.common and len(self._kept) < _MAX_ORDINARY:
                    with self._lock:
                        self.model.make_doc(word)
                        self._kept.add(word)

    def _accept(self, text: str, start: int, end: int, label: str) -> Iterator[Mention]:
        """What of a proposal stands."""
        if label == "DATE_TIME":
            if _ABSOLUTE_DATE.search(text, start, end):
                yield Mention(start, end, label, MODEL_SCORE, "spacy")
            return
        if label in {"ADDRESS", "ID"}:
            if label == "ADDRESS" or not _is_of_a_thing(text, start, end):
                yield from _numbered(text, start, end, label)
            return
        if label != "ORGANIZATION" and _NUMBERED_STREET.search(text, start, end):
            yield from _numbered(text, start, end, "ADDRESS")
            return
        opener = WORD.search(text, start, end)
        if opener and opener.group().rstrip(".").casefold() in (TITLES | _SALUTATIONS) and opener.end() < end:
            label = "PERSON"
        # Code and punctuation run into a proposal from either side, or stand between two names.
        marks = _ORGANIZATION_MARKS if label == "ORGANIZATION" else _CODE_MARKS
        for low, high in _without(marks, text, start, end):
            yield from self._named(text, low, high, label)

    def _named(self, text: str, start: int, end: int, label: str) -> Iterator[Mention]:
        """The name between `start` and `end`, if it looks like one."""
        start, end = self._trim(text, start, end, keep_openers=label != "PERSON")
        if start >= end or stands_in_code(text, start, end):
            return
        shown = text[start:end]
        words = [match.group() for match in WORD.finditer(shown)]
        if shown.casefold() in self.shapes.not_names or _SPECIALTY.fullmatch(shown):
            return
        if not self._has_shape(text, start, end, words, label):
            return
        yield Mention(start, end, label, MODEL_SCORE, "spacy")

    def _has_shape(self, text: str, start: int, end: int, words: list[str], label: str) -> bool:
        small = not any(map(is_capital, words))
        if small and not _is_typed_small(text, start, end):
            return False
        if label == "PERSON":
            opens = text[start:end] in _AUXILIARIES and opens_sentence(text, start)
            if opens and _GOES_ON.match(text, end):  # "Will continue the tablets."
                return False
            return self.shapes.is_person(words)
        if label == "LOCATION":
            return self.shapes.is_location(words)
        return self.shapes.is_organization(words)

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


def _is_of_a_thing(text: str, start: int, end: int) -> bool:
    """Whether a number stands in a catalogue, counts a list's lines, or is a placeholder of ours."""
    if _CATALOGUE.search(text, max(0, start - _CATALOGUE_CHARS), end):
        return True
    return _NO_ID.fullmatch(text, start, end) is not None


def _numbered(text: str, start: int, end: int, label: str) -> Iterator[Mention]:
    """An address or a number of something: neither is without a digit, and neither goes on past an empty line."""
    if (gap := text.find("\n\n", start, end)) >= 0:
        end = gap
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    if any(map(str.isdigit, text[start:end])):
        yield Mention(start, end, label, MODEL_SCORE, "spacy")


def _without(marks: frozenset[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches between `marks`."""
    low = start
    for place in range(start, end):
        if text[place] in marks:
            yield low, place
            low = place + 1
    yield low, end


def _is_typed_small(text: str, start: int, end: int) -> bool:
    """Whether the words around are written without capitals, so that a name would be, too."""
    low, high = max(0, start - _AROUND_CHARS), end + _AROUND_CHARS
    around = _LETTERS.findall(text, low, high)
    capital = sum(word[0].isupper() and word not in _I for word in around)
    openers = [match["word"] for match in _OPENER.finditer(text, low, high) if match["word"] not in _I]
    capital_openers = sum(word[0].isupper() for word in openers)
    return bool(capital * 10 <= len(around) and 2 * capital_openers <= len(openers))


def pieces_of(text: str) -> Iterator[tuple[int, int]]:
    """Where `text` is cut: at a line, else behind a sentence, else between words, else anywhere."""
    start = 0
    while len(text) - start > 2 * _PIECE_CHARS:
        low, high = start + _PIECE_CHARS // 2, start + 2 * _PIECE_CHARS
        end = text.rfind("\n", low, start + _PIECE_CHARS) + 1
        if not end:
            end = text.find("\n", start + _PIECE_CHARS, high) + 1
        if not end:
            end = max(text.rfind(mark, low, high) + 2 for mark in (". ", "? ", "! "))
        if end < low:
            end = text.rfind(" ", low, high) + 1 or high
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


def _without_long_marks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """What of a piece is read: of a long run of marks the ends, of marks alone nothing.

    The tokenizer tries each mark of a run by itself, which takes as long as a word.
    """
    for run in _LONG_MARKS.finditer(text, start, end):
        low = run.start() + _MARKS_KEPT
        if _ALPHANUMERIC.search(text, start, low):
            yield start, low
        start = run.end() - _MARKS_KEPT
    if _ALPHANUMERIC.search(text, start, end):
        yield start, end


def load_model(name: str | Path = PACKAGED_MODEL, language: str = "en") -> "Language":
    """The spaCy pipeline `name`, a package or a folder of `language` (ISO 639), with its entity recogniser alone.

    Raises `OSError` where it is not there.
    """
    spacy = import_spacy()
    from spacy.attrs import LOWER, NORM, PREFIX, SHAPE, SUFFIX
    from spacy.vocab import create_vocab

    import privacy.tokens  # noqa: F401 - the tokenizer that the packaged pipeline names

    # Of a word that it meets, spaCy works out some twenty things (is it a number, an address, a stop word?), anew in
    # each memory zone; the recogniser looks at four.
    vocab: Any = create_vocab(language, spacy.util.get_lang_class(language).Defaults)
    getters = vocab.lex_attr_getters
    vocab.lex_attr_getters = {key: getters[key] for key in (LOWER, NORM, PREFIX, SHAPE, SUFFIX)}
    pipeline: Language = spacy.load(name, vocab=vocab, exclude=list(_UNUSED_PIPES))
    return pipeline
