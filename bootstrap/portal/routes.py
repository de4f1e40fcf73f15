"""Routes: a path, its handler and its rule. The table is data: tests and the API's description are made from it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen
from starlette.responses import Response

from bootstrap.portal.access import Rule

if TYPE_CHECKING:
    from bootstrap.portal.visit import Visit

__all__ = ["Handler", "Page", "api", "page"]

Handler = Callable[["Visit"], Awaitable[Response]]


@frozen
class Page:
    """One route."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """Parameters in braces: `/payouts/{payout}`."""
    handler: Handler
    rule: Rule
    kind: Literal["page", "api"]
    summary: str
    """What it is for, in a line; for an API route it is in the API's description."""
    body: type[Any] | None = None
    """What a request carries (`portal.bodies`); None for nothing."""
    max_body_bytes: int = 64 * 1024
    answers: str = "application/json"
    """The media type of what an API route answers where it does what it was asked for."""

    def __attrs_post_init__(self) -> None:
        if (self.kind == "api") != self.path.startswith("/api/"):
            raise ValueError(f"the API's routes are below /api/, and pages are not: {self.path}")


def page(
    method: Literal["GET", "POST"],
    path: str,
    handler: Handler,
    rule: Rule,
    summary: str,
    *,
    body: type[Any] | None = None,
) -> Page:
    """A page, or what a form on one sends."""
    return Page(method, path, handler, rule, "page", summary, body)


def api(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    handler: Handler,
    rule: Rule,
    summary: str,
    *,
    body: type[Any] | None = None,
    max_body_bytes: int = 64 * 1024,
    answers: str = "application/json",
) -> Page:
    """A route of the API: JSON in, JSON out, errors as RFC 9457 has them."""
    return Page(method, path, handler, rule, "api", summary, body, max_body_bytes, answers)
