"""The offline provider: moves no money, and otherwise behaves like a real one, faults included.

It keeps what it knows in tables of its own, in transactions of its own, as if in another house. Its hosted page is
one of the portal's, says that it is a test, and takes no card number. What happens there, and what a seed decides, is:

- a call times out before or after it was done;
- a payment clears only after a while, or never; it is disputed afterwards, and the dispute is won or lost;
- a month of a subscription is not paid; a payout fails;
- events are lost, come twice, or late, and so in another order.

The same seed, the same keys, the same faults: chance is a hash of the seed, the key, and what is at stake.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, get_args

from attrs import field, fields, frozen

from bootstrap.database import Database, Row, Transaction
from bootstrap.ids import new_id
from bootstrap.money.provider import (
    BadEvent,
    Fact,
    Order,
    PayeeFact,
    PaymentFact,
    PayoutFact,
    ProviderRefused,
    ProviderTimeout,
    SubscriptionFact,
    period_key,
)

__all__ = ["Choice", "Faults", "HostedPage", "OfflineProvider"]

MONTH_S: Final = 30 * 24 * 3600
TRY_AGAIN_S: Final = 3 * 24 * 3600
"""When a month that was not paid is tried again, once."""
DISPUTED_AFTER_CLEARINGS: Final = 3
LATE_S: Final = 60
OPEN_S: Final = 24 * 3600
"""How long a page waits for its person."""
PATIENCE: Final = 8
"""After so many calls of one key, none of them times out any more."""
MOST_AT_ONCE: Final = 200

Choice = Literal["pay", "pay_and_fail", "pay_and_dispute_won", "pay_and_dispute_lost", "decline", "agree"]
"""What a tester may choose on the hosted page; `agree` is for a payee."""
CHOICES: Final = get_args(Choice)

_COLUMNS: Final = (
    "key, kind, token, made, calls, state, amount, currency, description, return_to, parent, fate, refunded, dispute,"
    " periods, cancelled, period_ends_at_s, next_at_s"
)


@frozen
class Faults:
    """How often what goes wrong, from 0 to 1."""

    timeout_before: float = 0.05
    timeout_after: float = 0.1
    event_lost: float = 0.05
    event_twice: float = 0.1
    event_late: float = 0.2
    clearing_fails: float = 0.0
    disputed: float = 0.0
    dispute_lost: float = 0.5
    month_unpaid: float = 0.0
    payout_fails: float = 0.0

    def __attrs_post_init__(self) -> None:
        for each in fields(Faults):
            if not 0 <= getattr(self, each.name) <= 1:
                raise ValueError(f"offline_faults: {each.name} is not from 0 to 1")


@frozen
class HostedPage:
    """What the hosted page shows."""

    key: str
    kind: Literal["payment", "subscription", "payee"]
    state: str
    amount: int
    currency: str
    description: str
    return_to: str


@frozen
class _Thing:
    """A row of its table."""

    key: str
    kind: str
    token: str
    made: int
    calls: int
    state: str
    amount: int
    currency: str
    description: str
    return_to: str
    parent: str
    fate: str
    refunded: int
    dispute: Literal["none", "open", "won", "lost"]
    periods: int
    cancelled: int
    period_ends_at_s: int | None
    next_at_s: int | None


@frozen
class OfflineProvider:
    """See `Provider`."""

    database: Database
    now_s: Callable[[], int]
    page_url: str
    """Of its hosted page; `?checkout=TOKEN` is added."""
    key: bytes = field(repr=False)
    """32 secret bytes, which its events are signed with."""
    seed: int = 0
    faults: Faults = Faults()
    clearing_s: int = 5
    name: str = "offline"

    def start_payment(self, order: Order) -> PaymentFact:
        fact = self._start("payment", order)
        assert isinstance(fact, PaymentFact)
        return fact

    def start_subscription(self, order: Order) -> SubscriptionFact:
        fact = self._start("subscription", order)
        assert isinstance(fact, SubscriptionFact)
        return fact

    def start_payee(self, key: str, return_to: str) -> PayeeFact:
        fact = self._start("payee", Order(key, 0, "", "", return_to))
        assert isinstance(fact, PayeeFact)
        return fact

    def cancel_subscription(self, key: str, subscription: str) -> SubscriptionFact:
        del key  # to cancel is to have cancelled, however often
        self._call(subscription)

        def work(transaction: Transaction) -> Fact:
            thing = _thing(transaction, subscription)
            if thing is None or not thing.made:
                raise ProviderRefused("there is no such subscription")
            changes: dict[str, int | str | None] = {"cancelled": 1}
            if thing.state == "open":
                changes |= {"state": "ended", "next_at_s": None}
            self._change(transaction, thing, **changes)
            return self._fact(transaction, subscription)

        fact = self._do(subscription, work)
        assert isinstance(fact, SubscriptionFact)
        return fact

    def refund(self, key: str, payment: str, amount: int) -> PaymentFact:
        self._call(payment)

        def work(transaction: Transaction) -> Fact:
            thing = _thing(transaction, payment)
            known = transaction.row("SELECT amount FROM offline_refund WHERE key = :key", key=key)
            if known is None:
                if thing is None or thing.state != "cleared" or thing.dispute in {"open", "lost"}:
                    raise ProviderRefused("only a payment that has cleared, and is not disputed, is refunded")
                if thing.refunded + amount > thing.amount:
                    raise ProviderRefused("that is more than was paid")
                transaction.execute(
                    "INSERT INTO offline_refund (key, payment, amount) VALUES (:key, :payment, :amount)",
                    key=key,
                    payment=payment,
                    amount=amount,
                )
                self._change(transaction, thing, refunded=thing.refunded + amount)
            return self._fact(transaction, payment)

        fact = self._do(payment, work)
        assert isinstance(fact, PaymentFact)
        return fact

    def pay(self, key: str, payee: str, amount: int, currency: str) -> PayoutFact:
        self._call(key, "payout")

        def work(transaction: Transaction) -> Fact:
            thing = _thing(transaction, key)
            assert thing is not None
            if not thing.made:
                place = _thing(transaction, payee)
                if place is None or place.state != "ready":
                    raise ProviderRefused("nobody has said where that is to be paid")
                due = self.now_s() + self.clearing_s
                self._change(
                    transaction, thing, made=1, state="pending", amount=amount, currency=currency, next_at_s=due
                )
            elif (thing.amount, thing.currency) != (amount, currency):
                raise ProviderRefused("the key stands for another payout")
            return self._fact(transaction, key)

        fact = self._do(key, work)
        assert isinstance(fact, PayoutFact)
        return fact

    def look_up(self, key: str) -> Fact | None:
        if self._chance(key, f"look-up/{self.now_s()}", self.faults.timeout_before):
            raise ProviderTimeout("no answer")

        def work(transaction: Transaction) -> Fact | None:
            thing = _thing(transaction, key)
            return self._fact(transaction, key) if thing is not None and thing.made else None

        return self.database.read(work)

    def read_event(self, body: bytes, signature: str) -> str:
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode("utf-8", "replace")):
            raise BadEvent("the event is not signed by the offline provider")
        key = json.loads(body)["key"]
        assert isinstance(key, str)
        return key

    def hosted_page(self, token: str) -> HostedPage | None:
        """What stands on the page of that token."""

        def work(transaction: Transaction) -> HostedPage | None:
            thing = _thing_of_token(transaction, token)
            if thing is None or thing.kind not in {"payment", "subscription", "payee"}:
                return None
            kind: Literal["payment", "subscription", "payee"] = thing.kind  # type: ignore[assignment]
            return HostedPage(
                thing.key, kind, thing.state, thing.amount, thing.currency, thing.description, thing.return_to
            )

        return self.database.read(work)

    def choose(self, token: str, choice: Choice) -> bool:
        """What the person does on the page; returns False where there is nothing to choose any more."""

        def work(transaction: Transaction) -> bool:
            thing = _thing_of_token(transaction, token)
            if thing is None or thing.state != "open":
                return False
            if thing.kind == "payee":
                self._change(transaction, thing, state="ready")
            elif choice == "decline":
                self._change(
                    transaction, thing, state="failed" if thing.kind == "payment" else "ended", next_at_s=None
                )
            elif thing.kind == "payment":
                self._change(
                    transaction, thing, state="paid", fate=self._fate(thing.key, choice), next_at_s=self._clears_at_s()
                )
            else:
                self._begin_month(transaction, thing, choice)
            return True

        return self.database.write(work)

    def tick(self) -> int:
        """Has happen what time brings; returns how much that was, at most `MOST_AT_ONCE`."""

        def work(transaction: Transaction) -> int:
            due = transaction.rows(
                f"SELECT {_COLUMNS} FROM offline_thing WHERE next_at_s <= :now ORDER BY next_at_s, key LIMIT :most",  # noqa: S608
                now=self.now_s(),
                most=MOST_AT_ONCE,
            )
            for row in due:
                self._go_on(transaction, _Thing(*row))
            return len(due)

        return self.database.write(work)

    def deliver(self, receive: Callable[[bytes, str], bool]) -> int:
        """Hands over the events that arrive now, each until it is taken; returns how many were."""
        rows = self.database.read(
            lambda transaction: transaction.rows(
                "SELECT id, key FROM offline_event WHERE due_at_s <= :now ORDER BY due_at_s, id LIMIT :most",
                now=self.now_s(),
                most=MOST_AT_ONCE,
            )
        )
        taken = 0
        for event, key in rows:
            body = json.dumps({"id": event, "key": key}).encode()
            if receive(body, self._signature(body)):
                self.database.write(partial(_forget_event, event=event))
                taken += 1
        return taken

    def _start(self, kind: str, order: Order) -> Fact:
        self._call(order.key, kind)

        def work(transaction: Transaction) -> Fact:
            thing = _thing(transaction, order.key)
            assert thing is not None
            if not thing.made:
                self._change(
                    transaction,
                    thing,
                    made=1,
                    state="open",
                    amount=order.amount,
                    currency=order.currency,
                    description=order.description,
                    return_to=order.return_to,
                    next_at_s=None if kind == "payee" else self.now_s() + OPEN_S,
                )
            elif (thing.amount, thing.currency) != (order.amount, order.currency):
                raise ProviderRefused("the key stands for something else")
            return self._fact(transaction, order.key)

        return self._do(order.key, work)

    def _call(self, key: str, kind: str | None = None) -> None:
        """Counts the call, which may time out before anything is done."""

        def work(transaction: Transaction) -> int:
            if kind is not None:
                transaction.execute(
                    "INSERT INTO offline_thing (key, kind, token) VALUES (:key, :kind, :token)"
                    " ON CONFLICT (key) DO NOTHING",
                    key=key,
                    kind=kind,
                    token=new_id(),
                )
            transaction.execute("UPDATE offline_thing SET calls = calls + 1 WHERE key = :key", key=key)
            return _calls(transaction, key)

        calls = self.database.write(work)
        if calls < PATIENCE and self._chance(key, f"before/{calls}", self.faults.timeout_before):
            raise ProviderTimeout("no answer")

    def _do(self, key: str, work: Callable[[Transaction], Fact]) -> Fact:
        """Does it, and perhaps times out after that."""

        def counted(transaction: Transaction) -> tuple[Fact, int]:
            return work(transaction), _calls(transaction, key)

        fact, calls = self.database.write(counted)
        if calls < PATIENCE and self._chance(key, f"after/{calls}", self.faults.timeout_after):
            raise ProviderTimeout("no answer")
        return fact

    def _fact(self, transaction: Transaction, key: str) -> Fact:
        thing = _thing(transaction, key)
        assert thing is not None
        url = f"{self.page_url}?checkout={thing.token}"
        state: Any = thing.state  # what this module put there
        match thing.kind:
            case "payment":
                return PaymentFact(
                    key,
                    state,
                    thing.amount,
                    thing.currency,
                    url,
                    thing.refunded,
                    thing.dispute,
                )
            case "subscription":
                return SubscriptionFact(
                    key,
                    state,
                    thing.periods,
                    bool(thing.cancelled),
                    thing.period_ends_at_s,
                    url,
                )
            case "payee":
                return PayeeFact(key, state, url)
        return PayoutFact(key, state, thing.amount, thing.currency)

    def _go_on(self, transaction: Transaction, thing: _Thing) -> None:
        match thing.kind, thing.state:
            case "payout", "pending":
                failed = self._chance(thing.key, "payout", self.faults.payout_fails)
                self._change(transaction, thing, state="failed" if failed else "paid", next_at_s=None)
            case "payment", "open":
                self._change(transaction, thing, state="failed", next_at_s=None)
            case "subscription", "open":
                self._change(transaction, thing, state="ended", next_at_s=None)
            case "payment", "paid" if thing.fate == "fail":
                self._change(transaction, thing, state="failed", next_at_s=None)
            case "payment", "paid":
                next_at_s = self.now_s() + DISPUTED_AFTER_CLEARINGS * self.clearing_s
                self._change(transaction, thing, state="cleared", next_at_s=next_at_s if thing.fate else None)
            case "payment", "cleared" if thing.dispute == "none" and thing.refunded < thing.amount:
                self._change(transaction, thing, dispute="open", next_at_s=self._clears_at_s())
            case "payment", "cleared" if thing.dispute == "open":
                won: Literal["won", "lost"] = "won" if thing.fate == "dispute_won" else "lost"
                self._change(transaction, thing, dispute=won, next_at_s=None)
            case "subscription", "active" | "late" if thing.cancelled:
                self._change(transaction, thing, state="ended", next_at_s=None)
            case "subscription", "active" | "late":
                self._renew(transaction, thing)
            case _:
                self._change(transaction, thing, next_at_s=None)

    def _renew(self, transaction: Transaction, thing: _Thing) -> None:
        if not self._chance(thing.key, f"month/{thing.periods}/{thing.state}", self.faults.month_unpaid):
            self._begin_month(transaction, thing, "pay")
        elif thing.state == "active":
            self._change(transaction, thing, state="late", next_at_s=self.now_s() + TRY_AGAIN_S)
        else:
            self._change(transaction, thing, state="ended", next_at_s=None)

    def _begin_month(self, transaction: Transaction, thing: _Thing, choice: Choice) -> None:
        """A payment of the subscription, and when the next is due."""
        number = thing.periods + 1
        key = period_key(thing.key, number)
        ends_at_s = max(thing.period_ends_at_s or 0, self.now_s() - TRY_AGAIN_S) + MONTH_S
        ends_at_s = ends_at_s if thing.periods else self.now_s() + MONTH_S
        self._change(
            transaction, thing, state="active", periods=number, period_ends_at_s=ends_at_s, next_at_s=ends_at_s
        )
        transaction.execute(
            "INSERT INTO offline_thing (key, kind, token, made, state, amount, currency, description, return_to,"
            " parent, fate, next_at_s) VALUES (:key, 'payment', :token, 1, 'paid', :amount, :currency, :description,"
            " :return_to, :parent, :fate, :next)",
            key=key,
            token=new_id(),
            amount=thing.amount,
            currency=thing.currency,
            description=thing.description,
            return_to=thing.return_to,
            parent=thing.key,
            fate=self._fate(key, choice),
            next=self._clears_at_s(),
        )
        self._tell(transaction, key, "paid")

    def _change(self, transaction: Transaction, thing: _Thing, **values: int | str | None) -> None:
        """Changes a thing, and sends word of it."""
        assert values.keys() <= {each.name for each in fields(_Thing)}
        settings = ", ".join(f"{name} = :{name}" for name in values)
        transaction.execute(f"UPDATE offline_thing SET {settings} WHERE key = :key", key=thing.key, **values)  # noqa: S608  (the names are ours)
        self._tell(transaction, thing.key, "/".join(f"{name}={value}" for name, value in sorted(values.items())))

    def _tell(self, transaction: Transaction, key: str, what: str) -> None:
        if self._chance(key, f"lost/{what}", self.faults.event_lost):
            return
        for copy in range(2 if self._chance(key, f"twice/{what}", self.faults.event_twice) else 1):
            late = self._chance(key, f"late/{copy}/{what}", self.faults.event_late)
            transaction.execute(
                "INSERT INTO offline_event (id, key, due_at_s) VALUES (:id, :key, :due)",
                id=new_id(),
                key=key,
                due=self.now_s() + (LATE_S if late else 0),
            )

    def _fate(self, key: str, choice: Choice) -> str:
        match choice:
            case "pay_and_fail":
                return "fail"
            case "pay_and_dispute_won":
                return "dispute_won"
            case "pay_and_dispute_lost":
                return "dispute_lost"
        if self._chance(key, "clearing", self.faults.clearing_fails):
            return "fail"
        if self._chance(key, "dispute", self.faults.disputed):
            return "dispute_lost" if self._chance(key, "lost", self.faults.dispute_lost) else "dispute_won"
        return ""

    def _clears_at_s(self) -> int:
        return self.now_s() + self.clearing_s

    def _chance(self, key: str, what: str, share: float) -> bool:
        said = f"{self.seed}\0{key}\0{what}".encode()
        return int.from_bytes(hashlib.sha256(said).digest()[:6]) < share * 2**48

    def _signature(self, body: bytes) -> str:
        return hmac.new(self.key, body, hashlib.sha256).hexdigest()


def _thing(transaction: Transaction, key: str) -> _Thing | None:
    return _of_row(transaction.row(f"SELECT {_COLUMNS} FROM offline_thing WHERE key = :key", key=key))  # noqa: S608


def _thing_of_token(transaction: Transaction, token: str) -> _Thing | None:
    return _of_row(
        transaction.row(f"SELECT {_COLUMNS} FROM offline_thing WHERE token = :token AND made = 1", token=token)  # noqa: S608
    )


def _of_row(row: Row | None) -> _Thing | None:
    return None if row is None else _Thing(*row)


def _forget_event(transaction: Transaction, *, event: str) -> None:
    transaction.execute("DELETE FROM offline_event WHERE id = :id", id=event)


def _calls(transaction: Transaction, key: str) -> int:
    row = transaction.row("SELECT calls FROM offline_thing WHERE key = :key", key=key)
    return 0 if row is None else int(row[0])
