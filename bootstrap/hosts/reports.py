"""What hosts report of themselves, signed with their keys: how they serve, and what they refused.

Rules:

1. A report is for this portal, and signed by the host that it is about; what it says is kept as the host's own word.
2. A service report covers a time that no other report of the host covers, of at most a day, that is over. So one that
   is sent again adds nothing.
3. An abuse report names a lane and a category. The same one again raises the count, and never lowers it. A lane is
   anonymous: the only thing that follows is that an operator may refuse to settle it (`abuse`).
4. A host that was removed reports nothing.
"""

from typing import Final

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.refusal import Refused
from peernet.core.host_statements import AbuseReport, ServiceReport, is_signed
from peernet.core.suite import CipherSuite

__all__ = ["take_abuse_report", "take_service_report"]

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
AHEAD_S: Final = 120
"""How far a host's clock may be ahead of ours."""
MAX_A_SECOND: Final = 100_000
"""Requests or tokens: more than any host serves."""
MAX_ABUSE_A_DAY: Final = 2_000
"""Reports of one host."""


def take_service_report(
    transaction: Transaction, report: ServiceReport, signature: bytes, suite: CipherSuite, origin: str, now_s: int
) -> None:
    """Adds a host's report to its figures; raises `Refused`."""
    host_id = _reporting_host(transaction, report, signature, suite, origin)
    lasted_s = report.until_s - report.from_s
    if not 0 < lasted_s <= DAY_S or report.until_s > now_s + AHEAD_S or report.from_s < now_s - 2 * DAY_S:
        raise Refused("a report is about at most a day, and not older than two", reason="bad_time", field="from_s")
    most = lasted_s * MAX_A_SECOND
    counts = (report.requests, report.errors, report.prompt_tokens, report.answer_tokens, report.first_tokens)
    times = (report.first_token_ms, report.later_tokens, report.later_tokens_ms)
    if max(counts) > most or max(times) > 1000 * most or report.errors > report.requests:
        raise Refused("no host serves so much in that time", reason="bad_count")
    taken = transaction.execute(
        "UPDATE host SET reported_until_s = :until WHERE id = :id AND reported_until_s <= :start",
        id=host_id,
        until=report.until_s,
        start=report.from_s,
    )
    if not taken:
        raise Refused("that time has been reported already", reason="twice", field="from_s")
    transaction.execute(
        "INSERT INTO host_reported (host_id, hour_at_s, requests, errors, prompt_tokens, answer_tokens, first_tokens,"
        " first_token_ms, later_tokens, later_tokens_ms) VALUES (:host, :hour, :requests, :errors, :prompt, :answer,"
        " :first, :first_ms, :later, :later_ms) ON CONFLICT (host_id, hour_at_s) DO UPDATE SET"
        " requests = host_reported.requests + excluded.requests, errors = host_reported.errors + excluded.errors,"
        " prompt_tokens = host_reported.prompt_tokens + excluded.prompt_tokens,"
        " answer_tokens = host_reported.answer_tokens + excluded.answer_tokens,"
        " first_tokens = host_reported.first_tokens + excluded.first_tokens,"
        " first_token_ms = host_reported.first_token_ms + excluded.first_token_ms,"
        " later_tokens = host_reported.later_tokens + excluded.later_tokens,"
        " later_tokens_ms = host_reported.later_tokens_ms + excluded.later_tokens_ms",
        host=host_id,
        hour=report.from_s // HOUR_S * HOUR_S,
        requests=report.requests,
        errors=report.errors,
        prompt=report.prompt_tokens,
        answer=report.answer_tokens,
        first=report.first_tokens,
        first_ms=report.first_token_ms,
        later=report.later_tokens,
        later_ms=report.later_tokens_ms,
    )


def take_abuse_report(
    transaction: Transaction, report: AbuseReport, signature: bytes, suite: CipherSuite, origin: str, now_s: int
) -> None:
    """Keeps what a host refused; raises `Refused`."""
    host_id = _reporting_host(transaction, report, signature, suite, origin)
    row = transaction.row(
        "SELECT count(*) FROM abuse_report WHERE host_id = :host AND reported_at_s > :since",
        host=host_id,
        since=now_s - DAY_S,
    )
    assert row is not None
    if row[0] >= MAX_ABUSE_A_DAY:
        raise Refused("this host has reported enough for a day", reason="too_many", retry_after_s=HOUR_S)
    transaction.execute(
        "INSERT INTO abuse_report (id, host_id, lane_key, category, count, reported_at_s)"
        " VALUES (:id, :host, :lane, :category, :count, :hour)"
        " ON CONFLICT (host_id, lane_key, category) DO UPDATE SET count ="
        " CASE WHEN excluded.count > abuse_report.count THEN excluded.count ELSE abuse_report.count END",
        id=new_id(),
        host=host_id,
        lane=report.lane_key,
        category=report.category,
        count=report.count,
        # The hour is all that is needed, and finer times would tell more about the lane than its host does.
        hour=now_s // HOUR_S * HOUR_S,
    )


def _reporting_host(
    transaction: Transaction, report: ServiceReport | AbuseReport, signature: bytes, suite: CipherSuite, origin: str
) -> str:
    if report.portal != origin:
        raise Refused(f"this report is for another portal than {origin}", reason="other_portal", field="portal")
    row = transaction.row("SELECT id, state FROM host WHERE peer_key = :key", key=report.peer_key)
    # Whether a host is registered is told to nobody who has not its key.
    if not is_signed(report, signature, suite) or row is None:
        raise Refused("the key of no host here has signed this", reason="bad_signature", field="signature")
    host_id, state = row
    if state == "removed":
        raise Refused("this host was removed: it reports no more", reason="removed")
    found: str = host_id
    return found
