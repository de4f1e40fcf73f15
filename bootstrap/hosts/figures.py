"""Figures about hosts, for their operators, for this node's operators, and for everybody.

Each says where it comes from: *declared* by the operator, *reported* by the host under its signature, *measured* by
this node, or *settled* in the ledger. A mean is of sums, so that an hour with many requests counts for many.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from bootstrap.database import Transaction
from bootstrap.hosts.speeds import Speed, network_speeds, speed_of_days
from bootstrap.refusal import NotFound
from peernet.core.errors import UserError
from peernet.core.identity import PeerId

__all__ = [
    "UP_WITHIN_S",
    "Day",
    "Host",
    "HostDetails",
    "NetworkStatus",
    "Served",
    "days_of",
    "host_details",
    "hosts_of",
    "network_status",
    "search_hosts",
    "served_by",
]

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
UP_WITHIN_S: Final = 10 * 60
"""A host that answered within that time is up."""
MAX_LISTED: Final = 500
MAX_NAMED: Final = 200
MAX_MODELS: Final = 100

_HOSTS: Final = (
    "SELECT host.id, host.account_id, host.peer_key, host.name, host.named_in_public, host.state, host.state_at_s,"
    " host.retired_at_s, host.registered_at_s, host.cores, host.memory_mib, host.gpus, host.engine, host.software,"
    " host.measured_at_s, host.answered_at_s, host.region, host.reported_until_s FROM host"
)


@frozen
class Served:
    """Sums over a time; what is None cannot be said."""

    tries: int = 0
    answers: int = 0
    round_trip_us: int = 0
    slowest_us: int = 0
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    first_tokens: int = 0
    first_token_sum_ms: int = 0
    later_tokens: int = 0
    later_tokens_sum_ms: int = 0

    @property
    def uptime(self) -> float | None:
        """Measured: the share of pings that were answered, 0 to 1."""
        return self.answers / self.tries if self.tries else None

    @property
    def round_trip_ms(self) -> float | None:
        """Measured: the mean of a ping's round trip."""
        return self.round_trip_us / self.answers / 1000 if self.answers else None

    @property
    def first_token_ms(self) -> float | None:
        """Reported: the mean time until an answer's first token."""
        return self.first_token_sum_ms / self.first_tokens if self.first_tokens else None

    @property
    def inter_token_ms(self) -> float | None:
        """Reported: the mean time between two tokens."""
        return self.later_tokens_sum_ms / self.later_tokens if self.later_tokens else None

    @property
    def error_rate(self) -> float | None:
        """Reported: the share of requests that the host could not finish."""
        return self.errors / self.requests if self.requests else None


@frozen
class Host:
    """A row of the registry."""

    id: str
    account_id: str
    peer_key: bytes
    name: str
    named_in_public: bool
    state: str
    state_at_s: int
    retired_at_s: int | None
    registered_at_s: int
    cores: int
    memory_mib: int
    gpus: str
    engine: str
    software: str
    measured_at_s: int
    answered_at_s: int
    region: str
    reported_until_s: int

    @property
    def peer_id(self) -> str:
        """The host's peer id, as text."""
        return str(PeerId.from_public_key(self.peer_key))

    def standing(self, now_s: int) -> str:
        """One word for people: `removed`, `suspended`, `retired`, `new`, `up` or `down`."""
        if self.state != "active":
            return self.state
        if self.retired_at_s is not None:
            return "retired"
        if not self.measured_at_s:
            return "new"
        return "up" if self.answered_at_s > now_s - UP_WITHIN_S else "down"


@frozen
class HostDetails:
    """All that the host's own page shows, besides its charts."""

    host: Host
    models: Sequence[tuple[str, str, str, int]]
    """Name, `declared` or `offered`, digest, when it was seen."""
    agreements: Sequence[tuple[str, str, int]]
    """Version, digest, when it was signed."""
    payout_keys: Sequence[tuple[str, int]]
    sanctions: Sequence[Mapping[str, Any]]


@frozen
class Day:
    """One day of a host."""

    at_s: int
    served: Served
    speed: Speed = field(factory=Speed)
    """As this node's own questions found it."""


@frozen
class NetworkStatus:
    """What everybody may know."""

    registered: int = 0
    up: int = 0
    suspended: int = 0
    uptime: float | None = None
    """Over all registered hosts and the last 24 hours, measured."""
    models: Sequence[tuple[str, int]] = ()
    """Models that hosts which are up offer, and how many do."""
    regions: Sequence[tuple[str, int]] = ()
    """As claimed."""
    named: Sequence[tuple[str, bool]] = ()
    """Hosts whose operators want them named: name, and whether it is up."""
    speeds: Mapping[str, Speed] = field(factory=dict)
    """What this node's own questions of the last 24 hours found, by model, over all hosts."""
    hours: Sequence[tuple[int, float]] = field(factory=tuple)
    """The uptime of each of the last 48 hours that was measured."""


