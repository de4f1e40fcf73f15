"""Hosts of one request and their circuit relays: who comes in for whom, what the receipt says, and who moves where."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from inference.scripted import ScriptedEngine
from peernet.client.fragment import AttemptFailed, Outcome
from peernet.client.network import CONFLICTING, NetworkView
from peernet.client.receipt import carried_together
from peernet.core.directory import Directory
from peernet.core.ring.paths import PathPeer, RingPath, apart_first
from peernet.net.rings import RingFailed
from peernet.node.config import NetworkConfig
from privacy.planning import Level
from tests.exchange_in_memory import fund_here, hosts_of
from tests.unit.test_request import BOOTSTRAP, World, dies_once, listing, whole, world

__all__ = ["world"]

TOGETHER = "Two hosts of this request are reached through one circuit relay"
BESIDE = "A relay of one part of this request is in one hand with a circuit relay of another part's host"


def ends(found: World, ordinal: int) -> list[PathPeer]:
    return [attempt.path.endpoint for attempt in found.attempts(ordinal)]


@pytest.mark.parametrize("seed", range(24))
async def test_a_standby_shares_no_circuit_relay_with_the_other_fragments_host_where_there_are_others(
    world: Callable[..., World], seed: int
):
    found = world(dies_once("Dear Maria,"), behind=[(100,), (100,), (100,), ()], seed=seed)
    await found.request.run()
    (_, standby), (other,) = ends(found, 0), ends(found, 1)
    free = {host.peer for host in found.network.hosts_of("scripted", bytes(32), ["log"])}
    free -= {found.attempts(0)[0].host.peer, other.peer}
    alone = [peer for peer in free if not found.network._path_peer(found.network._listing(peer)).carriers]
    if alone or not other.carriers:
        assert not standby.is_carried_beside(other)


@pytest.mark.parametrize(("behind", "together"), [([(100,)] * 4, True), ([(100,), (101,), (102,), (103,)], False)])
async def test_where_hosts_share_a_circuit_relay_the_plan_and_the_receipt_say_it(
    world: Callable[..., World], behind: Sequence[Sequence[int]], together: bool
):
    found = world(lambda _, attempt, outcome: whole(attempt, outcome), behind=behind)
    answered = await found.request.run()
    (planned,) = found.of(type(found.events[0]))
    for notices in (planned.notices, answered.exposure.notices):
        assert any(notice.startswith(TOGETHER) for notice in notices) is together
        assert not any(notice.startswith(BESIDE) for notice in notices)


def test_one_host_with_two_fragments_shares_with_nobody():
    carrier = PathPeer("carrier", b"carrier", frozenset())
    hosts = [PathPeer(name, name.encode(), frozenset(), (carrier,)) for name in ("one", "other")]
    attempts: list[Any] = [
        SimpleNamespace(fragment=number, path=RingPath((), (), host)) for number, host in enumerate([hosts[0]] * 2)
    ]
    assert carried_together(attempts) == ()
    attempts[1].path = RingPath((), (), hosts[1])
    (notice,) = carried_together(attempts)
    assert notice.startswith(TOGETHER)


def moves_beside(found: World) -> None:
    """The first fragment's host is now behind a middle of the other's, which a lookup has just found out."""
    (attempt,) = found.attempts(0)
    middle = found.request._runs[1].attempt.path.out[1].peer
    relays = range(100, 112)
    (number,) = [relay for relay in relays if str(listing(relay, "relay").peer) == middle]
    hosts = range(10, 14)
    (moved,) = [host for host in hosts if str(listing(host, "host").peer) == attempt.host.peer]
    at = listing(moved, "host", flags=("prefix",), behind=(number,))
    listings = [at if each.peer == at.peer else each for each in found.network.directory.listings]
    found.network.directory = Directory(1, tuple(listings))


@pytest.mark.parametrize("hosts", [4, 2])
async def test_a_host_that_moved_beside_another_fragment_is_asked_again_only_where_there_is_no_other(
    world: Callable[..., World], hosts: int
):
    def script(found: World, attempt: Any, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0 and len(found.attempts(0)) == 1:
            moves_beside(found)
            raise AttemptFailed("it has moved", peer=None)
        whole(attempt, outcome)

    found = world(script, hosts=(("prefix",),) * hosts, level=Level.STRICT)
    answered = await found.request.run()
    first, second = ends(found, 0)
    assert (first.peer == second.peer) is (hosts == 2)
    assert any(notice.startswith(BESIDE) for notice in answered.exposure.notices) is (hosts == 2)


# --- a host that is not where it was ---------------------------------------------------------------------------------


class Moving(NetworkView):
    """Its first ring is not built, since the host is not there; a lookup then finds it elsewhere."""

    def __init__(self, folder: Path, behind: Sequence[int]) -> None:
        super().__init__(NetworkConfig(test=True, bootstrap=(BOOTSTRAP,)), folder / "guards.json", clock=lambda: 1)
        self.behind = behind
        self.built: list[PathPeer] = []
        self.directory = Directory(1, (*(listing(n, "relay") for n in range(100, 108)), listing(1, "host")))

    def path(self, *apart: int) -> RingPath:
        guard, out, back, host = (self._path_peer(listing(n, "relay")) for n in (100, 101, 102, 1))
        others = tuple(self._path_peer(listing(n, "relay")) for n in apart)
        return RingPath((guard, out), (guard, back), host, others)

    async def _build(self, path: RingPath, service: str, timeout_s: float) -> Any:
        self.built.append(self._path_peer(self._listing(path.endpoint.peer)))
        if len(self.built) == 1:
            raise RingFailed("not there", reason="unreachable", hop=1)
        return "a ring"

    async def _look_up(self, *_: object) -> None:
        moved = listing(1, "host", behind=self.behind)
        moved = evolve(moved, record=evolve(moved.record, sequence=2))
        self.directory = Directory(1, (*(listing(n, "relay") for n in range(100, 108)), moved))


@pytest.mark.parametrize("behind", [(100,), (101,), (102,), (103, 102), (105,)])
async def test_a_host_that_is_now_behind_a_relay_of_its_ring_or_of_another_is_not_met_there(
    tmp_path: Path, behind: Sequence[int]
):
    view = Moving(tmp_path, behind)
    with pytest.raises(RingFailed, match="has moved to where others of the request are") as raised:
        await view.open_ring(view.path(105), "infer")
    assert raised.value.reason == CONFLICTING
    assert len(view.built) == 1
    assert view.troubles.counters[f"not_built:{CONFLICTING}"] == 1


async def test_a_host_that_has_moved_elsewhere_is_met_there(tmp_path: Path):
    view = Moving(tmp_path, (103,))
    assert await view.open_ring(view.path(105), "infer") == "a ring"
    assert [end.carriers for end in view.built] == [(), (view._path_peer(listing(103, "relay")),)]


async def test_what_was_weighed_when_the_path_was_chosen_is_not_weighed_again(tmp_path: Path):
    """The host was in the other's network before, too: a move within it breaks no request."""
    view = Moving(tmp_path, (105,))
    path = view.path(105)
    near = evolve(path.endpoint, operator=path.apart[0].operator)
    assert await view.open_ring(evolve(path, endpoint=near), "infer") == "a ring"


