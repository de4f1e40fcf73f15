"""Regions: which peers a client takes, by the region that each claims.

Rules:

1. A region is a word of the operator's, such as `eu-central`, in the peer's signed record and the host's offer. Nobody
   checks it: it is a claim, and is called so wherever it is shown.
2. A bound names regions. It admits whoever claims one of them, or a part of one: `eu` admits `eu-central`. Who claims
   none is not admitted, and who makes two claims is if both are. Upper and lower case are the same.
3. An empty bound admits everybody.

Source: promise P12; design section 5.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import field, frozen

__all__ = ["ANYWHERE", "NO_CLAIM", "RegionBound", "check_regions", "claimed"]

MAX_REGION_LENGTH: Final = 32
"""As in records."""
MAX_REGIONS: Final = 64
NO_CLAIM: Final = "none claimed"


def check_regions(names: Sequence[str]) -> None:
    """Raises `ValueError` for what no record can claim."""
    if len(names) > MAX_REGIONS:
        raise ValueError(f"{len(names)} regions, over {MAX_REGIONS}")
    for name in names:
        if not 1 <= len(name) <= MAX_REGION_LENGTH or not name.isascii() or not name.isprintable() or " " in name:
            raise ValueError(
                f"{name!r} is no region: it is a word of 1 to {MAX_REGION_LENGTH} ASCII characters, such as eu-central"
            )


def claimed(region: str) -> str:
    """A claim, for people."""
    return region or NO_CLAIM


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names))


@frozen
class RegionBound:
    """The regions that a client takes peers of."""

    names: tuple[str, ...] = field(default=(), converter=_folded)

    def __bool__(self) -> bool:
        return bool(self.names)

    def admits(self, *claims: str) -> bool:
        """Whether a peer that makes these claims, and at least one, is taken."""
        made = [claim.lower() for claim in claims if claim]
        return not self.names or (bool(made) and all(map(self._covers, made)))

    def _covers(self, claim: str) -> bool:
        return any(claim == name or claim.startswith(f"{name}-") for name in self.names)

    def __str__(self) -> str:
        return ", ".join(self.names)


ANYWHERE: Final = RegionBound()
