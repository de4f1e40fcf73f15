"""One answer, and the place in it where somebody else went on: what was shown, by what hosts wrote down.

What hosts wrote, by their notebooks, is compared with what was shown, with the names put back as the client puts them
back: a model spells a placeholder in its own way (`[Location_E4]` for `LOCATION_E4`), and makes up some.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from peernet.cli.adversaries.notebook import HEARD, SAID, Note
from peernet.cli.attack.finding import long_enough
from peernet.cli.attack.stage import Asked, Stage
from peernet.client.events import (
    AnswerText,
    Event,
    FragmentContinued,
    FragmentFailed,
    FragmentPlanned,
    FragmentRestarted,
    FragmentText,
    Planned,
)
from peernet.client.seam import MIN_REPEATED, MIN_REPEATED_WORDS
from peernet.core.serving import Ask, Delta, FromClient, FromHost
from privacy.restoring import Restorer, restore

__all__ = [
    "PLACEHOLDER",
    "Exchange",
    "Handover",
    "all_planned",
    "behind_placeholders",
    "compared",
    "course_of",
    "exchanges_over",
    "goes_on",
    "handover_in",
    "hit_nothing",
    "planned_of",
    "said_after",
    "squeezed",
    "texts_of",
]

PLACEHOLDER: Final = re.compile(r"\b[A-Z][A-Z_]*_[A-Z]\d+\b")
WORDS_AT_SEAM: Final = 4
"""How many words are shown on either side of where one answer was taken over by another."""


def planned_of(asked: Asked, ordinal: int) -> FragmentPlanned:
    """A fragment as it was planned."""
    return all_planned(asked)[ordinal]


def all_planned(asked: Asked) -> tuple[FragmentPlanned, ...]:
    """All fragments as they were planned."""
    (planned,) = [event for event in asked.events if isinstance(event, Planned)]
    return planned.fragments


def behind_placeholders(prompt: str, sent: str) -> dict[str, str]:
    """What stands behind the placeholders of a fragment: read off the request, where it is what was sent of it.

    Nothing where it is not.
    """
    names = PLACEHOLDER.findall(sent)
    between = [re.escape(part) for part in PLACEHOLDER.split(sent)]
    found = re.search(rf"{'(.+?)'.join(between)}$", prompt, re.MULTILINE)
    return {} if found is None else dict(zip(names, found.groups(), strict=True))


@frozen
class Exchange:
    """One ring's exchange with a host, by the host's own notebook."""

    ask: Ask
    said: str


def exchanges_over(notes: Sequence[Note], text_sent: str) -> list[Exchange]:
    """The exchanges over a fragment, in order."""
    asks = {
        note.ring: message
        for note in notes
        if note.kind == HEARD
        and isinstance(message := FromClient.decode(note.data), Ask)
        and message.turns[-1].content == text_sent
    }
    said: dict[int, list[str]] = {ring: [] for ring in asks}
    for note in notes:
        if note.kind == SAID and note.ring in asks and isinstance(message := FromHost.decode(note.data), Delta):
            said[note.ring].append(message.text)
    return [Exchange(asks[ring], "".join(said[ring])) for ring in sorted(asks)]


@frozen
class Handover:
    """What was shown of a fragment's answer before an attempt failed, and what after it."""

    continued: FragmentContinued
    before: str
    after: str
    answer_before: str
    """What was shown by then of the whole answer."""

    @property
    def seam(self) -> str:
        """The last words before, and the first ones after."""
        before, after = self.before.split()[-WORDS_AT_SEAM:], self.after.split()[:WORDS_AT_SEAM]
        return f"“…{' '.join(before)}” and then “{' '.join(after)}…”"


def handover_in(asked: Asked) -> Handover | None:
    """Where somebody went on with an answer, if that happened once."""
    places = [place for place, event in enumerate(asked.events) if isinstance(event, FragmentContinued)]
    if len(places) != 1:
        return None
    continued = asked.events[places[0]]
    assert isinstance(continued, FragmentContinued)

    earlier, later = asked.events[: places[0]], asked.events[places[0] :]
    before, after = (_shown(events, continued.ordinal) for events in (earlier, later))
    answer_before = "".join(event.text for event in earlier if isinstance(event, AnswerText))
    return Handover(continued, before, after, answer_before)


def _shown(events: Iterable[Event], ordinal: int) -> str:
    """What was shown of a fragment's answer."""
    return "".join(event.text for event in events if isinstance(event, FragmentText) and event.ordinal == ordinal)


