"""Exposure: which prompts are split, how much one host sees, and whether the answers come together again.

Every prompt of the labelled corpus is asked of a real client whose hosts are scripted (`scripted_hosts`). A host
answers what it can see of the corpus' parts, each with its number, so that the merged answer shows whether every part
was answered once, by a host that had all of it, in order. Shares are computed from what the engines got.
"""

import re
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field

from benchmarks.exposure_prompts import Prompt, read_prompts
from benchmarks.report import Figure
from benchmarks.scripted_hosts import scripted_client
from peernet.client.client import Client
from peernet.client.events import Answered, Event
from peernet.client.fragment import Attempt
from peernet.core.errors import UserError
from privacy._forms import has_word
from privacy.detection import Detector
from privacy.exposure import share
from privacy.planning import ChatMessage
from privacy.pseudonyms import HostView

__all__ = ["Seen", "answer_of", "figures", "measure"]

HOSTS: Final = 8
AT_ONCE: Final = 4
"""How many prompts are asked at a time."""
SPLIT_TARGET: Final = 0.95
WHOLE_TARGET: Final = 0.95
MERGE_TARGET: Final = 0.95
MEDIAN_TARGET: Final = 0.4
LARGEST_TARGET: Final = 0.6

_NUMBER: Final = re.compile(r"⟦(\d+)⟧")
_asked: ContextVar["Seen"] = ContextVar("asked")


@define
class Seen:
    """What became of one prompt, and what each host's engine got of it."""

    prompt: Prompt
    sent: dict[str, list[str]] = field(factory=dict, repr=False)
    """By host: its own earlier turns, too, and without system messages."""
    fragments: int = 0
    view: HostView | None = field(default=None, repr=False)
    """One of the hosts' views, as long as the conversation lasts."""
    answered: Answered | None = field(default=None, repr=False)
    refused: str = ""
    """Why nothing was sent."""
    identities_in_clear: int = 0
    """Of those that were detected, summed over the hosts."""
    tokens_sent: int = 0
    tokens_whole: int = 0
    """Of the masked prompt, as one host would have got it."""

    @property
    def split(self) -> bool:
        """Whether more than one host was asked."""
        return len(self.sent) > 1

    def largest_share(self, hosts: int = 1) -> float:
        """The share of words that so many hosts got at most, together; 0 where nothing was sent."""
        groups = combinations(self.sent.values(), min(hosts, len(self.sent)))
        return max((share(self.prompt.text, [text for held in group for text in held]) for group in groups), default=0)

    def planted_in_clear(self) -> int:
        """How many of the planted identifiers some host got in clear, which the detector had not found."""
        texts = [text for held in self.sent.values() for text in held]
        return sum(any(has_word(text.casefold(), name.casefold()) for text in texts) for name in self.prompt.names)

    def merged_rightly(self) -> bool:
        """Whether each part has one answer, in order, and a text that comes back is the one that was sent."""
        if self.answered is None or any(report.failure for report in self.answered.fragments):
            return False
        text = self.answered.text
        in_order = [int(number) for number in _NUMBER.findall(text)] == list(range(1, len(self.prompt.parts) + 1))
        document = self.prompt.document
        if in_order and self.prompt.merge == "text" and document is not None:
            # A name comes back in its fullest form, which may be written in other letters.
            return _NUMBER.sub("", text).strip().casefold() == document.text.strip().casefold()
        return in_order


def answer_of(prompt: Prompt, masked: str, mapping: Mapping[str, str]) -> str:
    """What a scripted host writes that got `masked`: each part that it sees whole, with its number.

    A text comes back as it was sent, placeholders and all; of a list and of summaries there is a line a part.
    """
    clear, places = _restored(masked, mapping)
    seen: list[tuple[int, int, int]] = []
    for number, part in enumerate(prompt.parts, start=1):
        found = [re.search(re.escape(words), clear, re.IGNORECASE) for words in part]
        if found[0] is not None and all(found):
            seen.append((number, *found[0].span()))
    if prompt.merge != "text" or prompt.document is None:
        mark = "- " if prompt.merge == "list" else ""
        return "\n".join(f"{mark}⟦{number}⟧ answered" for number, _, _ in seen) or "Nothing."
    document = prompt.document
    records = [f"⟦{number}⟧{masked[places[start] : places[end]]}" for number, start, end in seen]
    header = document.before if document.before and document.before.strip() in clear else ""
    return header + document.join.join(records)


