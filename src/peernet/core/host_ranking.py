"""How a client judges hosts by what it has seen of them: how long it waits for one, and whom it asks first.

Rules (design section 5, "Failure"):

1. A deadline is learned from the host that it is for: `FACTOR` times the 95th percentile of what it took lately, as a
   retransmission timer goes by what a path took. It is never under a floor, which a pause of an engine or of a relay
   stays within, and never over what a host is given of whom nothing is known.
2. The time of a first token grows with the prompt, so it is compared with those of prompts as long, or is scaled up
   from shorter ones; never down from longer ones. Between tokens, what counts is the longest gap of each
   `GAPS_A_SAMPLE`.
   A single gap says nothing of a host that gives one word just before each deadline, so each `STRETCH_TOKENS` tokens
   together have a deadline too, learned in the same way. It goes by `STRETCH_FACTOR`, since an engine that gets more
   to do at once slows down by as much, and only what the host is waited for counts. So no answer takes longer than its
   first token's deadline and `STRETCH_DEFAULT_S` for each `STRETCH_TOKENS` of its tokens, the last ones included.
3. After a stall the deadlines of that host double, until it has answered whole: a host that was slow and not dead is
   not left for the same reason again and again.
4. Hosts are ranked by expected cost: how long the whole answer would take, which is the first token's recent 95th
   percentile, and for each further token a share of what `STRETCH_TOKENS` of them took together, likewise. Where a
   host is not known by one of the two, the median of those who are stands for it. An answer counts as long as it may
   become, up to `RANKED_TOKENS`, since few become as long as they may. A host costs more that is busy (with what we
   ask of it now, by its offered capacity, and by its own word lately), whose offer was issued long ago, or that made
   errors. Old news fades.
5. No rank is sure. Each place of the order goes to the cheaper of two hosts drawn at random from those left. So the
   clients of a network do not all run to one host; a host nobody knows is tried; and m of n hosts that look as good as
   a host can have the first place with 1 - (1 - m/n)^2, at most twice the chance that they had by number alone. The
   capacity that an offer claims counts up to `MAX_CAPACITY`.
6. What is kept is times, counts and host ids, of at most `MAX_HOSTS` hosts, in memory; never a word of a text.

Source: RFC 6298 for timers that learn and back off; Mitzenmacher, "The power of two choices in randomized load
balancing" (2001).
"""

import math
import statistics
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from attrs import Factory, define, frozen

from peernet.core.ring.paths import Random

__all__ = ["RANKED_TOKENS", "Candidate", "HostStandings", "first_token_default_s"]

FACTOR: Final = 4.0
QUANTILE: Final = 0.95
RECENT_S: Final = 3600.0
SAMPLES: Final = 32
GAPS_A_SAMPLE: Final = 16

FIRST_TOKEN_FLOOR_S: Final = 5.0
FIRST_TOKEN_DEFAULT_S: Final = 20.0
PROMPT_TOKEN_S: Final = 0.05
"""How much longer the first token of an unknown host may take, for each token of the prompt."""
FIRST_TOKEN_CEILING_S: Final = 120.0
NEXT_TOKEN_FLOOR_S: Final = 3.0
NEXT_TOKEN_DEFAULT_S: Final = 20.0
STRETCH_TOKENS: Final = 16
STRETCH_FACTOR: Final = 16.0
STRETCH_FLOOR_S: Final = 15.0
STRETCH_DEFAULT_S: Final = 80.0
"""Five seconds a token: slower than a busy processor makes of a model that is of any use."""
MAX_DOUBLINGS: Final = 5

TYPICAL_FIRST_TOKEN_S: Final = 1.0
TYPICAL_STRETCH_S: Final = 0.8
"""What is expected where nothing is known of any host: one that gives twenty tokens a second."""
RANKED_TOKENS: Final = 256
"""Of a longer answer, so many tokens count where hosts are ranked for it."""
ERROR_HALF_LIFE_S: Final = 600.0
BUSY_HALF_LIFE_S: Final = 30.0
DOUBT: Final = 2.0
"""Answers that a host is given the benefit of before its errors count in full."""
MAX_CAPACITY: Final = 8
MAX_HOSTS: Final = 1024

T = TypeVar("T")


def first_token_default_s(prompt_tokens: int) -> float:
    """How long a host may take for its first token of whom nothing is known, and any host at most."""
    return min(FIRST_TOKEN_CEILING_S, FIRST_TOKEN_DEFAULT_S + PROMPT_TOKEN_S * prompt_tokens)


@frozen
class Candidate:
    """A host that may be asked, as its offer has it."""

    host: str
    """Its peer id."""
    capacity: int
    """Requests at the same time, as it claims."""
    staleness: float
    """How much of its offer's lifetime is over, 0 to 1."""


