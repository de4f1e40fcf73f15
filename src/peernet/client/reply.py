"""The answer to one request, as a reader takes it: pieces of text while it streams, then all that is known of it.

Rules:

1. The request runs in a task of the client, so that a slow reader stops no voucher and no ring; what the reader has
   not taken yet is kept, and is no more than the answer that was asked for.
2. A reader who leaves ends the request: its rings are ended, and the hosts stop.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import trio

from peernet.client.events import Answered, AnswerText, Event
from peernet.client.request import Emit
from peernet.core.errors import LocalProtocolError, PeernetError

__all__ = ["Pending", "Reply", "first_of"]

E = TypeVar("E", bound=Exception)


class Pending:
    """Text that has come and was not taken yet."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._closed = False
        self._woken = False
        self._changed = trio.Event()

    def on_event(self, event: Event) -> None:
        """Takes the next event; those that carry the answer's text count."""
        if isinstance(event, AnswerText):
            self._text.append(event.text)
            self._changed.set()

    def wake(self) -> None:
        """Lets the reader look at something else: it takes what has come, be it nothing."""
        self._woken = True
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._changed.set()

    async def take(self) -> str | None:
        """All that has come, once there is some; empty where the reader was only woken; None after the end."""
        while not self._text and not self._closed and not self._woken:
            self._changed = trio.Event()
            await self._changed.wait()
        text = "".join(self._text)
        over = self._closed and not text and not self._woken
        self._text.clear()
        self._woken = False
        return None if over else text


class Reply:
    """The answer to one request: iterate over it for its text as it streams, once; then `result` has the rest.

    Iterating raises what `ChatSession.ask` raises. `async for` in a program that may leave early belongs into
    `contextlib.aclosing(aiter(reply))`.
    """

    def __init__(self, nursery: trio.Nursery, ask: Callable[[Emit], Awaitable[Answered]]) -> None:
        self._nursery = nursery
        self._ask = ask
        self._scope = trio.CancelScope()
        self._pending = Pending()
        self._begun = False
        self._result: Answered | None = None
        self._error: PeernetError | None = None

    @property
    def result(self) -> Answered:
        """The exposure receipt, usage, finish reason and all else; raises `LocalProtocolError` before the end."""
        if self._result is None:
            raise LocalProtocolError("an answer's result is there once its text has been read to the end")
        return self._result

    def __aiter__(self) -> AsyncGenerator[str, None]:
        if self._begun:
            raise LocalProtocolError("a reply is read once")
        self._begun = True
        return self._pieces()

    async def whole(self) -> Answered:
        """Reads to the end, and gives the result, the whole text in it."""
        async for _ in self:
            pass
        return self.result

    async def _pieces(self) -> AsyncGenerator[str, None]:
        self._nursery.start_soon(self._run)
        try:
            while (text := await self._pending.take()) is not None:
                yield text
        finally:
            self._scope.cancel()
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        with self._scope:
            try:
                self._result = await self._ask(self._pending.on_event)
            except* PeernetError as errors:
                self._error = first_of(errors)
        self._pending.close()


def first_of(errors: ExceptionGroup[E]) -> E:
    """One of several errors stands for them: a fragment's nursery wraps a lone one, too."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, ExceptionGroup) else first
