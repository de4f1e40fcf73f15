"""`/v1/chat/completions`: one request in, an answer or a stream of it out, and an end when its reader leaves.

Theory of operation. A request has a task that asks the network, one that waits for its reader to leave, and one that
writes. Whoever is done first ends the others: a reader who leaves cancels the asking, which ends the rings, and so the
hosts' generations.

Rules:

1. A stream begins with the first word of an answer. Whatever goes wrong before that has its HTTP status; afterwards it
   is an event with an error object, and no `[DONE]`. With `include_exposure`, ours alone, it begins with the plan, and
   has the receipt whenever that changes, in events named `peernet.exposure`.
2. A fragment that failed beside others is said in the text, where its answer would be. Where none was answered, the
   request failed.
3. Usage is what was metered, summed over the fragments: see `Answered`.
4. No more than `parallel` requests at a time; who comes then is told when to come again.

Source: OpenAI's API reference, "Chat completion object" and "Chat completion chunk object"; WHATWG server-sent events.
"""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
import trio
from attrs import define, field
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from peernet.client.client import ChatSession, Client
from peernet.client.events import Answered, AnswerText, Event, FragmentText, Masked, Planned
from peernet.client.reply import Pending, first_of
from peernet.core.errors import PeernetError
from peernet.gateway.conversations import Conversations
from peernet.gateway.errors import RETRY_AFTER_S, ApiError, bug, failure_of, refusal_of
from peernet.gateway.exposures import EXPOSURE_HEADER, SUMMARY_HEADER, Exposures, summary_of
from peernet.gateway.progress import Progress
from peernet.gateway.requests import ChatRequest, parse_request
from peernet.gateway.settings import GatewaySettings

__all__ = ["Completions"]

MAX_BODY_SIZE: Final = 2 << 20
BODY_TIMEOUT_S: Final = 30.0
EXPOSURE_EVENT: Final = "peernet.exposure"

log = structlog.get_logger()


@define(eq=False)
class _Exchange:
    """One request on its way."""

    request: ChatRequest
    identity: str = field(factory=lambda: f"chatcmpl-{secrets.token_hex(16)}")
    created_s: int = field(factory=lambda: int(time.time()))
    pending: Pending = field(factory=Pending)
    begun: trio.Event = field(factory=trio.Event)
    """The first word of an answer is there, or the plan that was asked for, or nothing more comes."""
    said: list[str] = field(factory=list, repr=False)
    found: dict[str, int] = field(factory=dict)
    """How many identifiers the message has, by label."""
    progress: Progress | None = None
    receipt: dict[str, Any] | None = None
    receipt_changed: bool = False
    answered: Answered | None = None
    error: ApiError | None = None

    def note(self, event: Event) -> None:
        """Takes what happens to the request."""
        if isinstance(event, Masked):
            self.found = dict(event.counts)
        elif isinstance(event, Planned):
            self.progress = Progress(self.identity, self.request.model, self.found, event)
            self._change_receipt()
        elif isinstance(event, AnswerText):
            self.said.append(event.text)
        elif isinstance(event, FragmentText):
            self.begun.set()
        if self.progress is not None and self.progress.on_event(event):
            self._change_receipt()
        self.pending.on_event(event)

    def _change_receipt(self) -> None:
        if self.request.include_exposure:
            self.receipt_changed = True
            self.pending.wake()
            self.begun.set()

    def end(self) -> None:
        self.pending.close()
        self.begun.set()


