"""Deletion: a few days in which it can be called off, then the identity is gone.

Rules:

1. Before, the person is told what it cuts off, and what law makes us keep.
2. It is carried out once, by whoever comes first; what a payment provider has in hand is waited for.
3. What stays of the account is its random id, in the state `erased`. The ledger has never known it.
4. What is kept because law wants it is on the receipt, with the law and the end.
5. Whose identity is gone is written down by id, so that a backup from before makes nobody come back. The receipt is
   held until that is in the copy on another disk, too, where the operator has one (`erasures_copy`).
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.mail.outbox import queue_mail, release_mails
from bootstrap.people.access_log import note_access
from bootstrap.refusal import NotFound, Refused
from bootstrap.rights.domain import Locked, Pending
from bootstrap.rights.domains import DOMAINS
from bootstrap.rights.requests import DAY_S, Request, end_request, file_request, note_event

__all__ = [
    "COOLING_OFF_S",
    "Preview",
    "ask_deletion",
    "call_off_deletion",
    "deletion_under_way",
    "due_deletions",
    "erase_again",
    "erase_child",
    "erase_if_due",
    "erased_accounts",
    "erased_count",
    "living_accounts",
    "preview_deletion",
    "release_receipts",
]

COOLING_OFF_S: Final = 7 * DAY_S
LOOK_AGAIN_S: Final = 3600
"""When a deletion that waits for something is looked at again."""
AT_ONCE: Final = 50


@frozen
class Preview:
    """What a deletion would do."""

    pending: Sequence[Pending]
    locked: Sequence[Locked]

    @property
    def waits(self) -> bool:
        """Whether something has to be over before."""
        return any(each.blocks for each in self.pending)


def preview_deletion(transaction: Transaction, account_id: str) -> Preview:
    """What the person should know first."""
    return Preview(
        [each for domain in DOMAINS for each in domain.pending(transaction, account_id)],
        [each for domain in DOMAINS for each in domain.locked(transaction, account_id)],
    )


def ask_deletion(transaction: Transaction, account_id: str, *, now_s: int) -> Request:
    """Has the account deleted after the days of cooling off; asked twice, it is the same request."""
    _state(transaction, account_id)
    under_way = deletion_under_way(transaction, account_id)
    if under_way is not None:
        return under_way
    return file_request(
        transaction, account_id, "deletion", state="waiting", acts_at_s=now_s + COOLING_OFF_S, now_s=now_s
    )


def deletion_under_way(transaction: Transaction, account_id: str) -> Request | None:
    """The deletion that waits for its day."""
    rows = transaction.rows(
        "SELECT id, account_id, kind, subject, state, words, answer, asked_at_s, due_at_s, acts_at_s, ended_at_s"
        " FROM rights_request WHERE account_id = :account AND kind = 'deletion' AND state = 'waiting'",
        account=account_id,
    )
    return Request(*rows[0]) if rows else None


def call_off_deletion(transaction: Transaction, account_id: str, *, now_s: int) -> None:
    """Keeps the account after all; raises `Refused` where nothing can be called off."""
    request = deletion_under_way(transaction, account_id)
    if request is None:
        raise Refused("no deletion is under way", reason="answered")
    if request.subject == "child":
        raise Refused("this deletion was decided after a report, and is not called off here", reason="decided")
    end_request(transaction, request, "withdrawn", now_s=now_s, by=account_id)
    note_access(transaction, "deletion_called_off", now_s=now_s, by=account_id, about=account_id)


def erase_child(transaction: Transaction, account_id: str, *, by: str, now_s: int) -> None:
    """Deletes a child's account without days of cooling off; until it is gone nobody uses it."""
    _state(transaction, account_id)
    request = deletion_under_way(transaction, account_id)
    if request is None:
        request = file_request(
            transaction,
            account_id,
            "deletion",
            subject="child",
            state="waiting",
            acts_at_s=now_s,
            by=by,
            now_s=now_s,
        )
    else:
        transaction.execute(
            "UPDATE rights_request SET subject = 'child', acts_at_s = :now WHERE id = :id", id=request.id, now=now_s
        )
    transaction.execute("UPDATE account SET state = 'suspended' WHERE id = :id", id=account_id)
    erase_if_due(transaction, request.id, now_s=now_s)


