"""The versions of the host agreement. A version's text never changes: whoever signed it signed its digest."""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from attrs import field, frozen

from bootstrap.refusal import NotFound

__all__ = ["CURRENT_VERSION", "Agreement", "agreement", "versions"]

CURRENT_VERSION: Final = "2026-11"
_FOLDER: Final = ("hosts", "agreements")


@frozen
class Agreement:
    """One version."""

    version: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)
    """SHA-256 of the text in UTF-8."""


@cache
def _all() -> dict[str, Agreement]:
    found = {}
    folder = resources.files("bootstrap").joinpath(*_FOLDER)
    for entry in folder.iterdir():
        if entry.name.endswith(".md"):
            data = entry.read_bytes()
            version = entry.name.removesuffix(".md")
            found[version] = Agreement(version, data.decode(), hashlib.sha256(data).digest())
    return dict(sorted(found.items()))


def versions() -> tuple[str, ...]:
    """All that there ever were, oldest first."""
    return tuple(_all())


def agreement(version: str = CURRENT_VERSION) -> Agreement:
    """That version; raises `NotFound`."""
    try:
        return _all()[version]
    except KeyError:
        raise NotFound("such version of the agreement") from None
