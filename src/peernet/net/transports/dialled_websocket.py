"""The WebSockets that we dial: trio-websocket, between two narrow layers of ours that bound its waits and heaps.

Theory of operation. trio-websocket reads in a task of its own. That task runs in a nursery of this one connection,
which runs in the nursery that the dialler names; so whatever it fails of ends this connection alone, and closing waits
for its end. Below it a `_Meter` passes the bytes on and sees what the library tells nobody: that the other side went,
how much came, and what was written. Above it a `DialledWebSocket` is the byte stream.

Rules:

1. What is held of messages that are not whole is bounded by what came from below since the last one was handed on:
   `MAX_UNDELIVERED` bytes and one more read. The library keeps each fragment by itself. Measured, an empty one (2
   bytes) costs 9 bytes, and the dearest, of one byte (3 bytes), costs 43, or 57 as the allocator rounds: 4 to 5 MiB at
   most. Whole messages do not heap up: the library reads no further until one is taken.
2. The end of what is below, and any answer but `101`, end the handshake at once; a body is never read.
3. The first write that is cancelled is the last one: half a frame may be there.
4. Closing sends a close frame, if it can begin a frame, and waits for no answer. Then the tasks end and what is below
   is closed, whoever closed first; a closing that is cancelled does the same.
5. No extension and no subprotocol is offered. Each ping is answered before more is read.

The listening side is not for this: a bound of bytes is dear when strangers choose how many connections there are, and
there pieces of messages are handed on as they come.

Source: RFC 6455; trio-websocket 0.12.
"""

import re
from typing import Any, Final, NoReturn, cast

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.frame_protocol import CloseReason, Opcode
from wsproto.utilities import ProtocolError

from peernet.core.errors import ConnectionFailed, RemoteProtocolError

__all__ = ["MAX_SENT_SIZE", "PATH", "DialledWebSocket", "request_websocket"]

PATH: Final = "/"
MAX_SENT_SIZE: Final = 256 * 1024
"""What both sides of ours put into one message."""

MAX_MESSAGE_SIZE: Final = MAX_SENT_SIZE
READ_SIZE: Final = 16 * 1024
CONTROL_ALLOWANCE: Final = 4 * 1024
"""For the heads of frames, and for pings between the fragments of a message."""
MAX_UNDELIVERED: Final = READ_SIZE + MAX_MESSAGE_SIZE + CONTROL_ALLOWANCE
"""The read that brought the end of one message, all of it taken to belong to the next, and that next one."""

_SWITCHING: Final = 101
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_STATUS_SIZE: Final = len(b"HTTP/1.1 101")
_CLOSE_FRAME: Final = 0x80 | Opcode.CLOSE
_GONE: Final = "the other side closed the connection during the WebSocket handshake"

TaskStatus = Any  # trio exports no public name for what `Nursery.start` hands over


