"""What is done where one host would get more than `max_share` of a request that is divided into tasks (rule 9).

Rules, the first that helps:

1. A matter is cut where the judge sees the likeliest beginning of another one, though it is not sure of it.
2. A task over a long text of its own goes in runs of that text, as a request of nothing else would.
3. Who leads in to the tasks, and tells nothing that one of them needs, is left out.

What is still too large stays so: no task loses what it needs, and the plan says that a host gets more.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve

from privacy.planning._dividing import Group
from privacy.planning._judge import Judge, Verdict
from privacy.planning._judged import begins_of, groups_of, segments_of
from privacy.planning._kinds import announces_tasks
from privacy.planning._model import GLUE, ExposurePolicy
from privacy.planning._references import stems
from privacy.planning._segments import Segments, segment
from privacy.planning._sharding import Shards, shards_of
from privacy.planning._source import Source
from privacy.planning._units import Unit

CUT_OVER: Final = -0.5
"""The log odds over which a matter that is too large is cut at a place."""
TEXT_OVER: Final = 0.0
"""Those over which its task is taken for one over a long text."""
MAX_LEAD_STEMS: Final = 4
"""Content words of a sentence that only leads in."""


def matters_of(source: Source, verdict: Verdict, policy: ExposurePolicy) -> tuple[list[Unit], list[Group]]:
    """The units and groups of a request, of which those that are too large are cut further (rules 1 and 3)."""
    begins = begins_of(verdict)
    units, groups = groups_of(source.text, verdict, begins)
    unsure = [place for place, score in verdict.places.items() if score > CUT_OVER and place not in begins]
    while len(groups) == len(begins) > 1 and unsure:
        ends = [*begins[1:], len(verdict.labels)]
        large = [n for n, group in enumerate(groups) if share_of(source, units, group) > policy.max_share]
        places = [place for place in unsure if any(begins[n] < place < ends[n] for n in large)]
        if not places:
            break
        likeliest = max(places, key=lambda place: verdict.places[place])
        unsure.remove(likeliest)
        begins = sorted([*begins, likeliest])
        units, groups = groups_of(source.text, verdict, begins)
    for group in groups:
        if share_of(source, units, group) > policy.max_share:
            group.background -= {n for n in group.background if _only_leads_in(units[n])}
    return units, groups


def runs_of(
    source: Source, units: Sequence[Unit], groups: Sequence[Group], judge: Judge, hosts: int, policy: ExposurePolicy
) -> Mapping[int, Shards]:
    """The runs of the texts of those tasks that are too large, by the numbers of their groups (rule 2)."""
    found: dict[int, Shards] = {}
    for number, group in enumerate(groups):
        if share_of(source, units, group) <= policy.max_share:
            continue
        first, last = group.tasks[0], group.tasks[-1]
        if not {*range(first, last)} <= {*group.tasks, *group.background}:
            continue
        start, end = units[first].start, units[last].end
        segments = _segments_within(source, start, end, judge)
        others = [(units[n].start, units[n].end) for n in group.background if not start <= units[n].start < end]
        shards = None if segments is None else shards_of(source, segments, hosts, policy, others)
        if shards is not None:
            found[number] = shards
    return found


def share_of(source: Source, units: Sequence[Unit], group: Group) -> float:
    """The share of a request that the host of a group gets."""
    return source.share([GLUE.join(units[n].text for n in sorted({*group.tasks, *group.background}))])


def _only_leads_in(unit: Unit) -> bool:
    return announces_tasks(unit.text) and len(stems(unit.text)) <= MAX_LEAD_STEMS


def _segments_within(source: Source, start: int, end: int, judge: Judge) -> Segments | None:
    """The instruction and the text of one task, at their places in the message."""
    text = source.text[start:end]
    holds = [(m.start - start, m.end - start) for m in source.mentions[source.last] if start <= m.start < end]
    verdict = judge.verdict(text, holds)
    found = None
    if verdict is not None and min(verdict.divisible, verdict.shards) > TEXT_OVER:
        found = segments_of(text, verdict)
    found = found or segment(text)
    if found is None:
        return None
    return Segments(
        tuple((first + start, last + start) for first, last in found.instruction),
        tuple(evolve(line, start=line.start + start, end=line.end + start) for line in found.lines),
        found.manner,
    )
