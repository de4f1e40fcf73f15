"""Relays, hosts and clients that misbehave, among real commands: the user gets the answer, or one clear error.

Each fault is noticed, and counted where somebody can read it; who may have done it is avoided for that request, and
not after it. All peers run in one process, each with its own loopback address, its sockets real.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import pytest
import trio
from attrs import frozen

import peernet.client.fragment as fragment_module
from peernet.client.client import Client
from peernet.client.events import Answered
from peernet.core import host_ranking, serving
from peernet.net.rings import RingService
from tests.hostile_peers import FLOOD_CELLS, Deed, Deeds, make_hostile
from tests.policy.whole_network import WholeNetwork, _member, detector, running_network
from tests.swarm.scripted_peer import Script
from tests.swarm.support import in_background

pytestmark = [pytest.mark.swarm]

ANSWER: Final = " ".join(f"word{number}" for number in range(40))
PROMPT: Final = "Tell me something long."
ANSWERED_WITHIN_S: Final = 15.0
SILENCE_S: Final = 1.0
"""How long a host may be silent here. On loopback a piece of an answer takes some milliseconds."""

T = TypeVar("T")


@frozen
class Stage:
    """A network that runs in a thread of its own, and a client of it."""

    network: WholeNetwork
    client: Client
    deeds: Deeds
    services: dict[str, RingService]
    """The ring services of all members, by name."""
    token: trio.lowlevel.TrioToken

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does something in that thread, in bounded time."""

        async def bounded() -> T:
            with trio.fail_after(2 * ANSWERED_WITHIN_S):
                return await work()

        return trio.from_thread.run(bounded, trio_token=self.token)

    def ask(self, deed: Deed | None = None) -> Answered:
        """What is answered while somebody does `deed`."""

        async def work() -> Answered:
            with trio.fail_after(ANSWERED_WITHIN_S):
                async with self.client.conversation() as session:
                    return await session.ask(PROMPT, lambda _: None)

        self.deeds.waiting = None
        if deed is not None:
            self.deeds.arm(deed)
        answered = self.run(work)
        assert deed is None or self.deeds.doers, f"nobody came to {deed}"
        self.deeds.waiting = None
        return answered

    def counts(self) -> dict[str, int]:
        """What the client has counted, but for its arcs that were ready."""
        return {kind: n for kind, n in self.client.network.troubles.counters.items() if not kind.startswith("warm:")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    finder = detector()

    @asynccontextmanager
    async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
        deeds, services = Deeds(), {}
        make_hostile(monkeypatch, _member.get, deeds)
        begin = RingService.__init__

        def noted(service: RingService, *arguments: object, **options: object) -> None:
            services[_member.get()] = service
            begin(service, *arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(RingService, "__init__", noted)
        monkeypatch.setattr(host_ranking, "FIRST_TOKEN_FLOOR_S", 3.0)
        monkeypatch.setattr(host_ranking, "FIRST_TOKEN_DEFAULT_S", 3.0)
        monkeypatch.setattr(host_ranking, "NEXT_TOKEN_FLOOR_S", SILENCE_S)
        monkeypatch.setattr(host_ranking, "NEXT_TOKEN_DEFAULT_S", SILENCE_S)
        monkeypatch.setattr(fragment_module, "RECEIPT_TIMEOUT_S", SILENCE_S)
        folder = tmp_path_factory.mktemp("network")
        script = Script(answers={PROMPT: ANSWER}, seconds_per_token=0.002)
        async with (
            running_network(folder, monkeypatch, script) as network,
            network.client(finder, warm_ways=2) as client,
        ):
            yield Stage(network, client, deeds, services, trio.lowlevel.current_trio_token())

    with pytest.MonkeyPatch.context() as monkeypatch, in_background(opened(monkeypatch)) as made:
        yield made


def test_nothing_is_counted_where_nobody_misbehaves(stage: Stage) -> None:
    before = stage.counts()
    answered = stage.ask()
    assert (answered.complete, answered.text) == (True, ANSWER)
    assert stage.counts() == before


@pytest.mark.parametrize(
    "deed",
    [
        Deed("drop"),
        Deed("duplicate"),
        Deed("flip"),
        Deed("close"),
        Deed("flood"),
        Deed("hold"),
        Deed("drop", at=6, back=False),
        Deed("flip", at=6, back=False),
        Deed("duplicate", at=6, back=False),
    ],
    ids=lambda deed: f"{deed.name}-{'back' if deed.back else 'out'}",
)
def test_a_relay_that_breaks_a_ring_costs_a_detour_and_no_word(stage: Stage, deed: Deed) -> None:
    before = stage.counts()
    answered = stage.ask(deed)
    assert (answered.complete, answered.text) == (True, ANSWER)
    (fragment,) = answered.fragments
    assert fragment.continuations + fragment.restarts == 1
    news = {kind for kind, number in stage.counts().items() if number > before.get(kind, 0)}
    # A relay behind which all is silent cannot be told from a silent host: a voucher that is lost stops that, too.
    silent = deed.name == "hold" or (deed.name == "drop" and not deed.back)
    assert {kind.partition(":")[0] for kind in news} == ({"host"} if silent else {"relay"})


def test_a_relay_that_delays_a_little_costs_nothing(stage: Stage) -> None:
    before = stage.counts()
    answered = stage.ask(Deed("delay"))
    assert (answered.complete, answered.text) == (True, ANSWER)
    assert [fragment.continuations + fragment.restarts for fragment in answered.fragments] == [0]
    assert stage.counts() == before


def test_a_relay_that_breaks_every_ring_is_avoided_for_the_request_and_not_after_it(stage: Stage) -> None:
    answered = stage.ask(Deed("flip", for_ever=True))
    (doer,) = set(stage.deeds.doers)
    assert (answered.complete, answered.text) == (True, ANSWER)
    (fragment,) = answered.fragments
    assert doer not in {*fragment.out[1:], *fragment.back[1:]}
    assert stage.client.network.troubles.peers[doer] >= 1

    async def planned() -> set[str]:
        hosts = stage.client.hosts()[:1]
        paths = [path for _ in range(60) for path in stage.client.network.plan_rings(hosts, "private")]
        return {peer.peer for path in paths for peer in (*path.out, *path.back)}

    assert doer in stage.run(planned)


@pytest.mark.parametrize("back", [True, False])
def test_a_guard_that_breaks_every_ring_is_left_out_for_the_request(stage: Stage, back: bool) -> None:
    deed = Deed("flip", by_guard=True, for_ever=True, back=back)
    # Of two guards a ring may have the other one only: then nothing happens.
    for _ in range(8):
        answered = stage.ask(deed)
        assert (answered.complete, answered.text) == (True, ANSWER)
        if stage.deeds.doers:
            break
    (doer,) = set(stage.deeds.doers)
    (fragment,) = answered.fragments
    assert doer not in {fragment.out[0], fragment.back[0]}


def test_a_flood_is_held_back_and_grows_nobodys_memory(stage: Stage) -> None:
    received = stage.client.network.swarm.bytes_received
    assert stage.ask(Deed("flood")).complete
    assert stage.client.network.swarm.bytes_received - received < FLOOD_CELLS * 1024


@pytest.mark.parametrize("name", ["stall", "garbage", "nothing", "early"])
def test_a_host_that_breaks_off_is_gone_on_for_by_another(stage: Stage, name: str) -> None:
    before = stage.counts()
    answered = stage.ask(Deed(name, by_host=True))
    assert (answered.complete, answered.text) == (True, ANSWER)
    (fragment,) = answered.fragments
    (doer,) = stage.deeds.doers
    assert fragment.continuations + fragment.restarts == 1
    assert fragment.host != doer
    news = [kind for kind, number in stage.counts().items() if number > before.get(kind, 0)]
    assert [kind.partition(":")[0] for kind in news] == ["host"]
    # The standby counts as one more viewer.
    assert {host.host for host in answered.exposure.hosts} == {doer, fragment.host}


def test_a_host_that_says_more_than_it_was_asked_for_is_cut_off(stage: Stage) -> None:
    before = stage.counts().get("host:too_long", 0)
    answered = stage.ask(Deed("more", by_host=True))
    assert answered.complete
    assert stage.counts()["host:too_long"] == before + 1
    (fragment,) = answered.fragments
    assert fragment.finish_reason == "length"
    # It is paid for what was asked for, and a window at most.
    most = stage.client.config.max_answer_tokens + fragment_module.PREPAID_WINDOW_TOKENS
    assert fragment.answer_tokens < most + 10
    _, price = next(iter(stage.client.network.directory.hosts_of(stage.client.config.model)))
    assert fragment.amount_microcredits <= fragment.prompt_tokens * price.prompt_price + most * price.answer_price


def test_a_host_that_shows_an_old_receipt_has_shown_none(stage: Stage) -> None:
    first = stage.ask()
    assert first.fragments[0].receipt_index is not None
    answered = stage.ask(Deed("replay", by_host=True, at=0))
    assert (answered.complete, answered.text) == (True, ANSWER)
    assert answered.fragments[0].receipt_index is None


def test_where_all_hosts_are_hostile_there_is_one_clear_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deeds, "take", lambda *_, by_host, **__: "garbage" if by_host else "")
    answered = stage.ask(None)
    assert not answered.complete
    (fragment,) = answered.fragments
    assert fragment.failure is not None
    assert fragment.failure.startswith("the host broke the protocol")
    assert answered.text == f"[This part could not be answered: {fragment.failure}]"


def test_a_client_that_builds_rings_and_never_uses_them_gets_none_of_a_hosts_slots(stage: Stage) -> None:
    network = stage.client.network
    services = [service for name, service in stage.services.items() if name.startswith("host")]

    async def build() -> int:
        host, rings = stage.client.hosts()[0], []
        for _ in range(6):
            (path,) = network.plan_rings([host], "private")
            rings.append(await network.open_ring(path, serving.INFER))
        legs = max(service.legs for service in services)
        for ring in rings:
            ring.end()
            await ring.finished.wait()
        return legs

    async def ask() -> bool:
        async with stage.client.conversation() as session:
            return (await session.ask(PROMPT, lambda _: None)).complete

    async def both() -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(build)
            return await ask()

    assert stage.run(build) >= 12
    assert stage.run(both)

    async def until_gone() -> None:
        while any(service.legs for service in services):  # noqa: ASYNC110  (others close them)
            await trio.sleep(0.01)

    stage.run(until_gone)