def said_after(stage: Stage, asked: Asked) -> str:
    """What the host wrote that went on with an answer, by its own notebook; nothing where none did."""
    handover = handover_in(asked)
    if handover is None:
        return ""
    report = asked.answered.fragments[handover.continued.ordinal]
    exchanges = exchanges_over(stage.notes_of(report.host, asked.began_at_s), report.text_sent)
    return exchanges[-1].said if exchanges else ""


def hit_nothing(asked: Asked, said_after: str) -> bool:
    """Whether a fault hit none of an answer's text: it came before anything was shown of it, or when all was there.

    `said_after` is what the host wrote that went on from there.
    """
    handed = [event for event in asked.events if isinstance(event, FragmentContinued | FragmentRestarted)]
    if not asked.answered.complete or len(handed) > 1:
        return False
    for event in handed:
        place = asked.events.index(event)
        if isinstance(event, FragmentRestarted):
            return not _shown(asked.events[:place], event.ordinal)
        return not _shown(asked.events[place:], event.ordinal).strip() and not said_after.strip()
    return True


def goes_on(handover: Handover, exchange: Exchange, behind: Mapping[str, str], *, cut: bool) -> bool:
    """Whether what a host was given, and what it wrote then, are together what was shown: no more and no less.

    But for what it said again, which is shown once, and, where the answer was cut at its length, for the beginning of
    one of its placeholders, which is never shown.
    """
    given = exchange.ask.prefix or ""
    said = exchange.said
    if (again := _said_again(given, said)) is not None:
        said = said.lstrip()[len(again) :]
    if not given or not handover.after or squeezed(restore(given, behind)) != squeezed(handover.before):
        return False
    restorer = Restorer(behind, after=handover.before)
    written, shown = squeezed(restorer.feed(said) + restorer.finish()), squeezed(handover.after)
    rest = written.removeprefix(shown)
    is_cut = cut and len(rest) > 1 and any(name.startswith(rest) for name in behind)
    return written.startswith(shown) and (not rest or is_cut)


def _said_again(given: str, said: str) -> str | None:
    """The end of what a host was given with which it began, where that counts as a repetition (`client.seam`)."""
    given, said = given.rstrip(), said.lstrip()
    places = [match.start() for match in re.finditer(r"(?<!\S)\S", given)]
    again = [
        given[place:] for place in places if len(given) - place >= MIN_REPEATED and said.startswith(given[place:])
    ]
    again = [text for text in again if len(text.split()) >= MIN_REPEATED_WORDS]
    return again[0] if len(again) == 1 and given.count(again[0]) == 1 else None


def compared(handover: Handover, exchange: Exchange | None) -> tuple[tuple[str, str], ...]:
    """What `goes_on` looks at, for whoever wants to know why it does not hold."""
    shown = (("shown before", handover.before), ("shown after", handover.after))
    if exchange is None:
        return (*shown, ("written", "nothing, by the notebook of the host that went on"))
    return (("given", exchange.ask.prefix or ""), ("written", exchange.said), *shown)


def course_of(asked: Asked) -> tuple[tuple[str, str], ...]:
    """How a request went that did not go as it should."""
    failures = [
        f"{type(event).__name__} of {event.ordinal}: {event.reason}"
        for event in asked.events
        if isinstance(event, FragmentContinued | FragmentRestarted | FragmentFailed)
    ]
    pieces = Counter(event.ordinal for event in asked.events if isinstance(event, FragmentText))
    shown = ", ".join(f"{number} of {ordinal}" for ordinal, number in sorted(pieces.items()))
    return (("failures", "; ".join(failures) or "none"), ("pieces shown", shown), ("answer", asked.answered.text))


def texts_of(stage: Stage, requests: Iterable[Asked]) -> list[str]:
    """What hosts were sent in these requests, and what they answered, by their own notebooks."""
    fragments = [fragment for asked in requests for fragment in asked.answered.fragments]
    exchanges = [exchanges_over(stage.notes_of(fragment.host), fragment.text_sent) for fragment in fragments]
    answers = [exchange.said for exchanged in exchanges for exchange in exchanged]
    return long_enough([*(fragment.text_sent for fragment in fragments), *answers])


def squeezed(text: str) -> str:
    """A text without white space: what a word's space is written with depends on who writes."""
    return "".join(text.split())
