"""What running a host may cost in power, beside what it earns: an estimate, and called so wherever it is shown."""

from decimal import Decimal, InvalidOperation
from typing import Final

from attrs import frozen

from bootstrap.refusal import Refused

__all__ = ["Estimate", "estimate", "price_of"]

HOURS_A_MONTH: Final = 730
MAX_PRICE: Final = Decimal(100)


@frozen
class Estimate:
    """A month, in the smallest unit of a currency."""

    watts: int
    kilowatt_hours: int
    power_cents: int
    earned_microcredits: int
    earned_cents: int | None
    """What the credits would be paid out as; None where this operator pays nothing out."""

    @property
    def left_cents(self) -> int | None:
        """What would be left."""
        return None if self.earned_cents is None else self.earned_cents - self.power_cents


def price_of(text: str) -> Decimal:
    """The price of a kilowatt-hour as a person types it: `0.32` or `0,32`; raises `Refused`."""
    try:
        price = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or not 0 <= price <= MAX_PRICE:
        raise Refused(
            f"a price is a number from 0 to {MAX_PRICE}, such as 0.32", reason="bad_body", field="price_per_kwh"
        )
    return price


def estimate(*, watts: int, price: Decimal, earned_microcredits: int, earned_cents: int | None) -> Estimate:
    """For a machine that draws so much all month, at what the last 30 days have earned."""
    energy = Decimal(watts) * HOURS_A_MONTH / 1000
    return Estimate(
        watts, round(energy), int((energy * price * 100).to_integral_value()), earned_microcredits, earned_cents
    )