class _Meter(trio.abc.Stream):
    """What trio-websocket takes for its socket: passes bytes on, and keeps count."""

    def __init__(self, below: trio.abc.Stream) -> None:
        self._below = below
        self._start = b""
        self._last_read = 0
        self.came = 0
        """Bytes since the last message was handed on, those of the read that brought its end among them."""
        self.status = _SWITCHING
        """The HTTP status of the answer, as far as it is known."""
        self.over = trio.Event()
        """Nothing more comes, or nothing more goes."""
        self.full = False
        self.broken = False
        self.closed = False
        self.torn = False
        """Whether a write was cancelled, or is under way: then the next byte may not begin a frame."""
        self.cut = False
        """Whether a message was given up by who sent it."""
        self.close_begun = False
        self.close_sent = trio.Event()

    def handed_on(self) -> None:
        """A message left the library; what came with its end may be the beginning of the next one."""
        self.came = self._last_read

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        is_close = data[0] == _CLOSE_FRAME
        self.close_begun |= is_close
        if self.torn or self.cut:
            raise trio.ClosedResourceError("a write was cancelled")
        self.torn = True
        try:
            await self._below.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.over.set()
            raise
        self.torn = False
        if is_close:
            self.close_sent.set()

    async def wait_send_all_might_not_block(self) -> None:
        await self._below.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; the end, also where too much came or the handshake was refused."""
        self.full = self.full or self.came > MAX_UNDELIVERED
        data = b"" if self.full else await self._read(max_bytes)
        self._last_read = len(data)
        self.came += len(data)
        if len(self._start) < _STATUS_SIZE and data:
            self._start += data[: _STATUS_SIZE - len(self._start)]
            if line := _STATUS_LINE.match(self._start):
                self.status = int(line[1])
        if not data or self.status != _SWITCHING:
            self.over.set()
            return b""
        return data

    async def aclose(self) -> None:
        self.closed = True
        self.over.set()
        await self._below.aclose()

    async def _read(self, max_bytes: int | None) -> bytes:
        try:
            return bytes(await self._below.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
            self.over.set()
            raise


class _Reader:
    """The task of one connection in which the library's own runs."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._scope = trio.CancelScope()
        self._gone = trio.Event()
        self.provoked: BaseException | None = None
        """How the other side ended the library's task."""
        self.crash: BaseException | None = None
        """A bug that ended it."""

    async def run(self, host: str, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Hands over the connection when its handshake is done, and ends with the library's task."""
        websocket: WebSocketConnection | None = None
        try:
            with self._scope:
                try:
                    async with trio.open_nursery() as nursery:
                        websocket = await self._shake_hands(nursery, host)
                        if websocket is None:
                            nursery.cancel_scope.cancel()
                        else:
                            task_status.started(websocket)
                # What bytes can provoke, such as a ping after our close frame, or a header that is no text.
                except* (ProtocolError, UnicodeError, HandshakeError, ConnectionClosed) as group:
                    self.provoked = group
                except* Exception as group:  # noqa: BLE001  (whoever reads raises it: it ends that connection alone)
                    self.crash = group
        finally:
            self._gone.set()
        if websocket is None:
            self._raise_refused()

    async def stop(self) -> None:
        """Ends the task. It waits for nothing that does not heed a cancellation, so this is not cancelled itself."""
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._gone.wait()

    @property
    def failed(self) -> bool:
        """Whether the library's task broke off, so that what it would wake must not be waited for."""
        return self.provoked is not None or self.crash is not None

    async def raise_failure(self) -> NoReturn:
        """Says why the library's task, which is ending, does so without a word."""
        await self._gone.wait()
        if self.crash is not None:
            raise self.crash
        raise trio.BrokenResourceError("the WebSocket is closed") from self.provoked

    async def _shake_hands(self, nursery: trio.Nursery, host: str) -> WebSocketConnection | None:
        """The connection; None when the stream below is over, of which the library would not tell us."""
        websocket: WebSocketConnection | None = None

        async def give_up_when_over() -> None:
            await self._meter.over.wait()
            waiting.cancel_scope.cancel()

        async with trio.open_nursery() as waiting:
            waiting.start_soon(give_up_when_over)
            websocket = await wrap_client_stream(
                nursery,
                cast(trio.SocketStream, self._meter),  # any stream will do, whatever the annotation says
                host,
                PATH,
                message_queue_size=0,
                max_message_size=MAX_MESSAGE_SIZE,
                receive_buffer_size=READ_SIZE,
            )
            waiting.cancel_scope.cancel()
        return websocket

    def _raise_refused(self) -> NoReturn:
        if self._meter.status != _SWITCHING:
            raise ConnectionFailed(f"no WebSocket is served there: HTTP status {self._meter.status}")
        # The library fails of what it cannot read, or closes it. What we ask is always the same, so it was the answer.
        failure = self.provoked or self.crash
        if failure is not None or self._meter.closed or self._meter.full:
            raise RemoteProtocolError("no WebSocket handshake", reason="websocket_handshake") from failure
        raise ConnectionFailed(_GONE)


class DialledWebSocket:
    """A byte stream in a WebSocket that we asked for; `request_websocket` makes one."""

    def __init__(self, websocket: WebSocketConnection, meter: _Meter, reader: _Reader) -> None:
        self._websocket = websocket
        self._meter = meter
        self._reader = reader
        self._message = b""
        self._taken = 0
        self._close_code = CloseReason.NORMAL_CLOSURE

    async def send_all(self, data: bytes) -> None:
        """Sends `data` as one binary message, or as several."""
        for start in range(0, len(data), MAX_SENT_SIZE):
            if self._meter.cut or self._meter.closed:
                raise trio.ClosedResourceError("the WebSocket is closed, or a write was cancelled")
            try:
                await self._websocket.send_message(bytes(data[start : start + MAX_SENT_SIZE]))
            except (ConnectionClosed, ProtocolError) as error:
                raise trio.BrokenResourceError("the WebSocket is closed") from error
            except BaseException:
                self._meter.cut = True
                raise

    async def receive_some(self, max_bytes: int) -> bytes:
        """What came in binary messages; raises `RemoteProtocolError` for what a peer must not send."""
        while self._taken == len(self._message):
            try:
                message = await self._websocket.get_message()
            except ConnectionClosed:
                await self._raise_unless_ended()
                return b""
            self._meter.handed_on()
            if isinstance(message, str):
                self._break(CloseReason.UNSUPPORTED_DATA, "a text message, where bytes belong", "websocket_text")
            self._message, self._taken = message, 0
        data = self._message[self._taken : self._taken + max_bytes]
        self._taken += len(data)
        if self._taken == len(self._message):
            self._message, self._taken = b"", 0
        return data

    async def aclose(self) -> None:
        """Says goodbye as far as that can be said, ends the library's task, and closes what is below."""
        try:
            if not (self._meter.torn or self._meter.cut or self._meter.closed or self._reader.failed):
                await self._say_goodbye()
        finally:
            try:
                await self._reader.stop()
            finally:
                await trio.aclose_forcefully(self._meter)

    async def _say_goodbye(self) -> None:
        """Lets the library send its close frame, and leaves it alone with its wait for the answer."""
        async with trio.open_nursery() as nursery:

            async def close() -> None:
                await self._websocket.aclose(self._close_code)
                nursery.cancel_scope.cancel()

            nursery.start_soon(close)
            await self._meter.close_sent.wait()
            nursery.cancel_scope.cancel()

    async def _raise_unless_ended(self) -> None:
        """Tells what ended the messages; returns when the other side just ended them."""
        closed = self._websocket.closed
        if closed is None:
            await self._reader.raise_failure()
        # A peer that finds ours too big closes with the same code, but has not sent so much before.
        too_big = closed.code == CloseReason.MESSAGE_TOO_BIG and self._meter.came > MAX_MESSAGE_SIZE
        if too_big or self._meter.full:
            self._break(CloseReason.MESSAGE_TOO_BIG, "more than the limit in one message", "websocket_size")
        # The library answers a close frame of theirs, and tells of a frame that it cannot read as if it were one.
        if closed.code != CloseReason.ABNORMAL_CLOSURE and not self._meter.close_begun:
            self._break(CloseReason(closed.code), "a frame that breaks RFC 6455", "websocket_frame")
        if self._meter.broken or self._meter.closed:
            raise trio.BrokenResourceError("the WebSocket is closed")

    def _break(self, code: CloseReason, what: str, reason: str) -> NoReturn:
        self._close_code = code
        raise RemoteProtocolError(f"the peer sent {what}", reason=reason)


async def request_websocket(below: trio.abc.Stream, host: str, nursery: trio.Nursery) -> DialledWebSocket:
    """The WebSocket that we ask `host` for (a name or address, with the port if it is not the usual one).

    Its task runs in `nursery`, and ends by the time that `aclose` returns, or this raises. Raises `ConnectionFailed`
    when it is refused or the other side goes, `RemoteProtocolError` when no WebSocket is spoken there; then `below` is
    left to be closed.
    """
    meter = _Meter(below)
    reader = _Reader(meter)
    websocket: WebSocketConnection = await nursery.start(reader.run, host)
    return DialledWebSocket(websocket, meter, reader)
