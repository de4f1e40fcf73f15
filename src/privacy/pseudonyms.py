"""Pseudonyms: who is who in one conversation, and what each host calls them.

Rules (design section 6, step 3):

1. One **identity** per person or thing. Mentions belong together when they are equal after normalisation (e-mails,
   telephone numbers, cards), or, for names, when the words of the one are among those of the other: `John` is
   `John Smith`, `KOWALSKA` is `Maria Kowalska`, `J. Smith` is `John Smith`, `Bill` is `William Smith` (`_forms` has
   the rules). A name that fits two identities belongs to neither and becomes its own: a wrong guess would put a wrong
   name into the answer, a missing one costs nothing. Nor is `Mrs Smith` ever `John Smith`. A form once linked stays
   linked, with the title that it had.
2. Every host has placeholders of its own (`PERSON_K7`): codes are drawn anew for each host and never used twice in a
   conversation, so two hosts have nothing to compare; one host's stay the same over all turns.
3. A code is never one that some text of the conversation shows. Should a later text spell out a placeholder that is
   already in use, those characters are masked in their turn, so that restoring gives back exactly what was written.
4. A placeholder stands for its identity, and restores to the fullest form that this very host was sent: who was sent
   `John` reads `John` in that host's answer, who was sent `John` and `John Smith` reads `John Smith`.
5. Titles before a name and a possessive 's after it stay in the text, outside of the placeholder. A mention that
   touches a letter or digit takes that whole word in, and mentions that overlap or touch are masked as one.
6. A text that one host wrote can be handed to another one: each placeholder of the first becomes the second's for the
   same identity, spelt as the first host spelt it, and no original stands in between.
7. In memory, for the conversation only: nothing here can be printed, copied or pickled.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, get_args

from attrs import evolve, field, frozen

from peernet.core.errors import LocalProtocolError, UserError
from privacy._forms import (
    NAME_LABELS,
    POSSESSIVE,
    TITLES,
    fullest_form,
    fullness,
    gender_in,
    has_word,
    index_words,
    may_be_same,
    same,
    words_of,
)
from privacy._guarded import Guarded
from privacy._names import Gender, fold, title_gender
from privacy._spellings import TAG, TAG_ENDINGS
from privacy._stand_ins import Randomness
from privacy.exposure import without_placeholders
from privacy.mention import LABELS, Mention
from privacy.restoring import RUN, in_case_of, placeholders_in
from privacy.surrogates import Bearer, SpentWords, Surrogate, Surrogates, comes_back

__all__ = [
    "MAX_IDENTITIES",
    "STYLES",
    "Conversation",
    "HostView",
    "Identity",
    "Masked",
    "PlacedPseudonym",
    "Randomness",
    "Style",
    "by_label",
]

MAX_IDENTITIES: Final = 4096
"""The most people and things that one conversation tells apart."""

Style = Literal["tag", "surrogate"]
"""`PERSON_K7`, or a realistic name."""
STYLES: Final[tuple[Style, ...]] = get_args(Style)

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which read like digits
_LABEL_WORDS: Final = {"".join(label.split("_")[first:]) for label in LABELS for first in range(label.count("_") + 1)}
_CODE: Final = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(sorted(_LABEL_WORDS, key=len, reverse=True))})?([A-Z][0-9]{{1,4}})"
    rf"(?:{'|'.join(sorted(TAG_ENDINGS, key=len, reverse=True))})?(?![^\W_])",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(r"(\w+)\.?\s+(?=\S)")
_LAST_WORD: Final = re.compile(r"(?<!\w)(\w+)\.?\s+\Z")
MAX_TITLE: Final = 16
_LITERAL: Final = "literal"


class Identity(Guarded):
    """One person or thing behind several mentions. Compared by identity; its `repr` shows no name."""

    __slots__ = ("_forms", "_title", "label", "number")

    def __init__(self, label: str, number: int) -> None:
        self.label = label
        self.number = number
        self._forms: dict[str, str] = {}
        self._title: Gender = "n"

    def __repr__(self) -> str:
        return f"<Identity {self.number} {self.label}>"

    @property
    def forms(self) -> tuple[str, ...]:
        """The distinct forms met so far, in their order."""
        return tuple(self._forms.values())

    @property
    def fullest(self) -> str:
        """The form that says most."""
        return fullest_form(self.label, self._forms.values())

    @property
    def title(self) -> Gender:
        """The gender that a title has told."""
        return self._title

    @property
    def gender(self) -> Gender:
        """Of a person, as far as titles and given names tell it."""
        return gender_in(words_of(self.label, self.fullest), self._title) if self.label == "PERSON" else "n"

    def add(self, form: str, title: Gender) -> None:
        """Takes another form, and the gender that a title before it tells; the vault's business."""
        self._forms.setdefault(form, form)
        if title != "n":
            self._title = title

    def forget(self) -> None:
        """Drops all forms; the vault's business."""
        self._forms.clear()
        self._title = "n"


