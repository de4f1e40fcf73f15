"""Crowds: how many each of many keys has, and which key has the most, in constant time.

Rules:

1. A count moves by one at a time, so the largest one does, too: no search is needed.
2. Of several keys with the most, the one that has had so many for longest is named.
3. A key without a count is forgotten.
"""

__all__ = ["Crowds"]


class Crowds:
    """Counts by key."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._keys: dict[int, dict[str, None]] = {}
        self._most = 0

    def __getitem__(self, key: str) -> int:
        return self._counts.get(key, 0)

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def largest(self) -> str | None:
        """The key with the most; None when there is none."""
        return next(iter(self._keys[self._most]), None) if self._most else None

    def add(self, key: str) -> None:
        """One more of `key`."""
        count = self[key]
        self._move(key, count, count + 1)
        self._most = max(self._most, count + 1)

    def remove(self, key: str) -> None:
        """One less of `key`, which has one."""
        count = self._counts[key]
        self._move(key, count, count - 1)
        if count == self._most and count not in self._keys:
            self._most = count - 1

    def _move(self, key: str, before: int, after: int) -> None:
        if before:
            same = self._keys[before]
            del same[key]
            if not same:
                del self._keys[before]
        if after:
            self._counts[key] = after
            self._keys.setdefault(after, {})[key] = None
        else:
            del self._counts[key]
