"""From groups of tasks to a plan: fragments, their slots and headings, under the exposure policy (rules 5 and 6).

Rules: the policy refuses before anything is planned for fewer hosts than it wants; the largest share is counted over
all fragments of a slot; headings stay on the client.
"""

import re
import textwrap
from collections.abc import Sequence
from typing import Final

from attrs import evolve, field, frozen

from peernet.core.errors import LocalProtocolError
from privacy.mention import Mention
from privacy.planning._deciding import Division, decide
from privacy.planning._history import History
from privacy.planning._model import (
    GLUE,
    ChatMessage,
    Excerpt,
    ExposurePolicy,
    Fragment,
    Level,
    Piece,
    Plan,
    PlanRefused,
    WhyWhole,
)
from privacy.planning._references import stems
from privacy.planning._sharding import Shards
from privacy.planning._source import Source
from privacy.planning._units import Unit

MAX_HEADING: Final = 72
"""The longest heading, in code points, that an answer is shown under."""


def plan(
    messages: Sequence[ChatMessage],
    mentions_per_message: Sequence[Sequence[Mention]],
    hosts: int,
    policy: ExposurePolicy,
    history: History | None = None,
) -> Plan:
    """Who gets what of the last message, which is the user's.

    `mentions_per_message` goes along with `messages`; `hosts` is how many can be had. Raises `PlanRefused` where the
    policy allows no way, and `LocalProtocolError` for arguments that do not fit together.
    """
    if not messages or messages[-1].role != "user":
        raise LocalProtocolError("a conversation to be answered ends with a message of the user")
    if len(mentions_per_message) != len(messages):
        raise LocalProtocolError(f"{len(messages)} messages with mentions for {len(mentions_per_message)}")
    if hosts < 1:
        raise PlanRefused("no host is there to answer: wait until one joins, or answer on a local engine")
    source = Source(messages, mentions_per_message)
    division = decide(source, hosts, policy)
    if division.shards is not None:
        return _shards(source, division.shards, hosts, policy, history)
    if division.why_whole:
        return _whole(source, division.why_whole, hosts, policy, history)
    return _tasks(source, division, hosts, policy, history)


def _whole(source: Source, why: WhyWhole, hosts: int, policy: ExposurePolicy, history: History | None) -> Plan:
    if policy.level is Level.STRICT:
        raise PlanRefused(
            "the request cannot be split, and the exposure policy 'strict' lets no host have the whole of it: ask for"
            " its parts separately, use the policy 'standard', or answer on a local engine"
        )
    slot = _familiar_slot(source, hosts, history)
    prompt = source.excerpt([(0, len(source.text))], source.last)
    fragment = Fragment(ordinal=0, slot=slot, prompt=prompt, context=(), share=1.0)
    return Plan(
        mode="whole",
        policy=policy,
        fragments=(fragment,),
        structure="whole",
        system=source.system(),
        largest_share=1.0,
        why_whole=why,
        history_dropped=_drops_history(source, {slot}, history),
    )


def _familiar_slot(source: Source, hosts: int, history: History | None) -> int:
    """The slot whose transcript has most words in common with the message; the first of equals."""
    slots = [slot for slot in (history.slots() if history else ()) if slot < hosts]
    if history is None or not slots:
        return 0
    said = {slot: "\n".join(message.content for message in history.transcript(slot)) for slot in slots}
    return max(slots, key=lambda slot: len(stems(source.text) & stems(said[slot])))


def _drops_history(source: Source, used: set[int], history: History | None) -> bool:
    earlier = sum(message.role == "user" for message in source.messages[:-1])
    if not earlier:
        return False
    known = set(history.slots()) if history else set()
    return len(known) != 1 or used != known


@frozen
class _Draft:
    """A fragment before its slot is known."""

    prompt: Excerpt = field(repr=False)
    context: tuple[tuple[int, int], ...]
    heading: str = field(default="", repr=False)
    joint: str = field(default=GLUE, repr=False)
    repeated_lines: int = 0


def _tasks(source: Source, division: Division, hosts: int, policy: ExposurePolicy, history: History | None) -> Plan:
    """A fragment for each group, or for each run of the text that its task is done on."""
    units, groups = division.units, division.groups
    listed = all(units[group.tasks[0]].item is not None for group in groups)
    drafts: list[_Draft] = []
    for number, group in enumerate(groups):
        heading = _heading([units[index] for index in group.tasks], listed=listed)
        if number in division.runs:
            drafts += _drafts_of_runs(division.runs[number], heading)
        else:
            prompt = source.excerpt([_range(units[i]) for i in (*group.tasks, *group.background)], source.last)
            drafts.append(_Draft(prompt, tuple(_range(units[index]) for index in sorted(group.background)), heading))
    slots = _slots(source, [draft.prompt.text for draft in drafts], hosts)
    cut = "; ".join(f"a task of {shards.why}" for shards in division.runs.values())
    made = Plan("tasks", policy, (), "list" if listed else "paragraphs", source.system(), 0.0, why_shards=cut)
    return _filled(made, source, drafts, slots, hosts, history)


