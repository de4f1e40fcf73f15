"""One ring between a real client and a real host, without relays, whose cells are noted as a middle sees them.

`client.fragment`, `host.service`, `net.rings` and `core.ring` are the real ones; engines answer by a script, lanes are
of a log that grants everything, and time is trio's mock clock.
"""

import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import trio
from attrs import define, frozen

from benchmarks.simulated_rings import Ring
from inference.engine import Message, Parameters
from inference.scripted import ScriptedEngine
from peernet.client.fragment import Attempt, AttemptFailed, Exchange, Outcome
from peernet.client.network import HostChoice
from peernet.client.wallet import FundedLane
from peernet.core.identity import Keypair, PeerId
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.entries import Grant, coarse_time_s, encode_entry
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.policy import one_log_policy
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import LaneOpening, LaneTerms, Settlement, open_lane, price
from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.endings import Ending
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.serving import Turn
from peernet.core.suite import MixedSuite
from peernet.host.service import HostService
from peernet.net.rings import RingChannel
from peernet.node.config import HostConfig
from peernet.node.peer import now_s
from privacy.pseudonyms import Conversation
from privacy.screening import Screen

__all__ = ["Engine", "Watched", "ask"]

SUITE = MixedSuite()
LOG_SEED = bytes(range(32))
LOG = VerifierKey("log.example/watched", LOG_KEY, SUITE.ed25519_public(LOG_SEED))
POLICY = one_log_policy(LOG)
SETTLING_S = 0.1


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


class Leg:
    """One end of an arc."""

    def __init__(
        self,
        way: int,
        seen: list[tuple[float, int]],
        send: trio.MemorySendChannel[SealedCell],
        receive: trio.MemoryReceiveChannel[SealedCell],
    ) -> None:
        self._way = way
        self._seen = seen
        self._send = send
        self._receive = receive
        self.ending: Ending | None = None

    async def receive(self) -> list[SealedCell] | None:
        try:
            return [await self._receive.receive()]
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return None

    async def send(self, kind: CellType, body: bytes) -> None:
        self._seen.append((trio.current_time(), self._way))
        try:
            await self._send.send(SealedCell(kind, body))
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._send.close()
        self._receive.close()


def arc(seen: list[tuple[float, int]]) -> tuple[Leg, Leg]:
    towards, back = (trio.open_memory_channel[SealedCell](math.inf) for _ in range(2))
    return Leg(1, seen, towards[0], back[1]), Leg(-1, seen, back[0], towards[1])


def logged(entry: Any) -> bytes:
    leaf = encode_entry(entry)
    return LogProof(0, (), sign_checkpoint(Checkpoint(LOG.name, 1, leaf_hash(leaf)), LOG_SEED, SUITE), leaf).encode()


class Settler:
    """Takes every settlement after a while."""

    async def settle(self, settlement: Settlement) -> bytes:
        await trio.sleep(SETTLING_S)
        return logged(settlement.entry(60))


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
        offer = attempt.host.offer
        seed = secrets.token_bytes(32)
        terms = LaneTerms(offer.payout_key, offer.prompt_price, offer.answer_price, HostConfig().window_tokens)
        cap = price(prompt_tokens, max_tokens + terms.window_tokens, offer.prompt_price, offer.answer_price)
        grant = Grant(SUITE.ed25519_public(seed), cap, coarse_time_s(now_s() + 3600), 60, terms.commit(bytes(32)))
        opening = LaneOpening(logged(grant), terms, bytes(32))
        finality = POLICY.finality(LogProof.parse(opening.proof).checkpoint, SUITE)
        return FundedLane(open_lane(opening, LOG, SUITE), opening, seed, finality)


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
    HostService(cast("Any", peer), engine, config, POLICY, cast("Any", Settler()), b"watched payout".ljust(32))
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

        async def open_ring(_: RingPath, service: str) -> RingChannel:
            await trio.lowlevel.checkpoint()
            out, back = arc(ring.out), arc(ring.back)
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
            ledger=POLICY,
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
