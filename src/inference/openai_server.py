"""An engine on a server that speaks OpenAI's API: Ollama, llama.cpp, vLLM, or a service.

Tokens are counted here, by the tokenizer that is installed under the model's name, which host and client have alike.
It need not be the model's own (`peernet model add`). How much the server agrees with it is found out when it loads:

1. **by ids**: the server's `/tokenize` gives our ids for texts in which tokenizers differ, and its completions take
   ids. It then gets the very tokens that are counted: its usage is ours (`COUNTED`), and an answer goes on from a
   prefix (`PREFIX`). llama.cpp and vLLM are such, if the tokenizer is the model's own.
2. **by messages**: any other server gets the conversation and renders it itself. A prefix is refused, since what a
   server makes of a half answer is its own affair. `COUNTED` holds where its usage for the same texts is ours.

Rules:

1. What the parameters do not say (top-k, penalties) is as the server's operator set it. A seed is handed on, and
   nothing is promised of it: `SEED` is claimed only by who started the server and knows it.
2. Leaving a generation closes its connection, which ends the work in every server that watches for that.
3. What the server says in an error is not repeated: some quote the prompt. A status and our own words are.
4. The server is somebody's program. Each answer is bounded in size and in silence, and is checked before it is used.

OpenAI's API reference: models, completions, chat completions; `/tokenize`, `/metrics`, `/health` as vLLM and llama.cpp
document them.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import trio
from attrs import define, field, frozen

from inference._http import Answer, Endpoint, EventReader, Reply, ask, exchange, parse
from inference.engine import (
    COUNTED,
    PREFIX,
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
from inference.models import InstalledModel
from inference.tokenizer import Tokenizer
from peernet.core.errors import LocalProtocolError

__all__ = ["MAX_SILENCE_S", "Endpoint", "OpenAIEngine"]

MAX_SILENCE_S: Final = 300.0
"""How long a server may say nothing: one that loads a large model when it is first asked is silent for minutes."""
HEALTH_TIMEOUT_S: Final = 5.0
MAX_NAMES_SHOWN: Final = 8

T = TypeVar("T")

# Where tokenizers differ: digits, spaces, letters outside English, code, and characters outside the first plane.
_PROBES: Final = (
    "The quick brown fox doesn't jump over 1234567890 lazy dogs.",
    "def f(x):\n    return {k: v**2 for k, v in x.items()}  # \t\n\n\n",
    "Größe, naïve café, Привет, 日本語のテキスト、です。 👩‍👩‍👧 ½",
)


class OpenAIEngine:
    """An `Engine` on a server that runs already.

    Args:
        endpoint: its API, with `/v1` where it has that.
        model: what is offered, and how it is counted (`peernet model pull` or `peernet model add`).
        served: the model's name on the server; empty for `model`'s own name, or for the only one that there is.
        parallel: generations at a time; the others wait here, in order.
        context_tokens: at most, prompt and answer together; less where server or tokenizer have less.
        claims: capabilities that the caller knows of.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: InstalledModel,
        *,
        served: str = "",
        parallel: int = 1,
        context_tokens: int = 4096,
        claims: frozenset[str] = frozenset(),
    ) -> None:
        if min(parallel, context_tokens) < 1:
            raise ValueError("parallel and context_tokens are at least 1")
        self._endpoint = endpoint
        self._model = model
        self._served = served
        self._context_tokens = context_tokens
        self._claims = claims
        self._slots = trio.Semaphore(parallel)
        self._tokenizer: Tokenizer | None = None
        self._info: ModelInfo | None = None
        self._gauges: _Gauges | None = None
        self._own = _Gauges(0, 0)
        self._open: set[_ServerGeneration] = set()
        self._closed = False

    async def load(self) -> None:
        if self._closed:
            raise EngineCrashed("the engine was closed")
        if self._info is not None:
            return
        tokenizer = await trio.to_thread.run_sync(Tokenizer.load, self._model.folder)
        if tokenizer.digest.hex() != self._model.tokenizer_digest:
            raise ModelUnusable(
                f"the tokenizer in {self._model.folder} has changed since it was installed; remove that folder, and "
                "install the model again with `peernet model pull` or `peernet model add`"
            )
        probe = _Probe(self._endpoint, tokenizer)
        try:
            self._served, limit = await probe.choose_model(self._served, self._model.name)
            agreed = await probe.agreement(self._served)
            self._gauges = await self._read_gauges()
        except EngineCrashed as error:
            raise ModelUnusable(f"{error}: start the server, or name another with --engine-url") from error
        self._context_tokens = min(self._context_tokens, tokenizer.context_tokens, limit or self._context_tokens)
        self._tokenizer = tokenizer
        self._info = ModelInfo(
            self._model.name,
            bytes.fromhex(self._model.digest),
            tokenizer.digest,
            self._model.quantisation,
            self._context_tokens,
            agreed | self._claims,
        )

    def models(self) -> tuple[ModelInfo, ...]:
        return (self._loaded_info(),)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._loaded_tokenizer().count_messages(messages)

    def count_text_tokens(self, text: str) -> int:
        return self._loaded_tokenizer().count_text(text)

    def answer_counter(self) -> AnswerCounter:
        return self._loaded_tokenizer().incremental()

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> "AsyncIterator[_ServerGeneration]":
        by_ids = PREFIX in self._loaded_info().capabilities
        if prefix and not by_ids:
            raise Unsupported("this server gets whole conversations, and cannot go on from a prefix")
        tokens = self._loaded_tokenizer().encode_messages(messages, prefix)
        if len(tokens) >= self._context_tokens:
            raise ContextOverflow(len(tokens), self._context_tokens)
        body = _sampling(self._served, parameters, self._context_tokens - len(tokens))
        if by_ids:
            name = "completions"
            body["prompt"] = tokens
        else:
            name = "chat/completions"
            body["messages"] = [{"role": message.role, "content": message.content} for message in messages]
        async with self._slots:
            if self._closed:
                raise EngineCrashed("the engine was closed")
            generation = _ServerGeneration(self._own, self._loaded_tokenizer(), len(tokens), self._context_tokens)
            self._open.add(generation)
            self._own.generating += 1
            try:
                async with exchange(self._endpoint, "POST", name, body, timeout_s=MAX_SILENCE_S) as reply:
                    await generation.begin(reply)
                    yield generation
            finally:
                self._own.generating -= 1
                self._open.discard(generation)

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        raise Unsupported("this engine serves a chat model, which makes no embeddings")

    async def health(self) -> Health:
        down = Health(ready=False, generating=0, restarts=0, steps=0)
        if self._closed or self._info is None:
            return down
        try:
            # A server that publishes numbers is asked for them; another one for its models.
            gauges = self._gauges and await self._read_gauges()
            if gauges is None:
                answer = await ask(self._endpoint, "GET", "models", timeout_s=HEALTH_TIMEOUT_S)
                if answer.status != 200:
                    return down
                gauges = self._own
        except EngineError:
            return down
        return Health(ready=True, generating=gauges.generating, restarts=0, steps=gauges.steps)

    async def aclose(self) -> None:
        self._closed = True
        for generation in self._open:
            generation.interrupt()
        await trio.lowlevel.checkpoint()

    async def _read_gauges(self) -> "_Gauges | None":
        answer = await ask(self._endpoint.root, "GET", "metrics", timeout_s=HEALTH_TIMEOUT_S)
        return _Gauges.of(answer.body.decode("utf-8", "replace")) if answer.status == 200 else None

    def _loaded_info(self) -> ModelInfo:
        if self._info is None:
            raise LocalProtocolError("the engine is not loaded")
        return self._info

    def _loaded_tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            raise LocalProtocolError("the engine is not loaded")
        return self._tokenizer


