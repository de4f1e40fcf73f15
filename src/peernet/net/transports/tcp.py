"""TCP: libp2p's bytes right on a non-blocking socket. The other transports build on these sockets, too.

Rules:

1. All connections of a process receive into one buffer: what `receive_some` returns is valid until the next
   checkpoint, and is processed before that. An idle connection so has no buffer of its own.
2. Receiving waits first, and takes what is there with one call then: a peer that sends without end gives way to the
   others after each.
3. Nobody waits on a closed socket: closing wakes who does.
"""

import errno
import socket
from collections.abc import Callable
from typing import Final

import structlog
import trio
from attrs import evolve, frozen

from peernet.core.errors import UserError
from peernet.net.addresses import Address, TcpAddress
from peernet.net.shared_buffer import SharedBuffer
from peernet.net.transports.port import Incoming, IncomingHandler

__all__ = ["SocketListener", "TcpIncoming", "TcpStream", "TcpTransport", "open_socket", "remote_host", "trio_stream"]

RECEIVE_BUFFER_SIZE: Final = 256 * 1024
BACKLOG: Final = 1024
"""Connections that the kernel holds until they are accepted."""
ACCEPTS_AT_ONCE: Final = 64
"""Connections accepted before others have their turn."""
UNSENT_LOW_WATER: Final = 128 * 1024
"""A socket counts as writable while the kernel holds fewer bytes of it unsent: more would only wait there."""
EXHAUSTED_PAUSE_S: Final = 0.1
"""How long a listener waits when the process or the machine has no more files or memory for a socket."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_SENT_AT_ONCE: Final = 512
"""Buffers that one call may gather; the kernel's own limit is 1,024."""

log = structlog.get_logger()


class TcpStream:
    """A connected socket. One task receives, one sends."""

    __slots__ = ("_buffer", "_number", "_socket")

    def __init__(self, connected: socket.socket, buffer: memoryview) -> None:
        self._socket = connected
        self._number = connected.fileno()
        self._buffer = buffer

    def send_now(self, buffers: list[bytes]) -> int:
        try:
            if len(buffers) == 1:
                return self._socket.send(buffers[0])
            return self._socket.sendmsg(buffers if len(buffers) <= _SENT_AT_ONCE else buffers[:_SENT_AT_ONCE])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _broken(error) from error

    async def send_all(self, data: bytes) -> None:
        with memoryview(data) as rest:
            sent = 0
            while sent < len(rest):
                try:
                    sent += self._socket.send(rest[sent:])
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._socket)
                except OSError as error:
                    raise _broken(error) from error

    async def receive_some(self, max_bytes: int) -> memoryview:
        buffer = self._buffer
        while True:
            # Whoever closes the socket has woken those who wait first, so the number is still the socket's.
            await trio.lowlevel.wait_readable(self._number)
            try:
                return buffer[: self._socket.recv_into(buffer, min(max_bytes, len(buffer)))]
            except BlockingIOError:
                continue
            except OSError as error:
                raise _broken(error) from error

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def _broken(error: OSError) -> trio.BrokenResourceError | trio.ClosedResourceError:
    if error.errno in {errno.EBADF, errno.ENOTSOCK}:
        return trio.ClosedResourceError("the socket was closed")
    return trio.BrokenResourceError(error.strerror or "the socket is broken")


def _prepared(connected: socket.socket) -> socket.socket:
    connected.setblocking(False)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LOW_WATER)
    return connected


async def open_socket(ip: str, port: int, local: str | None) -> socket.socket:
    """A socket connected to `ip`, from `local`; raises `OSError`."""
    await trio.lowlevel.checkpoint_if_cancelled()
    opened = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
    try:
        _prepared(opened)
        if local is not None:
            opened.bind((local, 0))
        error = opened.connect_ex((ip, port))
        if error == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(opened)
            error = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            await trio.lowlevel.checkpoint()  # what was decided at once gives way to others, too
        if error:
            raise OSError(error, errno.errorcode.get(error, "the connection failed"))
    except BaseException:
        trio.lowlevel.notify_closing(opened)
        opened.close()
        raise
    return opened


def trio_stream(connected: socket.socket) -> trio.SocketStream:
    """A socket for those who want trio's own stream, such as its TLS."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(connected))


def remote_host(connected: socket.socket) -> str | None:
    """The IP address at the other end; None if it has gone already."""
    try:
        host: str = connected.getpeername()[0]
    except OSError:
        return None
    return host


@frozen
class TcpIncoming:
    """A connection as it came."""

    _socket: socket.socket
    host: str | None

    @classmethod
    def of(cls, accepted: socket.socket) -> "TcpIncoming":
        """The socket, and who is at its other end."""
        return cls(accepted, remote_host(accepted))

    async def open(self) -> TcpStream:
        """Nothing is left to do."""
        return TcpStream(self._socket, _RECEIVE_BUFFER.get())


@frozen
class SocketListener:
    """A listening socket, and what its connections are to the transport that opened it."""

    address: Address
    _socket: socket.socket
    _incoming: Callable[[socket.socket], Incoming]

    @classmethod
    async def open(cls, address: Address, incoming: Callable[[socket.socket], Incoming]) -> "SocketListener":
        """Listens on `address`; raises `UserError` when that cannot be had."""
        if address.is_name:
            raise UserError(
                f"cannot listen on the name {address.host}: give an IP address with --listen, and the name with "
                "--announce"
            )
        listening = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listening.family == socket.AF_INET6:
                # Whoever wants IPv4, too, says so with a second address.
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((address.host, address.port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise UserError(
                f"cannot listen on {address.host} port {address.port}: {error.strerror or error}. "
                "Is another peer running there? Choose another address with --listen."
            ) from error
        return cls(evolve(address, port=listening.getsockname()[1]), listening, incoming)

    async def serve(self, handler: IncomingHandler, nursery: trio.Nursery) -> None:
        """Serves until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                try:
                    self._accept_some(handler, nursery)
                except OSError as error:
                    if error.errno not in _EXHAUSTED:
                        raise
                    log.warning("no more connections can be accepted for now", error=error.strerror)
                    await trio.sleep(EXHAUSTED_PAUSE_S)
        finally:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _accept_some(self, handler: IncomingHandler, nursery: trio.Nursery) -> None:
        """Accepts who has come; raises `OSError` when that is not to be had."""
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # it had gone before it was accepted
            nursery.start_soon(self._serve_one, handler, _prepared(accepted))

    async def _serve_one(self, handler: IncomingHandler, accepted: socket.socket) -> None:
        try:
            await handler(self._incoming(accepted))
        finally:
            if accepted.fileno() >= 0:
                trio.lowlevel.notify_closing(accepted)
                accepted.close()


class TcpTransport:
    """Plain TCP."""

    async def dial(self, address: TcpAddress, ip: str, local: str | None, nursery: trio.Nursery) -> TcpStream:
        return TcpStream(await open_socket(ip, address.port, local), _RECEIVE_BUFFER.get())

    async def listen(self, address: TcpAddress) -> SocketListener:
        return await SocketListener.open(address, TcpIncoming.of)


_RECEIVE_BUFFER: Final = SharedBuffer("what was received", RECEIVE_BUFFER_SIZE)
