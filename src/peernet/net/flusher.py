"""The flusher: one task a node that sends what its connections have gathered while others ran.

Theory of operation. A connection on which nothing was said for a moment sends at once, in the task that has something
to say: nobody has to be woken for it. What is written right after that is gathered instead, and the flusher, which
runs when the tasks that are ready now have had their turn, sends all of it together. So a lone message costs no task
switch, and a hundred small ones one encryption and one system call.

Rules:

1. Flushing never waits. A connection whose socket is full gets a task of its own until it is empty.
2. A connection stands in the list once, and is forgotten when it has been flushed.
"""

from typing import Protocol

import trio

__all__ = ["Flushable", "Flusher"]


class Flushable(Protocol):
    """What can be flushed."""

    def flush(self) -> None:
        """Sends what was gathered, without waiting. Never raises."""

    async def drain(self) -> None:
        """Sends what was gathered, and what comes in the meantime, waiting where it must. Never raises."""


class Flusher:
    """The flusher of one node; `nursery` is the one that its connections run in."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._due: dict[Flushable, None] = {}
        self._parked: trio.lowlevel.Task | None = None

    def schedule(self, connection: Flushable) -> None:
        """Has the connection flushed when the tasks that are ready now have run."""
        self._due[connection] = None
        if self._parked is not None:
            task, self._parked = self._parked, None
            trio.lowlevel.reschedule(task)

    def start_draining(self, connection: Flushable) -> None:
        """Gives a connection whose socket is full a task until it is empty."""
        self._nursery.start_soon(connection.drain)

    async def run(self) -> None:
        """Flushes until cancelled."""
        while True:
            if not self._due:
                await self._park()
            due, self._due = self._due, {}
            for connection in due:
                connection.flush()

    async def _park(self) -> None:
        self._parked = trio.lowlevel.current_task()

        def unpark(_: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(unpark)
