"""The two pages that people come back to: one's own dashboard, and the desk of the operators and auditors."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Final

from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.hosts.appeals import open_appeals_of_all
from bootstrap.portal import hosts_desk, hosts_pages, money_desk, money_pages, payout_pages
from bootstrap.portal.access import SIGNED_IN, with_role
from bootstrap.portal.cards import Card, shown_cards
from bootstrap.portal.jobs import JOBS
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.rights.children import open_reports
from bootstrap.rights.contact import open_messages
from bootstrap.rights.requests import open_requests, requests_of

__all__ = ["ROUTES"]


async def _ask(visit: Visit) -> Mapping[str, object]:
    return {"gateway_url": visit.office.config.gateway_url}


async def _accounts(visit: Visit) -> Mapping[str, object]:
    return {"accounts": await visit.read(_count_accounts)}


def _count_accounts(transaction: Transaction) -> dict[str, int]:
    rows = transaction.rows("SELECT state, COUNT(*) FROM account GROUP BY state ORDER BY state")
    return {str(state): int(count) for state, count in rows}


async def _service(visit: Visit) -> Mapping[str, object]:
    broken = Counter[str]()
    for (part, _), number in visit.office.metrics.crashes.items():
        broken[part] += number
    return {"parts": ("request", *(job.name for job in JOBS)), "broken": broken, "ledger": visit.office.ledger}


async def _rights(visit: Visit) -> Mapping[str, object]:
    asked = await visit.read(partial(requests_of, account_id=visit.account_id))
    return {"waiting": sum(request.state in {"open", "waiting"} for request in asked)}


async def _waiting(visit: Visit) -> Mapping[str, object]:
    return await visit.read(_count_waiting)


def _count_waiting(transaction: Transaction) -> Mapping[str, object]:
    return {
        "requests": len(open_requests(transaction)),
        "messages": len(open_messages(transaction)),
        "children": len(open_reports(transaction)),
        "appeals": len(open_appeals_of_all(transaction)),
    }


DASHBOARD: Final[tuple[Card, ...]] = (
    Card("Ask", "dashboard/ask_card.html", _ask),
    money_pages.BALANCE_CARD,
    payout_pages.EARNINGS_CARD,
    hosts_pages.HOSTS_CARD,
    Card("Privacy", "dashboard/rights_card.html", _rights),
)
DESK: Final[tuple[Card, ...]] = (
    Card("Waiting for a person", "dashboard/waiting_card.html", _waiting),
    Card("Accounts", "dashboard/accounts_card.html", _accounts),
    money_desk.MONEY_CARD,
    hosts_desk.HOSTS_DESK_CARD,
    Card("What runs by itself", "dashboard/service_card.html", _service, wide=True),
)


async def _dashboard(visit: Visit) -> Response:
    return visit.page("dashboard/dashboard.html", cards=await shown_cards(visit, DASHBOARD))


async def _desk(visit: Visit) -> Response:
    return visit.page("dashboard/desk.html", cards=await shown_cards(visit, DESK))


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/dashboard", _dashboard, SIGNED_IN, "One's own account at a glance"),
    page("GET", "/desk", _desk, with_role("operator", "auditor"), "The operators' and auditors' desk"),
)
