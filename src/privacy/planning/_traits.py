"""What can be seen of an atom, and of a message, without knowing what it means: the features of the learned judge.

Rules:

1. A trait is a string; equal messages have equal traits, in order. Those of an atom are hashed into `BUCKETS`.
2. What the rules of the package say of a sentence is a trait among others: its kind, what it refers to, its verb.
3. Linear in the message: words are read once, and no more than `MAX_WORDS` of an atom.
"""

import re
import zlib
from collections.abc import Sequence, Set
from functools import cache
from itertools import pairwise
from typing import Final

from attrs import define, field

from privacy._lists import lines_of
from privacy.exposure import STOP_WORDS, word_set
from privacy.planning._atoms import Atom
from privacy.planning._kinds import OPENERS, kind_of
from privacy.planning._references import reference_of, stems
from privacy.planning._units import Unit
from privacy.planning._words import ADDRESSING, CREATING, PROCEDURE, REMARK_VERBS, TASK_VERBS, TRANSFORMING

BUCKETS: Final = 1 << 13
MAX_WORDS: Final = 24
OPENING_WORDS: Final = 28
_TOKEN: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[?!:;]")
_WH: Final = word_set(
    """
    what who where when why how which whats whos hows wheres whose was wie warum wo wann wer que qué cómo quel quelle
    comment pourquoi combien dlaczego jak co kiedy gdzie ile
    """
)
_AUX: Final = word_set(
    """
    is are was were do does did can could should would will has have may must am isnt dont ist sind kann soll est peut
    es puede czy
    """
)
_ME: Final = word_set("i im ive id my me we our us mine ich mein meine wir unser je mon ma mes nous yo mi mis")
_BACK: Final = word_set("it its they them their this that these those he him his she her there so such same then")
_THANKS: Final = word_set(
    "thanks thank thx ty cheers danke merci gracias hi hello hey hallo hola bonjour cześć dzięki sorry xx love"
)
_ARTICLES: Final = word_set("a an the ein eine der die das un une le la el")


@define
class Seen:
    """What is seen of one atom."""

    text: str
    words: list[str]
    bare: list[str]
    """Its words without openers."""
    kind: str
    verb: str
    """The class of its first word."""
    reference: str
    stems: frozenset[str]
    names: frozenset[str]
    topics: frozenset[int]
    question: bool
    colon: bool
    me: bool
    back: bool
    thanks: bool

    @property
    def form(self) -> str:
        """Its kind, and whether it is a question."""
        return f"{self.kind}{'?' if self.question else ''}"


def see(text: str, atom: Atom) -> Seen:
    shown = text[atom.start : min(atom.end, atom.start + 400)]
    words = [word.casefold().replace("’", "'").replace("'", "") for word in _TOKEN.findall(shown)]
    bare_text = OPENERS.sub("", shown)
    bare = [word.casefold().replace("’", "'").replace("'", "") for word in _TOKEN.findall(bare_text[:120])]
    letters = [word for word in words if word not in "?!:;"]
    unit = Unit("task", atom.start, atom.end, shown, 0, clause=atom.joint in {"comma", "and", "word"})
    stripped = text[atom.start : atom.end].rstrip()
    return Seen(
        text=shown,
        words=words[: MAX_WORDS * 2],
        bare=bare,
        kind="fence" if atom.fenced else kind_of(shown),
        verb=_verb_class(bare),
        reference="none" if atom.fenced else reference_of(unit),
        stems=stems(shown),
        names=frozenset(re.findall(r"(?<=[\w,] )[A-ZÀ-Ý][\w’'-]+", shown)),
        topics=topics_of(letters),
        question=stripped.rstrip("\"'”’»)*_").endswith("?"),
        colon=stripped.endswith(":"),
        me=bool(_ME.intersection(letters)),
        back=bool(_BACK.intersection(bare[:12])),
        thanks=bool(_THANKS.intersection(letters[:6])),
    )


@cache
def _topics() -> dict[str, frozenset[int]]:
    """The topics of each word of the list, by their numbers."""
    found: dict[str, set[int]] = {}
    for number, line in enumerate(lines_of("topics")):
        for word in line.split()[1:]:
            found.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


