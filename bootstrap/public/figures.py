"""Figures of the network: what the directory lists now, and what the log took in the last day.

The log is read forward from where the last look ended, and its first look finds the day's beginning by bisection: its
times never go back. Amounts are kept by the minute. How many tokens were answered is in no leaf: a host's receipt says
it when it is settled, and the node adds that up in memory, by the minute and over all hosts, until it stops.
"""

import bisect
from collections.abc import Callable
from typing import Final, Protocol

import trio
from attrs import define, field, frozen

from peernet.core.directory import Directory
from peernet.core.ledger.entries import Entry, Settle, decode_entry
from peernet.core.ledger.tiles import TILE_WIDTH, Tile, decode_entry_bundle

__all__ = ["DAY_S", "Figures", "LogReading", "NetworkFigures", "NodeFigures", "TokenTally"]

DAY_S: Final = 24 * 3600
GRAIN_S: Final = 60
FRESH_S: Final = 10
"""How long figures are shown before they are looked up anew."""


@frozen
class Figures:
    """The network at a time."""

    at_s: int
    directory_at_s: int
    """When the directory was signed; 0 where there is none yet."""
    relays: int
    hosts: int
    models: tuple[str, ...]
    regions: tuple[str, ...]
    """As relays and hosts claim them."""
    entries: int
    """The log's size."""
    settlements: int
    """Lanes that were settled in the last day."""
    settled_microcredits: int
    tokens: int
    """Of prompts and answers, in lanes settled in the last day, since `tokens_since_s` at the earliest."""
    tokens_since_s: int


class NetworkFigures(Protocol):
    """Where the portal has its figures from."""

    async def current(self) -> Figures:
        """The newest, a few seconds old at most."""


class LogReading(Protocol):
    """What is needed of a log (`bootstrap.log.Log`)."""

    @property
    def size(self) -> int:
        """The number of entries."""

    def entry(self, index: int) -> Entry:
        """The entry at `index`."""

    def read(self, path: str) -> bytes:
        """The file of a log under `path`."""


@define
class TokenTally:
    """Tokens by the minute, of the last day."""

    since_s: int
    _minutes: dict[int, int] = field(factory=dict)

    def add(self, tokens: int, now_s: int) -> None:
        """Counts tokens of a receipt that was settled now."""
        minute = now_s // GRAIN_S
        self._minutes[minute] = self._minutes.get(minute, 0) + tokens
        if len(self._minutes) > DAY_S // GRAIN_S + 1:
            self._forget(now_s)

    def of_last_day(self, now_s: int) -> int:
        """How many there were."""
        self._forget(now_s)
        return sum(self._minutes.values())

    def _forget(self, now_s: int) -> None:
        first = (now_s - DAY_S) // GRAIN_S
        self._minutes = {minute: tokens for minute, tokens in self._minutes.items() if minute > first}


@define
class _Day:
    """Settlements by the minute of the log's time, and how far the log has been read."""

    read_to: int | None = None
    minutes: dict[int, tuple[int, int]] = field(factory=dict)

    def catch_up(self, log: LogReading, now_s: int) -> None:
        """Reads what is new."""
        size, begin_s = log.size, now_s - DAY_S
        if self.read_to is None:
            self.read_to = bisect.bisect_right(range(size), begin_s, key=lambda index: log.entry(index).at_s)
        for index in range(self.read_to - self.read_to % TILE_WIDTH, size, TILE_WIDTH):
            width = min(TILE_WIDTH, size - index)
            bundle = decode_entry_bundle(log.read(Tile(None, index // TILE_WIDTH, width).path()), width)
            for leaf in bundle[max(0, self.read_to - index) :]:
                self._take(decode_entry(leaf))
        self.read_to = size
        self.minutes = {at_s: taken for at_s, taken in self.minutes.items() if at_s > begin_s}

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Settle):
            lanes, amount = self.minutes.get(entry.at_s, (0, 0))
            self.minutes[entry.at_s] = (lanes + 1, amount + entry.amount_microcredits)


class NodeFigures:
    """Figures from a node's own directory and log.

    Args:
        directory: gives the newest.
        log: the node's own.
        tokens: what its service counts.
        now_s: whole seconds of the Unix epoch.
    """

    def __init__(
        self, directory: Callable[[], Directory], log: LogReading, tokens: TokenTally, now_s: Callable[[], int]
    ) -> None:
        self._directory = directory
        self._log = log
        self._tokens = tokens
        self._now_s = now_s
        self._day = _Day()
        self._lock = trio.Lock()
        self._newest: Figures | None = None

    async def current(self) -> Figures:
        async with self._lock:
            now_s = self._now_s()
            if self._newest is None or not 0 <= now_s - self._newest.at_s < FRESH_S:
                await trio.to_thread.run_sync(self._day.catch_up, self._log, now_s)
                self._newest = self._look(now_s)
            return self._newest

    def _look(self, now_s: int) -> Figures:
        directory, day = self._directory(), self._day
        alive = [listing for listing in directory.listings if listing.vouched and listing.holds(now_s)]
        hosts = [listing for listing in alive if listing.offers]
        relays = [listing for listing in alive if "relay" in listing.record.roles]
        return Figures(
            at_s=now_s,
            directory_at_s=directory.issued_at_s,
            relays=len(relays),
            hosts=len(hosts),
            models=tuple(sorted({offer.model for listing in hosts for offer in listing.offers})),
            regions=tuple(sorted({listing.record.region for listing in (*hosts, *relays)} - {""})),
            entries=day.read_to or 0,
            settlements=sum(lanes for lanes, _ in day.minutes.values()),
            settled_microcredits=sum(amount for _, amount in day.minutes.values()),
            tokens=self._tokens.of_last_day(now_s),
            tokens_since_s=self._tokens.since_s,
        )