def hosts_of(transaction: Transaction, account_id: str) -> list[Host]:
    """All of an operator's hosts, those in use first."""
    rows = transaction.rows(
        _HOSTS + " WHERE account_id = :account"
        " ORDER BY CASE WHEN retired_at_s IS NULL THEN 0 ELSE 1 END, name, id LIMIT :most",
        account=account_id,
        most=MAX_LISTED,
    )
    return [_host(row) for row in rows]


def search_hosts(transaction: Transaction, *, state: str = "", text: str = "", limit: int, offset: int) -> list[Host]:
    """For this node's operators: by state, by the beginning of a name, or by a peer id."""
    try:
        key = PeerId.parse(text).public_key if text.startswith("12D3") else b""
    except UserError:
        key = b""
    rows = transaction.rows(
        _HOSTS + " WHERE (:state = '' OR state = :state)"
        " AND (:text = '' OR peer_key = :key OR substr(lower(name), 1, length(:text)) = :text)"
        " ORDER BY registered_at_s DESC, id LIMIT :most OFFSET :start",
        state=state,
        text=text if key else text.lower(),
        key=key,
        most=limit,
        start=offset,
    )
    return [_host(row) for row in rows]


def host_details(transaction: Transaction, host_id: str) -> HostDetails:
    """Raises `NotFound`."""
    row = transaction.row(_HOSTS + " WHERE id = :id", id=host_id)
    if row is None:
        raise NotFound("such host")
    models = transaction.rows(
        "SELECT name, source, digest, seen_at_s FROM host_model WHERE host_id = :id ORDER BY name, source", id=host_id
    )
    agreements = transaction.rows(
        "SELECT version, digest, signed_at_s FROM host_agreement WHERE host_id = :id"
        " ORDER BY signed_at_s DESC LIMIT 20",
        id=host_id,
    )
    keys = transaction.rows(
        "SELECT public_key, registered_at_s FROM payout_key WHERE host_id = :id"
        " ORDER BY registered_at_s DESC LIMIT 20",
        id=host_id,
    )
    return HostDetails(
        _host(row),
        [(name, source, bytes(digest).hex(), at) for name, source, digest, at in models],
        [(version, bytes(digest).hex(), at) for version, digest, at in agreements],
        [(bytes(key).hex(), at) for key, at in keys],
        sanctions_of(transaction, host_id),
    )


_SANCTION: Final = (
    "id", "kind", "reason", "explanation", "source", "given_by", "given_at_s", "lapses_at_s", "ended_at_s",
    "ended_why", "seconded_by", "amount_microcredits", "appeal_id", "appeal_words", "appeal_made_at_s",
    "appeal_decided_at_s", "appeal_outcome", "appeal_explanation",
)  # fmt: skip


def sanctions_of(transaction: Transaction, host_id: str) -> list[dict[str, Any]]:
    """What stands, or stood, against a host, with its appeals; the newest first."""
    rows = transaction.rows(
        "SELECT sanction.id, kind, reason, sanction.explanation, source, given_by, given_at_s, lapses_at_s,"
        " ended_at_s, ended_why, seconded_by, amount_microcredits, appeal.id, words, made_at_s, decided_at_s,"
        " outcome, appeal.explanation FROM sanction LEFT JOIN appeal ON appeal.sanction_id = sanction.id"
        " WHERE sanction.host_id = :id ORDER BY given_at_s DESC, sanction.id LIMIT 200",
        id=host_id,
    )
    return [dict(zip(_SANCTION, row, strict=True)) for row in rows]


def served_by(transaction: Transaction, account_id: str, since_s: int) -> dict[str, Served]:
    """What each of an operator's hosts did since then, by host."""
    measured = transaction.rows(
        "SELECT host_id, sum(tries), sum(answers), sum(round_trip_us), max(slowest_us) FROM host_measured"
        " WHERE host_id IN (SELECT id FROM host WHERE account_id = :account) AND hour_at_s >= :since GROUP BY host_id",
        account=account_id,
        since=since_s,
    )
    reported = transaction.rows(
        "SELECT host_id, sum(requests), sum(errors), sum(prompt_tokens), sum(answer_tokens), sum(first_tokens),"
        " sum(first_token_ms), sum(later_tokens), sum(later_tokens_ms) FROM host_reported"
        " WHERE host_id IN (SELECT id FROM host WHERE account_id = :account) AND hour_at_s >= :since GROUP BY host_id",
        account=account_id,
        since=since_s,
    )
    return _joined(measured, reported)


