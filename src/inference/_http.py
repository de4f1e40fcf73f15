"""HTTP/1.1 requests to an inference server, over trio by `h11`.

Rules:

1. One connection a request: closing it is how a server learns that nobody reads its answer any more.
2. Nothing of a request or an answer is in an exception: a server may quote in an error what it was sent.
3. No redirect is followed and no proxy of the environment used: a fragment goes where the host's operator said.
4. Outside this machine only TLS is spoken.
5. Every wait and every size has a bound.

RFC 9112; Server-Sent Events as the HTML standard has them, section 9.2.

Private: the engines on servers use it.
"""

import ipaddress
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import h11
import trio
from attrs import evolve, field, frozen

from inference.engine import EngineCrashed, EngineError, ModelUnusable

CONNECT_TIMEOUT_S: Final = 10.0
READ_SIZE: Final = 1 << 16
MAX_BODY_SIZE: Final = 4 << 20
MAX_EVENT_SIZE: Final = 1 << 20


@frozen
class Endpoint:
    """Where a server is, and the key that it wants."""

    host: str
    port: int
    path: str
    """What stands before the names of the API: `/v1`, mostly."""
    tls: bool = False
    socket: Path | None = None
    """A Unix socket, in place of host and port."""
    key: str = field(default="", repr=False)

    @classmethod
    def of_url(cls, url: str, key: str = "") -> "Endpoint":
        """The server at `http://..` or `https://..`; raises `ModelUnusable` for what is no such address."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ModelUnusable(f"the engine's URL cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ModelUnusable("the engine's URL begins with http:// or https://, such as http://127.0.0.1:11434/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ModelUnusable("the engine's URL holds more than an address; a key belongs into PEERNET_ENGINE_KEY")
        if not key.isascii() or not key.isprintable():
            raise ModelUnusable("the engine's key holds characters that no HTTP header may")
        tls = parts.scheme == "https"
        if not tls and not _is_this_machine(parts.hostname):
            raise ModelUnusable(
                f"fragments would travel to {parts.hostname} unencrypted: use https://, or a tunnel that ends on "
                "this machine"
            )
        return cls(parts.hostname, port or (443 if tls else 80), parts.path.rstrip("/"), tls, None, key)

    @property
    def root(self) -> "Endpoint":
        """The same server without `/v1`: there health, metrics and token ids are."""
        return evolve(self, path=self.path.removesuffix("/v1"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return str(self.socket or f"http{'s' if self.tls else ''}://{host}:{self.port}{self.path}")

    async def connect(self) -> trio.abc.Stream:
        """Raises `EngineCrashed` where nobody answers."""
        cause = f"not within {CONNECT_TIMEOUT_S:.0f} s"
        with trio.move_on_after(CONNECT_TIMEOUT_S):
            try:
                return await self._connect()
            except OSError as error:
                cause = error.strerror or getattr(error.__cause__, "strerror", None) or type(error).__name__
            except trio.BrokenResourceError as error:
                cause = str(getattr(error.__cause__, "verify_message", "")) or "TLS failed"
        raise EngineCrashed(f"no server answers at {self} ({cause})")

    async def _connect(self) -> trio.abc.Stream:
        if self.socket is not None:
            return await trio.open_unix_socket(str(self.socket))
        if not self.tls:
            return await trio.open_tcp_stream(self.host, self.port)
        stream = await trio.open_ssl_over_tcp_stream(self.host, self.port, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@frozen
class Answer:
    """A whole answer."""

    status: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body's value, or None where it is no JSON."""
        return _json(self.body)


class Reply:
    """An answer that is still coming."""

    def __init__(self, stream: trio.abc.Stream, connection: h11.Connection, timeout_s: float) -> None:
        self._stream = stream
        self._connection = connection
        self._timeout_s = timeout_s
        self.status = 0
        self.type = ""
        """The media type, in small letters, without parameters."""

    async def begin(self) -> None:
        """Waits for the head."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                self.status = event.status_code
                types = [value for name, value in event.headers if name == b"content-type"]
                self.type = types[0].decode("latin-1").split(";")[0].strip().lower() if types else ""
                return

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def read_all(self) -> bytes:
        """The rest of the body."""
        body = bytearray()
        while data := await self.read():
            body += data
            if len(body) > MAX_BODY_SIZE:
                raise EngineError(f"the server's answer is over {MAX_BODY_SIZE} bytes")
        return bytes(body)

    async def _event(self) -> Any:
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError:
                broken = True
            else:
                broken = event is h11.PAUSED
            if broken:
                # Raised outside: h11's message quotes what it could not read.
                raise EngineCrashed("the server broke HTTP, or ended its answer in the middle")
            if event is not h11.NEED_DATA:
                return event
            self._connection.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        with trio.move_on_after(self._timeout_s):
            try:
                return bytes(await self._stream.receive_some(READ_SIZE))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
        raise EngineCrashed(f"the server said nothing for {self._timeout_s:.0f} s")


@asynccontextmanager
async def exchange(
    endpoint: Endpoint, method: str, name: str, body: object = None, *, timeout_s: float
) -> AsyncIterator[Reply]:
    """One request on its connection, and the answer to come; `timeout_s` is how long the server may be silent.

    Raises `EngineCrashed` where the server is not there or breaks off.
    """
    content = b"" if body is None else json.dumps(body).encode()
    headers = [("Host", "localhost" if endpoint.socket else endpoint.host), ("Accept", "*/*"), ("Connection", "close")]
    if endpoint.key:
        headers.append(("Authorization", f"Bearer {endpoint.key}"))
    if body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=READ_SIZE)
    request = connection.send(h11.Request(method=method, target=f"{endpoint.path}/{name}", headers=headers))
    assert request is not None
    if content:
        request += connection.send(h11.Data(content)) or b""
    request += connection.send(h11.EndOfMessage()) or b""
    stream = await endpoint.connect()
    try:
        with trio.move_on_after(timeout_s) as limit:
            try:
                await stream.send_all(request)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise EngineCrashed("the server closed the connection before it was asked") from None
        if limit.cancelled_caught:
            raise EngineCrashed(f"the server took no request for {timeout_s:.0f} s")
        yield Reply(stream, connection, timeout_s)
    finally:
        # At once, also for TLS: there is nothing left to agree on.
        await trio.aclose_forcefully(stream)


async def ask(endpoint: Endpoint, method: str, name: str, body: object = None, *, timeout_s: float) -> Answer:
    """One request and its whole answer."""
    async with exchange(endpoint, method, name, body, timeout_s=timeout_s) as reply:
        await reply.begin()
        return Answer(reply.status, await reply.read_all())


class EventReader:
    """The `data` of Server-Sent Events, from bytes as they come."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events that are complete now; what an API of completions sends has one line of data each."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if max(len(self._buffer), *map(len, lines), 0) > MAX_EVENT_SIZE:
            raise EngineError(f"the server sent an event of over {MAX_EVENT_SIZE} bytes")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip()


def _json(data: bytes) -> Any:
    # A function of its own, since the errors of both steps carry the text.
    try:
        return json.loads(data)
    except ValueError:
        return None


def parse(event: bytes) -> dict[str, Any]:
    """An event's object; raises `EngineError`."""
    value = _json(event)
    if not isinstance(value, dict):
        raise EngineError("the server sent an event that is no JSON object")
    return value
