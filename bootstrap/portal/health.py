"""`/healthz`: whether the service works, for whoever restarts it when it does not."""

from typing import Final

from starlette.responses import Response

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit

__all__ = ["ROUTES"]


async def _health(visit: Visit) -> Response:
    # Whoever came here has been looked up in the database already; this says so where that ever changes.
    await visit.read(lambda transaction: transaction.row("SELECT 1"))
    # With these it works, and to start it again would not help: so no errors, but for whoever reads them.
    troubles = {"erasures_copy": visit.office.erasures.trouble, "backups": visit.office.backups.trouble}
    return visit.json({"status": "ok"} | {name: trouble for name, trouble in troubles.items() if trouble})


ROUTES: Final[tuple[Page, ...]] = (page("GET", "/healthz", _health, EVERYBODY, "Whether the service works"),)