def _restored(masked: str, mapping: Mapping[str, str]) -> tuple[str, list[int]]:
    """The original of a masked text, and where each of its characters, and its end, stands in the masked one."""
    if not mapping:
        return masked, list(range(len(masked) + 1))
    known = re.compile("|".join(re.escape(name) for name in sorted(mapping, key=len, reverse=True)))
    clear, place = "", 0
    places: list[int] = []
    for match in known.finditer(masked):
        clear += masked[place : match.start()] + mapping[match.group()]
        places += [*range(place, match.start()), *[match.start()] * len(mapping[match.group()])]
        place = match.end()
    return clear + masked[place:], [*places, *range(place, len(masked) + 1)]


def _script(attempt: Attempt) -> str:
    seen = _asked.get()
    turns = [turn.content for turn in attempt.turns if turn.role != "system"]
    seen.sent.setdefault(attempt.host.peer, []).extend(turns)
    seen.fragments += 1
    seen.view = attempt.view
    return answer_of(seen.prompt, attempt.text_sent, attempt.view.mapping())


async def _ask(client: Client, seen: Seen, limiter: trio.CapacityLimiter) -> None:
    prompt, tokenizer = seen.prompt, client._model.tokenizer  # noqa: SLF001  (no reader needs it in public)
    history = [ChatMessage("assistant" if number % 2 else "user", text) for number, text in enumerate(prompt.before)]
    _asked.set(seen)
    async with limiter, client.conversation(history=history) as session:
        try:
            seen.answered = await session.ask(prompt.text, _ignore)
        except UserError as error:
            seen.refused = type(error).__name__
            return
        seen.identities_in_clear = sum(host.identities_seen for host in seen.answered.exposure.hosts)
        seen.tokens_sent = sum(tokenizer.count_text(report.text_sent) for report in seen.answered.fragments)
        if seen.view is not None:
            mentions = await trio.to_thread.run_sync(client.detector.detect, prompt.text)
            seen.tokens_whole = tokenizer.count_text(seen.view.mask(prompt.text, mentions).text)
    seen.view = None


def _ignore(event: Event) -> None:
    """Nobody watches."""


def measure(prompts: Sequence[Prompt], detector: Detector, hosts: int = HOSTS) -> list[Seen]:
    """What became of each prompt, in their order."""
    found = [Seen(prompt) for prompt in prompts]

    async def main(client: Client) -> None:
        limiter = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for seen in found:
                nursery.start_soon(_ask, client, seen, limiter)

    with (
        tempfile.TemporaryDirectory() as folder,
        scripted_client(hosts, _script, detector, Path(folder)) as client,
    ):
        trio.run(main, client)
    return found


def figures() -> Iterator[Figure]:
    """The figures of the whole corpus: the worked-on and the held-back part, and both."""
    found = measure(read_prompts(), Detector.load())
    for name, part in (
        ("all", found),
        ("worked_on", [seen for seen in found if not seen.prompt.held_back]),
        ("held_back", [seen for seen in found if seen.prompt.held_back]),
    ):
        yield from _decisions(name, part)
    yield from _shares(found)
    yield from _colluding(found)


