"""The contract of `inference.engine.Engine`: what holds of every engine, whatever computes inside.

`run_contract(engine)` takes a loaded engine whose answer to `QUESTION` is longer than a dozen tokens, and closes it.
"""

import traceback

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from inference.engine import (
    COUNTED,
    EMBED,
    PREFIX,
    SEED,
    ContextOverflow,
    Delta,
    Engine,
    EngineCrashed,
    Generation,
    Message,
    Parameters,
    Unsupported,
)

QUESTION = (Message("user", "Tell a story of a river."),)
GREEDY = Parameters(max_tokens=10, temperature_thousandths=0)
MARKER = "zanzibar-7319"
PATIENCE_S = 30


async def answer(
    engine: Engine, messages: tuple[Message, ...], parameters: Parameters = GREEDY, prefix: str | None = None
) -> tuple[list[Delta], Generation]:
    async with engine.generate(messages, parameters, prefix) as generation:
        return [delta async for delta in generation], generation


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def idle(engine: Engine) -> None:
    """Returns once the engine itself says that it computes nothing; each question goes to the engine."""
    with trio.fail_after(PATIENCE_S):
        while (await engine.health()).generating:
            pass


async def an_answer_streams_and_ends_once(engine: Engine) -> None:
    deltas, generation = await answer(engine, QUESTION)
    assert len([delta for delta in deltas if delta.text]) > 1
    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason == "length"
    assert generation.usage is not None
    with pytest.raises(StopAsyncIteration):
        await generation.__anext__()


async def an_answer_is_counted_as_it_grows(engine: Engine) -> None:
    deltas, _ = await answer(engine, QUESTION)
    counter, text = engine.answer_counter(), ""
    for piece in (*(delta.text for delta in deltas), " 12", "3", ",", "\n", " ", "né", "é" * 20):
        text += piece
        assert counter.feed(piece) == engine.count_text_tokens(text)
    # Each answer has a counter of its own.
    assert engine.answer_counter().feed("a river") == engine.count_text_tokens("a river")


async def the_engine_counts_as_we_do_or_says_that_it_does_not(engine: Engine) -> None:
    counts = []
    for messages in (
        (Message("user", "Hi"),),
        (Message("system", "Be brief."), Message("user", "1234  ½\n\n"), Message("assistant", "né"), *QUESTION),
    ):
        _, generation = await answer(engine, messages, Parameters(max_tokens=1, temperature_thousandths=0))
        assert generation.usage is not None
        assert generation.usage.completion_tokens == 1
        counts.append(generation.usage.prompt_tokens == engine.count_tokens(messages))
    # One that lacks the flag where it could have it is as wrong as one that has it and counts otherwise.
    assert all(counts) is (COUNTED in engine.models()[0].capabilities)


async def a_seed_repeats_an_answer(engine: Engine) -> None:
    if SEED not in engine.models()[0].capabilities:
        return
    sampled = Parameters(max_tokens=8, temperature_thousandths=900, seed=7)
    assert text_of((await answer(engine, QUESTION, sampled))[0]) == text_of(
        (await answer(engine, QUESTION, sampled))[0]
    )


async def a_stop_text_ends_the_answer_before_it(engine: Engine) -> None:
    whole = text_of((await answer(engine, QUESTION))[0])
    stop = whole.split()[2]
    deltas, _ = await answer(engine, QUESTION, Parameters(max_tokens=10, temperature_thousandths=0, stop=(stop,)))
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"


async def a_prefix_is_continued_or_refused(engine: Engine) -> None:
    if PREFIX not in engine.models()[0].capabilities:
        with pytest.raises(Unsupported):
            await answer(engine, QUESTION, GREEDY, "Once")
        return
    whole = (await answer(engine, QUESTION))[0]
    for length in (1, 3):
        prefix = text_of(whole[:length])
        rest = Parameters(max_tokens=GREEDY.max_tokens - length, temperature_thousandths=0)
        deltas, generation = await answer(engine, QUESTION, rest, prefix)
        assert prefix + text_of(deltas) == text_of(whole)
        assert generation.usage is not None
        assert generation.usage.prompt_tokens == engine.count_tokens(QUESTION) + engine.count_text_tokens(prefix)


