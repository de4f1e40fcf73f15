"""The postman: sends what waits in the outbox, waits longer after each failure, and gives up after a while.

Each mail is claimed before it is sent, so that two postmen do not send it twice. One that was sent is deleted; if the
postman dies between the two, it is sent again, with the same Message-ID.
"""

from collections import Counter
from functools import partial
from typing import Final, TypeVar

import structlog
import trio
from attrs import define, field

from bootstrap.database import Database, Transaction
from bootstrap.mail.mailer import Mail, Mailer, MailFailed

__all__ = ["GIVE_UP_S", "Postman"]

log = structlog.get_logger()

MOST_AT_ONCE: Final = 50
SEND_TIMEOUT_S: Final = 60.0
CLAIM_S: Final = 300
"""How long a claim lasts: longer than sending may take."""
FIRST_WAIT_S: Final = 60
LONGEST_WAIT_S: Final = 4 * 3600
GIVE_UP_S: Final = 2 * 24 * 3600
"""A mail that could not be sent for so long is deleted: the links in it are old by then."""

Result = TypeVar("Result")


@define
class Postman:
    """Delivers the mails of one database."""

    database: Database
    mailer: Mailer
    counted: Counter[str] = field(factory=Counter)
    """How many mails were `sent`, `failed` (and wait) and `given_up`."""

    async def deliver(self, now_s: int) -> int:
        """Tries all mails that are due, once, up to `MOST_AT_ONCE`; returns how many were sent."""
        sent = 0
        for mail_id, due_s in await _in_thread(partial(self.database.read, partial(_due, now_s=now_s))):
            claimed = await _in_thread(
                partial(self.database.write, partial(_claim, mail_id=mail_id, due_s=due_s, now_s=now_s))
            )
            if claimed is not None:
                sent += await self._try(*claimed, now_s)
        return sent

    async def _try(self, mail: Mail, attempts: int, queued_at_s: int, now_s: int) -> bool:
        try:
            with trio.fail_after(SEND_TIMEOUT_S):
                await self.mailer.send(mail)
        except (MailFailed, trio.TooSlowError) as error:
            for_good = isinstance(error, MailFailed) and error.for_good
            over = for_good or now_s - queued_at_s >= GIVE_UP_S
            self.counted["given_up" if over else "failed"] += 1
            reason = str(error) if isinstance(error, MailFailed) else "it took too long"
            log.warning("a mail was not sent", reason=reason, attempts=attempts, given_up=over)
            work = (
                partial(_delete, mail_id=mail.id)
                if over
                else partial(
                    _put_back, mail_id=mail.id, at_s=now_s + min(FIRST_WAIT_S << min(attempts - 1, 20), LONGEST_WAIT_S)
                )
            )
            await _in_thread(partial(self.database.write, work))
            return False
        self.counted["sent"] += 1
        await _in_thread(partial(self.database.write, partial(_delete, mail_id=mail.id)))
        return True


def _due(transaction: Transaction, *, now_s: int) -> list[tuple[str, int]]:
    rows = transaction.rows(
        "SELECT id, next_try_at_s FROM mail WHERE next_try_at_s <= :now ORDER BY next_try_at_s, id LIMIT :most",
        now=now_s,
        most=MOST_AT_ONCE,
    )
    return [(mail_id, due_s) for mail_id, due_s in rows]


def _claim(transaction: Transaction, *, mail_id: str, due_s: int, now_s: int) -> tuple[Mail, int, int] | None:
    claimed = transaction.execute(
        "UPDATE mail SET next_try_at_s = :until, attempts = attempts + 1 WHERE id = :id AND next_try_at_s = :due",
        id=mail_id,
        due=due_s,
        until=now_s + CLAIM_S,
    )
    row = transaction.row(
        "SELECT recipient, subject, body, attempts, queued_at_s FROM mail WHERE id = :id", id=mail_id
    )
    if not claimed or row is None:
        return None
    recipient, subject, body, attempts, queued_at_s = row
    return Mail(mail_id, recipient, subject, body), attempts, queued_at_s


def _put_back(transaction: Transaction, *, mail_id: str, at_s: int) -> None:
    transaction.execute("UPDATE mail SET next_try_at_s = :at WHERE id = :id", id=mail_id, at=at_s)


def _delete(transaction: Transaction, *, mail_id: str) -> None:
    transaction.execute("DELETE FROM mail WHERE id = :id", id=mail_id)


async def _in_thread(work: "partial[Result]") -> Result:
    return await trio.to_thread.run_sync(work)