@define
class _Fading:
    """A count that loses half of itself in each half-life."""

    half_life_s: float
    _count: float = 0.0
    _at_s: float = -math.inf

    def add(self, now_s: float) -> None:
        self._count, self._at_s = self.at(now_s) + 1.0, now_s

    def at(self, now_s: float) -> float:
        if not self._count:
            return 0.0
        return float(self._count * 0.5 ** (max(0.0, now_s - self._at_s) / self.half_life_s))


@frozen
class _FirstToken:
    at_s: float
    prompt_tokens: int
    took_s: float


@define
class _Standing:
    """What one host did lately."""

    firsts: deque[_FirstToken] = Factory(lambda: deque(maxlen=SAMPLES))
    gaps: deque[tuple[float, float]] = Factory(lambda: deque(maxlen=SAMPLES))
    """When, and how long."""
    gap_s: float = 0.0
    """The longest of the sample that is being taken."""
    gaps_in_sample: int = 0
    stretches: deque[tuple[float, float]] = Factory(lambda: deque(maxlen=SAMPLES))
    """When, and how long `STRETCH_TOKENS` tokens took."""
    doublings: int = 0
    running: int = 0
    answers: _Fading = Factory(lambda: _Fading(ERROR_HALF_LIFE_S))
    errors: _Fading = Factory(lambda: _Fading(ERROR_HALF_LIFE_S))
    refusals: _Fading = Factory(lambda: _Fading(BUSY_HALF_LIFE_S))

    def first_token_p95_s(self, now_s: float, prompt_tokens: int = 0) -> float | None:
        return _p95(
            [
                first.took_s * max(1.0, prompt_tokens / max(1, first.prompt_tokens))
                for first in self.firsts
                if now_s - first.at_s <= RECENT_S
            ]
        )

    def gap_p95_s(self, now_s: float) -> float | None:
        samples = [took_s for at_s, took_s in self.gaps if now_s - at_s <= RECENT_S]
        return _p95(samples if not samples else [*samples, self.gap_s])

    def stretch_p95_s(self, now_s: float) -> float | None:
        return _p95([took_s for at_s, took_s in self.stretches if now_s - at_s <= RECENT_S])

    def backed_off(self, learned_s: float, factor: float = FACTOR) -> float:
        return float(factor * learned_s * 2**self.doublings)


