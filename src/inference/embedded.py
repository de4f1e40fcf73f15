"""The embedded engine: llama.cpp in a child process, by `xllamacpp`.

Rules:

1. The child is `inference._embedded_worker`, in a session of its own, so that Ctrl-C at the terminal reaches the node
   and not the engine under it; it ends with its standard input, so with its parent, whatever ends that.
2. There is no task of ours in the background: whichever caller waits for a message reads the pipe, and hands what it
   reads to the others. So nothing outlives its caller, and the engine needs no nursery.
3. `parallel` generations run at a time, the others wait in order. Leaving a generation waits until the child has ended
   it; a child that does not within `CANCEL_GRACE_S` is killed, which counts as a crash.
4. After a crash the generations in flight get `EngineCrashed`, and the next one starts a new child, until
   `MAX_CRASHES` have come with no whole answer in between.

Each waiting list here is bounded: a generation's by its `max_tokens`, which the context bounds.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import trio

import inference
from inference._embedded_worker import (
    MAX_FRAME_SIZE,
    MESSAGES,
    Cancel,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    Probe,
    Status,
    Text,
    pack_tokens,
)
from inference.engine import (
    COUNTED,
    PREFIX,
    SEED,
    AnswerCounter,
    ContextOverflow,
    Delta,
    EngineCrashed,
    EngineError,
    FinishReason,
    Health,
    Message,
    ModelInfo,
    ModelUnusable,
    Parameters,
    Unsupported,
    Usage,
)
from inference.models import InstalledModel, file_digest, read_installed
from inference.tokenizer import Tokenizer
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.wire import FrameReader, frame

__all__ = ["CANCEL_GRACE_S", "DEFAULT_CONTEXT_TOKENS", "MAX_CRASHES", "EmbeddedEngine"]

DEFAULT_CONTEXT_TOKENS: Final = 4096
MAX_CRASHES: Final = 3
CANCEL_GRACE_S: Final = 30.0
SEND_TIMEOUT_S: Final = 10.0
CLOSE_GRACE_S: Final = 2.0
READ_SIZE: Final = 1 << 16
CONTROL: Final = 0  # the number under which answers to Load come; generations and probes count from 1
GGUF_MAGIC: Final = b"GGUF"


class EmbeddedEngine:
    """An `Engine` on one GGUF file that `inference.models` has installed.

    `threads` compute each generation, `parallel` generations share the model, and each has `context_tokens` (at most
    what the model was trained for). With `keep_prompts` a prompt that begins like the one before is read faster, which
    others can measure: only for an engine that serves one person.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        threads: int = 1,
        parallel: int = 1,
        context_tokens: int = DEFAULT_CONTEXT_TOKENS,
        keep_prompts: bool = False,
    ) -> None:
        if min(threads, parallel, context_tokens) < 1:
            raise ValueError("threads, parallel and context_tokens are at least 1")
        self._path = model_path
        self._threads = threads
        self._parallel = parallel
        self._context_tokens = context_tokens
        self._keep_prompts = keep_prompts
        self._slots = trio.Semaphore(parallel)
        self._starting = trio.Lock()
        self._idents = count(CONTROL + 1)
        self._tokenizer: Tokenizer | None = None
        self._info: ModelInfo | None = None
        self._child: _Child | None = None
        self._crashes = 0
        self._last_cause = ""
        self._restarts = 0
        self._closed = False

    async def load(self) -> None:
        if self._info is None:
            model, tokenizer = await trio.to_thread.run_sync(_check, self._path)
            # What the model was not trained for, it does not do: a longer context is cut to that.
            self._context_tokens = min(self._context_tokens, tokenizer.context_tokens)
            self._tokenizer = tokenizer
            self._info = ModelInfo(
                model.name,
                bytes.fromhex(model.digest),
                tokenizer.digest,
                model.quantisation,
                self._context_tokens,
                frozenset({PREFIX, SEED, COUNTED}),
            )
        await self._running_child()

    def models(self) -> tuple[ModelInfo, ...]:
        if self._info is None:
            raise LocalProtocolError("the engine is not loaded")
        return (self._info,)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._loaded_tokenizer().count_messages(messages)

    def count_text_tokens(self, text: str) -> int:
        return self._loaded_tokenizer().count_text(text)

    def answer_counter(self) -> AnswerCounter:
        return self._loaded_tokenizer().incremental()

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> "AsyncIterator[_EmbeddedGeneration]":
        tokens = self._loaded_tokenizer().encode_messages(messages, prefix)
        if len(tokens) >= self._context_tokens:
            raise ContextOverflow(len(tokens), self._context_tokens)
        async with self._slots:
            child = await self._running_child()
            ident = next(self._idents)
            request = Generate(
                ident,
                pack_tokens(tokens),
                min(parameters.max_tokens, self._context_tokens),
                parameters.temperature_thousandths,
                parameters.top_p_thousandths,
                parameters.seed,
                parameters.stop,
            )
            generation = _EmbeddedGeneration(child, ident)
            with child.inbox(ident):
                try:
                    await child.send(request)
                    yield generation
                finally:
                    await generation.end()
                    if generation.usage is not None:
                        self._crashes = 0

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        raise Unsupported("the embedded engine runs chat models, which make no embeddings")

    async def health(self) -> Health:
        child = self._child
        if child is None or child.is_dead:
            return Health(ready=False, generating=0, restarts=self._restarts, steps=0)
        ident = next(self._idents)
        try:
            with child.inbox(ident):
                await child.send(Probe(ident))
                status = await child.receive(ident)
        except EngineCrashed:
            return Health(ready=False, generating=0, restarts=self._restarts, steps=0)
        assert isinstance(status, Status)
        return Health(ready=True, generating=status.generating, restarts=self._restarts, steps=status.steps)

    async def aclose(self) -> None:
        self._closed = True
        # A load under way sees `_closed` and ends its child itself.
        if self._child is not None:
            await self._child.aclose()

    def _loaded_tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            raise LocalProtocolError("the engine is not loaded")
        return self._tokenizer

    async def _running_child(self) -> "_Child":
        async with self._starting:
            if self._closed:
                raise EngineCrashed("the engine was closed")
            if self._child is not None and self._child.is_dead:
                dead, self._child = self._child, None
                self._note_crash(dead.cause)
                self._restarts += 1
                await dead.aclose()
            if self._crashes >= MAX_CRASHES:
                raise EngineCrashed(
                    f"the engine crashed {self._crashes} times without one whole answer in between, the last time "
                    f"{self._last_cause}; it stays down until the node is started again"
                )
            if self._child is None:
                self._child = await self._start_child()
            return self._child

    async def _start_child(self) -> "_Child":
        child = await _Child.start()
        loaded = False
        try:
            with child.inbox(CONTROL):
                path = str(self._path.resolve())
                await child.send(Load(path, self._threads, self._parallel, self._context_tokens, self._keep_prompts))
                answer = await child.receive(CONTROL)
            if isinstance(answer, LoadFailed):
                raise ModelUnusable(
                    f"llama.cpp could not load {self._path}, though it is the file that was installed: there may be "
                    f"too little memory for {self._parallel} times {self._context_tokens} tokens, or this version of "
                    "xllamacpp does not know the model"
                )
            assert isinstance(answer, Loaded)
            if self._closed:
                raise EngineCrashed("the engine was closed while it loaded")
            loaded = True
        except EngineCrashed:
            self._note_crash(child.cause)
            raise
        finally:
            if not loaded:
                await child.aclose()
        return child

    def _note_crash(self, cause: str) -> None:
        self._crashes += 1
        self._last_cause = cause


