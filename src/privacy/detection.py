"""What in a conversation identifies somebody: patterns, a recogniser and names already known, made one list.

Theory of operation. A text passes four steps: it is folded (each full-width or styled character to the plain one it
stands for, invisible ones left out, offsets kept), read by the validated patterns, the cues and the recogniser, and
then once more for the names found so far, since who is "Maria Kowalska" in one place is "Kowalska's" in another.
Last, overlapping spans are settled.

Rules:

1. Fails closed: whatever goes wrong inside is `DetectionFailed`, and nothing of the text is in its message.
2. Mentions come sorted and do not overlap. Of two that do, the longer one stands, of equal ones the pattern, then
   the known name; what the other covered beyond it stays covered under its own label.
3. A text longer than `MAX_TEXT_CHARS` is refused, not cut.
4. `Detector` may be used from several threads (`trio.to_thread`). Importing this module imports no spaCy.

Source: design section 6, step 2; promise P2.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from peernet.core.errors import PeernetError
from privacy._address_lines import grown_addresses
from privacy._by_language import FURTHER_MODELS, LazyRecogniser, ModelMissing, read_names
from privacy._coordination import COORDINATED, coordinated_names
from privacy._cues import ADDRESSED, cue_names, cue_organizations
from privacy._letterheads import letterhead_names
from privacy._lone_names import LONE, lone_names
from privacy._records import record_numbers
from privacy._shapes import PARTICLES, TITLES, WORD, Shapes, is_capital, load_shapes, opens_sentence
from privacy.folding import View
from privacy.languages import ENGLISH
from privacy.mention import Mention
from privacy.patterns import DEFAULT_PHONE_REGIONS, Recogniser, default_recognisers, find_patterns
from privacy.recogniser import PACKAGED_MODEL, NameRecogniser, load_model

__all__ = ["MAX_KNOWN_NAMES", "MAX_TEXT_CHARS", "SUPPORTED_LANGUAGES", "DetectionFailed", "Detector", "KnownName"]

MAX_TEXT_CHARS: Final = 1_200_000
"""Some six hundred pages."""
MAX_KNOWN_NAMES: Final = 5_000
SUPPORTED_LANGUAGES: Final = (ENGLISH, *FURTHER_MODELS)
"""Those with a recogniser; in others patterns, cues and known names are found, and names with less certainty."""

_CHECKED: Final = frozenset({"EMAIL", "PHONE", "CREDIT_CARD", "IBAN", "IP_ADDRESS", "MAC_ADDRESS", "CRYPTO_ADDRESS"})
"""Labels whose patterns are sure of what they found."""
KNOWN_SCORE: Final = 0.95
_NAME_PART: Final = re.compile(r"[^\W\d_](?:[^\W_]|['’-](?=[^\W_]))*")
_LEGAL_FORM: Final = re.compile(
    r",?\s+(?:Inc|Incorporated|Ltd|Limited|LLC|LLP|PLC|Corp|Corporation|Co|GmbH|AG|KG|S\.?A|BV|NV|AB|Oy|Pty)\.?$",
    re.IGNORECASE,
)
_EXPANDED: Final = frozenset({"PERSON", "ORGANIZATION", "LOCATION"})
_GUESSED: Final = frozenset({"spacy", ADDRESSED, LONE, COORDINATED})
"""Sources whose label a known name corrects."""
_GOES_ON: Final = re.compile(r"\s[^\W\d_A-Z]")
_ALPHANUMERIC: Final = re.compile(r"[^\W_]")


class DetectionFailed(PeernetError):
    """Identifiers could not be looked for, so the text must not be sent. The message holds nothing of the text."""


@frozen
class KnownName:
    """A name from earlier in the conversation, to be found wherever it stands."""

    text: str
    label: str = "PERSON"
    """One of `privacy.mention.LABELS`."""
    told: bool = True
    """False for what only the recogniser says: its parts then count in capitals alone."""


@frozen
class Detector:
    """Finds the identifiers of texts; make one with `load` and keep it: loading takes about a second."""

    names: NameRecogniser
    recognisers: Sequence[Recogniser]
    shapes: Shapes
    further: Mapping[str, LazyRecogniser] = field(factory=dict)
    """Recognisers of other languages than English."""

    @classmethod
    def load(
        cls,
        model: str | Path = PACKAGED_MODEL,
        regions: Sequence[str] = DEFAULT_PHONE_REGIONS,
        languages: Sequence[str] = SUPPORTED_LANGUAGES,
    ) -> "Detector":
        """The detector over a spaCy pipeline, by its package or folder; `regions` (ISO 3166) are of phone numbers.

        `languages` are those whose names are recognised, of `SUPPORTED_LANGUAGES`; all but English are loaded later.

        Raises `DetectionFailed` where the pipeline is not there.
        """
        try:
            language = load_model(model)
        except (ImportError, OSError) as error:
            message = f"the language model {str(model)!r} cannot be loaded: install peernet with its client extra"
            raise DetectionFailed(message) from error
        shapes = load_shapes()
        further = {code: LazyRecogniser(code, FURTHER_MODELS[code]) for code in languages if code in FURTHER_MODELS}
        return cls(NameRecogniser(language, shapes), default_recognisers(regions), shapes, further)

    def detect(self, text: str, known: Iterable[KnownName] = ()) -> list[Mention]:
        """The mentions in `text`, sorted and not overlapping, offsets in its code points.

        Raises `DetectionFailed` for anything that goes wrong and for texts over `MAX_TEXT_CHARS`.
        """
        return self.detect_all([text], known)[0]

    def detect_all(self, texts: Sequence[str], known: Iterable[KnownName] = ()) -> list[list[Mention]]:
        """The mentions of each text of one conversation; a name found in one is known in all. As `detect`."""
        failure: str
        try:
            return self._detect_all(texts, tuple(known))
        except DetectionFailed:
            raise
        except ModelMissing as error:
            failure = f"the language model {str(error)!r} cannot be loaded: install peernet with its client extra"
        except Exception as error:  # noqa: BLE001  promise P2: whatever broke, nothing is sent
            failure = type(error).__name__
        # Raised outside the handler: the cause, which may quote the text, is not chained to it.
        raise DetectionFailed(f"looking for identifiers failed ({failure}); nothing was sent")

    def _detect_all(self, texts: Sequence[str], known: Sequence[KnownName]) -> list[list[Mention]]:
        total = sum(map(len, texts))
        if total > MAX_TEXT_CHARS:
            raise DetectionFailed(f"a text of {total} characters is over the limit of {MAX_TEXT_CHARS}: shorten it")
        if len(known) > MAX_KNOWN_NAMES:
            raise DetectionFailed(f"{len(known)} known names are over the limit of {MAX_KNOWN_NAMES}")
        views = [View.of(text) for text in texts]
        said = read_names([view.text for view in views], self.names, self.further)
        found = [self._grown(view.text, names) for view, names in zip(views, said, strict=True)]
        names = [*known, *_names(views, found)][:MAX_KNOWN_NAMES]
        expression = _known_expression(names, self.shapes, views, found)
        return [
            view.originals(_settle(_find_known(view.text, mentions, expression, self.shapes), view.text))
            for view, mentions in zip(views, found, strict=True)
        ]

    def _grown(self, text: str, said: Iterable[Mention]) -> list[Mention]:
        settled = _settle(self._find(text, said), text)
        grown = [
            *grown_addresses(text, settled, self.shapes),
            *record_numbers(text, settled),
            *coordinated_names(text, settled, self.shapes),
        ]
        if grown:
            settled = _settle([*settled, *grown], text)
        above = list(letterhead_names(text, settled, self.shapes))
        return _settle([*settled, *above], text) if above else settled

    def _find(self, text: str, said: Iterable[Mention]) -> Iterator[Mention]:
        patterns = find_patterns(text, self.recognisers)
        checked = _settle((mention for mention in patterns if mention.label in _CHECKED), text)
        yield from patterns
        yield from cue_names(text, self.shapes)
        yield from cue_organizations(text, self.shapes)
        yield from lone_names(text, self.shapes)
        for mention in said:
            yield from _beside(mention, checked, text, self.shapes)


def _beside(mention: Mention, checked: Sequence[Mention], text: str, shapes: Shapes) -> Iterator[Mention]:
    """What the recogniser took for an address or a number, without what a checked pattern knows to be another thing.

    What is left over stays masked, as a person if it looks like one.
    """
    if mention.label not in {"ADDRESS", "ID"}:
        yield mention
        return
    first = bisect_right(checked, mention.start, key=attrgetter("end"))
    inside = checked[first : bisect_left(checked, mention.end, key=attrgetter("start"))]
    if not inside:
        yield mention
        return
    start = mention.start
    for other in [*inside, None]:
        words = list(WORD.finditer(text, start, other.start if other else mention.end))
        while words and shapes.is_common(words[0].group()):
            del words[0]
        if words:
            shown = [word.group() for word in words]
            is_person = shapes.is_person(shown) and not any(map(str.isdigit, "".join(shown)))
            label = "PERSON" if is_person else mention.label
            yield evolve(mention, start=words[0].start(), end=words[-1].end(), label=label)
        start = other.end if other else mention.end


def _rank(mention: Mention) -> int:
    if mention.source.startswith("pattern:"):
        return 0
    return 1 if mention.source == "known" else 2


def _precedence(mention: Mention) -> tuple[object, ...]:
    """The longer first, then by what says it; nothing is left to chance."""
    is_number = mention.label == "ID"
    return (
        mention.start - mention.end,
        _rank(mention),
        -mention.score,
        mention.start,
        is_number,
        mention.label,
        mention.source,
    )


def _settle(mentions: Iterable[Mention], text: str) -> list[Mention]:
    """Non-overlapping mentions that cover every letter and digit that `mentions` cover, sorted."""
    settled: list[Mention] = []
    starts: list[int] = []
    for mention in sorted(set(mentions), key=_precedence):
        first, last = bisect_right(starts, mention.start), bisect_left(starts, mention.end)
        if first and settled[first - 1].end > mention.start:
            first -= 1
        for piece in _uncovered(mention, settled[first:last], text):
            place = bisect_left(starts, piece.start)
            settled.insert(place, piece)
            starts.insert(place, piece.start)
    return settled


def _uncovered(mention: Mention, settled: list[Mention], text: str) -> list[Mention]:
    pieces = [(mention.start, mention.end)]
    for other in settled:
        pieces = (
            [
                piece
                for start, end in pieces
                for piece in ((start, min(end, other.start)), (max(start, other.end), end))
                if piece[0] < piece[1]
            ]
            if other.start < mention.end and mention.start < other.end
            else pieces
        )
    return [
        evolve(mention, start=solid[0], end=solid[1])
        for start, end in pieces
        if (solid := _solid(mention, start, end, text)) is not None
    ]


def _solid(mention: Mention, start: int, end: int, text: str) -> tuple[int, int] | None:
    """A whole mention as it is; of a piece what lies between its first and last letter or digit, if any."""
    if (start, end) == (mention.start, mention.end):
        return start, end
    marks = [match.start() for match in _ALPHANUMERIC.finditer(text, start, end)]
    return (marks[0], marks[-1] + 1) if marks else None


def _names(views: Sequence[View], found: Sequence[list[Mention]]) -> Iterator[KnownName]:
    """The names of `found`, people first, each label and spelling once."""
    names = {
        KnownName(view.text[mention.start : mention.end], mention.label, told=mention.source not in _GUESSED)
        for view, mentions in zip(views, found, strict=True)
        for mention in mentions
        if mention.label in _EXPANDED
    }
    yield from sorted(
        names, key=lambda name: (name.label != "PERSON", not name.told, -len(name.text), name.text, name.label)
    )


@frozen
class _KnownExpression:
    """One expression for all known names, and the label of each spelling, folded."""

    expression: re.Pattern[str] | None
    labels: dict[str, str]
    exact: frozenset[str]
    """Spellings that count only as they are written: they are words as well."""


def _known_expression(
    names: Sequence[KnownName], shapes: Shapes, views: Sequence[View], found: Sequence[list[Mention]]
) -> _KnownExpression:
    labels: dict[str, str] = {}
    exact: set[str] = set()
    for name in names:
        for form, is_exact in _forms(name, shapes):
            if labels.setdefault(form.casefold(), name.label) == name.label and is_exact:
                exact.add(form)
    if not _stands_elsewhere(labels, views, found):
        return _KnownExpression(None, labels, frozenset(exact))
    longest_first = sorted(labels, key=lambda form: (-len(form), form))
    # Spaces of a name may be a line break elsewhere.
    choices = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
    return _KnownExpression(re.compile(rf"(?<!\w)(?:{choices})(?!\w)", re.IGNORECASE), labels, frozenset(exact))


def _stands_elsewhere(forms: Mapping[str, str], views: Sequence[View], found: Sequence[list[Mention]]) -> bool:
    """Whether one of `forms` may stand outside what was found: counted, which is cheaper than to look for them."""
    texts = [view.text for view in views]
    if not all(map(str.isascii, [*texts, *forms])):
        return True
    inside = [
        text[mention.start : mention.end] for text, mentions in zip(texts, found, strict=True) for mention in mentions
    ]
    everywhere, within = (" \0 ".join(" ".join(part.lower().split()) for part in parts) for parts in (texts, inside))
    return any(everywhere.count(form) > within.count(form) for form in forms)


def _forms(name: KnownName, shapes: Shapes) -> Iterator[tuple[str, bool]]:
    """The spellings that `name` is known by, each with whether only this very spelling counts."""
    text = " ".join(name.text.split())
    if not _ALPHANUMERIC.search(text):
        return
    yield text, " " not in text and (shapes.is_word(text) or name.label == "LOCATION")
    if name.label == "PERSON":
        parts = [part for part in _NAME_PART.findall(text) if len(part) > 1]
        if len(parts) < 2:
            return
        for part in parts:
            folded = part.casefold()
            if folded not in PARTICLES and folded not in TITLES and is_capital(part):
                yield part, not name.told or shapes.is_word(part) or len(part) < 4
    elif name.label == "ORGANIZATION":
        short = _LEGAL_FORM.sub("", text)
        if short != text and len(short) > 2:
            yield short, shapes.is_common(short)


def _find_known(text: str, found: list[Mention], known: _KnownExpression, shapes: Shapes) -> Iterator[Mention]:
    """`found`, corrected by what is known, and the known names elsewhere in `text`."""
    for mention in found:
        label = known.labels.get(text[mention.start : mention.end].casefold())
        # The recogniser takes a lone surname for a company; the full name elsewhere says who it is.
        yield evolve(mention, label=label) if label and mention.source in _GUESSED else mention
    if known.expression is None:
        return
    taken = {(mention.start, mention.end) for mention in found}
    for match in known.expression.finditer(text):
        form = " ".join(match.group().split())
        label = known.labels.get(form.casefold())
        if label is None or match.span() in taken or not _counts(form, known, shapes):
            continue
        # "Will you come?" begins with a verb.
        if shapes.is_word(form) and opens_sentence(text, match.start()) and _GOES_ON.match(text, match.end()):
            continue
        yield Mention(match.start(), match.end(), label, KNOWN_SCORE, "known")


def _counts(form: str, known: _KnownExpression, shapes: Shapes) -> bool:
    if form.casefold() in {spelling.casefold() for spelling in known.exact}:
        return form in known.exact or (form.isupper() and form.capitalize() in known.exact and len(form) > 3)
    return not (form.islower() and shapes.is_common(form))
