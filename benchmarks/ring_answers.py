"""What a ring adds to an answer: the first token, and tokens a second, against the same engine called directly.

The client's own exchange asks the host's own service over a warm ring of four relays. Its lane is granted by a log
that exists for this alone, and is not asked for over a ring; each answer is paid for as always.
"""

import random
import secrets
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest import mock

import trio
from attrs import frozen

from benchmarks.engine_tokens import EngineTokens
from benchmarks.ready_log import ReadyLog
from benchmarks.report import Figure
from benchmarks.ring_roles import SUITE
from benchmarks.ring_world import World, world
from inference.embedded import EmbeddedEngine
from inference.engine import Engine, Generation, Message, Parameters
from inference.models import DEFAULT_MODEL, installed
from inference.scripted import ScriptedEngine
from peernet.client import fragment
from peernet.client.events import Event, FragmentDone, FragmentText
from peernet.client.fragment import Attempt, Exchange, Outcome
from peernet.client.network import HostChoice
from peernet.client.wallet import FundedLane
from peernet.core.dht.records import HostOffer
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.serving import Turn
from peernet.host.service import HostService
from peernet.net.rings import RingChannel
from peernet.node.config import HostConfig
from privacy.pseudonyms import Conversation
from privacy.screening import Screen

__all__ = ["PROMPT", "Asking", "Took", "Watch", "answer_figures", "at_once", "lanes_here"]

JOIN_S: Final = 0.1
"""By then a join has reached the host: the ring is warm."""
SCRIPTED_TOKENS: Final = 60
SECONDS_PER_TOKEN: Final = 0.02
MODEL_TOKENS: Final = 48
SCRIPTED_ROUNDS: Final = 4
MODEL_ROUNDS: Final = 4
"""The first of which is to warm up. Of the others the best counts: whatever else the machine does only adds."""
STREAMS: Final = (1, 8)
MODELS: Final = Path(__file__).parents[1] / ".cache" / "models"
BARE: Final = "bare"
PROMPT: Final = "Write a long story about a ship in a storm."

_LOG: Final = ReadyLog("log.example/bench", secrets.token_bytes(32))


@frozen
class Took:
    """How long one answer took, seconds from its prompt's leaving."""

    first_s: float
    whole_s: float
    cpu_s: float
    """CPU time of the process for all of it."""
    tokens: float


_FIELDS: Final = ("first_s", "whole_s", "cpu_s", "tokens")


class Watch:
    """Takes the times of one answer."""

    def start(self) -> None:
        """The prompt leaves."""
        self._first_s = 0.0
        self._began_s, self._cpu_before_s = time.perf_counter(), time.process_time()

    def hear(self) -> None:
        """Some of the answer is here."""
        self._first_s = self._first_s or time.perf_counter() - self._began_s

    def took(self, tokens: int) -> Took:
        """The answer is whole."""
        whole_s, cpu_s = time.perf_counter() - self._began_s, time.process_time() - self._cpu_before_s
        return Took(self._first_s, whole_s, cpu_s, tokens)


Ask = Callable[[], Awaitable[Took]]


def lanes_here() -> AbstractContextManager[object]:
    """Within it clients' lanes are granted here; else they come from a ledger, over a ring."""
    return mock.patch.object(fragment, "fund_lane", _fund)


def answer_figures() -> Iterator[Figure]:
    """First token and tokens a second, of a scripted engine at a fixed pace and of a model where there is one."""
    with lanes_here():
        yield from _answers()


def _answers() -> Iterator[Figure]:
    words = " ".join(["story"] * SCRIPTED_TOKENS * 2)
    scripted = ScriptedEngine(lambda _: words, seconds_per_token=SECONDS_PER_TOKEN)
    yield from trio.run(_compared, "scripted", scripted, SCRIPTED_TOKENS, SCRIPTED_ROUNDS)
    weights = [model.path for model in installed(MODELS) if model.name == DEFAULT_MODEL] if MODELS.exists() else []
    if weights:
        yield from trio.run(
            _compared, "smollm2", EmbeddedEngine(weights[0], parallel=max(STREAMS)), MODEL_TOKENS, MODEL_ROUNDS
        )
    else:
        print(f"the model {DEFAULT_MODEL} is not in .cache/models: its rows are left out", file=sys.stderr)


async def _compared(name: str, engine: Engine, tokens: int, rounds: int) -> list[Figure]:
    figures: list[Figure] = []
    await engine.load()
    try:
        async with world() as w:
            asking = Asking(w, engine, tokens)
            for streams in STREAMS:
                direct: list[Took] = []
                bare: list[Took] = []
                exchanged: list[Took] = []
                ways = ((asking.directly, direct), (asking.over_bare_ring, bare), (asking.over_ring, exchanged))
                for number in range(rounds):
                    for way, found in ways:
                        asking.expect(streams)
                        answers = await at_once(way, streams)
                        if number:
                            found.append(_median(answers))
                conditions: dict[str, Any] = {"streams": streams, "tokens": tokens, "rounds": len(direct)}
                if name == "scripted":
                    conditions["seconds_per_token"] = SECONDS_PER_TOKEN
                figures += _figures(f"ring_alone_{name}_{streams}", conditions, direct, bare)
                figures += _figures(f"ring_exchange_{name}_{streams}", conditions, direct, exchanged)
    finally:
        await engine.aclose()
    return figures


def _median(answers: Sequence[Took]) -> Took:
    """Of answers that were asked for at once."""
    return Took(*(statistics.median(getattr(took, name) for took in answers) for name in _FIELDS))


