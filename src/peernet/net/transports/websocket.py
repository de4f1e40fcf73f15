"""WebSocket: libp2p's bytes in binary messages, in the clear or over TLS, as other libp2p implementations have it.

Theory of operation. Who listens faces anybody. There `wsproto` knows the protocol and does no I/O; a `WebSocketStream`
drives it over the stream below, and only when somebody reads or writes. There is no task behind it, so none can be
left over. What we dial is trio-websocket's, in `dialled_websocket`.

Rules, for both sides unless they say otherwise:

1. One WebSocket is one connection. Its messages are binary, and what is in them is a stream: where one message ends
   and the next one begins means nothing. Multistream, Noise and yamux run inside as on TCP.
2. Who listens hands a message on in pieces as it comes, so that neither a long message nor endless empty fragments
   are held. A message over `MAX_MESSAGE_SIZE` ends the connection, and so does a text message. Ours are at most
   `MAX_SENT_SIZE`, which others take by default.
3. The path is `/`, there are no subprotocols, and no extension is offered or accepted: compressing ciphertext only
   costs.
4. Of the pings that come together who listens answers the last (RFC 6455 section 5.5.3). We send none: yamux has its
   own.
5. Closing sends a close frame, unless a cancelled write has left half a frame there, and waits for no answer.

Source: RFC 6455; libp2p's specification of WebSockets.
"""

import socket
import ssl
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError as WsLocalError
from wsproto.utilities import RemoteProtocolError as WsRemoteError

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.net.addresses import WebSocketAddress, is_global
from peernet.net.transports.dialled_websocket import MAX_SENT_SIZE, PATH, DialledWebSocket, request_websocket
from peernet.net.transports.tcp import SocketListener, open_socket, remote_host, trio_stream
from peernet.net.transports.tls import TlsFiles, accept_tls, dialling_context, listening_context, start_tls

__all__ = ["MAX_MESSAGE_SIZE", "WebSocketStream", "WebSocketTransport", "accept_websocket"]

MAX_MESSAGE_SIZE: Final = 16 * 1024 * 1024

_HANDSHAKE_READ_SIZE: Final = 4096
_DEFAULT_PORTS: Final = {False: 80, True: 443}
_GONE: Final = "the other side closed the connection during the WebSocket handshake"


class WebSocketStream:
    """A byte stream in a WebSocket that somebody asked us for, and whose handshake is done."""

    def __init__(self, below: trio.abc.Stream, protocol: WSConnection) -> None:
        self._below = below
        self._protocol = protocol
        self._sending = trio.Lock()
        self._torn = False
        """Whether a write was cancelled, or is under way: then the next byte may not begin a frame."""
        self._received: list[bytes] = []
        self._message_size = 0
        self._answer: Event | None = None
        self._remote_closed = False
        self._close_code = CloseReason.NORMAL_CLOSURE

    async def send_all(self, data: bytes) -> None:
        """Sends `data` as one binary message, or as several."""
        for start in range(0, len(data), MAX_SENT_SIZE):
            await self._send(BytesMessage(data=data[start : start + MAX_SENT_SIZE]))

    async def receive_some(self, max_bytes: int) -> bytes:
        """What came in binary messages; raises `RemoteProtocolError` for what a peer must not send."""
        while True:
            # What came with the end of the handshake is here before anything is read.
            self._take_events()
            if self._answer is not None:
                answer, self._answer = self._answer, None
                with suppress(trio.BrokenResourceError):  # who sends and does not read may still be read
                    await self._send(answer)
            if self._received:
                data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
                self._received.clear()
                return data
            if self._remote_closed:
                return b""
            data = bytes(await self._below.receive_some(max_bytes))
            if not data:
                self._remote_closed = True
                return b""
            self._protocol.receive_data(data)

    async def aclose(self) -> None:
        """Says goodbye as far as that can be said, and closes what is below."""
        try:
            if not self._torn:
                await self._send(CloseConnection(code=self._close_code))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side was quicker
        finally:
            await trio.aclose_forcefully(self._below)

    async def _send(self, event: Event) -> None:
        async with self._sending:
            if self._torn:
                raise trio.ClosedResourceError("a write was cancelled")
            try:
                data = self._protocol.send(event)
            except WsLocalError as error:
                raise trio.BrokenResourceError("the WebSocket is closed") from error
            self._torn = True
            await self._below.send_all(data)
            self._torn = False

    def _take_events(self) -> None:
        for event in self._protocol.events():
            if isinstance(event, BytesMessage):
                self._take_piece(event)
            elif isinstance(event, Ping):
                self._answer = event.response()
            elif isinstance(event, CloseConnection):
                self._take_close(event)
            elif isinstance(event, TextMessage):
                self._break(CloseReason.UNSUPPORTED_DATA, "a text message, where bytes belong", "websocket_text")

    def _take_piece(self, event: BytesMessage) -> None:
        self._message_size += len(event.data)
        if self._message_size > MAX_MESSAGE_SIZE:
            self._break(CloseReason.MESSAGE_TOO_BIG, "a message over the limit", "websocket_size")
        if event.message_finished:
            self._message_size = 0
        if event.data:
            self._received.append(bytes(event.data))

    def _take_close(self, event: CloseConnection) -> None:
        # wsproto tells of a frame that it cannot read by the same event, and stays open.
        if self._protocol.state is ConnectionState.OPEN:
            self._break(CloseReason(event.code), "a frame that breaks RFC 6455", "websocket_frame")
        self._remote_closed = True
        if self._protocol.state is ConnectionState.REMOTE_CLOSING:
            self._answer = event.response()

    def _break(self, code: CloseReason, what: str, reason: str) -> None:
        self._close_code = code
        raise RemoteProtocolError(f"the peer sent {what}", reason=reason)


