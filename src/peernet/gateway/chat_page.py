"""The chat page: a few files for a browser on this machine, which asks by the same API as every program.

Rules:

1. The files are the same for everybody and hold nothing secret; no query changes them, so a link cannot make the page
   ask anything. A conversation is in the memory of the page alone.
2. The page runs its own scripts and no others, turns no text into markup, sends to nobody but this gateway, is framed
   by nobody, and is kept by no cache.

Source: W3C Content Security Policy Level 3, Trusted Types; WHATWG HTML, "Cross-origin opener policies".
"""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["PAGE_PATHS", "page_routes"]

_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FILES: Final = {
    "/": "chat.html",
    "/static/chat.css": "chat.css",
    "/static/chat.js": "chat.js",
    "/static/api.js": "api.js",
    "/static/elements.js": "elements.js",
    "/static/exposure.js": "exposure.js",
    "/static/mark.svg": "mark.svg",
}
PAGE_PATHS: Final = frozenset(_FILES)
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def page_routes() -> list[Route]:
    """A route for each file."""
    return [_route(path, name) for path, name in _FILES.items()]


def _route(path: str, name: str) -> Route:
    body = files("peernet.gateway").joinpath("static", name).read_bytes()
    headers = {**HEADERS, "content-type": _KINDS[name.rpartition(".")[2]]}

    async def send_file(_: Request) -> Response:
        return Response(body, headers=headers)

    return Route(path, send_file, methods=["GET"])
