"""What operators see of abuse reports, and the one thing they can do: settle nothing more for a lane.

A lane is a fresh key for one host and one conversation, and tied to no account by design. So nobody can be warned,
suspended or billed for one; an operator can only refuse its further settlements, which the host then is not paid for:
hosts stop serving a lane that they report.
"""

from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import NotFound

__all__ = ["REFUSED_FOR_S", "ReportedLane", "refuse_lane", "refused_lanes", "reported_lanes"]

REFUSED_FOR_S: Final = 90 * 24 * 3600
"""Longer than any lane is open."""
MAX_REFUSED: Final = 100_000


@frozen
class ReportedLane:
    """What hosts reported of one lane, in one category."""

    lane_key: bytes
    category: str
    hosts: int
    count: int
    last_at_s: int
    refused: bool


def reported_lanes(transaction: Transaction, *, limit: int, offset: int = 0) -> list[ReportedLane]:
    """The newest first."""
    rows = transaction.rows(
        "SELECT abuse_report.lane_key, category, count(DISTINCT host_id), sum(count), max(reported_at_s),"
        " max(CASE WHEN refused_lane.lane_key IS NULL THEN 0 ELSE 1 END) FROM abuse_report"
        " LEFT JOIN refused_lane ON refused_lane.lane_key = abuse_report.lane_key"
        " GROUP BY abuse_report.lane_key, category"
        " ORDER BY max(reported_at_s) DESC, abuse_report.lane_key, category LIMIT :most OFFSET :start",
        most=limit,
        start=offset,
    )
    return [ReportedLane(key, category, hosts, int(n), at, bool(no)) for key, category, hosts, n, at, no in rows]


def refuse_lane(
    transaction: Transaction, lane_key: bytes, *, by: str, now_s: int, origin: Origin | None = None
) -> None:
    """Has this node settle nothing more for a lane that was reported."""
    if transaction.row("SELECT 1 FROM abuse_report WHERE lane_key = :key LIMIT 1", key=lane_key) is None:
        raise NotFound("such lane")
    transaction.execute(
        "INSERT INTO refused_lane (lane_key, refused_by, refused_at_s) VALUES (:key, :by, :now)"
        " ON CONFLICT (lane_key) DO NOTHING",
        key=lane_key,
        by=by,
        now=now_s,
    )
    note_access(transaction, "lane_refused", now_s=now_s, by=by, thing=f"lane/{lane_key.hex()[:16]}", origin=origin)


def refused_lanes(transaction: Transaction, now_s: int) -> frozenset[bytes]:
    """Those that nothing is settled for."""
    rows = transaction.rows(
        "SELECT lane_key FROM refused_lane WHERE refused_at_s > :since ORDER BY refused_at_s DESC LIMIT :most",
        since=now_s - REFUSED_FOR_S,
        most=MAX_REFUSED,
    )
    return frozenset(key for (key,) in rows)
