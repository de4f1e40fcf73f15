"""A block's own exception leaves its background nursery bare; a task's comes in a group; tasks end with the block."""

import pytest
import trio
import trio.testing

from peernet.net.tasks import background_nursery


async def test_the_block_s_exception_is_not_wrapped() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with background_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError("mine")


async def test_a_task_s_exception_comes_in_a_group() -> None:
    async def fail() -> None:
        raise KeyError("theirs")

    with pytest.raises(ExceptionGroup) as caught:
        async with background_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()
    assert caught.group_contains(KeyError)


async def test_tasks_end_with_the_block() -> None:
    ended = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with background_nursery() as nursery:
        nursery.start_soon(task)
        await trio.testing.wait_all_tasks_blocked()
    assert ended.is_set()


async def test_cancelling_the_caller_is_no_exception_of_the_block() -> None:
    with trio.CancelScope() as scope:
        async with background_nursery():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
