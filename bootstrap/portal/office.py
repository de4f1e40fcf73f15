"""What the handlers of the portal work with, made once."""

from collections.abc import Callable, Mapping
from typing import Final

import trio
from attrs import define, field

from bootstrap.backups import BackupsFolder
from bootstrap.database import Database
from bootstrap.hosts.earnings import Earnings, NoEarnings
from bootstrap.hosts.network import HostNetwork, HostTrier, NoNetwork, NoTrier
from bootstrap.issuing import Issuing
from bootstrap.mail.postman import Postman
from bootstrap.money.cashier import Cashier
from bootstrap.money.earnings import SettlementSource
from bootstrap.people.letters import Letters
from bootstrap.people.passwords import Passwords
from bootstrap.portal.crossing import CrossingGuard
from bootstrap.portal.metrics import PortalMetrics
from bootstrap.portal.pages import Pages
from bootstrap.portal.settings import PortalConfig
from bootstrap.public.figures import NetworkFigures
from bootstrap.public.ledger_view import LedgerView
from bootstrap.retention.periods import periods
from bootstrap.rights.erasures_copy import CopiedErasures

__all__ = ["NOTICE_VERSION", "Office"]

NOTICE_VERSION: Final = "2026-11"
"""The privacy notice that is in force (`templates/policies/`); who accepted another one is asked again."""
DATABASE_THREADS: Final = 8
HASHING_THREADS: Final = 2


@define
class Office:
    """One operator's service."""

    config: PortalConfig
    database: Database
    guard: CrossingGuard
    now_s: Callable[[], int]
    """Whole seconds of the Unix epoch."""
    pages: Pages
    postman: Postman
    cashier: Cashier
    notice_version: str = NOTICE_VERSION
    periods: Mapping[str, int] = field(factory=periods)
    """For how many seconds each class of data is kept here."""
    metrics: PortalMetrics = field(factory=PortalMetrics)
    figures: NetworkFigures | None = None
    """Figures of the network; None where the node gives none."""
    ledger: LedgerView | None = None
    """The node's ledger; None where there is none beside the portal."""
    issuer: Issuing | None = None
    """Who signs bearer credits; None where this node gives none out."""
    settlements: SettlementSource | None = None
    """The log that says what hosts are owed."""
    passwords: Passwords = field(factory=Passwords)
    hosts: HostNetwork = field(factory=NoNetwork)
    """The overlay, as the registry of hosts sees it."""
    trier: HostTrier = field(factory=NoTrier)
    """Who asks hosts questions, to see how fast they serve."""
    earnings: Earnings = field(factory=NoEarnings)
    """The part of money that is about hosts."""
    erasures: CopiedErasures = field(factory=CopiedErasures)
    """How far the copy is of who was erased."""
    backups: BackupsFolder = field(factory=BackupsFolder)
    """Which backups the node itself keeps within their time."""
    threads: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(DATABASE_THREADS))

    hashing: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(HASHING_THREADS))
    """Each hash takes much memory on purpose: few are made at a time."""

    @property
    def letters(self) -> Letters:
        """What is written to people about their accounts."""
        return Letters(self.origin, self.config.operator_name)

    @property
    def origin(self) -> str:
        """Where people reach the portal: scheme, host, port."""
        return self.guard.origin