def _sampling(served: str, parameters: Parameters, room: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": served,
        "max_tokens": min(parameters.max_tokens, room),
        "temperature": parameters.temperature_thousandths / 1000,
        "top_p": parameters.top_p_thousandths / 1000,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if parameters.seed is not None:
        body["seed"] = parameters.seed
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    return body


@define
class _Gauges:
    """What a server is doing."""

    generating: int
    steps: int

    @classmethod
    def of(cls, metrics: str) -> "_Gauges | None":
        """From Prometheus' text, of vLLM or of llama.cpp; None for another server's."""
        sums: dict[str, float] = {}
        for name, value in re.findall(r"^([a-z:_]+)(?:\{[^\n]*\})? ([0-9.e+]+)$", metrics, re.MULTILINE):
            sums[name] = sums.get(name, 0) + float(value)
        for running, waiting, steps in _GAUGES:
            if running in sums and steps in sums:
                return cls(int(sums[running] + sums.get(waiting, 0)), int(sums[steps]))
        return None


_GAUGES: Final = (
    ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:iteration_tokens_total_count"),
    ("llamacpp:requests_processing", "llamacpp:requests_deferred", "llamacpp:n_decode_total"),
)


@define(eq=False)
class _ServerGeneration:
    """The stream of one answer."""

    _own: _Gauges
    _tokenizer: Tokenizer
    _prompt_tokens: int
    _limit: int
    usage: Usage | None = None
    told: Usage | None = None
    """Usage in the server's own words, where it says any."""
    _reply: Reply | None = None
    _events: EventReader = field(factory=EventReader)
    _ready: list[Delta] = field(factory=list, repr=False)
    _text: list[str] = field(factory=list, repr=False)
    _reason: FinishReason | None = None
    _ended: bool = False
    _reading: trio.CancelScope | None = None
    _is_interrupted: bool = False

    async def begin(self, reply: Reply) -> None:
        """Takes the head of the answer; raises what it says is wrong."""
        self._reply = reply
        await self._wait(reply.begin)
        if reply.status == 200 and reply.type == "text/event-stream":
            return
        if reply.status == 200:
            raise EngineError("the server does not stream its answer")
        raise _refused(Answer(reply.status, await reply.read_all()), self._prompt_tokens, self._limit)

    def __aiter__(self) -> "_ServerGeneration":
        return self

    async def __anext__(self) -> Delta:
        if self._ended:
            raise StopAsyncIteration
        await trio.lowlevel.checkpoint()
        while not self._ready:
            await self._read()
        delta = self._ready.pop(0)
        if delta.finish_reason is not None:
            self._ended = True
            self.usage = self.told or Usage(self._prompt_tokens, self._tokenizer.count_text("".join(self._text)))
        return delta

    def interrupt(self) -> None:
        """Ends it for whoever waits for its next delta."""
        self._is_interrupted = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        assert self._reply is not None
        data = await self._wait(self._reply.read)
        if not data:
            self._finish()
        for event in self._events.feed(data):
            if event == b"[DONE]":
                self._finish()
                return
            self._take(parse(event))

    async def _wait(self, what: Callable[[], Awaitable[T]]) -> T:
        if not self._is_interrupted:
            with trio.CancelScope() as self._reading:
                return await what()
        raise EngineCrashed("the engine was closed")

    def _finish(self) -> None:
        if self._reason is None:
            raise EngineCrashed("the server ended its answer in the middle")
        self._ready.append(Delta("", self._reason))

    def _take(self, chunk: Mapping[str, Any]) -> None:
        """One event: text, a reason to end, usage, or an error."""
        if chunk.get("error") is not None:
            raise EngineError("the server ended the generation with an error")
        try:
            for choice in chunk.get("choices") or ():
                text = choice["text"] if "text" in choice else choice["delta"].get("content")
                reason = choice.get("finish_reason")
                if text:
                    self._ready.append(Delta(_text(text)))
                    self._text.append(text)
                    self._own.steps += 1
                if reason is not None:
                    self._reason = "length" if reason == "length" else "stop"
            if (usage := chunk.get("usage")) is not None:
                self.told = _usage(usage)
            damaged = False
        except (KeyError, TypeError, AttributeError, ValueError):
            damaged = True
        # Raised outside: a KeyError may hold a piece of what was sent.
        if damaged:
            raise EngineError("the server sent an event that is not as OpenAI's API has it")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half a surrogate pair is no text; UnicodeEncodeError is a ValueError
    return value


def _usage(usage: Mapping[str, Any]) -> Usage:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    counts = usage["prompt_tokens"], usage["completion_tokens"], cached
    if not all(type(count) is int and count >= 0 for count in counts):
        raise TypeError
    return Usage(*counts)


def _refused(answer: Answer, tokens: int, limit: int) -> EngineError:
    """What a refusal means, without a word of it."""
    value = answer.json()
    error = value.get("error") if isinstance(value, dict) else None
    fields = ("code", "type", "message")
    words = " ".join(str(error.get(name)) for name in fields).lower() if isinstance(error, dict) else ""
    if answer.status in (400, 413) and "context" in words:
        # By the server's own count, which is another than ours.
        return ContextOverflow(max(tokens, limit + 1), limit)
    if answer.status in (401, 403):
        return EngineError("the server refused the key: give it in PEERNET_ENGINE_KEY, or with --engine-key-file")
    if answer.status >= 500:
        return EngineCrashed(f"the server failed (status {answer.status})")
    return EngineError(f"the server refused the request (status {answer.status})")


@frozen
class _Probe:
    """Finds out what a server has and can; raises `ModelUnusable` with what to do."""

    _endpoint: Endpoint
    _tokenizer: Tokenizer

    async def choose_model(self, wanted: str, name: str) -> tuple[str, int]:
        """The model's name there, and its context in tokens, or 0 where the server does not say."""
        answer = await ask(self._endpoint, "GET", "models", timeout_s=MAX_SILENCE_S)
        if answer.status in (401, 403):
            raise ModelUnusable(str(_refused(answer, 0, 0)))
        value = answer.json()
        entries = value.get("data") if isinstance(value, dict) else None
        if answer.status != 200 or not isinstance(entries, list):
            raise ModelUnusable(
                f"{self._endpoint} lists no models (status {answer.status}): an OpenAI-compatible URL mostly ends in "
                "/v1; look at --engine-url"
            )
        models = {entry["id"]: entry for entry in entries if isinstance(entry, dict) and type(entry.get("id")) is str}
        for choice in (wanted,) if wanted else (name, f"{name}:latest", *(models if len(models) == 1 else ())):
            if choice in models:
                return choice, _context(models[choice])
        listed = ", ".join(repr(model)[:80] for model in list(models)[:MAX_NAMES_SHOWN]) or "none"
        raise ModelUnusable(
            f"the server at {self._endpoint} has no model {wanted or name!r}; it has: {listed}. "
            "Say which with --engine-model"
        )

    async def agreement(self, served: str) -> frozenset[str]:
        """The capabilities that follow from how the server counts."""
        tokens = self._tokenizer.encode_messages([Message("user", _PROBES[0])])
        if await self._has_our_ids(served) and await self._streams(served, "completions", {"prompt": tokens}, tokens):
            return frozenset({PREFIX, COUNTED})
        counted = []
        for text in _PROBES:
            tokens = self._tokenizer.encode_messages([Message("user", text)])
            body = {"messages": [{"role": "user", "content": text}]}
            counted.append(await self._streams(served, "chat/completions", body, tokens, must=True))
        return frozenset({COUNTED}) if all(counted) else frozenset()

    async def _has_our_ids(self, served: str) -> bool:
        for text in _PROBES:
            # vLLM's names and llama.cpp's, each of which passes over the other's.
            body = {"model": served, "prompt": text, "content": text}
            plain = {"add_special_tokens": False, "add_special": False}
            answer = await ask(self._endpoint.root, "POST", "tokenize", body | plain, timeout_s=MAX_SILENCE_S)
            value = answer.json()
            if not isinstance(value, dict) or value.get("tokens") != self._tokenizer.encode_text(text):
                return False
        return True

    async def _streams(
        self, served: str, name: str, prompt: dict[str, Any], tokens: list[int], *, must: bool = False
    ) -> bool:
        """Whether a token of an answer comes as a stream, for a prompt of as many tokens as we count."""
        body = _sampling(served, Parameters(max_tokens=1, temperature_thousandths=0), 1) | prompt
        generation = _ServerGeneration(_Gauges(0, 0), self._tokenizer, len(tokens), self._tokenizer.context_tokens)
        try:
            async with exchange(self._endpoint, "POST", name, body, timeout_s=MAX_SILENCE_S) as reply:
                await generation.begin(reply)
                async for _ in generation:
                    pass
        except EngineCrashed:
            raise
        except EngineError as error:
            if must:
                raise ModelUnusable(f"{self._endpoint} cannot be used: asked for one token, {error}") from error
            return False
        return generation.told is not None and generation.told.prompt_tokens == len(tokens)


def _context(entry: Mapping[str, Any]) -> int:
    """As vLLM (`max_model_len`) and llama.cpp (`meta.n_ctx`) say it."""
    meta = entry.get("meta")
    told = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return told if type(told) is int and told > 0 else 0
