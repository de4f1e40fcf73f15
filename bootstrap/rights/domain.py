"""What a part of the service says of the data that it keeps about a person: how it is exported, erased and locked.

Rules:

1. `export` gives all of it, in words that the person can read: nothing of other people, no secrets (hashes, tokens).
   Times are whole seconds of the epoch (`*_at_s`), amounts integers. It holds dictionaries, lists, texts, whole
   numbers, truth and None, and fits `schema`.
2. `erase` removes whatever says who the person is. What stays hangs on the account's random id alone.
3. `locked` is what stays because a law wants it. It is kept for that, and used for nothing else.
4. `pending` is what the person should know before: hosts that will go, earnings that are not paid. What `blocks`
   makes the service wait with the erasure until it is over (a payout that the provider has in hand).
5. All run in the transaction of the caller, in the order of `rights.domains.DOMAINS`; `erase` may run twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from bootstrap.database import Transaction

__all__ = ["Domain", "Locked", "Pending"]


@frozen
class Locked:
    """What is kept after a deletion."""

    what: str
    """Such as `12 invoices`: for the person to read."""
    why: str
    """The law, in a sentence."""
    until_s: int | None
    """When it goes; None where that is when the person can claim nothing more, which `why` says."""


@frozen
class Pending:
    """What a deletion would cut off, or waits for."""

    what: str
    """A sentence for the person."""
    blocks: bool = False
    """Whether the erasure waits for its end."""


def nothing_locked(_: Transaction, __: str) -> Sequence[Locked]:
    """For a domain of which no law wants anything."""
    return ()


def nothing_pending(_: Transaction, __: str) -> Sequence[Pending]:
    """For a domain in which nothing is under way."""
    return ()


@frozen
class Domain:
    """One part of the service that keeps data about people. Functions take the transaction and the account's id."""

    name: str
    """The key in the export: `people`, `money`, `hosts`."""
    title: str
    """The heading in the readable page."""
    tables: frozenset[str]
    """All tables whose rows hang on an account, which this domain exports or erases."""
    schema: Mapping[str, Any]
    """The JSON Schema of what `export` returns (an object; draft 2020-12, without references)."""
    export: Callable[[Transaction, str], Mapping[str, Any]]
    erase: Callable[[Transaction, str, int], None]
    """With the time as third."""
    locked: Callable[[Transaction, str], Sequence[Locked]] = nothing_locked
    pending: Callable[[Transaction, str], Sequence[Pending]] = nothing_pending