def days_of(transaction: Transaction, host_id: str, *, days: int, now_s: int) -> list[Day]:
    """The host's last days, oldest first, with days on which nothing was measured or reported."""
    last = now_s // DAY_S
    first = last - days + 1
    measured = transaction.rows(
        "SELECT hour_at_s / 86400, sum(tries), sum(answers), sum(round_trip_us), max(slowest_us) FROM host_measured"
        " WHERE host_id = :id AND hour_at_s >= :since GROUP BY hour_at_s / 86400",
        id=host_id,
        since=first * DAY_S,
    )
    reported = transaction.rows(
        "SELECT hour_at_s / 86400, sum(requests), sum(errors), sum(prompt_tokens), sum(answer_tokens),"
        " sum(first_tokens), sum(first_token_ms), sum(later_tokens), sum(later_tokens_ms) FROM host_reported"
        " WHERE host_id = :id AND hour_at_s >= :since GROUP BY hour_at_s / 86400",
        id=host_id,
        since=first * DAY_S,
    )
    found = _joined(measured, reported)
    speeds = speed_of_days(transaction, host_id, first * DAY_S)
    return [Day(day * DAY_S, found.get(day, Served()), speeds.get(day, Speed())) for day in range(first, last + 1)]


def total_of(parts: Sequence[Served]) -> Served:
    """The sums of several hosts, or several days."""
    if not parts:
        return Served()
    names = [name for name in Served.__annotations__ if name != "slowest_us"]
    sums = {name: sum(getattr(part, name) for part in parts) for name in names}
    return Served(**sums, slowest_us=max(part.slowest_us for part in parts))


def network_status(transaction: Transaction, now_s: int) -> NetworkStatus:
    """What the public status page says: counts, models, and names only of those who want that."""
    counts = transaction.rows("SELECT state, count(*) FROM host WHERE retired_at_s IS NULL GROUP BY state")
    states: dict[str, int] = dict(counts)
    up_since = now_s - UP_WITHIN_S
    row = transaction.row(
        "SELECT count(*) FROM host WHERE state = 'active' AND retired_at_s IS NULL AND answered_at_s > :since",
        since=up_since,
    )
    assert row is not None
    models = transaction.rows(
        "SELECT host_model.name, count(*) FROM host_model JOIN host ON host.id = host_model.host_id"
        " WHERE source = 'offered' AND state = 'active' AND retired_at_s IS NULL AND answered_at_s > :since"
        " GROUP BY host_model.name ORDER BY count(*) DESC, host_model.name LIMIT :most",
        since=up_since,
        most=MAX_MODELS,
    )
    regions = transaction.rows(
        "SELECT region, count(*) FROM host"
        " WHERE state = 'active' AND retired_at_s IS NULL AND answered_at_s > :since"
        " GROUP BY region ORDER BY count(*) DESC, region LIMIT :most",
        since=up_since,
        most=MAX_MODELS,
    )
    named = transaction.rows(
        "SELECT host.name, host.answered_at_s FROM host JOIN account ON account.id = host.account_id"
        " WHERE host.named_in_public = 1 AND host.state = 'active' AND host.retired_at_s IS NULL"
        # Whoever had the use of their data restricted is named nowhere.
        " AND account.state = 'active' ORDER BY host.name, host.id LIMIT :most",
        most=MAX_NAMED,
    )
    hours = transaction.rows(
        "SELECT hour_at_s, tries, answers FROM network_measured WHERE hour_at_s > :since ORDER BY hour_at_s",
        since=now_s - 2 * DAY_S,
    )
    day = [(tries, answers) for at, tries, answers in hours if at > now_s - DAY_S]
    tried = sum(tries for tries, _ in day)
    return NetworkStatus(
        registered=states.get("active", 0) + states.get("suspended", 0),
        up=row[0],
        suspended=states.get("suspended", 0),
        uptime=sum(answers for _, answers in day) / tried if tried else None,
        models=[(name, count) for name, count in models],
        regions=[(region, count) for region, count in regions],
        named=[(name, answered > up_since) for name, answered in named],
        speeds=network_speeds(transaction, now_s - DAY_S),
        hours=[(at, answers / tries) for at, tries, answers in hours if tries],
    )


def _host(row: tuple[Any, ...]) -> Host:
    values = list(row)
    values[2], values[4] = bytes(values[2]), bool(values[4])
    return Host(*values)


def _joined(measured: Sequence[tuple[Any, ...]], reported: Sequence[tuple[Any, ...]]) -> dict[Any, Served]:
    ours = {key: [int(value or 0) for value in values] for key, *values in measured}
    theirs = {key: [int(value or 0) for value in values] for key, *values in reported}
    return {key: Served(*ours.get(key, [0] * 4), *theirs.get(key, [0] * 8)) for key in ours.keys() | theirs.keys()}
