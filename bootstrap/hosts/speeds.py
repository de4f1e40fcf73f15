"""How fast hosts serve, from the trials (`trials`): for their operators, for this node's operators, and for everybody.

What a node can honestly tell from outside is throughput, and not which hardware is behind it. Rules:

1. A mean is of sums, as in `figures`. Of few trials there is none: `MIN_TRIALS`.
2. Prompt tokens a second come from two lengths of prompts: what more tokens took longer. Where that is too little to
   tell, since the network's own delays are larger, there is no such figure.
3. Where what is declared and what is measured hardly go together, that is a doubt: a sentence to read, for a person to
   ask about. It says what else may be why. Nothing follows from it by itself, and it is no strike.
"""

from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen

from bootstrap.database import Transaction

__all__ = [
    "MIN_TRIALS",
    "Speed",
    "TrialCosts",
    "doubts_of",
    "network_speeds",
    "speed_of_days",
    "speeds_of_account",
    "speeds_of_models",
    "sum_of_speeds",
    "trial_costs",
]

MIN_TRIALS: Final = 3
"""Fewer make no speed: one may have met another's request, or a pause."""
MIN_DOUBTED: Final = 5
"""Answers that must be there before anybody is made to doubt."""
SLOW_PER_S: Final = 1.0
"""Answer tokens a second: any processor of these years is faster with models that it can hold."""
MIN_LONGER_US: Final = 20_000
"""By how much a long prompt's first token must come later than a short one's: less drowns in the ring's own times."""
MAX_MODELS: Final = 100

_SUMS: Final = (
    "tries", "answers", "timed_out", "refused", "cut_off", "unreached", "prompt_tokens", "answer_tokens",
    "first_tokens", "first_token_us", "later_tokens", "later_us", "short_prompts", "short_tokens", "short_us",
    "long_prompts", "long_tokens", "long_us", "price_microcredits",
)  # fmt: skip
_LONGEST: Final = ("slowest_first_us", "longest_gap_us")
_COLUMNS: Final = ", ".join([*(f"sum({name})" for name in _SUMS), *(f"max({name})" for name in _LONGEST)])

GPU_DOUBT: Final = (
    "The host says that it has a graphics processor, and its answers come at less than {speed:g} token a second, "
    "which is slower than a processor alone usually is. Other work on the machine, a slow line, an engine that does "
    "not use it, or a model that does not fit into it can be why."
)
DIGEST_DOUBT: Final = (
    "The weights of {model} that were declared are others than those in the host's offers. A model that was renewed "
    "since can be why: registering the host again declares what it has now."
)


@frozen
class Speed:
    """Sums over trials; what is None cannot be said."""

    tries: int = 0
    answers: int = 0
    timed_out: int = 0
    refused: int = 0
    cut_off: int = 0
    unreached: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first_tokens: int = 0
    first_token_us: int = 0
    later_tokens: int = 0
    later_us: int = 0
    short_prompts: int = 0
    short_tokens: int = 0
    short_us: int = 0
    long_prompts: int = 0
    long_tokens: int = 0
    long_us: int = 0
    price_microcredits: int = 0
    slowest_first_us: int = 0
    longest_gap_us: int = 0

    @property
    def failure_rate(self) -> float | None:
        """The share of questions that were not answered whole, 0 to 1."""
        return (self.tries - self.answers) / self.tries if self.tries else None

    @property
    def first_token_ms(self) -> float | None:
        """The mean time until an answer's first piece, the ring's way included."""
        return self.first_token_us / self.first_tokens / 1000 if self.first_tokens else None

    @property
    def inter_token_ms(self) -> float | None:
        """The mean time between two tokens."""
        return self.later_us / self.later_tokens / 1000 if self.later_tokens else None

    @property
    def slowest_first_ms(self) -> float | None:
        """The longest time until a first piece."""
        return self.slowest_first_us / 1000 if self.first_tokens else None

    @property
    def longest_gap_ms(self) -> float | None:
        """The longest time between two pieces of an answer."""
        return self.longest_gap_us / 1000 if self.first_tokens else None

    @property
    def answer_tokens_per_s(self) -> float | None:
        """How fast an answer is written."""
        if self.answers < MIN_TRIALS or not self.later_us:
            return None
        return self.later_tokens / self.later_us * 1e6

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """How fast a prompt is read; see rule 2."""
        if min(self.short_prompts, self.long_prompts) < MIN_TRIALS:
            return None
        longer_us = self.long_us / self.long_prompts - self.short_us / self.short_prompts
        if longer_us < MIN_LONGER_US:
            return None
        return (self.long_tokens / self.long_prompts - self.short_tokens / self.short_prompts) / longer_us * 1e6


