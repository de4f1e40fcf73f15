"""What a host tells the portal where it is registered: how it serves, and which lanes asked for what it refuses.

Rules:

1. Counts and sums of times, never text; no finer than a minute, and of all requests of some minutes together.
2. Each report is signed with the host's key, for this portal. Where the portal does not answer, the next report covers
   the time of this one, too, up to a day.
3. A lane is reported for what it wants done to others. Who asks about harming themselves is reported to nobody.
4. The host serves on, whatever becomes of its reports.

Source: promise P7; design section 9.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

import structlog
import trio
from attrs import define, field, frozen

from peernet.core.host_statements import REPORT_GRAIN_S, AbuseReport, ServiceReport, sign
from peernet.core.identity import Keypair
from peernet.core.suite import CipherSuite
from peernet.host.portal_client import PortalClient, PortalRefused, PortalUnreachable

__all__ = ["Answered", "Reporter", "ServiceRecord"]

INTERVAL_S: Final = 600.0
MAX_LANES: Final = 1_000
"""Reported lanes that wait to be sent; more are not kept."""
MAX_SENT: Final = 100
"""Reported lanes that are sent at a time."""
LONGEST_S: Final = 23 * 3600
"""What is older is told to nobody."""
NOT_ABUSE: Final = frozenset({"self_harm_instructions", "self_harm", "graphic_violence", "sexual"})

log = structlog.get_logger()


@frozen
class Answered:
    """One request that the engine worked on."""

    prompt_tokens: int
    answer_tokens: int
    failed: bool
    first_token_ms: int | None
    """From the request's coming to the first piece of the answer that left."""
    first_tokens: int
    """Tokens of that piece."""
    later_ms: int
    """From then to the last piece."""


@define
class ServiceRecord:
    """What a host has counted since its last report."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first_tokens: int = 0
    first_token_ms: int = 0
    later_tokens: int = 0
    later_tokens_ms: int = 0
    abuse: Counter[tuple[bytes, str]] = field(factory=Counter, repr=False)
    """By lane and category, since each lane was opened."""

    def answered(self, one: Answered) -> None:
        """Counts a request."""
        self.requests += 1
        self.errors += one.failed
        self.prompt_tokens += one.prompt_tokens
        self.answer_tokens += one.answer_tokens
        if one.first_token_ms is not None:
            self.first_tokens += 1
            self.first_token_ms += one.first_token_ms
            self.later_tokens += max(0, one.answer_tokens - one.first_tokens)
            self.later_tokens_ms += one.later_ms

    def failed(self) -> None:
        """Counts a request that did not reach the engine, since something of ours is broken."""
        self.requests += 1
        self.errors += 1

    def refused(self, lane_key: bytes, category: str) -> None:
        """Counts what screening refused."""
        if category not in NOT_ABUSE and (len(self.abuse) < MAX_LANES or (lane_key, category) in self.abuse):
            self.abuse[lane_key, category] += 1

    def forget(self, told: ServiceReport) -> None:
        """Takes away what a report has told."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) - getattr(told, name))


_COUNTS: Final[Collection[str]] = (
    "requests",
    "errors",
    "prompt_tokens",
    "answer_tokens",
    "first_tokens",
    "first_token_ms",
    "later_tokens",
    "later_tokens_ms",
)


class Reporter:
    """Sends a host's reports.

    Args:
        portal: where the host is registered.
        host: its id there.
        record: what the host counts in.
        identity: the host's peer key.
        suite: the primitives.
        now_s: the wall clock.
    """

    def __init__(
        self,
        portal: PortalClient,
        host: str,
        record: ServiceRecord,
        identity: Keypair,
        suite: CipherSuite,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._portal = portal
        self._host = host
        self._record = record
        self._identity = identity
        self._suite = suite
        self._now_s = now_s
        self._from_s = self._minute()
        self.outcomes: Counter[str] = Counter()
        """Reports `taken`, `refused:REASON` and `unreachable`."""

    async def run(self) -> None:
        """Reports every `INTERVAL_S` until cancelled."""
        while True:
            await trio.sleep(INTERVAL_S)
            await self.report()

    async def report(self) -> None:
        """Reports what there is; where nobody answers, it is kept for the next time."""
        try:
            await self._report_service()
            await self._report_abuse()
        except PortalUnreachable:
            self.outcomes["unreachable"] += 1
            log.warning("the portal does not take reports now")

    async def _report_service(self) -> None:
        until_s = self._minute()
        if until_s <= self._from_s:
            return
        report = ServiceReport(
            portal=self._portal.origin,
            peer_key=self._identity.public_key,
            # Of a longer time nobody wants to hear.
            from_s=max(self._from_s, until_s - LONGEST_S),
            until_s=until_s,
            **{name: getattr(self._record, name) for name in _COUNTS},
        )
        await self._send(
            f"/api/v1/hosts/{self._host}/report",
            report,
            {name: getattr(report, name) for name in ("portal", "from_s", "until_s", *_COUNTS)},
        )
        self._record.forget(report)
        self._from_s = until_s

    async def _report_abuse(self) -> None:
        for (lane_key, category), count in list(self._record.abuse.items())[:MAX_SENT]:
            report = AbuseReport(self._portal.origin, self._identity.public_key, lane_key, category, count)
            await self._send(
                "/api/v1/abuse",
                report,
                {
                    "portal": report.portal,
                    "peer_id": str(self._identity.peer_id),
                    "lane_key": lane_key.hex(),
                    "category": category,
                    "count": count,
                },
            )
            # A lane pays once: whatever it asks for later is another lane.
            del self._record.abuse[lane_key, category]

    async def _send(self, path: str, report: ServiceReport | AbuseReport, body: dict[str, object]) -> None:
        """Sends a signed report; one that the portal refuses is not sent again."""
        try:
            await self._portal.post(path, {**body, "signature": sign(report, self._identity.seed, self._suite).hex()})
            self.outcomes["taken"] += 1
        except PortalRefused as error:
            self.outcomes[f"refused:{error.reason}"] += 1
            log.warning("the portal refused a report", reason=error.reason)

    def _minute(self) -> int:
        return int(self._now_s()) // REPORT_GRAIN_S * REPORT_GRAIN_S