def topics_of(words: Sequence[str]) -> frozenset[int]:
    """What these words are of; a plural counts as its singular."""
    known = _topics()
    some = [
        known.get(word) or known.get(word.removesuffix("s")) or known.get(word.removesuffix("es")) for word in words
    ]
    return frozenset().union(*(numbers for numbers in some if numbers))


def _verb_class(bare: Sequence[str]) -> str:
    first = bare[0] if bare else ""
    for name, words in _CLASSES:
        if first in words:
            return name
    return "number" if first.isdigit() else "other"


_CLASSES: Final = (
    ("create", CREATING), ("transform", TRANSFORMING), ("address", ADDRESSING), ("remark", REMARK_VERBS), ("wh", _WH),
    ("aux", _AUX), ("ask", TASK_VERBS), ("me", _ME), ("hand", PROCEDURE), ("back", _BACK), ("thanks", _THANKS),
    ("article", _ARTICLES),
    ("stop", STOP_WORDS),
)  # fmt: skip


def bucket(value: int, edges: Sequence[int] = (0, 1, 2, 3, 5, 8, 13, 21, 40)) -> int:
    """Which of the edges a count reaches first."""
    return next((place for place, edge in enumerate(edges) if value <= edge), len(edges))


@define
class Read:
    """A message as seen: its atoms, and what holds of all of it."""

    text: str
    atoms: list[Atom]
    seen: list[Seen]


def read(text: str, atoms: list[Atom]) -> Read:
    return Read(text, atoms, [see(text, atom) for atom in atoms])


def traits_of(message: Read) -> list[list[str]]:
    """The traits of each atom."""
    shape = _shape(message)
    sofar = _SoFar()
    found: list[list[str]] = []
    for place, one in enumerate(message.seen):
        sofar.enter(message.atoms[place])
        own = _own_traits(message, place, sofar)
        own += _traits_beside(message, place, sofar)
        own += [f"{trait}/{message.atoms[place].joint}/{one.form}" for trait in shape]
        own += _traits_of_words(one, starts_line=sofar.starts_line)
        found.append(own)
        sofar.leave(message.atoms[place], one)
    return found


@define
class _SoFar:
    """What the atoms before one have said."""

    stems: set[str] = field(factory=set)
    topics: set[int] = field(factory=set)
    names: set[str] = field(factory=set)
    line: int = -1
    item: str = ""
    """The mark that the line begins with."""
    starts_line: bool = False
    colon: bool = False
    """Whether a colon stands above a list."""

    def enter(self, atom: Atom) -> None:
        if atom.line != self.line:
            self.line, self.item = atom.line, atom.mark
        self.starts_line = atom.joint in {"start", "rule", "blank", "line"}

    def leave(self, atom: Atom, one: Seen) -> None:
        self.stems |= one.stems
        self.topics |= one.topics
        self.names |= one.names
        if self.starts_line and not atom.mark:
            self.colon = False
        self.colon = self.colon or one.colon


def _shape(message: Read) -> list[str]:
    atoms = message.atoms
    return [
        f"marks{bucket(sum(bool(atom.mark) for atom in atoms))}",
        f"inl{bucket(sum(atom.joint == 'inline' for atom in atoms))}",
        f"blanks{bucket(sum(atom.joint in {'blank', 'rule'} for atom in atoms))}",
        f"n{bucket(len(atoms))}",
        f"q{bucket(sum(one.question for one in message.seen))}",
    ]


