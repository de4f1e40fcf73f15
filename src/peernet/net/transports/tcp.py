"""TCP: libp2p's bytes right on a socket. The other transports build on these sockets, too."""

from collections.abc import Callable

import trio
from attrs import evolve, frozen

from peernet.core.errors import UserError
from peernet.net.addresses import Address, TcpAddress
from peernet.net.transports.port import Incoming, IncomingHandler

__all__ = ["SocketListener", "TcpIncoming", "TcpTransport", "open_socket", "remote_host"]


async def open_socket(ip: str, port: int, local: str | None) -> trio.SocketStream:
    """A socket connected to `ip`, from `local`; raises `OSError`."""
    return await trio.open_tcp_stream(ip, port, local_address=local)


def remote_host(socket: trio.SocketStream) -> str | None:
    """The IP address at the other end; None if it has gone already."""
    try:
        host: str = socket.socket.getpeername()[0]
    except OSError:
        return None
    return host


@frozen
class TcpIncoming:
    """A connection as it came."""

    socket: trio.SocketStream
    host: str | None

    @classmethod
    def of(cls, socket: trio.SocketStream) -> "TcpIncoming":
        """The socket, and who is at its other end."""
        return cls(socket, remote_host(socket))

    async def open(self) -> trio.SocketStream:
        """Nothing is left to do."""
        return self.socket


@frozen
class SocketListener:
    """A listening socket, and what its connections are to the transport that opened it."""

    address: Address
    _sockets: trio.SocketListener
    _incoming: Callable[[trio.SocketStream], Incoming]

    @classmethod
    async def open(cls, address: Address, incoming: Callable[[trio.SocketStream], Incoming]) -> "SocketListener":
        """Listens on `address`; raises `UserError` when that cannot be had."""
        if address.is_name:
            raise UserError(
                f"cannot listen on the name {address.host}: give an IP address with --listen, and the name with "
                "--announce"
            )
        try:
            (sockets,) = await trio.open_tcp_listeners(address.port, host=address.host)
        except OSError as error:
            raise UserError(
                f"cannot listen on {address.host} port {address.port}: {error.strerror or error}. "
                "Is another peer running there? Choose another address with --listen."
            ) from error
        return cls(evolve(address, port=sockets.socket.getsockname()[1]), sockets, incoming)

    async def serve(self, handler: IncomingHandler, nursery: trio.Nursery) -> None:
        """Serves until cancelled."""

        async def serve_one(socket: trio.SocketStream) -> None:
            await handler(self._incoming(socket))

        await trio.serve_listeners(serve_one, [self._sockets], handler_nursery=nursery)


class TcpTransport:
    """Plain TCP."""

    async def dial(self, address: TcpAddress, ip: str, local: str | None, nursery: trio.Nursery) -> trio.SocketStream:
        return await open_socket(ip, address.port, local)

    async def listen(self, address: TcpAddress) -> SocketListener:
        return await SocketListener.open(address, TcpIncoming.of)