async def leaving_ends_the_work(engine: Engine) -> None:
    before = (await engine.health()).steps
    async with engine.generate(QUESTION, Parameters(max_tokens=400)) as generation:
        await generation.__anext__()
        await generation.__anext__()
        with trio.fail_after(PATIENCE_S):
            while (await engine.health()).generating != 1:
                pass  # a server counts between two of its steps
    await idle(engine)
    # Far from the 400 steps that were asked for.
    assert 2 <= (await engine.health()).steps - before < 100


async def cancel_at_once(engine: Engine, messages: tuple[Message, ...]) -> None:
    """Begins an answer and cancels it as soon as everybody waits for the engine."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await wait_all_tasks_blocked()
                scope.cancel()

            async with engine.generate(messages, Parameters(max_tokens=400)) as generation:
                nursery.start_soon(cancel)
                async for _ in generation:
                    pass
    await idle(engine)


async def cancelling_while_the_prompt_is_read_ends_the_work(engine: Engine) -> None:
    words = engine.models()[0].context_tokens // 2 // engine.count_text_tokens(" word")
    await cancel_at_once(engine, (Message("user", " word" * words),))
    # And the engine has not suffered.
    assert len((await answer(engine, QUESTION))[0]) > 1


async def several_at_once_all_answer(engine: Engine) -> None:
    texts: list[str] = []

    async def one() -> None:
        texts.append(text_of((await answer(engine, QUESTION, Parameters(max_tokens=4, temperature_thousandths=0)))[0]))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    assert len(texts) == 3
    assert all(texts)
    await idle(engine)


async def too_long_a_prompt_is_an_overflow(engine: Engine) -> None:
    limit = engine.models()[0].context_tokens
    with pytest.raises(ContextOverflow) as caught:
        await answer(engine, (Message("user", f"{MARKER} " * limit),))
    assert caught.value.tokens > caught.value.limit == limit
    assert MARKER not in "".join(traceback.format_exception(caught.value))


async def embeddings_come_or_are_refused(engine: Engine) -> None:
    if EMBED in engine.models()[0].capabilities:
        first, second = await engine.embed(["one", "two"])
        assert len(first) == len(second) > 0
        assert first != second
        return
    with pytest.raises(Unsupported):
        await engine.embed(["one"])


async def closing_ends_what_goes_on(engine: Engine) -> None:
    async with engine.generate((Message("user", MARKER), *QUESTION), Parameters(max_tokens=400)) as generation:
        await generation.__anext__()
        await engine.aclose()
        with pytest.raises(EngineCrashed) as caught:
            async for _ in generation:
                pass
    assert MARKER not in "".join(traceback.format_exception(caught.value))
    await engine.aclose()
    assert not (await engine.health()).ready
    with pytest.raises(EngineCrashed):
        await answer(engine, QUESTION)


CONTRACT = (
    an_answer_streams_and_ends_once,
    an_answer_is_counted_as_it_grows,
    the_engine_counts_as_we_do_or_says_that_it_does_not,
    a_seed_repeats_an_answer,
    a_stop_text_ends_the_answer_before_it,
    a_prefix_is_continued_or_refused,
    leaving_ends_the_work,
    cancelling_while_the_prompt_is_read_ends_the_work,
    several_at_once_all_answer,
    too_long_a_prompt_is_an_overflow,
    embeddings_come_or_are_refused,
    closing_ends_what_goes_on,
)


async def run_contract(engine: Engine) -> None:
    """All of it with one engine, since loading one takes a second."""
    (info,) = engine.models()
    assert len(info.digest) == len(info.tokenizer_digest) == 32
    assert info.context_tokens > 0
    assert (await engine.health()).ready
    for clause in CONTRACT:
        await clause(engine)
