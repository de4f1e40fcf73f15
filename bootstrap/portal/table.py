"""All routes of the portal and its API, from the modules that have them."""

from typing import Final

from bootstrap.portal import health, home
from bootstrap.portal.routes import Page

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Page, ...]] = (*home.ROUTES, *health.ROUTES)
