"""Who may use the gateway: the programs of this machine, and no web page that its user happens to look at.

A browser runs strangers' programs, and they reach loopback addresses. Rules:

1. The Host header names us. A stranger's name that resolves to 127.0.0.1 (DNS rebinding) is not ours.
2. A page of another origin is refused: by its Origin header, or where there is none, by Sec-Fetch-Site. Origins that
   the user allows get the CORS headers that they need.
3. A POST carries `application/json`, which no page may send across origins without asking first.
4. Where there is an API key, every request shows it; it is compared in constant time.
5. The chat page's own files hold nothing of anybody's, and so need no key: the page asks its user for it. A link from
   elsewhere may lead to the page, in a window of its own; it can tell the page nothing, and reads nothing of it.
6. Whatever breaks below ends here: it is logged and counted by its type alone, since its message may hold text.

Source: WHATWG Fetch (CORS), W3C Fetch Metadata, Private Network Access.
"""

import hmac
from collections import Counter
from typing import Final

import structlog
from attrs import field, frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peernet.gateway.errors import ApiError, bug
from peernet.gateway.exposures import EXPOSURE_HEADER, SUMMARY_HEADER

__all__ = ["Access"]

PREFLIGHT_AGE_S: Final = 600

log = structlog.get_logger()


@frozen
class Access:
    """The outermost application: lets requests through to `app`, or answers them itself."""

    app: ASGIApp
    names: frozenset[str] | None
    """Ours, as in a Host header without the port; None where no browser reaches us."""
    origins: frozenset[str]
    api_key: str | None = field(repr=False)
    page_paths: frozenset[str] = frozenset()
    """The files of the chat page."""
    failures: Counter[str] = field(factory=Counter)
    """How many requests broke, by the type of error."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the server's beginning and end."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        reply = _Reply(send, origin if origin in self.origins else None)
        try:
            if scope["method"] == "OPTIONS" and origin in self.origins and self._is_ours(headers):
                await _preflight(headers)(scope, receive, reply.send)
                return
            self._check(scope, headers)
            await self.app(scope, receive, reply.send)
        except ApiError as error:
            await _answer(error, scope, receive, reply)
        except Exception as error:  # noqa: BLE001  (the outermost task of a request)
            kind = type(error).__name__
            self.failures[kind] += 1
            log.warning("a request broke", error=kind)
            await _answer(bug(error), scope, receive, reply)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if not self._is_ours(headers):
            raise ApiError(403, "the Host header names something else than this gateway", code="unknown_host")
        is_page = scope["method"] in {"GET", "HEAD"} and scope["path"] in self.page_paths
        if not (self._is_welcome(headers) or (is_page and _follows_link(headers))):
            raise ApiError(403, "web pages of other origins may not use this gateway", code="cross_origin")
        if self.api_key is not None and not is_page:
            shown = headers.get("authorization", "")
            wanted = f"Bearer {self.api_key}"
            if not hmac.compare_digest(shown.encode("utf-8", "replace"), wanted.encode()):
                raise ApiError(401, "the API key is missing or wrong", code="invalid_api_key")
        if scope["method"] == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != (
            "application/json"
        ):
            raise ApiError(415, "the body of a request is application/json", code="unsupported_media_type")

    def _is_ours(self, headers: Headers) -> bool:
        if self.names is None:
            return True
        named = headers.getlist("host")
        return len(named) == 1 and _without_port(named[0].lower()) in self.names

    def _is_welcome(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            # Our own page: its host was checked above.
            same = f"http://{headers.get('host', '')}"
            return origin in self.origins or (self.names is not None and origin == same)
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}


def _follows_link(headers: Headers) -> bool:
    """Whether a browser fetches what is asked for as a page of its own, and not as part of another."""
    shown = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return "origin" not in headers and shown == ("navigate", "document")


class _Reply:
    """Sends a response, with what an allowed origin needs to read it."""

    def __init__(self, send: Send, origin: str | None) -> None:
        self._send = send
        self._origin = origin
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self._origin is not None:
                headers = MutableHeaders(scope=message)
                headers["access-control-allow-origin"] = self._origin
                headers["access-control-expose-headers"] = f"{EXPOSURE_HEADER}, {SUMMARY_HEADER}"
                headers.add_vary_header("origin")
        await self._send(message)


async def _answer(error: ApiError, scope: Scope, receive: Receive, reply: _Reply) -> None:
    if not reply.started:
        await JSONResponse(error.body, error.status, error.headers)(scope, receive, reply.send)


def _preflight(headers: Headers) -> Response:
    allowed = {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": headers.get("access-control-request-headers", ""),
        "access-control-max-age": str(PREFLIGHT_AGE_S),
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=allowed)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
