"""What a client does when a host goes silent, and when its user leaves, over real rings on loopback, in one process.

Client, relays and hosts are the real ones; the engines answer by a script. Measured is how long a stall takes to be
noticed once the host's deadlines have been learned, from there until the standby's first word, and from a client's
leaving until the engine's generation is closed. Lanes are granted by a node that keeps no log on disk.
"""

import logging
import math
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import structlog
import trio
from attrs import define, field

from benchmarks.engine_tokens import EngineTokens
from benchmarks.ready_log import ReadyLog
from benchmarks.report import Figure
from inference.engine import Message, Parameters
from inference.scripted import ScriptedEngine
from peernet.client.events import Answered, Event, FragmentContinued, FragmentText
from peernet.client.network import NetworkView
from peernet.client.parameters import Sampling
from peernet.client.request import Asked, Request
from peernet.core.dht.records import HostOffer, PeerRecord, open_record
from peernet.core.directory import Directory, Listing
from peernet.core.host_ranking import NEXT_TOKEN_DEFAULT_S, HostStandings
from peernet.core.ledger.entries import Grant
from peernet.core.ledger.messages import LANE_SERVICE, LaneMessages, LaneOpened
from peernet.core.metering import GrantRequest
from peernet.core.suite import MixedSuite
from peernet.host.service import HostService
from peernet.net.rings import RingChannel
from peernet.node.config import ClientConfig, HostConfig, NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer
from privacy.planning import ChatMessage, ExposurePolicy, Level, plan
from privacy.pseudonyms import Conversation
from privacy.screening import Screen

RELAYS: Final = 8
HOSTS: Final = 2
TOKEN_S: Final = 0.02
STALLS: Final = 3
CANCELS: Final = 20
ROUND_TRIPS: Final = 50
STALL_AFTER: Final = 10
"""Tokens, and before a client leaves as well."""
CANCEL_TARGET_MS: Final = 200.0
ECHO: Final = "echo"
MODEL: Final = "scripted"
PROMPT: Final = "Why do leaves turn brown?"
ANSWER: Final = "They lose the green that hides their other colours, and then those, too. " * 4
SUITE: Final = MixedSuite()
LOG: Final = ReadyLog("log.example/one", b"\x01" * 32)


def figures() -> Iterator[Figure]:
    """Stall detection, continuation and cancelling."""
    # Figures alone go to standard output.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    measured = trio.run(_measure)
    conditions = {"profile": "private", "relays": RELAYS, "hosts": HOSTS, "seconds_per_token": TOKEN_S}
    yield Figure(
        "stall_detection",
        _median(measured.detections_s),
        "s after the last word, median",
        "the deadline of a host that nothing is known of",
        NEXT_TOKEN_DEFAULT_S,
        0.5,
        True,
        conditions | {"stalls": len(measured.detections_s), "answers before": "3 of each host"},
    )
    yield Figure(
        "continuation",
        _median(measured.continuations_s) * 1e3,
        "ms from there to the standby's first word, median",
        "the first word of a request that nothing disturbs, median",
        _median(measured.first_words_s) * 1e3,
        None,
        True,
        conditions,
    )
    yield Figure(
        "cancel_reaches_engine",
        max(measured.cancels_s) * 1e3,
        "ms, the largest",
        "a round trip on such a ring, median",
        measured.round_trip_s * 1e3,
        CANCEL_TARGET_MS,
        True,
        conditions | {"cancels": len(measured.cancels_s), "median_ms": round(_median(measured.cancels_s) * 1e3, 2)},
        bounds_value=True,
    )


@define
class _Measured:
    detections_s: list[float] = field(factory=list)
    continuations_s: list[float] = field(factory=list)
    first_words_s: list[float] = field(factory=list)
    cancels_s: list[float] = field(factory=list)
    round_trip_s: float = math.nan


