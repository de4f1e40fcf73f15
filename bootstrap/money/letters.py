"""What people are written about money: short, and without anything that is not theirs already."""

from bootstrap.database import Transaction
from bootstrap.mail.outbox import queue_mail

__all__ = ["credits_said", "in_credits_said", "money_said", "write_to"]


def write_to(transaction: Transaction, account_id: str, subject: str, body: str, now_s: int) -> None:
    """Has a mail sent to whoever has the account; nobody is written whose account is erased."""
    row = transaction.row("SELECT email FROM account WHERE id = :id AND state <> 'erased'", id=account_id)
    if row is not None and row[0]:
        queue_mail(transaction, to=row[0], subject=subject, body=body, now_s=now_s)


def credits_said(microcredits: int) -> str:
    """An amount of credits, such as 12.5."""
    whole, rest = divmod(microcredits, 1_000_000)
    fraction = f"{rest:06d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def in_credits_said(microcredits: int) -> str:
    """An amount of credits with its unit: 1 credit, 12.5 credits."""
    shown = credits_said(microcredits)
    return f"{shown} {'credit' if shown == '1' else 'credits'}"


def money_said(cents: int, currency: str) -> str:
    """An amount of money, such as 12.50 EUR."""
    return f"{cents // 100}.{cents % 100:02d} {currency}"
