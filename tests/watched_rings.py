"""One ring between a real client and a real host, without relays, whose cells are noted as a middle sees them.

`client.fragment`, `host.service`, `net.rings` and `core.ring` are the real ones; engines answer by a script, lanes are
of a log that grants everything, and time is trio's mock clock.
"""

import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import trio
from attrs import define, frozen

from benchmarks.ready_log import ReadyLog
from benchmarks.simulated_rings import Ring
from inference.engine import Message, Parameters
from inference.scripted import ScriptedEngine
from peernet.client.fragment import Attempt, AttemptFailed, Exchange, Outcome
from peernet.client.network import HostChoice
from peernet.client.wallet import FundedLane
from peernet.core.identity import Keypair, PeerId
from peernet.core.metering import price
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.serving import Turn
from peernet.core.suite import MixedSuite
from peernet.host.service import HostService
from peernet.net.rings import RingChannel
from peernet.node.config import HostConfig
from privacy.pseudonyms import Conversation
from privacy.screening import Screen
from tests.exchange_in_memory import arc

__all__ = ["Engine", "Watched", "ask"]

SUITE = MixedSuite()
LOG = ReadyLog("log.example/watched", bytes(range(32)), settling_s=0.1)


class Engine(ScriptedEngine):
    """Says `tokens` words, and notes when a generation is closed."""

    def __init__(self, tokens: int, **script: Any) -> None:
        super().__init__(lambda _: "answer " * tokens, **script)
        self.closed_s = math.nan

    @asynccontextmanager
    async def generate(self, *of: Any) -> AsyncIterator[Any]:
        async with super().generate(*of) as generation:
            try:
                yield generation
            finally:
                self.closed_s = trio.current_time()


class Tokens:
    """The client's counting, as scripted engines count."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._count = 0

    def count_messages(self, messages: Sequence[Message]) -> int:
        return self._engine.count_tokens(messages)

    def count_text(self, text: str) -> int:
        return self._engine.count_text_tokens(text)

    def incremental(self) -> "Tokens":
        return Tokens(self._engine)

    def feed(self, delta: str) -> int:
        self._count += self.count_text(delta)
        return self._count


@frozen
class FundedExchange(Exchange):
    """An exchange whose lanes come from a log that grants everything."""

    async def _fund(self, attempt: Attempt, prompt_tokens: int, max_tokens: int) -> FundedLane:
        await trio.lowlevel.checkpoint()
        offer, window_tokens = attempt.host.offer, HostConfig().window_tokens
        cap = price(prompt_tokens, max_tokens + window_tokens, offer.prompt_price, offer.answer_price)
        return LOG.lane(offer, cap, window_tokens)


@define
class Watched:
    """A ring as it was seen, and what became of what was asked on it. Times count from the request."""

    ring: Ring
    outcome: Outcome
    answered_s: float = math.nan
    """When the client was done with it, whatever came of it."""
    failure: AttemptFailed | None = None

    def times(self, arc_cells: list[tuple[float, int]]) -> list[tuple[float, int]]:
        """The cells of an arc, counted from the ring's first one: all that its middle has."""
        return [(round(at_s - self.ring.out[0][0], 6), way) for at_s, way in arc_cells]


def _host(engine: ScriptedEngine, config: HostConfig) -> tuple[dict[str, Callable[[RingChannel], Any]], HostChoice]:
    handlers: dict[str, Callable[[RingChannel], Any]] = {}
    published: list[Callable[[], Any]] = []
    identity = Keypair.from_seed(b"watched host".ljust(32), SUITE)
    peer = SimpleNamespace(
        suite=SUITE,
        keys=SimpleNamespace(identity=identity),
        network=SimpleNamespace(region=""),
        rings=SimpleNamespace(serve=handlers.__setitem__),
        swarm=SimpleNamespace(handle=lambda *_: None),
        publish=published.append,
    )
    HostService(cast("Any", peer), engine, config, LOG.policy, cast("Any", LOG), b"watched payout".ljust(32))
    listing = SimpleNamespace(peer=PeerId.from_public_key(identity.public_key))
    return handlers, HostChoice(cast("Any", listing), published[0]())


async def ask(
    engine: ScriptedEngine,
    *,
    paced: bool,
    text: str = "What is it?",
    max_tokens: int = 500,
    gives_up_s: float = math.inf,
    config: HostConfig | None = None,
) -> Watched:
    """Asks a host with this engine; returns once the ring is over. The client is cancelled after `gives_up_s`."""
    await engine.load()
    screen = Screen()
    screen.load()
    handlers, choice = _host(engine, config or HostConfig())
    watched = Watched(Ring(0, 0, text), Outcome())
    ring = watched.ring
    guard, middle, endpoint = (PathPeer(name, name.encode(), frozenset()) for name in ("guard", "middle", "host"))
    attempt = Attempt(
        cast("Any", SimpleNamespace(ordinal=0)),
        choice,
        RingPath((guard, middle), (guard, middle), endpoint),
        (Turn("user", text),),
        Conversation(cast("Any", secrets.SystemRandom())).view("host"),
        Parameters(max_tokens=max_tokens, temperature_thousandths=0),
    )
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:

        def note(seen: list[tuple[float, int]], way: int) -> None:
            seen.append((trio.current_time(), way))

        async def open_ring(_: RingPath, service: str) -> RingChannel:
            await trio.lowlevel.checkpoint()
            out, back = (arc(partial(note, seen)) for seen in (ring.out, ring.back))
            client, host = (RingChannel(ring_end(service, client=end == 0), out[end], back[end]) for end in range(2))
            nursery.start_soon(client.run)
            nursery.start_soon(serve, host, service)
            return client

        async def serve(host: RingChannel, service: str) -> None:
            async with trio.open_nursery() as serving:
                serving.start_soon(host.run)
                await handlers[service](host)
                host.end()
                await host.finished.wait()
            ring.ended_s = trio.current_time()

        exchange = FundedExchange(
            network=cast("Any", SimpleNamespace(suite=SUITE, open_ring=open_ring)),
            tokenizer=cast("Any", Tokens(engine)),
            screener=screen,
            ledger=LOG.policy,
            emit=lambda _: None,
            started_s=began_s,
            paced=paced,
        )
        with trio.move_on_after(gives_up_s):
            try:
                await exchange.run(attempt, watched.outcome, lambda: None)
            except AttemptFailed as error:
                watched.failure = error
        watched.answered_s = trio.current_time() - began_s
    return watched