class _Engine(ScriptedEngine):
    """Answers at its pace, stalls when it is told to, and says when a generation was closed."""

    def __init__(self) -> None:
        super().__init__(lambda _: ANSWER, name=MODEL, seconds_per_token=TOKEN_S)
        self.stalls = False
        self.closed = trio.Event()
        """Whether no generation is going on."""
        self.closed.set()
        self.closed_at_s = math.nan

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AsyncIterator[Any]:
        self.closed = trio.Event()
        try:
            async with super().generate(messages, parameters, prefix) as generation:
                yield generation
        finally:
            self.closed_at_s = time.perf_counter()
            self.closed.set()

    async def pace(self, position: int, down: trio.Event) -> None:
        if self.stalls and position == STALL_AFTER:
            await trio.sleep_forever()
        await super().pace(position, down)


@define
class _Network:
    """Relays, hosts and a granting node, and a client's view of them."""

    view: NetworkView
    engines: dict[str, _Engine]
    screen: Screen

    async def ask(self, emit: Callable[[Event], None]) -> Answered:
        """One request; its fragment goes to whom the view has first."""
        tokens: Any = EngineTokens(next(iter(self.engines.values())))
        hosts = self.view.hosts_of(MODEL, tokens.digest, [LOG.name])
        client: Any = SimpleNamespace(
            network=self.view,
            # One fragment has nothing to be told from, and its start would only be late.
            config=ClientConfig(start_jitter_ms=0),
            screener=self.screen,
            purse=None,
            ledger=LOG.policy,
            linger=lambda _: None,
        )
        made = plan([ChatMessage("user", PROMPT)], [[]], len(hosts), ExposurePolicy(Level.STANDARD))
        asked = Asked(PROMPT, [], Sampling(), ())
        vault = Conversation(secrets.SystemRandom())
        request = Request(client, tokens, vault, {}, emit, asked, made, trio.current_time())
        request.prepare({fragment.slot: hosts[number] for number, fragment in enumerate(made.fragments)}, hosts)
        return await request.run()

    def answering(self) -> _Engine:
        """The engine that a generation is going on at."""
        (engine,) = [engine for engine in self.engines.values() if not engine.closed.is_set()]
        return engine

    async def learn(self, answers: int) -> list[float]:
        """Asks until each host has answered so often since; the times of the first words."""
        times = []
        left = dict.fromkeys(self.engines, answers)
        while any(count > 0 for count in left.values()):
            answered = await self.ask(lambda _: None)
            assert answered.complete
            left[answered.fragments[0].host] -= 1
            times.append(answered.first_token_s or math.nan)
        return times


async def _measure() -> _Measured:
    measured = _Measured()
    async with _running() as network:
        for _ in range(STALLS):
            # Anew each time: a deadline that was doubled by the stall before is another figure.
            network.view.standings = HostStandings()
            measured.first_words_s += await network.learn(3)
            detected_s, continued_s = await _stall(network)
            measured.detections_s.append(detected_s)
            measured.continuations_s.append(continued_s)
        for _ in range(CANCELS):
            measured.cancels_s.append(await _cancel(network))
        measured.round_trip_s = await _round_trip_s(network)
    return measured


async def _stall(network: _Network) -> tuple[float, float]:
    """From the last word of a host that stalls to its noticing, and from there to the standby's first word."""
    words: list[float] = []
    noticed_s = math.nan

    def take(event: Event) -> None:
        nonlocal noticed_s
        if isinstance(event, FragmentText):
            words.append(time.perf_counter())
            if len(words) == 1:
                network.answering().stalls = True
        elif isinstance(event, FragmentContinued):
            noticed_s = time.perf_counter()

    answered = await network.ask(take)
    assert answered.complete
    for engine in network.engines.values():
        engine.stalls = False
    last_s = max(at_s for at_s in words if at_s < noticed_s)
    return noticed_s - last_s, min(at_s for at_s in words if at_s > noticed_s) - noticed_s


