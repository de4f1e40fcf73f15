"""What the registry of hosts does by itself: it measures, lapses, carries out, and tells the network who is out."""

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from bootstrap.database import Transaction
from bootstrap.hosts.abuse import refused_lanes
from bootstrap.hosts.forfeiting import carry_out_forfeitures
from bootstrap.hosts.measuring import due_hosts, measure, record_round
from bootstrap.hosts.standing import lapse_strikes, left_out

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = ["LAPSE_EVERY_S", "MEASURE_EVERY_S", "TELL_EVERY_S", "lapse_and_carry_out", "measure_hosts", "tell_network"]

MEASURE_EVERY_S: Final = 5.0
"""How often it is looked who is due; each host is once a minute."""
TELL_EVERY_S: Final = 5.0
LAPSE_EVERY_S: Final = 300.0


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
