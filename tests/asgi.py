"""Asking an ASGI application without a server: one request, all of its answer, and a reader who may leave."""

import json
from collections.abc import Mapping
from typing import Any

import trio
from attrs import frozen
from starlette.types import ASGIApp, Message

__all__ = ["Answer", "ask"]


@frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error object, whole."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    left: trio.Event | None = None,
) -> Answer:
    """One request; a `body` that is not bytes goes as JSON. The reader leaves when `left` is set."""
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"host": "127.0.0.1:8080", "content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "client": None,
        "server": None,
    }
    messages: list[Message] = []
    waiting = [{"type": "http.request", "body": sent, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await (trio.Event() if left is None else left).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        messages.append(message)

    await app(scope, receive, send)
    if not messages:
        return Answer(0, {}, b"")
    start, *rest = messages
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )
