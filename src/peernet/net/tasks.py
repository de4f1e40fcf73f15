"""A nursery for what runs beside the code that uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["background_nursery"]


@asynccontextmanager
async def background_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks are cancelled when the block is left.

    An exception of the block leaves as it is, and not in a group as trio's own nursery wraps it: the caller of a
    library function should not have to know that tasks run behind it. Exceptions of the tasks come in a group.
    """
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001  (raised again below, outside of the nursery)
            raised = error
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