class Completions:
    """The endpoint, as an ASGI application."""

    def __init__(
        self,
        client: Client,
        settings: GatewaySettings,
        conversations: Conversations[ChatSession],
        exposures: Exposures,
        failed: Callable[[str], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._conversations = conversations
        self._exposures = exposures
        self._failed = failed
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; raises `ApiError` for one that cannot be served, before anything was answered."""
        body = await _body(receive)
        if body is None:
            return
        request = parse_request(body, self._settings.max_answer_tokens)
        if self._running >= self._settings.parallel:
            raise ApiError(
                429,
                f"{self._running} requests are being answered, and no more at a time: come again in a moment",
                "rate_limit_error",
                code="rate_limit_exceeded",
                retry_after_s=RETRY_AFTER_S,
            )
        self._running += 1
        try:
            await self._serve(_Exchange(request), scope, receive, send)
        finally:
            self._running -= 1

    async def _serve(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_wait_left, receive, nursery.cancel_scope)
            nursery.start_soon(self._ask, exchange)
            await exchange.begun.wait()
            # A program that wants it whole waits for the end.
            if exchange.request.stream and exchange.error is None:
                await _stream(exchange, send)
            else:
                while await exchange.pending.take() is not None:
                    pass
                await _respond(exchange)(scope, receive, send)
            nursery.cancel_scope.cancel()

    async def _ask(self, exchange: _Exchange) -> None:
        try:
            exchange.answered = await self._answer(exchange)
            exchange.error = failure_of(exchange.answered)
        except* PeernetError as errors:
            exchange.error = refusal_of(first_of(errors))
        except* Exception as errors:  # noqa: BLE001  (the outermost task of a request)
            kind = type(first_of(errors)).__name__
            self._failed(kind)
            log.warning("a request broke", error=kind)
            exchange.error = bug(first_of(errors))
        finally:
            if exchange.progress is not None:
                exchange.progress.break_off()
        exchange.end()

    async def _answer(self, exchange: _Exchange) -> Answered:
        request = exchange.request
        model = await self._client.counted(request.model)

        def open_session(history: Any) -> ChatSession:
            return ChatSession(self._client, model, history)

        def on_event(event: Event) -> None:
            exchange.note(event)
            if isinstance(event, Planned) and exchange.progress is not None:
                exchange.receipt = self._exposures.planned(exchange.progress)

        with self._conversations.taken(model.name, request.messages, open_session) as taken:
            answered = await taken.session.ask(request.messages[-1].content, on_event, request.sampling)
            exchange.receipt = self._exposures.answered(exchange.identity, request.model, answered)
            if failure_of(answered) is None:
                taken.keep(answered.text, "".join(exchange.said))
        return answered


async def _body(receive: Receive) -> bytes | None:
    """The body; None where the program left. Raises `ApiError` for one that is too large or too slow."""
    body = bytearray()
    with trio.move_on_after(BODY_TIMEOUT_S):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > MAX_BODY_SIZE:
                raise ApiError(413, f"a request has at most {MAX_BODY_SIZE} bytes", code="request_too_large")
            if not message.get("more_body", False):
                return bytes(body)
    raise ApiError(408, f"the request's body took over {BODY_TIMEOUT_S:g} s", code="timeout")


async def _wait_left(receive: Receive, whole: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    whole.cancel()


# --- answers ---------------------------------------------------------------------------------------------------------


def _respond(exchange: _Exchange) -> JSONResponse:
    """The whole answer, or the error object in its place."""
    headers = {EXPOSURE_HEADER: exchange.identity}
    if exchange.error is not None:
        return JSONResponse(exchange.error.body, exchange.error.status, headers | exchange.error.headers)
    answered = exchange.answered
    assert answered is not None
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answered.text, "refusal": None},
        "logprobs": None,
        "finish_reason": answered.finish_reason,
    }
    completion = {
        "id": exchange.identity,
        "object": "chat.completion",
        "created": exchange.created_s,
        "model": exchange.request.model,
        "choices": [choice],
        "usage": _usage(answered),
    }
    return JSONResponse(completion, headers=headers | {SUMMARY_HEADER: summary_of(answered)})


async def _stream(exchange: _Exchange, send: Send) -> None:
    headers = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        EXPOSURE_HEADER: exchange.identity,
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send(_event(_chunk(exchange, {"role": "assistant", "content": ""})))
    while (text := await exchange.pending.take()) is not None:
        if exchange.receipt is not None and exchange.receipt_changed:
            exchange.receipt_changed = False
            await send(_event(exchange.receipt, EXPOSURE_EVENT))
        if text:
            await send(_event(_chunk(exchange, {"content": text})))
    if exchange.receipt is not None and exchange.request.include_exposure:
        await send(_event(exchange.receipt, EXPOSURE_EVENT))
    if exchange.error is not None:
        await send(_event(exchange.error.body))
    else:
        assert exchange.answered is not None
        await send(_event(_chunk(exchange, {}, exchange.answered.finish_reason)))
        if exchange.request.include_usage:
            last = _chunk(exchange, {}) | {"choices": [], "usage": _usage(exchange.answered)}
            await send(_event(last))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _chunk(exchange: _Exchange, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "id": exchange.identity,
        "object": "chat.completion.chunk",
        "created": exchange.created_s,
        "model": exchange.request.model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }
    return chunk | {"usage": None} if exchange.request.include_usage else chunk


def _usage(answered: Answered) -> dict[str, int]:
    return {
        "prompt_tokens": answered.prompt_tokens,
        "completion_tokens": answered.answer_tokens,
        "total_tokens": answered.prompt_tokens + answered.answer_tokens,
    }


def _event(data: dict[str, Any], name: str | None = None) -> Message:
    # JSON has no line breaks of its own: one event, one line.
    named = "" if name is None else f"event: {name}\n"
    body = f"{named}data: {json.dumps(data)}\n\n".encode()
    return {"type": "http.response.body", "body": body, "more_body": True}
