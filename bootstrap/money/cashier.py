"""The cashier: carries what was asked to the payment provider, and its word back.

Each step is a call to the provider, outside any transaction, and then one transaction with what follows from it. If
the process ends between the two, the step is done again: the provider knows the key, and the journal knows the
movement. What time-outs, repeats and order do is in the tests of a model (`tests/property/test_money_model.py`).
"""

from collections import Counter
from functools import partial
from typing import Final

import structlog
from attrs import field, frozen

from bootstrap.database import Database, Transaction
from bootstrap.money.earnings import Hosts, NoHosts
from bootstrap.money.outbox import (
    Call,
    call_of,
    due_calls,
    due_watches,
    finish_call,
    make_call,
    note_try,
    unwatch,
    watch,
)
from bootstrap.money.payouts import apply_payee, apply_payout, note_payout_refused
from bootstrap.money.provider import (
    BadEvent,
    Fact,
    PayeeFact,
    PaymentFact,
    PayoutFact,
    Provider,
    ProviderRefused,
    ProviderTimeout,
    SubscriptionFact,
)
from bootstrap.money.purchases import ProviderDisagrees, apply_payment, note_purchase_refused
from bootstrap.money.refunds import note_refund
from bootstrap.money.settings import MoneyConfig
from bootstrap.money.subscriptions import apply_subscription, note_subscription_refused
from bootstrap.refusal import Refused

__all__ = ["Cashier"]

MOST_AT_ONCE: Final = 100
LOOK_AGAIN_S: Final = 300

log = structlog.get_logger()


@frozen
class Cashier:
    """One operator's. Synchronous, and safe to use from several threads."""

    database: Database
    provider: Provider
    config: MoneyConfig
    origin: str
    """Where the portal is, for the provider's pages to lead back to."""
    hosts: Hosts = field(factory=NoHosts)
    disagreements: Counter[str] = field(factory=Counter)
    """How often the provider's word did not fit ours, by kind: a person must look."""

    def call(self, key: str, now_s: int) -> bool:
        """Makes the call of that key, if it waits; returns whether there is an answer."""
        call = self.database.read(partial(call_of, key=key))
        return call is None or self._make(call, now_s)

    def make_due_calls(self, now_s: int) -> int:
        """Makes the calls that are due; returns how many had an answer."""
        calls = self.database.read(partial(due_calls, now_s=now_s, most=MOST_AT_ONCE))
        return sum(self._make(call, now_s) for call in calls)

    def look_at(self, key: str, now_s: int) -> bool:
        """Asks the provider what has become of something, and does what follows; returns whether it answered."""
        try:
            fact = self.provider.look_up(key)
        except ProviderTimeout:
            self.database.write(partial(_look_later, key=key, now_s=now_s))
            return False
        if fact is None:
            self.database.write(partial(_look_later, key=key, now_s=now_s))
        else:
            self._follow(fact, now_s)
        return True

    def look_at_due(self, now_s: int) -> int:
        """Asks about what is due; returns how much that was."""
        keys = self.database.read(partial(due_watches, now_s=now_s, most=MOST_AT_ONCE))
        for key in keys:
            self.look_at(key, now_s)
        return len(keys)

    def receive(self, body: bytes, signature: str, now_s: int) -> bool:
        """Takes an event of the provider; returns False where it is to be sent again.

        Raises `Refused` (`bad_signature`) for one that the provider did not sign.
        """
        try:
            key = self.provider.read_event(body, signature)
        except BadEvent as error:
            raise Refused("the event is not signed by the payment provider", reason="bad_signature") from error
        return self.look_at(key, now_s)

    def _make(self, call: Call, now_s: int) -> bool:
        try:
            fact = make_call(self.provider, call, self._page_after(call))
        except ProviderTimeout:
            self.database.write(partial(note_try, call=call, now_s=now_s))
            return False
        except ProviderRefused:
            self.database.write(partial(_refused, call=call, now_s=now_s))
            return True
        self._follow(fact, now_s, call)
        return True

    def _follow(self, fact: Fact, now_s: int, call: Call | None = None) -> None:
        try:
            self.database.write(partial(_apply, fact=fact, call=call, now_s=now_s))
        except ProviderDisagrees:
            kind = type(fact).__name__
            self.disagreements[kind] += 1
            log.warning("the payment provider's word does not fit ours", kind=kind)
            self.database.write(partial(_look_later, key=fact.key, now_s=now_s))
            if call is not None:
                self.database.write(partial(note_try, call=call, now_s=now_s))

    def _page_after(self, call: Call) -> str:
        kind, _, name = call.key.partition("/")
        match kind:
            case "purchase":
                return f"{self.origin}/purchases/{name}"
            case "payee":
                return f"{self.origin}/earnings"
        return f"{self.origin}/credits"


def _apply(transaction: Transaction, *, fact: Fact, call: Call | None, now_s: int) -> None:
    match fact:
        case PaymentFact():
            apply_payment(transaction, fact, now_s)
        case SubscriptionFact():
            apply_subscription(transaction, fact, now_s)
        case PayeeFact():
            apply_payee(transaction, fact, now_s)
        case PayoutFact():
            apply_payout(transaction, fact, now_s)
    if call is not None:
        if call.kind == "refund":
            note_refund(transaction, call.key, done=True)
        finish_call(transaction, call.key)


def _refused(transaction: Transaction, *, call: Call, now_s: int) -> None:
    """The provider's no is its word, too."""
    match call.kind:
        case "payment":
            note_purchase_refused(transaction, call.key, now_s)
        case "subscription":
            note_subscription_refused(transaction, call.key, now_s)
        case "refund":
            note_refund(transaction, call.key, done=False)
        case "payout":
            note_payout_refused(transaction, call.key, now_s)
        case "payee" | "cancel":
            log.warning("the payment provider refused", kind=call.kind)
    finish_call(transaction, call.key)


def _look_later(transaction: Transaction, *, key: str, now_s: int) -> None:
    row = transaction.row("SELECT until_s FROM provider_watch WHERE key = :key", key=key)
    if row is None:
        return
    if row[0] <= now_s:
        unwatch(transaction, key)
    else:
        watch(transaction, key, next_look_at_s=now_s + LOOK_AGAIN_S, until_s=row[0])
