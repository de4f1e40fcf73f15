"""The engine port: what every inference engine offers, whichever program computes.

Rules:

1. `generate` is an async context manager: inside it deltas come one by one, and leaving it, however that happens,
   ends the work in the engine. Nothing goes on computing for a reader who left.
2. The last delta of a whole answer carries a finish reason, and no other does; after it the stream ends and `usage`
   is known.
3. What may cost a token is counted by the model's own tokenizer: `count_tokens` for a conversation as it will be
   prompted, `count_text_tokens` for an answer or a prefix. The prompt's price is the first plus the prefix's second.
   An answer that grows is counted by an `answer_counter`: always what the whole of it would count, at the cost of
   what is new.
   An engine on somebody's server may count with a tokenizer that is not the model's: then it lacks `COUNTED`.
4. With `prefix` the answer goes on where that text ends; only models whose `capabilities` hold `PREFIX` take one.
5. No prompt and no answer is in an exception's message, in a `repr`, in a log or in a file.

Design, section 7.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol

from attrs import Attribute, field, frozen

from peernet.core.errors import PeernetError, UserError

__all__ = [
    "COUNTED",
    "EMBED",
    "MAX_STOPS",
    "MAX_STOP_LENGTH",
    "PREFIX",
    "ROLES",
    "SEED",
    "AnswerCounter",
    "ContextOverflow",
    "Delta",
    "Engine",
    "EngineCrashed",
    "EngineError",
    "FinishReason",
    "Generation",
    "Health",
    "Message",
    "ModelInfo",
    "ModelUnusable",
    "Parameters",
    "Unsupported",
    "Usage",
]

FinishReason = Literal["stop", "length"]

ROLES: Final = ("system", "user", "assistant", "tool")
MAX_STOPS: Final = 16
MAX_STOP_LENGTH: Final = 256
# llama.cpp takes the largest 32-bit number to mean "choose one".
MAX_SEED: Final = 0xFFFF_FFFE

# Capabilities of a model under an engine.
PREFIX: Final = "prefix"  # goes on from a text already received
SEED: Final = "seed"  # the same seed and parameters give the same answer on the same machine
EMBED: Final = "embed"  # `embed` answers
COUNTED: Final = "counted"  # the engine's own usage is what `count_tokens` says; metering goes by the latter anyway


class EngineError(PeernetError):
    """The root of what an engine raises on purpose."""


class ModelUnusable(EngineError, UserError):
    """The model, or what it needs to run, is missing or damaged; the message says what to do."""


class ContextOverflow(EngineError):
    """The prompt leaves no room for an answer: `tokens` in it, `limit` in the model's context."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the prompt has {tokens} tokens and the context {limit}, the answer included; shorten it")
        self.tokens = tokens
        self.limit = limit


class EngineCrashed(EngineError):
    """The engine's process ended while it was needed; the generations in flight are lost."""


class Unsupported(EngineError):
    """This engine or model has no such ability."""


def _is_encodable(text: str) -> bool:
    # A lone surrogate has no UTF-8 form. A function of its own, since UnicodeEncodeError carries the text.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@frozen
class Message:
    """One turn of a conversation."""

    role: str = field()
    """One of `ROLES`: it becomes part of the prompt's frame, and so is nobody's free text."""
    content: str = field(repr=False)

    @role.validator
    def _check_role(self, _: "Attribute[str]", value: str) -> None:
        if value not in ROLES:
            raise ValueError(f"a message's role is one of {', '.join(ROLES)}")

    @content.validator
    def _check_content(self, _: "Attribute[str]", value: str) -> None:
        if not _is_encodable(value):
            raise ValueError("a message holds half a surrogate pair, which is no character")


