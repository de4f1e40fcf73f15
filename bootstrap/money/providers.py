"""Who else gets data about people because of money: what the page of service providers says of it (promise P10)."""

from typing import Final

from bootstrap.rights.providers import Provider

__all__ = ["PROVIDERS"]


PROVIDERS: Final[dict[str, tuple[Provider, ...]]] = {
    "offline": (
        Provider(
            "offline (a part of this service)",
            "Stands for a payment provider while the service is tried out. It moves no money.",
            (
                "the amount and the number of credits of a purchase, subscription, refund or payout",
                "a random id of it, and for payouts the random id of the account",
                "no name, no e-mail address, no card, no bank account",
            ),
            "on this machine",
        ),
    ),
}
"""By the payment provider of the configuration."""
