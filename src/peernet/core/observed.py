"""Where others see this peer: the IP address that connections of ours come from, as peers of several networks tell it.

Rules:

1. Each network that tells something has one voice, its newest, and a voice grows old. What is remembered is bounded.
2. An address counts that at least `LEAST_OBSERVERS` networks name, of each IP version the one that most do.
3. What counts is a guess and nothing more: it says where an answer would go, and not whether somebody could come. It
   is told others only once they have confirmed it (`core.autonat`).

Source: libp2p specifications, "Identify v1.0.0", `observedAddr`.
"""

from collections import Counter, OrderedDict
from ipaddress import ip_address
from typing import Final

from peernet.core.prefixes import unwrapped

__all__ = ["LEAST_OBSERVERS", "OBSERVATION_LIFETIME_S", "ObservedIps"]

LEAST_OBSERVERS: Final = 2
OBSERVATION_LIFETIME_S: Final = 3600.0
_MAX_OBSERVERS: Final = 8
"""The newest: one round of questions outweighs what was so before the address changed."""


class ObservedIps:
    """What several peers have said."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def record(self, ip: str, observer_prefix: str, now_s: float) -> None:
        """Somebody of the network `observer_prefix` sees this peer at `ip`; raises `ValueError` for no IP address."""
        meant = str(unwrapped(ip_address(ip)))
        self._seen.pop(observer_prefix, None)
        self._seen[observer_prefix] = (now_s, meant)
        if len(self._seen) > _MAX_OBSERVERS:
            self._seen.popitem(last=False)

    def agreed(self, now_s: float) -> tuple[str, ...]:
        """What counts (rule 2): an IPv4 address, an IPv6 address, both or none."""
        voices = Counter(ip for at_s, ip in self._seen.values() if now_s - at_s < OBSERVATION_LIFETIME_S)
        found: dict[int, str] = {}
        for ip, count in voices.most_common():
            if count >= LEAST_OBSERVERS:
                found.setdefault(ip_address(ip).version, ip)
        return tuple(found.values())
