"""The network as the registry of hosts sees it: two ports, which the bootstrap node fills."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from peernet.core.host_trials import NOT_READY, HostTrial

__all__ = ["HostNetwork", "HostTrier", "NoNetwork", "NoTrier", "SeenHost"]


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


class HostTrier(Protocol):
    """A client of the network, which asks one host what it is told to ask."""

    async def run(self) -> None:
        """Is such a client from the first question on, until cancelled."""
        ...

    async def models(self) -> Sequence[str]:
        """The models whose tokens it can count; it asks for no others."""
        ...

    async def ask(
        self, peer_key: bytes, model: str, text: str, *, max_tokens: int, at_most_microcredits: int
    ) -> HostTrial:
        """What became of one question; the answer is kept by nobody."""
        ...


class NoTrier:
    """Nobody is asked."""

    async def run(self) -> None:
        """There is nothing to do."""

    async def models(self) -> Sequence[str]:
        return ()

    async def ask(
        self, peer_key: bytes, model: str, text: str, *, max_tokens: int, at_most_microcredits: int
    ) -> HostTrial:
        return HostTrial(NOT_READY)
