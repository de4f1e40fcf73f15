"""Connection gating: whom this node lets in, and whom it dials.

A gate is asked three times: before an address is dialled, when somebody has come and only its address is known, and
when the handshake has proven who it is. Rules of `AllowDeny`:

1. Who is denied, by peer id or by network, is never connected with.
2. Where anybody is allowed by name, only those are connected with: an allowed peer from anywhere, and anybody from an
   allowed network. A refusal that can only be known by the peer id comes after the handshake.
3. An IPv6 address that only wraps an IPv4 one is that one.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from attrs import frozen

from peernet.core.errors import UserError
from peernet.core.identity import PeerId
from peernet.core.prefixes import unwrapped

__all__ = ["AllowDeny", "Gate"]

Network = IPv4Network | IPv6Network


class Gate(Protocol):
    """Who may be connected with. An IP address is None for a connection that has none, such as a relayed one."""

    def may_dial(self, peer: PeerId, ip: str | None) -> bool:
        """Whether this peer may be dialled at this IP address."""

    def may_accept(self, ip: str | None) -> bool:
        """Whether somebody who came from this IP address may begin its handshake."""

    def may_stay(self, peer: PeerId, ip: str | None) -> bool:
        """Whether the connection may be used, now that the peer has proven who it is."""


@frozen
class AllowDeny:
    """Lists of peers and networks that are denied, and of those that alone are allowed; empty lists allow all."""

    allowed_peers: frozenset[PeerId] = frozenset()
    allowed_networks: tuple[Network, ...] = ()
    denied_peers: frozenset[PeerId] = frozenset()
    denied_networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, allow: Iterable[str], deny: Iterable[str]) -> "AllowDeny":
        """The lists of a configuration: peer ids, IP addresses and networks; raises `UserError` for anything else."""
        allowed_peers, allowed_networks = _parse("allow", allow)
        denied_peers, denied_networks = _parse("deny", deny)
        return cls(allowed_peers, allowed_networks, denied_peers, denied_networks)

    def may_dial(self, peer: PeerId, ip: str | None) -> bool:
        return self.may_stay(peer, ip)

    def may_accept(self, ip: str | None) -> bool:
        if _is_in(ip, self.denied_networks):
            return False
        # Who comes from elsewhere may still turn out to be an allowed peer.
        return not self.allowed_networks or bool(self.allowed_peers) or _is_in(ip, self.allowed_networks)

    def may_stay(self, peer: PeerId, ip: str | None) -> bool:
        if peer in self.denied_peers or _is_in(ip, self.denied_networks):
            return False
        if not self.allowed_peers and not self.allowed_networks:
            return True
        return peer in self.allowed_peers or _is_in(ip, self.allowed_networks)


def _is_in(ip: str | None, networks: Sequence[Network]) -> bool:
    if ip is None or not networks:
        return False
    meant = unwrapped(ip_address(ip))
    return any(meant in network for network in networks)


def _parse(setting: str, texts: Iterable[str]) -> tuple[frozenset[PeerId], tuple[Network, ...]]:
    peers, networks = set(), []
    for text in texts:
        try:
            networks.append(ip_network(text))
            continue
        except ValueError as error:
            if "host bits" in str(error):
                raise UserError(
                    f"{setting}: {text!r} names a machine and a network at once; the network is "
                    f"{ip_network(text, strict=False)}"
                ) from error
        try:
            peers.add(PeerId.parse(text))
        except UserError as error:
            raise UserError(
                f"{setting}: {text!r} is no peer id (12D3KooW...), no IP address and no network (203.0.113.0/24)"
            ) from error
    return frozenset(peers), tuple(networks)