def _shards(source: Source, shards: Shards, hosts: int, policy: ExposurePolicy, history: History | None) -> Plan:
    """A fragment for each run, dealt out in turn: the runs are of one size."""
    drafts = _drafts_of_runs(shards)
    slots = [ordinal % hosts for ordinal in range(len(drafts))]
    made = Plan("shards", policy, (), shards.structure, source.system(), 0.0, why_shards=shards.why)
    return _filled(made, source, drafts, slots, hosts, history)


def _drafts_of_runs(shards: Shards, heading: str = "") -> list[_Draft]:
    return [
        _Draft(
            prompt=run.prompt,
            context=shards.shared,
            heading=_bold(run.titles) or ("" if ordinal else heading),
            joint=run.joint if ordinal else GLUE,
            repeated_lines=shards.header_lines if ordinal else 0,
        )
        for ordinal, run in enumerate(shards.runs)
    ]


def _filled(
    made: Plan, source: Source, drafts: Sequence[_Draft], slots: Sequence[int], hosts: int, history: History | None
) -> Plan:
    """The plan with its fragments, and what follows from them."""
    _want_hosts(hosts, len(drafts))
    fragments = tuple(
        Fragment(
            ordinal=ordinal,
            slot=slots[ordinal],
            prompt=draft.prompt,
            context=tuple(Piece(source.last, start, end) for start, end in draft.context),
            share=source.share([draft.prompt.text]),
            heading=draft.heading,
            joint=draft.joint,
            repeated_lines=draft.repeated_lines,
        )
        for ordinal, draft in enumerate(drafts)
    )
    return evolve(
        made,
        fragments=fragments,
        largest_share=_largest(source, fragments, hosts, made.policy),
        history_dropped=_drops_history(source, set(slots), history),
    )


def _want_hosts(hosts: int, parts: int) -> None:
    if hosts == 1:
        raise PlanRefused(
            f"the request has {parts} parts for different hosts and one host is there: wait for another, use the"
            " exposure policy 'open', or answer on a local engine"
        )


def _largest(source: Source, fragments: Sequence[Fragment], hosts: int, policy: ExposurePolicy) -> float:
    """The share of the slot that gets most; raises `PlanRefused` where `strict` forbids it."""
    texts: dict[int, list[str]] = {}
    for fragment in fragments:
        texts.setdefault(fragment.slot, []).append(fragment.prompt.text)
    largest = max(source.share(held) for held in texts.values())
    if policy.level is Level.STRICT and largest > policy.max_share:
        raise PlanRefused(
            f"one host would get {largest:.0%} of the request over {min(hosts, len(fragments))} hosts, and the"
            f" exposure policy 'strict' allows {policy.max_share:.0%}: wait for more hosts, ask for the parts"
            " separately, raise max_share, or answer on a local engine"
        )
    return largest


def _range(unit: Unit) -> tuple[int, int]:
    return unit.start, unit.end


def _slots(source: Source, texts: Sequence[str], hosts: int) -> list[int]:
    """A slot each where the hosts suffice, else so that the fullest slot gets least, largest fragments first."""
    if hosts >= len(texts):
        return list(range(len(texts)))
    slots = [0] * len(texts)
    held: list[list[str]] = [[] for _ in range(hosts)]
    for ordinal in sorted(range(len(texts)), key=lambda i: (-source.share([texts[i]]), i)):
        slot = min(range(hosts), key=lambda s: (source.share([*held[s], texts[ordinal]]), s))
        held[slot].append(texts[ordinal])
        slots[ordinal] = slot
    return slots


def _heading(tasks: Sequence[Unit], *, listed: bool) -> str:
    """The numbers and words of its items, or the title that its tasks stand under."""
    if not listed:
        return tasks[0].heading
    lines = []
    for task in tasks:
        marker = task.marker if re.search(r"\w", task.marker) else ""
        lines.append(" ".join(part for part in (marker, _shortened(task.text)) if part))
    return _bold(lines)


def _shortened(text: str) -> str:
    first_line = " ".join(text.split("\n", 1)[0].split())
    return textwrap.shorten(first_line, MAX_HEADING, placeholder=" …").strip("*_")


def _bold(lines: Sequence[str]) -> str:
    return "\n".join(f"**{line}**" for line in lines if line)
