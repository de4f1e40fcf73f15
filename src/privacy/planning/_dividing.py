"""From a message to the groups of tasks that different hosts may get, or the reason why there are none (rule 4).

Rules: groups that share too much are joined until none do; one group is no division; bounds are counted in groups.
"""

from collections.abc import Sequence
from typing import Final

from attrs import define

from privacy.planning._lists import settle_lists
from privacy.planning._model import GLUE, ExposurePolicy, Level, WhyWhole
from privacy.planning._needs import Needs
from privacy.planning._source import Source
from privacy.planning._units import Reader, Unit

MAX_FRAGMENTS: Final = 32
"""Neighbouring tasks beyond this many are joined."""

MAX_UNITS: Final = 512
"""A message of more parts is not analysed: it is indivisible."""

MAX_CHARS: Final = 200_000
"""Nor is a longer one, which has as many parts."""

SHARED_LIMIT: Final = 0.5
"""The largest share of content words that two fragments may have in common."""


@define
class Group:
    tasks: list[int]
    background: set[int]


def divide(source: Source, policy: ExposurePolicy) -> tuple[list[Unit], list[Group], WhyWhole]:
    if policy.level is Level.OPEN:
        return [], [], "open"
    if len(source.text) > MAX_CHARS:
        return [], [], "too_many_parts"
    mentions = source.mentions[source.last]
    units = settle_lists(Reader(source.text, [(m.start, m.end) for m in mentions]).read())
    if len(units) > MAX_UNITS:
        return units, [], "too_many_parts"
    _promote_remarks(units)
    needs = Needs(units, [(m.start, m.end) for m in mentions if m.label == "PERSON"])
    needs.resolve()
    if len(needs.tasks) < 2:
        return units, [], "one_task" if needs.tasks else "no_task"
    groups, why = settled(source, units, [Group(*group) for group in needs.groups()])
    return units, groups, why


def settled(source: Source, units: Sequence[Unit], groups: Sequence[Group]) -> tuple[list[Group], WhyWhole]:
    """The groups, those joined that are too many or share too much; the reason where one is left."""
    groups = _bounded(list(groups))
    if len(groups) < 2:
        return groups, "dependent"
    while (pair := _sharing(source, units, groups)) is not None:
        one, other = pair
        one.tasks, one.background = sorted(one.tasks + other.tasks), one.background | other.background
        groups = [group for group in groups if group is not other]
    return groups, "shared" if len(groups) < 2 else ""


def _promote_remarks(units: list[Unit]) -> None:
    """A remark with no task before it in its list or paragraph, and no task anywhere else, is what is asked for."""
    if not any(unit.kind == "task" for unit in units):
        for unit in units:
            unit.kind = "task" if unit.kind == "remark" else unit.kind


def _bounded(groups: list[Group]) -> list[Group]:
    size = -(-len(groups) // MAX_FRAGMENTS)
    chunks = [groups[index : index + size] for index in range(0, len(groups), size)]
    return [
        Group([task for group in chunk for task in group.tasks], set().union(*(group.background for group in chunk)))
        for chunk in chunks
    ]


def _sharing(source: Source, units: Sequence[Unit], groups: Sequence[Group]) -> tuple[Group, Group] | None:
    """Two groups with more than `SHARED_LIMIT` of the words in common."""
    known: dict[frozenset[int], float] = {}
    for place, one in enumerate(groups):
        for other in groups[place + 1 :]:
            common = frozenset(one.background & other.background)
            if common not in known:
                known[common] = source.share([GLUE.join(units[index].text for index in common)]) if common else 0.0
            if known[common] > SHARED_LIMIT:
                return one, other
    return None