class _EmbeddedGeneration:
    """The stream of one answer from the child."""

    def __init__(self, child: "_Child", ident: int) -> None:
        self._child = child
        self._ident = ident
        self._ended = False
        self.usage: Usage | None = None

    def __aiter__(self) -> "_EmbeddedGeneration":
        return self

    async def __anext__(self) -> Delta:
        if self._ended:
            raise StopAsyncIteration
        message = await self._child.receive(self._ident)
        if isinstance(message, Text):
            return Delta(message.text)
        self._ended = True
        if isinstance(message, Finished):
            self.usage = Usage(message.prompt_tokens, message.completion_tokens, message.cached_tokens)
            return Delta("", _finish_reason(message.reason))
        assert isinstance(message, Failed)
        if message.kind == "exceed_context_size_error":
            raise ContextOverflow(message.tokens, message.limit)
        raise EngineError(f"llama.cpp ended the generation with {message.kind!r}")

    async def end(self) -> None:
        """Cancels what is still going on and waits for its end."""
        if self._ended or self._child.ended:
            return
        with trio.move_on_after(CANCEL_GRACE_S) as grace:
            grace.shield = True
            try:
                await self._child.send(Cancel(self._ident))
                while isinstance(await self._child.receive(self._ident), Text):
                    pass
            except EngineCrashed:
                return  # it is ended, which is all that was wanted; the next generation counts the crash
        if grace.cancelled_caught:
            self._child.kill()


