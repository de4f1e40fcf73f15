"""Live lookups: asking the DHT over a ring, made by the relay at its end.

A ring that is joined for `LOOKUP_SERVICE` leads through a guard to a relay. The client asks on it; the relay searches
the DHT and hands back signed records as they are. So the guard knows who asks and not what, the relay what and not
who. Rules:

1. A question is `FindPeers` (the records of the peers closest to a DHT id) or `FindHosts` (records and offers of the
   hosts of a model). The answer is `Found`, of at most `MAX_FOUND` records, or `Declined`.
2. The client believes nothing that is not signed: every record is opened, must still hold, and must be of a kind
   that was asked for (`open_found`). What a relay leaves out, nobody can tell.
3. A relay answers `MAX_QUESTIONS` on a ring and no more.
"""

from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from peernet.core.dht.contact import ID_SIZE
from peernet.core.dht.records import MAX_NAME_LENGTH, MAX_RECORD_SIZE, Body, HostOffer, PeerRecord, open_record
from peernet.core.errors import RemoteProtocolError
from peernet.core.suite import CipherSuite
from peernet.core.wire import MessageSet

__all__ = [
    "LOOKUP_SERVICE",
    "MAX_FOUND",
    "MAX_QUESTIONS",
    "Declined",
    "FindHosts",
    "FindPeers",
    "Found",
    "LookupMessages",
    "open_found",
]

LOOKUP_SERVICE: Final = "lookup"
MAX_FOUND: Final = 40
"""Records in an answer: 40 KB at most, so that a window of cells is enough for it."""
MAX_QUESTIONS: Final = 8


def _is_id(_: object, __: object, value: bytes) -> None:
    if len(value) != ID_SIZE:
        raise ValueError(f"an id of {len(value)} bytes instead of {ID_SIZE}")


def _is_name(_: object, __: object, value: str) -> None:
    if not 0 < len(value) <= MAX_NAME_LENGTH:
        raise ValueError(f"a name has 1 to {MAX_NAME_LENGTH} characters")


def _are_records(_: object, __: object, value: tuple[bytes, ...]) -> None:
    if len(value) > MAX_FOUND or any(len(record) > MAX_RECORD_SIZE for record in value):
        raise ValueError("more than an answer may hold")


@frozen
class FindPeers:
    """Which peers are closest to this DHT id, and where are they?"""

    target: bytes = field(validator=_is_id)


@frozen
class FindHosts:
    """Who serves this model, where and on which terms?"""

    model: str = field(validator=_is_name)


@frozen
class Found:
    """Signed peer records, and offers where hosts were asked for."""

    records: tuple[bytes, ...] = field(validator=_are_records, repr=False)


@frozen
class Declined:
    """The relay makes no lookup now: it has as many to make as it bears."""


LookupMessages: Final = MessageSet({1: FindPeers, 2: FindHosts, 3: Found, 4: Declined})


def open_found(
    question: FindPeers | FindHosts, records: Iterable[bytes], now_s: float, suite: CipherSuite
) -> dict[bytes, Body]:
    """The records of an answer that are in order and fit the question, opened; the others are passed over."""
    opened: dict[bytes, Body] = {}
    for signed in records:
        try:
            body = open_record(signed, now_s, suite)
        except RemoteProtocolError:
            continue
        if isinstance(body, PeerRecord) or (
            isinstance(body, HostOffer) and isinstance(question, FindHosts) and body.model == question.model
        ):
            opened[signed] = body
    return opened
