"""All routes of the portal and its API, from the modules that have them."""

from typing import Final

from bootstrap.portal import (
    account_pages,
    dashboards,
    desk_people,
    developers,
    health,
    home,
    hosts_api,
    hosts_desk,
    hosts_pages,
    ledger_pages,
    money_api,
    money_desk,
    money_pages,
    payout_pages,
    people_api,
    people_pages,
    privacy_api,
    privacy_pages,
    rights_desk,
    rights_public,
)
from bootstrap.portal.routes import Page

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Page, ...]] = (
    *home.ROUTES,
    *health.ROUTES,
    *privacy_pages.ROUTES,
    *privacy_api.ROUTES,
    *rights_public.ROUTES,
    *rights_desk.ROUTES,
    *ledger_pages.ROUTES,
    *dashboards.ROUTES,
    *developers.ROUTES,
    *people_pages.ROUTES,
    *account_pages.ROUTES,
    *desk_people.ROUTES,
    *people_api.ROUTES,
    *money_pages.ROUTES,
    *payout_pages.ROUTES,
    *money_desk.ROUTES,
    *money_api.ROUTES,
    *hosts_pages.ROUTES,
    *hosts_desk.ROUTES,
    *hosts_api.ROUTES,
)
