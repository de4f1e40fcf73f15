"""The journal: every amount is moved from one book to another, so that all of them together are always nothing.

Rules:

1. A movement debits one book and credits another of the same unit, by the same positive integer.
2. It has a key that says what it does. The same movement again changes nothing; another one under the same key is a
   bug.
3. A book's balance stands on the side that its kind says, and is never negative.

What a movement does to a person's credits: their books stand on the credit side, since the operator owes them. Source:
double-entry bookkeeping; TigerBeetle's debit/credit model, which keeps both totals of an account.
"""

from typing import Final, Literal

from attrs import frozen

from bootstrap.database import Transaction
from peernet.core.errors import LocalProtocolError, PeernetError

__all__ = [
    "CREDITS",
    "HOUSE_KINDS",
    "PERSON_KINDS",
    "Book",
    "BookTotals",
    "Overdrawn",
    "balance_of",
    "books",
    "house",
    "money_book",
    "move",
    "person",
]

Side = Literal["debit", "credit"]
CREDITS: Final = "microcredits"

PERSON_KINDS: Final[dict[str, Side]] = {
    "bought": "credit",  # to be spent; from purchases that have cleared
    "granted": "credit",  # to be spent; from operators and codes
    "debt": "debit",  # what was spent of a purchase that was then taken back
    "earned": "credit",  # what hosts of theirs have served
    "paying": "credit",  # what of it is being paid out
}
HOUSE_KINDS: Final[dict[str, Side]] = {
    "sold": "debit",  # credits made for purchases
    "given": "debit",  # credits made for grants and codes
    "settled": "debit",  # credits that the metering ledger says are owed to hosts
    "withdrawn": "credit",  # credits that left as bearer credits
    "paid": "credit",  # earned credits that were paid out as money
    "forfeited": "credit",  # earned credits that were lost by the host agreement
}
MONEY_KINDS: Final[dict[str, Side]] = {
    "clearing": "debit",  # paid by people, not yet ours
    "uncleared": "credit",
    "provider": "debit",  # ours, at the provider
    "income": "credit",
    "refunded": "debit",
    "disputed": "debit",  # taken back by the provider while a dispute is decided
    "lost": "debit",  # disputes that were lost
    "payouts": "debit",  # paid to host operators
    "funds": "credit",  # from where the provider pays that
}


class Overdrawn(PeernetError):
    """A movement of more than there is."""


@frozen
class Book:
    """One book of the journal."""

    id: str
    kind: str
    unit: str
    side: Side
    account_id: str | None = None


@frozen
class BookTotals:
    """A book, and what was ever moved in and out of it."""

    kind: str
    unit: str
    side: Side
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        """What is in it."""
        return self.credits - self.debits if self.side == "credit" else self.debits - self.credits


def person(kind: str, account_id: str) -> Book:
    """A person's book of credits."""
    return Book(f"{kind}:{account_id}", kind, CREDITS, PERSON_KINDS[kind], account_id)


def house(kind: str) -> Book:
    """The operator's book of credits."""
    return Book(f"{kind}:{CREDITS}", kind, CREDITS, HOUSE_KINDS[kind])


def money_book(kind: str, currency: str) -> Book:
    """The operator's book of money."""
    return Book(f"{kind}:{currency}", kind, currency, MONEY_KINDS[kind])


def move(
    transaction: Transaction, key: str, amount: int, *, debit: Book, credit: Book, about: str, now_s: int
) -> bool:
    """Moves an amount; returns False, and does nothing, where this was done before.

    Raises `Overdrawn` where a book would be below nothing, and `LocalProtocolError` for what is no movement.
    """
    if amount <= 0 or debit.unit != credit.unit or debit.id == credit.id:
        raise LocalProtocolError(f"no movement: {amount} from {debit.kind} to {credit.kind}")
    done = transaction.row("SELECT debit_book, credit_book, amount FROM movement WHERE key = :key", key=key)
    if done is not None:
        if done != (debit.id, credit.id, amount):
            raise LocalProtocolError(f"the key {key!r} stands for another movement")
        return False
    _add(transaction, debit, debits=amount)
    _add(transaction, credit, credits_=amount)
    transaction.execute(
        "INSERT INTO movement (key, debit_book, credit_book, amount, about, at_s)"
        " VALUES (:key, :debit, :credit, :amount, :about, :now)",
        key=key,
        debit=debit.id,
        credit=credit.id,
        amount=amount,
        about=about,
        now=now_s,
    )
    return True


def balance_of(transaction: Transaction, book: Book) -> int:
    """What is in a book."""
    row = transaction.row("SELECT credits - debits FROM book WHERE id = :id", id=book.id)
    return 0 if row is None else int(row[0]) if book.side == "credit" else -int(row[0])


def books(transaction: Transaction) -> list[BookTotals]:
    """All books, those of people summed up by kind: the trial balance."""
    rows = transaction.rows(
        "SELECT kind, unit, side, CAST(sum(debits) AS BIGINT), CAST(sum(credits) AS BIGINT) FROM book"
        " GROUP BY kind, unit, side ORDER BY unit, side, kind"
    )
    return [BookTotals(*row) for row in rows]


def _add(transaction: Transaction, book: Book, *, debits: int = 0, credits_: int = 0) -> None:
    transaction.execute(
        "INSERT INTO book (id, account_id, kind, unit, side) VALUES (:id, :account, :kind, :unit, :side)"
        " ON CONFLICT (id) DO NOTHING",
        id=book.id,
        account=book.account_id,
        kind=book.kind,
        unit=book.unit,
        side=book.side,
    )
    # Checked by the statement itself: the database would refuse, too, and say less.
    short = (
        "debits + :debits - credits - :credits" if book.side == "credit" else ("credits + :credits - debits - :debits")
    )
    changed = transaction.execute(
        f"UPDATE book SET debits = debits + :debits, credits = credits + :credits WHERE id = :id AND {short} <= 0",  # noqa: S608  (one of two fixed texts)
        id=book.id,
        debits=debits,
        credits=credits_,
    )
    if not changed:
        raise Overdrawn(f"there is less than {debits or credits_} in {book.kind}")
