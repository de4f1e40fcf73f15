"""Multiaddrs: where a peer listens, and which of them may be dialled.

Rules:

1. Understood are `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT` and, after it, nothing (plain TCP), `/ws`, `/tls/ws`,
   `/tls/sni/NAME/ws`, or `/wss`, the older spelling of `/tls/ws`; then an optional `/p2p/PEER`. After
   `/p2p/RELAY/p2p-circuit` it is a circuit: the address of a peer that is reached through RELAY, which is there. A
   circuit through a circuit is none.
2. Every address is written in one way only: names in lower case, and never `/wss`.
3. A DNS name is ASCII, and its last label has a letter: what resolvers would take for a number is no name. A port is
   ASCII digits without a zero in front.
4. Outside test networks only global addresses are dialled. Of a name that is known when it has been resolved
   (`net.transports.names`); the rule is the same. Of a circuit it is the relay's address that counts.
5. An address in binary form comes from strangers: what is not in the one form that it has is passed over.

Source: multiaddr's protocol table; libp2p's specifications of WebSockets, "Addressing", and of circuit relays.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import multiaddr
from attrs import field, frozen
from multiaddr.exceptions import Error as MultiaddrError

from peernet.core.errors import UserError
from peernet.core.identity import PeerId
from peernet.core.prefixes import is_numeric_name, unwrapped

__all__ = [
    "Address",
    "CircuitAddress",
    "PeerAddress",
    "TcpAddress",
    "WebSocketAddress",
    "address_text",
    "addresses_by_peer",
    "binary_address",
    "circuit_relays",
    "decode_address",
    "dialable",
    "encode_address",
    "is_global",
    "parse_address",
    "parse_peer_address",
    "preference",
]

NAME_PROTOCOLS: Final = frozenset({"dns", "dns4", "dns6"})
_MAX_NAME_LENGTH: Final = 253
_REMEMBERED: Final = 1024
"""How many peers' addresses are remembered with what they mean: parsing one costs as much as a key agreement."""


def is_global(ip: str) -> bool:
    """Whether an IP address belongs to one machine on the public Internet.

    What wraps a private IPv4 address is private; multicast is nobody's address.
    """
    address = unwrapped(ipaddress.ip_address(ip))
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not site_local


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@frozen
class Address:
    """An IP address or a DNS name, and a TCP port; what is spoken there is the subclass's to say."""

    host: str
    port: int
    lookup: str = field(default="dns", kw_only=True)
    """How a name is resolved: `dns` (both families), `dns4` or `dns6`. Means nothing with an IP address."""

    @property
    def is_name(self) -> bool:
        """Whether the host is a DNS name."""
        return not _is_ip(self.host)

    @property
    def is_global(self) -> bool:
        """Whether it is an address on the public Internet; of a name nobody knows that before it is resolved."""
        return not self.is_name and is_global(self.host)

    def __str__(self) -> str:
        family = self.lookup if self.is_name else "ip6" if ":" in self.host else "ip4"
        return f"/{family}/{self.host}/tcp/{self.port}"


@frozen
class TcpAddress(Address):
    """libp2p right on a TCP connection."""

    def __str__(self) -> str:
        return super().__str__()


@frozen
class WebSocketAddress(Address):
    """libp2p in a WebSocket, over TLS or in the clear."""

    tls: bool = field(default=False, kw_only=True)
    server_name: str = field(default="", kw_only=True)
    """The name that the certificate is for, where it is not the host's own."""

    @property
    def name(self) -> str:
        """What the other side's certificate must be for, and what the request asks for."""
        return self.server_name or self.host

    def __str__(self) -> str:
        named = f"/sni/{self.server_name}" if self.server_name else ""
        return f"{super().__str__()}{'/tls' if self.tls else ''}{named}/ws"


@frozen
class CircuitAddress(Address):
    """A place at a relay: host and port are the relay's."""

    via: Address = field(kw_only=True)
    """Where the relay listens."""
    relay: PeerId = field(kw_only=True)

    @classmethod
    def through(cls, relay: PeerId, via: Address) -> "CircuitAddress":
        """The address of a peer that `relay`, at `via`, keeps a place for."""
        return cls(via.host, via.port, lookup=via.lookup, via=via, relay=relay)

    def __str__(self) -> str:
        return f"{self.via}/p2p/{self.relay}/p2p-circuit"


def preference(address: Address) -> int:
    """The order in which a peer's addresses are tried.

    TCP, which costs least, then WebSockets, over TLS first; circuits, which cost somebody else, last.
    """
    if isinstance(address, CircuitAddress):
        return 3
    if isinstance(address, WebSocketAddress):
        return 1 if address.tls else 2
    return 0


@frozen
class PeerAddress:
    """Where a known peer listens: `/ip4/../tcp/../p2p/12D3KooW...`."""

    peer: PeerId
    address: Address

    def __str__(self) -> str:
        return f"{self.address}/p2p/{self.peer}"


def addresses_by_peer(known: Iterable[PeerAddress]) -> dict[PeerId, list[Address]]:
    """All addresses of each peer, in the order in which they are named."""
    places: dict[PeerId, list[Address]] = {}
    for peer_address in known:
        places.setdefault(peer_address.peer, []).append(peer_address.address)
    return places


def parse_address(text: str) -> Address:
    """A multiaddr of a transport that we speak; raises `UserError` for anything else."""
    return _split(text)[0]


