"""Trying hosts: this node asks each a question now and then, as any client would, and keeps how long it took.

Rules:

1. Whose turn it is: hosts that are registered, not out, and answered a ping lately. The next turn of each is drawn at
   random from half the interval to one and a half, a new host's first one from its first minutes; so nobody can tell
   when it comes, and a node that was away does not ask all at once. At most `MAX_A_ROUND` have theirs in one round.
2. A turn is one question for one of the models that the host offers and this node can count, drawn at random. The next
   turn is written down before the question leaves: whatever happens, none is asked twice in a row.
3. What is kept is an hour's sums, by host and model. What was no host's doing is counted for the network alone, and
   says nothing of the host.
4. Nothing follows by itself: no strike, no rank, no listing (`speeds` says what is shown).

The questions are in `questions`; who asks is `network.HostTrier`. An inspection that reads answers would have the same
turns, and needs another place to keep what it finds: there is none yet.
"""

import random
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.hosts.figures import UP_WITHIN_S
from peernet.core.host_trials import ANSWERED, FAILURES, HostTrial

__all__ = ["LONG_TOKENS", "MAX_A_ROUND", "SHORT_TOKENS", "Draws", "DueHost", "record_trial", "take_turns"]

MAX_A_ROUND: Final = 20
FIRST_WITHIN_S: Final = 600
"""A host that was never asked has its first turn at a random moment of this time."""
HOUR_S: Final = 3600
SHORT_TOKENS: Final = 64
"""A prompt of at most so many is short."""
LONG_TOKENS: Final = 128
"""A prompt of at least so many is long."""

_KEPT: Final = (
    "tries", "answers", *FAILURES, "prompt_tokens", "answer_tokens", "first_tokens", "first_token_us", "later_tokens",
    "later_us", "short_prompts", "short_tokens", "short_us", "long_prompts", "long_tokens", "long_us",
    "price_microcredits",
)  # fmt: skip
"""Sums of a host's hour."""
_LONGEST: Final = ("slowest_first_us", "longest_gap_us")
_NETWORK: Final = (
    "tries", "answers", "not_tried", "first_tokens", "first_token_us", "later_tokens", "later_us",
    "price_microcredits",
)  # fmt: skip


class Draws(Protocol):
    """What of `random.Random` is used here."""

    def uniform(self, a: float, b: float) -> float:
        """A number from `a` to `b`."""
        ...


@frozen
class DueHost:
    """A host whose turn it is."""

    host_id: str
    peer_key: bytes
    models: Sequence[str]
    """Those that it offers."""


def take_turns(transaction: Transaction, now_s: int, every_s: int, draws: Draws | None = None) -> list[DueHost]:
    """The hosts whose turn it is, each with its next turn written down."""
    draws = draws or random.SystemRandom()
    rows = transaction.rows(
        "SELECT host.id, peer_key, due_at_s FROM host LEFT JOIN host_trial_due ON host_id = host.id"
        " WHERE state = 'active' AND retired_at_s IS NULL AND answered_at_s > :up AND coalesce(due_at_s, 0) <= :now"
        " ORDER BY due_at_s, host.id LIMIT :most",
        up=now_s - UP_WITHIN_S,
        now=now_s,
        most=MAX_A_ROUND,
    )
    found = []
    for host_id, peer_key, due_at_s in rows:
        if due_at_s is None:
            wait_s = draws.uniform(0, min(FIRST_WITHIN_S, every_s))
        else:
            wait_s = draws.uniform(every_s / 2, every_s * 3 / 2)
            models = transaction.rows(
                "SELECT name FROM host_model WHERE host_id = :host AND source = 'offered' ORDER BY name", host=host_id
            )
            found.append(DueHost(host_id, bytes(peer_key), [name for (name,) in models]))
        transaction.execute(
            "INSERT INTO host_trial_due (host_id, due_at_s) VALUES (:host, :due)"
            " ON CONFLICT (host_id) DO UPDATE SET due_at_s = excluded.due_at_s",
            host=host_id,
            due=now_s + max(1, round(wait_s)),
        )
    return found


def record_trial(transaction: Transaction, host_id: str, model: str, trial: HostTrial, now_s: int) -> None:
    """Keeps what came of one question."""
    hour = now_s // HOUR_S * HOUR_S
    sums = _sums_of(trial)
    if trial.tried:
        _add(transaction, "host_trial", {"host_id": host_id, "model": model, "hour_at_s": hour}, sums, _KEPT, _LONGEST)
    _add(transaction, "network_trial", {"hour_at_s": hour, "model": model}, sums, _NETWORK, ())


def _sums_of(trial: HostTrial) -> dict[str, int]:
    first_us = 0 if trial.first_token_s is None else max(1, _us(trial.first_token_s))
    came = int(trial.first_token_s is not None)
    short = came * int(trial.prompt_tokens <= SHORT_TOKENS)
    long = came * int(trial.prompt_tokens >= LONG_TOKENS)
    return {
        "tries": int(trial.tried),
        "not_tried": int(not trial.tried),
        "answers": int(trial.outcome == ANSWERED),
        **{word: int(trial.outcome == word) for word in FAILURES},
        "prompt_tokens": trial.prompt_tokens,
        "answer_tokens": trial.answer_tokens,
        "first_tokens": came,
        "first_token_us": first_us,
        "slowest_first_us": first_us,
        "later_tokens": trial.later_tokens,
        "later_us": _us(trial.later_s),
        "longest_gap_us": _us(trial.longest_gap_s),
        "short_prompts": short,
        "short_tokens": short * trial.prompt_tokens,
        "short_us": short * first_us,
        "long_prompts": long,
        "long_tokens": long * trial.prompt_tokens,
        "long_us": long * first_us,
        "price_microcredits": trial.price_microcredits,
    }


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _add(
    transaction: Transaction,
    table: str,
    key: dict[str, str | int],
    sums: dict[str, int],
    summed: Sequence[str],
    longest: Sequence[str],
) -> None:
    """Adds to a row, which may be new."""
    columns = [*key, *summed, *longest]
    changes = [f"{name} = {table}.{name} + excluded.{name}" for name in summed]
    changes += [
        f"{name} = CASE WHEN excluded.{name} > {table}.{name} THEN excluded.{name} ELSE {table}.{name} END"
        for name in longest
    ]
    # What is put together here are names of our own.
    transaction.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"  # noqa: S608
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(changes)}",
        **key,
        **{name: sums[name] for name in (*summed, *longest)},
    )
