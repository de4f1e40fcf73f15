"""What the registry of hosts does by itself: it measures, lapses, carries out, and tells the network who is out."""

import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from bootstrap.database import Transaction
from bootstrap.hosts.abuse import refused_lanes
from bootstrap.hosts.forfeiting import carry_out_forfeitures
from bootstrap.hosts.measuring import due_hosts, measure, record_round
from bootstrap.hosts.questions import draw_question
from bootstrap.hosts.standing import lapse_strikes, left_out
from bootstrap.hosts.trials import DueHost, record_trial, take_turns

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = [
    "LAPSE_EVERY_S",
    "MEASURE_EVERY_S",
    "TELL_EVERY_S",
    "TRIER_AGAIN_S",
    "TRY_EVERY_S",
    "lapse_and_carry_out",
    "measure_hosts",
    "run_trier",
    "tell_network",
    "try_hosts",
]

MEASURE_EVERY_S: Final = 5.0
"""How often it is looked who is due; each host is once a minute."""
TELL_EVERY_S: Final = 5.0
LAPSE_EVERY_S: Final = 300.0
TRY_EVERY_S: Final = 5.0
"""How often it is looked whose turn it is to be asked (`hosts.trials`)."""
TRIES_AT_ONCE: Final = 2
"""More would slow each other down on this node, and be measured as the hosts' own slowness."""
TRIER_AGAIN_S: Final = 60.0
"""How soon the client that asks is made anew, should it break."""


async def measure_hosts(office: "Office") -> None:
    """Measures the hosts that are due."""
    hosts = await trio.to_thread.run_sync(
        office.database.read, partial(due_hosts, now_s=office.now_s()), limiter=office.threads
    )
    if not hosts:
        return
    measured = await measure(office.hosts, hosts)
    record = partial(record_round, measured=measured, seen=office.hosts.seen_hosts(), now_s=office.now_s())
    await trio.to_thread.run_sync(office.database.write, record, limiter=office.threads)


async def run_trier(office: "Office") -> None:
    """Runs the client that asks hosts."""
    await office.trier.run()


async def try_hosts(office: "Office") -> None:
    """Asks the hosts whose turn it is one question each, some at a time, and keeps what came of it."""
    every_s = 60 * office.config.measure_speed_minutes
    models = frozenset(await office.trier.models()) if every_s else frozenset()
    if not models:
        return
    turns = partial(take_turns, now_s=office.now_s(), every_s=every_s)
    due = await trio.to_thread.run_sync(office.database.write, turns, limiter=office.threads)
    slots = trio.Semaphore(TRIES_AT_ONCE)
    async with trio.open_nursery() as nursery:
        for host in due:
            if known := sorted(models.intersection(host.models)):
                nursery.start_soon(_try, office, host, known, slots)


async def _try(office: "Office", host: DueHost, models: Sequence[str], slots: trio.Semaphore) -> None:
    chance = random.SystemRandom()
    model, question = chance.choice(models), draw_question(chance)
    async with slots:
        trial = await office.trier.ask(
            host.peer_key,
            model,
            question.text,
            max_tokens=question.max_tokens,
            at_most_microcredits=office.config.measure_speed_microcredits,
        )
    office.metrics.tried(trial.outcome, trial.price_microcredits)
    record = partial(record_trial, host_id=host.host_id, model=model, trial=trial, now_s=office.now_s())
    await trio.to_thread.run_sync(office.database.write, record, limiter=office.threads)


async def tell_network(office: "Office") -> None:
    """Tells the bootstrap node which hosts it does not list, and which lanes it does not settle."""

    def find(transaction: Transaction) -> tuple[frozenset[bytes], frozenset[bytes]]:
        return left_out(transaction), refused_lanes(transaction, office.now_s())

    hosts, lanes = await trio.to_thread.run_sync(office.database.read, find, limiter=office.threads)
    office.hosts.leave_out(hosts)
    office.hosts.refuse_lanes(lanes)


async def lapse_and_carry_out(office: "Office") -> None:
    """Ends strikes that have lapsed, and carries out forfeitures that are due."""

    def work(transaction: Transaction) -> None:
        lapse_strikes(transaction, office.now_s())
        carry_out_forfeitures(transaction, office.earnings, office.now_s())

    await trio.to_thread.run_sync(office.database.write, work, limiter=office.threads)
