"""An engine that answers by a script: for tests and simulations, with no model and no process.

It keeps the whole contract of `inference.engine` (`tests/engine_contract.py`), so that what works with it works with
an engine that computes. The same script and messages give the same deltas always; time passes only where
`seconds_per_token` says so, on trio's clock.

A token here is a piece of at most six characters with the space before it, so that counts add up at every border
between two deltas.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from inference.engine import (
    COUNTED,
    EMBED,
    PREFIX,
    SEED,
    AnswerCounter,
    ContextOverflow,
    Delta,
    EngineCrashed,
    Health,
    Message,
    ModelInfo,
    Parameters,
    Usage,
)
from peernet.core.errors import LocalProtocolError

__all__ = ["TOKENS_PER_MESSAGE", "ScriptedEngine", "echo"]

TOKENS_PER_MESSAGE: Final = 4
EMBEDDING_SIZE: Final = 8
_PIECE: Final = re.compile(r"\s?\S{1,6}|\s")
_CAPABILITIES: Final = frozenset({PREFIX, SEED, EMBED, COUNTED})


def echo(messages: Sequence[Message]) -> str:
    """The last message again."""
    return messages[-1].content if messages else ""


class ScriptedEngine:
    """An `Engine` whose answers are `answer(messages)`.

    It stalls for ever after `stall_after` deltas of each generation; it crashes after `crash_after` deltas, `crashes`
    times in all, and then serves again.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Message]], str] = echo,
        *,
        name: str = "scripted",
        context_tokens: int = 4096,
        seconds_per_token: float = 0.0,
        stall_after: int | None = None,
        crash_after: int | None = None,
        crashes: int = 1,
    ) -> None:
        self._answer = answer
        self._info = ModelInfo(
            name,
            hashlib.sha256(name.encode()).digest(),
            hashlib.sha256(f"{_PIECE.pattern} + {TOKENS_PER_MESSAGE}".encode()).digest(),
            "none",
            context_tokens,
            _CAPABILITIES,
        )
        self._seconds_per_token = seconds_per_token
        self._stall_after = stall_after
        self._crash_after = crash_after
        self._crashes_left = crashes if crash_after is not None else 0
        self._down: trio.Event | None = None
        """Set when the run that it belongs to is over; None before the first `load`."""
        self._generating = 0
        self._restarts = 0
        self._steps = 0
        self._closed = False

    async def load(self) -> None:
        await trio.lowlevel.checkpoint()
        self._start()

    def models(self) -> tuple[ModelInfo, ...]:
        self._require_loaded()
        return (self._info,)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(TOKENS_PER_MESSAGE + self.count_text_tokens(message.content) for message in messages)

    def count_text_tokens(self, text: str) -> int:
        self._require_loaded()
        return len(_PIECE.findall(text))

    def answer_counter(self) -> AnswerCounter:
        self._require_loaded()
        return _PieceCounter()

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> "AsyncIterator[_ScriptedGeneration]":
        prompt_tokens = self.count_tokens(messages) + self.count_text_tokens(prefix or "")
        room = self._info.context_tokens - prompt_tokens
        if room < 1:
            raise ContextOverflow(prompt_tokens, self._info.context_tokens)
        down = self._start()
        pieces: list[str] = _PIECE.findall(self._text(messages, parameters, prefix or ""))
        limit = min(parameters.max_tokens, room)
        steps = [Delta(piece) for piece in pieces[:limit]]
        steps.append(Delta("", "stop" if len(pieces) <= limit else "length"))
        self._generating += 1
        try:
            yield _ScriptedGeneration(self, steps, prompt_tokens, down)
        finally:
            self._generating -= 1

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        self._require_loaded()
        await trio.lowlevel.checkpoint()
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return tuple(tuple(byte / 255 for byte in digest[:EMBEDDING_SIZE]) for digest in digests)

    async def health(self) -> Health:
        await trio.lowlevel.checkpoint()
        is_ready = self._down is not None and not self._down.is_set()
        if not is_ready:
            return Health(ready=False, generating=0, restarts=self._restarts, steps=0)
        return Health(ready=True, generating=self._generating, restarts=self._restarts, steps=self._steps)

    async def aclose(self) -> None:
        self._closed = True
        if self._down is not None:
            self._down.set()
        await trio.lowlevel.checkpoint()

    async def pace(self, position: int, down: trio.Event) -> None:
        """Lets the time of one token pass, or what the script has there instead."""
        if self._crashes_left and position == self._crash_after:
            self._crashes_left -= 1
            down.set()
        if down.is_set():
            await trio.lowlevel.checkpoint()
        elif position == self._stall_after:
            await down.wait()
        elif self._seconds_per_token:
            with trio.move_on_after(self._seconds_per_token):
                await down.wait()
        else:
            await trio.lowlevel.checkpoint()
        if down.is_set():
            raise EngineCrashed("the engine was closed" if self._closed else "the engine ended: by its script")
        self._steps += 1

    def _text(self, messages: Sequence[Message], parameters: Parameters, prefix: str) -> str:
        """The answer, cut before the first stop text, without the prefix when it begins so."""
        text = self._answer(messages)
        text = text[: min((text.find(stop) for stop in parameters.stop if stop in text), default=len(text))]
        return text.removeprefix(prefix)

    def _start(self) -> trio.Event:
        if self._closed:
            raise EngineCrashed("the engine was closed")
        if self._down is None or self._down.is_set():
            self._restarts += self._down is not None
            self._down = trio.Event()
            self._steps = 0
        return self._down

    def _require_loaded(self) -> None:
        if self._down is None:
            raise LocalProtocolError("the engine is not loaded")


class _PieceCounter:
    """Counts a text that grows: nothing that follows changes a piece but the last."""

    def __init__(self) -> None:
        self._settled = 0
        self._tail = ""

    def feed(self, delta: str) -> int:
        *settled, self._tail = _PIECE.findall(self._tail + delta) or [""]
        self._settled += len(settled)
        return self._settled + bool(self._tail)


class _ScriptedGeneration:
    """The stream of one answer."""

    def __init__(self, engine: ScriptedEngine, steps: list[Delta], prompt_tokens: int, down: trio.Event) -> None:
        self._engine = engine
        self._steps = steps
        self._prompt_tokens = prompt_tokens
        self._down = down
        self._position = 0
        self.usage: Usage | None = None

    def __aiter__(self) -> "_ScriptedGeneration":
        return self

    async def __anext__(self) -> Delta:
        if self._position == len(self._steps):
            raise StopAsyncIteration
        await self._engine.pace(self._position, self._down)
        delta = self._steps[self._position]
        self._position += 1
        if delta.finish_reason is not None:
            self.usage = Usage(self._prompt_tokens, len(self._steps) - 1)
        return delta
