"""The transports that open sockets, chosen by the form of an address."""

import trio

from peernet.core.errors import LocalProtocolError
from peernet.net.addresses import Address, TcpAddress, WebSocketAddress
from peernet.net.transports.port import ByteStream, Listener
from peernet.net.transports.tcp import TcpTransport
from peernet.net.transports.tls import TlsFiles
from peernet.net.transports.websocket import WebSocketTransport

__all__ = ["Transports"]


class Transports:
    """Those of one node.

    Args:
        tls: the files for WebSockets over TLS; raises `UserError` when the authority's cannot be used.
        behind_proxy: whether a reverse proxy near this node is believed about whom it speaks for.
    """

    def __init__(self, tls: TlsFiles, *, behind_proxy: bool) -> None:
        self._tcp = TcpTransport()
        self._websocket = WebSocketTransport(tls, behind_proxy=behind_proxy)

    async def listen(self, address: Address) -> Listener:
        """Listens on `address` (port 0: any); raises `UserError` when that cannot be had."""
        match address:
            case TcpAddress():
                return await self._tcp.listen(address)
            case WebSocketAddress():
                return await self._websocket.listen(address)
        raise LocalProtocolError(f"{address} is of no transport that we have")

    async def dial(self, address: Address, ip: str, bind: str | None, nursery: trio.Nursery) -> ByteStream:
        """A byte stream to `address`, whose host has this IP address, from `bind`, or from any local address.

        What runs behind it runs in `nursery`.
        """
        match address:
            case TcpAddress():
                return await self._tcp.dial(address, ip, bind, nursery)
            case WebSocketAddress():
                return await self._websocket.dial(address, ip, bind, nursery)
        raise LocalProtocolError(f"{address} is of no transport that we have")