def _figures(name: str, conditions: dict[str, Any], direct: Sequence[Took], by_ring: Sequence[Took]) -> list[Figure]:
    first_ms = [min(took.first_s for took in each) * 1e3 for each in (by_ring, direct)]
    rates = [max(took.tokens / took.whole_s for took in each) for each in (by_ring, direct)]
    # Of client, relays and host together, and the engine where it runs in this process.
    cpu_ms = [min(took.cpu_s / took.tokens for took in each) * 1e3 for each in (by_ring, direct)]
    if conditions["streams"] == 1:
        conditions = conditions | {"cpu_per_token_ms": [round(each, 2) for each in cpu_ms]}
    return [
        Figure(
            f"{name}_first_token_added",
            first_ms[0] - first_ms[1],
            "ms, best round",
            "first token of the engine called directly, ms",
            first_ms[1],
            10.0,
            True,
            conditions,
            bounds_value=True,
        ),
        Figure(
            f"{name}_tokens",
            rates[0],
            "tokens/s of one stream, best round",
            "the engine called directly",
            rates[1],
            0.95,
            False,
            conditions,
        ),
    ]


async def at_once(ask: Ask, streams: int) -> list[Took]:
    """So many answers, asked for at once."""
    took: list[Took] = []

    async def one() -> None:
        took.append(await ask())

    async with trio.open_nursery() as nursery:
        for _ in range(streams):
            nursery.start_soon(one)
    return took


class Asking:
    """A host with the engine, and the two ways to ask it."""

    def __init__(self, w: World, engine: Engine, tokens: int, watch: Callable[[], Watch] = Watch) -> None:
        self._world = w
        self._watch = watch
        self._parameters = Parameters(max_tokens=tokens, temperature_thousandths=0, seed=1)
        self._engine = engine
        host = w.host
        payout_seed = secrets.token_bytes(32)
        config = HostConfig(parallel=2 * max(STREAMS))  # a slot is free again when its receipt is there
        service = HostService(host, engine, config, _LOG.policy, cast("Any", _LOG), payout_seed)
        host.rings.serve(BARE, self._serve_bare)
        self._offer = service._offer()  # noqa: SLF001  (what it publishes, without a DHT)
        self._screen = Screen()
        self._screen.load()
        self.expect(1)

    def expect(self, streams: int) -> None:
        """So many are about to be asked for at once: none of their prompts leaves before all rings are warm."""
        self._cold = streams
        self._warm = trio.Event()

    async def directly(self) -> Took:
        """The engine's own answer."""
        watch = self._watch()
        watch.start()
        text = ""
        async with self._generation() as generation:
            async for delta in generation:
                watch.hear()
                text += delta.text
        return watch.took(self._engine.count_text_tokens(text))

    async def over_bare_ring(self) -> Took:
        """The engine's answer over a ring, with nothing else that hosts and clients do."""
        ring = await self._open_ring(None, BARE)
        watch = self._watch()
        watch.start()
        await ring.send(PROMPT.encode())
        text = ""
        while (delta := await ring.receive()) is not None:
            watch.hear()
            text += delta.decode()
        return watch.took(self._engine.count_text_tokens(text))

    async def _serve_bare(self, ring: RingChannel) -> None:
        await ring.receive()
        async with self._generation() as generation:
            async for delta in generation:
                await ring.send(delta.text.encode())

    def _generation(self) -> AbstractAsyncContextManager[Generation]:
        return self._engine.generate([Message("user", PROMPT)], self._parameters)

    async def over_ring(self) -> Took:
        """The client's exchange with the host's service: from when its prompt leaves to when the answer is whole."""
        watch = self._watch()
        whole: list[Took] = []

        def hear(event: Event) -> None:
            if isinstance(event, FragmentText):
                watch.hear()
            elif isinstance(event, FragmentDone):
                whole.append(watch.took(event.answer_tokens))

        network: Any = SimpleNamespace(suite=SUITE, open_ring=self._open_ring)
        counting: Any = EngineTokens(self._engine)
        exchange = Exchange(network, counting, self._screen, _LOG.policy, hear, trio.current_time())
        outcome = Outcome()
        with trio.fail_after(120):
            await exchange.run(self._attempt(str(self._world.host.peer_id)), outcome, watch.start)
        assert outcome.receipt_index is not None, "an answer of the benchmark was not paid for"
        return whole[0]

    def _attempt(self, host: str) -> Attempt:
        listing: Any = SimpleNamespace(peer=host)
        names = [PathPeer(name, name.encode(), frozenset()) for name in ("guard", "F", "guard 2", "R", host)]
        return Attempt(
            cast("Any", SimpleNamespace(ordinal=0)),
            HostChoice(listing, self._offer),
            RingPath((names[0], names[1]), (names[2], names[3]), names[4]),
            (Turn("user", PROMPT),),
            Conversation(random.Random(1)).view(host),
            self._parameters,
        )

    async def _open_ring(self, _: RingPath | None, service: str) -> RingChannel:
        ring = await self._world.open(service)
        self._cold -= 1
        if not self._cold:
            self._warm.set()
        # Else the building of the others' rings, which takes longer than a first token, would count.
        await self._warm.wait()
        await trio.sleep(JOIN_S)
        return ring


async def _fund(_: object, __: RingPath, offer: HostOffer, cap: int, ___: LedgerPolicy, ____: object) -> FundedLane:
    """In the place of `wallet.fund_lane`."""
    await trio.lowlevel.checkpoint()
    return _LOG.lane(offer, cap, fragment.PREPAID_WINDOW_TOKENS)
