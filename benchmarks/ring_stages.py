"""What an exchange over a ring costs in CPU time: by stage up to its first token, and a token by the answer's length.

Client, four relays and host share one process, so that its CPU time is everybody's. A stage is a few functions, and
what these call of another stage is that one's; what no stage has is the task switches and the rest. Times are of the
process, not of the clock: another program on the machine makes them greater, but is not in them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Final
from unittest import mock

import trio

from benchmarks.report import Figure
from benchmarks.ring_answers import MODELS, SECONDS_PER_TOKEN, Asking, Watch, at_once, lanes_here
from benchmarks.ring_world import world
from inference.engine import AnswerCounter, Engine
from inference.models import DEFAULT_MODEL, installed
from inference.scripted import ScriptedEngine, _PieceCounter
from inference.tokenizer import Tokenizer
from peernet.core.metering import ClientMeter, HostMeter
from peernet.core.ring.arc import Arc
from peernet.core.ring.hop import Hop
from peernet.core.ring.ring import RingEnd
from peernet.core.wire import MessageSet
from peernet.host.service import HostService
from peernet.net.connection import PeerConnection
from peernet.net.outbox import Outbox
from peernet.net.rings.forwarding import _Direction
from privacy.screening import Screen

STREAMS: Final = 8
ROUNDS: Final = 6
LENGTHS: Final = (64, 256, 1024)
LENGTH_ROUNDS: Final = 3
"""The first of which is to warm up, here and above. Of the others the cheapest counts: noise only adds."""
LONG_ANSWER_SECONDS_PER_TOKEN: Final = 0.002
SENTENCE: Final = " The ship went on and the wind was cold and she read her book to the end ."
"""Each word of it, and the stop, is one token of either tokenizer."""
REST: Final = "rest"

STAGES: Final[dict[str, tuple[tuple[type, tuple[str, ...]], ...]]] = {
    "screening": ((Screen, ("screen",)),),
    "lane": ((HostService, ("_check_lane", "_is_final")),),
    "vouchers": (
        (ClientMeter, ("__init__", "voucher", "prompt", "answer")),
        (HostMeter, ("voucher", "prompt", "answer")),
    ),
    "counting": ((ScriptedEngine, ("count_tokens", "count_text_tokens")), (_PieceCounter, ("feed",))),
    "messages": ((MessageSet, ("encode", "decode")),),
    "ring_ends": (
        (RingEnd, ("receive", "send", "cells_to_send", "next_message")),
        (Arc, ("receive", "send")),
        (Hop, ("receive", "send")),
    ),
    "relays": ((_Direction, ("move",)), (Hop, ("pass_on", "pass_back"))),
    "connections": ((PeerConnection, ("_take",)), (Outbox, ("flush", "_put_out"))),
}
"""The functions of each stage. One that is renamed is an error here and not a stage that costs nothing."""


def figures() -> Iterator[Figure]:
    """The rows of stages, and those of lengths."""
    with lanes_here():
        yield from trio.run(_first_tokens)
        yield from trio.run(_lengths)


class _Stages:
    """CPU time by stage, while it is on."""

    def __init__(self) -> None:
        self.forget()
        self._inside = [REST]
        self._is_on = False
        self._since_ns = 0

    def forget(self) -> None:
        """Begins at nothing."""
        self.spent_ns = dict.fromkeys((*STAGES, REST), 0)

    def turn(self, *, on: bool) -> None:
        """Takes times from now on, or no more."""
        self._settle()
        self._is_on = on

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it, the functions of all stages tell when they run."""
        with ExitStack() as patches:
            for stage, kinds in STAGES.items():
                for kind, names in kinds:
                    for name in names:
                        timed = self._timed(getattr(kind, name), stage)
                        patches.enter_context(mock.patch.object(kind, name, timed))
            yield

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            self._settle()
            self._inside.append(stage)
            try:
                return function(*args, **options)
            finally:
                self._settle()
                self._inside.pop()

        return timed

    def _settle(self) -> None:
        now_ns = time.process_time_ns()
        if self._is_on:
            self.spent_ns[self._inside[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns


class _FirstTokens:
    """Takes times from when the first of the prompts leaves until the last of their first tokens is there."""

    def __init__(self, stages: _Stages) -> None:
        self._stages = stages
        self._started = self._heard = 0

    def start(self) -> None:
        if self._started % STREAMS == 0:
            self._stages.turn(on=True)
        self._started += 1

    def hear(self) -> None:
        self._heard += 1
        if self._heard % STREAMS == 0:
            self._stages.turn(on=False)


class _FirstTokenWatch(Watch):
    def __init__(self, all_of_them: _FirstTokens) -> None:
        self._all = all_of_them

    def start(self) -> None:
        super().start()
        self._all.start()

    def hear(self) -> None:
        if not self._first_s:
            self._all.hear()
        super().hear()


async def _first_tokens() -> list[Figure]:
    stages = _Stages()
    firsts = _FirstTokens(stages)
    engine = ScriptedEngine(lambda _: "story " * 8, seconds_per_token=SECONDS_PER_TOKEN)
    await engine.load()
    with stages.watching():
        async with world() as w:
            asking = Asking(w, engine, 4, lambda: _FirstTokenWatch(firsts))
            rounds: list[dict[str, int]] = []
            for _ in range(ROUNDS):
                stages.forget()
                asking.expect(STREAMS)
                await at_once(asking.over_ring, STREAMS)
                rounds.append(stages.spent_ns)
    cheapest = min(rounds[1:], key=lambda spent_ns: sum(spent_ns.values()))
    spent_ms = {stage: spent_ns / STREAMS / 1e6 for stage, spent_ns in cheapest.items()}
    whole_ms = sum(spent_ms.values())
    conditions = {"streams": STREAMS, "rounds": ROUNDS - 1, "in_one_process": True}

    def figure(stage: str, ms: float) -> Figure:
        name, unit = f"ring_stage_{stage}", "ms of CPU, one exchange to its first token, best round"
        return Figure(name, ms, unit, "all stages", whole_ms, None, True, conditions)

    return [*(figure(stage, ms) for stage, ms in spent_ms.items()), figure("all", whole_ms)]


class _ModelCounted(ScriptedEngine):
    """A scripted engine that counts as a real model does."""

    def __init__(self, tokenizer: Tokenizer, **script: Any) -> None:
        super().__init__(**script)
        self._tokenizer = tokenizer

    def count_tokens(self, messages: Any) -> int:
        return self._tokenizer.count_messages(messages)

    def count_text_tokens(self, text: str) -> int:
        return self._tokenizer.count_text(text)

    def answer_counter(self) -> AnswerCounter:
        return self._tokenizer.incremental()


def _long_answers() -> tuple[Engine, str]:
    """An engine for long answers, and whose tokenizer counts them."""

    def answer(_: object) -> str:
        return SENTENCE * LENGTHS[-1]

    pace_s = LONG_ANSWER_SECONDS_PER_TOKEN
    folders = [model.folder for model in installed(MODELS) if model.name == DEFAULT_MODEL] if MODELS.exists() else []
    if not folders:
        return ScriptedEngine(answer, seconds_per_token=pace_s), "scripted"
    return _ModelCounted(Tokenizer.load(folders[0]), answer=answer, seconds_per_token=pace_s), DEFAULT_MODEL


async def _lengths() -> list[Figure]:
    """One answer at a time of each length, and then short ones at once."""
    engine, tokenizer = _long_answers()
    await engine.load()
    costs_ms: dict[tuple[int, int], float] = {}
    async with world() as w:
        for tokens, streams in (*((tokens, 1) for tokens in LENGTHS), (LENGTHS[0], STREAMS)):
            asking = Asking(w, engine, tokens)
            costs_s = []
            for _ in range(LENGTH_ROUNDS):
                asking.expect(streams)
                answers = await at_once(asking.over_ring, streams)
                costs_s.append(max(took.cpu_s for took in answers) / sum(took.tokens for took in answers))
            costs_ms[tokens, streams] = min(costs_s[1:]) * 1e3
    return [
        Figure(
            f"ring_token_of_{tokens}" if streams == 1 else f"ring_token_of_{tokens}_by_{streams}",
            cost_ms,
            "ms of CPU a token, best round",
            f"a token of {LENGTHS[0]}",
            costs_ms[LENGTHS[0], 1],
            None,
            True,
            {"streams": streams, "tokenizer": tokenizer, "rounds": LENGTH_ROUNDS - 1, "in_one_process": True},
        )
        for (tokens, streams), cost_ms in costs_ms.items()
    ]
