"""What an operator decides about money: the table `[money]` of the configuration."""

import re
from typing import Final

from attrs import field, frozen
from attrs.validators import and_, ge, in_, le, matches_re

from bootstrap.money.offline import Faults

__all__ = ["MICROCREDITS", "MoneyConfig", "Pack", "Plan"]

MICROCREDITS: Final = 1_000_000
"""A credit's."""
MAX_CREDITS: Final = 10_000_000
MAX_CENTS: Final = 100_000_000
_OFFER: Final = re.compile(r"([1-9][0-9]{0,7}) for ([0-9]{1,6})\.([0-9]{2})")
_PLAN: Final = re.compile(r"([a-z][a-z0-9-]{0,19}): (.+)")


@frozen
class Pack:
    """Credits for a price."""

    name: str
    """By which it is asked for: how many credits there are in it."""
    microcredits: int
    cents: int


@frozen
class Plan:
    """Credits for a price, every month."""

    name: str
    microcredits: int
    cents: int


def _packs_are_read(config: "MoneyConfig", _: object, __: object) -> None:
    if len({pack.name for pack in config.price_list}) != len(config.packs):
        raise ValueError("packs: two of the same size")


def _plans_are_read(config: "MoneyConfig", _: object, __: object) -> None:
    if len({plan.name for plan in config.plan_list}) != len(config.plans):
        raise ValueError("plans: two of the same name")


def _faults_are_known(_: object, __: object, value: dict[str, float]) -> None:
    try:
        Faults(**value)
    except TypeError as error:
        raise ValueError(f"offline_faults: {error}") from error


@frozen
class MoneyConfig:
    """What an operator decides about money."""

    provider: str = field(default="offline", validator=in_({"offline"}))
    """Who takes and pays out money. `offline` moves none: it is for trying everything out."""
    currency: str = field(default="EUR", validator=matches_re(r"[A-Z]{3}"))
    """One with a hundred of its smallest unit (cents) in it."""
    packs: tuple[str, ...] = field(default=("10 for 5.00", "50 for 22.50", "200 for 80.00"), validator=_packs_are_read)
    """The price list: credits, and what they cost."""
    plans: tuple[str, ...] = field(default=("basic: 20 for 9.00", "plus: 100 for 42.00"), validator=_plans_are_read)
    """Subscriptions: a name, credits a month, and what they cost a month."""
    payout_cents_per_credit: int = field(default=40, validator=and_(ge(1), le(1_000_000)))
    """What a host operator is paid for a credit that was earned."""
    payout_minimum_cents: int = field(default=1_000, validator=ge(1))
    payout_hold_days: int = field(default=14, validator=and_(ge(0), le(365)))
    """How old earnings must be before they are paid out: within that time, most disputes are brought."""
    offline_seed: int = 0
    """The seed of what the offline provider does wrong."""
    offline_clearing_s: int = field(default=5, validator=ge(0))
    """How long the offline provider takes over what real ones take days for."""
    offline_faults: dict[str, float] = field(factory=dict, validator=_faults_are_known)
    """How often the offline provider does what wrong, from 0 to 1: see `bootstrap.money.offline.Faults`."""

    @property
    def price_list(self) -> tuple[Pack, ...]:
        """What can be bought."""
        return tuple(Pack(*_offer("packs", text)) for text in self.packs)

    @property
    def plan_list(self) -> tuple[Plan, ...]:
        """What can be subscribed to."""
        plans = []
        for text in self.plans:
            found = _PLAN.fullmatch(text)
            if found is None:
                raise ValueError(f"plans: {text!r} is not such as 'basic: 20 for 9.00'")
            _, microcredits, cents = _offer("plans", found[2])
            plans.append(Plan(found[1], microcredits, cents))
        return tuple(plans)

    @property
    def pays_more_than_it_takes(self) -> bool:
        """Whether credits cost less somewhere than they are paid out as: then people can buy and earn for a gain."""
        sold: tuple[Pack | Plan, ...] = (*self.price_list, *self.plan_list)
        return any(self.payout_cents(each.microcredits) > each.cents for each in sold)

    def payout_cents(self, microcredits: int) -> int:
        """What so much is paid out as; what is left over a whole cent is not."""
        return microcredits * self.payout_cents_per_credit // MICROCREDITS

    def payout_microcredits(self, cents: int) -> int:
        """The least that is paid out as so many cents."""
        return -(-cents * MICROCREDITS // self.payout_cents_per_credit)


def _offer(setting: str, text: str) -> tuple[str, int, int]:
    found = _OFFER.fullmatch(text)
    cents = int(found[2]) * 100 + int(found[3]) if found else 0
    if found is None or not 0 < cents <= MAX_CENTS or int(found[1]) > MAX_CREDITS:
        raise ValueError(f"{setting}: {text!r} is not such as '10 for 5.00'")
    return found[1], int(found[1]) * MICROCREDITS, cents
