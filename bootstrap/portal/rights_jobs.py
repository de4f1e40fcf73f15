"""What is done about rights and retention unasked: deletions and their receipts, notices, the purge, old backups."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from bootstrap.mail.outbox import held_mails
from bootstrap.retention.purging import purge_batches
from bootstrap.rights.deletion import due_deletions, erase_if_due, release_receipts
from bootstrap.rights.notices import tell_of_notice, untold_of_notice

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = ["confirm_erasures", "erase_due", "prune_backups", "purge_old", "tell_of_new_notice"]

PAUSE_S = 0.02
"""Between two batches of the purge, in which others write."""


async def erase_due(office: "Office") -> None:
    """Carries out the deletions whose day has come, each in a transaction of its own."""
    now_s = office.now_s()
    run = partial(trio.to_thread.run_sync, limiter=office.threads)
    for request_id in await run(office.database.read, partial(due_deletions, now_s=now_s)):
        await run(office.database.write, partial(erase_if_due, request_id=request_id, now_s=now_s))


async def confirm_erasures(office: "Office") -> None:
    """Copies who was erased, where the operator wants that, and then has the receipts sent."""
    run = partial(trio.to_thread.run_sync, limiter=office.threads)
    copied = await run(office.erasures.bring_up_to_date, office.database)
    if await run(office.database.read, held_mails):
        await run(office.database.write, partial(release_receipts, copied=copied, now_s=office.now_s()))


async def tell_of_new_notice(office: "Office") -> None:
    """Mails everybody once who has not accepted the notice that is in force."""
    run = partial(trio.to_thread.run_sync, limiter=office.threads)
    version, where = office.notice_version, f"{office.origin}/policies/privacy"
    while await run(office.database.read, partial(untold_of_notice, version=version)):
        told = partial(tell_of_notice, version=version, where=where, now_s=office.now_s())
        await run(office.database.write, told)
        await trio.sleep(PAUSE_S)


async def purge_old(office: "Office") -> None:
    """Purges what is past its period."""
    batches = purge_batches(office.database, office.periods, office.now_s())
    while True:
        if await trio.to_thread.run_sync(next, batches, None, limiter=office.threads) is None:
            return
        await trio.sleep(PAUSE_S)


async def prune_backups(office: "Office") -> None:
    """Deletes the backups that are past their time, where the operator wants that."""
    await trio.to_thread.run_sync(office.backups.prune, office.now_s(), limiter=office.threads)
