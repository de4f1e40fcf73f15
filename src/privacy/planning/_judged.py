"""From the judge's verdict to what is sent: the groups of tasks, or the instruction and its text.

Rules:

1. A matter begins at the first place, and at each other whose log odds are over `PLACE_OVER`; at the likeliest one if
   none is. What stands between two of them stays together, in doubt, whatever it looks like.
2. What is told goes to the matter that it is told in and to all that follow; what is wished for all, to all;
   greetings and thanks to nobody.
3. What speaks of all that was said before ("combine them") is never parted from it: then there is no division. What
   speaks of "the poem" goes with the matter that asks for "a poem".
4. An instruction stands before the records, or behind them, or both; what lies between is the text.
"""

import re
from collections.abc import Sequence
from typing import Final

from privacy.planning._atoms import MARK, Atom
from privacy.planning._dividing import Group
from privacy.planning._judge import PLACE_OVER, Verdict
from privacy.planning._kinds import Kind, first_word, is_generic, kind_of
from privacy.planning._measures import LABELS
from privacy.planning._piecewise import Manner, Way, manner_of
from privacy.planning._references import made_by, meant_by, reference_of
from privacy.planning._segments import Segments, instructions_of, lines_of, material_lines
from privacy.planning._units import Unit
from privacy.planning._words import CREATING

TAIL_OVER: Final = 0.25
"""How likely what stands behind a text must be of its instruction."""
_OF_INSTRUCTION: Final = tuple(LABELS.index(name) for name in ("instruction", "wish", "social"))
_LISTING: Final = re.compile(
    r"\W*(?:please\s+)?(?:extract|list|find|pull|pick|collect|get|which|who|what|name|identify|gather|note|search|show)\b",
    re.IGNORECASE,
)
_SUMMING: Final = re.compile(r"\b(?:summar\w+|condense|tl;?dr|gist|sum up|recap)\b", re.IGNORECASE)
_KINDS: Final[dict[str, Kind]] = {"wish": "remark", "context": "context"}


def begins_of(verdict: Verdict) -> list[int]:
    """The atoms at which matters begin; fewer than two are no division."""
    later = [place for place, score in verdict.places.items() if score > PLACE_OVER]
    if not later and verdict.places:
        later = [max(verdict.places, key=lambda place: verdict.places[place])]
    begins = [verdict.first, *later]
    return begins[1:] if len(begins) > 2 and _only_tells(verdict, *begins[:2]) else begins


def groups_of(text: str, verdict: Verdict, begins: Sequence[int]) -> tuple[list[Unit], list[Group]]:
    """The units of a message and the groups that different hosts may get; fewer than two groups are no division."""
    units: list[Unit] = []
    owners: list[int] = []
    for number, (start, end) in enumerate(zip(begins, [*begins[1:], len(verdict.labels)], strict=True)):
        for first, last, kind in _parts(verdict, start, end):
            units.append(_unit(text, verdict.message.atoms, first, last, kind, number + 1))
            owners.append(number)
    leading = [_leading(text, verdict, place) for place in range(begins[0])] if begins else []
    units[:0], owners[:0] = leading, [-1] * len(leading)
    wished = {n for n, unit in enumerate(units) if unit.kind == "remark"}
    groups = []
    for number in range(len(begins)):
        own = [n for n, unit in enumerate(units) if owners[n] == number and unit.kind == "task"]
        told = {n for n, unit in enumerate(units) if owners[n] <= number and unit.kind == "context"}
        groups.append(Group(own, wished | told))
    for group in groups[1:]:
        if any(reference_of(units[task]) == "all" for task in group.tasks):
            return units, groups[:1]
    return units, _joined(units, groups)


