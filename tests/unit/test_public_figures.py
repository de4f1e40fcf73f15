"""Figures of the network: the last day of a log, read once, and what the directory lists."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from bootstrap.log import Log
from bootstrap.public.figures import DAY_S, NodeFigures, TokenTally
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.ledger.entries import Settle
from tests.ledger_nodes import nodes_in
from tests.portal_site import SITE_NOW_S, lane_requests

NAMES = ("alder.example", "birch.example", "cedar.example", "elder.example")


class CountedLog:
    """A log, and what was read of it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.bundles: list[str] = []

    @property
    def size(self) -> int:
        return self.log.size

    def entry(self, index: int):
        return self.log.entry(index)

    def read(self, path: str) -> bytes:
        self.bundles.append(path)
        return self.log.read(path)


@pytest.fixture
def log(tmp_path: Path):
    with ExitStack() as stack:
        nodes, _ = nodes_in(tmp_path, stack, NAMES)  # type: ignore[arg-type]
        yield CountedLog(nodes[0].new_log())


class Clock:
    def __init__(self) -> None:
        self.now_s = SITE_NOW_S

    def __call__(self) -> int:
        return self.now_s


def listing(key: int, roles: tuple[str, ...], region: str, models: tuple[str, ...] = (), *, expires_at_s=None):
    expires_at_s = expires_at_s or SITE_NOW_S + 99_999
    public = bytes([key]) * 32
    record = PeerRecord(public, 1, 1, expires_at_s, (), b"o" * 32, b"p" * 32, b"s" * 64, roles, region)
    offers = tuple(
        HostOffer(public, 1, 1, expires_at_s, model, b"d", b"t", "q", 1, 1, 1, 1, region, (), b"p" * 32, ())
        for model in models
    )
    return Listing(record, b"", offers)


NO_DIRECTORY = Directory(0, ())


def figures_of(log, clock, directory: Directory = NO_DIRECTORY) -> NodeFigures:
    return NodeFigures(lambda: directory, log, TokenTally(SITE_NOW_S), clock)


def settled(log: CountedLog, start: int) -> tuple[int, int]:
    entries = [log.entry(index) for index in range(start, log.size)]
    amounts = [entry.amount_microcredits for entry in entries if isinstance(entry, Settle)]
    return len(amounts), sum(amounts)


async def test_the_last_day_is_counted_and_nothing_before_it(log: CountedLog):
    submissions = list(lane_requests(400))
    log.log.append(submissions[:520], SITE_NOW_S - DAY_S - 60)
    before = log.size
    log.log.append(submissions[520:], SITE_NOW_S - 3600)
    figures = await figures_of(log, Clock()).current()
    assert (figures.settlements, figures.settled_microcredits) == settled(log, before)
    assert figures.entries == log.size
    # What is older than a day was not even read: only the bundles from there on.
    assert before == 520
    assert log.bundles == [f"tile/entries/002.p/{log.size - 512}"]


async def test_what_comes_later_is_added_and_what_is_a_day_old_leaves(log: CountedLog):
    submissions = list(lane_requests(30))
    log.log.append(submissions[:20], SITE_NOW_S - 60)
    clock = Clock()
    node = figures_of(log, clock)
    first = await node.current()
    middle = log.size
    log.log.append(submissions[20:], SITE_NOW_S + 3600)
    clock.now_s = SITE_NOW_S + 3600
    both = await node.current()
    assert first.settlements < both.settlements == settled(log, 0)[0]
    clock.now_s = SITE_NOW_S + DAY_S
    assert (await node.current()).settlements == settled(log, middle)[0]


async def test_figures_are_looked_up_once_in_some_seconds(log: CountedLog):
    clock = Clock()
    node = figures_of(log, clock)
    log.log.append(list(lane_requests(3)), SITE_NOW_S - 60)
    first = await node.current()
    log.log.append(list(lane_requests(9)), SITE_NOW_S - 60)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(node.current)
    assert await node.current() is first
    clock.now_s += 10
    assert (await node.current()).entries == log.size > first.entries


async def test_an_empty_log_has_a_quiet_day(log: CountedLog):
    figures = await figures_of(log, Clock()).current()
    assert (figures.entries, figures.settlements, figures.tokens, figures.directory_at_s) == (0, 0, 0, 0)


async def test_the_directory_is_counted_by_what_peers_do(log: CountedLog):
    directory = Directory(
        SITE_NOW_S - 30,
        (
            listing(1, ("relay",), "eu-north"),
            listing(2, ("relay", "host"), "us-east", ("llama", "qwen")),
            listing(3, ("host",), "", ("llama",)),
            listing(4, ("relay",), "ap-south", expires_at_s=SITE_NOW_S - 1),
            listing(5, ("bootstrap",), "sa-east"),
        ),
    )
    figures = await figures_of(log, Clock(), directory).current()
    assert (figures.relays, figures.hosts) == (2, 2)
    assert figures.models == ("llama", "qwen")
    assert figures.regions == ("eu-north", "us-east")
    assert figures.directory_at_s == SITE_NOW_S - 30


def test_tokens_are_forgotten_after_a_day():
    tally = TokenTally(SITE_NOW_S)
    tally.add(100, SITE_NOW_S)
    tally.add(20, SITE_NOW_S + 59)
    tally.add(3, SITE_NOW_S + DAY_S // 2)
    assert tally.of_last_day(SITE_NOW_S + DAY_S // 2) == 123
    assert tally.of_last_day(SITE_NOW_S + DAY_S + 60) == 3
    for minute in range(3000):
        tally.add(1, SITE_NOW_S + 60 * minute)
    assert len(tally._minutes) <= 1442