async def test_a_newer_directory_is_heeded_before_the_first_try(tmp_path: Path):
    view = Moving(tmp_path, (102,))
    path = view.path()
    await view._look_up()
    with pytest.raises(RingFailed, match="has moved"):
        await view.open_ring(path, "infer")
    assert view.built == []


async def test_nobody_is_blamed_for_a_host_that_moved_there(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
):
    fund_here(monkeypatch)
    async with hosts_of(ScriptedEngine()) as (client, (host,)):

        async def moved(*_: object) -> None:
            raise RingFailed("it has moved", reason=CONFLICTING)

        monkeypatch.setattr(host, "ring", moved)
        with pytest.raises(AttemptFailed) as raised:
            await client.ask(host)
        failure = raised.value
        assert (failure.peer, failure.suspects, failure.final) == (None, frozenset(), False)
        assert failure.trouble == ("request", CONFLICTING, frozenset())
        assert client.standings._standings[host.choice.peer].errors.at(trio.current_time()) == 0.0


def test_of_many_those_apart_come_first_and_the_others_keep_their_order():
    def peer(name: str) -> PathPeer:
        return PathPeer(name, name[0].encode(), frozenset())

    names = ["a1", "a2", "b1", "a3", "b2", "c1"]
    assert apart_first(names, [], 2, peer) == ["a1", "b1", "a2", "a3", "b2", "c1"]
    assert apart_first(names, [peer("b9")], 3, peer) == ["a1", "c1", "a2", "b1", "a3", "b2"]
    assert apart_first(names, [], 0, peer) == names
