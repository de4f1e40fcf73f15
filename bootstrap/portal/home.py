"""The first page."""

from typing import Final

from starlette.responses import Response

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit

__all__ = ["ROUTES"]


async def _home(visit: Visit) -> Response:
    return visit.page("home.html")


ROUTES: Final[tuple[Page, ...]] = (page("GET", "/", _home, EVERYBODY, "The first page"),)
