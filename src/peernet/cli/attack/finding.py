"""Whether something stands in what an attacker has written down, however it is written there."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from peernet.cli.attack.scene import Claim

__all__ = ["absent", "has_address", "has_read", "long_enough"]

STRETCH: Final = 24
"""How many characters of a text in a row count as having read it."""
MIN_STRETCH: Final = 8
"""Texts with fewer are not looked for in cells: those are noise, and a megabyte of noise has any two bytes."""


def absent(planted: Sequence[str], everywhere: Sequence[bytes], finding: str) -> Claim:
    """That none of `planted` is found, however it is written."""
    found = any(_finds(everything, text) for everything in everywhere for text in planted)
    return Claim(f"{', '.join(planted)}: {finding}", bool(everywhere) and all(everywhere) and not found)


def _finds(everything: bytes, text: str) -> bool:
    """Whether a text is there, in whatever case, with or without spaces and signs."""
    folded = everything.lower()
    squeezed = re.sub(rb"[^a-z0-9]", b"", folded)
    return text.lower().encode() in folded or re.sub(r"[^a-z0-9]", "", text.lower()).encode() in squeezed


def has_read(everything: bytes, text: str, known: Iterable[str] = ()) -> bool:
    """Whether any `STRETCH` characters of `text` in a row are there, but for those that are in `known` anyway."""
    stretches = {text[start : start + STRETCH] for start in range(max(1, len(text) - STRETCH + 1))}
    return any(part.encode() in everything for part in stretches if not any(part in one for one in known))


def has_address(everything: bytes, host: str) -> bool:
    """Whether an IPv4 address is there, as text or as four bytes."""
    return host.encode() in everything or bytes(map(int, host.split("."))) in everything


def long_enough(texts: Iterable[str]) -> list[str]:
    """Those that do not stand in noise by chance."""
    return [text for text in texts if len(text) >= MIN_STRETCH]