@frozen
class PlacedPseudonym:
    """Where a masked text has a placeholder; code points, `end` excluded."""

    start: int
    end: int
    placeholder: str


@frozen
class Masked:
    """A text as one host gets it."""

    text: str = field(repr=False)
    placeholders: tuple[str, ...] = field(repr=False)
    """Those used, each once, in their order."""
    spans: tuple[PlacedPseudonym, ...] = field(repr=False)
    labels: dict[str, int]
    """How many different identities were masked, by label."""


class Conversation(Guarded):
    """The vault of one conversation: its identities, and the placeholders that each host knows them by.

    Raises `LocalProtocolError` on any use after `wipe()`, and `UserError` beyond `MAX_IDENTITIES`.
    """

    def __init__(self, rng: Randomness, *, style: Style = "tag") -> None:
        if style not in STYLES:
            raise LocalProtocolError(f"unknown style of placeholders {style!r}")
        self._rng = rng
        self._spent = SpentWords() if style == "surrogate" else None
        self._identities: list[Identity] = []
        self._known: dict[tuple[str, str, Gender], Identity] = {}
        self._by_word: dict[tuple[str, str], list[Identity]] = {}
        self._views: dict[str, HostView] = {}
        self._taken_codes: set[str] = set()
        self._wiped = False

    def __repr__(self) -> str:
        return "<Conversation>"

    def wipe(self) -> None:
        """Forgets everything, in the views handed out too; Python gives the memory back without zeroing it."""
        for view in self._views.values():
            view.forget()
        for identity in self._identities:
            identity.forget()
        self._identities.clear()
        self._known.clear()
        self._by_word.clear()
        self._views.clear()
        self._taken_codes.clear()
        if self._spent is not None:
            self._spent.forget()
        self._wiped = True

    def link(self, text: str, mentions: Iterable[Mention]) -> list[tuple[Mention, Identity]]:
        """Each mention of `text`, trimmed by rule 5, with its identity; in the order of the text, disjoint.

        Raises `LocalProtocolError` for a mention that does not lie in `text`.
        """
        self.check()
        self._taken_codes.update(code.upper() for code in _CODE.findall(text))
        if self._spent is not None:
            self._spent.show(text)
        trimmed = _disjoint(text, [_trim(text, mention) for mention in mentions])
        # The fullest names first, so that `John` finds `John Smith` though it comes before.
        order = sorted(trimmed, key=lambda m: (-fullness(m.label, text[m.start : m.end])[0], m.start))
        linked = [
            (mention, self._identity(mention.label, text[mention.start : mention.end], _title_before(text, mention)))
            for mention in order
        ]
        return sorted(linked, key=lambda pair: pair[0].start)

    def view(self, host: str) -> "HostView":
        """What `host` (any stable name of it) is told in this conversation; the same object every time."""
        self.check()
        if host not in self._views:
            surrogates = None if self._spent is None else Surrogates(self._rng, self._spent)
            self._views[host] = HostView(self, surrogates)
        return self._views[host]

    def identities_in_clear(self, sent_texts: Sequence[str]) -> list[Identity]:
        """Those of the identities that have a form which stands in `sent_texts` as it is: for the receipt."""
        self.check()
        folded = [text.casefold() for text in sent_texts]
        return [
            identity
            for identity in self._identities
            if any(has_word(text, form.casefold()) for form in identity.forms for text in folded)
        ]

    def is_unseen(self, text: str) -> bool:
        """Whether `text` stands nowhere in the conversation."""
        return self._spent is not None and self._spent.is_unseen(text)

    def check(self) -> None:
        """Raises `LocalProtocolError` where the conversation was wiped."""
        if self._wiped:
            raise LocalProtocolError("this conversation was wiped")

    def _identity(self, label: str, form: str, title: Gender) -> Identity:
        words = words_of(label, form)
        key = (label, " ".join(words), title)
        identity = self._known.get(key) or self._fitting(label, words, title) or self._create(label)
        self._known[key] = identity
        identity.add(form, title)
        for word in index_words(label, words):
            listed = self._by_word.setdefault((label, word), [])
            if identity not in listed:
                listed.append(identity)
        return identity

    def _fitting(self, label: str, words: tuple[str, ...], title: Gender) -> Identity | None:
        if not may_be_same(label):
            return None
        near = dict.fromkeys(i for word in index_words(label, words) for i in self._by_word.get((label, word), ()))
        gender = gender_in(words, title) if label == "PERSON" else "n"
        fitting = [
            identity
            for identity in near
            if same(label, words, words_of(label, identity.fullest)) and {gender, identity.gender} != {"m", "f"}
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _create(self, label: str) -> Identity:
        if len(self._identities) >= MAX_IDENTITIES:
            raise UserError(f"this conversation names over {MAX_IDENTITIES} people and things: start a new one")
        identity = Identity(label, len(self._identities))
        self._identities.append(identity)
        return identity

    def literal(self, form: str) -> Identity:
        """The identity of characters that merely look like a placeholder."""
        key: tuple[str, str, Gender] = (_LITERAL, form, "n")
        if key not in self._known:
            self._known[key] = self._create("ID")
            self._known[key].add(form, "n")
        return self._known[key]

    def is_literal(self, identity: Identity) -> bool:
        """Whether `identity` is of characters that merely look like a placeholder."""
        return self._known.get((_LITERAL, identity.fullest, "n")) is identity

    def draw_code(self) -> str:
        """A code of one letter and one to four digits that is nowhere in the conversation."""
        for digits in range(1, 5):
            lowest = 2 if digits == 1 else 10 ** (digits - 1)  # 0 and 1 read like letters
            numbers = 10**digits - lowest
            pool = len(_LETTERS) * numbers
            if pool >= 4 * (len(self._taken_codes) + 1):
                break
        else:
            raise UserError("this conversation has used up its placeholders: start a new one")
        index = self._rng.randrange(pool)
        while True:  # ends: at most a quarter of the pool is taken
            code = f"{_LETTERS[index // numbers]}{lowest + index % numbers}"
            if code not in self._taken_codes:
                self._taken_codes.add(code)
                return code
            index = (index + 1) % pool


def by_label(identities: Iterable[Identity]) -> dict[str, int]:
    """How many different ones there are, by label."""
    return dict(sorted(Counter(identity.label for identity in dict.fromkeys(identities)).items()))


class HostView(Guarded):
    """The conversation as one host knows it: made by `Conversation.view`."""

    def __init__(self, conversation: Conversation, surrogates: Surrogates | None) -> None:
        self._conversation = conversation
        self._surrogates = surrogates
        self._tags: dict[Identity, str] = {}
        self._originals: dict[str, str] = {}
        self._owners: dict[str, Identity] = {}
        self._unsent: set[str] = set()
        """Those of `_originals` that an answer may make of what was sent."""
        self._unclear: set[str] = set()
        """Those that it might make of two different things, and that therefore mean neither."""

    def __repr__(self) -> str:
        return "<HostView>"

    def mask(self, text: str, mentions: Iterable[Mention]) -> Masked:
        """`text` with a placeholder for each of its mentions; links them first, where that was not done."""
        linked = self._conversation.link(text, mentions)
        linked += self._literals(text, [mention for mention, _ in linked])
        linked.sort(key=lambda pair: pair[0].start)
        pieces: list[str] = []
        spans: list[PlacedPseudonym] = []
        place = size = 0
        for mention, identity in linked:
            behind = text[max(0, mention.start - 1) : mention.start]
            before, placeholder, after = self._stand_in(identity, text[mention.start : mention.end], behind)
            pieces += [text[place : mention.start], before, placeholder, after]
            size += mention.start - place + len(before)
            spans.append(PlacedPseudonym(size, size + len(placeholder), placeholder))
            size += len(placeholder) + len(after)
            place = mention.end
        pieces.append(text[place:])
        used = tuple(dict.fromkeys(span.placeholder for span in spans))
        labels = Counter(identity.label for identity in dict.fromkeys(identity for _, identity in linked))
        return Masked(text="".join(pieces), placeholders=used, spans=tuple(spans), labels=dict(labels))

    def mapping(self) -> dict[str, str]:
        """Placeholder -> original form (rule 4), for the `Restorer` of this host's answers."""
        self._conversation.check()
        return dict(self._originals)

    @property
    def hidden_words(self) -> tuple[str, ...] | None:
        """What is no word of the user's, when words are counted: see `exposure.share`; None for whatever is a tag."""
        return None if self._surrogates is None else tuple(self._originals)

    def masked_in(self, texts: Sequence[str]) -> list[Identity]:
        """The identities that stand in `texts` as placeholders that were sent."""
        sent = {name: owner for name, owner in self._owners.items() if name not in self._unsent}
        return list(dict.fromkeys(owner for name, owner in sent.items() if any(name in text for text in texts)))

    def identities_in_clear(self, texts: Sequence[str]) -> list[Identity]:
        """The identities that this host was given in clear, if it was sent `texts`: for the receipt."""
        clear = [without_placeholders(text, self.hidden_words) for text in texts]
        return self._conversation.identities_in_clear(clear)

    def translate(self, text: str, writer: "HostView") -> str:
        """`text`, as `writer`'s host wrote it, with this host's placeholders in the place of the writer's.

        A placeholder that was cut in two is none: such a text ends before it (`Restorer.held_back`).
        """
        self._conversation.check()
        if writer is self:
            return text
        pieces: list[str] = []
        place = 0
        for spot, identity, form in writer.named_in(text):
            behind = text[max(0, spot.start - 1) : spot.start]
            pieces += [
                text[place : spot.start],
                self._name(identity, form, spot.placeholder, text[spot.start : spot.end], behind),
            ]
            place = spot.end
        return "".join([*pieces, text[place:]])

    def named_in(self, text: str) -> list[tuple[PlacedPseudonym, Identity, str]]:
        """Where `text` has this host's placeholders, whose each is, and what it restores to."""
        return [
            (PlacedPseudonym(start, end, name), self._owners[name], self._originals[name])
            for start, end, name in placeholders_in(text, self._originals)
        ]

    def _name(self, identity: Identity, form: str, name: str, said: str, behind: str) -> str:
        """What this host calls `identity`, which another one calls `name` and has written as `said` there."""
        if identity not in self._tags and self._conversation.is_literal(identity):
            return form  # to this host, those characters look like nothing
        is_tag = TAG.fullmatch(name) is not None
        before, ours, after = self._stand_in(identity, form if is_tag else in_case_of(said, name, form), behind)
        if not is_tag or not TAG.fullmatch(ours):
            return before + ours + after
        theirs = len(name.rpartition("_")[2])
        code = ours.rpartition("_")[2]
        return said[:-theirs] + (code.lower() if said[-theirs:].islower() else code)

    def _stand_in(self, identity: Identity, form: str, behind: str) -> tuple[str, str, str]:
        """The placeholder for `form`, with what of the form stays before and after it.

        `behind` is the character that the text has before the form, if there is one.
        """
        core = _core(form)
        if self._surrogates is not None and core is not None and not self._conversation.is_literal(identity):
            start, end = core
            fullest, is_titled = identity.fullest, identity.title != "n"
            bearer = Bearer(identity.number, fullest, identity.gender, is_titled)
            surrogate = self._surrogates.stand_in(identity.label, form[start:end], form[:start], bearer)
            if (
                surrogate is not None
                and comes_back(surrogate.text, behind + form[:start])
                and not self._is_another(identity, surrogate)
            ):
                self._learn(identity, surrogate)
                return form[:start], surrogate.text, form[end:]
        if identity not in self._tags:
            self._tags[identity] = f"{identity.label}_{self._conversation.draw_code()}"
        self._remember(identity, self._tags[identity], form)
        return "", self._tags[identity], ""

    def _is_another(self, identity: Identity, surrogate: Surrogate) -> bool:
        """Whether it was sent for another thing, so that it would come back as that."""
        name = surrogate.text
        if name in self._unsent or self._owners.get(name, identity) is identity:
            return False
        return self._originals[name] != surrogate.original

    def _learn(self, identity: Identity, surrogate: Surrogate) -> None:
        self._remember(identity, surrogate.text, surrogate.original)
        for part, original in surrogate.parts.items():
            self._remember_part(identity, part, original)

    def _remember(self, identity: Identity, name: str, form: str) -> None:
        if name in self._unsent or name not in self._originals:
            self._originals[name] = form
            self._unsent.discard(name)
        self._owners[name] = identity
        self._originals[name] = fullest_form(identity.label, (self._originals[name], form))

    def _remember_part(self, identity: Identity, part: str, original: str) -> None:
        known = self._originals.get(part)
        if known is None and part not in self._unclear and self._conversation.is_unseen(part):
            self._originals[part], self._owners[part] = original, identity
            self._unsent.add(part)
        elif part in self._unsent and self._owners[part] is not identity and known != original and not part.isalpha():
            del self._originals[part], self._owners[part]
            self._unsent.discard(part)
            self._unclear.add(part)

    def _literals(self, text: str, masked: Sequence[Mention]) -> list[tuple[Mention, Identity]]:
        covered = [(mention.start, mention.end) for mention in masked]
        return [
            (Mention(start, end, "ID", 1.0, "pattern:placeholder"), self._conversation.literal(text[start:end]))
            for start, end, _ in placeholders_in(text, self._originals)
            if not any(first < end and start < last for first, last in covered)
        ]

    def forget(self) -> None:
        """Drops all placeholders; the vault's business."""
        for held in (self._tags, self._originals, self._owners, self._unsent, self._unclear):
            held.clear()
        if self._surrogates is not None:
            self._surrogates.forget()


def _core(form: str) -> tuple[int, int] | None:
    """Where the first word of `form` begins, and its last one ends."""
    runs = [match.span() for match in RUN.finditer(form)]
    return (runs[0][0], runs[-1][1]) if runs else None


def _trim(text: str, mention: Mention) -> Mention:
    start, end = mention.start, mention.end
    if not 0 <= start < end <= len(text):
        raise LocalProtocolError(f"a mention from {start} to {end} does not lie in a text of {len(text)} code points")
    if text[start:end].isspace():
        return mention
    start, end = _stripped(text, start, end)
    if mention.label in NAME_LABELS:
        possessive = POSSESSIVE.search(text[start:end])
        if possessive is not None and possessive.start() > 0:
            end = start + possessive.start()
    if mention.label == "PERSON":
        title = _TITLE.match(text[start:end])
        if title is not None and fold(title[1]) in TITLES:
            start += title.end()
    return evolve(mention, start=_run_start(text, start), end=_run_end(text, end))


def _title_before(text: str, mention: Mention) -> Gender:
    if mention.label != "PERSON":
        return "n"
    before = _LAST_WORD.search(text, max(0, mention.start - MAX_TITLE), mention.start)
    return "n" if before is None else title_gender(fold(before[1]))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while text[start].isspace():
        start += 1
    while text[end - 1].isspace():
        end -= 1
    return start, end


def _run_start(text: str, place: int) -> int:
    # A placeholder that touches a letter would not be found again: see `restoring`.
    while place > 0 and RUN.fullmatch(text, place - 1, place):
        place -= 1
    return place


def _run_end(text: str, place: int) -> int:
    while place < len(text) and RUN.fullmatch(text, place, place + 1):
        place += 1
    return place


def _disjoint(text: str, mentions: Iterable[Mention]) -> list[Mention]:
    """Mentions that overlap or touch as one, under the label of the longest: masking fails closed."""
    disjoint: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (m.start, -m.end)):
        last = disjoint[-1] if disjoint else None
        if last is None or last.end < mention.start:
            disjoint.append(mention)
            continue
        longest = max(last, mention, key=lambda m: m.end - m.start)
        disjoint[-1] = evolve(longest, start=last.start, end=max(last.end, mention.end))
    return [mention for mention in disjoint if not text[mention.start : mention.end].isspace()]