@frozen
class Parameters:
    """How to sample, in integers, so that it can be signed and compared."""

    max_tokens: int = field(default=512)
    """At least 1. An answer also ends where the context is full."""
    temperature_thousandths: int = field(default=1000)
    """0 (always the likeliest token) to 2000."""
    top_p_thousandths: int = field(default=1000)
    """1 to 1000 (no cut)."""
    seed: int | None = field(default=None)
    """0 to `MAX_SEED`, or None for one that the engine chooses."""
    stop: tuple[str, ...] = field(default=(), repr=False)
    """The answer ends before the first of these texts; at most `MAX_STOPS`."""

    def __attrs_post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {self.max_tokens}")
        if not 0 <= self.temperature_thousandths <= 2000:
            raise ValueError(f"temperature_thousandths is 0 to 2000, not {self.temperature_thousandths}")
        if not 1 <= self.top_p_thousandths <= 1000:
            raise ValueError(f"top_p_thousandths is 1 to 1000, not {self.top_p_thousandths}")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed is 0 to {MAX_SEED}, not {self.seed}")
        if len(self.stop) > MAX_STOPS:
            raise ValueError(f"at most {MAX_STOPS} stop texts, not {len(self.stop)}")
        for text in self.stop:
            if not 1 <= len(text) <= MAX_STOP_LENGTH:
                raise ValueError(f"a stop text has 1 to {MAX_STOP_LENGTH} characters, not {len(text)}")
            if not _is_encodable(text):
                raise ValueError("a stop text holds half a surrogate pair, which is no character")


@frozen
class Delta:
    """The next piece of an answer."""

    text: str = field(repr=False)
    finish_reason: FinishReason | None = None
    """`stop`: the model ended or met a stop text. `length`: max_tokens or the context was reached."""


@frozen
class Usage:
    """What the engine itself counted, or this node where a server says nothing.

    The answer's tokens may include the one that ended it.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Of the prompt, those that the engine still had from before and did not compute again."""


@frozen
class ModelInfo:
    """A model as a host offers it."""

    name: str
    digest: bytes
    """SHA-256 of the weights' file; 32 zero bytes where a server has them, and this node does not."""
    tokenizer_digest: bytes
    """SHA-256 over the files that metering counts with (`inference.tokenizer`)."""
    quantisation: str
    context_tokens: int
    """Prompt and answer together, for one generation."""
    capabilities: frozenset[str] = frozenset()


@frozen
class Health:
    """An engine's state, as the engine itself has it."""

    ready: bool
    """It answers now. One that crashed is not ready until the next `load` or `generate` has restarted it."""
    generating: int
    """Generations that it is computing or has queued."""
    restarts: int
    """Since `load`."""
    steps: int
    """Batches that it has computed since it was started, as the engine counts them: idle engines stand still.

    An engine on a server that publishes no such number counts the pieces that it was sent, and `generating` is then
    what it has asked for and not left.
    """


class Generation(Protocol):
    """The stream of one answer."""

    @property
    def usage(self) -> Usage | None:
        """Known once the last delta has come."""
        ...

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    async def __anext__(self) -> Delta:
        """The next delta; raises `ContextOverflow`, `EngineCrashed` or another `EngineError`."""
        ...


class AnswerCounter(Protocol):
    """Counts one answer as it grows."""

    def feed(self, delta: str) -> int:
        """Takes the next piece, and gives the tokens of all that came so far.

        The total may fall, where a piece completes a token.
        """
        ...


class Engine(Protocol):
    """Inference under one roof. Every method but the first needs a loaded engine."""

    async def load(self) -> None:
        """Makes the engine ready, from nothing or after a crash; raises `ModelUnusable` or `EngineCrashed`."""
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """What it serves; the first one is what the other methods speak of."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt that these messages become, up to where the answer begins."""
        ...

    def count_text_tokens(self, text: str) -> int:
        """Tokens of a text on its own."""
        ...

    def answer_counter(self) -> AnswerCounter:
        """A counter of one answer, whose total is always `count_text_tokens` of the whole so far."""
        ...

    def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AbstractAsyncContextManager[Generation]:
        """One answer; `prefix` is the beginning of it that the reader has already, and is not repeated.

        Raises `ContextOverflow` on entering or at the first delta, `Unsupported` for a prefix where the model has no
        `PREFIX`. On leaving, the engine has ended this generation.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """One vector a text; raises `Unsupported` where the model has no `EMBED`."""
        ...

    async def health(self) -> Health:
        """Asks the engine; never raises for one that has crashed."""
        ...

    async def aclose(self) -> None:
        """Ends the engine and every process of it; generations in flight get `EngineCrashed`. May be repeated."""
        ...