class _Child:
    """One run of the worker: its process, and who waits for which of its messages."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._frames = FrameReader(MAX_FRAME_SIZE)
        self._inboxes: dict[int, deque[Any]] = {}
        self._sending = trio.Lock()
        self._is_reading = False
        self._waiting = trio.lowlevel.ParkingLot()
        self._is_closing = False
        self.ended = False

    @classmethod
    async def start(cls) -> "_Child":
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelUnusable("the embedded engine needs the package xllamacpp: install peernet[host]")
        # The child finds this package where we did, however that was; -P keeps the working directory out of it.
        package = str(Path(inference.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", "-m", "inference._embedded_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return cls(process)

    def inbox(self, ident: int) -> "_Inbox":
        """Within it, messages with this number are kept for `receive`."""
        return _Inbox(self._inboxes, ident)

    async def send(self, message: object) -> None:
        """Raises `EngineCrashed`. A frame goes out whole or the child is of no more use: hence the shield."""
        data = frame(MESSAGES.encode(message))
        async with self._sending:
            with trio.move_on_after(SEND_TIMEOUT_S) as limit:
                limit.shield = True
                try:
                    await self._stdin.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    self._end()
                    raise EngineCrashed(f"the engine ended: {self.cause}") from error
            if limit.cancelled_caught:
                self.kill()
                raise EngineCrashed(f"the engine took no message for {SEND_TIMEOUT_S:.0f} s and was ended")

    async def receive(self, ident: int) -> Any:
        """The next message with this number; raises `EngineCrashed` when there will be none."""
        inbox = self._inboxes[ident]
        await trio.lowlevel.checkpoint()  # a full inbox must not keep the other tasks from running
        while not inbox:
            if self.ended:
                raise EngineCrashed(f"the engine ended: {self.cause}")
            if self._is_reading:
                await self._waiting.park()
                continue
            self._is_reading = True
            try:
                await self._read()
            finally:
                # Also when this reader is cancelled: one of the others takes over.
                self._is_reading = False
                self._waiting.unpark_all()
        return inbox.popleft()

    async def _read(self) -> None:
        try:
            data = bytes(await self._stdout.receive_some(READ_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            await self._reap()
            self._end()
            return
        try:
            self._frames.feed(data)
            while (message := self._frames.next()) is not None:
                self._hand_out(MESSAGES.decode(message))
        except RemoteProtocolError as error:
            self.kill()
            raise EngineCrashed("the engine sent what is no message and was ended") from error

    def _hand_out(self, message: Any) -> None:
        # Nobody waits for a message of a generation that was given up.
        inbox = self._inboxes.get(getattr(message, "ident", CONTROL))
        if inbox is not None:
            inbox.append(message)

    async def _reap(self) -> None:
        """Waits for a process that has closed its output, or is told to end."""
        with trio.move_on_after(CLOSE_GRACE_S) as grace:
            grace.shield = True
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()

    def _end(self) -> None:
        self.ended = True
        self._waiting.unpark_all()

    def kill(self) -> None:
        """Ends the process without waiting for it."""
        self._process.kill()
        self._end()

    @property
    def is_dead(self) -> bool:
        """The process is gone, though its last messages may not have been read."""
        return self.ended or self._process.returncode is not None

    @property
    def cause(self) -> str:
        """How the process ended, in words."""
        if self._is_closing:
            return "it was closed"
        code = self._process.returncode
        if code is None:
            return "it answered no more"
        return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    async def aclose(self) -> None:
        """Ends the process and waits until it is gone; may be repeated."""
        self._is_closing = self._is_closing or not self.ended
        with trio.CancelScope(shield=True):
            await self._stdin.aclose()
            await self._reap()
            self._end()
            await self._stdout.aclose()


class _Inbox:
    """The messages of one number, while somebody is there to read them."""

    def __init__(self, inboxes: dict[int, deque[Any]], ident: int) -> None:
        self._inboxes = inboxes
        self._ident = ident

    def __enter__(self) -> None:
        self._inboxes[self._ident] = deque()

    def __exit__(self, *_: object) -> None:
        del self._inboxes[self._ident]


def _finish_reason(reason: str) -> FinishReason:
    return "length" if reason == "length" else "stop"


def _check(path: Path) -> tuple[InstalledModel, Tokenizer]:
    """The model's description and tokenizer, once its file has proven to be the one that was installed; blocks."""
    if not path.is_file():
        raise ModelUnusable(f"there is no model file {path}; install one with `peernet model pull`")
    with path.open("rb") as file:
        if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise ModelUnusable(f"{path} is not a GGUF file, which is what llama.cpp runs; name another one")
    model = read_installed(path.parent)
    if model.file != path.name:
        raise ModelUnusable(f"{path} is not the model that is installed there, which is {model.file}")
    if path.stat().st_size != model.size or file_digest(path).hex() != model.digest:
        raise ModelUnusable(f"{path} has changed since it was installed; install it again with `peernet model pull`")
    tokenizer = Tokenizer.load(path.parent)
    if tokenizer.digest.hex() != model.tokenizer_digest:
        raise ModelUnusable(
            f"the tokenizer beside {path} has changed since it was installed; "
            "install the model again with `peernet model pull`"
        )
    return model, tokenizer
