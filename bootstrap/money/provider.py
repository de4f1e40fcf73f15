"""What is asked of a payment provider, whichever it is.

Rules:

1. Everything that is asked for has a key of ours, made before the first call. The same call with the same key, once
   or ten times, is one thing. A call that times out has happened or not: it is made again.
2. What has become of a thing is told by `look_up`. Events that the provider sends by itself are signed, may come
   twice, late, in any order, or never, and say only that there is something to look up.
3. People give their card, or their bank account, to the provider, on a page of its own (promise P10).

A provider is synchronous and may be called by several threads; each call ends within seconds. Source: Stripe's
documentation of idempotent requests and webhooks, as a model of many.
"""

from typing import Literal, Protocol

from attrs import frozen

from peernet.core.errors import PeernetError

__all__ = [
    "BadEvent",
    "Dispute",
    "Fact",
    "Order",
    "PayeeFact",
    "PaymentFact",
    "PayoutFact",
    "Provider",
    "ProviderRefused",
    "ProviderTimeout",
    "SubscriptionFact",
    "period_key",
]

Dispute = Literal["none", "open", "won", "lost"]
"""Of a dispute about a payment: whether there is one, and who won; `won` is that the money stayed here."""


class ProviderTimeout(PeernetError):
    """There was no answer: nobody knows whether it was done."""


class ProviderRefused(PeernetError):
    """The provider's word that it was not done, and never will be under this key."""


class BadEvent(PeernetError):
    """An event that the provider did not sign."""


@frozen
class Order:
    """What is to be paid."""

    key: str
    amount: int
    """In the currency's smallest unit; for a subscription, each month."""
    currency: str
    description: str
    return_to: str
    """The page of ours that people come back to."""


@frozen
class PaymentFact:
    """What has become of a payment."""

    key: str
    state: Literal["open", "paid", "cleared", "failed"]
    """`open` is not paid yet; `paid` is on its way; `cleared` is ours; `failed` will never be."""
    amount: int
    currency: str
    url: str = ""
    """The provider's page, where it is paid."""
    refunded: int = 0
    """How much of it was given back in all."""
    dispute: Dispute = "none"


@frozen
class SubscriptionFact:
    """What has become of a subscription. Its payments have the keys `period_key(key, 1)`, 2, and so on."""

    key: str
    state: Literal["open", "active", "late", "ended"]
    """`late` is that the last payment failed, and is tried again."""
    periods: int = 0
    """How many were begun."""
    cancelled: bool = False
    """Whether it ends with its period."""
    period_ends_at_s: int | None = None
    url: str = ""


@frozen
class PayeeFact:
    """Whether the provider knows where to pay somebody."""

    key: str
    state: Literal["open", "ready"]
    url: str = ""


@frozen
class PayoutFact:
    """What has become of a payout; `paid` and `failed` are final."""

    key: str
    state: Literal["pending", "paid", "failed"]
    amount: int
    currency: str


Fact = PaymentFact | SubscriptionFact | PayeeFact | PayoutFact


class Provider(Protocol):
    """A payment provider. Each call raises `ProviderTimeout`, and what changes something `ProviderRefused`, too."""

    @property
    def name(self) -> str:
        """Such as `offline`."""
        ...

    def start_payment(self, order: Order) -> PaymentFact:
        """A page on which it is paid."""
        ...

    def start_subscription(self, order: Order) -> SubscriptionFact:
        """A page on which the first month is paid; the provider takes the others by itself."""
        ...

    def cancel_subscription(self, key: str, subscription: str) -> SubscriptionFact:
        """No month after the one that is paid for."""
        ...

    def refund(self, key: str, payment: str, amount: int) -> PaymentFact:
        """Gives so much of a cleared payment back."""
        ...

    def start_payee(self, key: str, return_to: str) -> PayeeFact:
        """A page on which somebody says where they are paid."""
        ...

    def pay(self, key: str, payee: str, amount: int, currency: str) -> PayoutFact:
        """Pays a payee."""
        ...

    def look_up(self, key: str) -> Fact | None:
        """What has become of a payment, subscription, payee or payout; None where there is none of that key."""
        ...

    def read_event(self, body: bytes, signature: str) -> str:
        """The key of what an event is about; raises `BadEvent` unless the provider signed it."""
        ...


def period_key(subscription: str, number: int) -> str:
    """The key of the payment for a period; the first has the number 1."""
    return f"{subscription}/{number}"
