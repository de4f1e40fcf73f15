"""What stands at the top and at the bottom of every page."""

from typing import Final

from attrs import frozen

__all__ = ["FOOTER", "MENU", "Entry"]


@frozen
class Entry:
    """One link."""

    name: str
    path: str
    signed_in: bool | None = None
    """Whether it is for people who are signed in, or for those who are not; None for all."""
    role: str | None = None
    """Whether it is only for people with this role."""


MENU: Final[tuple[Entry, ...]] = ()
FOOTER: Final[tuple[Entry, ...]] = ()
