"""One figure of a benchmark, with what it is compared to, taken in the same run."""

import json
import os
import platform
from typing import Any

from attrs import Factory, frozen

__all__ = ["Figure"]


@frozen
class Figure:
    """A figure; `ratio` is value over reference, and `target` bounds the ratio or, without a reference, the value."""

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float | None
    target: float
    smaller_is_better: bool
    conditions: dict[str, Any] = Factory(dict)

    @property
    def measured(self) -> float:
        """What the target is held against."""
        return self.value if self.reference_value is None else self.value / self.reference_value

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.measured <= self.target if self.smaller_is_better else self.measured >= self.target

    def line(self) -> str:
        """The JSON object."""
        facts = {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "reference": self.reference,
            "reference_value": None if self.reference_value is None else round(self.reference_value, 4),
            "ratio": None if self.reference_value is None else round(self.measured, 4),
            "target": self.target,
            "met": self.met,
            "conditions": self.conditions
            | {
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2),
            },
        }
        return json.dumps(facts)
