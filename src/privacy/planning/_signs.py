"""What speaks for and against a second matter at one place of a message, in numbers.

Rules: places are proposed freely, and doubted one by one, in order: each is seen beside the one before it, beside the
matter that it would end, and beside all that was said until then. Linear in the message.
"""

from collections.abc import Callable, Sequence, Set
from typing import Final

from attrs import define, field

from privacy.planning._atoms import Joint
from privacy.planning._measures import ANOTHER, ONE_THING, OPENS_MORE, STEPS, THE_THING, TO_YOU
from privacy.planning._traits import Read

FLOOR: Final = 0.25
"""How likely a place must be, by either of the judges of atoms, to be looked at."""
_JOINTS: Final[tuple[Joint, ...]] = ("inline", "stop", "small_stop", "comma", "and", "run", "word", "dash")
_MAKING: Final = frozenset({"create", "transform", "ask", "address"})
_ASKING: Final = frozenset({"wh", "aux"})
_QUOTES: Final = "\"'“„«‘>"


@define
class Said:
    """What some atoms say together."""

    stems: set[str] = field(factory=set)
    topics: set[int] = field(factory=set)
    names: set[str] = field(factory=set)
    words: int = 0
    me: bool = False
    question: bool = False
    asks: bool = False
    """Whether any of them is a question or an instruction."""

    def add(self, message: Read, places: range) -> "Said":
        """Adds those atoms, and returns itself."""
        for place in places:
            one = message.seen[place]
            self.stems |= one.stems
            self.topics |= one.topics
            self.names |= one.names
            self.words += len(one.words)
            self.me |= one.me
            self.question |= one.question
            self.asks |= one.question or one.kind == "task"
        return self


def places_of(proposed: Sequence[Sequence[float]], doubted: Sequence[Sequence[float]]) -> list[int]:
    """Where a matter may begin: at more places than one does; the first is that of the first matter."""
    return [n for n in range(len(proposed)) if proposed[n][1] >= FLOOR or doubted[n][1] >= FLOOR]


def signs(
    message: Read,
    proposed: Sequence[Sequence[float]],
    doubted: Sequence[Sequence[float]],
    begins: Callable[[int, dict[str, float]], bool],
) -> None:
    """Asks of each place but the first, by its numbers, whether a matter begins there; what follows depends on it."""
    places = places_of(proposed, doubted)
    if len(places) < 2:
        return
    ends = [*places[1:], len(message.atoms)]
    parts = [Said().add(message, range(*ends_of)) for ends_of in zip(places, ends, strict=True)]
    told = Said().add(message, range(ends[0]))
    matter, matters, since = Said().add(message, range(places[0], ends[0])), 1, 1
    lead_words = sum(len(one.words) for one in message.seen[: places[0]])
    own = sorted((doubted[place][1] for place in places), reverse=True)
    for order in range(1, len(places)):
        place, before = places[order], places[order - 1]
        numbers = _of_judges(proposed, doubted, place, before)
        numbers |= {
            "own_others": own[1] if doubted[place][1] == own[0] else own[0],
            "order": float(order),
            "left": float(len(places) - order - 1),
            "before": float(before),
            "count": float(len(message.atoms)),
            "place": place / len(message.atoms),
            "first_words": float(lead_words),
            "matters": float(matters),
            "since": float(since),
            "me_told": float(told.me),
            "asks_told": float(told.asks),
        }
        numbers |= _of_form(message, place, before)
        numbers |= _of_words(parts[order], parts[order - 1], told)
        numbers |= _beside(parts[order], matter)
        following = range(place, ends[order])
        if begins(place, numbers):
            matter, matters, since = Said(), matters + 1, 0
        matter.add(message, following)
        told.add(message, following)
        since += 1


def _beside(own: Said, matter: Said) -> dict[str, float]:
    """What is said at a place beside the matter that would end there."""
    return {
        "asks_matter": float(matter.asks),
        "me_matter": float(matter.me),
        "matter_words": float(matter.words),
        "shared_matter": float(len(own.stems & matter.stems)),
        "names_matter": float(len(own.names & matter.names)),
        "topics_matter": float(bool(own.topics & matter.topics)),
        "topics_apart_matter": float(_apart(own.topics, matter.topics)),
    }


def _of_judges(
    proposed: Sequence[Sequence[float]], doubted: Sequence[Sequence[float]], place: int, before: int
) -> dict[str, float]:
    return {
        "seg": proposed[place][1],
        "own": doubted[place][1],
        "seg_on": proposed[place][0],
        "own_on": doubted[place][0],
        "seg_prev": proposed[before][1],
        "own_prev": doubted[before][1],
        "context": proposed[place][2],
        "wish": proposed[place][3],
        "context_prev": proposed[before][2],
    }


def _of_form(message: Read, place: int, before: int) -> dict[str, float]:
    atom, last = message.atoms[place], message.atoms[before]
    one, previous, above = message.seen[place], message.seen[before], message.seen[place - 1]
    holds = {
        "starts_line": atom.joint in {"line", "blank", "rule"},
        "blank": atom.joint in {"blank", "rule"},
        "marked": bool(atom.mark),
        "marked_prev": bool(last.mark),
        "same_joint": atom.joint == last.joint,
        "opener": OPENS_MORE.match(one.text) is not None,
        "different": ANOTHER.search(one.text) is not None,
        "then": STEPS.search(one.text) is not None,
        "you": TO_YOU.search(one.text) is not None,
        "the": THE_THING.search(one.text) is not None,
        "one_thing": ONE_THING.search(previous.text) is not None,
        "task": one.kind == "task",
        "task_prev": previous.kind == "task",
        "remark": one.kind == "remark",
        "make": one.verb in _MAKING,
        "make_prev": previous.verb in _MAKING,
        "wh": one.verb in _ASKING,
        "wh_prev": previous.verb in _ASKING,
        "same_verb": one.bare[:1] == previous.bare[:1],
        "refers": one.reference != "none",
        "back": one.back,
        "colon_prev": above.colon,
        "question_before": above.question,
        "quotes": one.text[:1] in _QUOTES,
    }
    found = {name: float(value) for name, value in holds.items()}
    return found | {joint: float(atom.joint == joint) for joint in _JOINTS}


def _of_words(own: Said, previous: Said, told: Said) -> dict[str, float]:
    return {
        "question": float(own.question),
        "question_prev": float(previous.question),
        "asks": float(own.asks),
        "asks_prev": float(previous.asks),
        "me": float(own.me),
        "words": float(own.words),
        "words_prev": float(previous.words),
        "stems": float(len(own.stems)),
        "novel": float(len(own.stems - told.stems)),
        "novel_part": len(own.stems - told.stems) / max(1, len(own.stems)),
        "shared_prev": float(len(own.stems & previous.stems)),
        "shared_told": float(len(own.stems & told.stems)),
        "names": float(len(own.names & told.names)),
        "names_new": float(len(own.names - told.names)),
        "topics_same": float(bool(own.topics & told.topics)),
        "topics_prev": float(bool(own.topics & previous.topics)),
        "topics_apart": float(_apart(own.topics, previous.topics)),
        "topics_new": float(len(own.topics - told.topics)),
    }


def _apart(some: Set[int], others: Set[int]) -> bool:
    return bool(some and others and not some & others)
