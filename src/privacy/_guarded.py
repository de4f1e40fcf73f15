"""What stays in this process and in this place: neither pickled nor copied."""

from typing import NoReturn, SupportsIndex


class Guarded:
    """A base for whatever holds names of a conversation."""

    def __reduce_ex__(self, _protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} stays in memory: it is neither pickled nor copied")
