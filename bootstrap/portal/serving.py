"""The portal as a service: opened, served by hypercorn on trio, and closed."""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from bootstrap.backups import BackupsFolder
from bootstrap.database import Database, open_database
from bootstrap.hosts.ownership import RegisteredHosts
from bootstrap.mail.mailer import mailer_for
from bootstrap.mail.postman import Postman
from bootstrap.money.cashier import Cashier
from bootstrap.money.host_earnings import HostEarnings
from bootstrap.money.offline import Faults, OfflineProvider
from bootstrap.money.settings import MoneyConfig
from bootstrap.portal.app import Portal
from bootstrap.portal.crossing import CrossingGuard
from bootstrap.portal.jobs import run_jobs
from bootstrap.portal.menu import FOOTER, menu_for
from bootstrap.portal.office import Office
from bootstrap.portal.pages import Pages
from bootstrap.portal.routes import Page
from bootstrap.portal.settings import PortalConfig
from bootstrap.portal.table import ROUTES
from bootstrap.rights.erasures_copy import CopiedErasures, ErasuresCopy, erasures_key
from peernet.core.errors import UserError

__all__ = ["open_office", "portal_of", "run_portal"]

KEEP_ALIVE_S: Final = 30.0
GRACEFUL_S: Final = 3.0


def open_office(config: PortalConfig, state: Path, key: bytes, money: MoneyConfig | None = None) -> Office:
    """The office on its database, made the first time; the caller closes `office.database`.

    Args:
        config: the operator's.
        state: the node's state folder, for what the configuration leaves open.
        key: 32 secret bytes of this node, for what its pages sign.
        money: the operator's, about credits and payments.
    """
    mailer = mailer_for(config.mail, config.mail_from, state / "mail")
    database = open_database(config.database or str(state / "operator.sqlite"), create=True)
    site = {
        "operator_name": config.operator_name,
        "contact_email": config.contact_email,
        "gateway_url": config.gateway_url,
        "menu_of": lambda visit: menu_for(visit.visitor),
        "footer": FOOTER,
    }
    scheme = "https" if config.tls_certificate else "http"
    origin = (config.public_url or f"{scheme}://{config.listen}").rstrip("/").lower()
    guard, pages = CrossingGuard(key, origin), Pages(site)

    def now_s() -> int:
        return office.now_s()  # the provider has the same clock, whatever it is set to

    cashier = _cashier(database, now_s, origin, key, money or MoneyConfig())
    office = Office(config, database, guard, lambda: int(time.time()), pages, Postman(database, mailer), cashier)
    office.earnings = HostEarnings(cashier.config)
    if config.erasures_copy:
        office.erasures = CopiedErasures(ErasuresCopy(Path(config.erasures_copy), erasures_key(key)))
    if config.backups:
        office.backups = BackupsFolder(Path(config.backups))
    return office


def _cashier(database: Database, now_s: Callable[[], int], origin: str, key: bytes, config: MoneyConfig) -> Cashier:
    secret = hashlib.sha256(b"peernet offline provider v1\0" + key).digest()
    provider = OfflineProvider(
        database,
        now_s,
        f"{origin}/test-provider",
        secret,
        config.offline_seed,
        Faults(**config.offline_faults),
        config.offline_clearing_s,
    )
    return Cashier(database, provider, config, origin, RegisteredHosts())


def portal_of(office: Office) -> Portal:
    """The application with all of its routes."""
    return Portal(office, ROUTES)


async def run_portal(
    office: Office, routes: Sequence[Page] = ROUTES, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves the portal until cancelled, and then closes its database; started with where it is served.

    Raises `UserError` where it cannot be served.
    """
    # Starlette's and hypercorn's types of ASGI differ in names alone.
    serving = partial(serve, cast("Any", Portal(office, routes)), _server_config(office.config), mode="asgi")
    try:
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(serving)
            nursery.start_soon(run_jobs, office)
            task_status.started(bound[0])
    except* OSError as error:
        raise UserError(f"cannot serve the portal on {office.config.listen}: {error.exceptions[0]}") from error
    finally:
        office.database.close()


def _server_config(portal: PortalConfig) -> Config:
    config = Config()
    config.bind = [portal.listen]
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.graceful_timeout = GRACEFUL_S
    if portal.tls_certificate:
        config.certfile = portal.tls_certificate
        config.keyfile = portal.tls_key or portal.tls_certificate
    return config
