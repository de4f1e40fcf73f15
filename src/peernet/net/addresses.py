"""Multiaddrs: where a peer listens, and which of them may be dialled.

Understood today: `/ip4/A/tcp/P` and `/ip6/A/tcp/P`, each with an optional `/p2p/PEER`.
"""

import ipaddress
from collections.abc import Iterable

import multiaddr
from attrs import frozen
from multiaddr.exceptions import Error as MultiaddrError

from peernet.core.errors import UserError
from peernet.core.identity import PeerId
from peernet.core.prefixes import unwrapped

__all__ = ["PeerAddress", "TcpAddress", "dialable", "parse_peer_address", "parse_tcp"]


@frozen
class TcpAddress:
    """An IP address and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        family = "ip6" if ":" in self.host else "ip4"
        return f"/{family}/{self.host}/tcp/{self.port}"

    @property
    def is_global(self) -> bool:
        """Whether the address belongs to one machine on the public Internet.

        What wraps a private IPv4 address is private; multicast is nobody's address.
        """
        address = unwrapped(ipaddress.ip_address(self.host))
        site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
        return address.is_global and not address.is_multicast and not site_local


@frozen
class PeerAddress:
    """Where a known peer listens: `/ip4/../tcp/../p2p/12D3KooW...`."""

    peer: PeerId
    address: TcpAddress

    def __str__(self) -> str:
        return f"{self.address}/p2p/{self.peer}"


def parse_tcp(text: str) -> TcpAddress:
    """A TCP multiaddr; raises `UserError` for anything else."""
    return _split(text)[0]


def parse_peer_address(text: str) -> PeerAddress:
    """A TCP multiaddr that ends in the peer's id; raises `UserError` for anything else."""
    address, peer = _split(text)
    if peer is None:
        raise UserError(f"the address {text!r} lacks its peer id: it must end in /p2p/12D3KooW...")
    return PeerAddress(PeerId.parse(peer), address)


def _split(text: str) -> tuple[TcpAddress, str | None]:
    try:
        parts = [(protocol.name, value) for protocol, value in multiaddr.Multiaddr(text).items()]
    except (MultiaddrError, ValueError) as error:
        raise UserError(f"{text!r} is not a multiaddr such as /ip4/203.0.113.7/tcp/4101/p2p/12D3KooW...") from error
    match parts:
        case [("ip4" | "ip6", host), ("tcp", port)]:
            return TcpAddress(str(host), int(str(port))), None
        case [("ip4" | "ip6", host), ("tcp", port), ("p2p", peer)]:
            return TcpAddress(str(host), int(str(port))), str(peer)
    raise UserError(f"{text!r} is no address that we can dial: give /ip4/ADDRESS/tcp/PORT")


def dialable(addresses: Iterable[str], *, allow_private: bool) -> list[TcpAddress]:
    """Those of a record's addresses that may be dialled: global ones only, outside test networks."""
    usable = []
    for text in addresses:
        try:
            address = parse_tcp(text)
        except UserError:
            continue  # a record may hold transports that this version does not speak
        if address.port and (allow_private or address.is_global):
            usable.append(address)
    return usable
