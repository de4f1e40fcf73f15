"""The dependency graph: which tasks belong together, and which background each needs (rules 1 and 2).

Rules: a reference to a task joins the two; a reference to background takes it along, with what that refers to;
background of nobody goes to the nearest task, material of nobody to all; a remark belongs to the task before it in
its place. Who tells of something and asks for advice about it means all of what was told; who wants one connected
answer gets one.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from privacy.planning._kinds import OPENERS, first_word
from privacy.planning._references import reference_of, stems
from privacy.planning._units import Unit
from privacy.planning._words import ADDRESSING, CREATING

_ALL_ANSWERS: Final = re.compile(r"\b(?:each|every|all|answers?|everything)\b", re.IGNORECASE)

_INTRODUCING: Final = re.compile(r":$|\b(?:this|following|these|below)\b", re.IGNORECASE)

_NUMBERED_BACK: Final = re.compile(
    r"\b(?:questions?|answers?|items?|tasks?|parts?|steps?|points?|numbers?|no\.|#)\s*\(?(\d{1,2})\b", re.IGNORECASE
)


_INTRODUCED: Final = re.compile(
    r"(?<!\w)(?=(?:an?|some|another|one|two|three|four|five|\d+|my|our)\s+((?:[\w'’-]+\s+){0,3}[\w'’-]+))",
    re.IGNORECASE,
)  # a look ahead, since one may stand within another: "a story about a keeper"
_REFERRED: Final = re.compile(
    r"\b(?:the|that|this|those|these|its|their|your)\s+([\w'’-]+(?:\s+[\w'’-]+)?)", re.IGNORECASE
)

_ONE_ANSWER: Final = re.compile(
    r"\b(?:one|a single)\s+(?:connected|coherent|continuous|flowing|combined|joined-up)\b"
    r"|\b(?:as|in|into)\s+(?:one|a single)\s+(?:text|answer|essay|explanation|story|e-?mail|letter|piece|message)\b",
    re.IGNORECASE,
)
_TELLING: Final = re.compile(
    r"\b(?:i|i['’]?m|i['’]?ve|i['’]?d|my|me|we|we['’]?re|we['’]?ve|our|us|ich|mein\w*|mich|mir|wir|unser\w*|je|mon|ma|mes"
    r"|nous|yo|mi|mis)\b",
    re.IGNORECASE,
)
_ASKING_ADVICE: Final = re.compile(
    r"\b(?:would|should|shall|might|(?:is|was|isn['’]?t) (?:this|that|it|there)|(?:am|did|do|have|can|must|was)"
    r" (?:i|we)|(?:could|can|will) (?:it|this|that|there|he|she|they)|how (?:bad|serious|likely|urgent)|lohnt"
    r"|soll(?:te)?|würde\w*|kann (?:ich|das|es)|(?:until|before) (?:i|we))\b",
    re.IGNORECASE,
)
_ABOUT_MORE: Final = re.compile(r"^\W*(?:(?:and|but)\s+)?(?:what|how) about\b", re.IGNORECASE)
_FOR_ONESELF: Final = re.compile(r"\bfor (?:us|me)\b", re.IGNORECASE)
_REQUESTING: Final = re.compile(
    r"^\W*(?:(?:and|so|also|then|now|please)\s+)?(?:could|can|would|will) you\b", re.IGNORECASE
)
_QUESTION: Final = re.compile(
    r"[?？]\W*$|^\W*(?:(?:and|but|so|also|or|und|aber)\s+)?(?:how|what|why|when|where|which|who|is|are|was|did|do|does|am|can"
    r"|could|should|would|will|wie|was|warum|soll\w*)\b",
    re.IGNORECASE,
)
_ANNOUNCING: Final = re.compile(
    r"\b(?:questions?|things|tasks|requests?|jobs|favou?rs?|help|messages)\b", re.IGNORECASE
)
_NAME: Final = re.compile(r"(?<=[\w,] )[A-ZÀ-Ý][\w’'-]+(?<!'s)(?<!’s)")
"""A word with a capital inside a sentence."""
_TOLD_STEMS: Final = 3
"""Content words of a sentence that tells something; with fewer it only says that something is asked."""

_HUMAN: Final = re.compile(
    r"\b(?:sister|brother|mother|father|mum|mom|dad|wife|husband|son|daughter|friend|boss|colleague|partner|neighbou?r"
    r"|teacher|doctor|child|baby|uncle|aunt|cousin|girlfriend|boyfriend|grand\w+|man|woman|boy|girl|patient|client)\b",
    re.IGNORECASE,
)


_TO_SOMEBODY: Final = re.compile(r"\byou(?:r|rself)?\b", re.IGNORECASE)
_INVENTED: Final = re.compile(r"\W*(?:please\s+)?(?:imagine|pretend|suppose|roleplay)\b[^.?!]*\byou", re.IGNORECASE)
_LETTER: Final = re.compile(
    r"\b(?:letter|e-?mail|mail|message|note|speech|text|post|invitation|announcement|statement|memo|toast|card|reply)\b",
    re.IGNORECASE,
)
_PART_OF_WORK: Final = re.compile(
    r"(?i:explain|describe|show|list|justify|include|name|annotate|comment|define)\s+(?:all\s+)?the\s+"
    r"[a-z'’-]+\s+[a-z'’-]+[.!?]?$"
)


def _phrase_stems(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    return frozenset().union(*(stems(match[1]) for match in pattern.finditer(text)))


class Needs:
    """The dependency graph: which tasks belong together, and which background each needs."""

    def __init__(self, units: Sequence[Unit], people: Sequence[tuple[int, int]]) -> None:
        self._units = units
        self._people = people
        self.tasks = [index for index, unit in enumerate(units) if unit.kind == "task"]
        self._root = {task: task for task in self.tasks}
        self._background: dict[int, set[int]] = {task: set() for task in self.tasks}
        self._stems = [stems(unit.text) for unit in units]
        self._names = [frozenset(_NAME.findall(unit.text)) for unit in units]
        self._introduced = [_phrase_stems(_INTRODUCED, unit.text) for unit in units]
        self._sources: dict[int, set[int]] = {}
        """What a unit refers to, so that who needs it needs that too."""

    def resolve(self) -> None:
        """Fills the graph."""
        for index, unit in enumerate(self._units):
            if unit.kind in {"task", "context"}:
                self._sources[index] = self._antecedents(index)
        for task in self.tasks:
            for source in self._closure(task):
                self._depend(task, source)
        if any(_ONE_ANSWER.search(unit.text) for unit in self._units if unit.kind != "material"):
            for task in self.tasks[1:]:
                self.join(self.tasks[0], task)
        for index, unit in enumerate(self._units):
            if unit.kind == "context":
                self._place_context(index)
            elif unit.kind == "material":
                self._place_material(index)
            elif unit.kind == "remark":
                self._place_remark(index)
            elif unit.kind == "lead":
                self._give(
                    index, [t for t in self.tasks if unit.marker != "#" or self._units[t].heading == unit.heading]
                )

    def groups(self) -> list[tuple[list[int], set[int]]]:
        """The tasks that stay together, with their background; in order of their first tasks."""
        together: dict[int, list[int]] = {}
        for task in self.tasks:
            together.setdefault(self._find(task), []).append(task)
        return [(tasks, set().union(*(self._background[task] for task in tasks))) for tasks in together.values()]

    def join(self, one: int, other: int) -> None:
        """Keeps two tasks in one fragment."""
        self._root[self._find(other)] = self._find(one)

    def _find(self, task: int) -> int:
        while self._root[task] != task:
            self._root[task] = task = self._root[self._root[task]]
        return task

    def _depend(self, task: int, source: int) -> None:
        if self._units[source].kind == "task":
            self.join(source, task)
        else:
            self._background[task].add(source)

    def _give(self, source: int, tasks: Iterable[int]) -> None:
        for task in tasks:
            for needed in {source, *self._closure(source)}:
                self._depend(task, needed)

    def _closure(self, index: int) -> set[int]:
        reached: set[int] = set()
        pending = list(self._sources.get(index, ()))
        while pending:
            source = pending.pop()
            if source not in reached:
                reached.add(source)
                # A task that is joined brings its own background along.
                pending += self._sources.get(source, ()) if self._units[source].kind != "task" else ()
        return reached

    def _antecedents(self, index: int) -> set[int]:
        unit = self._units[index]
        earlier = [i for i in range(index) if self._units[i].kind in {"task", "context", "material"}]
        numbered = self._numbered(unit, earlier)
        found = (
            self._introductions(index, earlier) | numbered | self._told(index, earlier) | self._same(index, earlier)
        )
        reference = reference_of(unit)
        if reference == "none" and self._goes_on(unit, earlier):
            reference = "previous"
        if not earlier or reference == "none":
            return found
        if reference == "all":
            return found if numbered else found | set(earlier)
        if reference == "person":
            about = [i for i in earlier if self._is_about_person(i)]
            return found | {about[-1] if about else earlier[-1]}
        return found | self._meant(earlier, about_more=_ABOUT_MORE.match(unit.text) is not None)

    def _goes_on(self, unit: Unit, earlier: Sequence[int]) -> bool:
        """Whether a sentence says more of what the task before it makes: of a letter, or of a work to explain.

        And whether it speaks to somebody whom an earlier one has invented.
        """
        if unit.kind != "task" or unit.item is not None or not earlier:
            return False
        before = [self._units[i] for i in earlier]
        said = self._units[: earlier[-1] + 1]
        if _TO_SOMEBODY.search(unit.text) and any(_INVENTED.match(other.text) for other in said):
            return True
        # "Write a letter. Thank them for it. Announce the new price."
        while len(before) > 1 and before[-1].kind == "task" and first_word(before[-1].text) in ADDRESSING:
            before.pop()
        last = before[-1]
        if last.kind != "task" or last.paragraph != unit.paragraph or first_word(last.text) not in CREATING:
            return False
        addresses = first_word(unit.text) in ADDRESSING and _LETTER.search(last.text) is not None
        return addresses or _PART_OF_WORK.match(OPENERS.sub("", unit.text)) is not None

    def _told(self, index: int, earlier: list[int]) -> set[int]:
        """What was told in the paragraph before a question for advice: "Would the fridge help?"."""
        unit = self._units[index]
        if unit.kind != "task" or unit.item is not None or _REQUESTING.match(unit.text):
            return set()
        if not (_QUESTION.search(unit.text) and _ASKING_ADVICE.search(unit.text)):
            return set()
        return {i for i in earlier if self._units[i].paragraph == unit.paragraph and self._tells(i)}

    def _same(self, index: int, earlier: list[int]) -> set[int]:
        """Tasks told in a row that name the same name: "Summarise the plot of Hamlet. Why does Hamlet hesitate?"."""
        unit = self._units[index]
        if unit.kind != "task" or unit.item is not None:
            return set()
        near = [i for i in earlier if self._units[i].kind == "task" and self._units[i].item is None]
        near = [i for i in near if self._units[i].paragraph == unit.paragraph]
        return {i for i in near if self._names[index] & self._names[i]}

    def _tells(self, index: int) -> bool:
        unit = self._units[index]
        if unit.item is not None or _ANNOUNCING.search(unit.text) or not _TELLING.search(unit.text):
            return False
        if unit.kind == "task" and _FOR_ONESELF.search(unit.text):
            return True
        told = unit.kind == "context" or (unit.kind == "task" and re.search(r"[.,;]\s", unit.text) is not None)
        return told and len(self._stems[index]) >= _TOLD_STEMS

    def _meant(self, earlier: list[int], *, about_more: bool) -> set[int]:
        """What "it" means: the last thing said, or what the question before it was itself about."""
        last = earlier[-1]
        asked = self._units[last].kind == "task" and first_word(self._units[last].text) not in CREATING
        about = {i for i in self._sources.get(last, ()) if self._units[i].kind != "task"}
        if self._units[last].kind == "context" and about_more:
            return {last, *[i for i in earlier if self._units[i].kind == "task"][-1:]}
        return about if asked and about else {last}

    def _introductions(self, index: int, earlier: list[int]) -> set[int]:
        """Units that spoke of "a poem" where this one speaks of "the poem"."""
        referred = _phrase_stems(_REFERRED, self._units[index].text)
        if not referred:
            return set()
        return {i for i in earlier if referred & self._introduced[i]}

    def _numbered(self, unit: Unit, earlier: list[int]) -> set[int]:
        numbers = {int(match[1]) for match in _NUMBERED_BACK.finditer(unit.text)} if unit.kind == "task" else set()
        return {i for i in earlier if self._units[i].item in numbers}

    def _is_about_person(self, index: int) -> bool:
        unit = self._units[index]
        named = any(unit.start <= start and end <= unit.end for start, end in self._people)
        return named or _HUMAN.search(unit.text) is not None

    def _place_context(self, index: int) -> None:
        takers = {task for task in self.tasks if self._stems[index] & self._stems[task]}
        takers |= {task for task in self.tasks if index in self._background[task]}
        # "It is for a card." belongs to the task that it speaks of.
        sources = self._sources.get(index, set())
        takers |= {source for source in sources if self._units[source].kind == "task"}
        if self._units[index].for_later:
            takers.update([task for task in self.tasks if task > index][:1])
        # "She is vegan." goes where "My sister is Anna." went.
        takers |= {task for task in self.tasks if sources & self._background[task]}
        self._give(index, takers or self._nearest(index))

    def _nearest(self, index: int) -> list[int]:
        here = [t for t in self.tasks if self._units[t].paragraph == self._units[index].paragraph]
        after = [t for t in here if t > index] or ([] if here else [t for t in self.tasks if t > index])
        before = [t for t in here if t < index] or [t for t in self.tasks if t < index]
        return after[:1] or before[-1:]

    def _place_material(self, index: int) -> None:
        before = self._units[index - 1] if index else None
        if before is not None and before.kind == "task" and _INTRODUCING.search(before.text):
            self._give(index, [index - 1])
        elif not any(index in needed for needed in self._background.values()):
            self._give(index, self.tasks)

    def _place_remark(self, index: int) -> None:
        unit = self._units[index]
        own = [t for t in self.tasks if t < index and self._units[t].paragraph == unit.paragraph]
        if unit.item is not None:
            own = [t for t in self.tasks if t < index][-1:]
        narrow = own and not _ALL_ANSWERS.search(unit.text)
        self._give(index, own[-1:] if narrow else self.tasks)
