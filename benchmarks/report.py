"""One figure of a benchmark, with what it is compared to, taken in the same run."""

import json
import os
import platform
from typing import Any

from attrs import Factory, frozen

__all__ = ["Figure"]


@frozen
class Figure:
    """A figure; `target` bounds its ratio to the reference, or with `bounds_value`, or without a reference, itself.

    Without a target it is told for comparison only.
    """

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float | None
    target: float | None
    smaller_is_better: bool
    conditions: dict[str, Any] = Factory(dict)
    bounds_value: bool = False

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return None if self.reference_value is None else self.value / self.reference_value

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        measured = self.value if self.bounds_value or self.ratio is None else self.ratio
        return measured <= self.target if self.smaller_is_better else measured >= self.target

    def line(self) -> str:
        """The JSON object."""
        facts = {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "reference": self.reference,
            "reference_value": None if self.reference_value is None else round(self.reference_value, 4),
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "target": None if self.target is None else round(self.target, 4),
            "target_bounds": "value" if self.bounds_value or self.ratio is None else "ratio",
            "met": self.met,
            "conditions": self.conditions
            | {
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2),
            },
        }
        return json.dumps(facts)
