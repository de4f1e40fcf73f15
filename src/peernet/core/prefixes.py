"""Network prefixes: the group that an address counts under wherever peers must be of different networks.

Rules:

1. An IPv4 address counts under its /24, an IPv6 address under its /48: what one tenant gets cheaply.
2. An IPv6 address that only wraps an IPv4 one (mapped, 6to4, NAT64) is that one.
3. A name counts under its last two labels, since names below one domain cost nothing; anything else under its first
   protocol and value. What resolvers would take for an IPv4 address (its last label is a number) is no name: one
   address has many such spellings.

Source: design sections 4 and 5; RFC 4291 section 2.5.5.2, RFC 3056, RFC 6052 section 2.1 for what wraps IPv4.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from string import hexdigits
from typing import Final

__all__ = ["address_prefix", "ip_prefix", "is_numeric_name", "unwrapped"]

_NAME_PROTOCOLS: Final = frozenset({"dns", "dns4", "dns6", "dnsaddr"})
_REMEMBERED: Final = 1024
"""Addresses whose prefix is not worked out again: a connection's is asked for several times."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


def address_prefix(address: str) -> str:
    """The group that a multiaddr text counts under.

    Raises `ValueError` when the address does not begin with `/protocol/value`, or the IP address or name is none.
    """
    parts = address.split("/", 3)
    if len(parts) < 3 or parts[0] or not parts[1] or not parts[2]:
        raise ValueError("an address begins with /protocol/value")
    protocol, value = parts[1], parts[2]
    if protocol == "ip4":
        return _prefix_of(IPv4Address(value))
    if protocol == "ip6":
        return _prefix_of(IPv6Address(value))
    if protocol in _NAME_PROTOCOLS:
        if is_numeric_name(value):
            raise ValueError("a name's last label is no number")
        return "dns/" + ".".join(value.lower().rstrip(".").split(".")[-2:])
    return f"{protocol}/{value}"


@lru_cache(maxsize=_REMEMBERED)
def ip_prefix(address: str) -> str:
    """The group that the text of an IP address counts under; raises `ValueError` for anything else."""
    return _prefix_of(ip_address(address))


def unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that is really meant: an IPv4 address that is wrapped in an IPv6 one comes out."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_numeric_name(name: str) -> bool:
    """Whether a resolver would take `name` for an IPv4 address: its last label is a number, decimal or `0x..`."""
    last = name.rstrip(".").rpartition(".")[2].lower()
    return last.isdigit() or (last.startswith("0x") and all(digit in hexdigits for digit in last[2:]))


def _prefix_of(address: IPv4Address | IPv6Address) -> str:
    meant = unwrapped(address)
    if isinstance(meant, IPv4Address):
        return f"ip4/{int(meant) >> 8:06x}"
    return f"ip6/{int(meant) >> 80:012x}"