class HostStandings:
    """What a client has seen of hosts, by their peer ids. Times are of one clock that does not go back."""

    def __init__(self) -> None:
        self._standings: OrderedDict[str, _Standing] = OrderedDict()

    # --- deadlines ---------------------------------------------------------------------------------------------------

    def first_token_deadline_s(self, host: str, prompt_tokens: int, now_s: float) -> float:
        """How long to wait for the first token of a prompt of so many."""
        default_s = first_token_default_s(prompt_tokens)
        standing = self._standings.get(host)
        learned_s = None if standing is None else standing.first_token_p95_s(now_s, prompt_tokens)
        if standing is None or learned_s is None:
            return default_s
        return min(default_s, max(FIRST_TOKEN_FLOOR_S, standing.backed_off(learned_s)))

    def next_token_deadline_s(self, host: str, now_s: float) -> float:
        """How long to wait for the next token, or piece of an answer."""
        standing = self._standings.get(host)
        learned_s = None if standing is None else standing.gap_p95_s(now_s)
        if standing is None or learned_s is None:
            return NEXT_TOKEN_DEFAULT_S
        return min(NEXT_TOKEN_DEFAULT_S, max(NEXT_TOKEN_FLOOR_S, standing.backed_off(learned_s)))

    def stretch_deadline_s(self, host: str, now_s: float) -> float:
        """How long to wait, all in all, for each `STRETCH_TOKENS` tokens behind the first one."""
        standing = self._standings.get(host)
        learned_s = None if standing is None else standing.stretch_p95_s(now_s)
        if standing is None or learned_s is None:
            return STRETCH_DEFAULT_S
        return min(STRETCH_DEFAULT_S, max(STRETCH_FLOOR_S, standing.backed_off(learned_s, STRETCH_FACTOR)))

    # --- what was seen -----------------------------------------------------------------------------------------------

    def begun(self, host: str) -> None:
        """An attempt at `host` begins."""
        self._of(host).running += 1

    def ended(self, host: str) -> None:
        """An attempt at `host` is over, however it went."""
        standing = self._of(host)
        standing.running = max(0, standing.running - 1)

    def first_token(self, host: str, prompt_tokens: int, took_s: float, now_s: float) -> None:
        """The first token of a prompt came after `took_s`."""
        self._of(host).firsts.append(_FirstToken(now_s, prompt_tokens, took_s))

    def next_token(self, host: str, took_s: float, now_s: float) -> None:
        """A further piece came `took_s` after the one before."""
        standing = self._of(host)
        standing.gap_s = max(standing.gap_s, took_s)
        standing.gaps_in_sample += 1
        if standing.gaps_in_sample >= GAPS_A_SAMPLE:
            _take_sample(standing, now_s)

    def stretch(self, host: str, tokens: int, waited_s: float, now_s: float) -> None:
        """The last `tokens` took `waited_s` of waiting for them together."""
        self._of(host).stretches.append((now_s, waited_s * STRETCH_TOKENS / tokens))

    def answered(self, host: str, now_s: float) -> None:
        """An answer of `host` is whole."""
        standing = self._of(host)
        standing.doublings = 0
        standing.answers.add(now_s)
        if standing.gaps_in_sample:
            _take_sample(standing, now_s)

    def stalled(self, host: str, now_s: float) -> None:
        """`host` said nothing, or too little, until its deadline; counts as an error too."""
        standing = self._of(host)
        standing.doublings = min(MAX_DOUBLINGS, standing.doublings + 1)
        standing.errors.add(now_s)

    def failed(self, host: str, now_s: float) -> None:
        """`host` broke the protocol, ended in mid-answer, was not there, or its engine failed."""
        self._of(host).errors.add(now_s)

    def busy(self, host: str, now_s: float) -> None:
        """`host` refused since it has no place free: no error, and a sign of load."""
        self._of(host).refusals.add(now_s)

    # --- whom to ask first -------------------------------------------------------------------------------------------

    def order(
        self,
        hosts: Sequence[T],
        candidate_of: Callable[[T], Candidate],
        random: Random,
        now_s: float,
        answer_tokens: int = RANKED_TOKENS,
    ) -> list[T]:
        """All of `hosts`, in an order to ask them in: good ones rather early, and none of them for sure.

        `answer_tokens` is how long the answer may become.
        """
        candidates = [candidate_of(host) for host in hosts]
        seen = [standing for each in candidates if (standing := self._standings.get(each.host)) is not None]
        firsts = [each.first_token_p95_s(now_s) for each in seen]
        stretches = [each.stretch_p95_s(now_s) for each in seen]
        typical = _median(firsts, TYPICAL_FIRST_TOKEN_S), _median(stretches, TYPICAL_STRETCH_S)
        left = [
            (self._cost(each, typical, answer_tokens, now_s), host)
            for each, host in zip(candidates, hosts, strict=True)
        ]
        ordered = []
        while left:
            places = range(len(left))
            place = min((random.choice(places), random.choice(places)), key=lambda drawn: left[drawn][0])
            ordered.append(left[place][1])
            left[place] = left[-1]
            left.pop()
        return ordered

    def _cost(self, candidate: Candidate, typical: tuple[float, float], answer_tokens: int, now_s: float) -> float:
        """In seconds, of which only the order counts.

        `typical` is what a first token takes, and a stretch of `STRETCH_TOKENS`, where this host is not known by it.
        """
        standing = self._standings.get(candidate.host) or _Standing()
        first_s, stretch_s = standing.first_token_p95_s(now_s), standing.stretch_p95_s(now_s)
        first_s, stretch_s = (
            usual_s if own_s is None else own_s for own_s, usual_s in zip((first_s, stretch_s), typical, strict=True)
        )
        further_tokens = max(0, min(answer_tokens, RANKED_TOKENS) - 1)
        answer_s = first_s + stretch_s * further_tokens / STRETCH_TOKENS
        capacity = min(max(1, candidate.capacity), MAX_CAPACITY)
        load = standing.running / capacity + standing.refusals.at(now_s)
        errors = standing.errors.at(now_s)
        answered = (standing.answers.at(now_s) + DOUBT) / (standing.answers.at(now_s) + errors + DOUBT)
        stale = min(1.0, max(0.0, candidate.staleness))
        return answer_s * (1.0 + load) * (1.0 + stale) / answered

    def _of(self, host: str) -> _Standing:
        standing = self._standings.setdefault(host, _Standing())
        self._standings.move_to_end(host)
        if len(self._standings) > MAX_HOSTS:
            self._standings.popitem(last=False)
        return standing


def _take_sample(standing: _Standing, now_s: float) -> None:
    standing.gaps.append((now_s, standing.gap_s))
    standing.gap_s, standing.gaps_in_sample = 0.0, 0


def _p95(values: Sequence[float]) -> float | None:
    """The nearest-rank 95th percentile; the largest of a few."""
    return sorted(values)[math.ceil(QUANTILE * len(values)) - 1] if values else None


def _median(values: Sequence[float | None], otherwise: float) -> float:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else otherwise
