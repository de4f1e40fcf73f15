"""Amounts as people type them: `12.5` credits, `5.00` of money. What is kept is an integer."""

import re
from decimal import Decimal
from typing import Final

from bootstrap.refusal import Refused

__all__ = ["cents_in", "microcredits_in"]

MAX_CREDITS: Final = 10_000_000
MAX_MONEY: Final = 10_000_000


def microcredits_in(typed: str, field: str) -> int:
    """Microcredits from a number of credits; raises `Refused` (`bad_body`)."""
    return _amount(typed, field, 6, MAX_CREDITS, "credits, such as 12.5")


def cents_in(typed: str, field: str) -> int:
    """A currency's smallest unit from an amount; raises `Refused` (`bad_body`)."""
    return _amount(typed, field, 2, MAX_MONEY, "an amount, such as 5.00")


def _amount(typed: str, field: str, places: int, at_most: int, such_as: str) -> int:
    plain = typed.strip().replace("\u202f", "").replace("\u00a0", "").replace(" ", "").replace(",", ".")
    if not re.fullmatch(rf"[0-9]{{1,9}}(\.[0-9]{{1,{places}}})?", plain):
        raise Refused(f"write {such_as}", reason="bad_body", field=field)
    value = Decimal(plain)
    if not 0 < value <= at_most:
        raise Refused(f"that is nothing, or over {at_most}", reason="bad_body", field=field)
    return int(value * 10**places)
