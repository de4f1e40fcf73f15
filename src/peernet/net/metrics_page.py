"""`/metrics` over HTTP/1.1, on loopback, for a Prometheus on this machine.

Rules:

1. It listens on loopback only: who wants it elsewhere puts a proxy with its own access rules before it.
2. One request a connection: GET or HEAD of `/metrics`. A request has a bounded size and time, and only so many are
   read at once; further ones are closed.
3. Nothing of a request is logged or counted.

Source: RFC 9112; Prometheus, "Exposition formats".
"""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import h11
import trio

from peernet.core.errors import UserError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["MetricsPage", "parse_page_address"]

REQUEST_TIMEOUT_S: Final = 5.0
MAX_REQUEST_SIZE: Final = 8 * 1024
REQUESTS_AT_ONCE: Final = 8

_READ_SIZE: Final = 4096


def parse_page_address(text: str) -> tuple[str, int]:
    """IP address and port of `127.0.0.1:9101` or `[::1]:9101`; raises `UserError` for anything but loopback."""
    host, _, port = text.rpartition(":")
    try:
        number = int(port)
        is_loopback = ip_address(host.strip("[]")).is_loopback
        if not 0 <= number < 1 << 16:
            raise ValueError("a port has 16 bits")
    except ValueError as error:
        raise UserError(f"--metrics {text!r}: give a loopback address and a port, such as 127.0.0.1:9101") from error
    if not is_loopback:
        raise UserError(
            f"--metrics {text}: metrics are served on this machine only, such as on 127.0.0.1:{number}; for another "
            "machine put a proxy before it, which asks who is there"
        )
    return host.strip("[]"), number


class MetricsPage:
    """The page of one registry."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        self._registry = registry
        self._now = 0

    async def serve(
        self, host: str, port: int, task_status: "trio.TaskStatus[int]" = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serves until cancelled; tells the port once it listens. Raises `UserError` when that cannot be had."""
        try:
            (listener,) = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            raise UserError(
                f"cannot serve metrics on {host} port {port}: {error.strerror or error}. Choose another --metrics."
            ) from error
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._serve_one, [listener])

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if self._now >= REQUESTS_AT_ONCE:
            await trio.aclose_forcefully(stream)
            return
        self._now += 1
        try:
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                async with stream:
                    await self._answer(stream)
        except trio.BrokenResourceError:
            pass  # whoever asked has gone
        finally:
            self._now -= 1

    async def _answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_SIZE)
        try:
            request = await _request(connection, stream)
        except h11.RemoteProtocolError as error:
            status, kind, body = error.error_status_hint, "text/plain; charset=utf-8", b"not HTTP\n"
            is_head = False
        else:
            if request is None:
                return
            status, kind, body = self._page(request)
            is_head = request.method == b"HEAD"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")]
        pieces = [connection.send(h11.Response(status_code=status, headers=headers))]
        if not is_head:
            pieces.append(connection.send(h11.Data(data=body)))
        pieces.append(connection.send(h11.EndOfMessage()))
        await stream.send_all(b"".join(piece for piece in pieces if piece is not None))
        await stream.send_eof()

    def _page(self, request: h11.Request) -> tuple[int, str, bytes]:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        if request.target.partition(b"?")[0] != b"/metrics":
            return 404, "text/plain; charset=utf-8", b"there is only /metrics\n"
        if request.method not in {b"GET", b"HEAD"}:
            return 405, "text/plain; charset=utf-8", b"GET it\n"
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)


async def _request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """The head of the request; None if whoever came goes without one."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(bytes(await stream.receive_some(_READ_SIZE)))