async def _cancel(network: _Network) -> float:
    """From a client's leaving in mid-answer to the end of the generation."""
    words = 0
    left_s = math.nan
    engine: _Engine | None = None
    leaving = trio.CancelScope()

    def take(event: Event) -> None:
        nonlocal words, left_s, engine
        words += isinstance(event, FragmentText)
        if words == STALL_AFTER and engine is None:
            engine = network.answering()
            left_s = time.perf_counter()
            leaving.cancel()

    with leaving:
        await network.ask(take)
    assert engine is not None
    await engine.closed.wait()
    return engine.closed_at_s - left_s


async def _round_trip_s(network: _Network) -> float:
    host = network.view.hosts_of(MODEL, EngineTokens(next(iter(network.engines.values()))).digest, [LOG.name])[0]
    (path,) = network.view.plan_rings([host], "private")
    ring = await network.view.open_ring(path, ECHO)
    times = []
    for _ in range(ROUND_TRIPS):
        began_s = time.perf_counter()
        await ring.send(b"x")
        await ring.receive()
        times.append(time.perf_counter() - began_s)
    ring.end()
    return _median(times)


# --- the network -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _running() -> AsyncIterator[_Network]:
    with tempfile.TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            peers = [_peer(Path(folder), number, "relay") for number in range(RELAYS)]
            granting = _peer(Path(folder), RELAYS, "bootstrap")
            granting.rings.serve(LANE_SERVICE, _grant)
            hosts = [_peer(Path(folder), RELAYS + 1 + number, "host") for number in range(HOSTS)]
            engines, offers = {}, {}
            for number, peer in enumerate(hosts):
                engine = _Engine()
                await engine.load()
                settler: Any = LOG
                payout_seed = bytes([number + 1]) * 32
                service = HostService(peer, engine, HostConfig(parallel=4), LOG.policy, settler, payout_seed)
                await service.load()
                peer.rings.serve(ECHO, _echo)
                engines[str(peer.peer_id)] = engine
                offers[str(peer.peer_id)] = service._offer()  # noqa: SLF001  (what it publishes; there is no DHT here)
            for peer in (*peers, granting, *hosts):
                await nursery.start(_run, peer)
            bootstrap = f"{granting.swarm.listening[0]}/p2p/{granting.peer_id}"
            network = NetworkConfig(test=True, listen=("/ip4/127.67.250.1/tcp/0",), bootstrap=(bootstrap,))
            view = NetworkView(network, Path(folder) / "guards.json")
            await nursery.start(view.swarm.run)
            listed = [_listing(peer, offers.get(str(peer.peer_id))) for peer in (*peers, granting, *hosts)]
            view.directory = Directory(now_s(), tuple(listed))
            screen = Screen()
            await trio.to_thread.run_sync(screen.load)
            yield _Network(view, engines, screen)
            nursery.cancel_scope.cancel()


def _peer(folder: Path, number: int, role: str) -> Peer:
    network = NetworkConfig(test=True, listen=(f"/ip4/127.67.{number + 1}.1/tcp/0",))
    return Peer(PeerKeys.of(Home.at(folder / str(number)), SUITE), network, [role])


async def _run(peer: Peer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    async with running_peer(peer, join=False):
        task_status.started()
        await trio.sleep_forever()


def _listing(peer: Peer, offer: HostOffer | None) -> Listing:
    signed = peer.signed_record()
    record = cast("PeerRecord", open_record(signed, now_s(), SUITE))
    return Listing(record, signed, () if offer is None else (offer,))


async def _grant(ring: RingChannel) -> None:
    message = await ring.receive()
    assert message is not None
    asked = LaneMessages.decode(message)
    assert isinstance(asked, GrantRequest)
    grant = Grant(asked.lane_key, asked.cap_microcredits, asked.expires_at_s, now_s() // 60 * 60, asked.commitment)
    await ring.send(LaneMessages.encode(LaneOpened(LOG.logged(grant))))
    await ring.receive()


async def _echo(ring: RingChannel) -> None:
    while (message := await ring.receive()) is not None:
        await ring.send(message)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