def _joined(units: Sequence[Unit], groups: Sequence[Group]) -> list[Group]:
    """The groups, those together of which a later one speaks of what an earlier one makes."""
    found: list[Group] = []
    made: list[set[str]] = []
    for group in groups:
        said = " ".join(units[task].text for task in group.tasks)
        meant = meant_by(said)
        maker = next((place for place, stems in enumerate(made) if stems & meant), None)
        if maker is None:
            found.append(group)
            made.append(set(made_by(said)))
        else:
            found[maker].tasks = sorted([*found[maker].tasks, *group.tasks])
            made[maker] |= made_by(said)
    return found


def _only_tells(verdict: Verdict, first: int, following: int) -> bool:
    """Whether what stands above a list asks for nothing: then it is no matter, but what the items need."""
    atoms, seen = verdict.message.atoms, verdict.message.seen
    above_list = bool(atoms[following].mark) and not atoms[first].mark
    return above_list and all(one.kind in {"context", "courtesy"} for one in seen[first:following])


def _parts(verdict: Verdict, start: int, end: int) -> list[tuple[int, int, Kind]]:
    """A matter and what is wished or told between its sentences, in order: first atom, behind the last, kind."""
    found: list[tuple[int, int, Kind]] = [(start, start + 1, "task")]
    for place in range(start + 1, end):
        label = LABELS[verdict.labels[place]]
        kind: Kind = found[-1][2] if label == "goes_on" else _KINDS.get(label, "task")
        if label == "social" and verdict.message.seen[place].kind == "courtesy":
            kind = "courtesy"
        if kind == found[-1][2]:
            found[-1] = (found[-1][0], place + 1, kind)
        else:
            found.append((place, place + 1, kind))
    return found


def _leading(text: str, verdict: Verdict, place: int) -> Unit:
    atom = verdict.message.atoms[place]
    said = text[atom.start : atom.end]
    is_greeting = LABELS[verdict.labels[place]] == "social" or kind_of(said) == "courtesy" or is_generic(said)
    return _unit(text, verdict.message.atoms, place, place + 1, "courtesy" if is_greeting else "context", 0)


def _unit(text: str, atoms: Sequence[Atom], first: int, last: int, kind: Kind, number: int) -> Unit:
    start, end = atoms[first].start, atoms[last - 1].end
    mark = MARK.match(text, start, end) if atoms[first].mark and kind == "task" else None
    marker = mark.group().strip() if mark is not None else ""
    start = mark.end() if mark is not None else start
    return Unit(kind, start, end, text[start:end], atoms[first].line, number if marker else None, marker)


def segments_of(text: str, verdict: Verdict) -> Segments | None:
    """The instruction and its text; None where the one does not stand at an end of the other."""
    atoms = verdict.message.atoms
    names = [LABELS[label] for label in verdict.labels]
    if "record" not in names:
        return None
    first = names.index("record")
    last = len(names)
    for place in range(len(names) - 1, first, -1):
        asks = sum(verdict.chances[place][label] for label in _OF_INSTRUCTION) >= TAIL_OVER
        if asks and atoms[place].joint in {"line", "blank", "rule"}:
            last = place
        elif not asks and names[place] != "goes_on":
            break
    behind = atoms[first].start if first else 0
    until = atoms[last].start if last < len(atoms) else len(text)
    said = [(0, len(text[:behind].rstrip())), (until, len(text.rstrip()))]
    instruction = tuple((start, end) for start, end in said if text[start:end].strip())
    lines = material_lines(text, lines_of(text, behind, len(text[:until].rstrip())), ())
    if not instruction or not lines:
        return None
    return Segments(instruction, tuple(lines), _manner([text[start:end] for start, end in instruction]))


def _manner(said: Sequence[str]) -> Manner:
    """How the instruction is done, where the rules do not know it: of many things, in the way of its verb."""
    tasks = [task for part in said for task in instructions_of(part)]
    known = manner_of(tasks, "\n".join(said))
    if known is not None:
        return known
    way: Way = "mapping"
    if any(_SUMMING.search(part) for part in said):
        way = "sections"
    elif any(
        _LISTING.match(task) and first_word(task) not in CREATING - {"list", "name", "pick"} for task in tasks or said
    ):
        way = "extraction"
    return Manner(way, many=True)
