"""P4: nobody but the client knows both who asks and what; no relay but a guard has two fragments of a request.

What each member saw is taken from its own sockets, cells and engine; who stood where, from the directory. The client
has some arcs ready, and builds the others for the request.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
from attrs import frozen

import peernet.client.arcs as arcs_module
from bootstrap.store import LedgerStore
from peernet.client.events import Answered, Event, Planned
from peernet.core.identity import PeerId
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.entries import Entry, decode_entry
from peernet.core.ring.arc import Arc
from peernet.core.ring.cells import CellType
from peernet.core.ring.paths import PathPeer, RingPath, TooFewRelays, choose_paths
from peernet.core.ring.warm import Way, fit_ways
from peernet.node.config import ClientConfig
from tests.policy.whole_network import CLIENT, POLL_S, READY_TIMEOUT_S, Seen, detector, running_network

pytestmark = pytest.mark.swarm

WARM_WAYS = 4
PROMPT = """\
1. Write a short thank-you note to Maria Kowalska for the harvest festival in October.
2. Ask Maria Kowalska in one line whether she likes mushrooms, chestnuts and barley.
3. Explain to a child why leaves turn brown every autumn, and why pine needles stay green.
"""


@frozen
class Run:
    """One request of three fragments."""

    answered: Answered
    seen: dict[str, Seen]
    member: dict[str, str]
    """The name of each peer id."""
    client_address: str
    client: PeerId
    entries: tuple[Entry, ...]
    leaves: tuple[bytes, ...]
    ready_used: int
    """How many arcs of the request were ready before it."""
    joins: tuple[int, ...]
    """How many rings each of the client's arcs was joined to."""
    kept: frozenset[str]
    """The names of the client's guards, of which the request may have used one alone."""
    planned: tuple[RingPath, RingPath]
    """The rings of two further requests, one planned right after the other, with ways ready for both."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    finder = detector()

    async def ask(monkeypatch: pytest.MonkeyPatch) -> Run:
        folder = tmp_path_factory.mktemp("network")
        joins = _count_joins(monkeypatch)
        monkeypatch.setattr(arcs_module, "REFILL_PAUSE_S", (0.0, 0.1))
        async with (
            running_network(folder, monkeypatch) as network,
            network.client(finder, warm_ways=WARM_WAYS) as client,
        ):
            async with client.conversation() as session:
                answered = await session.ask(PROMPT, lambda _: None)
            ready_used = client.network.troubles.counters["warm:used"]
            with trio.fail_after(READY_TIMEOUT_S):
                # Ways whose arcs are spent are none, though they may still be listed for a moment.
                while sum(bool(ready.arcs) for ready in client.network._arcs._ready) < WARM_WAYS:  # noqa: ASYNC110
                    await trio.sleep(POLL_S)
            planned = tuple(client.network.plan_rings(client.hosts()[:1], "private")[0] for _ in range(2))
            leaves = [leaf for path in folder.rglob("ledger.sqlite") for leaf in leaves_of(path)]
            member = {
                str(item.peer): network.name_at(item.record.addresses[0]) for item in client.network.directory.listings
            }
            return Run(
                answered,
                network.seen,
                member,
                network.client_address,
                client.network.swarm.peer_id,
                tuple(map(decode_entry, leaves)),
                tuple(leaves),
                ready_used,
                tuple(joins.values()),
                frozenset(member[peer] for peer in client.network._guards.known()),
                cast("tuple[RingPath, RingPath]", planned),
            )

    with pytest.MonkeyPatch.context() as monkeypatch:
        yield trio.run(ask, monkeypatch)


def _count_joins(monkeypatch: pytest.MonkeyPatch) -> Counter[Arc]:
    """To how many rings each arc of this process is joined, by its owner."""
    joins: Counter[Arc] = Counter()
    send = Arc.send

    def counted(arc: Arc, kind: CellType, body: bytes) -> None:
        joins[arc] += kind is CellType.JOIN
        send(arc, kind, body)

    monkeypatch.setattr(Arc, "send", counted)
    return joins


def leaves_of(path: Path) -> list[bytes]:
    with LedgerStore(path) as store:
        note = store.checkpoint()
        assert note is not None
        return store.entries(0, read_unverified(note).size)


def guards(run: Run) -> set[str]:
    return {run.member[arc[0]] for fragment in run.answered.fragments for arc in (fragment.out, fragment.back)}


def test_only_guards_and_who_gave_the_directory_have_met_the_client(run: Run) -> None:
    met = {name for name, seen in run.seen.items() if run.client_address in seen.neighbours}
    assert guards(run) <= met & run.kept
    assert len(run.kept) == 2
    assert {name for name in met if not name.startswith("bootstrap")} == run.kept


def test_those_who_have_met_the_client_have_no_text(run: Run) -> None:
    texts = [text for seen in run.seen.values() for text in seen.engine if text]
    assert len(texts) >= 3
    for name, seen in run.seen.items():
        if run.client_address in seen.neighbours:
            assert not seen.engine
            assert not any(text in seen for text in texts), name


def test_no_relay_but_a_guard_has_two_fragments(run: Run) -> None:
    middles = Counter(
        run.member[peer] for fragment in run.answered.fragments for peer in {*fragment.out[1:], *fragment.back[1:]}
    )
    assert len(middles) == 6
    assert set(middles.values()) == {1}
    assert not set(middles) & run.kept
    # The rings went where the client says, and nowhere else.
    carried = {name for name, seen in run.seen.items() if seen.cells and name.startswith("relay")}
    assert carried == {*middles, *run.kept}


def test_arcs_that_were_ready_are_lent_to_one_request_and_used_once(run: Run) -> None:
    assert run.ready_used == 2 * WARM_WAYS
    assert set(run.joins) == {1}
    first, second = run.planned
    assert not {first.out[1], first.back[1]} & {second.out[1], second.back[1]}


def test_ways_that_are_ready_stand_on_no_two_fragments() -> None:
    chance = random.Random(4)
    relays = [_stranger(f"relay {number}") for number in range(8)]
    guards, middles = relays[:2], relays[2:]
    hosts = [_stranger(f"host {number}") for number in range(3)]
    for _ in range(50):
        ways: list[Way] = [(chance.choice(guards), middle) for middle in chance.sample(middles, 3)]
        fitted = fit_ways(choose_paths(relays, guards, hosts, "private", chance), ways)
        assert fitted.taken
        placed = [arc[1] for path in fitted.paths for arc in (path.out, path.back)]
        assert len(set(placed)) == 2 * len(hosts)


def _stranger(name: str) -> PathPeer:
    """A peer that has nothing in common with another one."""
    return PathPeer(name, name.encode(), frozenset({name}))


def test_two_hosts_cannot_match_their_placeholders(run: Run) -> None:
    names = [
        set(re.findall(r"\b[A-Z]+_[A-Z]\d+\b", " ".join(seen.engine)))
        for name, seen in run.seen.items()
        if name.startswith("host")
    ]
    # Maria Kowalska is in two fragments.
    assert len([found for found in names if any(name.startswith("PERSON") for name in found)]) == 2
    assert len(set().union(*names)) == sum(map(len, names))


def test_the_ledger_ties_nothing_to_a_peer_or_to_another_fragment(run: Run) -> None:
    peers = [run.client, *map(PeerId.parse, run.member)]
    for leaf in run.leaves:
        assert not any(peer.public_key in leaf for peer in peers)
    lanes = Counter(entry.lane_key for entry in run.entries)
    assert len(lanes) == 3
    # A grant and its settlement, and no field that another lane has too but amounts, times and payout keys.
    assert set(lanes.values()) == {2}
    assert len({entry.commitment for entry in run.entries}) == len(run.entries)


def test_no_member_was_told_who_the_client_is(run: Run) -> None:
    """The client's key is under encryption even for its guards' neighbours, and no engine gets it."""
    key = run.client.public_key
    for name, seen in run.seen.items():
        if name != CLIENT:
            assert key not in bytes(seen.cells), name
            assert str(run.client) not in " ".join(seen.engine), name


@frozen
class Small:
    """The same request in a network that is too small for its profile."""

    refused: str
    texts_while_refused: int
    answered: Answered
    planned: Planned
    texts_when_planned: int


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    finder = detector()

    async def ask(monkeypatch: pytest.MonkeyPatch) -> Small:
        folder = tmp_path_factory.mktemp("small network")
        async with running_network(folder, monkeypatch, relays=3) as network:

            def texts() -> int:
                return sum(len(seen.engine) for seen in network.of("host").values())

            refused = "not refused"
            async with network.client(finder) as client, client.conversation() as session:
                try:
                    await session.ask(PROMPT, lambda _: None)
                except TooFewRelays as error:
                    refused = str(error)
            sent = texts()
            plans: list[tuple[Planned, int]] = []

            def take(event: Event) -> None:
                if isinstance(event, Planned):
                    plans.append((event, texts()))

            config = ClientConfig(profile_fallback=True)
            async with network.client(finder, config) as client, client.conversation() as session:
                answered = await session.ask(PROMPT, take)
            ((planned, texts_when_planned),) = plans
            return Small(refused, sent, answered, planned, texts_when_planned - sent)

    with pytest.MonkeyPatch.context() as monkeypatch:
        yield trio.run(ask, monkeypatch)


def test_a_weaker_profile_is_never_taken_unasked(small: Small) -> None:
    assert "profile 'private' needs 8 relays" in small.refused
    assert small.texts_while_refused == 0


def test_a_weaker_profile_is_told_of_before_anything_is_sent_and_in_the_receipt(small: Small) -> None:
    assert small.answered.complete
    assert small.texts_when_planned == 0
    assert (small.planned.profile, small.planned.profile_asked) == ("fast", "private")
    exposure = small.answered.exposure
    assert (exposure.profile, exposure.profile_asked) == ("fast", "private")
    for notices in (small.planned.notices, exposure.notices):
        assert any("weaker than the 'private' asked for" in notice for notice in notices)
    assert {relay.role for relay in exposure.relays} == {"guard"}