async def accept_websocket(below: trio.abc.Stream) -> tuple[WebSocketStream, list[tuple[bytes, bytes]]]:
    """The WebSocket that the other side asks for, and the headers of its request.

    Raises `RemoteProtocolError` for anything but such a request, and `ConnectionFailed` when the other side goes.
    """
    protocol = WSConnection(ConnectionType.SERVER)
    try:
        try:
            request = await _handshake_event(below, protocol)
        except RemoteProtocolError as error:
            await _refuse(below, protocol, error.__cause__)
            raise
        assert isinstance(request, Request)
        if request.target != PATH:
            await below.send_all(protocol.send(RejectConnection(status_code=404)))
            raise RemoteProtocolError("a WebSocket was asked for at another path than /", reason="websocket_path")
        await below.send_all(protocol.send(AcceptConnection()))
    except trio.BrokenResourceError as error:
        raise ConnectionFailed(_GONE) from error
    return WebSocketStream(below, protocol), list(request.extra_headers)


async def _handshake_event(below: trio.abc.Stream, protocol: WSConnection) -> Event:
    """What the handshake comes to. Frames that came with it stay in `protocol`; h11 bounds how long headers may be."""
    while True:
        data = await below.receive_some(_HANDSHAKE_READ_SIZE)
        if not data:
            raise ConnectionFailed(_GONE)
        try:
            protocol.receive_data(bytes(data))
        # wsproto decodes some headers without a care for bytes that are no text.
        except (WsRemoteError, UnicodeError) as error:
            raise RemoteProtocolError("no WebSocket handshake", reason="websocket_handshake") from error
        for event in protocol.events():
            return event


async def _refuse(below: trio.abc.Stream, protocol: WSConnection, why: BaseException | None) -> None:
    """Tells whoever speaks HTTP that this is for WebSockets."""
    hint = why.event_hint if isinstance(why, WsRemoteError) else None
    await below.send_all(protocol.send(hint or RejectConnection(status_code=400)))


class WebSocketIncoming:
    """Somebody's connection before its handshakes.

    Args:
        accepted: the socket.
        context: TLS, or None for a WebSocket in the clear.
        behind_proxy: whether to believe a proxy near us about who it speaks for.
    """

    def __init__(self, accepted: socket.socket, *, context: ssl.SSLContext | None, behind_proxy: bool) -> None:
        self._socket = trio_stream(accepted)
        self._context = context
        self._behind_proxy = behind_proxy
        self.host = remote_host(accepted)

    async def open(self) -> WebSocketStream:
        """TLS, if this is for it, and the WebSocket's handshake."""
        below = self._socket if self._context is None else await accept_tls(self._socket, self._context)
        stream, headers = await accept_websocket(below)
        if self._behind_proxy and self.host is not None and not is_global(self.host):
            self.host = _forwarded_for(headers) or self.host
        return stream


class WebSocketTransport:
    """WebSockets over TCP, and over TLS.

    Args:
        files: what TLS needs.
        behind_proxy: whether listeners believe a reverse proxy on this machine or network about whom it speaks for.

    Raises `UserError` when the authority's file cannot be used.
    """

    def __init__(self, files: TlsFiles, *, behind_proxy: bool = False) -> None:
        self._files = files
        self._behind_proxy = behind_proxy
        # A mistake in the configuration is told now, and not at the first dial.
        self._dialling = dialling_context(files) if files.authority else None

    async def dial(
        self, address: WebSocketAddress, ip: str, local: str | None, nursery: trio.Nursery
    ) -> DialledWebSocket:
        below: trio.abc.Stream
        plain = below = trio_stream(await open_socket(ip, address.port, local))
        try:
            if address.tls:
                below = await start_tls(plain, await self._dialling_context(), address.name)
            return await request_websocket(below, _host_header(address), nursery)
        except BaseException:
            await trio.aclose_forcefully(plain)
            raise

    async def _dialling_context(self) -> ssl.SSLContext:
        """Made for the first who dials over TLS: the system's authorities take long to load."""
        if self._dialling is None:
            self._dialling = await trio.to_thread.run_sync(dialling_context, self._files)
        return self._dialling

    async def listen(self, address: WebSocketAddress) -> SocketListener:
        context = listening_context(self._files) if address.tls else None
        incoming = partial(WebSocketIncoming, context=context, behind_proxy=self._behind_proxy)
        return await SocketListener.open(address, incoming)


def _host_header(address: WebSocketAddress) -> str:
    name = f"[{address.name}]" if ":" in address.name else address.name
    return name if address.port == _DEFAULT_PORTS[address.tls] else f"{name}:{address.port}"


def _forwarded_for(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The address that the nearest proxy has seen: the last one of X-Forwarded-For."""
    values = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
    if not values:
        return None
    last = values[-1].rpartition(b",")[2].strip()
    try:
        return str(ip_address(last.decode("ascii")))
    except ValueError:
        return None