def parse_peer_address(text: str) -> PeerAddress:
    """A multiaddr that ends in the peer's id; raises `UserError` for anything else."""
    return _peer_address(text)


@lru_cache(maxsize=_REMEMBERED)
def _peer_address(text: str) -> PeerAddress:
    address, peer = _split(text)
    if peer is None:
        raise UserError(f"the address {text!r} lacks its peer id: it must end in /p2p/12D3KooW...")
    return PeerAddress(PeerId.parse(peer), address)


def _split(text: str) -> tuple[Address, str | None]:
    try:
        parts = [(protocol.name, value) for protocol, value in multiaddr.Multiaddr(text).items()]
    except (MultiaddrError, ValueError) as error:
        raise UserError(f"{text!r} is not a multiaddr such as /ip4/203.0.113.7/tcp/4101/p2p/12D3KooW...") from error
    peer = None
    if parts and parts[-1][0] == "p2p":
        peer = str(parts.pop()[1])
    match parts:
        case [*of_relay, ("p2p", relay), ("p2p-circuit", _)]:
            return CircuitAddress.through(PeerId.parse(str(relay)), _direct(text, of_relay)), peer
    return _direct(text, parts), peer


def _direct(text: str, parts: list[tuple[str, object]]) -> Address:
    match parts:
        case [(("ip4" | "ip6" | "dns" | "dns4" | "dns6") as family, host), ("tcp", port), *above]:
            return _address(text, str(family), str(host), _port(text, str(port)), above)
    raise _not_dialled(text)


def _port(text: str, port: str) -> int:
    """The port that was read, if that is how it is written: the parser takes signs, gaps and other scripts' digits."""
    if f"/tcp/{port}/" not in f"{text}/":
        raise UserError(f"the port in {text!r} is to be written in the digits 0 to 9 alone, such as /tcp/{port}")
    return int(port)


def encode_address(address: Address | PeerAddress) -> bytes:
    """The binary multiaddr."""
    return binary_address(str(address))


def decode_address(data: bytes) -> Address | None:
    """The address of a binary multiaddr, with or without the peer's id; None for what we do not dial (rule 5)."""
    text = address_text(data)
    try:
        return None if text is None else _split(text)[0]
    except UserError:
        return None


def _address(text: str, family: str, host: str, port: int, above: list[tuple[str, object]]) -> Address:
    lookup = "dns"
    if family in NAME_PROTOCOLS:
        host, lookup = _name(text, host), family
    match above:
        case []:
            return TcpAddress(host, port, lookup=lookup)
        case [("ws", _)]:
            return WebSocketAddress(host, port, lookup=lookup)
        case [("tls", _), ("ws", _)] | [("wss", _)]:
            return WebSocketAddress(host, port, lookup=lookup, tls=True)
        case [("tls", _), ("sni", name), ("ws", _)]:
            return WebSocketAddress(host, port, lookup=lookup, tls=True, server_name=_name(text, str(name)))
    raise _not_dialled(text)


def _name(text: str, name: str) -> str:
    """The name as it is compared and resolved."""
    name = name.lower().removesuffix(".")
    # A bare name is resolved, too: `localhost`, or another machine of a test network.
    if not name.isascii() or not 1 <= len(name) <= _MAX_NAME_LENGTH or is_numeric_name(name):
        raise UserError(
            f"{name!r} in {text!r} is no DNS name: write one in ASCII (xn--...), or an address as /ip4/..."
        )
    return name


def _not_dialled(text: str) -> UserError:
    return UserError(
        f"{text!r} is no address that we can dial: give /ip4/ADDRESS/tcp/PORT, or /dns4/NAME/tcp/PORT, with nothing, "
        "/ws or /tls/ws after it (and /p2p/RELAY/p2p-circuit for a circuit)"
    )


def binary_address(text: str) -> bytes:
    """A multiaddr in its binary form; raises `UserError` for what is none."""
    try:
        data: bytes = multiaddr.Multiaddr(text).to_bytes()
    except (MultiaddrError, ValueError) as error:
        raise UserError(f"{text!r} is not a multiaddr") from error
    return data


def address_text(data: bytes) -> str | None:
    """A binary multiaddr as text; None for one that is malformed or empty, or of protocols never heard of here."""
    try:
        text = str(multiaddr.Multiaddr(data))
        # The parser fills up what is cut short.
        return text if data and multiaddr.Multiaddr(text).to_bytes() == data else None
    # The package takes apart what strangers sent, and stumbles over it in more ways than it names.
    except (MultiaddrError, ValueError, TypeError, LookupError):
        return None


def circuit_relays(addresses: Iterable[str]) -> tuple[PeerId, ...]:
    """The relays through which a record's addresses lead, each once."""
    relays = []
    for text in addresses:
        if "/p2p-circuit" not in text:
            continue  # parsing costs, and most addresses are none
        try:
            address = parse_address(text)
        except UserError:
            continue
        if isinstance(address, CircuitAddress):
            relays.append(address.relay)
    return tuple(dict.fromkeys(relays))


def dialable(addresses: Iterable[str], *, allow_private: bool) -> list[Address]:
    """Those of a record's addresses that may be dialled: outside test networks global ones, and names, only."""
    usable = []
    for text in addresses:
        try:
            address = parse_address(text)
        except UserError:
            continue  # a record may hold transports that this version does not speak
        if address.port and (allow_private or address.is_name or address.is_global):
            usable.append(address)
    return usable