def _decisions(name: str, found: Sequence[Seen]) -> Iterator[Figure]:
    divisible = [seen for seen in found if seen.prompt.divisible]
    others = [seen for seen in found if not seen.prompt.divisible]
    split = [seen for seen in divisible if seen.split]
    wrong = [seen for seen in split if not seen.merged_rightly()]
    rows = (
        ("split", SPLIT_TARGET, divisible, [seen for seen in divisible if not seen.split]),
        ("kept_whole", WHOLE_TARGET, others, [seen for seen in others if seen.split]),
        ("merged_rightly", MERGE_TARGET, split, wrong),
    )
    for what, target, of, missed in rows:
        yield Figure(
            f"exposure.{name}.{what}",
            1 - len(missed) / len(of),
            "share",
            "the labels of the corpus",
            None,
            target=target,
            smaller_is_better=False,
            conditions={
                "prompts": len(of),
                "missed": [seen.prompt.id for seen in missed] if name == "worked_on" else len(missed),
                "refused": sum(bool(seen.refused) for seen in of),
                "hosts": HOSTS,
            },
        )


def _shares(found: Sequence[Seen]) -> Iterator[Figure]:
    divisible = [seen for seen in found if seen.prompt.divisible and seen.sent]
    told = [seen.answered.exposure.largest_share for seen in divisible if seen.answered]
    conditions: dict[str, Any] = {
        "fragments": sum(seen.fragments for seen in divisible),
        "over_target": [
            seen.prompt.id for seen in divisible if seen.largest_share() > LARGEST_TARGET and not seen.prompt.held_back
        ],
        "over_target_held_back": sum(
            seen.largest_share() > LARGEST_TARGET for seen in divisible if seen.prompt.held_back
        ),
        "furthest_from_the_receipt": round(
            max(abs(s.largest_share() - t) for s, t in zip(divisible, told, strict=True)), 4
        ),
    }
    can_be_less = [seen for seen in divisible if seen.prompt.least_share <= LARGEST_TARGET]
    for what, of, target in (
        ("median", divisible, MEDIAN_TARGET),
        ("largest", divisible, LARGEST_TARGET),
        ("largest_of_split", [seen for seen in divisible if seen.split], LARGEST_TARGET),
        ("largest_where_parts_allow", can_be_less, LARGEST_TARGET),
        ("largest_of_split_where_parts_allow", [seen for seen in can_be_less if seen.split], LARGEST_TARGET),
    ):
        shares = [seen.largest_share() for seen in of]
        value = statistics.median(shares) if what == "median" else max(shares)
        over = sum(share > LARGEST_TARGET for share in shares)
        counted = {"prompts": len(of), "over_largest_target": over}
        yield _figure(
            f"share.{what}", value, "share of words", "all words of the prompt", target, conditions | counted
        )
    named = [seen for seen in found if seen.prompt.names and seen.sent]
    planted = sum(len(seen.prompt.names) for seen in named)
    yield _figure(
        "identities_in_clear",
        sum(seen.identities_in_clear for seen in found),
        "identities",
        "what the detector found",
        0,
        {
            "prompts_with_planted_identifiers": len(named),
            "planted": planted,
            "planted_and_not_detected": sum(seen.planted_in_clear() for seen in named),
        },
    )
    ratios = [seen.tokens_sent / seen.tokens_whole for seen in divisible if seen.split]
    yield _figure(
        "tokens_sent",
        sum(seen.tokens_sent for seen in divisible) / sum(seen.tokens_whole for seen in divisible),
        "ratio",
        "tokens of the masked prompt",
        None,
        {"median": round(statistics.median(ratios), 3), "largest": round(max(ratios), 3)},
    )


def _colluding(found: Sequence[Seen]) -> Iterator[Figure]:
    """What hosts that tell each other everything see at most, by how many they are."""
    split = [seen for seen in found if seen.prompt.divisible and seen.split]
    for hosts in range(1, max(len(seen.sent) for seen in split) + 1):
        shares = [seen.largest_share(hosts) for seen in split]
        yield _figure(
            f"colluding.{hosts}",
            statistics.median(shares),
            "share of words, median",
            "all words of the prompt",
            None,
            {"largest": round(max(shares), 4), "prompts_with_more_hosts": sum(len(s.sent) > hosts for s in split)},
        )


def _figure(
    name: str, value: float, unit: str, reference: str, target: float | None, conditions: dict[str, Any]
) -> Figure:
    return Figure(
        f"exposure.{name}", value, unit, reference, None, target=target, smaller_is_better=True, conditions=conditions
    )