def due_deletions(transaction: Transaction, now_s: int) -> list[str]:
    """The requests whose day has come, some of them."""
    rows = transaction.rows(
        "SELECT id FROM rights_request WHERE kind = 'deletion' AND state = 'waiting' AND acts_at_s <= :now"
        " ORDER BY acts_at_s, id LIMIT :most",
        now=now_s,
        most=AT_ONCE,
    )
    return [request_id for (request_id,) in rows]


def erase_if_due(transaction: Transaction, request_id: str, *, now_s: int) -> bool:
    """Carries a deletion out, if it still waits and nothing holds it up; returns whether the identity is gone."""
    row = transaction.row(
        "SELECT account_id, subject FROM rights_request WHERE id = :id AND kind = 'deletion' AND state = 'waiting'"
        " AND acts_at_s <= :now",
        id=request_id,
        now=now_s,
    )
    if row is None:
        return False
    account_id, subject = row
    preview = preview_deletion(transaction, account_id)
    if preview.waits:
        transaction.execute(
            "UPDATE rights_request SET acts_at_s = :later WHERE id = :id", id=request_id, later=now_s + LOOK_AGAIN_S
        )
        waited = "SELECT 1 FROM rights_event WHERE request_id = :id AND event = 'postponed'"
        if transaction.row(waited, id=request_id) is None:
            note_event(transaction, request_id, "postponed", by=None, now_s=now_s)
        return False
    address = transaction.row("SELECT email FROM account WHERE id = :id", id=account_id)
    _erase(transaction, account_id, subject or "wish", now_s)
    kept = "\n".join(f"{each.what}: {each.why}" for each in preview.locked)
    transaction.execute(
        "UPDATE rights_request SET state = 'done', ended_at_s = :now, words = '', answer = :kept WHERE id = :id",
        id=request_id,
        now=now_s,
        kept=kept,
    )
    note_event(transaction, request_id, "done", by=None, now_s=now_s)
    note_access(transaction, "account_erased", now_s=now_s, about=account_id, thing=f"rights_request/{request_id}")
    if address is not None and address[0]:
        # The last mail: with it, the address is gone from here, too.
        body = f"Your account is deleted (receipt {request_id}).\n"
        body += f"\nWhat the law makes us keep, locked:\n{kept}\n" if kept else "\nNothing of it is kept.\n"
        queue_mail(transaction, to=address[0], subject="Your account is deleted", body=body, now_s=now_s, held=True)
    return True


def erase_again(transaction: Transaction, account_ids: Sequence[str], *, now_s: int) -> int:
    """Erases, in a database restored from a backup, who was erased since; returns how many came back with it."""
    found = 0
    for account_id in account_ids:
        row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
        if row is not None and row[0] != "erased":
            _erase(transaction, account_id, "wish", now_s)
            found += 1
    return found


def erased_accounts(transaction: Transaction) -> list[str]:
    """The ids of all whose identity was erased."""
    return [account_id for (account_id,) in transaction.rows("SELECT account_id FROM erasure ORDER BY account_id")]


def living_accounts(transaction: Transaction) -> list[str]:
    """The ids of all whose identity was not erased."""
    return [account_id for (account_id,) in transaction.rows("SELECT id FROM account WHERE state <> 'erased'")]


def erased_count(transaction: Transaction) -> int:
    """How many were erased, ever."""
    row = transaction.row("SELECT count(*) FROM erasure")
    assert row is not None
    return int(row[0])


def release_receipts(transaction: Transaction, *, copied: int | None, now_s: int) -> int:
    """Has the receipts sent that are held; none where more were erased than the `copied` first ones.

    None as `copied` where nothing is copied anywhere. Returns how many are sent.
    """
    if copied is not None and erased_count(transaction) > copied:
        return 0
    return release_mails(transaction, now_s=now_s)


def _erase(transaction: Transaction, account_id: str, why: str, now_s: int) -> None:
    for domain in DOMAINS:
        domain.erase(transaction, account_id, now_s)
    transaction.execute(
        "INSERT INTO erasure (account_id, erased_at_s, why) VALUES (:id, :now, :why)"
        " ON CONFLICT (account_id) DO NOTHING",
        id=account_id,
        now=now_s,
        why=why,
    )


def _state(transaction: Transaction, account_id: str) -> str:
    """The account's; raises `NotFound` for one that is none, or no more."""
    row = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
    if row is None or row[0] == "erased":
        raise NotFound("such account")
    return str(row[0])