def _own_traits(message: Read, place: int, sofar: _SoFar) -> list[str]:
    atom, one = message.atoms[place], message.seen[place]
    left = len(message.atoms) - 1 - place
    form, length = one.form, bucket(len(one.words))
    share = len(one.stems & sofar.stems) / max(1, len(one.stems))
    return [
        f"j={atom.joint}",
        f"m={atom.mark}",
        f"k={one.kind}",
        f"v={one.verb}",
        f"r={one.reference}",
        f"jk={atom.joint}/{form}",
        f"jv={atom.joint}/{one.verb}",
        f"jr={atom.joint}/{one.reference}",
        f"mk={atom.mark}/{form}/{sofar.item}",
        f"il={sofar.item}/{sofar.starts_line}",
        f"len={length}",
        f"jl={atom.joint}/{length}",
        f"pos={bucket(place, _FAR)}",
        f"left={bucket(left, _FAR)}",
        f"jpos={atom.joint}/{bucket(place, _NEAR)}",
        f"fl={form}/{bucket(left, _NEAR)}",
        f"q={one.question}",
        f"me={one.me}/{form}",
        f"back={one.back}/{atom.joint}",
        f"th={one.thanks}/{form}",
        f"colon={one.colon}/{form}",
        f"ca={sofar.colon}/{atom.mark}/{sofar.starts_line}",
        f"sh={round(share * 3)}/{form}/{bucket(len(one.stems), (0, 1, 3, 6))}",
        f"nm={bool(one.names & sofar.names)}",
    ]


_FAR: Final = (0, 1, 2, 4, 8, 16)
_NEAR: Final = (0, 1, 2)


def _traits_beside(message: Read, place: int, sofar: _SoFar) -> list[str]:
    """What the atom is beside the one before, the one behind, the first and the last."""
    atom, one, seen = message.atoms[place], message.seen[place], message.seen
    first, last = seen[0], seen[-1]
    found = [f"fk={first.kind}/{first.verb}/{one.form}/{sofar.starts_line}", f"lk={last.kind}/{last.verb}/{one.form}"]
    if place:
        previous = seen[place - 1]
        found += [
            f"pk={previous.form}/{one.form}/{atom.joint}",
            f"pv={previous.verb}/{one.verb}",
            f"ps={bucket(len(one.stems & previous.stems), _NEAR)}/{atom.joint}",
            f"pc={previous.colon}/{atom.joint}",
            f"pth={previous.thanks}",
            f"pme={previous.me}/{one.me}/{one.form}",
            f"pl={bucket(len(previous.words))}/{atom.joint}",
            f"tb={_related(one.topics, sofar.topics)}/{one.form}/{atom.joint}",
            f"tp={_related(one.topics, previous.topics)}/{atom.joint}",
            f"fw={' '.join(first.bare[:1])}/{sofar.starts_line}/{atom.mark}",
        ]
    if place + 1 < len(seen):
        following = seen[place + 1]
        found += [
            f"nk={one.form}/{following.form}/{message.atoms[place + 1].joint}",
            f"nv={one.verb}/{following.verb}",
        ]
    return found


def _traits_of_words(one: Seen, *, starts_line: bool) -> list[str]:
    words = one.words[:MAX_WORDS]
    return [
        *(f"u={word}" for word in dict.fromkeys(words)),
        *(f"w{n}={word}" for n, word in enumerate(words[:3])),
        f"b0={' '.join(one.bare[:1])}/{starts_line}",
        f"b01={' '.join(one.bare[:2])}",
        f"w01={' '.join(words[:2])}",
        f"w012={' '.join(words[:3])}",
    ]


def _related(some: Set[int], others: Set[int]) -> str:
    if not some or not others:
        return "unknown"
    return "same" if some & others else "other"


def hashed(traits: Sequence[str]) -> list[int]:
    """The buckets of traits, each once, in order."""
    return sorted({zlib.crc32(trait.encode()) & (BUCKETS - 1) for trait in traits})


def opening_traits(message: Read) -> list[str]:
    """The words that a message begins and ends with, and those that its sentences open with."""
    words = [word for one in message.seen for word in one.words]
    found = [f"first={' '.join(words[:count])}" for count in (1, 2, 3)]
    for name, part in (("head", words[:OPENING_WORDS]), ("tail", words[-OPENING_WORDS:])):
        found += [f"{name}={word}" for word in part]
        found += [f"{name}2={one} {other}" for one, other in pairwise(part)]
    for atom, one in zip(message.atoms, message.seen, strict=True):
        found.append(f"opens={atom.joint} {' '.join(one.words[:1])}")
        if one.kind == "task":
            found += [f"asks={' '.join(one.bare[:1])}", f"asks2={' '.join(one.bare[:2])}"]
    return found
