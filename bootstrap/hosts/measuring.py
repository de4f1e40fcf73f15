"""Measuring hosts: whether they answer, how fast, and which models their own offers name.

Rules:

1. Each host that is registered and not out is asked once in `EVERY_S`, by one ping over the overlay; of more than
   `MAX_A_ROUND` the ones that have waited longest come first. A ping carries 32 random bytes and costs a host nothing.
2. What is kept is an hour's number of tries and answers, and the times of the answers: no address.
3. A round in which nobody answered, while this node sees no host at all, says nothing about the hosts: it is this node
   that was cut off, and it is not kept.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import trio
from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.hosts.network import HostNetwork, SeenHost

__all__ = ["EVERY_S", "Measured", "due_hosts", "measure", "record_round"]

EVERY_S: Final = 60
NEW_EVERY_S: Final = 5
NEW_S: Final = 3600
"""A host that has just been registered, and has not answered yet, is looked for more often: somebody waits for it."""
MAX_A_ROUND: Final = 500
AT_ONCE: Final = 16
HOUR_S: Final = 3600
ROUND_TIMEOUT_S: Final = 120.0
MAX_MODELS: Final = 32


@frozen
class Measured:
    """What became of one host's ping."""

    host_id: str
    peer_key: bytes
    round_trip_us: int | None


def due_hosts(transaction: Transaction, now_s: int) -> list[tuple[str, bytes]]:
    """Ids and peer keys of those that are to be measured now."""
    rows = transaction.rows(
        "SELECT id, peer_key FROM host WHERE state <> 'removed' AND retired_at_s IS NULL AND (measured_at_s <= :due"
        " OR (measured_at_s <= :soon AND answered_at_s = 0 AND registered_at_s > :new))"
        " ORDER BY measured_at_s LIMIT :most",
        due=now_s - EVERY_S,
        soon=now_s - NEW_EVERY_S,
        new=now_s - NEW_S,
        most=MAX_A_ROUND,
    )
    return [(host_id, key) for host_id, key in rows]


async def measure(network: HostNetwork, hosts: Sequence[tuple[str, bytes]]) -> list[Measured]:
    """Pings them all, some at a time; one that takes too long does not answer."""
    found: dict[str, Measured] = {host_id: Measured(host_id, key, None) for host_id, key in hosts}
    slots = trio.Semaphore(AT_ONCE)

    async def one(host_id: str, key: bytes) -> None:
        async with slots:
            round_trip_s = await network.round_trip_s(key)
        if round_trip_s is not None:
            found[host_id] = Measured(host_id, key, max(1, round(round_trip_s * 1e6)))

    with trio.move_on_after(ROUND_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            for host_id, key in hosts:
                nursery.start_soon(one, host_id, key)
    return list(found.values())


def record_round(
    transaction: Transaction, measured: Sequence[Measured], seen: Mapping[bytes, SeenHost], now_s: int
) -> None:
    """Keeps a round, and what the hosts' offers say; see rule 3."""
    answered = [each for each in measured if each.round_trip_us is not None]
    cut_off = not answered and not seen
    hour = now_s // HOUR_S * HOUR_S
    for each in measured:
        transaction.execute("UPDATE host SET measured_at_s = :now WHERE id = :id", id=each.host_id, now=now_s)
        if not cut_off:
            _record(transaction, each, hour)
    for each in answered:
        host = seen.get(each.peer_key)
        transaction.execute(
            "UPDATE host SET answered_at_s = :now, region = :region WHERE id = :id",
            id=each.host_id,
            now=now_s,
            region=host.region if host else "",
        )
        if host is not None:
            _record_models(transaction, each.host_id, host, now_s)
    if measured and not cut_off:
        transaction.execute(
            "INSERT INTO network_measured (hour_at_s, tries, answers) VALUES (:hour, :tries, :answers)"
            " ON CONFLICT (hour_at_s) DO UPDATE SET tries = network_measured.tries + excluded.tries,"
            " answers = network_measured.answers + excluded.answers",
            hour=hour,
            tries=len(measured),
            answers=len(answered),
        )


def _record(transaction: Transaction, measured: Measured, hour: int) -> None:
    transaction.execute(
        "INSERT INTO host_measured (host_id, hour_at_s, tries, answers, round_trip_us, slowest_us)"
        " VALUES (:host, :hour, 1, :answers, :time, :time) ON CONFLICT (host_id, hour_at_s) DO UPDATE SET"
        " tries = host_measured.tries + 1, answers = host_measured.answers + excluded.answers,"
        " round_trip_us = host_measured.round_trip_us + excluded.round_trip_us, slowest_us ="
        " CASE WHEN excluded.slowest_us > host_measured.slowest_us THEN excluded.slowest_us"
        " ELSE host_measured.slowest_us END",
        host=measured.host_id,
        hour=hour,
        answers=int(measured.round_trip_us is not None),
        time=measured.round_trip_us or 0,
    )


def _record_models(transaction: Transaction, host_id: str, host: SeenHost, now_s: int) -> None:
    known = {
        name: (digest, seen_at_s)
        for name, digest, seen_at_s in transaction.rows(
            "SELECT name, digest, seen_at_s FROM host_model WHERE host_id = :host AND source = 'offered'", host=host_id
        )
    }
    offered = dict(sorted(host.models.items())[:MAX_MODELS])
    for name in known.keys() - offered.keys():
        transaction.execute(
            "DELETE FROM host_model WHERE host_id = :host AND source = 'offered' AND name = :name",
            host=host_id,
            name=name,
        )
    for name, digest in offered.items():
        if name in known and known[name][0] == digest and known[name][1] > now_s - HOUR_S:
            continue  # a write an hour is enough
        transaction.execute(
            "INSERT INTO host_model (host_id, name, source, digest, seen_at_s)"
            " VALUES (:host, :name, 'offered', :digest, :now) ON CONFLICT (host_id, name, source)"
            " DO UPDATE SET digest = excluded.digest, seen_at_s = excluded.seen_at_s",
            host=host_id,
            name=name,
            digest=digest,
            now=now_s,
        )
