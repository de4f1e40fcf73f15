"""A cashier with the offline provider, on any database, under a clock that tests move."""

from typing import Any

from attrs import define, field

from bootstrap.database import Database, Transaction
from bootstrap.money.cashier import Cashier
from bootstrap.money.earnings import Settlement, count_settlements, cursor_of
from bootstrap.money.journal import balance_of, books, person
from bootstrap.money.offline import Faults, OfflineProvider
from bootstrap.money.payouts import start_payee
from bootstrap.money.settings import MICROCREDITS, MoneyConfig

__all__ = ["NOW_S", "PAYOUT_KEY", "House", "KnownHosts", "quiet"]

NOW_S = 1_790_000_000
PAYOUT_KEY = b"\x07" * 32
LOG = "log.example/1"


def quiet(**changed: float) -> Faults:
    """A provider that does nothing wrong but this."""
    silent = dict.fromkeys(("timeout_before", "timeout_after", "event_lost", "event_twice", "event_late"), 0.0)
    return Faults(**(silent | changed))


@define
class KnownHosts:
    """Payout keys and whose they are."""

    owners: dict[bytes, str] = field(factory=dict)
    held: dict[str, str] = field(factory=dict)

    def owner_of(self, transaction: Transaction, payout_key: bytes) -> str | None:
        return self.owners.get(payout_key)

    def why_held(self, transaction: Transaction, account_id: str) -> str | None:
        return self.held.get(account_id)


class House:
    """One operator's money."""

    def __init__(
        self,
        database: Database,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        clearing_s: int = 5,
        **config: Any,
    ) -> None:
        self.database = database
        self.now_s = NOW_S
        self.config = MoneyConfig(**config)
        self.hosts = KnownHosts()
        self.provider = OfflineProvider(
            database, lambda: self.now_s, "http://portal/test-provider", b"k" * 32, seed, faults or quiet(), clearing_s
        )
        self.cashier = Cashier(database, self.provider, self.config, "http://portal", self.hosts)

    def write(self, work: Any, *values: Any, **named: Any) -> Any:
        return self.database.write(lambda transaction: work(transaction, *values, **named))

    def read(self, work: Any, *values: Any, **named: Any) -> Any:
        return self.database.read(lambda transaction: work(transaction, *values, **named))

    def account(self, name: str = "ann", state: str = "active") -> str:
        self.database.write(
            lambda transaction: transaction.execute(
                "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s,"
                " notice_version, notice_at_s) VALUES (:id, :email, :email, :id, '', :state, 1, '1', 1)"
                " ON CONFLICT DO NOTHING",
                id=name,
                email=f"{name}@example.org",
                state=state,
            )
        )
        return name

    def has(self, kind: str, account: str = "ann") -> int:
        return self.database.read(lambda transaction: balance_of(transaction, person(kind, account)))

    def step(self, seconds: int = 0) -> None:
        """Time passes, and everything that is due is done once."""
        self.now_s += seconds
        self.cashier.make_due_calls(self.now_s)
        self.provider.tick()
        self.provider.deliver(lambda body, signature: self.cashier.receive(body, signature, self.now_s))
        self.cashier.look_at_due(self.now_s)

    def settle(self, seconds: int = 60, times: int = 12) -> None:
        for _ in range(times):
            self.step(seconds)

    def pay(self, provider_key: str, choice: Any = "pay") -> bool:
        """A person goes to the hosted page and chooses."""
        row = self.database.read(
            lambda transaction: transaction.row("SELECT token FROM offline_thing WHERE key = :key", key=provider_key)
        )
        return row is not None and self.provider.choose(row[0], choice)

    def earn(self, account: str, credits_: int, at_s: int | None = None) -> None:
        """The ledger settles so many credits to the account's payout key."""
        self.hosts.owners[PAYOUT_KEY] = account
        start = self.read(cursor_of, LOG)
        at_s = self.now_s if at_s is None else at_s
        found = [Settlement(start, PAYOUT_KEY, credits_ * MICROCREDITS, at_s)]
        assert self.write(count_settlements, LOG, found, start, start + 1, self.hosts, self.now_s)

    def payee(self, account: str) -> None:
        self.write(start_payee, account, self.now_s)
        self.settle(seconds=3700, times=10)
        self.pay(f"payee/{account}", "agree")
        self.settle(seconds=3700, times=10)

    def mails(self) -> list[tuple[str, str]]:
        return self.database.read(
            lambda transaction: transaction.rows("SELECT recipient, body FROM mail ORDER BY queued_at_s, id")
        )

    def assert_books_balance(self) -> None:
        """Every unit's debits are its credits, no book is below nothing, and movements add up to the books."""

        def look(transaction: Transaction) -> None:
            totals: dict[str, int] = {}
            for each in books(transaction):
                assert each.balance >= 0, each
                totals[each.unit] = totals.get(each.unit, 0) + each.debits - each.credits
            assert not any(totals.values()), totals
            wrong = transaction.rows(
                "SELECT id FROM book WHERE debits <> (SELECT coalesce(sum(amount), 0) FROM movement"
                " WHERE debit_book = book.id) OR credits <> (SELECT coalesce(sum(amount), 0) FROM movement"
                " WHERE credit_book = book.id)"
            )
            assert wrong == []

        self.database.read(look)
