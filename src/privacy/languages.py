"""Which language a text is in, found by its scripts and its function words.

Theory of operation. A text is read line by line, and a long line in pieces. In each piece the words are looked up in a
table (`data/function_words.txt`) of articles, pronouns, prepositions and auxiliaries, of which every language puts a
third to a half of its sentences together; a word of several languages counts for less in each. Scripts other than
Latin say it by themselves, or leave a few languages to choose among.

Rules:

1. Names say nothing: a list of Spanish names in an English sentence is English, and particles ("de la", "van der") are
   no evidence on their own. Nor does code: words that touch its marks are not read, and text of few function words is
   in no language.
2. Without evidence it abstains. Such a piece has the language of its text, such a text that of its conversation, and
   such a conversation is English.
3. A piece of a text is in another language than the text only on stronger evidence.
4. Time is linear in the text.

The method is known from Grefenstette, "Comparing two language identification schemes" (1995).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final

from attrs import frozen

from privacy.exposure import word_set

__all__ = [
    "ENGLISH", "Stretch", "function_words", "language_name", "language_of", "languages_beside", "stretches_of",
]  # fmt: skip

ENGLISH: Final = "en"
_PIECE_CHARS: Final = 800
_LEAST_WORDS: Final = 2
"""How many different function words a language needs."""
_LEAST_SCORE: Final = 1.1
_LEAST_SHARE: Final = 0.12
"""Of a piece's words that are function words of its language: prose has 0.3 to 0.5, code and lists have few."""
_OTHER_WORDS: Final = 3
"""As `_LEAST_WORDS`, for a piece in another language than its text."""
_OVER_ENGLISH: Final = 1.3
"""How much more than for English must speak for another language."""
_LEAST_LETTERS: Final = 4
_SCRIPT_SHARE: Final = 0.5
_WORD: Final = re.compile(
    r"(?<![\w@/.\\-])(?:[\u0900-\u0963\u0970-\u097f]+|[^\W\d_]+['’]?)(?![@_(=/\\\d]|\.\w)|(?<=['’])[^\W\d_]+"
)
_PARTICLES: Final = word_set(
    "de la del da di du le van von der den y e i af al el los las dos das do des zu zum zur a o un une ten ter l' d'"
)
"""Words that names have in them, too."""
_ALSO_ENGLISH: Final = word_set("over for go no bin on die man men also so do me fast most under den her per pan pod")
_BEYOND_LATIN: Final = re.compile(
    r"[\u0370-\u1cff\u2d00-\ud7ff\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc\U00020000-\U0003ffff]"
)
_SCRIPTS: Final = (
    (0x0370, 0x03FF, "el"),
    (0x0400, 0x052F, "ru uk be bg mk sr"),
    (0x0530, 0x058F, "hy"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar fa ur"),
    (0x0900, 0x097F, "hi mr ne"),
    (0x0980, 0x09FF, "bn"),
    (0x0A00, 0x0A7F, "pa"),
    (0x0A80, 0x0AFF, "gu"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"),
    (0x0D80, 0x0DFF, "si"),
    (0x0E00, 0x0E7F, "th"),
    (0x0E80, 0x0EFF, "lo"),
    (0x0F00, 0x0FFF, "bo"),
    (0x1000, 0x109F, "my"),
    (0x10A0, 0x10FF, "ka"),
    (0x1100, 0x11FF, "ko"),
    (0x1200, 0x139F, "am"),
    (0x1780, 0x17FF, "km"),
    (0x1F00, 0x1FFF, "el"),
    (0x3040, 0x30FF, "ja"),
    (0x3130, 0x318F, "ko"),
    (0x3400, 0x9FFF, "zh"),
    (0xAC00, 0xD7AF, "ko"),
    (0xF900, 0xFAFF, "zh"),
    (0xFB1D, 0xFB4F, "he"),
    (0xFB50, 0xFEFC, "ar fa ur"),
    (0x20000, 0x3FFFF, "zh"),
)
"""Code points of a script, from and to, and the languages that are written in it."""
_UNKNOWN_SCRIPT: Final = "und"
_SCRIPT_NAMES: Final = {
    "el": "Greek", "hy": "Armenian", "he": "Hebrew", "bn": "Bengali", "pa": "Punjabi", "gu": "Gujarati", "ta": "Tamil",
    "te": "Telugu", "kn": "Kannada", "ml": "Malayalam", "si": "Sinhala", "th": "Thai", "lo": "Lao", "bo": "Tibetan",
    "my": "Burmese", "ka": "Georgian", "ko": "Korean", "am": "Amharic", "km": "Khmer", "ja": "Japanese",
    "zh": "Chinese", _UNKNOWN_SCRIPT: "in a script that we do not know",
}  # fmt: skip
_BY_SCRIPT: Final = frozenset(_SCRIPT_NAMES) | frozenset(
    language for _, _, languages in _SCRIPTS for language in languages.split()
)


@frozen(order=True)
class Stretch:
    """A part of a text that is in one language; `start` and `end` as in a mention."""

    start: int
    end: int
    language: str
    """Its code of ISO 639-1, or `und` for a script that we do not know."""

    @property
    def is_latin(self) -> bool:
        """Whether the language is written in Latin letters."""
        return self.language not in _BY_SCRIPT


@frozen
class _Table:
    names: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
    """Each function word with its languages."""
    places: Mapping[str, int]
    """Where each language stands in the table."""


@cache
def _table() -> _Table:
    names: dict[str, str] = {}
    words: dict[str, tuple[str, ...]] = {}
    text = resources.files("privacy").joinpath("data", "function_words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        heading, _, listed = line.partition(": ")
        code, _, names[code] = heading.partition(" ")
        for word in dict.fromkeys(listed.split()):
            words[word] = (*words.get(word, ()), code)
    names |= _SCRIPT_NAMES
    return _Table(names, words, {code: place for place, code in enumerate(names)})


def language_name(code: str) -> str:
    """The English name of a language by its code."""
    return _table().names[code]


@cache
def function_words(code: str) -> frozenset[str]:
    """The function words of a language; none for those that are known by their script."""
    return frozenset(word for word, languages in _table().words.items() if code in languages)


def language_of(text: str) -> str | None:
    """The language that most of `text` is in, or None without evidence."""
    return _Evidence.sum_of([_evidence(text[start:end]) for start, end in _pieces(text)]).language(_LEAST_WORDS)


def stretches_of(texts: Sequence[str]) -> list[list[Stretch]]:
    """The languages of the texts of one conversation, each text from its start to its end; none of an empty text."""
    read = [[(start, end, _evidence(text[start:end])) for start, end in _pieces(text)] for text in texts]
    wholes = [_Evidence.sum_of([evidence for _, _, evidence in pieces]).language(_LEAST_WORDS) for pieces in read]
    spoken = Counter[str]()
    for text, language in zip(texts, wholes, strict=True):
        if language is not None:
            spoken[language] += len(text)
    usual = spoken.most_common(1)[0][0] if spoken else ENGLISH
    return [_stretches(pieces, language or usual) for pieces, language in zip(read, wholes, strict=True)]


def languages_beside(supported: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The languages of `texts` that are not `supported`, by their codes, in the order in which they come."""
    found = [stretch.language for stretches in stretches_of(texts) for stretch in stretches]
    return [language for language in dict.fromkeys(found) if language not in supported]


def _stretches(pieces: "Sequence[tuple[int, int, _Evidence]]", usual: str) -> list[Stretch]:
    if len(pieces) == 1:
        return [Stretch(*pieces[0][:2], usual)]
    stretches: list[Stretch] = []
    for start, end, evidence in pieces:
        # An empty line belongs to what it follows.
        silent = stretches[-1].language if stretches and not evidence.words else usual
        language = evidence.language(_OTHER_WORDS) or silent
        goes_on = bool(stretches) and stretches[-1].language == language
        stretches.append(Stretch(stretches.pop().start if goes_on else start, end, language))
    return stretches


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Lines of `text`, and parts of long ones, that lie one behind the other."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + _PIECE_CHARS) + 1
        if not end:
            end = start + _PIECE_CHARS
            end = len(text) if end >= len(text) else text.rfind(" ", start, end) + 1 or end
        yield start, end
        start = end


@frozen
class _Evidence:
    """What speaks for the languages of a piece."""

    scripts: Mapping[str, int]
    """Letters of each script but Latin, by its languages."""
    letters: int
    words: int
    """How many there are in all."""
    known: Mapping[str, int]
    """Function words, folded, and how often each stands there."""

    @classmethod
    def sum_of(cls, parts: "Sequence[_Evidence]") -> "_Evidence":
        if len(parts) == 1:
            return parts[0]
        scripts, known = Counter[str](), Counter[str]()
        for part in parts:
            scripts.update(part.scripts)
            known.update(part.known)
        return cls(scripts, sum(part.letters for part in parts), sum(part.words for part in parts), known)

    def language(self, least_words: int) -> str | None:
        """What the evidence amounts to; `least_words` different function words are needed of a language."""
        beyond = sum(self.scripts.values())
        if beyond >= max(_LEAST_LETTERS, _SCRIPT_SHARE * self.letters):
            return self._by_script()
        words = _table().words
        scores: dict[str, float] = defaultdict(float)
        kinds, standing = Counter[str](), Counter[str]()
        for word, count in self.known.items():
            languages = words[word]
            weight = min(count, 2) / len(languages) ** 0.5
            for language in languages:
                scores[language] += weight
                standing[language] += count
                kinds[language] += language == ENGLISH or _tells(word, languages)
        enough = [
            language
            for language, score in scores.items()
            if kinds[language] >= least_words
            and score >= _LEAST_SCORE
            and standing[language] >= _LEAST_SHARE * self.words
        ]
        # Of equals, as Danish and Norwegian often are, the first of the table.
        places = _table().places
        best = max(enough, key=lambda language: (scores[language], -places[language]), default=None)
        if best is None or best == ENGLISH or scores[best] >= _OVER_ENGLISH * scores[ENGLISH]:
            return best
        return ENGLISH if ENGLISH in enough else None

    def _by_script(self) -> str:
        if "ja" in self.scripts:
            return "ja"  # Chinese characters stand among the kana.
        languages = max(self.scripts, key=lambda script: self.scripts[script]).split()
        words = _table().words
        scores = dict.fromkeys(languages, 0.0)
        for word, count in self.known.items():
            for language in words[word]:
                if language in scores:
                    scores[language] += min(count, 2) / len(words[word]) ** 0.5
        return max(languages, key=lambda language: scores[language])


def _evidence(piece: str) -> _Evidence:
    scripts: Counter[str] = Counter()
    letters = 0
    if not piece.isascii():
        scripts.update(_script_of(ord(match)) for match in _BEYOND_LATIN.findall(piece) if match.isalpha())
        letters = sum(map(str.isalpha, piece)) if scripts else 0
    known: Counter[str] = Counter()
    words = _WORD.findall(piece.casefold() if piece.isupper() else piece)
    table = _table().words
    for word in words:
        folded = word if word.islower() else word.lower()
        folded = folded.replace("’", "'")
        # "LA" and "OR" are states, "Das" and "An" may be names: short words count where they are written small.
        if folded in table and (word == folded or len(word) > 2 or word[-1] in "'’"):
            known[folded] += 1
    return _Evidence(scripts, letters, len(words), known)


def _tells(word: str, languages: Sequence[str]) -> bool:
    """Whether a word is evidence by itself that a text is not in English, whose function words `languages` have."""
    is_letter = len(word.rstrip("'")) == 1 and word.isascii()
    return not is_letter and ENGLISH not in languages and word not in _PARTICLES and word not in _ALSO_ENGLISH


def _script_of(code_point: int) -> str:
    for first, last, languages in _SCRIPTS:
        if first <= code_point <= last:
            return languages
    return _UNKNOWN_SCRIPT
