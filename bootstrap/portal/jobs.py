"""What the service does by itself, beside answering requests. A job that breaks is logged, counted and run again."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from bootstrap.backups import PRUNE_EVERY_S
from bootstrap.database import DatabaseBusy
from bootstrap.people.tidying import tidy
from bootstrap.portal import hosts_jobs, money_jobs
from bootstrap.portal.rights_jobs import confirm_erasures, erase_due, prune_backups, purge_old, tell_of_new_notice

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = ["JOBS", "Job", "run_jobs"]

log = structlog.get_logger()


@frozen
class Job:
    """One of them."""

    name: str
    every_s: float
    run: "Callable[[Office], Awaitable[None]]"


async def _send_mails(office: "Office") -> None:
    await office.postman.deliver(office.now_s())


async def _tidy(office: "Office") -> None:
    await trio.to_thread.run_sync(tidy, office.database, office.now_s(), limiter=office.threads)


JOBS: Final[tuple[Job, ...]] = (
    Job("postman", 5.0, _send_mails),
    Job("tidy", 600.0, _tidy),
    Job("cashier", money_jobs.CASHIER_EVERY_S, money_jobs.run_cashier),
    Job("earnings", money_jobs.EARNINGS_EVERY_S, money_jobs.count_earnings),
    Job("withdrawals", money_jobs.WITHDRAWALS_EVERY_S, money_jobs.finish_withdrawals),
    Job("measure hosts", hosts_jobs.MEASURE_EVERY_S, hosts_jobs.measure_hosts),
    Job("measuring client", hosts_jobs.TRIER_AGAIN_S, hosts_jobs.run_trier),
    Job("speed of hosts", hosts_jobs.TRY_EVERY_S, hosts_jobs.try_hosts),
    Job("standing of hosts", hosts_jobs.TELL_EVERY_S, hosts_jobs.tell_network),
    Job("lapses of hosts", hosts_jobs.LAPSE_EVERY_S, hosts_jobs.lapse_and_carry_out),
    Job("deletions", 300.0, erase_due),
    Job("receipts of deletions", 5.0, confirm_erasures),
    Job("notices", 600.0, tell_of_new_notice),
    Job("purge", 3600.0, purge_old),
    Job("backups", PRUNE_EVERY_S, prune_backups),
)


async def run_jobs(office: "Office", jobs: tuple[Job, ...] = JOBS) -> None:
    """Runs them all until cancelled."""
    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(_run, office, job)


async def _run(office: "Office", job: Job) -> None:
    while True:
        try:
            await job.run(office)
        except DatabaseBusy:
            office.metrics.crashes[job.name, "DatabaseBusy"] += 1
        except Exception as error:  # noqa: BLE001  (the outermost task of a job)
            kind = type(error).__name__
            office.metrics.crashes[job.name, kind] += 1
            log.warning("a job broke", job=job.name, error=kind)
        await trio.sleep(job.every_s)
