"""What money does by itself: the provider is called and asked, the log is read, withdrawals are finished."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from bootstrap.database import Transaction
from bootstrap.issuing import SigningRefused
from bootstrap.money.earnings import claim_earnings, count_settlements, cursor_of, unclaimed_keys
from bootstrap.money.offline import OfflineProvider
from bootstrap.money.withdrawals import (
    Withdrawal,
    finish_withdrawal,
    forget_signatures,
    unfinished_withdrawals,
    withdrawal,
)

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = [
    "CASHIER_EVERY_S",
    "EARNINGS_EVERY_S",
    "WITHDRAWALS_EVERY_S",
    "count_earnings",
    "finish_withdrawals",
    "run_cashier",
]

CASHIER_EVERY_S: Final = 2.0
EARNINGS_EVERY_S: Final = 20.0
WITHDRAWALS_EVERY_S: Final = 30.0
ENTRIES_AT_ONCE: Final = 500
UNFINISHED_AFTER_S: Final = 30
"""When a withdrawal that is not signed is taken for forgotten."""

Result = TypeVar("Result")


async def run_cashier(office: "Office") -> None:
    """Makes the calls that are due, takes what the provider says, and asks it what it has not said."""
    await _run(office, partial(_work_cashier, office))


def _work_cashier(office: "Office") -> None:
    cashier, now_s = office.cashier, office.now_s()
    cashier.make_due_calls(now_s)
    if isinstance(cashier.provider, OfflineProvider):
        cashier.provider.tick()
        cashier.provider.deliver(partial(cashier.receive, now_s=now_s))
    cashier.look_at_due(now_s)


async def count_earnings(office: "Office") -> None:
    """Reads the log on from where it was read to, and gives what waits for keys that are registered by now."""
    source = office.settlements
    if source is None:
        return
    start = await _read(office, partial(cursor_of, log=source.name))
    while True:
        found, end = await trio.to_thread.run_sync(source.settlements, start, ENTRIES_AT_ONCE)
        if end == start:
            break
        counted = partial(
            count_settlements,
            log=source.name,
            found=found,
            start=start,
            end=end,
            hosts=office.cashier.hosts,
            now_s=office.now_s(),
        )
        if not await _write(office, counted):
            break  # another process reads it, too
        start = end
    await _claim(office)


async def _claim(office: "Office") -> None:
    after = b""
    while keys := await _read(office, partial(unclaimed_keys, after=after)):
        for key in keys:
            owner = await _read(office, partial(office.cashier.hosts.owner_of, payout_key=key))
            if owner is None:
                continue
            claim = partial(claim_earnings, payout_key=key, account_id=owner, now_s=office.now_s())
            while await _write(office, claim):
                pass
        after = keys[-1]


async def finish_withdrawals(office: "Office") -> None:
    """Signs what was debited before a crash, and forgets signatures that nobody asks for any more."""
    now_s = office.now_s()
    while await _write(office, partial(forget_signatures, now_s=now_s)):
        pass
    if office.issuer is None:
        return

    async def write(work: Callable[[Transaction], Withdrawal]) -> Withdrawal:
        return await _write(office, work)

    for name in await _read(office, partial(unfinished_withdrawals, before_s=now_s - UNFINISHED_AFTER_S)):
        asked = await _read(office, partial(withdrawal, withdrawal_id=name))
        try:
            await finish_withdrawal(write, office.issuer, asked, now_s)
        except SigningRefused:
            return  # the issuer is busy: the rest has time


async def _run(office: "Office", work: Callable[[], Result]) -> Result:
    return await trio.to_thread.run_sync(work, limiter=office.threads)


async def _read(office: "Office", work: Callable[[Transaction], Result]) -> Result:
    return await trio.to_thread.run_sync(office.database.read, work, limiter=office.threads)


async def _write(office: "Office", work: Callable[[Transaction], Result]) -> Result:
    return await trio.to_thread.run_sync(office.database.write, work, limiter=office.threads)
