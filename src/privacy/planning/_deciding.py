"""Whether a request is divided: what the rules say, and what the trained judge says where it is surer (rule 8).

Rules:

1. The rules are asked first. What they divide is divided, unless the judge takes it for one matter.
2. What they keep whole is divided by the judge where its log odds are over `DIVIDE_OVER`. Both bounds are from
   cross-validation (`training/planning`): of what nobody would divide, 95 of 100 stay whole.
3. Of tasks of which the rules give one host more than `max_share`, the judge's division holds where it gives less.
4. A request that is too long for the judge is left to the rules, and under `open` nothing is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve, field, frozen

from privacy.planning._dividing import Group, divide, settled
from privacy.planning._judge import Verdict, packaged
from privacy.planning._judged import segments_of
from privacy.planning._model import ExposurePolicy, Level, WhyWhole
from privacy.planning._narrowing import matters_of, runs_of, share_of
from privacy.planning._segments import needs_all
from privacy.planning._sharding import Shards, find_shards, shards_of
from privacy.planning._source import Source
from privacy.planning._units import Unit

KEEP_UNDER: Final = 1.0
"""What the rules divide stays whole under these log odds."""
DIVIDE_OVER: Final = 1.5
"""What the rules keep whole is divided over these."""


@frozen
class Division:
    """A text in runs, or groups of units, or the reason why there is neither."""

    shards: Shards | None = None
    units: Sequence[Unit] = field(default=(), repr=False)
    groups: Sequence[Group] = ()
    runs: Mapping[int, Shards] = field(factory=dict)
    """Of a group whose task is one over a long text of its own: the runs of that text."""
    why_whole: WhyWhole = ""


def decide(source: Source, hosts: int, policy: ExposurePolicy) -> Division:
    """The division of the last message for at most so many hosts."""
    ruled = by_rules(source, hosts, policy)
    if policy.level is Level.OPEN:
        return ruled
    verdict = packaged().verdict(source.text, [(m.start, m.end) for m in source.mentions[source.last]])
    if verdict is None:
        return ruled
    if ruled.why_whole:
        return by_judge(source, verdict, hosts, policy) or ruled if verdict.divisible > DIVIDE_OVER else ruled
    if verdict.divisible <= KEEP_UNDER:
        return Division(why_whole="one_matter")
    if ruled.shards is not None or largest_of(source, ruled) <= policy.max_share:
        return ruled
    return _narrower(source, ruled, verdict, hosts, policy)


def by_rules(source: Source, hosts: int, policy: ExposurePolicy) -> Division:
    """What the rules of the package make of it."""
    shards = find_shards(source, hosts, policy)
    if shards is not None:
        return Division(shards)
    if policy.level is not Level.OPEN and needs_all(source.text):
        return Division(why_whole="needs_all")
    units, groups, why_whole = divide(source, policy)
    return Division(units=units, groups=groups, why_whole=why_whole)


def _narrower(source: Source, ruled: Division, verdict: Verdict, hosts: int, policy: ExposurePolicy) -> Division:
    """The judge's division where its largest part is smaller, else that of the rules, its long texts in runs."""
    judged = by_judge(source, verdict, hosts, policy)
    if judged is not None and (judged.shards is not None or largest_of(source, judged) < largest_of(source, ruled)):
        return judged
    return evolve(ruled, runs=runs_of(source, ruled.units, ruled.groups, packaged(), hosts, policy))


def largest_of(source: Source, division: Division) -> float:
    """The largest share that the host of a group gets, before a text of its own is cut."""
    return max(share_of(source, division.units, group) for group in division.groups)


def by_judge(source: Source, verdict: Verdict, hosts: int, policy: ExposurePolicy) -> Division | None:
    """What the judge makes of a request that it would divide; None where its parts do not allow it."""
    if verdict.shards > 0:
        segments = segments_of(source.text, verdict)
        shards = None if segments is None else shards_of(source, segments, hosts, policy)
        shards = shards or find_shards(source, hosts, policy)
        if shards is not None:
            return Division(shards)
    if not verdict.places:
        return None
    units, found = matters_of(source, verdict, policy)
    groups, why_whole = settled(source, units, found)
    if why_whole:
        return None
    return Division(units=units, groups=groups, runs=runs_of(source, units, groups, packaged(), hosts, policy))
