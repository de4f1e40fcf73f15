"""How long this operator keeps each class: what the table `[retention]` says, in days, and what the service has else.

A period is the operator's to shorten, and never to lengthen: people were told the longest.
"""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, make_class

from bootstrap.retention.classes import CLASSES, DAY_S, DataClass

__all__ = ["RetentionConfig", "chosen_periods", "periods"]

Periods = Mapping[str, int]


def _bound(each: DataClass) -> Any:
    assert each.period_s is not None
    most = each.period_s // DAY_S

    def check(_: object, setting: "Attribute[int]", value: int) -> None:
        if not 1 <= value <= most:
            raise ValueError(f"{setting.name} is kept for 1 to {most} days, not for {value}")

    return field(default=most, type=int, validator=check)


RetentionConfig = make_class(
    "RetentionConfig",
    {each.name: _bound(each) for each in CLASSES.values() if each.period_s is not None},
    frozen=True,
)
"""A setting for every class that has a period: its days."""


def periods(days: Mapping[str, int] | None = None) -> Periods:
    """The seconds for which each class with a period is kept, with an operator's days in the place of ours."""
    chosen = days or {}
    return {
        each.name: min(each.period_s, chosen[each.name] * DAY_S) if each.name in chosen else each.period_s
        for each in CLASSES.values()
        if each.period_s is not None
    }


def chosen_periods(config: object) -> Periods:
    """The periods of a `RetentionConfig`."""
    return {
        each.name: int(getattr(config, each.name)) * DAY_S for each in CLASSES.values() if each.period_s is not None
    }
