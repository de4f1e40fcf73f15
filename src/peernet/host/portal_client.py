"""A portal of a bootstrap node's operator, as a host talks to it: JSON over HTTP/1.1, by `h11` on trio.

Rules:

1. Outside this machine only TLS is spoken, with the system's authorities or those that the operator of the host names.
2. One connection a request; no redirect is followed, no proxy of the environment used, no cookie kept.
3. Every wait and every size has a bound. What a portal says in return is data: it is shown without what would steer a
   terminal.

RFC 9112; RFC 9457 (problem details).
"""

import ipaddress
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import h11
import trio
from attrs import frozen

from peernet.core.errors import PeernetError, UserError

__all__ = ["PortalClient", "PortalRefused", "PortalUnreachable", "printable"]

TIMEOUT_S: Final = 30.0
READ_SIZE: Final = 1 << 16
MAX_BODY_SIZE: Final = 1 << 20
MAX_SAID: Final = 300


class PortalUnreachable(UserError):
    """The portal does not answer, or answers what is none of its answers."""


class PortalRefused(UserError):
    """The portal understood, and said no; `reason` is its word for why."""

    def __init__(self, said: str, reason: str) -> None:
        super().__init__(f"the portal refuses: {said}")
        self.reason = reason


class PortalBroken(PeernetError):
    """HTTP that is none."""


def printable(text: str, *, lines: bool = False) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join(
        character if character.isprintable() or (lines and character == "\n") else "\ufffd" for character in text
    )


@frozen
class PortalClient:
    """Where a portal is."""

    origin: str
    """As it names itself, and as statements for it say: scheme, host and port, in small letters."""
    authority: str = ""
    """A file of certificates to trust besides the system's (PEM)."""

    @classmethod
    def of_url(cls, url: str, authority: str = "") -> "PortalClient":
        """The portal at `url`; raises `UserError` for what is no such address."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise UserError(f"the portal's address cannot be read: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
            raise UserError("a portal's address is such as https://peernet.example.org, without a path")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UserError("the portal's address holds more than an address")
        if parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise UserError(f"{parts.hostname} is another machine: its portal is at https://, not http://")
        return cls(f"{parts.scheme}://{parts.netloc}".lower(), authority)

    async def get(self, path: str) -> Any:
        """The JSON object that the portal answers; raises `PortalRefused` or `PortalUnreachable`."""
        return await self._ask("GET", path, b"")

    async def post(self, path: str, body: dict[str, object]) -> Any:
        """As `get`, for what is sent."""
        return await self._ask("POST", path, json.dumps(body).encode())

    async def _ask(self, method: str, path: str, body: bytes) -> Any:
        try:
            with trio.fail_after(TIMEOUT_S):
                status, answer = await self._exchange(method, path, body)
        except trio.TooSlowError:
            raise PortalUnreachable(f"the portal at {self.origin} took over {TIMEOUT_S:.0f} s") from None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, PortalBroken) as error:
            cause = getattr(error.__cause__, "verify_message", "") or str(error) or type(error).__name__
            raise PortalUnreachable(f"no portal answers at {self.origin} ({printable(str(cause))})") from error
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise PortalUnreachable(f"what answers at {self.origin} is no portal (HTTP {status})")
        if not 200 <= status < 300:
            said, reason = (str(value.get(name, ""))[:MAX_SAID] for name in ("detail", "reason"))
            raise PortalRefused(printable(said) or f"HTTP {status}", printable(reason))
        return value

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(self.origin)
        headers = [("Host", parts.netloc), ("Accept", "application/json"), ("Connection", "close")]
        if body:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=READ_SIZE)
        request = connection.send(h11.Request(method=method, target=path, headers=headers)) or b""
        if body:
            request += connection.send(h11.Data(body)) or b""
        request += connection.send(h11.EndOfMessage()) or b""
        stream = await self._connect()
        try:
            await stream.send_all(request)
            return await _receive(stream, connection)
        finally:
            await trio.aclose_forcefully(stream)

    async def _connect(self) -> trio.abc.Stream:
        parts = urlsplit(self.origin)
        assert parts.hostname is not None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        stream = await trio.open_tcp_stream(parts.hostname, port)
        if parts.scheme == "http":
            return stream
        secured = trio.SSLStream(stream, self._context(), server_hostname=parts.hostname, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secured)
            raise
        return secured

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authority:
            try:
                context.load_verify_locations(self.authority)
            except (OSError, ssl.SSLError) as error:
                raise UserError(f"{self.authority} holds no certificates that can be used") from error
        return context


async def _receive(stream: trio.abc.Stream, connection: h11.Connection) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise PortalBroken("it breaks HTTP") from error
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(READ_SIZE)))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_SIZE:
                raise PortalBroken(f"its answer is over {MAX_BODY_SIZE} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            raise PortalBroken("it ended its answer in the middle")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