@frozen
class TrialCosts:
    """What the trials of this node came to."""

    tries: int
    failures: int
    not_tried: int
    """Questions of which nothing follows about a host."""
    price_microcredits: int


def speeds_of_account(transaction: Transaction, account_id: str, since_s: int) -> dict[str, Speed]:
    """Of each of an operator's hosts, by host."""
    rows = transaction.rows(
        f"SELECT host_id, {_COLUMNS} FROM host_trial"  # noqa: S608  (columns of our own)
        " WHERE host_id IN (SELECT id FROM host WHERE account_id = :account) AND hour_at_s >= :since GROUP BY host_id",
        account=account_id,
        since=since_s,
    )
    return {host_id: _speed(values) for host_id, *values in rows}


def speeds_of_models(transaction: Transaction, host_id: str, since_s: int) -> list[tuple[str, Speed]]:
    """Of each model that a host was asked for."""
    rows = transaction.rows(
        f"SELECT model, {_COLUMNS} FROM host_trial WHERE host_id = :id AND hour_at_s >= :since"  # noqa: S608
        " GROUP BY model ORDER BY model LIMIT :most",
        id=host_id,
        since=since_s,
        most=MAX_MODELS,
    )
    return [(model, _speed(values)) for model, *values in rows]


def speed_of_days(transaction: Transaction, host_id: str, since_s: int) -> dict[int, Speed]:
    """Of each day, counted from 1970, on which a host was asked."""
    rows = transaction.rows(
        f"SELECT hour_at_s / 86400, {_COLUMNS} FROM host_trial"  # noqa: S608
        " WHERE host_id = :id AND hour_at_s >= :since GROUP BY hour_at_s / 86400",
        id=host_id,
        since=since_s,
    )
    return {day: _speed(values) for day, *values in rows}


def network_speeds(transaction: Transaction, since_s: int) -> dict[str, Speed]:
    """Of all hosts together, by model."""
    rows = transaction.rows(
        "SELECT model, sum(tries), sum(answers), sum(first_tokens), sum(first_token_us), sum(later_tokens),"
        " sum(later_us) FROM network_trial WHERE hour_at_s >= :since GROUP BY model ORDER BY model LIMIT :most",
        since=since_s,
        most=MAX_MODELS,
    )
    names = ("tries", "answers", "first_tokens", "first_token_us", "later_tokens", "later_us")
    return {
        model: Speed(**{name: int(value) for name, value in zip(names, values, strict=True)})
        for model, *values in rows
    }


def trial_costs(transaction: Transaction, since_s: int) -> TrialCosts:
    """Of all hosts, since then."""
    row = transaction.row(
        "SELECT coalesce(sum(tries), 0), coalesce(sum(tries - answers), 0), coalesce(sum(not_tried), 0),"
        " coalesce(sum(price_microcredits), 0) FROM network_trial WHERE hour_at_s >= :since",
        since=since_s,
    )
    assert row is not None
    return TrialCosts(*(int(value) for value in row))


def sum_of_speeds(parts: Sequence[Speed]) -> Speed:
    """Of several models, hosts or days."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
    longest = {name: max((getattr(part, name) for part in parts), default=0) for name in _LONGEST}
    return Speed(**sums, **longest)


def doubts_of(gpus: str, models: Sequence[tuple[str, str, str, int]], total: Speed) -> list[str]:
    """Where what is declared and what is measured hardly go together; see rule 3.

    Args:
        gpus: as declared, one a line.
        models: name, source and digest of each (`figures.HostDetails`).
        total: over all models and the time that is shown.
    """
    doubts = []
    speed = total.answer_tokens_per_s
    if gpus.strip() and total.answers >= MIN_DOUBTED and speed is not None and speed < SLOW_PER_S:
        doubts.append(GPU_DOUBT.format(speed=SLOW_PER_S))
    known = [(name, source, digest) for name, source, digest, _ in models if digest.strip("0")]
    offered = {name: digest for name, source, digest in known if source == "offered"}
    doubts += [
        DIGEST_DOUBT.format(model=name)
        for name, source, digest in known
        if source == "declared" and offered.get(name, digest) != digest
    ]
    return doubts


def _speed(values: Sequence[Any]) -> Speed:
    return Speed(**{name: int(value or 0) for name, value in zip((*_SUMS, *_LONGEST), values, strict=True)})
