"""Turns: portions, fairness between keys, and order within one."""

from functools import partial

import trio
import trio.testing

from peernet.net.turns import Turns


async def test_a_few_begin_at_once_and_the_rest_in_portions_with_turns_by_key(autojump_clock: trio.testing.MockClock):
    begun: list[str] = []
    async with trio.open_nursery() as nursery:
        turns = Turns(2, nursery)
        for number in range(6):
            turns.offer("flood", partial(begun.append, f"flood {number}"))
        turns.offer("good", partial(begun.append, "good"))
        assert begun == ["flood 0", "flood 1"]
        sizes = []
        while turns.waiting:
            await trio.lowlevel.checkpoint()
            sizes.append(len(begun))
        # One of each in the first portion; and never more than two without a chance for others. (This task's chance
        # may come right before one portion and right after the next.)
        assert begun == ["flood 0", "flood 1", "flood 2", "good", "flood 3", "flood 4", "flood 5"]
        assert all(after - before <= 4 for before, after in zip([2, *sizes], sizes, strict=False))
        # Later the next few begin at once again.
        await trio.sleep(0.01)
        turns.offer("good", partial(begun.append, "later"))
        assert begun[-1] == "later"
    assert turns.waiting == 0


async def test_what_comes_one_by_one_never_waits(autojump_clock: trio.testing.MockClock):
    begun: list[int] = []
    async with trio.open_nursery() as nursery:
        turns = Turns(1, nursery)
        for number in range(10):
            turns.offer("key", partial(begun.append, number))
            assert begun[-1] == number
            await trio.sleep(0.002)
        assert not nursery.child_tasks
