"""A buffer that all connections of a process share, for what is over before anybody else runs.

One task of a run of trio runs at a time, until its next checkpoint. What is written and read between two checkpoints
needs no buffer of its own: thousands of idle connections hold none, and a busy one finds it in the processor's cache.
"""

from typing import Final

import trio

from peernet.core.connection import MAX_PLAINTEXT_SIZE

__all__ = ["OPENED", "SharedBuffer"]


class SharedBuffer:
    """A buffer of each run of trio, made when it is first asked for. What is in it lasts until the next checkpoint."""

    def __init__(self, name: str, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._buffer: trio.lowlevel.RunVar[memoryview] = trio.lowlevel.RunVar(name)

    def get(self) -> memoryview:
        """The buffer of this run."""
        try:
            return self._buffer.get()
        except LookupError:
            buffer = memoryview(bytearray(self._size_bytes))
            self._buffer.set(buffer)
            return buffer


OPENED: Final = SharedBuffer("an opened Noise message", MAX_PLAINTEXT_SIZE)
"""Where long Noise messages are opened."""
