"""The answer to one request as a reader takes it: text while it streams, then the result; an end for who leaves."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import trio

from peernet.client.events import Answered, AnswerText, FragmentText
from peernet.client.reply import Reply
from peernet.client.request import Emit
from peernet.core.errors import LocalProtocolError, UserError
from privacy.exposure import ExposureReceipt

ANSWERED = Answered(
    text="Hello there",
    exposure=ExposureReceipt((), "whole", "standard", "private"),
    fragments=(),
    identifiers={},
    log_origin="log",
    log_size=0,
    first_token_s=None,
    total_s=0.0,
)


@asynccontextmanager
async def nursery() -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as opened:
        yield opened
        opened.cancel_scope.cancel()


async def ask_in_pieces(emit: Emit) -> Answered:
    for piece in ("Hello", " there"):
        await trio.testing.wait_all_tasks_blocked()
        emit(FragmentText(0, "not this"))
        emit(AnswerText(piece))
    return ANSWERED


async def test_text_comes_in_pieces_and_then_the_result() -> None:
    async with nursery() as opened:
        reply = Reply(opened, ask_in_pieces)
        with pytest.raises(LocalProtocolError):
            _ = reply.result
        assert [text async for text in reply] == ["Hello", " there"]
        assert reply.result is ANSWERED
        with pytest.raises(LocalProtocolError):
            aiter(reply)


async def test_the_whole_at_once() -> None:
    async with nursery() as opened:
        assert await Reply(opened, ask_in_pieces).whole() is ANSWERED


async def test_a_slow_reader_gets_all_of_it() -> None:
    async def ask(emit: Emit) -> Answered:
        for piece in "abc":
            emit(AnswerText(piece))
        return ANSWERED

    async with nursery() as opened:
        pieces = []
        async for text in Reply(opened, ask):
            await trio.testing.wait_all_tasks_blocked()
            pieces.append(text)
        assert "".join(pieces) == "abc"


async def test_who_leaves_ends_the_request() -> None:
    ended = trio.Event()

    async def ask(emit: Emit) -> Answered:
        emit(AnswerText("Hello"))
        try:
            await trio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    async with nursery() as opened:
        async with aclosing(aiter(Reply(opened, ask))) as texts:
            async for text in texts:
                assert text == "Hello"
                break
        with trio.fail_after(1):
            await ended.wait()


async def test_what_goes_wrong_is_raised_where_it_is_read_and_not_in_a_group() -> None:
    async def ask(emit: Emit) -> Answered:
        emit(AnswerText("Hel"))
        async with trio.open_nursery() as inner:
            inner.start_soon(fail)
        raise AssertionError

    async def fail() -> None:
        raise UserError("wait for a host")

    async with nursery() as opened:
        pieces = []
        with pytest.raises(UserError, match="wait for a host"):
            async for text in Reply(opened, ask):
                pieces.append(text)  # noqa: PERF401  (what came before the error counts)
        assert pieces == ["Hel"]
