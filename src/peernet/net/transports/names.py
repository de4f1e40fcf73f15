"""From a DNS name to the IP addresses that may be dialled.

Rules:

1. What a name leads to is held to the rule for literal addresses: outside test networks only global ones are dialled.
   What was checked is what is dialled; nothing resolves the name a second time.
2. Names come from records that strangers signed. So lookups are bounded: how many at once (a lookup that was given up
   keeps its thread until the system's resolver returns), and how many of a name's addresses are tried.
"""

import socket
from typing import Final, Protocol

import trio

from peernet.core.errors import ConnectionFailed
from peernet.net.addresses import Address, is_global

__all__ = ["Resolver", "SystemResolver", "reachable_ips"]

LOOKUPS_AT_ONCE: Final = 8
MAX_IPS: Final = 4

_FAMILIES: Final = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}


class Resolver(Protocol):
    """What knows the addresses of names."""

    async def ips(self, name: str, lookup: str) -> list[str]:
        """The IP addresses of `name`, of the family of `lookup` (`dns`, `dns4`, `dns6`); raises `OSError`."""


class SystemResolver:
    """The system's own."""

    def __init__(self) -> None:
        self._lookups = trio.CapacityLimiter(LOOKUPS_AT_ONCE)

    async def ips(self, name: str, lookup: str) -> list[str]:
        return await trio.to_thread.run_sync(
            _look_up, name, _FAMILIES[lookup], abandon_on_cancel=True, limiter=self._lookups
        )


def _look_up(name: str, family: socket.AddressFamily) -> list[str]:
    found = socket.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def reachable_ips(address: Address, resolver: Resolver, *, allow_private: bool) -> list[str]:
    """The IP addresses to dial for `address`: its own, or those of its name, `MAX_IPS` at most.

    Raises `ConnectionFailed` when there are none.
    """
    if not address.is_name:
        return [address.host]
    try:
        ips = await resolver.ips(address.host, address.lookup)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(f"the name {address.host} cannot be resolved") from error
    usable = [ip for ip in ips if allow_private or is_global(ip)]
    if not usable:
        raise ConnectionFailed(f"the name {address.host} leads to no address on the public Internet")
    return usable[:MAX_IPS]
