"""The network as the registry of hosts sees it: a port, which the bootstrap node fills."""

from collections.abc import Collection, Mapping
from typing import Protocol

from attrs import field, frozen

__all__ = ["HostNetwork", "NoNetwork", "SeenHost"]


@frozen
class SeenHost:
    """A host that the node's last crawl has met, by its own signed records."""

    region: str
    """As claimed."""
    models: Mapping[str, bytes] = field(factory=dict)
    """Digests of weights by the model's name."""


class HostNetwork(Protocol):
    """The overlay behind the registry."""

    def seen_hosts(self) -> Mapping[bytes, SeenHost]:
        """Those of the last crawl, by peer key: hosts that are left out of the directory are among them."""
        ...

    async def round_trip_s(self, peer_key: bytes) -> float | None:
        """The time of one ping; None for a host that does not answer, or that no crawl has met."""
        ...

    def leave_out(self, peer_keys: Collection[bytes]) -> None:
        """Lists these hosts no more, from the next directory on."""
        ...

    def refuse_lanes(self, lane_keys: Collection[bytes]) -> None:
        """Settles nothing for these lanes from now on."""
        ...


class NoNetwork:
    """A portal without a bootstrap node beside it."""

    def seen_hosts(self) -> Mapping[bytes, SeenHost]:
        return {}

    async def round_trip_s(self, peer_key: bytes) -> float | None:
        return None

    def leave_out(self, peer_keys: Collection[bytes]) -> None:
        """Nobody is listed."""

    def refuse_lanes(self, lane_keys: Collection[bytes]) -> None:
        """Nothing is settled."""
