"""What programs need to know: the API's description, and the well-known addresses."""

from datetime import UTC, datetime
from typing import Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.openapi import describe_api
from bootstrap.portal.routes import Page, api, page
from bootstrap.portal.visit import Visit

__all__ = ["ROUTES"]

CONTACT_PATH: Final = "/contact"
PASSWORD_PATH: Final = "/account/password"  # noqa: S105  (a path)
DAY_S: Final = 24 * 3600
SECURITY_TXT_DAYS: Final = 180


async def _developers(visit: Visit) -> Response:
    description = describe_api(_all_routes(), visit.office.origin)
    return visit.page("public/developers.html", api=description)


async def _openapi(visit: Visit) -> Response:
    return visit.json(describe_api(_all_routes(), visit.office.origin))


async def _security_txt(visit: Visit) -> Response:
    """RFC 9116."""
    office = visit.office
    contact = f"mailto:{office.config.contact_email}" if office.config.contact_email else office.origin + CONTACT_PATH
    ends = datetime.fromtimestamp((visit.now_s // DAY_S + SECURITY_TXT_DAYS) * DAY_S, UTC)
    lines = (
        f"Contact: {contact}",
        f"Expires: {ends:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: {office.origin}/.well-known/security.txt",
    )
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


async def _change_password(visit: Visit) -> Response:
    """Where password managers send people (W3C, a well-known URL for changing passwords)."""
    return visit.go(PASSWORD_PATH)


async def _favicon(_: Visit) -> Response:
    return RedirectResponse("/static/mark.svg", 301, {"cache-control": "public, max-age=86400"})


async def _robots(_: Visit) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /api/\nDisallow: /ledger/tile/\nDisallow: /ledger/mirror/\n")


def _all_routes() -> tuple[Page, ...]:
    # The table has these routes, too.
    from bootstrap.portal.table import ROUTES as ALL

    return ALL


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/developers", _developers, EVERYBODY, "The API, for people"),
    api("GET", "/api/v1/openapi.json", _openapi, EVERYBODY, "This description"),
    page("GET", "/.well-known/security.txt", _security_txt, EVERYBODY, "Whom to tell of a weakness"),
    page("GET", "/.well-known/change-password", _change_password, EVERYBODY, "Where to change a password"),
    page("GET", "/favicon.ico", _favicon, EVERYBODY, "The mark, where old browsers look for it"),
    page("GET", "/robots.txt", _robots, EVERYBODY, "What search engines leave alone"),
)
