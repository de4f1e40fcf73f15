"""The transport port: what the swarm and a connection need of a transport, and no more.

Rules:

1. A byte stream is reliable and ordered, and one task reads while another one writes. What runs behind it runs in the
   nursery that its dialler named, and never fails there. Nothing of it stays when it is closed: no task, no socket.
   Closing may say goodbye; who closes bounds that by a cancel scope, and a closing that is
   cancelled still closes.
2. `trio.BrokenResourceError` and `trio.ClosedResourceError` say that the stream is over; `RemoteProtocolError` that
   the other side broke the rules of the transport.
3. Who listens is handed a connection as soon as it came, before any of its bytes are read, so that it is counted and
   bounded from its first moment. `Incoming.open` is what the transport still has to do: nothing, or handshakes.
4. A transport dials an IP address. Names are resolved before, where the rule of what may be dialled is.
5. What `receive_some` returns is valid until the next checkpoint: a transport may use its buffer again then.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

from peernet.net.addresses import Address

__all__ = ["ByteStream", "DirectStream", "Incoming", "IncomingHandler", "Listener", "Transport"]

Address_contra = TypeVar("Address_contra", bound=Address, contravariant=True)


class ByteStream(Protocol):
    """Bytes both ways between two peers."""

    async def send_all(self, data: bytes) -> None:
        """Sends all of `data`; a call that is cancelled leaves a stream that can only be closed."""

    async def receive_some(self, max_bytes: int) -> bytes | bytearray | memoryview:
        """At least one byte, and about `max_bytes` at most; nothing at the end of what the other side sent."""

    async def aclose(self) -> None:
        """Closes both directions."""


class DirectStream(ByteStream, Protocol):
    """A byte stream that takes bytes without a task switch, as far as the system has room for them.

    Whether a stream is one is told by its having `send_now`. Closing it waits for nothing.
    """

    def send_now(self, buffers: list[bytes]) -> int:
        """How many bytes of `buffers`, from the first on, were sent without waiting; perhaps none.

        Raises `trio.BrokenResourceError` or `trio.ClosedResourceError`. Not while a `send_all` is under way.
        """


class Incoming(Protocol):
    """A connection that somebody made to us."""

    @property
    def host(self) -> str | None:
        """The IP address of who made it; None if it has gone already. What `open` learns may change it."""

    async def open(self) -> ByteStream:
        """What the transport does before bytes can flow.

        Raises `RemoteProtocolError` or `ConnectionFailed`; then all that is left to do is to close the socket, which
        the listener does when its handler returns.
        """


IncomingHandler = Callable[[Incoming], Awaitable[None]]


class Listener(Protocol):
    """A place where others can reach us."""

    @property
    def address(self) -> Address:
        """Where, with the port that was chosen."""

    async def serve(self, handler: IncomingHandler, nursery: trio.Nursery) -> None:
        """Starts `handler` in `nursery` for each who comes, and closes its socket when the handler returns."""


class Transport(Protocol[Address_contra]):
    """A way to get byte streams."""

    async def dial(self, address: Address_contra, ip: str, local: str | None, nursery: trio.Nursery) -> ByteStream:
        """A stream to `address`, whose host has the IP address `ip`, from `local` (None: any).

        What runs behind the stream runs in `nursery`. Raises `OSError`, `ConnectionFailed` or `RemoteProtocolError`.
        Waits without a bound of its own.
        """

    async def listen(self, address: Address_contra) -> Listener:
        """Listens on `address`, an IP address (port 0: any); raises `UserError` when that cannot be had."""
